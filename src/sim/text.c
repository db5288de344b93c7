// SPDX-License-Identifier: GPL-2.0-only
/* What user space writes into files: words and numbers. */
#define pr_fmt(fmt) "rviommu_sim: " fmt

#include <linux/kstrtox.h>
#include <linux/printk.h>
#include <linux/string.h>

#include "text.h"

/**
 * sim_words() - take a line apart
 * @text: the line; blanks in it are overwritten
 * @word: where to put its words
 * @max: room there
 *
 * Return: how many there are; more than @max: there are others, that are not in @word.
 */
unsigned int sim_words(char *text, const char **word, unsigned int max)
{
	unsigned int nr = 0;
	char *next;

	while ((next = strsep(&text, " \t\n"))) {
		if (!*next)
			continue;
		if (nr == max)
			return nr + 1;
		word[nr++] = next;
	}
	return nr;
}

/**
 * sim_number() - read a number, or say what is wrong with it
 * @who: for the log
 * @what: the number's name
 * @text: it, decimal or with 0x
 * @min: the least that it can be
 * @max: the most
 * @value: the result; not written on failure
 *
 * Return: 0 or -EINVAL.
 */
int sim_number(const char *who, const char *what, const char *text, u64 min, u64 max, u64 *value)
{
	u64 number;

	if (kstrtou64(text, 0, &number) || number < min || number > max) {
		pr_err("%s: %s is a number from %llu to %llu, not '%s'\n", who, what, min, max,
		       text);
		return -EINVAL;
	}
	*value = number;
	return 0;
}
