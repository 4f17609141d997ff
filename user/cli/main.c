// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* main.c - `sluice COMMAND ...`: finds the command, reads its options, runs it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/out.h"

static const struct command *const commands[] = {
	&cmd_stat, &cmd_softnet, &cmd_sock, &cmd_flow, &cmd_rule, &cmd_rps, &cmd_worker,
	&cmd_explain, &cmd_dump, &cmd_recv, &cmd_gen, &cmd_replay,
};

#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *f)
{
	fputs("Usage: sluice [-j] COMMAND [OPTION...]\n\n", f);
	for (size_t i = 0; i < NCOMMANDS; i++)
		fprintf(f, "  %-7s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n-j: JSON. `sluice COMMAND --help` for the options of one; -V: version.\n", f);
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < NCOMMANDS; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static int run(const struct command *c, int argc, char **argv)
{
	void *conf = calloc(1, c->conf_size);
	int status = EXIT_FAILURE;

	if (!conf)
		return out_error(c->name, "out of memory");
	if (c->defaults)
		c->defaults(conf);
	if (!opt_parse(c, argc, argv, conf, &status))
		status = c->run(conf);
	free(conf);
	return status;
}

/* A -j ahead of the command becomes the command's: argv then begins at it. */
int main(int argc, char **argv)
{
	const struct command *c;
	char name[32], json[] = "--json";
	int first = 1;

	if (argc > 1 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		usage(stdout);
		return EXIT_SUCCESS;
	}
	if (argc > 1 && (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version"))) {
		puts("sluice " SLUICE_VERSION);
		return EXIT_SUCCESS;
	}
	if (argc > 1 && (!strcmp(argv[1], "-j") || !strcmp(argv[1], "--json")))
		first = 2;
	c = first < argc ? find(argv[first]) : NULL;
	if (!c) {
		if (first < argc)
			fprintf(stderr, "sluice: `%s` is not a command\n", argv[first]);
		usage(stderr);
		return 2;
	}
	snprintf(name, sizeof(name), "sluice %s", c->name);
	argv += first;
	argc -= first;
	if (first == 2) {
		argv--;
		argc++;
		argv[1] = json;
	}
	argv[0] = name;
	return run(c, argc, argv);
}
