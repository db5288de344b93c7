// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fault queue: decoding and naming of records, and the queue on the fake
 * register bus.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/string.h>

#include "../src/driver/endpoint.h"
#include "../src/driver/fault.h"
#include "../src/driver/inq.h"
#include "../src/driver/mem.h"
#include "../src/driver/queue.h"
#include "../src/driver/record.h"
#include "../src/driver/rviommu.h"
#include "fakebus.h"
#include "testdev.h"
#include "testlog.h"

#define FQH	0x30
#define FQT	0x34
#define FQCSR	0x4c
#define IPSR	0x54
#define DID	0x123

/* Spec "Fault record CAUSE field encodings", copied */
static const struct {
	u16 cause;
	const char *name;
} causes[] = {
	{ 1, "Instruction access fault" },
	{ 4, "Read address misaligned" },
	{ 5, "Read access fault" },
	{ 6, "Write/AMO address misaligned" },
	{ 7, "Write/AMO access fault" },
	{ 12, "Instruction page fault" },
	{ 13, "Read page fault" },
	{ 15, "Write/AMO page fault" },
	{ 20, "Instruction guest page fault" },
	{ 21, "Read guest-page fault" },
	{ 23, "Write/AMO guest-page fault" },
	{ 256, "All inbound transactions disallowed" },
	{ 257, "DDT entry load access fault" },
	{ 258, "DDT entry not valid" },
	{ 259, "DDT entry misconfigured" },
	{ 260, "Transaction type disallowed" },
	{ 261, "MSI PTE load access fault" },
	{ 262, "MSI PTE not valid" },
	{ 263, "MSI PTE misconfigured" },
	{ 264, "MRIF access fault" },
	{ 265, "PDT entry load access fault" },
	{ 266, "PDT entry not valid" },
	{ 267, "PDT entry misconfigured" },
	{ 268, "DDT data corruption" },
	{ 269, "PDT data corruption" },
	{ 270, "MSI PT data corruption" },
	{ 271, "MSI MRIF data corruption" },
	{ 272, "Internal data path error" },
	{ 273, "IOMMU MSI write access fault" },
	{ 274, "First/second-stage PT data corruption" },
};

static void fault_cause_names(struct kunit *test)
{
	unsigned int cause, i = 0;

	for (cause = 0; cause < 4096; cause++) {
		const char *name = rviommu_fault_cause_name(cause);
		const char *want = cause < 2048 ? "reserved" : "custom";

		if (i < ARRAY_SIZE(causes) && causes[i].cause == cause)
			want = causes[i++].name;
		KUNIT_EXPECT_EQ_MSG(test, strcasecmp(name, want), 0, "cause %u: \"%s\"", cause,
				    name);
	}
	KUNIT_EXPECT_EQ(test, i, ARRAY_SIZE(causes));
}

/* Spec "Fault record TTYP field encodings" */
static void fault_ttyp_names(struct kunit *test)
{
	static const char * const names[] = {
		"none", "untranslated read for execute", "untranslated read",
		"untranslated write/AMO", "reserved", "translated read for execute",
		"translated read", "translated write/AMO", "PCIe ATS translation request",
		"PCIe message request",
	};
	unsigned int ttyp;

	for (ttyp = 0; ttyp < 64; ttyp++)
		KUNIT_EXPECT_STREQ(test, rviommu_fault_ttyp_name(ttyp),
				   ttyp < ARRAY_SIZE(names) ? names[ttyp] :
				   ttyp < 32 ? "reserved" : "custom");
}

static struct rviommu_fault_record record(u64 hdr, u64 iotval, u64 iotval2)
{
	return (struct rviommu_fault_record) {
		.hdr = cpu_to_le64(hdr),
		.custom = cpu_to_le64(~0ULL),
		.iotval = cpu_to_le64(iotval),
		.iotval2 = cpu_to_le64(iotval2),
	};
}

/* Numbers by hand from the bit table: one field all ones, the others zero. */
static void fault_decode(struct kunit *test)
{
	static const struct {
		u64 hdr;
		struct rviommu_fault want;
	} cases[] = {
		{ 0x0000000000000000, { } },
		{ 0x0000000000000fff, { .cause = 0xfff } },
		{ 0x00000000fffff000, { .pid = 0xfffff } },
		{ 0x0000000100000000, { .pv = true } },
		{ 0x0000000200000000, { .priv = true } },
		{ 0x000000fc00000000, { .ttyp = 0x3f } },
		{ 0xffffff0000000000, { .did = 0xffffff } },
		{ 0xfedcba0babcde00d, { .cause = 13, .pid = 0xabcde, .pv = true, .priv = true,
					.ttyp = 2, .did = 0xfedcba } },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rviommu_fault_record rec = record(cases[i].hdr, 0x1122334455667788,
							 0x99aabbccddeeff00);
		struct rviommu_fault got = rviommu_fault_decode(&rec);

		KUNIT_EXPECT_EQ(test, got.cause, cases[i].want.cause);
		KUNIT_EXPECT_EQ(test, got.pid, cases[i].want.pid);
		KUNIT_EXPECT_EQ(test, got.pv, cases[i].want.pv);
		KUNIT_EXPECT_EQ(test, got.priv, cases[i].want.priv);
		KUNIT_EXPECT_EQ(test, got.ttyp, cases[i].want.ttyp);
		KUNIT_EXPECT_EQ(test, got.did, cases[i].want.did);
		KUNIT_EXPECT_EQ(test, got.iotval, 0x1122334455667788);
		KUNIT_EXPECT_EQ(test, got.iotval2, 0x99aabbccddeeff00);
	}
}

static void fault_format(struct kunit *test)
{
	struct rviommu_fault fault = { .cause = 15, .ttyp = 3, .iotval = 0xdead000 };
	char text[RVIOMMU_FAULT_TEXT];

	rviommu_fault_format(text, sizeof(text), "0000:00:04.0", &fault);
	KUNIT_EXPECT_STREQ(test, text,
			   "0000:00:04.0: write/AMO page fault (cause 15), untranslated write/AMO, IOVA 0xdead000");

	fault = (struct rviommu_fault) { .cause = 21, .ttyp = 6, .pv = true, .pid = 0x12,
					 .iotval = 0x1000, .iotval2 = 0x80001234 };
	rviommu_fault_format(text, sizeof(text), "nic", &fault);
	KUNIT_EXPECT_STREQ(test, text,
			   "nic PASID 0x12: read guest-page fault (cause 21), translated read, IOVA 0x1000, guest address 0x80001234");

	fault.priv = true;
	fault.iotval2 |= 1;
	rviommu_fault_format(text, sizeof(text), "nic", &fault);
	KUNIT_EXPECT_STREQ(test, text,
			   "nic PASID 0x12 supervisor: read guest-page fault (cause 21), translated read, IOVA 0x1000, guest address 0x80001234 (table walk)");
	fault.iotval2 |= 2;
	rviommu_fault_format(text, sizeof(text), "nic", &fault);
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, "guest address 0x80001234 (A/D update)"));

	fault = (struct rviommu_fault) { .cause = 256, .ttyp = 9, .iotval = 0x10 };
	rviommu_fault_format(text, sizeof(text), "gpu", &fault);
	KUNIT_EXPECT_STREQ(test, text,
			   "gpu: all inbound transactions disallowed (cause 256), PCIe message request, message 0x10");

	fault = (struct rviommu_fault) { .cause = 273, .iotval = 0x28000000, .iotval2 = 0x5 };
	rviommu_fault_format(text, sizeof(text), "", &fault);
	KUNIT_EXPECT_STREQ(test, text,
			   "IOMMU MSI write access fault (cause 273), values 0x28000000 and 0x5");

	/* the longest there can be */
	memset(&fault, 0xff, sizeof(fault));
	fault.cause = 23;
	fault.ttyp = 8;
	rviommu_fault_format(text, sizeof(text),
			     "a device whose name has as many as 47 characters",
			     &fault);
	KUNIT_EXPECT_NOT_NULL(test, strstr(text, "(A/D update)"));
}

/**
 * struct fault_test - what each case starts from
 * @test: the case
 * @bus: fake
 * @fake: the same
 * @iommu: only what the fault queue needs of one
 * @ep: endpoint with device_id DID
 * @did: its entry in @iommu.dids
 * @live: pieces of memory in use before
 * @inner: operations of @bus, where a case put its own before them
 * @late: faults to report after a read of the tail
 * @heads: writes of fqh
 * @acks: writes that clear ipsr.fip
 */
struct fault_test {
	struct kunit *test;
	struct rviommu_bus *bus;
	struct fakebus *fake;
	struct rviommu iommu;
	struct rviommu_endpoint *ep;
	struct rviommu_did did;
	long live;
	const struct rviommu_bus_ops *inner;
	unsigned int late;
	unsigned int heads;
	unsigned int acks;
};

static unsigned int short_timeout(void)
{
	return 100;
}

static void stop(void *data)
{
	struct fault_test *t = data;

	t->fake->gone = false;
	t->fake->busy_forever = false;
	rviommu_inq_destroy(&t->iommu.faultq);
	xa_destroy(&t->iommu.dids);
	KUNIT_EXPECT_EQ(t->test, rviommu_mem_live(), t->live);
}

/* A fault queue of eight records, on. */
static struct fault_test *start(struct kunit *test)
{
	struct fault_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->test = test;
	t->ep = kunit_kzalloc(test, struct_size(t->ep, ids, 1), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->ep);
	t->bus = fakebus_create(test, 0x10);
	t->fake = to_fakebus(t->bus);
	t->live = testdev_live();
	t->iommu.bus = t->bus;
	t->iommu.dev = t->bus->dev;
	t->iommu.pas_lg2 = 56;
	t->iommu.nid = NUMA_NO_NODE;
	xa_init(&t->iommu.dids);
	spin_lock_init(&t->ep->fault_lock);
	rviommu_fault_log_init(&t->ep->fault_log);
	strscpy(t->ep->name, "endpoint");
	t->ep->iommu = &t->iommu;
	t->ep->nr_ids = 1;
	t->ep->ids[0] = DID;
	t->did.owner = t->ep;
	t->did.users = 1;
	kunit_activate_static_stub(test, rviommu_queue_timeout_us, short_timeout);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, stop, t));
	KUNIT_ASSERT_EQ(test, 0, xa_err(xa_store(&t->iommu.dids, DID, &t->did, GFP_KERNEL)));
	KUNIT_ASSERT_EQ(test, 0, rviommu_faultq_init(&t->iommu, 3));
	KUNIT_ASSERT_EQ(test, 0, rviommu_inq_enable(&t->iommu.faultq));
	return t;
}

/* A write page fault of the endpoint */
static bool fault_at(struct fault_test *t, u64 iova)
{
	struct rviommu_fault_record rec = record(0x0001230c0000000f, iova, 0);

	return fakebus_fault(t->bus, &rec);
}

static s64 records(struct fault_test *t)
{
	return atomic64_read(&t->iommu.faultq.records);
}

static void expect_works(struct fault_test *t)
{
	s64 before = records(t);

	KUNIT_EXPECT_EQ(t->test, fakebus_peek(t->bus, FQCSR), 0x10003);
	KUNIT_EXPECT_TRUE(t->test, fault_at(t, 0xabc000));
	KUNIT_EXPECT_EQ(t->test, fakebus_peek(t->bus, IPSR), 2);
	rviommu_inq_service(&t->iommu.faultq);
	KUNIT_EXPECT_EQ(t->test, fakebus_peek(t->bus, IPSR), 0);
	KUNIT_EXPECT_EQ(t->test, records(t), before + 1);
	KUNIT_EXPECT_EQ(t->test, t->ep->last_fault.iotval, 0xabc000);
	KUNIT_EXPECT_EQ(t->test, fakebus_peek(t->bus, FQH), fakebus_peek(t->bus, FQT));
}

/* Off, and stays off, whatever interrupts still come. */
static void expect_off(struct fault_test *t)
{
	s64 before = records(t);

	KUNIT_EXPECT_FALSE(t->test, t->iommu.faultq.running);
	t->fake->reg[IPSR / 4] |= 2;
	rviommu_inq_service(&t->iommu.faultq);
	KUNIT_EXPECT_EQ(t->test, records(t), before);
	if (!t->fake->gone && !t->fake->busy_forever) {
		KUNIT_EXPECT_EQ(t->test, fakebus_peek(t->bus, IPSR) & 2, 0);
		KUNIT_EXPECT_EQ(t->test, fakebus_peek(t->bus, FQCSR) & 0x10003, 0);
	}
}

static void fault_report(struct kunit *test)
{
	struct fault_test *t = start(test);
	struct rviommu_fault_record rec;

	expect_works(t);
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->ep->faults), 1);
	KUNIT_EXPECT_EQ(test, t->ep->last_fault.cause, 15);
	KUNIT_EXPECT_EQ(test, t->ep->last_fault.ttyp, 3);
	KUNIT_EXPECT_EQ(test, t->ep->last_fault.did, DID);

	/* nobody's: counted, attributed to none */
	rec = record(0x0009990c0000000f, 0x1000, 0);
	fakebus_fault(t->bus, &rec);
	/* of the IOMMU itself: DID is not one, even if a device has that */
	xa_store(&t->iommu.dids, 0, &t->did, GFP_KERNEL);
	rec = record(0x0000000000000111, 0x28000000, 0);
	fakebus_fault(t->bus, &rec);
	rviommu_inq_service(&t->iommu.faultq);
	KUNIT_EXPECT_EQ(test, records(t), 3);
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->ep->faults), 1);
	expect_works(t);
}

/* @nr faults of a device, a few at a time: how many of them the log has by name */
static unsigned int logged(struct fault_test *t, u32 did, const char *name, unsigned int nr)
{
	struct rviommu_fault_record rec = record(0x0c0000000fULL | (u64)did << 40, 0x1000, 0);
	struct testlog log;
	char text[64];

	scnprintf(text, sizeof(text), "%s: %s: write/AMO page fault", t->bus->name, name);
	testlog_start(&log);
	while (nr--) {
		KUNIT_EXPECT_TRUE(t->test, fakebus_fault(t->bus, &rec));
		if (nr % 4 == 0)
			rviommu_inq_service(&t->iommu.faultq);
	}
	return testlog_lines(&log, text);
}

/* As long as the test takes, no limit ends; when it does is up to the test. */
static void freeze(struct rviommu_fault_log *log)
{
	log->limit.interval = INT_MAX;
}

static void let_time_pass(struct rviommu_fault_log *log)
{
	log->limit.begin -= (unsigned long)INT_MAX + 1;
}

/*
 * A device that faults all the time does not fill the log, and does not keep the
 * faults of others out of it. How many are not shown is said when there is room again.
 */
static void fault_log_limit(struct kunit *test)
{
	struct fault_test *t = start(test);
	struct rviommu_did did = { .users = 1 };
	struct rviommu_endpoint *other;
	struct testlog log;

	other = kunit_kzalloc(test, struct_size(other, ids, 1), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, other);
	did.owner = other;
	other->iommu = &t->iommu;
	spin_lock_init(&other->fault_lock);
	rviommu_fault_log_init(&other->fault_log);
	strscpy(other->name, "neighbour");
	KUNIT_ASSERT_EQ(test, 0, xa_err(xa_store(&t->iommu.dids, DID + 1, &did, GFP_KERNEL)));
	freeze(&t->ep->fault_log);
	freeze(&other->fault_log);
	freeze(&t->iommu.fault_log);

	KUNIT_EXPECT_EQ(test, logged(t, DID, "endpoint", 9), 9);
	KUNIT_EXPECT_EQ(test, logged(t, DID, "endpoint", 25), 1);
	KUNIT_EXPECT_EQ(test, logged(t, DID + 1, "neighbour", 1), 1);
	KUNIT_EXPECT_EQ(test, logged(t, 0x999, "device 0x999", 12), 10);
	KUNIT_EXPECT_EQ(test, logged(t, 0x998, "device 0x998", 1), 0);
	KUNIT_EXPECT_EQ(test, logged(t, DID + 1, "neighbour", 12), 9);

	/* All of them were counted. */
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->ep->faults), 34);
	KUNIT_EXPECT_EQ(test, records(t), 60);

	let_time_pass(&t->ep->fault_log);
	testlog_start(&log);
	KUNIT_EXPECT_TRUE(test, fault_at(t, 0x5000));
	rviommu_inq_service(&t->iommu.faultq);
	KUNIT_EXPECT_EQ(test, testlog_lines(&log, "IOVA 0x5000 (24 before it not shown)"), 1);
	testlog_start(&log);
	KUNIT_EXPECT_TRUE(test, fault_at(t, 0x6000));
	rviommu_inq_service(&t->iommu.faultq);
	KUNIT_EXPECT_EQ(test, testlog_lines(&log, "not shown"), 0);
	/* Its neighbour's time has not come. */
	KUNIT_EXPECT_EQ(test, logged(t, DID + 1, "neighbour", 1), 0);
	xa_erase(&t->iommu.dids, DID + 1);
}

static void fault_wrap(struct kunit *test)
{
	struct fault_test *t = start(test);
	unsigned int nr, place, i;
	s64 want = 0;

	for (nr = 0; nr <= 7; nr++) {
		for (place = 0; place < 8; place++) {
			for (i = 0; i < nr; i++)
				KUNIT_EXPECT_TRUE(test, fault_at(t, 0x1000 * want++));
			rviommu_inq_service(&t->iommu.faultq);
			KUNIT_EXPECT_EQ(test, records(t), want);
			if (nr)
				KUNIT_EXPECT_EQ(test, t->ep->last_fault.iotval,
						0x1000 * (want - 1));
			/* all places, also with eight of a kind */
			KUNIT_EXPECT_TRUE(test, fault_at(t, 0x1000 * want++));
			rviommu_inq_service(&t->iommu.faultq);
		}
	}
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->ep->faults), want);
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->iommu.faultq.overflows), 0);
	expect_works(t);
}

static void fault_overflow(struct kunit *test)
{
	struct fault_test *t = start(test);
	unsigned int i, round, stored = 0;

	for (round = 1; round <= 3; round++) {
		for (i = 0; i < 20; i++)
			stored += fault_at(t, 0x1000 * i);
		KUNIT_EXPECT_EQ(test, stored, 7 * round);
		KUNIT_EXPECT_EQ(test, fakebus_peek(t->bus, FQCSR), 0x10203);
		rviommu_inq_service(&t->iommu.faultq);
		KUNIT_EXPECT_EQ(test, records(t), stored);
		KUNIT_EXPECT_EQ(test, atomic64_read(&t->iommu.faultq.overflows), round);
		KUNIT_EXPECT_EQ(test, fakebus_peek(t->bus, IPSR), 0);
		KUNIT_EXPECT_EQ(test, fakebus_peek(t->bus, FQCSR), 0x10003);
	}
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->iommu.faultq.memfaults), 0);
	expect_works(t);
}

/* A fault that comes when the overflow is cleared: there is room for it. */
static void fault_when_cleared(struct fakebus *fake, unsigned int offset, void *arg)
{
	struct fault_test *t = arg;

	if (offset == FQT && !(fake->reg[FQCSR / 4] & 0x300)) {
		fake->read_hook = NULL;
		KUNIT_EXPECT_TRUE(t->test, fault_at(t, 0x777000));
	}
}

static void fault_overflow_again(struct kunit *test)
{
	struct fault_test *t = start(test);
	unsigned int i;

	for (i = 0; i < 20; i++)
		fault_at(t, 0x1000 * i);
	t->fake->read_arg = t;
	t->fake->read_hook = fault_when_cleared;
	rviommu_inq_service(&t->iommu.faultq);
	KUNIT_EXPECT_PTR_EQ(test, t->fake->read_hook, NULL);
	KUNIT_EXPECT_EQ(test, records(t), 8);
	KUNIT_EXPECT_EQ(test, t->ep->last_fault.iotval, 0x777000);
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->iommu.faultq.overflows), 1);
	rviommu_inq_service(&t->iommu.faultq);
	expect_works(t);
}

static u32 read32_then_fault(struct rviommu_bus *bus, unsigned int offset)
{
	struct fault_test *t = to_fakebus(bus)->read_arg;
	u32 value = t->inner->read32(bus, offset);

	if (offset == FQT && t->late) {
		t->late--;
		KUNIT_EXPECT_TRUE(t->test, fault_at(t, 0x888000));
	}
	return value;
}

static void write32_head(struct rviommu_bus *bus, unsigned int offset, u32 value)
{
	struct fault_test *t = to_fakebus(bus)->read_arg;
	struct rviommu_fault_record *records = t->iommu.faultq.q.base;

	/* The IOMMU may overwrite a record that the head has passed. */
	if (offset == FQH) {
		memset(&records[(value - 1) & 7], 0xff, sizeof(*records));
		t->heads++;
	}
	t->inner->write32(bus, offset, value);
}

/*
 * A fault that comes when the tail was just read is not lost: its interrupt is
 * pending after the service. And a record is read before it is given back.
 */
static void fault_after_tail(struct kunit *test)
{
	struct fault_test *t = start(test);
	struct rviommu_bus_ops ops = *t->bus->ops;

	ops.read32 = read32_then_fault;
	ops.write32 = write32_head;
	t->inner = t->bus->ops;
	t->fake->read_arg = t;
	t->bus->ops = &ops;

	KUNIT_EXPECT_TRUE(test, fault_at(t, 0x1000));
	t->late = 1;
	rviommu_inq_service(&t->iommu.faultq);
	KUNIT_EXPECT_EQ(test, records(t), 1);
	KUNIT_EXPECT_EQ(test, t->ep->last_fault.iotval, 0x1000);
	KUNIT_EXPECT_EQ(test, fakebus_peek(t->bus, IPSR), 2);
	rviommu_inq_service(&t->iommu.faultq);
	KUNIT_EXPECT_EQ(test, records(t), 2);
	KUNIT_EXPECT_EQ(test, t->ep->last_fault.iotval, 0x888000);
	KUNIT_EXPECT_EQ(test, fakebus_peek(t->bus, IPSR), 0);
	KUNIT_EXPECT_EQ(test, t->heads, 2);

	t->bus->ops = t->inner;
	expect_works(t);
}

static void fault_memory_fault(struct kunit *test)
{
	struct fault_test *t = start(test);

	KUNIT_EXPECT_TRUE(test, fault_at(t, 0x1000));
	t->fake->fq_memfaults = 1;
	KUNIT_EXPECT_FALSE(test, fault_at(t, 0x2000));
	KUNIT_EXPECT_FALSE(test, fault_at(t, 0x3000));
	KUNIT_EXPECT_EQ(test, fakebus_peek(t->bus, FQCSR), 0x10103);
	rviommu_inq_service(&t->iommu.faultq);
	KUNIT_EXPECT_EQ(test, records(t), 1);
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->iommu.faultq.memfaults), 1);
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->iommu.faultq.overflows), 0);
	expect_works(t);
}

static void fault_impossible_tail(struct kunit *test)
{
	const u32 lies[] = { 8, 9, 0x10000, 0x80000000, 0xfffffffe };
	struct fault_test *t;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lies); i++) {
		t = start(test);
		expect_works(t);
		t->fake->lie_fqt = lies[i];
		rviommu_inq_service(&t->iommu.faultq);
		KUNIT_EXPECT_EQ(test, records(t), 1);
		KUNIT_EXPECT_EQ(test, atomic64_read(&t->iommu.faultq.bad_index), 1);
		expect_off(t);
		KUNIT_EXPECT_EQ(test, atomic64_read(&t->iommu.faultq.bad_index), 1);

		/* a reset, and it is as new */
		t->fake->lie_fqt = 0;
		KUNIT_EXPECT_EQ(test, rviommu_inq_enable(&t->iommu.faultq), 0);
		expect_works(t);
	}

	/* also when it is met during recovery from an overflow */
	t = start(test);
	for (i = 0; i < 20; i++)
		fault_at(t, 0x1000 * i);
	t->fake->lie_fqt = 8;
	rviommu_inq_service(&t->iommu.faultq);
	KUNIT_EXPECT_EQ(test, records(t), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->iommu.faultq.bad_index), 1);
	expect_off(t);
}

static void fault_gone(struct kunit *test)
{
	struct fault_test *t = start(test);

	t->fake->gone = true;
	rviommu_inq_service(&t->iommu.faultq);
	KUNIT_EXPECT_EQ(test, records(t), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->iommu.faultq.bad_index), 0);
	expect_off(t);
	KUNIT_EXPECT_EQ(test, rviommu_inq_disable(&t->iommu.faultq), -ENODEV);
}

static void fault_busy_forever(struct kunit *test)
{
	struct fault_test *t = start(test);
	unsigned int i;

	for (i = 0; i < 20; i++)
		fault_at(t, 0x1000 * i);
	t->fake->busy_forever = true;
	rviommu_inq_service(&t->iommu.faultq);
	/* what was there is read all the same */
	KUNIT_EXPECT_EQ(test, records(t), 7);
	expect_off(t);
	/* it cannot be silenced; so it is not made to send a message again */
	KUNIT_EXPECT_EQ(test, fakebus_peek(t->bus, IPSR), 2);

	t->fake->busy_forever = false;
	KUNIT_EXPECT_EQ(test, rviommu_inq_enable(&t->iommu.faultq), 0);
	expect_works(t);
}

static void write32_acks(struct rviommu_bus *bus, unsigned int offset, u32 value)
{
	struct fault_test *t = to_fakebus(bus)->read_arg;

	t->acks += offset == IPSR && value & 2;
	t->inner->write32(bus, offset, value);
}

/*
 * Given up, and it cannot be switched off: with the error still there its interrupt
 * is pending again as soon as it is cleared. A message is then left pending, or
 * there would be one after the other; a wire that stays raised would be worse.
 */
static void fault_given_up(struct kunit *test)
{
	struct fault_test *t = start(test);
	struct rviommu_bus_ops ops = *t->bus->ops;
	unsigned int i;

	for (i = 0; i < 20; i++)
		fault_at(t, 0x1000 * i);
	t->fake->busy_forever = true;
	rviommu_inq_service(&t->iommu.faultq);
	KUNIT_EXPECT_FALSE(test, t->iommu.faultq.running);

	ops.write32 = write32_acks;
	t->inner = t->bus->ops;
	t->fake->read_arg = t;
	t->bus->ops = &ops;
	rviommu_inq_service(&t->iommu.faultq);
	KUNIT_EXPECT_EQ(test, t->acks, 0);
	t->bus->wired = true;
	rviommu_inq_service(&t->iommu.faultq);
	KUNIT_EXPECT_EQ(test, t->acks, 1);
	t->bus->wired = false;
	t->bus->ops = t->inner;
}

static void fault_never_on(struct kunit *test)
{
	struct fault_test *t = start(test);

	KUNIT_EXPECT_EQ(test, rviommu_inq_disable(&t->iommu.faultq), 0);
	t->fake->never_on = true;
	KUNIT_EXPECT_EQ(test, rviommu_inq_enable(&t->iommu.faultq), -ETIMEDOUT);
	expect_off(t);

	t->fake->never_on = false;
	KUNIT_EXPECT_EQ(test, rviommu_inq_enable(&t->iommu.faultq), 0);
	expect_works(t);
}

static void fault_off_and_on(struct kunit *test)
{
	struct fault_test *t = start(test);
	unsigned int i;

	expect_works(t);
	KUNIT_EXPECT_EQ(test, rviommu_inq_disable(&t->iommu.faultq), 0);
	expect_off(t);
	for (i = 0x28; i < 0x54; i += 4)
		t->fake->reg[i / 4] = 0;
	/* pending from before: new faults would raise no message */
	t->fake->reg[IPSR / 4] |= 2;
	KUNIT_EXPECT_EQ(test, rviommu_inq_enable(&t->iommu.faultq), 0);
	KUNIT_EXPECT_EQ(test, fakebus_peek(t->bus, IPSR), 0);
	expect_works(t);
}

static unsigned int allocations_left;

static bool fail_nth(void)
{
	return !allocations_left--;
}

static void fault_init_fails(struct kunit *test)
{
	struct rviommu_bus *bus = fakebus_create(test, 0x10);
	long live = testdev_live();
	struct rviommu *iommu = kunit_kzalloc(test, sizeof(*iommu), GFP_KERNEL);
	unsigned int n;
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, iommu);
	iommu->bus = bus;
	iommu->pas_lg2 = 56;
	iommu->nid = NUMA_NO_NODE;
	kunit_activate_static_stub(test, rviommu_alloc_fails, fail_nth);
	for (n = 0; n < 10; n++) {
		allocations_left = n;
		ret = rviommu_faultq_init(iommu, 3);
		if (!ret)
			break;
		KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
		KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live);
	}
	kunit_deactivate_static_stub(test, rviommu_alloc_fails);
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_EQ(test, n, 2);
	rviommu_inq_destroy(&iommu->faultq);
	rviommu_inq_destroy(&iommu->faultq);
	KUNIT_EXPECT_EQ(test, rviommu_mem_live(), live);
}

/**
 * struct fault_source - a thread that reports faults
 * @t: the case
 * @nr: how many
 * @stored: how many were not lost
 * @done: it has ended
 */
struct fault_source {
	struct fault_test *t;
	unsigned int nr;
	unsigned int stored;
	struct completion done;
};

static int report_faults(void *data)
{
	struct fault_source *source = data;
	unsigned int i, tries;

	for (i = 1; i <= source->nr; i++) {
		/* A kernel that does not preempt has grace periods only if this one lets it. */
		cond_resched();
		if (fault_at(source->t, i)) {
			source->stored++;
			continue;
		}
		/* most of the rest would be lost, too: let the reader catch up */
		for (tries = 0; tries < 10000; tries++) {
			if (!(fakebus_peek(source->t->bus, FQCSR) & 0x300))
				break;
			cond_resched();
		}
	}
	complete(&source->done);
	return 0;
}

/* Faults that come while others are read, with overflows: none is read twice. */
static void fault_concurrent(struct kunit *test)
{
	struct fault_test *t = start(test);
	struct fault_source source = { .t = t, .nr = 5000 };
	u64 last = 0, now;

	init_completion(&source.done);
	KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(report_faults, &source, "rviommu-faults")));
	while (!try_wait_for_completion(&source.done)) {
		/* only when there is an interrupt: none may be missed */
		if (fakebus_peek(t->bus, IPSR) & 2)
			rviommu_inq_service(&t->iommu.faultq);
		now = t->ep->last_fault.iotval;
		KUNIT_EXPECT_GE(test, now, last);
		last = now;
		cond_resched();
	}
	while (fakebus_peek(t->bus, IPSR) & 2)
		rviommu_inq_service(&t->iommu.faultq);
	KUNIT_EXPECT_EQ(test, records(t), source.stored);
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->ep->faults), source.stored);
	if (source.stored < source.nr)
		KUNIT_EXPECT_GT(test, atomic64_read(&t->iommu.faultq.overflows), 0);
	kunit_info(test, "%u of %u stored, %lld overflows\n", source.stored, source.nr,
		   atomic64_read(&t->iommu.faultq.overflows));
	expect_works(t);
}

static struct kunit_case fault_cases[] = {
	KUNIT_CASE(fault_cause_names),
	KUNIT_CASE(fault_ttyp_names),
	KUNIT_CASE(fault_decode),
	KUNIT_CASE(fault_format),
	KUNIT_CASE(fault_report),
	KUNIT_CASE(fault_log_limit),
	KUNIT_CASE(fault_wrap),
	KUNIT_CASE(fault_overflow),
	KUNIT_CASE(fault_overflow_again),
	KUNIT_CASE(fault_after_tail),
	KUNIT_CASE(fault_memory_fault),
	KUNIT_CASE(fault_impossible_tail),
	KUNIT_CASE(fault_gone),
	KUNIT_CASE(fault_busy_forever),
	KUNIT_CASE(fault_given_up),
	KUNIT_CASE(fault_never_on),
	KUNIT_CASE(fault_off_and_on),
	KUNIT_CASE(fault_init_fails),
	KUNIT_CASE(fault_concurrent),
	{}
};

static struct kunit_suite fault_suite = {
	.name = "rviommu_fault",
	.test_cases = fault_cases,
};

kunit_test_suite(fault_suite);
