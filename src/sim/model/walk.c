// SPDX-License-Identifier: GPL-2.0-only
/*
 * Both stages of address translation, as in the privileged architecture
 * ("Virtual Address Translation Process", "Two-Stage Address Translation") with
 * Svnapot, Svpbmt and Svrsw60t59b. Zicfiss encodings stay reserved.
 */
#include "cache.h"
#include "hpm.h"
#include "mem.h"
#include "state.h"
#include "walk.h"

#define PTE_RESERVED		GENMASK_ULL(60, 54)
#define PTE_RSW60T59B		GENMASK_ULL(60, 59)
#define NAPOT_LG2		16

/*
 * How often a PTE may change under the IOMMU's compare-and-swap before it
 * gives up with "Internal data path error".
 */
#define MAX_CAS			1000

/**
 * struct access - why one stage is walked
 * @need: permissions without which it is a fault
 * @set_d: it is a write: D must be or become 1
 * @report: ATS: lacking permissions are not a fault but left out of the answer
 * @implicit: second stage: an access to a table of the first stage or the PDT
 */
struct access {
	u8 need;
	bool set_d;
	bool report;
	bool implicit;
};

u16 rviommu_m_access_cause(const struct rviommu_m_xlate *x)
{
	if (x->walks_pdt)
		return CAUSE_PDT_ACCESS;
	if (x->req->exec)
		return CAUSE_INSTR_ACCESS;
	return x->req->write ? CAUSE_WRITE_ACCESS : CAUSE_READ_ACCESS;
}

static u16 memory_cause(const struct rviommu_m_xlate *x, int ret)
{
	if (ret == RVIOMMU_MODEL_MEM_FAULT)
		return rviommu_m_access_cause(x);
	return x->walks_pdt ? CAUSE_PDT_CORRUPT : CAUSE_PT_CORRUPT;
}

/* A page fault of the original access type, whatever access met it */
static u16 page_cause(struct rviommu_m_xlate *x, const struct rviommu_m_stage *st, u64 addr,
		      const struct access *access)
{
	u16 cause = CAUSE_READ_PAGE;

	if (x->req->exec)
		cause = CAUSE_INSTR_PAGE;
	else if (x->req->write)
		cause = CAUSE_WRITE_PAGE;
	if (!st->second)
		return cause;

	x->iotval2 = addr & ~3ULL;
	if (access->implicit) {
		x->iotval2 |= RVIOMMU_FAULT_IOTVAL2_IMPLICIT;
		if (access->set_d)
			x->iotval2 |= RVIOMMU_FAULT_IOTVAL2_WRITE;
	}
	return cause + CAUSE_READ_GUEST - CAUSE_READ_PAGE;
}

static unsigned int stage_levels(const struct rviommu_m_stage *st)
{
	return st->sv32 ? 2 : st->mode - RVIOMMU_ATP_MODE_SV39 + 3;
}

static unsigned int level_shift(const struct rviommu_m_stage *st, unsigned int level)
{
	return RVIOMMU_PAGE_LG2 + (st->sv32 ? 10 : 9) * level;
}

/* Is the address one that this stage can translate? */
static bool address_ok(const struct rviommu_m_xlate *x, const struct rviommu_m_stage *st, u64 addr)
{
	unsigned int bits = level_shift(st, stage_levels(st));
	u64 sign;

	if (st->second) {
		if (x->dc[RVIOMMU_DC_TC] & RVIOMMU_DC_TC_SXL && addr >> 34)
			return false;
		return !(addr >> (bits + 2));
	}
	if (st->sv32)
		return !(addr >> 32);
	sign = addr >> (bits - 1);
	return !sign || sign == ~0ULL >> (bits - 1);
}

static u64 pte_ppn(const struct rviommu_m_stage *st, u64 pte)
{
	return st->sv32 ? pte >> RVIOMMU_PTE_PPN_SHIFT : FIELD_GET(RVIOMMU_PTE_PPN, pte);
}

/* Steps 3 to 5 of the process: is this a well-formed PTE? V is set. */
static bool pte_ok(struct rviommu_model *m, const struct rviommu_m_stage *st, u64 pte,
		   unsigned int level)
{
	u64 ppn = pte_ppn(st, pte);
	u64 reserved = 0;

	if (!st->sv32) {
		reserved = PTE_RESERVED;
		if (m->cap & RVIOMMU_CAP_SVRSW60T59B)
			reserved &= ~PTE_RSW60T59B;
		if (!(m->cap & RVIOMMU_CAP_SVPBMT) || !(pte & RVIOMMU_PTE_LEAF))
			reserved |= RVIOMMU_PTE_PBMT;
		if (level || !(pte & RVIOMMU_PTE_LEAF))
			reserved |= RVIOMMU_PTE_N;
	}
	if (!(pte & RVIOMMU_PTE_LEAF)) {
		reserved |= RVIOMMU_PTE_D | RVIOMMU_PTE_A | RVIOMMU_PTE_U;
		return level && !(pte & reserved);
	}
	if (pte & reserved || (pte & RVIOMMU_PTE_W && !(pte & RVIOMMU_PTE_R)))
		return false;
	if (st->sv32)
		return !level || !(ppn & 0x3ff);
	if (FIELD_GET(RVIOMMU_PTE_PBMT, pte) == 3)
		return false;
	if (pte & RVIOMMU_PTE_N)
		return (ppn & 0xf) == 8;
	return !(ppn & ((1ULL << (9 * level)) - 1));
}

/* Step 6 and 7: what this PTE allows to the access. */
static u8 pte_perms(const struct rviommu_m_xlate *x, const struct rviommu_m_stage *st, u64 pte)
{
	u8 perms = 0;

	if (pte & RVIOMMU_PTE_R)
		perms |= RVIOMMU_MODEL_R;
	if (pte & RVIOMMU_PTE_W)
		perms |= RVIOMMU_MODEL_W;
	if (pte & RVIOMMU_PTE_X)
		perms |= RVIOMMU_MODEL_X;
	/* The second stage treats every access as one of user mode. */
	if (st->second || !x->priv)
		return pte & RVIOMMU_PTE_U ? perms : 0;
	if (!(pte & RVIOMMU_PTE_U))
		return perms;
	return x->sum ? perms & ~RVIOMMU_MODEL_X : 0;
}

static unsigned int pte_kind(const struct rviommu_m_stage *st, bool leaf)
{
	if (st->second)
		return leaf ? RVIOMMU_MODEL_S2 : RVIOMMU_MODEL_S2_NONLEAF;
	return leaf ? RVIOMMU_MODEL_S1 : RVIOMMU_MODEL_S1_NONLEAF;
}

static struct rviommu_m_key pte_key(const struct rviommu_m_xlate *x,
				    const struct rviommu_m_stage *st, u64 addr,
				    unsigned int level, bool leaf)
{
	struct rviommu_m_key key = {
		.kind = pte_kind(st, leaf),
		.shift = level_shift(st, level),
		.index = addr >> level_shift(st, level),
		.gscid = x->gscid,
	};

	if (!st->second) {
		key.gv = x->s2.mode != RVIOMMU_ATP_MODE_BARE;
		key.pscid = x->pscid;
	}
	return key;
}

static struct rviommu_m_entry *find_pte(const struct rviommu_m_xlate *x,
					const struct rviommu_m_stage *st, u64 addr,
					unsigned int level, bool leaf)
{
	struct rviommu_m_key key;

	if (!rviommu_m_cache_has(x->m, pte_kind(st, leaf), level_shift(st, level)))
		return NULL;
	key = pte_key(x, st, addr, level, leaf);
	return rviommu_m_cache_find(x->m, &key);
}

/**
 * struct position - where a walk is
 * @level: of @pte
 * @table: address of the table it is in; of a two-stage first stage,
 *         guest-physical. Only known if @pte was read from memory.
 * @pte: the entry
 * @addr: where it was read, as @table
 * @spa: the same, supervisor-physical
 * @global: first stage: an entry above was global
 * @cached: a leaf that comes from a cache
 */
struct position {
	unsigned int level;
	u64 table;
	u64 pte;
	u64 addr;
	u64 spa;
	bool global;
	bool cached;
};

/* Read the entry for @addr in the table of @pos, and keep it if it is valid. */
static u16 read_pte(struct rviommu_m_xlate *x, const struct rviommu_m_stage *st, u64 addr,
		    struct position *pos)
{
	unsigned int levels = stage_levels(st);
	u64 index = addr >> level_shift(st, pos->level);
	struct rviommu_m_key key;
	bool leaf;
	u16 cause;
	int ret;

	/* The root of the second stage is four times as large. */
	if (pos->level != levels - 1)
		index &= st->sv32 ? 0x3ff : 0x1ff;
	else if (st->second)
		index &= st->sv32 ? 0xfff : 0x7ff;
	else
		index &= st->sv32 ? 0x3ff : 0x1ff;
	pos->addr = pos->table + index * (st->sv32 ? 4 : 8);
	pos->spa = pos->addr;
	if (!st->second) {
		if (pos->level == levels - 1)
			cause = rviommu_m_context_table(x, &x->owner, pos->addr, &pos->spa);
		else
			cause = rviommu_m_implicit(x, pos->addr, false, &pos->spa);
		if (cause)
			return cause;
	}
	ret = rviommu_m_read_pte(x->m, pos->spa, st->be, st->sv32, &pos->pte);
	if (ret)
		return memory_cause(x, ret);
	pos->cached = false;
	if (!(pos->pte & RVIOMMU_PTE_V))
		return 0;
	leaf = pos->pte & RVIOMMU_PTE_LEAF;
	key = pte_key(x, st, addr, pos->level, leaf);
	rviommu_m_cache_insert(x, &key, &pos->pte, 1,
			       !st->second && (pos->global || pos->pte & RVIOMMU_PTE_G));
	return 0;
}

/* A leaf for @addr in the caches */
static bool cached_leaf(const struct rviommu_m_xlate *x, const struct rviommu_m_stage *st,
			u64 addr, struct position *pos)
{
	unsigned int level, levels = stage_levels(st);
	struct rviommu_m_entry *e;

	for (level = 0; level < levels; level++) {
		e = find_pte(x, st, addr, level, true);
		if (!e)
			continue;
		pos->level = level;
		pos->pte = e->word[0];
		pos->global = e->global;
		pos->cached = true;
		return true;
	}
	return false;
}

/* Begin a walk at the cached non-leaf entry nearest to the leaf, or the root. */
static u16 first_entry(struct rviommu_m_xlate *x, const struct rviommu_m_stage *st, u64 addr,
		       struct position *pos)
{
	unsigned int level, levels = stage_levels(st);
	struct rviommu_m_entry *e;

	for (level = 1; level < levels; level++) {
		e = find_pte(x, st, addr, level, false);
		if (!e)
			continue;
		pos->level = level;
		pos->pte = e->word[0];
		pos->global = e->global;
		return 0;
	}
	pos->level = levels - 1;
	pos->table = st->root;
	pos->global = false;
	return read_pte(x, st, addr, pos);
}

/*
 * Set A, and D for a write, in the leaf at @pos by compare-and-swap. In a
 * two-stage first stage that is an implicit write. *again: the PTE was changed
 * by somebody else and must be looked at afresh.
 */
static u16 update_pte(struct rviommu_m_xlate *x, const struct rviommu_m_stage *st, u64 addr,
		      struct position *pos, bool set_d, bool *again)
{
	u64 new = pos->pte | RVIOMMU_PTE_A | (set_d ? RVIOMMU_PTE_D : 0);
	struct rviommu_m_key key;
	bool done;
	u16 cause;
	int ret;

	*again = false;
	if (!st->second) {
		cause = rviommu_m_implicit(x, pos->addr, true, &pos->spa);
		if (cause)
			return cause;
	}
	ret = rviommu_m_cas_pte(x->m, pos->spa, st->be, st->sv32, pos->pte, new, &done);
	if (ret)
		return memory_cause(x, ret);
	if (!done) {
		*again = true;
		return 0;
	}
	pos->pte = new;
	key = pte_key(x, st, addr, pos->level, true);
	rviommu_m_cache_insert(x, &key, &pos->pte, 1, !st->second && pos->global);
	return 0;
}

static void fill_mapping(const struct rviommu_m_stage *st, u64 addr, const struct position *pos,
			 u8 perms, struct rviommu_m_mapping *map)
{
	u64 ppn = pte_ppn(st, pos->pte);
	u64 offset;

	map->size_lg2 = level_shift(st, pos->level);
	map->pbmt = 0;
	if (!st->sv32) {
		map->pbmt = FIELD_GET(RVIOMMU_PTE_PBMT, pos->pte);
		if (pos->pte & RVIOMMU_PTE_N) {
			map->size_lg2 = NAPOT_LG2;
			ppn &= ~0xfULL;
		}
	}
	offset = addr & ((1ULL << map->size_lg2) - 1);
	map->pa = (ppn << RVIOMMU_PAGE_LG2) | offset;
	map->perms = perms;
	map->global = pos->global;
}

static u16 walk(struct rviommu_m_xlate *x, const struct rviommu_m_stage *st, u64 addr,
		const struct access *access, struct rviommu_m_mapping *map)
{
	struct position pos = { 0 };
	bool again, set_d;
	unsigned int tries = 0;
	u16 cause = 0;
	u8 perms;

	if (!address_ok(x, st, addr))
		return page_cause(x, st, addr, access);
	if (!cached_leaf(x, st, addr, &pos)) {
		x->missed = true;
begin:
		rviommu_m_count(x, st->second ? EVENT_S2_WALK : EVENT_S1_WALK);
		cause = first_entry(x, st, addr, &pos);
	}
	for (;;) {
		if (cause)
			return cause;
		if (!(pos.pte & RVIOMMU_PTE_V) || !pte_ok(x->m, st, pos.pte, pos.level))
			return page_cause(x, st, addr, access);
		if (!st->second && pos.pte & RVIOMMU_PTE_G)
			pos.global = true;
		if (!(pos.pte & RVIOMMU_PTE_LEAF)) {
			pos.table = pte_ppn(st, pos.pte) << RVIOMMU_PAGE_LG2;
			pos.level--;
			cause = read_pte(x, st, addr, &pos);
			continue;
		}

		perms = pte_perms(x, st, pos.pte);
		if (!perms || (perms & access->need) != access->need)
			return page_cause(x, st, addr, access);
		set_d = access->set_d && perms & RVIOMMU_MODEL_W;
		if (pos.pte & RVIOMMU_PTE_A && !(set_d && !(pos.pte & RVIOMMU_PTE_D)))
			break;
		/*
		 * "Translation control", SADE and GADE: a page fault if A is 0, or if the access
		 * is a store and D is 0. A Translation Request that asks for write permission
		 * stands for the stores that will follow it, so it meets that fault, and "PCIe
		 * ATS translation request handling" answers a Write/AMO page fault with R and W
		 * 0. The paragraph there that leaves the other permissions as they are is about
		 * pages without write permission: D is none.
		 */
		if (!st->ade || x->speculative)
			return page_cause(x, st, addr, access);
		/* Not by what a cache says the PTE once was */
		if (pos.cached)
			goto begin;
		cause = update_pte(x, st, addr, &pos, set_d, &again);
		if (!again)
			continue;
		if (++tries > MAX_CAS)
			return CAUSE_INTERNAL;
		cause = read_pte(x, st, addr, &pos);
	}

	/* The device must not write by a translation that has not set D. */
	if (access->report && !(pos.pte & RVIOMMU_PTE_D))
		perms &= ~RVIOMMU_MODEL_W;
	fill_mapping(st, addr, &pos, perms, map);
	return 0;
}

static void identity(u64 addr, struct rviommu_m_mapping *map)
{
	map->pa = addr;
	map->size_lg2 = 64;
	map->perms = RVIOMMU_MODEL_R | RVIOMMU_MODEL_W | RVIOMMU_MODEL_X;
	map->pbmt = 0;
	map->global = false;
}

/* The access of the transaction itself */
static struct access explicit_access(const struct rviommu_m_xlate *x)
{
	return (struct access) {
		.need = x->ats ? 0 : x->need,
		.set_d = x->req->write,
		.report = x->ats,
	};
}

u16 rviommu_m_first_stage(struct rviommu_m_xlate *x, u64 iova, struct rviommu_m_mapping *map)
{
	struct access access = explicit_access(x);

	identity(iova, map);
	if (x->s1.mode == RVIOMMU_ATP_MODE_BARE)
		return 0;
	return walk(x, &x->s1, iova, &access, map);
}

/* What the first stage permits is in first: an ATS request sets D for no more. */
u16 rviommu_m_second_stage(struct rviommu_m_xlate *x, u64 gpa, u8 first,
			   struct rviommu_m_mapping *map)
{
	struct access access = explicit_access(x);

	if (!(first & RVIOMMU_MODEL_W))
		access.set_d = false;
	identity(gpa, map);
	if (x->s2.mode == RVIOMMU_ATP_MODE_BARE)
		return 0;
	return walk(x, &x->s2, gpa, &access, map);
}

/* Second stage for a table of the first stage, or of the process directory */
u16 rviommu_m_implicit(struct rviommu_m_xlate *x, u64 gpa, bool write, u64 *spa)
{
	struct access access = {
		.need = write ? RVIOMMU_MODEL_W : RVIOMMU_MODEL_R,
		.set_d = write,
		.implicit = true,
	};
	struct rviommu_m_mapping map;
	u16 cause;

	*spa = gpa;
	if (x->s2.mode == RVIOMMU_ATP_MODE_BARE)
		return 0;
	cause = walk(x, &x->s2, gpa, &access, &map);
	if (!cause)
		*spa = map.pa;
	return cause;
}

/*
 * Translate the address of an entry in a table that a context, or a non-leaf entry of the
 * process directory, points to. With CONTEXT_SPA the result stays with the cached entry.
 */
u16 rviommu_m_context_table(struct rviommu_m_xlate *x, const struct rviommu_m_key *owner,
			    u64 gpa, u64 *spa)
{
	struct rviommu_m_entry *e;
	u16 cause;

	*spa = gpa;
	if (x->s2.mode == RVIOMMU_ATP_MODE_BARE)
		return 0;
	if (!rviommu_m_switch(x->m, RVIOMMU_MODEL_CONTEXT_SPA))
		return rviommu_m_implicit(x, gpa, false, spa);

	e = rviommu_m_cache_find(x->m, owner);
	if (e && e->has_spa) {
		*spa = e->spa | (gpa & 0xfff);
		return 0;
	}
	cause = rviommu_m_implicit(x, gpa, false, spa);
	if (cause || x->generation != x->m->generation)
		return cause;
	e = rviommu_m_cache_find(x->m, owner);
	if (e) {
		e->spa = *spa & ~0xfffULL;
		e->has_spa = true;
	}
	return 0;
}
