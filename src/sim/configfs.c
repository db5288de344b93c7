// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instances from user space: mkdir in /sys/kernel/config/rviommu_sim, write
 * what shall be different, write 1 to live.
 *
 * Nothing exists until then. What cannot be is refused there, with the reason in
 * the log; while live, nothing but live can be written.
 */
#define pr_fmt(fmt) "rviommu_sim: " fmt

#include <linux/cleanup.h>
#include <linux/configfs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include <rviommu/sim.h>

#include "configfs.h"

/**
 * struct sim_item - a directory of the user
 * @group: configfs part
 * @lock: protects the rest; taken by attribute reads and writes, and held while an
 *        instance is built or destroyed
 * @config: what has been written so far
 * @levels: only depth of the directory, 0: all
 * @sim: the instance, while live
 */
struct sim_item {
	struct config_group group;
	struct mutex lock; /* see above */
	struct rviommu_sim_config config;
	unsigned int levels;
	struct rviommu_sim *sim;
};

static struct sim_item *to_sim_item(struct config_item *item)
{
	return container_of(to_config_group(item), struct sim_item, group);
}

/*
 * May this value be stored? Called under the lock; @fits: the member can hold it.
 */
static int sim_may_store(struct sim_item *si, const char *attr, u64 value, bool fits)
{
	const char *name = config_item_name(&si->group.cg_item);

	if (si->sim) {
		pr_err("%s: %s cannot be changed while live\n", name, attr);
		return -EBUSY;
	}
	if (!fits) {
		pr_err("%s: %s cannot be %llu\n", name, attr, value);
		return -ERANGE;
	}
	return 0;
}

static int sim_read_number(struct sim_item *si, const char *attr, const char *page, u64 *value)
{
	int ret = kstrtou64(page, 0, value);

	if (ret)
		pr_err("%s: %s is a number from 0 to %llu\n", config_item_name(&si->group.cg_item),
		       attr, U64_MAX);
	return ret;
}

/* A number: shown in a format of its own, stored if the instance is not live. */
#define SIM_ATTR(name, value, fmt)							\
static ssize_t sim_##name##_show(struct config_item *item, char *page)			\
{											\
	struct sim_item *si = to_sim_item(item);					\
											\
	guard(mutex)(&si->lock);							\
	return sysfs_emit(page, fmt "\n", (unsigned long long)(value));		\
}											\
											\
static ssize_t sim_##name##_store(struct config_item *item, const char *page, size_t n)	\
{											\
	struct sim_item *si = to_sim_item(item);					\
	u64 new;									\
	int ret;									\
											\
	ret = sim_read_number(si, #name, page, &new);					\
	if (ret)									\
		return ret;								\
	guard(mutex)(&si->lock);							\
	ret = sim_may_store(si, #name, new, new == (typeof(value))new);			\
	if (ret)									\
		return ret;								\
	(value) = new;									\
	return n;									\
}											\
CONFIGFS_ATTR(sim_, name)

SIM_ATTR(capabilities, si->config.model.capabilities, "%#llx");
SIM_ATTR(ddt_levels, si->levels, "%llu");
SIM_ATTR(endpoints, si->config.endpoints, "%llu");
SIM_ATTR(first_id, si->config.first_id, "%#llx");
SIM_ATTR(wired, si->config.wired, "%llu");
SIM_ATTR(exerciser, si->config.exerciser, "%llu");
SIM_ATTR(vectors, si->config.model.vectors, "%llu");
SIM_ATTR(cq_max_lg2, si->config.model.cq_max_lg2, "%llu");
SIM_ATTR(fq_max_lg2, si->config.model.fq_max_lg2, "%llu");
SIM_ATTR(pq_max_lg2, si->config.model.pq_max_lg2, "%llu");
SIM_ATTR(cache_limit, si->config.model.cache_limit, "%llu");
SIM_ATTR(ats_timeout, si->config.model.ats_timeout, "%llu");
SIM_ATTR(switches, si->config.model.switches, "%#llx");
SIM_ATTR(seed, si->config.model.seed, "%llu");
SIM_ATTR(pci_functions, si->config.pci_functions, "%llu");
SIM_ATTR(pci_bus, si->config.pci_bus, "%#llx");
SIM_ATTR(vfs, si->config.vfs, "%llu");
SIM_ATTR(vf_offset, si->config.vf_offset, "%#llx");
SIM_ATTR(vf_stride, si->config.vf_stride, "%#llx");
SIM_ATTR(pri, si->config.pri, "%llu");
SIM_ATTR(ats, si->config.ats, "%llu");
SIM_ATTR(pasid_bits, si->config.pasid_bits, "%llu");
SIM_ATTR(ats_depth, si->config.ats_depth, "%llu");
SIM_ATTR(atc_limit, si->config.atc_limit, "%llu");
SIM_ATTR(pri_capacity, si->config.pri_capacity, "%llu");
SIM_ATTR(pri_pages, si->config.pri_pages, "%llu");
SIM_ATTR(prg_pasid, si->config.prg_pasid, "%llu");
SIM_ATTR(stop_markers, si->config.stop_markers, "%llu");
SIM_ATTR(pri_timeout, si->config.pri_timeout, "%llu");
SIM_ATTR(pri_switches, si->config.pri_switches, "%#llx");

static ssize_t sim_live_show(struct config_item *item, char *page)
{
	struct sim_item *si = to_sim_item(item);

	guard(mutex)(&si->lock);
	return sysfs_emit(page, "%u\n", !!si->sim);
}

static int sim_go_live(struct sim_item *si, const char *name)
{
	struct rviommu_sim_config config = si->config;
	struct rviommu_sim *sim;

	if (si->levels && rviommu_sim_config_levels(&config, si->levels)) {
		pr_err("%s: ddt_levels is not 0 to 3\n", name);
		return -EINVAL;
	}
	rviommu_model_config_fit(&config.model);
	sim = rviommu_sim_create(name, &config);
	if (IS_ERR(sim))
		return PTR_ERR(sim);
	si->sim = sim;
	return 0;
}

static ssize_t sim_live_store(struct config_item *item, const char *page, size_t n)
{
	struct sim_item *si = to_sim_item(item);
	bool live;
	int ret;

	ret = kstrtobool(page, &live);
	if (ret)
		return ret;
	guard(mutex)(&si->lock);
	if (live && !si->sim)
		ret = sim_go_live(si, config_item_name(item));
	if (!live) {
		rviommu_sim_destroy(si->sim);
		si->sim = NULL;
	}
	return ret ?: n;
}
CONFIGFS_ATTR(sim_, live);

static struct configfs_attribute *sim_attrs[] = {
	&sim_attr_capabilities,
	&sim_attr_ddt_levels,
	&sim_attr_endpoints,
	&sim_attr_first_id,
	&sim_attr_wired,
	&sim_attr_exerciser,
	&sim_attr_vectors,
	&sim_attr_cq_max_lg2,
	&sim_attr_fq_max_lg2,
	&sim_attr_pq_max_lg2,
	&sim_attr_cache_limit,
	&sim_attr_ats_timeout,
	&sim_attr_switches,
	&sim_attr_seed,
	&sim_attr_pci_functions,
	&sim_attr_pci_bus,
	&sim_attr_vfs,
	&sim_attr_vf_offset,
	&sim_attr_vf_stride,
	&sim_attr_pri,
	&sim_attr_ats,
	&sim_attr_pasid_bits,
	&sim_attr_ats_depth,
	&sim_attr_atc_limit,
	&sim_attr_pri_capacity,
	&sim_attr_pri_pages,
	&sim_attr_prg_pasid,
	&sim_attr_stop_markers,
	&sim_attr_pri_timeout,
	&sim_attr_pri_switches,
	&sim_attr_live,
	NULL
};

static void sim_item_release(struct config_item *item)
{
	struct sim_item *si = to_sim_item(item);

	mutex_destroy(&si->lock);
	kfree(si);
}

static struct configfs_item_operations sim_item_ops = {
	.release = sim_item_release,
};

static const struct config_item_type sim_item_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &sim_item_ops,
	.ct_attrs = sim_attrs,
};

static struct config_group *sim_make_group(struct config_group *group, const char *name)
{
	struct sim_item *si = kzalloc(sizeof(*si), GFP_KERNEL);

	if (!si)
		return ERR_PTR(-ENOMEM);
	mutex_init(&si->lock);
	rviommu_sim_config_init(&si->config);
	config_group_init_type_name(&si->group, name, &sim_item_type);
	return &si->group;
}

/* The instance goes with its directory, whoever has a file of that open still. */
static void sim_drop_item(struct config_group *group, struct config_item *item)
{
	struct sim_item *si = to_sim_item(item);

	mutex_lock(&si->lock);
	rviommu_sim_destroy(si->sim);
	si->sim = NULL;
	mutex_unlock(&si->lock);
	config_item_put(item);
}

static struct configfs_group_operations sim_group_ops = {
	.make_group = sim_make_group,
	.drop_item = sim_drop_item,
};

static const struct config_item_type sim_subsys_type = {
	.ct_owner = THIS_MODULE,
	.ct_group_ops = &sim_group_ops,
};

static struct configfs_subsystem sim_subsys = {
	.su_group.cg_item = {
		.ci_namebuf = "rviommu_sim",
		.ci_type = &sim_subsys_type,
	},
};

/**
 * sim_configfs_register() - show the directory in configfs
 *
 * Return: 0, or an error of configfs.
 */
int sim_configfs_register(void)
{
	config_group_init(&sim_subsys.su_group);
	mutex_init(&sim_subsys.su_mutex);
	return configfs_register_subsystem(&sim_subsys);
}

/**
 * sim_configfs_unregister() - take it away; no instance of it is left by then
 */
void sim_configfs_unregister(void)
{
	configfs_unregister_subsystem(&sim_subsys);
	mutex_destroy(&sim_subsys.su_mutex);
}
