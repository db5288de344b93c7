// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that send page requests, and domains that handle them in ways that a test chooses.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/kthread.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>

#include "../src/driver/compat.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/iopf.h"
#include "../src/driver/prg.h"
#include "../src/driver/space.h"
#include "hw.h"
#include "iopftest.h"
#include "pritest.h"
#include "simtest.h"

/* Handlers get a group only. */
static struct iopftest *iopftest_now;

static struct iopftest_space *iopftest_space_of(struct iopf_group *group)
{
	unsigned int i;

	for (i = 0; i < IOPFTEST_NR_SPACES; i++)
		if (iopftest_now->space[i].domain == group->attach_handle->domain)
			return &iopftest_now->space[i];
	return NULL;
}

/* The pages lie the other way round: an IOVA that was taken for an address would be noticed. */
static u8 *iopftest_page(struct iopftest_space *space, unsigned int page)
{
	return space->pages + (IOPFTEST_PAGES - 1 - page) * SZ_4K;
}

/* Returns 0 or the last error. */
static int iopftest_map(struct iopftest_space *space, struct iopf_group *group)
{
	struct iopf_fault *fault;
	int ret = 0;

	guard(mutex)(&space->mapping);
	list_for_each_entry(fault, &group->faults, list) {
		u64 iova = fault->fault.prm.addr;
		unsigned int page = (iova - IOPFTEST_IOVA) / SZ_4K;

		if (page < IOPFTEST_PAGES && !iommu_iova_to_phys(space->domain, iova))
			ret = iommu_map(space->domain, iova,
					virt_to_phys(iopftest_page(space, page)), SZ_4K,
					IOMMU_READ | IOMMU_WRITE, GFP_KERNEL) ?: ret;
	}
	return ret;
}

/*
 * Is a group one that a device has sent? All that devices ask for here are pages that follow each
 * other, each once. What is left of one that lost its end would be in the next one of its index.
 */
static bool iopftest_is_whole(struct iopf_group *group)
{
	unsigned long pages = 0, page;
	struct iopf_fault *fault;

	list_for_each_entry(fault, &group->faults, list) {
		page = (fault->fault.prm.addr - IOPFTEST_IOVA) / SZ_4K;
		if (page >= BITS_PER_LONG || pages & BIT(page))
			return false;
		pages |= BIT(page);
	}
	return pages >> __ffs(pages) == GENMASK(hweight_long(pages) - 1, 0);
}

/**
 * iopftest_unmap() - pages have to be asked for again
 * @space: the domain
 * @page: first page
 * @nr: how many; those that are not mapped are so afterwards
 */
void iopftest_unmap(struct iopftest_space *space, unsigned int page, unsigned int nr)
{
	u64 iova = IOPFTEST_IOVA + page * SZ_4K;

	guard(mutex)(&space->mapping);
	for (; nr--; iova += SZ_4K)
		if (iommu_iova_to_phys(space->domain, iova))
			iommu_unmap(space->domain, iova, SZ_4K);
}

static void iopftest_work(struct work_struct *work)
{
	struct iopf_group *group = container_of(work, struct iopf_group, work);
	struct iopftest_space *space = iopftest_space_of(group);
	int ret;

	if (READ_ONCE(space->mode) == IOPFTEST_STALL) {
		atomic_inc(&space->stalled);
		wait_for_completion_timeout(&space->go, 60 * HZ);
	}
	ret = iopftest_map(space, group);
	iopf_group_response(group, ret ? IOMMU_PAGE_RESP_INVALID : IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(group);
}

/* Is a group one that its domain may be asked for? */
static bool iopftest_is_own(const struct iopftest_space *space, struct iopf_group *group)
{
	const unsigned long own = READ_ONCE(space->own);
	struct iopf_fault *fault;
	unsigned long page;

	list_for_each_entry(fault, &group->faults, list) {
		page = (fault->fault.prm.addr - IOPFTEST_IOVA) / SZ_4K;
		if (page >= BITS_PER_LONG || !(own & BIT(page)))
			return false;
	}
	return true;
}

static int iopftest_handler(struct iopf_group *group)
{
	struct iopftest_space *space = iopftest_space_of(group);

	atomic_inc(&space->groups);
	if (!iopftest_is_whole(group))
		atomic_inc(&space->mixed);
	if (READ_ONCE(space->closed))
		atomic_inc(&space->wrong);
	if (!iopftest_is_own(space, group))
		atomic_inc(&space->strange);
	switch (READ_ONCE(space->mode)) {
	case IOPFTEST_MAP:
	case IOPFTEST_STALL:
		INIT_WORK(&group->work, iopftest_work);
		queue_work(group->fault_param->queue->wq, &group->work);
		break;
	case IOPFTEST_HOLD:
		spin_lock(&space->lock);
		list_add_tail(&group->node, &space->held);
		spin_unlock(&space->lock);
		break;
	case IOPFTEST_REFUSE:
		return -EBUSY;
	case IOPFTEST_INVALID:
		iopf_group_response(group, IOMMU_PAGE_RESP_INVALID);
		iopf_free_group(group);
		break;
	}
	return 0;
}

/**
 * iopftest_let_go() - what is held gets its response
 * @space: the domain
 * @code: what is said
 * @map: what was asked for is mapped before
 *
 * Return: how many groups that were.
 */
unsigned int iopftest_let_go(struct iopftest_space *space, enum iommu_page_response_code code,
			     bool map)
{
	struct iopf_group *group, *next;
	unsigned int nr = 0;
	LIST_HEAD(held);

	spin_lock(&space->lock);
	list_splice_init(&space->held, &held);
	spin_unlock(&space->lock);
	list_for_each_entry_safe(group, next, &held, node) {
		if (map)
			iopftest_map(space, group);
		iopf_group_response(group, code);
		iopf_free_group(group);
		nr++;
	}
	return nr;
}

/**
 * iopftest_holds() - how many groups are held
 * @space: the domain
 *
 * Return: that.
 */
unsigned int iopftest_holds(struct iopftest_space *space)
{
	struct iopf_group *group;
	unsigned int nr = 0;

	spin_lock(&space->lock);
	list_for_each_entry(group, &space->held, node)
		nr++;
	spin_unlock(&space->lock);
	return nr;
}

/**
 * iopftest_await_held() - wait until groups are held
 * @f: devices and domains
 * @space: the domain
 * @nr: so many at least
 */
void iopftest_await_held(struct iopftest *f, struct iopftest_space *space, unsigned int nr)
{
	unsigned long end = jiffies + 60 * HZ;

	while (iopftest_holds(space) < nr) {
		KUNIT_ASSERT_FALSE(f->test, time_after(jiffies, end));
		schedule_timeout_uninterruptible(1);
	}
}

/**
 * iopftest_await_groups() - wait until groups have come to a handler
 * @f: devices and domains
 * @space: the domain
 * @nr: so many at least
 */
void iopftest_await_groups(struct iopftest *f, struct iopftest_space *space, unsigned int nr)
{
	unsigned long end = jiffies + 60 * HZ;

	while (atomic_read(&space->groups) < nr) {
		KUNIT_ASSERT_FALSE(f->test, time_after(jiffies, end));
		schedule_timeout_uninterruptible(1);
	}
}

/**
 * iopftest_await_stalled() - wait until a worker waits in a handler
 * @f: devices and domains
 * @space: the domain
 */
void iopftest_await_stalled(struct iopftest *f, struct iopftest_space *space)
{
	unsigned long end = jiffies + 60 * HZ;

	while (!atomic_read(&space->stalled)) {
		KUNIT_ASSERT_FALSE(f->test, time_after(jiffies, end));
		schedule_timeout_uninterruptible(1);
	}
}

/**
 * iopftest_attach() - the requester IDs of a device use a domain
 * @f: devices and domains
 * @dev: which device
 * @space: the domain
 *
 * Return: what the core says.
 */
int iopftest_attach(struct iopftest *f, unsigned int dev, struct iopftest_space *space)
{
	int ret = iommu_replace_group_handle(f->group[dev], space->domain, &space->handle);

	if (!ret)
		f->attached[dev] = space->domain;
	return ret;
}

/**
 * iopftest_detach() - and no more
 * @f: devices and domains
 * @dev: which device
 */
void iopftest_detach(struct iopftest *f, unsigned int dev)
{
	if (f->attached[dev])
		iommu_detach_group_handle(f->attached[dev], f->group[dev]);
	f->attached[dev] = NULL;
}

/**
 * iopftest_attach_pasid() - a PASID of a device uses a domain
 * @f: devices and domains
 * @dev: which device
 * @pasid: the PASID
 * @space: the domain
 *
 * Return: what the core says.
 */
int iopftest_attach_pasid(struct iopftest *f, unsigned int dev, u32 pasid,
			  struct iopftest_space *space)
{
	return iommu_attach_device_pasid(space->domain, f->dev[dev], pasid, &space->handle);
}

/**
 * iopftest_replace_pasid() - and now another one, without a moment in between
 * @f: devices and domains
 * @dev: which device
 * @pasid: the PASID
 * @space: the domain
 *
 * Return: what the core says.
 */
int iopftest_replace_pasid(struct iopftest *f, unsigned int dev, u32 pasid,
			   struct iopftest_space *space)
{
	return rviommu_replace_device_pasid(space->domain, f->dev[dev], pasid, &space->handle);
}

/**
 * iopftest_detach_pasid() - and no more
 * @f: devices and domains
 * @dev: which device
 * @pasid: the PASID
 * @space: the domain
 */
void iopftest_detach_pasid(struct iopftest *f, unsigned int dev, u32 pasid,
			   struct iopftest_space *space)
{
	iommu_detach_device_pasid(space->domain, f->dev[dev], pasid);
}

static void iopftest_down(void *data)
{
	struct iopftest *f = data;
	unsigned int i;

	for (i = 0; i < IOPFTEST_NR_SPACES; i++)
		complete_all(&f->space[i].go);
	for (i = 0; i < IOPFTEST_NR_DEVICES; i++)
		iopftest_detach(f, i);
	for (i = 0; i < IOPFTEST_NR_SPACES; i++)
		iopftest_let_go(&f->space[i], IOMMU_PAGE_RESP_INVALID, false);
}

/**
 * iopftest_config() - what an instance is like, unless a test changes it
 * @config: filled in here
 */
void iopftest_config(struct rviommu_sim_config *config)
{
	rviommu_sim_config_init(config);
	config->endpoints = IOPFTEST_NR_DEVICES;
	config->ats = true;
	config->pasid_bits = 8;
}

static struct device *iopftest_function(struct iopftest *f, unsigned int index)
{
	struct device *dev = NULL;

	if (IS_ENABLED(CONFIG_RVIOMMU_SIM_PCI))
		dev = rviommu_sim_function(f->sim, index);
	KUNIT_ASSERT_NOT_NULL(f->test, dev);
	pci_set_master(to_pci_dev(dev));
	return dev;
}

/**
 * iopftest_up() - devices and domains, until the test ends
 * @test: the test
 * @config: what the instance is like; without endpoints the devices are PCI functions
 *
 * Return: them; the test ends if that fails.
 */
struct iopftest *iopftest_up(struct kunit *test, const struct rviommu_sim_config *config)
{
	struct iopftest *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->test = test;
	iopftest_now = f;
	f->sim = rviommu_simtest_create(test, "rviommu_kunit_iopf", config);
	for (i = 0; i < IOPFTEST_NR_DEVICES; i++) {
		f->dev[i] = config->endpoints ? rviommu_sim_endpoint(f->sim, i) :
						iopftest_function(f, i);
		KUNIT_ASSERT_NOT_NULL(test, f->dev[i]);
		f->ep[i] = dev_iommu_priv_get(f->dev[i]);
		f->group[i] = rviommu_simtest_claim(test, f->dev[i]);
	}
	for (i = 0; i < IOPFTEST_NR_SPACES; i++) {
		struct iopftest_space *space = &f->space[i];

		space->pages = rviommu_simtest_pages(test, SZ_64K);
		space->domain = rviommu_simtest_domain(test, f->dev[0]);
		space->domain->iopf_handler = iopftest_handler;
		space->own = ~0UL;
		mutex_init(&space->mapping);
		spin_lock_init(&space->lock);
		init_completion(&space->go);
		INIT_LIST_HEAD(&space->held);
	}
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, iopftest_down, f), 0);
	return f;
}

/**
 * iopftest_up_default() - devices and domains as of iopftest_config()
 * @test: the test
 *
 * Return: them; the test ends if that fails.
 */
struct iopftest *iopftest_up_default(struct kunit *test)
{
	struct rviommu_sim_config config;

	iopftest_config(&config);
	return iopftest_up(test, &config);
}

/**
 * iopftest_go() - a device writes, in a thread
 * @f: devices and domains
 * @dev: which device
 * @pasid: PASID; 0: without
 * @page: first page
 * @nr: how many
 * @seed: what
 *
 * Return: the job, for rviommu_pritest_end().
 */
struct rviommu_pritest_job *iopftest_go(struct iopftest *f, unsigned int dev, u32 pasid,
					unsigned int page, unsigned int nr, u64 seed)
{
	const struct rviommu_sim_dma dma = {
		.op = RVIOMMU_SIM_FILL, .pv = pasid, .pasid = pasid,
		.iova = IOPFTEST_IOVA + page * SZ_4K, .length = nr * SZ_4K, .operand = seed,
	};

	return rviommu_pritest_go(f->test, f->dev[dev], &dma);
}

/**
 * iopftest_fill() - a device writes
 * @f: devices and domains
 * @dev: which device
 * @pasid: PASID; 0: without
 * @page: first page
 * @nr: how many
 * @seed: what
 *
 * Return: what became of it.
 */
int iopftest_fill(struct iopftest *f, unsigned int dev, u32 pasid, unsigned int page,
		  unsigned int nr, u64 seed)
{
	return rviommu_pritest_end(f->test, iopftest_go(f, dev, pasid, page, nr, seed));
}

/**
 * iopftest_has() - was a page written to?
 * @space: the domain
 * @page: which page
 * @seed: what
 *
 * Return: true if all of it was.
 */
bool iopftest_has(struct iopftest_space *space, unsigned int page, u64 seed)
{
	return rviommu_simtest_holds(iopftest_page(space, page), SZ_4K, seed);
}

static int iopftest_run(void *data)
{
	struct iopftest_thread *t = data;

	/* What is replaced for the test is so here. */
	current->kunit_test = t->f->test;
	t->act(t->f);
	current->kunit_test = NULL;
	complete(&t->done);
	return 0;
}

/**
 * iopftest_start() - let somebody act
 * @f: devices and domains
 * @act: what he does
 *
 * Return: he, for iopftest_ends(), which the test has to come to.
 */
struct iopftest_thread *iopftest_start(struct iopftest *f, void (*act)(struct iopftest *f))
{
	struct iopftest_thread *t = kunit_kzalloc(f->test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(f->test, t);
	t->f = f;
	t->act = act;
	init_completion(&t->done);
	KUNIT_ASSERT_FALSE(f->test, IS_ERR(kthread_run(iopftest_run, t, "rviommu_iopftest")));
	return t;
}

/**
 * iopftest_ends() - wait until somebody has acted
 * @t: from iopftest_start()
 *
 * Return: false if he has not in a minute, and never will.
 */
bool iopftest_ends(struct iopftest_thread *t)
{
	if (!wait_for_completion_timeout(&t->done, 60 * HZ))
		return false;
	/* Whoever asks again is told the same. */
	complete_all(&t->done);
	return true;
}

static struct completion iopftest_waiting;

static unsigned long iopftest_tell(void)
{
	complete(&iopftest_waiting);
	return RVIOMMU_IOPF_PATIENCE_S * HZ;
}

static void iopftest_detach_first(struct iopftest *f)
{
	iopftest_detach(f, 0);
}

/**
 * iopftest_detach_waits() - the first device is detached, and a handler of it is waited for
 * @f: devices and domains; nothing is attached to the first device
 * @job: what it had asked for, which comes to nothing
 *
 * The handler is that of the first domain. It returns when the test completes iopftest_space.go.
 *
 * Return: who waits, for iopftest_ends() after the handler has returned.
 */
struct iopftest_thread *iopftest_detach_waits(struct iopftest *f,
					      struct rviommu_pritest_job **job)
{
	struct iopftest_thread *t;

	f->space[0].mode = IOPFTEST_STALL;
	KUNIT_ASSERT_EQ(f->test, iopftest_attach(f, 0, &f->space[0]), 0);
	*job = iopftest_go(f, 0, 0, 0, 1, 1);
	iopftest_await_stalled(f, &f->space[0]);
	init_completion(&iopftest_waiting);
	kunit_activate_static_stub(f->test, rviommu_iopf_patience, iopftest_tell);
	t = iopftest_start(f, iopftest_detach_first);
	KUNIT_EXPECT_NE(f->test, wait_for_completion_timeout(&iopftest_waiting, 60 * HZ), 0UL);
	return t;
}

/**
 * iopftest_stats() - what a device has counted
 * @f: devices and domains
 * @dev: which device
 *
 * Return: that.
 */
struct rviommu_sim_pri_stats iopftest_stats(struct iopftest *f, unsigned int dev)
{
	struct rviommu_sim_pri_stats stats = {};

	KUNIT_EXPECT_EQ(f->test, rviommu_sim_pri_stats(f->dev[dev], &stats), 0);
	return stats;
}

/**
 * iopftest_expect_clean() - all requests have one response, and nothing is left in the driver
 * @f: devices and domains
 * @dev: which device
 */
void iopftest_expect_clean(struct iopftest *f, unsigned int dev)
{
	struct rviommu_sim_pri_stats stats = iopftest_stats(f, dev);
	struct rviommu_prgs *prgs = &f->ep[dev]->pri.prgs;

	KUNIT_EXPECT_EQ(f->test, stats.outstanding, 0);
	KUNIT_EXPECT_EQ(f->test, stats.unexpected, 0);
	KUNIT_EXPECT_EQ(f->test, stats.early, 0);
	KUNIT_EXPECT_EQ(f->test, stats.failures, 0);
	KUNIT_EXPECT_TRUE(f->test, list_empty(&prgs->partial));
	KUNIT_EXPECT_TRUE(f->test, list_empty(&prgs->outstanding));
}
