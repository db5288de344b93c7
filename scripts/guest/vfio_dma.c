// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio_dma [SEED] type1 GROUP FUNCTION, vfio_dma [SEED] cdev CDEV: what a program does with a
 * simulated PCI function that it has by VFIO, and with nothing else: it maps memory, has the
 * function work by its registers (Documentation/endpoint.rst), and waits for its interrupts. Prints
 * each step; exit status 0 if all was as it should be. Two at once get
 * different SEEDs, thousands apart: neither takes the other's bytes for its own.
 */
#include "vfio_function.h"

#define LG2	4

/* Of all patterns */
static __u64 seed;

static void commands(void)
{
	const __u32 irq = RVIOMMU_SIM_COMMAND_INTERRUPT;
	struct rviommu_sim_descriptor d;
	unsigned int vector;
	bool good = true;

	for (vector = 0; vector < VECTORS; vector++) {
		d = command(RVIOMMU_SIM_CMD_NOP | irq | vector << 16, 0, 0, 0);
		good = good && run(&d) == RVIOMMU_SIM_STATUS_OK;
	}
	expect(good, "a command is over, and its interrupt arrives, by each vector");
	expect(quick(RVIOMMU_SIM_CMD_FILL, IOVA, PAGE, seed + 1) == RVIOMMU_SIM_STATUS_OK &&
	       holds(memory, PAGE, seed + 1), "DMA lands in the program's memory");
	expect(quick(RVIOMMU_SIM_CMD_COPY, IOVA + PAGE, PAGE, 0) == RVIOMMU_SIM_STATUS_OK &&
	       holds(memory + PAGE, PAGE, seed + 1), "it is copied");
	expect(quick(RVIOMMU_SIM_CMD_VERIFY, IOVA + PAGE, PAGE, seed + 1) == RVIOMMU_SIM_STATUS_OK,
	       "it is found right");
	memory[PAGE + 100] ^= 0x80;
	d = command(RVIOMMU_SIM_CMD_VERIFY | irq, IOVA + PAGE, PAGE, seed + 1);
	expect(run(&d) == RVIOMMU_SIM_STATUS_MISMATCH && d.done == 100,
	       "a wrong byte is found, with an interrupt");
	memset(memory, 0, 8);
	d = command(RVIOMMU_SIM_CMD_FETCH_ADD | irq, IOVA, 8, 42);
	expect(run(&d) == RVIOMMU_SIM_STATUS_OK && !d.result && memory[0] == 42,
	       "a number is added");
	d = command(RVIOMMU_SIM_CMD_FILL | irq | 3 << 16, IOVA + SIZE, 8, 1);
	expect(run(&d) == RVIOMMU_SIM_STATUS_FAULT && !d.done,
	       "DMA beside the mapping is refused, with an interrupt");
	expect(quick(0xff, IOVA, 8, 1) == RVIOMMU_SIM_STATUS_INVALID,
	       "what is no command is refused");
}

/* Where the commands of the ring wrote, from the first of these pages on */
static bool ring_holds(unsigned int first)
{
	unsigned int i;

	for (i = first; i < 10; i++)
		if (!holds(memory + i * PAGE, PAGE, seed + 100 + i))
			return false;
	return true;
}

static void ring(void)
{
	struct rviommu_sim_descriptor *d = (void *)(memory + SIZE - PAGE);
	const off_t at = vsec + RVIOMMU_SIM_REG_RING(1);
	unsigned int i;
	bool good = true;

	put(at + RVIOMMU_SIM_RING_BASE_LO, IOVA + SIZE - PAGE);
	put(at + RVIOMMU_SIM_RING_BASE_HI, 0);
	put(at + RVIOMMU_SIM_RING_CONTROL, RVIOMMU_SIM_RING_ENABLE | LG2 << 8);
	for (i = 0; i < 10; i++)
		d[i] = command(RVIOMMU_SIM_CMD_FILL, IOVA + i * PAGE, PAGE, seed + 100 + i);
	d[9].command |= RVIOMMU_SIM_COMMAND_INTERRUPT | 2 << 16;
	put(at + RVIOMMU_SIM_RING_TAIL, 10);
	expect(interrupted(2) == 1 && get(at + RVIOMMU_SIM_RING_HEAD) == 10,
	       "commands in memory are carried out");
	for (i = 0; i < 10; i++)
		good = good && d[i].status == RVIOMMU_SIM_STATUS_OK;
	expect(good && ring_holds(0), "each of them");
}

static void reset(void)
{
	expect(!ioctl(dev, VFIO_DEVICE_RESET), "the function goes through an FLR");
	expect(!get(vsec + RVIOMMU_SIM_REG_COMMAND + 8) &&
	       !get(vsec + RVIOMMU_SIM_REG_RING(1)), "the registers are clear");
	expect(master(), "the function may master the bus");
	expect(quick(RVIOMMU_SIM_CMD_FILL, IOVA, PAGE, seed + 7) == RVIOMMU_SIM_STATUS_OK &&
	       holds(memory, PAGE, seed + 7), "DMA and interrupt work as before");
	expect(ring_holds(1), "and nothing has arrived elsewhere");
}

int main(int argc, char **argv)
{
	bool quiet = true;
	unsigned int i;

	if (argc > 1 && *argv[1] >= '0' && *argv[1] <= '9') {
		seed = strtoull(argv[1], NULL, 0);
		argc--;
		argv++;
	}
	if (!take_function(argc - 1, argv + 1))
		return 2;
	commands();
	ring();
	reset();
	expect(unmap_at(IOVA, SIZE), "unmapped");
	expect(quick(RVIOMMU_SIM_CMD_FILL, IOVA, PAGE, seed + 8) == RVIOMMU_SIM_STATUS_FAULT &&
	       holds(memory, PAGE, seed + 7), "DMA is refused at once");
	for (i = 0; i < VECTORS; i++)
		quiet = quiet && silent(i);
	expect(quiet, "no interrupt too many");
	/* The rest is the kernel's to take away, a command that is under way included. */
	expect(map_at(IOVA, memory, SIZE), "left behind with memory mapped");
	return 0;
}
