// SPDX-License-Identifier: GPL-2.0-only
/* rviommu destroy: a simulated IOMMU goes, and all that is behind it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "out.h"
#include "parse.h"
#include "patience.h"
#include "say.h"
#include "tree.h"

static void check_made(const char *name)
{
	struct names made = tree_made(), all = tree_instances();

	if (tree_has(&made, name))
		return;
	if (tree_has(&all, name))
		die("'%s' came with the module, and goes with it: modprobe -r rviommu_sim", name);
	die("nobody has created an IOMMU '%s'; those that were: %s", name, tree_join(&made));
}

/* The kernel waits for whoever has a function open; nobody is told to close it. */
static int destroy(const char *dir, const char *name)
{
	struct names lent = tree_lent(name);
	int error;

	if (lent.nr)
		patience_begin(text("'%s' goes when programs have closed functions of it: %s", name,
				    tree_join(&lent)));
	error = rmdir(dir) ? errno : 0;
	patience_end();
	return error;
}

static void draw(struct json_object *record)
{
	printf("%s: done\n", member_text(record, "iommu"));
}

static void run(const struct call *call)
{
	struct json_object *record = json_object_new_object();
	char *dir = tree_path(TREE_CONFIG "/%s", call->arg[0]);

	int error;

	tree_need_config();
	patience_turn();
	check_made(call->arg[0]);
	patience_end();
	error = destroy(dir, call->arg[0]);
	if (error == EACCES || error == EPERM)
		die("only root may destroy IOMMUs: try sudo rviommu ...");
	if (error == EBUSY)
		die("'%s' is busy: something depends on %s", call->arg[0], dir);
	if (error)
		die("%s cannot be removed: %s", dir, strerror(error));
	free(dir);
	member_add(record, "iommu", json_object_new_string(call->arg[0]));
	out_record(record, draw);
}

/* Those that can go */
static bool complete(const struct call *call, const char *word)
{
	struct names made = tree_made();
	size_t i;

	(void)call;
	(void)word;
	for (i = 0; i < made.nr; i++)
		puts(made.name[i]);
	return true;
}

const struct command command_destroy = {
	.name = "destroy",
	.args = (const char * const []){ "NAME", NULL },
	.min = 1,
	.max = 1,
	.options = (const struct command_option []){ {} },
	.what = "remove a simulated IOMMU that was created",
	.more = "DMA of its devices ends. A function that a program or a virtual machine has by\n"
		"VFIO is waited for, until it is closed: meanwhile no other one can be created\n"
		"or destroyed, and nothing be plugged into a PCI bus.\n",
	.run = run,
	.complete = complete,
};
