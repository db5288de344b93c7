// SPDX-License-Identifier: GPL-2.0-only
/*
 * Encoding of commands (spec "Command-Queue (CQ)"), and what can be told from one that was
 * encoded.
 */
#include <kunit/visibility.h>
#include <linux/bitfield.h>
#include <linux/export.h>

#include "command.h"

static struct rviommu_command cmd_make(u64 opcode, u64 func3, u64 dword0, u64 dword1)
{
	return (struct rviommu_command) {
		.dword = {
			cpu_to_le64(FIELD_PREP(RVIOMMU_CMD_OPCODE, opcode) |
				    FIELD_PREP(RVIOMMU_CMD_FUNC3, func3) | dword0),
			cpu_to_le64(dword1),
		},
	};
}

static struct rviommu_command cmd_iotinval(u64 func3, u64 dword0)
{
	return cmd_make(RVIOMMU_CMD_OPCODE_IOTINVAL, func3, dword0, 0);
}

/**
 * rviommu_cmd_iotinval_vma() - forget first-stage translations of an address space
 * @pscid: its soft-context ID, in the host
 *
 * Of every address, but not global mappings.
 *
 * Return: the command.
 */
struct rviommu_command rviommu_cmd_iotinval_vma(u32 pscid)
{
	return cmd_iotinval(RVIOMMU_CMD_IOTINVAL_VMA,
			    RVIOMMU_CMD_IOTINVAL_PSCV |
			    FIELD_PREP(RVIOMMU_CMD_IOTINVAL_PSCID, pscid));
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmd_iotinval_vma);

/**
 * rviommu_cmd_iotinval_vma_all() - forget all translations of the host
 *
 * Of all address spaces with a Bare second stage, global mappings included.
 *
 * Return: the command.
 */
struct rviommu_command rviommu_cmd_iotinval_vma_all(void)
{
	return cmd_iotinval(RVIOMMU_CMD_IOTINVAL_VMA, 0);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmd_iotinval_vma_all);

/**
 * rviommu_cmd_iotinval_gvma() - forget second-stage translations of a guest
 * @gscid: its soft-context ID
 *
 * Of every address and every level.
 *
 * Return: the command.
 */
struct rviommu_command rviommu_cmd_iotinval_gvma(u16 gscid)
{
	return cmd_iotinval(RVIOMMU_CMD_IOTINVAL_GVMA,
			    RVIOMMU_CMD_IOTINVAL_GV |
			    FIELD_PREP(RVIOMMU_CMD_IOTINVAL_GSCID, gscid));
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmd_iotinval_gvma);

/**
 * rviommu_cmd_iotinval_vma_gscid() - forget first-stage translations of a guest
 * @gscid: its soft-context ID
 *
 * Of all its address spaces.
 *
 * Return: the command.
 */
struct rviommu_command rviommu_cmd_iotinval_vma_gscid(u16 gscid)
{
	return cmd_iotinval(RVIOMMU_CMD_IOTINVAL_VMA,
			    RVIOMMU_CMD_IOTINVAL_GV |
			    FIELD_PREP(RVIOMMU_CMD_IOTINVAL_GSCID, gscid));
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmd_iotinval_vma_gscid);

/**
 * rviommu_cmd_iotinval_gvma_all() - forget second-stage translations of all guests
 *
 * Return: the command.
 */
struct rviommu_command rviommu_cmd_iotinval_gvma_all(void)
{
	return cmd_iotinval(RVIOMMU_CMD_IOTINVAL_GVMA, 0);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmd_iotinval_gvma_all);

static struct rviommu_command cmd_set(struct rviommu_command cmd, u64 dword0, u64 dword1)
{
	cmd.dword[0] |= cpu_to_le64(dword0);
	cmd.dword[1] |= cpu_to_le64(dword1);
	return cmd;
}

/**
 * rviommu_cmd_with_addr() - limit an IOTINVAL to the leaf at one address
 * @cmd: an IOTINVAL without address
 * @iova: any address in the leaf
 *
 * Return: the command.
 */
struct rviommu_command rviommu_cmd_with_addr(struct rviommu_command cmd, u64 iova)
{
	return cmd_set(cmd, RVIOMMU_CMD_IOTINVAL_AV,
		       FIELD_PREP(RVIOMMU_CMD_IOTINVAL_ADDR, iova >> RVIOMMU_PAGE_LG2));
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmd_with_addr);

/**
 * rviommu_cmd_with_range() - limit an IOTINVAL to a naturally aligned range
 * @cmd: an IOTINVAL without address
 * @iova: any address in the range
 * @size_lg2: lg2 of the range in bytes, 12 to 64
 *
 * Only with capabilities.S = 1 unless @size_lg2 is 12. Spec "Address Range
 * Invalidation Extension": the lowest 0 of ADDR, at position X, says 2^(X+1)
 * pages, so below it are X ones.
 *
 * Return: the command.
 */
struct rviommu_command rviommu_cmd_with_range(struct rviommu_command cmd, u64 iova,
					      unsigned int size_lg2)
{
	unsigned int pages_lg2 = size_lg2 - RVIOMMU_PAGE_LG2;
	u64 addr = iova >> RVIOMMU_PAGE_LG2;

	if (size_lg2 <= RVIOMMU_PAGE_LG2)
		return rviommu_cmd_with_addr(cmd, iova);

	addr &= ~(BIT_ULL(pages_lg2) - 1);
	addr |= BIT_ULL(pages_lg2 - 1) - 1;
	return cmd_set(cmd, RVIOMMU_CMD_IOTINVAL_AV,
		       RVIOMMU_CMD_IOTINVAL_S | FIELD_PREP(RVIOMMU_CMD_IOTINVAL_ADDR, addr));
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmd_with_range);

/**
 * rviommu_cmd_with_nonleaf() - extend an IOTINVAL with an address to all levels
 * @cmd: an IOTINVAL with address or range
 *
 * Only with capabilities.NL = 1 (spec "Non-leaf PTE Invalidation Extension").
 *
 * Return: the command.
 */
struct rviommu_command rviommu_cmd_with_nonleaf(struct rviommu_command cmd)
{
	return cmd_set(cmd, RVIOMMU_CMD_IOTINVAL_NL, 0);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmd_with_nonleaf);

/**
 * rviommu_cmd_inval_ddt() - forget the device context of one device
 * @did: device_id, no wider than the directory
 *
 * The leaf entry, and all its process contexts.
 *
 * Return: the command.
 */
struct rviommu_command rviommu_cmd_inval_ddt(u32 did)
{
	return cmd_make(RVIOMMU_CMD_OPCODE_IODIR, RVIOMMU_CMD_IODIR_INVAL_DDT,
			RVIOMMU_CMD_IODIR_DV | FIELD_PREP(RVIOMMU_CMD_IODIR_DID, did), 0);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmd_inval_ddt);

/**
 * rviommu_cmd_inval_ddt_all() - forget everything of the directories
 *
 * Return: the command.
 */
struct rviommu_command rviommu_cmd_inval_ddt_all(void)
{
	return cmd_make(RVIOMMU_CMD_OPCODE_IODIR, RVIOMMU_CMD_IODIR_INVAL_DDT, 0, 0);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmd_inval_ddt_all);

/**
 * rviommu_cmd_inval_pdt() - forget one process context of one device
 * @did: device_id
 * @pid: process_id, no wider than capabilities say
 *
 * The leaf entry only.
 *
 * Return: the command.
 */
struct rviommu_command rviommu_cmd_inval_pdt(u32 did, u32 pid)
{
	return cmd_make(RVIOMMU_CMD_OPCODE_IODIR, RVIOMMU_CMD_IODIR_INVAL_PDT,
			RVIOMMU_CMD_IODIR_DV | FIELD_PREP(RVIOMMU_CMD_IODIR_DID, did) |
			FIELD_PREP(RVIOMMU_CMD_IODIR_PID, pid), 0);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmd_inval_pdt);

/**
 * rviommu_cmd_iofence() - complete all earlier commands, then write to memory
 * @pa: physical address to write to, a multiple of 4 bytes
 * @data: what to write, little-endian
 *
 * Also orders the reads and writes of devices that the IOMMU has processed
 * (PR = PW = 1), so that memory can be reused after it.
 *
 * Return: the command.
 */
struct rviommu_command rviommu_cmd_iofence(u64 pa, u32 data)
{
	return cmd_make(RVIOMMU_CMD_OPCODE_IOFENCE, RVIOMMU_CMD_IOFENCE_C,
			RVIOMMU_CMD_IOFENCE_AV | RVIOMMU_CMD_IOFENCE_PR |
			RVIOMMU_CMD_IOFENCE_PW |
			FIELD_PREP(RVIOMMU_CMD_IOFENCE_DATA, data),
			FIELD_PREP(RVIOMMU_CMD_IOFENCE_ADDR, pa >> 2));
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmd_iofence);

/**
 * rviommu_cmd_barrier() - later commands begin when all earlier ones are complete
 *
 * Spec "cqh" and "IOFENCE.C": cqh is the index of the command that is processed
 * next, and it advances past a fence when all commands before it are complete.
 *
 * Return: the command, a fence that tells nobody.
 */
struct rviommu_command rviommu_cmd_barrier(void)
{
	return cmd_make(RVIOMMU_CMD_OPCODE_IOFENCE, RVIOMMU_CMD_IOFENCE_C, 0, 0);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmd_barrier);

/**
 * rviommu_cmd_ats_inval() - a device forgets translations of requests without PASID
 * @rid: Routing ID of the device
 * @seg: its segment
 *
 * Of every address. DSV = 1 always, for segment 0, too: an IOMMU that serves several wants
 * the Routing ID qualified (spec "Guidelines", ATS invalidations), nothing tells whether it
 * does, and nothing forbids it where there is only one.
 *
 * Return: the command.
 */
struct rviommu_command rviommu_cmd_ats_inval(u16 rid, u8 seg)
{
	u64 dword0 = FIELD_PREP(RVIOMMU_CMD_ATS_RID, rid) | RVIOMMU_CMD_ATS_DSV |
		     FIELD_PREP(RVIOMMU_CMD_ATS_DSEG, seg);

	return rviommu_cmd_with_atc_range(cmd_make(RVIOMMU_CMD_OPCODE_ATS,
						   RVIOMMU_CMD_ATS_INVAL, dword0, 0), 0, 64);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmd_ats_inval);

/**
 * rviommu_cmd_ats_prgr() - a response to a group of page requests, without PASID
 * @rid: Routing ID of the device
 * @seg: its segment; see rviommu_cmd_ats_inval()
 * @index: Page Request Group Index
 * @code: Response Code
 *
 * Return: the command.
 */
struct rviommu_command rviommu_cmd_ats_prgr(u16 rid, u8 seg, u16 index, u8 code)
{
	u64 dword0 = FIELD_PREP(RVIOMMU_CMD_ATS_RID, rid) | RVIOMMU_CMD_ATS_DSV |
		     FIELD_PREP(RVIOMMU_CMD_ATS_DSEG, seg);
	u64 payload = FIELD_PREP(RVIOMMU_CMD_ATS_PRGR_INDEX, index) |
		      FIELD_PREP(RVIOMMU_CMD_ATS_PRGR_CODE, code);

	return cmd_make(RVIOMMU_CMD_OPCODE_ATS, RVIOMMU_CMD_ATS_PRGR, dword0, payload);
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmd_ats_prgr);

/**
 * rviommu_cmd_as_success() - the same response, but Success
 * @cmd: from rviommu_cmd_ats_prgr()
 *
 * Return: the command.
 */
struct rviommu_command rviommu_cmd_as_success(struct rviommu_command cmd)
{
	cmd.dword[1] &= ~cpu_to_le64(RVIOMMU_CMD_ATS_PRGR_CODE);
	cmd.dword[1] |= cpu_to_le64(FIELD_PREP(RVIOMMU_CMD_ATS_PRGR_CODE, RVIOMMU_PRG_SUCCESS));
	return cmd;
}

/**
 * rviommu_cmd_with_pasid() - those with a PASID, instead of those without
 * @cmd: from rviommu_cmd_ats_inval()
 * @pasid: the PASID
 *
 * Return: the command.
 */
struct rviommu_command rviommu_cmd_with_pasid(struct rviommu_command cmd, u32 pasid)
{
	cmd.dword[0] |= cpu_to_le64(RVIOMMU_CMD_ATS_PV | FIELD_PREP(RVIOMMU_CMD_ATS_PID, pasid));
	return cmd;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmd_with_pasid);

/**
 * rviommu_cmd_with_atc_range() - of a range only
 * @cmd: from rviommu_cmd_ats_inval()
 * @iova: any address in it
 * @size_lg2: lg2 of its size in bytes, 12 to 64; it is naturally aligned
 *
 * PCIe, "Invalidate Request": with S the lowest address bit that is 0, from bit 12
 * on, tells the size: 8 KiB for bit 12. All of 64 bits is what no zero below bit 63
 * says.
 *
 * Return: the command.
 */
struct rviommu_command rviommu_cmd_with_atc_range(struct rviommu_command cmd, u64 iova,
						  unsigned int size_lg2)
{
	u64 payload = 0;

	if (size_lg2 < 64)
		payload = iova & ~(BIT_ULL(size_lg2) - 1);
	if (size_lg2 > RVIOMMU_PAGE_LG2)
		payload |= RVIOMMU_CMD_ATS_INVAL_S |
			   (BIT_ULL(size_lg2 - 1) - BIT_ULL(RVIOMMU_PAGE_LG2));
	cmd.dword[1] = cpu_to_le64(payload);
	return cmd;
}
EXPORT_SYMBOL_IF_KUNIT(rviommu_cmd_with_atc_range);

/* Opcode and func3 as they lie in doubleword 0 */
#define CMD_OP(opcode, func3)						\
	(FIELD_PREP_CONST(RVIOMMU_CMD_OPCODE, RVIOMMU_CMD_OPCODE_##opcode) |	\
	 FIELD_PREP_CONST(RVIOMMU_CMD_FUNC3, RVIOMMU_CMD_##func3))

static u64 cmd_op(struct rviommu_command cmd)
{
	return le64_to_cpu(cmd.dword[0]) & (RVIOMMU_CMD_OPCODE | RVIOMMU_CMD_FUNC3);
}

/**
 * rviommu_cmd_is_iofence() - does a command wait for earlier ones?
 * @cmd: the command
 *
 * Return: true if it does.
 */
bool rviommu_cmd_is_iofence(struct rviommu_command cmd)
{
	return cmd_op(cmd) == CMD_OP(IOFENCE, IOFENCE_C);
}

/**
 * rviommu_cmd_is_iodir() - is it for a directory?
 * @cmd: the command
 *
 * Return: true if it is.
 */
bool rviommu_cmd_is_iodir(struct rviommu_command cmd)
{
	return FIELD_GET(RVIOMMU_CMD_OPCODE, le64_to_cpu(cmd.dword[0])) ==
	       RVIOMMU_CMD_OPCODE_IODIR;
}

/**
 * rviommu_cmd_is_ats_inval() - does a command ask a device to forget?
 * @cmd: the command
 *
 * Return: true if it does.
 */
bool rviommu_cmd_is_ats_inval(struct rviommu_command cmd)
{
	return cmd_op(cmd) == CMD_OP(ATS, ATS_INVAL);
}

/**
 * rviommu_cmd_is_ats_prgr() - is a command a response?
 * @cmd: the command
 *
 * Return: true if it is.
 */
bool rviommu_cmd_is_ats_prgr(struct rviommu_command cmd)
{
	return cmd_op(cmd) == CMD_OP(ATS, ATS_PRGR);
}

/**
 * rviommu_cmd_is_ats() - is it for a device: a request to forget, or a response?
 * @cmd: the command
 *
 * Return: true if it is.
 */
bool rviommu_cmd_is_ats(struct rviommu_command cmd)
{
	return FIELD_GET(RVIOMMU_CMD_OPCODE, le64_to_cpu(cmd.dword[0])) == RVIOMMU_CMD_OPCODE_ATS;
}

/**
 * rviommu_cmd_same_device() - do two commands go to the same device?
 * @a: one, of ATS
 * @b: the other
 *
 * Return: true if they do.
 */
bool rviommu_cmd_same_device(struct rviommu_command a, struct rviommu_command b)
{
	const u64 who = RVIOMMU_CMD_ATS_DSV | RVIOMMU_CMD_ATS_DSEG | RVIOMMU_CMD_ATS_RID;

	return !((a.dword[0] ^ b.dword[0]) & cpu_to_le64(who));
}

/**
 * rviommu_cmd_same_shape() - are two commands legal or not together?
 * @a: one
 * @b: the other
 *
 * If operands do not decide.
 *
 * Return: true if they are.
 */
bool rviommu_cmd_same_shape(struct rviommu_command a, struct rviommu_command b)
{
	const u64 flags = RVIOMMU_CMD_OPCODE | RVIOMMU_CMD_FUNC3 | RVIOMMU_CMD_IOTINVAL_AV |
			  RVIOMMU_CMD_IOTINVAL_PSCV | RVIOMMU_CMD_IOTINVAL_GV |
			  RVIOMMU_CMD_IOTINVAL_NL;

	return !((a.dword[0] ^ b.dword[0]) & cpu_to_le64(flags)) &&
	       !((a.dword[1] ^ b.dword[1]) & cpu_to_le64(RVIOMMU_CMD_IOTINVAL_S));
}

/**
 * rviommu_cmd_widen() - an invalidation that forgets more, and asks for less of the hardware
 * @cmd: an invalidation
 * @wide: set to that of the whole guest, the whole host, or all directories
 *
 * Return: false if there is none.
 */
bool rviommu_cmd_widen(struct rviommu_command cmd, struct rviommu_command *wide)
{
	u64 keep = RVIOMMU_CMD_OPCODE | RVIOMMU_CMD_FUNC3;

	switch (cmd_op(cmd)) {
	case CMD_OP(IOTINVAL, IOTINVAL_VMA):
	case CMD_OP(IOTINVAL, IOTINVAL_GVMA):
		if (le64_to_cpu(cmd.dword[0]) & RVIOMMU_CMD_IOTINVAL_GV)
			keep |= RVIOMMU_CMD_IOTINVAL_GV | RVIOMMU_CMD_IOTINVAL_GSCID;
		wide->dword[0] = cmd.dword[0] & cpu_to_le64(keep);
		wide->dword[1] = 0;
		break;
	case CMD_OP(IODIR, IODIR_INVAL_DDT):
	case CMD_OP(IODIR, IODIR_INVAL_PDT):
		*wide = rviommu_cmd_inval_ddt_all();
		break;
	default:
		return false;
	}
	return !rviommu_cmd_equal(cmd, *wide);
}
