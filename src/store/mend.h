/* SPDX-License-Identifier: Apache-2.0
 * mend.h - the rows that say where an entry stands (families meta, gen, child and tip), held
 * against its body and put right while the store is open. Called by: remake.c (the writer's
 * thread). Never: takes an entry away, or doubts an arrival. */
#ifndef WF_MEND_H
#define WF_MEND_H

#include "state.h"

/* How far it is. Zero: at the beginning. */
struct wf_mend {
    uint32_t tree;    /* trees that are through                                            */
    bool tips;        /* of the next one: all facts are, and now its tips are looked at      */
    uint64_t seq;     /* its arrivals that were looked at                                  */
    uint64_t changed; /* rows                                                              */
    uint64_t looks;   /* of this slice, at parents and children                             */
    uint64_t lost;    /* entries of which too little is left: body and facts, or an arrival */
};

/* With no batch open: looks at the next entries of all trees, in the order of their arrival, and
 * writes what their rows should be. Whatever ends it, what is written is right. AGAIN: there are
 * more; the open batch may hold counts then, to be written first. IO, NO_SPACE, NO_MEMORY: to be
 * called again. */
weft_err wf_mend_slice(wf_store *store, struct wf_mend *mend);

#endif
