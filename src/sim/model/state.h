/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The state of one IOMMU, and what every part of the model may need of its whole. Section
 * names are those of the RISC-V IOMMU Architecture Specification unless another document is
 * named.
 *
 * Everything in the headers here is called with the model's lock held, unless said otherwise.
 * A header declares what its .c file has; scripts/layers says which file may use which.
 */
#ifndef RVIOMMU_MODEL_STATE_H
#define RVIOMMU_MODEL_STATE_H

#include "shim.h"

#include <rviommu/formats.h>
#include <rviommu/model.h>
#include <rviommu/regs.h>

#define NR_VECTORS		16
#define NR_COUNTERS		31
#define NR_ITAGS		32
#define NR_DELAYED		16
#define OUTBOX_SIZE		16
#define CACHE_BUCKETS		16384
#define NR_SHIFTS		64
#define NR_RECENT		4096

struct rviommu_m_entry;
struct rviommu_m_chunk;

/**
 * struct rviommu_m_cache - all IOATCs of one model
 * @bucket: hash chains
 * @used: list of all entries in use, per kind
 * @free: unused entries
 * @chunks: where the entries' memory comes from
 * @count: entries in use, per kind and log2 of what they cover
 * @allocated: entries that exist
 * @limit: how many may exist, 0: any number
 * @evictions: entries that had to make room
 */
struct rviommu_m_cache {
	struct rviommu_m_entry *bucket[CACHE_BUCKETS];
	struct rviommu_m_entry *used[RVIOMMU_MODEL_NR_KINDS];
	struct rviommu_m_entry *free;
	struct rviommu_m_chunk *chunks;
	u32 count[RVIOMMU_MODEL_NR_KINDS][NR_SHIFTS];
	u32 allocated;
	u32 limit;
	u64 evictions;
};

/**
 * struct rviommu_m_queue - one of the three in-memory queues
 * @base: cqb, fqb or pqb
 * @head: cqh, fqh or pqh
 * @tail: cqt, fqt or pqt
 * @csr: cqcsr, fqcsr or pqcsr
 * @max_lg2: log2 of the most entries it can have
 */
struct rviommu_m_queue {
	u64 base;
	u32 head;
	u32 tail;
	u32 csr;
	u8 max_lg2;
};

/**
 * struct rviommu_m_itag - an Invalidation Request on its way
 * @busy: waiting for completions
 * @underway: the device does not have it yet, so its time has not begun
 * @late: the completion has come but is kept until @arrival
 * @device_id: where it went
 * @seen: completions seen
 * @deadline: time of the timeout
 * @arrival: when a late completion is to be taken for real
 */
struct rviommu_m_itag {
	bool busy;
	bool underway;
	bool late;
	u32 device_id;
	u8 seen;
	u64 deadline;
	u64 arrival;
};

/**
 * struct rviommu_m_recent - an answer that can be given again
 * @generation: of the model when it was given; no longer valid in another
 * @page: of the IOVA
 * @device_id: who asked
 * @process_id: for whom; 0 without
 * @what: kind, privilege and type of the access
 * @rsp: what was answered, for the first byte of the page
 */
struct rviommu_m_recent {
	u64 generation;
	u64 page;
	u32 device_id;
	u32 process_id;
	u32 what;
	struct rviommu_model_response rsp;
};

struct rviommu_m_msi {
	u64 addr;
	u32 data;
	u32 ctl;
};

struct rviommu_model {
	struct rviommu_shim_lock lock;
	struct rviommu_model_config config;
	const struct rviommu_model_ops *ops;
	void *ctx;
	u64 cap;
	u32 switches;
	u64 random;
	u64 now;

	/* The register file */
	u32 fctl;
	u64 ddtp;		/* as written */
	bool ddtp_busy;
	u64 ddtp_active;	/* as in force */
	struct rviommu_m_queue cq, fq, pq;
	u32 ipsr;
	u64 icvec;
	struct rviommu_m_msi msi[NR_VECTORS];
	u32 msi_pending;	/* masked vectors with a message to send */
	u32 inhibit;
	u64 cycles;
	u64 counter[NR_COUNTERS];
	u64 event[NR_COUNTERS];
	u32 counting;		/* bit n: event[n] selects an event */
	u64 tr_req_iova, tr_req_ctl, tr_response;
	bool tr_running;
	u32 qosid;

	struct rviommu_m_cache cache;
	u64 generation;		/* counts invalidations */
	struct rviommu_m_recent recent[NR_RECENT];

	/* Commands */
	u64 delayed[NR_DELAYED][2];
	unsigned int nr_delayed;
	u32 cq_resets;		/* how often the queue was turned off */
	bool cq_fetched;	/* the command at cqh is being executed */
	bool cq_lingers;	/* it is being turned off, and busy with what was fetched ... */
	bool cq_finishes;	/* ... which is executed, not aborted */
	bool processing;	/* somebody executes commands */
	struct rviommu_m_itag itag[NR_ITAGS];
	bool ats_timed_out;
	rviommu_shim_count held[2][2];	/* [reads, writes][epoch]; see rviommu_model_release() */
	u8 epoch[2];
	u8 fence_waits;		/* bit 0: reads, bit 1: writes, held in the other epoch */
	bool fence_begun;

	/* Deliveries */
	struct rviommu_model_ats_msg outbox[OUTBOX_SIZE];
	unsigned int outbox_head, outbox_tail;
	u16 msi_out[NR_VECTORS];	/* messages to send */
	unsigned int nr_msi_out;	/* all together */
	u16 wires;		/* as last reported */
	bool delivering;

	u32 inject[RVIOMMU_MODEL_NR_INJECTIONS];
	struct rviommu_model_stats stats;
};

static inline bool rviommu_m_switch(const struct rviommu_model *m, u32 which)
{
	return unlikely(m->switches & which);
}

u64 rviommu_m_random(struct rviommu_model *m);
bool rviommu_m_injected(struct rviommu_model *m, enum rviommu_model_injection what);
void rviommu_m_unspecified(struct rviommu_model *m, const char *what);
void rviommu_m_other_work(struct rviommu_model *m);

#endif /* RVIOMMU_MODEL_STATE_H */
