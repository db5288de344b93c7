# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# suites.sh SUITE...: suites on simulated IOMMUs, one after the other, with the modules. Their cases
# are in the log, where they are counted.

. ./lib.sh

driver() {
	insmod /modules/rviommu.ko
}

# suite NAME
suite() {
	# With a newline it would match nothing.
	printf %s "$1" >/sys/module/kunit/parameters/filter_glob
	load_suites || return 1
	cp "/sys/kernel/debug/kunit/$1/results" /tmp/ktap || return 1
	rmmod rviommu_kunit || return 1
	grep -E '^ *not ok' /tmp/ktap && return 1
	grep -qE '^ +ok ' /tmp/ktap
}

check "the driver loads" driver
for name; do
	check "$name" suite "$name"
done
check "nothing alarming in the kernel's log" dmesg_clean
finish
