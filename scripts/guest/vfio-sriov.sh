# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# vfio-sriov.sh: virtual functions of a simulated PCI function, on a kernel as it is: vfio-pci has
# the physical one, whoever may write to sysfs enables them, and programs have one each.

. ./lib.sh
. ./function.sh

token=vf_token=2ab74924-c335-45f4-9b16-8569e5b08258

modules() {
	insmod /modules/configfs.ko && insmod /modules/rviommu.ko && vfio_modules
}

# with_virtual NUMBER FUNCTIONS: each has so many
with_virtual() {
	insmod /modules/rviommu_sim.ko endpoints=0 pci_functions="$2" vfs="$1"
}

too_many() {
	! with_virtual 2048 1 && dmesg | grep -q 'virtual functions are on at most 8 buses'
}

# numvfs NUMBER
numvfs() {
	echo "$1" >"$physical/sriov_numvfs"
}

# vfio-pci takes the virtual functions of what it has.
enabled() {
	numvfs 2 && grep -qx 2 "$physical/sriov_numvfs" || return 1
	for f in "$first" "$second"; do
		[ "$(basename "$(readlink "$f/driver")")" = vfio-pci ] &&
			[ "$(readlink "$f/physfn")" = "../$(basename "$physical")" ] &&
			wait_for 10 test -c "$(group "$f")" || return 1
	done
	[ ! -e "$third" ]
}

groups_differ() {
	[ "$(group "$first")" != "$(group "$second")" ] &&
		[ "$(group "$first")" != "$(group "$physical")" ] &&
		[ "$(group "$second")" != "$(group "$physical")" ]
}

# program FUNCTION: one that knows the token
program() {
	/guest/vfio_dma type1 "$(group "$1")" "$(basename "$1") $token"
}

stranger() {
	! /guest/vfio_dma type1 "$(group "$first")" "$(basename "$first")" &&
		! /guest/vfio_dma type1 "$(group "$first")" \
			"$(basename "$first") vf_token=2ab74924-c335-45f4-9b16-8569e5b08259"
}

both() {
	/guest/vfio_sriov type1 "$(group "$first")" "$(basename "$first") $token" \
		type1 "$(group "$second")" "$(basename "$second") $token"
}

# One does with the first whatever it can; the other one notices nothing, nor does who nobody has.
misused() {
	misuse_beside "$other" "program $second" 3000 1 type1 "$(group "$first")" \
		"$(basename "$first") $token"
}

# The core enables again what a reset of the physical function has taken away.
physical_reset() {
	echo 1 >"$physical/reset" && grep -qx 2 "$physical/sriov_numvfs" && program "$second"
}

gone() {
	[ ! -e "$first" ] && [ ! -e "$second" ]
}

disabled() {
	numvfs 0 && gone
}

unbound() {
	numvfs 2 && [ -e "$first" ] && from_vfio "$physical" && gone
}

unplugged() {
	to_vfio "$physical" && numvfs 2 && [ -e "$first" ] &&
		echo "$1 0" >/sys/kernel/debug/rviommu_sim/rviommu_sim/functions && gone &&
		[ ! -e "$physical" ] &&
		echo add 0 >/sys/kernel/debug/rviommu_sim/rviommu_sim/functions && [ -e "$physical" ] &&
		grep -qx 0 "$physical/sriov_numvfs"
}

down() {
	to_vfio "$physical" && numvfs 2 && [ -e "$first" ] && rmmod rviommu_sim && rmmod rviommu &&
		gone && [ ! -e "$physical" ]
}

check "the driver and VFIO" modules
check "a function with more virtual ones than there is room for is refused" too_many
check "a function that can have virtual ones, and one beside it" with_virtual 3 2
physical=$(find /sys/bus/pci/devices/ -maxdepth 1 -name '[1-9a-f]*:01:00.0' | head -n 1)
first=${physical%.0}.1
second=${physical%.0}.2
third=${physical%.0}.3
other=${physical%0.0}1.0
check "it has none, and can have three" grep -qx 3 "$physical/sriov_totalvfs"
check "the function goes to vfio-pci" to_vfio "$physical"
check "which enables none when it is not told so" eval '! numvfs 2'
echo Y >/sys/module/vfio_pci/parameters/enable_sriov
check "a program with the function says who may have them" program "$physical"
check "more than there can be are refused" eval '! numvfs 4'
check "two of them" enabled
check "each is in an IOMMU group of its own" groups_differ
check "a program that does not know the token has none" stranger
check "a program works with the first" program "$first"
sed 's/^/    | /' /tmp/check.out
check "and with the second" program "$second"
check "two programs with one each" both
sed 's/^/    | /' /tmp/check.out
check "one misuses the first, and who has the second notices nothing" misused
sed 's/^/    | /' /tmp/check.out
check "the physical function is reset, and they work" physical_reset
check "they are disabled" disabled
check "they go with the driver of the physical function" unbound
check "and with the function, when it is taken out" unplugged remove
check "or pulled out" unplugged surprise
check "all modules go, with two of them enabled" down
check "nothing alarming in the kernel's log" dmesg_clean
finish
