/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#include "engine/umem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Completion ring: never used, but an XSK cannot be bound without one. */
#define UMEM_COMP_SIZE 64

/* With the lock held. The frames used last go first: they are still in a cache. */
static void umem_refill(struct umem *umem)
{
	uint32_t n = xsk_prod_nb_free(&umem->fill, umem->nr_pool), idx;

	if (n > umem->nr_pool)
		n = umem->nr_pool;
	if (!n || !xsk_ring_prod__reserve(&umem->fill, n, &idx))
		return;
	for (uint32_t i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&umem->fill, idx + i) = umem->pool[--umem->nr_pool];
	xsk_ring_prod__submit(&umem->fill, n);
}

unsigned int umem_recycle(struct umem *umem, const uint64_t *frame, unsigned int n)
{
	if (pthread_mutex_trylock(&umem->lock))
		return 0;
	memcpy(&umem->pool[umem->nr_pool], frame, n * sizeof(*frame));
	umem->nr_pool += n;
	umem_refill(umem);
	pthread_mutex_unlock(&umem->lock);
	return n;
}

int umem_init(struct umem *umem, uint32_t frames, uint32_t frame_size, uint32_t fill_size)
{
	struct xsk_umem_config config = {
		.fill_size = fill_size,
		.comp_size = UMEM_COMP_SIZE,
		.frame_size = frame_size,
	};
	int err;

	*umem = (struct umem){
		.frames = frames,
		.frame_size = frame_size,
		.size = (uint64_t)frames * frame_size,
	};
	pthread_mutex_init(&umem->lock, NULL);
	if (frames < fill_size)
		return -EINVAL;
	umem->pool = calloc(frames, sizeof(*umem->pool));
	umem->area = mmap(NULL, umem->size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (umem->area == MAP_FAILED)
		umem->area = NULL;
	if (!umem->pool || !umem->area)
		return -ENOMEM;
	err = xsk_umem__create(&umem->umem, umem->area, umem->size, &umem->fill, &umem->comp,
			       &config);
	if (err)
		return err;
	while (umem->nr_pool < frames) {
		umem->pool[umem->nr_pool] = (uint64_t)umem->nr_pool * frame_size;
		umem->nr_pool++;
	}
	umem_refill(umem);
	return 0;
}

void umem_destroy(struct umem *umem)
{
	if (umem->umem)
		xsk_umem__delete(umem->umem);
	if (umem->area)
		munmap(umem->area, umem->size);
	free(umem->pool);
	if (umem->frames)
		pthread_mutex_destroy(&umem->lock);
	*umem = (struct umem){ 0 };
}

uint32_t umem_free_frames(const struct umem *umem)
{
	return __atomic_load_n(&umem->nr_pool, __ATOMIC_RELAXED);
}

uint32_t umem_fill_frames(const struct umem *umem)
{
	return __atomic_load_n(umem->fill.producer, __ATOMIC_RELAXED) -
	       __atomic_load_n(umem->fill.consumer, __ATOMIC_RELAXED);
}
