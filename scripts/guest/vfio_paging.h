/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For programs in user space that page the memory of a simulated PCI function on demand, by
 * iommufd's fault queue.
 */
#ifndef RVIOMMU_GUEST_VFIO_PAGING_H
#define RVIOMMU_GUEST_VFIO_PAGING_H

#include <pthread.h>

#include "vfio.h"

#define IOVA		0x10000000ULL
#define PAGES		16
#define PASID		5
/* Seconds; then the program ends. The machine is emulated and looks on itself. */
#define PATIENCE	240

/* Where the DMA of no more than one job at a time goes by registers */
#define VECTOR		3

/**
 * struct job - DMA that goes on while the program does something else
 * @by_file: by the simulator's debugfs, in a thread, as many as there may be; otherwise by the
 *           function's registers, one at a time
 * @thread: the thread
 * @pasid: with this PASID, or NONE
 * @page: first page
 * @nr: how many pages it writes
 * @seed: with this pattern
 * @ret: what became of it
 * @info: by registers: RVIOMMU_SIM_INFO_*
 */
struct job {
	bool by_file;
	pthread_t thread;
	__u32 pasid;
	unsigned int page;
	unsigned int nr;
	unsigned int seed;
	int ret;
	__u32 info;
};

/**
 * struct space - memory that is paged on demand
 * @ioas: address space
 * @hwpt: page table with a fault object
 * @memory: pages, of which those are mapped that were asked for
 */
struct space {
	unsigned int ioas;
	unsigned int hwpt;
	unsigned char *memory;
};

static int fault_fd;
static unsigned int fault_id;
static unsigned int seed;

static inline void make_queue(void)
{
	struct iommu_fault_alloc alloc = { .size = sizeof(alloc) };

	expect(!ioctl(iommufd, IOMMU_FAULT_QUEUE_ALLOC, &alloc), "a fault queue");
	fault_fd = alloc.out_fault_fd;
	fault_id = alloc.out_fault_id;
}

static inline void make_space(struct space *s)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct iommu_hwpt_alloc table = {
		.size = sizeof(table), .dev_id = devid, .fault_id = fault_id,
		.flags = IOMMU_HWPT_ALLOC_PASID | IOMMU_HWPT_FAULT_ID_VALID,
	};

	s->memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	expect(s->memory != MAP_FAILED && !ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc),
	       "an address space with nothing in it");
	s->ioas = alloc.out_ioas_id;
	table.pt_id = s->ioas;
	expect(!ioctl(iommufd, IOMMU_HWPT_ALLOC, &table), "a page table with the fault queue");
	s->hwpt = table.out_hwpt_id;
}

static inline void *job_thread(void *data)
{
	struct job *job = data;

	job->ret = dma_fill(job->pasid, IOVA + job->page * PAGE, job->nr * PAGE, job->seed);
	return NULL;
}

/* By registers, with an interrupt when it is over */
static inline void begin(struct job *job, __u32 pasid, unsigned int page, unsigned int nr)
{
	struct rviommu_sim_descriptor d = {
		.command = RVIOMMU_SIM_CMD_FILL | RVIOMMU_SIM_COMMAND_INTERRUPT | VECTOR << 16,
		.iova = IOVA + page * PAGE, .length = nr * PAGE, .operand = ++seed,
	};

	*job = (struct job){ .pasid = pasid, .page = page, .nr = nr, .seed = seed };
	if (pasid != NONE) {
		d.command |= RVIOMMU_SIM_COMMAND_PASID;
		d.pasid = pasid;
	}
	give(&d);
}

/* One more, whatever the registers are busy with */
static inline void begin_by_file(struct job *job, __u32 pasid, unsigned int page, unsigned int nr)
{
	*job = (struct job){
		.by_file = true, .pasid = pasid, .page = page, .nr = nr, .seed = ++seed,
	};
	if (pthread_create(&job->thread, NULL, job_thread, job)) {
		printf("not ok: a thread\n");
		exit(1);
	}
}

/* For as long as it may take; the program's own time is bounded. */
static inline bool comes(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, -1) == 1;
}

/* As what the same says of a DMA by hand */
static inline int error_of(__u32 status)
{
	static const int error[] = {
		[RVIOMMU_SIM_STATUS_FAULT] = EFAULT, [RVIOMMU_SIM_STATUS_ABORTED] = EIO,
		[RVIOMMU_SIM_STATUS_NO_RESPONSE] = ETIMEDOUT,
	};

	if (status == RVIOMMU_SIM_STATUS_OK)
		return 0;
	return status < sizeof(error) / sizeof(*error) && error[status] ? error[status] : EINVAL;
}

static inline int end(struct job *job)
{
	struct rviommu_sim_descriptor d;

	if (job->by_file) {
		pthread_join(job->thread, NULL);
		return job->ret;
	}
	if (!comes(event[VECTOR]) || interrupted(VECTOR) != 1)
		expect(false, "one interrupt when it is over");
	job->ret = error_of(result(&d));
	job->info = d.info;
	if (!job->ret && d.done != job->nr * PAGE)
		expect(false, "all of it was moved");
	return job->ret;
}

/* It was carried out, and what it wrote is there. */
static inline bool done(struct job *job, struct space *s)
{
	return !end(job) && holds(s->memory + job->page * PAGE, job->nr * PAGE, job->seed);
}

static inline bool asked(void)
{
	return comes(fault_fd);
}

/* So many groups of page requests it took, by registers, the last of them answered with Success. */
static inline bool took(const struct job *job, unsigned int groups)
{
	return job->info >> 20 == groups && !(job->info & RVIOMMU_SIM_INFO_RESPONSE);
}

/* Read at most @max requests: how many it was, or the error, negative */
static inline int take(struct iommu_hwpt_pgfault *fault, unsigned int max)
{
	ssize_t ret = read(fault_fd, fault, max * sizeof(*fault));

	return ret < 0 ? -errno : ret / (ssize_t)sizeof(*fault);
}

static inline int answer(__u32 cookie, __u32 code)
{
	struct iommu_hwpt_page_response response = { .cookie = cookie, .code = code };

	return write(fault_fd, &response, sizeof(response)) < 0 ? errno : 0;
}

static inline bool is_for(const struct iommu_hwpt_pgfault *fault, __u32 pasid, unsigned int page,
			  bool last)
{
	return fault->dev_id == devid && fault->addr == IOVA + page * PAGE &&
	       fault->perm & IOMMU_PGFAULT_PERM_WRITE &&
	       !(fault->flags & IOMMU_PGFAULT_FLAGS_LAST_PAGE) == !last &&
	       !(fault->flags & IOMMU_PGFAULT_FLAGS_PASID_VALID) == (pasid == NONE) &&
	       (pasid == NONE || fault->pasid == pasid);
}

static inline int serve(struct space *s, const struct iommu_hwpt_pgfault *fault)
{
	return map_page(s->ioas, fault->addr, s->memory + (fault->addr - IOVA));
}

#endif /* RVIOMMU_GUEST_VFIO_PAGING_H */
