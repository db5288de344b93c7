// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which changes of a context are hitless, and what each of them takes: every ordered
 * pair of kinds of context, through the driver's own attach, replace and detach, with
 * an observer (observer.h) that reads the words in every order at every moment.
 *
 * The tables here are those of Documentation/directory.rst, line by line (scripts/tables
 * compares them). What is in an entry is said there.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/string.h>

#include "../src/driver/attach.h"
#include "../src/driver/cmdq.h"
#include "../src/driver/directory.h"
#include "../src/driver/domain.h"
#include "../src/driver/endpoint.h"
#include "../src/driver/mem.h"
#include "../src/driver/mutate.h"
#include "../src/driver/pasid.h"
#include "../src/driver/rviommu.h"
#include "../src/driver/space.h"
#include "../src/driver/static.h"
#include "observer.h"
#include "testdev.h"

/* Columns; the first ones are domains of a device without a process directory */
enum shape {
	BLOCK,
	IDENT,
	SV39,
	SV48,
	SV57,
	SV39X4,
	SV48X4,
	SV57X4,
	NR_DOMAINS,
	/* A process directory that has these as PASID 0 */
	PDT = NR_DOMAINS,
	NR_SHAPES = PDT + SV39X4,
	/* A row only: blocked, and all words are zero */
	UNUSED = NR_SHAPES,
	NR_ROWS,
};

/* Of a process: as in PASID 0, and two rows only */
enum process {
	NR_PROCESSES = SV39X4,
	P_UNUSED = NR_PROCESSES,
	P_NO_PAGE,
	NR_PROCESS_ROWS,
};

static const char * const shape_names[NR_ROWS] = {
	"block", "ident", "Sv39", "Sv48", "Sv57", "Sv39x4", "Sv48x4", "Sv57x4",
	"P:block", "P:ident", "P:Sv39", "P:Sv48", "P:Sv57", "unused",
};

static const char * const process_names[NR_PROCESS_ROWS] = {
	"block", "ident", "Sv39", "Sv48", "Sv57", "unused", "no page",
};

/* tables: device contexts, two or three levels */
static const char * const table_levels[] = {
	"        block ident Sv39  Sv48  Sv57  Sv39x4 Sv48x4 Sv57x4 P:block P:ident P:Sv39 P:Sv48 P:Sv57",
	"block   0/0   3/2-  3/2-  3/2-  3/2-  4/2-   4/2-   4/2-   3/2-    +       +      +      +",
	"ident   1/1D  0/0   1/1A  1/1A  1/1A  1/1D   1/1D   1/1D   +       1/1A    +      +      +",
	"Sv39    1/1D  1/1A  1/1A  1/1A  1/1A  1/1A   1/1A   1/1A   +       +       1/1A   +      +",
	"Sv48    1/1D  1/1A  1/1A  1/1A  1/1A  1/1A   1/1A   1/1A   +       +       +      1/1A   +",
	"Sv57    1/1D  1/1A  1/1A  1/1A  1/1A  1/1A   1/1A   1/1A   +       +       +      +      1/1A",
	"Sv39x4  1/1D  1/1D  1/1A  1/1A  1/1A  1/1D   1/1D   1/1D   +       +       +      +      +",
	"Sv48x4  1/1D  1/1D  1/1A  1/1A  1/1A  1/1D   1/1D   1/1D   +       +       +      +      +",
	"Sv57x4  1/1D  1/1D  1/1A  1/1A  1/1A  1/1D   1/1D   1/1D   +       +       +      +      +",
	"P:block 1/1D  +     +     +     +     +      +      +      0/0     2/2-    2/2-   2/2-   2/2-",
	"P:ident +     1/1A  +     +     +     +      +      +      1/1P    0/0     1/1D   1/1D   1/1D",
	"P:Sv39  +     +     1/1A  +     +     +      +      +      1/1P    1/1D    1/1D   1/1D   1/1D",
	"P:Sv48  +     +     +     1/1A  +     +      +      +      1/1P    1/1D    1/1D   1/1D   1/1D",
	"P:Sv57  +     +     +     +     1/1A  +      +      +      1/1P    1/1D    1/1D   1/1D   1/1D",
	"unused  0/0   1/1-  3/2-  3/2-  3/2-  2/2-   2/2-   2/2-   2/2-    +       +      +      +",
};

/* tables: device contexts, one level */
static const char * const table_one_level[] = {
	"        block ident Sv39  Sv48  Sv57  Sv39x4 Sv48x4 Sv57x4 P:block P:ident P:Sv39 P:Sv48 P:Sv57",
	"block   0/0   3/2-  3/2-  3/2-  3/2-  4/2-   4/2-   4/2-   3/2-    +       +      +      +",
	"ident   1/1D  0/0   4/3D! 4/3D! 4/3D! 1/1D   1/1D   1/1D   +       3/3D!   +      +      +",
	"Sv39    1/1D  4/3D! 4/3D! 4/3D! 4/3D! 5/3D!  5/3D!  5/3D!  +       +       4/3D!  +      +",
	"Sv48    1/1D  4/3D! 4/3D! 4/3D! 4/3D! 5/3D!  5/3D!  5/3D!  +       +       +      4/3D!  +",
	"Sv57    1/1D  4/3D! 4/3D! 4/3D! 4/3D! 5/3D!  5/3D!  5/3D!  +       +       +      +      4/3D!",
	"Sv39x4  1/1D  1/1D  5/3D! 5/3D! 5/3D! 1/1D   1/1D   1/1D   +       +       +      +      +",
	"Sv48x4  1/1D  1/1D  5/3D! 5/3D! 5/3D! 1/1D   1/1D   1/1D   +       +       +      +      +",
	"Sv57x4  1/1D  1/1D  5/3D! 5/3D! 5/3D! 1/1D   1/1D   1/1D   +       +       +      +      +",
	"P:block 1/1D  +     +     +     +     +      +      +      0/0     2/2-    2/2-   2/2-   2/2-",
	"P:ident +     3/3D! +     +     +     +      +      +      1/1P    0/0     1/1D   1/1D   1/1D",
	"P:Sv39  +     +     4/3D! +     +     +      +      +      1/1P    1/1D    1/1D   1/1D   1/1D",
	"P:Sv48  +     +     +     4/3D! +     +      +      +      1/1P    1/1D    1/1D   1/1D   1/1D",
	"P:Sv57  +     +     +     +     4/3D! +      +      +      1/1P    1/1D    1/1D   1/1D   1/1D",
	"unused  0/0   1/1-  3/2-  3/2-  3/2-  2/2-   2/2-   2/2-   2/2-    +       +      +      +",
};

/* tables: process contexts */
static const char * const table_processes[] = {
	"        block ident Sv39  Sv48  Sv57",
	"block   0/0   2/2-  2/2-  2/2-  2/2-",
	"ident   1/1P  0/0   1/1D  1/1D  1/1D",
	"Sv39    1/1P  1/1D  1/1D  1/1D  1/1D",
	"Sv48    1/1P  1/1D  1/1D  1/1D  1/1D",
	"Sv57    1/1P  1/1D  1/1D  1/1D  1/1D",
	"unused  0/0   1/1-  2/2-  2/2-  2/2-",
	"no page 0/0   1/1-  1/1-  1/1-  1/1-",
};

/* tables: end */

/**
 * struct observer_config - what must make no difference, or the one that the tables tell
 * @name: of the case
 * @levels: of the device directory
 * @extended: format of device contexts
 * @depth: of process directories
 */
struct observer_config {
	const char *name;
	u8 levels;
	bool extended;
	u8 depth;
};

static const struct observer_config configs[] = {
	{ "1 level, base, PD8", 1, false, 1 },
	{ "1 level, base, PD17", 1, false, 2 },
	{ "1 level, base, PD20", 1, false, 3 },
	{ "1 level, extended, PD8", 1, true, 1 },
	{ "1 level, extended, PD17", 1, true, 2 },
	{ "1 level, extended, PD20", 1, true, 3 },
	{ "2 levels, base, PD8", 2, false, 1 },
	{ "2 levels, base, PD17", 2, false, 2 },
	{ "2 levels, base, PD20", 2, false, 3 },
	{ "2 levels, extended, PD8", 2, true, 1 },
	{ "2 levels, extended, PD17", 2, true, 2 },
	{ "2 levels, extended, PD20", 2, true, 3 },
	{ "3 levels, base, PD8", 3, false, 1 },
	{ "3 levels, base, PD17", 3, false, 2 },
	{ "3 levels, base, PD20", 3, false, 3 },
	{ "3 levels, extended, PD8", 3, true, 1 },
	{ "3 levels, extended, PD17", 3, true, 2 },
	{ "3 levels, extended, PD20", 3, true, 3 },
};

KUNIT_ARRAY_PARAM_DESC(config, configs, name);

/* The device, and another one whose context lies beside */
#define DID		0x29
#define NEIGHBOUR	0x2a

/* Attached for as long as there is a process directory; and those that change */
#define KEEPER		1
#define PASID		2
#define PASID_NO_PAGE	0x102

/**
 * struct cost - what the observer saw of one change
 * @stores: stores where hardware may be reading
 * @graces: synchronisations among them
 * @waits: synchronisations, the last one included
 * @scope: what the last one makes hardware forget: A all contexts, D those of the device,
 *         P that of the process, - none
 * @hitless: no walk failed to find the old context or the new one
 */
struct cost {
	unsigned int stores;
	unsigned int graces;
	unsigned int waits;
	char scope;
	bool hitless;
};

/**
 * struct scene - an IOMMU of the test, a device, and its observer
 * @test: whose
 * @td: the IOMMU
 * @dev: the device
 * @ep: what the driver knows of it
 * @domain: two domains of each kind; the static ones twice
 * @keeper: domain of PASID KEEPER
 * @stale: what was attached before a context that is blocked
 * @o: the observer
 * @d: what it knows of the device
 * @p: and of PASID 0, KEEPER, PASID, and, where it is wide enough, PASID_NO_PAGE
 * @hardware: the directory's own operations
 * @counting: the same, but who waits in them is known
 * @inner: the register bus without us
 * @outer: and with
 * @executed: commands of the fake bus that the observer has seen
 * @looking: a change is being observed
 * @in_grace: the driver is in ops->sync
 * @scope: of the commands that it issued else
 * @mutate: what the driver leaves out while it is observed
 * @noticed: how much was wrong then
 */
struct scene {
	struct kunit *test;
	struct testdev *td;
	struct device *dev;
	struct rviommu_endpoint *ep;
	struct iommu_domain *domain[NR_DOMAINS][2];
	struct iommu_domain *keeper;
	struct iommu_domain *stale;
	struct observer *o;
	struct observed *d;
	struct observed_process *p[4];
	const struct rviommu_ddt_ops *hardware;
	struct rviommu_ddt_ops counting;
	const struct rviommu_bus_ops *inner;
	struct rviommu_bus_ops outer;
	unsigned int executed;
	bool looking;
	bool in_grace;
	char scope;
	enum rviommu_mutation mutate;
	unsigned int noticed;
};

/* Of the test that runs: there is only one at a time. */
static struct scene *scene;

/* ----- Between the driver and the observer ----- */

static bool wider(char scope, char than)
{
	static const char order[] = "-PDA";

	return strchr(order, scope) > strchr(order, than);
}

/* What was executed since last time */
static void see_commands(struct scene *s)
{
	unsigned int nr;

	fakebus_commands(s->td->bus, &nr);
	for (; s->executed < nr; s->executed++) {
		u64 dword0 = fakebus_command(s->td->bus, s->executed, 0);
		char scope = dword0 >> 7 & 7 ? 'P' : dword0 >> 33 & 1 ? 'D' : 'A';

		if (!s->looking)
			continue;
		if ((dword0 & 0x7f) == 3 && !s->in_grace && wider(scope, s->scope))
			s->scope = scope;
		observer_execute(s->o, dword0);
	}
}

static void scene_write32(struct rviommu_bus *bus, unsigned int offset, u32 value)
{
	scene->inner->write32(bus, offset, value);
	/* The fake bus executes commands at once, so before the driver retires anything. */
	if (offset == RVIOMMU_REG_CQT)
		see_commands(scene);
}

static int scene_sync(struct rviommu_ddt *ddt, u32 did, bool all)
{
	int ret;

	scene->in_grace = true;
	ret = scene->hardware->sync(ddt, did, all);
	scene->in_grace = false;
	return ret;
}

static void scene_retire(struct list_head *pages)
{
	struct rviommu_page *page, *next;

	if (scene->looking) {
		observer_retire(scene->o, pages);
		return;
	}
	/* Here nobody reads. */
	list_for_each_entry_safe(page, next, pages, node) {
		list_del(&page->node);
		rviommu_page_free(page->virt);
	}
}

/* ----- The scene ----- */

static void scene_down(void *data)
{
	struct scene *s = data;

	s->looking = false;
	s->td->iommu.ddt.ops = s->hardware;
	rviommu_detach_pasid(s->ep, PASID);
	rviommu_detach_pasid(s->ep, PASID_NO_PAGE);
	rviommu_detach_pasid(s->ep, KEEPER);
	rviommu_attach(s->ep, iommu_get_domain_for_dev(s->dev));
	s->td->bus->ops = s->inner;
	observer_free_retired(s->o);
	kunit_deactivate_static_stub(s->test, rviommu_page_retire);
	scene = NULL;
}

static void free_domain(void *domain)
{
	iommu_domain_free(domain);
}

/* A domain of one mode (8, 9, 10): what @iommu can do is narrowed for that moment. */
static struct iommu_domain *make_domain(struct scene *s, unsigned int mode, bool second_stage)
{
	struct rviommu *iommu = &s->td->iommu;
	struct kunit *test = s->test;
	struct rviommu_domain *dom;
	u64 caps = iommu->caps;

	iommu->caps &= ~(second_stage ? 0xeULL << 16 : 0xeULL << 8);
	iommu->caps |= (second_stage ? BIT_ULL(17) : BIT_ULL(9)) << (mode - 8);
	dom = rviommu_domain_create(iommu, second_stage);
	iommu->caps = caps;
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dom);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, free_domain, &dom->space.domain), 0);
	KUNIT_ASSERT_EQ(test, dom->space.mode, mode);
	return &dom->space.domain;
}

static void make_domains(struct scene *s)
{
	unsigned int i, k;

	for (k = 0; k < 2; k++) {
		s->domain[BLOCK][k] = &rviommu_blocking_domain;
		s->domain[IDENT][k] = &rviommu_identity_domain;
		for (i = SV39; i < NR_DOMAINS; i++)
			s->domain[i][k] = make_domain(s, 8 + (i - SV39) % 3, i >= SV39X4);
	}
	s->keeper = make_domain(s, 9, false);
	s->stale = make_domain(s, 9, false);
}

static struct scene *scene_up(struct kunit *test)
{
	const struct observer_config *config = test->param_value;
	struct scene *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, s);
	s->o = kunit_kzalloc(test, sizeof(*s->o), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, s->o);
	s->test = test;
	s->td = testdev_create(test, TESTDEV_CAPS | RVIOMMU_CAP_PD8 | RVIOMMU_CAP_PD17 |
			       RVIOMMU_CAP_PD20 | (config->extended ? TESTDEV_MSI : 0),
			       RVIOMMU_NR_CAUSES);
	s->td->fake->ddtp_modes = GENMASK(RVIOMMU_DDTP_MODE_BARE + config->levels,
					  RVIOMMU_DDTP_MODE_OFF);
	KUNIT_ASSERT_EQ(test, testdev_probe(s->td), 0);
	KUNIT_ASSERT_EQ(test, s->td->iommu.ddt.dir.levels, config->levels);
	KUNIT_ASSERT_EQ(test, s->td->iommu.ddt.dir.shape->words, config->extended ? 8 : 4);
	s->dev = testdev_add_one(s->td, DID);
	testdev_add_one(s->td, NEIGHBOUR);
	s->ep = testdev_ep(s->dev);
	s->ep->max_pasids = 1U << rviommu_pdt_pid_lg2(config->depth);
	KUNIT_ASSERT_EQ(test, rviommu_pasid_levels(s->ep), config->depth);
	make_domains(s);

	s->hardware = s->td->iommu.ddt.ops;
	s->counting = (struct rviommu_ddt_ops){ .sync = scene_sync };
	s->inner = s->td->bus->ops;
	s->outer = *s->inner;
	s->outer.write32 = scene_write32;
	scene = s;
	kunit_activate_static_stub(test, rviommu_page_retire, scene_retire);
	s->td->bus->ops = &s->outer;
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, scene_down, s), 0);

	observer_init(s->o, &s->td->iommu.ddt);
	s->o->under = &s->counting;
	s->td->iommu.ddt.ops = s->hardware;
	observer_watch(s->o, NEIGHBOUR);
	s->d = observer_watch(s->o, DID);
	s->d->pdt = &s->ep->pdt;
	for (i = 0; i < (config->depth > 1 ? 4 : 3); i++)
		s->p[i] = observer_watch_process(s->o, s->d, ((const u32 []){
						 0, KEEPER, PASID, PASID_NO_PAGE })[i]);
	return s;
}

/* ----- Contexts, by hand ----- */

static struct rviommu_dc dc_of(struct iommu_domain *domain)
{
	struct rviommu_dc dc = { .word = { domain != &rviommu_blocking_domain } };
	struct rviommu_domain *dom;
	u64 root;

	if (!rviommu_space_of(domain))
		return dc;
	dom = to_rviommu_domain(domain);
	root = (u64)dom->space.mode << 60 | virt_to_phys(dom->pt.root) >> 12;
	if (dom->space.gscid) {
		dc.word[1] = root | (u64)dom->space.gscid << 44;
	} else {
		dc.word[2] = (u64)dom->space.pscid << 12;
		dc.word[3] = root;
	}
	return dc;
}

/* The same in a process directory; second stages are not to be had there. */
static struct rviommu_pc pc_of(struct iommu_domain *domain)
{
	struct rviommu_dc dc = dc_of(domain);

	return (struct rviommu_pc){ .word = { dc.word[0] | dc.word[2], dc.word[3] } };
}

/* ----- One change ----- */

/* Must be true; or, if the driver leaves something out, need not. */
static void expect(struct scene *s, bool right, const char *what, const char *wrong)
{
	if (s->mutate)
		s->noticed += !right;
	else
		KUNIT_EXPECT_TRUE_MSG(s->test, right, "%s: %s", what, wrong);
}

static void expect_intact(struct scene *s, const char *what)
{
	struct observer *o = s->o;

	if (s->mutate) {
		s->noticed += o->torn + o->invalid + o->bypassed + o->reached;
		o->torn = 0;
		o->invalid = 0;
		o->bypassed = 0;
		o->reached = 0;
	}
	observer_expect_intact(s->test, o, what);
}

/* What @s->o has been told to allow is in force before, or after, or both. */
static struct cost observed(struct scene *s, int (*change)(struct scene *s, const void *arg),
			    const void *arg, const char *what)
{
	atomic64_t *waiters = &s->td->iommu.cmdq.events[RVIOMMU_CMDQ_WAITERS];
	struct cost cost = { .waits = -atomic64_read(waiters) };

	s->scope = '-';
	s->looking = true;
	s->td->iommu.ddt.ops = &s->o->ops;
	s->td->iommu.mutate = s->mutate;
	observer_look(s->o);
	KUNIT_EXPECT_EQ_MSG(s->test, change(s, arg), 0, "%s", what);
	observer_look(s->o);
	s->td->iommu.mutate = RVIOMMU_MUTATE_NOTHING;
	s->td->iommu.ddt.ops = s->hardware;
	s->looking = false;

	cost.stores = s->o->stores;
	cost.graces = s->o->syncs;
	cost.waits += atomic64_read(waiters);
	cost.scope = s->scope;
	cost.hitless = !s->o->invalid;
	s->o->invalid = 0;
	expect_intact(s, what);
	expect(s, cost.waits == cost.graces + !!cost.stores, what,
	       "not one synchronisation at the end");
	return cost;
}

/* Only what is in force can still be found; and what was replaced is given back. */
static void over(struct scene *s, const char *what)
{
	observer_look(s->o);
	expect_intact(s, what);
	observer_free_retired(s->o);
	fakebus_clear(s->td->bus);
	s->executed = 0;
}

static void print_cost(char *line, size_t size, const struct cost *cost, unsigned int width)
{
	char entry[16] = "0/0";

	if (cost->stores || cost->waits)
		snprintf(entry, sizeof(entry), "%u/%u%c%s", cost->stores, cost->waits, cost->scope,
			 cost->hitless ? "" : "!");
	scnprintf(line + strlen(line), size - strlen(line), "%-*s", width, entry);
}

static unsigned int width_of(const char *column)
{
	return max_t(unsigned int, strlen(column), 5) + 1;
}

/* One line against the table; for the reader, too. */
static void expect_line(struct scene *s, char *line, const char *want)
{
	const struct observer_config *config = s->test->param_value;

	strim(line);
	KUNIT_EXPECT_STREQ(s->test, line, want);
	/* Those where the tables differ, once */
	if (config->levels != 2 && !config->extended && config->depth == 3)
		kunit_info(s->test, "%s\n", line);
}

static void print_header(char *line, size_t size, const char * const *names, unsigned int nr)
{
	unsigned int i;

	snprintf(line, size, "%-8s", "");
	for (i = 0; i < nr; i++)
		scnprintf(line + strlen(line), size - strlen(line), "%-*s", width_of(names[i]),
			  names[i]);
}

/* ----- Device contexts ----- */

static enum shape rid_of(enum shape shape)
{
	return shape == UNUSED ? BLOCK : shape >= PDT ? shape - PDT : shape;
}

static bool has_pdt(enum shape shape)
{
	return shape >= PDT && shape < UNUSED;
}

/* From nothing to @shape, unseen; blocked contexts have words that somebody left. */
static void set_up(struct scene *s, enum shape shape)
{
	struct kunit *test = s->test;

	rviommu_detach_pasid(s->ep, KEEPER);
	KUNIT_ASSERT_EQ(test, rviommu_attach(s->ep, s->stale), 0);
	if (has_pdt(shape))
		KUNIT_ASSERT_EQ(test, rviommu_attach_pasid(s->ep, KEEPER, s->keeper, NULL), 0);
	KUNIT_ASSERT_EQ(test, rviommu_attach(s->ep, s->domain[rid_of(shape)][0]), 0);
	if (shape == UNUSED)
		memset(observer_words(s->o, DID), 0,
		       s->td->iommu.ddt.dir.shape->words * sizeof(u64));
	fakebus_clear(s->td->bus);
	s->executed = 0;
}

/* What the driver does to get from one to the other; there is one operation. */
struct move {
	enum shape from, to;
};

static bool one_operation(struct move step)
{
	return has_pdt(step.from) == has_pdt(step.to) || rid_of(step.from) == rid_of(step.to);
}

static struct iommu_domain *target_of(struct scene *s, struct move step)
{
	/* Another domain of the same kind, where only the domain changes. */
	bool other = has_pdt(step.from) == has_pdt(step.to) &&
		     rid_of(step.from) == rid_of(step.to);

	return s->domain[rid_of(step.to)][other];
}

static int take_step(struct scene *s, const void *arg)
{
	const struct move *step = arg;

	if (has_pdt(step->from) == has_pdt(step->to))
		return rviommu_attach(s->ep, target_of(s, *step));
	if (has_pdt(step->to))
		return rviommu_attach_pasid(s->ep, KEEPER, s->keeper, NULL);
	rviommu_detach_pasid(s->ep, KEEPER);
	return 0;
}

static struct cost try_step(struct scene *s, struct move step, struct iommu_domain *from)
{
	struct iommu_domain *to = target_of(s, step);
	const struct rviommu_pc none = {}, keeper = pc_of(s->keeper);
	const struct rviommu_pc old_pc = pc_of(from), new_pc = pc_of(to);
	const struct rviommu_dc old_dc = dc_of(from), new_dc = dc_of(to);
	struct kunit *test = s->test;
	struct rviommu_dc now;
	struct cost cost;
	char what[40];

	snprintf(what, sizeof(what), "%s to %s", shape_names[step.from], shape_names[step.to]);
	observer_settle(s->o);
	rviommu_ddt_read(&s->td->iommu.ddt, DID, &now);
	memset(s->d->found, 0, sizeof(s->d->found));
	memset(s->p[0]->found, 0, sizeof(s->p[0]->found));
	if (!has_pdt(step.from))
		KUNIT_EXPECT_MEMEQ(test, &now, &old_dc, sizeof(now));
	if (!has_pdt(step.to))
		observer_allow(s->d, &new_dc);
	observer_allow_only_process(s->p[0], &old_pc);
	observer_allow_process(s->p[0], &new_pc);
	observer_allow_only_process(s->p[1], has_pdt(step.from) ? &keeper : &none);
	observer_allow_process(s->p[1], has_pdt(step.to) ? &keeper : &none);

	cost = observed(s, take_step, &step, what);

	/* Both must have been possible at some point, or the observer was asleep. */
	expect(s, has_pdt(step.from) ? observer_found_process(s->p[0], &old_pc) :
	       observer_found(s->d, &old_dc), what, "old never seen");
	expect(s, has_pdt(step.to) ? observer_found_process(s->p[0], &new_pc) :
	       observer_found(s->d, &new_dc), what, "new never seen");

	rviommu_ddt_read(&s->td->iommu.ddt, DID, &now);
	observer_allow_only(s->d, has_pdt(step.to) ? &now : &new_dc);
	observer_allow_only_process(s->p[0], &new_pc);
	observer_allow_only_process(s->p[1], has_pdt(step.to) ? &keeper : &none);
	/* What was invalid nobody keeps: a walk may be on its way, and will be refused. */
	if (cost.scope == '-' && !(old_pc.word[0] & 1)) {
		observer_allow_process(s->p[0], &none);
		if (!has_pdt(step.from)) {
			observer_allow(s->d, &old_dc);
			observer_allow_process(s->p[1], &none);
		}
	}
	over(s, what);
	return cost;
}

/* Two operations: a device goes to another domain without its process directory. */
static void try_two_steps(struct scene *s, struct move step,
			  const struct cost (*costs)[NR_SHAPES])
{
	enum shape via = rid_of(has_pdt(step.to) ? step.to : step.from);
	const struct move steps[] = { { step.from, via }, { via, step.to } };
	struct iommu_domain *from = s->domain[rid_of(step.from)][0];
	struct kunit *test = s->test;
	unsigned int i;

	set_up(s, step.from);
	for (i = 0; i < 2; i++) {
		struct cost cost = try_step(s, steps[i], from);
		const struct cost *want = &costs[steps[i].from][steps[i].to];

		from = target_of(s, steps[i]);
		/* As by itself, but for words that were equal by chance or are no more. */
		KUNIT_EXPECT_EQ_MSG(test, cost.waits, want->waits, "%s to %s, step %u",
				    shape_names[step.from], shape_names[step.to], i);
		KUNIT_EXPECT_EQ(test, cost.hitless, want->hitless);
		KUNIT_EXPECT_EQ(test, cost.scope, want->scope);
	}
}

static void observer_devices(struct kunit *test)
{
	const struct observer_config *config = test->param_value;
	const char * const *table = config->levels == 1 ? table_one_level : table_levels;
	struct scene *s = scene_up(test);
	struct cost (*costs)[NR_SHAPES];
	struct move step;
	char *line;

	costs = kunit_kcalloc(test, NR_ROWS, sizeof(*costs), GFP_KERNEL);
	line = kunit_kzalloc(test, 160, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, costs);
	KUNIT_ASSERT_NOT_NULL(test, line);
	for (step.from = 0; step.from < NR_ROWS; step.from++) {
		for (step.to = 0; step.to < NR_SHAPES; step.to++) {
			if (!one_operation(step))
				continue;
			set_up(s, step.from);
			costs[step.from][step.to] =
				try_step(s, step, s->domain[rid_of(step.from)][0]);
		}
	}
	print_header(line, 160, shape_names, NR_SHAPES);
	expect_line(s, line, table[0]);
	for (step.from = 0; step.from < NR_ROWS; step.from++) {
		snprintf(line, 160, "%-8s", shape_names[step.from]);
		for (step.to = 0; step.to < NR_SHAPES; step.to++) {
			unsigned int width = width_of(shape_names[step.to]);

			if (one_operation(step)) {
				print_cost(line, 160, &costs[step.from][step.to], width);
				continue;
			}
			try_two_steps(s, step, costs);
			scnprintf(line + strlen(line), 160 - strlen(line), "%-*s", width, "+");
		}
		expect_line(s, line, table[1 + step.from]);
	}
}

/* ----- Process contexts ----- */

struct process_step {
	u32 pid;
	struct iommu_domain *to;
};

static int take_process_step(struct scene *s, const void *arg)
{
	const struct process_step *step = arg;

	if (step->to != &rviommu_blocking_domain)
		return rviommu_attach_pasid(s->ep, step->pid, step->to, NULL);
	rviommu_detach_pasid(s->ep, step->pid);
	return 0;
}

/* A new process directory each time; blocked contexts have words that somebody left. */
static u32 set_up_process(struct scene *s, unsigned int from)
{
	const u32 pid = from == P_NO_PAGE ? PASID_NO_PAGE : PASID;
	struct process_step step = { .pid = pid };

	rviommu_detach_pasid(s->ep, PASID);
	rviommu_detach_pasid(s->ep, PASID_NO_PAGE);
	rviommu_detach_pasid(s->ep, KEEPER);
	step.to = s->stale;
	KUNIT_ASSERT_EQ(s->test, rviommu_attach_pasid(s->ep, KEEPER, s->keeper, NULL), 0);
	if (from < NR_PROCESSES) {
		KUNIT_ASSERT_EQ(s->test, take_process_step(s, &step), 0);
		step.to = s->domain[from][0];
		KUNIT_ASSERT_EQ(s->test, take_process_step(s, &step), 0);
	}
	fakebus_clear(s->td->bus);
	s->executed = 0;
	return pid;
}

static struct cost try_process(struct scene *s, unsigned int from, unsigned int to)
{
	struct process_step step = { .pid = set_up_process(s, from) };
	struct observed_process *p = s->p[from == P_NO_PAGE ? 3 : 2];
	struct rviommu_pc old = {}, new;
	struct cost cost;
	char what[40];

	step.to = s->domain[to][from == to];
	new = pc_of(step.to);
	if (from < NR_PROCESSES)
		old = pc_of(s->domain[from][0]);
	snprintf(what, sizeof(what), "process, %s to %s", process_names[from],
		 process_names[to]);
	observer_settle(s->o);
	observer_allow_only_process(p, &old);
	memset(p->found, 0, sizeof(p->found));
	observer_allow_process(p, &new);

	cost = observed(s, take_process_step, &step, what);

	expect(s, observer_found_process(p, &old), what, "old never seen");
	expect(s, observer_found_process(p, &new), what, "new never seen");
	observer_allow_only_process(p, &new);
	/* As for devices */
	if (cost.scope == '-' && !(old.word[0] & 1))
		observer_allow_process(p, &old);
	over(s, what);
	return cost;
}

static void observer_processes(struct kunit *test)
{
	const struct observer_config *config = test->param_value;
	struct scene *s = scene_up(test);
	unsigned int from, to;
	char line[80];

	KUNIT_ASSERT_EQ(test, rviommu_attach(s->ep, s->domain[SV48][0]), 0);
	print_header(line, sizeof(line), process_names, NR_PROCESSES);
	expect_line(s, line, table_processes[0]);
	for (from = 0; from < NR_PROCESS_ROWS; from++) {
		/* Of one level the only page is always there. */
		if (from == P_NO_PAGE && config->depth == 1)
			continue;
		snprintf(line, sizeof(line), "%-8s", process_names[from]);
		for (to = 0; to < NR_PROCESSES; to++) {
			struct cost cost = try_process(s, from, to);

			print_cost(line, sizeof(line), &cost, width_of(process_names[to]));
		}
		expect_line(s, line, table_processes[1 + from]);
	}
}

static int take_again(struct scene *s, const void *arg)
{
	const struct process_step *step = arg;

	return step->pid ? rviommu_attach_pasid(s->ep, step->pid, step->to, NULL) :
			   rviommu_attach(s->ep, step->to);
}

/* The same domain once more: nothing is stored, and nobody waits. */
static void observer_again(struct kunit *test)
{
	struct scene *s = scene_up(test);
	struct process_step step = {};
	struct cost cost;
	unsigned int i;

	for (i = 0; i < NR_SHAPES; i++) {
		set_up(s, i);
		observer_settle(s->o);
		step.to = s->domain[rid_of(i)][0];
		cost = observed(s, take_again, &step, shape_names[i]);
		over(s, shape_names[i]);
		KUNIT_EXPECT_EQ_MSG(test, cost.stores + cost.waits, 0, "%s", shape_names[i]);
		KUNIT_EXPECT_TRUE_MSG(test, cost.hitless, "%s", shape_names[i]);
	}
	step.pid = PASID;
	for (i = IDENT; i < NR_PROCESSES; i++) {
		set_up_process(s, i);
		observer_settle(s->o);
		step.to = s->domain[i][0];
		cost = observed(s, take_again, &step, process_names[i]);
		over(s, process_names[i]);
		KUNIT_EXPECT_EQ_MSG(test, cost.stores + cost.waits, 0, "%s", process_names[i]);
		KUNIT_EXPECT_TRUE_MSG(test, cost.hitless, "%s", process_names[i]);
	}
}

/* ----- Steps left out ----- */

#ifdef CONFIG_RVIOMMU_DEBUG

static const struct {
	enum rviommu_mutation what;
	u8 min_levels, max_levels;	/* of directories where it makes a difference */
} mutations[] = {
	{ RVIOMMU_MUTATE_INVAL_DDT, 1, 3 },
	{ RVIOMMU_MUTATE_DDT_LINKS, 2, 3 },
	{ RVIOMMU_MUTATE_COPY_PAGE, 2, 3 },
	{ RVIOMMU_MUTATE_BREAK, 1, 1 },
	{ RVIOMMU_MUTATE_BREAK_GRACE, 1, 1 },
	{ RVIOMMU_MUTATE_VALID_GRACE, 1, 3 },
	{ RVIOMMU_MUTATE_RETIRE_PAGE, 2, 3 },
	{ RVIOMMU_MUTATE_INVAL_PDT, 1, 3 },
	{ RVIOMMU_MUTATE_PDT_GRACE, 1, 3 },
};

static bool wrong_in_devices(struct scene *s)
{
	const bool one = s->td->iommu.ddt.dir.levels == 1;
	struct move step;

	for (step.from = 0; step.from < NR_ROWS; step.from++) {
		for (step.to = 0; step.to < NR_SHAPES && !s->noticed; step.to++) {
			struct cost cost;

			if (!one_operation(step))
				continue;
			set_up(s, step.from);
			cost = try_step(s, step, s->domain[rid_of(step.from)][0]);
			s->noticed += !cost.hitless && !one;
		}
	}
	return s->noticed;
}

static bool wrong_in_processes(struct scene *s)
{
	unsigned int from, to;

	rviommu_detach_pasid(s->ep, KEEPER);
	KUNIT_ASSERT_EQ(s->test, rviommu_attach(s->ep, s->domain[SV48][0]), 0);
	for (from = 0; from < NR_PROCESSES; from++) {
		for (to = 0; to < NR_PROCESSES && !s->noticed; to++)
			s->noticed += !try_process(s, from, to).hitless;
	}
	rviommu_detach_pasid(s->ep, PASID);
	return s->noticed;
}

/* What the driver leaves out is noticed. */
static void observer_mutations(struct kunit *test)
{
	const struct observer_config *config = test->param_value;
	struct scene *s = scene_up(test);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(mutations); i++) {
		const enum rviommu_mutation what = mutations[i].what;
		const bool pdt = what == RVIOMMU_MUTATE_INVAL_PDT ||
				 what == RVIOMMU_MUTATE_PDT_GRACE;

		if (config->levels < mutations[i].min_levels ||
		    config->levels > mutations[i].max_levels)
			continue;
		s->mutate = what;
		s->noticed = 0;
		KUNIT_EXPECT_TRUE_MSG(test, wrong_in_devices(s), "mutation %u", what);
		s->noticed = 0;
		if (pdt)
			KUNIT_EXPECT_TRUE_MSG(test, wrong_in_processes(s), "mutation %u", what);
	}
}

#endif /* CONFIG_RVIOMMU_DEBUG */

static struct kunit_case observer_cases[] = {
	KUNIT_CASE_PARAM(observer_devices, config_gen_params),
	KUNIT_CASE_PARAM(observer_processes, config_gen_params),
	KUNIT_CASE_PARAM(observer_again, config_gen_params),
#ifdef CONFIG_RVIOMMU_DEBUG
	KUNIT_CASE_PARAM(observer_mutations, config_gen_params),
#endif
	{}
};

static struct kunit_suite observer_suite = {
	.name = "rviommu_observer",
	.test_cases = observer_cases,
};

kunit_test_suite(observer_suite);
