/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* json.h - members of the daemon's documents. Any thread. */
#ifndef SLUICE_DAEMON_JSON_H
#define SLUICE_DAEMON_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include <sluice/steer.h>

void put_u64(json_object *o, const char *key, uint64_t value);
void put_text(json_object *o, const char *key, const char *value);
/* ipv6: what an address of all zero is shown as. */
void put_addr(json_object *o, const char *key, const struct sluice_addr *addr, bool ipv6);

#endif
