// SPDX-License-Identifier: GPL-2.0-only
/*
 * kexec_file load KERNEL INITRD COMMAND-LINE: the kernel that "go" starts.
 * kexec_file crash KERNEL INITRD COMMAND-LINE: the kernel that a panic starts.
 * kexec_file go: start it; what runs is not asked.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int file(const char *name)
{
	int fd = open(name, O_RDONLY);

	if (fd < 0)
		err(1, "%s", name);
	return fd;
}

int main(int argc, char **argv)
{
	unsigned long flags = 0;

	if (argc == 2 && !strcmp(argv[1], "go")) {
		syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
			LINUX_REBOOT_CMD_KEXEC, NULL);
		err(1, "kexec");
	}
	if (argc != 5)
		errx(2, "usage: kexec_file load|crash KERNEL INITRD COMMAND-LINE | kexec_file go");
	if (!strcmp(argv[1], "crash"))
		flags = KEXEC_FILE_ON_CRASH;
	if (syscall(SYS_kexec_file_load, file(argv[2]), file(argv[3]), strlen(argv[4]) + 1,
		    argv[4], flags))
		err(1, "kexec_file_load");
	return 0;
}
