// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which commands an invalidation becomes, against the specification by hand, and
 * the lists of attachments that say where they go.
 */
#include <kunit/test.h>
#include <linux/kthread.h>

#include "../src/driver/attachment.h"
#include "../src/driver/cmdq.h"
#include "../src/driver/compat.h"
#include "../src/driver/context.h"
#include "../src/driver/directory.h"
#include "../src/driver/domain.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/filter.h"
#include "../src/driver/invalidate.h"
#include "../src/driver/mutate.h"
#include "../src/driver/quirks.h"
#include "../src/driver/rviommu.h"
#include "../src/driver/static.h"
#include "testdev.h"

static struct rviommu_domain *make_domain(struct testdev *td, bool second_stage)
{
	struct rviommu_domain *dom = rviommu_domain_create(&td->iommu, second_stage);

	KUNIT_ASSERT_FALSE(td->test, IS_ERR(dom));
	return dom;
}

static void free_domain(struct rviommu_domain *dom)
{
	dom->space.domain.ops->free(&dom->space.domain);
}

/* ----- Ranges ----- */

/* What an IOMMU can do, and what is wrong with it */
#define PLAIN	0
#define S	BIT(0)	/* address ranges */
#define NL	BIT(1)	/* non-leaf */
#define SMALL	BIT(2)	/* quirk: an address means 4 KiB of the leaf */

/* Kinds of answers */
enum shape {
	SPACE,		/* the whole address space, one command */
	EACH,		/* one command for each stride of 2^lg2 bytes */
	RANGE,		/* one command with S for 2^lg2 bytes */
	RANGE_NL,	/* the same with NL */
	ONE,		/* one command for one page, without S */
	ONE_NL,
};

#define HIGH	0xffff800000000000ULL

static const struct {
	u64 iova, last;
	u8 leaf_lg2;
	bool nonleaf;
	u8 can;
	enum shape shape;
	u64 first;
	u8 lg2;
	u8 nr;
} ranges[] = {
	/* One page */
	{ 0x5000, 0x5fff, 12, false, PLAIN, EACH, 0x5000, 12, 1 },
	{ 0x5000, 0x5fff, 12, false, NL, EACH, 0x5000, 12, 1 },
	{ 0x5000, 0x5fff, 12, false, SMALL, EACH, 0x5000, 12, 1 },
	{ 0x5000, 0x5fff, 12, false, S, ONE, 0x5000 },
	{ 0x5000, 0x5fff, 12, false, S | NL, ONE, 0x5000 },
	{ 0, 0xfff, 12, false, PLAIN, EACH, 0, 12, 1 },
	/* No leaf at all is what a walk of empty tables gives. */
	{ 0x5000, 0x5fff, 0, false, PLAIN, EACH, 0x5000, 12, 1 },
	/* Strides of the smallest leaf, up to a bound */
	{ 0x5000, 0x8fff, 12, false, PLAIN, EACH, 0x5000, 12, 4 },
	{ 0x5000, 0x24fff, 12, false, PLAIN, EACH, 0x5000, 12, 32 },
	{ 0x5000, 0x25fff, 12, false, PLAIN, SPACE },
	{ 0x200000, 0x3fffff, 21, false, PLAIN, EACH, 0x200000, 21, 1 },
	{ 0x200000, 0x3fffff, 21, false, SMALL, SPACE },
	{ 0x200000, 0x3fffff, 12, false, SMALL, SPACE },
	/* 64 KiB: sixteen entries each */
	{ 0x10000, 0x1ffff, 16, false, PLAIN, EACH, 0x10000, 12, 16 },
	{ 0x10000, 0x2ffff, 16, false, SMALL, EACH, 0x10000, 12, 32 },
	{ 0x10000, 0x3ffff, 16, false, PLAIN, SPACE },
	{ 0x10000, 0x1ffff, 16, false, S, RANGE, 0x10000, 16 },
	{ 0x40000000, 0x7fffffffff, 30, false, PLAIN, SPACE },
	{ 0x40000000, 0x7ffffffff, 30, false, PLAIN, EACH, 0x40000000, 30, 31 },
	/* A range that begins inside a leaf: strides from the leaf's beginning */
	{ 0x1ff000, 0x400fff, 21, false, PLAIN, EACH, 0, 21, 3 },
	/* With ranges: the smallest aligned power of two around it */
	{ 0x4000, 0x7fff, 12, false, S, RANGE, 0x4000, 14 },
	{ 0x5000, 0x8fff, 12, false, S, RANGE, 0, 16 },
	{ 0x5000, 0x25fff, 12, false, S, RANGE, 0, 18 },
	{ 0x200000, 0x3fffff, 21, false, S, RANGE, 0x200000, 21 },
	{ 0x200000, 0x3fffff, 21, false, S | SMALL, RANGE, 0x200000, 21 },
	{ 0x40000000, 0x7ffffffff, 30, false, S, RANGE, 0, 35 },
	{ 0, 0x7fffffffffff, 12, false, S, RANGE, 0, 47 },
	/* Upper half of the address space */
	{ HIGH, HIGH + 0xfff, 12, false, PLAIN, EACH, HIGH, 12, 1 },
	{ ~0xfffULL, ~0ULL, 12, false, PLAIN, EACH, ~0xfffULL, 12, 1 },
	{ ~0x1fffULL, ~0ULL, 12, false, PLAIN, EACH, ~0x1fffULL, 12, 2 },
	{ HIGH, HIGH + 0x3fff, 12, false, S, RANGE, HIGH, 14 },
	{ ~0x3fffULL, ~0ULL, 12, false, S, RANGE, ~0x3fffULL, 14 },
	{ HIGH, ~0ULL, 12, false, S, RANGE, HIGH, 47 },
	/* What ends with the end of all addresses */
	{ ~0xfffULL, ~0ULL, 12, false, S, ONE, ~0xfffULL },
	{ ~0xfffULL, ~0ULL, 12, true, S | NL, ONE_NL, ~0xfffULL },
	{ ~0x1fffULL, ~0ULL, 12, false, S, RANGE, ~0x1fffULL, 13 },
	{ ~0xffffULL, ~0ULL, 16, false, PLAIN, EACH, ~0xffffULL, 12, 16 },
	{ ~0x1ffffULL, ~0ULL, 12, false, PLAIN, EACH, ~0x1ffffULL, 12, 32 },
	{ ~0x20fffULL, ~0ULL, 12, false, PLAIN, SPACE },
	{ ~0x1fffffULL, ~0ULL, 21, false, PLAIN, EACH, ~0x1fffffULL, 21, 1 },
	{ ~0x1ff000ULL, ~0ULL, 21, false, PLAIN, EACH, ~0x1fffffULL, 21, 1 },
	{ ~0x1fffffULL, ~0ULL, 12, true, S | NL, RANGE_NL, ~0x1fffffULL, 21 },
	{ ~0x3fffffffULL, ~0ULL, 30, false, S, RANGE, ~0x3fffffffULL, 30 },
	{ 1ULL << 63, ~0ULL, 12, false, S, RANGE, 1ULL << 63, 63 },
	/* Both halves: no aligned range but everything */
	{ 0x7ffffffff000, HIGH + 0xfff, 12, false, S, SPACE },
	{ 0, ~0ULL, 12, false, S, SPACE },
	{ 0, ~0ULL, 12, false, PLAIN, SPACE },
	/* Tables were unlinked */
	{ 0x200000, 0x3fffff, 12, true, PLAIN, SPACE },
	{ 0x200000, 0x3fffff, 12, true, S, SPACE },
	{ 0x200000, 0x3fffff, 12, true, NL, SPACE },
	{ 0x200000, 0x3fffff, 12, true, S | NL, RANGE_NL, 0x200000, 21 },
	{ 0x200000, 0x3fffff, 21, true, S | NL | SMALL, RANGE_NL, 0x200000, 21 },
	{ 0, 0x3fffffff, 12, true, S | NL, RANGE_NL, 0, 30 },
	{ 0x5000, 0x5fff, 12, true, S | NL, ONE_NL, 0x5000 },
	{ 0, ~0ULL, 12, true, S | NL, SPACE },
};

/* Spec "Address Range Invalidation Extension": X ones below the lowest 0 of ADDR. */
static u64 napot(u64 iova, unsigned int lg2)
{
	u64 ones = lg2 < 13 ? 0 : (1ULL << (lg2 - 13)) - 1;

	return ((iova >> 12) | ones) << 10;
}

static void invalidate_ranges(struct kunit *test, bool second_stage)
{
	struct testdev_command *want = kunit_kcalloc(test, 40, sizeof(*want), GFP_KERNEL);
	unsigned int i, k, nr;
	struct testdev *td[4];
	struct rviommu_domain *dom[4];
	struct rviommu_attachment *a[4];
	char where[80];

	KUNIT_ASSERT_NOT_NULL(test, want);
	for (i = 0; i < 4; i++) {
		td[i] = testdev_up(test, TESTDEV_CAPS | (i & S ? TESTDEV_S : 0) |
					 (i & NL ? TESTDEV_NL : 0));
		dom[i] = make_domain(td[i], second_stage);
		a[i] = testdev_link(test, &td[i]->iommu, &dom[i]->space);
	}

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		const typeof(ranges[0]) *r = &ranges[i];
		const unsigned int can = r->can & (S | NL);
		const struct testdev_command space = CMD_VMA(dom[can]->space.pscid);
		const struct testdev_command gspace = CMD_GVMA(dom[can]->space.gscid);
		const u64 base = second_stage ? gspace.dword0 : space.dword0;

		td[can]->iommu.quirks = r->can & SMALL ? BIT(RVIOMMU_QUIRK_SMALL_IOTINVAL) : 0;
		nr = r->shape == EACH ? r->nr : 1;
		for (k = 0; k < nr; k++) {
			want[k].dword0 = base | (r->shape == SPACE ? 0 : 1ULL << 10);
			want[k].dword1 = 0;
		}
		switch (r->shape) {
		case SPACE:
			break;
		case EACH:
			for (k = 0; k < nr; k++)
				want[k].dword1 = (r->first + ((u64)k << r->lg2)) >> 12 << 10;
			break;
		case RANGE_NL:
			want[0].dword0 |= 1ULL << 34;
			fallthrough;
		case RANGE:
			want[0].dword1 = napot(r->first, r->lg2) | 1ULL << 9;
			break;
		case ONE_NL:
			want[0].dword0 |= 1ULL << 34;
			fallthrough;
		case ONE:
			want[0].dword1 = r->first >> 12 << 10;
			break;
		}
		want[nr].dword0 = 0x3402;
		snprintf(where, sizeof(where), "%u: %#llx to %#llx, leaf %u, can %#x", i, r->iova,
			 r->last, r->leaf_lg2, r->can);
		rviommu_invalidate_range(&dom[can]->space, r->iova, r->last, r->leaf_lg2,
					 r->nonleaf);
		testdev_expect(td[can], where, want, nr + 1);
	}

	for (i = 0; i < 4; i++) {
		testdev_unlink(a[i]);
		free_domain(dom[i]);
	}
}

static void invalidate_first_stage(struct kunit *test)
{
	invalidate_ranges(test, false);
}

static void invalidate_second_stage(struct kunit *test)
{
	invalidate_ranges(test, true);
}

static void invalidate_everything(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS | TESTDEV_S | TESTDEV_NL);
	struct rviommu_domain *first = make_domain(td, false), *second = make_domain(td, true);
	struct iommu_iotlb_gather gather = { .start = 0, .end = 0xfff, .pgsize = SZ_4K };
	const struct iommu_domain_ops *ops = first->space.domain.ops;
	struct rviommu_attachment *a[2];
	struct rviommu_domain_stats stats;

	/* Nobody has cached anything yet. */
	INIT_LIST_HEAD(rviommu_gather_pages(&gather));
	ops->flush_iotlb_all(&first->space.domain);
	ops->iotlb_sync(&first->space.domain, &gather);
	testdev_expect(td, "no target", NULL, 0);

	a[0] = testdev_link(test, &td->iommu, &first->space);
	a[1] = testdev_link(test, &td->iommu, &second->space);
	ops->flush_iotlb_all(&first->space.domain);
	EXPECT_COMMANDS(td, "first stage", CMD_VMA(first->space.pscid), CMD_FENCE);
	rviommu_invalidate_all(&second->space);
	EXPECT_COMMANDS(td, "second stage", CMD_GVMA(second->space.gscid), CMD_FENCE);

	stats = rviommu_domain_stats(first);
	KUNIT_EXPECT_EQ(test, stats.flushes, 2);
	KUNIT_EXPECT_EQ(test, stats.syncs, 1);
	testdev_unlink(a[0]);
	testdev_unlink(a[1]);
	rviommu_invalidate_all(&first->space);
	testdev_expect(td, "no target any more", NULL, 0);
	free_domain(first);
	free_domain(second);
}

/* What a device context owes, as it is issued. */
static unsigned int filtered(struct testdev *td, const struct rviommu_dir_update *update,
			     struct rviommu_command *cmds)
{
	unsigned int nr = rviommu_context_commands(&td->iommu, update, cmds);

	return rviommu_filter_links(&td->iommu, RVIOMMU_WHY_ATTACH, update->id, cmds, nr);
}

/* What the mutation run leaves out, and nothing else. */
static void invalidate_mutations(struct kunit *test)
{
	struct rviommu_command cmds[RVIOMMU_CONTEXT_COMMANDS];
	struct rviommu_dir_update update = { .id = 5, .how = RVIOMMU_PUBLISH_PAGE };
	struct rviommu_attachment *a;
	struct rviommu_domain *dom;
	struct testdev *td;
	u32 pscid;

	if (!IS_ENABLED(CONFIG_RVIOMMU_DEBUG))
		kunit_skip(test, "only with CONFIG_RVIOMMU_DEBUG");

	td = testdev_up(test, TESTDEV_CAPS | TESTDEV_S | TESTDEV_NL);
	dom = make_domain(td, false);
	pscid = dom->space.pscid;
	a = testdev_link(test, &td->iommu, &dom->space);

	td->iommu.mutate = RVIOMMU_MUTATE_IOTINVAL;
	rviommu_invalidate_range(&dom->space, 0x5000, 0x5fff, 12, false);
	EXPECT_COMMANDS(td, "no IOTINVAL", CMD_FENCE);
	rviommu_invalidate_all(&dom->space);
	EXPECT_COMMANDS(td, "but flush_iotlb_all", CMD_VMA(pscid), CMD_FENCE);

	td->iommu.mutate = RVIOMMU_MUTATE_NONLEAF;
	rviommu_invalidate_range(&dom->space, 0x200000, 0x3fffff, 12, true);
	EXPECT_COMMANDS(td, "no NL",
			{ 0x401 | pscid << 12 | 1ULL << 32, napot(0x200000, 21) | 1ULL << 9 },
			CMD_FENCE);

	td->iommu.mutate = RVIOMMU_MUTATE_FLUSH_ALL;
	rviommu_invalidate_all(&dom->space);
	EXPECT_COMMANDS(td, "no flush_iotlb_all", CMD_FENCE);
	rviommu_invalidate_range(&dom->space, 0x5000, 0x5fff, 12, false);
	EXPECT_COMMANDS(td, "but IOTINVAL", CMD_VMA_AT(pscid, 0x5000), CMD_FENCE);

	update.old.word[0] = 1;
	update.old.word[2] = 0x77000;
	update.old.word[3] = 9ULL << 60;
	td->iommu.mutate = RVIOMMU_MUTATE_INVAL_DDT;
	KUNIT_EXPECT_EQ(test, filtered(td, &update, cmds), 1);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(cmds[0].dword[0]), 0x100077001);
	td->iommu.mutate = RVIOMMU_MUTATE_ATTACH_IOTINVAL;
	KUNIT_EXPECT_EQ(test, filtered(td, &update, cmds), 1);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(cmds[0].dword[0]), 0x3);

	td->iommu.mutate = RVIOMMU_MUTATE_NOTHING;
	testdev_unlink(a);
	free_domain(dom);
}

/* ----- Contexts: spec "Changing device directory table entry" ----- */

static const struct {
	const char *name;
	enum rviommu_publish how;
	bool notify;
	/* tc, iohgatp, ta, fsc as they were */
	u64 old[4];
	unsigned int nr;
	struct testdev_command want[3];
} contexts[] = {
	{ "nothing changed", RVIOMMU_PUBLISH_NONE, true,
	  { 1, 0, 0x5000, 9ULL << 60 | 0x123 }, 0 },
	{ "became valid", RVIOMMU_PUBLISH_VALID, false, { 0 }, 0 },
	{ "became valid, wants to be told", RVIOMMU_PUBLISH_VALID, true, { 0 },
	  1, { CMD_DDT(0xabcdef) } },
	{ "identity, in place", RVIOMMU_PUBLISH_WORD, false, { 1 }, 1, { CMD_DDT(0xabcdef) } },
	{ "identity, by a page", RVIOMMU_PUBLISH_PAGE, false, { 1 }, 1, { CMD_DDT_ALL } },
	{ "identity, one level", RVIOMMU_PUBLISH_BREAK, false, { 1 }, 1, { CMD_DDT(0xabcdef) } },
	{ "first stage, in place", RVIOMMU_PUBLISH_WORD, false,
	  { 1, 0, 0xfffff000, 8ULL << 60 | 0x123 }, 2, { CMD_DDT(0xabcdef), CMD_VMA(0xfffff) } },
	{ "first stage, by a page", RVIOMMU_PUBLISH_PAGE, false,
	  { 1, 0, 0x1000, 10ULL << 60 | 0x123 }, 2, { CMD_DDT_ALL, CMD_VMA(1) } },
	{ "first stage, one level", RVIOMMU_PUBLISH_BREAK, true,
	  { 1, 0, 0x5000, 9ULL << 60 | 0x123 }, 2, { CMD_DDT(0xabcdef), CMD_VMA(5) } },
	/* What other fields say does not count, nor do RCID and MCID beside PSCID. */
	{ "RCID and MCID", RVIOMMU_PUBLISH_PAGE, false,
	  { 1, 0, 0xabcdef0000007000, 9ULL << 60 }, 2, { CMD_DDT_ALL, CMD_VMA(7) } },
	{ "second stage", RVIOMMU_PUBLISH_PAGE, false,
	  { 1, 9ULL << 60 | 0xfedcULL << 44 | 0x123, 0, 0 }, 3,
	  { CMD_DDT_ALL, CMD_VMA_GSCID(0xfedc), CMD_GVMA(0xfedc) } },
	{ "second stage, in place", RVIOMMU_PUBLISH_WORD, false,
	  { 1, 8ULL << 60 | 1ULL << 44 | 0x123, 0, 0 }, 3,
	  { CMD_DDT(0xabcdef), CMD_VMA_GSCID(1), CMD_GVMA(1) } },
	/* Both stages: the guest's number covers the first too. */
	{ "both stages", RVIOMMU_PUBLISH_PAGE, false,
	  { 1, 9ULL << 60 | 2ULL << 44, 0x5000, 9ULL << 60 }, 3,
	  { CMD_DDT_ALL, CMD_VMA_GSCID(2), CMD_GVMA(2) } },
	{ "process directory", RVIOMMU_PUBLISH_PAGE, false,
	  { 1 | 1 << 5, 0, 0, 1ULL << 60 }, 2, { CMD_DDT_ALL, CMD_VMA_ALL } },
	{ "process directory in a guest", RVIOMMU_PUBLISH_PAGE, false,
	  { 1 | 1 << 5, 9ULL << 60 | 3ULL << 44, 0, 1ULL << 60 }, 3,
	  { CMD_DDT_ALL, CMD_VMA_GSCID(3), CMD_GVMA(3) } },
};

static void invalidate_contexts(struct kunit *test)
{
	struct rviommu_command cmds[RVIOMMU_CONTEXT_COMMANDS + 1];
	struct rviommu *iommu = kunit_kzalloc(test, sizeof(*iommu), GFP_KERNEL);
	unsigned int i, k;

	KUNIT_ASSERT_NOT_NULL(test, iommu);
	for (i = 0; i < ARRAY_SIZE(contexts); i++) {
		const typeof(contexts[0]) *c = &contexts[i];
		struct rviommu_dir_update update = { .id = 0xabcdef, .how = c->how };

		memcpy(update.old.word, c->old, sizeof(c->old));
		/* The new ones do not count (same section: "the old values"). */
		update.new.word[1] = 8ULL << 60 | 0x111ULL << 44;
		update.new.word[2] = 0x99000;
		update.new.word[3] = 8ULL << 60;
		iommu->quirks = c->notify ? BIT(RVIOMMU_QUIRK_NOTIFY_VALID) : 0;
		memset(cmds, 0xff, sizeof(cmds));
		KUNIT_EXPECT_EQ_MSG(test, rviommu_context_commands(iommu, &update, cmds), c->nr,
				    "%s", c->name);
		for (k = 0; k < c->nr; k++) {
			KUNIT_EXPECT_EQ_MSG(test, le64_to_cpu(cmds[k].dword[0]), c->want[k].dword0,
					    "%s, %u", c->name, k);
			KUNIT_EXPECT_EQ_MSG(test, le64_to_cpu(cmds[k].dword[1]), c->want[k].dword1,
					    "%s, %u", c->name, k);
		}
		/* Nothing beyond */
		KUNIT_EXPECT_EQ_MSG(test, le64_to_cpu(cmds[c->nr].dword[0]), ~0ULL, "%s",
				    c->name);
	}
}

/* ----- Targets ----- */

#define NR_IOMMUS	10

/* Those that an unmap looks at */
static unsigned int nr_targets(struct rviommu_domain *dom)
{
	const struct rviommu_attachment *a;
	unsigned int nr = 0;

	guard(mutex)(&dom->space.lock);
	list_for_each_entry(a, &dom->space.targets, target)
		nr++;
	return nr;
}

/* Each IOMMU in @set gets its command and its own fence, once; the others nothing. */
static void expect_targets(struct kunit *test, struct testdev **td, struct rviommu_domain *dom,
			   unsigned long set)
{
	unsigned int i;

	rviommu_invalidate_all(&dom->space);
	for (i = 0; i < NR_IOMMUS; i++) {
		if (set & BIT(i))
			EXPECT_COMMANDS(td[i], "in the set", CMD_VMA(dom->space.pscid), CMD_FENCE);
		else
			testdev_expect(td[i], "not in the set", NULL, 0);
	}
	KUNIT_EXPECT_EQ(test, nr_targets(dom), hweight_long(set));
}

static void invalidate_targets(struct kunit *test)
{
	struct rviommu_attachment *a[NR_IOMMUS], *second;
	struct testdev *td[NR_IOMMUS];
	struct rviommu_domain *dom;
	unsigned long set = 0;
	unsigned int i;

	for (i = 0; i < NR_IOMMUS; i++) {
		td[i] = testdev_up(test, TESTDEV_CAPS);
		/* Only who waits for a fence gets it executed. */
		td[i]->fake->rate = 1;
	}
	dom = make_domain(td[0], false);

	/* More than one round of waiting: rviommu_inval_targets() takes 8 at a time. */
	for (i = 0; i < NR_IOMMUS; i++) {
		a[i] = testdev_link(test, &td[i]->iommu, &dom->space);
		set |= BIT(i);
		expect_targets(test, td, dom, set);
	}

	/* A second attachment there changes nothing. */
	second = testdev_link(test, &td[3]->iommu, &dom->space);
	expect_targets(test, td, dom, set);
	testdev_unlink(second);
	expect_targets(test, td, dom, set);

	/* The first, the last, one in between */
	testdev_unlink(a[0]);
	testdev_unlink(a[3]);
	testdev_unlink(a[NR_IOMMUS - 1]);
	set &= ~(BIT(0) | BIT(3) | BIT(NR_IOMMUS - 1));
	expect_targets(test, td, dom, set);

	/* One comes back. */
	rviommu_attachment_link(a[3]);
	set |= BIT(3);
	expect_targets(test, td, dom, set);

	for (i = 0; i < NR_IOMMUS; i++)
		if (set & BIT(i))
			testdev_unlink(a[i]);
	expect_targets(test, td, dom, 0);
	free_domain(dom);
}

/*
 * Of several attachments to an IOMMU one stands for all; when it goes, another does, in its
 * place. Each order of going.
 */
static void invalidate_targets_heir(struct kunit *test)
{
	static const u8 orders[][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};
	struct testdev *a = testdev_up(test, TESTDEV_CAPS), *b = testdev_up(test, TESTDEV_CAPS);
	struct rviommu_domain *dom = make_domain(a, false);
	const u32 pscid = dom->space.pscid;
	struct rviommu_attachment *of_a[3], *of_b;
	unsigned int i, k;

	for (i = 0; i < 3; i++)
		of_a[i] = testdev_link(test, &a->iommu, &dom->space);
	of_b = testdev_link(test, &b->iommu, &dom->space);
	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		for (k = 0; k < 3; k++) {
			rviommu_invalidate_all(&dom->space);
			EXPECT_COMMANDS(a, "some are left", CMD_VMA(pscid), CMD_FENCE);
			EXPECT_COMMANDS(b, "the other IOMMU", CMD_VMA(pscid), CMD_FENCE);
			KUNIT_EXPECT_EQ(test, nr_targets(dom), 2);
			testdev_unlink(of_a[orders[i][k]]);
		}
		rviommu_invalidate_all(&dom->space);
		testdev_expect(a, "none is left", NULL, 0);
		EXPECT_COMMANDS(b, "the other IOMMU still", CMD_VMA(pscid), CMD_FENCE);
		for (k = 0; k < 3; k++)
			rviommu_attachment_link(of_a[k]);
	}
	for (k = 0; k < 3; k++)
		testdev_unlink(of_a[k]);
	testdev_unlink(of_b);
	free_domain(dom);
}

/*
 * Whoever stands at an attachment that goes finds the rest of the list from there: of each
 * IOMMU one, and those that came meanwhile need not be found.
 */
static void invalidate_targets_reader(struct kunit *test)
{
	struct testdev *td[3];
	struct rviommu_attachment *a[3], *heir, *at, *seen;
	struct rviommu_domain *dom;
	unsigned int i, k, found;

	for (i = 0; i < 3; i++)
		td[i] = testdev_up(test, TESTDEV_CAPS);
	dom = make_domain(td[0], false);
	for (i = 0; i < 3; i++)
		a[i] = testdev_link(test, &td[i]->iommu, &dom->space);

	for (i = 0; i < 3; i++) {
		heir = testdev_link(test, &td[i]->iommu, &dom->space);
		rcu_read_lock();
		at = a[i];
		rcu_read_unlock();
		/* As if it were in its middle */
		rviommu_attachment_unlink(a[i]);
		for (k = i + 1; k < 3; k++) {
			rviommu_attachment_unlink(a[k]);
			rviommu_attachment_link(a[k]);
		}
		found = 0;
		seen = at;
		while (&seen->target != &dom->space.targets && found <= 3) {
			found += seen->ep->iommu != &td[i]->iommu;
			seen = list_entry(READ_ONCE(seen->target.next), struct rviommu_attachment,
					  target);
		}
		KUNIT_EXPECT_EQ(test, found, 2 - i);
		KUNIT_EXPECT_EQ(test, nr_targets(dom), 3);
		rviommu_attachment_unlink(heir);
		KUNIT_EXPECT_EQ(test, nr_targets(dom), 2);
		rviommu_inval_synchronize();
		rviommu_attachment_link(a[i]);
		for (k = 0; k < 3; k++) {
			testdev_unlink(a[k]);
			rviommu_attachment_link(a[k]);
		}
	}
	for (i = 0; i < 3; i++)
		testdev_unlink(a[i]);
	free_domain(dom);
}

/**
 * struct meanwhile - attachments that come and go while somebody invalidates
 * @a: two of each IOMMU; the first of them is the one that is visited
 * @backwards: the last IOMMU is the first one where they do
 * @acted: they did
 */
struct meanwhile {
	struct rviommu_attachment *a[NR_IOMMUS][2];
	bool backwards;
	bool acted;
};

/* Once, between two rounds: whoever waits for a fence holds no lock. */
static void meanwhile_look(struct testdev *td)
{
	struct meanwhile *m = td->arg;
	unsigned int i, k;

	if (m->acted || irqs_disabled())
		return;
	m->acted = true;
	for (i = 0; i < NR_IOMMUS; i++) {
		k = m->backwards ? NR_IOMMUS - 1 - i : i;
		rviommu_attachment_unlink(m->a[k][0]);
		rviommu_attachment_link(m->a[k][0]);
		swap(m->a[k][0], m->a[k][1]);
	}
}

/*
 * To each IOMMU something is attached all the time, and what that is changes in the middle of an
 * invalidation: each gets its command, once.
 */
static void invalidate_targets_meanwhile(struct kunit *test)
{
	struct meanwhile m = {};
	struct testdev *td[NR_IOMMUS];
	struct rviommu_domain *dom;
	unsigned int i, k;

	for (i = 0; i < NR_IOMMUS; i++) {
		td[i] = testdev_up(test, TESTDEV_CAPS);
		td[i]->fake->rate = 1;
	}
	dom = make_domain(td[0], false);
	for (i = 0; i < NR_IOMMUS; i++)
		for (k = 0; k < 2; k++)
			m.a[i][k] = testdev_link(test, &td[i]->iommu, &dom->space);
	td[0]->arg = &m;
	for (i = 0; i < 4; i++) {
		m.backwards = i & 2;
		m.acted = false;
		td[0]->look = meanwhile_look;
		rviommu_invalidate_all(&dom->space);
		td[0]->look = NULL;
		KUNIT_EXPECT_TRUE(test, m.acted);
		for (k = 0; k < NR_IOMMUS; k++)
			EXPECT_COMMANDS(td[k], "always there", CMD_VMA(dom->space.pscid),
					CMD_FENCE);
		rviommu_inval_synchronize();
	}
	for (i = 0; i < NR_IOMMUS; i++)
		for (k = 0; k < 2; k++)
			testdev_unlink(m.a[i][k]);
	free_domain(dom);
}

/* An IOMMU that died is passed over, and keeps nobody waiting. */
static void invalidate_dead_target(struct kunit *test)
{
	struct testdev *a = testdev_up(test, TESTDEV_CAPS), *b = testdev_up(test, TESTDEV_CAPS);
	struct rviommu_domain *dom = make_domain(a, false);
	struct rviommu_attachment *of_a[2], *of_b;
	unsigned int i;

	for (i = 0; i < 2; i++)
		of_a[i] = testdev_link(test, &a->iommu, &dom->space);
	of_b = testdev_link(test, &b->iommu, &dom->space);
	rviommu_cmdq_kill(&a->iommu.cmdq, "test");
	KUNIT_EXPECT_EQ(test, testdev_mode(a), 0);
	rviommu_invalidate_range(&dom->space, 0x5000, 0x5fff, 12, false);
	testdev_expect(a, "dead", NULL, 0);
	EXPECT_COMMANDS(b, "alive", CMD_VMA_AT(dom->space.pscid, 0x5000), CMD_FENCE);
	for (i = 0; i < 2; i++)
		testdev_unlink(of_a[i]);
	testdev_unlink(of_b);
	free_domain(dom);
}

/* ----- Memory ----- */

/* What the device has laid aside is for those who must, and is there again when they are done. */
static void invalidate_attachment_memory(struct kunit *test)
{
	struct testdev *td = testdev_up(test, TESTDEV_CAPS);
	struct rviommu_endpoint *ep = rviommu_endpoint_create(&td->iommu, 1);
	struct rviommu_domain *dom = make_domain(td, false);
	struct rviommu_attachment *a, *b;
	struct testdev_failures failures;
	unsigned int i;
	long live;

	KUNIT_ASSERT_NOT_NULL(test, ep);
	mutex_lock(&ep->lock);
	a = rviommu_attachment_get(ep, 5, &dom->space.domain, false);
	KUNIT_ASSERT_NOT_NULL(test, a);
	KUNIT_EXPECT_PTR_EQ(test, a->space, &dom->space);
	live = testdev_live();
	for (i = 0; i < 5; i++) {
		testdev_fail(test, &failures, TESTDEV_ALL);
		KUNIT_EXPECT_NULL(test, rviommu_attachment_get(ep, 5, &dom->space.domain, false));
		b = rviommu_attachment_get(ep, 5, &rviommu_identity_domain, true);
		KUNIT_ASSERT_NOT_NULL(test, b);
		KUNIT_EXPECT_NULL(test, b->space);
		KUNIT_EXPECT_NULL(test, rviommu_attachment_get(ep, 5, &dom->space.domain, true));
		rviommu_attachment_put(a);
		KUNIT_EXPECT_PTR_EQ(test, ep->spare, a);
		a = b;
		testdev_fail(test, &failures, -1);
		KUNIT_EXPECT_EQ(test, testdev_live(), live);
	}
	/* What was never laid aside again is when there is memory. */
	testdev_fail(test, &failures, TESTDEV_ALL);
	b = rviommu_attachment_get(ep, 5, &dom->space.domain, true);
	KUNIT_EXPECT_NULL(test, ep->spare);
	testdev_fail(test, &failures, 1);
	KUNIT_EXPECT_NULL(test, rviommu_attachment_get(ep, 5, &dom->space.domain, false));
	testdev_fail(test, &failures, -1);
	KUNIT_EXPECT_NOT_NULL(test, ep->spare);
	rviommu_attachment_put(a);
	rviommu_attachment_put(b);
	mutex_unlock(&ep->lock);
	rviommu_endpoint_put(ep);
	free_domain(dom);
}

/* What both threads do together has room in the log of the fake bus. */
#define STRESS_MAX	(FAKEBUS_LOG / 5)

/**
 * struct stress - one thread changes the targets while others invalidate
 * @dom: the domain
 * @done: invalidations
 * @stop: end of it
 */
struct stress {
	struct rviommu_domain *dom;
	atomic_t done;
	bool stop;
};

static int stress_invalidate(void *arg)
{
	struct stress *stress = arg;
	unsigned int i;

	for (i = 0; i < STRESS_MAX && !READ_ONCE(stress->stop); i++) {
		rviommu_invalidate_range(&stress->dom->space, 0x5000, 0x5fff, 12, false);
		atomic_inc(&stress->done);
		cond_resched();
	}
	return 0;
}

static struct rviommu_attachment *stress_come(struct rviommu_endpoint *ep,
					      struct rviommu_domain *dom)
{
	struct rviommu_attachment *a;

	guard(mutex)(&ep->lock);
	a = rviommu_attachment_get(ep, IOMMU_NO_PASID, &dom->space.domain, false);
	if (a)
		rviommu_attachment_link(a);
	return a;
}

static void stress_go(struct rviommu_attachment *a)
{
	if (!a)
		return;
	guard(mutex)(&a->ep->lock);
	rviommu_attachment_unlink(a);
	rviommu_attachment_put(a);
}

/* Another one comes, and then the first one goes. Without memory he stays. */
static struct rviommu_attachment *stress_turn(struct rviommu_attachment *stays,
					      struct rviommu_endpoint *ep,
					      struct rviommu_domain *dom)
{
	struct rviommu_attachment *next = stays->ep == ep ? NULL : stress_come(ep, dom);

	if (!next)
		return stays;
	stress_go(stays);
	return next;
}

/*
 * Two devices behind each of two IOMMUs come and go. Behind a third one they take turns: it is in
 * use all the time, and by another one each time.
 */
static void invalidate_targets_race(struct kunit *test)
{
	struct rviommu_attachment *stays, *a[4];
	struct rviommu_endpoint *ep[6];
	struct stress stress = {};
	struct task_struct *thread[2];
	unsigned int i, k, nr, found;
	struct testdev *td[3];

	for (i = 0; i < 3; i++)
		td[i] = testdev_up(test, TESTDEV_CAPS);
	for (i = 0; i < 6; i++) {
		ep[i] = rviommu_endpoint_create(&td[(1 + i / 2) % 3]->iommu, 1);
		KUNIT_ASSERT_NOT_NULL(test, ep[i]);
	}
	stress.dom = make_domain(td[0], false);
	stays = stress_come(ep[4], stress.dom);
	KUNIT_ASSERT_NOT_NULL(test, stays);
	for (i = 0; i < 2; i++) {
		thread[i] = kthread_run(stress_invalidate, &stress, "rviommu-kunit/%u", i);
		KUNIT_EXPECT_FALSE(test, IS_ERR(thread[i]));
		if (!IS_ERR(thread[i]))
			get_task_struct(thread[i]);
	}
	for (i = 0; i < 500; i++) {
		for (k = 0; k < 4; k++)
			a[k] = stress_come(ep[k], stress.dom);
		stays = stress_turn(stays, ep[5 - i % 2], stress.dom);
		for (k = 0; k < 4; k++)
			stress_go(a[(k + i) % 4]);
		cond_resched();
	}
	WRITE_ONCE(stress.stop, true);
	for (i = 0; i < 2; i++)
		if (!IS_ERR(thread[i]))
			kthread_stop_put(thread[i]);

	/* Nothing but what was asked for went anywhere, and each time where it had to. */
	for (i = 0; i < 3; i++) {
		const struct testdev_command want = CMD_VMA_AT(stress.dom->space.pscid, 0x5000);

		fakebus_commands(td[i]->bus, &nr);
		for (k = 0, found = 0; k < nr; k++) {
			u64 dword0 = fakebus_command(td[i]->bus, k, 0);

			KUNIT_ASSERT_TRUE(test, dword0 == want.dword0 || (u32)dword0 == 0x3402);
			found += dword0 == want.dword0;
		}
		/* One that was in no use for a while may be found before and afterwards. */
		if (!i)
			KUNIT_EXPECT_EQ(test, found, atomic_read(&stress.done));
	}
	KUNIT_EXPECT_GT(test, atomic_read(&stress.done), 0);
	stress_go(stays);
	for (i = 0; i < 6; i++)
		rviommu_endpoint_put(ep[i]);
	free_domain(stress.dom);
}

static struct kunit_case invalidate_cases[] = {
	KUNIT_CASE(invalidate_first_stage),
	KUNIT_CASE(invalidate_second_stage),
	KUNIT_CASE(invalidate_everything),
	KUNIT_CASE(invalidate_mutations),
	KUNIT_CASE(invalidate_contexts),
	KUNIT_CASE(invalidate_targets),
	KUNIT_CASE(invalidate_targets_heir),
	KUNIT_CASE(invalidate_targets_reader),
	KUNIT_CASE(invalidate_targets_meanwhile),
	KUNIT_CASE(invalidate_attachment_memory),
	KUNIT_CASE(invalidate_dead_target),
	KUNIT_CASE(invalidate_targets_race),
	{}
};

static struct kunit_suite invalidate_suite = {
	.name = "rviommu_invalidate",
	.test_cases = invalidate_cases,
};

kunit_test_suite(invalidate_suite);
