# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# For a look around: run the commands given as arguments.

status=0
for command; do
	echo "# $command"
	eval "$command" || status=$?
done
exit $status
