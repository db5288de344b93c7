// SPDX-License-Identifier: GPL-2.0-only
/* Printing records: as JSON, or as names and values, tables and lists. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "out.h"
#include "parse.h"
#include "say.h"

#define LINE	100	/* where a list goes on in the next line */
#define GAP	2	/* between columns */

bool out_json;

static void print_json(struct json_object *record, int flags)
{
	puts(json_object_to_json_string_ext(record, flags | JSON_C_TO_STRING_NOSLASHESCAPE));
}

/**
 * out_record() - print all that a command found
 * @record: that; it is gone afterwards
 * @draw: how people like it; draw_any() will do for most
 */
void out_record(struct json_object *record, draw_t draw)
{
	if (out_json)
		print_json(record, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED);
	else
		draw(record);
	json_object_put(record);
	out_end();
}

/**
 * out_event() - print one of many things that happen: JSON in one line
 * @record: what; it is gone afterwards
 * @draw: how people like it
 */
void out_event(struct json_object *record, draw_t draw)
{
	if (out_json)
		print_json(record, JSON_C_TO_STRING_PLAIN);
	else
		draw(record);
	json_object_put(record);
	out_end();
}

/**
 * out_end() - it has to have arrived
 */
void out_end(void)
{
	if (fflush(stdout) || ferror(stdout))
		die("cannot write the output: %s", strerror(errno));
}

/* ----- For people ----- */

/* A value and what it means: both fit into a line. */
static bool is_code(struct json_object *value)
{
	return json_object_is_type(value, json_type_object) &&
	       json_object_object_length(value) == 2 &&
	       (member(value, "raw") || member(value, "code"));
}

static bool is_table(struct json_object *value)
{
	return json_object_is_type(value, json_type_array) && json_object_array_length(value) &&
	       json_object_is_type(json_object_array_get_idx(value, 0), json_type_object);
}

/* Is it more than fits into a line? */
static bool is_large(struct json_object *value)
{
	return (json_object_is_type(value, json_type_object) && !is_code(value)) ||
	       is_table(value);
}

static const char *cell(struct json_object *value)
{
	if (json_object_is_type(value, json_type_boolean))
		return json_object_get_boolean(value) ? "yes" : "no";
	return value ? json_object_get_string(value) : "-";
}

/* Words, and where they do not fit into a line, lines of words; else one line for each entry. */
static void print_list(struct json_object *list, unsigned int column)
{
	size_t i, nr = json_object_array_length(list);
	unsigned int at = column;

	if (!nr)
		putchar('-');
	for (i = 0; i < nr; i++) {
		const char *word = cell(json_object_array_get_idx(list, i));
		bool words = strchr(word, ' ');

		if (i && (words || at + 1 + strlen(word) > LINE)) {
			printf("\n%*s", column, "");
			at = column;
		} else if (i) {
			putchar(' ');
			at++;
		}
		fputs(word, stdout);
		at += strlen(word);
	}
	putchar('\n');
}

static void print_code(struct json_object *code)
{
	const char *blank = "";

	json_object_object_foreach(code, name, value) {
		(void)name;
		if (*cell(value))
			printf("%s%s", blank, cell(value));
		blank = " ";
	}
	putchar('\n');
}

static void print_small(const char *name, struct json_object *value, unsigned int indent,
			unsigned int width)
{
	printf("%*s%-*s", indent, "", width + GAP, name);
	if (json_object_is_type(value, json_type_array))
		print_list(value, indent + width + GAP);
	else if (is_code(value))
		print_code(value);
	else
		printf("%s\n", cell(value));
}

/**
 * draw_members() - names and values, and below them what does not fit into a line
 * @record: with these members
 * @indent: how far to the right
 */
void draw_members(struct json_object *record, unsigned int indent)
{
	unsigned int width = 0;

	json_object_object_foreach(record, measured, value) {
		if (!is_large(value) && strlen(measured) > width)
			width = strlen(measured);
	}
	json_object_object_foreach(record, small, small_value) {
		if (!is_large(small_value))
			print_small(small, small_value, indent, width);
	}
	json_object_object_foreach(record, large, large_value) {
		if (!is_large(large_value))
			continue;
		printf("%*s%s:\n", indent, "", large);
		if (is_table(large_value))
			draw_table(large_value, indent + 2);
		else
			draw_members(large_value, indent + 2);
	}
}

/* A column for each name that any of the rows has, in the order of their first appearance */
static struct json_object *columns_of(struct json_object *list)
{
	struct json_object *columns = json_object_new_object();
	size_t i, row, length;

	for (row = 0; row < json_object_array_length(list); row++) {
		struct json_object *record = json_object_array_get_idx(list, row);

		json_object_object_foreach(record, name, value) {
			struct json_object *width = member(columns, name);

			length = is_large(value) ? 0 : strlen(cell(value));
			if (strlen(name) > length)
				length = strlen(name);
			i = width ? json_object_get_uint64(width) : 0;
			if (length > i)
				member_add(columns, name, json_object_new_uint64(length));
		}
	}
	return columns;
}

static bool any_large(struct json_object *list)
{
	size_t row;

	for (row = 0; row < json_object_array_length(list); row++) {
		struct json_object *record = json_object_array_get_idx(list, row);

		json_object_object_foreach(record, name, value) {
			(void)name;
			if (json_object_is_type(value, json_type_object) ||
			    json_object_is_type(value, json_type_array))
				return true;
		}
	}
	return false;
}

static void draw_row(struct json_object *columns, struct json_object *record, unsigned int indent)
{
	unsigned int blanks = indent;

	json_object_object_foreach(columns, name, width) {
		const char *what = record ? cell(member(record, name)) : name;

		printf("%*s%s", blanks, "", what);
		blanks = json_object_get_uint64(width) + GAP - strlen(what);
	}
	putchar('\n');
}

/**
 * draw_table() - records beside each other; below each other if there is too much in them
 * @list: of the records
 * @indent: how far to the right
 */
void draw_table(struct json_object *list, unsigned int indent)
{
	struct json_object *columns;
	size_t row, nr = json_object_array_length(list);

	if (any_large(list)) {
		for (row = 0; row < nr; row++) {
			if (row)
				putchar('\n');
			draw_members(json_object_array_get_idx(list, row), indent);
		}
		return;
	}
	columns = columns_of(list);
	draw_row(columns, NULL, indent);
	for (row = 0; row < nr; row++)
		draw_row(columns, json_object_array_get_idx(list, row), indent);
	json_object_put(columns);
}

/**
 * draw_any() - any record
 * @record: it
 */
void draw_any(struct json_object *record)
{
	draw_members(record, 0);
}
