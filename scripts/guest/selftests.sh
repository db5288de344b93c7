# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# selftests.sh: programs of the kernel's own with a simulated PCI function: its VFIO selftests, for
# which scripts/selftests has a driver, and its benchmark of the DMA API.

. ./lib.sh

# The end of what the machine has: check-vm lets the kernel end before.
memory=0x13ff00000,0x100000

up() {
	insmod /modules/rviommu.ko &&
		insmod /modules/rviommu_sim.ko endpoints=1 pci_functions=1 bar_memory="$memory"
}

to_vfio() {
	echo vfio-pci >"$fn/driver_override" && basename "$fn" >/sys/bus/pci/drivers_probe &&
		wait_for 10 test -c "/dev/vfio/devices/$(ls "$fn/vfio-dev")"
}

# selftest NAME AT-LEAST: it passes, and so many of its cases were not skipped.
selftest() {
	"/selftests/$1" "$(basename "$fn")" >/tmp/selftest 2>&1 || {
		grep -v '^#  RUN\|^#  *OK\|^ok' /tmp/selftest
		return 1
	}
	grep '^# Totals:' /tmp/selftest
	[ "$(grep '^ok' /tmp/selftest | grep -vc '# SKIP')" -ge "$2" ]
}

# large SIZE-KB NUMBER: pages for the tests that map them
large() {
	pool=/sys/kernel/mm/hugepages/hugepages-${1}kB/nr_hugepages
	echo "$2" >"$pool" && grep -qx "$2" "$pool"
}

# Each test of the driver has a gigabyte of shared memory.
quick() {
	echo force >/sys/kernel/mm/transparent_hugepage/shmem_enabled
}

# benchmark DIRECTION: one second of maps and unmaps in two threads, of a driver of the kernel's own
benchmark() {
	/selftests/dma_map_benchmark -t 2 -s 1 -b 64 -d "$1" >/tmp/benchmark || return 1
	cat /tmp/benchmark
	grep -q 'average map latency' /tmp/benchmark
}

benchmarked() {
	basename "$fn" >/sys/bus/pci/drivers/vfio-pci/unbind &&
		echo dma_map_benchmark >"$fn/driver_override" &&
		basename "$fn" >/sys/bus/pci/drivers_probe &&
		[ -e /sys/kernel/debug/dma_map_benchmark ]
}

down() {
	basename "$fn" >/sys/bus/pci/drivers/dma_map_benchmark/unbind && rmmod rviommu_sim && rmmod rviommu
}

check "the simulated IOMMU and a function" up
fn=$(find /sys/bus/pci/devices/ -maxdepth 1 -name '[1-9a-f]*:01:00.0' | head -n 1)
check "the function goes to vfio-pci" to_vfio
check "pages of 2 MiB" large 2048 8
check "selftest: setup of iommufd" selftest vfio_iommufd_setup_test 6
sed 's/^/    | /' /tmp/check.out
check "selftest: device, with MSI-X" selftest vfio_pci_device_test 5
sed 's/^/    | /' /tmp/check.out
# Skipped are pages of 1 GiB, which this kernel has none of.
check "selftest: mapping for DMA" selftest vfio_dma_mapping_test 25
sed 's/^/    | /' /tmp/check.out
check "the pages of 2 MiB go" large 2048 0
check "memory comes in large pages" quick
check "selftest: driver" selftest vfio_pci_driver_test 35
sed 's/^/    | /' /tmp/check.out
check "the function goes to the benchmark" benchmarked
for direction in 0 1 2; do
	check "benchmark: direction $direction" benchmark $direction
	sed 's/^/    | /' /tmp/check.out
done
check "all modules go" down
check "no memory leaked" no_leaks
check "nothing alarming in the kernel's log" dmesg_clean
finish
