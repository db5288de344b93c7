// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty pages.
 *
 * What has to be found is told by devices that write: each has an IOMMU of its own that caches
 * all that it may and forgets what it is told to. They know the privileged architecture
 * ("Virtual Address Translation Process" with hardware updating of A and D, "Svnapot") and
 * nothing of the driver, not even the names of bits.
 */
#include <kunit/static_stub.h>
#include <kunit/test-bug.h>
#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/completion.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "../src/driver/mem.h"
#include "../src/driver/pgdirty.h"
#include "../src/driver/pgtable.h"
#include "testdev.h"

#define RW		(IOMMU_READ | IOMMU_WRITE)
#define TLB		48
#define LINKS		16

struct format {
	u8 levels;
	bool second;
	bool napot;
};

static const struct format formats[] = {
	{ 3, false, false }, { 3, false, true }, { 4, false, false }, { 4, false, true },
	{ 5, false, false }, { 5, false, true }, { 3, true, false }, { 3, true, true },
	{ 4, true, false }, { 4, true, true }, { 5, true, false }, { 5, true, true },
};

/* For what goes through each step of something. */
static const struct format few_formats[] = { { 3, false, false }, { 4, true, true } };

static void format_name(const struct format *f, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "Sv%u%s%s", 12 + 9 * f->levels,
		 f->second ? "x4" : "", f->napot ? " Svnapot" : "");
}

KUNIT_ARRAY_PARAM(format, formats, format_name);
KUNIT_ARRAY_PARAM(few_format, few_formats, format_name);

struct fixture;

/* What an IOMMU has cached: a leaf, and where it was; or a link. */
struct cached {
	u64 base;
	unsigned int lg2;	/* 0: nothing */
	u64 pte;
	u64 *e;
};

/**
 * struct device - a device and its IOMMU
 * @f: the fixture
 * @lock: held during each transaction, and while something is forgotten
 * @leaves: cached leaves
 * @links: cached links
 * @rnd: what it does
 * @writes: how many there were
 * @halves: it makes translations of one page only of a NAPOT group
 */
struct device_under_test {
	struct fixture *f;
	/* A transaction, or something is forgotten */
	spinlock_t lock;
	struct cached leaves[TLB];
	struct cached links[LINKS];
	struct rnd_state rnd;
	unsigned long writes;
	bool halves;
};

#define DEVICES		2
#define MAX_PAGES	(SZ_1G / SZ_4K)
#define CHUNK		SZ_2M	/* what an owner has, if there are several */

/**
 * struct fixture - what each test starts with
 * @test: the running test
 * @fmt: its format
 * @pt: an empty page table of that format
 * @live: rviommu_mem_live() before there was the page table
 * @dev: the devices
 * @base: where the test maps
 * @pa: to what
 * @mem: what was written to each page, by number from @pa
 * @copy: what a migration has of it
 * @found: pages that were reported, by number from @base
 * @want: pages that have to be
 * @stamp: of the last write
 * @wrong: things that must not be, seen where a test cannot say so
 * @syncs: calls of sync_walk
 * @steps: taken
 * @act_at: step at which to call @act
 * @act: what comes in between
 * @page: for @act
 * @lg2: for @act
 * @stopped: chunks that no device writes to, by number
 */
struct fixture {
	struct kunit *test;
	const struct format *fmt;
	struct rviommu_pgtable pt;
	long live;
	struct device_under_test dev[DEVICES];
	u64 base;
	u64 pa;
	u32 *mem;
	u32 *copy;
	unsigned long *found;
	unsigned long *want;
	atomic_t stamp;
	atomic_t wrong;
	unsigned int syncs;
	long steps;
	long act_at;
	void (*act)(struct fixture *f);
	unsigned int page;
	unsigned int lg2;
	unsigned long stopped;
};

/* --- devices ---------------------------------------------------------- */

static struct cached *cache_find(struct cached *c, unsigned int n, u64 iova)
{
	struct cached *best = NULL;
	unsigned int i;

	for (i = 0; i < n; i++)
		if (c[i].lg2 && iova >> c[i].lg2 == c[i].base >> c[i].lg2 &&
		    (!best || c[i].lg2 < best->lg2))
			best = &c[i];
	return best;
}

static void cache_add(struct device_under_test *d, struct cached *c, unsigned int n, u64 iova,
		      unsigned int lg2, u64 pte, u64 *e)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (!c[i].lg2 || (c[i].lg2 == lg2 && c[i].base == (iova & -(1ULL << lg2))))
			break;
	if (i == n)
		i = prandom_u32_state(&d->rnd) % n;
	c[i] = (struct cached){ .base = iova & -(1ULL << lg2), .lg2 = lg2, .pte = pte, .e = e };
}

/* Forget leaves of which one of the addresses is, and with @links all in the range. */
static void device_forget(struct device_under_test *d, u64 first, u64 last, unsigned int lg2,
			  bool links)
{
	const u64 stride = links ? SZ_4K : 1ULL << lg2;
	unsigned int i;

	first &= -stride;
	spin_lock(&d->lock);
	for (i = 0; i < TLB; i++) {
		const struct cached *c = &d->leaves[i];
		u64 at = c->base <= first ? first : first + round_up(c->base - first, stride);

		if (c->lg2 && at <= last && at - c->base < 1ULL << c->lg2)
			d->leaves[i].lg2 = 0;
	}
	for (i = 0; links && i < LINKS; i++) {
		const struct cached *c = &d->links[i];

		if (c->base <= last && c->base + (1ULL << c->lg2) - 1 >= first)
			d->links[i].lg2 = 0;
	}
	spin_unlock(&d->lock);
}

static void forget(struct fixture *f, u64 first, u64 last, unsigned int lg2, bool links)
{
	unsigned int i;

	for (i = 0; i < DEVICES; i++)
		device_forget(&f->dev[i], first, last, lg2, links);
}

static u64 pte_ppn(u64 pte)
{
	return pte >> 10 & ((1ULL << 44) - 1);
}

/* Walk from the deepest link that is cached, or from the root. Returns where the entry is. */
static u64 *device_walk(struct device_under_test *d, u64 iova, u64 *pte, unsigned int *lg2,
			bool cached)
{
	const struct rviommu_pgtable *pt = &d->f->pt;
	const bool x4 = pt->cfg.second_stage;
	const struct cached *link = cached ? cache_find(d->links, LINKS, iova) : NULL;
	int level = pt->cfg.levels - 1;
	u64 *table = pt->root;
	u64 *e;

	if (link) {
		table = phys_to_virt(pte_ppn(link->pte) << 12);
		level = (link->lg2 - 12) / 9 - 1;
	}
	for (;; level--) {
		*lg2 = 12 + 9 * level;
		e = &table[iova >> *lg2 & (x4 && level == pt->cfg.levels - 1 ? 2047 : 511)];
		*pte = READ_ONCE(*e);
		if ((*pte & 15) != 1)
			break;
		if (!level || *pte & (128 | 64 | 16) || *pte >> 61) {
			*pte = 0;
			break;
		}
		if (cached)
			cache_add(d, d->links, LINKS, iova, *lg2, *pte, e);
		table = phys_to_virt(pte_ppn(*pte) << 12);
	}
	if (*pte >> 63) {
		if (level || (pte_ppn(*pte) & 15) != 8)
			*pte = 0;
		*lg2 = 16;
	} else if (level && pte_ppn(*pte) & ((1ULL << (9 * level)) - 1)) {
		*pte = 0;
	}
	return e;
}

static u64 translated(u64 iova, u64 pte, unsigned int lg2)
{
	const u64 low = (1ULL << lg2) - 1;

	return (pte_ppn(pte) << 12 & ~low) | (iova & low);
}

/*
 * A page is written to. D is set before, by an atomic that compares the whole entry with what
 * the IOMMU knows of it; if that fails, it walks again. Returns false if nothing is mapped.
 */
static bool device_write(struct device_under_test *d, u64 iova)
{
	struct fixture *f = d->f;
	struct cached *hit;
	unsigned int lg2, tries;
	u64 pte, *e, pa;
	bool ok = false;

	spin_lock(&d->lock);
	if (unlikely(READ_ONCE(f->stopped)) && test_bit((iova - f->base) / CHUNK, &f->stopped))
		goto out;
	hit = cache_find(d->leaves, TLB, iova);
	for (tries = 0;; tries++) {
		if (hit && !tries) {
			pte = hit->pte;
			lg2 = hit->lg2;
			e = hit->e;
		} else {
			e = device_walk(d, iova, &pte, &lg2, true);
		}
		if (!(pte & 1) || !(pte & 4))
			break;
		if (!(pte & 128)) {
			u64 old = pte;

			if (!try_cmpxchg(e, &old, pte | 64 | 128))
				continue;
			pte |= 64 | 128;
		}
		ok = true;
		break;
	}
	if (ok) {
		/* The translation of a group, as of lg2, is in the entry of each of its pages. */
		const unsigned int size = pte >> 63 ? 16 : lg2;

		pa = translated(iova, pte, size);
		cache_add(d, d->leaves, TLB, iova, d->halves && size == 16 ? 12 : lg2, pte, e);
		d->writes++;
		if (f->mem && pa - f->pa < (u64)MAX_PAGES * SZ_4K) {
			if (pa - f->pa != iova - f->base)
				atomic_inc(&f->wrong);
			WRITE_ONCE(f->mem[(pa - f->pa) / SZ_4K], atomic_inc_return(&f->stamp));
		}
	}
out:
	spin_unlock(&d->lock);
	return ok;
}

/* A device has read from a page: then it knows the entry as it is. */
static void device_read(struct device_under_test *d, u64 iova)
{
	unsigned int lg2;
	u64 pte, *e;

	spin_lock(&d->lock);
	e = device_walk(d, iova, &pte, &lg2, true);
	if (pte & 1)
		cache_add(d, d->leaves, TLB, iova, d->halves && lg2 == 16 ? 12 : lg2, pte, e);
	spin_unlock(&d->lock);
}

/* What is there, whatever is cached. */
static u64 look(struct fixture *f, u64 iova, unsigned int *lg2)
{
	unsigned int size;
	u64 pte;

	rcu_read_lock();
	device_walk(&f->dev[0], iova, &pte, &size, false);
	rcu_read_unlock();
	if (lg2)
		*lg2 = size;
	return pte;
}

/* --- the fixture ------------------------------------------------------ */

static void sync_walk(struct rviommu_pgtable *pt, u64 iova, unsigned int size_lg2)
{
	struct fixture *f = container_of(pt, struct fixture, pt);

	if (iova & ((1ULL << size_lg2) - 1))
		atomic_inc(&f->wrong);
	f->syncs++;
	forget(f, iova, iova + (1ULL << size_lg2) - 1, size_lg2, true);
}

static const struct rviommu_pgtable_ops test_ops = { .sync_walk = sync_walk };

static int dirty_test_init(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	struct rviommu_pgtable_cfg cfg;
	unsigned int i;

	if (!f)
		return -ENOMEM;
	f->test = test;
	f->fmt = test->param_value ?: &formats[0];
	f->act_at = -1;
	test->priv = f;
	f->live = testdev_live();
	cfg = (struct rviommu_pgtable_cfg){
		.levels = f->fmt->levels, .second_stage = f->fmt->second,
		.svnapot = f->fmt->napot, .pas_lg2 = 56, .nid = NUMA_NO_NODE,
	};
	if (rviommu_pgtable_init(&f->pt, &cfg, &test_ops))
		return -ENOMEM;
	/* The last but one GiB of the upper half, or one in the middle */
	f->base = f->fmt->second ? 5ULL << 30 : -(2ULL << 30);
	f->pa = 3ULL << 40;
	f->found = kvcalloc(BITS_TO_LONGS(MAX_PAGES), sizeof(long), GFP_KERNEL);
	f->want = kvcalloc(BITS_TO_LONGS(MAX_PAGES), sizeof(long), GFP_KERNEL);
	if (!f->found || !f->want)
		return -ENOMEM;
	for (i = 0; i < DEVICES; i++) {
		f->dev[i].f = f;
		f->dev[i].halves = i & 1;
		spin_lock_init(&f->dev[i].lock);
		prandom_seed_state(&f->dev[i].rnd, 17 + i);
	}
	return 0;
}

/* No entry may keep a mark: they are for those who are at work. */
static unsigned int marks_below(u64 *table, int entries, int level)
{
	unsigned int n = 0;
	int i;

	for (i = 0; i < entries; i++) {
		const u64 pte = READ_ONCE(table[i]);

		n += !!(pte & 0x300);
		if ((pte & 15) == 1 && level)
			n += marks_below(phys_to_virt(pte_ppn(pte) << 12), 512, level - 1);
	}
	return n;
}

static unsigned int marks(struct fixture *f)
{
	return marks_below(f->pt.root, f->fmt->second ? 2048 : 512, f->fmt->levels - 1);
}

static long tables_below(u64 *table, int entries, int level)
{
	long n = 0;
	int i;

	for (i = 0; i < entries && level; i++) {
		const u64 pte = READ_ONCE(table[i]);

		if ((pte & 15) == 1)
			n += 1 + tables_below(phys_to_virt(pte_ppn(pte) << 12), 512, level - 1);
	}
	return n;
}

/* All that is allocated is in the tree. */
static void expect_no_leak(struct fixture *f)
{
	KUNIT_EXPECT_EQ(f->test, testdev_live(), f->live + 1 +
			tables_below(f->pt.root, f->fmt->second ? 2048 : 512, f->fmt->levels - 1));
}

static void dirty_test_exit(struct kunit *test)
{
	struct fixture *f = test->priv;

	KUNIT_EXPECT_EQ(test, atomic_read(&f->wrong), 0);
	if (f->pt.root) {
		KUNIT_EXPECT_EQ(test, marks(f), 0);
		rviommu_pgtable_destroy(&f->pt);
	}
	kvfree(f->mem);
	kvfree(f->copy);
	kvfree(f->found);
	kvfree(f->want);
	KUNIT_EXPECT_EQ(test, testdev_live(), f->live);
}

/* In pages of @size from @base + @off on. Also in the middle of something. */
static int map(struct fixture *f, u64 off, u64 size, u64 bytes, int prot)
{
	size_t mapped;

	return rviommu_pgtable_map(&f->pt, f->base + off, f->pa + off, size, bytes / size, prot,
				   GFP_ATOMIC, &mapped);
}

/* As an owner does: unmap, invalidate what it says, retire. */
static size_t unmap(struct fixture *f, u64 off, u64 bytes)
{
	struct rviommu_unmapped u = { .tables = LIST_HEAD_INIT(u.tables) };
	size_t done = rviommu_pgtable_unmap(&f->pt, f->base + off, SZ_4K, bytes / SZ_4K, &u);

	if (done)
		forget(f, f->base + off, f->base + off + done - 1, u.leaf_lg2,
		       !list_empty(&u.tables));
	rviommu_page_retire(&u.tables);
	return done;
}

static bool write_page(struct fixture *f, unsigned int dev, unsigned int page)
{
	return device_write(&f->dev[dev], f->base + (u64)page * SZ_4K);
}

/*
 * Read the bytes from @off to @last of the region into @found; invalidate what was cleared, as
 * the driver does. Returns how many calls it took.
 */
static unsigned int read_into(struct fixture *f, unsigned long *found, u64 off, u64 last,
			      bool clear)
{
	unsigned int i, calls = 0;
	struct rviommu_dirty d;
	u64 next = 0;

	rviommu_dirty_begin(&d, f->base + off, f->base + last, clear);
	while (rviommu_pgtable_read_dirty(&f->pt, &d)) {
		calls++;
		for (i = 0; i < d.nr; i++) {
			const u64 at = d.runs[i].iova - f->base;

			/* In order, whole pages, nothing twice, nothing outside of the range. */
			if (at < next || at % SZ_4K || d.runs[i].size % SZ_4K || !d.runs[i].size ||
			    at < round_down(off, SZ_4K) || at + d.runs[i].size - 1 > (last | 0xfff))
				atomic_inc(&f->wrong);
			else
				bitmap_set(found, at / SZ_4K, d.runs[i].size / SZ_4K);
			next = at + d.runs[i].size;
		}
	}
	if (d.leaf_lg2 && !clear)
		atomic_inc(&f->wrong);
	if (d.leaf_lg2)
		forget(f, d.cleared_first, d.cleared_last, d.leaf_lg2, false);
	return calls;
}

static void read_dirty(struct fixture *f, u64 off, u64 last, bool clear)
{
	const unsigned int calls = read_into(f, f->found, off, last, clear);

	/* So many tables a call at least, unless there was too much to tell. */
	KUNIT_EXPECT_LE(f->test, calls, 2 + (last - off) / SZ_2M + (last - off) / SZ_64K);
}

static void clear_found(struct fixture *f)
{
	bitmap_zero(f->found, MAX_PAGES);
	bitmap_zero(f->want, MAX_PAGES);
}

static void expect_found(struct fixture *f, const char *what)
{
	unsigned long first = 0;

	while (first < BITS_TO_LONGS(MAX_PAGES) && f->found[first] == f->want[first])
		first++;
	first *= BITS_PER_LONG;
	KUNIT_EXPECT_EQ_MSG(f->test, first, MAX_PAGES, "%s, near this page: %u found, %u wanted",
			    what, bitmap_weight(f->found, MAX_PAGES),
			    bitmap_weight(f->want, MAX_PAGES));
}

/* Every page of the region translates as it was mapped, in leaves no larger than that. */
static void expect_mapped(struct fixture *f, u64 off, u64 bytes, unsigned int max_lg2)
{
	unsigned long wrong = 0, large = 0;
	unsigned int lg2;
	u64 at;

	for (at = off; at < off + bytes; at += SZ_4K) {
		const u64 pte = look(f, f->base + at, &lg2);

		wrong += !(pte & 1) || !(pte & 64) || translated(at, pte, lg2) != f->pa + at;
		large += lg2 > max_lg2;
	}
	KUNIT_EXPECT_EQ(f->test, wrong, 0);
	KUNIT_EXPECT_EQ(f->test, large, 0);
}

static void count_step(struct fixture *f)
{
	if (f->steps++ == f->act_at) {
		f->act_at = -1;
		f->act(f);
	}
}

static void at_seam(const u64 *e)
{
	count_step(kunit_get_current_test()->priv);
}

/* Let @act come at step @n: between the reading and the replacement of an entry. */
static void act_within(struct fixture *f, long n, void (*act)(struct fixture *f))
{
	f->steps = 0;
	f->act_at = n;
	f->act = act;
	kunit_activate_static_stub(f->test, rviommu_pgtable_seam, at_seam);
}

/* Returns whether it came to that. */
static bool act_no_more(struct fixture *f)
{
	const bool acted = f->act_at == -1;

	kunit_deactivate_static_stub(f->test, rviommu_pgtable_seam);
	f->act_at = -1;
	return acted;
}

/* --- reading ---------------------------------------------------------- */

static const unsigned int sizes[] = { 12, 16, 21, 30 };

static u64 region(unsigned int lg2)
{
	return lg2 == 30 ? SZ_1G : 4 * SZ_2M;
}

static bool has_size(struct fixture *f, unsigned int lg2)
{
	return lg2 != 16 || f->fmt->napot;
}

/* Random writes, in leaves of each size: exactly the leaves that were written to. */
static void dirty_exact(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int s, round, i;
	struct rnd_state rnd;

	prandom_seed_state(&rnd, 5);
	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		const unsigned int lg2 = sizes[s], per = 1 << (lg2 - 12);
		const u64 bytes = region(lg2);

		if (!has_size(f, lg2))
			continue;
		KUNIT_ASSERT_EQ(test, map(f, 0, 1ULL << lg2, bytes, RW), 0);
		for (round = 0; round < 6; round++) {
			clear_found(f);
			for (i = 0; i < 1 + round * round * 30; i++) {
				const unsigned int page = prandom_u32_state(&rnd) %
							  (bytes / SZ_4K);

				KUNIT_EXPECT_TRUE(test, write_page(f, i % DEVICES, page));
				bitmap_set(f->want, round_down(page, per), per);
			}
			/* Twice without clearing, then with it. */
			read_dirty(f, 0, bytes - 1, false);
			expect_found(f, "no clear");
			bitmap_zero(f->found, MAX_PAGES);
			read_dirty(f, 0, bytes - 1, false);
			expect_found(f, "no clear again");
			bitmap_zero(f->found, MAX_PAGES);
			read_dirty(f, 0, bytes - 1, true);
			expect_found(f, "clear");
			clear_found(f);
			read_dirty(f, 0, bytes - 1, true);
			expect_found(f, "cleared");
		}
		KUNIT_EXPECT_EQ(test, unmap(f, 0, bytes), bytes);
	}
}

/* Leaves of all sizes, a hole, and what cannot be written to; ranges cut anywhere. */
static void dirty_ranges(struct kunit *test)
{
	struct fixture *f = test->priv;
	static const struct {
		u64 off;
		unsigned int lg2, n;
		int prot;
	} there[] = {
		{ 0, 12, 100, RW }, { SZ_512K, 16, 10, RW }, { SZ_1M + SZ_512K, 12, 128, RW },
		{ SZ_2M, 21, 2, RW }, { 3 * SZ_2M, 21, 1, IOMMU_READ }, { 4 * SZ_2M, 16, 32, RW },
		{ 5 * SZ_2M + SZ_64K + SZ_8K, 12, 1, RW }, { 6 * SZ_2M, 21, 1, RW },
	};
	const unsigned int pages = 8 * SZ_2M / SZ_4K;
	u8 *leaf = kunit_kzalloc(test, pages, GFP_KERNEL);	/* lg2; 0: none to write to */
	unsigned long *dirty = kunit_kcalloc(test, BITS_TO_LONGS(pages), sizeof(long), GFP_KERNEL);
	unsigned int round, i;
	struct rnd_state rnd;

	KUNIT_ASSERT_NOT_NULL(test, leaf);
	KUNIT_ASSERT_NOT_NULL(test, dirty);
	prandom_seed_state(&rnd, 6);
	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	for (i = 0; i < ARRAY_SIZE(there); i++) {
		const u64 bytes = (u64)there[i].n << there[i].lg2;
		const unsigned int lg2 = has_size(f, there[i].lg2) ? there[i].lg2 : 12;

		KUNIT_ASSERT_EQ(test, map(f, there[i].off, 1ULL << lg2, bytes, there[i].prot), 0);
		if (there[i].prot == RW)
			memset(leaf + there[i].off / SZ_4K, lg2, bytes / SZ_4K);
	}
	for (round = 0; round < 400; round++) {
		u64 first = prandom_u32_state(&rnd) % (8 * SZ_2M);
		u64 last = prandom_u32_state(&rnd) % (8 * SZ_2M);
		const bool clear = round & 1;
		unsigned int page;

		if (first > last)
			swap(first, last);
		/* Some at the very edges */
		if (round % 3 == 0)
			first = round_down(first, SZ_64K);
		if (round % 4 == 0)
			last |= SZ_2M - 1;
		for (i = 0; i < 20; i++) {
			page = prandom_u32_state(&rnd) % pages;
			KUNIT_EXPECT_EQ(test, write_page(f, i % DEVICES, page), leaf[page] != 0);
			if (leaf[page])
				bitmap_set(dirty, round_down(page, 1 << (leaf[page] - 12)),
					   1 << (leaf[page] - 12));
		}
		clear_found(f);
		for (page = first / SZ_4K; page <= last / SZ_4K; page++)
			if (test_bit(page, dirty))
				set_bit(page, f->want);
		read_dirty(f, first, last, clear);
		expect_found(f, clear ? "clear" : "no clear");
		/* A leaf of which a part is outside keeps what it has. */
		for (page = first / SZ_4K; clear && page <= last / SZ_4K; page++) {
			const u64 size = leaf[page] ? 1ULL << leaf[page] : SZ_4K;
			const u64 at = (u64)page * SZ_4K & -size;

			if (at >= round_down(first, SZ_4K) && (at | (size - 1)) <= (last | 0xfff))
				clear_bit(page, dirty);
		}
	}
}

/* The ends of the address space, and all of it at once. */
static void dirty_ends(struct kunit *test)
{
	struct fixture *f = test->priv;
	const u64 half = 1ULL << (12 + 9 * f->fmt->levels + (f->fmt->second ? 2 : -1));
	const u64 at[] = { 0, half / 2, half - SZ_4K, -half, -(u64)SZ_4K };
	const unsigned int n = f->fmt->second ? 3 : 5;
	struct rviommu_dirty d;
	unsigned int i, lg2, found;
	size_t mapped;

	for (lg2 = 12; lg2 <= 30; lg2 += 9) {
		const u64 size = 1ULL << lg2;

		rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
		for (i = 0; i < n; i++) {
			KUNIT_ASSERT_EQ(test, rviommu_pgtable_map(&f->pt, at[i] & -size, size, size,
								  1, RW, GFP_KERNEL, &mapped), 0);
			KUNIT_EXPECT_TRUE(test, device_write(&f->dev[0], at[i]));
		}
		found = 0;
		rviommu_dirty_begin(&d, 0, ~0ULL, true);
		while (rviommu_pgtable_read_dirty(&f->pt, &d)) {
			for (i = 0; i < d.nr; i++, found++) {
				KUNIT_EXPECT_EQ(test, d.runs[i].iova, at[found] & -size);
				KUNIT_EXPECT_EQ(test, d.runs[i].size, size);
			}
		}
		KUNIT_EXPECT_EQ(test, found, n);
		KUNIT_EXPECT_EQ(test, d.leaf_lg2, lg2);
		KUNIT_EXPECT_EQ(test, d.largest_lg2, lg2);
		KUNIT_EXPECT_EQ(test, d.cleared_first, 0);
		KUNIT_EXPECT_EQ(test, d.cleared_last, (at[n - 1] & -size) + size - 1);
		rviommu_dirty_begin(&d, 0, ~0ULL, false);
		while (rviommu_pgtable_read_dirty(&f->pt, &d))
			KUNIT_EXPECT_EQ(test, d.nr, 0);
		/* Nothing, and where nothing is. */
		rviommu_dirty_begin(&d, 5, 4, true);
		KUNIT_EXPECT_FALSE(test, rviommu_pgtable_read_dirty(&f->pt, &d));
		rviommu_dirty_begin(&d, half, -half - 1, true);
		while (rviommu_pgtable_read_dirty(&f->pt, &d))
			KUNIT_EXPECT_EQ(test, d.nr, 0);
		for (i = 0; i < n; i++)
			KUNIT_EXPECT_TRUE(test, rviommu_pgtable_unmap_leaf(&f->pt, at[i] & -size,
									   size));
		forget(f, 0, ~0ULL, 12, true);
	}
}

/* More runs than one call can tell. */
static void dirty_many_runs(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int page;

	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, SZ_2M, RW), 0);
	KUNIT_ASSERT_EQ(test, map(f, SZ_2M, SZ_2M, 200 * SZ_2M, RW), 0);
	for (page = 1; page < 512; page += 2) {
		write_page(f, 0, page);
		set_bit(page, f->want);
	}
	for (page = 512; page < 201 * 512; page += 1024) {
		write_page(f, 0, page);
		bitmap_set(f->want, page, 512);
	}
	read_dirty(f, 0, 201 * SZ_2M - 1, true);
	expect_found(f, "many");
	clear_found(f);
	read_dirty(f, 0, 201 * SZ_2M - 1, true);
	expect_found(f, "cleared");
}

static void unmap_leaf_now(struct fixture *f)
{
	const u64 size = 1ULL << f->lg2;

	KUNIT_EXPECT_EQ(f->test, unmap(f, 0, size), size);
}

/* Another mapping that is dirty, too: it is reported and cleared, and stays. */
static void remap_leaf_now(struct fixture *f)
{
	const u64 pa = f->pa;

	unmap_leaf_now(f);
	f->pa = 7ULL << 40;
	KUNIT_EXPECT_EQ(f->test, map(f, 0, 1ULL << f->lg2, 1ULL << f->lg2, RW), 0);
	f->pa = pa;
}

static void split_leaf_now(struct fixture *f)
{
	KUNIT_EXPECT_EQ(f->test, unmap(f, f->lg2 == 12 ? 0 : SZ_4K, SZ_4K), SZ_4K);
}

static void write_now(struct fixture *f)
{
	write_page(f, 0, f->page);
}

/* What owners and hardware do between the reading of an entry and the clearing of its D. */
static void dirty_clear_meets(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int s, i, lg2;
	bool acted;
	long n;

	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		const u64 size = 1ULL << sizes[s];
		u64 pte;

		f->lg2 = sizes[s];
		if (!has_size(f, f->lg2))
			continue;
		rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
		for (n = 0, acted = true; acted; n++) {
			KUNIT_ASSERT_EQ(test, map(f, 0, size, size, RW), 0);
			for (i = 0; i < 16; i++)
				write_page(f, 0, i);
			act_within(f, n, unmap_leaf_now);
			read_dirty(f, 0, size - 1, true);
			acted = act_no_more(f);
			/* Nothing comes back. */
			for (i = 0; acted && i < 16; i++)
				KUNIT_EXPECT_EQ(test, look(f, f->base + i * SZ_4K, NULL), 0);
			if (!acted)
				KUNIT_EXPECT_EQ(test, unmap(f, 0, size), size);
			forget(f, 0, ~0ULL, 12, true);
		}
		for (n = 0, acted = true; acted; n++) {
			KUNIT_ASSERT_EQ(test, map(f, 0, size, size, RW), 0);
			for (i = 0; i < 16; i++)
				write_page(f, 0, i);
			/* The new one is of before somebody looked, and all of it is dirty. */
			rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_NONE);
			act_within(f, n, remap_leaf_now);
			read_dirty(f, 0, size - 1, true);
			acted = act_no_more(f);
			rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
			for (i = 0; acted && i < (f->lg2 == 12 ? 1 : 16); i++) {
				pte = look(f, f->base + i * SZ_4K, &lg2);
				KUNIT_EXPECT_EQ(test, lg2, f->lg2);
				KUNIT_EXPECT_EQ(test, translated(i * SZ_4K, pte, lg2),
						(7ULL << 40) + i * SZ_4K);
			}
			KUNIT_EXPECT_EQ(test, unmap(f, 0, size), size);
			forget(f, 0, ~0ULL, 12, true);
		}
		/* The leaf falls to pieces: all that was told, or is still to be told, is all. */
		for (n = 0, acted = true; acted; n++) {
			KUNIT_ASSERT_EQ(test, map(f, 0, size, size, RW), 0);
			write_page(f, 0, 0);
			clear_found(f);
			act_within(f, n, split_leaf_now);
			read_dirty(f, 0, size - 1, true);
			acted = act_no_more(f);
			if (acted && f->lg2 > 12) {
				read_dirty(f, 0, size - 1, true);
				bitmap_set(f->want, 0, size / SZ_4K);
				if (!test_bit(1, f->found))
					clear_bit(1, f->want);
				expect_found(f, "split");
			}
			unmap(f, 0, size);
			unmap(f, 2 * SZ_4K, size - 2 * SZ_4K);
			forget(f, 0, ~0ULL, 12, true);
		}
		/* Whatever was written before: a write is told at the end. */
		for (f->page = 0; f->page < (f->lg2 == 12 ? 1 : 16); f->page++) {
			for (n = 0, acted = true; acted; n++) {
				KUNIT_ASSERT_EQ(test, map(f, 0, size, size, RW), 0);
				write_page(f, 0, f->page ^ 5);
				device_read(&f->dev[1], f->base + f->page * SZ_4K);
				act_within(f, n, write_now);
				read_dirty(f, 0, size - 1, true);
				acted = act_no_more(f);
				clear_found(f);
				write_page(f, 0, f->page);
				write_page(f, 1, f->page);
				bitmap_set(f->want, round_down(f->page, size / SZ_4K),
					   size / SZ_4K);
				read_dirty(f, 0, size - 1, true);
				if (f->lg2 > 12)
					expect_found(f, "write");
				KUNIT_EXPECT_EQ(test, unmap(f, 0, size), size);
			}
		}
	}
}

/* --- no memory -------------------------------------------------------- */

static bool fail_nth(void)
{
	struct fixture *f = kunit_get_current_test()->priv;

	return f->steps++ >= f->act_at;
}

/* Every allocation from number @n on fails. */
static void fail_from(struct fixture *f, long n)
{
	f->steps = 0;
	f->act_at = n;
	kunit_activate_static_stub(f->test, rviommu_alloc_fails, fail_nth);
}

/* Returns whether it came to that. */
static bool fail_no_more(struct fixture *f)
{
	const bool failed = f->steps > f->act_at;

	kunit_deactivate_static_stub(f->test, rviommu_alloc_fails);
	f->act_at = -1;
	return failed;
}

/* --- maps while writes are tracked ------------------------------------ */

/* What can be written to is mapped in pages, clean, whatever was asked for. */
static void dirty_track_pages(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int s, lg2;

	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		const u64 size = 1ULL << sizes[s], bytes = region(sizes[s]);

		if (!has_size(f, sizes[s]))
			continue;
		rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_NONE);
		KUNIT_ASSERT_EQ(test, map(f, 0, size, bytes, RW), 0);
		KUNIT_EXPECT_TRUE(test, look(f, f->base, &lg2) & 128);
		KUNIT_EXPECT_EQ(test, lg2, sizes[s]);
		KUNIT_EXPECT_EQ(test, unmap(f, 0, bytes), bytes);

		rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_PAGES);
		KUNIT_ASSERT_EQ(test, map(f, 0, size, bytes, RW), 0);
		expect_mapped(f, 0, bytes, 12);
		clear_found(f);
		read_dirty(f, 0, bytes - 1, false);
		expect_found(f, "all clean");
		write_page(f, 0, 77);
		set_bit(77, f->want);
		read_dirty(f, 0, bytes - 1, false);
		expect_found(f, "one page");
		KUNIT_EXPECT_EQ(test, map(f, 0, size, size, RW), -EADDRINUSE);
		KUNIT_EXPECT_EQ(test, unmap(f, 0, bytes), bytes);
		/* What can only be read does not get dirty. */
		KUNIT_ASSERT_EQ(test, map(f, 0, size, bytes, IOMMU_READ), 0);
		look(f, f->base, &lg2);
		KUNIT_EXPECT_EQ(test, lg2, sizes[s]);
		KUNIT_EXPECT_EQ(test, unmap(f, 0, bytes), bytes);
	}
}

/*
 * Without memory for tables, no map fails that would not have failed without tracking: leaves
 * are larger. What was asked for is mapped, or as much of it as the call says.
 */
static void dirty_track_without_memory(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int s, large;
	long n, needed;

	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		const u64 size = 1ULL << sizes[s];
		const u64 bytes = max_t(u64, size, SZ_2M);

		if (!has_size(f, sizes[s]))
			continue;
		/* A table and its descriptor, for each level above */
		needed = 2 * (f->fmt->levels - 1 - (sizes[s] - 12) / 9);
		for (n = 0, large = 0;; n++) {
			size_t mapped = 1;
			bool failed;
			int ret;

			rviommu_pgtable_destroy(&f->pt);
			KUNIT_ASSERT_EQ(test, rviommu_pgtable_init(&f->pt, &f->pt.cfg, &test_ops),
					0);
			rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_PAGES);
			fail_from(f, n);
			ret = rviommu_pgtable_map(&f->pt, f->base, f->pa, size, bytes / size, RW,
						  GFP_KERNEL, &mapped);
			failed = fail_no_more(f);
			KUNIT_EXPECT_EQ(test, mapped, ret ? 0 : bytes);
			KUNIT_EXPECT_EQ(test, ret, n < needed ? -ENOMEM : 0);
			if (!ret) {
				expect_mapped(f, 0, bytes, sizes[s]);
				clear_found(f);
				read_dirty(f, 0, bytes - 1, false);
				expect_found(f, "all clean");
				large += failed;
			}
			if (!failed)
				break;
			/* All 1026 of them would take long. */
			if (n == 8 && sizes[s] == 30)
				n = 1018;
		}
		KUNIT_EXPECT_EQ(test, large > 0, sizes[s] > 16);
		expect_no_leak(f);
	}
}

#define CASE(name)	KUNIT_CASE_PARAM(name, format_gen_params)
#define CASE_FEW(name)	KUNIT_CASE_PARAM(name, few_format_gen_params)

static struct kunit_case dirty_cases[] = {
	CASE(dirty_exact),
	CASE(dirty_ranges),
	CASE(dirty_ends),
	CASE(dirty_many_runs),
	CASE(dirty_clear_meets),
	CASE(dirty_track_pages),
	CASE_FEW(dirty_track_without_memory),
	{}
};

static struct kunit_suite dirty_suite = {
	.name = "rviommu_pgdirty",
	.init = dirty_test_init,
	.exit = dirty_test_exit,
	.test_cases = dirty_cases,
};

kunit_test_suite(dirty_suite);
