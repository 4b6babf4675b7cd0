/* SPDX-License-Identifier: Apache-2.0
 * roles_http.c - those who come to the server over HTTP and never become a stream, or one of nonsense.
 * Called by: main.c, at the beginning of a run and later. May touch: peers that speak HTTP by hand,
 * the honest pair by asking. Never: a whole handshake. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostile.h"

#define SLACK (3 * WEFT_SEC) /* a busy machine */
#define MEMORY_MAX (UINT64_C(32) << 20)
#define HEAD "GET /weft HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: weft/1\r\n"

enum kind {
    WEB_SILENT,  /* connects                                              */
    WEB_SLOW,    /* its head comes by one byte a second                   */
    WEB_ENDLESS, /* its head has one line more, again and again           */
    WEB_NEVER,   /* a good request that wants no upgrade, without its end */
    WEB_BODY,    /* announces a body, and sends a byte of it now and then */
    WEB_GARBAGE, /* an upgrade, and then noise                            */
    WEB_MUTE,    /* an upgrade, and then nothing                          */
    WEB_KINDS
};
static const char *const names[WEB_KINDS] = {
    "silent", "a slow head",         "an endless head",         "no end",
    "a body", "noise in the stream", "silent after the upgrade"};

static struct {
    ht_peer **all;
    uint32_t wanted, descriptors;
    uint64_t grown, tries;
    ht_line seen; /* at their beginning */
} web;

static void put(ht_peer *p, const char *text) { ht_peer_raw(p, text, strlen(text)); }

static void come(ht_peer *p)
{
    uint8_t noise[200];
    switch (p->number % WEB_KINDS) {
    case WEB_ENDLESS: put(p, HEAD); break;
    case WEB_NEVER: put(p, "GET /weft HTTP/1.1\r\nHost: x\r\n"); return;
    case WEB_BODY:
        put(p, "POST /weft HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
        break;
    case WEB_GARBAGE:
        put(p, HEAD "\r\n");
        for (size_t i = 0; i < sizeof noise; i++) noise[i] = (uint8_t)ht_random();
        ht_peer_raw(p, noise, sizeof noise);
        return;
    case WEB_MUTE: put(p, HEAD "\r\n"); return;
    default: break;
    }
    p->wake_at = p->number % WEB_KINDS == WEB_SILENT ? UINT64_MAX : ht_now();
}

static void go_on(ht_peer *p)
{
    static const char line[] =
        "X-Another: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
    uint32_t kind = p->number % WEB_KINDS;
    if (kind == WEB_ENDLESS) put(p, line);
    else if (kind == WEB_BODY) put(p, "b");
    else ht_peer_raw(p, &HEAD[p->step++ % (sizeof HEAD - 1)], 1);
    p->wake_at = ht_now() + (kind == WEB_ENDLESS ? 10 * WEFT_MS : WEFT_SEC);
}

static bool all_gone(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < web.wanted; i++)
        if (!web.all[i]->ended) return false;
    return true;
}

static void begin_all(const ht_run *run)
{
    static const ht_manner manner = {.connected = come, .tick = go_on};
    for (uint32_t i = 0; i < web.wanted; i++) {
        web.all[i] = ht_peer_dial(run->born.http_port, 52000 + i, ht_pair(HT_STRANGER, 900),
                                  &manner, NULL);
        web.all[i]->number = i;
        if (i % 8 == 7) ht_pass(5 * WEFT_MS); /* they drop in */
    }
}

static void judge(ht_line *line, uint64_t slowest[WEB_KINDS], uint32_t *displaced)
{
    uint32_t stayed = 0;
    for (uint32_t i = 0; i < web.wanted; i++) {
        const ht_peer *p = web.all[i];
        uint32_t kind = i % WEB_KINDS;
        uint64_t took = (p->ended ? p->ended_at : ht_now()) - p->began;
        if (took > slowest[kind]) slowest[kind] = took;
        *displaced += took < WEFT_SEC;
        stayed += took >= WEFT_SEC;
        if (!p->ended) ht_bad(line, "%s: still there", names[kind]);
        if (took > WEFT_HTTP_TIMEOUT_NS + WEFT_HANDSHAKE_TIMEOUT_NS + SLACK)
            ht_bad(line, "%s: there for %.1f s", names[kind], (double)took / 1e9);
        if (p->bytes_out > 16 * WEFT_HTTP_HEAD_BYTES_MAX)
            ht_bad(line, "%s: %llu bytes were taken", names[kind],
                   (unsigned long long)p->bytes_out);
    }
    if (stayed == 0) ht_bad(line, "nobody was let in at all");
    for (uint32_t kind = WEB_GARBAGE; kind < WEB_KINDS; kind++) {
        uint32_t answered = 0;
        for (uint32_t i = kind; i < web.wanted; i += WEB_KINDS)
            answered += web.all[i]->bytes_in > 0;
        if (answered == 0) ht_bad(line, "%s: no upgrade was answered", names[kind]);
    }
}

/* They have the run to be gone in; what can be seen while they are there is seen at once. */
void ht_http_start(ht_run *run)
{
    if (run->born.http_port == 0) return;
    web.wanted = ht_amount(run, 70, run->peers);
    web.all = calloc(web.wanted, sizeof(ht_peer *));
    if (web.all == NULL) ht_die("memory");
    ht_answer before = *ht_facts(run);
    uint32_t open = ht_descriptors(run->victim.pid);
    ht_memory_reset(run);
    uint64_t resident = run->most_resident;
    begin_all(run);
    web.descriptors = ht_descriptors(run->victim.pid) - open;
    const ht_answer *a = ht_round(run, HT_SMALL, run->http_address);
    if (a->err != WEFT_OK || a->entries != HT_SMALL_ENTRIES + 1)
        ht_bad(&web.seen, "beside them an honest peer is not served: %s, %llu entries",
               weft_strerror((weft_err)a->err), (unsigned long long)a->entries);
    web.tries = a->tries;
    web.grown = run->most_resident - resident;
    ht_unchanged(run, &before, &web.seen);
}

void ht_http(ht_run *run, ht_line *line)
{
    uint64_t slowest[WEB_KINDS] = {0};
    uint32_t displaced = 0;
    if (run->born.http_port == 0) {
        ht_ok(line, "nothing to do: this build has no HTTP");
        return;
    }
    (void)ht_loop(ht_now() + WEFT_HTTP_TIMEOUT_NS + WEFT_HANDSHAKE_TIMEOUT_NS + SLACK, all_gone,
                  NULL);
    if (web.seen.bad) ht_bad(line, "%s", web.seen.text);
    judge(line, slowest, &displaced);
    if (web.grown > MEMORY_MAX) ht_bad(line, "%.1f MiB more memory", (double)web.grown / (1 << 20));
    /* Those whose head is not whole, those who are upgraded and prove nothing, and the pair's. */
    if (web.descriptors > WEFT_HTTP_PENDING_MAX + WEFT_PENDING_HANDSHAKES_MAX + 32)
        ht_bad(line, "%u descriptors", web.descriptors);
    for (uint32_t i = 0; i < web.wanted; i++) ht_peer_free(web.all[i]);
    free(web.all);
    ht_ok(line,
          "%u connections to the server over HTTP that become no stream: the last one gone after "
          "%.1f s (an endless head %.1f, noise after the upgrade %.1f, silence after it %.1f), %u "
          "lost their place at once; +%.1f MiB, +%u descriptors; an honest peer came in at knock "
          "%llu",
          web.wanted, (double)slowest[WEB_SILENT] / 1e9, (double)slowest[WEB_ENDLESS] / 1e9,
          (double)slowest[WEB_GARBAGE] / 1e9, (double)slowest[WEB_MUTE] / 1e9, displaced,
          (double)web.grown / (1 << 20), web.descriptors, (unsigned long long)web.tries);
}
