// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* capture.c - see capture.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/ethernet.h>
#include <string.h>
#include <sys/types.h>

#include "cli/capture.h"

#define NSEC 1000000000

/* Of what precedes the packet in captures on all devices at once ("cooked"). */
#define SLL_LEN 16
#define SLL_PROTOCOL 14
#define SLL2_LEN 20
#define SLL2_PROTOCOL 0

/* How much is read from the file at once: fewer calls, and still within the second cache. */
#define READ_BYTES 262144

static const int links[] = {
	DLT_EN10MB, DLT_RAW, DLT_IPV4, DLT_IPV6, DLT_LINUX_SLL, DLT_LINUX_SLL2,
};

static int check_link(struct capture *c)
{
	const char *name;

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (links[i] == c->link)
			return 0;
	name = pcap_datalink_val_to_name(c->link);
	snprintf(c->error, sizeof(c->error),
		 "its link type is %s (%d); known are EN10MB, RAW, IPV4, IPV6, LINUX_SLL, "
		 "LINUX_SLL2",
		 name ? name : "unknown", c->link);
	return -EINVAL;
}

int capture_open(struct capture *c, FILE *file)
{
	char error[PCAP_ERRBUF_SIZE] = "";

	*c = (struct capture){ .ended = 1 };
	setvbuf(file, NULL, _IOFBF, READ_BYTES);
	c->pcap = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, error);
	if (!c->pcap) {
		snprintf(c->error, sizeof(c->error), "%s", error);
		fclose(file);
		return -EINVAL;
	}
	c->link = pcap_datalink(c->pcap);
	if (check_link(c)) {
		capture_close(c);
		return -EINVAL;
	}
	return 0;
}

void capture_close(struct capture *c)
{
	if (c->pcap)
		pcap_close(c->pcap);
	c->pcap = NULL;
}

/* Damaged files have any time: before 1970 becomes 0, and what is too far off the latest. */
static uint64_t time_of(const struct timeval *ts)
{
	int64_t sec = ts->tv_sec;

	if (sec < 0)
		return 0;
	if (sec >= INT64_MAX / NSEC)
		return INT64_MAX;
	return (uint64_t)sec * NSEC + (uint64_t)ts->tv_usec % NSEC;
}

static int damaged(struct capture *c, const char *what)
{
	c->ended = -EBADMSG;
	snprintf(c->error, sizeof(c->error), "packet %" PRIu64 ": %s", c->packets + 1,
		 what);
	return -EBADMSG;
}

static int bad_length(struct capture *c, const struct pcap_pkthdr *head)
{
	char what[96];

	if (head->caplen > CAPTURE_MAX)
		snprintf(what, sizeof(what), "%u bytes are more than a packet can have",
			 head->caplen);
	else
		snprintf(what, sizeof(what), "%u bytes captured of a packet of %u", head->caplen,
			 head->len);
	return damaged(c, what);
}

int capture_read(struct capture *c, struct capture_packet *p)
{
	struct pcap_pkthdr *head;
	const u_char *data;
	int rc;

	if (c->ended <= 0)
		return c->ended;
	rc = pcap_next_ex(c->pcap, &head, &data);
	if (rc == PCAP_ERROR_BREAK) {
		c->ended = 0;
		return 0;
	}
	if (rc != 1)
		return damaged(c, pcap_geterr(c->pcap));
	if (head->caplen > CAPTURE_MAX || head->caplen > head->len)
		return bad_length(c, head);
	c->packets++;
	*p = (struct capture_packet){
		.data = data,
		.caplen = head->caplen,
		.len = head->len,
		.tstamp = time_of(&head->ts),
	};
	return 1;
}

/*
 * The EtherType in *type, in network order. Returns where the packet begins; beyond its end, if
 * nowhere.
 */
static uint32_t network_offset(const struct capture *c, const struct capture_packet *p,
			       uint16_t *type)
{
	switch (c->link) {
	case DLT_LINUX_SLL:
		if (p->caplen >= SLL_LEN)
			memcpy(type, p->data + SLL_PROTOCOL, sizeof(*type));
		return SLL_LEN;
	case DLT_LINUX_SLL2:
		if (p->caplen >= SLL2_LEN)
			memcpy(type, p->data + SLL2_PROTOCOL, sizeof(*type));
		return SLL2_LEN;
	default:
		if (p->caplen)
			*type = htons(p->data[0] >> 4 == 6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
		return p->caplen ? 0 : 1;
	}
}

uint32_t capture_frame(const struct capture *c, const struct capture_packet *p, uint8_t *frame)
{
	struct ether_header eth = { 0 };
	uint16_t type = 0;
	uint32_t at;

	if (c->link == DLT_EN10MB) {
		memcpy(frame, p->data, p->caplen);
		return p->caplen;
	}
	at = network_offset(c, p, &type);
	if (at > p->caplen)
		return 0;
	eth.ether_type = type;
	memcpy(frame, &eth, sizeof(eth));
	memcpy(frame + sizeof(eth), p->data + at, p->caplen - at);
	return (uint32_t)sizeof(eth) + p->caplen - at;
}

int capture_out_open(struct capture_out *out, const char *path, int link)
{
	FILE *file = fopen(path, "wb");
	int err = file ? -ENOMEM : -errno;

	*out = (struct capture_out){ 0 };
	if (!file)
		return err;
	out->pcap = pcap_open_dead_with_tstamp_precision(link, CAPTURE_MAX,
							 PCAP_TSTAMP_PRECISION_NANO);
	if (out->pcap)
		out->dumper = pcap_dump_fopen(out->pcap, file);
	if (!out->dumper) {
		fclose(file);
		if (out->pcap)
			pcap_close(out->pcap);
		return err;
	}
	return 0;
}

void capture_out_add(struct capture_out *out, const struct capture_packet *p)
{
	struct pcap_pkthdr head = {
		.ts = { .tv_sec = (time_t)(p->tstamp / NSEC),
			.tv_usec = (suseconds_t)(p->tstamp % NSEC) },
		.caplen = p->caplen,
		.len = p->len,
	};

	pcap_dump((u_char *)out->dumper, &head, p->data);
}

int capture_out_close(struct capture_out *out)
{
	int err = 0;

	if (!out->dumper)
		return 0;
	if (pcap_dump_flush(out->dumper) || ferror(pcap_dump_file(out->dumper)))
		err = -EIO;
	pcap_dump_close(out->dumper);
	pcap_close(out->pcap);
	*out = (struct capture_out){ 0 };
	return err;
}
