# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# beside.sh NAME: the simulated IOMMU beside the machine's own, which /sys/class/iommu
# calls NAME and a number. Nobody loses a device to the other.

. ./lib.sh
own=$1
sim=/sys/kernel/debug/rviommu_sim/rviommu_sim

# whose DEVICE: which IOMMU translates for it
whose() {
	basename "$(readlink "$1/iommu")"
}

# The machine's devices, each with its IOMMU and its group
real() {
	for d in /sys/bus/pci/devices/0000:*; do
		echo "$(basename "$d") $(whose "$d") $(basename "$(readlink "$d/iommu_group")")"
	done
}

has_own() {
	real >/tmp/before
	cat /tmp/before
	grep -q " ${own}[0-9]" /tmp/before
}

load_sim() {
	insmod /modules/configfs.ko && mount -t configfs none /sys/kernel/config || return 1
	insmod /modules/rviommu.ko && insmod /modules/rviommu_sim.ko
}

unchanged() {
	real | diff /tmp/before - && ls -d /sys/class/iommu/"$own"[0-9]*
}

ours() {
	for d in /sys/bus/pci/devices/[1-9a-f]*:01:* /sys/bus/platform/devices/rviommu-sim-endpoint*; do
		echo "$d $(whose "$d")"
		case $(whose "$d") in
		rviommu*) ;;
		*) return 1 ;;
		esac
	done
}

# Bytes go through it, and nothing that is not mapped.
works() {
	d=$(find $sim -name run | head -n 1)
	echo copy 65536 2 8 >"$d" && echo touch 0x7ff000000 write >"$d" &&
		grep -qx 'touched_blocked yes' "$(dirname "$d")/results"
}

unload() {
	rmmod rviommu_sim && rmmod rviommu && ! ls -d /sys/bus/pci/devices/[1-9a-f]*:01:* 2>/dev/null
}

check "the machine has an IOMMU of its own" has_own
check "the simulated one comes up" load_sim
check "the machine's devices stay with the machine's" unchanged
check "the simulated ones are with the simulated" ours
check "DMA through it works" works
check "it goes" unload
check "and the machine's devices are where they were" unchanged
check "nothing alarming in the kernel's log" dmesg_clean
finish
