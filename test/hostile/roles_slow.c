/* SPDX-License-Identifier: Apache-2.0
 * roles_slow.c - those who come and then say next to nothing.
 * Called by: main.c, at the beginning of a run and at its end. May touch: peers.
 * Never: waits for one of them alone. */
#include <stdlib.h>

#include "hostile.h"

#define SLACK (3 * WEFT_SEC) /* a busy machine */
#define MEMORY_MAX (UINT64_C(32) << 20)

static uint64_t after(uint32_t seconds) { return ht_now() + seconds * WEFT_SEC; }

static double sec(uint64_t ns) { return (double)ns / 1e9; }

/* -- Slow ones ---------------------------------------------------------------------------- */

enum slow { SLOW_SILENT, SLOW_HANDSHAKE, SLOW_FRAME, SLOW_KINDS };
static struct {
    ht_peer **all;
    uint32_t wanted, begun;
    ht_run *run;
    uint64_t grown; /* the victim's memory, when all had come */
} slow;

static void say_little(ht_peer *p)
{
    static const uint8_t begun[] = {0, 0, 4, 0, 0x94, WF_F_OPEN, 1, 0xc4};
    if (p->number % SLOW_KINDS == SLOW_SILENT) return;
    if (p->number % SLOW_KINDS == SLOW_HANDSHAKE) {
        uint8_t byte = (uint8_t)(p->step == 1 ? 32 : 0);
        ht_peer_raw(p, &byte, 1);
    } else {
        ht_peer_plain(p, begun + (p->step < 8 ? p->step : 7), 1);
        if (p->step == 0) p->began = ht_now(); /* the message begins here */
    }
    p->step++;
    p->wake_at = ht_now() + (p->number % SLOW_KINDS == SLOW_FRAME ? 5 : 1) * WEFT_SEC;
}

static void begin_slow(uint32_t i)
{
    static const ht_manner handshake = {.connected = say_little, .tick = say_little};
    static const ht_manner frame = {.depth = HT_SECURE, .up = say_little, .tick = say_little};
    ht_peer *p = ht_peer_dial(slow.run->born.port, 40000 + i, ht_pair(HT_STRANGER, 40000 + i),
                              i % SLOW_KINDS == SLOW_FRAME ? &frame : &handshake, NULL);
    p->number = i;
    slow.all[i] = p;
}

static bool slow_begun(void *arg)
{
    (void)arg;
    uint32_t shaking = 0;
    for (uint32_t i = 0; i < slow.begun; i++)
        shaking += i % SLOW_KINDS == SLOW_FRAME && !slow.all[i]->secure && !slow.all[i]->ended;
    /* No more at once than places for handshakes: who is refused there shows nothing here. */
    for (; slow.begun < slow.wanted && shaking < 8; slow.begun++, shaking++) begin_slow(slow.begun);
    return slow.begun == slow.wanted && shaking == 0;
}

void ht_slowloris_start(ht_run *run)
{
    slow.run = run;
    slow.wanted = ht_amount(run, 51, run->peers);
    slow.all = calloc(slow.wanted, sizeof(ht_peer *));
    ht_memory_reset(run);
    uint64_t resident = run->most_resident;
    (void)ht_loop(after(20), slow_begun, NULL);
    ht_pass(100 * WEFT_MS); /* it is looked at now and then */
    slow.grown = run->most_resident - resident;
}

static bool slow_gone(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < slow.begun; i++)
        if (!slow.all[i]->ended) return false;
    return true;
}

void ht_slowloris(ht_run *run, ht_line *line)
{
    static const uint64_t deadlines[SLOW_KINDS] = {
        WEFT_HANDSHAKE_TIMEOUT_NS, WEFT_HANDSHAKE_TIMEOUT_NS, WEFT_FRAME_TIMEOUT_NS + WEFT_SEC};
    uint64_t slowest[SLOW_KINDS] = {0};
    uint32_t there = 0, late = 0, refused = 0, stayed[SLOW_KINDS] = {0};
    (void)ht_loop(after(run->fast ? 34 : 45), slow_gone, NULL);
    for (uint32_t i = 0; i < slow.begun; i++) {
        const ht_peer *p = slow.all[i];
        uint32_t kind = i % SLOW_KINDS;
        uint64_t took = p->ended ? p->ended_at - p->began : ht_now() - p->began;
        there += !p->ended;
        late += took > deadlines[kind] + SLACK;
        refused += took < WEFT_SEC;
        stayed[kind] += took >= WEFT_SEC;
        if (took > slowest[kind]) slowest[kind] = took;
    }
    if (slow.begun != slow.wanted) ht_bad(line, "only %u of %u came", slow.begun, slow.wanted);
    if (there > 0) ht_bad(line, "%u of %u slow connections are still there", there, slow.begun);
    if (late > 0)
        ht_bad(line, "%u were there for too long: silent %.1f s, handshake %.1f s, frame %.1f s",
               late, sec(slowest[0]), sec(slowest[1]), sec(slowest[2]));
    if (!run->fast && slow.grown > MEMORY_MAX) /* who has just begun has not grown yet, either */
        ht_bad(line, "%.1f MiB more memory", (double)slow.grown / (1 << 20));
    for (uint32_t kind = 0; kind < SLOW_KINDS; kind++)
        if (stayed[kind] == 0)
            ht_bad(line, "no slow connection of kind %u was let in at all", kind);
    for (uint32_t i = 0; i < slow.begun; i++) ht_peer_free(slow.all[i]);
    free(slow.all);
    ht_ok(
        line,
        "%u slow connections: silent ones gone after %.1f s, slow handshakes %.1f s, slow messages "
        "%.1f s; %u lost their place to others at once; +%.1f MiB",
        slow.begun, sec(slowest[0]), sec(slowest[1]), sec(slowest[2]), refused,
        (double)slow.grown / (1 << 20));
}
