// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command queue on the fake register bus: encoding, order, combining, and
 * every way in which it can break.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/bits.h>
#include <linux/completion.h>
#include <linux/io.h>
#include <linux/kthread.h>

#include "../src/driver/cmdq.h"
#include "../src/driver/command.h"
#include "../src/driver/mem.h"
#include "../src/driver/queue.h"
#include "fakebus.h"
#include "testdev.h"

#define VERSION_1_0	0x10ULL
#define CAP_ATS		BIT_ULL(25)
#define CAP_NL		BIT_ULL(42)
#define CAP_S		BIT_ULL(43)

#define CQT		0x24
#define CQCSR		0x48
#define IPSR		0x54

/* Bits that tell one kind of command from another: opcode and func3 */
#define OP_MASK		0x3ffULL
#define OP_FENCE	0x002ULL
#define NOP		0x002ULL	/* an IOFENCE.C that writes nothing */
#define VMA_ALL		0x001ULL
#define DDT_ALL		0x003ULL

/* What a command that no test cares about looks like: IOTINVAL.VMA of PSCID n */
static u64 mark(u32 n)
{
	return 0x100000001ULL | (u64)n << 12;
}

static struct rviommu_command raw(u64 dword0, u64 dword1)
{
	return (struct rviommu_command) { { cpu_to_le64(dword0), cpu_to_le64(dword1) } };
}

static bool is_fence(u64 dword0)
{
	return (dword0 & OP_MASK) == OP_FENCE && dword0 != NOP;
}

/* ----- Encoding ----- */

static void expect_encoding(struct kunit *test, struct rviommu_command cmd, u64 dword0, u64 dword1)
{
	KUNIT_EXPECT_EQ(test, le64_to_cpu(cmd.dword[0]), dword0);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(cmd.dword[1]), dword1);
	KUNIT_EXPECT_TRUE(test, fakebus_legal(VERSION_1_0 | CAP_NL | CAP_S | CAP_ATS, dword0,
					      dword1));
}

/* The numbers are made by hand from the bit tables of the specification. */
static void command_encoding(struct kunit *test)
{
	struct rviommu_command vma = rviommu_cmd_iotinval_vma(1);

	expect_encoding(test, rviommu_cmd_iotinval_vma(0), 0x0000000100000001, 0);
	expect_encoding(test, rviommu_cmd_iotinval_vma(0xabcde), 0x00000001abcde001, 0);
	expect_encoding(test, rviommu_cmd_iotinval_vma(0xfffff), 0x00000001fffff001, 0);
	expect_encoding(test, rviommu_cmd_iotinval_vma_all(), 0x0000000000000001, 0);
	expect_encoding(test, rviommu_cmd_iotinval_gvma(0xbeef), 0x0beef00200000081, 0);
	expect_encoding(test, rviommu_cmd_iotinval_vma_gscid(0xbeef), 0x0beef00200000001, 0);
	expect_encoding(test, rviommu_cmd_iotinval_gvma_all(), 0x0000000000000081, 0);

	expect_encoding(test, rviommu_cmd_with_addr(vma, 0), 0x0000000100001401, 0);
	expect_encoding(test, rviommu_cmd_with_addr(vma, 0x3fdeadb123),
			0x0000000100001401, 0x0000000ff7ab6c00);
	expect_encoding(test, rviommu_cmd_with_addr(vma, 0xffffffff80000000),
			0x0000000100001401, 0x3fffffffe0000000);
	expect_encoding(test, rviommu_cmd_with_addr(rviommu_cmd_iotinval_gvma(1), 0x5fff),
			0x0000100200000481, 0x0000000000001400);

	expect_encoding(test, rviommu_cmd_with_nonleaf(rviommu_cmd_with_addr(vma, 0x5000)),
			0x0000000500001401, 0x0000000000001400);

	expect_encoding(test, rviommu_cmd_inval_ddt(0), 0x0000000200000003, 0);
	expect_encoding(test, rviommu_cmd_inval_ddt(0xabcdef), 0xabcdef0200000003, 0);
	expect_encoding(test, rviommu_cmd_inval_ddt_all(), 0x0000000000000003, 0);
	expect_encoding(test, rviommu_cmd_inval_pdt(0xabcdef, 0x54321), 0xabcdef0254321083, 0);
	expect_encoding(test, rviommu_cmd_iofence(0x123456789abc, 0xdeadbeef),
			0xdeadbeef00003402, 0x0000048d159e26af);
}

/* Spec "Address Range Invalidation Extension": NAPOT in ADDR, S at bit 73 */
static void command_range(struct kunit *test)
{
	struct rviommu_command vma = rviommu_cmd_iotinval_vma(1);
	unsigned int size_lg2;
	u64 addr, pages;

	expect_encoding(test, rviommu_cmd_with_range(vma, 0x5000, 12), 0x100001401, 0x1400);
	expect_encoding(test, rviommu_cmd_with_range(vma, 0x3000, 13), 0x100001401, 0xa00);
	expect_encoding(test, rviommu_cmd_with_range(vma, 0x5000, 14), 0x100001401, 0x1600);
	expect_encoding(test, rviommu_cmd_with_range(vma, 0x40200000, 21), 0x100001401, 0x100bfe00);
	expect_encoding(test, rviommu_cmd_with_range(vma, 0x7fc0000000, 30), 0x100001401,
			0x1ff7fffe00);
	expect_encoding(test, rviommu_cmd_with_range(vma, 0x1234567, 64), 0x100001401,
			0x1ffffffffffffe00);
	/* sign-extended: the whole upper half, and its last 8 KiB */
	expect_encoding(test, rviommu_cmd_with_range(vma, 0xffffffffffffffff, 63), 0x100001401,
			0x2ffffffffffffe00);
	expect_encoding(test, rviommu_cmd_with_range(vma, 0xffffffffffffffff, 13), 0x100001401,
			0x3ffffffffffffa00);

	/* decoded as the text says: the first 0 of ADDR at X is 2^(X+1) pages */
	for (size_lg2 = 13; size_lg2 < 64; size_lg2++) {
		u64 iova = 0xa5a5a5a5a5a5a5a5 & ~(BIT_ULL(size_lg2) - 1);
		struct rviommu_command cmd = rviommu_cmd_with_range(vma, iova, size_lg2);

		addr = le64_to_cpu(cmd.dword[1]) >> 10 & (BIT_ULL(52) - 1);
		pages = 2ULL << ffz(addr);
		KUNIT_EXPECT_EQ(test, pages << 12, BIT_ULL(size_lg2));
		KUNIT_EXPECT_EQ(test, (addr & ~(pages - 1)) << 12, iova);
	}
}

/* ----- Queue ----- */

/**
 * struct command_test - what each case starts from
 * @test: the case
 * @bus: fake
 * @fake: the same
 * @cq: enabled
 * @live: pieces of memory in use before
 * @deaths: calls of on_dead
 * @release_at: executing starts at so many reads of cqcsr
 * @inner: operations of @bus, where a case put its own before them
 * @rung: doorbells that it saw
 * @early: those that came before the fence was known as issued
 * @cmds: of the last batch of marks
 */
struct command_test {
	struct kunit *test;
	struct rviommu_bus *bus;
	struct fakebus *fake;
	struct rviommu_cmdq cq;
	long live;
	unsigned int deaths;
	unsigned int release_at;
	const struct rviommu_bus_ops *inner;
	unsigned int rung;
	unsigned int early;
	struct rviommu_command cmds[128];
};

static bool count_death(struct rviommu_cmdq *cq, bool last)
{
	container_of(cq, struct command_test, cq)->deaths++;
	return true;
}

static unsigned int short_timeout(void)
{
	return 100;
}

static struct command_test *prepare(struct kunit *test, u64 caps)
{
	struct command_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->test = test;
	t->bus = fakebus_create(test, caps);
	t->fake = to_fakebus(t->bus);
	t->live = testdev_live();
	kunit_activate_static_stub(test, rviommu_queue_timeout_us, short_timeout);
	return t;
}

static void stop(void *data)
{
	struct command_test *t = data;

	t->fake->read_hook = NULL;
	t->fake->gone = false;
	t->fake->busy_forever = false;
	t->fake->never_off = false;
	rviommu_cmdq_destroy(&t->cq);
	KUNIT_EXPECT_EQ(t->test, rviommu_mem_live(), t->live);
	KUNIT_EXPECT_LE(t->test, t->deaths, 1);
}

static struct command_test *start_caps(struct kunit *test, u8 entries_lg2, u64 caps)
{
	struct command_test *t = prepare(test, caps);

	KUNIT_ASSERT_EQ(test, 0, rviommu_cmdq_init(&t->cq, t->bus, entries_lg2, 56, NUMA_NO_NODE));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, stop, t));
	t->cq.on_dead = count_death;
	KUNIT_ASSERT_EQ(test, 0, rviommu_cmdq_enable(&t->cq));
	fakebus_clear(t->bus);
	return t;
}

static struct command_test *start(struct kunit *test, u8 entries_lg2)
{
	return start_caps(test, entries_lg2, VERSION_1_0 | CAP_ATS);
}

static s64 event(struct command_test *t, enum rviommu_cmdq_event event)
{
	return atomic64_read(&t->cq.events[event]);
}

/* As rviommu_cmdq_sync(), by whoever may not sleep: so it looks as often as time says. */
static int sync_now(struct rviommu_cmdq *cq, const struct rviommu_command *cmds, unsigned int nr)
{
	u32 fence;

	return rviommu_cmdq_issue_atomic(cq, cmds, nr, &fence) ?:
	       rviommu_cmdq_wait_atomic(cq, fence);
}

static void make_marks(struct command_test *t, u32 first, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		t->cmds[i] = raw(mark(first + i), 0);
}

static int sync_marks(struct command_test *t, u32 first, unsigned int nr)
{
	make_marks(t, first, nr);
	return sync_now(&t->cq, t->cmds, nr);
}

static int issue_marks(struct command_test *t, u32 first, unsigned int nr, u32 *fence)
{
	make_marks(t, first, nr);
	return rviommu_cmdq_issue_atomic(&t->cq, t->cmds, nr, fence);
}

/*
 * The commands executed since fakebus_clear(), without fences: exactly @want, or
 * the marks from @first when it is NULL.
 */
static void expect_log(struct command_test *t, const u64 *want, u32 first, unsigned int nr)
{
	unsigned int i, n, found = 0;

	fakebus_commands(t->bus, &n);
	for (i = 0; i < n; i++) {
		u64 got = fakebus_command(t->bus, i, 0);

		if (is_fence(got))
			continue;
		if (found < nr)
			KUNIT_EXPECT_EQ_MSG(t->test, got, want ? want[found] : mark(first + found),
					    "command %u", found);
		found++;
	}
	KUNIT_EXPECT_EQ(t->test, found, nr);
}

static void expect_executed(struct command_test *t, const u64 *dword0, unsigned int nr)
{
	expect_log(t, dword0, 0, nr);
}

static void expect_marks(struct command_test *t, u32 first, unsigned int nr)
{
	expect_log(t, NULL, first, nr);
}

static unsigned int executed_fences(struct command_test *t)
{
	unsigned int i, n, fences = 0;

	fakebus_commands(t->bus, &n);
	for (i = 0; i < n; i++)
		fences += is_fence(fakebus_command(t->bus, i, 0));
	return fences;
}

static void expect_alive(struct command_test *t)
{
	KUNIT_EXPECT_FALSE(t->test, t->cq.dead);
	KUNIT_EXPECT_EQ(t->test, t->deaths, 0);
	fakebus_clear(t->bus);
	KUNIT_EXPECT_EQ(t->test, sync_marks(t, 900, 2), 0);
	expect_marks(t, 900, 2);
}

/*
 * Given up: said once, the owner told once, and nothing goes on. Nor because the
 * time for a fence ran out, in which a waiter looks at cqcsr 78125 times: whatever
 * else is wrong has to be noticed at a look.
 */
static void expect_dead(struct command_test *t)
{
	u32 fence;

	KUNIT_EXPECT_TRUE(t->test, t->cq.dead);
	KUNIT_EXPECT_LT(t->test, t->fake->reads[CQCSR / 4], 50000);
	KUNIT_EXPECT_EQ(t->test, t->deaths, 1);
	fakebus_clear(t->bus);
	KUNIT_EXPECT_EQ(t->test, sync_marks(t, 900, 2), -EIO);
	KUNIT_EXPECT_EQ(t->test, issue_marks(t, 900, 2, &fence), -EIO);
	KUNIT_EXPECT_EQ(t->test, t->fake->doorbells, 0);
	KUNIT_EXPECT_EQ(t->test, rviommu_cmdq_enable(&t->cq), -EIO);
	rviommu_cmdq_kill(&t->cq, "again");
	rviommu_cmdq_handle_errors(&t->cq);
	KUNIT_EXPECT_EQ(t->test, t->deaths, 1);
	if (!t->fake->gone && !t->fake->busy_forever)
		KUNIT_EXPECT_EQ(t->test, fakebus_peek(t->bus, CQCSR) & 3, 0);
}

/* Let the held IOMMU go on when a waiter has looked at cqcsr often enough. */
static void release_hook(struct fakebus *fake, unsigned int offset, void *arg)
{
	struct command_test *t = arg;

	if (offset == CQCSR && fake->reads[CQCSR / 4] >= t->release_at)
		WRITE_ONCE(fake->rate, UINT_MAX);
}

static void hold(struct command_test *t, unsigned int release_at)
{
	t->release_at = release_at;
	t->fake->rate = 0;
	t->fake->read_arg = t;
	t->fake->read_hook = release_hook;
	fakebus_clear(t->bus);
}

static void command_sync(struct kunit *test)
{
	struct command_test *t = start(test, 4);
	unsigned long flags;

	KUNIT_EXPECT_EQ(test, sync_marks(t, 10, 3), 0);
	expect_marks(t, 10, 3);
	KUNIT_EXPECT_EQ(test, executed_fences(t), 1);
	/* the fence is last, and one doorbell did it */
	KUNIT_EXPECT_TRUE(test, is_fence(fakebus_command(t->bus, 3, 0)));
	KUNIT_EXPECT_EQ(test, t->fake->doorbells, 1);
	/* PR, PW and AV, the number, and where to */
	KUNIT_EXPECT_EQ(test, fakebus_command(t->bus, 3, 0),
			(u64)t->cq.issued << 32 | 0x3402);
	KUNIT_EXPECT_EQ(test, fakebus_command(t->bus, 3, 1), virt_to_phys(t->cq.done) >> 2);
	/* waiting looks at memory only */
	KUNIT_EXPECT_EQ(test, t->fake->reads[CQCSR / 4], 0);

	fakebus_clear(t->bus);
	KUNIT_EXPECT_EQ(test, sync_now(&t->cq, NULL, 0), 0);
	expect_marks(t, 0, 0);
	KUNIT_EXPECT_EQ(test, executed_fences(t), 1);

	local_irq_save(flags);
	KUNIT_EXPECT_EQ(test, sync_marks(t, 20, 3), 0);
	local_irq_restore(flags);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_COMMANDS), 9);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_FENCES), 3);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_WAITERS), 3);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_FULL), 0);
}

/* The one that counts: the newest fence in the ring is known as issued. */
static void doorbell_after_issued(struct rviommu_bus *bus, unsigned int offset, u32 value)
{
	struct command_test *t = to_fakebus(bus)->read_arg;
	const struct rviommu_command *ring = t->cq.q.base;

	if (offset == CQT) {
		t->rung++;
		t->early += le64_to_cpu(ring[(value - 1) & 15].dword[0]) !=
			    ((u64)READ_ONCE(t->cq.issued) << 32 | 0x3402);
	}
	t->inner->write32(bus, offset, value);
}

/*
 * The IOMMU may complete the fence within the doorbell. Whoever sees its number in
 * memory then, on another CPU, must not find that it was never issued.
 */
static void command_issued_before_doorbell(struct kunit *test)
{
	struct command_test *t = start(test, 4);
	struct rviommu_bus_ops ops = *t->bus->ops;
	unsigned int i;

	t->inner = t->bus->ops;
	ops.write32 = doorbell_after_issued;
	t->fake->read_arg = t;
	t->bus->ops = &ops;
	for (i = 0; i < 10; i++)
		KUNIT_EXPECT_EQ(test, sync_marks(t, i, i % 3), 0);
	t->bus->ops = t->inner;
	KUNIT_EXPECT_EQ(test, t->rung, 10);
	KUNIT_EXPECT_EQ(test, t->early, 0);
	expect_alive(t);
}

/* Every length at every place of the ring, whether it fits at once or not. */
static void command_wrap(struct kunit *test)
{
	struct command_test *t = start(test, 3);
	unsigned int nr, place;

	for (nr = 0; nr <= 9; nr++) {
		for (place = 0; place < 8; place++) {
			while (t->cq.tail != place)
				KUNIT_ASSERT_EQ(test, sync_now(&t->cq, NULL, 0), 0);
			fakebus_clear(t->bus);
			KUNIT_ASSERT_EQ(test, sync_marks(t, 100 * nr, nr), 0);
			expect_marks(t, 100 * nr, nr);
			KUNIT_EXPECT_EQ(test, executed_fences(t), nr > 6 ? 2 : 1);
		}
	}
	expect_alive(t);
}

/* Fence numbers wrap around. */
static void command_number_wrap(struct kunit *test)
{
	struct command_test *t = start(test, 4);
	u32 old, fence;
	int i;

	t->cq.issued = U32_MAX - 3;
	t->cq.completed = U32_MAX - 3;
	*t->cq.done = cpu_to_le32(U32_MAX - 3);
	KUNIT_EXPECT_EQ(test, issue_marks(t, 1, 1, &old), 0);
	for (i = 0; i < 8; i++)
		KUNIT_EXPECT_EQ(test, sync_marks(t, i, 1), 0);
	KUNIT_EXPECT_EQ(test, t->cq.issued, 5);
	/* from before the wrap */
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, old), 0);
	/* not complete, however far away: */
	hold(t, 3);
	KUNIT_EXPECT_EQ(test, issue_marks(t, 1, 1, &fence), 0);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, fence), 0);
	KUNIT_EXPECT_GE(test, t->fake->reads[CQCSR / 4], 3);
	expect_alive(t);
}

/* No room: wait until fences complete, and lose nothing. */
static void command_full(struct kunit *test)
{
	struct command_test *t = start(test, 3);
	u32 fence, last;

	hold(t, 5);
	KUNIT_ASSERT_EQ(test, issue_marks(t, 0, 6, &fence), 0);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_FULL), 0);
	KUNIT_EXPECT_EQ(test, t->fake->nr_log, 0);
	/* not even a fence fits */
	KUNIT_ASSERT_EQ(test, issue_marks(t, 6, 0, &last), 0);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_FULL), 1);
	KUNIT_EXPECT_GE(test, t->fake->reads[CQCSR / 4], 5);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, fence), 0);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, last), 0);
	expect_marks(t, 0, 6);
	expect_alive(t);
}

static void command_larger_than_ring(struct kunit *test)
{
	struct command_test *t = start(test, 3);

	KUNIT_ASSERT_EQ(test, sync_marks(t, 0, 100), 0);
	expect_marks(t, 0, 100);
	/* seven slots, one of them a fence */
	KUNIT_EXPECT_EQ(test, executed_fences(t), 17);

	/* and when the IOMMU takes its time */
	fakebus_clear(t->bus);
	t->fake->rate = 1;
	KUNIT_ASSERT_EQ(test, sync_marks(t, 0, 100), 0);
	expect_marks(t, 0, 100);
	KUNIT_EXPECT_GE(test, executed_fences(t), 17);

	/* the smallest ring that works: a command and a fence in three slots */
	t = start(test, 2);
	KUNIT_ASSERT_EQ(test, sync_marks(t, 0, 100), 0);
	expect_marks(t, 0, 100);
	KUNIT_EXPECT_EQ(test, executed_fences(t), 50);
}

/* Room that recovery found: whoever waits for it must see it. */
static void recover_hook(struct fakebus *fake, unsigned int offset, void *arg)
{
	struct command_test *t = arg;

	if (offset != CQCSR)
		return;
	fake->read_hook = NULL;
	fakebus_step(t->bus, UINT_MAX);
	rviommu_cmdq_handle_errors(&t->cq);
	KUNIT_EXPECT_EQ(t->test, t->cq.completed, t->cq.issued);
}

static void command_full_recovery(struct kunit *test)
{
	struct command_test *t = start(test, 3);
	u32 fence;

	hold(t, UINT_MAX);
	KUNIT_ASSERT_EQ(test, issue_marks(t, 0, 6, &fence), 0);
	t->cq.timeout_us = 5000;
	t->fake->read_hook = recover_hook;
	KUNIT_EXPECT_EQ(test, issue_marks(t, 6, 3, &fence), 0);
	t->fake->rate = UINT_MAX;
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, fence), 0);
	expect_marks(t, 0, 9);
	expect_alive(t);
}

/*
 * Producers that arrive while the ring is full: served in the order they came,
 * with one fence.
 */
static void command_combining(struct kunit *test)
{
	struct command_test *t = start(test, 5);
	struct rviommu_cmdq_batch batches[5] = {};
	struct rviommu_command cmds[5][3];
	unsigned int i, j;
	s64 fences;
	u32 fence;

	hold(t, 5);
	KUNIT_ASSERT_EQ(test, issue_marks(t, 0, 30, &fence), 0);
	fences = event(t, RVIOMMU_CMDQ_FENCES);
	for (i = 0; i < ARRAY_SIZE(batches); i++) {
		for (j = 0; j < 3; j++)
			cmds[i][j] = raw(mark(30 + 3 * i + j), 0);
		batches[i].cmds = cmds[i];
		batches[i].nr = 3;
		llist_add(&batches[i].node, &t->cq.incoming);
	}
	KUNIT_EXPECT_EQ(test, sync_marks(t, 45, 3), 0);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_FENCES), fences + 1);
	for (i = 0; i < ARRAY_SIZE(batches); i++) {
		KUNIT_EXPECT_EQ(test, batches[i].state, RVIOMMU_CMDQ_QUEUED);
		KUNIT_EXPECT_EQ(test, batches[i].fence, t->cq.issued);
		KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, batches[i].fence), 0);
	}
	expect_marks(t, 0, 48);
	expect_alive(t);
}

/* A slot is not used again before a fence behind it has completed. */
static void command_slots_stay(struct kunit *test)
{
	struct command_test *t = start(test, 4);
	u32 first, second;

	hold(t, 20);
	KUNIT_ASSERT_EQ(test, issue_marks(t, 0, 5, &first), 0);
	KUNIT_ASSERT_EQ(test, issue_marks(t, 5, 5, &second), 0);
	/* cqh is past all commands of the first batch, its fence is not done */
	KUNIT_EXPECT_EQ(test, fakebus_step(t->bus, 5), 5);
	KUNIT_ASSERT_EQ(test, issue_marks(t, 10, 3, &second), 0);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_FULL), 1);
	KUNIT_EXPECT_GE(test, t->fake->reads[CQCSR / 4], 20);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, second), 0);
	expect_marks(t, 0, 13);
}

/* ----- Errors ----- */

static void command_illegal(struct kunit *test)
{
	struct command_test *t = start(test, 4);
	const struct rviommu_command cmds[] = {
		raw(mark(1), 0), raw(0x123405, 0x77), raw(mark(2), 0), raw(0x7f, 0),
		raw(mark(3), 0),
	};
	/* twice: everything since the last completed fence is submitted again */
	const u64 want[] = {
		mark(1),
		mark(1), NOP, mark(2),
		mark(1), NOP, mark(2), NOP, mark(3),
	};

	KUNIT_EXPECT_EQ(test, sync_marks(t, 0, 1), 0);
	fakebus_clear(t->bus);
	KUNIT_EXPECT_EQ(test, sync_now(&t->cq, cmds, ARRAY_SIZE(cmds)), 0);
	expect_executed(t, want, ARRAY_SIZE(want));
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_ILLEGAL), 2);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 2);
	expect_alive(t);
}

/* An invalidation that is refused becomes a larger one, never none. */
static void command_illegal_widened(struct kunit *test)
{
	struct command_test *t = start(test, 4);
	struct rviommu_command vma = rviommu_cmd_iotinval_vma(7);
	const struct rviommu_command ranges[] = {
		raw(mark(1), 0),
		rviommu_cmd_with_range(vma, 0x200000, 21),
		rviommu_cmd_with_addr(vma, 0x3000),
		rviommu_cmd_with_range(vma, 0x400000, 21),
		rviommu_cmd_iotinval_vma_all(),
		rviommu_cmd_with_range(vma, 0x600000, 21),
	};
	/* S is not in these capabilities; one restart for all that have it */
	const u64 want[] = {
		mark(1),
		mark(1), VMA_ALL, 0x100007401, VMA_ALL, VMA_ALL, VMA_ALL,
	};
	const struct rviommu_command nonleaf =
		rviommu_cmd_with_nonleaf(rviommu_cmd_with_addr(vma, 0x3000));
	const u64 want_all[] = { VMA_ALL };
	const struct rviommu_command pdt = rviommu_cmd_inval_pdt(0x12, 3);
	const u64 want_ddt[] = { DDT_ALL };
	const struct rviommu_command gvma =
		rviommu_cmd_with_addr(rviommu_cmd_iotinval_gvma(5), 0x1000);
	const u64 want_gvma[] = { 0x0000500200000081 };
	const u64 want_nop[] = { NOP };

	KUNIT_EXPECT_EQ(test, sync_now(&t->cq, ranges, ARRAY_SIZE(ranges)), 0);
	expect_executed(t, want, ARRAY_SIZE(want));
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 1);

	fakebus_clear(t->bus);
	KUNIT_EXPECT_EQ(test, sync_now(&t->cq, &nonleaf, 1), 0);
	expect_executed(t, want_all, 1);

	fakebus_clear(t->bus);
	fakebus_trap(t->bus, FAKEBUS_ILLEGAL, OP_MASK, 0x083, 0, 1);
	KUNIT_EXPECT_EQ(test, sync_now(&t->cq, &pdt, 1), 0);
	expect_executed(t, want_ddt, 1);

	fakebus_clear(t->bus);
	fakebus_trap(t->bus, FAKEBUS_ILLEGAL, OP_MASK, 0x081, 0, 1);
	KUNIT_EXPECT_EQ(test, sync_now(&t->cq, &gvma, 1), 0);
	expect_executed(t, want_gvma, 1);

	/* no second stage: nothing of a guest is cached */
	fakebus_clear(t->bus);
	fakebus_trap(t->bus, FAKEBUS_ILLEGAL, OP_MASK, 0x081, 0, 2);
	KUNIT_EXPECT_EQ(test, sync_now(&t->cq, &gvma, 1), 0);
	expect_executed(t, want_nop, 1);
	expect_alive(t);
}

/* Left out, it would be a lie; so these end the queue, at once. */
static void command_illegal_mandatory(struct kunit *test)
{
	const struct rviommu_command vma = rviommu_cmd_iotinval_vma_all();
	const struct rviommu_command ddt = rviommu_cmd_inval_ddt(4);
	const struct rviommu_command unknown = raw(0x3f, 0);
	struct command_test *t = start(test, 4);

	/* a fence that is left out would keep its waiters until the end of their time */
	fakebus_trap(t->bus, FAKEBUS_ILLEGAL, OP_MASK, OP_FENCE, 0, 1);
	KUNIT_EXPECT_EQ(test, sync_marks(t, 0, 3), -EIO);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 0);
	expect_dead(t);

	/* what took the place of the command that was left out */
	t = start(test, 4);
	fakebus_trap(t->bus, FAKEBUS_ILLEGAL, ~0ULL, NOP, 0, 1000);
	KUNIT_EXPECT_EQ(test, sync_now(&t->cq, &unknown, 1), -EIO);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 1);
	expect_dead(t);

	t = start(test, 4);
	fakebus_trap(t->bus, FAKEBUS_ILLEGAL, OP_MASK, VMA_ALL, 0, 1);
	KUNIT_EXPECT_EQ(test, sync_now(&t->cq, &vma, 1), -EIO);
	expect_dead(t);

	t = start(test, 4);
	fakebus_trap(t->bus, FAKEBUS_ILLEGAL, OP_MASK, DDT_ALL, 0, 2);
	KUNIT_EXPECT_EQ(test, sync_now(&t->cq, &ddt, 1), -EIO);
	expect_dead(t);
}

/* A device does not answer: its ATS.INVAL is left out, the others' stay after it. */
static void command_timeout(struct kunit *test)
{
	struct command_test *t = start(test, 4);
	const u64 ats = 0x0001230000000004;	/* ATS.INVAL, RID 0x123 */
	const struct rviommu_command cmds[] = {
		raw(mark(1), 0), raw(ats, 0x1000), raw(mark(2), 0), raw(ats, 0x2000),
	};
	const u64 want[] = {
		mark(1), ats, mark(2), ats,
		mark(1), NOP, mark(2), NOP, NOP, mark(3),
	};
	const struct rviommu_command after[] = { raw(ats, 0x3000), raw(mark(3), 0) };
	u32 fence, last;

	fakebus_trap(t->bus, FAKEBUS_TIMEOUT, OP_MASK, 4, 1, 1);
	t->fake->rate = 0;
	KUNIT_ASSERT_EQ(test, rviommu_cmdq_issue_atomic(&t->cq, cmds, ARRAY_SIZE(cmds), &fence), 0);
	KUNIT_ASSERT_EQ(test, rviommu_cmdq_issue_atomic(&t->cq, after, ARRAY_SIZE(after), &last),
			0);
	t->fake->rate = UINT_MAX;
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, fence), 0);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, last), 0);
	expect_executed(t, want, ARRAY_SIZE(want));
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_TIMEOUT), 1);
	expect_alive(t);
}

static void command_memory_fault(struct kunit *test)
{
	struct command_test *t = start(test, 3);
	const u64 want[] = { mark(0), mark(1), mark(0), mark(1), mark(2), mark(3) };
	unsigned int place;

	/* at every place of the ring, so that the window to move wraps */
	for (place = 0; place < 8; place++) {
		while (t->cq.tail != place)
			KUNIT_ASSERT_EQ(test, sync_now(&t->cq, NULL, 0), 0);
		fakebus_clear(t->bus);
		fakebus_trap(t->bus, FAKEBUS_MEMFAULT, OP_MASK, 1, 2, 1);
		KUNIT_EXPECT_EQ(test, sync_marks(t, 0, 4), 0);
		expect_executed(t, want, ARRAY_SIZE(want));
		KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_MEMFAULT), place + 1);
	}
	/* of the write of a fence */
	fakebus_trap(t->bus, FAKEBUS_MEMFAULT, OP_MASK, OP_FENCE, 0, 1);
	KUNIT_EXPECT_EQ(test, sync_marks(t, 0, 4), 0);
	expect_alive(t);
}

/* Recovered by the interrupt, while nobody polls. */
static void command_interrupt(struct kunit *test)
{
	struct command_test *t = start(test, 4);
	const u64 want[] = { mark(0), mark(0), mark(1), mark(2) };
	u32 fence;

	fakebus_trap(t->bus, FAKEBUS_MEMFAULT, OP_MASK, 1, 1, 1);
	KUNIT_ASSERT_EQ(test, issue_marks(t, 0, 3, &fence), 0);
	KUNIT_EXPECT_EQ(test, fakebus_peek(t->bus, CQCSR), 0x10103);
	KUNIT_EXPECT_EQ(test, fakebus_peek(t->bus, IPSR), 1);
	rviommu_cmdq_handle_errors(&t->cq);
	KUNIT_EXPECT_EQ(test, fakebus_peek(t->bus, CQCSR), 0x10003);
	/* the cause is gone: the handler can take the interrupt back */
	t->bus->ops->write32(t->bus, IPSR, 1);
	KUNIT_EXPECT_EQ(test, fakebus_peek(t->bus, IPSR), 0);
	expect_executed(t, want, ARRAY_SIZE(want));
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, fence), 0);

	/* never asked for, but it must not raise interrupts for ever */
	t->fake->reg[CQCSR / 4] |= 0x800;
	rviommu_cmdq_handle_errors(&t->cq);
	KUNIT_EXPECT_EQ(test, fakebus_peek(t->bus, CQCSR), 0x10003);
	/* nothing to do */
	rviommu_cmdq_handle_errors(&t->cq);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 1);
	expect_alive(t);
}

static void command_restart_limit(struct kunit *test)
{
	struct command_test *t = start(test, 4);
	int i;

	/* not counted together when fences complete in between */
	for (i = 0; i < 3 * RVIOMMU_CMDQ_MAX_RESTARTS; i++) {
		fakebus_trap(t->bus, FAKEBUS_MEMFAULT, 0, 0, 1, 1);
		KUNIT_EXPECT_EQ(test, sync_marks(t, i, 3), 0);
	}
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 3 * RVIOMMU_CMDQ_MAX_RESTARTS);

	fakebus_trap(t->bus, FAKEBUS_MEMFAULT, OP_MASK, 1, 1, 1000);
	KUNIT_EXPECT_EQ(test, sync_marks(t, 0, 3), -EIO);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS),
			4 * RVIOMMU_CMDQ_MAX_RESTARTS + 1);
	expect_dead(t);
}

static void command_impossible_head(struct kunit *test)
{
	const u32 lies[] = { 7, 15, 16, 0x80000000, 0xfffffffe };
	struct command_test *t;
	int i;

	/* the ring holds slots 0 to 3, of 16 */
	for (i = 0; i < ARRAY_SIZE(lies); i++) {
		t = start(test, 4);
		t->fake->lie_cqh = lies[i];
		fakebus_trap(t->bus, FAKEBUS_MEMFAULT, OP_MASK, 1, 1, 1);
		KUNIT_EXPECT_EQ(test, sync_marks(t, 0, 3), -EIO);
		KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 0);
		expect_dead(t);
	}
}

static void command_impossible_fence(struct kunit *test)
{
	const u32 lies[] = { 6, 0x7fffffff, 0x80000004, 0xdeadbeef, U32_MAX, 1 };
	struct command_test *t;
	int i, n;

	/* 3 completed, 4 is issued */
	for (i = 0; i < ARRAY_SIZE(lies); i++) {
		t = start(test, 4);
		for (n = 0; n < 3; n++)
			KUNIT_EXPECT_EQ(test, sync_marks(t, n, 5), 0);
		t->fake->lie = lies[i];
		fakebus_trap(t->bus, FAKEBUS_LIE, OP_MASK, OP_FENCE, 0, 1);
		fakebus_clear(t->bus);
		KUNIT_EXPECT_EQ_MSG(test, sync_marks(t, 0, 3), -EIO, "%#x", lies[i]);
		/* seen at the first look, not after the time for a fence */
		KUNIT_EXPECT_LE(test, t->fake->reads[CQCSR / 4], 5);
		expect_dead(t);
	}
}

/* Late, but true: the number of the newest fence stands for those before it. */
static void command_fence_skipped(struct kunit *test)
{
	struct command_test *t = start(test, 4);
	u32 fence;

	fakebus_trap(t->bus, FAKEBUS_SWALLOW, OP_MASK, OP_FENCE, 0, 1);
	KUNIT_ASSERT_EQ(test, issue_marks(t, 0, 3, &fence), 0);
	KUNIT_EXPECT_EQ(test, sync_marks(t, 3, 3), 0);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, fence), 0);
	expect_alive(t);
}

static void command_fence_never(struct kunit *test)
{
	struct command_test *t = start(test, 3);
	unsigned int i;
	u32 fence;

	t->cq.timeout_us = 2000;
	fakebus_trap(t->bus, FAKEBUS_SWALLOW, OP_MASK, OP_FENCE, 0, 1000);
	KUNIT_EXPECT_EQ(test, sync_marks(t, 0, 3), -EIO);
	expect_dead(t);

	/* the same when it is room that is waited for */
	t = start(test, 3);
	t->cq.timeout_us = 2000;
	t->fake->rate = 0;
	KUNIT_ASSERT_EQ(test, issue_marks(t, 0, 6, &fence), 0);
	KUNIT_EXPECT_EQ(test, sync_marks(t, 0, 3), -EIO);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, fence), -EIO);
	expect_dead(t);

	/* and when others completed while it was waited for */
	t = start(test, 5);
	t->cq.timeout_us = 2000;
	t->fake->rate = 0;
	for (i = 0; i < 10; i++)
		KUNIT_ASSERT_EQ(test, issue_marks(t, i, 1, &fence), 0);
	fakebus_trap(t->bus, FAKEBUS_SWALLOW, OP_MASK, OP_FENCE, 5, 1000);
	t->fake->rate = 1;
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, fence), -EIO);
	KUNIT_EXPECT_EQ(test, executed_fences(t), 10);
	expect_dead(t);
}

/* Found dead halfway: also who had been served by then is told. */
static void command_dies_while_queueing(struct kunit *test)
{
	struct command_test *t = start(test, 3);
	struct rviommu_cmdq_batch first = {};

	llist_add(&first.node, &t->cq.incoming);
	*t->cq.done = cpu_to_le32(77);
	KUNIT_EXPECT_EQ(test, sync_marks(t, 0, 8), -EIO);
	KUNIT_EXPECT_EQ(test, first.state, RVIOMMU_CMDQ_FAILED);
	KUNIT_EXPECT_EQ(test, t->fake->nr_log, 0);
	expect_dead(t);
}

/* Slow is not stuck: each fence that completes starts the time again. */
static void command_slow(struct kunit *test)
{
	struct command_test *t = start(test, 5);
	unsigned int i;
	u32 fence;

	t->fake->rate = 0;
	for (i = 0; i < 15; i++)
		KUNIT_ASSERT_EQ(test, issue_marks(t, i, 1, &fence), 0);
	/* one command per look at cqcsr, that is, per 64 us */
	t->cq.timeout_us = 1000;
	t->fake->rate = 1;
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, fence), 0);
	KUNIT_EXPECT_GE(test, t->fake->reads[CQCSR / 4], 29);
	expect_alive(t);
}

/*
 * A fence from before a restart writes after it. Its number must not be taken
 * for progress of the commands that were submitted again.
 */
static void command_late_write(struct kunit *test)
{
	struct command_test *t = start(test, 4);
	u32 first, second;

	fakebus_trap(t->bus, FAKEBUS_LATE, OP_MASK, OP_FENCE, 0, 2);
	fakebus_trap(t->bus, FAKEBUS_MEMFAULT, 0, 0, 6, 1);
	KUNIT_ASSERT_EQ(test, issue_marks(t, 0, 2, &first), 0);
	KUNIT_ASSERT_EQ(test, issue_marks(t, 2, 2, &second), 0);
	KUNIT_EXPECT_EQ(test, t->fake->nr_late, 2);
	KUNIT_ASSERT_EQ(test, issue_marks(t, 4, 2, &second), 0);
	KUNIT_EXPECT_EQ(test, fakebus_peek(t->bus, CQCSR), 0x10103);

	t->fake->rate = 0;
	rviommu_cmdq_handle_errors(&t->cq);
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 1);
	/* submitted again, nothing executed yet; now the old writes arrive */
	fakebus_late_writes(t->bus);
	KUNIT_EXPECT_EQ(test, le32_to_cpu(*t->cq.done), t->cq.completed);
	KUNIT_EXPECT_EQ(test, t->cq.tail, 9);
	/* would overwrite what was not fetched yet, were it taken for progress */
	hold(t, 3);
	KUNIT_EXPECT_EQ(test, sync_marks(t, 6, 8), 0);
	expect_marks(t, 0, 14);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, second), 0);
	expect_alive(t);
}

static void command_restart_fails(struct kunit *test)
{
	struct command_test *t = start(test, 4);

	fakebus_trap(t->bus, FAKEBUS_MEMFAULT, OP_MASK, 1, 1, 1);
	t->fake->never_off = true;
	KUNIT_EXPECT_EQ(test, sync_marks(t, 0, 3), -EIO);
	expect_dead(t);

	t = start(test, 4);
	fakebus_trap(t->bus, FAKEBUS_MEMFAULT, OP_MASK, 1, 1, 1);
	t->fake->never_on = true;
	KUNIT_EXPECT_EQ(test, sync_marks(t, 0, 3), -EIO);
	expect_dead(t);

	t = start(test, 4);
	fakebus_trap(t->bus, FAKEBUS_MEMFAULT, OP_MASK, 1, 1, 1);
	t->fake->busy_forever = true;
	KUNIT_EXPECT_EQ(test, sync_marks(t, 0, 3), -EIO);
	expect_dead(t);
}

/* Where a queue that stays on may still write is not given back: ring and fence. */
static void command_never_off(struct kunit *test)
{
	struct command_test *t = start(test, 4);
	void *ring = t->cq.q.base, *done_page = t->cq.done_page;

	t->fake->never_off = true;
	rviommu_cmdq_destroy(&t->cq);
	KUNIT_EXPECT_PTR_EQ(test, t->cq.done_page, NULL);
	KUNIT_ASSERT_EQ(test, rviommu_mem_live(), t->live + 2);
	rviommu_page_free(ring);
	rviommu_page_free(done_page);
}

static void command_gone(struct kunit *test)
{
	struct command_test *t = start(test, 4);

	KUNIT_EXPECT_EQ(test, sync_marks(t, 0, 3), 0);
	t->fake->gone = true;
	KUNIT_EXPECT_EQ(test, sync_marks(t, 0, 3), -EIO);
	expect_dead(t);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_disable(&t->cq), -ENODEV);
}

static void command_switched_off(struct kunit *test)
{
	struct command_test *t = start(test, 4);

	/* somebody reset the function */
	t->fake->reg[CQCSR / 4] = 0;
	KUNIT_EXPECT_EQ(test, sync_marks(t, 0, 3), -EIO);
	expect_dead(t);
}

static void command_off_and_on(struct kunit *test)
{
	struct command_test *t = start(test, 4);
	u32 fence, number;
	int i;

	KUNIT_EXPECT_EQ(test, sync_marks(t, 0, 3), 0);
	hold(t, 3);
	KUNIT_EXPECT_EQ(test, issue_marks(t, 3, 2, &fence), 0);
	/* what was queued is executed, behind it a fence, before it goes off */
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_disable(&t->cq), 0);
	expect_marks(t, 3, 2);
	KUNIT_EXPECT_EQ(test, executed_fences(t), 2);
	KUNIT_EXPECT_EQ(test, fakebus_peek(t->bus, CQCSR), 0);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, fence), 0);
	KUNIT_EXPECT_EQ(test, sync_marks(t, 5, 3), -EIO);
	rviommu_cmdq_handle_errors(&t->cq);
	KUNIT_EXPECT_FALSE(test, t->cq.dead);

	/* resume: the registers have forgotten everything */
	number = t->cq.issued;
	for (i = 0x18; i < 0x54; i += 4)
		t->fake->reg[i / 4] = 0;
	KUNIT_ASSERT_EQ(test, rviommu_cmdq_enable(&t->cq), 0);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, fence), 0);
	expect_alive(t);
	KUNIT_EXPECT_EQ(test, t->cq.issued, number + 1);
}

/*
 * Producers that came between the last fence and the switch: one whose commands
 * and fence are in the ring, and will never be executed, and one that waits for
 * room. Both are told, and the next enable starts afresh.
 */
static void command_off_under_producers(struct kunit *test)
{
	struct command_test *t = start(test, 3);
	struct rviommu_cmdq_batch batch = {};
	u32 fence;

	KUNIT_EXPECT_EQ(test, sync_marks(t, 0, 3), 0);
	t->fake->rate = 0;
	KUNIT_ASSERT_EQ(test, issue_marks(t, 3, 2, &fence), 0);
	/* as if they had come after the fence of rviommu_cmdq_disable() */
	t->cq.running = false;
	list_add_tail(&batch.link, &t->cq.pending);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_disable(&t->cq), 0);
	KUNIT_EXPECT_EQ(test, batch.state, RVIOMMU_CMDQ_FAILED);
	KUNIT_EXPECT_TRUE(test, list_empty(&t->cq.pending));
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, fence), -EIO);
	KUNIT_EXPECT_FALSE(test, t->cq.dead);

	/* the caches are emptied after that: what was lost is not owed any more */
	t->fake->rate = UINT_MAX;
	KUNIT_ASSERT_EQ(test, rviommu_cmdq_enable(&t->cq), 0);
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_wait_atomic(&t->cq, fence), 0);
	expect_alive(t);
	expect_marks(t, 900, 2);
}

static unsigned int allocations_left;

static bool fail_nth(void)
{
	return !allocations_left--;
}

static void command_init_fails(struct kunit *test)
{
	struct command_test *t = prepare(test, VERSION_1_0);
	unsigned int n;
	int ret;

	kunit_activate_static_stub(test, rviommu_alloc_fails, fail_nth);
	for (n = 0; n < 20; n++) {
		allocations_left = n;
		ret = rviommu_cmdq_init(&t->cq, t->bus, 4, 56, NUMA_NO_NODE);
		if (!ret)
			break;
		KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
		KUNIT_EXPECT_EQ(test, rviommu_mem_live(), t->live);
		KUNIT_EXPECT_EQ(test, fakebus_peek(t->bus, CQCSR), 0);
	}
	kunit_deactivate_static_stub(test, rviommu_alloc_fails);
	KUNIT_EXPECT_EQ(test, ret, 0);
	/* two pages with their descriptors, two arrays */
	KUNIT_EXPECT_EQ(test, n, 6);
	rviommu_cmdq_destroy(&t->cq);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), t->live);

	/* a command and its fence do not fit */
	t->fake->max_lg2[0] = 1;
	KUNIT_EXPECT_EQ(test, rviommu_cmdq_init(&t->cq, t->bus, 4, 56, NUMA_NO_NODE), -EIO);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), t->live);

	t->fake->max_lg2[0] = 2;
	KUNIT_ASSERT_EQ(test, rviommu_cmdq_init(&t->cq, t->bus, 4, 56, NUMA_NO_NODE), 0);
	KUNIT_EXPECT_EQ(test, t->cq.q.entries_lg2, 2);
	KUNIT_ASSERT_EQ(test, rviommu_cmdq_enable(&t->cq), 0);
	expect_alive(t);
	rviommu_cmdq_destroy(&t->cq);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), t->live);
	/* never initialised, or twice */
	rviommu_cmdq_destroy(&t->cq);
}

/* ----- Several CPUs ----- */

#define PRODUCERS	4
#define SEQ_BITS	17

/**
 * struct producer - one thread that submits
 * @t: the case
 * @id: its number
 * @go: all start together
 * @ops: synchronisations to do
 * @errors: put commands in that break the queue
 * @seq: commands submitted; each mark is (id, seq)
 * @failed: synchronisations that did not return 0
 * @early: of them those that returned before their commands were executed
 * @done: it has ended
 */
struct producer {
	struct command_test *t;
	unsigned int id;
	struct completion *go;
	unsigned int ops;
	bool errors;
	u32 seq;
	unsigned int failed;
	unsigned int early;
	struct completion done;
};

static u64 producer_mark(const struct producer *p, u32 seq)
{
	return mark(p->id << SEQ_BITS | seq);
}

static bool was_executed(struct fakebus *fake, u64 dword0)
{
	unsigned int i;
	unsigned long flags;
	bool found = false;

	spin_lock_irqsave(&fake->lock, flags);
	for (i = min(fake->nr_log, FAKEBUS_LOG); i-- && !found;)
		found = le64_to_cpu(fake->log[i].dword[0]) == dword0;
	spin_unlock_irqrestore(&fake->lock, flags);
	return found;
}

static int produce(void *data)
{
	struct producer *p = data;
	struct rviommu_command cmds[12];
	unsigned int op, i, nr, marks;

	wait_for_completion(p->go);
	for (op = 0; op < p->ops; op++) {
		marks = (op * 7 + p->id) % 9;
		for (i = 0, nr = 0; i < marks; i++) {
			cmds[nr++] = raw(producer_mark(p, p->seq++), 0);
			if (p->errors && op % 16 == 0 && i == 2)
				cmds[nr++] = raw(0x3f, op);
			if (p->errors && op % 16 == 8 && i == 2)
				cmds[nr++] = raw(4, op);
		}
		if (p->errors && op % 16 == 8)
			fakebus_trap(p->t->bus, FAKEBUS_TIMEOUT, OP_MASK, 4, 0, 1);
		if (p->errors && op % 16 == 12)
			fakebus_trap(p->t->bus, FAKEBUS_MEMFAULT, 0, 0, 3, 1);
		if (sync_now(&p->t->cq, cmds, nr))
			p->failed++;
		else if (marks && !was_executed(p->t->fake, producer_mark(p, p->seq - 1)))
			p->early++;
		cond_resched();
	}
	complete(&p->done);
	return 0;
}

static void run_producers(struct command_test *t, struct producer *producers, unsigned int ops,
			  bool errors)
{
	DECLARE_COMPLETION_ONSTACK(go);
	unsigned int i;

	/* a slow IOMMU, so that they meet: at the lock, and at a full ring */
	t->fake->rate = 4;
	t->fake->doorbell_us = 3;
	for (i = 0; i < PRODUCERS; i++) {
		producers[i] = (struct producer) {
			.t = t, .id = i, .go = &go, .ops = ops, .errors = errors,
		};
		init_completion(&producers[i].done);
		if (IS_ERR(kthread_run(produce, &producers[i], "rviommu-producer%u", i))) {
			KUNIT_FAIL(t->test, "cannot start a thread");
			complete(&producers[i].done);
		}
	}
	complete_all(&go);
	for (i = 0; i < PRODUCERS; i++) {
		wait_for_completion(&producers[i].done);
		KUNIT_EXPECT_EQ(t->test, producers[i].early, 0);
	}
}

/*
 * What one producer submitted, in its order. Exactly once if @once; else a
 * restart may have begun again at any earlier command, but nothing is skipped.
 * Returns how many of its commands were executed.
 */
static u32 expect_order(struct command_test *t, const struct producer *p, bool once)
{
	const u64 mine = mark(0) | (u64)p->id << (SEQ_BITS + 12);
	const u64 seq_mask = GENMASK_ULL(SEQ_BITS + 11, 12);
	unsigned int i, n;
	u32 next = 0, seq;

	fakebus_commands(t->bus, &n);
	KUNIT_EXPECT_LT(t->test, n, FAKEBUS_LOG);
	for (i = 0; i < n; i++) {
		u64 dword0 = fakebus_command(t->bus, i, 0);

		if ((dword0 & ~seq_mask) != mine)
			continue;
		seq = (dword0 & seq_mask) >> 12;
		if (once ? seq != next : seq > next) {
			KUNIT_FAIL(t->test, "producer %u: command %u where %u was next", p->id,
				   seq, next);
			break;
		}
		next = max(next, seq + 1);
	}
	return next;
}

static void command_many_producers(struct kunit *test)
{
	struct producer *producers = kunit_kcalloc(test, PRODUCERS, sizeof(*producers), GFP_KERNEL);
	struct command_test *t = start(test, 3);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, producers);
	run_producers(t, producers, 400, false);
	for (i = 0; i < PRODUCERS; i++) {
		KUNIT_EXPECT_EQ(test, producers[i].failed, 0);
		KUNIT_EXPECT_EQ(test, expect_order(t, &producers[i], true), producers[i].seq);
	}
	KUNIT_EXPECT_EQ(test, event(t, RVIOMMU_CMDQ_RESTARTS), 0);
	kunit_info(test, "%lld waiters, %lld fences, %lld times full\n",
		   event(t, RVIOMMU_CMDQ_WAITERS), event(t, RVIOMMU_CMDQ_FENCES),
		   event(t, RVIOMMU_CMDQ_FULL));
	expect_alive(t);
}

static void command_many_producers_errors(struct kunit *test)
{
	struct producer *producers = kunit_kcalloc(test, PRODUCERS, sizeof(*producers), GFP_KERNEL);
	struct command_test *t = start(test, 3);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, producers);
	run_producers(t, producers, 400, true);
	for (i = 0; i < PRODUCERS; i++) {
		KUNIT_EXPECT_EQ(test, producers[i].failed, 0);
		KUNIT_EXPECT_EQ(test, expect_order(t, &producers[i], false), producers[i].seq);
	}
	KUNIT_EXPECT_GT(test, event(t, RVIOMMU_CMDQ_ILLEGAL), 0);
	KUNIT_EXPECT_GT(test, event(t, RVIOMMU_CMDQ_MEMFAULT), 0);
	kunit_info(test, "%lld illegal, %lld timeouts, %lld memory faults, %lld restarts\n",
		   event(t, RVIOMMU_CMDQ_ILLEGAL), event(t, RVIOMMU_CMDQ_TIMEOUT),
		   event(t, RVIOMMU_CMDQ_MEMFAULT), event(t, RVIOMMU_CMDQ_RESTARTS));
	fakebus_trap(t->bus, FAKEBUS_MEMFAULT, 0, 0, 0, 0);
	fakebus_trap(t->bus, FAKEBUS_TIMEOUT, 0, 0, 0, 0);
	expect_alive(t);
}

/* The queue dies under threads that poll: none of them hangs. */
static void command_killed_under_producers(struct kunit *test)
{
	struct producer *producers = kunit_kcalloc(test, PRODUCERS, sizeof(*producers), GFP_KERNEL);
	struct command_test *t = start(test, 3);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, producers);
	/* after some of all the commands nothing moves any more */
	fakebus_trap(t->bus, FAKEBUS_MEMFAULT, 0, 0, 1000, UINT_MAX);
	run_producers(t, producers, 400, false);
	for (i = 0; i < PRODUCERS; i++) {
		KUNIT_EXPECT_GT(test, producers[i].failed, 0);
		KUNIT_EXPECT_LT(test, expect_order(t, &producers[i], false), producers[i].seq);
	}
	expect_dead(t);
}

static int wait_for_fence(void *data)
{
	struct producer *p = data;

	p->failed = rviommu_cmdq_wait_atomic(&p->t->cq, p->seq) == -EIO;
	complete(&p->done);
	return 0;
}

static void command_kill(struct kunit *test)
{
	struct command_test *t = start(test, 4);
	struct producer p = { .t = t };

	init_completion(&p.done);
	t->cq.timeout_us = 200000;
	t->fake->rate = 0;
	KUNIT_ASSERT_EQ(test, issue_marks(t, 0, 3, &p.seq), 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(wait_for_fence, &p, "rviommu-waiter")));
	rviommu_cmdq_kill(&t->cq, "killed by the test");
	wait_for_completion(&p.done);
	KUNIT_EXPECT_EQ(test, p.failed, 1);
	expect_dead(t);
}

static struct kunit_case command_cases[] = {
	KUNIT_CASE(command_encoding),
	KUNIT_CASE(command_range),
	KUNIT_CASE(command_sync),
	KUNIT_CASE(command_issued_before_doorbell),
	KUNIT_CASE(command_wrap),
	KUNIT_CASE(command_number_wrap),
	KUNIT_CASE(command_full),
	KUNIT_CASE(command_larger_than_ring),
	KUNIT_CASE(command_full_recovery),
	KUNIT_CASE(command_combining),
	KUNIT_CASE(command_slots_stay),
	KUNIT_CASE(command_illegal),
	KUNIT_CASE(command_illegal_widened),
	KUNIT_CASE(command_illegal_mandatory),
	KUNIT_CASE(command_timeout),
	KUNIT_CASE(command_memory_fault),
	KUNIT_CASE(command_interrupt),
	KUNIT_CASE(command_restart_limit),
	KUNIT_CASE(command_impossible_head),
	KUNIT_CASE(command_impossible_fence),
	KUNIT_CASE(command_fence_skipped),
	KUNIT_CASE(command_fence_never),
	KUNIT_CASE(command_dies_while_queueing),
	KUNIT_CASE(command_slow),
	KUNIT_CASE(command_late_write),
	KUNIT_CASE(command_restart_fails),
	KUNIT_CASE(command_never_off),
	KUNIT_CASE(command_gone),
	KUNIT_CASE(command_switched_off),
	KUNIT_CASE(command_off_and_on),
	KUNIT_CASE(command_off_under_producers),
	KUNIT_CASE(command_init_fails),
	KUNIT_CASE(command_kill),
	KUNIT_CASE(command_many_producers),
	KUNIT_CASE(command_many_producers_errors),
	KUNIT_CASE(command_killed_under_producers),
	{}
};

static struct kunit_suite command_suite = {
	.name = "rviommu_command",
	.test_cases = command_cases,
};

kunit_test_suite(command_suite);
