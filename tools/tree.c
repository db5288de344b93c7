// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files and directories of the kernel's. What is missing is said in the words of the person who
 * has to mend it: no rights, nothing mounted, no module, no such name.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "parse.h"
#include "say.h"
#include "tree.h"

/* No file here is larger, but a page table can be large. */
#define FILE_MAX	((size_t)256 << 20)

/**
 * tree_path() - a path below the root
 * @format: it, from "/sys" on
 *
 * Return: to be freed.
 */
char *tree_path(const char *format, ...)
{
	const char *root = getenv("RVIOMMU_ROOT") ?: "";
	va_list args;
	char *path, *whole;

	va_start(args, format);
	if (vasprintf(&path, format, args) < 0)
		die("out of memory");
	va_end(args);
	whole = text("%s%s", root, path);
	free(path);
	return whole;
}

/**
 * tree_exists() - is there such a file or directory?
 * @path: of tree_path()
 *
 * Return: false, too, if nobody may look.
 */
bool tree_exists(const char *path)
{
	return !access(path, F_OK);
}

/* What is there to be read from here on; NULL and errno */
static char *read_all(int fd, size_t *length)
{
	size_t have = 0, room = 4096;
	char *all = alloc_zeroed(room);
	ssize_t n;

	while ((n = read(fd, all + have, room - have - 1)) > 0) {
		have += n;
		if (have > FILE_MAX) {
			errno = EFBIG;
			n = -1;
			break;
		}
		if (room - have < 2048)
			all = alloc_more(all, room *= 2);
	}
	if (n < 0) {
		free(all);
		return NULL;
	}
	all[have] = '\0';
	if (length)
		*length = have;
	return all;
}

noreturn static void cannot(const char *what, const char *path)
{
	if (errno == EACCES || errno == EPERM)
		die("%s may be %s by root only: try sudo rviommu ...", path, what);
	if (errno == ENOENT || errno == ENODEV || errno == EIO)
		die("%s is gone: the device or the IOMMU was removed meanwhile", path);
	die("%s cannot be %s: %s", path, what, strerror(errno));
}

static char *read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), error;
	char *all;

	if (fd < 0)
		return NULL;
	all = read_all(fd, NULL);
	error = errno;
	close(fd);
	errno = error;
	return all;
}

/**
 * tree_read() - a file, which has to be there
 * @path: of tree_path()
 *
 * Return: to be freed.
 */
char *tree_read(const char *path)
{
	char *all = read_file(path);

	if (!all)
		cannot("read", path);
	return all;
}

/**
 * tree_read_if() - a file that need not be there, because older modules have none, or devices
 * @path: of tree_path()
 *
 * Return: to be freed; "" when there is none.
 */
char *tree_read_if(const char *path)
{
	char *all = read_file(path);

	if (!all && errno != ENOENT && errno != ENODEV && errno != EIO)
		cannot("read", path);
	return all ?: text("%s", "");
}

/**
 * tree_write() - a command to a file
 * @path: of tree_path()
 * @words: the command
 *
 * Return: 0 or what the kernel says to it, an errno. That there is no file, or no right to write
 * it, ends the program.
 */
int tree_write(const char *path, const char *words)
{
	size_t length = strlen(words);
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		cannot("written", path);
	if (write(fd, words, length) != (ssize_t)length)
		error = errno ?: EIO;
	close(fd);
	return error;
}

/**
 * tree_ask() - a question to a file that answers who asked
 * @path: of tree_path()
 * @question: it
 * @length: where to put the length of the answer, or NULL
 *
 * Return: the answer, to be freed; NULL and errno if the kernel says that it is none.
 */
char *tree_ask(const char *path, const char *question, size_t *length)
{
	size_t bytes = strlen(question);
	int fd = open(path, O_RDWR | O_CLOEXEC), error;
	char *answer = NULL;

	if (fd < 0) {
		if (errno == ENOENT)
			die("%s is missing: the module that is loaded is older than this program",
			    path);
		cannot("asked", path);
	}
	if (write(fd, question, bytes) == (ssize_t)bytes)
		answer = read_all(fd, length);
	error = errno;
	close(fd);
	errno = error;
	return answer;
}

/* ----- Names ----- */

static int compare(const void *a, const void *b)
{
	return strcmp(*(char * const *)a, *(char * const *)b);
}

static void names_add(struct names *names, char *name)
{
	names->name = alloc_more(names->name, (names->nr + 1) * sizeof(*names->name));
	names->name[names->nr++] = name;
}

/* What is in a directory: @wanted says which of it. */
static struct names entries(const char *path, bool (*wanted)(const char *path, const char *arg),
			    const char *arg)
{
	struct names names = {};
	struct dirent *entry;
	DIR *dir = opendir(path);

	if (!dir) {
		if (errno == EACCES)
			cannot("read", path);
		return names;
	}
	while ((entry = readdir(dir))) {
		char *inside = text("%s/%s", path, entry->d_name);

		if (entry->d_name[0] != '.' && wanted(inside, arg))
			names_add(&names, text("%s", entry->d_name));
		free(inside);
	}
	closedir(dir);
	if (names.nr)
		qsort(names.name, names.nr, sizeof(*names.name), compare);
	return names;
}

static bool has_entry(const char *path, const char *name)
{
	char *inside = text("%s/%s", path, name);
	bool has = tree_exists(inside);

	free(inside);
	return has;
}

/**
 * tree_list() - the directories in a directory
 * @path: of tree_path()
 * @with: those that have an entry of that name; NULL: all of them
 *
 * Return: sorted; nothing if there is no such directory.
 */
struct names tree_list(const char *path, const char *with)
{
	return entries(path, has_entry, with ?: ".");
}

static bool is_file(const char *path, const char *without)
{
	return !has_entry(path, ".") && strcmp(strrchr(path, '/') + 1, without);
}

/**
 * tree_files() - the files in a directory
 * @path: of tree_path()
 * @without: all but this one
 *
 * Return: sorted; nothing if there is no such directory.
 */
struct names tree_files(const char *path, const char *without)
{
	return entries(path, is_file, without);
}

/**
 * tree_join() - for a message
 * @names: what there is
 *
 * Return: to be freed; "none" if there is nothing.
 */
char *tree_join(const struct names *names)
{
	char *all = text("%s", names->nr ? "" : "none"), *longer;
	size_t i;

	for (i = 0; i < names->nr; i++) {
		longer = text("%s%s%s", all, i ? ", " : "", names->name[i]);
		free(all);
		all = longer;
	}
	return all;
}

/**
 * tree_has() - is a name one of these?
 * @names: these
 * @name: it
 *
 * Return: yes or no.
 */
bool tree_has(const struct names *names, const char *name)
{
	size_t i;

	for (i = 0; i < names->nr; i++)
		if (!strcmp(names->name[i], name))
			return true;
	return false;
}

/**
 * tree_iommus() - IOMMUs that the driver has
 *
 * Return: their names.
 */
struct names tree_iommus(void)
{
	char *path = tree_path(TREE_DRIVER);
	struct names names = tree_list(path, "capabilities");

	free(path);
	return names;
}

/**
 * tree_devices() - devices behind an IOMMU
 * @iommu: its name
 *
 * Return: their names.
 */
struct names tree_devices(const char *iommu)
{
	char *path = tree_path(TREE_DRIVER "/%s/devices", iommu);
	struct names names = tree_list(path, NULL);

	free(path);
	return names;
}

/* Does a device have a driver of that name? */
static bool has_driver(const char *device, const char *driver)
{
	char *path = tree_path("/sys/bus/pci/devices/%s/driver", device), target[256];
	ssize_t length = readlink(path, target, sizeof(target) - 1);
	const char *name;

	free(path);
	target[length > 0 ? length : 0] = '\0';
	name = strrchr(target, '/');
	return name && !strcmp(name + 1, driver);
}

/**
 * tree_lent() - functions that a program may have, or a virtual machine
 * @iommu: the IOMMU that they are behind
 *
 * Return: their names.
 */
struct names tree_lent(const char *iommu)
{
	struct names devices = tree_devices(iommu), lent = {};
	size_t i;

	for (i = 0; i < devices.nr; i++)
		if (has_driver(devices.name[i], "vfio-pci"))
			names_add(&lent, devices.name[i]);
	return lent;
}

/**
 * tree_instances() - simulated IOMMUs that there are
 *
 * Return: their names, which are those of the IOMMUs.
 */
struct names tree_instances(void)
{
	char *path = tree_path(TREE_SIM);
	struct names names = tree_list(path, "counters");

	free(path);
	return names;
}

/**
 * tree_made() - simulated IOMMUs that somebody has made in configfs
 *
 * Return: their names.
 */
struct names tree_made(void)
{
	char *path = tree_path(TREE_CONFIG);
	struct names names = tree_list(path, NULL);

	free(path);
	return names;
}

/* ----- What has to be there ----- */

/* debugfs, for those who may look into it. An empty directory is one that nothing is mounted on. */
static void need_debugfs(void)
{
	char *path = tree_path("/sys/kernel/debug");
	struct dirent *entry;
	bool mounted = false;
	DIR *dir = opendir(path);

	if (!dir && (errno == EACCES || errno == EPERM))
		die("only root may look into %s: try sudo rviommu ...", path);
	while (dir && !mounted && (entry = readdir(dir)))
		mounted = entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	if (!mounted)
		die("debugfs is not mounted: mount -t debugfs none %s", path);
	free(path);
}

/**
 * tree_has_driver() - is the driver loaded?
 *
 * Return: yes or no, whatever is mounted.
 */
bool tree_has_driver(void)
{
	char *path = tree_path("/sys/module/rviommu");
	bool has = tree_exists(path);

	free(path);
	return has;
}

/**
 * tree_need_driver() - the driver's part of debugfs
 */
void tree_need_driver(void)
{
	char *path = tree_path(TREE_DRIVER);

	need_debugfs();
	if (!tree_exists(path))
		die("the driver is not loaded: modprobe rviommu");
	free(path);
}

static void need_sim(void)
{
	char *path = tree_path(TREE_SIM);

	need_debugfs();
	if (!tree_exists(path))
		die("the simulated IOMMU is not loaded: modprobe rviommu_sim");
	free(path);
}

/**
 * tree_need_config() - the simulated IOMMU's part of configfs
 */
void tree_need_config(void)
{
	char *path = tree_path(TREE_CONFIG), *module = tree_path("/sys/module/rviommu_sim");

	if (!tree_exists(path)) {
		if (!tree_exists(module))
			die("the simulated IOMMU is not loaded: modprobe rviommu_sim");
		die("configfs is not mounted: mount -t configfs none /sys/kernel/config");
	}
	free(module);
	free(path);
}

/**
 * tree_need_iommu() - an IOMMU that the user names
 * @name: what the user says
 */
void tree_need_iommu(const char *name)
{
	struct names names;

	tree_need_driver();
	names = tree_iommus();
	if (!tree_has(&names, name))
		die("there is no IOMMU '%s'; there are: %s", name, tree_join(&names));
}

/**
 * tree_need_instance() - a simulated IOMMU that the user names
 * @name: what the user says
 */
void tree_need_instance(const char *name)
{
	struct names names, real;

	need_sim();
	names = tree_instances();
	real = tree_iommus();
	if (tree_has(&names, name))
		return;
	if (tree_has(&real, name))
		die("'%s' is not a simulated IOMMU; those that are: %s", name, tree_join(&names));
	die("there is no simulated IOMMU '%s'; there are: %s", name, tree_join(&names));
}

/* The first device_id; every device has one. */
static unsigned int first_id(const char *dir)
{
	char *path = text("%s/context", dir);
	char *all = tree_read(path);
	struct json_object *list = parse_blocks(all, "device_id", NULL);
	unsigned int id = member_number(json_object_array_get_idx(list, 0), "device_id");

	json_object_put(list);
	free(all);
	free(path);
	return id;
}

/**
 * tree_device() - a device that the user names
 * @name: what the user says
 *
 * Return: the device.
 */
struct device tree_device(const char *name)
{
	struct names iommus, devices, all = {};
	size_t i, j;

	tree_need_driver();
	iommus = tree_iommus();
	for (i = 0; i < iommus.nr; i++) {
		devices = tree_devices(iommus.name[i]);
		if (tree_has(&devices, name)) {
			char *dir = tree_path(TREE_DRIVER "/%s/devices/%s", iommus.name[i], name);

			return (struct device) {
				.name = name, .iommu = iommus.name[i], .dir = dir,
				.id = first_id(dir),
			};
		}
		for (j = 0; j < devices.nr; j++)
			names_add(&all, devices.name[j]);
	}
	die("there is no device '%s' behind an IOMMU of rviommu; there are: %s", name,
	    tree_join(&all));
}

/**
 * tree_sim_of() - the simulated IOMMU of a device
 * @device: the device; if it is a real one the program ends
 *
 * Return: the directory of the instance, to be freed.
 */
char *tree_sim_of(const struct device *device)
{
	struct names names;

	need_sim();
	names = tree_instances();
	if (!tree_has(&names, device->iommu))
		die("%s is behind '%s', which is not simulated: only simulated devices can be told",
		    device->name, device->iommu);
	return tree_path(TREE_SIM "/%s", device->iommu);
}

/**
 * tree_trace() - the directory of tracefs, with the driver's events in it
 *
 * Return: to be freed.
 */
char *tree_trace(void)
{
	char *path = tree_path(TREE_TRACE), *events = text("%s/events", path);
	char *fault = text("%s/rviommu/rviommu_fault/enable", events);

	if (!tree_exists(events)) {
		if (geteuid())
			die("only root may look into %s: try sudo rviommu ...", path);
		die("tracefs is not mounted: mount -t tracefs none %s", path);
	}
	if (!tree_exists(fault))
		die("%s is missing: the driver was built for a kernel without tracepoints", fault);
	free(fault);
	free(events);
	return path;
}
