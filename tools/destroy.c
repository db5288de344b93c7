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

static void draw(struct json_object *record)
{
	printf("%s: done\n", member_text(record, "iommu"));
}

static void run(const struct call *call)
{
	struct json_object *record = json_object_new_object();
	char *dir = tree_path(TREE_CONFIG "/%s", call->arg[0]);

	tree_need_config();
	check_made(call->arg[0]);
	if (rmdir(dir)) {
		if (errno == EACCES || errno == EPERM)
			die("only root may destroy IOMMUs: try sudo rviommu ...");
		if (errno == EBUSY)
			die("'%s' is busy: something depends on %s", call->arg[0], dir);
		die("%s cannot be removed: %s", dir, strerror(errno));
	}
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
	.what = "remove a simulated IOMMU that was created, whatever its devices do",
	.run = run,
	.complete = complete,
};
