# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# check.sh [full|smoke [INTERRUPTS]]: the driver on QEMU's RISC-V IOMMU: real devices,
# verified data, a blocked DMA, our suites on the hardware. INTERRUPTS: how the
# IOMMU has to send them, "MSI" or "wired".

. ./lib.sh
kind=${1:-full}
interrupts=${2:-MSI}
# How much is moved: random bytes and their sums take an emulated CPU longer than moving them.
mib=1 kib=256
[ "$kind" != full ] || mib=4 kib=1024

# The devices' domains translate: not with iommu.passthrough=1.
translated() {
	! grep -q identity /sys/bus/pci/devices/*/iommu_group/type
}

has_iommu() {
	[ "$(counter fences)" -gt 0 ]
}

interrupts_are() {
	cat /proc/interrupts
	grep -qx "interrupts_used $1" "$(iommu_dir)/capabilities" &&
		grep -q rviommu- /proc/interrupts
}

no_faults() {
	[ "$(counter fault_records)" -eq 0 ]
}

maps_happen() {
	before=$(counter maps)
	disk_verify 1 1
	[ "$(counter maps)" -gt "$before" ]
}

read_debugfs() {
	# shellcheck disable=SC2154	# lib.sh sets it
	find "$debugfs" -type f ! -name mutate -exec cat {} + >/tmp/debugfs.out
}

# A reader of everything while the disk is busy.
disk_with_readers() {
	(while [ ! -e /tmp/stop ]; do read_debugfs; done) &
	reader=$!
	disk_verify $mib 4
	rc=$?
	touch /tmp/stop
	wait $reader
	rm /tmp/stop
	return $rc
}

blocked_dma() {
	before=$(counter fault_records)
	result=$(testdev_dma 0x7ff000000 4)
	echo "result $result"
	[ "$result" = 0xDEAD0002 ] || return 1
	wait_for 5 sh -c ". ./lib.sh; [ \$(counter fault_records) -gt $before ]" &&
		wait_for 5 fault_is "$device" 0x7ff000000 && wait_for 5 logged
}

logged() {
	dmesg | grep -q "$device: write/AMO page fault (cause 15), .* IOVA 0x7ff000000"
}

# In the log, and in the trace, once for the record. The log comes last.
fault_reported() {
	device=$(pci_of 1b36:0005)
	trace rviommu_fault blocked_dma || return 1
	dmesg | grep -i fault | tail -n 3
	cat /tmp/trace
	[ "$(grep -c "rviommu_fault: .* $device .* cause=15 .* iotval=0x7ff000000 " /tmp/trace)" -eq 1 ]
}

# Down to the phase without interrupts, in which the driver stops its queues, and back,
# where it has the IOMMU forget everything: nothing else asks for that.
suspend_resume() {
	echo platform >/sys/power/pm_test
	trace rviommu_command sh -c 'echo freeze >/sys/power/state' || return 1
	grep -m 3 rviommu_command /tmp/trace
	grep -q 'rviommu_command: .*: 0000000000000003 0000000000000000' /tmp/trace
}

# The device's driver is away while its domain type changes.
retype() {
	dev=$(pci_of 8086:10d3)
	echo "$dev" >/sys/bus/pci/drivers/e1000e/unbind
	echo "$1" >"/sys/bus/pci/devices/$dev/iommu_group/type" || return 1
	echo "$dev" >/sys/bus/pci/drivers/e1000e/bind
	wait_for 10 test -e /sys/class/net/eth0
	[ "$(cat "/sys/bus/pci/devices/$dev/iommu_group/type")" = "$1" ] || return 1
	net_up && net_verify 512
}

suites() {
	load_suites || return 1
	cat /sys/kernel/debug/kunit/rviommu*/results >/tmp/ktap
	grep -E '^ *not ok' /tmp/ktap && return 1
	grep -qE '^ +ok ' /tmp/ktap
}

# The suite for hardware alone, without the cases that take long.
hardware_suite() {
	# With a newline it would match nothing.
	printf %s rviommu_hw >/sys/module/kunit/parameters/filter_glob
	printf %s 'speed>slow' >/sys/module/kunit/parameters/filter
	suites
}

check "the module loads; disk and network card appear" load
check "every device behind the IOMMU has a group" all_have_groups
check "commands were completed by the IOMMU" has_iommu
check "its interrupts: $interrupts" interrupts_are "$interrupts"
check "the disk's file system mounts" disk_mount
check "files of 4 processes verify, debugfs read meanwhile" disk_with_readers
if translated; then
	check "I/O is mapped by the driver" maps_happen
else
	skip "I/O is mapped by the driver: passed through"
fi
check "the network card has a link" net_up
check "$kib KiB through the network verify, both ways" net_verify $kib
check "no fault so far" no_faults
if translated && pci_of 1b36:0005 >/dev/null; then
	check "a DMA to an unmapped address is blocked and reported, in the log and as a trace" \
		fault_reported
else
	skip "blocked DMA: no test device, or no translation"
fi
if [ "$kind" = full ]; then
	check "suspend and resume of the devices" suspend_resume
	check "disk after resume" disk_verify 2 2
	check "network after resume" net_verify 512
	for type in identity DMA DMA-FQ; do
		check "network with domain type $type" retype $type
	done
	check "suites on the hardware" suites
	check "disk after the suites" disk_verify 2 2
	rmmod rviommu_kunit
	check "no memory leaked by the driver" no_leaks
else
	check "suite on the hardware" hardware_suite
fi
check "nothing alarming in the kernel's log" dmesg_clean
finish
