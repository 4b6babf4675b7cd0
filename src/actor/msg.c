/* SPDX-License-Identifier: Apache-2.0
 * msg.c - creating and dropping messages.
 * Called by: any thread. May touch: messages that the caller owns.
 * Never: a message that was sent. */
#include <stdlib.h>
#include <string.h>

#include "leaks.h"
#include "log.h"
#include "pool.h"
#include "self.h"

#if WF_TRACK

#define POISON 0xdb

/* Before each message, and as long as a cache line, so that the message is aligned as ever. The
 * pool keeps its links in `links`: what was dropped stays poisoned until its memory is used again. */
struct made {
    char links[32];
    const weft_kind *kind; /* the message's own may change */
    size_t bytes;
    char pad[WF_CACHE_LINE - 32 - sizeof(weft_kind *) - sizeof(size_t)];
};

static_assert(sizeof(struct made) == WF_CACHE_LINE, "a message keeps its alignment");

static struct made *made_of(weft_msg *msg)
{
    return (struct made *)(void *)((char *)msg - sizeof(struct made));
}

static void dropped_again(weft_msg *msg)
{
    wf_log(WEFT_LOG_ERROR, "messages", "dropped twice kind=%s", made_of(msg)->kind->name);
    if (wf_misuse_aborts) abort();
}

static const weft_kind kind_dropped = {0, "weft.dropped", sizeof(weft_msg), NULL};

/* True, and told, if it was. */
static bool was_dropped(weft_msg *msg)
{
    if (msg->kind != &kind_dropped) return false;
    dropped_again(msg);
    return true;
}

static weft_msg *get(const weft_kind *kind)
{
    if (kind->size > SIZE_MAX - sizeof(struct made)) return NULL;
    struct made *made = wf_pool_get(kind->size + sizeof *made);
    if (made == NULL) return NULL;
    made->kind = kind;
    made->bytes = kind->size;
    wf_leaks_made(kind);
    return (weft_msg *)(void *)(made + 1);
}

/* What is left says in flight, so that a send of it answers INVALID, and a drop tells. */
static void put(weft_msg *msg)
{
    struct made *made = made_of(msg);
    if (was_dropped(msg)) return;
    wf_leaks_dropped(made->kind);
    memset(msg, POISON, made->bytes);
    weft_msg_init(msg, &kind_dropped);
    msg->flags = WF_MSG_QUEUED;
    wf_pool_put(made);
}

#else

static inline bool was_dropped(const weft_msg *msg)
{
    (void)msg;
    return false;
}

static inline weft_msg *get(const weft_kind *kind) { return wf_pool_get(kind->size); }

static inline void put(weft_msg *msg) { wf_pool_put(msg); }

#endif

weft_msg *weft_new(const weft_kind *kind)
{
    WF_ASSERT(kind->drop != NULL && kind->size >= sizeof(weft_msg));
    weft_msg *msg = get(kind);
    if (msg == NULL) return NULL;
    memset(msg, 0, kind->size);
    msg->kind = kind;
    return msg;
}

void weft_msg_init(weft_msg *msg, const weft_kind *kind)
{
    memset(msg, 0, sizeof *msg);
    msg->kind = kind;
}

void weft_free_msg(weft_msg *msg) { put(msg); }

void weft_drop(weft_msg *msg)
{
    if (msg == NULL || was_dropped(msg)) return;
    if (wf_msg_given(msg)) {
        wf_misuse_given(msg);
        return;
    }
    if (wf_load(&msg->state, WF_RELAXED) != WF_REQ_IDLE) {
        /* Only requests leave IDLE; the answer frees it if nobody waits. */
        weft_reply((weft_request *)msg, wf_drop_answer());
        return;
    }
    if (msg->kind->drop != NULL) msg->kind->drop(msg);
}
