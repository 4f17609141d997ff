/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * answer.h - what the daemon tells about itself, as one JSON document per
 * query (sluice stat, sock, flow, rule show, rps show, explain). Control thread only.
 */
#ifndef SLUICE_DAEMON_ANSWER_H
#define SLUICE_DAEMON_ANSWER_H

#include <stdint.h>

struct control;
struct sluice_ctl_msg;

/*
 * request: QUERY (sluice/control.h). A sealed memfd with the document, for the caller
 * to close; -EINVAL: no such query; -ENOMEM.
 */
int answer_query(struct control *c, const struct sluice_ctl_msg *request);

#endif
