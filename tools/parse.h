/* SPDX-License-Identifier: GPL-2.0-only */
/* Text of the kernel's files, and of the command line, to values. */
#ifndef RVIOMMU_TOOLS_PARSE_H
#define RVIOMMU_TOOLS_PARSE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * struct parse_shape - which names of a file are not plain values
 * @words: those whose value is a list of words; up to a NULL
 * @lists: those that may be there several times; up to a NULL. They are lists in any case.
 */
struct parse_shape {
	const char * const *words;
	const char * const *lists;
};

bool parse_number(const char *text, uint64_t max, uint64_t *value);
bool parse_size(const char *text, uint64_t max, uint64_t *value);
char *parse_line(char **rest);
char *parse_word(char **rest);
struct json_object *parse_value(const char *text);
struct json_object *parse_optional(const char *text);
struct json_object *parse_pairs(char *text);
struct json_object *parse_record(char *text, const struct parse_shape *shape);
struct json_object *parse_blocks(char *text, const char *first, const struct parse_shape *shape);

/* Members of a record, with something in place of what is not there */
struct json_object *member(struct json_object *record, const char *name);
const char *member_text(struct json_object *record, const char *name);
uint64_t member_number(struct json_object *record, const char *name);
void member_add(struct json_object *record, const char *name, struct json_object *value);
void member_copy(struct json_object *to, const char *name, struct json_object *from);

#endif /* RVIOMMU_TOOLS_PARSE_H */
