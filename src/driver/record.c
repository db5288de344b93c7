// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault records: decoding, names, and how much is said of them.
 */
#include <kunit/visibility.h>
#include <linux/bitfield.h>
#include <linux/export.h>
#include <linux/ratelimit.h>

#include "record.h"

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

/**
 * rviommu_fault_ends_requests() - does the device send no page requests any more after that?
 * @fault: the fault
 *
 * Spec "PCIe ATS Page Request handling": to a page request for which it finds no valid device
 * context the IOMMU itself responds with Response Failure. Whether the message was one, the
 * record does not say.
 *
 * Return: true if that may be.
 */
bool rviommu_fault_ends_requests(const struct rviommu_fault *fault)
{
	return fault->ttyp == TTYP_MESSAGE && fault->cause >= 256 && fault->cause <= 259;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_fault_ends_requests);

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
