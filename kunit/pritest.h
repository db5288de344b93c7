/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Software that answers page requests, played by a test: it has the page-request queue of an
 * instance, which the driver does not look at then, reads what devices ask for and responds.
 * And DMA that waits meanwhile, in threads.
 */
#ifndef RVIOMMU_KUNIT_PRITEST_H
#define RVIOMMU_KUNIT_PRITEST_H

#include <linux/completion.h>
#include <linux/types.h>
#include <rviommu/sim.h>

struct device;
struct kunit;
struct rviommu_bus;
struct rviommu_cmdq;
struct task_struct;

#define RVIOMMU_PRITEST_NO_PASID	(-1)

/**
 * struct rviommu_pritest - the software
 * @test: whose
 * @bus: registers of the IOMMU
 * @cmdq: the driver's command queue
 * @queue: the page-request queue
 * @mask: entries less 1
 * @head: next to be read
 */
struct rviommu_pritest {
	struct kunit *test;
	struct rviommu_bus *bus;
	struct rviommu_cmdq *cmdq;
	u64 *queue;
	u32 mask;
	u32 head;
};

/**
 * struct rviommu_pritest_job - DMA of a device in a thread of its own
 * @dev: the device
 * @dma: the job
 * @done: it is over
 * @ret: what became of it
 * @task: the thread
 */
struct rviommu_pritest_job {
	struct device *dev;
	struct rviommu_sim_dma dma;
	struct completion done;
	int ret;
	struct task_struct *task;
};

void rviommu_pritest_up(struct kunit *test, struct rviommu_pritest *p, struct device *dev,
			unsigned int lg2);
void rviommu_pritest_down(struct rviommu_pritest *p);
void rviommu_pritest_context(struct rviommu_pritest *p, struct device *dev, u64 clear, u64 set);
void rviommu_pritest_pasids(struct rviommu_pritest *p, struct device *dev, u64 *pdt);
u32 rviommu_pritest_csr(struct rviommu_pritest *p);
void rviommu_pritest_clear(struct rviommu_pritest *p, u32 errors);
bool rviommu_pritest_poll(struct rviommu_pritest *p, struct rviommu_model_page_request *pr);
struct rviommu_model_page_request rviommu_pritest_read(struct rviommu_pritest *p);
void rviommu_pritest_send(struct rviommu_pritest *p, u32 id, int pasid, unsigned int index,
			  u8 code);
void rviommu_pritest_respond(struct rviommu_pritest *p,
			     const struct rviommu_model_page_request *pr, u8 code);
void rviommu_pritest_forget(struct rviommu_pritest *p, u32 id);

struct rviommu_pritest_job *rviommu_pritest_go(struct kunit *test, struct device *dev,
					       const struct rviommu_sim_dma *dma);
int rviommu_pritest_end(struct kunit *test, struct rviommu_pritest_job *job);

#endif /* RVIOMMU_KUNIT_PRITEST_H */
