/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * steer_cpu.h - the entries of cpu_map and the programs that run behind them
 * (bpf/cpumap.bpf.c; steer.h has what others call). Control thread only.
 *
 * Each entry is a thread of the kernel, so there are none until a rule or the default needs
 * them, and none when nothing does any more.
 */
#ifndef SLUICE_ENGINE_STEER_CPU_H
#define SLUICE_ENGINE_STEER_CPU_H

#include "engine/steer.h"

/* Something may have SLUICE_ACT_CPUMAP. */
static inline bool steer_cpu_needed(const struct steer_config *config)
{
	return config->fallback == SLUICE_ACT_CPUMAP || config->bind_rules & SLUICE_BIND_CPUMAP;
}

/*
 * Makes the entries for config.cpus; nothing if they are there. -EINVAL: no CPU;
 * -EOPNOTSUPP: the kernel cannot run the program (5.18 can); -ENOMEM, -errno of bpf(2).
 */
int steer_cpu_open(struct steer *s, const struct steer_config *config);
/* After a grace period in which no program redirected. What is queued is still received. */
void steer_cpu_close(struct steer *s);

#endif
