// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio_sriov type1 GROUP FUNCTION type1 GROUP FUNCTION: two processes have a simulated function
 * each, virtual functions of one and the same, by VFIO. Whatever one does, the other has its own
 * memory at the same addresses, and its own registers. Prints each step; exit status 0 if all
 * was as it should be.
 */
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "vfio_function.h"

static int other;

/* Both have come so far. */
static void together(void)
{
	char c = 0;

	if (write(other, &c, 1) != 1 || read(other, &c, 1) != 1)
		expect(false, "the other one has come so far");
}

static bool fill(__u64 iova, __u64 seed)
{
	return quick(RVIOMMU_SIM_CMD_FILL, iova, PAGE, seed) == RVIOMMU_SIM_STATUS_OK;
}

/* What the first one loses and begins anew, the second one keeps. */
static void first(void)
{
	expect(unmap_at(IOVA, SIZE) &&
	       quick(RVIOMMU_SIM_CMD_FILL, IOVA, PAGE, 20) == RVIOMMU_SIM_STATUS_FAULT,
	       "first: it has no memory there any more");
	together();
	together();
	expect(!ioctl(dev, VFIO_DEVICE_RESET) && !get(vsec + RVIOMMU_SIM_REG_COMMAND + 8),
	       "first: the function goes through an FLR, and its registers are clear");
	together();
	together();
	expect(map_at(IOVA, memory, SIZE) && master() && fill(IOVA, 21) && holds(memory, PAGE, 21),
	       "first: it works again");
}

static void second(void)
{
	together();
	expect(fill(IOVA, 30) && holds(memory, PAGE, 30), "second: it has its memory there still");
	together();
	together();
	expect(get(vsec + RVIOMMU_SIM_REG_COMMAND + 8) == IOVA &&
	       get(PCI_COMMAND) & PCI_COMMAND_MASTER, "second: its registers are as they were");
	expect(fill(IOVA, 31) && holds(memory, PAGE, 31), "second: it works as before");
	together();
}

static int one(int argc, char **argv, bool is_first)
{
	const __u64 seed = is_first ? 10 : 11;

	if (!take_function(argc, argv))
		return 2;
	together();
	expect(fill(IOVA, seed) && fill(IOVA + PAGE, seed + 2), "DMA of each");
	together();
	expect(holds(memory, PAGE, seed) && holds(memory + PAGE, PAGE, seed + 2),
	       "each has its own bytes, at the same addresses");
	together();
	if (is_first)
		first();
	else
		second();
	together();
	return 0;
}

int main(int argc, char **argv)
{
	int ends[2], status;
	pid_t child;

	if (argc != 7 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		return 2;
	child = fork();
	if (child < 0)
		return 2;
	other = ends[!child];
	/* Whoever waits for one that has failed does not wait for ever. */
	close(ends[!!child]);
	if (!child)
		return one(3, argv + 4, false);
	status = one(3, argv + 1, true);
	if (waitpid(child, &ends[0], 0) != child || !WIFEXITED(ends[0]))
		return 1;
	return status ?: WEXITSTATUS(ends[0]);
}
