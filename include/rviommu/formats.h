/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * RISC-V IOMMU: formats of everything that lives in memory: device and process
 * contexts, directory entries, page-table entries, commands, fault records
 * and page requests.
 *
 * Structures named *_le or with __le64 members are what hardware reads; the
 * driver runs the IOMMU little-endian (fctl.BE = 0, tc.SBE = 0).
 */
#ifndef RVIOMMU_FORMATS_H
#define RVIOMMU_FORMATS_H

#include <linux/bits.h>
#include <linux/types.h>

#define RVIOMMU_PAGE_LG2		12	/* every PPN counts 4 KiB pages */
#define RVIOMMU_PAGE_SIZE		BIT(RVIOMMU_PAGE_LG2)

/*
 * Non-leaf directory entry (DDT and PDT): spec "Non-leaf DDT entry",
 * "Non-leaf PDT entry".
 */
#define RVIOMMU_DIRENT_V		BIT_ULL(0)
#define RVIOMMU_DIRENT_PPN		GENMASK_ULL(53, 10)

/* Device context, spec "Device-context fields" */
#define RVIOMMU_DC_TC_V			BIT_ULL(0)
#define RVIOMMU_DC_TC_EN_ATS		BIT_ULL(1)
#define RVIOMMU_DC_TC_EN_PRI		BIT_ULL(2)
#define RVIOMMU_DC_TC_T2GPA		BIT_ULL(3)
#define RVIOMMU_DC_TC_DTF		BIT_ULL(4)
#define RVIOMMU_DC_TC_PDTV		BIT_ULL(5)
#define RVIOMMU_DC_TC_PRPR		BIT_ULL(6)
#define RVIOMMU_DC_TC_GADE		BIT_ULL(7)
#define RVIOMMU_DC_TC_SADE		BIT_ULL(8)
#define RVIOMMU_DC_TC_DPE		BIT_ULL(9)
#define RVIOMMU_DC_TC_SBE		BIT_ULL(10)
#define RVIOMMU_DC_TC_SXL		BIT_ULL(11)

#define RVIOMMU_DC_IOHGATP_PPN		GENMASK_ULL(43, 0)
#define RVIOMMU_DC_IOHGATP_GSCID	GENMASK_ULL(59, 44)
#define RVIOMMU_DC_IOHGATP_MODE		GENMASK_ULL(63, 60)

#define RVIOMMU_DC_TA_PSCID		GENMASK_ULL(31, 12)
#define RVIOMMU_DC_TA_RCID		GENMASK_ULL(51, 40)
#define RVIOMMU_DC_TA_MCID		GENMASK_ULL(63, 52)

/* iosatp in DC.fsc and PC.fsc, pdtp in DC.fsc: same layout */
#define RVIOMMU_FSC_PPN			GENMASK_ULL(43, 0)
#define RVIOMMU_FSC_MODE		GENMASK_ULL(63, 60)

/* iosatp.MODE and iohgatp.MODE share their encodings (Sv39 = Sv39x4 = 8) */
#define RVIOMMU_ATP_MODE_BARE		0
#define RVIOMMU_ATP_MODE_SV39		8
#define RVIOMMU_ATP_MODE_SV48		9
#define RVIOMMU_ATP_MODE_SV57		10

#define RVIOMMU_PDTP_MODE_BARE		0
#define RVIOMMU_PDTP_MODE_PD8		1
#define RVIOMMU_PDTP_MODE_PD17		2
#define RVIOMMU_PDTP_MODE_PD20		3

/* Indices of the words of a device context */
#define RVIOMMU_DC_TC			0
#define RVIOMMU_DC_IOHGATP		1
#define RVIOMMU_DC_TA			2
#define RVIOMMU_DC_FSC			3
#define RVIOMMU_DC_MSIPTP		4
#define RVIOMMU_DC_MSI_ADDR_MASK	5
#define RVIOMMU_DC_MSI_ADDR_PATTERN	6
#define RVIOMMU_DC_RESERVED		7
#define RVIOMMU_DC_WORDS_BASE		4
#define RVIOMMU_DC_WORDS_EXT		8

/* Process context, spec "Process-context fields" */
#define RVIOMMU_PC_TA_V			BIT_ULL(0)
#define RVIOMMU_PC_TA_ENS		BIT_ULL(1)
#define RVIOMMU_PC_TA_SUM		BIT_ULL(2)
#define RVIOMMU_PC_TA_PSCID		GENMASK_ULL(31, 12)
#define RVIOMMU_PC_TA			0
#define RVIOMMU_PC_FSC			1
#define RVIOMMU_PC_WORDS		2

/**
 * struct rviommu_dc - a whole device context, as a value on the CPU
 * @word: CPU-endian words, index %RVIOMMU_DC_TC and so on. With the base format
 *        (capabilities.MSI_FLAT = 0) only the first four exist in memory and
 *        the rest must be zero here.
 *
 * Build one completely, then hand it to the directory: nothing edits what
 * hardware can see.
 */
struct rviommu_dc {
	u64 word[RVIOMMU_DC_WORDS_EXT];
};

/**
 * struct rviommu_pc - a whole process context, as a value on the CPU
 * @word: CPU-endian words, index %RVIOMMU_PC_TA and %RVIOMMU_PC_FSC
 */
struct rviommu_pc {
	u64 word[RVIOMMU_PC_WORDS];
};

/* Page-table entries (RISC-V privileged architecture; both stages) */
#define RVIOMMU_PTE_V			BIT_ULL(0)
#define RVIOMMU_PTE_R			BIT_ULL(1)
#define RVIOMMU_PTE_W			BIT_ULL(2)
#define RVIOMMU_PTE_X			BIT_ULL(3)
#define RVIOMMU_PTE_U			BIT_ULL(4)
#define RVIOMMU_PTE_G			BIT_ULL(5)
#define RVIOMMU_PTE_A			BIT_ULL(6)
#define RVIOMMU_PTE_D			BIT_ULL(7)
#define RVIOMMU_PTE_RSW			GENMASK_ULL(9, 8)
#define RVIOMMU_PTE_PPN			GENMASK_ULL(53, 10)
#define RVIOMMU_PTE_PPN_SHIFT		10
#define RVIOMMU_PTE_PBMT		GENMASK_ULL(62, 61)
#define RVIOMMU_PTE_PBMT_PMA		0
#define RVIOMMU_PTE_PBMT_NC		1
#define RVIOMMU_PTE_PBMT_IO		2
#define RVIOMMU_PTE_N			BIT_ULL(63)
#define RVIOMMU_PTE_NAPOT64K		BIT_ULL(13)	/* ppn[3:0] = 1000b */
#define RVIOMMU_NAPOT_LG2		16		/* bytes that such entries map together */
#define RVIOMMU_PTE_LEAF		(RVIOMMU_PTE_R | RVIOMMU_PTE_W | RVIOMMU_PTE_X)

/**
 * struct rviommu_command - one 16-byte command as it lies in the queue
 * @dword: the two little-endian doublewords, spec "Command-Queue (CQ)"
 */
struct rviommu_command {
	__le64 dword[2];
};

#define RVIOMMU_CMD_OPCODE		GENMASK_ULL(6, 0)
#define RVIOMMU_CMD_OPCODE_IOTINVAL	1
#define RVIOMMU_CMD_OPCODE_IOFENCE	2
#define RVIOMMU_CMD_OPCODE_IODIR	3
#define RVIOMMU_CMD_OPCODE_ATS		4
#define RVIOMMU_CMD_FUNC3		GENMASK_ULL(9, 7)
#define RVIOMMU_CMD_IOTINVAL_VMA	0
#define RVIOMMU_CMD_IOTINVAL_GVMA	1
#define RVIOMMU_CMD_IOFENCE_C		0
#define RVIOMMU_CMD_IODIR_INVAL_DDT	0
#define RVIOMMU_CMD_IODIR_INVAL_PDT	1
#define RVIOMMU_CMD_ATS_INVAL		0
#define RVIOMMU_CMD_ATS_PRGR		1
/* IOTINVAL, doubleword 0 */
#define RVIOMMU_CMD_IOTINVAL_AV		BIT_ULL(10)
#define RVIOMMU_CMD_IOTINVAL_PSCID	GENMASK_ULL(31, 12)
#define RVIOMMU_CMD_IOTINVAL_PSCV	BIT_ULL(32)
#define RVIOMMU_CMD_IOTINVAL_GV		BIT_ULL(33)
#define RVIOMMU_CMD_IOTINVAL_NL		BIT_ULL(34)
#define RVIOMMU_CMD_IOTINVAL_GSCID	GENMASK_ULL(59, 44)
/* IOTINVAL, doubleword 1: ADDR[63:12] at bits 61:10 */
#define RVIOMMU_CMD_IOTINVAL_S		BIT_ULL(9)
#define RVIOMMU_CMD_IOTINVAL_ADDR	GENMASK_ULL(61, 10)
/* IOFENCE.C, doubleword 0; doubleword 1 holds ADDR[63:2] at bits 61:0 */
#define RVIOMMU_CMD_IOFENCE_AV		BIT_ULL(10)
#define RVIOMMU_CMD_IOFENCE_WSI		BIT_ULL(11)
#define RVIOMMU_CMD_IOFENCE_PR		BIT_ULL(12)
#define RVIOMMU_CMD_IOFENCE_PW		BIT_ULL(13)
#define RVIOMMU_CMD_IOFENCE_DATA	GENMASK_ULL(63, 32)
#define RVIOMMU_CMD_IOFENCE_ADDR	GENMASK_ULL(61, 0)
/* IODIR, doubleword 0 */
#define RVIOMMU_CMD_IODIR_PID		GENMASK_ULL(31, 12)
#define RVIOMMU_CMD_IODIR_DV		BIT_ULL(33)
#define RVIOMMU_CMD_IODIR_DID		GENMASK_ULL(63, 40)
/* ATS, doubleword 0 */
#define RVIOMMU_CMD_ATS_PID		GENMASK_ULL(31, 12)
#define RVIOMMU_CMD_ATS_PV		BIT_ULL(32)
#define RVIOMMU_CMD_ATS_DSV		BIT_ULL(33)
#define RVIOMMU_CMD_ATS_RID		GENMASK_ULL(55, 40)
#define RVIOMMU_CMD_ATS_DSEG		GENMASK_ULL(63, 56)
/* ATS.INVAL, doubleword 1: untranslated address above bit 11 */
#define RVIOMMU_CMD_ATS_INVAL_S		BIT_ULL(11)
/* ATS.PRGR, doubleword 1 */
#define RVIOMMU_CMD_ATS_PRGR_INDEX	GENMASK_ULL(40, 32)
#define RVIOMMU_CMD_ATS_PRGR_CODE	GENMASK_ULL(47, 44)
/* PCIe "Page Request Group Response Message", Response Code */
#define RVIOMMU_PRG_SUCCESS		0
#define RVIOMMU_PRG_INVALID		1

/**
 * struct rviommu_fault_record - one 32-byte record of the fault queue
 * @hdr: cause, process, transaction type and device
 * @custom: 32 bits for custom use, 32 bits reserved
 * @iotval: the IOVA, or what the cause defines
 * @iotval2: the guest-physical address for guest-page faults
 */
struct rviommu_fault_record {
	__le64 hdr;
	__le64 custom;
	__le64 iotval;
	__le64 iotval2;
};

#define RVIOMMU_FAULT_CAUSE		GENMASK_ULL(11, 0)
#define RVIOMMU_FAULT_PID		GENMASK_ULL(31, 12)
#define RVIOMMU_FAULT_PV		BIT_ULL(32)
#define RVIOMMU_FAULT_PRIV		BIT_ULL(33)
#define RVIOMMU_FAULT_TTYP		GENMASK_ULL(39, 34)
#define RVIOMMU_FAULT_DID		GENMASK_ULL(63, 40)

#define RVIOMMU_FAULT_IOTVAL2_IMPLICIT	BIT_ULL(0)
#define RVIOMMU_FAULT_IOTVAL2_WRITE	BIT_ULL(1)

/**
 * struct rviommu_page_request - one 16-byte record of the page-request queue
 * @hdr: process and device
 * @payload: body of the PCIe message
 */
struct rviommu_page_request {
	__le64 hdr;
	__le64 payload;
};

#define RVIOMMU_PAGE_PID		GENMASK_ULL(31, 12)
#define RVIOMMU_PAGE_PV			BIT_ULL(32)
#define RVIOMMU_PAGE_PRIV		BIT_ULL(33)
#define RVIOMMU_PAGE_EXEC		BIT_ULL(34)
#define RVIOMMU_PAGE_DID		GENMASK_ULL(63, 40)

#define RVIOMMU_PAGE_R			BIT_ULL(0)
#define RVIOMMU_PAGE_W			BIT_ULL(1)
#define RVIOMMU_PAGE_L			BIT_ULL(2)
#define RVIOMMU_PAGE_INDEX		GENMASK_ULL(11, 3)
#define RVIOMMU_PAGE_ADDR		GENMASK_ULL(63, 12)

#endif /* RVIOMMU_FORMATS_H */
