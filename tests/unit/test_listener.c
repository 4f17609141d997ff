// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The control socket as a file: whose it is, and what is left of it. */
#include "test_porter_fixture.h"

static void test_file(void **state)
{
	struct fixture *f = *state;
	struct porter *second;
	struct stat st;
	char path[108];

	assert_int_equal(porter_start(&second, "a/b", &f->options), -EINVAL);
	assert_int_equal(porter_start(&second, "", &f->options), -EINVAL);
	assert_int_equal(start(f), 0);
	snprintf(path, sizeof(path), "%s", porter_path(f->porter));
	assert_non_null(strstr(path, "-test0.sock"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
	assert_int_equal(porter_start(&second, "test0", &f->options), -EADDRINUSE);
	assert_int_equal(stat(path, &st), 0);
	/* The failed start connected to find out. */
	while (readable(porter_fd(f->porter), 100)) {
		struct porter_client client;

		assert_int_equal(porter_next(f->porter, &client), 0);
		close(client.fd);
	}
	porter_stop(f->porter);
	f->porter = NULL;
	assert_int_equal(stat(path, &st), -1);
}

/* What a daemon leaves behind that was killed together with its porter. */
static void test_left_behind(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct fixture *f = *state;
	int fd;

	assert_int_equal(start(f), 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", porter_path(f->porter));
	porter_stop(f->porter);
	f->porter = NULL;
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	assert_int_equal(start(f), 0);
	assert_serves(f->porter, addr.sun_path);
}

/* Not ours any more: another daemon's file must stay. */
static void test_foreign_file(void **state)
{
	struct fixture *f = *state;
	char path[108];

	assert_int_equal(start(f), 0);
	snprintf(path, sizeof(path), "%s", porter_path(f->porter));
	assert_int_equal(unlink(path), 0);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	porter_stop(f->porter);
	f->porter = NULL;
	assert_int_equal(unlink(path), 0);
}

static void test_open_dir(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(chmod(f->dir, 0777), 0);
	assert_int_equal(start(f), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_file),
		TEST(test_left_behind),
		TEST(test_foreign_file),
		TEST(test_open_dir),
	};

	return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
