// SPDX-License-Identifier: GPL-2.0-only
/*
 * One simulated IOMMU: the model with memory, registers and interrupts around
 * it, as a platform device that rviommu.ko binds to like to any other.
 */
#define pr_fmt(fmt) "rviommu_sim: " fmt

#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/irq.h>
#include <linux/irqdomain.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "atc.h"
#include "debugfs.h"
#include "device.h"
#include "endpoint.h"
#include "memory.h"
#include "pci.h"
#include "pri.h"
#include "sim.h"

/* Where the instance's own MSIs go: no memory, only a name for its irq_domain. */
#define SIM_MSI_ADDR	0x51300000

/* Commands an asynchronous IOMMU executes before it looks up again. */
#define SIM_BURST	4

/* ----- Memory ----- */

static int sim_read64(void *ctx, u64 addr, u64 *value)
{
	if (!sim_memory(addr, sizeof(*value)))
		return RVIOMMU_MODEL_MEM_FAULT;
	*value = READ_ONCE(*(u64 *)phys_to_virt(addr));
	return RVIOMMU_MODEL_MEM_OK;
}

static int sim_write64(void *ctx, u64 addr, u64 value)
{
	if (!sim_memory(addr, sizeof(value)))
		return RVIOMMU_MODEL_MEM_FAULT;
	WRITE_ONCE(*(u64 *)phys_to_virt(addr), value);
	return RVIOMMU_MODEL_MEM_OK;
}

/* A fence: what devices and the IOMMU did before is visible before it. */
static int sim_write32(void *ctx, u64 addr, u32 value)
{
	if (!sim_memory(addr, sizeof(value)))
		return RVIOMMU_MODEL_MEM_FAULT;
	/* All that was done before is seen by whoever sees this. */
	smp_store_release((u32 *)phys_to_virt(addr), value);
	return RVIOMMU_MODEL_MEM_OK;
}

static int sim_cas64(void *ctx, u64 addr, u64 *old, u64 new)
{
	if (!sim_memory(addr, sizeof(new)))
		return RVIOMMU_MODEL_MEM_FAULT;
	*old = cmpxchg64((u64 *)phys_to_virt(addr), *old, new);
	return RVIOMMU_MODEL_MEM_OK;
}

/* ----- Interrupts ----- */

static int sim_msi(void *ctx, u64 addr, u32 data)
{
	struct rviommu_sim *sim = ctx;

	if (addr != SIM_MSI_ADDR || data >= sim->bus.nr_irqs)
		return RVIOMMU_MODEL_MEM_FAULT;
	generic_handle_domain_irq_safe(sim->irqs, data);
	return RVIOMMU_MODEL_MEM_OK;
}

static void sim_raise(struct rviommu_sim *sim, unsigned int vector)
{
	if (test_bit(vector, &sim->level) && !test_bit(vector, &sim->masked))
		generic_handle_domain_irq_safe(sim->irqs, vector);
}

static void sim_wire(void *ctx, unsigned int vector, bool level)
{
	struct rviommu_sim *sim = ctx;

	if (vector >= sim->bus.nr_irqs)
		return;
	assign_bit(vector, &sim->level, level);
	sim_raise(sim, vector);
}

static void sim_irq_mask(struct irq_data *data)
{
	struct rviommu_sim *sim = irq_data_get_irq_chip_data(data);

	set_bit(irqd_to_hwirq(data), &sim->masked);
}

/* A wire that is still up has to interrupt again; the worker sees to it. */
static void sim_irq_unmask(struct irq_data *data)
{
	struct rviommu_sim *sim = irq_data_get_irq_chip_data(data);

	clear_bit(irqd_to_hwirq(data), &sim->masked);
	if (sim->worker && test_bit(irqd_to_hwirq(data), &sim->level))
		wake_up_process(sim->worker);
}

static struct irq_chip sim_irq_chip = {
	.name = "rviommu-sim",
	.irq_mask = sim_irq_mask,
	.irq_unmask = sim_irq_unmask,
};

static int sim_irq_map(struct irq_domain *domain, unsigned int irq, irq_hw_number_t hwirq)
{
	struct rviommu_sim *sim = domain->host_data;

	irq_set_chip_data(irq, sim);
	irq_set_chip_and_handler(irq, &sim_irq_chip,
				 sim->config.wired ? handle_level_irq : handle_simple_irq);
	return 0;
}

static const struct irq_domain_ops sim_irq_ops = {
	.map = sim_irq_map,
};

static void sim_free_irqs(struct rviommu_sim *sim)
{
	while (sim->bus.nr_irqs)
		irq_dispose_mapping(sim->bus.irqs[--sim->bus.nr_irqs]);
	if (sim->irqs)
		irq_domain_remove(sim->irqs);
}

static int sim_alloc_irqs(struct rviommu_sim *sim)
{
	unsigned int i, nr = min_t(unsigned int, sim->config.model.vectors, SIM_VECTORS);

	sim->irqs = irq_domain_create_linear(NULL, nr, &sim_irq_ops, sim);
	if (!sim->irqs)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		sim->bus.irqs[i] = irq_create_mapping(sim->irqs, i);
		if (!sim->bus.irqs[i])
			return -ENOMEM;
		sim->bus.nr_irqs++;
	}
	return 0;
}

/* ----- Registers ----- */

/* Tell the model how long ago it was asked last. */
static void sim_time_passes(struct rviommu_sim *sim)
{
	s64 now = ktime_get_ns();
	s64 last = atomic64_xchg(&sim->last, now);

	if (now > last)
		rviommu_model_advance(sim->model, now - last);
}

static struct rviommu_sim *to_sim(struct rviommu_bus *bus)
{
	return container_of(bus, struct rviommu_sim, bus);
}

/*
 * Whoever looks at a register gives an asynchronous IOMMU, and devices that answer
 * late, a chance to get on: on a machine with one CPU, its worker does not run while a
 * driver polls.
 */
static void sim_look(struct rviommu_sim *sim)
{
	rviommu_model_run(sim->model, 1);
	sim_atc_work(sim);
	sim_time_passes(sim);
}

static u32 sim_reg_read32(struct rviommu_bus *bus, unsigned int offset)
{
	sim_look(to_sim(bus));
	return rviommu_model_read32(to_sim(bus)->model, offset);
}

/*
 * Has a register write left anything to the worker? Only an asynchronous IOMMU does. Whoever
 * changes that while others write wakes the worker afterwards: sim_switches_set().
 */
static bool sim_leaves_work(const struct rviommu_sim *sim)
{
	return READ_ONCE(sim->config.model.switches) & RVIOMMU_MODEL_ASYNC;
}

static void sim_reg_write32(struct rviommu_bus *bus, unsigned int offset, u32 value)
{
	struct rviommu_sim *sim = to_sim(bus);

	/* Like writel(): memory first. */
	wmb();
	/* What is sent to a device now has its time from now on, not since somebody looked last. */
	if (sim->config.ats)
		sim_time_passes(sim);
	rviommu_model_write32(sim->model, offset, value);
	if (sim->worker && sim_leaves_work(sim))
		wake_up_process(sim->worker);
}

static const struct rviommu_bus_ops sim_bus_ops = {
	.read32 = sim_reg_read32,
	.write32 = sim_reg_write32,
};

/* The messages of the vectors, as an interrupt controller's driver would. */
static void sim_prepare_msi(struct rviommu_bus *bus)
{
	unsigned int i;

	for (i = 0; i < bus->nr_irqs; i++) {
		rviommu_bus_write64(bus, RVIOMMU_REG_MSI_ADDR(i), SIM_MSI_ADDR);
		bus->ops->write32(bus, RVIOMMU_REG_MSI_DATA(i), i);
		bus->ops->write32(bus, RVIOMMU_REG_MSI_VEC_CTL(i), 0);
	}
}

static int sim_worker(void *data)
{
	struct rviommu_sim *sim = data;
	unsigned int i;

	while (!kthread_should_stop()) {
		set_current_state(TASK_INTERRUPTIBLE);
		for (i = 0; i < sim->bus.nr_irqs; i++)
			if (sim->config.wired)
				sim_raise(sim, i);
		sim_atc_work(sim);
		if (rviommu_model_run(sim->model, SIM_BURST) == SIM_BURST) {
			__set_current_state(TASK_RUNNING);
			cond_resched();
			continue;
		}
		if (!kthread_should_stop())
			schedule();
		__set_current_state(TASK_RUNNING);
	}
	return 0;
}

static void sim_ats(void *ctx, const struct rviommu_model_ats_msg *msg)
{
	if (msg->code == RVIOMMU_MODEL_ATS_PRGR)
		sim_pri_response(ctx, msg);
	else
		sim_atc_message(ctx, msg);
}

static void sim_unspecified(void *ctx, const char *what)
{
	struct rviommu_sim *sim = ctx;

	dev_warn_ratelimited(&sim->pdev->dev, "the driver left what the specification defines: %s\n",
			     what);
}

/* Whoever tests software puts here what shall happen in the worst moments. */
static void sim_other_work(void *ctx)
{
	struct rviommu_sim *sim = ctx;
	/* Pairs with rviommu_sim_set_hook(). */
	void (*hook)(void *arg) = smp_load_acquire(&sim->hook);

	if (hook)
		hook(sim->hook_arg);
}

static bool sim_has_other_work(void *ctx)
{
	return READ_ONCE(((struct rviommu_sim *)ctx)->hook);
}

static bool sim_fails(void *ctx, enum rviommu_model_injection what)
{
	return sim_failure(&((struct rviommu_sim *)ctx)->failures, what);
}

static const struct rviommu_model_ops sim_model_ops = {
	.read64 = sim_read64,
	.write64 = sim_write64,
	.write32 = sim_write32,
	.cas64 = sim_cas64,
	.msi = sim_msi,
	.wire = sim_wire,
	.ats = sim_ats,
	.other_work = sim_other_work,
	.has_other_work = sim_has_other_work,
	.unspecified = sim_unspecified,
	.fails = sim_fails,
};

/* ----- Devices that go while the core looks for them ----- */

static void sim_hold_devices(struct rviommu_bus *bus, bool hold)
{
	if (hold)
		down_read(&sim_registering);
	else
		up_read(&sim_registering);
}

/* ----- From create to destroy ----- */

/**
 * rviommu_sim_model() - the hardware of an instance
 * @sim: the instance
 *
 * Return: the model, which lives as long as the instance.
 */
struct rviommu_model *rviommu_sim_model(struct rviommu_sim *sim)
{
	return sim->model;
}
EXPORT_SYMBOL_GPL(rviommu_sim_model);

/**
 * rviommu_sim_set_hook() - what happens while the hardware is in the middle of something
 * @sim: the instance
 * @hook: called between two words that the IOMMU reads of a context, and between two
 *        delayed commands, in the context of whoever made the IOMMU do that: it may
 *        sleep only where that may. NULL: nothing happens.
 * @arg: for @hook
 *
 * Set once, before the switches that lead there, and not changed before they are off.
 */
void rviommu_sim_set_hook(struct rviommu_sim *sim, void (*hook)(void *arg), void *arg)
{
	sim->hook_arg = arg;
	smp_store_release(&sim->hook, hook); /* after its argument */
}
EXPORT_SYMBOL_GPL(rviommu_sim_set_hook);

/**
 * rviommu_sim_endpoint() - a device behind an instance
 * @sim: the instance
 * @index: from 0
 *
 * Return: the device, which stays until it is removed, or NULL.
 */
struct device *rviommu_sim_endpoint(struct rviommu_sim *sim, unsigned int index)
{
	if (index >= RVIOMMU_SIM_MAX_ENDPOINTS || !sim->endpoints[index])
		return NULL;
	return &sim->endpoints[index]->pdev->dev;
}
EXPORT_SYMBOL_GPL(rviommu_sim_endpoint);

/**
 * rviommu_sim_remove_endpoint() - pull a device out
 * @sim: the instance
 * @index: which; nothing happens if there is none
 *
 * Its DMA ends first: jobs that run end with -ENODEV, and no more begin. The caller
 * of rviommu_sim_endpoint() who wants the device longer takes a reference to it.
 */
void rviommu_sim_remove_endpoint(struct rviommu_sim *sim, unsigned int index)
{
	if (index >= RVIOMMU_SIM_MAX_ENDPOINTS || !sim->endpoints[index])
		return;
	sim_endpoint_del(sim->endpoints[index]);
	sim->endpoints[index] = NULL;
}
EXPORT_SYMBOL_GPL(rviommu_sim_remove_endpoint);

/* All instances. The lock is for names, which sysfs and debugfs have only once. */
static LIST_HEAD(sim_instances);
static DEFINE_MUTEX(sim_instances_lock);

static int sim_enlist(struct rviommu_sim *sim)
{
	struct rviommu_sim *other;

	guard(mutex)(&sim_instances_lock);
	list_for_each_entry(other, &sim_instances, node)
		if (!strcmp(other->name, sim->name))
			return -EEXIST;
	list_add_tail(&sim->node, &sim_instances);
	return 0;
}

static void sim_delist(struct rviommu_sim *sim)
{
	guard(mutex)(&sim_instances_lock);
	list_del_init(&sim->node);
}

static void sim_del_device(struct rviommu_sim *sim)
{
	platform_device_del(sim->pdev);
	sim_put_device(sim->pdev);
	/* Links of what was behind it hold the device, and the device its node. */
	device_link_wait_removal();
	fwnode_remove_software_node(sim->bus.fwnode);
}

/* The device that rviommu.ko drives; it has to be loaded by now. */
static int sim_add_device(struct rviommu_sim *sim)
{
	const struct rviommu_bus *bus = &sim->bus;
	int ret;

	sim->bus.fwnode = fwnode_create_software_node(NULL, NULL);
	if (IS_ERR(sim->bus.fwnode))
		return PTR_ERR(sim->bus.fwnode);
	sim->pdev = platform_device_alloc(RVIOMMU_BUS_DEVICE, PLATFORM_DEVID_AUTO);
	if (!sim->pdev) {
		fwnode_remove_software_node(sim->bus.fwnode);
		return -ENOMEM;
	}
	device_set_node(&sim->pdev->dev, sim->bus.fwnode);
	sim->bus.dev = &sim->pdev->dev;

	ret = platform_device_add_data(sim->pdev, &bus, sizeof(bus));
	if (!ret)
		ret = platform_device_add(sim->pdev);
	if (ret) {
		sim_put_device(sim->pdev);
		fwnode_remove_software_node(sim->bus.fwnode);
		return ret;
	}
	if (!device_is_bound(&sim->pdev->dev)) {
		pr_err("%s: the driver (rviommu.ko) has not taken it; is it loaded? If so, it says why\n",
		       sim->name);
		sim_del_device(sim);
		return -ENODEV;
	}
	return 0;
}

/**
 * rviommu_sim_destroy() - the end of an instance, whatever its devices are doing
 * @sim: from rviommu_sim_create(), or NULL
 */
void rviommu_sim_destroy(struct rviommu_sim *sim)
{
	unsigned int i;

	if (!sim)
		return;
	/* First, so that nobody plugs anything in any more. */
	debugfs_lookup_and_remove("functions", sim->debugfs);
	sim_pci_destroy(sim);
	for (i = 0; i < RVIOMMU_SIM_MAX_ENDPOINTS; i++)
		rviommu_sim_remove_endpoint(sim, i);
	/* The drivers of devices had files there, too. */
	debugfs_remove_recursive(sim->debugfs);
	sim_failures_forget(&sim->failures);
	if (sim->pdev)
		sim_del_device(sim);
	if (sim->worker)
		kthread_stop(sim->worker);
	sim_free_irqs(sim);
	rviommu_model_destroy(sim->model);
	/* All devices have gone, and have taken back what was theirs. */
	WARN_ON_ONCE(!xa_empty(&sim->atcs) || !xa_empty(&sim->pris));
	xa_destroy(&sim->atcs);
	xa_destroy(&sim->pris);
	sim_delist(sim);
	kfree(sim->name);
	kfree(sim);
}
EXPORT_SYMBOL_GPL(rviommu_sim_destroy);

static int sim_ats_enable(struct device *dev)
{
	return rviommu_sim_set_ats(dev, true);
}

static void sim_ats_disable(struct device *dev)
{
	rviommu_sim_set_ats(dev, false);
}

static const struct rviommu_ats_ops sim_ats_ops = {
	.depth = rviommu_sim_ats_depth,
	.enable = sim_ats_enable,
	.disable = sim_ats_disable,
};

static void sim_pri_disable(struct device *dev)
{
	rviommu_sim_disable_pri(dev);
}

static void sim_pri_forget(struct device *dev)
{
	rviommu_sim_reset_pri(dev);
}

static const struct rviommu_pri_ops sim_pri_ops = {
	.capacity = rviommu_sim_pri_capacity,
	.status = rviommu_sim_pri_status,
	.enable = rviommu_sim_enable_pri,
	.disable = sim_pri_disable,
	.reset = sim_pri_forget,
};

/* What it is, before anything of it is there. NULL: no memory */
static struct rviommu_sim *sim_alloc(const char *name, const struct rviommu_sim_config *config)
{
	struct rviommu_sim *sim = kzalloc(sizeof(*sim), GFP_KERNEL);

	if (!sim)
		return NULL;
	INIT_LIST_HEAD(&sim->node);
	sim_failures_init(&sim->failures);
	sim->config = *config;
	xa_init(&sim->atcs);
	xa_init(&sim->pris);
	sim->name = kstrdup(name, GFP_KERNEL);
	atomic64_set(&sim->last, ktime_get_ns());
	sim->bus.ops = &sim_bus_ops;
	sim->bus.ats = &sim_ats_ops;
	sim->bus.pri = &sim_pri_ops;
	sim->bus.hold_devices = sim_hold_devices;
	sim->bus.name = sim->name;
	sim->bus.wired = config->wired;
	if (!config->wired)
		sim->bus.prepare_msi = sim_prepare_msi;
	return sim;
}

static int sim_start_worker(struct rviommu_sim *sim)
{
	struct task_struct *worker = kthread_run(sim_worker, sim, "%s", sim->name);

	if (IS_ERR(worker))
		return PTR_ERR(worker);
	sim->worker = worker;
	return 0;
}

static int sim_add_endpoints(struct rviommu_sim *sim)
{
	struct sim_endpoint *ep;
	unsigned int i;

	for (i = 0; i < sim->config.endpoints; i++) {
		ep = sim_endpoint_add(sim, i);
		if (IS_ERR(ep))
			return PTR_ERR(ep);
		sim->endpoints[i] = ep;
	}
	return 0;
}

/* The IOMMU, and then what is behind it */
static int sim_add_devices(struct rviommu_sim *sim)
{
	int ret = sim_add_device(sim);

	if (ret) {
		sim->pdev = NULL;
		return ret;
	}
	sim_debugfs_add(sim);
	ret = sim_add_endpoints(sim);
	if (!ret)
		ret = sim_pci_create(sim);
	if (!ret)
		sim_pci_debugfs(sim);
	return ret;
}

/**
 * rviommu_sim_create() - build an instance and let the driver have it
 * @name: for logs, sysfs and debugfs; unique
 * @config: what it is to be; copied
 *
 * On return the driver has brought it up, and the core has attached its
 * endpoints to their default domains. May sleep.
 *
 * Return: the instance; -EINVAL for a configuration that cannot be (the log
 * says why); -EEXIST if there is one of that name; -ENODEV if the driver does not
 * take it; -EBUSY or -ENXIO if the memory for functions cannot be had; -ENOMEM.
 */
struct rviommu_sim *rviommu_sim_create(const char *name, const struct rviommu_sim_config *config)
{
	const char *why = rviommu_sim_config_check(config);
	struct rviommu_sim *sim;
	int ret = -ENOMEM;

	if (why) {
		pr_err("%s: %s\n", name, why);
		return ERR_PTR(-EINVAL);
	}
	sim = sim_alloc(name, config);
	if (!sim)
		return ERR_PTR(-ENOMEM);
	sim->model = rviommu_model_create(&config->model, &sim_model_ops, sim);
	if (!sim->name || !sim->model)
		goto err;
	ret = sim_enlist(sim);
	if (ret) {
		pr_err("%s: there is an instance of that name\n", name);
		goto err;
	}
	ret = sim_alloc_irqs(sim);
	if (!ret)
		ret = sim_start_worker(sim);
	if (!ret)
		ret = sim_add_devices(sim);
	if (ret)
		goto err;
	return sim;

err:
	rviommu_sim_destroy(sim);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(rviommu_sim_create);
