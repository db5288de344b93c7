// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page Request Groups: which requests belong together, what a device gets that asks for too
 * much, and that each group has one response.
 */
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/prandom.h>

#include "prgtest.h"
#include "testdev.h"

#define REQUESTS	8

static struct rviommu_prgs *start(struct kunit *test)
{
	struct rviommu_prgs *prgs = kunit_kzalloc(test, sizeof(*prgs), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, prgs);
	KUNIT_ASSERT_EQ(test, rviommu_prgs_init(prgs, REQUESTS), 0);
	return prgs;
}

static unsigned int length(const struct list_head *list)
{
	const struct list_head *node;
	unsigned int nr = 0;

	list_for_each(node, list)
		nr++;
	return nr;
}

/* Nothing is lost, and nothing is used twice. */
static void expect_room(struct kunit *test, struct rviommu_prgs *prgs, unsigned int partial,
			unsigned int outstanding, unsigned int requests)
{
	KUNIT_EXPECT_EQ(test, length(&prgs->partial), partial);
	KUNIT_EXPECT_EQ(test, length(&prgs->outstanding), outstanding);
	KUNIT_EXPECT_EQ(test, length(&prgs->free), REQUESTS - partial - outstanding);
	KUNIT_EXPECT_EQ(test, length(&prgs->free_requests), REQUESTS - requests);
}

/* A request of @pasid, or of none if that is 0 */
static enum rviommu_prg_fate add(struct rviommu_prgs *prgs, u32 pasid, u16 index, u64 addr,
				 bool last, struct rviommu_prg **group)
{
	const struct rviommu_page_message message = {
		.pid = pasid, .pv = pasid, .index = index, .addr = addr, .read = true,
		.last = last,
	};

	const enum rviommu_prg_fate fate = rviommu_prgs_add(prgs, &message, group);

	if (fate == RVIOMMU_PRG_COMPLETE)
		rviommu_prgs_hand_on(prgs, *group);
	return fate;
}

/* Spec "Page-Request-Queue (PQ)", by hand */
static void prg_decode(struct kunit *test)
{
	static const struct {
		u64 hdr, payload;
		struct rviommu_page_message want;
		bool marker;
	} cases[] = {
		{ 0x0123450700abc000, 0xfffffff123456007 | 0x155 << 3,
		  { 0x12345, 0xabc, 0x155, 0xfffffff123456000, true, true, true, true, true, true },
		},
		/* Without PASID there is neither privilege nor execute, whatever is there. */
		{ 0x0123450600abc000, 0x1000 | 1, { 0x12345, 0, 0, 0x1000, .read = true } },
		{ 0xffffff0100001000, 0x5000 | 0x1ff << 3 | 2,
		  { 0xffffff, 1, 0x1ff, 0x5000, .pv = true, .write = true } },
		{ 0x0000010100007000, 4, { 1, 7, .pv = true, .last = true }, true },
		/* It should have a PASID, and wants no response all the same. */
		{ 0x0000010000000000, 4, { 1, .last = true }, true },
		{ 0x0000010600000000, 0x1000 | 4, { 1, .addr = 0x1000, .last = true }, true },
		{ 0x0000010100007000, 5, { 1, 7, .pv = true, .last = true, .read = true } },
		/* These ask for nothing, and are no Stop Markers. */
		{ 0x0000010100007000, 0, { 1, 7, .pv = true } },
		{ 0x0000010700007000, 0x1000,
		  { 1, 7, 0, 0x1000, .pv = true, .priv = true, .exec = true } },
		{ 0x0000010000000000, 0, { 1 } },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct rviommu_page_request record = {
			cpu_to_le64(cases[i].hdr), cpu_to_le64(cases[i].payload),
		};
		const struct rviommu_page_message got = rviommu_page_decode(&record);
		const struct rviommu_page_message *want = &cases[i].want;

		KUNIT_EXPECT_EQ_MSG(test, got.did, want->did, "%u", i);
		KUNIT_EXPECT_EQ_MSG(test, got.pid, want->pid, "%u", i);
		KUNIT_EXPECT_EQ_MSG(test, got.index, want->index, "%u", i);
		KUNIT_EXPECT_EQ_MSG(test, got.addr, want->addr, "%u", i);
		KUNIT_EXPECT_EQ_MSG(test, got.pv, want->pv, "%u", i);
		KUNIT_EXPECT_EQ_MSG(test, got.priv, want->priv, "%u", i);
		KUNIT_EXPECT_EQ_MSG(test, got.exec, want->exec, "%u", i);
		KUNIT_EXPECT_EQ_MSG(test, got.read, want->read, "%u", i);
		KUNIT_EXPECT_EQ_MSG(test, got.write, want->write, "%u", i);
		KUNIT_EXPECT_EQ_MSG(test, got.last, want->last, "%u", i);
		KUNIT_EXPECT_EQ_MSG(test, rviommu_page_is_stop_marker(&got), cases[i].marker,
				    "%u", i);
	}
}

/* Groups of three PASIDs and of none, all with one index, request by request in turn */
static void prg_interleaved(struct kunit *test)
{
	struct rviommu_prgs *prgs = start(test);
	struct rviommu_prg_request *request;
	struct rviommu_prg *group[4];
	unsigned int i, k;

	for (k = 0; k < 2; k++)
		for (i = 0; i < 4; i++)
			KUNIT_ASSERT_EQ(test, add(prgs, i, 5, 0x1000 * (4 * k + i), k, &group[i]),
					k ? RVIOMMU_PRG_COMPLETE : RVIOMMU_PRG_KEPT);
	expect_room(test, prgs, 0, 4, 8);
	for (i = 0; i < 4; i++) {
		KUNIT_EXPECT_EQ(test, group[i]->pid, i);
		KUNIT_EXPECT_EQ(test, group[i]->pv, !!i);
		k = 0;
		/* in the order in which they came */
		list_for_each_entry(request, &group[i]->requests, node) {
			KUNIT_EXPECT_EQ(test, request->message.addr, 0x1000 * (4 * k + i));
			KUNIT_EXPECT_EQ(test, request->message.last, k == 1);
			k++;
		}
		KUNIT_EXPECT_EQ(test, k, 2);
	}
	for (i = 0; i < 4; i++) {
		const u64 cookie = group[i]->cookie;

		KUNIT_EXPECT_TRUE(test, prgtest_answer(prgs, cookie));
		/* One response, whoever comes second. */
		KUNIT_EXPECT_FALSE(test, prgtest_answer(prgs, cookie));
		expect_room(test, prgs, 0, 3 - i, 6 - 2 * i);
	}
	rviommu_prgs_exit(prgs);
}

/* More than it may have outstanding: nothing is lost but its own. */
static void prg_excess(struct kunit *test)
{
	struct rviommu_prgs *prgs = start(test);
	struct rviommu_prg *group, *spoiled;
	unsigned int i;

	/* One group that has all requests but one, and one that gets that and another */
	for (i = 0; i < REQUESTS - 1; i++)
		KUNIT_EXPECT_EQ(test, add(prgs, 1, 0, 0x1000 * i, false, &group),
				RVIOMMU_PRG_KEPT);
	KUNIT_EXPECT_EQ(test, add(prgs, 2, 0, 0, false, &spoiled), RVIOMMU_PRG_KEPT);
	KUNIT_EXPECT_EQ(test, add(prgs, 2, 0, 0x1000, false, &spoiled), RVIOMMU_PRG_DROPPED);
	expect_room(test, prgs, 2, 0, 8);
	/* Refused as a whole, although there is room for its last one then. */
	KUNIT_EXPECT_EQ(test, rviommu_prgs_discard(prgs, 1), 1);
	KUNIT_EXPECT_EQ(test, add(prgs, 2, 0, 0x2000, true, &spoiled), RVIOMMU_PRG_REFUSED);
	expect_room(test, prgs, 0, 0, 0);

	/* Nothing but groups of one: the ninth finds none. */
	for (i = 0; i < REQUESTS; i++)
		KUNIT_EXPECT_EQ(test, add(prgs, 1, i, 0, true, &group), RVIOMMU_PRG_COMPLETE);
	KUNIT_EXPECT_EQ(test, add(prgs, 1, i, 0, false, &group), RVIOMMU_PRG_DROPPED);
	KUNIT_EXPECT_EQ(test, add(prgs, 1, i, 0, true, &group), RVIOMMU_PRG_REFUSED);
	expect_room(test, prgs, 0, REQUESTS, REQUESTS);
	KUNIT_EXPECT_TRUE(test, prgtest_answer(prgs, group->cookie));
	KUNIT_EXPECT_EQ(test, add(prgs, 1, i, 0, true, &group), RVIOMMU_PRG_COMPLETE);
	rviommu_prgs_exit(prgs);
}

/* A device that never ends a group is not served until they are discarded. */
static void prg_never_last(struct kunit *test)
{
	struct rviommu_prgs *prgs = start(test);
	struct rviommu_prg *group;
	unsigned int i;

	for (i = 0; i < 3 * REQUESTS; i++)
		KUNIT_EXPECT_EQ(test, add(prgs, 1 + i % 2, i, 0, false, &group),
				i < REQUESTS ? RVIOMMU_PRG_KEPT : RVIOMMU_PRG_DROPPED);
	KUNIT_EXPECT_EQ(test, add(prgs, 3, 0, 0, true, &group), RVIOMMU_PRG_REFUSED);
	expect_room(test, prgs, REQUESTS, 0, REQUESTS);
	/* Of one PASID, and what there is of the other stays. */
	KUNIT_EXPECT_EQ(test, rviommu_prgs_discard(prgs, 1), REQUESTS / 2);
	KUNIT_EXPECT_EQ(test, rviommu_prgs_discard(prgs, IOMMU_NO_PASID), 0);
	expect_room(test, prgs, REQUESTS / 2, 0, REQUESTS / 2);
	KUNIT_EXPECT_EQ(test, add(prgs, 3, 0, 0, true, &group), RVIOMMU_PRG_COMPLETE);
	KUNIT_EXPECT_EQ(test, add(prgs, 2, 1, 0, true, &group), RVIOMMU_PRG_COMPLETE);
	KUNIT_EXPECT_EQ(test, length(&group->requests), 2);
	/* What is outstanding is not partial. */
	KUNIT_EXPECT_EQ(test, rviommu_prgs_discard(prgs, RVIOMMU_PRG_ALL), REQUESTS / 2 - 1);
	expect_room(test, prgs, 0, 2, 3);
	rviommu_prgs_exit(prgs);
}

/* An index that is used again while its group waits for a response */
static void prg_reused(struct kunit *test)
{
	struct rviommu_prgs *prgs = start(test);
	struct rviommu_prg *first, *other;
	u64 cookie;

	KUNIT_ASSERT_EQ(test, add(prgs, 1, 5, 0x1000, true, &first), RVIOMMU_PRG_COMPLETE);
	cookie = first->cookie;
	KUNIT_EXPECT_EQ(test, add(prgs, 1, 5, 0x2000, false, &other), RVIOMMU_PRG_DROPPED);
	KUNIT_EXPECT_EQ(test, add(prgs, 1, 5, 0x2000, true, &other), RVIOMMU_PRG_DROPPED);
	expect_room(test, prgs, 0, 1, 1);
	/* Of another PASID it is another group. */
	KUNIT_EXPECT_EQ(test, add(prgs, 0, 5, 0x2000, true, &other), RVIOMMU_PRG_COMPLETE);
	KUNIT_EXPECT_TRUE(test, prgtest_answer(prgs, cookie));
	KUNIT_EXPECT_EQ(test, add(prgs, 1, 5, 0x3000, true, &other), RVIOMMU_PRG_COMPLETE);
	/* A late response to the first one is none to the next that has its index. */
	KUNIT_EXPECT_NE(test, other->cookie, cookie);
	KUNIT_EXPECT_FALSE(test, prgtest_answer(prgs, cookie));
	KUNIT_EXPECT_TRUE(test, prgtest_answer(prgs, other->cookie));
	expect_room(test, prgs, 0, 1, 1);
	rviommu_prgs_exit(prgs);
}

/* Taken from their handler, oldest first, those of one PASID or all. */
static void prg_take(struct kunit *test)
{
	static const u16 left[] = { 2, 3, 5 };
	struct rviommu_prgs *prgs = start(test);
	struct rviommu_page_message which;
	struct rviommu_prg *group;
	unsigned int i;
	u64 cookie = 0;

	for (i = 0; i < 6; i++) {
		KUNIT_ASSERT_EQ(test, add(prgs, i % 3, i, 0x1000 * i, true, &group),
				RVIOMMU_PRG_COMPLETE);
		if (i == 4)
			cookie = group->cookie;
	}
	KUNIT_ASSERT_TRUE(test, prgtest_take(prgs, 1, &which));
	KUNIT_EXPECT_EQ(test, which.index, 1);
	KUNIT_ASSERT_TRUE(test, prgtest_take(prgs, 1, &which));
	KUNIT_EXPECT_EQ(test, which.index, 4);
	KUNIT_EXPECT_EQ(test, which.pid, 1);
	KUNIT_EXPECT_FALSE(test, prgtest_take(prgs, 1, &which));
	KUNIT_EXPECT_FALSE(test, prgtest_answer(prgs, cookie));
	KUNIT_ASSERT_TRUE(test, prgtest_take(prgs, IOMMU_NO_PASID, &which));
	KUNIT_EXPECT_EQ(test, which.index, 0);
	KUNIT_EXPECT_FALSE(test, which.pv);
	for (i = 0; i < 3; i++) {
		KUNIT_ASSERT_TRUE(test, prgtest_take(prgs, RVIOMMU_PRG_ALL, &which));
		KUNIT_EXPECT_EQ(test, which.index, left[i]);
	}
	expect_room(test, prgs, 0, 0, 0);
	rviommu_prgs_exit(prgs);
}

/* Only for those that are outstanding now, and only for a time */
static void prg_wait(struct kunit *test)
{
	struct rviommu_prgs *prgs = start(test);
	struct rviommu_prg *one, *two, *newer;

	KUNIT_EXPECT_TRUE(test, rviommu_prgs_wait(prgs, RVIOMMU_PRG_ALL, 1));
	KUNIT_ASSERT_EQ(test, add(prgs, 1, 0, 0, true, &one), RVIOMMU_PRG_COMPLETE);
	KUNIT_ASSERT_EQ(test, add(prgs, 2, 0, 0, true, &two), RVIOMMU_PRG_COMPLETE);
	/* What is partial is waited for by nobody. */
	KUNIT_ASSERT_EQ(test, add(prgs, 3, 0, 0, false, &newer), RVIOMMU_PRG_KEPT);
	KUNIT_EXPECT_TRUE(test, rviommu_prgs_wait(prgs, 3, 1));
	KUNIT_EXPECT_FALSE(test, rviommu_prgs_wait(prgs, 1, 1));
	KUNIT_EXPECT_FALSE(test, rviommu_prgs_wait(prgs, RVIOMMU_PRG_ALL, 1));
	KUNIT_EXPECT_TRUE(test, rviommu_prgs_wait(prgs, IOMMU_NO_PASID, 1));
	KUNIT_EXPECT_TRUE(test, prgtest_answer(prgs, one->cookie));
	KUNIT_EXPECT_TRUE(test, rviommu_prgs_wait(prgs, 1, 1));
	KUNIT_EXPECT_FALSE(test, rviommu_prgs_wait(prgs, 2, 1));
	rviommu_prgs_exit(prgs);
}

/**
 * struct answerer - a thread that answers while the other one waits
 * @prgs: of the device
 * @cookie: what it answers
 * @newer: what comes meanwhile, with the same PASID
 */
struct answerer {
	struct rviommu_prgs *prgs;
	u64 cookie;
	struct rviommu_prg *newer;
};

static int answer(void *data)
{
	struct answerer *a = data;
	unsigned long end = jiffies + 60 * HZ;

	/* Whoever sleeps has seen what there was to wait for. */
	while (!wq_has_sleeper(&a->prgs->answered) && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	add(a->prgs, 1, 7, 0, true, &a->newer);
	prgtest_answer(a->prgs, a->cookie);
	return 0;
}

/* Who waits is woken up, and does not wait for what has come meanwhile. */
static void prg_wait_ends(struct kunit *test)
{
	struct answerer a = { .prgs = start(test) };
	struct task_struct *thread;
	struct rviommu_prg *group;

	KUNIT_ASSERT_EQ(test, add(a.prgs, 1, 0, 0, true, &group), RVIOMMU_PRG_COMPLETE);
	a.cookie = group->cookie;
	thread = kthread_run(answer, &a, "rviommu-answer");
	KUNIT_ASSERT_FALSE(test, IS_ERR(thread));
	get_task_struct(thread);
	KUNIT_EXPECT_TRUE(test, rviommu_prgs_wait(a.prgs, 1, 60 * HZ));
	kthread_stop_put(thread);
	KUNIT_EXPECT_EQ(test, length(&a.prgs->outstanding), 1);
	rviommu_prgs_exit(a.prgs);
}

/**
 * struct settler - a thread that waits for responses on their way
 * @prgs: of the device
 * @pasid: those of this PASID
 * @over: it waits no more
 */
struct settler {
	struct rviommu_prgs *prgs;
	u32 pasid;
	bool over;
};

static int settle(void *data)
{
	struct settler *s = data;

	rviommu_prgs_settle(s->prgs, s->pasid);
	/* Pairs with await_settler(). */
	smp_store_release(&s->over, true);
	return 0;
}

/* Start to wait, and return as soon as it sleeps, or is over; then true. */
static bool await_settler(struct kunit *test, struct settler *s, struct task_struct **thread)
{
	unsigned long end = jiffies + 60 * HZ;

	*thread = kthread_run(settle, s, "rviommu-settle");
	KUNIT_ASSERT_FALSE(test, IS_ERR(*thread));
	get_task_struct(*thread);
	/* Pairs with settle(). */
	while (!wq_has_sleeper(&s->prgs->answered) && !smp_load_acquire(&s->over)) {
		KUNIT_ASSERT_FALSE(test, time_after(jiffies, end));
		schedule_timeout_uninterruptible(1);
	}
	return READ_ONCE(s->over);
}

/*
 * Responses that are on their way: those of one PASID or all are waited for, whatever has
 * become of their groups and comes meanwhile.
 */
static void prg_settle(struct kunit *test)
{
	struct settler all = { start(test), RVIOMMU_PRG_ALL };
	struct rviommu_prgs *prgs = all.prgs;
	struct settler one = { prgs, 1 };
	struct rviommu_prg_answer answer[3];
	struct task_struct *thread[2];
	struct rviommu_prg *group;

	rviommu_prgs_settle(prgs, RVIOMMU_PRG_ALL);
	KUNIT_ASSERT_EQ(test, add(prgs, 1, 0, 0, true, &group), RVIOMMU_PRG_COMPLETE);
	/* What has none is not waited for. */
	rviommu_prgs_settle(prgs, RVIOMMU_PRG_ALL);
	KUNIT_ASSERT_TRUE(test, rviommu_prgs_answer(prgs, group->cookie, &answer[0]));
	expect_room(test, prgs, 0, 0, 0);
	KUNIT_ASSERT_EQ(test, add(prgs, 2, 0, 0, true, &group), RVIOMMU_PRG_COMPLETE);
	KUNIT_ASSERT_TRUE(test, rviommu_prgs_take(prgs, 2, U64_MAX, &answer[1]));
	rviommu_prgs_settle(prgs, 3);

	KUNIT_EXPECT_FALSE(test, await_settler(test, &one, &thread[0]));
	/* Somebody asks again, and is answered: that is not waited for. */
	KUNIT_ASSERT_EQ(test, add(prgs, 1, 0, 0, true, &group), RVIOMMU_PRG_COMPLETE);
	KUNIT_ASSERT_TRUE(test, rviommu_prgs_answer(prgs, group->cookie, &answer[2]));
	rviommu_prgs_answered(prgs, &answer[0]);
	kthread_stop_put(thread[0]);
	KUNIT_EXPECT_FALSE(test, await_settler(test, &all, &thread[1]));
	rviommu_prgs_answered(prgs, &answer[2]);
	rviommu_prgs_answered(prgs, &answer[1]);
	kthread_stop_put(thread[1]);
	KUNIT_EXPECT_TRUE(test, list_empty(&prgs->answers));
	rviommu_prgs_exit(prgs);
}

#define INDICES		4
#define PASIDS		3

/**
 * struct plain - what a group should be, by a model without lists
 * @partial: requests of it that have come
 * @begun: it is partial
 * @spoiled: one found no room
 * @cookie: it is outstanding
 * @nr: requests of what is outstanding
 */
struct plain {
	unsigned int partial;
	bool begun;
	bool spoiled;
	u64 cookie;
	unsigned int nr;
};

/* Whatever comes in whatever order: as the plain model says. */
static void prg_random(struct kunit *test)
{
	struct plain (*plain)[INDICES] = kunit_kcalloc(test, PASIDS, sizeof(*plain), GFP_KERNEL);
	struct rviommu_prgs *prgs = start(test);
	unsigned int step, requests = 0, groups = 0;
	struct rnd_state rnd;

	KUNIT_ASSERT_NOT_NULL(test, plain);
	prandom_seed_state(&rnd, 15);
	for (step = 0; step < 20000; step++) {
		u32 r = prandom_u32_state(&rnd), pasid = r % PASIDS, index = r / PASIDS % INDICES;
		struct plain *p = &plain[pasid][index];
		enum rviommu_prg_fate fate, want;
		struct rviommu_prg *group = NULL;
		bool last = r >> 16 & 1;
		unsigned int i;

		switch (r >> 20 & 7) {
		case 0:
			KUNIT_ASSERT_EQ(test, prgtest_answer(prgs, p->cookie), !!p->cookie);
			requests -= p->nr;
			groups -= !!p->cookie;
			p->nr = 0;
			p->cookie = 0;
			break;
		case 1:
			rviommu_prgs_discard(prgs, pasid);
			for (i = 0; i < INDICES; i++) {
				requests -= plain[pasid][i].partial;
				groups -= plain[pasid][i].begun;
				plain[pasid][i].partial = 0;
				plain[pasid][i].begun = false;
				plain[pasid][i].spoiled = false;
			}
			break;
		default:
			fate = add(prgs, pasid, index, 0x1000 * step, last, &group);
			if (p->cookie || (!p->begun && groups == REQUESTS)) {
				want = !p->cookie && last ? RVIOMMU_PRG_REFUSED :
							    RVIOMMU_PRG_DROPPED;
				KUNIT_ASSERT_EQ(test, fate, want);
				break;
			}
			groups += !p->begun;
			p->begun = true;
			want = RVIOMMU_PRG_KEPT;
			if (requests == REQUESTS) {
				p->spoiled = true;
				want = RVIOMMU_PRG_DROPPED;
			} else {
				requests++;
				p->partial++;
			}
			if (last) {
				want = p->spoiled ? RVIOMMU_PRG_REFUSED : RVIOMMU_PRG_COMPLETE;
				p->begun = false;
			}
			KUNIT_ASSERT_EQ(test, fate, want);
			if (fate == RVIOMMU_PRG_COMPLETE) {
				p->cookie = group->cookie;
				p->nr = p->partial;
				KUNIT_ASSERT_EQ(test, length(&group->requests), p->nr);
			} else if (last) {
				requests -= p->partial;
				groups--;
			}
			if (last) {
				p->partial = 0;
				p->spoiled = false;
			}
			break;
		}
		KUNIT_ASSERT_EQ(test, length(&prgs->free), REQUESTS - groups);
		KUNIT_ASSERT_EQ(test, length(&prgs->free_requests), REQUESTS - requests);
	}
	rviommu_prgs_exit(prgs);
}

/* Requests with PASID 0 use what those without one use, and go with it. */
static void prg_zero(struct kunit *test)
{
	const struct rviommu_page_message message = {
		.pv = true, .index = 1, .read = true, .last = true,
	};
	struct rviommu_prgs *prgs = start(test);
	struct rviommu_page_message which;
	struct rviommu_prg *group;

	KUNIT_ASSERT_EQ(test, rviommu_prgs_add(prgs, &message, &group), RVIOMMU_PRG_COMPLETE);
	rviommu_prgs_hand_on(prgs, group);
	/* but are another group */
	KUNIT_ASSERT_EQ(test, add(prgs, 0, 1, 0, true, &group), RVIOMMU_PRG_COMPLETE);
	KUNIT_EXPECT_FALSE(test, rviommu_prgs_wait(prgs, IOMMU_NO_PASID, 1));
	KUNIT_EXPECT_TRUE(test, prgtest_take(prgs, IOMMU_NO_PASID, &which));
	KUNIT_EXPECT_TRUE(test, which.pv);
	KUNIT_EXPECT_TRUE(test, prgtest_take(prgs, IOMMU_NO_PASID, &which));
	KUNIT_EXPECT_FALSE(test, which.pv);
	expect_room(test, prgs, 0, 0, 0);
	rviommu_prgs_exit(prgs);
}

/* One that nobody handles */
static void prg_refuse(struct kunit *test)
{
	const struct rviommu_page_message message = { .index = 1, .read = true, .last = true };
	struct rviommu_prgs *prgs = start(test);
	struct rviommu_page_message which;
	struct rviommu_prg *group;

	KUNIT_ASSERT_EQ(test, rviommu_prgs_add(prgs, &message, &group), RVIOMMU_PRG_COMPLETE);
	/* It is nobody else's meanwhile. */
	KUNIT_EXPECT_FALSE(test, prgtest_answer(prgs, group->cookie));
	KUNIT_EXPECT_FALSE(test, prgtest_take(prgs, RVIOMMU_PRG_ALL, &which));
	rviommu_prgs_refuse(prgs, group);
	expect_room(test, prgs, 0, 0, 0);
	rviommu_prgs_exit(prgs);
}

static void prg_without_memory(struct kunit *test)
{
	struct testdev_failures failures;
	const long live = testdev_live();
	struct rviommu_prgs prgs;

	testdev_fail(test, &failures, 0);
	KUNIT_EXPECT_EQ(test, rviommu_prgs_init(&prgs, REQUESTS), -ENOMEM);
	rviommu_prgs_exit(&prgs);
	testdev_fail(test, &failures, -1);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
	KUNIT_EXPECT_EQ(test, rviommu_prgs_init(&prgs, 1), 0);
	rviommu_prgs_exit(&prgs);
	KUNIT_EXPECT_EQ(test, testdev_live(), live);
}

static struct kunit_case prg_cases[] = {
	KUNIT_CASE(prg_decode),
	KUNIT_CASE(prg_interleaved),
	KUNIT_CASE(prg_excess),
	KUNIT_CASE(prg_never_last),
	KUNIT_CASE(prg_reused),
	KUNIT_CASE(prg_take),
	KUNIT_CASE(prg_wait),
	KUNIT_CASE(prg_wait_ends),
	KUNIT_CASE(prg_settle),
	KUNIT_CASE(prg_random),
	KUNIT_CASE(prg_zero),
	KUNIT_CASE(prg_refuse),
	KUNIT_CASE(prg_without_memory),
	{}
};

static struct kunit_suite prg_suite = {
	.name = "rviommu_prg",
	.test_cases = prg_cases,
};

kunit_test_suite(prg_suite);
