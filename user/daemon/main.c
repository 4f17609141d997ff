// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * sluiced - the daemon of one device. The main thread is the control thread:
 *
 *   netlink -> porter (no threads, no BPF yet) -> device -> watch -> loop
 *
 * It ends on SIGINT, SIGTERM or SIGHUP, when the device goes, or by any other
 * signal; the kernel then takes the XDP program off the device, and the traffic
 * is its own again.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "daemon/accel.h"
#include "daemon/config.h"
#include "daemon/control.h"
#include "daemon/device.h"
#include "daemon/device_queue.h"
#include "daemon/netlink.h"
#include "daemon/porter.h"
#include "daemon/ports.h"
#include "daemon/settings.h"
#include "daemon/watch.h"

/* When reading the network configuration failed, it is tried again after so long. */
#define RETRY_MS 1000

enum { FD_SIGNAL, FD_PORTER, FD_NETLINK, FD_BROKEN, FD_GUARD, FD_CLIENTS };

struct daemon {
	struct config config;
	struct device dev;
	struct ports ports;
	struct control control;
	struct porter *porter;
	struct netlink *netlink;
	struct watch watch;
	struct accel accel;
	bool running;		/* the device is open */
	bool gone;
	bool stale;		/* the network configuration must be read again */
	bool cpumap_told;	/* report_cpumap() was called since there are entries in cpu_map */
	uint32_t vlan[SLUICE_VLAN_IDS];	/* as reported, also before there is a map */
	struct pollfd *fds;
	unsigned int max_fds;
	int signal_fd;
};

__attribute__((format(printf, 1, 2)))
static void say(const char *format, ...)
{
	va_list args;

	fputs("sluiced: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static void on_addr_added(void *ctx, const struct sluice_addr *addr, unsigned int ifindex)
{
	struct daemon *d = ctx;

	if (ports_local_add(&d->ports, addr, ifindex))
		say("no room for another local address: datagrams to it stay with the kernel");
}

static void on_addr_removed(void *ctx, const struct sluice_addr *addr)
{
	struct daemon *d = ctx;

	ports_local_del(&d->ports, addr);
}

static void on_vlan(void *ctx, uint16_t vid, unsigned int ifindex)
{
	struct daemon *d = ctx;

	d->vlan[vid] = ifindex;
	if (d->running)
		__atomic_store_n(&d->dev.steer.vlan_dev[vid], ifindex, __ATOMIC_RELAXED);
}

static void on_mac(void *ctx, const uint8_t mac[6])
{
	struct daemon *d = ctx;

	if (d->running)
		steer_set_mac(&d->dev.steer, mac);
}

static void on_mtu(void *ctx, unsigned int mtu)
{
	struct daemon *d = ctx;

	/* A frame that does not fit is dropped by the kernel and counted as rx_dropped. */
	if (d->running && mtu > d->dev.info.mtu)
		say("MTU of %s is now %u: frames were sized for %u, restart to receive larger ones",
		    d->config.ifname, mtu, d->dev.info.mtu);
}

static void on_state(void *ctx, enum netlink_state state)
{
	struct daemon *d = ctx;

	d->gone = state == NETLINK_GONE;
}

static const struct netlink_ops netlink_ops = {
	.addr_added = on_addr_added,
	.addr_removed = on_addr_removed,
	.vlan = on_vlan,
	.mac = on_mac,
	.mtu = on_mtu,
	.state = on_state,
};

static int open_porter(struct daemon *d)
{
	int err = porter_start(&d->porter, d->config.ifname, NULL);

	if (err == -EADDRINUSE)
		say("another sluiced serves %s in this network namespace: stop it first",
		    d->config.ifname);
	else if (err == -EPERM || err == -EACCES)
		say("may not create the control socket in %s: run as root", SLUICE_CTL_DIR);
	else if (err)
		say("cannot create the control socket in %s: %s", SLUICE_CTL_DIR, strerror(-err));
	return err;
}

static int open_netlink(struct daemon *d)
{
	int err = netlink_open(&d->netlink, d->config.ifname, &netlink_ops, d);

	if (err == -ENODEV)
		say("no device '%s' in this network namespace: see 'ip link'", d->config.ifname);
	else if (err)
		say("cannot read the network configuration: %s", strerror(-err));
	return err;
}

static int open_device(struct daemon *d)
{
	const struct netlink_device *nd = netlink_device(d->netlink);
	struct device_info info = {
		.ifindex = nd->ifindex,
		.nr_queues = netlink_rx_queues(d->netlink),
		.mtu = nd->mtu,
		.veth = !strcmp(nd->kind, "veth"),
		.netns_cookie = porter_netns_cookie(d->porter),
	};
	char why[256] = "";
	int err;

	memcpy(info.mac, nd->mac, sizeof(info.mac));
	err = device_open(&d->dev, &d->config, &info, why, sizeof(why));
	if (err) {
		say("%s", why);
		return err;
	}
	d->running = true;
	memcpy(d->dev.steer.vlan_dev, d->vlan, sizeof(d->vlan));
	return ports_start(&d->ports, &d->dev);
}

static int prepare_arfs(struct daemon *d)
{
	char why[256] = "";
	int err;

	accel_init(&d->accel, &d->config, porter_path(d->porter));
	if (!d->config.arfs)
		return 0;
	err = accel_prepare(&d->accel, netlink_rx_queues(d->netlink), why, sizeof(why));
	if (err)
		say("%s", why);
	return err;
}

static int start_arfs(struct daemon *d)
{
	char why[256] = "";
	uint32_t removed;
	int err;

	if (!d->config.arfs)
		return 0;
	err = accel_start(&d->accel, &d->dev, &removed, why, sizeof(why));
	if (err)
		say("%s", why);
	else if (removed)
		say("%u filters of a daemon that was killed are out of the NIC", removed);
	return err;
}

/* Without it all else works. */
static void open_kernel_rfs(struct daemon *d)
{
	char why[256] = "";

	if (d->config.kernel_rfs && settings_kernel_rfs(&d->dev, true, why, sizeof(why)))
		say("--kernel-rfs: %s", why);
}

/* What holds for packets that go to the kernel's stack by way of CPUMAP, once they do. */
static void report_cpumap(struct daemon *d)
{
	const struct device *dev = &d->dev;
	bool told = d->cpumap_told;

	d->cpumap_told = dev->steer.cpumap != NULL;
	if (told || !d->cpumap_told)
		return;
	if (dev->info.veth)
		say("%s", SETTINGS_VETH_WARNING);
	if (dev->steer.cpumap_blind)
		say("the kernel allows no tp_btf programs: losses on the way to a CPU are not counted, "
		    "and flows change their CPU late");
}

static void report(struct daemon *d)
{
	const struct device *dev = &d->dev;

	for (uint32_t i = 0; i < dev->nr_queues; i++)
		say("%s queue %u: %s XDP, %s, %u frames of %u bytes, %u workers", d->config.ifname,
		    dev->queue[i], dev->steer.config.generic ? "generic" : "native",
		    device_zerocopy(dev, i) ? "zero-copy" : "copy mode", dev->umem[i].frames,
		    dev->umem[i].frame_size, d->config.nr_workers);
	if (dev->steer.config.mirror && dev->steer.config.fallback != SLUICE_ACT_PASS)
		say("role mirror: this host is not reachable through %s (no ping, no ssh); "
		    "--default pass leaves it what no socket and no rule takes", d->config.ifname);
	if (dev->steer.config.generic)
		say("in generic XDP mode the order of datagrams is not promised");
	if (dev->pin_error)
		say("maps are not pinned (%s): mount bpffs on /sys/fs/bpf to have them under "
		    "/sys/fs/bpf/sluice/%s", strerror(-dev->pin_error), d->config.ifname);
	if (rfs_kernel_warning(&dev->rfs_kernel))
		say("%s", rfs_kernel_warning(&dev->rfs_kernel));
	report_cpumap(d);
	if (watch_warning(&d->watch))
		say("%s", watch_warning(&d->watch));
	say("ready on %s", porter_path(d->porter));
}

static int open_signals(struct daemon *d)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return d->signal_fd < 0 ? -errno : 0;
}

/* Descriptors to wait for: the daemon's own, then one per client. */
static int fill_fds(struct daemon *d)
{
	unsigned int n = FD_CLIENTS + d->control.nr_clients, i = FD_CLIENTS;

	if (n > d->max_fds) {
		struct pollfd *fds = reallocarray(d->fds, n + 64, sizeof(*fds));

		if (!fds)
			return -ENOMEM;
		d->fds = fds;
		d->max_fds = n + 64;
	}
	d->fds[FD_SIGNAL] = (struct pollfd){ .fd = d->signal_fd, .events = POLLIN };
	d->fds[FD_PORTER] = (struct pollfd){ .fd = porter_fd(d->porter), .events = POLLIN };
	d->fds[FD_NETLINK] = (struct pollfd){ .fd = netlink_fd(d->netlink), .events = POLLIN };
	d->fds[FD_BROKEN] = (struct pollfd){ .fd = d->dev.engine->broken_fd, .events = POLLIN };
	d->fds[FD_GUARD] = (struct pollfd){ .fd = watch_fd(&d->watch), .events = POLLIN };
	for (struct client *c = d->control.first; c; c = c->next)
		/* Of one that waits for its answer, nothing is to be read, not even its end. */
		d->fds[i++] = (struct pollfd){
			.fd = control_is_waiting(&d->control, c) ? -1 : c->fd,
			.events = POLLIN,
		};
	return (int)i;
}

static void serve_clients(struct daemon *d)
{
	struct client *client = d->control.first, *next;

	/* In the order in which fill_fds() listed them: nothing was added or dropped since. */
	for (unsigned int i = FD_CLIENTS; client; client = next, i++) {
		next = client->next;
		if (d->fds[i].revents)
			control_serve(&d->control, client);
	}
}

static int wait_ms(const struct daemon *d)
{
	int ms = watch_timeout_ms(&d->watch), arfs = accel_timeout_ms(&d->accel);
	int tick = control_timeout_ms(&d->control);

	if (arfs >= 0 && (ms < 0 || arfs < ms))
		ms = arfs;
	if (tick >= 0 && (ms < 0 || tick < ms))
		ms = tick;
	return d->stale && (ms < 0 || ms > RETRY_MS) ? RETRY_MS : ms;
}

/* poll(2) has returned n. */
static int serve(struct daemon *d, int n)
{
	watch_serve(&d->watch);
	accel_serve(&d->accel);
	if (d->stale || (n > 0 && d->fds[FD_NETLINK].revents))
		d->stale = netlink_read(d->netlink) < 0;
	if (n <= 0)
		return 0;
	serve_clients(d);
	report_cpumap(d);
	if (d->fds[FD_BROKEN].revents)
		control_drop_broken(&d->control);
	if (d->fds[FD_PORTER].revents)
		return control_accept(&d->control);
	return 0;
}

static int loop(struct daemon *d)
{
	while (!d->gone) {
		int n, err;

		/* It may end a client: the order of fill_fds() must hold afterwards. */
		control_tick(&d->control);
		n = fill_fds(d);
		if (n < 0)
			return n;
		n = poll(d->fds, (nfds_t)n, wait_ms(d));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0 && d->fds[FD_SIGNAL].revents)
			return 0;
		err = serve(d, n);
		if (err == -EPIPE)
			say("the process that accepts clients has ended: stopping");
		if (err)
			return err;
	}
	say("%s is gone: stopping", d->config.ifname);
	return -ENODEV;
}

static int run(struct daemon *d)
{
	int err = open_porter(d);

	if (!err)
		err = open_signals(d);
	if (!err)
		err = prepare_arfs(d);
	if (!err)
		err = open_device(d);
	if (!err)
		err = start_arfs(d);
	if (err)
		return err;
	control_init(&d->control, &d->dev, &d->ports, d->porter, &d->accel);
	watch_open(&d->watch, &d->ports, porter_netns_cookie(d->porter));
	open_kernel_rfs(d);
	report(d);
	err = loop(d);
	control_destroy(&d->control);
	return err;
}

static void finish(struct daemon *d)
{
	uint32_t left = accel_stop(&d->accel);

	if (left)
		say("%u filters stay in the NIC: see 'ethtool -n %s'", left, d->config.ifname);
	watch_close(&d->watch);
	if (d->running)
		device_close(&d->dev);
	porter_stop(d->porter);
	netlink_close(d->netlink);
	ports_destroy(&d->ports);
	free(d->fds);
}

static int silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

int main(int argc, char **argv)
{
	struct daemon *d = calloc(1, sizeof(*d));
	char why[256];
	int err;

	if (!d)
		return 1;
	if (config_parse(&d->config, argc, argv, why, sizeof(why))) {
		say("%s", why);
		free(d);
		return 2;
	}
	if (d->config.help || d->config.version) {
		if (d->config.help)
			config_help();
		else
			puts("sluiced " SLUICE_VERSION);
		free(d);
		return 0;
	}
	libbpf_set_print(silent);
	err = ports_init(&d->ports);
	if (err)
		say("cannot read the kernel's sockets (NETLINK_SOCK_DIAG): %s", strerror(-err));
	else
		err = open_netlink(d);
	if (!err)
		err = run(d);
	finish(d);
	free(d);
	return err ? 1 : 0;
}
