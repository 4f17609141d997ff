// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * The mapped lane: walking its records and giving them back. (B) and (C) are
 * the client's half of the ordering in lane.h.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib.h"

/* Maps [offset, offset + len) of fd; *base and *base_len are what to unmap. */
static void *map_part(int fd, uint64_t offset, size_t len, int prot, void **base, size_t *base_len)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t skip = offset & (page - 1);
	struct stat st;
	void *map;

	if (fstat(fd, &st) || st.st_size < 0 || offset > (uint64_t)st.st_size ||
	    len > (uint64_t)st.st_size - offset)
		return NULL;
	map = mmap(NULL, len + skip, prot, MAP_SHARED, fd, (off_t)(offset - skip));
	if (map == MAP_FAILED)
		return NULL;
	*base = map;
	*base_len = len + skip;
	if (madvise(map, len + skip, MADV_DONTFORK))
		return NULL;
	return (uint8_t *)map + skip;
}

static bool size_valid(uint32_t size)
{
	return size >= SLUICE_LANE_MIN && size <= SLUICE_LANE_MAX && !(size & (size - 1));
}

int lib_lane_map(struct lane *lane, int data_fd, int ctl_fd, const struct sluice_ctl_msg *msg)
{
	uint32_t size = msg->u.attached.ring_bytes;
	const struct sluice_lane_head *head;
	struct sluice_lane_ctl *ctl;

	if (!size_valid(size) || msg->u.attached.data_offset % SLUICE_REC_ALIGN ||
	    msg->u.attached.ctl_offset % __alignof__(struct sluice_lane_ctl))
		return -EPROTO;
	head = map_part(data_fd, msg->u.attached.data_offset, SLUICE_LANE_HEAD + size, PROT_READ,
			&lane->data_map, &lane->data_len);
	ctl = map_part(ctl_fd, msg->u.attached.ctl_offset, sizeof(*ctl), PROT_READ | PROT_WRITE,
		       &lane->ctl_map, &lane->ctl_len);
	if (!head || !ctl || head->magic != SLUICE_LANE_MAGIC || head->size != size) {
		lib_lane_unmap(lane);
		return -EPROTO;
	}
	lane->ring = (const uint8_t *)head + SLUICE_LANE_HEAD;
	lane->size = size;
	lane->pos = __atomic_load_n(&ctl->consumer, __ATOMIC_RELAXED);
	lane->published = lane->pos;
	lane->producer = lane->pos;
	lane->ctl = ctl;
	lane->head = head;
	/* So that the worker's first record of all sends a byte. */
	__atomic_store_n(&ctl->armed, 1, __ATOMIC_SEQ_CST);
	return 0;
}

void lib_lane_unmap(struct lane *lane)
{
	if (lane->data_map)
		munmap(lane->data_map, lane->data_len);
	if (lane->ctl_map)
		munmap(lane->ctl_map, lane->ctl_len);
	memset(lane, 0, sizeof(*lane));
}

static const struct sluice_rec *nonsense(struct lane *lane)
{
	lane->bad = true;
	return NULL;
}

/* Bytes of the record at offset `at`, 0 when it cannot be one. have: bytes up to the producer. */
static uint64_t rec_span(const struct lane *lane, const struct sluice_rec *rec, uint64_t at,
			 uint64_t have)
{
	uint64_t room = lane->size - at, span;
	uint32_t len;

	if (have < sizeof(*rec))
		return 0;
	len = rec->len;
	if (len > lane->size)
		return 0;
	span = SLUICE_REC_SPACE(len);
	if (span > have || span > room)
		return 0;
	if (rec->kind == SLUICE_REC_SKIP)
		return span == room ? span : 0;
	return rec->kind == SLUICE_REC_DATA ? span : 0;
}

const struct sluice_rec *lib_lane_at(struct lane *lane, uint64_t *pos, uint64_t *next)
{
	const struct sluice_rec *rec;
	uint64_t at, span;

	if (!lane->head || lane->bad)
		return NULL;
	for (;;) {
		if (*pos == lane->producer) {
			/* (B) */
			lane->producer = __atomic_load_n(&lane->head->producer, __ATOMIC_ACQUIRE);
			if (*pos == lane->producer)
				return NULL;
			if (lane->producer - *pos > lane->size || *pos % SLUICE_REC_ALIGN)
				return nonsense(lane);
		}
		at = *pos & (lane->size - 1);
		rec = (const void *)(lane->ring + at);
		span = rec_span(lane, rec, at, lane->producer - *pos);
		if (!span)
			return nonsense(lane);
		*next = *pos + span;
		if (rec->kind == SLUICE_REC_DATA)
			break;
		*pos = *next;
	}
	at = *next & (lane->size - 1);
	__builtin_prefetch(lane->ring + at);
	__builtin_prefetch(lane->ring + at + sizeof(*rec));
	return rec;
}

void lib_lane_publish(struct lane *lane)
{
	int cpu;

	if (lane->pos == lane->published)
		return;
	cpu = sched_getcpu();
	if (cpu >= 0)
		__atomic_store_n(&lane->ctl->cpu, (uint32_t)cpu, __ATOMIC_RELAXED);
	/* (C), which also orders cpu before it */
	__atomic_store_n(&lane->ctl->consumer, lane->pos, __ATOMIC_RELEASE);
	lane->published = lane->pos;
}
