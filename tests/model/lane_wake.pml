/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * lane_wake.pml - no record is left in a lane while its client sleeps: the protocol of
 * user/engine/lane.c (lane_commit) with user/lib/wait.c (arm, lib_wait, lib_settle).
 *
 *   worker                              client
 *     producer = n                        drain the wake socket
 *     (F)                                 armed = 1
 *     armed? exchange with 0, send        (E)
 *                                         producer again; nothing: sleep
 *
 * Each side's stores wait in a buffer until `memory` lets the other see them, in their
 * order, and its own loads overtake them (as on x86; SPARC's TSO): so the fences matter.
 *
 * POLL: the client polls sluice_fd(); without, it sleeps in the receive call. Runs that
 * scripts/test makes, and those, each without one part, that must be found out:
 *
 *   holds:
 *   holds: -DPOLL
 *   fails: -DNO_E
 *   fails: -DNO_F
 *   fails: -DPOLL -DNO_E
 *   fails: -DPOLL -DNO_F
 *   fails: -DPOLL -DNO_RAISE
 *   fails: -DPOLL -DNO_DRAIN
 */
#ifndef PACKETS
#define PACKETS 4
#endif
#define SOCKET_ROOM 2

byte written;		/* producer as the worker has stored it */
byte producer;		/* as the client sees it */
byte consumed;
bool arming;		/* the client's store of 1 is on its way */
bool armed = 1;		/* as the worker sees it; a lane begins so */
bool raised;
byte bytes;		/* in the wake socket */

active proctype memory()
{
end:	do
	:: written > producer -> producer++
	:: arming -> d_step { armed = 1; arming = 0 }
	od
}

active proctype worker()
{
	bool was;

	do
	:: written < PACKETS ->
		written++;
#ifndef NO_F
		written == producer;	/* (F) */
#endif
		if
		:: armed ->
			written == producer;	/* an exchange is a fence */
			d_step { was = armed; armed = 0 };
			if
			:: was && bytes < SOCKET_ROOM -> bytes++
			:: else	/* full: then it is readable */
			fi
		:: else
		fi
	:: else -> break
	od
}

inline arm()
{
	bytes = 0;
	arming = 1;
#ifndef NO_E
	!arming		/* (E) */
#else
	skip
#endif
}

inline take()
{
	skip;
progress:
	consumed++;
	do
	:: producer > consumed -> consumed++
	:: break
	od
}

#ifdef POLL
inline settle(nothing)
{
	left = producer > consumed;
	if
#ifndef NO_DRAIN
	:: !left && (nothing || !(armed || arming)) ->
#else
	:: !left && !(armed || arming) ->
#endif
		arm();
		left = producer > consumed
	:: else
	fi;
#ifndef NO_RAISE
	raised = left && (armed || arming)
#endif
}

active proctype client()
{
	bool left, none;

	settle(true);
end:	do
	:: bytes > 0 || raised ->
		none = producer == consumed;
		if
		:: none
		:: else -> take()
		fi;
		settle(none)
	od
}
#else
active proctype client()
{
end:	do
	:: producer > consumed -> take()
	:: producer == consumed ->
		arm();
		if
		:: producer > consumed
		:: producer == consumed ->
end_asleep:		bytes > 0
		fi
	od
}
#endif

/* Once nothing moves any more. That a client does not wake up for ever: progress, above. */
active proctype check()
{
end:	timeout -> assert(consumed == PACKETS)
}
