# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# For the scripts that run in the virtual machine (busybox). Results are also
# kept in a file: console lines may be broken up by the kernel's own.

results=/tmp/results
debugfs=/sys/kernel/debug/rviommu
touch $results

# check WHAT COMMAND...
check() {
	what=$1
	shift
	if "$@" >/tmp/check.out 2>&1; then
		echo "  ok: $what"
		echo ok >>$results
	else
		echo "  FAILED: $what"
		tail -n 5 /tmp/check.out | sed 's/^/    | /'
		echo failed >>$results
	fi
}

skip() {
	echo "  skipped: $1"
	echo skipped >>$results
}

count() {
	grep -cx "$1" $results
}

# finish: the last line of a script that used check.
finish() {
	[ "$(count failed)" -eq 0 ] && [ "$(count ok)" -gt 0 ]
}

# wait_for SECONDS COMMAND...
wait_for() {
	left=$(($1 * 5))
	shift
	until "$@" >/dev/null 2>&1; do
		left=$((left - 1))
		[ $left -gt 0 ] || return 1
		sleep 0.2
	done
}

# The IOMMU's debugfs directory.
iommu_dir() {
	for d in "$debugfs"/*/; do
		[ -e "${d}capabilities" ] && echo "${d%/}" && return
	done
	return 1
}

# counter NAME: from all IOMMUs' counters files, "name: value" or "name value".
counter() {
	cat "$debugfs"/*/counters |
		awk -v name="$1" '{ sub(":", "", $1) } $1 == name { n += $2; found = 1 } END { print n + 0; exit !found }'
}

# pci_of VENDOR:DEVICE: address of the first such function.
pci_of() {
	for d in /sys/bus/pci/devices/*; do
		if [ "$(cat "$d/vendor")$(cat "$d/device")" = "0x${1%:*}0x${1#*:}" ]; then
			basename "$d"
			return
		fi
	done
	return 1
}

load() {
	insmod /modules/rviommu.ko "$@" || return 1
	wait_for 20 test -b /dev/nvme0n1 && wait_for 20 test -e /sys/class/net/eth0
}

# The suites for the simulated IOMMU need its module, but no instance of its own.
load_suites() {
	grep -q '^rviommu_sim ' /proc/modules || insmod /modules/rviommu_sim.ko instance=0 || return 1
	# As modprobe does it
	# shellcheck disable=SC2046	# one word each
	insmod /modules/rviommu_kunit.ko $(tr ' ' '\n' </proc/cmdline | sed -n 's/^rviommu_kunit\.//p')
}

# Every function but the host bridge and the IOMMU has a group.
all_have_groups() {
	for d in /sys/bus/pci/devices/*; do
		case $(cat "$d/class") in
		0x060000 | 0x080600) continue ;;
		esac
		[ -e "$d/iommu_group" ] || {
			echo "$d has no group"
			return 1
		}
	done
}

disk_mount() {
	mkdir -p /mnt
	grep -q ' /mnt ' /proc/mounts || mount -t ext4 /dev/nvme0n1 /mnt
}

# disk_verify MIB PROCESSES: all write at once, then re-read from the disk.
disk_verify() {
	mib=$1
	rm -f /mnt/file.* /tmp/sum.*
	pids=
	i=0
	while [ $i -lt "$2" ]; do
		{
			dd if=/dev/urandom of=/tmp/data.$i bs=64k count=$((mib * 16)) 2>/dev/null
			sha256sum </tmp/data.$i >/tmp/sum.$i
			dd if=/tmp/data.$i of=/mnt/file.$i bs=256k 2>/dev/null
			rm /tmp/data.$i
		} &
		pids="$pids $!"
		i=$((i + 1))
	done
	# shellcheck disable=SC2086	# one word each
	wait $pids
	sync
	echo 3 >/proc/sys/vm/drop_caches
	pids=
	i=0
	while [ $i -lt "$2" ]; do
		sha256sum </mnt/file.$i >/tmp/again.$i &
		pids="$pids $!"
		i=$((i + 1))
	done
	# shellcheck disable=SC2086
	wait $pids
	i=0
	while [ $i -lt "$2" ]; do
		[ -s /tmp/sum.$i ] && cmp /tmp/sum.$i /tmp/again.$i || return 1
		i=$((i + 1))
	done
}

net_up() {
	ip addr show dev eth0 | grep -q 10.0.2.15 || ip addr add 10.0.2.15/24 dev eth0
	ip link set eth0 up
	wait_for 15 grep -qx 1 /sys/class/net/eth0/carrier
}

# net_verify KIB: send to the echo service and compare what comes back.
net_verify() {
	dd if=/dev/urandom of=/tmp/sent bs=1k count="$1" 2>/dev/null
	# nc ends when the other side closes: that follows our end of file.
	timeout 60 nc 10.0.2.100 7 </tmp/sent >/tmp/received
	cmp /tmp/sent /tmp/received
	rc=$?
	rm -f /tmp/sent /tmp/received
	return $rc
}

# testdev_dma IOVA BYTES: make the test device write there and print its
# result: 0 for done, 0xDEAD0002 for a translation that failed.
testdev_dma() {
	dev=/sys/bus/pci/devices/$(pci_of 1b36:0005) || return 1
	echo 1 >"$dev/enable" 2>/dev/null
	# Memory space and bus master on.
	printf '\006\000' | dd of="$dev/config" bs=1 seek=4 conv=notrunc 2>/dev/null
	bar=$(head -n 1 "$dev/resource" | cut -d' ' -f1)
	devmem $((bar + 0x04)) 32 $(($1 & 0xffffffff))
	devmem $((bar + 0x08)) 32 $(($1 >> 32 & 0xffffffff))
	devmem $((bar + 0x0c)) 32 "$2"
	devmem $((bar + 0x14)) 32 1
	devmem "$bar" 32 >/dev/null
	devmem $((bar + 0x10)) 32
}

# fault_is DEVICE IOVA: that its newest fault was a write to an address that is not mapped.
fault_is() {
	last=$(iommu_dir)/devices/$1/faults
	grep -q '^last_cause 15 ' "$last" && grep -q '^last_type 3 ' "$last" &&
		grep -qx "last_iotval 0x$(printf %016x "$2")" "$last"
}

# trace EVENT COMMAND...: run it with that tracepoint of the driver on; what was traced is
# in /tmp/trace.
trace() {
	event=/sys/kernel/tracing/events/rviommu/$1/enable
	shift
	: >/sys/kernel/tracing/trace
	echo 1 >"$event" || return 1
	"$@"
	traced=$?
	echo 0 >"$event"
	cat /sys/kernel/tracing/trace >/tmp/trace
	return $traced
}

# leak_scan: what kmemleak finds is in /tmp/leaks afterwards.
leak_scan() {
	sleep 6	# younger objects are not reported
	echo scan >/sys/kernel/debug/kmemleak && echo scan >/sys/kernel/debug/kmemleak &&
		cat /sys/kernel/debug/kmemleak >/tmp/leaks
}

# no_leaks: of our modules. Their functions have names as long as they are loaded, then
# they are numbers.
no_leaks() {
	leak_scan && ! grep -B 20 -E 'rviommu|^ +0x[0-9a-f]+$' /tmp/leaks
}

# dmesg without what a test expects; true when nothing is left to explain.
dmesg_clean() {
	! dmesg | grep -E 'WARNING: |BUG: |possible .*deadlock|suspicious RCU|Unable to handle|Oops|DMA-API|detected stall|self-detected stall|lockup' |
		grep -vE 'DMA-API: (preallocated|debugging enabled)'
}
