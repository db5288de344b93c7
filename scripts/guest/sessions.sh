# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# sessions.sh: the sessions of Documentation/tasks/, as they stand there: each line that begins
# with "# " is a command, and what follows is what it says. "..." in a line stands for anything
# in it, alone in a line for any lines. A command that fails has to say why ("PROGRAM: "), and the page
# has to show that; and none that is shown to fail may succeed.
#
# What is needed is in memory here, without an init system: configfs is mounted as that would do it,
# and modprobe is a function. So it is not tested that modprobe finds the modules and what they need of
# each other, and what it makes of parameters and of modules that are in use.

. ./lib.sh

PATH=/guest:$PATH

# Modules are files here, and nobody knows what they need of each other but we.
modprobe() {
	if [ "$1" = -r ]; then
		shift
		for module; do
			rmmod "$module" || return 1
		done
		return
	fi
	module=$1
	shift
	case $module in
	rviommu_sim)	needs=rviommu ;;
	vfio-pci)	needs='irqbypass vfio vfio_iommu_type1 vfio-pci-core' ;;
	*)		needs='' ;;
	esac
	for need in $needs; do
		[ ! -e "/modules/$need.ko" ] || load_once "$need" || return 1
	done
	load_once "$module" "$@"
}

load_once() {
	[ -d "/sys/module/$(echo "$1" | tr - _)" ] && return
	file=/modules/$1.ko
	shift
	insmod "$file" "$@"
}

# said WANTED SAID
said() {
	awk '
	function pattern(line) {
		gsub(/[][\\^$*+?(){}|]/, "\\\\&", line)
		gsub(/\.\.\./, "\001", line)
		gsub(/\./, "\\.", line)
		gsub(/\001/, ".*", line)
		return "^" line "$"
	}
	NR == FNR { wanted[++n] = $0; next }
	{ said[++m] = $0 }
	END {
		for (i = 1; i <= n; i++) {
			any = 0
			while (i <= n && wanted[i] == "...") {
				any = 1
				i++
			}
			if (i > n)
				exit 0
			j++
			while (any && j <= m && said[j] !~ pattern(wanted[i]))
				j++
			if (j > m || said[j] !~ pattern(wanted[i])) {
				print "expected: " wanted[i]
				print "there is: " (j <= m ? said[j] : "nothing more")
				exit 1
			}
		}
		if (j < m) {
			print "not expected: " said[j + 1]
			exit 1
		}
	}' "$1" "$2"
}

# shown_to_fail COMMAND: the page has a message of the program, in a list of them the last one.
shown_to_fail() {
	last=${1##*; }
	grep -q "^${last%% *}: " /tmp/wanted
}

# judge COMMAND STATUS: what it said is what was wanted, and it ended as that says.
judge() {
	[ -n "$1" ] || return 0
	if ! said /tmp/wanted /tmp/said; then
		echo "of: $1"
		return 1
	fi
	if [ "$2" -ne 0 ] && ! shown_to_fail "$1"; then
		cat /tmp/said
		echo "it ends with $2, and the page does not show that: $1"
		return 1
	fi
	if [ "$2" -eq 0 ] && shown_to_fail "$1"; then
		echo "it does not fail: $1"
		return 1
	fi
}

# In one shell, as a person would; the shell of the next session is another one.
session() (
	command='' status=0
	while IFS= read -r line <&3; do
		case $line in
		'# '*)
			judge "$command" $status || exit 1
			command=${line#'# '}
			: >/tmp/wanted
			status=0
			eval "$command" >/tmp/said 2>&1 </dev/null || status=$?
			;;
		*)
			echo "$line" >>/tmp/wanted
			;;
		esac
	done 3<"$1"
	judge "$command" $status
)

insmod /modules/configfs.ko
mount -t configfs none /sys/kernel/config
# Where the page says that it is
cp /guest/inner /tmp/
for file in /sessions/*; do
	check "$(head -n 1 "$file")" session "$file"
done
check "nothing alarming in the kernel's log" dmesg_clean
finish
