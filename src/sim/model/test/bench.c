// SPDX-License-Identifier: GPL-2.0-only
/* The surroundings of the model in its tests; see bench.h. */
#include "test/bench.h"

#define NR_PAGES	4096

struct page {
	u64 number;
	u64 word[512];
};

struct bench bench;
struct rviommu_model_response rsp;
static struct page *pages[NR_PAGES];
static const char *running;

void bench_fail(const char *file, int line, const char *what)
{
	printf("not ok: %s\n%s:%d: %s\n", running, file, line, what);
	exit(1);
}

void bench_equal(const char *file, int line, const char *what, u64 found, u64 expected)
{
	if (found == expected)
		return;
	printf("not ok: %s\n%s:%d: %s is 0x%llx, expected 0x%llx\n", running, file, line, what,
	       found, expected);
	exit(1);
}

static u64 *word_at(u64 addr)
{
	u64 number = addr >> 12;
	unsigned int i = (number * 0x9e3779b97f4a7c15ULL) >> 40 & (NR_PAGES - 1);

	while (pages[i] && pages[i]->number != number)
		i = (i + 1) & (NR_PAGES - 1);
	if (!pages[i]) {
		pages[i] = calloc(1, sizeof(*pages[i]));
		pages[i]->number = number;
	}
	return &pages[i]->word[addr >> 3 & 511];
}

u64 mem_read(u64 addr)
{
	return *word_at(addr);
}

void mem_write(u64 addr, u64 value)
{
	*word_at(addr) = value;
}

static int check_access(u64 addr, unsigned int size, bool write)
{
	if (addr & (size - 1) || addr >> FIELD_GET(RVIOMMU_CAP_PAS, bench.config.capabilities))
		bench_fail(__FILE__, __LINE__, "an access that is not aligned or beyond PAS");
	if (bench.bad_how && addr - bench.bad_addr < bench.bad_size &&
	    (write || !bench.bad_writes_only))
		return bench.bad_how;
	return 0;
}

static int op_read64(void *ctx, u64 addr, u64 *value)
{
	(void)ctx;
	bench.reads++;
	*value = mem_read(addr);
	return check_access(addr, 8, false);
}

static int op_write64(void *ctx, u64 addr, u64 value)
{
	int ret = check_access(addr, 8, true);

	(void)ctx;
	if (!ret)
		mem_write(addr, value);
	return ret;
}

static int op_write32(void *ctx, u64 addr, u32 value)
{
	int ret = check_access(addr, 4, true);
	unsigned int shift = 8 * (addr & 4);
	u64 *word = word_at(addr);

	(void)ctx;
	if (!ret)
		*word = (*word & ~(0xffffffffULL << shift)) | (u64)value << shift;
	return ret;
}

static int op_cas64(void *ctx, u64 addr, u64 *old, u64 new)
{
	int ret = check_access(addr, 8, true);
	u64 found;

	(void)ctx;
	if (ret)
		return ret;
	if (bench.cas_hook)
		bench.cas_hook(addr);
	found = mem_read(addr);
	if (found == *old)
		mem_write(addr, new);
	*old = found;
	return 0;
}

static int op_msi(void *ctx, u64 addr, u32 data)
{
	(void)ctx;
	if (bench.msi_fails)
		return bench.msi_fails;
	bench.msi_addr[bench.nr_msi % LOG_SIZE] = addr;
	bench.msi_data[bench.nr_msi++ % LOG_SIZE] = data;
	return 0;
}

static void op_wire(void *ctx, unsigned int vector, bool level)
{
	(void)ctx;
	bench.wires &= ~(1U << vector);
	bench.wires |= level << vector;
	bench.wire_changes++;
}

static void op_ats(void *ctx, const struct rviommu_model_ats_msg *msg)
{
	(void)ctx;
	if (bench.on_the_way)
		rviommu_model_advance(bench.m, bench.on_the_way);
	bench.ats[bench.nr_ats++ % LOG_SIZE] = *msg;
	if (msg->code == RVIOMMU_MODEL_ATS_INVAL && bench.complete)
		rviommu_model_inval_completion(bench.m, msg->device_id, 1U << msg->itag, 1);
}

static void op_other_work(void *ctx)
{
	(void)ctx;
	if (bench.other_work)
		bench.other_work();
}

static void op_unspecified(void *ctx, const char *what)
{
	(void)ctx;
	bench.unspecified = what;
}

const struct rviommu_model_ops bench_ops = {
	.read64 = op_read64,
	.write64 = op_write64,
	.write32 = op_write32,
	.cas64 = op_cas64,
	.msi = op_msi,
	.wire = op_wire,
	.ats = op_ats,
	.other_work = op_other_work,
	.unspecified = op_unspecified,
};

static void forget(void)
{
	unsigned int i;

	for (i = 0; i < NR_PAGES; i++) {
		free(pages[i]);
		pages[i] = NULL;
	}
	rviommu_model_destroy(bench.m);
	memset(&bench, 0, sizeof(bench));
}

int bench_main(const char *subject, const struct bench_test *tests, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		running = tests[i].name;
		tests[i].run();
		forget();
	}
	printf("ok: %s, %u tests\n", subject, n);
	return 0;
}

void bench_config(void)
{
	forget();
	bench.pool = POOL;
	rviommu_model_config_init(&bench.config);
}

void bench_start(void)
{
	CHECK(!rviommu_model_config_check(&bench.config));
	bench.m = rviommu_model_create(&bench.config, &bench_ops, NULL);
	CHECK(bench.m);
}

void bench_queues_on(void)
{
	wr64(RVIOMMU_REG_CQB, CQ_BASE >> 2 | 6);
	wr32(RVIOMMU_REG_CQT, 0);
	wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN);
	wr64(RVIOMMU_REG_FQB, FQ_BASE >> 2 | 6);
	wr32(RVIOMMU_REG_FQH, 0);
	wr32(RVIOMMU_REG_FQCSR, RVIOMMU_QCSR_EN);
	wr64(RVIOMMU_REG_PQB, PQ_BASE >> 2 | 6);
	wr32(RVIOMMU_REG_PQH, 0);
	wr32(RVIOMMU_REG_PQCSR, RVIOMMU_QCSR_EN);
	rviommu_model_run(bench.m, 0);
}

void bench_ddtp(unsigned int mode)
{
	wr64(RVIOMMU_REG_DDTP, DDT_ROOT >> 2 | mode);
	rviommu_model_run(bench.m, 0);
}

void bench_up(void)
{
	bench_config();
	bench_start();
	bench_queues_on();
	bench_ddtp(RVIOMMU_DDTP_MODE_3LVL);
}

u64 new_page(void)
{
	u64 page = bench.pool;

	bench.pool += 0x1000;
	return page;
}

/* 16 KiB, as the root of a second stage needs it */
u64 new_root(void)
{
	u64 root = (bench.pool + 0x3fff) & ~0x3fffULL;

	bench.pool = root + 0x4000;
	return root;
}

static u64 order(u64 value, bool be)
{
	return be ? swab64(value) : value;
}

static bool fctl_be(void)
{
	return rd32(RVIOMMU_REG_FCTL) & RVIOMMU_FCTL_BE;
}

static u64 next_table(u64 slot, bool be)
{
	u64 entry = order(mem_read(slot), be);

	if (!(entry & RVIOMMU_PTE_V)) {
		entry = new_page() >> 2 | RVIOMMU_PTE_V;
		mem_write(slot, order(entry, be));
	}
	return FIELD_GET(RVIOMMU_PTE_PPN, entry) << 12;
}

u64 dc_addr(u32 did)
{
	unsigned int bits = bench.config.capabilities & RVIOMMU_CAP_MSI_FLAT ? 6 : 7;
	unsigned int level = (rd64(RVIOMMU_REG_DDTP) & RVIOMMU_DDTP_MODE) - 2;
	u64 table = DDT_ROOT;

	for (; level; level--)
		table = next_table(table + 8 * (did >> (bits + 9 * (level - 1)) & 511), fctl_be());
	return table + (0x1000 >> bits) * (did & ((1U << bits) - 1));
}

void dc_write(u32 did, const struct rviommu_dc *dc)
{
	unsigned int i, n = bench.config.capabilities & RVIOMMU_CAP_MSI_FLAT ? 8 : 4;
	u64 addr = dc_addr(did);

	for (i = 0; i < n; i++)
		mem_write(addr + 8 * i, order(dc->word[i], fctl_be()));
}

u64 fsc(unsigned int mode, u64 root)
{
	return FIELD_PREP(RVIOMMU_FSC_MODE, mode) | root >> 12;
}

u64 iohgatp(unsigned int mode, u64 root)
{
	return FIELD_PREP(RVIOMMU_DC_IOHGATP_MODE, mode) |
	       FIELD_PREP(RVIOMMU_DC_IOHGATP_GSCID, GSCID) | root >> 12;
}

void dc_ats(u32 first, u32 last)
{
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_EN_ATS } };

	for (; first <= last; first++)
		dc_write(first, &dc);
}

struct rviommu_dc dc_first(u64 dc_fsc)
{
	return (struct rviommu_dc) { .word = {
		RVIOMMU_DC_TC_V, 0, FIELD_PREP(RVIOMMU_DC_TA_PSCID, PSCID), dc_fsc,
	} };
}

struct rviommu_dc dc_second(u64 dc_iohgatp)
{
	return (struct rviommu_dc) { .word = { RVIOMMU_DC_TC_V, dc_iohgatp } };
}

u64 pc_addr(u64 pdtp, u32 pid)
{
	unsigned int level = FIELD_GET(RVIOMMU_FSC_MODE, pdtp) - 1;
	u64 table = FIELD_GET(RVIOMMU_FSC_PPN, pdtp) << 12;

	for (; level; level--)
		table = next_table(table + 8 * (pid >> (9 * level - 1) & 511), false);
	return table + 16 * (pid & 255);
}

void pc_write(u64 pdtp, u32 pid, u64 ta, u64 pc_fsc)
{
	u64 addr = pc_addr(pdtp, pid);

	mem_write(addr, ta);
	mem_write(addr + 8, pc_fsc);
}

u64 pte(u64 pa, u64 flags)
{
	return pa >> 2 | flags;
}

/* The slot in a table chain that exists or is made; Sv39 and up only. */
u64 pte_addr(u64 root, unsigned int mode, u64 addr, unsigned int level)
{
	unsigned int top = mode - 6, l;
	u64 table = root;

	for (l = top; l > level; l--)
		table = next_table(table + 8 * (addr >> (12 + 9 * l) & 511), false);
	return table + 8 * (addr >> (12 + 9 * level) & 511);
}

void map(u64 root, unsigned int mode, u64 addr, u64 pa, u64 flags)
{
	mem_write(pte_addr(root, mode, addr, 0), pte(pa, flags));
}

struct rviommu_model_request request(u64 iova)
{
	return (struct rviommu_model_request) { .device_id = DID, .iova = iova, .length = 4 };
}

struct rviommu_model_request write_request(u64 iova)
{
	struct rviommu_model_request req = request(iova);

	req.write = true;
	return req;
}

int send(const struct rviommu_model_request *req)
{
	return rviommu_model_translate(bench.m, req, &rsp);
}

void expect_pa(const struct rviommu_model_request *req, u64 pa)
{
	CHECK_EQ(send(req), RVIOMMU_MODEL_OK);
	CHECK_EQ(rsp.cause, 0);
	CHECK_EQ(rsp.spa, pa);
}

void expect_fault(const struct rviommu_model_request *req, unsigned int cause)
{
	unsigned int before = faults();

	CHECK_EQ(send(req), RVIOMMU_MODEL_ABORT);
	CHECK_EQ(rsp.cause, cause);
	CHECK_EQ(faults(), before + 1);
	CHECK_EQ(last_cause(), cause);
	CHECK_EQ(fault_word(0, 2), req->iova);
	CHECK_EQ(fault_word(0, 3), rsp.iotval2);
}

u32 rd32(unsigned int offset)
{
	return rviommu_model_read32(bench.m, offset);
}

u64 rd64(unsigned int offset)
{
	return rviommu_model_read64(bench.m, offset);
}

void wr32(unsigned int offset, u32 value)
{
	rviommu_model_write32(bench.m, offset, value);
}

void wr64(unsigned int offset, u64 value)
{
	rviommu_model_write64(bench.m, offset, value);
}

void command(u64 dword0, u64 dword1)
{
	u32 tail = rd32(RVIOMMU_REG_CQT);

	mem_write(CQ_BASE + 16 * tail, order(dword0, fctl_be()));
	mem_write(CQ_BASE + 16 * tail + 8, order(dword1, fctl_be()));
	wr32(RVIOMMU_REG_CQT, (tail + 1) & 127);
}

void inval_vma(u64 flags, u64 pscid, u64 gscid, u64 addr)
{
	command(RVIOMMU_CMD_OPCODE_IOTINVAL | flags |
		FIELD_PREP(RVIOMMU_CMD_IOTINVAL_PSCID, pscid) |
		FIELD_PREP(RVIOMMU_CMD_IOTINVAL_GSCID, gscid), addr >> 2);
}

void inval_gvma(u64 flags, u64 gscid, u64 addr)
{
	command(RVIOMMU_CMD_OPCODE_IOTINVAL | 1 << 7 | flags |
		FIELD_PREP(RVIOMMU_CMD_IOTINVAL_GSCID, gscid), addr >> 2);
}

void inval_ddt(bool dv, u32 did)
{
	command(RVIOMMU_CMD_OPCODE_IODIR | (dv ? RVIOMMU_CMD_IODIR_DV : 0) |
		FIELD_PREP(RVIOMMU_CMD_IODIR_DID, did), 0);
}

void inval_pdt(u32 did, u32 pid)
{
	command(RVIOMMU_CMD_OPCODE_IODIR | 1 << 7 | RVIOMMU_CMD_IODIR_DV |
		FIELD_PREP(RVIOMMU_CMD_IODIR_PID, pid) |
		FIELD_PREP(RVIOMMU_CMD_IODIR_DID, did), 0);
}

void fence(void)
{
	command(RVIOMMU_CMD_OPCODE_IOFENCE, 0);
}

unsigned int faults(void)
{
	return rd32(RVIOMMU_REG_FQT);
}

/* A doubleword of a fault record, counted back from the newest */
u64 fault_word(unsigned int back, unsigned int word)
{
	u32 index = (rd32(RVIOMMU_REG_FQT) - 1 - back) & 127;

	return order(mem_read(FQ_BASE + 32 * index + 8 * word), fctl_be());
}

unsigned int last_cause(void)
{
	return FIELD_GET(RVIOMMU_FAULT_CAUSE, fault_word(0, 0));
}

unsigned int cached(unsigned int kind)
{
	return rviommu_model_list_cached(bench.m, 1U << kind, NULL, NULL);
}
