# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the driver does, on one screen. Ends with 0 only if all of it was true.

. ./lib.sh

# fact NAME: from the capabilities file.
fact() {
	sed -n "s/^$1 //p" "$dir/capabilities"
}

counters="maps unmaps syncs commands fences fault_records"

snapshot() {
	for c in $counters; do
		counter "$c" || return 1
	done
}

device_table() {
	printf '  %-14s %-12s %-6s %-10s %s\n' function driver group domain translation
	for d in /sys/bus/pci/devices/*; do
		[ -e "$d/iommu_group" ] || continue
		name=$(basename "$d")
		driver=none
		[ ! -e "$d/driver" ] || driver=$(basename "$(readlink "$d/driver")")
		group=$(basename "$(readlink "$d/iommu_group")")
		mode=$(sed -n 's/^mode //p' "$dir/devices/$name/domain")
		printf '  %-14s %-12s %-6s %-10s %s\n' "$name" "$driver" "$group" \
			"$(cat "$d/iommu_group/type")" "${mode:-none}"
	done
}

# Traffic happened and was translated: all but faults have grown.
counters_moved() {
	i=1
	for c in $counters; do
		before=$(echo "$first" | sed -n ${i}p)
		after=$(echo "$second" | sed -n ${i}p)
		printf '  %-14s %12d -> %d\n' "$c" "$before" "$after"
		case $c in
		fault_records)	[ "$after" -eq 0 ] || return 1 ;;
		*)		[ "$after" -gt "$before" ] || return 1 ;;
		esac
		i=$((i + 1))
	done
}

# No byte passes untranslated: each function has page tables of the driver.
all_translated() {
	for d in /sys/bus/pci/devices/*; do
		[ -e "$d/iommu_group" ] || continue
		grep -q '^mode sv' "$dir/devices/$(basename "$d")/domain" || return 1
	done
}

blocked_dma() {
	[ "$(testdev_dma 0x7ff000000 4)" = 0xDEAD0002 ] &&
		wait_for 5 sh -c ". ./lib.sh; fault_is $(pci_of 1b36:0005) 0x7ff000000"
}

echo "Linux $(uname -r) on an emulated $(uname -m) machine"
check "rviommu.ko loads, a disk and a network card appear behind it" load
dir=$(iommu_dir) || exit 1
echo "IOMMU $(basename "$dir"): version $(fact version), $(fact physical_address_bits) physical address bits," \
	"$(fact ddt_levels)-level directory, $(fact device_id_bits) device ID bits"
echo "  has $(fact has)"
echo "  command queue $(fact command_queue_entries), fault queue $(fact fault_queue_entries)," \
	"interrupts: $(fact interrupts_used)"
device_table
check "every device has a group" all_have_groups
check "every device is translated, by page tables of the driver" all_translated
first=$(snapshot)
check "NVMe disk: ext4 mounts" disk_mount
check "NVMe disk: files of 4 processes at once, 16 MiB, verify by SHA-256" disk_verify 4 4
check "network card: link" net_up
check "network card: 1 MiB there and back verifies" net_verify 1024
second=$(snapshot)
check "counters before and after" counters_moved
[ ! -s /tmp/check.out ] || cat /tmp/check.out
check "a DMA to 0x7ff000000, which nobody mapped, is blocked:" blocked_dma
sed -n 's/^last_/  /p' "$dir/devices/$(pci_of 1b36:0005)/faults"
check "nothing alarming in the kernel's log" dmesg_clean
finish && echo "All of it was true."
