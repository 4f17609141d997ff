/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * lane_pages - a client that tries to reach memory that is not its own.
 *
 *	lane_pages DEV LOCAL-ADDR PORT OTHER-PORT
 *
 * Two connections to the daemon, as two clients: one attaches PORT, the other
 * OTHER-PORT. It says "attached" and waits for a line on stdin, while the script
 * sends datagrams full of MARK to OTHER-PORT, and then tries everything it can
 * think of on the descriptors of the first.
 */
#include <err.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "check.h"
#include "ctl.h"
#include "payload.h"

#define NOBODY 65534

static int mmap_error(int fd, int prot, int flags, size_t len)
{
	void *p = mmap(NULL, len, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, len);
	return 0;
}

static int mprotect_error(int fd, size_t len)
{
	void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	int r;

	if (p == MAP_FAILED)
		return 0;
	r = mprotect(p, len, PROT_READ | PROT_WRITE) ? -errno : 0;
	munmap(p, len);
	return r;
}

static int reopen_error(pid_t pid, int fd, int flags)
{
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
	r = open(path, flags | O_CLOEXEC);
	if (r < 0)
		return -errno;
	close(r);
	return 0;
}

/* Runs in a child: 0 or a positive errno as exit code. */
static int in_child(int (*fn)(const void *arg), const void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (!pid)
		_exit(-fn(arg));
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? -1000 - WTERMSIG(status) : -WEXITSTATUS(status);
}

/* As an ordinary user. Without "dumpable" /proc/self would refuse everything and prove nothing. */
static void become_nobody(void)
{
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY) || prctl(PR_SET_DUMPABLE, 1))
		_exit(99);
}

static int nobody_reopens_rw(const void *fd)
{
	become_nobody();
	return reopen_error(getpid(), *(const int *)fd, O_RDWR);
}

static int nobody_reopens_own(const void *arg)
{
	int fd;

	(void)arg;
	become_nobody();
	fd = memfd_create("own", MFD_CLOEXEC);
	return reopen_error(getpid(), fd, O_RDWR);
}

static int nobody_chmods(const void *fd)
{
	become_nobody();
	return fchmod(*(const int *)fd, 0666) ? -errno : 0;
}

static int touch_beyond_end(const void *fd)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct stat st;
	char *p;

	if (fstat(*(const int *)fd, &st))
		return -errno;
	p = mmap(NULL, (size_t)st.st_size + page, PROT_READ, MAP_SHARED, *(const int *)fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	return ((volatile char *)p)[st.st_size] ? 0 : 0;
}

static void try_data(struct checks *c, const struct ctl_lane *l)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	check(c, (fcntl(l->data, F_GETFL) & O_ACCMODE) == O_RDONLY,
	      "data: the descriptor is read-only");
	check_error(c, mmap_error(l->data, PROT_READ, MAP_SHARED, page), 0, "data: mmap PROT_READ");
	check_error(c, mmap_error(l->data, PROT_READ | PROT_WRITE, MAP_SHARED, page), EACCES,
		    "data: mmap PROT_WRITE");
	check_error(c, mprotect_error(l->data, page), EACCES, "data: mprotect PROT_WRITE");
	check_error(c, pwrite(l->data, "x", 1, 0) < 0 ? -errno : 0, EBADF, "data: pwrite");
	check_error(c, ftruncate(l->data, 0) ? -errno : 0, EINVAL, "data: ftruncate");
	check_error(c,
		    fallocate(l->data, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) ? -errno
											    : 0,
		    EBADF, "data: punch a hole");
	check_error(c, fcntl(l->data, F_ADD_SEALS, F_SEAL_WRITE) ? -errno : 0, EPERM,
		    "data: add a seal");
}

static void try_seals(struct checks *c, int fd, const char *name)
{
	int want = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	check(c, seals >= 0 && (seals & want) == want,
	      "%s: sealed against shrinking, growing and sealing", name);
	if (fstat(fd, &st))
		err(1, "fstat");
	check(c, (st.st_mode & 0777) == 0600, "%s: mode 0600", name);
	check(c, in_child(touch_beyond_end, &fd) == -1000 - SIGBUS,
	      "%s: nothing is mapped beyond its end", name);
}

static void try_control(struct checks *c, const struct ctl_lane *l)
{
	check_error(c, ftruncate(l->ctl, 0) ? -errno : 0, EPERM, "control: shrink");
	check_error(c, ftruncate(l->ctl, 1l << 40) ? -errno : 0, EPERM, "control: grow");
	check_error(c, fcntl(l->ctl, F_ADD_SEALS, F_SEAL_WRITE) ? -errno : 0, EPERM,
		    "control: add a seal");
}

static void try_reopen(struct checks *c, const struct ctl_lane *l)
{
	check_error(c, in_child(nobody_reopens_own, NULL), 0,
		    "as nobody: reopen a memfd of its own for writing");
	check_error(c, in_child(nobody_reopens_rw, &l->data), EACCES,
		    "as nobody: reopen data for writing");
	check_error(c, in_child(nobody_chmods, &l->data), EPERM, "as nobody: chmod data");
}

static int same_file(int a, int b)
{
	struct stat sa, sb;

	if (fstat(a, &sa) || fstat(b, &sb))
		err(1, "fstat");
	return sa.st_ino == sb.st_ino && sa.st_dev == sb.st_dev;
}

static unsigned long find_in(int fd, off_t begin, off_t end)
{
	const __u32 magic = PAYLOAD_MAGIC;
	size_t len = (size_t)(end - begin);
	unsigned long found = 0;
	char *p, *at;

	p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, begin);
	if (p == MAP_FAILED)
		err(1, "mmap");
	for (at = p; (at = memmem(at, (size_t)(p + len - at), &magic, sizeof(magic))); at++)
		found++;
	munmap(p, len);
	return found;
}

/* How often the file holds the first bytes of a test datagram. It is sparse, and large. */
static unsigned long find_payload(int fd)
{
	unsigned long found = 0;
	off_t begin, end = 0;

	while ((begin = lseek(fd, end, SEEK_DATA)) >= 0) {
		end = lseek(fd, begin, SEEK_HOLE);
		if (end < 0)
			err(1, "SEEK_HOLE");
		found += find_in(fd, begin, end);
	}
	if (errno != ENXIO)
		err(1, "SEEK_DATA");
	return found;
}

static void attach(const char *dev, const char *addr, const char *port, struct ctl_lane *l)
{
	struct sockaddr_in sa = ctl_addr4(addr, (__u16)atoi(port));
	int sock = ctl_open(dev), udp = ctl_udp(AF_INET, &sa, sizeof(sa)), r;

	if (sock < 0 || udp < 0)
		errx(1, "port %s: %s", port, strerror(sock < 0 ? -sock : -udp));
	r = ctl_attach(sock, udp, (__u16)atoi(port), l);
	if (r)
		errx(1, "attach port %s: %s (%s)", port, strerror(abs(r)), l->text);
}

int main(int argc, char **argv)
{
	struct checks c = { 0 };
	struct ctl_lane mine, other;
	char line[16];

	if (argc != 5)
		errx(2, "usage: lane_pages DEV LOCAL-ADDR PORT OTHER-PORT");
	attach(argv[1], argv[2], argv[3], &mine);
	attach(argv[1], argv[2], argv[4], &other);
	fprintf(stderr, "attached\n");
	if (!fgets(line, sizeof(line), stdin))
		errx(1, "no go-ahead");
	try_data(&c, &mine);
	try_control(&c, &mine);
	try_seals(&c, mine.data, "data");
	try_seals(&c, mine.ctl, "control");
	try_reopen(&c, &mine);
	check(&c, !same_file(mine.data, other.data), "two clients have two data files");
	check(&c, !same_file(mine.ctl, other.ctl), "two clients have two control files");
	check(&c, find_payload(other.data) > 0, "the other's datagrams are in its own file");
	check(&c, find_payload(mine.data) == 0, "and none of them in this one's");
	return check_exit(&c);
}
