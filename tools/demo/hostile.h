/* SPDX-License-Identifier: Apache-2.0
 * hostile.h - what somebody with bad intentions sends to a node. */
#ifndef DEMO_HOSTILE_H
#define DEMO_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Connects to "tcp:a.b.c.d:port", sends these bytes and waits until the node hangs up.
 * false: it did not within ten seconds, or cannot be reached. *answered (may be NULL):
 * how many bytes it sent meanwhile. */
bool hostile_send(const char *address, const void *bytes, size_t len, size_t *answered);

/* A wire tap: somebody who carries the bytes of one connection and keeps a copy of what
 * the dialler sent. */
struct tap;
/* Listens on a port of its own for one connection, to be carried to `address`; *out is
 * ended with tap_close. NULL: it cannot. */
struct tap *tap_open(const char *address, char *out_address, size_t out_len);
/* Sends the last whole record of the dialler once more, and waits until the node hangs
 * up. false: it did not. */
bool tap_repeat(struct tap *tap);
/* What the dialler sent up to now; valid until tap_close. */
size_t tap_record(struct tap *tap, const uint8_t **out);
void tap_close(struct tap *tap); /* NULL is fine */

#endif
