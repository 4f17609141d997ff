// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * freeze PID CPU: stops the one thread of the process that may run on this CPU alone, as if it were
 * never scheduled, and lets go of it at SIGTERM. A signal would stop all its threads.
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

static int die(const char *what)
{
	fprintf(stderr, "freeze: %s: %s\n", what, strerror(errno));
	return EXIT_FAILURE;
}

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

int main(int argc, char **argv)
{
	int status, sig;
	sigset_t set;
	pid_t tid;

	if (argc != 3)
		return 2;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	tid = find_thread(argv[1], atoi(argv[2]));
	if (!tid)
		return die("no such thread");
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) || ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) ||
	    waitpid(tid, &status, __WALL) != tid)
		return die("ptrace");
	puts("frozen");
	fflush(stdout);
	sigwait(&set, &sig);
	if (ptrace(PTRACE_DETACH, tid, NULL, NULL))
		return die("detach");
	return EXIT_SUCCESS;
}
