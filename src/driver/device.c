// SPDX-License-Identifier: GPL-2.0-only
/*
 * One IOMMU from bring-up to removal: capabilities, what firmware left, queues,
 * interrupts, device directory (spec "Guidelines for initialization").
 *
 * What is missing or broken is said once, in one sentence, by whoever notices
 * (queue.c and cmdq.c speak for the queues), and the probe fails with nothing
 * left behind.
 */
#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/numa.h>
#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include "ats.h"
#include "attachment.h"
#include "cmdq.h"
#include "command.h"
#include "debugfs.h"
#include "device.h"
#include "directory.h"
#include "endpoint.h"
#include "fault.h"
#include "filter.h"
#include "inq.h"
#include "invalidate.h"
#include "iommu.h"
#include "pageq.h"
#include "pasid.h"
#include "queue.h"
#include "quirks.h"
#include "registry.h"
#include "rviommu.h"
#include "static.h"

/* Entries that are asked for; hardware may grant fewer (WARL). */
#define RVIOMMU_CQ_LG2		10
#define RVIOMMU_FQ_LG2		9
#define RVIOMMU_PQ_LG2		9

/* Writers of ddtp are few: the queue that dies, and who brings the IOMMU up or down. */
#define RVIOMMU_DDTP_TRIES	4

/* Looks at a command queue that was given up and is busy, and microseconds between two. */
#define RVIOMMU_QUIET_LOOKS	500
#define RVIOMMU_QUIET_US	1000

/* PPN fields are 44 bits wide. */
#define RVIOMMU_PAS_MAX		56

static unsigned int ddt_levels;
module_param(ddt_levels, uint, 0444);
MODULE_PARM_DESC(ddt_levels, "Levels of the device directory, 1 to 3 (0: as many as the IOMMU has)");

/*
 * Read ddtp once it is not busy. Any context: polls for at most
 * rviommu_queue_timeout_us().
 */
static int rviommu_wait_ddtp(struct rviommu *iommu, u64 *ddtp)
{
	unsigned int us, timeout = rviommu_queue_timeout_us();

	for (us = 0; us < timeout; us++) {
		*ddtp = rviommu_read64(iommu, RVIOMMU_REG_DDTP);
		if (!(*ddtp & RVIOMMU_DDTP_BUSY))
			return 0;
		udelay(1);
	}
	return -ETIMEDOUT;
}

/*
 * Write ddtp once it is not busy: not between somebody else's look and his write. The
 * command queue may die at any time, and nothing may undo the Off that it leaves. So one
 * that is dead takes no other mode.
 */
static int rviommu_write_ddtp(struct rviommu *iommu, u64 value, u64 *result)
{
	const bool off = FIELD_GET(RVIOMMU_DDTP_MODE, value) == RVIOMMU_DDTP_MODE_OFF;
	unsigned int tries = 0;
	unsigned long flags;
	u64 ddtp;
	int ret;

	do {
		ret = rviommu_wait_ddtp(iommu, &ddtp);
		if (ret)
			return ret;
		spin_lock_irqsave(&iommu->ddtp_lock, flags);
		ddtp = rviommu_read64(iommu, RVIOMMU_REG_DDTP);
		if (ddtp & RVIOMMU_DDTP_BUSY)
			ret = -EBUSY;
		else if (!off && rviommu_is_dead(iommu))
			ret = -EIO;
		else
			/* Spec "ddtp" forbids changing the root page on the way to Off. */
			rviommu_write64(iommu, RVIOMMU_REG_DDTP,
					off ? ddtp & ~RVIOMMU_DDTP_MODE : value);
		spin_unlock_irqrestore(&iommu->ddtp_lock, flags);
	} while (ret == -EBUSY && ++tries < RVIOMMU_DDTP_TRIES);
	return ret ?: rviommu_wait_ddtp(iommu, result);
}

/* Off, from any mode. */
static int rviommu_switch_off(struct rviommu *iommu)
{
	u64 ddtp;
	int ret;

	ret = rviommu_write_ddtp(iommu, RVIOMMU_DDTP_MODE_OFF, &ddtp);
	if (!ret && FIELD_GET(RVIOMMU_DDTP_MODE, ddtp) != RVIOMMU_DDTP_MODE_OFF)
		ret = -EIO;
	return ret;
}

/*
 * rviommu_cmdq.on_dead: the command queue was given up, and said so. Nothing can be invalidated
 * any more, so no translation may be used any more.
 *
 * Whoever waits for an invalidation is told of the failure after this, and frees
 * memory then: so it is over when transactions in flight are done (spec "ddtp":
 * when busy reads 0).
 */
static bool rviommu_out_of_service(struct rviommu_cmdq *cq, bool last)
{
	struct rviommu *iommu = container_of(cq, struct rviommu, cmdq);
	bool refused = false;
	u64 ddtp;

	/* The queue's lock is held, so interrupts are off. */
	spin_lock(&iommu->ddtp_lock);
	WRITE_ONCE(iommu->dead, true);
	ddtp = rviommu_read64(iommu, RVIOMMU_REG_DDTP);
	/* A device that is gone translates nothing. */
	if (ddtp == ~0ULL)
		ddtp = 0;
	if (!(ddtp & RVIOMMU_DDTP_BUSY) && FIELD_GET(RVIOMMU_DDTP_MODE, ddtp)) {
		rviommu_write64(iommu, RVIOMMU_REG_DDTP, ddtp & ~RVIOMMU_DDTP_MODE);
		ddtp = rviommu_read64(iommu, RVIOMMU_REG_DDTP);
		refused = !(ddtp & RVIOMMU_DDTP_BUSY) && FIELD_GET(RVIOMMU_DDTP_MODE, ddtp);
	}
	spin_unlock(&iommu->ddtp_lock);
	if (!(ddtp & RVIOMMU_DDTP_BUSY) && !refused)
		return true;
	if (last || refused)
		dev_err(iommu->dev,
			"cannot be switched off: DMA may reach memory that was freed\n");
	return last || refused;
}

static int rviommu_check_caps(struct rviommu *iommu)
{
	struct device *dev = iommu->dev;
	unsigned int igs, version;
	u64 caps;

	if (!rviommu_snoops(dev))
		return dev_err_probe(dev, -ENODEV, "does not snoop caches (dma-noncoherent)\n");
	caps = rviommu_read64(iommu, RVIOMMU_REG_CAPABILITIES);
	if (caps == ~0ULL)
		return dev_err_probe(dev, -ENODEV, "registers read as all ones\n");
	iommu->caps = caps;

	version = FIELD_GET(RVIOMMU_CAP_VERSION, caps);
	if (FIELD_GET(RVIOMMU_CAP_VERSION_MAJOR, caps) != 1)
		return dev_err_probe(dev, -ENODEV, "version %u.%u is not supported\n",
				     version >> 4, version & 0xf);

	igs = FIELD_GET(RVIOMMU_CAP_IGS, caps);
	if (igs != RVIOMMU_IGS_BOTH &&
	    igs != (iommu->bus->wired ? RVIOMMU_IGS_WSI : RVIOMMU_IGS_MSI))
		return dev_err_probe(dev, -ENODEV, "cannot signal interrupts by %s\n",
				     iommu->bus->wired ? "wire" : "message");

	if (!(caps & (RVIOMMU_CAP_SV39 | RVIOMMU_CAP_SV48 | RVIOMMU_CAP_SV57 |
		      RVIOMMU_CAP_SV39X4 | RVIOMMU_CAP_SV48X4 | RVIOMMU_CAP_SV57X4)))
		return dev_err_probe(dev, -ENODEV,
				     "has no 64-bit page table format (capabilities %#llx)\n",
				     caps);

	iommu->pas_lg2 = FIELD_GET(RVIOMMU_CAP_PAS, caps);
	if (iommu->pas_lg2 < RVIOMMU_PAGE_LG2 + RVIOMMU_PAGE_LG2 ||
	    iommu->pas_lg2 > RVIOMMU_PAS_MAX)
		return dev_err_probe(dev, -ENODEV, "claims physical addresses of %u bits\n",
				     iommu->pas_lg2);
	return 0;
}

/*
 * What firmware or a crashed kernel left running. Bare stays as it is until the
 * device directory takes over, unless fctl has to change.
 */
static int rviommu_quiesce(struct rviommu *iommu)
{
	struct rviommu_queue pq = {
		.bus = iommu->bus, .name = "pq", .reg_csr = RVIOMMU_REG_PQCSR,
	};
	struct device *dev = iommu->dev;
	unsigned int mode;
	u64 ddtp;
	int ret;

	ret = rviommu_wait_ddtp(iommu, &ddtp);
	if (ret)
		return dev_err_probe(dev, ret, "ddtp stays busy\n");
	mode = FIELD_GET(RVIOMMU_DDTP_MODE, ddtp);
	iommu->boot_mode = mode == RVIOMMU_DDTP_MODE_BARE ? mode : RVIOMMU_DDTP_MODE_OFF;

	if (mode > RVIOMMU_DDTP_MODE_BARE) {
		ret = rviommu_switch_off(iommu);
		if (ret)
			return dev_err_probe(dev, ret, "cannot be switched off\n");
		dev_info(dev, "was left translating (ddtp %#llx): switched off\n", ddtp);
	}
	return iommu->caps & RVIOMMU_CAP_ATS ? rviommu_queue_disable(&pq) : 0;
}

/* Queues are off; the mode must be Off while a feature changes (spec "fctl"). */
static int rviommu_setup_fctl(struct rviommu *iommu)
{
	struct device *dev = iommu->dev;
	u32 old, want;
	int ret;

	old = rviommu_read32(iommu, RVIOMMU_REG_FCTL);
	want = old & ~(RVIOMMU_FCTL_BE | RVIOMMU_FCTL_WSI | RVIOMMU_FCTL_GXL);
	if (iommu->bus->wired)
		want |= RVIOMMU_FCTL_WSI;
	if (old != want) {
		ret = rviommu_switch_off(iommu);
		if (ret)
			return dev_err_probe(dev, ret, "cannot be switched off\n");
		rviommu_write32(iommu, RVIOMMU_REG_FCTL, want);
	}

	iommu->fctl = rviommu_read32(iommu, RVIOMMU_REG_FCTL);
	if (iommu->fctl & RVIOMMU_FCTL_BE)
		return dev_err_probe(dev, -ENODEV, "is big-endian only\n");
	if (iommu->fctl & RVIOMMU_FCTL_GXL)
		return dev_err_probe(dev, -ENODEV, "is limited to 32-bit address spaces\n");
	if (!(iommu->fctl & RVIOMMU_FCTL_WSI) != !iommu->bus->wired)
		return dev_err_probe(dev, -ENODEV, "cannot signal interrupts by %s\n",
				     iommu->bus->wired ? "wire" : "message");
	return 0;
}

/*
 * Causes to vectors. The number of writable bits per cause tells how many
 * vectors there are (spec "Guidelines for initialization").
 */
static int rviommu_setup_icvec(struct rviommu *iommu)
{
	static const u64 field[RVIOMMU_NR_CAUSES] = {
		RVIOMMU_ICVEC_CIV, RVIOMMU_ICVEC_FIV, RVIOMMU_ICVEC_PMIV, RVIOMMU_ICVEC_PIV,
	};
	unsigned int i, vectors = iommu->bus->nr_irqs;
	u64 all = 0, writable, icvec = 0;

	for (i = 0; i < ARRAY_SIZE(field); i++)
		all |= field[i];
	rviommu_write64(iommu, RVIOMMU_REG_ICVEC, all);
	writable = rviommu_read64(iommu, RVIOMMU_REG_ICVEC);
	for (i = 0; i < ARRAY_SIZE(field); i++) {
		u64 bits = (writable & field[i]) >> __ffs64(field[i]);

		vectors = min_t(unsigned int, vectors, bits + 1);
	}

	iommu->nr_irqs = vectors;
	for (i = 0; i < vectors; i++)
		iommu->irqs[i] = (struct rviommu_irq){
			.iommu = iommu, .irq = iommu->bus->irqs[i],
		};
	for (i = 0; i < ARRAY_SIZE(field); i++) {
		icvec |= (u64)(i % vectors) << __ffs64(field[i]);
		iommu->irqs[i % vectors].causes |= BIT(i);
	}
	rviommu_write64(iommu, RVIOMMU_REG_ICVEC, icvec);
	iommu->icvec = icvec;
	if ((rviommu_read64(iommu, RVIOMMU_REG_ICVEC) & all) != icvec)
		return dev_err_probe(iommu->dev, -ENODEV, "icvec does not hold what is written\n");
	return 0;
}

/*
 * A wire is up as long as its bits in ipsr are set, and an error sets them again until it
 * is repaired (spec "Interrupt pending status register"): the thread's work. Until then
 * the wire is masked, but by ourselves: IRQF_ONESHOT, which would do that, has to be asked
 * for by everybody who shares the wire.
 */
static irqreturn_t rviommu_irq(int irq, void *data)
{
	struct rviommu_irq *vector = data;
	struct rviommu *iommu = vector->iommu;

	/* A message is for us alone. */
	if (!iommu->bus->wired)
		return IRQ_WAKE_THREAD;
	if (!(rviommu_read32(iommu, RVIOMMU_REG_IPSR) & vector->causes))
		return IRQ_NONE;
	disable_irq_nosync(irq);
	return IRQ_WAKE_THREAD;
}

/*
 * A command queue that was given up holds its wire up until its interrupt enable can be taken;
 * unmasked before, it would keep a CPU busy. One for which that takes too long stays masked,
 * for whoever shares it, too.
 */
static void rviommu_unmask(struct rviommu_irq *vector, int irq)
{
	struct rviommu *iommu = vector->iommu;
	unsigned int looks = RVIOMMU_QUIET_LOOKS;

	while (vector->causes & RVIOMMU_IPSR_CIP && !rviommu_cmdq_is_quiet(&iommu->cmdq)) {
		if (!looks--) {
			dev_err(iommu->dev, "holds its wire up: interrupt %d stays masked\n", irq);
			return;
		}
		usleep_range(RVIOMMU_QUIET_US, 2 * RVIOMMU_QUIET_US);
		rviommu_cmdq_handle_errors(&iommu->cmdq);
		rviommu_write32(iommu, RVIOMMU_REG_IPSR, RVIOMMU_IPSR_CIP);
	}
	enable_irq(irq);
}

static irqreturn_t rviommu_irq_thread(int irq, void *data)
{
	struct rviommu_irq *vector = data;
	struct rviommu *iommu = vector->iommu;
	u32 pending = rviommu_read32(iommu, RVIOMMU_REG_IPSR) & vector->causes;
	u32 unused = pending & (RVIOMMU_IPSR_PMIP | (iommu->pageq.q.base ? 0 : RVIOMMU_IPSR_PIP));

	if (pending & RVIOMMU_IPSR_CIP) {
		rviommu_cmdq_handle_errors(&iommu->cmdq);
		rviommu_write32(iommu, RVIOMMU_REG_IPSR, RVIOMMU_IPSR_CIP);
		/* An error between the two would not raise another interrupt. */
		rviommu_cmdq_handle_errors(&iommu->cmdq);
	}
	if (pending & RVIOMMU_IPSR_FIP)
		rviommu_inq_service(&iommu->faultq);
	if (pending & RVIOMMU_IPSR_PIP)
		rviommu_inq_service(&iommu->pageq);
	if (unused)
		rviommu_write32(iommu, RVIOMMU_REG_IPSR, unused);
	if (iommu->bus->wired)
		rviommu_unmask(vector, irq);
	return IRQ_HANDLED;
}

static void rviommu_free_irqs(struct rviommu *iommu, unsigned int nr)
{
	while (nr--)
		free_irq(iommu->irqs[nr].irq, &iommu->irqs[nr]);
}

static int rviommu_request_irqs(struct rviommu *iommu)
{
	/* With a neighbour that has IRQF_ONESHOT already, agree to it. */
	unsigned long flags = iommu->bus->wired ? IRQF_SHARED | IRQF_COND_ONESHOT : 0;
	unsigned int i;
	int ret;

	for (i = 0; i < iommu->nr_irqs; i++) {
		ret = request_threaded_irq(iommu->irqs[i].irq, rviommu_irq, rviommu_irq_thread,
					   flags, iommu->bus->name, &iommu->irqs[i]);
		if (ret) {
			rviommu_free_irqs(iommu, i);
			return dev_err_probe(iommu->dev, ret, "cannot request interrupt %d\n",
					     iommu->irqs[i].irq);
		}
	}
	return 0;
}

static int rviommu_ddt_sync(struct rviommu_ddt *ddt, u32 did, bool all)
{
	struct rviommu *iommu = container_of(ddt, struct rviommu, ddt);
	struct rviommu_command cmd = all ? rviommu_cmd_inval_ddt_all() : rviommu_cmd_inval_ddt(did);

	return rviommu_cmdq_sync(&iommu->cmdq, &cmd, 1);
}

static const struct rviommu_ddt_ops rviommu_ddt_hw_ops = {
	.store = rviommu_ddt_store,
	.sync = rviommu_ddt_sync,
};

/* Whatever a previous user of the IOMMU left in its caches. */
static int rviommu_forget_everything(struct rviommu *iommu)
{
	struct rviommu_command cmds[] = {
		rviommu_cmd_inval_ddt_all(),
		rviommu_cmd_iotinval_vma_all(),
		rviommu_cmd_iotinval_gvma_all(),
	};

	return rviommu_cmdq_sync(&iommu->cmdq, cmds,
				 rviommu_filter(iommu, RVIOMMU_WHY_START, cmds, ARRAY_SIZE(cmds)));
}

static u64 rviommu_ddtp_value(const struct rviommu *iommu, unsigned int levels)
{
	return FIELD_PREP(RVIOMMU_DDTP_MODE, RVIOMMU_DDTP_MODE_1LVL + levels - 1) |
	       FIELD_PREP(RVIOMMU_DDTP_PPN, virt_to_phys(iommu->ddt.dir.root) >> RVIOMMU_PAGE_LG2);
}

/*
 * The widest device_id that the IOMMU supports: which devices come, nobody
 * knows yet. An empty root page is right for any number of levels, so the
 * supported modes are found by writing them (spec, same guidelines).
 */
static int rviommu_start_ddt(struct rviommu *iommu)
{
	bool extended = iommu->caps & RVIOMMU_CAP_MSI_FLAT;
	unsigned int levels, first = 3, last = 1;
	struct device *dev = iommu->dev;
	u64 ddtp;
	int ret;

	if (ddt_levels > 3)
		return dev_err_probe(dev, -EINVAL, "ddt_levels=%u is not 0 to 3\n", ddt_levels);
	if (ddt_levels) {
		first = ddt_levels;
		last = ddt_levels;
	}

	ret = rviommu_ddt_init(&iommu->ddt, &rviommu_ddt_hw_ops, first, extended, iommu->pas_lg2,
			       iommu->nid);
	if (ret)
		return ret;
	for (levels = first; levels >= last; levels--) {
		u64 want = rviommu_ddtp_value(iommu, levels);

		ret = rviommu_write_ddtp(iommu, want, &ddtp);
		/* It may walk the root page from now on: that is not freed. */
		if (ret)
			return dev_err_probe(dev, ret, "ddtp stays busy\n");
		if (ddtp == want) {
			iommu->ddt.dir.levels = levels;
			return 0;
		}
		/* From a mode that was not asked for, only Off leads on. */
		if (FIELD_GET(RVIOMMU_DDTP_MODE, ddtp) > RVIOMMU_DDTP_MODE_BARE) {
			ret = rviommu_switch_off(iommu);
			if (ret)
				return dev_err_probe(dev, ret, "cannot be switched off\n");
		}
	}
	rviommu_ddt_destroy(&iommu->ddt);
	return dev_err_probe(dev, -ENODEV, "supports no device directory of %u to %u levels\n",
			     last, first);
}

static int rviommu_start_queues(struct rviommu *iommu)
{
	int ret;

	ret = rviommu_cmdq_enable(&iommu->cmdq);
	if (ret)
		return ret;
	ret = rviommu_inq_enable(&iommu->faultq);
	if (ret)
		goto err_cmdq;
	ret = rviommu_inq_enable(&iommu->pageq);
	if (!ret)
		return 0;
	rviommu_inq_disable(&iommu->faultq);
err_cmdq:
	rviommu_cmdq_disable(&iommu->cmdq);
	return ret;
}

static void rviommu_stop_queues(struct rviommu *iommu)
{
	rviommu_inq_disable(&iommu->pageq);
	rviommu_inq_disable(&iommu->faultq);
	/* Nobody who reads one of them asks for it any more. */
	if (iommu->pageq.q.base)
		cancel_delayed_work_sync(&iommu->revive);
	rviommu_cmdq_disable(&iommu->cmdq);
}

/*
 * Would Bare, where firmware left it, take no DMA anywhere else than it goes now? Only if
 * all that is behind the IOMMU is identity or gone. Whoever has an address space
 * of its own would go on with the same addresses, and they would be physical ones:
 * a driver that does not stop its device at shutdown writes into the next kernel
 * then. And what is blocked would be let loose.
 */
static bool rviommu_may_leave_bare(struct rviommu *iommu)
{
	struct rviommu_endpoint *ep;
	bool may = true;

	if (iommu->boot_mode != RVIOMMU_DDTP_MODE_BARE || rviommu_is_dead(iommu))
		return false;
	/* At shutdown nobody waits for what hangs: not for another who waits for a device. */
	if (!mutex_trylock(&iommu->endpoints_lock))
		return false;
	list_for_each_entry(ep, &iommu->endpoints, node)
		if (rviommu_attached_domain(ep, IOMMU_NO_PASID) != &rviommu_identity_domain ||
		    !xa_empty(&ep->pasids) || READ_ONCE(ep->lost))
			may = false;
	mutex_unlock(&iommu->endpoints_lock);
	return may;
}

/*
 * No DMA is translated any more; then Bare, if asked for. False when the hardware may
 * still walk the directory.
 */
static bool rviommu_stop_ddt(struct rviommu *iommu, bool bare)
{
	u64 ddtp = rviommu_read64(iommu, RVIOMMU_REG_DDTP);

	if (ddtp == ~0ULL)
		return true;
	if (rviommu_switch_off(iommu)) {
		dev_err(iommu->dev, "cannot be switched off, its directory is abandoned\n");
		return false;
	}
	if (bare)
		rviommu_write_ddtp(iommu, RVIOMMU_DDTP_MODE_BARE, &ddtp);
	return true;
}

static void rviommu_describe(const struct rviommu *iommu)
{
	u64 caps = iommu->caps;

	dev_info(iommu->dev,
		 "version %llu.%llu,%s%s%s%s%s%s, %u-bit PA, %u-level DDT (%s), %u PASIDs%s, %u vector%s%s\n",
		 FIELD_GET(RVIOMMU_CAP_VERSION_MAJOR, caps), caps & 0xf,
		 caps & RVIOMMU_CAP_SV39 ? " Sv39" : "", caps & RVIOMMU_CAP_SV48 ? " Sv48" : "",
		 caps & RVIOMMU_CAP_SV57 ? " Sv57" : "",
		 caps & RVIOMMU_CAP_SV39X4 ? " Sv39x4" : "",
		 caps & RVIOMMU_CAP_SV48X4 ? " Sv48x4" : "",
		 caps & RVIOMMU_CAP_SV57X4 ? " Sv57x4" : "",
		 iommu->pas_lg2, iommu->ddt.dir.levels,
		 caps & RVIOMMU_CAP_MSI_FLAT ? "extended" : "base",
		 rviommu_pasid_limit(iommu), caps & RVIOMMU_CAP_ATS ? ", ATS" : "",
		 iommu->nr_irqs, iommu->nr_irqs == 1 ? "" : "s",
		 iommu->bus->wired ? " (wired)" : "");
	if (!IS_ENABLED(CONFIG_IOMMU_IOPF) && caps & RVIOMMU_CAP_ATS)
		dev_info_once(iommu->dev, "this kernel has no CONFIG_IOMMU_IOPF: no page requests\n");
}

/**
 * rviommu_wait_for_readers() - nobody looks at an IOMMU any more
 * @iommu: its queues are off, and no device is attached to anything
 *
 * An unmap elsewhere may have found the IOMMU among the targets of a domain. With the
 * queues off it waits for no fence any more; after this it does not look at their memory
 * either. A KUnit test looks at what is still there.
 */
void rviommu_wait_for_readers(struct rviommu *iommu)
{
	KUNIT_STATIC_STUB_REDIRECT(rviommu_wait_for_readers, iommu);
	rviommu_inval_synchronize();
	synchronize_rcu();
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_wait_for_readers);

/* While the core looks for the devices of an IOMMU, see struct rviommu_bus. */
static void rviommu_hold_devices(struct rviommu_bus *bus, bool hold)
{
	if (bus->hold_devices)
		bus->hold_devices(bus, hold);
}

static void rviommu_begin(struct rviommu *iommu, struct rviommu_bus *bus)
{
	iommu->bus = bus;
	iommu->dev = bus->dev;
	iommu->nid = dev_to_node(bus->dev);
	spin_lock_init(&iommu->ddtp_lock);
	xa_init(&iommu->dids);
	init_waitqueue_head(&iommu->asked);
	mutex_init(&iommu->endpoints_lock);
	INIT_LIST_HEAD(&iommu->endpoints);
}

static void rviommu_free_queues(struct rviommu *iommu)
{
	rviommu_inq_destroy(&iommu->pageq);
	rviommu_inq_destroy(&iommu->faultq);
	rviommu_cmdq_destroy(&iommu->cmdq);
}

/* Their memory; the hardware does not know of it yet. */
static int rviommu_make_queues(struct rviommu *iommu)
{
	int ret;

	ret = rviommu_cmdq_init(&iommu->cmdq, iommu->bus, RVIOMMU_CQ_LG2, iommu->pas_lg2,
				iommu->nid);
	if (ret)
		return ret;
	iommu->cmdq.on_dead = rviommu_out_of_service;
	if (iommu->caps & RVIOMMU_CAP_ATS)
		rviommu_cmdq_use_ats(&iommu->cmdq, rviommu_ats_device_lost,
				     rviommu_ats_device_away);
	iommu->cmdq.mutate = &iommu->mutate;
	ret = rviommu_faultq_init(iommu, RVIOMMU_FQ_LG2);
	if (ret)
		goto err_cmdq;
	ret = rviommu_pageq_init(iommu, RVIOMMU_PQ_LG2);
	if (ret)
		goto err_faultq;
	return 0;

err_faultq:
	rviommu_inq_destroy(&iommu->faultq);
err_cmdq:
	rviommu_cmdq_destroy(&iommu->cmdq);
	return ret;
}

/* Nothing is translated any more, and nobody looks at it. @bare: as firmware left it */
static void rviommu_let_go(struct rviommu *iommu, bool bare)
{
	if (rviommu_stop_ddt(iommu, bare))
		rviommu_ddt_destroy(&iommu->ddt);
	rviommu_stop_queues(iommu);
	/* The core may have attached devices, even if it refused the IOMMU. */
	rviommu_wait_for_readers(iommu);
	rviommu_free_irqs(iommu, iommu->nr_irqs);
}

/* Interrupts, queues, directory: from now on it translates what is attached, which is nothing. */
static int rviommu_take_over(struct rviommu *iommu)
{
	int ret;

	iommu->ddt.mutate = &iommu->mutate;
	ret = rviommu_setup_fctl(iommu);
	if (!ret)
		ret = rviommu_setup_icvec(iommu);
	if (ret)
		return ret;
	if (iommu->bus->prepare_msi)
		iommu->bus->prepare_msi(iommu->bus);
	ret = rviommu_request_irqs(iommu);
	if (ret)
		return ret;
	ret = rviommu_start_queues(iommu);
	if (ret)
		goto err_irqs;
	ret = rviommu_forget_everything(iommu);
	if (!ret)
		ret = rviommu_start_ddt(iommu);
	if (ret)
		goto err_queues;
	iommu->ddt.can_lose = iommu->caps & RVIOMMU_CAP_ATS;
	ret = rviommu_quirks_init(iommu);
	if (ret)
		rviommu_let_go(iommu, rviommu_may_leave_bare(iommu));
	return ret;

err_queues:
	rviommu_stop_queues(iommu);
	rviommu_wait_for_readers(iommu);
err_irqs:
	rviommu_free_irqs(iommu, iommu->nr_irqs);
	return ret;
}

/* The core brings its devices. */
static int rviommu_announce(struct rviommu *iommu)
{
	int ret;

	rviommu_enlist(iommu);
	rviommu_debugfs_add(iommu);
	iommu->core.max_pasids = rviommu_pasid_limit(iommu);
	ret = iommu_device_sysfs_add(&iommu->core, iommu->dev, NULL, "%s", iommu->bus->name);
	if (ret) {
		dev_err_probe(iommu->dev, ret, "cannot be added to sysfs\n");
		goto err_list;
	}
	rviommu_hold_devices(iommu->bus, true);
	ret = iommu_device_register(&iommu->core, &rviommu_ops, iommu->dev);
	rviommu_hold_devices(iommu->bus, false);
	if (ret) {
		dev_err_probe(iommu->dev, ret, "the IOMMU core refused it\n");
		goto err_sysfs;
	}
	return 0;

err_sysfs:
	iommu_device_sysfs_remove(&iommu->core);
err_list:
	rviommu_debugfs_remove(iommu);
	rviommu_delist(iommu);
	return ret;
}

/**
 * rviommu_probe() - bring one IOMMU up and hand it to the IOMMU core
 * @iommu: zeroed memory for it, owned by the caller until rviommu_remove()
 *         returned
 * @bus: how to reach it
 *
 * Return: 0, or an error: then the hardware is off (or as it was found), nothing
 * is registered or allocated, and one message said why.
 */
int rviommu_probe(struct rviommu *iommu, struct rviommu_bus *bus)
{
	int ret;

	rviommu_begin(iommu, bus);
	ret = rviommu_check_caps(iommu);
	if (!ret)
		ret = rviommu_quiesce(iommu);
	if (!ret)
		ret = rviommu_make_queues(iommu);
	if (ret)
		return ret;
	ret = rviommu_take_over(iommu);
	if (ret)
		goto err_queues;
	rviommu_describe(iommu);
	ret = rviommu_announce(iommu);
	if (ret)
		goto err_let_go;
	return 0;

err_let_go:
	rviommu_let_go(iommu, rviommu_may_leave_bare(iommu));
err_queues:
	rviommu_free_queues(iommu);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_probe);

/**
 * rviommu_remove() - take an IOMMU down
 * @iommu: from rviommu_probe(). Devices are behind it only if it was pulled out; as a
 *         module the driver stays while there are any.
 */
void rviommu_remove(struct rviommu *iommu)
{
	/* Before the core takes the devices away that are still in use: it was pulled out. */
	bool bare = rviommu_may_leave_bare(iommu);

	rviommu_hold_devices(iommu->bus, true);
	iommu_device_unregister(&iommu->core);
	rviommu_hold_devices(iommu->bus, false);
	iommu_device_sysfs_remove(&iommu->core);
	rviommu_debugfs_remove(iommu);
	rviommu_delist(iommu);

	rviommu_let_go(iommu, bare);
	rviommu_free_queues(iommu);

	WARN_ON(!xa_empty(&iommu->dids));
	xa_destroy(&iommu->dids);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_remove);

/**
 * rviommu_shutdown() - before another kernel starts, or none
 * @iommu: the IOMMU
 *
 * What is left is Off, so that no DMA reaches an address of this kernel in the next: not
 * every driver stops its device. A kernel that has a driver for the IOMMU begins
 * from Off; for one that has none, Bare is left as firmware left it, if nobody is
 * translated. No queue is written to any more.
 */
void rviommu_shutdown(struct rviommu *iommu)
{
	rviommu_stop_ddt(iommu, rviommu_may_leave_bare(iommu));
	/*
	 * Whatever it waits for: nothing is translated any more. Before the others: who reads
	 * page requests may wait for room for a response, and is waited for.
	 */
	rviommu_cmdq_disable_now(&iommu->cmdq);
	rviommu_inq_disable(&iommu->pageq);
	rviommu_inq_disable(&iommu->faultq);
	if (iommu->pageq.q.base)
		cancel_delayed_work(&iommu->revive);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_shutdown);

/**
 * rviommu_suspend() - before power may go
 * @iommu: the IOMMU
 *
 * Faults that were reported are read, because the queue's tail will be lost; then
 * the queues go off; of one that does not, it is said, and rviommu_resume() finds it
 * busy. Devices are suspended already (rviommu_link_device()), so whoever
 * still unmaps (the timer of a flush queue) needs no invalidation: it is refused one,
 * and rviommu_resume() starts with empty caches.
 *
 * Return: 0, always.
 */
int rviommu_suspend(struct rviommu *iommu)
{
	rviommu_inq_service(&iommu->faultq);
	rviommu_inq_service(&iommu->pageq);
	rviommu_ats_suspend(iommu);
	rviommu_stop_queues(iommu);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_suspend);

/*
 * What is out of service stays so: a reset may have left ddtp Bare, and firmware what it
 * likes. Says once what it found or what it cannot do.
 */
static int rviommu_stay_out(struct rviommu *iommu)
{
	u64 ddtp = rviommu_read64(iommu, RVIOMMU_REG_DDTP);
	int ret = 0;

	/* A device that is gone translates nothing. */
	if (ddtp == ~0ULL)
		return 0;
	if (ddtp & (RVIOMMU_DDTP_MODE | RVIOMMU_DDTP_BUSY)) {
		ret = rviommu_switch_off(iommu);
		if (ret)
			dev_err(iommu->dev,
				"out of service, but open after suspend (ddtp %#llx), and cannot be switched off: DMA may reach memory that was freed\n",
				ddtp);
		else
			dev_warn(iommu->dev,
				 "out of service, but open after suspend (ddtp %#llx): switched off again\n",
				 ddtp);
	}
	rviommu_stop_queues(iommu);
	return ret;
}

/**
 * rviommu_resume() - after power may have gone
 * @iommu: the IOMMU
 *
 * One that is out of service is kept there: no DMA, and no queue. It can become so on
 * the way, by a command of somebody who unmaps as soon as there is a queue.
 *
 * Return: 0, or an error: the IOMMU is out of service and said so.
 */
int rviommu_resume(struct rviommu *iommu)
{
	u64 ddtp, want = rviommu_ddtp_value(iommu, iommu->ddt.dir.levels);
	int ret;

	if (rviommu_is_dead(iommu))
		return rviommu_stay_out(iommu);

	ret = rviommu_wait_ddtp(iommu, &ddtp);
	if (!ret && (ddtp != want || rviommu_read32(iommu, RVIOMMU_REG_FCTL) != iommu->fctl)) {
		ret = rviommu_switch_off(iommu);
		if (!ret)
			rviommu_write32(iommu, RVIOMMU_REG_FCTL, iommu->fctl);
		ddtp = 0;
	}
	if (ret)
		goto err;
	rviommu_write64(iommu, RVIOMMU_REG_ICVEC, iommu->icvec);
	if (iommu->bus->prepare_msi)
		iommu->bus->prepare_msi(iommu->bus);
	/* Nobody looks before there is a queue: that was waited for when they were stopped. */
	iommu->revive_looks = 0;
	ret = rviommu_start_queues(iommu);
	if (!ret)
		ret = rviommu_forget_everything(iommu);
	if (!ret && ddtp != want)
		ret = rviommu_write_ddtp(iommu, want, &ddtp);
	if (!ret && ddtp != want)
		ret = -EIO;
	if (!ret) {
		rviommu_ats_resume(iommu);
		if (iommu->pageq.q.base)
			schedule_delayed_work(&iommu->revive, msecs_to_jiffies(RVIOMMU_REVIVE_MS));
		return 0;
	}
err:
	dev_err(iommu->dev, "could not be brought back after suspend (%d)\n", ret);
	rviommu_cmdq_kill(&iommu->cmdq, "lost at resume");
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_resume);
