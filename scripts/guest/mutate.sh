# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Leave out each class of invalidation in turn and demand that stale data is
# then seen: by the suite that knows what to look for, and by the suite that
# does not. A mutation that nobody sees means a test that is missing, or an
# emulator that does not cache what the driver believes it caches.

. ./lib.sh

# suite NAME: true when it passes and at least one case ran.
suite() {
	rm -f /tmp/ktap
	# With a newline it would match nothing.
	printf %s "$1" >/sys/module/kunit/parameters/filter_glob
	load_suites || return 1
	cat "/sys/kernel/debug/kunit/$1/results" >/tmp/ktap
	rmmod rviommu_kunit
	grep -E '^ *not ok' /tmp/ktap && return 1
	grep -qE '^ +ok ' /tmp/ktap
}

mutation_suite() {
	suite rviommu_hw_mutation || return 1
	cp /tmp/ktap /tmp/mutations
}

noticed() {
	echo "$1" >"$mutate" || return 1
	suite rviommu_hw
	rc=$?
	echo none >"$mutate"
	[ $rc -ne 0 ] && grep -qE '^ *not ok' /tmp/ktap
}

# The races take long and depend on no single class.
printf %s 'speed>slow' >/sys/module/kunit/parameters/filter

check "the module loads" load
mutate=$(iommu_dir)/mutate
check "it has the switches" test -e "$mutate"
check "stale data is seen for each class that is left out" mutation_suite
check "the suite on the hardware passes when nothing is left out" suite rviommu_hw
# The failures that follow are wanted: keep them off the console.
dmesg -n 4
for class in $(tr -d '[]' <"$mutate"); do
	# The simulated IOMMU shows the others (rviommu_sim_mutation).
	grep -qE "^ *ok [0-9]+ $class( |$)" /tmp/mutations || continue
	# Where the suite found that this IOMMU cannot show it, nobody can.
	if grep -qE "^ *ok [0-9]+ $class # SKIP" /tmp/mutations; then
		skip "leaving out $class: this IOMMU cannot show it"
	else
		check "leaving out $class is noticed" noticed "$class"
	fi
done
check "nothing alarming in the kernel's log" dmesg_clean
finish
