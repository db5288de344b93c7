// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio_fault CDEV DMA DEVICE_ID: a program in user space that pages the memory of a simulated PCI
 * function on demand, by iommufd's fault queue: with PASID and without, right, wrong, late and
 * not at all. The function's DMA goes by its registers, and ends with an interrupt; what goes on
 * beside that, by debugfs. Prints each step; exit status 0 if all was as it should be.
 *
 * The function waits for a response for an hour, which is longer than this may run. So a wait that
 * ends was ended by the kernel, and how long that takes is not looked at.
 */
#include "vfio_paging.h"

static void one_page(struct space *s, __u32 pasid)
{
	struct iommu_hwpt_pgfault fault;
	struct job job;

	begin(&job, pasid, 0, 1);
	expect(asked() && take(&fault, 1) == 1 && is_for(&fault, pasid, 0, true),
	       "a DMA asks for its page");
	expect(!serve(s, &fault) && !answer(fault.cookie, IOMMUFD_PAGE_RESP_SUCCESS),
	       "the page is mapped, and the device is told");
	expect(done(&job, s) && took(&job, 1), "it tries again, and the bytes are there");
	expect(silent(VECTOR), "one interrupt says so");
	begin(&job, pasid, 0, 1);
	expect(done(&job, s) && took(&job, 0), "nor does it ask another time");
}

static void group(struct space *s, __u32 pasid)
{
	struct iommu_hwpt_pgfault fault[4];
	struct job job;
	char byte;

	begin(&job, pasid, 1, 2);
	expect(asked() && take(fault, 1) == -EINVAL, "a group is not read in parts");
	expect(read(fault_fd, &byte, 1) < 0 && errno == ESPIPE, "nor a request");
	expect(take(fault, 4) == 2 && is_for(&fault[0], pasid, 1, false) &&
	       is_for(&fault[1], pasid, 2, true) && fault[0].cookie == fault[1].cookie &&
	       fault[0].grpid == fault[1].grpid, "two requests of one group");
	expect(!serve(s, &fault[0]) && !serve(s, &fault[1]) &&
	       !answer(fault[1].cookie, IOMMUFD_PAGE_RESP_SUCCESS), "both are served");
	expect(done(&job, s) && took(&job, 1), "the bytes are there");
}

/* Two groups that the program reads one by one, and answers in the other order */
static void two_groups(struct space *s, __u32 pasid)
{
	struct iommu_hwpt_pgfault fault[2];
	struct job job[2];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		(i ? begin_by_file : begin)(&job[i], pasid, 4 + i, 1);
		expect(asked() && take(&fault[i], 1) == 1 && is_for(&fault[i], pasid, 4 + i, true),
		       "a group while another one is not answered");
	}
	expect(fault[0].cookie != fault[1].cookie, "they can be told apart");
	expect(!serve(s, &fault[1]) && !answer(fault[1].cookie, IOMMUFD_PAGE_RESP_SUCCESS) &&
	       done(&job[1], s), "the second one is served");
	expect(!serve(s, &fault[0]) && !answer(fault[0].cookie, IOMMUFD_PAGE_RESP_SUCCESS) &&
	       done(&job[0], s), "and then the first");
}

static void wrong_answers(__u32 pasid)
{
	struct iommu_hwpt_pgfault fault;
	struct job job;

	begin(&job, pasid, 6, 1);
	expect(asked() && take(&fault, 1) == 1, "a DMA asks");
	expect(answer(fault.cookie, 2) == EINVAL, "a code that does not exist");
	expect(answer(fault.cookie + 1, IOMMUFD_PAGE_RESP_SUCCESS) == EINVAL,
	       "a response to nothing");
	expect(!answer(fault.cookie, IOMMUFD_PAGE_RESP_INVALID), "the page is not to be had");
	expect(answer(fault.cookie, IOMMUFD_PAGE_RESP_SUCCESS) == EINVAL, "that was the response");
	expect(end(&job) == EFAULT, "the DMA is refused");
}

/* Success for a page that is not mapped: the device asks again. */
static void lies(struct space *s, __u32 pasid)
{
	struct iommu_hwpt_pgfault fault;
	struct job job;

	begin(&job, pasid, 7, 1);
	expect(asked() && take(&fault, 1) == 1 && !answer(fault.cookie, IOMMUFD_PAGE_RESP_SUCCESS),
	       "success, and nothing is mapped");
	expect(asked() && take(&fault, 1) == 1 && is_for(&fault, pasid, 7, true),
	       "the device asks again");
	expect(!serve(s, &fault) && !answer(fault.cookie, IOMMUFD_PAGE_RESP_SUCCESS) &&
	       done(&job, s) && took(&job, 2), "and is served then");
}

static int close_queue_and_detach(__u32 pasid)
{
	close(fault_fd);
	fault_fd = -1;
	return detach(pasid);
}

static int close_device(__u32 pasid)
{
	(void)pasid;
	close(fault_fd);
	fault_fd = -1;
	return close(dev);
}

/*
 * One request is read and one is not, and none is ever answered: what is taken away ends both. With
 * the device, the registers are, too.
 */
static void never(__u32 pasid, int (*take_away)(__u32 pasid), const char *what)
{
	struct iommu_hwpt_pgfault fault;
	struct job job[2];
	int ret;

	(take_away == close_device ? begin_by_file : begin)(&job[0], pasid, 8, 1);
	expect(asked() && take(&fault, 1) == 1, "a request that is read");
	begin_by_file(&job[1], pasid, 9, 1);
	expect(asked(), "and one that is not");
	expect(!take_away(pasid), what);
	ret = end(&job[0]);
	expect(ret == EFAULT || ret == EIO, "the first DMA is refused");
	ret = end(&job[1]);
	expect(ret == EFAULT || ret == EIO, "and so is the other");
	expect(fault_fd < 0 || answer(fault.cookie, IOMMUFD_PAGE_RESP_SUCCESS) == EINVAL,
	       "there is nothing left to respond to");
}

/*
 * What is outstanding when another page table comes is not that one's, and the kernel says no to it
 * in the name of who had it. The device asks again.
 */
static void replaced(struct space *from, struct space *to, __u32 pasid)
{
	struct iommu_hwpt_pgfault fault;
	struct job job;
	int ret;

	begin(&job, pasid, 10, 1);
	expect(asked() && take(&fault, 1) == 1, "a DMA asks");
	expect(!attach(pasid, to->hwpt), "another page table");
	ret = answer(fault.cookie, IOMMUFD_PAGE_RESP_SUCCESS);
	expect(ret == EINVAL, "what was outstanding is over");
	expect(asked() && take(&fault, 1) == 1 && !serve(to, &fault) &&
	       !answer(fault.cookie, IOMMUFD_PAGE_RESP_SUCCESS) && done(&job, to),
	       "and the new one is asked for it");
	expect(!holds(from->memory + 10 * PAGE, PAGE, job.seed), "and has the bytes");
}

/* All of it, on a device that has nothing attached, before and after */
static void all(__u32 pasid)
{
	struct space s[2];

	make_queue();
	make_space(&s[0]);
	make_space(&s[1]);
	expect(!attach(pasid, s[0].hwpt), "attached");
	one_page(&s[0], pasid);
	group(&s[0], pasid);
	two_groups(&s[0], pasid);
	wrong_answers(pasid);
	lies(&s[0], pasid);
	replaced(&s[0], &s[1], pasid);
	never(pasid, detach, "detached");
	expect(!attach(pasid, s[0].hwpt), "attached again");
	never(pasid, close_queue_and_detach, "its queue is closed, and it is detached");
}

int main(int argc, char **argv)
{
	struct space s;

	if (argc != 4)
		return 2;
	alarm(PATIENCE);
	take_device(argv + 1);
	expect(interrupts(), "an eventfd for each interrupt");
	expect(master(), "the function may master the bus");
	printf("without PASID\n");
	all(NONE);
	printf("with PASID\n");
	all(PASID);
	printf("the device closes\n");
	make_queue();
	make_space(&s);
	expect(!attach(NONE, s.hwpt) && !attach(PASID, s.hwpt), "attached for both");
	never(PASID, close_device, "queue and device are closed");
	return 0;
}
