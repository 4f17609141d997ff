/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * steer_build.h - a new rps_sock_flow made in a thread of its own: the kernel takes seconds to find
 * and clear the 2 GB of the largest, and runs nothing else on that CPU meanwhile.
 *
 *   steer_build_start --> [being made] --> steer_build_poll: 0 --> steer_reload takes it
 *                                                     any time --> steer_build_drop
 *
 * Control thread only, but for the map's creation itself.
 */
#ifndef SLUICE_ENGINE_STEER_BUILD_H
#define SLUICE_ENGINE_STEER_BUILD_H

#include <sched.h>
#include <stdint.h>

struct steer;

/* Tables up to this many entries are made within a millisecond or two: not worth a thread. */
#define STEER_BUILD_MIN (1u << 20)

/*
 * Instead of one that is under way or was not taken. entries: a power of two; cpus: where, NULL:
 * any. -ENOMEM, -errno.
 */
int steer_build_start(struct steer *s, uint32_t entries, const cpu_set_t *cpus);
/* 0: it is there; -EAGAIN: not yet; -ENOENT: none of so many entries was begun; -errno of bpf(2). */
int steer_build_poll(const struct steer *s, uint32_t entries);
/* The descriptor of the finished table of so many entries, now the caller's; -1: there is none. */
int steer_build_take(struct steer *s, uint32_t entries);
/* Waits for the thread. Also when none was begun. */
void steer_build_drop(struct steer *s);

#endif
