/* SPDX-License-Identifier: Apache-2.0
 * standing_model.h - which entries count, told by sets of ancestors: the rule of docs/entry.md, section
 * 6, word by word and slowly.
 * Called by: test_standing.c, test_rights.c. Never: the product's room of that rule. */
#ifndef STANDING_MODEL_H
#define STANDING_MODEL_H

#include "settings.h"

#define SM_ENTRIES_MAX 64u /* sets of them are bits */
#define SM_EVERYONE UINT32_MAX

enum sm_says { SM_NOTHING, SM_DELETES, SM_GRANTS };

struct sm_entry {
    wf_stamp at;
    uint64_t below; /* the bits of all its ancestors */
    uint32_t author;
    bool settings; /* it writes them */
    enum sm_says says;
    uint32_t key;   /* of whose grant; or SM_EVERYONE */
    wf_grant grant; /* what it grants; NONE: it revokes */
};

struct sm_history {
    struct sm_entry list[SM_ENTRIES_MAX]; /* parents first; 0 is the root */
    uint32_t count;
};

struct sm_verdict {
    uint64_t revocations, in_force, counts; /* bits of entries */
};

/* Of the entries in `universe`, with which come their ancestors. */
struct sm_verdict sm_judge(const struct sm_history *h, uint64_t universe);
/* What the key may do by that verdict; *revoked: what everyone has does not help it. */
wf_grant sm_right(const struct sm_history *h, const struct sm_verdict *v, uint32_t key,
                  bool *revoked);

#endif
