// SPDX-License-Identifier: GPL-2.0-only
/* rviommu dma: let a simulated device read, write, copy or compare, whoever has it. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "facts.h"
#include "out.h"
#include "parse.h"
#include "say.h"
#include "tree.h"

#define DMA_MAX		(16ULL << 20)	/* bytes of one command */
#define READ_MAX	4096ULL		/* of one that reads */
#define ROW		16		/* bytes of a line */

enum option { PASID, SEED };

/**
 * struct job - what is to be done
 * @device: who does it
 * @path: the file that takes commands
 * @pasid: number or "none"
 * @op: operation
 * @iova: where
 * @bytes: how many
 * @operand: see Documentation/simulator.rst
 * @data: what was read
 */
struct job {
	struct device device;
	char *path;
	const char *pasid;
	const char *op;
	uint64_t iova;
	uint64_t bytes;
	uint64_t operand;
	char *data;
};

/* What can be wrong with a command of ours. How wide PASIDs are is known of what was created. */
static const char *invalid(const struct job *job)
{
	char *path = tree_path(TREE_CONFIG "/%s/pasid_bits", job->device.iommu);
	uint64_t bits, pasid;
	char *all = tree_read_if(path);

	all[strcspn(all, "\n")] = '\0';
	if (parse_number(job->pasid, UINT32_MAX, &pasid) && parse_number(all, 20, &bits) &&
	    pasid >> bits)
		return bits ?
		       text("PASIDs of devices of '%s' have %s bits", job->device.iommu, all) :
		       text("devices of '%s' have no PASIDs", job->device.iommu);
	return "the kernel does not accept it; its log may say why: dmesg";
}

/* In words what the kernel says with a number */
static const char *reason(const struct job *job, int error)
{
	switch (error) {
	case EFAULT:
		return "the IOMMU refused it: see rviommu fault";
	case EILSEQ:
		return "another byte is there than expected";
	case EPERM:
		return "the function may not: its bus mastering or its PASIDs are not enabled";
	case EIO:
		return "the function was reset meanwhile";
	case ECANCELED:
		return "the use of its PASID was stopped";
	case ETIMEDOUT:
		return "it asked for pages, and nobody gave it any";
	case ENODEV:
		return "the device is gone";
	case EINVAL:
		return invalid(job);
	case EPROTO:
		return "the kernel's answer is cut off";
	}
	return strerror(error);
}

/* One command. Returns an errno. */
static int dma(struct job *job, uint64_t iova, uint64_t bytes, uint64_t operand)
{
	char *command = text("%#x %s %s %#llx %llu %#llx", job->device.id, job->pasid, job->op,
			     (unsigned long long)iova, (unsigned long long)bytes,
			     (unsigned long long)operand);
	size_t length = 0;
	int error = 0;

	if (strcmp(job->op, "read")) {
		error = tree_write(job->path, command);
	} else {
		job->data = tree_ask(job->path, command, &length);
		if (!job->data)
			error = errno;
		else if (length != bytes)
			error = EPROTO;
	}
	free(command);
	return error;
}

/* What is written goes in words of eight bytes, the first one first. */
static int dma_write(struct job *job, const char *what)
{
	uint64_t done, word, n, i;
	int error = 0;

	for (done = 0; !error && done < job->bytes; done += n) {
		n = job->bytes - done < 8 ? job->bytes - done : 8;
		for (word = 0, i = 0; i < n; i++)
			word |= (uint64_t)(unsigned char)what[done + i] << 8 * i;
		error = dma(job, job->iova + done, n, word);
	}
	return error;
}

/* "0x0102ff" to bytes in this order; anything else is text. Returns to be freed. */
static char *bytes_of(const char *what, uint64_t *length)
{
	size_t i, digits = strlen(what);
	char *bytes = text("%s", what), pair[3] = "";

	*length = digits;
	if (strncmp(what, "0x", 2))
		return bytes;
	digits -= 2;
	if (!digits || digits % 2 || strspn(what + 2, "0123456789abcdefABCDEF") != digits)
		die_usage("DATA is text, or 0x and two digits for each byte, not '%s'", what);
	for (i = 0; i < digits / 2; i++) {
		memcpy(pair, what + 2 + 2 * i, 2);
		bytes[i] = strtoul(pair, NULL, 16);
	}
	*length = digits / 2;
	return bytes;
}

static struct json_object *row_of(const char *data, size_t nr, uint64_t iova)
{
	struct json_object *row = json_object_new_object();
	char hex[3 * ROW + 1] = "", ascii[ROW + 1] = "", *address;
	size_t i;

	for (i = 0; i < nr; i++) {
		snprintf(hex + 3 * i, 4, "%02x ", (unsigned char)data[i]);
		ascii[i] = isascii((unsigned char)data[i]) && isprint((unsigned char)data[i]) ?
			   data[i] : '.';
	}
	hex[3 * nr - 1] = '\0';
	address = text("%#018llx", (unsigned long long)iova);
	member_add(row, "iova", json_object_new_string(address));
	member_add(row, "bytes", json_object_new_string(hex));
	member_add(row, "text", json_object_new_string(ascii));
	free(address);
	return row;
}

static struct json_object *rows_of(const struct job *job)
{
	struct json_object *list = json_object_new_array();
	uint64_t done, n;

	for (done = 0; done < job->bytes; done += n) {
		n = job->bytes - done < ROW ? job->bytes - done : ROW;
		json_object_array_add(list, row_of(job->data + done, n, job->iova + done));
	}
	return list;
}

static void draw(struct json_object *record)
{
	if (member(record, "data"))
		draw_table(member(record, "data"), 0);
	else
		printf("%s: %s of %s bytes at %s: done\n", member_text(record, "device"),
		       member_text(record, "op"), member_text(record, "bytes"),
		       member_text(record, "iova"));
}

static struct json_object *record_of(const struct job *job)
{
	struct json_object *record = json_object_new_object();
	char *iova = text("%#018llx", (unsigned long long)job->iova);

	member_add(record, "device", json_object_new_string(job->device.name));
	member_add(record, "pasid", parse_optional(job->pasid));
	member_add(record, "op", json_object_new_string(job->op));
	member_add(record, "iova", json_object_new_string(iova));
	member_add(record, "bytes", json_object_new_uint64(job->bytes));
	if (job->data)
		member_add(record, "data", rows_of(job));
	free(iova);
	return record;
}

/* What the last arguments are depends on the operation. */
static int carry_out(struct job *job, const struct call *call)
{
	const char *what = call->arg[3];
	int error;

	if (!strcmp(job->op, "write")) {
		char *bytes = bytes_of(what, &job->bytes);

		error = dma_write(job, bytes);
		free(bytes);
		return error;
	}
	job->bytes = call_size("BYTES", what, strcmp(job->op, "read") ? DMA_MAX : READ_MAX);
	if (!strcmp(job->op, "copy"))
		job->operand = call_number("SOURCE", call->arg[4], 0, UINT64_MAX);
	return dma(job, job->iova, job->bytes, job->operand);
}

static void run(const struct call *call)
{
	static const char * const ops[] = { "read", "write", "fill", "verify", "copy" };
	struct job job = { .op = call->arg[1] };
	char *dir;
	size_t i;
	int error;

	for (i = 0; i < ARRAY_SIZE(ops) && strcmp(ops[i], job.op); i++)
		;
	if (i == ARRAY_SIZE(ops))
		die_usage("no device can '%s'; there are: read, write, fill, verify, copy",
			  job.op);
	if (!call->arg[4] == !strcmp(job.op, "copy"))
		die_usage("SOURCE belongs to copy, and to nothing else");
	if (call->option[SEED] && strcmp(job.op, "fill") && strcmp(job.op, "verify"))
		die_usage("--seed belongs to fill and verify, and to nothing else");
	job.pasid = call_pasid(call->option[PASID]);
	job.operand = call_option(call, SEED, "SEED", 0, UINT64_MAX, 1);
	job.iova = call_number("IOVA", call->arg[2], 0, UINT64_MAX);
	job.device = tree_device(call->arg[0]);
	dir = tree_sim_of(&job.device);
	job.path = text("%s/dma", dir);
	error = carry_out(&job, call);
	if (error)
		die("%s: %s at %#llx: %s", job.device.name, job.op, (unsigned long long)job.iova,
		    reason(&job, error));
	out_record(record_of(&job), draw);
}

const struct command command_dma = {
	.name = "dma",
	.args = (const char * const []){
		"DEVICE", "read|write|fill|verify|copy", "IOVA", "BYTES or DATA", "SOURCE", NULL,
	},
	.min = 4,
	.max = 5,
	.options = (const struct command_option []){
		[PASID] = { "pasid", "N", "with this PASID" },
		[SEED] = { "seed", "N", "of the pattern that fill writes and verify expects (1)" },
		{},
	},
	.what = "let a simulated device do a DMA, whoever has it",
	.more = "  read IOVA BYTES          show what is there, at most 4K\n"
		"  write IOVA DATA          DATA is text, or 0x and two digits for each byte\n"
		"  fill IOVA BYTES          a pattern, at most 16M\n"
		"  verify IOVA BYTES        is that pattern there?\n"
		"  copy IOVA BYTES SOURCE   from SOURCE to IOVA\n",
	.run = run,
};
