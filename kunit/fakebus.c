// SPDX-License-Identifier: GPL-2.0-only
/* A fake register bus; see fakebus.h. */
#include <kunit/device.h>
#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/minmax.h>
#include <linux/property.h>

#include <rviommu/regs.h>

#include "fakebus.h"

#define RW1C(csr_offset)	((csr_offset) == RVIOMMU_REG_CQCSR ? 0xf00 : 0x300)
#define SHADOW_LG2		12
#define DDTP			3	/* index of ddtp in fakebus.busy */

static const struct {
	u16 base, csr;
} queues[] = {
	{ RVIOMMU_REG_CQB, RVIOMMU_REG_CQCSR },
	{ RVIOMMU_REG_FQB, RVIOMMU_REG_FQCSR },
	{ RVIOMMU_REG_PQB, RVIOMMU_REG_PQCSR },
};

static u32 *reg(struct fakebus *fake, unsigned int offset)
{
	return &fake->reg[offset / 4];
}

static u64 reg64(struct fakebus *fake, unsigned int offset)
{
	return *reg(fake, offset) | (u64)*reg(fake, offset + 4) << 32;
}

static void set_reg64(struct fakebus *fake, unsigned int offset, u64 value)
{
	*reg(fake, offset) = lower_32_bits(value);
	*reg(fake, offset + 4) = upper_32_bits(value);
}

static void set_writable(struct fakebus *fake, unsigned int offset, u64 mask)
{
	fake->writable[offset / 4] = lower_32_bits(mask);
	if (upper_32_bits(mask))
		fake->writable[offset / 4 + 1] = upper_32_bits(mask);
}

static void violation(struct fakebus *fake, const char *what, unsigned int offset, u32 value)
{
	fake->violations++;
	kunit_err(fake->test, "fakebus: %s (register %#x, value %#x)\n", what, offset, value);
}

static u32 ring_mask(struct fakebus *fake, unsigned int base)
{
	return (2U << FIELD_GET(RVIOMMU_QB_LOG2SZ_1, reg64(fake, base))) - 1;
}

static void *ring(struct fakebus *fake, unsigned int base)
{
	return phys_to_virt(FIELD_GET(RVIOMMU_QB_PPN, reg64(fake, base)) << 12);
}

/* Spec "Interrupt pending status register fields": conditions that persist. */
static void update_ipsr(struct fakebus *fake)
{
	u32 cq = *reg(fake, RVIOMMU_REG_CQCSR), fq = *reg(fake, RVIOMMU_REG_FQCSR);

	if (cq & RVIOMMU_QCSR_IE && cq & RW1C(RVIOMMU_REG_CQCSR))
		*reg(fake, RVIOMMU_REG_IPSR) |= RVIOMMU_IPSR_CIP;
	if (fq & RVIOMMU_QCSR_IE && fq & RW1C(RVIOMMU_REG_FQCSR))
		*reg(fake, RVIOMMU_REG_IPSR) |= RVIOMMU_IPSR_FIP;
}

/* Spec "Command-Queue (CQ)", field by field, not with the driver's macros. */
bool fakebus_legal(u64 caps, u64 dword0, u64 dword1)
{
	const unsigned int func3 = dword0 >> 7 & 7;
	const bool nl = caps >> 42 & 1, s = caps >> 43 & 1;

	switch (dword0 & 0x7f) {
	case 1: /* IOTINVAL */
		if (func3 > 1 || dword0 & 0xf0000ff800000800 || dword1 & 0xc0000000000001ff)
			return false;
		if ((!nl && dword0 >> 34 & 1) || (!s && dword1 >> 9 & 1))
			return false;
		/* PSCV with GVMA */
		return !(func3 == 1 && dword0 >> 32 & 1);
	case 2: /* IOFENCE; WSI is reserved, because the fake has fctl.WSI = 0 */
		return !func3 && !(dword0 & 0xffffc800) && !(dword1 & 0xc000000000000000);
	case 3: /* IODIR; PID only with INVAL_PDT, which needs DV */
		if (func3 > 1 || dword0 & 0x000000fd00000c00 || dword1)
			return false;
		return func3 ? dword0 >> 33 & 1 : !(dword0 & 0xfffff000);
	case 4: /* ATS */
		return func3 <= 1 && !(dword0 & 0x000000fc00000c00) && caps >> 25 & 1;
	default:
		return false;
	}
}

static bool sprung(struct fakebus *fake, enum fakebus_trap trap, u64 dword0)
{
	typeof(fake->trap[0]) *t = &fake->trap[trap];

	if (!t->times || (dword0 & t->mask) != t->value)
		return false;
	if (t->skip) {
		t->skip--;
		return false;
	}
	t->times--;
	return true;
}

static void write_fence(u64 pa, u32 data)
{
	/* Everything before it is in memory when the driver sees it. */
	smp_store_release((__le32 *)phys_to_virt(pa), cpu_to_le32(data));
}

static void do_fence(struct fakebus *fake, u64 dword0, u64 pa)
{
	u32 data = dword0 >> 32;

	if (!(dword0 >> 10 & 1) || sprung(fake, FAKEBUS_SWALLOW, dword0))
		return;
	if (sprung(fake, FAKEBUS_LIE, dword0))
		data = fake->lie;
	if (sprung(fake, FAKEBUS_LATE, dword0) && fake->nr_late < ARRAY_SIZE(fake->late)) {
		fake->late[fake->nr_late].pa = pa;
		fake->late[fake->nr_late++].data = data;
		return;
	}
	write_fence(pa, data);
}

static void do_ats_inval(struct fakebus *fake, u64 dword0)
{
	enum fakebus_ats outcome = FAKEBUS_ATS_ANSWER;

	if (sprung(fake, FAKEBUS_TIMEOUT, dword0))
		outcome = FAKEBUS_ATS_TIMEOUT;
	else if (fake->ats)
		outcome = fake->ats(fake, dword0, fake->ats_arg);
	fake->timed_out |= outcome == FAKEBUS_ATS_TIMEOUT;
	fake->hung |= outcome == FAKEBUS_ATS_HANG;
}

/* The error bit that the command raises; 0 when it was executed. */
static u32 execute(struct fakebus *fake, struct rviommu_command cmd)
{
	u64 dword0 = le64_to_cpu(cmd.dword[0]), dword1 = le64_to_cpu(cmd.dword[1]);

	if (sprung(fake, FAKEBUS_MEMFAULT, dword0))
		return RVIOMMU_QCSR_MF;
	if (sprung(fake, FAKEBUS_ILLEGAL, dword0) ||
	    !fakebus_legal(reg64(fake, RVIOMMU_REG_CAPABILITIES), dword0, dword1))
		return RVIOMMU_CQCSR_CMD_ILL;
	if ((dword0 & 0x3ff) == 4)
		do_ats_inval(fake, dword0);
	if ((dword0 & 0x7f) == 2 && fake->timed_out) {
		fake->timed_out = false;
		return RVIOMMU_CQCSR_CMD_TO;
	}

	if (fake->nr_log < FAKEBUS_LOG)
		fake->log[fake->nr_log] = cmd;
	fake->nr_log++;
	if ((dword0 & 0x7f) == 2)
		do_fence(fake, dword0, dword1 << 2);
	return 0;
}

static bool waits_for_ats(struct fakebus *fake, struct rviommu_command cmd)
{
	return fake->hung && (fake->ats_in_order || (le64_to_cpu(cmd.dword[0]) & 0x7f) == 2);
}

static unsigned int run(struct fakebus *fake, unsigned int max)
{
	u32 *csr = reg(fake, RVIOMMU_REG_CQCSR), *cqh = reg(fake, RVIOMMU_REG_CQH);
	const struct rviommu_command *cmds = NULL;
	unsigned int nr = 0;
	u32 error;

	while (nr < max && *csr & RVIOMMU_QCSR_ON && *csr & RVIOMMU_QCSR_EN &&
	       !(*csr & RVIOMMU_CQCSR_ERRORS) && *cqh != *reg(fake, RVIOMMU_REG_CQT)) {
		cmds = ring(fake, RVIOMMU_REG_CQB);
		if (memcmp(&cmds[*cqh], &fake->shadow[*cqh], sizeof(*cmds)))
			violation(fake, "command changed after doorbell", RVIOMMU_REG_CQH, *cqh);
		if (waits_for_ats(fake, cmds[*cqh]))
			break;
		error = execute(fake, cmds[*cqh]);
		if (error) {
			*csr |= error;
			break;
		}
		if (fake->hung && fake->ats_in_order)
			break;
		*cqh = (*cqh + 1) & ring_mask(fake, RVIOMMU_REG_CQB);
		nr++;
	}
	update_ipsr(fake);
	return nr;
}

static void doorbell(struct fakebus *fake, u32 tail)
{
	const struct rviommu_command *cmds = ring(fake, RVIOMMU_REG_CQB);
	const u32 mask = ring_mask(fake, RVIOMMU_REG_CQB), head = *reg(fake, RVIOMMU_REG_CQH);
	u32 *cqt = reg(fake, RVIOMMU_REG_CQT);

	fake->doorbells++;
	if (tail > mask)
		violation(fake, "tail outside the ring", RVIOMMU_REG_CQT, tail);
	if (!(*reg(fake, RVIOMMU_REG_CQCSR) & RVIOMMU_QCSR_ON)) {
		*cqt = tail & mask;
		return;
	}
	if (((tail - *cqt) & mask) > mask - ((*cqt - head) & mask))
		violation(fake, "tail runs over the head", RVIOMMU_REG_CQT, tail);
	for (; *cqt != (tail & mask); *cqt = (*cqt + 1) & mask)
		fake->shadow[*cqt] = cmds[*cqt];
}

/* A csr that was written has become what was asked for. */
static void settle(struct fakebus *fake, unsigned int queue)
{
	u32 *csr = reg(fake, queues[queue].csr);

	if (*csr & RVIOMMU_QCSR_EN) {
		if (!fake->never_on)
			*csr |= RVIOMMU_QCSR_ON;
	} else if (!fake->never_off) {
		*csr &= ~RVIOMMU_QCSR_ON;
	}
}

static void write_csr(struct fakebus *fake, unsigned int queue, u32 value)
{
	const unsigned int offset = queues[queue].csr;
	u32 *csr = reg(fake, offset);
	bool enable = value & RVIOMMU_QCSR_EN && !(*csr & RVIOMMU_QCSR_EN);

	if (fake->busy[queue] || fake->busy_forever)
		violation(fake, "csr written while busy", offset, value);
	*csr &= ~(value & RW1C(offset));
	if (enable) {
		if (!fake->keeps_errors)
			*csr &= ~RW1C(offset);
		*reg(fake, queues[queue].base + (queue ? 12 : 8)) = 0;
		if (offset == RVIOMMU_REG_CQCSR) {
			fake->timed_out = false;
			fake->hung = false;
		}
	}
	*csr &= ~(RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	*csr |= value & (RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE);
	fake->busy[queue] = fake->busy_reads;
	if (!fake->busy[queue])
		settle(fake, queue);
}

static void write_base(struct fakebus *fake, unsigned int queue, u32 value)
{
	const unsigned int base = queues[queue].base;
	u32 lg2 = FIELD_GET(RVIOMMU_QB_LOG2SZ_1, value) + 1;

	if (fake->busy[queue] || *reg(fake, queues[queue].csr) & RVIOMMU_QCSR_ON)
		violation(fake, "base written while on", base, value);
	*reg(fake, base) = (value & fake->writable[base / 4] & ~RVIOMMU_QB_LOG2SZ_1) |
			   (clamp_t(u32, lg2, fake->min_lg2[queue], fake->max_lg2[queue]) - 1);
	/* Valid but unspecified: never what the driver hopes for. */
	*reg(fake, base + (queue ? 8 : 12)) = 1;
}

static void write_ddtp(struct fakebus *fake, u32 value)
{
	u32 *ddtp = reg(fake, RVIOMMU_REG_DDTP);
	u32 mode = FIELD_GET(RVIOMMU_DDTP_MODE, value);

	if (fake->busy[DDTP])
		violation(fake, "ddtp written while busy", RVIOMMU_REG_DDTP, value);
	if (!(fake->ddtp_modes >> mode & 1))
		mode = FIELD_GET(RVIOMMU_DDTP_MODE, *ddtp);
	*ddtp = (value & fake->writable[RVIOMMU_REG_DDTP / 4]) |
		FIELD_PREP(RVIOMMU_DDTP_MODE, mode);
	fake->busy[DDTP] = fake->busy_reads;
}

static void fake_write32(struct rviommu_bus *bus, unsigned int offset, u32 value)
{
	struct fakebus *fake = to_fakebus(bus);
	unsigned long flags;
	u32 mask;
	int i;

	if (offset == RVIOMMU_REG_CQT && fake->doorbell_us)
		udelay(fake->doorbell_us);
	spin_lock_irqsave(&fake->lock, flags);
	if (fake->gone)
		goto out;
	for (i = 0; i < ARRAY_SIZE(queues); i++) {
		if (offset == queues[i].csr)
			write_csr(fake, i, value);
		if (offset == queues[i].base)
			write_base(fake, i, value);
	}
	switch (offset) {
	case RVIOMMU_REG_CQT:
		doorbell(fake, value);
		break;
	case RVIOMMU_REG_FQH:
	case RVIOMMU_REG_PQH:
		*reg(fake, offset) = value & ring_mask(fake, offset - 8);
		break;
	case RVIOMMU_REG_DDTP:
		write_ddtp(fake, value);
		break;
	case RVIOMMU_REG_IPSR:
		*reg(fake, offset) &= ~value;
		break;
	case RVIOMMU_REG_CQB:
	case RVIOMMU_REG_FQB:
	case RVIOMMU_REG_PQB:
	case RVIOMMU_REG_CQCSR:
	case RVIOMMU_REG_FQCSR:
	case RVIOMMU_REG_PQCSR:
		break;
	default:
		mask = fake->writable[offset / 4];
		*reg(fake, offset) = (*reg(fake, offset) & ~mask) | (value & mask);
	}
	run(fake, fake->rate);
out:
	spin_unlock_irqrestore(&fake->lock, flags);
}

static u32 read_busy(struct fakebus *fake, unsigned int what, u32 busy)
{
	if (fake->busy_forever)
		return busy;
	if (!what && fake->busy_off_reads && *reg(fake, RVIOMMU_REG_CQCSR) & RVIOMMU_QCSR_ON &&
	    !(*reg(fake, RVIOMMU_REG_CQCSR) & RVIOMMU_QCSR_EN)) {
		fake->busy_off_reads -= fake->busy_off_reads != UINT_MAX;
		return busy;
	}
	if (!fake->busy[what])
		return 0;
	if (!--fake->busy[what] && what != DDTP)
		settle(fake, what);
	return busy;
}

static u32 fake_read32(struct rviommu_bus *bus, unsigned int offset)
{
	struct fakebus *fake = to_fakebus(bus);
	unsigned long flags;
	u32 value, busy = 0;
	int i;

	if (fake->read_hook)
		fake->read_hook(fake, offset, fake->read_arg);

	spin_lock_irqsave(&fake->lock, flags);
	fake->reads[offset / 4]++;
	run(fake, fake->rate);
	value = *reg(fake, offset);
	for (i = 0; i < ARRAY_SIZE(queues); i++)
		if (offset == queues[i].csr)
			busy = read_busy(fake, i, RVIOMMU_QCSR_BUSY);
	if (offset == RVIOMMU_REG_DDTP)
		busy = read_busy(fake, DDTP, RVIOMMU_DDTP_BUSY);
	value |= busy;
	if (offset == RVIOMMU_REG_CQH && fake->lie_cqh)
		value = fake->lie_cqh;
	if (offset == RVIOMMU_REG_FQT && fake->lie_fqt)
		value = fake->lie_fqt;
	if (fake->gone)
		value = ~0U;
	spin_unlock_irqrestore(&fake->lock, flags);
	return value;
}

static const struct rviommu_bus_ops fakebus_ops = {
	.read32 = fake_read32,
	.write32 = fake_write32,
};

static void fakebus_end(void *data)
{
	struct fakebus *fake = data;

	KUNIT_EXPECT_EQ_MSG(fake->test, fake->violations, 0,
			    "the driver did what the specification leaves undefined");
}

static void fakebus_remove_fwnode(void *fwnode)
{
	fwnode_remove_software_node(fwnode);
}

static void fakebus_reset(struct fakebus *fake, u64 caps)
{
	int i;

	set_reg64(fake, RVIOMMU_REG_CAPABILITIES, caps);
	if (FIELD_GET(RVIOMMU_CAP_IGS, caps) == RVIOMMU_IGS_BOTH)
		set_writable(fake, RVIOMMU_REG_FCTL, RVIOMMU_FCTL_WSI);
	if (FIELD_GET(RVIOMMU_CAP_IGS, caps) == RVIOMMU_IGS_WSI)
		*reg(fake, RVIOMMU_REG_FCTL) = RVIOMMU_FCTL_WSI;
	set_writable(fake, RVIOMMU_REG_DDTP, RVIOMMU_DDTP_PPN);
	for (i = 0; i < ARRAY_SIZE(queues); i++) {
		set_writable(fake, queues[i].base, RVIOMMU_QB_PPN | RVIOMMU_QB_LOG2SZ_1);
		fake->min_lg2[i] = 1;
		fake->max_lg2[i] = SHADOW_LG2;
	}
	set_writable(fake, RVIOMMU_REG_ICVEC, 0x3333);
	for (i = 0; i < 4; i++) {
		set_writable(fake, RVIOMMU_REG_MSI_ADDR(i), RVIOMMU_MSI_ADDR);
		set_writable(fake, RVIOMMU_REG_MSI_DATA(i), U32_MAX);
		set_writable(fake, RVIOMMU_REG_MSI_VEC_CTL(i), RVIOMMU_MSI_VEC_CTL_M);
	}
	fake->ddtp_modes = GENMASK(RVIOMMU_DDTP_MODE_3LVL, RVIOMMU_DDTP_MODE_OFF);
	fake->busy_reads = 2;
	fake->rate = UINT_MAX;
}

struct rviommu_bus *fakebus_create(struct kunit *test, u64 caps)
{
	static atomic_t instances;
	struct fwnode_handle *fwnode;
	struct fakebus *fake;
	struct device *dev;
	char *name;

	fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);
	name = kunit_kzalloc(test, 24, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, fake);
	KUNIT_ASSERT_NOT_NULL(test, name);
	fake->shadow = kunit_kcalloc(test, 1U << SHADOW_LG2, sizeof(*fake->shadow), GFP_KERNEL);
	fake->log = kunit_kcalloc(test, FAKEBUS_LOG, sizeof(*fake->log), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, fake->shadow);
	KUNIT_ASSERT_NOT_NULL(test, fake->log);

	snprintf(name, 24, "fakebus%d", atomic_inc_return(&instances));
	dev = kunit_device_register(test, name);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	fwnode = fwnode_create_software_node(NULL, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, fwnode);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, fakebus_remove_fwnode, fwnode));

	spin_lock_init(&fake->lock);
	fake->test = test;
	fake->bus.ops = &fakebus_ops;
	fake->bus.dev = dev;
	fake->bus.fwnode = fwnode;
	fake->bus.name = name;
	fake->bus.nr_irqs = 1;
	fakebus_reset(fake, caps);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, fakebus_end, fake));
	return &fake->bus;
}

const struct rviommu_command *fakebus_commands(struct rviommu_bus *bus, unsigned int *nr)
{
	struct fakebus *fake = to_fakebus(bus);

	*nr = min(fake->nr_log, FAKEBUS_LOG);
	return fake->log;
}

u64 fakebus_command(struct rviommu_bus *bus, unsigned int i, unsigned int n)
{
	struct fakebus *fake = to_fakebus(bus);

	return i < min(fake->nr_log, FAKEBUS_LOG) ? le64_to_cpu(fake->log[i].dword[n]) : 0;
}

void fakebus_clear(struct rviommu_bus *bus)
{
	struct fakebus *fake = to_fakebus(bus);
	unsigned long flags;

	spin_lock_irqsave(&fake->lock, flags);
	fake->nr_log = 0;
	fake->doorbells = 0;
	memset(fake->reads, 0, sizeof(fake->reads));
	spin_unlock_irqrestore(&fake->lock, flags);
}

unsigned int fakebus_step(struct rviommu_bus *bus, unsigned int nr)
{
	struct fakebus *fake = to_fakebus(bus);
	unsigned long flags;

	spin_lock_irqsave(&fake->lock, flags);
	nr = run(fake, nr);
	spin_unlock_irqrestore(&fake->lock, flags);
	return nr;
}

void fakebus_trap(struct rviommu_bus *bus, enum fakebus_trap trap, u64 mask, u64 value,
		  unsigned int skip, unsigned int times)
{
	struct fakebus *fake = to_fakebus(bus);
	unsigned long flags;

	spin_lock_irqsave(&fake->lock, flags);
	fake->trap[trap].mask = mask;
	fake->trap[trap].value = value;
	fake->trap[trap].skip = skip;
	fake->trap[trap].times = times;
	spin_unlock_irqrestore(&fake->lock, flags);
}

void fakebus_late_writes(struct rviommu_bus *bus)
{
	struct fakebus *fake = to_fakebus(bus);
	unsigned long flags;
	unsigned int i;

	spin_lock_irqsave(&fake->lock, flags);
	for (i = 0; i < fake->nr_late; i++)
		write_fence(fake->late[i].pa, fake->late[i].data);
	fake->nr_late = 0;
	spin_unlock_irqrestore(&fake->lock, flags);
}

bool fakebus_fault(struct rviommu_bus *bus, const struct rviommu_fault_record *rec)
{
	struct fakebus *fake = to_fakebus(bus);
	u32 *csr = reg(fake, RVIOMMU_REG_FQCSR), *fqt = reg(fake, RVIOMMU_REG_FQT), next;
	struct rviommu_fault_record *records;
	unsigned long flags;
	bool stored = false;

	spin_lock_irqsave(&fake->lock, flags);
	if (!(*csr & RVIOMMU_QCSR_ON) || *csr & RW1C(RVIOMMU_REG_FQCSR))
		goto out;
	next = (*fqt + 1) & ring_mask(fake, RVIOMMU_REG_FQB);
	records = ring(fake, RVIOMMU_REG_FQB);
	if (fake->fq_memfaults) {
		fake->fq_memfaults--;
		*csr |= RVIOMMU_QCSR_MF;
	} else if (next == *reg(fake, RVIOMMU_REG_FQH)) {
		*csr |= RVIOMMU_QCSR_OF;
	} else {
		records[*fqt] = *rec;
		*fqt = next;
		stored = true;
		if (*csr & RVIOMMU_QCSR_IE)
			*reg(fake, RVIOMMU_REG_IPSR) |= RVIOMMU_IPSR_FIP;
	}
	update_ipsr(fake);
out:
	spin_unlock_irqrestore(&fake->lock, flags);
	return stored;
}

/* With the lock: other threads, of the driver among them, write registers. */
u32 fakebus_peek(struct rviommu_bus *bus, unsigned int offset)
{
	struct fakebus *fake = to_fakebus(bus);

	guard(spinlock_irqsave)(&fake->lock);
	return *reg(fake, offset);
}
