/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A register-accurate model of a RISC-V IOMMU.
 *
 * The model is one IOMMU as software and devices see it: a 4 KiB register page,
 * memory accesses of its own, interrupts, and answers to the requests of
 * devices. It follows the RISC-V IOMMU Architecture Specification 1.0.1 with
 * the extensions QOSID, NL, S and Svrsw60t59b. Where the specification leaves
 * a choice, it takes the one that is hardest on software: everything that may
 * be cached is cached, nothing is evicted, and an invalidation removes exactly
 * what it must.
 *
 * The same sources build inside the kernel and as a user-space library. In user
 * space put src/sim/model/compat in front of the include path; it provides
 * linux/bits.h and linux/types.h.
 *
 * Threads: in user space one thread at a time per model. In the kernel a
 * spinlock with interrupts off covers every call; no call sleeps. Memory
 * callbacks run under that lock; the callbacks for interrupts, messages and
 * "other work" run with it released and may call the model again. Results of
 * a walk are cached only if no invalidation happened since it began, and a
 * translation that crosses an invalidation starts again: that is what a later
 * lock-free lookup has to keep (look up, use, compare the generation).
 */
#ifndef RVIOMMU_MODEL_H
#define RVIOMMU_MODEL_H

#include <linux/bits.h>
#include <linux/types.h>

struct rviommu_model;

/* What a memory access of the IOMMU comes back with */
#define RVIOMMU_MODEL_MEM_OK		0
#define RVIOMMU_MODEL_MEM_FAULT		1	/* violates a PMA or PMP check */
#define RVIOMMU_MODEL_MEM_CORRUPT	2	/* poisoned data */

/* PCIe messages the IOMMU sends */
#define RVIOMMU_MODEL_ATS_INVAL		1	/* Invalidation Request */
#define RVIOMMU_MODEL_ATS_PRGR		5	/* Page Request Group Response */

/* Response codes of a Page Request Group Response */
#define RVIOMMU_MODEL_PRGR_SUCCESS	0
#define RVIOMMU_MODEL_PRGR_INVALID	1
#define RVIOMMU_MODEL_PRGR_FAILURE	15

/* Payload of a Page Request Group Response */
#define RVIOMMU_MODEL_PRGR_INDEX	GENMASK_ULL(40, 32)
#define RVIOMMU_MODEL_PRGR_CODE		GENMASK_ULL(47, 44)

/* Payload of a Page Request */
#define RVIOMMU_MODEL_PAGE_R		BIT_ULL(0)
#define RVIOMMU_MODEL_PAGE_W		BIT_ULL(1)
#define RVIOMMU_MODEL_PAGE_L		BIT_ULL(2)	/* Last Request in PRG */
#define RVIOMMU_MODEL_PAGE_INDEX	GENMASK_ULL(11, 3)
#define RVIOMMU_MODEL_PAGE_ADDRESS	GENMASK_ULL(63, 12)

/**
 * struct rviommu_model_ats_msg - a PCIe message from the IOMMU to a device
 * @code: %RVIOMMU_MODEL_ATS_INVAL or %RVIOMMU_MODEL_ATS_PRGR
 * @device_id: segment (8 bits) and routing ID (16 bits) of the destination
 * @pv: @process_id is valid: the message has a PASID
 * @process_id: the PASID
 * @itag: of an Invalidation Request, to be named in its completion
 * @payload: body, laid out as the PAYLOAD operand of the ATS commands
 */
struct rviommu_model_ats_msg {
	u8 code;
	bool pv;
	u8 itag;
	u32 device_id;
	u32 process_id;
	u64 payload;
};

/* What can be made to fail, by rviommu_model_inject() or by rviommu_model_ops.fails */
enum rviommu_model_injection {
	RVIOMMU_MODEL_INJECT_CQ_MF,	/* fetching a command: cqmf */
	RVIOMMU_MODEL_INJECT_CQ_ILL,	/* decoding it: cmd_ill */
	RVIOMMU_MODEL_INJECT_CQ_TO,	/* the next IOFENCE.C: cmd_to */
	RVIOMMU_MODEL_INJECT_FQ_MF,	/* storing a fault record: fqmf */
	RVIOMMU_MODEL_INJECT_FQ_OF,	/* finding room for it: fqof */
	RVIOMMU_MODEL_INJECT_PQ_MF,	/* storing a page request: pqmf */
	RVIOMMU_MODEL_INJECT_PQ_OF,	/* finding room for it: pqof */
	RVIOMMU_MODEL_INJECT_ATS_LOST,	/* the next Invalidation Completion is lost */
	RVIOMMU_MODEL_INJECT_ATS_LATE,	/* it arrives just before the timeout */
	RVIOMMU_MODEL_INJECT_PR_SILENT,	/* a page request that the IOMMU could respond to itself */
	RVIOMMU_MODEL_NR_INJECTIONS
};

/**
 * struct rviommu_model_ops - what surrounds the IOMMU
 * @read64: read 8 bytes at an 8-byte aligned physical address
 * @write64: write 8 bytes at an 8-byte aligned address
 * @write32: write 4 bytes at a 4-byte aligned address (IOFENCE.C)
 * @cas64: compare 8 bytes with *@old and, if equal, replace them by @new, all
 *         in one step; otherwise store what was found in *@old. Returning
 *         %RVIOMMU_MODEL_MEM_OK with *@old unchanged means: replaced.
 * @msi: a message-signalled interrupt of the IOMMU, or the notice MSI of a
 *       memory-resident interrupt file: write @data to @addr
 * @wire: a wired interrupt goes up or down; only changes are reported
 * @ats: the IOMMU sends a message to a device. May call
 *       rviommu_model_inval_completion() at once.
 * @other_work: let software, or anything else, do something between two words
 *              that the IOMMU reads (%RVIOMMU_MODEL_WORD_BY_WORD), and between two
 *              commands that a fence waits for (%RVIOMMU_MODEL_DELAY_COMMANDS).
 *              May be NULL.
 * @has_other_work: does @other_work have something to do? If not, other CPUs get their
 *                  turn, but no interrupt. NULL: it always has.
 * @unspecified: software did what the specification leaves UNSPECIFIED; @what
 *               says it in words. Runs under the lock. May be NULL.
 * @fails: shall this go wrong now? Runs under the lock. May be NULL.
 *
 * Values are as a little-endian processor would load and store them. Addresses
 * are below 2^PAS. All but @msi, @wire, @ats and @other_work run under the
 * model's lock: they must not sleep nor call the model. @msi, @wire and @ats must not sleep
 * either: interrupts are off.
 */
struct rviommu_model_ops {
	int (*read64)(void *ctx, u64 addr, u64 *value);
	int (*write64)(void *ctx, u64 addr, u64 value);
	int (*write32)(void *ctx, u64 addr, u32 value);
	int (*cas64)(void *ctx, u64 addr, u64 *old, u64 new);
	int (*msi)(void *ctx, u64 addr, u32 data);
	void (*wire)(void *ctx, unsigned int vector, bool level);
	void (*ats)(void *ctx, const struct rviommu_model_ats_msg *msg);
	void (*other_work)(void *ctx);
	bool (*has_other_work)(void *ctx);
	void (*unspecified)(void *ctx, const char *what);
	bool (*fails)(void *ctx, enum rviommu_model_injection what);
};

/*
 * Worst-case switches. Each is legal behaviour; all may change at run time.
 * ASYNC: register writes only record what was asked; rviommu_model_run() does
 *   it: queues turn on and off, ddtp modes change, commands are processed.
 * DELAY_COMMANDS: commands count as fetched long before they are executed, and
 *   are executed out of order, with other work in between; only IOFENCE.C
 *   waits for them.
 * WORD_BY_WORD: contexts and MSI PTEs are read one doubleword at a time in
 *   random order, with other work before and between the words.
 * PREFETCH: valid contexts and PTEs near those in use are read and cached.
 * RANDOM_RESET: registers whose reset value is UNSPECIFIED get a random one.
 * CONTEXT_SPA: with a context, or a non-leaf entry of a process directory, the
 *   IOMMU caches the supervisor-physical address of the table it points to,
 *   translated when the entry was first used; IOTINVAL.GVMA does not reach it
 *   ("IOMMU directory cache invalidation commands", note).
 * LINGER: a command queue that is turned off while Invalidation Requests are
 *   unanswered stays busy and on until the last of them is answered or has timed
 *   out ("Command-queue CSR", cqen: "may stay active (with busy asserted) until the
 *   commands already fetched ... are being processed"). Commands that were fetched
 *   are executed meanwhile, a fence that waits included, or aborted: a matter of
 *   chance, as that section's note allows either. Without it everything is aborted
 *   at once.
 */
#define RVIOMMU_MODEL_ASYNC		BIT(0)
#define RVIOMMU_MODEL_DELAY_COMMANDS	BIT(1)
#define RVIOMMU_MODEL_WORD_BY_WORD	BIT(2)
#define RVIOMMU_MODEL_PREFETCH		BIT(3)
#define RVIOMMU_MODEL_RANDOM_RESET	BIT(4)
#define RVIOMMU_MODEL_CONTEXT_SPA	BIT(5)
#define RVIOMMU_MODEL_LINGER		BIT(6)
#define RVIOMMU_MODEL_SWITCHES		(BIT(7) - 1)

/**
 * struct rviommu_model_config - one IOMMU before it is built
 * @capabilities: the capabilities register. Each bit switches its feature.
 * @fctl_reset: reset value of fctl
 * @fctl_writable: fields of fctl that software may change
 * @ddtp_modes: bit n set: ddtp.iommu_mode n can be selected. Off and Bare always can.
 * @ddtp_reset: mode after a reset, Off or Bare
 * @cq_max_lg2: largest command queue, log2 of entries, 1 to 32
 * @fq_max_lg2: largest fault queue
 * @pq_max_lg2: largest page-request queue
 * @vectors: interrupt vectors, a power of two from 1 to 16
 * @hpm_counters: event counters besides iohpmcycles, 1 to 31; ignored without HPM
 * @hpm_bits: width of these counters, 32 to 64; iohpmcycles has at most 63
 * @rcid_bits: width of resource control IDs, up to 12; ignored without QOSID
 * @mcid_bits: width of monitoring counter IDs
 * @mrif_be: MSIs in big-endian byte order are stored to MRIFs too
 * @cache_limit: entries the caches may hold together; 0: no limit
 * @ats_timeout: time an Invalidation Request may stay unanswered, in ns
 * @seed: of everything random; equal seeds make equal runs
 * @switches: worst-case switches to begin with
 */
struct rviommu_model_config {
	u64 capabilities;
	u32 fctl_reset;
	u32 fctl_writable;
	u32 ddtp_modes;
	u8 ddtp_reset;
	u8 cq_max_lg2;
	u8 fq_max_lg2;
	u8 pq_max_lg2;
	u8 vectors;
	u8 hpm_counters;
	u8 hpm_bits;
	u8 rcid_bits;
	u8 mcid_bits;
	bool mrif_be;
	u32 cache_limit;
	u64 ats_timeout;
	u64 seed;
	u32 switches;
};

/**
 * rviommu_model_config_init() - an IOMMU that can everything
 * @config: filled in: every capability, little-endian, MSIs, no worst-case
 *          switches. Change what shall be different.
 */
void rviommu_model_config_init(struct rviommu_model_config *config);

/**
 * rviommu_model_config_fit() - make the other members follow @capabilities
 * @config: after its capabilities were changed: fctl_reset and fctl_writable
 *          are set to what these capabilities call for
 */
void rviommu_model_config_fit(struct rviommu_model_config *config);

/**
 * rviommu_model_config_check() - can there be such an IOMMU?
 * @config: what is asked for
 *
 * Return: NULL if there can, else a sentence that says why not.
 */
const char *rviommu_model_config_check(const struct rviommu_model_config *config);

/**
 * rviommu_model_create() - build an IOMMU and reset it
 * @config: copied; must pass rviommu_model_config_check()
 * @ops: the surroundings; must live as long as the model
 * @ctx: first argument of every callback
 *
 * May sleep.
 *
 * Return: the model, NULL if memory is short or the configuration is refused.
 */
struct rviommu_model *rviommu_model_create(const struct rviommu_model_config *config,
					   const struct rviommu_model_ops *ops, void *ctx);

/**
 * rviommu_model_destroy() - the end of an IOMMU
 * @m: nobody may be using it any more. NULL is allowed.
 */
void rviommu_model_destroy(struct rviommu_model *m);

/**
 * rviommu_model_reset() - pull the reset line
 * @m: the IOMMU. Caches are empty afterwards, queues off; ddtp as configured.
 */
void rviommu_model_reset(struct rviommu_model *m);

/**
 * rviommu_model_set_switches() - choose the worst cases
 * @m: the IOMMU
 * @switches: RVIOMMU_MODEL_* switches that are on from now on
 */
void rviommu_model_set_switches(struct rviommu_model *m, u32 switches);

/*
 * Register access at a byte offset, "Memory-mapped register interface". A
 * 64-bit write is a write to the high half, then one to the low half. What is
 * not naturally aligned, or is outside the page, reads as 0 and is not written.
 */
u32 rviommu_model_read32(struct rviommu_model *m, unsigned int offset);
u64 rviommu_model_read64(struct rviommu_model *m, unsigned int offset);
void rviommu_model_write32(struct rviommu_model *m, unsigned int offset, u32 value);
void rviommu_model_write64(struct rviommu_model *m, unsigned int offset, u64 value);

/* Kinds of request */
#define RVIOMMU_MODEL_UNTRANSLATED	0
#define RVIOMMU_MODEL_TRANSLATED	1
#define RVIOMMU_MODEL_ATS_REQUEST	2	/* PCIe ATS Translation Request */

/* Permissions in a response */
#define RVIOMMU_MODEL_R			1
#define RVIOMMU_MODEL_W			2
#define RVIOMMU_MODEL_X			4

/**
 * struct rviommu_model_request - a transaction of a device
 * @kind: %RVIOMMU_MODEL_UNTRANSLATED and so on
 * @device_id: 24 bits
 * @process_id: 20 bits; only if @pv
 * @pv: @process_id is valid
 * @priv: supervisor privilege; ignored without @pv
 * @exec: read for execute; of an ATS request: execute permission requested
 * @write: write or AMO; of an ATS request: write permission requested (NW = 0)
 * @amo: an AMO; then @write is set, too
 * @cxl: from a CXL type 1 or 2 device (ATS requests)
 * @hold: the data moves after the answer: the access counts as processed by
 *        the IOMMU but not committed until rviommu_model_release(). IOFENCE.C
 *        with PR or PW waits for it, and so does ddtp on the way to Off.
 * @iova: address
 * @length: bytes accessed, at least 1
 */
struct rviommu_model_request {
	u8 kind;
	bool pv;
	bool priv;
	bool exec;
	bool write;
	bool amo;
	bool cxl;
	bool hold;
	u32 device_id;
	u32 process_id;
	u64 iova;
	u64 length;
};

/* How a request was answered */
#define RVIOMMU_MODEL_OK		0
#define RVIOMMU_MODEL_ABORT		1	/* untranslated and translated requests */
#define RVIOMMU_MODEL_UR		2	/* ATS request: Unsupported Request */
#define RVIOMMU_MODEL_CA		3	/* ATS request: Completer Abort */

/**
 * struct rviommu_model_response - the answer to a request
 * @status: %RVIOMMU_MODEL_OK and so on. An ATS request without permission is
 *          answered with %RVIOMMU_MODEL_OK and no @perms.
 * @perms: what the translation permits for accesses like this one
 * @size_lg2: log2 of the naturally aligned range around the address for which
 *            this translation holds, in bytes
 * @pbmt: memory type: PMA, NC or IO (%RVIOMMU_PTE_PBMT_PMA ...)
 * @mrif: the page is backed by a memory-resident interrupt file: nothing is at
 *        @spa, hand a write to rviommu_model_mrif_write(); a naturally aligned
 *        32-bit read yields 0
 * @untranslated_only: ATS: U bit: use untranslated requests for this page
 * @priv: ATS: Priv bit
 * @global: ATS: Global bit
 * @cxl_io: ATS: CXL.io bit
 * @held: cookie for rviommu_model_release(); 0: nothing is held
 * @cause: why it did not work, or 0; the CAUSE of the fault record if there is one
 * @rcid: resource control ID of the access
 * @mcid: monitoring counter ID of the access
 * @spa: address to use; of an ATS request under T2GPA the guest-physical one
 * @length: bytes of the request that this answer covers; ask again for the rest
 * @iotval2: as in the fault record
 * @mrif_addr: address of the memory-resident interrupt file
 * @notice_addr: where its notice MSI goes
 * @notice_data: and with what data
 */
struct rviommu_model_response {
	u8 status;
	u8 perms;
	u8 size_lg2;
	u8 pbmt;
	bool mrif;
	bool untranslated_only;
	bool priv;
	bool global;
	bool cxl_io;
	u8 held;
	u16 cause;
	u16 rcid;
	u16 mcid;
	u64 spa;
	u64 length;
	u64 iotval2;
	u64 mrif_addr;
	u64 notice_addr;
	u32 notice_data;
};

/**
 * rviommu_model_translate() - "Process to translate an IOVA"
 * @m: the IOMMU
 * @req: the transaction
 * @rsp: the answer. Faults that are to be reported are in the fault queue by then.
 *
 * Return: @rsp->status.
 */
int rviommu_model_translate(struct rviommu_model *m, const struct rviommu_model_request *req,
			    struct rviommu_model_response *rsp);

/**
 * rviommu_model_release() - the bytes of a held access have moved
 * @m: the IOMMU
 * @held: the cookie in the response; 0 is allowed
 */
void rviommu_model_release(struct rviommu_model *m, u8 held);

/**
 * rviommu_model_mrif_write() - a write to a page that an MRIF backs
 * @m: the IOMMU
 * @req: the transaction, as given to rviommu_model_translate()
 * @rsp: its answer
 * @data: the four bytes written, as a little-endian value
 *
 * Stores the MSI and sends the notice MSI ("Process to translate addresses of
 * MSIs"; Advanced Interrupt Architecture, "MSI PTE, MRIF mode").
 *
 * Return: %RVIOMMU_MODEL_OK, also if the write is discarded, or
 * %RVIOMMU_MODEL_ABORT with @rsp->cause set.
 */
int rviommu_model_mrif_write(struct rviommu_model *m, const struct rviommu_model_request *req,
			     struct rviommu_model_response *rsp, u32 data);

/**
 * struct rviommu_model_page_request - a "Page Request" message or Stop Marker
 * @device_id: requester
 * @process_id: PASID, if @pv
 * @pv: there is a PASID
 * @priv: Privilege Mode Requested
 * @exec: Execute Requested
 * @payload: bytes 8 to 15 of the message: %RVIOMMU_MODEL_PAGE_R and so on
 */
struct rviommu_model_page_request {
	u32 device_id;
	u32 process_id;
	bool pv;
	bool priv;
	bool exec;
	u64 payload;
};

/* What becomes of a page request */
#define RVIOMMU_MODEL_PR_QUEUED		0	/* it is in the page-request queue */
#define RVIOMMU_MODEL_PR_DISCARDED	1	/* silently: it needs no answer */
#define RVIOMMU_MODEL_PR_ANSWERED	2	/* the IOMMU itself answers */

/**
 * rviommu_model_page_request() - "PCIe ATS Page Request handling"
 * @m: the IOMMU
 * @pr: the message
 * @answer: filled in if the IOMMU answers: its Page Request Group Response
 *
 * Return: %RVIOMMU_MODEL_PR_QUEUED and so on.
 */
int rviommu_model_page_request(struct rviommu_model *m,
			       const struct rviommu_model_page_request *pr,
			       struct rviommu_model_ats_msg *answer);

/**
 * rviommu_model_inval_completion() - an "Invalidation Completion" message
 * @m: the IOMMU
 * @device_id: the device that sends it
 * @itag_vector: bit n: for Invalidation Request n
 * @count: completions to expect for each, 1 to 8
 *
 * Refused, with a fault record, unless the device's context is valid and has EN_ATS.
 */
void rviommu_model_inval_completion(struct rviommu_model *m, u32 device_id, u32 itag_vector,
				    unsigned int count);

/**
 * rviommu_model_run() - let an asynchronous IOMMU work
 * @m: the IOMMU
 * @n: at most that many commands
 *
 * Pending changes of ddtp and of the queues' enable bits, and a debug
 * translation, are finished first.
 *
 * Return: number of commands taken from the queue; less than @n if it is
 * empty or stalled.
 */
unsigned int rviommu_model_run(struct rviommu_model *m, unsigned int n);

/**
 * rviommu_model_advance() - time passes
 * @m: the IOMMU
 * @ns: that much. One cycle of iohpmcycles is one nanosecond. Late
 *      completions arrive and Invalidation Requests time out.
 */
void rviommu_model_advance(struct rviommu_model *m, u64 ns);

/**
 * rviommu_model_inject() - let something go wrong
 * @m: the IOMMU
 * @what: %RVIOMMU_MODEL_INJECT_CQ_MF and so on
 * @times: how often in a row; 0 takes back what has not happened yet
 */
void rviommu_model_inject(struct rviommu_model *m, enum rviommu_model_injection what,
			  unsigned int times);

/* Kinds of cached entries */
#define RVIOMMU_MODEL_DDTE		0	/* non-leaf DDT entry */
#define RVIOMMU_MODEL_DC		1	/* device context */
#define RVIOMMU_MODEL_PDTE		2	/* non-leaf PDT entry */
#define RVIOMMU_MODEL_PC		3	/* process context */
#define RVIOMMU_MODEL_S1		4	/* first-stage leaf PTE */
#define RVIOMMU_MODEL_S1_NONLEAF	5
#define RVIOMMU_MODEL_S2		6	/* second-stage leaf PTE */
#define RVIOMMU_MODEL_S2_NONLEAF	7
#define RVIOMMU_MODEL_MSI		8	/* MSI PTE */
#define RVIOMMU_MODEL_NR_KINDS		9

/**
 * struct rviommu_model_cached - an entry of the caches
 * @kind: %RVIOMMU_MODEL_DDTE and so on
 * @shift: log2 of what one such entry covers: bytes of address space for PTEs,
 *         devices for DDT entries, processes for PDT entries
 * @gv: kinds S1, S1_NONLEAF: the second stage is not Bare and @gscid valid
 * @global: first stage: the mapping is global, @pscid does not count
 * @gscid: guest soft-context
 * @pscid: process soft-context
 * @device_id: DDT and PDT entries: device (the first one it covers)
 * @process_id: PDT entries: process (the first one it covers)
 * @addr: PTEs: first IOVA or guest-physical address it covers
 * @word: the entry as it was read, in CPU byte order; a PTE is in @word[0]
 */
struct rviommu_model_cached {
	u8 kind;
	u8 shift;
	bool gv;
	bool global;
	u16 gscid;
	u32 pscid;
	u32 device_id;
	u32 process_id;
	u64 addr;
	u64 word[8];
};

/**
 * rviommu_model_list_cached() - look into the caches
 * @m: the IOMMU
 * @kinds: bit mask of kinds, 1 << %RVIOMMU_MODEL_DC and so on
 * @fn: called for each such entry, under the lock; it must not call the model.
 *      May be NULL. The entry counts if it returns true.
 * @arg: second argument of @fn
 *
 * Return: number of entries that count; without @fn, all.
 */
unsigned int
rviommu_model_list_cached(struct rviommu_model *m, u32 kinds,
			  bool (*fn)(const struct rviommu_model_cached *entry, void *arg),
			  void *arg);

/**
 * struct rviommu_model_stats - what an IOMMU has done since it was created
 * @requests: translations asked for
 * @retries: translations begun again because an invalidation crossed them
 * @commands: commands executed
 * @reads: doublewords read from memory, PTEs included
 * @hits: PTEs and contexts found in a cache
 * @evictions: entries dropped because of cache_limit or lack of memory
 * @faults: fault records asked for, lost ones included
 * @faults_lost: those that did not get into the queue
 * @unspecified: times software did something UNSPECIFIED
 */
struct rviommu_model_stats {
	u64 requests;
	u64 retries;
	u64 commands;
	u64 reads;
	u64 hits;
	u64 evictions;
	u64 faults;
	u64 faults_lost;
	u64 unspecified;
};

/**
 * rviommu_model_get_stats() - read the counters
 * @m: the IOMMU
 * @stats: filled in
 */
void rviommu_model_get_stats(struct rviommu_model *m, struct rviommu_model_stats *stats);

#endif /* RVIOMMU_MODEL_H */
