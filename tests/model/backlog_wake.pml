/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * backlog_wake.pml - no packet is left in a worker's backlog while the worker sleeps: the
 * protocol of user/engine/backlog.c (netif_rx and backlog_complete with backlog_arm) and
 * user/engine/worker.c (worker_sleep).
 *
 *   producers, each                     owner
 *     push; note if it was empty          take all there is
 *     ... more of the batch               nothing: armed = 1
 *     (F)                                 (E)
 *     noted: armed? exchange, kick        look again; nothing: sleep; armed = 0, drain kicks
 *
 * Only who found the stack empty kicks, and only at the end of its batch. A push is one
 * atomic step (a compare-and-swap), but a load that follows it in the program may be done
 * before it, and one that follows a store before that, unless a fence is between: in each such
 * place the early load is a choice.
 *
 *   holds:
 *   fails: -DNO_E
 *   fails: -DNO_F
 *   fails: -DNO_LOOK
 *   fails: -DNO_NOTE
 */
#define PRODUCERS 2
#define BATCHES 2
#define BATCH 2
#define PACKETS (PRODUCERS * BATCHES * BATCH)

byte stack;
byte taken;
bool armed;
bool kicked;

active [PRODUCERS] proctype producer()
{
	byte batch, i;
	bool noted, early, was, seen;

	do
	:: batch < BATCHES ->
		batch++;
		noted = 0;
		early = 0;
		i = 0;
		do
		:: i < BATCH ->
#ifdef NO_F
			if
			:: seen = armed; early = 1
			:: skip
			fi;
#endif
			d_step {
#ifndef NO_NOTE
				noted = noted || stack == 0;
#else
				noted = stack == 0;
#endif
				stack++;
				i++
			}
		:: else -> break
		od;
		if
		:: !early -> seen = armed
		:: else
		fi;
		if
		:: noted && seen ->
			d_step { was = armed; armed = 0 };
			if
			:: was -> kicked = 1
			:: else
			fi
		:: else
		fi
	:: else -> break
	od
}

active proctype owner()
{
	byte looked;

end:	do
	:: stack > 0 ->
progress:
		d_step { taken = taken + stack; stack = 0 }
	:: stack == 0 ->
#ifdef NO_E
		looked = stack;
		armed = 1;
#else
		armed = 1;
		looked = stack;
#endif
#ifdef NO_LOOK
		looked = 0;
#endif
		if
		:: looked
		:: else ->
end_asleep:		kicked
		fi;
		armed = 0;
		kicked = 0
	od
}

/* Once nothing moves any more. */
active proctype check()
{
end:	timeout -> assert(taken == PACKETS)
}
