/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * RISC-V IOMMU: the memory-mapped register interface.
 *
 * Names follow the architecture specification (chapter "Memory-mapped
 * register interface"); every offset is in bytes from the base of the
 * 4 KiB register page. Registers are little-endian whatever fctl.BE says.
 */
#ifndef RVIOMMU_REGS_H
#define RVIOMMU_REGS_H

#include <linux/bits.h>

#define RVIOMMU_REG_SIZE		0x1000

#define RVIOMMU_REG_CAPABILITIES	0x000	/* 64 bits, RO */
#define RVIOMMU_REG_FCTL		0x008	/* 32 bits, WARL */
#define RVIOMMU_REG_DDTP		0x010	/* 64 bits */
#define RVIOMMU_REG_CQB			0x018	/* 64 bits */
#define RVIOMMU_REG_CQH			0x020	/* 32 bits, RO */
#define RVIOMMU_REG_CQT			0x024	/* 32 bits */
#define RVIOMMU_REG_FQB			0x028	/* 64 bits */
#define RVIOMMU_REG_FQH			0x030	/* 32 bits */
#define RVIOMMU_REG_FQT			0x034	/* 32 bits, RO */
#define RVIOMMU_REG_PQB			0x038	/* 64 bits */
#define RVIOMMU_REG_PQH			0x040	/* 32 bits */
#define RVIOMMU_REG_PQT			0x044	/* 32 bits, RO */
#define RVIOMMU_REG_CQCSR		0x048	/* 32 bits */
#define RVIOMMU_REG_FQCSR		0x04c	/* 32 bits */
#define RVIOMMU_REG_PQCSR		0x050	/* 32 bits */
#define RVIOMMU_REG_IPSR		0x054	/* 32 bits, RW1C */
#define RVIOMMU_REG_IOCOUNTOVF		0x058	/* 32 bits, RO */
#define RVIOMMU_REG_IOCOUNTINH		0x05c	/* 32 bits */
#define RVIOMMU_REG_IOHPMCYCLES		0x060	/* 64 bits */
#define RVIOMMU_REG_IOHPMCTR(n)		(0x068 + 8 * (n))	/* n: 0 to 30 */
#define RVIOMMU_REG_IOHPMEVT(n)		(0x160 + 8 * (n))	/* n: 0 to 30 */
#define RVIOMMU_REG_TR_REQ_IOVA		0x258	/* 64 bits */
#define RVIOMMU_REG_TR_REQ_CTL		0x260	/* 64 bits */
#define RVIOMMU_REG_TR_RESPONSE		0x268	/* 64 bits, RO */
#define RVIOMMU_REG_QOSID		0x270	/* 32 bits */
#define RVIOMMU_REG_ICVEC		0x2f8	/* 64 bits, WARL */
#define RVIOMMU_REG_MSI_ADDR(n)		(0x300 + 16 * (n))	/* 64 bits */
#define RVIOMMU_REG_MSI_DATA(n)		(0x308 + 16 * (n))	/* 32 bits */
#define RVIOMMU_REG_MSI_VEC_CTL(n)	(0x30c + 16 * (n))	/* 32 bits */

/* capabilities */
#define RVIOMMU_CAP_VERSION		GENMASK_ULL(7, 0)
#define RVIOMMU_CAP_VERSION_MAJOR	GENMASK_ULL(7, 4)
#define RVIOMMU_CAP_SV32		BIT_ULL(8)
#define RVIOMMU_CAP_SV39		BIT_ULL(9)
#define RVIOMMU_CAP_SV48		BIT_ULL(10)
#define RVIOMMU_CAP_SV57		BIT_ULL(11)
#define RVIOMMU_CAP_SVRSW60T59B		BIT_ULL(14)
#define RVIOMMU_CAP_SVPBMT		BIT_ULL(15)
#define RVIOMMU_CAP_SV32X4		BIT_ULL(16)
#define RVIOMMU_CAP_SV39X4		BIT_ULL(17)
#define RVIOMMU_CAP_SV48X4		BIT_ULL(18)
#define RVIOMMU_CAP_SV57X4		BIT_ULL(19)
#define RVIOMMU_CAP_AMO_MRIF		BIT_ULL(21)
#define RVIOMMU_CAP_MSI_FLAT		BIT_ULL(22)
#define RVIOMMU_CAP_MSI_MRIF		BIT_ULL(23)
#define RVIOMMU_CAP_AMO_HWAD		BIT_ULL(24)
#define RVIOMMU_CAP_ATS			BIT_ULL(25)
#define RVIOMMU_CAP_T2GPA		BIT_ULL(26)
#define RVIOMMU_CAP_END			BIT_ULL(27)
#define RVIOMMU_CAP_IGS			GENMASK_ULL(29, 28)
#define RVIOMMU_IGS_MSI			0
#define RVIOMMU_IGS_WSI			1
#define RVIOMMU_IGS_BOTH		2
#define RVIOMMU_CAP_HPM			BIT_ULL(30)
#define RVIOMMU_CAP_DBG			BIT_ULL(31)
#define RVIOMMU_CAP_PAS			GENMASK_ULL(37, 32)
#define RVIOMMU_CAP_PD8			BIT_ULL(38)
#define RVIOMMU_CAP_PD17		BIT_ULL(39)
#define RVIOMMU_CAP_PD20		BIT_ULL(40)
#define RVIOMMU_CAP_QOSID		BIT_ULL(41)
#define RVIOMMU_CAP_NL			BIT_ULL(42)
#define RVIOMMU_CAP_S			BIT_ULL(43)

/* fctl */
#define RVIOMMU_FCTL_BE			BIT(0)
#define RVIOMMU_FCTL_WSI		BIT(1)
#define RVIOMMU_FCTL_GXL		BIT(2)

/* ddtp */
#define RVIOMMU_DDTP_MODE		GENMASK_ULL(3, 0)
#define RVIOMMU_DDTP_MODE_OFF		0
#define RVIOMMU_DDTP_MODE_BARE		1
#define RVIOMMU_DDTP_MODE_1LVL		2
#define RVIOMMU_DDTP_MODE_2LVL		3
#define RVIOMMU_DDTP_MODE_3LVL		4
#define RVIOMMU_DDTP_BUSY		BIT_ULL(4)
#define RVIOMMU_DDTP_PPN		GENMASK_ULL(53, 10)

/* cqb, fqb, pqb */
#define RVIOMMU_QB_LOG2SZ_1		GENMASK_ULL(4, 0)	/* lg2(entries) - 1 */
#define RVIOMMU_QB_PPN			GENMASK_ULL(53, 10)

/* cqcsr, fqcsr, pqcsr: the part all three have in common */
#define RVIOMMU_QCSR_EN			BIT(0)
#define RVIOMMU_QCSR_IE			BIT(1)
#define RVIOMMU_QCSR_MF			BIT(8)	/* memory fault, RW1C */
#define RVIOMMU_QCSR_OF			BIT(9)	/* fq, pq: overflow, RW1C */
#define RVIOMMU_QCSR_ON			BIT(16)
#define RVIOMMU_QCSR_BUSY		BIT(17)

/* cqcsr only; all RW1C */
#define RVIOMMU_CQCSR_CMD_TO		BIT(9)
#define RVIOMMU_CQCSR_CMD_ILL		BIT(10)
#define RVIOMMU_CQCSR_FENCE_W_IP	BIT(11)
#define RVIOMMU_CQCSR_ERRORS		(RVIOMMU_QCSR_MF | RVIOMMU_CQCSR_CMD_TO | \
					 RVIOMMU_CQCSR_CMD_ILL)

/* ipsr: one bit and one icvec field per interrupt cause, in this order */
#define RVIOMMU_IPSR_CIP		BIT(0)
#define RVIOMMU_IPSR_FIP		BIT(1)
#define RVIOMMU_IPSR_PMIP		BIT(2)
#define RVIOMMU_IPSR_PIP		BIT(3)
#define RVIOMMU_NR_CAUSES		4
#define RVIOMMU_ICVEC_CIV		GENMASK_ULL(3, 0)
#define RVIOMMU_ICVEC_FIV		GENMASK_ULL(7, 4)
#define RVIOMMU_ICVEC_PMIV		GENMASK_ULL(11, 8)
#define RVIOMMU_ICVEC_PIV		GENMASK_ULL(15, 12)

/* msi_addr_x, msi_vec_ctl_x */
#define RVIOMMU_MSI_ADDR		GENMASK_ULL(55, 2)
#define RVIOMMU_MSI_VEC_CTL_M		BIT(0)

/* tr_req_iova, tr_req_ctl, tr_response */
#define RVIOMMU_TR_REQ_IOVA_VPN		GENMASK_ULL(63, 12)
#define RVIOMMU_TR_REQ_CTL_GO_BUSY	BIT_ULL(0)
#define RVIOMMU_TR_REQ_CTL_PRIV		BIT_ULL(1)
#define RVIOMMU_TR_REQ_CTL_EXE		BIT_ULL(2)
#define RVIOMMU_TR_REQ_CTL_NW		BIT_ULL(3)
#define RVIOMMU_TR_REQ_CTL_PID		GENMASK_ULL(31, 12)
#define RVIOMMU_TR_REQ_CTL_PV		BIT_ULL(32)
#define RVIOMMU_TR_REQ_CTL_DID		GENMASK_ULL(63, 40)
#define RVIOMMU_TR_RESPONSE_FAULT	BIT_ULL(0)
#define RVIOMMU_TR_RESPONSE_PBMT	GENMASK_ULL(8, 7)
#define RVIOMMU_TR_RESPONSE_S		BIT_ULL(9)
#define RVIOMMU_TR_RESPONSE_PPN		GENMASK_ULL(53, 10)

#endif /* RVIOMMU_REGS_H */
