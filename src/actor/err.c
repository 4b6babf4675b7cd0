/* SPDX-License-Identifier: Apache-2.0
 * err.c - the texts, names and classes of weft's answers and failures.
 * Called by: everybody, any thread. May touch: static text.
 * Never: allocates, formats, returns NULL. */
#include <weft/err.h>

const char *weft_strerror(weft_err err)
{
    switch (err) {
    case WEFT_OK: return "success";
#define X(name, value, text) \
    case name: return text;
        WEFT_ERR_MAP(X)
#undef X
    }
    return "unknown error";
}

const char *weft_errname(weft_err err)
{
    switch (err) {
    case WEFT_OK: return "WEFT_OK";
#define X(name, value, text) \
    case name: return #name;
        WEFT_ERR_MAP(X)
#undef X
    }
    return "WEFT_UNKNOWN";
}

/* Without a default, so that the compiler asks for the class of a new one. */
weft_err_class weft_err_class_of(weft_err err)
{
    switch (err) {
    case WEFT_OK: return WEFT_CLASS_OK;
    case WEFT_FULL:
    case WEFT_TIMED_OUT:
    case WEFT_CANCELED:
    case WEFT_DROPPED:
    case WEFT_EXISTS:
    case WEFT_BUSY:
    case WEFT_LIMIT:
    case WEFT_END:
    case WEFT_AGAIN:
    case WEFT_PENDING:
    case WEFT_EXPIRED: return WEFT_CLASS_ANSWER;
    case WEFT_NOT_STORE:
    case WEFT_UNSUPPORTED:
    case WEFT_KEY_FILE:
    case WEFT_NO_TRANSPORT: return WEFT_CLASS_CONFIGURATION;
    case WEFT_CLOSED:
    case WEFT_RESTARTING: return WEFT_CLASS_SERVER;
    case WEFT_UNREACHABLE:
    case WEFT_NETWORK: return WEFT_CLASS_NETWORK;
    case WEFT_PROTOCOL:
    case WEFT_PEER_VERSION: return WEFT_CLASS_PROTOCOL;
    case WEFT_NOT_FOUND: return WEFT_CLASS_NOT_FOUND;
    case WEFT_STATE:
    case WEFT_INVALID:
    case WEFT_DEADLK:
    case WEFT_SYNTAX:
    case WEFT_NOT_CANONICAL:
    case WEFT_BAD_ID:
    case WEFT_BAD_SIGNATURE:
    case WEFT_BAD_ENTRY:
    case WEFT_ADDRESS:
    case WEFT_FORKED: return WEFT_CLASS_VALIDATION;
    case WEFT_IO:
    case WEFT_CORRUPT:
    case WEFT_NO_SPACE:
    case WEFT_LOCKED:
    case WEFT_VERSION: return WEFT_CLASS_STORAGE;
    case WEFT_AWAITING:
    case WEFT_REJECTED:
    case WEFT_FORBIDDEN:
    case WEFT_TREE:
    case WEFT_PEER_KEY:
    case WEFT_AUTH:
    case WEFT_BLOCKED:
    case WEFT_PENALISED:
    case WEFT_PASSPHRASE: return WEFT_CLASS_PERMISSION;
    case WEFT_NO_MEMORY:
    case WEFT_INTERNAL: return WEFT_CLASS_INTERNAL;
    }
    return WEFT_CLASS_INTERNAL;
}

bool weft_err_is_retryable(weft_err err)
{
    switch (err) {
    case WEFT_FULL:
    case WEFT_TIMED_OUT:
    case WEFT_DROPPED:
    case WEFT_RESTARTING:
    case WEFT_BUSY:
    case WEFT_AGAIN:
    case WEFT_PENDING:     /* its parents may come  */
    case WEFT_UNREACHABLE: /* the peer may be back  */
    case WEFT_AWAITING:    /* somebody may approve  */
    case WEFT_PENALISED:   /* its time passes       */
    case WEFT_NO_MEMORY:
    case WEFT_NO_SPACE:
    case WEFT_LOCKED: /* the other process may end */
    case WEFT_NETWORK: return true;
    default: return false;
    }
}
