/* SPDX-License-Identifier: Apache-2.0
 * live.c - commits at a steady rate or as fast as it can, each stamped with the time at which it began.
 * Called by: node.c (node_live), feed.c and judge.c (the stamp). May touch: the node's
 * tree. Never: commits before the intent was announced. */
#include <stdlib.h>
#include <string.h>

#include "kit.h"
#include "node.h"
#include "plan.h"

bool live_stamp_read(const weft_entry *entry, struct live_stamp *out)
{
    for (uint32_t i = 0; i < entry->stores_count; i++) {
        const weft_entry_store *store = &entry->stores[i];
        if (store->name_len != strlen(NODE_LIVE_STORE) || store->payload_len < sizeof *out ||
            memcmp(store->name, NODE_LIVE_STORE, store->name_len) != 0)
            continue;
        memcpy(out, store->payload, sizeof *out);
        return out->magic == LIVE_MAGIC;
    }
    return false;
}

struct live { /* one thread that commits */
    struct node *node;
    const struct control_live *order;
    uint64_t *next; /* atomic: number of the node's next commit, whoever makes it */
    uint32_t me, producers;
    pthread_t thread;
    bool started, good;
};

static bool commit_one(const struct live *l, weft_writer *writer, uint8_t *payload, size_t len,
                       uint64_t number, uint64_t due_ns)
{
    struct node *node = l->node;
    struct control_op op = {.origin = CONTROL_LIVE_COMMIT, .count = 1, .first = number};
    if (!node_send(node, CONTROL_INTENT, &op, sizeof op, NULL, 0)) return false;
    struct live_stamp stamp = {LIVE_MAGIC, node->open.index, op.first, kit_now_ns()};
    memcpy(payload, &stamp, sizeof stamp);
    weft_id id;
    weft_err err = weft_commit(writer, NODE_LIVE_STORE, payload, len, NODE_TIMEOUT_NS, &id);
    if (err != WEFT_OK) return node_fail(node, err, "committing");
    op.took_ns = kit_now_ns() - stamp.begun_ns;
    op.late_ns = due_ns == 0 ? 0 : stamp.begun_ns - due_ns;
    return node_send(node, CONTROL_ACK, &op, sizeof op, &id, sizeof id);
}

/* Without a rate one commit follows the other. */
static bool commit_all(const struct live *l, weft_writer *writer, uint8_t *payload, size_t len,
                       struct kit_rng *rng)
{
    const struct control_live *order = l->order;
    bool good = true;
    /* The nodes begin at different moments of the period, as independent writers do. */
    uint64_t period = order->rate == 0 ? 0 : WEFT_SEC * l->producers / order->rate,
             begun = kit_now_ns() + kit_rng_below(rng, period + 1);
    for (uint64_t k = 0; good && kit_signal() == 0 && kit_now_ns() < order->end_ns; k++) {
        uint64_t number = __atomic_fetch_add(l->next, 1, __ATOMIC_RELAXED), due = 0;
        if (order->rate != 0)
            due = order->begin_ns != 0 ? order->begin_ns + number * WEFT_SEC / order->rate
                                       : begun + k * period;
        if (due >= order->end_ns) break;
        if (due != 0) kit_sleep_until(due);
        good = commit_one(l, writer, payload, len, number, due);
    }
    return good;
}

static void *produce(void *arg)
{
    struct live *l = arg;
    struct node *node = l->node;
    weft_keypair *author = NULL;
    weft_writer *writer = NULL;
    size_t len = l->order->payload < sizeof(struct live_stamp) ? sizeof(struct live_stamp)
                                                               : l->order->payload;
    uint8_t *payload = kit_alloc(len, 1);
    uint32_t number = node->open.index + l->me * PLAN_NODES_MAX; /* of no other writer */
    struct kit_rng rng = kit_rng_for(node->open.seed, 'l', number);
    kit_rng_fill(&rng, payload, len);
    weft_err err = node_keypair(node->open.seed, NODE_KEY_LIVE, number, &author);
    if (err == WEFT_OK) err = weft_writer_open(node->weft, &node->tree, author, &writer);
    if (err == WEFT_OK) err = weft_writer_durability(writer, l->order->durability);
    l->good = err == WEFT_OK ? commit_all(l, writer, payload, len, &rng)
                             : node_fail(node, err, "opening a writer");
    weft_writer_close(writer);
    weft_keypair_destroy(author);
    free(payload);
    return NULL;
}

bool node_live(struct node *node, const struct control_live *order)
{
    uint32_t count = order->producers == 0 ? 1 : order->producers;
    uint64_t next = order->first;
    struct live *all = kit_alloc(count, sizeof *all);
    bool good = true;
    for (uint32_t i = 0; i < count; i++)
        all[i] = (struct live){
            .node = node, .order = order, .next = &next, .me = i, .producers = count};
    for (uint32_t i = 1; i < count && good; i++) {
        all[i].started = pthread_create(&all[i].thread, NULL, produce, &all[i]) == 0;
        if (!all[i].started) good = node_fail(node, WEFT_NO_MEMORY, "starting a thread");
    }
    if (good) produce(&all[0]); /* the first of them is this thread */
    good = good && all[0].good;
    for (uint32_t i = 1; i < count; i++) {
        if (all[i].started) pthread_join(all[i].thread, NULL);
        good = good && all[i].good;
    }
    free(all);
    return good && node_send(node, CONTROL_DONE, NULL, 0, NULL, 0);
}
