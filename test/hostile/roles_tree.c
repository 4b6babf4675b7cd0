/* SPDX-License-Identifier: Apache-2.0
 * roles_tree.c - readers that send entries without parents, and too many of anything.
 * Called by: main.c. May touch: peers. Never: a forged signature (roles_forge.c). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostile.h"

#define MIB (UINT64_C(1) << 20)
#define STREAM 1u

static uint64_t after(uint32_t seconds) { return ht_now() + seconds * WEFT_SEC; }

static double mib(uint64_t bytes) { return (double)bytes / (double)MIB; }

/* -- Orphans ------------------------------------------------------------------------------ */

struct flood {
    ht_run *run;
    ht_peer *peers[128];
    uint32_t count;
    uint64_t wanted, sent;
    weft_keypair *author;
};

#define ORPHANS_PER_FRAME 32u

static void add_orphan(struct flood *f, struct wf_entries_builder *b)
{
    weft_id parent, id;
    weft_buf *buf = NULL;
    for (size_t i = 0; i < sizeof parent.bytes; i++) parent.bytes[i] = (uint8_t)ht_random();
    weft_entry_spec spec = {.tree = f->run->born.trees[HT_LISTED],
                            .parents = &parent,
                            .parents_count = 1,
                            .height = 1 + ht_below(1000)};
    if (weft_entry_build(&spec, f->author, &buf, &id) != WEFT_OK ||
        wf_entries_add(b, weft_buf_bytes(buf), weft_buf_len(buf)) != WEFT_OK)
        ht_die("an orphan");
    weft_buf_unref(buf);
}

static void send_orphans(ht_peer *p)
{
    struct flood *f = p->arg;
    while (!p->ended && p->window >= 7500 && f->sent < f->wanted) {
        struct wf_entries_builder b;
        weft_buf *frame = NULL;
        if (wf_entries_begin(&b, WF_F_ENTRIES, STREAM, WF_ENTRIES_RAW, 0) != WEFT_OK)
            ht_die("a frame");
        for (uint32_t i = 0; i < ORPHANS_PER_FRAME; i++) add_orphan(f, &b);
        if (wf_entries_finish(&b, NULL, &frame) != WEFT_OK) ht_die("a frame");
        f->sent += ORPHANS_PER_FRAME;
        ht_peer_say(p, frame);
    }
}

static void open_for_orphans(ht_peer *p)
{
    struct flood *f = p->arg;
    struct wf_open open = {
        .stream = STREAM, .tree = f->run->born.trees[HT_LISTED], .flags = WF_OPEN_RAW};
    ht_peer_say(p, wf_open_encode(&open));
}

static void on_orphans(ht_peer *p, uint64_t type, uint32_t stream, const uint8_t *body, size_t len)
{
    (void)stream;
    (void)body;
    (void)len;
    if (type == WF_F_STATE || (type == WF_F_CREDIT && p->frames[WF_F_STATE] > 0)) send_orphans(p);
}

static bool all_sent(void *arg)
{
    const struct flood *f = arg;
    uint32_t there = 0;
    for (uint32_t i = 0; i < f->count; i++) there += !f->peers[i]->ended;
    return f->sent >= f->wanted || there == 0;
}

void ht_orphans(ht_run *run, ht_line *line)
{
    static const ht_manner manner = {
        .depth = HT_SECURE, .up = open_for_orphans, .frame = on_orphans};
    static struct flood f;
    f = (struct flood){.run = run, .count = ht_amount(run, 4, 100)};
    f.wanted = run->fast ? 8000 : run->peers >= 1000 ? 1000000 : 200000; /* more than may wait */
    f.author = ht_pair(HT_FORGER, 1);
    ht_answer before = *ht_facts(run);
    ht_memory_reset(run);
    uint64_t resident = run->most_resident, most_pending = 0;
    for (uint32_t i = 0; i < f.count; i++) {
        f.peers[i] = ht_peer_dial(run->born.port, 1 + i, ht_pair(HT_READER, i), &manner, &f);
        ht_pass(2 * WEFT_MS);
    }
    uint64_t until = after(run->fast ? 10 : 900);
    while (!ht_loop(ht_now() + WEFT_SEC, all_sent, &f) && ht_now() < until) {
        uint64_t pending = ht_facts(run)->pending;
        if (pending > most_pending) most_pending = pending;
    }
    ht_pass(500 * WEFT_MS);
    uint64_t pending = ht_facts(run)->pending;
    if (pending > most_pending) most_pending = pending;
    uint64_t grown = run->most_resident > resident ? run->most_resident - resident : 0;
    if (f.sent < f.wanted) ht_bad(line, "only %llu orphans were taken", (unsigned long long)f.sent);
    if (most_pending == 0) ht_bad(line, "no orphan waits: nothing was shown");
    if (most_pending > (uint64_t)f.count * WEFT_PENDING_PEER_ENTRIES)
        ht_bad(line, "%llu orphans wait", (unsigned long long)most_pending);
    if (grown > WEFT_PENDING_NODE_BYTES + 32 * MIB) ht_bad(line, "+%.1f MiB", mib(grown));
    ht_same_store(run, &before, line);
    ht_still_serves(run, line);
    for (uint32_t i = 0; i < f.count; i++) ht_peer_free(f.peers[i]);
    weft_keypair_destroy(f.author);
    ht_ok(line,
          "%llu orphans from %u readers: at most %llu wait (of %u each), +%.1f MiB, nothing stored",
          (unsigned long long)f.sent, f.count, (unsigned long long)most_pending,
          WEFT_PENDING_PEER_ENTRIES, mib(grown));
}

/* -- Too many of anything ----------------------------------------------------------------- */

static void open_with_tips(ht_peer *p, uint32_t tips)
{
    uint8_t out[512] = {0};
    size_t at = WF_FRAME_HEAD;
    static const uint8_t head[] = {0x95, WF_F_OPEN, 1, 0xc4, 32};
    memcpy(out + at, head, sizeof head);
    at += sizeof head + 32; /* the tree of no name */
    out[at++] = 0;
    out[at++] = 0x99;
    out[at++] = 5;
    out[at++] = 4;
    out[at++] = 0xc4, out[at++] = 32, at += 32;
    out[at++] = 0xc4, out[at++] = 16, at += 16;
    out[at++] = 0;
    out[at++] = 0xc4, out[at++] = 8, at += 8;
    out[at++] = 0xc0;
    out[at++] = 0xc2;
    uint32_t len = tips * 8;
    if (len > 255) out[at++] = 0xc5, out[at++] = (uint8_t)(len >> 8), out[at++] = (uint8_t)len;
    else out[at++] = 0xc4, out[at++] = (uint8_t)len;
    for (uint32_t i = 0; i < tips; i++, at += 8) out[at + 7] = (uint8_t)(i + 1);
    size_t body = at - WF_FRAME_HEAD;
    out[2] = (uint8_t)(body >> 8);
    out[3] = (uint8_t)body;
    ht_peer_plain(p, out, at);
}

static void hello_with_addresses(ht_peer *p)
{
    uint8_t out[256];
    static const uint8_t head[] = {0,   0, 0, 0, 0x99, WF_F_HELLO, 0, 0xa4, 'w',  'e', 'f',
                                   't', 1, 1, 0, 0xcd, 4,          0, 0x10, 0xc0, 0x99};
    (void)head;
    size_t at = WF_FRAME_HEAD;
    static const uint8_t body[] = {0x9a, WF_F_HELLO, 0,    0xa4, 'w', 'e',  'f', 't', 1,    1,   0,
                                   0xce, 0,          0x11, 0,    0,   0xcd, 4,   0,   0xc0, 0x99};
    memcpy(out + at, body, sizeof body);
    at += sizeof body;
    for (unsigned i = 0; i < 9; i++) { /* one more than there may be */
        memcpy(out + at, "\xa5tcp:a", 6);
        at += 6;
    }
    out[0] = out[1] = out[2] = 0;
    out[3] = (uint8_t)(at - WF_FRAME_HEAD);
    ht_peer_plain(p, out, at);
}

#define FANS 5u
static void fan_in(ht_peer *p)
{
    static const uint8_t wants[] = {0, 0, 0, 9, 0x93, WF_F_WANT, 1, 0xc5, 0x80, 0x20, 0, 0, 0};
    static const uint8_t ids[] = {0, 0, 0, 5, 0x92, WF_F_TREES, 1, 0xc4, 0};
    static const struct wf_hello hello = {.ver_min = 1, .ver_max = 1};
    if (p->number % FANS == 2) {
        hello_with_addresses(p);
        return;
    }
    ht_peer_hello(p, &hello);
    switch (p->number % FANS) {
    case 0: open_with_tips(p, WEFT_OPEN_TIPS_MAX + 1); break;
    case 1:
        open_with_tips(p, 29);
        ht_peer_ping(p, 1);
        break; /* that many are fine */
    case 3: ht_peer_plain(p, wants, sizeof wants); break;
    default: ht_peer_plain(p, ids, sizeof ids); break;
    }
}

static void on_fan(ht_peer *p, uint64_t type, uint32_t stream, const uint8_t *body, size_t len)
{
    (void)stream;
    (void)body;
    (void)len;
    if (type == WF_F_ERR && p->number % FANS == 1) p->over = true;
}

static uint32_t fans_closed[FANS], fans_told;

static void judge_fan(ht_crew *crew, ht_peer *p)
{
    (void)crew;
    fans_closed[p->number % FANS] += p->ended;
    fans_told += p->number % FANS == 1 && p->err_code == WF_W_TREE;
}

static ht_peer *begin_fan(ht_crew *crew, uint32_t i)
{
    static const ht_manner manner = {
        .depth = HT_SECURE, .mute = true, .up = fan_in, .frame = on_fan};
    ht_run *run = crew->arg;
    ht_peer *p = ht_peer_dial(run->born.port, 1 + i, ht_pair(HT_STRANGER, 700 + i), &manner, crew);
    p->number = i;
    return p;
}

void ht_fanin(ht_run *run, ht_line *line)
{
    ht_crew crew = {.wanted = FANS * ht_amount(run, 4, 40),
                    .width = 10,
                    .patience = 10 * WEFT_SEC,
                    .begin = begin_fan,
                    .judge = judge_fan,
                    .arg = run};
    ht_answer before = *ht_facts(run);
    memset(fans_closed, 0, sizeof fans_closed);
    fans_told = 0;
    (void)ht_crew_run(&crew, after(60));
    for (uint32_t i = 0; i < FANS; i++)
        if (i != 1 && fans_closed[i] != crew.wanted / FANS)
            ht_bad(line, "kind %u: %u of %u ended their connections", i, fans_closed[i],
                   crew.wanted / FANS);
    if (fans_told != crew.wanted / FANS) ht_bad(line, "as many as may be were not read");
    ht_unchanged(run, &before, line);
    ht_ok(line,
          "%u frames with more tips, addresses or ids than there may be ended their connections; "
          "%u with as "
          "many were answered",
          crew.wanted - fans_told, fans_told);
}
