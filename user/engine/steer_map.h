/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* steer_map.h - what the files behind steer.h share: elements of a map, types of a new one. */
#ifndef SLUICE_ENGINE_STEER_MAP_H
#define SLUICE_ENGINE_STEER_MAP_H

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

static inline int steer_update(const struct bpf_map *map, const void *key, const void *value)
{
	return bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY);
}

/* What makes `bpftool map dump` print fields: keys of __u32, values of this struct. */
static inline void steer_map_types(struct bpf_map_create_opts *opts, const struct bpf_object *obj,
				   const char *value_type)
{
	const struct btf *btf = bpf_object__btf(obj);
	int key = btf__find_by_name_kind(btf, "__u32", BTF_KIND_TYPEDEF);
	int value = btf__find_by_name_kind(btf, value_type, BTF_KIND_STRUCT);

	if (key < 0 || value < 0)
		return;
	opts->btf_fd = (uint32_t)bpf_object__btf_fd(obj);
	opts->btf_key_type_id = (uint32_t)key;
	opts->btf_value_type_id = (uint32_t)value;
}

#endif
