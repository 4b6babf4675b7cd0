/* SPDX-License-Identifier: Apache-2.0
 * asked.h - what this node has asked elsewhere and is not decided yet, in memory, and the bytes of
 * its records. Pure: no messages, no clock, no disk.
 * Called by: join_desk.c, join_asking.c, join_said.c. May touch: nothing else. Never: asks, sends. */
#ifndef WF_ASKED_H
#define WF_ASKED_H

#include <weft/join.h>

struct wf_asked_row { /* one for each tree and key */
    weft_id tree;
    weft_key key, server;
    uint8_t id[16]; /* of the request over there */
    char name[WEFT_KEY_NAME_BYTES_MAX + 1];
    weft_right right;
    uint32_t priority;
    int64_t asked_ms;
    bool asking; /* somebody asks about it just now */
    bool saved;  /* its record is durable           */
};

struct wf_asked {
    struct wf_asked_row *rows; /* ascending by tree, then by key */
    uint32_t count, room;
};

void wf_asked_fini(struct wf_asked *asked);
/* Valid until the next put or remove. */
struct wf_asked_row *wf_asked_find(const struct wf_asked *asked, const weft_id *tree,
                                   const weft_key *key);
struct wf_asked_row *wf_asked_of(const struct wf_asked *asked, const weft_key *server,
                                 const uint8_t id[16]);
/* Adds it, or takes the place of what is there. LIMIT (WEFT_ASKED_MAX), NO_MEMORY. */
weft_err wf_asked_put(struct wf_asked *asked, const struct wf_asked_row *row);
void wf_asked_remove(struct wf_asked *asked, struct wf_asked_row *row);

/* The value of a row's record; its key is tree and key. */
#define WF_ASKED_RECORD_MAX 256u
size_t wf_asked_record_encode(const struct wf_asked_row *row, uint8_t out[WF_ASKED_RECORD_MAX]);
weft_err wf_asked_record_decode(const uint8_t *bytes, size_t len,
                                struct wf_asked_row *out); /* CORRUPT */

#endif
