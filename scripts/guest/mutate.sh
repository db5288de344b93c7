# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Leave out each class of invalidation in turn and demand that the suites on the
# hardware notice. A mutation that no test sees means a test that is missing,
# or an emulator that does not cache what the driver believes it caches.

. ./lib.sh

# What these kernels need of KUnit: only the suites that run on the hardware.
echo 'rviommu_hw*' >/sys/module/kunit/parameters/filter_glob

# hw_suites: true when all of them pass, and at least one case ran.
hw_suites() {
	insmod /modules/rviommu_kunit.ko
	cat /sys/kernel/debug/kunit/rviommu_hw*/results >/tmp/ktap
	rmmod rviommu_kunit
	grep -E '^ *not ok' /tmp/ktap && return 1
	grep -qE '^ +ok ' /tmp/ktap
}

noticed() {
	echo "$1" >"$mutate" || return 1
	hw_suites
	rc=$?
	echo none >"$mutate"
	[ $rc -ne 0 ] && grep -qE '^ *not ok' /tmp/ktap
}

check "the module loads" load
mutate=$(iommu_dir)/mutate
check "it has the switches" test -e "$mutate"
check "the suites pass when nothing is left out" hw_suites
for class in $(tr -d '[]' <"$mutate"); do
	[ "$class" = none ] || check "leaving out $class is noticed" noticed "$class"
done
check "the suites pass again afterwards" hw_suites
finish
