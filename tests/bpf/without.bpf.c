// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * The XDP program as if rps_dev_flow, flow_key, the limits, rules, roles, Toeplitz and CPUMAP
 * had never been there.
 */
#include "maps.h"

#define dev_flows 0
#define backlog_half 0
#define flow_keys 0
#define cpumap 0
#define decide_more 0

#include "../../bpf/steer.bpf.c"
