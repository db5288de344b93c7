// SPDX-License-Identifier: GPL-2.0-only
/*
 * A word to whoever waits with us, where the kernel may wait for others.
 *
 * In the kernel we cannot say anything, and no signal gets us out: a child does it. It knows by a
 * pipe that we go on, or are gone.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "patience.h"
#include "say.h"

#define PATIENCE	3000	/* milliseconds */

/* The child, while it is needed, and our end of the pipe */
static pid_t child;
static int end = -1;

/* Whoever interrupts both of us still waits: now there is somebody who says for whom. */
noreturn static void listen_and_say(int from, const char *words)
{
	struct pollfd fd = { .fd = from };
	sigset_t signals;

	sigfillset(&signals);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	if (!poll(&fd, 1, PATIENCE))
		dprintf(STDERR_FILENO, "rviommu: %s\n", words);
	_exit(0);
}

/**
 * patience_begin() - from here on the kernel may wait for others
 * @words: what is said if it takes long
 */
void patience_begin(const char *words)
{
	int fd[2];

	/* Without a child it works, too. */
	if (pipe2(fd, O_CLOEXEC))
		return;
	child = fork();
	if (!child) {
		close(fd[1]);
		listen_and_say(fd[0], words);
	}
	close(fd[0]);
	end = fd[1];
}

/**
 * patience_turn() - from here on the kernel may wait until somebody else has created or destroyed
 * an IOMMU: it does one at a time
 *
 * A function that is waited for cannot be told any more by its driver: that is on its way out.
 */
void patience_turn(void)
{
	patience_begin("somebody else creates an IOMMU, or waits until one may go: this is next");
}

/**
 * patience_end() - it does not wait any more; nothing is said from here on
 */
void patience_end(void)
{
	if (end >= 0)
		close(end);
	end = -1;
	if (child > 0)
		waitpid(child, NULL, 0);
	child = 0;
}
