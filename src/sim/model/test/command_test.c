// SPDX-License-Identifier: GPL-2.0-only
/* "Command-Queue (CQ)": legality of commands, fences, errors. */
#include "test/bench.h"

#define IOTINVAL	1ULL
#define IOFENCE		2ULL
#define IODIR		3ULL
#define ATS		4ULL

static bool legal(u64 dword0, u64 dword1)
{
	u32 head = rd32(RVIOMMU_REG_CQH);
	bool ill;

	command(dword0, dword1);
	ill = rd32(RVIOMMU_REG_CQCSR) & RVIOMMU_CQCSR_CMD_ILL;
	/* "When cmd_ill is 1, the cqh references the command that caused the error." */
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), ill ? head : (head + 1) & 127);
	if (ill) {
		/* step over it */
		mem_write(CQ_BASE + 16 * head, IOTINVAL);
		mem_write(CQ_BASE + 16 * head + 8, 0);
		wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN | RVIOMMU_CQCSR_CMD_ILL);
		CHECK_EQ(rd32(RVIOMMU_REG_CQH), (head + 1) & 127);
	}
	return !ill;
}

/* Reserved opcodes and functions; custom ones are not implemented. */
static void opcodes(void)
{
	unsigned int opcode, func;

	bench_up();
	bench.complete = true;
	for (opcode = 0; opcode < 128; opcode++) {
		for (func = 0; func < 8; func++) {
			bool ok = (opcode == IOTINVAL && func <= 1) ||
				  (opcode == IOFENCE && func == 0) ||
				  (opcode == IODIR && func <= 1) || (opcode == ATS && func <= 1);

			CHECK_EQ(legal(opcode | func << 7 | RVIOMMU_CMD_IODIR_DV *
				       (opcode == IODIR), 0), ok);
		}
	}
}

/* Each reserved bit makes a command illegal, each other bit does not. */
static void reserved_bits_iotinval(void)
{
	unsigned int bit, func;

	bench_up();
	for (func = 0; func < 2; func++) {
		for (bit = 10; bit < 64; bit++) {
			bool ok = bit != 11 && !(bit >= 35 && bit <= 43) && bit < 60;

			/* "Setting PSCV to 1 with IOTINVAL.GVMA is illegal." */
			if (func && bit == 32)
				ok = false;
			CHECK_EQ(legal(IOTINVAL | func << 7 | 1ULL << bit, 0), ok);
		}
		for (bit = 0; bit < 64; bit++)
			CHECK_EQ(legal(IOTINVAL | func << 7, 1ULL << bit), bit >= 9 && bit <= 61);
	}
}

/* Without NL and S their bits are reserved. */
static void extensions_off(void)
{
	bench_config();
	bench.config.capabilities &= ~(RVIOMMU_CAP_NL | RVIOMMU_CAP_S);
	bench_start();
	bench_queues_on();
	CHECK(!legal(IOTINVAL | RVIOMMU_CMD_IOTINVAL_NL, 0));
	CHECK(!legal(IOTINVAL | 1 << 7 | RVIOMMU_CMD_IOTINVAL_NL, 0));
	CHECK(!legal(IOTINVAL, RVIOMMU_CMD_IOTINVAL_S));
	CHECK(!legal(IOTINVAL | BIT(11), 0));
	CHECK(!legal(IOTINVAL, 1));
	CHECK(legal(IOTINVAL, 0));
}

static void reserved_bits_iofence(void)
{
	unsigned int bit;

	bench_up();
	for (bit = 10; bit < 64; bit++) {
		/* WSI is reserved while fctl.WSI is 0 */
		bool ok = bit == 10 || bit == 12 || bit == 13 || bit >= 32;

		CHECK_EQ(legal(IOFENCE | 1ULL << bit, 0x1000 >> 2), ok);
	}
	for (bit = 0; bit < 64; bit++)
		CHECK_EQ(legal(IOFENCE, 1ULL << bit), bit <= 61);
}

static void reserved_bits_iodir(void)
{
	unsigned int bit;

	bench_up();
	for (bit = 10; bit < 64; bit++) {
		bool dv_ok = bit == 33 || bit >= 40;

		/* PID is reserved for INVAL_DDT */
		CHECK_EQ(legal(IODIR | RVIOMMU_CMD_IODIR_DV | 1ULL << bit, 0), dv_ok);
		CHECK_EQ(legal(IODIR | 1 << 7 | RVIOMMU_CMD_IODIR_DV | 1ULL << bit, 0),
			 dv_ok || (bit >= 12 && bit <= 31));
	}
	for (bit = 0; bit < 64; bit++)
		CHECK(!legal(IODIR, 1ULL << bit));
	/* "The DV operand must be 1 for IODIR.INVAL_PDT else the command is illegal." */
	CHECK(!legal(IODIR | 1 << 7, 0));
	CHECK(legal(IODIR, 0));
}

/* DID must fit ddtp.iommu_mode, PID the capabilities. */
static void iodir_widths(void)
{
	bench_config();
	bench.config.capabilities &= ~RVIOMMU_CAP_PD20;
	bench_start();
	bench_queues_on();
	bench_ddtp(RVIOMMU_DDTP_MODE_2LVL);
	CHECK(legal(IODIR | RVIOMMU_CMD_IODIR_DV | 0x7fffULL << 40, 0));
	CHECK(!legal(IODIR | RVIOMMU_CMD_IODIR_DV | 0x8000ULL << 40, 0));
	/* ignored without DV */
	CHECK(legal(IODIR | 0x8000ULL << 40, 0));
	CHECK(legal(IODIR | 1 << 7 | RVIOMMU_CMD_IODIR_DV | 0x1ffffULL << 12, 0));
	CHECK(!legal(IODIR | 1 << 7 | RVIOMMU_CMD_IODIR_DV | 0x20000ULL << 12, 0));
	bench_config();
	bench.config.capabilities &= ~(RVIOMMU_CAP_PD20 | RVIOMMU_CAP_PD17);
	bench_start();
	bench_queues_on();
	bench_ddtp(RVIOMMU_DDTP_MODE_1LVL);
	CHECK(legal(IODIR | RVIOMMU_CMD_IODIR_DV | 63ULL << 40, 0));
	CHECK(!legal(IODIR | RVIOMMU_CMD_IODIR_DV | 64ULL << 40, 0));
	CHECK(legal(IODIR | 1 << 7 | RVIOMMU_CMD_IODIR_DV | 0xffULL << 12, 0));
	CHECK(!legal(IODIR | 1 << 7 | RVIOMMU_CMD_IODIR_DV | 0x100ULL << 12, 0));
}

static void reserved_bits_ats(void)
{
	unsigned int bit, func;

	bench_up();
	bench.complete = true;
	dc_ats(0, 0);
	for (bit = 0; bit < 16; bit++)
		dc_ats(1U << bit, 1U << bit);
	for (func = 0; func < 2; func++) {
		for (bit = 10; bit < 64; bit++)
			CHECK_EQ(legal(ATS | func << 7 | 1ULL << bit, 0),
				 (bit >= 12 && bit <= 33) || bit >= 40);
	}
	/* "This command is supported if capabilities.ATS is set to 1." */
	bench_config();
	bench.config.capabilities &= ~(RVIOMMU_CAP_ATS | RVIOMMU_CAP_T2GPA);
	bench_start();
	bench_queues_on();
	CHECK(!legal(ATS, 0));
	CHECK(!legal(ATS | 1 << 7, 0));
}

/* A fetch that fails sets cqmf; the queue stalls until that is cleared. */
static void fetch_fault(void)
{
	unsigned int how;

	for (how = 1; how <= 2; how++) {
		bench_up();
		wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
		bench.bad_addr = CQ_BASE + 24;
		bench.bad_size = 8;
		bench.bad_how = how;
		inval_vma(0, 0, 0, 0);
		CHECK_EQ(rd32(RVIOMMU_REG_CQH), 1);
		inval_vma(0, 0, 0, 0);
		CHECK_EQ(rd32(RVIOMMU_REG_CQH), 1);
		CHECK(rd32(RVIOMMU_REG_CQCSR) & RVIOMMU_QCSR_MF);
		CHECK_EQ(rd32(RVIOMMU_REG_IPSR), RVIOMMU_IPSR_CIP);
		bench.bad_how = 0;
		inval_vma(0, 0, 0, 0);
		CHECK_EQ(rd32(RVIOMMU_REG_CQH), 1);
		wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE | RVIOMMU_QCSR_MF);
		CHECK_EQ(rd32(RVIOMMU_REG_CQH), 3);
	}
}

/* IOFENCE.C, AV: DATA is stored as four bytes at ADDR[63:2]. */
static void fence_data(void)
{
	bench_up();
	mem_write(0x5000, ~0ULL);
	command(IOFENCE | RVIOMMU_CMD_IOFENCE_AV | 0x12345678ULL << 32, 0x5004 >> 2);
	CHECK_EQ(mem_read(0x5000), 0x12345678ffffffffULL);
	/* ignored without AV */
	command(IOFENCE | 0x9abcdef0ULL << 32, 0x5004 >> 2);
	CHECK_EQ(mem_read(0x5000), 0x12345678ffffffffULL);
	/* a fault: cqmf, and cqh holds the index of the fence */
	bench.bad_addr = 0x5000;
	bench.bad_size = 8;
	bench.bad_how = RVIOMMU_MODEL_MEM_FAULT;
	command(IOFENCE | RVIOMMU_CMD_IOFENCE_AV | 1ULL << 32, 0x5000 >> 2);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 2);
	CHECK(rd32(RVIOMMU_REG_CQCSR) & RVIOMMU_QCSR_MF);
	bench.bad_how = 0;
	wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_MF);
	CHECK_EQ(mem_read(0x5000), 0x1234567800000001ULL);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 3);
	/* an address beyond PAS is no better */
	command(IOFENCE | RVIOMMU_CMD_IOFENCE_AV, 1ULL << 56 >> 2);
	CHECK(rd32(RVIOMMU_REG_CQCSR) & RVIOMMU_QCSR_MF);
}

/* WSI: fence_w_ip and a wired interrupt; processing goes on. */
static void fence_wired(void)
{
	bench_config();
	bench_start();
	wr32(RVIOMMU_REG_FCTL, RVIOMMU_FCTL_WSI);
	wr64(RVIOMMU_REG_ICVEC, 0x3210);
	bench_queues_on();
	wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	wr64(RVIOMMU_REG_ICVEC, 0x3217);
	command(IOFENCE | RVIOMMU_CMD_IOFENCE_WSI, 0);
	CHECK(rd32(RVIOMMU_REG_CQCSR) & RVIOMMU_CQCSR_FENCE_W_IP);
	CHECK_EQ(bench.wires, 1 << 7);
	CHECK_EQ(bench.nr_msi, 0);
	inval_vma(0, 0, 0, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 2);
	/* still pending as long as its condition is */
	wr32(RVIOMMU_REG_IPSR, RVIOMMU_IPSR_CIP);
	CHECK_EQ(bench.wires, 1 << 7);
	wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE | RVIOMMU_CQCSR_FENCE_W_IP);
	CHECK_EQ(bench.wires, 1 << 7);
	wr32(RVIOMMU_REG_IPSR, RVIOMMU_IPSR_CIP);
	CHECK_EQ(bench.wires, 0);
	/* "This bit is reserved if ... fctl.WSI == 0": read-only zero then */
	command(IOFENCE | RVIOMMU_CMD_IOFENCE_WSI, 0);
	CHECK(rd32(RVIOMMU_REG_CQCSR) & RVIOMMU_CQCSR_FENCE_W_IP);
	wr32(RVIOMMU_REG_FCTL, 0);
	CHECK(!(rd32(RVIOMMU_REG_CQCSR) & RVIOMMU_CQCSR_FENCE_W_IP));
}

/* PR and PW wait for accesses that were processed before, and only those. */
static void fence_waits_for_accesses(void)
{
	struct rviommu_model_request rd = request(DATA), wr = write_request(DATA);
	u8 first, second;

	bench_up();
	dc_write(DID, &(struct rviommu_dc) { .word = { RVIOMMU_DC_TC_V } });
	wr.hold = true;
	rd.hold = true;
	send(&wr);
	first = rsp.held;
	CHECK(first);
	fence();
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 1);
	command(IOFENCE | RVIOMMU_CMD_IOFENCE_PR, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 2);
	command(IOFENCE | RVIOMMU_CMD_IOFENCE_PW | RVIOMMU_CMD_IOFENCE_PR, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 2);
	send(&wr);
	second = rsp.held;
	rviommu_model_release(bench.m, first);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 3);
	command(IOFENCE | RVIOMMU_CMD_IOFENCE_PW, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 3);
	rviommu_model_release(bench.m, second);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 4);
	send(&rd);
	command(IOFENCE | RVIOMMU_CMD_IOFENCE_PW, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 5);
	command(IOFENCE | RVIOMMU_CMD_IOFENCE_PR, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 5);
	rviommu_model_release(bench.m, rsp.held);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 6);
	send(&rd);
	command(IOFENCE | RVIOMMU_CMD_IOFENCE_PW | RVIOMMU_CMD_IOFENCE_PR, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 6);
	rviommu_model_release(bench.m, rsp.held);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 7);
	/* an AMO is both */
	wr.amo = true;
	send(&wr);
	command(IOFENCE | RVIOMMU_CMD_IOFENCE_PR, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 7);
	rviommu_model_release(bench.m, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 7);
	rviommu_model_release(bench.m, rsp.held);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 8);
	send(&wr);
	command(IOFENCE | RVIOMMU_CMD_IOFENCE_PW, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 8);
	rviommu_model_release(bench.m, rsp.held);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 9);
}

/* A fence given up half-way does not confuse the next. */
static void fence_given_up(void)
{
	struct rviommu_model_request wr = write_request(DATA);
	u8 first, second;

	bench_up();
	dc_write(DID, &(struct rviommu_dc) { .word = { RVIOMMU_DC_TC_V } });
	wr.hold = true;
	send(&wr);
	first = rsp.held;
	command(IOFENCE | RVIOMMU_CMD_IOFENCE_PW, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 0);
	wr32(RVIOMMU_REG_CQCSR, 0);
	wr32(RVIOMMU_REG_CQT, 0);
	wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN);
	send(&wr);
	second = rsp.held;
	command(IOFENCE | RVIOMMU_CMD_IOFENCE_PW, 0);
	rviommu_model_release(bench.m, second);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 0);
	rviommu_model_release(bench.m, first);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 1);
}

/* cqen 0 to 1 clears cqh and the error bits. */
static void enable_clears(void)
{
	bench_up();
	inval_vma(0, 0, 0, 0);
	command(0, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQCSR), RVIOMMU_QCSR_EN | RVIOMMU_QCSR_ON |
		 RVIOMMU_CQCSR_CMD_ILL);
	wr32(RVIOMMU_REG_CQCSR, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQCSR), RVIOMMU_CQCSR_CMD_ILL);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 1);
	wr32(RVIOMMU_REG_CQT, 0);
	wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN);
	CHECK_EQ(rd32(RVIOMMU_REG_CQCSR), RVIOMMU_QCSR_EN | RVIOMMU_QCSR_ON);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 0);
}

/* Commands and IOFENCE data follow fctl.BE. */
static void big_endian_commands(void)
{
	bench_config();
	bench_start();
	wr32(RVIOMMU_REG_FCTL, RVIOMMU_FCTL_BE);
	bench_queues_on();
	command(IOFENCE | RVIOMMU_CMD_IOFENCE_AV | 0x12345678ULL << 32, 0x5000 >> 2);
	CHECK_EQ(rd32(RVIOMMU_REG_CQH), 1);
	CHECK_EQ(mem_read(0x5000), 0x78563412);
}

/* The queue wraps, and 2 entries are enough for one command at a time. */
static void wraps(void)
{
	unsigned int i;

	bench_up();
	wr32(RVIOMMU_REG_CQCSR, 0);
	wr64(RVIOMMU_REG_CQB, CQ_BASE >> 2);
	wr32(RVIOMMU_REG_CQT, 0);
	wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN);
	for (i = 1; i < 6; i++) {
		mem_write(CQ_BASE + 16 * ((i - 1) & 1), IOFENCE);
		wr32(RVIOMMU_REG_CQT, i & 1);
		CHECK_EQ(rd32(RVIOMMU_REG_CQH), i & 1);
	}
}

/* Errors on request */
static void injected_errors(void)
{
	static const struct {
		enum rviommu_model_injection what;
		u32 bit;
	} cases[] = {
		{ RVIOMMU_MODEL_INJECT_CQ_MF, RVIOMMU_QCSR_MF },
		{ RVIOMMU_MODEL_INJECT_CQ_ILL, RVIOMMU_CQCSR_CMD_ILL },
		{ RVIOMMU_MODEL_INJECT_CQ_TO, RVIOMMU_CQCSR_CMD_TO },
	};
	unsigned int i;

	bench_up();
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		rviommu_model_inject(bench.m, cases[i].what, 1);
		fence();
		CHECK_EQ(rd32(RVIOMMU_REG_CQCSR), RVIOMMU_QCSR_EN | RVIOMMU_QCSR_ON |
			 cases[i].bit);
		CHECK_EQ(rd32(RVIOMMU_REG_CQH), i);
		wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN | cases[i].bit);
		CHECK_EQ(rd32(RVIOMMU_REG_CQH), i + 1);
	}
}

static const struct bench_test tests[] = {
	TEST(opcodes),
	TEST(reserved_bits_iotinval),
	TEST(extensions_off),
	TEST(reserved_bits_iofence),
	TEST(reserved_bits_iodir),
	TEST(iodir_widths),
	TEST(reserved_bits_ats),
	TEST(fetch_fault),
	TEST(fence_data),
	TEST(fence_wired),
	TEST(fence_waits_for_accesses),
	TEST(fence_given_up),
	TEST(enable_clears),
	TEST(big_endian_commands),
	TEST(wraps),
	TEST(injected_errors),
};

int main(void)
{
	return bench_main("command", tests, ARRAY_SIZE(tests));
}
