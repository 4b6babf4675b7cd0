/* SPDX-License-Identifier: Apache-2.0
 * weft/store.h - looking after a node's store: copies of it while it is in use.
 *
 * Threads: any thread but an actor's. weft-fsck(1) does the same, and more, for a store that
 * no node has open. */
#ifndef WEFT_STORE_H
#define WEFT_STORE_H

#include <weft/node.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Copies the store of `node`, as it is at one moment, to the directory `dir`, which must not be
 * there (its parent must). Commits and reads go on meanwhile. Tables are shared with the
 * original where both lie on one volume, so that a copy costs what is not in tables yet. A
 * directory of that name is whole: it is made as `dir`.part and renamed when it is durable.
 *
 * A copy has entries, trees, readers, peers and relations; the key of the device it has not.
 * Opened as a store (with its key beside it, or weft-fsck --restore --key) it gets new epochs,
 * so that peers send again what it lacks, whatever they had been told by the original. Only
 * one of both should be on the network under one key.
 *
 * Works on the calling thread until it is done. INVALID, DEADLK; EXISTS (`dir`, or what is
 * left of a copy that did not end: remove `dir`.part); UNSUPPORTED: a store in memory;
 * NO_SPACE, IO, NO_MEMORY: nothing of it is left. */
weft_err weft_store_checkpoint(weft_node *node, const char *dir);

#ifdef __cplusplus
}
#endif
#endif
