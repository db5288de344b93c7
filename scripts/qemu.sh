# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154	# lib.sh sets them
#
# QEMU from newer suites than this machine's, unpacked into the cache and run
# through its own dynamic loader. Sourced after lib.sh and apt.sh.

# qemu_path newest|older: prints a directory with qemu-system-riscv64 and
# qemu-system-x86_64: the newest there are, or those of Debian's stable release, where the
# IOMMU may have defects that the newest has not.
qemu_path() {
	local suites suite stable arch conf misc version root
	need_packages mmdebstrap
	arch=$(dpkg --print-architecture)
	stable=$(apt_codename stable)
	case $1 in
	newest)	suites=$(apt_suites)
		# shellcheck disable=SC2086	# one word each
		conf=$(apt_newest qemu-system-misc "$arch" $suites) ;;
	older)	conf=$(apt_private "$stable" "$arch") ;;
	*)	die "there is no kind of QEMU called '$1'" ;;
	esac
	suite=$(basename "$(dirname "$conf")")
	suite=${suite%"-$arch"}
	# Backports are on top of their release.
	suites=$suite
	[ "$suite" != "$stable-backports" ] || suites="$suite $stable"
	# A package of its own where it has become large.
	misc=qemu-system-riscv
	apt_has "$conf" $misc || misc=qemu-system-misc
	version=$(apt_version "$conf" $misc)
	root=$cache/qemu/$suite-${version//:/.}
	[ -e "$root/bin/.complete" ] || qemu_unpack
	echo "$root/bin"
}

# qemu_bundle BIN DIR: what a virtual machine needs to run a PC itself.
qemu_bundle() {
	local root libs
	root=$(readlink -f "$1/../root")
	mkdir -p "$2"
	libs=$(printf '%s:' "$root"/usr/lib/*-linux-gnu)
	"$root"/usr/lib64/ld-linux-x86-64.so.2 --library-path "$libs" \
		--list "$root/usr/bin/qemu-system-x86_64" |
		awk '$2 == "=>" { print $3 }' | xargs cp -L -t "$2" || die "QEMU's libraries are not there"
	cp -L "$root"/usr/lib64/ld-linux-x86-64.so.2 "$root/usr/bin/qemu-system-x86_64" \
		"$root"/usr/share/qemu/{multiboot_dma,kvmvapic}.bin "$root"/usr/share/seabios/bios-256k.bin "$2"
}

# qemu_version BIN: as it calls itself.
qemu_version() {
	sed -n '1s/.*version \([0-9.]*\).*/\1/p' "$1/.complete"
}

# qemu_unpack: fill $root with $misc of $suite.
qemu_unpack() (
	lock "qemu-$suite"
	[ -e "$root/bin/.complete" ] && exit
	log "making a root with QEMU $version"
	tmp=$(mktemp -d "$cache/tmp/qemu.XXXXXX")
	chmod 755 "$tmp"
	args=(--variant=extract --architectures="$arch"
		--aptopt="APT::Default-Release \"$suite\""
		--include="$misc,qemu-system-x86,qemu-system-data,opensbi,seabios")
	while read -r option; do
		args+=(--aptopt="$option")
	done < <(apt_options)
	# The suite of the newest packages first, its base after it.
	for s in $suites; do
		apt_source "$s"
	done >"$tmp/sources"
	quietly "qemu-$suite" 1800 mmdebstrap "${args[@]}" "$suite" "$tmp/root" "$tmp/sources" ||
		die "cannot make a root with QEMU: see $cache/log/qemu-$suite.log"
	rm -rf "$tmp/root"/usr/share/{doc,man,locale} "$tmp/root/var/cache/apt"
	mkdir "$tmp/root/bin.new"
	for q in qemu-system-riscv64 qemu-system-x86_64; do
		qemu_wrapper "$root" "$q" >"$tmp/root/bin.new/$q"
		chmod +x "$tmp/root/bin.new/$q"
	done
	rm -rf "$root"
	mkdir -p "$root"
	mv "$tmp/root" "$root/root"
	mv "$root/root/bin.new" "$root/bin"
	rm -rf "$tmp"
	"$root/bin/qemu-system-riscv64" --version >"$cache/log/qemu-$suite.version" 2>&1 ||
		die "the unpacked QEMU does not run: see $cache/log/qemu-$suite.version"
	cp "$cache/log/qemu-$suite.version" "$root/bin/.complete"
)

# qemu_wrapper DIR PROGRAM: a script that runs it.
qemu_wrapper() {
	cat <<-EOF2
		#!/bin/bash
		# /dev/kvm may open and then hang; kunit.py asks for it first.
		args=()
		while [ \$# -gt 0 ]; do
			case "\$1 \${2:-}" in
			'-accel kvm' | '-accel hvf') shift 2; continue ;;
			esac
			args+=("\$1")
			shift
		done
		root=$1/root
		libs=\$(printf '%s:' "\$root"/usr/lib/*-linux-gnu "\$root"/lib/*-linux-gnu)
		export QEMU_MODULE_DIR=\$(echo "\$root"/usr/lib/*-linux-gnu/qemu)
		exec "\$(find "\$root/usr/lib64" "\$root/lib64" "\$root/usr/lib" -name 'ld-linux*.so.*' 2>/dev/null | head -n 1)" \\
			--library-path "\$libs" "\$root/usr/bin/$2" -L "\$root/usr/share/qemu" \\
			-L "\$root/usr/share/seabios" -L "\$root/usr/lib/riscv64-linux-gnu/opensbi/generic" "\${args[@]}"
	EOF2
}
