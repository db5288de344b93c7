// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs: what the files say, and that they say it while everything changes.
 *
 * The files are opened and read as a process would read them, through a mount of
 * debugfs that is the tests' own.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/mount.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/uio.h>

#include "../src/driver/attachment.h"
#include "../src/driver/cmdq.h"
#include "../src/driver/debugfs.h"
#include "../src/driver/debugfs_domain.h"
#include "../src/driver/debugfs_walk.h"
#include "../src/driver/directory.h"
#include "../src/driver/domain.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/mem.h"
#include "../src/driver/mutate.h"
#include "../src/driver/pgtable.h"
#include "../src/driver/prg.h"
#include "../src/driver/pri.h"
#include "../src/driver/queue.h"
#include "../src/driver/record.h"
#include "../src/driver/rviommu.h"
#include "../src/driver/static.h"
#include "prgtest.h"
#include "testdev.h"

#define TEXT_SIZE	SZ_64K
#define ROUNDS		300

/**
 * struct debugfs_fixture - one IOMMU with one device, and nothing real
 * @mnt: mount of debugfs
 * @bus: registers that read as 0
 * @iommu: in debugfs as "kunit-debugfs"
 * @ep: in debugfs as "kunit-device"
 * @shown: what the device's requester IDs use
 * @process: what two of its PASIDs use
 * @done: what its command queue calls done
 * @text: the file read last
 */
struct debugfs_fixture {
	struct vfsmount *mnt;
	struct rviommu_bus bus;
	struct rviommu iommu;
	struct rviommu_endpoint *ep;
	struct rviommu_attachment shown;
	struct rviommu_attachment process[2];
	__le32 done;
	char *text;
};

/* The device's requester IDs use @domain, as far as debugfs knows. */
static void show(struct debugfs_fixture *f, struct iommu_domain *domain)
{
	WRITE_ONCE(f->shown.domain, domain);
	rcu_assign_pointer(f->ep->attached, &f->shown);
}

/* So does @pasid, by one of two attachments. */
static void show_pasid(struct kunit *test, u32 pasid, unsigned int which,
		       struct iommu_domain *domain)
{
	struct debugfs_fixture *f = test->priv;

	WRITE_ONCE(f->process[which].domain, domain);
	KUNIT_ASSERT_FALSE(test, xa_is_err(xa_store(&f->ep->pasids, pasid, &f->process[which],
						    GFP_KERNEL)));
}

static u32 zero_read32(struct rviommu_bus *bus, unsigned int offset)
{
	return 0;
}

static const struct rviommu_bus_ops zero_ops = {
	.read32 = zero_read32,
};

static const struct rviommu_ddt_ops ddt_ops = {
	.store = rviommu_ddt_store,
};

static int debugfs_test_init(struct kunit *test)
{
	struct debugfs_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	struct file_system_type *type;
	struct rviommu *iommu;

	KUNIT_ASSERT_NOT_NULL(test, f);
	test->priv = f;
	f->text = kunit_kzalloc(test, TEXT_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->text);
	type = get_fs_type("debugfs");
	KUNIT_ASSERT_NOT_NULL(test, type);
	f->mnt = kern_mount(type);
	module_put(type->owner);
	if (IS_ERR(f->mnt)) {
		f->mnt = NULL;
		KUNIT_FAIL_AND_ABORT(test, "cannot mount debugfs");
	}

	iommu = &f->iommu;
	f->bus.ops = &zero_ops;
	f->bus.name = "kunit-debugfs";
	iommu->bus = &f->bus;
	iommu->caps = 0x10 | RVIOMMU_CAP_SV39 | RVIOMMU_CAP_SV48 | RVIOMMU_CAP_SV48X4;
	iommu->pas_lg2 = 56;
	iommu->nid = NUMA_NO_NODE;
	iommu->cmdq.done = &f->done;
	iommu->cmdq.q.name = "cq";
	iommu->faultq.q.name = "fq";
	mutex_init(&iommu->endpoints_lock);
	INIT_LIST_HEAD(&iommu->endpoints);
	KUNIT_ASSERT_EQ(test, rviommu_ddt_init(&iommu->ddt, &ddt_ops, 3, false, 56, NUMA_NO_NODE),
			0);
	rviommu_debugfs_add(iommu);

	f->ep = kunit_kzalloc(test, struct_size(f->ep, ids, 1), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->ep);
	f->ep->iommu = iommu;
	f->ep->nr_ids = 1;
	f->ep->ids[0] = 0x123;
	strscpy(f->ep->name, "kunit-device");
	spin_lock_init(&f->ep->fault_lock);
	xa_init(&f->ep->pasids);
	list_add(&f->ep->node, &iommu->endpoints);
	rviommu_debugfs_add_endpoint(f->ep);
	return 0;
}

static void debugfs_test_exit(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;

	if (!f)
		return;
	if (f->ep) {
		rviommu_debugfs_remove_endpoint(f->ep);
		xa_destroy(&f->ep->pasids);
	}
	rviommu_debugfs_remove(&f->iommu);
	if (f->iommu.ddt.dir.root)
		rviommu_ddt_destroy(&f->iommu.ddt);
	if (f->mnt)
		kern_unmount(f->mnt);
}

/* To be closed with __fput_sync(): fput() leaves it to a worker, who may starve. */
static struct file *open_file(struct kunit *test, struct dentry *dir, const char *name)
{
	struct debugfs_fixture *f = test->priv;
	struct path path = { .mnt = f->mnt };
	struct file *file;

	path.dentry = debugfs_lookup(name, dir);
	KUNIT_ASSERT_NOT_NULL_MSG(test, path.dentry, "%s", name);
	file = dentry_open(&path, O_RDONLY, current_cred());
	dput(path.dentry);
	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(file), "%s", name);
	return file;
}

/* One read() of at most @size bytes at the file's position. */
static ssize_t read_piece(struct file *file, char *buf, size_t size)
{
	struct kvec vec = { .iov_base = buf, .iov_len = size };
	struct iov_iter iter;
	struct kiocb kiocb;
	ssize_t ret;

	ret = debugfs_file_get(file->f_path.dentry);
	if (ret)
		return ret;
	init_sync_kiocb(&kiocb, file);
	kiocb.ki_pos = file->f_pos;
	iov_iter_kvec(&iter, ITER_DEST, &vec, 1, size);
	ret = seq_read_iter(&kiocb, &iter);
	file->f_pos = kiocb.ki_pos;
	debugfs_file_put(file->f_path.dentry);
	return ret;
}

/* The rest of a file, by reads of @piece bytes. */
static const char *read_rest(struct kunit *test, struct file *file, size_t piece)
{
	struct debugfs_fixture *f = test->priv;
	size_t length = 0;
	ssize_t ret;

	do {
		ret = read_piece(file, f->text + length, min(piece, TEXT_SIZE - 1 - length));
		KUNIT_ASSERT_GE(test, ret, 0);
		length += ret;
	} while (ret && length < TEXT_SIZE - 1);
	f->text[length] = '\0';
	return f->text;
}

static const char *read_file(struct kunit *test, struct dentry *dir, const char *name,
			     size_t piece)
{
	struct file *file = open_file(test, dir, name);
	const char *text = read_rest(test, file, piece);

	__fput_sync(file);
	return text;
}

static struct rviommu_domain *make_domain(struct kunit *test, bool second_stage)
{
	struct debugfs_fixture *f = test->priv;
	struct rviommu_domain *dom = rviommu_domain_create(&f->iommu, second_stage);

	KUNIT_ASSERT_FALSE(test, IS_ERR(dom));
	return dom;
}

static void free_domain(struct rviommu_domain *dom)
{
	dom->space.domain.ops->free(&dom->space.domain);
}

static void map(struct kunit *test, struct rviommu_domain *dom, u64 iova, u64 pa, size_t pgsize,
		size_t count, int prot)
{
	size_t mapped = 0;

	KUNIT_ASSERT_EQ(test, rviommu_pgtable_map(&dom->pt, iova, pa, pgsize, count, prot,
						  GFP_KERNEL, &mapped), 0);
	KUNIT_ASSERT_EQ(test, mapped, pgsize * count);
}

static void unmap(struct kunit *test, struct rviommu_domain *dom, u64 iova, size_t pgsize,
		  size_t count)
{
	struct rviommu_unmapped out = { .tables = LIST_HEAD_INIT(out.tables) };

	KUNIT_ASSERT_EQ(test, rviommu_pgtable_unmap(&dom->pt, iova, pgsize, count, &out),
			pgsize * count);
	rviommu_page_retire(&out.tables);
}

/* The lines of a page table dump, read by pieces of that size. */
static const char *dump(struct kunit *test, size_t piece)
{
	struct debugfs_fixture *f = test->priv;
	const char *text = read_file(test, f->ep->debugfs, "domain", piece);
	const char *lines = strstr(text, "# iova");

	return lines ? strchr(lines, '\n') + 1 : text;
}

#define RO	(IOMMU_READ | IOMMU_NOEXEC)
#define RW	(IOMMU_READ | IOMMU_WRITE | IOMMU_NOEXEC)

static const char run_lines[] =
	"0x0000000000000000-0x0000000000002fff 0x0000000080000000 3 x 4K rw-u-ad- pma\n"
	"0x0000000000003000-0x0000000000004fff 0x0000000080003000 2 x 4K r--u-a-- pma\n"
	"0x0000000000005000-0x0000000000005fff 0x0000000090005000 1 x 4K r--u-a-- pma\n"
	"0x0000000000007000-0x0000000000007fff 0x0000000090007000 1 x 4K r--u-a-- pma\n"
	"0x00000000001ff000-0x0000000000200fff 0x00000000a0000000 2 x 4K rw-u-ad- pma\n"
	"0x0000000000210000-0x000000000022ffff 0x00000000b0000000 2 x 64K rw-u-adn pma\n"
	"0x0000000000400000-0x00000000009fffff 0x00000000c0000000 3 x 2M rw-u-ad- pma\n"
	"0x0000000000a00000-0x0000000000a00fff 0x00000000c0600000 1 x 4K rw-u-ad- pma\n"
	"0x0000000040000000-0x000000007fffffff 0x0000000100000000 1 x 1G rw-u-ad- pma\n"
	"0x00007ffffffff000-0x00007fffffffffff 0x00000000d0000000 1 x 4K rw-u-ad- pma\n"
	"0xffff800000000000-0xffff800000000fff 0x00000000d0001000 1 x 4K rw-u-ad- pma\n"
	"0xfffffffffffff000-0xffffffffffffffff 0x00000000e0000000 1 x 4K rw-u-ad- pma\n";

/* Leaves side by side are one line if they are alike, and only then. */
static void test_runs(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	struct rviommu_domain *dom = make_domain(test, false);

	map(test, dom, 0, 0x80000000, SZ_4K, 3, RW);
	map(test, dom, 0x3000, 0x80003000, SZ_4K, 1, RO);
	map(test, dom, 0x4000, 0x80004000, SZ_4K, 1, RO);
	/* elsewhere in memory */
	map(test, dom, 0x5000, 0x90005000, SZ_4K, 1, RO);
	/* a hole */
	map(test, dom, 0x7000, 0x90007000, SZ_4K, 1, RO);
	/* across tables */
	map(test, dom, SZ_2M - SZ_4K, 0xa0000000, SZ_4K, 2, RW);
	/* another size, first elsewhere in memory, then side by side */
	map(test, dom, SZ_2M + SZ_64K, 0xb0000000, SZ_64K, 2, RW);
	map(test, dom, SZ_4M, 0xc0000000, SZ_2M, 3, RW);
	map(test, dom, SZ_8M + SZ_2M, 0xc0600000, SZ_4K, 1, RW);
	map(test, dom, SZ_1G, 0x100000000, SZ_1G, 1, RW);
	/* the ends of the lower and the upper half */
	map(test, dom, 0x00007ffffffff000, 0xd0000000, SZ_4K, 1, RW);
	map(test, dom, 0xffff800000000000, 0xd0001000, SZ_4K, 1, RW);
	map(test, dom, 0xfffffffffffff000, 0xe0000000, SZ_4K, 1, RW);

	show(f, &dom->space.domain);
	KUNIT_EXPECT_STREQ(test, dump(test, TEXT_SIZE), run_lines);
	show(f, NULL);
	free_domain(dom);
}

static const char long_run_lines[] =
	"0x0000000040000000-0x000000007fffffff 0x0000000040000000 262144 x 4K rw-u-ad- pma\n"
	"0x0000000080000000-0x0000000080004fff 0x0000000080000000 5 x 4K rw-u-ad- pma\n";

/* A run has a limited length; what is too long goes on in the next line. */
static void test_long_run(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	struct rviommu_domain *dom = make_domain(test, false);
	struct rviommu_run run;

	map(test, dom, SZ_1G, SZ_1G, SZ_4K, RVIOMMU_RUN_LEAVES + 5, RW);
	KUNIT_ASSERT_TRUE(test, rviommu_run_next(&dom->pt, 0, &run));
	KUNIT_EXPECT_EQ(test, run.iova, SZ_1G);
	KUNIT_EXPECT_EQ(test, run.leaves, RVIOMMU_RUN_LEAVES);
	KUNIT_ASSERT_TRUE(test, rviommu_run_next(&dom->pt, run.last + 1, &run));
	KUNIT_EXPECT_EQ(test, run.iova, SZ_1G + RVIOMMU_RUN_LEAVES * SZ_4K);
	KUNIT_EXPECT_EQ(test, run.leaves, 5);
	KUNIT_EXPECT_FALSE(test, rviommu_run_next(&dom->pt, run.last + 1, &run));

	show(f, &dom->space.domain);
	KUNIT_EXPECT_STREQ(test, dump(test, TEXT_SIZE), long_run_lines);
	show(f, NULL);
	free_domain(dom);
}

/* However it is read, a table that does not change gives the same text. */
static void test_pieces(struct kunit *test)
{
	static const size_t pieces[] = { 1, 7, 80, 81, 4095, 4096, TEXT_SIZE };
	struct debugfs_fixture *f = test->priv;
	struct rviommu_domain *dom = make_domain(test, true);
	unsigned int i, lines = 500;
	const char *text;

	/* Every second page, so that none joins another. */
	for (i = 0; i < lines; i++)
		map(test, dom, (u64)i * SZ_8K, (u64)i * SZ_8K, SZ_4K, 1, RW);
	show(f, &dom->space.domain);
	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		unsigned int n = 0;
		char line[96];

		text = dump(test, pieces[i]);
		for (n = 0; n < lines; n++) {
			u64 iova = (u64)n * SZ_8K;
			int length = scnprintf(line, sizeof(line),
					       "%#018llx-%#018llx %#018llx 1 x 4K rw-u-ad- pma\n",
					       iova, iova + SZ_4K - 1, iova);

			if (strncmp(text, line, length))
				break;
			text += length;
		}
		KUNIT_EXPECT_EQ_MSG(test, n, lines, "pieces of %zu", pieces[i]);
		KUNIT_EXPECT_STREQ(test, text, "");
	}
	show(f, NULL);
	free_domain(dom);
}

static const char left_lines[] =
	"0x0000000040000000-0x000000007fffffff 0x00000000c0000000 1 x 1G rw-u-ad- pma\n";

static const char moved_on[] = "# the device was attached to another domain, end\n";

/* What changes between two pieces: the table, the domain, all of it. */
static void test_change_between_pieces(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	struct rviommu_domain *dom = make_domain(test, false), *other;
	struct file *file;
	unsigned int i;

	for (i = 0; i < 200; i++)
		map(test, dom, (u64)i * SZ_8K, 0x80000000, SZ_4K, 1, RW);

	/* The table: goes on behind what was shown. */
	show(f, &dom->space.domain);
	file = open_file(test, f->ep->debugfs, "domain");
	KUNIT_ASSERT_GT(test, read_piece(file, f->text, TEXT_SIZE), 0);
	KUNIT_ASSERT_GT(test, read_piece(file, f->text, TEXT_SIZE), 0);
	KUNIT_EXPECT_EQ(test, strncmp(f->text, "0x0000000000000000-", 19), 0);
	for (i = 0; i < 200; i++)
		unmap(test, dom, (u64)i * SZ_8K, SZ_4K, 1);
	map(test, dom, SZ_4K, 0x90000000, SZ_4K, 1, RW);
	map(test, dom, SZ_1G, 0xc0000000, SZ_1G, 1, RW);
	KUNIT_EXPECT_STREQ(test, read_rest(test, file, TEXT_SIZE), left_lines);
	__fput_sync(file);

	/* The domain: freed, and another one attached. */
	file = open_file(test, f->ep->debugfs, "domain");
	KUNIT_ASSERT_GT(test, read_piece(file, f->text, TEXT_SIZE), 0);
	show(f, NULL);
	free_domain(dom);
	other = make_domain(test, false);
	map(test, other, 0, 0x80000000, SZ_4K, 1, RW);
	show(f, &other->space.domain);
	other->id += 1000;
	KUNIT_EXPECT_STREQ(test, read_rest(test, file, TEXT_SIZE), moved_on);
	other->id -= 1000;
	__fput_sync(file);

	/* The same address with another number is another domain. */
	file = open_file(test, f->ep->debugfs, "domain");
	KUNIT_ASSERT_GT(test, read_piece(file, f->text, TEXT_SIZE), 0);
	other->id += 1000;
	KUNIT_EXPECT_STREQ(test, read_rest(test, file, TEXT_SIZE), moved_on);
	other->id -= 1000;
	__fput_sync(file);

	/* Nothing. */
	file = open_file(test, f->ep->debugfs, "domain");
	KUNIT_ASSERT_GT(test, read_piece(file, f->text, TEXT_SIZE), 0);
	show(f, &rviommu_identity_domain);
	free_domain(other);
	KUNIT_EXPECT_STREQ(test, read_rest(test, file, TEXT_SIZE), moved_on);
	__fput_sync(file);
}

/* Domains that are not paging, and a pointer that is no domain any more. */
static void test_other_domains(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	struct dentry *dir = f->ep->debugfs;
	struct rviommu_domain *dom;

	KUNIT_EXPECT_STREQ(test, read_file(test, dir, "domain", TEXT_SIZE), "type none\n");
	show(f, &rviommu_identity_domain);
	KUNIT_EXPECT_STREQ(test, read_file(test, dir, "domain", TEXT_SIZE), "type identity\n");
	show(f, &rviommu_blocking_domain);
	KUNIT_EXPECT_STREQ(test, read_file(test, dir, "domain", TEXT_SIZE), "type blocking\n");

	dom = make_domain(test, false);
	show(f, &dom->space.domain);
	free_domain(dom);
	KUNIT_EXPECT_STREQ(test, read_file(test, dir, "domain", TEXT_SIZE), "type none\n");
	show(f, NULL);
}

static void test_domain_head(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	struct rviommu_domain *dom = make_domain(test, true);
	struct rviommu_attachment *a;
	const char *text;
	char want[32];

	a = testdev_link(test, &f->iommu, &dom->space);
	show(f, &dom->space.domain);
	text = read_file(test, f->ep->debugfs, "domain", TEXT_SIZE);
	snprintf(want, sizeof(want), "domain %u\n", dom->id);
	KUNIT_EXPECT_EQ(test, strncmp(text, want, strlen(want)), 0);
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, "\ntype unmanaged\n"));
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, "\nstage second\n"));
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, "\nmode sv48x4\n"));
	snprintf(want, sizeof(want), "\ngscid %u\n", dom->space.gscid);
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, want));
	KUNIT_EXPECT_NULL(test, strstr(text, "pscid"));
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, "\nattached_on kunit-debugfs 1\n"));
	show(f, NULL);
	testdev_unlink(a);
	free_domain(dom);
}

/* --- the same of PASIDs ------------------------------------------------- */

/* Whose domain an open file shows from now on; the error, if that is nobody. */
static int ask_dump(struct file *file, const char *question)
{
	char text[48];
	int ret;

	strscpy(text, question);
	ret = rviommu_dump_ask(file->private_data, text);
	if (!ret)
		file->f_pos = 0;
	return ret;
}

static const char *dump_of(struct kunit *test, struct file *file, const char *question)
{
	KUNIT_ASSERT_EQ_MSG(test, ask_dump(file, question), 0, "%s", question);
	return read_rest(test, file, TEXT_SIZE);
}

/* That is what it says first, and this is its page table. */
static void expect_dump(struct kunit *test, struct file *file, const char *question,
			const struct rviommu_domain *dom, const char *lines)
{
	const char *text = dump_of(test, file, question);
	char want[48];

	snprintf(want, sizeof(want), "pasid %s\ndomain %u\n", question, dom->id);
	KUNIT_EXPECT_EQ_MSG(test, strncmp(text, want, strlen(want)), 0, "%s", text);
	text = strstr(text, "# iova");
	KUNIT_ASSERT_NOT_NULL(test, text);
	KUNIT_EXPECT_STREQ(test, strchr(text, '\n') + 1, lines);
}

static const char pasid_lines[] =
	"0x0000000000001000-0x0000000000002fff 0x0000000090000000 2 x 4K r--u-a-- pma\n";

/* The device has one domain, its PASIDs have others, none, or one that is gone. */
static void test_pasid_domain(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	struct rviommu_domain *dom = make_domain(test, false), *own = make_domain(test, true);
	struct file *file = open_file(test, f->ep->debugfs, "pasid_domain");
	char *same = kunit_kzalloc(test, TEXT_SIZE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, same);
	map(test, own, 0, 0x80000000, SZ_4K, 3, RW);
	map(test, dom, SZ_4K, 0x90000000, SZ_4K, 2, RO);
	show(f, &own->space.domain);
	show_pasid(test, 5, 0, &dom->space.domain);
	show_pasid(test, 0xfffff, 1, &rviommu_identity_domain);

	/* Nobody has asked, and nobody hears of it who has not. */
	KUNIT_EXPECT_EQ(test, read_piece(file, f->text, TEXT_SIZE), -ENODATA);
	expect_dump(test, file, "5", dom, pasid_lines);
	KUNIT_EXPECT_STREQ(test, dump_of(test, file, " 0xfffff\n"),
			   "pasid 1048575\ntype identity\n");
	KUNIT_EXPECT_STREQ(test, dump_of(test, file, "6"), "pasid 6\ntype none\n");
	show_pasid(test, 6, 1, (struct iommu_domain *)test);
	KUNIT_EXPECT_STREQ(test, dump_of(test, file, "6"), "pasid 6\ntype none\n");
	show_pasid(test, 6, 1, &own->space.domain);
	expect_dump(test, file, "6", own,
		    "0x0000000000000000-0x0000000000002fff 0x0000000080000000 3 x 4K rw-u-ad- pma\n");
	expect_dump(test, file, "5", dom, pasid_lines);

	/* Without a PASID it is what the other file says. */
	strscpy(same, dump_of(test, file, "none"), TEXT_SIZE);
	KUNIT_EXPECT_NULL(test, strstr(same, "pasid "));
	KUNIT_EXPECT_NOT_NULL(test, strstr(same, "\n0x0000000000000000-0x0000000000002fff "));
	KUNIT_EXPECT_STREQ(test, read_file(test, f->ep->debugfs, "domain", TEXT_SIZE), same);
	__fput_sync(file);
	show(f, NULL);
	free_domain(own);
	free_domain(dom);
}

/* What is no PASID is refused, and changes nothing. */
static void test_pasid_question(struct kunit *test)
{
	static const struct {
		const char *text;
		int ret;
	} wrong[] = {
		{ "", -EINVAL }, { " ", -EINVAL }, { "x", -EINVAL }, { "0x", -EINVAL },
		{ "5 6", -EINVAL }, { "5x", -EINVAL }, { "-1", -EINVAL }, { "None", -EINVAL },
		{ "none 5", -EINVAL }, { "0", -ERANGE }, { "0x100000", -ERANGE },
		{ "4294967295", -ERANGE }, { "0x100000005", -ERANGE },
	};
	struct debugfs_fixture *f = test->priv;
	struct file *file = open_file(test, f->ep->debugfs, "pasid_domain");
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		KUNIT_EXPECT_EQ_MSG(test, ask_dump(file, wrong[i].text), wrong[i].ret, "'%s'",
				    wrong[i].text);
	KUNIT_EXPECT_EQ(test, read_piece(file, f->text, TEXT_SIZE), -ENODATA);

	KUNIT_EXPECT_STREQ(test, dump_of(test, file, "1"), "pasid 1\ntype none\n");
	KUNIT_EXPECT_STREQ(test, dump_of(test, file, "0x10"), "pasid 16\ntype none\n");
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		KUNIT_EXPECT_NE_MSG(test, ask_dump(file, wrong[i].text), 0, "'%s'",
				    wrong[i].text);
	file->f_pos = 0;
	KUNIT_EXPECT_STREQ(test, read_rest(test, file, 7), "pasid 16\ntype none\n");
	__fput_sync(file);
}

/*
 * It begins with a line of a table in which every second page is mapped, to @pa and what is
 * behind it. All such lines are as long as LINE.
 */
#define LINE	77

static void expect_line(struct kunit *test, const char *text, unsigned int i, u64 pa)
{
	char want[96];

	snprintf(want, sizeof(want), "%#018llx-%#018llx %#018llx 1 x 4K rw-u-ad- pma\n",
		 (u64)i * SZ_8K, (u64)i * SZ_8K + SZ_4K - 1, pa + (u64)i * SZ_8K);
	KUNIT_ASSERT_EQ(test, strlen(want), LINE);
	KUNIT_EXPECT_EQ_MSG(test, strncmp(text, want, LINE), 0, "%.77s", text);
}

/* So begins its page table. */
static void expect_first_line(struct kunit *test, const char *text, u64 pa)
{
	text = strstr(text, "\n0x");
	KUNIT_ASSERT_NOT_NULL(test, text);
	expect_line(test, text + 1, 0, pa);
}

#define TURNS	200	/* more lines than a piece has */

static void map_every_second(struct kunit *test, struct rviommu_domain *dom, u64 pa)
{
	unsigned int i;

	for (i = 0; i < TURNS; i++)
		map(test, dom, (u64)i * SZ_8K, pa + (u64)i * SZ_8K, SZ_4K, 1, RW);
}

/* Two read by turns, a line each, and neither learns what the other one asked for. */
static void test_pasid_readers(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	struct rviommu_domain *dom[2] = { make_domain(test, false), make_domain(test, false) };
	struct file *file[2];
	unsigned int i, n;

	for (i = 0; i < 2; i++) {
		map_every_second(test, dom[i], (i + 1) * (u64)SZ_1G);
		show_pasid(test, 5 + i, i, &dom[i]->space.domain);
		file[i] = open_file(test, f->ep->debugfs, "pasid_domain");
	}
	KUNIT_EXPECT_EQ(test, ask_dump(file[0], "5"), 0);
	KUNIT_EXPECT_EQ(test, read_piece(file[1], f->text, TEXT_SIZE), -ENODATA);
	KUNIT_EXPECT_EQ(test, ask_dump(file[1], "6"), 0);
	for (i = 0; i < 2; i++)
		KUNIT_ASSERT_GT(test, read_piece(file[i], f->text, TEXT_SIZE), 0);
	for (n = 0; n < TURNS; n++) {
		for (i = 0; i < 2; i++) {
			KUNIT_ASSERT_EQ(test, read_piece(file[i], f->text, LINE), LINE);
			expect_line(test, f->text, n, (i + 1) * (u64)SZ_1G);
		}
	}
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, read_piece(file[i], f->text, TEXT_SIZE), 0);
		__fput_sync(file[i]);
		free_domain(dom[i]);
	}
}

/* Opens it, asks for PASID 5, and reads the head and a piece of the table. */
static struct file *begin_pasid(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	struct file *file = open_file(test, f->ep->debugfs, "pasid_domain");
	ssize_t ret;

	KUNIT_ASSERT_EQ(test, ask_dump(file, "5"), 0);
	ret = read_piece(file, f->text, TEXT_SIZE - 1);
	KUNIT_ASSERT_GT(test, ret, 0);
	f->text[ret] = '\0';
	KUNIT_EXPECT_EQ(test, strncmp(f->text, "pasid 5\ndomain ", 15), 0);
	KUNIT_EXPECT_NULL(test, strstr(f->text, "\n0x"));
	KUNIT_ASSERT_GT(test, read_piece(file, f->text, TEXT_SIZE), 0);
	expect_line(test, f->text, 0, SZ_1G);
	return file;
}

/* What changes between two pieces: the PASID's domain, the device's, what is asked for. */
static void test_pasid_between_pieces(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	struct rviommu_domain *dom = make_domain(test, false), *other = make_domain(test, false);
	struct file *file;

	map_every_second(test, dom, SZ_1G);
	map_every_second(test, other, 2 * (u64)SZ_1G);
	show(f, &dom->space.domain);
	show_pasid(test, 5, 0, &dom->space.domain);

	/* The device's alone: goes on to the end. */
	file = begin_pasid(test);
	show(f, &other->space.domain);
	KUNIT_EXPECT_NULL(test, strstr(read_rest(test, file, TEXT_SIZE), moved_on));
	KUNIT_EXPECT_NOT_NULL(test, strstr(f->text, "\n0x000000000018e000-"));
	__fput_sync(file);

	/* The PASID's alone */
	file = begin_pasid(test);
	show(f, &dom->space.domain);
	show_pasid(test, 5, 0, &other->space.domain);
	KUNIT_EXPECT_STREQ(test, read_rest(test, file, TEXT_SIZE), moved_on);
	__fput_sync(file);

	/* It is detached. */
	show_pasid(test, 5, 0, &dom->space.domain);
	file = begin_pasid(test);
	xa_erase(&f->ep->pasids, 5);
	KUNIT_EXPECT_STREQ(test, read_rest(test, file, TEXT_SIZE), moved_on);
	__fput_sync(file);

	/* Another question in the middle of an answer: from the beginning, and back. */
	show_pasid(test, 5, 0, &dom->space.domain);
	show_pasid(test, 6, 1, &other->space.domain);
	file = begin_pasid(test);
	dump_of(test, file, "6");
	KUNIT_EXPECT_EQ(test, strncmp(f->text, "pasid 6\ndomain ", 15), 0);
	KUNIT_EXPECT_NOT_NULL(test, strstr(f->text, "\n0x000000000018e000-"));
	KUNIT_EXPECT_NULL(test, strstr(f->text, moved_on));
	expect_first_line(test, f->text, 2 * (u64)SZ_1G);
	expect_first_line(test, dump_of(test, file, "5"), SZ_1G);
	/* And without a new beginning it has ended, for who reads beside the one who asks. */
	KUNIT_EXPECT_EQ(test, ask_dump(file, "5"), 0);
	KUNIT_ASSERT_GT(test, read_piece(file, f->text, TEXT_SIZE), 0);
	KUNIT_EXPECT_EQ(test, rviommu_dump_ask(file->private_data, (char []){ "6" }), 0);
	KUNIT_EXPECT_EQ(test, read_piece(file, f->text, TEXT_SIZE), 0);
	__fput_sync(file);

	/* It is freed. */
	show(f, NULL);
	file = begin_pasid(test);
	free_domain(dom);
	KUNIT_EXPECT_STREQ(test, read_rest(test, file, TEXT_SIZE), moved_on);
	__fput_sync(file);
	free_domain(other);
}

/* --- the other files ---------------------------------------------------- */

static const char no_context[] =
	"device_id 0x000123\n"
	"tc 0x0000000000000000\n"
	"iohgatp 0x0000000000000000 bare\n"
	"ta 0x0000000000000000 pscid 0\n"
	"fsc 0x0000000000000000 iosatp bare\n";

static const char context_lines[] =
	"device_id 0x000123\n"
	"tc 0x0000000000000011 V DTF\n"
	"iohgatp 0x8000500000012345 sv39x4 gscid 5 root 0x12345000\n"
	"ta 0x0000000000007000 pscid 7\n"
	"fsc 0x9000000000080001 iosatp sv48 root 0x80001000\n";

static void test_context(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	struct rviommu_ddt *ddt = &f->iommu.ddt;
	struct rviommu_dir_update update = { .id = 0x123 };

	KUNIT_EXPECT_STREQ(test, read_file(test, f->ep->debugfs, "context", TEXT_SIZE), no_context);

	update.new.word[RVIOMMU_DC_TC] = RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_DTF;
	update.new.word[RVIOMMU_DC_IOHGATP] = 0x8000500000012345;
	update.new.word[RVIOMMU_DC_TA] = 0x7000;
	update.new.word[RVIOMMU_DC_FSC] = 0x9000000000080001;
	mutex_lock(&ddt->lock);
	KUNIT_EXPECT_EQ(test, rviommu_dir_prepare(&ddt->dir, &update, 1), 0);
	rviommu_dir_publish(&ddt->dir, &update, 1);
	rviommu_dir_retire(&ddt->dir, &update, 1);
	mutex_unlock(&ddt->lock);
	KUNIT_EXPECT_STREQ(test, read_file(test, f->ep->debugfs, "context", TEXT_SIZE),
			   context_lines);
}

static const char *show_text(struct kunit *test, struct seq_file *m)
{
	KUNIT_ASSERT_FALSE(test, seq_has_overflowed(m));
	m->buf[m->count] = '\0';
	return m->buf;
}

static const char extended_lines[] =
	"tc 0x0000000000000fff V EN_ATS EN_PRI T2GPA DTF PDTV PRPR GADE SADE DPE SBE SXL\n"
	"iohgatp 0x0000000000000000 bare\n"
	"ta 0x0000000000000000 pscid 0\n"
	"fsc 0x3000000000000042 pdtp pd20 root 0x42000\n"
	"msiptp 0x1000000000000077\n"
	"msi_addr_mask 0x000000000000000f\n"
	"msi_addr_pattern 0x0000000000028000\n"
	"reserved 0x0000000000000000\n";

/* Every bit of tc by its name, a process directory, and the extended words. */
static void test_extended_context(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	struct seq_file m = { .buf = f->text, .size = TEXT_SIZE };
	struct rviommu_dc dc = { .word = {
		0xfff, 0, 0, 0x3000000000000042, 0x1000000000000077, 0xf, 0x28000, 0,
	} };

	rviommu_show_dc(&m, &dc, RVIOMMU_DC_WORDS_EXT);
	KUNIT_EXPECT_STREQ(test, show_text(test, &m), extended_lines);
}

/* As the one writer there is: a process context. */
static void set_process(struct kunit *test, struct rviommu_pdt *pdt, u32 pid, u64 ta, u64 fsc)
{
	struct debugfs_fixture *f = test->priv;
	struct rviommu_ddt *ddt = &f->iommu.ddt;
	struct rviommu_dir_update update = { .id = pid, .new = { .word = { ta, fsc } } };

	guard(mutex)(&ddt->lock);
	KUNIT_ASSERT_EQ(test, rviommu_dir_prepare(&pdt->dir, &update, 1), 0);
	rviommu_dir_publish(&pdt->dir, &update, 1);
	rviommu_dir_retire(&pdt->dir, &update, 1);
}

static const char process_lines[] =
	"process_id 0x00000\n"
	"domain identity\n"
	"ta 0x0000000000000001 V pscid 0\n"
	"fsc 0x0000000000000000 iosatp bare\n"
	"\n"
	"process_id 0x00005\n"
	"domain %u\n"
	"ta 0x0000000000007007 V ENS SUM pscid 7\n"
	"fsc 0x9000000000080001 iosatp sv48 root 0x80001000\n"
	"\n"
	"process_id 0x1ffff\n"
	"domain none\n"
	"ta 0x0000000000000000 pscid 0\n"
	"fsc 0x0000000000000000 iosatp bare\n"
	"\n";

/* One reader, one line at a time; the last process is just being attached. */
static void test_processes(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	struct rviommu_ddt *ddt = &f->iommu.ddt;
	struct rviommu_dir_update update = { .id = 0x123 };
	struct dentry *dir = f->ep->debugfs;
	struct rviommu_domain *dom = make_domain(test, false);
	struct rviommu_pdt pdt;
	char want[512];

	KUNIT_EXPECT_STREQ(test, read_file(test, dir, "processes", TEXT_SIZE), "");

	KUNIT_ASSERT_EQ(test, rviommu_pdt_init(&pdt, ddt, 2, 0x123, false), 0);
	set_process(test, &pdt, 5, 0x7007, 0x9000000000080001);
	show(f, &rviommu_identity_domain);
	set_process(test, &pdt, 0, RVIOMMU_PC_TA_V, 0);
	update.new.word[RVIOMMU_DC_TC] = RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_PDTV;
	update.new.word[RVIOMMU_DC_FSC] = rviommu_pdt_pdtp(2, pdt.dir.root);
	scoped_guard(mutex, &ddt->lock) {
		KUNIT_EXPECT_EQ(test, rviommu_dir_prepare(&ddt->dir, &update, 1), 0);
		rviommu_dir_publish(&ddt->dir, &update, 1);
		rviommu_dir_retire(&ddt->dir, &update, 1);
	}
	pdt.dir.live = true;
	show_pasid(test, 5, 0, &dom->space.domain);
	/* One that is gone */
	show_pasid(test, 0x1ffff, 1, (struct iommu_domain *)test);
	snprintf(want, sizeof(want), process_lines, dom->id);
	KUNIT_EXPECT_STREQ(test, read_file(test, dir, "processes", TEXT_SIZE), want);
	KUNIT_EXPECT_STREQ(test, read_file(test, dir, "processes", 16), want);

	/* Blocked without a PASID: 5 is the first that is there. */
	set_process(test, &pdt, 0, 0, 0);
	show(f, &rviommu_blocking_domain);
	KUNIT_EXPECT_STREQ(test, read_file(test, dir, "processes", TEXT_SIZE),
			   strstr(want, "process_id 0x00005"));
	xa_destroy(&f->ep->pasids);
	KUNIT_EXPECT_STREQ(test, read_file(test, dir, "processes", TEXT_SIZE), "");

	show(f, NULL);
	free_domain(dom);
	rviommu_dir_destroy(&pdt.dir);
}

/* What is asked of an open file, and the answer. */
static const char *ask(struct kunit *test, struct file *file, const char *question)
{
	char text[48];

	strscpy(text, question);
	KUNIT_ASSERT_EQ_MSG(test, rviommu_walk_ask(file->private_data, text), 0, "%s", question);
	file->f_pos = 0;
	return read_rest(test, file, TEXT_SIZE);
}

static void expect_answer(struct kunit *test, struct file *file, const char *question,
			  const char *part)
{
	const char *answer = ask(test, file, question);

	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(answer, part), "'%s': %s\nhas no\n%s", question,
				  answer, part);
}

/* Where a link leads to: the PPN of page tables and of directories is at the same place. */
static u64 *linked(u64 entry)
{
	return phys_to_virt((entry << 10 >> 20) << 12);
}

/* Lines of the links of @table for the indices of @index, those of the lower levels behind. */
static int want_links(char *want, size_t size, const char *name, u64 **table,
		      unsigned int level, const unsigned int *index)
{
	int length = 0;

	for (; level; level--, index++) {
		u64 entry = (*table)[*index];

		length += scnprintf(want + length, size - length,
				    "%s level %u table %#llx index %u entry %#018llx link\n", name,
				    level, (u64)virt_to_phys(*table), *index, entry);
		*table = linked(entry);
	}
	return length;
}

/* Each table on the way, with the leaf at its end and without, and a process on the way. */
static void test_walk(struct kunit *test)
{
	static const unsigned int leaf_index[] = { 511, 1, 3, 5 }, did_index[] = { 0, 2, 0x23 };
	struct debugfs_fixture *f = test->priv;
	struct rviommu_ddt *ddt = &f->iommu.ddt;
	struct rviommu_domain *dom = make_domain(test, false), *guest = make_domain(test, true);
	struct rviommu_dir_update update = { .id = 0x123 };
	struct rviommu_pdt pdt;
	u64 *directory = ddt->dir.root, *processes, *table = dom->pt.root, pc;
	struct file *file = open_file(test, f->ep->debugfs, "walk");
	char want[1536];
	int n;

	KUNIT_ASSERT_EQ(test, dom->pt.cfg.levels, 4);
	map(test, dom, 0xffffff8040605000, 0x80123000, SZ_4K, 1, RO);
	map(test, guest, SZ_2M, 0xc0000000, SZ_2M, 1, RW);
	KUNIT_ASSERT_EQ(test, rviommu_pdt_init(&pdt, ddt, 2, 0x123, false), 0);
	set_process(test, &pdt, 0x105, 0x7007, 0x9000000000080001);
	update.new.word[RVIOMMU_DC_TC] = RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_PDTV;
	update.new.word[RVIOMMU_DC_FSC] = rviommu_pdt_pdtp(2, pdt.dir.root);
	scoped_guard(mutex, &ddt->lock) {
		KUNIT_EXPECT_EQ(test, rviommu_dir_prepare(&ddt->dir, &update, 1), 0);
		rviommu_dir_publish(&ddt->dir, &update, 1);
		rviommu_dir_retire(&ddt->dir, &update, 1);
	}
	pdt.dir.live = true;
	show_pasid(test, 0x105, 0, &dom->space.domain);
	show(f, &guest->space.domain);

	/* Nobody has asked. */
	KUNIT_EXPECT_EQ(test, read_piece(file, f->text, TEXT_SIZE), -ENODATA);

	/* A device_id has 7, 9 and 8 bits, a process_id 9 and 8. */
	processes = pdt.dir.root;
	pc = linked(processes[1])[2 * 5];
	n = snprintf(want, sizeof(want),
		     "iova 0xffffff8040605678\npasid 261\ndevice_id 0x000123\n");
	n += want_links(want + n, sizeof(want) - n, "device_directory", &directory, 2,
			did_index);
	n += snprintf(want + n, sizeof(want) - n,
		      "device_directory level 0 table %#llx index %u entry %#018llx context\n"
		      "process_id 0x00105\n", (u64)virt_to_phys(directory), did_index[2],
		      update.new.word[0]);
	n += want_links(want + n, sizeof(want) - n, "process_directory", &processes, 1,
			(unsigned int[]){ 1 });
	n += snprintf(want + n, sizeof(want) - n,
		      "process_directory level 0 table %#llx index 5 entry %#018llx context\n"
		      "domain %u\nmode sv48\n", (u64)virt_to_phys(processes), pc, dom->id);
	n += want_links(want + n, sizeof(want) - n, "page_table", &table, 3, leaf_index);
	snprintf(want + n, sizeof(want) - n,
		 "page_table level 0 table %#llx index 5 entry %#018llx leaf\n"
		 "leaf 4K r--u-a-- pma\nphysical 0x0000000080123678\nresult mapped\n",
		 (u64)virt_to_phys(table), table[5]);
	KUNIT_EXPECT_EQ(test, pc, 0x7007);
	KUNIT_EXPECT_STREQ(test, ask(test, file, " 0xffffff8040605678 0x105\n"), want);

	/* The page beside it, and one far from it: the first invalid entry is the last. */
	expect_answer(test, file, "0xffffff8040606000 261",
		      "index 6 entry 0x0000000000000000 invalid\nresult not_mapped\n");
	expect_answer(test, file, "0 261",
		      "index 0 entry 0x0000000000000000 invalid\nresult not_mapped\n");
	KUNIT_EXPECT_NULL(test, strstr(f->text, "page_table level 2"));
	expect_answer(test, file, "0x1000000000000 261", "\nmode sv48\nresult no_such_address\n");
	/* No process there, and nothing attached. */
	expect_answer(test, file, "0 0x106", "\nprocess_directory level 1 ");
	expect_answer(test, file, "0 0x106", " index 6 entry 0x0000000000000000 invalid\n"
		      "domain none\nresult blocked\n");
	/* Without a PASID: a leaf higher up, of the second stage */
	expect_answer(test, file, "0x201234", " leaf\nleaf 2M rw-u-ad- pma\n"
		      "physical 0x00000000c0001234\nresult mapped\n");
	KUNIT_EXPECT_NOT_NULL(test, strstr(f->text, "\npasid none\n"));
	KUNIT_EXPECT_NOT_NULL(test, strstr(f->text, "\npage_table level 1 "));
	show(f, &rviommu_identity_domain);
	expect_answer(test, file, "0x1234 none", "domain identity\n"
		      "physical 0x0000000000001234\nresult mapped\n");
	show(f, &rviommu_blocking_domain);
	expect_answer(test, file, "0x1234", "domain blocking\nresult blocked\n");
	/* A domain that is gone is not followed. */
	show(f, (struct iommu_domain *)test);
	expect_answer(test, file, "0x1234", "domain none\nresult blocked\n");

	__fput_sync(file);
	show(f, NULL);
	free_domain(dom);
	free_domain(guest);
	rviommu_dir_destroy(&pdt.dir);
}

/* What is no question is refused, and changes nothing. */
static void test_walk_question(struct kunit *test)
{
	static const char * const wrong[] = {
		"", " ", "x", "0x", "-1", "0x10000000000000000", "0 0", "0 0x100000", "0 -1", "0 x",
		"0 1 2", "none", "0 none 1",
	};
	struct debugfs_fixture *f = test->priv;
	struct file *file = open_file(test, f->ep->debugfs, "walk");
	unsigned int i;
	char text[48];

	ask(test, file, "0x1234 0xfffff");
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		strscpy(text, wrong[i]);
		KUNIT_EXPECT_NE_MSG(test, rviommu_walk_ask(file->private_data, text), 0, "'%s'",
				    wrong[i]);
	}
	file->f_pos = 0;
	KUNIT_EXPECT_NOT_NULL(test, strstr(read_rest(test, file, 7),
					   "iova 0x0000000000001234\npasid 1048575\n"));
	__fput_sync(file);
}

static const char qemu_capabilities[] =
	"capabilities 0x00000078c2cf4f10\n"
	"version 1.0\n"
	"physical_address_bits 56\n"
	"interrupts MSI\n"
	"has Sv32 Sv39 Sv48 Sv57 Svrsw60t59b Sv32x4 Sv39x4 Sv48x4 Sv57x4 MSI_FLAT MSI_MRIF ATS HPM DBG PD8\n"
	"has_not Svpbmt AMO_MRIF AMO_HWAD T2GPA END PD17 PD20 QOSID NL S\n";

static const char all_capabilities[] =
	"capabilities 0xffffffffffffffff\n"
	"version 15.15\n"
	"physical_address_bits 63\n"
	"interrupts reserved\n"
	"has Sv32 Sv39 Sv48 Sv57 Svrsw60t59b Svpbmt Sv32x4 Sv39x4 Sv48x4 Sv57x4 AMO_MRIF MSI_FLAT MSI_MRIF AMO_HWAD ATS T2GPA END HPM DBG PD8 PD17 PD20 QOSID NL S\n"
	"has_not\n"
	"unknown_bits 0xfffff00000103000\n";

static void test_capabilities(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	struct seq_file m = { .buf = f->text, .size = TEXT_SIZE };

	rviommu_show_capabilities(&m, 0x78c2cf4f10);
	KUNIT_EXPECT_STREQ(test, show_text(test, &m), qemu_capabilities);

	m.count = 0;
	rviommu_show_capabilities(&m, U64_MAX);
	KUNIT_EXPECT_STREQ(test, show_text(test, &m), all_capabilities);
}

static void test_faults(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	char want[192];

	KUNIT_EXPECT_STREQ(test, read_file(test, f->ep->debugfs, "faults", TEXT_SIZE),
			   "faults 0\n");
	f->ep->last_fault = (struct rviommu_fault){
		.cause = 15, .ttyp = 3, .did = 0x123, .iotval = 0xdead000,
	};
	atomic64_set(&f->ep->faults, 2);
	snprintf(want, sizeof(want),
		 "faults 2\nlast_cause 15 %s\nlast_type 3 %s\nlast_device_id 0x000123\n"
		 "last_iotval 0x000000000dead000\nlast_iotval2 0x0000000000000000\n",
		 rviommu_fault_cause_name(15), rviommu_fault_ttyp_name(3));
	KUNIT_EXPECT_STREQ(test, read_file(test, f->ep->debugfs, "faults", TEXT_SIZE), want);
}

/* The value of a line "name value", or -1. */
static s64 counter(const char *text, const char *name)
{
	size_t length = strlen(name);
	s64 value;

	for (; text; text = strchr(text, '\n')) {
		text += *text == '\n';
		if (!strncmp(text, name, length) && sscanf(text + length, " %lld", &value) == 1)
			return value;
	}
	return -1;
}

/* All names that Documentation/debugfs.rst promises. */
static void test_counters(struct kunit *test)
{
	static const char * const names[] = {
		"commands", "fences", "waiters", "full", "illegal", "timeout", "memfault",
		"restarts", "away", "responses_again", "responses_unsent", "fault_records",
		"fault_overflows", "fault_memfaults", "fault_bad_index", "maps", "unmaps", "syncs",
		"flushes", "faults_kunit-device",
	};
	struct debugfs_fixture *f = test->priv;
	struct rviommu_domain *dom = make_domain(test, false);
	s64 before, counted;
	unsigned int i;

	atomic64_set(&f->ep->faults, 7);
	atomic64_set(&f->iommu.cmdq.events[RVIOMMU_CMDQ_FENCES], 9);
	read_file(test, f->iommu.debugfs, "counters", TEXT_SIZE);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		KUNIT_EXPECT_GE_MSG(test, counter(f->text, names[i]), 0, "%s", names[i]);
	KUNIT_EXPECT_EQ(test, counter(f->text, "fences"), 9);
	KUNIT_EXPECT_EQ(test, counter(f->text, "faults_kunit-device"), 7);

	before = counter(f->text, "flushes");
	for (i = 0; i < 5; i++)
		dom->space.domain.ops->flush_iotlb_all(&dom->space.domain);
	counted = counter(read_file(test, f->iommu.debugfs, "counters", TEXT_SIZE), "flushes");
	KUNIT_EXPECT_EQ(test, counted, before + 5);
	/* A sum over all domains does not forget one that is gone. */
	free_domain(dom);
	KUNIT_EXPECT_EQ(test, counter(read_file(test, f->iommu.debugfs, "counters", TEXT_SIZE),
				      "flushes"), counted);
}

/* Registers of two queues, and of what they want */
static u32 queue_read32(struct rviommu_bus *bus, unsigned int offset)
{
	switch (offset) {
	case 0x20:
		return 5;	/* cqh */
	case 0x24:
		return 9;	/* cqt */
	case 0x48:
		return 0x10003;	/* cqcsr: on, enabled, with interrupts */
	case 0x30:
		return 2;	/* fqh */
	case 0x34:
		return 3;	/* fqt */
	case 0x4c:
		return 0x200;	/* fqcsr: overflow, off */
	case 0x54:
		return 2;	/* ipsr: fip */
	}
	return U32_MAX;
}

static void test_queues(struct kunit *test)
{
	static const struct rviommu_bus_ops queue_ops = { .read32 = queue_read32 };
	struct debugfs_fixture *f = test->priv;
	struct rviommu_cmdq *cq = &f->iommu.cmdq;
	struct rviommu_queue *fq = &f->iommu.faultq.q;

	f->bus.ops = &queue_ops;
	cq->q.entries_lg2 = 10;
	cq->q.reg_base = 0x18;
	cq->q.reg_csr = 0x48;
	cq->head = 4;
	cq->tail = 9;
	cq->issued = 12;
	cq->completed = 10;
	cq->restarts = 1;
	cq->dead = true;
	f->done = cpu_to_le32(11);
	fq->entries_lg2 = 9;
	fq->reg_base = 0x28;
	fq->reg_csr = 0x4c;
	f->iommu.dead = true;
	KUNIT_EXPECT_STREQ(test, read_file(test, f->iommu.debugfs, "queues", TEXT_SIZE),
			   "out_of_service yes\n"
			   "cq_entries 1024\ncq_on yes\ncq_csr 0x10003\ncq_head 5\ncq_tail 9\n"
			   "cq_dead yes\ncq_oldest_slot 4\ncq_next_slot 9\n"
			   "cq_fences_issued 12\ncq_fences_seen 10\ncq_fences_done 11\n"
			   "cq_restarts_in_a_row 1\n"
			   "fq_entries 512\nfq_on no\nfq_csr 0x200\nfq_head 2\nfq_tail 3\n"
			   "ipsr 0x2\n");
	f->bus.ops = &zero_ops;
}

static void test_mutation_names(struct kunit *test)
{
	enum rviommu_mutation mutate = RVIOMMU_NR_MUTATIONS;

	KUNIT_EXPECT_EQ(test, rviommu_parse_mutation("nonleaf", &mutate), 0);
	KUNIT_EXPECT_EQ(test, mutate, RVIOMMU_MUTATE_NONLEAF);
	KUNIT_EXPECT_EQ(test, rviommu_parse_mutation("iotinval", &mutate), 0);
	KUNIT_EXPECT_EQ(test, mutate, RVIOMMU_MUTATE_IOTINVAL);
	KUNIT_EXPECT_EQ(test, rviommu_parse_mutation("inval_ddt", &mutate), 0);
	KUNIT_EXPECT_EQ(test, mutate, RVIOMMU_MUTATE_INVAL_DDT);
	KUNIT_EXPECT_EQ(test, rviommu_parse_mutation("attach_iotinval", &mutate), 0);
	KUNIT_EXPECT_EQ(test, mutate, RVIOMMU_MUTATE_ATTACH_IOTINVAL);
	KUNIT_EXPECT_EQ(test, rviommu_parse_mutation("flush_all", &mutate), 0);
	KUNIT_EXPECT_EQ(test, mutate, RVIOMMU_MUTATE_FLUSH_ALL);
	KUNIT_EXPECT_EQ(test, rviommu_parse_mutation("flush", &mutate), -EINVAL);
	KUNIT_EXPECT_EQ(test, mutate, RVIOMMU_MUTATE_FLUSH_ALL);
	KUNIT_EXPECT_EQ(test, rviommu_parse_mutation("none", &mutate), 0);
	KUNIT_EXPECT_EQ(test, mutate, RVIOMMU_MUTATE_NOTHING);
	mutate = RVIOMMU_MUTATE_IOTINVAL;
	KUNIT_EXPECT_EQ(test, rviommu_parse_mutation("", &mutate), 0);
	KUNIT_EXPECT_EQ(test, mutate, RVIOMMU_MUTATE_NOTHING);
}

#if IS_ENABLED(CONFIG_IOMMU_IOPF)
#define PAGE_REQUESTS	8

static void exit_prgs(void *ep)
{
	struct rviommu_endpoint *endpoint = ep;

	rviommu_prgs_exit(&endpoint->pri.prgs);
}

/* The device can send page requests: it is shown anew. */
static void show_page_requests(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	struct rviommu_pri *pri = &f->ep->pri;

	KUNIT_ASSERT_EQ(test, rviommu_prgs_init(&pri->prgs, PAGE_REQUESTS), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, exit_prgs, f->ep), 0);
	pri->usable = true;
	pri->requests = PAGE_REQUESTS;
	rviommu_debugfs_remove_endpoint(f->ep);
	rviommu_debugfs_add_endpoint(f->ep);
}

/* A request comes; false if the device has too many. */
static bool page_request(struct rviommu_endpoint *ep, u32 pasid, u16 index, bool last)
{
	const struct rviommu_page_message message = {
		.pid = pasid, .pv = pasid, .index = index, .read = true, .last = last,
	};
	struct rviommu_prg *group;

	switch (rviommu_prgs_add(&ep->pri.prgs, &message, &group)) {
	case RVIOMMU_PRG_KEPT:
		return true;
	case RVIOMMU_PRG_COMPLETE:
		rviommu_prgs_hand_on(&ep->pri.prgs, group);
		return true;
	default:
		return false;
	}
}

/* The next line of a group is this one, whatever its age, and that is below an hour. */
static void expect_group(struct kunit *test, const char **text, const char *line)
{
	unsigned long long age;
	int found;

	*text = strstr(*text, "\ngroup ");
	KUNIT_ASSERT_NOT_NULL_MSG(test, *text, "%s", line);
	*text += 1;
	KUNIT_EXPECT_EQ_MSG(test, strncmp(*text, line, strlen(line)), 0, "%s", *text);
	found = sscanf(*text + strlen(line), "%llu", &age);
	KUNIT_ASSERT_EQ(test, found, 1);
	KUNIT_EXPECT_GE(test, age, 1000);
	KUNIT_EXPECT_LT(test, age, 3600ULL * USEC_PER_SEC);
}

static bool no_memory(void)
{
	return true;
}

static void test_page_requests(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	struct rviommu_page_message which;
	const char *text;
	struct file *file;

	KUNIT_EXPECT_NULL(test, debugfs_lookup("page_requests", f->ep->debugfs));
	show_page_requests(test);
	f->ep->pri.enabled = true;
	f->ep->pri.pasid = true;
	atomic64_set(&f->ep->pri.groups, 3);
	atomic64_set(&f->ep->pri.refused, 4);
	atomic64_set(&f->ep->pri.dropped, 5);
	atomic64_set(&f->ep->pri.again, 7);
	atomic64_set(&f->ep->pri.revived, 6);
	KUNIT_EXPECT_STREQ(test, read_file(test, f->ep->debugfs, "page_requests", TEXT_SIZE),
			   "enabled yes\nlimit 8\npasid_in_response yes\n"
			   "groups 3\nrefused 4\nagain 7\ndropped 5\nrevived 6\nopen 0\n");
	KUNIT_ASSERT_TRUE(test, page_request(f->ep, 7, 3, false));
	KUNIT_ASSERT_TRUE(test, page_request(f->ep, 5, 3, false));
	KUNIT_ASSERT_TRUE(test, page_request(f->ep, 0, 3, true));
	KUNIT_ASSERT_TRUE(test, page_request(f->ep, 5, 3, false));
	KUNIT_ASSERT_TRUE(test, page_request(f->ep, 5, 3, true));
	usleep_range(1000, 2000);
	text = read_file(test, f->ep->debugfs, "page_requests", TEXT_SIZE);
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, "\nopen 3\n"));
	expect_group(test, &text, "group pasid none index 3 handed_on requests 1 age_us ");
	expect_group(test, &text, "group pasid 5 index 3 handed_on requests 3 age_us ");
	expect_group(test, &text, "group pasid 7 index 3 assembling requests 1 age_us ");
	KUNIT_EXPECT_NULL(test, strstr(text, "\ngroup"));

	KUNIT_ASSERT_TRUE(test, prgtest_take(&f->ep->pri.prgs, 5, &which));
	KUNIT_EXPECT_NE(test, which.since, 0);
	text = read_file(test, f->ep->debugfs, "page_requests", TEXT_SIZE);
	expect_group(test, &text, "group pasid none index 3 handed_on requests 1 age_us ");
	expect_group(test, &text, "group pasid 7 index 3 assembling requests 1 age_us ");

	file = open_file(test, f->ep->debugfs, "page_requests");
	kunit_activate_static_stub(test, rviommu_alloc_fails, no_memory);
	KUNIT_EXPECT_EQ(test, read_piece(file, f->text, TEXT_SIZE), -ENOMEM);
	kunit_deactivate_static_stub(test, rviommu_alloc_fails);
	__fput_sync(file);
}
#endif

/* --- while everything changes ------------------------------------------- */

/* The files of a device that is gone are gone, also for those who hold them open. */
static void test_remove_while_open(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	struct rviommu_domain *dom = make_domain(test, false);
	struct file *files[4];
	unsigned int i;

	for (i = 0; i < 200; i++)
		map(test, dom, (u64)i * SZ_8K, 0x80000000, SZ_4K, 1, RW);
	show(f, &dom->space.domain);
	files[0] = open_file(test, f->ep->debugfs, "domain");
	files[1] = open_file(test, f->ep->debugfs, "context");
	files[2] = open_file(test, f->ep->debugfs, "faults");
	files[3] = open_file(test, f->ep->debugfs, "pasid_domain");
	KUNIT_ASSERT_EQ(test, ask_dump(files[3], "5"), 0);
	KUNIT_EXPECT_GT(test, read_piece(files[0], f->text, TEXT_SIZE), 0);
	KUNIT_EXPECT_GT(test, read_piece(files[0], f->text, TEXT_SIZE), 0);

	rviommu_debugfs_remove_endpoint(f->ep);
	list_del(&f->ep->node);
	kunit_kfree(test, f->ep);
	f->ep = NULL;
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		KUNIT_EXPECT_EQ(test, read_piece(files[i], f->text, TEXT_SIZE), -EIO);
		__fput_sync(files[i]);
	}
	free_domain(dom);
}

/**
 * struct churn - what goes on behind the back of readers
 * @f: the fixture
 * @done: all rounds are over
 * @failed: one of them could not be done
 */
struct churn {
	struct debugfs_fixture *f;
	bool done;
	bool failed;
};

/* Domains come and go, are attached, filled and emptied, as drivers would do it. */
static int churn(void *arg)
{
	struct churn *c = arg;
	unsigned int round, i;

	for (round = 0; round < ROUNDS; round++) {
		struct rviommu_domain *dom = rviommu_domain_create(&c->f->iommu, round & 1);
		struct rviommu_unmapped out = { .tables = LIST_HEAD_INIT(out.tables) };
		size_t mapped = 0;

		if (IS_ERR(dom)) {
			c->failed = true;
			break;
		}
		show(c->f, &dom->space.domain);
		WRITE_ONCE(c->f->process[0].domain, &dom->space.domain);
		for (i = 0; i < 64; i++)
			if (rviommu_pgtable_map(&dom->pt, (u64)i * SZ_8M, SZ_1G, SZ_4K, i + 1, RW,
						GFP_KERNEL, &mapped))
				c->failed = true;
		/* All tables at once, while someone may be in them. */
		rviommu_pgtable_unmap(&dom->pt, 0, SZ_4K, SZ_512M / SZ_4K, &out);
		rviommu_page_retire(&out.tables);
		if (round % 3)
			show(c->f, round % 3 == 1 ? &rviommu_identity_domain : NULL);
		free_domain(dom);
		cond_resched();
	}
	show(c->f, NULL);
	/* Pairs with test_churn(). */
	smp_store_release(&c->done, true);
	return 0;
}

static void stop_churn(void *task)
{
	kthread_stop_put(task);
	testdev_barrier();
}

static void put_dentry(void *dentry)
{
	dput(dentry);
}

static void test_churn(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	struct churn *c = kunit_kzalloc(test, sizeof(*c), GFP_KERNEL);
	struct dentry *root = debugfs_lookup("rviommu", NULL);
	struct task_struct *task;
	unsigned int reads = 0;
	struct file *file;

	KUNIT_ASSERT_NOT_NULL(test, c);
	KUNIT_ASSERT_NOT_NULL(test, root);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, put_dentry, root), 0);
	c->f = f;
	show_pasid(test, 5, 0, NULL);
	file = open_file(test, f->ep->debugfs, "pasid_domain");
	task = kthread_create(churn, c, "rviommu-churn");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	get_task_struct(task);
	wake_up_process(task);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, stop_churn, task), 0);
	do {
		read_file(test, f->ep->debugfs, "domain", TEXT_SIZE);
		dump_of(test, file, "5");
		read_file(test, root, "domains", 100);
		read_file(test, f->iommu.debugfs, "counters", TEXT_SIZE);
		reads++;
		cond_resched();
		/* Pairs with churn(): then @failed is final. */
	} while (!smp_load_acquire(&c->done));
	__fput_sync(file);
	KUNIT_EXPECT_FALSE(test, c->failed);
	kunit_info(test, "%u reads during %u domains", reads, ROUNDS);
}

#if IS_ENABLED(CONFIG_IOMMU_IOPF)
/* Groups begin, are handed on, are forgotten, are answered. */
static int page_churn(void *arg)
{
	struct churn *c = arg;
	struct rviommu_endpoint *ep = c->f->ep;
	struct rviommu_page_message which;
	unsigned int round;

	for (round = 0; round < 20 * ROUNDS; round++) {
		page_request(ep, round % 3, round % 5, round % 2);
		if (round % 7 == 0)
			rviommu_prgs_discard(&ep->pri.prgs, round % 3);
		if (round % 4 == 0)
			prgtest_take(&ep->pri.prgs, RVIOMMU_PRG_ALL, &which);
		cond_resched();
	}
	/* Pairs with test_page_churn(). */
	smp_store_release(&c->done, true);
	return 0;
}

/* Each text is of one moment: as many groups as it says, and no more than there can be. */
static void test_page_churn(struct kunit *test)
{
	struct debugfs_fixture *f = test->priv;
	struct churn *c = kunit_kzalloc(test, sizeof(*c), GFP_KERNEL);
	struct task_struct *task;

	KUNIT_ASSERT_NOT_NULL(test, c);
	show_page_requests(test);
	c->f = f;
	task = kthread_create(page_churn, c, "rviommu-churn");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	get_task_struct(task);
	wake_up_process(task);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, stop_churn, task), 0);
	do {
		const char *text = read_file(test, f->ep->debugfs, "page_requests", TEXT_SIZE);
		unsigned int open, requests, sum = 0;
		int found;

		text = strstr(text, "\nopen ");
		KUNIT_ASSERT_NOT_NULL(test, text);
		found = sscanf(text, "\nopen %u", &open);
		KUNIT_ASSERT_EQ(test, found, 1);
		while ((text = strstr(text, " requests "))) {
			found = sscanf(text, " requests %u", &requests);
			KUNIT_ASSERT_EQ(test, found, 1);
			/* None, if its first one found no room. */
			sum += requests;
			open--;
			text++;
		}
		KUNIT_EXPECT_EQ(test, open, 0);
		KUNIT_EXPECT_LE(test, sum, PAGE_REQUESTS);
		cond_resched();
		/* Pairs with page_churn(). */
	} while (!smp_load_acquire(&c->done));
}
#endif

static struct kunit_case debugfs_cases[] = {
	KUNIT_CASE(test_runs),
	KUNIT_CASE(test_long_run),
	KUNIT_CASE(test_pieces),
	KUNIT_CASE(test_change_between_pieces),
	KUNIT_CASE(test_other_domains),
	KUNIT_CASE(test_domain_head),
	KUNIT_CASE(test_pasid_domain),
	KUNIT_CASE(test_pasid_question),
	KUNIT_CASE(test_pasid_readers),
	KUNIT_CASE(test_pasid_between_pieces),
	KUNIT_CASE(test_context),
	KUNIT_CASE(test_extended_context),
	KUNIT_CASE(test_processes),
	KUNIT_CASE(test_walk),
	KUNIT_CASE(test_walk_question),
	KUNIT_CASE(test_capabilities),
	KUNIT_CASE(test_faults),
	KUNIT_CASE(test_counters),
	KUNIT_CASE(test_queues),
	KUNIT_CASE(test_mutation_names),
#if IS_ENABLED(CONFIG_IOMMU_IOPF)
	KUNIT_CASE(test_page_requests),
	KUNIT_CASE(test_page_churn),
#endif
	KUNIT_CASE(test_remove_while_open),
	KUNIT_CASE(test_churn),
	{}
};

static struct kunit_suite debugfs_suite = {
	.name = "rviommu_debugfs",
	.init = debugfs_test_init,
	.exit = debugfs_test_exit,
	.test_cases = debugfs_cases,
};

kunit_test_suite(debugfs_suite);
