// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of this layout: another version's is not read. */
#define LEDGER_MAGIC 0x736c6631u

struct record {
	struct nic_filter filter;
	uint32_t used;
};

struct ledger_page {
	uint32_t magic;
	struct record record[ARFS_FILTERS];
};

static struct ledger *ledger_of(struct nic_filters *filters)
{
	return (struct ledger *)filters;
}

static int capacity(struct nic_filters *filters, uint32_t *room)
{
	struct ledger *l = ledger_of(filters);
	int err = l->nic->ops->capacity(l->nic, room);

	if (!err && *room > ARFS_FILTERS - l->used)
		*room = ARFS_FILTERS - l->used;
	return err;
}

static int add(struct nic_filters *filters, struct nic_filter *filter)
{
	struct ledger *l = ledger_of(filters);
	struct record *r = &l->page->record[l->next];
	int err;

	if (l->used == ARFS_FILTERS)
		return -ENOSPC;
	err = l->nic->ops->add(l->nic, filter);
	if (err)
		return err;
	while (r->used) {
		l->next = (l->next + 1) % ARFS_FILTERS;
		r = &l->page->record[l->next];
	}
	r->filter = *filter;
	/* A record is complete before it counts, whenever the daemon is killed. */
	__atomic_store_n(&r->used, 1, __ATOMIC_RELEASE);
	l->used++;
	return 0;
}

static void cross_out(struct ledger *l, struct record *r)
{
	__atomic_store_n(&r->used, 0, __ATOMIC_RELEASE);
	l->used--;
	l->next = (uint32_t)(r - l->page->record);
}

static int del(struct nic_filters *filters, const struct nic_filter *filter)
{
	struct ledger *l = ledger_of(filters);
	int err = l->nic->ops->del(l->nic, filter);

	if (err && err != -ENOENT)
		return err;
	for (uint32_t i = 0; i < ARFS_FILTERS; i++) {
		struct record *r = &l->page->record[i];

		if (r->used && r->filter.location == filter->location) {
			cross_out(l, r);
			break;
		}
	}
	return err;
}

static const struct nic_filters_ops ledger_ops = { capacity, add, del };

static void remove_left(struct ledger *l, uint32_t *removed)
{
	for (uint32_t i = 0; i < ARFS_FILTERS; i++) {
		struct record *r = &l->page->record[i];
		int err;

		if (!r->used)
			continue;
		l->used++;
		err = l->nic->ops->del(l->nic, &r->filter);
		if (err && err != -ENOENT)
			continue;
		cross_out(l, r);
		*removed += !err;
	}
}

int ledger_open(struct ledger *l, const char *path, struct nic_filters *nic, uint32_t *removed)
{
	struct stat st;
	int fd, err = 0;
	void *p;

	*l = (struct ledger){ .filters = { &ledger_ops }, .nic = nic };
	*removed = 0;
	snprintf(l->path, sizeof(l->path), "%s", path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || ftruncate(fd, sizeof(struct ledger_page)))
		err = -errno;
	p = err ? MAP_FAILED : mmap(NULL, sizeof(struct ledger_page), PROT_READ | PROT_WRITE,
				    MAP_SHARED, fd, 0);
	if (!err && p == MAP_FAILED)
		err = -errno;
	close(fd);
	if (err)
		return err;
	l->page = p;
	if (st.st_size != sizeof(struct ledger_page) || l->page->magic != LEDGER_MAGIC)
		memset(l->page, 0, sizeof(*l->page));
	l->page->magic = LEDGER_MAGIC;
	remove_left(l, removed);
	return 0;
}

void ledger_close(struct ledger *l)
{
	if (!l->page)
		return;
	munmap(l->page, sizeof(*l->page));
	l->page = NULL;
	if (!l->used)
		unlink(l->path);
}
