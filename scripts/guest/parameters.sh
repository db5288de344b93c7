# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Module parameters: a wrong value is refused, with one message that says what is
# wrong; a right one is seen to work. One boot, because a module that devices use
# cannot be removed.

. ./lib.sh

# says TEXT: once in the kernel's log.
says() {
	[ "$(dmesg | grep -cF -- "$1")" -eq 1 ] && return
	dmesg | grep rviommu | tail -n 3
	return 1
}

# refused MESSAGE PARAMETER...: no IOMMU appears, and the module can go again.
refused() {
	message=$1
	shift
	insmod /modules/rviommu.ko "$@" || return 1
	if iommu_dir; then
		echo "the IOMMU came up"
		return 1
	fi
	rmmod rviommu && says "$message"
}

# What is no number at all the kernel refuses itself, each time that insmod tries.
not_loaded() {
	! insmod /modules/rviommu.ko "$@" &&
		dmesg | grep -qF "\`many' invalid for parameter \`ddt_levels'"
}

fact() {
	sed -n "s/^$1 //p" "$(iommu_dir)/capabilities"
}

quirks_in_force() {
	fact quirk
	[ "$(fact quirk | sed 's/:.*//' | xargs)" = "$1" ]
}

page_sizes() {
	sizes=$(sed -n 's/^page_sizes //p' "$(iommu_dir)/devices/$(pci_of "$1")/domain")
	echo "page sizes $sizes"
	[ -n "$sizes" ] && [ $((sizes & $2)) -eq $(($3)) ]
}

ddt_levels() {
	[ "$(fact ddt_levels)" = "$1" ]
}

check "an unknown workaround is refused by name" \
	refused "quirks=: no workaround is called no_such" quirks=notify_valid,no_such
check "the same to switch it off" \
	refused "quirks=: no workaround is called nonsense" quirks=-nonsense
check "more levels than there are" refused "ddt_levels=4 is not 0 to 3" ddt_levels=4
check "a level that is no number" not_loaded ddt_levels=many
check "with two levels, one workaround less and two more: disk and network card appear" \
	load ddt_levels=2 quirks=no_svnapot,-small_iotinval,,notify_valid
check "the directory has two levels" ddt_levels 2
check "exactly those workarounds are in force" quirks_in_force "no_svnapot notify_valid"
check "the log gives the reason" says "workaround no_svnapot: 64 KiB leaves"
# 4K, 2M and 1G, but not 64K
check "the disk's domain does without 64 KiB pages" page_sizes 1b36:0010 0x40211000 0x40201000
check "the disk's file system mounts" disk_mount
check "files verify" disk_verify 1 2
check "the network card has a link" net_up
check "64 KiB through the network verify" net_verify 64
check "nothing alarming in the kernel's log" dmesg_clean
finish
