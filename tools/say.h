/* SPDX-License-Identifier: GPL-2.0-only */
/* What goes wrong, said so that one knows what to do; and memory, of which there is enough. */
#ifndef RVIOMMU_TOOLS_SAY_H
#define RVIOMMU_TOOLS_SAY_H

#include <stddef.h>
#include <stdnoreturn.h>

/* The compiler looks at the arguments, as in the kernel. */
#define __printf(format, first)	__attribute__((__format__(__printf__, format, first)))
#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

/* How the program ends */
#define EXIT_TROUBLE	1	/* what was asked for did not work */
#define EXIT_USAGE	2	/* nothing was asked for that there is */

noreturn void die(const char *format, ...) __printf(1, 2);
noreturn void die_usage(const char *format, ...) __printf(1, 2);
char *text(const char *format, ...) __printf(1, 2);
void *alloc_zeroed(size_t bytes);
void *alloc_more(void *old, size_t bytes);

#endif /* RVIOMMU_TOOLS_SAY_H */
