/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * out.h - what the commands print: aligned tables, JSON, and errors of one
 * line. Also tolerant reads of the daemon's JSON: a missing member, or one of
 * another type, reads as 0, "-" or an empty array.
 */
#ifndef SLUICE_CLI_OUT_H
#define SLUICE_CLI_OUT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

/* "sluice COMMAND: what: why; what to do". Returns the exit status of a failed run. */
int out_error(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints the document and releases it. Returns the exit status: 0, or 1 if stdout took no more. */
int out_json(struct json_object *doc, bool pretty);

/*
 * A table in memory. heads: column names separated by blanks; a name that begins
 * with '<' is aligned to the left. Cells are filled row by row. Allocation
 * failure shows as a NULL table, which every function takes, and prints nothing.
 */
struct out_table;
struct out_table *out_table_new(const char *heads);
void out_cell(struct out_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints and frees it. */
void out_table_print(struct out_table *t);

/* The member, still owned by o; NULL if there is none, or o is no object. */
struct json_object *js_get(struct json_object *o, const char *key);
uint64_t js_u64(struct json_object *o, const char *key);
const char *js_str(struct json_object *o, const char *key);
bool js_bool(struct json_object *o, const char *key);
size_t js_len(struct json_object *o, const char *key);
struct json_object *js_at(struct json_object *o, const char *key, size_t i);
/* The member as a cell: numbers and strings as they are, "-" if there is none. */
void js_cell(struct out_table *t, struct json_object *o, const char *key);

void js_add_u64(struct json_object *o, const char *key, uint64_t v);
void js_add_str(struct json_object *o, const char *key, const char *v);
void js_add_real(struct json_object *o, const char *key, double v);
void js_add_bool(struct json_object *o, const char *key, bool v);

#endif
