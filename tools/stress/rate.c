/* SPDX-License-Identifier: Apache-2.0
 * rate.c - measures signature checks: the bound that no sync of signed entries can pass.
 * Called by: run.c. May touch: libsodium (the raw measure only), threads of its own.
 * Never: nodes. */
#include "rate.h"

#include <pthread.h>
#include <sched.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "kit.h"
#include "node.h"

#define SAMPLES 32u
#define MESSAGE_MAX 4096u

struct samples {
    weft_buf *bytes[SAMPLES];
    weft_entry entry[SAMPLES];
    uint8_t message[SAMPLES][MESSAGE_MAX];
    size_t message_len;
    uint8_t signature[SAMPLES][crypto_sign_BYTES];
    uint8_t key[crypto_sign_PUBLICKEYBYTES];
};
struct worker {
    pthread_t thread;
    const struct samples *samples;
    pthread_barrier_t *start;
    bool raw, good;
    double seconds;
    uint64_t done, begun_ns, ended_ns, cpu_ns;
};

uint32_t rate_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : count > 64 ? 64 : (uint32_t)count;
}

static bool entries_make(uint64_t seed, uint32_t payload, struct samples *s)
{
    uint8_t *body = kit_alloc(payload, 1);
    weft_keypair *pair = NULL;
    weft_err err = node_keypair(seed, NODE_KEY_AUTHOR, 0, &pair);
    struct kit_rng rng = kit_rng_for(seed, 'v', 0);
    for (uint32_t i = 0; err == WEFT_OK && i < SAMPLES; i++) {
        weft_id parent, id;
        kit_rng_fill(&rng, parent.bytes, sizeof parent.bytes);
        kit_rng_fill(&rng, body, payload);
        weft_store_part part = {.name = NODE_STORE, .payload = body, .payload_len = payload};
        weft_entry_spec spec = {.tree = parent,
                                .parents = &parent,
                                .parents_count = 1,
                                .height = 1,
                                .stores = &part,
                                .stores_count = 1};
        err = weft_entry_build(&spec, pair, &s->bytes[i], &id);
        if (err == WEFT_OK)
            err = weft_entry_decode(weft_buf_bytes(s->bytes[i]), weft_buf_len(s->bytes[i]),
                                    &s->entry[i]);
    }
    weft_keypair_destroy(pair);
    free(body);
    return err == WEFT_OK;
}

static bool messages_make(uint64_t seed, uint32_t payload, struct samples *s)
{
    uint8_t secret[crypto_sign_SECRETKEYBYTES], start[crypto_sign_SEEDBYTES];
    struct kit_rng rng = kit_rng_for(seed, 'm', 0);
    if (sodium_init() < 0) return false;
    kit_rng_fill(&rng, start, sizeof start);
    crypto_sign_seed_keypair(s->key, secret, start);
    s->message_len = payload + 200u; /* what an entry has around its payload */
    if (s->message_len > MESSAGE_MAX) s->message_len = MESSAGE_MAX;
    for (uint32_t i = 0; i < SAMPLES; i++) {
        kit_rng_fill(&rng, s->message[i], s->message_len);
        crypto_sign_detached(s->signature[i], NULL, s->message[i], s->message_len, secret);
    }
    return true;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    pthread_barrier_wait(w->start);
    uint64_t cpu_ns = kit_thread_cpu_ns();
    w->begun_ns = w->ended_ns = kit_now_ns();
    w->good = true;
    while (w->good && kit_signal() == 0 && kit_seconds(w->begun_ns, w->ended_ns) < w->seconds) {
        for (uint32_t i = 0; w->good && i < SAMPLES; i++)
            w->good = w->raw ? crypto_sign_verify_detached(
                                   w->samples->signature[i], w->samples->message[i],
                                   w->samples->message_len, w->samples->key) == 0
                             : weft_entry_verify(&w->samples->entry[i]) == WEFT_OK;
        w->done += SAMPLES;
        w->ended_ns = kit_now_ns();
    }
    w->cpu_ns = kit_thread_cpu_ns() - cpu_ns;
    return NULL;
}

static bool measure(const struct samples *s, uint32_t cores, bool raw, double seconds, double *out,
                    double *out_cpu_us)
{
    struct worker *all = kit_alloc(cores, sizeof *all);
    pthread_barrier_t start;
    bool good = true;
    double sum = 0;
    uint64_t done = 0, cpu_ns = 0;
    pthread_barrier_init(&start, NULL, cores);
    for (uint32_t i = 0; i < cores; i++) {
        all[i] = (struct worker){.samples = s, .start = &start, .raw = raw, .seconds = seconds};
        /* The first ones wait at the barrier for the others, so none may be missing. */
        if (i + 1 < cores && pthread_create(&all[i].thread, NULL, work, &all[i]) != 0) {
            kit_say("cannot start a thread");
            exit(EXIT_HARNESS);
        }
    }
    work(&all[cores - 1]);
    for (uint32_t i = 0; i < cores; i++) {
        if (i + 1 < cores) pthread_join(all[i].thread, NULL);
        good = good && all[i].good;
        done += all[i].done;
        cpu_ns += all[i].cpu_ns;
        double took = kit_seconds(all[i].begun_ns, all[i].ended_ns);
        if (took > 0) sum += (double)all[i].done / took;
    }
    pthread_barrier_destroy(&start);
    free(all);
    *out = sum;
    *out_cpu_us = done == 0 ? 0 : (double)cpu_ns / 1e3 / (double)done;
    return good;
}

bool rate_measure(uint64_t seed, uint32_t payload, double seconds, struct rate *out)
{
    struct samples *s = kit_alloc(1, sizeof *s);
    struct rate rate = {.cores = rate_cores()};
    double entry_cpu_us;
    bool good = entries_make(seed, payload, s) && messages_make(seed, payload, s) &&
                measure(s, rate.cores, true, seconds, &rate.raw_per_second, &rate.raw_cpu_us) &&
                measure(s, rate.cores, false, seconds, &rate.entries_per_second, &entry_cpu_us);
    for (uint32_t i = 0; i < SAMPLES; i++) weft_buf_unref(s->bytes[i]);
    free(s);
    if (good) *out = rate;
    return good;
}

void rate_merge(struct rate *into, const struct rate *later)
{
    into->raw_per_second = (into->raw_per_second + later->raw_per_second) / 2;
    into->entries_per_second = (into->entries_per_second + later->entries_per_second) / 2;
    into->raw_cpu_us = (into->raw_cpu_us + later->raw_cpu_us) / 2;
}
