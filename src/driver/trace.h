/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints. What the IOMMU core already traces (map, unmap, attach) is not
 * traced again here.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM rviommu

#if !defined(RVIOMMU_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define RVIOMMU_TRACE_H

#include <linux/tracepoint.h>

#include <rviommu/bus.h>
#include <rviommu/formats.h>

#include "record.h"

/* A record of the fault queue, once per record, never limited. */
TRACE_EVENT(rviommu_fault,
	    TP_PROTO(const struct rviommu_bus *bus, const char *device,
		     const struct rviommu_fault *fault),
	    TP_ARGS(bus, device, fault),
	    TP_STRUCT__entry(__string(iommu, bus->name)
			     __string(device, device)
			     __string(cause_name, rviommu_fault_cause_name(fault->cause))
			     __string(ttyp_name, rviommu_fault_ttyp_name(fault->ttyp))
			     __field(u64, iotval)
			     __field(u64, iotval2)
			     __field(u32, did)
			     __field(u32, pid)
			     __field(u16, cause)
			     __field(u8, ttyp)
			     __field(bool, pv)
			     __field(bool, priv)
			     ),
	    TP_fast_assign(__assign_str(iommu);
			   __assign_str(device);
			   __assign_str(cause_name);
			   __assign_str(ttyp_name);
			   __entry->iotval = fault->iotval;
			   __entry->iotval2 = fault->iotval2;
			   __entry->did = fault->did;
			   __entry->pid = fault->pid;
			   __entry->cause = fault->cause;
			   __entry->ttyp = fault->ttyp;
			   __entry->pv = fault->pv;
			   __entry->priv = fault->priv;
			   ),
	    TP_printk("%s: %s did=%#x pv=%d pid=%#x priv=%d cause=%u (%s) ttyp=%u (%s) iotval=%#llx iotval2=%#llx",
		      __get_str(iommu), __get_str(device), __entry->did, __entry->pv,
		      __entry->pid, __entry->priv, __entry->cause, __get_str(cause_name),
		      __entry->ttyp, __get_str(ttyp_name), __entry->iotval, __entry->iotval2)
);

/* A command put into the command queue, fences included. */
TRACE_EVENT(rviommu_command,
	    TP_PROTO(const struct rviommu_bus *bus, const struct rviommu_command *cmd),
	    TP_ARGS(bus, cmd),
	    TP_STRUCT__entry(__string(iommu, bus->name)
			     __field(u64, dword0)
			     __field(u64, dword1)
			     ),
	    TP_fast_assign(__assign_str(iommu);
			   __entry->dword0 = le64_to_cpu(cmd->dword[0]);
			   __entry->dword1 = le64_to_cpu(cmd->dword[1]);
			   ),
	    TP_printk("%s: %016llx %016llx", __get_str(iommu), __entry->dword0, __entry->dword1)
);

#endif /* RVIOMMU_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
