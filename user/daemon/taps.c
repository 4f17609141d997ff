// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/taps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/control.h"
#include "daemon/json.h"
#include "engine/tap_ring.h"

static int taps_check(const struct client *client, const struct sluice_ctl_msg *request, char *why,
		      size_t len)
{
	uint32_t ring = request->u.tap.ring_bytes, snap = request->u.tap.snaplen;

	if (client->tap || client->first) {
		snprintf(why, len, "this connection has a tap or sockets: use one of its own");
		return -EBUSY;
	}
	if (ring && (ring < SLUICE_LANE_MIN || ring > SLUICE_LANE_MAX || (ring & (ring - 1)))) {
		snprintf(why, len, "rings of %u bytes: a power of two from %u to %u is needed",
			 ring, SLUICE_LANE_MIN, SLUICE_LANE_MAX);
		return -EINVAL;
	}
	if (request->u.tap.stage >= SLUICE_TAP_STAGES || snap > SLUICE_TAP_SNAP) {
		snprintf(why, len, "no such stage, or a snap length above %u", SLUICE_TAP_SNAP);
		return -EINVAL;
	}
	return 0;
}

/* The slots of a client without lanes lie one behind the other, which tapped relies on. */
static int taps_add_ring(struct client *client, uint32_t ring_bytes)
{
	struct lanemem *mem = &client->mem;
	int slot = lanemem_alloc(mem, ring_bytes);

	if (slot < 0)
		return slot;
	return tap_ring_add(client->tap, mem->slot[slot].head, &mem->ctl[slot], ring_bytes);
}

static void taps_free(struct client *client)
{
	tap_ring_destroy(client->tap);
	free(client->tap);
	client->tap = NULL;
	for (uint32_t i = 0; i < SLUICE_CTL_LANES && client->mem.used; i++)
		lanemem_free(&client->mem, i);
}

int taps_open(struct control *c, struct client *client, const struct sluice_ctl_msg *request,
	      struct sluice_ctl_msg *answer, char *why, size_t len)
{
	uint32_t ring = request->u.tap.ring_bytes ? request->u.tap.ring_bytes : SLUICE_TAP_RING;
	uint32_t snap = request->u.tap.snaplen ? request->u.tap.snaplen : SLUICE_TAP_SNAP;
	uint32_t nr = c->dev->max_workers;
	int err = taps_check(client, request, why, len);

	if (err)
		return err;
	client->tap = calloc(1, sizeof(*client->tap));
	if (!client->tap)
		return -ENOMEM;
	err = tap_ring_init(client->tap, request->u.tap.stage, snap, nr);
	for (uint32_t w = 0; !err && w < nr; w++)
		err = taps_add_ring(client, ring);
	if (!err)
		err = tap_add(&c->dev->engine->taps, &client->tap->tap);
	if (err) {
		taps_free(client);
		snprintf(why, len, "no memory for %u rings of %u bytes: ask for smaller ones", nr,
			 ring);
		return err;
	}
	answer->u.tapped.data_offset = client->mem.slot[0].offset;
	answer->u.tapped.ctl_offset = 0;
	answer->u.tapped.ring_bytes = ring;
	answer->u.tapped.rings = nr;
	return 0;
}

void taps_close(struct control *c, struct client *client)
{
	if (!client->tap)
		return;
	tap_del(&c->dev->engine->taps, &client->tap->tap);
	taps_free(client);
}

bool taps_broken(const struct client *client)
{
	return client->tap && __atomic_load_n(&client->tap->broken, __ATOMIC_RELAXED);
}

json_object *taps_answer(const struct control *c)
{
	static const char *const stages[] = {
		[TAP_RX] = "rx", [TAP_GRO] = "gro", [TAP_L4] = "l4",
	};
	json_object *list = json_object_new_array();

	for (const struct client *client = c->first; client; client = client->next) {
		uint64_t copied, lost;
		json_object *o;

		if (!client->tap)
			continue;
		o = json_object_new_object();
		tap_ring_stat(client->tap, &copied, &lost);
		put_u64(o, "pid", (uint64_t)client->pid);
		put_text(o, "stage", stages[client->tap->tap.stage]);
		put_u64(o, "snaplen", client->tap->snaplen);
		put_u64(o, "copied", copied);
		put_u64(o, "lost", lost);
		json_object_array_add(list, o);
	}
	return list;
}
