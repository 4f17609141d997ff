/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * dissect.h - the flow of a packet that came without rx_meta, by the same parser and the
 * same hash as the XDP program's (bpf/parse.h, bpf/hash.h), so that it stays one flow.
 * Reads the engine's keys only, which do not change: any thread.
 */
#ifndef SLUICE_ENGINE_DISSECT_H
#define SLUICE_ENGINE_DISSECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hash.h>

struct engine;

/* False where the frame has no flow: not IP, or malformed. */
bool dissect_key(const void *frame, size_t len, struct flow_key *key);

/* Never 0. */
uint32_t dissect_key_hash(const struct engine *engine, const struct flow_key *key);

/* 0: no flow. */
uint32_t dissect_hash(const struct engine *engine, const void *frame, size_t len);

#endif
