# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the driver and the simulated IOMMU do, on one screen. Ends with 0 only if
# all of it was true.

. ./lib.sh
. ./function.sh

sim=/sys/kernel/debug/rviommu_sim/rviommu_sim

load_sim() {
	insmod /modules/configfs.ko && mount -t configfs none /sys/kernel/config || return 1
	insmod /modules/rviommu.ko && insmod /modules/rviommu_sim.ko
}

# fact NAME: from the capabilities file.
fact() {
	sed -n "s/^$1 //p" "$dir/capabilities"
}

devices() {
	for run in "$sim"/*/run; do
		basename "${run%/run}"
	done
}

# result NAME [DEVICE]: from the device's results, or the sum over all devices.
result() {
	for d in ${2:-$(devices)}; do
		cat "$sim/$d/results" || return 1
	done | awk -v name="$1" '$1 == name { n += $2; found = 1 } END { printf "%d\n", n; exit !found }'
}

# each COMMAND: all devices at once; true if all succeed.
each() {
	pids=
	for d in $(devices); do
		echo "$*" >"$sim/$d/run" &
		pids="$pids $!"
	done
	rc=0
	for pid in $pids; do
		wait "$pid" || rc=1
	done
	[ $rc -eq 0 ] || dmesg | grep -E 'rviommu' | tail -n 4
	return $rc
}

device_table() {
	printf '  %-30s %-22s %-6s %-9s %s\n' device driver group domain translation
	for d in $(devices); do
		dev=/sys/bus/platform/devices/$d
		printf '  %-30s %-22s %-6s %-9s %s\n' "$d" "$(basename "$(readlink "$dev/driver")")" \
			"$(basename "$(readlink "$dev/iommu_group")")" \
			"$(cat "$dev/iommu_group/type")" \
			"$(sed -n 's/^mode //p' "$dir/devices/$d/domain")"
	done
}

# All of them are there, and each is translated by itself.
all_translated() {
	[ "$(devices | wc -l)" -eq 4 ] || return 1
	for d in $(devices); do
		case $(cat "/sys/bus/platform/devices/$d/iommu_group/type") in
		DMA | DMA-FQ)	;;
		*)		return 1 ;;
		esac
	done
	[ "$(for d in $(devices); do readlink "/sys/bus/platform/devices/$d/iommu_group"; done |
		sort -u | wc -l)" -eq 4 ]
}

sim_counter() {
	sed -n "s/^$1 //p" "$sim/counters"
}

# What happened so far, "WHAT NUMBER" each; underscores are blanks.
snapshot() {
	echo "bytes_moved_by_devices $(result bytes)"
	echo "DMAs $(result dmas)"
	echo "mappings_made $(counter maps)"
	echo "and_removed $(counter unmaps)"
	echo "invalidations $(($(counter syncs) + $(counter flushes)))"
	echo "commands_for_the_IOMMU $(counter commands)"
	echo "of_which_fences $(counter fences)"
	echo "translations_by_the_IOMMU $(sim_counter requests)"
	echo "faults_reported $(counter fault_records)"
}

# All but faults have grown; of these there are none.
counters_moved() {
	snapshot >/tmp/after
	while read -r name before && read -r same after <&3; do
		[ "$name" = "$same" ] || return 1
		printf '  %-26s %10d -> %d\n' "$(echo "$name" | tr _ ' ')" "$before" "$after"
		case $name in
		faults_reported)	[ "$after" -eq 0 ] || return 1 ;;
		*)			[ "$after" -gt "$before" ] || return 1 ;;
		esac
	done </tmp/before 3</tmp/after
}

# replaced DEVICE TIMES THREADS [PASID [HOW]]
replaced() {
	before=$(result replacements "$1")
	echo "replace $2 $3 $4 $5" >"$sim/$1/run" || { dmesg | grep rviommu | tail -n 4; return 1; }
	[ "$(($(result replacements "$1") - before))" -eq "$2" ]
}

# Not every kernel's IOMMU core can. One that cannot, the simulator names.
core_replaces_pasids() {
	echo "replace 1 1 7" >"$sim/$1/run" 2>/dev/null
}

told_so() {
	grep -qx 'status -95' "$sim/$1/results" &&
		dmesg | grep "$1" | grep -q "IOMMU core of this kernel replaces no PASID's domain"
}

# Nothing was refused, nothing was wrong.
spotless() {
	[ "$(result refused)" -eq 0 ] && [ "$(result mismatches)" -eq 0 ] &&
		[ "$(counter fault_records)" -eq 0 ] && [ "$(sim_counter faults)" -eq 0 ] &&
		[ "$(sim_counter unspecified)" -eq 0 ]
}

fault_of() {
	sed -n "s/^last_$2 //p" "$dir/devices/$1/faults"
}

# blocked DEVICE: it writes where nothing is mapped. It is told so, and the driver
# reports device, address, kind and cause.
blocked() {
	echo "touch 0x7ff000000 write" >"$sim/$1/run" || return 1
	grep -qx 'touched_blocked yes' "$sim/$1/results" || return 1
	wait_for 5 grep -q '^last_cause' "$dir/devices/$1/faults" || return 1
	[ $(($(fault_of "$1" iotval))) -eq $((0x7ff000000)) ] || return 1
	case "$(fault_of "$1" cause)" in
	"$(sed -n 's/^touched_cause //p' "$sim/$1/results") "*) ;;
	*) return 1 ;;
	esac
	dmesg | grep -q "$1.*0x0*7ff000000"
}

# One fault, however one counts, and of that device alone.
one_fault() {
	[ "$(result refused)" -eq 1 ] && [ "$(result refused "$1")" -eq 1 ] &&
		[ "$(sim_counter faults)" -eq 1 ] && [ "$(counter fault_records)" -eq 1 ] &&
		[ "$(counter "faults_$1")" -eq 1 ]
}

# Commands that complete late and out of order, contexts that are read word by word
# with other work in between, entries that are fetched before they are needed.
worst_cases() {
	echo 0xf >"$sim/switches" || return 1
	each "copy 16384 2 4" && replaced "$1" 100 4
}

# One more IOMMU, whose devices ask for what is not mapped: a platform device and a PCI function.
paging_up() {
	config=/sys/kernel/config/rviommu_sim/paging
	paging=/sys/kernel/debug/rviommu_sim/paging
	mkdir $config || return 1
	for option in endpoints pci_functions ats exerciser live; do
		echo 1 >$config/$option || return 1
	done
	fn=$(awk '$3 == "plugged" { print $2 }' $paging/functions)
	echo rviommu-sim-exerciser >"/sys/bus/pci/devices/$fn/driver_override" &&
		echo "$fn" >/sys/bus/pci/drivers_probe && [ "$(paging_devices | wc -l)" -eq 2 ]
}

paging_devices() {
	for run in "$paging"/*/run; do
		basename "${run%/run}"
	done
}

# demand DEVICE [PASID]: says what the handler of page requests saw.
demand() {
	echo "demand 1024 4 $2" >"$paging/$1/run" || { dmesg | grep rviommu | tail -n 4; return 1; }
	awk '{ n[$1] = $2 } END {
		if (n["demand_pages"] != 2048 || n["mismatches"] || n["refused"])
			exit 1
		printf "%6d %6d %6d %9.1f\n", n["demand_groups"], n["demand_requests"],
			n["demand_pages"], n["demand_ns"] / 1e6
	}' "$paging/$1/results" >/tmp/demand || return 1
	printf '  %-32s %-9s %s\n' "$1" "${2:-none}" "$(cat /tmp/demand)"
}

on_demand() {
	printf '  %-32s %-9s %s\n' device PASID 'groups requests mapped      ms'
	for d in $(paging_devices); do
		demand "$d" && demand "$d" 7 || return 1
	done
}

# moved DEVICE: PASID 7 loses its domain and gets another. It says how much DMA there was
# meanwhile, and how much of it was refused: no less than one each time.
moved() {
	before=$(sed -n 's/^dmas //p' "$paging/$1/results")
	echo "replace 300 4 7 detach" >"$paging/$1/run" || { dmesg | grep rviommu | tail -n 4; return 1; }
	awk -v before="$before" '{ n[$1] = $2 } END {
		if (n["replacements"] != 300 || n["mismatches"] || n["refused"] < 300)
			exit 1
		printf "%12d %8d %8d\n", n["replacements"], n["dmas"] - before, n["refused"]
	}' "$paging/$1/results" >/tmp/moved || return 1
	printf '  %-32s %-9s %s\n' "$1" 7 "$(cat /tmp/moved)"
}

on_the_move() {
	printf '  %-32s %-9s %s\n' device PASID 'replacements     DMAs  refused'
	for d in $(paging_devices); do
		moved "$d" || return 1
	done
}

# And one with a function that no driver of the kernel's has
program_up() {
	config=/sys/kernel/config/rviommu_sim/vfio
	vfio_modules && mkdir $config && echo 0 >$config/endpoints &&
		echo 1 >$config/pci_functions && echo 1 >$config/live || return 1
	fn=$(awk '$3 == "plugged" { print $2 }' /sys/kernel/debug/rviommu_sim/vfio/functions)
	path=/sys/bus/pci/devices/$fn
	to_vfio "$path"
}

program_works() {
	/guest/vfio_dma type1 "$(group "$path")" "$fn" >/tmp/program || {
		tail -n 3 /tmp/program
		return 1
	}
	sed -n 's/^ok: \(.*\(interrupt\|DMA\|copied\|commands in\|FLR\).*\)/  \1/p' /tmp/program
}

# It leads to the memory that the program has.
drawn() {
	hold "$path" && /guest/rviommu list && echo && /guest/rviommu walk "$fn" 0x10000000 &&
		[ "$(/guest/rviommu walk "$fn" 0x10000000 | grep -c "$physical")" -eq 1 ]
}

decoded() {
	! /guest/rviommu dma "$fn" write 0x7ff000000 1 || return 1
	/guest/rviommu fault | sed -n "/^$fn/,/^$/p" >/tmp/fault
	cat /tmp/fault
	grep -q 'write/AMO page fault' /tmp/fault
}

unload() {
	let_go && from_vfio "$path" && rmdir /sys/kernel/config/rviommu_sim/* && rmmod rviommu_sim && rmmod rviommu
}

echo "Debian's stock kernel $(uname -r) on an emulated $(uname -m) machine"
check "rviommu.ko and the simulated IOMMU, rviommu_sim.ko, load" load_sim
if ! dir=$(iommu_dir) || [ ! -d "$sim" ]; then
	dmesg | tail -n 20
	exit 1
fi
echo "IOMMU $(basename "$dir"): version $(fact version), $(fact physical_address_bits) physical address bits," \
	"$(fact ddt_levels)-level directory, $(fact device_id_bits) device ID bits"
echo "  has $(fact has)" | fold -s -w 98 | sed '2,$s/^/    /; s/ *$//'
echo "  command queue $(fact command_queue_entries), fault queue $(fact fault_queue_entries)," \
	"interrupts: $(fact interrupts_used)"
device_table
check "each device has a group and a translated domain of its own" all_translated
# shellcheck disable=SC2046	# one word each
set -- $(devices)
snapshot >/tmp/before
check "4 devices with 4 threads each: 64 KiB mapped, moved, unmapped 8 times; each byte compared" \
	each "copy 65536 4 8"
check "1000 times another domain at the same addresses, 4 threads of DMA meanwhile:" replaced "$1" 1000 4
if core_replaces_pasids "$1"; then
	check "1000 times another domain for PASID 7, 4 threads of DMA with it and without:" \
		replaced "$1" 1000 4 7
else
	check "this kernel's core cannot replace what PASID 7 uses, and the simulator says so (detach: below)" \
		told_so "$1"
fi
check "1000 times another domain for DMA without PASID, in the process directory beside PASID 7:" \
	replaced "$1" 1000 4 7 keep
check "  no fault, each byte of the one or the other, no byte late" spotless
check "counters before and after" counters_moved
[ ! -s /tmp/check.out ] || cat /tmp/check.out
check "a DMA to 0x7ff000000, which nobody mapped, is blocked:" blocked "$2"
sed -n 's/^last_/  /p' "$dir/devices/$2/faults"
check "it is the only fault by the counts of device, IOMMU and driver" one_fault "$2"
check "the same with the IOMMU at its legal worst (late, reordered, torn, prefetched)" worst_cases "$3"
check "pages on demand: two devices copy 4 MiB of which nothing is mapped; they ask for each page," paging_up
check "  a handler maps it, they try again; each byte compared:" on_demand
cat /tmp/check.out
check "300 times PASID 7 is detached and gets another domain, 4 threads of DMA: refused in between only:" \
	on_the_move
cat /tmp/check.out
check "a PCI function goes to VFIO, as its interrupts are isolated" program_up
check "a program maps memory, and has the function work by registers and rings:" program_works
cat /tmp/check.out
check "another one holds memory; the command rviommu sees it, and draws where an IOVA leads to:" drawn
sed 's/^/  /' /tmp/check.out
check "a DMA of the function to nowhere, decoded:" decoded
sed 's/^/  /' /tmp/check.out
check "both modules unload" unload
check "nothing alarming in the kernel's log" dmesg_clean
finish && echo "All of it was true."
