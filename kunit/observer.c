// SPDX-License-Identifier: GPL-2.0-only
/* The observer; see observer.h. */
#include <linux/io.h>
#include <linux/list.h>
#include <linux/string.h>

#include "../src/driver/directory.h"
#include "../src/driver/mem.h"
#include "observer.h"

/* Values of one word that a test may leave for a walk to choose from */
#define MAX_VALUES	8

static struct observer *observer_of(struct rviommu_ddt *ddt)
{
	return container_of(ddt->ops, struct observer, ops);
}

/* Indices as in spec "Process to translate an IOVA", steps 3 and 4 */
static unsigned int ddi(const struct observer *o, u32 did, unsigned int level)
{
	if (o->ddt->dir.shape->words == 8) {
		switch (level) {
		case 0: return did & 0x3f;
		case 1: return (did >> 6) & 0x1ff;
		default: return (did >> 15) & 0x1ff;
		}
	}
	switch (level) {
	case 0: return did & 0x7f;
	case 1: return (did >> 7) & 0x1ff;
	default: return (did >> 16) & 0xff;
	}
}

/* Indices as in spec "Process to translate addresses of a process" */
static unsigned int pdi(u32 pid, unsigned int level)
{
	switch (level) {
	case 0: return pid & 0xff;
	case 1: return (pid >> 8) & 0x1ff;
	default: return (pid >> 17) & 0x7;
	}
}

static u64 *page_at(u64 entry)
{
	return phys_to_virt((entry >> 10 & 0xfffffffffffULL) << 12);
}

/* What DC.fsc points to when it is a pdtp */
static u64 *pdt_at(u64 fsc)
{
	return phys_to_virt((fsc & 0xfffffffffffULL) << 12);
}

static bool dc_has_pdt(const struct rviommu_dc *dc)
{
	/* V and PDTV, and one of the three modes */
	return (dc->word[0] & 0x21) == 0x21 && dc->word[3] >> 60 >= 1 && dc->word[3] >> 60 <= 3;
}

/* What @where held after @state of the logged stores */
static u64 value_at(const struct observer *o, const u64 *where, unsigned int state)
{
	unsigned int i;

	for (i = state; i < o->logged; i++) {
		if (o->log[i].where == where)
			return o->log[i].before;
	}
	return READ_ONCE(*where);
}

static void torn(struct observer *o, const char *what, u32 id, const u64 *words, unsigned int nr)
{
	size_t at;

	if (o->torn++)
		return;
	at = scnprintf(o->example, sizeof(o->example), "%s %#x:", what, id);
	while (nr--)
		at += scnprintf(o->example + at, sizeof(o->example) - at, " %llx", *words++);
}

static void visit(struct observer *o, const u64 *page)
{
	unsigned int i;

	for (i = 0; i < o->nr_retired; i++)
		o->reached += o->retired[i] == page;
}

/* The values of one word that a walk could read, and the first state of each */
struct choice {
	u64 value[MAX_VALUES];
	unsigned int state[MAX_VALUES];
	unsigned int nr;
	unsigned int pick;
};

/* False: more history than a test should make. */
static bool choices(struct observer *o, struct choice *c, const u64 *words, unsigned int nr,
		    unsigned int from)
{
	unsigned int i, j, k;

	for (i = 0; i < nr; i++) {
		c[i].nr = 0;
		c[i].pick = 0;
		for (k = from; k <= o->logged; k++) {
			u64 value = value_at(o, &words[i], k);

			for (j = 0; j < c[i].nr && c[i].value[j] != value; j++)
				;
			if (j < c[i].nr)
				continue;
			if (j == MAX_VALUES)
				return false;
			c[i].value[j] = value;
			c[i].state[j] = k;
			c[i].nr++;
		}
	}
	return true;
}

static bool next_choice(struct choice *c, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr && ++c[i].pick == c[i].nr; i++)
		c[i].pick = 0;
	return i < nr;
}

static void see_no_process(struct observer *o, struct observed_process *p)
{
	p->invalid_found = true;
	o->invalid += !p->invalid_allowed;
}

static void see_no_device(struct observer *o, struct observed *d)
{
	unsigned int i;

	d->invalid_found = true;
	o->invalid += !d->invalid_allowed;
	for (i = 0; i < d->nr_processes; i++)
		see_no_process(o, &d->process[i]);
}

/* Index of an allowed context; @d->nr if there is none such */
static unsigned int allowed(const struct observed *d, const struct rviommu_dc *dc)
{
	unsigned int i;

	for (i = 0; i < d->nr && memcmp(&d->allowed[i], dc, sizeof(*dc)); i++)
		;
	return i;
}

static unsigned int allowed_process(const struct observed_process *p, const struct rviommu_pc *pc)
{
	unsigned int i;

	for (i = 0; i < p->nr && memcmp(&p->allowed[i], pc, sizeof(*pc)); i++)
		;
	return i;
}

/* V, PDTV and DPE, and the root that the driver has in its record */
static bool allowed_by_record(const struct observed *d, const struct rviommu_dc *dc)
{
	struct rviommu_dc own = { .word = { 0x221 } };

	if (!d->pdt || !d->pdt->dir.root)
		return false;
	own.word[0] |= dc->word[0] & RVIOMMU_DC_TC_EN_ATS;
	own.word[3] = (u64)d->pdt->dir.levels << 60 | virt_to_phys(d->pdt->dir.root) >> 12;
	return !memcmp(&own, dc, sizeof(own));
}

/* Process contexts out of @page whose pointer was read at @state */
static void see_process_words(struct observer *o, struct observed *d, struct observed_process *p,
			      u64 *page, unsigned int state)
{
	struct choice c[2];

	if (!choices(o, c, page + pdi(p->pid, 0) * 2, 2, max3(state, d->cut, p->cut))) {
		o->torn++;
		return;
	}
	do {
		struct rviommu_pc seen = { .word = { c[0].value[c[0].pick],
						     c[1].value[c[1].pick] } };
		unsigned int i = allowed_process(p, &seen);

		if (!(seen.word[0] & 1))
			see_no_process(o, p);
		else if (i < p->nr)
			p->found[i] = true;
		else
			torn(o, "process", p->pid, seen.word, 2);
	} while (next_choice(c, 2));
}

static void see_process_table(struct observer *o, struct observed *d, struct observed_process *p,
			      u64 *table, unsigned int level, unsigned int state)
{
	const u64 *slot = table + pdi(p->pid, level);
	struct choice c;
	unsigned int i;

	visit(o, table);
	if (!level) {
		see_process_words(o, d, p, table, state);
		return;
	}
	if (!choices(o, &c, slot, 1, max(state, d->cut))) {
		o->torn++;
		return;
	}
	/* Reading the same entry later leads to no more than reading it first. */
	for (i = 0; i < c.nr; i++) {
		if (c.value[i] & 1)
			see_process_table(o, d, p, page_at(c.value[i]), level - 1, c.state[i]);
		else
			see_no_process(o, p);
	}
}

/* @dc is valid and may be there; its fsc was read at @state. */
static void see_processes(struct observer *o, struct observed *d, const struct rviommu_dc *dc,
			  unsigned int state)
{
	unsigned int i;

	for (i = 0; i < d->nr_processes; i++) {
		struct observed_process *p = &d->process[i];

		if (dc_has_pdt(dc))
			see_process_table(o, d, p, pdt_at(dc->word[3]), (dc->word[3] >> 60) - 1,
					  state);
		else if (p->pid)
			see_no_process(o, p);
	}
}

/* Contexts out of @page whose pointer was read at @state: all assignments of words */
static void see_words(struct observer *o, struct observed *d, u64 *page, unsigned int state)
{
	const unsigned int words = o->ddt->dir.shape->words;
	struct choice c[8];
	unsigned int i;

	if (!choices(o, c, page + ddi(o, d->did, 0) * words, words, max(state, d->cut))) {
		o->torn++;
		return;
	}
	do {
		struct rviommu_dc seen = {};

		for (i = 0; i < words; i++)
			seen.word[i] = c[i].value[c[i].pick];

		i = allowed(d, &seen);
		if (!(seen.word[0] & 1)) {
			see_no_device(o, d);
		} else if (i < d->nr || allowed_by_record(d, &seen)) {
			if (i < d->nr)
				d->found[i] = true;
			see_processes(o, d, &seen, c[3].state[c[3].pick]);
		} else {
			torn(o, "device", d->did, seen.word, words);
		}
	} while (next_choice(c, words));
}

static void see_table(struct observer *o, struct observed *d, u64 *table, unsigned int level,
		      unsigned int state)
{
	struct choice c;
	unsigned int i;

	visit(o, table);
	if (!level) {
		see_words(o, d, table, state);
		return;
	}
	if (!choices(o, &c, table + ddi(o, d->did, level), 1, state)) {
		o->torn++;
		return;
	}
	for (i = 0; i < c.nr; i++) {
		if (c.value[i] & 1)
			see_table(o, d, page_at(c.value[i]), level - 1, c.state[i]);
		else
			see_no_device(o, d);
	}
}

/* The driver's own readers must agree. */
static void see_readers(struct observer *o, struct observed *d)
{
	struct rviommu_dc dc;
	struct rviommu_pc pc;
	unsigned int i;

	if (!rviommu_ddt_read(o->ddt, d->did, &dc))
		o->invalid += !d->invalid_allowed;
	else if (allowed(d, &dc) == d->nr && !allowed_by_record(d, &dc))
		torn(o, "reader of", d->did, dc.word, o->ddt->dir.shape->words);

	for (i = 0; i < d->nr_processes; i++) {
		struct observed_process *p = &d->process[i];

		if (!p->pid && !dc_has_pdt(&dc))
			continue;
		if (!rviommu_pdt_read(o->ddt, d->did, p->pid, &pc))
			o->invalid += !p->invalid_allowed;
		else if (allowed_process(p, &pc) == p->nr)
			torn(o, "reader of process", p->pid, pc.word, 2);
	}
}

static void see_devices(struct observer *o)
{
	unsigned int i;

	for (i = 0; i < o->nr_devices; i++) {
		see_table(o, &o->device[i], o->ddt->dir.root, o->ddt->dir.levels - 1, o->cut_all);
		see_readers(o, &o->device[i]);
	}
}

void observer_look(struct observer *o)
{
	unsigned int i;

	for (i = 0; i < o->nr_pages; i++) {
		if (memcmp(o->shadow[i].page, o->shadow[i].word, RVIOMMU_PAGE_SIZE))
			o->bypassed++;
	}
	see_devices(o);
}

static u64 *shadow_of(struct observer *o, const u64 *where)
{
	unsigned int i;

	for (i = 0; i < o->nr_pages; i++) {
		u64 *page = o->shadow[i].page;

		if (where >= page && where < page + OBSERVER_PAGE_WORDS)
			return &o->shadow[i].word[where - page];
	}
	return NULL;
}

static void shadow_add(struct observer *o, u64 *page, unsigned int level)
{
	unsigned int i;

	if (!shadow_of(o, page)) {
		if (o->nr_pages == OBSERVER_PAGES) {
			o->bypassed++;
			return;
		}
		o->shadow[o->nr_pages].page = page;
		memcpy(o->shadow[o->nr_pages].word, page, RVIOMMU_PAGE_SIZE);
		o->nr_pages++;
	}
	for (i = 0; level && i < OBSERVER_PAGE_WORDS; i++) {
		if (page[i] & 1)
			shadow_add(o, page_at(page[i]), level - 1);
	}
}

/* Whatever can be reached now, and what could be before */
static void shadow_reachable(struct observer *o)
{
	unsigned int i;

	shadow_add(o, o->ddt->dir.root, o->ddt->dir.levels - 1);
	for (i = 0; i < o->nr_devices; i++) {
		struct observed *d = &o->device[i];
		struct rviommu_dc dc = {};
		u64 *words = d->pdt || d->nr_processes ? observer_words(o, d->did) : NULL;

		if (words)
			memcpy(dc.word, words, o->ddt->dir.shape->words * sizeof(u64));
		if (dc_has_pdt(&dc))
			shadow_add(o, pdt_at(dc.word[3]), (dc.word[3] >> 60) - 1);
	}
}

void observer_refresh(struct observer *o)
{
	o->nr_pages = 0;
	shadow_reachable(o);
}

void observer_store(struct rviommu_ddt *ddt, u64 *where, u64 value)
{
	struct observer *o = observer_of(ddt);
	u64 *shadow = shadow_of(o, where);

	o->stores++;
	observer_look(o);
	if (o->logged == OBSERVER_LOG || !shadow) {
		o->bypassed++;	/* a store where no walk can come by */
		return;
	}
	o->log[o->logged].where = where;
	o->log[o->logged].before = *where;
	rviommu_ddt_store(ddt, where, value);
	o->logged++;
	*shadow = value;
	/* Tables that this store has linked */
	shadow_reachable(o);
	see_devices(o);
}

static void forget(struct observer *o, struct observed *d)
{
	unsigned int i;

	d->cut = o->logged;
	for (i = 0; i < d->nr_processes; i++)
		d->process[i].cut = o->logged;
}

void observer_fence_all(struct observer *o)
{
	unsigned int i;

	observer_look(o);
	/* Nobody looks back any further. */
	o->logged = 0;
	o->cut_all = 0;
	for (i = 0; i < o->nr_devices; i++)
		forget(o, &o->device[i]);
	see_devices(o);
}

void observer_fence(struct observer *o, u32 did)
{
	struct observed *d = observer_watched(o, did);

	observer_look(o);
	if (d)
		forget(o, d);
	see_devices(o);
}

void observer_fence_process(struct observer *o, u32 did, u32 pid)
{
	struct observed *d = observer_watched(o, did);
	unsigned int i;

	observer_look(o);
	for (i = 0; d && i < d->nr_processes; i++) {
		if (d->process[i].pid == pid)
			d->process[i].cut = o->logged;
	}
	see_devices(o);
}

void observer_execute(struct observer *o, u64 dword0)
{
	unsigned int i;

	if ((dword0 & 0x7f) == 3) {	/* IODIR */
		if (o->nr_commands < ARRAY_SIZE(o->command))
			o->command[o->nr_commands++] = dword0;
		else
			o->bypassed++;
	}
	if ((dword0 & 0x7f) != 2)	/* IOFENCE.C */
		return;
	for (i = 0; i < o->nr_commands; i++) {
		u64 cmd = o->command[i];

		if (cmd >> 7 & 7)
			observer_fence_process(o, cmd >> 40, cmd >> 12 & 0xfffff);
		else if (cmd >> 33 & 1)
			observer_fence(o, cmd >> 40);
		else
			observer_fence_all(o);
	}
	o->nr_commands = 0;
}

int observer_sync(struct rviommu_ddt *ddt, u32 did, bool all)
{
	struct observer *o = observer_of(ddt);

	o->syncs++;
	o->syncs_all += all;
	if (o->under)
		return o->under->sync(ddt, did, all);
	/* Out of service: nothing walks, so nothing that was read lives on either. */
	if (all || o->sync_result)
		observer_fence_all(o);
	else
		observer_fence(o, did);
	return o->sync_result;
}

void observer_retire(struct observer *o, struct list_head *pages)
{
	while (!list_empty(pages)) {
		struct rviommu_page *page = list_first_entry(pages, struct rviommu_page, node);

		list_del_init(&page->node);
		if (o->nr_retired < OBSERVER_PAGES)
			o->retired[o->nr_retired++] = page->virt;
		else
			o->bypassed++;
	}
	observer_look(o);
}

void observer_free_retired(struct observer *o)
{
	while (o->nr_retired)
		rviommu_page_free(o->retired[--o->nr_retired]);
}

void observer_init(struct observer *o, struct rviommu_ddt *ddt)
{
	o->ops.store = observer_store;
	o->ops.sync = observer_sync;
	o->ddt = ddt;
	o->under = ddt->ops;
	if (ddt->ops) {
		ddt->ops = &o->ops;
		observer_refresh(o);
	}
}

struct observed *observer_watched(struct observer *o, u32 did)
{
	unsigned int i;

	for (i = 0; i < o->nr_devices; i++) {
		if (o->device[i].did == did)
			return &o->device[i];
	}
	return NULL;
}

void observer_allow(struct observed *d, const struct rviommu_dc *dc)
{
	if (!(dc->word[0] & 1)) {
		d->invalid_allowed = true;
		return;
	}
	if (allowed(d, dc) == d->nr && d->nr < OBSERVER_ALLOWED) {
		d->found[d->nr] = false;
		d->allowed[d->nr++] = *dc;
	}
}

void observer_allow_process(struct observed_process *p, const struct rviommu_pc *pc)
{
	if (!(pc->word[0] & 1)) {
		p->invalid_allowed = true;
		return;
	}
	if (allowed_process(p, pc) == p->nr && p->nr < OBSERVER_ALLOWED) {
		p->found[p->nr] = false;
		p->allowed[p->nr++] = *pc;
	}
}

void observer_allow_only(struct observed *d, const struct rviommu_dc *dc)
{
	d->nr = 0;
	d->invalid_allowed = false;
	d->invalid_found = false;
	observer_allow(d, dc);
}

void observer_allow_only_process(struct observed_process *p, const struct rviommu_pc *pc)
{
	p->nr = 0;
	p->invalid_allowed = false;
	p->invalid_found = false;
	observer_allow_process(p, pc);
}

bool observer_found(const struct observed *d, const struct rviommu_dc *dc)
{
	unsigned int i = allowed(d, dc);

	return dc->word[0] & 1 ? i < d->nr && d->found[i] : d->invalid_found;
}

bool observer_found_process(const struct observed_process *p, const struct rviommu_pc *pc)
{
	unsigned int i = allowed_process(p, pc);

	return pc->word[0] & 1 ? i < p->nr && p->found[i] : p->invalid_found;
}

struct observed *observer_watch(struct observer *o, u32 did)
{
	struct observed *d = &o->device[o->nr_devices++];
	struct rviommu_dc dc;

	memset(d, 0, sizeof(*d));
	d->did = did;
	d->cut = o->logged;
	rviommu_ddt_read(o->ddt, did, &dc);
	observer_allow_only(d, &dc);
	return d;
}

struct observed_process *observer_watch_process(struct observer *o, struct observed *d, u32 pid)
{
	struct observed_process *p = &d->process[d->nr_processes++];
	struct rviommu_pc pc;

	memset(p, 0, sizeof(*p));
	p->pid = pid;
	p->cut = o->logged;
	rviommu_pdt_read(o->ddt, d->did, pid, &pc);
	observer_allow_only_process(p, &pc);
	observer_refresh(o);
	return p;
}

void observer_settle(struct observer *o)
{
	unsigned int i, k;

	o->logged = 0;
	o->cut_all = 0;
	o->nr_commands = 0;
	for (i = 0; i < o->nr_devices; i++) {
		struct observed *d = &o->device[i];
		struct rviommu_dc dc;
		struct rviommu_pc pc;

		forget(o, d);
		rviommu_ddt_read(o->ddt, d->did, &dc);
		observer_allow_only(d, &dc);
		for (k = 0; k < d->nr_processes; k++) {
			rviommu_pdt_read(o->ddt, d->did, d->process[k].pid, &pc);
			observer_allow_only_process(&d->process[k], &pc);
		}
	}
	observer_refresh(o);
	o->stores = 0;
	o->syncs = 0;
	o->syncs_all = 0;
}

void observer_expect_intact(struct kunit *test, struct observer *o, const char *what)
{
	KUNIT_EXPECT_EQ_MSG(test, o->torn, 0, "%s: torn: %s", what, o->example);
	KUNIT_EXPECT_EQ_MSG(test, o->invalid, 0, "%s: found invalid", what);
	KUNIT_EXPECT_EQ_MSG(test, o->bypassed, 0, "%s: memory changed without a store", what);
	KUNIT_EXPECT_EQ_MSG(test, o->reached, 0, "%s: retired under a walk", what);
	o->torn = 0;
	o->invalid = 0;
	o->bypassed = 0;
	o->reached = 0;
}

static u64 *find_slot(u64 *table, unsigned int level, unsigned int down_to,
		      unsigned int (*index)(const struct observer *o, u32 id, unsigned int level),
		      const struct observer *o, u32 id)
{
	for (; level > down_to; level--) {
		u64 entry = table[index(o, id, level)];

		if (!(entry & 1))
			return NULL;
		table = page_at(entry);
	}
	return &table[index(o, id, level)];
}

static unsigned int index_words(const struct observer *o, u32 did, unsigned int level)
{
	return ddi(o, did, level) * (level ? 1 : o->ddt->dir.shape->words);
}

static unsigned int index_process(const struct observer *o, u32 pid, unsigned int level)
{
	return pdi(pid, level) * (level ? 1 : 2);
}

u64 *observer_words(struct observer *o, u32 did)
{
	return find_slot(o->ddt->dir.root, o->ddt->dir.levels - 1, 0, index_words, o, did);
}

u64 *observer_parent(struct observer *o, u32 did)
{
	return find_slot(o->ddt->dir.root, o->ddt->dir.levels - 1, 1, index_words, o, did);
}

u64 *observer_process_words(struct observer *o, u32 did, u32 pid)
{
	u64 *words = observer_words(o, did);

	return find_slot(pdt_at(words[3]), (words[3] >> 60) - 1, 0, index_process, o, pid);
}

u64 *observer_process_parent(struct observer *o, u32 did, u32 pid)
{
	u64 *words = observer_words(o, did);

	return find_slot(pdt_at(words[3]), (words[3] >> 60) - 1, 1, index_process, o, pid);
}
