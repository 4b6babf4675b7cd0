/* SPDX-License-Identifier: Apache-2.0
 * weft/access.h - who may do what with a tree: the grants in its settings.
 * docs/entry.md, section 6, fixes what they mean for each entry. Any thread may call. */
#ifndef WEFT_ACCESS_H
#define WEFT_ACCESS_H

#include <weft/entry.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the settings of a tree say of a key, or are to say. */
typedef struct weft_grant {
    bool everyone; /* of every key that is not revoked; then `key` is not looked at */
    weft_key key;
    weft_right right;  /* NONE revokes the key: what everyone has does not help it */
    uint32_t priority; /* of WRITE and ADMIN: the smaller one is the stronger      */
    bool revoked;      /* out only: it was granted something and has lost it       */
    char name[WEFT_KEY_NAME_BYTES_MAX + 1]; /* in: "" leaves it; out: "" none        */
} weft_grant;

typedef struct weft_node weft_node; /* weft/node.h */

/* Acts in the tree with `user` beside the device's key: related peers have it proven to them,
 * on the connections that there are and on later ones, and judge by both keys what they send
 * here. A peer hears of the key only then. The pair is copied to locked memory and gone with the
 * process. NULL: with the device's key alone; a connection on which the key was proven knows it
 * until it ends. TREE is not asked: the tree may come later. LIMIT (WEFT_IDENTITIES_MAX). */
weft_err weft_tree_use_key(weft_node *node, const weft_id *tree, const weft_keypair *user);

#ifdef __cplusplus
}
#endif
#endif
