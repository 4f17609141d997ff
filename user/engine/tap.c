// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "engine/tap.h"

#include <errno.h>

#include "engine/engine.h"
#include "engine/worker.h"

static struct tap **tap_link(struct taps *taps, const struct tap *tap)
{
	struct tap **link = &taps->stage[tap->stage];

	while (*link && *link != tap)
		link = &(*link)->next;
	return link;
}

int tap_add(struct taps *taps, struct tap *tap)
{
	struct tap **link = tap_link(taps, tap);

	if (*link)
		return -EEXIST;
	tap->next = NULL;
	rcu_assign_pointer(*link, tap);
	return 0;
}

int tap_del(struct taps *taps, struct tap *tap)
{
	struct tap **link = tap_link(taps, tap);

	if (!*link)
		return -ENOENT;
	rcu_assign_pointer(*link, tap->next);
	synchronize_rcu();
	return 0;
}

void tap_see_all(struct tap *first, struct worker *worker, const struct pkt *pkt)
{
	worker->tapped = true;
	for (struct tap *tap = first; tap; tap = rcu_dereference(tap->next))
		tap->see(tap, worker, pkt);
}

void tap_commit(struct worker *worker)
{
	struct taps *taps = &worker->engine->taps;

	worker->tapped = false;
	for (int stage = 0; stage < TAP_STAGES; stage++) {
		struct tap *tap = rcu_dereference(taps->stage[stage]);

		for (; tap; tap = rcu_dereference(tap->next))
			tap->commit(tap, worker);
	}
}
