/* SPDX-License-Identifier: Apache-2.0
 * damage.h - bodies that do not verify, until they do again.
 * In memory only: after a restart the next read finds them again. Any thread, unless a
 * call says that it is the writer's. Called by: find.c (notes), writer.c and flush.c
 * (heal), the sync engine (asks peers for them). Never: the engine, a disk. */
#ifndef WF_DAMAGE_H
#define WF_DAMAGE_H

#include "store.h"

struct wf_damage;                                  /* the table of one store */
weft_err wf_damage_create(struct wf_damage **out); /* NO_MEMORY */
void wf_damage_destroy(struct wf_damage *damage);  /* NULL is fine */

/* -- Found ------------------------------------------------------------------------------ */

/* Taken before a body is read, and given when it turns out to be bad: of a body that was
 * healed in between nothing is noted. */
uint64_t wf_damage_era(wf_store *store);
/* The body of tree t at `place` does not verify. From now on it is in quarantine: reads
 * answer CORRUPT without looking. A full table drops it; the next read finds it again. */
void wf_damage_note(wf_store *store, uint64_t t, const wf_place *place, uint64_t era);
bool wf_damage_has(wf_store *store, uint64_t t, uint64_t seq); /* one load while there is none */
uint64_t wf_damage_count(wf_store *store);
/* The tree was removed: nobody has to give its bodies back. */
void wf_damage_forget(wf_store *store, uint64_t t);

/* -- Asked for --------------------------------------------------------------------------- */

/* Local number of the first tree behind `t` that has some; 0: none. */
uint64_t wf_damage_tree_after(wf_store *store, uint64_t t);
/* Ids of tree t, those asked for least often first, then by arrival; each is counted as
 * asked for once more. Returns how many, at most `room`. */
uint32_t wf_damage_take(wf_store *store, uint64_t t, weft_id *out, uint32_t room);

/* The bell: rings (by the system lane) when something was noted, and is handed back. */
extern const weft_kind wf_damage_kind;
struct wf_damage_bell {
    weft_msg msg;
    weft_addr *to; /* counted */
};
/* One listener: a new one takes the place of the old; NULL: nobody. NO_MEMORY. */
weft_err wf_damage_listen(wf_store *store, weft_addr *to);
/* Takes the bell. It rings again at once if something was noted while it was away. */
void wf_damage_return_take(wf_store *store, struct wf_damage_bell *bell);

/* -- Healed: the writer alone -------------------------------------------------------------- */

/* True: the body is in quarantine, and the open batch is about to write it anew. */
bool wf_damage_heal(wf_store *store, uint64_t t, uint64_t seq);
/* The batch is written, or has failed: forgets those bodies, or keeps them. Returns how
 * many were healed. */
uint32_t wf_damage_settle(wf_store *store, bool written);

#endif
