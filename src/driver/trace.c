// SPDX-License-Identifier: GPL-2.0-only
/* Tracepoints: the code behind trace.h, once per module. */
#include <linux/types.h>

#define CREATE_TRACE_POINTS
#include "trace.h"
