/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * opt.h - a command and its options. One table drives the parser and --help;
 * each option names the field of the command's configuration that it sets.
 */
#ifndef SLUICE_CLI_OPT_H
#define SLUICE_CLI_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct opt;

/* Stores arg into field. 0; -EINVAL: not of this kind; -ERANGE: outside [min, max]. */
typedef int (*opt_parse_fn)(const struct opt *o, const char *arg, void *field);

struct opt {
	int letter;		/* 0: only the long name */
	const char *name;
	const char *arg; /* name of the argument in --help; NULL: a flag, the field is a bool */
	opt_parse_fn parse;
	size_t field;		/* offset in the configuration */
	uint64_t min, max;
	const char *help;
};

#define OPT_WORDS 32

/* What is no option on a command line, in its order. */
struct opt_words {
	size_t n;
	const char *v[OPT_WORDS];
};

struct command {
	const char *name;
	const char *verb;	/* optional second word; NULL: none */
	bool takes_words;	/* any words, into the struct opt_words at words; no verb then */
	size_t words;
	const char *summary;
	const char *args;	/* what --help shows after the name */
	const struct opt *opts;
	size_t nopts;
	size_t conf_size;
	void (*defaults)(void *conf);	/* NULL: all 0 */
	int (*run)(void *conf);		/* the exit status */
};

#define OPT_LIST 64

struct opt_list {
	uint32_t n;
	uint32_t v[OPT_LIST];
};

struct opt_mac {
	bool set;
	uint8_t v[6];
};

/*
 * Parsers, by the type of the field. min and max are in the unit of the argument
 * (opt_seconds: in ns). A list looks like 1,4-7.
 */
int opt_string(const struct opt *o, const char *arg, void *field);	/* const char * */
int opt_u32(const struct opt *o, const char *arg, void *field);		/* uint32_t */
int opt_u64(const struct opt *o, const char *arg, void *field);		/* uint64_t */
int opt_seconds(const struct opt *o, const char *arg, void *field);	/* uint64_t, ns */
int opt_ms(const struct opt *o, const char *arg, void *field);		/* uint64_t, ns */
int opt_list(const struct opt *o, const char *arg, void *field);	/* struct opt_list */
int opt_mac(const struct opt *o, const char *arg, void *field);		/* struct opt_mac */

/* 0: go on; else the command ends with *status. Has told the user why. */
int opt_parse(const struct command *c, int argc, char **argv, void *conf, int *status);

/* Tells the user what is wrong with the command line; returns the exit status for it. */
int opt_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
