/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of the model stand on: memory, a log of what the IOMMU sends,
 * and helpers that build the data structures. Each test is a function; the
 * comment above it names the rule and the section it is from.
 */
#ifndef RVIOMMU_MODEL_BENCH_H
#define RVIOMMU_MODEL_BENCH_H

#include "state.h"

#include <stdio.h>

#define CHECK(condition)							\
	do {									\
		if (!(condition))						\
			bench_fail(__FILE__, __LINE__, #condition);		\
	} while (0)

#define CHECK_EQ(found, expected)						\
	bench_equal(__FILE__, __LINE__, #found, (found), (expected))

#define TEST(name)	{ #name, name }

struct bench_test {
	const char *name;
	void (*run)(void);
};

int bench_main(const char *subject, const struct bench_test *tests, unsigned int n);
void bench_fail(const char *file, int line, const char *what);
void bench_equal(const char *file, int line, const char *what, u64 found, u64 expected);

#define LOG_SIZE	64
#define DID		5	/* what most tests use */
#define PID		9
#define PSCID		0x123
#define GSCID		0x45

/* Fixed places in memory, all zero at first */
#define CQ_BASE		0x10000ULL
#define FQ_BASE		0x20000ULL
#define PQ_BASE		0x30000ULL
#define DDT_ROOT	0x40000ULL
#define POOL		0x100000ULL	/* tables are taken from here */
#define DATA		0x40000000ULL	/* what is mapped to */

/**
 * struct bench - one IOMMU and its surroundings
 * @config: of the model; bench_config() fills it in, tests change it
 * @m: the model
 * @msi_addr: interrupts sent, oldest first
 * @msi_data: with this data
 * @nr_msi: how many
 * @msi_fails: answer of the next MSI writes
 * @wires: levels
 * @wire_changes: how often any changed
 * @ats: messages sent
 * @nr_ats: how many
 * @on_the_way: time that a message takes to its device
 * @complete: answer Invalidation Requests at once
 * @unspecified: last complaint, or NULL
 * @other_work: called as such; may be NULL
 * @bad_addr: accesses of this page fail ...
 * @bad_size: ... this many bytes from there on ...
 * @bad_how: ... like this
 * @bad_writes_only: reads work
 * @reads: doublewords read
 * @cas_hook: called before each compare-and-swap; may be NULL
 * @pool: next free page
 */
struct bench {
	struct rviommu_model_config config;
	struct rviommu_model *m;
	u64 msi_addr[LOG_SIZE];
	u32 msi_data[LOG_SIZE];
	unsigned int nr_msi;
	int msi_fails;
	u16 wires;
	unsigned int wire_changes;
	struct rviommu_model_ats_msg ats[LOG_SIZE];
	unsigned int nr_ats;
	u64 on_the_way;
	bool complete;
	const char *unspecified;
	void (*other_work)(void);
	u64 bad_addr;
	u64 bad_size;
	int bad_how;
	bool bad_writes_only;
	unsigned int reads;
	void (*cas_hook)(u64 addr);
	u64 pool;
};

extern struct bench bench;
extern const struct rviommu_model_ops bench_ops;

/* Memory as software sees it */
u64 mem_read(u64 addr);
void mem_write(u64 addr, u64 value);

/* A fresh bench with everything on; then change bench.config and start. */
void bench_config(void);
void bench_start(void);
/* bench_config(), bench_start(), queues on, three-level directory */
void bench_up(void);
void bench_queues_on(void);
void bench_ddtp(unsigned int mode);

u64 new_page(void);
u64 new_root(void);

/* Device context of a device; directories are made as needed. */
u64 dc_addr(u32 did);
void dc_write(u32 did, const struct rviommu_dc *dc);
/* ... of devices from first to last, which may do ATS and nothing else */
void dc_ats(u32 first, u32 last);
struct rviommu_dc dc_first(u64 fsc);
struct rviommu_dc dc_second(u64 iohgatp);
u64 fsc(unsigned int mode, u64 root);
u64 iohgatp(unsigned int mode, u64 root);
/* Process context in the directory that DC.fsc points to */
u64 pc_addr(u64 pdtp, u32 pid);
void pc_write(u64 pdtp, u32 pid, u64 ta, u64 pc_fsc);

/* Page tables of either stage: address of the PTE for an address at a level */
u64 pte_addr(u64 root, unsigned int mode, u64 addr, unsigned int level);
void map(u64 root, unsigned int mode, u64 addr, u64 pa, u64 flags);
u64 pte(u64 pa, u64 flags);

#define PTE_RWX		(RVIOMMU_PTE_V | RVIOMMU_PTE_R | RVIOMMU_PTE_W | RVIOMMU_PTE_X | \
			 RVIOMMU_PTE_U | RVIOMMU_PTE_A | RVIOMMU_PTE_D)

/* Requests */
struct rviommu_model_request request(u64 iova);
struct rviommu_model_request write_request(u64 iova);
extern struct rviommu_model_response rsp;
int send(const struct rviommu_model_request *req);
/* Translation of a read or write by DID works, and yields pa. */
void expect_pa(const struct rviommu_model_request *req, u64 pa);
/* It faults, and the newest fault record says so. */
void expect_fault(const struct rviommu_model_request *req, unsigned int cause);

/* Registers */
u32 rd32(unsigned int offset);
u64 rd64(unsigned int offset);
void wr32(unsigned int offset, u32 value);
void wr64(unsigned int offset, u64 value);

/* Queues */
void command(u64 dword0, u64 dword1);
void inval_vma(u64 flags, u64 pscid, u64 gscid, u64 addr);
void inval_gvma(u64 flags, u64 gscid, u64 addr);
void inval_ddt(bool dv, u32 did);
void inval_pdt(u32 did, u32 pid);
void fence(void);
unsigned int faults(void);
u64 fault_word(unsigned int back, unsigned int word);
unsigned int last_cause(void);
unsigned int cached(unsigned int kind);

#endif /* RVIOMMU_MODEL_BENCH_H */
