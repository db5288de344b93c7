// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty pages, demotion and promotion.
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
 * struct device_under_test - a device and its IOMMU
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
 * @graces: grace periods that were waited for
 * @steps: taken
 * @act_at: step at which to call @act
 * @act: what comes in between
 * @acting: @act is at work, maybe within an RCU section of whoever is disturbed
 * @on_sync: called once, when hardware is asked to forget a link
 * @no_memory: there is none
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
	unsigned int graces;
	long steps;
	long act_at;
	void (*act)(struct fixture *f);
	bool acting;
	void (*on_sync)(struct fixture *f);
	bool no_memory;
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
	void (*on_sync)(struct fixture *f) = f->on_sync;

	if (iova & ((1ULL << size_lg2) - 1))
		atomic_inc(&f->wrong);
	/* It may take as long as a device does not answer. */
	if (IS_ENABLED(CONFIG_PROVE_RCU) && rcu_read_lock_held() && !f->acting)
		atomic_inc(&f->wrong);
	f->syncs++;
	if (on_sync) {
		f->on_sync = NULL;
		on_sync(f);
	}
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

/* As an owner does: unmap, if that is one leaf the short way, invalidate what it says, retire. */
static size_t unmap(struct fixture *f, u64 off, u64 bytes)
{
	struct rviommu_unmapped u = { .tables = LIST_HEAD_INIT(u.tables) };
	size_t done;

	if (rviommu_pgtable_unmap_leaf(&f->pt, f->base + off, bytes)) {
		forget(f, f->base + off, f->base + off + bytes - 1,
		       bytes == SZ_64K ? 12 : __ffs(bytes), false);
		return bytes;
	}
	done = rviommu_pgtable_unmap(&f->pt, f->base + off, SZ_4K, bytes / SZ_4K, &u);
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
		f->acting = true;
		f->act(f);
		f->acting = false;
	}
}

static void at_seam(const u64 *e)
{
	count_step(kunit_get_current_test()->priv);
}

/* Nobody else runs here, so nobody has to be waited for. */
static void no_grace(void)
{
}

static void at_grace(void)
{
	struct fixture *f = kunit_get_current_test()->priv;

	f->graces++;
	count_step(f);
}

/* Let @act come at step @n: between the reading and the replacement of an entry, or in a wait. */
static void act_within(struct fixture *f, long n, void (*act)(struct fixture *f))
{
	f->steps = 0;
	f->act_at = n;
	f->act = act;
	kunit_activate_static_stub(f->test, rviommu_pgtable_seam, at_seam);
	kunit_activate_static_stub(f->test, rviommu_pgtable_grace, at_grace);
}

/* Returns whether it came to that. */
static bool act_no_more(struct fixture *f)
{
	const bool acted = f->act_at == -1;

	kunit_deactivate_static_stub(f->test, rviommu_pgtable_seam);
	kunit_deactivate_static_stub(f->test, rviommu_pgtable_grace);
	f->act_at = -1;
	return acted;
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
			/* Twice without clearing, then with it; without memory all the time. */
			fail_from(f, 0);
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
			KUNIT_EXPECT_FALSE(test, fail_no_more(f));
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

static void write_other_now(struct fixture *f)
{
	write_page(f, 1, f->page);
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

/* While somebody looks at a table its owner unmaps all of it: it stays until he has left. */
static void unmap_table_now(struct fixture *f)
{
	const long live = rviommu_mem_live();

	KUNIT_EXPECT_EQ(f->test, unmap(f, 0, SZ_2M), SZ_2M);
	/* Not one grace period was over: he is inside of one. */
	KUNIT_EXPECT_EQ(f->test, rviommu_mem_live(), live);
	f->page = 1;
}

static void dirty_keeps_tables(struct kunit *test)
{
	struct fixture *f = test->priv;
	const long live = testdev_live();
	bool acted = true;
	unsigned int i;
	long n;

	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	for (n = 0; acted; n += 50) {
		KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, SZ_2M, RW), 0);
		for (i = 0; i < 512; i++)
			write_page(f, 0, i);
		f->page = 0;
		act_within(f, n, unmap_table_now);
		read_dirty(f, 0, SZ_2M - 1, true);
		acted = act_no_more(f);
		KUNIT_EXPECT_EQ(test, f->page, acted);
		if (!acted)
			KUNIT_EXPECT_EQ(test, unmap(f, 0, SZ_2M), SZ_2M);
		/* Then it goes; the tables above stay. */
		KUNIT_EXPECT_EQ(test, testdev_live(), live + f->fmt->levels - 2);
	}
	KUNIT_EXPECT_GT(test, n, 512);
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

/* --- demotion --------------------------------------------------------- */

static int demote(struct fixture *f, u64 off, u64 bytes)
{
	return rviommu_pgtable_demote(&f->pt, f->base + off, f->base + off + bytes - 1);
}

static void expect_count(struct fixture *f, u64 bytes, unsigned int small, u64 want)
{
	unsigned int lg2;
	u64 at, n = 0;

	for (at = 0; at < bytes; at += SZ_4K) {
		look(f, f->base + at, &lg2);
		n += lg2 == small;
	}
	KUNIT_EXPECT_EQ(f->test, n, want);
}

/* Every leaf becomes pages, which are as dirty as it was, and from then on exact. */
static void dirty_demote(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int s, i, lg2;

	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		const u64 size = 1ULL << sizes[s], bytes = region(sizes[s]);
		const unsigned int per = size / SZ_4K;

		if (!has_size(f, sizes[s]))
			continue;
		rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
		KUNIT_ASSERT_EQ(test, map(f, 0, size, bytes, RW), 0);
		clear_found(f);
		for (i = 0; i < bytes / SZ_4K; i += 3 * SZ_2M / SZ_4K) {
			write_page(f, 0, i + 9);
			/* One that has only read, and knows the leaf as clean */
			device_read(&f->dev[1], f->base + (u64)i * SZ_4K + SZ_2M);
			bitmap_set(f->want, round_down(i + 9, per), per);
		}
		KUNIT_EXPECT_EQ(test, demote(f, 0, bytes), 0);
		expect_mapped(f, 0, bytes, 12);
		KUNIT_EXPECT_EQ(test, marks(f), 0);
		read_dirty(f, 0, bytes - 1, true);
		expect_found(f, "inherited");
		clear_found(f);
		for (i = 0; i < 50; i++) {
			const unsigned int page = (i * 7919) % (bytes / SZ_4K);

			KUNIT_EXPECT_TRUE(test, write_page(f, i & 1, page));
			set_bit(page, f->want);
		}
		read_dirty(f, 0, bytes - 1, true);
		expect_found(f, "exact");
		/* There is nothing to do the second time. */
		KUNIT_EXPECT_EQ(test, demote(f, 0, bytes), 0);
		KUNIT_EXPECT_EQ(test, unmap(f, 0, bytes), bytes);
		expect_no_leak(f);

		/* What can only be read costs no memory. */
		KUNIT_ASSERT_EQ(test, map(f, 0, size, bytes, IOMMU_READ), 0);
		fail_from(f, 0);
		KUNIT_EXPECT_EQ(test, demote(f, 0, bytes), 0);
		KUNIT_EXPECT_FALSE(test, fail_no_more(f));
		look(f, f->base, &lg2);
		KUNIT_EXPECT_EQ(test, lg2, sizes[s]);
		KUNIT_EXPECT_EQ(test, unmap(f, 0, bytes), bytes);
	}
}

/* Of what only a part is in the range that part becomes pages, and nothing beyond its leaf. */
static void dirty_demote_ranges(struct kunit *test)
{
	struct fixture *f = test->priv;

	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	KUNIT_ASSERT_EQ(test, map(f, 0, SZ_1G, SZ_1G, RW), 0);
	KUNIT_EXPECT_EQ(test, demote(f, 5 * SZ_2M - SZ_4K, SZ_8K), 0);
	expect_mapped(f, 4 * SZ_2M, 2 * SZ_2M, 12);
	expect_count(f, SZ_1G, 12, 1024);
	expect_count(f, SZ_1G, 21, 510 * 512);
	KUNIT_EXPECT_EQ(test, marks(f), 0);
	KUNIT_EXPECT_EQ(test, demote(f, 0, 1), 0);
	expect_count(f, SZ_1G, 12, 1536);
	KUNIT_EXPECT_EQ(test, demote(f, SZ_1G - 1, 1), 0);
	expect_count(f, SZ_1G, 12, 2048);
	KUNIT_EXPECT_EQ(test, rviommu_pgtable_demote(&f->pt, 0, ~0ULL), 0);
	expect_mapped(f, 0, SZ_1G, 12);
	KUNIT_EXPECT_EQ(test, rviommu_pgtable_demote(&f->pt, 5, 4), 0);
	KUNIT_EXPECT_EQ(test, unmap(f, 0, SZ_1G), SZ_1G);
	if (!f->fmt->napot)
		return;
	KUNIT_ASSERT_EQ(test, map(f, 0, SZ_64K, SZ_2M, RW), 0);
	KUNIT_EXPECT_EQ(test, demote(f, 3 * SZ_64K - 1, 2), 0);
	expect_count(f, SZ_2M, 12, 32);
	expect_count(f, SZ_2M, 16, 30 * 16);
}

/* Each allocation fails: then nothing is lost, leaves are larger, and the result says so. */
static void dirty_demote_without_memory(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i, lg2;
	bool failed = true;
	long n;

	for (n = 0; failed; n++) {
		const u64 bytes = SZ_1G;
		int ret;

		rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
		KUNIT_ASSERT_EQ(test, map(f, 0, SZ_1G, bytes, RW), 0);
		if (n & 1)
			write_page(f, 0, 4711);
		kunit_activate_static_stub(test, rviommu_pgtable_grace, no_grace);
		fail_from(f, n);
		ret = demote(f, 0, bytes);
		failed = fail_no_more(f);
		kunit_deactivate_static_stub(test, rviommu_pgtable_grace);
		KUNIT_EXPECT_EQ(test, ret, failed ? -ENOMEM : 0);
		expect_mapped(f, 0, bytes, failed ? 30 : 12);
		KUNIT_EXPECT_EQ(test, marks(f), 0);
		/* Exact to what there is. */
		clear_found(f);
		if (n & 1)
			bitmap_set(f->want, 0, bytes / SZ_4K);
		read_dirty(f, 0, bytes - 1, true);
		expect_found(f, "inherited");
		clear_found(f);
		for (i = 0; i < 512; i += 37) {
			write_page(f, i & 1, i * 512 + i);
			look(f, f->base + ((u64)i * 512 + i) * SZ_4K, &lg2);
			bitmap_set(f->want, round_down(i * 512 + i, 1 << (lg2 - 12)),
				   1 << (lg2 - 12));
		}
		read_dirty(f, 0, bytes - 1, true);
		expect_found(f, "exact");
		KUNIT_EXPECT_EQ(test, unmap(f, 0, bytes), bytes);
		expect_no_leak(f);
		if (n == 8)
			n = 1019;
	}
	KUNIT_EXPECT_GT(test, n, 1024);
	if (!f->fmt->napot)
		return;
	/* Groups need none. */
	KUNIT_ASSERT_EQ(test, map(f, 0, SZ_64K, SZ_2M, RW), 0);
	fail_from(f, 0);
	KUNIT_EXPECT_EQ(test, demote(f, 0, SZ_2M), 0);
	KUNIT_EXPECT_FALSE(test, fail_no_more(f));
	expect_mapped(f, 0, SZ_2M, 12);
}

/* Two leaves of the size that is being tried, so that the one is announced before the other. */
static u64 two_leaves(struct fixture *f)
{
	return 2ULL << f->lg2;
}

/* At each step a device writes to a page that it has read from: it is dirty in the end. */
static void dirty_demote_meets_write(struct kunit *test)
{
	static const unsigned int lg2s[] = { 16, 21, 30 };
	struct fixture *f = test->priv;
	unsigned int s, p;
	bool acted;
	long n;

	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	for (s = 0; s < ARRAY_SIZE(lg2s); s++) {
		f->lg2 = lg2s[s];
		if (!has_size(f, f->lg2))
			continue;
		for (p = 0; p < 4; p++) {
			const u64 bytes = f->lg2 == 30 ? SZ_1G : two_leaves(f);

			/* All of it, or what is around the page of what is large */
			const u64 from = f->lg2 == 30 && p & 1 ? SZ_512M - SZ_2M : 0;

			f->page = (p & 1 ? bytes / SZ_8K : 0) + (p & 2 ? 11 : 0);
			for (n = 0, acted = true; acted; n++) {
				KUNIT_ASSERT_EQ(test, map(f, 0, 1ULL << f->lg2, bytes, RW), 0);
				device_read(&f->dev[0], f->base + (u64)f->page * SZ_4K);
				act_within(f, n, write_now);
				KUNIT_EXPECT_EQ(test, demote(f, from, min_t(u64, bytes, SZ_4M)), 0);
				acted = act_no_more(f);
				clear_found(f);
				read_dirty(f, 0, bytes - 1, true);
				KUNIT_EXPECT_EQ(test, test_bit(f->page, f->found), acted);
				/* And a write after that, of one that knows everything by now */
				clear_found(f);
				KUNIT_EXPECT_TRUE(test, write_page(f, 0, f->page));
				read_dirty(f, 0, bytes - 1, true);
				set_bit(f->page, f->want);
				expect_found(f, "exact");
				KUNIT_EXPECT_EQ(test, unmap(f, 0, bytes), bytes);
			}
			KUNIT_EXPECT_GT(test, n, 4);
		}
	}
}

/* What was written before is found; then it is written again, by the same IOMMU. */
static void read_and_write_now(struct fixture *f)
{
	clear_found(f);
	read_dirty(f, 0, two_leaves(f) - 1, true);
	KUNIT_EXPECT_TRUE(f->test, test_bit(f->page, f->found));
	write_page(f, 0, f->page);
}

/*
 * At each step of a split somebody reads and clears. In a group the D of a page may be in the
 * entry of another one, also when that is not of the group any more.
 */
static void dirty_demote_meets_read(struct kunit *test)
{
	static const unsigned int lg2s[] = { 16, 21 };
	struct fixture *f = test->priv;
	unsigned int s, other, by_owner;
	bool acted;
	long n;

	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	for (s = 0; s < ARRAY_SIZE(lg2s); s++) {
		f->lg2 = lg2s[s];
		if (!has_size(f, f->lg2))
			continue;
		f->page = 7;
		for (other = 3; other < 14; other += 5) {
			for (n = 0, acted = true, by_owner = 0; acted || !by_owner; n++) {
				if (!acted) {
					by_owner = 1;
					n = 0;
				}
				KUNIT_ASSERT_EQ(test, map(f, 0, 1ULL << f->lg2, two_leaves(f), RW),
						0);
				device_read(&f->dev[0], f->base + other * SZ_4K);
				write_page(f, 0, f->page);
				act_within(f, n, read_and_write_now);
				if (by_owner)
					unmap(f, 15 * SZ_4K, SZ_4K);
				else
					demote(f, 0, two_leaves(f));
				acted = act_no_more(f);
				clear_found(f);
				read_dirty(f, 0, two_leaves(f) - 1, true);
				KUNIT_EXPECT_TRUE(test, test_bit(f->page, f->found));
				unmap(f, 0, 15 * SZ_4K);
				unmap(f, 15 * SZ_4K, two_leaves(f) - 15 * SZ_4K);
				unmap(f, 16 * SZ_4K, two_leaves(f) - 16 * SZ_4K);
			}
		}
	}
}

/* What an owner may do with the second of two leaves while they are demoted */
enum owner_does { UNMAP_ALL, UNMAP_FIRST, UNMAP_LAST, REMAP_ALL, REMAP_SMALL, OWNER_DOES };

/* Which bytes that is about: @page is twice what, plus which of the two leaves */
static void owners_part(struct fixture *f, u64 *off, u64 *bytes)
{
	const u64 size = 1ULL << f->lg2;
	const enum owner_does what = f->page >> 1;

	*off = (f->page & 1) * size;
	*bytes = what == UNMAP_ALL || what == REMAP_ALL ? size : SZ_4K;
	if (what == UNMAP_LAST)
		*off += size - SZ_4K;
}

static void owner_acts(struct fixture *f)
{
	const u64 pa = f->pa;
	u64 off, bytes;

	owners_part(f, &off, &bytes);
	KUNIT_EXPECT_EQ(f->test, unmap(f, off, bytes), bytes);
	/* Hardware cannot reach it any more. */
	KUNIT_EXPECT_FALSE(f->test, device_write(&f->dev[0], f->base + off));
	KUNIT_EXPECT_FALSE(f->test, device_write(&f->dev[1], f->base + off + bytes - SZ_4K));
	if (f->page >> 1 < REMAP_ALL)
		return;
	f->pa = 7ULL << 40;
	KUNIT_EXPECT_EQ(f->test, map(f, off, bytes, bytes, RW), 0);
	f->pa = pa;
}

/* The owner's part is as he left it, all the rest translates as it did. */
static void expect_owners(struct fixture *f, u64 all, bool acted)
{
	const enum owner_does what = f->page >> 1;
	unsigned long wrong = 0;
	unsigned int lg2;
	u64 off, bytes, at;

	owners_part(f, &off, &bytes);
	for (at = 0; at < all; at += f->lg2 == 30 ? SZ_64K : SZ_4K) {
		const u64 pte = look(f, f->base + at, &lg2);
		u64 pa = f->pa;

		if (acted && at >= off && at - off < bytes) {
			if (what < REMAP_ALL) {
				wrong += pte != 0;
				continue;
			}
			pa = 7ULL << 40;
		}
		wrong += !(pte & 1) || translated(at, pte, lg2) != pa + at;
	}
	KUNIT_EXPECT_EQ_MSG(f->test, wrong, 0, "owner does %u", f->page);
	KUNIT_EXPECT_EQ(f->test, marks(f), 0);
}

/* Takes everything away, whatever holes there are. */
static void clean_up(struct fixture *f, u64 all)
{
	u64 off, bytes;

	owners_part(f, &off, &bytes);
	unmap(f, off, bytes);
	unmap(f, 0, off);
	unmap(f, off + bytes, all - off - bytes);
	forget(f, 0, ~0ULL, 12, true);
	KUNIT_EXPECT_EQ(f->test, look(f, f->base, NULL), 0);
	KUNIT_EXPECT_EQ(f->test, look(f, f->base + all - SZ_4K, NULL), 0);
}

/* At each step the owner of one of two leaves unmaps it, a part of it, or maps another. */
static void dirty_demote_meets_owner(struct kunit *test)
{
	static const unsigned int lg2s[] = { 16, 21, 30 };
	struct fixture *f = test->priv;
	unsigned int s, what;
	bool acted;
	long n;

	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	for (s = 0; s < ARRAY_SIZE(lg2s); s++) {
		f->lg2 = lg2s[s];
		if (!has_size(f, f->lg2))
			continue;
		for (what = 0; what < 2 * OWNER_DOES; what++) {
			f->page = what;
			for (n = 0, acted = true; acted; n++) {
				/* What adjoins the other leaf, or all if that is less */
				const u64 part = min_t(u64, 1ULL << f->lg2, SZ_4M);
				int ret;

				KUNIT_ASSERT_EQ(test, map(f, 0, 1ULL << f->lg2, two_leaves(f), RW),
						0);
				device_read(&f->dev[0], f->base);
				device_read(&f->dev[1], f->base + two_leaves(f) - SZ_4K);
				act_within(f, n, owner_acts);
				ret = demote(f, (1ULL << f->lg2) - part, 2 * part);
				acted = act_no_more(f);
				/* Three times were enough, since he came once. */
				KUNIT_EXPECT_EQ(test, ret, 0);
				expect_owners(f, two_leaves(f), acted);
				clean_up(f, two_leaves(f));
			}
			KUNIT_EXPECT_GT(test, n, 4);
		}
		expect_no_leak(f);
	}
}

/* After that no entry may be left of which hardware makes a translation of the whole group. */
static void unmap_pages_of_group(struct fixture *f)
{
	static const unsigned int pages[] = { 9, 15, 2 };
	unsigned int i, n, lg2;

	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		KUNIT_EXPECT_EQ(f->test, unmap(f, pages[i] * SZ_4K, SZ_4K), SZ_4K);
		for (n = 0; n < 16; n++) {
			look(f, f->base + n * SZ_4K, &lg2);
			KUNIT_EXPECT_EQ(f->test, lg2, 12);
		}
	}
}

static void remap_group_first(struct fixture *f)
{
	const u64 pa = f->pa;

	KUNIT_EXPECT_EQ(f->test, unmap(f, 0, SZ_64K), SZ_64K);
	f->pa = 7ULL << 40;
	KUNIT_EXPECT_EQ(f->test, map(f, 0, SZ_64K, SZ_64K, RW), 0);
	f->pa = pa;
	f->act = unmap_pages_of_group;
	f->act_at = f->steps + f->page;
}

/*
 * In the middle of the demotion of a group its owner maps another group, and later unmaps pages
 * of that: what was begun with the old one is not gone on with in the new one.
 */
static void dirty_demote_meets_group(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i, lg2, large;
	bool acted;
	long n;

	if (!f->fmt->napot)
		kunit_skip(test, "there are no groups");
	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	for (f->page = 0; f->page < 70; f->page += 6) {
		for (n = 0, acted = true; acted; n++) {
			KUNIT_ASSERT_EQ(test, map(f, 0, SZ_64K, SZ_64K, RW), 0);
			act_within(f, n, remap_group_first);
			KUNIT_EXPECT_EQ(test, demote(f, 0, SZ_64K), 0);
			acted = f->act == unmap_pages_of_group;
			act_no_more(f);
			for (i = 0, large = 0; i < 16; i++) {
				const u64 pte = look(f, f->base + i * SZ_4K, &lg2);

				large += lg2 == 16;
				KUNIT_EXPECT_TRUE(test, !pte ||
						  translated(i * SZ_4K, pte, lg2) ==
						  (acted ? 7ULL << 40 : f->pa) + i * SZ_4K);
			}
			/* One that came late is still a group, all of it. */
			KUNIT_EXPECT_TRUE(test, !large || (acted && large == 16));
			KUNIT_EXPECT_EQ(test, marks(f), 0);
			for (i = 0; i < 16; i++)
				unmap(f, i * SZ_4K, SZ_4K);
		}
		KUNIT_EXPECT_GT(test, n, 40);
	}
}

static void busy_owner(struct fixture *f)
{
	const u64 size = 1ULL << f->lg2;

	KUNIT_EXPECT_EQ(f->test, unmap(f, 0, size), size);
	KUNIT_EXPECT_EQ(f->test, map(f, 0, size, size, RW), 0);
	/* The next time again */
	f->act_at = f->steps + 1;
}

static bool no_memory(void)
{
	return ((struct fixture *)kunit_get_current_test()->priv)->no_memory;
}

static void owner_without_memory(struct fixture *f)
{
	f->no_memory = true;
	KUNIT_EXPECT_EQ(f->test, unmap(f, SZ_4K, SZ_4K), 0);
	f->no_memory = false;
}

/* An owner who comes each time: demotion ends nevertheless, and says that it is not done. */
static void dirty_demote_gives_up(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int lg2;

	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	f->lg2 = 21;
	KUNIT_ASSERT_EQ(test, map(f, 0, SZ_2M, SZ_2M, RW), 0);
	act_within(f, 1, busy_owner);
	KUNIT_EXPECT_EQ(test, demote(f, 0, SZ_2M), -EAGAIN);
	act_no_more(f);
	look(f, f->base, &lg2);
	KUNIT_EXPECT_EQ(test, lg2, 21);
	KUNIT_EXPECT_EQ(test, demote(f, 0, SZ_2M), 0);
	expect_mapped(f, 0, SZ_2M, 12);
	KUNIT_EXPECT_EQ(test, unmap(f, 0, SZ_2M), SZ_2M);

	/* One who takes the leaf back at the last moment, and cannot do what he wants */
	KUNIT_ASSERT_EQ(test, map(f, 0, SZ_2M, SZ_2M, RW), 0);
	f->graces = 0;
	kunit_activate_static_stub(test, rviommu_alloc_fails, no_memory);
	act_within(f, 2, owner_without_memory);
	KUNIT_EXPECT_EQ(test, demote(f, 0, SZ_2M), 0);
	kunit_deactivate_static_stub(test, rviommu_alloc_fails);
	KUNIT_EXPECT_TRUE(test, act_no_more(f));
	expect_mapped(f, 0, SZ_2M, 12);
	/* It was announced again. */
	KUNIT_EXPECT_EQ(test, f->graces, 2);
}

/* --- promotion -------------------------------------------------------- */

static unsigned long promote(struct fixture *f, u64 off, u64 bytes)
{
	return rviommu_pgtable_promote(&f->pt, f->base + off, f->base + off + bytes - 1);
}

/* Full tables of one kind become leaves, up to the largest there are; and pages again. */
static void dirty_promote(struct kunit *test)
{
	static const unsigned int lg2s[] = { 12, 16, 21 };
	static const int prots[] = { RW, IOMMU_READ, RW | IOMMU_NOEXEC };
	struct fixture *f = test->priv;
	unsigned int s, p, lg2;

	for (s = 0; s < ARRAY_SIZE(lg2s); s++) {
		const unsigned long merges = lg2s[s] == 21 ? 1 : 513;

		if (!has_size(f, lg2s[s]))
			continue;
		for (p = 0; p < ARRAY_SIZE(prots); p++) {
			u64 pte;

			rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_NONE);
			KUNIT_ASSERT_EQ(test, map(f, 0, 1ULL << lg2s[s], SZ_1G, prots[p]), 0);
			pte = look(f, f->base, NULL);
			f->syncs = 0;
			KUNIT_EXPECT_EQ(test, promote(f, 0, SZ_1G), merges);
			/* One invalidation for all 512, one for what they became */
			KUNIT_EXPECT_EQ(test, f->syncs, lg2s[s] == 21 ? 1 : 2);
			expect_mapped(f, 0, SZ_1G, 30);
			/* The same permissions; not tracked, so it is dirty if it can be. */
			KUNIT_EXPECT_EQ(test, look(f, f->base, &lg2) & 255, pte & 255);
			KUNIT_EXPECT_EQ(test, lg2, 30);
			KUNIT_EXPECT_EQ(test, marks(f), 0);
			expect_no_leak(f);
			KUNIT_EXPECT_EQ(test, promote(f, 0, SZ_1G), 0);
			KUNIT_EXPECT_EQ(test, demote(f, 0, SZ_1G), 0);
			expect_mapped(f, 0, SZ_1G, prots[p] == IOMMU_READ ? 30 : 12);
			KUNIT_EXPECT_EQ(test, promote(f, 0, SZ_1G),
					prots[p] == IOMMU_READ ? 0 : 513);
			KUNIT_EXPECT_EQ(test, unmap(f, 0, SZ_1G), SZ_1G);
			expect_no_leak(f);
			forget(f, 0, ~0ULL, 12, true);
		}
	}
}

/* D of a part is D of the leaf, and no other leaf's. */
static void dirty_promote_keeps_dirty(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i;

	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_PAGES);
	KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, 8 * SZ_2M, RW), 0);
	for (i = 0; i < 8; i += 3) {
		write_page(f, 0, i * 512 + 80 * i);
		bitmap_set(f->want, i * 512, 512);
	}
	KUNIT_EXPECT_EQ(test, promote(f, 0, 8 * SZ_2M), 8);
	expect_count(f, 8 * SZ_2M, 21, 8 * 512);
	read_dirty(f, 0, 8 * SZ_2M - 1, true);
	expect_found(f, "merged");
	clear_found(f);
	write_page(f, 0, 5);
	bitmap_set(f->want, 0, 512);
	read_dirty(f, 0, 8 * SZ_2M - 1, true);
	expect_found(f, "one leaf");
}

/* The ends of both halves: what is at the root is promoted, too, if there is such a size. */
static void dirty_promote_ends(struct kunit *test)
{
	struct fixture *f = test->priv;
	const u64 half = 1ULL << (12 + 9 * f->fmt->levels + (f->fmt->second ? 2 : -1));
	const u64 at[] = { 0, half - SZ_1G, -half, -(u64)SZ_1G };
	unsigned int i, n, lg2;
	size_t mapped;

	for (i = 0; i < (f->fmt->second ? 2 : 4); i++)
		KUNIT_ASSERT_EQ(test, rviommu_pgtable_map(&f->pt, at[i], SZ_1G, SZ_2M, 512, RW,
							  GFP_KERNEL, &mapped), 0);
	for (n = 0; n < i; n++)
		device_read(&f->dev[0], at[n]);
	KUNIT_EXPECT_EQ(test, rviommu_pgtable_promote(&f->pt, 0, ~0ULL), i);
	/* No device knows one of the tables, whichever half it was in. */
	for (n = 0; n < LINKS; n++)
		KUNIT_EXPECT_NE(test, f->dev[0].links[n].lg2, 30);
	while (i--) {
		look(f, at[i], &lg2);
		KUNIT_EXPECT_EQ(test, lg2, 30);
		look(f, at[i] + SZ_1G - 1, &lg2);
		KUNIT_EXPECT_EQ(test, lg2, 30);
	}
	KUNIT_EXPECT_EQ(test, rviommu_pgtable_promote(&f->pt, 5, 4), 0);
	expect_no_leak(f);
}

/* What keeps a table from becoming a leaf: each at its first, a middle and its last page. */
static void dirty_promote_not(struct kunit *test)
{
	static const unsigned int pages[] = { 0, 1, 255, 510, 511 };
	struct fixture *f = test->priv;
	const bool napot = f->fmt->napot;
	unsigned int p, why, lg2;
	size_t mapped;

	for (p = 0; p < ARRAY_SIZE(pages); p++) {
		const u64 off = pages[p] * SZ_4K;

		for (why = 0; why < 6; why++) {
			u64 from = 0, bytes = SZ_2M;

			KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, SZ_2M, RW), 0);
			switch (why) {
			case 0:	/* a hole */
				unmap(f, off, SZ_4K);
				break;
			case 1:	/* another page */
				unmap(f, off, SZ_4K);
				rviommu_pgtable_map(&f->pt, f->base + off, f->pa + off + SZ_2M,
						    SZ_4K, 1, RW, GFP_KERNEL, &mapped);
				break;
			case 2:	/* other permissions */
				unmap(f, off, SZ_4K);
				map(f, off, SZ_4K, SZ_4K, IOMMU_READ);
				break;
			case 3:
				unmap(f, off, SZ_4K);
				map(f, off, SZ_4K, SZ_4K, RW | IOMMU_NOEXEC);
				break;
			case 4:	/* a range that does not have all of it */
				from = 1;
				break;
			case 5:
				bytes = SZ_2M - 1;
				break;
			}
			/* Only groups, where there are such: all but the one that has the page */
			KUNIT_EXPECT_EQ(test, promote(f, from, bytes - from), !napot ? 0 : 31);
			look(f, f->base + (off ^ SZ_4K), &lg2);
			if (why < 4)
				KUNIT_EXPECT_EQ(test, lg2, 12);
			else
				KUNIT_EXPECT_LE(test, lg2, napot ? 16 : 12);
			KUNIT_EXPECT_EQ(test, marks(f), 0);
			f->page = 0;
			unmap(f, 0, off);
			unmap(f, off, SZ_4K);
			unmap(f, off + SZ_4K, SZ_2M - off - SZ_4K);
		}
	}
	/* Physical addresses that no larger leaf can have */
	f->pa += SZ_4K;
	KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, SZ_2M, RW), 0);
	KUNIT_EXPECT_EQ(test, promote(f, 0, SZ_2M), 0);
	f->pa += SZ_2M - SZ_4K;
	KUNIT_ASSERT_EQ(test, map(f, SZ_1G, SZ_2M, SZ_1G, RW), 0);
	KUNIT_EXPECT_EQ(test, promote(f, SZ_1G, SZ_1G), 0);
}

/* The table that a leaf has taken the place of is freed after hardware and readers. */
static void dirty_promote_retires(struct kunit *test)
{
	struct fixture *f = test->priv;
	long live, during;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, 3 * SZ_2M, RW), 0);
	live = rviommu_mem_live();
	for (i = 0; i < 3; i++)
		device_read(&f->dev[0], f->base + i * SZ_2M);
	kunit_activate_static_stub(test, rviommu_pgtable_grace, no_grace);
	KUNIT_EXPECT_EQ(test, promote(f, 0, 3 * SZ_2M), 3);
	during = rviommu_mem_live();
	kunit_deactivate_static_stub(test, rviommu_pgtable_grace);
	KUNIT_EXPECT_LE(test, during, live);
	KUNIT_EXPECT_EQ(test, testdev_live(), live - 3);
	/* No link to them is left with any device. */
	for (i = 0; i < LINKS; i++)
		KUNIT_EXPECT_NE(test, f->dev[0].links[i].lg2, 21);
}

/* What a device knows of 2 MiB of pages before they are merged: links, and pages as clean */
static void know(struct fixture *f)
{
	device_read(&f->dev[0], f->base);
	device_read(&f->dev[0], f->base + (u64)f->page * SZ_4K);
	device_read(&f->dev[1], f->base + SZ_2M);
}

/*
 * At each step, and when the invalidation has been done, a device writes by what it has
 * cached, or by what there is: to one that knows the pages the table is there for long.
 */
static void dirty_promote_meets_write(struct kunit *test)
{
	static const unsigned int pages[] = { 0, 3, 511, 512, 1023 };
	struct fixture *f = test->priv;
	unsigned int p, dev;
	bool acted;
	long n;

	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_PAGES);
	for (p = 0; p < 2 * ARRAY_SIZE(pages); p++) {
		dev = p & 1;
		f->page = pages[p / 2];
		for (n = 0, acted = true; acted; n++) {
			KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, 2 * SZ_2M, RW), 0);
			know(f);
			act_within(f, n, dev ? write_other_now : write_now);
			KUNIT_EXPECT_EQ(test, promote(f, 0, 2 * SZ_2M), 2);
			acted = act_no_more(f);
			clear_found(f);
			read_dirty(f, 0, 2 * SZ_2M - 1, true);
			if (acted)
				bitmap_set(f->want, round_down(f->page, 512), 512);
			expect_found(f, "merged");
			clear_found(f);
			write_page(f, dev, f->page);
			bitmap_set(f->want, round_down(f->page, 512), 512);
			read_dirty(f, 0, 2 * SZ_2M - 1, true);
			expect_found(f, "leaf");
			KUNIT_EXPECT_EQ(test, unmap(f, 0, 2 * SZ_2M), 2 * SZ_2M);
		}
		KUNIT_EXPECT_GT(test, n, 6);
	}
}

/* The device writes, then stops, and its page is read as before an unmap. */
static void write_and_read_now(struct fixture *f)
{
	write_page(f, 0, f->page);
	clear_found(f);
	read_dirty(f, (u64)f->page * SZ_4K, (u64)f->page * SZ_4K + SZ_4K - 1, false);
	KUNIT_EXPECT_TRUE(f->test, test_bit(f->page, f->found));
}

/* The same, and everything is cleared: what comes after that is told the next time. */
static void clear_and_write_now(struct fixture *f)
{
	clear_found(f);
	read_dirty(f, 0, 2 * SZ_2M - 1, true);
	write_page(f, 0, f->page);
	clear_found(f);
	read_dirty(f, 0, 2 * SZ_2M - 1, false);
	KUNIT_EXPECT_TRUE(f->test, test_bit(f->page, f->found));
}

/* At each step somebody reads. */
static void dirty_promote_meets_read(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int what;
	bool acted;
	long n;

	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_PAGES);
	for (what = 0; what < 4; what++) {
		for (n = 0, acted = true; acted; n++) {
			f->page = what & 1 ? 700 : 6;
			KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, 2 * SZ_2M, RW), 0);
			know(f);
			act_within(f, n, what & 2 ? clear_and_write_now : write_and_read_now);
			KUNIT_EXPECT_EQ(test, promote(f, 0, 2 * SZ_2M), 2);
			acted = act_no_more(f);
			clear_found(f);
			read_dirty(f, 0, 2 * SZ_2M - 1, false);
			KUNIT_EXPECT_EQ(test, test_bit(f->page, f->found), acted);
			KUNIT_EXPECT_EQ(test, unmap(f, 0, 2 * SZ_2M), 2 * SZ_2M);
		}
		KUNIT_EXPECT_GT(test, n, 6);
	}
}

/* The owner of another page comes right after it. */
static void write_and_unmap_now(struct fixture *f)
{
	write_page(f, 0, f->page);
	KUNIT_EXPECT_EQ(f->test, unmap(f, (f->page + 20) * SZ_4K, SZ_4K), SZ_4K);
}

static void dirty_promote_meets_both(struct kunit *test)
{
	struct fixture *f = test->priv;
	bool acted;
	long n;

	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_PAGES);
	for (n = 0, acted = true; acted; n++) {
		f->page = n & 1 ? 600 : 6;
		KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, 2 * SZ_2M, RW), 0);
		know(f);
		act_within(f, n / 2, write_and_unmap_now);
		promote(f, 0, 2 * SZ_2M);
		acted = act_no_more(f);
		clear_found(f);
		read_dirty(f, 0, 2 * SZ_2M - 1, false);
		KUNIT_EXPECT_EQ(test, test_bit(f->page, f->found), acted);
		unmap(f, 0, (f->page + 20) * SZ_4K);
		unmap(f, (f->page + 20) * SZ_4K, SZ_4K);
		unmap(f, (f->page + 21) * SZ_4K, 2 * SZ_2M - (f->page + 21) * SZ_4K);
	}
	KUNIT_EXPECT_GT(test, n, 12);
}

/*
 * At each step an owner unmaps one of two tables, or a page of it, or maps another. Hardware
 * that still knows the old table must not reach what is unmapped: owner_acts() looks.
 */
static void dirty_promote_meets_owner(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int what, tracked;
	bool acted;
	long n;

	f->lg2 = 21;
	for (what = 0; what < 4 * OWNER_DOES; what++) {
		tracked = what & 1;
		f->page = what / 2;
		rviommu_pgtable_track(&f->pt, tracked ? RVIOMMU_TRACK_LEAVES : RVIOMMU_TRACK_NONE);
		for (n = 0, acted = true; acted; n++) {
			unsigned long merged;

			KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, 2 * SZ_2M, RW), 0);
			device_read(&f->dev[0], f->base);
			device_read(&f->dev[0], f->base + SZ_2M);
			device_read(&f->dev[1], f->base + SZ_2M - SZ_4K);
			device_read(&f->dev[1], f->base + 2 * SZ_2M - SZ_4K);
			act_within(f, n, owner_acts);
			merged = promote(f, 0, 2 * SZ_2M);
			acted = act_no_more(f);
			KUNIT_EXPECT_GE(test, merged, 1);
			KUNIT_EXPECT_LE(test, merged, f->fmt->napot ? 1 + 32 : 2);
			expect_owners(f, 2 * SZ_2M, acted);
			clean_up(f, 2 * SZ_2M);
		}
		KUNIT_EXPECT_GT(test, n, 6);
	}
	expect_no_leak(f);
}

static void unmap_a_part(struct fixture *f)
{
	KUNIT_EXPECT_EQ(f->test, unmap(f, 5 * SZ_4K, SZ_4K), SZ_4K);
	KUNIT_EXPECT_FALSE(f->test, device_write(&f->dev[0], f->base + 5 * SZ_4K));
}

static void unmap_all(struct fixture *f)
{
	KUNIT_EXPECT_EQ(f->test, unmap(f, 0, 2 * SZ_2M), 2 * SZ_2M);
	KUNIT_EXPECT_FALSE(f->test, device_write(&f->dev[0], f->base));
	KUNIT_EXPECT_FALSE(f->test, device_write(&f->dev[0], f->base + 2 * SZ_2M - SZ_4K));
}

/*
 * Who unmaps what was just promoted waits for hardware in the owner's stead, and may wait long: not
 * in an RCU section, which sync_walk() looks at.
 */
static void dirty_promote_meets_unmap(struct kunit *test)
{
	struct fixture *f = test->priv;

	KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, 2 * SZ_2M, RW), 0);
	device_read(&f->dev[0], f->base);
	f->on_sync = unmap_a_part;
	KUNIT_EXPECT_EQ(test, promote(f, 0, 2 * SZ_2M), f->fmt->napot ? 2 + 31 : 2);
	KUNIT_EXPECT_EQ(test, f->syncs, 2);
	KUNIT_ASSERT_EQ(test, map(f, 5 * SZ_4K, SZ_4K, SZ_4K, RW), 0);
	KUNIT_EXPECT_EQ(test, promote(f, 0, 2 * SZ_2M), 1);
	KUNIT_EXPECT_EQ(test, f->syncs, 3);
	demote(f, 0, 2 * SZ_2M);
	device_read(&f->dev[0], f->base);
	f->on_sync = unmap_all;
	KUNIT_EXPECT_EQ(test, promote(f, 0, 2 * SZ_2M), 2);
	/* Two leaves were met. */
	KUNIT_EXPECT_EQ(test, f->syncs, 6);
	KUNIT_EXPECT_EQ(test, atomic_read(&f->wrong), 0);
	KUNIT_EXPECT_EQ(test, marks(f), 0);
}

/*
 * Owners in the middle of something have to be waited for between announcement and replacement:
 * all are announced before that, and nothing has been replaced.
 */
static void look_at_grace(void)
{
	struct fixture *f = kunit_get_current_test()->priv;
	unsigned int lg2;

	f->steps++;
	/* Two leaves or two links, next to each other; or all pages of two groups */
	KUNIT_EXPECT_EQ(f->test, marks(f), f->page);
	look(f, f->base, &lg2);
	KUNIT_EXPECT_EQ(f->test, lg2, f->lg2);
}

/* Only sixteen pages each: what is around them keeps the table from being a leaf. */
#define GROUPS		2
#define GROUP_BYTES	((u64)GROUPS * SZ_64K)

static void dirty_reshape_waits(struct kunit *test)
{
	struct fixture *f = test->priv;

	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	KUNIT_ASSERT_EQ(test, map(f, 0, SZ_2M, 2 * SZ_2M, RW), 0);
	kunit_activate_static_stub(test, rviommu_pgtable_grace, look_at_grace);
	f->lg2 = 21;
	f->page = 2;
	KUNIT_EXPECT_EQ(test, demote(f, 0, 2 * SZ_2M), 0);
	KUNIT_EXPECT_EQ(test, f->steps, 1);
	f->lg2 = 12;
	KUNIT_EXPECT_EQ(test, promote(f, 0, 2 * SZ_2M), 2);
	KUNIT_EXPECT_EQ(test, f->steps, 2);
	KUNIT_EXPECT_EQ(test, unmap(f, 0, 2 * SZ_2M), 2 * SZ_2M);
	if (f->fmt->napot) {
		KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, GROUP_BYTES, RW), 0);
		f->page = GROUPS * 16;
		KUNIT_EXPECT_EQ(test, promote(f, 0, GROUP_BYTES), GROUPS);
		KUNIT_EXPECT_EQ(test, f->steps, 3);
	}
	kunit_deactivate_static_stub(test, rviommu_pgtable_grace);
}

/* --- promotion to groups ---------------------------------------------- */

static bool no_groups(struct fixture *f)
{
	f->lg2 = 16;
	return !f->fmt->napot;
}

/* Groups come back where there were groups, or would have been: as dirty as one of their pages. */
static void dirty_promote_groups(struct kunit *test)
{
	struct fixture *f = test->priv;
	static const int prots[] = { RW, IOMMU_READ, RW | IOMMU_NOEXEC };
	unsigned int p, i;

	if (no_groups(f))
		kunit_skip(test, "there are no groups");
	for (p = 0; p < ARRAY_SIZE(prots); p++) {
		/* Not tracked, they are dirty if they can be. */
		u64 pte;

		rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_NONE);
		KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, GROUP_BYTES, prots[p]), 0);
		pte = look(f, f->base, NULL);
		/* All of a group, or nothing of it */
		KUNIT_EXPECT_EQ(test, promote(f, 1, GROUP_BYTES - 1), 1);
		expect_count(f, GROUP_BYTES, 12, 16);
		KUNIT_EXPECT_EQ(test, promote(f, 0, GROUP_BYTES), 1);
		expect_count(f, GROUP_BYTES, 16, GROUPS * 16);
		expect_mapped(f, 0, GROUP_BYTES, 16);
		KUNIT_EXPECT_EQ(test, look(f, f->base, NULL) & 255, pte & 255);
		KUNIT_EXPECT_EQ(test, promote(f, 0, GROUP_BYTES), 0);
		KUNIT_EXPECT_EQ(test, marks(f), 0);
		KUNIT_EXPECT_EQ(test, demote(f, 0, GROUP_BYTES), 0);
		KUNIT_EXPECT_EQ(test, promote(f, 0, GROUP_BYTES),
				prots[p] == IOMMU_READ ? 0 : GROUPS);
		KUNIT_EXPECT_EQ(test, unmap(f, 0, SZ_64K), SZ_64K);
		KUNIT_EXPECT_EQ(test, unmap(f, SZ_64K, GROUP_BYTES - SZ_64K), GROUP_BYTES - SZ_64K);
	}
	KUNIT_EXPECT_EQ(test, f->syncs, 0);
	/* What was clean when tracking ended is dirty, so that hardware has nothing to do. */
	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, SZ_64K, RW), 0);
	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_NONE);
	KUNIT_EXPECT_EQ(test, promote(f, 0, SZ_64K), 1);
	for (i = 0; i < 16; i++)
		KUNIT_EXPECT_TRUE(test, look(f, f->base + i * SZ_4K, NULL) & 128);
	KUNIT_EXPECT_EQ(test, unmap(f, 0, SZ_64K), SZ_64K);
	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	for (i = 0; i < 16; i++) {
		KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, GROUP_BYTES, RW), 0);
		clear_found(f);
		write_page(f, i & 1, i);
		bitmap_set(f->want, 0, 16);
		KUNIT_EXPECT_EQ(test, promote(f, 0, GROUP_BYTES), GROUPS);
		read_dirty(f, 0, GROUP_BYTES - 1, true);
		expect_found(f, "inherited");
		clear_found(f);
		/* By what is cached of the page */
		write_page(f, i & 1, i);
		bitmap_set(f->want, 0, 16);
		read_dirty(f, 0, GROUP_BYTES - 1, true);
		expect_found(f, "again");
		KUNIT_EXPECT_EQ(test, unmap(f, 0, GROUP_BYTES), GROUP_BYTES);
	}
}

/* What keeps sixteen pages from becoming a group: each, at each page. */
static void dirty_promote_groups_not(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int page, why;
	size_t mapped;

	if (no_groups(f))
		kunit_skip(test, "there are no groups");
	for (page = 0; page < 16; page++) {
		const u64 off = page * SZ_4K;

		for (why = 0; why < 4; why++) {
			KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, SZ_64K, RW), 0);
			KUNIT_EXPECT_EQ(test, unmap(f, off, SZ_4K), SZ_4K);
			if (why == 1)	/* another page */
				rviommu_pgtable_map(&f->pt, f->base + off, f->pa + off + SZ_64K,
						    SZ_4K, 1, RW, GFP_KERNEL, &mapped);
			else if (why)	/* other permissions */
				map(f, off, SZ_4K, SZ_4K, why == 2 ? IOMMU_READ :
				    RW | IOMMU_NOEXEC);
			KUNIT_EXPECT_EQ(test, promote(f, 0, SZ_64K), 0);
			expect_count(f, SZ_64K, 16, 0);
			unmap(f, 0, off);
			unmap(f, off, SZ_4K);
			unmap(f, off + SZ_4K, SZ_64K - off - SZ_4K);
		}
	}
	/* Physical addresses that no group can have */
	f->pa += SZ_4K;
	KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, SZ_64K, RW), 0);
	KUNIT_EXPECT_EQ(test, promote(f, 0, SZ_64K), 0);
	expect_count(f, SZ_64K, 16, 0);
}

/* By what is known of the entry of a neighbour, which may be one of the group by now */
static void write_by_other_now(struct fixture *f)
{
	device_read(&f->dev[0], f->base + (f->page ^ 6) * SZ_4K);
	write_page(f, 0, f->page);
}

/* At each step a device writes, by what it has cached of the page or of another one. */
static void dirty_groups_meet_write(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int what;
	bool acted;
	long n;

	if (no_groups(f))
		kunit_skip(test, "there are no groups");
	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	for (what = 0; what < 3 * 16; what++) {
		f->page = what / 3;
		for (n = 0, acted = true; acted; n++) {
			KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, GROUP_BYTES, RW), 0);
			if (what % 3 < 2)
				device_read(&f->dev[what % 3], f->base + f->page * SZ_4K);
			act_within(f, n, what % 3 == 0 ? write_now : what % 3 == 1 ?
				   write_other_now : write_by_other_now);
			KUNIT_EXPECT_EQ(test, promote(f, 0, GROUP_BYTES), GROUPS);
			acted = act_no_more(f);
			clear_found(f);
			read_dirty(f, 0, GROUP_BYTES - 1, true);
			if (acted)
				bitmap_set(f->want, 0, 16);
			expect_found(f, "merged");
			clear_found(f);
			KUNIT_EXPECT_TRUE(test, write_page(f, what & 1, f->page));
			bitmap_set(f->want, 0, 16);
			read_dirty(f, 0, GROUP_BYTES - 1, true);
			expect_found(f, "group");
			KUNIT_EXPECT_EQ(test, unmap(f, 0, GROUP_BYTES), GROUP_BYTES);
		}
		KUNIT_EXPECT_GT(test, n, 90);
	}
}

/* What was written is read and cleared, then it is written again, by what is known of another. */
static void clear_and_write_group_now(struct fixture *f)
{
	clear_found(f);
	read_dirty(f, 0, GROUP_BYTES - 1, true);
	KUNIT_EXPECT_TRUE(f->test, test_bit(f->page, f->found));
	write_by_other_now(f);
}

/* The owner of another page comes right after the write. */
static void write_and_unmap_group_now(struct fixture *f)
{
	write_by_other_now(f);
	KUNIT_EXPECT_EQ(f->test, unmap(f, 15 * SZ_4K, SZ_4K), SZ_4K);
	KUNIT_EXPECT_FALSE(f->test, write_page(f, 0, 15));
}

/* At each step somebody reads and clears, or unmaps a page of the group: no write is lost. */
static void dirty_groups_meet_read(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int what;
	bool acted;
	long n;

	if (no_groups(f))
		kunit_skip(test, "there are no groups");
	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	for (what = 0; what < 2 * 15; what++) {
		f->page = what / 2;
		for (n = 0, acted = true; acted; n++) {
			KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, GROUP_BYTES, RW), 0);
			if (!(what & 1))
				write_page(f, 0, f->page);
			act_within(f, n, what & 1 ? write_and_unmap_group_now :
				   clear_and_write_group_now);
			promote(f, 0, GROUP_BYTES);
			acted = act_no_more(f);
			KUNIT_EXPECT_EQ(test, marks(f), 0);
			clear_found(f);
			read_dirty(f, (u64)f->page * SZ_4K, (u64)f->page * SZ_4K, false);
			KUNIT_EXPECT_EQ(test, test_bit(f->page, f->found), acted || !(what & 1));
			unmap(f, 0, 15 * SZ_4K);
			unmap(f, 15 * SZ_4K, SZ_4K);
			unmap(f, SZ_64K, GROUP_BYTES - SZ_64K);
		}
		KUNIT_EXPECT_GT(test, n, 90);
	}
}

/* The same, and hardware gets to know at once what is left in the neighbourhood. */
static void owner_acts_among(struct fixture *f)
{
	unsigned int page;
	u64 off, bytes;

	owner_acts(f);
	owners_part(f, &off, &bytes);
	for (page = 0; page < GROUPS * 16; page++)
		if (page < off / SZ_4K || page >= (off + bytes) / SZ_4K)
			device_read(&f->dev[0], f->base + page * SZ_4K);
	if (f->page >> 1 < REMAP_ALL)
		KUNIT_EXPECT_FALSE(f->test, write_page(f, 0, off / SZ_4K));
}

/* At each step the owner of one of two groups, or of a page of it, unmaps that or maps another. */
static void dirty_groups_meet_owner(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int what, page;
	u64 off, bytes;
	bool acted;
	long n;

	if (no_groups(f))
		kunit_skip(test, "there are no groups");
	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	for (what = 0; what < 2 * OWNER_DOES; what++) {
		f->page = what;
		owners_part(f, &off, &bytes);
		for (n = 0, acted = true; acted; n++) {
			KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, GROUP_BYTES, RW), 0);
			device_read(&f->dev[0], f->base);
			device_read(&f->dev[1], f->base + GROUP_BYTES - SZ_4K);
			act_within(f, n, owner_acts_among);
			promote(f, 0, GROUP_BYTES);
			acted = act_no_more(f);
			expect_owners(f, GROUP_BYTES, acted);
			/* Nor do translations of its neighbours lead to what he unmapped. */
			for (page = 0; page < GROUPS * 16; page++)
				if (page < off / SZ_4K || page >= (off + bytes) / SZ_4K)
					KUNIT_EXPECT_TRUE(test, write_page(f, 0, page));
			if (acted && what >> 1 < REMAP_ALL)
				KUNIT_EXPECT_FALSE(test, write_page(f, 0, off / SZ_4K));
			clean_up(f, GROUP_BYTES);
		}
		KUNIT_EXPECT_GT(test, n, 60);
	}
}

static void unmap_all_of_group(struct fixture *f)
{
	KUNIT_EXPECT_EQ(f->test, unmap(f, 0, SZ_64K), 5 * SZ_4K);
}

/* A page in the middle of what is being announced is gone: who unmaps all ends there. */
static void unmap_to_hole_now(struct fixture *f)
{
	KUNIT_EXPECT_EQ(f->test, unmap(f, 5 * SZ_4K, SZ_4K), SZ_4K);
	f->act_at = f->steps + 1;
	f->act = unmap_all_of_group;
}

/*
 * The owner of all of it maps other pages in the middle, and later unmaps some of them: what was
 * begun with the old ones is not gone on with in the new ones.
 */
static void remap_pages_first(struct fixture *f)
{
	const u64 pa = f->pa;

	KUNIT_EXPECT_EQ(f->test, unmap(f, 0, SZ_64K), SZ_64K);
	f->pa = 7ULL << 40;
	KUNIT_EXPECT_EQ(f->test, map(f, 0, SZ_4K, SZ_64K, RW), 0);
	f->pa = pa;
	f->act = unmap_pages_of_group;
	f->act_at = f->steps + f->page;
}

static void dirty_groups_meet_others(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i, lg2, large;
	bool acted, unmapped;
	long n;

	if (no_groups(f))
		kunit_skip(test, "there are no groups");
	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	for (f->page = 0; f->page < 60; f->page += 6) {
		for (n = 0, acted = true; acted; n++) {
			KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, SZ_64K, RW), 0);
			act_within(f, n, remap_pages_first);
			promote(f, 0, SZ_64K);
			acted = f->act == unmap_pages_of_group;
			unmapped = act_no_more(f) && acted;
			for (i = 0, large = 0; i < 16; i++) {
				const u64 pte = look(f, f->base + i * SZ_4K, &lg2);

				large += lg2 == 16;
				KUNIT_EXPECT_TRUE(test, !pte ||
						  translated(i * SZ_4K, pte, lg2) ==
						  (acted ? 7ULL << 40 : f->pa) + i * SZ_4K);
			}
			/* New ones that came early enough were announced, too. */
			KUNIT_EXPECT_EQ(test, large, large && !unmapped ? 16 : 0);
			KUNIT_EXPECT_EQ(test, marks(f), 0);
			for (i = 0; i < 16; i++)
				unmap(f, i * SZ_4K, SZ_4K);
		}
		KUNIT_EXPECT_GT(test, n, 40);
	}
	for (n = 0, acted = true; acted; n++) {
		KUNIT_ASSERT_EQ(test, map(f, 0, SZ_4K, SZ_64K, RW), 0);
		act_within(f, n, unmap_to_hole_now);
		promote(f, 0, SZ_64K);
		acted = f->act != unmap_to_hole_now;
		act_no_more(f);
		KUNIT_EXPECT_EQ(test, marks(f), 0);
		for (i = 0; i < 16; i++)
			unmap(f, i * SZ_4K, SZ_4K);
	}
}

/* --- all at once ------------------------------------------------------ */

#define CHUNKS		4
#define STRESS_WRITES	250000	/* that each device tries at least */
#define STRESS_ROUNDS	60	/* of the migration at least */
#define STRESS_OWNED	16	/* changes by the owner at least */

/**
 * struct stress - devices, an owner, a migration, and somebody who changes sizes
 * @f: the fixture
 * @copying: one at a time copies
 * @device: next device to start
 * @ended: devices that have written enough
 * @broken: a thread is missing
 * @owned: what the owner did
 * @reshaped: what the sizes were changed by
 * @rounds: of the migration
 * @cleared: pages that the migration found
 * @turn: the migration waits here for writes, the owner for the migration
 * @done: each thread's end
 */
struct stress {
	struct fixture *f;
	/* Copying is not overtaken. */
	struct mutex copying;
	atomic_t device;
	atomic_t ended;
	bool broken;
	unsigned long owned, reshaped, rounds, cleared;
	wait_queue_head_t turn;
	struct completion done;
};

static bool stress_over(struct stress *s)
{
	return atomic_read(&s->ended) == DEVICES;
}

static bool stress_goes_on(struct stress *s, unsigned int writes)
{
	return !READ_ONCE(s->broken) &&
	       (writes < STRESS_WRITES || READ_ONCE(s->rounds) < STRESS_ROUNDS ||
		READ_ONCE(s->owned) < STRESS_OWNED);
}

/* Writes anywhere, most of it near to where it was. */
static int stress_device(void *arg)
{
	struct stress *s = arg;
	struct fixture *f = s->f;
	const unsigned int i = atomic_inc_return(&s->device) - 1;
	struct rnd_state rnd;
	unsigned int n, page = 0;

	prandom_seed_state(&rnd, 100 + i);
	for (n = 0; stress_goes_on(s, n); n++) {
		const u32 r = prandom_u32_state(&rnd);

		page = r % 16 ? (page & ~31) + (r >> 8) % 32 : (r >> 8) % (CHUNKS * CHUNK / SZ_4K);
		write_page(f, i, page);
		if (n % 64 == 0) {
			wake_up_all(&s->turn);
			cond_resched();
		}
	}
	atomic_inc(&s->ended);
	wake_up_all(&s->turn);
	complete(&s->done);
	return 0;
}

/* Copies what was found, as it is now; nobody else overwrites it by what it was. */
static void stress_copy(struct stress *s, const unsigned long *found)
{
	struct fixture *f = s->f;
	unsigned long page;

	mutex_lock(&s->copying);
	for_each_set_bit(page, found, CHUNKS * CHUNK / SZ_4K)
		f->copy[page] = READ_ONCE(f->mem[page]);
	mutex_unlock(&s->copying);
}

/* Stops the DMA to a chunk, reads it, unmaps it, maps it anew in leaves of another size. */
static int stress_owner(void *arg)
{
	DECLARE_BITMAP(found, CHUNKS * CHUNK / SZ_4K);
	static const u64 leaf[] = { SZ_4K, SZ_2M, SZ_64K, SZ_2M };
	struct stress *s = arg;
	struct fixture *f = s->f;
	unsigned long round;
	unsigned int i;

	while (!stress_over(s)) {
		const unsigned int chunk = s->owned % CHUNKS;
		const u64 off = chunk * CHUNK;
		u64 size = leaf[s->owned / CHUNKS % ARRAY_SIZE(leaf)];

		if (size == SZ_64K && !f->fmt->napot)
			size = SZ_4K;
		set_bit(chunk, &f->stopped);
		for (i = 0; i < DEVICES; i++) {
			spin_lock(&f->dev[i].lock);
			spin_unlock(&f->dev[i].lock);
		}
		bitmap_zero(found, CHUNKS * CHUNK / SZ_4K);
		read_into(f, found, off, off + CHUNK - 1, false);
		/* A part first: leaves are split in the middle of everything. */
		if (s->owned & 1 && unmap(f, off + 7 * SZ_4K, SZ_4K * 9) != SZ_4K * 9)
			atomic_inc(&f->wrong);
		if (s->owned & 1 && unmap(f, off, CHUNK) != 7 * SZ_4K)
			atomic_inc(&f->wrong);
		if (unmap(f, s->owned & 1 ? off + 16 * SZ_4K : off,
			  s->owned & 1 ? CHUNK - 16 * SZ_4K : CHUNK) !=
		    (s->owned & 1 ? CHUNK - 16 * SZ_4K : CHUNK))
			atomic_inc(&f->wrong);
		stress_copy(s, found);
		if (map(f, off, size, CHUNK, RW))
			atomic_inc(&f->wrong);
		clear_bit(chunk, &f->stopped);
		WRITE_ONCE(s->owned, s->owned + 1);
		/* On one CPU, too, the others have to come in between. */
		round = READ_ONCE(s->rounds);
		wait_event(s->turn, READ_ONCE(s->rounds) != round || stress_over(s));
	}
	complete(&s->done);
	return 0;
}

static int stress_reshaper(void *arg)
{
	struct stress *s = arg;
	struct fixture *f = s->f;

	do {
		if (demote(f, 0, CHUNKS * CHUNK) == -ENOMEM)
			atomic_inc(&f->wrong);
		s->reshaped += promote(f, 0, CHUNKS * CHUNK);
	} while (!stress_over(s));
	complete(&s->done);
	return 0;
}

static unsigned long stress_writes(const struct fixture *f)
{
	return READ_ONCE(f->dev[0].writes) + READ_ONCE(f->dev[1].writes);
}

/*
 * A migration reads and clears, and copies what it is told, while devices write, chunks are
 * unmapped and mapped, leaves are split and merged. When the devices have stopped, it reads once
 * more, and then has everything: no write is lost.
 */
static void dirty_stress(struct kunit *test)
{
	static int (* const roles[])(void *) = {
		stress_device, stress_device, stress_owner, stress_reshaper
	};
	struct fixture *f = test->priv;
	struct stress *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	const unsigned int pages = CHUNKS * CHUNK / SZ_4K;
	unsigned int i, n, lost = 0, written = 0;
	unsigned long writes;

	static_assert(DEVICES == 2);
	KUNIT_ASSERT_NOT_NULL(test, s);
	f->mem = kvcalloc(MAX_PAGES, sizeof(*f->mem), GFP_KERNEL);
	f->copy = kvcalloc(MAX_PAGES, sizeof(*f->copy), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->mem);
	KUNIT_ASSERT_NOT_NULL(test, f->copy);
	s->f = f;
	mutex_init(&s->copying);
	init_completion(&s->done);
	init_waitqueue_head(&s->turn);
	rviommu_pgtable_track(&f->pt, RVIOMMU_TRACK_LEAVES);
	KUNIT_ASSERT_EQ(test, map(f, 0, SZ_2M, CHUNKS * CHUNK, RW), 0);
	for (n = 0; n < ARRAY_SIZE(roles); n++) {
		if (IS_ERR(kthread_run(roles[n], s, "rviommu_stress")))
			break;
	}
	KUNIT_EXPECT_EQ(test, n, ARRAY_SIZE(roles));
	WRITE_ONCE(s->broken, n != ARRAY_SIZE(roles));
	if (n < DEVICES)
		atomic_add(DEVICES - n, &s->ended);
	do {
		clear_found(f);
		read_dirty(f, 0, CHUNKS * CHUNK - 1, true);
		stress_copy(s, f->found);
		s->cleared += bitmap_weight(f->found, pages);
		WRITE_ONCE(s->rounds, s->rounds + 1);
		wake_up_all(&s->turn);
		writes = stress_writes(f);
		wait_event(s->turn, stress_writes(f) > writes + 300 || stress_over(s));
	} while (!stress_over(s));
	while (n--)
		wait_for_completion(&s->done);

	clear_found(f);
	read_dirty(f, 0, CHUNKS * CHUNK - 1, true);
	stress_copy(s, f->found);
	for (i = 0; i < pages; i++) {
		lost += f->copy[i] != f->mem[i];
		written += !!f->mem[i];
	}
	KUNIT_EXPECT_EQ(test, lost, 0);
	KUNIT_EXPECT_EQ(test, written, pages);
	KUNIT_EXPECT_GT(test, s->cleared, 0);
	KUNIT_EXPECT_GT(test, s->owned, 0);
	kunit_info(test, "%lu writes, %lu rounds found %lu pages, %lu remapped, %lu merged\n",
		   stress_writes(f), s->rounds, s->cleared, s->owned, s->reshaped);
	expect_no_leak(f);
}

#define CASE(name)	KUNIT_CASE_PARAM(name, format_gen_params)
#define CASE_FEW(name)	KUNIT_CASE_PARAM(name, few_format_gen_params)

static struct kunit_case dirty_cases[] = {
	CASE(dirty_exact),
	CASE(dirty_ranges),
	CASE(dirty_ends),
	CASE(dirty_many_runs),
	CASE(dirty_clear_meets),
	CASE(dirty_keeps_tables),
	CASE(dirty_track_pages),
	CASE_FEW(dirty_track_without_memory),
	CASE(dirty_demote),
	CASE(dirty_demote_ranges),
	CASE_FEW(dirty_demote_without_memory),
	CASE(dirty_demote_meets_write),
	CASE(dirty_demote_meets_read),
	CASE(dirty_demote_meets_owner),
	CASE(dirty_demote_meets_group),
	CASE(dirty_demote_gives_up),
	CASE(dirty_promote),
	CASE(dirty_promote_keeps_dirty),
	CASE(dirty_promote_ends),
	CASE(dirty_promote_not),
	CASE(dirty_promote_retires),
	CASE(dirty_promote_meets_write),
	CASE(dirty_promote_meets_read),
	CASE(dirty_promote_meets_both),
	CASE(dirty_promote_meets_owner),
	CASE(dirty_promote_meets_unmap),
	CASE(dirty_promote_groups),
	CASE(dirty_promote_groups_not),
	CASE_FEW(dirty_groups_meet_write),
	CASE_FEW(dirty_groups_meet_read),
	CASE(dirty_groups_meet_owner),
	CASE(dirty_groups_meet_others),
	CASE(dirty_reshape_waits),
	CASE_FEW(dirty_stress),
	{}
};

static struct kunit_suite dirty_suite = {
	.name = "rviommu_pgdirty",
	.init = dirty_test_init,
	.exit = dirty_test_exit,
	.test_cases = dirty_cases,
};

kunit_test_suite(dirty_suite);
