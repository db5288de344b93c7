// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest of a guest: what runs, without any kernel, in a virtual machine that owns a simulated
 * PCI function. It finds the function, and has it move bytes of the virtual machine's memory,
 * whose addresses are the IOVAs of the function there. Prints each step to the serial port; the
 * exit status of QEMU is 1 if all was as it should be, and 3 otherwise.
 *
 * Loaded by the Multiboot protocol: 32 bits, no paging, all of memory at its own address. Made
 * by scripts/inner.
 */
#include "../../include/uapi/linux/rviommu_sim.h"

#define MULTIBOOT_MAGIC	0x1badb002
#define PAGE		4096
#define SERIAL		0x3f8
#define SERIAL_STATUS	(SERIAL + 5)
#define SERIAL_EMPTY	0x20
#define DEBUG_EXIT	0xf4

/* Where firmware puts configuration space on this machine (q35) */
#define ECAM		0xb0000000UL
#define PCI_COMMAND	0x04
#define PCI_MASTER	0x0004
#define PCI_EXT		0x100
#define PCI_VENDOR_CAP	0x0b

/* No more than what it takes to get one byte right, on a machine that is emulated twice */
#define PATIENCE	100000000UL

struct multiboot {
	__u32 magic;
	__u32 flags;
	__u32 checksum;
};

static const struct multiboot header __attribute__((used, section(".multiboot"))) = {
	.magic = MULTIBOOT_MAGIC,
	.checksum = -MULTIBOOT_MAGIC,
};

__attribute__((used)) static __u8 stack[4 * PAGE];
static __u8 page[2 * PAGE] __attribute__((aligned(PAGE)));
static unsigned long function, registers;

static inline void out8(__u16 port, __u8 value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline __u8 in8(__u16 port)
{
	__u8 value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void print(const char *text)
{
	for (; *text; text++) {
		while (!(in8(SERIAL_STATUS) & SERIAL_EMPTY))
			;
		out8(SERIAL, *text);
	}
}

static void finish(__u8 code)
{
	out8(DEBUG_EXIT, code);
	for (;;)
		asm volatile("hlt");
}

static void expect(int good, const char *what)
{
	print(good ? "ok: " : "not ok: ");
	print(what);
	print("\n");
	if (!good)
		finish(1);
}

static __u32 get(unsigned long where)
{
	return *(volatile __u32 *)where;
}

static void put(unsigned long where, __u32 value)
{
	*(volatile __u32 *)where = value;
}

static int find_function(void)
{
	unsigned int slot;

	for (slot = 0; slot < 32; slot++) {
		function = ECAM + (slot << 15);
		if (get(function) == (RVIOMMU_SIM_PCI_VENDOR | RVIOMMU_SIM_PCI_DEVICE << 16))
			return 1;
	}
	return 0;
}

static int find_registers(void)
{
	unsigned int at, left = 64;

	for (at = PCI_EXT; at && left; at = get(function + at) >> 20, left--) {
		registers = function + at;
		if ((get(registers) & 0xffff) == PCI_VENDOR_CAP &&
		    (get(registers + 4) & 0xffff) == RVIOMMU_SIM_VSEC_ID)
			return 1;
	}
	return 0;
}

/* Documentation/endpoint.rst, "A descriptor" */
static __u8 pattern(__u64 seed, __u32 offset)
{
	__u64 x = (seed ^ (offset >> 3)) * 0x9e3779b97f4a7c15ULL;

	x ^= x >> 29;
	return x >> (8 * (offset & 7));
}

static int holds(const volatile __u8 *p, __u32 length, __u64 seed)
{
	__u32 i;

	for (i = 0; i < length; i++)
		if (p[i] != pattern(seed, i))
			return 0;
	return 1;
}

/* Have it do a command; its status. */
static __u32 run(__u32 code, unsigned long iova, unsigned long source, __u32 length, __u32 operand)
{
	const unsigned long command = registers + RVIOMMU_SIM_REG_COMMAND;
	unsigned long left = PATIENCE;

	put(command + 0x00, code);
	put(command + 0x04, 0);
	put(command + 0x08, iova);
	put(command + 0x0c, 0);
	put(command + 0x10, source);
	put(command + 0x14, 0);
	put(command + 0x18, length);
	put(command + 0x1c, 0);
	put(command + 0x20, operand);
	put(command + 0x24, 0);
	put(registers + RVIOMMU_SIM_REG_DOORBELL, RVIOMMU_SIM_DOORBELL_GO);
	while (left-- && get(registers + RVIOMMU_SIM_REG_DOORBELL) & RVIOMMU_SIM_DOORBELL_BUSY)
		;
	return get(command + 0x28);
}

__attribute__((used)) static void inner(void)
{
	const unsigned long here = (unsigned long)page;

	expect(find_function(), "the guest finds the function");
	expect(find_registers(), "and its registers");
	put(function + PCI_COMMAND, get(function + PCI_COMMAND) | PCI_MASTER);
	expect(run(RVIOMMU_SIM_CMD_FILL, here, 0, PAGE, 1) == RVIOMMU_SIM_STATUS_OK &&
	       holds(page, PAGE, 1), "its DMA lands in the guest's memory");
	expect(run(RVIOMMU_SIM_CMD_COPY, here + PAGE, here, PAGE, 0) == RVIOMMU_SIM_STATUS_OK &&
	       holds(page + PAGE, PAGE, 1), "it copies there");
	expect(run(RVIOMMU_SIM_CMD_VERIFY, here + PAGE, 0, PAGE, 1) == RVIOMMU_SIM_STATUS_OK,
	       "it reads what the guest has");
	page[PAGE + 5] ^= 1;
	expect(run(RVIOMMU_SIM_CMD_VERIFY, here + PAGE, 0, PAGE, 1) ==
	       RVIOMMU_SIM_STATUS_MISMATCH, "and sees what the guest changes");
	expect(run(RVIOMMU_SIM_CMD_FILL, 0x70000000UL, 0, PAGE, 1) == RVIOMMU_SIM_STATUS_FAULT,
	       "memory that the guest does not have it does not reach");
	finish(0);
}

/* The stack, and away from assembly */
asm(".globl _start\n_start:\n\tmovl $stack + 4 * 4096, %esp\n\tcall inner\n");
