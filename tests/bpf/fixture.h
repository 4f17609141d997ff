/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * fixture.h - the loaded program with its maps, and one packet through it.
 *
 *   own network namespace:   xsk --bound--> sl0 <==veth==> sl1
 *
 * BPF_PROG_TEST_RUN executes the program but not the redirect, so one AF_XDP
 * socket may stand in every slot of xsks_map that a test wants filled.
 */
#ifndef TEST_FIXTURE_H
#define TEST_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sluice/steer.h>
#include "bpf/steer.skel.h"
#include "hash.h"
#include "packet.h"

#define QUEUES 4u
#define SLOTS (QUEUES * SLUICE_MAX_WORKERS)
#define SOCK_FLOWS 256u
#define DEV_FLOWS 64u	/* per queue */
#define CPUS 8u			/* of the maps by CPU; the machine may have fewer */
#define CPU_QUEUE 64u
#define TEST_PORT 5000
#define ANY_COUNTER 1	/* of the ANY4 rules; 2 is the ANY6 rules' */
#define BIND_COUNTER 3	/* of rules for one address */
#define UMEM_FRAMES 64u
#define UMEM_FRAME 2048u

static const __u8 own_mac[6] = { 0x02, 0x11, 0x33, 0x55, 0x77, 0x99 };
static const __u64 own_key[2] = { 0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL };

/* One for all tests of a program: a closed socket leaves its queue only after a grace period. */
struct host {
	__u32 ifindex;
	int xsk;
	void *umem;
};

struct fixture {
	struct steer_bpf *skel;
	int prog;
	__u32 ifindex;
	int xsk;
	struct sluice_port *ports;	/* bind_port */
	__u32 *sock_flow;		/* rps_sock_flow */
	__u32 *tail;			/* flow_tail */
	__u32 *head;			/* flow_head */
	__u32 *cpu_tail;
	struct sluice_cpu_head *cpu_head;
	__u32 *vlan;			/* vlan_dev */
	struct sluice_heartbeat *beat;	/* heartbeat */
	struct sluice_dev_flow *flow[2 * QUEUES];	/* rps_dev_flow; NULL: off */
};

struct fixture_opts {
	__u32 sock_flow_mask;
	__u32 cpu_mask;
	int generic;
	int dev_flows;		/* every queue has DEV_FLOWS entries */
	__u32 half;		/* of a target's ring */
	__u32 limit_len;
	__u8 deny;
	__u32 flow_keys;	/* entries */
	int cpumap;
	int mirror;
	__u8 fallback;			/* default_action; 0: pass */
	__u8 rules;			/* bind_rules */
	const __u8 *toeplitz;		/* key; NULL: SipHash */
};

struct result {
	int ret;			/* XDP_PASS, XDP_REDIRECT, XDP_DROP */
	int has_meta;
	struct sluice_rx_meta meta;
	__u32 len;			/* of the packet, without metadata */
	__u8 data[FRAME_MAX];
};

/* One ring is enough for nothing but being bound. */
static inline int xsk_open(__u32 ifindex, void *umem)
{
	struct xdp_umem_reg reg = { .addr = (__u64)(uintptr_t)umem,
				    .len = (__u64)UMEM_FRAMES * UMEM_FRAME,
				    .chunk_size = UMEM_FRAME };
	struct sockaddr_xdp sa = { .sxdp_family = AF_XDP, .sxdp_ifindex = ifindex,
				   .sxdp_flags = XDP_COPY };
	static const int rings[] = { XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING };
	int n = UMEM_FRAMES, fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)))
		goto fail;
	for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++)
		if (setsockopt(fd, SOL_XDP, rings[i], &n, sizeof(n)))
			goto fail;
	if (!bind(fd, (const struct sockaddr *)&sa, sizeof(sa)))
		return fd;
fail:
	n = -errno;
	close(fd);
	return n;
}

/* In the process's own network namespace, which ends with it. */
static inline void host_open(struct host *h)
{
	assert_int_equal(system("ip link add sl0 numrxqueues 4 numtxqueues 4 type veth "
				"peer name sl1 numrxqueues 4 numtxqueues 4 && "
				"ip link set sl0 up && ip link set sl1 up"), 0);
	h->ifindex = if_nametoindex("sl0");
	h->umem = mmap(NULL, (size_t)UMEM_FRAMES * UMEM_FRAME, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(h->umem, MAP_FAILED);
	h->xsk = xsk_open(h->ifindex, h->umem);
	assert_true(h->xsk >= 0);
}

static inline void host_close(struct host *h)
{
	close(h->xsk);
	munmap(h->umem, (size_t)UMEM_FRAMES * UMEM_FRAME);
}

/* cmocka's group setup and teardown: every test starts with *state = the host. */
static inline int group_setup(void **state)
{
	struct host *h = malloc(sizeof(*h));

	assert_non_null(h);
	if (unshare(CLONE_NEWNET)) {
		fprintf(stderr, "SKIPPED: no network namespace of my own: %s\n", strerror(errno));
		exit(77);
	}
	host_open(h);
	*state = h;
	return 0;
}

static inline int group_teardown(void **state)
{
	host_close(*state);
	free(*state);
	return 0;
}

/* The daemon loads steer_plain for these. */
static inline int opts_plain(const struct fixture_opts *o)
{
	return o->dev_flows && o->flow_keys && o->half && !o->generic && !o->limit_len &&
	       !o->deny &&
	       !o->cpumap && !o->mirror && !o->fallback && !o->rules && !o->toeplitz;
}

static inline void fixture_load(struct fixture *f, const struct fixture_opts *o)
{
	struct steer_bpf *skel = f->skel = steer_bpf__open();

	assert_non_null(skel);
	memcpy((void *)skel->rodata->hash_key, own_key, sizeof(own_key));
	skel->rodata->sock_flow_mask = o->sock_flow_mask;
	skel->rodata->cpu_mask = o->cpu_mask;
	skel->rodata->generic_mode = o->generic != 0;
	skel->rodata->dev_flows = o->dev_flows != 0;
	skel->rodata->backlog_half = o->half;
	skel->rodata->flow_limit_len = o->limit_len;
	skel->rodata->deny_families = o->deny;
	skel->rodata->flow_keys = o->flow_keys != 0;
	if (o->flow_keys)
		bpf_map__set_max_entries(skel->maps.flow_key, o->flow_keys);
	skel->rodata->cpumap = o->cpumap || o->rules || o->fallback == SLUICE_ACT_CPUMAP;
	skel->rodata->role_mirror = o->mirror != 0;
	skel->rodata->default_action = o->fallback ? o->fallback : SLUICE_ACT_PASS;
	skel->rodata->bind_rules = o->rules;
	skel->rodata->hash_toeplitz = o->toeplitz != NULL;
	skel->rodata->decide_more = o->mirror || o->rules || o->toeplitz ||
				    skel->rodata->default_action != SLUICE_ACT_PASS;
	if (o->toeplitz)
		toeplitz_fill((void *)skel->rodata->toeplitz_table, o->toeplitz);
	bpf_map__set_max_entries(skel->maps.rps_map, QUEUES);
	bpf_map__set_max_entries(skel->maps.xsks_map, SLOTS);
	bpf_map__set_max_entries(skel->maps.flow_tail, QUEUES);
	bpf_map__set_max_entries(skel->maps.flow_head, QUEUES);
	bpf_map__set_max_entries(skel->maps.flow_room, QUEUES);
	bpf_map__set_max_entries(skel->maps.rps_dev_flow, 2 * QUEUES);
	bpf_map__set_max_entries(skel->maps.flow_limit, SLOTS);
	bpf_map__set_max_entries(skel->maps.flow_limit_bkt,
				 o->limit_len ? SLOTS * (o->limit_len / 8) : 1);
	bpf_map__set_max_entries(skel->maps.rps_sock_flow, SOCK_FLOWS / 2);
	bpf_map__set_max_entries(skel->maps.cpu_tail, QUEUES);
	bpf_map__set_max_entries(skel->maps.cpu_head, CPUS);
	bpf_map__set_max_entries(skel->maps.cpu_lost, CPUS);
	bpf_map__set_max_entries(skel->maps.cpu_map, CPUS);
	bpf_map__set_max_entries(skel->maps.bind, 64);
	bpf_map__set_max_entries(skel->maps.local_addr, 64);
	assert_int_equal(steer_bpf__load(skel), 0);
	memcpy(skel->bss->dev_mac, own_mac, sizeof(own_mac));
	f->prog = bpf_program__fd(opts_plain(o) ? skel->progs.steer_plain : skel->progs.steer);
}

static inline void *fd_mmap(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static inline void *map_mmap(const struct bpf_map *m, size_t size)
{
	return fd_mmap(bpf_map__fd(m), size);
}

static inline void map_set(const struct bpf_map *m, const void *key, const void *value)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(m), key, value, BPF_ANY), 0);
}

static inline void map_del(const struct bpf_map *m, const void *key)
{
	int err = bpf_map_delete_elem(bpf_map__fd(m), key);

	assert_true(!err || err == -ENOENT || err == -EINVAL);
}

static inline void set_worker(struct fixture *f, __u32 cpu, __u32 worker)
{
	map_set(f->skel->maps.cpu_worker, &cpu, &worker);
}

static inline void set_rps(struct fixture *f, __u32 queue, __u32 len, const __u16 *cpus)
{
	struct sluice_rps_map m = { .len = len };

	if (len)
		memcpy(m.cpus, cpus, len * sizeof(*cpus));
	map_set(f->skel->maps.rps_map, &queue, &m);
}

static inline void set_slot(struct fixture *f, __u32 slot, int filled)
{
	if (filled)
		map_set(f->skel->maps.xsks_map, &slot, &f->xsk);
	else
		map_del(f->skel->maps.xsks_map, &slot);
}

/* -ENODEV: this machine has no such CPU. */
static inline int set_cpu_entry(struct fixture *f, __u32 cpu, int filled)
{
	struct bpf_cpumap_val v = { .qsize = CPU_QUEUE };
	int fd = bpf_map__fd(f->skel->maps.cpu_map);

	return filled ? bpf_map_update_elem(fd, &cpu, &v, BPF_ANY) : bpf_map_delete_elem(fd, &cpu);
}

static inline struct sluice_addr mapped(const __u8 *addr, int version)
{
	struct sluice_addr a = { .w = { 0, 0, htonl(0xffff), 0 } };

	memcpy(version == 6 ? &a.w[0] : &a.w[3], addr, version == 6 ? 16 : 4);
	return a;
}

static inline void set_dev_flow_ctl(struct fixture *f, __u32 queue, __u32 entries, __u32 current,
				    __u32 former)
{
	f->skel->bss->dev_flow_ctl[queue] = SLUICE_DEV_FLOW_CTL(entries, current, former);
}

/* One of the queue's two tables, all unset. */
static inline void add_dev_flows(struct fixture *f, __u32 queue, __u32 table)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "dev_flow", 4, sizeof(**f->flow), DEV_FLOWS,
				&o);
	__u32 i = 2 * queue + table;

	assert_true(fd >= 0);
	f->flow[i] = fd_mmap(fd, DEV_FLOWS * sizeof(**f->flow));
	for (__u32 e = 0; e < DEV_FLOWS; e++)
		f->flow[i][e] = (struct sluice_dev_flow)SLUICE_DEV_FLOW_UNSET;
	map_set(f->skel->maps.rps_dev_flow, &i, &fd);
	close(fd);
}

static inline void set_local(struct fixture *f, const __u8 *addr, int version, int present)
{
	struct sluice_addr a = mapped(addr, version);

	if (present)
		map_set(f->skel->maps.local_addr, &a, &f->ifindex);
	else
		map_del(f->skel->maps.local_addr, &a);
}

static inline void set_bind(struct fixture *f, const __u8 *addr, int version, __u16 port,
			    __u32 action)
{
	struct sluice_bind_key k = { .addr = mapped(addr, version), .port = htons(port),
				     .proto = IPPROTO_UDP };
	struct sluice_bind b = { .action = action, .counter = BIND_COUNTER };

	if (action)
		map_set(f->skel->maps.bind, &k, &b);
	else
		map_del(f->skel->maps.bind, &k);
}

/* A user's rule; addr NULL: any address; action 0 takes it out. */
static inline void set_rule(struct fixture *f, const __u8 *addr, int version, __u16 port,
			    __u8 proto, __u32 action, __u32 counter)
{
	struct sluice_bind_key k = { .port = htons(port), .proto = proto };
	struct sluice_bind b = { .action = action, .counter = counter };

	if (addr)
		k.addr = mapped(addr, version);
	if (action)
		map_set(f->skel->maps.bind_rule, &k, &b);
	else
		map_del(f->skel->maps.bind_rule, &k);
}

/* addr: network order; len: of the prefix; counter 0 takes the rule out. */
static inline void set_deny(struct fixture *f, const __u8 *addr, int version, __u32 len,
			    __u32 counter)
{
	const struct bpf_map *m = version == 6 ? f->skel->maps.deny6 : f->skel->maps.deny4;
	struct sluice_deny6_key k = { .prefixlen = len };
	struct sluice_deny rule = { .counter = counter };

	memcpy(k.addr, addr, version == 6 ? 16 : 4);
	if (counter)
		map_set(m, &k, &rule);
	else
		map_del(m, &k);
}

static inline __u64 rule_count(const struct fixture *f, __u32 counter)
{
	int cpus = libbpf_num_possible_cpus();
	__u64 sum = 0, *all = calloc((size_t)cpus, sizeof(*all));

	assert_non_null(all);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(f->skel->maps.rule_count), &counter, all),
			 0);
	for (int c = 0; c < cpus; c++)
		sum += all[c];
	free(all);
	return sum;
}

static inline void set_port(struct fixture *f, __u16 port, __u32 flags)
{
	f->ports[port] = (struct sluice_port){ .flags = SLUICE_PORT_WATCH | flags,
					       .action = SLUICE_ACT_XSK,
					       .counter = ANY_COUNTER };
}

static inline void fixture_open(struct fixture *f, const struct host *h,
				const struct fixture_opts *o)
{
	memset(f, 0, sizeof(*f));
	f->ifindex = h->ifindex;
	f->xsk = h->xsk;
	fixture_load(f, o);
	f->ports = map_mmap(f->skel->maps.bind_port, 65536 * sizeof(*f->ports));
	f->sock_flow = map_mmap(f->skel->maps.rps_sock_flow, SOCK_FLOWS * sizeof(__u32));
	f->tail = map_mmap(f->skel->maps.flow_tail, SLOTS * sizeof(__u32));
	f->head = map_mmap(f->skel->maps.flow_head, SLOTS * sizeof(__u32));
	f->cpu_tail = map_mmap(f->skel->maps.cpu_tail, QUEUES * SLUICE_MAX_CPUS * sizeof(__u32));
	f->cpu_head = map_mmap(f->skel->maps.cpu_head, CPUS * sizeof(*f->cpu_head));
	f->vlan = map_mmap(f->skel->maps.vlan_dev, SLUICE_VLAN_IDS * sizeof(__u32));
	f->beat = map_mmap(f->skel->maps.heartbeat, SLUICE_MAX_WORKERS * sizeof(*f->beat));
	for (__u32 q = 0; o->dev_flows && q < QUEUES; q++) {
		add_dev_flows(f, q, 0);
		set_dev_flow_ctl(f, q, DEV_FLOWS, 0, 0);
	}
	for (__u32 i = 0; i < SOCK_FLOWS; i++)
		f->sock_flow[i] = SLUICE_NO_CPU;
	for (__u32 cpu = 0; cpu < SLUICE_MAX_CPUS; cpu++)
		set_worker(f, cpu, SLUICE_NO_WORKER);
}

static inline void fixture_close(struct fixture *f)
{
	munmap(f->ports, 65536 * sizeof(*f->ports));
	munmap(f->sock_flow, SOCK_FLOWS * sizeof(__u32));
	munmap(f->tail, SLOTS * sizeof(__u32));
	munmap(f->head, SLOTS * sizeof(__u32));
	munmap(f->cpu_tail, QUEUES * SLUICE_MAX_CPUS * sizeof(__u32));
	munmap(f->cpu_head, CPUS * sizeof(*f->cpu_head));
	munmap(f->vlan, SLUICE_VLAN_IDS * sizeof(__u32));
	munmap(f->beat, SLUICE_MAX_WORKERS * sizeof(*f->beat));
	for (__u32 i = 0; i < 2 * QUEUES; i++)
		if (f->flow[i])
			munmap(f->flow[i], DEV_FLOWS * sizeof(**f->flow));
	steer_bpf__destroy(f->skel);
}

static inline struct sluice_xdp_stat stats_read(const struct fixture *f)
{
	int cpus = libbpf_num_possible_cpus();
	struct sluice_xdp_stat sum = { 0 }, *all = calloc((size_t)cpus, sizeof(*all));
	__u32 zero = 0;

	assert_non_null(all);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(f->skel->maps.softnet_stat), &zero, all),
			 0);
	for (int c = 0; c < cpus; c++)
		for (int v = 0; v < SLUICE_XDP_VERDICTS; v++)
			sum.verdict[v] += all[c].verdict[v];
	free(all);
	return sum;
}

static inline struct result run_on(const struct fixture *f, const void *data, __u32 len,
				   __u32 queue)
{
	struct xdp_md in = { .data_end = len, .ingress_ifindex = f->ifindex,
			     .rx_queue_index = queue };
	struct xdp_md out = { 0 };
	__u8 buf[FRAME_MAX + 64];
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = data, .data_size_in = len, .data_out = buf,
		    .data_size_out = sizeof(buf), .ctx_in = &in, .ctx_size_in = sizeof(in),
		    .ctx_out = &out, .ctx_size_out = sizeof(out));
	struct result r = { 0 };

	assert_int_equal(bpf_prog_test_run_opts(f->prog, &o), 0);
	r.ret = (int)o.retval;
	r.has_meta = out.data - out.data_meta == sizeof(r.meta);
	assert_true(r.has_meta || out.data == out.data_meta);
	if (r.has_meta)
		memcpy(&r.meta, buf, sizeof(r.meta));
	r.len = out.data_end - out.data;
	assert_true(r.len <= FRAME_MAX);
	memcpy(r.data, buf + (out.data - out.data_meta), r.len);
	return r;
}

/* The one verdict that the last packet added, given the counters before it. */
static inline enum sluice_verdict verdict_since(const struct fixture *f,
						const struct sluice_xdp_stat *before)
{
	struct sluice_xdp_stat now = stats_read(f);
	int found = -1, n = 0;

	for (int v = 0; v < SLUICE_XDP_VERDICTS; v++) {
		__u64 d = now.verdict[v] - before->verdict[v];

		n += (int)d;
		if (d)
			found = v;
	}
	assert_int_equal(n, 1);
	return (enum sluice_verdict)found;
}

static inline int action_of(enum sluice_verdict v)
{
	if (v == SLUICE_XDP_DROP_DENY || v == SLUICE_XDP_DROP_FLOW_LIMIT ||
	    v == SLUICE_XDP_DROP_RULE)
		return XDP_DROP;
	return v == SLUICE_XDP_REDIRECT || v == SLUICE_XDP_REDIRECT_CPU ? XDP_REDIRECT : XDP_PASS;
}

static inline enum sluice_verdict verdict_of(const struct fixture *f, const void *data, __u32 len,
					     __u32 queue)
{
	struct sluice_xdp_stat before = stats_read(f);
	struct result r = run_on(f, data, len, queue);
	enum sluice_verdict v = verdict_since(f, &before);

	assert_int_equal(r.ret, action_of(v));
	assert_int_equal(r.has_meta, r.ret == XDP_REDIRECT);
	assert_int_equal(r.len, len);
	assert_memory_equal(r.data, data, len);
	return v;
}

#endif
