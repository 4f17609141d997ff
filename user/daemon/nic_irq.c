// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The half of nic.h that reads /sys and /proc: which CPU takes the interrupts of which rx queue. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/nic.h"

#define NAME_MAX_LEN 128

/*
 * What comes before the number of a queue that receives: eth0-TxRx-3 (Intel), eth0-rx-3,
 * eth0-Tx-Rx-3 (ena), eth0-rxtx-3 (vmxnet3), eth0-fp-3 (bnx2x), mlx5_comp3@pci:...,
 * virtio0-input.3.
 */
static const char *const markers[] = { "rx", "input", "comp", "fp", "rxtx" };

static int number_after(const char *p)
{
	unsigned long n;
	char *end;

	p += *p && strchr("-._", *p);
	if (!isdigit((unsigned char)*p))
		return -1;
	n = strtoul(p, &end, 10);
	return (!*end || *end == '@') && n < SLUICE_MAX_QUEUES ? (int)n : -1;
}

int nic_irq_queue(const char *name)
{
	char low[NAME_MAX_LEN];
	size_t n = 0;

	for (; name[n] && n + 1 < sizeof(low); n++)
		low[n] = (char)tolower((unsigned char)name[n]);
	low[n] = 0;
	for (size_t i = 0; i < sizeof(markers) / sizeof(markers[0]); i++) {
		const char *p = low;

		while ((p = strstr(p, markers[i]))) {
			int queue;

			p += strlen(markers[i]);
			queue = number_after(p);
			if (queue >= 0)
				return queue;
		}
	}
	return -1;
}

/* The one directory in /proc/irq/N is named as the driver named the interrupt. */
static int irq_name(const char *root, unsigned int irq, char *name)
{
	char path[PATH_MAX];
	struct dirent *e;
	int err = -ENOENT;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/proc/irq/%u", root, irq);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (err && (e = readdir(dir))) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		snprintf(name, NAME_MAX_LEN, "%.127s", e->d_name);
		err = 0;
	}
	closedir(dir);
	return err;
}

static int read_list(const char *root, unsigned int irq, const char *file, uint32_t *cpu,
		     uint32_t *nr)
{
	char path[PATH_MAX], line[4096] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/irq/%u/%s", root, irq, file);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	if (fgets(line, sizeof(line), f))
		line[strcspn(line, "\n")] = 0;
	fclose(f);
	return config_list(line, SLUICE_MAX_CPUS, cpu, nr, SLUICE_MAX_CPUS);
}

/* Where it goes, which may be less than where it is allowed to go. */
static int irq_cpus(const char *root, unsigned int irq, uint32_t *cpu, uint32_t *nr)
{
	if (!read_list(root, irq, "effective_affinity_list", cpu, nr))
		return 0;
	return read_list(root, irq, "smp_affinity_list", cpu, nr);
}

/* What is known of each CPU while interrupts are read one by one. */
struct irq_map {
	const char *root;
	const char *ifname;
	uint16_t *cpu_queue;
	uint32_t share[SLUICE_MAX_CPUS];	/* CPUs that share the queue's interrupt */
	bool named;	/* names have the device's in them: those without are another device's */
	int found;
};

static bool is_named(const struct irq_map *m, const char *name)
{
	const char *p = strstr(name, m->ifname);

	return p && !isalnum((unsigned char)p[strlen(m->ifname)]) &&
	       (p == name || !isalnum((unsigned char)p[-1]));
}

static void take_irq(struct irq_map *m, unsigned int irq)
{
	uint32_t cpu[SLUICE_MAX_CPUS], nr;
	char name[NAME_MAX_LEN];
	int queue;

	if (irq_name(m->root, irq, name) || (m->named && !is_named(m, name)))
		return;
	queue = nic_irq_queue(name);
	if (queue < 0 || irq_cpus(m->root, irq, cpu, &nr))
		return;
	m->found++;
	for (uint32_t i = 0; i < nr; i++) {
		uint16_t *has = &m->cpu_queue[cpu[i]];

		if (*has != ARFS_NO_QUEUE && (m->share[cpu[i]] < nr ||
					      (m->share[cpu[i]] == nr && *has <= queue)))
			continue;
		*has = (uint16_t)queue;
		m->share[cpu[i]] = nr;
	}
}

static void find_name(struct irq_map *m, unsigned int irq)
{
	char name[NAME_MAX_LEN];

	if (!irq_name(m->root, irq, name) && is_named(m, name) && nic_irq_queue(name) >= 0)
		m->named = true;
}

static int each_irq(struct irq_map *m, const char *dir,
		    void (*fn)(struct irq_map *m, unsigned int irq))
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/sys/class/net/%s/%s", m->root, m->ifname, dir);
	d = opendir(path);
	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		if (isdigit((unsigned char)e->d_name[0]))
			fn(m, (unsigned int)strtoul(e->d_name, NULL, 10));
	}
	closedir(d);
	return 0;
}

int nic_read_irqs(const char *root, const char *ifname, uint16_t *cpu_queue)
{
	struct irq_map m = { .root = root, .ifname = ifname, .cpu_queue = cpu_queue };
	/* A virtio device's interrupts are its parent's. */
	const char *dir = "device/msi_irqs";

	for (uint32_t cpu = 0; cpu < SLUICE_MAX_CPUS; cpu++)
		cpu_queue[cpu] = ARFS_NO_QUEUE;
	if (each_irq(&m, dir, find_name)) {
		dir = "device/../msi_irqs";
		if (each_irq(&m, dir, find_name))
			return -ENOENT;
	}
	each_irq(&m, dir, take_irq);
	return m.found;
}
