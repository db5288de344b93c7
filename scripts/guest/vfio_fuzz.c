// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio_fuzz ROUNDS SEED type1 GROUP FUNCTION, vfio_fuzz ROUNDS SEED cdev CDEV: a program that has a
 * simulated PCI function by VFIO and means no good: anything in each register and in its memory,
 * commands and rings of anything, memory mapped and unmapped under its DMA, address spaces of any
 * kind, resets, sleep, and whatever else VFIO and iommufd let it do. Equal seeds make equal runs,
 * as far as the program goes.
 *
 * The function may do what it likes to the program's memory that is mapped for it. It must not
 * touch what is not, nor what is not any more; and after a reset it must do nothing of what it
 * did before, and work.
 */
#include <setjmp.h>
#include <signal.h>

#include "vfio_function.h"

/* At most: a command of all bytes that there may be takes its time */
#define LONG	(4 * SIZE)

/* What memory that the function may not touch has in it: the pattern of this */
#define OWN	(~0ULL)
/* Where a page of it is mapped for a while; commands and rings go there, too. */
#define LENT	(IOVA + SIZE)
/* Where the second half of memory is again and again, for as long as a command can be */
#define BUSY	(IOVA + RVIOMMU_SIM_MAX_LENGTH)
/* What the rest of memory is after a reset */
#define QUIET	0x5a

/* Resets between two after which it is looked at what the function reaches there, and what not */
#define PROOF	8

static __u64 state;
static unsigned char *canary, *lent;
static bool is_own;
static unsigned int touched, lent_times, written_to, proved;
static __u32 registers[RVIOMMU_SIM_VSEC_LENGTH / 4];

/* xorshift64*: the same everywhere */
static __u64 any(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dULL;
}

static unsigned int below(unsigned int limit)
{
	return (any() >> 33) % limit;
}

static bool chance(unsigned int one_in)
{
	return !below(one_in);
}

/* What finds errors more often than chance does */
static __u64 value(void)
{
	static const __u64 special[] = {
		0, 1, 2, 7, 0xff, 0x7fffffff, 0x80000000, 0xffffffff, ~0ULL, 1ULL << 63,
		IOVA, IOVA + SIZE - 1, IOVA - 1, 0xfee00000, 0x800fffff,
	};

	if (chance(2))
		return special[below(sizeof(special) / sizeof(*special))];
	return any() >> below(64);
}

static __u64 address(void)
{
	return chance(4) ? value() : IOVA + below(SIZE + PAGE);
}

/* ----- Registers ----- */

static void write_config(off_t where, __u64 what, size_t size)
{
	/* What is refused is refused. */
	if (pwrite(dev, &what, size, config + where) < 0)
		errno = 0;
}

static void anything_in_config(void)
{
	static const size_t sizes[] = { 1, 2, 4, 8, 3 };

	/* Most of what there is comes first. */
	write_config(below(PCI_STD_HEADER_SIZEOF << below(7)), value(), sizes[below(5)]);
}

static void anything_in_registers(void)
{
	write_config(vsec + below(RVIOMMU_SIM_VSEC_LENGTH), value(), chance(4) ? 1 + below(4) : 4);
}

static struct rviommu_sim_descriptor anything(void)
{
	struct rviommu_sim_descriptor d = command(below(RVIOMMU_SIM_CMD_NR + 1), address(),
						  below(LONG), value());

	d.source = address();
	d.pasid = chance(2) ? below(4) : value();
	if (chance(4))
		d.command |= value();
	else if (chance(2))
		d.command |= RVIOMMU_SIM_COMMAND_INTERRUPT | below(8) << 16;
	if (chance(4))
		d.command |= RVIOMMU_SIM_COMMAND_PASID;
	if (chance(16))
		d.length = value();
	/* As long as that, and it would be done with nothing else. */
	if (d.length > LONG && d.length <= RVIOMMU_SIM_MAX_LENGTH)
		d.length = LONG;
	return d;
}

/*
 * How commands ended, as far as one sees it before the next: something has to come of them. One
 * that is not over when the next is begun, or forgotten in a reset, is one without a status.
 */
static unsigned long given, ended[RVIOMMU_SIM_STATUS_NO_MEMORY + 1];
static bool begun;

static void look_at_status(void)
{
	__u32 status = RVIOMMU_SIM_STATUS_NONE;

	if (!begun || pread(dev, &status, sizeof(status), config + vsec + RVIOMMU_SIM_REG_COMMAND +
			    offsetof(struct rviommu_sim_descriptor, status)) != sizeof(status) ||
	    status == RVIOMMU_SIM_STATUS_NONE || status > RVIOMMU_SIM_STATUS_NO_MEMORY)
		return;
	ended[status]++;
	begun = false;
}

static void given_another(void)
{
	ended[RVIOMMU_SIM_STATUS_NONE] += begun;
	given++;
	begun = true;
}

static void go(struct rviommu_sim_descriptor d, __u32 doorbell)
{
	__u32 word[sizeof(d) / 4];
	unsigned int i;

	memcpy(word, &d, sizeof(word));
	for (i = 0; i < sizeof(d) / 4; i++)
		write_config(vsec + RVIOMMU_SIM_REG_COMMAND + 4 * i, word[i], 4);
	write_config(vsec + RVIOMMU_SIM_REG_DOORBELL, doorbell, 4);
	if (doorbell & RVIOMMU_SIM_DOORBELL_GO)
		given_another();
}

static void anything_as_command(void)
{
	go(anything(), chance(8) ? value() : RVIOMMU_SIM_DOORBELL_GO);
}

/* Rings change under the function, which reads and writes them while others do. */
static void anything_as_ring(void)
{
	const off_t at = vsec + RVIOMMU_SIM_REG_RING(below(RVIOMMU_SIM_RINGS));
	const __u64 base = chance(8) ? value() : IOVA + below(PAGES) * PAGE;
	struct rviommu_sim_descriptor d;
	unsigned int i;

	for (i = 0; i < 8; i++) {
		d = anything();
		memcpy(memory + below(SIZE / 64) * 64, &d, sizeof(d));
	}
	write_config(at + RVIOMMU_SIM_RING_PASID, value(), 4);
	write_config(at + RVIOMMU_SIM_RING_BASE_LO, base, 4);
	write_config(at + RVIOMMU_SIM_RING_BASE_HI, base >> 32, 4);
	write_config(at + RVIOMMU_SIM_RING_CONTROL,
		     chance(4) ? value() : RVIOMMU_SIM_RING_ENABLE | below(13) << 8, 4);
	write_config(at + RVIOMMU_SIM_RING_TAIL, chance(4) ? value() : below(16), 4);
}

/* ----- Its memory, where it has some: MSI-X ----- */

static volatile __u32 *bar;
static unsigned int bar_words;
static sigjmp_buf no_memory;

/* While it does not decode memory, or sleeps, nothing is there. */
static void bus_error(int signal)
{
	siglongjmp(no_memory, signal);
}

static void find_memory(void)
{
	struct vfio_region_info info = {
		.argsz = sizeof(info), .index = VFIO_PCI_BAR0_REGION_INDEX,
	};
	void *at;

	if (ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &info) || !info.size)
		return;
	at = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, dev, info.offset);
	expect(at != MAP_FAILED, "its memory is the program's");
	bar = at;
	bar_words = info.size / 4;
	signal(SIGBUS, bus_error);
}

static void anything_in_memory(void)
{
	unsigned int i;

	if (!bar) {
		anything_in_registers();
		return;
	}
	if (sigsetjmp(no_memory, 1))
		return;
	for (i = 0; i < 8; i++)
		if (chance(4))
			(void)bar[below(bar_words)];
		else
			bar[chance(2) ? below(bar_words) : below(64)] = value();
}

/* ----- What VFIO does for a program ----- */

static void change_mapping(void)
{
	const unsigned int first = below(PAGES), pages = 1 + below(PAGES - first);

	if (chance(2))
		unmap_at(IOVA, SIZE);
	else
		unmap_at(address(), value());
	map_at(chance(4) ? value() : IOVA + first * PAGE, memory + first * PAGE, pages * PAGE);
}

static unsigned char *own_page(void)
{
	unsigned char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	expect(page != MAP_FAILED, "memory that is not mapped for the function");
	for (i = 0; i < PAGE; i++)
		page[i] = pattern(OWN, i);
	return page;
}

/* If the function is busy, or may not, it does not. */
static void write_to_lent(void)
{
	write_config(PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	go(command(RVIOMMU_SIM_CMD_FILL, LENT + below(PAGE - 64), 64, value()),
	   RVIOMMU_SIM_DOORBELL_GO);
}

static void look_at_lent(void)
{
	touched += is_own && !holds(lent, PAGE, OWN);
}

static void lend(void)
{
	look_at_lent();
	is_own = false;
	lent_times += map_at(LENT, lent, PAGE);
}

/* From here on it is our own. What was written to it while the function had it is counted. */
static bool take(void)
{
	unsigned int i;

	look_at_lent();
	if (!unmap_at(LENT, PAGE))
		return false;
	written_to += !is_own && !holds(lent, PAGE, OWN);
	for (i = 0; i < PAGE; i++)
		lent[i] = pattern(OWN, i);
	is_own = true;
	return true;
}

/* A page that the function has is taken away from it, under its DMA. */
static void take_back(void)
{
	write_to_lent();
	look_at_status();
	if (take())
		write_to_lent();
}

static void lend_or_take_back(void)
{
	if (chance(2))
		take_back();
	else
		lend();
}

static void change_interrupts(void)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set), .index = below(VFIO_PCI_NUM_IRQS + 1), .start = below(10),
		.count = below(10), .flags = 1 << below(3) | 1 << (3 + below(3)),
	};

	if (chance(2))
		interrupts();
	else if (!(set.flags & (VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_DATA_EVENTFD)))
		ioctl(dev, VFIO_DEVICE_SET_IRQS, &set);
}

/* One that sleeps wakes up for each access, and sleeps again. */
static void sleep_from_now_on(bool on)
{
#ifdef VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY
	struct vfio_device_feature feature = {
		.argsz = sizeof(feature), .flags = VFIO_DEVICE_FEATURE_SET,
	};

	feature.flags |= on ? VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY :
			      VFIO_DEVICE_FEATURE_LOW_POWER_EXIT;
	ioctl(dev, VFIO_DEVICE_FEATURE, &feature);
#else
	(void)on;
#endif
}

static void sleep_or_wake(void)
{
	sleep_from_now_on(chance(3));
}

#ifdef VFIO_DEVICE_BIND_IOMMUFD
/* PASIDs that something was attached to, or still is */
static __u32 used[1024];
static unsigned int nr_used;

static void change_domain(void)
{
	struct vfio_device_detach_iommufd_pt off = { .argsz = sizeof(off) };
	struct vfio_device_attach_iommufd_pt on = { .argsz = sizeof(on), .pt_id = ioas };

	if (container >= 0)
		return;
#ifdef VFIO_DEVICE_ATTACH_PASID
	if (chance(2)) {
		on.flags = VFIO_DEVICE_ATTACH_PASID;
		off.flags = VFIO_DEVICE_DETACH_PASID;
		on.pasid = chance(4) ? value() : below(4);
		off.pasid = on.pasid;
	}
#endif
	if (chance(2))
		ioctl(dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &off);
	if (chance(8))
		on.pt_id = value();
	if (!ioctl(dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &on) && on.flags &&
	    nr_used < sizeof(used) / sizeof(*used))
		used[nr_used++] = on.pasid;
}

#if defined(IOMMU_FAULT_QUEUE_ALLOC) && defined(IOMMU_HWPT_GET_DIRTY_BITMAP)
#define OBJECTS	4

/* Page tables that are the program's, and what handles page requests: which it never does. */
static __u32 tables[OBJECTS], faults;

static void change_faults(void)
{
	struct iommu_fault_alloc alloc = { .size = sizeof(alloc) };
	struct iommu_destroy gone = { .size = sizeof(gone), .id = faults };

	if (faults && !ioctl(iommufd, IOMMU_DESTROY, &gone))
		faults = 0;
	if (!faults && !ioctl(iommufd, IOMMU_FAULT_QUEUE_ALLOC, &alloc)) {
		close(alloc.out_fault_fd);
		faults = alloc.out_fault_id;
	}
}

static void change_table(__u32 *table)
{
	struct iommu_destroy gone = { .size = sizeof(gone), .id = *table };
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc), .flags = chance(4) ? value() : 1U << below(5),
		.dev_id = chance(16) ? value() : device, .pt_id = chance(16) ? value() : ioas,
		.fault_id = chance(8) ? value() : faults,
	};

	if (*table && !ioctl(iommufd, IOMMU_DESTROY, &gone))
		*table = 0;
	if (!*table && !ioctl(iommufd, IOMMU_HWPT_ALLOC, &alloc))
		*table = alloc.out_hwpt_id;
}

static void track(__u32 table)
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

static void change_objects(void)
{
	struct vfio_device_attach_iommufd_pt on = { .argsz = sizeof(on) };
	const unsigned int i = below(OBJECTS);

	if (container >= 0)
		return;
	if (chance(4))
		change_faults();
	if (chance(2))
		change_table(&tables[i]);
	track(tables[i]);
	on.pt_id = tables[i];
	if (chance(2))
		ioctl(dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &on);
}

/* As in the beginning, once nothing is attached to them */
static void forget_objects(void)
{
	struct iommu_destroy gone = { .size = sizeof(gone) };
	unsigned int i;

	for (i = 0; i <= OBJECTS; i++) {
		gone.id = i < OBJECTS ? tables[i] : faults;
		if (gone.id)
			expect(!ioctl(iommufd, IOMMU_DESTROY, &gone), "what it had is destroyed");
	}
}
#else
static void change_objects(void)
{
}

static void forget_objects(void)
{
}
#endif

/*
 * What VFIO has attached to PASID 0 iommufd has attached to the requester ID, and then VFIO
 * knows of nothing there, and iommufd is asked to attach a second time. So both go first.
 */
static bool attach_anew(void)
{
	struct vfio_device_attach_iommufd_pt on = { .argsz = sizeof(on), .pt_id = ioas };
	struct vfio_device_detach_iommufd_pt off = { .argsz = sizeof(off) };

	if (container >= 0)
		return true;
	ioctl(dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &off);
#ifdef VFIO_DEVICE_ATTACH_PASID
	off.flags = VFIO_DEVICE_DETACH_PASID;
	ioctl(dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &off);
	while (nr_used) {
		off.pasid = used[--nr_used];
		ioctl(dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &off);
	}
#endif
	return !ioctl(dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &on);
}
#else
static void change_domain(void)
{
}

static void change_objects(void)
{
}

static void forget_objects(void)
{
}

static bool attach_anew(void)
{
	return true;
}
#endif

/* ----- What the function reaches of the page that is lent, and what not ----- */

/* Carry it out with nothing else going on, and without interrupts, which are as they are. */
static __u32 alone(__u32 code, __u64 iova, __u64 source, __u64 operand)
{
	struct rviommu_sim_descriptor d = command(code, iova, PAGE, operand);
	unsigned int i;

	d.source = source;
	look_at_status();
	go(d, RVIOMMU_SIM_DOORBELL_GO);
	for (i = 0; i < 100000 && get(vsec + RVIOMMU_SIM_REG_DOORBELL); i++)
		usleep(100);
	return get(vsec + RVIOMMU_SIM_REG_COMMAND +
		   offsetof(struct rviommu_sim_descriptor, status));
}

/*
 * The same two commands while the page is lent, and when it is not any more: they write all of it,
 * and read it to where it is seen. So all that was found untouched was within reach.
 *
 * The function does nothing else: it was reset, and is attached to what all is mapped in.
 */
static void prove(void)
{
	const __u64 once = 2 * proved + 1, again = once + 1;

	take();
	lend();
	if (alone(RVIOMMU_SIM_CMD_FILL, LENT, 0, once) != RVIOMMU_SIM_STATUS_OK ||
	    !holds(lent, PAGE, once))
		expect(false, "it writes to the page that is lent to it");
	if (alone(RVIOMMU_SIM_CMD_COPY, IOVA, LENT, 0) != RVIOMMU_SIM_STATUS_OK ||
	    !holds(memory, PAGE, once))
		expect(false, "and reads from it");
	if (!take())
		expect(false, "it is taken back");
	memset(memory, QUIET, PAGE);
	if (alone(RVIOMMU_SIM_CMD_FILL, LENT, 0, again) != RVIOMMU_SIM_STATUS_FAULT ||
	    !holds(lent, PAGE, OWN))
		expect(false, "what is taken back is not written to");
	if (alone(RVIOMMU_SIM_CMD_COPY, IOVA, LENT, 0) != RVIOMMU_SIM_STATUS_FAULT ||
	    memory[0] != QUIET || memcmp(memory, memory + 1, PAGE - 1))
		expect(false, "nor read from");
	proved++;
}

/*
 * What is mapped goes first: while nothing was attached, that may have been where no function may
 * have memory.
 */
static void attach_and_prove(void)
{
	sleep_from_now_on(false);
	take();
	unmap_at(0, ~0ULL);
	unmap_at(IOVA, SIZE);
	if (!attach_anew() || !master())
		expect(false, "it is attached, and may master the bus");
	if (!map_at(IOVA, memory, SIZE))
		expect(false, "memory is mapped");
	prove();
}

static void reset(void)
{
	static unsigned int resets;

	if (!ioctl(dev, VFIO_DEVICE_RESET) && ++resets % PROOF == 0)
		attach_and_prove();
	if (!chance(4))
		write_config(PCI_COMMAND, PCI_COMMAND_MASTER, 2);
}

/* ----- The run ----- */

static const struct {
	unsigned int weight;
	void (*act)(void);
} acts[] = {
	{ 27, anything_as_command },
	{ 18, anything_as_ring },
	{ 17, anything_in_registers },
	{ 10, anything_in_config },
	{ 4, anything_in_memory },
	{ 5, lend_or_take_back },
	{ 6, change_mapping },
	{ 4, change_domain },
	{ 3, change_objects },
	{ 3, change_interrupts },
	{ 1, sleep_or_wake },
	{ 2, reset },
};

static void act(void)
{
	unsigned int i = 0, n = below(100);

	look_at_status();
	while (n >= acts[i].weight)
		n -= acts[i++].weight;
	acts[i].act();
}

static bool untouched(void)
{
	look_at_lent();
	if (touched)
		printf("%u times after it was unmapped\n", touched);
	return !touched && holds(canary, PAGE, OWN);
}

static void read_registers(__u32 *to)
{
	unsigned int i;

	for (i = RVIOMMU_SIM_REG_FEATURES / 4; i < RVIOMMU_SIM_VSEC_LENGTH / 4; i++)
		to[i] = get(vsec + 4 * i);
}

static bool registers_as_before(void)
{
	__u32 now[RVIOMMU_SIM_VSEC_LENGTH / 4] = {};

	read_registers(now);
	return !memcmp(now, registers, sizeof(now));
}

static bool map_busy(void)
{
	__u64 at;

	unmap_at(BUSY, RVIOMMU_SIM_MAX_LENGTH);
	for (at = BUSY; at < BUSY + RVIOMMU_SIM_MAX_LENGTH; at += SIZE / 2)
		if (!map_at(at, memory + SIZE / 2, SIZE / 2))
			return false;
	return true;
}

/* The first @nr descriptors in memory are all but one of a ring's, a power of two. */
static void begin_ring(unsigned int nr)
{
	const off_t at = vsec + RVIOMMU_SIM_REG_RING(0);

	put(at + RVIOMMU_SIM_RING_BASE_LO, IOVA);
	put(at + RVIOMMU_SIM_RING_BASE_HI, 0);
	put(at + RVIOMMU_SIM_RING_CONTROL, RVIOMMU_SIM_RING_ENABLE | __builtin_ctz(nr + 1) << 8);
	put(at + RVIOMMU_SIM_RING_TAIL, nr);
}

/*
 * As much to do as there can be, and each command as long: the first has begun, and is not over
 * when the function is reset. One that went on all the same would not be when the reset is.
 */
static bool keep_busy(void)
{
	volatile unsigned char *last = memory + SIZE - 1;
	struct rviommu_sim_descriptor *d = (void *)memory;
	const unsigned int nr = SIZE / 2 / sizeof(*d) - 1;
	unsigned int i;

	memset(memory, QUIET, SIZE);
	for (i = 0; i < nr; i++)
		d[i] = command(RVIOMMU_SIM_CMD_FILL, BUSY, RVIOMMU_SIM_MAX_LENGTH, i);
	begin_ring(nr);
	for (i = 0; i < 100000 && *last == QUIET; i++)
		usleep(100);
	return *last != QUIET;
}

/* Whatever the ring was doing is over when it has done this. */
static bool ring_works(void)
{
	struct rviommu_sim_descriptor *d = (void *)memory;
	unsigned int i;

	*d = command(RVIOMMU_SIM_CMD_NOP, 0, 0, 0);
	begin_ring(1);
	for (i = 0; i < 100000 && !get(vsec + RVIOMMU_SIM_REG_RING(0) + RVIOMMU_SIM_RING_HEAD); i++)
		usleep(100);
	return d->status == RVIOMMU_SIM_STATUS_OK;
}

/* In what was not written to since the reset */
static bool is_quiet(void)
{
	unsigned int i;

	for (i = PAGE; i < SIZE; i++)
		if (memory[i] != QUIET)
			return false;
	return true;
}

/* All that can be left over from before goes, and then it is a function like any other. */
static void as_new(void)
{
	__u64 count;
	unsigned int i;

	sleep_from_now_on(false);
	unmap_at(0, ~0ULL);
	unmap_at(IOVA, SIZE);
	expect(!ioctl(dev, VFIO_DEVICE_RESET), "the function is reset");
	expect(registers_as_before(), "its registers are what they were in the beginning");
	expect(attach_anew(), "it is attached");
	forget_objects();
	expect(map_at(IOVA, memory, SIZE) && map_busy(), "memory is mapped again");
	expect(master(), "it may master the bus");
	expect(keep_busy() && !ioctl(dev, VFIO_DEVICE_RESET), "it is reset while it works");
	expect(registers_as_before(), "of which its registers tell nothing");
	memset(memory, QUIET, SIZE);
	expect(interrupts(), "an eventfd for each interrupt");
	for (i = 0; i < VECTORS; i++)
		if (read(event[i], &count, sizeof(count)) < 0)
			errno = 0;
	expect(master(), "it may master the bus");
	expect(quick(RVIOMMU_SIM_CMD_FILL, IOVA, PAGE, 7) == RVIOMMU_SIM_STATUS_OK &&
	       holds(memory, PAGE, 7), "DMA and interrupt work as before");
	expect(ring_works() && is_quiet(), "and it does nothing else");
	prove();
}

static void tell(void)
{
	static const char *const names[] = {
		"without a status", "well", "in a fault", "with a wrong byte", "refused",
		"not enabled", "in a reset", "stopped", "asked in vain", "without memory",
	};
	unsigned long sum = 0;
	unsigned int i;

	ended[RVIOMMU_SIM_STATUS_NONE] += begun;
	begun = false;
	printf("%lu commands:", given);
	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		printf("%s %s %lu", i ? "," : "", names[i], ended[i]);
		sum += ended[i];
	}
	printf("\n");
	expect(sum == given, "each of its commands is one of these");
}

int main(int argc, char **argv)
{
	unsigned long rounds, i;

	if (argc < 4)
		return 2;
	rounds = strtoul(argv[1], NULL, 0);
	state = strtoull(argv[2], NULL, 0) * 2 + 1;
	if (!take_function(argc - 3, argv + 3))
		return 2;
	read_registers(registers);
	find_memory();
	canary = own_page();
	lent = own_page();
	is_own = true;
	for (i = 0; i < rounds; i++)
		act();
	expect(untouched(), "memory that was not mapped is as it was");
	tell();
	expect(ended[RVIOMMU_SIM_STATUS_OK] && ended[RVIOMMU_SIM_STATUS_FAULT] &&
	       ended[RVIOMMU_SIM_STATUS_INVALID], "its commands did something");
	as_new();
	expect(untouched(), "nor is it touched by that");
	printf("a page was lent %u times, written to in %u of them by chance, in %u on purpose\n",
	       lent_times, written_to - proved, proved);
	expect(proved && written_to >= proved, "what it could reach it did");
	return 0;
}
