// SPDX-License-Identifier: GPL-2.0-only
/* What commands take from their command line: numbers, or a word about what is one. */
#include <string.h>

#include "command.h"
#include "parse.h"
#include "say.h"

/**
 * call_number() - an argument that is a number
 * @what: its name
 * @text: it
 * @min: the least that it can be
 * @max: the most
 *
 * Return: its value.
 */
uint64_t call_number(const char *what, const char *text, uint64_t min, uint64_t max)
{
	uint64_t value;

	if (!parse_number(text, max, &value) || value < min)
		die_usage("%s is a number from %llu to %#llx, not '%s'", what,
			  (unsigned long long)min, (unsigned long long)max, text);
	return value;
}

/**
 * call_size() - an argument that counts bytes
 * @what: its name
 * @text: it
 * @max: the most that it can be
 *
 * Return: its value.
 */
uint64_t call_size(const char *what, const char *text, uint64_t max)
{
	uint64_t value;

	if (!parse_size(text, max, &value) || !value)
		die_usage("%s is a number of bytes from 1 to %#llx, maybe with K, M or G, not '%s'",
			  what, (unsigned long long)max, text);
	return value;
}

/**
 * call_option() - an option that is a number
 * @call: the command line
 * @option: which
 * @what: its name
 * @min: the least that it can be
 * @max: the most
 * @otherwise: what it is when it is not there
 *
 * Return: its value.
 */
uint64_t call_option(const struct call *call, unsigned int option, const char *what, uint64_t min,
		     uint64_t max, uint64_t otherwise)
{
	const char *text = call->option[option];

	return text ? call_number(what, text, min, max) : otherwise;
}

/**
 * call_pasid() - an option that is a PASID
 * @option: it, or NULL
 *
 * Return: it as the kernel's files have it.
 */
const char *call_pasid(const char *option)
{
	if (!option || !strcmp(option, "none"))
		return "none";
	return text("%llu", (unsigned long long)call_number("PASID", option, 1, 0xfffff));
}

/**
 * call_decimal() - what may be a number, as the kernel reads it: to it a zero before it means octal
 * @text: what the user says; numbers are decimal or have 0x
 *
 * Return: the same, without zeros before a decimal number.
 */
const char *call_decimal(const char *text)
{
	if (text[strspn(text, "0123456789")])
		return text;
	while (text[0] == '0' && text[1])
		text++;
	return text;
}
