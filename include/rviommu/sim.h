/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The simulated IOMMU as other modules (the KUnit suites) see it: instances,
 * their endpoints, and the DMA engine of an endpoint.
 */
#ifndef RVIOMMU_SIM_H
#define RVIOMMU_SIM_H

#include <linux/bits.h>
#include <linux/types.h>

#include <rviommu/model.h>

struct device;
struct fault_attr;
struct rviommu_sim;

#define RVIOMMU_SIM_MAX_ENDPOINTS	64
#define RVIOMMU_SIM_MAX_FUNCTIONS	32
/* Memory of a PCI function, bytes */
#define RVIOMMU_SIM_BAR_SIZE		0x1000ULL

/**
 * struct rviommu_sim_config - one simulated IOMMU before it is built
 * @model: the hardware
 * @endpoints: platform devices behind it, 0 to %RVIOMMU_SIM_MAX_ENDPOINTS
 * @first_id: device_id of the first endpoint; the others follow
 * @wired: interrupts are wires, not messages
 * @pci_functions: PCI functions behind it, 0 to %RVIOMMU_SIM_MAX_FUNCTIONS, in slots 0
 *                 and up of one bus; a kernel without PCI_ATS and PCI_PASID has none
 * @pci_bus: number of that bus. The device_id of a function is its routing ID:
 *           pci_bus << 8 | slot << 3.
 * @vfs: virtual functions that each of them can have. Software enables them; all of them have
 *       to have routing IDs of their own.
 * @vf_offset: First VF Offset: from a function to the first one, in routing IDs
 * @vf_stride: VF Stride: from one to the next
 * @bar_start: physical address of memory for the functions, which the kernel does not use
 * @bar_size: bytes of that; 0: they have none. Both are multiples of %RVIOMMU_SIM_BAR_SIZE,
 *            which each function gets. With memory they have MSI-X, too.
 * @ats: devices say that they can do ATS
 * @pri: devices say that they have a page request interface, if they can do ATS
 * @pasid_bits: width of the PASIDs of devices, 0 (they have none) to 20
 * @ats_depth: Invalidation Requests that a device can queue, 1 to 32
 * @atc_limit: entries that a device's ATC holds at most, 0: no limit
 * @pri_capacity: page requests that a device can have outstanding, 1 to 64
 * @pri_pages: pages that a device asks for in one group at most, 1 to @pri_capacity
 * @prg_pasid: a device expects the PASID of its request in the response; without
 *             PASIDs none does
 * @stop_markers: a device that stops using a PASID sends a Stop Marker, and does not
 *                wait for the responses that it has to get
 * @pri_timeout: how long a device waits to get on with one access, ns, at most an
 *               hour. PCIe knows no such bound; the access is given up then, what was
 *               asked for stays outstanding.
 * @pri_switches: RVIOMMU_SIM_PRI_* that devices begin with
 * @exerciser: the driver for user space (exerciser.c) binds to the endpoints
 *
 * Plain data: building, checking and printing it touches no device.
 */
struct rviommu_sim_config {
	struct rviommu_model_config model;
	unsigned int endpoints;
	u32 first_id;
	bool wired;
	unsigned int pci_functions;
	u8 pci_bus;
	u16 vfs;
	u16 vf_offset;
	u16 vf_stride;
	u64 bar_start;
	u64 bar_size;
	bool ats;
	bool pri;
	u8 pasid_bits;
	u8 ats_depth;
	u32 atc_limit;
	u32 pri_capacity;
	u32 pri_pages;
	bool prg_pasid;
	bool stop_markers;
	u64 pri_timeout;
	u32 pri_switches;
	bool exerciser;
};

void rviommu_sim_config_init(struct rviommu_sim_config *config);
int rviommu_sim_config_levels(struct rviommu_sim_config *config, unsigned int levels);
const char *rviommu_sim_config_check(const struct rviommu_sim_config *config);

struct rviommu_sim *rviommu_sim_create(const char *name, const struct rviommu_sim_config *config);
void rviommu_sim_destroy(struct rviommu_sim *sim);
struct rviommu_model *rviommu_sim_model(struct rviommu_sim *sim);
void rviommu_sim_set_hook(struct rviommu_sim *sim, void (*hook)(void *arg), void *arg);
struct device *rviommu_sim_endpoint(struct rviommu_sim *sim, unsigned int index);
void rviommu_sim_remove_endpoint(struct rviommu_sim *sim, unsigned int index);

/* With CONFIG_RVIOMMU_SIM_PCI */
struct device *rviommu_sim_function(struct rviommu_sim *sim, unsigned int index);
struct device *rviommu_sim_virtual_function(struct rviommu_sim *sim, unsigned int index,
					    unsigned int nr);
int rviommu_sim_add_function(struct rviommu_sim *sim, unsigned int index);
void rviommu_sim_remove_function(struct rviommu_sim *sim, unsigned int index, bool surprise);
int rviommu_sim_interrupt(struct rviommu_sim *sim, unsigned int index, unsigned int vector);
void rviommu_sim_set_reset_hook(struct rviommu_sim *sim,
				void (*hook)(unsigned int index, void *arg), void *arg);

/**
 * enum rviommu_sim_op - what a DMA engine can do
 * @RVIOMMU_SIM_READ: copy from memory to @buf
 * @RVIOMMU_SIM_WRITE: copy from @buf to memory
 * @RVIOMMU_SIM_COPY: copy from @src_iova to @iova
 * @RVIOMMU_SIM_FETCH_ADD: add @operand to each 8-byte word, atomically;
 *                         @operand becomes the last word's old value
 * @RVIOMMU_SIM_FILL: write the pattern that @operand is the seed of
 * @RVIOMMU_SIM_VERIFY: compare with that pattern
 * @RVIOMMU_SIM_TRANSLATE: ask the IOMMU for the translation of @iova (ATS), for writes, too, if
 *                         @operand is %RVIOMMU_SIM_TRANSLATE_FOR_WRITE; @operand becomes what was
 *                         granted: %RVIOMMU_MODEL_R and so on, log2 of the bytes in bits 15
 *                         to 8; 0: accesses there have to be untranslated. @length is 1.
 */
enum rviommu_sim_op {
	RVIOMMU_SIM_READ,
	RVIOMMU_SIM_WRITE,
	RVIOMMU_SIM_COPY,
	RVIOMMU_SIM_FETCH_ADD,
	RVIOMMU_SIM_FILL,
	RVIOMMU_SIM_VERIFY,
	RVIOMMU_SIM_TRANSLATE,
};

#define RVIOMMU_SIM_TRANSLATE_FOR_WRITE	1

/**
 * struct rviommu_sim_dma - one job for a DMA engine
 * @op: what to do
 * @pv: requests carry @pasid
 * @priv: and ask for supervisor privilege (only with @pv)
 * @exec: reads are reads for execute
 * @pasid: process_id
 * @iova: first byte
 * @src_iova: first byte of the source of a copy
 * @length: bytes; a multiple of 8 for FETCH_ADD
 * @buf: the device's own memory, @length bytes, for READ and WRITE
 * @operand: see @op
 * @done: out: bytes that moved before the end or the error
 * @cause: out: why a request was refused, 0 otherwise (spec "Fault record CAUSE")
 * @page_requests: out: how often it asked for pages
 * @response: out: code of the last response to that (%RVIOMMU_MODEL_PRGR_SUCCESS ...)
 */
struct rviommu_sim_dma {
	enum rviommu_sim_op op;
	bool pv;
	bool priv;
	bool exec;
	u32 pasid;
	u64 iova;
	u64 src_iova;
	size_t length;
	void *buf;
	u64 operand;
	size_t done;
	u16 cause;
	unsigned int page_requests;
	u8 response;
};

/*
 * Worst-case switches of an ATC. LATE: Invalidation Requests are queued, and worked
 * on when the instance's thread runs or somebody reads a register. LOST: they are
 * worked on, and the completion gets lost, so that the IOMMU's time-out passes.
 */
#define RVIOMMU_SIM_ATC_LATE	BIT(0)
#define RVIOMMU_SIM_ATC_LOST	BIT(1)

/**
 * struct rviommu_sim_atc_stats - what an ATC has seen
 * @entries: what it holds now
 * @hits: accesses that an entry was found for
 * @requests: translations that it was given
 * @evictions: entries dropped because of the limit
 * @invalidations: Invalidation Requests
 * @answers: those that were answered
 * @overflows: those that came while the queue was full: software has to know its
 *             depth. They wait as if on the link, and are not lost.
 * @lost: those that nobody will answer: because of the switch, a reset, or D3hot
 */
struct rviommu_sim_atc_stats {
	u64 entries;
	u64 hits;
	u64 requests;
	u64 evictions;
	u64 invalidations;
	u64 answers;
	u64 overflows;
	u64 lost;
};

/**
 * struct rviommu_sim_atc_entry - an entry of an ATC
 * @pv: asked for with @process_id
 * @global: valid for every PASID
 * @priv: for accesses in privileged mode
 * @untranslated_only: accesses there have to be untranslated
 * @perms: %RVIOMMU_MODEL_R and so on
 * @size_lg2: log2 of the bytes it covers
 * @process_id: PASID
 * @iova: first byte it covers
 * @spa: where that is
 */
struct rviommu_sim_atc_entry {
	bool pv;
	bool global;
	bool priv;
	bool untranslated_only;
	u8 perms;
	u8 size_lg2;
	u32 process_id;
	u64 iova;
	u64 spa;
};

unsigned int rviommu_sim_ats_depth(struct device *dev);
int rviommu_sim_set_ats(struct device *dev, bool enable);
bool rviommu_sim_ats_enabled(struct device *dev);
int rviommu_sim_set_atc(struct device *dev, u32 switches);
int rviommu_sim_atc_stats(struct device *dev, struct rviommu_sim_atc_stats *stats);
unsigned int
rviommu_sim_list_atc(struct device *dev,
		     bool (*fn)(const struct rviommu_sim_atc_entry *entry, void *arg), void *arg);
unsigned int rviommu_sim_count_atc(struct device *dev, bool pv, u32 pasid);

/*
 * Worst-case switches of a page request interface. Some are legal, some are what a broken
 * or hostile device does.
 * FLOOD: behind the first request of each group, groups of one request for as much as
 *   the device may have outstanding, which nobody waits for. Legal.
 * NO_LAST: no request is the last of its group, so none of them ever gets a response.
 * REUSE: all groups have index 0, whatever is outstanding.
 * LOST: responses do not reach the device. What is outstanding stays so until a reset.
 * LATE_MARKER: the Stop Marker of a PASID follows the first request of its next use.
 * NO_MARKER: there is none.
 * EXCESS: the device does not look at what it was allocated.
 * AFTER_STOP: one more request of a PASID follows when its use was stopped.
 * SHUFFLE: the pages of a group are asked for from both ends in turn: the last, the first, the
 *   last but one, and so on. The last request is the last one sent, whatever its page. Legal.
 */
#define RVIOMMU_SIM_PRI_FLOOD		BIT(0)
#define RVIOMMU_SIM_PRI_NO_LAST		BIT(1)
#define RVIOMMU_SIM_PRI_REUSE		BIT(2)
#define RVIOMMU_SIM_PRI_LOST		BIT(3)
#define RVIOMMU_SIM_PRI_LATE_MARKER	BIT(4)
#define RVIOMMU_SIM_PRI_NO_MARKER	BIT(5)
#define RVIOMMU_SIM_PRI_EXCESS		BIT(6)
#define RVIOMMU_SIM_PRI_AFTER_STOP	BIT(7)
#define RVIOMMU_SIM_PRI_SHUFFLE		BIT(8)
#define RVIOMMU_SIM_PRI_SWITCHES	(BIT(9) - 1)

/**
 * struct rviommu_sim_pri_stats - what a page request interface has seen
 * @outstanding: requests that have no response now
 * @open: groups of them
 * @requests: Page Request messages
 * @groups: groups that were begun
 * @markers: Stop Markers
 * @discarded: of both, those that the IOMMU did not queue
 * @answered: of those, last requests that the IOMMU itself responded to
 * @waits: accesses that could not ask, because too much was outstanding
 * @timeouts: accesses that were given up, and PASIDs that could not be stopped in time
 * @responses: Page Request Group Responses, the IOMMU's own included
 * @successes: of those, groups that had Success
 * @invalid: that had Invalid Request
 * @failures: Response Failures
 * @unexpected: to no group
 * @early: to a group whose last request was not sent
 * @ignored: after a Response Failure
 * @lost: because of the switch
 */
struct rviommu_sim_pri_stats {
	u64 outstanding;
	u64 open;
	u64 requests;
	u64 groups;
	u64 markers;
	u64 discarded;
	u64 answered;
	u64 waits;
	u64 timeouts;
	u64 responses;
	u64 successes;
	u64 invalid;
	u64 failures;
	u64 unexpected;
	u64 early;
	u64 ignored;
	u64 lost;
};

unsigned int rviommu_sim_pri_capacity(struct device *dev);
u16 rviommu_sim_pri_status(struct device *dev);
int rviommu_sim_enable_pri(struct device *dev, unsigned int requests);
int rviommu_sim_disable_pri(struct device *dev);
int rviommu_sim_reset_pri(struct device *dev);
int rviommu_sim_set_pri(struct device *dev, u32 switches);
int rviommu_sim_pri_stats(struct device *dev, struct rviommu_sim_pri_stats *stats);
int rviommu_sim_stop_pasid(struct device *dev, u32 pasid);
int rviommu_sim_page_request(struct device *dev, struct rviommu_model_page_request *pr);
int rviommu_sim_set_in_request(struct device *dev, void (*fn)(struct device *dev));

int rviommu_sim_dma(struct device *dev, struct rviommu_sim_dma *dma);
int rviommu_sim_set_in_flight(struct device *dev, void (*fn)(struct device *dev));
int rviommu_sim_command(struct rviommu_sim *sim, const char *file, char *text);
struct fault_attr *rviommu_sim_fault_attr(struct rviommu_sim *sim,
					  enum rviommu_model_injection what);

/**
 * struct rviommu_sim_results - what a device did for its exerciser, since it was bound
 * @bytes: moved
 * @dmas: jobs of its DMA engine
 * @refused: of which the IOMMU refused so many
 * @mappings: made for it
 * @replacements: of the domain it is attached to
 * @mismatches: comparisons that failed
 * @cause: of the last touch, see struct rviommu_sim_dma
 * @demand_groups: Page Request Groups of the last demand
 * @demand_requests: pages in them
 * @demand_pages: pages that were mapped for them
 */
struct rviommu_sim_results {
	u64 bytes;
	u64 dmas;
	u64 refused;
	u64 mappings;
	u64 replacements;
	u64 mismatches;
	u16 cause;
	u64 demand_groups;
	u64 demand_requests;
	u64 demand_pages;
};

int rviommu_sim_exercise(struct device *dev, const char *command,
			 struct rviommu_sim_results *results);
u8 rviommu_sim_pattern(u64 seed, size_t offset);

#endif /* RVIOMMU_SIM_H */
