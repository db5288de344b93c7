/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For a program that means no good and has a function by iommufd: page tables, and fault queues
 * that are theirs, which are read and written to in any way. The same on purpose, of which it is
 * known how it ends.
 */
#ifndef RVIOMMU_GUEST_VFIO_QUEUES_H
#define RVIOMMU_GUEST_VFIO_QUEUES_H

#include "vfio_objects.h"

/* ----- Queues ----- */

/* As many requests as there is room for */
#define ALL	(PAGE / 64 * sizeof(struct iommu_hwpt_pgfault))

static struct tally reads, writes, seen;
static unsigned long answered[2], closed, closed_open;

static inline void read_queue(struct queue *q)
{
	const size_t sizes[] = {
		1, sizeof(struct iommu_hwpt_pgfault) - 1, sizeof(struct iommu_hwpt_pgfault),
		2 * sizeof(struct iommu_hwpt_pgfault), ALL,
	};
	char *to = chance(8) ? pointer() : room;
	const ssize_t got = read(q->fd, to, sizes[below(5)]);
	struct iommu_hwpt_pgfault fault;
	ssize_t at;

	if (got)
		count(&reads, got > 0);
	for (at = 0; at < got; at += sizeof(fault)) {
		memcpy(&fault, to + at, sizeof(fault));
		if (!(fault.flags & IOMMU_PGFAULT_FLAGS_LAST_PAGE))
			continue;
		q->cookies[q->nr++ % COOKIES] = fault.cookie;
		q->open++;
	}
}

static inline __u32 any_cookie(struct queue *q)
{
	if (!q->nr || chance(8))
		return value();
	return q->cookies[below(q->nr < COOKIES ? q->nr : COOKIES)];
}

/* What is more than was meant is whatever is there. */
static inline void write_queue(struct queue *q)
{
	const unsigned int nr = 1 + below(3);
	char *from = chance(8) ? pointer() : room;
	struct iommu_hwpt_page_response response;
	ssize_t done, at;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		response = (struct iommu_hwpt_page_response){
			.cookie = any_cookie(q), .code = chance(8) ? value() : below(2),
		};
		memcpy(room + i * sizeof(response), &response, sizeof(response));
	}
	done = write(q->fd, from, chance(8) ? below(PAGE) : nr * sizeof(response));
	if (done)
		count(&writes, done > 0);
	for (at = 0; at < done; at += sizeof(response)) {
		memcpy(&response, from + at, sizeof(response));
		must(response.code < 2, "a code that does not exist is refused");
		answered[response.code]++;
		q->open -= !!q->open;
	}
}

static inline bool new_queue(struct queue *q)
{
	struct iommu_fault_alloc alloc = { .size = sizeof(alloc) };

	if (ioctl(iommufd, IOMMU_FAULT_QUEUE_ALLOC, &alloc))
		return false;
	*q = (struct queue){ .id = alloc.out_fault_id, .fd = alloc.out_fault_fd };
	return true;
}

static inline void close_queue(struct queue *q)
{
	if (q->fd < 0)
		return;
	close(q->fd);
	q->fd = -1;
	closed++;
	closed_open += !!q->open;
}

/* A queue remains, and its file or not, for as long as a page table has it. */
static inline void change_queue(struct queue *q)
{
	if (chance(2))
		close_queue(q);
	if (q->fd < 0 && q->id && destroy(q->id))
		forget(q->id);
	if (!q->id)
		new_queue(q);
}

static inline void look_at_queue(struct queue *q)
{
	struct pollfd fd = { .fd = q->fd, .events = POLLIN | POLLOUT };

	must(poll(&fd, 1, 0) == 1 && fd.revents & POLLOUT, "a queue always takes responses");
	count(&seen, fd.revents & POLLIN);
}

/* With its file as it is, for as long as it is open */
static inline void use_queue(struct queue *q)
{
	static void (*const acts[])(struct queue *q) = { read_queue, write_queue, look_at_queue };
	unsigned int i;

	for (i = 0; i < 8 && q->fd >= 0; i++)
		acts[below(3)](q);
}

/* ----- Page tables ----- */

/* Another one, if nothing is attached to that which there is */
static inline void replace_table(__u32 *table, struct iommu_hwpt_alloc alloc)
{
	alloc.size = sizeof(alloc);
	if (*table && destroy(*table))
		*table = 0;
	if (!*table && !ioctl(iommufd, IOMMU_HWPT_ALLOC, &alloc))
		*table = alloc.out_hwpt_id;
}

static inline void change_table(__u32 *table)
{
	replace_table(table, (struct iommu_hwpt_alloc){
		.flags = chance(4) ? value() : 1U << below(5),
		.dev_id = chance(16) ? value() : device,
		.pt_id = chance(16) ? any_object() : any_space(),
		.fault_id = chance(8) ? value() : queues[below(2)].id,
		.data_type = chance(16) ? value() : 0, .data_len = chance(16) ? value() : 0,
		.data_uptr = (unsigned long)pointer(),
	});
}

/* One that asks the queue */
static inline __u32 table_of(const struct queue *q)
{
	__u32 *table = &tables[below(OBJECTS)];

	replace_table(table, (struct iommu_hwpt_alloc){
		.flags = IOMMU_HWPT_FAULT_ID_VALID | IOMMU_HWPT_ALLOC_PASID,
		.dev_id = device, .pt_id = any_space(), .fault_id = q->id,
	});
	return *table;
}

static inline void track(__u32 table)
{
	static __u64 bitmap[SIZE / PAGE];
	struct iommu_hwpt_set_dirty_tracking set = {
		.size = sizeof(set), .hwpt_id = table, .flags = below(2),
	};
	struct iommu_hwpt_get_dirty_bitmap dirty = {
		.size = sizeof(dirty), .hwpt_id = table, .flags = below(2),
		.iova = chance(4) ? value() : IOVA, .length = chance(4) ? value() : SIZE,
		.page_size = chance(4) ? value() : PAGE, .data = (unsigned long)bitmap,
	};

	ioctl(iommufd, IOMMU_HWPT_SET_DIRTY_TRACKING, &set);
	/* More than there is room for would be the kernel's to write. */
	if (dirty.length / (dirty.page_size ?: 1) <= 8 * sizeof(bitmap))
		ioctl(iommufd, IOMMU_HWPT_GET_DIRTY_BITMAP, &dirty);
}

/* One that was changed now, or long ago */
static inline __u32 changed_table(void)
{
	const unsigned int i = below(OBJECTS);

	if (chance(2))
		change_table(&tables[i]);
	track(tables[i]);
	return tables[i];
}

/* The function's own address space may have anything where it is allowed to. */
static inline bool allow_all(void)
{
	struct iommu_ioas_allow_iovas all = { .size = sizeof(all), .ioas_id = ioas };

	return !ioctl(iommufd, IOMMU_IOAS_ALLOW_IOVAS, &all);
}

/* As in the beginning, once nothing is attached to them */
static inline void forget_objects(void)
{
	unsigned int i;

	for (i = 0; i < OBJECTS; i++)
		must(!tables[i] || destroy(tables[i]), "a page table that it had is destroyed");
	for (i = 0; i < 2; i++) {
		close_queue(&queues[i]);
		must(!queues[i].id || destroy(queues[i].id), "a fault queue is");
		queues[i].id = 0;
	}
	for (i = 0; i < OBJECTS; i++)
		must(!spaces[i] || destroy(spaces[i]), "an address space is");
	memset(tables, 0, sizeof(tables));
	memset(spaces, 0, sizeof(spaces));
}

/* ----- A fault queue on purpose ----- */

static inline bool attach_table(__u32 table)
{
	struct vfio_device_attach_iommufd_pt on = { .argsz = sizeof(on), .pt_id = table };

	return !ioctl(dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &on);
}

/* In an address space with nothing in it, which is that of the table */
static inline void make_table_with_queue(struct queue *q)
{
	struct iommu_ioas_alloc space = { .size = sizeof(space) };
	struct iommu_hwpt_alloc table = {
		.size = sizeof(table), .dev_id = device,
		.flags = IOMMU_HWPT_FAULT_ID_VALID | IOMMU_HWPT_ALLOC_PASID,
	};

	must(new_queue(q) && !ioctl(iommufd, IOMMU_IOAS_ALLOC, &space), "a fault queue");
	spaces[0] = space.out_ioas_id;
	table.pt_id = spaces[0];
	table.fault_id = q->id;
	must(!ioctl(iommufd, IOMMU_HWPT_ALLOC, &table), "a page table with the queue");
	tables[0] = table.out_hwpt_id;
}

/* The cookie of the one request that there is, after all that does not read it */
static inline __u32 read_well(struct queue *q)
{
	struct pollfd fd = { .fd = q->fd, .events = POLLIN };
	struct iommu_hwpt_pgfault fault;

	must(poll(&fd, 1, 10000) == 1, "the function asks");
	must(read(q->fd, room, sizeof(fault) - 1) < 0 && errno == ESPIPE, "a part is not read");
	must(read(q->fd, room + PAGE, sizeof(fault)) < 0 && errno == EFAULT,
	     "nor to where nothing is");
	must(read(q->fd, room, ALL) == sizeof(fault), "a request is read");
	must(!read(q->fd, room, sizeof(fault)), "and there is no other");
	memcpy(&fault, room, sizeof(fault));
	must(fault.flags & IOMMU_PGFAULT_FLAGS_LAST_PAGE && fault.dev_id == device, "it is ours");
	return fault.cookie;
}

static inline bool respond(struct queue *q, __u32 cookie, __u32 code)
{
	struct iommu_hwpt_page_response response = { .cookie = cookie, .code = code };

	return write(q->fd, &response, sizeof(response)) == sizeof(response);
}

/* What answers nothing, and then what does: the same a second time is too much. */
static inline void respond_well(struct queue *q, __u32 cookie, __u32 code)
{
	const struct iommu_hwpt_page_response twice[] = {
		{ .cookie = cookie, .code = code }, { .cookie = cookie, .code = code },
	};

	must(write(q->fd, twice, sizeof(*twice) - 1) < 0 && errno == ESPIPE, "no part of one");
	must(write(q->fd, room + PAGE, sizeof(twice)) < 0 && errno == EFAULT,
	     "none from where nothing is");
	must(!respond(q, cookie, 2) && errno == EINVAL, "no code that does not exist");
	must(!respond(q, cookie + 1, code) && errno == EINVAL, "none to nothing");
	must(write(q->fd, twice, sizeof(twice)) == sizeof(*twice), "one is taken, and once");
	must(!respond(q, cookie, code) && errno == EINVAL, "nor a second time");
}

static inline void tell_queues(void)
{
	printf("fault queues: read %lu, in vain %lu; written %lu, in vain %lu; Success %lu, ",
	       reads.accepted, reads.refused, writes.accepted, writes.refused, answered[0]);
	printf("Invalid %lu; closed %lu, unanswered %lu; with requests %lu, without %lu\n",
	       answered[1], closed, closed_open, seen.accepted, seen.refused);
}

#endif /* RVIOMMU_GUEST_VFIO_QUEUES_H */
