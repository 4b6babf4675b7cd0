/* SPDX-License-Identifier: Apache-2.0
 * join_modes.h - who may ask to join which tree, in memory, and the bytes of the records. Pure: no
 * messages, no clock, no disk.
 * Called by: join_*.c. May touch: its own memory; secrets stay in locked memory.
 * Never: asks, sends; writes a secret down. */
#ifndef WF_JOIN_MODES_H
#define WF_JOIN_MODES_H

#include <weft/join.h>

struct wf_join_mode { /* of a tree that is not closed, or that has spent something */
    weft_id tree;
    weft_join_mode mode;
    weft_right right; /* AUTO: at most that is granted */
    uint32_t priority;
    weft_keypair *admin; /* AUTO: ours; NULL: not given since the process began */
    uint32_t spent;      /* AUTO: of WEFT_JOIN_AUTO_BURST; stays while the tree is closed */
    weft_ns since;       /* what was spent comes back from here on */
    int64_t spent_ms;    /* as its record says, until wf_join_modes_resume */
};

struct wf_join_modes {
    struct wf_join_mode *items; /* ascending by tree */
    uint32_t count, room;
};

void wf_join_modes_fini(struct wf_join_modes *modes);
/* NULL: the tree is closed. Valid until the next put. */
const struct wf_join_mode *wf_join_modes_find(const struct wf_join_modes *modes,
                                              const weft_id *tree);
/* May the tree grant one more automatically? Then it is counted. */
bool wf_join_modes_spend(struct wf_join_modes *modes, const weft_id *tree, weft_ns now);
/* How much of it has not come back; also of a closed tree. */
uint32_t wf_join_modes_left(const struct wf_join_modes *modes, const weft_id *tree, weft_ns now);
/* What was spent when the process before ended has come back since, by the clock of requests. */
void wf_join_modes_resume(struct wf_join_modes *modes, int64_t now_ms, weft_ns now);
/* As read from its record, also of a closed tree. LIMIT, NO_MEMORY. */
weft_err wf_join_modes_spent(struct wf_join_modes *modes, const weft_id *tree, uint32_t spent,
                             int64_t spent_ms);
/* Takes the mode's admin, always. What the tree has spent stays spent, closed or not: else it would be
 * there again for who closes and opens it. LIMIT, NO_MEMORY. */
weft_err wf_join_modes_put_take(struct wf_join_modes *modes, const struct wf_join_mode *mode);
/* The tree is let go of, with what it has spent. */
void wf_join_modes_forget(struct wf_join_modes *modes, const weft_id *tree);

/* The value of a record; its key is the tree. */
#define WF_JOIN_MODE_RECORD_MAX 32u
size_t wf_join_mode_encode(const struct wf_join_mode *mode, uint8_t out[WF_JOIN_MODE_RECORD_MAX]);
/* All but tree and admin, which are left as they are. CORRUPT. */
weft_err wf_join_mode_decode(const uint8_t *bytes, size_t len, struct wf_join_mode *out);

/* The same of what a tree has spent, and when that was. */
#define WF_JOIN_SPENT_RECORD_MAX 32u
size_t wf_join_spent_encode(uint32_t spent, int64_t spent_ms,
                            uint8_t out[WF_JOIN_SPENT_RECORD_MAX]);
weft_err wf_join_spent_decode(const uint8_t *bytes, size_t len, uint32_t *spent,
                              int64_t *spent_ms); /* CORRUPT */

#endif
