// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * freeze PID CPU [STOP_MS RUN_MS]: stops the one thread of the process that may run on this CPU
 * alone, as if it were never scheduled, and lets go of it at SIGTERM. A signal would stop all.
 * With times, it stands still and runs in turn, and so does whatever thread comes after it there.
 */
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

static int is_pinned(pid_t tid, int cpu)
{
	cpu_set_t set;

	return !sched_getaffinity(tid, sizeof(set), &set) && CPU_COUNT(&set) == 1 &&
	       CPU_ISSET((size_t)cpu, &set);
}

/* 0: there is none. */
static pid_t find_thread(const char *pid, int cpu)
{
	char path[64];
	struct dirent *e;
	pid_t found = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.16s/task", pid);
	dir = opendir(path);
	while (dir && !found && (e = readdir(dir))) {
		pid_t tid = (pid_t)strtol(e->d_name, NULL, 10);

		if (tid > 0 && is_pinned(tid, cpu))
			found = tid;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* True: SIGTERM has come. ms < 0: waits for it. */
static int told_to_stop(long ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	return sigtimedwait(&set, NULL, ms < 0 ? NULL : &ts) == SIGTERM;
}

/* False: it has ended, or ends. */
static int stop(pid_t tid)
{
	int status;

	return !ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) && waitpid(tid, &status, __WALL) == tid &&
	       WIFSTOPPED(status);
}

/* 1: SIGTERM; 0: the thread has ended. */
static int hold_back(pid_t tid, long stop_ms, long run_ms)
{
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL))
		return 0;
	while (stop(tid)) {
		if (told_to_stop(stop_ms)) {
			ptrace(PTRACE_DETACH, tid, NULL, NULL);
			return 1;
		}
		if (ptrace(PTRACE_CONT, tid, NULL, NULL))
			return 0;
		/*
		 * Whether to stop is looked at while it stands still: only then it can be
		 * let go.
		 */
		nanosleep(&(struct timespec){ .tv_nsec = run_ms * 1000000 }, NULL);
	}
	return 0;
}

int main(int argc, char **argv)
{
	long stop_ms = argc == 5 ? atol(argv[3]) : -1, run_ms = argc == 5 ? atol(argv[4]) : 0;
	int told = 0;
	sigset_t set;
	pid_t tid;

	if (argc != 3 && argc != 5)
		return 2;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	tid = find_thread(argv[1], atoi(argv[2]));
	if (!tid) {
		fputs("freeze: no such thread\n", stderr);
		return EXIT_FAILURE;
	}
	puts("frozen");
	fflush(stdout);
	while (!told) {
		told = tid ? hold_back(tid, stop_ms, run_ms) : told_to_stop(1);
		tid = find_thread(argv[1], atoi(argv[2]));
	}
	return EXIT_SUCCESS;
}
