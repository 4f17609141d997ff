/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* commands.h - the subcommands of `sluice`, one file each. */
#ifndef SLUICE_CLI_COMMANDS_H
#define SLUICE_CLI_COMMANDS_H

#include "cli/opt.h"

extern const struct command cmd_recv;
extern const struct command cmd_gen;
extern const struct command cmd_stat;
extern const struct command cmd_sock;
extern const struct command cmd_flow;
extern const struct command cmd_rule;
extern const struct command cmd_rps;
extern const struct command cmd_worker;
extern const struct command cmd_explain;
extern const struct command cmd_softnet;
extern const struct command cmd_dump;
extern const struct command cmd_replay;

#endif
