/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fault records: decoding, names, and how much is said of them.
 */
#ifndef RVIOMMU_RECORD_H
#define RVIOMMU_RECORD_H

#include <linux/ratelimit_types.h>
#include <linux/types.h>

#include <rviommu/formats.h>

/**
 * struct rviommu_fault - a fault record, decoded
 * @cause: spec "Fault record CAUSE field encodings"
 * @ttyp: spec "Fault record TTYP field encodings"
 * @did: device_id; 0 when @ttyp is 0
 * @pid: process_id, valid if @pv
 * @pv: the transaction had a process_id
 * @priv: it requested supervisor privilege
 * @iotval: IOVA, message code, or as the cause defines
 * @iotval2: guest-physical address for guest-page faults, bits 1:0 flags
 */
struct rviommu_fault {
	u16 cause;
	u8 ttyp;
	u32 did;
	u32 pid;
	bool pv;
	bool priv;
	u64 iotval;
	u64 iotval2;
};

/**
 * struct rviommu_fault_log - what the log says of the faults of one source
 * @limit: so many lines in so many seconds
 * @hidden: faults since the last line, for which there was no room
 *
 * A source is a device; what no device is known to have caused is one for all of the
 * IOMMU. Each has a limit of its own: a device must not be able to keep the faults of
 * others out of the log. Under the lock of the fault queue.
 */
struct rviommu_fault_log {
	struct ratelimit_state limit;
	u64 hidden;
};

const char *rviommu_fault_cause_name(u16 cause);
const char *rviommu_fault_ttyp_name(u8 ttyp);
struct rviommu_fault rviommu_fault_decode(const struct rviommu_fault_record *rec);
bool rviommu_fault_ends_requests(const struct rviommu_fault *fault);
void rviommu_fault_format(char *buf, size_t size, const char *device,
			  const struct rviommu_fault *fault);
void rviommu_fault_log_init(struct rviommu_fault_log *log);
bool rviommu_fault_log_room(struct rviommu_fault_log *log, u64 *hidden);

#endif /* RVIOMMU_RECORD_H */
