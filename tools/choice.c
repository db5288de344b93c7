// SPDX-License-Identifier: GPL-2.0-only
/* Errors and switches of simulated hardware: their names, and from names to numbers and back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "choice.h"
#include "parse.h"
#include "say.h"

/* enum rviommu_model_injection: scripts/tools compares these tables with the headers */
const struct choice choice_errors[] = {
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
const struct choice choice_switches[] = {
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
const struct choice choice_pri[] = {
	{ "flood", "as many groups as may be outstanding" },
	{ "no_last", "no request is the last of its group" },
	{ "reuse", "all groups have index 0" },
	{ "lost", "responses do not reach the device" },
	{ "late_marker", "a Stop Marker follows the next use of its PASID" },
	{ "no_marker", "there is no Stop Marker" },
	{ "excess", "the device does not look at what it was allocated" },
	{ "after_stop", "one more request after the use of a PASID was stopped" },
	{ "shuffle", "the pages of a group are asked for from both ends in turn" },
	{}
};

/**
 * choice_find() - the number of a name
 * @choices: the table
 * @name: what the user says
 *
 * Return: its place; -1: there is no such name.
 */
int choice_find(const struct choice *choices, const char *name)
{
	int i;

	for (i = 0; choices[i].name; i++)
		if (!strcmp(choices[i].name, name))
			return i;
	return -1;
}

/**
 * choice_names() - for a message
 * @choices: the table
 *
 * Return: to be freed.
 */
char *choice_names(const struct choice *choices)
{
	char *all = text("%s", choices->name), *longer;

	while ((++choices)->name) {
		longer = text("%s, %s", all, choices->name);
		free(all);
		all = longer;
	}
	return all;
}

/**
 * choice_bits() - what the user wants to be on
 * @choices: the table
 * @list: "NAME,NAME", "none" or "all"; another name ends the program
 *
 * Return: a bit for each name.
 */
uint64_t choice_bits(const struct choice *choices, const char *list)
{
	char *copy = text("%s", list), *rest = copy, *name;
	uint64_t bits = 0;
	int i;

	while ((name = strsep(&rest, ","))) {
		i = choice_find(choices, name);
		if (i >= 0)
			bits |= 1ULL << i;
		else if (!strcmp(name, "all"))
			for (i = 0; choices[i].name; i++)
				bits |= 1ULL << i;
		else if (strcmp(name, "none"))
			die_usage("there is no switch '%s'; there are: none, all, %s", name,
				  choice_names(choices));
	}
	free(copy);
	return bits;
}

/**
 * choice_list() - a table as records
 * @choices: the table
 * @on: a bit for each that is on; NULL: nobody knows
 *
 * Return: a list.
 */
struct json_object *choice_list(const struct choice *choices, const uint64_t *on)
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

/**
 * choice_on() - the names of those that are on
 * @choices: the table
 * @on: a bit for each
 *
 * Return: a list.
 */
struct json_object *choice_on(const struct choice *choices, uint64_t on)
{
	struct json_object *list = json_object_new_array();
	unsigned int i;

	for (i = 0; choices[i].name; i++)
		if (on >> i & 1)
			json_object_array_add(list, json_object_new_string(choices[i].name));
	return list;
}

/* Is it one of "NAME,NAME,", of which there are @length characters? */
static bool is_in(const char *list, size_t length, const char *name)
{
	const char *at = list, *comma;

	while ((comma = memchr(at, ',', list + length - at))) {
		if ((size_t)(comma - at) == strlen(name) && !strncmp(at, name, comma - at))
			return true;
		at = comma + 1;
	}
	return false;
}

/**
 * choice_complete() - print what could stand in the place of a list that has begun
 * @choices: the table
 * @prefix: what is before the list
 * @word: "NAME,NAME,NA", or nothing
 */
void choice_complete(const struct choice *choices, const char *prefix, const char *word)
{
	const char *comma = strrchr(word, ',');
	int length = comma ? comma + 1 - word : 0;

	if (!length)
		printf("%snone\n%sall\n", prefix, prefix);
	for (; choices->name; choices++)
		if (!is_in(word, length, choices->name))
			printf("%s%.*s%s\n", prefix, length, word, choices->name);
}
