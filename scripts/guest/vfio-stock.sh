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

vfio_up() {
	vfio_modules && grep -qx N /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts
}

program() {
	/guest/vfio_dma type1 "$(group "$1")" "$(basename "$1")"
}

# The same addresses, and each finds what is its own there.
both() {
	program "$1" >/tmp/first &
	program "$2" || return 1
	wait $! || {
		tail -n 3 /tmp/first
		return 1
	}
}

# One does with the first whatever it can; nobody else notices.
misused() {
	misuse_beside "$third" "program $2" 5000 1 type1 "$(group "$1")" "$(basename "$1")"
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
check "and two programs, one with each, at once" both "$first" "$second"
check "one misuses a function, and the other notices nothing" misused "$first" "$second"
sed 's/^/    | /' /tmp/check.out
check "a program works with the first" program "$first"
check "all modules go" down "$first" "$second"
check "nothing alarming in the kernel's log" dmesg_clean
finish
