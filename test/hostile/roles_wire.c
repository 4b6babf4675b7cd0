/* SPDX-License-Identifier: Apache-2.0
 * roles_wire.c - those without a right to anything: before the keys are proven, in the middle of
 * a connection of others, and with keys that nobody knows.
 * Called by: main.c. May touch: peers, the proxy. Never: judges by time but by deadlines. */
#include <linux/in.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "hostile.h"

#define FIRST_BYTES 34u /* what a dialler says first, and what it hears for it */
#define SECOND_BYTES 195u
#define THIRD_BYTES 163u
#define SLACK (3 * WEFT_SEC) /* a busy machine */

static uint64_t after(uint32_t seconds) { return ht_now() + seconds * WEFT_SEC; }

static double sec(uint64_t ns) { return (double)ns / 1e9; }

/* -- Garbage ------------------------------------------------------------------------------ */

#define THIS(text)            \
    {                         \
        text, sizeof text - 1 \
    }
static const struct {
    const char *bytes;
    size_t len;
} junk[] = {
    THIS("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    THIS("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), /* a TLS client */
    THIS("\0\0"),                                         /* an empty record */
    THIS("\xff\xff"),                                     /* the longest one */
    THIS("SSH-2.0-OpenSSH_9.2\r\n"),
    THIS("\0\x01x"), /* no room for a key */
    THIS("\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), /* zero */
    THIS("\0\x20\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), /* of order 1 */
};
#define JUNK (sizeof junk / sizeof *junk)

static void throw_junk(ht_peer *p)
{
    uint8_t bytes[512];
    if (p->number % (JUNK + 1) < JUNK) {
        ht_peer_raw(p, junk[p->number % (JUNK + 1)].bytes, junk[p->number % (JUNK + 1)].len);
        return;
    }
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)ht_random();
    bytes[0] |= 0x80; /* a length that no handshake has */
    ht_peer_raw(p, bytes, sizeof bytes);
}

static ht_peer *begin_garbage(ht_crew *crew, uint32_t i)
{
    static const ht_manner manner = {.connected = throw_junk};
    ht_run *run = crew->arg;
    ht_peer *p = ht_peer_dial(run->born.port, 1 + i, ht_pair(HT_STRANGER, i), &manner, crew);
    p->number = i;
    return p;
}

static uint64_t heard; /* bytes that came back */

static void count_heard(ht_crew *crew, ht_peer *p)
{
    (void)crew;
    heard += p->bytes_in;
}

void ht_garbage(ht_run *run, ht_line *line)
{
    ht_crew crew = {.wanted = ht_amount(run, 45, 9000),
                    .width = 16,
                    .patience = WEFT_HANDSHAKE_TIMEOUT_NS + SLACK,
                    .begin = begin_garbage,
                    .judge = count_heard,
                    .arg = run};
    ht_answer before = *ht_facts(run);
    heard = 0;
    bool all = ht_crew_run(&crew, after(run->fast ? 15 : 120));
    if (!all || crew.ended != crew.wanted)
        ht_bad(line, "%u of %u connections were not closed", crew.wanted - crew.ended, crew.wanted);
    if (heard != 0) ht_bad(line, "%llu bytes came back", (unsigned long long)heard);
    ht_unchanged(run, &before, line);
    ht_ok(line, "%u connections with garbage closed, 0 bytes in answer, the last after %.1f s",
          crew.ended, sec(crew.slowest));
}

/* -- Amplification ------------------------------------------------------------------------ */

static struct {
    uint64_t in, out, most, packets_in, packets_out;
} amp;

static void count_packets(ht_peer *p)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    if (getsockopt(p->item.fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0) return;
    amp.packets_in += info.tcpi_segs_in;
    amp.packets_out += info.tcpi_segs_out;
}

static void tick_amp(ht_peer *p)
{
    amp.in += p->bytes_in;
    amp.out += p->bytes_out;
    if (p->bytes_in > amp.most) amp.most = p->bytes_in;
    count_packets(p);
    p->over = true;
}

static ht_peer *begin_amp(ht_crew *crew, uint32_t i)
{
    static const ht_manner manner = {.depth = HT_FIRST, .tick = tick_amp};
    ht_run *run = crew->arg;
    ht_peer *p = ht_peer_dial(run->born.port, 1 + i, ht_pair(HT_STRANGER, i), &manner, crew);
    p->wake_at = ht_now() + WEFT_SEC;
    return p;
}

void ht_amp(ht_run *run, ht_line *line)
{
    ht_crew crew = {.wanted = ht_amount(run, 24, 240),
                    .width = 24,
                    .patience = 4 * WEFT_SEC,
                    .begin = begin_amp,
                    .arg = run};
    memset(&amp, 0, sizeof amp);
    bool all = ht_crew_run(&crew, after(60));
    if (!all || amp.out != (uint64_t)FIRST_BYTES * crew.wanted)
        ht_bad(line, "%llu bytes were sent by %u", (unsigned long long)amp.out, crew.wanted);
    if (amp.most > SECOND_BYTES)
        ht_bad(line, "%llu bytes in answer to a first message: more than the handshake's second",
               (unsigned long long)amp.most);
    /* 20 bytes of IP, 32 of TCP with its time stamps: who sends the first has shown by then where
     * it is, so this is the least that the answer can be compared with. */
    double ratio = (double)(amp.in + 52 * amp.packets_in) /
                   ((double)(amp.out + 52 * amp.packets_out) + 1e-9);
    if (ratio > 2) ht_bad(line, "answers are %.2f times as large as what they answer", ratio);
    ht_ok(line, "%u first messages of %u bytes: %llu bytes each in answer, %.2f times with packets",
          crew.wanted, FIRST_BYTES, (unsigned long long)amp.most, ratio);
}

/* -- Somebody in the middle --------------------------------------------------------------- */

#define HANDSHAKE_BYTES (FIRST_BYTES + SECOND_BYTES + THIRD_BYTES)
#define AT_ONCE 16u

static bool proxy_idle(void *arg) { return ht_proxy_idle(arg); }

static ht_plan flip_of(uint32_t byte)
{
    ht_plan plan = {.what = HT_FLIP, .mask = (uint8_t)(1u << ht_below(8))};
    if (byte < FIRST_BYTES) {
        plan.offset = byte;
    } else if (byte < FIRST_BYTES + SECOND_BYTES) {
        plan.way = HT_TO_CLIENT;
        plan.offset = byte - FIRST_BYTES;
    } else {
        plan.record = 1;
        plan.offset = byte - FIRST_BYTES - SECOND_BYTES;
    }
    return plan;
}

static uint32_t flip_handshakes(ht_run *run, ht_proxy *x, ht_ask *ask, ht_line *line)
{
    uint32_t stride = ht_amount(run, 7, 1), flips = 0;
    for (uint32_t byte = ht_below(stride), limit = HANDSHAKE_BYTES; byte < limit;) {
        ht_plan plans[AT_ONCE];
        uint32_t n = 0;
        do plans[n++] = flip_of(byte);
        while ((byte += stride) < FIRST_BYTES + SECOND_BYTES && n < AT_ONCE);
        /* (One at a time gets as far as the third message: a node keeps one connection.) */
        ht_proxy_plan(x, plans, n);
        ask->count = n;
        const ht_answer *a = ht_node_call(&run->friend_, ask);
        if (a->count != 0)
            ht_bad(line, "%llu handshakes with a turned bit were good",
                   (unsigned long long)a->count);
        (void)ht_loop(after(7), proxy_idle, x);
        if (x->came != n || x->done != n || x->closed != n)
            ht_bad(line, "of %u handshakes with a turned bit %u came, %u were reached, %u closed",
                   n, x->came, x->done, x->closed);
        flips += n;
    }
    return flips;
}

/* HELLO is the first record after the handshake: the next of each way is a question, or its answer. */
static uint32_t flip_frames(ht_run *run, ht_proxy *x, ht_ask *ask, uint64_t *slowest, ht_line *line)
{
    uint32_t wanted = ht_amount(run, 24, 1000);
    ask->op = HT_ASK;
    ask->seconds = 5;
    for (uint32_t i = 0; i < wanted && !line->bad; i++) {
        ht_plan plan = {.what = HT_FLIP,
                        .way = i % 2,
                        .record = i % 2 == HT_TO_SERVER ? 3 : 2,
                        .offset = 2 + ht_below(16),
                        .mask = (uint8_t)(1u << ht_below(8))};
        ht_proxy_plan(x, &plan, 1);
        const ht_answer *a = ht_node_call(&run->friend_, ask);
        (void)ht_loop(after(5), proxy_idle, x);
        if (a->err == WEFT_OK || a->count != 0) ht_bad(line, "a frame with a turned bit was taken");
        if (x->done == 0 || x->closed != x->came)
            ht_bad(line, "flip %u of way %u: %u came, %u were reached, %u closed", i, plan.way,
                   x->came, x->done, x->closed);
        if (x->answered != 0) ht_bad(line, "a frame with a turned bit was answered");
        if (x->slowest > *slowest) *slowest = x->slowest;
    }
    return wanted;
}

void ht_mitm(ht_run *run, ht_line *line)
{
    ht_proxy x;
    ht_answer before = *ht_facts(run);
    uint64_t slowest = 0;
    ht_proxy_open(&x, run->born.port);
    ht_ask ask = {.op = HT_DIAL};
    snprintf(ask.address, sizeof ask.address, "tcp:127.0.0.1:%u", x.port);
    uint32_t flips = flip_handshakes(run, &x, &ask, line);
    uint32_t frames = flip_frames(run, &x, &ask, &slowest, line);
    ht_proxy_close(&x);
    ht_unchanged(run, &before, line);
    ht_ok(
        line,
        "%u bytes of handshakes and %u of frames turned: every connection closed (of frames within "
        "%.0f ms), nothing delivered",
        flips, frames, (double)slowest / 1e6);
}

void ht_truncate(ht_run *run, ht_line *line)
{
    ht_proxy x;
    uint32_t cuts = 0, whole = 0, records;
    ht_proxy_open(&x, run->born.port);
    char address[64];
    snprintf(address, sizeof address, "tcp:127.0.0.1:%u", x.port);
    ht_proxy_plan(&x, NULL, 0);
    const ht_answer *a = ht_round(run, HT_SMALL, address);
    (void)ht_loop(after(5), proxy_idle, &x);
    records = x.records[HT_TO_CLIENT];
    if (a->err != WEFT_OK || records < 4)
        ht_bad(line, "no sync through the middle: %s", weft_strerror((weft_err)a->err));
    uint32_t stride = run->fast ? 1 + records / 6 : 1;
    for (uint32_t record = 2; record < records && !line->bad; record += stride) {
        for (uint32_t part = 0; part < ht_amount(run, 1, 3); part++) {
            ht_plan plans[2] = {{.what = HT_CUT,
                                 .way = HT_TO_CLIENT,
                                 .record = record,
                                 .offset = part == 0   ? 0
                                           : part == 1 ? 1
                                                       : 15},
                                {.what = HT_CUT}}; /* whoever comes again is not let in */
            ht_proxy_plan(&x, plans, 2);
            ht_ask ask = {.op = HT_SHORT, .tree = HT_SMALL};
            memcpy(ask.key.bytes, run->born.trees[HT_SMALL].bytes, sizeof ask.key.bytes);
            memcpy(ask.address, address, sizeof address);
            a = ht_node_call(&run->friend_, &ask);
            (void)ht_loop(after(5), proxy_idle, &x);
            if (x.done == 0) continue; /* this time the session had fewer records */
            if (a->ended == WEFT_OK)
                ht_bad(line, "cut before record %u: no error of the connection", record);
            if (!a->closed) ht_bad(line, "cut before record %u: something has no parents", record);
            if (a->err == WEFT_OK && a->entries != HT_SMALL_ENTRIES + 1)
                ht_bad(line, "cut before record %u: OK with %llu entries", record,
                       (unsigned long long)a->entries);
            whole += a->err == WEFT_OK;
            cuts++;
        }
    }
    ht_proxy_close(&x);
    if (cuts < 3) ht_bad(line, "only %u cuts", cuts);
    ht_still_serves(run, line);
    ht_ok(line,
          "cut at %u places of a session of %u records: an error each time, then %u had all over "
          "another "
          "connection; no part of a history without its parents",
          cuts, records, whole);
}

/* -- Replay and capture ------------------------------------------------------------------- */

static struct wf_bytes taped[2];

static void tape(ht_run *run, enum ht_tree tree, ht_line *line)
{
    ht_proxy x;
    for (unsigned i = 0; i < 2; i++) wf_bytes_take(&taped[i], wf_bytes_len(&taped[i]));
    ht_proxy_open(&x, run->born.port);
    x.tap = taped;
    char address[64];
    snprintf(address, sizeof address, "tcp:127.0.0.1:%u", x.port);
    const ht_answer *a = ht_round(run, tree, address);
    if (a->err != WEFT_OK)
        ht_bad(line, "no sync through the middle: %s", weft_strerror((weft_err)a->err));
    (void)ht_loop(after(5), proxy_idle, &x);
    ht_proxy_close(&x);
}

static void throw_tape(ht_peer *p)
{
    ht_peer_raw(p, wf_bytes_front(&taped[HT_TO_SERVER]), wf_bytes_len(&taped[HT_TO_SERVER]));
}

static ht_peer *begin_replay(ht_crew *crew, uint32_t i)
{
    static const ht_manner manner = {.connected = throw_tape};
    ht_run *run = crew->arg;
    return ht_peer_dial(run->born.port, 1 + i, ht_pair(HT_STRANGER, i), &manner, crew);
}

static void replay_now(ht_run *run, ht_line *line, const char *when)
{
    ht_crew crew = {.wanted = ht_amount(run, 4, 64),
                    .width = 4,
                    .patience = WEFT_HANDSHAKE_TIMEOUT_NS + SLACK,
                    .begin = begin_replay,
                    .judge = count_heard,
                    .arg = run};
    ht_answer before = *ht_facts(run);
    heard = 0;
    (void)ht_crew_run(&crew, after(60));
    if (crew.ended != crew.wanted) ht_bad(line, "%s: a replayed session was not closed", when);
    if (heard > (uint64_t)SECOND_BYTES * crew.wanted)
        ht_bad(line, "%s: %llu bytes in answer", when, (unsigned long long)heard);
    ht_unchanged(run, &before, line);
}

void ht_replay(ht_run *run, ht_line *line)
{
    static const struct {
        int64_t seconds;
        const char *when;
    } clocks[] = {{0, "a restarted server"},
                  {365 * 86400, "a year later"},
                  {-365 * 86400, "a year before"},
                  {0, "at last"}};
    uint32_t skip = run->fast ? 1 : 0; /* of the restarts the one with nothing else */
    tape(run, HT_SMALL, line);
    replay_now(run, line, "the same server");
    for (uint32_t i = skip; i < 4; i++) {
        if (run->fast && i == 2) continue;
        const ht_answer *a = ht_node_call(
            &run->victim, &(ht_ask){.op = HT_RESTART, .seconds = clocks[i].seconds});
        if (a->port != run->born.port) ht_bad(line, "it came back at another port");
        if (i < 3) replay_now(run, line, clocks[i].when);
    }
    ht_still_serves(run, line);
    (void)ht_round(run, HT_SHARED, run->address); /* it is known again, with both trees */
    run->born = *ht_facts(run);
    ht_ok(line,
          "%zu bytes of a session thrown again at the same server, a restarted one and one a year "
          "ahead%s: at most a second handshake message in answer, 0 requests carried out",
          wf_bytes_len(&taped[HT_TO_SERVER]), run->fast ? "" : " and behind");
}

static uint32_t found; /* pieces that are in what was taped */

static void look_for_pieces(const void *what, size_t len)
{
    for (size_t at = 0; at + 8 <= len; at++)
        for (unsigned way = 0; way < 2; way++)
            found += memmem(wf_bytes_front(&taped[way]), wf_bytes_len(&taped[way]),
                            (const uint8_t *)what + at, 8) != NULL;
}

void ht_capture(ht_run *run, ht_line *line)
{
    weft_key keys[2] = {ht_key(HT_VICTIM, 0), ht_key(HT_FRIEND, 0)};
    tape(run, HT_SMALL, line);
    size_t len = wf_bytes_len(&taped[0]) + wf_bytes_len(&taped[1]);
    if (len < HT_SMALL_ENTRIES * 3000u) ht_bad(line, "only %zu bytes were captured", len);
    found = 0;
    look_for_pieces(HT_SHARED_MARK, strlen(HT_SHARED_MARK));
    look_for_pieces(HT_MARK, strlen(HT_MARK));
    for (uint32_t i = 0; i < HT_TREES; i++) {
        look_for_pieces(&run->born.trees[i], sizeof run->born.trees[i]);
        look_for_pieces(&run->born.tips[i], sizeof run->born.tips[i]);
    }
    look_for_pieces(keys, sizeof keys);
    look_for_pieces("weft/noise-static/v1", 20);
    if (found > 0) ht_bad(line, "%u pieces of payloads, ids or keys in the capture", found);
    ht_ok(line, "%zu bytes of a sync captured: no 8 bytes of payloads, ids, names of trees or keys",
          len);
}
