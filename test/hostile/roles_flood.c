/* SPDX-License-Identifier: Apache-2.0
 * roles_flood.c - strangers with proven keys that want memory, places and attention.
 * Called by: main.c. May touch: peers. Never: a tree that they may read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "hostile.h"

#define MIB (UINT64_C(1) << 20)

static uint64_t after(uint32_t seconds) { return ht_now() + seconds * WEFT_SEC; }

static double sec(uint64_t ns) { return (double)ns / 1e9; }

static double mib(uint64_t bytes) { return (double)bytes / (double)MIB; }

/* -- Bombs -------------------------------------------------------------------------------- */

/* A frame of this length word, of which only `have` bytes come: what is declared costs nothing. */
static void declare(ht_peer *p, uint32_t len, uint8_t type, uint8_t fill, uint32_t have)
{
    static uint8_t bytes[1 << 16];
    uint8_t head[] = {(uint8_t)(len >> 24),
                      (uint8_t)(len >> 16),
                      (uint8_t)(len >> 8),
                      (uint8_t)len,
                      0xdd,
                      0xff,
                      0xff,
                      0xff,
                      0xff,
                      type,
                      1};
    memcpy(bytes, head, sizeof head);
    memset(bytes + sizeof head, fill, have);
    ht_peer_plain(p, bytes, sizeof head + have);
}

static void ask_for_loans(ht_peer *p)
{
    for (uint32_t i = 0; i < 900; i++) {
        struct wf_bytes b = {0};
        if (wf_frame_put_blocked(&b, 1 + 2 * i, WEFT_OPENING_STREAM_BYTES, 0) != WEFT_OK)
            ht_die("BLOCKED");
        ht_peer_plain(p, wf_bytes_front(&b), wf_bytes_len(&b));
        wf_bytes_fini(&b);
    }
}

static void open_unknown(ht_peer *p, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct wf_open open = {.stream = 1 + 2 * i, .own.tips_complete = true};
        for (size_t b = 0; b < sizeof open.tree.bytes; b++)
            open.tree.bytes[b] = (uint8_t)ht_random();
        ht_peer_say(p, wf_open_encode(&open));
    }
}

#define PINGS 3800u /* a record of them */
static void ping_without_end(ht_peer *p)
{
    static const uint8_t ping[] = {0, 0, 0, 13, 0x93, WF_F_PING, 0, 0xc4, 8,
                                   1, 2, 3, 4,  5,    6,         7, 8};
    static uint8_t record[PINGS * sizeof ping];
    int little = 4096; /* the machine would hold megabytes of answers for it */
    (void)setsockopt(p->item.fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    for (uint32_t i = 0; i < PINGS; i++) memcpy(record + i * sizeof ping, ping, sizeof ping);
    for (uint32_t i = 0; i < 200; i++) ht_peer_plain(p, record, sizeof record);
}

#define BOMBS 9u
static void throw_bomb(ht_peer *p)
{
    static const uint8_t deep[] = {0,    0,    0,    20,   0x93, 2,    1,    0x91, 0x91,
                                   0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91,
                                   0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x90};
    switch (p->number % BOMBS) {
    case 0: declare(p, WEFT_MESSAGE_BYTES_MAX, WF_F_PING, 0xc0, 0); break;
    case 1: declare(p, UINT32_MAX, WF_F_OPEN, 0xc0, 0); break;
    case 2: declare(p, 4000, WF_F_ACK, 0xc0, 3993); break;  /* a flood of nils   */
    case 3: declare(p, 4000, WF_F_ACK, 0x90, 3993); break;  /* of empty arrays   */
    case 4: declare(p, 7000, WF_F_OPEN, 0x91, 6993); break; /* nested without end */
    case 5: ht_peer_plain(p, deep, sizeof deep); break;
    case 6: /* asks and does not listen: the answers pile up */
        p->deaf = true;
        ping_without_end(p);
        p->wake_at = ht_now() + 2 * WEFT_SEC;
        break;
    case 7: ask_for_loans(p); break;
    default: open_unknown(p, 40); break;
    }
}

/* Who reads nothing hears of the end by being refused. */
static void ping_again(ht_peer *p)
{
    ht_peer_ping(p, 1);
    p->wake_at = ht_now() + 200 * WEFT_MS;
}

static ht_peer *begin_bomb(ht_crew *crew, uint32_t i)
{
    static const ht_manner manner = {.depth = HT_SECURE, .up = throw_bomb, .tick = ping_again};
    ht_run *run = crew->arg;
    ht_peer *p = ht_peer_dial(run->born.port, 1 + i, ht_pair(HT_STRANGER, 1000 + i), &manner, crew);
    p->number = i;
    return p;
}

static uint32_t bombs[BOMBS];

static void judge_bomb(ht_crew *crew, ht_peer *p)
{
    (void)crew;
    bombs[p->number % BOMBS] += p->ended;
}

void ht_bomb(ht_run *run, ht_line *line)
{
    ht_crew crew = {.wanted = ht_amount(run, 36, 900),
                    .width = run->fast ? 36 : 54,
                    .patience = ht_amount(run, 6, 4) *
                                WEFT_SEC, /* two of them the node holds the door */
                    .begin = begin_bomb,
                    .judge = judge_bomb,
                    .arg = run};
    ht_answer before = *ht_facts(run);
    memset(bombs, 0, sizeof bombs);
    ht_memory_reset(run);
    uint64_t resident = run->most_resident;
    (void)ht_crew_run(&crew, after(run->fast ? 12 : 180));
    uint64_t grown = run->most_resident > resident ? run->most_resident - resident : 0;
    for (uint32_t kind = 1; kind <= 6; kind++)
        if (bombs[kind] != crew.wanted / BOMBS)
            ht_bad(line, "of %u bombs of kind %u %u ended their connections", crew.wanted / BOMBS,
                   kind, bombs[kind]);
    if (grown > crew.width * MIB)
        ht_bad(line, "%.1f MiB for %u hostile connections", mib(grown), crew.width);
    ht_unchanged(run, &before, line);
    ht_still_serves(run, line);
    ht_ok(line,
          "%u bombs of %u kinds, %u at a time: +%.1f MiB at most (%.2f each), %u connections ended",
          crew.wanted, BOMBS, crew.width, mib(grown), mib(grown) / crew.width, crew.ended);
}

/* -- False names -------------------------------------------------------------------------- */

static void lie(ht_peer *p)
{
    ht_run *run = ((ht_crew *)p->arg)->arg;
    struct wf_hello hello = {.ver_min = 1, .ver_max = 1, .caps = WF_CAP_ACCESS, .name = "honest"};
    struct wf_prove prove = {.stream = 1, .key = ht_key(HT_FRIEND, 0)};
    struct wf_open open = {
        .stream = 3, .tree = run->born.trees[HT_SHARED], .own.tips_complete = true};
    hello.listens_count = WEFT_ADDRESSES_PER_PEER_MAX;
    for (uint32_t i = 0; i < hello.listens_count; i++)
        snprintf(hello.listens[i], sizeof hello.listens[i], "tcp:127.0.0.1:%u", run->born.port + i);
    ht_peer_hello(p, &hello);
    ht_peer_say(p, wf_open_encode(&open)); /* a tree that only the other one may read */
    if (p->number % 2 == 0) return;
    for (size_t i = 0; i < sizeof prove.sig; i++) prove.sig[i] = (uint8_t)ht_random();
    ht_peer_say(p, wf_prove_encode(&prove));
}

static void on_lied(ht_peer *p, uint64_t type, uint32_t stream, const uint8_t *body, size_t len)
{
    (void)stream;
    (void)body;
    (void)len;
    /* Refused, and that is all; a proof may find that too many are looked at already. */
    if (type != WF_F_ERR) return;
    p->step |= p->err_code == WF_W_BUSY;
    p->over = p->frames[WF_F_ERR] > p->number % 2;
}

static ht_peer *begin_lie(ht_crew *crew, uint32_t i)
{
    static const ht_manner manner = {.depth = HT_SECURE, .mute = true, .up = lie, .frame = on_lied};
    ht_run *run = crew->arg;
    ht_peer *p = ht_peer_dial(run->born.port, 1 + i, ht_pair(HT_STRANGER, 5000 + i), &manner, crew);
    p->number = i;
    return p;
}

static struct {
    uint32_t refused, ended, busy, served;
} lies;

static void judge_lie(ht_crew *crew, ht_peer *p)
{
    (void)crew;
    lies.refused += p->frames[WF_F_ERR] > 0 || p->ended;
    lies.ended += p->number % 2 == 1 && p->ended;
    lies.busy += p->number % 2 == 1 && !p->ended && p->step > 0;
    lies.served += p->frames[WF_F_STATE] > 0 || p->frames[WF_F_ENTRIES] > 0;
}

void ht_spoof(ht_run *run, ht_line *line)
{
    ht_crew crew = {.wanted = ht_amount(run, 60, 1000),
                    .width = 16,
                    .patience = 5 * WEFT_SEC,
                    .begin = begin_lie,
                    .judge = judge_lie,
                    .arg = run};
    ht_answer before = *ht_facts(run);
    memset(&lies, 0, sizeof lies);
    (void)ht_crew_run(&crew, after(run->fast ? 10 : 120));
    if (crew.over != crew.wanted || lies.refused != crew.wanted)
        ht_bad(line, "of %u only %u were refused", crew.wanted, lies.refused);
    if (lies.ended == 0 || lies.ended + lies.busy != crew.wanted / 2)
        ht_bad(line, "of %u false proofs %u ended their connection", crew.wanted / 2, lies.ended);
    if (lies.served > 0) ht_bad(line, "%u were served", lies.served);
    ht_unchanged(run, &before, line);
    ht_ok(
        line,
        "%u connections with another's name, addresses and key: all refused, %u false proofs ended "
        "theirs, the known peers unchanged",
        lies.refused, lies.ended);
}

/* -- Keys cost nothing -------------------------------------------------------------------- */

static void come_and_go(ht_peer *p)
{
    ht_run *run = ((ht_crew *)p->arg)->arg;
    struct wf_open open = {
        .stream = 1, .tree = run->born.trees[HT_FORBIDDEN], .own.tips_complete = true};
    ht_peer_say(p, wf_open_encode(&open));
    ht_peer_say(p, wf_trees_req_encode(3));
}

static void on_answered(ht_peer *p, uint64_t type, uint32_t stream, const uint8_t *body, size_t len)
{
    (void)stream;
    (void)type;
    (void)body;
    (void)len;
    p->over = p->frames[WF_F_ERR] > 0 && p->frames[WF_F_TREES] > 0;
}

static ht_peer *begin_sybil(ht_crew *crew, uint32_t i)
{
    static const ht_manner manner = {.depth = HT_SECURE, .up = come_and_go, .frame = on_answered};
    ht_run *run = crew->arg;
    return ht_peer_dial(run->born.port, 1 + i, ht_pair(HT_STRANGER, 10000 + i), &manner, crew);
}

static uint32_t answered;

static void judge_sybil(ht_crew *crew, ht_peer *p)
{
    (void)crew;
    answered += p->over;
}

void ht_sybil(ht_run *run, ht_line *line)
{
    ht_crew crew = {.wanted = ht_amount(run, 300, 10000),
                    .width = 32,
                    .patience = 10 * WEFT_SEC,
                    .begin = begin_sybil,
                    .judge = judge_sybil,
                    .arg = run};
    ht_answer before = *ht_facts(run);
    answered = 0;
    uint64_t began = ht_now();
    (void)ht_crew_run(&crew, after(run->fast ? 15 : 240));
    uint64_t took = ht_now() - began;
    if (answered != crew.wanted) ht_bad(line, "of %u keys %u had an answer", crew.wanted, answered);
    ht_unchanged(run, &before, line);
    ht_ok(line,
          "%u keys came and went (%.0f a second): not a byte of the store is another, no peer is "
          "known",
          answered, answered / sec(took));
}

/* -- Everybody may read ------------------------------------------------------------------- */

static void read_public(ht_peer *p)
{
    ht_run *run = ((ht_crew *)p->arg)->arg;
    struct wf_open open = {
        .stream = 1, .tree = run->born.trees[HT_PUBLIC], .own.tips_complete = true};
    ht_peer_say(p, wf_open_encode(&open));
}

static void on_served(ht_peer *p, uint64_t type, uint32_t stream, const uint8_t *body, size_t len)
{
    (void)stream;
    (void)body;
    (void)len;
    if (type == WF_F_ENTRIES || type == WF_F_ERR) p->over = true;
}

static ht_peer *begin_public(ht_crew *crew, uint32_t i)
{
    static const ht_manner manner = {.depth = HT_SECURE, .up = read_public, .frame = on_served};
    ht_run *run = crew->arg;
    return ht_peer_dial(run->born.port, 1 + i, ht_pair(HT_STRANGER, 70000 + i), &manner, crew);
}

static void judge_public(ht_crew *crew, ht_peer *p)
{
    (void)crew;
    answered += p->frames[WF_F_ENTRIES] > 0;
}

void ht_public(ht_run *run, ht_line *line)
{
    ht_crew crew = {.wanted = ht_amount(run, 100, WEFT_PEERS_CAME_MAX + 200),
                    .width = 32,
                    .patience = 10 * WEFT_SEC,
                    .begin = begin_public,
                    .judge = judge_public,
                    .arg = run};
    ht_answer before = *ht_facts(run);
    answered = 0;
    (void)ht_crew_run(&crew, after(run->fast ? 15 : 240));
    uint64_t known = ht_facts(run)->peers;
    if (answered != crew.wanted) ht_bad(line, "of %u keys %u were served", crew.wanted, answered);
    if (known > WEFT_PEERS_CAME_MAX || known > before.peers + crew.wanted)
        ht_bad(line, "%llu peers are known", (unsigned long long)known);
    ht_same_store(run, &before, line);
    ht_still_serves(run, line);
    ht_ok(line,
          "%u keys read a tree that everybody may read: each was served, %llu of %u places for "
          "peers are taken",
          answered, (unsigned long long)known, WEFT_PEERS_MAX);
}

/* -- Idle ones ---------------------------------------------------------------------------- */

struct idlers {
    ht_peer **all;
    uint32_t wanted, begun, up, width;
    ht_run *run;
};

static void idle_up(ht_peer *p, uint64_t type, uint32_t stream, const uint8_t *body, size_t len)
{
    struct idlers *x = p->arg;
    (void)stream;
    (void)body;
    (void)len;
    if (type == WF_F_HELLO) x->up++;
}

static bool all_up(void *arg)
{
    static const ht_manner manner = {.depth = HT_SECURE, .frame = idle_up};
    struct idlers *x = arg;
    while (x->begun < x->wanted && x->begun < x->up + x->width) {
        uint32_t i = x->begun++;
        x->all[i] = ht_peer_dial(x->run->born.port, 1 + i / 4, ht_pair(HT_STRANGER, 30000 + i),
                                 &manner, x);
    }
    return x->up == x->wanted;
}

static bool few_descriptors(void *arg)
{
    ht_run *run = arg;
    return ht_descriptors(run->victim.pid) <= run->seconds;
}

void ht_idle(ht_run *run, ht_line *line)
{
    struct idlers x = {.wanted = ht_amount(run, 50, run->peers), .width = 16, .run = run};
    x.all = calloc(x.wanted, sizeof(ht_peer *));
    ht_pass(500 * WEFT_MS);
    uint32_t descriptors = ht_descriptors(run->victim.pid);
    uint64_t before = ht_resident(run->victim.pid);
    if (!ht_loop(after(60), all_up, &x)) ht_bad(line, "of %u only %u came in", x.wanted, x.up);
    ht_pass(run->fast ? WEFT_SEC : 3 * WEFT_SEC);
    uint64_t resident = ht_resident(run->victim.pid);
    uint32_t more = ht_descriptors(run->victim.pid) - descriptors;
    uint64_t busy = ht_processor(run->victim.pid), began = ht_now();
    ht_pass(run->fast ? 2 * WEFT_SEC : 20 * WEFT_SEC);
    double share = (double)(ht_processor(run->victim.pid) - busy) / (double)(ht_now() - began);
    uint64_t each = resident > before ? (resident - before) / x.wanted : 0;
    /* Of few the machine's own blocks would be most of it. */
    if (!run->fast && each > 100 << 10)
        ht_bad(line, "%.0f KiB for an idle one", (double)each / 1024);
    if (more > x.wanted + 8) ht_bad(line, "%u descriptors for %u idle ones", more, x.wanted);
    for (uint32_t i = 0; i < x.begun; i++) ht_peer_free(x.all[i]);
    free(x.all);
    uint32_t seconds = run->seconds;
    run->seconds = descriptors + 4;
    if (!ht_loop(after(10), few_descriptors, run))
        ht_bad(line, "%u descriptors are left", ht_descriptors(run->victim.pid) - descriptors);
    run->seconds = seconds;
    ht_ok(line,
          "%u idle connections: %.1f KiB and %.2f descriptors each, %.1f %% of a processor for "
          "all; all "
          "given back",
          x.wanted, (double)each / 1024, (double)more / x.wanted, 100 * share);
}
