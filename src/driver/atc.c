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

/**
 * rviommu_ats_power() - can a device be asked to forget?
 * @ep: the device
 *
 * What the kernel knows, without an access to the device. Context: any, while ep->dev exists.
 *
 * Return: whether, or why not.
 */
enum rviommu_ats_power rviommu_ats_power(const struct rviommu_endpoint *ep)
{
	struct pci_dev *pdev, *physical;

	KUNIT_STATIC_STUB_REDIRECT(rviommu_ats_power, ep);
	if (!dev_is_pci(ep->dev))
		return RVIOMMU_ATS_AWAKE;
	pdev = to_pci_dev(ep->dev);
	/* A virtual function sleeps, and goes, with the physical one, and does not know it. */
	physical = pci_physfn(pdev);
	if (pci_dev_is_disconnected(pdev) || pci_dev_is_disconnected(physical))
		return RVIOMMU_ATS_OFF;
	switch (READ_ONCE(physical->current_state)) {
	case PCI_D1:
	case PCI_D2:
	case PCI_D3hot:
		return RVIOMMU_ATS_ASLEEP;
	case PCI_D3cold:
		return RVIOMMU_ATS_OFF;
	default:
		return RVIOMMU_ATS_AWAKE;
	}
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ats_power);

/**
 * rviommu_ats_close() - take the enable of a device that sleeps
 * @ep: the device
 *
 * It completes no request, but its ATC may be as it was when it wakes up. So
 * its enable goes: without it, it uses no translation of its own (PCIe, "ATS Control Register"),
 * and with the next one it begins with an empty cache. Its @on stays, for the PCI core restores
 * the enable where a function comes back from a deeper sleep. The write is complete when this
 * returns; should the device wake up meanwhile, what it had sent before has arrived then.
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

/**
 * rviommu_ats_asks() - has a device to be asked to forget something?
 * @ep: the device
 *
 * Not one whose ATS is off, nor one that is known to be gone or asleep: it would hold up all who
 * wait for the queue. Context: any; where the targets are read, or under its lock.
 *
 * Return: true if it has. If not, it uses nothing that it has cached before.
 */
bool rviommu_ats_asks(const struct rviommu_endpoint *ep)
{
	if (!READ_ONCE(ep->ats.on))
		return false;
	switch (rviommu_ats_power(ep)) {
	case RVIOMMU_ATS_ASLEEP:
		return !rviommu_ats_close(ep);
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
 * @ep: the device
 * @pasid: PASID, or IOMMU_NO_PASID for requests without
 * @cmds: room for %RVIOMMU_ATS_COMMANDS commands
 *
 * To be queued behind the invalidation of the IOMMU's own caches, in the same batch.
 *
 * Return: number of commands written; 0 when the device caches nothing.
 */
unsigned int rviommu_ats_commands(const struct rviommu_endpoint *ep, ioasid_t pasid,
				  struct rviommu_command *cmds)
{
	unsigned int nr = 0;

	if (!rviommu_ats_asks(ep))
		return 0;
	cmds[nr++] = rviommu_cmd_barrier();
	cmds[nr] = rviommu_cmd_ats_inval(ep->ats.rid, ep->ats.seg);
	if (pasid != IOMMU_NO_PASID)
		cmds[nr] = rviommu_cmd_with_pasid(cmds[nr], pasid);
	return nr + 1;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_ats_commands);
