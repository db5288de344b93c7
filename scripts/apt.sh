# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154	# lib.sh sets them
#
# Packages of another suite or architecture, without touching the system's own
# apt. The archive is the one this machine is configured for. Sourced after
# lib.sh.

# apt_own: the codename of this machine's own release.
apt_own() {
	# shellcheck source=/dev/null
	(. /etc/os-release && echo "${VERSION_CODENAME:?}")
}

# The machine's own source of Debian main for its own release, as
# "URI<TAB>keyring". The keyring may be empty: then apt's trusted keys count.
# A script that runs many others asks once, and hands it on as RVIOMMU_ARCHIVE:
# apt takes a second or two to say.
apt_archive() {
	local codename uri entry file n key
	[ -z "${RVIOMMU_ARCHIVE:-}" ] || {
		echo "$RVIOMMU_ARCHIVE"
		return
	}
	codename=$(apt_own)
	# Security and third-party entries serve another release name, another
	# component or another origin. An empty origin: lists not fetched yet.
	# shellcheck disable=SC2016	# apt expands these
	IFS='|' read -r uri entry < <(
		apt-get indextargets \
			--format '$(ORIGIN)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)|$(SOURCESENTRY)' \
			'Created-By: Packages' |
			awk -F'|' -v own="$codename" '
				$2 == own && $3 == "main" && $1 == "Debian" { found = $4 "|" $5; exit }
				$2 == own && $3 == "main" && $1 == "" && !maybe { maybe = $4 "|" $5 }
				END { print found ? found : maybe }'
	) || true
	[ -n "${uri:-}" ] ||
		die "no apt source of this machine serves Debian main for '$codename'"
	file=${entry%:*}
	n=${entry##*:}
	case $file in
	*.sources)	# stanzas, numbered from 0 or 1 by apt version
		key=$(sed -n 's/^[Ss]igned-[Bb]y: *//p' "$file" | head -n 1) ;;
	*)
		key=$(sed -n "${n}s/.*signed-by=\([^] ]*\).*/\1/p" "$file") ;;
	esac
	[ -r "${key:-}" ] || key=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -r "$key" ] || key=
	printf '%s\t%s\n' "$uri" "$key"
}

# apt_source SUITE: the sources.list line for that suite.
apt_source() {
	local uri key
	IFS=$'\t' read -r uri key < <(apt_archive)
	[ -n "$uri" ] || exit 1
	printf 'deb %s%s %s main\n' "${key:+[signed-by=$key] }" "$uri" "$1"
}

# apt_codename ROLE: which release is "stable" or "unstable" today. The archive says so in
# a file of that name. Only the name is taken from there: apt compares it with what is
# signed when it reads that release's lists.
apt_codename() {
	local uri key tmp file=$cache/apt/codename-$1
	if [ -z "$(find "$file" -mmin -1440 2>/dev/null)" ]; then
		IFS=$'\t' read -r uri key < <(apt_archive)
		tmp=$(mktemp -d "$cache/tmp/codename.XXXXXX")
		if quietly "codename-$1" 120 /usr/lib/apt/apt-helper download-file \
				"${uri%/}/dists/$1/InRelease" "$tmp/release"; then
			sed -n 's/^Codename: *//p' "$tmp/release" >"$tmp/name"
			mv "$tmp/name" "$file"
		fi
		rm -rf "$tmp"
	fi
	grep -s . "$file" || die "the archive does not say what is $1: see $cache/log/codename-$1.log"
}

# apt_suites: where Debian has what is newest, first what goes best with a release.
apt_suites() {
	local stable unstable
	stable=$(apt_codename stable)
	unstable=$(apt_codename unstable)
	echo "$stable-backports $unstable"
}

# apt_newest PACKAGE ARCH SUITE...: prints the apt.conf of the suite whose version of it is the
# newest: of the program, not of its package, and of two the first.
apt_newest() {
	local package=$1 arch=$2 suite conf version best='' found=''
	shift 2
	for suite; do
		conf=$(apt_private "$suite" "$arch")
		apt_has "$conf" "$package" || continue
		version=$(apt_version "$conf" "$package")
		version=${version%-*}
		if [ -z "$best" ] || dpkg --compare-versions "$version" gt "$best"; then
			best=$version found=$conf
		fi
	done
	[ -n "$found" ] || die "none of $* has a package $package"
	echo "$found"
}

# apt_options: the machine's own download options, one per line, for tools
# that do not read /etc/apt themselves.
apt_options() {
	apt-config dump |
		grep -E '^Acquire::(Check-|Max-|Retries|Force|https?|ftp|Proxy|Queue)' |
		grep -v ' "";$' | sed 's/;$//'
}

# apt_private SUITE ARCH: prints the apt.conf of a private configuration whose
# lists are at most a day old.
apt_private() {
	local dir=$cache/apt/$1-$2 line
	line=$(apt_source "$1")
	(
		lock "apt-$1-$2"
		mkdir -p "$dir"/{lists/partial,cache/archives/partial,state}
		: >>"$dir/state/status"
		if [ "$(cat "$dir/sources.list" 2>/dev/null)" != "$line" ]; then
			echo "$line" >"$dir/sources.list"
			rm -f "$dir/fetched"
		fi
		# The machine's apt.conf.d is still read after this file.
		cat >"$dir/apt.conf" <<-CONF
			APT::Architecture "$2";
			APT::Architectures { "$2"; };
			APT::Sandbox::User "root";
			APT::Get::List-Cleanup "false";
			Dir::Etc::sourcelist "$dir/sources.list";
			Dir::Etc::sourceparts "/dev/null";
			Dir::State "$dir/state";
			Dir::State::lists "$dir/lists";
			Dir::State::status "$dir/state/status";
			Dir::Cache "$dir/cache";
		CONF
		if [ -n "$(find "$dir/fetched" -mmin -1440 2>/dev/null)" ]; then
			exit
		fi
		log "reading the package lists of $1 ($2)"
		if APT_CONFIG=$dir/apt.conf quietly "apt-$1-$2" 600 apt-get -q update &&
		   ! grep -q '^[EW]:.*Failed to fetch' "$cache/log/apt-$1-$2.log"; then
			touch "$dir/fetched"
		elif [ -e "$dir/fetched" ]; then
			warn "no fresh package lists of $1 ($2): using the ones of $(date -r "$dir/fetched" +%F)"
		else
			die "cannot read the package lists of $1 ($2): see $cache/log/apt-$1-$2.log"
		fi
	)
	echo "$dir/apt.conf"
}

# apt_show CONF PACKAGE: prints the file with what these lists say of its newest version. It is
# kept beside them; empty when there is no such package.
apt_show() {
	local dir file tmp
	dir=$(dirname "$1")
	file=$dir/show/$2
	if [ ! "$file" -nt "$dir/fetched" ]; then
		mkdir -p "$dir/show"
		tmp=$(mktemp "$dir/show/.$2.XXXXXX")
		APT_CONFIG=$1 apt-cache --no-all-versions show "$2" >"$tmp" 2>/dev/null || : >"$tmp"
		mv "$tmp" "$file"
	fi
	echo "$file"
}

# apt_has CONF PACKAGE
apt_has() {
	[ -s "$(apt_show "$1" "$2")" ]
}

# apt_field CONF PACKAGE FIELD: of its newest version there.
apt_field() {
	apt_has "$1" "$2" || die "there is no package $2 in $(basename "$(dirname "$1")")"
	sed -n "s/^$3: //p" "$(apt_show "$1" "$2")" | head -n 1
}

# apt_version CONF PACKAGE: its newest version there.
apt_version() {
	apt_field "$1" "$2" Version
}

# apt_fetch CONF PACKAGE: prints the path of its downloaded .deb.
apt_fetch() {
	local conf=$1 package=$2 tmp deb arch version
	version=$(apt_version "$conf" "$package")
	arch=$(apt_field "$conf" "$package" Architecture)
	deb=$cache/debs/${package}_${version//:/%3a}_$arch.deb
	if [ ! -s "$deb" ]; then
		log "fetching $package $version"
		# apt verifies what it downloads; only a complete file is renamed.
		tmp=$(mktemp -d "$cache/tmp/deb.XXXXXX")
		APT_CONFIG=$conf quietly "fetch-$package" 1800 \
			env -C "$tmp" apt-get -q download "$package" || {
			rm -rf "$tmp"
			die "cannot download $package: see $cache/log/fetch-$package.log"
		}
		mv "$tmp"/*.deb "$deb"
		rm -rf "$tmp"
	fi
	echo "$deb"
}
