/* SPDX-License-Identifier: Apache-2.0
 * node.c - a peer with a proven key that says whatever the input tells it, to a whole node in
 * the simulator: frames of every type, in any order, well formed and not, with time between.
 * In the end the node must serve as before, hold nothing that it may not, and end in order.
 * Called by: libfuzzer.c, replay.c. May touch: the worlds of test/sync. Never: a clock. */
#include <stdlib.h>
#include <string.h>

#include <weft/join.h>

#include "crypto.h"
#include "frame.h"
#include "fuzz.h"
#include "raw.h"
#include "settings.h"
#include "wire.h"
#include "world.h"

#define CALL (20 * WEFT_SEC)
#define STEPS_MAX 64u
#define PEER 700u
/* What the first byte of an input says. */
#define READER 1u     /* the peer is on the tree's list                      */
#define CAPABLE 2u    /* its HELLO says that it understands keys and joining */
#define RELATED 4u    /* the node opens sessions with it                     */
#define SPEECHLESS 8u /* no HELLO of ours: the input says what comes first    */
#define ASKS 16u      /* whoever wants to may ask to join the tree           */
#define GRANTS 32u    /* and may read it when it does                        */

enum { GOOD, CHILD, ORPHAN, FORGED, STRANGERS, FOREIGN, GRANT, TOO_HIGH, ENTRIES };

static struct {
    weft_buf *entry[ENTRIES];
    weft_id id[ENTRIES], tree;
    weft_keypair *stranger;
    weft_key stranger_key;
} made; /* once: the tree is the same in each world */

struct play {
    struct world *w;
    weft_rt *rt;
    struct raw raw;
    unsigned kind, connections;
    bool let_in; /* somebody may have got a right to read */
    struct fuzz_bytes in;
};

/* -- Entries to send --------------------------------------------------------------------------- */

static void make(unsigned which, const weft_id *tree, const weft_id *parent, uint64_t height,
                 const weft_keypair *author, const weft_store_part *part)
{
    weft_entry_spec spec = {.tree = *tree,
                            .parents = parent,
                            .parents_count = 1,
                            .height = height,
                            .stores = part,
                            .stores_count = 1};
    FUZZ_CHECK(weft_entry_build(&spec, author, &made.entry[which], &made.id[which]) == WEFT_OK);
}

static void make_grant(const struct world *w)
{
    struct wf_settings_text text;
    wf_map_op op;
    uint8_t payload[256];
    weft_key key = {{0x31}};
    wf_grant grant = {WEFT_RIGHT_READ, 0};
    weft_store_part part = {.name = "_settings", .payload = payload};
    wf_settings_grant(&key, &grant, &text, &op);
    FUZZ_CHECK(wf_map_ops_encode(&op, 1, payload, sizeof payload, &part.payload_len) == WEFT_OK);
    make(GRANT, &w->tree, &w->tree, 1, w->author, &part);
}

static void make_entries(const struct world *w)
{
    const weft_id nobody = {{0x77}}, other = {{0x66}};
    const uint8_t seed[32] = {0x51};
    weft_store_part part = {.name = "log", .payload = "fuzz", .payload_len = 4};
    if (made.stranger != NULL) {
        FUZZ_CHECK(weft_id_equal(&made.tree, &w->tree));
        return;
    }
    made.tree = w->tree;
    FUZZ_CHECK(weft_keypair_from_seed(seed, &made.stranger) == WEFT_OK);
    weft_keypair_public(made.stranger, &made.stranger_key);
    make(GOOD, &w->tree, &w->tree, 1, w->author, &part);
    make(CHILD, &w->tree, &made.id[GOOD], 2, w->author, &part);
    make(ORPHAN, &w->tree, &nobody, 9, w->author, &part);
    make(STRANGERS, &w->tree, &w->tree, 1, made.stranger, &part);
    make(FOREIGN, &other, &other, 1, w->author, &part);
    make(TOO_HIGH, &w->tree, &w->tree, WEFT_HEIGHT_MAX, w->author, &part);
    make_grant(w);
    part.payload = "fuzs";
    make(FORGED, &w->tree, &w->tree, 1, w->author, &part);
    weft_buf_data(made.entry[FORGED])[weft_buf_len(made.entry[FORGED]) - 1] ^= 1;
    wf_blake2b_256(weft_buf_bytes(made.entry[FORGED]), weft_buf_len(made.entry[FORGED]),
                   made.id[FORGED].bytes);
}

/* -- Saying things ------------------------------------------------------------------------------ */

static void say(struct play *p, weft_buf *frame)
{
    FUZZ_CHECK(frame != NULL);
    uint8_t *data = weft_buf_data(frame);
    size_t body = weft_buf_len(frame) - WF_FRAME_HEAD;
    for (unsigned i = 0; i < WF_FRAME_HEAD; i++) data[i] = (uint8_t)(body >> (24 - 8 * i));
    raw_frames(&p->raw, data, weft_buf_len(frame));
    weft_buf_unref(frame);
}

static void say_bytes(struct play *p, struct wf_bytes *b)
{
    raw_frames(&p->raw, wf_bytes_front(b), wf_bytes_len(b));
    wf_bytes_fini(b);
}

static void connect(struct play *p)
{
    struct wf_bytes b = {0};
    struct wf_hello h = {.ver_min = 1, .ver_max = 1};
    wf_net *net;
    h.caps = p->kind & CAPABLE ? WF_CAP_ACCESS : 0;
    FUZZ_CHECK(wf_net_mem_create(p->w->hub->hub, p->rt, "x", &net) == WEFT_OK);
    raw_start(&p->raw, p->rt, net, "n0:1", PEER, RAW_SECURE);
    world_run(p->w, 20 * WEFT_MS);
    p->connections++;
    if (!p->raw.seen.secure || p->kind & SPEECHLESS) return;
    FUZZ_CHECK(wf_frame_put_hello(&b, &h) == WEFT_OK);
    say_bytes(p, &b);
    world_run(p->w, 10 * WEFT_MS);
}

static uint32_t stream(struct play *p) { return fuzz_below(&p->in, 9); }

static void any_id(struct play *p, uint8_t out[WEFT_ID_BYTES])
{
    unsigned which = fuzz_below(&p->in, ENTRIES + 2);
    memset(out, 0x42, WEFT_ID_BYTES);
    if (which < ENTRIES) memcpy(out, made.id[which].bytes, WEFT_ID_BYTES);
    else if (which == ENTRIES) memcpy(out, p->w->tree.bytes, WEFT_ID_BYTES);
}

static wf_mark any_mark(struct play *p)
{
    wf_mark m = {.seq = fuzz_below(&p->in, 8), .partial = fuzz_byte(&p->in) & 1};
    weft_tree_info info = world_info(p->w, 0);
    if (fuzz_byte(&p->in) & 1) memcpy(m.epoch, info.root_digest, sizeof m.epoch);
    if (m.partial) {
        m.gen = fuzz_below(&p->in, 8);
        any_id(p, m.id.bytes);
    }
    return m;
}

static struct wf_summary any_summary(struct play *p, uint32_t flags)
{
    struct wf_summary s;
    memset(&s, 0, sizeof s);
    if (flags & WF_OPEN_RAW) return s;
    s.count = fuzz_below(&p->in, 16);
    s.max_gen = fuzz_below(&p->in, 16);
    s.seq = fuzz_below(&p->in, 16);
    if (fuzz_byte(&p->in) & 1) memcpy(s.root, world_info(p->w, 0).root_digest, sizeof s.root);
    s.has_cursor = (flags & WF_OPEN_EXACT) == 0 && fuzz_byte(&p->in) & 1;
    if (s.has_cursor) s.cursor = any_mark(p);
    s.tips_complete = fuzz_byte(&p->in) & 1;
    s.tips_count = fuzz_below(&p->in, 5);
    s.tip_bytes = WEFT_ID_BYTES; /* the encoder cuts them where it may */
    for (uint32_t i = 0; i < s.tips_count; i++) any_id(p, s.tips + i * WEFT_ID_BYTES);
    return s;
}

static void say_open(struct play *p, bool state)
{
    struct wf_open o = {.stream = stream(p), .tree = p->w->tree, .flags = fuzz_below(&p->in, 8)};
    if (o.flags & WF_OPEN_RAW) o.flags = WF_OPEN_RAW;
    o.own = any_summary(p, o.flags);
    if (state) {
        struct wf_state s = {.stream = o.stream, .flags = o.flags, .own = o.own};
        s.plan = fuzz_below(&p->in, WF_PLAN_RAW + 1);
        say(p, wf_state_encode(&s));
    } else {
        if (fuzz_byte(&p->in) == 1) o.tree = made.id[FOREIGN];
        say(p, wf_open_encode(&o));
    }
}

static void say_ids(struct play *p)
{
    uint8_t ids[8 * WEFT_ID_BYTES], id[WEFT_ID_BYTES];
    struct wf_ids m = {.stream = stream(p), .ref = 1 + fuzz_below(&p->in, 4), .ids = ids};
    m.lo_gen = fuzz_below(&p->in, 4);
    m.hi_gen = m.lo_gen + fuzz_below(&p->in, 8);
    any_id(p, m.lo_id.bytes);
    any_id(p, m.hi_id.bytes);
    m.last = fuzz_byte(&p->in) & 1;
    m.id_bytes = fuzz_byte(&p->in) & 1 ? 32 : 8;
    m.count = fuzz_below(&p->in, 9);
    for (uint32_t i = 0; i < m.count; i++) {
        any_id(p, id);
        memcpy(ids + i * m.id_bytes, id, m.id_bytes);
    }
    say(p, wf_ids_encode(&m));
}

static void say_bits(struct play *p)
{
    uint8_t bits[4] = {0};
    struct wf_bits m = {.stream = stream(p), .ref = fuzz_below(&p->in, 4), .bits = bits};
    m.count = fuzz_below(&p->in, 33);
    for (uint32_t i = 0; i < m.count; i += 8) bits[i / 8] = (uint8_t)fuzz_byte(&p->in);
    if (m.count % 8 != 0) bits[m.count / 8] &= (uint8_t)((1u << m.count % 8) - 1);
    say(p, wf_bits_encode(&m));
}

static void say_entries(struct play *p, uint32_t type)
{
    struct wf_entries_builder b;
    weft_buf *frame = NULL;
    wf_mark mark = {0};
    uint32_t to = stream(p);
    uint32_t flags = fuzz_byte(&p->in) & WF_ENTRIES_RAW;
    unsigned which = fuzz_byte(&p->in), marked = fuzz_byte(&p->in) & 1;
    FUZZ_CHECK(wf_entries_begin(&b, type, to, flags, fuzz_below(&p->in, 4)) == WEFT_OK);
    for (unsigned i = 0; i < ENTRIES; i++)
        if (which >> i & 1)
            FUZZ_CHECK(wf_entries_add(&b, weft_buf_bytes(made.entry[i]),
                                      weft_buf_len(made.entry[i])) == WEFT_OK);
    if (marked) mark = any_mark(p);
    FUZZ_CHECK(wf_entries_finish(&b, marked ? &mark : NULL, &frame) == WEFT_OK);
    say(p, frame);
}

static void say_done(struct play *p)
{
    struct wf_done m = {.stream = stream(p), .round = 1 + fuzz_below(&p->in, 5)};
    m.mark = any_mark(p);
    m.mark.partial = false;
    m.count = fuzz_below(&p->in, 16);
    m.clean = fuzz_byte(&p->in) & 1;
    if (fuzz_byte(&p->in) & 1) memcpy(m.root, world_info(p->w, 0).root_digest, sizeof m.root);
    say(p, wf_done_encode(&m));
}

static void say_ack(struct play *p)
{
    struct wf_ack m = {.stream = stream(p), .n = fuzz_below(&p->in, 8)};
    m.seq = fuzz_below(&p->in, 16);
    m.stored = fuzz_below(&p->in, 4);
    m.known = fuzz_below(&p->in, 4);
    m.code = fuzz_below(&p->in, 17);
    say(p, wf_ack_encode(&m));
}

static void say_want(struct play *p)
{
    uint8_t ids[4 * WEFT_ID_BYTES];
    struct wf_want m = {.stream = stream(p), .count = 1 + fuzz_below(&p->in, 4), .ids = ids};
    for (uint32_t i = 0; i < m.count; i++) any_id(p, ids + i * WEFT_ID_BYTES);
    say(p, wf_want_encode(&m));
}

static void say_end(struct play *p, uint32_t type)
{
    struct wf_err_frame m = {.stream = stream(p), .code = fuzz_below(&p->in, 20), .text = "so"};
    say(p, wf_err_encode(type, &m));
}

static void say_own(struct play *p, unsigned what)
{
    struct wf_bytes b = {0};
    static const uint8_t token[8] = {1};
    uint32_t to = stream(p);
    uint64_t bytes = (uint64_t)fuzz_byte(&p->in) << fuzz_below(&p->in, 24);
    weft_err err;
    if (what == 0) err = wf_frame_put_credit(&b, to, bytes, to != 0 || fuzz_byte(&p->in) & 1);
    else if (what == 1) err = wf_frame_put_blocked(&b, to, bytes, fuzz_byte(&p->in));
    else err = wf_frame_put_ping(&b, fuzz_byte(&p->in) & 1, token);
    FUZZ_CHECK(err == WEFT_OK);
    say_bytes(p, &b);
}

/* A key beside the device's, proven well or not: nobody's, so it opens nothing. */
static void say_prove(struct play *p)
{
    struct wf_prove m = {.stream = stream(p), .key = made.stranger_key};
    struct wf_identity device;
    uint8_t text[WF_PROVE_TEXT_BYTES];
    rig_identity(PEER, &device);
    wf_prove_text(p->raw.seen.channel, &device.key, &p->w->nodes[0].key, m.stream, text);
    FUZZ_CHECK(wf_sign(made.stranger, WF_PURPOSE_ACCESS, text, sizeof text, m.sig) == WEFT_OK);
    m.sig[0] ^= (uint8_t)(fuzz_byte(&p->in) & 1);
    free(device.arg);
    say(p, wf_prove_encode(&m));
}

/* The oldest request that waits. */
static bool pending(struct play *p, uint8_t id[16])
{
    static weft_join_request list[WEFT_JOINS_MAX];
    size_t count = WEFT_JOINS_MAX;
    weft_node *node = p->w->nodes[0].node;
    FUZZ_CHECK(weft_join_list(node, WEFT_JOIN_PENDING, CALL, list, &count) == WEFT_OK);
    if (count > 0) memcpy(id, list[0].id, sizeof list[0].id);
    return count > 0;
}

static void decide(struct play *p)
{
    uint8_t id[16];
    weft_node *node = p->w->nodes[0].node;
    bool approves = fuzz_byte(&p->in) & 1;
    if (!pending(p, id)) return;
    p->let_in = p->let_in || approves;
    FUZZ_CHECK((approves ? weft_join_approve : weft_join_reject)(node, id, p->w->author, CALL) ==
               WEFT_OK);
}

static void say_join(struct play *p)
{
    struct wf_join_ask m = {.stream = stream(p), .tree = p->w->tree, .key = made.stranger_key};
    struct wf_identity device;
    uint8_t text[WF_JOIN_TEXT_MAX];
    size_t len;
    memcpy(m.name, "somebody", 9);
    m.right = fuzz_below(&p->in, 4);
    m.priority = m.right >= WEFT_RIGHT_WRITE ? fuzz_byte(&p->in) : 0;
    m.has_id = fuzz_byte(&p->in) & 1;
    if (m.has_id) (void)pending(p, m.id);
    rig_identity(PEER, &device);
    wf_join_text(p->raw.seen.channel, &device.key, &p->w->nodes[0].key, &m, text, &len);
    FUZZ_CHECK(wf_sign(made.stranger, WF_PURPOSE_ACCESS, text, len, m.sig) == WEFT_OK);
    free(device.arg);
    say(p, wf_join_encode(&m));
}

/* Bytes as they are: a frame's body, several frames or parts of them, or not even records. */
static void say_raw(struct play *p, unsigned what)
{
    size_t len;
    uint8_t frame[WF_FRAME_HEAD + 256] = {0};
    const uint8_t *data = fuzz_take(&p->in, fuzz_byte(&p->in), &len);
    memcpy(frame + WF_FRAME_HEAD, data, len);
    frame[3] = (uint8_t)len;
    if (what == 0) raw_frames(&p->raw, frame, WF_FRAME_HEAD + len);
    else if (what == 1 && len > 0) raw_frames(&p->raw, data, len);
    else if (what == 2) raw_wire(&p->raw, data, len);
}

/* -- A run ------------------------------------------------------------------------------------------ */

enum {
    DO_OPEN,
    DO_STATE,
    DO_IDS,
    DO_BITS,
    DO_ENTRIES,
    DO_PUSH,
    DO_DONE,
    DO_ACK,
    DO_RESULT,
    DO_WANT,
    DO_TREES,
    DO_ERR,
    DO_CLOSE,
    DO_CREDIT,
    DO_BLOCKED,
    DO_PING,
    DO_PROVE,
    DO_JOIN,
    DO_FRAME,
    DO_PLAIN,
    DO_WIRE,
    DO_TIME,
    DO_COMMIT,
    DO_RECONNECT,
    DO_DEAF,
    DO_DECIDE,
    DOINGS
};

static void say_frame(struct play *p, unsigned what)
{
    struct wf_result r;
    switch (what) {
    case DO_OPEN: say_open(p, false); break;
    case DO_STATE: say_open(p, true); break;
    case DO_IDS: say_ids(p); break;
    case DO_BITS: say_bits(p); break;
    case DO_ENTRIES: say_entries(p, WF_F_ENTRIES); break;
    case DO_PUSH: say_entries(p, WF_F_PUSH); break;
    case DO_DONE: say_done(p); break;
    case DO_ACK: say_ack(p); break;
    case DO_RESULT:
        r.stream = stream(p);
        r.round = 1 + fuzz_below(&p->in, 3);
        r.code = fuzz_below(&p->in, 3);
        say(p, wf_result_encode(&r));
        break;
    case DO_WANT: say_want(p); break;
    case DO_TREES: say(p, wf_trees_req_encode(stream(p))); break;
    case DO_ERR: say_end(p, WF_F_ERR); break;
    case DO_CLOSE: say_end(p, WF_F_CLOSE); break;
    case DO_CREDIT:
    case DO_BLOCKED:
    case DO_PING: say_own(p, what - DO_CREDIT); break;
    case DO_PROVE: say_prove(p); break;
    case DO_JOIN: say_join(p); break;
    default: say_raw(p, what - DO_FRAME); break;
    }
}

static void act(struct play *p)
{
    unsigned what = fuzz_below(&p->in, DOINGS);
    switch (what) {
    case DO_TIME: world_run(p->w, WEFT_MS << fuzz_below(&p->in, 17)); break;
    case DO_COMMIT: FUZZ_CHECK(world_commit(p->w, 0) == WEFT_OK); break;
    case DO_RECONNECT:
        if (p->connections == 4) break;
        raw_stop(&p->raw, p->rt);
        connect(p);
        break;
    case DO_DEAF: raw_deaf(&p->raw); break;
    case DO_DECIDE: decide(p); break;
    default:
        if (p->raw.seen.secure && !p->raw.seen.ended) say_frame(p, what);
        break;
    }
}

static void up(struct play *p)
{
    struct wf_identity id;
    p->w = world_create(1, WORLD_CHAIN, 1, WORLD_PLAIN);
    make_entries(p->w);
    rig_identity(PEER, &id);
    weft_key reader = id.key;
    free(id.arg);
    struct world_node *n = &p->w->nodes[0];
    if (p->kind & READER)
        FUZZ_CHECK(weft_tree_follow(n->node, &p->w->tree, &reader, 1, CALL) == WEFT_OK);
    if (p->kind & RELATED) {
        FUZZ_CHECK(weft_peer_register(n->node, &reader, "x", CALL) == WEFT_OK);
        FUZZ_CHECK(weft_peer_relate(n->node, &reader, &p->w->tree, CALL) == WEFT_OK);
    }
    if (p->kind & ASKS) {
        weft_join_mode mode = p->kind & GRANTS ? WEFT_JOIN_AUTO : WEFT_JOIN_ASK;
        p->let_in = mode == WEFT_JOIN_AUTO;
        FUZZ_CHECK(weft_join_mode_set(n->node, &p->w->tree, mode, p->w->author, WEFT_RIGHT_READ, 0,
                                      CALL) == WEFT_OK);
    }
    FUZZ_CHECK(world_commit(p->w, 0) == WEFT_OK && world_commit(p->w, 0) == WEFT_OK);
    FUZZ_CHECK(wf_sim_rt_create(p->w->sim, &p->rt) == WEFT_OK);
    connect(p);
}

static void judge(struct play *p)
{
    static const unsigned never[] = {ORPHAN, FORGED, STRANGERS, FOREIGN, TOO_HIGH};
    const uint64_t *frames = p->raw.seen.frames;
    for (unsigned i = 0; i < sizeof never / sizeof never[0]; i++) {
        weft_buf *buf = NULL;
        FUZZ_CHECK(weft_get(p->w->nodes[0].node, &made.id[never[i]], &buf) != WEFT_OK);
    }
    if ((p->kind & READER) == 0 && !p->let_in)
        FUZZ_CHECK(frames[WF_F_STATE] + frames[WF_F_ENTRIES] + frames[WF_F_PUSH] +
                       frames[WF_F_IDS] + frames[WF_F_BITS] ==
                   0);
    FUZZ_CHECK(world_commit(p->w, 0) == WEFT_OK);
    FUZZ_CHECK(world_lost(p->w) == 0 && world_damage(p->w) == 0);
}

bool fuzz_node(const uint8_t *data, size_t len)
{
    struct play p = {.in = {data, data + len}};
    p.kind = fuzz_byte(&p.in);
    up(&p);
    for (unsigned i = 0; i < STEPS_MAX && fuzz_more(&p.in); i++) act(&p);
    world_run(p.w, WEFT_SEC);
    bool alive = p.raw.seen.secure && !p.raw.seen.ended;
    judge(&p);
    raw_stop(&p.raw, p.rt);
    FUZZ_CHECK(weft_rt_stop(p.rt, WEFT_NEVER) == WEFT_OK);
    FUZZ_CHECK(weft_rt_destroy(p.rt) == WEFT_OK);
    world_destroy(p.w);
    return alive;
}
