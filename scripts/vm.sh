# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154	# lib.sh sets them
#
# What the scripts that boot virtual machines share. Sourced after lib.sh and
# apt.sh.

# vm_root DIR BUSYBOX-DEB ARGUMENT...: a root file system: busybox and the guest
# scripts; /init runs the one that the first argument names.
vm_root() {
	local root=$1 deb=$2
	shift 2
	mkdir -p "$root"/{bin,dev,proc,sys,tmp,mnt,modules}
	dpkg-deb --fsys-tarfile "$deb" |
		tar -x -O --wildcards '*/bin/busybox' >"$root/bin/busybox"
	chmod 755 "$root/bin/busybox"
	cp -r "$tree/scripts/guest" "$root/guest"
	printf '%s\n' "$@" >"$root/arguments"
	install -m 755 "$tree/scripts/guest/init" "$root/init"
}

# vm_modules ROOT DIR NAME...: all modules in DIR, these at least.
vm_modules() {
	local root=$1 dir=$2 name
	shift 2
	find "$dir" -name '*.ko' -exec cp {} "$root/modules/" \;
	for name; do
		[ -s "$root/modules/$name" ] || die "there is no $name in $dir"
	done
}

# vm_sessions ROOT DIR: the sessions of the pages of documentation in DIR, which has at least one
# in each, for guest/sessions.sh: each in a file that begins with its title.
vm_sessions() {
	local root=$1 pages=("$2"/*.rst)
	mkdir -p "$root/sessions"
	awk -v dir="$root/sessions" -v pages=${#pages[@]} '
	FNR == 1 {
		if (file)
			close(file)
		file = ""
		if (n > was)
			done++
		was = n
	}
	/^(=+|-+)$/ { title = before }
	{ before = $0 }
	/^\.\. code-block:: console$/ {
		if (file)
			close(file)
		file = sprintf("%s/%02d", dir, ++n)
		print title >file
		next
	}
	file && /^   / { print substr($0, 4) >file; next }
	file && /^.+$/ { close(file); file = "" }
	END {
		if (n > was)
			done++
		exit done != pages
	}' "${pages[@]}" || die "a page in $2 has no session"
}

# vm_pack DIR FILE: the same as an initramfs.
vm_pack() {
	(cd "$1" && find . | cpio --quiet -o -H newc) >"$2"
}

# vm_run CONSOLE SECONDS QUIET COMMAND...: runs QEMU until the guest ends, shows what
# the guest's script says unless QUIET is given, and ends the calling script with
# the guest's status.
vm_run() {
	local console=$1 limit=$2 quiet=$3 rc=0 status
	shift 3
	# Before anybody looks on: the background may not have come so far.
	: >"$console"
	timeout -k 5 "$limit" "$@" >"$console" 2>&1 </dev/null &
	qemu_pid=$!
	trap 'kill "$qemu_pid" 2>/dev/null || true; rm -rf "$work"' EXIT
	# The guest's own words are between two marks; the rest is the kernel's.
	if [ -z "$quiet" ]; then
		tail -n +1 --pid="$qemu_pid" -s 0.2 -f "$console" 2>/dev/null |
			tr -d '\r' | awk '/^GUEST-(RESULT|EXIT)/ { exit } shown { if (!/^\[ *[0-9]+\.[0-9]+\]/) print; fflush() } /^GUEST-START/ { shown = 1 }' || true
	fi
	wait "$qemu_pid" || rc=$?
	[ $rc -ne 124 ] || die "the guest did not end within $limit s: $console"
	[ $rc -eq 0 ] || die "QEMU ended with $rc: $console"
	# "GUEST-RESULT passed failed skipped", where the script counted.
	if [ -n "${RVIOMMU_COUNTS:-}" ]; then
		tr -d '\r' <"$console" | sed -n 's/^.*GUEST-RESULT //p' | tail -n 1 >"$RVIOMMU_COUNTS"
	fi
	status=$(tr -d '\r' <"$console" | sed -n 's/^.*GUEST-EXIT \([0-9]*\)$/\1/p' | tail -n 1)
	[ -n "$status" ] || die "the guest ended without a status: $console"
	exit "$status"
}
