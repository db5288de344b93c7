// SPDX-License-Identifier: GPL-2.0-only
/* Errors and memory. Whoever finds something wrong says it and ends the program. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "say.h"

static void say(const char *format, va_list args)
{
	/* What was printed before comes before. */
	fflush(stdout);
	fputs("rviommu: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

/**
 * die() - what was asked for does not work
 * @format: why, and what to do about it
 */
void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	exit(EXIT_TROUBLE);
}

/**
 * die_usage() - the command line makes no sense
 * @format: why
 */
void die_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	fputs("Try 'rviommu help'.\n", stderr);
	exit(EXIT_USAGE);
}

/**
 * text() - printed to memory
 * @format: what
 *
 * Return: the text, to be freed.
 */
char *text(const char *format, ...)
{
	va_list args;
	char *out;

	va_start(args, format);
	if (vasprintf(&out, format, args) < 0)
		die("out of memory");
	va_end(args);
	return out;
}

/**
 * alloc_more() - as realloc()
 * @old: what there is, or NULL
 * @bytes: how much there shall be
 *
 * Return: never NULL.
 */
void *alloc_more(void *old, size_t bytes)
{
	void *new = realloc(old, bytes ?: 1);

	if (!new)
		die("out of memory");
	return new;
}

/**
 * alloc_zeroed() - as malloc(), zeroed
 * @bytes: how much
 *
 * Return: never NULL.
 */
void *alloc_zeroed(size_t bytes)
{
	void *new = calloc(1, bytes ?: 1);

	if (!new)
		die("out of memory");
	return new;
}
