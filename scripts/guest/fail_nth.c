// SPDX-License-Identifier: GPL-2.0-only
/*
 * fail_nth N load FILE: load a module, and let the N-th allocation on the way fail.
 * fail_nth N write FILE TEXT: the same with writing to a file of the kernel's.
 *
 * Only allocations that the kernel makes for this one system call count. It says what became
 * of the call. The status is 0 if it succeeded, 1 if not; 3 if there were fewer allocations,
 * so none has failed; 2 if this could not be tried.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void usage(void)
{
	errx(2, "usage: fail_nth N load FILE | fail_nth N write FILE TEXT");
}

static void arm(int fd, const char *nth)
{
	if (pwrite(fd, nth, strlen(nth), 0) < 0)
		err(2, "fail-nth");
}

int main(int argc, char **argv)
{
	int nth, target, error = 0;
	char left[16] = "";
	const char *text;
	long ret;

	if (argc == 4 && !strcmp(argv[2], "load"))
		text = NULL;
	else if (argc == 5 && !strcmp(argv[2], "write"))
		text = argv[4];
	else
		usage();
	if (atoi(argv[1]) < 1)
		usage();

	/* All that may need memory itself comes before. */
	nth = open("/proc/thread-self/fail-nth", O_RDWR);
	if (nth < 0)
		err(2, "fail-nth");
	target = open(argv[3], text ? O_WRONLY : O_RDONLY);
	if (target < 0)
		err(2, "%s", argv[3]);

	arm(nth, argv[1]);
	ret = text ? write(target, text, strlen(text)) :
		     syscall(SYS_finit_module, target, "", 0);
	if (ret < 0)
		error = errno;
	/* How many were still to come before the one that should have failed. */
	if (pread(nth, left, sizeof(left) - 1, 0) <= 0)
		err(2, "fail-nth");
	arm(nth, "0");

	if (atoi(left)) {
		printf("%s, in %d allocations\n", error ? strerror(error) : "done",
		       atoi(argv[1]) - atoi(left));
		return 3;
	}
	printf("allocation %s: %s\n", argv[1], error ? strerror(error) : "done");
	return error ? 1 : 0;
}
