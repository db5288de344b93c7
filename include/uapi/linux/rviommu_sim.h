/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The registers of a simulated PCI function's DMA engine, for whoever drives it: a kernel driver,
 * or a program that has the function by VFIO. Documentation/endpoint.rst explains them.
 *
 * All of it is little-endian.
 */
#ifndef _LINUX_RVIOMMU_SIM_H
#define _LINUX_RVIOMMU_SIM_H

#include <linux/types.h>

#define RVIOMMU_SIM_PCI_VENDOR		0x1af4
#define RVIOMMU_SIM_PCI_DEVICE		0x10f0

/* The vendor-specific extended capability that has the registers: VSEC ID and revision */
#define RVIOMMU_SIM_VSEC_ID		0x5249
#define RVIOMMU_SIM_VSEC_REVISION	1
#define RVIOMMU_SIM_VSEC_LENGTH		0xe0

/* Registers, at offsets from the capability. Each has 32 bits, and is accessed so. */
#define RVIOMMU_SIM_REG_FEATURES	0x08	/* read only */
#define RVIOMMU_SIM_FEATURES_RINGS	0x000000ff
#define RVIOMMU_SIM_FEATURES_VECTORS	0x0000ff00
#define RVIOMMU_SIM_FEATURES_COMMANDS	0xffff0000	/* 1 << RVIOMMU_SIM_CMD_* */

/* One command, struct rviommu_sim_descriptor, and the doorbell that has it carried out */
#define RVIOMMU_SIM_REG_COMMAND		0x10
#define RVIOMMU_SIM_REG_DOORBELL	0x50
#define RVIOMMU_SIM_DOORBELL_GO		0x00000001	/* written */
#define RVIOMMU_SIM_DOORBELL_BUSY	0x00000001	/* read */

/* Rings of commands in memory */
#define RVIOMMU_SIM_RINGS		4
#define RVIOMMU_SIM_REG_RING(n)		(0x60 + 0x20 * (n))
#define RVIOMMU_SIM_RING_CONTROL	0x00
#define RVIOMMU_SIM_RING_ENABLE		0x00000001
#define RVIOMMU_SIM_RING_INTERRUPT	0x00000002	/* when an error stops it */
#define RVIOMMU_SIM_RING_LG2		0x00000f00	/* log2 of its descriptors, 1 to 12 */
#define RVIOMMU_SIM_RING_VECTOR		0x00070000
#define RVIOMMU_SIM_RING_PASID		0x04		/* RVIOMMU_SIM_PASID_* */
#define RVIOMMU_SIM_RING_BASE_LO	0x08		/* IOVA, a multiple of 64 */
#define RVIOMMU_SIM_RING_BASE_HI	0x0c
#define RVIOMMU_SIM_RING_TAIL		0x10		/* doorbell: the first not there yet */
#define RVIOMMU_SIM_RING_HEAD		0x14		/* read only: the first not done yet */
#define RVIOMMU_SIM_RING_STATUS		0x18		/* read only */
#define RVIOMMU_SIM_RING_BUSY		0x00000001
#define RVIOMMU_SIM_RING_ERROR		0x00000002	/* stopped, by the error in ... */
#define RVIOMMU_SIM_RING_ERROR_STATUS	0x0000ff00	/* RVIOMMU_SIM_STATUS_* */
#define RVIOMMU_SIM_RING_ERROR_CAUSE	0xffff0000

#define RVIOMMU_SIM_RING_MAX_LG2	12

/* A PASID in a register */
#define RVIOMMU_SIM_PASID_VALUE		0x000fffff
#define RVIOMMU_SIM_PASID_VALID		0x80000000

/**
 * struct rviommu_sim_descriptor - a command
 * @command: RVIOMMU_SIM_COMMAND_*
 * @pasid: of its requests, with %RVIOMMU_SIM_COMMAND_PASID
 * @iova: first byte; of a copy, of the destination
 * @source: first byte of a copy's source
 * @length: bytes, at most %RVIOMMU_SIM_MAX_LENGTH
 * @operand: see RVIOMMU_SIM_CMD_*
 * @status: written by the function, last: RVIOMMU_SIM_STATUS_*
 * @info: RVIOMMU_SIM_INFO_*
 * @done: bytes until the end, or until what @status says happened
 * @result: see RVIOMMU_SIM_CMD_*
 */
struct rviommu_sim_descriptor {
	__le32 command;
	__le32 pasid;
	__le64 iova;
	__le64 source;
	__le64 length;
	__le64 operand;
	__le32 status;
	__le32 info;
	__le64 done;
	__le64 result;
};

#define RVIOMMU_SIM_MAX_LENGTH		(16 << 20)

/* rviommu_sim_descriptor.command; bits without a name are 0 */
#define RVIOMMU_SIM_COMMAND_CODE	0x000000ff	/* RVIOMMU_SIM_CMD_* */
#define RVIOMMU_SIM_COMMAND_PASID	0x00000100	/* requests carry @pasid */
#define RVIOMMU_SIM_COMMAND_PRIV	0x00000200	/* and ask for privileged mode */
#define RVIOMMU_SIM_COMMAND_EXEC	0x00000400	/* and, for reads, for execution */
#define RVIOMMU_SIM_COMMAND_INTERRUPT	0x00000800	/* interrupt when it is over */
#define RVIOMMU_SIM_COMMAND_VECTOR	0x00070000	/* by this vector */

#define RVIOMMU_SIM_CMD_NOP		0
#define RVIOMMU_SIM_CMD_COPY		1
#define RVIOMMU_SIM_CMD_FILL		2	/* with the pattern of seed @operand */
#define RVIOMMU_SIM_CMD_VERIFY		3	/* compare with that pattern */
#define RVIOMMU_SIM_CMD_FETCH_ADD	4	/* to each 8 bytes @operand; @result: old */
#define RVIOMMU_SIM_CMD_TRANSLATE	5	/* ATS; @operand, @result: see below */
#define RVIOMMU_SIM_CMD_STOP_PASID	6	/* before somebody else gets @pasid */
#define RVIOMMU_SIM_CMD_NR		7

/* TRANSLATE: @operand, and @result; that is 0 where accesses have to be untranslated */
#define RVIOMMU_SIM_TRANSLATE_WRITE	0x1
#define RVIOMMU_SIM_GRANT_READ		0x1
#define RVIOMMU_SIM_GRANT_WRITE		0x2
#define RVIOMMU_SIM_GRANT_EXEC		0x4
#define RVIOMMU_SIM_GRANT_SIZE_LG2	0xff00

/* rviommu_sim_descriptor.status */
#define RVIOMMU_SIM_STATUS_NONE		0	/* not over yet */
#define RVIOMMU_SIM_STATUS_OK		1
#define RVIOMMU_SIM_STATUS_FAULT	2	/* the IOMMU refused, or nothing is there */
#define RVIOMMU_SIM_STATUS_MISMATCH	3	/* VERIFY: the byte after @done is wrong */
#define RVIOMMU_SIM_STATUS_INVALID	4	/* there is no such command */
#define RVIOMMU_SIM_STATUS_NOT_ENABLED	5	/* bus mastering, PASIDs or ATS are off */
#define RVIOMMU_SIM_STATUS_ABORTED	6	/* the function is gone */
#define RVIOMMU_SIM_STATUS_STOPPED	7	/* the use of its PASID was stopped */
#define RVIOMMU_SIM_STATUS_NO_RESPONSE	8	/* it asked for pages in vain */
#define RVIOMMU_SIM_STATUS_NO_MEMORY	9	/* the simulator has none */

/* rviommu_sim_descriptor.info */
#define RVIOMMU_SIM_INFO_CAUSE		0x0000ffff	/* CAUSE of the fault record */
#define RVIOMMU_SIM_INFO_RESPONSE	0x000f0000	/* to the last page request */
#define RVIOMMU_SIM_INFO_REQUESTS	0xfff00000	/* page request groups; 0xfff: or more */

#endif /* _LINUX_RVIOMMU_SIM_H */
