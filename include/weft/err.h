/* SPDX-License-Identifier: Apache-2.0
 * weft/err.h - every answer and every failure that a weft call can return.
 *
 * The sign tells who acts. 0 is success. A positive value is an *answer*: the
 * call worked and this is what it found out; handle it where you called. A
 * negative value is a *failure*: free what is yours and pass it on unchanged.
 * A failure is logged once, where it arises (weft/log.h). */
#ifndef WEFT_ERR_H
#define WEFT_ERR_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_ERR_MAP(X)                                                          \
    X(WEFT_FULL, 1, "there is no room now")                                      \
    X(WEFT_NOT_FOUND, 2, "there is no such thing")                               \
    X(WEFT_CLOSED, 3, "the receiver is closed")                                  \
    X(WEFT_TIMED_OUT, 4, "the deadline has passed")                              \
    X(WEFT_CANCELED, 5, "the request was cancelled")                             \
    X(WEFT_DROPPED, 6, "the request was dropped without an answer")              \
    X(WEFT_RESTARTING, 7, "the receiver is restarting")                          \
    X(WEFT_EXISTS, 8, "it exists already")                                       \
    X(WEFT_BUSY, 9, "busy, try again later")                                     \
    X(WEFT_LIMIT, 10, "a bound was reached")                                     \
    X(WEFT_END, 11, "nothing is left")                                           \
    X(WEFT_AGAIN, 12, "nothing is ready yet")                                    \
    X(WEFT_PENDING, 13, "it waits for parents that are not here yet")            \
    X(WEFT_UNREACHABLE, 14, "the peer cannot be reached")                        \
    X(WEFT_AWAITING, 15, "it waits for approval")                                \
    X(WEFT_REJECTED, 16, "the request was rejected")                             \
    X(WEFT_STATE, 17, "it was decided already")                                  \
    X(WEFT_EXPIRED, 18, "the request has expired")                               \
    X(WEFT_PENALISED, 19, "the peer broke the rules and is refused for a time")  \
    X(WEFT_NO_MEMORY, -1, "out of memory")                                       \
    X(WEFT_INVALID, -2, "an argument is out of its range")                       \
    X(WEFT_DEADLK, -3, "this call would wait for itself")                        \
    X(WEFT_IO, -4, "the disk failed")                                            \
    X(WEFT_CORRUPT, -5, "the stored bytes do not verify")                        \
    X(WEFT_NO_SPACE, -6, "the disk is full")                                     \
    X(WEFT_LOCKED, -7, "the store is in use by another process")                 \
    X(WEFT_VERSION, -8, "another version wrote this")                            \
    X(WEFT_NOT_STORE, -9, "this directory is not a store")                       \
    X(WEFT_SYNTAX, -10, "the bytes are malformed")                               \
    X(WEFT_NOT_CANONICAL, -11, "the encoding is not the canonical one")          \
    X(WEFT_BAD_ID, -12, "the content does not hash to the id")                   \
    X(WEFT_BAD_SIGNATURE, -13, "the signature does not verify")                  \
    X(WEFT_BAD_ENTRY, -14, "the entry breaks a rule of its version")             \
    X(WEFT_FORBIDDEN, -15, "the author has no permission for this")              \
    X(WEFT_TREE, -16, "the tree is unknown or forbidden")                        \
    X(WEFT_NETWORK, -17, "the network failed")                                   \
    X(WEFT_ADDRESS, -18, "the address cannot be parsed")                         \
    X(WEFT_PEER_KEY, -19, "the peer proved another key than the expected one")   \
    X(WEFT_AUTH, -20, "the peer could not prove its identity")                   \
    X(WEFT_PROTOCOL, -21, "the peer broke the protocol")                         \
    X(WEFT_PEER_VERSION, -22, "the peer speaks another version of the protocol") \
    X(WEFT_UNSUPPORTED, -23, "this version does not support it")                 \
    X(WEFT_KEY_FILE, -24, "the key file is unreadable, open to others or wrong") \
    X(WEFT_INTERNAL, -25, "weft broke one of its own rules")                     \
    X(WEFT_FORKED, -26, "the handle belongs to the parent process")              \
    X(WEFT_BLOCKED, -27, "the peer is blocked")                                  \
    X(WEFT_NO_TRANSPORT, -28, "no transport can reach this address")             \
    X(WEFT_PASSPHRASE, -29, "the passphrase is wrong")

typedef enum weft_err {
    WEFT_OK = 0,
#define X(name, value, text) name = value,
    WEFT_ERR_MAP(X)
#undef X
} weft_err;

/* One sentence in plain words for `err`, without a full stop; static text,
 * never NULL, also for values that are not in the map. Any thread. */
const char *weft_strerror(weft_err err);

/* The symbolic name, for example "WEFT_FULL"; static text, never NULL. */
const char *weft_errname(weft_err err);

/* What an answer or a failure is about, for who deals with many alike; docs/errors.md has all of
 * them. What a new version adds may be of any class. */
typedef enum weft_err_class {
    WEFT_CLASS_OK,
    WEFT_CLASS_ANSWER,        /* how the call went: no room, too late, nothing left        */
    WEFT_CLASS_CONFIGURATION, /* this program must be set up otherwise                      */
    WEFT_CLASS_SERVER,        /* what was called has ended or is starting again             */
    WEFT_CLASS_NETWORK,       /* the way to the peer                                        */
    WEFT_CLASS_PROTOCOL,      /* what the peer said                                         */
    WEFT_CLASS_NOT_FOUND,
    WEFT_CLASS_VALIDATION, /* an argument, or bytes from outside, are not what they must be */
    WEFT_CLASS_STORAGE,    /* the disk and what is on it                                    */
    WEFT_CLASS_PERMISSION, /* who somebody is, and what that one may do                     */
    WEFT_CLASS_INTERNAL    /* weft itself, or the machine under it                          */
} weft_err_class;
/* INTERNAL for values that are not in the map. Any thread. */
weft_err_class weft_err_class_of(weft_err err);

/* May the very same call succeed later, though nobody changes anything here? Any thread. */
bool weft_err_is_retryable(weft_err err);

/* What the last failure that arose on this thread said in the log, one line, also when the log
 * does not take it; "" when that was no `err`, or said nothing. What arises on a thread of weft's
 * own is told by the log only. Valid until the next failure here. */
const char *weft_err_detail(weft_err err);

#ifdef __cplusplus
}
#endif
#endif
