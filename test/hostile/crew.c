/* SPDX-License-Identifier: Apache-2.0
 * crew.c - what most roles do: so many peers one after the other, and is all as it was?
 * Called by: the roles. May touch: peers, the honest pair by asking. Never: sockets. */
#include <stdio.h>
#include <string.h>

#include "hostile.h"

static bool finished(void *arg)
{
    ht_crew *crew = arg;
    uint64_t now = ht_now();
    uint32_t busy = 0;
    for (uint32_t slot = 0; slot < crew->width; slot++) {
        ht_peer *p = crew->peers[slot];
        /* Who is told that it is over leaves; else the node holds the door for two seconds. */
        if (p != NULL && !p->ended && p->close_code != UINT64_MAX)
            p->ended = true, p->ended_at = now;
        if (p != NULL && (p->ended || p->over || now - p->began > crew->patience)) {
            crew->over++;
            if (p->ended) {
                uint64_t took = p->ended_at - p->began;
                crew->ended++;
                if (took > crew->slowest) crew->slowest = took;
            }
            if (crew->judge != NULL) crew->judge(crew, p);
            ht_peer_free(p);
            crew->peers[slot] = NULL;
        }
        if (crew->peers[slot] == NULL && crew->begun < crew->wanted)
            crew->peers[slot] = crew->begin(crew, crew->begun++);
        busy += crew->peers[slot] != NULL;
    }
    return busy == 0;
}

bool ht_crew_run(ht_crew *crew, uint64_t until)
{
    if (crew->width > HT_WIDTH_MAX) crew->width = HT_WIDTH_MAX;
    bool all = ht_loop(until, finished, crew);
    for (uint32_t slot = 0; slot < crew->width; slot++) {
        ht_peer_free(crew->peers[slot]);
        crew->peers[slot] = NULL;
    }
    return all;
}

uint32_t ht_amount(const ht_run *run, uint32_t fast, uint32_t full)
{
    return run->fast ? fast : full;
}

const ht_answer *ht_facts(ht_run *run)
{
    return ht_node_call(&run->victim, &(ht_ask){.op = HT_FACTS});
}

const ht_answer *ht_round(ht_run *run, enum ht_tree tree, const char *address)
{
    ht_ask ask = {.op = HT_ROUND, .tree = tree};
    memcpy(ask.key.bytes, run->born.trees[tree].bytes, sizeof ask.key.bytes);
    snprintf(ask.address, sizeof ask.address, "%s", address);
    return ht_node_call(&run->friend_, &ask);
}

static void compare_stores(const ht_answer *now, const ht_answer *before, ht_line *line)
{
    if (memcmp(now->store, before->store, sizeof now->store) != 0)
        ht_bad(line, "the store is not as it was: %llu entries came",
               (unsigned long long)(now->entries - before->entries));
}

void ht_same_store(ht_run *run, const ht_answer *before, ht_line *line)
{
    compare_stores(ht_facts(run), before, line);
}

void ht_unchanged(ht_run *run, const ht_answer *before, ht_line *line)
{
    const ht_answer *now = ht_facts(run);
    compare_stores(now, before, line);
    if (memcmp(now->registry, before->registry, sizeof now->registry) != 0)
        ht_bad(line, "the known peers are not as they were: %llu, now %llu",
               (unsigned long long)before->peers, (unsigned long long)now->peers);
}

void ht_still_serves(ht_run *run, ht_line *line)
{
    const ht_answer *a = ht_round(run, HT_SMALL, run->address);
    if (a->err != WEFT_OK || a->entries != HT_SMALL_ENTRIES + 1)
        ht_bad(line, "the honest peer is not served any more: %s, %llu entries",
               weft_strerror((weft_err)a->err), (unsigned long long)a->entries);
}
