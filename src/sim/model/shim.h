/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All that the model takes from where it runs: kernel or user space. No other
 * file of the model includes anything from outside the project.
 */
#ifndef RVIOMMU_MODEL_SHIM_H
#define RVIOMMU_MODEL_SHIM_H

#ifdef __KERNEL__

#include <linux/array_size.h>
#include <linux/atomic.h>
#include <linux/bitfield.h>
#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/export.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/swab.h>
#include <linux/types.h>

/**
 * struct rviommu_shim_lock - what serialises the callers of one model
 * @lock: held with interrupts off
 * @flags: interrupt state of the holder; belongs to it
 */
struct rviommu_shim_lock {
	spinlock_t lock;	/* all of the model */
	unsigned long flags;
};

static inline void rviommu_shim_lock_init(struct rviommu_shim_lock *l)
{
	spin_lock_init(&l->lock);
}

static inline void rviommu_shim_lock(struct rviommu_shim_lock *l)
	__acquires(&l->lock)
{
	unsigned long flags;

	spin_lock_irqsave(&l->lock, flags);
	l->flags = flags;
}

static inline void rviommu_shim_unlock(struct rviommu_shim_lock *l)
	__releases(&l->lock)
{
	unsigned long flags = l->flags;

	spin_unlock_irqrestore(&l->lock, flags);
}

/*
 * Let others in for a moment, but no interrupt: one that polls the model until what its caller
 * is about is done would wait for the thread that it has interrupted.
 */
static inline unsigned long rviommu_shim_pause(struct rviommu_shim_lock *l)
	__releases(&l->lock)
{
	unsigned long flags = l->flags;

	spin_unlock(&l->lock);
	return flags;
}

static inline void rviommu_shim_resume(struct rviommu_shim_lock *l, unsigned long flags)
	__acquires(&l->lock)
{
	spin_lock(&l->lock);
	l->flags = flags;
}

/* A count that goes up under the lock and down without it */
typedef atomic_t rviommu_shim_count;

static inline void rviommu_shim_up(rviommu_shim_count *count)
{
	atomic_inc(count);
}

/* Not below 0. What the caller did before, and does after, is ordered against it. */
static inline void rviommu_shim_down(rviommu_shim_count *count)
{
	atomic_dec_if_positive(count);
	smp_mb__after_atomic(); /* orders when it was 0, too */
}

static inline u32 rviommu_shim_counted(const rviommu_shim_count *count)
{
	return atomic_read(count);
}

static inline void rviommu_shim_mb(void)
{
	smp_mb(); /* callers say what it pairs with */
}

/* Zeroed memory; may sleep. */
static inline void *rviommu_shim_alloc(size_t size)
{
	return kvzalloc(size, GFP_KERNEL);
}

/* Zeroed memory; does not sleep, so more likely to fail. */
static inline void *rviommu_shim_alloc_atomic(size_t size)
{
	return kzalloc(size, GFP_ATOMIC | __GFP_NOWARN);
}

static inline void rviommu_shim_free(const void *memory)
{
	kvfree(memory);
}

#else /* !__KERNEL__ */

#include <assert.h>
#include <linux/bits.h>
#include <linux/types.h>
#include <stdlib.h>
#include <string.h>

/* What tests in other kernel modules call. */
#define EXPORT_SYMBOL_GPL(name)	static_assert(sizeof(__typeof__(name) *), "a function")

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define FIELD_GET(mask, value)	(((value) & (mask)) >> __builtin_ctzll(mask))
#define FIELD_PREP(mask, value)	(((u64)(value) << __builtin_ctzll(mask)) & (mask))
#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)
#define noinline
#define min(a, b)							\
	({ __auto_type _a = (a); __auto_type _b = (b); _a < _b ? _a : _b; })

static inline u32 swab32(u32 value)
{
	return __builtin_bswap32(value);
}

static inline u64 swab64(u64 value)
{
	return __builtin_bswap64(value);
}

/* One thread at a time: nothing to lock. */
struct rviommu_shim_lock {
	bool held;
};

static inline void rviommu_shim_lock_init(struct rviommu_shim_lock *l)
{
	l->held = false;
}

static inline void rviommu_shim_lock(struct rviommu_shim_lock *l)
{
	/* A callback that must not call the model did. */
	if (l->held)
		abort();
	l->held = true;
}

static inline void rviommu_shim_unlock(struct rviommu_shim_lock *l)
{
	if (!l->held)
		abort();
	l->held = false;
}

static inline unsigned long rviommu_shim_pause(struct rviommu_shim_lock *l)
{
	rviommu_shim_unlock(l);
	return 0;
}

static inline void rviommu_shim_resume(struct rviommu_shim_lock *l, unsigned long flags)
{
	(void)flags;
	rviommu_shim_lock(l);
}

typedef u32 rviommu_shim_count;

#define READ_ONCE(x)	(x)

static inline void rviommu_shim_up(rviommu_shim_count *count)
{
	++*count;
}

static inline void rviommu_shim_down(rviommu_shim_count *count)
{
	if (*count)
		--*count;
}

static inline u32 rviommu_shim_counted(const rviommu_shim_count *count)
{
	return *count;
}

static inline void rviommu_shim_mb(void)
{
}

static inline void *rviommu_shim_alloc(size_t size)
{
	return calloc(1, size);
}

static inline void *rviommu_shim_alloc_atomic(size_t size)
{
	return calloc(1, size);
}

static inline void rviommu_shim_free(void *memory)
{
	free(memory);
}

#endif /* __KERNEL__ */

#endif /* RVIOMMU_MODEL_SHIM_H */
