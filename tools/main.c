// SPDX-License-Identifier: GPL-2.0-only
/* rviommu: what people do with the IOMMUs of a machine. Commands are in files of their names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "choice.h"
#include "command.h"
#include "out.h"
#include "parse.h"
#include "say.h"
#include "tree.h"

#define VERSION	"0.1"

static const struct command * const commands[] = {
	&command_list, &command_show, &command_walk, &command_dump, &command_dma, &command_fault,
	&command_stat, &command_top, &command_inject, &command_bench, &command_create,
	&command_destroy,
};

#define NR_COMMANDS	(ARRAY_SIZE(commands))

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static struct names command_names(void)
{
	static char *name[NR_COMMANDS];
	size_t i;

	for (i = 0; i < NR_COMMANDS; i++)
		name[i] = (char *)commands[i]->name;
	return (struct names){ name, NR_COMMANDS };
}

/* ----- Help ----- */

static void print_usage(const struct command *command)
{
	const char * const *arg;
	unsigned int i = 0;

	printf("rviommu %s", command->name);
	for (arg = command->args; *arg; arg++, i++)
		printf(i < command->min ? " %s" : " [%s]", *arg);
	if (command->options[0].name)
		printf(" [OPTION...]");
	putchar('\n');
}

static void help_command(const struct command *command)
{
	const struct command_option *option;
	const struct choice *choice;

	print_usage(command);
	printf("  %s\n", command->what);
	if (command->more)
		printf("\n%s", command->more);
	if (command->names)
		putchar('\n');
	for (choice = command->names; choice && choice->name; choice++)
		printf("  %-16s %s\n", choice->name, choice->what);
	if (command->options[0].name)
		putchar('\n');
	for (option = command->options; option->name; option++) {
		char *name = text("--%s %s", option->name, option->value ?: "");

		printf("  %-20s %s\n", name, option->what);
		free(name);
	}
}

static void help_all(void)
{
	size_t i;

	puts("rviommu [--json] COMMAND [ARGUMENT...] [OPTION...]\n");
	for (i = 0; i < NR_COMMANDS; i++)
		printf("  %-8s %s\n", commands[i]->name, commands[i]->what);
	puts("  help     this, or what there is to know about one COMMAND\n\n"
	     "  --json               the same for programs; what goes on and on in a line each\n"
	     "  --version            of this program\n\n"
	     "See rviommu(8).");
}

/* ----- Completion ----- */

static void print_names(struct names names)
{
	size_t i;

	for (i = 0; i < names.nr; i++)
		puts(names.name[i]);
}

static void print_kind(const char *kind)
{
	struct names iommus = tree_iommus();
	char *words = text("%s", kind), *word;
	size_t i;

	if (!strcmp(kind, "IOMMU") || !strcmp(kind, "IOMMU|DEVICE"))
		print_names(iommus);
	if (!strcmp(kind, "DEVICE") || !strcmp(kind, "IOMMU|DEVICE"))
		for (i = 0; i < iommus.nr; i++)
			print_names(tree_devices(iommus.name[i]));
	while ((word = strsep(&words, "|")))
		if (*word >= 'a' && *word <= 'z')
			puts(word);
}

static bool takes_value(const struct command *command, const char *name)
{
	const struct command_option *option;

	for (option = command->options; option->name; option++)
		if (!strcmp(option->name, name))
			return option->value;
	return false;
}

static unsigned int nr_args(const struct command *command)
{
	unsigned int nr = 0;

	while (command->args[nr])
		nr++;
	return nr;
}

/* "complete WORD...": what could stand in the place of the last one, a line each. */
static void complete(unsigned int nr, char **word)
{
	const struct command_option *option;
	const struct command *command;
	struct call call = {};
	unsigned int i;

	if (nr <= 1) {
		print_names(command_names());
		puts("help\n--json\n--version");
		return;
	}
	command = find_command(word[0]);
	if (!command) {
		if (!strcmp(word[0], "help"))
			print_names(command_names());
		return;
	}
	if (word[nr - 1][0] == '-') {
		for (option = command->options; option->name; option++)
			printf("--%s\n", option->name);
		puts("--json");
		return;
	}
	for (i = 1; i < nr - 1 && call.nr < command->max; i++) {
		if (strncmp(word[i], "--", 2))
			call.arg[call.nr++] = word[i];
		else if (takes_value(command, word[i] + 2))
			i++;
	}
	/* Behind an option nobody knows what it wants. */
	if (i != nr - 1 || call.nr == command->max)
		return;
	if (command->complete && command->complete(&call, word[i]))
		return;
	if (call.nr < nr_args(command))
		print_kind(command->args[call.nr]);
}

/* ----- Command lines ----- */

static void take_option(const struct command *command, struct call *call, const char *name,
			int *argc, char ***argv)
{
	const struct command_option *option = command->options;
	unsigned int i;

	for (i = 0; option[i].name && strcmp(option[i].name, name); i++)
		;
	if (!option[i].name)
		die_usage("'%s' has no option --%s", command->name, name);
	if (!option[i].value) {
		call->option[i] = "";
		return;
	}
	if (!*argc)
		die_usage("--%s wants %s", name, option[i].value);
	call->option[i] = *(*argv)++;
	--*argc;
}

static void run(const struct command *command, int argc, char **argv)
{
	struct call call = {};

	while (argc) {
		const char *word = *argv++;

		argc--;
		if (!strcmp(word, "--json")) {
			out_json = true;
		} else if (!strcmp(word, "--help")) {
			help_command(command);
			return;
		} else if (word[0] == '-' && word[1] == '-') {
			take_option(command, &call, word + 2, &argc, &argv);
		} else if (call.nr == command->max) {
			die_usage("'%s' is one argument too many for '%s'", word, command->name);
		} else {
			call.arg[call.nr++] = word;
		}
	}
	if (call.nr < command->min)
		die_usage("'%s' wants %s", command->name, command->args[call.nr]);
	command->run(&call);
}

static void unknown(const char *name)
{
	struct names names = command_names();

	die_usage("there is no command '%s'; there are: %s", name, tree_join(&names));
}

int main(int argc, char **argv)
{
	const struct command *command;

	for (argc--, argv++; argc && !strcmp(*argv, "--json"); argc--, argv++)
		out_json = true;
	if (!argc || !strcmp(*argv, "--help") || (!strcmp(*argv, "help") && argc == 1)) {
		help_all();
	} else if (!strcmp(*argv, "--version")) {
		puts("rviommu " VERSION);
	} else if (!strcmp(*argv, "complete")) {
		complete(argc - 1, argv + 1);
	} else if (!strcmp(*argv, "help")) {
		command = find_command(argv[1]);
		if (!command)
			unknown(argv[1]);
		help_command(command);
	} else {
		command = find_command(*argv);
		if (!command)
			unknown(*argv);
		run(command, argc - 1, argv + 1);
	}
	out_end();
	return 0;
}
