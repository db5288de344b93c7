// SPDX-License-Identifier: GPL-2.0-only
/* rviommu inject: let simulated hardware fail, or be as bad as it may be. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "choice.h"
#include "command.h"
#include "out.h"
#include "parse.h"
#include "say.h"
#include "tree.h"

/* What is in force of an instance */
static uint64_t switches_on(const char *instance)
{
	char *path = tree_path(TREE_SIM "/%s/switches", instance), *all = tree_read(path);
	uint64_t on = 0;

	all[strcspn(all, "\n")] = '\0';
	parse_number(all, UINT64_MAX, &on);
	free(all);
	free(path);
	return on;
}

/* "device ID ... switches BITS": those of one device; false if it sends no page requests. */
static bool pri_on(const struct device *device, uint64_t *on)
{
	char *path = tree_path(TREE_SIM "/%s/pri", device->iommu), *all = tree_read(path);
	char *rest = all, *line, *id = text("device %#x ", device->id), *bits;
	bool found = false;

	while (!found && (line = parse_line(&rest))) {
		bits = strstr(line, " switches ");
		found = !strncmp(line, id, strlen(id)) && bits &&
			parse_number(bits + strlen(" switches "), UINT64_MAX, on);
	}
	free(id);
	free(all);
	free(path);
	return found;
}

static void show(const char *instance)
{
	struct json_object *record = json_object_new_object();
	uint64_t on = switches_on(instance);

	member_add(record, "iommu", json_object_new_string(instance));
	member_add(record, "errors", choice_list(choice_errors, NULL));
	member_add(record, "switches", choice_list(choice_switches, &on));
	member_add(record, "pri", choice_list(choice_pri, NULL));
	out_record(record, draw_any);
}

static void show_switches(const char *instance)
{
	struct json_object *record = json_object_new_object();
	uint64_t on = switches_on(instance);

	member_add(record, "iommu", json_object_new_string(instance));
	member_add(record, "switches", choice_list(choice_switches, &on));
	out_record(record, draw_any);
}

static void show_pri(const struct device *device)
{
	struct json_object *record = json_object_new_object();
	uint64_t on;

	if (!pri_on(device, &on))
		die("%s sends no page requests: instances with ats=1 and pri=1 have some that do",
		    device->name);
	member_add(record, "device", json_object_new_string(device->name));
	member_add(record, "iommu", json_object_new_string(device->iommu));
	member_add(record, "pri", choice_list(choice_pri, &on));
	out_record(record, draw_any);
}

/* A command to a file of the instance, in the kernel's numbers */
static void command(const char *instance, const char *file, char *words)
{
	char *path = tree_path(TREE_SIM "/%s/%s", instance, file);
	int error = tree_write(path, words);

	if (error)
		die("%s does not accept '%s': %s%s", path, words, strerror(error),
		    error == EINVAL ? "; the kernel's log may say why: dmesg" : "");
	free(words);
	free(path);
}

static void draw_error(struct json_object *record)
{
	printf("%s: error %s %s: done\n", member_text(record, "iommu"),
	       member_text(record, "error"), member_text(record, "times"));
}

static void inject_error(const char *instance, const struct call *call)
{
	uint64_t times = call->nr > 3 ? call_number("TIMES", call->arg[3], 0, UINT32_MAX) : 1;
	int i = choice_find(choice_errors, call->arg[2]);
	struct json_object *record;

	if (i < 0)
		die_usage("there is no error '%s'; there are: %s", call->arg[2],
			  choice_names(choice_errors));
	command(instance, "inject", text("%d %llu", i, (unsigned long long)times));
	record = json_object_new_object();
	member_add(record, "iommu", json_object_new_string(instance));
	member_add(record, "error", json_object_new_string(call->arg[2]));
	member_add(record, "times", json_object_new_uint64(times));
	out_record(record, draw_error);
}

/* What is on now, all of it */
static void draw_on(struct json_object *record)
{
	const char *who = member(record, "device") ? "device" : "iommu";
	const char *kind = member(record, "device") ? "pri" : "switches";
	struct json_object *names = member(record, kind);
	size_t i, nr = json_object_array_length(names);

	printf("%s: %s ", member_text(record, who), kind);
	for (i = 0; i < nr; i++)
		printf("%s%s", i ? "," : "",
		       json_object_get_string(json_object_array_get_idx(names, i)));
	printf("%s: done\n", nr ? "" : "none");
}

static void inject_switches(const char *instance, const char *list)
{
	struct json_object *record = json_object_new_object();
	uint64_t bits = choice_bits(choice_switches, list);

	command(instance, "switches", text("%#llx", (unsigned long long)bits));
	member_add(record, "iommu", json_object_new_string(instance));
	member_add(record, "switches", choice_on(choice_switches, bits));
	out_record(record, draw_on);
}

static void inject_pri(const struct device *device, const char *list)
{
	struct json_object *record = json_object_new_object();
	uint64_t bits = choice_bits(choice_pri, list);

	command(device->iommu, "pri_switches",
		text("%#x %#llx", device->id, (unsigned long long)bits));
	member_add(record, "device", json_object_new_string(device->name));
	member_add(record, "iommu", json_object_new_string(device->iommu));
	member_add(record, "pri", choice_on(choice_pri, bits));
	out_record(record, draw_on);
}

static void run_pri(const struct call *call)
{
	struct device device = tree_device(call->arg[0]);

	free(tree_sim_of(&device));
	if (call->nr == 2)
		show_pri(&device);
	else
		inject_pri(&device, call->arg[2]);
}

static void run(const struct call *call)
{
	const char *kind = call->nr > 1 ? call->arg[1] : "";

	if (*kind && strcmp(kind, "error") && strcmp(kind, "switches") && strcmp(kind, "pri"))
		die_usage("'%s' is none of: error, switches, pri", kind);
	if (call->nr == 2 && !strcmp(kind, "error"))
		die_usage("'error' wants a name; there are: %s", choice_names(choice_errors));
	if (call->nr > 3 && strcmp(kind, "error"))
		die_usage("TIMES belongs to error, and '%s' takes its names as NAME,NAME", kind);
	if (!strcmp(kind, "pri")) {
		run_pri(call);
		return;
	}
	tree_need_instance(call->arg[0]);
	if (call->nr == 1)
		show(call->arg[0]);
	else if (!strcmp(kind, "error"))
		inject_error(call->arg[0], call);
	else if (call->nr == 2)
		show_switches(call->arg[0]);
	else
		inject_switches(call->arg[0], call->arg[2]);
}

/* The name is one of the kind before it. */
static bool complete_name(const struct call *call, const char *word)
{
	const struct choice *error;

	if (call->nr != 2)
		return false;
	if (!strcmp(call->arg[1], "switches"))
		choice_complete(choice_switches, "", word);
	else if (!strcmp(call->arg[1], "pri"))
		choice_complete(choice_pri, "", word);
	else if (!strcmp(call->arg[1], "error"))
		for (error = choice_errors; error->name; error++)
			puts(error->name);
	return true;
}

const struct command command_inject = {
	.name = "inject",
	.args = (const char * const []){
		"IOMMU|DEVICE", "error|switches|pri", "NAME", "TIMES", NULL,
	},
	.min = 1,
	.max = 4,
	.options = (const struct command_option []){ {} },
	.what = "let a simulated IOMMU fail, or be as bad as it may be",
	.more = "  IOMMU                    show what there is, and what is on\n"
		"  IOMMU error NAME [TIMES] it fails like that, once or TIMES in a row; 0: no more\n"
		"  IOMMU switches           which of them are on\n"
		"  IOMMU switches NAME,...  it is like that from now on, and not otherwise; none, all\n"
		"  DEVICE pri               which of those are on\n"
		"  DEVICE pri NAME,...      the device's page requests are like that; none, all\n",
	.run = run,
	.complete = complete_name,
};
