/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * bypass.h - what of this host's network configuration attached traffic does
 * not pass, because XDP comes before it: netfilter and packet sockets. Of the
 * calling thread's network namespace. Any thread.
 */
#ifndef SLUICE_DAEMON_BYPASS_H
#define SLUICE_DAEMON_BYPASS_H

#include <stddef.h>

/*
 * One sentence that names what is active, or "". Where the kernel does not tell, it counts
 * as not active.
 */
void bypass_describe(char *text, size_t len);

#endif
