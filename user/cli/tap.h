/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * tap.h - reads a tap of the daemon (sluice/tap.h): its rings, merged by time.
 *
 * A frame lies where the daemon wrote it until tap_release(): no copy is made for filters
 * that discard it.
 */
#ifndef SLUICE_CLI_TAP_H
#define SLUICE_CLI_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/tap.h"

struct tap_reader_ring {
	const struct sluice_lane_head *head;
	struct sluice_lane_ctl *ctl;
	uint64_t pos;		/* of the next record */
	uint64_t end;		/* producer when it was looked at */
};

struct tap_reader {
	int sock;		/* readable when the daemon has ended the tap */
	uint32_t rings;
	uint32_t size;
	struct tap_reader_ring *ring;
	void *data;
	size_t data_len;
	void *ctl;
	size_t ctl_len;
};

/* 0; -1: has told the user of `command` why not. ring_bytes, snaplen 0: the defaults. */
int tap_open(struct tap_reader *t, const char *command, const char *dev,
	     enum sluice_tap_stage stage, uint32_t snaplen, uint32_t ring_bytes);
void tap_close(struct tap_reader *t);

/* Looks what has come since. True: something. */
bool tap_look(struct tap_reader *t);
/* The oldest frame of what was seen by tap_look(), or NULL; len bytes follow it. */
const struct sluice_tap_rec *tap_next(struct tap_reader *t);
/* Gives back the room of all that tap_next() has returned. */
void tap_release(struct tap_reader *t);

/* Frames that the daemon has copied, and lost because a ring was full. */
void tap_count(const struct tap_reader *t, uint64_t *copied, uint64_t *lost);

#endif
