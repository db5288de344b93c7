// SPDX-License-Identifier: GPL-2.0-only
/*
 * rviommu create: one more simulated IOMMU, with devices behind it. It is made as a whole or not at
 * all.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "choice.h"
#include "command.h"
#include "out.h"
#include "parse.h"
#include "patience.h"
#include "say.h"
#include "tree.h"

/* For help and completion. What there is, the kernel says: scripts/tables compares them. */
static const struct choice options[] = {
	{ "capabilities", "the capabilities register; each bit switches its feature" },
	{ "ddt_levels", "the only depth of the device directory; 0: all three" },
	{ "endpoints", "devices that are no PCI functions" },
	{ "first_id", "device ID of the first of these" },
	{ "wired", "1: interrupts are wires; 0: messages" },
	{ "exerciser", "1: devices get the driver that bench needs" },
	{ "vectors", "interrupt vectors, a power of two" },
	{ "cq_max_lg2", "lg2 of the entries of the largest command queue" },
	{ "fq_max_lg2", "of the largest fault queue" },
	{ "pq_max_lg2", "of the largest page-request queue" },
	{ "cache_limit", "entries that the caches may hold; 0: no limit" },
	{ "ats_timeout", "nanoseconds that an Invalidation Request may stay unanswered" },
	{ "switches", "worst cases: names as for inject, or a number" },
	{ "seed", "of everything random" },
	{ "pci_functions", "PCI functions, at most 32" },
	{ "pci_bus", "the bus that they are on" },
	{ "vfs", "virtual functions that each of them can have" },
	{ "vf_offset", "from a function to its first virtual one, in routing IDs" },
	{ "vf_stride", "from one of them to the next" },
	{ "pri", "1: devices with ATS can send page requests" },
	{ "ats", "1: devices can do ATS" },
	{ "pasid_bits", "width of their PASIDs; 0: they have none" },
	{ "ats_depth", "Invalidation Requests that a device can queue" },
	{ "atc_limit", "entries that its cache may hold; 0: no limit" },
	{ "pri_capacity", "page requests that it can have outstanding, 1 to 64" },
	{ "pri_pages", "pages that it asks for in one group" },
	{ "prg_pasid", "1: it expects the PASID of its request in the response" },
	{ "stop_markers", "1: it sends a Stop Marker when it stops using a PASID" },
	{ "pri_timeout", "nanoseconds that it tries to get on with one access" },
	{ "pri_switches", "worst cases: names as for inject pri, or a number" },
	{}
};

/* The directory of an instance that does not live yet; it goes with a program that fails. */
static const char *half_made;

static void unmake(void)
{
	if (half_made)
		rmdir(half_made);
}

/* How long the name of an option in "OPTION=VALUE" is */
static size_t name_length(const char *word)
{
	return strcspn(word, "=");
}

/* What can be seen to be wrong without the kernel */
static void check_words(const struct call *call)
{
	const char *name = call->arg[0], *word;
	unsigned int i, other;

	if (!*name || *name == '.' || strchr(name, '/'))
		die_usage("no IOMMU can be called '%s'", name);
	for (i = 1; i < call->nr; i++) {
		word = call->arg[i];
		if (!name_length(word) || !word[name_length(word)] || !word[name_length(word) + 1])
			die_usage("'%s' is not OPTION=VALUE", word);
		for (other = 1; other < i; other++)
			if (!strncmp(word, call->arg[other], name_length(word) + 1))
				die_usage("'%s' and '%s' are the same option", call->arg[other],
					  word);
	}
}

static void check_free(const char *name)
{
	struct names made = tree_made(), all = tree_instances();

	if (tree_has(&made, name))
		die("there is a simulated IOMMU '%s' already: rviommu destroy %s", name, name);
	if (tree_has(&all, name))
		die("there is a simulated IOMMU '%s' already: it came with the module", name);
}

/* Names of switches to their bits; what begins like a number is one. To be freed. */
static char *value_of(const char *option, const char *value)
{
	const struct choice *names = NULL;

	if (!strcmp(option, "switches"))
		names = choice_switches;
	else if (!strcmp(option, "pri_switches"))
		names = choice_pri;
	if (!names || strchr("0123456789", *value))
		return text("%s", call_decimal(value));
	return text("%#llx", (unsigned long long)choice_bits(names, value));
}

static void set_option(const char *dir, const char *word)
{
	char *option = strndup(word, name_length(word));
	char *value = value_of(option, word + name_length(word) + 1);
	char *path = text("%s/%s", dir, option);
	struct names names = tree_files(dir, "live");
	int error;

	if (!tree_has(&names, option))
		die_usage("there is no option '%s'; there are: %s", option, tree_join(&names));
	error = tree_write(path, value);
	if (error)
		die("%s cannot be '%s': %s; the kernel's log may say why: dmesg", option, value,
		    strerror(error));
	free(path);
	free(value);
	free(option);
}

static void go_live(const char *dir, const char *name)
{
	char *path = text("%s/live", dir);
	int error = tree_write(path, "1");

	if (error == ENODEV && !tree_has_driver())
		die("the driver is not loaded: modprobe rviommu");
	if (error == ENODEV)
		die("the driver does not take such an IOMMU '%s', or a device of it; "
		    "the kernel's log may say why: dmesg", name);
	if (error)
		die("there cannot be such an IOMMU '%s': %s; the kernel's log may say why: dmesg",
		    name, strerror(error));
	free(path);
}

static void create(const char *dir, const struct call *call)
{
	sigset_t signals;
	unsigned int i;

	/* Nobody ends the program while there is half an IOMMU. */
	sigfillset(&signals);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	atexit(unmake);
	if (mkdir(dir, 0755)) {
		if (errno == EACCES || errno == EPERM)
			die("only root may make IOMMUs: try sudo rviommu ...");
		die("%s cannot be made: %s", dir, strerror(errno));
	}
	half_made = dir;
	patience_end();
	for (i = 1; i < call->nr; i++)
		set_option(dir, call->arg[i]);
	go_live(dir, call->arg[0]);
	half_made = NULL;
	sigprocmask(SIG_UNBLOCK, &signals, NULL);
}

static struct json_object *record_of(const struct call *call)
{
	struct json_object *record = json_object_new_object(), *set = json_object_new_object();
	struct json_object *list = json_object_new_array();
	struct names devices = tree_devices(call->arg[0]);
	size_t i;

	for (i = 1; i < call->nr; i++) {
		char *option = strndup(call->arg[i], name_length(call->arg[i]));

		member_add(set, option,
			   parse_value(call_decimal(call->arg[i] + strlen(option) + 1)));
		free(option);
	}
	for (i = 0; i < devices.nr; i++)
		json_object_array_add(list, json_object_new_string(devices.name[i]));
	member_add(record, "iommu", json_object_new_string(call->arg[0]));
	member_add(record, "options", set);
	member_add(record, "devices", list);
	return record;
}

static void draw(struct json_object *record)
{
	struct json_object *devices = member(record, "devices");
	size_t i;

	printf("%s: done\n", member_text(record, "iommu"));
	for (i = 0; i < json_object_array_length(devices); i++)
		printf("  %s\n", json_object_get_string(json_object_array_get_idx(devices, i)));
}

static void run(const struct call *call)
{
	char *dir;

	check_words(call);
	tree_need_config();
	patience_turn();
	check_free(call->arg[0]);
	dir = tree_path(TREE_CONFIG "/%s", call->arg[0]);
	create(dir, call);
	free(dir);
	out_record(record_of(call), draw);
}

static bool is_set(const struct call *call, const char *option)
{
	unsigned int i;

	for (i = 1; i < call->nr; i++)
		if (name_length(call->arg[i]) == strlen(option) &&
		    !strncmp(call->arg[i], option, strlen(option)))
			return true;
	return false;
}

/* Options that are not there yet, and names of switches. The name of the IOMMU is a new one. */
static bool complete(const struct call *call, const char *word)
{
	const struct choice *option;

	if (!call->nr)
		return true;
	if (!strncmp(word, "switches=", 9))
		choice_complete(choice_switches, "switches=", word + 9);
	else if (!strncmp(word, "pri_switches=", 13))
		choice_complete(choice_pri, "pri_switches=", word + 13);
	else
		for (option = options; option->name; option++)
			if (!is_set(call, option->name))
				printf("%s=\n", option->name);
	return true;
}

const struct command command_create = {
	.name = "create",
	.args = (const char * const []){ "NAME", "OPTION=VALUE...", NULL },
	.min = 1,
	.max = COMMAND_ARGS,
	.options = (const struct command_option []){ {} },
	.what = "make one more simulated IOMMU, with devices",
	.names = options,
	.run = run,
	.complete = complete,
};
