/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * binds.h - rules of users for a protocol, a local port and, perhaps, a local address
 * (map bind_rule), and the default action for what no rule and no socket takes.
 *
 *   add     with the first rule of its kind, the program that looks for such rules; then the
 *           map: one store, so that the rule holds from one packet to the next
 *   change  of a rule's action: the same      del     the reverse
 *   flush   the program first: all rules end at once
 *
 * They live as long as the daemon. Control thread only.
 */
#ifndef SLUICE_DAEMON_BINDS_H
#define SLUICE_DAEMON_BINDS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/device.h"
#include "sluice/control.h"

struct bind_rule {
	struct sluice_bind_key key;	/* addr all 0: any */
	struct sluice_bind bind;
};

struct binds {
	struct bind_rule *rule;
	unsigned int nr;
	unsigned int max;
};

/* The rules in the maps go with the maps. */
void binds_destroy(struct binds *binds);

/*
 * Each: 0: in effect for every packet from now on; else nothing has changed, and why may
 * be set. -EINVAL: no such protocol, port, address or action, or not in this role; -EEXIST;
 * -ENOENT; -ENOSPC: too many; -ENOMEM, -errno of bpf(2).
 */
int binds_add(struct binds *binds, struct device *dev, const struct sluice_ctl_msg *request,
	      char *why, size_t len);
int binds_del(struct binds *binds, struct device *dev, const struct sluice_ctl_msg *request,
	      char *why, size_t len);
int binds_flush(struct binds *binds, struct device *dev);
int binds_set_default(struct device *dev, uint32_t action, char *why, size_t len);

/* The rule that the program finds for a packet, as it stands in the map; false: none. */
bool binds_find(const struct device *dev, const struct sluice_ctl_flow *flow,
		struct bind_rule *rule);

/* "udp *:53", "tcp [2001:db8::1]:80" */
#define BINDS_TEXT 80
void binds_text(const struct sluice_bind_key *key, char *text);
/* "xsk"; "?" for what is none. */
const char *binds_action(uint32_t action);

/* A list of objects, for `sluice rule show`. */
json_object *binds_answer(const struct binds *binds, const struct device *dev);

#endif
