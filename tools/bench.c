// SPDX-License-Identifier: GPL-2.0-only
/* rviommu bench: how fast a simulated device maps, moves, unmaps and compares. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "out.h"
#include "parse.h"
#include "say.h"
#include "tree.h"

enum option { ROUNDS, THREADS };

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static struct json_object *results_of(const char *dir)
{
	char *path = text("%s/results", dir), *all = tree_read(path);
	struct json_object *results = parse_record(all, NULL);

	free(all);
	free(path);
	return results;
}

static uint64_t gain(struct json_object *before, struct json_object *after, const char *name)
{
	uint64_t was = member_number(before, name), is = member_number(after, name);

	return is > was ? is - was : 0;
}

/* "copy BYTES THREADS ROUNDS" once, as a line */
static struct json_object *measure(const char *dir, unsigned int bytes, uint64_t threads,
				   uint64_t rounds)
{
	char *command = text("copy %u %llu %llu", bytes, (unsigned long long)threads,
			     (unsigned long long)rounds), *path = text("%s/run", dir);
	struct json_object *before = results_of(dir), *after, *line;
	double seconds = now();
	int error = tree_write(path, command);

	seconds = now() - seconds;
	if (error)
		die("'%s' to %s fails: %s; the kernel's log says where: dmesg", command, path,
		    strerror(error));
	if (seconds <= 0)
		seconds = 0.000001;
	after = results_of(dir);
	line = json_object_new_object();
	member_add(line, "bytes", json_object_new_uint64(bytes));
	member_add(line, "threads", json_object_new_uint64(threads));
	member_add(line, "microseconds", json_object_new_uint64(seconds * 1e6));
	member_add(line, "dmas_per_second",
		   json_object_new_uint64(gain(before, after, "dmas") / seconds));
	member_add(line, "mappings_per_second",
		   json_object_new_uint64(gain(before, after, "mappings") / seconds));
	member_add(line, "mib_per_second",
		   json_object_new_uint64(gain(before, after, "bytes") / seconds / 1048576));
	json_object_put(before);
	json_object_put(after);
	free(command);
	free(path);
	return line;
}

static void draw(struct json_object *record)
{
	draw_table(member(record, "copy"), 0);
}

static void run(const struct call *call)
{
	static const unsigned int sizes[] = { 4096, 65536, 1 << 20 };
	uint64_t rounds = call_option(call, ROUNDS, "N", 1, 1000000, 100);
	uint64_t most = call_option(call, THREADS, "N", 1, 64, 4), threads;
	struct device device = tree_device(call->arg[0]);
	struct json_object *record = json_object_new_object(), *list = json_object_new_array();
	char *sim = tree_sim_of(&device), *dir = text("%s/%s", sim, device.name);
	size_t i;

	if (!tree_exists(dir))
		die("%s has another driver than rviommu-sim-exerciser: rviommu help bench",
		    device.name);
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		for (threads = 1; threads <= most; threads = threads < most ? most : most + 1)
			json_object_array_add(list, measure(dir, sizes[i], threads, rounds));
	member_add(record, "device", json_object_new_string(device.name));
	member_add(record, "rounds", json_object_new_uint64(rounds));
	member_add(record, "copy", list);
	out_record(record, draw);
}

const struct command command_bench = {
	.name = "bench",
	.args = (const char * const []){ "DEVICE", NULL },
	.min = 1,
	.max = 1,
	.options = (const struct command_option []){
		[ROUNDS] = { "rounds", "N", "of each thread (100)" },
		[THREADS] = { "threads", "N", "at most (4)" },
		{},
	},
	.what = "how fast a simulated device maps, moves, unmaps and compares",
	.more = "It needs the driver rviommu-sim-exerciser. A device that has none gets it by\n"
		"  echo rviommu-sim-exerciser >/sys/bus/BUS/devices/DEVICE/driver_override\n"
		"  echo DEVICE >/sys/bus/BUS/drivers_probe\n"
		"with BUS pci or platform.\n",
	.run = run,
};
