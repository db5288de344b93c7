/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For programs that have a simulated PCI function by VFIO and mean no good: numbers and addresses
 * of all kinds. Equal seeds make equal numbers.
 */
#ifndef RVIOMMU_GUEST_VFIO_ANY_H
#define RVIOMMU_GUEST_VFIO_ANY_H

#include "vfio_function.h"

/* Where a page of the program's is mapped for a while; commands and rings go there, too. */
#define LENT	(IOVA + SIZE)

static __u64 state;

/* xorshift64*: the same everywhere */
static inline __u64 any(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dULL;
}

static inline unsigned int below(unsigned int limit)
{
	return (any() >> 33) % limit;
}

static inline bool chance(unsigned int one_in)
{
	return !below(one_in);
}

/* What finds errors more often than chance does */
static inline __u64 value(void)
{
	static const __u64 special[] = {
		0, 1, 2, 7, 0xff, 0x7fffffff, 0x80000000, 0xffffffff, ~0ULL, 1ULL << 63,
		IOVA, IOVA + SIZE - 1, IOVA - 1, 0xfee00000, 0x800fffff,
	};

	if (chance(2))
		return special[below(sizeof(special) / sizeof(*special))];
	return any() >> below(64);
}

static inline __u64 address(void)
{
	return chance(4) ? value() : IOVA + below(SIZE + PAGE);
}

/* What must be so, and is too often to be named each time */
static inline void must(bool good, const char *what)
{
	if (!good)
		expect(false, what);
}

/* ----- What the kernel may write to ----- */

static char *room;

/* A page behind which nothing is: whoever writes more than there is room for gets no further. */
static inline void make_room(void)
{
	room = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(room != MAP_FAILED && !mprotect(room + PAGE, PAGE, PROT_NONE), "room for the kernel");
}

/* Not just any: the program's own memory would be the kernel's to write, too. */
static inline void *pointer(void)
{
	const unsigned long wrong[] = {
		0, ~0UL, ~0UL << 12, 1UL << 63, (unsigned long)room + PAGE,
	};

	return chance(4) ? (void *)wrong[below(5)] : room + below(PAGE);
}

/**
 * struct tally - what came of something that was tried again and again
 * @accepted: it succeeded
 * @refused: it did not
 */
struct tally {
	unsigned long accepted;
	unsigned long refused;
};

static inline bool count(struct tally *t, bool accepted)
{
	if (accepted)
		t->accepted++;
	else
		t->refused++;
	return accepted;
}

#endif /* RVIOMMU_GUEST_VFIO_ANY_H */
