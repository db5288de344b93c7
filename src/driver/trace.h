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

#include "directory.h"
#include "prg.h"
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

/*
 * A context is in force from now on, of a device_id or of a PASID of a device; hardware has still
 * to forget what it was before. Not where nothing changes.
 */
TRACE_EVENT(rviommu_publish,
	    TP_PROTO(const struct rviommu_bus *bus, const char *device, bool process,
		     const struct rviommu_dir_update *update),
	    TP_ARGS(bus, device, process, update),
	    TP_STRUCT__entry(__string(iommu, bus->name)
			     __string(device, device)
			     __field(u64, fsc)
			     __field(u32, id)
			     __field(u32, how)
			     __field(bool, process)
			     __field(bool, valid)
			     ),
	    TP_fast_assign(__assign_str(iommu);
			   __assign_str(device);
			   __entry->fsc = process ? update->new.pc.word[RVIOMMU_PC_FSC] :
						    update->new.dc.word[RVIOMMU_DC_FSC];
			   __entry->id = update->id;
			   __entry->how = update->how;
			   __entry->process = process;
			   __entry->valid = update->new.word[0] & 1;
			   ),
	    TP_printk("%s: %s %s=%#x valid=%d fsc=%#llx how=%s",
		      __get_str(iommu), __get_str(device), __entry->process ? "pasid" : "did",
		      __entry->id, __entry->valid, __entry->fsc,
		      __print_symbolic(__entry->how,
				       { RVIOMMU_PUBLISH_VALID, "valid" },
				       { RVIOMMU_PUBLISH_WORD, "word" },
				       { RVIOMMU_PUBLISH_PAGE, "page" },
				       { RVIOMMU_PUBLISH_BREAK, "break" }))
);

/* A message of the page-request queue, Stop Markers included, before anything is done about it. */
TRACE_EVENT(rviommu_page_request,
	    TP_PROTO(const struct rviommu_bus *bus, const char *device,
		     const struct rviommu_page_message *message),
	    TP_ARGS(bus, device, message),
	    TP_STRUCT__entry(__string(iommu, bus->name)
			     __string(device, device)
			     __field(u64, addr)
			     __field(u32, did)
			     __field(u32, pid)
			     __field(u16, index)
			     __field(bool, pv)
			     __field(bool, priv)
			     __field(bool, exec)
			     __field(bool, read)
			     __field(bool, write)
			     __field(bool, last)
			     ),
	    TP_fast_assign(__assign_str(iommu);
			   __assign_str(device);
			   __entry->addr = message->addr;
			   __entry->did = message->did;
			   __entry->pid = message->pid;
			   __entry->index = message->index;
			   __entry->pv = message->pv;
			   __entry->priv = message->priv;
			   __entry->exec = message->exec;
			   __entry->read = message->read;
			   __entry->write = message->write;
			   __entry->last = message->last;
			   ),
	    TP_printk("%s: %s did=%#x pv=%d pid=%#x index=%u addr=%#llx priv=%d exec=%d read=%d write=%d last=%d",
		      __get_str(iommu), __get_str(device), __entry->did, __entry->pv,
		      __entry->pid, __entry->index, __entry->addr, __entry->priv, __entry->exec,
		      __entry->read, __entry->write, __entry->last)
);

/*
 * A response, when it is in the command queue. The latency is that since the first request of
 * its group came; 0 for one to a device or a group that the driver does not know.
 */
TRACE_EVENT(rviommu_page_response,
	    TP_PROTO(const struct rviommu_bus *bus, const char *device,
		     const struct rviommu_page_message *message, u8 code, u64 latency_ns),
	    TP_ARGS(bus, device, message, code, latency_ns),
	    TP_STRUCT__entry(__string(iommu, bus->name)
			     __string(device, device)
			     __field(u64, latency_ns)
			     __field(u32, did)
			     __field(u32, pid)
			     __field(u16, index)
			     __field(u8, code)
			     __field(bool, pv)
			     ),
	    TP_fast_assign(__assign_str(iommu);
			   __assign_str(device);
			   __entry->latency_ns = latency_ns;
			   __entry->did = message->did;
			   __entry->pid = message->pid;
			   __entry->index = message->index;
			   __entry->code = code;
			   __entry->pv = message->pv;
			   ),
	    TP_printk("%s: %s did=%#x pv=%d pid=%#x index=%u code=%u latency_ns=%llu",
		      __get_str(iommu), __get_str(device), __entry->did, __entry->pv,
		      __entry->pid, __entry->index, __entry->code, __entry->latency_ns)
);

#endif /* RVIOMMU_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
