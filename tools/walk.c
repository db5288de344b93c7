// SPDX-License-Identifier: GPL-2.0-only
/*
 * rviommu walk: where an IOVA leads to, through every table on the way, drawn as one would draw it
 * on paper.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "out.h"
#include "parse.h"
#include "say.h"
#include "tree.h"

/* "level 1 table 0x81235000 index 3 entry 0x20c08001 link" */
static struct json_object *step_of(const char *line)
{
	char *copy = text("%s", line), *last = strrchr(copy, ' ');
	struct json_object *step;

	if (last)
		*last++ = '\0';
	step = parse_pairs(copy);
	member_add(step, "is", json_object_new_string(last ?: ""));
	free(copy);
	return step;
}

static void split_steps(struct json_object *record, const char *name)
{
	struct json_object *lines = member(record, name), *list = json_object_new_array();
	size_t i;

	for (i = 0; i < json_object_array_length(lines); i++) {
		struct json_object *line = json_object_array_get_idx(lines, i);

		json_object_array_add(list, step_of(json_object_get_string(line)));
	}
	member_add(record, name, list);
}

/* "4K rw-u-ad- pma" */
static void split_leaf(struct json_object *record)
{
	static const char * const names[] = { "size", "flags", "memory_type" };
	struct json_object *leaf;
	char *line, *rest;
	size_t i;

	if (!member(record, "leaf"))
		return;
	line = text("%s", member_text(record, "leaf"));
	rest = line;
	leaf = json_object_new_object();
	for (i = 0; i < ARRAY_SIZE(names); i++)
		member_add(leaf, names[i], json_object_new_string(parse_word(&rest) ?: ""));
	member_add(record, "leaf", leaf);
	free(line);
}

/* What the kernel calls "none" is not there. */
static void drop_none(struct json_object *record, const char *name)
{
	if (!strcmp(member_text(record, name), "none"))
		member_add(record, name, NULL);
}

static struct json_object *walk_of(char *answer)
{
	const struct parse_shape shape = { .lists = (const char * const []){
		"device_directory", "process_directory", "page_table", NULL,
	} };
	struct json_object *record = parse_record(answer, &shape);

	split_steps(record, "device_directory");
	split_steps(record, "process_directory");
	split_steps(record, "page_table");
	split_leaf(record);
	drop_none(record, "pasid");
	drop_none(record, "domain");
	return record;
}

/* ----- The drawing ----- */

/* A level below the other: where it is, which entry, and what is in there. */
static void draw_steps(struct json_object *list, unsigned int *depth)
{
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++, ++*depth) {
		struct json_object *step = json_object_array_get_idx(list, i);

		printf("%*s%s level %s  table %s  [%s] = %s %s\n", 2 * *depth, "",
		       *depth ? "`->" : "   ", member_text(step, "level"),
		       member_text(step, "table"), member_text(step, "index"),
		       member_text(step, "entry"), member_text(step, "is"));
	}
}

static void draw_end(struct json_object *record, unsigned int depth)
{
	const char *result = member_text(record, "result");
	struct json_object *leaf = member(record, "leaf");

	printf("%*s", 2 * depth, "");
	if (!strcmp(result, "mapped")) {
		printf("`-> %s", member_text(record, "physical"));
		if (leaf)
			printf("  in a leaf of %s, %s, memory %s", member_text(leaf, "size"),
			       member_text(leaf, "flags"), member_text(leaf, "memory_type"));
		putchar('\n');
	} else if (!strcmp(result, "not_mapped")) {
		puts("`-x nothing is mapped here: a DMA faults");
	} else if (!strcmp(result, "no_such_address")) {
		puts("`-x no page table of this mode has this address: a DMA faults");
	} else if (!strcmp(result, "blocked")) {
		puts("`-x nothing is attached: a DMA is blocked");
	} else {
		printf("`-? %s\n", *result ? result : "the answer is cut off");
	}
}

static void draw(struct json_object *record)
{
	unsigned int depth = 0;

	printf("IOVA %s of %s", member_text(record, "iova"), member_text(record, "device"));
	if (member(record, "pasid"))
		printf(", PASID %s", member_text(record, "pasid"));
	printf("\n\ndevice directory of %s, device_id %s\n", member_text(record, "iommu"),
	       member_text(record, "device_id"));
	draw_steps(member(record, "device_directory"), &depth);
	if (member(record, "process_id")) {
		printf("\nprocess directory, process_id %s\n", member_text(record, "process_id"));
		depth = 0;
		draw_steps(member(record, "process_directory"), &depth);
	}
	printf("\ndomain %s%s%s\n", member(record, "domain") ? member_text(record, "domain") : "-",
	       member(record, "mode") ? ", " : "", member_text(record, "mode"));
	depth = 0;
	draw_steps(member(record, "page_table"), &depth);
	draw_end(record, depth);
}

enum option { PASID };

static void run(const struct call *call)
{
	const char *pasid = call_pasid(call->option[PASID]);
	struct json_object *record, *walk;
	struct device device;
	char *path, *answer, *question;
	uint64_t iova;

	iova = call_number("IOVA", call->arg[1], 0, UINT64_MAX);
	device = tree_device(call->arg[0]);
	path = text("%s/walk", device.dir);
	question = text("%#llx %s", (unsigned long long)iova, pasid);
	answer = tree_ask(path, question, NULL);
	if (!answer)
		die("%s does not answer to '%s': %s", path, question, strerror(errno));
	walk = walk_of(answer);
	record = json_object_new_object();
	member_add(record, "device", json_object_new_string(device.name));
	member_add(record, "iommu", json_object_new_string(device.iommu));
	json_object_object_foreach(walk, name, value) {
		member_add(record, name, json_object_get(value));
	}
	json_object_put(walk);
	out_record(record, draw);
}

const struct command command_walk = {
	.name = "walk",
	.args = (const char * const []){ "DEVICE", "IOVA", NULL },
	.min = 2,
	.max = 2,
	.options = (const struct command_option []){
		[PASID] = { "pasid", "N", "of a request with this PASID" }, {},
	},
	.what = "where an IOVA leads to, through every table",
	.run = run,
};
