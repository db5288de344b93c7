// SPDX-License-Identifier: GPL-2.0-only
/*
 * In-memory queues: memory, sizing by WARL, switching on and off.
 *
 * Every wait here counts microseconds that this CPU spent polling and not time
 * on a clock: it must end with interrupts off, and while timekeeping is
 * suspended. A CPU that was taken away from us in between (a virtual machine)
 * does not shorten the wait.
 */
#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/io.h>

#include <rviommu/regs.h>

#include "mem.h"
#include "queue.h"

/* Everything that is RW1C in one of the three: errors and fence_w_ip. */
#define QCSR_RW1C	(RVIOMMU_CQCSR_ERRORS | RVIOMMU_QCSR_OF | RVIOMMU_CQCSR_FENCE_W_IP)

/**
 * rviommu_queue_timeout_us() - bound of a wait for a register
 *
 * A function so that a test need not spend a second on each wait that is
 * meant to fail.
 *
 * Return: microseconds.
 */
unsigned int rviommu_queue_timeout_us(void)
{
	KUNIT_STATIC_STUB_REDIRECT(rviommu_queue_timeout_us);
	return RVIOMMU_BUSY_TIMEOUT_US;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_queue_timeout_us);

static u32 queue_read_csr(struct rviommu_queue *q)
{
	return q->bus->ops->read32(q->bus, q->reg_csr);
}

static int queue_gone(struct rviommu_queue *q)
{
	dev_err(q->bus->dev, "%s: registers read all ones, the device is gone\n", q->name);
	return -ENODEV;
}

/* Poll the csr until (csr & mask) == want. The one message is @what. */
static int queue_poll(struct rviommu_queue *q, u32 mask, u32 want, const char *what, u32 *csr)
{
	unsigned int left = rviommu_queue_timeout_us();
	u32 value;

	for (;;) {
		value = queue_read_csr(q);
		if (rviommu_queue_gone(value))
			return queue_gone(q);
		if ((value & mask) == want)
			break;
		if (!left--) {
			dev_err(q->bus->dev, "%s: %s (csr %#x)\n", q->name, what, value);
			return -ETIMEDOUT;
		}
		udelay(1);
	}
	if (csr)
		*csr = value;
	return 0;
}

/**
 * rviommu_queue_wait_idle() - wait until the csr may be written
 * @q: the queue
 * @csr: set to the csr as read when busy was 0; may be NULL
 *
 * Spec cqcsr.busy: a write while it is 1 is UNSPECIFIED.
 *
 * Context: any; polls up to %RVIOMMU_BUSY_TIMEOUT_US.
 * Return: 0, -ETIMEDOUT, or -ENODEV when the registers are not there any more;
 * both with a message.
 */
int rviommu_queue_wait_idle(struct rviommu_queue *q, u32 *csr)
{
	return queue_poll(q, RVIOMMU_QCSR_BUSY, 0, "stays busy", csr);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_queue_wait_idle);

/**
 * rviommu_queue_write_csr() - write the csr once it is not busy
 * @q: the queue
 * @value: the whole value. Error bits are RW1C: a 1 here clears one, so a value
 *         that was read must not be written back; enable bits that are to stay
 *         have to be in it.
 *
 * Context: any; see rviommu_queue_wait_idle().
 * Return: 0, or an error of rviommu_queue_wait_idle() with nothing written.
 */
int rviommu_queue_write_csr(struct rviommu_queue *q, u32 value)
{
	int ret = rviommu_queue_wait_idle(q, NULL);

	if (!ret)
		q->bus->ops->write32(q->bus, q->reg_csr, value);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_queue_write_csr);

/**
 * rviommu_queue_disable_step() - one look at a queue that is being switched off
 * @q: the queue
 *
 * For whoever must not wait here. After 0 the IOMMU makes no access to the queue's memory (spec
 * cqcsr.cqen, fqcsr.fqen). Error bits stay as they are.
 *
 * Context: any.
 * Return: 0 when it is off; -EAGAIN when it is not yet: look again later; -ENODEV with a message
 * when the registers are not there any more.
 */
int rviommu_queue_disable_step(struct rviommu_queue *q)
{
	u32 csr = queue_read_csr(q);
	int ret = -EAGAIN;

	if (rviommu_queue_gone(csr)) {
		ret = queue_gone(q);
	} else if (!(csr & RVIOMMU_QCSR_BUSY) &&
		   csr & (RVIOMMU_QCSR_EN | RVIOMMU_QCSR_IE | RVIOMMU_QCSR_ON)) {
		q->bus->ops->write32(q->bus, q->reg_csr, 0);
		csr = queue_read_csr(q);
	}
	if (ret == -EAGAIN && !(csr & (RVIOMMU_QCSR_BUSY | RVIOMMU_QCSR_ON)))
		ret = 0;
	/* A device that is gone writes nowhere. */
	if (ret != -EAGAIN)
		WRITE_ONCE(q->on, false);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_queue_disable_step);

/**
 * rviommu_queue_disable() - switch a queue off, whoever switched it on
 * @q: the queue
 *
 * Context: any; polls up to %RVIOMMU_BUSY_TIMEOUT_US.
 * Return: 0 (also when it was off), -ETIMEDOUT, -ENODEV; with a message.
 */
int rviommu_queue_disable(struct rviommu_queue *q)
{
	unsigned int left = rviommu_queue_timeout_us();
	int ret;

	while ((ret = rviommu_queue_disable_step(q)) == -EAGAIN && left--)
		udelay(1);
	if (ret != -EAGAIN)
		return ret;
	dev_err(q->bus->dev, "%s: does not switch off (csr %#x)\n", q->name, queue_read_csr(q));
	return -ETIMEDOUT;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_queue_disable);

static u64 queue_base_value(const struct rviommu_queue *q)
{
	return FIELD_PREP(RVIOMMU_QB_PPN, virt_to_phys(q->base) >> 12) |
	       FIELD_PREP(RVIOMMU_QB_LOG2SZ_1, q->entries_lg2 - 1);
}

/*
 * Write the base register and see what became of it. Only while the queue is
 * off (spec cqb: otherwise UNSPECIFIED). A smaller size is fine with @resize; any
 * other difference means that the IOMMU would use memory that is not ours.
 */
static int queue_program_base(struct rviommu_queue *q, bool resize)
{
	const u64 want = queue_base_value(q);
	unsigned int lg2;
	u64 got;

	rviommu_bus_write64(q->bus, q->reg_base, want);
	got = rviommu_bus_read64(q->bus, q->reg_base);
	if (got == ~0ULL)
		return queue_gone(q);

	lg2 = FIELD_GET(RVIOMMU_QB_LOG2SZ_1, got) + 1;
	if ((got & ~RVIOMMU_QB_LOG2SZ_1) == (want & ~RVIOMMU_QB_LOG2SZ_1) &&
	    (lg2 == q->entries_lg2 || (resize && lg2 < q->entries_lg2))) {
		q->entries_lg2 = lg2;
		return 0;
	}
	dev_err(q->bus->dev, "%s: base register takes %#llx as %#llx, the queue cannot be used\n",
		q->name, want, got);
	return -EIO;
}

/**
 * rviommu_queue_init() - allocate and size a queue
 * @q: zeroed by the caller or not; filled in here
 * @bus: register access
 * @name: "cq", "fq" or "pq"; constant
 * @reg_base: %RVIOMMU_REG_CQB ...
 * @reg_csr: %RVIOMMU_REG_CQCSR ...
 * @entry_lg2: lg2 of an entry in bytes
 * @entries_lg2: lg2 of the wanted number of entries, 1 to 32; the IOMMU may
 *               make it smaller (spec LOG2SZ-1: WARL), see @q->entries_lg2
 * @pas_lg2: the memory must lie below this physical address
 * @nid: NUMA node
 *
 * A queue that firmware or a crashed kernel left on is switched off first,
 * because its base must not change while it runs. The queue is off on return.
 *
 * Context: may sleep.
 * Return: 0, -ENOMEM, -EIO when the base register does not take the address,
 * or an error of rviommu_queue_disable(). Nothing is left behind on error.
 */
int rviommu_queue_init(struct rviommu_queue *q, struct rviommu_bus *bus, const char *name,
		       unsigned int reg_base, unsigned int reg_csr, u8 entry_lg2,
		       u8 entries_lg2, u8 pas_lg2, int nid)
{
	const unsigned int size_lg2 = entry_lg2 + entries_lg2;
	int ret;

	*q = (struct rviommu_queue) {
		.bus = bus,
		.name = name,
		.entry_lg2 = entry_lg2,
		.entries_lg2 = entries_lg2,
		.reg_base = reg_base,
		.reg_csr = reg_csr,
		.reg_index = reg_base + (reg_base == RVIOMMU_REG_CQB ? RVIOMMU_QUEUE_TAIL :
								       RVIOMMU_QUEUE_HEAD),
	};

	ret = rviommu_queue_disable(q);
	if (ret)
		return ret;

	/* A run of 2^n pages is aligned to its size, as the queue has to be. */
	q->base = rviommu_page_alloc(nid, GFP_KERNEL,
				     size_lg2 > PAGE_SHIFT ? size_lg2 - PAGE_SHIFT : 0, pas_lg2);
	if (!q->base)
		return -ENOMEM;

	ret = queue_program_base(q, true);
	if (ret) {
		rviommu_page_free(q->base);
		q->base = NULL;
	}
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_queue_init);

/**
 * rviommu_queue_destroy() - give the memory of a queue back
 * @q: initialised, or zeroed; nobody uses it any more
 *
 * A queue that is still on is switched off. Memory of a queue that cannot be
 * switched off is never given back: the IOMMU may still write there.
 *
 * Context: may sleep.
 * Return: true; false when the queue could not be switched off, so that other
 * memory it may write to is to be left alone, too.
 */
bool rviommu_queue_destroy(struct rviommu_queue *q)
{
	if (!q->base)
		return true;

	if (q->on)
		rviommu_queue_disable(q);
	if (q->on) {
		dev_err(q->bus->dev, "%s: still on, its memory is abandoned\n", q->name);
		q->base = NULL;
		return false;
	}
	rviommu_page_free(q->base);
	q->base = NULL;
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_queue_destroy);

/**
 * rviommu_queue_enable_begin() - a queue that is off is about to be switched on, empty
 * @q: initialised, and off
 *
 * Programs the base register again, so that it also serves after a reset of
 * the IOMMU. Follows spec "Guidelines for initialization", with
 * rviommu_queue_enable_step().
 *
 * Context: any.
 * Return: 0, -ENODEV, or -EIO when the base register does not take what it took before.
 */
int rviommu_queue_enable_begin(struct rviommu_queue *q)
{
	int ret = queue_program_base(q, false);

	/* Writing the base leaves this index valid but unspecified. */
	if (!ret)
		q->bus->ops->write32(q->bus, q->reg_index, 0);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_queue_enable_begin);

/**
 * rviommu_queue_enable_step() - one look at a queue that is being switched on
 * @q: after rviommu_queue_enable_begin()
 * @csr_extra: bits of the csr to set along with the enable bit
 *             (%RVIOMMU_QCSR_IE)
 *
 * Setting the enable bit clears the error bits; but that is what would go wrong first in
 * an implementation, and costs one write here.
 *
 * Context: any.
 * Return: 0 when it is on; -EAGAIN when it is not yet; -ENODEV with a message.
 */
int rviommu_queue_enable_step(struct rviommu_queue *q, u32 csr_extra)
{
	u32 csr = queue_read_csr(q);

	if (!rviommu_queue_gone(csr) && !(csr & (RVIOMMU_QCSR_BUSY | RVIOMMU_QCSR_EN)) &&
	    csr & QCSR_RW1C) {
		q->bus->ops->write32(q->bus, q->reg_csr, csr & QCSR_RW1C);
		csr = queue_read_csr(q);
	}
	if (!rviommu_queue_gone(csr) && !(csr & (RVIOMMU_QCSR_BUSY | RVIOMMU_QCSR_EN))) {
		q->bus->ops->write32(q->bus, q->reg_csr, RVIOMMU_QCSR_EN | csr_extra);
		WRITE_ONCE(q->on, true);
		csr = queue_read_csr(q);
	}
	if (rviommu_queue_gone(csr)) {
		WRITE_ONCE(q->on, false);
		return queue_gone(q);
	}
	return (csr & (RVIOMMU_QCSR_BUSY | RVIOMMU_QCSR_ON)) == RVIOMMU_QCSR_ON ? 0 : -EAGAIN;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_queue_enable_step);

/**
 * rviommu_queue_enable() - switch a queue on, empty
 * @q: initialised
 * @csr_extra: as of rviommu_queue_enable_step()
 *
 * Context: any; polls up to three times %RVIOMMU_BUSY_TIMEOUT_US at worst.
 * Return: 0, -ETIMEDOUT, -ENODEV, or an error of rviommu_queue_enable_begin(). On error the queue
 * is off, unless even that failed.
 */
int rviommu_queue_enable(struct rviommu_queue *q, u32 csr_extra)
{
	unsigned int left = rviommu_queue_timeout_us();
	int ret;

	ret = rviommu_queue_disable(q);
	if (!ret)
		ret = rviommu_queue_enable_begin(q);
	if (ret)
		return ret;
	while ((ret = rviommu_queue_enable_step(q, csr_extra)) == -EAGAIN && left--)
		udelay(1);
	if (ret != -EAGAIN)
		return ret;
	dev_err(q->bus->dev, "%s: does not switch on (csr %#x)\n", q->name, queue_read_csr(q));
	rviommu_queue_disable(q);
	return -ETIMEDOUT;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_queue_enable);
