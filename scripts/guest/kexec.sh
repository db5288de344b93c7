# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# kexec.sh plain|crash: one kernel follows another, by its own will or after a panic, while
# the disk and the network card do DMA. Until the second one has loaded the driver no DMA
# passes but to what the first one had mapped; no byte of the second one's memory changes;
# then everything works, and the disk holds what was written before.

. ./lib.sh
kind=$1

# A second stage has the results of the first; they come on the disk.
stage=$(sed -n 's/.*rviommu_stage=\([0-9]\).*/\1/p' /proc/cmdline)

load_second() {
	how=load
	[ "$kind" != crash ] || how=crash
	/guest/kexec_file $how /mnt/Image /mnt/initrd \
		"$(sed 's/ *crashkernel=[^ ]*//' /proc/cmdline) rviommu_stage=2"
}

keep() {
	dd if=/dev/urandom of=/mnt/kept bs=64k count=64 2>/dev/null &&
		sha256sum </mnt/kept >/mnt/kept.sum && sync
}

kept() {
	[ "$(sha256sum </mnt/kept)" = "$(cat /mnt/kept.sum)" ]
}

# Writes and packets without an end.
busy() {
	for i in 1 2 3; do
		while :; do
			dd if=/dev/zero of=/mnt/busy.$i bs=256k count=16 conv=fsync 2>/dev/null
		done &
	done
	while :; do
		dd if=/dev/zero bs=1k count=1024 2>/dev/null | nc 10.0.2.100 7 >/dev/null
	done &
	before=$(counter maps)
	wait_for 20 sh -c ". ./lib.sh; [ \$(counter maps) -gt $((before + 500)) ]"
}

go() {
	if [ "$kind" = crash ]; then
		echo c >/proc/sysrq-trigger
	else
		/guest/kexec_file go
	fi
}

# Nobody has mapped anything for this device. As a physical address it is in the middle of
# the machine's memory.
blocked() {
	result=$(testdev_dma "$1" 4)
	echo "result $result"
	[ "$result" = 0xDEAD0002 ]
}

# What no program writes to stays as it is.
fill() {
	dd if=/dev/zero of=/tmp/memory bs=1M count=48 2>/dev/null
}

filled() {
	[ "$(wc -c </tmp/memory)" -eq $((48 << 20)) ] && ! tr -d '\000' </tmp/memory | grep -q .
}

if [ -z "$stage" ]; then
	check "first kernel: disk and network card appear" load
	check "its disk mounts" disk_mount
	check "a second kernel is loaded" load_second
	check "the network card has a link" net_up
	check "4 MiB are written to keep" keep
	check "disk and network card are busy" busy
	# Both stages count.
	# shellcheck disable=SC2154	# lib.sh sets it
	cp "$results" /mnt/results && sync
	go
	echo "  FAILED: no second kernel came"
	exit 1
fi

check "second kernel: its memory is filled" fill
check "no DMA passes before the driver is loaded, be it to where nothing was mapped" \
	blocked 0x7ff000000
check "or to the machine's memory" blocked 0xb0000000
check "the driver is loaded; disk and network card appear" load
check "every device has a group" all_have_groups
check "no DMA passes to where nothing is mapped" blocked 0x7ff000000
check "the disk mounts" disk_mount
[ ! -e /mnt/results ] || cat /mnt/results >>"$results"
check "it holds what the first kernel wrote" kept
check "files of 4 processes verify" disk_verify 1 4
check "the network card has a link" net_up
check "256 KiB through the network verify" net_verify 256
check "no byte of its memory has changed" filled
check "nothing alarming in the kernel's log" dmesg_clean
finish
