/* SPDX-License-Identifier: Apache-2.0
 * actor_check.c - counts messages between actors and finds lost, doubled, disordered, torn ones.
 * Called by: the actors' workloads, actor_run.c, the tests. May touch: its struct.
 * Never: sends; keeps a message. */
#include "actor_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kit.h"

/* One thread at a time writes a counter; whoever reads it meanwhile gets a whole value. */
static uint64_t get(const uint64_t *cell) { return __atomic_load_n(cell, __ATOMIC_RELAXED); }

static void add(uint64_t *cell, uint64_t n) { __atomic_store_n(cell, *cell + n, __ATOMIC_RELAXED); }

static void add_shared(uint64_t *cell, uint64_t n)
{
    __atomic_fetch_add(cell, n, __ATOMIC_RELAXED);
}

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static struct check_sum hash(uint32_t from, uint32_t to, uint64_t seq)
{
    uint64_t pair = mix((uint64_t)from << 32 | to);
    return (struct check_sum){mix(pair ^ seq), mix(pair + ~seq)};
}

static uint64_t check_of(const struct load_msg *m)
{
    uint64_t sum = mix((uint64_t)m->from << 32 | m->to) ^ mix(m->seq + 1) ^ mix(m->due_ns + 2) ^
                   mix(m->sent_ns + 3) ^ mix(m->len + 4);
    for (uint64_t i = 0; i < m->len / 8; i++)
        sum = (sum ^ m->payload[i]) * UINT64_C(0x9e3779b97f4a7c15) + (sum >> 32);
    return sum;
}

static struct pair *pair_of(const struct check *c, uint32_t from, uint32_t to)
{
    return &c->pairs[(size_t)from * c->receivers + to];
}

static size_t pairs(const struct check *c) { return (size_t)c->senders * c->receivers; }

void check_init(struct check *c, uint32_t senders, uint32_t receivers)
{
    *c = (struct check){.senders = senders, .receivers = receivers};
    size_t bytes = pairs(c) * sizeof *c->pairs;
    c->pairs = aligned_alloc(64, bytes); /* two threads write to each: no line is shared */
    if (c->pairs == NULL) {
        kit_say("out of memory");
        exit(EXIT_HARNESS);
    }
    memset(c->pairs, 0, bytes);
}

void check_fini(struct check *c)
{
    free(c->pairs);
    *c = (struct check){0};
}

void check_seal(struct load_msg *m) { m->check = check_of(m); }

uint64_t check_next(const struct check *c, uint32_t from, uint32_t to)
{
    return pair_of(c, from, to)->sent;
}

void check_sent(struct check *c, uint32_t from, uint32_t to, uint64_t seq)
{
    struct pair *p = pair_of(c, from, to);
    struct check_sum h = hash(from, to, seq);
    p->sent_sum.a += h.a;
    p->sent_sum.b += h.b;
    add(&p->sent, 1);
}

bool check_received(struct check *c, uint32_t me, const struct load_msg *m)
{
    bool whole = m->check == check_of(m) && m->to == me;
    if (!whole) add_shared(&c->corrupt, 1);
    if (m->from >= c->senders || m->to != me) return false;
    struct pair *p = pair_of(c, m->from, me);
    struct check_sum h = hash(m->from, me, m->seq);
    bool again = m->seq + 1 == p->next; /* the one before, once more */
    if (again) p->duplicated++;
    else if (m->seq < p->next) p->reordered++;
    else p->next = m->seq + 1; /* a gap is lost, dead or late: the counts will tell */
    if (!again) {
        p->received_sum.a += h.a;
        p->received_sum.b += h.b;
    }
    add(&p->received, 1);
    return whole;
}

void check_dead(struct check *c, const struct load_msg *m)
{
    if (m->from >= c->senders || m->to >= c->receivers) {
        add_shared(&c->corrupt, 1);
        return;
    }
    struct pair *p = pair_of(c, m->from, m->to);
    struct check_sum h = hash(m->from, m->to, m->seq);
    add_shared(&p->dead_sum.a, h.a);
    add_shared(&p->dead_sum.b, h.b);
    add_shared(&p->dead, 1);
}

static uint64_t pending(const struct check *c, uint32_t to, uint32_t step)
{
    uint64_t sent = 0, gone = 0;
    for (size_t i = to; i < pairs(c); i += step) sent += get(&c->pairs[i].sent);
    for (size_t i = to; i < pairs(c); i += step)
        gone += get(&c->pairs[i].received) + get(&c->pairs[i].dead);
    return sent > gone ? sent - gone : 0;
}

uint64_t check_pending(const struct check *c) { return pending(c, 0, 1); }

uint64_t check_pending_at(const struct check *c, uint32_t to)
{
    return pending(c, to, c->receivers);
}

void check_total(const struct check *c, struct check_result *out)
{
    *out = (struct check_result){.corrupt = c->corrupt};
    for (size_t i = 0; i < pairs(c); i++) {
        const struct pair *p = &c->pairs[i];
        uint64_t gone = p->received - p->duplicated + p->dead;
        out->sent += p->sent;
        out->received += p->received;
        out->dead += p->dead;
        out->duplicated += p->duplicated;
        out->reordered += p->reordered;
        if (p->sent > gone) out->lost += p->sent - gone;
        if (p->sent < gone) out->duplicated += gone - p->sent;
        if (p->sent == gone && (p->sent_sum.a != p->received_sum.a + p->dead_sum.a ||
                                p->sent_sum.b != p->received_sum.b + p->dead_sum.b))
            out->sums_differ = true;
    }
}

bool check_clean(const struct check_result *r, char *why, size_t why_len)
{
    const struct {
        uint64_t count;
        const char *text;
    } faults[] = {{r->lost, "messages are lost"},
                  {r->duplicated, "messages came twice"},
                  {r->reordered, "messages overtook others of their sender"},
                  {r->corrupt, "messages are not what was sent"},
                  {r->sums_differ ? 1u : 0u, "other messages came than were sent"}};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (faults[i].count > 0) {
            snprintf(why, why_len, "%llu: %s", (unsigned long long)faults[i].count, faults[i].text);
            return false;
        }
    return true;
}
