// SPDX-License-Identifier: GPL-2.0-only
/*
 * The translation cache of a device, as whoever invalidates sees it: can it be asked to forget,
 * and how?
 */
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include "atc.h"
#include "command.h"
#include "endpoint.h"

/* What a function says itself; @unknown where it cannot, or does not answer. */
static bool ats_says_awake(struct pci_dev *pdev, bool unknown)
{
	u16 ctrl;

	if (!pdev->pm_cap || pci_read_config_word(pdev, pdev->pm_cap + PCI_PM_CTRL, &ctrl) ||
	    PCI_POSSIBLE_ERROR(ctrl))
		return unknown;
	return !(ctrl & PCI_PM_CTRL_STATE_MASK);
}

static bool ats_is_suspending(const struct pci_dev *pdev)
{
#ifdef CONFIG_PM
	return READ_ONCE(pdev->dev.power.runtime_status) == RPM_SUSPENDING;
#else
	return false;
#endif
}

/*
 * The PCI core takes note that a function sleeps when it has waited for that: ten milliseconds
 * too late. So one that is being suspended is looked at, and believed, for it has been told
 * to, or will be in a moment. One that says so without having been told is awake.
 */
static enum rviommu_ats_power ats_power(struct pci_dev *pdev)
{
	if (pci_dev_is_disconnected(pdev))
		return RVIOMMU_ATS_OFF;
	switch (READ_ONCE(pdev->current_state)) {
	case PCI_D1:
	case PCI_D2:
	case PCI_D3hot:
		return RVIOMMU_ATS_ASLEEP;
	case PCI_D3cold:
		return RVIOMMU_ATS_OFF;
	default:
		return ats_is_suspending(pdev) && !ats_says_awake(pdev, true) ?
		       RVIOMMU_ATS_ASLEEP : RVIOMMU_ATS_AWAKE;
	}
}

/**
 * rviommu_ats_power() - can a device be asked to forget?
 * @ep: the device
 *
 * What the kernel knows; without an access to the device, unless it is being suspended.
 * Context: any, while ep->dev exists.
 *
 * Return: whether, or why not.
 */
enum rviommu_ats_power rviommu_ats_power(const struct rviommu_endpoint *ep)
{
	struct pci_dev *pdev;

	KUNIT_STATIC_STUB_REDIRECT(rviommu_ats_power, ep);
	if (!dev_is_pci(ep->dev))
		return RVIOMMU_ATS_AWAKE;
	pdev = to_pci_dev(ep->dev);
	if (!pdev->is_virtfn)
		return ats_power(pdev);
	/* It sleeps, and goes, with the physical one, too, and does not know it. */
	return max(ats_power(pdev), ats_power(pci_physfn(pdev)));
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ats_power);

/**
 * rviommu_ats_close() - take the enable of a device that sleeps
 * @ep: the device
 *
 * It completes no request, for it may send nothing but a PME (PCIe "D3hot State"), but its ATC
 * may be as it was when it wakes up. So
 * its enable goes: without it, it uses no translation of its own (PCIe, "ATS Control Register"),
 * and with the next one it begins with an empty cache. Its @on stays, for the PCI core restores
 * the enable where a function comes back from a deeper sleep.
 *
 * Return: false if it did not arrive, because a bridge on the way sleeps, too: then the
 * device has to be asked, and is lost if it does not answer.
 */
bool rviommu_ats_close(const struct rviommu_endpoint *ep)
{
	struct pci_dev *pdev;
	u16 ctrl;

	if (!dev_is_pci(ep->dev))
		return true;
	pdev = to_pci_dev(ep->dev);
	pci_write_config_word(pdev, ep->ats.ctrl, 0);
	return !pci_read_config_word(pdev, ep->ats.ctrl, &ctrl) && !(ctrl & PCI_ATS_CTRL_ENABLE);
}

/*
 * Was it awake, after all, when its enable was taken? The PCI core takes note of that late, too;
 * and a function may go on where it was before it slept without waiting for its driver.
 */
static bool ats_woke(const struct rviommu_endpoint *ep)
{
	struct pci_dev *pdev;

	if (rviommu_ats_power(ep) == RVIOMMU_ATS_AWAKE)
		return true;
	if (!dev_is_pci(ep->dev))
		return false;
	pdev = to_pci_dev(ep->dev);
	return ats_says_awake(pci_physfn(pdev), false) && ats_says_awake(pdev, true);
}

/**
 * rviommu_ats_away() - is a device with ATS asleep, or gone?
 * @ep: the device
 *
 * If so, there is nothing to ask it now. But it may wake up at any moment, and fill its cache
 * from the IOTLB; so when that has forgotten, rviommu_ats_asks() is due. Context: as there.
 *
 * Return: true if it is; false if it is awake, or its ATS is off.
 */
bool rviommu_ats_away(const struct rviommu_endpoint *ep)
{
	return READ_ONCE(ep->ats.on) && rviommu_ats_power(ep) != RVIOMMU_ATS_AWAKE;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ats_away);

/**
 * rviommu_ats_asks() - has a device to be asked to forget something?
 * @ep: the device
 *
 * Not one whose ATS is off, nor one that is known to be gone or asleep: it would hold up all who
 * wait for the queue. One that woke up while its enable was taken may have DMA under way by what
 * it remembers, and is asked.
 *
 * Context: any; where the targets are read, or under its lock. Where the IOTLB has forgotten
 * already, see rviommu_ats_away(); a device that is awake can be asked before.
 *
 * Return: true if it has. If not, it uses nothing that it has cached before.
 */
bool rviommu_ats_asks(const struct rviommu_endpoint *ep)
{
	if (!READ_ONCE(ep->ats.on))
		return false;
	switch (rviommu_ats_power(ep)) {
	case RVIOMMU_ATS_ASLEEP:
		return !rviommu_ats_close(ep) || ats_woke(ep);
	case RVIOMMU_ATS_OFF:
		return false;
	case RVIOMMU_ATS_AWAKE:
		break;
	}
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ats_asks);

/**
 * rviommu_ats_commands() - a device forgets what it cached for a PASID
 * @ep: the device, which is asked
 * @pasid: PASID, or IOMMU_NO_PASID for requests without
 * @cmds: room for %RVIOMMU_ATS_COMMANDS commands
 *
 * To be queued behind the invalidation of the IOMMU's own caches.
 */
void rviommu_ats_commands(const struct rviommu_endpoint *ep, ioasid_t pasid,
			  struct rviommu_command *cmds)
{
	cmds[0] = rviommu_cmd_barrier();
	cmds[1] = rviommu_cmd_ats_inval(ep->ats.rid, ep->ats.seg);
	if (pasid != IOMMU_NO_PASID)
		cmds[1] = rviommu_cmd_with_pasid(cmds[1], pasid);
}
