// SPDX-License-Identifier: GPL-2.0-only
/* Tracepoints: the code behind trace.h, once per module. */
#include <linux/types.h>

#define CREATE_TRACE_POINTS
#include "trace.h"

#if IS_ENABLED(CONFIG_RVIOMMU_KUNIT_TEST)
/* For the tests, which look on. */
EXPORT_TRACEPOINT_SYMBOL_GPL(rviommu_publish);
EXPORT_TRACEPOINT_SYMBOL_GPL(rviommu_page_request);
EXPORT_TRACEPOINT_SYMBOL_GPL(rviommu_page_response);
#endif
