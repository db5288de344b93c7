# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Functions, IOMMUs and modules go while page requests are outstanding: those of a program that
# does not answer them, and those of the driver that user space commands. Each group has one
# response all the same; what is in use is not unloaded; and what comes after works.

. ./lib.sh
. ./function.sh
top=/sys/kernel/config/rviommu_sim
name=pages
sim=/sys/kernel/debug/rviommu_sim/$name
# An hour: nobody gets on because of that.
hour=3600000000000
id=0x0100

load_modules() {
	insmod /modules/rviommu.ko && insmod /modules/rviommu_sim.ko instance=0
}

# build FILE=VALUE...: an IOMMU whose devices send page requests
build() {
	mkdir $top/$name || return 1
	for pair in ats=1 pri_timeout=$hour "$@" live=1; do
		echo "${pair#*=}" >"$top/$name/${pair%%=*}" || return 1
	done
	fn=/sys/bus/pci/devices/$(awk '{ print $2; exit }' $sim/functions)
	groups=$(find /sys/kernel/debug/rviommu/*/devices -name "$(basename "$fn")")/page_requests
}

to_cdev() {
	echo vfio-pci >"$fn/driver_override" && basename "$fn" >/sys/bus/pci/drivers_probe &&
		wait_for 10 test -c "/dev/vfio/devices/$(ls "$fn/vfio-dev")"
}

one_function() {
	build endpoints=0 pci_functions=1 && to_cdev
}

# ----- What the driver of the IOMMU has said to devices -----

traced=/sys/kernel/tracing/events/rviommu

# watch COMMAND...: run it with the tracepoints of page requests on. Each group that was complete
# has had one response, and nothing else has.
watch() {
	: >/sys/kernel/tracing/trace
	echo 1 | tee $traced/rviommu_page_request/enable >$traced/rviommu_page_response/enable
	"$@"
	rc=$?
	echo 0 | tee $traced/rviommu_page_request/enable >$traced/rviommu_page_response/enable
	cat /sys/kernel/tracing/trace >/tmp/trace
	[ $rc -eq 0 ] && each_once
}

each_once() {
	awk '
		{ key = ""; last = 0 }
		{ for (i = 1; i <= NF; i++) {
			if ($i ~ /^(did|pv|pid|index)=/) key = key " " $i
			if ($i == "last=1") last = 1
		} }
		# The others want none: half a group, a Stop Marker.
		/rviommu_page_request:/ && last && /(read|write)=1/ { open[key]++; asked++ }
		/rviommu_page_response:/ { open[key]-- }
		END {
			for (key in open)
				if (open[key]) { print "left " open[key] " of" key; bad = 1 }
			if (!bad)
				print asked + 0 " groups, one response each"
			exit bad || !asked
		}' /tmp/trace
}

# Nothing of the function is open, for itself or for the driver.
all_answered() {
	cat "$groups" $sim/pri
	grep -qx 'enabled no' "$groups" && grep -qx 'open 0' "$groups" &&
		grep -q ' outstanding 0 open 0 ' $sim/pri && grep -q ' failures 0 unexpected 0 ' $sim/pri
}

# ----- A program has a function -----

# The command that ends it finds both modules in use first.
refused='rmmod rviommu_sim 2>/tmp/refused; rmmod rviommu 2>>/tmp/refused'

# program MODE COMMAND
program() {
	watch /guest/vfio_gone "/dev/vfio/devices/$(ls "$fn/vfio-dev")" $sim/dma $id "$groups" \
		"$@" && in_use
}

in_use() {
	cat /tmp/refused
	grep -q "'rviommu_sim': Resource temporarily unavailable" /tmp/refused &&
		grep -q "'rviommu': Resource temporarily unavailable" /tmp/refused
}

program_unbound() {
	program kept "$refused; basename $fn >/sys/bus/pci/drivers/vfio-pci/unbind" &&
		all_answered && to_cdev
}

program_removed() {
	program kept "$refused; echo remove 0 >$sim/functions" && [ ! -e "$fn" ] &&
		echo add 0 >$sim/functions && to_cdev
}

program_pulled() {
	program gone "$refused; echo surprise 0 >$sim/functions" && [ ! -e "$fn" ] &&
		echo add 0 >$sim/functions && to_cdev
}

program_without_iommu() {
	program kept "$refused; rmdir $top/$name" && [ ! -e "$fn" ] && one_function
}

# The page table of the program outlives function, IOMMU and simulator. Nothing else holds the
# driver then, which all of its code is in.
held='. ./lib.sh; rmmod rviommu_sim && wait_for 20 grep "^rviommu [0-9]* 1 " /proc/modules &&
	! rmmod rviommu 2>/tmp/held'

program_with_table() {
	program kept "$refused; rmdir $top/$name" "$held" && cat /tmp/held &&
		grep -q "'rviommu': Resource temporarily unavailable" /tmp/held &&
		rmmod rviommu && ! grep -q '^rviommu' /proc/modules && load_modules && one_function
}

# Nobody has to close anything.
killed() {
	/guest/vfio_gone "$@"
	[ $? -eq 137 ] && wait_for 20 all_answered
}

program_killed() {
	watch killed "/dev/vfio/devices/$(ls "$fn/vfio-dev")" $sim/dma $id "$groups" killed &&
		basename "$fn" >/sys/bus/pci/drivers/vfio-pci/unbind && to_cdev
}

gone() {
	basename "$fn" >/sys/bus/pci/drivers/vfio-pci/unbind && rmdir $top/$name
}

# ----- The driver that user space commands -----

one_endpoint() {
	build endpoints=1 pci_functions=1 exerciser=1 || return 1
	endpoint=$(find $sim -name 'rviommu-sim-endpoint*')
	echo rviommu-sim-exerciser >"$fn/driver_override" &&
		basename "$fn" >/sys/bus/pci/drivers_probe
}

# demand DIRECTORY DEVICE_ID: begins, and waits for responses that are lost on the way.
demand() {
	echo "$2 8" >$sim/pri_switches || return 1
	# shellcheck disable=SC2320	# what the write says
	(echo demand 1024 4 >"$1/run") 2>/tmp/demand &
	demander=$!
	wait_for 20 grep -qE ' lost [1-9]' $sim/pri && grep -qx 'status running' "$1/results"
}

# ended ERROR: the command did, with that.
ended() {
	! wait "$demander" && cat /tmp/demand && grep -q "$1" /tmp/demand
}

demand_without_iommu() {
	demand "$endpoint" 0x10 || return 1
	sh -c "$refused"
	in_use && rmdir $top/$name && ended 'No such device'
}

demand_let_go() {
	demand "$sim/$(basename "$fn")" $id &&
		basename "$fn" >/sys/bus/pci/drivers/rviommu-sim-exerciser/unbind &&
		ended 'No such device' && grep -qx 'open 0' "$groups" && rmdir $top/$name
}

demand_pulled() {
	demand "$sim/$(basename "$fn")" $id && echo surprise 0 >$sim/functions &&
		ended 'No such device' && [ ! -e "$fn" ] && rmdir $top/$name
}

# It has its responses, and stops between two commands or in one. How many there are depends: too
# many for the trace, perhaps.
demand_unbound() {
	one_endpoint || return 1
	dir=$sim/$(basename "$fn")
	(while echo demand 256 4 >"$dir/run"; do :; done) 2>/tmp/demand &
	demander=$!
	wait_for 60 grep -qE ' successes [1-9]' $sim/pri &&
		basename "$fn" >/sys/bus/pci/drivers/rviommu-sim-exerciser/unbind &&
		wait "$demander" && cat /tmp/demand && [ -s /tmp/demand ] && all_answered
}

# ----- All of it -----

# again COMMAND: with an IOMMU of its own
again() {
	one_endpoint && watch "$1"
}

unload() {
	rmmod rviommu_sim && rmmod rviommu && [ ! -e /sys/kernel/debug/rviommu_sim ]
}

mount -t configfs none /sys/kernel/config
check "driver and simulated IOMMU" load_modules
check "a program gets a function that has page requests" one_function
check "VFIO lets go of it: not before the program does" program_unbound
tail -n 20 /tmp/check.out | sed 's/^/    | /'
check "it is removed: likewise" program_removed
check "it is pulled out" program_pulled
check "its IOMMU goes: likewise" program_without_iommu
check "its page table is there when the modules shall go" program_with_table
tail -n 8 /tmp/check.out | sed 's/^/    | /'
check "the program is killed" program_killed
check "function and IOMMU go" gone
check "the driver that user space commands has an endpoint and a function" one_endpoint
check "its command waits for responses, and its IOMMU goes" watch demand_without_iommu
check "the same of a function that is pulled out" again demand_pulled
check "and of one that its driver lets go of" again demand_let_go
check "the driver lets go of a function under commands" demand_unbound
check "function and IOMMU go" rmdir $top/$name
check "modules go" unload
check "and come again" load_modules
check "to be used as before" one_function
check "by a program, and VFIO lets go of it" program_unbound
check "function and IOMMU go" gone
check "modules go" unload
check "no memory leaked" no_leaks
check "nothing alarming in the kernel's log" dmesg_clean
finish
