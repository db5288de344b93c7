// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables and the memory under them.
 *
 * One body of tests runs over every format. What hardware would make of a table
 * is told by translate(), which is written from the algorithm of the privileged
 * architecture, "Virtual Address Translation Process", and shares nothing with
 * the driver, not even the names of bits.
 */
#include <kunit/static_stub.h>
#include <kunit/test-bug.h>
#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/prandom.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "../src/driver/mem.h"
#include "../src/driver/pgtable.h"
#include "testdev.h"

#define RW		(IOMMU_READ | IOMMU_WRITE)

/**
 * struct format - one configuration that the whole suite runs on
 * @levels: of the table
 * @second: x4 format
 * @napot: 64 KiB leaves
 * @dirty: hardware sets D
 */
struct format {
	u8 levels;
	bool second;
	bool napot;
	bool dirty;
};

static const struct format formats[] = {
	{ 3, false, false, false },
	{ 3, false, false, true },
	{ 3, false, true, false },
	{ 3, false, true, true },
	{ 4, false, false, false },
	{ 4, false, false, true },
	{ 4, false, true, false },
	{ 4, false, true, true },
	{ 5, false, false, false },
	{ 5, false, false, true },
	{ 5, false, true, false },
	{ 5, false, true, true },
	{ 3, true, false, false },
	{ 3, true, false, true },
	{ 3, true, true, false },
	{ 3, true, true, true },
	{ 4, true, false, false },
	{ 4, true, false, true },
	{ 4, true, true, false },
	{ 4, true, true, true },
	{ 5, true, false, false },
	{ 5, true, false, true },
	{ 5, true, true, false },
	{ 5, true, true, true },
};

/* For what races, which takes longer and cares less. */
static const struct format few_formats[] = {
	{ 4, false, false, true }, { 5, false, true, true }, { 5, true, true, true },
};

static void format_name(const struct format *f, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "Sv%u%s%s%s", 12 + 9 * f->levels,
		 f->second ? "x4" : "", f->napot ? " Svnapot" : "", f->dirty ? " dirty" : "");
}

KUNIT_ARRAY_PARAM(format, formats, format_name);
KUNIT_ARRAY_PARAM(few_format, few_formats, format_name);

struct duel;

/**
 * struct fixture - what each test starts with
 * @test: the running test
 * @fmt: its format
 * @pt: an empty page table of that format
 * @live: rviommu_mem_live() before there was the page table
 * @syncs: calls of sync_walk
 * @sync_iova: argument of the last one
 * @sync_lg2: argument of the last one
 * @sync_saw_leaf: the entry was not invalid in one of them
 * @sync_in_rcu: one of them came in an RCU section
 * @allocs: pieces of memory asked for since the stub was set, or steps taken
 * @fail_at: number of the one to refuse, or -1
 * @meddle: called at allocation number @fail_at instead of refusing it, or at that step
 *          of a change to live entries
 * @page: argument of @meddle: first page
 * @remap: argument of @meddle: map what was unmapped
 * @wide: result of @meddle: the leaf that it marked was larger than a page
 * @duel: of the test that has one
 */
struct fixture {
	struct kunit *test;
	const struct format *fmt;
	struct rviommu_pgtable pt;
	long live;
	unsigned int syncs;
	u64 sync_iova;
	unsigned int sync_lg2;
	bool sync_saw_leaf;
	bool sync_in_rcu;
	long allocs;
	long fail_at;
	void (*meddle)(struct fixture *f);
	unsigned int page;
	bool remap;
	bool wide;
	struct duel *duel;
};

/* --- the independent reader ------------------------------------------- */

struct translation {
	bool valid;
	bool r, w, x, u, a, d;
	u8 pbmt;
	unsigned int lg2;	/* bytes that the leaf maps */
	u64 pa;
	u64 *pte;		/* where it was found */
};

/*
 * Privileged architecture, "Virtual Address Translation Process", with the
 * Sv*x4 changes of "Guest Physical Address Translation" and with Svnapot.
 */
static struct translation translate(struct rviommu_pgtable *pt, u64 va)
{
	const int levels = pt->cfg.levels;
	const bool x4 = pt->cfg.second_stage;
	const int va_bits = 12 + 9 * levels + (x4 ? 2 : 0);
	struct translation t = {};
	u64 *a = pt->root;
	int i;

	if (x4) {
		if (va >> va_bits)
			return t;
	} else if (va >> (va_bits - 1) && va >> (va_bits - 1) != ~0ULL >> (va_bits - 1)) {
		return t;
	}

	for (i = levels - 1; i >= 0; i--) {
		const int shift = 12 + 9 * i;
		const u64 vpn = va >> shift & (x4 && i == levels - 1 ? 2047 : 511);
		const u64 pte = READ_ONCE(a[vpn]);
		const u64 ppn = pte >> 10 & ((1ULL << 44) - 1);
		const bool n = pte >> 63 & 1;
		u64 low;

		t.r = pte & 2;
		t.w = pte & 4;
		t.x = pte & 8;
		t.u = pte & 16;
		t.a = pte & 64;
		t.d = pte & 128;
		t.pbmt = pte >> 61 & 3;
		if (!(pte & 1) || (t.w && !t.r) || pte >> 54 & 0x7f || t.pbmt == 3)
			return t;
		if (!t.r && !t.x) {
			/* D, A, U, N and PBMT are reserved in a pointer to a table. */
			if (pte & (128 | 64 | 16) || n || t.pbmt)
				return t;
			a = phys_to_virt(ppn << 12);
			continue;
		}
		t.lg2 = shift;
		if (n) {
			if (i || (ppn & 15) != 8)
				return t;
			t.lg2 = 16;
		} else if (i && ppn & ((1ULL << (9 * i)) - 1)) {
			return t;	/* misaligned superpage */
		}
		if (x4 && !t.u)
			return t;
		low = (1ULL << t.lg2) - 1;
		t.pa = (ppn << 12 & ~low) | (va & low);
		t.pte = &a[vpn];
		t.valid = true;
		return t;
	}
	return t;
}

/* Tables in the tree below @table of @level. */
static long tables_below(u64 *table, int entries, int level)
{
	long n = 0;
	int i;

	for (i = 0; i < entries && level > 0; i++) {
		const u64 pte = READ_ONCE(table[i]);

		if ((pte & 15) == 1)
			n += 1 + tables_below(phys_to_virt((pte >> 10 & ((1ULL << 44) - 1)) << 12),
					      512, level - 1);
	}
	return n;
}

/* Pages that a page table consists of. */
static long tables(struct rviommu_pgtable *pt)
{
	return 1 + tables_below(pt->root, pt->cfg.second_stage ? 2048 : 512, pt->cfg.levels - 1);
}

/* --- the fixture ------------------------------------------------------ */

static void record_sync(struct rviommu_pgtable *pt, u64 iova, unsigned int size_lg2)
{
	struct fixture *f = container_of(pt, struct fixture, pt);

	/* It may take as long as a device does not answer. */
	if (IS_ENABLED(CONFIG_PROVE_RCU) && rcu_read_lock_held())
		f->sync_in_rcu = true;
	f->syncs++;
	f->sync_iova = iova;
	f->sync_lg2 = size_lg2;
	if (translate(pt, iova).valid)
		f->sync_saw_leaf = true;
}

static const struct rviommu_pgtable_ops test_ops = { .sync_walk = record_sync };

static struct rviommu_pgtable_cfg config(const struct format *fmt)
{
	return (struct rviommu_pgtable_cfg) {
		.levels = fmt->levels,
		.second_stage = fmt->second,
		.svnapot = fmt->napot,
		.svpbmt = true,
		.pas_lg2 = 56,
		.nid = NUMA_NO_NODE,
	};
}

static int pgtable_test_init(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	struct rviommu_pgtable_cfg cfg;

	if (!f)
		return -ENOMEM;
	f->test = test;
	f->fmt = test->param_value ?: &formats[0];
	f->fail_at = -1;
	test->priv = f;
	/* What others retired before is not ours to count. */
	f->live = testdev_live();
	cfg = config(f->fmt);
	if (rviommu_pgtable_init(&f->pt, &cfg, &test_ops))
		return -ENOMEM;
	if (f->fmt->dirty)
		rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	return 0;
}

/* No test may leave memory behind, whatever it mapped. */
static void pgtable_test_exit(struct kunit *test)
{
	struct fixture *f = test->priv;

	KUNIT_EXPECT_FALSE(test, f->sync_in_rcu);
	if (f->pt.root)
		rviommu_pgtable_destroy(&f->pt);
	KUNIT_EXPECT_EQ(test, testdev_live(), f->live);
}

static bool fail_nth(void)
{
	struct kunit *test = kunit_get_current_test();
	struct fixture *f = test->priv;
	bool now = f->allocs++ == f->fail_at;

	if (now && f->meddle) {
		f->fail_at = -1;
		f->meddle(f);
		return false;
	}
	return now;
}

static void fail_allocation(struct fixture *f, long n)
{
	f->allocs = 0;
	f->fail_at = n;
	kunit_activate_static_stub(f->test, rviommu_alloc_fails, fail_nth);
}

static void fail_no_more(struct fixture *f)
{
	kunit_deactivate_static_stub(f->test, rviommu_alloc_fails);
	f->fail_at = -1;
}

static int map(struct fixture *f, u64 iova, u64 pa, size_t size, size_t count, int prot)
{
	size_t mapped = 12345;
	int ret = rviommu_pgtable_map(&f->pt, iova, pa, size, count, prot, GFP_KERNEL, &mapped);

	if (!ret)
		KUNIT_EXPECT_EQ(f->test, mapped, size * count);
	return ret;
}

/* Unmaps, and does at once what the owner does after its invalidations. */
static size_t unmap_lg2(struct fixture *f, u64 iova, size_t size, size_t count,
			unsigned int *leaf_lg2)
{
	struct rviommu_unmapped unmapped = { .tables = LIST_HEAD_INIT(unmapped.tables) };
	size_t done = rviommu_pgtable_unmap(&f->pt, iova, size, count, &unmapped);

	/* Something to invalidate, if and only if something was removed. */
	KUNIT_EXPECT_EQ(f->test, !!unmapped.leaf_lg2, !!done);
	if (leaf_lg2)
		*leaf_lg2 = unmapped.leaf_lg2;
	rviommu_page_retire(&unmapped.tables);
	return done;
}

static size_t unmap(struct fixture *f, u64 iova, size_t size, size_t count)
{
	return unmap_lg2(f, iova, size, count, NULL);
}

/* As an owner does who hopes for one leaf. */
static size_t unmap_one(struct fixture *f, u64 iova, size_t size)
{
	return rviommu_pgtable_unmap_leaf(&f->pt, iova, size) ? size : unmap(f, iova, size, 1);
}

static bool is_mapped(struct fixture *f, u64 iova)
{
	bool hw = translate(&f->pt, iova).valid;

	KUNIT_EXPECT_EQ(f->test, !!rviommu_pgtable_iova_to_phys(&f->pt, iova), hw);
	return hw;
}

/* What both readers have to say about an address that maps to @pa with @prot. */
static void expect_at(struct fixture *f, u64 iova, u64 pa, int prot, unsigned int lg2)
{
	struct translation t = translate(&f->pt, iova);
	struct kunit *test = f->test;

	KUNIT_EXPECT_TRUE_MSG(test, t.valid, "iova %llx", iova);
	KUNIT_EXPECT_EQ_MSG(test, t.pa, pa, "iova %llx", iova);
	KUNIT_EXPECT_EQ_MSG(test, t.lg2, lg2, "iova %llx", iova);
	KUNIT_EXPECT_TRUE(test, t.r);
	KUNIT_EXPECT_EQ(test, t.w, !!(prot & IOMMU_WRITE));
	KUNIT_EXPECT_EQ(test, t.x, !(prot & IOMMU_NOEXEC));
	KUNIT_EXPECT_TRUE(test, t.u);
	KUNIT_EXPECT_TRUE(test, t.a);
	KUNIT_EXPECT_EQ(test, t.d, (prot & IOMMU_WRITE) && !f->fmt->dirty);
	KUNIT_EXPECT_EQ(test, t.pbmt, prot & IOMMU_MMIO ? 2 : 0);
	KUNIT_EXPECT_EQ_MSG(test, rviommu_pgtable_iova_to_phys(&f->pt, iova), pa,
			    "iova %llx", iova);
}

/* A whole leaf: its first and last bytes and some between. */
static void expect_leaf(struct fixture *f, u64 iova, u64 pa, int prot, unsigned int lg2)
{
	const u64 size = 1ULL << lg2;
	const u64 at[] = { 0, 1, 0xabc, size / 3, size / 2, size - 1 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(at); i++)
		expect_at(f, iova + at[i], pa + at[i], prot, lg2);
}

/* The last-level table that maps the page at @iova. */
static u64 *last_table(struct fixture *f, u64 iova)
{
	u64 *pte = translate(&f->pt, iova).pte;

	return (u64 *)((unsigned long)pte & PAGE_MASK);
}

/* All that is mapped below @end, around the holes; one with nothing behind it ends it. */
static void unmap_all(struct fixture *f, u64 end)
{
	u64 iova, step;

	for (iova = 0; iova < end; iova += step) {
		step = unmap(f, iova, SZ_4K, (end - iova) / SZ_4K);
		if (!step)
			step = max_t(u64, SZ_4K, end / 16);
	}
}

static unsigned int half_lg2(const struct format *fmt)
{
	return 12 + 9 * fmt->levels + (fmt->second ? 2 : -1);
}

#define PLACES	6
/* First and last place for a leaf of 2^@lg2 bytes in each half, and some within. */
static unsigned int places(const struct format *fmt, unsigned int lg2, u64 at[PLACES])
{
	const u64 half = 1ULL << half_lg2(fmt);
	const u64 size = 1ULL << lg2;
	unsigned int n = 0;

	at[n++] = 0;
	at[n++] = (half / 3) & -size;
	at[n++] = half - size;
	if (!fmt->second) {
		at[n++] = -half;
		at[n++] = -(half / 5) & -size;
		at[n++] = -size;
	}
	return n;
}

/* Calls of for_each, summed up. */
struct sum {
	unsigned int leaves;
	u64 bytes;
	u64 next;
	bool disorder;
};

static int add_up(void *arg, u64 iova, u64 pte, unsigned int size_lg2)
{
	struct sum *s = arg;

	if (s->leaves && iova < s->next)
		s->disorder = true;
	s->leaves++;
	s->bytes += 1ULL << size_lg2;
	s->next = iova + (1ULL << size_lg2);
	return 0;
}

static struct sum total(struct fixture *f)
{
	struct sum s = {};

	KUNIT_EXPECT_EQ(f->test, rviommu_pgtable_for_each(&f->pt, 0, ~0ULL, add_up, &s), 0);
	KUNIT_EXPECT_FALSE(f->test, s.disorder);
	return s;
}

/* --- one thing at a time ---------------------------------------------- */

static void pgtable_init_refuses(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct rviommu_pgtable_cfg cfg;
	struct rviommu_pgtable pt;
	int n;

	cfg = config(f->fmt);
	cfg.levels = 2;
	KUNIT_EXPECT_EQ(test, rviommu_pgtable_init(&pt, &cfg, &test_ops), -EINVAL);
	cfg.levels = 6;
	KUNIT_EXPECT_EQ(test, rviommu_pgtable_init(&pt, &cfg, &test_ops), -EINVAL);
	cfg = config(f->fmt);
	cfg.pas_lg2 = 57;
	KUNIT_EXPECT_EQ(test, rviommu_pgtable_init(&pt, &cfg, &test_ops), -EINVAL);
	cfg.pas_lg2 = 12;
	KUNIT_EXPECT_EQ(test, rviommu_pgtable_init(&pt, &cfg, &test_ops), -EINVAL);
	/* No memory there: 8 KiB hold the CPU's vectors at best. */
	cfg.pas_lg2 = 13;
	KUNIT_EXPECT_EQ(test, rviommu_pgtable_init(&pt, &cfg, &test_ops), -ENOMEM);

	cfg = config(f->fmt);
	for (n = 0; n < 2; n++) {
		fail_allocation(f, n);
		KUNIT_EXPECT_EQ(test, rviommu_pgtable_init(&pt, &cfg, &test_ops), -ENOMEM);
		fail_no_more(f);
		KUNIT_EXPECT_EQ(test, rviommu_mem_live(), f->live + 1);
	}
}

static void pgtable_shape(struct kunit *test)
{
	struct fixture *f = test->priv;
	u64 sizes = SZ_4K | SZ_2M | SZ_1G;
	struct rviommu_pgtable_cfg cfg = config(f->fmt);
	struct rviommu_pgtable pt;

	if (f->fmt->napot)
		sizes |= SZ_64K;
	if (f->fmt->levels > 3)
		sizes |= SZ_512G;
	KUNIT_EXPECT_EQ(test, f->pt.pgsizes, sizes);
	KUNIT_EXPECT_TRUE(test, IS_ALIGNED(virt_to_phys(f->pt.root),
					   f->fmt->second ? SZ_16K : SZ_4K));
	KUNIT_EXPECT_EQ(test, total(f).leaves, 0);
	KUNIT_EXPECT_FALSE(test, is_mapped(f, 0));

	/* A leaf larger than all of memory is none. */
	cfg.pas_lg2 = 35;
	KUNIT_ASSERT_EQ(test, rviommu_pgtable_init(&pt, &cfg, &test_ops), 0);
	KUNIT_EXPECT_EQ(test, pt.pgsizes, sizes & ~SZ_512G);
	rviommu_pgtable_destroy(&pt);
}

static void pgtable_leaf_sizes(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long sizes = f->pt.pgsizes;
	unsigned int lg2, i, n;
	u64 at[PLACES];

	for_each_set_bit(lg2, &sizes, 64) {
		const size_t size = 1ULL << lg2;
		const u64 pa = 5ULL << lg2;

		n = places(f->fmt, lg2, at);
		for (i = 0; i < n; i++) {
			unsigned int leaf_lg2;

			KUNIT_ASSERT_EQ(test, map(f, at[i], pa, size, 1, RW), 0);
			expect_leaf(f, at[i], pa, RW, lg2);
			KUNIT_EXPECT_EQ(test, total(f).leaves, 1);
			KUNIT_EXPECT_EQ(test, total(f).bytes, size);
			KUNIT_EXPECT_FALSE(test, is_mapped(f, at[i] - 1));
			KUNIT_EXPECT_FALSE(test, is_mapped(f, at[i] + size));

			KUNIT_EXPECT_EQ(test, unmap_lg2(f, at[i], size, 1, &leaf_lg2), size);
			KUNIT_EXPECT_EQ(test, leaf_lg2, lg2);
			KUNIT_EXPECT_FALSE(test, is_mapped(f, at[i]));
			KUNIT_EXPECT_FALSE(test, is_mapped(f, at[i] + size - 1));
			KUNIT_EXPECT_EQ(test, total(f).leaves, 0);
		}
	}
}

static void pgtable_prot(struct kunit *test)
{
	static const int modifiers[] = { IOMMU_NOEXEC, IOMMU_PRIV, IOMMU_MMIO, IOMMU_CACHE };
	struct fixture *f = test->priv;
	unsigned long sizes = f->pt.pgsizes;
	unsigned int lg2, i, m;

	for_each_set_bit(lg2, &sizes, 64) {
		for (m = 0; m < 1 << ARRAY_SIZE(modifiers); m++) {
			int access, prot = 0;

			for (i = 0; i < ARRAY_SIZE(modifiers); i++)
				if (m & BIT(i))
					prot |= modifiers[i];
			for (access = 1; access <= RW; access++) {
				KUNIT_ASSERT_EQ(test, map(f, 0, 0, 1ULL << lg2, 1, access | prot),
						0);
				/* PA 0 is no answer that iova_to_phys could give. */
				expect_at(f, 0x123, 0x123, access | prot, lg2);
				unmap(f, 0, 1ULL << lg2, 1);
			}
			KUNIT_EXPECT_EQ(test, map(f, 0, 0, 1ULL << lg2, 1, prot), -EINVAL);
			KUNIT_EXPECT_FALSE(test, is_mapped(f, 0x123));
		}
	}
}

static void pgtable_no_pbmt(struct kunit *test)
{
	struct fixture *f = test->priv;

	f->pt.cfg.svpbmt = false;
	KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, SZ_4K, 1, RW | IOMMU_MMIO), 0);
	expect_at(f, 0x123, SZ_4K + 0x123, RW, 12);
}

/* Four pages around each boundary of a table, for each level there is. */
static void pgtable_table_boundaries(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int lg2, i;

	for (lg2 = 21; lg2 < half_lg2(f->fmt); lg2 += 9) {
		const u64 iova = (1ULL << lg2) - 2 * SZ_4K;
		const u64 pa = 0x123456000;

		KUNIT_ASSERT_EQ(test, map(f, iova, pa, SZ_4K, 4, RW), 0);
		for (i = 0; i < 4; i++)
			expect_leaf(f, iova + i * SZ_4K, pa + i * SZ_4K, RW, 12);
		KUNIT_EXPECT_FALSE(test, is_mapped(f, iova - 1));
		KUNIT_EXPECT_FALSE(test, is_mapped(f, iova + 4 * SZ_4K));
		KUNIT_EXPECT_EQ(test, unmap(f, iova, SZ_4K, 4), 4 * SZ_4K);
		KUNIT_EXPECT_EQ(test, total(f).leaves, 0);
	}
	/* In the x4 root this one crosses entry 512, in the others the half. */
	if (f->fmt->second) {
		const unsigned int root = 12 + 9 * (f->fmt->levels - 1);
		const u64 iova = (511ULL << root) + (1ULL << root) - SZ_2M;

		KUNIT_ASSERT_EQ(test, map(f, iova, SZ_2M, SZ_2M, 2, RW), 0);
		expect_leaf(f, iova, SZ_2M, RW, 21);
		expect_leaf(f, iova + SZ_2M, 2 * SZ_2M, RW, 21);
		KUNIT_EXPECT_EQ(test, unmap(f, iova, SZ_2M, 2), 2 * SZ_2M);
	}
}

/* Long ranges of each size, over several tables. */
static void pgtable_ranges(struct kunit *test)
{
	static const struct {
		size_t size, count;
	} ranges[] = {
		{ SZ_4K, 1 }, { SZ_4K, 3 }, { SZ_4K, 512 }, { SZ_4K, 513 }, { SZ_4K, 2000 },
		{ SZ_64K, 1 }, { SZ_64K, 33 }, { SZ_64K, 100 }, { SZ_2M, 7 }, { SZ_2M, 512 },
		{ SZ_2M, 1300 }, { SZ_1G, 5 }, { SZ_1G, 100 }, { SZ_1G, 255 }, { SZ_512G, 3 },
	};
	struct fixture *f = test->priv;
	unsigned int r, lg2;
	size_t i;

	for (r = 0; r < ARRAY_SIZE(ranges); r++) {
		const size_t size = ranges[r].size, count = ranges[r].count;
		/* Not at the beginning of a table, but for what fills it. */
		const u64 iova = count == 512 || size >= SZ_1G ? 0 : SZ_2M - 7 * size % SZ_2M;
		const u64 pa = 9 * SZ_512G;

		if (!(size & f->pt.pgsizes))
			continue;
		lg2 = __ffs(size);
		KUNIT_ASSERT_EQ(test, map(f, iova & -size, pa, size, count, RW), 0);
		KUNIT_EXPECT_EQ(test, total(f).leaves, count);
		for (i = 0; i < count; i++)
			expect_at(f, (iova & -size) + i * size + i, pa + i * size + i, RW, lg2);
		KUNIT_EXPECT_EQ(test, unmap(f, iova & -size, size, count), size * count);
		KUNIT_EXPECT_EQ(test, total(f).leaves, 0);
	}
}

/* Ranges that end with a half of the address space, one of which is the end of 64 bits. */
static void pgtable_ends(struct kunit *test)
{
	static const size_t counts[] = { 1, 2, 7, 511, 512, 513 };
	struct fixture *f = test->priv;
	unsigned long sizes = f->pt.pgsizes;
	const u64 half = 1ULL << half_lg2(f->fmt);
	const u64 ends[] = { half, 0 };
	unsigned int lg2, i, n;

	for (n = 0; n < (f->fmt->second ? 1 : 2); n++) {
		const u64 end = ends[n];

		for_each_set_bit(lg2, &sizes, 64) {
			const u64 size = 1ULL << lg2;

			for (i = 0; i < ARRAY_SIZE(counts); i++) {
				const u64 bytes = size * counts[i];
				size_t done;

				if (bytes > half)
					continue;
				KUNIT_ASSERT_EQ(test, map(f, end - bytes, size, size, counts[i],
							  RW), 0);
				expect_leaf(f, end - size, bytes, RW, lg2);
				expect_at(f, end - bytes, size, RW, lg2);
				KUNIT_EXPECT_EQ(test, total(f).leaves, counts[i]);
				/* Nothing is behind the end, and nothing at the beginning. */
				KUNIT_EXPECT_EQ(test, rviommu_pgtable_iova_to_phys(&f->pt, end), 0);
				KUNIT_EXPECT_FALSE(test, is_mapped(f, 0));
				KUNIT_EXPECT_EQ(test, map(f, end - size, 0, size, 2, RW), -ERANGE);
				KUNIT_EXPECT_EQ(test, unmap(f, end - size, size, 2), 0);
				/* The last page alone, then the rest up to it. */
				done = unmap(f, end - SZ_4K, SZ_4K, 1);
				KUNIT_EXPECT_EQ(test, done, SZ_4K);
				KUNIT_EXPECT_FALSE(test, is_mapped(f, end - 1));
				KUNIT_EXPECT_EQ(test, unmap(f, end - bytes, size, counts[i]),
						bytes - SZ_4K);
				KUNIT_EXPECT_EQ(test, total(f).leaves, 0);
				/* And all of it at once. */
				KUNIT_ASSERT_EQ(test, map(f, end - bytes, size, size, counts[i],
							  RW), 0);
				KUNIT_EXPECT_EQ(test, unmap(f, end - bytes, size, counts[i]),
						bytes);
				KUNIT_EXPECT_EQ(test, total(f).leaves, 0);
			}
		}
		/* A leaf over the empty table of the last page */
		KUNIT_ASSERT_EQ(test, map(f, end - SZ_4K, 0, SZ_4K, 1, RW), 0);
		KUNIT_ASSERT_EQ(test, unmap(f, end - SZ_4K, SZ_4K, 1), SZ_4K);
		f->syncs = 0;
		KUNIT_EXPECT_EQ(test, map(f, end - SZ_2M, SZ_2M, SZ_2M, 1, RW), 0);
		KUNIT_EXPECT_EQ(test, f->syncs, 1);
		KUNIT_EXPECT_EQ(test, f->sync_iova, end - SZ_2M);
		expect_leaf(f, end - SZ_2M, SZ_2M, RW, 21);
		KUNIT_EXPECT_EQ(test, unmap_one(f, end - SZ_2M, SZ_2M), SZ_2M);
	}
}

static void pgtable_out_of_range(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long sizes = f->pt.pgsizes;
	const u64 half = 1ULL << half_lg2(f->fmt);
	unsigned int lg2;

	for_each_set_bit(lg2, &sizes, 64) {
		const size_t size = 1ULL << lg2;
		const size_t to_the_end = -(half - size) >> lg2;
		size_t mapped;

		/* Beyond the end, across it, and in the middle of nowhere. */
		KUNIT_EXPECT_EQ(test, map(f, half, size, size, 1, RW), -ERANGE);
		KUNIT_EXPECT_EQ(test, map(f, half - size, size, size, 2, RW), -ERANGE);
		KUNIT_EXPECT_EQ(test, map(f, 1ULL << 62, size, size, 1, RW), -ERANGE);
		KUNIT_EXPECT_EQ(test, map(f, -half - size, size, size, 1, RW), -ERANGE);
		KUNIT_EXPECT_EQ(test, map(f, -half - size, size, size, 2, RW), -ERANGE);
		if (f->fmt->second) {
			KUNIT_EXPECT_EQ(test, map(f, -half, size, size, 1, RW), -ERANGE);
			KUNIT_EXPECT_EQ(test, map(f, -size, size, size, 1, RW), -ERANGE);
		}
		/* Around the top of 64 bits. */
		KUNIT_EXPECT_EQ(test, map(f, -size, size, size, 2, RW), -ERANGE);
		KUNIT_EXPECT_EQ(test, map(f, half - size, 0, size, to_the_end, RW), -ERANGE);
		/* Sizes that do not fit 64 bits, and those that barely do. */
		KUNIT_EXPECT_EQ(test, rviommu_pgtable_map(&f->pt, 0, 0, size, SIZE_MAX, RW,
							  GFP_KERNEL, &mapped), -ERANGE);
		KUNIT_EXPECT_EQ(test, rviommu_pgtable_map(&f->pt, size, 0, size,
							  (SIZE_MAX >> lg2) + 1, RW,
							  GFP_KERNEL, &mapped), -ERANGE);
		KUNIT_EXPECT_EQ(test, rviommu_pgtable_map(&f->pt, 0, 0, size, SIZE_MAX >> lg2,
							  RW, GFP_KERNEL, &mapped), -ERANGE);
		KUNIT_EXPECT_EQ(test, mapped, 0);
		/* Physical addresses. */
		KUNIT_EXPECT_EQ(test, map(f, 0, 1ULL << 56, size, 1, RW), -ERANGE);
		KUNIT_EXPECT_EQ(test, map(f, 0, (1ULL << 56) - size, size, 2, RW), -ERANGE);
		KUNIT_EXPECT_EQ(test, map(f, 0, -size, size, 2, RW), -ERANGE);

		KUNIT_EXPECT_EQ(test, unmap(f, half, size, 1), 0);
		KUNIT_EXPECT_EQ(test, unmap(f, half - size, size, 2), 0);
		KUNIT_EXPECT_EQ(test, unmap(f, -size, size, 2), 0);
		KUNIT_EXPECT_EQ(test, unmap(f, 0, size, SIZE_MAX), 0);
		KUNIT_EXPECT_EQ(test, unmap(f, size, size, (SIZE_MAX >> lg2) + 1), 0);

		/* The last that there is. */
		KUNIT_EXPECT_EQ(test, map(f, half - size, (1ULL << 56) - size, size, 1, RW), 0);
		expect_leaf(f, half - size, (1ULL << 56) - size, RW, lg2);
		KUNIT_EXPECT_EQ(test, unmap(f, half - size, size, 2), 0);
		KUNIT_EXPECT_EQ(test, unmap(f, half - size, size, 1), size);
	}
	KUNIT_EXPECT_EQ(test, rviommu_pgtable_iova_to_phys(&f->pt, half), 0);
	KUNIT_EXPECT_EQ(test, rviommu_pgtable_iova_to_phys(&f->pt, 1ULL << 62), 0);
	KUNIT_EXPECT_EQ(test, total(f).leaves, 0);
}

/* An address that only differs above the top level's index is another one. */
static void pgtable_no_alias(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int bit;

	KUNIT_ASSERT_EQ(test, map(f, SZ_2M, SZ_4K, SZ_4K, 1, RW), 0);
	for (bit = 21; bit < 64; bit++)
		KUNIT_EXPECT_FALSE_MSG(test, is_mapped(f, SZ_2M ^ (1ULL << bit)), "bit %u", bit);
	KUNIT_EXPECT_FALSE(test, is_mapped(f, ~(u64)SZ_2M));
}

static void pgtable_misaligned(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long sizes = f->pt.pgsizes;
	const u64 ends[] = { 1, 0x800, SZ_4K };
	unsigned int lg2, i;

	for_each_set_bit(lg2, &sizes, 64) {
		const size_t size = 1ULL << lg2;

		for (i = 0; i < ARRAY_SIZE(ends); i++) {
			const u64 off = ends[i] < size ? ends[i] : size / 2;

			KUNIT_EXPECT_EQ(test, map(f, off, 0, size, 1, RW), -EINVAL);
			KUNIT_EXPECT_EQ(test, map(f, 0, off, size, 1, RW), -EINVAL);
			KUNIT_EXPECT_EQ(test, unmap(f, off, size, 1), 0);
		}
		KUNIT_EXPECT_EQ(test, map(f, 0, 0, size, 0, RW), -EINVAL);
		KUNIT_EXPECT_EQ(test, unmap(f, 0, size, 0), 0);
	}
	KUNIT_EXPECT_EQ(test, total(f).leaves, 0);
}

static void pgtable_wrong_size(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int lg2;

	KUNIT_ASSERT_EQ(test, map(f, 0, SZ_1G, SZ_1G, 1, RW), 0);
	for (lg2 = 0; lg2 < 64; lg2++) {
		if (f->pt.pgsizes & (1ULL << lg2))
			continue;
		KUNIT_EXPECT_EQ(test, map(f, 0, 0, 1ULL << lg2, 1, RW), -EINVAL);
		KUNIT_EXPECT_EQ(test, unmap(f, 0, 1ULL << lg2, 1), 0);
	}
	KUNIT_EXPECT_EQ(test, map(f, 0, 0, 0, 1, RW), -EINVAL);
	KUNIT_EXPECT_EQ(test, map(f, 0, 0, SZ_4K | SZ_2M, 1, RW), -EINVAL);
	KUNIT_EXPECT_EQ(test, unmap(f, 0, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, unmap(f, 0, SZ_4K | SZ_2M, 1), 0);
	expect_leaf(f, 0, SZ_1G, RW, 30);
}

/* Something in the way at each position of a range: what precedes is mapped. */
static void pgtable_overlap(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long sizes = f->pt.pgsizes;
	const unsigned int count = 9;
	unsigned int lg2, small, i, k;

	for_each_set_bit(lg2, &sizes, 31) {
		const size_t size = 1ULL << lg2;
		/* The range crosses a table. */
		const u64 iova = lg2 < 30 ? SZ_1G - 4 * size : 0;

		for_each_set_bit(small, &sizes, lg2 + 1) {
			for (k = 0; k < count; k++) {
				const u64 used = iova + k * size + size - (1ULL << small);
				size_t mapped;

				KUNIT_ASSERT_EQ(test, map(f, used, 0, 1ULL << small, 1, IOMMU_READ),
						0);
				KUNIT_EXPECT_EQ(test,
						rviommu_pgtable_map(&f->pt, iova, SZ_512G, size,
								    count, RW, GFP_KERNEL,
								    &mapped),
						-EADDRINUSE);
				KUNIT_EXPECT_EQ(test, mapped, k * size);
				for (i = 0; i < k; i++)
					expect_at(f, iova + i * size + i, SZ_512G + i * size + i,
						  RW, lg2);
				expect_at(f, used + 0x10, 0x10, IOMMU_READ, small);
				KUNIT_EXPECT_EQ(test, unmap(f, iova, size, count),
						k * size + (small == lg2 ? size : 0));
				unmap(f, used, 1ULL << small, 1);
				KUNIT_EXPECT_EQ(test, total(f).leaves, 0);
			}
		}
	}
	KUNIT_EXPECT_FALSE(test, f->sync_saw_leaf);
}

/* Small pages where a large one is. */
static void pgtable_overlap_inside(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long sizes = f->pt.pgsizes;
	unsigned int lg2, small;

	for_each_set_bit(lg2, &sizes, 64) {
		const size_t size = 1ULL << lg2;

		KUNIT_ASSERT_EQ(test, map(f, size, size, size, 1, RW), 0);
		for_each_set_bit(small, &sizes, lg2 + 1) {
			const size_t s = 1ULL << small;

			KUNIT_EXPECT_EQ(test, map(f, size, 0, s, 1, RW), -EADDRINUSE);
			KUNIT_EXPECT_EQ(test, map(f, 2 * size - s, 0, s, 1, RW), -EADDRINUSE);
			KUNIT_EXPECT_EQ(test, map(f, size + (size / 2 & -s), 0, s, 1, RW),
					-EADDRINUSE);
		}
		expect_leaf(f, size, size, RW, lg2);
		KUNIT_EXPECT_EQ(test, unmap(f, size, size, 1), size);
	}
}

static void pgtable_unmap_unmapped(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long sizes = f->pt.pgsizes;
	unsigned int lg2;

	for_each_set_bit(lg2, &sizes, 64)
		KUNIT_EXPECT_EQ(test, unmap(f, 0, 1ULL << lg2, 3), 0);

	/* Where tables are. */
	KUNIT_ASSERT_EQ(test, map(f, SZ_1G, 0, SZ_4K, 1, RW), 0);
	KUNIT_EXPECT_EQ(test, unmap(f, SZ_1G + SZ_4K, SZ_4K, 1), 0);
	KUNIT_EXPECT_EQ(test, unmap(f, SZ_1G + SZ_2M, SZ_2M, 1), 0);
	KUNIT_EXPECT_EQ(test, unmap(f, 0, SZ_1G, 2), 0);
	KUNIT_EXPECT_EQ(test, total(f).leaves, 1);
	KUNIT_EXPECT_EQ(test, unmap(f, SZ_1G, SZ_4K, 1), SZ_4K);
	KUNIT_EXPECT_EQ(test, unmap(f, SZ_1G, SZ_4K, 1), 0);
	KUNIT_EXPECT_EQ(test, unmap(f, SZ_1G, SZ_1G, 1), 0);
}

/* The first hole ends an unmap, also one that covers whole tables. */
static void pgtable_unmap_to_hole(struct kunit *test)
{
	static const unsigned int holes[] = { 0, 1, 2, 7, 15, 16, 255, 511, 512, 513, 1023, 1535 };
	static const size_t sizes[] = { SZ_4K, SZ_64K, SZ_2M, SZ_1G };
	struct fixture *f = test->priv;
	const unsigned int count = 1536;
	unsigned int h, s;

	for (h = 0; h < ARRAY_SIZE(holes); h++) {
		const u64 hole = (u64)holes[h] * SZ_4K;

		for (s = 0; s < ARRAY_SIZE(sizes); s++) {
			if (!(sizes[s] & f->pt.pgsizes))
				continue;
			KUNIT_ASSERT_EQ(test, map(f, 0, SZ_1G, SZ_4K, count, RW), 0);
			KUNIT_ASSERT_EQ(test, unmap(f, hole, SZ_4K, 1), SZ_4K);
			KUNIT_EXPECT_EQ(test, unmap(f, 0, sizes[s],
						    max_t(size_t, count * SZ_4K / sizes[s], 1)),
					hole);
			KUNIT_EXPECT_EQ(test, total(f).leaves, count - 1 - holes[h]);
			unmap(f, hole + SZ_4K, SZ_4K, count - 1 - holes[h]);
			KUNIT_EXPECT_EQ(test, total(f).leaves, 0);
		}
	}
}

/* Leaves of all sizes in one range: removed by one call, the smallest is told. */
static void pgtable_unmap_mixed(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int leaf_lg2, first;
	size_t i;

	for (first = 0; first < 3; first++) {
		u64 iova = 0;

		/* 1G: 2M leaves, one of them in 4K leaves; 1G: a leaf. */
		for (i = 0; i < 512; i++, iova += SZ_2M) {
			size_t size = SZ_2M;

			if (i == 77 && first == 0)
				size = SZ_4K;
			else if (i == 77 && first == 1 && f->fmt->napot)
				size = SZ_64K;
			KUNIT_ASSERT_EQ(test, map(f, iova, iova, size, SZ_2M / size, RW), 0);
		}
		KUNIT_ASSERT_EQ(test, map(f, iova, iova, SZ_1G, 1, RW), 0);

		KUNIT_EXPECT_EQ(test, unmap_lg2(f, 0, SZ_1G, 2, &leaf_lg2), 2 * (size_t)SZ_1G);
		KUNIT_EXPECT_EQ(test, leaf_lg2,
				first == 0 ? 12 : first == 1 && f->fmt->napot ? 16 : 21);
		KUNIT_EXPECT_EQ(test, total(f).leaves, 0);
	}
}

/* Each leaf is one to its own size and to no other, whatever else is there. */
static void pgtable_unmap_leaf(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long sizes = f->pt.pgsizes;
	unsigned int lg2, other, i, n;
	u64 at[PLACES];

	for_each_set_bit(lg2, &sizes, 64) {
		const u64 size = 1ULL << lg2;

		n = places(f->fmt, lg2, at);
		for (i = 0; i < n; i++) {
			KUNIT_EXPECT_FALSE(test, rviommu_pgtable_unmap_leaf(&f->pt, at[i], size));
			KUNIT_ASSERT_EQ(test, map(f, at[i], size, size, 1, RW), 0);
			for (other = 0; other < 64; other++) {
				const u64 wrong = 1ULL << other;

				if (other == lg2)
					continue;
				KUNIT_EXPECT_FALSE(test, rviommu_pgtable_unmap_leaf(&f->pt,
										    at[i] & -wrong,
										    wrong));
			}
			KUNIT_EXPECT_FALSE(test, rviommu_pgtable_unmap_leaf(&f->pt, at[i], 0));
			KUNIT_EXPECT_FALSE(test, rviommu_pgtable_unmap_leaf(&f->pt, at[i],
									    size | 1ULL << 40));
			KUNIT_EXPECT_FALSE(test, rviommu_pgtable_unmap_leaf(&f->pt,
									    at[i] + size / 2,
									    size));
			/* An IOVA that does not exist has the same entry. */
			KUNIT_EXPECT_FALSE(test, rviommu_pgtable_unmap_leaf(&f->pt,
									    at[i] ^ 1ULL << 62,
									    size));
			expect_leaf(f, at[i], size, RW, lg2);
			KUNIT_EXPECT_TRUE(test, rviommu_pgtable_unmap_leaf(&f->pt, at[i], size));
			KUNIT_EXPECT_EQ(test, total(f).leaves, 0);
			/* Nothing of it is left to be mapped over. */
			KUNIT_ASSERT_EQ(test, map(f, at[i], size, size, 1, RW), 0);
			KUNIT_EXPECT_EQ(test, unmap_one(f, at[i], size), size);
		}
	}
	/* A range of that size which is smaller leaves, or a table without any. */
	KUNIT_ASSERT_EQ(test, map(f, 0, 0, SZ_4K, SZ_2M / SZ_4K, RW), 0);
	for_each_set_bit(lg2, &sizes, 64)
		if (lg2 > 12)
			KUNIT_EXPECT_FALSE(test,
					   rviommu_pgtable_unmap_leaf(&f->pt, 0, 1ULL << lg2));
	KUNIT_EXPECT_EQ(test, total(f).bytes, SZ_2M);
	KUNIT_EXPECT_EQ(test, unmap(f, 0, SZ_4K, SZ_2M / SZ_4K), SZ_2M);
	KUNIT_EXPECT_FALSE(test, rviommu_pgtable_unmap_leaf(&f->pt, 0, SZ_2M));
}

/* --- splitting -------------------------------------------------------- */

/* A piece of each size out of each larger leaf, at its start, middle and end. */
static void pgtable_split(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long sizes = f->pt.pgsizes;
	unsigned int lg2, small, where, leaf_lg2, i;

	for_each_set_bit(lg2, &sizes, 64) {
		const u64 size = 1ULL << lg2, iova = size, pa = 3 * size;

		for_each_set_bit(small, &sizes, lg2) {
			const u64 piece = 1ULL << small;
			const u64 offs[] = { 0, size / 2, size - piece };

			for (where = 0; where < ARRAY_SIZE(offs); where++) {
				const u64 off = offs[where];
				const u64 near[] = { 0, off - SZ_4K, off - 1, off + piece,
						     off + piece + SZ_64K, off + piece + SZ_2M,
						     off ^ (size / 2), size / 3, size - 1 };

				KUNIT_ASSERT_EQ(test, map(f, iova, pa, size, 1, RW), 0);
				f->syncs = 0;
				KUNIT_EXPECT_EQ(test, unmap_lg2(f, iova + off, piece, 1, &leaf_lg2),
						piece);
				KUNIT_EXPECT_EQ(test, f->syncs, 0);
				/* What was removed is of a size that tables have. */
				KUNIT_EXPECT_EQ(test, leaf_lg2, small == 16 ? 12 : small);
				KUNIT_EXPECT_FALSE(test, is_mapped(f, iova + off));
				KUNIT_EXPECT_FALSE(test, is_mapped(f, iova + off + piece / 2));
				KUNIT_EXPECT_FALSE(test, is_mapped(f, iova + off + piece - 1));
				for (i = 0; i < ARRAY_SIZE(near); i++) {
					struct translation t;

					if (near[i] >= size || near[i] - off < piece)
						continue;
					t = translate(&f->pt, iova + near[i]);
					expect_at(f, iova + near[i], pa + near[i], RW, t.lg2);
				}
				KUNIT_EXPECT_EQ(test, total(f).bytes, size - piece);
				/* The rest goes in two calls, the hole ends the first. */
				if (off)
					KUNIT_EXPECT_EQ(test, unmap(f, iova, size, 1), off);
				if (off + piece < size)
					KUNIT_EXPECT_EQ(test,
							unmap(f, iova + off + piece, piece,
							      (size - off - piece) >> small),
							size - off - piece);
				KUNIT_EXPECT_EQ(test, total(f).leaves, 0);
			}
		}
	}
}

/* A range that begins in one large leaf and ends in another. */
static void pgtable_split_both_ends(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long sizes = f->pt.pgsizes;
	unsigned int lg2;

	for_each_set_bit(lg2, &sizes, 31) {
		const u64 size = 1ULL << lg2;
		const u64 last = 2 * size + SZ_4K;

		if (lg2 == 12)
			continue;
		KUNIT_ASSERT_EQ(test, map(f, 0, size, size, 3, RW), 0);
		KUNIT_EXPECT_EQ(test, unmap(f, size - SZ_4K, SZ_4K, (last - size) / SZ_4K + 1),
				last - size + SZ_4K);
		expect_at(f, size - SZ_4K - 1, 2 * size - SZ_4K - 1, RW,
			  translate(&f->pt, size - SZ_4K - 1).lg2);
		KUNIT_EXPECT_FALSE(test, is_mapped(f, size - SZ_4K));
		KUNIT_EXPECT_FALSE(test, is_mapped(f, size));
		KUNIT_EXPECT_FALSE(test, is_mapped(f, last - 1));
		expect_at(f, last, size + last, RW, translate(&f->pt, last).lg2);
		KUNIT_EXPECT_EQ(test, total(f).bytes, 2 * size - 2 * SZ_4K);
		KUNIT_EXPECT_EQ(test, unmap(f, 0, SZ_4K, size / SZ_4K - 1), size - SZ_4K);
		KUNIT_EXPECT_EQ(test, unmap(f, last, SZ_4K, size / SZ_4K - 1), size - SZ_4K);
		KUNIT_EXPECT_EQ(test, total(f).leaves, 0);
	}
}

/* A and D of a large leaf are the A and D of all its pieces. */
static void pgtable_split_keeps_dirty(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long sizes = f->pt.pgsizes;
	unsigned int lg2, i;

	if (!f->fmt->dirty)
		kunit_skip(test, "D is always set");
	for_each_set_bit(lg2, &sizes, 64) {
		const u64 size = 1ULL << lg2;
		u64 *pte;

		if (lg2 == 12)
			continue;
		KUNIT_ASSERT_EQ(test, map(f, 0, size, size, 1, RW), 0);
		/* In a group of 16 it is any one of them. */
		pte = translate(&f->pt, lg2 == 16 ? 5 * SZ_4K : 0).pte;
		WRITE_ONCE(*pte, READ_ONCE(*pte) | 128);
		KUNIT_EXPECT_EQ(test, unmap(f, size / 2, SZ_4K, 1), SZ_4K);
		for (i = 0; i < 16; i++) {
			u64 at = i * (size / 16);

			if (at != size / 2)
				KUNIT_EXPECT_TRUE_MSG(test, translate(&f->pt, at).d, "%u of 2^%u",
						      i, lg2);
		}
		unmap(f, 0, SZ_4K, size / 2 / SZ_4K);
		unmap(f, size / 2 + SZ_4K, SZ_4K, size / 2 / SZ_4K - 1);
	}
}

/* "Hardware" writes to the page at @iova: finds the leaf and sets D by CAS. */
static bool set_dirty(struct rviommu_pgtable *pt, u64 iova)
{
	struct translation t;
	bool done = false;

	rcu_read_lock();
	do {
		u64 old;

		t = translate(pt, iova);
		if (!t.valid)
			break;
		old = READ_ONCE(*t.pte);
		/* What was walked must be what is marked. */
		if (!(old & 1) || !(old & 14))
			continue;
		done = try_cmpxchg(t.pte, &old, old | 128);
	} while (!done);
	rcu_read_unlock();
	return done;
}

/* Instead of rviommu_pgtable_seam(): what is to happen at step number @fail_at. */
static void act_at_step(const u64 *e)
{
	struct fixture *f = kunit_get_current_test()->priv;

	if (f->allocs++ == f->fail_at) {
		f->fail_at = -1;
		f->meddle(f);
	}
}

/* Let @act come between the reading and the replacement of live entry number @n. */
static void act_within(struct fixture *f, long n, void (*act)(struct fixture *f))
{
	f->allocs = 0;
	f->fail_at = n;
	f->meddle = act;
	kunit_activate_static_stub(f->test, rviommu_pgtable_seam, act_at_step);
}

/* Returns whether it came to that. */
static bool act_no_more(struct fixture *f)
{
	const bool acted = f->fail_at == -1;

	kunit_deactivate_static_stub(f->test, rviommu_pgtable_seam);
	f->fail_at = -1;
	f->meddle = NULL;
	return acted;
}

static void write_now(struct fixture *f)
{
	set_dirty(&f->pt, 0x1000);
}

/* Hardware writes after the driver has read the leaf or filled the table, before it replaces it. */
static void pgtable_split_meets_write(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long sizes = f->pt.pgsizes;
	unsigned int lg2, n;

	if (!f->fmt->dirty)
		kunit_skip(test, "D is always set");
	for_each_set_bit(lg2, &sizes, 64) {
		const u64 size = 1ULL << lg2;

		if (lg2 < 21)
			continue;
		for (n = 0; n < 3; n++) {
			KUNIT_ASSERT_EQ(test, map(f, 0, size, size, 1, RW), 0);
			f->meddle = write_now;
			if (n < 2)
				fail_allocation(f, n);
			else
				act_within(f, 0, write_now);
			KUNIT_EXPECT_EQ(test, unmap(f, 0, SZ_4K, 1), SZ_4K);
			KUNIT_EXPECT_EQ(test, f->fail_at, -1);
			if (n < 2)
				fail_no_more(f);
			else
				act_no_more(f);
			KUNIT_EXPECT_TRUE(test, translate(&f->pt, 0x1000).d);
			KUNIT_EXPECT_TRUE(test, translate(&f->pt, size - 1).d);
			unmap(f, SZ_4K, SZ_4K, size / SZ_4K - 1);
		}
	}
}

/* A number that threads wait for. */
struct gate {
	wait_queue_head_t queue;
	atomic_t n;
};

static void gate_init(struct gate *g)
{
	init_waitqueue_head(&g->queue);
	atomic_set(&g->n, 0);
}

static void gate_add(struct gate *g)
{
	atomic_inc_return_release(&g->n);
	wake_up_all(&g->queue);
}

static bool gate_passed(struct gate *g, int n)
{
	return atomic_read_acquire(&g->n) >= n;
}

static void gate_wait(struct gate *g, int n)
{
	wait_event(g->queue, gate_passed(g, n));
}

/* A thread that may end before it is told to, for kthread_stop_put(). */
static struct task_struct *thread_run(int (*fn)(void *arg), void *arg, const char *name)
{
	struct task_struct *task = kthread_create(fn, arg, "%s", name);

	if (!IS_ERR(task)) {
		get_task_struct(task);
		wake_up_process(task);
	}
	return task;
}

static void write_to_page(struct fixture *f)
{
	f->wide = translate(&f->pt, f->page * SZ_4K).lg2 == 16;
	KUNIT_EXPECT_TRUE(f->test, set_dirty(&f->pt, f->page * SZ_4K));
}

/*
 * The same to each page at each step of the replacement of a NAPOT group. An entry of the
 * group may have been marked for any of its pages.
 */
static void pgtable_napot_split_meets_write(struct kunit *test)
{
	struct fixture *f = test->priv;
	bool acted;
	long n;

	if (!f->fmt->dirty || !f->fmt->napot)
		kunit_skip(test, "D is always set, or there are no groups");
	for (f->page = 1; f->page < 16; f->page++) {
		for (n = 0, acted = true; acted; n++) {
			unsigned int i;

			KUNIT_ASSERT_EQ(test, map(f, 0, SZ_64K, SZ_64K, 1, RW), 0);
			act_within(f, n, write_to_page);
			KUNIT_EXPECT_EQ(test, unmap(f, 0, SZ_4K, 1), SZ_4K);
			acted = act_no_more(f);
			for (i = 1; i < 16; i++) {
				struct translation t = translate(&f->pt, i * SZ_4K);

				if (acted && (f->wide || i == f->page))
					KUNIT_EXPECT_TRUE_MSG(test, t.d, "page %u of %u", i,
							      f->page);
				KUNIT_EXPECT_EQ(test, t.pa, SZ_64K + i * SZ_4K);
				KUNIT_EXPECT_EQ(test, t.lg2, 12);
			}
			unmap(f, SZ_4K, SZ_4K, 15);
		}
		KUNIT_EXPECT_GT(test, n, 16);
	}
}

#define WRITER_PAGES	16
#define WRITER_ROUNDS	60

struct writer {
	struct rviommu_pgtable *pt;
	u64 step;
	struct gate mapped, writing, split, written;
	DECLARE_BITMAP(wrote, WRITER_PAGES);
};

/* In each round writes to every page but number 0, until that one is unmapped. */
static int writer(void *arg)
{
	struct writer *w = arg;
	int round, page;

	for (round = 1; round <= WRITER_ROUNDS; round++) {
		bool last;

		gate_wait(&w->mapped, round);
		/* Odd rounds write before the split, too; even ones leave D to the race. */
		if (round & 1)
			for (page = 1; page < WRITER_PAGES; page += 5)
				set_dirty(w->pt, page * w->step);
		gate_add(&w->writing);
		do {
			last = gate_passed(&w->split, round);
			for (page = WRITER_PAGES - 1; page > 0; page--)
				if (set_dirty(w->pt, page * w->step))
					__set_bit(page, w->wrote);
			cond_resched();
		} while (!last);
		gate_add(&w->written);
	}
	return 0;
}

/* The same with a device that writes all the time. */
static void pgtable_split_races_writes(struct kunit *test)
{
	struct fixture *f = test->priv;
	static const unsigned int lg2s[] = { 16, 21, 30 };
	struct writer *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	unsigned int round, page, lost = 0;
	struct task_struct *task;

	KUNIT_ASSERT_NOT_NULL(test, w);
	w->pt = &f->pt;
	gate_init(&w->mapped);
	gate_init(&w->writing);
	gate_init(&w->split);
	gate_init(&w->written);
	task = thread_run(writer, w, "rviommu_writer");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));

	for (round = 1; round <= WRITER_ROUNDS; round++) {
		unsigned int lg2 = lg2s[round % ARRAY_SIZE(lg2s)];
		u64 size;

		if (lg2 == 16 && !f->fmt->napot)
			lg2 = 21;
		size = 1ULL << lg2;
		w->step = size / WRITER_PAGES;
		bitmap_zero(w->wrote, WRITER_PAGES);
		KUNIT_EXPECT_EQ(test, map(f, 0, size, size, 1, RW), 0);
		gate_add(&w->mapped);
		gate_wait(&w->writing, round);
		KUNIT_EXPECT_EQ(test, unmap(f, 0, SZ_4K, 1), SZ_4K);
		gate_add(&w->split);
		gate_wait(&w->written, round);
		for (page = 1; page < WRITER_PAGES; page++) {
			if (!test_bit(page, w->wrote) || !translate(&f->pt, page * w->step).d)
				lost++;
		}
		unmap(f, SZ_4K, SZ_4K, size / SZ_4K - 1);
	}
	kthread_stop_put(task);
	KUNIT_EXPECT_EQ(test, lost, 0);
}

/*
 * A group of sixteen that two unmap parts of: four pages from @mine and four from @other. What is
 * to be seen of it when both are through, @remap: and the other has mapped its part again.
 */
static void expect_parts(struct fixture *f, unsigned int mine, unsigned int other, bool remap)
{
	/* Page 7 is neither's. */
	const u64 *table = last_table(f, 7 * SZ_4K);
	struct kunit *test = f->test;
	unsigned int i;

	for (i = 0; i < 16; i++) {
		struct translation t = translate(&f->pt, i * SZ_4K);

		if (i - mine < 4 || (i - other < 4 && !remap)) {
			KUNIT_EXPECT_EQ_MSG(test, table[i], 0, "page %u", i);
			continue;
		}
		KUNIT_EXPECT_TRUE_MSG(test, t.valid, "page %u", i);
		KUNIT_EXPECT_EQ_MSG(test, t.lg2, 12, "page %u", i);
		if (i - other < 4) {
			KUNIT_EXPECT_EQ_MSG(test, t.pa, SZ_1G + i * SZ_4K, "page %u", i);
			KUNIT_EXPECT_FALSE(test, t.d || t.w);
		} else {
			KUNIT_EXPECT_EQ_MSG(test, t.pa, SZ_64K + i * SZ_4K, "page %u", i);
		}
	}
}

/*
 * After an unmap of a part no entry may be left of which hardware makes a translation of the whole
 * group ("Svnapot": cached "for any or all j"), whoever else is replacing them at the moment: the
 * invalidation that comes next is the last one for that part.
 */
static bool group_is_gone(struct fixture *f)
{
	unsigned int i;

	for (i = 0; i < 16; i++)
		if (translate(&f->pt, i * SZ_4K).lg2 == 16)
			return false;
	return true;
}

static void unmap_four_pages(struct fixture *f)
{
	const u64 iova = f->page * SZ_4K;
	struct kunit *test = f->test;
	unsigned int i;

	if (f->fmt->dirty)
		KUNIT_EXPECT_TRUE(test, set_dirty(&f->pt, 7 * SZ_4K));
	for (i = 0; i < 4; i++) {
		KUNIT_EXPECT_EQ(test, unmap_one(f, iova + i * SZ_4K, SZ_4K), SZ_4K);
		KUNIT_EXPECT_TRUE(test, group_is_gone(f));
	}
	if (f->remap)
		KUNIT_EXPECT_EQ(test, map(f, iova, SZ_1G + iova, SZ_4K, 4, IOMMU_READ), 0);
}

/* One unmap of a part of a NAPOT group comes between any two steps of another. */
static void pgtable_napot_splits_meet(struct kunit *test)
{
	static const struct {
		unsigned int mine, other;
	} parts[] = { { 0, 12 }, { 12, 0 }, { 8, 3 }, { 3, 8 } };
	struct fixture *f = test->priv;
	unsigned int i;
	bool acted;
	long n;

	if (!f->fmt->napot)
		kunit_skip(test, "there are no groups");
	for (i = 0; i < 2 * ARRAY_SIZE(parts); i++) {
		const unsigned int mine = parts[i / 2].mine;

		f->page = parts[i / 2].other;
		f->remap = i & 1;
		for (n = 0, acted = true; acted; n++) {
			KUNIT_ASSERT_EQ(test, map(f, 0, SZ_64K, SZ_64K, 1, RW), 0);
			act_within(f, n, unmap_four_pages);
			KUNIT_EXPECT_EQ(test, unmap(f, mine * SZ_4K, SZ_4K, 4), 4 * SZ_4K);
			acted = act_no_more(f);
			KUNIT_EXPECT_TRUE(test, group_is_gone(f));
			if (!acted)
				break;
			expect_parts(f, mine, f->page, f->remap);
			if (f->fmt->dirty)
				KUNIT_EXPECT_TRUE(test, translate(&f->pt, 7 * SZ_4K).d);
			unmap_all(f, SZ_64K);
			KUNIT_ASSERT_EQ(test, total(f).leaves, 0);
		}
		unmap_all(f, SZ_64K);
		KUNIT_EXPECT_GT(test, n, 16);
	}
}

/**
 * struct duel - two unmaps of one leaf, both stopped in the middle
 * @f: the fixture
 * @other: the thread of the second one
 * @round: counts from 1
 * @at: step before which each of the two is stopped
 * @steps: steps that each has taken
 * @over: there is no further round
 * @done: bytes that @other unmapped
 * @start: @other may begin
 * @stopped: @other has stopped, or ended
 * @resume: @other may go on
 * @end: @other has ended
 */
struct duel {
	struct fixture *f;
	struct task_struct *other;
	int round;
	long at[2], steps[2];
	bool over;
	size_t done;
	struct gate start, stopped, resume, end;
};

/*
 * Instead of rviommu_pgtable_seam(), for both. That is in an RCU section, which may be left
 * here: nobody takes the table of this group out.
 */
static void duel_step(const u64 *e)
{
	struct duel *d = ((struct fixture *)kunit_get_current_test()->priv)->duel;

	rcu_read_unlock();
	if (current == d->other) {
		if (d->steps[1]++ == d->at[1]) {
			gate_add(&d->stopped);
			gate_wait(&d->resume, d->round);
		}
	} else if (d->steps[0]++ == d->at[0]) {
		gate_add(&d->start);
		gate_wait(&d->stopped, d->round);
	}
	rcu_read_lock();
}

static int duel_other(void *arg)
{
	struct duel *d = arg;
	struct rviommu_unmapped u = { .tables = LIST_HEAD_INIT(u.tables) };
	int round;

	/* Stubs are of the test that a thread belongs to. */
	current->kunit_test = d->f->test;
	for (round = 1;; round++) {
		gate_wait(&d->start, round);
		if (d->over)
			break;
		d->done = rviommu_pgtable_unmap(&d->f->pt, 12 * SZ_4K, SZ_4K, 4, &u);
		if (d->steps[1] <= d->at[1])
			gate_add(&d->stopped);
		gate_add(&d->end);
	}
	current->kunit_test = NULL;
	return 0;
}

/* The one stops at step @mine, the other at step @other, then the one ends. */
static bool duel_round(struct duel *d, long mine, long other)
{
	struct fixture *f = d->f;
	struct kunit *test = f->test;
	int ret = map(f, 0, SZ_64K, SZ_64K, 1, RW);
	unsigned int i;

	KUNIT_EXPECT_EQ(test, ret, 0);
	if (ret)
		return false;
	/* Before: then all pages of the group have it. */
	if (f->fmt->dirty && mine & 1)
		KUNIT_EXPECT_TRUE(test, set_dirty(&f->pt, 5 * SZ_4K));
	d->round++;
	d->at[0] = mine;
	d->at[1] = other;
	d->steps[0] = 0;
	d->steps[1] = 0;
	KUNIT_EXPECT_EQ(test, unmap(f, 0, SZ_4K, 4), 4 * SZ_4K);
	KUNIT_EXPECT_TRUE(test, group_is_gone(f));
	if (f->fmt->dirty && other & 1)
		KUNIT_EXPECT_TRUE(test, set_dirty(&f->pt, 7 * SZ_4K));
	if (d->steps[0] <= d->at[0])
		gate_add(&d->start);
	gate_add(&d->resume);
	gate_wait(&d->end, d->round);
	KUNIT_EXPECT_EQ(test, d->done, 4 * SZ_4K);
	KUNIT_EXPECT_TRUE(test, group_is_gone(f));
	expect_parts(f, 0, 12, false);
	if (f->fmt->dirty && other & 1)
		KUNIT_EXPECT_TRUE(test, translate(&f->pt, 7 * SZ_4K).d);
	for (i = 4; f->fmt->dirty && mine & 1 && i < 12; i++)
		KUNIT_EXPECT_TRUE_MSG(test, translate(&f->pt, i * SZ_4K).d, "page %u", i);
	unmap_all(f, SZ_64K);
	return true;
}

/* Each of two unmaps of parts of a NAPOT group is between any two steps of the other. */
static void pgtable_napot_splits_interleave(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct duel *d = kunit_kzalloc(test, sizeof(*d), GFP_KERNEL);
	long mine, other;
	bool ok = true;

	if (!f->fmt->napot)
		kunit_skip(test, "there are no groups");
	KUNIT_ASSERT_NOT_NULL(test, d);
	d->f = f;
	f->duel = d;
	gate_init(&d->start);
	gate_init(&d->stopped);
	gate_init(&d->resume);
	gate_init(&d->end);
	d->other = thread_run(duel_other, d, "rviommu_duel");
	KUNIT_ASSERT_FALSE(test, IS_ERR(d->other));
	/* Tables are there: nothing but the replacement counts. */
	KUNIT_EXPECT_EQ(test, map(f, 0, SZ_64K, SZ_64K, 1, RW), 0);
	unmap_all(f, SZ_64K);
	kunit_activate_static_stub(test, rviommu_pgtable_seam, duel_step);
	for (mine = 0; ok && mine <= d->steps[0]; mine++) {
		d->steps[1] = 0;
		for (other = 0; ok && other <= d->steps[1]; other++)
			ok = duel_round(d, mine, other);
	}
	KUNIT_EXPECT_GT(test, d->round, 16 * 16);
	kunit_deactivate_static_stub(test, rviommu_pgtable_seam);
	d->over = true;
	gate_add(&d->start);
	kthread_stop_put(d->other);
}

#define SPLIT_ROUNDS	50

/**
 * struct splitter - one of two who unmap parts of one leaf at once
 * @pt: the page table
 * @task: the thread
 * @begin: opens each round
 * @end: counts who has ended
 * @arrived: counts who has begun
 * @lg2: size of the leaf in this round
 * @place: sixteenth of the leaf that its part begins with
 * @errors: unmaps that did not do what they should
 */
struct splitter {
	struct rviommu_pgtable *pt;
	struct task_struct *task;
	struct gate *begin, *end;
	atomic_t *arrived;
	const unsigned int *lg2;
	unsigned int place;
	unsigned int errors;
};

static int splitter(void *arg)
{
	struct splitter *s = arg;
	struct rviommu_unmapped u = { .tables = LIST_HEAD_INIT(u.tables) };
	unsigned int round, spin;

	for (round = 1; round <= SPLIT_ROUNDS; round++) {
		u64 step;

		gate_wait(s->begin, round);
		step = 1ULL << (*s->lg2 - 4);
		/* They rather meet if they wait for each other, but need not. */
		atomic_inc(s->arrived);
		for (spin = 0; spin < 2000 && atomic_read(s->arrived) < 2 * round; spin++)
			cpu_relax();
		if (rviommu_pgtable_unmap(s->pt, s->place * step, SZ_4K, 4 * step / SZ_4K, &u) !=
		    4 * step)
			s->errors++;
		rviommu_page_retire(&u.tables);
		gate_add(s->end);
	}
	return 0;
}

/* The same on two CPUs, with a device that writes, in leaves of each size. */
static void pgtable_splits_race(struct kunit *test)
{
	static const unsigned int lg2s[] = { 16, 21, 16, 30 };
	struct fixture *f = test->priv;
	struct splitter *s = kunit_kcalloc(test, 2, sizeof(*s), GFP_KERNEL);
	struct gate *gates = kunit_kcalloc(test, 2, sizeof(*gates), GFP_KERNEL);
	unsigned int n, round, i, lg2, wrong = 0, lost = 0;
	atomic_t arrived = ATOMIC_INIT(0);

	if (!f->fmt->napot)
		kunit_skip(test, "there are no groups");
	KUNIT_ASSERT_NOT_NULL(test, s);
	KUNIT_ASSERT_NOT_NULL(test, gates);
	gate_init(&gates[0]);
	gate_init(&gates[1]);
	for (n = 0; n < 2; n++) {
		s[n] = (struct splitter) {
			.pt = &f->pt, .begin = &gates[0], .end = &gates[1], .arrived = &arrived,
			.lg2 = &lg2, .place = 12 * n,
		};
		s[n].task = thread_run(splitter, &s[n], "rviommu_splitter");
		if (IS_ERR(s[n].task))
			break;
	}
	KUNIT_EXPECT_EQ(test, n, 2);
	for (round = 1; round <= SPLIT_ROUNDS; round++) {
		u64 step;

		lg2 = lg2s[round % ARRAY_SIZE(lg2s)];
		step = 1ULL << (lg2 - 4);
		KUNIT_EXPECT_EQ(test, map(f, 0, 16 * step, 16 * step, 1, RW), 0);
		gate_add(&gates[0]);
		for (i = 0; i < 20; i++)
			set_dirty(&f->pt, (4 + i % 8) * step);
		gate_wait(&gates[1], n * round);
		for (i = 0; i < 16; i++) {
			struct translation t = translate(&f->pt, i * step);
			const bool there = i / 4 == 1 || i / 4 == 2;

			if (t.valid != there || (there && t.pa != (16 + i) * step) || t.lg2 == 16)
				wrong++;
			if (there && !t.d)
				lost++;
		}
		unmap_all(f, 16 * step);
		/* Entries that are not 0 can never be mapped again. */
		KUNIT_EXPECT_EQ(test, total(f).leaves, 0);
	}
	for (i = 0; i < n; i++) {
		kthread_stop_put(s[i].task);
		wrong += s[i].errors;
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, lost, 0);
}

static void unmap_other_part(struct fixture *f)
{
	KUNIT_EXPECT_EQ(f->test, unmap(f, SZ_1G - SZ_4K, SZ_4K, 1), SZ_4K);
}

/* Two unmaps split one leaf: one of them comes second at each point. */
static void pgtable_split_race_lost(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int n;

	/* The other comes when memory is asked for, or when the new table is ready. */
	for (n = 0; n < 6; n++) {
		KUNIT_ASSERT_EQ(test, map(f, 0, SZ_1G, SZ_1G, 1, RW), 0);
		f->meddle = unmap_other_part;
		if (n < 4)
			fail_allocation(f, n);
		else
			act_within(f, n - 4, unmap_other_part);
		KUNIT_EXPECT_EQ(test, unmap(f, 0, SZ_4K, 1), SZ_4K);
		KUNIT_EXPECT_EQ(test, f->fail_at, -1);
		if (n < 4)
			fail_no_more(f);
		else
			act_no_more(f);
		KUNIT_EXPECT_FALSE(test, is_mapped(f, 0));
		KUNIT_EXPECT_FALSE(test, is_mapped(f, SZ_1G - SZ_4K));
		expect_at(f, SZ_4K, SZ_1G + SZ_4K, RW, 12);
		expect_at(f, SZ_1G - SZ_4K - 1, 2 * (u64)SZ_1G - SZ_4K - 1, RW, 12);
		KUNIT_EXPECT_EQ(test, total(f).bytes, SZ_1G - 2 * SZ_4K);
		unmap(f, SZ_4K, SZ_4K, SZ_1G / SZ_4K - 2);
	}
}

/* --- large leaves over tables ----------------------------------------- */

static void pgtable_leaf_over_empty_table(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long sizes = f->pt.pgsizes & ~(unsigned long)(SZ_4K | SZ_64K);
	unsigned int lg2, half;

	for_each_set_bit(lg2, &sizes, 64) {
		const u64 size = 1ULL << lg2;

		for (half = 0; half < (f->fmt->second ? 1 : 2); half++) {
			const u64 iova = half ? -4 * size : 4 * size;
			const unsigned int levels = (lg2 - 12) / 9;
			const unsigned int syncs = f->syncs;
			long before;

			KUNIT_ASSERT_EQ(test, map(f, iova + size / 2, 0, SZ_4K, 1, RW), 0);
			KUNIT_ASSERT_EQ(test, unmap(f, iova + size / 2, SZ_4K, 1), SZ_4K);
			before = tables(&f->pt);
			/* The neighbours have no table and cost no call. */
			KUNIT_EXPECT_EQ(test, map(f, iova - size, size, size, 3, RW), 0);
			KUNIT_EXPECT_EQ(test, f->syncs, syncs + 1);
			KUNIT_EXPECT_EQ(test, f->sync_iova, iova);
			KUNIT_EXPECT_EQ(test, f->sync_lg2, lg2);
			KUNIT_EXPECT_FALSE(test, f->sync_saw_leaf);
			expect_leaf(f, iova - size, size, RW, lg2);
			expect_leaf(f, iova, 2 * size, RW, lg2);
			expect_leaf(f, iova + size, 3 * size, RW, lg2);
			KUNIT_EXPECT_EQ(test, tables(&f->pt), before - levels);
			KUNIT_EXPECT_EQ(test, unmap(f, iova - size, size, 3), 3 * size);
		}
	}
}

static void pgtable_leaf_over_used_table(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long sizes = f->pt.pgsizes;
	unsigned int lg2, small, i;

	for_each_set_bit(lg2, &sizes, 64) {
		const u64 size = 1ULL << lg2, iova = 2 * size;

		for_each_set_bit(small, &sizes, lg2) {
			const u64 piece = 1ULL << small;
			const u64 offs[] = { 0, size / 2, size - piece };

			for (i = 0; i < ARRAY_SIZE(offs); i++) {
				long before;

				KUNIT_ASSERT_EQ(test, map(f, iova + offs[i], SZ_512G, piece, 1,
							  IOMMU_READ), 0);
				before = tables(&f->pt);
				f->syncs = 0;
				KUNIT_EXPECT_EQ(test, map(f, iova, size, size, 1, RW),
						-EADDRINUSE);
				KUNIT_EXPECT_EQ(test, tables(&f->pt), before);
				KUNIT_EXPECT_EQ(test, f->syncs, 0);
				expect_leaf(f, iova + offs[i], SZ_512G, IOMMU_READ, small);
				KUNIT_EXPECT_EQ(test, total(f).leaves, 1);
				KUNIT_EXPECT_EQ(test, unmap(f, iova + offs[i], piece, 1), piece);
			}
		}
	}
}

/* All 16 entries of a NAPOT group are equal, and each is in the way of one. */
static void pgtable_napot(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i;

	if (!f->fmt->napot) {
		KUNIT_EXPECT_EQ(test, map(f, 0, 0, SZ_64K, 1, RW), -EINVAL);
		return;
	}
	KUNIT_ASSERT_EQ(test, map(f, SZ_64K, SZ_1G, SZ_64K, 1, RW), 0);
	for (i = 1; i < 16; i++)
		KUNIT_EXPECT_EQ(test, *translate(&f->pt, SZ_64K + i * SZ_4K).pte,
				*translate(&f->pt, SZ_64K).pte);
	KUNIT_EXPECT_EQ(test, unmap(f, SZ_64K, SZ_4K, 16), SZ_64K);

	for (i = 0; i < 16; i++) {
		KUNIT_ASSERT_EQ(test, map(f, SZ_64K + i * SZ_4K, SZ_1G, SZ_4K, 1, RW), 0);
		KUNIT_EXPECT_EQ(test, map(f, SZ_64K, SZ_2M, SZ_64K, 1, RW), -EADDRINUSE);
		KUNIT_EXPECT_EQ(test, total(f).leaves, 1);
		expect_leaf(f, SZ_64K + i * SZ_4K, SZ_1G, RW, 12);
		KUNIT_EXPECT_EQ(test, unmap(f, SZ_64K + i * SZ_4K, SZ_4K, 1), SZ_4K);
	}
}

/* --- memory that goes while the table lives --------------------------- */

static void install_first(struct fixture *f)
{
	size_t mapped;

	/* In the RCU section of the other map. */
	KUNIT_EXPECT_EQ(f->test, rviommu_pgtable_map(&f->pt, f->sync_iova + SZ_4K, SZ_4K, SZ_4K, 1,
						     RW, GFP_ATOMIC, &mapped), 0);
}

/* Another map installs the table first, at each level: its own is freed at once. */
static void pgtable_install_race_lost(struct kunit *test)
{
	struct fixture *f = test->priv;
	const unsigned int root = 12 + 9 * (f->fmt->levels - 1);
	unsigned int n;

	for (n = 0; n < 2; n++) {
		const u64 iova = (u64)(n + 1) << root;

		f->sync_iova = iova;
		act_within(f, n, install_first);
		KUNIT_EXPECT_EQ(test, map(f, iova, SZ_2M, SZ_4K, 1, RW), 0);
		KUNIT_EXPECT_TRUE(test, act_no_more(f));
		expect_leaf(f, iova, SZ_2M, RW, 12);
		expect_leaf(f, iova + SZ_4K, SZ_4K, RW, 12);
		/* Without a grace period: nobody else ever saw it. */
		KUNIT_EXPECT_EQ(test, tables(&f->pt), 1 + (n + 1) * (f->fmt->levels - 1));
		KUNIT_EXPECT_EQ(test, rviommu_mem_live(), f->live + tables(&f->pt));
	}
}

/* A leaf over an empty table: not freed before the grace period, freed after it. */
static void pgtable_replaced_table_waits(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct rviommu_page *desc;
	long live, during;
	size_t mapped;
	u64 *table;
	bool same;
	int ret;

	KUNIT_ASSERT_EQ(test, map(f, SZ_2M, 0, SZ_4K, 1, RW), 0);
	table = last_table(f, SZ_2M);
	KUNIT_ASSERT_EQ(test, unmap(f, SZ_2M, SZ_4K, 1), SZ_4K);
	desc = rviommu_page_of(table);
	live = rviommu_mem_live();

	rcu_read_lock();
	ret = rviommu_pgtable_map(&f->pt, SZ_2M, SZ_2M, SZ_2M, 1, RW, GFP_ATOMIC, &mapped);
	during = rviommu_mem_live();
	same = during == live && rviommu_page_of(table) == desc && desc->virt == table &&
	       !READ_ONCE(table[0]);
	rcu_read_unlock();
	/* In that of this test */
	f->sync_in_rcu = false;
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_EQ(test, f->syncs, 1);
	KUNIT_EXPECT_EQ(test, during, live);
	KUNIT_EXPECT_TRUE(test, same);

	KUNIT_EXPECT_EQ(test, testdev_live(), live - 1);
}

/*
 * An unmap of whole tables: they are the caller's until it retires them, and
 * stay for a grace period after that.
 */
static void pgtable_unmapped_tables_wait(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct rviommu_unmapped unmapped = { .tables = LIST_HEAD_INIT(unmapped.tables) };
	struct list_head *pos;
	unsigned int n = 0;
	u64 *table, pte;
	long live, during;
	bool same;

	KUNIT_ASSERT_EQ(test, map(f, 0, 0, SZ_4K, SZ_1G / SZ_4K, RW), 0);
	table = last_table(f, SZ_2M);
	pte = table[3];
	live = rviommu_mem_live();

	KUNIT_EXPECT_EQ(test, rviommu_pgtable_unmap(&f->pt, 0, SZ_1G, 1, &unmapped), SZ_1G);
	list_for_each(pos, &unmapped.tables)
		n++;
	KUNIT_EXPECT_EQ(test, n, 513);
	KUNIT_EXPECT_FALSE(test, is_mapped(f, SZ_2M));
	KUNIT_EXPECT_EQ(test, testdev_live(), live);

	rcu_read_lock();
	rviommu_page_retire(&unmapped.tables);
	during = rviommu_mem_live();
	/* A walk that came in before goes on in an unchanged table. */
	same = during == live && READ_ONCE(table[3]) == pte &&
	       rviommu_page_of(table)->virt == table;
	rcu_read_unlock();
	KUNIT_EXPECT_TRUE(test, list_empty(&unmapped.tables));
	KUNIT_EXPECT_EQ(test, during, live);
	KUNIT_EXPECT_TRUE(test, same);

	KUNIT_EXPECT_EQ(test, testdev_live(), live - 513);
}

static void pgtable_destroy_waits(struct kunit *test)
{
	struct fixture *f = test->priv;
	long live, during;

	KUNIT_ASSERT_EQ(test, map(f, 0, 0, SZ_4K, 3000, RW), 0);
	KUNIT_ASSERT_EQ(test, map(f, SZ_1G, 0, SZ_2M, 3, RW), 0);
	live = rviommu_mem_live();
	rcu_read_lock();
	rviommu_pgtable_destroy(&f->pt);
	during = rviommu_mem_live();
	rcu_read_unlock();
	KUNIT_EXPECT_EQ(test, during, live);
	/* The rest is the exit's to check. */
}

/* --- no memory -------------------------------------------------------- */

/*
 * Fail each allocation of a map of @count pages, which change nothing but tables.
 * Each turn has a place without tables, across a boundary of all of them.
 */
static void fail_each_of_map(struct fixture *f, u64 *place, size_t size, size_t count)
{
	struct kunit *test = f->test;
	const unsigned int lg2 = __ffs(size);
	const u64 pa = SZ_512G;
	long n;

	for (n = 0;; n++) {
		const u64 iova = *place - size;
		size_t mapped, i;
		int ret;

		*place += 2ULL << (12 + 9 * (f->fmt->levels - 1));
		fail_allocation(f, n);
		ret = rviommu_pgtable_map(&f->pt, iova, pa, size, count, RW, GFP_KERNEL, &mapped);
		fail_no_more(f);
		/* No table that is not in the tree. */
		KUNIT_EXPECT_EQ(test, rviommu_mem_live(), f->live + tables(&f->pt));
		KUNIT_EXPECT_EQ(test, total(f).bytes, mapped);
		for (i = 0; i < mapped; i += size)
			expect_at(f, iova + i + 1, pa + i + 1, RW, lg2);
		if (mapped)
			KUNIT_EXPECT_EQ(test, unmap(f, iova, SZ_4K, mapped / SZ_4K), mapped);
		if (!ret)
			break;
		KUNIT_ASSERT_EQ(test, ret, -ENOMEM);
		KUNIT_EXPECT_TRUE(test, IS_ALIGNED(mapped, size));
		KUNIT_EXPECT_LT(test, mapped, size * count);
	}
	KUNIT_EXPECT_GE(test, n, 2 * ((long)f->fmt->levels - 1 - (lg2 - 12) / 9));
}

static void pgtable_map_without_memory(struct kunit *test)
{
	struct fixture *f = test->priv;
	u64 place = 1ULL << (12 + 9 * (f->fmt->levels - 1));

	fail_each_of_map(f, &place, SZ_4K, 1);
	fail_each_of_map(f, &place, SZ_4K, 500);
	if (f->fmt->napot)
		fail_each_of_map(f, &place, SZ_64K, 30);
	fail_each_of_map(f, &place, SZ_2M, 2);
}

static void pgtable_split_without_memory(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long sizes = f->pt.pgsizes;
	unsigned int lg2;
	size_t done;
	long n;

	for_each_set_bit(lg2, &sizes, 64) {
		const u64 size = 1ULL << lg2;

		if (lg2 < 21)
			continue;
		for (n = 0;; n++) {
			/* A leaf that goes without memory, then the one to split. */
			KUNIT_ASSERT_EQ(test, map(f, 0, size, size, 2, RW), 0);
			fail_allocation(f, n);
			done = unmap(f, 0, SZ_4K, size / SZ_4K + 1);
			fail_no_more(f);
			if (done != size)
				break;
			KUNIT_EXPECT_FALSE(test, is_mapped(f, size - 1));
			expect_at(f, size, 2 * size, RW, translate(&f->pt, size).lg2);
			expect_at(f, 2 * size - 1, 3 * size - 1, RW,
				  translate(&f->pt, 2 * size - 1).lg2);
			KUNIT_EXPECT_EQ(test, total(f).bytes, size);
			KUNIT_EXPECT_EQ(test, unmap(f, size, size, 1), size);
		}
		KUNIT_EXPECT_EQ(test, done, size + SZ_4K);
		KUNIT_EXPECT_EQ(test, n, 2 * (lg2 - 12) / 9);
		unmap(f, size + SZ_4K, SZ_4K, size / SZ_4K - 1);
		KUNIT_EXPECT_EQ(test, total(f).leaves, 0);
	}
}

/* --- for_each --------------------------------------------------------- */

struct visited {
	unsigned int n, stop_after;
	struct {
		u64 iova, pte;
		unsigned int lg2;
	} v[64];
};

static int note(void *arg, u64 iova, u64 pte, unsigned int size_lg2)
{
	struct visited *v = arg;

	/* What for_each promises to a visitor that writes to user space. */
	might_sleep();
	if (v->n < ARRAY_SIZE(v->v)) {
		v->v[v->n].iova = iova;
		v->v[v->n].pte = pte;
		v->v[v->n].lg2 = size_lg2;
	}
	v->n++;
	return v->n == v->stop_after ? -ECANCELED : 0;
}

static void pgtable_visits(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct visited *v = kunit_kzalloc(test, sizeof(*v), GFP_KERNEL);
	const u64 half = 1ULL << half_lg2(f->fmt);
	struct {
		u64 iova;
		unsigned int lg2;
	} there[] = {
		{ 0, 12 }, { SZ_4K, 12 }, { SZ_64K, f->fmt->napot ? 16 : 12 },
		{ SZ_2M - SZ_4K, 12 }, { SZ_2M, 21 }, { SZ_1G, 30 }, { 3 * (u64)SZ_1G, 12 },
		{ half / 2, f->fmt->levels > 3 ? 39 : 30 }, { half - SZ_4K, 12 },
		/* first stage only */
		{ -half, 21 }, { -(u64)SZ_1G, 30 },
	};
	const unsigned int n = f->fmt->second ? ARRAY_SIZE(there) - 2 : ARRAY_SIZE(there);
	unsigned int i, j, k, from, to;

	KUNIT_ASSERT_NOT_NULL(test, v);
	for (i = 0; i < n; i++)
		KUNIT_ASSERT_EQ(test, map(f, there[i].iova, SZ_512G, 1ULL << there[i].lg2, 1, RW),
				0);

	/* From each to each, with the bounds at the edges of the leaves and inside. */
	for (from = 0; from < n; from++) {
		for (to = from; to < n; to++) {
			const u64 size[] = { 1ULL << there[from].lg2, 1ULL << there[to].lg2 };
			const u64 first[] = { there[from].iova, there[from].iova + size[0] / 2,
					      there[from].iova + size[0] - 1 };
			const u64 last[] = { there[to].iova, there[to].iova + size[1] - 1 };

			for (j = 0; j < ARRAY_SIZE(first) * ARRAY_SIZE(last); j++) {
				const u64 a = first[j % 3], b = last[j / 3];

				if (a > b)
					continue;
				memset(v, 0, sizeof(*v));
				KUNIT_EXPECT_EQ(test, rviommu_pgtable_for_each(&f->pt, a, b, note,
									       v), 0);
				KUNIT_ASSERT_EQ(test, v->n, to - from + 1);
				for (k = 0; k < v->n; k++) {
					u64 *pte = translate(&f->pt, there[from + k].iova).pte;

					KUNIT_EXPECT_EQ(test, v->v[k].iova, there[from + k].iova);
					KUNIT_EXPECT_EQ(test, v->v[k].lg2, there[from + k].lg2);
					KUNIT_EXPECT_EQ(test, v->v[k].pte, *pte);
				}
			}
		}
	}
	/* Nothing between them, nothing where no address is. */
	memset(v, 0, sizeof(*v));
	rviommu_pgtable_for_each(&f->pt, 2 * SZ_4K, SZ_64K - 1, note, v);
	rviommu_pgtable_for_each(&f->pt, 2 * (u64)SZ_1G, 3 * (u64)SZ_1G - 1, note, v);
	rviommu_pgtable_for_each(&f->pt, half, -half - 1, note, v);
	rviommu_pgtable_for_each(&f->pt, 5, 4, note, v);
	KUNIT_EXPECT_EQ(test, v->n, 0);
	/* A visitor ends it. */
	for (i = 1; i <= n; i++) {
		memset(v, 0, sizeof(*v));
		v->stop_after = i;
		KUNIT_EXPECT_EQ(test, rviommu_pgtable_for_each(&f->pt, 0, ~0ULL, note, v),
				-ECANCELED);
		KUNIT_EXPECT_EQ(test, v->n, i);
	}
}

/* --- against a model -------------------------------------------------- */

/* 32 MiB across the boundary of every level that the format has inside a half. */
#define MODEL_PAGES	SZ_8K
#define MODEL_OPS	1000
/* prot of the four kinds of mapping the model knows */
static const int model_prot[] = { IOMMU_READ, RW, RW | IOMMU_NOEXEC, IOMMU_READ | IOMMU_NOEXEC };

struct model {
	struct xarray pages;	/* page number -> PA page number << 2 | kind */
	u64 base;
};

/* How many pages from @first, at most @n, are there (@used) or free (!@used). */
static size_t model_run(struct model *m, size_t first, size_t n, bool used)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!!xa_load(&m->pages, first + i) != used)
			break;
	return i;
}

static void model_verify(struct fixture *f, struct model *m)
{
	struct kunit *test = f->test;
	size_t i, used = 0, wrong = 0;

	for (i = 0; i < MODEL_PAGES; i++) {
		const u64 iova = m->base + i * SZ_4K + 0x123;
		struct translation t = translate(&f->pt, iova);
		void *entry = xa_load(&m->pages, i);
		u64 pa = 0;

		if (t.valid != !!entry)
			wrong++;
		if (entry) {
			const int prot = model_prot[xa_to_value(entry) & 3];

			used++;
			pa = (xa_to_value(entry) >> 2) * SZ_4K + 0x123;
			if (t.pa != pa || !t.r || !t.a || t.w != !!(prot & IOMMU_WRITE) ||
			    t.x != !(prot & IOMMU_NOEXEC) ||
			    t.d != ((prot & IOMMU_WRITE) && !f->fmt->dirty))
				wrong++;
		}
		if (rviommu_pgtable_iova_to_phys(&f->pt, iova) != pa)
			wrong++;
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, total(f).bytes, used * SZ_4K);
}

static void pgtable_random(struct kunit *test)
{
	static const unsigned int lg2s[] = { 12, 12, 12, 12, 16, 16, 21 };
	struct fixture *f = test->priv;
	struct model m = { .base = 1ULL << (half_lg2(f->fmt) - 1) };
	unsigned int op, ops[4] = {};
	struct rnd_state rnd;

	m.base -= MODEL_PAGES / 2 * SZ_4K;
	if (!f->fmt->second)
		m.base = -m.base - MODEL_PAGES * SZ_4K;
	xa_init(&m.pages);
	prandom_seed_state(&rnd, 42 + f->fmt->levels);

	for (op = 0; op < MODEL_OPS; op++) {
		const unsigned int lg2 = lg2s[prandom_u32_state(&rnd) % ARRAY_SIZE(lg2s)];
		const size_t per = 1 << (lg2 - 12);
		size_t first = prandom_u32_state(&rnd) % MODEL_PAGES & -per;
		size_t count = 1 + prandom_u32_state(&rnd) % (lg2 == 12 ? 40 : 4);
		const u64 iova = m.base + first * SZ_4K;
		size_t i, want, got;

		if (!((1UL << lg2) & f->pt.pgsizes))
			continue;
		count = min(count, (MODEL_PAGES - first) / per);

		if (prandom_u32_state(&rnd) % 5 < 3) {
			const u32 kind = prandom_u32_state(&rnd) % 4;
			const u64 pa = (u64)(prandom_u32_state(&rnd) % SZ_1M) << (lg2 + 2);
			int ret;

			want = model_run(&m, first, count * per, false) & -per;
			ret = rviommu_pgtable_map(&f->pt, iova, pa, 1UL << lg2, count,
						  model_prot[kind], GFP_KERNEL, &got);
			KUNIT_ASSERT_EQ(test, ret, want == count * per ? 0 : -EADDRINUSE);
			KUNIT_ASSERT_EQ(test, got, want * SZ_4K);
			for (i = 0; i < want; i++)
				xa_store(&m.pages, first + i,
					 xa_mk_value((pa / SZ_4K + i) << 2 | kind), GFP_KERNEL);
			ops[ret ? 1 : 0]++;
		} else {
			want = model_run(&m, first, count * per, true);
			got = unmap(f, iova, 1UL << lg2, count);
			KUNIT_ASSERT_EQ(test, got, want * SZ_4K);
			for (i = 0; i < want; i++)
				xa_erase(&m.pages, first + i);
			ops[want == count * per ? 2 : 3]++;
		}
		if (op % 250 == 249)
			model_verify(f, &m);
	}
	model_verify(f, &m);
	/* All four outcomes happened often enough to mean something. */
	for (op = 0; op < ARRAY_SIZE(ops); op++)
		KUNIT_EXPECT_GT_MSG(test, ops[op], 20, "outcome %u", op);
	xa_destroy(&m.pages);
}

/* --- several at once -------------------------------------------------- */

#define RACERS		4
#define RACE_ROUNDS	40
#define RACE_TABLES	8
#define RACE_STEP	(SZ_512G / 2)	/* from new tables to new tables */

struct racer {
	struct fixture *f;
	struct task_struct *task;
	unsigned int id;
	struct gate *begin, *end;
	unsigned int errors;
};

/* Each maps every fourth page of new tables, all begin together. */
static int racer(void *arg)
{
	struct racer *r = arg;
	int round;
	u64 iova;

	for (round = 1; round <= RACE_ROUNDS; round++) {
		const u64 start = (u64)round * RACE_STEP;

		gate_wait(r->begin, round);
		for (iova = start + r->id * SZ_4K; iova < start + RACE_TABLES * SZ_2M;
		     iova += RACERS * SZ_4K) {
			size_t mapped;

			if (rviommu_pgtable_map(&r->f->pt, iova, iova + SZ_1G, SZ_4K, 1, RW,
						GFP_KERNEL, &mapped) || mapped != SZ_4K)
				r->errors++;
		}
		gate_add(r->end);
	}
	return 0;
}

static void pgtable_install_races(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct racer *r = kunit_kcalloc(test, RACERS, sizeof(*r), GFP_KERNEL);
	struct gate *gates = kunit_kcalloc(test, 2, sizeof(*gates), GFP_KERNEL);
	unsigned int i, n, wrong = 0;

	KUNIT_ASSERT_NOT_NULL(test, r);
	KUNIT_ASSERT_NOT_NULL(test, gates);
	gate_init(&gates[0]);
	gate_init(&gates[1]);
	for (n = 0; n < RACERS; n++) {
		r[n] = (struct racer) { .f = f, .id = n, .begin = &gates[0], .end = &gates[1] };
		r[n].task = thread_run(racer, &r[n], "rviommu_racer");
		if (IS_ERR(r[n].task))
			break;
	}
	for (i = 1; i <= RACE_ROUNDS; i++) {
		const u64 start = (u64)i * RACE_STEP;
		u64 iova;

		gate_add(&gates[0]);
		gate_wait(&gates[1], i * n);
		for (iova = start; iova < start + RACE_TABLES * SZ_2M; iova += SZ_4K)
			if (translate(&f->pt, iova).pa != iova + SZ_1G)
				wrong++;
		/* All pages are in the tree. */
		if (rviommu_mem_live() != f->live + tables(&f->pt))
			wrong++;
	}
	for (i = 0; i < n; i++) {
		kthread_stop_put(r[i].task);
		wrong += r[i].errors;
	}
	KUNIT_EXPECT_EQ(test, n, RACERS);
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

#define STRESS_OPS	3000
#define STRESS_OFFSET	(7 * SZ_512G)	/* PA minus IOVA of everything mapped */

struct stressor {
	struct fixture *f;
	struct task_struct *task;
	unsigned int id;
	struct gate *ended;
	struct gate *read;
	unsigned int errors;
	unsigned int hits;
};

/*
 * Maps and unmaps what is its own: one half of the pages of one table, and 2 MiB
 * next to the other's 2 MiB, as one leaf, as a full table, and in pieces.
 */
static int stress_mapper(void *arg)
{
	struct stressor *s = arg;
	struct rviommu_pgtable *pt = &s->f->pt;
	struct rviommu_unmapped u = { .tables = LIST_HEAD_INIT(u.tables) };
	const u64 pages = SZ_1G - SZ_2M + s->id * SZ_1M;
	const u64 block = SZ_1G + s->id * SZ_2M;
	struct rnd_state rnd;
	unsigned int op;
	size_t n;

	prandom_seed_state(&rnd, 7 + s->id);
	for (op = 0; op < STRESS_OPS; op++) {
		const u64 off = prandom_u32_state(&rnd) % 200 * SZ_4K;
		const unsigned int count = 1 + prandom_u32_state(&rnd) % 56;
		size_t small = SZ_4K;

		if (rviommu_pgtable_map(pt, pages + off, pages + off + STRESS_OFFSET, SZ_4K, count,
					RW, GFP_KERNEL, &n) || n != count * SZ_4K)
			s->errors++;
		if (rviommu_pgtable_iova_to_phys(pt, pages + off) != pages + off + STRESS_OFFSET)
			s->errors++;
		/* One CPU only has to get to see this, too. */
		if (op % 16 == 0)
			cond_resched();
		if (rviommu_pgtable_unmap(pt, pages + off, SZ_4K, count, &u) != n)
			s->errors++;
		if (rviommu_pgtable_iova_to_phys(pt, pages + off))
			s->errors++;

		switch (op % 4) {
		case 0:	/* a leaf, whole; the second time over an empty table */
			small = SZ_2M;
			fallthrough;
		case 1:	/* a table, whole */
			if (rviommu_pgtable_map(pt, block, block + STRESS_OFFSET, small,
						SZ_2M / small, RW, GFP_KERNEL, &n))
				s->errors++;
			if (rviommu_pgtable_unmap(pt, block, SZ_2M, 1, &u) != SZ_2M)
				s->errors++;
			break;
		case 2:	/* a leaf, in three pieces */
			if (rviommu_pgtable_map(pt, block, block + STRESS_OFFSET, SZ_2M, 1, RW,
						GFP_KERNEL, &n))
				s->errors++;
			n = rviommu_pgtable_unmap(pt, block + off, SZ_4K, count, &u);
			if (n != count * SZ_4K)
				s->errors++;
			if (off && rviommu_pgtable_unmap(pt, block, SZ_2M, 1, &u) != off)
				s->errors++;
			if (rviommu_pgtable_unmap(pt, block + off + n, SZ_4K,
						  (SZ_2M - off - n) / SZ_4K, &u) != SZ_2M - off - n)
				s->errors++;
			break;
		case 3:	/* NAPOT, broken */
			if (!s->f->fmt->napot)
				break;
			if (rviommu_pgtable_map(pt, block, block + STRESS_OFFSET, SZ_64K, 4, RW,
						GFP_KERNEL, &n))
				s->errors++;
			if (rviommu_pgtable_unmap(pt, block, SZ_4K, 23, &u) != 23 * SZ_4K)
				s->errors++;
			if (rviommu_pgtable_unmap(pt, block + 23 * SZ_4K, SZ_4K, 41, &u) !=
			    41 * SZ_4K)
				s->errors++;
			break;
		}
		/* The owner invalidates, then: */
		rviommu_page_retire(&u.tables);
		if (op % 16 == 8)
			cond_resched();
	}
	gate_add(s->ended);
	return 0;
}

static int stress_visit(void *arg, u64 iova, u64 pte, unsigned int size_lg2)
{
	struct stressor *s = arg;
	const u64 size = 1ULL << size_lg2;
	const bool napot = size_lg2 == 16;
	u64 pa = (pte >> 10 & ((1ULL << 44) - 1)) << 12;

	s->hits++;
	if (napot)
		pa &= -size;
	if (pa != iova + STRESS_OFFSET || napot != pte >> 63)
		s->errors++;
	return 0;
}

/* Reads everything all the time: nothing, or the one translation there is. */
static int stress_reader(void *arg)
{
	struct stressor *s = arg;
	struct rnd_state rnd;
	bool first = true;

	prandom_seed_state(&rnd, 99);
	do {
		unsigned int i;

		for (i = 0; i < 200; i++) {
			const u64 iova = SZ_1G - SZ_2M + prandom_u32_state(&rnd) % (3 * SZ_2M);
			const u64 pa = rviommu_pgtable_iova_to_phys(&s->f->pt, iova);

			if (pa && pa != iova + STRESS_OFFSET)
				s->errors++;
		}
		rviommu_pgtable_for_each(&s->f->pt, 0, ~0ULL, stress_visit, s);
		if (first)
			gate_add(s->read);
		first = false;
		cond_resched();
	} while (!gate_passed(s->ended, 2));
	return 0;
}

static void quiet_sync(struct rviommu_pgtable *pt, u64 iova, unsigned int size_lg2)
{
}

static void pgtable_stress(struct kunit *test)
{
	static const struct rviommu_pgtable_ops quiet_ops = { .sync_walk = quiet_sync };
	static int (* const roles[])(void *) = { stress_mapper, stress_mapper, stress_reader };
	struct fixture *f = test->priv;
	struct stressor *s = kunit_kcalloc(test, ARRAY_SIZE(roles), sizeof(*s), GFP_KERNEL);
	struct gate *ended = kunit_kzalloc(test, sizeof(*ended), GFP_KERNEL);
	struct gate *read = kunit_kzalloc(test, sizeof(*read), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, s);
	KUNIT_ASSERT_NOT_NULL(test, ended);
	KUNIT_ASSERT_NOT_NULL(test, read);
	gate_init(ended);
	gate_init(read);
	f->pt.ops = &quiet_ops;
	/* A page between theirs that stays. */
	KUNIT_ASSERT_EQ(test, map(f, SZ_1G - SZ_1M - SZ_4K, SZ_1G - SZ_1M - SZ_4K + STRESS_OFFSET,
				  SZ_4K, 1, RW), 0);
	for (i = 0; i < ARRAY_SIZE(roles); i++) {
		s[i] = (struct stressor) { .f = f, .id = i, .ended = ended, .read = read };
		s[i].task = thread_run(roles[i], &s[i], "rviommu_stress");
		KUNIT_EXPECT_FALSE(test, IS_ERR(s[i].task));
		if (IS_ERR(s[i].task))
			gate_add(roles[i] == stress_mapper ? ended : read);
	}
	gate_wait(ended, 2);
	/* With one CPU the reader may come last. */
	gate_wait(read, 1);
	for (i = 0; i < ARRAY_SIZE(roles); i++)
		if (!IS_ERR(s[i].task))
			kthread_stop_put(s[i].task);
	for (i = 0; i < ARRAY_SIZE(roles); i++)
		KUNIT_EXPECT_EQ_MSG(test, s[i].errors, 0, "thread %u", i);
	KUNIT_EXPECT_GT(test, s[2].hits, 0);
	KUNIT_EXPECT_EQ(test, total(f).leaves, 1);
}

/* --- the memory itself ------------------------------------------------ */

static void mem_zalloc(struct kunit *test)
{
	struct fixture *f = test->priv;
	long live = rviommu_mem_live();
	u8 *p = rviommu_zalloc(100, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_EXPECT_NULL(test, memchr_inv(p, 0, 100));
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live + 1);
	rviommu_free(p);
	rviommu_free(NULL);
	rviommu_page_free(NULL);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live);

	fail_allocation(f, 0);
	KUNIT_EXPECT_NULL(test, rviommu_zalloc(100, GFP_KERNEL));
	fail_no_more(f);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live);
}

static void mem_pages(struct kunit *test)
{
	struct fixture *f = test->priv;
	long live = rviommu_mem_live();
	unsigned int order, n;

	for (order = 0; order < 4; order++) {
		const size_t size = PAGE_SIZE << order;
		struct rviommu_page *desc;
		u8 *p;

		for (n = 0; n < 2; n++) {
			fail_allocation(f, n);
			KUNIT_EXPECT_NULL(test, rviommu_page_alloc(NUMA_NO_NODE, GFP_KERNEL, order,
								   64));
			fail_no_more(f);
			KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live);
		}

		p = rviommu_page_alloc(NUMA_NO_NODE, GFP_KERNEL, order, 64);
		KUNIT_ASSERT_NOT_NULL(test, p);
		KUNIT_EXPECT_TRUE(test, IS_ALIGNED((unsigned long)p, size));
		KUNIT_EXPECT_NULL(test, memchr_inv(p, 0, size));
		desc = rviommu_page_of(p);
		KUNIT_EXPECT_PTR_EQ(test, desc->virt, (void *)p);
		KUNIT_EXPECT_EQ(test, desc->order, order);
		KUNIT_EXPECT_EQ(test, desc->nid, page_to_nid(virt_to_page(p)));
		KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live + 1);
		memset(p, 0xff, size);
		rviommu_page_free(p);
		KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live);
	}
}

/* No page that the IOMMU cannot address. */
static void mem_address_width(struct kunit *test)
{
	long live = rviommu_mem_live();
	unsigned int lg2, got = 0;

	for (lg2 = 12; lg2 < 64; lg2++) {
		void *p = rviommu_page_alloc(NUMA_NO_NODE, GFP_KERNEL | __GFP_NOWARN, 0, lg2);

		if (!p)
			continue;
		got++;
		KUNIT_EXPECT_EQ(test, (virt_to_phys(p) + PAGE_SIZE - 1) >> lg2, 0);
		rviommu_page_free(p);
	}
	KUNIT_EXPECT_GT(test, got, 20);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live);
}

/* Lists shorter and longer than what one RCU callback takes. */
static void mem_retire(struct kunit *test)
{
	static const unsigned int lengths[] = { 0, 1, 2, 127, 128, 129, 256, 300 };
	long during, live = rviommu_mem_live();
	unsigned int i, n;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		LIST_HEAD(pages);

		for (n = 0; n < lengths[i]; n++) {
			void *p = rviommu_page_alloc(NUMA_NO_NODE, GFP_KERNEL, n & 1, 64);

			KUNIT_ASSERT_NOT_NULL(test, p);
			list_add(&rviommu_page_of(p)->node, &pages);
		}
		rcu_read_lock();
		rviommu_page_retire(&pages);
		during = rviommu_mem_live();
		rcu_read_unlock();
		KUNIT_EXPECT_TRUE(test, list_empty(&pages));
		KUNIT_EXPECT_EQ(test, during, live + lengths[i]);
		KUNIT_EXPECT_EQ(test, testdev_live(), live);
	}
}

/* Pages show up among the IOMMU's and the secondary page tables, and go again. */
static void mem_accounting(struct kunit *test)
{
	static const enum node_stat_item items[] = { NR_IOMMU_PAGES, NR_SECONDARY_PAGETABLE };
	unsigned long before[ARRAY_SIZE(items)], during[ARRAY_SIZE(items)];
	/* The sums lag behind by what each CPU keeps for itself. */
	const unsigned int slack = 256 * num_possible_cpus();
	const unsigned int count = slack;
	LIST_HEAD(pages);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(items); i++)
		before[i] = global_node_page_state_pages(items[i]);
	for (i = 0; i < count; i++) {
		void *p = rviommu_page_alloc(NUMA_NO_NODE, GFP_KERNEL, 2, 64);

		KUNIT_ASSERT_NOT_NULL(test, p);
		list_add(&rviommu_page_of(p)->node, &pages);
	}
	for (i = 0; i < ARRAY_SIZE(items); i++)
		during[i] = global_node_page_state_pages(items[i]);
	rviommu_page_retire(&pages);
	rcu_barrier();
	for (i = 0; i < ARRAY_SIZE(items); i++) {
		const unsigned long after = global_node_page_state_pages(items[i]);

		KUNIT_EXPECT_GE(test, during[i] + slack, before[i] + 4 * count);
		KUNIT_EXPECT_LE(test, during[i], before[i] + 4 * count + slack);
		KUNIT_EXPECT_LE(test, after, before[i] + slack);
		KUNIT_EXPECT_GE(test, after + slack, before[i]);
	}
}

#define CASE(name)	KUNIT_CASE_PARAM(name, format_gen_params)
#define CASE_FEW(name)	KUNIT_CASE_PARAM(name, few_format_gen_params)

static struct kunit_case pgtable_cases[] = {
	CASE(pgtable_init_refuses),
	CASE(pgtable_shape),
	CASE(pgtable_leaf_sizes),
	CASE(pgtable_prot),
	CASE(pgtable_no_pbmt),
	CASE(pgtable_table_boundaries),
	CASE(pgtable_ranges),
	CASE(pgtable_ends),
	CASE(pgtable_out_of_range),
	CASE(pgtable_no_alias),
	CASE(pgtable_misaligned),
	CASE(pgtable_wrong_size),
	CASE(pgtable_overlap),
	CASE(pgtable_overlap_inside),
	CASE(pgtable_unmap_unmapped),
	CASE(pgtable_unmap_to_hole),
	CASE(pgtable_unmap_mixed),
	CASE(pgtable_unmap_leaf),
	CASE(pgtable_split),
	CASE(pgtable_split_both_ends),
	CASE(pgtable_split_keeps_dirty),
	CASE(pgtable_split_meets_write),
	CASE(pgtable_napot_split_meets_write),
	CASE(pgtable_napot_splits_meet),
	CASE_FEW(pgtable_napot_splits_interleave),
	CASE_FEW(pgtable_split_races_writes),
	CASE(pgtable_splits_race),
	CASE(pgtable_split_race_lost),
	CASE(pgtable_leaf_over_empty_table),
	CASE(pgtable_leaf_over_used_table),
	CASE(pgtable_napot),
	CASE(pgtable_install_race_lost),
	CASE(pgtable_replaced_table_waits),
	CASE(pgtable_unmapped_tables_wait),
	CASE(pgtable_destroy_waits),
	CASE(pgtable_map_without_memory),
	CASE(pgtable_split_without_memory),
	CASE(pgtable_visits),
	CASE(pgtable_random),
	CASE_FEW(pgtable_install_races),
	CASE_FEW(pgtable_stress),
	KUNIT_CASE(mem_zalloc),
	KUNIT_CASE(mem_pages),
	KUNIT_CASE(mem_address_width),
	KUNIT_CASE(mem_retire),
	KUNIT_CASE(mem_accounting),
	{}
};

static struct kunit_suite pgtable_suite = {
	.name = "rviommu_pgtable",
	.init = pgtable_test_init,
	.exit = pgtable_test_exit,
	.test_cases = pgtable_cases,
};

kunit_test_suite(pgtable_suite);
