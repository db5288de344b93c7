# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Modules built with RVIOMMU_DEBUG leave out one class of invalidation after the
# other; the commands that the demonstration relies on have to notice. One device
# for each: what was not invalidated stays in the IOMMU's caches. A directory that
# is not invalidated harms the other devices, too: it comes last.

. ./lib.sh

sim=/sys/kernel/debug/rviommu_sim/rviommu_sim

load_sim() {
	insmod /modules/configfs.ko && insmod /modules/rviommu.ko &&
		insmod /modules/rviommu_sim.ko endpoints=8
}

device() {
	for d in "$sim"/rviommu-sim-endpoint.*/; do
		echo "${d%/}"
	done | sed -n "$1p"
}

run() {
	echo "$2" >"$(device "$1")/run"
}

# noticed DEVICE COMMAND CLASS: right before, wrong without the invalidation.
noticed() {
	echo none >"$dir/mutate"
	run "$1" "$2" || return 1
	echo "$3" >"$dir/mutate"
	run "$1" "$2"
	rc=$?
	echo none >"$dir/mutate"
	[ $rc -ne 0 ]
}

check "modules with RVIOMMU_DEBUG load" load_sim
dir=$(iommu_dir) || exit 1
case $(cat "/sys/bus/platform/devices/$(basename "$(device 1)")/iommu_group/type") in
DMA)
	check "copy notices that IOTINVAL is missing" noticed 1 "copy 65536 2 8" iotinval
	check "copy notices that non-leaf entries stay" noticed 2 "copy 4194304 1 4" nonleaf
	check "without mutation all is well" run 3 "copy 65536 2 8"
	check "replace notices that INVAL_DDT is missing" noticed 4 "replace 8" inval_ddt
	;;
*)
	check "copy notices that nothing is flushed" noticed 1 "copy 65536 4 64" flush_all
	check "without mutation all is well" run 2 "copy 65536 4 64"
	;;
esac
finish
