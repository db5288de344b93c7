// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that lies, beside one that is used: it completes invalidations that it was not asked
 * for, says that its requests are translated, and names PASIDs that are another's. What it sends
 * it sends past its own registers, with its own requester ID, which hardware puts there.
 */
#include <kunit/test.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <rviommu/bus.h>
#include <rviommu/formats.h>
#include <rviommu/regs.h>
#include <rviommu/sim.h>

#include "../src/driver/attach.h"
#include "../src/driver/cmdq.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/inq.h"
#include "../src/driver/rviommu.h"
#include "simtest.h"

#define IOVA			0x1000000000ULL
/* Only the victim has something there. */
#define IOVA_OTHER		(IOVA + SZ_64K)
#define SIZE			SZ_16K

/* PASIDs of the devices, and one that nobody has */
#define PASID_ROGUE		3
#define PASID_VICTIM		5
#define PASID_NOBODY		7
#define NO_PASID		(-1)

/* Spec "Fault record CAUSE field encodings" */
#define WRITE_PAGE_FAULT	15
#define DDT_ENTRY_NOT_VALID	258
#define DISALLOWED		260
#define PDT_ENTRY_NOT_VALID	266

/* Spec "Fault record TTYP field encodings" */
#define TTYP_READ		2
#define TTYP_WRITE		3
#define TTYP_TRANSLATED		4
#define TTYP_ATS		8
#define TTYP_MESSAGE		9
/* Message code of an Invalidation Completion */
#define INVAL_COMPLETION	2

/* Each tag that an Invalidation Request can have */
#define ALL_TAGS		U32_MAX

enum { ROGUE, VICTIM, NR_DEVICES };

/**
 * struct hostile_kind - what the devices are
 * @name: of the case
 * @pci: PCI functions
 * @distrusted: the one that lies has no ATS: EN_ATS is 0
 */
struct hostile_kind {
	const char *name;
	bool pci;
	bool distrusted;
};

static const struct hostile_kind hostile_kinds[] = {
	{ .name = "endpoint" },
	{ .name = "endpoint without ATS", .distrusted = true },
#if IS_ENABLED(CONFIG_RVIOMMU_SIM_PCI)
	{ .name = "function", .pci = true },
	{ .name = "external function", .pci = true, .distrusted = true },
#endif
};

KUNIT_ARRAY_PARAM_DESC(hostile_kind, hostile_kinds, name);

/**
 * struct hostile - an IOMMU and the two devices behind it
 * @test: whose
 * @kind: what they are
 * @sim: the instance
 * @model: its hardware
 * @iommu: the driver's side
 * @dev: the devices; the DMA of both is ours
 * @ep: what the driver knows of them
 * @group: their groups
 * @domain: an address space for each
 * @pages: that is mapped there, at IOVA
 * @attached: their requester IDs are
 * @pasid: and so is this PASID of theirs, 0: none
 * @landed: how often the one that lies has got to the pages of each, and elsewhere
 * @bus: the true register access
 * @owner: the thread that waits
 * @on_wait: called once, when it has been waiting for a fence for a while
 * @early: and the fence was complete before the victim had answered
 * @late: when it had
 * @floods: rounds of rogue_thread()
 */
struct hostile {
	struct kunit *test;
	const struct hostile_kind *kind;
	struct rviommu_sim *sim;
	struct rviommu_model *model;
	struct rviommu *iommu;
	struct device *dev[NR_DEVICES];
	struct rviommu_endpoint *ep[NR_DEVICES];
	struct iommu_group *group[NR_DEVICES];
	struct iommu_domain *domain[NR_DEVICES];
	u8 *pages[NR_DEVICES];
	struct iommu_domain *attached[NR_DEVICES];
	u32 pasid[NR_DEVICES];
	unsigned long landed[NR_DEVICES + 1];
	const struct rviommu_bus_ops *bus;
	struct task_struct *owner;
	void (*on_wait)(struct hostile *h);
	bool early;
	bool late;
	unsigned long floods;
};

/* What is in the driver's way has no argument for it. */
static struct hostile *hostile_now;

/* ----- In the driver's way ----- */

static u32 hostile_read32(struct rviommu_bus *bus, unsigned int offset)
{
	struct hostile *h = hostile_now;
	void (*hook)(struct hostile *h) = h->on_wait;

	if (hook && current == h->owner && offset == RVIOMMU_REG_CQCSR) {
		h->on_wait = NULL;
		hook(h);
	}
	return h->bus->read32(bus, offset);
}

static void hostile_write32(struct rviommu_bus *bus, unsigned int offset, u32 value)
{
	hostile_now->bus->write32(bus, offset, value);
}

static const struct rviommu_bus_ops hostile_bus_ops = {
	.read32 = hostile_read32,
	.write32 = hostile_write32,
};

/* ----- The devices ----- */

#if IS_ENABLED(CONFIG_RVIOMMU_SIM_PCI)
static struct device *hostile_function(struct hostile *h, unsigned int index)
{
	struct device *dev = rviommu_sim_function(h->sim, index);

	KUNIT_ASSERT_NOT_NULL(h->test, dev);
	pci_set_master(to_pci_dev(dev));
	return dev;
}

/* As the PCI core says it of what is behind a port that leads outside. */
static int hostile_say_external(struct notifier_block *nb, unsigned long action, void *data)
{
	if (action != BUS_NOTIFY_ADD_DEVICE)
		return NOTIFY_DONE;
	to_pci_dev(data)->untrusted = true;
	return NOTIFY_OK;
}

/* Before all others see it, and the driver decides on its ATS. */
static struct notifier_block hostile_nb = {
	.notifier_call = hostile_say_external,
	.priority = INT_MAX,
};

static void hostile_plug_external(struct hostile *h)
{
	int ret;

	rviommu_sim_remove_function(h->sim, ROGUE, false);
	KUNIT_ASSERT_EQ(h->test, bus_register_notifier(&pci_bus_type, &hostile_nb), 0);
	ret = rviommu_sim_add_function(h->sim, ROGUE);
	bus_unregister_notifier(&pci_bus_type, &hostile_nb);
	KUNIT_ASSERT_EQ(h->test, ret, 0);
}
#else
static struct device *hostile_function(struct hostile *h, unsigned int index)
{
	return NULL;
}

static void hostile_plug_external(struct hostile *h)
{
}
#endif

static void hostile_devices(struct hostile *h)
{
	unsigned int i;

	if (h->kind->pci && h->kind->distrusted)
		hostile_plug_external(h);
	for (i = 0; i < NR_DEVICES; i++) {
		h->dev[i] = h->kind->pci ? hostile_function(h, i) : rviommu_sim_endpoint(h->sim, i);
		KUNIT_ASSERT_NOT_NULL(h->test, h->dev[i]);
		h->ep[i] = dev_iommu_priv_get(h->dev[i]);
		h->group[i] = rviommu_simtest_claim(h->test, h->dev[i]);
		h->domain[i] = rviommu_simtest_space(h->test, h->dev[i], IOVA, SIZE, &h->pages[i]);
	}
	h->iommu = h->ep[ROGUE]->iommu;
}

static void hostile_attach(struct hostile *h, unsigned int i, struct iommu_domain *domain)
{
	KUNIT_ASSERT_EQ(h->test, iommu_attach_group(domain, h->group[i]), 0);
	h->attached[i] = domain;
	/* As when another device comes that has its ID: it had ATS until now. */
	if (i == ROGUE && h->kind->distrusted && !h->kind->pci)
		rviommu_attach_without_ats(h->ep[i]);
	KUNIT_ASSERT_EQ(h->test, h->ep[i]->ats.on, i == VICTIM || !h->kind->distrusted);
}

static void hostile_detach(struct hostile *h, unsigned int i)
{
	if (h->attached[i])
		iommu_detach_group(h->attached[i], h->group[i]);
	h->attached[i] = NULL;
}

static void hostile_attach_pasid(struct hostile *h, unsigned int i, u32 pasid)
{
	KUNIT_ASSERT_EQ(h->test,
			iommu_attach_device_pasid(h->domain[i], h->dev[i], pasid, NULL), 0);
	h->pasid[i] = pasid;
}

static void hostile_detach_pasid(struct hostile *h, unsigned int i)
{
	if (h->pasid[i])
		iommu_detach_device_pasid(h->domain[i], h->dev[i], h->pasid[i]);
	h->pasid[i] = 0;
}

static void hostile_down(void *data)
{
	struct hostile *h = data;
	unsigned int i;

	h->iommu->bus->ops = h->bus;
	for (i = 0; i < NR_DEVICES; i++) {
		rviommu_sim_set_atc(h->dev[i], 0);
		hostile_detach_pasid(h, i);
		hostile_detach(h, i);
	}
}

static struct hostile *hostile_up(struct kunit *test, const struct hostile_kind *kind)
{
	struct hostile *h = kunit_kzalloc(test, sizeof(*h), GFP_KERNEL);
	struct rviommu_sim_config config;

	KUNIT_ASSERT_NOT_NULL(test, h);
	hostile_now = h;
	h->test = test;
	h->kind = kind;
	h->owner = current;
	rviommu_sim_config_init(&config);
	if (kind->pci)
		config.pci_functions = NR_DEVICES;
	else
		config.endpoints = NR_DEVICES;
	config.ats = true;
	config.pasid_bits = 8;
	h->sim = rviommu_simtest_create(test, "rviommu_kunit_hostile", &config);
	h->model = rviommu_sim_model(h->sim);
	hostile_devices(h);
	h->bus = h->iommu->bus->ops;
	h->iommu->bus->ops = &hostile_bus_ops;
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, hostile_down, h), 0);
	return h;
}

/* The victim writes, with a PASID or 0. */
static int victim_fill(struct hostile *h, u32 pasid, u64 seed)
{
	return rviommu_simtest_fill(h->dev[VICTIM], pasid, IOVA, SIZE, seed);
}

static void victim_expect_works(struct hostile *h, u32 pasid, u64 seed)
{
	KUNIT_EXPECT_EQ(h->test, victim_fill(h, pasid, seed), 0);
	KUNIT_EXPECT_TRUE(h->test, rviommu_simtest_holds(h->pages[VICTIM], SIZE, seed));
}

/* ----- What the one that lies sends ----- */

/* The bytes of an access that was let through */
static void rogue_touch(struct hostile *h, u64 spa, bool write)
{
	unsigned int i;

	for (i = 0; i < NR_DEVICES; i++) {
		u64 start = virt_to_phys(h->pages[i]);

		if (spa < start || spa - start >= SIZE)
			continue;
		if (write)
			WRITE_ONCE(*(u64 *)(h->pages[i] + (spa - start)), ~0ULL);
		break;
	}
	h->landed[i]++;
}

/* It does what it can with the answer. */
static struct rviommu_model_response rogue_send(struct hostile *h,
						const struct rviommu_model_request *req)
{
	struct rviommu_model_response rsp;
	unsigned long flags;

	/* A fence waits for it: see struct sim_access. */
	local_irq_save(flags);
	if (!rviommu_model_translate(h->model, req, &rsp)) {
		if (req->hold)
			rogue_touch(h, rsp.spa, req->write);
		/* What was written is visible before that fence completes. */
		smp_mb();
		rviommu_model_release(h->model, rsp.held);
	}
	local_irq_restore(flags);
	return rsp;
}

static struct rviommu_model_request rogue_request(struct hostile *h, u8 kind, int pasid, u64 iova,
						  bool write)
{
	return (struct rviommu_model_request){
		.kind = kind,
		.pv = pasid != NO_PASID,
		.process_id = pasid != NO_PASID ? pasid : 0,
		.write = write,
		.hold = kind != RVIOMMU_MODEL_ATS_REQUEST,
		.device_id = h->ep[ROGUE]->ids[0],
		.iova = iova,
		.length = 8,
	};
}

static void rogue_completes(struct hostile *h, unsigned int count)
{
	rviommu_model_inval_completion(h->model, h->ep[ROGUE]->ids[0], ALL_TAGS, count);
}

/* ----- Faults ----- */

static u64 hostile_faults(struct hostile *h, unsigned int i)
{
	rviommu_inq_service(&h->iommu->faultq);
	return atomic64_read(&h->ep[i]->faults);
}

static struct rviommu_fault hostile_last_fault(struct hostile *h)
{
	guard(spinlock)(&h->ep[ROGUE]->fault_lock);
	return h->ep[ROGUE]->last_fault;
}

/* The newest fault, which is of the one that lies, says so. */
static void hostile_expect_fault(struct hostile *h, u16 cause, u8 ttyp, int pasid, u64 iotval)
{
	struct rviommu_fault fault = hostile_last_fault(h);

	KUNIT_EXPECT_EQ(h->test, fault.did, h->ep[ROGUE]->ids[0]);
	KUNIT_EXPECT_EQ(h->test, fault.cause, cause);
	KUNIT_EXPECT_EQ(h->test, fault.ttyp, ttyp);
	KUNIT_EXPECT_EQ(h->test, fault.pv, pasid != NO_PASID);
	if (pasid != NO_PASID)
		KUNIT_EXPECT_EQ(h->test, fault.pid, pasid);
	KUNIT_EXPECT_EQ(h->test, fault.iotval, iotval);
}

static u8 hostile_ttyp(u8 kind, bool write)
{
	if (kind == RVIOMMU_MODEL_ATS_REQUEST)
		return TTYP_ATS;
	return (write ? TTYP_WRITE : TTYP_READ) +
	       (kind == RVIOMMU_MODEL_TRANSLATED ? TTYP_TRANSLATED : 0);
}

/* It is refused, reads and writes, and each time a record says who it was. */
static void rogue_refused(struct hostile *h, u8 kind, int pasid, u64 iova, u16 cause)
{
	unsigned int write;

	for (write = 0; write < 2; write++) {
		struct rviommu_model_request req = rogue_request(h, kind, pasid, iova, write);
		u64 faults = hostile_faults(h, ROGUE);
		u16 expected = cause == WRITE_PAGE_FAULT && !write ? cause - 2 : cause;

		KUNIT_EXPECT_EQ_MSG(h->test, rogue_send(h, &req).cause, expected,
				    "kind %u, PASID %d, %#llx", kind, pasid, iova);
		KUNIT_EXPECT_EQ(h->test, hostile_faults(h, ROGUE), faults + 1);
		hostile_expect_fault(h, expected, hostile_ttyp(kind, write), pasid, iova);
	}
}

/* At the end: nothing has happened to anybody else. */
static void hostile_expect_unharmed(struct hostile *h)
{
	const struct rviommu_cmdq *cmdq = &h->iommu->cmdq;
	unsigned int i;

	KUNIT_EXPECT_EQ(h->test, h->landed[VICTIM], 0);
	KUNIT_EXPECT_EQ(h->test, h->landed[NR_DEVICES], 0);
	KUNIT_EXPECT_EQ(h->test, hostile_faults(h, VICTIM), 0);
	KUNIT_EXPECT_FALSE(h->test, rviommu_is_dead(h->iommu));
	for (i = 0; i < NR_DEVICES; i++)
		KUNIT_EXPECT_FALSE(h->test, READ_ONCE(h->ep[i]->lost));
	KUNIT_EXPECT_EQ(h->test, atomic64_read(&cmdq->events[RVIOMMU_CMDQ_TIMEOUT]), 0);
	KUNIT_EXPECT_EQ(h->test, atomic64_read(&cmdq->events[RVIOMMU_CMDQ_RESTARTS]), 0);
}

/* ----- Completions ----- */

#define ROUNDS		4
/* Of each number of completions to come, so many in each round */
#define COMPLETIONS	3

/* The fence behind all that was queued */
static bool hostile_fence_done(struct hostile *h)
{
	const struct rviommu_cmdq *cmdq = &h->iommu->cmdq;

	return le32_to_cpu(READ_ONCE(*cmdq->done)) == READ_ONCE(cmdq->issued);
}

static void rogue_completes_all(struct hostile *h)
{
	unsigned int i, count;

	for (i = 0; i < COMPLETIONS; i++)
		for (count = 1; count <= 8; count++)
			rogue_completes(h, count);
}

/* The victim has been asked, and it is its turn. */
static void victim_is_asked(struct hostile *h)
{
	rogue_completes_all(h);
	h->early = hostile_fence_done(h);
	rviommu_model_inval_completion(h->model, h->ep[VICTIM]->ids[0], ALL_TAGS, 1);
	h->late = hostile_fence_done(h);
}

/* An unmap in @domain, which the victim has to answer: it waits for that, and for no other. */
static void hostile_unmap(struct hostile *h, struct iommu_domain *domain)
{
	struct kunit *test = h->test;

	h->early = false;
	h->late = false;
	h->on_wait = victim_is_asked;
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, IOVA, SIZE), SIZE);
	KUNIT_EXPECT_NULL_MSG(test, h->on_wait, "the unmap has not waited");
	h->on_wait = NULL;
	KUNIT_EXPECT_FALSE(test, h->early);
	KUNIT_EXPECT_TRUE(test, h->late);
}

static int hostile_map(struct hostile *h, struct iommu_domain *domain)
{
	return iommu_map(domain, IOVA, virt_to_phys(h->pages[VICTIM]), SIZE,
			 IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
}

/*
 * Nobody has asked for them, or somebody else was asked, with those tags. Of a device without ATS
 * each is refused, and a record says so; of one that has it, there is nothing to be said.
 */
static void hostile_completions(struct kunit *test)
{
	struct hostile *h = hostile_up(test, test->param_value);
	unsigned int i;
	u64 faults = 0;

	hostile_attach(h, ROGUE, h->domain[ROGUE]);
	hostile_attach(h, VICTIM, h->domain[VICTIM]);
	/* Answers come from the test, at a moment of its choice. */
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_atc(h->dev[VICTIM], RVIOMMU_SIM_ATC_LOST), 0);
	for (i = 0; i < ROUNDS; i++) {
		/* Those before the request count for nothing, either. */
		rogue_completes_all(h);
		victim_expect_works(h, 0, i);
		hostile_unmap(h, h->domain[VICTIM]);
		KUNIT_EXPECT_EQ(test, victim_fill(h, 0, i), -EFAULT);
		KUNIT_ASSERT_EQ(test, hostile_map(h, h->domain[VICTIM]), 0);
		faults += h->kind->distrusted ? 2 * 8 * COMPLETIONS : 0;
		KUNIT_EXPECT_EQ(test, hostile_faults(h, ROGUE), faults);
	}
	if (faults)
		hostile_expect_fault(h, DISALLOWED, TTYP_MESSAGE, NO_PASID, INVAL_COMPLETION);
	KUNIT_ASSERT_EQ(test, rviommu_sim_set_atc(h->dev[VICTIM], 0), 0);
	victim_expect_works(h, 0, i);
	hostile_expect_unharmed(h);
}

/* Both are asked, if it has ATS, and it answers for both. */
static void hostile_completes_for_both(struct kunit *test)
{
	struct hostile *h = hostile_up(test, test->param_value);
	unsigned int i;

	hostile_attach(h, ROGUE, h->domain[VICTIM]);
	hostile_attach(h, VICTIM, h->domain[VICTIM]);
	for (i = 0; i < NR_DEVICES; i++)
		KUNIT_ASSERT_EQ(test, rviommu_sim_set_atc(h->dev[i], RVIOMMU_SIM_ATC_LOST), 0);
	for (i = 0; i < ROUNDS; i++) {
		victim_expect_works(h, 0, i);
		hostile_unmap(h, h->domain[VICTIM]);
		KUNIT_EXPECT_EQ(test, victim_fill(h, 0, i), -EFAULT);
		KUNIT_ASSERT_EQ(test, hostile_map(h, h->domain[VICTIM]), 0);
	}
	for (i = 0; i < NR_DEVICES; i++)
		KUNIT_ASSERT_EQ(test, rviommu_sim_set_atc(h->dev[i], 0), 0);
	victim_expect_works(h, 0, ROUNDS);
	KUNIT_EXPECT_EQ(test, hostile_faults(h, ROGUE),
			h->kind->distrusted ? ROUNDS * 8 * COMPLETIONS : 0);
	hostile_expect_unharmed(h);
}

/* ----- Requests ----- */

/*
 * Requests that say that they are translated. Without EN_ATS none passes. With it nobody looks
 * where they lead to (so it is for devices that are trusted), but a PASID on them is refused, and
 * so is everything while the device is blocked.
 */
static void hostile_translated(struct kunit *test)
{
	struct hostile *h = hostile_up(test, test->param_value);
	u64 victims = virt_to_phys(h->pages[VICTIM]), offset;
	int pasid;

	hostile_attach(h, ROGUE, h->domain[ROGUE]);
	hostile_attach(h, VICTIM, h->domain[VICTIM]);
	victim_expect_works(h, 0, 1);
	for (offset = 0; offset < SIZE; offset += SZ_4K) {
		for (pasid = h->kind->distrusted ? NO_PASID : 0; pasid < 4; pasid++)
			rogue_refused(h, RVIOMMU_MODEL_TRANSLATED, pasid, victims + offset,
				      DISALLOWED);
		if (h->kind->distrusted)
			rogue_refused(h, RVIOMMU_MODEL_ATS_REQUEST, NO_PASID, IOVA + offset,
				      DISALLOWED);
	}
	hostile_detach(h, ROGUE);
	for (pasid = NO_PASID; pasid < 4; pasid++) {
		rogue_refused(h, RVIOMMU_MODEL_TRANSLATED, pasid, victims, DDT_ENTRY_NOT_VALID);
		rogue_refused(h, RVIOMMU_MODEL_ATS_REQUEST, pasid, IOVA, DDT_ENTRY_NOT_VALID);
		rogue_refused(h, RVIOMMU_MODEL_UNTRANSLATED, pasid, IOVA, DDT_ENTRY_NOT_VALID);
	}
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(h->pages[VICTIM], SIZE, 1));
	KUNIT_EXPECT_EQ(test, h->landed[ROGUE], 0);
	hostile_expect_unharmed(h);
}

/* With a PASID that has nothing attached, of its own */
static void rogue_has_no_pasids(struct hostile *h, u16 cause)
{
	static const int pasids[] = { 1, PASID_VICTIM, PASID_NOBODY, 255 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pasids); i++)
		rogue_refused(h, RVIOMMU_MODEL_UNTRANSLATED, pasids[i], IOVA, cause);
	/* More than there can be */
	rogue_refused(h, RVIOMMU_MODEL_UNTRANSLATED, 256, IOVA, DISALLOWED);
	rogue_refused(h, RVIOMMU_MODEL_UNTRANSLATED, BIT(20) - 1, IOVA, DISALLOWED);
}

/* PASIDs that are the other's, or nobody's */
static void hostile_pasids(struct kunit *test)
{
	struct hostile *h = hostile_up(test, test->param_value);
	struct rviommu_model_request req;

	hostile_attach(h, ROGUE, h->domain[ROGUE]);
	hostile_attach_pasid(h, VICTIM, PASID_VICTIM);
	KUNIT_ASSERT_EQ(test, iommu_map(h->domain[VICTIM], IOVA_OTHER,
					virt_to_phys(h->pages[VICTIM]), SIZE,
					IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
	victim_expect_works(h, PASID_VICTIM, 1);
	rogue_has_no_pasids(h, DISALLOWED);

	hostile_attach_pasid(h, ROGUE, PASID_ROGUE);
	rogue_has_no_pasids(h, PDT_ENTRY_NOT_VALID);
	/* Its own leads to what it has, and no further. */
	KUNIT_EXPECT_EQ(test, h->landed[ROGUE], 0);
	req = rogue_request(h, RVIOMMU_MODEL_UNTRANSLATED, PASID_ROGUE, IOVA, true);
	KUNIT_EXPECT_EQ(test, rogue_send(h, &req).cause, 0);
	KUNIT_EXPECT_EQ(test, h->landed[ROGUE], 1);
	rogue_refused(h, RVIOMMU_MODEL_UNTRANSLATED, PASID_ROGUE, IOVA_OTHER, WRITE_PAGE_FAULT);
	/* Nobody has supervisor privilege. */
	req.priv = true;
	KUNIT_EXPECT_EQ(test, rogue_send(h, &req).cause, DISALLOWED);
	if (!h->kind->distrusted) {
		u64 faults = hostile_faults(h, ROGUE);

		/* That it has no permission there is an answer, and no fault. */
		req = rogue_request(h, RVIOMMU_MODEL_ATS_REQUEST, PASID_VICTIM, IOVA, true);
		KUNIT_EXPECT_EQ(test, rogue_send(h, &req).perms, 0);
		KUNIT_EXPECT_EQ(test, hostile_faults(h, ROGUE), faults);
	}
	victim_expect_works(h, PASID_VICTIM, 2);

	hostile_detach_pasid(h, ROGUE);
	rogue_has_no_pasids(h, DISALLOWED);
	rogue_refused(h, RVIOMMU_MODEL_UNTRANSLATED, PASID_ROGUE, IOVA, DISALLOWED);
	KUNIT_EXPECT_EQ(test, h->landed[ROGUE], 1);
	KUNIT_EXPECT_TRUE(test, rviommu_simtest_holds(h->pages[VICTIM], SIZE, 2));
	victim_expect_works(h, PASID_VICTIM, 3);
	hostile_expect_unharmed(h);
}

/* ----- All of it, all the time ----- */

static void rogue_floods(struct hostile *h, unsigned long n)
{
	static const int pasids[] = { 0, PASID_VICTIM, PASID_NOBODY, 255, 256 };
	u64 victims = virt_to_phys(h->pages[VICTIM]) + (n & 3) * SZ_4K;
	struct rviommu_model_page_request pr = {
		.pv = n & 1, .process_id = n & 1 ? PASID_VICTIM : 0,
		.payload = IOVA | RVIOMMU_MODEL_PAGE_R | RVIOMMU_MODEL_PAGE_W |
			   RVIOMMU_MODEL_PAGE_L,
	};
	struct rviommu_model_request req;
	unsigned int i;

	for (i = 0; i < 8; i++)
		rogue_completes(h, 1 + i);
	for (i = 0; i < ARRAY_SIZE(pasids); i++) {
		req = rogue_request(h, RVIOMMU_MODEL_UNTRANSLATED, pasids[i], IOVA, n & 1);
		rogue_send(h, &req);
		req = rogue_request(h, RVIOMMU_MODEL_ATS_REQUEST, pasids[i], IOVA, n & 1);
		rogue_send(h, &req);
		req = rogue_request(h, RVIOMMU_MODEL_TRANSLATED, n & 2 ? pasids[i] : NO_PASID,
				    victims, n & 1);
		/* It is trusted with that, if it has ATS. */
		if (h->kind->distrusted)
			rogue_send(h, &req);
	}
	rviommu_sim_page_request(h->dev[ROGUE], &pr);
}

static void rogue_stop(void *task)
{
	kthread_stop(task);
}

static int rogue_thread(void *data)
{
	struct hostile *h = data;
	unsigned long n = 0;

	while (!kthread_should_stop()) {
		rogue_floods(h, n++);
		WRITE_ONCE(h->floods, n);
		cond_resched();
	}
	return 0;
}

static bool victim_owes(struct hostile *h)
{
	struct rviommu_sim_atc_stats stats = {};

	rviommu_sim_atc_stats(h->dev[VICTIM], &stats);
	return stats.answers < stats.invalidations;
}

/* In the moment that the victim has to answer, it is the other one that does. */
static void rogue_interferes(struct hostile *h)
{
	rogue_floods(h, 0);
	/* In this order: when it was complete, there was no answer yet. */
	if (hostile_fence_done(h) && victim_owes(h))
		h->early = true;
}

/* What is mapped for the victim it reaches, and what was unmapped it does not, nor remembers. */
static void victim_round(struct hostile *h, u32 pasid, unsigned int i)
{
	struct iommu_domain *domain = h->domain[VICTIM];
	struct kunit *test = h->test;

	rviommu_sim_set_atc(h->dev[VICTIM], i & 1 ? RVIOMMU_SIM_ATC_LATE : 0);
	victim_expect_works(h, pasid, i);
	h->on_wait = rogue_interferes;
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, IOVA, SIZE), SIZE);
	h->on_wait = NULL;
	KUNIT_EXPECT_EQ(test, rviommu_sim_list_atc(h->dev[VICTIM], NULL, NULL), 0);
	memset(h->pages[VICTIM], 0, SIZE);
	KUNIT_EXPECT_EQ(test, victim_fill(h, pasid, i), -EFAULT);
	KUNIT_EXPECT_NULL(test, memchr_inv(h->pages[VICTIM], 0, SIZE));
	KUNIT_ASSERT_EQ(test, hostile_map(h, domain), 0);
}

/* The victim goes on, however much is sent meanwhile: with its requester ID, then with a PASID. */
static void hostile_flood(struct kunit *test)
{
	struct hostile *h = hostile_up(test, test->param_value);
	unsigned int i, rounds = rviommu_simtest_rounds(200);
	struct task_struct *task;

	hostile_attach(h, ROGUE, h->domain[ROGUE]);
	hostile_attach_pasid(h, ROGUE, PASID_ROGUE);
	hostile_attach(h, VICTIM, h->domain[VICTIM]);
	hostile_attach_pasid(h, VICTIM, PASID_VICTIM);
	task = kthread_run(rogue_thread, h, "rviommu-rogue");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, rogue_stop, task), 0);
	for (i = 0; i < 2 * rounds; i++) {
		victim_round(h, i < rounds ? 0 : PASID_VICTIM, i);
		rviommu_simtest_wait(&h->floods, 1);
	}
	kunit_release_action(test, rogue_stop, task);
	KUNIT_EXPECT_FALSE(test, h->early);
	/* Its own requests with PASID 0 have led to what it has. */
	KUNIT_EXPECT_GT(test, h->landed[ROGUE], 0);
	KUNIT_EXPECT_GT(test, hostile_faults(h, ROGUE), 0);
	hostile_expect_unharmed(h);
	rviommu_sim_set_atc(h->dev[VICTIM], 0);
	victim_expect_works(h, 0, i);
}

static struct kunit_case hostile_cases[] = {
	KUNIT_CASE_PARAM(hostile_completions, hostile_kind_gen_params),
	KUNIT_CASE_PARAM(hostile_completes_for_both, hostile_kind_gen_params),
	KUNIT_CASE_PARAM(hostile_translated, hostile_kind_gen_params),
	KUNIT_CASE_PARAM(hostile_pasids, hostile_kind_gen_params),
	KUNIT_CASE_PARAM(hostile_flood, hostile_kind_gen_params),
	{}
};

static struct kunit_suite hostile_suite = {
	.name = "rviommu_sim_hostile",
	.test_cases = hostile_cases,
};

kunit_test_suite(hostile_suite);
