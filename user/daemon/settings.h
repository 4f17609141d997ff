/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * settings.h - what can be set while the daemon runs: Linux's rps_cpus and rps_flow_cnt of a
 * queue, and rps_sock_flow_entries; and RFS for the kernel's sockets. What Linux refuses is
 * refused, and so are CPUs without a worker; the old setting stays then. Control thread only.
 */
#ifndef SLUICE_DAEMON_SETTINGS_H
#define SLUICE_DAEMON_SETTINGS_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/device.h"
#include "sluice/control.h"

/*
 * Does what an RPS message asks for. 0: in effect for every packet from now on;
 * else nothing has changed and why, a sentence, may be set. -EINVAL: no such setting,
 * queue or CPU, or too many entries; -EBUSY: a worker is being removed; -ENOMEM, -errno of bpf(2).
 * -EAGAIN: nothing yet, flows have still to leave a table that was replaced before: try again
 * after settings_tick(). -EINPROGRESS: nothing yet, a large table is being made: ask the same
 * again.
 *
 * Setting the entries empties the table, as in Linux, also when the number is the same.
 */
int settings_serve(struct device *dev, const struct sluice_ctl_msg *request, char *why, size_t len);

/*
 * Goes on with tables that were replaced (steer_settle_dev_flows). 0: there is nothing to do
 * any more; -EAGAIN: call it again, soon. Takes a grace period.
 */
int settings_tick(struct device *dev);

/*
 * A mask of nr CPUs in words of 64 as Linux prints it: hexadecimal, the highest
 * first, a comma after each 32. len must be at least nr / 32 * 9 + 10.
 */
void settings_mask(const uint64_t *mask, uint32_t nr, char *text, size_t len);

/*
 * RFS for the kernel's sockets, on or off (rfs_kernel.h). 0; -EINVAL: RFS is off;
 * -EOPNOTSUPP: not on this kernel; with a sentence in why. On failure it is off.
 */
int settings_kernel_rfs(struct device *dev, bool on, char *why, size_t len);

/* For who uses CPUMAP on a veth. */
#define SETTINGS_VETH_WARNING \
	"local senders must do 'ethtool -K DEV tx off' on their end of this veth: packets redirected " \
	"to a CPU lose the note that their checksum is not complete, and are dropped"

/* The document of `sluice rps show`. */
json_object *settings_answer(const struct device *dev);

#endif
