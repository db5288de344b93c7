/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The simulated IOMMU as other modules (the KUnit suites) see it: instances,
 * their endpoints, and the DMA engine of an endpoint.
 */
#ifndef RVIOMMU_SIM_H
#define RVIOMMU_SIM_H

#include <linux/types.h>

#include <rviommu/model.h>

struct device;
struct rviommu_sim;

#define RVIOMMU_SIM_MAX_ENDPOINTS	64

/**
 * struct rviommu_sim_config - one simulated IOMMU before it is built
 * @model: the hardware
 * @endpoints: platform devices behind it, 0 to %RVIOMMU_SIM_MAX_ENDPOINTS
 * @first_id: device_id of the first endpoint; the others follow
 * @wired: interrupts are wires, not messages
 *
 * Plain data: building, checking and printing it touches no device.
 */
struct rviommu_sim_config {
	struct rviommu_model_config model;
	unsigned int endpoints;
	u32 first_id;
	bool wired;
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

int rviommu_sim_dma(struct device *dev, struct rviommu_sim_dma *dma);
u8 rviommu_sim_pattern(u64 seed, size_t offset);

#endif /* RVIOMMU_SIM_H */
