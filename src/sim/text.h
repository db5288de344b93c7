/* SPDX-License-Identifier: GPL-2.0-only */
/* What user space writes into files. */
#ifndef RVIOMMU_SIM_TEXT_H
#define RVIOMMU_SIM_TEXT_H

#include <linux/types.h>

unsigned int sim_words(char *text, const char **word, unsigned int max);
int sim_number(const char *who, const char *what, const char *text, u64 min, u64 max, u64 *value);

#endif /* RVIOMMU_SIM_TEXT_H */
