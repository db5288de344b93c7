# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Completion for rviommu(8): the program itself says what there is.

_rviommu() {
	local line=${COMP_LINE:0:COMP_POINT} words word choices colon
	read -ra words <<<"$line"
	[[ $line != *[[:space:]] ]] || words+=("")
	word=${words[-1]}
	choices=$(rviommu complete "${words[@]:1}" 2>/dev/null) || return 0
	mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$word")
	# In the name of a PCI function a colon ends a word for bash, and only what is behind the
	# last one is replaced.
	colon=${word%"${word##*:}"}
	COMPREPLY=("${COMPREPLY[@]#"$colon"}")
}
complete -F _rviommu rviommu
