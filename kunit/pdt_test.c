// SPDX-License-Identifier: GPL-2.0-only
/*
 * Process directories: what hardware can see while they change, by the observer
 * (observer.h). pdt_torn_* do it the wrong way, and expect the observer to notice.
 */
#include <linux/io.h>
#include <linux/rcupdate.h>

#include <kunit/test.h>

#include "../src/driver/directory.h"
#include "../src/driver/mem.h"
#include "dirtest.h"
#include "observer.h"
#include "testdev.h"

/* The device, below a directory of two levels in base format */
#define DID	0x1234

/* One depth of directory; every test runs on all of them. */
struct pdt_config {
	const char *name;
	u8 levels;
};

static const struct pdt_config pdt_configs[] = {
	{ "PD8", 1 },
	{ "PD17", 2 },
	{ "PD20", 3 },
};

KUNIT_ARRAY_PARAM_DESC(pdt_config, pdt_configs, name);

struct pdt_world {
	struct rviommu_ddt ddt;
	struct rviommu_pdt pdt;
	struct observer o;
	struct observed *d;
	u32 max;	/* the last process_id */
	long live;

	struct rviommu_dir_update updates[OBSERVER_PROCESSES];	/* too large for a stack */
	unsigned int planned;
};

static const struct rviommu_pc none;
static const struct rviommu_pc bare = { .word = { 1 } };
static const struct rviommu_pc a = { .word = { 1 | 5 << 12, 8ULL << 60 | 0x80 } };
static const struct rviommu_pc b = { .word = { 1 | 6 << 12, 9ULL << 60 | 0x90 } };

static bool valid(const struct rviommu_pc *pc)
{
	return pc->word[0] & 1;
}

static struct observed_process *process(struct pdt_world *w, u32 pid)
{
	unsigned int i;

	for (i = 0; i < w->d->nr_processes; i++) {
		if (w->d->process[i].pid == pid)
			return &w->d->process[i];
	}
	return NULL;
}

static void watch(struct pdt_world *w, u32 pid)
{
	observer_watch_process(&w->o, w->d, pid);
}

static u64 *words_of(struct pdt_world *w, u32 pid)
{
	return observer_process_words(&w->o, DID, pid);
}

static struct rviommu_dc pdt_dc(u8 levels, const u64 *root)
{
	/* V, PDTV, DPE */
	return (struct rviommu_dc){ .word = { 0x221, 0, 0,
				    (u64)levels << 60 | virt_to_phys((void *)root) >> 12 } };
}

/* What the caller of publish owes, and what may be seen afterwards */
static void world_pay(struct pdt_world *w, const struct rviommu_dir_update *updates,
		      unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (updates[i].how == RVIOMMU_PUBLISH_WORD)
			observer_fence_process(&w->o, DID, updates[i].id);
		if (updates[i].how == RVIOMMU_PUBLISH_PAGE)
			observer_fence(&w->o, DID);
	}
	for (i = 0; i < nr; i++) {
		struct observed_process *p = process(w, updates[i].id);

		if (p && (updates[i].how == RVIOMMU_PUBLISH_WORD ||
			  updates[i].how == RVIOMMU_PUBLISH_PAGE))
			observer_allow_only_process(p, &updates[i].new.pc);
	}
}

/* Prepare to retire, under the observer's eyes and in the order of change.c. */
static int world_change(struct pdt_world *w, struct rviommu_dir_update *updates, unsigned int nr)
{
	struct rviommu_dir_update root = { .id = DID };
	unsigned int i;
	u64 *copy;
	int rc;

	mutex_lock(&w->ddt.lock);
	observer_refresh(&w->o);
	rc = rviommu_dir_prepare(&w->pdt.dir, updates, nr);
	observer_look(&w->o);
	if (rc)
		goto unlock;
	copy = rviommu_dir_new_root(updates, nr);
	if (copy) {
		root.new.dc = pdt_dc(w->pdt.dir.levels, copy);
		rc = rviommu_dir_prepare(&w->ddt.dir, &root, 1);
		if (rc) {
			rviommu_dir_abort(&w->pdt.dir, updates, nr);
			goto unlock;
		}
	}
	for (i = 0; i < nr; i++) {
		struct observed_process *p = process(w, updates[i].id);

		if (p)
			observer_allow_process(p, &updates[i].new.pc);
	}
	rviommu_dir_publish(&w->pdt.dir, updates, nr);
	if (copy)
		rviommu_dir_publish(&w->ddt.dir, &root, 1);
	observer_look(&w->o);

	world_pay(w, updates, nr);
	if (copy)
		observer_allow_only(w->d, &root.new.dc);
	observer_look(&w->o);
	rviommu_dir_retire(&w->pdt.dir, updates, nr);
	if (copy)
		rviommu_dir_retire(&w->ddt.dir, &root, 1);
	observer_refresh(&w->o);
	observer_look(&w->o);
unlock:
	mutex_unlock(&w->ddt.lock);
	return rc;
}

static int set(struct pdt_world *w, u32 pid, const struct rviommu_pc *pc,
	       struct rviommu_dir_update *update)
{
	struct rviommu_dir_update own = {};

	if (!update)
		update = &own;
	update->id = pid;
	update->new.pc = *pc;
	return world_change(w, update, 1);
}

/* The device's context points to an empty directory. */
static struct pdt_world *world_make(struct kunit *test)
{
	const struct pdt_config *config = test->param_value;
	struct pdt_world *w = test->priv;
	struct rviommu_dir_update update = { .id = DID };

	observer_init(&w->o, &w->ddt);
	KUNIT_ASSERT_EQ(test, 0, rviommu_ddt_init(&w->ddt, &w->o.ops, 2, false, 56, NUMA_NO_NODE));
	KUNIT_ASSERT_EQ(test, 0, rviommu_pdt_init(&w->pdt, &w->ddt, config->levels,
						  DID, false));
	observer_refresh(&w->o);
	w->pdt.dir.live = true;
	w->max = (1U << rviommu_pdt_pid_lg2(config->levels)) - 1;
	update.new.dc = pdt_dc(config->levels, w->pdt.dir.root);
	KUNIT_EXPECT_EQ(test, update.new.word[3],
			rviommu_pdt_pdtp(config->levels, w->pdt.dir.root));
	dirtest_apply(&w->ddt, &update, NULL);
	w->d = observer_watch(&w->o, DID);
	w->d->pdt = &w->pdt;
	observer_settle(&w->o);
	return w;
}

static void expect_intact(struct kunit *test, struct pdt_world *w, const char *what)
{
	observer_expect_intact(test, &w->o, what);
}

static void expect_read(struct kunit *test, struct pdt_world *w, u32 pid,
			const struct rviommu_pc *want)
{
	struct rviommu_pc pc;

	KUNIT_EXPECT_EQ(test, rviommu_pdt_read(&w->ddt, DID, pid, &pc), valid(want));
	KUNIT_EXPECT_MEMEQ(test, &pc, want, sizeof(pc));
}

/* ----- Shape ----- */

/* First and last process_id below each table, and the first that is too wide */
static void pdt_boundaries(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	u32 pids[12];
	unsigned int nr = 0, i;

	pids[nr++] = 0;
	pids[nr++] = 1;
	pids[nr++] = 0xff;
	if (w->pdt.dir.levels > 1) {
		pids[nr++] = 0x100;
		pids[nr++] = 0x1ff;
		pids[nr++] = 0x200;
		pids[nr++] = 0x1ffff;
	}
	if (w->pdt.dir.levels > 2) {
		pids[nr++] = 0x20000;
		pids[nr++] = 0x3ffff;
		pids[nr++] = w->max - 1;
		pids[nr++] = w->max;
	}
	for (i = 0; i < nr; i++) {
		struct rviommu_pc pc = { .word = { 1 | (i + 1) << 12, 8ULL << 60 | pids[i] } };

		KUNIT_ASSERT_EQ(test, 0, set(w, pids[i], &pc, NULL));
	}
	expect_intact(test, w, "boundaries");
	for (i = 0; i < nr; i++) {
		struct rviommu_pc pc = { .word = { 1 | (i + 1) << 12, 8ULL << 60 | pids[i] } };

		KUNIT_ASSERT_NOT_NULL(test, words_of(w, pids[i]));
		KUNIT_EXPECT_MEMEQ(test, words_of(w, pids[i]), pc.word, sizeof(pc));
		expect_read(test, w, pids[i], &pc);
	}
	KUNIT_EXPECT_EQ(test, -ERANGE, set(w, w->max + 1, &a, NULL));
	KUNIT_EXPECT_EQ(test, -ERANGE, set(w, U32_MAX, &a, NULL));
	KUNIT_EXPECT_EQ(test, -ERANGE, set(w, w->max + 1, &none, NULL));
	expect_read(test, w, w->max + 1, &none);
	expect_read(test, w, U32_MAX, &none);
	expect_read(test, w, 2, &none);
	expect_intact(test, w, "too wide");
}

/* Tables appear with their first context in them, by one store, and not before. */
static void pdt_growth(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	const bool one = w->pdt.dir.levels == 1;
	struct rviommu_dir_update update = {};
	long live = rviommu_mem_live();

	watch(w, 0);
	watch(w, w->max);
	watch(w, w->max - 1);

	/* An invalid context needs no tables. */
	observer_settle(&w->o);
	KUNIT_ASSERT_EQ(test, 0, set(w, w->max, &none, &update));
	KUNIT_EXPECT_EQ(test, update.how, RVIOMMU_PUBLISH_NONE);
	KUNIT_EXPECT_EQ(test, w->o.stores, 0);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live);

	KUNIT_ASSERT_EQ(test, 0, set(w, w->max, &a, &update));
	KUNIT_EXPECT_EQ(test, update.how, RVIOMMU_PUBLISH_VALID);
	KUNIT_EXPECT_EQ(test, w->o.stores, one ? 2 : 1);
	KUNIT_EXPECT_EQ(test, w->o.syncs, one);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live + w->pdt.dir.levels - 1);
	KUNIT_EXPECT_TRUE(test, observer_found_process(process(w, w->max), &a));

	/* The other end of the directory shares nothing but the root. */
	observer_settle(&w->o);
	KUNIT_ASSERT_EQ(test, 0, set(w, 0, &b, &update));
	KUNIT_EXPECT_EQ(test, w->o.stores, one ? 2 : 1);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live + 2 * (w->pdt.dir.levels - 1));

	/* A second context in the same page needs no more of them. */
	observer_settle(&w->o);
	KUNIT_ASSERT_EQ(test, 0, set(w, w->max - 1, &b, &update));
	KUNIT_EXPECT_EQ(test, w->o.stores, 2);
	KUNIT_EXPECT_EQ(test, w->o.syncs, 1);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live + 2 * (w->pdt.dir.levels - 1));
	expect_read(test, w, 0, &b);
	expect_read(test, w, w->max - 1, &b);
	expect_read(test, w, w->max, &a);
	expect_intact(test, w, "growth");
}

/* Before anybody can reach the directory, prepare is all there is to do. */
static void pdt_before_live(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	struct rviommu_dir_update update = { .id = w->max, .new.pc = a };
	struct rviommu_pdt pdt;
	long live = rviommu_mem_live();

	mutex_lock(&w->ddt.lock);
	KUNIT_EXPECT_EQ(test, 0, rviommu_pdt_init(&pdt, &w->ddt, w->pdt.dir.levels,
						  DID, false));
	KUNIT_EXPECT_FALSE(test, pdt.dir.live);
	KUNIT_EXPECT_EQ(test, 0, rviommu_dir_prepare(&pdt.dir, &update, 1));
	KUNIT_EXPECT_EQ(test, update.how, RVIOMMU_PUBLISH_NONE);
	KUNIT_EXPECT_MEMEQ(test, update.at.words, a.word, sizeof(a));
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live + w->pdt.dir.levels);
	update.new.pc = b;
	KUNIT_EXPECT_EQ(test, 0, rviommu_dir_prepare(&pdt.dir, &update, 1));
	KUNIT_EXPECT_MEMEQ(test, update.at.words, b.word, sizeof(b));
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live + w->pdt.dir.levels);
	mutex_unlock(&w->ddt.lock);
	rviommu_dir_destroy(&pdt.dir);
	KUNIT_EXPECT_NULL(test, pdt.dir.root);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live);
	rviommu_dir_destroy(&pdt.dir);
	rviommu_dir_retire_all(&pdt.dir);
	KUNIT_EXPECT_EQ(test, w->o.stores, 0);
	expect_intact(test, w, "before it is live");
}

/* ----- Every change ----- */

static const struct rviommu_pc kinds[] = {
	{},
	{ .word = { 1 } },
	{ .word = { 1 | 0x11 << 12, 8ULL << 60 | 0x1000 } },
	{ .word = { 1 | 0x12 << 12, 9ULL << 60 | 0x1001 } },
	{ .word = { 1 | 0x13 << 12, 10ULL << 60 | 0x1002 } },
	/* Only the root differs, and only the tag. */
	{ .word = { 1 | 0x11 << 12, 8ULL << 60 | 0x1003 } },
	{ .word = { 1 | 0x14 << 12, 8ULL << 60 | 0x1000 } },
	/* Supervisor accesses, and the largest tag */
	{ .word = { 7 | 0xfffffULL << 12, 8ULL << 60 | 0x1004 } },
};

/* @words: as they lie in memory, stale ones included */
static struct dirtest_cost cost_of(const u64 *words, const struct rviommu_pc *new)
{
	const bool ta = words[0] != new->word[0], fsc = words[1] != new->word[1];

	if (!(words[0] & 1) && !valid(new))
		return (struct dirtest_cost){ RVIOMMU_PUBLISH_NONE, 0, 0 };
	if (!(words[0] & 1))
		return (struct dirtest_cost){ RVIOMMU_PUBLISH_VALID, 1 + fsc, fsc };
	if (!valid(new) || ta != fsc)
		return (struct dirtest_cost){ RVIOMMU_PUBLISH_WORD, 1, 0 };
	return ta ? (struct dirtest_cost){ RVIOMMU_PUBLISH_PAGE, 1, 0 } :
		    (struct dirtest_cost){ RVIOMMU_PUBLISH_NONE, 0, 0 };
}

static void try_change(struct kunit *test, struct pdt_world *w, u32 pid,
		       const struct rviommu_pc *old, const struct rviommu_pc *new)
{
	struct observed_process *p = process(w, pid);
	struct rviommu_dir_update update = {};
	struct dirtest_cost cost = cost_of(words_of(w, pid), new);
	char what[80];

	snprintf(what, sizeof(what), "%llx %llx to %llx %llx", old->word[0], old->word[1],
		 new->word[0], new->word[1]);
	observer_settle(&w->o);
	memset(p->found, 0, sizeof(p->found));
	observer_look(&w->o);
	KUNIT_EXPECT_TRUE_MSG(test, observer_found_process(p, old), "%s: old never seen", what);
	KUNIT_ASSERT_EQ(test, 0, set(w, pid, new, &update));
	KUNIT_EXPECT_TRUE_MSG(test, observer_found_process(p, new), "%s: new never seen", what);
	dirtest_expect_cost(test, &w->o, what, update.how, &cost);
	KUNIT_EXPECT_MEMEQ(test, &update.old, old, sizeof(*old));
	expect_read(test, w, pid, new);
	expect_intact(test, w, what);
}

/* Neighbours on both sides, at the page's ends, and in another page if there is one */
static u32 watch_neighbours(struct kunit *test, struct pdt_world *w)
{
	const u32 pid = w->max - 0x1c;

	KUNIT_ASSERT_EQ(test, 0, set(w, pid - 1, &a, NULL));
	KUNIT_ASSERT_EQ(test, 0, set(w, w->max & ~0xffU, &b, NULL));
	KUNIT_ASSERT_EQ(test, 0, set(w, 1, &a, NULL));
	watch(w, pid);
	watch(w, pid - 1);
	watch(w, pid + 1);
	watch(w, w->max & ~0xffU);
	watch(w, w->max);
	watch(w, 1);
	observer_settle(&w->o);
	return pid;
}

/* Every ordered pair of contexts */
static void pdt_pairs(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	const u32 pid = watch_neighbours(test, w);
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		for (j = 0; j < ARRAY_SIZE(kinds); j++) {
			KUNIT_ASSERT_EQ(test, 0, set(w, pid, &kinds[i], NULL));
			try_change(test, w, pid, &kinds[i], &kinds[j]);
		}
	}
}

/* An invalid context stays as it is until it is used again, which takes a grace period. */
static void pdt_stale_words(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	const u32 pid = watch_neighbours(test, w);
	unsigned int i, j;

	for (i = 1; i < ARRAY_SIZE(kinds); i++) {
		for (j = 0; j < ARRAY_SIZE(kinds); j++) {
			KUNIT_ASSERT_EQ(test, 0, set(w, pid, &kinds[i], NULL));
			try_change(test, w, pid, &kinds[i], &none);
			KUNIT_EXPECT_EQ(test, words_of(w, pid)[1], kinds[i].word[1]);
			try_change(test, w, pid, &none, &none);
			try_change(test, w, pid, &none, &kinds[j]);
		}
	}
}

/*
 * Many changes of four processes, and no fence but those that are owed: what a walk
 * could combine then spans several changes.
 */
static void pdt_random(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	const u32 pids[] = { 0, 1, w->max - 1, w->max };
	struct rviommu_pc last[ARRAY_SIZE(pids)] = {};
	unsigned int i, k;
	u32 random = 12345;

	for (i = 0; i < ARRAY_SIZE(pids); i++)
		watch(w, pids[i]);
	for (i = 0; i < 500; i++) {
		random = random * 1664525 + 1013904223;
		k = random >> 30;
		last[k] = kinds[(random >> 20) % ARRAY_SIZE(kinds)];
		KUNIT_ASSERT_EQ(test, 0, set(w, pids[k], &last[k], NULL));
		for (k = 0; k < ARRAY_SIZE(pids); k++) {
			if (valid(&last[k]))
				expect_read(test, w, pids[k], &last[k]);
			else
				expect_read(test, w, pids[k], &none);
		}
		/* Somebody else's INVAL_DDT DV=0; the log has an end. */
		if (i % 16 == 15)
			observer_fence_all(&w->o);
		expect_intact(test, w, "random");
	}
}

/* The IOMMU goes out of service in the middle: the change goes on. */
static void pdt_sync_fails(struct kunit *test)
{
	struct pdt_world *w = world_make(test);

	w->o.sync_result = -EIO;
	watch(w, 2);
	KUNIT_ASSERT_EQ(test, 0, set(w, 2, &bare, NULL));
	KUNIT_ASSERT_EQ(test, 0, set(w, 2, &none, NULL));
	KUNIT_ASSERT_EQ(test, 0, set(w, 2, &a, NULL));
	KUNIT_EXPECT_GE(test, w->o.syncs, 1);
	KUNIT_ASSERT_EQ(test, 0, set(w, 2, &b, NULL));
	expect_read(test, w, 2, &b);
	expect_intact(test, w, "out of service");
}

/* A device with several IDs: each of them may have read the words. */
static void pdt_sync_all(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	unsigned int i;

	w->pdt.several = true;
	for (i = 0; i < 2; i++) {
		struct rviommu_dir_update update = { .id = 2 + i, .new.pc = a };

		mutex_lock(&w->ddt.lock);
		KUNIT_EXPECT_EQ(test, 0, rviommu_dir_prepare(&w->pdt.dir, &update, 1));
		/* In a page that exists, but for the first one of more than one level. */
		rviommu_dir_publish(&w->pdt.dir, &update, 1);
		mutex_unlock(&w->ddt.lock);
	}
	KUNIT_EXPECT_EQ(test, w->o.syncs, w->pdt.dir.levels == 1 ? 2 : 1);
	KUNIT_EXPECT_EQ(test, w->o.syncs_all, w->o.syncs);
	expect_read(test, w, 2, &a);
	expect_read(test, w, 3, &a);
}

/* ----- Memory ----- */

/* One change of each kind that there is, and what it starts from */
static const struct {
	const char *what;
	struct rviommu_pc from, to;
	bool far;	/* in a page of its own, if there is more than one */
} changes[] = {
	{ "no page", {}, { .word = { 1 | 5 << 12, 8ULL << 60 | 0x80 } }, true },
	{ "becomes valid", {}, { .word = { 1 | 5 << 12, 8ULL << 60 | 0x80 } }, false },
	{ "one word", { .word = { 1 | 5 << 12, 8ULL << 60 } }, { .word = { 1 | 5 << 12 } }, false },
	{ "two words", { .word = { 1 | 5 << 12, 8ULL << 60 } }, { .word = { 1 } }, false },
	{ "becomes invalid", { .word = { 1 | 5 << 12 } }, {}, false },
	{ "nothing", { .word = { 1 } }, { .word = { 1 } }, false },
};

static u32 set_up_change(struct kunit *test, struct pdt_world *w, unsigned int i)
{
	const u32 pid = changes[i].far ? w->max : 2;

	KUNIT_ASSERT_EQ(test, 0, set(w, 1, &a, NULL));
	KUNIT_ASSERT_EQ(test, 0, set(w, pid, &changes[i].from, NULL));
	rcu_barrier();
	observer_settle(&w->o);
	return pid;
}

/* Abort after prepare: as if nothing had been. */
static void pdt_abort(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	unsigned int i;

	watch(w, 1);
	watch(w, 2);
	watch(w, w->max);
	for (i = 0; i < ARRAY_SIZE(changes); i++) {
		const u32 pid = set_up_change(test, w, i);
		struct rviommu_dir_update update = { .id = pid, .new.pc = changes[i].to };
		const long live = rviommu_mem_live();
		int rc;

		mutex_lock(&w->ddt.lock);
		rc = rviommu_dir_prepare(&w->pdt.dir, &update, 1);
		observer_look(&w->o);
		if (!rc)
			rviommu_dir_abort(&w->pdt.dir, &update, 1);
		observer_look(&w->o);
		mutex_unlock(&w->ddt.lock);
		KUNIT_EXPECT_EQ(test, rc, 0);
		KUNIT_EXPECT_EQ(test, w->o.stores + w->o.syncs, 0);
		KUNIT_EXPECT_EQ_MSG(test, rviommu_mem_live(), live, "%s", changes[i].what);
		KUNIT_EXPECT_NULL(test, update.copy);
		KUNIT_EXPECT_NULL(test, update.at.subtree);
		expect_intact(test, w, changes[i].what);
		/* and it still works */
		KUNIT_EXPECT_EQ(test, 0, set(w, pid, &changes[i].to, NULL));
		expect_intact(test, w, changes[i].what);
	}
}

/**
 * struct pdt_attempt - a change for which there may be no memory
 * @test: whose
 * @w: its world
 * @pid: what it is about
 * @from: what it has, and keeps if there is none
 * @to: what it gets
 */
struct pdt_attempt {
	struct kunit *test;
	struct pdt_world *w;
	u32 pid;
	const struct rviommu_pc *from;
	const struct rviommu_pc *to;
};

static int attempt(void *arg)
{
	struct pdt_attempt *t = arg;
	int rc = set(t->w, t->pid, t->to, NULL);

	expect_read(t->test, t->w, t->pid, rc ? t->from : t->to);
	return rc;
}

/* Each allocation fails in turn. */
static void pdt_no_memory(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	/* A page is two allocations; with one level DC.fsc changes, in place. */
	const unsigned int want[] = { 2 * (w->pdt.dir.levels - 1), 0, 0, 2, 0, 0 };
	struct testdev_failures failures;
	struct rviommu_pdt pdt;
	unsigned int i, n;
	long live;

	watch(w, 1);
	watch(w, 2);
	watch(w, w->max);
	for (i = 0; i < ARRAY_SIZE(changes); i++) {
		struct pdt_attempt t = {
			.test = test, .w = w, .pid = set_up_change(test, w, i),
			.from = &changes[i].from, .to = &changes[i].to,
		};

		n = dirtest_no_memory(test, &w->o, changes[i].what, attempt, &t);
		KUNIT_EXPECT_EQ_MSG(test, n, want[i], "%s", changes[i].what);
		expect_intact(test, w, changes[i].what);
	}

	live = testdev_live();
	for (n = 0; n < 2; n++) {
		testdev_fail(test, &failures, n);
		KUNIT_EXPECT_EQ(test, -ENOMEM, rviommu_pdt_init(&pdt, &w->ddt, 1, DID, false));
	}
	testdev_fail(test, &failures, -1);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live);
}

/* ----- Several at once ----- */

/* One more of the updates that the next call of world_change() is given */
static void plan(struct pdt_world *w, u32 pid, const struct rviommu_pc *new)
{
	w->updates[w->planned++] = (struct rviommu_dir_update){ .id = pid, .new.pc = *new };
}

static void watch_planned(struct pdt_world *w)
{
	unsigned int i;

	for (i = 0; i < w->planned; i++)
		watch(w, w->updates[i].id);
	rcu_barrier();
	observer_settle(&w->o);
}

static void expect_planned(struct kunit *test, struct pdt_world *w,
			   const enum rviommu_publish *how)
{
	unsigned int i;

	for (i = 0; i < w->planned; i++) {
		KUNIT_EXPECT_EQ_MSG(test, w->updates[i].how, how[i], "update %u", i);
		expect_read(test, w, w->updates[i].id, &w->updates[i].new.pc);
	}
}

/* One word differs from @a. */
static const struct rviommu_pc a_root = { .word = { 1 | 5 << 12, 8ULL << 60 | 0x81 } };

/* All kinds of update of one leaf page in one call: one copy, and it is not that of the first. */
static void pdt_several_in_one_page(struct kunit *test)
{
	static const enum rviommu_publish how[] = {
		RVIOMMU_PUBLISH_PAGE, RVIOMMU_PUBLISH_PAGE, RVIOMMU_PUBLISH_PAGE,
		RVIOMMU_PUBLISH_NONE, RVIOMMU_PUBLISH_PAGE, RVIOMMU_PUBLISH_PAGE,
	};
	struct pdt_world *w = world_make(test);
	u64 *page;
	long live;
	u32 pid;

	for (pid = 10; pid <= 16; pid++)
		if (pid != 11)
			KUNIT_ASSERT_EQ(test, 0, set(w, pid, &a, NULL));
	plan(w, 10, &a_root);	/* one word */
	plan(w, 11, &a);	/* becomes valid */
	plan(w, 12, &b);	/* both words */
	plan(w, 13, &a);	/* nothing */
	plan(w, 14, &b);	/* both words */
	plan(w, 15, &none);	/* becomes invalid */
	watch_planned(w);
	page = words_of(w, 0);
	live = rviommu_mem_live();

	KUNIT_ASSERT_EQ(test, 0, world_change(w, w->updates, w->planned));
	expect_planned(test, w, how);
	expect_read(test, w, 16, &a);
	/* The entry above the page; with one level DC.fsc */
	KUNIT_EXPECT_EQ(test, w->o.stores, 1);
	KUNIT_EXPECT_EQ(test, w->o.syncs, 0);
	KUNIT_EXPECT_PTR_NE(test, page, words_of(w, 0));
	expect_intact(test, w, "several in one page");
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
}

/* Without a copy each of them has its own stores, and one grace period serves all. */
static void pdt_several_in_place(struct kunit *test)
{
	static const enum rviommu_publish how[] = {
		RVIOMMU_PUBLISH_VALID, RVIOMMU_PUBLISH_WORD, RVIOMMU_PUBLISH_VALID,
		RVIOMMU_PUBLISH_WORD, RVIOMMU_PUBLISH_VALID,
	};
	struct pdt_world *w = world_make(test);
	u64 *page;

	KUNIT_ASSERT_EQ(test, 0, set(w, 11, &a, NULL));
	KUNIT_ASSERT_EQ(test, 0, set(w, 13, &a, NULL));
	plan(w, 10, &a);
	plan(w, 11, &a_root);
	plan(w, 12, &b);
	plan(w, 13, &none);
	plan(w, 14, &bare);
	watch_planned(w);
	page = words_of(w, 0);

	KUNIT_ASSERT_EQ(test, 0, world_change(w, w->updates, w->planned));
	expect_planned(test, w, how);
	/* fsc and ta; fsc; fsc and ta; ta; ta */
	KUNIT_EXPECT_EQ(test, w->o.stores, 7);
	KUNIT_EXPECT_EQ(test, w->o.syncs, 1);
	/* All of it is one device's. */
	KUNIT_EXPECT_EQ(test, w->o.syncs_all, 0);
	KUNIT_EXPECT_PTR_EQ(test, page, words_of(w, 0));
	expect_intact(test, w, "several in place");
}

/* In one call: pages that exist, pages that do not, and tables that two of them share */
static void pdt_several_pages(struct kunit *test)
{
	static const enum rviommu_publish how[] = {
		RVIOMMU_PUBLISH_PAGE, RVIOMMU_PUBLISH_VALID, RVIOMMU_PUBLISH_VALID,
		RVIOMMU_PUBLISH_VALID, RVIOMMU_PUBLISH_NONE, RVIOMMU_PUBLISH_PAGE,
	};
	struct pdt_world *w = world_make(test);
	long live;

	if (w->pdt.dir.levels == 1)
		kunit_skip(test, "one level has one page");

	KUNIT_ASSERT_EQ(test, 0, set(w, 3, &a, NULL));
	KUNIT_ASSERT_EQ(test, 0, set(w, 0x100, &a, NULL));
	plan(w, 3, &b);
	plan(w, w->max, &a);
	plan(w, w->max - 1, &b);
	plan(w, w->max - 0x100, &b);
	plan(w, w->max - 2, &none);
	plan(w, 0x100, &b);
	watch_planned(w);
	live = rviommu_mem_live();

	KUNIT_ASSERT_EQ(test, 0, world_change(w, w->updates, w->planned));
	expect_planned(test, w, how);
	/* Two copies; two new leaf pages, under one new middle table where there are three. */
	KUNIT_EXPECT_EQ(test, w->o.stores, w->pdt.dir.levels == 3 ? 3 : 4);
	KUNIT_EXPECT_EQ(test, w->o.syncs, 0);
	expect_intact(test, w, "several pages");
	KUNIT_EXPECT_EQ(test, testdev_live(), live + w->pdt.dir.levels);
}

static void pdt_several_refused(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	long live = rviommu_mem_live();

	plan(w, 4, &a);
	plan(w, w->max, &a);
	plan(w, 4, &b);
	watch_planned(w);
	KUNIT_EXPECT_EQ(test, -EINVAL, world_change(w, w->updates, 3));
	w->updates[2].id = w->max + 1;
	KUNIT_EXPECT_EQ(test, -ERANGE, world_change(w, w->updates, 3));
	KUNIT_EXPECT_EQ(test, w->o.stores, 0);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live);
	expect_read(test, w, 4, &none);
	expect_intact(test, w, "refused");
}

/* Plan every kind of update, and make them possible. */
static void plan_mixed(struct kunit *test, struct pdt_world *w)
{
	const bool one = w->pdt.dir.levels == 1;
	const u32 other_page = one ? 0x30 : 0x100;
	u32 pid;

	for (pid = 20; pid < 23; pid++)
		KUNIT_ASSERT_EQ(test, 0, set(w, pid, &a, NULL));
	KUNIT_ASSERT_EQ(test, 0, set(w, other_page, &a, NULL));
	plan(w, w->max, &a);
	plan(w, 20, &a_root);
	plan(w, 21, &b);
	plan(w, one ? w->max - 5 : w->max - 0x100, &b);
	plan(w, other_page, &b);
	plan(w, 22, &none);
	watch_planned(w);
}

/* Abort after prepare of the first n updates, for every n: as if nothing had been */
static void pdt_several_abort(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	unsigned int i;
	long live;

	plan_mixed(test, w);
	live = testdev_live();
	for (i = 0; i <= w->planned; i++) {
		u64 *root = w->pdt.dir.root;
		int rc;

		mutex_lock(&w->ddt.lock);
		rc = rviommu_dir_prepare(&w->pdt.dir, w->updates, i);
		observer_look(&w->o);
		if (!rc)
			rviommu_dir_abort(&w->pdt.dir, w->updates, i);
		observer_look(&w->o);
		mutex_unlock(&w->ddt.lock);
		KUNIT_ASSERT_EQ(test, 0, rc);
		KUNIT_EXPECT_EQ_MSG(test, rviommu_mem_live(), live, "%u updates", i);
		KUNIT_EXPECT_PTR_EQ(test, w->pdt.dir.root, root);
		KUNIT_EXPECT_NULL(test, rviommu_dir_new_root(w->updates, i));
	}
	KUNIT_EXPECT_EQ(test, w->o.stores + w->o.syncs, 0);
	expect_intact(test, w, "abort");
	/* and it still works */
	KUNIT_EXPECT_EQ(test, 0, world_change(w, w->updates, w->planned));
	expect_intact(test, w, "after abort");
}

/* Each allocation fails in turn: -ENOMEM, nothing visible, nothing lost. */
static void pdt_several_no_memory(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	const unsigned int levels = w->pdt.dir.levels;
	struct testdev_failures failures;
	int rc = -ENOMEM;
	unsigned int n;
	long live;

	plan_mixed(test, w);
	live = testdev_live();
	for (n = 0; rc; n++) {
		KUNIT_ASSERT_LT(test, n, 32);
		testdev_fail(test, &failures, n);
		rc = world_change(w, w->updates, w->planned);
		testdev_fail(test, &failures, -1);
		if (!rc)
			break;
		KUNIT_ASSERT_EQ(test, rc, -ENOMEM);
		KUNIT_EXPECT_EQ_MSG(test, rviommu_mem_live(), live, "allocation %u", n);
		KUNIT_EXPECT_EQ(test, w->o.stores + w->o.syncs, 0);
		expect_read(test, w, 21, &a);
		expect_intact(test, w, "no memory");
	}
	/* Two copies and the tables for max and max - 0x100, or one copy; a page is two. */
	KUNIT_EXPECT_EQ(test, n, levels == 1 ? 2 : 2 * (2 + levels));
	expect_read(test, w, 21, &b);
	expect_intact(test, w, "with memory");
}

/* A new directory is built by one call; where that fails, it goes with what it has. */
static void pdt_several_before_live(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	const unsigned int tables = 2 * (w->pdt.dir.levels - 1);
	long live = rviommu_mem_live();
	struct testdev_failures failures;
	struct rviommu_pdt pdt;
	int rc = -ENOMEM;
	unsigned int n;

	plan(w, 0, &bare);
	plan(w, w->max, &a);
	mutex_lock(&w->ddt.lock);
	for (n = 0; rc && n < 16; n++) {
		KUNIT_EXPECT_EQ(test, 0, rviommu_pdt_init(&pdt, &w->ddt, w->pdt.dir.levels,
							  DID, false));
		testdev_fail(test, &failures, n);
		rc = rviommu_dir_prepare(&pdt.dir, w->updates, w->planned);
		testdev_fail(test, &failures, -1);
		if (!rc)
			break;
		KUNIT_EXPECT_EQ(test, rc, -ENOMEM);
		rviommu_dir_destroy(&pdt.dir);
		KUNIT_EXPECT_EQ_MSG(test, rviommu_mem_live(), live, "allocation %u", n);
	}
	mutex_unlock(&w->ddt.lock);
	KUNIT_ASSERT_EQ(test, rc, 0);
	KUNIT_EXPECT_EQ(test, n, 2 * tables);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live + 1 + tables);
	for (n = 0; n < w->planned; n++) {
		KUNIT_EXPECT_EQ(test, w->updates[n].how, RVIOMMU_PUBLISH_NONE);
		KUNIT_EXPECT_NULL(test, w->updates[n].at.link);
		KUNIT_EXPECT_MEMEQ(test, rviommu_dir_walk(&pdt.dir, w->updates[n].id),
				   w->updates[n].new.word, sizeof(struct rviommu_pc));
	}
	rviommu_dir_destroy(&pdt.dir);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live);
	KUNIT_EXPECT_EQ(test, w->o.stores, 0);
	expect_intact(test, w, "before it is live");
}

/* A replaced page is readable as long as somebody in software may be reading it. */
static void pdt_retire(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	struct rviommu_dir_update update = { .id = 2, .new.pc = b };
	struct rviommu_dir_update root = { .id = DID };
	long live, held = 0, retired = 0;
	bool same = false;
	u64 *old;

	KUNIT_ASSERT_EQ(test, 0, set(w, 2, &a, NULL));
	live = testdev_live();
	old = words_of(w, 2);

	mutex_lock(&w->ddt.lock);
	if (!rviommu_dir_prepare(&w->pdt.dir, &update, 1)) {
		rviommu_dir_publish(&w->pdt.dir, &update, 1);
		root.new.dc = pdt_dc(w->pdt.dir.levels, w->pdt.dir.root);
		if (w->pdt.dir.levels == 1 && !rviommu_dir_prepare(&w->ddt.dir, &root, 1))
			rviommu_dir_publish(&w->ddt.dir, &root, 1);
		held = rviommu_mem_live();
		rcu_read_lock();
		rviommu_dir_retire(&w->pdt.dir, &update, 1);
		retired = rviommu_mem_live();
		same = !memcmp(old, a.word, sizeof(a));
		rcu_read_unlock();
	}
	mutex_unlock(&w->ddt.lock);
	KUNIT_EXPECT_EQ(test, held, live + 1);
	KUNIT_EXPECT_EQ(test, retired, live + 1);
	KUNIT_EXPECT_TRUE(test, same);
	KUNIT_EXPECT_NULL(test, update.replaced);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
	KUNIT_EXPECT_PTR_NE(test, words_of(w, 2), old);
	expect_read(test, w, 2, &b);
}

/* ----- Readers in software ----- */

static void set_dc(struct pdt_world *w, const struct rviommu_dc *dc)
{
	struct rviommu_dir_update update = { .id = DID, .new.dc = *dc };

	dirtest_apply(&w->ddt, &update, &w->o);
}

/* No context without a device context that has a process directory */
static void pdt_read(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	const struct rviommu_dc with = pdt_dc(w->pdt.dir.levels, w->pdt.dir.root);
	struct rviommu_dc dc = with;
	struct rviommu_pc pc;

	KUNIT_ASSERT_EQ(test, 0, set(w, 0, &a, NULL));
	expect_read(test, w, 0, &a);
	KUNIT_EXPECT_FALSE(test, rviommu_pdt_read(&w->ddt, DID + 1, 0, &pc));
	KUNIT_EXPECT_MEMEQ(test, &pc, &none, sizeof(pc));
	KUNIT_EXPECT_FALSE(test, rviommu_pdt_read(&w->ddt, U32_MAX, 0, &pc));
	dc.word[0] &= ~1ULL;
	set_dc(w, &dc);
	expect_read(test, w, 0, &none);
	/* A first stage where the directory was: its root is no table of ours. */
	dc.word[0] = 1;
	set_dc(w, &dc);
	expect_read(test, w, 0, &none);
	dc = with;
	dc.word[3] = 0;
	set_dc(w, &dc);
	expect_read(test, w, 0, &none);
	/* Words of two contexts: the root of a first stage is no directory. */
	dc.word[3] = (with.word[3] & ~0ULL >> 4) | 8ULL << 60;
	set_dc(w, &dc);
	expect_read(test, w, 0, &none);
	set_dc(w, &with);
	expect_read(test, w, 0, &a);
}

/* Both words name the change that made them. */
static struct rviommu_pc race_pc(unsigned int n)
{
	return (struct rviommu_pc){ .word = { (u64)n << 12 | (n % 7 != 0), 8ULL << 60 | n } };
}

static void race_write(struct dirtest_thread *t, unsigned int n)
{
	struct rviommu_dir_update u = { .id = t->id, .new.pc = race_pc(n) };
	struct pdt_world *w = t->arg;

	mutex_lock(&w->ddt.lock);
	if (rviommu_dir_prepare(&w->pdt.dir, &u, 1)) {
		t->failed++;
	} else {
		struct rviommu_dir_update root = { .id = DID };
		bool moves = rviommu_dir_new_root(&u, 1);

		root.new.dc = pdt_dc(w->pdt.dir.levels, u.copy ?: w->pdt.dir.root);
		rviommu_dir_publish(&w->pdt.dir, &u, 1);
		if (moves && !rviommu_dir_prepare(&w->ddt.dir, &root, 1))
			rviommu_dir_publish(&w->ddt.dir, &root, 1);
		rviommu_dir_retire(&w->pdt.dir, &u, 1);
	}
	mutex_unlock(&w->ddt.lock);
}

static void race_read(struct dirtest_thread *t, unsigned int n)
{
	struct pdt_world *w = t->arg;
	struct rviommu_pc pc, want;

	if (rviommu_pdt_read(&w->ddt, DID, t->id, &pc)) {
		want = race_pc(pc.word[0] >> 12);
		t->failed += !!memcmp(&pc, &want, sizeof(pc));
	}
	/* The neighbour never changes. */
	if (!rviommu_pdt_read(&w->ddt, DID, t->id - 1, &pc) || memcmp(&pc, &a, sizeof(pc)))
		t->failed++;
}

/* A writer, and a reader without a lock */
static void pdt_race(struct kunit *test)
{
	const struct rviommu_pc last = race_pc(DIRTEST_CHANGES);
	struct pdt_world *w = world_make(test);
	struct dirtest_thread *threads;

	KUNIT_ASSERT_EQ(test, 0, set(w, 2, &a, NULL));
	threads = kunit_kcalloc(test, 2, sizeof(*threads), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, threads);
	w->ddt.ops = &dirtest_plain_ops;
	threads[0] = (struct dirtest_thread){ .write = race_write, .arg = w, .id = 3 };
	threads[1] = (struct dirtest_thread){ .read = race_read, .arg = w, .id = 3 };
	dirtest_run(test, threads, 2);
	expect_read(test, w, 3, &last);
	expect_read(test, w, 2, &a);
}

/* ----- Can the observer fail? Each of these installs a context in a wrong way. ----- */

/* Process 2 has @pc, it and its neighbour are watched, and all that was is forgotten. */
static u64 *set_up_torn(struct kunit *test, struct pdt_world *w, const struct rviommu_pc *pc)
{
	KUNIT_ASSERT_EQ(test, 0, set(w, 3, &a, NULL));
	KUNIT_ASSERT_EQ(test, 0, set(w, 2, pc, NULL));
	watch(w, 2);
	watch(w, 3);
	observer_settle(&w->o);
	expect_intact(test, w, "before");
	return words_of(w, 2);
}

static void store(struct pdt_world *w, u64 *where, u64 value)
{
	observer_store(&w->ddt, where, value);
}

/* A valid context rewritten word by word, in either order */
static void pdt_torn_rewrite(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	u64 *words = set_up_torn(test, w, &a);
	unsigned int i;

	for (i = 0; i < 2; i++) {
		const struct rviommu_pc *to = i ? &a : &b;

		observer_allow_process(process(w, 2), to);
		store(w, &words[i], to->word[i]);
		KUNIT_EXPECT_GT(test, w->o.torn, 0);
		store(w, &words[!i], to->word[!i]);
		KUNIT_EXPECT_EQ(test, w->o.bypassed, 0);
		observer_settle(&w->o);
		w->o.torn = 0;
		observer_look(&w->o);
		KUNIT_EXPECT_EQ(test, w->o.torn, 0);
	}
}

/* An invalid context made valid, fsc first and then V, but no grace period between */
static void pdt_torn_no_grace(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	u64 *words = set_up_torn(test, w, &none);

	observer_allow_process(process(w, 2), &a);
	store(w, &words[1], a.word[1]);
	KUNIT_EXPECT_EQ(test, w->o.torn, 0);
	/* fsc may have been read as zero: no translation. */
	store(w, &words[0], a.word[0]);
	KUNIT_EXPECT_GT(test, w->o.torn, 0);
	KUNIT_EXPECT_EQ(test, w->o.bypassed, 0);
}

/* V first and then fsc, with a grace period */
static void pdt_torn_order(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	u64 *words = set_up_torn(test, w, &none);

	observer_allow_process(process(w, 2), &a);
	store(w, &words[0], a.word[0]);
	KUNIT_EXPECT_GT(test, w->o.torn, 0);
	observer_sync(&w->ddt, DID, false);
	store(w, &words[1], a.word[1]);
	KUNIT_EXPECT_EQ(test, w->o.bypassed, 0);
}

/* Break before make, with a grace period only after V = 0, and that of another process */
static void pdt_torn_one_fence(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	u64 *words = set_up_torn(test, w, &a);

	observer_allow_process(process(w, 2), &b);
	observer_allow_process(process(w, 2), &none);
	store(w, &words[0], 0);
	observer_fence_process(&w->o, DID, 2);
	store(w, &words[1], b.word[1]);
	observer_fence_process(&w->o, DID, 3);
	observer_fence(&w->o, DID + 1);
	KUNIT_EXPECT_EQ(test, w->o.torn, 0);
	store(w, &words[0], b.word[0]);
	KUNIT_EXPECT_GT(test, w->o.torn, 0);
	KUNIT_EXPECT_EQ(test, w->o.bypassed, 0);
	/* That it was broken in between is seen, too. */
	KUNIT_EXPECT_TRUE(test, observer_found_process(process(w, 2), &none));
	KUNIT_EXPECT_EQ(test, w->o.invalid, 0);
}

/* A change of a neighbour, and a change behind the observer's back */
static void pdt_torn_neighbour(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	u64 *words = set_up_torn(test, w, &a);

	store(w, words_of(w, 3) + 1, 9ULL << 60);
	KUNIT_EXPECT_GT(test, w->o.torn, 0);
	KUNIT_EXPECT_EQ(test, w->o.bypassed, 0);

	observer_settle(&w->o);
	w->o.torn = 0;
	/* of a context that nobody watches */
	words += 2 * 5;
	WRITE_ONCE(words[1], 1);
	observer_look(&w->o);
	KUNIT_EXPECT_EQ(test, w->o.torn, 0);
	KUNIT_EXPECT_GT(test, w->o.bypassed, 0);
	WRITE_ONCE(words[1], 0);
}

/* Make the entry above the leaf page of process 2 point to @page: DC.fsc with one level. */
static void relink(struct pdt_world *w, u64 *page)
{
	if (w->pdt.dir.levels == 1) {
		w->pdt.dir.root = page;
		store(w, observer_words(&w->o, DID) + 3, pdt_dc(1, page).word[3]);
	} else {
		store(w, observer_process_parent(&w->o, DID, 2),
		      1 | virt_to_phys(page) >> 12 << 10);
	}
}

static u64 *copy_of(struct kunit *test, const u64 *page)
{
	u64 *copy = rviommu_page_alloc(NUMA_NO_NODE, GFP_KERNEL, 0, 56);

	KUNIT_ASSERT_NOT_NULL(test, copy);
	memcpy(copy, page, RVIOMMU_PAGE_SIZE);
	return copy;
}

/* A copy of the leaf page that is published first and edited then */
static void pdt_torn_late_edit(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	u64 *page = set_up_torn(test, w, &a) - 4;

	observer_allow_process(process(w, 2), &b);
	relink(w, copy_of(test, page));
	KUNIT_EXPECT_EQ(test, w->o.torn, 0);
	store(w, words_of(w, 2), b.word[0]);
	KUNIT_EXPECT_GT(test, w->o.torn, 0);
	store(w, words_of(w, 2) + 1, b.word[1]);
	KUNIT_EXPECT_EQ(test, w->o.bypassed, 0);
	observer_settle(&w->o);
	rviommu_page_free(page);
}

/* A copy without what a neighbour has */
static void pdt_torn_bad_copy(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	u64 *page = set_up_torn(test, w, &a) - 4, *copy;

	copy = copy_of(test, page);
	memcpy(&copy[4], b.word, sizeof(b));
	memset(&copy[6], 0, 16);
	observer_allow_process(process(w, 2), &b);
	KUNIT_EXPECT_EQ(test, w->o.invalid, 0);
	relink(w, copy);
	KUNIT_EXPECT_EQ(test, w->o.torn, 0);
	/* Process 3 is gone. */
	KUNIT_EXPECT_GT(test, w->o.invalid, 0);
	observer_settle(&w->o);
	rviommu_page_free(page);
}

/* Without what a page owes, an entry that was read before leads to the old one. */
static void pdt_torn_no_fence(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	u64 *page = set_up_torn(test, w, &a) - 4, *copy;
	LIST_HEAD(pages);

	copy = copy_of(test, page);
	memcpy(&copy[4], b.word, sizeof(b));
	observer_allow_process(process(w, 2), &b);
	relink(w, copy);
	KUNIT_EXPECT_EQ(test, w->o.torn, 0);
	/* That of the process does not make hardware forget the entry. */
	observer_allow_only_process(process(w, 2), &b);
	observer_fence_process(&w->o, DID, 2);
	KUNIT_EXPECT_GT(test, w->o.torn, 0);
	/* And the page cannot go yet. */
	KUNIT_EXPECT_EQ(test, w->o.reached, 0);
	list_add(&rviommu_page_of(page)->node, &pages);
	observer_retire(&w->o, &pages);
	KUNIT_EXPECT_GT(test, w->o.reached, 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&pages));

	observer_fence(&w->o, DID);
	w->o.torn = 0;
	w->o.reached = 0;
	observer_look(&w->o);
	KUNIT_EXPECT_EQ(test, w->o.torn, 0);
	KUNIT_EXPECT_EQ(test, w->o.reached, 0);
	observer_free_retired(&w->o);
}

/* Without what a word owes, the old context is still there. */
static void pdt_torn_no_word_fence(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	u64 *words = set_up_torn(test, w, &a);

	observer_allow_process(process(w, 2), &none);
	store(w, words, 0);
	KUNIT_EXPECT_EQ(test, w->o.torn, 0);
	observer_allow_only_process(process(w, 2), &none);
	observer_fence_process(&w->o, DID, 3);
	KUNIT_EXPECT_GT(test, w->o.torn, 0);
	observer_fence_process(&w->o, DID, 2);
	w->o.torn = 0;
	observer_look(&w->o);
	KUNIT_EXPECT_EQ(test, w->o.torn, 0);
}

/* Commands count when a fence has followed, and for whom they are. */
static void pdt_torn_commands(struct kunit *test)
{
	struct pdt_world *w = world_make(test);
	u64 *words = set_up_torn(test, w, &a);
	const u64 fence = 2, pdt = 3 | 1 << 7 | 1ULL << 33 | (u64)DID << 40;
	const u64 ddt = 3 | 1ULL << 33 | (u64)DID << 40;
	const struct {
		u64 cmd;
		bool helps;
	} tries[] = {
		{ pdt | 2 << 12, true },
		{ pdt | 3 << 12, false },
		{ (pdt | 2 << 12) + (1ULL << 40), false },
		{ ddt, true },
		{ ddt + (1ULL << 40), false },
		{ 3, true },
		{ 1, false },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(tries); i++) {
		store(w, words, a.word[0] & ~1ULL);
		observer_allow_only_process(process(w, 2), &none);
		observer_execute(&w->o, tries[i].cmd);
		w->o.torn = 0;
		observer_look(&w->o);
		KUNIT_EXPECT_GT_MSG(test, w->o.torn, 0, "try %u: no fence", i);
		observer_execute(&w->o, fence);
		w->o.torn = 0;
		observer_look(&w->o);
		KUNIT_EXPECT_EQ_MSG(test, !w->o.torn, tries[i].helps, "try %u", i);
		observer_allow_process(process(w, 2), &a);
		store(w, words, a.word[0]);
		observer_settle(&w->o);
	}
}

/* The device goes from a first stage to a directory word by word. */
static void pdt_torn_device(struct kunit *test)
{
	static const struct rviommu_dc first = { .word = { 1, 0, 0, 8ULL << 60 | 0x80 } };
	struct pdt_world *w = world_make(test);
	const struct rviommu_dc with = pdt_dc(w->pdt.dir.levels, w->pdt.dir.root);
	u64 *words;

	set_up_torn(test, w, &a);
	set_dc(w, &first);
	words = observer_words(&w->o, DID);
	observer_settle(&w->o);
	w->o.torn = 0;
	w->o.invalid = 0;
	observer_allow(w->d, &with);
	observer_allow_process(process(w, 2), &a);
	observer_allow_process(process(w, 3), &a);
	observer_look(&w->o);
	expect_intact(test, w, "before");
	/* A page table taken for a directory; then a directory taken for a page table */
	store(w, &words[0], with.word[0]);
	KUNIT_EXPECT_GT(test, w->o.torn, 0);
	store(w, &words[3], with.word[3]);
	KUNIT_EXPECT_EQ(test, w->o.bypassed, 0);
}

static int pdt_test_init(struct kunit *test)
{
	struct pdt_world *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);

	if (!w)
		return -ENOMEM;
	w->live = testdev_live();
	test->priv = w;
	return 0;
}

static void pdt_test_exit(struct kunit *test)
{
	struct pdt_world *w = test->priv;

	if (!w)
		return;
	if (w->ddt.dir.root)
		rviommu_ddt_destroy(&w->ddt);
	rviommu_dir_retire_all(&w->pdt.dir);
	KUNIT_EXPECT_NULL(test, w->pdt.dir.root);
	KUNIT_EXPECT_EQ(test, testdev_live(), w->live);
}

static struct kunit_case pdt_cases[] = {
	KUNIT_CASE_PARAM(pdt_boundaries, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_growth, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_before_live, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_pairs, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_stale_words, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_random, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_sync_fails, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_sync_all, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_abort, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_no_memory, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_several_in_one_page, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_several_in_place, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_several_pages, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_several_refused, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_several_abort, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_several_no_memory, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_several_before_live, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_retire, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_read, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_race, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_torn_rewrite, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_torn_no_grace, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_torn_order, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_torn_one_fence, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_torn_neighbour, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_torn_late_edit, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_torn_bad_copy, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_torn_no_fence, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_torn_no_word_fence, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_torn_commands, pdt_config_gen_params),
	KUNIT_CASE_PARAM(pdt_torn_device, pdt_config_gen_params),
	{}
};

static struct kunit_suite pdt_suite = {
	.name = "rviommu_pdt",
	.init = pdt_test_init,
	.exit = pdt_test_exit,
	.test_cases = pdt_cases,
};

kunit_test_suite(pdt_suite);
