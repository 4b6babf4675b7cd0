/* SPDX-License-Identifier: Apache-2.0
 * weft/access.h - who may do what with a tree: the grants in its settings.
 * docs/entry.md, section 6, fixes what they mean for each entry. Any thread may call. */
#ifndef WEFT_ACCESS_H
#define WEFT_ACCESS_H

#include <weft/node.h>

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

/* -- Grants ---------------------------------------------------------------------------------- */

/* One entry of settings by `admin`, on all that this node has of the tree, that says all of it of
 * `count` keys. When it answers OK the entry is durable here, and if it took the right to read
 * from somebody, nothing that was framed for them leaves this node any more. *out_id (may be
 * NULL) is the entry. INVALID: no grant, a key twice, everyone as Admin or with a name, a name
 * that is no UTF-8. FORBIDDEN: more than `admin` may say (docs/entry.md, section 6). TREE: it is
 * not followed here, or its root is missing. LIMIT: more than WEFT_MAP_OPS_MAX grants and names.
 * BAD_ENTRY: the settings would have more than WEFT_POLICY_GRANTS_MAX paths. NO_SPACE, IO.
 * TIMED_OUT: it may yet be made. */
weft_err weft_grant_put(weft_node *node, const weft_id *tree, const weft_keypair *admin,
                        const weft_grant *grants, uint32_t count, weft_ns timeout, weft_id *out_id);
/* The same; `done` as for the commands of weft/node.h, with nothing in the result. */
weft_err weft_grant_put_async(weft_node *node, const weft_id *tree, const weft_keypair *admin,
                              const weft_grant *grants, uint32_t count, weft_on_result done,
                              void *arg);
/* Gives `now` the own grant and the name of `before` and revokes that, in one entry: a key was
 * rotated. `before` may be `admin` itself; it cannot be the Admin(0), which nobody hands on:
 * FORBIDDEN. NOT_FOUND: nothing is granted to `before` itself. INVALID: they are one key. What
 * `before` was granted is looked up when this is called. Otherwise as weft_grant_put. */
weft_err weft_grant_replace(weft_node *node, const weft_id *tree, const weft_keypair *admin,
                            const weft_key *before, const weft_key *now, weft_ns timeout,
                            weft_id *out_id);
/* Who was granted something or was revoked: everyone first, then by key. `*count` in: room of
 * `out`, out: filled. LIMIT: then it is how many there are. TREE: it is unknown here. While the
 * rights are not known, because memory was short or the disk failed: NO_MEMORY, IO, CORRUPT. */
weft_err weft_grant_list(weft_node *node, const weft_id *tree, weft_grant *out, size_t *count);
typedef void (*weft_on_grants)(void *arg, weft_err err, const weft_grant *grants, size_t count);
weft_err weft_grant_list_async(weft_node *node, const weft_id *tree, weft_on_grants done,
                               void *arg);
/* What the key may do now, by what is here: its own grant or everyone's, the stronger one, by the
 * settings that count (docs/entry.md, section 6; the door judges each entry by its ancestors).
 * *priority may be NULL. As weft_grant_list. */
weft_err weft_right_of(weft_node *node, const weft_id *tree, const weft_key *key, weft_right *right,
                       uint32_t *priority);
typedef void (*weft_on_right)(void *arg, weft_err err, weft_right right, uint32_t priority);
weft_err weft_right_of_async(weft_node *node, const weft_id *tree, const weft_key *key,
                             weft_on_right done, void *arg);

/* Does the entry count, or do maps leave it out because its author was revoked? That may change when
 * more entries come. weft_get, weft_tree_walk, weft_dag and feeds show both kinds. Where somebody
 * was revoked it reads the tree's settings. NOT_FOUND; LIMIT, CORRUPT, IO, NO_MEMORY: as of a
 * refresh of a map. */
weft_err weft_entry_counts(weft_node *node, const weft_id *entry, bool *out);

/* -- Keys beside the device's ---------------------------------------------------------------- */

/* Acts in the tree with `user` beside the device's key: related peers have it proven to them,
 * on the connections that there are and on later ones, and judge by both keys what they send
 * here. A peer hears of the key only then. The pair is copied to locked memory and gone with the
 * process. NULL: with the device's key alone; a connection on which the key was proven knows it
 * until it ends. TREE is not asked: the tree may come later. LIMIT (WEFT_IDENTITIES_MAX). */
weft_err weft_tree_use_key(weft_node *node, const weft_id *tree, const weft_keypair *user);

/* -- Who tracks a tree here, and how ------------------------------------------------------- */

/* Several principals of one node, people who share it say, each have settings of their own for a
 * tree. What they come to is what the node does: the tree is served if one of them has it enabled,
 * its entries are pushed as they are committed if one of them wants that, it is synced at the
 * shortest of their intervals, and it has the properties of all, where a later change wins. A tree
 * that is not served is to peers as one that is not here; its entries stay, and writing goes on. */

/* Another interval begins a new period. If it is changed again before that has ended, what has passed
 * of the period stays: of half the old interval there is half the new one to come. */

/* Both are UTF-8 with its NUL; the keys of one settings differ and are not empty. */
typedef struct weft_property {
    char key[WEFT_PROPERTY_KEY_BYTES_MAX + 1];
    char value[WEFT_PROPERTY_VALUE_BYTES_MAX + 1];
} weft_property;

typedef struct weft_sync_settings {
    bool enabled;        /* all zero: disabled                                             */
    bool on_commit;      /* what is stored here is pushed at once. Else it goes out by sync
                          * commands, flush and the periodic sync, and when a session begins */
    bool has_interval;   /* of the periodic sync; all trees have the node's default else     */
    uint64_t interval_s; /* seconds, 1 .. WEFT_INTERVAL_S_MAX if has_interval: INVALID       */
    uint32_t properties_count; /* <= WEFT_PROPERTIES_MAX: INVALID                          */
    weft_property properties[WEFT_PROPERTIES_MAX];
} weft_sync_settings;

/* Inserts the settings of a principal for a tree, or replaces them; equal ones change nothing.
 * `principal` NULL: the node itself, which tracks, enabled and on_commit, what weft_tree_create and
 * weft_tree_follow make. A tree of which nothing is here is created empty once it is enabled.
 * Gate, pushes and timer follow before it returns, and what was framed for peers of a tree that is
 * not served any more does not leave. INVALID; LIMIT (WEFT_PRINCIPALS_PER_TREE_MAX,
 * WEFT_TRACKS_MAX), BUSY (WEFT_CHANGES_WAITING_MAX), IO, NO_SPACE. */
weft_err weft_settings_put(weft_node *node, const weft_id *tree, const weft_key *principal,
                           const weft_sync_settings *settings, weft_ns timeout);
weft_err weft_settings_put_async(weft_node *node, const weft_id *tree, const weft_key *principal,
                                 const weft_sync_settings *settings, weft_on_result done,
                                 void *arg);
/* Flips `enabled` alone. NOT_FOUND: the principal does not track the tree. */
weft_err weft_settings_enable(weft_node *node, const weft_id *tree, const weft_key *principal,
                              bool on, weft_ns timeout);
weft_err weft_settings_enable_async(weft_node *node, const weft_id *tree, const weft_key *principal,
                                    bool on, weft_on_result done, void *arg);
/* The principal tracks the tree no longer. With the last one the gate closes. NOT_FOUND. */
weft_err weft_settings_remove(weft_node *node, const weft_id *tree, const weft_key *principal,
                              weft_ns timeout);
weft_err weft_settings_remove_async(weft_node *node, const weft_id *tree, const weft_key *principal,
                                    weft_on_result done, void *arg);
/* Those of one principal; NOT_FOUND. Properties come in the order of their keys. */
weft_err weft_settings_get(weft_node *node, const weft_id *tree, const weft_key *principal,
                           weft_ns timeout, weft_sync_settings *out);
typedef void (*weft_on_settings)(void *arg, weft_err err, const weft_sync_settings *settings);
weft_err weft_settings_get_async(weft_node *node, const weft_id *tree, const weft_key *principal,
                                 weft_on_settings done, void *arg);
/* What those of all come to. Of more than WEFT_PROPERTIES_MAX properties those of the latest
 * changes. NOT_FOUND: nobody tracks the tree. */
weft_err weft_settings_combined(weft_node *node, const weft_id *tree, weft_ns timeout,
                                weft_sync_settings *out);
weft_err weft_settings_combined_async(weft_node *node, const weft_id *tree, weft_on_settings done,
                                      void *arg);

typedef struct weft_tracked {
    weft_id tree;
    weft_sync_settings settings;
} weft_tracked;
/* The principal tracks exactly these, all in one batch; what is equal stays as it is. `count` 0:
 * it leaves. INVALID: a tree is named twice. LIMIT, IO, NO_SPACE. */
weft_err weft_principal_sync(weft_node *node, const weft_key *principal, const weft_tracked *list,
                             uint32_t count, weft_ns timeout);
weft_err weft_principal_sync_async(weft_node *node, const weft_key *principal,
                                   const weft_tracked *list, uint32_t count, weft_on_result done,
                                   void *arg);
/* What a principal tracks, ascending. `*count` in: room, out: filled; LIMIT: there are more. */
weft_err weft_principal_trees(weft_node *node, const weft_key *principal, weft_ns timeout,
                              weft_id *out, size_t *count);
weft_err weft_principal_trees_async(weft_node *node, const weft_key *principal, weft_on_ids done,
                                    void *arg);

/* A map of the node itself, for those who set it up: weft looks at none of it. Keys are 1 to
 * WEFT_SETTING_KEY_BYTES_MAX bytes, values at most WEFT_SETTING_VALUE_BYTES_MAX: INVALID. `value`
 * NULL removes the key, if it is there. LIMIT (WEFT_SETTINGS_MAX), IO, NO_SPACE. */
weft_err weft_setting_set(weft_node *node, const char *key, const char *value, weft_ns timeout);
weft_err weft_setting_set_async(weft_node *node, const char *key, const char *value,
                                weft_on_result done, void *arg);
/* `*len` in: room, out: bytes with the NUL. LIMIT: so many are needed. NOT_FOUND, IO. A read. */
weft_err weft_setting_get(weft_node *node, const char *key, char *out, size_t *len);

#ifdef __cplusplus
}
#endif
#endif
