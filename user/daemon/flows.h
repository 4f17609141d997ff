/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * flows.h - both flow tables, as `sluice flow show` asks for them.
 *
 * The tables have up to 2^29 and 2^24 entries, and the thread that would read them also
 * attaches sockets. So the client asks slice by slice, and no answer takes longer than
 * some ms; between two of them everyone else is served. The conditions are looked at here, so
 * that what is not wanted is neither printed nor sent. Control thread only.
 */
#ifndef SLUICE_DAEMON_FLOWS_H
#define SLUICE_DAEMON_FLOWS_H

#include <json-c/json.h>

struct control;
struct sluice_ctl_flows;

/* The slice that is asked for. A part that does not exist is empty. */
json_object *flows_answer(struct control *c, const struct sluice_ctl_flows *ask);

#endif
