/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * facts.h - what getsockopt(2) says about a socket that a client passed. A client
 * can make each of these calls hang: on its sockets only a handler makes them.
 */
#ifndef SLUICE_FACTS_H
#define SLUICE_FACTS_H

#include <stdint.h>
#include "daemon/porter.h"

/* Whatever fd is: what makes it no UDP socket goes into facts->error. */
void facts_read(int fd, struct porter_facts *facts);
/* SO_NETNS_COOKIE; 0 where it cannot be read. */
uint64_t facts_netns_cookie(int fd);

#endif
