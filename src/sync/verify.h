/* SPDX-License-Identifier: Apache-2.0
 * verify.h - verifiers: one actor per core that owns nothing. Each takes bulk frames
 * from transport, decodes them, checks every entry by itself (canonical form, id,
 * signature, tree) and passes the frame to the store as one wf_ingest, whose results go
 * to the queue. Every n of a stream is passed on exactly once, also when it is bad or an
 * end, so that the store's order never waits for ever.
 * The message that it sets as `cookie` of the ingest says what the frame was. */
#ifndef WF_VERIFY_H
#define WF_VERIFY_H

#include "nodes.h"
#include "store_actor.h"
#include "wire.h"

weft_err wf_verify_spawn(weft_rt *rt, uint32_t number, weft_addr **out);

struct wf_bulk_note { /* ingest->cookie; wf_free'd with the ingest */
    weft_key peer;
    uint32_t type; /* WF_F_ENTRIES, WF_F_PUSH, WF_F_DONE; 0: the end of the stream */
    uint64_t seen;
    struct wf_done done; /* type WF_F_DONE */
    uint32_t frame_bytes;
};

#endif
