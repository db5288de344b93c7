/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fault queue: records, their names, and who is told.
 */
#ifndef RVIOMMU_FAULT_H
#define RVIOMMU_FAULT_H

#include <linux/atomic.h>
#include <linux/mutex.h>
#include <linux/ratelimit_types.h>
#include <linux/types.h>

#include <rviommu/formats.h>

#include "queue.h"

struct rviommu;

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
 * others out of the log. Under rviommu_faultq.lock of the IOMMU.
 */
struct rviommu_fault_log {
	struct ratelimit_state limit;
	u64 hidden;
};

/**
 * struct rviommu_faultq - the fault queue of one IOMMU
 * @q: memory and registers
 * @lock: serialises the functions below against each other. Nothing that waits
 *        for a command is done under it.
 * @head: index of the next record to read
 * @running: enabled, and not given up; read anywhere
 * @records: records read
 * @overflows: fqof seen and cleared
 * @memfaults: fqmf seen and cleared
 * @bad_index: hardware gave a tail outside the queue
 * @log: of records that no device is known to have caused; under @lock
 *
 * The counters are read without the lock, by debugfs.
 */
struct rviommu_faultq {
	struct rviommu_queue q;
	struct mutex lock; /* see above */
	u32 head;
	bool running;
	atomic64_t records;
	atomic64_t overflows;
	atomic64_t memfaults;
	atomic64_t bad_index;
	struct rviommu_fault_log log;
};

/* Enough for the name of a device, and for everything that is said of a fault. */
#define RVIOMMU_FAULT_NAME	48
#define RVIOMMU_FAULT_TEXT	256

struct rviommu_fault rviommu_fault_decode(const struct rviommu_fault_record *rec);
const char *rviommu_fault_cause_name(u16 cause);
const char *rviommu_fault_ttyp_name(u8 ttyp);
void rviommu_fault_format(char *buf, size_t size, const char *device,
			  const struct rviommu_fault *fault);

void rviommu_fault_log_init(struct rviommu_fault_log *log);
bool rviommu_fault_log_room(struct rviommu_fault_log *log, u64 *hidden);

int rviommu_faultq_init(struct rviommu_faultq *fq, struct rviommu_bus *bus, u8 entries_lg2,
			u8 pas_lg2, int nid);
void rviommu_faultq_destroy(struct rviommu_faultq *fq);
int rviommu_faultq_enable(struct rviommu_faultq *fq);
int rviommu_faultq_disable(struct rviommu_faultq *fq);
void rviommu_faultq_service(struct rviommu *iommu);

#endif /* RVIOMMU_FAULT_H */
