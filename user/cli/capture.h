/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * capture.h - capture files, pcap and pcapng: read packet by packet as Ethernet
 * frames, and written. Times are in ns since 1970, whatever the file counts in.
 *
 * Reading stops for good at the end of the file or at the first damaged packet:
 * capture_read() then says 0 or an error for ever. One thread.
 */
#ifndef SLUICE_CLI_CAPTURE_H
#define SLUICE_CLI_CAPTURE_H

#include <pcap/pcap.h>
#include <stdint.h>
#include <stdio.h>

/* Bytes of one packet in a file, as libpcap limits them; merged ones have up to 64 KiB. */
#define CAPTURE_MAX 262144u
/* A frame of capture_frame() is no longer than this. */
#define CAPTURE_FRAME_MAX (CAPTURE_MAX + 64u)

struct capture {
	pcap_t *pcap;
	int link;		/* DLT_* */
	uint64_t packets;	/* read so far; a damaged one is number packets + 1 */
	int ended;		/* what capture_read() said last: 1, 0 or -EBADMSG */
	char error[PCAP_ERRBUF_SIZE + 128];
};

struct capture_packet {
	const uint8_t *data;	/* as in the file; until the next capture_read() */
	uint32_t caplen;	/* bytes at data */
	uint32_t len;		/* bytes that the packet had, >= caplen */
	uint64_t tstamp;
};

/*
 * Takes file over, also when it fails. -EINVAL: not a capture, or of a kind of link that is not
 * known here; c->error says so in words.
 */
int capture_open(struct capture *c, FILE *file);
void capture_close(struct capture *c);

/* 1 with a packet; 0 at the end; -EBADMSG: the file is damaged here, how is in c->error. */
int capture_read(struct capture *c, struct capture_packet *p);

/*
 * Writes the packet as an Ethernet frame, with a link header of our own (addresses 0) where
 * the file has another one, to frame, which has room for CAPTURE_FRAME_MAX bytes. Returns how
 * many; 0: there is less than a link header.
 */
uint32_t capture_frame(const struct capture *c, const struct capture_packet *p, uint8_t *frame);

struct capture_out {
	pcap_t *pcap;
	pcap_dumper_t *dumper;
};

/* A pcap file with times in ns. -errno of fopen(3), -ENOMEM. */
int capture_out_open(struct capture_out *out, const char *path, int link);
void capture_out_add(struct capture_out *out, const struct capture_packet *p);
/* -EIO: not all of it could be written. */
int capture_out_close(struct capture_out *out);

#endif
