/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * rules.h - the rules that users give: sources whose packets are dropped, here; protocols and
 * ports, in binds.h.
 *
 *   add     the trie first, then, with the first rule of its family, the program
 *           that looks at it          del     the reverse
 *   flush   the program first: all rules end at once
 *
 * They live as long as the daemon. Control thread only.
 */
#ifndef SLUICE_DAEMON_RULES_H
#define SLUICE_DAEMON_RULES_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/binds.h"
#include "daemon/device.h"
#include "engine/steer.h"
#include "sluice/control.h"

struct control;

struct deny_rule {
	struct steer_prefix prefix;
	uint32_t counter;
};

struct rules {
	struct deny_rule *deny;
	unsigned int nr_deny;
	unsigned int max_deny;
	unsigned int of_family[2];	/* IPv4, IPv6 */
	struct binds binds;
};

/* The rules in the maps go with the maps. */
void rules_destroy(struct rules *rules);

/*
 * Does what a RULE message asks for. 0: in effect for every packet from now on;
 * else nothing has changed and why, a sentence, may be set. -EINVAL: no such verb,
 * kind, prefix or action; -EEXIST; -ENOENT; -ENOSPC: too many; -ENOMEM, -errno of bpf(2).
 */
int rules_serve(struct rules *rules, struct device *dev, const struct sluice_ctl_msg *request,
		char *why, size_t len);

/* "10.0.0.0/8"; NULL: no rule has this counter. In text, of RULES_TEXT bytes. */
#define RULES_TEXT 64
const char *rules_find(const struct rules *rules, uint32_t counter, char *text);

/* A member "packets": what a counter has counted; null where the rule got none. */
void rules_put_packets(json_object *o, const struct steer *steer, uint32_t counter);

/* The document of `sluice rule show`. */
json_object *rules_answer(struct control *c);

#endif
