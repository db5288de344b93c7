// SPDX-License-Identifier: GPL-2.0-only
/*
 * Software that follows "Guidelines for invalidations" to the letter, and does
 * no more, must never be able to tell that there are caches: after each random
 * change and the invalidations that the guidelines name, every device gets the
 * answer that an IOMMU without any history gives.
 */
#include "test/bench.h"

#define SV39		RVIOMMU_ATP_MODE_SV39
#define GV		RVIOMMU_CMD_IOTINVAL_GV
#define AV		RVIOMMU_CMD_IOTINVAL_AV
#define PSCV		RVIOMMU_CMD_IOTINVAL_PSCV
#define VA		0x40000000ULL
#define GPA		0x80000000ULL
#define MSI_PAGE	0x28000000ULL
#define MSI_TABLE	0x50000ULL
#define PAGES		8
#define SPACES		3	/* first stages, PSCID 1 to 3 */
#define GUESTS		2	/* second stages, GSCID 1 and 2 */
#define DEVICES		6
#define PROCESSES	3

static u64 state, space[SPACES], guest[GUESTS];

/* What software remembers of each device */
static struct {
	bool pdt;
	unsigned int guest;	/* 0: host */
	unsigned int space;
	u64 pdtp;
	unsigned int process_space[PROCESSES];
} device[DEVICES];

static unsigned int rnd(unsigned int n)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (state >> 33) % n;
}

/* Second-stage PTEs of the tables, one to one; the data pages vary. */
static void map_tables(u64 root)
{
	u64 page;

	for (page = POOL; page < POOL + 0x80000; page += 0x1000)
		map(root, SV39, page, page, PTE_RWX);
}

static u64 random_flags(void)
{
	u64 flags = PTE_RWX;

	if (!rnd(4))
		flags &= ~RVIOMMU_PTE_W;
	if (!rnd(8))
		flags &= ~RVIOMMU_PTE_D;
	if (!rnd(8))
		flags &= ~RVIOMMU_PTE_U;
	return flags;
}

static u64 random_pte(u64 target)
{
	return rnd(4) ? pte(target + 0x1000 * rnd(PAGES), random_flags()) : 0;
}

static u64 random_msipte(void)
{
	return rnd(4) ? pte(0x7000000 + 0x1000 * rnd(4), 7) : 0;
}

static void write_dc(unsigned int did)
{
	unsigned int g = device[did].guest;
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_EN_ATS } };

	if (g) {
		dc.word[1] = FIELD_PREP(RVIOMMU_DC_IOHGATP_MODE, SV39) | (u64)g << 44 |
			     guest[g - 1] >> 12;
		dc.word[4] = fsc(1, MSI_TABLE + 0x1000 * g);
		dc.word[5] = 3;
		dc.word[6] = MSI_PAGE >> 12;
	}
	if (device[did].pdt) {
		dc.word[0] |= RVIOMMU_DC_TC_PDTV;
		dc.word[3] = device[did].pdtp;
	} else {
		dc.word[2] = (u64)(device[did].space + 1) << 12;
		dc.word[3] = fsc(SV39, space[device[did].space]);
	}
	dc_write(did, &dc);
}

static void write_pc(unsigned int did, unsigned int pid)
{
	unsigned int s = device[did].process_space[pid];

	pc_write(device[did].pdtp, pid, RVIOMMU_PC_TA_V | (u64)(s + 1) << 12,
		 fsc(SV39, space[s]));
}

static void build(void)
{
	unsigned int i, j;

	for (i = 0; i < GUESTS; i++)
		guest[i] = new_root();
	for (i = 0; i < SPACES; i++)
		space[i] = new_page();
	for (i = 0; i < DEVICES; i++) {
		device[i].pdtp = fsc(RVIOMMU_PDTP_MODE_PD17, new_page());
		device[i].guest = rnd(GUESTS + 1);
		device[i].pdt = rnd(2);
		for (j = 0; j < PROCESSES; j++) {
			device[i].process_space[j] = rnd(SPACES);
			write_pc(i, j);
		}
		write_dc(i);
	}
	for (i = 0; i < SPACES; i++) {
		for (j = 0; j < PAGES; j++)
			map(space[i], SV39, VA + 0x1000 * j, GPA + 0x1000 * rnd(PAGES), PTE_RWX);
		map(space[i], SV39, VA + 0x1000 * PAGES, MSI_PAGE, PTE_RWX);
	}
	for (i = 0; i < GUESTS; i++) {
		for (j = 0; j < PAGES; j++)
			map(guest[i], SV39, GPA + 0x1000 * j, DATA + 0x1000 * rnd(PAGES), PTE_RWX);
		for (j = 0; j < 4; j++)
			mem_write(MSI_TABLE + 0x1000 * (i + 1) + 16 * j, random_msipte());
	}
	for (i = 0; i < GUESTS; i++)
		map_tables(guest[i]);
}

/* "Changing first-stage page table entry": host and each guest may use it. */
static void inval_space(u64 flags, unsigned int s, u64 addr)
{
	unsigned int g;

	inval_vma(flags | PSCV, s + 1, 0, addr);
	for (g = 1; g <= GUESTS; g++)
		inval_vma(flags | PSCV | GV, s + 1, g, addr);
}

static void change_first_leaf(void)
{
	unsigned int s = rnd(SPACES);
	u64 addr = VA + 0x1000 * rnd(PAGES);

	mem_write(pte_addr(space[s], SV39, addr, 0), random_pte(GPA));
	inval_space(AV, s, addr);
}

/* A non-leaf entry: the leaf table is copied, changed and published. */
static void change_first_nonleaf(void)
{
	unsigned int s = rnd(SPACES), i;
	u64 slot = pte_addr(space[s], SV39, VA, 1), old = mem_read(slot), copy;

	if (bench.pool > POOL + 0x7f000)
		return;
	copy = new_page();
	for (i = 0; i <= PAGES; i++)
		mem_write(copy + 8 * i, mem_read((old >> 10 << 12) + 8 * i));
	mem_write(copy + 8 * rnd(PAGES), random_pte(GPA));
	mem_write(slot, pte(copy, RVIOMMU_PTE_V));
	inval_space(0, s, 0);
}

static void change_second_leaf(void)
{
	unsigned int g = rnd(GUESTS);
	u64 addr = GPA + 0x1000 * rnd(PAGES);

	mem_write(pte_addr(guest[g], SV39, addr, 0), random_pte(DATA));
	inval_gvma(GV | AV, g + 1, addr);
}

static void change_second_nonleaf(void)
{
	unsigned int g = rnd(GUESTS);
	u64 slot = pte_addr(guest[g], SV39, GPA, 1), old = mem_read(slot);

	if (bench.pool > POOL + 0x7f000)
		return;
	mem_write(slot, pte(new_page(), RVIOMMU_PTE_V));
	mem_write(pte_addr(guest[g], SV39, GPA, 0), random_pte(DATA));
	mem_write(pte_addr(guest[g], SV39, GPA, 0) + 8, mem_read((old >> 10 << 12) + 8));
	inval_gvma(GV, g + 1, 0);
}

static void change_msipte(void)
{
	unsigned int g = rnd(GUESTS) + 1, file = rnd(4);

	mem_write(MSI_TABLE + 0x1000 * g + 16 * file, random_msipte());
	inval_gvma(GV | AV, g, MSI_PAGE + 0x1000 * file);
}

/* "Changing device directory table entry", by what the old context was */
static void change_dc(void)
{
	unsigned int did = rnd(DEVICES), g = device[did].guest;
	bool pdt = device[did].pdt;
	unsigned int s = device[did].space;

	device[did].guest = rnd(GUESTS + 1);
	device[did].pdt = rnd(2);
	device[did].space = rnd(SPACES);
	write_dc(did);
	inval_ddt(true, did);
	if (g) {
		inval_vma(GV, 0, g, 0);
		inval_gvma(GV, g, 0);
	} else if (pdt) {
		inval_vma(0, 0, 0, 0);
	} else {
		inval_vma(PSCV, s + 1, 0, 0);
	}
}

/* "Changing process directory table entry" */
static void change_pc(void)
{
	unsigned int did = rnd(DEVICES), pid = rnd(PROCESSES), g = device[did].guest;
	unsigned int s = device[did].process_space[pid];

	device[did].process_space[pid] = rnd(SPACES);
	write_pc(did, pid);
	inval_pdt(did, pid);
	inval_vma(PSCV | (g ? GV : 0), s + 1, g, 0);
}

static struct rviommu_model_request random_request(void)
{
	struct rviommu_model_request req = request(VA + 0x1000 * rnd(PAGES + 1));

	req.device_id = rnd(DEVICES);
	req.write = rnd(2);
	if (device[req.device_id].pdt && rnd(4)) {
		req.pv = true;
		req.process_id = rnd(PROCESSES);
	}
	if (!req.pv && device[req.device_id].pdt)
		req.iova = rnd(2) ? GPA + 0x1000 * rnd(PAGES) : MSI_PAGE + 0x1000 * rnd(4);
	if (!rnd(8))
		req.kind = RVIOMMU_MODEL_ATS_REQUEST;
	return req;
}

static void compare(void)
{
	struct rviommu_model_config config = bench.config;
	struct rviommu_model_request req = random_request();
	struct rviommu_model_response fresh;
	struct rviommu_model *m;

	config.switches = 0;
	m = rviommu_model_create(&config, &bench_ops, NULL);
	CHECK(m);
	rviommu_model_write64(m, RVIOMMU_REG_DDTP, DDT_ROOT >> 2 | RVIOMMU_DDTP_MODE_3LVL);
	rviommu_model_translate(m, &req, &fresh);
	rviommu_model_destroy(m);

	send(&req);
	CHECK_EQ(rsp.status, fresh.status);
	CHECK_EQ(rsp.cause, fresh.cause);
	CHECK_EQ(rsp.spa, fresh.spa);
	CHECK_EQ(rsp.perms, fresh.perms);
	CHECK_EQ(rsp.size_lg2, fresh.size_lg2);
	CHECK_EQ(rsp.iotval2, fresh.iotval2);
}

static void run(u32 switches, u64 seed)
{
	static void (*const change[])(void) = {
		change_first_leaf, change_first_leaf, change_second_leaf, change_second_leaf,
		change_first_nonleaf, change_second_nonleaf, change_msipte, change_dc, change_pc,
	};
	struct rviommu_model_stats stats;
	unsigned int i, j;

	state = seed;
	bench_config();
	bench.config.switches = switches;
	bench.config.seed = seed;
	bench_start();
	bench_queues_on();
	bench_ddtp(RVIOMMU_DDTP_MODE_3LVL);
	build();
	for (i = 0; i < 300; i++) {
		for (j = 0; j < 5; j++)
			compare();
		change[rnd(ARRAY_SIZE(change))]();
		fence();
		rviommu_model_run(bench.m, 100);
		CHECK_EQ(rd32(RVIOMMU_REG_CQH), rd32(RVIOMMU_REG_CQT));
		CHECK_EQ(rd32(RVIOMMU_REG_CQCSR), RVIOMMU_QCSR_EN | RVIOMMU_QCSR_ON);
		wr32(RVIOMMU_REG_FQH, faults());
	}
	rviommu_model_get_stats(bench.m, &stats);
	CHECK_EQ(stats.requests, 5 * 300);
	CHECK(stats.hits > stats.requests);
}

static void plain(void)
{
	run(0, 1);
	run(0, 2);
}

static void delayed(void)
{
	run(RVIOMMU_MODEL_DELAY_COMMANDS, 3);
	run(RVIOMMU_MODEL_DELAY_COMMANDS | RVIOMMU_MODEL_ASYNC, 4);
}

static void prefetched(void)
{
	run(RVIOMMU_MODEL_PREFETCH, 5);
	run(RVIOMMU_MODEL_PREFETCH | RVIOMMU_MODEL_WORD_BY_WORD, 6);
}

static void everything(void)
{
	run(RVIOMMU_MODEL_SWITCHES, 7);
}

static const struct bench_test tests[] = {
	TEST(plain),
	TEST(delayed),
	TEST(prefetched),
	TEST(everything),
};

int main(void)
{
	return bench_main("random", tests, ARRAY_SIZE(tests));
}
