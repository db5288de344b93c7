// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio_msix type1 GROUP FUNCTION, vfio_msix cdev CDEV: what a program does with a simulated PCI
 * function that has memory, by VFIO: MSI-X, and what it can do to the table of vectors there.
 * vfio_msix listen ...: it asks for no interrupt, and none comes until the input ends, whatever
 * others do.
 * Prints each step; exit status 0 if all was as it should be.
 */
#include "vfio_function.h"

/* What the data of a message says: a function, by its routing ID, and below that the vector */
#define ID_SHIFT	5
/* Functions of one bus */
#define IDS		256

static volatile unsigned char *bar;
static off_t bar_offset;
static __u32 table, pba;

static volatile __u32 *entry(unsigned int vector, unsigned int reg)
{
	return (volatile __u32 *)(bar + table + vector * PCI_MSIX_ENTRY_SIZE + reg);
}

static __u32 pending(void)
{
	return *(volatile __u32 *)(bar + pba);
}

static bool find_table(void)
{
	unsigned int at;

	for (at = get(PCI_CAPABILITY_LIST) & 0xff; at; at = get(at) >> 8 & 0xff)
		if ((get(at) & 0xff) == PCI_CAP_ID_MSIX)
			break;
	if (!at)
		return false;
	table = get(at + PCI_MSIX_TABLE);
	pba = get(at + PCI_MSIX_PBA);
	return !((table | pba) & PCI_MSIX_TABLE_BIR);
}

static bool find_memory(void)
{
	struct vfio_region_info info = {
		.argsz = sizeof(info), .index = VFIO_PCI_BAR0_REGION_INDEX,
	};
	const __u32 flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
			    VFIO_REGION_INFO_FLAG_MMAP;

	if (ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &info) || info.size != PAGE ||
	    (info.flags & flags) != flags)
		return false;
	bar_offset = info.offset;
	bar = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, dev, info.offset);
	return bar != MAP_FAILED;
}

/* What VFIO itself reads and writes is all but the table. */
static bool table_is_left_out(void)
{
	const __u32 value = 0x12345678, before = *entry(0, PCI_MSIX_ENTRY_DATA);
	__u32 seen = 0;

	if (pwrite(dev, &value, 4, bar_offset + table + PCI_MSIX_ENTRY_DATA) != 4 ||
	    pread(dev, &seen, 4, bar_offset + table + PCI_MSIX_ENTRY_DATA) != 4 ||
	    seen != ~0U || *entry(0, PCI_MSIX_ENTRY_DATA) != before)
		return false;
	if (pwrite(dev, &value, 4, bar_offset + PAGE - 4) != 4 ||
	    pread(dev, &seen, 4, bar_offset + PAGE - 4) != 4)
		return false;
	return seen == value && *(volatile __u32 *)(bar + PAGE - 4) == value;
}

/* A command that does nothing is over, and asks for the interrupt. */
static void raise_vector(unsigned int vector)
{
	put(vsec + RVIOMMU_SIM_REG_COMMAND,
	    RVIOMMU_SIM_CMD_NOP | RVIOMMU_SIM_COMMAND_INTERRUPT | vector << 16);
	put(vsec + RVIOMMU_SIM_REG_DOORBELL, RVIOMMU_SIM_DOORBELL_GO);
	while (get(vsec + RVIOMMU_SIM_REG_DOORBELL) & RVIOMMU_SIM_DOORBELL_BUSY)
		usleep(100);
}

/* As msix_settle() of the suites: an interrupt of another vector is behind all that were sent. */
static bool settle(void)
{
	raise_vector(0);
	return interrupted(0) == 1;
}

/* The table has been read, for all that was raised. */
static bool sent(void)
{
	unsigned int i;

	for (i = 0; i < 100000 && pending(); i++)
		usleep(100);
	return !pending();
}

static bool all_silent(void)
{
	unsigned int i;

	for (i = 0; i < VECTORS; i++)
		if (!silent(i))
			return false;
	return true;
}

static bool each_arrives(void)
{
	unsigned int i;

	for (i = 0; i < VECTORS; i++) {
		raise_vector(i);
		if (interrupted(i) != 1 || !all_silent())
			return false;
	}
	return true;
}

static void masks(void)
{
	*entry(3, PCI_MSIX_ENTRY_VECTOR_CTRL) = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	raise_vector(3);
	raise_vector(3);
	expect(settle() && silent(3) && pending() == 1 << 3, "a vector that is masked is pending");
	*entry(3, PCI_MSIX_ENTRY_VECTOR_CTRL) = 0;
	expect(interrupted(3) == 1 && settle() && silent(3) && !pending(),
	       "and arrives once it is not masked any more");
}

/* Each message that is an interrupt of another function of the bus, if there is one */
static bool messages_of_others(__u32 own)
{
	const __u32 bus = own >> ID_SHIFT & ~(IDS - 1);
	__u32 id, vector;

	for (id = bus; id < bus + IDS; id++) {
		/* Its own are its own business. */
		if (id == own >> ID_SHIFT)
			continue;
		for (vector = 0; vector < VECTORS; vector++) {
			*entry(3, PCI_MSIX_ENTRY_DATA) = id << ID_SHIFT | vector;
			raise_vector(3);
			if (!sent())
				return false;
		}
		if (!settle() || !all_silent())
			return false;
	}
	return true;
}

static void messages(void)
{
	const __u32 lo = *entry(3, PCI_MSIX_ENTRY_LOWER_ADDR);
	const __u32 hi = *entry(3, PCI_MSIX_ENTRY_UPPER_ADDR);
	const __u32 data = *entry(3, PCI_MSIX_ENTRY_DATA);
	volatile __u32 *word = (volatile __u32 *)memory;

	expect(messages_of_others(data), "interrupts of other functions are not for it to raise");
	*word = 0;
	*entry(3, PCI_MSIX_ENTRY_DATA) = 0xabcd1234;
	*entry(3, PCI_MSIX_ENTRY_UPPER_ADDR) = IOVA >> 32;
	*entry(3, PCI_MSIX_ENTRY_LOWER_ADDR) = (__u32)IOVA;
	raise_vector(3);
	expect(settle() && *word == 0xabcd1234 && all_silent(),
	       "a message to elsewhere is a write to memory that is mapped");
	*entry(3, PCI_MSIX_ENTRY_LOWER_ADDR) = (__u32)IOVA + SIZE;
	raise_vector(3);
	expect(settle() && all_silent(), "or goes nowhere");
	*entry(3, PCI_MSIX_ENTRY_DATA) = data;
	*entry(3, PCI_MSIX_ENTRY_LOWER_ADDR) = lo;
	*entry(3, PCI_MSIX_ENTRY_UPPER_ADDR) = hi;
	expect(each_arrives(), "with its own message it arrives");
}

static bool off(void)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set), .index = irq_index,
		.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
	};

	return !ioctl(dev, VFIO_DEVICE_SET_IRQS, &set);
}

static int listen_only(int argc, char **argv)
{
	char c;

	if (!take_function(argc, argv))
		return 2;
	expect(find_memory() && find_table() && each_arrives(), "the eventfd of each vector fires");
	expect(all_silent(), "it listens");
	while (read(0, &c, 1) > 0)
		;
	expect(all_silent(), "nobody has raised an interrupt of it");
	return 0;
}

int main(int argc, char **argv)
{
	struct vfio_irq_info info = {
		.argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX,
	};

	irq_index = VFIO_PCI_MSIX_IRQ_INDEX;
	if (argc > 1 && !strcmp(argv[1], "listen"))
		return listen_only(argc - 2, argv + 2);
	if (!take_function(argc - 1, argv + 1))
		return 2;
	expect(!ioctl(dev, VFIO_DEVICE_GET_IRQ_INFO, &info) && info.count == VECTORS,
	       "it has MSI-X vectors");
	expect(find_memory() && find_table(), "it has memory, with their table in it");
	expect(table_is_left_out(), "VFIO leaves the table alone, and nothing else");
	expect(each_arrives(), "the eventfd of each vector fires");
	masks();
	messages();
	expect(!ioctl(dev, VFIO_DEVICE_RESET) && master(), "the function goes through an FLR");
	expect(!*(volatile __u32 *)(bar + PAGE - 4), "its memory is clear");
	expect(each_arrives(), "the eventfd of each vector fires");
	expect(off(), "no MSI-X any more");
	raise_vector(3);
	expect(all_silent() && !pending(), "and none arrives");
	irq_index = VFIO_PCI_MSI_IRQ_INDEX;
	expect(interrupts() && each_arrives(), "the eventfd of each MSI vector fires");
	return 0;
}
