// SPDX-License-Identifier: GPL-2.0-only
/*
 * What goes wrong in a simulated IOMMU when the kernel's fault injection says so: with a
 * probability, every so many times, for tasks that ask for it. Built where the kernel has it.
 */
#include <kunit/visibility.h>

#include "compat.h"
#include "failure.h"
#include "sim.h"

/* Directories in debugfs */
static const char *const sim_failure_names[RVIOMMU_MODEL_NR_INJECTIONS] = {
	[RVIOMMU_MODEL_INJECT_CQ_MF] = "fail_command_fetch",
	[RVIOMMU_MODEL_INJECT_CQ_ILL] = "fail_command",
	[RVIOMMU_MODEL_INJECT_CQ_TO] = "fail_fence",
	[RVIOMMU_MODEL_INJECT_FQ_MF] = "fail_fault_store",
	[RVIOMMU_MODEL_INJECT_FQ_OF] = "fail_fault_room",
	[RVIOMMU_MODEL_INJECT_PQ_MF] = "fail_page_request_store",
	[RVIOMMU_MODEL_INJECT_PQ_OF] = "fail_page_request_room",
	[RVIOMMU_MODEL_INJECT_ATS_LOST] = "lose_completion",
	[RVIOMMU_MODEL_INJECT_ATS_LATE] = "delay_completion",
	[RVIOMMU_MODEL_INJECT_PR_SILENT] = "lose_page_response",
};

/**
 * sim_failures_init() - nothing goes wrong
 * @failures: those of an instance that is being built
 */
void sim_failures_init(struct sim_failures *failures)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(failures->attr); i++) {
		failures->attr[i] = (struct fault_attr)FAULT_ATTR_INITIALIZER;
		/* It happens under a lock, with interrupts off. */
		failures->attr[i].verbose = 0;
	}
}

/**
 * sim_failure() - does something go wrong now?
 * @failures: the instance's
 * @what: it
 *
 * What has no probability is not even counted: the kernel counts for whoever asked for
 * the n-th failure of any kind.
 *
 * Return: true if it does.
 */
bool sim_failure(struct sim_failures *failures, enum rviommu_model_injection what)
{
	struct fault_attr *attr = &failures->attr[what];

	return unlikely(READ_ONCE(attr->probability)) && should_fail(attr, 1);
}

/**
 * rviommu_sim_fault_attr() - for tests: what user space has in a directory
 * @sim: the instance
 * @what: which
 *
 * Return: the attribute, which lives as long as the instance.
 */
struct fault_attr *rviommu_sim_fault_attr(struct rviommu_sim *sim,
					  enum rviommu_model_injection what)
{
	return &sim->failures.attr[what];
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_sim_fault_attr);

/**
 * sim_failures_debugfs() - a directory for each
 * @failures: the instance's
 * @dir: its directory
 */
void sim_failures_debugfs(struct sim_failures *failures, struct dentry *dir)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(failures->attr); i++)
		fault_create_debugfs_attr(sim_failure_names[i], dir, &failures->attr[i]);
}

/**
 * sim_failures_forget() - after the directories are gone
 * @failures: the instance's
 */
void sim_failures_forget(struct sim_failures *failures)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(failures->attr); i++)
		rviommu_put_fault_attr(&failures->attr[i]);
}
