// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fault queue: records, their names, and who is told.
 *
 * Nothing here takes a lock that attach or map hold while they wait for the
 * IOMMU, and nothing here waits for commands: a fault may be the reason why
 * somebody else waits.
 */
#include <kunit/visibility.h>
#include <linux/bitfield.h>
#include <linux/export.h>
#include <linux/log2.h>
#include <linux/ratelimit.h>

#include "fault.h"
#include "rviommu.h"
#include "trace.h"

#define FQCSR_ERRORS	(RVIOMMU_QCSR_MF | RVIOMMU_QCSR_OF)

/* Spec "Fault record CAUSE field encodings" */
static const struct {
	u16 cause;
	const char *name;
} cause_names[] = {
	{ 1, "instruction access fault" },
	{ 4, "read address misaligned" },
	{ 5, "read access fault" },
	{ 6, "write/AMO address misaligned" },
	{ 7, "write/AMO access fault" },
	{ 12, "instruction page fault" },
	{ 13, "read page fault" },
	{ 15, "write/AMO page fault" },
	{ 20, "instruction guest page fault" },
	{ 21, "read guest-page fault" },
	{ 23, "write/AMO guest-page fault" },
	{ 256, "all inbound transactions disallowed" },
	{ 257, "DDT entry load access fault" },
	{ 258, "DDT entry not valid" },
	{ 259, "DDT entry misconfigured" },
	{ 260, "transaction type disallowed" },
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
	{ 272, "internal data path error" },
	{ 273, "IOMMU MSI write access fault" },
	{ 274, "first/second-stage PT data corruption" },
};

#define CAUSE_CUSTOM	2048

/* Spec "Fault record TTYP field encodings" */
static const char * const ttyp_names[] = {
	[0] = "none",
	[1] = "untranslated read for execute",
	[2] = "untranslated read",
	[3] = "untranslated write/AMO",
	[5] = "translated read for execute",
	[6] = "translated read",
	[7] = "translated write/AMO",
	[8] = "PCIe ATS translation request",
	[9] = "PCIe message request",
};

/* The table has 31 in both rows, reserved and custom; it is not in use. */
#define TTYP_CUSTOM	32
#define TTYP_MESSAGE	9

/**
 * rviommu_fault_cause_name() - the name of a cause in the specification's table
 * @cause: fault record CAUSE
 *
 * Return: a constant; "reserved" or "custom" when the table has no name.
 */
const char *rviommu_fault_cause_name(u16 cause)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cause_names); i++)
		if (cause_names[i].cause == cause)
			return cause_names[i].name;
	return cause >= CAUSE_CUSTOM ? "custom" : "reserved";
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_fault_cause_name);

/**
 * rviommu_fault_ttyp_name() - the name of a transaction type
 * @ttyp: fault record TTYP
 *
 * Return: a constant; "reserved" or "custom" when the table has no name.
 */
const char *rviommu_fault_ttyp_name(u8 ttyp)
{
	if (ttyp < ARRAY_SIZE(ttyp_names) && ttyp_names[ttyp])
		return ttyp_names[ttyp];
	return ttyp >= TTYP_CUSTOM ? "custom" : "reserved";
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_fault_ttyp_name);

/**
 * rviommu_fault_decode() - a fault record as the driver uses it
 * @rec: as it lies in the queue
 *
 * Return: the fault.
 */
struct rviommu_fault rviommu_fault_decode(const struct rviommu_fault_record *rec)
{
	u64 hdr = le64_to_cpu(rec->hdr);

	return (struct rviommu_fault) {
		.cause = FIELD_GET(RVIOMMU_FAULT_CAUSE, hdr),
		.ttyp = FIELD_GET(RVIOMMU_FAULT_TTYP, hdr),
		.did = FIELD_GET(RVIOMMU_FAULT_DID, hdr),
		.pid = FIELD_GET(RVIOMMU_FAULT_PID, hdr),
		.pv = FIELD_GET(RVIOMMU_FAULT_PV, hdr),
		.priv = FIELD_GET(RVIOMMU_FAULT_PRIV, hdr),
		.iotval = le64_to_cpu(rec->iotval),
		.iotval2 = le64_to_cpu(rec->iotval2),
	};
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_fault_decode);

static bool fault_is_guest_page(const struct rviommu_fault *fault)
{
	return fault->cause == 20 || fault->cause == 21 || fault->cause == 23;
}

/**
 * rviommu_fault_format() - a fault in words
 * @buf: where to write
 * @size: bytes there; %RVIOMMU_FAULT_TEXT is always enough
 * @device: name of the device
 * @fault: the fault
 */
void rviommu_fault_format(char *buf, size_t size, const char *device,
			  const struct rviommu_fault *fault)
{
	const char *cause = rviommu_fault_cause_name(fault->cause);
	size_t len;

	/* What the two values are is then up to the cause. */
	if (!fault->ttyp) {
		scnprintf(buf, size, "%s (cause %u), values %#llx and %#llx", cause, fault->cause,
			  fault->iotval, fault->iotval2);
		return;
	}

	len = scnprintf(buf, size, "%s", device);
	if (fault->pv)
		len += scnprintf(buf + len, size - len, " PASID %#x%s", fault->pid,
				 fault->priv ? " supervisor" : "");
	len += scnprintf(buf + len, size - len, ": %s (cause %u), %s, %s %#llx", cause,
			 fault->cause, rviommu_fault_ttyp_name(fault->ttyp),
			 fault->ttyp == TTYP_MESSAGE ? "message" : "IOVA", fault->iotval);
	/* Spec iotval2: bits 1:0 say which implicit access it was. */
	if (fault_is_guest_page(fault))
		scnprintf(buf + len, size - len, ", guest address %#llx%s",
			  fault->iotval2 & ~3ULL,
			  !(fault->iotval2 & RVIOMMU_FAULT_IOTVAL2_IMPLICIT) ? "" :
			  fault->iotval2 & RVIOMMU_FAULT_IOTVAL2_WRITE ?
			  " (A/D update)" : " (table walk)");
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_fault_format);

/**
 * rviommu_fault_log_init() - a source of faults that has caused none
 * @log: filled in here
 */
void rviommu_fault_log_init(struct rviommu_fault_log *log)
{
	ratelimit_state_init(&log->limit, DEFAULT_RATELIMIT_INTERVAL, DEFAULT_RATELIMIT_BURST);
	/* What is hidden is said here, with the name of the device. */
	ratelimit_set_flags(&log->limit, RATELIMIT_MSG_ON_RELEASE);
	log->hidden = 0;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_fault_log_init);

/**
 * rviommu_fault_log_room() - may one more fault of a source be logged?
 * @log: the source
 * @hidden: how many before it could not
 *
 * Return: true if it may.
 */
bool rviommu_fault_log_room(struct rviommu_fault_log *log, u64 *hidden)
{
	if (!__ratelimit(&log->limit)) {
		log->hidden++;
		return false;
	}
	*hidden = log->hidden;
	log->hidden = 0;
	return true;
}

static void fault_report(struct rviommu *iommu, const struct rviommu_fault *fault)
{
	char device[RVIOMMU_FAULT_NAME] = "", text[RVIOMMU_FAULT_TEXT];
	u64 hidden;
	bool log;

	atomic64_inc(&iommu->faultq.records);
	log = rviommu_endpoint_fault(iommu, fault, &hidden);
	if (!log && !trace_rviommu_fault_enabled())
		return;
	if (fault->ttyp)
		rviommu_endpoint_name(iommu, fault->did, device, sizeof(device));
	trace_rviommu_fault(iommu->bus, device, fault);
	if (!log)
		return;
	rviommu_fault_format(text, sizeof(text), device, fault);
	if (hidden)
		dev_err(iommu->bus->dev, "%s: %s (%llu before it not shown)\n", iommu->bus->name,
			text, hidden);
	else
		dev_err(iommu->bus->dev, "%s: %s\n", iommu->bus->name, text);
}

/*
 * Read records up to the tail as of now: less than a ring full. What comes later
 * raises its own interrupt. False when the tail cannot be.
 */
static bool faultq_drain(struct rviommu *iommu)
{
	struct rviommu_faultq *fq = &iommu->faultq;
	struct rviommu_queue *q = &fq->q;
	const u32 mask = rviommu_queue_mask(q);
	u32 tail = q->bus->ops->read32(q->bus, q->reg_base + RVIOMMU_QUEUE_TAIL);

	if (tail > mask)
		return false;
	/* The records that the tail announced, not what was there before. */
	dma_rmb();

	while (fq->head != tail) {
		const struct rviommu_fault_record *rec = q->base;
		struct rviommu_fault fault = rviommu_fault_decode(&rec[fq->head]);

		fault_report(iommu, &fault);
		fq->head = (fq->head + 1) & mask;
	}
	q->bus->ops->write32(q->bus, q->reg_index, fq->head);
	return true;
}

static void faultq_clear_interrupt(struct rviommu_queue *q)
{
	q->bus->ops->write32(q->bus, RVIOMMU_REG_IPSR, RVIOMMU_IPSR_FIP);
}

static void faultq_give_up(struct rviommu_faultq *fq, const char *why)
{
	dev_err(fq->q.bus->dev, "fq: %s, faults are not reported any more\n", why);
	WRITE_ONCE(fq->running, false);
}

static void faultq_service(struct rviommu *iommu)
{
	struct rviommu_faultq *fq = &iommu->faultq;
	struct rviommu_queue *q = &fq->q;
	u32 csr;

	lockdep_assert_held(&fq->lock);

	if (!fq->running) {
		/*
		 * A queue that was given up and does not switch off may raise its
		 * interrupt again as soon as it is cleared, for ever. Left pending,
		 * a message is not sent again; a wire has to be cleared.
		 */
		if (!q->on || q->bus->wired)
			faultq_clear_interrupt(q);
		return;
	}

	csr = q->bus->ops->read32(q->bus, q->reg_csr);
	if (rviommu_queue_gone(csr)) {
		dev_err(q->bus->dev, "fq: registers read all ones, the device is gone\n");
		WRITE_ONCE(q->on, false);
		WRITE_ONCE(fq->running, false);
		return;
	}
	if (csr & FQCSR_ERRORS) {
		if (csr & RVIOMMU_QCSR_OF)
			atomic64_inc(&fq->overflows);
		if (csr & RVIOMMU_QCSR_MF)
			atomic64_inc(&fq->memfaults);
		dev_err_ratelimited(q->bus->dev, "fq: %s, fault records were lost\n",
				    csr & RVIOMMU_QCSR_MF ? "memory fault" : "overflow");

		/* Make room first, or the next record would overflow it again. */
		if (!faultq_drain(iommu))
			goto bad_index;
		if (rviommu_queue_write_csr(q, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE |
					    (csr & FQCSR_ERRORS))) {
			faultq_give_up(fq, "it does not recover from an error");
			return;
		}
	}
	/* Before the tail is read: a record after that raises a new interrupt. */
	faultq_clear_interrupt(q);
	if (faultq_drain(iommu))
		return;

bad_index:
	atomic64_inc(&fq->bad_index);
	faultq_give_up(fq, "its tail is outside the queue");
	if (!rviommu_queue_disable(q))
		faultq_clear_interrupt(q);
}

/**
 * rviommu_faultq_service() - read and report what is in the fault queue
 * @iommu: whose
 *
 * Follows spec "Guidelines for handling interrupts from IOMMU". Clears ipsr.fip.
 * A queue that cannot be trusted is switched off, with one message; DMA stays
 * translated and blocked as before.
 *
 * Context: may sleep; the interrupt thread, and suspend. Bounded: at most one
 * ring of records, two after an error.
 */
void rviommu_faultq_service(struct rviommu *iommu)
{
	mutex_lock(&iommu->faultq.lock);
	faultq_service(iommu);
	mutex_unlock(&iommu->faultq.lock);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_faultq_service);

/**
 * rviommu_faultq_init() - allocate a fault queue
 * @fq: filled in here
 * @bus: register access
 * @entries_lg2: lg2 of the wanted number of records; the IOMMU may take less
 * @pas_lg2: memory must lie below this physical address
 * @nid: NUMA node
 *
 * Context: may sleep.
 * Return: see rviommu_queue_init().
 */
int rviommu_faultq_init(struct rviommu_faultq *fq, struct rviommu_bus *bus, u8 entries_lg2,
			u8 pas_lg2, int nid)
{
	memset(fq, 0, sizeof(*fq));
	mutex_init(&fq->lock);
	rviommu_fault_log_init(&fq->log);
	return rviommu_queue_init(&fq->q, bus, "fq", RVIOMMU_REG_FQB, RVIOMMU_REG_FQCSR,
				  ilog2(sizeof(struct rviommu_fault_record)), entries_lg2,
				  pas_lg2, nid);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_faultq_init);

/**
 * rviommu_faultq_destroy() - give the memory of a fault queue back
 * @fq: initialised or zeroed; nobody uses it any more
 *
 * Context: may sleep.
 */
void rviommu_faultq_destroy(struct rviommu_faultq *fq)
{
	rviommu_queue_destroy(&fq->q);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_faultq_destroy);

/**
 * rviommu_faultq_enable() - switch the fault queue on, empty
 * @fq: initialised
 *
 * Context: may sleep.
 * Return: see rviommu_queue_enable().
 */
int rviommu_faultq_enable(struct rviommu_faultq *fq)
{
	int ret;

	mutex_lock(&fq->lock);
	fq->head = 0;
	/* Left pending by whatever was before, it would keep new ones away. */
	faultq_clear_interrupt(&fq->q);
	ret = rviommu_queue_enable(&fq->q, RVIOMMU_QCSR_IE);
	WRITE_ONCE(fq->running, !ret);
	mutex_unlock(&fq->lock);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_faultq_enable);

/**
 * rviommu_faultq_disable() - switch the fault queue off
 * @fq: initialised
 *
 * Context: may sleep.
 * Return: see rviommu_queue_disable().
 */
int rviommu_faultq_disable(struct rviommu_faultq *fq)
{
	int ret;

	mutex_lock(&fq->lock);
	WRITE_ONCE(fq->running, false);
	ret = rviommu_queue_disable(&fq->q);
	mutex_unlock(&fq->lock);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_faultq_disable);
