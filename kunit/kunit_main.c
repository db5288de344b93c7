// SPDX-License-Identifier: GPL-2.0-only
/* What the suites of rviommu_kunit.ko share as a module. */
#include <linux/module.h>

#include "../src/driver/compat.h"

MODULE_DESCRIPTION("KUnit tests of the RISC-V IOMMU driver");
MODULE_LICENSE("GPL");
RVIOMMU_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
