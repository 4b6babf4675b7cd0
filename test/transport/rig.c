/* SPDX-License-Identifier: Apache-2.0
 * rig.c - nodes for the tests of the transport (rig.h).
 * Called by: the tests of this folder. May touch: everything they may.
 * Never: sleeps; every wait is an ask that is answered when the event came. */
#include "rig.h"

#ifdef WF_HTTP
#include <weft/http.h>
#endif

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "frame.h"
#include "lock.h"
#include "sim.h"

#define WAITS 8u
#define UNDER_WAY 2u

/* -- Identities ------------------------------------------------------------------------- */

struct keys {
    uint8_t pk[32], sk[64];
    uint64_t draws;
};

static size_t purposed(const void *data, size_t len, uint8_t *out)
{
    static const char tag[] = "weft/noise-static/v1";
    memcpy(out, tag, sizeof tag);
    for (unsigned i = 0; i < 8; i++)
        out[sizeof tag + i] = (uint8_t)((uint64_t)len >> (8 * (7 - i)));
    memcpy(out + sizeof tag + 8, data, len);
    return sizeof tag + 8 + len;
}

static weft_err sign(void *arg, const void *data, size_t len, uint8_t out[WEFT_SIGNATURE_BYTES])
{
    uint8_t all[512];
    struct keys *k = arg;
    size_t n = purposed(data, len, all);
    return crypto_sign_detached(out, NULL, all, n, k->sk) == 0 ? WEFT_OK : WEFT_INTERNAL;
}

static weft_err verify(void *arg, const weft_key *key, const void *data, size_t len,
                       const uint8_t signature[WEFT_SIGNATURE_BYTES])
{
    uint8_t all[512];
    (void)arg;
    size_t n = purposed(data, len, all);
    return crypto_sign_verify_detached(signature, all, n, key->bytes) == 0 ? WEFT_OK
                                                                           : WEFT_BAD_SIGNATURE;
}

/* Counted, so that a simulated world repeats itself; each identity draws its own bytes. */
static void random_bytes(void *arg, void *out, size_t len)
{
    struct keys *k = arg;
    uint8_t seed[32] = {0};
    memcpy(seed, k->pk, 24);
    k->draws++;
    memcpy(seed + 24, &k->draws, sizeof k->draws);
    randombytes_buf_deterministic(out, len, seed);
}

void rig_identity(unsigned number, struct wf_identity *out)
{
    uint8_t seed[32] = {(uint8_t)number, (uint8_t)(number >> 8), 0x77};
    cr_assert(sodium_init() >= 0);
    struct keys *k = calloc(1, sizeof *k); /* as long as the process: a test's */
    crypto_sign_seed_keypair(k->pk, k->sk, seed);
    memcpy(out->key.bytes, k->pk, 32);
    out->arg = k;
    out->sign = sign;
    out->verify = verify;
    out->random = random_bytes;
}

unsigned rig_lower(unsigned a, unsigned b)
{
    struct wf_identity x, y;
    rig_identity(a, &x);
    rig_identity(b, &y);
    unsigned lower = weft_key_compare(&x.key, &y.key) < 0 ? a : b;
    free(x.arg);
    free(y.arg);
    return lower;
}

/* -- Frames ------------------------------------------------------------------------------- */

/* [type, stream, number, bin]; the bin's bytes follow from number and place. */
weft_buf *rig_frame(uint32_t type, uint32_t stream, uint32_t number, uint32_t bytes)
{
    weft_buf *buf;
    const uint32_t head = WF_FRAME_HEAD + 1 + 1 + 5 + 5 + 5;
    cr_assert(bytes >= head && type < 128);
    cr_assert_eq(weft_buf_create(bytes, &buf), WEFT_OK);
    uint8_t *p = weft_buf_data(buf) + WF_FRAME_HEAD;
    uint32_t words[3] = {stream, number, bytes - head};
    *p++ = 0x94;
    *p++ = (uint8_t)type;
    for (unsigned w = 0; w < 3; w++) {
        *p++ = w == 2 ? 0xc6 : 0xce;
        for (unsigned i = 0; i < 4; i++) *p++ = (uint8_t)(words[w] >> (8 * (3 - i)));
    }
    for (uint32_t i = 0; i < words[2]; i++) p[i] = (uint8_t)(number * 31 + i * 7 + (i >> 8));
    return buf;
}

static bool pattern_right(const uint8_t *p, size_t len)
{
    if (len < 17 || p[0] != 0x94) return false;
    uint32_t number = (uint32_t)p[8] << 24 | (uint32_t)p[9] << 16 | (uint32_t)p[10] << 8 | p[11];
    for (uint32_t i = 0; i < len - 17; i++)
        if (p[17 + i] != (uint8_t)(number * 31 + i * 7 + (i >> 8))) return false;
    return true;
}

/* -- The owner ------------------------------------------------------------------------------ */

struct wait {
    weft_request req;
    enum rig_what what;
    uint64_t at_least;
};
static const weft_kind wait_kind = {1, "rig.wait", sizeof(struct wait), weft_free_msg};

struct set {
    weft_request req;
    weft_addr *transport;
};
static const weft_kind set_kind = {2, "rig.set", sizeof(struct set), weft_free_msg};

struct pump {
    weft_request req;
    uint64_t conn;
    uint32_t stream, count, bytes;
};
static const weft_kind pump_kind = {3, "rig.pump", sizeof(struct pump), weft_free_msg};

struct go { /* dial, from the owner */
    weft_msg msg;
    char address[WEFT_ADDRESS_BYTES_MAX];
};
static const weft_kind go_kind = {5, "rig.go", sizeof(struct go), weft_free_msg};

struct rig_live { /* the owner writes, the test's thread copies */
    wf_lock *lock;
    struct rig_log log;
};

struct owner {
    struct rig_live *live;
    struct rig_log *log; /* live->log: under the lock */
    weft_addr *transport;
    bool release;
    struct wait *waits[WAITS];
    struct pump pump[64];
    unsigned pumps;
};

struct owner_arg {
    struct rig_live *live;
    bool release;
};

static weft_err owner_init(weft_self *self, void *state, void *arg)
{
    struct owner *o = state;
    const struct owner_arg *a = arg;
    (void)self;
    o->live = a->live;
    o->log = &a->live->log;
    o->release = a->release;
    return WEFT_OK;
}

static void check_waits(struct owner *o)
{
    for (unsigned i = 0; i < WAITS; i++) {
        struct wait *w = o->waits[i];
        if (w == NULL || o->log->count[w->what] < w->at_least) continue;
        o->waits[i] = NULL;
        weft_reply(&w->req, WEFT_OK);
    }
}

static void give_back(struct owner *o, uint64_t conn, uint32_t stream, uint32_t bytes)
{
    if (!o->release) {
        o->log->held_bytes += bytes;
        o->log->held_frames++;
        return;
    }
    struct wf_tp_release *r = wf_tp_new(&wf_tp_release_kind);
    r->conn = conn;
    r->stream = stream;
    r->bytes = bytes;
    if (weft_send(o->transport, &r->msg) != WEFT_OK) weft_drop(&r->msg);
}

static void next_bulk(weft_self *self, struct owner *o, struct pump *p);

static void on_sent(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct owner *o = state;
    wf_lock_take(o->live->lock);
    o->log->count[err == WEFT_OK ? RIG_SENT : RIG_REFUSED]++;
    if (err != WEFT_OK) o->log->sent_err = err;
    wf_lock_give(o->live->lock);
    weft_drop(req == NULL ? NULL : &req->msg);
    if (err == WEFT_OK) next_bulk(self, o, arg);
    check_waits(o);
}

static void next_bulk(weft_self *self, struct owner *o, struct pump *p)
{
    if (p->count == 0) return;
    struct wf_tp_bulk *b = wf_tp_new(&wf_tp_bulk_kind);
    b->conn = p->conn;
    b->stream = p->stream;
    b->frame = rig_frame(WF_F_ENTRIES, p->stream, p->count, p->bytes);
    p->count--;
    if (weft_ask(self, o->transport, &b->req, WEFT_NEVER, on_sent, p, NULL) != WEFT_OK)
        weft_drop(&b->req.msg);
}

static void on_dialled(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct owner *o = state;
    (void)self;
    (void)arg;
    wf_lock_take(o->live->lock);
    uint64_t i = o->log->count[RIG_DIALS]++ % 16;
    o->log->dial_err[i] = err;
    if (err == WEFT_OK) o->log->dial_conn[i] = ((struct wf_tp_dial *)req)->conn;
    wf_lock_give(o->live->lock);
    weft_drop(req == NULL ? NULL : &req->msg);
    check_waits(o);
}

static void go(weft_self *self, struct owner *o, const struct go *g)
{
    struct wf_tp_dial *d = wf_tp_new(&wf_tp_dial_kind);
    memcpy(d->address, g->address, sizeof d->address);
    weft_ns deadline = weft_now(self) + 20 * WEFT_SEC;
    if (weft_ask(self, o->transport, &d->req, deadline, on_dialled, NULL, NULL) != WEFT_OK)
        weft_drop(&d->req.msg);
}

static void on_frame(struct owner *o, const struct wf_tp_frame *f)
{
    struct rig_log *log = o->log;
    uint64_t i = log->count[RIG_FRAMES], code = 0;
    char text[WEFT_ERROR_TEXT_BYTES_MAX];
    if (f->type == WF_F_CLOSE || f->type == WF_F_ERR)
        (void)wf_frame_get_close(f->bytes, f->len, &code, text);
    else if (!pattern_right(f->bytes, f->len)) log->count[RIG_WRONG]++;
    if (i < RIG_EVENTS) {
        log->frame[i].type = f->type;
        log->frame[i].stream = f->stream;
        log->frame[i].frame_bytes = f->frame_bytes;
        log->frame[i].code = code;
    }
    log->count[RIG_FRAMES]++;
    give_back(o, f->conn, f->stream, f->frame_bytes);
}

static void on_bulk(struct owner *o, const struct wf_tp_bulk_in *b)
{
    struct rig_log *log = o->log;
    if (b->stream < 64) { /* every number exactly once, in order */
        if (b->n != log->last_n[b->stream] + 1) log->count[RIG_WRONG]++;
        log->last_n[b->stream] = b->n;
    }
    if (b->end) {
        log->count[RIG_ENDS]++;
        return;
    }
    if (!pattern_right(b->bytes, b->len)) log->count[RIG_WRONG]++;
    log->bulk_bytes += b->len;
    log->count[RIG_BULKS]++;
    give_back(o, b->conn, b->stream, b->frame_bytes);
}

static void hear(struct owner *o, weft_msg *msg)
{
    struct rig_log *log = o->log;
    if (msg->kind == &wf_tp_up_kind) {
        if (log->count[RIG_UPS] < 16) log->up[log->count[RIG_UPS]] = *(struct wf_tp_up *)msg;
        log->count[RIG_UPS]++;
    } else if (msg->kind == &wf_tp_down_kind) {
        if (log->count[RIG_DOWNS] < 16)
            log->down[log->count[RIG_DOWNS]] = *(struct wf_tp_down *)msg;
        log->count[RIG_DOWNS]++;
    } else if (msg->kind == &wf_tp_frame_kind) {
        on_frame(o, (struct wf_tp_frame *)msg);
    } else if (msg->kind == &wf_tp_bulk_in_kind) {
        on_bulk(o, (struct wf_tp_bulk_in *)msg);
    }
}

static weft_verdict owner_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct owner *o = state;
    weft_verdict verdict = WEFT_DONE;
    wf_lock_take(o->live->lock);
    hear(o, msg);
    wf_lock_give(o->live->lock);
    if (msg->kind == &set_kind) {
        o->transport = ((struct set *)msg)->transport;
        weft_reply((weft_request *)msg, WEFT_OK);
        verdict = WEFT_KEPT;
    } else if (msg->kind == &go_kind) {
        go(self, o, (struct go *)msg);
    } else if (msg->kind == &pump_kind) {
        struct pump *p = &o->pump[o->pumps++ % 64];
        *p = *(struct pump *)msg;
        weft_reply((weft_request *)msg, WEFT_OK);
        for (unsigned i = 0; i < UNDER_WAY; i++) next_bulk(self, o, p);
        verdict = WEFT_KEPT;
    } else if (msg->kind == &wait_kind) {
        unsigned i = 0;
        while (i < WAITS && o->waits[i] != NULL && !weft_abandoned(&o->waits[i]->req)) i++;
        cr_assert(i < WAITS);
        if (o->waits[i] != NULL) weft_drop(&o->waits[i]->req.msg);
        o->waits[i] = (struct wait *)msg;
        verdict = WEFT_KEPT;
    }
    check_waits(o);
    return verdict;
}

static void owner_fini(weft_self *self, void *state, weft_err reason)
{
    struct owner *o = state;
    (void)self;
    (void)reason;
    for (unsigned i = 0; i < WAITS; i++)
        weft_drop(o->waits[i] == NULL ? NULL : &o->waits[i]->req.msg);
}

/* -- Nodes ------------------------------------------------------------------------------------ */

void rig_look(struct rig_node *n)
{
    wf_lock_take(n->live->lock);
    *n->log = n->live->log;
    wf_lock_give(n->live->lock);
}

/* Calls and drops the answer; the test reads what it needs through `copy`. */
static weft_err call(struct rig_node *n, weft_addr *to, weft_request *req, void *copy, size_t size)
{
    weft_request *out = NULL;
    bool taken = false;
    weft_err err = weft_call(to, req, weft_rt_after(n->rt, n->wait_ns), &out, &taken);
    if (out != NULL && copy != NULL) memcpy(copy, out, size);
    rig_look(n);
    if (out != NULL) weft_drop(&out->msg);
    else if (!taken) weft_drop(&req->msg);
    return err;
}

void rig_start(struct rig_node *n, weft_rt *rt, const struct rig_options *o)
{
    memset(n, 0, sizeof *n);
    n->rt = rt;
    n->wait_ns = 20 * WEFT_SEC;
    n->log = calloc(1, sizeof *n->log);
    n->live = calloc(1, sizeof *n->live);
    n->live->lock = wf_lock_create();
    rig_identity(o->identity, &n->identity);
    struct owner_arg arg = {n->live, o->release};
    weft_spec spec = {.name = "owner",
                      .arg = &arg,
                      .state_size = sizeof(struct owner),
                      .init = owner_init,
                      .handle = owner_handle,
                      .fini = owner_fini,
                      .mailbox = WEFT_UNBOUNDED};
    cr_assert_eq(weft_spawn(rt, &spec, &n->owner), WEFT_OK);
    cr_assert_eq(wf_resolver_spawn(rt, &n->resolver), WEFT_OK);
    struct wf_transport_options options = {.identity = n->identity,
                                           .node_name = "rig",
                                           .events_to = n->owner,
                                           .verifiers = &n->owner,
                                           .verifiers_count = 1,
                                           .resolver = n->resolver,
                                           .may_connect = o->may_connect,
                                           .on_breach = o->on_breach,
                                           .may_connect_arg = o->arg,
                                           .on_encrypt = o->on_encrypt,
                                           .on_encrypt_arg = o->arg};
    cr_assert_eq(wf_transport_spawn(rt, &options, &n->transport), WEFT_OK);
    struct set *set = (struct set *)weft_new(&set_kind);
    set->transport = n->transport;
    cr_assert_eq(call(n, n->owner, &set->req, NULL, 0), WEFT_OK);
}

void rig_stop(struct rig_node *n)
{
    weft_addr *all[] = {n->transport, n->resolver, n->owner};
    for (unsigned i = 0; i < 3; i++) {
        (void)weft_stop(all[i], WEFT_NOW);
        cr_assert_eq(weft_join(all[i], weft_rt_after(n->rt, n->wait_ns), NULL), WEFT_OK);
        weft_addr_put(all[i]);
    }
    free(n->log);
    wf_lock_destroy(n->live->lock);
    free(n->live);
    free(n->identity.arg);
    memset(n, 0, sizeof *n);
}

#ifdef WF_HTTP
bool rig_has_http(void) { return true; }

wf_net *rig_http(void)
{
    wf_net *net = NULL;
    cr_assert_eq(weft_net_http_create(NULL, &net), WEFT_OK);
    return net;
}
#else
bool rig_has_http(void) { return false; }
wf_net *rig_http(void) { return NULL; }
#endif

weft_err rig_add(struct rig_node *n, const char *name, wf_net *net, const char *listen)
{
    struct wf_tp_add *add = wf_tp_new(&wf_tp_add_kind);
    snprintf(add->name, sizeof add->name, "%s", name);
    snprintf(add->listen, sizeof add->listen, "%s", listen);
    add->net = net;
    return call(n, n->transport, &add->req, NULL, 0);
}

weft_err rig_server(struct rig_node *n, const char *name, bool start)
{
    struct wf_tp_server *s = wf_tp_new(&wf_tp_server_kind);
    snprintf(s->name, sizeof s->name, "%s", name);
    s->start = start;
    return call(n, n->transport, &s->req, NULL, 0);
}

void rig_address(struct rig_node *n, char out[WEFT_ADDRESS_BYTES_MAX])
{
    struct wf_tp_addresses *copy = calloc(1, sizeof *copy);
    struct wf_tp_addresses *a = wf_tp_new(&wf_tp_addresses_kind);
    cr_assert_eq(call(n, n->transport, &a->req, copy, sizeof *copy), WEFT_OK);
    cr_assert(copy->count > 0);
    memcpy(out, copy->items[0].address, WEFT_ADDRESS_BYTES_MAX);
    free(copy);
}

weft_err rig_dial(struct rig_node *n, const char *address, const weft_key *key, uint64_t *conn)
{
    struct wf_tp_dial copy;
    struct wf_tp_dial *d = wf_tp_new(&wf_tp_dial_kind);
    snprintf(d->address, sizeof d->address, "%s", address);
    if (key != NULL) {
        d->expect = true;
        d->key = *key;
    }
    weft_err err = call(n, n->transport, &d->req, &copy, sizeof copy);
    if (err == WEFT_OK && conn != NULL) *conn = copy.conn;
    return err;
}

struct rig_dialling rig_dial_begin(struct rig_node *n, const char *address)
{
    struct rig_dialling d = {n->log->count[RIG_DIALS]};
    struct go *g = (struct go *)weft_new(&go_kind);
    snprintf(g->address, sizeof g->address, "%s", address);
    cr_assert_eq(weft_send(n->owner, &g->msg), WEFT_OK);
    return d;
}

weft_err rig_dial_end(struct rig_node *n, const struct rig_dialling *d, uint64_t *conn)
{
    weft_err err = rig_wait(n, RIG_DIALS, d->number + 1);
    if (err != WEFT_OK) return err;
    *conn = n->log->dial_conn[d->number % 16];
    return n->log->dial_err[d->number % 16];
}

weft_err rig_stream(struct rig_node *n, uint64_t conn, uint32_t stream, bool open)
{
    struct wf_tp_stream *s = wf_tp_new(&wf_tp_stream_kind);
    s->conn = conn;
    s->stream = stream;
    s->open = open;
    return call(n, n->transport, &s->req, NULL, 0);
}

void rig_bulk(struct rig_node *n, uint64_t conn, uint32_t stream, uint32_t count, uint32_t bytes)
{
    struct pump *p = (struct pump *)weft_new(&pump_kind);
    p->conn = conn;
    p->stream = stream;
    p->count = count;
    p->bytes = bytes;
    cr_assert_eq(call(n, n->owner, &p->req, NULL, 0), WEFT_OK);
}

void rig_send(struct rig_node *n, uint64_t conn, uint32_t stream, uint32_t type, uint32_t bytes)
{
    struct wf_tp_send *s = wf_tp_new(&wf_tp_send_kind);
    s->conn = conn;
    s->stream = stream;
    s->frame = rig_frame(type, stream, 7, bytes);
    cr_assert_eq(weft_send(n->transport, &s->msg), WEFT_OK);
}

void rig_release(struct rig_node *n, uint64_t conn, uint32_t stream, uint32_t bytes)
{
    struct wf_tp_release *r = wf_tp_new(&wf_tp_release_kind);
    r->conn = conn;
    r->stream = stream;
    r->bytes = bytes;
    wf_lock_take(n->live->lock);
    n->live->log.held_bytes -= bytes;
    wf_lock_give(n->live->lock);
    cr_assert_eq(weft_send(n->transport, &r->msg), WEFT_OK);
}

void rig_close(struct rig_node *n, uint64_t conn, weft_err why)
{
    struct wf_tp_close *c = wf_tp_new(&wf_tp_close_kind);
    c->conn = conn;
    c->why = why;
    snprintf(c->text, sizeof c->text, "the test says so");
    cr_assert_eq(weft_send(n->transport, &c->msg), WEFT_OK);
}

void rig_stats(struct rig_node *n, uint64_t conn, struct wf_tp_stats *out)
{
    struct wf_tp_stats *s = wf_tp_new(&wf_tp_stats_kind);
    s->conn = conn;
    cr_assert_eq(call(n, n->transport, &s->req, out, sizeof *out), WEFT_OK);
}

weft_err rig_wait(struct rig_node *n, enum rig_what what, uint64_t at_least)
{
    struct wait *w = (struct wait *)weft_new(&wait_kind);
    w->what = what;
    w->at_least = at_least;
    return call(n, n->owner, &w->req, NULL, 0);
}
