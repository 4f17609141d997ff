/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * ledger.h - filters that outlive the daemon which put them into the NIC. A killed daemon
 * takes nothing back; so they are written down, and the next one on the device removes them.
 *
 *   engine/arfs --add, del--> ledger --> nic
 *                               |
 *                  /run/sluice/<netns cookie>-<ifname>.filters, [ARFS_FILTERS] mapped records
 *
 * A filter is written down after the NIC has taken it and crossed out after it has gone: only a
 * daemon killed in between leaves one that nobody knows. What is found is deleted as any of ours,
 * which is to say only if it is still what was put there. Control thread only.
 */
#ifndef SLUICE_DAEMON_LEDGER_H
#define SLUICE_DAEMON_LEDGER_H

#include <stdint.h>

#include "engine/arfs.h"

struct ledger_page;

struct ledger {
	struct nic_filters filters;	/* first: what the engine is given */
	struct nic_filters *nic;
	struct ledger_page *page;
	char path[128];
	uint32_t used;			/* records */
	uint32_t next;			/* where a free one is looked for */
};

/*
 * nic must outlive it. Removes what an earlier daemon has left; *removed says how many. -errno
 * of the file.
 */
int ledger_open(struct ledger *l, const char *path, struct nic_filters *nic, uint32_t *removed);
/* The file stays while it has filters in it. Also of one that was not opened (all zero). */
void ledger_close(struct ledger *l);

#endif
