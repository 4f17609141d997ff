/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * guard_root.h - finds the root of the cgroup2 tree, where guard_cgroup.bpf.c
 * is attached, without changing anything of the tree.
 */
#ifndef SLUICE_GUARD_ROOT_H
#define SLUICE_GUARD_ROOT_H

/*
 * A descriptor (close it) of the root as this process's cgroup namespace has it:
 * the highest cgroup whose processes can be hooked from here. -ENOENT: no mount
 * of it is visible, and making one would disturb the host; -errno.
 */
int guard_root_open(void);

#endif
