// SPDX-License-Identifier: GPL-2.0-only
/*
 * One stage and two stages of address translation. "Priv" stands for the
 * privileged architecture.
 */
#include "test/bench.h"

#define SV39	RVIOMMU_ATP_MODE_SV39
#define SV57	RVIOMMU_ATP_MODE_SV57
#define IOVA	0x12345678000ULL	/* fits 41 bits */
#define VA39	0x2345678000ULL		/* fits the lower half of Sv39 */

static u64 root1, root2;

/* One first stage for DID by DC.fsc */
static void first_stage(unsigned int mode, u64 tc)
{
	struct rviommu_dc dc;

	bench_up();
	root1 = new_page();
	dc = dc_first(fsc(mode, root1));
	dc.word[0] |= tc;
	dc_write(DID, &dc);
}

static void second_stage(unsigned int mode, u64 tc)
{
	struct rviommu_dc dc;

	bench_up();
	root2 = new_root();
	dc = dc_second(iohgatp(mode, root2));
	dc.word[0] |= tc;
	dc_write(DID, &dc);
}

/* Sv39 on Sv39x4; tables of the first stage are mapped one to one. */
static void two_stages(u64 tc)
{
	struct rviommu_dc dc;
	u64 page;

	bench_up();
	root2 = new_root();
	root1 = new_page();
	for (page = root1; page < root1 + 0x10000; page += 0x1000)
		map(root2, SV39, page, page, PTE_RWX);
	bench.pool = root1 + 0x1000;
	/* tables of the second stage must not collide */
	bench.pool += 0x100000;
	dc = dc_first(fsc(SV39, root1));
	dc.word[0] |= tc;
	dc.word[1] = iohgatp(SV39, root2);
	dc_write(DID, &dc);
}

/* A first-stage mapping with tables at fixed places root1 + 0x1000, 0x2000 */
static u64 map1(u64 iova, u64 gpa, u64 flags)
{
	u64 l1 = root1 + 0x1000, l0 = root1 + 0x2000;

	mem_write(root1 + 8 * (iova >> 30 & 511), pte(l1, RVIOMMU_PTE_V));
	mem_write(l1 + 8 * (iova >> 21 & 511), pte(l0, RVIOMMU_PTE_V));
	mem_write(l0 + 8 * (iova >> 12 & 511), pte(gpa, flags));
	return l0 + 8 * (iova >> 12 & 511);
}

static void all_gone(void)
{
	inval_vma(0, 0, 0, 0);
	inval_vma(RVIOMMU_CMD_IOTINVAL_GV, 0, GSCID, 0);
	inval_gvma(0, 0, 0);
	wr32(RVIOMMU_REG_FQH, faults());
}

/* Priv, "Virtual Address Translation Process": depths of Sv39, Sv48, Sv57 */
static void first_stage_modes(void)
{
	struct rviommu_model_request req = request(IOVA + 0x678);
	unsigned int mode, level;

	for (mode = SV39; mode <= SV57; mode++) {
		for (level = 0; level <= mode - 6; level++) {
			u64 size = 1ULL << (12 + 9 * level);
			u64 iova = mode == SV39 ? VA39 : IOVA;
			u64 pa = 3 * size;

			if (pa >> 56)
				continue;
			first_stage(mode, 0);
			mem_write(pte_addr(root1, mode, iova, level), pte(pa, PTE_RWX));
			req.iova = iova + 0x678;
			expect_pa(&req, pa + (req.iova & (size - 1)));
			CHECK_EQ(1ULL << rsp.size_lg2, size);
			CHECK_EQ(rsp.perms, 7);
		}
	}
}

/* Priv: the unused upper bits must equal the sign bit. */
static void first_stage_sign(void)
{
	static const unsigned int bits[] = { [8] = 39, [9] = 48, [10] = 57 };
	struct rviommu_model_request req = request(0);
	unsigned int mode;

	for (mode = SV39; mode <= SV57; mode++) {
		first_stage(mode, 0);
		req.iova = -(1ULL << (bits[mode] - 1));
		map(root1, mode, req.iova, DATA, PTE_RWX);
		expect_pa(&req, DATA);
		req.iova ^= 1ULL << 63;
		expect_fault(&req, 13);
		req.iova = 1ULL << (bits[mode] - 1);
		expect_fault(&req, 13);
		req.iova = (1ULL << (bits[mode] - 1)) - 0x1000;
		map(root1, mode, req.iova, DATA + 0x1000, PTE_RWX);
		expect_pa(&req, DATA + 0x1000);
	}
}

/* Priv, "Two-Stage Address Translation": Sv39x4 and so on have two bits more. */
static void second_stage_modes(void)
{
	static const unsigned int bits[] = { [8] = 41, [9] = 50, [10] = 59 };
	struct rviommu_model_request req = request(0);
	unsigned int mode, level;

	for (mode = SV39; mode <= SV57; mode++) {
		for (level = 0; level <= mode - 6 && 12 + 9 * level < 56; level++) {
			u64 size = 1ULL << (12 + 9 * level);

			second_stage(mode, 0);
			req.iova = (1ULL << bits[mode]) - 8;
			/* pte_addr() takes nine bits per level; the root has eleven */
			if (level == mode - 6)
				mem_write(root2 + 8 * 2047, pte(size, PTE_RWX));
			else
				mem_write(root2 + 8 * 2047, pte(root1 = new_page(), 1));
			if (level < mode - 6)
				mem_write(pte_addr(root1, mode - 1, req.iova, level),
					  pte(size, PTE_RWX));
			expect_pa(&req, size + (req.iova & (size - 1)));
			CHECK_EQ(rsp.size_lg2, 12 + 9 * level);
			req.iova = 1ULL << bits[mode];
			expect_fault(&req, 21);
			CHECK_EQ(fault_word(0, 3), req.iova);
		}
	}
}

/* Fault causes follow the original access: 12, 13, 15 and 20, 21, 23 */
static void page_fault_causes(void)
{
	struct rviommu_model_request req = request(VA39);
	unsigned int stage;

	for (stage = 0; stage < 2; stage++) {
		if (stage)
			second_stage(SV39, 0);
		else
			first_stage(SV39, 0);
		req = request(VA39 + 4);
		expect_fault(&req, stage ? 21 : 13);
		CHECK_EQ(FIELD_GET(RVIOMMU_FAULT_TTYP, fault_word(0, 0)), 2);
		CHECK_EQ(FIELD_GET(RVIOMMU_FAULT_DID, fault_word(0, 0)), DID);
		CHECK_EQ(fault_word(0, 3), stage ? VA39 + 4 : 0);
		req.write = true;
		expect_fault(&req, stage ? 23 : 15);
		CHECK_EQ(FIELD_GET(RVIOMMU_FAULT_TTYP, fault_word(0, 0)), 3);
		req.amo = true;
		expect_fault(&req, stage ? 23 : 15);
		req.write = false;
		req.amo = false;
		req.exec = true;
		expect_fault(&req, stage ? 20 : 12);
		CHECK_EQ(FIELD_GET(RVIOMMU_FAULT_TTYP, fault_word(0, 0)), 1);
	}
}

static bool leaf_works(unsigned int level, u64 entry)
{
	struct rviommu_model_request req = request(VA39);

	mem_write(pte_addr(root1, SV39, VA39, level), entry);
	all_gone();
	return send(&req) == RVIOMMU_MODEL_OK;
}

/* Priv, step 3: V, W without R, reserved bits */
static void malformed_leaves(void)
{
	unsigned int bit, perms;

	first_stage(SV39, 0);
	for (perms = 0; perms < 8; perms++) {
		u64 flags = PTE_RWX & ~0xeULL;

		CHECK_EQ(leaf_works(0, pte(DATA, flags | perms << 1)), perms & 1);
	}
	CHECK(!leaf_works(0, pte(DATA, PTE_RWX & ~RVIOMMU_PTE_V)));
	/* 60:54 are reserved, of which Svrsw60t59b gives two away */
	for (bit = 54; bit <= 60; bit++)
		CHECK_EQ(leaf_works(0, pte(DATA, PTE_RWX) | 1ULL << bit), bit >= 59);
	/* RSW and G mean nothing here */
	CHECK(leaf_works(0, pte(DATA, PTE_RWX | RVIOMMU_PTE_RSW | RVIOMMU_PTE_G)));
}

/* Svrsw60t59b off: these bits are reserved, in both kinds of entry. */
static void rsw60t59_off(void)
{
	struct rviommu_model_request req = request(VA39);
	unsigned int bit, level;
	struct rviommu_dc dc;

	for (bit = 59; bit <= 60; bit++) {
		for (level = 0; level < 2; level++) {
			bench_config();
			bench.config.capabilities &= ~RVIOMMU_CAP_SVRSW60T59B;
			bench_start();
			bench_queues_on();
			bench_ddtp(4);
			root1 = new_page();
			dc = dc_first(fsc(SV39, root1));
			dc_write(DID, &dc);
			map(root1, SV39, VA39, DATA, PTE_RWX);
			expect_pa(&req, DATA);
			mem_write(pte_addr(root1, SV39, VA39, level),
				  mem_read(pte_addr(root1, SV39, VA39, level)) | 1ULL << bit);
			all_gone();
			expect_fault(&req, 13);
		}
	}
}

/* Priv: in non-leaf PTEs D, A, U, N and PBMT are reserved; G, RSW are not. */
static void malformed_nonleaves(void)
{
	struct rviommu_model_request req = request(VA39);
	unsigned int bit;
	u64 slot, entry;

	first_stage(SV39, 0);
	map(root1, SV39, VA39, DATA, PTE_RWX);
	slot = pte_addr(root1, SV39, VA39, 1);
	entry = mem_read(slot);
	for (bit = 4; bit < 64; bit++) {
		bool ok = bit == 5 || bit == 8 || bit == 9 || bit == 59 || bit == 60;

		if (bit >= 10 && bit <= 53)
			continue;
		mem_write(slot, entry | 1ULL << bit);
		all_gone();
		CHECK_EQ(send(&req) == RVIOMMU_MODEL_OK, ok);
	}
	/* a pointer at the last level */
	mem_write(slot, entry);
	map(root1, SV39, VA39, DATA, RVIOMMU_PTE_V);
	all_gone();
	expect_fault(&req, 13);
}

/* Priv, step 5: misaligned superpages */
static void misaligned_superpage(void)
{
	unsigned int level, bit;

	first_stage(SV39, 0);
	for (level = 1; level <= 2; level++) {
		for (bit = 0; bit < 20; bit++)
			CHECK_EQ(leaf_works(level, pte(0x1000ULL << bit, PTE_RWX)),
				 bit >= 9 * level);
		leaf_works(level, 0);
	}
}

/* Svnapot: only 64 KiB, only at the last level */
static void napot(void)
{
	struct rviommu_model_request req = request(VA39);
	u64 iova = VA39 & ~0xffffULL, entry = pte(DATA | 0x8000, PTE_RWX) | RVIOMMU_PTE_N;
	unsigned int low;

	first_stage(SV39, 0);
	for (low = 0; low < 16; low++)
		CHECK_EQ(leaf_works(0, (entry & ~(0xfULL << 10)) | low << 10), low == 8);
	all_gone();
	for (low = 0; low < 16; low++) {
		mem_write(pte_addr(root1, SV39, iova + 0x1000 * low, 0), entry);
		req.iova = iova + 0x1000 * low + 0x34;
		expect_pa(&req, DATA + 0x1000 * low + 0x34);
		CHECK_EQ(rsp.size_lg2, 16);
	}
	CHECK(!leaf_works(1, pte(DATA, PTE_RWX) | RVIOMMU_PTE_N));
	CHECK(!leaf_works(1, entry));
}

/* Svpbmt: reported; 3 is reserved; without the capability all are. */
static void pbmt(void)
{
	unsigned int type;

	first_stage(SV39, 0);
	for (type = 0; type < 4; type++) {
		CHECK_EQ(leaf_works(0, pte(DATA, PTE_RWX) | (u64)type << 61), type < 3);
		if (type < 3)
			CHECK_EQ(rsp.pbmt, type);
	}
	bench_config();
	bench.config.capabilities &= ~RVIOMMU_CAP_SVPBMT;
	bench_start();
	bench_queues_on();
	bench_ddtp(4);
	root1 = new_page();
	dc_write(DID, &(struct rviommu_dc) { .word = { 1, 0, 0, fsc(SV39, root1) } });
	for (type = 0; type < 4; type++)
		CHECK_EQ(leaf_works(0, pte(DATA, PTE_RWX) | (u64)type << 61), !type);
}

/* Priv, step 7: R, W, X against the access */
static void permissions(void)
{
	struct rviommu_model_request req;
	unsigned int perms, access;

	first_stage(SV39, 0);
	for (perms = 1; perms < 8; perms++) {
		if ((perms & 3) == 2)
			continue;
		map(root1, SV39, VA39, DATA, (PTE_RWX & ~0xeULL) | perms << 1);
		for (access = 0; access < 3; access++) {
			req = request(VA39);
			req.write = access == 1;
			req.exec = access == 2;
			all_gone();
			CHECK_EQ(send(&req) == RVIOMMU_MODEL_OK, perms >> access & 1);
		}
	}
}

static void with_process(u64 ta)
{
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_PDTV } };

	bench_up();
	root1 = new_page();
	dc.word[3] = fsc(RVIOMMU_PDTP_MODE_PD8, new_page());
	dc_write(DID, &dc);
	pc_write(dc.word[3], PID, RVIOMMU_PC_TA_V | ta | PSCID << 12, fsc(SV39, root1));
}

/* "Process-context fields": U bit, SUM, and execution of user pages */
static void user_and_supervisor(void)
{
	struct rviommu_model_request req = request(VA39);
	unsigned int sum, priv, user, exec;

	for (sum = 0; sum < 2; sum++) {
		with_process(RVIOMMU_PC_TA_ENS | (sum ? RVIOMMU_PC_TA_SUM : 0));
		for (priv = 0; priv < 2; priv++) {
			for (user = 0; user < 2; user++) {
				map(root1, SV39, VA39, DATA,
				    user ? PTE_RWX : PTE_RWX & ~RVIOMMU_PTE_U);
				all_gone();
				for (exec = 0; exec < 2; exec++) {
					bool ok = priv ? !user || (sum && !exec) : user;

					req.pv = true;
					req.process_id = PID;
					req.priv = priv;
					req.exec = exec;
					CHECK_EQ(send(&req) == RVIOMMU_MODEL_OK, ok);
				}
			}
		}
	}
}

/* Without a process ID the access is one of user mode. */
static void device_is_user(void)
{
	struct rviommu_model_request req = request(VA39);

	first_stage(SV39, 0);
	req.priv = true;
	map(root1, SV39, VA39, DATA, PTE_RWX & ~RVIOMMU_PTE_U);
	expect_fault(&req, 13);
}

/* "Translation control": SADE = 0: A = 0, or D = 0 at a store, is a page fault. */
static void accessed_dirty_faults(void)
{
	struct rviommu_model_request req = request(VA39), wr = write_request(VA39);
	unsigned int stage;
	u64 root;

	for (stage = 0; stage < 2; stage++) {
		if (stage)
			second_stage(SV39, RVIOMMU_DC_TC_SADE);
		else
			first_stage(SV39, RVIOMMU_DC_TC_GADE);
		root = stage ? root2 : root1;
		map(root, SV39, VA39, DATA, PTE_RWX & ~RVIOMMU_PTE_D);
		expect_pa(&req, DATA);
		expect_fault(&wr, stage ? 23 : 15);
		map(root, SV39, VA39, DATA, PTE_RWX & ~RVIOMMU_PTE_A);
		all_gone();
		expect_fault(&req, stage ? 21 : 13);
	}
}

static bool is_global(const struct rviommu_model_cached *entry, void *arg)
{
	(void)arg;
	return entry->global;
}

static bool is_dirty(const struct rviommu_model_cached *entry, void *arg)
{
	(void)arg;
	return (entry->kind == RVIOMMU_MODEL_S1 || entry->kind == RVIOMMU_MODEL_S2) &&
	       entry->word[0] & RVIOMMU_PTE_D;
}

/* SADE, GADE = 1: A at any access, D at stores only, exactly in that PTE */
static void accessed_dirty_updates(void)
{
	struct rviommu_model_request req = request(VA39), wr = write_request(VA39);
	u64 none = PTE_RWX & ~(RVIOMMU_PTE_A | RVIOMMU_PTE_D);
	unsigned int stage, reads;
	u64 root, slot;

	for (stage = 0; stage < 2; stage++) {
		if (stage)
			second_stage(SV39, RVIOMMU_DC_TC_GADE);
		else
			first_stage(SV39, RVIOMMU_DC_TC_SADE);
		root = stage ? root2 : root1;
		map(root, SV39, VA39, DATA, none);
		slot = pte_addr(root, SV39, VA39, 0);
		expect_pa(&req, DATA);
		CHECK_EQ(mem_read(slot), pte(DATA, none | RVIOMMU_PTE_A));
		/* cached with D = 0, yet the store sets D in memory */
		expect_pa(&wr, DATA);
		CHECK_EQ(mem_read(slot), pte(DATA, PTE_RWX));
		/* what was updated is what is cached, and nothing else */
		CHECK_EQ(cached(stage ? RVIOMMU_MODEL_S2 : RVIOMMU_MODEL_S1), 1);
		reads = bench.reads;
		expect_pa(&wr, DATA);
		CHECK_EQ(bench.reads, reads);
		CHECK_EQ(rviommu_model_list_cached(bench.m, BIT(RVIOMMU_MODEL_S1), is_global, NULL),
			 0);
		CHECK_EQ(rviommu_model_list_cached(bench.m, ~0U, is_dirty, NULL), 1);
		/* a faulting access sets nothing */
		map(root, SV39, VA39, DATA, none & ~RVIOMMU_PTE_W);
		all_gone();
		expect_fault(&wr, stage ? 23 : 15);
		CHECK_EQ(mem_read(slot), pte(DATA, none & ~RVIOMMU_PTE_W));
	}
}

static void unmap_under_cas(u64 addr)
{
	bench.cas_hook = NULL;
	mem_write(addr, 0);
}

static void move_under_cas(u64 addr)
{
	bench.cas_hook = NULL;
	mem_write(addr, pte(DATA + 0x1000, PTE_RWX & ~RVIOMMU_PTE_A));
}

/* Priv, step 8: the PTE changed before the swap: look again. */
static void accessed_dirty_race(void)
{
	struct rviommu_model_request req = request(VA39);
	u64 slot;

	first_stage(SV39, RVIOMMU_DC_TC_SADE);
	map(root1, SV39, VA39, DATA, PTE_RWX & ~RVIOMMU_PTE_A);
	slot = pte_addr(root1, SV39, VA39, 0);
	bench.cas_hook = unmap_under_cas;
	expect_fault(&req, 13);
	CHECK_EQ(mem_read(slot), 0);

	map(root1, SV39, VA39, DATA, PTE_RWX & ~RVIOMMU_PTE_A);
	all_gone();
	bench.cas_hook = move_under_cas;
	expect_pa(&req, DATA + 0x1000);
	CHECK_EQ(mem_read(slot), pte(DATA + 0x1000, PTE_RWX));
}

static void change_under_cas(u64 addr)
{
	mem_write(addr, mem_read(addr) ^ 0x100);	/* RSW */
}

/* A PTE that changes for ever does not hang the IOMMU. */
static void accessed_dirty_race_without_end(void)
{
	struct rviommu_model_request req = request(VA39);

	first_stage(SV39, RVIOMMU_DC_TC_SADE);
	map(root1, SV39, VA39, DATA, PTE_RWX & ~RVIOMMU_PTE_A);
	bench.cas_hook = change_under_cas;
	expect_fault(&req, 272);
}

/* Access faults of the original type, 1, 5, 7; corruption, 274 */
static void table_access_faults(void)
{
	struct rviommu_model_request req = request(VA39);
	unsigned int stage;

	for (stage = 0; stage < 2; stage++) {
		if (stage)
			second_stage(SV39, 0);
		else
			first_stage(SV39, 0);
		req = request(VA39);
		bench.bad_addr = stage ? root2 : root1;
		bench.bad_size = 0x1000;
		bench.bad_how = RVIOMMU_MODEL_MEM_FAULT;
		expect_fault(&req, 5);
		req.write = true;
		expect_fault(&req, 7);
		req.write = false;
		req.exec = true;
		expect_fault(&req, 1);
		bench.bad_how = RVIOMMU_MODEL_MEM_CORRUPT;
		expect_fault(&req, 274);
	}
}

/* Priv, step 8: an A/D update that violates PMA or PMP is an access fault. */
static void update_access_fault(void)
{
	struct rviommu_model_request req = write_request(VA39);

	first_stage(SV39, RVIOMMU_DC_TC_SADE);
	map(root1, SV39, VA39, DATA, PTE_RWX & ~RVIOMMU_PTE_D);
	bench.bad_addr = pte_addr(root1, SV39, VA39, 0);
	bench.bad_size = 8;
	bench.bad_how = RVIOMMU_MODEL_MEM_FAULT;
	bench.bad_writes_only = true;
	expect_fault(&req, 7);
}

/* An address beyond PAS cannot be accessed. */
static void beyond_pas(void)
{
	struct rviommu_model_request req = request(VA39);
	struct rviommu_dc dc;

	bench_config();
	bench.config.capabilities = (bench.config.capabilities & ~RVIOMMU_CAP_PAS) |
				    FIELD_PREP(RVIOMMU_CAP_PAS, 40);
	bench_start();
	bench_queues_on();
	bench_ddtp(4);
	root1 = new_page();
	dc = dc_first(fsc(SV39, root1));
	dc_write(DID, &dc);
	map(root1, SV39, VA39, (1ULL << 40) - 0x1000, PTE_RWX);
	expect_pa(&req, (1ULL << 40) - 0x1000);
	map(root1, SV39, VA39, 1ULL << 40, PTE_RWX);
	all_gone();
	expect_fault(&req, 5);
	dc = dc_first(fsc(SV39, 1ULL << 40));
	dc_write(DID, &dc);
	inval_ddt(true, DID);
	all_gone();
	expect_fault(&req, 5);
	/* nor one that no stage translates: a translated request's, ... */
	dc = dc_first(0);
	dc.word[0] |= RVIOMMU_DC_TC_EN_ATS;
	dc_write(DID, &dc);
	inval_ddt(true, DID);
	req.kind = RVIOMMU_MODEL_TRANSLATED;
	req.iova = (1ULL << 40) - 0x1000;
	expect_pa(&req, req.iova);
	req.iova = 1ULL << 40;
	expect_fault(&req, 5);
	req.write = true;
	expect_fault(&req, 7);
	/* ... or any in Bare mode */
	bench_ddtp(RVIOMMU_DDTP_MODE_OFF);
	bench_ddtp(RVIOMMU_DDTP_MODE_BARE);
	req.kind = RVIOMMU_MODEL_UNTRANSLATED;
	expect_fault(&req, 7);
	req.iova -= 0x1000;
	expect_pa(&req, req.iova);
}

/* Sv32: two levels, 4-byte PTEs, 34-bit addresses; SXL = 1 */
static void sv32(void)
{
	struct rviommu_model_request req = request(0xabcde678);
	u64 l0;

	first_stage(SV39, RVIOMMU_DC_TC_SXL | RVIOMMU_DC_TC_SADE);
	l0 = new_page();
	/* entries 0x2af and 0x0de: one high, one low half */
	mem_write(root1 + 4 * 0x2ae, (l0 >> 2 | 1) << 32 | 0x55);
	mem_write(l0 + 4 * 0x0de, 0xfffffffffffffc17ULL);
	expect_pa(&req, 0x3fffff678);
	CHECK_EQ(mem_read(l0 + 4 * 0x0de), 0xfffffffffffffc57ULL);
	/* 4 MiB */
	mem_write(root1 + 4 * 0x2ae, (3ULL << 20 | 0xdf) << 32);
	all_gone();
	expect_pa(&req, (3ULL << 22) + (0xabcde678 & 0x3fffff));
	CHECK_EQ(rsp.size_lg2, 22);
	mem_write(root1 + 4 * 0x2ae, (3ULL << 20 | 1 << 19 | 0xdf) << 32);
	all_gone();
	expect_fault(&req, 13);
	/* "Translation control": bits beyond 31 */
	req.iova |= 1ULL << 32;
	expect_fault(&req, 13);
}

/* SXL = 1 limits GPAs to 34 bits; Sv32x4 has a 16 KiB root */
static void sv32x4(void)
{
	struct rviommu_model_request req = request(0x3ffffe000);
	struct rviommu_dc dc;
	u64 l0;

	bench_config();
	bench_start();
	wr32(RVIOMMU_REG_FCTL, RVIOMMU_FCTL_GXL);
	bench_queues_on();
	bench_ddtp(4);
	root2 = new_root();
	l0 = new_page();
	dc = dc_second(iohgatp(8, root2));
	dc.word[0] |= RVIOMMU_DC_TC_SXL;
	dc_write(DID, &dc);
	mem_write(root2 + 4 * 0xffe, (l0 >> 2 | 1) << 32);
	mem_write(l0 + 4 * 0x3fe, (DATA >> 2 | 0xdf));
	expect_pa(&req, DATA);
	req.iova = 1ULL << 34;
	expect_fault(&req, 21);
}

/* GXL = 0 and SXL = 1: still no GPA beyond bit 33 */
static void sxl_limits_gpa(void)
{
	struct rviommu_model_request req = request(1ULL << 33);

	second_stage(SV39, RVIOMMU_DC_TC_SXL);
	map(root2, SV39, 1ULL << 33, DATA, PTE_RWX);
	expect_pa(&req, DATA);
	req.iova = 1ULL << 34;
	map(root2, SV39, 1ULL << 34, DATA, PTE_RWX);
	expect_fault(&req, 21);
}

/* Priv, "Two-Stage Address Translation": both stages, smaller of both sizes */
static void both_stages(void)
{
	struct rviommu_model_request req = request(VA39 + 0x10);

	two_stages(0);
	map1(VA39, 0x80000000, PTE_RWX);
	map(root2, SV39, 0x80000000, DATA, PTE_RWX);
	expect_pa(&req, DATA + 0x10);
	CHECK_EQ(rsp.size_lg2, 12);

	/* 2 MiB over 4 KiB, and the other way round */
	mem_write(root1 + 0x1000 + 8 * (VA39 >> 21 & 511), pte(0x80000000, PTE_RWX));
	all_gone();
	map(root2, SV39, 0x80000000 + (VA39 & 0x1ff000), DATA, PTE_RWX);
	expect_pa(&req, DATA + 0x10);
	CHECK_EQ(rsp.size_lg2, 12);
	map1(VA39, 0x80203000, PTE_RWX);
	mem_write(pte_addr(root2, SV39, 0x80200000, 1), pte(0x600000, PTE_RWX));
	all_gone();
	expect_pa(&req, 0x603010);
	CHECK_EQ(rsp.size_lg2, 12);
}

/* Permissions are those of both; the cause tells whose fault it is. */
static void both_stages_permissions(void)
{
	struct rviommu_model_request req = request(VA39), wr = write_request(VA39);

	two_stages(0);
	map1(VA39, 0x80000000, PTE_RWX);
	map(root2, SV39, 0x80000000, DATA, PTE_RWX & ~(RVIOMMU_PTE_W | RVIOMMU_PTE_X));
	expect_pa(&req, DATA);
	CHECK_EQ(rsp.perms, 1);
	expect_fault(&wr, 23);
	CHECK_EQ(fault_word(0, 3), 0x80000000);
	map1(VA39, 0x80000000, PTE_RWX & ~RVIOMMU_PTE_W);
	all_gone();
	expect_fault(&wr, 15);
	CHECK_EQ(fault_word(0, 3), 0);
}

/* Second-stage leaves need U = 1, whatever the privilege. */
static void second_stage_user(void)
{
	struct rviommu_model_request req = request(VA39);

	second_stage(SV39, 0);
	map(root2, SV39, VA39, DATA, PTE_RWX & ~RVIOMMU_PTE_U);
	expect_fault(&req, 21);
}

/* "Fault/Event-Queue": implicit accesses set iotval2 bit 0, cause by access. */
static void implicit_read_fault(void)
{
	struct rviommu_model_request req = write_request(VA39 + 8);

	two_stages(0);
	map1(VA39, 0x80000000, PTE_RWX);
	map(root2, SV39, root1 + 0x1000, 0, 0);
	expect_fault(&req, 23);
	CHECK_EQ(fault_word(0, 2), VA39 + 8);
	CHECK_EQ(fault_word(0, 3), (root1 + 0x1000 + 8 * (VA39 >> 21 & 511)) | 1);
	/* read is needed, execute does not do */
	map(root2, SV39, root1 + 0x1000, root1 + 0x1000,
	    PTE_RWX & ~(RVIOMMU_PTE_R | RVIOMMU_PTE_W));
	all_gone();
	expect_fault(&req, 23);
	map(root2, SV39, root1 + 0x1000, root1 + 0x1000, PTE_RWX & ~RVIOMMU_PTE_W);
	map(root2, SV39, 0x80000000, DATA, PTE_RWX);
	all_gone();
	expect_pa(&req, DATA + 8);
}

/* An A/D update is an implicit write: bit 1. */
static void implicit_write_fault(void)
{
	struct rviommu_model_request req = request(VA39);
	u64 slot;

	two_stages(RVIOMMU_DC_TC_SADE);
	map(root2, SV39, 0x80000000, DATA, PTE_RWX);
	slot = map1(VA39, 0x80000000, PTE_RWX & ~RVIOMMU_PTE_A);
	map(root2, SV39, root1 + 0x2000, root1 + 0x2000, PTE_RWX & ~RVIOMMU_PTE_W);
	expect_fault(&req, 21);
	CHECK_EQ(fault_word(0, 3), slot | 3);
	/* D = 0 in the second stage and nobody to set it */
	map(root2, SV39, root1 + 0x2000, root1 + 0x2000, PTE_RWX & ~RVIOMMU_PTE_D);
	all_gone();
	expect_fault(&req, 21);
	CHECK_EQ(fault_word(0, 3), slot | 3);
}

/* GADE: the update of a first-stage PTE dirties the page it lies in. */
static void implicit_write_dirties(void)
{
	struct rviommu_model_request req = request(VA39);
	u64 slot, none = PTE_RWX & ~(RVIOMMU_PTE_A | RVIOMMU_PTE_D), page;

	two_stages(RVIOMMU_DC_TC_SADE | RVIOMMU_DC_TC_GADE);
	slot = map1(VA39, 0x80000000, none);
	map(root2, SV39, 0x80000000, DATA, none);
	for (page = root1; page < root1 + 0x3000; page += 0x1000)
		map(root2, SV39, page, page, none);
	expect_pa(&req, DATA);
	CHECK_EQ(mem_read(slot), pte(0x80000000, none | RVIOMMU_PTE_A));
	CHECK_EQ(mem_read(pte_addr(root2, SV39, root1, 0)), pte(root1, none | RVIOMMU_PTE_A));
	CHECK_EQ(mem_read(pte_addr(root2, SV39, root1 + 0x2000, 0)),
		 pte(root1 + 0x2000, PTE_RWX));
	CHECK_EQ(mem_read(pte_addr(root2, SV39, 0x80000000, 0)), pte(DATA, none | RVIOMMU_PTE_A));
}

/* "Process to locate the Process-context": PDT through the second stage */
static void pdt_through_second_stage(void)
{
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_PDTV } };
	struct rviommu_model_request req = write_request(DATA);
	u64 pdt = 0x90000000, page, slot;

	bench_up();
	root2 = new_root();
	page = new_page();
	dc.word[1] = iohgatp(SV39, root2);
	dc.word[3] = fsc(RVIOMMU_PDTP_MODE_PD8, pdt);
	dc_write(DID, &dc);
	mem_write(page + 16 * PID, RVIOMMU_PC_TA_V);
	req.pv = true;
	req.process_id = PID;
	/* the original access type, implicit, never a write */
	expect_fault(&req, 23);
	CHECK_EQ(fault_word(0, 3), (pdt + 16 * PID) | 1);
	map(root2, SV39, pdt, page, PTE_RWX & ~(RVIOMMU_PTE_W | RVIOMMU_PTE_D));
	map(root2, SV39, DATA, 0x44000, PTE_RWX);
	expect_pa(&req, 0x44000);

	/* two levels: also the pages that entries point to */
	inval_ddt(true, DID);
	dc.word[3] = fsc(RVIOMMU_PDTP_MODE_PD17, pdt + 0x1000);
	dc_write(DID, &dc);
	expect_fault(&req, 23);
	CHECK_EQ(fault_word(0, 3), (pdt + 0x1000) | 1);
	slot = new_page();
	mem_write(slot, (pdt + 0x2000) >> 2 | 1);
	map(root2, SV39, pdt + 0x1000, slot, PTE_RWX);
	expect_fault(&req, 23);
	CHECK_EQ(fault_word(0, 3), (pdt + 0x2000 + 16 * PID) | 1);
	map(root2, SV39, pdt + 0x2000, page, PTE_RWX);
	expect_pa(&req, 0x44000);

	/* access faults and corruption on the way: 265, 269 */
	inval_ddt(true, DID);
	inval_gvma(0, 0, 0);
	bench.bad_addr = root2;
	bench.bad_size = 0x4000;
	bench.bad_how = RVIOMMU_MODEL_MEM_FAULT;
	expect_fault(&req, 265);
	bench.bad_how = RVIOMMU_MODEL_MEM_CORRUPT;
	expect_fault(&req, 269);
}

/* Svpbmt: the first stage overrides the second. */
static void pbmt_of_two_stages(void)
{
	struct rviommu_model_request req = request(VA39);
	unsigned int first, second;

	two_stages(0);
	for (first = 0; first < 3; first++) {
		for (second = 0; second < 3; second++) {
			map1(VA39, 0x80000000, PTE_RWX | (u64)first << 61);
			map(root2, SV39, 0x80000000, DATA, PTE_RWX | (u64)second << 61);
			all_gone();
			expect_pa(&req, DATA);
			CHECK_EQ(rsp.pbmt, first ? first : second);
		}
	}
}

/* "Endianness": second stage by fctl.BE */
static void big_endian_second_stage(void)
{
	struct rviommu_model_request req = request(VA39);
	struct rviommu_dc dc;
	u64 page;

	bench_config();
	bench_start();
	wr32(RVIOMMU_REG_FCTL, RVIOMMU_FCTL_BE);
	bench_queues_on();
	bench_ddtp(4);
	root2 = new_root();
	dc = dc_second(iohgatp(SV39, root2));
	dc.word[0] |= RVIOMMU_DC_TC_GADE;
	dc_write(DID, &dc);
	page = bench.pool;
	map(root2, SV39, VA39, DATA, PTE_RWX & ~RVIOMMU_PTE_A);
	for (; page < bench.pool; page += 8)
		mem_write(page, swab64(mem_read(page)));
	for (page = root2; page < root2 + 0x4000; page += 8)
		mem_write(page, swab64(mem_read(page)));
	expect_pa(&req, DATA);
	CHECK_EQ(mem_read(bench.pool - 0x1000 + 8 * (VA39 >> 12 & 511)),
		 swab64(pte(DATA, PTE_RWX)));
}

/* The answer says how much of the request it covers. */
static void length_of_the_answer(void)
{
	struct rviommu_model_request req = request(VA39 + 0xff0);

	first_stage(SV39, 0);
	map(root1, SV39, VA39, DATA, PTE_RWX);
	req.length = 64;
	expect_pa(&req, DATA + 0xff0);
	CHECK_EQ(rsp.length, 16);
	req.length = 8;
	expect_pa(&req, DATA + 0xff0);
	CHECK_EQ(rsp.length, 8);
}

static const struct bench_test tests[] = {
	TEST(first_stage_modes),
	TEST(first_stage_sign),
	TEST(second_stage_modes),
	TEST(page_fault_causes),
	TEST(malformed_leaves),
	TEST(rsw60t59_off),
	TEST(malformed_nonleaves),
	TEST(misaligned_superpage),
	TEST(napot),
	TEST(pbmt),
	TEST(permissions),
	TEST(user_and_supervisor),
	TEST(device_is_user),
	TEST(accessed_dirty_faults),
	TEST(accessed_dirty_updates),
	TEST(accessed_dirty_race),
	TEST(accessed_dirty_race_without_end),
	TEST(table_access_faults),
	TEST(update_access_fault),
	TEST(beyond_pas),
	TEST(sv32),
	TEST(sv32x4),
	TEST(sxl_limits_gpa),
	TEST(both_stages),
	TEST(both_stages_permissions),
	TEST(second_stage_user),
	TEST(implicit_read_fault),
	TEST(implicit_write_fault),
	TEST(implicit_write_dirties),
	TEST(pdt_through_second_stage),
	TEST(pbmt_of_two_stages),
	TEST(big_endian_second_stage),
	TEST(length_of_the_answer),
};

int main(void)
{
	return bench_main("walk", tests, ARRAY_SIZE(tests));
}
