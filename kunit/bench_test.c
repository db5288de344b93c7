// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long the IOMMU core's map, unmap and iova_to_phys take on a domain of this
 * driver; on its page table with nothing around it, and on the kernel's own
 * RISC-V page table (where the kernel has it) with as little; and how long a
 * plain loop takes over as many entries in memory.
 *
 * No hardware is attached to any of them: no invalidation is waited for. The
 * clock may tick every 256 ns only, so a sample is a batch of operations; what is
 * printed is the median of many samples. Nothing here passes or fails.
 */
#include <kunit/test.h>
#include <linux/cpumask.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/sizes.h>
#include <linux/vmalloc.h>

#include <rviommu/regs.h>

#include "../src/driver/cmdq.h"
#include "../src/driver/command.h"
#include "../src/driver/compat.h"
#include "../src/driver/domain.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/mem.h"
#include "../src/driver/pgdirty.h"
#include "../src/driver/pgtable.h"
#include "../src/driver/pgtable_private.h"
#include "../src/driver/rviommu.h"
#include "benchtest.h"
#include "hw.h"

#define SAMPLES		31
#define RW		(IOMMU_READ | IOMMU_WRITE)

/* Of all that is measured, in picoseconds per operation. */
struct timing {
	u64 map, unmap;
};

/**
 * struct load - what is mapped and unmapped in one sample
 * @name: for the table
 * @unit: what the times are for one of
 * @size: bytes of each call
 * @calls: calls, to adjacent addresses
 * @pa: where they map to. Its alignment keeps the core from larger leaves.
 * @leaf: bytes of the leaves
 */
struct load {
	const char *name;
	const char *unit;
	u64 size;
	unsigned int calls;
	u64 pa;
	u64 leaf;
};

static const struct load loads[] = {
	{ "4K page", "call", SZ_4K, 2048, SZ_4K, SZ_4K },
	{ "64K page", "call", SZ_64K, 512, SZ_64K, SZ_64K },
	{ "2M page", "call", SZ_2M, 512, SZ_2M, SZ_2M },
	{ "1G page", "call", SZ_1G, 256, SZ_1G, SZ_1G },
	{ "2M of 4K", "entry", SZ_2M, 32, SZ_4K, SZ_4K },
	{ "64M of 4K", "entry", SZ_64M, 2, SZ_4K, SZ_4K },
	{ "1G of 4K", "entry", SZ_1G, 1, SZ_4K, SZ_4K },
	{ "1G of 64K", "64K", SZ_1G, 1, SZ_64K, SZ_64K },
	{ "1G of 2M", "entry", SZ_1G, 1, SZ_2M, SZ_2M },
};

#define BASE		((u64)SZ_1G * 256)

static u64 median(u64 *samples)
{
	return benchtest_median(samples, SAMPLES);
}

static u64 units(const struct load *l)
{
	return l->calls * (l->size / l->leaf);
}

/*
 * One sample of each domain after the other, many times: when the machine becomes
 * slower for a while, all of them do.
 */
static void time_domains(struct kunit *test, struct iommu_domain **domains, unsigned int nr,
			 const struct load *l, struct timing *t)
{
	u64 (*map)[SAMPLES] = kunit_kcalloc(test, nr, sizeof(*map), GFP_KERNEL);
	u64 (*unmap)[SAMPLES] = kunit_kcalloc(test, nr, sizeof(*unmap), GFP_KERNEL);
	unsigned int errors = 0, n, d, i;

	KUNIT_ASSERT_NOT_NULL(test, map);
	KUNIT_ASSERT_NOT_NULL(test, unmap);
	/* The first rounds only make tables and warm the caches. */
	for (n = 0; n < (SAMPLES + 1) * nr; n++) {
		struct iommu_domain *domain = domains[n % nr];
		u64 now[3], iova;

		if (!domain)
			continue;
		now[0] = ktime_get_ns();
		for (i = 0, iova = BASE; i < l->calls; i++, iova += l->size)
			errors += !!iommu_map(domain, iova, l->pa + (iova - BASE), l->size, RW,
					      GFP_KERNEL);
		now[1] = ktime_get_ns();
		for (i = 0, iova = BASE; i < l->calls; i++, iova += l->size)
			errors += iommu_unmap(domain, iova, l->size) != l->size;
		now[2] = ktime_get_ns();
		if (n >= nr) {
			map[n % nr][n / nr - 1] = now[1] - now[0];
			unmap[n % nr][n / nr - 1] = now[2] - now[1];
		}
		/* Freed tables come back before the next round. */
		rcu_barrier();
	}
	KUNIT_EXPECT_EQ(test, errors, 0);
	for (d = 0; d < nr; d++) {
		t[d].map = div64_u64(median(map[d]) * 1000, units(l));
		t[d].unmap = div64_u64(median(unmap[d]) * 1000, units(l));
	}
}

#define LOOKUPS		4096
/* Translations of random addresses in 64 MiB of 4 KiB pages. */
static u64 time_lookup(struct kunit *test, struct iommu_domain *domain)
{
	u64 *samples = kunit_kcalloc(test, SAMPLES, sizeof(*samples), GFP_KERNEL);
	u32 *at = kunit_kcalloc(test, LOOKUPS, sizeof(*at), GFP_KERNEL);
	unsigned int errors = 0, n, i;
	struct rnd_state rnd;

	KUNIT_ASSERT_NOT_NULL(test, samples);
	KUNIT_ASSERT_NOT_NULL(test, at);
	prandom_seed_state(&rnd, 1);
	for (i = 0; i < LOOKUPS; i++)
		at[i] = prandom_u32_state(&rnd) % SZ_64M;
	KUNIT_ASSERT_EQ(test, iommu_map(domain, BASE, SZ_4K, SZ_64M, RW, GFP_KERNEL), 0);
	for (n = 0; n < SAMPLES; n++) {
		u64 t = ktime_get_ns();

		for (i = 0; i < LOOKUPS; i++)
			errors += iommu_iova_to_phys(domain, BASE + at[i]) != SZ_4K + at[i];
		samples[n] = ktime_get_ns() - t;
	}
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, BASE, SZ_64M), SZ_64M);
	KUNIT_EXPECT_EQ(test, errors, 0);
	return div64_u64(median(samples) * 1000, LOOKUPS);
}

/* A loop that stores as many entries, and one that reads and clears them. */
static struct timing time_memory(struct kunit *test, const struct load *l)
{
	u64 *map = kunit_kcalloc(test, 2 * SAMPLES, sizeof(*map), GFP_KERNEL);
	const u64 count = l->calls * (l->size / l->leaf) * (l->leaf == SZ_64K ? 16 : 1);
	u64 *pte = vzalloc(count * sizeof(*pte));
	u64 *unmap = map + SAMPLES;
	unsigned int n;
	u64 i, seen = 0;

	KUNIT_ASSERT_NOT_NULL(test, map);
	KUNIT_ASSERT_NOT_NULL(test, pte);
	for (n = 0; n <= SAMPLES; n++) {
		u64 t[3];

		t[0] = ktime_get_ns();
		for (i = 0; i < count; i++)
			WRITE_ONCE(pte[i], i << 10 | 1);
		t[1] = ktime_get_ns();
		for (i = 0; i < count; i++) {
			seen += READ_ONCE(pte[i]) & 1;
			WRITE_ONCE(pte[i], 0);
		}
		t[2] = ktime_get_ns();
		if (n) {
			map[n - 1] = t[1] - t[0];
			unmap[n - 1] = t[2] - t[1];
		}
	}
	KUNIT_EXPECT_EQ(test, seen, count * (SAMPLES + 1));
	vfree(pte);
	return (struct timing) {
		div64_u64(median(map) * 1000, units(l)), div64_u64(median(unmap) * 1000, units(l))
	};
}

/* What the grace period puts off: freeing one table. */
static u64 time_free(struct kunit *test)
{
	u64 *samples = kunit_kcalloc(test, SAMPLES, sizeof(*samples), GFP_KERNEL);
	void **pages = kunit_kcalloc(test, 512, sizeof(*pages), GFP_KERNEL);
	unsigned int n, i;

	KUNIT_ASSERT_NOT_NULL(test, samples);
	KUNIT_ASSERT_NOT_NULL(test, pages);
	for (n = 0; n < SAMPLES; n++) {
		u64 t;

		for (i = 0; i < 512; i++)
			pages[i] = rviommu_page_alloc(NUMA_NO_NODE, GFP_KERNEL_ACCOUNT, 0, 64);
		t = ktime_get_ns();
		for (i = 0; i < 512; i++)
			rviommu_page_free(pages[i]);
		samples[n] = ktime_get_ns() - t;
	}
	return div64_u64(median(samples) * 1000, 512);
}

/* --- the domains ------------------------------------------------------ */

static struct iommu_domain *ours(struct kunit *test)
{
	struct rviommu *iommu = kunit_kzalloc(test, sizeof(*iommu), GFP_KERNEL);
	struct rviommu_domain *dom;

	KUNIT_ASSERT_NOT_NULL(test, iommu);
	/* As much of an IOMMU as a domain looks at before it is attached. */
	iommu->caps = RVIOMMU_CAP_SV48;
	iommu->pas_lg2 = 56;
	iommu->nid = NUMA_NO_NODE;
	dom = rviommu_domain_create(iommu, false);
	KUNIT_ASSERT_FALSE(test, IS_ERR(dom));
	return &dom->space.domain;
}

static void ours_free(struct iommu_domain *domain)
{
	domain->ops->free(domain);
}

/* Our page table with as little around it as the kernel's has below. */
struct bare_domain {
	struct iommu_domain domain;
	struct rviommu_pgtable pt;
};

static struct rviommu_pgtable *bare_pt(struct iommu_domain *domain)
{
	return &container_of(domain, struct bare_domain, domain)->pt;
}

static int bare_map(struct iommu_domain *domain, unsigned long iova, phys_addr_t pa, size_t pgsize,
		    size_t pgcount, int prot, gfp_t gfp, size_t *mapped)
{
	return rviommu_pgtable_map(bare_pt(domain), iova, pa, pgsize, pgcount, prot, gfp, mapped);
}

static size_t bare_unmap(struct iommu_domain *domain, unsigned long iova, size_t pgsize,
			 size_t pgcount, struct iommu_iotlb_gather *gather)
{
	struct rviommu_unmapped unmapped = { .tables = LIST_HEAD_INIT(unmapped.tables) };
	size_t done;

	if (pgcount == 1 && rviommu_pgtable_unmap_leaf(bare_pt(domain), iova, pgsize)) {
		iommu_iotlb_gather_add_range(gather, iova, pgsize);
		return pgsize;
	}
	done = rviommu_pgtable_unmap(bare_pt(domain), iova, pgsize, pgcount, &unmapped);
	if (done)
		iommu_iotlb_gather_add_range(gather, iova, done);
	list_splice(&unmapped.tables, rviommu_gather_pages(gather));
	return done;
}

static void bare_sync(struct iommu_domain *domain, struct iommu_iotlb_gather *gather)
{
	if (!list_empty(rviommu_gather_pages(gather)))
		rviommu_page_retire(rviommu_gather_pages(gather));
}

static phys_addr_t bare_iova_to_phys(struct iommu_domain *domain, dma_addr_t iova)
{
	return rviommu_pgtable_iova_to_phys(bare_pt(domain), iova);
}

RVIOMMU_IOVA_TO_PHYS_THUNK(bare_iova_to_phys)

static const struct iommu_domain_ops bare_ops = {
	.map_pages = bare_map,
	.unmap_pages = bare_unmap,
	.iotlb_sync = bare_sync,
	RVIOMMU_IOVA_TO_PHYS_OP(bare_iova_to_phys),
};

static void bare_sync_walk(struct rviommu_pgtable *pt, u64 iova, unsigned int size_lg2)
{
}

static struct iommu_domain *bare(struct kunit *test)
{
	static const struct rviommu_pgtable_ops pt_ops = { .sync_walk = bare_sync_walk };
	const struct rviommu_pgtable_cfg cfg = {
		.levels = 4, .svnapot = true, .pas_lg2 = 56, .nid = NUMA_NO_NODE,
	};
	struct bare_domain *dom = kunit_kzalloc(test, sizeof(*dom), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, dom);
	KUNIT_ASSERT_EQ(test, rviommu_pgtable_init(&dom->pt, &cfg, &pt_ops), 0);
	dom->domain.type = __IOMMU_DOMAIN_PAGING;
	dom->domain.ops = &bare_ops;
	dom->domain.pgsize_bitmap = dom->pt.pgsizes;
	return &dom->domain;
}

static void bare_free(struct iommu_domain *domain)
{
	rviommu_pgtable_destroy(bare_pt(domain));
}

/* Nothing at all behind the core: what every page table of a driver's own pays. */
static int none_map(struct iommu_domain *domain, unsigned long iova, phys_addr_t pa, size_t pgsize,
		    size_t pgcount, int prot, gfp_t gfp, size_t *mapped)
{
	*mapped = pgsize * pgcount;
	return 0;
}

static size_t none_unmap(struct iommu_domain *domain, unsigned long iova, size_t pgsize,
			 size_t pgcount, struct iommu_iotlb_gather *gather)
{
	return pgsize * pgcount;
}

static void none_sync(struct iommu_domain *domain, struct iommu_iotlb_gather *gather)
{
}

static phys_addr_t none_iova_to_phys(struct iommu_domain *domain, dma_addr_t iova)
{
	return iova - BASE + SZ_4K;
}

static const struct iommu_domain_ops none_ops = {
	.map_pages = none_map,
	.unmap_pages = none_unmap,
	.iotlb_sync = none_sync,
	.iova_to_phys = none_iova_to_phys,
};

static struct iommu_domain *none(struct kunit *test, const struct iommu_domain *like)
{
	struct iommu_domain *domain = kunit_kzalloc(test, sizeof(*domain), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, domain);
	domain->type = __IOMMU_DOMAIN_PAGING;
	domain->ops = &none_ops;
	domain->pgsize_bitmap = like->pgsize_bitmap;
	return domain;
}

#if IS_ENABLED(CONFIG_IOMMU_PT_RISCV64)
#include <linux/generic_pt/iommu.h>

/* Of the kernel's drivers/iommu/iommu-pages.h, which modules cannot include. */
void iommu_put_pages_list(struct iommu_pages_list *list);

struct kernels_domain {
	union {
		struct iommu_domain domain;
		struct pt_iommu_riscv_64 pt;
	};
};

PT_IOMMU_CHECK_DOMAIN(struct kernels_domain, pt.iommu, domain);

static void kernels_sync(struct iommu_domain *domain, struct iommu_iotlb_gather *gather)
{
	iommu_put_pages_list(&gather->freelist);
}

static const struct iommu_domain_ops kernels_ops = {
	IOMMU_PT_DOMAIN_OPS(riscv_64),
	.iotlb_sync = kernels_sync,
};

static struct iommu_domain *kernels(struct kunit *test)
{
	/* As the kernel's own driver configures it for an IOMMU without Svpbmt. */
	const struct pt_iommu_riscv_64_cfg cfg = {
		.common.features = BIT(PT_FEAT_SIGN_EXTEND) | BIT(PT_FEAT_FLUSH_RANGE) |
				   BIT(PT_FEAT_RISCV_SVNAPOT_64K) |
				   BIT(PT_FEAT_DETAILED_GATHER),
		.common.hw_max_vasz_lg2 = 48,
		.common.hw_max_oasz_lg2 = 56,
	};
	struct kernels_domain *dom = kunit_kzalloc(test, sizeof(*dom), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, dom);
	dom->domain.ops = &kernels_ops;
	dom->pt.iommu.nid = NUMA_NO_NODE;
	KUNIT_ASSERT_EQ(test, pt_iommu_riscv_64_init(&dom->pt, &cfg, GFP_KERNEL), 0);
	return &dom->domain;
}

static void kernels_free(struct iommu_domain *domain)
{
	pt_iommu_deinit(iommupt_from_domain(domain));
}

RVIOMMU_IMPORT_NS(GENERIC_PT_IOMMU);
#else
static struct iommu_domain *kernels(struct kunit *test)
{
	return NULL;
}

static void kernels_free(struct iommu_domain *domain)
{
}
#endif

#if IS_ENABLED(CONFIG_IOMMU_PT_RISCV64) && IS_ENABLED(CONFIG_IOMMU_PT_VTDSS) && \
	IS_ENABLED(CONFIG_IOMMUFD_DRIVER)
/* Of the formats of generic_pt whose D can be read the one that is most like ours: VT-d's */
struct vtd_domain {
	union {
		struct iommu_domain domain;
		struct pt_iommu_vtdss pt;
	};
};

PT_IOMMU_CHECK_DOMAIN(struct vtd_domain, pt.iommu, domain);

static const struct iommu_domain_ops vtd_ops = {
	IOMMU_PT_DOMAIN_OPS(vtdss),
	.iotlb_sync = kernels_sync,
};

static struct vtd_domain *vtd(struct kunit *test)
{
	const struct pt_iommu_vtdss_cfg cfg = {
		.common.features = BIT(PT_FEAT_FLUSH_RANGE),
		.common.hw_max_vasz_lg2 = 48,
		.common.hw_max_oasz_lg2 = 52,
		.top_level = 3,
	};
	struct vtd_domain *dom = kunit_kzalloc(test, sizeof(*dom), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, dom);
	dom->domain.ops = &vtd_ops;
	dom->pt.iommu.nid = NUMA_NO_NODE;
	KUNIT_ASSERT_EQ(test, pt_iommu_vtdss_init(&dom->pt, &cfg, GFP_KERNEL), 0);
	dom->domain.type = __IOMMU_DOMAIN_PAGING;
	return dom;
}

static void vtd_free(struct vtd_domain *dom)
{
	pt_iommu_deinit(&dom->pt.iommu);
}

/* Set D (bit 9) in each entry of last-level tables whose number is a multiple of @every. */
static void vtd_make_dirty_below(u64 *table, int level, unsigned int every)
{
	unsigned int i;

	for (i = 0; i < 512; i++) {
		if (!(table[i] & 3))
			continue;
		if (level)
			vtd_make_dirty_below(phys_to_virt(table[i] & GENMASK_ULL(51, 12)),
					     level - 1, every);
		else if (i % every == 0)
			table[i] |= BIT(9);
	}
}

static void vtd_make_dirty(struct vtd_domain *dom, unsigned int every)
{
	struct pt_iommu_vtdss_hw_info info;

	pt_iommu_vtdss_hw_info(&dom->pt, &info);
	vtd_make_dirty_below(phys_to_virt(info.ssptptr), 3, every);
}

/* Without a bitmap: what finding and clearing takes, as for ours */
static u64 vtd_scan(struct vtd_domain *dom, u64 size, bool clear)
{
	struct iommu_iotlb_gather gather;
	struct iommu_dirty_bitmap dirty;
	u64 t;

	iommu_dirty_bitmap_init(&dirty, NULL, &gather);
	t = ktime_get_ns();
	pt_iommu_vtdss_read_and_clear_dirty(&dom->domain, BASE, size,
					    clear ? 0 : IOMMU_DIRTY_NO_CLEAR, &dirty);
	return ktime_get_ns() - t;
}
#else
struct vtd_domain {
	struct iommu_domain domain;
};

static struct vtd_domain *vtd(struct kunit *test)
{
	return NULL;
}

static void vtd_free(struct vtd_domain *dom)
{
}

static void vtd_make_dirty(struct vtd_domain *dom, unsigned int every)
{
}

static u64 vtd_scan(struct vtd_domain *dom, u64 size, bool clear)
{
	return 0;
}
#endif

/* --- the table -------------------------------------------------------- */

#define LINE	120

/* Append nanoseconds with one decimal. */
static size_t put(char *line, size_t at, u64 ps)
{
	return at + scnprintf(line + at, LINE - at, "%6llu.%llu", ps / 1000, ps % 1000 / 100);
}

static void bench_table(struct kunit *test)
{
	struct iommu_domain *domains[] = { ours(test), bare(test), NULL, kernels(test) };
	struct timing t[ARRAY_SIZE(domains) + 1] = {};
	unsigned int i, d;
	char line[LINE];
	size_t at;

	domains[2] = none(test, domains[0]);
	kunit_info(test, "nanoseconds, median of %u samples, Sv48, no hardware\n", SAMPLES);
	kunit_info(test, "%-12s %-6s%16s%16s%16s%16s%16s\n", "", "per", "rviommu domain",
		   "its page table", "the core alone",
		   domains[3] ? "generic_pt" : "(no generic_pt)",
		   "plain memory");
	kunit_info(test, "%-12s %-6s%8s%8s%8s%8s%8s%8s%8s%8s%8s%8s\n", "", "", "map", "unmap",
		   "map", "unmap", "map", "unmap", "map", "unmap", "store", "clear");
	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		const struct load *l = &loads[i];

		time_domains(test, domains, ARRAY_SIZE(domains), l, t);
		t[ARRAY_SIZE(domains)] = time_memory(test, l);
		at = scnprintf(line, LINE, "%-12s %-6s", l->name, l->unit);
		for (d = 0; d < ARRAY_SIZE(t); d++) {
			at = put(line, at, t[d].map);
			at = put(line, at, t[d].unmap);
		}
		kunit_info(test, "%s\n", line);
	}
	at = scnprintf(line, LINE, "%-12s %-6s", "iova_to_phys", "call");
	for (d = 0; d < ARRAY_SIZE(domains); d++) {
		at = put(line, at, domains[d] ? time_lookup(test, domains[d]) : 0);
		at += scnprintf(line + at, LINE - at, "%8s", "");
	}
	kunit_info(test, "%s\n", line);
	put(line, 0, time_free(test));
	kunit_info(test, "rviommu frees unmapped tables after an RCU grace period, each in%s\n",
		   line);
	ours_free(domains[0]);
	bare_free(domains[1]);
	if (domains[3])
		kernels_free(domains[3]);
}

/* --- dirty pages ------------------------------------------------------ */

#define SCANNED		((u64)SZ_1G * 4)	/* 2^20 pages */

/* Set D in every entry of last-level tables whose number is a multiple of @every. */
static void make_dirty(struct rviommu_pgtable *pt, u64 *table, int level, unsigned int every)
{
	unsigned int i;

	for (i = 0; i < 512; i++) {
		if ((table[i] & 15) == 1)
			make_dirty(pt, phys_to_virt((table[i] >> 10) << 12), level - 1, every);
		else if (!level && table[i] && i % every == 0)
			table[i] |= 128;
	}
}

/* Read all that is mapped; *@pages: of which so many were dirty. */
static u64 time_scan(struct rviommu_pgtable *pt, bool clear, u64 *pages)
{
	struct kunit *test = benchtest_run_no_test();
	struct rviommu_dirty d;
	unsigned int i;
	u64 t;

	*pages = 0;
	t = ktime_get_ns();
	rviommu_dirty_begin(&d, BASE, BASE + SCANNED - 1, clear);
	while (rviommu_pgtable_read_dirty(pt, &d))
		for (i = 0; i < d.nr; i++)
			*pages += d.runs[i].size / SZ_4K;
	t = ktime_get_ns() - t;
	benchtest_run_test(test);
	return t;
}

/* A loop that reads the same tables, and does nothing else. */
static u64 read_tables(const u64 *table, int level)
{
	unsigned int i;
	u64 seen = 0;

	if (!level) {
		for (i = 0; i < 512; i++)
			seen += READ_ONCE(table[i]) >> 7 & 1;
		return seen;
	}
	for (i = 0; i < 512; i++)
		if ((table[i] & 15) == 1)
			seen += read_tables(phys_to_virt((table[i] >> 10) << 12), level - 1);
	return seen;
}

static u64 in_entry(u64 ns)
{
	return div64_u64(ns * 1000, SCANNED / SZ_4K);
}

static void bench_dirty_kinds(struct kunit *test, struct rviommu_pgtable *pt)
{
	static const struct {
		const char *name;
		unsigned int every;
	} kinds[] = { { "clean", 0 }, { "1% dirty", 100 }, { "all dirty", 1 } };
	u64 (*t)[SAMPLES] = kunit_kcalloc(test, 5, sizeof(*t), GFP_KERNEL);
	struct vtd_domain *other = vtd(test);
	unsigned int i, k, n, errors = 0;
	u64 pages, want, now;
	char line[LINE];
	size_t at;

	KUNIT_ASSERT_NOT_NULL(test, t);
	/* So that the core has no use for larger leaves */
	if (other)
		KUNIT_ASSERT_EQ(test, iommu_map(&other->domain, BASE, SZ_4K, SCANNED, RW,
						GFP_KERNEL), 0);
	kunit_info(test, "dirty pages: nanoseconds per entry, of 2^20\n");
	kunit_info(test, "%-12s%8s%8s%8s  generic_pt, VT-d%s\n", "", "clear", "read", "plain",
		   other ? ": clear, read" : ": not there");
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		for (n = 0; n < SAMPLES; n++) {
			if (kinds[i].every) {
				make_dirty(pt, pt->root, pt->cfg.levels - 1, kinds[i].every);
				if (other)
					vtd_make_dirty(other, kinds[i].every);
			}
			want = kinds[i].every ? DIV_ROUND_UP(512, kinds[i].every) * 2048 : 0;
			now = ktime_get_ns();
			errors += read_tables(pt->root, pt->cfg.levels - 1) != want;
			t[2][n] = ktime_get_ns() - now;
			t[1][n] = time_scan(pt, false, &pages);
			errors += pages != want;
			t[0][n] = time_scan(pt, true, &pages);
			errors += pages != want;
			if (!other)
				continue;
			t[4][n] = vtd_scan(other, SCANNED, false);
			t[3][n] = vtd_scan(other, SCANNED, true);
		}
		at = scnprintf(line, LINE, "%-12s", kinds[i].name);
		for (k = 0; k < (other ? 5 : 3); k++)
			at = put(line, at, in_entry(median(t[k])));
		kunit_info(test, "%s\n", line);
	}
	KUNIT_EXPECT_EQ(test, errors, 0);
	if (!other)
		return;
	KUNIT_EXPECT_EQ(test, iommu_unmap(&other->domain, BASE, SCANNED), SCANNED);
	vtd_free(other);
}

static void bench_reshape(struct kunit *test, struct rviommu_pgtable *pt)
{
	u64 *merge = kunit_kcalloc(test, 2 * SAMPLES, sizeof(*merge), GFP_KERNEL);
	u64 *split = merge + SAMPLES;
	unsigned int n, errors = 0;
	struct kunit *running;
	u64 t;

	KUNIT_ASSERT_NOT_NULL(test, merge);
	for (n = 0; n < SAMPLES; n++) {
		running = benchtest_run_no_test();
		t = ktime_get_ns();
		errors += rviommu_pgtable_promote(pt, BASE, BASE + SCANNED - 1) !=
			  SCANNED / SZ_2M + SCANNED / SZ_1G;
		merge[n] = ktime_get_ns() - t;
		t = ktime_get_ns();
		errors += !!rviommu_pgtable_demote(pt, BASE, BASE + SCANNED - 1);
		split[n] = ktime_get_ns() - t;
		benchtest_run_test(running);
		/* Freed tables come back before the next round. */
		rcu_barrier();
	}
	kunit_info(test, "demotion of a 1G leaf to pages:  %5llu us, and a share of a grace period\n",
		   div64_u64(median(split), SCANNED / SZ_1G * 1000));
	kunit_info(test, "promotion of pages to a 1G leaf: %5llu us, and a share of grace periods\n",
		   div64_u64(median(merge), SCANNED / SZ_1G * 1000));
	KUNIT_EXPECT_EQ(test, errors, 0);
}

/* Hardware sets D for a write to @page. */
static void write_to(struct rviommu_pgtable *pt, u64 page)
{
	unsigned int lg2;
	u64 pte, *e;

	rcu_read_lock();
	e = rviommu_pt_find(pt, BASE + page * SZ_4K, RVIOMMU_PAGE_LG2, &pte, &lg2);
	WRITE_ONCE(*e, pte | RVIOMMU_PTE_D);
	rcu_read_unlock();
}

/* One bitmap; leaves that are larger than a page, and dirty, are split if that is the policy. */
static u64 policy_read(struct rviommu_pgtable *pt, bool late, u64 *pages)
{
	struct rviommu_dirty d;
	unsigned int i;
	u64 t;

	*pages = 0;
	t = ktime_get_ns();
	rviommu_dirty_begin(&d, BASE, BASE + SCANNED - 1, true);
	while (rviommu_pgtable_read_dirty(pt, &d)) {
		for (i = 0; i < d.nr; i++) {
			*pages += d.runs[i].size / SZ_4K;
			if (late && d.runs[i].size >= SZ_2M)
				rviommu_pgtable_demote(pt, d.runs[i].iova,
						       d.runs[i].iova + d.runs[i].size - 1);
		}
	}
	return ktime_get_ns() - t;
}

/*
 * Tracking begins with leaves of @leaf bytes; then @writes pages, far from each other, are written
 * to, twice, with a bitmap after each time.
 */
static void bench_policy(struct kunit *test, u64 leaf, unsigned int writes, bool late)
{
	struct rviommu_unmapped u = { .tables = LIST_HEAD_INIT(u.tables) };
	const u64 stride = SCANNED / SZ_4K / writes;
	struct iommu_domain *domain = bare(test);
	struct rviommu_pgtable *pt = bare_pt(domain);
	u64 begin, read[2], pages[3], i;
	struct kunit *running;
	unsigned int round;
	size_t mapped;
	long tables;

	KUNIT_ASSERT_EQ(test, rviommu_pgtable_map(pt, BASE, 0, leaf, SCANNED / leaf, RW,
						  GFP_KERNEL, &mapped), 0);
	tables = rviommu_mem_live();
	running = benchtest_run_no_test();
	begin = ktime_get_ns();
	rviommu_pgtable_track(pt, late ? RVIOMMU_TRACK_LEAVES : RVIOMMU_TRACK_PAGES);
	if (!late)
		rviommu_pgtable_demote(pt, BASE, BASE + SCANNED - 1);
	policy_read(pt, false, &pages[2]);
	begin = ktime_get_ns() - begin;
	for (round = 0; round < 2; round++) {
		for (i = 0; i < writes; i++)
			write_to(pt, i * stride + i % stride);
		read[round] = policy_read(pt, late, &pages[round]);
	}
	benchtest_run_test(running);
	tables = rviommu_mem_live() - tables;
	kunit_info(test, "%4s %8u  %-14s%10llu%10llu%10llu%10llu%10llu%10ld\n",
		   leaf == SZ_1G ? "1G" : "2M", writes, late ? "first dirty" : "eager",
		   div_u64(begin, 1000), div_u64(read[0], 1000), pages[0], div_u64(read[1], 1000),
		   pages[1], tables * 4);
	KUNIT_EXPECT_EQ(test, rviommu_pgtable_unmap(pt, BASE, SZ_1G, SCANNED / SZ_1G, &u), SCANNED);
	rviommu_page_retire(&u.tables);
	bare_free(domain);
	rcu_barrier();
}

static void bench_policies(struct kunit *test)
{
	static const unsigned int writes[] = { 1, 64, 2048, 65536 };
	unsigned int i;

	kunit_info(test, "when are leaves split? 4 GiB; times in us, reports in pages, tables in KiB\n");
	kunit_info(test, "%4s %8s  %-14s%10s%10s%10s%10s%10s%10s\n", "leaf", "written", "split",
		   "begin", "1st read", "reported", "2nd read", "reported", "tables");
	for (i = 0; i < 2 * ARRAY_SIZE(writes); i++) {
		bench_policy(test, i & 1 ? SZ_2M : SZ_1G, writes[i / 2], false);
		bench_policy(test, i & 1 ? SZ_2M : SZ_1G, writes[i / 2], true);
	}
}

static void bench_dirty(struct kunit *test)
{
	struct rviommu_unmapped u = { .tables = LIST_HEAD_INIT(u.tables) };
	struct iommu_domain *domain = bare(test);
	struct rviommu_pgtable *pt = bare_pt(domain);
	size_t mapped;

	rviommu_pgtable_track(pt, RVIOMMU_TRACK_PAGES);
	KUNIT_ASSERT_EQ(test, rviommu_pgtable_map(pt, BASE, SZ_1G, SZ_1G, SCANNED / SZ_1G, RW,
						  GFP_KERNEL, &mapped), 0);
	bench_dirty_kinds(test, pt);
	bench_reshape(test, pt);
	KUNIT_EXPECT_EQ(test, rviommu_pgtable_unmap(pt, BASE, SZ_1G, SCANNED / SZ_1G, &u), SCANNED);
	rviommu_page_retire(&u.tables);
	bare_free(domain);
	rcu_barrier();
	bench_policies(test);
}

/* --- map and unmap beside a scan -------------------------------------- */

/* What the other CPU does meanwhile */
enum beside { BESIDE_SPIN, BESIDE_PLAIN, BESIDE_SCAN, BESIDES };

/**
 * struct scanner - whoever keeps the other CPU busy
 * @pt: what it reads
 * @what: how
 * @rounds: how often so far
 */
struct scanner {
	struct rviommu_pgtable *pt;
	enum beside what;
	unsigned long rounds;
};

static int scanner_run(void *arg)
{
	struct scanner *s = arg;
	unsigned int i;
	u64 pages;

	while (!kthread_should_stop()) {
		switch (READ_ONCE(s->what)) {
		case BESIDE_SCAN:
			time_scan(s->pt, true, &pages);
			break;
		case BESIDE_PLAIN:
			read_tables(s->pt->root, s->pt->cfg.levels - 1);
			break;
		default:
			for (i = 0; i < 100000; i++)
				cpu_relax();
		}
		WRITE_ONCE(s->rounds, s->rounds + 1);
		cond_resched();
	}
	return 0;
}

#define BESIDE_CALLS	512
#define BESIDE_SAMPLES	(SAMPLES * 8)

/* Pages next to those that are read are mapped and unmapped; in picoseconds per call */
static struct timing beside_sample(struct iommu_domain *domain, unsigned int *errors)
{
	const u64 at = BASE + SCANNED;
	u64 now[3];
	unsigned int i;

	now[0] = ktime_get_ns();
	for (i = 0; i < BESIDE_CALLS; i++)
		*errors += !!iommu_map(domain, at + i * SZ_4K, SZ_4K, SZ_4K, RW, GFP_KERNEL);
	now[1] = ktime_get_ns();
	for (i = 0; i < BESIDE_CALLS; i++)
		*errors += iommu_unmap(domain, at + i * SZ_4K, SZ_4K) != SZ_4K;
	now[2] = ktime_get_ns();
	return (struct timing) {
		div_u64((now[1] - now[0]) * 1000, BESIDE_CALLS),
		div_u64((now[2] - now[1]) * 1000, BESIDE_CALLS),
	};
}

/*
 * On one CPU that would tell who had it when. So there are two, and the other one is never idle:
 * what is compared is what it does, not that it does something. Samples are short, and taken in
 * turn, because the machine below has others to serve, too.
 */
static void bench_scan(struct kunit *test)
{
	static const char * const names[] = { "nothing", "a plain loop over them", "a dirty read" };
	u64 (*t)[BESIDE_SAMPLES] = kunit_kcalloc(test, 2 * BESIDES, sizeof(*t), GFP_KERNEL);
	struct rviommu_unmapped u = { .tables = LIST_HEAD_INIT(u.tables) };
	unsigned int n, k, errors = 0, all = 2 * BESIDES;
	struct iommu_domain *domain;
	struct task_struct *task;
	struct kunit *running;
	struct scanner s = {};
	struct timing one;
	unsigned long rounds;
	size_t mapped;

	KUNIT_ASSERT_NOT_NULL(test, t);
	if (num_online_cpus() < 2)
		kunit_skip(test, "one CPU would measure who has it when");
	domain = bare(test);
	s.pt = bare_pt(domain);
	rviommu_pgtable_track(s.pt, RVIOMMU_TRACK_PAGES);
	KUNIT_ASSERT_EQ(test, rviommu_pgtable_map(s.pt, BASE, SZ_1G, SZ_1G, SCANNED / SZ_1G, RW,
						  GFP_KERNEL, &mapped), 0);
	set_cpus_allowed_ptr(current, cpumask_of(0));
	task = kthread_run_on_cpu(scanner_run, &s, 1, "rviommu_scan");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	running = benchtest_run_no_test();
	for (n = 0; n < BESIDE_SAMPLES * BESIDES; n++) {
		WRITE_ONCE(s.what, n % BESIDES);
		/* It is in the middle of that. */
		rounds = READ_ONCE(s.rounds);
		while (READ_ONCE(s.rounds) - rounds < 1)
			cond_resched();
		one = beside_sample(domain, &errors);
		t[2 * (n % BESIDES)][n / BESIDES] = one.map;
		t[2 * (n % BESIDES) + 1][n / BESIDES] = one.unmap;
	}
	benchtest_run_test(running);
	kthread_stop(task);
	KUNIT_EXPECT_EQ(test, errors, 0);
	for (k = 0; k < all; k++)
		benchtest_median(t[k], BESIDE_SAMPLES);
	kunit_info(test, "map and unmap of a 4K page, two CPUs; what the other does with 2^20 more\n");
	kunit_info(test, "%-26s%9s%9s    (quarter, median; nanoseconds)\n", "", "map", "unmap");
	for (k = 0; k < BESIDES; k++) {
		const u64 *map = t[2 * k], *unmap = t[2 * k + 1];

		kunit_info(test, "%-26s%4llu %4llu%4llu %4llu\n", names[k],
			   map[BESIDE_SAMPLES / 4] / 1000, map[BESIDE_SAMPLES / 2] / 1000,
			   unmap[BESIDE_SAMPLES / 4] / 1000, unmap[BESIDE_SAMPLES / 2] / 1000);
	}
	KUNIT_EXPECT_EQ(test, rviommu_pgtable_unmap(s.pt, BASE, SZ_1G, SCANNED / SZ_1G, &u),
			SCANNED);
	rviommu_page_retire(&u.tables);
	bare_free(domain);
}

/* --- the simulated IOMMU ---------------------------------------------- */

#if IS_ENABLED(CONFIG_RVIOMMU_SIM)
#include <rviommu/domain.h>
#include <rviommu/sim.h>

#define BATCH		1024
/* A buffer; as many pages as one leaf table holds; more than the newest answers */
#define ONE_BUFFER	16
#define FEW		512
#define MANY		(16 * 1024)

/**
 * struct bench_sim - a device behind a simulated IOMMU
 * @sim: the instance
 * @model: its hardware
 * @dev: the device
 * @iommu: the driver's side
 * @id: device_id
 * @domain: MANY pages from BASE on, in leaves of 4 KiB, all the same 64 KiB of memory
 * @memory: that memory
 * @buf: memory of the device
 * @page: SZ_4K, which the compiler does not know
 */
struct bench_sim {
	struct rviommu_sim *sim;
	struct rviommu_model *model;
	struct device *dev;
	struct rviommu *iommu;
	u32 id;
	struct iommu_domain *domain;
	u8 *memory;
	u8 *buf;
	size_t page;
};

/* Of BATCH operations the time of one, in picoseconds; the median of many samples */
static u64 bench_sim_time(struct bench_sim *b, void (*op)(struct bench_sim *b, unsigned int i))
{
	u64 samples[SAMPLES], t;
	unsigned int n, i;

	/* The first round warms up. */
	for (n = 0; n <= SAMPLES; n++) {
		t = ktime_get_ns();
		for (i = 0; i < BATCH; i++)
			op(b, n * BATCH + i);
		t = ktime_get_ns() - t;
		if (n)
			samples[n - 1] = t;
		cond_resched();
	}
	return div64_u64(median(samples) * 1000, BATCH);
}

static void bench_sim_memcpy(struct bench_sim *b, unsigned int i)
{
	memcpy(b->memory + i % 16 * SZ_4K, b->buf, SZ_4K);
	barrier();
}

static void bench_sim_memcpy_any(struct bench_sim *b, unsigned int i)
{
	memcpy(b->memory + i % 16 * SZ_4K, b->buf, b->page);
	barrier();
}

static void bench_sim_write(struct bench_sim *b, unsigned int page)
{
	struct rviommu_sim_dma dma = {
		.op = RVIOMMU_SIM_WRITE, .iova = BASE + (u64)page * SZ_4K, .length = SZ_4K,
		.buf = b->buf,
	};

	rviommu_sim_dma(b->dev, &dma);
}

static void bench_sim_write_buffer(struct bench_sim *b, unsigned int i)
{
	bench_sim_write(b, i % ONE_BUFFER);
}

static void bench_sim_write_few(struct bench_sim *b, unsigned int i)
{
	bench_sim_write(b, i % FEW);
}

static void bench_sim_write_many(struct bench_sim *b, unsigned int i)
{
	bench_sim_write(b, i % MANY);
}

static void bench_sim_ask(struct bench_sim *b, unsigned int page)
{
	struct rviommu_model_request req = {
		.write = true, .hold = true, .device_id = b->id,
		.iova = BASE + (u64)page * SZ_4K, .length = SZ_4K,
	};
	struct rviommu_model_response rsp;

	rviommu_model_translate(b->model, &req, &rsp);
	rviommu_model_release(b->model, rsp.held);
}

static void bench_sim_ask_buffer(struct bench_sim *b, unsigned int i)
{
	bench_sim_ask(b, i % ONE_BUFFER);
}

static void bench_sim_ask_few(struct bench_sim *b, unsigned int i)
{
	bench_sim_ask(b, i % FEW);
}

static void bench_sim_ask_many(struct bench_sim *b, unsigned int i)
{
	bench_sim_ask(b, i % MANY);
}

static void bench_sim_forget(struct bench_sim *b, unsigned int i)
{
	const struct rviommu_command cmd = rviommu_cmd_iotinval_vma_all();

	rviommu_cmdq_sync(&b->iommu->cmdq, &cmd, 1);
}

static void bench_sim_cold(struct bench_sim *b, unsigned int i)
{
	bench_sim_forget(b, i);
	bench_sim_ask(b, i % FEW);
}

#define PIECES		(BASE + 64ULL * SZ_1G)	/* MANY pages that adjoin in memory, too */

/* Translate each of the pages once, with nothing cached: how many words the IOMMU read, and time */
static void bench_sim_pages(struct kunit *test, struct bench_sim *b, const char *what)
{
	struct rviommu_model_stats before, after;
	unsigned int i;
	u64 t;

	bench_sim_forget(b, 0);
	rviommu_model_get_stats(b->model, &before);
	t = ktime_get_ns();
	for (i = 0; i < MANY; i++)
		bench_sim_ask(b, (PIECES - BASE) / SZ_4K + i);
	t = ktime_get_ns() - t;
	rviommu_model_get_stats(b->model, &after);
	t = div_u64(t, MANY / 10);
	kunit_info(test, "%s: %llu ns and %llu.%03llu words read for each of 2^14 pages, once\n",
		   what, div_u64(t, 10), (after.reads - before.reads) / MANY,
		   (after.reads - before.reads) % MANY * 1000 / MANY);
	bench_sim_forget(b, 0);
	rviommu_model_get_stats(b->model, &before);
	bench_sim_ask(b, (PIECES - BASE) / SZ_4K);
	rviommu_model_get_stats(b->model, &after);
	kunit_info(test, "%s: %llu words read by a cold walk\n", what, after.reads - before.reads);
}

static void bench_sim_promote(struct kunit *test, struct bench_sim *b)
{
	u64 t = ktime_get_ns();

	bench_sim_pages(test, b, "mapped in pages");
	t = ktime_get_ns();
	KUNIT_EXPECT_EQ(test, rviommu_domain_promote(b->domain, PIECES,
						     PIECES + (u64)MANY * SZ_4K - 1), MANY / 512);
	t = ktime_get_ns() - t;
	bench_sim_pages(test, b, "promoted to 2M");
	kunit_info(test, "promotion of these 64 MiB: %llu us\n", div_u64(t, 1000));
}

static void bench_sim_line(struct kunit *test, const char *what, u64 ps)
{
	kunit_info(test, "%-52s%6llu.%llu\n", what, ps / 1000, ps % 1000 / 100);
}

static void bench_sim_run(struct kunit *test, struct bench_sim *b)
{
	u64 plain, warm, forget;
	unsigned int i;

	for (i = 0; i < MANY; i++)
		bench_sim_ask_many(b, i);
	kunit_info(test, "nanoseconds, simulated IOMMU, Sv48, leaves of 4 KiB\n");
	plain = bench_sim_time(b, bench_sim_memcpy);
	bench_sim_line(test, "memcpy of 4 KiB", plain);
	bench_sim_line(test, "memcpy of a length unknown to the compiler",
		       bench_sim_time(b, bench_sim_memcpy_any));
	warm = bench_sim_time(b, bench_sim_write_buffer);
	bench_sim_line(test, "DMA of 4 KiB, 64 KiB of IOVA", warm);
	bench_sim_line(test, "DMA of 4 KiB, 2 MiB of IOVA",
		       bench_sim_time(b, bench_sim_write_few));
	bench_sim_line(test, "DMA of 4 KiB, 64 MiB of IOVA",
		       bench_sim_time(b, bench_sim_write_many));
	bench_sim_line(test, "translation alone, 64 KiB of IOVA",
		       bench_sim_time(b, bench_sim_ask_buffer));
	bench_sim_line(test, "translation alone, 2 MiB of IOVA",
		       bench_sim_time(b, bench_sim_ask_few));
	bench_sim_line(test, "translation alone, 64 MiB of IOVA",
		       bench_sim_time(b, bench_sim_ask_many));
	forget = bench_sim_time(b, bench_sim_forget);
	bench_sim_line(test, "invalidation of everything and its fence", forget);
	bench_sim_line(test, "translation after that: a cold walk",
		       bench_sim_time(b, bench_sim_cold) - forget);
	kunit_info(test, "a translated DMA of 4 KiB costs %llu.%02llu times a memcpy\n",
		   warm / plain, warm % plain * 100 / plain);
}

static void bench_sim(struct kunit *test)
{
	static size_t page = SZ_4K;
	struct rviommu_sim_config config;
	struct iommu_attach_handle handle;
	struct rviommu_endpoint *ep;
	struct iommu_group *group;
	struct bench_sim b = { .page = READ_ONCE(page) };
	unsigned int i;
	int ret = 0;

	rviommu_sim_config_init(&config);
	b.memory = alloc_pages_exact(SZ_64K, GFP_KERNEL | __GFP_ZERO);
	b.buf = kunit_kzalloc(test, SZ_4K, GFP_KERNEL);
	b.sim = rviommu_sim_create("rviommu_kunit_bench", &config);
	KUNIT_ASSERT_NOT_NULL(test, b.memory);
	KUNIT_ASSERT_NOT_NULL(test, b.buf);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, b.sim);
	b.model = rviommu_sim_model(b.sim);
	b.dev = rviommu_sim_endpoint(b.sim, 0);
	ep = dev_iommu_priv_get(b.dev);
	b.iommu = ep->iommu;
	b.id = ep->ids[0];
	group = iommu_group_get(b.dev);
	ret = iommu_group_claim_dma_owner(group, &b);
	KUNIT_EXPECT_EQ(test, ret, 0);
	b.domain = iommu_paging_domain_alloc(b.dev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, b.domain);
	for (i = 0; i < MANY && !ret; i++)
		ret = iommu_map(b.domain, BASE + (u64)i * SZ_4K,
				virt_to_phys(b.memory) + i % 16 * SZ_4K, SZ_4K, RW, GFP_KERNEL);
	/* Where no memory is: it is only translated. */
	for (i = 0; i < MANY && !ret; i++)
		ret = iommu_map(b.domain, PIECES + (u64)i * SZ_4K, BIT_ULL(45) + (u64)i * SZ_4K,
				SZ_4K, RW, GFP_KERNEL);
	if (!ret)
		ret = iommu_replace_group_handle(group, b.domain, &handle);
	KUNIT_EXPECT_EQ(test, ret, 0);
	if (!ret) {
		bench_sim_run(test, &b);
		bench_sim_promote(test, &b);
		iommu_detach_group_handle(b.domain, group);
	}
	iommu_group_release_dma_owner(group);
	iommu_group_put(group);
	iommu_domain_free(b.domain);
	rviommu_sim_destroy(b.sim);
	free_pages_exact(b.memory, SZ_64K);
}
#else
static void bench_sim(struct kunit *test)
{
	kunit_skip(test, "without the simulated IOMMU");
}
#endif

static struct kunit_case bench_cases[] = {
	KUNIT_CASE_SLOW(bench_table),
	KUNIT_CASE_SLOW(bench_dirty),
	KUNIT_CASE_SLOW(bench_scan),
	KUNIT_CASE_SLOW(bench_sim),
	{}
};

static struct kunit_suite bench_suite = {
	.name = "rviommu_bench",
	.test_cases = bench_cases,
};

kunit_test_suite(bench_suite);
