// SPDX-License-Identifier: GPL-2.0-only
/* rviommu show: all that is known of IOMMUs, of one of them, or of a device. */
#include "command.h"
#include "facts.h"
#include "out.h"
#include "parse.h"
#include "say.h"
#include "tree.h"

static struct json_object *list_of(struct names names)
{
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < names.nr; i++)
		json_object_array_add(list, json_object_new_string(names.name[i]));
	return list;
}

static struct json_object *show_iommu(const char *name)
{
	struct json_object *record = json_object_new_object();

	member_add(record, "iommu", json_object_new_string(name));
	member_add(record, "devices", list_of(tree_devices(name)));
	member_add(record, "capabilities", facts_capabilities(name));
	member_add(record, "queues", facts_queues(name));
	return record;
}

static struct json_object *show_device(const char *name)
{
	struct json_object *record = json_object_new_object(), *requests;
	struct device device = tree_device(name);

	member_add(record, "device", json_object_new_string(name));
	member_add(record, "iommu", json_object_new_string(device.iommu));
	member_add(record, "domain", facts_domain(device.dir));
	member_add(record, "contexts", facts_contexts(device.dir));
	member_add(record, "pasids", facts_pasids(device.dir));
	member_add(record, "faults", facts_faults(device.dir));
	requests = facts_page_requests(device.dir);
	if (requests)
		member_add(record, "page_requests", requests);
	return record;
}

static struct json_object *show_all(void)
{
	struct json_object *record = json_object_new_object(), *list = json_object_new_array();
	struct names names = tree_iommus();
	size_t i;

	for (i = 0; i < names.nr; i++)
		json_object_array_add(list, show_iommu(names.name[i]));
	member_add(record, "iommus", list);
	member_add(record, "domains", facts_domains());
	return record;
}

static void run(const struct call *call)
{
	struct names names;

	tree_need_driver();
	if (!call->nr) {
		out_record(show_all(), draw_any);
		return;
	}
	names = tree_iommus();
	if (tree_has(&names, call->arg[0]))
		out_record(show_iommu(call->arg[0]), draw_any);
	else
		out_record(show_device(call->arg[0]), draw_any);
}

const struct command command_show = {
	.name = "show",
	.args = (const char * const []){ "IOMMU|DEVICE", NULL },
	.max = 1,
	.options = (const struct command_option []){ {} },
	.what = "capabilities, queues and domains; or contexts, PASIDs and faults of a device",
	.run = run,
};
