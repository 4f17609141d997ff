// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* out.c - tables, JSON and errors. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/out.h"

#define TABLE_COLUMNS 24

struct out_table {
	unsigned int ncols;
	struct {
		char name[24];
		bool left;
		int width;
	} col[TABLE_COLUMNS];
	char **cell;
	size_t ncells, room;
};

int out_error(const char *command, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "sluice %s: ", command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

int out_json(struct json_object *doc, bool pretty)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE;

	puts(json_object_to_json_string_ext(doc, pretty ? flags | JSON_C_TO_STRING_PRETTY |
							  JSON_C_TO_STRING_SPACED : flags));
	json_object_put(doc);
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

struct out_table *out_table_new(const char *heads)
{
	struct out_table *t = calloc(1, sizeof(*t));

	while (t && t->ncols < TABLE_COLUMNS) {
		size_t len;

		heads += strspn(heads, " ");
		if (!*heads)
			break;
		t->col[t->ncols].left = *heads == '<';
		heads += *heads == '<';
		len = strcspn(heads, " ");
		t->col[t->ncols].width = snprintf(t->col[t->ncols].name, sizeof(t->col[0].name),
						  "%.*s", (int)len, heads);
		t->ncols++;
		heads += len;
	}
	return t;
}

static bool table_grow(struct out_table *t)
{
	size_t room = t->room ? 2 * t->room : 256;
	char **cell;

	if (t->ncells < t->room)
		return true;
	cell = realloc(t->cell, room * sizeof(*cell));
	if (!cell)
		return false;
	t->cell = cell;
	t->room = room;
	return true;
}

void out_cell(struct out_table *t, const char *fmt, ...)
{
	unsigned int col;
	va_list ap;
	int width;

	if (!t || !table_grow(t))
		return;
	va_start(ap, fmt);
	width = vasprintf(&t->cell[t->ncells], fmt, ap);
	va_end(ap);
	if (width < 0)
		return;
	col = (unsigned int)(t->ncells++ % t->ncols);
	if (width > t->col[col].width)
		t->col[col].width = width;
}

/* The last column is not padded, so that lines have no blanks at their end. */
static void print_cell(const struct out_table *t, unsigned int col, const char *text)
{
	bool last = col + 1 == t->ncols;

	if (t->col[col].left)
		printf("%-*s", last ? 0 : t->col[col].width, text);
	else
		printf("%*s", t->col[col].width, text);
	fputs(last ? "\n" : "  ", stdout);
}

void out_table_print(struct out_table *t)
{
	if (!t)
		return;
	for (unsigned int c = 0; c < t->ncols; c++)
		print_cell(t, c, t->col[c].name);
	for (size_t i = 0; i < t->ncells; i++) {
		print_cell(t, (unsigned int)(i % t->ncols), t->cell[i]);
		free(t->cell[i]);
	}
	if (t->ncells % t->ncols)
		putchar('\n');
	free(t->cell);
	free(t);
}

struct json_object *js_get(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	if (json_object_is_type(o, json_type_object))
		json_object_object_get_ex(o, key, &v);
	return v;
}

uint64_t js_u64(struct json_object *o, const char *key)
{
	return json_object_get_uint64(js_get(o, key));
}

const char *js_str(struct json_object *o, const char *key)
{
	const char *s = json_object_get_string(js_get(o, key));

	return s ? s : "-";
}

bool js_bool(struct json_object *o, const char *key)
{
	return json_object_get_boolean(js_get(o, key));
}

size_t js_len(struct json_object *o, const char *key)
{
	struct json_object *v = js_get(o, key);

	return json_object_is_type(v, json_type_array) ? json_object_array_length(v) : 0;
}

struct json_object *js_at(struct json_object *o, const char *key, size_t i)
{
	return i < js_len(o, key) ? json_object_array_get_idx(js_get(o, key), i) : NULL;
}

void js_cell(struct out_table *t, struct json_object *o, const char *key)
{
	const char *s = js_str(o, key);

	out_cell(t, "%s", *s ? s : "-");
}

void js_add_u64(struct json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_uint64(v));
}

void js_add_str(struct json_object *o, const char *key, const char *v)
{
	json_object_object_add(o, key, json_object_new_string(v));
}

void js_add_real(struct json_object *o, const char *key, double v)
{
	char text[40];

	snprintf(text, sizeof(text), "%.6f", v);
	json_object_object_add(o, key, json_object_new_double_s(v, text));
}

void js_add_bool(struct json_object *o, const char *key, bool v)
{
	json_object_object_add(o, key, json_object_new_boolean(v));
}
