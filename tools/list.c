// SPDX-License-Identifier: GPL-2.0-only
/* rviommu list: IOMMUs and the devices behind them, a line each. */
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "facts.h"
#include "out.h"
#include "parse.h"
#include "say.h"
#include "tree.h"

static struct json_object *device_line(const char *iommu, const char *name)
{
	char *dir = tree_path(TREE_DRIVER "/%s/devices/%s", iommu, name);
	struct json_object *record = json_object_new_object(), *domain = facts_domain(dir);
	struct json_object *pasids = facts_pasids(dir), *faults = facts_faults(dir);
	struct json_object *contexts = facts_contexts(dir);

	member_add(record, "device", json_object_new_string(name));
	member_copy(record, "device_id", json_object_array_get_idx(contexts, 0));
	member_copy(record, "domain", domain);
	member_copy(record, "type", domain);
	member_copy(record, "mode", domain);
	member_add(record, "pasids", json_object_new_uint64(json_object_array_length(pasids)));
	member_copy(record, "faults", faults);
	json_object_put(contexts);
	json_object_put(faults);
	json_object_put(pasids);
	json_object_put(domain);
	free(dir);
	return record;
}

static struct json_object *iommu_line(const char *name, const struct names *simulated)
{
	struct json_object *record = json_object_new_object(), *devices = json_object_new_array();
	struct json_object *caps = facts_capabilities(name), *queues = facts_queues(name);
	struct names names = tree_devices(name);
	size_t i;

	member_add(record, "iommu", json_object_new_string(name));
	member_copy(record, "version", caps);
	member_add(record, "simulated", json_object_new_boolean(tree_has(simulated, name)));
	member_copy(record, "out_of_service", queues);
	for (i = 0; i < names.nr; i++)
		json_object_array_add(devices, device_line(name, names.name[i]));
	member_add(record, "devices", devices);
	json_object_put(queues);
	json_object_put(caps);
	return record;
}

static void draw(struct json_object *record)
{
	struct json_object *iommus = member(record, "iommus");
	size_t i;

	if (!json_object_array_length(iommus))
		puts("no IOMMU that rviommu drives (modprobe rviommu_sim has one, simulated)");
	for (i = 0; i < json_object_array_length(iommus); i++) {
		struct json_object *iommu = json_object_array_get_idx(iommus, i);
		struct json_object *devices = member(iommu, "devices");

		printf("%s%s: version %s%s%s\n", i ? "\n" : "", member_text(iommu, "iommu"),
		       member_text(iommu, "version"),
		       json_object_get_boolean(member(iommu, "simulated")) ? ", simulated" : "",
		       json_object_get_boolean(member(iommu, "out_of_service")) ?
		       ", OUT OF SERVICE: all DMA is blocked" : "");
		if (json_object_array_length(devices))
			draw_table(devices, 2);
		else
			puts("  no devices");
	}
}

static void run(const struct call *call)
{
	struct json_object *record = json_object_new_object(), *list = json_object_new_array();
	struct names names, simulated;
	size_t i;

	(void)call;
	tree_need_driver();
	names = tree_iommus();
	simulated = tree_instances();
	for (i = 0; i < names.nr; i++)
		json_object_array_add(list, iommu_line(names.name[i], &simulated));
	member_add(record, "iommus", list);
	out_record(record, draw);
}

const struct command command_list = {
	.name = "list",
	.args = (const char * const []){ NULL },
	.options = (const struct command_option []){ {} },
	.what = "IOMMUs and the devices behind them",
	.run = run,
};
