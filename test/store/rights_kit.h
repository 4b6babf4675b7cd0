/* SPDX-License-Identifier: Apache-2.0
 * rights_kit.h - what the tests of rights share: trees whose settings change.
 * Called by: test_rights.c, test_gate.c, test_compose.c. Never: the product. */
#ifndef RIGHTS_KIT_H
#define RIGHTS_KIT_H

#include "store_kit.h"

/* Keys by number; the pair of a number is made once and lives until rk_end. */
#define RK_OWNER 1
#define RK_EVERYONE 0
const weft_keypair *rk_pair(uint8_t number);
const weft_key *rk_key(uint8_t number);
void rk_end(void);

typedef struct rk_say { /* one operation on `auth` */
    uint8_t key;        /* RK_EVERYONE: "*"        */
    const char *text;   /* "read", "none", "write:3"; NULL: deletes the grant */
    const char *name;   /* not NULL: sets the key's name instead              */
} rk_say;
/* The operations as a payload of `_settings`; the caller's. */
weft_buf *rk_payload(const rk_say *says, uint32_t count);

/* A tree that grows by entries on a chain. */
typedef struct rk_tree {
    weft_id tree, tip, settings_tip;
    uint64_t height;
    weft_buf *root;
} rk_tree;
/* By the owner, with that grant for everyone; not stored yet. */
void rk_root(rk_tree *tree, uint8_t entropy, weft_right everyone);
/* Builds the next entry of the chain, which says that; *id too. The caller's. */
weft_buf *rk_next(rk_tree *tree, uint8_t author, const rk_say *says, uint32_t count, weft_id *id);
/* Follows it without a reader, stores its root. */
void rk_open(sk_node *node, rk_tree *tree, uint8_t entropy, weft_right everyone);
/* Commits the next entry, which says `text` of `key`. */
weft_err rk_grant(sk_node *node, rk_tree *tree, uint8_t key, const char *text);
void rk_close(rk_tree *tree);

bool rk_may(sk_node *node, const rk_tree *tree, uint8_t key);

#endif
