// SPDX-License-Identifier: GPL-2.0-only
/*
 * Building, resetting and driving one model.
 */
#include "ats.h"
#include "cache.h"
#include "command.h"
#include "hpm.h"
#include "progress.h"
#include "regs.h"
#include "state.h"

#define CAP_RESERVED	(GENMASK_ULL(63, 44) | BIT_ULL(20) | GENMASK_ULL(13, 12))
#define FCTL_FIELDS	(RVIOMMU_FCTL_BE | RVIOMMU_FCTL_WSI | RVIOMMU_FCTL_GXL)
#define CAP_VERSION_1_0	0x10
#define ATS_TIMEOUT_MAX	(3600ULL * 1000 * 1000 * 1000)

void rviommu_model_config_fit(struct rviommu_model_config *config)
{
	u64 cap = config->capabilities;

	config->fctl_reset = 0;
	config->fctl_writable = 0;
	if (cap & RVIOMMU_CAP_END)
		config->fctl_writable |= RVIOMMU_FCTL_BE;
	if (cap & (RVIOMMU_CAP_SV32 | RVIOMMU_CAP_SV32X4))
		config->fctl_writable |= RVIOMMU_FCTL_GXL;
	switch (FIELD_GET(RVIOMMU_CAP_IGS, cap)) {
	case RVIOMMU_IGS_WSI:
		config->fctl_reset |= RVIOMMU_FCTL_WSI;
		break;
	case RVIOMMU_IGS_BOTH:
		config->fctl_writable |= RVIOMMU_FCTL_WSI;
		break;
	}
}
EXPORT_SYMBOL_GPL(rviommu_model_config_fit);

void rviommu_model_config_init(struct rviommu_model_config *config)
{
	memset(config, 0, sizeof(*config));
	config->capabilities = CAP_VERSION_1_0 |
		RVIOMMU_CAP_SV32 | RVIOMMU_CAP_SV39 | RVIOMMU_CAP_SV48 | RVIOMMU_CAP_SV57 |
		RVIOMMU_CAP_SVRSW60T59B | RVIOMMU_CAP_SVPBMT |
		RVIOMMU_CAP_SV32X4 | RVIOMMU_CAP_SV39X4 | RVIOMMU_CAP_SV48X4 | RVIOMMU_CAP_SV57X4 |
		RVIOMMU_CAP_AMO_MRIF | RVIOMMU_CAP_MSI_FLAT | RVIOMMU_CAP_MSI_MRIF |
		RVIOMMU_CAP_AMO_HWAD | RVIOMMU_CAP_ATS | RVIOMMU_CAP_T2GPA | RVIOMMU_CAP_END |
		FIELD_PREP(RVIOMMU_CAP_IGS, RVIOMMU_IGS_BOTH) | RVIOMMU_CAP_HPM | RVIOMMU_CAP_DBG |
		FIELD_PREP(RVIOMMU_CAP_PAS, 56) |
		RVIOMMU_CAP_PD8 | RVIOMMU_CAP_PD17 | RVIOMMU_CAP_PD20 |
		RVIOMMU_CAP_QOSID | RVIOMMU_CAP_NL | RVIOMMU_CAP_S;
	rviommu_model_config_fit(config);
	config->ddtp_modes = BIT(RVIOMMU_DDTP_MODE_1LVL) | BIT(RVIOMMU_DDTP_MODE_2LVL) |
			     BIT(RVIOMMU_DDTP_MODE_3LVL);
	config->ddtp_reset = RVIOMMU_DDTP_MODE_OFF;
	config->cq_max_lg2 = 16;
	config->fq_max_lg2 = 16;
	config->pq_max_lg2 = 16;
	config->vectors = NR_VECTORS;
	config->hpm_counters = NR_COUNTERS;
	config->hpm_bits = 64;
	config->rcid_bits = 12;
	config->mcid_bits = 12;
	config->mrif_be = true;
	/* PCIe: one minute, and half as much again */
	config->ats_timeout = 90ULL * 1000 * 1000 * 1000;
}

static const char *check_capabilities(u64 cap)
{
	unsigned int pas = FIELD_GET(RVIOMMU_CAP_PAS, cap);

	if (FIELD_GET(RVIOMMU_CAP_VERSION, cap) != CAP_VERSION_1_0)
		return "capabilities.version must be 1.0";
	if (cap & CAP_RESERVED)
		return "a reserved or custom bit of capabilities is set";
	if (cap & RVIOMMU_CAP_SV48 && !(cap & RVIOMMU_CAP_SV39))
		return "Sv48 requires Sv39";
	if (cap & RVIOMMU_CAP_SV57 && !(cap & RVIOMMU_CAP_SV48))
		return "Sv57 requires Sv48";
	if (FIELD_GET(RVIOMMU_CAP_IGS, cap) > RVIOMMU_IGS_BOTH)
		return "capabilities.IGS is a reserved encoding";
	if (pas < 32 || pas > 56)
		return "PAS must be from 32 to 56 bits";
	if (cap & RVIOMMU_CAP_MSI_MRIF && !(cap & RVIOMMU_CAP_MSI_FLAT))
		return "MSI_MRIF requires MSI_FLAT: the base format has no MSI page table";
	if (cap & RVIOMMU_CAP_AMO_MRIF && !(cap & RVIOMMU_CAP_MSI_MRIF))
		return "AMO_MRIF requires MSI_MRIF";
	if (cap & RVIOMMU_CAP_T2GPA && !(cap & RVIOMMU_CAP_ATS))
		return "T2GPA requires ATS";
	return NULL;
}

static const char *check_fctl(const struct rviommu_model_config *config)
{
	u64 cap = config->capabilities;
	u32 reset = config->fctl_reset, writable = config->fctl_writable;
	unsigned int igs = FIELD_GET(RVIOMMU_CAP_IGS, cap);
	bool both = igs == RVIOMMU_IGS_BOTH;

	if ((reset | writable) & ~FCTL_FIELDS)
		return "fctl has no such field";
	if (!!(writable & RVIOMMU_FCTL_BE) != !!(cap & RVIOMMU_CAP_END))
		return "fctl.BE must be writable if, and only if, END is set";
	if (!!(writable & RVIOMMU_FCTL_WSI) != both)
		return "fctl.WSI must be writable if, and only if, IGS is BOTH";
	if (igs == RVIOMMU_IGS_WSI && !(reset & RVIOMMU_FCTL_WSI))
		return "fctl.WSI must be 1: IGS has only wired interrupts";
	if (igs == RVIOMMU_IGS_MSI && reset & RVIOMMU_FCTL_WSI)
		return "fctl.WSI must be 0: IGS has only messages";
	if ((reset | writable) & RVIOMMU_FCTL_GXL &&
	    !(cap & (RVIOMMU_CAP_SV32 | RVIOMMU_CAP_SV32X4)))
		return "fctl.GXL needs Sv32 or Sv32x4";
	return NULL;
}

static bool queue_size_ok(u8 max_lg2)
{
	return max_lg2 >= 1 && max_lg2 <= 32;
}

const char *rviommu_model_config_check(const struct rviommu_model_config *config)
{
	const char *reason = check_capabilities(config->capabilities);

	if (!reason)
		reason = check_fctl(config);
	if (reason)
		return reason;
	if (!config->ddtp_modes || config->ddtp_modes & ~GENMASK(RVIOMMU_DDTP_MODE_3LVL,
								 RVIOMMU_DDTP_MODE_1LVL))
		return "ddtp_modes must name at least one of 1LVL, 2LVL and 3LVL, and nothing else";
	if (config->ddtp_reset > RVIOMMU_DDTP_MODE_BARE)
		return "ddtp must be Off or Bare after a reset";
	if (!queue_size_ok(config->cq_max_lg2) || !queue_size_ok(config->fq_max_lg2) ||
	    !queue_size_ok(config->pq_max_lg2))
		return "a queue has from 2 to 2^32 entries";
	if (!config->vectors || config->vectors > NR_VECTORS ||
	    config->vectors & (config->vectors - 1))
		return "vectors must be 1, 2, 4, 8 or 16";
	if (config->capabilities & RVIOMMU_CAP_HPM &&
	    (!config->hpm_counters || config->hpm_counters > NR_COUNTERS ||
	     config->hpm_bits < 32 || config->hpm_bits > 64))
		return "HPM has from 1 to 31 event counters of 32 to 64 bits";
	if (config->rcid_bits > 12 || config->mcid_bits > 12)
		return "RCID and MCID have at most 12 bits";
	if (!config->ats_timeout || config->ats_timeout > ATS_TIMEOUT_MAX)
		return "ats_timeout must be from 1 ns to an hour";
	if (config->switches & ~RVIOMMU_MODEL_SWITCHES)
		return "no such switch";
	return NULL;
}

struct rviommu_model *rviommu_model_create(const struct rviommu_model_config *config,
					   const struct rviommu_model_ops *ops, void *ctx)
{
	struct rviommu_model *m;

	if (rviommu_model_config_check(config))
		return NULL;
	m = rviommu_shim_alloc(sizeof(*m));
	if (!m)
		return NULL;
	rviommu_shim_lock_init(&m->lock);
	m->config = *config;
	m->ops = ops;
	m->ctx = ctx;
	m->cap = config->capabilities;
	m->switches = config->switches;
	m->random = config->seed;
	m->cache.limit = config->cache_limit;
	if (!(m->cap & RVIOMMU_CAP_HPM)) {
		m->config.hpm_counters = 1;
		m->config.hpm_bits = 64;
	}
	rviommu_m_regs_reset(m);
	return m;
}

void rviommu_model_destroy(struct rviommu_model *m)
{
	if (!m)
		return;
	rviommu_m_cache_free(m);
	rviommu_shim_free(m);
}

/* What devices still hold is theirs to release. */
void rviommu_model_reset(struct rviommu_model *m)
{
	rviommu_m_enter(m);
	rviommu_m_cache_clear(m);
	rviommu_m_commands_reset(m);
	rviommu_m_ats_reset(m);
	m->outbox_head = m->outbox_tail;
	memset(m->msi_out, 0, sizeof(m->msi_out));
	m->nr_msi_out = 0;
	memset(m->inject, 0, sizeof(m->inject));
	rviommu_m_regs_reset(m);
	rviommu_m_leave(m);
}

void rviommu_model_set_switches(struct rviommu_model *m, u32 switches)
{
	rviommu_m_enter(m);
	m->switches = switches & RVIOMMU_MODEL_SWITCHES;
	if (!rviommu_m_switch(m, RVIOMMU_MODEL_ASYNC))
		rviommu_m_settle(m);
	rviommu_m_leave(m);
}
EXPORT_SYMBOL_GPL(rviommu_model_set_switches);

void rviommu_model_advance(struct rviommu_model *m, u64 ns)
{
	rviommu_m_enter(m);
	m->now += ns;
	rviommu_m_count_cycles(m, ns);
	rviommu_m_ats_time(m);
	rviommu_m_leave(m);
}

unsigned int rviommu_model_run(struct rviommu_model *m, unsigned int n)
{
	unsigned int done;

	rviommu_m_enter(m);
	rviommu_m_settle(m);
	done = rviommu_m_process(m, n);
	rviommu_m_leave(m);
	return done;
}
EXPORT_SYMBOL_GPL(rviommu_model_run);

void rviommu_model_inject(struct rviommu_model *m, enum rviommu_model_injection what,
			  unsigned int times)
{
	rviommu_m_enter(m);
	if ((unsigned int)what < RVIOMMU_MODEL_NR_INJECTIONS)
		m->inject[what] = times;
	rviommu_m_leave(m);
}
EXPORT_SYMBOL_GPL(rviommu_model_inject);

void rviommu_model_get_stats(struct rviommu_model *m, struct rviommu_model_stats *stats)
{
	rviommu_m_enter(m);
	*stats = m->stats;
	stats->evictions = m->cache.evictions;
	rviommu_m_leave(m);
}
EXPORT_SYMBOL_GPL(rviommu_model_get_stats);

unsigned int
rviommu_model_list_cached(struct rviommu_model *m, u32 kinds,
			  bool (*fn)(const struct rviommu_model_cached *entry, void *arg),
			  void *arg)
{
	unsigned int n;

	rviommu_m_enter(m);
	n = rviommu_m_cache_list(m, kinds, fn, arg);
	rviommu_m_leave(m);
	return n;
}
EXPORT_SYMBOL_GPL(rviommu_model_list_cached);
