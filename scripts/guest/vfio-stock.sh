# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# vfio-stock.sh: a program that has a simulated PCI function by VFIO of type 1, on a kernel
# as it is: it is told nothing, and the program uses nothing but the function.

. ./lib.sh
. ./function.sh

up() {
	insmod /modules/configfs.ko && insmod /modules/rviommu.ko &&
		insmod /modules/rviommu_sim.ko endpoints=0 pci_functions=3
}

# What scripts/stock has the kernel leave alone, with memmap=
memory=0x10000000,0x10000

again_with_memory() {
	insmod /modules/rviommu.ko &&
		insmod /modules/rviommu_sim.ko endpoints=0 pci_functions=3 bar_memory=$memory
}

# refused MEMORY WHY: it is not taken, and the kernel's log says why, each time that insmod tries.
refused() {
	insmod /modules/rviommu.ko || return 1
	if insmod /modules/rviommu_sim.ko endpoints=0 bar_memory="$1"; then
		rmmod rviommu_sim rviommu
		return 1
	fi
	rmmod rviommu && dmesg | grep -q "rviommu_sim: .*$2" && return
	dmesg | grep rviommu_sim | tail -n 3
	return 1
}

vfio_up() {
	vfio_modules && grep -qx N /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts
}

# program FUNCTION [NAME [SEED]]
program() {
	"/guest/${2:-vfio_dma}" ${3:+"$3"} type1 "$(group "$1")" "$(basename "$1")"
}

# both FIRST SECOND NAME [SEED SEED]: the same addresses, and each finds what is its own there.
both() {
	program "$1" "$3" "$4" >/tmp/first &
	rc=0
	program "$2" "$3" "$5" || rc=$?
	wait $! || {
		rc=$?
		tail -n 3 /tmp/first
	}
	return $rc
}

# A program with the first sends what messages it likes; one with the second hears none of them.
unheard() {
	mkfifo /tmp/end || return 1
	/guest/vfio_msix listen type1 "$(group "$2")" "$(basename "$2")" \
		</tmp/end >/tmp/heard 2>&1 &
	listener=$!
	exec 8>/tmp/end
	wait_for 10 grep -q 'it listens' /tmp/heard && program "$1" vfio_msix
	rc=$?
	exec 8>&-
	wait $listener || rc=$?
	[ $rc -eq 0 ] || tail -n 3 /tmp/heard
	return $rc
}

# One does with the first whatever it can; nobody else notices.
misused() {
	misuse_beside "$third" "program $2 ${3:-vfio_dma}" 5000 1 type1 "$(group "$1")" "$(basename "$1")"
}

down() {
	for f in "$@"; do
		from_vfio "$f" || return 1
	done
	rmmod rviommu_sim && rmmod rviommu
}

check "the simulated IOMMU and its functions" up
check "VFIO, which accepts no unsafe interrupts" vfio_up
first=$(find /sys/bus/pci/devices/ -maxdepth 1 -name '[1-9a-f]*:01:00.0' | head -n 1)
second=$(find /sys/bus/pci/devices/ -maxdepth 1 -name '[1-9a-f]*:01:01.0' | head -n 1)
third=$(find /sys/bus/pci/devices/ -maxdepth 1 -name '[1-9a-f]*:01:02.0' | head -n 1)
check "a function goes to vfio-pci" to_vfio "$first"
check "and another one" to_vfio "$second"
check "a program works with the first" program "$first"
sed 's/^/    | /' /tmp/check.out
check "and a second time" program "$first"
check "and two programs, one with each, at once" both "$first" "$second" vfio_dma 1000000 2000000
check "one misuses a function, and the other notices nothing" misused "$first" "$second"
sed 's/^/    | /' /tmp/check.out
check "a program works with the first" program "$first"
check "all modules go" down "$first" "$second"

check "memory that the kernel uses is refused" refused 0x8000000,0x10000 "is the kernel's memory"
check "what is no memory is refused" refused 0xd0000000,0x10000 'no memory at'
check "a size is missing" refused 0x10000000 'is START,SIZE'
check "functions with memory that was set aside" again_with_memory
check "a function goes to vfio-pci" to_vfio "$first"
check "and another one" to_vfio "$second"
check "a program has MSI-X of the first" program "$first" vfio_msix
sed 's/^/    | /' /tmp/check.out
check "which raises no interrupt of the second" unheard "$first" "$second"
check "and two programs, one with each, at once" both "$first" "$second" vfio_msix
check "what works without memory works with it" both "$first" "$second" vfio_dma 1000000 2000000
check "one misuses a function, and the other has MSI-X all the same" misused "$first" "$second" vfio_msix
check "all modules go" down "$first" "$second"
check "nothing alarming in the kernel's log" dmesg_clean
finish
