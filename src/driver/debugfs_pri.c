// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs: the page requests of a device, and which of its groups are not answered now.
 *
 * The groups are copied under the lock of their device's, which those who answer page requests
 * need, and printed without. Everything else is read as it is.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/string_choices.h>
#include <linux/timekeeping.h>

#include "debugfs_pri.h"
#include "endpoint.h"
#include "mem.h"
#include "prg.h"
#include "pri.h"

static void show_group(struct seq_file *m, const struct rviommu_prg_info *info, u64 now)
{
	seq_puts(m, "group pasid ");
	if (info->pv)
		seq_printf(m, "%u", info->pid);
	else
		seq_puts(m, "none");
	seq_printf(m, " index %u %s requests %u age_us %llu\n", info->index,
		   info->handed_on ? "handed_on" : "assembling", info->requests,
		   now > info->since ? (now - info->since) / NSEC_PER_USEC : 0);
}

static int page_requests_show(struct seq_file *m, void *unused)
{
	struct rviommu_endpoint *ep = m->private;
	struct rviommu_pri *pri = &ep->pri;
	struct rviommu_prg_info *info;
	unsigned int nr, i;

	info = rviommu_zalloc(array_size(pri->requests, sizeof(*info)), GFP_KERNEL);
	if (!info)
		return -ENOMEM;
	nr = rviommu_prgs_list(&pri->prgs, info, pri->requests);
	seq_printf(m, "enabled %s\n", str_yes_no(READ_ONCE(pri->enabled)));
	seq_printf(m, "limit %u\n", pri->requests);
	seq_printf(m, "pasid_in_response %s\n", str_yes_no(pri->pasid));
	seq_printf(m, "groups %lld\n", atomic64_read(&pri->groups));
	seq_printf(m, "refused %lld\n", atomic64_read(&pri->refused));
	seq_printf(m, "again %lld\n", atomic64_read(&pri->again));
	seq_printf(m, "dropped %lld\n", atomic64_read(&pri->dropped));
	seq_printf(m, "revived %lld\n", atomic64_read(&pri->revived));
	seq_printf(m, "open %u\n", nr);
	for (i = 0; i < nr; i++)
		show_group(m, &info[i], ktime_get_ns());
	rviommu_free(info);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(page_requests);

/**
 * rviommu_debugfs_add_pri() - show the page requests of a device
 * @ep: the device, which has its directory and can send them
 */
void rviommu_debugfs_add_pri(struct rviommu_endpoint *ep)
{
	debugfs_create_file("page_requests", 0444, ep->debugfs, ep, &page_requests_fops);
}
