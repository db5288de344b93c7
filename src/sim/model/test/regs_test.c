// SPDX-License-Identifier: GPL-2.0-only
/*
 * "Memory-mapped register interface": access rules, reset values, ddtp, queues'
 * control registers, interrupts.
 */
#include "test/bench.h"

static void up(void)
{
	bench_config();
	bench_start();
}

/* "Reset behavior": Off, queues off, nothing pending */
static void reset_values(void)
{
	up();
	CHECK_EQ(rd64(RVIOMMU_REG_CAPABILITIES), bench.config.capabilities);
	CHECK_EQ(rd64(RVIOMMU_REG_DDTP), 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQCSR), 0);
	CHECK_EQ(rd32(RVIOMMU_REG_FQCSR), 0);
	CHECK_EQ(rd32(RVIOMMU_REG_PQCSR), 0);
	CHECK_EQ(rd32(RVIOMMU_REG_IPSR), 0);
	CHECK_EQ(rd64(RVIOMMU_REG_TR_REQ_CTL) & 1, 0);
	bench_config();
	bench.config.ddtp_reset = RVIOMMU_DDTP_MODE_BARE;
	bench.config.switches = RVIOMMU_MODEL_RANDOM_RESET;
	bench_start();
	CHECK_EQ(rd64(RVIOMMU_REG_DDTP) & 0x1f, 1);
	CHECK_EQ(rd32(RVIOMMU_REG_QOSID) & 0xfff, 0);
}

/* The rest is UNSPECIFIED: RANDOM_RESET uses that, and only that. */
static void random_reset(void)
{
	u64 first;

	bench_config();
	bench.config.switches = RVIOMMU_MODEL_RANDOM_RESET;
	bench_start();
	CHECK_EQ(rd64(RVIOMMU_REG_DDTP) & 0x1f, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_CQCSR) | rd32(RVIOMMU_REG_FQCSR) | rd32(RVIOMMU_REG_PQCSR) |
		 rd32(RVIOMMU_REG_IPSR), 0);
	CHECK_EQ(rd64(RVIOMMU_REG_TR_REQ_CTL) & 1, 0);
	first = rd64(RVIOMMU_REG_CQB);
	CHECK(first);
	CHECK(rd64(RVIOMMU_REG_MSI_ADDR(3)));
	rviommu_model_reset(bench.m);
	CHECK(rd64(RVIOMMU_REG_CQB) != first);
	CHECK_EQ(bench.nr_msi, 0);
}

/* "A 4 byte access": every register as two halves */
static void halves(void)
{
	up();
	wr32(RVIOMMU_REG_CQB + 4, 0x12);
	wr32(RVIOMMU_REG_CQB, 0x34567c0f);
	CHECK_EQ(rd64(RVIOMMU_REG_CQB), 0x1234567c0fULL);
	CHECK_EQ(rd32(RVIOMMU_REG_CQB), 0x34567c0f);
	CHECK_EQ(rd32(RVIOMMU_REG_CQB + 4), 0x12);
	CHECK_EQ(rd32(RVIOMMU_REG_CAPABILITIES), (u32)bench.config.capabilities);
	CHECK_EQ(rd32(RVIOMMU_REG_CAPABILITIES + 4), bench.config.capabilities >> 32);
	wr64(RVIOMMU_REG_FQB, ~0ULL);
	/* PAS is 56; LOG2SZ-1 at most 15 */
	CHECK_EQ(rd64(RVIOMMU_REG_FQB), RVIOMMU_QB_PPN | 15);
}

static u64 after(unsigned int offset, u64 value)
{
	wr64(offset, value);
	return rd64(offset);
}

/* RO and WARL */
static void writable_bits(void)
{
	unsigned int offset;

	up();
	CHECK_EQ(after(RVIOMMU_REG_CAPABILITIES, ~0ULL), bench.config.capabilities);
	CHECK_EQ(after(RVIOMMU_REG_ICVEC, ~0ULL), 0xffff);
	CHECK_EQ(after(RVIOMMU_REG_QOSID, ~0ULL), 0x0fff0fff);
	CHECK_EQ(after(RVIOMMU_REG_TR_REQ_IOVA, ~0ULL), ~0xfffULL);
	CHECK_EQ(after(RVIOMMU_REG_TR_RESPONSE, ~0ULL), 0);
	CHECK_EQ(after(RVIOMMU_REG_MSI_ADDR(0), ~0ULL), 0xfffffffffffffcULL);
	CHECK_EQ(after(RVIOMMU_REG_MSI_ADDR(15), ~0ULL), 0xfffffffffffffcULL);
	CHECK_EQ(after(RVIOMMU_REG_MSI_DATA(15), ~0ULL), 0x1ffffffffULL);
	CHECK_EQ(after(RVIOMMU_REG_IOCOUNTOVF, ~0ULL), 0xffffffff00000000ULL);
	CHECK_EQ(after(RVIOMMU_REG_CQH, 0xffffffffULL), 0);
	CHECK_EQ(after(12, ~0ULL), 0);
	/* reserved and custom */
	for (offset = 632; offset < 760; offset += 8)
		CHECK_EQ(after(offset, ~0ULL), 0);
	for (offset = 1024; offset < 4096; offset += 8)
		CHECK_EQ(after(offset, ~0ULL), 0);
	CHECK(!bench.unspecified || strstr(bench.unspecified, "two 32-bit"));
	/* not aligned, not inside */
	for (offset = 0; offset < 3; offset++) {
		bench.unspecified = NULL;
		CHECK_EQ(offset == 1 ? rd64(4) : rd32(offset ? 4096 : 2), 0);
		CHECK(bench.unspecified);
	}
	wr32(RVIOMMU_REG_CQB, 5);
	wr32(RVIOMMU_REG_CQB + 2, ~0U);
	CHECK_EQ(rd32(RVIOMMU_REG_CQB), 5);
}

/* Optional registers read as 0 and ignore writes. */
static void optional_registers(void)
{
	static const struct {
		u64 cap;
		unsigned int first, last;
	} groups[] = {
		{ RVIOMMU_CAP_ATS | RVIOMMU_CAP_T2GPA, RVIOMMU_REG_PQB, RVIOMMU_REG_PQT },
		{ RVIOMMU_CAP_ATS | RVIOMMU_CAP_T2GPA, RVIOMMU_REG_PQCSR, RVIOMMU_REG_PQCSR },
		{ RVIOMMU_CAP_HPM, RVIOMMU_REG_IOCOUNTOVF, RVIOMMU_REG_TR_REQ_IOVA - 4 },
		{ RVIOMMU_CAP_DBG, RVIOMMU_REG_TR_REQ_IOVA, RVIOMMU_REG_TR_RESPONSE + 4 },
		{ RVIOMMU_CAP_QOSID, RVIOMMU_REG_QOSID, RVIOMMU_REG_QOSID },
	};
	unsigned int i, offset;

	for (i = 0; i < ARRAY_SIZE(groups); i++) {
		bench_config();
		bench.config.capabilities &= ~groups[i].cap;
		bench_start();
		for (offset = groups[i].first; offset <= groups[i].last; offset += 4) {
			wr32(offset, ~0U);
			CHECK_EQ(rd32(offset), 0);
		}
	}
	bench_config();
	bench.config.capabilities &= ~RVIOMMU_CAP_IGS;
	bench.config.capabilities |= FIELD_PREP(RVIOMMU_CAP_IGS, RVIOMMU_IGS_WSI);
	rviommu_model_config_fit(&bench.config);
	bench_start();
	CHECK_EQ(rd32(RVIOMMU_REG_FCTL), RVIOMMU_FCTL_WSI);
	for (offset = RVIOMMU_REG_MSI_ADDR(0); offset < 1024; offset += 4) {
		wr32(offset, ~0U);
		CHECK_EQ(rd32(offset), 0);
	}
}

/* fctl: what capabilities make writable */
static void fctl_fields(void)
{
	up();
	wr32(RVIOMMU_REG_FCTL, ~0U);
	CHECK_EQ(rd32(RVIOMMU_REG_FCTL), 7);
	CHECK(!bench.unspecified);
	bench_config();
	bench.config.capabilities &= ~(RVIOMMU_CAP_END | RVIOMMU_CAP_IGS | RVIOMMU_CAP_SV32 |
				       RVIOMMU_CAP_SV32X4);
	rviommu_model_config_fit(&bench.config);
	bench_start();
	wr32(RVIOMMU_REG_FCTL, ~0U);
	CHECK_EQ(rd32(RVIOMMU_REG_FCTL), 0);
	bench_config();
	bench.config.capabilities &= ~RVIOMMU_CAP_IGS;
	bench.config.capabilities |= FIELD_PREP(RVIOMMU_CAP_IGS, RVIOMMU_IGS_WSI);
	rviommu_model_config_fit(&bench.config);
	bench_start();
	wr32(RVIOMMU_REG_FCTL, RVIOMMU_FCTL_BE);
	CHECK_EQ(rd32(RVIOMMU_REG_FCTL), RVIOMMU_FCTL_BE | RVIOMMU_FCTL_WSI);
	CHECK(!bench.unspecified);
	/* not while the IOMMU, or a queue, is on */
	bench_queues_on();
	wr32(RVIOMMU_REG_FCTL, RVIOMMU_FCTL_BE);
	CHECK(!bench.unspecified);
	wr32(RVIOMMU_REG_FCTL, 0);
	CHECK(bench.unspecified);
	up();
	bench_ddtp(RVIOMMU_DDTP_MODE_BARE);
	wr32(RVIOMMU_REG_FCTL, RVIOMMU_FCTL_BE);
	CHECK(bench.unspecified);
}

/* ddtp.iommu_mode is WARL; PPN is as wide as PAS. */
static void ddtp_modes(void)
{
	unsigned int mode;

	bench_config();
	bench.config.ddtp_modes = BIT(RVIOMMU_DDTP_MODE_2LVL);
	bench.config.capabilities = (bench.config.capabilities & ~RVIOMMU_CAP_PAS) |
				    FIELD_PREP(RVIOMMU_CAP_PAS, 40);
	bench_start();
	for (mode = 0; mode < 16; mode++) {
		bool ok = mode <= 1 || mode == 3;

		wr64(RVIOMMU_REG_DDTP, 0);
		CHECK_EQ(rd64(RVIOMMU_REG_DDTP), 0);
		wr64(RVIOMMU_REG_DDTP, ~0xfULL | mode);
		CHECK_EQ(rd64(RVIOMMU_REG_DDTP), ((1ULL << 28) - 1) << 10 | (ok ? mode : 0));
		bench.unspecified = NULL;
	}
}

/* Transitions that "Device-directory-table pointer" leaves UNSPECIFIED */
static void ddtp_transitions(void)
{
	static const struct {
		unsigned int from, to;
		bool defined;
	} cases[] = {
		{ 0, 1, true }, { 0, 4, true }, { 1, 0, true }, { 1, 4, true }, { 4, 0, true },
		{ 1, 1, true }, { 4, 1, false }, { 4, 3, false }, { 2, 4, false },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		up();
		wr64(RVIOMMU_REG_DDTP, DDT_ROOT >> 2 | cases[i].from);
		CHECK(!bench.unspecified);
		wr64(RVIOMMU_REG_DDTP, DDT_ROOT >> 2 | cases[i].to);
		CHECK_EQ(!bench.unspecified, cases[i].defined);
	}
	up();
	wr64(RVIOMMU_REG_DDTP, DDT_ROOT >> 2 | 4);
	wr64(RVIOMMU_REG_DDTP, 0);
	CHECK(bench.unspecified);
}

/* On the way to Off, busy stays until processed accesses are committed. */
static void ddtp_off_waits(void)
{
	struct rviommu_model_request req = write_request(DATA);
	u8 held;

	bench_up();
	dc_write(DID, &(struct rviommu_dc) { .word = { RVIOMMU_DC_TC_V } });
	req.hold = true;
	CHECK_EQ(send(&req), RVIOMMU_MODEL_OK);
	held = rsp.held;
	wr64(RVIOMMU_REG_DDTP, DDT_ROOT >> 2);
	CHECK(rd64(RVIOMMU_REG_DDTP) & RVIOMMU_DDTP_BUSY);
	expect_fault(&req, 256);
	wr64(RVIOMMU_REG_DDTP, DDT_ROOT >> 2 | 4);
	CHECK(bench.unspecified);
	rviommu_model_release(bench.m, held);
	CHECK_EQ(rd64(RVIOMMU_REG_DDTP), DDT_ROOT >> 2);
}

/* Only LOG2SZ-1:0 of an index are writable; a write to the base clears the rest. */
static void queue_indices(void)
{
	up();
	wr64(RVIOMMU_REG_CQB, 7);
	wr32(RVIOMMU_REG_CQT, ~0U);
	CHECK_EQ(rd32(RVIOMMU_REG_CQT), 255);
	wr64(RVIOMMU_REG_CQB, 3);
	CHECK_EQ(rd32(RVIOMMU_REG_CQT), 15);
	wr64(RVIOMMU_REG_FQB, 0);
	wr32(RVIOMMU_REG_FQH, ~0U);
	CHECK_EQ(rd32(RVIOMMU_REG_FQH), 1);
	wr32(RVIOMMU_REG_FQT, 1);
	CHECK_EQ(rd32(RVIOMMU_REG_FQT), 0);
	wr64(RVIOMMU_REG_PQB, 1);
	wr32(RVIOMMU_REG_PQH, ~0U);
	CHECK_EQ(rd32(RVIOMMU_REG_PQH), 3);
	wr32(RVIOMMU_REG_PQT, 1);
	CHECK_EQ(rd32(RVIOMMU_REG_PQT), 0);
	CHECK(!bench.unspecified);
	wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN);
	wr64(RVIOMMU_REG_CQB, 3);
	CHECK(bench.unspecified);
}

/* ASYNC: busy until the IOMMU has got round to it */
static void busy_bits(void)
{
	bench_config();
	bench.config.switches = RVIOMMU_MODEL_ASYNC;
	bench_start();
	wr32(RVIOMMU_REG_FQCSR, RVIOMMU_QCSR_EN);
	CHECK_EQ(rd32(RVIOMMU_REG_FQCSR), RVIOMMU_QCSR_EN | RVIOMMU_QCSR_BUSY);
	wr32(RVIOMMU_REG_FQCSR, 0);
	CHECK(bench.unspecified);
	CHECK_EQ(rd32(RVIOMMU_REG_FQCSR), RVIOMMU_QCSR_EN | RVIOMMU_QCSR_BUSY);
	rviommu_model_run(bench.m, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_FQCSR), RVIOMMU_QCSR_EN | RVIOMMU_QCSR_ON);
	wr32(RVIOMMU_REG_FQCSR, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_FQCSR), RVIOMMU_QCSR_ON | RVIOMMU_QCSR_BUSY);
	rviommu_model_run(bench.m, 0);
	CHECK_EQ(rd32(RVIOMMU_REG_FQCSR), 0);
	bench.unspecified = NULL;
	wr64(RVIOMMU_REG_DDTP, DDT_ROOT >> 2 | 4);
	CHECK_EQ(rd64(RVIOMMU_REG_DDTP), DDT_ROOT >> 2 | 4 | RVIOMMU_DDTP_BUSY);
	wr64(RVIOMMU_REG_DDTP, 0);
	CHECK(bench.unspecified);
	rviommu_model_run(bench.m, 0);
	CHECK_EQ(rd64(RVIOMMU_REG_DDTP), DDT_ROOT >> 2 | 4);
}

static void fault_now(void)
{
	struct rviommu_model_request req = request(DATA);

	req.device_id = 77;
	send(&req);
}

static void msi_vectors(void)
{
	unsigned int i;

	wr64(RVIOMMU_REG_ICVEC, 0x7654);
	for (i = 0; i < 16; i++) {
		wr64(RVIOMMU_REG_MSI_ADDR(i), 0x28000000 + 4 * i);
		wr32(RVIOMMU_REG_MSI_DATA(i), 100 + i);
	}
}

/* "Interrupt pending status register": edge on 0 to 1, by the vector of icvec */
static void message_interrupts(void)
{
	bench_up();
	msi_vectors();
	fault_now();
	CHECK_EQ(rd32(RVIOMMU_REG_IPSR), 0);
	wr32(RVIOMMU_REG_FQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	/* the record is old by now */
	CHECK_EQ(rd32(RVIOMMU_REG_IPSR), 0);
	fault_now();
	CHECK_EQ(rd32(RVIOMMU_REG_IPSR), RVIOMMU_IPSR_FIP);
	CHECK_EQ(bench.nr_msi, 1);
	CHECK_EQ(bench.msi_addr[0], 0x28000000 + 4 * 5);
	CHECK_EQ(bench.msi_data[0], 105);
	fault_now();
	CHECK_EQ(bench.nr_msi, 1);
	wr32(RVIOMMU_REG_IPSR, RVIOMMU_IPSR_CIP);
	CHECK_EQ(rd32(RVIOMMU_REG_IPSR), RVIOMMU_IPSR_FIP);
	wr32(RVIOMMU_REG_IPSR, RVIOMMU_IPSR_FIP);
	CHECK_EQ(rd32(RVIOMMU_REG_IPSR), 0);
	fault_now();
	CHECK_EQ(bench.nr_msi, 2);
	/* an error persists: cleared, it comes again, with a message */
	command(0, 0);
	wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	CHECK_EQ(bench.nr_msi, 3);
	CHECK_EQ(bench.msi_data[2], 104);
	wr32(RVIOMMU_REG_IPSR, RVIOMMU_IPSR_CIP);
	CHECK_EQ(bench.nr_msi, 4);
	CHECK_EQ(bench.wire_changes, 0);
	CHECK(rd32(RVIOMMU_REG_IPSR) & RVIOMMU_IPSR_CIP);
}

/* "MSI configuration table": a masked message is sent when unmasked. */
static void masked_interrupts(void)
{
	bench_up();
	msi_vectors();
	wr32(RVIOMMU_REG_FQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	wr32(RVIOMMU_REG_MSI_VEC_CTL(5), 1);
	fault_now();
	wr32(RVIOMMU_REG_IPSR, RVIOMMU_IPSR_FIP);
	fault_now();
	CHECK_EQ(bench.nr_msi, 0);
	/* two vectors may be pending */
	wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	wr32(RVIOMMU_REG_MSI_VEC_CTL(4), 1);
	command(0, 0);
	CHECK_EQ(bench.nr_msi, 0);
	wr32(RVIOMMU_REG_MSI_VEC_CTL(4), 0);
	CHECK_EQ(bench.nr_msi, 1);
	bench.nr_msi = 0;
	wr32(RVIOMMU_REG_MSI_VEC_CTL(5), 0);
	CHECK_EQ(bench.nr_msi, 1);
	CHECK_EQ(bench.msi_data[0], 105);
	wr32(RVIOMMU_REG_MSI_VEC_CTL(5), 0);
	CHECK_EQ(bench.nr_msi, 1);
}

/* A message that cannot be written: cause 273, TTYP 0, iotval = msi_addr */
static void message_fault(void)
{
	bench_up();
	msi_vectors();
	wr32(RVIOMMU_REG_FQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	bench.msi_fails = RVIOMMU_MODEL_MEM_FAULT;
	fault_now();
	CHECK_EQ(faults(), 2);
	CHECK_EQ(fault_word(0, 0), 273);
	CHECK_EQ(fault_word(0, 2), 0x28000000 + 4 * 5);
	CHECK_EQ(fault_word(0, 3), 0);
}

/* Data of messages is big-endian with fctl.BE. */
static void big_endian_message(void)
{
	bench_config();
	bench_start();
	wr32(RVIOMMU_REG_FCTL, RVIOMMU_FCTL_BE);
	bench_queues_on();
	msi_vectors();
	wr32(RVIOMMU_REG_FQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	fault_now();
	CHECK_EQ(bench.msi_data[0], 105 << 24);
}

/* Wires follow ipsr and icvec; causes may share one. */
static void wired_interrupts(void)
{
	bench_config();
	bench_start();
	wr32(RVIOMMU_REG_FCTL, RVIOMMU_FCTL_WSI);
	wr64(RVIOMMU_REG_ICVEC, 0x0033);
	bench_queues_on();
	wr32(RVIOMMU_REG_FQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	wr32(RVIOMMU_REG_CQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	fault_now();
	CHECK_EQ(bench.wires, 1 << 3);
	command(0, 0);
	CHECK_EQ(bench.wires, 1 << 3);
	wr32(RVIOMMU_REG_IPSR, RVIOMMU_IPSR_FIP);
	CHECK_EQ(bench.wires, 1 << 3);
	wr64(RVIOMMU_REG_ICVEC, 0x0034);
	CHECK_EQ(bench.wires, 1 << 4);
	fault_now();
	CHECK_EQ(bench.wires, 1 << 4 | 1 << 3);
	rviommu_model_reset(bench.m);
	CHECK_EQ(bench.wires, 0);
	CHECK_EQ(bench.nr_msi, 0);
}

/* Fewer vectors: icvec and the table shrink. */
static void few_vectors(void)
{
	bench_config();
	bench.config.vectors = 2;
	bench_start();
	wr64(RVIOMMU_REG_ICVEC, ~0ULL);
	CHECK_EQ(rd64(RVIOMMU_REG_ICVEC), 0x1111);
	wr64(RVIOMMU_REG_MSI_ADDR(1), 0x28000000);
	wr64(RVIOMMU_REG_MSI_ADDR(2), 0x28000000);
	CHECK_EQ(rd64(RVIOMMU_REG_MSI_ADDR(1)), 0x28000000);
	CHECK_EQ(rd64(RVIOMMU_REG_MSI_ADDR(2)), 0);
}

/* "Fault/Event-Queue": the whole record, PV and PRIV */
static void fault_record(void)
{
	struct rviommu_model_request req = write_request(0x123456789abcdefULL);

	bench_up();
	req.device_id = 0xabcdef;
	req.pv = true;
	req.process_id = 0x54321;
	req.priv = true;
	expect_fault(&req, 258);
	CHECK_EQ(fault_word(0, 0), 0xabcdefULL << 40 | 3ULL << 34 | 1ULL << 33 | 1ULL << 32 |
		 0x54321 << 12 | 258);
	CHECK_EQ(fault_word(0, 1), 0);
	CHECK_EQ(fault_word(0, 3), 0);
	req.priv = false;
	expect_fault(&req, 258);
	CHECK_EQ(fault_word(0, 0), 0xabcdefULL << 40 | 3ULL << 34 | 1ULL << 32 |
		 0x54321 << 12 | 258);
	req.pv = false;
	expect_fault(&req, 258);
	CHECK_EQ(fault_word(0, 0), 0xabcdefULL << 40 | 3ULL << 34 | 258);
}

/* Full: fqof, records are lost until it is cleared. Broken: fqmf. */
static void fault_queue_errors(void)
{
	unsigned int i;

	bench_up();
	wr32(RVIOMMU_REG_FQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	for (i = 0; i < 127; i++)
		fault_now();
	CHECK_EQ(rd32(RVIOMMU_REG_FQT), 127);
	CHECK(!(rd32(RVIOMMU_REG_FQCSR) & RVIOMMU_QCSR_OF));
	wr32(RVIOMMU_REG_IPSR, RVIOMMU_IPSR_FIP);
	fault_now();
	CHECK(rd32(RVIOMMU_REG_FQCSR) & RVIOMMU_QCSR_OF);
	CHECK_EQ(rd32(RVIOMMU_REG_IPSR), RVIOMMU_IPSR_FIP);
	wr32(RVIOMMU_REG_FQH, 100);
	fault_now();
	CHECK_EQ(rd32(RVIOMMU_REG_FQT), 127);
	wr32(RVIOMMU_REG_FQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE | RVIOMMU_QCSR_OF);
	fault_now();
	CHECK_EQ(rd32(RVIOMMU_REG_FQT), 0);
	bench.bad_addr = FQ_BASE;
	bench.bad_size = 0x2000;
	bench.bad_how = RVIOMMU_MODEL_MEM_FAULT;
	fault_now();
	CHECK(rd32(RVIOMMU_REG_FQCSR) & RVIOMMU_QCSR_MF);
	CHECK_EQ(rd32(RVIOMMU_REG_FQT), 0);
	bench.bad_how = 0;
	fault_now();
	CHECK_EQ(rd32(RVIOMMU_REG_FQT), 0);
	/* fqen 0 to 1 clears fqt and the errors */
	wr32(RVIOMMU_REG_FQH, 0);
	wr32(RVIOMMU_REG_FQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_MF);
	fault_now();
	fault_now();
	wr32(RVIOMMU_REG_FQCSR, 0);
	fault_now();
	CHECK_EQ(rd32(RVIOMMU_REG_FQT), 2);
	wr32(RVIOMMU_REG_FQCSR, RVIOMMU_QCSR_EN);
	CHECK_EQ(rd32(RVIOMMU_REG_FQT), 0);
}

/* Errors on request */
static void injected_fault_queue_errors(void)
{
	bench_up();
	rviommu_model_inject(bench.m, RVIOMMU_MODEL_INJECT_FQ_OF, 1);
	fault_now();
	CHECK(rd32(RVIOMMU_REG_FQCSR) & RVIOMMU_QCSR_OF);
	wr32(RVIOMMU_REG_FQCSR, RVIOMMU_QCSR_EN | RVIOMMU_QCSR_OF);
	rviommu_model_inject(bench.m, RVIOMMU_MODEL_INJECT_FQ_MF, 1);
	fault_now();
	CHECK(rd32(RVIOMMU_REG_FQCSR) & RVIOMMU_QCSR_MF);
	CHECK_EQ(rd32(RVIOMMU_REG_FQT), 0);
}

/* "Fault record CAUSE field encodings": what DTF silences */
static void disable_translation_fault(void)
{
	struct rviommu_dc dc = { .word = { RVIOMMU_DC_TC_V | RVIOMMU_DC_TC_DTF, 0, 0,
					   fsc(8, 0x600000) } };
	struct rviommu_model_request req = request(DATA);

	bench_up();
	dc_write(DID, &dc);
	CHECK_EQ(send(&req), RVIOMMU_MODEL_ABORT);
	CHECK_EQ(rsp.cause, 13);
	req.pv = true;
	send(&req);
	CHECK_EQ(rsp.cause, 260);
	CHECK_EQ(faults(), 0);
	/* a context that cannot be used has no DTF */
	dc.word[0] |= 1ULL << 40;
	dc_write(DID, &dc);
	inval_ddt(true, DID);
	expect_fault(&req, 259);
}

/* What configurations there can be */
static void config_checks(void)
{
	static const struct {
		u64 clear, set;
	} bad[] = {
		{ RVIOMMU_CAP_SV39, 0 }, { RVIOMMU_CAP_SV48, 0 }, { RVIOMMU_CAP_VERSION, 0x20 },
		{ 0, 1 << 12 }, { 0, 1 << 20 }, { 0, 1ULL << 44 }, { 0, RVIOMMU_CAP_IGS },
		{ RVIOMMU_CAP_MSI_FLAT, 0 }, { RVIOMMU_CAP_MSI_MRIF, 0 },
		{ RVIOMMU_CAP_ATS, 0 }, { RVIOMMU_CAP_PAS, FIELD_PREP(RVIOMMU_CAP_PAS, 57) },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		bench_config();
		bench.config.capabilities &= ~bad[i].clear;
		bench.config.capabilities |= bad[i].set;
		rviommu_model_config_fit(&bench.config);
		CHECK(rviommu_model_config_check(&bench.config));
		CHECK(!rviommu_model_create(&bench.config, &bench_ops, NULL));
	}
	bench_config();
	bench.config.capabilities &= ~RVIOMMU_CAP_END;
	CHECK(rviommu_model_config_check(&bench.config));
	bench_config();
	bench.config.vectors = 3;
	CHECK(rviommu_model_config_check(&bench.config));
	bench_config();
	bench.config.ddtp_modes = 0;
	CHECK(rviommu_model_config_check(&bench.config));
	bench_config();
	CHECK(!rviommu_model_config_check(&bench.config));
}

static const struct bench_test tests[] = {
	TEST(reset_values),
	TEST(random_reset),
	TEST(halves),
	TEST(writable_bits),
	TEST(optional_registers),
	TEST(fctl_fields),
	TEST(ddtp_modes),
	TEST(ddtp_transitions),
	TEST(ddtp_off_waits),
	TEST(queue_indices),
	TEST(busy_bits),
	TEST(message_interrupts),
	TEST(masked_interrupts),
	TEST(message_fault),
	TEST(big_endian_message),
	TEST(wired_interrupts),
	TEST(few_vectors),
	TEST(fault_record),
	TEST(fault_queue_errors),
	TEST(injected_fault_queue_errors),
	TEST(disable_translation_fault),
	TEST(config_checks),
};

int main(void)
{
	return bench_main("regs", tests, ARRAY_SIZE(tests));
}
