/* SPDX-License-Identifier: Apache-2.0
 * cluster_news.c - hears what the nodes say, and waits.
 * Called by: cluster.c, run.c, the demo. May touch: the cluster's books, the ledger.
 * Never: gives orders. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "cluster.h"
#include "proc.h"

#define TICK_MS 100 /* the longest time in which nobody looks at the clock */

static int odd(struct cluster *c, const struct member *m, const char *what)
{
    snprintf(c->why, sizeof c->why, "node %u sent %s", m->index, what);
    return EXIT_HARNESS;
}

static void answered(struct member *m)
{
    if (m->orders_count == 0) return;
    m->orders_count--;
    memmove(m->orders, m->orders + 1, m->orders_count * sizeof *m->orders);
}

/* The counters of a life that has ended join those of the lives before. */
void cluster_fold(struct member *m)
{
    weft_node_stats *sum = &m->past.stats;
    const weft_node_stats *add = &m->now.stats;
    sum->entries_stored += add->entries_stored;
    sum->entries_received += add->entries_received;
    sum->entries_sent += add->entries_sent;
    sum->duplicates += add->duplicates;
    sum->redundant += add->redundant;
    sum->refused += add->refused;
    sum->wire_in += add->wire_in;
    sum->wire_out += add->wire_out;
    sum->round_trips += add->round_trips;
    sum->sessions_ok += add->sessions_ok;
    sum->sessions_failed += add->sessions_failed;
    sum->sessions_exact += add->sessions_exact;
    sum->batches += add->batches;
    sum->synced += add->synced;
    sum->verified += add->verified;
    m->past.coalesced += m->now.coalesced;
    m->past.cpu_ns += m->now.cpu_ns;
    m->now = (struct control_progress){0};
}

static int on_op(struct cluster *c, struct member *m, const struct control_frame *frame)
{
    struct control_op op;
    if (frame->len < sizeof op) return odd(c, m, "a message that is cut");
    memcpy(&op, frame->body, sizeof op);
    if (op.origin != CONTROL_HISTORY && op.origin != CONTROL_LIVE_COMMIT)
        return odd(c, m, "an operation of no known origin");
    if (frame->type == CONTROL_INTENT) {
        ledger_intent(&c->ledger, m->index, &op);
        uint64_t next = op.first + op.count; /* several threads announce in any order */
        if (op.origin == CONTROL_LIVE_COMMIT && next > m->next) m->next = next;
        return EXIT_PASS;
    }
    weft_id ids[CONTROL_BATCH_MAX];
    if (op.count > CONTROL_BATCH_MAX || frame->len != sizeof op + op.count * sizeof *ids)
        return odd(c, m, "an acknowledgement that is cut");
    memcpy(ids, frame->body + sizeof op, op.count * sizeof *ids);
    ledger_ack(&c->ledger, m->index, &op, ids);
    if (op.origin == CONTROL_LIVE_COMMIT) {
        m->acks += op.count;
        hist_add(&c->commit, op.took_ns);
        if (op.late_ns > c->late_max_ns) c->late_max_ns = op.late_ns;
        if (c->on_ack != NULL) c->on_ack(c->arg, &op);
    }
    return EXIT_PASS;
}

static void on_samples(struct cluster *c, const struct member *m, const struct control_frame *frame)
{
    struct control_sample sample;
    for (size_t at = 0; at + sizeof sample <= frame->len; at += sizeof sample) {
        memcpy(&sample, frame->body + at, sizeof sample);
        if (sample.origin >= c->count) continue;
        hist_add(&c->push[c->plan->hops[sample.origin][m->index]], sample.took_ns);
    }
}

static int on_failed(struct cluster *c, const struct member *m, const struct control_frame *frame)
{
    struct control_failed failed;
    if (!control_body(frame, &failed, sizeof failed)) return odd(c, m, "a message that is cut");
    failed.text[sizeof failed.text - 1] = '\0';
    snprintf(c->why, sizeof c->why, "node %u, %s", m->index, failed.text);
    return cluster_exit_code((weft_err)failed.err);
}

static int on_frame(struct cluster *c, struct member *m, const struct control_frame *frame)
{
    struct control_ready ready;
    switch (frame->type) {
    case CONTROL_DONE: answered(m); return EXIT_PASS;
    case CONTROL_FAILED: return on_failed(c, m, frame);
    case CONTROL_READY:
        if (!control_body(frame, &ready, sizeof ready)) return odd(c, m, "a message that is cut");
        if (m->restarts > 0 && !weft_key_equal(&ready.key, &m->key))
            return odd(c, m, "another key after its restart");
        m->key = ready.key;
        m->open_ns = ready.open_ns;
        memcpy(m->address, ready.address, sizeof m->address);
        m->ready = true;
        answered(m);
        return EXIT_PASS;
    case CONTROL_TREE:
        if (!control_body(frame, &c->tree, sizeof c->tree))
            return odd(c, m, "a message that is cut");
        answered(m);
        return EXIT_PASS;
    case CONTROL_INTENT:
    case CONTROL_ACK: return on_op(c, m, frame);
    case CONTROL_PROGRESS:
    case CONTROL_FAREWELL:
        if (!control_body(frame, &m->now, sizeof m->now)) return odd(c, m, "a message that is cut");
        m->fresh++;
        if (m->now.rss_kb > m->rss_peak_kb) m->rss_peak_kb = m->now.rss_kb;
        return EXIT_PASS;
    case CONTROL_SAMPLES: on_samples(c, m, frame); return EXIT_PASS;
    default: return odd(c, m, "something that is not known");
    }
}

static int on_frames(struct cluster *c, struct member *m)
{
    struct control_frame frame;
    int code = EXIT_PASS;
    while (code == EXIT_PASS && control_next(&m->in, &frame)) code = on_frame(c, m, &frame);
    return code;
}

/* Reads everything that a node that has ended still said; a torn end is dropped. */
int cluster_drain(struct cluster *c, struct member *m)
{
    int code = EXIT_PASS;
    while (code == EXIT_PASS && control_fill(&m->in, m->fd, true) > 0) code = on_frames(c, m);
    if (ledger_sync(&c->ledger) != 0 && code == EXIT_PASS) {
        snprintf(c->why, sizeof c->why, "the ledger: %s", strerror(errno));
        code = EXIT_HARNESS;
    }
    return code;
}

static int hear(struct cluster *c, struct member *m)
{
    int got = control_fill(&m->in, m->fd, false);
    int code = on_frames(c, m);
    if (code != EXIT_PASS || got != 0) return code;
    if (m->orders_count == 0 && m->stopping) {
        m->ready = false;
        return EXIT_PASS;
    }
    int ended = -1; /* its socket closes a moment before it can be waited for */
    for (int i = 0; m->pid > 0 && ended < 0 && i < 100; i++) {
        ended = proc_poll(m->pid);
        if (ended < 0) kit_sleep_until(kit_now_ns() + 10 * WEFT_MS);
    }
    if (ended >= 0) m->up = false;
    char how[32] = "";
    if (ended > 128) snprintf(how, sizeof how, " by signal %d", ended - 128);
    snprintf(c->why, sizeof c->why, "node %u ended by itself%s", m->index, how);
    return EXIT_HARNESS;
}

/* One look at all nodes, of at most `wait_ms`. */
static int pump(struct cluster *c, int wait_ms)
{
    struct pollfd fds[PLAN_NODES_MAX];
    struct member *who[PLAN_NODES_MAX];
    nfds_t count = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        struct member *m = &c->members[i];
        if (!m->up || (!m->ready && m->orders_count == 0)) continue;
        who[count] = m;
        fds[count++] = (struct pollfd){.fd = m->fd, .events = POLLIN};
    }
    if (poll(fds, count, wait_ms) < 0 && errno != EINTR) {
        snprintf(c->why, sizeof c->why, "poll: %s", strerror(errno));
        return EXIT_HARNESS;
    }
    int code = kit_signal();
    if (code != 0) {
        snprintf(c->why, sizeof c->why, "interrupted");
        return code;
    }
    for (nfds_t i = 0; i < count && code == EXIT_PASS; i++)
        if (fds[i].revents != 0) code = hear(c, who[i]);
    if (code == EXIT_PASS && ledger_sync(&c->ledger) != 0) {
        snprintf(c->why, sizeof c->why, "the ledger: %s", strerror(errno));
        code = EXIT_HARNESS;
    }
    if (code == EXIT_PASS && c->on_news != NULL) code = c->on_news(c->arg);
    if (code == EXIT_PASS && kit_now_ns() > c->deadline_ns) {
        snprintf(c->why, sizeof c->why, "the time given by --timeout has passed");
        code = EXIT_UNREACHABLE;
    }
    return code;
}

int cluster_wait(struct cluster *c, bool (*done)(struct cluster *c, void *arg), void *arg)
{
    int code = EXIT_PASS;
    while (code == EXIT_PASS && !done(c, arg)) code = pump(c, TICK_MS);
    return code;
}

static bool orders_done(struct cluster *c, void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < c->count; i++)
        if (c->members[i].orders_count > 0) return false;
    return true;
}

int cluster_wait_orders(struct cluster *c) { return cluster_wait(c, orders_done, NULL); }

int cluster_wait_until(struct cluster *c, uint64_t at_ns)
{
    int code = EXIT_PASS;
    for (uint64_t now = kit_now_ns(); code == EXIT_PASS && now < at_ns; now = kit_now_ns()) {
        uint64_t left = (at_ns - now) / 1000000u + 1;
        code = pump(c, left < TICK_MS ? (int)left : TICK_MS);
    }
    return code;
}

bool cluster_equal(const struct cluster *c, uint64_t entries)
{
    const struct control_progress *first = &c->members[0].now;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct control_progress *now = &c->members[i].now;
        if (!c->members[i].ready || !now->has_root || now->entries < entries ||
            now->entries != first->entries ||
            memcmp(now->digest, first->digest, sizeof now->digest) != 0)
            return false;
    }
    return true;
}

static bool settled(struct cluster *c, void *arg)
{
    /* The first report may have been on its way already when the call began. */
    for (uint32_t i = 0; i < c->count; i++)
        if (c->members[i].fresh < 2) return false;
    return cluster_equal(c, *(const uint64_t *)arg);
}

int cluster_settle(struct cluster *c, uint64_t entries)
{
    for (uint32_t i = 0; i < c->count; i++) c->members[i].fresh = 0;
    return cluster_wait(c, settled, &entries);
}

uint64_t cluster_cpu_ns(const struct cluster *c)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct member *m = &c->members[i];
        if (c->mem) return m->now.cpu_ns; /* one process, and nobody is killed */
        sum += m->past.cpu_ns + m->now.cpu_ns;
    }
    return sum;
}
