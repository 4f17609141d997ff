// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/lanemem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define CTL_BYTES (SLUICE_CTL_LANES * sizeof(struct sluice_lane_ctl))

static int lanemem_file(const char *name, uint64_t bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), err;

	if (fd < 0)
		return -errno;
	/* 0600: a client of another user cannot re-open its read-only descriptor for writing. */
	if (fchmod(fd, 0600) || ftruncate(fd, (off_t)bytes) || fcntl(fd, F_ADD_SEALS, SEALS)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int lanemem_reopen(int fd)
{
	char path[40];
	int ro;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	return ro < 0 ? -errno : ro;
}

int lanemem_init(struct lanemem *mem)
{
	int err;

	*mem = (struct lanemem){ .data_fd = -1, .data_ro_fd = -1, .ctl_fd = -1, .ctl = MAP_FAILED };
	mem->slot = calloc(SLUICE_CTL_LANES, sizeof(*mem->slot));
	if (!mem->slot)
		return -ENOMEM;
	/* Twice what may be used: room for holes between lanes of unequal size. */
	err = mem->data_fd = lanemem_file("sluice-data", 2 * LANEMEM_MAX);
	if (err >= 0)
		err = mem->data_ro_fd = lanemem_reopen(mem->data_fd);
	if (err >= 0)
		err = mem->ctl_fd = lanemem_file("sluice-control", CTL_BYTES);
	if (err >= 0) {
		mem->ctl = mmap(NULL, CTL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, mem->ctl_fd,
				0);
		if (mem->ctl == MAP_FAILED)
			err = -ENOMEM;
	}
	if (err < 0)
		lanemem_destroy(mem);
	return err < 0 ? err : 0;
}

void lanemem_destroy(struct lanemem *mem)
{
	for (uint32_t i = 0; mem->slot && i < SLUICE_CTL_LANES; i++)
		lanemem_free(mem, i);
	if (mem->ctl != MAP_FAILED && mem->ctl)
		munmap(mem->ctl, CTL_BYTES);
	if (mem->data_fd >= 0)
		close(mem->data_fd);
	if (mem->data_ro_fd >= 0)
		close(mem->data_ro_fd);
	if (mem->ctl_fd >= 0)
		close(mem->ctl_fd);
	free(mem->slot);
	*mem = (struct lanemem){ .data_fd = -1, .data_ro_fd = -1, .ctl_fd = -1 };
}

/* The lowest offset where bytes fit: lanes are few and long-lived, so a walk over all is enough. */
static int64_t lanemem_place(const struct lanemem *mem, uint64_t bytes)
{
	uint64_t at = 0;
	bool moved;

	do {
		moved = false;
		for (uint32_t i = 0; i < SLUICE_CTL_LANES; i++) {
			const struct lanemem_slot *s = &mem->slot[i];

			if (s->bytes && at < s->offset + s->bytes && s->offset < at + bytes) {
				at = s->offset + s->bytes;
				moved = true;
			}
		}
	} while (moved);
	return at + bytes <= 2 * LANEMEM_MAX ? (int64_t)at : -ENOSPC;
}

static int lanemem_map(struct lanemem *mem, struct lanemem_slot *s)
{
	/* Pages now, not at the first packet: a fault that finds no memory would be a SIGBUS. */
	if (fallocate(mem->data_fd, 0, (off_t)s->offset, (off_t)s->bytes))
		return -errno;
	s->head = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		       mem->data_fd, (off_t)s->offset);
	return s->head == MAP_FAILED ? -ENOMEM : 0;
}

int lanemem_alloc(struct lanemem *mem, uint32_t ring_bytes)
{
	struct lanemem_slot new = { .bytes = SLUICE_LANE_HEAD + (uint64_t)ring_bytes };
	int64_t at = lanemem_place(mem, new.bytes);
	uint32_t i;
	int err;

	if (at < 0 || mem->used + new.bytes > LANEMEM_MAX)
		return -ENOSPC;
	for (i = 0; i < SLUICE_CTL_LANES && mem->slot[i].bytes; i++)
		;
	if (i == SLUICE_CTL_LANES)
		return -ENOSPC;
	new.offset = (uint64_t)at;
	err = lanemem_map(mem, &new);
	if (err) {
		fallocate(mem->data_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)new.offset, (off_t)new.bytes);
		return err;
	}
	mem->slot[i] = new;
	mem->used += new.bytes;
	memset(&mem->ctl[i], 0, sizeof(mem->ctl[i]));
	mem->ctl[i].armed = 1;
	return (int)i;
}

void lanemem_free(struct lanemem *mem, uint32_t slot)
{
	struct lanemem_slot *s = &mem->slot[slot];

	if (!s->bytes)
		return;
	munmap(s->head, s->bytes);
	fallocate(mem->data_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)s->offset,
		  (off_t)s->bytes);
	mem->used -= s->bytes;
	*s = (struct lanemem_slot){ 0 };
}
