/* SPDX-License-Identifier: Apache-2.0
 * job_ids.c - the source of IDS: lists our entries page by page, hears by BITS which
 * of them the peer has, and names the others. While the missing entries of one page
 * are sent, the next page is already on its way, so that pages cost no round trips.
 * Called by: job.c. May touch: the store (reading), transport (messages).
 * Never: keeps more than two pages. */
#include <string.h>

#include "alloc.h"
#include "crypto.h"
#include "job.h"
#include "log.h"

#define SHORT_BYTES 8u

void wf_page_destroy(struct wf_page *page)
{
    if (page == NULL) return;
    wf_free(page->places);
    wf_free(page);
}

bool wf_page_has(const struct wf_page *p, uint32_t i)
{
    return (p->bits[i / 8] & 1u << i % 8) != 0;
}

static weft_err page_add(struct wf_page *p, const wf_place *place)
{
    if (p->count == p->room) {
        uint32_t room = p->room == 0 ? 256 : p->room * 2;
        wf_place *places = wf_realloc(p->places, room * sizeof *places);
        if (places == NULL) return WEFT_NO_MEMORY;
        p->places = places;
        p->room = room;
    }
    p->places[p->count++] = *place;
    return WEFT_OK;
}

/* -- Listing ------------------------------------------------------------------------------ */

static weft_buf *encode_page(const struct wf_feed *s, const struct wf_page *p, uint8_t *room)
{
    struct wf_ids frame = {.stream = s->job->stream,
                           .ref = p->ref,
                           .last = s->listed,
                           .id_bytes = s->job->exact ? WEFT_ID_BYTES : SHORT_BYTES,
                           .count = p->count,
                           .ids = room};
    if (p->count > 0) {
        frame.lo_gen = p->places[0].gen;
        frame.lo_id = p->places[0].id;
        frame.hi_gen = p->places[p->count - 1].gen;
        frame.hi_id = p->places[p->count - 1].id;
    }
    for (uint32_t i = 0; i < p->count; i++) {
        uint8_t *at = room + (size_t)i * frame.id_bytes;
        if (s->job->exact) {
            memcpy(at, p->places[i].id.bytes, WEFT_ID_BYTES);
        } else {
            uint64_t v = wf_siphash(s->job->salt, p->places[i].id.bytes, WEFT_ID_BYTES);
            for (uint32_t k = 0; k < SHORT_BYTES; k++) at[k] = (uint8_t)(v >> (56 - 8 * k));
        }
    }
    return wf_ids_encode(&frame);
}

static weft_err send_page(struct wf_feed *s, const struct wf_page *p)
{
    const struct wf_node_table *table = s->reader->table;
    wf_tree_info info;
    weft_err err = wf_plan_authorise(table, &s->job->tree, &s->job->peer, &info);
    if (err != WEFT_OK) return err == WEFT_TREE ? WEFT_FORBIDDEN : err;
    uint8_t *room = wf_malloc((size_t)p->count * WEFT_ID_BYTES + 1);
    weft_buf *buf = room == NULL ? NULL : encode_page(s, p, room);
    struct wf_tp_send *send = buf == NULL ? NULL : wf_tp_new(&wf_tp_send_kind);
    wf_free(room);
    if (send == NULL) {
        weft_buf_unref(buf);
        return WEFT_NO_MEMORY;
    }
    send->conn = s->job->conn;
    send->stream = s->job->stream;
    send->frame = buf;
    if (weft_send(table->transport, &send->msg) == WEFT_OK) return WEFT_OK;
    weft_drop(&send->msg);
    return WEFT_CLOSED;
}

/* Fills the page ahead, over several slices if need be, and sends it. */
static weft_err list_ahead(struct wf_feed *s)
{
    if (s->ahead == NULL) {
        s->ahead = wf_calloc(1, sizeof *s->ahead);
        if (s->ahead == NULL) return WEFT_NO_MEMORY;
        s->ahead->ref = ++s->next_ref;
    }
    struct wf_page *p = s->ahead;
    while (p->count < WEFT_IDS_PER_MESSAGE_MAX && !s->listed) {
        wf_place place;
        weft_err err = wf_order_next(s, &place);
        if (err == WEFT_LIMIT && !s->order.ready) { /* too much to list: list all, without memory */
            wf_order_drop_diff(s);
            continue;
        }
        if (err == WEFT_END) s->listed = true;
        else if (err == WEFT_OK) err = page_add(p, &place);
        if (err != WEFT_OK && err != WEFT_END) return err;
        if (!s->listed && s->reads > WF_SLICE_READS) return WEFT_AGAIN;
    }
    p->filled = true;
    if (p->count > 0) return send_page(s, p);
    p->answered = true; /* nothing to ask about */
    return WEFT_OK;
}

/* -- Serving ------------------------------------------------------------------------------- */

/* The next entry of the page that the peer lacks; END: no more in it. */
static weft_err serve(struct wf_feed *s, struct wf_page *p)
{
    while (p->at < p->count) {
        uint32_t i = p->at++;
        wf_mark mark;
        wf_order_mark(s, &p->places[i], &mark);
        if (!wf_page_has(p, i)) {
            s->item = p->places[i];
            s->item_mark = mark;
            return WEFT_OK;
        }
        s->covered = mark;
        s->marked = true;
    }
    return WEFT_END;
}

/* Asks about a sample if the list is long, and shortens it by the answer. */
static weft_err probe(struct wf_feed *s)
{
    if (s->probe == WF_PROBE_OPEN) {
        weft_err err = wf_probe_make(s, &s->serving);
        if (err == WEFT_OK && s->serving != NULL) {
            s->serving->ref = ++s->next_ref;
            s->serving->filled = true;
            err = send_page(s, s->serving);
        }
        if (err != WEFT_OK) return err;
        s->probe = s->serving == NULL ? WF_PROBE_OVER : WF_PROBE_ASKED;
    }
    if (s->probe == WF_PROBE_ASKED) {
        if (!s->serving->answered) return WEFT_PENDING;
        weft_err err = wf_probe_learn(s, s->serving);
        wf_page_destroy(s->serving);
        s->serving = NULL;
        s->probe = WF_PROBE_OVER;
        return err;
    }
    return WEFT_OK;
}

static weft_err ids_next(weft_self *self, struct wf_feed *s)
{
    (void)self;
    weft_err probed = probe(s);
    if (probed != WEFT_OK) return probed;
    for (;;) {
        bool ready = s->ahead != NULL && s->ahead->filled;
        if (s->serving == NULL && ready) {
            s->serving = s->ahead;
            s->ahead = NULL;
            ready = false;
        }
        /* The next page leaves before the entries of this one, which take longer. */
        if (!s->listed && !ready && (s->serving == NULL || s->serving->answered)) {
            weft_err err = list_ahead(s);
            if (err != WEFT_OK) return err;
            continue;
        }
        if (s->serving == NULL) return WEFT_END;
        if (!s->serving->answered) return WEFT_PENDING;
        weft_err err = serve(s, s->serving);
        if (err != WEFT_END) return err;
        wf_page_destroy(s->serving);
        s->serving = NULL;
    }
}

weft_err wf_ids_bits(struct wf_feed *s, const struct wf_job_bits *bits)
{
    struct wf_page *p = s->serving;
    if (p == NULL || p->ref != bits->ref) p = s->ahead;
    if (p == NULL || !p->filled || p->answered || p->ref != bits->ref || p->count != bits->count)
        return WEFT_PROTOCOL;
    memcpy(p->bits, bits->bits, (bits->count + 7) / 8);
    p->answered = true;
    return WEFT_OK;
}

weft_err wf_feed_init_ids(struct wf_feed *s)
{
    weft_err err = wf_feed_init_order(s);
    s->next = ids_next;
    return err == WEFT_LIMIT ? WEFT_OK : err; /* then without a difference: it lists all */
}
