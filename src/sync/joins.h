/* SPDX-License-Identifier: Apache-2.0
 * joins.h - requests to join trees of this node, in memory: who waits, what was decided, the
 * bounds of both, and the bytes of their records. Pure: no messages, no clock, no disk.
 * Called by: join_desk.c, join_judge.c, join_decide.c. May touch: nothing else. Never: asks, sends. */
#ifndef WF_JOINS_H
#define WF_JOINS_H

#include <weft/join.h>

struct wf_join_row {
    weft_join_request r;
    bool saved;      /* a record of it is durable                        */
    bool deciding;   /* its decision is on its way to the disk           */
    uint64_t conn;   /* where its end is told, if anybody waits there;   */
    uint32_t stream; /* 0: nobody                                        */
};

struct wf_joins {
    struct wf_join_row **rows; /* ascending by the time they were asked, then by id */
    uint32_t count, room, pending;
};

void wf_joins_fini(struct wf_joins *joins);
struct wf_join_row *wf_joins_find(const struct wf_joins *joins, const uint8_t id[16]);
/* The one of the three that waits; NULL: none. */
struct wf_join_row *wf_joins_same(const struct wf_joins *joins, const weft_id *tree,
                                  const weft_key *key, const weft_key *device);
/* May the device have one more that waits? */
bool wf_joins_room(const struct wf_joins *joins, const weft_key *device);
/* Copies the request. EXISTS: the id is taken; NO_MEMORY. */
weft_err wf_joins_add(struct wf_joins *joins, const weft_join_request *request,
                      struct wf_join_row **out);
/* It does not wait any more. `by` NULL: nobody decided. */
void wf_joins_end(struct wf_joins *joins, struct wf_join_row *row, weft_join_state state,
                  int64_t now_ms, const weft_key *by);
void wf_joins_remove(struct wf_joins *joins, struct wf_join_row *row);
/* One that has waited for too long, or else one that is to be forgotten: *forget says which. Rows
 * whose decision is under way are left alone. NULL: none. A clock that was turned back makes no
 * row older. */
struct wf_join_row *wf_joins_due(const struct wf_joins *joins, int64_t now_ms, bool *forget);
/* How many are in the state; fills `out`, the oldest first, unless it is NULL. */
uint32_t wf_joins_list(const struct wf_joins *joins, weft_join_state state, weft_join_request *out);

/* The value of a row's record; its key is the id. */
#define WF_JOIN_RECORD_MAX (WEFT_JOIN_META_BYTES_MAX + 1024u)
size_t wf_join_record_encode(const weft_join_request *request, uint8_t out[WF_JOIN_RECORD_MAX]);
/* All but the id, which is left as it is. CORRUPT. */
weft_err wf_join_record_decode(const uint8_t *bytes, size_t len, weft_join_request *out);

#endif
