// SPDX-License-Identifier: GPL-2.0-only
/*
 * Would anybody notice? Each step by which the driver keeps the hardware from
 * using what is gone is left out in turn (mutate.h), on the simulated IOMMU,
 * and at least one of the scenarios below has to notice. With nothing left out
 * none of them may.
 *
 * Nothing here depends on luck. The hardware caches all it may; where an order of
 * steps is in question, the scenario acts in the middle of the driver's operation:
 * after a store to the directory, while it waits for a fence, between two words
 * that the hardware reads, between two commands that it executes. So every
 * scenario does the same in each run.
 *
 * A scenario looks where a write of the device would go, and lets it not go there:
 * what a broken driver leaves behind may lead anywhere.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/completion.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/pci_regs.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <rviommu/bus.h>
#include <rviommu/page_request.h>
#include <rviommu/regs.h>
#include <rviommu/sim.h>

#include "../src/driver/attach.h"
#include "../src/driver/attachment.h"
#include "../src/driver/cmdq.h"
#include "../src/driver/command.h"
#include "../src/driver/compat.h"
#include "../src/driver/context.h"
#include "../src/driver/debugfs.h"
#include "../src/driver/device.h"
#include "../src/driver/directory.h"
#include "../src/driver/domain.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/inq.h"
#include "../src/driver/iopf.h"
#include "../src/driver/mem.h"
#include "../src/driver/mutate.h"
#include "../src/driver/prg.h"
#include "../src/driver/pri.h"
#include "../src/driver/queue.h"
#include "../src/driver/rviommu.h"
#include "../src/driver/space.h"
#include "../src/driver/static.h"
#include "hw.h"

#define IOVA			0x1000000000ULL
#define NOWHERE			(~0ULL)
#define DDT_ENTRY_NOT_VALID	258
#define RW			(IOMMU_READ | IOMMU_WRITE)
#define CAP_FIRST	(RVIOMMU_CAP_SV32 | RVIOMMU_CAP_SV39 | RVIOMMU_CAP_SV48 | RVIOMMU_CAP_SV57)
#define CAP_EXTENDED	(RVIOMMU_CAP_MSI_FLAT | RVIOMMU_CAP_MSI_MRIF | RVIOMMU_CAP_AMO_MRIF)

/* Where no machine has memory: scenarios ask where DMA leads, and no byte may go there. */
#define PA(n)			(BIT_ULL(55) + (n) * SZ_4M)

struct scene;

/**
 * struct scenario - something that a driver must get right
 * @name: for the table
 * @run: does it; what went wrong, or NULL
 * @clear: capabilities that the hardware lacks
 * @levels: depth of its directory, 0: any
 * @switches: worst cases of the hardware
 * @unowned: the device stays with its default domain
 * @ats: the device has ATS; there is a second one then
 * @tracks: it is about dirty tracking, which a kernel without iommufd has not
 * @pasid: what domains are attached to, 0: the requester ID
 */
struct scenario {
	const char *name;
	const char *(*run)(struct scene *s);
	u64 clear;
	unsigned int levels;
	u32 switches;
	bool unowned;
	bool ats;
	bool tracks;
	u32 pasid;
};

/**
 * struct scene - an IOMMU, a device, two domains, and what is in the driver's way
 * @owner: the thread that runs the scenario: hooks are for it alone
 * @sim: the instance
 * @model: its hardware
 * @iommu: the driver's side
 * @dev: endpoint 0
 * @ep: what the driver knows of it
 * @other: endpoint 1, where devices have ATS
 * @id: its device_id
 * @pasid: of its DMA, 0: none
 * @group: its group, of which we have DMA ownership
 * @handles: the core wants a new one with each replacement
 * @attaches: counts replacements, to take turns with @handles
 * @attached: domain in force, or NULL
 * @domain: two paging domains
 * @grave: pages that the driver retired; they are kept until the hardware is gone
 * @retired: how many
 * @bus: the true register access
 * @ddt: the true access to the directory
 * @on_store: called after a store to the directory, in the middle of an attach
 * @stores: stores so far
 * @on_wait: called once, when the driver has been waiting for a fence for a while
 * @on_doorbell: called before the command queue's tail moves
 * @on_go_on: called once, when the IOMMU may store page requests again
 * @on_work: called in the middle of what the hardware does, by any thread
 * @held: cookie of a DMA that is under way
 * @waited: @on_wait was called
 * @count: for scenarios
 * @released: a handler goes on
 * @kept: what one keeps
 * @at: for scenarios: when to act
 * @wrong: the first thing that a hook saw go wrong
 */
struct scene {
	struct task_struct *owner;
	struct rviommu_sim *sim;
	struct rviommu_model *model;
	struct rviommu *iommu;
	struct device *dev;
	struct rviommu_endpoint *ep;
	struct rviommu_endpoint *other;
	u32 id;
	u32 pasid;
	struct iommu_group *group;
	struct iommu_attach_handle handles[2];
	unsigned int attaches;
	struct iommu_domain *attached;
	struct iommu_domain *domain[2];
	struct list_head grave;
	unsigned int retired;
	const struct rviommu_bus_ops *bus;
	const struct rviommu_ddt_ops *ddt;
	void (*on_store)(struct scene *s);
	unsigned int stores;
	void (*on_wait)(struct scene *s);
	void (*on_doorbell)(struct scene *s, u32 tail);
	void (*on_go_on)(struct scene *s);
	void (*on_work)(struct scene *s);
	u8 held;
	bool waited;
	unsigned int count;
	struct completion released;
	struct iopf_group *kept;
	unsigned int at;
	const char *wrong;
};

/* The one at work: what hooks the driver has no argument for. */
static struct scene *scene;

/* ----- In the driver's way ----- */

static u32 scene_read32(struct rviommu_bus *bus, unsigned int offset)
{
	struct scene *s = scene;
	void (*hook)(struct scene *s) = s->on_wait;

	if (current == s->owner && hook && offset == RVIOMMU_REG_CQCSR) {
		s->on_wait = NULL;
		s->waited = true;
		hook(s);
	}
	return s->bus->read32(bus, offset);
}

static void scene_write32(struct rviommu_bus *bus, unsigned int offset, u32 value)
{
	struct scene *s = scene;
	void (*hook)(struct scene *s) = s->on_go_on;

	if (current == s->owner && s->on_doorbell && offset == RVIOMMU_REG_CQT)
		s->on_doorbell(s, value);
	s->bus->write32(bus, offset, value);
	if (current == s->owner && hook && offset == RVIOMMU_REG_PQCSR) {
		s->on_go_on = NULL;
		hook(s);
	}
}

static const struct rviommu_bus_ops scene_bus_ops = {
	.read32 = scene_read32,
	.write32 = scene_write32,
};

static void scene_store(struct rviommu_ddt *ddt, u64 *where, u64 value)
{
	struct scene *s = scene;

	s->ddt->store(ddt, where, value);
	s->stores++;
	if (s->on_store)
		s->on_store(s);
}

static int scene_sync(struct rviommu_ddt *ddt, u32 did, bool all)
{
	return scene->ddt->sync(ddt, did, all);
}

static const struct rviommu_ddt_ops scene_ddt_ops = {
	.store = scene_store,
	.sync = scene_sync,
};

static void scene_work(void *arg)
{
	struct scene *s = arg;
	void (*hook)(struct scene *s) = READ_ONCE(s->on_work);

	if (hook)
		hook(s);
}

/* Nothing is freed that hardware may lead to: it would read what is not there. */
static void scene_retire(struct list_head *pages)
{
	struct list_head *p;

	list_for_each(p, pages)
		scene->retired++;
	list_splice_tail_init(pages, &scene->grave);
}

/* ----- Words of scenarios ----- */

/* Where a write of device @id to @iova goes, if anywhere. Sleeps as little as hooks may. */
static u64 goes(struct scene *s, u32 id, u32 pasid, u64 iova, u16 *cause)
{
	struct rviommu_model_request req = {
		.kind = RVIOMMU_MODEL_UNTRANSLATED,
		.pv = pasid,
		.process_id = pasid,
		.write = true,
		.device_id = id,
		.iova = iova,
		.length = 8,
	};
	struct rviommu_model_response rsp;

	if (rviommu_model_translate(s->model, &req, &rsp)) {
		*cause = rsp.cause;
		return NOWHERE;
	}
	return rsp.spa;
}

static u64 reaches_why(struct scene *s, u64 iova, u16 *cause)
{
	return goes(s, s->id, s->pasid, iova, cause);
}

static u64 reaches(struct scene *s, u64 iova)
{
	u16 cause;

	return reaches_why(s, iova, &cause);
}

/* A DMA that was translated and is not over until let_go(). */
static bool hold(struct scene *s, u64 iova)
{
	struct rviommu_model_request req = {
		.kind = RVIOMMU_MODEL_UNTRANSLATED,
		.pv = s->pasid,
		.process_id = s->pasid,
		.write = true,
		.hold = true,
		.device_id = s->id,
		.iova = iova,
		.length = 8,
	};
	struct rviommu_model_response rsp;

	if (rviommu_model_translate(s->model, &req, &rsp))
		return false;
	s->held = rsp.held;
	s->waited = false;
	return true;
}

static void let_go(struct scene *s)
{
	u8 held = s->held;

	s->held = 0;
	if (held)
		rviommu_model_release(s->model, held);
}

static int attach(struct scene *s, unsigned int which)
{
	struct iommu_domain *domain = s->domain[which];
	int ret;

	if (s->pasid)
		ret = rviommu_attach_pasid(s->ep, s->pasid, domain, NULL);
	else
		ret = iommu_replace_group_handle(s->group, domain,
						 &s->handles[s->attaches++ %
							     ARRAY_SIZE(s->handles)]);
	if (!ret)
		s->attached = domain;
	return ret;
}

/* Block the device. */
static void detach(struct scene *s)
{
	if (s->attached && s->pasid)
		rviommu_detach_pasid(s->ep, s->pasid);
	else if (s->attached)
		iommu_detach_group_handle(s->attached, s->group);
	s->attached = NULL;
}

static int map(struct scene *s, unsigned int which, u64 iova, u64 pa, size_t size)
{
	return iommu_map(s->domain[which], iova, pa, size, RW, GFP_KERNEL);
}

static bool unmap(struct scene *s, unsigned int which, u64 iova, size_t size)
{
	return iommu_unmap(s->domain[which], iova, size) == size;
}

/* Without invalidation: that comes with the next flush. */
static bool unmap_deferred(struct scene *s, unsigned int which, u64 iova, size_t size)
{
	struct iommu_iotlb_gather gather;

	iommu_iotlb_gather_init(&gather);
	gather.queued = true;
	return iommu_unmap_fast(s->domain[which], iova, size, &gather) == size;
}

/* Both domains map IOVA, to pages of their own. */
static bool map_both(struct scene *s)
{
	return !map(s, 0, IOVA, PA(0), SZ_4K) && !map(s, 1, IOVA, PA(1), SZ_4K);
}

#define CANNOT	"it could not be set up"

/* ----- Unmap ----- */

static const char *unmap_page(struct scene *s)
{
	if (attach(s, 0) || map(s, 0, IOVA, PA(0), SZ_4K) || reaches(s, IOVA) != PA(0))
		return CANNOT;
	if (!unmap(s, 0, IOVA, SZ_4K))
		return CANNOT;
	if (reaches(s, IOVA) != NOWHERE)
		return "an unmapped page is reached";
	if (map(s, 0, IOVA, PA(1), SZ_4K))
		return CANNOT;
	return reaches(s, IOVA) == PA(1) ? NULL : "a new page is not reached";
}

/* One leaf is sixteen entries, each of which may be cached. */
static const char *unmap_napot(struct scene *s)
{
	u64 i;

	if (attach(s, 0) || map(s, 0, IOVA, PA(0), SZ_64K))
		return CANNOT;
	for (i = 0; i < SZ_64K; i += SZ_4K)
		if (reaches(s, IOVA + i) != PA(0) + i)
			return CANNOT;
	if (!unmap(s, 0, IOVA, SZ_64K))
		return CANNOT;
	for (i = 0; i < SZ_64K; i += SZ_4K)
		if (reaches(s, IOVA + i) != NOWHERE)
			return "a part of an unmapped leaf is reached";
	return NULL;
}

/* 2 MiB in leaves of 4 KiB: not aligned to anything more. */
static int map_table(struct scene *s, u64 iova, u64 pa)
{
	return map(s, 0, iova, pa + SZ_4K, SZ_2M);
}

/* With a whole table its link goes, too. */
static const char *unmap_table(struct scene *s)
{
	if (attach(s, 0) || map_table(s, IOVA, PA(0)) || reaches(s, IOVA) != PA(0) + SZ_4K)
		return CANNOT;
	if (!unmap(s, 0, IOVA, SZ_2M))
		return CANNOT;
	if (reaches(s, IOVA) != NOWHERE)
		return "an unmapped page is reached";
	if (map_table(s, IOVA, PA(2)))
		return CANNOT;
	return reaches(s, IOVA) == PA(2) + SZ_4K ? NULL : "a new table is not reached";
}

/* A leaf takes the place of an empty table. */
static const char *leaf_for_table(struct scene *s)
{
	if (attach(s, 0) || map(s, 0, IOVA, PA(0), SZ_4K) || reaches(s, IOVA) != PA(0))
		return CANNOT;
	if (!unmap(s, 0, IOVA, SZ_4K) || map(s, 0, IOVA, PA(1), SZ_2M))
		return CANNOT;
	if (reaches(s, IOVA + SZ_1M) != PA(1) + SZ_1M || reaches(s, IOVA) != PA(1))
		return "a leaf is not reached";
	return NULL;
}

static const char *deferred_unmap(struct scene *s)
{
	if (attach(s, 0) || map_table(s, IOVA, PA(0)) || reaches(s, IOVA) != PA(0) + SZ_4K)
		return CANNOT;
	if (!unmap_deferred(s, 0, IOVA, SZ_2M))
		return CANNOT;
	iommu_flush_iotlb_all(s->domain[0]);
	if (reaches(s, IOVA) != NOWHERE)
		return "a page is reached after the flush";
	if (map_table(s, IOVA, PA(2)))
		return CANNOT;
	return reaches(s, IOVA) == PA(2) + SZ_4K ? NULL : "a new table is not reached";
}

/* ----- Waiting, and what has to wait ----- */

/* The driver waits for a DMA that is under way: then nothing may be retired yet. */
static void end_of_dma(struct scene *s)
{
	if (s->retired)
		s->wrong = "a table is retired while DMA is under way";
	let_go(s);
}

static const char *waited(struct scene *s)
{
	s->on_wait = NULL;
	let_go(s);
	if (s->wrong)
		return s->wrong;
	return s->waited ? NULL : "it does not wait for DMA that is under way";
}

static const char *unmap_under_dma(struct scene *s)
{
	if (attach(s, 0) || map_table(s, IOVA, PA(0)) || !hold(s, IOVA))
		return CANNOT;
	s->on_wait = end_of_dma;
	if (!unmap(s, 0, IOVA, SZ_2M))
		return CANNOT;
	return waited(s);
}

static const char *flush_under_dma(struct scene *s)
{
	if (attach(s, 0) || map_table(s, IOVA, PA(0)) || !hold(s, IOVA))
		return CANNOT;
	if (!unmap_deferred(s, 0, IOVA, SZ_2M) || s->retired)
		return CANNOT;
	s->on_wait = end_of_dma;
	iommu_flush_iotlb_all(s->domain[0]);
	return waited(s);
}

/* Somebody else unmaps while the flush waits: too late to be covered by it. */
static void unmap_meanwhile(struct scene *s)
{
	if (!unmap_deferred(s, 0, IOVA + SZ_2M, SZ_2M))
		s->wrong = CANNOT;
	let_go(s);
}

static const char *unmap_under_flush(struct scene *s)
{
	if (attach(s, 0) || map_table(s, IOVA, PA(0)) || map_table(s, IOVA + SZ_2M, PA(2)) ||
	    reaches(s, IOVA + SZ_2M) == NOWHERE || !hold(s, IOVA) ||
	    !unmap_deferred(s, 0, IOVA, SZ_2M))
		return CANNOT;
	s->on_wait = unmap_meanwhile;
	iommu_flush_iotlb_all(s->domain[0]);
	/* Without waiting nothing happens meanwhile: not what this one is about. */
	s->on_wait = NULL;
	let_go(s);
	if (s->waited && s->retired > 1)
		return "a table is retired that the flush did not cover";
	return s->wrong;
}

static const char *attach_under_dma(struct scene *s)
{
	if (!map_both(s) || attach(s, 0) || !hold(s, IOVA))
		return CANNOT;
	s->on_wait = end_of_dma;
	if (attach(s, 1))
		return CANNOT;
	return waited(s);
}

/* ----- Attach and replace ----- */

static const char *replace(struct scene *s)
{
	if (!map_both(s) || attach(s, 0) || reaches(s, IOVA) != PA(0) || attach(s, 1))
		return CANNOT;
	if (reaches(s, IOVA) != PA(1))
		return "the old domain is in force after a replacement";
	/* Nobody needs to hear of this. */
	if (!unmap(s, 0, IOVA, SZ_4K) || map(s, 0, IOVA, PA(2), SZ_4K) || attach(s, 0))
		return CANNOT;
	if (reaches(s, IOVA) != PA(2))
		return "what a domain had cached has outlived its detachment";
	detach(s);
	return reaches(s, IOVA) == NOWHERE ? NULL : "a blocked device reaches memory";
}

/* Commands that "Changing device directory table entry" wants */
static void note_commands(struct scene *s, u32 tail)
{
	const struct rviommu_domain *dom = to_rviommu_domain(s->domain[0]);
	struct rviommu_cmdq *cq = &s->iommu->cmdq;
	const struct rviommu_command want[] = {
		rviommu_cmd_iotinval_vma_gscid(dom->space.gscid),
		rviommu_cmd_iotinval_gvma(dom->space.gscid),
	};
	u32 i, k;

	for (i = s->at; i != tail; i = (i + 1) & rviommu_queue_mask(&cq->q))
		for (k = 0; k < ARRAY_SIZE(want); k++)
			if (!memcmp((struct rviommu_command *)cq->q.base + i, &want[k],
				    sizeof(want[k])))
				s->count |= BIT(k);
	s->at = tail;
}

/*
 * A first stage of a guest is nothing that this driver sets up, so no wrong byte
 * can come of its cached entries; they have to go nevertheless.
 */
static const char *replace_owes(struct scene *s)
{
	if (!map_both(s) || attach(s, 0) || !to_rviommu_domain(s->domain[0])->space.gscid)
		return CANNOT;
	s->at = s->iommu->cmdq.tail;
	s->on_doorbell = note_commands;
	if (attach(s, 1))
		return CANNOT;
	s->on_doorbell = NULL;
	return s->count == 3 ? NULL : "the guest's entries are not all invalidated";
}

/* Commands are executed in any order, and the device goes on in between. */
static void access_between(struct scene *s)
{
	u64 where;

	if (current != s->owner)
		return;
	s->count++;
	where = reaches(s, IOVA);
	if (where != PA(0) && where != PA(1) && where != PA(2) && where != PA(3))
		s->wrong = "DMA faults between two commands of a replacement";
}

static const char *replace_out_of_order(struct scene *s)
{
	unsigned int i;

	if (!map_both(s))
		return CANNOT;
	for (i = 0; i < 16 && !s->wrong; i++) {
		u64 other = PA(i & 1 ? 0 : 2);

		if (attach(s, 0) || reaches(s, IOVA) == NOWHERE)
			return CANNOT;
		WRITE_ONCE(s->on_work, access_between);
		if (attach(s, 1))
			return CANNOT;
		WRITE_ONCE(s->on_work, NULL);
		if (reaches(s, IOVA) != PA(1))
			return "the old domain is in force after a replacement";
		if (!unmap(s, 0, IOVA, SZ_4K) || map(s, 0, IOVA, other, SZ_4K) || attach(s, 0))
			return CANNOT;
		if (reaches(s, IOVA) != other)
			return "what a domain had cached has outlived its detachment";
	}
	return s->wrong;
}

/* From the first moment on the new domain's unmaps have to reach this IOMMU. */
static void unmap_of_new(struct scene *s)
{
	if (s->count || reaches(s, IOVA) != PA(1))
		return;
	s->count++;
	if (!unmap(s, 1, IOVA, SZ_4K))
		s->wrong = CANNOT;
	if (reaches(s, IOVA) != NOWHERE)
		s->wrong = "an unmapped page is reached while its domain is being attached";
}

static const char *unmap_under_attach(struct scene *s)
{
	if (!map_both(s) || attach(s, 0))
		return CANNOT;
	s->on_store = unmap_of_new;
	if (attach(s, 1))
		return CANNOT;
	s->on_store = NULL;
	if (s->wrong)
		return s->wrong;
	if (!s->count)
		return CANNOT;
	return reaches(s, IOVA) == NOWHERE ? NULL : "an unmapped page is reached";
}

/*
 * To the last moment the old domain's unmaps have to reach it: the new context is
 * published, but the hardware uses the old one, as it may.
 */
static void unmap_of_old(struct scene *s)
{
	if (s->count++)
		return;
	if (reaches(s, IOVA) != PA(0))
		s->wrong = CANNOT;
	if (!unmap(s, 0, IOVA, SZ_4K))
		s->wrong = CANNOT;
	if (reaches(s, IOVA) != NOWHERE)
		s->wrong = "an unmapped page is reached while its domain is being replaced";
}

static const char *unmap_under_replace(struct scene *s)
{
	if (!map_both(s) || attach(s, 0) || reaches(s, IOVA) != PA(0))
		return CANNOT;
	s->on_store = unmap_of_old;
	if (attach(s, 1))
		return CANNOT;
	s->on_store = NULL;
	if (s->wrong)
		return s->wrong;
	return s->count ? NULL : CANNOT;
}

/* One access after the @at-th store, with nothing cached before it. */
static void access_after_store(struct scene *s)
{
	u64 where;

	if (s->stores != s->at)
		return;
	where = reaches(s, IOVA);
	if (where == NOWHERE && s->iommu->ddt.dir.levels > 1)
		s->wrong = "DMA faults in the middle of a replacement";
	if (where != NOWHERE && where != PA(0) && where != PA(1))
		s->wrong = "DMA goes astray in the middle of a replacement";
}

static const char *replace_step_by_step(struct scene *s)
{
	if (!map_both(s))
		return CANNOT;
	for (s->at = 1; s->at <= 5 && !s->wrong; s->at++) {
		/* Nothing of its context is cached then. */
		if (attach(s, 0))
			return CANNOT;
		s->stores = 0;
		s->on_store = access_after_store;
		if (attach(s, 1))
			return CANNOT;
		s->on_store = NULL;
		if (!s->wrong && reaches(s, IOVA) != PA(1))
			s->wrong = "the new domain is not in force after a replacement";
	}
	return s->wrong;
}

/* ----- A walk that crosses a change ----- */

/**
 * struct walk - one DMA that stops in the middle of reading contexts
 * @s: the scene
 * @task: whose it is
 * @pause: which word it stops before, from 1
 * @words: words so far
 * @paused: it has stopped, or is over
 * @go: it may go on
 * @over: it is over
 * @went: it was told to go on
 * @where: where it went
 */
struct walk {
	struct scene *s;
	struct task_struct *task;
	unsigned int pause;
	unsigned int words;
	struct completion paused;
	struct completion go;
	struct completion over;
	bool went;
	u64 where;
};

static struct walk *walk;

static void walk_word(struct scene *s)
{
	if (current != walk->task || ++walk->words != walk->pause)
		return;
	complete(&walk->paused);
	wait_for_completion(&walk->go);
}

static int walk_thread(void *data)
{
	struct walk *w = data;

	w->task = current;
	w->where = reaches(w->s, IOVA);
	complete(&w->paused);
	complete(&w->over);
	return 0;
}

static void walk_on(struct walk *w)
{
	if (w->went)
		return;
	w->went = true;
	complete(&w->go);
	wait_for_completion(&w->over);
}

static void walk_on_at_store(struct scene *s)
{
	if (s->stores == s->at)
		walk_on(walk);
}

/* Attach a domain while a walk stands still; it goes on after the @at-th store. */
static const char *walk_across(struct scene *s, unsigned int pause, unsigned int at,
			       unsigned int new, u64 *where)
{
	struct walk w = { .s = s, .pause = pause };
	struct task_struct *task;
	int ret;

	init_completion(&w.paused);
	init_completion(&w.go);
	init_completion(&w.over);
	walk = &w;
	task = kthread_create(walk_thread, &w, "sim_walk");
	if (IS_ERR(task))
		return CANNOT;
	get_task_struct(task);
	WRITE_ONCE(s->on_work, walk_word);
	wake_up_process(task);
	wait_for_completion(&w.paused);

	s->at = at;
	s->stores = 0;
	s->on_store = walk_on_at_store;
	ret = attach(s, new);
	s->on_store = NULL;
	walk_on(&w);
	WRITE_ONCE(s->on_work, NULL);
	kthread_stop(task);
	put_task_struct(task);
	*where = w.where;
	return ret ? CANNOT : NULL;
}

/* Enough for every word of base contexts and their links, and every store of a change */
#define WALK_WORDS	5
#define WALK_STORES	4
#define WALK_ROUNDS	(2 * WALK_WORDS * WALK_STORES)

static const char *replace_across_walk(struct scene *s)
{
	const char *wrong = NULL;
	unsigned int i;
	u64 where;

	if (!map_both(s))
		return CANNOT;
	for (i = 0; i < WALK_ROUNDS && !wrong; i++) {
		/* Nothing of its context is cached then. */
		if (attach(s, 0))
			return CANNOT;
		wrong = walk_across(s, 1 + i % WALK_WORDS, 1 + i / WALK_WORDS % WALK_STORES,
				    1, &where);
		if (wrong)
			break;
		if (where == NOWHERE && s->iommu->ddt.dir.levels > 1)
			return "DMA faults while its context is replaced";
		if (where != NOWHERE && where != PA(0) && where != PA(1))
			return "DMA goes astray while its context is replaced";
		if (reaches(s, IOVA) != PA(1))
			return "the new domain is not in force after a replacement";
	}
	return wrong;
}

static const char *attach_across_walk(struct scene *s)
{
	const char *wrong = NULL;
	unsigned int i, new;
	u64 where;

	if (!map_both(s) || attach(s, 0))
		return CANNOT;
	for (i = 0; i < WALK_ROUNDS && !wrong; i++) {
		/* An invalid context with the old domain's words in it */
		detach(s);
		new = !(i & 1);
		wrong = walk_across(s, 1 + i % WALK_WORDS, 1 + i / WALK_WORDS % WALK_STORES,
				    new, &where);
		if (wrong)
			break;
		if (where != NOWHERE && where != PA(new))
			return "DMA reaches a domain that is not attached any more";
		if (reaches(s, IOVA) != PA(new))
			return "the new domain is not in force after an attach";
	}
	return wrong;
}

/* ----- Coming and going ----- */

static const char *removal(struct scene *s)
{
	u16 cause = 0;

	reaches(s, IOVA);
	rviommu_sim_remove_endpoint(s->sim, 0);
	if (reaches_why(s, IOVA, &cause) != NOWHERE)
		return "a device that is gone reaches memory";
	return cause == DDT_ENTRY_NOT_VALID ? NULL : "the context of a gone device is valid";
}

static const char *unmap_in_suspend(struct scene *s)
{
	const char *wrong = NULL;

	if (attach(s, 0) || map(s, 0, IOVA, PA(0), SZ_4K) || reaches(s, IOVA) != PA(0))
		return CANNOT;
	rviommu_suspend(s->iommu);
	if (!unmap(s, 0, IOVA, SZ_4K))
		wrong = CANNOT;
	if (rviommu_resume(s->iommu))
		return CANNOT;
	if (!wrong && reaches(s, IOVA) != NOWHERE)
		wrong = "what was unmapped in suspend is reached after it";
	return wrong;
}

/* ----- The device's own cache ----- */

/* A write of the device: it asks for a translation, and remembers it. */
static void touch(struct scene *s)
{
	struct rviommu_sim_dma dma = {
		.op = RVIOMMU_SIM_FILL, .pv = s->pasid, .pasid = s->pasid, .iova = IOVA,
		.length = 8,
	};

	rviommu_sim_dma(s->dev, &dma);
}

static bool remembers(struct scene *s)
{
	return rviommu_sim_count_atc(s->dev, s->pasid, s->pasid);
}

static const char *unmap_ats(struct scene *s)
{
	if (attach(s, 0) || map(s, 0, IOVA, PA(0), SZ_4K))
		return CANNOT;
	touch(s);
	if (!remembers(s) || !unmap(s, 0, IOVA, SZ_4K))
		return CANNOT;
	return remembers(s) ? "the device remembers an unmapped page" : NULL;
}

static const char *replace_ats(struct scene *s)
{
	if (!map_both(s) || attach(s, 0))
		return CANNOT;
	touch(s);
	if (!remembers(s) || attach(s, 1))
		return CANNOT;
	if (remembers(s))
		return "the device remembers the old domain after a replacement";
	touch(s);
	if (!remembers(s))
		return CANNOT;
	detach(s);
	return remembers(s) ? "a blocked device remembers a page" : NULL;
}

/* The device keeps its power, and with it its cache. */
static const char *ats_in_suspend(struct scene *s)
{
	const char *wrong = NULL;

	if (attach(s, 0) || map(s, 0, IOVA, PA(0), SZ_4K))
		return CANNOT;
	touch(s);
	rviommu_suspend(s->iommu);
	if (!remembers(s) || !unmap(s, 0, IOVA, SZ_4K))
		wrong = CANNOT;
	if (rviommu_resume(s->iommu))
		return CANNOT;
	if (!wrong && remembers(s))
		wrong = "the device remembers what was unmapped in suspend";
	return wrong;
}

/* The commands that were queued: is one for the device's cache right behind a fence? */
static void note_ats(struct scene *s, u32 tail)
{
	const struct rviommu_command *ring = s->iommu->cmdq.q.base;
	u32 mask = rviommu_queue_mask(&s->iommu->cmdq.q), i;

	for (i = s->at; i != tail; i = (i + 1) & mask) {
		u64 cmd = le64_to_cpu(ring[i].dword[0]);
		u64 before = le64_to_cpu(ring[(i - 1) & mask].dword[0]);

		if (FIELD_GET(RVIOMMU_CMD_OPCODE, cmd) != RVIOMMU_CMD_OPCODE_ATS)
			continue;
		s->count++;
		if (FIELD_GET(RVIOMMU_CMD_OPCODE, before) != RVIOMMU_CMD_OPCODE_IOFENCE)
			s->wrong = "the device may ask for what the IOMMU has not forgotten yet";
	}
	s->at = tail;
}

/* Commands are executed in any order: only a fence keeps these apart. */
static const char *ats_behind_fence(struct scene *s)
{
	if (!map_both(s) || attach(s, 0))
		return CANNOT;
	s->at = s->iommu->cmdq.tail;
	s->on_doorbell = note_ats;
	if (attach(s, 1))
		return CANNOT;
	if (!unmap(s, 1, IOVA, SZ_4K))
		return CANNOT;
	s->on_doorbell = NULL;
	return s->count < 2 ? "the device is not told" : s->wrong;
}

/* The other device's requester ID is attached to a domain, too; a page of it is in the IOTLB. */
static bool warmed_by_other(struct scene *s, unsigned int which)
{
	u16 cause;

	return !map(s, which, IOVA, PA(0), SZ_4K) &&
	       !rviommu_attach(s->other, s->domain[which]) &&
	       goes(s, s->other->ids[0], 0, IOVA, &cause) == PA(0);
}

/*
 * An unmap in its middle: the entry is clear, and it has read where to invalidate. Now the
 * device is attached; then the unmap goes on, and tells nobody but the IOMMU.
 */
static const char *unmapped_around_attach(struct scene *s, unsigned int which)
{
	struct rviommu_command cmd = rviommu_space_command(to_rviommu_space(s->domain[which]));

	if (!unmap_deferred(s, which, IOVA, SZ_4K) || attach(s, which))
		return CANNOT;
	touch(s);
	if (rviommu_cmdq_sync(&s->iommu->cmdq, &cmd, 1))
		return CANNOT;
	return remembers(s) ? "the device remembers what was unmapped while it was attached" : NULL;
}

static const char *ats_refill(struct scene *s)
{
	const char *wrong = CANNOT;

	/* Its ATS goes on with the domain; or with a PASID it is on. */
	detach(s);
	if (warmed_by_other(s, 0))
		wrong = unmapped_around_attach(s, 0);
	rviommu_attach(s->other, &rviommu_blocking_domain);
	return wrong;
}

static const char *ats_refill_replace(struct scene *s)
{
	const char *wrong = CANNOT;

	if (!attach(s, 1) && warmed_by_other(s, 0))
		wrong = unmapped_around_attach(s, 0);
	rviommu_attach(s->other, &rviommu_blocking_domain);
	return wrong;
}

/*
 * A neighbour's context has moved to a copy of the page that both lie in, and the IOMMU still
 * has the link to the old one when the device does not answer.
 */
static const char *lost_beside_copy(struct scene *s)
{
	struct rviommu_ddt *ddt = &s->iommu->ddt;
	const struct rviommu_attachment its = {
		.domain = s->domain[1], .space = to_rviommu_space(s->domain[1]),
	};
	struct rviommu_dir_update update = {
		.id = s->other->ids[0], .lost = &s->other->lost,
		.new.dc = rviommu_make_dc(s->other, &its, 0),
	};
	const char *wrong = CANNOT;
	struct rviommu_command cmd;

	update.new.word[RVIOMMU_DC_TC] |= RVIOMMU_DC_TC_EN_ATS;
	if (!map_both(s) || attach(s, 0) || rviommu_attach(s->other, s->domain[0]))
		return CANNOT;
	touch(s);
	if (reaches(s, IOVA) != PA(0) || !remembers(s))
		return CANNOT;
	rviommu_sim_set_atc(s->dev, RVIOMMU_SIM_ATC_LOST);
	s->iommu->cmdq.timeout_us = 1000;
	mutex_lock(&ddt->lock);
	if (!rviommu_dir_prepare(&ddt->dir, &update, 1)) {
		rviommu_dir_publish(&ddt->dir, &update, 1);
		/* Where it is not asked, or its context changed in place, nothing can be seen. */
		if (unmap(s, 0, IOVA, SZ_4K) && !map(s, 0, IOVA, PA(2), SZ_4K))
			wrong = READ_ONCE(s->ep->lost) && reaches(s, IOVA) != NOWHERE ?
				"a device in quarantine reaches memory" : NULL;
		cmd = rviommu_cmd_inval_ddt_all();
		rviommu_cmdq_sync(&s->iommu->cmdq, &cmd, 1);
		rviommu_dir_retire(&ddt->dir, &update, 1);
	}
	mutex_unlock(&ddt->lock);
	rviommu_sim_set_atc(s->dev, 0);
	s->iommu->cmdq.timeout_us = RVIOMMU_FENCE_TIMEOUT_US;
	rviommu_attach(s->other, &rviommu_blocking_domain);
	return wrong;
}

/* ----- Dirty tracking ----- */

/* Domain 0 becomes one that can be tracked, with a page, and is attached. */
static bool trackable(struct scene *s)
{
	struct iommu_domain *domain = rviommu_alloc_paging(s->dev, IOMMU_HWPT_ALLOC_DIRTY_TRACKING);

	if (IS_ERR(domain))
		return false;
	iommu_domain_free(s->domain[0]);
	/* Its tables are of no interest. */
	s->retired = 0;
	s->domain[0] = domain;
	return !attach(s, 0) && !map(s, 0, IOVA, PA(0), SZ_4K);
}

static bool track(struct scene *s)
{
	return !s->domain[0]->dirty_ops->set_dirty_tracking(s->domain[0], true);
}

/* Was the page written to? As iommufd asks; without a bitmap, the gather tells. */
static bool was_written(struct scene *s, unsigned long flags)
{
	struct iommu_domain *domain = s->domain[0];
	struct iommu_iotlb_gather gather;
	struct iommu_dirty_bitmap dirty;
	bool written;

	iommu_dirty_bitmap_init(&dirty, NULL, &gather);
	if (domain->dirty_ops->read_and_clear_dirty(domain, IOVA, SZ_4K, flags, &dirty))
		return false;
	written = gather.end;
	if (!(flags & IOMMU_DIRTY_NO_CLEAR))
		iommu_iotlb_sync(domain, &gather);
	return written;
}

static const char *dirty_again(struct scene *s)
{
	if (!trackable(s) || !track(s) || reaches(s, IOVA) != PA(0) || !was_written(s, 0))
		return CANNOT;
	if (reaches(s, IOVA) != PA(0))
		return CANNOT;
	return was_written(s, IOMMU_DIRTY_NO_CLEAR) ? NULL : "a write after the clear is lost";
}

static const char *dirty_from_now_on(struct scene *s)
{
	if (!trackable(s) || reaches(s, IOVA) != PA(0) || !track(s) || reaches(s, IOVA) != PA(0))
		return CANNOT;
	return was_written(s, IOMMU_DIRTY_NO_CLEAR) ? NULL : "the first write is lost";
}

/* A write while the driver waits: after the clear it sets D again, before it there is a cache. */
static void write_meanwhile(struct scene *s)
{
	if (reaches(s, IOVA) != PA(0))
		s->wrong = CANNOT;
	let_go(s);
}

static const char *dirty_meanwhile(struct scene *s)
{
	if (!trackable(s) || !track(s) || !hold(s, IOVA))
		return CANNOT;
	s->on_wait = write_meanwhile;
	if (!was_written(s, 0))
		return CANNOT;
	s->on_wait = NULL;
	let_go(s);
	if (s->wrong || reaches(s, IOVA) != PA(0))
		return CANNOT;
	return was_written(s, IOMMU_DIRTY_NO_CLEAR) ? NULL : "a write meanwhile is lost";
}

/* What is under way, and was translated before, has to have landed when the bitmap is used. */
static const char *dirty_under_dma(struct scene *s)
{
	if (!trackable(s) || !track(s) || !hold(s, IOVA))
		return CANNOT;
	s->on_wait = end_of_dma;
	if (!was_written(s, 0))
		return CANNOT;
	return waited(s);
}

static const char *dirty_ats(struct scene *s)
{
	if (!trackable(s) || !track(s))
		return CANNOT;
	touch(s);
	if (!remembers(s) || !was_written(s, 0))
		return CANNOT;
	return remembers(s) ? "the device may write to a clean page" : NULL;
}

#if IS_ENABLED(CONFIG_IOMMU_IOPF)
/* ----- Page requests ----- */

static int pri_takes_none(struct iopf_group *group)
{
	return -EBUSY;
}

/*
 * Domain 0 handles page requests, and is attached; the queue is read only when it has to be. No
 * fault of another scenario makes somebody look at interfaces later.
 */
static bool pri_begin(struct scene *s)
{
	rviommu_inq_service(&s->iommu->faultq);
	flush_delayed_work(&s->iommu->revive);
	s->domain[0]->iopf_handler = pri_takes_none;
	if (attach(s, 0) || !s->ep->pri.enabled)
		return false;
	rviommu_write32(s->iommu, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN);
	return true;
}

/* The driver has nothing left out from here on, and nothing is left in it. */
static const char *pri_end(struct scene *s, const char *wrong)
{
	WRITE_ONCE(s->iommu->mutate, RVIOMMU_MUTATE_NOTHING);
	rviommu_inq_service(&s->iommu->pageq);
	rviommu_prgs_discard(&s->ep->pri.prgs, RVIOMMU_PRG_ALL);
	rviommu_pri_refuse(s->ep, RVIOMMU_PRG_ALL);
	rviommu_write32(s->iommu, RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	return wrong;
}

static unsigned int pri_ask_for(struct scene *s, u32 pasid, u64 what)
{
	const struct rviommu_model_page_request pr = {
		.device_id = s->id, .process_id = pasid, .pv = pasid, .payload = IOVA | what,
	};
	struct rviommu_model_ats_msg msg;

	return rviommu_model_page_request(s->model, &pr, &msg);
}

/* The device asks for a page; it goes on asking, unless it was the @last of a group. */
static unsigned int pri_ask(struct scene *s, u64 last)
{
	return pri_ask_for(s, s->pasid, RVIOMMU_MODEL_PAGE_R | last);
}

static const char *pri_in_queue(struct scene *s)
{
	const char *wrong = NULL;

	if (!pri_begin(s) || pri_ask(s, RVIOMMU_MODEL_PAGE_L) != RVIOMMU_MODEL_PR_QUEUED)
		return pri_end(s, CANNOT);
	detach(s);
	if (rviommu_read32(s->iommu, RVIOMMU_REG_PQH) != rviommu_read32(s->iommu, RVIOMMU_REG_PQT))
		wrong = "a request is left in the queue for the next user";
	return pri_end(s, wrong);
}

/* A request as the driver has read it */
static struct rviommu_page_message pri_read(struct scene *s, bool last)
{
	return (struct rviommu_page_message) {
		.did = s->id, .pid = s->pasid, .pv = s->pasid, .read = true, .last = last,
	};
}

/* A group of which the last request has not come */
static bool pri_begin_partial(struct scene *s)
{
	const struct rviommu_page_message message = pri_read(s, false);
	struct rviommu_prg *group;

	return pri_begin(s) &&
	       rviommu_prgs_add(&s->ep->pri.prgs, &message, &group) == RVIOMMU_PRG_KEPT;
}

/* One that somebody handles, and has not responded to */
static bool pri_begin_outstanding(struct scene *s)
{
	const struct rviommu_page_message message = pri_read(s, true);
	struct rviommu_prgs *prgs = &s->ep->pri.prgs;
	struct rviommu_prg *group;

	if (!pri_begin(s) || rviommu_prgs_add(prgs, &message, &group) != RVIOMMU_PRG_COMPLETE)
		return false;
	rviommu_prgs_hand_on(prgs, group);
	return true;
}

static const char *pri_partial(struct scene *s)
{
	if (!pri_begin_partial(s))
		return pri_end(s, CANNOT);
	detach(s);
	return pri_end(s, list_empty(&s->ep->pri.prgs.partial) ? NULL :
			  "half a group is left for the next user");
}

/* The same, as long as nobody has read it */
static const char *pri_partial_in_queue(struct scene *s)
{
	if (!pri_begin(s) || pri_ask(s, 0) != RVIOMMU_MODEL_PR_QUEUED ||
	    rviommu_iopf_cancel(s->dev, s->pasid))
		return pri_end(s, CANNOT);
	return pri_end(s, list_empty(&s->ep->pri.prgs.partial) ? NULL :
			  "half a group comes out of the queue for the next user");
}

static const char *pri_outstanding(struct scene *s)
{
	if (!pri_begin_outstanding(s))
		return pri_end(s, CANNOT);
	detach(s);
	return pri_end(s, list_empty(&s->ep->pri.prgs.outstanding) ? NULL :
			  "the device has no response");
}

static int pri_counts(struct iopf_group *group)
{
	scene->count = list_count_nodes(&group->faults);
	return -EBUSY;
}

/* Who handles a group gets all of it, and may respond at once. */
static const char *pri_group(struct scene *s)
{
	const char *wrong = NULL;

	if (!pri_begin(s) || pri_ask(s, 0) != RVIOMMU_MODEL_PR_QUEUED ||
	    pri_ask(s, RVIOMMU_MODEL_PAGE_L) != RVIOMMU_MODEL_PR_QUEUED)
		return pri_end(s, CANNOT);
	s->domain[0]->iopf_handler = pri_counts;
	s->count = 0;
	rviommu_inq_service(&s->iommu->pageq);
	if (!s->count)
		wrong = CANNOT;
	else if (s->count != 2)
		wrong = "half a group is handled";
	else if (!list_empty(&s->ep->pri.prgs.outstanding))
		wrong = "the response of a handler that was quick is lost";
	return pri_end(s, wrong);
}

/* Nothing is on its way to the device any more when its driver is told that a PASID is quiet. */
static const char *pri_cancel(struct scene *s)
{
	if (!pri_begin(s) || map(s, 0, IOVA, PA(0), SZ_4K) || !hold(s, IOVA))
		return pri_end(s, CANNOT);
	s->on_wait = end_of_dma;
	if (rviommu_iopf_cancel(s->dev, s->pasid))
		return pri_end(s, CANNOT);
	return pri_end(s, waited(s));
}

static void end_of_dma_answered(struct scene *s)
{
	if (!list_empty(&s->ep->pri.prgs.outstanding))
		s->wrong = "it waits before the last response was given";
	let_go(s);
}

/* The response that is given there is one of those that have to be there. */
static const char *pri_cancel_outstanding(struct scene *s)
{
	if (!pri_begin_outstanding(s) || map(s, 0, IOVA, PA(0), SZ_4K) || !hold(s, IOVA))
		return pri_end(s, CANNOT);
	s->on_wait = end_of_dma_answered;
	if (rviommu_iopf_cancel(s->dev, s->pasid))
		return pri_end(s, CANNOT);
	return pri_end(s, waited(s));
}

/**
 * struct pri_answer - a response that somebody has decided on
 * @prgs: of the device
 * @answer: the response
 */
struct pri_answer {
	struct rviommu_prgs *prgs;
	struct rviommu_prg_answer answer;
};

/* He queues it when somebody waits for that, or nobody will any more. */
static int pri_answers(void *data)
{
	struct pri_answer *a = data;

	while (!wq_has_sleeper(&a->prgs->answered) && !kthread_should_stop())
		schedule_timeout_uninterruptible(1);
	rviommu_prgs_answered(a->prgs, &a->answer);
	return 0;
}

/* He has decided on one to the group that is outstanding; or NULL. */
static struct task_struct *pri_begin_answer(struct scene *s, struct pri_answer *a)
{
	struct task_struct *task;

	a->prgs = &s->ep->pri.prgs;
	if (!rviommu_prgs_take(a->prgs, s->pasid, U64_MAX, &a->answer))
		return NULL;
	task = kthread_run(pri_answers, a, "rviommu_answer");
	if (!IS_ERR(task))
		return get_task_struct(task);
	rviommu_prgs_answered(a->prgs, &a->answer);
	return NULL;
}

/* One that was stopped before it ran has done nothing. */
static void pri_end_answer(struct task_struct *task, struct pri_answer *a)
{
	if (kthread_stop_put(task))
		rviommu_prgs_answered(a->prgs, &a->answer);
}

/* A response of somebody else is one of those, too, before it is queued. */
static const char *pri_cancel_answered(struct scene *s)
{
	struct task_struct *task = NULL;
	const char *wrong = NULL;
	struct pri_answer a;

	if (pri_begin_outstanding(s))
		task = pri_begin_answer(s, &a);
	if (!task)
		return pri_end(s, CANNOT);
	if (rviommu_iopf_cancel(s->dev, s->pasid))
		wrong = CANNOT;
	else if (!list_empty(&a.prgs->answers))
		wrong = "it fences before a response is queued";
	pri_end_answer(task, &a);
	return pri_end(s, wrong);
}

/* An index is asked for again while its group has no response: there can be only one. */
static const char *pri_index_twice(struct scene *s)
{
	const struct rviommu_page_message message = pri_read(s, true);
	struct rviommu_prgs *prgs = &s->ep->pri.prgs;
	struct rviommu_prg *group;

	if (!pri_begin_outstanding(s))
		return pri_end(s, CANNOT);
	if (rviommu_prgs_add(prgs, &message, &group) == RVIOMMU_PRG_DROPPED)
		return pri_end(s, NULL);
	rviommu_prgs_refuse(prgs, group);
	return pri_end(s, "two groups are outstanding that no response can be told from");
}

/* A group that is not complete, and one of another PASID, with the same index, that is */
static const char *pri_two_pasids(struct scene *s)
{
	struct rviommu_page_message message = pri_read(s, true);
	struct rviommu_prgs *prgs = &s->ep->pri.prgs;
	const char *wrong = NULL;
	struct rviommu_prg *group;

	if (!pri_begin_partial(s))
		return pri_end(s, CANNOT);
	message.pid++;
	if (rviommu_prgs_add(prgs, &message, &group) != RVIOMMU_PRG_COMPLETE)
		return pri_end(s, CANNOT);
	if (!list_is_singular(&group->requests))
		wrong = "a request of one PASID is in the group of another";
	rviommu_prgs_refuse(prgs, group);
	return pri_end(s, wrong);
}

static const char *pri_overflow(struct scene *s)
{
	const char *wrong = NULL;

	/* One request of it was read, one is in the queue, and one is lost. */
	if (!pri_begin_partial(s) || pri_ask(s, 0) != RVIOMMU_MODEL_PR_QUEUED)
		return pri_end(s, CANNOT);
	rviommu_model_inject(s->model, RVIOMMU_MODEL_INJECT_PQ_OF, 1);
	if (pri_ask(s, 0) == RVIOMMU_MODEL_PR_QUEUED)
		return pri_end(s, CANNOT);
	rviommu_inq_service(&s->iommu->pageq);
	if (!list_empty(&s->ep->pri.prgs.partial))
		wrong = "a group is kept of which a request was lost";
	return pri_end(s, wrong);
}

static void pri_asks_half(struct scene *s)
{
	if (pri_ask(s, 0) != RVIOMMU_MODEL_PR_QUEUED)
		s->wrong = CANNOT;
}

/* What comes as soon as there is room again was not lost, nor what it belongs to. */
static const char *pri_overflow_is_over(struct scene *s)
{
	if (!pri_begin(s))
		return pri_end(s, CANNOT);
	rviommu_model_inject(s->model, RVIOMMU_MODEL_INJECT_PQ_OF, 1);
	if (pri_ask(s, 0) == RVIOMMU_MODEL_PR_QUEUED)
		return pri_end(s, CANNOT);
	s->on_go_on = pri_asks_half;
	rviommu_inq_service(&s->iommu->pageq);
	if (s->wrong)
		return pri_end(s, s->wrong);
	if (s->on_go_on)
		return pri_end(s, "requests are lost for ever");
	return pri_end(s, list_empty(&s->ep->pri.prgs.partial) ?
			  "a request is forgotten that came after the loss" : NULL);
}

/* The device has asked for more than it may: for what, nobody knows. */
static const char *pri_too_many(struct scene *s)
{
	struct rviommu_page_message message = pri_read(s, false);
	struct rviommu_prgs *prgs = &s->ep->pri.prgs;
	struct rviommu_prg *group;
	unsigned int i;

	if (!pri_begin(s))
		return pri_end(s, CANNOT);
	for (i = 0; i < s->ep->pri.requests; i++)
		if (rviommu_prgs_add(prgs, &message, &group) != RVIOMMU_PRG_KEPT)
			return pri_end(s, CANNOT);
	if (rviommu_prgs_add(prgs, &message, &group) != RVIOMMU_PRG_DROPPED)
		return pri_end(s, CANNOT);
	message.last = true;
	if (rviommu_prgs_add(prgs, &message, &group) == RVIOMMU_PRG_REFUSED)
		return pri_end(s, NULL);
	rviommu_prgs_refuse(prgs, group);
	return pri_end(s, "a group is handled of which a request is missing");
}

static const char *pri_is_not_kept(struct scene *s, u32 pasid, u64 what, const char *wrong)
{
	if (!pri_begin(s) || pri_ask_for(s, pasid, what) != RVIOMMU_MODEL_PR_QUEUED)
		return pri_end(s, CANNOT);
	rviommu_inq_service(&s->iommu->pageq);
	return pri_end(s, list_empty(&s->ep->pri.prgs.partial) ? NULL : wrong);
}

static const char *pri_for_nothing(struct scene *s)
{
	return pri_is_not_kept(s, s->pasid, 0, "a request for nothing takes room");
}

/* That of a PASID of which nobody handles any, and which somebody may have later */
static const char *pri_of_nobody(struct scene *s)
{
	return pri_is_not_kept(s, s->pasid + 1, RVIOMMU_MODEL_PAGE_R,
			       "half a group is kept that nobody handles");
}

static void pri_work(struct work_struct *work)
{
	struct iopf_group *group = container_of(work, struct iopf_group, work);

	wait_for_completion(&scene->released);
	WRITE_ONCE(scene->count, 1);
	iopf_group_response(group, IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(group);
}

static int pri_works(struct iopf_group *group)
{
	INIT_WORK(&group->work, pri_work);
	queue_work(group->fault_param->queue->wq, &group->work);
	return 0;
}

/* Whoever waits for a handler lets it go on. */
static unsigned long pri_patience(void)
{
	complete(&scene->released);
	return MAX_JIFFY_OFFSET;
}

/* What handles a group uses the domain: it is over before that may go, and what it says counts. */
static const char *pri_handler_runs(struct scene *s)
{
	const s64 refused = atomic64_read(&s->ep->pri.refused);
	struct kunit *test = kunit_get_current_test();
	const char *wrong = NULL;

	if (!pri_begin(s) || pri_ask(s, RVIOMMU_MODEL_PAGE_L) != RVIOMMU_MODEL_PR_QUEUED)
		return pri_end(s, CANNOT);
	s->domain[0]->iopf_handler = pri_works;
	s->count = 0;
	init_completion(&s->released);
	rviommu_inq_service(&s->iommu->pageq);
	kunit_activate_static_stub(test, rviommu_iopf_patience, pri_patience);
	detach(s);
	kunit_deactivate_static_stub(test, rviommu_iopf_patience);
	if (!READ_ONCE(s->count))
		wrong = "a handler runs, and its domain may be gone";
	else if (atomic64_read(&s->ep->pri.refused) != refused)
		wrong = "the response of a handler that was waited for is another one";
	complete_all(&s->released);
	iopf_queue_flush_dev(s->dev);
	return pri_end(s, READ_ONCE(s->count) ? wrong : CANNOT);
}

/* Who drains waits for who handles a group, as long as he said: he learns that it was too long. */
static const char *pri_drain(struct scene *s)
{
	if (!pri_begin_outstanding(s))
		return pri_end(s, CANNOT);
	return pri_end(s, rviommu_iopf_drain(s->dev, s->pasid, 1) == -ETIMEDOUT ? NULL :
			  "nobody waits for who handles a group");
}

static bool pri_is_off(struct scene *s)
{
	return rviommu_sim_pri_status(s->dev) & PCI_PRI_STATUS_STOPPED;
}

/* Replaced by a domain that handles none: nobody is there whom the device could ask. */
static const char *pri_nobody_handles(struct scene *s)
{
	const char *wrong = NULL;

	if (!pri_begin(s) || pri_is_off(s) || attach(s, 1))
		return pri_end(s, CANNOT);
	if (!pri_is_off(s)) {
		wrong = "the device may ask, and nobody handles it";
		rviommu_sim_disable_pri(s->dev);
	}
	return pri_end(s, wrong);
}

/* The next one who handles them is asked again. */
static const char *pri_next_handler(struct scene *s)
{
	if (!pri_begin(s))
		return pri_end(s, CANNOT);
	detach(s);
	if (!pri_is_off(s) || attach(s, 0))
		return pri_end(s, CANNOT);
	return pri_end(s, pri_is_off(s) ? "nobody asks who handles requests next" : NULL);
}

/* A request is read, and refused: another one is there before the next look at the tail. */
static void pri_asks_more(struct rviommu *iommu)
{
	if (scene->count++ < 2)
		pri_ask(scene, RVIOMMU_MODEL_PAGE_L);
}

/*
 * Each time that the queue is read until nobody handles requests any more something comes that
 * is behind the tail that was read.
 */
static const char *pri_read_meanwhile(struct scene *s)
{
	struct kunit *test = kunit_get_current_test();
	const char *wrong = NULL;

	if (!pri_begin(s) || pri_ask(s, RVIOMMU_MODEL_PAGE_L) != RVIOMMU_MODEL_PR_QUEUED)
		return pri_end(s, CANNOT);
	s->count = 0;
	kunit_activate_static_stub(test, rviommu_pri_seam, pri_asks_more);
	detach(s);
	kunit_deactivate_static_stub(test, rviommu_pri_seam);
	if (rviommu_read32(s->iommu, RVIOMMU_REG_PQH) != rviommu_read32(s->iommu, RVIOMMU_REG_PQT))
		wrong = "a request that came meanwhile is left in the queue";
	return pri_end(s, wrong || s->count ? wrong : CANNOT);
}

/* Whoever replaces him lets him go on, by waiting; or by being done. */
static int pri_lingers(struct iopf_group *group)
{
	WRITE_ONCE(scene->count, 1);
	while (!wq_has_sleeper(&scene->iommu->asked) && !kthread_should_stop())
		schedule_timeout_uninterruptible(1);
	WRITE_ONCE(scene->count, 2);
	return -EBUSY;
}

static int pri_reads(void *data)
{
	struct scene *s = data;

	rviommu_inq_service(&s->iommu->pageq);
	return 0;
}

static bool pri_await_lingering(struct scene *s)
{
	const unsigned long end = jiffies + 60 * HZ;

	while (!READ_ONCE(s->count) && time_before(jiffies, end))
		schedule_timeout_uninterruptible(1);
	return READ_ONCE(s->count);
}

/* Who handles requests is asked while he is replaced: he is not, as soon as that is done. */
static const char *pri_replaced(struct scene *s)
{
	struct task_struct *task;
	const char *wrong = NULL;

	if (!pri_begin(s) || pri_ask(s, RVIOMMU_MODEL_PAGE_L) != RVIOMMU_MODEL_PR_QUEUED)
		return pri_end(s, CANNOT);
	s->domain[0]->iopf_handler = pri_lingers;
	s->domain[1]->iopf_handler = pri_takes_none;
	s->count = 0;
	task = kthread_run(pri_reads, s, "rviommu_reads");
	if (IS_ERR(task))
		return pri_end(s, CANNOT);
	get_task_struct(task);
	if (!pri_await_lingering(s) || attach(s, 1))
		wrong = CANNOT;
	else if (READ_ONCE(s->count) != 2)
		wrong = "who was replaced is asked, and may be gone";
	kthread_stop_put(task);
	return pri_end(s, wrong);
}

/* The device is told that its interface has failed. */
static bool pri_fails(struct scene *s)
{
	struct rviommu_command cmd = rviommu_cmd_ats_prgr(s->ep->ats.rid, s->ep->ats.seg, 0,
							  RVIOMMU_MODEL_PRGR_FAILURE);

	return !rviommu_cmdq_sync(&s->iommu->cmdq, &cmd, 1) &&
	       rviommu_sim_pri_status(s->dev) & PCI_PRI_STATUS_RF;
}

/* The IOMMU had no memory for a request, has said that this is a failure, and has memory again. */
static const char *pri_memory_is_back(struct scene *s)
{
	if (!pri_begin(s))
		return pri_end(s, CANNOT);
	rviommu_model_inject(s->model, RVIOMMU_MODEL_INJECT_PQ_MF, 1);
	if (pri_ask(s, RVIOMMU_MODEL_PAGE_L) == RVIOMMU_MODEL_PR_QUEUED || !pri_fails(s))
		return pri_end(s, CANNOT);
	rviommu_inq_service(&s->iommu->pageq);
	flush_delayed_work(&s->iommu->revive);
	return pri_end(s, rviommu_sim_pri_status(s->dev) & PCI_PRI_STATUS_RF || pri_is_off(s) ?
			  "the device may not ask again" : NULL);
}

static int pri_keeps(struct iopf_group *group)
{
	scene->kept = group;
	return 0;
}

static void pri_keeps_no_more(struct scene *s)
{
	if (!s->kept)
		return;
	iopf_group_response(s->kept, IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(s->kept);
	s->kept = NULL;
}

/* What may still come to the device after the fence it would take for something else. */
static void pri_fence_of_revival(struct scene *s)
{
	const struct rviommu_prgs *prgs = &s->ep->pri.prgs;

	if (!list_empty(&prgs->outstanding))
		s->wrong = "a response to what was asked before may come after the fence";
	else if (!list_empty(&prgs->answers))
		s->wrong = "it fences before a response is queued";
	else if (!pri_is_off(s))
		s->wrong = "the device asks again before responses have reached it";
	let_go(s);
}

static const char *pri_revive(struct scene *s)
{
	const char *wrong;

	if (map(s, 0, IOVA, PA(0), SZ_4K) || !hold(s, IOVA))
		return CANNOT;
	s->on_wait = pri_fence_of_revival;
	rviommu_pri_revive(&s->iommu->revive.work);
	wrong = waited(s);
	if (!wrong && pri_is_off(s))
		wrong = "the device may not ask again";
	return wrong;
}

/* What was asked before the interface failed, and nobody has read */
static const char *pri_revive_unread(struct scene *s)
{
	const char *wrong;

	if (!pri_begin(s) || pri_ask(s, RVIOMMU_MODEL_PAGE_L) != RVIOMMU_MODEL_PR_QUEUED ||
	    !pri_fails(s))
		return pri_end(s, CANNOT);
	s->domain[0]->iopf_handler = pri_keeps;
	wrong = pri_revive(s);
	pri_keeps_no_more(s);
	if (!wrong && rviommu_read32(s->iommu, RVIOMMU_REG_PQH) !=
		      rviommu_read32(s->iommu, RVIOMMU_REG_PQT))
		wrong = "what was asked before is handed on afterwards";
	return pri_end(s, wrong);
}

/* A response that somebody had decided on before */
static const char *pri_revive_answered(struct scene *s)
{
	struct task_struct *task = NULL;
	struct pri_answer a;
	const char *wrong;

	if (pri_begin_outstanding(s) && pri_fails(s))
		task = pri_begin_answer(s, &a);
	if (!task)
		return pri_end(s, CANNOT);
	wrong = pri_revive(s);
	pri_end_answer(task, &a);
	return pri_end(s, wrong);
}

static void pri_disable(struct device *dev)
{
	/* It is told more than once. */
	if (scene->at == ~0U)
		scene->at = scene->stores;
	rviommu_sim_disable_pri(dev);
}

/* The device's interface is off before the first store to the directory. */
static const char *pri_off_first(struct scene *s)
{
	struct rviommu_bus *bus = s->iommu->bus;
	const struct rviommu_pri_ops *real = bus->pri;
	struct rviommu_pri_ops ops = *real;
	unsigned int before;

	if (!pri_begin(s))
		return pri_end(s, CANNOT);
	ops.disable = pri_disable;
	bus->pri = &ops;
	before = s->stores;
	s->at = ~0U;
	detach(s);
	bus->pri = real;
	if (s->at == ~0U || s->stores == before)
		return pri_end(s, CANNOT);
	return pri_end(s, s->at == before ? NULL : "the device may ask, and has no context");
}
#endif

/* ----- The table ----- */

#define NO_RANGE	(RVIOMMU_CAP_S | RVIOMMU_CAP_NL)

/* In this order: each change of the hardware costs an instance. */
static const struct scenario scenarios[] = {
	{ "unmap_page", unmap_page },
	{ "unmap_napot", unmap_napot },
	{ "unmap_table", unmap_table },
	{ "leaf_for_table", leaf_for_table },
	{ "deferred_unmap", deferred_unmap },
	{ "unmap_under_dma", unmap_under_dma },
	{ "flush_under_dma", flush_under_dma },
	{ "unmap_under_flush", unmap_under_flush },
	{ "attach_under_dma", attach_under_dma },
	{ "replace", replace },
	{ "replace_out_of_order", replace_out_of_order,
	  .switches = RVIOMMU_MODEL_DELAY_COMMANDS },
	{ "unmap_under_attach", unmap_under_attach },
	{ "unmap_under_replace", unmap_under_replace },
	{ "replace_step_by_step", replace_step_by_step },
	{ "unmap_in_suspend", unmap_in_suspend },
	{ "dirty_again", dirty_again, .tracks = true },
	{ "dirty_from_now_on", dirty_from_now_on, .tracks = true },
	{ "dirty_meanwhile", dirty_meanwhile, .tracks = true },
	{ "dirty_under_dma", dirty_under_dma, .tracks = true },
	{ "unmap_page_guest", unmap_page, .clear = CAP_FIRST },
	{ "unmap_table_guest", unmap_table, .clear = CAP_FIRST },
	{ "replace_guest", replace, .clear = CAP_FIRST },
	{ "replace_owes", replace_owes, .clear = CAP_FIRST },
	{ "dirty_again_guest", dirty_again, .tracks = true, .clear = CAP_FIRST },
	{ "unmap_page_no_range", unmap_page, .clear = NO_RANGE },
	{ "dirty_again_no_range", dirty_again, .tracks = true, .clear = NO_RANGE },
	{ "unmap_napot_no_range", unmap_napot, .clear = NO_RANGE },
	{ "unmap_table_no_range", unmap_table, .clear = NO_RANGE },
	{ "leaf_for_table_no_range", leaf_for_table, .clear = NO_RANGE },
	{ "replace_across_walk", replace_across_walk, .levels = 2, .clear = CAP_EXTENDED,
	  .switches = RVIOMMU_MODEL_WORD_BY_WORD },
	{ "attach_across_walk", attach_across_walk, .levels = 2, .clear = CAP_EXTENDED,
	  .switches = RVIOMMU_MODEL_WORD_BY_WORD },
	{ "replace_one_level", replace, .levels = 1, .clear = CAP_EXTENDED },
	{ "step_by_step_one_level", replace_step_by_step, .levels = 1, .clear = CAP_EXTENDED },
	{ "across_walk_one_level", replace_across_walk, .levels = 1, .clear = CAP_EXTENDED,
	  .switches = RVIOMMU_MODEL_WORD_BY_WORD },
	{ "replace_pasid", replace, .pasid = 5 },
	{ "unmap_page_pasid", unmap_page, .pasid = 5 },
	{ "dirty_again_pasid", dirty_again, .tracks = true, .pasid = 5 },
	{ "replace_pasid_out_of_order", replace_out_of_order,
	  .switches = RVIOMMU_MODEL_DELAY_COMMANDS, .pasid = 5 },
	{ "unmap_under_replace_pasid", unmap_under_replace, .pasid = 5 },
	{ "replace_pasid_step_by_step", replace_step_by_step, .pasid = 5 },
	{ "replace_pasid_across_walk", replace_across_walk,
	  .switches = RVIOMMU_MODEL_WORD_BY_WORD, .pasid = 5 },
	{ "attach_pasid_across_walk", attach_across_walk,
	  .switches = RVIOMMU_MODEL_WORD_BY_WORD, .pasid = 5 },
	{ "unmap_ats", unmap_ats, .ats = true },
	{ "dirty_ats", dirty_ats, .tracks = true, .ats = true },
	{ "dirty_pasid_ats", dirty_ats, .tracks = true, .ats = true, .pasid = 5 },
	{ "replace_ats", replace_ats, .ats = true },
	{ "replace_pasid_ats", replace_ats, .ats = true, .pasid = 5 },
	{ "ats_behind_fence", ats_behind_fence, .ats = true },
	{ "ats_in_suspend", ats_in_suspend, .ats = true },
	{ "ats_in_suspend_pasid", ats_in_suspend, .ats = true, .pasid = 5 },
#if IS_ENABLED(CONFIG_IOMMU_IOPF)
	{ "pri_in_queue", pri_in_queue, .ats = true },
	{ "pri_in_queue_pasid", pri_in_queue, .ats = true, .pasid = 5 },
	{ "pri_partial", pri_partial, .ats = true },
	{ "pri_partial_pasid", pri_partial, .ats = true, .pasid = 5 },
	{ "pri_partial_in_queue", pri_partial_in_queue, .ats = true },
	{ "pri_partial_in_queue_pasid", pri_partial_in_queue, .ats = true, .pasid = 5 },
	{ "pri_outstanding", pri_outstanding, .ats = true },
	{ "pri_outstanding_pasid", pri_outstanding, .ats = true, .pasid = 5 },
	{ "pri_group", pri_group, .ats = true },
	{ "pri_cancel", pri_cancel, .ats = true },
	{ "pri_cancel_pasid", pri_cancel, .ats = true, .pasid = 5 },
	{ "pri_cancel_outstanding", pri_cancel_outstanding, .ats = true },
	{ "pri_cancel_outstanding_pasid", pri_cancel_outstanding, .ats = true, .pasid = 5 },
	{ "pri_cancel_answered", pri_cancel_answered, .ats = true },
	{ "pri_cancel_answered_pasid", pri_cancel_answered, .ats = true, .pasid = 5 },
	{ "pri_index_twice", pri_index_twice, .ats = true },
	{ "pri_index_twice_pasid", pri_index_twice, .ats = true, .pasid = 5 },
	{ "pri_two_pasids", pri_two_pasids, .ats = true, .pasid = 5 },
	{ "pri_overflow", pri_overflow, .ats = true },
	{ "pri_overflow_is_over", pri_overflow_is_over, .ats = true },
	{ "pri_too_many", pri_too_many, .ats = true },
	{ "pri_for_nothing", pri_for_nothing, .ats = true },
	{ "pri_of_nobody", pri_of_nobody, .ats = true, .pasid = 5 },
	{ "pri_handler_runs", pri_handler_runs, .ats = true },
	{ "pri_replaced", pri_replaced, .ats = true },
	{ "pri_memory_is_back", pri_memory_is_back, .ats = true },
	{ "pri_revive_unread", pri_revive_unread, .ats = true },
	{ "pri_revive_answered", pri_revive_answered, .ats = true },
	{ "pri_off_first", pri_off_first, .ats = true },
	{ "pri_drain", pri_drain, .ats = true },
	{ "pri_drain_pasid", pri_drain, .ats = true, .pasid = 5 },
	{ "pri_nobody_handles", pri_nobody_handles, .ats = true },
	{ "pri_next_handler", pri_next_handler, .ats = true },
	{ "pri_next_handler_pasid", pri_next_handler, .ats = true, .pasid = 5 },
	/* Without a PASID its context is invalid, and the IOMMU queues nothing. */
	{ "pri_read_meanwhile_pasid", pri_read_meanwhile, .ats = true, .pasid = 5 },
#endif
	{ "ats_refill", ats_refill, .ats = true },
	{ "ats_refill_replace", ats_refill_replace, .ats = true },
	{ "ats_refill_pasid", ats_refill_replace, .ats = true, .pasid = 5 },
	/* The last with ATS: its device has lost it. */
	{ "lost_beside_copy", lost_beside_copy, .ats = true },
	{ "removal", removal, .unowned = true },
};

/* ----- Putting it up, and away again ----- */

static bool same_hardware(const struct scenario *a, const struct scenario *b)
{
	return a->clear == b->clear && a->levels == b->levels && a->unowned == b->unowned &&
	       a->ats == b->ats;
}

static int scene_up(struct scene *s, const struct scenario *sc)
{
	struct rviommu_sim_config config;
	struct rviommu_endpoint *ep;
	struct rviommu_sim *sim;
	int ret;

	rviommu_sim_config_init(&config);
	config.model.capabilities &= ~sc->clear;
	/* Hooks sleep in a store to the directory, where a device could be lost. */
	if (!sc->ats)
		config.model.capabilities &= ~(RVIOMMU_CAP_ATS | RVIOMMU_CAP_T2GPA);
	config.ats = sc->ats;
	config.endpoints = sc->ats ? 2 : 1;
	if (sc->levels) {
		ret = rviommu_sim_config_levels(&config, sc->levels);
		if (ret)
			return ret;
	}
	rviommu_model_config_fit(&config.model);
	sim = rviommu_sim_create("rviommu_kunit_mutation", &config);
	if (IS_ERR(sim))
		return PTR_ERR(sim);
	s->sim = sim;
	s->model = rviommu_sim_model(sim);
	s->dev = rviommu_sim_endpoint(sim, 0);
	ep = dev_iommu_priv_get(s->dev);
	s->ep = ep;
	s->other = sc->ats ? dev_iommu_priv_get(rviommu_sim_endpoint(sim, 1)) : NULL;
	s->id = ep->ids[0];
	s->iommu = ep->iommu;
	if (!sc->unowned) {
		struct iommu_group *group = iommu_group_get(s->dev);

		ret = iommu_group_claim_dma_owner(group, s);
		if (ret) {
			iommu_group_put(group);
			return ret;
		}
		s->group = group;
	}
	s->bus = s->iommu->bus->ops;
	s->iommu->bus->ops = &scene_bus_ops;
	s->ddt = s->iommu->ddt.ops;
	s->iommu->ddt.ops = &scene_ddt_ops;
	rviommu_sim_set_hook(sim, scene_work, s);
	return 0;
}

static void scene_down(struct scene *s)
{
	if (s->bus) {
		s->iommu->ddt.ops = s->ddt;
		s->iommu->bus->ops = s->bus;
		s->bus = NULL;
	}
	if (s->group) {
		iommu_group_release_dma_owner(s->group);
		iommu_group_put(s->group);
		s->group = NULL;
	}
	rviommu_sim_destroy(s->sim);
	s->sim = NULL;
}

/* What goes wrong in a scenario with a step left out, or with none. */
static const char *scene_play(struct scene *s, const struct scenario *sc,
			      enum rviommu_mutation mutate)
{
	const char *wrong = CANNOT;
	unsigned int i;

	if (sc->tracks && !IS_ENABLED(CONFIG_IOMMUFD_DRIVER))
		return NULL;
	s->retired = 0;
	s->count = 0;
	s->wrong = NULL;
	for (i = 0; i < ARRAY_SIZE(s->domain); i++) {
		struct iommu_domain *domain = sc->unowned ? NULL :
					      iommu_paging_domain_alloc(s->dev);

		s->domain[i] = IS_ERR(domain) ? NULL : domain;
	}
	s->pasid = sc->pasid;
	/* Another one keeps the process directory there. */
	if (sc->pasid && rviommu_attach_pasid(s->ep, sc->pasid + 1, &rviommu_identity_domain, NULL))
		return CANNOT;
	if (sc->unowned || (s->domain[0] && s->domain[1])) {
		rviommu_model_set_switches(s->model, sc->switches);
		WRITE_ONCE(s->iommu->mutate, mutate);
		wrong = sc->run(s);
		WRITE_ONCE(s->iommu->mutate, RVIOMMU_MUTATE_NOTHING);
		rviommu_model_set_switches(s->model, 0);
	}
	s->on_store = NULL;
	s->on_wait = NULL;
	s->on_doorbell = NULL;
	s->on_go_on = NULL;
	WRITE_ONCE(s->on_work, NULL);
	let_go(s);
	/* Healthy again, and with empty caches. */
	detach(s);
	if (sc->pasid)
		rviommu_detach_pasid(s->ep, sc->pasid + 1);
	rviommu_hw_invalidate(s->iommu);
	for (i = 0; i < ARRAY_SIZE(s->domain); i++) {
		if (s->domain[i])
			iommu_domain_free(s->domain[i]);
		s->domain[i] = NULL;
	}
	return wrong;
}

/* Emulated, where this takes minutes, the first scenario that notices has to do. */
#define ALL_WHO_NOTICE	IS_ENABLED(CONFIG_UML)

/* What goes wrong in each scenario, or NULL, goes to @wrong. */
static void play(struct kunit *test, enum rviommu_mutation mutate, const char **wrong)
{
	struct scene *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, s);
	s->owner = current;
	INIT_LIST_HEAD(&s->grave);
	scene = s;
	kunit_activate_static_stub(test, rviommu_page_retire, scene_retire);
	memset(wrong, 0, ARRAY_SIZE(scenarios) * sizeof(*wrong));
	for (i = 0; i < ARRAY_SIZE(scenarios); i++) {
		const struct scenario *sc = &scenarios[i];

		if (i && !same_hardware(sc - 1, sc))
			scene_down(s);
		if (s->bus || !scene_up(s, sc)) {
			wrong[i] = scene_play(s, sc, mutate);
		} else {
			wrong[i] = CANNOT;
			scene_down(s);
		}
		if (wrong[i] && mutate && !ALL_WHO_NOTICE)
			break;
	}
	scene_down(s);
	kunit_deactivate_static_stub(test, rviommu_page_retire);
	rviommu_page_retire(&s->grave);
	scene = NULL;
}

/* ----- The suite ----- */

/* A driver with nothing left out gets all of them right. */
static void mutation_none(struct kunit *test)
{
	const char *wrong[ARRAY_SIZE(scenarios)];
	unsigned int i;

	play(test, RVIOMMU_MUTATE_NOTHING, wrong);
	for (i = 0; i < ARRAY_SIZE(scenarios); i++)
		KUNIT_EXPECT_NULL_MSG(test, wrong[i], "%s: %s", scenarios[i].name, wrong[i]);
}

/* Which one a parameter stands for is where it lies, behind the one that leaves out nothing. */
static const char mutations[RVIOMMU_NR_MUTATIONS - 1];

static enum rviommu_mutation mutation_of(const char *mutation)
{
	return mutation - mutations + 1;
}

static void mutation_describe(const char *mutation, char *desc)
{
	strscpy(desc, rviommu_mutation_name(mutation_of(mutation)), KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(mutation, mutations, mutation_describe);

#define LINE	96

/* One step is left out: whoever notices is printed, and somebody has to. */
static void mutation(struct kunit *test)
{
	const enum rviommu_mutation which = mutation_of(test->param_value);
	const char *wrong[ARRAY_SIZE(scenarios)];
	unsigned int i, noticed = 0;
	char line[LINE];
	size_t at = 0;

	if (!IS_ENABLED(CONFIG_IOMMU_IOPF) && which >= RVIOMMU_MUTATE_PRI_FLUSH)
		kunit_skip(test, "this kernel has no page requests");
	if (!IS_ENABLED(CONFIG_IOMMUFD_DRIVER) && which >= RVIOMMU_MUTATE_DIRTY_INVAL &&
	    which <= RVIOMMU_MUTATE_DIRTY_START)
		kunit_skip(test, "this kernel has no dirty tracking");
	play(test, which, wrong);
	for (i = 0; i < ARRAY_SIZE(scenarios); i++) {
		if (!wrong[i])
			continue;
		/* A scenario that did not come about proves nothing. */
		KUNIT_EXPECT_STRNEQ(test, wrong[i], CANNOT);
		noticed++;
		if (at && at + strlen(scenarios[i].name) + 2 >= LINE) {
			kunit_info(test, "%-15s %s\n", rviommu_mutation_name(which), line);
			at = 0;
		}
		at += scnprintf(line + at, LINE - at, "%s%s", at ? " " : "", scenarios[i].name);
	}
	if (at)
		kunit_info(test, "%-15s %s\n", rviommu_mutation_name(which), line);
	KUNIT_EXPECT_GT_MSG(test, noticed, 0, "nobody notices when %s is left out",
			    rviommu_mutation_name(which));
}

static struct kunit_case mutation_cases[] = {
	KUNIT_CASE_SLOW(mutation_none),
	KUNIT_CASE_PARAM_ATTR(mutation, mutation_gen_params, { .speed = KUNIT_SPEED_SLOW }),
	{}
};

static struct kunit_suite mutation_suite = {
	.name = "rviommu_sim_mutation",
	.test_cases = mutation_cases,
};

kunit_test_suite(mutation_suite);
