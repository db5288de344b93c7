// SPDX-License-Identifier: GPL-2.0-only
/* rviommu top: counters that move, and how fast. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "facts.h"
#include "out.h"
#include "parse.h"
#include "say.h"
#include "tree.h"

enum option { INTERVAL, COUNT };

/* Counters of one source into one record, with a word before their names */
static void flatten(struct json_object *to, const char *before, struct json_object *counters)
{
	json_object_object_foreach(counters, name, value) {
		char *full;

		if (!json_object_is_type(value, json_type_int) || !strcmp(name, "name"))
			continue;
		full = text("%s%s", before, name);
		member_add(to, full, json_object_get(value));
		free(full);
	}
}

static struct json_object *counters_of(const char *iommu)
{
	struct json_object *all = json_object_new_object(), *driver = facts_counters(iommu);
	struct json_object *sim = facts_sim_counters(iommu), *devices = member(driver, "devices");
	size_t i;

	flatten(all, "", driver);
	for (i = 0; i < json_object_array_length(devices); i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);
		char *before = text("%s ", member_text(device, "name"));

		flatten(all, before, device);
		free(before);
	}
	if (sim)
		flatten(all, "hardware ", sim);
	json_object_put(sim);
	json_object_put(driver);
	return all;
}

static struct json_object *counters_of_all(const struct names *names)
{
	struct json_object *all = json_object_new_object();
	size_t i;

	for (i = 0; i < names->nr; i++)
		member_add(all, names->name[i], counters_of(names->name[i]));
	return all;
}

/* Lines of what has ever counted */
static struct json_object *rates_of(struct json_object *before, struct json_object *after,
				    double seconds)
{
	struct json_object *list = json_object_new_array();

	json_object_object_foreach(after, name, value) {
		uint64_t total = json_object_get_uint64(value), was = member_number(before, name);
		struct json_object *line;

		if (!total)
			continue;
		line = json_object_new_object();
		member_add(line, "counter", json_object_new_string(name));
		member_add(line, "total", json_object_new_uint64(total));
		member_add(line, "per_second",
			   json_object_new_uint64(total > was ? (total - was) / seconds : 0));
		json_object_array_add(list, line);
	}
	return list;
}

static void draw(struct json_object *record)
{
	struct json_object *list = member(record, "iommus");
	size_t i;

	/* Where somebody looks on: from the top */
	if (isatty(STDOUT_FILENO))
		fputs("\033[H\033[2J", stdout);
	for (i = 0; i < json_object_array_length(list); i++) {
		struct json_object *iommu = json_object_array_get_idx(list, i);

		printf("%s\n", member_text(iommu, "iommu"));
		draw_table(member(iommu, "counters"), 2);
	}
}

static struct json_object *tick(struct json_object *before, struct json_object *after,
				double seconds)
{
	struct json_object *record = json_object_new_object(), *list = json_object_new_array();

	json_object_object_foreach(after, iommu, counters) {
		struct json_object *line = json_object_new_object();

		member_add(line, "iommu", json_object_new_string(iommu));
		member_add(line, "counters", rates_of(member(before, iommu), counters, seconds));
		json_object_array_add(list, line);
	}
	member_add(record, "iommus", list);
	return record;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void run(const struct call *call)
{
	uint64_t interval = call_option(call, INTERVAL, "S", 1, 3600, 1);
	uint64_t left = call_option(call, COUNT, "N", 1, UINT64_MAX, UINT64_MAX);
	struct json_object *before, *after;
	struct names names;
	double since, then;

	tree_need_driver();
	if (call->nr) {
		tree_need_iommu(call->arg[0]);
		names = (struct names){ (char **)call->arg, 1 };
	} else {
		names = tree_iommus();
	}
	before = counters_of_all(&names);
	since = now();
	for (; left; left--) {
		sleep(interval);
		after = counters_of_all(&names);
		then = now();
		out_event(tick(before, after, then - since), draw);
		json_object_put(before);
		before = after;
		since = then;
	}
	json_object_put(before);
}

const struct command command_top = {
	.name = "top",
	.args = (const char * const []){ "IOMMU", NULL },
	.max = 1,
	.options = (const struct command_option []){
		[INTERVAL] = { "interval", "S", "seconds from one look to the next (1)" },
		[COUNT] = { "count", "N", "end after N of them" },
		{},
	},
	.what = "counters that move, and how fast, again and again",
	.run = run,
};
