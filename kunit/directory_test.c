// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device directory: what hardware can see while it changes, by the observer
 * (observer.h). It would be of no use if it could not fail, so directory_torn_* install
 * contexts the wrong way and expect it to.
 */
#include <linux/bitfield.h>
#include <linux/io.h>
#include <linux/rcupdate.h>

#include <kunit/test.h>

#include "../src/driver/directory.h"
#include "../src/driver/mem.h"
#include "dirtest.h"
#include "observer.h"
#include "testdev.h"

/* One shape of directory; every test runs on all of them. */
struct dir_config {
	const char *name;
	u8 levels;
	bool extended;
};

static const struct dir_config dir_configs[] = {
	{ "1 level, base", 1, false },
	{ "2 levels, base", 2, false },
	{ "3 levels, base", 3, false },
	{ "1 level, extended", 1, true },
	{ "2 levels, extended", 2, true },
	{ "3 levels, extended", 3, true },
};

KUNIT_ARRAY_PARAM_DESC(dir_config, dir_configs, name);

struct dir_world {
	struct rviommu_ddt ddt;
	bool have_ddt;
	unsigned int words;
	unsigned int did_lg2;
	long live;
	struct observer o;

	struct rviommu_dir_update updates[8];	/* too large for a stack */
	unsigned int planned;

};

/* What the caller of publish owes, and what may be seen afterwards */
static void world_pay(struct dir_world *w, struct rviommu_dir_update *updates, unsigned int nr)
{
	unsigned int i, j;

	for (i = 0; i < nr; i++) {
		enum rviommu_publish how = updates[i].how;

		if (how == RVIOMMU_PUBLISH_NONE || how == RVIOMMU_PUBLISH_VALID)
			continue;
		if (how == RVIOMMU_PUBLISH_PAGE)
			observer_fence_all(&w->o);
		else
			observer_fence(&w->o, updates[i].id);
		for (j = 0; j < w->o.nr_devices; j++) {
			struct observed *d = &w->o.device[j];
			struct rviommu_dc dc;

			if (how != RVIOMMU_PUBLISH_PAGE && d->did != updates[i].id)
				continue;
			rviommu_ddt_read(&w->ddt, d->did, &dc);
			observer_allow_only(d, &dc);
		}
		observer_look(&w->o);
	}
}

/* Prepare to retire, under the observer's eyes. */
static int world_change(struct dir_world *w, struct rviommu_dir_update *updates, unsigned int nr)
{
	unsigned int i;
	int rc;

	mutex_lock(&w->ddt.lock);
	observer_refresh(&w->o);
	rc = rviommu_dir_prepare(&w->ddt.dir, updates, nr);
	observer_look(&w->o);
	if (rc)
		goto unlock;
	for (i = 0; i < nr; i++) {
		struct observed *d = observer_watched(&w->o, updates[i].id);

		if (!d)
			continue;
		observer_allow(d, &updates[i].new.dc);
		if (updates[i].how == RVIOMMU_PUBLISH_BREAK)
			d->invalid_allowed = true;
	}
	rviommu_dir_publish(&w->ddt.dir, updates, nr);
	observer_look(&w->o);
	world_pay(w, updates, nr);
	rviommu_dir_retire(&w->ddt.dir, updates, nr);
	observer_refresh(&w->o);
	observer_look(&w->o);
unlock:
	mutex_unlock(&w->ddt.lock);
	return rc;
}

static int world_set(struct dir_world *w, u32 did, const struct rviommu_dc *dc,
		     struct rviommu_dir_update *update)
{
	struct rviommu_dir_update own = {};

	if (!update)
		update = &own;
	update->id = did;
	update->new.dc = *dc;
	return world_change(w, update, 1);
}

static struct dir_world *world_make(struct kunit *test)
{
	const struct dir_config *config = test->param_value;
	struct dir_world *w = test->priv;

	observer_init(&w->o, &w->ddt);
	KUNIT_ASSERT_EQ(test, 0, rviommu_ddt_init(&w->ddt, &w->o.ops, config->levels,
						  config->extended, 56, NUMA_NO_NODE));
	w->have_ddt = true;
	w->words = config->extended ? 8 : 4;
	w->did_lg2 = rviommu_dir_id_lg2(&w->ddt.dir);
	observer_refresh(&w->o);
	return w;
}

static void expect_intact(struct kunit *test, struct dir_world *w, const char *what)
{
	observer_expect_intact(test, &w->o, what);
}

/* One context of the catalogue */
struct dir_named {
	char name[40];
	struct rviommu_dc dc;
};

#define MAX_CATALOGUE	40

static void catalogue_add(struct dir_named *list, unsigned int *nr, const char *what, u8 mode,
			  const char *flags, u64 tc, u64 iohgatp, u64 ta, u64 fsc)
{
	struct dir_named *n = &list[(*nr)++];

	if (mode)
		snprintf(n->name, sizeof(n->name), "%s mode %u%s", what, mode, flags);
	else
		snprintf(n->name, sizeof(n->name), "%s%s", what, flags);
	n->dc = (struct rviommu_dc) { .word = { tc, iohgatp, ta, fsc } };
}

/*
 * Every kind of context the driver makes or will make. list[0] is blocking,
 * list[1] identity. Roots and tags all differ, so that a mixture is one.
 */
static unsigned int catalogue(struct dir_named *list, bool extended)
{
	static const u64 ats = RVIOMMU_DC_TC_EN_ATS;
	static const u64 v = RVIOMMU_DC_TC_V;
	unsigned int nr = 0, mode;

	catalogue_add(list, &nr, "blocking", 0, "", 0, 0, 0, 0);
	catalogue_add(list, &nr, "identity", 0, "", v, 0, 0, 0);
	catalogue_add(list, &nr, "identity", 0, " ATS", v | ats, 0, 0, 0);
	for (mode = RVIOMMU_ATP_MODE_SV39; mode <= RVIOMMU_ATP_MODE_SV57; mode++) {
		u64 fsc = FIELD_PREP(RVIOMMU_FSC_MODE, mode);
		u64 ta = RVIOMMU_DC_TA_PSCID;
		u64 g = FIELD_PREP(RVIOMMU_DC_IOHGATP_MODE, mode);
		u64 gscid = RVIOMMU_DC_IOHGATP_GSCID;

		catalogue_add(list, &nr, "first", mode, "", v, 0,
			      FIELD_PREP(RVIOMMU_DC_TA_PSCID, 0x100 + nr), fsc | (0x1000 + nr));
		catalogue_add(list, &nr, "first", mode, " SADE", v | RVIOMMU_DC_TC_SADE, 0,
			      FIELD_PREP(RVIOMMU_DC_TA_PSCID, 0x100 + nr), fsc | (0x1000 + nr));
		catalogue_add(list, &nr, "first", mode, " SADE ATS",
			      v | RVIOMMU_DC_TC_SADE | ats, 0, ta, fsc | (0x1000 + nr));
		catalogue_add(list, &nr, "second", mode, "", v,
			      g | FIELD_PREP(RVIOMMU_DC_IOHGATP_GSCID, 0x200 + nr) |
			      (0x2000 + 4 * nr), 0, 0);
		catalogue_add(list, &nr, "second", mode, " GADE", v | RVIOMMU_DC_TC_GADE,
			      g | FIELD_PREP(RVIOMMU_DC_IOHGATP_GSCID, 0x200 + nr) |
			      (0x2000 + 4 * nr), 0, 0);
		catalogue_add(list, &nr, "second", mode, " GADE ATS T2GPA",
			      v | RVIOMMU_DC_TC_GADE | ats | RVIOMMU_DC_TC_T2GPA,
			      g | gscid | (0x2000 + 4 * nr), 0, 0);
	}
	/* The same first stage with only the root, and only the tag, changed */
	catalogue_add(list, &nr, "first", 8, " root A", v, 0, 7 << 12, 8ULL << 60 | 0x3000);
	catalogue_add(list, &nr, "first", 8, " root B", v, 0, 7 << 12, 8ULL << 60 | 0x3001);
	catalogue_add(list, &nr, "first", 8, " tag B", v, 0, 9 << 12, 8ULL << 60 | 0x3001);
	catalogue_add(list, &nr, "both stages", 0, "", v | RVIOMMU_DC_TC_SADE, 9ULL << 60 | 0x4000,
		      5 << 12, 8ULL << 60 | 0x4004);
	catalogue_add(list, &nr, "process directory", 0, "", v | RVIOMMU_DC_TC_PDTV, 0, 0,
		      1ULL << 60 | 0x5000);
	if (extended) {
		catalogue_add(list, &nr, "second + MSI table", 0, "", v, 8ULL << 60 | 0x6000, 0, 0);
		list[nr - 1].dc.word[RVIOMMU_DC_MSIPTP] = 1ULL << 60 | 0x6100;
		list[nr - 1].dc.word[RVIOMMU_DC_MSI_ADDR_MASK] = 0xff;
		list[nr - 1].dc.word[RVIOMMU_DC_MSI_ADDR_PATTERN] = 0x28000;
		catalogue_add(list, &nr, "both + MSI table", 0, "", v, 8ULL << 60 | 0x7000, 6 << 12,
			      10ULL << 60 | 0x7004);
		list[nr - 1].dc.word[RVIOMMU_DC_MSIPTP] = 1ULL << 60 | 0x7100;
		list[nr - 1].dc.word[RVIOMMU_DC_MSI_ADDR_MASK] = 0xf;
		list[nr - 1].dc.word[RVIOMMU_DC_MSI_ADDR_PATTERN] = 0x2800;
	}
	return nr;
}

static unsigned int differing(const u64 *a, const u64 *b, unsigned int from, unsigned int words)
{
	unsigned int i, n = 0;

	for (i = from; i < words; i++)
		n += a[i] != b[i];
	return n;
}

/* @in_memory: the words as they lie in an existing leaf page, stale ones included */
static struct dirtest_cost cost_of(const struct dir_world *w, const u64 *in_memory,
				   const struct rviommu_dc *new)
{
	unsigned int rest = differing(in_memory, new->word, 1, w->words);
	bool was = in_memory[0] & 1, is = new->word[0] & 1;

	if (!was && !is)
		return (struct dirtest_cost) { RVIOMMU_PUBLISH_NONE, 0, 0 };
	if (!was)
		return (struct dirtest_cost) { RVIOMMU_PUBLISH_VALID, rest + 1, rest ? 1 : 0 };
	if (!is)
		return (struct dirtest_cost) { RVIOMMU_PUBLISH_WORD, 1, 0 };
	switch (differing(in_memory, new->word, 0, w->words)) {
	case 0:
		return (struct dirtest_cost) { RVIOMMU_PUBLISH_NONE, 0, 0 };
	case 1:
		return (struct dirtest_cost) { RVIOMMU_PUBLISH_WORD, 1, 0 };
	}
	if (w->ddt.dir.levels > 1)
		return (struct dirtest_cost) { RVIOMMU_PUBLISH_PAGE, 1, 0 };
	return (struct dirtest_cost) { RVIOMMU_PUBLISH_BREAK, rest + 2, 2 };
}

/* @old is in force; one observed change to @new */
static void try_pair(struct kunit *test, struct dir_world *w, u32 did,
		     const struct dir_named *old, const struct dir_named *new)
{
	struct rviommu_dir_update update = {};
	struct observed *d = observer_watched(&w->o, did);
	u64 *words = observer_words(&w->o, did);
	struct dirtest_cost cost;
	char what[96];

	KUNIT_ASSERT_NOT_NULL(test, words);
	cost = cost_of(w, words, &new->dc);
	snprintf(what, sizeof(what), "%s -> %s", old->name, new->name);
	observer_settle(&w->o);
	memset(d->found, 0, sizeof(d->found));
	/* Both must have been possible at some point, or the observer was asleep. */
	observer_look(&w->o);
	KUNIT_EXPECT_TRUE_MSG(test, observer_found(d, &old->dc), "%s: old never seen", what);
	KUNIT_ASSERT_EQ(test, 0, world_set(w, did, &new->dc, &update));
	KUNIT_EXPECT_TRUE_MSG(test, observer_found(d, &new->dc), "%s: new never seen", what);

	dirtest_expect_cost(test, &w->o, what, update.how, &cost);
	KUNIT_EXPECT_EQ_MSG(test, w->o.syncs_all, 0, "%s: syncs of all devices", what);
	expect_intact(test, w, what);
}

/* Neighbours in the leaf page: both sides, first and last, valid and not */
static void watch_neighbours(struct kunit *test, struct dir_world *w, u32 did,
			     const struct dir_named *list, unsigned int nr)
{
	u32 last = (w->words == 8 ? 63 : 127);
	u32 first_of_page = did & ~last;

	KUNIT_ASSERT_EQ(test, 0, world_set(w, did - 1, &list[nr - 1].dc, NULL));
	KUNIT_ASSERT_EQ(test, 0, world_set(w, did + 1, &list[3].dc, NULL));
	KUNIT_ASSERT_EQ(test, 0, world_set(w, first_of_page, &list[nr / 2].dc, NULL));
	observer_watch(&w->o, did);
	observer_watch(&w->o, did - 1);
	observer_watch(&w->o, did + 1);
	observer_watch(&w->o, first_of_page);
	observer_watch(&w->o, first_of_page + last);
	observer_settle(&w->o);
}

static struct dir_named *catalogue_make(struct kunit *test, struct dir_world *w, unsigned int *nr)
{
	struct dir_named *list = kunit_kcalloc(test, MAX_CATALOGUE, sizeof(*list), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, list);
	*nr = catalogue(list, w->words == 8);
	KUNIT_ASSERT_LE(test, *nr, MAX_CATALOGUE);
	return list;
}

/* Every ordered pair of contexts, the neighbours watched all the time */
static void directory_pairs(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	unsigned int nr, i, j;
	struct dir_named *list = catalogue_make(test, w, &nr);
	u32 did = (1U << w->did_lg2) - 0x1c;

	watch_neighbours(test, w, did, list, nr);
	for (i = 0; i < nr; i++) {
		for (j = 0; j < nr; j++) {
			KUNIT_ASSERT_EQ(test, 0, world_set(w, did, &list[i].dc, NULL));
			try_pair(test, w, did, &list[i], &list[j]);
		}
	}
}

/* As before, but an invalid context has words left over from any other one. */
static void directory_stale_words(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	unsigned int nr, i, j;
	struct dir_named *list = catalogue_make(test, w, &nr);
	u32 did = (1U << w->did_lg2) - 0x1c;

	watch_neighbours(test, w, did, list, nr);
	for (i = 0; i < nr; i++) {
		for (j = 0; j < nr; j++) {
			KUNIT_ASSERT_EQ(test, 0, world_set(w, did, &list[i].dc, NULL));
			KUNIT_ASSERT_EQ(test, 0, world_set(w, did, &list[0].dc, NULL));
			try_pair(test, w, did, &list[0], &list[j]);
		}
	}
}

/*
 * A few rows of the table in Documentation/directory.rst, by hand: the other tests compute
 * what they expect.
 */
static void directory_table(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	bool one = w->ddt.dir.levels == 1;
	static const struct rviommu_dc blocking = {};
	static const struct rviommu_dc identity = { .word = { 1 } };
	static const struct rviommu_dc first = { .word = { 1, 0, 5 << 12, 8ULL << 60 | 0x80 } };
	static const struct rviommu_dc other_root = {
		.word = { 1, 0, 5 << 12, 9ULL << 60 | 0x81 },
	};
	static const struct rviommu_dc other_tag = { .word = { 1, 0, 6 << 12, 8ULL << 60 | 0x80 } };
	static const struct rviommu_dc second = {
		.word = { 1, 8ULL << 60 | 1ULL << 44 | 0x40, 0, 0 },
	};
	const struct {
		const struct rviommu_dc *to;
		enum rviommu_publish how;
		unsigned int stores, syncs;
	} steps[] = {
		{ &blocking, RVIOMMU_PUBLISH_NONE, 0, 0 },
		/* A zeroed context differs from identity in tc only. */
		{ &identity, RVIOMMU_PUBLISH_VALID, 1, 0 },
		{ &identity, RVIOMMU_PUBLISH_NONE, 0, 0 },
		{ &first, one ? RVIOMMU_PUBLISH_BREAK : RVIOMMU_PUBLISH_PAGE,
		  one ? 4 : 1, one ? 2 : 0 },
		{ &other_root, RVIOMMU_PUBLISH_WORD, 1, 0 },
		{ &first, RVIOMMU_PUBLISH_WORD, 1, 0 },
		{ &other_tag, RVIOMMU_PUBLISH_WORD, 1, 0 },
		{ &second, one ? RVIOMMU_PUBLISH_BREAK : RVIOMMU_PUBLISH_PAGE,
		  one ? 5 : 1, one ? 2 : 0 },
		{ &blocking, RVIOMMU_PUBLISH_WORD, 1, 0 },
		{ &blocking, RVIOMMU_PUBLISH_NONE, 0, 0 },
		/* Back to what it was: its words are still there. */
		{ &second, RVIOMMU_PUBLISH_VALID, 1, 0 },
		{ &blocking, RVIOMMU_PUBLISH_WORD, 1, 0 },
		/* iohgatp, ta and fsc, then a grace period, then tc */
		{ &first, RVIOMMU_PUBLISH_VALID, 4, 1 },
	};
	unsigned int i;

	/* Somebody else's context, so that the leaf page exists. */
	KUNIT_ASSERT_EQ(test, 0, world_set(w, 9, &identity, NULL));
	observer_watch(&w->o, 9);
	observer_watch(&w->o, 10);
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		struct rviommu_dir_update update = {};
		struct rviommu_dc before, after;
		bool was, is;

		observer_settle(&w->o);
		was = rviommu_ddt_read(&w->ddt, 10, &before);
		KUNIT_ASSERT_EQ(test, 0, world_set(w, 10, steps[i].to, &update));
		KUNIT_EXPECT_EQ_MSG(test, update.how, steps[i].how, "step %u", i);
		KUNIT_EXPECT_EQ_MSG(test, w->o.stores, steps[i].stores, "step %u", i);
		KUNIT_EXPECT_EQ_MSG(test, w->o.syncs, steps[i].syncs, "step %u", i);
		KUNIT_EXPECT_MEMEQ(test, &update.old, &before, sizeof(before));
		is = rviommu_ddt_read(&w->ddt, 10, &after);
		KUNIT_EXPECT_EQ(test, was, before.word[0] & 1);
		KUNIT_EXPECT_EQ(test, is, steps[i].to->word[0] & 1);
		KUNIT_EXPECT_MEMEQ(test, &after, steps[i].to, sizeof(after));
		expect_intact(test, w, "by hand");
	}
}

/* First and last device_id below each table, and the first that is too wide */
static void directory_boundaries(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	unsigned int leaf = w->words == 8 ? 6 : 7;
	u32 max = (1U << w->did_lg2) - 1;
	u32 dids[16];
	struct rviommu_dc dc = { .word = { 1, 0, 0, 8ULL << 60 } };
	unsigned int nr = 0, i;

	dids[nr++] = 0;
	dids[nr++] = 1;
	dids[nr++] = (1U << leaf) - 1;
	if (w->ddt.dir.levels > 1) {
		dids[nr++] = 1U << leaf;
		dids[nr++] = (2U << leaf) - 1;
		dids[nr++] = 2U << leaf;
	}
	if (w->ddt.dir.levels > 2) {
		dids[nr++] = (1U << (leaf + 9)) - 1;
		dids[nr++] = 1U << (leaf + 9);
		dids[nr++] = (2U << (leaf + 9)) - 1;
		dids[nr++] = 2U << (leaf + 9);
	}
	dids[nr++] = max - 1;
	if (w->ddt.dir.levels > 1)
		dids[nr++] = max;

	for (i = 0; i < nr; i++) {
		dc.word[2] = (u64)(i + 1) << 12;
		dc.word[3] = 8ULL << 60 | dids[i];
		KUNIT_ASSERT_EQ(test, 0, world_set(w, dids[i], &dc, NULL));
		expect_intact(test, w, "boundary");
	}
	for (i = 0; i < nr; i++) {
		struct rviommu_dc seen;
		u64 *words = observer_words(&w->o, dids[i]);

		dc.word[2] = (u64)(i + 1) << 12;
		dc.word[3] = 8ULL << 60 | dids[i];
		KUNIT_ASSERT_NOT_NULL(test, words);
		KUNIT_EXPECT_MEMEQ(test, words, dc.word, w->words * sizeof(u64));
		KUNIT_EXPECT_TRUE(test, rviommu_ddt_read(&w->ddt, dids[i], &seen));
		KUNIT_EXPECT_MEMEQ(test, &seen, &dc, sizeof(dc));
	}

	KUNIT_EXPECT_EQ(test, -ERANGE, world_set(w, max + 1, &dc, NULL));
	KUNIT_EXPECT_EQ(test, -ERANGE, world_set(w, U32_MAX, &dc, NULL));
	KUNIT_EXPECT_FALSE(test, rviommu_ddt_read(&w->ddt, max + 1, &dc));
	KUNIT_EXPECT_FALSE(test, rviommu_ddt_read(&w->ddt, U32_MAX, &dc));
	if (w->ddt.dir.levels == 3)
		KUNIT_EXPECT_EQ(test, rviommu_dir_id_lg2(&w->ddt.dir), 24);
}

static void directory_init_levels(struct kunit *test)
{
	struct dir_world *w = test->priv;
	struct rviommu_ddt ddt;

	KUNIT_EXPECT_EQ(test, -EINVAL, rviommu_ddt_init(&ddt, &w->o.ops, 0, false, 56,
							NUMA_NO_NODE));
	KUNIT_EXPECT_EQ(test, -EINVAL, rviommu_ddt_init(&ddt, &w->o.ops, 4, false, 56,
							NUMA_NO_NODE));
}

/* Tables appear with their first context in them, by one store, and not before. */
static void directory_growth(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	static const struct rviommu_dc blocking = {};
	static const struct rviommu_dc first = { .word = { 1, 0, 5 << 12, 8ULL << 60 | 0x80 } };
	u32 max = (1U << w->did_lg2) - 1;
	struct rviommu_dir_update update = {};
	long live = rviommu_mem_live();

	observer_watch(&w->o, 0);
	observer_watch(&w->o, 1);
	observer_watch(&w->o, max);

	/* An invalid context needs no tables. */
	observer_settle(&w->o);
	KUNIT_ASSERT_EQ(test, 0, world_set(w, max, &blocking, &update));
	KUNIT_EXPECT_EQ(test, update.how, RVIOMMU_PUBLISH_NONE);
	KUNIT_EXPECT_EQ(test, w->o.stores, 0);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live);

	observer_settle(&w->o);
	KUNIT_ASSERT_EQ(test, 0, world_set(w, max, &first, &update));
	KUNIT_EXPECT_EQ(test, update.how, RVIOMMU_PUBLISH_VALID);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live + w->ddt.dir.levels - 1);
	if (w->ddt.dir.levels > 1) {
		KUNIT_EXPECT_EQ(test, w->o.stores, 1);
		KUNIT_EXPECT_EQ(test, w->o.syncs, 0);
	}
	expect_intact(test, w, "first context");

	/* The other end of the directory shares nothing but the root. */
	observer_settle(&w->o);
	KUNIT_ASSERT_EQ(test, 0, world_set(w, 0, &first, &update));
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live + 2 * (w->ddt.dir.levels - 1));
	if (w->ddt.dir.levels > 1) {
		KUNIT_EXPECT_EQ(test, w->o.stores, 1);
		KUNIT_EXPECT_EQ(test, w->o.syncs, 0);
	}

	/* A second context in the same page needs no more of them. */
	observer_settle(&w->o);
	KUNIT_ASSERT_EQ(test, 0, world_set(w, 1, &first, &update));
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live + 2 * (w->ddt.dir.levels - 1));
	KUNIT_EXPECT_EQ(test, w->o.stores, 3);
	KUNIT_EXPECT_EQ(test, w->o.syncs, 1);
	expect_intact(test, w, "growth");
}

/* One more of the updates that the next call of world_change() is given */
static void plan(struct dir_world *w, u32 did, const struct rviommu_dc *new)
{
	w->updates[w->planned++] = (struct rviommu_dir_update) { .id = did, .new.dc = *new };
}

/* All kinds of update of one leaf page in one call */
static void directory_several_in_one_page(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	bool one = w->ddt.dir.levels == 1;
	static const struct rviommu_dc a = { .word = { 1, 0, 5 << 12, 8ULL << 60 | 0x80 } };
	static const struct rviommu_dc b = { .word = { 1, 0, 6 << 12, 9ULL << 60 | 0x90 } };
	static const struct rviommu_dc a_root = { .word = { 1, 0, 5 << 12, 8ULL << 60 | 0x81 } };
	static const struct rviommu_dc blocking = {};
	struct rviommu_dir_update *u = w->updates;
	static const enum rviommu_publish how_one[] = {
		RVIOMMU_PUBLISH_WORD, RVIOMMU_PUBLISH_VALID, RVIOMMU_PUBLISH_BREAK,
		RVIOMMU_PUBLISH_NONE, RVIOMMU_PUBLISH_BREAK, RVIOMMU_PUBLISH_WORD,
	};
	unsigned int i;
	u64 *page;
	long live;

	for (i = 10; i <= 16; i++) {
		if (i != 11)
			KUNIT_ASSERT_EQ(test, 0, world_set(w, i, &a, NULL));
	}
	for (i = 10; i <= 16; i++)
		observer_watch(&w->o, i);
	observer_settle(&w->o);
	page = observer_words(&w->o, 0);
	live = testdev_live();

	plan(w, 10, &a_root);	/* one word */
	plan(w, 11, &a);	/* becomes valid */
	plan(w, 12, &b);	/* several words */
	plan(w, 13, &a);	/* nothing */
	plan(w, 14, &b);	/* several words */
	plan(w, 15, &blocking);	/* becomes invalid */
	KUNIT_ASSERT_EQ(test, 0, world_change(w, u, w->planned));

	for (i = 0; i < w->planned; i++) {
		struct rviommu_dc dc;

		KUNIT_EXPECT_EQ_MSG(test, u[i].how, one ? how_one[i] : i == 3 ?
				    RVIOMMU_PUBLISH_NONE : RVIOMMU_PUBLISH_PAGE, "update %u", i);
		KUNIT_EXPECT_EQ(test, i != 5, rviommu_ddt_read(&w->ddt, u[i].id, &dc));
		KUNIT_EXPECT_MEMEQ(test, &dc, &u[i].new, sizeof(dc));
	}
	if (one) {
		/* word 1, valid 2 + 1, break 1 + 2 + 1 twice, invalid 1; two grace periods */
		KUNIT_EXPECT_EQ(test, w->o.stores, 13);
		KUNIT_EXPECT_EQ(test, w->o.syncs, 2);
		KUNIT_EXPECT_EQ(test, w->o.syncs_all, 2);
		KUNIT_EXPECT_PTR_EQ(test, page, observer_words(&w->o, 0));
	} else {
		KUNIT_EXPECT_EQ(test, w->o.stores, 1);
		KUNIT_EXPECT_EQ(test, w->o.syncs, 0);
		KUNIT_EXPECT_PTR_NE(test, page, observer_words(&w->o, 0));
	}
	expect_intact(test, w, "several in one page");
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
}

/* In one call: pages that exist, pages that do not, and tables that two of them share */
static void directory_several_pages(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	unsigned int leaf = w->words == 8 ? 6 : 7;
	u32 max = (1U << w->did_lg2) - 1;
	static const struct rviommu_dc a = { .word = { 1, 0, 5 << 12, 8ULL << 60 | 0x80 } };
	static const struct rviommu_dc b = { .word = { 1, 0, 6 << 12, 9ULL << 60 | 0x90 } };
	static const struct rviommu_dc blocking = {};
	struct rviommu_dir_update *u = w->updates;
	unsigned int i;
	long live;

	if (w->ddt.dir.levels == 1)
		kunit_skip(test, "one level has one page");

	KUNIT_ASSERT_EQ(test, 0, world_set(w, 3, &a, NULL));
	KUNIT_ASSERT_EQ(test, 0, world_set(w, 1U << leaf, &a, NULL));
	plan(w, 3, &b);
	plan(w, max, &a);
	plan(w, max - 1, &b);
	plan(w, max - (1U << leaf), &b);
	plan(w, max - 2, &blocking);
	plan(w, max - (1U << leaf) - 1, &a);
	plan(w, 1U << leaf, &b);
	for (i = 0; i < w->planned; i++)
		observer_watch(&w->o, u[i].id);
	observer_settle(&w->o);
	live = rviommu_mem_live();

	KUNIT_ASSERT_EQ(test, 0, world_change(w, u, w->planned));

	KUNIT_EXPECT_EQ(test, u[0].how, RVIOMMU_PUBLISH_PAGE);
	KUNIT_EXPECT_EQ(test, u[1].how, RVIOMMU_PUBLISH_VALID);
	KUNIT_EXPECT_EQ(test, u[2].how, RVIOMMU_PUBLISH_VALID);
	KUNIT_EXPECT_EQ(test, u[3].how, RVIOMMU_PUBLISH_VALID);
	KUNIT_EXPECT_EQ(test, u[4].how, RVIOMMU_PUBLISH_NONE);
	KUNIT_EXPECT_EQ(test, u[5].how, RVIOMMU_PUBLISH_VALID);
	KUNIT_EXPECT_EQ(test, u[6].how, RVIOMMU_PUBLISH_PAGE);
	for (i = 0; i < w->planned; i++) {
		struct rviommu_dc dc;

		KUNIT_EXPECT_EQ(test, i != 4, rviommu_ddt_read(&w->ddt, u[i].id, &dc));
		KUNIT_EXPECT_MEMEQ(test, &dc, &u[i].new, sizeof(dc));
	}
	/* Two copies; two new leaf pages, under one new middle table where there are three. */
	KUNIT_EXPECT_EQ(test, w->o.stores, w->ddt.dir.levels == 3 ? 3 : 4);
	KUNIT_EXPECT_EQ(test, w->o.syncs, 0);
	expect_intact(test, w, "several pages");
	KUNIT_EXPECT_EQ(test, testdev_live(), live + w->ddt.dir.levels);
}

static void directory_refused(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	static const struct rviommu_dc a = { .word = { 1, 0, 5 << 12, 8ULL << 60 | 0x80 } };
	struct rviommu_dir_update *u = w->updates;
	long live = rviommu_mem_live();

	observer_watch(&w->o, 4);
	observer_watch(&w->o, 5);
	plan(w, 4, &a);
	plan(w, 5, &a);
	plan(w, 4, &a);
	KUNIT_EXPECT_EQ(test, -EINVAL, world_change(w, u, 3));
	u[2].id = 1U << w->did_lg2;
	KUNIT_EXPECT_EQ(test, -ERANGE, world_change(w, u, 3));
	u[2].id = 6;
	u[2].new.word[RVIOMMU_DC_MSIPTP] = 1ULL << 60;
	if (w->words == 4)
		KUNIT_EXPECT_EQ(test, -EINVAL, world_change(w, u, 3));
	KUNIT_EXPECT_EQ(test, w->o.stores, 0);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live);
	expect_intact(test, w, "refused");
}

/* Plan every kind of update, and make them possible. */
static void plan_mixed(struct kunit *test, struct dir_world *w)
{
	static const struct rviommu_dc blocking = {};
	static const struct rviommu_dc a = { .word = { 1, 0, 5 << 12, 8ULL << 60 | 0x80 } };
	static const struct rviommu_dc b = { .word = { 1, 0, 6 << 12, 9ULL << 60 | 0x90 } };
	static const struct rviommu_dc a_root = { .word = { 1, 0, 5 << 12, 8ULL << 60 | 0x81 } };
	u32 max = (1U << w->did_lg2) - 1;
	u32 other_page = w->ddt.dir.levels > 1 ? 0x80 : 0x30;
	unsigned int i;
	u32 did;

	for (did = 20; did < 23; did++)
		KUNIT_ASSERT_EQ(test, 0, world_set(w, did, &a, NULL));
	KUNIT_ASSERT_EQ(test, 0, world_set(w, other_page, &a, NULL));

	plan(w, max, &a);
	plan(w, 20, &a_root);
	plan(w, 21, &b);
	plan(w, 23, &b);
	plan(w, w->did_lg2 == 6 ? max - 5 : max - 64, &b);
	plan(w, other_page, &b);
	plan(w, 22, &blocking);
	for (i = 0; i < w->planned; i++)
		observer_watch(&w->o, w->updates[i].id);
	observer_settle(&w->o);
}

/* Abort after prepare of the first n updates, for every n: as if nothing had been */
static void directory_abort(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	struct rviommu_dir_update *u = w->updates;
	unsigned int i;
	long live;

	plan_mixed(test, w);
	live = testdev_live();
	for (i = 0; i <= w->planned; i++) {
		int rc;

		mutex_lock(&w->ddt.lock);
		rc = rviommu_dir_prepare(&w->ddt.dir, u, i);
		observer_look(&w->o);
		if (!rc)
			rviommu_dir_abort(&w->ddt.dir, u, i);
		observer_look(&w->o);
		mutex_unlock(&w->ddt.lock);
		KUNIT_ASSERT_EQ(test, 0, rc);
		KUNIT_EXPECT_EQ_MSG(test, rviommu_mem_live(), live, "%u updates", i);
	}
	KUNIT_EXPECT_EQ(test, w->o.stores, 0);
	KUNIT_EXPECT_EQ(test, w->o.syncs, 0);
	expect_intact(test, w, "abort");
	/* and it still works */
	KUNIT_EXPECT_EQ(test, 0, world_change(w, u, w->planned));
	expect_intact(test, w, "after abort");
}

static int change_planned(void *arg)
{
	struct dir_world *w = arg;

	return world_change(w, w->updates, w->planned);
}

/* Each allocation fails in turn. */
static void directory_no_memory(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	struct testdev_failures failures;
	struct rviommu_ddt ddt;
	unsigned int n;
	long live;

	plan_mixed(test, w);
	/* Nothing waits for a grace period. */
	testdev_live();
	n = dirtest_no_memory(test, &w->o, "no memory", change_planned, w);
	/* Two copies and the tables for max and max - 64; a page is two allocations. */
	KUNIT_EXPECT_EQ(test, n, w->ddt.dir.levels == 1 ? 0 :
			2 * (2 + w->ddt.dir.levels - 1 + (w->words == 8)));
	expect_intact(test, w, "with memory");

	live = testdev_live();
	for (n = 0; n < 2; n++) {
		testdev_fail(test, &failures, n);
		KUNIT_EXPECT_EQ(test, -ENOMEM, rviommu_ddt_init(&ddt, &w->o.ops, 1, false, 56,
								NUMA_NO_NODE));
	}
	testdev_fail(test, &failures, -1);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live);
}

/* Contexts in two leaf pages change, there and back, as often as one likes, without memory. */
static void directory_laid_aside(struct kunit *test)
{
	static const struct rviommu_dc dcs[] = {
		{ .word = { 1, 0, 5 << 12, 8ULL << 60 | 0x80 } },
		{ .word = { 1, 0, 6 << 12, 9ULL << 60 | 0x90 } },
	};
	struct dir_world *w = world_make(test);
	const u32 dids[] = { 20, w->ddt.dir.levels > 1 ? 0x80 : 0x30, 21 };
	const enum rviommu_publish how = w->ddt.dir.levels > 1 ? RVIOMMU_PUBLISH_PAGE :
								 RVIOMMU_PUBLISH_BREAK;
	const unsigned int pages = w->ddt.dir.levels > 1 ? 2 : 0;
	struct rviommu_dir_update *u = w->updates;
	struct testdev_failures failures;
	unsigned int i, n;
	long live;

	KUNIT_EXPECT_EQ(test, rviommu_dir_leaf_pages(&w->ddt.dir, dids, ARRAY_SIZE(dids)),
			w->ddt.dir.levels > 1 ? 2 : 1);
	for (i = 0; i < ARRAY_SIZE(dids); i++)
		KUNIT_ASSERT_EQ(test, 0, world_set(w, dids[i], &dcs[0], NULL));
	live = testdev_live();

	mutex_lock(&w->ddt.lock);
	for (n = 0; n < 2 * pages; n++) {
		testdev_fail(test, &failures, n);
		KUNIT_EXPECT_EQ(test, rviommu_dir_reserve(&w->ddt.dir, 2), -ENOMEM);
		KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live);
	}
	testdev_fail(test, &failures, -1);
	KUNIT_EXPECT_EQ(test, rviommu_dir_reserve(&w->ddt.dir, 2), 0);
	KUNIT_EXPECT_EQ(test, rviommu_dir_reserve(&w->ddt.dir, 1), 0);
	mutex_unlock(&w->ddt.lock);
	live += pages;
	KUNIT_EXPECT_EQ(test, testdev_live(), live);

	for (i = 0; i < ARRAY_SIZE(dids); i++) {
		plan(w, dids[i], &dcs[1]);
		observer_watch(&w->o, dids[i]);
	}
	observer_settle(&w->o);
	testdev_fail(test, &failures, TESTDEV_ALL);
	/* Not for anybody. */
	KUNIT_EXPECT_EQ(test, world_change(w, u, w->planned), pages ? -ENOMEM : 0);
	for (n = 0; n < 10; n++) {
		for (i = 0; i < w->planned; i++) {
			u[i].must = true;
			u[i].new.dc = dcs[n & 1];
		}
		mutex_lock(&w->ddt.lock);
		KUNIT_EXPECT_EQ(test, rviommu_dir_prepare(&w->ddt.dir, u, w->planned), 0);
		rviommu_dir_abort(&w->ddt.dir, u, w->planned);
		mutex_unlock(&w->ddt.lock);
		KUNIT_EXPECT_EQ(test, world_change(w, u, w->planned), 0);
		if (n)
			KUNIT_EXPECT_EQ(test, u[0].how, how);
		KUNIT_EXPECT_EQ(test, testdev_live(), live);
	}
	testdev_fail(test, &failures, -1);
	expect_intact(test, w, "there and back");
}

/* The IOMMU goes out of service in the middle: the change goes on. */
static void directory_sync_fails(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	static const struct rviommu_dc a = { .word = { 1, 0, 5 << 12, 8ULL << 60 | 0x80 } };
	static const struct rviommu_dc b = { .word = { 1, 0, 6 << 12, 9ULL << 60 | 0x90 } };
	static const struct rviommu_dc blocking = {};
	struct rviommu_dir_update update = {};
	struct rviommu_dc dc;

	w->o.sync_result = -EIO;
	KUNIT_ASSERT_EQ(test, 0, world_set(w, 2, &a, NULL));
	KUNIT_ASSERT_EQ(test, 0, world_set(w, 1, &a, NULL));
	KUNIT_ASSERT_EQ(test, 0, world_set(w, 2, &b, &update));
	KUNIT_EXPECT_EQ(test, update.how, w->ddt.dir.levels == 1 ? RVIOMMU_PUBLISH_BREAK :
			RVIOMMU_PUBLISH_PAGE);
	KUNIT_EXPECT_TRUE(test, rviommu_ddt_read(&w->ddt, 2, &dc));
	KUNIT_EXPECT_MEMEQ(test, &dc, &b, sizeof(dc));
	KUNIT_ASSERT_EQ(test, 0, world_set(w, 2, &blocking, NULL));
	KUNIT_ASSERT_EQ(test, 0, world_set(w, 2, &a, &update));
	KUNIT_EXPECT_EQ(test, update.how, RVIOMMU_PUBLISH_VALID);
	KUNIT_EXPECT_TRUE(test, rviommu_ddt_read(&w->ddt, 2, &dc));
	KUNIT_EXPECT_MEMEQ(test, &dc, &a, sizeof(dc));
	KUNIT_EXPECT_TRUE(test, rviommu_ddt_read(&w->ddt, 1, &dc));
	KUNIT_EXPECT_MEMEQ(test, &dc, &a, sizeof(dc));
	expect_intact(test, w, "out of service");
}

/* A replaced page is readable as long as somebody in software may be reading it. */
static void directory_retire(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	static const struct rviommu_dc a = { .word = { 1, 0, 5 << 12, 8ULL << 60 | 0x80 } };
	static const struct rviommu_dc b = { .word = { 1, 0, 6 << 12, 9ULL << 60 | 0x90 } };
	struct rviommu_dir_update update = { .id = 7, .new.dc = b };
	long live, held = 0, retired = 0;
	bool same = false;
	u64 *old;

	if (w->ddt.dir.levels == 1)
		kunit_skip(test, "one level has no page to retire");

	KUNIT_ASSERT_EQ(test, 0, world_set(w, 7, &a, NULL));
	live = testdev_live();
	old = observer_words(&w->o, 7);

	mutex_lock(&w->ddt.lock);
	if (!rviommu_dir_prepare(&w->ddt.dir, &update, 1)) {
		rviommu_dir_publish(&w->ddt.dir, &update, 1);
		held = rviommu_mem_live();
		rcu_read_lock();
		rviommu_dir_retire(&w->ddt.dir, &update, 1);
		retired = rviommu_mem_live();
		same = !memcmp(old, a.word, w->words * sizeof(u64));
		rcu_read_unlock();
	}
	mutex_unlock(&w->ddt.lock);

	KUNIT_EXPECT_EQ(test, held, live + 1);
	KUNIT_EXPECT_EQ(test, retired, live + 1);
	KUNIT_EXPECT_TRUE(test, same);
	KUNIT_EXPECT_NULL(test, update.replaced);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
	KUNIT_EXPECT_PTR_NE(test, observer_words(&w->o, 7), old);
}

/*
 * Many changes of four devices, and no fence but those that are owed: what a
 * walk could combine then spans several changes.
 */
static void directory_random(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	unsigned int nr, i, j;
	struct dir_named *list = catalogue_make(test, w, &nr);
	u32 max = (1U << w->did_lg2) - 1;
	const u32 dids[] = { 0, 1, max - 1, max };
	struct rviommu_dc last[4] = {};
	u32 random = 12345;

	for (i = 0; i < ARRAY_SIZE(dids); i++)
		observer_watch(&w->o, dids[i]);
	for (i = 0; i < 600; i++) {
		w->planned = 0;
		for (j = 0; j < ARRAY_SIZE(dids); j++) {
			random = random * 1664525 + 1013904223;
			if (random >> 30)
				continue;
			random = random * 1664525 + 1013904223;
			last[j] = list[random >> 29 < 2 ? 0 : (random >> 8) % nr].dc;
			plan(w, dids[j], &last[j]);
		}
		KUNIT_ASSERT_EQ(test, 0, world_change(w, w->updates, w->planned));
		for (j = 0; j < ARRAY_SIZE(dids); j++) {
			struct rviommu_dc dc;

			rviommu_ddt_read(&w->ddt, dids[j], &dc);
			if (last[j].word[0] & 1)
				KUNIT_EXPECT_MEMEQ(test, &dc, &last[j], sizeof(dc));
			else
				KUNIT_EXPECT_FALSE(test, dc.word[0] & 1);
		}
		expect_intact(test, w, "random");
	}
}

/* Can the observer fail? Each of these installs a context in a wrong way. */

/* A valid context rewritten word by word */
static void directory_torn_rewrite(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	static const struct rviommu_dc a = { .word = { 1, 0, 5 << 12, 8ULL << 60 | 0x80 } };
	static const struct rviommu_dc b = { .word = { 1, 0, 6 << 12, 9ULL << 60 | 0x90 } };
	unsigned int i;
	u64 *words;

	KUNIT_ASSERT_EQ(test, 0, world_set(w, 2, &a, NULL));
	observer_watch(&w->o, 2);
	observer_settle(&w->o);
	words = observer_words(&w->o, 2);
	observer_allow(observer_watched(&w->o, 2), &b);
	for (i = w->words; i--; ) {
		if (words[i] != b.word[i])
			observer_store(&w->ddt, &words[i], b.word[i]);
	}
	KUNIT_EXPECT_GT(test, w->o.torn, 0);
	KUNIT_EXPECT_EQ(test, w->o.bypassed, 0);
}

/* An invalid context made valid, words first and then V, but no grace period between */
static void directory_torn_no_grace(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	static const struct rviommu_dc a = { .word = { 1, 0, 5 << 12, 8ULL << 60 | 0x80 } };
	u64 *words;

	KUNIT_ASSERT_EQ(test, 0, world_set(w, 3, &a, NULL));
	observer_watch(&w->o, 2);
	observer_settle(&w->o);
	words = observer_words(&w->o, 2);
	observer_allow(observer_watched(&w->o, 2), &a);
	observer_store(&w->ddt, &words[3], a.word[3]);
	observer_store(&w->ddt, &words[2], a.word[2]);
	KUNIT_EXPECT_EQ(test, w->o.torn, 0);
	/* fsc or ta may have been read as zero: this would let the device bypass. */
	observer_store(&w->ddt, &words[0], a.word[0]);
	KUNIT_EXPECT_GT(test, w->o.torn, 0);
	KUNIT_EXPECT_EQ(test, w->o.bypassed, 0);
}

/* Break before make with a fence after V = 0 only */
static void directory_torn_one_fence(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	static const struct rviommu_dc a = { .word = { 1, 0, 5 << 12, 8ULL << 60 | 0x80 } };
	static const struct rviommu_dc b = { .word = { 1, 0, 6 << 12, 9ULL << 60 | 0x90 } };
	u64 *words;

	KUNIT_ASSERT_EQ(test, 0, world_set(w, 2, &a, NULL));
	observer_watch(&w->o, 2);
	observer_settle(&w->o);
	words = observer_words(&w->o, 2);
	observer_allow(observer_watched(&w->o, 2), &b);
	observer_watched(&w->o, 2)->invalid_allowed = true;
	observer_store(&w->ddt, &words[0], 0);
	observer_sync(&w->ddt, 2, false);
	observer_store(&w->ddt, &words[2], b.word[2]);
	observer_store(&w->ddt, &words[3], b.word[3]);
	KUNIT_EXPECT_EQ(test, w->o.torn, 0);
	observer_store(&w->ddt, &words[0], b.word[0]);
	KUNIT_EXPECT_GT(test, w->o.torn, 0);
	KUNIT_EXPECT_EQ(test, w->o.bypassed, 0);
}

/* A change of a neighbour, and a change behind the observer's back */
static void directory_torn_neighbour(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	static const struct rviommu_dc a = { .word = { 1, 0, 5 << 12, 8ULL << 60 | 0x80 } };
	u64 *words;

	KUNIT_ASSERT_EQ(test, 0, world_set(w, 2, &a, NULL));
	KUNIT_ASSERT_EQ(test, 0, world_set(w, 3, &a, NULL));
	observer_watch(&w->o, 2);
	observer_watch(&w->o, 3);
	observer_settle(&w->o);
	words = observer_words(&w->o, 3);
	observer_store(&w->ddt, &words[3], 9ULL << 60);
	KUNIT_EXPECT_GT(test, w->o.torn, 0);
	KUNIT_EXPECT_EQ(test, w->o.bypassed, 0);

	observer_settle(&w->o);
	w->o.torn = 0;
	words = observer_words(&w->o, 0);
	WRITE_ONCE(words[1], 1);
	observer_look(&w->o);
	KUNIT_EXPECT_EQ(test, w->o.torn, 0);
	KUNIT_EXPECT_GT(test, w->o.bypassed, 0);
	WRITE_ONCE(words[1], 0);
}

/* A copy of the leaf page that is published first and edited then */
static void directory_torn_late_edit(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	static const struct rviommu_dc a = { .word = { 1, 0, 5 << 12, 8ULL << 60 | 0x80 } };
	static const struct rviommu_dc b = { .word = { 1, 0, 6 << 12, 9ULL << 60 | 0x90 } };
	u64 *old, *copy, *words;

	if (w->ddt.dir.levels == 1)
		kunit_skip(test, "one level has no page to replace");

	KUNIT_ASSERT_EQ(test, 0, world_set(w, 2, &a, NULL));
	observer_watch(&w->o, 2);
	observer_settle(&w->o);
	old = observer_words(&w->o, 0);
	copy = rviommu_page_alloc(NUMA_NO_NODE, GFP_KERNEL, 0, 56);
	KUNIT_ASSERT_NOT_NULL(test, copy);
	memcpy(copy, old, RVIOMMU_PAGE_SIZE);
	observer_allow(observer_watched(&w->o, 2), &b);
	observer_store(&w->ddt, observer_parent(&w->o, 2), 1 | virt_to_phys(copy) >> 12 << 10);
	words = observer_words(&w->o, 2);
	observer_store(&w->ddt, &words[2], b.word[2]);
	KUNIT_EXPECT_GT(test, w->o.torn, 0);
	observer_store(&w->ddt, &words[3], b.word[3]);
	KUNIT_EXPECT_EQ(test, w->o.bypassed, 0);
	rviommu_page_free(old);
}

/* Without the fence that PAGE owes, an entry read earlier leads to the old page. */
static void directory_torn_no_fence(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	static const struct rviommu_dc a = { .word = { 1, 0, 5 << 12, 8ULL << 60 | 0x80 } };
	static const struct rviommu_dc b = { .word = { 1, 0, 6 << 12, 9ULL << 60 | 0x90 } };
	struct rviommu_dir_update update = { .id = 2, .new.dc = b };
	int rc;

	if (w->ddt.dir.levels == 1)
		kunit_skip(test, "one level has no page to replace");

	KUNIT_ASSERT_EQ(test, 0, world_set(w, 2, &a, NULL));
	observer_watch(&w->o, 2);
	observer_settle(&w->o);
	observer_allow(observer_watched(&w->o, 2), &b);
	mutex_lock(&w->ddt.lock);
	rc = rviommu_dir_prepare(&w->ddt.dir, &update, 1);
	if (!rc) {
		rviommu_dir_publish(&w->ddt.dir, &update, 1);
		KUNIT_EXPECT_EQ(test, w->o.torn, 0);
		/* The fence of one device does not make hardware forget the entry. */
		observer_allow_only(observer_watched(&w->o, 2), &b);
		observer_fence(&w->o, 2);
		KUNIT_EXPECT_GT(test, w->o.torn, 0);
		w->o.torn = 0;
		observer_fence_all(&w->o);
		w->o.torn = 0;
		observer_look(&w->o);
		KUNIT_EXPECT_EQ(test, w->o.torn, 0);
		rviommu_dir_retire(&w->ddt.dir, &update, 1);
	}
	mutex_unlock(&w->ddt.lock);
	KUNIT_EXPECT_EQ(test, 0, rc);
}

/* Threads */

/* All words of a context name the change that made it. */
static struct rviommu_dc race_dc(const struct dir_world *w, u32 did, unsigned int n)
{
	struct rviommu_dc dc = {};
	unsigned int i;

	/* Sometimes only one word differs from the change before; sometimes invalid. */
	for (i = 1; i < w->words; i++)
		dc.word[i] = (u64)did << 32 | (n & ~1U) << 4 | i;
	dc.word[0] = (u64)n << 32 | (n % 7 != 0);
	return dc;
}

static bool race_dc_whole(const struct dir_world *w, u32 did, const struct rviommu_dc *dc)
{
	struct rviommu_dc expect = race_dc(w, did, dc->word[0] >> 32);

	return !memcmp(&expect, dc, sizeof(*dc));
}

static void race_write(struct dirtest_thread *t, unsigned int n)
{
	struct dir_world *w = t->arg;
	struct rviommu_dir_update u = { .id = t->id, .new.dc = race_dc(w, t->id, n) };

	mutex_lock(&w->ddt.lock);
	if (rviommu_dir_prepare(&w->ddt.dir, &u, 1)) {
		t->failed++;
	} else if (n % 5 == 0) {
		rviommu_dir_abort(&w->ddt.dir, &u, 1);
		/* the next change must not be mistaken for this one */
	} else {
		rviommu_dir_publish(&w->ddt.dir, &u, 1);
		rviommu_dir_retire(&w->ddt.dir, &u, 1);
	}
	mutex_unlock(&w->ddt.lock);
}

static void race_read(struct dirtest_thread *t, unsigned int n)
{
	struct dir_world *w = t->arg;
	u32 did = t->id + n % 2;
	struct rviommu_dc dc;

	if (rviommu_ddt_read(&w->ddt, did, &dc) && !race_dc_whole(w, did, &dc))
		t->failed++;
}

/* Two writers in one leaf page and a reader without a lock */
static void directory_race(struct kunit *test)
{
	struct dir_world *w = world_make(test);
	struct dirtest_thread *threads;
	unsigned int i;

	threads = kunit_kcalloc(test, 3, sizeof(*threads), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, threads);
	w->ddt.ops = &dirtest_plain_ops;
	threads[0] = (struct dirtest_thread){ .write = race_write, .arg = w, .id = 40 };
	threads[1] = (struct dirtest_thread){ .write = race_write, .arg = w, .id = 41 };
	threads[2] = (struct dirtest_thread){ .read = race_read, .arg = w, .id = 40 };
	dirtest_run(test, threads, 3);

	for (i = 0; i < 2; i++) {
		/* the last change that was not aborted and is not invalid */
		struct rviommu_dc dc, last = race_dc(w, 40 + i, DIRTEST_CHANGES - 1);

		KUNIT_EXPECT_TRUE(test, rviommu_ddt_read(&w->ddt, 40 + i, &dc));
		KUNIT_EXPECT_MEMEQ(test, &dc, &last, sizeof(dc));
	}
}

static int directory_test_init(struct kunit *test)
{
	struct dir_world *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);

	if (!w)
		return -ENOMEM;
	w->live = testdev_live();
	test->priv = w;
	return 0;
}

static void directory_test_exit(struct kunit *test)
{
	struct dir_world *w = test->priv;

	if (!w)
		return;
	if (w->have_ddt)
		rviommu_ddt_destroy(&w->ddt);
	KUNIT_EXPECT_EQ(test, testdev_live(), w->live);
}

/* ----- Devices that are lost while somebody changes a context ----- */

/**
 * struct quarantine - a device is lost between prepare and publish of some change
 * @name: for messages
 * @from: what both devices have before; 0: nothing, but the page is there
 * @to: what the first one gets
 * @both: the second one gets it too, by the same call
 * @joins: the second one has nothing before
 * @second: it is the second one that is lost
 * @fresh: the first one's page is not there
 *
 * Contexts are numbers: see quarantine_dc().
 */
struct quarantine {
	const char *name;
	u8 from;
	u8 to;
	bool both;
	bool joins;
	bool second;
	bool fresh;
};

static const struct quarantine quarantines[] = {
	{ "two words", 1, 3 },
	{ "one word", 1, 2 },
	{ "becomes invalid", 1, 0 },
	{ "becomes valid", 0, 3 },
	{ "becomes valid in a new page", 0, 3, .fresh = true },
	{ "the same", 1, 1 },
	{ "neighbour of two words", 1, 3, .second = true },
	{ "neighbour of one word", 1, 2, .second = true },
	{ "two words, two devices", 1, 3, .both = true },
	{ "two words, two devices, the second", 1, 3, .both = true, .second = true },
	{ "become valid, two devices", 0, 3, .both = true },
	{ "the second one joins", 1, 3, .both = true, .joins = true },
	{ "the second one joins and is lost", 1, 3, .both = true, .joins = true, .second = true },
};

/* 2 differs from 1 in one word, 3 in two. */
static struct rviommu_dc quarantine_dc(unsigned int n)
{
	return (struct rviommu_dc) { .word = {
		[RVIOMMU_DC_TC] = n ? RVIOMMU_DC_TC_V : 0,
		[RVIOMMU_DC_TA] = n == 3 ? 0x3000 : n ? 0x1000 : 0,
		[RVIOMMU_DC_FSC] = n ? BIT_ULL(63) | n : 0,
	} };
}

static void quarantine_set(struct rviommu_ddt *ddt, u32 did, unsigned int n)
{
	struct rviommu_dir_update update = {
		.id = did, .reserve = true, .new.dc = quarantine_dc(n),
	};

	dirtest_apply(ddt, &update, NULL);
}

static void quarantine_one(struct kunit *test, struct dir_world *w, const struct quarantine *q)
{
	u32 did[2] = { q->fresh ? 1U << (w->did_lg2 - 1) : 4, 5 };
	struct rviommu_dir_update *updates = w->updates;
	struct rviommu_ddt *ddt = &w->ddt;
	struct rviommu_dc dc, want;
	bool lost[2] = {};
	unsigned int i;

	if (!q->fresh)
		quarantine_set(ddt, did[0], q->from);
	quarantine_set(ddt, did[1], q->joins ? 0 : q->from);
	for (i = 0; i < 2; i++)
		updates[i] = (struct rviommu_dir_update) {
			.id = did[i], .lost = &lost[i], .new.dc = quarantine_dc(q->to),
		};
	mutex_lock(&ddt->lock);
	KUNIT_ASSERT_EQ(test, rviommu_dir_prepare(&ddt->dir, updates, 1 + q->both), 0);
	lost[q->second] = true;
	rviommu_ddt_quarantine(ddt, did[q->second]);
	rviommu_dir_publish(&ddt->dir, updates, 1 + q->both);
	rviommu_dir_retire(&ddt->dir, updates, 1 + q->both);
	mutex_unlock(&ddt->lock);

	KUNIT_EXPECT_FALSE_MSG(test, rviommu_ddt_read(ddt, did[q->second], &dc),
			       "%s: the lost device has a context", q->name);
	/* The other one has what it would have had. */
	i = !q->second;
	want = quarantine_dc(i && !q->both ? q->from : q->to);
	rviommu_ddt_read(ddt, did[i], &dc);
	KUNIT_EXPECT_MEMEQ_MSG(test, dc.word, want.word, sizeof(dc), "%s: the other device",
			       q->name);
	/* It stays in quarantine, and one that comes back has what it is given then. */
	for (i = 0; i < 2; i++) {
		updates[0] = (struct rviommu_dir_update) {
			.id = did[q->second], .lost = &lost[q->second], .new.dc = quarantine_dc(3),
		};
		KUNIT_ASSERT_EQ(test, dirtest_apply(ddt, updates, NULL), 0);
		KUNIT_EXPECT_EQ_MSG(test, rviommu_ddt_read(ddt, did[q->second], &dc), i, "%s",
				    q->name);
		lost[q->second] = false;
	}
}

static void directory_quarantine(struct kunit *test)
{
	const struct dir_config *config = test->param_value;
	struct dir_world *w = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(quarantines); i++) {
		if (quarantines[i].fresh && config->levels == 1)
			continue;
		KUNIT_ASSERT_EQ(test, 0, rviommu_ddt_init(&w->ddt, &dirtest_plain_ops,
							  config->levels, config->extended, 56,
							  NUMA_NO_NODE));
		w->have_ddt = true;
		w->did_lg2 = rviommu_dir_id_lg2(&w->ddt.dir);
		w->ddt.can_lose = true;
		quarantine_one(test, w, &quarantines[i]);
		w->have_ddt = false;
		rviommu_ddt_destroy(&w->ddt);
	}
}

static struct kunit_case directory_cases[] = {
	KUNIT_CASE_PARAM(directory_pairs, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_stale_words, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_table, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_boundaries, dir_config_gen_params),
	KUNIT_CASE(directory_init_levels),
	KUNIT_CASE_PARAM(directory_growth, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_several_in_one_page, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_several_pages, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_refused, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_abort, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_no_memory, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_laid_aside, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_sync_fails, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_retire, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_random, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_torn_rewrite, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_torn_no_grace, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_torn_one_fence, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_torn_neighbour, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_torn_late_edit, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_torn_no_fence, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_race, dir_config_gen_params),
	KUNIT_CASE_PARAM(directory_quarantine, dir_config_gen_params),
	{}
};

static struct kunit_suite directory_suite = {
	.name = "rviommu_directory",
	.init = directory_test_init,
	.exit = directory_test_exit,
	.test_cases = directory_cases,
};

kunit_test_suite(directory_suite);
