/* SPDX-License-Identifier: Apache-2.0
 * live.c - commits at a steady rate, each stamped with the time at which it began.
 * Called by: node.c (node_live), feed.c and judge.c (the stamp). May touch: the node's
 * tree. Never: commits before the intent was announced. */
#include <stdlib.h>
#include <string.h>

#include "kit.h"
#include "node.h"

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

static bool commit_one(struct node *node, weft_writer *writer, uint8_t *payload, size_t len,
                       uint64_t number, uint64_t due_ns)
{
    struct control_op op = {.origin = CONTROL_LIVE_COMMIT, .count = 1, .first = number};
    if (!node_send(node, CONTROL_INTENT, &op, sizeof op, NULL, 0)) return false;
    struct live_stamp stamp = {LIVE_MAGIC, node->open.index, number, kit_now_ns()};
    memcpy(payload, &stamp, sizeof stamp);
    weft_id id;
    weft_err err = weft_commit(writer, NODE_LIVE_STORE, payload, len, NODE_TIMEOUT_NS, &id);
    if (err != WEFT_OK) return node_fail(node, err, "committing");
    op.took_ns = kit_now_ns() - stamp.begun_ns;
    op.late_ns = stamp.begun_ns - due_ns;
    return node_send(node, CONTROL_ACK, &op, sizeof op, &id, sizeof id);
}

bool node_live(struct node *node, const struct control_live *order)
{
    weft_keypair *author = NULL;
    weft_writer *writer = NULL;
    size_t len = order->payload < sizeof(struct live_stamp) ? sizeof(struct live_stamp)
                                                            : order->payload;
    uint8_t *payload = kit_alloc(len, 1);
    struct kit_rng rng = kit_rng_for(node->open.seed, 'l', node->open.index);
    kit_rng_fill(&rng, payload, len);
    weft_err err = node_keypair(node->open.seed, NODE_KEY_LIVE, node->open.index, &author);
    if (err == WEFT_OK) err = weft_writer_open(node->weft, &node->tree, author, &writer);
    bool good = err == WEFT_OK || node_fail(node, err, "opening a writer");
    /* The nodes begin at different moments of the period, as independent writers do. */
    uint64_t period = WEFT_SEC / order->rate,
             begun = kit_now_ns() + kit_rng_below(&rng, period + 1);
    for (uint64_t k = 0; good; k++) {
        uint64_t due = begun + k * period;
        if (due >= order->end_ns || kit_signal() != 0) break;
        kit_sleep_until(due);
        good = commit_one(node, writer, payload, len, order->first + k, due);
        if (kit_now_ns() >= order->end_ns) break;
    }
    weft_writer_close(writer);
    weft_keypair_destroy(author);
    free(payload);
    return good && node_send(node, CONTROL_DONE, NULL, 0, NULL, 0);
}
