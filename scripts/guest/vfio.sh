# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# vfio.sh [ROUNDS [RUNS [ACTS [SEED]]]]: a simulated PCI function in the hands of a program: VFIO,
# iommufd, PASIDs and, without ROUNDS, page requests; the first two so many times again, with a reset
# and another driver each time. A function is misused by so many runs of so many acts, the first with
# that seed, the next with the next one.

. ./lib.sh
. ./function.sh
rounds=${1:-0} runs=${2:-1} acts=${3:-2000} first_seed=${4:-1}
sim=/sys/kernel/debug/rviommu_sim/rviommu_sim

up() {
	insmod /modules/rviommu.ko && insmod /modules/rviommu_sim.ko endpoints=1 pci_functions=3
}

# to_cdev FUNCTION
to_cdev() {
	echo vfio-pci >"$1/driver_override" && basename "$1" >/sys/bus/pci/drivers_probe &&
		wait_for 10 test -c "/dev/vfio/devices/$(ls "$1/vfio-dev")"
}

# Where the driver shows the function
shown() {
	find /sys/kernel/debug/rviommu/*/devices -name "$(basename "$fn")"
}

program() {
	msi=$(awk '$3 == "msi" { print $1; exit }' "$fn/iommu_group/reserved_regions")
	[ -n "$msi" ] || msi=$imsic
	/guest/vfio_pasid "/dev/vfio/devices/$(ls "$fn/vfio-dev")" $sim/dma "$id" "$msi" "$(shown)"
}

tracker() {
	/guest/vfio_dirty "/dev/vfio/devices/$(ls "$fn/vfio-dev")" $sim/dma "$id"
}

# One that has nothing but the function
by_registers() {
	/guest/vfio_dma cdev "/dev/vfio/devices/$(ls "$1/vfio-dev")"
}

# misused ROUNDS SEED: one does with the second function whatever it can; nobody else notices.
misused() {
	misuse_beside "$third" "by_registers $fn" "$1" "$2" cdev "/dev/vfio/devices/$(ls "$second/vfio-dev")"
}

# misused_often MISUSED: by that function, as often as was asked for
misused_often() {
	seed=$first_seed
	while [ "$seed" -lt $((first_seed + runs)) ]; do
		echo "seed $seed"
		"$1" "$acts" "$seed" || return 1
		seed=$((seed + 1))
	done
}

# What the program left behind is gone with it.
nothing_attached() {
	dir=$(shown)
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
		   ! basename "$fn" >/sys/bus/pci/drivers/vfio-pci/unbind || ! to_cdev "$fn"; then
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

# asks N: the N-th function of that
asks() {
	echo "/sys/bus/pci/devices/$(awk '$3 == "plugged" { print $2 }' "$faulty/functions" | sed -n "$1p")"
}

# An IOMMU whose functions have page requests, and wait an hour for a response.
faulty_up() {
	config=/sys/kernel/config/rviommu_sim/faulty
	faulty=/sys/kernel/debug/rviommu_sim/faulty
	mount -t configfs none /sys/kernel/config && mkdir $config || return 1
	echo 0 >$config/endpoints && echo 3600000000000 >$config/pri_timeout || return 1
	echo 3 >$config/pci_functions && echo 1 >$config/ats && echo 1 >$config/live || return 1
	asker=$(asks 1)
	to_cdev "$asker"
}

pages_on_demand() {
	trace rviommu_page_response /guest/vfio_fault \
		"/dev/vfio/devices/$(ls "$asker/vfio-dev")" "$faulty/dma" $id
}

# replaced FUNCTION SIM ID: the page table of a PASID, under DMA
replaced() {
	/guest/vfio_replace "/dev/vfio/devices/$(ls "$1/vfio-dev")" "$2/dma" "$3" 100
}

# Each of them, of which some waited for the program, has been traced with the time since.
responses_traced() {
	grep rviommu_page_response: /tmp/trace >/tmp/responses
	[ "$(grep -c 'code=0' /tmp/responses)" -eq 16 ] &&
		[ "$(grep -c 'code=1' /tmp/responses)" -ge 10 ] &&
		! grep -q 'latency_ns=0$' /tmp/responses
}

# The kernel's last word on its page requests
nothing_asked() {
	of=$(find /sys/kernel/debug/rviommu/*/devices -name "$(basename "$asker")")/page_requests
	cat "$of"
	grep -qx 'enabled no' "$of" && grep -qx 'open 0' "$of" && grep -q '^groups [1-9]' "$of" &&
		grep -q ' outstanding 0 open 0 ' "$faulty/pri"
}

# Neither hardware nor handlers: what sleeps is not asked, and what is taken away is not waited for.
nothing_timed_out() {
	! grep -H '^timeout [1-9]' /sys/kernel/debug/rviommu/*/counters &&
		! dmesg | grep 'are handled for too long'
}

# The same as above, with a function that translates for itself and asks for pages
misused_asker() {
	misuse_beside "$(asks 3)" pages_on_demand "$1" "$2" cdev \
		"/dev/vfio/devices/$(ls "$(asks 2)/vfio-dev")" asks
}

faulty_down() {
	for f in "$asker" "$(asks 2)"; do
		basename "$f" >/sys/bus/pci/drivers/vfio-pci/unbind || return 1
	done
	rmdir "$config" && umount /sys/kernel/config
}

down() {
	for f in "$fn" "$second"; do
		from_vfio "$f" || return 1
	done
	rmmod rviommu_sim && rmmod rviommu
}

check "the simulated IOMMU and its functions" up
fn=$(find /sys/bus/pci/devices/ -maxdepth 1 -name '[1-9a-f]*:01:00.0' | head -n 1)
second=$(find /sys/bus/pci/devices/ -maxdepth 1 -name '[1-9a-f]*:01:01.0' | head -n 1)
third=$(find /sys/bus/pci/devices/ -maxdepth 1 -name '[1-9a-f]*:01:02.0' | head -n 1)
id=0x0100
# Of the first CPU, on this machine
imsic=0x28000000
check "a function goes to vfio-pci" to_cdev "$fn"
check "a program uses its PASIDs" program
sed 's/^/    | /' /tmp/check.out
check "nothing is left of them" nothing_attached
check "and a second time" program
check "another one tracks its writes" tracker
sed 's/^/    | /' /tmp/check.out
check "nothing is left of that" nothing_attached
check "a program uses registers and interrupts" by_registers "$fn"
sed 's/^/    | /' /tmp/check.out
check "a second function goes to vfio-pci" to_cdev "$second"
check "one misuses it, and the other notices nothing" misused_often misused
tail -n 60 /tmp/check.out | sed 's/^/    | /'
check "a program works with what was misused" by_registers "$second"
if [ "$rounds" -gt 0 ]; then
	check "attach, close, reset, unbind, $rounds times" again_without_growth
	tail -n 1 /tmp/check.out | sed 's/^/    | /'
fi
check "a DMA by hand is looked at" words
if [ "$rounds" -eq 0 ]; then
	check "a function that has page requests goes to vfio-pci" faulty_up
	check "a program pages its memory on demand" pages_on_demand
	sed 's/^/    | /' /tmp/check.out
	check "each response was traced, with its latency" responses_traced
	check "nothing is left of its requests" nothing_asked
	check "and a second time" pages_on_demand
	check "nobody was waited for in vain" nothing_timed_out
	check "what a PASID uses is replaced under its DMA" replaced "$fn" $sim $id
	sed 's/^/    | /' /tmp/check.out
	check "and by a function that translates for itself" replaced "$asker" "$faulty" $id
	tail -n 6 /tmp/check.out | sed 's/^/    | /'
	check "another function that has them, too" to_cdev "$(asks 2)"
	check "one misuses it, and the other notices nothing" misused_often misused_asker
	tail -n 60 /tmp/check.out | sed 's/^/    | /'
	check "its IOMMU goes" faulty_down
fi
check "all modules go" down
if [ -e /sys/kernel/debug/kmemleak ]; then
	check "no memory leaked" no_leaks
else
	skip "no memory leaked: this kernel does not look for it"
fi
check "nothing alarming in the kernel's log" dmesg_clean
finish
