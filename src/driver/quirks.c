// SPDX-License-Identifier: GPL-2.0-only
/*
 * Workarounds for one implementation, each with its reason and a way to tell.
 */
#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "attach.h"
#include "directory.h"
#include "domain.h"
#include "endpoint.h"
#include "mem.h"
#include "pgtable.h"
#include "queue.h"
#include "quirks.h"
#include "rviommu.h"

static char *quirks = "";
module_param(quirks, charp, 0444);
MODULE_PARM_DESC(quirks, "Workarounds to force on (name) or off (-name), separated by commas: no_svnapot, small_iotinval, notify_valid");

/* What a self-test found out. */
enum rviommu_verdict {
	RVIOMMU_VERDICT_GOOD,
	RVIOMMU_VERDICT_BAD,
	RVIOMMU_VERDICT_UNKNOWN,
};

static enum rviommu_verdict rviommu_test_svnapot(struct rviommu *iommu);

/*
 * A quirk is in force when the module parameter says so; else when its
 * self-test finds the defect; else, where there is no test or it cannot tell,
 * when the bus glue knows the implementation by its ID.
 */
static const struct {
	const char *name;
	const char *reason;
	enum rviommu_verdict (*test)(struct rviommu *iommu);
} rviommu_quirks[RVIOMMU_NR_QUIRKS] = {
	/*
	 * QEMU before 11.0 (PCI 1b36:0014) ignores the N bit of a PTE and takes
	 * the size bits of its PPN for address bits. Svnapot is not optional:
	 * spec "capabilities", "IOMMU implementations must support the Svnapot
	 * standard extension".
	 */
	[RVIOMMU_QUIRK_NO_SVNAPOT] = {
		.name = "no_svnapot",
		.reason = "64 KiB leaves are translated wrongly",
		.test = rviommu_test_svnapot,
	},
	/*
	 * QEMU to 11.1 at least (PCI 1b36:0014) caches a large leaf as 4 KiB
	 * pieces and an IOTINVAL with an address removes one piece. Spec "IOTINVAL.VMA
	 * operands and operations": all entries that contain the leaf PTE
	 * corresponding to the address. Cannot be seen through the debug
	 * registers, which do not use that cache.
	 */
	[RVIOMMU_QUIRK_SMALL_IOTINVAL] = {
		.name = "small_iotinval",
		.reason = "IOTINVAL with an address forgets 4 KiB of a larger leaf",
	},
	/*
	 * Spec "Guidelines for emulating an IOMMU": an emulator may want a command
	 * also when an entry becomes valid. No binding to ask for it exists yet.
	 */
	[RVIOMMU_QUIRK_NOTIFY_VALID] = {
		.name = "notify_valid",
		.reason = "wants to be told of new contexts",
	},
};

/**
 * rviommu_quirk_name() - name of a quirk, for messages and debugfs
 * @quirk: enum rviommu_quirk
 *
 * Return: a name that the module parameter takes, too.
 */
const char *rviommu_quirk_name(unsigned int quirk)
{
	return quirk < RVIOMMU_NR_QUIRKS ? rviommu_quirks[quirk].name : "?";
}

/**
 * rviommu_quirk_reason() - what is wrong with hardware that has a quirk
 * @quirk: enum rviommu_quirk
 *
 * Return: one phrase.
 */
const char *rviommu_quirk_reason(unsigned int quirk)
{
	return quirk < RVIOMMU_NR_QUIRKS ? rviommu_quirks[quirk].reason : "?";
}

/* One translation through the debug registers: tr_response, or -errno. */
static int rviommu_debug_translate(struct rviommu *iommu, u32 did, u64 iova, u64 *response)
{
	unsigned int us, timeout = rviommu_queue_timeout_us();

	rviommu_write64(iommu, RVIOMMU_REG_TR_REQ_IOVA, iova);
	rviommu_write64(iommu, RVIOMMU_REG_TR_REQ_CTL,
			FIELD_PREP(RVIOMMU_TR_REQ_CTL_DID, did) |
			RVIOMMU_TR_REQ_CTL_NW | RVIOMMU_TR_REQ_CTL_GO_BUSY);
	for (us = 0; us < timeout; us++) {
		if (!(rviommu_read64(iommu, RVIOMMU_REG_TR_REQ_CTL) &
		      RVIOMMU_TR_REQ_CTL_GO_BUSY)) {
			*response = rviommu_read64(iommu, RVIOMMU_REG_TR_RESPONSE);
			return 0;
		}
		udelay(1);
	}
	return -ETIMEDOUT;
}

/*
 * PPN that a debug translation answered for @iova. S=1: the size is in the low
 * bits of the PPN, ones up to the first zero (spec "tr_response").
 */
static u64 rviommu_response_ppn(u64 response, u64 iova)
{
	u64 ppn = FIELD_GET(RVIOMMU_TR_RESPONSE_PPN, response);
	u64 mask;

	if (!(response & RVIOMMU_TR_RESPONSE_S))
		return ppn;
	mask = ppn ^ (ppn + 1);
	return (ppn & ~mask) | ((iova >> RVIOMMU_PAGE_LG2) & mask);
}

/*
 * Translate the first two pages of a 64 KiB leaf, and for comparison the same two
 * physical pages mapped as 4 KiB leaves. Whatever an implementation does to the PPN
 * that it reports, it must do to both.
 */
static enum rviommu_verdict rviommu_compare_svnapot(struct rviommu *iommu,
						    struct rviommu_domain *dom, u32 did)
{
	const u64 napot = SZ_1M, plain = SZ_4M;
	u64 pa = round_down(virt_to_phys(dom->pt.root), SZ_64K);
	u64 ppn[4];
	unsigned int i;
	size_t mapped;

	if (rviommu_pgtable_map(&dom->pt, napot, pa, SZ_64K, 1, IOMMU_READ, GFP_KERNEL, &mapped) ||
	    rviommu_pgtable_map(&dom->pt, plain, pa, SZ_4K, 2, IOMMU_READ, GFP_KERNEL, &mapped))
		return RVIOMMU_VERDICT_UNKNOWN;

	for (i = 0; i < 4; i++) {
		u64 iova = (i < 2 ? plain : napot) + (i & 1) * SZ_4K;
		u64 response;

		if (rviommu_debug_translate(iommu, did, iova, &response) ||
		    response & RVIOMMU_TR_RESPONSE_FAULT)
			return RVIOMMU_VERDICT_UNKNOWN;
		ppn[i] = rviommu_response_ppn(response, iova);
	}
	/* The plain pages must look different, or the comparison says nothing. */
	if (ppn[0] == ppn[1])
		return RVIOMMU_VERDICT_UNKNOWN;
	/*
	 * QEMU 11.1 answers with the base of a larger leaf for every page in it
	 * (spec "tr_response": S=0 is a translation of the requested page). The
	 * defect looked for gives neither: it has ppn[3:0] = 8 of the leaf.
	 */
	return ppn[2] == ppn[0] && (ppn[3] == ppn[1] || ppn[3] == ppn[0]) ?
	       RVIOMMU_VERDICT_GOOD : RVIOMMU_VERDICT_BAD;
}

/*
 * Through the real directory, before any device is known, under the highest
 * device_id there is; the context is gone again before the function returns.
 */
static enum rviommu_verdict rviommu_test_svnapot(struct rviommu *iommu)
{
	enum rviommu_verdict verdict = RVIOMMU_VERDICT_UNKNOWN;
	struct rviommu_endpoint *ep;
	struct rviommu_domain *dom;

	if (!(iommu->caps & RVIOMMU_CAP_DBG))
		return verdict;
	dom = rviommu_domain_create(iommu, false);
	if (IS_ERR(dom))
		return verdict;
	ep = rviommu_endpoint_create(iommu, 1);
	if (!ep)
		goto free_domain;

	ep->ids[0] = BIT(rviommu_dir_id_lg2(&iommu->ddt.dir)) - 1;
	if (!rviommu_attach(ep, &dom->space.domain)) {
		verdict = rviommu_compare_svnapot(iommu, dom, ep->ids[0]);
		mutex_lock(&iommu->endpoints_lock);
		rviommu_detach_release(ep);
		mutex_unlock(&iommu->endpoints_lock);
	}
	rviommu_endpoint_put(ep);
free_domain:
	dom->space.domain.ops->free(&dom->space.domain);
	return verdict;
}

/* The module parameter: bits forced on and off. */
static int rviommu_parse_quirks(struct device *dev, unsigned long *on, unsigned long *off)
{
	char *copy, *rest, *word;
	int i, ret = 0;

	copy = rviommu_strdup(quirks);
	if (!copy)
		return -ENOMEM;
	rest = copy;
	while ((word = strsep(&rest, ",")) && !ret) {
		bool negate = word[0] == '-';

		if (!*word)
			continue;
		for (i = 0; i < RVIOMMU_NR_QUIRKS; i++)
			if (!strcmp(word + negate, rviommu_quirks[i].name))
				break;
		if (i == RVIOMMU_NR_QUIRKS)
			ret = dev_err_probe(dev, -EINVAL, "quirks=: no workaround is called %s\n",
					    word + negate);
		else
			__set_bit(i, negate ? off : on);
	}
	kfree(copy);
	return ret;
}

/**
 * rviommu_quirks_init() - find out which workarounds an IOMMU needs
 * @iommu: translating, not yet registered with the core
 *
 * Return: 0; -EINVAL for a wrong module parameter; -ENOMEM; -EIO if the IOMMU
 * went out of service meanwhile.
 */
int rviommu_quirks_init(struct rviommu *iommu)
{
	unsigned long on = 0, off = 0, known = iommu->bus->quirks;
	unsigned int i;
	int ret;

	ret = rviommu_parse_quirks(iommu->dev, &on, &off);
	if (ret)
		return ret;

	for (i = 0; i < RVIOMMU_NR_QUIRKS; i++) {
		enum rviommu_verdict verdict = RVIOMMU_VERDICT_UNKNOWN;
		const char *why = NULL;

		if (!((on | off) & BIT(i)) && rviommu_quirks[i].test)
			verdict = rviommu_quirks[i].test(iommu);
		if (on & BIT(i))
			why = "as told";
		else if (verdict == RVIOMMU_VERDICT_BAD)
			why = "seen in a test";
		else if (verdict == RVIOMMU_VERDICT_UNKNOWN && (known & BIT(i)) && !(off & BIT(i)))
			why = "known by its ID, not tested";
		if (why) {
			__set_bit(i, &iommu->quirks);
			dev_info(iommu->dev, "workaround %s: %s (%s)\n", rviommu_quirks[i].name,
				 rviommu_quirks[i].reason, why);
		}
	}
	return rviommu_is_dead(iommu) ? -EIO : 0;
}
