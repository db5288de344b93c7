/* SPDX-License-Identifier: GPL-2.0-only */
/* What simulated hardware can be told to do, by name. The kernel has numbers for it. */
#ifndef RVIOMMU_TOOLS_CHOICE_H
#define RVIOMMU_TOOLS_CHOICE_H

#include <json-c/json.h>
#include <stdint.h>

/**
 * struct choice - something that can be chosen by its name
 * @name: its name
 * @what: what it does
 *
 * Its number, or its bit, is its place in the table. Both are the kernel's: scripts/tables
 * compares them.
 */
struct choice {
	const char *name;
	const char *what;
};

/* Each up to one without a name */
extern const struct choice choice_errors[];
extern const struct choice choice_switches[];
extern const struct choice choice_pri[];

int choice_find(const struct choice *choices, const char *name);
char *choice_names(const struct choice *choices);
uint64_t choice_bits(const struct choice *choices, const char *list);
struct json_object *choice_list(const struct choice *choices, const uint64_t *on);
struct json_object *choice_on(const struct choice *choices, uint64_t on);
void choice_complete(const struct choice *choices, const char *prefix, const char *word);

#endif /* RVIOMMU_TOOLS_CHOICE_H */
