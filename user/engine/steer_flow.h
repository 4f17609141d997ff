/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * steer_flow.h - the tables of rps_dev_flow, one per queue, and how one takes the
 * place of another (steer.h has what others call). Control thread only.
 */
#ifndef SLUICE_ENGINE_STEER_FLOW_H
#define SLUICE_ENGINE_STEER_FLOW_H

struct steer;

/* After the load. No queue has a table yet. -ENOMEM. */
int steer_flow_open(struct steer *s);
/* Also of one that steer_flow_open() failed on or was not called for. */
void steer_flow_close(struct steer *s);

#endif
