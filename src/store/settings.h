/* SPDX-License-Identifier: Apache-2.0
 * settings.h - what `_settings` says about keys: grants as text on fixed paths.
 * Called by: entry_build.c, policy.c, weft.c. May touch: its arguments.
 * Never: allocates. Any thread. */
#ifndef WF_SETTINGS_H
#define WF_SETTINGS_H

#include <weft/entry.h>

#include "map.h"

/* What a key may do. Read < Write < Admin; among equals the smaller priority is the
 * stronger one. Priority is 0 for NONE and READ. */
typedef struct wf_grant {
    weft_right right;
    uint32_t priority;
} wf_grant;
int wf_grant_compare(const wf_grant *a, const wf_grant *b); /* > 0: a is stronger */

/* "none", "read", "write:<p>", "admin:<p>" with p in decimal without leading zeros. */
#define WF_GRANT_TEXT_BYTES 17u
size_t wf_grant_write(const wf_grant *grant, char out[WF_GRANT_TEXT_BYTES]); /* no NUL; length */
weft_err wf_grant_read(const char *text, size_t len, wf_grant *out);         /* SYNTAX */

/* What one operation of a settings payload does to keys. */
typedef struct wf_settings_op {
    enum { WF_SETTINGS_OTHER, WF_SETTINGS_GRANT, WF_SETTINGS_NAME_OF_KEY } kind;
    bool everyone;  /* the key is "*"                              */
    weft_key key;   /* unless everyone                             */
    bool set;       /* false: the grant is taken back              */
    wf_grant grant; /* of a set GRANT                              */
} wf_settings_op;
/* Sorts an operation. Paths below "auth" other than a grant or a name, and grants
 * that do not read or that make everyone Admin, are BAD_ENTRY. */
weft_err wf_settings_read(const wf_map_op *op, wf_settings_op *out);

/* Writes the operation that gives `grant` to `key` (NULL: everyone). `text` is the
 * room that *out points into and must stay as long as *out. */
struct wf_settings_text {
    char key[2 * WEFT_KEY_BYTES];
    char grant[WF_GRANT_TEXT_BYTES];
};
void wf_settings_grant(const weft_key *key, const wf_grant *grant, struct wf_settings_text *text,
                       wf_map_op *out);

/* Where the name of `key` stands; `text` as above. */
void wf_settings_name_path(const weft_key *key, struct wf_settings_text *text, wf_map_path *out);

/* The settings of a root: its author is Admin(0), everyone has `everyone`. INVALID:
 * everyone Admin. */
#define WF_SETTINGS_ROOT_BYTES 256u
weft_err wf_settings_root(const weft_key *author, const wf_grant *everyone,
                          uint8_t out[WF_SETTINGS_ROOT_BYTES], size_t *len);

#endif
