// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command queue's search for devices that do not complete an ATS.INVAL, on the
 * fake register bus.
 *
 * Whatever happens: who waits for a fence finds everything before it executed, and
 * every device that had to forget something has answered or is blocked by then;
 * devices that answer are left alone; and every wait ends.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/bitops.h>
#include <linux/completion.h>
#include <linux/kthread.h>

#include "../src/driver/cmdq.h"
#include "../src/driver/command.h"
#include "../src/driver/mem.h"
#include "../src/driver/queue.h"
#include "fakebus.h"
#include "testdev.h"

#define VERSION_1_0	0x10ULL
#define CAP_ATS		BIT_ULL(25)

#define CQH		0x20
#define CQCSR		0x48

#define CSR_FENCE_W_IP	0x800U

/* Opcode and func3 */
#define OP_MASK		0x3ffULL
#define OP_VMA		0x001ULL
#define OP_FENCE	0x002ULL
#define OP_ATS_INVAL	0x004ULL

#define DEVICES		16U
#define FOREVER		UINT_MAX

/**
 * struct lost_device - one device with an ATC
 * @timeouts: so many of its next invalidations time out
 * @hangs: and so many, after these, are not answered at all
 * @awake: so many looks find it awake, then it sleeps
 * @reported: calls of device_lost
 * @lost: it was called
 */
struct lost_device {
	unsigned int timeouts;
	unsigned int hangs;
	unsigned int awake;
	unsigned int reported;
	bool lost;
};

/**
 * struct lost_batch - commands, and the fence behind them
 * @cmds: commands
 * @nr: how many
 * @fence: number
 */
struct lost_batch {
	struct rviommu_command cmds[24];
	unsigned int nr;
	u32 fence;
};

/**
 * struct lost_test - what each case starts from
 * @test: the case
 * @bus: fake
 * @fake: the same
 * @cq: enabled, for ATS
 * @live: pieces of memory in use before
 * @deaths: calls of on_dead that said that nothing is translated any more
 * @slow_death: so many calls of it find that something is
 * @dev: the devices; two by two they have one Routing ID, in two segments
 * @strangers: device_lost knows none of them
 * @answered: the command at this place of the log is an ATS.INVAL that was answered
 * @next: number that makes the next command unlike all others
 * @looks: reads of cqcsr from which on a hook acts
 * @restarts: restarts before them
 * @batch: for cases that have many
 */
struct lost_test {
	struct kunit *test;
	struct rviommu_bus *bus;
	struct fakebus *fake;
	struct rviommu_cmdq cq;
	long live;
	unsigned int deaths;
	unsigned int slow_death;
	struct lost_device dev[DEVICES];
	bool strangers;
	bool answered[FAKEBUS_LOG];
	u32 next;
	unsigned int looks;
	unsigned int restarts;
	struct lost_batch batch[17];
};

/* ----- The devices ----- */

/* Under fakebus.lock; its place in the log is the next one. */
static enum fakebus_ats lost_ats(struct fakebus *fake, u64 dword0, void *arg)
{
	struct lost_test *t = arg;
	unsigned int i = ((dword0 >> 40 & 0xffff) - 0x100) * 2 + (dword0 >> 56);
	struct lost_device *d = &t->dev[i % DEVICES];

	/* DSV: it says which segment, whichever it is */
	if (i >= DEVICES || !(dword0 & BIT_ULL(33)))
		KUNIT_FAIL(t->test, "no such device: %#llx", dword0);
	if (d->timeouts) {
		d->timeouts -= d->timeouts != FOREVER;
		return FAKEBUS_ATS_TIMEOUT;
	}
	if (d->hangs) {
		d->hangs -= d->hangs != FOREVER;
		return FAKEBUS_ATS_HANG;
	}
	if (fake->nr_log < FAKEBUS_LOG)
		t->answered[fake->nr_log] = true;
	return FAKEBUS_ATS_ANSWER;
}

static bool lost_report(struct rviommu_cmdq *cq, u16 rid, u8 seg)
{
	struct lost_test *t = container_of(cq, struct lost_test, cq);
	unsigned int i = (rid - 0x100) * 2 + seg;

	lockdep_assert_held(&cq->lock);
	if (i >= DEVICES || seg > 1) {
		KUNIT_FAIL(t->test, "no such device: %#x %#x", rid, seg);
		return false;
	}
	t->dev[i].reported++;
	if (t->strangers || t->dev[i].lost)
		return false;
	t->dev[i].lost = true;
	return true;
}

static bool lost_look(struct rviommu_cmdq *cq, u16 rid, u8 seg)
{
	struct lost_test *t = container_of(cq, struct lost_test, cq);
	struct lost_device *d = &t->dev[((rid - 0x100) * 2 + seg) % DEVICES];

	lockdep_assert_held(&cq->lock);
	if (d->awake) {
		d->awake -= d->awake != FOREVER;
		return false;
	}
	return true;
}

/* ----- The queue ----- */

static bool lost_death(struct rviommu_cmdq *cq, bool last)
{
	struct lost_test *t = container_of(cq, struct lost_test, cq);

	if (t->slow_death && !last) {
		t->slow_death--;
		return false;
	}
	t->deaths++;
	return true;
}

static unsigned int short_timeout(void)
{
	return 100;
}

static void stop(void *data)
{
	struct lost_test *t = data;

	t->fake->read_hook = NULL;
	t->fake->gone = false;
	t->fake->busy_forever = false;
	t->fake->never_off = false;
	rviommu_cmdq_destroy(&t->cq);
	KUNIT_EXPECT_EQ(t->test, rviommu_mem_live(), t->live);
	KUNIT_EXPECT_LE(t->test, t->deaths, 1);
}

static struct lost_test *start(struct kunit *test, u8 entries_lg2)
{
	struct lost_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->test = test;
	t->bus = fakebus_create(test, VERSION_1_0 | CAP_ATS);
	t->fake = to_fakebus(t->bus);
	t->fake->ats = lost_ats;
	t->fake->ats_arg = t;
	t->fake->read_arg = t;
	t->live = testdev_live();
	kunit_activate_static_stub(test, rviommu_queue_timeout_us, short_timeout);
	KUNIT_ASSERT_EQ(test, 0, rviommu_cmdq_init(&t->cq, t->bus, entries_lg2, 56, NUMA_NO_NODE));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, stop, t));
	t->cq.on_dead = lost_death;
	t->cq.ats_timeout_us = 1000;
	rviommu_cmdq_use_ats(&t->cq, lost_report, NULL);
	KUNIT_ASSERT_EQ(test, 0, rviommu_cmdq_enable(&t->cq));
	fakebus_clear(t->bus);
	return t;
}

/* All devices answer again, nothing is counted, nothing was executed. */
static void forget(struct lost_test *t)
{
	memset(t->dev, 0, sizeof(t->dev));
	memset(t->answered, 0, sizeof(t->answered));
	memset(t->cq.events, 0, sizeof(t->cq.events));
	fakebus_clear(t->bus);
}

/* Let the next fence come to lie so that the slot behind it is @place. */
static void go_to(struct lost_test *t, u32 place)
{
	while (t->cq.tail != place)
		KUNIT_ASSERT_EQ(t->test, rviommu_cmdq_sync(&t->cq, NULL, 0), 0);
}

static s64 event(struct lost_test *t, enum rviommu_cmdq_event event)
{
	return atomic64_read(&t->cq.events[event]);
}

static void add(struct lost_batch *b, struct rviommu_command cmd)
{
	b->cmds[b->nr++] = cmd;
}

static void add_mark(struct lost_test *t, struct lost_batch *b)
{
	add(b, rviommu_cmd_iotinval_vma(t->next++ & 0xfffff));
}

static void add_inval(struct lost_test *t, struct lost_batch *b, unsigned int i)
{
	add(b, rviommu_cmd_with_pasid(rviommu_cmd_ats_inval(0x100 + i / 2, i % 2),
				      t->next++ & 0xfffff));
}

/* What the driver sends: the IOMMU's own caches, a barrier, then the devices. */
static struct lost_batch batch_for(struct lost_test *t, u32 devices)
{
	struct lost_batch b = {};
	unsigned int i;

	add_mark(t, &b);
	add(&b, rviommu_cmd_barrier());
	for (i = 0; i < DEVICES; i++)
		if (devices & BIT(i))
			add_inval(t, &b, i);
	return b;
}

static int issue(struct lost_test *t, struct lost_batch *b)
{
	return rviommu_cmdq_issue_atomic(&t->cq, b->cmds, b->nr, &b->fence);
}

static int finish(struct lost_test *t, struct lost_batch *b)
{
	return rviommu_cmdq_wait_atomic(&t->cq, b->fence);
}

static int sync(struct lost_test *t, struct lost_batch *b)
{
	return issue(t, b) ?: finish(t, b);
}

/* ----- What must be so ----- */

/* The first place in the log from @from on of a command, or -1; of ATS.INVAL: answered. */
static int place_of(struct lost_test *t, struct rviommu_command cmd, unsigned int end)
{
	const struct rviommu_command *log = t->fake->log;
	bool ats = (le64_to_cpu(cmd.dword[0]) & OP_MASK) == OP_ATS_INVAL;
	unsigned int i;

	for (i = 0; i < end; i++)
		if (log[i].dword[0] == cmd.dword[0] && log[i].dword[1] == cmd.dword[1] &&
		    (!ats || t->answered[i]))
			return i;
	return -1;
}

/* Of the fence with this number: its last, for its waiter may have seen that one. */
static unsigned int fence_place(struct lost_test *t, u32 fence)
{
	unsigned int i = min(t->fake->nr_log, FAKEBUS_LOG);

	while (i--) {
		u64 dword0 = le64_to_cpu(t->fake->log[i].dword[0]);

		/* AV: it writes its number */
		if ((dword0 & OP_MASK) == OP_FENCE && dword0 & BIT(10) && dword0 >> 32 == fence)
			return i;
	}
	return 0;
}

/* Commands of @b that were neither executed nor made good before @end in the log. */
static unsigned int missing(struct lost_test *t, const struct lost_batch *b, unsigned int end)
{
	unsigned int i, n = 0;

	for (i = 0; i < b->nr; i++) {
		u64 dword0 = le64_to_cpu(b->cmds[i].dword[0]);
		u32 dev = ((dword0 >> 40 & 0xffff) - 0x100) * 2 + (dword0 >> 56);

		if (place_of(t, b->cmds[i], end) >= 0)
			continue;
		if ((dword0 & OP_MASK) != OP_ATS_INVAL || !t->dev[dev].lost ||
		    place_of(t, rviommu_cmd_inval_ddt_all(), end) < 0)
			n++;
	}
	return n;
}

/* Its waiter was right to go on. */
static void expect_kept(struct lost_test *t, const struct lost_batch *b)
{
	unsigned int end = fence_place(t, b->fence);

	KUNIT_EXPECT_EQ(t->test, missing(t, b, end), 0);
}

/* Exactly @lost were reported, each of them once. */
static void expect_reported(struct lost_test *t, u32 lost)
{
	unsigned int i;

	for (i = 0; i < DEVICES; i++)
		KUNIT_EXPECT_EQ_MSG(t->test, t->dev[i].reported, !!(lost & BIT(i)), "device %u", i);
}

static void expect_alive(struct lost_test *t)
{
	struct lost_batch b;

	KUNIT_EXPECT_FALSE(t->test, t->cq.dead);
	KUNIT_EXPECT_EQ(t->test, t->deaths, 0);
	forget(t);
	b = batch_for(t, 0x3);
	KUNIT_EXPECT_EQ(t->test, sync(t, &b), 0);
	expect_kept(t, &b);
	KUNIT_EXPECT_EQ(t->test, event(t, RVIOMMU_CMDQ_RESTARTS), 0);
}

static void expect_dead(struct lost_test *t)
{
	struct lost_batch b = batch_for(t, 0x3);

	KUNIT_EXPECT_TRUE(t->test, t->cq.dead);
	KUNIT_EXPECT_EQ(t->test, t->deaths, 1);
	KUNIT_EXPECT_EQ(t->test, sync(t, &b), -EIO);
}

static void lose(struct lost_test *t, u32 lost, bool hang)
{
	unsigned int i;

	for (i = 0; i < DEVICES; i++)
		if (lost & BIT(i))
			*(hang ? &t->dev[i].hangs : &t->dev[i].timeouts) = FOREVER;
}

/*
 * An unmap for @devices, of whom @lost do not answer: found, one by one, and nobody
 * else. One attempt finds out that there is one (or which, if there is only one
 * device), and one more finds each.
 */
static void search(struct lost_test *t, u32 devices, u32 lost, bool hang)
{
	struct lost_batch b;

	forget(t);
	lose(t, lost, hang);
	b = batch_for(t, devices);
	KUNIT_EXPECT_EQ_MSG(t->test, sync(t, &b), 0, "%#x of %#x", lost, devices);
	expect_kept(t, &b);
	expect_reported(t, lost);
	KUNIT_EXPECT_EQ(t->test, event(t, RVIOMMU_CMDQ_RESTARTS),
			lost ? hweight32(lost) + (hweight32(devices) > 1) : 0);
	KUNIT_EXPECT_EQ(t->test, event(t, RVIOMMU_CMDQ_TIMEOUT), event(t, RVIOMMU_CMDQ_RESTARTS));
}

/* ----- Who is lost ----- */

/* One at each place of a batch of each size. */
static void lost_one(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	unsigned int nr, i;

	for (nr = 1; nr <= DEVICES; nr++)
		for (i = 0; i < nr; i++)
			search(t, GENMASK(nr - 1, 0), BIT(i), false);
	expect_alive(t);
}

/* Any of five, all of them and none of them included. */
static void lost_several(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	u32 lost;

	for (lost = 0; lost < 32; lost++)
		search(t, 0x1f, lost, false);
	/* as many as one batch has */
	search(t, GENMASK(DEVICES - 1, 0), GENMASK(DEVICES - 1, 0), false);
	expect_alive(t);
}

/* The same without cmd_to: PCIe lets the hardware wait far longer than the driver does. */
static void lost_silent(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	u32 lost;

	t->cq.timeout_us = 300;
	for (lost = 0; lost < 16; lost++)
		search(t, 0xf, lost, true);
	search(t, 1, 1, true);
	t->cq.timeout_us = RVIOMMU_FENCE_TIMEOUT_US;
	expect_alive(t);
}

/* And by hardware that sends no request before the last one is complete. */
static void lost_silent_in_order(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	u32 lost;

	t->cq.timeout_us = 300;
	t->fake->ats_in_order = true;
	for (lost = 1; lost < 16; lost++) {
		struct lost_batch b;

		forget(t);
		lose(t, lost, true);
		b = batch_for(t, 0xf);
		KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
		expect_kept(t, &b);
		expect_reported(t, lost);
		/* Where cqh stays tells already if it is the first. */
		KUNIT_EXPECT_LE(test, event(t, RVIOMMU_CMDQ_RESTARTS), hweight32(lost) * 2);
	}
	t->cq.timeout_us = RVIOMMU_FENCE_TIMEOUT_US;
	expect_alive(t);
}

/*
 * Late once. Among others it has a second chance, because the search asks again; alone
 * it has not, because nothing is left to find out.
 */
static void lost_late(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch b;

	t->dev[2].timeouts = 1;
	b = batch_for(t, 0x1f);
	KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
	expect_kept(t, &b);
	expect_reported(t, 0);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 1);

	forget(t);
	t->dev[2].timeouts = 1;
	t->dev[4].timeouts = FOREVER;
	b = batch_for(t, 0x1f);
	KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
	expect_kept(t, &b);
	expect_reported(t, BIT(4));
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 2);

	forget(t);
	t->dev[2].timeouts = 1;
	b = batch_for(t, BIT(2));
	KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
	expect_kept(t, &b);
	expect_reported(t, BIT(2));
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 1);
	expect_alive(t);
}

/* Many commands, in several batches in the ring: one report, and one context to forget. */
static void lost_once(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch *b = t->batch;
	struct rviommu_command *ring = t->cq.q.base;
	unsigned int i, k, forgets = 0;

	t->fake->rate = 0;
	t->dev[1].timeouts = FOREVER;
	for (i = 0; i < 3; i++) {
		b[i] = batch_for(t, 0x7);
		add_inval(t, &b[i], 1);
		add_inval(t, &b[i], 1);
		add_inval(t, &b[i], 0);
		KUNIT_ASSERT_EQ(test, issue(t, &b[i]), 0);
	}
	t->fake->rate = UINT_MAX;
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, finish(t, &b[i]), 0);
	for (i = 0; i < 3; i++)
		expect_kept(t, &b[i]);
	expect_reported(t, BIT(1));
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 2);
	for (k = 0; k <= rviommu_queue_mask(&t->cq.q); k++)
		forgets += ring[k].dword[0] == rviommu_cmd_inval_ddt_all().dword[0];
	KUNIT_EXPECT_EQ(test, forgets, 1);
	expect_alive(t);
}

/* Nobody knows the device, or nobody asks: left out, and no reason to give up. */
static void lost_stranger(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch b, first;
	unsigned int i;

	t->strangers = true;
	for (i = 0; i < 2; i++) {
		lose(t, 0xfffe, false);
		b = batch_for(t, 0xffff);
		KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
		KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 16);
		/* All but theirs was executed. */
		KUNIT_EXPECT_EQ(test, missing(t, &b, fence_place(t, b.fence)), 15);
		first = batch_for(t, 1);
		KUNIT_EXPECT_EQ(test, sync(t, &first), 0);
		expect_kept(t, &first);
		forget(t);
		t->cq.device_lost = NULL;
	}
	expect_alive(t);
}

/* ----- A full ring ----- */

static void release_hook(struct fakebus *fake, unsigned int offset, void *arg)
{
	struct lost_test *t = arg;

	if (offset == CQCSR && fake->reads[CQCSR / 4] >= t->looks)
		WRITE_ONCE(fake->rate, UINT_MAX);
}

/* The IOMMU does nothing until a waiter has looked at cqcsr so often. */
static void hold(struct lost_test *t, unsigned int looks)
{
	t->looks = looks;
	t->fake->rate = 0;
	t->fake->read_hook = release_hook;
}

/*
 * Who waited for room while they were found asked for more of them. They are asked
 * once more, each of them; there is nothing left to block, but that is progress, too.
 */
static void lost_already(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	const u32 lost = GENMASK(11, 0);
	struct lost_batch *b = t->batch;
	unsigned int i;

	lose(t, lost, false);
	hold(t, 5);
	for (i = 0; i < 4; i++) {
		b[i] = batch_for(t, lost | BIT(12));
		KUNIT_ASSERT_EQ(test, issue(t, &b[i]), 0);
	}
	KUNIT_EXPECT_GT(test, event(t, RVIOMMU_CMDQ_FULL), 0);
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, finish(t, &b[i]), 0);
	for (i = 0; i < 4; i++)
		expect_kept(t, &b[i]);
	for (i = 0; i < 12; i++)
		KUNIT_EXPECT_GE(test, t->dev[i].reported, 1);
	KUNIT_EXPECT_EQ(test, t->dev[12].reported, 0);
	expect_alive(t);
}

/* Rings down to the smallest: the reserve is enough for each search in a full one. */
static void lost_small_ring(struct kunit *test)
{
	static const u8 segment[] = { [2] = 2, [3] = 3, [4] = 5, [5] = 9, [6] = 16, [7] = 16 };
	unsigned int lg2, i, nr;

	for (lg2 = 2; lg2 < ARRAY_SIZE(segment); lg2++) {
		struct lost_test *t = start(test, lg2);
		struct lost_batch *b = t->batch, *last = &t->batch[16];
		u32 all = GENMASK(segment[lg2] - 1, 0);
		u32 lost[] = { all, BIT(0), BIT(segment[lg2] - 1), all & 0x5555, all & 0xaaaa };
		u32 place;

		KUNIT_EXPECT_EQ(test, rviommu_cmdq_ats_segment(&t->cq), segment[lg2]);
		KUNIT_EXPECT_EQ(test, t->cq.reserve, segment[lg2] - 1);
		for (place = 0; place < 5 * 3; place++) {
			go_to(t, place / 5 * 5 & rviommu_queue_mask(&t->cq.q));
			forget(t);
			lose(t, lost[place % 5], false);
			hold(t, 5);
			/* The last of them waits for room. */
			for (nr = 0; nr < 16 && !event(t, RVIOMMU_CMDQ_FULL); nr++) {
				b[nr] = batch_for(t, all);
				KUNIT_ASSERT_EQ(test, issue(t, &b[nr]), 0);
			}
			*last = batch_for(t, all);
			KUNIT_EXPECT_EQ(test, sync(t, last), 0);
			for (i = 0; i < nr; i++) {
				KUNIT_EXPECT_EQ(test, finish(t, &b[i]), 0);
				expect_kept(t, &b[i]);
			}
			expect_kept(t, last);
			for (i = 0; i < DEVICES; i++)
				KUNIT_EXPECT_EQ(test, !!t->dev[i].reported,
						!!(lost[place % 5] & BIT(i)));
		}
		expect_alive(t);
	}
}

/* The search begins anywhere in the ring. */
static void lost_wrap(struct kunit *test)
{
	struct lost_test *t = start(test, 5);
	u32 place;

	for (place = 0; place < 32; place++) {
		go_to(t, place);
		search(t, 0xff, 0x2c, false);
		go_to(t, place);
		search(t, 0xff, 0x81, false);
	}
	expect_alive(t);
}

/* The devices of one batch with other commands between them. */
static void lost_apart(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	u32 lost;

	for (lost = 1; lost < 8; lost++) {
		struct lost_batch b = {};
		unsigned int i;

		forget(t);
		lose(t, lost, false);
		for (i = 0; i < 3; i++) {
			add_inval(t, &b, i);
			add_mark(t, &b);
		}
		KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
		expect_kept(t, &b);
		expect_reported(t, lost);
	}
	expect_alive(t);
}

/* The same devices again and again, in turn: an attempt for each that is lost, no more. */
static void lost_in_turn(struct kunit *test)
{
	static const u8 turns[] = { 0, 1, 0, 2, 1, 0, 2, 2, 1 };
	struct lost_test *t = start(test, 6);
	u32 lost;

	for (lost = 1; lost < 8; lost++) {
		struct lost_batch b = {};
		unsigned int i;

		forget(t);
		lose(t, lost, false);
		for (i = 0; i < ARRAY_SIZE(turns); i++)
			add_inval(t, &b, turns[i]);
		KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
		expect_kept(t, &b);
		expect_reported(t, lost);
		KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), hweight32(lost) + 1);
	}
	expect_alive(t);
}

/* ----- Other errors, too ----- */

/* A memory fault at each command that is fetched until the search is over. */
static void lost_and_memory_fault(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	unsigned int n;

	for (n = 0; n < 100; n++) {
		struct lost_batch b;

		forget(t);
		lose(t, 0xa, false);
		b = batch_for(t, 0x1f);
		fakebus_trap(t->bus, FAKEBUS_MEMFAULT, 0, 0, n, 1);
		KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
		expect_kept(t, &b);
		expect_reported(t, 0xa);
		if (!event(t, RVIOMMU_CMDQ_MEMFAULT))
			break;
		/* What is done once more at worst: the first, unsplit attempt. */
		KUNIT_EXPECT_LE(test, event(t, RVIOMMU_CMDQ_RESTARTS), 5);
	}
	KUNIT_EXPECT_GT(test, n, 8);
	KUNIT_EXPECT_LT(test, n, 100);
	fakebus_trap(t->bus, FAKEBUS_MEMFAULT, 0, 0, 0, 0);
	expect_alive(t);
}

/* A command that the IOMMU does not know, at each place of the batch. */
static void lost_and_illegal(struct kunit *test)
{
	const struct rviommu_command unknown = { { cpu_to_le64(0x3f), 0 } };
	struct lost_test *t = start(test, 6);
	unsigned int place, nr = batch_for(t, 0x1f).nr;

	for (place = 0; place <= nr; place++) {
		struct lost_batch b;

		forget(t);
		lose(t, 0xa, false);
		b = batch_for(t, 0x1f);
		memmove(&b.cmds[place + 1], &b.cmds[place], (nr - place) * sizeof(b.cmds[0]));
		b.cmds[place] = unknown;
		b.nr++;
		KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
		KUNIT_EXPECT_EQ(test, missing(t, &b, fence_place(t, b.fence)), 1);
		expect_reported(t, 0xa);
		KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_ILLEGAL), 1);
		KUNIT_EXPECT_LE(test, event(t, RVIOMMU_CMDQ_RESTARTS), 5);
	}
	expect_alive(t);
}

/* The IOMMU refuses the request itself: then the device was not asked, and keeps all. */
static void lost_illegal_inval(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct rviommu_command inval = rviommu_cmd_ats_inval(0x101, 1);
	struct lost_batch b = batch_for(t, 0xf);

	/* opcode, func3 and whom it is for */
	fakebus_trap(t->bus, FAKEBUS_ILLEGAL, OP_MASK | GENMASK_ULL(63, 40) | BIT_ULL(33),
		     le64_to_cpu(inval.dword[0]), 0, UINT_MAX);
	KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
	expect_kept(t, &b);
	expect_reported(t, BIT(3));
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_ILLEGAL), 1);
	fakebus_trap(t->bus, FAKEBUS_ILLEGAL, 0, 0, 0, 0);
	expect_alive(t);
}

/* The IOMMU refuses a response: the device waits for it, and nothing else would tell. */
static void lost_illegal_response(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct rviommu_command response = rviommu_cmd_ats_prgr(0x101, 1, 5, 0);
	struct lost_batch b = batch_for(t, 0xf);

	b.cmds[b.nr++] = response;
	fakebus_trap(t->bus, FAKEBUS_ILLEGAL, OP_MASK | GENMASK_ULL(63, 40) | BIT_ULL(33),
		     le64_to_cpu(response.dword[0]), 0, UINT_MAX);
	KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
	expect_reported(t, BIT(3));
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_ILLEGAL), 1);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_UNSENT), 1);
	fakebus_trap(t->bus, FAKEBUS_ILLEGAL, 0, 0, 0, 0);
	expect_alive(t);
}

/* How often a response was executed, with this code */
static unsigned int responses(struct lost_test *t, struct rviommu_command response, u8 code)
{
	unsigned int i, n = 0;

	response.dword[1] &= ~cpu_to_le64(0xfULL << 44);
	response.dword[1] |= cpu_to_le64((u64)code << 44);
	for (i = 0; i < min(t->fake->nr_log, FAKEBUS_LOG); i++)
		n += rviommu_cmd_equal(t->fake->log[i], response);
	return n;
}

/* What is for the devices, between two responses to one of which the index may be used again */
static struct lost_batch batch_beside(struct lost_test *t, u32 devices,
				      const struct rviommu_command *r)
{
	struct lost_batch b = {}, others = batch_for(t, devices);
	unsigned int i;

	add(&b, r[0]);
	for (i = 0; i < others.nr; i++)
		add(&b, others.cmds[i]);
	add(&b, r[1]);
	return b;
}

/* Devices do not answer: what was sent to another one meanwhile is not sent again. */
static void lost_beside_response(struct kunit *test)
{
	const struct rviommu_command r[] = {
		rviommu_cmd_ats_prgr(0x104, 0, 5, RVIOMMU_PRG_INVALID),
		rviommu_cmd_ats_prgr(0x104, 0, 6, RVIOMMU_PRG_INVALID),
	};
	struct lost_test *t = start(test, 6);
	u32 lost;

	for (lost = 1; lost < 16; lost++) {
		struct lost_batch b;

		forget(t);
		lose(t, lost, false);
		b = batch_beside(t, 0xf, r);
		KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
		expect_reported(t, lost);
		KUNIT_EXPECT_EQ(test, responses(t, r[0], RVIOMMU_PRG_INVALID), 1);
		KUNIT_EXPECT_EQ(test, responses(t, r[1], RVIOMMU_PRG_INVALID), 1);
		KUNIT_EXPECT_EQ(test, responses(t, r[0], RVIOMMU_PRG_SUCCESS), 0);
		KUNIT_EXPECT_EQ(test, responses(t, r[1], RVIOMMU_PRG_SUCCESS), 0);
	}
	expect_alive(t);
}

/*
 * The same without cmd_to: nobody knows whether it was sent. So it is sent again, in a way that
 * does no harm. What the hardware has not come to is as it was.
 */
static void lost_silent_beside_response(struct kunit *test)
{
	const struct rviommu_command r[] = {
		rviommu_cmd_ats_prgr(0x104, 0, 5, RVIOMMU_PRG_INVALID),
		rviommu_cmd_ats_prgr(0x104, 0, 6, RVIOMMU_PRG_INVALID),
		rviommu_cmd_ats_prgr(0x104, 0, 7, RVIOMMU_PRG_INVALID),
	};
	struct lost_test *t = start(test, 6);
	struct lost_batch b, next = {};

	t->cq.timeout_us = 300;
	t->fake->rate = 0;
	lose(t, 1, true);
	b = batch_beside(t, 1, r);
	add(&next, r[2]);
	KUNIT_ASSERT_EQ(test, issue(t, &b), 0);
	KUNIT_ASSERT_EQ(test, issue(t, &next), 0);
	t->fake->rate = UINT_MAX;
	KUNIT_EXPECT_EQ(test, finish(t, &next), 0);
	expect_reported(t, 1);
	/* Before a fence that has completed */
	KUNIT_EXPECT_EQ(test, responses(t, r[0], RVIOMMU_PRG_INVALID), 1);
	KUNIT_EXPECT_EQ(test, responses(t, r[0], RVIOMMU_PRG_SUCCESS), 0);
	KUNIT_EXPECT_EQ(test, responses(t, r[1], RVIOMMU_PRG_INVALID), 1);
	KUNIT_EXPECT_EQ(test, responses(t, r[1], RVIOMMU_PRG_SUCCESS), 1);
	KUNIT_EXPECT_EQ(test, responses(t, r[2], RVIOMMU_PRG_INVALID), 1);
	KUNIT_EXPECT_EQ(test, responses(t, r[2], RVIOMMU_PRG_SUCCESS), 0);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_AGAIN), 1);
	t->cq.timeout_us = RVIOMMU_FENCE_TIMEOUT_US;
	expect_alive(t);
}

static void fence_bit_hook(struct fakebus *fake, unsigned int offset, void *arg)
{
	if (offset == CQCSR && fake->reg[CQCSR / 4] & 0x200)
		fake->reg[CQCSR / 4] |= CSR_FENCE_W_IP;
}

/* Nobody asked for fence_w_ip, but it comes with cmd_to. */
static void lost_and_fence_bit(struct kunit *test)
{
	struct lost_test *t = start(test, 6);

	t->fake->read_hook = fence_bit_hook;
	search(t, 0x1f, 0xa, false);
	t->fake->read_hook = NULL;
	KUNIT_EXPECT_EQ(test, fakebus_peek(t->bus, CQCSR), 0x10003);
	expect_alive(t);
}

/* ----- The end ----- */

static void gone_hook(struct fakebus *fake, unsigned int offset, void *arg)
{
	struct lost_test *t = arg;

	if (offset == CQCSR && !t->looks--)
		fake->gone = true;
}

/* It is pulled out at each look at it: the waiter is told, and no device is lost twice. */
static void lost_and_gone(struct kunit *test)
{
	unsigned int n, deaths = 0;

	for (n = 0; n < 100; n++) {
		struct lost_test *t = start(test, 6);
		struct lost_batch b = batch_for(t, 0x1f);
		unsigned int i;
		int ret;

		lose(t, 0xa, false);
		t->looks = n;
		t->fake->read_hook = gone_hook;
		ret = sync(t, &b);
		for (i = 0; i < DEVICES; i++)
			KUNIT_EXPECT_LE(test, t->dev[i].reported, 0xa >> i & 1);
		if (!t->fake->gone) {
			KUNIT_EXPECT_EQ(test, ret, 0);
			expect_kept(t, &b);
			break;
		}
		KUNIT_EXPECT_EQ(test, ret, -EIO);
		expect_dead(t);
		deaths++;
	}
	KUNIT_EXPECT_GT(test, deaths, 8);
	KUNIT_EXPECT_LT(test, n, 100);
}

/* It cannot be restarted. */
static void lost_and_stuck(struct kunit *test)
{
	unsigned int what;

	for (what = 0; what < 3; what++) {
		struct lost_test *t = start(test, 6);
		struct lost_batch b = batch_for(t, 0x1f);

		lose(t, 0xa, false);
		*(what == 0 ? &t->fake->never_off : what == 1 ? &t->fake->never_on :
						    &t->fake->busy_forever) = true;
		KUNIT_EXPECT_EQ(test, sync(t, &b), -EIO);
		expect_reported(t, 0);
		KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 1);
		expect_dead(t);
	}
}

static void timed_out_hook(struct fakebus *fake, unsigned int offset, void *arg)
{
	fake->timed_out = true;
}

/* It says cmd_to at every fence, whoever is left: the search is over when nobody is. */
static void lost_for_ever(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch b = batch_for(t, 0xffff);
	unsigned int i;

	t->fake->read_hook = timed_out_hook;
	t->fake->timed_out = true;
	/* The fence in front of them has nobody to blame, too. */
	KUNIT_EXPECT_EQ(test, sync(t, &b), -EIO);
	for (i = 0; i < DEVICES; i++)
		KUNIT_EXPECT_LE(test, t->dev[i].reported, 1);
	KUNIT_EXPECT_LE(test, event(t, RVIOMMU_CMDQ_RESTARTS),
			DEVICES + RVIOMMU_CMDQ_MAX_RESTARTS + 2);
	expect_dead(t);
}

/* ----- No fence completes ----- */

/* Others' commands between the last request and the fence that waits for it. */
static void lost_silent_in_front(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch b;
	u32 lost;

	t->cq.timeout_us = 300;
	for (lost = 1; lost < 8; lost++) {
		forget(t);
		lose(t, lost, true);
		b = batch_for(t, 0x7);
		add_mark(t, &b);
		add_mark(t, &b);
		KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
		expect_kept(t, &b);
		expect_reported(t, lost);
	}
	t->cq.timeout_us = RVIOMMU_FENCE_TIMEOUT_US;
	expect_alive(t);
}

/* The requests were answered; it is something else that hangs. */
static void lost_not_the_device(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch b = batch_for(t, 0x7);

	add(&b, rviommu_cmd_barrier());
	add_mark(t, &b);
	t->cq.timeout_us = 300;
	t->fake->rate = 0;
	KUNIT_ASSERT_EQ(test, issue(t, &b), 0);
	/* up to the mark behind the second barrier */
	KUNIT_EXPECT_EQ(test, fakebus_step(t->bus, 7), 7);
	KUNIT_EXPECT_EQ(test, finish(t, &b), -EIO);
	expect_reported(t, 0);
	/* at once, without another attempt */
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 0);
	expect_dead(t);
}

static void start_again_hook(struct fakebus *fake, unsigned int offset, void *arg)
{
	struct lost_test *t = arg;

	if (offset != CQCSR)
		return;
	fake->read_hook = NULL;
	KUNIT_EXPECT_EQ(t->test, event(t, RVIOMMU_CMDQ_RESTARTS), 1);
	WRITE_ONCE(fake->rate, UINT_MAX);
}

/* At the waiter's last look the hardware reports the timeout, and the interrupt comes. */
static void recover_hook(struct fakebus *fake, unsigned int offset, void *arg)
{
	struct lost_test *t = arg;

	if (offset != CQCSR || t->looks--)
		return;
	fake->read_hook = NULL;
	fake->hung = false;
	fake->timed_out = true;
	fakebus_step(t->bus, 1);
	KUNIT_EXPECT_EQ(t->test, fakebus_peek(t->bus, CQCSR) & 0xf00, 0x200);
	fake->rate = 0;
	rviommu_cmdq_handle_errors(&t->cq);
	fake->read_hook = start_again_hook;
}

/*
 * A restart is a new attempt, and has all of the time: else whoever began to wait before
 * it would, right after it, blame devices that were asked a moment ago.
 */
static void lost_time_starts_again(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch b = batch_for(t, 0x1f);

	t->dev[2].hangs = 1;
	/*
	 * A look every 64 us: so many of them, and a little time before the next. What one of five
	 * has that is asked again is time for thirty.
	 */
	t->cq.timeout_us = 64 * 160 + 20;
	t->looks = 159;
	t->fake->read_hook = recover_hook;
	KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
	expect_kept(t, &b);
	expect_reported(t, 0);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 1);
	t->cq.timeout_us = RVIOMMU_FENCE_TIMEOUT_US;
	expect_alive(t);
}

/* ----- Hardware that takes its time ----- */

/*
 * The text lets a queue that is switched off stay busy until the requests of devices end.
 * That may take longer than any other wait for a register, and is no reason to give the
 * IOMMU up.
 */
static void lost_stays_busy(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch b = batch_for(t, 0x1);

	t->cq.timeout_us = 300;
	t->cq.ats_timeout_us = 100 * short_timeout();
	t->dev[0].hangs = FOREVER;
	/* From when it is told to stop; the waiter looks every 64 us, eight times. */
	t->fake->busy_off_reads = 30;
	KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
	expect_kept(t, &b);
	expect_reported(t, BIT(0));
	KUNIT_EXPECT_EQ(test, t->fake->busy_off_reads, 0);
	t->fake->busy_off_reads = 0;
	t->cq.timeout_us = RVIOMMU_FENCE_TIMEOUT_US;
	expect_alive(t);
}

/* But not for ever. */
static void lost_stays_busy_for_ever(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch b = batch_for(t, 0x1);

	t->cq.timeout_us = 300;
	t->dev[0].hangs = FOREVER;
	t->fake->busy_off_reads = UINT_MAX;
	KUNIT_EXPECT_EQ(test, sync(t, &b), -EIO);
	t->fake->busy_off_reads = 0;
	expect_dead(t);
}

/* Without requests that could be outstanding nobody has to be patient. */
static void lost_nothing_busy(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch b = {};

	t->cq.ats_timeout_us = UINT_MAX;
	fakebus_trap(t->bus, FAKEBUS_ILLEGAL, OP_MASK, OP_VMA, 0, 1);
	add_mark(t, &b);
	t->fake->busy_off_reads = UINT_MAX;
	KUNIT_EXPECT_EQ(test, sync(t, &b), -EIO);
	t->fake->busy_off_reads = 0;
	expect_dead(t);
}

/* Nobody is told of a death before the owner has stopped what they wait for. */
static void lost_dies_slowly(struct kunit *test)
{
	struct lost_test *t = start(test, 6);

	/* Whoever kills it looks once; they wait for more, and not until the time is over. */
	t->slow_death = 5;
	t->fake->gone = true;
	rviommu_cmdq_handle_errors(&t->cq);
	KUNIT_EXPECT_TRUE(test, t->cq.dead);
	KUNIT_EXPECT_EQ(test, t->deaths, 0);
	/* Switching it off ends with that, and not because the time was over. */
	rviommu_cmdq_disable_now(&t->cq);
	KUNIT_EXPECT_EQ(test, t->slow_death, 0);
	KUNIT_EXPECT_EQ(test, t->deaths, 1);
	KUNIT_EXPECT_FALSE(test, t->cq.running);
	KUNIT_EXPECT_EQ(test, t->cq.phase, RVIOMMU_CMDQ_RUNS);
}

/* The same of a queue that is off, as when it cannot be brought back after suspend. */
static void lost_dies_while_off(struct kunit *test)
{
	struct lost_test *t = start(test, 6);

	KUNIT_ASSERT_EQ(test, rviommu_cmdq_disable(&t->cq), 0);
	t->slow_death = 5;
	rviommu_cmdq_kill(&t->cq, "for a test");
	KUNIT_EXPECT_EQ(test, t->slow_death, 0);
	KUNIT_EXPECT_EQ(test, t->deaths, 1);
	KUNIT_EXPECT_EQ(test, t->cq.phase, RVIOMMU_CMDQ_RUNS);
	/* Else nobody could switch it off any more. */
	WRITE_ONCE(t->cq.phase, RVIOMMU_CMDQ_RUNS);
}

/* What a restart was about when the queue was switched off says nothing of the next one. */
static void lost_begins_anew(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch b;

	KUNIT_ASSERT_EQ(test, rviommu_cmdq_disable(&t->cq), 0);
	/* No fence completed, and the request before the one in this slot was to blame. */
	t->cq.silent = true;
	t->cq.silent_at = 3;
	t->cq.split = 3;
	t->cq.again = true;
	KUNIT_ASSERT_EQ(test, rviommu_cmdq_enable(&t->cq), 0);
	KUNIT_EXPECT_EQ(test, t->cq.split, 0);
	KUNIT_EXPECT_FALSE(test, t->cq.again);
	b = batch_for(t, 0x1);
	fakebus_trap(t->bus, FAKEBUS_ILLEGAL, OP_MASK, OP_VMA, 0, 1);
	KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 1);
	expect_reported(t, 0);
}

/* Looks at the queue in a wait of all of the time: a time-out is so many of them. */
static unsigned int all_looks(struct lost_test *t)
{
	return t->cq.timeout_us / 64;
}

/*
 * Many silent devices take twice as long as one, not many times: who is asked for the second time
 * has had all of the time once. And afterwards everybody has it again.
 */
static void lost_many_in_time(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch b;

	t->cq.timeout_us = 100000;
	lose(t, GENMASK(DEVICES - 1, 0), true);
	b = batch_for(t, GENMASK(DEVICES - 1, 0));
	KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
	expect_kept(t, &b);
	expect_reported(t, GENMASK(DEVICES - 1, 0));
	KUNIT_EXPECT_GE(test, t->fake->reads[CQCSR / 4], all_looks(t));
	KUNIT_EXPECT_LE(test, t->fake->reads[CQCSR / 4], 2 * all_looks(t) + 64 * DEVICES);

	search(t, 1, 1, true);
	KUNIT_EXPECT_GE(test, t->fake->reads[CQCSR / 4], all_looks(t));
	t->cq.timeout_us = RVIOMMU_FENCE_TIMEOUT_US;
	expect_alive(t);
}

/* After so many restarts, the device that all wait for answers at last, after so many looks. */
static void late_hook(struct fakebus *fake, unsigned int offset, void *arg)
{
	struct lost_test *t = arg;

	if (offset != CQCSR || !fake->hung || event(t, RVIOMMU_CMDQ_RESTARTS) < t->restarts)
		return;
	if (t->looks--)
		return;
	fake->read_hook = NULL;
	fake->hung = false;
	fakebus_step(t->bus, UINT_MAX);
}

/* Of two that are asked again, each has half of the time: one that is late by less stays. */
static void lost_time_is_shared(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch b = batch_for(t, 0x3);

	t->cq.timeout_us = 100000;
	t->dev[0].hangs = 2;
	t->dev[1].hangs = FOREVER;
	t->restarts = 1;
	t->looks = all_looks(t) / 3;
	t->fake->read_hook = late_hook;
	KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
	KUNIT_EXPECT_PTR_EQ(test, t->fake->read_hook, NULL);
	expect_reported(t, BIT(1));
	t->cq.timeout_us = RVIOMMU_FENCE_TIMEOUT_US;
	expect_alive(t);
}

/* Who was not asked together with those has all of it. */
static void lost_time_of_others(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch b = batch_for(t, 0x3), others = batch_for(t, 0x4);

	t->cq.timeout_us = 100000;
	t->dev[0].hangs = FOREVER;
	t->dev[2].hangs = 1;
	t->restarts = 2;
	t->looks = all_looks(t) * 3 / 4;
	t->fake->read_hook = late_hook;
	KUNIT_ASSERT_EQ(test, issue(t, &b), 0);
	KUNIT_EXPECT_EQ(test, sync(t, &others), 0);
	KUNIT_EXPECT_EQ(test, finish(t, &b), 0);
	KUNIT_EXPECT_PTR_EQ(test, t->fake->read_hook, NULL);
	expect_kept(t, &b);
	expect_reported(t, BIT(0));
	t->cq.timeout_us = RVIOMMU_FENCE_TIMEOUT_US;
	expect_alive(t);
}

/* Two devices are asked, and hang; whoever waits for them does so soon. */
static void ask_two(struct lost_test *t)
{
	unsigned int i;

	t->cq.timeout_us = 300;
	t->fake->rate = 0;
	for (i = 0; i < 2; i++) {
		t->dev[i].hangs = 1;
		t->batch[i] = batch_for(t, BIT(i));
		KUNIT_ASSERT_EQ(t->test, issue(t, &t->batch[i]), 0);
	}
	fakebus_step(t->bus, UINT_MAX);
}

/* The one that all wait for answers, and another is asked and has not answered yet. */
static void answer_hook(struct fakebus *fake, unsigned int offset, void *arg)
{
	struct lost_test *t = arg;

	if (offset != CQH)
		return;
	fake->read_hook = NULL;
	fake->hung = false;
	fakebus_step(t->bus, UINT_MAX);
	KUNIT_EXPECT_TRUE(t->test, fake->hung);
	/* it answers soon */
	fake->hung = false;
}

static void lost_answers_at_last(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch *b = t->batch;
	unsigned int i;

	ask_two(t);
	t->fake->rate = UINT_MAX;
	t->fake->read_hook = answer_hook;
	for (i = 0; i < 2; i++)
		KUNIT_EXPECT_EQ(test, finish(t, &b[i]), 0);
	KUNIT_EXPECT_NULL(test, (void *)t->fake->read_hook);
	expect_reported(t, 0);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 0);
	t->cq.timeout_us = RVIOMMU_FENCE_TIMEOUT_US;
	expect_alive(t);
}

static void answer_at_cqcsr_hook(struct fakebus *fake, unsigned int offset, void *arg)
{
	struct lost_test *t = arg;

	if (offset != CQCSR)
		return;
	fake->read_hook = NULL;
	fake->hung = false;
	fakebus_step(t->bus, UINT_MAX);
	KUNIT_EXPECT_TRUE(t->test, fake->hung);
	WRITE_ONCE(fake->rate, UINT_MAX);
}

static void switch_off_hook(struct fakebus *fake, unsigned int offset, void *arg)
{
	/* The first look at cqcsr after that at cqh is where it is switched off. */
	if (offset == CQH)
		fake->read_hook = answer_at_cqcsr_hook;
}

/* The same a moment later, while the queue is being switched off. */
static void lost_answers_too_late(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch *b = t->batch;
	unsigned int i;

	ask_two(t);
	t->fake->read_hook = switch_off_hook;
	for (i = 0; i < 2; i++)
		KUNIT_EXPECT_EQ(test, finish(t, &b[i]), 0);
	expect_kept(t, &b[1]);
	expect_reported(t, 0);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 1);
	t->cq.timeout_us = RVIOMMU_FENCE_TIMEOUT_US;
	expect_alive(t);
}

/* ----- Devices that sleep ----- */

/* Only @asleep do, after so many looks; and do not answer then. */
static void sleep(struct lost_test *t, u32 asleep, unsigned int looks, bool hang)
{
	unsigned int i;

	forget(t);
	t->cq.device_away = lost_look;
	for (i = 0; i < DEVICES; i++)
		t->dev[i].awake = asleep & BIT(i) ? looks : FOREVER;
	lose(t, asleep, hang);
}

/* Commands of @b for other devices than @asleep were executed, and theirs were given up. */
static void expect_left_out(struct lost_test *t, struct lost_batch *b, u32 asleep)
{
	unsigned int i;

	for (i = 0; i < DEVICES; i++)
		t->dev[i].lost = asleep & BIT(i);
	KUNIT_EXPECT_EQ(t->test, missing(t, b, fence_place(t, b->fence)), hweight32(asleep));
	expect_reported(t, 0);
	KUNIT_EXPECT_EQ(t->test, event(t, RVIOMMU_CMDQ_AWAY), hweight32(asleep));
}

/*
 * Whoever falls asleep after it was asked is not waited for until the hardware gives up, which
 * it never does here, and is not lost. The others are asked again.
 */
static void lost_asleep(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch b;
	u32 asleep;

	/* The driver's own patience would end, too; not in time. */
	t->cq.timeout_us = 2 * RVIOMMU_FENCE_TIMEOUT_US;
	for (asleep = 1; asleep < 16; asleep++) {
		sleep(t, asleep, asleep % 4, true);
		b = batch_for(t, 0xf);
		KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
		expect_left_out(t, &b, asleep);
		KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_TIMEOUT), 0);
		KUNIT_EXPECT_LE(test, event(t, RVIOMMU_CMDQ_RESTARTS), hweight32(asleep));
	}
	t->cq.timeout_us = RVIOMMU_FENCE_TIMEOUT_US;
	expect_alive(t);
}

/* Where the hardware gives up first: likewise, without a search. */
static void lost_asleep_timeout(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch b;
	u32 asleep;

	for (asleep = 1; asleep < 16; asleep++) {
		sleep(t, asleep, 0, false);
		b = batch_for(t, 0xf);
		KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
		expect_left_out(t, &b, asleep);
		KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 1);
	}
	expect_alive(t);
}

/* One of two that do not answer sleeps: the other is lost. */
static void lost_beside_asleep(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch b;

	t->cq.timeout_us = 3000;
	sleep(t, BIT(1), 0, true);
	lose(t, BIT(2), true);
	b = batch_for(t, 0xf);
	KUNIT_EXPECT_EQ(test, sync(t, &b), 0);
	expect_reported(t, BIT(2));
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_AWAY), 1);
	t->dev[1].lost = true;
	KUNIT_EXPECT_EQ(test, missing(t, &b, fence_place(t, b.fence)), 0);
	t->cq.timeout_us = RVIOMMU_FENCE_TIMEOUT_US;
	expect_alive(t);
}

/*
 * What it is asked behind that fence it is asked nevertheless: the invalidation of the IOMMU's
 * own caches that it follows has not been executed, and the device may have woken up.
 */
static void lost_asleep_only_until_now(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch *b = t->batch;
	unsigned int i;

	t->cq.timeout_us = 2 * RVIOMMU_FENCE_TIMEOUT_US;
	sleep(t, BIT(0), 0, true);
	t->dev[0].hangs = 1;
	t->fake->rate = 0;
	for (i = 0; i < 2; i++) {
		b[i] = batch_for(t, BIT(0));
		KUNIT_ASSERT_EQ(test, issue(t, &b[i]), 0);
	}
	WRITE_ONCE(t->fake->rate, UINT_MAX);
	for (i = 0; i < 2; i++)
		KUNIT_EXPECT_EQ(test, finish(t, &b[i]), 0);
	expect_reported(t, 0);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_AWAY), 1);
	KUNIT_EXPECT_EQ(test, missing(t, &b[0], fence_place(t, b[0].fence)), 1);
	expect_kept(t, &b[1]);
	t->cq.timeout_us = RVIOMMU_FENCE_TIMEOUT_US;
	expect_alive(t);
}

/* Whoever may sleep does not keep the CPU while hardware takes its time; who may not, does. */
static void lost_waiter_sleeps(struct kunit *test)
{
	struct lost_test *t = start(test, 6);
	struct lost_batch b = batch_for(t, 0x3);
	unsigned long slept;

	hold(t, t->fake->reads[CQCSR / 4] + 20);
	slept = current->nvcsw;
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_sync(&t->cq, b.cmds, b.nr), 0);
	KUNIT_EXPECT_GE(test, current->nvcsw - slept, 15);

	hold(t, t->fake->reads[CQCSR / 4] + 20);
	b = batch_for(t, 0x3);
	KUNIT_ASSERT_EQ(test, issue(t, &b), 0);
	preempt_disable();
	slept = current->nvcsw;
	KUNIT_EXPECT_EQ(test, finish(t, &b), 0);
	KUNIT_EXPECT_EQ(test, current->nvcsw, slept);
	preempt_enable();
	t->fake->read_hook = NULL;
	expect_alive(t);
}

/* Nor while there is no room, because the queue is being restarted. */
static void lost_producer_sleeps(struct kunit *test)
{
	struct lost_test *t = start(test, 4);
	unsigned long slept;
	struct lost_batch b;
	unsigned int i;

	hold(t, t->fake->reads[CQCSR / 4] + 20);
	for (i = 0; i < 3; i++) {
		b = batch_for(t, 0);
		KUNIT_ASSERT_EQ(test, issue(t, &b), 0);
	}
	b = batch_for(t, 0xffff);
	slept = current->nvcsw;
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_issue(&t->cq, b.cmds, b.nr, &b.fence), 0);
	KUNIT_EXPECT_GE(test, current->nvcsw - slept, 15);
	KUNIT_EXPECT_EQ(test, finish(t, &b), 0);
	t->fake->read_hook = NULL;
	expect_alive(t);
}

/* ----- Several CPUs ----- */

#define PRODUCERS	3U
#define PRODUCED	60U

/**
 * struct lost_producer - one thread that submits
 * @t: the case
 * @id: its number
 * @seq: marks of its own so far
 * @failed: synchronisations that did not return 0
 * @early: those that returned before everything was done
 * @done: it has ended
 */
struct lost_producer {
	struct lost_test *t;
	unsigned int id;
	u32 seq;
	unsigned int failed;
	unsigned int early;
	struct completion done;
};

static u64 producer_mark(const struct lost_producer *p, u32 seq)
{
	return le64_to_cpu(rviommu_cmd_iotinval_vma(p->id << 17 | seq).dword[0]);
}

/* Marks of its own, some of the devices, marks again. */
static int produce(void *data)
{
	struct lost_producer *p = data;
	struct lost_test *t = p->t;
	struct fakebus *fake = t->fake;
	unsigned int op, i;

	for (op = 0; op < PRODUCED; op++) {
		struct lost_batch b = {};
		unsigned long flags;

		for (i = 0; i < (op + p->id) % 4; i++)
			add(&b, rviommu_cmd_iotinval_vma(p->id << 17 | p->seq++));
		add(&b, rviommu_cmd_barrier());
		for (i = p->id; i < DEVICES; i += 1 + (op + p->id) % 5)
			if (b.nr < 16)
				add(&b, rviommu_cmd_with_pasid(rviommu_cmd_ats_inval(0x100 + i / 2,
										     i % 2),
							       p->id << 17 | op));
		add(&b, rviommu_cmd_iotinval_vma(p->id << 17 | p->seq++));

		spin_lock_irqsave(&fake->lock, flags);
		/* Somebody is late, and now and then somebody is lost. */
		if (op % 4 == 1)
			t->dev[(op * 5 + p->id) % 8].timeouts = 1;
		if (op % 20 == 11)
			t->dev[8 + p->id].timeouts = FOREVER;
		spin_unlock_irqrestore(&fake->lock, flags);

		if (sync(t, &b)) {
			p->failed++;
			break;
		}
		spin_lock_irqsave(&fake->lock, flags);
		p->early += !!missing(t, &b, min(fake->nr_log, FAKEBUS_LOG));
		spin_unlock_irqrestore(&fake->lock, flags);
		cond_resched();
	}
	complete(&p->done);
	return 0;
}

/*
 * Nothing of one producer is executed before what it asked for earlier, though a
 * restart may begin again at any of that; nothing is left out; no fence is early.
 */
static void lost_under_producers(struct kunit *test)
{
	struct lost_producer *p = kunit_kcalloc(test, PRODUCERS, sizeof(*p), GFP_KERNEL);
	struct lost_test *t = start(test, 6);
	unsigned int i, k, n;

	KUNIT_ASSERT_NOT_NULL(test, p);
	t->fake->rate = 4;
	t->fake->doorbell_us = 3;
	for (i = 0; i < PRODUCERS; i++) {
		p[i].t = t;
		p[i].id = i;
		init_completion(&p[i].done);
		if (IS_ERR(kthread_run(produce, &p[i], "rviommu-producer%u", i))) {
			KUNIT_FAIL(test, "cannot start a thread");
			complete(&p[i].done);
		}
	}
	for (i = 0; i < PRODUCERS; i++)
		wait_for_completion(&p[i].done);
	fakebus_commands(t->bus, &n);
	KUNIT_EXPECT_LT(test, n, FAKEBUS_LOG);
	for (i = 0; i < PRODUCERS; i++) {
		u32 next = 0;

		KUNIT_EXPECT_EQ(test, p[i].failed, 0);
		KUNIT_EXPECT_EQ(test, p[i].early, 0);
		for (k = 0; k < n; k++) {
			u64 dword0 = fakebus_command(t->bus, k, 0);
			u32 pscid = dword0 >> 12 & 0xfffff;

			if ((dword0 & OP_MASK) != OP_VMA || pscid >> 17 != i)
				continue;
			pscid &= 0x1ffff;
			KUNIT_EXPECT_EQ(test, dword0, producer_mark(&p[i], pscid));
			if (pscid > next) {
				KUNIT_FAIL(test, "command %u where %u was next", pscid, next);
				break;
			}
			next = max(next, pscid + 1);
		}
		KUNIT_EXPECT_EQ(test, next, p[i].seq);
	}
	KUNIT_EXPECT_GT(test, event(t, RVIOMMU_CMDQ_TIMEOUT), 0);
	for (i = 0; i < PRODUCERS; i++)
		KUNIT_EXPECT_TRUE(test, t->dev[8 + i].lost);
	for (i = 8 + PRODUCERS; i < DEVICES; i++)
		KUNIT_EXPECT_FALSE(test, t->dev[i].lost);
	kunit_info(test, "%lld timeouts, %lld restarts, %lld times full, %u commands\n",
		   event(t, RVIOMMU_CMDQ_TIMEOUT), event(t, RVIOMMU_CMDQ_RESTARTS),
		   event(t, RVIOMMU_CMDQ_FULL), n);
	t->fake->rate = UINT_MAX;
	expect_alive(t);
}

static struct kunit_case lost_cases[] = {
	KUNIT_CASE(lost_one),
	KUNIT_CASE(lost_several),
	KUNIT_CASE(lost_silent),
	KUNIT_CASE(lost_silent_in_order),
	KUNIT_CASE(lost_late),
	KUNIT_CASE(lost_once),
	KUNIT_CASE(lost_stranger),
	KUNIT_CASE(lost_already),
	KUNIT_CASE(lost_small_ring),
	KUNIT_CASE(lost_wrap),
	KUNIT_CASE(lost_apart),
	KUNIT_CASE(lost_in_turn),
	KUNIT_CASE(lost_and_memory_fault),
	KUNIT_CASE(lost_and_illegal),
	KUNIT_CASE(lost_illegal_inval),
	KUNIT_CASE(lost_illegal_response),
	KUNIT_CASE(lost_beside_response),
	KUNIT_CASE(lost_silent_beside_response),
	KUNIT_CASE(lost_and_fence_bit),
	KUNIT_CASE(lost_and_gone),
	KUNIT_CASE(lost_and_stuck),
	KUNIT_CASE(lost_for_ever),
	KUNIT_CASE(lost_silent_in_front),
	KUNIT_CASE(lost_not_the_device),
	KUNIT_CASE(lost_stays_busy),
	KUNIT_CASE(lost_stays_busy_for_ever),
	KUNIT_CASE(lost_nothing_busy),
	KUNIT_CASE(lost_dies_slowly),
	KUNIT_CASE(lost_dies_while_off),
	KUNIT_CASE(lost_begins_anew),
	KUNIT_CASE(lost_many_in_time),
	KUNIT_CASE(lost_time_is_shared),
	KUNIT_CASE(lost_time_of_others),
	KUNIT_CASE(lost_time_starts_again),
	KUNIT_CASE(lost_answers_at_last),
	KUNIT_CASE(lost_answers_too_late),
	KUNIT_CASE(lost_asleep),
	KUNIT_CASE(lost_asleep_timeout),
	KUNIT_CASE(lost_beside_asleep),
	KUNIT_CASE(lost_asleep_only_until_now),
	KUNIT_CASE(lost_waiter_sleeps),
	KUNIT_CASE(lost_producer_sleeps),
	KUNIT_CASE(lost_under_producers),
	{}
};

static struct kunit_suite lost_suite = {
	.name = "rviommu_command_lost",
	.test_cases = lost_cases,
};

kunit_test_suite(lost_suite);
