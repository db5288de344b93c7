# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What every script here shares: messages, the cache, locks, packages and
# bounded commands that show progress. Sourced, never run.

# A script that cannot do its step stops. In a condition or a list (if, ||, &&) "set -e" is off
# for all that a function or a subshell there does, however deep. So what does more than one
# thing is a statement of its own, be it "x=$(function)" or "( ... )", and who wants its status
# has it tried. What has a path for its output says all else elsewhere.
set -euo pipefail
shopt -s inherit_errexit

# A newer bash or sort must not change what a script does.
export LC_ALL=C.UTF-8

tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cache=${RVIOMMU_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rviommu}
jobs=${RVIOMMU_JOBS:-$(nproc)}
export tree cache jobs

started=$SECONDS

log() {
	printf '[%4ds] %s\n' "$((SECONDS - started))" "$*" >&2
}

warn() {
	log "warning: $*"
}

die() {
	log "error: $*"
	exit 1
}

cache_init() {
	mkdir -p "$cache"/{apt,debs,src,build,log,lock,qemu,tmp} ||
		die "cannot create the cache $cache (set RVIOMMU_CACHE to a directory you can write)"
	# What a killed run left behind.
	find "$cache/tmp" -mindepth 1 -maxdepth 1 -mtime +1 -exec rm -rf {} +
}

# lock NAME [shared]: hold NAME until the calling (sub)shell ends. The wait
# is bounded: a run that hangs must not hang the next one for ever.
lock() {
	local mode=-x fd
	[ "${2:-}" = shared ] && mode=-s
	exec {fd}>"$cache/lock/$1"
	flock "$mode" -n "$fd" && return
	log "waiting for another run that uses $1"
	flock "$mode" -w "${RVIOMMU_LOCK_WAIT:-3600}" "$fd" ||
		die "another run has held $cache/lock/$1 for too long"
}

# try COMMAND...: its status is in "rc"; it ends where it fails. A statement of its own.
try() {
	set +e
	(
		set -e
		"$@"
	)
	rc=$?
	set -e
}

# have COMMAND...: every one of them can be run.
have() {
	local c
	for c; do
		command -v "$c" >/dev/null || return 1
	done
}

# need_packages PACKAGE...: install what is missing, or say what to install.
need_packages() {
	local p missing=()
	for p; do
		dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null |
			grep -qx installed || missing+=("$p")
	done
	[ ${#missing[@]} -eq 0 ] && return
	[ "$(id -u)" = 0 ] ||
		die "please install, as root: apt-get install ${missing[*]}"
	cache_init
	# shellcheck disable=SC2310	# one command each
	(
		lock apt-install
		log "installing ${missing[*]}"
		export DEBIAN_FRONTEND=noninteractive
		quietly apt-install 1800 apt-get -qq -y --no-install-recommends \
			install "${missing[@]}" && exit
		# The package lists may be older than the archive.
		quietly apt-update 600 apt-get -qq update ||
			die "no package lists: see $cache/log/apt-update.log"
		quietly apt-install 1800 apt-get -qq -y --no-install-recommends \
			install "${missing[@]}" ||
			die "could not install ${missing[*]}: see $cache/log/apt-install.log"
	)
}

# start LOG SECONDS COMMAND...: in the background, as "$child", bounded. It has a
# process group of its own, so our end by a signal has to be handed on.
start() {
	local log_file=$1 limit=$2
	shift 2
	timeout -k 10 "$limit" "$@" >"$log_file" 2>&1 </dev/null &
	child=$!
	trap 'kill "$child" 2>/dev/null || true; exit 143' INT TERM
}

# finish: wait for it; its status.
finish() {
	local rc=0
	wait "$child" || rc=$?
	trap - INT TERM
	return $rc
}

# quietly NAME SECONDS COMMAND...: the output goes to a log of that name.
quietly() {
	local name=$1
	shift
	start "$cache/log/$name.log" "$@"
	finish
}

# with_progress NAME LOG SECONDS COMMAND...: the output goes to LOG; a line now
# and then says how far a kernel build is, and the errors come at the end.
with_progress() {
	local name=$1 log_file=$2 limit=$3 rc=0 ticks=0
	shift
	start "$@"
	while kill -0 "$child" 2>/dev/null; do
		sleep 1
		ticks=$((ticks + 1))
		[ $((ticks % 15)) -eq 0 ] || continue
		log "$name: $(grep -cE '^ +(CC|AS|LD|AR)' "$log_file") objects"
	done
	# shellcheck disable=SC2310	# one command
	finish || rc=$?
	[ "$rc" -eq 0 ] && return
	[ "$rc" -eq 124 ] && log "$name: stopped after $limit s"
	grep -nE 'error|Error|ERROR|warning: |undefined reference' "$log_file" | head -n 30 >&2 || true
	log "$name failed ($rc): $log_file"
	return "$rc"
}

# hash_of FILE...: one short key for their contents.
hash_of() {
	cat -- "$@" | sha256sum | cut -c1-12
}
