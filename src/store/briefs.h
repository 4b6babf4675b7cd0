/* SPDX-License-Identifier: Apache-2.0
 * briefs.h - a bounded cache of the facts of entries that the door asks for.
 * Called by: the writer alone. May touch: the engine, to read `meta`.
 * Never: writes. What the open batch changed stays until the batch is over. */
#ifndef WF_BRIEFS_H
#define WF_BRIEFS_H

#include "kv.h"
#include "store.h"

#define WF_BRIEF_NAMES_INLINE 16u

enum wf_brief_tip { WF_TIP_UNKNOWN, WF_TIP_YES, WF_TIP_NO };

struct wf_brief {
    weft_id id;
    uint64_t t, gen, seq, height;
    uint32_t policy;
    uint32_t batch; /* the batch that changed it last; it stays while that is open */
    uint32_t fresh; /* its place in that batch, if it was added there (wf_brief_fresh) */
    uint32_t next;  /* chain of the hash table: 1 + slot */
    uint32_t names_len;
    uint8_t tip; /* enum wf_brief_tip, of the tree */
    bool used;   /* since the hand last came by */
    union {
        uint8_t here[WF_BRIEF_NAMES_INLINE];
        uint8_t *away;
    } names;
};

struct wf_briefs {
    struct wf_brief *slots;
    uint32_t *heads; /* 1 + slot */
    uint32_t room, count, hand, pinned;
    uint32_t batch;    /* number of the open one */
    uint64_t secret;   /* ids are the peer's choice, their places are not */
    size_t away_bytes; /* of names that do not fit inline */
    /* Is what stands in `meta` of a tree that was removed? Then it is not here. NULL: of none. */
    bool (*is_removed)(void *arg, uint64_t t);
    void *arg;
};

weft_err wf_briefs_init(struct wf_briefs *b, uint64_t secret); /* NO_MEMORY */
void wf_briefs_fini(struct wf_briefs *b);
/* Forgets all: after a failed batch. */
void wf_briefs_clear(struct wf_briefs *b);

/* From the cache or the engine. *out is valid until the next call here.
 * NOT_FOUND, IO, CORRUPT, NO_MEMORY. */
weft_err wf_briefs_find(struct wf_briefs *b, wf_kv *kv, const weft_id *id, struct wf_brief **out);
/* Reads those of `count` that are not in the cache all at once, which costs an engine less than one
 * after the other. What fails is left to wf_briefs_find. */
void wf_briefs_fetch(struct wf_briefs *b, wf_kv *kv, const weft_id *ids, uint32_t count);
/* Adds what is not there. `names` are copied. NO_MEMORY. */
weft_err wf_briefs_add(struct wf_briefs *b, const struct wf_brief *brief, const uint8_t *names,
                       struct wf_brief **out);
const uint8_t *wf_brief_names(const struct wf_brief *brief);
#define WF_NOT_FRESH UINT32_MAX
/* Its place in the open batch, or WF_NOT_FRESH: it is in the engine. */
uint32_t wf_brief_fresh(const struct wf_briefs *b, const struct wf_brief *brief);
/* Keeps it until the batch is over. */
void wf_briefs_pin(struct wf_briefs *b, struct wf_brief *brief);
void wf_briefs_next_batch(struct wf_briefs *b);
size_t wf_briefs_bytes(const struct wf_briefs *b); /* of memory */

#endif
