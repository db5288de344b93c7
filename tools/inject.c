// SPDX-License-Identifier: GPL-2.0-only
/* rviommu inject: let simulated hardware fail, or be as bad as it may be. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "out.h"
#include "parse.h"
#include "say.h"
#include "tree.h"

/**
 * struct choice - something that can be chosen by its name
 * @name: its name
 * @what: what it does
 *
 * Its number, or its bit, is its place in the table. Both are the kernel's.
 */
struct choice {
	const char *name;
	const char *what;
};

/* enum rviommu_model_injection */
static const struct choice errors[] = {
	{ "cq_mf", "fetching a command fails: cqmf" },
	{ "cq_ill", "a command is refused: cmd_ill" },
	{ "cq_to", "the next fence says that a device did not answer: cmd_to" },
	{ "fq_mf", "storing a fault record fails: fqmf" },
	{ "fq_of", "there is no room for a fault record: fqof" },
	{ "pq_mf", "storing a page request fails: pqmf" },
	{ "pq_of", "there is no room for a page request: pqof" },
	{ "ats_lost", "the next Invalidation Completion is lost" },
	{ "ats_late", "it arrives just before the timeout" },
	{ "pr_silent", "a page request gets no response from the IOMMU itself" },
	{}
};

/* RVIOMMU_MODEL_* */
static const struct choice switches[] = {
	{ "async", "commands are executed later" },
	{ "delay_commands", "commands complete late and out of order" },
	{ "word_by_word", "contexts are read word by word, in any order" },
	{ "prefetch", "entries are fetched before they are needed" },
	{ "random_reset", "registers come out of reset with anything in them" },
	{ "context_spa", "with a context the translated address of its table is cached" },
	{ "linger", "a queue stays busy after it was switched off" },
	{}
};

/* RVIOMMU_SIM_PRI_* */
static const struct choice pri_switches[] = {
	{ "flood", "as many groups as may be outstanding" },
	{ "no_last", "no request is the last of its group" },
	{ "reuse", "all groups have index 0" },
	{ "lost", "responses do not reach the device" },
	{ "late_marker", "a Stop Marker follows the next use of its PASID" },
	{ "no_marker", "there is no Stop Marker" },
	{ "excess", "the device does not look at what it was allocated" },
	{ "after_stop", "one more request after the use of a PASID was stopped" },
	{}
};

static int find_choice(const struct choice *choices, const char *name)
{
	int i;

	for (i = 0; choices[i].name; i++)
		if (!strcmp(choices[i].name, name))
			return i;
	return -1;
}

static char *names_of(const struct choice *choices)
{
	char *all = text("%s", choices->name), *longer;

	while ((++choices)->name) {
		longer = text("%s, %s", all, choices->name);
		free(all);
		all = longer;
	}
	return all;
}

/* "NAME,NAME", "none" or "all" to bits */
static uint64_t bits_of(const struct choice *choices, const char *what, const char *list)
{
	char *copy = text("%s", list), *rest = copy, *name;
	uint64_t bits = 0;
	int i;

	while ((name = strsep(&rest, ","))) {
		i = find_choice(choices, name);
		if (i >= 0)
			bits |= 1ULL << i;
		else if (!strcmp(name, "all"))
			for (i = 0; choices[i].name; i++)
				bits |= 1ULL << i;
		else if (strcmp(name, "none"))
			die_usage("there is no %s '%s'; there are: none, all, %s", what, name,
				  names_of(choices));
	}
	free(copy);
	return bits;
}

static struct json_object *list_of(const struct choice *choices, const uint64_t *on)
{
	struct json_object *list = json_object_new_array(), *line;
	unsigned int i;

	for (i = 0; choices[i].name; i++) {
		line = json_object_new_object();
		member_add(line, "name", json_object_new_string(choices[i].name));
		if (on)
			member_add(line, "on", json_object_new_boolean(*on >> i & 1));
		member_add(line, "what", json_object_new_string(choices[i].what));
		json_object_array_add(list, line);
	}
	return list;
}

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

static void show(const char *instance)
{
	struct json_object *record = json_object_new_object();
	uint64_t on = switches_on(instance);

	member_add(record, "iommu", json_object_new_string(instance));
	member_add(record, "errors", list_of(errors, NULL));
	member_add(record, "switches", list_of(switches, &on));
	member_add(record, "pri", list_of(pri_switches, NULL));
	out_record(record, draw_any);
}

static void draw_done(struct json_object *record)
{
	printf("%s: %s %s: done\n", member_text(record, "iommu"), member_text(record, "file"),
	       member_text(record, "command"));
}

/* A command to a file of the instance; what it was is the result. */
static void command(const char *instance, const char *file, char *words)
{
	char *path = tree_path(TREE_SIM "/%s/%s", instance, file);
	struct json_object *record;
	int error = tree_write(path, words);

	if (error)
		die("%s does not accept '%s': %s%s", path, words, strerror(error),
		    error == EINVAL ? "; the kernel's log may say why: dmesg" : "");
	record = json_object_new_object();
	member_add(record, "iommu", json_object_new_string(instance));
	member_add(record, "file", json_object_new_string(file));
	member_add(record, "command", json_object_new_string(words));
	out_record(record, draw_done);
	free(words);
	free(path);
}

static void inject_error(const char *instance, const struct call *call)
{
	uint64_t times = call->nr > 3 ? call_number("TIMES", call->arg[3], 0, UINT32_MAX) : 1;
	int i = find_choice(errors, call->arg[2]);

	if (i < 0)
		die_usage("there is no error '%s'; there are: %s", call->arg[2], names_of(errors));
	command(instance, "inject", text("%d %llu", i, (unsigned long long)times));
}

static void run(const struct call *call)
{
	struct device device;
	const char *kind = call->nr > 1 ? call->arg[1] : NULL;

	if (kind && strcmp(kind, "error") && strcmp(kind, "switches") && strcmp(kind, "pri"))
		die_usage("'%s' is none of: error, switches, pri", kind);
	if (call->nr == 2)
		die_usage("'%s' wants a name", kind);
	if (call->nr > 3 && strcmp(kind, "error"))
		die_usage("TIMES belongs to error, and to nothing else; what belongs together is "
			  "one NAME,NAME");
	if (kind && !strcmp(kind, "pri")) {
		uint64_t bits = bits_of(pri_switches, "switch", call->arg[2]);

		device = tree_device(call->arg[0]);
		tree_sim_of(&device);
		command(device.iommu, "pri_switches",
			text("%#x %#llx", device.id, (unsigned long long)bits));
		return;
	}
	tree_need_instance(call->arg[0]);
	if (!kind)
		show(call->arg[0]);
	else if (!strcmp(kind, "error"))
		inject_error(call->arg[0], call);
	else
		command(call->arg[0], "switches",
			text("%#llx", (unsigned long long)bits_of(switches, "switch",
								  call->arg[2])));
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
		"  IOMMU switches NAME,...  it is like that from now on, and not otherwise; none, all\n"
		"  DEVICE pri NAME,...      the device's page requests are like that; none, all\n",
	.run = run,
};
