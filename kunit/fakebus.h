/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A fake register bus: enough of an IOMMU for the queues, in memory.
 *
 * It has the registers, switches queues on and off as slowly as it is told,
 * executes commands (of which only IOFENCE.C does anything) and records them,
 * and breaks in every way that a test asks for. It translates nothing.
 *
 * It also watches the driver: a command that spec calls illegal stops the queue
 * as it would in hardware, and what spec calls UNSPECIFIED (a csr written while
 * busy, a base written while on, a command changed after its doorbell) is a
 * *violation*, which fails the test when it ends.
 */
#ifndef RVIOMMU_KUNIT_FAKEBUS_H
#define RVIOMMU_KUNIT_FAKEBUS_H

#include <kunit/test.h>
#include <linux/spinlock.h>

#include <rviommu/bus.h>
#include <rviommu/formats.h>

/* Commands that are recorded at most; the rest is only counted. */
#define FAKEBUS_LOG	16384U

/**
 * enum fakebus_trap - what can go wrong with a command
 * @FAKEBUS_ILLEGAL: cmd_ill
 * @FAKEBUS_MEMFAULT: cqmf when it is fetched
 * @FAKEBUS_TIMEOUT: an ATS.INVAL times out; the next fence sets cmd_to
 * @FAKEBUS_SWALLOW: a fence completes but does not write
 * @FAKEBUS_LIE: a fence writes fakebus.lie
 * @FAKEBUS_LATE: a fence completes, its write comes with fakebus_late_writes()
 * @FAKEBUS_NR_TRAPS: number of traps
 */
enum fakebus_trap {
	FAKEBUS_ILLEGAL,
	FAKEBUS_MEMFAULT,
	FAKEBUS_TIMEOUT,
	FAKEBUS_SWALLOW,
	FAKEBUS_LIE,
	FAKEBUS_LATE,
	FAKEBUS_NR_TRAPS,
};

/**
 * enum fakebus_ats - what becomes of an ATS.INVAL
 * @FAKEBUS_ATS_ANSWER: the device completes it
 * @FAKEBUS_ATS_TIMEOUT: it does not, and the next fence sets cmd_to
 * @FAKEBUS_ATS_HANG: it does not, and the next fence waits for it; or with
 *                    fakebus.ats_in_order everything does, and cqh stays
 */
enum fakebus_ats {
	FAKEBUS_ATS_ANSWER,
	FAKEBUS_ATS_TIMEOUT,
	FAKEBUS_ATS_HANG,
};

/**
 * struct fakebus - one fake IOMMU
 * @bus: what the driver gets
 * @test: the test it belongs to; violations are its failure
 * @lock: protects the rest; taken inside any lock of the driver
 * @reg: registers as they read, but for @busy
 * @writable: bits of @reg that a write sets, where nothing special happens
 * @min_lg2: smallest lg2 of the entries of CQ, FQ, PQ
 * @max_lg2: largest
 * @ddtp_modes: BIT(mode) for each iommu_mode that ddtp takes
 * @busy_reads: reads of a csr (or of ddtp) that show busy after a write
 * @busy_off_reads: further reads of cqcsr that show busy, and on, after it was switched off:
 *                  requests to devices are outstanding. UINT_MAX: for ever
 * @busy: such reads left, for CQ, FQ, PQ, ddtp
 * @rate: commands executed at each access to a register, UINT_MAX: all, 0: none
 *        (see fakebus_step())
 * @doorbell_us: how long a write of cqt takes, in microseconds
 * @busy_forever: busy does not go away
 * @never_on: the enable bits do not switch queues on
 * @never_off: clearing them does not switch queues off
 * @keeps_errors: error bits of a csr survive switching its queue on
 * @gone: all registers read all ones
 * @lie_cqh: what cqh reads, if not 0
 * @lie_fqt: what fqt reads, if not 0
 * @lie: number that a fence writes, see %FAKEBUS_LIE
 * @fq_memfaults: records of the fault queue that meet a memory fault
 * @trap: traps: doublewords 0 with (dword0 & mask) == value; @skip of them pass,
 *        then @times are trapped
 * @late: writes held back
 * @nr_late: how many
 * @timed_out: an ATS.INVAL timed out since the last fence. Forgotten, as @hung is, when
 *             the queue is switched on.
 * @hung: an ATS.INVAL is not answered: no fence is executed
 * @ats_in_order: no command is fetched before an ATS.INVAL is complete
 * @ats: if not NULL, called for each ATS.INVAL that is executed, under @lock
 * @ats_arg: for it
 * @shadow: the ring as it was at the doorbell
 * @log: executed commands
 * @nr_log: how many
 * @doorbells: writes of cqt
 * @reads: reads of each register
 * @violations: what the driver must not do and did
 * @read_hook: if not NULL, called before each read, without @lock
 * @read_arg: for it
 *
 * Tests set what they need directly, while the driver is not running, or under
 * @lock.
 */
struct fakebus {
	struct rviommu_bus bus;
	struct kunit *test;
	spinlock_t lock; /* see above */
	u32 reg[RVIOMMU_REG_SIZE / 4];
	u32 writable[RVIOMMU_REG_SIZE / 4];
	u8 min_lg2[3];
	u8 max_lg2[3];
	u32 ddtp_modes;
	unsigned int busy_reads;
	unsigned int busy_off_reads;
	unsigned int busy[4];
	unsigned int rate;
	unsigned int doorbell_us;
	bool busy_forever;
	bool never_on;
	bool never_off;
	bool keeps_errors;
	bool gone;
	u32 lie_cqh;
	u32 lie_fqt;
	u32 lie;
	unsigned int fq_memfaults;
	struct {
		u64 mask;
		u64 value;
		unsigned int skip;
		unsigned int times;
	} trap[FAKEBUS_NR_TRAPS];
	struct {
		u64 pa;
		u32 data;
	} late[16];
	unsigned int nr_late;
	bool timed_out;
	bool hung;
	bool ats_in_order;
	enum fakebus_ats (*ats)(struct fakebus *fake, u64 dword0, void *arg);
	void *ats_arg;
	struct rviommu_command *shadow;
	struct rviommu_command *log;
	unsigned int nr_log;
	unsigned int doorbells;
	unsigned int reads[RVIOMMU_REG_SIZE / 4];
	unsigned int violations;
	void (*read_hook)(struct fakebus *fake, unsigned int offset, void *arg);
	void *read_arg;
};

static inline struct fakebus *to_fakebus(struct rviommu_bus *bus)
{
	return container_of(bus, struct fakebus, bus);
}

/* A fake IOMMU with these capabilities; lives as long as the test. */
struct rviommu_bus *fakebus_create(struct kunit *test, u64 caps);

/* Commands executed since the last fakebus_clear(), fences included, in order. */
const struct rviommu_command *fakebus_commands(struct rviommu_bus *bus, unsigned int *nr);
/* Forget them. */
void fakebus_clear(struct rviommu_bus *bus);

/* Doubleword @n of the @i-th executed command; 0 when there is none. */
u64 fakebus_command(struct rviommu_bus *bus, unsigned int i, unsigned int n);

/* Execute up to @nr commands now; returns how many were. */
unsigned int fakebus_step(struct rviommu_bus *bus, unsigned int nr);

/* Spring @trap on @times commands after @skip, of those with @value in @mask. */
void fakebus_trap(struct rviommu_bus *bus, enum fakebus_trap trap, u64 mask, u64 value,
		  unsigned int skip, unsigned int times);

/* Do the writes that FAKEBUS_LATE held back. */
void fakebus_late_writes(struct rviommu_bus *bus);

/* The IOMMU reports a fault; false when the record is lost. */
bool fakebus_fault(struct rviommu_bus *bus, const struct rviommu_fault_record *rec);

/* A register as it would read, without any effect. */
u32 fakebus_peek(struct rviommu_bus *bus, unsigned int offset);

/* Is the command legal for an IOMMU with these capabilities? */
bool fakebus_legal(u64 caps, u64 dword0, u64 dword1);

#endif /* RVIOMMU_KUNIT_FAKEBUS_H */
