// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * guard_root.c - see guard_root.h. A mount that this process sees, else one of
 * its own that nobody sees (`ip netns exec` hides the others).
 *
 * The second needs care: from within the first cgroup namespace, to mount cgroup2
 * replaces the options of the one and only tree (nsdelegate, memory_recursiveprot)
 * for everyone, so it must be asked for with those that it has. They stand in the
 * mount table of any process that sees the tree. In other namespaces the kernel
 * ignores them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "daemon/guard_root.h"

/* The kernel's fixed inode number of the first cgroup namespace. */
#define FIRST_CGROUP_NS 0xeffffffbu

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (text[0] == '\\' && text[1] && text[2] && text[3]) {
			*out++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 |
					(text[3] - '0'));
			text += 3;
		} else {
			*out++ = *text;
		}
	}
	*out = 0;
}

/* A mount of cgroup2, as a line of mountinfo has it. */
struct mount {
	char *root;	/* what of the tree is mounted; "/": all that this namespace has */
	char *point;
	char *options;	/* of the tree, separated by commas */
};

/*
 * Points m into the line, which it changes. False: it is about something else.
 * "ID parent major:minor root point options [tags] - type source options"
 */
static bool line_parse(char *line, struct mount *m)
{
	char *tail = strstr(line, " - cgroup2 "), *save = NULL, *field[5];
	int i;

	if (!tail)
		return false;
	line[strcspn(line, "\n")] = 0;
	*tail = 0;
	for (i = 0; i < 5; i++, line = NULL) {
		field[i] = strtok_r(line, " ", &save);
		if (!field[i])
			return false;
	}
	m->root = field[3];
	m->point = field[4];
	m->options = strrchr(tail + 1, ' ') + 1;
	unescape(m->point);
	return true;
}

/* Something else may be mounted on top. */
static int point_open(const char *point)
{
	int fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs st;

	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &st) == 0 && st.f_type == CGROUP2_SUPER_MAGIC)
		return fd;
	close(fd);
	return -ENOENT;
}

static int visible_open(FILE *table)
{
	char *line = NULL;
	int fd = -ENOENT;
	struct mount m;
	size_t size = 0;

	while (fd < 0 && getline(&line, &size, table) > 0) {
		if (line_parse(line, &m) && !strcmp(m.root, "/"))
			fd = point_open(m.point);
	}
	free(line);
	return fd;
}

/* Those with a value are a security module's, not the tree's. */
static int options_copy(int fs, char *options)
{
	char *save = NULL, *word = strtok_r(options, ",", &save);

	for (; word; word = strtok_r(NULL, ",", &save)) {
		if (!strchr(word, '=') && fsconfig(fs, FSCONFIG_SET_FLAG, word, NULL, 0) < 0)
			return -errno;
	}
	return 0;
}

/* -ENOENT: the table does not have the tree. */
static int options_take(int fs, const char *path)
{
	FILE *table = fopen(path, "re");
	char *line = NULL;
	int err = -ENOENT;
	struct mount m;
	size_t size = 0;

	if (!table)
		return -ENOENT;
	while (err == -ENOENT && getline(&line, &size, table) > 0) {
		if (line_parse(line, &m))
			err = options_copy(fs, m.options);
	}
	free(line);
	fclose(table);
	return err;
}

static bool first_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/cgroup", &st) < 0 || st.st_ino == FIRST_CGROUP_NS;
}

static int mount_make(int fs)
{
	int err = options_take(fs, "/proc/self/mountinfo"), fd;

	if (err == -ENOENT)
		err = options_take(fs, "/proc/1/mountinfo");
	if (err && (err != -ENOENT || first_namespace()))
		return err;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

int guard_root_open(void)
{
	FILE *table = fopen("/proc/self/mountinfo", "re");
	int fd = -ENOENT, fs;

	if (table) {
		fd = visible_open(table);
		fclose(table);
	}
	if (fd >= 0)
		return fd;
	fs = fsopen("cgroup2", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	fd = mount_make(fs);
	close(fs);
	return fd;
}
