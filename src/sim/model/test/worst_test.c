// SPDX-License-Identifier: GPL-2.0-only
/* The worst-case switches: legal, repeatable, and as bad as they say. */
#include "test/bench.h"

#define SV39	RVIOMMU_ATP_MODE_SV39
#define VA	0x40000000ULL

static u64 root1, root2, seed;

static void with_switches(u32 switches)
{
	bench_config();
	bench.config.switches = switches;
	bench.config.seed = seed++;
	bench_start();
	bench_queues_on();
	bench_ddtp(4);
	root1 = new_page();
	dc_write(DID, &(struct rviommu_dc) { .word = {
		 RVIOMMU_DC_TC_V, 0, PSCID << 12, fsc(SV39, root1) } });
	map(root1, SV39, VA, DATA, PTE_RWX);
}

/* ASYNC: nothing happens before run, and then as many commands as allowed. */
static void asynchronous_commands(void)
{
	struct rviommu_model_request req = request(VA);
	unsigned int i;

	with_switches(RVIOMMU_MODEL_ASYNC);
	expect_pa(&req, DATA);
	for (i = 0; i < 5; i++)
		inval_vma(0, 0, 0, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 0);
	CHECK_EQ(cached(RVIOMMU_MODEL_S1), 1);
	CHECK_EQ(rviommu_model_run(bench.m, 2), 2);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 2);
	CHECK_EQ(cached(RVIOMMU_MODEL_S1), 0);
	CHECK_EQ(rviommu_model_run(bench.m, 10), 3);
	CHECK_EQ(rviommu_model_run(bench.m, 10), 0);
	/* switched off, everything is caught up with */
	inval_vma(0, 0, 0, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 5);
	rviommu_model_set_switches(bench.m, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 6);
}

/* DELAY_COMMANDS: cqh says nothing; only the fence does. */
static void delayed_commands(void)
{
	struct rviommu_model_request req = request(VA);
	unsigned int round, lingered = 0;

	for (round = 0; round < 20; round++) {
		with_switches(RVIOMMU_MODEL_DELAY_COMMANDS);
		expect_pa(&req, DATA);
		map(root1, SV39, VA, DATA + 0x1000, PTE_RWX);
		inval_vma(0, 0, 0, 0);
		CHECK_EQ(rd32(RVIOMMU_REG_CQH), 1);
		lingered += cached(RVIOMMU_MODEL_S1);
		fence();
		expect_pa(&req, DATA + 0x1000);
	}
	CHECK(lingered);
}

/* ... and they are executed out of order. */
static void commands_out_of_order(void)
{
	unsigned int round, swapped = 0;

	bench_config();
	bench.config.switches = RVIOMMU_MODEL_DELAY_COMMANDS;
	bench_start();
	bench_queues_on();
	bench_ddtp(RVIOMMU_DDTP_MODE_3LVL);
	dc_ats(1, 2);
	bench.complete = true;
	for (round = 0; round < 20; round++) {
		unsigned int n = bench.nr_ats;

		command(RVIOMMU_CMD_OPCODE_ATS | FIELD_PREP(RVIOMMU_CMD_ATS_RID, 1), 0);
		command(RVIOMMU_CMD_OPCODE_ATS | FIELD_PREP(RVIOMMU_CMD_ATS_RID, 2), 0);
		fence();
		CHECK_EQ(bench.nr_ats, n + 2);
		swapped += bench.ats[n % LOG_SIZE].device_id == 2;
	}
	CHECK(swapped > 0 && swapped < 20);
}

/* None gets lost or doubled, however many there are for how few tags. */
static void delayed_invalidations(void)
{
	unsigned int i, seen[50] = { 0 };

	bench_config();
	bench.config.switches = RVIOMMU_MODEL_DELAY_COMMANDS;
	bench_start();
	bench_queues_on();
	bench_ddtp(RVIOMMU_DDTP_MODE_3LVL);
	dc_ats(0, 49);
	for (i = 0; i < 50; i++)
		command(RVIOMMU_CMD_OPCODE_ATS | FIELD_PREP(RVIOMMU_CMD_ATS_RID, i), 0);
	fence();
	CHECK_EQ(bench.nr_ats, 32);
	for (i = 0; i < 50; i++) {
		CHECK_EQ(rd32(RVIOMMU_REG_CQH) == 51, false);
		CHECK(bench.nr_ats > i);
		seen[bench.ats[i].device_id]++;
		rviommu_model_inval_completion(bench.m, bench.ats[i].device_id,
					       1U << bench.ats[i].itag, 1);
	}
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 51);
	CHECK_EQ(bench.nr_ats, 50);
	for (i = 0; i < 50; i++)
		CHECK_EQ(seen[i], 1);
}

#define CQ_OFF_BUSY	(RVIOMMU_QCSR_ON | RVIOMMU_QCSR_BUSY)
#define FENCE_DATA	0x5afe
#define FENCE_PAGE	0x60000ULL

static void lingering_queue(u32 switches, u64 random_seed)
{
	bench_config();
	bench.config.switches = switches;
	bench.config.seed = random_seed;
	bench_start();
	bench_queues_on();
	bench_ddtp(RVIOMMU_DDTP_MODE_3LVL);
	dc_ats(1, 2);
	mem_write(FENCE_PAGE, 0);
	command(RVIOMMU_CMD_OPCODE_ATS | FIELD_PREP(RVIOMMU_CMD_ATS_RID, 1), 0);
	command(RVIOMMU_CMD_OPCODE_ATS | FIELD_PREP(RVIOMMU_CMD_ATS_RID, 2), 0);
	command(RVIOMMU_CMD_OPCODE_IOFENCE | RVIOMMU_CMD_IOFENCE_AV |
		FIELD_PREP(RVIOMMU_CMD_IOFENCE_DATA, FENCE_DATA), FENCE_PAGE >> 2);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 2);
	CHECK_EQ(bench.nr_ats, 2);
	wr32(RVIOMMU_REG_CQCSR, 0);
}

/*
 * LINGER: "Command-queue CSR", cqen: a queue that is turned off stays active and busy
 * while Invalidation Requests are unanswered. Of what was fetched, all or nothing is
 * executed then.
 */
static void lingering_until_answered(void)
{
	unsigned int round, finished = 0;

	for (round = 0; round < 20; round++) {
		lingering_queue(RVIOMMU_MODEL_LINGER, round);
		CHECK_EQ(rd32(RVIOMMU_REG_CQCSR), CQ_OFF_BUSY);
		rviommu_model_advance(bench.m, bench.config.ats_timeout - 1);
		rviommu_model_inval_completion(bench.m, 1, 1U << bench.ats[0].itag, 1);
		CHECK_EQ(rd32(RVIOMMU_REG_CQCSR), CQ_OFF_BUSY);
		/* Nobody may write it yet. */
		wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN);
		CHECK(bench.unspecified);
		CHECK_EQ(rd32(RVIOMMU_REG_CQCSR), CQ_OFF_BUSY);
		rviommu_model_inval_completion(bench.m, 2, 1U << bench.ats[1].itag, 1);
		CHECK_EQ(rd32(RVIOMMU_REG_CQCSR), 0);
		finished += mem_read(FENCE_PAGE) == FENCE_DATA;
		CHECK_EQ(rd32(RVIOMMU_REG_CQH), mem_read(FENCE_PAGE) ? 3 : 2);
		/* Nothing of it is left when the queue is on again. */
		wr32(RVIOMMU_REG_CQT, 0);
		wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN);
		CHECK_EQ(rd32(RVIOMMU_REG_CQCSR), RVIOMMU_QCSR_EN | RVIOMMU_QCSR_ON);
		fence();
		CHECK_EQ(rd32(RVIOMMU_REG_CQH), 1);
	}
	CHECK(finished > 0 && finished < 20);
}

/* ... or have timed out; the fence that says so is one that was fetched. */
static void lingering_until_timeout(void)
{
	unsigned int round, told = 0;
	u32 csr;

	for (round = 0; round < 20; round++) {
		lingering_queue(RVIOMMU_MODEL_LINGER, round);
		rviommu_model_advance(bench.m, bench.config.ats_timeout - 1);
		CHECK_EQ(rd32(RVIOMMU_REG_CQCSR), CQ_OFF_BUSY);
		rviommu_model_advance(bench.m, 1);
		csr = rd32(RVIOMMU_REG_CQCSR);
		CHECK(!csr || csr == RVIOMMU_CQCSR_CMD_TO);
		told += !!csr;
		CHECK_EQ(rd32(RVIOMMU_REG_CQH), 2);
		CHECK_EQ(mem_read(FENCE_PAGE), 0);
		wr32(RVIOMMU_REG_CQT, 0);
		wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN);
		fence();
		CHECK_EQ(rd32(RVIOMMU_REG_CQCSR), RVIOMMU_QCSR_EN | RVIOMMU_QCSR_ON);
		CHECK_EQ(rd32(RVIOMMU_REG_CQH), 1);
	}
	CHECK(told > 0 && told < 20);
}

/* Software may move cqt meanwhile: what it took away does not hold the queue up. */
static void lingering_tail(void)
{
	unsigned int round;

	for (round = 0; round < 20; round++) {
		lingering_queue(RVIOMMU_MODEL_LINGER, round);
		wr32(RVIOMMU_REG_CQT, rd32(RVIOMMU_REG_CQH));
		rviommu_model_advance(bench.m, bench.config.ats_timeout);
		CHECK_EQ(rd32(RVIOMMU_REG_CQCSR), 0);
	}
}

/* With all that is bad at once, too, the queue is off in the end. */
static void lingering_in_the_worst_case(void)
{
	unsigned int round, i, busy = 0;

	for (round = 0; round < 20; round++) {
		bench_config();
		bench.config.switches = RVIOMMU_MODEL_SWITCHES;
		bench.config.seed = round;
		bench_start();
		bench_queues_on();
		for (i = 0; i < 40; i++)
			command(RVIOMMU_CMD_OPCODE_ATS | FIELD_PREP(RVIOMMU_CMD_ATS_RID, i), 0);
		fence();
		rviommu_model_run(bench.m, 20 + round);
		wr32(RVIOMMU_REG_CQCSR, 0);
		rviommu_model_run(bench.m, 1);
		busy += !!(rd32(RVIOMMU_REG_CQCSR) & RVIOMMU_QCSR_BUSY);
		/* Requests that waited for a tag have a time of their own. */
		for (i = 0; i < 2; i++) {
			rviommu_model_advance(bench.m, bench.config.ats_timeout);
			rviommu_model_run(bench.m, 1);
			rviommu_model_run(bench.m, 1);
		}
		CHECK(!(rd32(RVIOMMU_REG_CQCSR) & CQ_OFF_BUSY));
	}
	CHECK(busy);
}

/* Without LINGER all is aborted at once, and no later fence waits for it. */
static void aborted_queue(void)
{
	lingering_queue(0, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQCSR), 0);
	CHECK_EQ(mem_read(FENCE_PAGE), 0);
	wr32(RVIOMMU_REG_CQT, 0);
	wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN);
	fence();
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 1);
}

static struct rviommu_dc old_dc, new_dc;
static unsigned int countdown;

static void rewrite_dc(void)
{
	if (countdown && !--countdown)
		dc_write(DID, &new_dc);
}

/*
 * WORD_BY_WORD: a context rewritten in place while it is read gives a mixture,
 * which then stays cached; with another time or order, one or the other.
 */
static void torn_context(void)
{
	struct rviommu_model_request req = request(VA);
	unsigned int i, mixed = 0, olds = 0, news = 0;
	u64 other;

	for (i = 0; i < 40; i++) {
		bench_config();
		bench.config.switches = RVIOMMU_MODEL_WORD_BY_WORD;
		bench.config.seed = i;
		bench_start();
		bench_queues_on();
		bench_ddtp(4);
		root1 = new_page();
		other = new_page();
		map(root1, SV39, VA, DATA, PTE_RWX);
		map(other, SV39, VA, DATA + 0x1000, PTE_RWX);
		old_dc = (struct rviommu_dc) { .word = { 1, 0, 1 << 12, fsc(SV39, root1) } };
		new_dc = (struct rviommu_dc) { .word = { 1, 0, 2 << 12, fsc(SV39, other) } };
		dc_write(DID, &old_dc);
		countdown = 2 + i % 10;
		bench.other_work = rewrite_dc;
		CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
		olds += rsp.spa == DATA;
		news += rsp.spa == DATA + 0x1000;
		/* under which PSCID was it cached? */
		inval_vma(RVIOMMU_CMD_IOTINVAL_PSCV, rsp.spa == DATA ? 1 : 2, 0, 0);
		mixed += cached(RVIOMMU_MODEL_S1);
	}
	CHECK_EQ(olds + news, 40);
	CHECK(olds && news && mixed);
}

static void invalidate_and_fence(void)
{
	if (!countdown || --countdown)
		return;
	map(root1, SV39, VA, DATA + 0x1000, PTE_RWX);
	dc_write(DID, &new_dc);
	inval_ddt(true, DID);
	inval_vma(0, 0, 0, 0);
	fence();
}

/* What was read before an invalidation is neither used nor cached after it. */
static void invalidation_crosses_a_walk(void)
{
	struct rviommu_model_request req = request(VA);
	struct rviommu_model_stats stats;
	unsigned int i, retried = 0;
	u64 other;

	for (i = 1; i < 12; i++) {
		with_switches(RVIOMMU_MODEL_WORD_BY_WORD);
		other = new_page();
		map(other, SV39, VA, DATA + 0x2000, PTE_RWX);
		new_dc = (struct rviommu_dc) { .word = { 1, 0, 2 << 12, fsc(SV39, other) } };
		countdown = i;
		bench.other_work = invalidate_and_fence;
		CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
		if (countdown)
			break;
		CHECK_EQ(rsp.spa, DATA + 0x2000);
		rviommu_model_get_stats(bench.m, &stats);
		retried += !!stats.retries;
		expect_pa(&req, DATA + 0x2000);
	}
	CHECK(retried >= 8);
}

/* PREFETCH: neighbours get cached; never what is invalid, never A or D. */
static void prefetch(void)
{
	struct rviommu_model_request req = request(VA);
	u64 old = PTE_RWX & ~(RVIOMMU_PTE_A | RVIOMMU_PTE_D);
	unsigned int i;

	with_switches(RVIOMMU_MODEL_PREFETCH);
	dc_write(DID, &(struct rviommu_dc) { .word = {
		 RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_SADE, 0, PSCID << 12, fsc(SV39, root1) } });
	for (i = 1; i <= 16; i += 2)
		map(root1, SV39, VA + 0x1000 * i, DATA + 0x1000 * i, old);
	dc_write(DID ^ 1, &(struct rviommu_dc) { .word = { 1 } });
	for (i = 0; i < 300; i++)
		expect_pa(&req, DATA);
	CHECK(cached(RVIOMMU_MODEL_S1) > 4);
	CHECK_EQ(cached(RVIOMMU_MODEL_DC), 2);
	CHECK_EQ(faults(), 0);
	for (i = 1; i <= 16; i += 2)
		CHECK_EQ(mem_read(pte_addr(root1, SV39, VA + 0x1000 * i, 0)),
			 pte(DATA + 0x1000 * i, old));
	/* pages that are mapped later need no invalidation */
	for (i = 2; i <= 16; i += 2) {
		map(root1, SV39, VA + 0x1000 * i, DATA + 0x1000 * i, PTE_RWX);
		req.iova = VA + 0x1000 * i;
		expect_pa(&req, DATA + 0x1000 * i);
	}
}

/* ... second-stage entries and process contexts likewise */
static void prefetch_both_stages(void)
{
	struct rviommu_model_request req = request(VA);
	struct rviommu_dc dc;
	unsigned int i;
	u64 page;

	bench_config();
	bench.config.switches = RVIOMMU_MODEL_PREFETCH;
	bench_start();
	bench_queues_on();
	bench_ddtp(4);
	root2 = new_root();
	root1 = new_page();
	dc = (struct rviommu_dc) { .word = { RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_PDTV } };
	dc.word[1] = iohgatp(SV39, root2);
	dc.word[3] = fsc(RVIOMMU_PDTP_MODE_PD8, new_page());
	dc_write(DID, &dc);
	for (i = 0; i < 16; i++)
		pc_write(dc.word[3], i, RVIOMMU_PC_TA_V, fsc(SV39, root1));
	for (i = 0; i < 16; i++)
		map(root1, SV39, VA + 0x1000 * i, DATA + 0x1000 * i, PTE_RWX);
	for (page = POOL; page < POOL + 0x40000; page += 0x1000)
		map(root2, SV39, page, page, PTE_RWX);
	for (i = 0; i < 16; i++)
		map(root2, SV39, DATA + 0x1000 * i, DATA + 0x1000 * i, PTE_RWX);
	req.pv = true;
	for (i = 0; i < 300; i++)
		expect_pa(&req, DATA);
	CHECK_EQ(cached(RVIOMMU_MODEL_S1), 16);
	/* 16 data pages, 3 tables, the process directory */
	CHECK_EQ(cached(RVIOMMU_MODEL_S2), 20);
	/* process IDs 0 and its neighbours 1 to 4 */
	CHECK_EQ(cached(RVIOMMU_MODEL_PC), 5);
	/* with nothing to start from, nothing is read */
	bench_ddtp(RVIOMMU_DDTP_MODE_OFF);
	i = bench.reads;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_ABORT);
	CHECK_EQ(bench.reads, i);
}

static void invalidate_always(void)
{
	inval_ddt(true, DID);
}

/* Software that never stops invalidating does not hang the IOMMU. */
static void invalidations_without_end(void)
{
	struct rviommu_model_page_request pr = { .device_id = DID };
	struct rviommu_model_request req = request(VA);
	struct rviommu_model_ats_msg answer;

	with_switches(RVIOMMU_MODEL_WORD_BY_WORD);
	bench.other_work = invalidate_always;
	expect_fault(&req, 272);
	CHECK_EQ(rviommu_model_page_request(bench.m, &pr, &answer), RVIOMMU_MODEL_PR_DISCARDED);
}

/*
 * CONTEXT_SPA: the translated address of the table that a context points to
 * stays with the context, whatever GVMA says; how = 0: off; 1: first stage by
 * DC; 2: by PC; 3: the process directory; 4: its leaf table, by a non-leaf entry.
 */
static void context_spa(void)
{
	struct rviommu_model_request req;
	u64 page, copy, pdt, moved, old;
	struct rviommu_dc dc;
	unsigned int how;

	for (how = 0; how < 5; how++) {
		unsigned int pd = how == 4 ? RVIOMMU_PDTP_MODE_PD17 : RVIOMMU_PDTP_MODE_PD8;

		bench_config();
		bench.config.switches = how ? RVIOMMU_MODEL_CONTEXT_SPA : 0;
		bench_start();
		bench_queues_on();
		bench_ddtp(4);
		root2 = new_root();
		root1 = new_page();
		copy = new_page();
		pdt = new_page();
		dc = dc_first(fsc(SV39, root1));
		dc.word[1] = iohgatp(SV39, root2);
		req = request(VA);
		moved = root1;
		if (how >= 2) {
			dc.word[0] |= RVIOMMU_DC_TC_PDTV;
			dc.word[3] = fsc(pd, pdt);
			pc_write(dc.word[3], PID, RVIOMMU_PC_TA_V, fsc(SV39, root1));
			req.pv = true;
			req.process_id = PID;
		}
		dc_write(DID, &dc);
		map(root1, SV39, VA, DATA, PTE_RWX);
		map(copy, SV39, VA, DATA + 0x1000, PTE_RWX);
		if (how >= 3) {
			/* the directory moves: its copy leads to the other tables */
			moved = how == 3 ? pdt : pc_addr(dc.word[3], PID) & ~0xfffULL;
			page = new_page();
			pc_write(fsc(RVIOMMU_PDTP_MODE_PD8, page), PID, RVIOMMU_PC_TA_V,
				 fsc(SV39, copy));
			copy = page;
		}
		for (page = POOL; page < POOL + 0x40000; page += 0x1000)
			map(root2, SV39, page, page, PTE_RWX);
		map(root2, SV39, DATA, DATA, PTE_RWX);
		map(root2, SV39, DATA + 0x1000, DATA + 0x1000, PTE_RWX);
		expect_pa(&req, DATA);
		old = how ? DATA : DATA + 0x1000;
		map(root2, SV39, moved, copy, PTE_RWX);
		inval_gvma(0, 0, 0);
		inval_vma(RVIOMMU_CMD_IOTINVAL_GV, 0, GSCID, 0);
		if (how >= 3)
			inval_pdt(DID, PID);
		expect_pa(&req, old);
		inval_ddt(true, DID);
		inval_gvma(0, 0, 0);
		inval_vma(RVIOMMU_CMD_IOTINVAL_GV, 0, GSCID, 0);
		expect_pa(&req, DATA + 0x1000);
		/* a fault on the way is not kept */
		map(root2, SV39, moved, 0, 0);
		inval_ddt(true, DID);
		inval_gvma(0, 0, 0);
		inval_vma(RVIOMMU_CMD_IOTINVAL_GV, 0, GSCID, 0);
		expect_fault(&req, 21);
		map(root2, SV39, moved, copy, PTE_RWX);
		expect_pa(&req, DATA + 0x1000);
	}
}

/* A seed makes a run repeatable. */
static void seeds(void)
{
	u64 first[3];
	unsigned int i;

	for (i = 0; i < 3; i++) {
		bench_config();
		bench.config.switches = RVIOMMU_MODEL_RANDOM_RESET;
		bench.config.seed = i == 2 ? 8 : 7;
		bench_start();
		first[i] = rd64(RVIOMMU_REG_CQB);
	}
	CHECK_EQ(first[0], first[1]);
	CHECK(first[0] != first[2]);
}

static const struct bench_test tests[] = {
	TEST(asynchronous_commands),
	TEST(delayed_commands),
	TEST(commands_out_of_order),
	TEST(delayed_invalidations),
	TEST(lingering_until_answered),
	TEST(lingering_until_timeout),
	TEST(lingering_tail),
	TEST(lingering_in_the_worst_case),
	TEST(aborted_queue),
	TEST(torn_context),
	TEST(invalidation_crosses_a_walk),
	TEST(prefetch),
	TEST(prefetch_both_stages),
	TEST(invalidations_without_end),
	TEST(context_spa),
	TEST(seeds),
};

int main(void)
{
	return bench_main("worst", tests, ARRAY_SIZE(tests));
}
