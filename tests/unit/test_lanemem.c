// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* A client's shared memory: sealed, read-only where it must be, bounded, and given back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/lanemem.h"

#define RING 262144u
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int setup(void **state)
{
	static struct lanemem mem;

	*state = &mem;
	return lanemem_init(&mem);
}

static int teardown(void **state)
{
	struct lanemem *mem = *state;

	lanemem_destroy(mem);
	lanemem_destroy(mem);
	return mem->data_fd == -1 && mem->data_ro_fd == -1 && mem->ctl_fd == -1 ? 0 : -1;
}

static uint64_t pages_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void assert_sealed(int fd)
{
	struct stat st;

	assert_int_equal(fcntl(fd, F_GET_SEALS), SEALS);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, st.st_size - 4096), -1);
	assert_int_equal(ftruncate(fd, st.st_size + 4096), -1);
	assert_int_equal(fallocate(fd, 0, st.st_size, 4096), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
}

static void test_seals(void **state)
{
	struct lanemem *mem = *state;

	assert_sealed(mem->data_fd);
	assert_sealed(mem->data_ro_fd);
	assert_sealed(mem->ctl_fd);
}

static void test_read_only(void **state)
{
	struct lanemem *mem = *state;
	int slot = lanemem_alloc(mem, RING);
	uint64_t bytes = SLUICE_LANE_HEAD + RING;
	char *p;

	assert_true(slot >= 0);
	assert_int_equal(fcntl(mem->data_ro_fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_ptr_equal(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, mem->data_ro_fd, 0),
			 MAP_FAILED);
	assert_int_equal(errno, EACCES);
	assert_int_equal(write(mem->data_ro_fd, "x", 1), -1);
	assert_int_equal(fallocate(mem->data_ro_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				   4096), -1);

	p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, mem->data_ro_fd,
		 (off_t)mem->slot[slot].offset);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(mprotect(p, bytes, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(errno, EACCES);
	/* It is the daemon's lane that is seen there. */
	mem->slot[slot].head->magic = SLUICE_LANE_MAGIC;
	((char *)mem->slot[slot].head)[bytes - 1] = 'z';
	assert_int_equal(((struct sluice_lane_head *)(void *)p)->magic, SLUICE_LANE_MAGIC);
	assert_int_equal(p[bytes - 1], 'z');
	munmap(p, bytes);
}

/* A client of another user cannot open its descriptor anew for writing. */
static void test_reopen_as_another_user(void **state)
{
	struct lanemem *mem = *state;
	char path[40];
	int status;
	pid_t pid;

	if (geteuid()) {
		print_message("skipped: needs root to become another user\n");
		skip();
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", mem->data_ro_fd);
	pid = fork();
	if (!pid) {
		if (setgid(65534) || setuid(65534))
			_exit(2);
		if (open(path, O_RDWR) >= 0 || open(path, O_WRONLY) >= 0)
			_exit(3);
		_exit(errno == EACCES ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_slot(void **state)
{
	struct lanemem *mem = *state;
	int slot = lanemem_alloc(mem, RING);
	const char *p;

	assert_int_equal(slot, 0);
	assert_int_equal(mem->slot[0].bytes, SLUICE_LANE_HEAD + RING);
	assert_int_equal(mem->used, SLUICE_LANE_HEAD + RING);
	assert_int_equal(mem->ctl[0].consumer, 0);
	assert_int_equal(mem->ctl[0].armed, 1);
	p = (void *)mem->slot[0].head;
	for (uint64_t i = 0; i < mem->slot[0].bytes; i++)
		assert_int_equal(p[i], 0);
	/* Pages exist for this lane and for no other. */
	assert_int_equal(pages_of(mem->data_fd), SLUICE_LANE_HEAD + RING);
	lanemem_free(mem, 0);
	assert_int_equal(pages_of(mem->data_fd), 0);
	assert_int_equal(mem->used, 0);
	lanemem_free(mem, 0);
	assert_int_equal(mem->used, 0);
}

static bool overlap(const struct lanemem_slot *a, const struct lanemem_slot *b)
{
	return a->bytes && b->bytes && a->offset < b->offset + b->bytes &&
	       b->offset < a->offset + a->bytes;
}

static void assert_no_overlap(const struct lanemem *mem)
{
	for (uint32_t i = 0; i < 64; i++)
		for (uint32_t j = 0; j < i; j++)
			assert_false(overlap(&mem->slot[i], &mem->slot[j]));
}

/* What a lane held is gone before another gets its place. */
static void test_reuse(void **state)
{
	struct lanemem *mem = *state;
	int slot[3];
	uint64_t hole;

	for (int i = 0; i < 3; i++) {
		slot[i] = lanemem_alloc(mem, RING);
		assert_int_equal(slot[i], i);
		memset(mem->slot[i].head, 0xaa, mem->slot[i].bytes);
		memset(&mem->ctl[i], 0xff, sizeof(mem->ctl[i]));
	}
	hole = mem->slot[1].offset;
	lanemem_free(mem, 1);
	/* Too large for the hole: behind the last. */
	assert_int_equal(lanemem_alloc(mem, 2 * RING), 1);
	assert_true(mem->slot[1].offset > mem->slot[2].offset);
	assert_int_equal(lanemem_alloc(mem, RING), 3);
	assert_int_equal(mem->slot[3].offset, hole);
	assert_no_overlap(mem);
	for (uint64_t i = 0; i < mem->slot[3].bytes; i++)
		assert_int_equal(((const char *)mem->slot[3].head)[i], 0);
	assert_int_equal(mem->ctl[1].consumer, 0);
	assert_int_equal(mem->ctl[1].cpu, 0);
	assert_int_equal(mem->ctl[1].armed, 1);
	assert_int_equal(((const unsigned char *)mem->slot[2].head)[4711], 0xaa);
}

/* The freed lane's client goes on reading its mapping: zeroes, no signal. */
static void test_client_keeps_its_mapping(void **state)
{
	struct lanemem *mem = *state;
	int slot = lanemem_alloc(mem, RING);
	const unsigned char *p = mmap(NULL, RING, PROT_READ, MAP_SHARED, mem->data_ro_fd, 0);

	assert_int_equal(slot, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	memset(mem->slot[0].head, 0xaa, RING);
	assert_int_equal(p[1000], 0xaa);
	lanemem_free(mem, 0);
	for (uint32_t i = 0; i < RING; i += 511)
		assert_int_equal(p[i], 0);
	munmap((void *)(uintptr_t)p, RING);
}

static void test_random_sizes(void **state)
{
	struct lanemem *mem = *state;
	uint32_t x = 1;
	uint64_t used;

	for (int turn = 0; turn < 300; turn++) {
		uint32_t slot;

		x = x * 1664525 + 1013904223;
		slot = (x >> 16) % 24;
		if (mem->slot[slot].bytes)
			lanemem_free(mem, slot);
		else
			assert_true(lanemem_alloc(mem, 4096u << (x >> 8) % 6) >= 0);
		assert_no_overlap(mem);
		used = 0;
		for (uint32_t i = 0; i < 64; i++)
			used += mem->slot[i].bytes;
		assert_int_equal(mem->used, used);
		assert_int_equal(pages_of(mem->data_fd), used);
	}
}

static void test_byte_limit(void **state)
{
	struct lanemem *mem = *state;
	uint64_t taken = LANEMEM_MAX - (SLUICE_LANE_HEAD + RING);

	/* As if the rest were in use. */
	mem->used = taken;
	assert_int_equal(lanemem_alloc(mem, RING + 4096), -ENOSPC);
	assert_int_equal(lanemem_alloc(mem, 2 * RING), -ENOSPC);
	assert_int_equal(lanemem_alloc(mem, RING), 0);
	assert_int_equal(mem->used, LANEMEM_MAX);
	assert_int_equal(lanemem_alloc(mem, 4096), -ENOSPC);
	lanemem_free(mem, 0);
	assert_int_equal(mem->used, taken);
	assert_int_equal(lanemem_alloc(mem, UINT32_MAX), -ENOSPC);
	assert_int_equal(pages_of(mem->data_fd), 0);
	mem->used = 0;
}

static void test_slot_limit(void **state)
{
	struct lanemem *mem = *state;

	for (int i = 0; i < SLUICE_CTL_LANES; i++)
		assert_int_equal(lanemem_alloc(mem, 4096), i);
	assert_int_equal(lanemem_alloc(mem, 4096), -ENOSPC);
	assert_int_equal(mem->used, SLUICE_CTL_LANES * 8192ull);
	lanemem_free(mem, 4711);
	assert_int_equal(lanemem_alloc(mem, 4096), 4711);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_seals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reopen_as_another_user, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reuse, setup, teardown),
		cmocka_unit_test_setup_teardown(test_client_keeps_its_mapping, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_byte_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slot_limit, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
