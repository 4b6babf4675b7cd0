/* SPDX-License-Identifier: Apache-2.0
 * rights_fold.h - the rights of a tree of which somebody was revoked.
 * Called by: rights_make.c. Never: an entry that does not count. */
#ifndef WF_RIGHTS_FOLD_H
#define WF_RIGHTS_FOLD_H

#include "rights.h"
#include "standing.h"

/* Settles `s`, which holds all settings, everyone's words and names too. *out is the caller's.
 * LIMIT, NO_MEMORY, IO, CORRUPT. */
weft_err wf_rights_fold(wf_store *store, struct wf_standing *s, struct wf_rights **out);

#endif
