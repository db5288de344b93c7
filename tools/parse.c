// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files of "name value" lines to records. A record is a JSON object: numbers where a value is a
 * decimal number, true and false for yes and no, text for all else.
 *
 * The files are the kernel's, but nothing is taken for granted: what is cut off, too large or no
 * text becomes a value that says little, and no harm.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "say.h"

/**
 * parse_number() - a number without a sign and nothing else, decimal or with 0x
 * @text: it
 * @max: the most that it can be
 * @value: where to put it
 *
 * Return: false, and nothing was put, if it is none.
 */
bool parse_number(const char *text, uint64_t max, uint64_t *value)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	unsigned long long number;
	char *end;

	if (!isxdigit((unsigned char)text[hex ? 2 : 0]))
		return false;
	errno = 0;
	number = strtoull(text, &end, hex ? 16 : 10);
	if (errno || *end || number > max)
		return false;
	*value = number;
	return true;
}

/**
 * parse_size() - the same, with K, M or G behind it
 * @text: it
 * @max: the most that it can be
 * @value: where to put it, in bytes
 *
 * Return: false if it is none.
 */
bool parse_size(const char *text, uint64_t max, uint64_t *value)
{
	static const char units[] = "KMG";
	size_t length = strlen(text);
	const char *unit = length ? strchr(units, text[length - 1]) : NULL;
	unsigned int shift = unit ? 10 * (unit - units + 1) : 0;
	char digits[32];

	if (length >= sizeof(digits))
		return false;
	memcpy(digits, text, length + 1);
	if (unit)
		digits[length - 1] = '\0';
	if (!parse_number(digits, max >> shift, value))
		return false;
	*value <<= shift;
	return true;
}

/**
 * parse_line() - the next line of a text
 * @rest: what is left of it; moved on
 *
 * Return: the line, with nothing in it that a terminal would not like; NULL at the end.
 */
char *parse_line(char **rest)
{
	char *line = strsep(rest, "\n"), *c;

	for (c = line; c && *c; c++)
		if (!isascii((unsigned char)*c) || iscntrl((unsigned char)*c))
			*c = *c == '\t' ? ' ' : '?';
	return line;
}

/**
 * parse_word() - the next word of a line
 * @rest: what is left of it; moved on, and a zero is put behind the word
 *
 * Return: the word, or NULL at the end.
 */
char *parse_word(char **rest)
{
	char *word;

	while ((word = strsep(rest, " \t")))
		if (*word)
			return word;
	return NULL;
}

/**
 * parse_value() - text of a file as a value
 * @text: it
 *
 * Return: a number, a truth value or the text.
 */
struct json_object *parse_value(const char *text)
{
	uint64_t number;

	if (text[0] != '0' || !text[1]) {
		if (isdigit((unsigned char)text[0]) && parse_number(text, UINT64_MAX, &number))
			return json_object_new_uint64(number);
	}
	if (!strcmp(text, "yes") || !strcmp(text, "no"))
		return json_object_new_boolean(*text == 'y');
	return json_object_new_string(text);
}

/**
 * parse_optional() - the same, and what the kernel calls "none" is not there
 * @text: it
 *
 * Return: NULL, which JSON has as null, or the value.
 */
struct json_object *parse_optional(const char *text)
{
	return strcmp(text, "none") ? parse_value(text) : NULL;
}

/**
 * parse_pairs() - "name value name value"
 * @text: it; taken apart
 *
 * Return: a record. A name without a value has none in there, either.
 */
struct json_object *parse_pairs(char *text)
{
	struct json_object *record = json_object_new_object();
	char *name, *value;

	while ((name = parse_word(&text))) {
		value = parse_word(&text);
		if (!value)
			break;
		member_add(record, name, parse_value(value));
	}
	return record;
}

static bool is_one_of(const char *name, const char * const *names)
{
	for (; names && *names; names++)
		if (!strcmp(name, *names))
			return true;
	return false;
}

static struct json_object *split(char *text)
{
	struct json_object *list = json_object_new_array();
	char *word;

	while ((word = parse_word(&text)))
		json_object_array_add(list, json_object_new_string(word));
	return list;
}

/* One line into a record; its name was cut off. */
static void add_line(struct json_object *record, const char *name, char *value,
		     const struct parse_shape *shape)
{
	struct json_object *list;

	if (shape && is_one_of(name, shape->words)) {
		member_add(record, name, split(value));
	} else if (shape && is_one_of(name, shape->lists)) {
		if (!json_object_object_get_ex(record, name, &list)) {
			list = json_object_new_array();
			member_add(record, name, list);
		}
		json_object_array_add(list, json_object_new_string(value));
	} else {
		member_add(record, name, parse_value(value));
	}
}

/* Lists are there, with nothing in them if need be. */
static void add_lists(struct json_object *record, const struct parse_shape *shape)
{
	const char * const *name;

	for (name = shape ? shape->lists : NULL; record && name && *name; name++)
		if (!member(record, *name))
			member_add(record, *name, json_object_new_array());
}

/**
 * parse_record() - a file that is about one thing
 * @text: the file; taken apart
 * @shape: its names, or NULL
 *
 * Comments are left out. Of a name that comes twice the last one counts.
 *
 * Return: a record.
 */
struct json_object *parse_record(char *text, const struct parse_shape *shape)
{
	struct json_object *record = json_object_new_object();
	char *line, *name;

	while ((line = parse_line(&text))) {
		name = parse_word(&line);
		if (name && *name != '#')
			add_line(record, name, line ?: (char []){ "" }, shape);
	}
	add_lists(record, shape);
	return record;
}

/**
 * parse_blocks() - a file that is about several
 * @text: the file; taken apart
 * @first: name of the first line about each
 * @shape: its names, or NULL
 *
 * Return: a list of records. What comes before the first is left out.
 */
struct json_object *parse_blocks(char *text, const char *first, const struct parse_shape *shape)
{
	struct json_object *list = json_object_new_array(), *record = NULL;
	char *line, *name;

	while ((line = parse_line(&text))) {
		name = parse_word(&line);
		if (!name || *name == '#')
			continue;
		if (!strcmp(name, first)) {
			add_lists(record, shape);
			record = json_object_new_object();
			json_object_array_add(list, record);
		}
		if (record)
			add_line(record, name, line ?: (char []){ "" }, shape);
	}
	add_lists(record, shape);
	return list;
}

/**
 * member() - of a record
 * @record: it, or NULL
 * @name: which
 *
 * Return: its value, or NULL.
 */
struct json_object *member(struct json_object *record, const char *name)
{
	struct json_object *value = NULL;

	if (json_object_is_type(record, json_type_object))
		json_object_object_get_ex(record, name, &value);
	return value;
}

/**
 * member_text() - the same as text
 * @record: it
 * @name: which
 *
 * Return: its value; "" if there is none.
 */
const char *member_text(struct json_object *record, const char *name)
{
	struct json_object *value = member(record, name);

	return value ? json_object_get_string(value) : "";
}

/**
 * member_number() - the same as a number
 * @record: it
 * @name: which
 *
 * Return: its value; 0 if there is none, or no number.
 */
uint64_t member_number(struct json_object *record, const char *name)
{
	struct json_object *value = member(record, name);
	uint64_t number = 0;

	if (json_object_is_type(value, json_type_int))
		return json_object_get_uint64(value);
	if (json_object_is_type(value, json_type_string))
		parse_number(json_object_get_string(value), UINT64_MAX, &number);
	return number;
}

/**
 * member_add() - another one
 * @record: where to
 * @name: its name
 * @value: its value, which is the record's now
 */
void member_add(struct json_object *record, const char *name, struct json_object *value)
{
	json_object_object_add(record, name, value);
}

/**
 * member_copy() - the same as in another record; null if it is not there
 * @to: where to
 * @name: which
 * @from: the other one
 */
void member_copy(struct json_object *to, const char *name, struct json_object *from)
{
	struct json_object *value = member(from, name);

	member_add(to, name, value ? json_object_get(value) : NULL);
}
