/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* shared.h - a memory source that another thread than the worker's may push into. */
#ifndef TEST_SHARED_H
#define TEST_SHARED_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#include "rig.h"

struct shared_source {
	struct source src;
	struct mem_source mem;
	pthread_mutex_t lock;
};

static inline unsigned int shared_peek(struct source *src, struct rx_desc *desc, unsigned int n)
{
	struct shared_source *s = (void *)src;
	uint64_t count;

	pthread_mutex_lock(&s->lock);
	n = s->mem.src.ops->peek(&s->mem.src, desc, n);
	if (s->mem.head == s->mem.tail && read(src->fd, &count, sizeof(count)) < 0)
		assert_int_equal(errno, EAGAIN);
	pthread_mutex_unlock(&s->lock);
	return n;
}

static inline void shared_recycle(struct source *src, const uint64_t *frame, unsigned int n)
{
	struct shared_source *s = (void *)src;

	pthread_mutex_lock(&s->lock);
	s->mem.src.ops->recycle(&s->mem.src, frame, n);
	pthread_mutex_unlock(&s->lock);
}

static inline bool shared_pending(const struct source *src)
{
	struct shared_source *s = (void *)(uintptr_t)src;
	bool pending;

	pthread_mutex_lock(&s->lock);
	pending = s->mem.head != s->mem.tail;
	pthread_mutex_unlock(&s->lock);
	return pending;
}

static inline int shared_push_meta(struct shared_source *s, const struct frame *f, const void *meta)
{
	uint64_t one = 1;
	int err;

	pthread_mutex_lock(&s->lock);
	err = mem_source_push(&s->mem, f->b, f->len, meta);
	assert_int_equal(write(s->src.fd, &one, sizeof(one)), sizeof(one));
	pthread_mutex_unlock(&s->lock);
	return err;
}

static inline int shared_push(struct shared_source *s, const struct frame *f)
{
	return shared_push_meta(s, f, NULL);
}

static const struct source_ops shared_ops = {
	.peek = shared_peek,
	.recycle = shared_recycle,
	.pending = shared_pending,
};

static inline void shared_open(struct shared_source *s)
{
	assert_int_equal(mem_source_init(&s->mem, RIG_FRAMES), 0);
	pthread_mutex_init(&s->lock, NULL);
	s->src = (struct source){ .ops = &shared_ops,
				  .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
}

static inline void shared_close(struct shared_source *s)
{
	close(s->src.fd);
	pthread_mutex_destroy(&s->lock);
	mem_source_destroy(&s->mem);
}

/* The first CPU that this process may use. */
static inline unsigned int some_cpu(void)
{
	cpu_set_t set;
	unsigned int cpu = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	return cpu;
}

#endif
