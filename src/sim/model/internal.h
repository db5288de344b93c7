/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the model share. Section names are those of the RISC-V
 * IOMMU Architecture Specification unless another document is named.
 *
 * Everything here is called with the model's lock held, unless said otherwise.
 */
#ifndef RVIOMMU_MODEL_INTERNAL_H
#define RVIOMMU_MODEL_INTERNAL_H

#include "shim.h"

#include <rviommu/formats.h>
#include <rviommu/model.h>
#include <rviommu/regs.h>

/* Causes of faults, "Fault/Event-Queue (FQ)" */
#define CAUSE_INSTR_ACCESS	1
#define CAUSE_READ_MISALIGNED	4
#define CAUSE_READ_ACCESS	5
#define CAUSE_WRITE_MISALIGNED	6
#define CAUSE_WRITE_ACCESS	7
#define CAUSE_INSTR_PAGE	12
#define CAUSE_READ_PAGE		13
#define CAUSE_WRITE_PAGE	15
#define CAUSE_INSTR_GUEST	20
#define CAUSE_READ_GUEST	21
#define CAUSE_WRITE_GUEST	23
#define CAUSE_ALL_DISALLOWED	256
#define CAUSE_DDT_ACCESS	257
#define CAUSE_DDT_INVALID	258
#define CAUSE_DDT_MISCONFIGURED	259
#define CAUSE_DISALLOWED	260
#define CAUSE_MSI_PTE_ACCESS	261
#define CAUSE_MSI_PTE_INVALID	262
#define CAUSE_MSI_PTE_MISCONF	263
#define CAUSE_MRIF_ACCESS	264
#define CAUSE_PDT_ACCESS	265
#define CAUSE_PDT_INVALID	266
#define CAUSE_PDT_MISCONFIGURED	267
#define CAUSE_DDT_CORRUPT	268
#define CAUSE_PDT_CORRUPT	269
#define CAUSE_MSI_PT_CORRUPT	270
#define CAUSE_MRIF_CORRUPT	271
#define CAUSE_INTERNAL		272
#define CAUSE_MSI_WRITE		273
#define CAUSE_PT_CORRUPT	274

/* Transaction types of fault records */
#define TTYP_NONE		0
#define TTYP_EXEC		1
#define TTYP_READ		2
#define TTYP_WRITE		3
#define TTYP_TRANSLATED		4	/* added to the three above */
#define TTYP_ATS		8
#define TTYP_MESSAGE		9

/* PCIe message codes, as reported in iotval */
#define MESSAGE_INVAL_COMPLETION	2
#define MESSAGE_PAGE_REQUEST		4

/* Events of the HPM, "Performance-monitoring event selectors" */
#define EVENT_UNTRANSLATED	1
#define EVENT_TRANSLATED	2
#define EVENT_ATS		3
#define EVENT_TLB_MISS		4
#define EVENT_DDT_WALK		5
#define EVENT_PDT_WALK		6
#define EVENT_S1_WALK		7
#define EVENT_S2_WALK		8
#define EVENT_LAST		8

#define NR_VECTORS		16
#define NR_COUNTERS		31
#define NR_ITAGS		32
#define NR_DELAYED		16
#define OUTBOX_SIZE		16
#define CACHE_BUCKETS		16384
#define NR_SHIFTS		64
#define NR_RECENT		4096

/*
 * How often a request may start again because invalidations keep crossing it.
 * A translation then ends with "Internal data path error".
 */
#define MAX_RETRIES		1000

/* Range of a translation when no stage limits it: what is recommended for ATS */
#define BARE_SIZE_LG2		30

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
 * struct rviommu_m_key - what an entry is looked up by
 * @kind: RVIOMMU_MODEL_*
 * @shift: log2 of what it covers
 * @gv: kinds of the first stage: a second stage is active
 * @gscid: kinds of the second stage, MSI, and of the first stage with @gv
 * @pscid: kinds of the first stage
 * @device_id: DDT and PDT entries
 * @index: address, process or device, shifted right by @shift
 *
 * Members that do not apply to the kind are 0.
 */
struct rviommu_m_key {
	u8 kind;
	u8 shift;
	bool gv;
	u16 gscid;
	u32 pscid;
	u32 device_id;
	u64 index;
};

/**
 * struct rviommu_m_entry - a cached entry
 * @next: hash chain, or the list of free entries
 * @pprev: what points to this entry in the chain
 * @list_next: list of entries of this kind
 * @list_pprev: what points to this entry in that list
 * @key: identity
 * @global: first stage: matches every PSCID
 * @checked: kind DC: @cause is known
 * @cause: kind DC: 0, or 259 if the context is misconfigured
 * @has_spa: @spa is known
 * @spa: DC, PC and PDT entries: supervisor-physical address of the table that the
 *       entry points to (%RVIOMMU_MODEL_CONTEXT_SPA)
 * @word: the entry as read from memory
 */
struct rviommu_m_entry {
	struct rviommu_m_entry *next;
	struct rviommu_m_entry **pprev;
	struct rviommu_m_entry *list_next;
	struct rviommu_m_entry **list_pprev;
	struct rviommu_m_key key;
	bool global;
	bool checked;
	bool has_spa;
	u16 cause;
	u64 spa;
	u64 word[8];
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

/**
 * struct rviommu_m_fault - one record for the fault queue
 * @cause: CAUSE
 * @ttyp: TTYP
 * @pv: PV
 * @priv: PRIV
 * @pid: PID
 * @did: DID
 * @iotval: iotval
 * @iotval2: iotval2
 */
struct rviommu_m_fault {
	u16 cause;
	u8 ttyp;
	bool pv;
	bool priv;
	u32 pid;
	u32 did;
	u64 iotval;
	u64 iotval2;
};

/**
 * struct rviommu_m_stage - what one stage of address translation starts from
 * @mode: iosatp.MODE or iohgatp.MODE
 * @sv32: 4-byte PTEs
 * @second: this is the second stage
 * @be: PTEs are big-endian
 * @ade: A and D are set by the IOMMU (SADE, GADE)
 * @root: address of the root table; guest-physical in a two-stage first stage
 */
struct rviommu_m_stage {
	u8 mode;
	bool sv32;
	bool second;
	bool be;
	bool ade;
	u64 root;
};

/**
 * struct rviommu_m_mapping - what one stage says about an address
 * @pa: the address it is translated to
 * @size_lg2: the range for which this holds; 64: Bare, no limit
 * @perms: RVIOMMU_MODEL_R, W, X as allowed to this access
 * @pbmt: memory type
 * @global: first stage: a global mapping
 */
struct rviommu_m_mapping {
	u64 pa;
	u8 size_lg2;
	u8 perms;
	u8 pbmt;
	bool global;
};

/**
 * struct rviommu_m_xlate - one translation in progress
 * @m: the model
 * @req: what is asked
 * @generation: of the model when it began
 * @ats: an ATS Translation Request: permissions are reported, not required
 * @speculative: prefetch: touches neither A and D nor counters
 * @missed: not all that it needed of PTEs was cached
 * @walks_pdt: second-stage accesses are on behalf of the process directory
 * @dc_found: @dc is valid
 * @pv: there is a process ID, maybe the default one
 * @pid: it
 * @priv: the access is privileged
 * @sum: PC.ta.SUM
 * @need: permissions the access requires
 * @pscv: @pscid is in use
 * @pscid: process soft-context
 * @gscid: guest soft-context
 * @s1: first stage
 * @s2: second stage
 * @owner: context that names the root of the first stage
 * @dc: device context
 * @iotval2: for the fault record
 * @result: of both stages
 * @msi: the page is a virtual interrupt file
 * @mrif: it is a memory-resident one
 * @mrif_addr: see struct rviommu_model_response
 * @notice_addr: see there
 * @notice_data: see there
 */
struct rviommu_m_xlate {
	struct rviommu_model *m;
	const struct rviommu_model_request *req;
	u64 generation;
	bool ats;
	bool speculative;
	bool missed;
	bool walks_pdt;
	bool dc_found;
	bool pv;
	u32 pid;
	bool priv;
	bool sum;
	u8 need;
	bool pscv;
	u32 pscid;
	u16 gscid;
	struct rviommu_m_stage s1;
	struct rviommu_m_stage s2;
	struct rviommu_m_key owner;
	u64 dc[RVIOMMU_DC_WORDS_EXT];
	u64 iotval2;
	struct rviommu_m_mapping result;
	bool msi;
	bool mrif;
	u64 mrif_addr;
	u64 notice_addr;
	u32 notice_data;
};

/* state.c */
static inline bool rviommu_m_switch(const struct rviommu_model *m, u32 which)
{
	return unlikely(m->switches & which);
}

u64 rviommu_m_random(struct rviommu_model *m);
bool rviommu_m_injected(struct rviommu_model *m, enum rviommu_model_injection what);
void rviommu_m_unspecified(struct rviommu_model *m, const char *what);
void rviommu_m_other_work(struct rviommu_model *m);

/* progress.c */
void rviommu_m_settle(struct rviommu_model *m);
/* Takes the lock. */
void rviommu_m_enter(struct rviommu_model *m);
/* Processes commands, delivers interrupts and messages, releases the lock. */
void rviommu_m_leave(struct rviommu_model *m);

/* mem.c: implicit memory accesses; they return RVIOMMU_MODEL_MEM_* */
int rviommu_m_read(struct rviommu_model *m, u64 addr, bool be, u64 *value);
int rviommu_m_read_words(struct rviommu_model *m, u64 addr, bool be, u64 *word, unsigned int n);
int rviommu_m_write(struct rviommu_model *m, u64 addr, bool be, u64 value);
int rviommu_m_write32(struct rviommu_model *m, u64 addr, bool be, u32 value);
int rviommu_m_read_pte(struct rviommu_model *m, u64 addr, bool be, bool sv32, u64 *pte);
int rviommu_m_cas_pte(struct rviommu_model *m, u64 addr, bool be, bool sv32, u64 old, u64 new,
		      bool *done);
int rviommu_m_set_bit(struct rviommu_model *m, u64 addr, u64 bit, bool atomic);

/* cache.c */
struct rviommu_m_entry *rviommu_m_cache_find(struct rviommu_model *m,
					     const struct rviommu_m_key *key);
struct rviommu_m_entry *rviommu_m_cache_insert(struct rviommu_m_xlate *x,
					       const struct rviommu_m_key *key,
					       const u64 *word, unsigned int n, bool global);
void rviommu_m_cache_clear(struct rviommu_model *m);
void rviommu_m_cache_free(struct rviommu_model *m);
void rviommu_m_cache_recheck(struct rviommu_model *m);
unsigned int rviommu_m_cache_list(struct rviommu_model *m, u32 kinds,
				  bool (*fn)(const struct rviommu_model_cached *entry, void *arg),
				  void *arg);
void rviommu_m_inval_vma(struct rviommu_model *m, u64 dword0, u64 dword1);
void rviommu_m_inval_gvma(struct rviommu_model *m, u64 dword0, u64 dword1);
void rviommu_m_inval_ddt(struct rviommu_model *m, bool dv, u32 did);
void rviommu_m_inval_pdt(struct rviommu_model *m, u32 did, u32 pid);

/* Is any entry of that kind and size cached? */
static inline bool rviommu_m_cache_has(const struct rviommu_model *m, unsigned int kind,
				       unsigned int shift)
{
	return m->cache.count[kind][shift];
}

/* directory.c: they return a cause, 0 if all is well */
u16 rviommu_m_check_width(struct rviommu_model *m, u32 device_id);
u16 rviommu_m_get_dc(struct rviommu_m_xlate *x, u32 device_id);
u16 rviommu_m_get_pc(struct rviommu_m_xlate *x, u64 *pc);
void rviommu_m_set_second_stage(struct rviommu_m_xlate *x);
void rviommu_m_set_first_stage(struct rviommu_m_xlate *x, u64 fsc, u32 pscid);
unsigned int rviommu_m_pdt_bits(u64 pdtp);

/* walk.c */
u16 rviommu_m_first_stage(struct rviommu_m_xlate *x, u64 iova, struct rviommu_m_mapping *map);
u16 rviommu_m_second_stage(struct rviommu_m_xlate *x, u64 gpa, u8 first,
			   struct rviommu_m_mapping *map);
u16 rviommu_m_implicit(struct rviommu_m_xlate *x, u64 gpa, bool write, u64 *spa);
u16 rviommu_m_context_table(struct rviommu_m_xlate *x, const struct rviommu_m_key *owner,
			    u64 gpa, u64 *spa);
u16 rviommu_m_access_cause(const struct rviommu_m_xlate *x);

/* msi.c */
bool rviommu_m_is_msi(const struct rviommu_m_xlate *x, u64 gpa, unsigned int size_lg2);
u16 rviommu_m_mrif_shape(const struct rviommu_model_request *req);
u16 rviommu_m_msi(struct rviommu_m_xlate *x, u64 gpa, struct rviommu_m_mapping *map);

/* translate.c */
u16 rviommu_m_translate(struct rviommu_m_xlate *x);
void rviommu_m_report(struct rviommu_m_xlate *x, u16 cause);
u16 rviommu_m_translate_stable(struct rviommu_m_xlate *x);
void rviommu_m_prefetch(struct rviommu_m_xlate *x);
void rviommu_m_xlate_init(struct rviommu_m_xlate *x, struct rviommu_model *m,
			  const struct rviommu_model_request *req);

/* queues.c */
u64 rviommu_m_queue_addr(const struct rviommu_m_queue *q, u32 index, unsigned int entry);
u32 rviommu_m_queue_mask(const struct rviommu_m_queue *q);
void rviommu_m_fault(struct rviommu_model *m, const struct rviommu_m_fault *f);
bool rviommu_m_pq_store(struct rviommu_model *m, const struct rviommu_model_page_request *pr,
			u8 *code);

/* interrupt.c */
void rviommu_m_raise(struct rviommu_model *m, u32 causes);
void rviommu_m_update_ipsr(struct rviommu_model *m);
void rviommu_m_unmask(struct rviommu_model *m, unsigned int vector);
u16 rviommu_m_wires(const struct rviommu_model *m);

/* command.c */
unsigned int rviommu_m_process(struct rviommu_model *m, unsigned int n);
void rviommu_m_commands_reset(struct rviommu_model *m);
void rviommu_m_commands_end(struct rviommu_model *m);
bool rviommu_m_commands_linger(const struct rviommu_model *m);

/* ats.c */
bool rviommu_m_ats_inval(struct rviommu_model *m, u64 dword0, u64 dword1);
bool rviommu_m_ats_prgr(struct rviommu_model *m, u64 dword0, u64 dword1);
void rviommu_m_ats_sent(struct rviommu_model *m, unsigned int itag);
bool rviommu_m_ats_waiting(const struct rviommu_model *m);
void rviommu_m_ats_completed(struct rviommu_model *m, u32 device_id, u32 itag_vector,
			     unsigned int count);
void rviommu_m_ats_time(struct rviommu_model *m);
void rviommu_m_ats_reset(struct rviommu_model *m);

/* hpm.c */
void rviommu_m_count_event(struct rviommu_m_xlate *x, unsigned int event);

/* An event has happened. */
static inline void rviommu_m_count(struct rviommu_m_xlate *x, unsigned int event)
{
	if (unlikely(x->m->counting))
		rviommu_m_count_event(x, event);
}

void rviommu_m_count_cycles(struct rviommu_model *m, u64 n);
u32 rviommu_m_overflows(const struct rviommu_model *m);
u32 rviommu_m_counters(const struct rviommu_model *m);
u64 rviommu_m_counter_mask(const struct rviommu_model *m);
u64 rviommu_m_cycles_mask(const struct rviommu_model *m);
u64 rviommu_m_legal_event(u64 event);

/* debug.c */
void rviommu_m_debug_run(struct rviommu_model *m);

/* regs.c */
void rviommu_m_regs_reset(struct rviommu_model *m);

#endif /* RVIOMMU_MODEL_INTERNAL_H */
