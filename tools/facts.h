/* SPDX-License-Identifier: GPL-2.0-only */
/* Files of the driver's and of the simulator's as records. */
#ifndef RVIOMMU_TOOLS_FACTS_H
#define RVIOMMU_TOOLS_FACTS_H

#include <json-c/json.h>

struct json_object *facts_capabilities(const char *iommu);
struct json_object *facts_queues(const char *iommu);
struct json_object *facts_counters(const char *iommu);
struct json_object *facts_domains(void);
struct json_object *facts_contexts(const char *dir);
struct json_object *facts_domain(const char *dir);
struct json_object *facts_page_table(const char *dir, const char *pasid);
struct json_object *facts_pasids(const char *dir);
struct json_object *facts_faults(const char *dir);
struct json_object *facts_page_requests(const char *dir);
struct json_object *facts_sim_counters(const char *instance);
struct json_object *facts_caches(const char *instance);

#endif /* RVIOMMU_TOOLS_FACTS_H */
