# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Memory fails, once, at each allocation in turn, be it of slabs or of pages: while the
# driver's module is loaded, and while the kernel finds the IOMMU on its bus, the driver
# takes it and the devices behind it. Much of what the kernel allocates for the driver fails
# nowhere else. Each time either all of it is there or nothing; at the end, with memory
# again, all of it works.

. ./lib.sh

# The IOMMU's slot. The devices stay without drivers: whose failures those are is not asked.
iommu=0000:00:01.0
devices=/sys/bus/pci/devices
for d in "$devices"/*; do
	[ "${d##*/}" = $iommu ] || echo none >"$d/driver_override"
done
faults="/sys/kernel/debug/failslab /sys/kernel/debug/fail_page_alloc"
for f in $faults; do
	# Otherwise only allocations that may not sleep would fail, with a backtrace each.
	echo N >"$f/ignore-gfp-wait"
	echo 0 >"$f/verbose"
done
# Otherwise not those of one page, but the attempts of slabs to get more at a time.
echo 0 >/sys/kernel/debug/fail_page_alloc/min-order

# only_near DEPTH: count an allocation if a module is among so many callers. What the kernel
# needs to load one, or to find a PCI function, is not what this is about. Modules are in
# the two gigabytes before the kernel.
only_near() {
	text=$(cat /sys/module/rviommu/sections/.text) || return 1
	for f in $faults; do
		printf '0x%x' $((text & ~0x7fffffff)) >"$f/require-start" &&
			printf '0x%x' $((text | 0x7fffffff)) >"$f/require-end" &&
			echo "$1" >"$f/stacktrace-depth" || return 1
		head "$f"/require-* "$f/stacktrace-depth"
	done
}

loaded() {
	grep -q '^rviommu ' /proc/modules
}

bound() {
	[ -e "$devices/$iommu/driver" ]
}

# The driver has the IOMMU, or no part of it. It does without its files in debugfs.
all_or_nothing() {
	known=$(find /sys/class/iommu -mindepth 1)
	interrupts=$(grep rviommu- /proc/interrupts)
	# shellcheck disable=SC2154	# lib.sh sets debugfs
	files=$(find "$debugfs" -name capabilities 2>/dev/null)
	if bound; then
		[ -n "$known" ] && [ -n "$interrupts" ] && return
	else
		[ -z "$known$interrupts$files" ] && return
	fi
	echo "in part: $known, $interrupts, $files"
	return 1
}

nothing_left() {
	all_or_nothing && ! loaded && [ ! -e "$debugfs" ] &&
		! find /sys/bus/*/drivers -name 'rviommu*' | grep .
}

# each UNDO COMMAND...: with the first, second ... allocation failing, until none is left.
each() {
	undo=$1
	shift
	n=1 refused=0 taken=0
	while
		/guest/fail_nth $n "$@" >/tmp/nth
		status=$?
		[ $status -ne 3 ]
	do
		[ $status -le 1 ] || {
			echo "fail_nth ended with $status"
			return 1
		}
		"$undo" || {
			echo "with allocation $n failing"
			return 1
		}
		n=$((n + 1))
	done
	echo "$((n - 1)) allocations: $refused times not, $taken times all the same"
	"$undo" && [ $refused -gt 0 ]
}

# Whether it was loaded or not: it is not any more.
unload() {
	if loaded; then
		taken=$((taken + 1))
		rmmod rviommu || return 1
	else
		refused=$((refused + 1))
	fi
	nothing_left
}

# The same for the IOMMU.
unplug() {
	if bound; then
		taken=$((taken + 1))
	else
		refused=$((refused + 1))
	fi
	all_or_nothing || return 1
	[ ! -e "$devices/$iommu" ] || echo 1 >"$devices/$iommu/remove"
	! bound && all_or_nothing
}

plug() {
	echo 1 >/sys/bus/pci/rescan
	bound && all_or_nothing && all_have_groups
}

blocks() {
	before=$(counter fault_records)
	[ "$(testdev_dma 0x7ff000000 4)" = 0xDEAD0002 ] &&
		wait_for 5 sh -c ". ./lib.sh; [ \$(counter fault_records) -gt $before ]"
}

gone() {
	rmmod rviommu && nothing_left
}

echo 1 >"$devices/$iommu/remove"
insmod /modules/rviommu.ko
check "allocations that the driver is the cause of" only_near 16
rmmod rviommu
check "each of them while the module is loaded" each unload load /modules/rviommu.ko
tail -n 1 /tmp/check.out
insmod /modules/rviommu.ko
check "and of the many that the kernel needs then, those near the driver" only_near 8
check "each of them while the IOMMU is found and taken" each unplug write /sys/bus/pci/rescan 1
tail -n 1 /tmp/check.out
check "a device that cannot have the pages of its MSIs is named" \
	sh -c 'dmesg | grep "no memory for the pages of its MSIs"'
check "then it is taken, and so are all devices" plug
check "it translates: a DMA to an unmapped address is blocked" blocks
echo 1 >"$devices/$iommu/remove"
check "no memory leaked by the driver" no_leaks
check "the driver goes" gone
check "nothing alarming in the kernel's log" dmesg_clean
finish
