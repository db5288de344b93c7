// SPDX-License-Identifier: GPL-2.0-only
/*
 * rviommu dump: what is mapped for a device or one of its PASIDs, or what simulated hardware has
 * cached.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "facts.h"
#include "out.h"
#include "parse.h"
#include "say.h"
#include "tree.h"

enum option { PASID };

static void draw_page_table(struct json_object *record)
{
	struct json_object *domain = member(record, "domain"), *leaves = member(record, "leaves");

	printf("%s of %s", member_text(record, "device"), member_text(record, "iommu"));
	if (member(record, "pasid"))
		printf(", PASID %s", member_text(record, "pasid"));
	printf(": domain %s, %s\n",
	       member(domain, "domain") ? member_text(domain, "domain") : "-",
	       member(domain, "mode") ? member_text(domain, "mode") : member_text(domain, "type"));
	if (json_object_array_length(leaves))
		draw_table(leaves, 2);
	else if (!strcmp(member_text(domain, "type"), "none"))
		puts("  nothing is attached");
	else
		puts("  nothing is mapped");
	if (!json_object_get_boolean(member(record, "complete")))
		puts("  then something else was attached: there may have been more");
}

static void dump_page_table(const char *name, const char *pasid)
{
	struct json_object *record = json_object_new_object(), *table;
	struct device device = tree_device(name);

	table = facts_page_table(device.dir, pasid);
	member_add(record, "device", json_object_new_string(name));
	member_add(record, "iommu", json_object_new_string(device.iommu));
	member_copy(record, "pasid", table);
	member_copy(record, "domain", table);
	member_copy(record, "leaves", table);
	member_copy(record, "complete", table);
	json_object_put(table);
	out_record(record, draw_page_table);
}

static void draw_caches(struct json_object *record)
{
	struct json_object *entries = member(record, "entries");

	if (json_object_array_length(entries))
		draw_table(entries, 0);
	else
		puts("nothing is cached");
}

static void dump_caches(const char *name)
{
	struct json_object *record = json_object_new_object();

	tree_need_instance(name);
	member_add(record, "iommu", json_object_new_string(name));
	member_add(record, "entries", facts_caches(name));
	out_record(record, draw_caches);
}

static void run(const struct call *call)
{
	const char *pasid = call_pasid(call->option[PASID]);
	struct names names;

	tree_need_driver();
	names = tree_iommus();
	if (!tree_has(&names, call->arg[0]))
		dump_page_table(call->arg[0], pasid);
	else if (call->option[PASID])
		die_usage("--pasid belongs to a device, and '%s' is an IOMMU", call->arg[0]);
	else
		dump_caches(call->arg[0]);
}

const struct command command_dump = {
	.name = "dump",
	.args = (const char * const []){ "IOMMU|DEVICE", NULL },
	.min = 1,
	.max = 1,
	.options = (const struct command_option []){
		[PASID] = { "pasid", "N", "for requests with this PASID" }, {},
	},
	.what = "what is mapped for a device or its PASID; what a simulated IOMMU has cached",
	.run = run,
};
