# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# inner.sh: a virtual machine in this one owns a simulated PCI function, and lets it work. The
# machine has no kernel, but inner.c.

. ./lib.sh
. ./function.sh

up() {
	insmod /modules/configfs.ko && insmod /modules/rviommu.ko &&
		insmod /modules/rviommu_sim.ko endpoints=0 pci_functions=1 && vfio_modules || return 1
	fn=$(find /sys/bus/pci/devices/ -maxdepth 1 -name '[1-9a-f]*:01:00.0')
	to_vfio "$fn"
}

# inner.c ends with 0 or 1, of which QEMU makes 1 or 3.
inner() {
	/guest/qemu-system-x86_64 -machine q35 -m 64M -nodefaults -display none -no-reboot -serial stdio \
		-device isa-debug-exit,iobase=0xf4,iosize=4 \
		-device "vfio-pci,host=$(basename "$fn"),rombar=0" \
		-kernel /guest/inner </dev/null >/tmp/inner 2>&1
	status=$?
	cat /tmp/inner
	[ $status -eq 1 ] && [ "$(grep -c '^ok: ' /tmp/inner)" -eq 7 ]
}

down() {
	from_vfio "$fn" && rmmod rviommu_sim && rmmod rviommu
}

check "a simulated function goes to vfio-pci" up
check "a virtual machine owns it, and has it do DMA" inner
sed 's/^/    | /' /tmp/check.out
check "and a second time, after a reset" inner
check "all modules go" down
check "nothing alarming in the kernel's log" dmesg_clean
finish
