/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For a program that means no good and has a function by iommufd: ioctls of iommufd, each of which
 * could succeed, until something about it is changed by chance. The same on purpose, of which it is
 * known how it ends.
 */
#ifndef RVIOMMU_GUEST_VFIO_CALLS_H
#define RVIOMMU_GUEST_VFIO_CALLS_H

#include "vfio_objects.h"

/**
 * union arguments - of any ioctl of iommufd
 * @word: as numbers
 */
union arguments {
	__u32 word[32];
	struct iommu_ioas_alloc alloc;
	struct iommu_ioas_iova_ranges ranges;
	struct iommu_ioas_allow_iovas allow;
	struct iommu_option option;
#ifdef IOMMU_IOAS_CHANGE_PROCESS
	struct iommu_ioas_change_process change;
#endif
	struct iommu_ioas_map map;
#ifdef IOMMU_IOAS_MAP_FILE
	struct iommu_ioas_map_file map_file;
#endif
	struct iommu_ioas_copy copy;
	struct iommu_ioas_unmap unmap;
	struct iommu_vfio_ioas vfio;
	struct iommu_hw_info info;
	struct iommu_hwpt_invalidate invalidate;
	struct iommu_destroy destroy;
};

/* ----- PASIDs of the function ----- */

/* Its registers as the kernel sees them, and where those are that switch PASIDs on; 0: nowhere */
static int in_sysfs = -1;
static off_t pasid_ctrl;

static inline void find_pasids(const char *cdev)
{
	char path[128];
	__u32 header;
	off_t at;

	snprintf(path, sizeof(path), "/sys/class/vfio-dev/%s/device/config",
		 strrchr(cdev, '/') + 1);
	in_sysfs = open(path, O_RDONLY);
	must(in_sysfs >= 0, "registers of the function");
	for (at = PCI_CFG_SPACE_SIZE; at; at = PCI_EXT_CAP_NEXT(header)) {
		must(pread(in_sysfs, &header, sizeof(header), at) == sizeof(header), "they say");
		if (PCI_EXT_CAP_ID(header) == PCI_EXT_CAP_ID_PASID)
			pasid_ctrl = at + PCI_PASID_CTRL;
	}
}

/*
 * VFIO hides the capability, and not what lies behind its header: the program may have switched
 * PASIDs off. Then iommufd, asked what the function can do, blames the kernel's driver, in the log.
 */
static inline bool pasids_are_off(void)
{
	__u16 ctrl = 0;

	return pasid_ctrl && (pread(in_sysfs, &ctrl, sizeof(ctrl), pasid_ctrl) != sizeof(ctrl) ||
			      !(ctrl & PCI_PASID_CTRL_ENABLE));
}

/* ----- Arguments ----- */

/* On purpose: in an address space that is the program's own */
static bool on_purpose;

static inline __u32 where(void)
{
	return on_purpose ? spaces[0] : any_space();
}

/* At one of four places; on purpose at that one */
static inline __u64 place(unsigned int n)
{
	return IOVA + (on_purpose ? n : below(4)) * SIZE;
}

static inline void fill_ranges(union arguments *a)
{
	a->ranges.ioas_id = where();
	a->ranges.num_iovas = 16;
	a->ranges.allowed_iovas = (unsigned long)room;
}

static inline void fill_allow(union arguments *a)
{
	const struct iommu_iova_range range = { .start = IOVA, .last = IOVA + 4 * SIZE - 1 };

	memcpy(room, &range, sizeof(range));
	a->allow.ioas_id = where();
	a->allow.num_iovas = below(2);
	a->allow.allowed_iovas = (unsigned long)room;
}

static inline void fill_option(union arguments *a)
{
	a->option.option_id = IOMMU_OPTION_HUGE_PAGES;
	a->option.op = below(2);
	a->option.object_id = where();
	a->option.val64 = below(2);
}

static inline void fill_map(union arguments *a)
{
	a->map.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
		       IOMMU_IOAS_MAP_WRITEABLE;
	a->map.ioas_id = where();
	a->map.iova = place(0);
	a->map.length = PAGE << below(4);
	a->map.user_va = (unsigned long)memory + below(2) * (SIZE / 2);
}

#ifdef IOMMU_IOAS_MAP_FILE
/* Pages of which there are no others */
static int file = -1;

static inline void make_file(void)
{
	file = memfd_create("vfio_fuzz", 0);
	must(file >= 0 && !ftruncate(file, SIZE), "memory that is a file");
}

static inline void fill_map_file(union arguments *a)
{
	a->map_file.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			    IOMMU_IOAS_MAP_WRITEABLE;
	a->map_file.ioas_id = where();
	a->map_file.fd = file;
	a->map_file.start = below(2) * (SIZE / 2);
	a->map_file.iova = place(1);
	a->map_file.length = PAGE << below(4);
}
#endif

static inline void fill_copy(union arguments *a)
{
	a->copy.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE;
	a->copy.src_ioas_id = where();
	a->copy.dst_ioas_id = where();
	a->copy.length = PAGE;
	a->copy.src_iova = place(0);
	a->copy.dst_iova = place(2);
}

static inline void fill_unmap(union arguments *a)
{
	a->unmap.ioas_id = where();
	a->unmap.iova = place(2);
	a->unmap.length = on_purpose ? PAGE : SIZE;
}

static inline void fill_vfio(union arguments *a)
{
	a->vfio.ioas_id = where();
	a->vfio.op = 1 + below(2);
}

static inline void fill_info(union arguments *a)
{
	a->info.dev_id = device;
	a->info.data_len = below(PAGE);
	a->info.data_uptr = (unsigned long)room;
}

static inline void fill_invalidate(union arguments *a)
{
	a->invalidate.hwpt_id = any_object();
	a->invalidate.data_type = below(3);
	a->invalidate.entry_len = 16;
	a->invalidate.entry_num = below(4);
	a->invalidate.data_uptr = (unsigned long)room;
}

static inline void fill_destroy(union arguments *a)
{
	a->destroy.id = on_purpose ? spaces[0] : any_object();
}

/* Virtual IOMMUs and what is theirs, which this IOMMU does not have, and what there is not yet */
static inline void fill_other(union arguments *a)
{
	unsigned int i;

	for (i = 1; i < 16; i++)
		a->word[i] = chance(2) ? any_object() : value();
}

static inline void allocated(union arguments *a)
{
	unsigned int i;

	for (i = 0; i < OBJECTS; i++)
		if (!spaces[i]) {
			spaces[i] = a->alloc.out_ioas_id;
			return;
		}
	must(destroy(a->alloc.out_ioas_id), "an address space too many is destroyed");
}

static inline void destroyed(union arguments *a)
{
	forget(a->destroy.id);
}

#define CALL(number, type, ...)	{						\
		.name = #number, .request = (number),					\
		.size = sizeof(type), __VA_ARGS__					\
	}
#define WORD(member)	(offsetof(union arguments, member) / 4)

/**
 * struct call - an ioctl of iommufd
 * @name: what it is called
 * @request: its number
 * @size: of its arguments
 * @pointer: the word of it that is memory of the program's, and is not replaced by just anything
 * @fill: make it one that is good
 * @after: it was, and this follows
 * @never: there is nothing here that it could succeed with
 * @by_chance: what came of it
 * @wanted: and of those on purpose
 */
static struct call {
	const char *name;
	unsigned long request;
	unsigned int size;
	unsigned int pointer;
	void (*fill)(union arguments *a);
	void (*after)(union arguments *a);
	bool never;
	struct tally by_chance;
	struct tally wanted;
} calls[] = {
	/* In this order they succeed with each other's help. */
	CALL(IOMMU_IOAS_ALLOC, struct iommu_ioas_alloc, .after = allocated),
	CALL(IOMMU_IOAS_IOVA_RANGES, struct iommu_ioas_iova_ranges, .fill = fill_ranges,
	     .pointer = WORD(ranges.allowed_iovas)),
	CALL(IOMMU_IOAS_ALLOW_IOVAS, struct iommu_ioas_allow_iovas, .fill = fill_allow,
	     .pointer = WORD(allow.allowed_iovas)),
	CALL(IOMMU_OPTION, struct iommu_option, .fill = fill_option),
#ifdef IOMMU_IOAS_CHANGE_PROCESS
	CALL(IOMMU_IOAS_CHANGE_PROCESS, struct iommu_ioas_change_process),
#endif
	CALL(IOMMU_IOAS_MAP, struct iommu_ioas_map, .fill = fill_map, .pointer = WORD(map.user_va)),
#ifdef IOMMU_IOAS_MAP_FILE
	CALL(IOMMU_IOAS_MAP_FILE, struct iommu_ioas_map_file, .fill = fill_map_file),
#endif
	CALL(IOMMU_IOAS_COPY, struct iommu_ioas_copy, .fill = fill_copy),
	CALL(IOMMU_IOAS_UNMAP, struct iommu_ioas_unmap, .fill = fill_unmap),
	CALL(IOMMU_VFIO_IOAS, struct iommu_vfio_ioas, .fill = fill_vfio),
	CALL(IOMMU_GET_HW_INFO, struct iommu_hw_info, .fill = fill_info,
	     .pointer = WORD(info.data_uptr)),
	CALL(IOMMU_HWPT_INVALIDATE, struct iommu_hwpt_invalidate, .fill = fill_invalidate,
	     .pointer = WORD(invalidate.data_uptr), .never = true),
	{ .name = "others", .size = 64, .fill = fill_other, .never = true },
	CALL(IOMMU_DESTROY, struct iommu_destroy, .fill = fill_destroy, .after = destroyed),
};

#define CALLS	(sizeof(calls) / sizeof(*calls))

/* Numbers of iommufd's that are none of those above, and none that is fuzzed with page tables */
static inline unsigned long other_request(void)
{
	unsigned int nr, i;

	for (;;) {
		nr = _IOC_NR(IOMMU_FAULT_QUEUE_ALLOC) + 2 + below(18);
		for (i = 0; i < CALLS && calls[i].request != _IO(IOMMUFD_TYPE, nr); i++)
			;
		if (i == CALLS)
			return _IO(IOMMUFD_TYPE, nr);
	}
}

/* Memory for the function is what is mapped, whatever else is anything. */
static inline void change_word(const struct call *call, union arguments *a)
{
	const unsigned int word = below(call->size / 4);
	__u64 to;

	if (!call->pointer || word - call->pointer > 1) {
		a->word[word] = chance(2) ? value() : any_object();
		return;
	}
	to = call->fill == fill_map ? (unsigned long)memory + below(PAGES) * PAGE :
				      (unsigned long)pointer();
	memcpy(&a->word[call->pointer], &to, sizeof(to));
}

/*
 * Nothing that would let the function have what it must not, or take from it what it needs: a
 * second way to the page that is lent, memory behind that of its own, the end of its address space.
 * Nor what iommufd warns of.
 */
static inline bool is_sane(const struct call *call, const union arguments *a)
{
	if (call->request == IOMMU_IOAS_COPY)
		return a->copy.src_ioas_id != ioas || a->copy.src_iova >= LENT + PAGE ||
		       (a->copy.src_iova < LENT && a->copy.length <= LENT - a->copy.src_iova);
	if (call->request == IOMMU_IOAS_MAP)
		return a->map.user_va >= (unsigned long)memory &&
		       (a->map.length <= (unsigned long)memory + SIZE - a->map.user_va ||
			a->map.length == ~0ULL);
	if (call->request == IOMMU_DESTROY)
		return a->destroy.id != ioas;
	return call->request != IOMMU_GET_HW_INFO || !pasids_are_off();
}

static inline bool carry_out(struct call *call, union arguments *a)
{
	const bool accepted = !ioctl(iommufd, call->request ?: other_request(), a);

	if (accepted && call->never)
		expect(false, call->name);
	if (accepted && call->after)
		call->after(a);
	return accepted;
}

/* One of them, changed in up to three words, or not at all */
static inline void call_changed(void)
{
	struct call *call = &calls[below(CALLS)];
	union arguments a = { .word = { call->size } };
	unsigned int changes = below(4);

	if (call->fill)
		call->fill(&a);
	while (changes--)
		change_word(call, &a);
	if (is_sane(call, &a))
		count(&call->by_chance, carry_out(call, &a));
}

static inline void call_anything(void)
{
	unsigned int i;

	for (i = 0; i < 8 && container < 0; i++)
		call_changed();
}

/* Each of them once as it should be, and once too short, in the order of their needs */
static inline void prove_calls(void)
{
	union arguments a;
	struct call *call;

	on_purpose = true;
	for (call = calls; call < calls + CALLS; call++) {
		a = (union arguments){ .word = { call->size } };
		if (call->fill)
			call->fill(&a);
		if (count(&call->wanted, carry_out(call, &a)) == call->never)
			expect(false, call->name);
		a = (union arguments){ .word = { 3 } };
		if (count(&call->wanted, carry_out(call, &a)))
			expect(false, call->name);
	}
	on_purpose = false;
}

static inline void tell_calls(void)
{
	struct tally by_chance = {};
	struct call *call;

	printf("accepted and refused:");
	for (call = calls; call < calls + CALLS; call++) {
		printf("%s %s %lu %lu", call == calls ? "" : ",", call->name,
		       call->by_chance.accepted, call->by_chance.refused);
		by_chance.accepted += call->by_chance.accepted;
		by_chance.refused += call->by_chance.refused;
		must(!call->wanted.accepted == call->never && call->wanted.refused, call->name);
	}
	printf("\n");
	expect(by_chance.accepted && by_chance.refused, "it asked iommufd for this and that");
}

#endif /* RVIOMMU_GUEST_VFIO_CALLS_H */
