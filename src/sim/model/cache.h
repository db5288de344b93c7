/* SPDX-License-Identifier: GPL-2.0-only */
/* The IOMMU address translation caches. */
#ifndef RVIOMMU_MODEL_CACHE_H
#define RVIOMMU_MODEL_CACHE_H

#include "xlate.h"

/**
 * struct rviommu_m_entry - a cached entry
 * @next: hash chain, or the list of free entries
 * @pprev: what points to this entry in the chain
 * @list_next: list of entries of this kind
 * @list_pprev: what points to this entry in that list
 * @key: identity
 * @global: first stage: matches every PSCID
 * @checked: kind DC: @cause is known
 * @cause: kind DC: 0, or 259 if the context is misconfigured
 * @has_spa: @spa is known
 * @spa: DC, PC and PDT entries: supervisor-physical address of the table that the
 *       entry points to (%RVIOMMU_MODEL_CONTEXT_SPA)
 * @word: the entry as read from memory
 */
struct rviommu_m_entry {
	struct rviommu_m_entry *next;
	struct rviommu_m_entry **pprev;
	struct rviommu_m_entry *list_next;
	struct rviommu_m_entry **list_pprev;
	struct rviommu_m_key key;
	bool global;
	bool checked;
	bool has_spa;
	u16 cause;
	u64 spa;
	u64 word[8];
};

struct rviommu_m_entry *rviommu_m_cache_find(struct rviommu_model *m,
					     const struct rviommu_m_key *key);
struct rviommu_m_entry *rviommu_m_cache_insert(struct rviommu_m_xlate *x,
					       const struct rviommu_m_key *key,
					       const u64 *word, unsigned int n, bool global);
void rviommu_m_cache_clear(struct rviommu_model *m);
void rviommu_m_cache_free(struct rviommu_model *m);
void rviommu_m_cache_recheck(struct rviommu_model *m);
unsigned int rviommu_m_cache_list(struct rviommu_model *m, u32 kinds,
				  bool (*fn)(const struct rviommu_model_cached *entry, void *arg),
				  void *arg);
void rviommu_m_inval_vma(struct rviommu_model *m, u64 dword0, u64 dword1);
void rviommu_m_inval_gvma(struct rviommu_model *m, u64 dword0, u64 dword1);
void rviommu_m_inval_ddt(struct rviommu_model *m, bool dv, u32 did);
void rviommu_m_inval_pdt(struct rviommu_model *m, u32 did, u32 pid);

/* Is any entry of that kind and size cached? */
static inline bool rviommu_m_cache_has(const struct rviommu_model *m, unsigned int kind,
				       unsigned int shift)
{
	return m->cache.count[kind][shift];
}

#endif /* RVIOMMU_MODEL_CACHE_H */
