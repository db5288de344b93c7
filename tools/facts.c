// SPDX-License-Identifier: GPL-2.0-only
/* Which file has what, and what its names mean: Documentation/debugfs.rst and simulator.rst. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "facts.h"
#include "parse.h"
#include "say.h"
#include "tree.h"

#define NAMES(...)	((const char * const []){ __VA_ARGS__, NULL })

/* A file in a directory as one record */
static struct json_object *record_of(char *path, const struct parse_shape *shape)
{
	char *all = tree_read(path);
	struct json_object *record = parse_record(all, shape);

	free(all);
	free(path);
	return record;
}

/**
 * facts_capabilities() - what an IOMMU is
 * @iommu: its name
 *
 * Return: a record.
 */
struct json_object *facts_capabilities(const char *iommu)
{
	const struct parse_shape shape = {
		.words = NAMES("has", "has_not"), .lists = NAMES("vector", "quirk"),
	};

	return record_of(tree_path(TREE_DRIVER "/%s/capabilities", iommu), &shape);
}

/**
 * facts_queues() - its queues
 * @iommu: its name
 *
 * Return: a record.
 */
struct json_object *facts_queues(const char *iommu)
{
	return record_of(tree_path(TREE_DRIVER "/%s/queues", iommu), NULL);
}

/* Has @name one of these at its beginning? Then @rest is what is behind that. */
static const char *group_of(const char *name, const char **rest)
{
	static const char * const groups[] = {
		"faults_", "page_groups_", "page_refused_", "page_dropped_",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(groups); i++) {
		if (!strncmp(name, groups[i], strlen(groups[i]))) {
			*rest = name + strlen(groups[i]);
			return groups[i];
		}
	}
	return NULL;
}

/* The record of a device in a list of them; there is one from now on. */
static struct json_object *of_device(struct json_object *list, const char *device)
{
	struct json_object *record;
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++) {
		record = json_object_array_get_idx(list, i);
		if (!strcmp(member_text(record, "name"), device))
			return record;
	}
	record = json_object_new_object();
	member_add(record, "name", json_object_new_string(device));
	json_object_array_add(list, record);
	return record;
}

/**
 * facts_counters() - what happened
 * @iommu: its name
 *
 * Return: a record; "devices" is a list with the counters of each.
 */
struct json_object *facts_counters(const char *iommu)
{
	struct json_object *all = record_of(tree_path(TREE_DRIVER "/%s/counters", iommu), NULL);
	struct json_object *devices = json_object_new_array(), *record = json_object_new_object();
	const char *device;

	json_object_object_foreach(all, name, value) {
		const char *group = group_of(name, &device);

		if (group) {
			char *counter = strndup(group, strlen(group) - 1);

			member_add(of_device(devices, device), counter, json_object_get(value));
			free(counter);
		} else {
			member_add(record, name, json_object_get(value));
		}
	}
	member_add(record, "devices", devices);
	json_object_put(all);
	return record;
}

/* "attached_on NAME NUMBER", a line each */
static void split_attached(struct json_object *domain)
{
	struct json_object *lines = member(domain, "attached_on");
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < json_object_array_length(lines); i++) {
		struct json_object *value = json_object_array_get_idx(lines, i);
		char *line = text("%s", json_object_get_string(value));
		char *rest = line, *iommu = parse_word(&rest), *nr = parse_word(&rest);
		struct json_object *record = json_object_new_object();

		member_add(record, "iommu", json_object_new_string(iommu ?: ""));
		member_add(record, "attachments", parse_value(nr ?: ""));
		json_object_array_add(list, record);
		free(line);
	}
	member_add(domain, "attached_on", list);
}

/**
 * facts_domains() - all address spaces
 *
 * Return: a list of records.
 */
struct json_object *facts_domains(void)
{
	const struct parse_shape shape = { .lists = NAMES("attached_on") };
	char *path = tree_path(TREE_DRIVER "/domains"), *all = tree_read(path);
	struct json_object *list = parse_blocks(all, "domain", &shape);
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++)
		split_attached(json_object_array_get_idx(list, i));
	free(all);
	free(path);
	return list;
}

/* "RAW DECODED..." */
static void split_word(struct json_object *context, const char *name)
{
	char *line, *rest, *raw;
	struct json_object *record;

	if (!member(context, name))
		return;
	line = text("%s", member_text(context, name));
	rest = line;
	raw = parse_word(&rest);
	record = json_object_new_object();
	member_add(record, "raw", json_object_new_string(raw ?: ""));
	member_add(record, "decoded", json_object_new_string(rest ?: ""));
	member_add(context, name, record);
	free(line);
}

static struct json_object *contexts(char *path, const char *first)
{
	static const char * const words[] = {
		"tc", "iohgatp", "ta", "fsc", "msiptp", "msi_addr_mask", "msi_addr_pattern",
		"reserved",
	};
	char *all = tree_read(path);
	struct json_object *list = parse_blocks(all, first, NULL);
	size_t i, word;

	for (i = 0; i < json_object_array_length(list); i++)
		for (word = 0; word < ARRAY_SIZE(words); word++)
			split_word(json_object_array_get_idx(list, i), words[word]);
	free(all);
	free(path);
	return list;
}

/**
 * facts_contexts() - what the hardware reads for a device
 * @dir: of the device
 *
 * Return: a list with a record for each device_id.
 */
struct json_object *facts_contexts(const char *dir)
{
	return contexts(text("%s/context", dir), "device_id");
}

/**
 * facts_pasids() - what is attached to PASIDs of a device
 * @dir: of the device
 *
 * Return: a list with a record for each.
 */
struct json_object *facts_pasids(const char *dir)
{
	return contexts(text("%s/processes", dir), "process_id");
}

/* The lines of a page table begin with a number. */
static char *leaves_in(char *all)
{
	char *line;

	if (all[0] == '0')
		return all;
	line = strstr(all, "\n0x");
	return line ? line + 1 : all + strlen(all);
}

/* What is said of a domain, before its page table, which is gone afterwards */
static struct json_object *domain_of(char *all)
{
	const struct parse_shape shape = { .lists = NAMES("attached_on") };
	struct json_object *record;

	*leaves_in(all) = '\0';
	record = parse_record(all, &shape);
	split_attached(record);
	return record;
}

/**
 * facts_domain() - what a device without a PASID is attached to
 * @dir: of the device
 *
 * Return: a record.
 */
struct json_object *facts_domain(const char *dir)
{
	char *path = text("%s/domain", dir), *all = tree_read(path);
	struct json_object *record = domain_of(all);

	free(all);
	free(path);
	return record;
}

/* "FIRST-LAST PHYSICAL NUMBER x SIZE FLAGS TYPE"; NULL if it is cut off */
static struct json_object *leaf_of(char *line)
{
	char *first = strsep(&line, "-"), *word[6];
	struct json_object *record;
	unsigned int i;

	for (i = 0; i < 7; i++) {
		char *next = parse_word(&line);

		if (!next)
			return NULL;
		/* The fourth is the "x". */
		if (i != 3)
			word[i - (i > 3)] = next;
	}
	record = json_object_new_object();
	member_add(record, "iova", json_object_new_string(first));
	member_add(record, "last", json_object_new_string(word[0]));
	member_add(record, "physical", json_object_new_string(word[1]));
	member_add(record, "leaves", parse_value(word[2]));
	member_add(record, "size", json_object_new_string(word[3]));
	member_add(record, "flags", json_object_new_string(word[4]));
	member_add(record, "memory_type", json_object_new_string(word[5]));
	return record;
}

/* A record for each run of leaves; the lines are gone afterwards. */
static struct json_object *leaves_of(char *rest)
{
	struct json_object *list = json_object_new_array(), *record;
	char *line;

	while ((line = parse_line(&rest))) {
		record = *line == '0' ? leaf_of(line) : NULL;
		if (record)
			json_object_array_add(list, record);
	}
	return list;
}

/* Requests with a PASID have a file that wants to know which. */
static char *read_domain(const char *dir, const char *pasid)
{
	bool none = !strcmp(pasid, "none");
	char *path = text("%s/%s", dir, none ? "domain" : "pasid_domain"), *all;

	all = none ? tree_read(path) : tree_ask(path, pasid, NULL);
	if (!all)
		die("%s does not answer to '%s': %s", path, pasid, strerror(errno));
	free(path);
	return all;
}

/**
 * facts_page_table() - what requests of a device are attached to, with its page table
 * @dir: of the device
 * @pasid: which requests: a PASID; "none": those without
 *
 * Return: a record; "pasid" says whose it is, NULL: of those without; "leaves" is a list with a
 * record for each run of leaves, "complete" is false if something else was attached before the end.
 */
struct json_object *facts_page_table(const char *dir, const char *pasid)
{
	struct json_object *record = json_object_new_object(), *leaves, *domain;
	char *all = read_domain(dir, pasid);
	bool complete = !strstr(all, "\n# the device was attached to another domain");

	/* Both at once: what is attached may be another one in a moment. */
	leaves = leaves_of(leaves_in(all));
	domain = domain_of(all);
	member_copy(record, "pasid", domain);
	json_object_object_del(domain, "pasid");
	member_add(record, "domain", domain);
	member_add(record, "leaves", leaves);
	member_add(record, "complete", json_object_new_boolean(complete));
	free(all);
	return record;
}

/* "NUMBER NAME" */
static void split_code(struct json_object *record, const char *name)
{
	char *line, *rest;
	struct json_object *code;

	if (!member(record, name))
		return;
	line = text("%s", member_text(record, name));
	rest = line;
	code = json_object_new_object();
	member_add(code, "code", parse_value(parse_word(&rest) ?: ""));
	member_add(code, "name", json_object_new_string(rest ?: ""));
	member_add(record, name, code);
	free(line);
}

/**
 * facts_faults() - how often a device was refused, and the last time
 * @dir: of the device
 *
 * Return: a record.
 */
struct json_object *facts_faults(const char *dir)
{
	struct json_object *record = record_of(text("%s/faults", dir), NULL);

	split_code(record, "last_cause");
	split_code(record, "last_type");
	return record;
}

/**
 * facts_page_requests() - page requests of a device
 * @dir: of the device
 *
 * Return: a record; NULL: it can send none.
 */
struct json_object *facts_page_requests(const char *dir)
{
	const struct parse_shape shape = { .lists = NAMES("group") };
	char *path = text("%s/page_requests", dir), *all = tree_read_if(path);
	struct json_object *record = *all ? parse_record(all, &shape) : NULL;

	free(all);
	free(path);
	return record;
}

/**
 * facts_sim_counters() - what the simulated hardware did
 * @instance: its name
 *
 * Return: a record; NULL: there is no such instance.
 */
struct json_object *facts_sim_counters(const char *instance)
{
	char *path = tree_path(TREE_SIM "/%s/counters", instance), *all = tree_read_if(path);
	struct json_object *record = *all ? parse_record(all, NULL) : NULL;

	free(all);
	free(path);
	return record;
}

/* "KIND device N pscid N ...": a kind may have a blank in it. */
static struct json_object *cached_of(char *line)
{
	char *pairs = strstr(line, " device ");
	struct json_object *record, *rest;

	if (!pairs)
		return NULL;
	*pairs++ = '\0';
	record = json_object_new_object();
	rest = parse_pairs(pairs);
	member_add(record, "kind", json_object_new_string(line));
	json_object_object_foreach(rest, name, value) {
		member_add(record, name, json_object_get(value));
	}
	json_object_put(rest);
	return record;
}

/**
 * facts_caches() - what simulated hardware has cached
 * @instance: its name
 *
 * Return: a list with a record for each entry.
 */
struct json_object *facts_caches(const char *instance)
{
	char *path = tree_path(TREE_SIM "/%s/caches", instance), *all = tree_read(path);
	struct json_object *list = json_object_new_array(), *record;
	char *rest = all, *line;

	while ((line = parse_line(&rest))) {
		record = cached_of(line);
		if (record)
			json_object_array_add(list, record);
	}
	free(all);
	free(path);
	return list;
}
