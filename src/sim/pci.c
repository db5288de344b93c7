// SPDX-License-Identifier: GPL-2.0-only
/*
 * PCI functions behind a simulated IOMMU: a host bridge in a domain of its own, with
 * root-complex integrated endpoints that exist only here. The PCI core finds them
 * as it finds any other, and so do drivers and VFIO.
 *
 * A function's device_id is its routing ID: bus number and slot. The registers of its DMA
 * engine are in configuration space; memory it has only where there is some to spare.
 *
 * A function may have virtual functions, which are there when its registers say so (sriov.c).
 */
#define pr_fmt(fmt) "rviommu_sim: " fmt

#include <linux/debugfs.h>
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "bar.h"
#include "compat.h"
#include "config_space.h"
#include "device.h"
#include "engine.h"
#include "msi.h"
#include "msix.h"
#include "pci.h"
#include "registers.h"
#include "sim.h"
#include "sriov.h"
#include "text.h"

/*
 * QEMU's "pci-ids" keeps 1af4:10f0 to 10ff free for experiments that never leave
 * the laboratory.
 */
#define SIM_VENDOR	PCI_VENDOR_ID_REDHAT_QUMRANET
#define SIM_DEVICE	0x10f0
#define SIM_SUBSYSTEM	0x5249

/* Domains that no firmware is known to use and that 16 bits hold */
#define SIM_DOMAIN_MIN	0x1000
#define SIM_DOMAIN_MAX	0xffff

/* Where things are in configuration space; what follows is 0 */
#define SIM_CAP_EXP	0x40
#define SIM_CAP_MSI	0x80
#define SIM_CAP_PM	0x98
#define SIM_CAP_MSIX	0xa0
#define SIM_CAP_PASID	0x100
#define SIM_CAP_ATS	0x110
#define SIM_CAP_PRI	0x120
#define SIM_CAP_VSEC	0x140
#define SIM_CAP_ACS	0x220
#define SIM_CAP_SRIOV	0x240
#define SIM_CFG_SIZE	(SIM_CAP_SRIOV + PCI_EXT_CAP_SRIOV_SIZEOF)

static_assert(SIM_CAP_VSEC + RVIOMMU_SIM_VSEC_LENGTH <= SIM_CAP_ACS);

/**
 * struct sim_space - what configuration space is like
 * @reset: after a reset
 * @writable: bits of it that software can write
 */
struct sim_space {
	u8 reset[SIM_CFG_SIZE];
	u8 writable[SIM_CFG_SIZE];
};

/**
 * struct sim_function - one PCI function, plugged in or not
 * @engine: its DMA engine, in use while a struct pci_dev of it is registered
 * @pci: where it is
 * @slot: and which; function 0 of that slot, or a virtual function of it
 * @id: its routing ID, counted from the first of the bridge
 * @physical: the physical function of a virtual one; else itself
 * @virtuals: its virtual functions, as many as config.vfs says; NULL: none
 * @space: what its configuration space is like
 * @plugged: it is there. Under sim_pci.lock; a virtual function is plugged in with its physical
 *           one.
 * @pdev: the core's name for it while registered. Written by the bus notifier.
 * @reset: waits until no bytes move, and ends a reset
 * @msi: its interrupts
 * @bar: its memory, if it has any,
 * @msix: and the interrupts that it has then
 * @regs: the registers of its engine
 * @lock: protects what follows, in the virtual functions, too. Raw: configuration space is
 *        accessed under a raw lock.
 * @present: it responds; of a virtual function: it is enabled; unless
 * @resetting: it is in a reset
 * @config: its configuration space
 */
struct sim_function {
	struct sim_engine engine;
	struct sim_pci *pci;
	unsigned int slot;
	unsigned int id;
	struct sim_function *physical;
	struct sim_function *virtuals;
	const struct sim_space *space;
	bool plugged;
	struct pci_dev *pdev;
	struct work_struct reset;
	struct sim_msi msi;
	struct sim_bar bar;
	struct sim_msix msix;
	struct sim_registers regs;
	raw_spinlock_t lock; /* see above */
	bool present;
	bool resetting;
	u8 config[SIM_CFG_SIZE];
};

/**
 * struct sim_pci - a host bridge and its bus
 * @sysdata: what x86 wants to find behind every bus's sysdata
 * @sim: the instance
 * @domain: PCI domain
 * @bridge: the host bridge
 * @busn: its bus numbers: one, and those that virtual functions are on
 * @window: memory for the functions
 * @msis: takes the functions' messages
 * @wq: where commands are carried out
 * @lock: plugging in and pulling out
 * @space: what configuration space is like
 * @virtual_space: that of virtual functions
 * @functions: by index, which is the slot
 * @hook_lock: protects @hook and @hook_arg; held while the hook runs
 * @hook: rviommu_sim_set_reset_hook(), or NULL
 * @hook_arg: for @hook
 * @virtuals: virtual functions, config.vfs of each function
 */
struct sim_pci {
#ifdef CONFIG_X86
	struct pci_sysdata sysdata;
#endif
	struct rviommu_sim *sim;
	int domain;
	struct pci_host_bridge *bridge;
	struct resource busn;
	struct sim_window window;
	struct sim_msi_domain msis;
	struct workqueue_struct *wq;
	struct mutex lock; /* see above */
	struct sim_space space;
	struct sim_space virtual_space;
	struct sim_function functions[RVIOMMU_SIM_MAX_FUNCTIONS];
	struct mutex hook_lock; /* see above */
	void (*hook)(unsigned int index, void *arg);
	void *hook_arg;
	struct sim_function virtuals[];
};

/* A domain number is free until the root bus of it is registered. */
static DEFINE_MUTEX(sim_domain_lock);

/* ----- What a function looks like ----- */

/* Put a capability at @where behind the one before it, @last. */
static void sim_ext_cap(struct sim_space *space, unsigned int *last, unsigned int where, u16 id)
{
	u8 *r = space->reset;

	/* The first has to be where the list begins, be it an empty one. */
	if (*last)
		rviommu_cfg_put(r, *last + 2, 2, 1 | where << 4);
	else if (where != PCI_CFG_SPACE_SIZE)
		rviommu_cfg_put(r, PCI_CFG_SPACE_SIZE, 4, where << 20);
	rviommu_cfg_put(r, where, 2, id);
	rviommu_cfg_put(r, where + 2, 2, 1);
	*last = where;
}

static void sim_pci_header(u8 *r, u8 *w)
{
	rviommu_cfg_put(r, PCI_VENDOR_ID, 2, SIM_VENDOR);
	rviommu_cfg_put(r, PCI_DEVICE_ID, 2, SIM_DEVICE);
	rviommu_cfg_put(w, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
			PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
	rviommu_cfg_put(r, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
	rviommu_cfg_put(r, PCI_CLASS_DEVICE, 2, PCI_CLASS_ACCELERATOR_PROCESSING);
	rviommu_cfg_put(w, PCI_CACHE_LINE_SIZE, 1, 0xff);
	rviommu_cfg_put(r, PCI_SUBSYSTEM_VENDOR_ID, 2, SIM_VENDOR);
	rviommu_cfg_put(r, PCI_SUBSYSTEM_ID, 2, SIM_SUBSYSTEM);
	rviommu_cfg_put(r, PCI_CAPABILITY_LIST, 1, SIM_CAP_EXP);
	rviommu_cfg_put(w, PCI_INTERRUPT_LINE, 1, 0xff);
}

static void sim_pci_express(u8 *r, u8 *w, bool pasids)
{
	rviommu_cfg_put(r, SIM_CAP_EXP, 1, PCI_CAP_ID_EXP);
	rviommu_cfg_put(r, SIM_CAP_EXP + PCI_CAP_LIST_NEXT, 1, SIM_CAP_MSI);
	rviommu_cfg_put(r, SIM_CAP_EXP + PCI_EXP_FLAGS, 2, 2 | PCI_EXP_TYPE_RC_END << 4);
	rviommu_cfg_put(r, SIM_CAP_EXP + PCI_EXP_DEVCAP, 4, PCI_EXP_DEVCAP_RBER |
			PCI_EXP_DEVCAP_FLR);
	rviommu_cfg_put(r, SIM_CAP_EXP + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_RELAX_EN |
			PCI_EXP_DEVCTL_NOSNOOP_EN | PCI_EXP_DEVCTL_READRQ_512B);
	rviommu_cfg_put(w, SIM_CAP_EXP + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_CERE |
			PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_URRE |
			PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN |
			PCI_EXP_DEVCTL_READRQ | PCI_EXP_DEVCTL_BCR_FLR);
	/* One end-to-end TLP prefix: the PASID */
	if (pasids)
		rviommu_cfg_put(r, SIM_CAP_EXP + PCI_EXP_DEVCAP2, 4,
				PCI_EXP_DEVCAP2_EE_PREFIX | 1 << 22);
}

/* Interrupts, power, and memory if there is some */
static void sim_pci_capabilities(u8 *r, u8 *w, bool memory)
{
	sim_msi_layout(r + SIM_CAP_MSI, w + SIM_CAP_MSI);
	rviommu_cfg_put(r, SIM_CAP_MSI + PCI_CAP_LIST_NEXT, 1, SIM_CAP_PM);

	/* D0 and D3hot, from which it comes back as it was */
	rviommu_cfg_put(r, SIM_CAP_PM, 1, PCI_CAP_ID_PM);
	rviommu_cfg_put(r, SIM_CAP_PM + PCI_PM_PMC, 2, 3);
	rviommu_cfg_put(r, SIM_CAP_PM + PCI_PM_CTRL, 2, PCI_PM_CTRL_NO_SOFT_RESET);
	rviommu_cfg_put(w, SIM_CAP_PM + PCI_PM_CTRL, 2, PCI_PM_CTRL_STATE_MASK);
	if (memory) {
		sim_bar_layout(r, w);
		sim_msix_layout(r + SIM_CAP_MSIX, w + SIM_CAP_MSIX);
		rviommu_cfg_put(r, SIM_CAP_PM + PCI_CAP_LIST_NEXT, 1, SIM_CAP_MSIX);
	}
}

static void sim_pci_ext_capabilities(struct sim_space *space,
				     const struct rviommu_sim_config *config)
{
	u8 *r = space->reset, *w = space->writable;
	unsigned int last = 0;

	if (config->pasid_bits) {
		sim_ext_cap(space, &last, SIM_CAP_PASID, PCI_EXT_CAP_ID_PASID);
		rviommu_cfg_put(r, SIM_CAP_PASID + PCI_PASID_CAP, 2, PCI_PASID_CAP_EXEC |
				PCI_PASID_CAP_PRIV | config->pasid_bits << 8);
		rviommu_cfg_put(w, SIM_CAP_PASID + PCI_PASID_CTRL, 2, PCI_PASID_CTRL_ENABLE |
				PCI_PASID_CTRL_EXEC | PCI_PASID_CTRL_PRIV);
	}
	if (config->ats) {
		sim_ext_cap(space, &last, SIM_CAP_ATS, PCI_EXT_CAP_ID_ATS);
		/* 0 says 32. Addresses are page aligned, bit 5; bit 6: the Global bit works. */
		rviommu_cfg_put(r, SIM_CAP_ATS + PCI_ATS_CAP, 2,
				config->ats_depth % 32 | BIT(5) | BIT(6));
		rviommu_cfg_put(w, SIM_CAP_ATS + PCI_ATS_CTRL, 2, PCI_ATS_CTRL_ENABLE |
				PCI_ATS_CTRL_STU(~0));
	}
	if (config->ats && config->pri) {
		sim_ext_cap(space, &last, SIM_CAP_PRI, PCI_EXT_CAP_ID_PRI);
		rviommu_cfg_put(w, SIM_CAP_PRI + PCI_PRI_CTRL, 2, PCI_PRI_CTRL_ENABLE |
				PCI_PRI_CTRL_RESET);
		rviommu_cfg_put(r, SIM_CAP_PRI + PCI_PRI_MAX_REQ, 4, config->pri_capacity);
		rviommu_cfg_put(w, SIM_CAP_PRI + PCI_PRI_ALLOC_REQ, 4, ~0);
	}
	sim_ext_cap(space, &last, SIM_CAP_VSEC, PCI_EXT_CAP_ID_VNDR);
	sim_registers_layout(r + SIM_CAP_VSEC);
	if (config->vfs) {
		/* It controls nothing: no function can reach another one but through the IOMMU. */
		sim_ext_cap(space, &last, SIM_CAP_ACS, PCI_EXT_CAP_ID_ACS);
		sim_ext_cap(space, &last, SIM_CAP_SRIOV, PCI_EXT_CAP_ID_SRIOV);
		sim_sriov_layout(config, r + SIM_CAP_SRIOV);
	}
}

static void sim_pci_layout(struct sim_pci *pci)
{
	const struct rviommu_sim_config *config = &pci->sim->config;
	u8 *r = pci->space.reset, *w = pci->space.writable;

	sim_pci_header(r, w);
	sim_pci_express(r, w, config->pasid_bits);
	sim_pci_capabilities(r, w, pci->window.base);
	sim_pci_ext_capabilities(&pci->space, config);
}

/* What is the same for all functions of a device is read in the virtual ones, too. */
static void sim_share(struct sim_pci *pci, unsigned int where, unsigned int size)
{
	memcpy(pci->virtual_space.reset + where, pci->space.reset + where, size);
}

/*
 * "VF/PF Configuration Space": a virtual function has neither IDs nor memory of its own. It has
 * the PASIDs and the page request interface of the physical one, sleeps with it, and shares the
 * queue and the smallest translation unit of its ATS.
 */
static void sim_pci_layout_virtual(struct sim_pci *pci)
{
	struct sim_space *space = &pci->virtual_space;
	u8 *r = space->reset, *w = space->writable;
	unsigned int last = 0;

	rviommu_cfg_put(r, PCI_VENDOR_ID, 4, ~0U);
	rviommu_cfg_put(w, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	sim_share(pci, PCI_STATUS, 2);
	sim_share(pci, PCI_CLASS_REVISION, 4);
	sim_share(pci, PCI_SUBSYSTEM_VENDOR_ID, 4);
	sim_share(pci, PCI_CAPABILITY_LIST, 1);

	sim_share(pci, SIM_CAP_EXP, PCI_EXP_DEVCTL);
	rviommu_cfg_put(r, SIM_CAP_EXP + PCI_CAP_LIST_NEXT, 1, SIM_CAP_MSI);
	rviommu_cfg_put(w, SIM_CAP_EXP + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	sim_share(pci, SIM_CAP_EXP + PCI_EXP_DEVCAP2, 4);
	sim_msi_layout(r + SIM_CAP_MSI, w + SIM_CAP_MSI);

	if (pci->sim->config.ats) {
		sim_ext_cap(space, &last, SIM_CAP_ATS, PCI_EXT_CAP_ID_ATS);
		rviommu_cfg_put(r, SIM_CAP_ATS + PCI_ATS_CAP, 2, BIT(5) | BIT(6));
		rviommu_cfg_put(w, SIM_CAP_ATS + PCI_ATS_CTRL, 2, PCI_ATS_CTRL_ENABLE);
	}
	sim_ext_cap(space, &last, SIM_CAP_VSEC, PCI_EXT_CAP_ID_VNDR);
	sim_registers_layout(r + SIM_CAP_VSEC);
	sim_ext_cap(space, &last, SIM_CAP_ACS, PCI_EXT_CAP_ID_ACS);
}

/* ----- Configuration space; no lock but the function's may be taken ----- */

static bool sim_is_virtual(const struct sim_function *fn)
{
	return fn->physical != fn;
}

/*
 * In D3hot a function answers who reads or writes its registers, and begins nothing. A virtual
 * one is as awake as the physical one.
 */
static bool sim_function_sleeps(const struct sim_function *fn)
{
	u16 ctrl = rviommu_cfg_get(fn->physical->config, SIM_CAP_PM + PCI_PM_CTRL, 2);

	return (ctrl & PCI_PM_CTRL_STATE_MASK) == (__force u16)PCI_D3hot;
}

static void sim_function_power(struct sim_function *fn)
{
	memcpy(fn->config, fn->space->reset, sizeof(fn->config));
	sim_msix_apply(&fn->msix);
	WRITE_ONCE(fn->engine.enabled, 0);
	sim_atc_reset(&fn->engine.atc);
	/* What is not there answers as little as what sleeps. */
	if (sim_is_virtual(fn))
		sim_atc_sleep(&fn->engine.atc, !fn->present || sim_function_sleeps(fn));
	sim_pri_reset_function(&fn->engine.pri);
}

/* Nothing moves, and nothing is on its way, that was begun before. */
static void sim_function_quiesce(struct sim_function *fn)
{
	down_write(&fn->engine.moving);
	up_write(&fn->engine.moving);
	sim_registers_flush(&fn->regs);
	sim_msix_flush(&fn->msix);
}

static unsigned int sim_nr_virtuals(const struct sim_function *fn)
{
	return fn->virtuals ? fn->pci->sim->config.vfs : 0;
}

/* A reset of a physical function ends when its virtual ones are quiet, too. */
static void sim_function_reset_work(struct work_struct *work)
{
	struct sim_function *fn = container_of(work, struct sim_function, reset);
	unsigned long flags;
	unsigned int i;

	sim_function_quiesce(fn);
	for (i = 0; i < sim_nr_virtuals(fn); i++)
		sim_function_quiesce(&fn->virtuals[i]);
	sim_bar_clear(&fn->bar);
	sim_msix_clear(&fn->msix);
	mutex_lock(&fn->pci->hook_lock);
	if (fn->pci->hook && !sim_is_virtual(fn))
		fn->pci->hook(fn->slot, fn->pci->hook_arg);
	mutex_unlock(&fn->pci->hook_lock);
	raw_spin_lock_irqsave(&fn->physical->lock, flags);
	fn->resetting = false;
	raw_spin_unlock_irqrestore(&fn->physical->lock, flags);
}

static bool sim_has_pri(const struct sim_pci *pci)
{
	return pci->sim->config.ats && pci->sim->config.pri;
}

/*
 * "Page Request Extended Capability". Reset is one while the interface is not enabled; a change
 * of the allocation while it is, is undefined, and has no effect here. All functions share one
 * interface. The device divides what it may have outstanding, be they enabled or not.
 */
static void sim_function_apply_pri(struct sim_function *fn)
{
	const u8 *config = fn->physical->config;
	u16 ctrl = rviommu_cfg_get(config, SIM_CAP_PRI + PCI_PRI_CTRL, 2);
	u32 allocation = min(rviommu_cfg_get(config, SIM_CAP_PRI + PCI_PRI_ALLOC_REQ, 4),
			     fn->pci->sim->config.pri_capacity);
	unsigned int nr = sim_nr_virtuals(fn->physical);
	u32 share = allocation / (1 + nr);

	sim_pri_allocate(&fn->engine.pri, sim_is_virtual(fn) ? share : allocation - nr * share);
	sim_pri_enable(&fn->engine.pri, ctrl & PCI_PRI_CTRL_ENABLE);
	if (ctrl & PCI_PRI_CTRL_RESET)
		sim_pri_reset(&fn->engine.pri);
}

/* It has stopped when all have that share it. */
static u16 sim_function_pri_status(struct sim_function *fn)
{
	u16 status = sim_pri_status(&fn->engine.pri);
	unsigned int i;

	for (i = 0; i < sim_nr_virtuals(fn); i++)
		if (!(sim_pri_status(&fn->virtuals[i].engine.pri) & PCI_PRI_STATUS_STOPPED))
			status &= ~PCI_PRI_STATUS_STOPPED;
	return status;
}

/* What the registers say that the engine may do; PASIDs are those of the physical function. */
static void sim_function_enable(struct sim_function *fn)
{
	u16 command = rviommu_cfg_get(fn->config, PCI_COMMAND, 2);
	u16 pasid = rviommu_cfg_get(fn->physical->config, SIM_CAP_PASID + PCI_PASID_CTRL, 2);
	u16 ats = rviommu_cfg_get(fn->config, SIM_CAP_ATS + PCI_ATS_CTRL, 2);
	unsigned long enabled = 0;

	if (command & PCI_COMMAND_MASTER)
		enabled |= SIM_ENGINE_MASTER;
	if (pasid & PCI_PASID_CTRL_ENABLE) {
		enabled |= SIM_ENGINE_PASID;
		enabled |= pasid & PCI_PASID_CTRL_EXEC ? SIM_ENGINE_EXEC : 0;
		enabled |= pasid & PCI_PASID_CTRL_PRIV ? SIM_ENGINE_PRIV : 0;
	}
	WRITE_ONCE(fn->engine.enabled, sim_function_sleeps(fn) ? 0 : enabled);
	sim_atc_sleep(&fn->engine.atc, sim_function_sleeps(fn));
	sim_atc_enable(&fn->engine.atc, ats & PCI_ATS_CTRL_ENABLE);
	if (sim_has_pri(fn->pci))
		sim_function_apply_pri(fn);
	if (sim_bar_apply(&fn->bar))
		sim_msix_clear(&fn->msix);
	sim_msix_apply(&fn->msix);
	sim_msi_apply(&fn->msi);
}

/* "Function Level Reset": all is as after power-on once what moves has moved. */
static void sim_function_reset(struct sim_function *fn)
{
	WRITE_ONCE(fn->engine.resets, fn->engine.resets + 1);
	sim_function_power(fn);
	/* What the physical function says of it, it says still. */
	if (sim_is_virtual(fn) && fn->present)
		sim_function_enable(fn);
	fn->resetting = true;
	schedule_work(&fn->reset);
}

/* A virtual function comes, or goes with all it did. Both are resets. */
static void sim_virtual_switch(struct sim_function *fn, bool on)
{
	fn->present = on;
	if (!on) {
		sim_function_reset(fn);
		return;
	}
	sim_function_power(fn);
	sim_function_enable(fn);
}

/* Let what the registers of a physical function say of its virtual ones come true. */
static void sim_virtuals_apply(struct sim_function *fn)
{
	unsigned int i, nr = sim_sriov_enabled(fn->config + SIM_CAP_SRIOV);

	for (i = 0; i < sim_nr_virtuals(fn); i++) {
		struct sim_function *virtual = &fn->virtuals[i];
		bool on = i < nr;

		if (virtual->present != on)
			sim_virtual_switch(virtual, on);
		else if (virtual->present)
			sim_function_enable(virtual);
	}
}

/* Let what the registers say come true. What only begins something reads as 0. */
static void sim_function_apply(struct sim_function *fn)
{
	u16 pri = rviommu_cfg_get(fn->config, SIM_CAP_PRI + PCI_PRI_CTRL, 2);

	if (rviommu_cfg_get(fn->config, SIM_CAP_EXP + PCI_EXP_DEVCTL, 2) & PCI_EXP_DEVCTL_BCR_FLR) {
		sim_function_reset(fn);
		sim_virtuals_apply(fn);
		return;
	}
	sim_function_enable(fn);
	sim_virtuals_apply(fn);
	rviommu_cfg_put(fn->config, SIM_CAP_PRI + PCI_PRI_CTRL, 2, pri & ~PCI_PRI_CTRL_RESET);
}

static struct sim_function *sim_function_at(struct pci_bus *bus, unsigned int devfn)
{
	struct sim_pci *pci = bus->sysdata;
	const struct rviommu_sim_config *config = &pci->sim->config;
	unsigned int id = PCI_DEVID(bus->number, devfn) - PCI_DEVID(pci->busn.start, 0);
	unsigned int slot, index;

	if (id >> 3 < config->pci_functions && !PCI_FUNC(devfn))
		return &pci->functions[id >> 3];
	if (!sim_sriov_find(config, id, &slot, &index))
		return NULL;
	return &pci->functions[slot].virtuals[index];
}

static int sim_config_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *value)
{
	struct sim_function *fn = sim_function_at(bus, devfn);
	int ret = PCIBIOS_DEVICE_NOT_FOUND;
	unsigned long flags;

	*value = ~0U;
	if (!fn)
		return ret;
	raw_spin_lock_irqsave(&fn->physical->lock, flags);
	if (fn->present && !fn->resetting) {
		rviommu_cfg_put(fn->config, SIM_CAP_EXP + PCI_EXP_DEVSTA, 2,
				rwsem_is_locked(&fn->engine.moving) ? PCI_EXP_DEVSTA_TRPND : 0);
		if (sim_has_pri(fn->pci) && !sim_is_virtual(fn))
			rviommu_cfg_put(fn->config, SIM_CAP_PRI + PCI_PRI_STATUS, 2,
					sim_function_pri_status(fn));
		*value = where + size <= SIM_CFG_SIZE ?
			 rviommu_cfg_get(fn->config, where, size) : 0;
		ret = PCIBIOS_SUCCESSFUL;
	}
	raw_spin_unlock_irqrestore(&fn->physical->lock, flags);
	return ret;
}

/* What a write to anywhere sets of the bits that are cleared by writing 1, in one byte. */
static u8 sim_written_ones(unsigned int where, unsigned int size, u32 value, unsigned int byte)
{
	return byte >= where && byte < where + size ? value >> 8 * (byte - where) : 0;
}

/* Is ATS on in a function, or in one that has its PASIDs? */
static bool sim_uses_ats(struct sim_function *fn)
{
	unsigned int i;

	for (i = 0; i < sim_nr_virtuals(fn); i++)
		if (sim_atc_is_on(&fn->virtuals[i].engine.atc))
			return true;
	return sim_atc_is_on(&fn->engine.atc);
}

static void sim_function_write(struct sim_function *fn, unsigned int where, unsigned int size,
			       u32 value)
{
	u32 mask = rviommu_cfg_get(fn->space->writable, where, size);
	u32 old = rviommu_cfg_get(fn->config, where, size);
	u16 pasid = rviommu_cfg_get(fn->config, SIM_CAP_PASID + PCI_PASID_CTRL, 2);
	u32 allocation = rviommu_cfg_get(fn->config, SIM_CAP_PRI + PCI_PRI_ALLOC_REQ, 4);
	u16 pri = rviommu_cfg_get(fn->config, SIM_CAP_PRI + PCI_PRI_CTRL, 2);
	u16 power = rviommu_cfg_get(fn->config, SIM_CAP_PM + PCI_PM_CTRL, 2), state;

	if (where >= SIM_CAP_SRIOV && fn->virtuals) {
		sim_sriov_write(fn->config + SIM_CAP_SRIOV, where - SIM_CAP_SRIOV, size, value);
		sim_virtuals_apply(fn);
		return;
	}
	if (where >= SIM_CAP_VSEC && where < SIM_CAP_VSEC + RVIOMMU_SIM_VSEC_LENGTH) {
		sim_registers_write(&fn->regs, where - SIM_CAP_VSEC, size, value);
		return;
	}
	rviommu_cfg_put(fn->config, where, size, (old & ~mask) | (value & mask));
	/* A state that there is not is not entered. */
	state = rviommu_cfg_get(fn->config, SIM_CAP_PM + PCI_PM_CTRL, 2) & PCI_PM_CTRL_STATE_MASK;
	if (state == (__force u16)PCI_D1 || state == (__force u16)PCI_D2)
		rviommu_cfg_put(fn->config, SIM_CAP_PM + PCI_PM_CTRL, 2, power);
	/* Undefined while ATS is on: it remains what it was. */
	if (sim_uses_ats(fn))
		rviommu_cfg_put(fn->config, SIM_CAP_PASID + PCI_PASID_CTRL, 2, pasid);
	/* Likewise */
	if (pri & PCI_PRI_CTRL_ENABLE)
		rviommu_cfg_put(fn->config, SIM_CAP_PRI + PCI_PRI_ALLOC_REQ, 4, allocation);
	sim_pri_clear_status(&fn->engine.pri,
			     sim_written_ones(where, size, value, SIM_CAP_PRI + PCI_PRI_STATUS));
	sim_function_apply(fn);
}

static int sim_config_write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 value)
{
	struct sim_function *fn = sim_function_at(bus, devfn);
	int ret = PCIBIOS_DEVICE_NOT_FOUND;
	unsigned long flags;

	if (!fn)
		return ret;
	raw_spin_lock_irqsave(&fn->physical->lock, flags);
	if (fn->present && !fn->resetting) {
		if (where + size <= SIM_CFG_SIZE)
			sim_function_write(fn, where, size, value);
		ret = PCIBIOS_SUCCESSFUL;
	}
	raw_spin_unlock_irqrestore(&fn->physical->lock, flags);
	return ret;
}

static struct pci_ops sim_pci_ops = {
	.read = sim_config_read,
	.write = sim_config_write,
};

/* ----- Devices come and go ----- */

/*
 * Before the core asks for a device's IOMMU, say which it is; and let it have its
 * engine, since the IOMMU's driver may ask about it. Nobody else's device has our ops.
 */
static int sim_pci_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	struct pci_dev *pdev = to_pci_dev(data);
	struct sim_function *fn;
	struct rviommu_sim *sim;
	int ret;

	if (pdev->bus->ops != &sim_pci_ops)
		return NOTIFY_DONE;
	fn = sim_function_at(pdev->bus, pdev->devfn);
	if (!fn)
		return NOTIFY_DONE;
	sim = fn->pci->sim;

	switch (action) {
	case BUS_NOTIFY_ADD_DEVICE:
		flush_work(&fn->reset);
		sim_registers_flush(&fn->regs);
		ret = sim_name_iommu(&pdev->dev, sim->bus.fwnode, pci_dev_id(pdev));
		if (ret) {
			pci_err(pdev, "cannot be put behind %s: %d\n", sim->name, ret);
			return NOTIFY_DONE;
		}
		/* Where the register says. If that cannot be, the core looks for a place. */
		if (fn->pci->window.base && !sim_is_virtual(fn) && !pdev->resource[0].parent)
			pci_claim_resource(pdev, 0);
		fn->engine.can_reset = true;
		sim_engine_add(&fn->engine, sim, &pdev->dev, pci_dev_id(pdev));
		WRITE_ONCE(fn->pdev, pdev);
		return NOTIFY_OK;
	case BUS_NOTIFY_DEL_DEVICE:
		if (READ_ONCE(fn->pdev) != pdev)
			return NOTIFY_DONE;
		WRITE_ONCE(fn->pdev, NULL);
		sim_engine_del(&fn->engine);
		/* No message is on its way any more. */
		sim_msix_flush(&fn->msix);
		return NOTIFY_OK;
	}
	return NOTIFY_DONE;
}

/* Above the core's, which has 0 */
static struct notifier_block sim_pci_nb = {
	.notifier_call = sim_pci_notify,
	.priority = 1,
};

/* The core's name for a virtual function, with a reference, or NULL */
static struct pci_dev *sim_virtual_get(const struct sim_function *fn)
{
	const struct sim_pci *pci = fn->pci;

	return pci_get_domain_bus_and_slot(pci->domain, pci->busn.start + (fn->id >> 8),
					   fn->id & 0xff);
}

/* It answers nothing any more; the virtual ones go with the physical one. */
static void sim_function_vanish(struct sim_function *fn)
{
	unsigned long flags;
	unsigned int i;

	WRITE_ONCE(fn->engine.gone, true);
	raw_spin_lock_irqsave(&fn->physical->lock, flags);
	fn->present = false;
	raw_spin_unlock_irqrestore(&fn->physical->lock, flags);
	sim_atc_pull(&fn->engine.atc);
	sim_pri_pull(&fn->engine.pri);
	for (i = 0; i < sim_nr_virtuals(fn); i++) {
		struct pci_dev *pdev = sim_virtual_get(&fn->virtuals[i]);

		sim_function_vanish(&fn->virtuals[i]);
		if (pdev)
			pdev->error_state = pci_channel_io_perm_failure;
		pci_dev_put(pdev);
	}
}

/*
 * As who pulls a function does: its driver ends, and so do the virtual functions that it
 * has left, which hold the physical one.
 */
static void sim_function_remove(struct pci_dev *pdev)
{
	down_write(&sim_registering);
	pci_lock_rescan_remove();
	if (pci_num_vf(pdev)) {
		device_release_driver(&pdev->dev);
		pci_disable_sriov(pdev);
	}
	pci_stop_and_remove_bus_device(pdev);
	pci_unlock_rescan_remove();
	up_write(&sim_registering);
}

/* One of those, and what it holds of the physical one: who removes it alone forgets that. */
static struct pci_dev *sim_orphan_remove(struct pci_dev *pdev)
{
	struct pci_dev *pf = pci_physfn(pdev);

	pci_stop_and_remove_bus_device(pdev);
	pci_dev_put(pdev);
	return pf;
}

/*
 * Those that somebody has left who took the physical function out himself. The PCI core still has
 * that, with its virtual ones enabled, and would have it for ever.
 */
static void sim_virtuals_remove(struct sim_function *fn)
{
	struct pci_dev *pf = NULL, *pdev;
	unsigned int i, nr = 0;

	down_write(&sim_registering);
	pci_lock_rescan_remove();
	for (i = 0; i < sim_nr_virtuals(fn); i++) {
		pdev = sim_virtual_get(&fn->virtuals[i]);
		if (!pdev)
			continue;
		pf = sim_orphan_remove(pdev);
		nr++;
	}
	if (pf)
		pci_disable_sriov(pf);
	pci_unlock_rescan_remove();
	up_write(&sim_registering);
	while (nr--)
		pci_dev_put(pf);
}

/* The IOMMU finds its ATC and its page request interface, from now on until ... */
static int sim_function_register(struct sim_function *fn)
{
	u16 id = PCI_DEVID(fn->pci->busn.start, 0) + fn->id;
	int ret;

	ret = sim_atc_add(&fn->engine.atc, fn->pci->sim, id);
	if (ret)
		return ret;
	ret = sim_pri_add(&fn->engine.pri, fn->pci->sim, id);
	if (ret)
		sim_atc_del(&fn->engine.atc);
	else
		fn->plugged = true;
	return ret;
}

/* ... here, if at all. Whoever accessed its registers is done. */
static void sim_function_unregister(struct sim_function *fn)
{
	unsigned int i;

	for (i = 0; i < sim_nr_virtuals(fn); i++)
		sim_function_unregister(&fn->virtuals[i]);
	if (!fn->plugged)
		return;
	/* Until its device is gone, the IOMMU's driver has to do with the ATC. */
	WARN_ON_ONCE(READ_ONCE(fn->pdev));
	flush_work(&fn->reset);
	sim_registers_flush(&fn->regs);
	sim_msix_flush(&fn->msix);
	sim_pri_del(&fn->engine.pri);
	sim_atc_del(&fn->engine.atc);
	fn->plugged = false;
}

static int sim_function_register_all(struct sim_function *fn)
{
	unsigned int i;
	int ret;

	ret = sim_function_register(fn);
	for (i = 0; i < sim_nr_virtuals(fn) && !ret; i++) {
		ret = sim_function_register(&fn->virtuals[i]);
		if (ret)
			break;
		sim_atc_share(&fn->virtuals[i].engine.atc, &fn->engine.atc);
		sim_pri_share(&fn->virtuals[i].engine.pri, &fn->engine.pri);
	}
	if (ret)
		sim_function_unregister(fn);
	return ret;
}

static void sim_function_unplug(struct sim_function *fn, bool surprise)
{
	struct pci_dev *pdev;
	unsigned long flags;
	unsigned int i;

	if (!fn->plugged)
		return;
	pdev = pci_get_slot(fn->pci->bridge->bus, PCI_DEVFN(fn->slot, 0));
	if (surprise) {
		sim_function_vanish(fn);
		if (pdev)
			pdev->error_state = pci_channel_io_perm_failure;
	}
	if (pdev)
		sim_function_remove(pdev);
	pci_dev_put(pdev);
	sim_virtuals_remove(fn);

	raw_spin_lock_irqsave(&fn->lock, flags);
	fn->present = false;
	for (i = 0; i < sim_nr_virtuals(fn); i++)
		fn->virtuals[i].present = false;
	raw_spin_unlock_irqrestore(&fn->lock, flags);
	sim_function_unregister(fn);
}

/* As it comes from the factory; none of its virtual functions is there. */
static void sim_function_begin(struct sim_function *fn)
{
	unsigned long flags;
	unsigned int i;

	raw_spin_lock_irqsave(&fn->lock, flags);
	sim_function_power(fn);
	for (i = 0; i < sim_nr_virtuals(fn); i++)
		sim_function_power(&fn->virtuals[i]);
	if (fn->pci->window.base)
		sim_bar_place(&fn->bar, fn->slot);
	fn->present = true;
	raw_spin_unlock_irqrestore(&fn->lock, flags);
}

static int sim_function_plug(struct sim_function *fn)
{
	struct pci_bus *bus = fn->pci->bridge->bus;
	struct pci_dev *pdev;
	int ret;

	if (fn->plugged)
		return -EEXIST;
	ret = sim_function_register_all(fn);
	if (ret)
		return ret;
	/* Who scans the bus meanwhile would find it, and here it would be added twice. */
	pci_lock_rescan_remove();
	sim_function_begin(fn);
	pdev = pci_scan_single_device(bus, PCI_DEVFN(fn->slot, 0));
	if (pdev)
		pci_bus_add_device(pdev);
	ret = pdev && device_iommu_mapped(&pdev->dev) ? 0 : -ENODEV;
	pci_unlock_rescan_remove();
	if (ret) {
		pr_err("%s: the IOMMU did not take PCI function %u\n", fn->pci->sim->name,
		       fn->slot);
		sim_function_unplug(fn, false);
	}
	return ret;
}

static struct sim_function *sim_function(struct rviommu_sim *sim, unsigned int index)
{
	return sim->pci && index < sim->config.pci_functions ? &sim->pci->functions[index] : NULL;
}

/**
 * rviommu_sim_function() - a PCI function behind an instance
 * @sim: the instance
 * @index: from 0
 *
 * Return: the device (a struct pci_dev's), which stays until it is removed, or NULL.
 */
struct device *rviommu_sim_function(struct rviommu_sim *sim, unsigned int index)
{
	struct sim_function *fn = sim_function(sim, index);
	struct pci_dev *pdev = fn ? READ_ONCE(fn->pdev) : NULL;

	return pdev ? &pdev->dev : NULL;
}
EXPORT_SYMBOL_GPL(rviommu_sim_function);

/**
 * rviommu_sim_virtual_function() - a virtual function of a PCI function
 * @sim: the instance
 * @index: of the physical function, from 0
 * @nr: which of its virtual functions, from 0
 *
 * Return: the device (a struct pci_dev's), which stays until it is removed, or NULL: there is no
 * such function, or it is not enabled.
 */
struct device *rviommu_sim_virtual_function(struct rviommu_sim *sim, unsigned int index,
					    unsigned int nr)
{
	struct sim_function *fn = sim_function(sim, index);
	struct pci_dev *pdev;

	if (!fn || nr >= sim_nr_virtuals(fn))
		return NULL;
	pdev = READ_ONCE(fn->virtuals[nr].pdev);
	return pdev ? &pdev->dev : NULL;
}
EXPORT_SYMBOL_GPL(rviommu_sim_virtual_function);

/**
 * rviommu_sim_add_function() - plug a PCI function in
 * @sim: the instance
 * @index: which, of those that the instance was built with
 *
 * On return the core knows it, and it has an IOMMU. May sleep.
 *
 * Return: 0; -EINVAL: there is no such slot; -EEXIST: it is there; -ENODEV: the IOMMU
 * or the core did not take it; -ENOMEM.
 */
int rviommu_sim_add_function(struct rviommu_sim *sim, unsigned int index)
{
	struct sim_function *fn = sim_function(sim, index);
	int ret;

	if (!fn)
		return -EINVAL;
	mutex_lock(&sim->pci->lock);
	ret = sim_function_plug(fn);
	mutex_unlock(&sim->pci->lock);
	return ret;
}
EXPORT_SYMBOL_GPL(rviommu_sim_add_function);

/**
 * rviommu_sim_remove_function() - take a PCI function out
 * @sim: the instance
 * @index: which; nothing happens if there is none
 * @surprise: without notice: it answers nothing any more when its driver and the
 *            IOMMU's hear of it
 *
 * Its DMA ends: jobs that run end with -ENODEV. With notice that is after its
 * driver was unbound. May sleep.
 */
void rviommu_sim_remove_function(struct rviommu_sim *sim, unsigned int index, bool surprise)
{
	struct sim_function *fn = sim_function(sim, index);

	if (!fn)
		return;
	mutex_lock(&sim->pci->lock);
	sim_function_unplug(fn, surprise);
	mutex_unlock(&sim->pci->lock);
}
EXPORT_SYMBOL_GPL(rviommu_sim_remove_function);

/**
 * rviommu_sim_interrupt() - let a PCI function send a message-signalled interrupt
 * @sim: the instance
 * @index: which function
 * @vector: its vector
 *
 * Nothing comes of it where its registers do not enable that. Any context.
 *
 * Return: 0; -EINVAL: there is no such slot or vector; -ENODEV: there is no function in it.
 */
int rviommu_sim_interrupt(struct rviommu_sim *sim, unsigned int index, unsigned int vector)
{
	struct sim_function *fn = sim_function(sim, index);
	unsigned long flags;
	bool present;

	if (!fn || vector >= SIM_MSI_VECTORS)
		return -EINVAL;
	raw_spin_lock_irqsave(&fn->lock, flags);
	present = fn->present;
	if (present)
		sim_msix_raise(&fn->msix, vector);
	raw_spin_unlock_irqrestore(&fn->lock, flags);
	return present ? 0 : -ENODEV;
}
EXPORT_SYMBOL_GPL(rviommu_sim_interrupt);

/**
 * rviommu_sim_set_reset_hook() - do something while a PCI function is in a reset
 * @sim: the instance, which has functions
 * @hook: called in process context with the index of the function, which answers nothing
 *        until it returns; NULL: none
 * @arg: for @hook
 *
 * When this returns, the hook before is not running any more.
 */
void rviommu_sim_set_reset_hook(struct rviommu_sim *sim,
				void (*hook)(unsigned int index, void *arg), void *arg)
{
	mutex_lock(&sim->pci->hook_lock);
	sim->pci->hook = hook;
	sim->pci->hook_arg = arg;
	mutex_unlock(&sim->pci->hook_lock);
}
EXPORT_SYMBOL_GPL(rviommu_sim_set_reset_hook);

/* ----- debugfs ----- */

static void sim_virtual_show(struct seq_file *s, const struct sim_function *fn, unsigned int index)
{
	seq_printf(s, "%u.%u %04x:%02x:%02x.%u enabled\n", fn->slot, index, fn->pci->domain,
		   (u8)(fn->pci->busn.start + (fn->id >> 8)), PCI_SLOT(fn->id), PCI_FUNC(fn->id));
}

static int sim_functions_show(struct seq_file *s, void *unused)
{
	struct rviommu_sim *sim = s->private;
	struct sim_pci *pci = sim->pci;
	unsigned int i, k;

	mutex_lock(&pci->lock);
	for (i = 0; i < sim->config.pci_functions; i++) {
		struct sim_function *fn = &pci->functions[i];

		seq_printf(s, "%u %04x:%02x:%02x.0 %s\n", i, pci->domain, (u8)pci->busn.start, i,
			   fn->plugged ? "plugged" : "empty");
		for (k = 0; k < sim_nr_virtuals(fn); k++)
			if (READ_ONCE(fn->virtuals[k].present))
				sim_virtual_show(s, &fn->virtuals[k], k);
	}
	mutex_unlock(&pci->lock);
	return 0;
}

static int sim_functions_open(struct inode *inode, struct file *file)
{
	return single_open(file, sim_functions_show, inode->i_private);
}

/**
 * sim_pci_command() - "add INDEX", "remove INDEX", "surprise INDEX", "interrupt INDEX VECTOR"
 * @sim: the instance, which has functions
 * @text: the command; taken apart
 *
 * Return: 0; -EINVAL; an error of rviommu_sim_add_function() or rviommu_sim_interrupt().
 */
int sim_pci_command(struct rviommu_sim *sim, char *text)
{
	unsigned int words;
	const char *word[3];
	u64 index, vector;

	words = sim_words(text, word, 3);
	if (words < 2 || words > 3 ||
	    sim_number(sim->name, "INDEX", word[1], 0, sim->config.pci_functions - 1, &index))
		return -EINVAL;
	if (words == 3) {
		if (strcmp(word[0], "interrupt") ||
		    sim_number(sim->name, "VECTOR", word[2], 0, SIM_MSI_VECTORS - 1, &vector))
			return -EINVAL;
		return rviommu_sim_interrupt(sim, index, vector);
	}
	if (!strcmp(word[0], "add"))
		return rviommu_sim_add_function(sim, index);
	if (!strcmp(word[0], "remove"))
		rviommu_sim_remove_function(sim, index, false);
	else if (!strcmp(word[0], "surprise"))
		rviommu_sim_remove_function(sim, index, true);
	else
		return -EINVAL;
	return 0;
}

static ssize_t sim_functions_write(struct file *file, const char __user *from, size_t count,
				   loff_t *pos)
{
	char text[32] = {};

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	return sim_pci_command(file_inode(file)->i_private, text) ?: count;
}

static const struct file_operations sim_functions_fops = {
	.owner = THIS_MODULE,
	.open = sim_functions_open,
	.read = seq_read,
	.write = sim_functions_write,
	.llseek = seq_lseek,
	.release = single_release,
};

/**
 * sim_pci_debugfs() - files about the functions
 * @sim: the instance, whose directory is there
 */
void sim_pci_debugfs(struct rviommu_sim *sim)
{
	if (sim->pci)
		debugfs_create_file("functions", 0600, sim->debugfs, sim, &sim_functions_fops);
}

/* ----- The host bridge ----- */

static bool sim_domain_used(int domain)
{
	struct pci_bus *bus = NULL;

	while ((bus = pci_find_next_bus(bus)))
		if (pci_domain_nr(bus) == domain)
			return true;
	return false;
}

/* Return: the domain, or -ENOSPC; sim_domain_lock is held */
static int sim_domain_get(void)
{
	int domain;

	for (domain = SIM_DOMAIN_MIN; domain <= SIM_DOMAIN_MAX; domain++)
		if (!sim_domain_used(domain) && rviommu_reserve_pci_domain(domain))
			return domain;
	return -ENOSPC;
}

/* Where domains are the core's, the bridge takes its own along. */
static void sim_domain_put(int domain)
{
	if (!IS_ENABLED(CONFIG_PCI_DOMAINS_GENERIC))
		rviommu_release_pci_domain(domain);
}

static int sim_bridge_add(struct sim_pci *pci)
{
	struct pci_host_bridge *bridge = pci_alloc_host_bridge(0);
	int ret;

	if (!bridge)
		return -ENOMEM;
	mutex_lock(&sim_domain_lock);
	ret = sim_domain_get();
	if (ret < 0)
		goto err;
	pci->domain = ret;
#ifdef CONFIG_X86
	pci->sysdata.domain = pci->domain;
	pci->sysdata.node = NUMA_NO_NODE;
#endif
#ifdef CONFIG_PCI_DOMAINS_GENERIC
	bridge->domain_nr = pci->domain;
#endif
	pci->busn = (struct resource){
		.name = "rviommu_sim",
		.start = pci->sim->config.pci_bus,
		.end = pci->sim->config.pci_bus + sim_sriov_buses(&pci->sim->config) - 1,
		.flags = IORESOURCE_BUS,
	};
	ret = sim_msi_domain_add(&pci->msis, pci->domain);
	if (ret) {
		sim_domain_put(pci->domain);
		goto err;
	}
	/* The bus takes it from there, and each function from the bus. */
	dev_set_msi_domain(&bridge->dev, pci->msis.domain);
	pci_add_resource(&bridge->windows, &pci->busn);
	if (pci->window.base)
		pci_add_resource(&bridge->windows, &pci->window.res);
	bridge->sysdata = pci;
	bridge->ops = &sim_pci_ops;
	bridge->busnr = pci->busn.start;
	ret = pci_host_probe(bridge);
	if (ret) {
		sim_msi_domain_del(&pci->msis);
		sim_domain_put(pci->domain);
		goto err;
	}
	pci->bridge = bridge;
	mutex_unlock(&sim_domain_lock);
	return 0;

err:
	mutex_unlock(&sim_domain_lock);
	pci_free_host_bridge(bridge);
	return ret;
}

/**
 * sim_pci_destroy() - no functions, no bridge any more
 * @sim: the instance; it may have none
 */
void sim_pci_destroy(struct rviommu_sim *sim)
{
	struct sim_pci *pci = sim->pci;
	unsigned int i;

	if (!pci)
		return;
	if (pci->bridge) {
		for (i = 0; i < sim->config.pci_functions; i++)
			rviommu_sim_remove_function(sim, i, false);
		pci_lock_rescan_remove();
		pci_stop_root_bus(pci->bridge->bus);
		pci_remove_root_bus(pci->bridge->bus);
		pci_unlock_rescan_remove();
		/* Links to the IOMMU hold functions, and these their bus. */
		device_link_wait_removal();
		pci_free_host_bridge(pci->bridge);
		sim_msi_domain_del(&pci->msis);
		sim_domain_put(pci->domain);
	}
	sim->pci = NULL;
	sim_window_del(&pci->window);
	destroy_workqueue(pci->wq);
	mutex_destroy(&pci->lock);
	mutex_destroy(&pci->hook_lock);
	kvfree(pci);
}

/* A function that is not there yet; @fn has its memory */
static void sim_function_init(struct sim_pci *pci, struct sim_function *fn, unsigned int slot,
			      unsigned int id)
{
	fn->pci = pci;
	fn->slot = slot;
	fn->id = id;
	fn->physical = &pci->functions[slot];
	fn->space = sim_is_virtual(fn) ? &pci->virtual_space : &pci->space;
	/* Until it is added. */
	fn->engine.gone = true;
	init_rwsem(&fn->engine.moving);
	raw_spin_lock_init(&fn->lock);
	INIT_WORK(&fn->reset, sim_function_reset_work);
	fn->msi.engine = &fn->engine;
	fn->msi.bridge = &pci->msis;
	fn->msi.id = PCI_DEVID(pci->sim->config.pci_bus, 0) + id;
	fn->msi.lock = &fn->physical->lock;
	fn->msi.cap = fn->config + SIM_CAP_MSI;
	sim_msi_init(&fn->msi);
	fn->bar.window = &pci->window;
	fn->bar.config = fn->config;
	fn->msix.msi = &fn->msi;
	fn->msix.bar = &fn->bar;
	if (pci->window.base && !sim_is_virtual(fn))
		fn->msix.cap = fn->config + SIM_CAP_MSIX;
	sim_msix_init(&fn->msix);
	fn->regs.engine = &fn->engine;
	fn->regs.msix = &fn->msix;
	fn->regs.wq = pci->wq;
	fn->regs.lock = &fn->physical->lock;
	fn->regs.cap = fn->config + SIM_CAP_VSEC;
	sim_registers_init(&fn->regs);
}

static void sim_functions_init(struct sim_pci *pci)
{
	const struct rviommu_sim_config *config = &pci->sim->config;
	unsigned int i, k;

	for (i = 0; i < RVIOMMU_SIM_MAX_FUNCTIONS; i++)
		sim_function_init(pci, &pci->functions[i], i, i << 3);
	for (i = 0; i < config->pci_functions && config->vfs; i++) {
		struct sim_function *virtuals = pci->virtuals + i * config->vfs;

		pci->functions[i].virtuals = virtuals;
		for (k = 0; k < config->vfs; k++)
			sim_function_init(pci, &virtuals[k], i, sim_sriov_id(config, i, k));
	}
}

/**
 * sim_pci_create() - a host bridge with functions, if the instance has any
 * @sim: the instance, whose IOMMU works
 *
 * Return: 0, or an error; nothing is left to undo then.
 */
int sim_pci_create(struct rviommu_sim *sim)
{
	struct sim_pci *pci;
	unsigned int i;
	int ret = 0;

	if (!sim->config.pci_functions)
		return 0;
#ifdef CONFIG_X86
	/* to_pci_sysdata() */
	BUILD_BUG_ON(offsetof(struct sim_pci, sysdata));
#endif
	pci = kvzalloc(struct_size(pci, virtuals, sim->config.pci_functions * sim->config.vfs),
		       GFP_KERNEL);
	if (!pci)
		return -ENOMEM;
	pci->wq = alloc_workqueue("rviommu_sim_pci", WQ_UNBOUND, 0);
	if (!pci->wq) {
		kvfree(pci);
		return -ENOMEM;
	}
	if (sim->config.bar_size)
		ret = sim_window_add(&pci->window, sim->name, sim->config.bar_start,
				     sim->config.bar_size);
	if (ret) {
		destroy_workqueue(pci->wq);
		kvfree(pci);
		return ret;
	}
	pci->sim = sim;
	mutex_init(&pci->lock);
	mutex_init(&pci->hook_lock);
	sim_pci_layout(pci);
	if (sim->config.vfs)
		sim_pci_layout_virtual(pci);
	sim_functions_init(pci);
	sim->pci = pci;
	ret = sim_bridge_add(pci);
	for (i = 0; i < sim->config.pci_functions && !ret; i++)
		ret = rviommu_sim_add_function(sim, i);
	if (ret)
		sim_pci_destroy(sim);
	return ret;
}

/**
 * sim_pci_register() - watch for our functions
 *
 * Return: 0, or an error of the driver core.
 */
int sim_pci_register(void)
{
	return bus_register_notifier(&pci_bus_type, &sim_pci_nb);
}

/**
 * sim_pci_unregister() - undo sim_pci_register(); no instance is left
 */
void sim_pci_unregister(void)
{
	bus_unregister_notifier(&pci_bus_type, &sim_pci_nb);
}
