/* SPDX-License-Identifier: GPL-2.0-only */
/* What a command is, and what it is called with. */
#ifndef RVIOMMU_TOOLS_COMMAND_H
#define RVIOMMU_TOOLS_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

struct choice;

#define COMMAND_ARGS	40
#define COMMAND_OPTIONS	6

/**
 * struct command_option - "--name VALUE", or "--name"
 * @name: without the dashes
 * @value: what it takes; NULL: nothing
 * @what: what it does
 */
struct command_option {
	const char *name;
	const char *value;
	const char *what;
};

/**
 * struct call - a command line
 * @arg: arguments
 * @nr: how many there are
 * @option: values of the command's options, in their order; "" of one that takes none; NULL of one
 *          that is not there
 */
struct call {
	const char *arg[COMMAND_ARGS];
	unsigned int nr;
	const char *option[COMMAND_OPTIONS];
};

/**
 * struct command - a command
 * @name: its name
 * @args: kinds of its arguments: DEVICE, IOMMU (names that are looked up for the completion),
 *        words to choose from separated by |, or anything else; up to a NULL
 * @min: so many it needs at least
 * @max: so many it takes
 * @options: up to one without a name
 * @what: what it does, in one line
 * @more: the rest, or NULL
 * @names: what its last argument can begin with, up to one without a name; NULL: nothing to tell
 * @run: does it, or ends the program
 * @complete: prints what could stand in the place of an argument that has begun, a line each, and
 *            says whether it knows; @call has those before it. NULL: @args says all.
 */
struct command {
	const char *name;
	const char * const *args;
	unsigned int min;
	unsigned int max;
	const struct command_option *options;
	const char *what;
	const char *more;
	const struct choice *names;
	void (*run)(const struct call *call);
	bool (*complete)(const struct call *call, const char *word);
};

extern const struct command command_list;
extern const struct command command_show;
extern const struct command command_stat;
extern const struct command command_top;
extern const struct command command_walk;
extern const struct command command_dump;
extern const struct command command_dma;
extern const struct command command_fault;
extern const struct command command_inject;
extern const struct command command_bench;
extern const struct command command_create;
extern const struct command command_destroy;

uint64_t call_number(const char *what, const char *text, uint64_t min, uint64_t max);
uint64_t call_size(const char *what, const char *text, uint64_t max);
uint64_t call_option(const struct call *call, unsigned int option, const char *what, uint64_t min,
		     uint64_t max, uint64_t otherwise);
const char *call_pasid(const char *option);
const char *call_decimal(const char *text);

#endif /* RVIOMMU_TOOLS_COMMAND_H */
