# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154	# lib.sh sets them
#
# Kernel sources from the archive and the test kernels built from them.
# Sourced after lib.sh and apt.sh.

kernel_packages=(build-essential bc bison flex libelf-dev libssl-dev cpio kmod
	rsync xz-utils python3 zstd)

# kernel_releases CONF: the X.Y of every linux-source-X.Y there, oldest first.
kernel_releases() {
	APT_CONFIG=$1 apt-cache pkgnames linux-source- |
		sed -n 's/^linux-source-\([0-9][0-9.]*\)$/\1/p' | sort -V
}

# kernel_suites newest|lts: where to look for that kernel, in this order. A stable
# release of Debian stays with one long-term kernel; those that are not yet
# released have the newest.
kernel_suites() {
	case $1 in
	newest)	echo sid forky trixie-backports ;;
	lts)	echo trixie bookworm-backports ;;
	*)	die "there is no kind of kernel called '$1'" ;;
	esac
}

# kernel_source newest|lts: prints a source tree of that kernel. The archive says which
# releases there are: what it has today it drops tomorrow.
kernel_source() {
	local suite suites conf deb version release dir best='' from=''
	suites=$(kernel_suites "$1") || exit 1
	for suite in $suites; do
		conf=$(apt_private "$suite" "$(dpkg --print-architecture)") || exit 1
		release=$(kernel_releases "$conf" | tail -n 1)
		[ -n "$release" ] || continue
		# Of two suites with the same release, the first.
		[ -z "$best" ] || [ "$(printf '%s\n' "$release" "$best" | sort -V | tail -n 1)" != "$best" ] ||
			continue
		best=$release from=$conf
	done
	[ -n "$best" ] || die "none of $suites has a linux-source"
	version=$(apt_version "$from" "linux-source-$best") || exit 1
	dir=$cache/src/linux-$version
	if [ ! -e "$dir/.complete" ]; then
		deb=$(apt_fetch "$from" "linux-source-$best") || exit 1
		kernel_unpack "$deb" "$dir" || exit 1
	fi
	echo "$dir"
}

# kernel_unpack DEB DIR
kernel_unpack() (
	lock "$(basename "$2")"
	[ -e "$2/.complete" ] && exit
	log "unpacking $(basename "$1")"
	tmp=$(mktemp -d "$cache/tmp/src.XXXXXX")
	dpkg-deb --fsys-tarfile "$1" | tar -x -C "$tmp" --wildcards '*/linux-source-*.tar.xz'
	mkdir "$tmp/tree"
	tar -xf "$tmp"/usr/src/linux-source-*.tar.xz -C "$tmp/tree" --strip-components=1
	touch "$tmp/tree/.complete"
	rm -rf "$2"
	mv "$tmp/tree" "$2"
	rm -rf "$tmp" "$1"
)

# kernel_overlay KTREE: hold this tree in it until the calling subshell ends.
# A kernel tree that another clone uses right now is not pulled from under it.
kernel_overlay() {
	local fd
	exec {fd}>"$cache/lock/overlay-$(basename "$1")"
	while
		flock -s -w 3600 "$fd" || die "another clone has used $1 for too long"
		! "$tree/scripts/overlay" --check "$1"
	do
		flock -w 3600 "$fd" || die "another clone has used $1 for too long"
		"$tree/scripts/overlay" "$1" || exit 1
	done
}

# One name per test kernel. Sets arch, release, fragments, cross, target.
# "trim" is for those whose building a check waits for, or that are large anyway.
kernel_describe() {
	release=newest
	cross=
	target=all
	case $1 in
	um)		arch=um fragments='kunit trim mutate smp debug fail' ;;
	um-kasan)	arch=um fragments='kunit mutate um-kasan debug lockdep fail' ;;
	um-6.12)	arch=um fragments='kunit trim mutate um-6.12 um-kasan debug lockdep fail' release=lts ;;
	um-bench)	arch=um fragments='kunit bench' ;;
	x86)		arch=x86_64 fragments='kunit trim mutate x86 smp debug lockdep kasan kasan-inline fail' ;;
	x86-kcsan)	arch=x86_64 fragments='kunit trim x86 smp kcsan' ;;
	riscv)		arch=riscv fragments='riscv smp debug lockdep fail fail-stack' ;;
	riscv-kunit)	arch=riscv fragments='kunit mutate riscv-kunit smp debug lockdep fail' ;;
	riscv-6.12)	arch=riscv fragments='riscv smp' release=lts target=modules_prepare ;;
	*)		die "there is no test kernel called '$1'" ;;
	esac
	[ "$arch" != riscv ] || cross=riscv64-linux-gnu-
}

# kernel_make KTREE BUILD: sets "make", the command for the described kernel.
kernel_make() {
	make=(nice make -C "$1" O="$2" ARCH="$arch" CROSS_COMPILE="$cross"
		--no-print-directory -j"$jobs")
}

# kernel_config KTREE BUILD FRAGMENT...: the fragments on top of the defaults;
# an option that Kconfig did not accept is an error.
kernel_config() {
	local ktree=$1 build=$2 line make missing=()
	shift 2
	mkdir -p "$build"
	if [ "$arch" = um ]; then
		# Options that kunit.py adds for this architecture.
		set -- "$ktree/tools/testing/kunit/configs/arch_uml.config" "$@"
	fi
	{
		grep -hE '^CONFIG_' "$@"
		# Options that come or go need another look, too.
		echo "# Kconfig $(hash_of "$tree/Kconfig")"
	} >"$build/fragment.new"
	if cmp -s "$build/fragment.new" "$build/fragment" && [ -e "$build/.config" ]; then
		rm "$build/fragment.new"
		return
	fi
	cp "$build/fragment.new" "$build/.config"
	kernel_make "$ktree" "$build"
	"${make[@]}" olddefconfig >"$build/config.log" 2>&1 || {
		cat "$build/config.log" >&2
		die "cannot configure $build"
	}
	while read -r line; do
		case $line in
		'#'*)	;;
		*=n)	! grep -q "^${line%=n}=" "$build/.config" || missing+=("$line") ;;
		*)	grep -qxF "$line" "$build/.config" || missing+=("$line") ;;
		esac
	done <"$build/fragment.new"
	[ ${#missing[@]} -eq 0 ] ||
		die "this kernel cannot have ${missing[*]}"
	! grep -A3 'unmet direct dependencies' "$build/config.log" >&2 ||
		die "Kconfig selects what it must not"
	mv "$build/fragment.new" "$build/fragment"
}

# kernel_fresh BUILD: objects built from another clone are not reused.
kernel_fresh() {
	[ "$(cat "$1/.rviommu-tree" 2>/dev/null)" = "$tree" ] && return
	rm -rf "$1/drivers/iommu/rviommu" "$1/.built"
	echo "$tree" >"$1/.rviommu-tree"
}

# kernel_selects: a key for what our Kconfig changes in a kernel without us.
kernel_selects() {
	hash_of <(sed -n '/^config RVIOMMU_TEST_KERNEL/,/^$/p' "$tree/Kconfig")
}

# kernel_build NAME: prints the up-to-date build directory of a test kernel.
# RVIOMMU_BUILD names another directory than the cache's.
kernel_build() {
	local name=$1 arch release fragments cross target ktree key build f make files=()
	kernel_describe "$name"
	need_packages "${kernel_packages[@]}"
	[ -z "$cross" ] || need_packages gcc-riscv64-linux-gnu
	cache_init
	ktree=$(kernel_source "$release") || exit 1
	for f in $fragments; do
		files+=("$tree/scripts/config/$f.config")
	done
	key=$({ "${cross}gcc" --version; cat "${files[@]}"; } | sha256sum | cut -c1-8)
	build=${RVIOMMU_BUILD:-$cache/build/$name-$(basename "$ktree")-$key}
	mkdir -p "$build"
	(
		lock "build-$name-$(hash_of <(echo "$build"))"
		# A kernel without our code built in changes with what is selected.
		if [ "$(cat "$build/.built" 2>/dev/null)" = "$(kernel_selects)" ] &&
		   ! grep -q '^CONFIG_RVIOMMU=' "$build/fragment"; then
			exit 0
		fi
		kernel_overlay "$ktree"
		kernel_fresh "$build"
		kernel_config "$ktree" "$build" "${files[@]}" || exit 1
		rm -f "$build/.built"
		kernel_make "$ktree" "$build"
		with_progress "$name" "$build/build.log" 3600 "${make[@]}" "$target" || exit 1
		kernel_selects >"$build/.built"
		# Kernels that newer ones have replaced.
		find "$cache/build" -mindepth 1 -maxdepth 1 -name "$name-linux-*" \
			! -path "$build" -mtime +14 -exec rm -rf {} +
	) || exit 1
	echo "$build"
}

# kernel_hold NAME: until the calling shell ends, no other run builds that test
# kernel. Before kernel_build, by whoever runs a kernel with our code in it: else
# another clone with the same cache could put its own code there in between.
kernel_hold() {
	cache_init
	lock "run-$1${RVIOMMU_BUILD:+-$(hash_of <(echo "$RVIOMMU_BUILD"))}"
}

# kunit_suites CONFIG: the names of all suites that a kernel of that
# configuration must run.
kunit_suites() {
	local f option
	for f in "$tree"/kunit/*_test.c; do
		# Some are linked with an option only.
		option=$(sed ':a; /\\$/ { N; s/\\\n//; ba }' "$tree/Kbuild" |
			sed -n "s/^rviommu_kunit-\$(\(.*\)) += .*[ /]$(basename "$f" .c)\.o.*/\1/p")
		[ -z "$option" ] || grep -q "^$option=y" "$1" || continue
		sed -n '/struct kunit_suite/,/};/s/.*\.name = "\([^"]*\)".*/\1/p' "$f"
	done
}

# modules_hold NAME [debug]: until the calling (sub)shell ends, no other run builds
# modules there, of another clone maybe.
modules_hold() {
	lock "modules-$1${2:+-$2}-$(hash_of <(echo "${RVIOMMU_BUILD:-} ${RVIOMMU_MODULES:-}"))"
}

# modules_build NAME BUILD [debug]: build our modules, W=1, against a test
# kernel, from a copy of this tree. Prints the directory they are in.
# RVIOMMU_MODULES names another directory than the one in BUILD. Only under
# modules_hold, for as long as the directory is used.
modules_build() {
	local name=$1 build=$2 arch release fragments cross target dir make
	kernel_describe "$name"
	dir=${RVIOMMU_MODULES:-$build/rviommu-modules}${3:+-$3}
	(
		modules_copy "$dir" || exit 1
		kernel_make "$build/source" "$build"
		with_progress "modules-$name" "$dir.log" 900 "${make[@]}" W=1 \
			KBUILD_MODPOST_WARN="$([ -e "$build/Module.symvers" ] || echo 1)" \
			${3:+RVIOMMU_DEBUG=1} M="$dir" modules || exit 1
		! grep -A5 'warning: ' "$dir.log" >&2 || {
			# What is built already would not be heard of the next time.
			find "$dir" -name '*.o' -delete
			die "warnings: $dir.log"
		}
	) || return 1
	echo "$dir"
}

# modules_copy DIR: what a module build needs. Without the times: a file that
# changed is newer than its object, whatever clone it came from. The first rule
# that matches counts: what was built is protected before anything is included.
modules_copy() {
	mkdir -p "$1"
	rsync -rlp --checksum --delete --filter='P *.o' \
		--filter='P *.ko' --filter='P *.mod*' --filter='P .*.cmd' \
		--filter='P *.d' --filter='P Module.symvers' --filter='P modules.order' \
		--include='/Kbuild' --include='/src/***' \
		--include='/include/***' --include='/kunit/***' --include='/scripts/' \
		--include='/scripts/probe-kernel' --exclude='*' "$tree/" "$1/"
}
