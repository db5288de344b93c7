// SPDX-License-Identifier: GPL-2.0-only
/*
 * Queues on the fake register bus: sizing, switching on and off, and hardware
 * that does not play along.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/io.h>

#include "../src/driver/mem.h"
#include "../src/driver/queue.h"
#include "fakebus.h"
#include "testdev.h"

#define VERSION_1_0	0x10ULL
/* Long enough for fakebus.busy_reads, short enough to wait for in vain */
#define SHORT_US	100

/**
 * struct queue_kind - one of the three queues
 * @name: for the driver's messages
 * @base: offset of its base register
 * @csr: offset of its csr
 * @index: offset of the index that software writes
 * @entry_lg2: lg2 of an entry in bytes
 * @errors: RW1C bits of its csr
 * @nr: its number in fakebus
 */
struct queue_kind {
	const char *name;
	unsigned int base;
	unsigned int csr;
	unsigned int index;
	u8 entry_lg2;
	u32 errors;
	unsigned int nr;
};

static const struct queue_kind kinds[] = {
	{ "cq", 0x18, 0x48, 0x24, 4, 0xf00, 0 },
	{ "fq", 0x28, 0x4c, 0x30, 5, 0x300, 1 },
	{ "pq", 0x38, 0x50, 0x40, 4, 0x300, 2 },
};

KUNIT_ARRAY_PARAM_DESC(kind, kinds, name);

/**
 * struct queue_test - what each case starts from
 * @kind: parameter
 * @bus: fake
 * @fake: the same
 * @q: not initialised
 * @live: pieces of memory in use before
 */
struct queue_test {
	const struct queue_kind *kind;
	struct rviommu_bus *bus;
	struct fakebus *fake;
	struct rviommu_queue q;
	long live;
};

static unsigned int short_timeout(void)
{
	return SHORT_US;
}

static struct queue_test *queue_test(struct kunit *test)
{
	struct queue_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->kind = test->param_value;
	t->bus = fakebus_create(test, VERSION_1_0);
	t->fake = to_fakebus(t->bus);
	t->live = testdev_live();
	kunit_activate_static_stub(test, rviommu_queue_timeout_us, short_timeout);
	return t;
}

static int init_queue(struct queue_test *t, u8 entries_lg2)
{
	return rviommu_queue_init(&t->q, t->bus, t->kind->name, t->kind->base, t->kind->csr,
				  t->kind->entry_lg2, entries_lg2, 56, NUMA_NO_NODE);
}

static u32 csr(struct queue_test *t)
{
	return fakebus_peek(t->bus, t->kind->csr);
}

static u64 base(struct queue_test *t)
{
	return fakebus_peek(t->bus, t->kind->base) |
	       (u64)fakebus_peek(t->bus, t->kind->base + 4) << 32;
}

/* Not on, nothing allocated. */
static void expect_nothing(struct kunit *test, struct queue_test *t)
{
	KUNIT_EXPECT_EQ(test, csr(t) & 0x10001, 0);
	KUNIT_EXPECT_PTR_EQ(test, t->q.base, NULL);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), t->live);
}

static void queue_sizes(struct kunit *test)
{
	struct queue_test *t = queue_test(test);
	u8 lg2;

	for (lg2 = 1; lg2 <= 12; lg2++) {
		KUNIT_ASSERT_EQ(test, init_queue(t, lg2), 0);
		KUNIT_EXPECT_EQ(test, t->q.entries_lg2, lg2);
		KUNIT_EXPECT_EQ(test, rviommu_queue_mask(&t->q), (1U << lg2) - 1);
		/* naturally aligned, at least to 4 KiB */
		KUNIT_EXPECT_EQ(test, virt_to_phys(t->q.base) &
				((1UL << max(12, lg2 + t->kind->entry_lg2)) - 1), 0);
		KUNIT_EXPECT_EQ(test, base(t), virt_to_phys(t->q.base) >> 12 << 10 | (lg2 - 1));
		KUNIT_EXPECT_FALSE(test, t->q.on);
		KUNIT_EXPECT_TRUE(test, rviommu_queue_destroy(&t->q));
		expect_nothing(test, t);
	}
}

static void queue_smaller_by_warl(struct kunit *test)
{
	struct queue_test *t = queue_test(test);

	t->fake->max_lg2[t->kind->nr] = 3;
	KUNIT_ASSERT_EQ(test, init_queue(t, 10), 0);
	KUNIT_EXPECT_EQ(test, t->q.entries_lg2, 3);
	KUNIT_EXPECT_EQ(test, rviommu_queue_enable(&t->q, 0), 0);
	KUNIT_EXPECT_EQ(test, base(t) & 0x1f, 2);
	KUNIT_EXPECT_TRUE(test, rviommu_queue_destroy(&t->q));
	expect_nothing(test, t);
}

/* Larger than the memory we have, or somewhere else: not ours to use. */
static void queue_base_refused(struct kunit *test)
{
	struct queue_test *t = queue_test(test);

	t->fake->min_lg2[t->kind->nr] = 10;
	KUNIT_EXPECT_EQ(test, init_queue(t, 4), -EIO);
	expect_nothing(test, t);

	t->fake->min_lg2[t->kind->nr] = 1;
	t->fake->writable[t->kind->base / 4] = 0x1f;
	KUNIT_EXPECT_EQ(test, init_queue(t, 4), -EIO);
	expect_nothing(test, t);
}

/* After a reset in between, the base register takes less than it did before. */
static void queue_base_changed(struct kunit *test)
{
	struct queue_test *t = queue_test(test);

	KUNIT_ASSERT_EQ(test, init_queue(t, 4), 0);
	t->fake->max_lg2[t->kind->nr] = 3;
	KUNIT_EXPECT_EQ(test, rviommu_queue_enable(&t->q, 0), -EIO);
	KUNIT_EXPECT_EQ(test, csr(t) & 0x10001, 0);
	KUNIT_EXPECT_EQ(test, t->q.entries_lg2, 4);
	KUNIT_EXPECT_TRUE(test, rviommu_queue_destroy(&t->q));
	expect_nothing(test, t);
}

static void queue_on_off(struct kunit *test)
{
	struct queue_test *t = queue_test(test);
	unsigned int busy_reads;

	KUNIT_ASSERT_EQ(test, init_queue(t, 4), 0);
	/* busy hard-wired to 0; at once; slow */
	for (busy_reads = 0; busy_reads < 20; busy_reads += 5) {
		t->fake->busy_reads = busy_reads;
		KUNIT_EXPECT_EQ(test, rviommu_queue_enable(&t->q, 2), 0);
		KUNIT_EXPECT_EQ(test, csr(t), 0x10003);
		KUNIT_EXPECT_EQ(test, fakebus_peek(t->bus, t->kind->index), 0);
		KUNIT_EXPECT_TRUE(test, t->q.on);
		/* again, from on */
		KUNIT_EXPECT_EQ(test, rviommu_queue_enable(&t->q, 0), 0);
		KUNIT_EXPECT_EQ(test, csr(t), 0x10001);
		KUNIT_EXPECT_EQ(test, rviommu_queue_disable(&t->q), 0);
		KUNIT_EXPECT_EQ(test, csr(t), 0);
		KUNIT_EXPECT_FALSE(test, t->q.on);
		KUNIT_EXPECT_EQ(test, rviommu_queue_disable(&t->q), 0);
	}
	/* switches itself off when it goes */
	KUNIT_EXPECT_EQ(test, rviommu_queue_enable(&t->q, 2), 0);
	KUNIT_EXPECT_TRUE(test, rviommu_queue_destroy(&t->q));
	expect_nothing(test, t);
}

/* Firmware, or a kernel that crashed: on, with errors, somewhere in the ring. */
static void queue_leftover(struct kunit *test)
{
	struct queue_test *t = queue_test(test);
	void *old = rviommu_page_alloc(NUMA_NO_NODE, GFP_KERNEL, 0, 56);

	KUNIT_ASSERT_NOT_NULL(test, old);
	rviommu_bus_write64(t->bus, t->kind->base, virt_to_phys(old) >> 12 << 10 | 3);
	t->bus->ops->write32(t->bus, t->kind->csr, 3);
	t->fake->reg[t->kind->csr / 4] |= t->kind->errors;
	t->fake->busy[t->kind->nr] = 5;

	KUNIT_ASSERT_EQ(test, init_queue(t, 4), 0);
	KUNIT_EXPECT_EQ(test, csr(t) & ~t->kind->errors, 0);
	KUNIT_EXPECT_EQ(test, rviommu_queue_enable(&t->q, 2), 0);
	KUNIT_EXPECT_EQ(test, csr(t), 0x10003);
	KUNIT_EXPECT_EQ(test, base(t), virt_to_phys(t->q.base) >> 12 << 10 | 3);
	KUNIT_EXPECT_TRUE(test, rviommu_queue_destroy(&t->q));
	rviommu_page_free(old);
	expect_nothing(test, t);
}

/* Spec: switching on clears errors. If it does not, the queue would stand still. */
static void queue_error_stays(struct kunit *test)
{
	struct queue_test *t = queue_test(test);

	KUNIT_ASSERT_EQ(test, init_queue(t, 4), 0);
	t->fake->keeps_errors = true;
	t->fake->reg[t->kind->csr / 4] |= t->kind->errors;
	KUNIT_EXPECT_EQ(test, rviommu_queue_enable(&t->q, 2), 0);
	KUNIT_EXPECT_EQ(test, csr(t), 0x10003);
	KUNIT_EXPECT_TRUE(test, rviommu_queue_destroy(&t->q));
	expect_nothing(test, t);
}

static void queue_busy_forever(struct kunit *test)
{
	struct queue_test *t = queue_test(test);

	t->fake->busy_forever = true;
	KUNIT_EXPECT_EQ(test, init_queue(t, 4), -ETIMEDOUT);
	expect_nothing(test, t);

	t->fake->busy_forever = false;
	KUNIT_ASSERT_EQ(test, init_queue(t, 4), 0);
	t->fake->busy_forever = true;
	/* and none of them writes: that would be a violation */
	KUNIT_EXPECT_EQ(test, rviommu_queue_enable(&t->q, 0), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, rviommu_queue_wait_idle(&t->q, NULL), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, rviommu_queue_write_csr(&t->q, 1), -ETIMEDOUT);
	KUNIT_EXPECT_EQ(test, rviommu_queue_disable(&t->q), -ETIMEDOUT);
	/* it was never switched on: its memory is safe to free */
	KUNIT_EXPECT_TRUE(test, rviommu_queue_destroy(&t->q));
	expect_nothing(test, t);
}

static void queue_never_on(struct kunit *test)
{
	struct queue_test *t = queue_test(test);

	KUNIT_ASSERT_EQ(test, init_queue(t, 4), 0);
	t->fake->never_on = true;
	KUNIT_EXPECT_EQ(test, rviommu_queue_enable(&t->q, 2), -ETIMEDOUT);
	/* not left half on: it could still come, later */
	KUNIT_EXPECT_EQ(test, csr(t) & 3, 0);
	KUNIT_EXPECT_FALSE(test, t->q.on);
	KUNIT_EXPECT_TRUE(test, rviommu_queue_destroy(&t->q));
	expect_nothing(test, t);
}

/* Memory that hardware may still write is not given back. */
static void queue_never_off(struct kunit *test)
{
	struct queue_test *t = queue_test(test);
	void *memory;

	KUNIT_ASSERT_EQ(test, init_queue(t, 4), 0);
	KUNIT_ASSERT_EQ(test, rviommu_queue_enable(&t->q, 0), 0);
	memory = t->q.base;
	t->fake->never_off = true;
	KUNIT_EXPECT_EQ(test, rviommu_queue_disable(&t->q), -ETIMEDOUT);
	KUNIT_EXPECT_TRUE(test, t->q.on);
	KUNIT_EXPECT_GT(test, rviommu_mem_live(), t->live);
	KUNIT_EXPECT_FALSE(test, rviommu_queue_destroy(&t->q));
	KUNIT_EXPECT_GT(test, rviommu_mem_live(), t->live);

	t->fake->never_off = false;
	rviommu_page_free(memory);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), t->live);
}

static void queue_gone(struct kunit *test)
{
	struct queue_test *t = queue_test(test);

	t->fake->gone = true;
	KUNIT_EXPECT_EQ(test, init_queue(t, 4), -ENODEV);
	t->fake->gone = false;
	expect_nothing(test, t);

	KUNIT_ASSERT_EQ(test, init_queue(t, 4), 0);
	KUNIT_ASSERT_EQ(test, rviommu_queue_enable(&t->q, 0), 0);
	t->fake->gone = true;
	KUNIT_EXPECT_EQ(test, rviommu_queue_enable(&t->q, 0), -ENODEV);
	KUNIT_EXPECT_EQ(test, rviommu_queue_write_csr(&t->q, 1), -ENODEV);
	KUNIT_EXPECT_EQ(test, rviommu_queue_disable(&t->q), -ENODEV);
	/* what is not there writes nowhere */
	KUNIT_EXPECT_TRUE(test, rviommu_queue_destroy(&t->q));
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), t->live);
}

/* Half of a register does not take what is written. */
static void queue_base_garbage(struct kunit *test)
{
	struct queue_test *t = queue_test(test);

	KUNIT_ASSERT_EQ(test, init_queue(t, 4), 0);
	t->fake->reg[t->kind->base / 4 + 1] = U32_MAX;
	t->fake->writable[t->kind->base / 4 + 1] = 0;
	KUNIT_EXPECT_EQ(test, rviommu_queue_enable(&t->q, 0), -EIO);
	KUNIT_EXPECT_EQ(test, csr(t) & 0x10001, 0);
	KUNIT_EXPECT_TRUE(test, rviommu_queue_destroy(&t->q));
}

/* Clearing an error keeps the queue on, and clears nothing else. */
static void queue_clear_one_error(struct kunit *test)
{
	struct queue_test *t = queue_test(test);

	KUNIT_ASSERT_EQ(test, init_queue(t, 4), 0);
	KUNIT_ASSERT_EQ(test, rviommu_queue_enable(&t->q, 2), 0);
	t->fake->reg[t->kind->csr / 4] |= 0x300;
	KUNIT_EXPECT_EQ(test, rviommu_queue_write_csr(&t->q, 0x103), 0);
	KUNIT_EXPECT_EQ(test, rviommu_queue_wait_idle(&t->q, NULL), 0);
	KUNIT_EXPECT_EQ(test, csr(t), 0x10203);
	KUNIT_EXPECT_TRUE(test, rviommu_queue_destroy(&t->q));
}

static unsigned int allocations_left;

static bool fail_nth(void)
{
	return !allocations_left--;
}

static void queue_no_memory(struct kunit *test)
{
	struct queue_test *t = queue_test(test);
	unsigned int n;
	int ret;

	kunit_activate_static_stub(test, rviommu_alloc_fails, fail_nth);
	for (n = 0; n < 10; n++) {
		allocations_left = n;
		ret = init_queue(t, 4);
		if (!ret)
			break;
		KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
		expect_nothing(test, t);
	}
	kunit_deactivate_static_stub(test, rviommu_alloc_fails);
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_EQ(test, n, 2);
	KUNIT_EXPECT_TRUE(test, rviommu_queue_destroy(&t->q));
	expect_nothing(test, t);
}

static struct kunit_case queue_cases[] = {
	KUNIT_CASE_PARAM(queue_sizes, kind_gen_params),
	KUNIT_CASE_PARAM(queue_smaller_by_warl, kind_gen_params),
	KUNIT_CASE_PARAM(queue_base_refused, kind_gen_params),
	KUNIT_CASE_PARAM(queue_base_changed, kind_gen_params),
	KUNIT_CASE_PARAM(queue_on_off, kind_gen_params),
	KUNIT_CASE_PARAM(queue_leftover, kind_gen_params),
	KUNIT_CASE_PARAM(queue_error_stays, kind_gen_params),
	KUNIT_CASE_PARAM(queue_busy_forever, kind_gen_params),
	KUNIT_CASE_PARAM(queue_never_on, kind_gen_params),
	KUNIT_CASE_PARAM(queue_never_off, kind_gen_params),
	KUNIT_CASE_PARAM(queue_gone, kind_gen_params),
	KUNIT_CASE_PARAM(queue_base_garbage, kind_gen_params),
	KUNIT_CASE_PARAM(queue_clear_one_error, kind_gen_params),
	KUNIT_CASE_PARAM(queue_no_memory, kind_gen_params),
	{}
};

static struct kunit_suite queue_suite = {
	.name = "rviommu_queue",
	.test_cases = queue_cases,
};

kunit_test_suite(queue_suite);
