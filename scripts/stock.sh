# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154	# lib.sh sets them
#
# The kernel that Debian has for PCs of this machine's own release, of its backports if there
# are any: image and headers, unpacked into the cache and not installed anywhere.
# Sourced after lib.sh and apt.sh.

stock_arch=amd64

# stock_archive: prints the apt.conf of the suite that it is in.
stock_archive() {
	local own
	own=$(apt_own)
	apt_newest linux-headers-$stock_arch $stock_arch "$own-backports" "$own"
}

# stock_version CONF: the newest kernel there, as uname -r says it.
stock_version() {
	local package
	package=$(apt_field "$1" "linux-headers-$stock_arch" Depends |
		grep -o "linux-headers-[^ ,]*-$stock_arch")
	echo "${package#linux-headers-}"
}

# stock_image CONF VERSION: prints a directory with vmlinuz and the modules of
# its own that ours, and programs that use VFIO, need.
stock_image() (
	dir=$cache/stock/kernel-$2
	lock "stock-image-$2"
	if [ ! -e "$dir/.complete" ]; then
		deb=$(apt_fetch "$1" "linux-image-$2")
		tmp=$(mktemp -d "$cache/tmp/image.XXXXXX")
		# The last is for vfio and iommu: tar wants to find something for each.
		dpkg-deb --fsys-tarfile "$deb" |
			tar -x -C "$tmp" --wildcards './boot/vmlinuz-*' '*/fs/configfs/configfs.ko*' \
				'*/virt/lib/irqbypass.ko*' '*/kernel/drivers/[vi][fo][im][om]*.ko*'
		mkdir -p "$dir/modules"
		mv "$tmp"/boot/vmlinuz-* "$dir/vmlinuz"
		find "$tmp" -name '*.ko*' -exec mv {} "$dir/modules/" \;
		find "$dir/modules" -name '*.xz' -exec xz -d {} +
		rm -rf "$tmp" "$deb"
		touch "$dir/.complete"
	fi
	echo "$dir"
)

# stock_headers CONF VERSION: prints a directory to build modules against.
stock_headers() (
	dir=$cache/stock/headers-$2
	lock "stock-headers-$2"
	if [ ! -e "$dir/.complete" ]; then
		rm -rf "$dir"
		mkdir -p "$dir"
		for package in "linux-headers-$2" "linux-headers-${2%-"$stock_arch"}-common" \
			       "linux-kbuild-${2%-"$stock_arch"}"; do
			deb=$(apt_fetch "$1" "$package")
			dpkg-deb -x "$deb" "$dir"
		done
		# Links are relative; this one line is not.
		sed -i "s,^include /usr/src/,include $dir/usr/src/," \
			"$dir/usr/src/linux-headers-$2/Makefile"
		rm -rf "${dir:?}/usr/share"
		touch "$dir/.complete"
	fi
	echo "$dir/usr/src/linux-headers-$2"
)

# stock_modules CONF VERSION: builds our modules and prints where they are.
stock_modules() {
	local kdir dir gcc
	kdir=$(stock_headers "$1" "$2")
	# The compiler that the kernel was built with.
	gcc=$(sed -n 's/^CC = .*)\(gcc-[0-9]*\)$/\1/p' "$kdir/.kernelvariables")
	need_packages make "${gcc:-gcc}" libc6-dev libelf-dev rsync xz-utils
	dir=$cache/stock/modules-$2${RVIOMMU_DEBUG:+-debug}
	(
		lock "stock-$(basename "$dir")"
		modules_copy "$dir"
		# Type information for BPF would need one more package, and helps nobody here.
		with_progress stock-modules "$dir.log" 900 nice make -C "$kdir" M="$dir" -j"$jobs" \
			CONFIG_DEBUG_INFO_BTF_MODULES= ${RVIOMMU_DEBUG:+RVIOMMU_DEBUG=1} modules
	)
	echo "$dir"
}
