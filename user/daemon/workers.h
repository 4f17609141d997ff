/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * workers.h - `sluice worker`: which workers there are, for which CPUs, and their coming and going
 * (device_worker.h). Control thread only.
 */
#ifndef SLUICE_DAEMON_WORKERS_H
#define SLUICE_DAEMON_WORKERS_H

#include <json-c/json.h>
#include <stddef.h>

#include "sluice/control.h"

struct device;

/*
 * Does what a WORKER message asks for. 0: done; -EINPROGRESS: begun, workers_step() goes on; text
 * is what the user should know, or "". Else nothing has changed, and text says why, or is "".
 */
int workers_serve(struct device *dev, const struct sluice_ctl_msg *request, char *text, size_t len);
/* 0: done, text may have been replaced; -EINPROGRESS: not yet. */
int workers_step(struct device *dev, char *text, size_t len);

/* The document of `sluice worker show`. */
json_object *workers_answer(const struct device *dev);

#endif
