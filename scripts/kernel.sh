# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154	# lib.sh sets them
#
# Kernel sources from the archive and the test kernels built from them.
# Sourced after lib.sh and apt.sh.

kernel_packages=(build-essential bc bison flex libelf-dev libssl-dev cpio kmod
	rsync xz-utils python3 zstd)

# kernel_archive newest|lts: prints the apt.conf of the suite where that kernel is. No release
# is named here: what the archive has today it drops tomorrow. A stable release of Debian
# stays with one long-term kernel.
kernel_archive() {
	local arch suites stable
	arch=$(dpkg --print-architecture)
	case $1 in
	newest)	suites=$(apt_suites)
		# shellcheck disable=SC2086	# one word each
		apt_newest linux-source "$arch" $suites ;;
	lts)	stable=$(apt_codename stable)
		apt_private "$stable" "$arch" ;;
	*)	die "there is no kind of kernel called '$1'" ;;
	esac
}

# kernel_version newest|lts: which one that is today.
kernel_version() {
	local conf
	conf=$(kernel_archive "$1")
	apt_version "$conf" linux-source
}

# kernel_source newest|lts: prints a source tree of that kernel.
kernel_source() {
	local conf package version dir deb
	conf=$(kernel_archive "$1")
	# "linux-source" has no files, but depends on what has.
	package=$(apt_field "$conf" linux-source Depends)
	package=${package%% *}
	version=$(apt_version "$conf" "$package")
	dir=$cache/src/linux-$version
	if [ ! -e "$dir/.complete" ]; then
		deb=$(apt_fetch "$conf" "$package")
		kernel_unpack "$deb" "$dir"
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
		"$tree/scripts/overlay" "$1"
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
	um-lockdep)	arch=um fragments='kunit trim mutate debug lockdep fail' ;;
	um-kasan)	arch=um fragments='kunit mutate um-kasan debug lockdep fail' ;;
	um-lts)		arch=um fragments='kunit trim mutate um-lts um-kasan debug lockdep fail' release=lts ;;
	um-plain)	arch=um fragments='kunit trim mutate plain smp debug' ;;
	um-bench)	arch=um fragments='kunit bench' ;;
	um-bench-smp)	arch=um fragments='kunit trim bench smp' ;;
	x86)		arch=x86_64 fragments='kunit trim mutate x86 smp debug lockdep kasan kasan-inline fail' ;;
	x86-kcsan)	arch=x86_64 fragments='kunit trim x86 smp kcsan' ;;
	riscv)		arch=riscv fragments='riscv smp' ;;
	riscv-debug)	arch=riscv fragments='riscv riscv-debug smp debug lockdep fail fail-stack' ;;
	riscv-kunit)	arch=riscv fragments='kunit mutate riscv-kunit smp debug lockdep fail' ;;
	riscv-lts)	arch=riscv fragments='riscv smp' release=lts target=modules_prepare ;;
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
		# The last fragment that speaks of an option is right.
		grep -hE '^CONFIG_' "$@" | tac | awk -F= '!seen[$1]++' | tac
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
	ktree=$(kernel_source "$release")
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
		kernel_config "$ktree" "$build" "${files[@]}"
		rm -f "$build/.built"
		kernel_make "$ktree" "$build"
		with_progress "$name" "$build/build.log" 3600 "${make[@]}" "$target"
		kernel_selects >"$build/.built"
		# Kernels that newer ones have replaced.
		find "$cache/build" -mindepth 1 -maxdepth 1 -name "$name-linux-*" \
			! -path "$build" -mtime +14 -exec rm -rf {} +
	)
	echo "$build"
}

# kernel_release BUILD: what uname -r will say.
kernel_release() {
	cat "$1/include/config/kernel.release"
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
	local f option missing
	for f in "$tree"/kunit/*_test.c; do
		# Some are linked with an option only, or with several.
		missing=
		while read -r option; do
			grep -q "^$option=y" "$1" || missing=$option
		done < <(sed ':a; /\\$/ { N; s/\\\n//; ba }' "$tree/Kbuild" |
			sed -n "s/^rviommu_kunit-\$(\(.*\)) += .*[[:space:]/]$(basename "$f" .c)\.o.*/\1/p" |
			grep -o 'CONFIG_[A-Z0-9_]*' || true)
		[ -z "$missing" ] || continue
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
	modules_copy "$dir"
	kernel_make "$build/source" "$build"
	with_progress "modules-$name" "$dir.log" 900 "${make[@]}" W=1 \
		KBUILD_MODPOST_WARN="$([ -e "$build/Module.symvers" ] || echo 1)" \
		${3:+RVIOMMU_DEBUG=1} M="$dir" modules
	! grep -A5 'warning: ' "$dir.log" >&2 || {
		# What is built already would not be heard of the next time.
		find "$dir" -name '*.o' -delete
		die "warnings: $dir.log"
	}
	echo "$dir"
}

# modules_copy DIR: what a module build needs, and nothing that was built, on either side: what
# is in DIR stays, what "make" left in this tree is for another kernel. Without the times:
# a file that changed is newer than its object, whatever clone it came from. The library
# of the model is no part of it, but may have come here from another clone.
modules_copy() {
	mkdir -p "$1"
	rm -rf "$1/src/sim/model/build"
	rsync -rlp --checksum --delete --exclude='/src/sim/model/build' --exclude='*.o' \
		--exclude='*.ko' --exclude='*.mod*' --exclude='.*.cmd' \
		--exclude='*.d' --exclude='Module.symvers' --exclude='modules.order' \
		--include='/Kbuild' --include='/src/***' \
		--include='/include/***' --include='/kunit/***' --include='/scripts/' \
		--include='/scripts/probe-kernel' --exclude='*' "$tree/" "$1/" >&2
}
