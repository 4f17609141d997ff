// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* opt.c - options from a table. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/opt.h"

#define OPT_MAX 40
#define OPT_LONG_BASE 256	/* getopt values of options without a letter */

int opt_string(const struct opt *o, const char *arg, void *field)
{
	(void)o;
	*(const char **)field = arg;
	return *arg ? 0 : -EINVAL;
}

static int parse_number(const struct opt *o, const char *arg, char **end, uint64_t *v)
{
	if (*arg < '0' || *arg > '9')
		return -EINVAL;
	errno = 0;
	*v = strtoull(arg, end, 0);
	return errno || *v < o->min || *v > o->max ? -ERANGE : 0;
}

int opt_u64(const struct opt *o, const char *arg, void *field)
{
	uint64_t v;
	char *end;
	int err = parse_number(o, arg, &end, &v);

	if (err || *end)
		return err ? err : -EINVAL;
	*(uint64_t *)field = v;
	return 0;
}

int opt_u32(const struct opt *o, const char *arg, void *field)
{
	uint64_t v;
	int err = opt_u64(o, arg, &v);

	if (!err && v > UINT32_MAX)
		err = -ERANGE;
	if (!err)
		*(uint32_t *)field = (uint32_t)v;
	return err;
}

int opt_ms(const struct opt *o, const char *arg, void *field)
{
	uint64_t v;
	int err = opt_u64(o, arg, &v);

	if (!err)
		*(uint64_t *)field = v * 1000000;
	return err;
}

int opt_seconds(const struct opt *o, const char *arg, void *field)
{
	char *end;
	double v = strtod(arg, &end);

	if (end == arg || *end || !isfinite(v))
		return -EINVAL;
	v *= 1e9;
	if (v < (double)o->min || v > (double)o->max)
		return -ERANGE;
	*(uint64_t *)field = (uint64_t)v;
	return 0;
}

static int list_add(struct opt_list *l, uint64_t first, uint64_t last)
{
	if (last < first)
		return -EINVAL;
	for (uint64_t v = first; v <= last; v++) {
		if (l->n == OPT_LIST)
			return -ERANGE;
		for (uint32_t i = 0; i < l->n; i++)
			if (l->v[i] == v)
				return -EINVAL;
		l->v[l->n++] = (uint32_t)v;
	}
	return 0;
}

int opt_list(const struct opt *o, const char *arg, void *field)
{
	struct opt_list l = { 0 };
	int err;

	for (;;) {
		uint64_t first, last;
		char *end;

		err = parse_number(o, arg, &end, &first);
		last = first;
		if (!err && *end == '-')
			err = parse_number(o, end + 1, &end, &last);
		if (!err)
			err = list_add(&l, first, last);
		if (err)
			return err;
		if (!*end)
			break;
		if (*end != ',')
			return -EINVAL;
		arg = end + 1;
	}
	*(struct opt_list *)field = l;
	return 0;
}

int opt_mac(const struct opt *o, const char *arg, void *field)
{
	struct opt_mac m = { .set = true };
	int used = 0;

	(void)o;
	if (sscanf(arg, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &m.v[0], &m.v[1], &m.v[2], &m.v[3],
		   &m.v[4], &m.v[5], &used) != 6 || arg[used])
		return -EINVAL;
	*(struct opt_mac *)field = m;
	return 0;
}

int opt_usage(const char *command, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "sluice %s: ", command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; see `sluice %s --help`\n", command);
	return 2;
}

static void print_help(const struct command *c)
{
	printf("sluice %s - %s\n\nUsage: sluice %s%s%s%s%s\n\n", c->name, c->summary, c->name,
	       c->verb ? " [" : "", c->verb ? c->verb : "", c->verb ? "]" : "", c->args);
	for (size_t i = 0; i < c->nopts; i++) {
		const struct opt *o = &c->opts[i];
		char left[48];

		snprintf(left, sizeof(left), "%c%c%s --%s%s%s", o->letter ? '-' : ' ',
			 o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name,
			 o->arg ? " " : "", o->arg ? o->arg : "");
		printf("  %-28s %s\n", left, o->help);
	}
	printf("  %-28s %s\n", "-h, --help", "this text");
}

static int store(const struct command *c, const struct opt *o, const char *arg, void *conf)
{
	void *field = (char *)conf + o->field;
	int err;

	if (!o->arg) {
		*(bool *)field = true;
		return 0;
	}
	err = o->parse(o, arg, field);
	if (err == -ERANGE && o->parse != opt_seconds)
		opt_usage(c->name, "--%s %s is out of range (%" PRIu64 " to %" PRIu64 ")", o->name,
			  arg, o->min, o->max);
	else if (err)
		opt_usage(c->name, "--%s does not take `%s`: it wants %s", o->name, arg, o->arg);
	return err;
}

/* Builds getopt's tables; returns the letters in shorts. */
static void build_tables(const struct command *c, struct option *longs, char *shorts)
{
	*shorts++ = 'h';
	for (size_t i = 0; i < c->nopts; i++) {
		const struct opt *o = &c->opts[i];

		longs[i] = (struct option){ o->name, o->arg ? required_argument : no_argument, NULL,
					    OPT_LONG_BASE + (int)i };
		if (!o->letter)
			continue;
		*shorts++ = (char)o->letter;
		if (o->arg)
			*shorts++ = ':';
	}
	longs[c->nopts] = (struct option){ "help", no_argument, NULL, 'h' };
	longs[c->nopts + 1] = (struct option){ 0 };
	*shorts = '\0';
}

static const struct opt *find(const struct command *c, int value)
{
	for (size_t i = 0; i < c->nopts; i++)
		if (value == OPT_LONG_BASE + (int)i || value == c->opts[i].letter)
			return &c->opts[i];
	return NULL;
}

static int take_words(const struct command *c, int argc, char **argv, struct opt_words *words)
{
	for (; optind < argc; optind++) {
		if (words->n == OPT_WORDS) {
			opt_usage(c->name, "`%s` is one word too many", argv[optind]);
			return -ECANCELED;
		}
		words->v[words->n++] = argv[optind];
	}
	return 0;
}

int opt_parse(const struct command *c, int argc, char **argv, void *conf, int *status)
{
	struct option longs[OPT_MAX + 2];
	char shorts[2 * OPT_MAX + 2];
	int value;

	build_tables(c, longs, shorts);
	while ((value = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct opt *o = find(c, value);

		*status = value == 'h' ? 0 : 2;
		if (value == 'h')
			print_help(c);
		if (!o || store(c, o, optarg, conf))
			return -ECANCELED;
	}
	*status = 2;
	if (c->takes_words)
		return take_words(c, argc, argv, (struct opt_words *)((char *)conf + c->words));
	if (optind < argc && c->verb && !strcmp(argv[optind], c->verb))
		optind++;
	if (optind < argc) {
		*status = opt_usage(c->name, "`%s` is not an option", argv[optind]);
		return -ECANCELED;
	}
	return 0;
}
