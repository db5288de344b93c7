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
struct rviommu_sim;

#define RVIOMMU_SIM_MAX_ENDPOINTS	64
#define RVIOMMU_SIM_MAX_FUNCTIONS	32

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
 * @ats: devices say that they can do ATS
 * @pri: PCI functions have a page request interface, if they can do ATS
 * @pasid_bits: width of the PASIDs of devices, 0 (they have none) to 20
 * @ats_depth: Invalidation Requests that a device can queue, 1 to 32
 * @atc_limit: entries that a device's ATC holds at most, 0: no limit
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
	bool ats;
	bool pri;
	u8 pasid_bits;
	u8 ats_depth;
	u32 atc_limit;
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
int rviommu_sim_add_function(struct rviommu_sim *sim, unsigned int index);
void rviommu_sim_remove_function(struct rviommu_sim *sim, unsigned int index, bool surprise);
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
 */
enum rviommu_sim_op {
	RVIOMMU_SIM_READ,
	RVIOMMU_SIM_WRITE,
	RVIOMMU_SIM_COPY,
	RVIOMMU_SIM_FETCH_ADD,
	RVIOMMU_SIM_FILL,
	RVIOMMU_SIM_VERIFY,
};

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
 * @lost: those that nobody will answer
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

int rviommu_sim_dma(struct device *dev, struct rviommu_sim_dma *dma);
int rviommu_sim_set_in_flight(struct device *dev, void (*fn)(struct device *dev));
int rviommu_sim_command(struct rviommu_sim *sim, const char *file, char *text);

/**
 * struct rviommu_sim_results - what a device did for its exerciser, since it was bound
 * @bytes: moved
 * @dmas: jobs of its DMA engine
 * @refused: of which the IOMMU refused so many
 * @mappings: made for it
 * @replacements: of the domain it is attached to
 * @mismatches: comparisons that failed
 * @cause: of the last touch, see struct rviommu_sim_dma
 */
struct rviommu_sim_results {
	u64 bytes;
	u64 dmas;
	u64 refused;
	u64 mappings;
	u64 replacements;
	u64 mismatches;
	u16 cause;
};

int rviommu_sim_exercise(struct device *dev, const char *command,
			 struct rviommu_sim_results *results);
u8 rviommu_sim_pattern(u64 seed, size_t offset);

#endif /* RVIOMMU_SIM_H */
