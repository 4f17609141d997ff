/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* flow_cond.h - which flows `sluice flow show` shall show, and in which order. */
#ifndef SLUICE_CLI_FLOW_COND_H
#define SLUICE_CLI_FLOW_COND_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/opt.h"
#include "sluice/control.h"

struct flow_cond {
	struct sluice_ctl_flows ask;	/* cond and what it names */
	bool by_queue;
	uint32_t queue;
};

/*
 * [show] [NAME VALUE]..., each name once; a flow must fit all of them. 0; else the exit status:
 * has told the user of `command` what is wrong.
 */
int flow_cond_parse(const char *command, const struct opt_words *words, struct flow_cond *cond);

/* "udp", or the number of one without a name; in static memory of the calling thread. */
const char *proto_name(uint8_t proto);

/*
 * Order of two flows of the daemon's documents (pointers to struct json_object *), for qsort:
 * by protocol, source, destination, hash, queue; those without addresses last.
 */
int flow_compare(const void *a, const void *b);

#endif
