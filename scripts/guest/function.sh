# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# For the scripts that give a simulated PCI function to a program, by VFIO: of type 1, but for
# misuse_beside. Sourced after lib.sh.

# What VFIO is built of differs; those that there are, in the order of their needs
vfio_modules() {
	for name in irqbypass iommufd vfio vfio_iommu_type1 vfio-pci-core vfio-pci; do
		[ ! -e "/modules/$name.ko" ] || insmod "/modules/$name.ko" || return 1
	done
}

# group FUNCTION: the file that a program opens; FUNCTION is its directory in sysfs.
group() {
	echo "/dev/vfio/$(basename "$(readlink "$1/iommu_group")")"
}

# to_vfio FUNCTION
to_vfio() {
	echo vfio-pci >"$1/driver_override" && basename "$1" >/sys/bus/pci/drivers_probe &&
		wait_for 10 test -c "$(group "$1")"
}

# from_vfio FUNCTION
from_vfio() {
	basename "$1" >/sys/bus/pci/drivers/vfio-pci/unbind
}

# hold FUNCTION: a program has it, and four pages of memory at 0x10000000 for it, which are at
# $physical. It reads lines from descriptor 9, and writes to /tmp/held what is there.
hold() {
	mkfifo /tmp/lines || return 1
	/guest/vfio_hold "$(group "$1")" "$(basename "$1")" </tmp/lines >/tmp/held 2>&1 &
	holder=$!
	exec 9>/tmp/lines
	wait_for 10 grep -q '^iova 0x10000000 physical 0x' /tmp/held || {
		cat /tmp/held
		return 1
	}
	# shellcheck disable=SC2034	# for who sources this
	physical=$(sed -n 's/.*physical //p' /tmp/held)
}

# let_go: the program ends.
let_go() {
	exec 9>&-
	wait "$holder"
}

# bystands FILE PID: while that runs, nothing changes what is read from FILE.
bystands() {
	cat "$1" >/tmp/bystander || return 1
	while kill -0 "$2" 2>/dev/null; do
		cmp /tmp/bystander "$1" || return 1
		usleep 20000
	done
}

# misuse_beside BYSTANDER COMMAND ARGUMENT...: vfio_fuzz, with these arguments, does with one function
# whatever it can; COMMAND, which has another one, succeeds as often as there is time for it; and the
# configuration of the function BYSTANDER, which nobody has, remains as it is.
misuse_beside() {
	bystander=$1/config
	neighbour=$2
	shift 2
	/guest/vfio_fuzz "$@" >/tmp/misuse 2>&1 &
	misuse=$!
	bystands "$bystander" $misuse &
	bystands=$!
	undisturbed=0
	while kill -0 $misuse 2>/dev/null; do
		$neighbour >/tmp/beside || {
			tail -n 3 /tmp/beside
			kill $misuse
			wait $misuse $bystands
			return 1
		}
		undisturbed=$((undisturbed + 1))
	done
	cat /tmp/misuse
	wait $misuse && wait $bystands && echo "beside it: $undisturbed times" && [ $undisturbed -gt 0 ]
}
