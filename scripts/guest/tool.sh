# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# tool.sh: the program "rviommu" with the modules as they are. A program has a simulated PCI function by
# VFIO, with memory mapped for it; what "rviommu" says of that memory is what the program knows,
# and what it lets the function do to the memory the program sees.

. ./lib.sh
. ./function.sh

tool=/guest/rviommu
sim=/sys/kernel/debug/rviommu_sim/rviommu_sim
config_of=/sys/kernel/config/rviommu_sim
config=$config_of/pages
pages=/sys/kernel/debug/rviommu_sim/pages

# ends STATUS PATTERN ARGUMENT...: it ends like that, and that is in what it prints.
ends() {
	status=$1 pattern=$2
	shift 2
	$tool "$@" >/tmp/said 2>&1
	if [ $? -ne "$status" ] || ! grep -q -e "$pattern" /tmp/said; then
		cat /tmp/said
		return 1
	fi
}

says() {
	ends 0 "$@"
}

refuses() {
	ends 1 "$@"
}

# value NAME: of the JSON that was printed last, the first member of that name
value() {
	sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}$/\1/p" /tmp/said | head -n 1
}

up() {
	insmod /modules/configfs.ko && insmod /modules/rviommu.ko &&
		insmod /modules/rviommu_sim.ko endpoints=1 pci_functions=1 && vfio_modules || return 1
	path=$(find /sys/bus/pci/devices/ -maxdepth 1 -name '[1-9a-f]*:01:00.0')
	fn=$(basename "$path")
	own=$(basename "$(find $sim -mindepth 1 -maxdepth 1 -type d -name 'rviommu-sim-*')")
}

# A program has the function, and memory.
held() {
	to_vfio "$path" && hold "$path"
}

# holds BYTES: the first ones of the memory, as the program sees them
holds() {
	lines=$(wc -l </tmp/held)
	echo >&9
	wait_for 10 more_than "$lines"
	tail -n 1 /tmp/held
	[ "$(tail -n 1 /tmp/held)" = "$*" ]
}

more_than() {
	[ "$(wc -l </tmp/held)" -gt "$1" ]
}

# The address is the program's own; and each entry points to the next table.
walked() {
	says '"result": "mapped"' walk "$fn" 0x10000000 --json && [ "$(value physical)" = "$physical" ] &&
		says "$physical" walk "$fn" 0x10000000 || return 1
	[ "$(grep -c ' level ' /tmp/said)" -ge 6 ] && awk '
		function number(hex,   i, n) {
			for (i = 3; i <= length(hex); i++)
				n = n * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
			return n
		}
		/ level / {
			for (i = 1; i <= NF; i++) {
				if ($i == "table")
					table = $(i + 1)
				if ($i == "=")
					entry = $(i + 1)
			}
			if (link && int(link / 1024) * 4096 != number(table))
				exit 1
			link = $NF == "link" ? number(entry) : 0
			links += $NF == "link"
		}
		END { exit links < 4 }' /tmp/said
}

dumped() {
	says '0x0000000010000000' dump "$fn" && says "$physical" dump "$fn"
}

# A device asks for pages of PASID 7, gets them, and does not hear of it: there they are for an hour.
asked() {
	refuses 'configfs is not mounted' create pages || return 1
	mount -t configfs none /sys/kernel/config || return 1
	says '^pages: done$' create pages endpoints=1 pci_functions=0 ats=1 exerciser=1 \
		pri_timeout=3600000000000 switches=async,linger || return 1
	grep -qx 1 $config/live && grep -qx 0x41 $config/switches && grep -qx 0x41 $pages/switches || return 1
	asker=$(sed -n 's/^  //p' /tmp/said)
	[ "$asker" = "$(basename "$(find $pages -mindepth 1 -maxdepth 1 -type d -name 'rviommu-sim-*')")" ] || return 1
	says "^$asker: pri lost: done$" inject "$asker" pri lost &&
		says '^  lost  *yes ' inject "$asker" pri && [ "$(grep -c ' yes ' /tmp/said)" -eq 1 ] || return 1
	# shellcheck disable=SC2320	# what the write says
	(echo demand 4 1 7 >"$pages/$asker/run") 2>/tmp/demand &
	demander=$!
	wait_for 20 grep -qE ' lost [1-9]' $pages/pri
}

# reaches IOVA PHYSICAL: the device's DMA does, as the hardware itself remembers.
reaches() {
	iova=$(printf '0x%x' "$1")
	says '^0x' dma "$asker" read "$iova" 8 --pasid 7 || return 1
	word=$(sed -n "s/^leaf .* addr $iova lg2 12 word //p" $pages/caches)
	[ -n "$word" ] && [ $((word >> 10 << 12)) -eq $(($2)) ]
}

# All that is mapped for the PASID, and each page is where the hardware finds it.
pasid_dumped() {
	says "^$asker of pages, PASID 7: domain [0-9]*, sv" dump "$asker" --pasid 7 || return 1
	sed -n 's/^  \(0x.*\)/\1/p' /tmp/said >/tmp/leaves
	nr=0
	while read -r first _ to leaves _; do
		i=0
		while [ $i -lt "$leaves" ]; do
			reaches $((first + i * 4096)) $((to + i * 4096)) || return 1
			i=$((i + 1))
			nr=$((nr + 1))
		done
	done </tmp/leaves
	says '"pasid": 7' dump "$asker" --pasid 7 --json && [ $nr -gt 0 ] && [ "$(value maps)" -eq $nr ]
}

# What others have is not shown for it, and nothing of it for others.
pasid_alone() {
	says 'nothing is attached' dump "$asker" --pasid 8 &&
		says 'nothing is mapped' dump "$asker" && ! grep -q PASID /tmp/said &&
		ends 2 "'pages' is an IOMMU" dump pages --pasid 7
}

# A PASID that is too wide for the devices, and numbers that are not octal
narrow() {
	says '^narrow: done$' create narrow endpoints=1 pci_functions=0 pasid_bits=008 || return 1
	grep -qx 8 $config_of/narrow/pasid_bits || return 1
	narrow=$(sed -n 's/^  //p' /tmp/said)
	refuses "PASIDs of devices of 'narrow' have 8 bits" dma "$narrow" read 0x10000000 8 --pasid 256 &&
		refuses 'the IOMMU refused it' dma "$narrow" read 0x10000000 8 --pasid 0255 &&
		says 'PASID 0x000ff\|PASID 255' fault &&
		says '"pasid": 10,' walk "$narrow" 010 --pasid 010 --json &&
		[ "$(value iova)" = 0x000000000000000a ] && says '^narrow: done$' destroy narrow
}

# What is wrong is refused, in words, and leaves nothing.
not_created() {
	refuses "'pages' already: rviommu destroy pages" create pages &&
		refuses 'it came with the module' create rviommu_sim &&
		ends 2 "there is no option 'speed'; there are: .*ats, .*vfs, " create half speed=1 &&
		refuses "ats cannot be '300': " create half ats=300 &&
		refuses "there cannot be such an IOMMU 'half': Invalid argument" create half vectors=3 &&
		refuses "the driver does not take such an IOMMU 'half'" create half capabilities=0x3800000110 &&
		refuses "came with the module, and goes with it" destroy rviommu_sim &&
		refuses "nobody has created an IOMMU 'half'; those that were: pages" destroy half &&
		[ "$(ls /sys/kernel/config/rviommu_sim)" = pages ]
}

asked_no_more() {
	says '^pages: done$' destroy pages && [ ! -e $config ] && umount /sys/kernel/config || return 1
	! wait "$demander" && grep -q 'No such device' /tmp/demand
}

moved() {
	says 'done' dma "$fn" write 0x10000003 0x0102030405060708090a &&
		holds 5a 5a 5a 01 02 03 04 05 06 07 08 09 0a 5a 5a 5a &&
		says '5a 5a 5a 01 02 03 04 05 06 07 08 09 0a 5a 5a 5a' dma "$fn" read 0x10000000 16 &&
		says 'done' dma "$fn" copy 0x10001000 16 0x10000000 &&
		says '5a 5a 5a 01 02 03 04 05 06 07 08 09 0a 5a 5a 5a' dma "$fn" read 0x10001000 16
}

compared() {
	says 'done' dma "$fn" fill 0x10000000 16K --seed 5 &&
		says 'done' dma "$fn" verify 0x10000000 16K --seed 5 &&
		refuses 'another byte is there' dma "$fn" verify 0x10000000 16K --seed 6
}

watched() {
	$tool fault watch --count 1 --seconds 60 --json >/tmp/watched 2>&1 &
	watcher=$!
	wait_for 20 grep -qx 1 /sys/kernel/tracing/instances/rviommu-$watcher/events/rviommu/rviommu_fault/enable ||
		return 1
	refuses 'the IOMMU refused it' dma "$fn" fill 0x7ff000000 4096 || return 1
	wait $watcher || return 1
	cat /tmp/watched
	grep -q "\"device\":\"$fn\"" /tmp/watched &&
		grep -q '"cause":{"code":15,"name":"write/AMO page fault"}.*"iova":"0x7ff000000"' /tmp/watched &&
		[ ! -e /sys/kernel/tracing/instances/rviommu-$watcher ]
}

# A watch that is told to end takes its instance with it, whatever happened.
ended() {
	for signal in TERM HUP; do
		: >/tmp/watched
		$tool fault watch >/tmp/watched 2>&1 &
		watcher=$!
		wait_for 20 test -d /sys/kernel/tracing/instances/rviommu-$watcher &&
			wait_for 20 grep -q 'Ctrl-C' /tmp/watched && kill -$signal $watcher && wait $watcher &&
			no_instance || return 1
	done
}

no_instance() {
	! ls -d /sys/kernel/tracing/instances/rviommu-* 2>/dev/null
}

# It ends when nobody reads it any more, and when there is no room for what it says.
unread() {
	$tool fault watch 2>/tmp/unread | head -n 1
	grep -q 'nobody reads the output any more' /tmp/unread && no_instance || return 1
	! $tool fault watch 2>/tmp/unread >/dev/full && grep -q 'No space left' /tmp/unread && no_instance
}

# counts COUNTER MORE COMMAND...: "stat" says that it has grown by that with the command.
counts() {
	counter=$1 more=$2
	shift 2
	says "\"$counter\"" stat rviommu_sim --json || return 1
	before=$(value "$counter")
	"$@" || return 1
	wait_for 10 grown && return
	cat /tmp/said
	return 1
}

grown() {
	says "\"$counter\"" stat rviommu_sim --json && [ "$(value "$counter")" -eq $((before + more)) ]
}

refused() {
	refuses 'the IOMMU refused it' dma "$fn" read 0x7ff000000 8
}

overflow() {
	says 'done' inject rviommu_sim error fq_of 1 && counts fault_overflows 1 refused
}

switched() {
	says '^rviommu_sim: switches async,word_by_word: done$' inject rviommu_sim switches async,word_by_word &&
		grep -qx 0x5 $sim/switches && says '^  word_by_word  *yes ' inject rviommu_sim switches &&
		says 'done' inject rviommu_sim switches none && grep -qx 0x0 $sim/switches
}

# Without the driver it says what to do, and where there is nobody to take it.
alone() {
	insmod /modules/rviommu_sim.ko instance=0 && mount -t configfs none /sys/kernel/config || return 1
	refuses 'the driver is not loaded: modprobe rviommu$' create half endpoints=1 || return 1
	[ ! -e $config_of/half ] && umount /sys/kernel/config && rmmod rviommu_sim
}

# An IOMMU waits for whoever has a function of it, and says so; who comes next waits for both.
waited() {
	rm /tmp/lines /tmp/held && mount -t configfs none /sys/kernel/config || return 1
	says '^lent: done$' create lent endpoints=0 pci_functions=1 || return 1
	lent=$(sed -n 's/^  //p' /tmp/said)
	to_vfio "/sys/bus/pci/devices/$lent" && hold "/sys/bus/pci/devices/$lent" || return 1
	# None of them keeps the program from its end.
	$tool destroy lent >/tmp/destroyed 2>&1 9>&- &
	destroyer=$!
	wait_for 30 test -s /tmp/destroyed
	$tool create next endpoints=1 >/tmp/created 2>&1 9>&- &
	creator=$!
	wait_for 30 test -s /tmp/created
	let_go && wait $destroyer && wait $creator || return 1
	cat /tmp/destroyed /tmp/created
	[ "$(cat /tmp/destroyed)" = "rviommu: 'lent' goes when programs have closed functions of it: $lent
lent: done" ] && grep -q '^rviommu: somebody else .*: this is next$' /tmp/created &&
		grep -qx 'next: done' /tmp/created && says '^next: done$' destroy next && umount /sys/kernel/config
}

# What is unmapped is forgotten (IOTINVAL.VMA with the domain's PSCID, of a page or of all), and a fence
# (IOFENCE.C) comes after it. The kernel may invalidate later than it unmaps.
unmaps() {
	echo copy 4096 1 1 >"$sim/$own/run" && wait_for 20 fenced
}

fenced() {
	awk -v invalidation="$(printf 'rviommu_command: rviommu_sim: %08x%05x[04]01 ' 1 "$pscid")" '
		$0 ~ invalidation { invalidated = 1 }
		invalidated && /rviommu_command: rviommu_sim: [0-9a-f]*[048c]02 / { found = 1 }
		END { exit !found }' /sys/kernel/tracing/trace
}

commanded() {
	# shellcheck disable=SC2154	# lib.sh sets it
	pscid=$(sed -n 's/^pscid //p' "$debugfs/rviommu_sim/devices/$own/domain")
	[ -n "$pscid" ] && trace rviommu_command unmaps && return
	tail -n 20 /tmp/trace
	return 1
}

# Nothing is 0 of what the device does.
measured() {
	says '^65536 ' bench "$own" --rounds 2 --threads 2 && awk '
		$1 ~ /^[0-9]+$/ { rows++; bad += !$3 || !$4 || !$5 }
		END { exit rows != 6 || bad }' /tmp/said && return
	cat /tmp/said
	return 1
}

# The device works until "top" has seen each counter of its work move; those of faults rest.
moving() {
	$tool top rviommu_sim >/tmp/top 2>&1 &
	top=$!
	wait_for 60 works_until_seen
	rc=$?
	kill $top
	wait $top
	[ $rc -ne 0 ] || awk '$1 == "fault_records" { seen = 1; bad += $3 } END { exit !seen || bad }' /tmp/top || rc=1
	[ $rc -eq 0 ] || tail -n 30 /tmp/top
	return $rc
}

works_until_seen() {
	echo copy 4096 2 20 >"$sim/$own/run"
	awk '
		$1 == "commands" || $1 == "fences" || $1 == "hardware" && $2 == "requests" { moved[$1] = moved[$1] || $NF }
		END { exit !(moved["commands"] && moved["fences"] && moved["hardware"]) }' /tmp/top
}

# What the program leaves behind, and what is there then
down() {
	from_vfio "$path" && rmmod rviommu_sim && rmmod rviommu
}

check "without the driver it says what to do" refuses 'the driver is not loaded: modprobe rviommu$' list
check "the simulated IOMMU, a function and a device" up
check "a program has the function, and memory mapped for it" held
check "list has both" says "^  $fn .*unmanaged" list
check "show has the IOMMU" says 'Sv48' show rviommu_sim
check "show has the function" says 'iosatp sv' show "$fn"
check "an unknown name gets those that there are" refuses "there are: .*$own" show nonsense
check "walk leads to the program's memory, by tables that link each other" walked
sed 's/^/    | /' /tmp/said
check "dump has it" dumped
check "an IOMMU is created; its device asks for pages of a PASID" asked
check "dump has them, where the hardware has" pasid_dumped
check "and nothing of others" pasid_alone
check "PASIDs of 8 bits, and numbers with zeros before them" narrow
check "what cannot be created leaves nothing" not_created
check "its IOMMU goes" asked_no_more
check "what the function writes the program has; it reads, and copies" moved
check "it fills, and compares" compared
check "a fault is watched, decoded, and nothing is left of the watch" watched
check "a watch that is ended leaves nothing, either" ended
check "nor does one that cannot say anything" unread
check "the last one is known" says 'IOVA 0x00000007ff000000: write/AMO page fault' fault
check "stat counts a fault" counts fault_records 1 refused
check "an injected overflow is counted" overflow
check "switches are thrown by name" switched
check "what the hardware has cached is dumped" says '^leaf ' dump rviommu_sim
check "the commands of an unmap are traced" commanded
check "bench measures" measured
check "without the exerciser it says what to do" refuses 'rviommu help bench' bench "$fn"
check "top says what moves" moving
check "the program ends" let_go
check "an IOMMU waits for who has a function of it, and says so" waited
check "all modules go" down
check "without the driver nothing is created" alone
check "nothing alarming in the kernel's log" dmesg_clean
finish
