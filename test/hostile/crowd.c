/* SPDX-License-Identifier: Apache-2.0
 * crowd.c - all of them at once, each in its manner and again and again, beside the honest pair.
 * Called by: main.c. May touch: peers, the honest pair by asking. Never: judges one of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostile.h"

#define SLACK (5 * WEFT_SEC)
#define MIB (UINT64_C(1) << 20)

/* -- The honest pair ---------------------------------------------------------------------- */

void ht_rounds(ht_run *run, uint64_t for_ns, ht_pace *out)
{
    uint64_t until = ht_now() + for_ns, entries = 0, ns = 0;
    memset(out, 0, sizeof *out);
    do {
        const ht_answer *a = ht_round(run, HT_SHARED, run->address);
        if (a->err != WEFT_OK || a->entries != run->entries + 1) {
            out->failed++;
            continue;
        }
        out->rounds++;
        entries += a->entries;
        ns += a->sync_ns;
        out->tries += a->tries - 1;
        if (a->dial_ns > out->slowest_dial) out->slowest_dial = a->dial_ns;
    } while (ht_now() < until);
    out->rate = ns == 0 ? 0 : (double)entries * 1e9 / (double)ns;
}

/* -- The manners -------------------------------------------------------------------------- */

enum kind {
    SILENT,
    SLOW_SHAKER,
    SLOW_TALKER,
    JUNK,
    PINGER,
    OPENER,
    BOMBER,
    LIAR,
    BORROWER,
    SYBIL,
    REPLAYER,
    IDLER,
    FORGER,
    KINDS
};
static const struct {
    const char *name;
    uint64_t gone; /* by then it must be; 0: it breaks no rule, or goes by itself */
    uint64_t rest; /* before it comes again */
} kinds[KINDS] = {
    [SILENT] = {"silent", WEFT_HANDSHAKE_TIMEOUT_NS, 5 * WEFT_SEC},
    [SLOW_SHAKER] = {"slow handshake", WEFT_HANDSHAKE_TIMEOUT_NS, 5 * WEFT_SEC},
    [SLOW_TALKER] = {"slow message", WEFT_FRAME_TIMEOUT_NS + 2 * WEFT_SEC, 5 * WEFT_SEC},
    [JUNK] = {"garbage", WEFT_HANDSHAKE_TIMEOUT_NS, 2 * WEFT_SEC},
    [PINGER] = {"pings unheard", 0, 10 * WEFT_SEC},
    [OPENER] = {"opens", 0, 10 * WEFT_SEC},
    [BOMBER] = {"bombs", WEFT_FRAME_TIMEOUT_NS + 2 * WEFT_SEC, 10 * WEFT_SEC},
    [LIAR] = {"lies", WEFT_HANDSHAKE_TIMEOUT_NS, 10 * WEFT_SEC},
    [BORROWER] = {"borrows", WEFT_CREDIT_TIMEOUT_NS + WEFT_HANDSHAKE_TIMEOUT_NS, 10 * WEFT_SEC},
    [SYBIL] = {"keys", 0, 10 * WEFT_SEC},
    [REPLAYER] = {"replays", WEFT_HANDSHAKE_TIMEOUT_NS, 5 * WEFT_SEC},
    [IDLER] = {"idles", 0, WEFT_SEC},
    [FORGER] = {"forges", WEFT_HANDSHAKE_TIMEOUT_NS, 10 * WEFT_SEC},
};

struct guest { /* one of the crowd, over all its connections */
    struct crowd *crowd;
    enum kind kind;
    uint32_t number;
};

struct crowd {
    ht_run *run;
    struct guest *guests;
    ht_peer **peers;
    uint32_t count, late, keys;
    uint64_t connections, ended, told, slowest[KINDS];
    bool over;
};

static struct guest *guest_of(const ht_peer *p) { return p->arg; }

static ht_run *run_of(const ht_peer *p) { return guest_of(p)->crowd->run; }

static void wake_in(ht_peer *p, uint64_t time) { p->wake_at = ht_now() + time; }

static void ask(ht_peer *p, uint32_t stream)
{
    struct wf_open open = {.stream = stream, .own.tips_complete = true};
    open.tree = run_of(p)->born.trees[stream % HT_PUBLIC];
    ht_peer_say(p, wf_open_encode(&open));
}

static void borrow(ht_peer *p)
{
    for (uint32_t i = 0; i < 8; i++) {
        struct wf_bytes b = {0};
        if (wf_frame_put_blocked(&b, 1 + 2 * i, WEFT_OPENING_STREAM_BYTES, 0) != WEFT_OK)
            ht_die("BLOCKED");
        ht_peer_plain(p, wf_bytes_front(&b), wf_bytes_len(&b));
        wf_bytes_fini(&b);
    }
}

static void tell_lies(ht_peer *p)
{
    static const uint8_t bulk[] = {0, 0, 0, 3, 0x92, WF_F_ENTRIES, 5};
    static const uint8_t credit[] = {0, 0, 0, 4, 0x93, WF_F_CREDIT, 3, 9};
    static const uint8_t none[] = {0, 0, 0, 3, 0x92, 31, 1};
    if (guest_of(p)->number / KINDS % 3 == 0) ht_peer_plain(p, bulk, sizeof bulk);
    else if (guest_of(p)->number / KINDS % 3 == 1) ht_peer_plain(p, credit, sizeof credit);
    else ht_peer_plain(p, none, sizeof none);
}

static void bomb(ht_peer *p)
{
    static const uint8_t huge[] = {0, 0x10, 0xff, 0xf0, 0xdd, 0xff, 0xff, 0xff, 0xff, 2, 1};
    static uint8_t nils[4096];
    if (guest_of(p)->number / KINDS % 2 == 0) {
        ht_peer_plain(p, huge, sizeof huge);
        return;
    }
    static const uint8_t head[] = {0, 0, 0x0f, 0xa0, 0xdc, 0x0f, 0x00, WF_F_ACK, 1};
    memset(nils, 0xc0, sizeof nils);
    memcpy(nils, head, sizeof head);
    ht_peer_plain(p, nils, 4 + 0xfa0);
}

/* Its next deed; sets when the one after it comes. */
static void act(ht_peer *p)
{
    uint8_t junk[64], byte = (uint8_t)(p->step == 1 ? 32 : 0);
    switch (guest_of(p)->kind) {
    case SLOW_SHAKER:
        ht_peer_raw(p, &byte, 1);
        wake_in(p, WEFT_SEC);
        break;
    case SLOW_TALKER:
        byte = (uint8_t)(p->step == 2 ? 4 : p->step == 4 ? 0x94 : 0);
        ht_peer_plain(p, &byte, 1);
        if (p->step == 0) p->began = ht_now();
        wake_in(p, 5 * WEFT_SEC);
        break;
    case JUNK:
        for (size_t i = 0; i < sizeof junk; i++) junk[i] = (uint8_t)ht_random();
        ht_peer_raw(p, junk, sizeof junk);
        break;
    case PINGER:
        p->deaf = true;
        for (uint64_t i = 0; i < 50; i++) ht_peer_ping(p, i);
        wake_in(p, WEFT_SEC);
        break;
    case OPENER:
        for (uint32_t i = 0; i < 8 && p->window > 2048; i++) ask(p, 1 + 2 * (p->step * 8 + i));
        wake_in(p, WEFT_SEC);
        break;
    case BOMBER: bomb(p); break;
    case LIAR: tell_lies(p); break;
    case BORROWER: borrow(p); break;
    case SYBIL:
        if (p->step == 0) ask(p, 1);
        wake_in(p, 500 * WEFT_MS);
        break;
    case REPLAYER: /* the first message of somebody, and what is none */
        memset(junk, 0x5a, sizeof junk);
        junk[0] = 0;
        junk[1] = 32;
        ht_peer_raw(p, junk, sizeof junk);
        break;
    case FORGER:
        if (p->step == 0) ht_forge_open(p, &run_of(p)->born);
        break;
    case IDLER:
    case SILENT:
    case KINDS: break;
    }
    p->step++;
}

static void on_frame(ht_peer *p, uint64_t type, uint32_t stream, const uint8_t *body, size_t len)
{
    (void)stream;
    (void)body;
    (void)len;
    if (guest_of(p)->kind == FORGER && type == WF_F_STATE)
        ht_forge_send(p, &run_of(p)->born, guest_of(p)->number);
}

/* What tells of a tree: a forger may read the one into which it sends. */
static void note_frames(struct crowd *c, const ht_peer *p)
{
    static const uint32_t types[] = {WF_F_STATE, WF_F_IDS, WF_F_BITS, WF_F_ENTRIES, WF_F_PUSH};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (guest_of(p)->kind != FORGER) c->told += p->frames[types[i]];
}

static void note_end(struct crowd *c, const ht_peer *p)
{
    enum kind kind = guest_of(p)->kind;
    uint64_t took = (p->ended ? p->ended_at : ht_now()) - p->began;
    if (took > c->slowest[kind]) c->slowest[kind] = took;
    c->late += kinds[kind].gone > 0 && took > kinds[kind].gone + SLACK;
    c->ended += p->ended;
    note_frames(c, p);
}

static void come(struct crowd *c, uint32_t i);

static void tick(ht_peer *p)
{
    struct guest *g = guest_of(p);
    struct crowd *c = g->crowd;
    bool leaves = g->kind == SYBIL && p->step > 1;
    if (!p->ended && !leaves) {
        if (p->secure || p->manner->depth != HT_SECURE) act(p);
        return;
    }
    if (p->ended) note_end(c, p);
    else note_frames(c, p);
    uint32_t i = g->number;
    ht_peer_free(p);
    c->peers[i] = NULL;
    if (!c->over) come(c, i);
}

static void end(ht_peer *p) { wake_in(p, kinds[guest_of(p)->kind].rest); }

static void come(struct crowd *c, uint32_t i)
{
    static const ht_manner raw = {.connected = act, .tick = tick, .end = end};
    static const ht_manner secure = {
        .depth = HT_SECURE, .up = act, .frame = on_frame, .tick = tick, .end = end};
    enum kind kind = c->guests[i].kind;
    bool plain = kind == SILENT || kind == SLOW_SHAKER || kind == JUNK || kind == REPLAYER;
    weft_keypair *pair = kind == FORGER ? ht_pair(HT_READER, i % HT_FORGERS)
                                        : ht_pair(HT_STRANGER, 60000 + c->keys++);
    c->peers[i] = ht_peer_dial(c->run->born.port, 1 + i / 4, pair, plain ? &raw : &secure,
                               &c->guests[i]);
    c->connections++;
}

/* -- The crowd ---------------------------------------------------------------------------- */

static void gather(struct crowd *c, ht_run *run)
{
    c->run = run;
    c->count = run->peers;
    c->guests = calloc(c->count, sizeof *c->guests);
    c->peers = calloc(c->count, sizeof(ht_peer *));
    if (c->guests == NULL || c->peers == NULL) ht_die("memory");
    for (uint32_t i = 0; i < c->count; i++) {
        c->guests[i] = (struct guest){c, (enum kind)(i % KINDS), i};
        come(c, i);
        if (i % 8 == 7) ht_pass(10 * WEFT_MS); /* they drop in */
    }
}

static void disperse(struct crowd *c)
{
    c->over = true;
    for (uint32_t i = 0; i < c->count; i++) {
        ht_peer *p = c->peers[i];
        if (p == NULL) continue;
        if (p->ended || kinds[guest_of(p)->kind].gone > 0) note_end(c, p);
        else note_frames(c, p);
        ht_peer_free(p);
    }
    free(c->guests);
    free(c->peers);
}

void ht_crowd(ht_run *run, ht_line *line)
{
    struct crowd c = {0};
    ht_pace pace;
    ht_answer before = *ht_facts(run);
    ht_memory_reset(run);
    uint64_t said = ht_said, busy = ht_processor(getpid()), began = ht_now();
    gather(&c, run);
    ht_rounds(run, run->seconds * WEFT_SEC, &pace);
    double seconds = (double)(ht_now() - began) / 1e9;
    uint32_t descriptors = ht_descriptors(run->victim.pid);
    uint64_t grown = run->most_resident > run->base_resident
                         ? run->most_resident - run->base_resident
                         : 0;
    disperse(&c);
    double share = 100 * pace.rate / run->base_rate;
    if (pace.failed > 0)
        ht_bad(line, "%u of %u honest rounds failed", pace.failed, pace.failed + pace.rounds);
    if (!run->fast && share < 80)
        ht_bad(line, "the honest pair has %.0f %% of its throughput", share);
    if (grown > 32 * MIB + run->peers * (UINT64_C(100) << 10))
        ht_bad(line, "%.1f MiB more memory", (double)grown / MIB);
    if (descriptors > run->peers + 128) ht_bad(line, "%u descriptors", descriptors);
    if (c.late > 0) ht_bad(line, "%u connections outlived their deadline", c.late);
    if (c.told > 0)
        ht_bad(line, "%llu frames told of a tree that may not be read", (unsigned long long)c.told);
    ht_same_store(run, &before, line);
    uint64_t refused = ht_facts(run)->refused - before.refused;
    if (refused == 0) ht_bad(line, "nobody forged");
    if (ht_facts(run)->peers > before.peers + HT_FORGERS) /* authorised ones are known */
        ht_bad(line, "strangers are known");
    ht_ok(line,
          "%u hostile peers for %.0f s: honest throughput %.0f %% of %.0f entries/s (%u rounds, in "
          "after "
          "%.0f ms at the latest, %llu knocks more), +%.1f MiB, %u descriptors; %llu connections "
          "(%.0f/s), "
          "%llu closed by the node, %u late, %llu forged entries refused, %.1f KiB/s of theirs for "
          "%.0f %% of a "
          "processor",
          c.count, seconds, share, run->base_rate, pace.rounds, (double)pace.slowest_dial / 1e6,
          (unsigned long long)pace.tries, (double)grown / MIB, descriptors,
          (unsigned long long)c.connections, (double)c.connections / seconds,
          (unsigned long long)c.ended, c.late, (unsigned long long)refused,
          (double)(ht_said - said) / 1024 / seconds,
          (double)(ht_processor(getpid()) - busy) / 1e7 / seconds);
}
