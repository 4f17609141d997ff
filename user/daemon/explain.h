/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * explain.h - where the packets of a flow go at this moment, and why: the way of
 * bpf/steer.bpf.c and the engine walked once more over the live maps and tables,
 * for an untagged frame to the device's own address. Control thread only.
 */
#ifndef SLUICE_DAEMON_EXPLAIN_H
#define SLUICE_DAEMON_EXPLAIN_H

#include <json-c/json.h>

struct control;
struct sluice_ctl_flow;

/* The document of `sluice explain`. Looks only: it counts and changes nothing. */
json_object *explain_answer(struct control *c, const struct sluice_ctl_flow *flow);

#endif
