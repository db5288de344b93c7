// SPDX-License-Identifier: GPL-2.0-only
/*
 * rviommu fault: the last fault of each device, or each fault when it happens.
 *
 * Faults that happen come from the driver's tracepoint, through a tracing instance of our own, so
 * that nobody's trace is disturbed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "facts.h"
#include "out.h"
#include "parse.h"
#include "say.h"
#include "tree.h"

#define EVENT	"events/rviommu/rviommu_fault/enable"

/* ----- The last ones ----- */

static void add_devices(struct json_object *list, const char *iommu)
{
	struct names devices = tree_devices(iommu);
	size_t i;

	for (i = 0; i < devices.nr; i++) {
		char *dir = tree_path(TREE_DRIVER "/%s/devices/%s", iommu, devices.name[i]);
		struct json_object *record = json_object_new_object(), *faults = facts_faults(dir);

		member_add(record, "device", json_object_new_string(devices.name[i]));
		member_add(record, "iommu", json_object_new_string(iommu));
		json_object_object_foreach(faults, name, value) {
			member_add(record, name, json_object_get(value));
		}
		json_object_put(faults);
		json_object_array_add(list, record);
		free(dir);
	}
}

static void draw_last(struct json_object *record)
{
	struct json_object *list = member(record, "devices");
	bool any = false;
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++) {
		struct json_object *device = json_object_array_get_idx(list, i);

		if (!member_number(device, "faults"))
			continue;
		if (any)
			putchar('\n');
		printf("%s of %s: faults %s, the last one:\n", member_text(device, "device"),
		       member_text(device, "iommu"), member_text(device, "faults"));
		printf("  %s of IOVA %s", member_text(member(device, "last_type"), "name"),
		       member_text(device, "last_iotval"));
		if (member(device, "last_process_id"))
			printf(", PASID %s", member_text(device, "last_process_id"));
		printf(": %s (cause %s)\n", member_text(member(device, "last_cause"), "name"),
		       member_text(member(device, "last_cause"), "code"));
		any = true;
	}
	if (!any)
		puts("no faults");
}

static void show_last(void)
{
	struct json_object *record = json_object_new_object(), *list = json_object_new_array();
	struct names names = tree_iommus();
	size_t i;

	for (i = 0; i < names.nr; i++)
		add_devices(list, names.name[i]);
	member_add(record, "devices", list);
	out_record(record, draw_last);
}

/* ----- Those that happen ----- */

/* Somebody wants us to end. */
static atomic_bool ended;

static void end(int signal)
{
	(void)signal;
	ended = true;
}

/* "name=VALUE" in a line, up to a blank; NULL if it is not there. To be freed. */
static char *field(const char *line, const char *name)
{
	const char *at = strstr(line, name);

	if (!at)
		return NULL;
	at += strlen(name);
	return strndup(at, strcspn(at, "\n "));
}

static void add_field(struct json_object *record, const char *member, const char *line,
		      const char *name)
{
	char *value = field(line, name);

	member_add(record, member, value ? parse_value(value) : NULL);
	free(value);
}

/* "name=CODE (WORDS)" */
static void add_code(struct json_object *record, const char *member, const char *line,
		     const char *name)
{
	struct json_object *code = json_object_new_object();
	const char *words = strstr(line, name), *end = NULL;
	char *copy;

	add_field(code, "code", line, name);
	words = words ? strchr(words, '(') : NULL;
	if (words)
		end = strchr(words, ')');
	copy = end ? strndup(words + 1, end - words - 1) : text("%s", "");
	member_add(code, "name", json_object_new_string(copy));
	member_add(record, member, code);
	free(copy);
}

/* What is before the event: task, CPU, flags and, last, the time */
static void add_time(struct json_object *record, const char *line, const char *event)
{
	const char *end = event, *begin;
	char *time;

	while (end > line && (end[-1] == ' ' || end[-1] == ':'))
		end--;
	for (begin = end; begin > line && begin[-1] != ' '; begin--)
		;
	time = strndup(begin, end - begin);
	member_add(record, "time", json_object_new_string(time));
	free(time);
}

/* A line of the trace; NULL if it is no fault, or was cut off. */
static struct json_object *fault_of(const char *line)
{
	const char *event = strstr(line, "rviommu_fault: "), *at, *colon;
	struct json_object *record;
	char *name, *pv;

	if (!event)
		return NULL;
	at = event + strlen("rviommu_fault: ");
	colon = strstr(at, ": ");
	if (!colon || !strstr(colon, " iotval2="))
		return NULL;
	record = json_object_new_object();
	add_time(record, line, event);
	name = strndup(at, colon - at);
	member_add(record, "iommu", json_object_new_string(name));
	free(name);
	name = strndup(colon + 2, strcspn(colon + 2, " "));
	member_add(record, "device", json_object_new_string(name));
	free(name);
	add_field(record, "device_id", colon, " did=");
	pv = field(colon, " pv=");
	if (pv && !strcmp(pv, "1"))
		add_field(record, "pasid", colon, " pid=");
	else
		member_add(record, "pasid", NULL);
	free(pv);
	add_code(record, "cause", colon, " cause=");
	add_code(record, "type", colon, " ttyp=");
	add_field(record, "iova", colon, " iotval=");
	add_field(record, "iotval2", colon, " iotval2=");
	return record;
}

static void draw_fault(struct json_object *fault)
{
	struct json_object *cause = member(fault, "cause");

	printf("%s %s of %s: %s of IOVA %s", member_text(fault, "time"),
	       member_text(fault, "device"), member_text(fault, "iommu"),
	       member_text(member(fault, "type"), "name"), member_text(fault, "iova"));
	if (member(fault, "pasid"))
		printf(", PASID %s", member_text(fault, "pasid"));
	printf(": %s (cause %s)\n", member_text(cause, "name"), member_text(cause, "code"));
}

/* How many names are tried for the tracing instance */
#define NAMES	100

/* Our tracing instance, and what is read of it. They go with the program, however it ends. */
static char *instance;
static int trace_pipe = -1;

static void remove_instance(void)
{
	if (!instance)
		return;
	/* It stays as long as somebody reads it. */
	if (trace_pipe >= 0)
		close(trace_pipe);
	trace_pipe = -1;
	if (rmdir(instance))
		fprintf(stderr, "rviommu: %s is left behind: %s\n", instance, strerror(errno));
	free(instance);
	instance = NULL;
}

/**
 * struct watch - a trace that is read
 * @until: when to stop, seconds of CLOCK_MONOTONIC; 0: never
 * @left: so many faults more; 0: no limit
 * @rest: what came of a line that has no end yet
 * @length: of that
 */
struct watch {
	time_t until;
	uint64_t left;
	char rest[2048];
	size_t length;
};

static time_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

/*
 * Somebody who ended without a chance to take it away may have left one of our name. Without an
 * instance there is no watch: the trace of all is not ours to read, and reading takes from it.
 */
static void make_instance(void)
{
	char *top = tree_trace(), *name;
	unsigned int i;
	bool made;

	for (i = 0; i < NAMES; i++) {
		name = i ? text("%s/instances/rviommu-%d.%u", top, getpid(), i) :
			   text("%s/instances/rviommu-%d", top, getpid());
		made = !mkdir(name, 0700);
		if (made || errno != EEXIST)
			break;
		free(name);
	}
	if (i == NAMES)
		die("%s/instances has too many that were left behind: rmdir them", top);
	if (!made)
		die("%s cannot be made: %s", name, strerror(errno));
	instance = name;
	free(top);
}

static void watch_begin(void)
{
	char *file, *path;
	int error;

	atexit(remove_instance);
	make_instance();
	file = text("%s/" EVENT, instance);
	error = tree_write(file, "1");
	if (error)
		die("%s cannot be switched on: %s", file, strerror(error));
	path = text("%s/trace_pipe", instance);
	trace_pipe = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (trace_pipe < 0)
		die("%s cannot be read: %s", path, strerror(errno));
	free(path);
	free(file);
}

/* Lines that are complete; false when there were enough. */
static bool take_lines(struct watch *watch)
{
	char *line, *rest = watch->rest;

	watch->rest[watch->length] = '\0';
	while (strchr(rest, '\n')) {
		struct json_object *fault;

		line = parse_line(&rest);
		fault = fault_of(line);
		if (!fault)
			continue;
		out_event(fault, draw_fault);
		if (watch->left && !--watch->left)
			return false;
	}
	watch->length -= rest - watch->rest;
	memmove(watch->rest, rest, watch->length);
	/* No line is that long. */
	if (watch->length == sizeof(watch->rest) - 1)
		watch->length = 0;
	return true;
}

static void watch_run(struct watch *watch)
{
	struct pollfd fd[] = {
		{ .fd = trace_pipe, .events = POLLIN },
		/* No faults, and nobody who would read them */
		{ .fd = STDOUT_FILENO },
	};
	ssize_t n;

	while (!ended && (!watch->until || now() < watch->until)) {
		poll(fd, ARRAY_SIZE(fd), 200);
		if (fd[1].revents & (POLLERR | POLLHUP))
			die("nobody reads the output any more");
		n = read(trace_pipe, watch->rest + watch->length,
			 sizeof(watch->rest) - 1 - watch->length);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			break;
		/* A zero in a line would hide what follows. */
		while (memchr(watch->rest + watch->length, 0, n))
			*(char *)memchr(watch->rest + watch->length, 0, n) = '?';
		watch->length += n;
		if (!take_lines(watch))
			break;
	}
}

/* Each comes back to where the instance goes; what whoever started us ignores remains ignored. */
static void catch_signals(void)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	const struct sigaction action = { .sa_handler = end };
	struct sigaction before;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		sigaction(signals[i], NULL, &before);
		if (before.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
	/* A write says it. */
	signal(SIGPIPE, SIG_IGN);
}

enum option { COUNT, SECONDS };

static void watch_faults(const struct call *call)
{
	uint64_t seconds = call_option(call, SECONDS, "S", 1, 1000000, 0);
	struct watch watch = { .left = call_option(call, COUNT, "N", 1, UINT64_MAX, 0) };
	bool enough;

	if (seconds)
		watch.until = now() + seconds;
	enough = watch.left;
	catch_signals();
	watch_begin();
	if (!out_json) {
		puts("watching for faults; Ctrl-C ends it");
		out_end();
	}
	watch_run(&watch);
	remove_instance();
	if (enough && watch.left && !ended)
		die("%llu faults fewer than asked for have happened",
		    (unsigned long long)watch.left);
}

static void run(const struct call *call)
{
	if (call->nr && strcmp(call->arg[0], "watch"))
		die_usage("'%s' is not 'watch', and there is nothing else", call->arg[0]);
	if (!call->nr && (call->option[COUNT] || call->option[SECONDS]))
		die_usage("--%s belongs to 'fault watch', and to nothing else",
			  call->option[COUNT] ? "count" : "seconds");
	tree_need_driver();
	if (call->nr)
		watch_faults(call);
	else
		show_last();
}

const struct command command_fault = {
	.name = "fault",
	.args = (const char * const []){ "watch", NULL },
	.max = 1,
	.options = (const struct command_option []){
		[COUNT] = { "count", "N", "watch: end after N faults" },
		[SECONDS] = { "seconds", "S", "watch: end after S seconds" },
		{},
	},
	.what = "the last fault of each device; or watch them happen",
	.run = run,
};
