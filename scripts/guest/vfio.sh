# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# vfio.sh [ROUNDS]: a simulated PCI function in the hands of a program: VFIO, iommufd and
# PASIDs; so many times again, with a reset and another driver each time.

. ./lib.sh
rounds=${1:-0}
sim=/sys/kernel/debug/rviommu_sim/rviommu_sim

up() {
	insmod /modules/rviommu.ko && insmod /modules/rviommu_sim.ko endpoints=1 pci_functions=2
}

to_vfio() {
	echo vfio-pci >"$fn/driver_override" && basename "$fn" >/sys/bus/pci/drivers_probe &&
		wait_for 10 test -c "/dev/vfio/devices/$(ls "$fn/vfio-dev")"
}

program() {
	msi=$(awk '$3 == "msi" { print $1; exit }' "$fn/iommu_group/reserved_regions")
	[ -n "$msi" ] || msi=$imsic
	/guest/vfio_pasid "/dev/vfio/devices/$(ls "$fn/vfio-dev")" $sim/dma "$id" "$msi"
}

# What the program left behind is gone with it.
nothing_attached() {
	dir=$(find /sys/kernel/debug/rviommu/*/devices -name "$(basename "$fn")")
	[ -n "$dir" ] && [ ! -s "$dir/processes" ] && ! grep -q . "$dir/processes"
}

# says ERROR WORDS...: a write to "dma" fails with it.
says() {
	error=$1
	shift
	! (echo "$*" >$sim/dma) 2>/tmp/error && grep -q "$error" /tmp/error
}

words() {
	says 'Invalid argument' 0 none fill 0x1000 4096 &&
		says 'Invalid argument' 0 none fill 0x1000 4096 1 2 &&
		says 'Invalid argument' 0 none erase 0x1000 4096 1 &&
		says 'Invalid argument' 0 some fill 0x1000 4096 1 &&
		says 'Invalid argument' 0 none fill 0x1000 16777217 1 &&
		says 'No such device' 0x777 none fill 0x1000 4096 1
}

# Reset behind the driver, by hand and with nothing attached, and away from VFIO and back.
again() {
	i=0
	while [ $i -lt "$rounds" ]; do
		i=$((i + 1))
		program >/tmp/round 2>&1 || {
			echo "round $i"
			tail -n 3 /tmp/round
			return 1
		}
		if ! echo 1 >"$fn/reset" || ! nothing_attached ||
		   ! basename "$fn" >/sys/bus/pci/drivers/vfio-pci/unbind || ! to_vfio; then
			echo "round $i: reset, unbind or bind"
			return 1
		fi
	done
}

# slabs: objects of each kind that the kernel has allocated. Not those of its checkers, which
# grow with what they have seen, nor areas of vmalloc(), which it collects for a while.
slabs() {
	awk 'NR > 2 { print $1, $2 }' /proc/slabinfo |
		grep -Ev '^(kmemleak_|debug_objects_cache|vmap_area)' | sort
}

# All that a round takes it gives back: no kind of object grows by one for each two rounds.
again_without_growth() {
	all=$rounds rounds=20
	again || return 1
	slabs >/tmp/slabs.before
	rounds=$all
	again || return 1
	slabs >/tmp/slabs.after
	[ -s /tmp/slabs.before ] || return 1
	awk -v limit=$((all / 2)) 'NR == FNR { before[$1] = $2; next }
		{ more = $2 - before[$1] }
		more > limit { print "grew: " $1 " by " more; bad = 1 }
		more > most { most = more; kind = $1 }
		END { print "most: " kind " by " most + 0; exit bad }' \
		/tmp/slabs.before /tmp/slabs.after
}

down() {
	basename "$fn" >/sys/bus/pci/drivers/vfio-pci/unbind && rmmod rviommu_sim && rmmod rviommu
}

check "the simulated IOMMU and its functions" up
fn=$(find /sys/bus/pci/devices/ -maxdepth 1 -name '[1-9a-f]*:01:00.0' | head -n 1)
id=0x0100
# Of the first CPU, on this machine
imsic=0x28000000
check "a function goes to vfio-pci" to_vfio
check "a program uses its PASIDs" program
sed 's/^/    | /' /tmp/check.out
check "nothing is left of them" nothing_attached
check "and a second time" program
if [ "$rounds" -gt 0 ]; then
	check "attach, close, reset, unbind, $rounds times" again_without_growth
	tail -n 1 /tmp/check.out | sed 's/^/    | /'
fi
check "a DMA by hand is looked at" words
check "all modules go" down
check "no memory leaked" no_leaks
check "nothing alarming in the kernel's log" dmesg_clean
finish
