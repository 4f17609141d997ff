/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* steer_map.h - what the files behind steer.h share: access to single elements of a map. */
#ifndef SLUICE_ENGINE_STEER_MAP_H
#define SLUICE_ENGINE_STEER_MAP_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

static inline int steer_update(const struct bpf_map *map, const void *key, const void *value)
{
	return bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY);
}

#endif
