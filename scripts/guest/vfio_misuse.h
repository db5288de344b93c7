/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For a program that has a simulated PCI function by VFIO and means no good: anything in each
 * register and in its memory, commands and rings of anything, and how commands ended.
 */
#ifndef RVIOMMU_GUEST_VFIO_MISUSE_H
#define RVIOMMU_GUEST_VFIO_MISUSE_H

#include <setjmp.h>
#include <signal.h>

#include "vfio_any.h"

/* At most: a command of all bytes that there may be takes its time */
#define LONG	(4 * SIZE)

/* ----- Registers ----- */

static inline void write_config(off_t where, __u64 what, size_t size)
{
	/* What is refused is refused. */
	if (pwrite(dev, &what, size, config + where) < 0)
		errno = 0;
}

static inline void anything_in_config(void)
{
	static const size_t sizes[] = { 1, 2, 4, 8, 3 };

	/* Most of what there is comes first. */
	write_config(below(PCI_STD_HEADER_SIZEOF << below(7)), value(), sizes[below(5)]);
}

static inline void anything_in_registers(void)
{
	write_config(vsec + below(RVIOMMU_SIM_VSEC_LENGTH), value(), chance(4) ? 1 + below(4) : 4);
}

static inline struct rviommu_sim_descriptor anything(void)
{
	struct rviommu_sim_descriptor d = command(below(RVIOMMU_SIM_CMD_NR + 1), address(),
						  below(LONG), value());

	d.source = address();
	d.pasid = chance(2) ? below(4) : value();
	if (chance(4))
		d.command |= value();
	else if (chance(2))
		d.command |= RVIOMMU_SIM_COMMAND_INTERRUPT | below(8) << 16;
	if (chance(4))
		d.command |= RVIOMMU_SIM_COMMAND_PASID;
	if (chance(16))
		d.length = value();
	/* As long as that, and it would be done with nothing else. */
	if (d.length > LONG && d.length <= RVIOMMU_SIM_MAX_LENGTH)
		d.length = LONG;
	return d;
}

/*
 * How commands ended, as far as one sees it before the next: something has to come of them. One
 * that is not over when the next is begun, or forgotten in a reset, is one without a status.
 */
static unsigned long given, ended[RVIOMMU_SIM_STATUS_NO_MEMORY + 1];
static bool begun;

static inline void look_at_status(void)
{
	__u32 status = RVIOMMU_SIM_STATUS_NONE;

	if (!begun || pread(dev, &status, sizeof(status), config + vsec + RVIOMMU_SIM_REG_COMMAND +
			    offsetof(struct rviommu_sim_descriptor, status)) != sizeof(status) ||
	    status == RVIOMMU_SIM_STATUS_NONE || status > RVIOMMU_SIM_STATUS_NO_MEMORY)
		return;
	ended[status]++;
	begun = false;
}

static inline void given_another(void)
{
	ended[RVIOMMU_SIM_STATUS_NONE] += begun;
	given++;
	begun = true;
}

static inline void go(struct rviommu_sim_descriptor d, __u32 doorbell)
{
	__u32 word[sizeof(d) / 4];
	unsigned int i;

	memcpy(word, &d, sizeof(word));
	for (i = 0; i < sizeof(d) / 4; i++)
		write_config(vsec + RVIOMMU_SIM_REG_COMMAND + 4 * i, word[i], 4);
	write_config(vsec + RVIOMMU_SIM_REG_DOORBELL, doorbell, 4);
	if (doorbell & RVIOMMU_SIM_DOORBELL_GO)
		given_another();
}

static inline void anything_as_command(void)
{
	go(anything(), chance(8) ? value() : RVIOMMU_SIM_DOORBELL_GO);
}

/* Rings change under the function, which reads and writes them while others do. */
static inline void anything_as_ring(void)
{
	const off_t at = vsec + RVIOMMU_SIM_REG_RING(below(RVIOMMU_SIM_RINGS));
	const __u64 base = chance(8) ? value() : IOVA + below(PAGES) * PAGE;
	struct rviommu_sim_descriptor d;
	unsigned int i;

	for (i = 0; i < 8; i++) {
		d = anything();
		memcpy(memory + below(SIZE / 64) * 64, &d, sizeof(d));
	}
	write_config(at + RVIOMMU_SIM_RING_PASID, value(), 4);
	write_config(at + RVIOMMU_SIM_RING_BASE_LO, base, 4);
	write_config(at + RVIOMMU_SIM_RING_BASE_HI, base >> 32, 4);
	write_config(at + RVIOMMU_SIM_RING_CONTROL,
		     chance(4) ? value() : RVIOMMU_SIM_RING_ENABLE | below(13) << 8, 4);
	write_config(at + RVIOMMU_SIM_RING_TAIL, chance(4) ? value() : below(16), 4);
}

/* ----- Its memory, where it has some: MSI-X ----- */

static volatile __u32 *bar;
static unsigned int bar_words;
static sigjmp_buf no_memory;

/* While it does not decode memory, or sleeps, nothing is there. */
static inline void bus_error(int signal)
{
	siglongjmp(no_memory, signal);
}

static inline void find_memory(void)
{
	struct vfio_region_info info = {
		.argsz = sizeof(info), .index = VFIO_PCI_BAR0_REGION_INDEX,
	};
	void *at;

	if (ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &info) || !info.size)
		return;
	at = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, dev, info.offset);
	expect(at != MAP_FAILED, "its memory is the program's");
	bar = at;
	bar_words = info.size / 4;
	signal(SIGBUS, bus_error);
}

static inline void anything_in_memory(void)
{
	unsigned int i;

	if (!bar) {
		anything_in_registers();
		return;
	}
	if (sigsetjmp(no_memory, 1))
		return;
	for (i = 0; i < 8; i++)
		if (chance(4))
			(void)bar[below(bar_words)];
		else
			bar[chance(2) ? below(bar_words) : below(64)] = value();
}

/* ----- What came of it ----- */

static inline void tell_commands(void)
{
	static const char *const names[] = {
		"without a status", "well", "in a fault", "with a wrong byte", "refused",
		"not enabled", "in a reset", "stopped", "asked in vain", "without memory",
	};
	unsigned long sum = 0;
	unsigned int i;

	ended[RVIOMMU_SIM_STATUS_NONE] += begun;
	begun = false;
	printf("%lu commands:", given);
	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		printf("%s %s %lu", i ? "," : "", names[i], ended[i]);
		sum += ended[i];
	}
	printf("\n");
	expect(sum == given, "each of its commands is one of these");
}

#endif /* RVIOMMU_GUEST_VFIO_MISUSE_H */
