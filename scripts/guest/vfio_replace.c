// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio_replace CDEV DMA DEVICE_ID TIMES: what a PASID of a simulated PCI function uses is replaced,
 * by VFIO and iommufd, while a ring of commands has the function write, copy and compare with that
 * PASID, until that has happened so many times with commands left before and after. Prints each
 * step; exit status 0 if no command failed, and nothing went to memory of another's.
 */
#include "vfio.h"

#define IOVA	0x10000000ULL
#define PASID	5
/* Seconds; then the program ends. The machine is emulated and looks on itself. */
#define PATIENCE	240

/* Commands in the ring, and where it is: for requests without PASID */
#define LG2	10
#define COMMANDS	1024
#define RING	(IOVA + 0x1000000)
#define RING_PAGES	(COMMANDS * sizeof(struct rviommu_sim_descriptor) / PAGE)

/* What is nobody's business has the pattern of this. */
#define OWN	(~0ULL)

/*
 * Address spaces: without PASID, the two that take turns, and one that is never attached. Each has
 * a page of its own at IOVA; the two share the one behind it.
 */
enum { PLAIN, FIRST, SECOND, NEVER, NR };

static unsigned char *page[NR], *shared;
static unsigned int ioas[NR], hwpt[NR];
static struct rviommu_sim_descriptor *ring;
static unsigned int next, tail;
static unsigned long over;

static unsigned char *pages(size_t nr)
{
	unsigned char *p = mmap(NULL, nr * PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	expect(p != MAP_FAILED, "memory");
	return p;
}

static void own(unsigned char *p)
{
	unsigned int i;

	for (i = 0; i < PAGE; i++)
		p[i] = pattern(OWN, i);
}

static void space(unsigned int i)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct iommu_hwpt_alloc table = {
		.size = sizeof(table), .flags = IOMMU_HWPT_ALLOC_PASID, .dev_id = devid,
	};

	page[i] = pages(1);
	own(page[i]);
	expect(!ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc), "an address space");
	ioas[i] = alloc.out_ioas_id;
	table.pt_id = ioas[i];
	expect(!map_page(ioas[i], IOVA, page[i]) && !ioctl(iommufd, IOMMU_HWPT_ALLOC, &table),
	       "and a page table");
	hwpt[i] = table.out_hwpt_id;
}

/* ----- The ring ----- */

/*
 * What command @i of the ring does for the @lap-th time: of four, one fills the page that is not
 * shared, the next the shared one, and that is compared, and copied to the other.
 */
static void arm(unsigned int i, __u64 lap)
{
	static const __u32 code[] = {
		RVIOMMU_SIM_CMD_FILL, RVIOMMU_SIM_CMD_FILL, RVIOMMU_SIM_CMD_VERIFY,
		RVIOMMU_SIM_CMD_COPY,
	};
	const bool to_shared = i % 4 == 1 || i % 4 == 2;

	ring[i] = (struct rviommu_sim_descriptor) {
		.command = code[i % 4] | RVIOMMU_SIM_COMMAND_PASID, .pasid = PASID,
		.iova = to_shared ? IOVA + PAGE : IOVA, .source = IOVA + PAGE, .length = PAGE,
		.operand = lap << LG2 | i / 4,
	};
}

/* Those that are over went well, and begin anew behind the others. */
static void refill(void)
{
	const off_t at = vsec + RVIOMMU_SIM_REG_RING(0);
	const unsigned int head = get(at + RVIOMMU_SIM_RING_HEAD);
	const struct rviommu_sim_descriptor *d;

	for (; next != head; next = (next + 1) % COMMANDS) {
		d = &ring[next];
		if (d->status != RVIOMMU_SIM_STATUS_OK || d->done != PAGE) {
			printf("command %u: status %u info %#x done %llu\n", d->command, d->status,
			       d->info, d->done);
			expect(false, "a command is carried out");
		}
		over++;
		arm(next, (d->operand >> LG2) + 1);
	}
	tail = (head + COMMANDS - 1) % COMMANDS;
	put(at + RVIOMMU_SIM_RING_TAIL, tail);
}

static bool is_busy(void)
{
	return get(vsec + RVIOMMU_SIM_REG_RING(0) + RVIOMMU_SIM_RING_HEAD) != tail;
}

/* Until it has nothing left to do: its status */
static __u32 rest(void)
{
	const off_t at = vsec + RVIOMMU_SIM_REG_RING(0) + RVIOMMU_SIM_RING_STATUS;
	__u32 status;

	while ((status = get(at)) & RVIOMMU_SIM_RING_BUSY)
		usleep(1000);
	return status;
}

static void begin(void)
{
	const off_t at = vsec + RVIOMMU_SIM_REG_RING(0);
	unsigned int i;

	for (i = 0; i < COMMANDS; i++)
		arm(i, 0);
	put(at + RVIOMMU_SIM_RING_BASE_LO, RING);
	put(at + RVIOMMU_SIM_RING_BASE_HI, 0);
	put(at + RVIOMMU_SIM_RING_CONTROL, RVIOMMU_SIM_RING_ENABLE | LG2 << 8);
	refill();
}

/* ----- Replacing ----- */

/*
 * From @from to @to: before, nothing went to @to, and soon afterwards something does, but to @from
 * nothing any more. Returns whether there was something to do all the time.
 */
static bool replace(unsigned int from, unsigned int to)
{
	bool busy;

	if (!holds(page[to], PAGE, OWN))
		expect(false, "nothing goes to what the PASID does not use");
	refill();
	if (attach(PASID, hwpt[to]))
		expect(false, "the PASID's page table is replaced");
	busy = is_busy();
	own(page[from]);
	while (holds(page[to], PAGE, OWN)) {
		if (!holds(page[from], PAGE, OWN))
			expect(false, "nothing goes to what it uses no more");
		refill();
		usleep(1000);
	}
	return busy;
}

static void replace_times(unsigned long times)
{
	unsigned long under_dma = 0, all = 0;
	unsigned int from = FIRST, to = SECOND;

	while (under_dma < times) {
		under_dma += replace(from, to);
		from = to;
		to = FIRST + SECOND - to;
		all++;
	}
	printf("%lu times, %lu of them under DMA, %lu commands\n", all, under_dma, over);
}

/* The ring runs dry: what was left over went well, too. */
static void finish(void)
{
	expect(!rest() && !is_busy(), "the ring is at its end, and nothing has stopped it");
	refill();
	expect(!rest(), "and once more");
}

int main(int argc, char **argv)
{
	unsigned int i;

	if (argc != 5)
		return 2;
	alarm(PATIENCE);
	take_device(argv + 1);
	for (i = 0; i < NR; i++)
		space(i);
	shared = pages(1);
	expect(!map_page(ioas[FIRST], IOVA + PAGE, shared) &&
	       !map_page(ioas[SECOND], IOVA + PAGE, shared), "memory that two of them share");
	ring = (void *)pages(RING_PAGES);
	for (i = 0; i < RING_PAGES; i++)
		if (map_page(ioas[PLAIN], RING + i * PAGE, (unsigned char *)ring + i * PAGE))
			expect(false, "the ring is mapped");
	expect(!attach(NONE, hwpt[PLAIN]) && !attach(PASID, hwpt[FIRST]), "all is attached");
	expect(master(), "the function may master the bus");
	begin();
	replace_times(strtoul(argv[4], NULL, 0));
	finish();
	expect(holds(page[PLAIN], PAGE, OWN), "nothing went to where there is no PASID");
	expect(holds(page[NEVER], PAGE, OWN), "nor to what was never attached");
	expect(!detach(PASID), "the PASID is detached");
	own(page[FIRST]);
	own(page[SECOND]);
	own(shared);
	refill();
	expect(!rest(), "the ring goes on, with nothing to reach");
	for (i = 0; i < COMMANDS; i++)
		if (i != tail && ring[i].status != RVIOMMU_SIM_STATUS_FAULT)
			expect(false, "every command faults now");
	expect(holds(page[FIRST], PAGE, OWN) && holds(page[SECOND], PAGE, OWN) &&
	       holds(shared, PAGE, OWN), "after that nothing goes anywhere");
	return 0;
}
