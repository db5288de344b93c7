/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one way out: what a command found is a record, and the same record is printed as JSON or for
 * people. A drawing for people gets nothing but the record.
 */
#ifndef RVIOMMU_TOOLS_OUT_H
#define RVIOMMU_TOOLS_OUT_H

#include <json-c/json.h>
#include <stdbool.h>

extern bool out_json;

/*
 * draw_t - the record for people
 * @record: all that is known
 */
typedef void (*draw_t)(struct json_object *record);

void out_record(struct json_object *record, draw_t draw);
void out_event(struct json_object *record, draw_t draw);
void out_end(void);

void draw_any(struct json_object *record);
void draw_members(struct json_object *record, unsigned int indent);
void draw_table(struct json_object *list, unsigned int indent);

#endif /* RVIOMMU_TOOLS_OUT_H */
