/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Test devices: a whole IOMMU on the fake register bus, with interrupts that
 * really arrive, and endpoints behind it that the IOMMU core probes like real
 * ones.
 */
#ifndef RVIOMMU_KUNIT_TESTDEV_H
#define RVIOMMU_KUNIT_TESTDEV_H

#include <kunit/test.h>
#include <linux/platform_device.h>

#include "../src/driver/attachment.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/rviommu.h"
#include "../src/driver/space.h"
#include "fakebus.h"

/*
 * capabilities: version 1.0, Sv39 to Sv57 in both stages, ATS, interrupts of both
 * kinds, 56-bit addresses. Spelled by hand (spec "IOMMU capabilities").
 */
#define TESTDEV_CAPS	(0x10ULL | 0xeULL << 8 | 0xeULL << 16 | 1ULL << 25 | 2ULL << 28 | \
			 56ULL << 32)
#define TESTDEV_PBMT	BIT_ULL(15)
#define TESTDEV_MSI	BIT_ULL(22)
#define TESTDEV_DBG	BIT_ULL(31)
#define TESTDEV_NL	BIT_ULL(42)
#define TESTDEV_S	BIT_ULL(43)

/* Register writes that are recorded at most. */
#define TESTDEV_WRITES	512U

/**
 * struct testdev_write - one write of the driver to a register
 * @offset: register
 * @value: what was written; of a register of 8 bytes both halves, in one record
 */
struct testdev_write {
	unsigned int offset;
	u64 value;
};

/**
 * struct testdev - one IOMMU under test
 *
 * On top of what the fake bus finds, it is a failure of the test to change fctl or
 * ddtp in a way that spec calls UNSPECIFIED or forbids, or to write the low half of a
 * register of 8 bytes without its high half before.
 *
 * @test: the test it belongs to
 * @bus: registers; of the fake bus, with recording in between
 * @fake: the same as fake bus
 * @inner: operations of the fake bus
 * @iommu: what rviommu_probe() fills in
 * @present: between rviommu_probe() and rviommu_remove()
 * @irqs: domain of the interrupts
 * @endpoints: how many were made
 * @fence_timeout_us: if not 0, rviommu_cmdq.timeout_us from the first doorbell on
 * @writes: writes of the driver in order; what does not fit is only counted
 * @nr_writes: how many there were
 * @high_of: register whose high half was written last, and its low one not yet
 * @high: what was written
 * @translate: if not NULL, answers the debug translation registers: returns
 *             tr_response. Without it they are ordinary registers of the fake bus.
 * @translate_busy: the request never completes
 * @translations: how often @translate was asked
 * @doorbell: if not NULL, called when the driver writes cqt, before the fake bus
 *            sees it
 * @look: if not NULL, called when the driver reads a register, before the fake bus sees it
 * @arg: for @doorbell and @look
 */
struct testdev {
	struct kunit *test;
	struct rviommu_bus *bus;
	struct fakebus *fake;
	const struct rviommu_bus_ops *inner;
	struct rviommu iommu;
	bool present;
	struct irq_domain *irqs;
	unsigned int endpoints;
	unsigned int fence_timeout_us;
	struct testdev_write *writes;
	unsigned int nr_writes;
	unsigned int high_of;
	u32 high;
	u64 (*translate)(struct testdev *td, u32 did, u64 iova);
	bool translate_busy;
	unsigned int translations;
	void (*doorbell)(struct testdev *td);
	void (*look)(struct testdev *td);
	void *arg;
};

/* An IOMMU with interrupts, not probed yet; gone when the test ends. */
struct testdev *testdev_create(struct kunit *test, u64 caps, unsigned int nr_irqs);

/* rviommu_probe() of zeroed memory. */
int testdev_probe(struct testdev *td);
/* rviommu_remove(). Also happens when the test ends, endpoints first. */
void testdev_remove(struct testdev *td);
/* Both, and the probe must succeed. */
struct testdev *testdev_up(struct kunit *test, u64 caps);

/* Raise interrupt @vector and wait until its thread has run. */
void testdev_irq(struct testdev *td, unsigned int vector);

/*
 * A new device with these IDs. The core has tried to probe it on return; whether it
 * is behind the IOMMU then says device_iommu_mapped(). Goes away when the test ends.
 */
struct device *testdev_add(struct testdev *td, const u32 *ids, unsigned int nr);
/* The same, with one ID, and it must be mapped. */
struct device *testdev_add_one(struct testdev *td, u32 id);
/* Remove it before the end of the test. */
void testdev_del(struct testdev *td, struct device *dev);

static inline struct rviommu_endpoint *testdev_ep(struct device *dev)
{
	return dev_iommu_priv_get(dev);
}

/* The write of @value (in @mask) to @offset at or after @from; nr_writes: none. */
unsigned int testdev_find_write(struct testdev *td, unsigned int from, unsigned int offset,
				u64 mask, u64 value);

/* A 64-bit register of the fake bus, read and set without any effect */
u64 testdev_peek64(struct testdev *td, unsigned int offset);
void testdev_poke64(struct testdev *td, unsigned int offset, u64 value);
void testdev_poke32(struct testdev *td, unsigned int offset, u32 value);
/* Which bits of a plain register can be written */
void testdev_writable64(struct testdev *td, unsigned int offset, u64 mask);
/* iommu_mode in ddtp now */
unsigned int testdev_mode(struct testdev *td);

/* As after a loss of power: registers as testdev_create() left them, queues off. */
void testdev_power_loss(struct testdev *td);

/* The words of a context as hardware finds them; all zero when it is not valid. */
struct rviommu_dc testdev_context(struct testdev *td, u32 did);

#define TESTDEV_ALL	(-3)

/**
 * struct testdev_failures - fail one allocation
 * @nth: which, counting from 0; -1 for none, %TESTDEV_ALL for all
 * @seen: allocations so far
 */
struct testdev_failures {
	int nth;
	int seen;
};

/* Let allocation @nth of this test fail, counting from now; %TESTDEV_ALL; -1: none any more. */
void testdev_fail(struct kunit *test, struct testdev_failures *failures, int nth);

/* Waits for registers end after a few looks. For tests of those that do fail. */
void testdev_short_waits(struct kunit *test);

/* Are accesses of the IOMMU, and of devices, coherent with the CPUs' caches? */
void testdev_snoops(struct kunit *test, bool snoops);

/* What is allocated, once nothing waits for a grace period. */
void testdev_barrier(void);
long testdev_live(void);

/**
 * struct testdev_command - a command by hand, spec "Command-Queue (CQ)"
 * @dword0: doubleword 0
 * @dword1: doubleword 1
 *
 * In %CMD_FENCE (AV, PR and PW) where and what it writes is not compared.
 */
struct testdev_command {
	u64 dword0;
	u64 dword1;
};

#define CMD_FENCE		{ 0x3402, 0 }
#define CMD_BARRIER		{ 0x002, 0 }
#define CMD_DDT_ALL		{ 0x003, 0 }
#define CMD_DDT(did)		{ 0x003 | 1ULL << 33 | (u64)(did) << 40, 0 }
#define CMD_VMA_ALL		{ 0x001, 0 }
#define CMD_VMA(pscid)		{ 0x001 | (u64)(pscid) << 12 | 1ULL << 32, 0 }
#define CMD_VMA_AT(pscid, iova)	{ 0x401 | (u64)(pscid) << 12 | 1ULL << 32, (iova) >> 12 << 10 }
#define CMD_VMA_GSCID(gscid)	{ 0x001 | 1ULL << 33 | (u64)(gscid) << 44, 0 }
#define CMD_GVMA_ALL		{ 0x081, 0 }
#define CMD_GVMA(gscid)		{ 0x081 | 1ULL << 33 | (u64)(gscid) << 44, 0 }
#define CMD_GVMA_AT(gscid, gpa)	{ 0x481 | 1ULL << 33 | (u64)(gscid) << 44, (gpa) >> 12 << 10 }

/* What was executed since the last fakebus_clear() must be this. Forgets it. */
void testdev_expect(struct testdev *td, const char *where, const struct testdev_command *want,
		    unsigned int nr);
#define EXPECT_COMMANDS(td, where, ...)						\
do {										\
	const struct testdev_command want_[] = { __VA_ARGS__ };			\
										\
	testdev_expect(td, where, want_, ARRAY_SIZE(want_));			\
} while (0)

/*
 * A device without ATS behind an IOMMU is attached to an address space, as far as whoever
 * invalidates knows; and not any more.
 */
struct rviommu_attachment *testdev_link(struct kunit *test, struct rviommu *iommu,
					struct rviommu_space *space);
void testdev_unlink(struct rviommu_attachment *a);

/* Attachments of a domain to an IOMMU (NULL: to any); with @atc those of devices with ATS */
unsigned int testdev_users(struct iommu_domain *domain, const struct rviommu *iommu, bool atc);

#endif /* RVIOMMU_KUNIT_TESTDEV_H */
