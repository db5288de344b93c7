// SPDX-License-Identifier: GPL-2.0-only
/*
 * Implicit memory accesses of the IOMMU, in either byte order ("Endianness of
 * in-memory data structures").
 */
#include "mem.h"
#include "state.h"

/* The physical address space ranges from 0 to 2^PAS - 1, "IOMMU capabilities". */
static bool addressable(struct rviommu_model *m, u64 addr)
{
	return !(addr >> FIELD_GET(RVIOMMU_CAP_PAS, m->cap));
}

int rviommu_m_read(struct rviommu_model *m, u64 addr, bool be, u64 *value)
{
	int ret;

	*value = 0;
	if (!addressable(m, addr))
		return RVIOMMU_MODEL_MEM_FAULT;
	m->stats.reads++;
	ret = m->ops->read64(m->ctx, addr, value);
	if (be)
		*value = swab64(*value);
	return ret;
}

/*
 * Read a structure of n doublewords. "The IOMMU may read the fields in any
 * order": with WORD_BY_WORD it does, and software gets on with its work
 * meanwhile.
 */
int rviommu_m_read_words(struct rviommu_model *m, u64 addr, bool be, u64 *word, unsigned int n)
{
	bool torn = rviommu_m_switch(m, RVIOMMU_MODEL_WORD_BY_WORD);
	u8 order[RVIOMMU_DC_WORDS_EXT];
	unsigned int i, j;
	int ret;

	for (i = 0; i < n; i++) {
		order[i] = i;
		if (!torn)
			continue;
		j = rviommu_m_random(m) % (i + 1);
		order[i] = order[j];
		order[j] = i;
	}
	for (i = 0; i < n; i++) {
		if (torn)
			rviommu_m_other_work(m);
		ret = rviommu_m_read(m, addr + 8 * order[i], be, &word[order[i]]);
		if (ret)
			return ret;
	}
	return RVIOMMU_MODEL_MEM_OK;
}

int rviommu_m_write(struct rviommu_model *m, u64 addr, bool be, u64 value)
{
	if (!addressable(m, addr))
		return RVIOMMU_MODEL_MEM_FAULT;
	return m->ops->write64(m->ctx, addr, be ? swab64(value) : value);
}

int rviommu_m_write32(struct rviommu_model *m, u64 addr, bool be, u32 value)
{
	if (!addressable(m, addr))
		return RVIOMMU_MODEL_MEM_FAULT;
	return m->ops->write32(m->ctx, addr, be ? swab32(value) : value);
}

/* A PTE of Sv32 and Sv32x4 is half a doubleword. */
static u64 pte_from(u64 memory, u64 addr, bool be, bool sv32)
{
	u32 half;

	if (!sv32)
		return be ? swab64(memory) : memory;
	half = memory >> (8 * (addr & 4));
	return be ? swab32(half) : half;
}

static u64 pte_into(u64 memory, u64 addr, bool be, bool sv32, u64 pte)
{
	unsigned int shift = 8 * (addr & 4);
	u32 half;

	if (!sv32)
		return be ? swab64(pte) : pte;
	half = be ? swab32(pte) : pte;
	return (memory & ~(0xffffffffULL << shift)) | ((u64)half << shift);
}

int rviommu_m_read_pte(struct rviommu_model *m, u64 addr, bool be, bool sv32, u64 *pte)
{
	u64 memory;
	int ret;

	ret = rviommu_m_read(m, addr & ~7ULL, false, &memory);
	*pte = pte_from(memory, addr, be, sv32);
	return ret;
}

/*
 * Compare and swap one PTE. *done is false if it was no longer the old one.
 * With a 4-byte PTE a change of its neighbour makes us try again.
 */
int rviommu_m_cas_pte(struct rviommu_model *m, u64 addr, bool be, bool sv32, u64 old, u64 new,
		      bool *done)
{
	u64 expected, found;
	int ret;

	*done = false;
	if (!addressable(m, addr))
		return RVIOMMU_MODEL_MEM_FAULT;
	ret = rviommu_m_read(m, addr & ~7ULL, false, &found);
	if (ret)
		return ret;
	do {
		if (pte_from(found, addr, be, sv32) != old)
			return RVIOMMU_MODEL_MEM_OK;
		expected = found;
		ret = m->ops->cas64(m->ctx, addr & ~7ULL, &found,
				    pte_into(found, addr, be, sv32, new));
		if (ret)
			return ret;
	} while (found != expected);
	*done = true;
	return RVIOMMU_MODEL_MEM_OK;
}

/*
 * Set one interrupt-pending bit of an MRIF. Its doublewords are always
 * little-endian (Advanced Interrupt Architecture, "Format of a memory-resident
 * interrupt file"). Without AMO_MRIF this is a plain read-modify-write.
 */
int rviommu_m_set_bit(struct rviommu_model *m, u64 addr, u64 bit, bool atomic)
{
	u64 expected, found;
	int ret;

	ret = rviommu_m_read(m, addr, false, &found);
	if (ret)
		return ret;
	if (!atomic)
		return rviommu_m_write(m, addr, false, found | bit);
	do {
		expected = found;
		ret = m->ops->cas64(m->ctx, addr, &found, found | bit);
	} while (!ret && found != expected);
	return ret;
}
