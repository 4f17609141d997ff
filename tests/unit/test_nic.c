// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Filters by ethtool, with a driver that is an array: what it is asked for, whose rules are
 * touched, and what is left in the ledger. Then the interrupts of a tree of files. A real NIC is
 * not needed here; one without such filters says so.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/ledger.h"
#include "daemon/nic.h"

#define TABLE 8u

struct driver {
	bool none, off, chooses, small;	/* small: no size is told, and the table is */
	bool used[TABLE];
	struct ethtool_rx_flow_spec rule[TABLE];
	int error;	/* of an insertion */
	unsigned int deleted;
};

static int driver_count(const struct driver *d)
{
	int n = 0;

	for (uint32_t i = 0; i < TABLE; i++)
		n += d->used[i];
	return n;
}

static int driver_list(const struct driver *d, struct ethtool_rxnfc *r)
{
	uint32_t n = 0;

	if ((int)r->rule_cnt < driver_count(d))
		return -EMSGSIZE;
	/* In no order. */
	for (uint32_t i = 0; i < TABLE; i++) {
		if (d->used[(i + 3) % TABLE])
			r->rule_locs[n++] = (i + 3) % TABLE;
	}
	r->rule_cnt = n;
	if (!d->small)
		r->data = TABLE;
	return 0;
}

static int driver_insert(struct driver *d, struct ethtool_rxnfc *r)
{
	if (d->error)
		return d->error;
	if (d->chooses != (r->fs.location == RX_CLS_LOC_ANY))
		return -EINVAL;
	for (uint32_t i = 0; d->chooses && i < TABLE && r->fs.location == RX_CLS_LOC_ANY; i++) {
		if (!d->used[i])
			r->fs.location = i;
	}
	if (r->fs.location == RX_CLS_LOC_ANY)
		return -ENOSPC;
	if (r->fs.location >= TABLE)
		return -E2BIG;
	d->used[r->fs.location] = true;
	d->rule[r->fs.location] = r->fs;
	return 0;
}

static int driver_ioctl(void *ctx, const char *ifname, void *data)
{
	struct driver *d = ctx;
	struct ethtool_rxnfc *r = data;
	uint32_t at;

	assert_string_equal(ifname, "eth7");
	if (*(uint32_t *)data == ETHTOOL_GFLAGS) {
		((struct ethtool_value *)data)->data = d->off ? 0 : ETH_FLAG_NTUPLE;
		return 0;
	}
	if (d->none)
		return -EOPNOTSUPP;
	at = r->fs.location;
	switch (r->cmd) {
	case ETHTOOL_GRXCLSRLCNT:
		r->rule_cnt = (uint32_t)driver_count(d);
		r->data = d->chooses ? RX_CLS_LOC_SPECIAL : 0;
		return 0;
	case ETHTOOL_GRXCLSRLALL:
		return driver_list(d, r);
	case ETHTOOL_SRXCLSRLINS:
		return driver_insert(d, r);
	case ETHTOOL_GRXCLSRULE:
		if (at >= TABLE || !d->used[at])
			return at % 2 ? -EINVAL : -ENOENT;
		r->fs = d->rule[at];
		/* Drivers return masks that nobody has set. */
		r->fs.m_u.hdata[40] = 0xff;
		r->fs.flow_type |= FLOW_EXT;
		return 0;
	case ETHTOOL_SRXCLSRLDEL:
		assert_true(at < TABLE && d->used[at]);
		d->used[at] = false;
		d->deleted++;
		return 0;
	default:
		fail_msg("request 0x%x", r->cmd);
		return -EINVAL;
	}
}

static struct nic open_nic(struct driver *d)
{
	struct nic nic;
	char why[200] = "";

	assert_int_equal(nic_open(&nic, "eth7", driver_ioctl, d, why, sizeof(why)), 0);
	return nic;
}

static struct nic_filter udp4(uint16_t sport, uint32_t queue)
{
	struct nic_filter f = { .queue = queue, .flow = { .family = 4, .proto = IPPROTO_UDP,
				.sport = htons(sport), .dport = htons(53) } };

	f.flow.saddr = (struct sluice_addr){ .w = { 0, 0, htonl(0xffff), htonl(0x0a000001) } };
	f.flow.daddr = (struct sluice_addr){ .w = { 0, 0, htonl(0xffff), htonl(0x0a000002) } };
	return f;
}

static int add(struct nic *nic, struct nic_filter *f)
{
	return nic->filters.ops->add(&nic->filters, f);
}

static int del(struct nic *nic, const struct nic_filter *f)
{
	return nic->filters.ops->del(&nic->filters, f);
}

static uint32_t room(struct nic *nic)
{
	uint32_t n;

	assert_int_equal(nic->filters.ops->capacity(&nic->filters, &n), 0);
	return n;
}

static void test_open(void **state)
{
	struct driver none = { .none = true }, off = { .off = true };
	struct nic nic;
	char why[200] = "";

	(void)state;
	assert_int_equal(nic_open(&nic, "eth7", driver_ioctl, &none, why, sizeof(why)),
			 -EOPNOTSUPP);
	assert_non_null(strstr(why, "leave --arfs out"));
	assert_int_equal(nic_open(&nic, "eth7", driver_ioctl, &off, why, sizeof(why)), -ENXIO);
	assert_non_null(strstr(why, "ethtool -K eth7 ntuple on"));
	/* The kernel's own answer for a device that has none. */
	assert_int_equal(nic_open(&nic, "lo", NULL, NULL, why, sizeof(why)), -EOPNOTSUPP);
	assert_non_null(strstr(why, "no n-tuple filters"));
	assert_int_equal(nic_open(&nic, "nosuchdev", NULL, NULL, why, sizeof(why)), -ENODEV);
}

/* Exactly the flow, both addresses and both ports, and the queue. */
static void test_rule(void **state)
{
	struct driver d = { .chooses = true };
	struct nic nic = open_nic(&d);
	struct nic_filter f = udp4(1000, 3);
	const struct ethtool_rx_flow_spec *fs;

	(void)state;
	assert_int_equal(add(&nic, &f), 0);
	assert_int_equal(f.location, 0);
	fs = &d.rule[0];
	assert_int_equal(fs->flow_type, UDP_V4_FLOW);
	assert_int_equal(fs->ring_cookie, 3);
	assert_int_equal(fs->h_u.udp_ip4_spec.ip4src, htonl(0x0a000001));
	assert_int_equal(fs->h_u.udp_ip4_spec.ip4dst, htonl(0x0a000002));
	assert_int_equal(fs->h_u.udp_ip4_spec.psrc, htons(1000));
	assert_int_equal(fs->h_u.udp_ip4_spec.pdst, htons(53));
	assert_int_equal(fs->m_u.udp_ip4_spec.ip4src, 0xffffffff);
	assert_int_equal(fs->m_u.udp_ip4_spec.ip4dst, 0xffffffff);
	assert_int_equal(fs->m_u.udp_ip4_spec.psrc, 0xffff);
	assert_int_equal(fs->m_u.udp_ip4_spec.pdst, 0xffff);
	assert_int_equal(fs->m_u.udp_ip4_spec.tos, 0);

	f.flow.family = 6;
	f.flow.proto = IPPROTO_TCP;
	inet_pton(AF_INET6, "2001:db8::1", &f.flow.saddr);
	inet_pton(AF_INET6, "2001:db8::2", &f.flow.daddr);
	assert_int_equal(add(&nic, &f), 0);
	assert_int_equal(f.location, 1);
	fs = &d.rule[1];
	assert_int_equal(fs->flow_type, TCP_V6_FLOW);
	assert_memory_equal(fs->h_u.tcp_ip6_spec.ip6src, &f.flow.saddr, 16);
	assert_memory_equal(fs->h_u.tcp_ip6_spec.ip6dst, &f.flow.daddr, 16);
	assert_int_equal(fs->m_u.tcp_ip6_spec.psrc, 0xffff);
	f.flow.proto = IPPROTO_SCTP;
	assert_int_equal(add(&nic, &f), 0);
	assert_int_equal(d.rule[2].flow_type, SCTP_V6_FLOW);
	f.flow.proto = IPPROTO_ICMPV6;
	assert_int_equal(add(&nic, &f), -EOPNOTSUPP);
	f.flow.proto = IPPROTO_UDP;
	f.flow.sport = f.flow.dport = 0;
	assert_int_equal(add(&nic, &f), -EOPNOTSUPP);
	nic_close(&nic);
}

/* Places are given out from the end; those of others are left alone. */
static void test_places(void **state)
{
	struct driver d = { .used = { [2] = true, [6] = true, [7] = true } };
	struct nic nic = open_nic(&d);
	struct nic_filter f[6];
	static const uint32_t places[] = { 5, 4, 3, 1, 0 };

	(void)state;
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(room(&nic), 5 - i);
		f[i] = udp4((uint16_t)(1 + i), i);
		assert_int_equal(add(&nic, &f[i]), 0);
		assert_int_equal(f[i].location, places[i]);
	}
	assert_int_equal(room(&nic), 0);
	f[5] = udp4(9, 0);
	assert_int_equal(add(&nic, &f[5]), -ENOSPC);
	assert_int_equal(del(&nic, &f[2]), 0);
	assert_int_equal(del(&nic, &f[2]), -ENOENT);
	assert_int_equal(add(&nic, &f[5]), 0);
	assert_int_equal(f[5].location, 3);
	assert_true(d.used[2] && d.used[6] && d.used[7]);
	d.error = -EINVAL;
	assert_int_equal(del(&nic, &f[0]), 0);
	assert_int_equal(add(&nic, &f[0]), -EINVAL);
	nic_close(&nic);
}

static void test_foreign(void **state)
{
	struct driver d = { .chooses = true };
	struct nic nic = open_nic(&d);
	struct nic_filter f = udp4(1, 1), other = udp4(2, 1);

	(void)state;
	assert_int_equal(add(&nic, &f), 0);
	/* Another one's flow, queue or kind in its place. */
	d.rule[0].h_u.udp_ip4_spec.psrc = other.flow.sport;
	assert_int_equal(del(&nic, &f), -ENOENT);
	d.rule[0].h_u.udp_ip4_spec.psrc = f.flow.sport;
	d.rule[0].ring_cookie = 2;
	assert_int_equal(del(&nic, &f), -ENOENT);
	d.rule[0].ring_cookie = RX_CLS_FLOW_DISC;
	assert_int_equal(del(&nic, &f), -ENOENT);
	d.rule[0].ring_cookie = 1;
	d.rule[0].flow_type = TCP_V4_FLOW;
	assert_int_equal(del(&nic, &f), -ENOENT);
	assert_int_equal(d.deleted, 0);
	d.rule[0].flow_type = UDP_V4_FLOW;
	assert_int_equal(del(&nic, &f), 0);
	assert_int_equal(d.deleted, 1);
	nic_close(&nic);
}

static void test_no_size(void **state)
{
	struct driver d = { .chooses = true, .small = true };
	struct nic nic = open_nic(&d);
	struct nic_filter f;

	(void)state;
	for (uint32_t i = 0; i <= TABLE; i++) {
		assert_true(room(&nic) > 0);
		f = udp4((uint16_t)(i + 1), 0);
		assert_int_equal(add(&nic, &f), i < TABLE ? 0 : -ENOSPC);
	}
	nic_close(&nic);
}

/* A daemon that is killed leaves its filters; the next one removes these and no others. */
static void test_ledger(void **state)
{
	struct driver d = { .used = { [7] = true } };
	struct nic nic = open_nic(&d);
	struct ledger l, next;
	struct nic_filter f[4];
	char path[] = "/tmp/sluice-ledger.XXXXXX";
	uint32_t removed;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(ledger_open(&l, path, &nic.filters, &removed), 0);
	assert_int_equal(removed, 0);
	for (uint16_t i = 0; i < 4; i++) {
		f[i] = udp4((uint16_t)(i + 1), i);
		assert_int_equal(l.filters.ops->add(&l.filters, &f[i]), 0);
	}
	assert_int_equal(l.filters.ops->del(&l.filters, &f[1]), 0);
	assert_int_equal(l.filters.ops->add(&l.filters, &f[1]), 0);
	assert_int_equal(l.filters.ops->del(&l.filters, &f[2]), 0);
	assert_int_equal(driver_count(&d), 4);
	/* One of them has become someone else's. */
	d.rule[f[3].location].ring_cookie = RX_CLS_FLOW_DISC;

	assert_int_equal(ledger_open(&next, path, &nic.filters, &removed), 0);
	assert_int_equal(removed, 2);
	assert_int_equal(driver_count(&d), 2);
	assert_true(d.used[7] && d.used[f[3].location]);
	ledger_close(&next);
	assert_int_not_equal(access(path, F_OK), 0);
	ledger_close(&l);

	assert_int_equal(ledger_open(&l, "/nosuchdir/x", &nic.filters, &removed), -ENOENT);
	ledger_close(&l);
	nic_close(&nic);
}

/*
 * A real NIC, which is the operator's to name: SLUICE_NIC=eth1. It gets one filter, for a flow
 * between addresses that belong to nobody, and loses it again.
 */
static void test_hardware(void **state)
{
	const char *name = getenv("SLUICE_NIC");
	struct nic_filter f = udp4(9, 0);
	char why[200] = "SLUICE_NIC names no NIC with n-tuple filters to test on";
	uint32_t before;
	struct nic nic;

	(void)state;
	if (!name || nic_open(&nic, name, NULL, NULL, why, sizeof(why))) {
		print_message("skipped: %s\n", why);
		skip();
	}
	f.flow.saddr.w[3] = htonl(0xc0000201);
	f.flow.daddr.w[3] = htonl(0xc6336401);
	before = room(&nic);
	assert_int_equal(add(&nic, &f), 0);
	assert_true(before == ARFS_FILTERS || room(&nic) == before - 1);
	f.queue++;
	assert_int_equal(del(&nic, &f), -ENOENT);
	f.queue--;
	assert_int_equal(del(&nic, &f), 0);
	assert_int_equal(del(&nic, &f), -ENOENT);
	assert_int_equal(room(&nic), before);
	nic_close(&nic);
}

static void test_names(void **state)
{
	static const struct {
		const char *name;
		int queue;
	} names[] = {
		{ "eth0-TxRx-3", 3 },		{ "i40e-eth0-TxRx-12", 12 },
		{ "eth0-rx-0", 0 },		{ "ens5-Tx-Rx-7", 7 },
		{ "eth0-rxtx-1", 1 },		{ "eth0-fp-2", 2 },
		{ "mlx5_comp5@pci:0000:3b:00.0", 5 },	{ "virtio2-input.4", 4 },
		{ "eth0-rx3", 3 },		{ "nfp-0000:04:00.0-rxtx-6", 6 },
		{ "eth0-tx-0", -1 },		{ "virtio2-output.0", -1 },
		{ "virtio2-config", -1 },	{ "mlx5_async0@pci:0000:3b:00.0", -1 },
		{ "eth0", -1 },			{ "eth0-TxRx-", -1 },
		{ "eth0-TxRx-3x", -1 },		{ "eth0-TxRx-256", -1 },
		{ "", -1 },			{ "eth0-TxRx-99999999999999999999", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (nic_irq_queue(names[i].name) != names[i].queue)
			fail_msg("%s: %d, not %d", names[i].name, nic_irq_queue(names[i].name),
				 names[i].queue);
	}
}

static void shell(const char *root, const char *format, ...)
{
	char line[1024];
	va_list args;
	int n = snprintf(line, sizeof(line), "cd %s && ", root);

	va_start(args, format);
	vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
	va_end(args);
	assert_int_equal(system(line), 0);
}

/* An interrupt of eth7 and where it goes. effective: NULL where the kernel does not say. */
static void irq(const char *root, const char *dir, unsigned int n, const char *name,
		const char *allowed, const char *effective)
{
	shell(root,
	      "mkdir -p sys/class/net/eth7/device proc/irq/%u/'%s' && mkdir -p %s && "
	      "touch %s/%u && echo %s >proc/irq/%u/smp_affinity_list",
	      n, name, dir, dir, n, allowed, n);
	if (effective)
		shell(root, "echo '%s' >proc/irq/%u/effective_affinity_list", effective, n);
}

#define MSI "sys/class/net/eth7/device/msi_irqs"

static void test_irqs(void **state)
{
	char root[] = "/tmp/sluice-irqs.XXXXXX";
	uint16_t queue[SLUICE_MAX_CPUS];

	(void)state;
	assert_non_null(mkdtemp(root));
	assert_int_equal(nic_read_irqs(root, "eth7", queue), -ENOENT);
	assert_int_equal(queue[0], ARFS_NO_QUEUE);
	/* Each its CPU, one by what is in effect, and one whose interrupt goes anywhere. */
	irq(root, MSI, 100, "eth7", "0-7", NULL);
	irq(root, MSI, 101, "eth7-TxRx-0", "2", NULL);
	irq(root, MSI, 102, "eth7-TxRx-1", "0-7", "3");
	irq(root, MSI, 103, "eth7-TxRx-2", "0-3,6-7", NULL);
	/* Of another port of the card, and not there any more. */
	irq(root, MSI, 104, "eth70-TxRx-3", "4", NULL);
	shell(root, "touch " MSI "/105");
	assert_int_equal(nic_read_irqs(root, "eth7", queue), 3);
	assert_int_equal(queue[2], 0);
	assert_int_equal(queue[3], 1);
	assert_int_equal(queue[0], 2);
	assert_int_equal(queue[1], 2);
	assert_int_equal(queue[7], 2);
	assert_int_equal(queue[4], ARFS_NO_QUEUE);
	assert_int_equal(queue[5], ARFS_NO_QUEUE);
	shell(root,
	      "echo '' >proc/irq/101/smp_affinity_list; echo 9999 >proc/irq/103/smp_affinity_list");
	assert_int_equal(nic_read_irqs(root, "eth7", queue), 1);
	assert_int_equal(queue[2], ARFS_NO_QUEUE);
	shell("/", "rm -r %s", root);
}

/* virtio: the interrupts are the parent's, the names without the device's. */
static void test_irqs_parent(void **state)
{
	char root[] = "/tmp/sluice-irqs.XXXXXX";
	uint16_t queue[SLUICE_MAX_CPUS];

	(void)state;
	assert_non_null(mkdtemp(root));
	shell(root, "mkdir -p sys/devices/pci/virtio2 sys/class/net/eth7 && "
	      "ln -s ../../../devices/pci/virtio2 sys/class/net/eth7/device");
	irq(root, "sys/devices/pci/msi_irqs", 37, "virtio2-config", "0-1", NULL);
	irq(root, "sys/devices/pci/msi_irqs", 38, "virtio2-input.0", "0-1", "1");
	irq(root, "sys/devices/pci/msi_irqs", 39, "virtio2-output.0", "0-1", "0");
	irq(root, "sys/devices/pci/msi_irqs", 40, "virtio2-input.1", "0", "0");
	assert_int_equal(nic_read_irqs(root, "eth7", queue), 2);
	assert_int_equal(queue[1], 0);
	assert_int_equal(queue[0], 1);
	shell("/", "rm -r %s", root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),	cmocka_unit_test(test_rule),
		cmocka_unit_test(test_places),	cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_no_size),	cmocka_unit_test(test_ledger),
		cmocka_unit_test(test_hardware),
		cmocka_unit_test(test_names),	cmocka_unit_test(test_irqs),
		cmocka_unit_test(test_irqs_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
