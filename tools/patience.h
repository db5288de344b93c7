/* SPDX-License-Identifier: GPL-2.0-only */
/* A word to whoever waits with us, where the kernel may wait for others. */
#ifndef RVIOMMU_TOOLS_PATIENCE_H
#define RVIOMMU_TOOLS_PATIENCE_H

void patience_begin(const char *words);
void patience_turn(void);
void patience_end(void);

#endif /* RVIOMMU_TOOLS_PATIENCE_H */
