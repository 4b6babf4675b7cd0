/* SPDX-License-Identifier: Apache-2.0
 * feed.c - tells the parent how far a node is, and how long live commits took to it.
 * Called by: node.c; weft's notify thread (the event). May touch: the node's counters.
 * Never: blocks weft's thread longer than a copy. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "kit.h"
#include "node.h"
#include "proc.h"

#define REPORT_NS (40 * WEFT_MS) /* what it costs is part of what is measured */
#define RSS_EVERY 8u             /* reports: the machine's answer is a text of many lines */

static void on_event(void *arg, const weft_event *event)
{
    struct node *node = arg;
    if (event->kind != WEFT_EV_ENTRIES || event->local) return;
    uint64_t now = kit_now_ns();
    struct live_stamp stamp;
    weft_entry entry;
    bool live = event->bytes != NULL &&
                weft_entry_decode(event->bytes, event->len, &entry) == WEFT_OK &&
                live_stamp_read(&entry, &stamp);
    pthread_mutex_lock(&node->lock);
    if (event->coalesced) node->coalesced++;
    if (live && node->samples_count < CONTROL_SAMPLES_MAX)
        node->samples[node->samples_count++] = (struct control_sample){
            .origin = stamp.origin, .took_ns = now - stamp.begun_ns};
    pthread_mutex_unlock(&node->lock);
}

void node_feed_now(struct node *node, enum control_type type)
{
    struct control_progress progress = {0};
    weft_tree_info info;
    pthread_mutex_lock(&node->lock);
    bool has_tree = node->has_tree;
    progress.coalesced = node->coalesced;
    uint32_t samples = node->samples_count;
    memcpy(node->outgoing, node->samples, samples * sizeof *node->samples);
    node->samples_count = 0;
    pthread_mutex_unlock(&node->lock);
    if (has_tree && weft_tree_info_get(node->weft, &node->tree, &info) == WEFT_OK) {
        progress.entries = info.entries;
        progress.tips = info.tips;
        progress.has_root = info.has_root;
        memcpy(progress.digest, info.root_digest, sizeof progress.digest);
    }
    weft_node_stats_get(node->weft, &progress.stats);
    if (type == CONTROL_FAREWELL || node->reports++ % RSS_EVERY == 0)
        progress.rss_kb = proc_peak_rss_kb();
    progress.cpu_ns = kit_process_cpu_ns();
    if (samples > 0)
        node_send(node, CONTROL_SAMPLES, node->outgoing, samples * sizeof *node->outgoing, NULL, 0);
    node_send(node, type, &progress, sizeof progress, NULL, 0);
}

static void *report(void *arg)
{
    struct node *node = arg;
    uint64_t next = kit_now_ns();
    for (;;) {
        next += REPORT_NS;
        struct timespec at = {.tv_sec = (time_t)(next / WEFT_SEC),
                              .tv_nsec = (long)(next % WEFT_SEC)};
        pthread_mutex_lock(&node->lock);
        while (!node->stopping &&
               pthread_cond_timedwait(&node->wake, &node->lock, &at) != ETIMEDOUT)
            ;
        bool stopping = node->stopping;
        pthread_mutex_unlock(&node->lock);
        if (stopping) return NULL;
        node_feed_now(node, CONTROL_PROGRESS);
        if (kit_now_ns() > next) next = kit_now_ns(); /* late: do not catch up */
    }
}

bool node_feed_start(struct node *node, pthread_t *thread, uint64_t *handle)
{
    weft_err err = weft_subscribe(node->weft, on_event, node, handle);
    if (err != WEFT_OK) return node_fail(node, err, "subscribing to events");
    if (pthread_create(thread, NULL, report, node) == 0) return true;
    weft_unsubscribe(node->weft, *handle);
    return node_fail(node, WEFT_NO_MEMORY, "starting a thread");
}

void node_feed_stop(struct node *node, pthread_t thread, uint64_t handle)
{
    pthread_mutex_lock(&node->lock);
    node->stopping = true;
    pthread_cond_signal(&node->wake);
    pthread_mutex_unlock(&node->lock);
    pthread_join(thread, NULL);
    weft_unsubscribe(node->weft, handle);
}
