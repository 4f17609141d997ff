/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * inbox.h - a lane in memory of our own, and the end of it that a client reads, with
 * the library's code. The engine's struct lane is initialised over inbox_head() and
 * inbox_ctl() and must be gone before inbox_free(). One thread.
 */
#ifndef SLUICE_CLI_INBOX_H
#define SLUICE_CLI_INBOX_H

#include <stdint.h>

#include <sluice/lane.h>

struct inbox;

/* size: bytes of the ring, as lane_init() takes them. NULL: no memory. */
struct inbox *inbox_new(uint32_t size);
void inbox_free(struct inbox *in);

void *inbox_head(struct inbox *in);
struct sluice_lane_ctl *inbox_ctl(struct inbox *in);

/* The next record, valid until inbox_release(); NULL: there is none. */
const struct sluice_rec *inbox_next(struct inbox *in);
/* Gives what was read back to the producer. */
void inbox_release(struct inbox *in);

#endif
