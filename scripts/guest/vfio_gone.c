// SPDX-License-Identifier: GPL-2.0-only
/*
 * vfio_gone CDEV DMA DEVICE_ID GROUPS gone|kept COMMAND [AFTER]
 * vfio_gone CDEV DMA DEVICE_ID GROUPS killed
 * A program in user space has a simulated PCI function whose page requests it does not answer: of
 * two that it has read one, of one that it has not, of half a group. Meanwhile COMMAND takes the
 * function away. "gone": pulled out, so the function does nothing any more from that moment on;
 * "kept": it is in service until the program lets go of it. "killed": the program is, instead.
 * Prints each step; exit status 0 if all was as it should be.
 *
 * AFTER is carried out when COMMAND is over: the function is gone, and whatever COMMAND takes away
 * with it, while the program still has the page table that it was attached to. It has to be as good
 * as before.
 *
 * GROUPS is the function's "page_requests" in the driver's debugfs. Who lets the function do DMA,
 * and who carries the command out, are processes of their own, from before the function was opened:
 * they do not keep it open.
 */
#include <signal.h>
#include <sys/wait.h>

#include "vfio_paging.h"

/* A Page Request Group Index that the function does not use by itself */
#define INDEX	500

/**
 * struct helper - a process that waits to be told
 * @pid: the process
 * @go: a byte written here tells it
 */
struct helper {
	pid_t pid;
	int go;
};

/* In the helper, once it was told: the status that it ends with */
static int dma_page(const void *page)
{
	const struct job *job = page;

	return dma_fill(job->pasid, IOVA + job->page * PAGE, PAGE, job->seed);
}

static int carry_out(const void *command)
{
	return execl("/bin/sh", "sh", "-c", command, (char *)NULL);
}

static void prepare(struct helper *helper, int (*act)(const void *arg), const void *arg)
{
	int ends[2];
	char byte;

	if (pipe(ends)) {
		printf("not ok: a pipe\n");
		exit(1);
	}
	helper->go = ends[1];
	helper->pid = fork();
	if (helper->pid)
		return;
	close(ends[1]);
	_exit(read(ends[0], &byte, 1) == 1 ? act(arg) : 0);
}

static void go(struct helper *helper)
{
	if (write(helper->go, "", 1) != 1)
		expect(false, "a helper is told");
}

/* Wait for it: its status, or -1 */
static int finish(struct helper *helper)
{
	int status;

	if (waitpid(helper->pid, &status, 0) != helper->pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* Without telling it what is none of its business: where the function's files are */
static void say(const char *file, const char *text)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%.*s/%s", (int)(strrchr(dma_file, '/') - dma_file), dma_file,
		 file);
	fd = open(path, O_WRONLY);
	expect(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), text);
	close(fd);
}

/* How many groups does the driver have in that state? */
static unsigned int groups(const char *file, const char *state)
{
	unsigned int nr = 0;
	char line[256];
	FILE *f = fopen(file, "r");

	while (f && fgets(line, sizeof(line), f))
		nr += !strncmp(line, "group ", 6) && strstr(line, state);
	if (f)
		fclose(f);
	return nr;
}

/* For as long as it may take; the program's own time is bounded. */
static void await_groups(const char *file, const char *state, unsigned int nr)
{
	while (groups(file, state) != nr)
		usleep(100000);
}

/* An eventfd that says that the kernel wants the function back */
static int wanted_back(void)
{
	int fd = eventfd(0, 0);
	union {
		struct vfio_irq_set set;
		char room[sizeof(struct vfio_irq_set) + sizeof(fd)];
	} irqs = {
		.set = {
			.argsz = sizeof(irqs), .index = VFIO_PCI_REQ_IRQ_INDEX, .count = 1,
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		},
	};

	memcpy(irqs.set.data, &fd, sizeof(fd));
	expect(fd >= 0 && !ioctl(dev, VFIO_DEVICE_SET_IRQS, &irqs),
	       "it will hear when the function is to go");
	return fd;
}

static bool refused(int status)
{
	return status == EFAULT || status == EIO || status == ENODEV;
}

/* All that iommufd knows of a page that is mapped is in the page table. */
static bool unmap_page(struct space *s, unsigned int page)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap), .ioas_id = s->ioas, .iova = IOVA + page * PAGE,
		.length = PAGE,
	};

	return !ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap) && unmap.length == PAGE;
}

/* Nobody is attached to it any more, and who has made it has no IOMMU: it is used all the same. */
static void use_table(struct space *s)
{
	struct iommu_destroy gone = { .size = sizeof(gone), .id = s->hwpt };
	unsigned int i;
	bool good = true;

	for (i = 0; i < PAGES; i++)
		good = good && (i == 9 ||
				!map_page(s->ioas, IOVA + i * PAGE, s->memory + i * PAGE));
	expect(good, "pages are mapped where none are yet");
	for (i = 0; i < PAGES; i += 2)
		good = good && unmap_page(s, i);
	expect(good && unmap_page(s, 9) && holds(s->memory + 9 * PAGE, PAGE, 2),
	       "some are unmapped, that of the function, too, and the bytes are there");
	expect(!ioctl(iommufd, IOMMU_DESTROY, &gone), "the page table is destroyed");
}

int main(int argc, char **argv)
{
	const struct job page[3] = {
		{ .pasid = PASID, .page = 8, .seed = 1 }, { .pasid = PASID, .page = 9, .seed = 2 },
		{ .pasid = NONE, .page = 10, .seed = 3 },
	};
	struct helper ending, after, dma[3];
	struct iommu_hwpt_pgfault fault[2];
	struct space s;
	unsigned int i;
	char half[64];
	bool gone;
	int back;

	if (argc < 6 || argc > 8)
		return 2;
	gone = !strcmp(argv[5], "gone");
	alarm(PATIENCE);
	dma_file = argv[2];
	device_id = argv[3];
	prepare(&ending, carry_out, argv[6]);
	if (argc == 8)
		prepare(&after, carry_out, argv[7]);
	for (i = 0; i < 3; i++)
		prepare(&dma[i], dma_page, &page[i]);
	take_device(argv + 1);
	expect(master(), "the function may master the bus");
	back = wanted_back();
	make_queue();
	make_space(&s);
	expect(!attach(NONE, s.hwpt) && !attach(PASID, s.hwpt), "attached, with PASID and without");

	for (i = 0; i < 2; i++) {
		go(&dma[i]);
		expect(asked() && take(&fault[i], 1) == 1 && is_for(&fault[i], PASID, 8 + i, true),
		       "a request that is read");
	}
	go(&dma[2]);
	expect(asked(), "one that is not");
	snprintf(half, sizeof(half), "%s %u w %u %#llx", device_id, PASID, INDEX, IOVA);
	say("page_request", half);
	await_groups(argv[4], "handed_on", 3);
	await_groups(argv[4], "assembling", 1);
	printf("ok: and half a group\n");
	if (argc == 6)
		kill(getpid(), SIGKILL);

	go(&ending);
	expect(comes(back), "the kernel wants the function back");
	if (gone) {
		for (i = 0; i < 3; i++)
			expect(finish(&dma[i]) == ENODEV, "a DMA has ended with it");
		expect(!answer(fault[1].cookie, IOMMUFD_PAGE_RESP_SUCCESS),
		       "a response to nobody is taken");
	} else {
		expect(!serve(&s, &fault[1]) &&
		       !answer(fault[1].cookie, IOMMUFD_PAGE_RESP_SUCCESS) && !finish(&dma[1]) &&
		       holds(s.memory + 9 * PAGE, PAGE, 2), "until it has it, it is served");
	}
	close(dev);
	expect(answer(fault[0].cookie, IOMMUFD_PAGE_RESP_SUCCESS) == EINVAL,
	       "there is nothing left to respond to");
	if (!gone)
		expect(refused(finish(&dma[0])) && refused(finish(&dma[2])),
		       "the DMA that has waited is refused");
	expect(finish(&ending) == 0, "and the function is taken away");
	if (argc < 8)
		return 0;
	go(&after);
	expect(finish(&after) == 0, "the page table is still there");
	use_table(&s);
	return 0;
}
