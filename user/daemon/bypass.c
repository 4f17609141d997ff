// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/bypass.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

static bool file_has_lines(const char *path, int more_than)
{
	FILE *f = fopen(path, "re");
	char line[256];
	int lines = 0;

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f))
		lines++;
	fclose(f);
	return lines > more_than;
}

static int count_table(const struct nlmsghdr *nlh, void *data)
{
	(void)nlh;
	++*(int *)data;
	return MNL_CB_OK;
}

static int dump_tables(struct mnl_socket *nl)
{
	uint32_t buf[2048];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;
	uint32_t seq = (uint32_t)time(NULL);
	int tables = 0, ret = 1;

	nlh->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = seq;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = 0;
	nfg->version = NFNETLINK_V0;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return 0;
	while (ret > 0) {
		ssize_t n = mnl_socket_recvfrom(nl, buf, sizeof(buf));

		if (n <= 0)
			break;
		ret = mnl_cb_run(buf, (size_t)n, seq, 0, count_table, &tables);
	}
	return tables;
}

static bool has_nftables(void)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	bool has;

	if (!nl)
		return false;
	has = dump_tables(nl) > 0;
	mnl_socket_close(nl);
	return has;
}

void bypass_describe(char *text, size_t len)
{
	bool filter = file_has_lines("/proc/net/ip_tables_names", 0) ||
		      file_has_lines("/proc/net/ip6_tables_names", 0) || has_nftables();
	/* The first line is the heading. */
	bool tap = file_has_lines("/proc/net/packet", 1);

	text[0] = 0;
	if (filter || tap)
		snprintf(text, len, "attached traffic bypasses this host's %s%s%s",
			 filter ? "netfilter tables" : "", filter && tap ? " and " : "",
			 tap ? "packet sockets (tcpdump and the like)" : "");
}
