// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio_fuzz ROUNDS SEED type1 GROUP FUNCTION, vfio_fuzz ROUNDS SEED cdev CDEV [asks]: a program
 * that has a simulated PCI function by VFIO and means no good: anything in each register and in its
 * memory, commands and rings of anything, memory mapped and unmapped under its DMA, address spaces
 * of any kind, resets, sleep, and whatever else VFIO and iommufd let it do. Equal seeds make equal
 * runs, as far as the program goes. "asks": the function has page requests, which go to a queue.
 *
 * The function may do what it likes to the program's memory that is mapped for it. It must not
 * touch what is not, nor what is not any more; and after a reset it must do nothing of what it
 * did before, and work.
 */
#define _GNU_SOURCE
#include "vfio_any.h"
#include "vfio_misuse.h"

#if defined(VFIO_DEVICE_ATTACH_PASID) && defined(IOMMU_FAULT_QUEUE_ALLOC)
#include "vfio_calls.h"
#include "vfio_queues.h"
#endif

/* What memory that the function may not touch has in it: the pattern of this */
#define OWN	(~0ULL)
/* Where the second half of memory is again and again, for as long as a command can be */
#define BUSY	(IOVA + RVIOMMU_SIM_MAX_LENGTH)
/* What the rest of memory is after a reset */
#define QUIET	0x5a

/* Resets between two after which it is looked at what the function reaches there, and what not */
#define PROOF	8

static unsigned char *canary, *lent;
static bool is_own, asks;
static unsigned int touched, lent_times, written_to, proved, bus_resets;
static __u32 registers[RVIOMMU_SIM_VSEC_LENGTH / 4];

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

/* As many functions, and as many files, as there is room for, or says that there is */
static void reset_bus(void)
{
	const int files[] = { dev, container, event[0], -1, value() };
	struct {
		__u32 argsz, flags, count;
		__s32 fds[8];
	} reset = {
		.argsz = chance(4) ? value() : sizeof(reset), .flags = chance(4) ? value() : 0,
		.count = chance(4) ? value() : below(9),
	};
	unsigned int i;

	for (i = 0; i < 8; i++)
		reset.fds[i] = files[below(5)];
	memcpy(room, &reset, sizeof(reset));
	if (!ioctl(dev, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, room))
		expect(false, "others are not told of");
	memcpy(room, &reset, sizeof(reset));
	if (!ioctl(dev, VFIO_DEVICE_PCI_HOT_RESET, chance(8) ? pointer() : room))
		expect(false, "others are not reset");
	bus_resets++;
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

#ifdef VFIO_DEVICE_ATTACH_PASID
/* PASIDs that something was attached to, or still is */
static __u32 used[1024];
static unsigned int nr_used;
#endif

#ifdef VFIO_DEVICE_BIND_IOMMUFD
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
	if (ioctl(dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &on))
		return;
#ifdef VFIO_DEVICE_ATTACH_PASID
	if (on.flags && nr_used < sizeof(used) / sizeof(*used))
		used[nr_used++] = on.pasid;
#endif
}

#ifdef RVIOMMU_GUEST_VFIO_QUEUES_H
/* For a PASID, or without: which it was */
static __u32 attach_by_chance(__u32 table)
{
	struct vfio_device_attach_iommufd_pt on = { .argsz = sizeof(on), .pt_id = table };

	if (chance(4) && nr_used < sizeof(used) / sizeof(*used)) {
		on.flags = VFIO_DEVICE_ATTACH_PASID;
		on.pasid = 1 + below(3);
		used[nr_used++] = on.pasid;
	}
	ioctl(dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &on);
	return on.pasid;
}

static void change_objects(void)
{
	__u32 table;

	if (container >= 0)
		return;
	table = changed_table();
	if (chance(2))
		attach_by_chance(table);
}

/* The function may ask for this; whatever is responded, then or later, to it or to another. */
static void ask_by_chance(struct queue *q)
{
	struct rviommu_sim_descriptor d = command(RVIOMMU_SIM_CMD_FILL, address(), below(SIZE),
						  value());

	d.pasid = attach_by_chance(table_of(q));
	if (d.pasid)
		d.command |= RVIOMMU_SIM_COMMAND_PASID;
	write_config(PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	go(d, RVIOMMU_SIM_DOORBELL_GO);
}

static void queue_anything(void)
{
	struct queue *q = &queues[below(2)];

	if (container >= 0)
		return;
	if (!q->id || chance(8))
		change_queue(q);
	if (chance(2))
		ask_by_chance(q);
	use_queue(q);
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
#ifdef RVIOMMU_GUEST_VFIO_QUEUES_H
	if (!allow_all())
		return false;
#endif
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

static bool attach_anew(void)
{
	return true;
}
#endif

/* ----- What the function reaches of the page that is lent, and what not ----- */

/* Begin it with nothing else going on, and without interrupts, which are as they are. */
static void begin_alone(__u32 code, __u64 iova, __u64 source, __u64 operand)
{
	struct rviommu_sim_descriptor d = command(code, iova, PAGE, operand);

	d.source = source;
	look_at_status();
	go(d, RVIOMMU_SIM_DOORBELL_GO);
}

/* The status, once it is over */
static __u32 end_alone(void)
{
	unsigned int i;

	for (i = 0; i < 100000 && get(vsec + RVIOMMU_SIM_REG_DOORBELL); i++)
		usleep(100);
	return get(vsec + RVIOMMU_SIM_REG_COMMAND +
		   offsetof(struct rviommu_sim_descriptor, status));
}

static __u32 alone(__u32 code, __u64 iova, __u64 source, __u64 operand)
{
	begin_alone(code, iova, source, operand);
	return end_alone();
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

#ifdef RVIOMMU_GUEST_VFIO_QUEUES_H
/*
 * Three pages that are not there: one is refused, after a lie; one is mapped; of the third it is
 * never said, and then queue and page table go.
 */
static void ask_on_purpose(struct queue *q)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map), .length = PAGE, .iova = IOVA + PAGE, .ioas_id = spaces[0],
		.user_va = (unsigned long)memory,
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
	};
	__u32 cookie, status;

	begin_alone(RVIOMMU_SIM_CMD_FILL, IOVA, 0, 1);
	respond_well(q, read_well(q), IOMMUFD_PAGE_RESP_SUCCESS);
	respond_well(q, read_well(q), IOMMUFD_PAGE_RESP_INVALID);
	must(end_alone() == RVIOMMU_SIM_STATUS_FAULT, "a page that is not to be had is a fault");
	begin_alone(RVIOMMU_SIM_CMD_FILL, IOVA + PAGE, 0, 2);
	cookie = read_well(q);
	must(!ioctl(iommufd, IOMMU_IOAS_MAP, &map), "a page that was asked for is mapped");
	respond_well(q, cookie, IOMMUFD_PAGE_RESP_SUCCESS);
	must(end_alone() == RVIOMMU_SIM_STATUS_OK && holds(memory, PAGE, 2), "and written to");
	begin_alone(RVIOMMU_SIM_CMD_FILL, IOVA + 2 * PAGE, 0, 3);
	read_well(q);
	q->open = 1;
	close_queue(q);
	must(attach_anew(), "the page table goes before it has answered");
	status = end_alone();
	must(status == RVIOMMU_SIM_STATUS_FAULT || status == RVIOMMU_SIM_STATUS_ABORTED,
	     "and the function is told no");
}

/* Nothing is mapped, and nothing of the program's is attached. */
static void prove_objects(void)
{
	if (container >= 0)
		return;
	forget_objects();
	prove_calls();
	make_table_with_queue(&queues[0]);
	must(attach_table(tables[0]) == asks, "a function with page requests has a queue");
	if (asks)
		ask_on_purpose(&queues[0]);
	must(attach_anew(), "it is attached to what it had before");
	forget_objects();
}

static void tell_objects(void)
{
	if (container >= 0)
		return;
	tell_calls();
	tell_queues();
}
#else
#define call_anything	change_domain
#define queue_anything	change_domain
#define change_objects	change_domain
#define prove_objects()
#define tell_objects()
#endif

/* Of the bus: others are there, too. It says so, or that it was asked nonsense. */
static void prove_no_bus_reset(void)
{
	struct vfio_pci_hot_reset_info info = { .argsz = sizeof(info) };
	struct vfio_pci_hot_reset reset = { .argsz = sizeof(reset), .count = container >= 0 };

	must(ioctl(dev, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info) && errno == ENODEV &&
	     ioctl(dev, VFIO_DEVICE_PCI_HOT_RESET, &reset) && errno == ENODEV,
	     "there is no reset of all functions");
	info.argsz--;
	reset.flags = 1;
	must(ioctl(dev, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info) && errno == EINVAL &&
	     ioctl(dev, VFIO_DEVICE_PCI_HOT_RESET, &reset) && errno == EINVAL,
	     "and none with flags");
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
	prove_objects();
	prove_no_bus_reset();
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
	{ 24, anything_as_command },
	{ 15, anything_as_ring },
	{ 15, anything_in_registers },
	{ 9, anything_in_config },
	{ 4, anything_in_memory },
	{ 5, lend_or_take_back },
	{ 5, change_mapping },
	{ 4, change_domain },
	{ 4, change_objects },
	{ 3, call_anything },
	{ 5, queue_anything },
	{ 3, change_interrupts },
	{ 1, reset_bus },
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
	expect(attach_anew() && master(), "it is attached, and may master the bus");
	prove_objects();
	prove_no_bus_reset();
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

int main(int argc, char **argv)
{
	unsigned long rounds, i;

	if (argc < 4)
		return 2;
	rounds = strtoul(argv[1], NULL, 0);
	state = strtoull(argv[2], NULL, 0) * 2 + 1;
	asks = !strcmp(argv[argc - 1], "asks");
	if (!take_function(argc - 3 - asks, argv + 3))
		return 2;
	make_room();
#ifdef RVIOMMU_GUEST_VFIO_QUEUES_H
	make_file();
	if (!strcmp(argv[3], "cdev"))
		find_pasids(argv[4]);
#endif
	read_registers(registers);
	find_memory();
	canary = own_page();
	lent = own_page();
	is_own = true;
	for (i = 0; i < rounds; i++)
		act();
	expect(untouched(), "memory that was not mapped is as it was");
	tell_commands();
	expect(ended[RVIOMMU_SIM_STATUS_OK] && ended[RVIOMMU_SIM_STATUS_FAULT] &&
	       ended[RVIOMMU_SIM_STATUS_INVALID], "its commands did something");
	as_new();
	expect(untouched(), "nor is it touched by that");
	printf("a page was lent %u times, written to in %u of them by chance, in %u on purpose\n",
	       lent_times, written_to - proved, proved);
	expect(proved && written_to >= proved, "what it could reach it did");
	printf("a reset of the bus was refused %u times\n", bus_resets);
	tell_objects();
	return 0;
}
