// SPDX-License-Identifier: GPL-2.0-only
/* rviommu stat: what was counted, once or again and again. */
#include <stdio.h>

#include "command.h"
#include "facts.h"
#include "out.h"
#include "parse.h"
#include "say.h"
#include "tree.h"

static struct json_object *counters_of(const char *name)
{
	struct json_object *record = json_object_new_object(), *sim;

	member_add(record, "iommu", json_object_new_string(name));
	member_add(record, "driver", facts_counters(name));
	sim = facts_sim_counters(name);
	if (sim)
		member_add(record, "simulated_hardware", sim);
	return record;
}

static void run(const struct call *call)
{
	struct json_object *record = json_object_new_object(), *list = json_object_new_array();
	struct names names;
	size_t i;

	tree_need_driver();
	if (call->nr)
		tree_need_iommu(call->arg[0]);
	names = tree_iommus();
	for (i = 0; i < names.nr; i++)
		if (!call->nr || tree_has(&(struct names){ (char **)call->arg, 1 }, names.name[i]))
			json_object_array_add(list, counters_of(names.name[i]));
	member_add(record, "iommus", list);
	out_record(record, draw_any);
}

const struct command command_stat = {
	.name = "stat",
	.args = (const char * const []){ "IOMMU", NULL },
	.max = 1,
	.options = (const struct command_option []){ {} },
	.what = "what driver and simulated hardware have counted",
	.run = run,
};
