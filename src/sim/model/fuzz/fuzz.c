// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: an input is a configuration and a script of register
 * accesses, memory contents, requests and messages. Besides what the sanitizers
 * see, some rules of the specification are checked after every step.
 */
#include "state.h"

#include <stdio.h>

#define MEM_PAGES	64
#define MEM_SIZE	(MEM_PAGES * 0x1000ULL)
#define MAX_STEPS	400

#define MUST(condition)								\
	do {									\
		if (!(condition))						\
			die(__LINE__, #condition);				\
	} while (0)

struct script {
	const unsigned char *data;
	size_t size;
};

static struct rviommu_model *model;
static struct rviommu_model_config config;
static u64 memory[MEM_SIZE / 8];
static u64 bad_page;
static int bad_how;
static unsigned int depth;
static struct script script;

static void die(int line, const char *what)
{
	fprintf(stderr, "fuzz.c:%d: %s\n", line, what);
	abort();
}

static u64 take(unsigned int bytes)
{
	u64 value = 0;

	while (bytes-- && script.size) {
		value = value << 8 | *script.data++;
		script.size--;
	}
	return value;
}

static int access(u64 addr, unsigned int size)
{
	MUST(!(addr & (size - 1)));
	MUST(!(addr >> FIELD_GET(RVIOMMU_CAP_PAS, config.capabilities)));
	if (addr >= MEM_SIZE)
		return RVIOMMU_MODEL_MEM_FAULT;
	return addr >> 12 == bad_page ? bad_how : 0;
}

static int op_read64(void *ctx, u64 addr, u64 *value)
{
	int ret = access(addr, 8);

	(void)ctx;
	if (addr < MEM_SIZE)
		*value = memory[addr / 8];
	return ret;
}

static int op_write64(void *ctx, u64 addr, u64 value)
{
	int ret = access(addr, 8);

	(void)ctx;
	if (!ret)
		memory[addr / 8] = value;
	return ret;
}

static int op_write32(void *ctx, u64 addr, u32 value)
{
	int ret = access(addr, 4);

	(void)ctx;
	if (!ret)
		memcpy((char *)memory + addr, &value, 4);
	return ret;
}

static int op_cas64(void *ctx, u64 addr, u64 *old, u64 new)
{
	int ret = access(addr, 8);
	u64 found;

	(void)ctx;
	if (ret)
		return ret;
	found = memory[addr / 8];
	if (found == *old)
		memory[addr / 8] = new;
	*old = found;
	return 0;
}

static int op_msi(void *ctx, u64 addr, u32 data)
{
	(void)ctx;
	(void)data;
	return addr < MEM_SIZE ? 0 : RVIOMMU_MODEL_MEM_FAULT;
}

static void op_wire(void *ctx, unsigned int vector, bool level)
{
	(void)ctx;
	(void)level;
	MUST(vector < config.vectors);
}

static void op_ats(void *ctx, const struct rviommu_model_ats_msg *msg)
{
	(void)ctx;
	if (msg->code == RVIOMMU_MODEL_ATS_INVAL && !(msg->device_id & 1))
		rviommu_model_inval_completion(model, msg->device_id, 1U << msg->itag, 1);
}

static void step(void);

static void op_other_work(void *ctx)
{
	(void)ctx;
	if (depth++ < 3 && script.size && *script.data & 1)
		step();
	depth--;
}

static const struct rviommu_model_ops ops = {
	.read64 = op_read64,
	.write64 = op_write64,
	.write32 = op_write32,
	.cas64 = op_cas64,
	.msi = op_msi,
	.wire = op_wire,
	.ats = op_ats,
	.other_work = op_other_work,
};

/* An address that is more often than not inside memory */
static u64 address(void)
{
	u64 kind = take(1);

	if (kind < 0xf0)
		return (kind % MEM_PAGES) << 12 | (take(1) << 3 & 0xff8);
	return take(8);
}

static void write_memory(void)
{
	u64 addr = address() & ~7ULL, kind = take(1), value;

	if (addr >= MEM_SIZE)
		return;
	switch (kind & 3) {
	case 0:
		value = take(8);
		break;
	case 1:	/* like a pointer or leaf */
		value = (take(1) % MEM_PAGES) << 10 | (take(1) & 0xff) | kind >> 2;
		break;
	case 2:	/* like a context's root */
		value = (take(1) & 0xf) << 60 | take(1) << 44 | take(1) % MEM_PAGES;
		break;
	default:
		value = 1ULL << (kind >> 2);
		value ^= memory[addr / 8];
		break;
	}
	memory[addr / 8] = kind & 0x80 ? swab64(value) : value;
}

static struct rviommu_model_request take_request(void)
{
	u64 flags = take(1), device = take(1);
	struct rviommu_model_request req = {
		.kind = flags & 3,
		.pv = flags & 4,
		.priv = flags & 8,
		.exec = flags & 16,
		.write = flags & 32,
		.hold = flags & 64,
		.cxl = flags & 128,
		.device_id = device,
		.length = 4,
	};

	if (req.exec && req.kind != RVIOMMU_MODEL_ATS_REQUEST)
		req.write = false;
	if (req.pv)
		req.process_id = take(1);
	req.iova = address();
	return req;
}

static void translate(void)
{
	u64 pas = FIELD_GET(RVIOMMU_CAP_PAS, config.capabilities);
	struct rviommu_model_request req = take_request();
	struct rviommu_model_response rsp;
	u8 need = RVIOMMU_MODEL_R;

	rviommu_model_translate(model, &req, &rsp);
	if (req.exec)
		need = RVIOMMU_MODEL_X;
	else if (req.write)
		need = RVIOMMU_MODEL_W;
	if (rsp.status != RVIOMMU_MODEL_OK) {
		MUST(rsp.cause);
		MUST(!rsp.perms && !rsp.held);
	} else if (req.kind == RVIOMMU_MODEL_ATS_REQUEST) {
		MUST(!rsp.cause || !rsp.perms);
		MUST(!(rsp.perms & RVIOMMU_MODEL_X) || rsp.perms & RVIOMMU_MODEL_R);
		MUST(!rsp.held);
	} else {
		MUST(!rsp.cause);
		MUST((rsp.perms & need) == need);
		MUST(rsp.size_lg2 >= 12);
		MUST(!((rsp.spa ^ req.iova) & 0xfff) || rsp.mrif);
		/* what passes the page tables can be put on the bus */
		MUST(rsp.spa == req.iova || !(rsp.spa >> pas));
	}
	if (rsp.mrif && req.write && req.kind != RVIOMMU_MODEL_ATS_REQUEST)
		rviommu_model_mrif_write(model, &req, &rsp, take(2));
	rviommu_model_release(model, rsp.held);
}

static void page_request(void)
{
	u64 flags = take(1);
	struct rviommu_model_page_request pr = {
		.device_id = take(1),
		.process_id = take(1),
		.pv = flags & 1,
		.priv = flags & 2,
		.exec = flags & 4,
		.payload = take(2),
	};
	struct rviommu_model_ats_msg answer;
	int ret = rviommu_model_page_request(model, &pr, &answer);

	if (ret == RVIOMMU_MODEL_PR_ANSWERED) {
		MUST(pr.payload & 4 && pr.payload & 3);
		MUST(answer.device_id == pr.device_id);
	}
}

/* The registers a driver would write, with values it might */
static void write_some_register(void)
{
	static const unsigned int offsets[] = {
		RVIOMMU_REG_DDTP, RVIOMMU_REG_CQB, RVIOMMU_REG_FQB, RVIOMMU_REG_PQB,
	};
	static const unsigned int controls[] = {
		RVIOMMU_REG_CQCSR, RVIOMMU_REG_FQCSR, RVIOMMU_REG_PQCSR, RVIOMMU_REG_CQT,
		RVIOMMU_REG_FQH, RVIOMMU_REG_PQH, RVIOMMU_REG_IPSR, RVIOMMU_REG_FCTL,
		RVIOMMU_REG_IOCOUNTINH, RVIOMMU_REG_QOSID,
	};
	u64 kind = take(1);

	if (kind < 0x60)
		rviommu_model_write64(model, offsets[kind % ARRAY_SIZE(offsets)],
				      (take(1) % MEM_PAGES) << 10 | (take(1) & 0x1f));
	else if (kind < 0xe0)
		rviommu_model_write32(model, controls[kind % ARRAY_SIZE(controls)],
				      take(1) << 8 | take(1));
	else
		rviommu_model_write64(model, take(2) & 0xfff, take(8));
}

static void check_registers(void)
{
	static const unsigned int bases[] = {
		RVIOMMU_REG_CQB, RVIOMMU_REG_FQB, RVIOMMU_REG_PQB,
	};
	unsigned int i, lg2;

	for (i = 0; i < ARRAY_SIZE(bases); i++) {
		lg2 = (rviommu_model_read64(model, bases[i]) & 0x1f) + 1;
		MUST(!((u64)rviommu_model_read32(model, bases[i] + 8) >> lg2));
		MUST(!((u64)rviommu_model_read32(model, bases[i] + 12) >> lg2));
	}
	MUST(!(rviommu_model_read64(model, RVIOMMU_REG_CAPABILITIES) ^ config.capabilities));
	MUST((rviommu_model_read64(model, RVIOMMU_REG_DDTP) & 0xf) <= 4);
	if (config.cache_limit)
		MUST(rviommu_model_list_cached(model, ~0U, NULL, NULL) <= config.cache_limit);
}

static bool entry_ok(const struct rviommu_model_cached *entry, void *arg)
{
	(void)arg;
	/* nothing that is not valid may be cached */
	MUST(entry->word[0] & 1);
	return true;
}

static void step(void)
{
	u64 what = take(1);

	switch (what >> 4) {
	case 0:
	case 1:
	case 2:
	case 3:
		write_memory();
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		write_some_register();
		break;
	case 8:
	case 9:
	case 10:
		translate();
		break;
	case 11:
		page_request();
		break;
	case 12:
		rviommu_model_run(model, what & 0xf);
		break;
	case 13:
		rviommu_model_advance(model, what & 8 ? config.ats_timeout : take(2));
		break;
	case 14:
		rviommu_model_inject(model, what & 0xf, take(1) & 3);
		break;
	case 15:
		if (what & 8) {
			rviommu_model_inval_completion(model, take(1), take(4), what & 7);
		} else if (what & 4) {
			bad_page = take(1) % MEM_PAGES;
			bad_how = what & 3;
		} else if (what & 2) {
			rviommu_model_set_switches(model, take(1));
		} else if (what & 1) {
			rviommu_model_read32(model, take(2));
			rviommu_model_read64(model, take(2));
		} else if (!depth) {
			rviommu_model_reset(model);
		}
		break;
	}
}

static void configure(void)
{
	u64 off = take(6);

	rviommu_model_config_init(&config);
	/* PAS and version keep a size */
	off &= ~(RVIOMMU_CAP_PAS | RVIOMMU_CAP_VERSION | RVIOMMU_CAP_IGS);
	config.capabilities &= ~off;
	config.capabilities &= ~(RVIOMMU_CAP_PAS | RVIOMMU_CAP_IGS);
	config.capabilities |= FIELD_PREP(RVIOMMU_CAP_PAS, 32 + take(1) % 25);
	config.capabilities |= FIELD_PREP(RVIOMMU_CAP_IGS, take(1) % 3);
	rviommu_model_config_fit(&config);
	config.switches = take(1) & RVIOMMU_MODEL_SWITCHES;
	config.cq_max_lg2 = 1 + take(1) % 8;
	config.cache_limit = take(1) & 0x3f;
	config.vectors = 1U << take(1) % 5;
	config.hpm_counters = 1 + take(1) % 31;
	config.seed = take(1);
}

/* libFuzzer calls it by the name of the label. */
int fuzz_one(const unsigned char *data, size_t size) __asm__("LLVMFuzzerTestOneInput");

int fuzz_one(const unsigned char *data, size_t size)
{
	unsigned int i;

	script = (struct script) { data, size };
	memset(memory, 0, sizeof(memory));
	bad_how = 0;
	depth = 0;
	configure();
	model = rviommu_model_create(&config, &ops, NULL);
	if (!model) {
		MUST(rviommu_model_config_check(&config));
		return 0;
	}
	for (i = 0; i < MAX_STEPS && script.size; i++) {
		step();
		check_registers();
	}
	rviommu_model_list_cached(model, ~0U, entry_ok, NULL);
	rviommu_model_destroy(model);
	return 0;
}
