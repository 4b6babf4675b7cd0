/* SPDX-License-Identifier: Apache-2.0
 * wire_code.c - the codes of CLOSE and ERR frames and the local errors they mean.
 * Called by: conn.c, the sync layer. May touch: nothing. Never: logs; a peer's code
 * is an answer, not a failure of ours. */
#include "transport.h"

static const weft_err meanings[] = {
    [WF_W_OK] = WEFT_OK,
    [WF_W_VERSION] = WEFT_PEER_VERSION,
    [WF_W_FRAME] = WEFT_PROTOCOL,
    [WF_W_SYNTAX] = WEFT_SYNTAX,
    [WF_W_AUTH] = WEFT_AUTH,
    [WF_W_TREE] = WEFT_TREE,
    [WF_W_LIMIT] = WEFT_LIMIT,
    [WF_W_BUDGET] = WEFT_FULL,
    [WF_W_BUSY] = WEFT_BUSY,
    [WF_W_EPOCH] = WEFT_NOT_FOUND,
    [WF_W_PARENT] = WEFT_PENDING,
    [WF_W_BAD_ENTRY] = WEFT_BAD_ENTRY,
    [WF_W_QUOTA] = WEFT_LIMIT,
    [WF_W_SHUTDOWN] = WEFT_CLOSED,
    [WF_W_INTERNAL] = WEFT_INTERNAL,
    [WF_W_UNSUPPORTED] = WEFT_UNSUPPORTED,
};

weft_err wf_wire_err(uint64_t code)
{
    if (code >= sizeof meanings / sizeof meanings[0]) return WEFT_PROTOCOL;
    return meanings[code];
}

unsigned wf_wire_code_of(weft_err err)
{
    switch (err) {
    case WEFT_OK: return WF_W_OK;
    case WEFT_PEER_VERSION: return WF_W_VERSION;
    case WEFT_PROTOCOL: return WF_W_FRAME;
    case WEFT_SYNTAX:
    case WEFT_NOT_CANONICAL: return WF_W_SYNTAX;
    case WEFT_AUTH:
    case WEFT_PEER_KEY:
    case WEFT_BLOCKED: return WF_W_AUTH;
    case WEFT_TREE:
    case WEFT_FORBIDDEN: return WF_W_TREE;
    case WEFT_LIMIT: return WF_W_LIMIT;
    case WEFT_FULL: return WF_W_BUDGET;
    case WEFT_BUSY:
    case WEFT_PENALISED:
    case WEFT_TIMED_OUT:
    case WEFT_NO_MEMORY:
    case WEFT_NO_SPACE: return WF_W_BUSY;
    case WEFT_NOT_FOUND: return WF_W_EPOCH;
    case WEFT_PENDING: return WF_W_PARENT;
    case WEFT_BAD_ENTRY:
    case WEFT_BAD_ID:
    case WEFT_BAD_SIGNATURE: return WF_W_BAD_ENTRY;
    case WEFT_CLOSED: return WF_W_SHUTDOWN;
    case WEFT_UNSUPPORTED: return WF_W_UNSUPPORTED;
    default: /* what only concerns this machine is none of the peer's business */
        return WF_W_INTERNAL;
    }
}
