# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154	# lib.sh sets them
#
# Packages of another suite or architecture, without touching the system's own
# apt. The archive is the one this machine is configured for. Sourced after
# lib.sh.

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
	# shellcheck source=/dev/null
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
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
	) || exit 1
	echo "$dir/apt.conf"
}

# apt_field CONF PACKAGE FIELD: of its newest version there; fails when there is none.
# What these lists say is kept beside them.
apt_field() {
	local dir file
	dir=$(dirname "$1")
	file=$dir/show/$2
	if [ ! "$file" -nt "$dir/fetched" ]; then
		mkdir -p "$dir/show"
		APT_CONFIG=$1 apt-cache --no-all-versions show "$2" >"$file.$$" 2>/dev/null || {
			rm "$file.$$"
			return 1
		}
		mv "$file.$$" "$file"
	fi
	sed -n "s/^$3: //p" "$file" | grep -m1 .
}

# apt_version CONF PACKAGE: its newest version there; fails when there is none.
apt_version() {
	apt_field "$1" "$2" Version
}

# apt_fetch CONF PACKAGE: prints the path of its downloaded .deb.
apt_fetch() {
	local conf=$1 package=$2 tmp deb arch version
	version=$(apt_version "$conf" "$package") ||
		die "there is no package $package in $(basename "$(dirname "$conf")")"
	arch=$(apt_field "$conf" "$package" Architecture)
	deb=$cache/debs/${package}_${version//:/%3a}_$arch.deb
	if [ ! -s "$deb" ]; then
		log "fetching $package $version"
		# apt verifies what it downloads; only a complete file is renamed.
		tmp=$(mktemp -d "$cache/tmp/deb.XXXXXX")
		(cd "$tmp" && APT_CONFIG=$conf quietly "fetch-$package" 1800 \
			apt-get -q download "$package") || {
			rm -rf "$tmp"
			die "cannot download $package: see $cache/log/fetch-$package.log"
		}
		mv "$tmp"/*.deb "$deb"
		rm -rf "$tmp"
	fi
	echo "$deb"
}
