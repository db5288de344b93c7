// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software that answers page requests, played by a test. See pritest.h.
 */
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <rviommu/formats.h>
#include <rviommu/regs.h>

#include "../src/driver/cmdq.h"
#include "../src/driver/command.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/rviommu.h"
#include "pritest.h"
#include "simtest.h"

#define RECORD_EXEC	BIT_ULL(34)

/* Nobody in a test waits longer. */
#define PATIENCE	(60 * HZ)

static u32 pritest_read32(struct rviommu_pritest *p, unsigned int offset)
{
	return p->bus->ops->read32(p->bus, offset);
}

static void pritest_write32(struct rviommu_pritest *p, unsigned int offset, u32 value)
{
	p->bus->ops->write32(p->bus, offset, value);
}

static void pritest_switch(struct rviommu_pritest *p, u32 csr)
{
	unsigned long end = jiffies + PATIENCE;

	pritest_write32(p, RVIOMMU_REG_PQCSR, csr);
	while (rviommu_pritest_csr(p) & RVIOMMU_QCSR_BUSY) {
		if (time_after(jiffies, end))
			return;
		schedule_timeout_uninterruptible(1);
	}
}

static void pritest_down(void *data)
{
	pritest_switch(data, 0);
}

/**
 * rviommu_pritest_up() - have the page-request queue of an instance
 * @test: whose; the queue is off when the test ends
 * @p: filled in; lives as long as the test
 * @dev: a device behind the instance
 * @lg2: entries, at most 256
 *
 * Without an interrupt: the test looks when it wants to.
 */
void rviommu_pritest_up(struct kunit *test, struct rviommu_pritest *p, struct device *dev,
			unsigned int lg2)
{
	struct rviommu_endpoint *ep = dev_iommu_priv_get(dev);

	KUNIT_ASSERT_NOT_NULL(test, ep);
	*p = (struct rviommu_pritest) {
		.test = test,
		.bus = ep->iommu->bus,
		.cmdq = &ep->iommu->cmdq,
		.queue = rviommu_simtest_pages(test, SZ_4K),
		.mask = BIT(lg2) - 1,
	};
	pritest_switch(p, 0);
	rviommu_bus_write64(p->bus, RVIOMMU_REG_PQB, (lg2 - 1) |
			    FIELD_PREP(RVIOMMU_QB_PPN, virt_to_phys(p->queue) >> 12));
	pritest_write32(p, RVIOMMU_REG_PQH, 0);
	pritest_switch(p, RVIOMMU_QCSR_EN);
	KUNIT_ASSERT_EQ(test, rviommu_pritest_csr(p), RVIOMMU_QCSR_EN | RVIOMMU_QCSR_ON);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, pritest_down, p), 0);
}

/**
 * rviommu_pritest_down() - give the queue back before the test ends
 * @p: from rviommu_pritest_up()
 */
void rviommu_pritest_down(struct rviommu_pritest *p)
{
	kunit_release_action(p->test, pritest_down, p);
}

/* The device context, in a directory of one level */
static u64 *pritest_dc(struct rviommu_pritest *p, struct device *dev)
{
	struct rviommu_endpoint *ep = dev_iommu_priv_get(dev);
	u64 ddtp = rviommu_bus_read64(p->bus, RVIOMMU_REG_DDTP);
	u64 *page = phys_to_virt(FIELD_GET(RVIOMMU_DDTP_PPN, ddtp) << 12);

	return page + ep->ids[0] * RVIOMMU_DC_WORDS_EXT;
}

/**
 * rviommu_pritest_context() - change DC.tc of a device
 * @p: the software
 * @dev: the device, which is idle; in a directory of one level
 * @clear: bits that become 0
 * @set: bits that become 1
 */
void rviommu_pritest_context(struct rviommu_pritest *p, struct device *dev, u64 clear, u64 set)
{
	struct rviommu_endpoint *ep = dev_iommu_priv_get(dev);
	struct rviommu_command cmd = rviommu_cmd_inval_ddt(ep->ids[0]);
	u64 *tc = &pritest_dc(p, dev)[RVIOMMU_DC_TC];

	WRITE_ONCE(*tc, (*tc & ~clear) | set);
	KUNIT_ASSERT_EQ(p->test, rviommu_cmdq_sync(p->cmdq, &cmd, 1), 0);
}

/**
 * rviommu_pritest_pasids() - let PASIDs 0 to 255 see what the device sees without PASID
 * @p: the software
 * @dev: the device, as for rviommu_pritest_context()
 * @pdt: a page, which becomes the process directory
 */
void rviommu_pritest_pasids(struct rviommu_pritest *p, struct device *dev, u64 *pdt)
{
	u64 *dc = pritest_dc(p, dev);
	unsigned int i;

	/* They do already. */
	if (dc[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_PDTV)
		return;
	for (i = 0; i < 256; i++) {
		pdt[2 * i + RVIOMMU_PC_TA] = RVIOMMU_PC_TA_V | RVIOMMU_PC_TA_ENS |
					     RVIOMMU_PC_TA_SUM |
					     (dc[RVIOMMU_DC_TA] & RVIOMMU_DC_TA_PSCID);
		pdt[2 * i + RVIOMMU_PC_FSC] = dc[RVIOMMU_DC_FSC];
	}
	WRITE_ONCE(dc[RVIOMMU_DC_FSC], FIELD_PREP(RVIOMMU_FSC_MODE, RVIOMMU_PDTP_MODE_PD8) |
		   virt_to_phys(pdt) >> 12);
	rviommu_pritest_context(p, dev, 0, RVIOMMU_DC_TC_PDTV | RVIOMMU_DC_TC_DPE);
}

/**
 * rviommu_pritest_csr() - pqcsr
 * @p: the software
 *
 * Return: the register.
 */
u32 rviommu_pritest_csr(struct rviommu_pritest *p)
{
	return pritest_read32(p, RVIOMMU_REG_PQCSR);
}

/**
 * rviommu_pritest_clear() - clear errors of the queue
 * @p: the software
 * @errors: RVIOMMU_QCSR_MF, RVIOMMU_QCSR_OF
 */
void rviommu_pritest_clear(struct rviommu_pritest *p, u32 errors)
{
	pritest_switch(p, RVIOMMU_QCSR_EN | errors);
}

/**
 * rviommu_pritest_poll() - is there a page request?
 * @p: the software
 * @pr: becomes it
 *
 * Return: true if there was one; it is out of the queue.
 */
bool rviommu_pritest_poll(struct rviommu_pritest *p, struct rviommu_model_page_request *pr)
{
	u64 word;

	if (pritest_read32(p, RVIOMMU_REG_PQT) == p->head)
		return false;
	word = READ_ONCE(p->queue[2 * p->head]);
	*pr = (struct rviommu_model_page_request) {
		.device_id = FIELD_GET(RVIOMMU_FAULT_DID, word),
		.process_id = FIELD_GET(RVIOMMU_FAULT_PID, word),
		.pv = word & RVIOMMU_FAULT_PV,
		.priv = word & RVIOMMU_FAULT_PRIV,
		.exec = word & RECORD_EXEC,
		.payload = READ_ONCE(p->queue[2 * p->head + 1]),
	};
	p->head = (p->head + 1) & p->mask;
	pritest_write32(p, RVIOMMU_REG_PQH, p->head);
	return true;
}

/**
 * rviommu_pritest_read() - the next page request
 * @p: the software; the test ends if there is none for a minute
 *
 * Return: the request.
 */
struct rviommu_model_page_request rviommu_pritest_read(struct rviommu_pritest *p)
{
	struct rviommu_model_page_request pr = {};
	unsigned long end = jiffies + PATIENCE;

	while (!rviommu_pritest_poll(p, &pr)) {
		KUNIT_ASSERT_FALSE_MSG(p->test, time_after(jiffies, end), "no request comes");
		schedule_timeout_uninterruptible(1);
	}
	return pr;
}

/**
 * rviommu_pritest_send() - send a Page Request Group Response
 * @p: the software
 * @id: to this device
 * @pasid: with this PASID, or RVIOMMU_PRITEST_NO_PASID
 * @index: of the group
 * @code: Response Code
 */
void rviommu_pritest_send(struct rviommu_pritest *p, u32 id, int pasid, unsigned int index,
			  u8 code)
{
	u64 dword0 = FIELD_PREP(RVIOMMU_CMD_OPCODE, RVIOMMU_CMD_OPCODE_ATS) |
		     FIELD_PREP(RVIOMMU_CMD_FUNC3, RVIOMMU_CMD_ATS_PRGR) |
		     FIELD_PREP(RVIOMMU_CMD_ATS_RID, id);
	u64 payload = FIELD_PREP(RVIOMMU_MODEL_PRGR_INDEX, index) |
		      FIELD_PREP(RVIOMMU_MODEL_PRGR_CODE, code);
	struct rviommu_command cmd;

	if (pasid != RVIOMMU_PRITEST_NO_PASID)
		dword0 |= RVIOMMU_CMD_ATS_PV | FIELD_PREP(RVIOMMU_CMD_ATS_PID, pasid);
	cmd = (struct rviommu_command){ .dword = { cpu_to_le64(dword0), cpu_to_le64(payload) } };
	KUNIT_EXPECT_EQ(p->test, rviommu_cmdq_sync(p->cmdq, &cmd, 1), 0);
}

/**
 * rviommu_pritest_respond() - respond to a group whose requests have to have the PASID
 * @p: the software
 * @pr: its last request
 * @code: Response Code
 */
void rviommu_pritest_respond(struct rviommu_pritest *p,
			     const struct rviommu_model_page_request *pr, u8 code)
{
	rviommu_pritest_send(p, pr->device_id,
			     pr->pv ? (int)pr->process_id : RVIOMMU_PRITEST_NO_PASID,
			     FIELD_GET(RVIOMMU_MODEL_PAGE_INDEX, pr->payload), code);
}

/**
 * rviommu_pritest_forget() - empty the ATC of a device
 * @p: the software
 * @id: device_id
 */
void rviommu_pritest_forget(struct rviommu_pritest *p, u32 id)
{
	u64 dword0 = FIELD_PREP(RVIOMMU_CMD_OPCODE, RVIOMMU_CMD_OPCODE_ATS) |
		     FIELD_PREP(RVIOMMU_CMD_FUNC3, RVIOMMU_CMD_ATS_INVAL) |
		     FIELD_PREP(RVIOMMU_CMD_ATS_RID, id);
	/* Everything without PASID; everything of all PASIDs */
	struct rviommu_command cmds[2] = {
		{ .dword = { cpu_to_le64(dword0), cpu_to_le64(GENMASK_ULL(63, 11)) } },
		{ .dword = { cpu_to_le64(dword0 | RVIOMMU_CMD_ATS_PV),
			     cpu_to_le64(GENMASK_ULL(63, 11) | BIT_ULL(0)) } },
	};

	KUNIT_EXPECT_EQ(p->test, rviommu_cmdq_sync(p->cmdq, cmds, 2), 0);
}

/* ----- DMA ----- */

static int pritest_thread(void *data)
{
	struct rviommu_pritest_job *job = data;

	job->ret = rviommu_sim_dma(job->dev, &job->dma);
	complete(&job->done);
	return 0;
}

static void pritest_reap(void *data)
{
	struct rviommu_pritest_job *job = data;

	kthread_stop(job->task);
	put_task_struct(job->task);
	put_device(job->dev);
}

/**
 * rviommu_pritest_go() - let a device do something, and do not wait for it
 * @test: whose; the job has ended when it does
 * @dev: simulated endpoint or function
 * @dma: what; copied
 *
 * Return: the job.
 */
struct rviommu_pritest_job *rviommu_pritest_go(struct kunit *test, struct device *dev,
					       const struct rviommu_sim_dma *dma)
{
	struct rviommu_pritest_job *job = kunit_kzalloc(test, sizeof(*job), GFP_KERNEL);
	struct task_struct *task;

	KUNIT_ASSERT_NOT_NULL(test, job);
	job->dma = *dma;
	init_completion(&job->done);
	job->dev = get_device(dev);
	task = kthread_create(pritest_thread, job, "pritest");
	if (IS_ERR(task))
		put_device(dev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	job->task = get_task_struct(task);
	wake_up_process(task);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, pritest_reap, job), 0);
	return job;
}

/**
 * rviommu_pritest_end() - wait for a job
 * @test: whose; it ends if the job does not, in a minute
 * @job: from rviommu_pritest_go()
 *
 * Return: what became of it.
 */
int rviommu_pritest_end(struct kunit *test, struct rviommu_pritest_job *job)
{
	KUNIT_ASSERT_NE(test, wait_for_completion_timeout(&job->done, PATIENCE), 0UL);
	return job->ret;
}
