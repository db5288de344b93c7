// SPDX-License-Identifier: GPL-2.0-only
/*
 * The IOMMU address translation caches: "Caching in-memory data structures".
 *
 * Entries hold what was read from memory, unchanged, valid bit set; what they
 * mean is decided when they are used. Nothing leaves unless a command says so.
 * The cached PTEs of the two stages are kept apart: an invalidation of the
 * second stage then removes nothing of the first, and the other way round,
 * which is the least that the table of IOTINVAL operations asks for.
 */
#include "cache.h"
#include "state.h"

#define CHUNK_ENTRIES	32

struct rviommu_m_chunk {
	struct rviommu_m_chunk *next;
	struct rviommu_m_entry entry[CHUNK_ENTRIES];
};

/*
 * Soft-context IDs are no part of the hash, so that commands which do not name
 * one, and global mappings, find what they look for in one chain.
 */
static unsigned int hash(const struct rviommu_m_key *key)
{
	u64 h = key->index * 0x9e3779b97f4a7c15ULL;

	h ^= ((u64)key->kind << 32 | (u64)key->shift << 24 | key->device_id) *
	     0xc2b2ae3d27d4eb4fULL;
	return (h ^ h >> 29) >> 20 & (CACHE_BUCKETS - 1);
}

static bool is_first_stage(unsigned int kind)
{
	return kind == RVIOMMU_MODEL_S1 || kind == RVIOMMU_MODEL_S1_NONLEAF;
}

static bool matches(const struct rviommu_m_entry *e, const struct rviommu_m_key *key)
{
	return e->key.index == key->index && e->key.kind == key->kind &&
	       e->key.shift == key->shift && e->key.device_id == key->device_id &&
	       e->key.gv == key->gv && e->key.gscid == key->gscid &&
	       (e->key.pscid == key->pscid || e->global);
}

struct rviommu_m_entry *rviommu_m_cache_find(struct rviommu_model *m,
					     const struct rviommu_m_key *key)
{
	struct rviommu_m_entry *e;

	if (!m->cache.count[key->kind][key->shift])
		return NULL;
	for (e = m->cache.bucket[hash(key)]; e; e = e->next) {
		if (matches(e, key)) {
			m->stats.hits++;
			return e;
		}
	}
	return NULL;
}

static void unlink_entry(struct rviommu_m_cache *c, struct rviommu_m_entry *e)
{
	*e->pprev = e->next;
	if (e->next)
		e->next->pprev = e->pprev;
	*e->list_pprev = e->list_next;
	if (e->list_next)
		e->list_next->list_pprev = e->list_pprev;
	c->count[e->key.kind][e->key.shift]--;
	e->next = c->free;
	c->free = e;
}

static void grow(struct rviommu_m_cache *c)
{
	struct rviommu_m_chunk *chunk;
	unsigned int i, n = CHUNK_ENTRIES;

	if (c->limit)
		n = min(n, c->limit - c->allocated);
	if (!n)
		return;
	chunk = rviommu_shim_alloc_atomic(sizeof(*chunk));
	if (!chunk)
		return;
	chunk->next = c->chunks;
	c->chunks = chunk;
	for (i = 0; i < n; i++) {
		chunk->entry[i].next = c->free;
		c->free = &chunk->entry[i];
	}
	c->allocated += n;
}

/* Make room by dropping a random entry. True if there was one. */
static bool evict(struct rviommu_model *m)
{
	unsigned int i, start = rviommu_m_random(m) % CACHE_BUCKETS;

	for (i = 0; i < CACHE_BUCKETS; i++) {
		struct rviommu_m_entry *e = m->cache.bucket[(start + i) % CACHE_BUCKETS];

		if (!e)
			continue;
		unlink_entry(&m->cache, e);
		m->cache.evictions++;
		return true;
	}
	return false;
}

/*
 * Keep what a translation has read. Not if an invalidation came in between:
 * the words may be older than what the command promised to observe.
 *
 * Return: the entry, NULL if it is not kept.
 */
struct rviommu_m_entry *rviommu_m_cache_insert(struct rviommu_m_xlate *x,
					       const struct rviommu_m_key *key,
					       const u64 *word, unsigned int n, bool global)
{
	struct rviommu_model *m = x->m;
	struct rviommu_m_cache *c = &m->cache;
	struct rviommu_m_entry **head;
	struct rviommu_m_entry *e;

	if (m->generation != x->generation)
		return NULL;

	for (e = c->bucket[hash(key)]; e; e = e->next) {
		if (matches(e, key) && e->key.pscid == key->pscid)
			break;
	}
	if (e) {
		unlink_entry(c, e);
	} else if (!c->free) {
		grow(c);
		if (!c->free && !evict(m))
			return NULL;
	}

	e = c->free;
	c->free = e->next;
	memset(e, 0, sizeof(*e));
	e->key = *key;
	e->global = global;
	memcpy(e->word, word, n * sizeof(*word));

	head = &c->bucket[hash(key)];
	e->next = *head;
	e->pprev = head;
	if (e->next)
		e->next->pprev = &e->next;
	*head = e;

	head = &c->used[key->kind];
	e->list_next = *head;
	e->list_pprev = head;
	if (e->list_next)
		e->list_next->list_pprev = &e->list_next;
	*head = e;

	c->count[key->kind][key->shift]++;
	return e;
}

void rviommu_m_cache_clear(struct rviommu_model *m)
{
	unsigned int kind;

	for (kind = 0; kind < RVIOMMU_MODEL_NR_KINDS; kind++) {
		while (m->cache.used[kind])
			unlink_entry(&m->cache, m->cache.used[kind]);
	}
	m->generation++;
}

void rviommu_m_cache_free(struct rviommu_model *m)
{
	struct rviommu_m_chunk *chunk, *next;

	for (chunk = m->cache.chunks; chunk; chunk = next) {
		next = chunk->next;
		rviommu_shim_free(chunk);
	}
}

/* fctl changed: what is a legal device context must be found out again. */
void rviommu_m_cache_recheck(struct rviommu_model *m)
{
	struct rviommu_m_entry *e;

	for (e = m->cache.used[RVIOMMU_MODEL_DC]; e; e = e->list_next)
		e->checked = false;
	m->generation++;
}

/**
 * struct cache_range - the addresses a command names
 * @all: it names none: every entry, leaf or not
 * @nonleaf: those on the way to the leaves, too
 * @first: first address
 * @last: last address
 */
struct cache_range {
	bool all;
	bool nonleaf;
	u64 first;
	u64 last;
};

/*
 * ADDR, S and NL of an IOTINVAL: "Address Range Invalidation Extension",
 * "Non-leaf PTE Invalidation Extension".
 */
static struct cache_range decode_range(struct rviommu_model *m, u64 dword0, u64 dword1)
{
	u64 addr = FIELD_GET(RVIOMMU_CMD_IOTINVAL_ADDR, dword1) << RVIOMMU_PAGE_LG2;
	struct cache_range range = {
		.all = !(dword0 & RVIOMMU_CMD_IOTINVAL_AV),
		.nonleaf = dword0 & RVIOMMU_CMD_IOTINVAL_NL,
		.first = addr,
		.last = addr | 0xfff,
	};
	u64 ones;

	if (range.all || !(dword1 & RVIOMMU_CMD_IOTINVAL_S))
		return range;
	ones = addr | 0xfff;
	if (ones == ~0ULL) {
		rviommu_m_unspecified(m, "IOTINVAL with S=1 and all bits of ADDR set");
		range.first = 0;
		range.last = ~0ULL;
		return range;
	}
	/* Bits up to and including the lowest zero are the offset in the range. */
	ones ^= ones + 1;
	range.first = addr & ~ones;
	range.last = addr | ones;
	return range;
}

static bool in_cache_range(const struct rviommu_m_entry *e, const struct cache_range *range)
{
	unsigned int shift = e->key.shift;
	u64 first = e->key.index << shift;
	u64 last = first | ((1ULL << shift) - 1);

	return first <= range->last && last >= range->first;
}

/**
 * struct scope - whose entries a command removes
 * @gv: first stage: those of a guest
 * @gscv: @gscid counts
 * @pscv: @pscid counts, and global mappings stay
 * @gscid: guest soft-context
 * @pscid: process soft-context
 */
struct scope {
	bool gv;
	bool gscv;
	bool pscv;
	u16 gscid;
	u32 pscid;
};

static bool in_scope(const struct rviommu_m_entry *e, const struct scope *scope)
{
	if (is_first_stage(e->key.kind)) {
		if (e->key.gv != scope->gv)
			return false;
		if (scope->pscv && (e->global || e->key.pscid != scope->pscid))
			return false;
	}
	return !scope->gscv || e->key.gscid == scope->gscid;
}

static void drop(struct rviommu_model *m, unsigned int kind, const struct scope *scope,
		 const struct cache_range *range)
{
	struct rviommu_m_cache *c = &m->cache;
	struct rviommu_m_entry *e, *next;
	struct rviommu_m_key key = { .kind = kind };
	unsigned int shift;

	if (range->all || range->last - range->first > 0xfff) {
		for (e = c->used[kind]; e; e = next) {
			next = e->list_next;
			if (in_scope(e, scope) && (range->all || in_cache_range(e, range)))
				unlink_entry(c, e);
		}
		return;
	}
	/* One page: one chain per size of entry that exists. */
	for (shift = RVIOMMU_PAGE_LG2; shift < NR_SHIFTS; shift++) {
		if (!c->count[kind][shift])
			continue;
		key.shift = shift;
		key.index = range->first >> shift;
		for (e = c->bucket[hash(&key)]; e; e = next) {
			next = e->next;
			if (e->key.kind == kind && in_cache_range(e, range) && in_scope(e, scope))
				unlink_entry(c, e);
		}
	}
}

/* IOTINVAL.VMA: "IOMMU Page-Table cache invalidation commands", first table */
void rviommu_m_inval_vma(struct rviommu_model *m, u64 dword0, u64 dword1)
{
	struct cache_range range = decode_range(m, dword0, dword1);
	struct scope scope = {
		.gv = dword0 & RVIOMMU_CMD_IOTINVAL_GV,
		.gscv = dword0 & RVIOMMU_CMD_IOTINVAL_GV,
		.pscv = dword0 & RVIOMMU_CMD_IOTINVAL_PSCV,
		.gscid = FIELD_GET(RVIOMMU_CMD_IOTINVAL_GSCID, dword0),
		.pscid = FIELD_GET(RVIOMMU_CMD_IOTINVAL_PSCID, dword0),
	};

	drop(m, RVIOMMU_MODEL_S1, &scope, &range);
	if (range.all || range.nonleaf)
		drop(m, RVIOMMU_MODEL_S1_NONLEAF, &scope, &range);
	m->generation++;
}

/*
 * IOTINVAL.GVMA, second table. MSI PTEs are tagged and invalidated like leaf
 * PTEs of the second stage ("Caching in-memory data structures").
 */
void rviommu_m_inval_gvma(struct rviommu_model *m, u64 dword0, u64 dword1)
{
	struct scope scope = {
		.gscv = dword0 & RVIOMMU_CMD_IOTINVAL_GV,
		.gscid = FIELD_GET(RVIOMMU_CMD_IOTINVAL_GSCID, dword0),
	};
	struct cache_range range = { .all = true };

	if (scope.gscv)
		range = decode_range(m, dword0, dword1);
	drop(m, RVIOMMU_MODEL_S2, &scope, &range);
	drop(m, RVIOMMU_MODEL_MSI, &scope, &range);
	if (range.all || range.nonleaf)
		drop(m, RVIOMMU_MODEL_S2_NONLEAF, &scope, &range);
	m->generation++;
}

static void drop_device(struct rviommu_model *m, unsigned int kind, bool dv, u32 did)
{
	struct rviommu_m_entry *e, *next;

	for (e = m->cache.used[kind]; e; e = next) {
		next = e->list_next;
		if (!dv || e->key.device_id == did)
			unlink_entry(&m->cache, e);
	}
}

/*
 * IODIR.INVAL_DDT: with DV the device's leaf entry and everything of its
 * process directory; non-leaf DDT entries go only without DV.
 */
void rviommu_m_inval_ddt(struct rviommu_model *m, bool dv, u32 did)
{
	if (!dv)
		drop_device(m, RVIOMMU_MODEL_DDTE, false, 0);
	drop_device(m, RVIOMMU_MODEL_DC, dv, did);
	drop_device(m, RVIOMMU_MODEL_PDTE, dv, did);
	drop_device(m, RVIOMMU_MODEL_PC, dv, did);
	m->generation++;
}

/* IODIR.INVAL_PDT: the leaf entry only */
void rviommu_m_inval_pdt(struct rviommu_model *m, u32 did, u32 pid)
{
	struct rviommu_m_key key = {
		.kind = RVIOMMU_MODEL_PC, .device_id = did, .index = pid,
	};
	struct rviommu_m_entry *e = rviommu_m_cache_find(m, &key);

	if (e)
		unlink_entry(&m->cache, e);
	m->generation++;
}

static void describe(const struct rviommu_m_entry *e, struct rviommu_model_cached *out)
{
	memset(out, 0, sizeof(*out));
	out->kind = e->key.kind;
	out->shift = e->key.shift;
	out->gv = e->key.gv;
	out->global = e->global;
	out->gscid = e->key.gscid;
	out->pscid = e->key.pscid;
	out->device_id = e->key.device_id;
	switch (e->key.kind) {
	case RVIOMMU_MODEL_DDTE:
		out->device_id = e->key.index << e->key.shift;
		break;
	case RVIOMMU_MODEL_DC:
		break;
	case RVIOMMU_MODEL_PDTE:
	case RVIOMMU_MODEL_PC:
		out->process_id = e->key.index << e->key.shift;
		break;
	default:
		out->addr = e->key.index << e->key.shift;
		break;
	}
	memcpy(out->word, e->word, sizeof(out->word));
}

/* Call fn for each entry of these kinds; it counts if that returns true, or if there is none. */
unsigned int rviommu_m_cache_list(struct rviommu_model *m, u32 kinds,
				  bool (*fn)(const struct rviommu_model_cached *entry, void *arg),
				  void *arg)
{
	struct rviommu_model_cached cached;
	struct rviommu_m_entry *e;
	unsigned int kind, n = 0;

	for (kind = 0; kind < RVIOMMU_MODEL_NR_KINDS; kind++) {
		if (!(kinds & 1U << kind))
			continue;
		for (e = m->cache.used[kind]; e; e = e->list_next) {
			describe(e, &cached);
			if (!fn || fn(&cached, arg))
				n++;
		}
	}
	return n;
}
