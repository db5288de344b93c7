# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# The simulated IOMMU as modules: loaded, used and removed in every order,
# instances by configfs, and nothing left behind.

. ./lib.sh
top=/sys/kernel/config/rviommu_sim

driver() {
	insmod /modules/rviommu.ko
}

sim() {
	insmod /modules/rviommu_sim.ko "$@"
}

# refuses COMMAND...
refuses() {
	! "$@"
}

# said WORDS...: the kernel's log has it since the last call of hush.
said() {
	dmesg | sed "1,/^.*$mark\$/d" | grep -q -- "$*" && return
	echo "the log does not say: $*"
	dmesg | tail -n 5
	return 1
}

marks=0
hush() {
	marks=$((marks + 1))
	mark="sim.sh mark $marks"
	echo "<6>$mark" >/dev/kmsg
}

loaded() {
	grep -q "^$1 " /proc/modules
}

# make NAME [FILE=VALUE...]: a directory, not live yet.
make() {
	item=$top/$1
	mkdir "$item" || return 1
	shift
	for pair; do
		echo "${pair#*=}" >"$item/${pair%%=*}" || return 1
	done
}

# up NAME [FILE=VALUE...]
up() {
	make "$@" && echo 1 >"$top/$1/live"
}

# down NAME: live or not
down() {
	rmdir "$top/$1"
}

# endpoints: how many there are
endpoints() {
	find /sys/bus/platform/devices -name 'rviommu-sim-endpoint*' | grep -c .
}

# bound: how many IOMMUs the driver has
bound() {
	find /sys/class/iommu -mindepth 1 | grep -c .
}

nothing_left() {
	[ "$(endpoints)" -eq 0 ] && [ "$(bound)" -eq 0 ] && ! loaded rviommu_sim &&
		! loaded rviommu && [ ! -e /sys/kernel/debug/rviommu_sim ] && [ ! -e $top ]
}

# ----- Orders -----

sim_alone() {
	hush
	refuses sim && said "is it loaded" && nothing_left
}

sim_then_driver() {
	sim instance=0 && make a && hush && refuses eval "echo 1 >$top/a/live" &&
		said "is it loaded" && grep -qx 0 $top/a/live &&
		driver && echo 1 >$top/a/live && grep -qx 1 $top/a/live &&
		[ "$(endpoints)" -eq 4 ] && down a && rmmod rviommu && rmmod rviommu_sim &&
		nothing_left
}

driver_then_sim() {
	driver && sim endpoints=3 && [ "$(endpoints)" -eq 3 ] && [ "$(bound)" -eq 1 ] &&
		refuses rmmod rviommu && rmmod rviommu_sim && [ "$(endpoints)" -eq 0 ] &&
		rmmod rviommu && nothing_left
}

# Without devices nothing holds the driver: it may go and come back.
driver_in_between() {
	driver && sim instance=0 && up a endpoints=0 && [ "$(bound)" -eq 1 ] &&
		rmmod rviommu && [ "$(bound)" -eq 0 ] && grep -qx 1 $top/a/live &&
		driver && [ "$(bound)" -eq 1 ] && rmmod rviommu && down a &&
		rmmod rviommu_sim && nothing_left
}

# A directory holds the module, live or not.
directory_holds() {
	driver && sim instance=0 && up a && refuses rmmod rviommu_sim &&
		echo 0 >$top/a/live && refuses rmmod rviommu_sim && rmmod rviommu &&
		down a && rmmod rviommu_sim && nothing_left
}

# The instance goes with its directory although a file of it is open.
file_open() {
	driver && sim instance=0 && up a || return 1
	exec 9<$top/a/live
	down a
	gone=$?
	left=$(endpoints)
	up a && [ "$(endpoints)" -eq 4 ] && down a
	again=$?
	exec 9<&-
	[ $gone -eq 0 ] && [ "$left" -eq 0 ] && [ $again -eq 0 ] && rmmod rviommu_sim &&
		rmmod rviommu && nothing_left
}

# Two cases of the DMA suite, the module loaded for each. "full" runs all of it.
unit() {
	driver && sim instance=0 || return 1
	for case in test_single test_sg; do
		# With a newline it would match nothing.
		printf %s rviommu_sim_dma.$case >/sys/module/kunit/parameters/filter_glob
		insmod /modules/rviommu_kunit.ko || return 1
		cat /sys/kernel/debug/kunit/rviommu_sim_dma/results >/tmp/ktap
		grep -E '^ *not ok' /tmp/ktap && return 1
		grep -qE '^ +ok ' /tmp/ktap || return 1
		refuses rmmod rviommu_sim && refuses rmmod rviommu || return 1
		rmmod rviommu_kunit || return 1
	done
	rmmod rviommu_sim && rmmod rviommu && nothing_left
}

repeat() {
	n=$1
	shift
	while [ "$n" -gt 0 ]; do
		"$@" || return 1
		n=$((n - 1))
	done
}

# ----- Attributes -----

# holds FILE VALUE: what is written is read back.
holds() {
	echo "$2" >"$top/a/$1" && [ "$(cat "$top/a/$1")" = "$2" ]
}

attributes() {
	make a && holds capabilities 0x18c0f4f10 && holds ddt_levels 2 && holds endpoints 7 &&
		holds first_id 0x100 && holds wired 1 && holds vectors 2 &&
		holds cq_max_lg2 5 && holds fq_max_lg2 6 && holds pq_max_lg2 7 &&
		holds cache_limit 1000 && holds switches 0x3 && holds seed 99 && holds live 0 &&
		down a
}

attributes_work() {
	# shellcheck disable=SC2154	# lib.sh sets debugfs
	up a ddt_levels=2 endpoints=7 first_id=0x100 wired=1 vectors=2 cq_max_lg2=5 \
		fq_max_lg2=6 switches=0x3 &&
		[ "$(endpoints)" -eq 7 ] &&
		grep -qx 'command_queue_entries 32' "$debugfs/a/capabilities" &&
		grep -qx 'fault_queue_entries 64' "$debugfs/a/capabilities" &&
		grep -qx 'interrupts_used wired' "$debugfs/a/capabilities" &&
		grep -qx 'ddt_levels 2' "$debugfs/a/capabilities" &&
		down a
}

# too_wide FILE VALUE WORDS...: not even stored
too_wide() {
	file=$1
	value=$2
	shift 2
	make a && hush && refuses eval "echo $value >$top/a/$file"
	rc=$?
	down a && [ $rc -eq 0 ] || return 1
	[ $# -eq 0 ] || said "$@"
}

# cannot_be WORDS FILE=VALUE...: refused when it shall be live, for that reason
cannot_be() {
	words=$1
	shift
	make a "$@" && hush && refuses eval "echo 1 >$top/a/live" &&
		grep -qx 0 $top/a/live &&
		said "rviommu_sim: a: .*$words" && [ "$(endpoints)" -eq 0 ]
	rc=$?
	down a && return $rc
}

live_is_closed() {
	up a || return 1
	for file in capabilities ddt_levels endpoints first_id wired vectors cq_max_lg2 \
		fq_max_lg2 pq_max_lg2 cache_limit switches seed; do
		hush
		refuses eval "echo 1 >$top/a/$file" && said "a: $file cannot be changed" || return 1
	done
	# Live twice is live, dead twice is dead.
	echo 1 >$top/a/live && [ "$(endpoints)" -eq 4 ] && echo 0 >$top/a/live &&
		echo 0 >$top/a/live && [ "$(endpoints)" -eq 0 ] && down a
}

# The default instance is called rviommu_sim.
name_taken() {
	driver && sim && make rviommu_sim && hush &&
		refuses eval "echo 1 >$top/rviommu_sim/live" && said "an instance of that name" &&
		[ "$(endpoints)" -eq 4 ] && down rviommu_sim && rmmod rviommu_sim &&
		rmmod rviommu && nothing_left
}

debug_files() {
	up a && dir=/sys/kernel/debug/rviommu_sim/a && grep -q '^commands [1-9]' "$dir/counters" &&
		grep -qx 'unspecified 0' "$dir/counters" && cat "$dir/caches" >/dev/null &&
		echo 0x1f >"$dir/switches" && grep -qx 0x1f "$dir/switches" &&
		refuses eval "echo 0x1000 >$dir/switches" && echo 0 4 >"$dir/inject" &&
		refuses eval "echo 99 1 >$dir/inject" && refuses eval "echo x >$dir/inject" && down a
}

# ----- What the kernel's fault injection decides on -----

wrong=/sys/kernel/debug/rviommu_sim/a
hour=3600000000000

# number FILE NAME
number() {
	awk -v name="$2" '$1 == name { n = $2 } END { print n + 0 }' "$1"
}

# is FILE NAME NUMBER
is() {
	[ "$(number "$1" "$2")" -eq "$3" ]
}

# once DIRECTORY: from now on it goes wrong each time, but only once.
once() {
	echo 1 >"$wrong/$1/times" && echo 100 >"$wrong/$1/probability"
	tried="$tried $1"
}

spent() {
	[ "$(cat "$wrong/$1/times")" -eq 0 ]
}

# Queues that the IOMMU writes are in no error: MF is bit 8, OF is bit 9 of the register.
settled() {
	grep '^[fp]q_csr' "$debugfs/a/queues" >/tmp/csr && ! grep -v '[048c]..$' /tmp/csr
}

# happens DIRECTORY COUNTER WORDS COMMAND...: twice it goes wrong, once each, when COMMAND lets the
# driver and its hardware work: the driver counts it, and says so. A third time it does not.
happens() {
	dir=$1 of=$2 words=$3
	shift 3
	for time in 1 2; do
		before=$(number "$debugfs/a/counters" "$of")
		hush
		if ! once "$dir" || ! "$@" ||
		   ! wait_for 20 is "$debugfs/a/counters" "$of" $((before + 1)) ||
		   ! spent "$dir" || ! wait_for 20 said "$words" || ! wait_for 20 settled; then
			echo "$dir, time $time"
			return 1
		fi
	done
	"$@" && is "$debugfs/a/counters" "$of" $((before + 1)) && echo 0 >"$wrong/$dir/probability"
}

copies() {
	echo copy 65536 2 4 >"$endpoint/run"
}

blocked() {
	echo touch 0x7ff000000 write >"$endpoint/run" &&
		grep -qx 'touched_blocked yes' "$endpoint/results"
}

# The driver gets a record of it.
recorded() {
	records=$(number "$debugfs/a/counters" fault_records)
	blocked && wait_for 20 is "$debugfs/a/counters" fault_records $((records + 1))
}

# loses_record DIRECTORY COUNTER WORDS: it gets none of those that it hears are lost.
loses_record() {
	lost=$(number "$wrong/counters" faults_lost)
	records=$(number "$debugfs/a/counters" fault_records)
	happens "$@" blocked && wait_for 20 is "$debugfs/a/counters" fault_records $((records + 1)) &&
		is "$wrong/counters" faults_lost $((lost + 2)) && recorded
}

wrong_up() {
	tried=
	driver && sim instance=0 && up a exerciser=1 endpoints=1 || return 1
	endpoint=$(find $wrong -name 'rviommu-sim-endpoint*')
	copies && recorded
}

# claim: the function's driver is the one that user space commands.
claim() {
	basename "$fn" >/sys/bus/pci/drivers_probe && [ -e "$endpoint/run" ]
}

let_go() {
	basename "$fn" >/sys/bus/pci/drivers/rviommu-sim-exerciser/unbind
}

# A function, which asks for one page at a time, and whose ATC has 3 s to answer
asker_up() {
	driver && sim instance=0 && up a endpoints=0 pci_functions=1 ats=1 pri_pages=1 \
		pri_timeout=$hour ats_timeout=3000000000 || return 1
	fn=/sys/bus/pci/devices/$(awk '{ print $2; exit }' $wrong/functions)
	endpoint=$wrong/$(basename "$fn")
	echo rviommu-sim-exerciser >"$fn/driver_override" && claim && copies && demands
}

wrong_down() {
	copies && down a && rmmod rviommu_sim && rmmod rviommu && nothing_left
}

# asked NAME: what the device's page requests came to
asked() {
	tr ' ' '\n' <$wrong/pri | awk -v name="$1" 'found { print; exit } $1 == name { found = 1 }'
}

demands() {
	echo demand 16 1 >"$endpoint/run"
}

# The IOMMU itself answers that request, with a Response Failure: the device is refused the rest.
demand_fails() {
	if spent fail_page_request_store; then
		demands
		return
	fi
	failures=$(asked failures)
	refuses demands && [ "$(asked failures)" -gt "$failures" ]
}

# Requests that the queue had no room for, and that the IOMMU did not answer
unheard() {
	echo $(($(asked discarded) - $(asked answered)))
}

unheard_are() {
	[ "$(unheard)" -eq "$1" ]
}

# The IOMMU could answer itself, and does not: the device waits, until its driver lets go of it.
response_lost() {
	before=$(unheard)
	once fail_page_request_room && once lose_page_response || return 1
	# shellcheck disable=SC2320	# what the write says
	(echo demand 16 1 >"$endpoint/run") 2>/tmp/demand &
	demander=$!
	wait_for 20 unheard_are $((before + 1)) && spent lose_page_response &&
		grep -qx 'status running' "$endpoint/results" || return 1
	let_go && ! wait $demander && grep 'No such device' /tmp/demand && claim || return 1
	# Spent: the next one is answered.
	answered=$(asked answered)
	once fail_page_request_room && demands && [ "$(asked answered)" -gt "$answered" ] &&
		unheard_are $((before + 1))
}

# The function is taken out of service, and is as before when it has been reset, but for its ATC.
completion_lost() {
	hush
	before=$(number "$debugfs/a/counters" timeout)
	once lose_completion && refuses copies && spent lose_completion &&
		is "$debugfs/a/counters" timeout $((before + 1)) &&
		said 'does not complete ATS invalidations' && refuses copies &&
		let_go && echo 1 >"$fn/reset" && claim && copies && said 'in service again, without ATS'
}

# milliseconds COMMAND...: that it takes
milliseconds() {
	since=$(cut -d ' ' -f 1 /proc/uptime)
	"$@" && awk -v since="$since" '{ printf "%d\n", ($1 - since) * 1000 }' /proc/uptime
}

# It comes in time, but not sooner: of the 3 s that a device has nothing is left.
completion_late() {
	before=$(number "$debugfs/a/counters" timeout)
	once delay_completion && took=$(milliseconds copies) && echo "$took ms" &&
		spent delay_completion && [ "$took" -ge 2900 ] &&
		is "$debugfs/a/counters" timeout "$before" && copies
}

# No directory is left out above.
each_tried() {
	find $wrong -maxdepth 1 \( -name 'fail_*' -o -name 'lose_*' -o -name 'delay_*' \) |
		sed 's/.*\///' | sort >/tmp/there
	echo "$all_tried $tried" | tr ' ' '\n' | sort -u | grep . >/tmp/tried
	diff /tmp/there /tmp/tried && [ -s /tmp/there ]
}

# ----- Everything at once -----

# Three directories that come and go, readers of everything, a driver that is
# taken away whenever nobody has a device.
churn_instance() {
	i=0
	while [ $i -lt 8 ]; do
		mkdir "$top/$1" || return 1
		echo $((i % 3)) >"$top/$1/endpoints"
		echo $((i & 1 ? 0x1f : 0)) >"$top/$1/switches"
		# The driver may be away, but never for long.
		tries=0
		until echo 1 >"$top/$1/live"; do
			tries=$((tries + 1))
			[ $tries -lt 1000 ] || return 1
		done 2>/dev/null
		echo lived >>/tmp/lived
		[ $((i % 4)) -eq 0 ] || echo 0 >"$top/$1/live"
		rmdir "$top/$1" || return 1
		i=$((i + 1))
	done
}

churn() {
	driver && sim instance=0 || return 1
	rm -f /tmp/stop /tmp/lived /tmp/churn.*
	pids=
	for name in a b c; do
		churn_instance $name >/tmp/churn.$name 2>&1 &
		pids="$pids $!"
	done
	(while [ ! -e /tmp/stop ]; do
		find "$debugfs" /sys/kernel/debug/rviommu_sim /sys/class/iommu/ $top/ -type f \
			-perm -400 ! -name mutate -exec cat {} + >/dev/null 2>&1
	done) &
	reader=$!
	(while [ ! -e /tmp/stop ]; do
		rmmod rviommu 2>/dev/null && driver && echo away >>/tmp/churn.away
	done) &
	remover=$!
	failed=0
	for pid in $pids; do
		wait "$pid" || failed=$((failed + 1))
	done
	touch /tmp/stop
	wait $reader $remover
	rm /tmp/stop
	cat /tmp/churn.?
	echo "$failed of 3 failed; $(grep -c . /tmp/lived) lived; away $(grep -c . /tmp/churn.away) times"
	rmmod rviommu_sim && rmmod rviommu && nothing_left &&
		[ $failed -eq 0 ] && [ -s /tmp/lived ]
}

# A kernel may leak the text of why a device was deferred when the device goes before it
# is probed again: a driver that is loaded at the moment when its device is added. All
# other objects count.
no_leaks_but_theirs() {
	leak_scan && awk '
		/^unreferenced object/ { if (object != "" && !theirs) bad = bad object; object = ""; theirs = 0 }
		{ object = object $0 "\n" }
		/device_set_deferred_probe_reason/ { theirs = 1 }
		END { if (object != "" && !theirs) bad = bad object; printf "%s", bad; exit bad != "" }
	' /tmp/leaks
}

mount -t configfs none /sys/kernel/config
check "without the driver the simulated IOMMU says why it does not load" sim_alone
check "simulated IOMMU, then driver, 3 times" repeat 3 sim_then_driver
check "driver, then simulated IOMMU, 3 times" repeat 3 driver_then_sim
check "the driver goes and comes under an instance without devices" repeat 2 driver_in_between
check "a directory holds the module" repeat 2 directory_holds
check "an instance goes with its directory, files open or not" repeat 2 file_open
check "unit tests come and go" unit

driver
sim instance=0
make a
all=$(cat $top/a/capabilities)
down a
check "attributes hold what is written" attributes
check "and the instance is what they say" attributes_work
check "a number that does not fit is refused: vectors" too_wide vectors 256 "vectors cannot be 256"
check "wired" too_wide wired 2 "wired cannot be 2"
check "first_id" too_wide first_id 0x100000000 "first_id cannot be"
check "what is no number" too_wide seed x
check "too many endpoints" cannot_be "too many endpoints" endpoints=65
check "device IDs wider than the directory" cannot_be wider ddt_levels=1 first_id=0x3e
check "four levels" cannot_be "0 to 3" ddt_levels=4
check "three vectors" cannot_be vectors vectors=3
check "a queue without entries" cannot_be queue cq_max_lg2=0
check "a switch that is none" cannot_be switch switches=0x1000
check "wires where there are messages only" cannot_be interrupt \
	wired=1 capabilities=$((all & ~0x30000000))
check "no capability" cannot_be . capabilities=0
check "the driver refuses an IOMMU without a page table format" \
	cannot_be "does not take it" capabilities=$((all & ~0xf0f00))
check "a live instance cannot be changed" live_is_closed
check "files in debugfs" debug_files
rmmod rviommu_sim
rmmod rviommu
check "all of it is gone" nothing_left
check "a name that is taken" name_taken

check "an IOMMU that things go wrong in" wrong_up
check "a command cannot be read" happens fail_command_fetch memfault "met a memory fault" copies
check "a command is illegal" happens fail_command illegal "is illegal" copies
check "a fence is in vain" happens fail_fence timeout "" copies
check "a fault record cannot be stored" loses_record fail_fault_store fault_memfaults "memory fault"
check "the fault queue is full" loses_record fail_fault_room fault_overflows overflow
all_tried=$tried
check "all of it is over" wrong_down
check "one whose function has page requests and a translation cache" asker_up
check "a page request cannot be stored" \
	happens fail_page_request_store page_memfaults "memory fault" demand_fails
check "the page-request queue is full" happens fail_page_request_room page_overflows overflow demands
check "and the IOMMU does not answer itself" response_lost
check "an invalidation's completion is late" completion_late
check "or lost" completion_lost
check "that is all that can go wrong" each_tried
check "all of it is over" wrong_down

check "instances, readers and removers at once" churn
check "no memory leaked" no_leaks_but_theirs
check "nothing alarming in the kernel's log" dmesg_clean
finish
