// SPDX-License-Identifier: GPL-2.0-only
/*
 * What who handles page requests is told, field by field: through the IOMMU's queue, the driver
 * and the core.
 */
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/iommu.h>
#include <linux/sizes.h>
#include <rviommu/page_request.h>
#include <rviommu/regs.h>
#include <rviommu/sim.h>

#include "../src/driver/endpoint.h"
#include "../src/driver/rviommu.h"
#include "iopftest.h"

#define PASID		5
#define INDEX		0x155

/* What can be asked for: read, write or both; to execute; with privilege */
#define NR_KINDS	12

/**
 * struct message_asker - whose requests a group consists of
 * @pv: they have a PASID
 * @pasid: which
 * @space: which domain handles them
 */
struct message_asker {
	bool pv;
	u32 pasid;
	unsigned int space;
};

static const struct message_asker message_askers[] = {
	{ false, 0, 0 },
	{ true, PASID, 1 },
	/* What is attached to it is attached to the requester ID. */
	{ true, 0, 0 },
};

#define NR_ASKERS	ARRAY_SIZE(message_askers)

static u64 message_addr(unsigned int asker, unsigned int nr)
{
	return IOPFTEST_IOVA + (asker * NR_KINDS + nr) * SZ_4K;
}

/* IOMMU_FAULT_PERM_*; a request asks for one of the first two at least */
static u32 message_perm(unsigned int kind)
{
	return (1 + kind % 3) | (kind / 3 % 2 ? IOMMU_FAULT_PERM_EXEC : 0) |
	       (kind / 6 ? IOMMU_FAULT_PERM_PRIV : 0);
}

static void message_send(struct iopftest *f, unsigned int asker, unsigned int nr,
			 unsigned int kind)
{
	const struct message_asker *who = &message_askers[asker];
	const u32 perm = message_perm(kind);
	struct rviommu_model_page_request pr = {
		.process_id = who->pasid, .pv = who->pv,
		.exec = perm & IOMMU_FAULT_PERM_EXEC, .priv = perm & IOMMU_FAULT_PERM_PRIV,
		.payload = message_addr(asker, nr) | FIELD_PREP(RVIOMMU_MODEL_PAGE_INDEX, INDEX) |
			   (perm & IOMMU_FAULT_PERM_READ ? RVIOMMU_MODEL_PAGE_R : 0) |
			   (perm & IOMMU_FAULT_PERM_WRITE ? RVIOMMU_MODEL_PAGE_W : 0) |
			   (nr == NR_KINDS - 1 ? RVIOMMU_MODEL_PAGE_L : 0),
	};

	KUNIT_ASSERT_EQ(f->test, rviommu_sim_page_request(f->dev[0], &pr), 0);
}

static void message_expect(struct kunit *test, const struct iommu_fault *fault,
			   unsigned int asker, unsigned int nr, unsigned int kind,
			   bool responses_have_pasid)
{
	const struct message_asker *who = &message_askers[asker];
	const struct iommu_fault_page_request *prm = &fault->prm;
	const bool last = nr == NR_KINDS - 1;
	u32 flags = last ? IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE : 0;
	u32 perm = message_perm(kind);

	if (who->pv)
		flags |= IOMMU_FAULT_PAGE_REQUEST_PASID_VALID;
	else
		perm &= IOMMU_FAULT_PERM_READ | IOMMU_FAULT_PERM_WRITE;
	/* The response has the PASID of the request: if that has none, neither has the response. */
	if (who->pv && responses_have_pasid)
		flags |= IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID;
	KUNIT_EXPECT_EQ(test, fault->type, IOMMU_FAULT_PAGE_REQ);
	KUNIT_EXPECT_EQ_MSG(test, prm->flags, flags, "asker %u kind %u", asker, kind);
	KUNIT_EXPECT_EQ_MSG(test, prm->perm, perm, "asker %u kind %u", asker, kind);
	KUNIT_EXPECT_EQ(test, prm->pasid, who->pv ? who->pasid : IOMMU_NO_PASID);
	KUNIT_EXPECT_EQ(test, prm->grpid, INDEX);
	KUNIT_EXPECT_EQ(test, prm->addr, message_addr(asker, nr));
	/* The driver knows the group by it; nobody responds to a request that is not the last. */
	KUNIT_EXPECT_EQ(test, !!prm->private_data[0], last);
	KUNIT_EXPECT_EQ(test, prm->private_data[1], 0);
}

/* As it was sent, from the first to the last request */
static void message_expect_group(struct iopftest *f, unsigned int asker, unsigned int round,
				 struct iopf_group *group, bool responses_have_pasid)
{
	struct iopf_fault *fault;
	unsigned int nr = 0;

	list_for_each_entry(fault, &group->faults, list) {
		message_expect(f->test, &fault->fault, asker, nr, (nr + round) % NR_KINDS,
			       responses_have_pasid);
		nr++;
	}
	KUNIT_EXPECT_EQ(f->test, nr, NR_KINDS);
	KUNIT_EXPECT_PTR_EQ(f->test, group->faults.prev, &group->last_fault.list);
}

/* All of them ask in turn, with one index, and each has its group. */
static void message_round(struct iopftest *f, unsigned int round, bool responses_have_pasid)
{
	struct iopf_group *group[NR_ASKERS];
	unsigned int asker, nr;

	for (nr = 0; nr < NR_KINDS; nr++)
		for (asker = 0; asker < NR_ASKERS; asker++)
			message_send(f, asker, nr, (nr + round) % NR_KINDS);
	KUNIT_ASSERT_EQ(f->test, rviommu_iopf_flush(f->dev[0]), 0);
	KUNIT_ASSERT_EQ(f->test, iopftest_holds(&f->space[0]), 2);
	KUNIT_ASSERT_EQ(f->test, iopftest_holds(&f->space[1]), 1);
	group[0] = list_first_entry(&f->space[0].held, struct iopf_group, node);
	group[1] = list_first_entry(&f->space[1].held, struct iopf_group, node);
	group[2] = list_next_entry(group[0], node);
	for (asker = 0; asker < NR_ASKERS; asker++)
		message_expect_group(f, asker, round, group[asker], responses_have_pasid);
	iopftest_let_go(&f->space[0], IOMMU_PAGE_RESP_SUCCESS, false);
	iopftest_let_go(&f->space[1], IOMMU_PAGE_RESP_SUCCESS, false);
	/* All went out: to a device that has told lies, and has asked for nothing. */
	KUNIT_EXPECT_EQ(f->test, rviommu_iopf_cancel(f->dev[0], IOMMU_NO_PASID), 0);
	KUNIT_EXPECT_EQ(f->test, iopftest_stats(f, 0).responses, (round + 1) * NR_ASKERS);
}

static const bool message_with_pasid[] = { false, true };

static void message_desc(const bool *with, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "responses %s PASID", *with ? "with" : "without");
}

KUNIT_ARRAY_PARAM(message_responses, message_with_pasid, message_desc);

/* Each kind of request, at each place of a group */
static void message_fields(struct kunit *test)
{
	const bool with = *(const bool *)test->param_value;
	struct rviommu_sim_config config;
	struct iopftest *f;
	unsigned int round;

	iopftest_config(&config);
	config.prg_pasid = with;
	config.pri_capacity = 64;
	f = iopftest_up(test, &config);
	f->space[0].mode = IOPFTEST_HOLD;
	f->space[1].mode = IOPFTEST_HOLD;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, PASID, &f->space[1]), 0);
	for (round = 0; round < NR_KINDS; round++)
		message_round(f, round, with);
	iopftest_detach_pasid(f, 0, PASID, &f->space[1]);
}

/*
 * Asks for no access; to execute and with privilege, or not. With @payload L it is what a
 * Stop Marker is.
 */
static void message_send_nothing(struct iopftest *f, unsigned int asker, bool exec, u64 payload)
{
	const struct message_asker *who = &message_askers[asker];
	struct rviommu_model_page_request pr = {
		.process_id = who->pasid, .pv = who->pv, .exec = exec, .priv = exec,
		.payload = message_addr(asker, 1) | FIELD_PREP(RVIOMMU_MODEL_PAGE_INDEX, INDEX) |
			   payload,
	};

	KUNIT_ASSERT_EQ(f->test, rviommu_sim_page_request(f->dev[0], &pr), 0);
}

static void message_expect_rest(struct kunit *test, unsigned int asker,
				struct iopf_group *group)
{
	struct iopf_fault *first = list_first_entry(&group->faults, struct iopf_fault, list);

	KUNIT_EXPECT_EQ(test, list_count_nodes(&group->faults), 2);
	message_expect(test, &first->fault, asker, 0, 0, true);
	message_expect(test, &group->last_fault.fault, asker, NR_KINDS - 1, 2, true);
}

/*
 * In the middle of each group, with its index, come messages that ask for nothing: they end no
 * group, nobody is asked for them, and they have no response.
 */
static void message_nothing(struct kunit *test)
{
	struct iopftest *f = iopftest_up_default(test);
	struct rviommu_pri *pri = &f->ep[0]->pri;
	struct iopf_group *first;
	unsigned int asker;

	f->space[0].mode = IOPFTEST_HOLD;
	f->space[1].mode = IOPFTEST_HOLD;
	KUNIT_ASSERT_EQ(test, iopftest_attach(f, 0, &f->space[0]), 0);
	KUNIT_ASSERT_EQ(test, iopftest_attach_pasid(f, 0, PASID, &f->space[1]), 0);
	for (asker = 0; asker < NR_ASKERS; asker++) {
		message_send(f, asker, 0, 0);
		message_send_nothing(f, asker, false, 0);
		message_send_nothing(f, asker, true, 0);
		message_send_nothing(f, asker, false, RVIOMMU_MODEL_PAGE_L);
		message_send_nothing(f, asker, true, RVIOMMU_MODEL_PAGE_L);
	}
	KUNIT_ASSERT_EQ(test, rviommu_iopf_flush(f->dev[0]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_holds(&f->space[0]), 0);
	KUNIT_EXPECT_EQ(test, iopftest_holds(&f->space[1]), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&pri->dropped), 4 * NR_ASKERS);
	for (asker = 0; asker < NR_ASKERS; asker++)
		message_send(f, asker, NR_KINDS - 1, 2);
	KUNIT_ASSERT_EQ(test, rviommu_iopf_flush(f->dev[0]), 0);
	KUNIT_ASSERT_EQ(test, iopftest_holds(&f->space[0]), 2);
	KUNIT_ASSERT_EQ(test, iopftest_holds(&f->space[1]), 1);
	first = list_first_entry(&f->space[0].held, struct iopf_group, node);
	message_expect_rest(test, 0, first);
	message_expect_rest(test, 2, list_next_entry(first, node));
	message_expect_rest(test, 1, list_first_entry(&f->space[1].held, struct iopf_group, node));
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).responses, 0);
	iopftest_let_go(&f->space[0], IOMMU_PAGE_RESP_SUCCESS, false);
	iopftest_let_go(&f->space[1], IOMMU_PAGE_RESP_SUCCESS, false);
	KUNIT_EXPECT_EQ(test, rviommu_iopf_cancel(f->dev[0], IOMMU_NO_PASID), 0);
	KUNIT_EXPECT_EQ(test, iopftest_stats(f, 0).responses, NR_ASKERS);
	KUNIT_EXPECT_EQ(test, atomic64_read(&pri->groups), NR_ASKERS);
	KUNIT_EXPECT_EQ(test, atomic64_read(&pri->refused), 0);
	iopftest_detach_pasid(f, 0, PASID, &f->space[1]);
}

static struct kunit_case message_cases[] = {
	KUNIT_CASE_PARAM(message_fields, message_responses_gen_params),
	KUNIT_CASE(message_nothing),
	{}
};

static struct kunit_suite message_suite = {
	.name = "rviommu_iopf_message",
	.test_cases = message_cases,
};

kunit_test_suite(message_suite);
