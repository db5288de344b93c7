# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Completion for rviommu(8): the program itself says what there is.

_rviommu() {
	local line=${COMP_LINE:0:COMP_POINT} words word choices before
	read -ra words <<<"$line"
	[[ $line != *[[:space:]] ]] || words+=("")
	word=${words[-1]}
	choices=$(rviommu complete "${words[@]:1}" 2>/dev/null) || return 0
	mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$word")
	# A colon in the name of a PCI function and a "=" end a word for bash, and only what is behind
	# the last one is replaced.
	before=${word%"${word##*[:=]}"}
	COMPREPLY=("${COMPREPLY[@]#"$before"}")
	# Behind "OPTION=" its value follows.
	[[ ${COMPREPLY[*]} != *= ]] || compopt -o nospace 2>/dev/null || return 0
}
complete -F _rviommu rviommu
