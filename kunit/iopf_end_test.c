// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a device, of its interface, or of its IOMMU, while page requests are everywhere:
 * with who handles them, in a worker of his, in half a group, and in the queue of the
 * hardware, where nobody has read them.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/sizes.h>
#include <rviommu/bus.h>
#include <rviommu/page_request.h>
#include <rviommu/regs.h>
#include <rviommu/sim.h>

#include "../src/driver/attach.h"
#include "../src/driver/attachment.h"
#include "../src/driver/cmdq.h"
#include "../src/driver/compat.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/iopf.h"
#include "../src/driver/prg.h"
#include "../src/driver/rviommu.h"
#include "../src/driver/static.h"
#include "../src/driver/trace.h"
#include "iopftest.h"
#include "pritest.h"
#include "simtest.h"

#define PASID	5

/* Where the requests are, each of a job of its own */
enum {
	END_HELD,	/* with who handles it, and he has not responded */
	END_STALLED,	/* in his worker, which waits */
	END_PARTIAL,	/* the last one of its group has not come */
	END_UNREAD,	/* in the hardware's queue, and nobody was told */
	END_JOBS,
};

/* Success, and Invalid Request; no other is sent. */
#define END_CODES	2

/**
 * struct end_scene - a device with requests in all these places
 * @f: devices and domains; device 0, of which one domain handles a PASID, and nothing else
 * @job: whose requests they are
 * @bus: registers of the IOMMU
 * @responses: that the driver has sent, to anything, by their code
 * @nb: for the moment at which the device's driver would be unbound
 * @detached: that was
 * @surprise: the device is gone when its driver hears of it
 */
struct end_scene {
	struct iopftest *f;
	struct rviommu_pritest_job *job[END_JOBS];
	struct rviommu_bus *bus;
	atomic_t responses[END_CODES];
	struct notifier_block nb;
	unsigned int detached;
	bool surprise;
};

/* What hooks have no argument for */
static struct end_scene *end_now;

static u32 end_read32(struct end_scene *s, unsigned int offset)
{
	return s->bus->ops->read32(s->bus, offset);
}

static bool end_partial(struct end_scene *s)
{
	struct rviommu_prgs *prgs = &s->f->ep[0]->pri.prgs;

	guard(spinlock)(&prgs->lock);
	return !list_empty(&prgs->partial);
}

static bool end_unread(struct end_scene *s)
{
	return end_read32(s, RVIOMMU_REG_PQT) != end_read32(s, RVIOMMU_REG_PQH);
}

static void end_await(struct end_scene *s, bool (*what)(struct end_scene *s))
{
	unsigned long end = jiffies + 60 * HZ;

	while (!what(s)) {
		KUNIT_ASSERT_FALSE(s->f->test, time_after(jiffies, end));
		schedule_timeout_uninterruptible(1);
	}
}

/* Somebody waits for handlers: only now the one that is stalled goes on. */
static unsigned long end_patience(void)
{
	complete_all(&end_now->f->space[1].go);
	return RVIOMMU_IOPF_PATIENCE_S * HZ;
}

static void end_response(void *data, const struct rviommu_bus *bus, const char *device,
			 const struct rviommu_page_message *message, u8 code, u64 latency_ns)
{
	struct end_scene *s = data;

	if (!WARN_ON_ONCE(code >= END_CODES))
		atomic_inc(&s->responses[code]);
}

static void end_count_no_more(void *s)
{
	unregister_trace_rviommu_page_response(end_response, s);
	tracepoint_synchronize_unregister();
}

static void end_count_responses(struct end_scene *s)
{
	if (!IS_ENABLED(CONFIG_TRACEPOINTS))
		kunit_skip(s->f->test, "no tracepoints in this kernel");
	KUNIT_ASSERT_EQ(s->f->test, register_trace_rviommu_page_response(end_response, s), 0);
	KUNIT_ASSERT_EQ(s->f->test, kunit_add_action_or_reset(s->f->test, end_count_no_more, s), 0);
}

static void end_config(struct rviommu_sim_config *config)
{
	iopftest_config(config);
	/* No job gives up: it has a response, or its device goes. */
	config->pri_timeout = 600ULL * NSEC_PER_SEC;
}

static struct end_scene *end_up_with(struct kunit *test, const struct rviommu_sim_config *config)
{
	struct end_scene *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	struct iopftest *f;

	KUNIT_ASSERT_NOT_NULL(test, s);
	f = iopftest_up(test, config);
	s->f = f;
	s->bus = f->ep[0]->iommu->bus;
	end_now = s;
	end_count_responses(s);
	kunit_activate_static_stub(test, rviommu_iopf_patience, end_patience);
	f->space[1].mode = IOPFTEST_STALL;
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, PASID, &f->space[1]), 0);

	s->job[END_STALLED] = iopftest_go(f, 0, PASID, 3, 1, 1);
	iopftest_await_stalled(f, &f->space[1]);
	WRITE_ONCE(f->space[1].mode, IOPFTEST_HOLD);
	s->job[END_HELD] = iopftest_go(f, 0, PASID, 0, 1, 1);
	iopftest_await_held(f, &f->space[1], 1);
	rviommu_sim_set_pri(f->dev[0], RVIOMMU_SIM_PRI_NO_LAST);
	s->job[END_PARTIAL] = iopftest_go(f, 0, PASID, 1, 1, 1);
	end_await(s, end_partial);
	rviommu_sim_set_pri(f->dev[0], 0);
	s->bus->ops->write32(s->bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN);
	s->job[END_UNREAD] = iopftest_go(f, 0, PASID, 2, 1, 1);
	end_await(s, end_unread);
	return s;
}

static struct end_scene *end_up(struct kunit *test)
{
	struct rviommu_sim_config config;

	end_config(&config);
	return end_up_with(test, &config);
}

/* One for each group that was complete: the stalled one; the one that is held, and the unread. */
static void end_expect_responses(struct end_scene *s)
{
	KUNIT_EXPECT_EQ(s->f->test, atomic_read(&s->responses[0]), 1);
	KUNIT_EXPECT_EQ(s->f->test, atomic_read(&s->responses[1]), 2);
}

/* Each group has had its response, and only one that could be served had a good one. */
static void end_expect_quiet(struct end_scene *s)
{
	struct kunit *test = s->f->test;
	struct rviommu_pri *pri = &s->f->ep[0]->pri;

	KUNIT_EXPECT_TRUE(test, list_empty(&pri->prgs.partial));
	KUNIT_EXPECT_TRUE(test, list_empty(&pri->prgs.outstanding));
	KUNIT_EXPECT_FALSE(test, end_unread(s));
	/* Held and stalled; held and unread */
	KUNIT_EXPECT_EQ(test, atomic64_read(&pri->groups), 2);
	KUNIT_EXPECT_EQ(test, atomic64_read(&pri->refused), 2);
	KUNIT_EXPECT_EQ(test, pri->users, 0);
	KUNIT_EXPECT_FALSE(test, pri->enabled);
	KUNIT_EXPECT_EQ(test, iopftest_holds(&s->f->space[1]), 1);
	end_expect_responses(s);
}

/* What the driver of the device does when it is unbound */
static void end_detach(struct end_scene *s)
{
	struct iopftest *f = s->f;

	iopftest_detach_pasid(f, 0, PASID, &f->space[1]);
	end_expect_quiet(s);
	s->detached++;
}

/* Who has held a group all the time responds to it: that is nothing any more. */
static void end_too_late(struct end_scene *s)
{
	KUNIT_EXPECT_EQ(s->f->test,
			iopftest_let_go(&s->f->space[1], IOMMU_PAGE_RESP_SUCCESS, false), 1);
	end_expect_responses(s);
}

static void end_expect_jobs(struct end_scene *s, int ret)
{
	unsigned int i;

	for (i = 0; i < END_JOBS; i++)
		KUNIT_EXPECT_EQ_MSG(s->f->test, rviommu_pritest_end(s->f->test, s->job[i]), ret,
				    "job %u", i);
}

/* Nobody uses it any more; it stays. */
static void end_unused(struct kunit *test)
{
	struct end_scene *s = end_up(test);
	struct iopftest *f = s->f;
	struct rviommu_sim_pri_stats stats;

	end_detach(s);
	stats = iopftest_stats(f, 0);
	KUNIT_EXPECT_EQ(test, stats.responses, 3);
	KUNIT_EXPECT_EQ(test, stats.successes, 1);
	KUNIT_EXPECT_EQ(test, stats.invalid, 2);
	end_too_late(s);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).responses, 3);
	/* Half a group has no response: the device has to be told otherwise. */
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).outstanding, 1);
	KUNIT_EXPECT_FALSE(test, completion_done(&s->job[END_PARTIAL]->done));
	rviommu_sim_reset_pri(f->dev[0]);
	end_expect_jobs(s, -EFAULT);
	s->bus->ops->write32(s->bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 4, 9), 0);
	iopftest_expect_clean(f, 0);
}

/*
 * Its interface is reset behind our back: it knows of none of them, and hears the responses all
 * the same. When its driver has said so it works again.
 */
static void end_reset(struct kunit *test)
{
	struct end_scene *s = end_up(test);
	struct iopftest *f = s->f;

	rviommu_sim_disable_pri(f->dev[0]);
	rviommu_sim_reset_pri(f->dev[0]);
	end_expect_jobs(s, -EFAULT);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).responses, 0);
	KUNIT_EXPECT_EQ(test, rviommu_iopf_cancel(f->dev[0], PASID), 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&f->ep[0]->pri.prgs.partial));
	KUNIT_EXPECT_TRUE(test, list_empty(&f->ep[0]->pri.prgs.outstanding));
	/* The one that was not read was handed on before it was cancelled. */
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->pri.groups), 3);
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->ep[0]->pri.refused), 3);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).unexpected, 3);
	KUNIT_EXPECT_EQ(test, iopftest_let_go(&f->space[1], IOMMU_PAGE_RESP_SUCCESS, false), 2);
	complete_all(&f->space[1].go);
	iopftest_detach_pasid(f, 0, PASID, &f->space[1]);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).responses, 3);
	s->bus->ops->write32(s->bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_EXPECT_FALSE(test, rviommu_sim_pri_status(f->dev[0]) & PCI_PRI_STATUS_UPRGI);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 4, 9), 0);
}

/*
 * Device 0 has no DMA any more, and is about to go: its driver is unbound. A group that is held
 * has to be given back by then: the core looks at its device (iopf_group_response()).
 */
static int end_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	struct end_scene *s = container_of(nb, struct end_scene, nb);

	if (action != BUS_NOTIFY_DEL_DEVICE || data != s->f->dev[0])
		return NOTIFY_DONE;
	end_expect_jobs(s, -ENODEV);
	end_detach(s);
	end_too_late(s);
	rviommu_simtest_release(s->f->test, s->f->group[0]);
	return NOTIFY_OK;
}

static void end_unwatch(void *nb)
{
	bus_unregister_notifier(&platform_bus_type, nb);
}

static void end_watch(struct end_scene *s)
{
	s->nb.notifier_call = end_notify;
	KUNIT_ASSERT_EQ(s->f->test, bus_register_notifier(&platform_bus_type, &s->nb), 0);
	KUNIT_ASSERT_EQ(s->f->test,
			kunit_add_action_or_reset(s->f->test, end_unwatch, &s->nb), 0);
}

/* It is pulled out. Others are served all the time. */
static void end_removed(struct kunit *test)
{
	struct end_scene *s = end_up(test);
	struct iopftest *f = s->f;

	end_watch(s);
	rviommu_sim_remove_endpoint(f->sim, 0);
	KUNIT_ASSERT_EQ(test, s->detached, 1);
	s->bus->ops->write32(s->bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 1, &f->space[0]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 1, 0, 0, 4, 9), 0);
	iopftest_expect_clean(f, 1);
}

/*
 * It does not say that it forgets what it is told to forget, and is taken out of
 * service for that. Its page requests have their responses all the same.
 */
static void end_silent(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct end_scene *s;
	struct iopftest *f;

	end_config(&config);
	config.model.ats_timeout = NSEC_PER_MSEC;
	s = end_up_with(test, &config);
	f = s->f;
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_atc(f->dev[0], RVIOMMU_SIM_ATC_LOST), 0);
	end_detach(s);
	KUNIT_EXPECT_TRUE(test, f->ep[0]->lost);
	end_too_late(s);
	rviommu_sim_reset_pri(f->dev[0]);
	end_expect_jobs(s, -EFAULT);
	s->bus->ops->write32(s->bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 1, &f->space[0]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 1, 0, 0, 4, 9), 0);
	iopftest_expect_clean(f, 1);
}

/*
 * It was out of service, and a reset brings it back without ATS. The core attaches what was there,
 * and takes no refusal: so that is attached, and nobody is asked.
 */
static void end_back(struct kunit *test)
{
	struct rviommu_sim_config config;
	struct iopftest_space *space;
	struct rviommu_endpoint *ep;
	struct iopftest *f;

	end_config(&config);
	config.model.ats_timeout = NSEC_PER_MSEC;
	f = iopftest_up(test, &config);
	ep = f->ep[0];
	space = &f->space[0];
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, space), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 0, 2, 9), 0);
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_atc(f->dev[0], RVIOMMU_SIM_ATC_LOST), 0);
	iopftest_unmap(space, 0, 1);
	KUNIT_ASSERT_TRUE(test, ep->lost);
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_atc(f->dev[0], 0), 0);

	KUNIT_ASSERT_EQ(test, rviommu_attach(ep, &rviommu_blocking_domain), 0);
	KUNIT_ASSERT_EQ(test, rviommu_attach(ep, space->domain), 0);
	KUNIT_EXPECT_FALSE(test, ep->lost);
	KUNIT_EXPECT_FALSE(test, ep->pri.enabled);
	KUNIT_EXPECT_PTR_EQ(test, rviommu_attached_domain(ep, IOMMU_NO_PASID), space->domain);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_fill(f->dev[0], IOMMU_NO_PASID,
						   IOPFTEST_IOVA + SZ_4K, SZ_4K, 7), 0);
	KUNIT_EXPECT_TRUE(test, iopftest_has(space, 1, 7));
	KUNIT_EXPECT_LT(test, rviommu_simtest_fill(f->dev[0], IOMMU_NO_PASID, IOPFTEST_IOVA,
						   SZ_4K, 7), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&space->groups), 1);
	iopftest_detach(f, 0);
	KUNIT_EXPECT_EQ(test, ep->pri.users, 0);
	KUNIT_EXPECT_EQ(test, iopftest_attach(f, 0, space), -ENODEV);
}

/*
 * Another device has its requester ID from now on, and it has to do without ATS. It keeps its
 * domain, its page requests have their responses, and it may not ask again.
 */
static void end_without_ats(struct kunit *test)
{
	struct iopftest *f = iopftest_up_default(test);
	struct iopftest_space *space = &f->space[0];
	struct rviommu_endpoint *ep = f->ep[0];
	struct rviommu_pritest_job *job;

	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, space), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, 0, 1, 1, 9), 0);
	space->mode = IOPFTEST_HOLD;
	job = iopftest_go(f, 0, 0, 0, 1, 1);
	iopftest_await_held(f, space, 1);

	rviommu_attach_without_ats(ep);
	KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, job), -EFAULT);
	KUNIT_EXPECT_FALSE(test, ep->pri.enabled);
	iopftest_expect_clean(f, 0);
	KUNIT_EXPECT_EQ(test, iopftest_let_go(space, IOMMU_PAGE_RESP_SUCCESS, false), 1);
	iopftest_expect_clean(f, 0);
	KUNIT_EXPECT_EQ(test, rviommu_simtest_fill(f->dev[0], IOMMU_NO_PASID,
						   IOPFTEST_IOVA + SZ_4K, SZ_4K, 7), 0);
	KUNIT_EXPECT_TRUE(test, iopftest_has(space, 1, 7));
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).groups, 2);
	iopftest_detach(f, 0);
	KUNIT_EXPECT_EQ(test, ep->pri.users, 0);
	KUNIT_EXPECT_EQ(test, iopftest_attach(f, 0, space), -ENODEV);
}

/* And its IOMMU with it, of which the other devices have no requests. */
static void end_destroyed(struct kunit *test)
{
	struct end_scene *s = end_up(test);
	unsigned int i;

	end_watch(s);
	for (i = 1; i < IOPFTEST_NR_DEVICES; i++)
		rviommu_simtest_release(test, s->f->group[i]);
	rviommu_simtest_destroy(test, s->f->sim);
	KUNIT_EXPECT_EQ(test, s->detached, 1);
}

/* ----- A PCI function ----- */

#ifdef CONFIG_RVIOMMU_SIM_PCI

static int end_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	return 0;
}

/* Gone: nothing that is written or sent reaches it, and it says nothing. */
static void end_expect_gone(struct end_scene *s, struct pci_dev *pdev)
{
	u16 word = 0;

	KUNIT_EXPECT_NE(s->f->test, pci_read_config_word(pdev, PCI_VENDOR_ID, &word), 0);
	KUNIT_EXPECT_EQ(s->f->test, word, 0xffff);
	KUNIT_EXPECT_TRUE(s->f->test, pci_dev_is_disconnected(pdev));
	end_expect_jobs(s, -ENODEV);
}

/* It is there, and hears the responses. Half a group has none. */
static void end_expect_there(struct end_scene *s)
{
	struct rviommu_sim_pri_stats stats = iopftest_stats(s->f, 0);
	unsigned int i;

	KUNIT_EXPECT_EQ(s->f->test, stats.responses, 3);
	KUNIT_EXPECT_EQ(s->f->test, stats.unexpected, 0);
	KUNIT_EXPECT_EQ(s->f->test, stats.outstanding, 1);
	for (i = 0; i < END_JOBS; i++)
		if (i != END_PARTIAL)
			KUNIT_EXPECT_EQ(s->f->test, rviommu_pritest_end(s->f->test, s->job[i]),
					-EFAULT);
	KUNIT_EXPECT_FALSE(s->f->test, completion_done(&s->job[END_PARTIAL]->done));
}

/* Its driver lets go of it, as drivers do, and does not ask whether it is still there. */
static void end_remove(struct pci_dev *pdev)
{
	struct end_scene *s = end_now;
	struct rviommu_endpoint *ep = s->f->ep[0];

	if (s->surprise)
		end_expect_gone(s, pdev);
	end_detach(s);
	if (!s->surprise)
		end_expect_there(s);
	end_too_late(s);
	/* Nobody waits for what it cannot answer, nor blames it. */
	KUNIT_EXPECT_EQ(s->f->test,
			atomic64_read(&ep->iommu->cmdq.events[RVIOMMU_CMDQ_TIMEOUT]), 0);
	KUNIT_EXPECT_FALSE(s->f->test, ep->lost);
	rviommu_simtest_release(s->f->test, s->f->group[0]);
}

static struct pci_driver end_driver = {
	.name = "rviommu-kunit-end",
	.probe = end_probe,
	.remove = end_remove,
	/* The test has it, for all of its life. */
	.driver_managed_dma = true,
};

static void end_unregister(void *unused)
{
	pci_unregister_driver(&end_driver);
}

static void end_bind(struct end_scene *s)
{
	struct pci_dev *pdev = to_pci_dev(s->f->dev[0]);
	struct kunit *test = s->f->test;

	KUNIT_ASSERT_EQ(test, pci_register_driver(&end_driver), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, end_unregister, NULL), 0);
	KUNIT_ASSERT_EQ(test, rviommu_set_driver_override(pdev, end_driver.name), 0);
	KUNIT_ASSERT_EQ(test, device_attach(&pdev->dev), 1);
}

#endif

static const bool end_surprises[] = { false, true };

static void end_desc(const bool *surprise, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "with%s notice", *surprise ? "out" : "");
}

KUNIT_ARRAY_PARAM(end_surprise, end_surprises, end_desc);

/* It is removed, or pulled out; the next one in its slot works, and so do others. */
static void end_function(struct kunit *test)
{
#ifdef CONFIG_RVIOMMU_SIM_PCI
	struct rviommu_sim_config config;
	struct end_scene *s;
	struct iopftest *f;

	end_config(&config);
	config.endpoints = 0;
	config.pci_functions = IOPFTEST_NR_DEVICES;
	s = end_up_with(test, &config);
	f = s->f;
	end_bind(s);
	s->surprise = *(const bool *)test->param_value;
	rviommu_sim_remove_function(f->sim, 0, s->surprise);
	KUNIT_ASSERT_EQ(test, s->detached, 1);
	if (!s->surprise)
		KUNIT_EXPECT_EQ(test, rviommu_pritest_end(test, s->job[END_PARTIAL]), -ENODEV);
	end_expect_responses(s);
	s->bus->ops->write32(s->bus, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 1, &f->space[0]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 1, 0, 0, 4, 9), 0);
	iopftest_expect_clean(f, 1);

	KUNIT_ASSERT_EQ(test, rviommu_sim_add_function(f->sim, 0), 0);
	f->dev[0] = rviommu_sim_function(f->sim, 0);
	f->ep[0] = dev_iommu_priv_get(f->dev[0]);
	f->group[0] = rviommu_simtest_claim(test, f->dev[0]);
	pci_set_master(to_pci_dev(f->dev[0]));
	WRITE_ONCE(f->space[1].mode, IOPFTEST_MAP);
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, PASID, &f->space[1]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_fill(f, 0, PASID, 8, 4, 9), 0);
	iopftest_detach_pasid(f, 0, PASID, &f->space[1]);
	iopftest_expect_clean(f, 0);
#else
	kunit_skip(test, "no simulated PCI functions");
#endif
}

static struct kunit_case end_cases[] = {
	KUNIT_CASE(end_unused),
	KUNIT_CASE(end_reset),
	KUNIT_CASE(end_removed),
	KUNIT_CASE(end_silent),
	KUNIT_CASE(end_back),
	KUNIT_CASE(end_without_ats),
	KUNIT_CASE_PARAM(end_function, end_surprise_gen_params),
	KUNIT_CASE(end_destroyed),
	{}
};

static struct kunit_suite end_suite = {
	.name = "rviommu_iopf_end",
	.test_cases = end_cases,
};

kunit_test_suite(end_suite);
