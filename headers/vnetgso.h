/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * vnetgso.h - struct virtio_net_hdr of a packet socket: merged UDP (Linux 6.2), which
 * the headers of the distribution do not name.
 */
#ifndef SLUICE_VNETGSO_H
#define SLUICE_VNETGSO_H

#include <linux/virtio_net.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#endif
