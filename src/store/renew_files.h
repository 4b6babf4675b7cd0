/* SPDX-License-Identifier: Apache-2.0
 * renew_files.h - the rooms of a renewal among each other: rows (renew_copy.c) and names in the
 * directory (renew_files.c). Called by: renew.c. Never: included by anybody else. */
#ifndef WF_RENEW_FILES_H
#define WF_RENEW_FILES_H

#include "held_dirs.h"
#include "kv.h"
#include "renew.h"

#define WF_RENEW_PATH_BYTES 4096

/* -- renew_copy.c ---------------------------------------------------------------------- */
/* Every row that can be read, as it is, into the empty engine `to`; what is made of the entries
 * (tries, sketches, lists, dominators) is left to the next opening if any of it cannot be read.
 * *missing: bodies that cannot be read or do not hash to their ids. CORRUPT: rows of another
 * kind cannot be read, so this is not the way. Calls `lost` for each entry of the shelf that cannot be
 * read, maybe once for each of its parents, until it says something else than OK. */
weft_err wf_renew_copy(wf_kv *from, wf_kv *to, weft_rt *rt, uint64_t *missing,
                       weft_err (*lost)(void *arg, const weft_id *id), void *arg);

/* -- renew_files.c ---------------------------------------------------------------------- */
weft_err wf_renew_path(char out[WF_RENEW_PATH_BYTES], const char *dir, const char *name);
#define WF_RENEW_COPY "renewed.copy" /* of the damaged one, while that is read */
struct wf_renew_lock {
    struct wf_held_dir *held; /* NULL: not locked */
    int fd;
};
/* No process, this one neither, has the store open until the lock is given back. LOCKED, IO, NO_MEMORY. */
weft_err wf_renew_lock(const char *dir, struct wf_renew_lock *out);
void wf_renew_unlock(struct wf_renew_lock *lock); /* fine also if it was not taken */
/* DIR/renewed.part, which is closed, takes the place of the store. A list of what is only in the
 * old one is kept with that, as *number. */
weft_err wf_renew_swap(const char *dir, const weft_id *left_out, uint64_t count, unsigned *number);
/* Do files change places? Then wf_renew_resume has to come before anything else. */
bool wf_renew_is_half(const char *dir);
/* Number of the newest DIR/damaged-N; 0: there is none. */
unsigned wf_renew_newest(const char *dir);
/* Calls fn for each id in the list of DIR/damaged-N, until one is not OK. */
weft_err wf_renew_left_out(const char *dir, unsigned number,
                           weft_err (*fn)(void *arg, const weft_id *id), void *arg);
/* Removes DIR/damaged-N. Nothing to remove is fine. */
weft_err wf_renew_forget(const char *dir, unsigned number);

#endif
