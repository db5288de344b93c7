/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory of PCI functions: the host bridge's window, and the base address register. */
#ifndef RVIOMMU_SIM_BAR_H
#define RVIOMMU_SIM_BAR_H

#include <linux/ioport.h>
#include <linux/types.h>

#include <rviommu/sim.h>

/**
 * struct sim_window - memory for the functions of a host bridge
 * @res: where it is; the bridge's, and parent of what the functions have
 * @base: the same for the simulator; NULL: the bridge has no memory
 *
 * Constant from sim_window_add() to sim_window_del().
 */
struct sim_window {
	struct resource res;
	void __iomem *base;
};

/**
 * struct sim_bar - the memory of one function
 * @window: of its bridge
 * @config: its configuration space
 * @memory: where its memory is, %RVIOMMU_SIM_BAR_SIZE bytes of @window; NULL: nowhere. Under the
 *          lock of configuration space, or while that is not accessed.
 *
 * The register says where the memory is, once memory accesses are enabled. It stays there while
 * they are not, and while the register, after a reset, says nothing. An address outside of the
 * window leads nowhere.
 */
struct sim_bar {
	const struct sim_window *window;
	u8 *config;
	void __iomem *memory;
};

int sim_window_add(struct sim_window *window, const char *name, u64 start, u64 size);
void sim_window_del(struct sim_window *window);

void sim_bar_layout(u8 *value, u8 *writable);
void sim_bar_place(struct sim_bar *bar, unsigned int index);
bool sim_bar_apply(struct sim_bar *bar);
void sim_bar_clear(struct sim_bar *bar);

#endif /* RVIOMMU_SIM_BAR_H */
