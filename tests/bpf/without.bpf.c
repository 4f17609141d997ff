// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The XDP program as if what is off by default had never been there. */
#include "maps.h"

#define generic_mode 0
#define flow_limit_len 0
#define cpumap 0
#define deny_families 0
#define decide_more 0

#include "../../bpf/steer.bpf.c"
