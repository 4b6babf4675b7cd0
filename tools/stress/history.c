/* SPDX-License-Identifier: Apache-2.0
 * history.c - makes a table of a history into signed entries and adds them to a node.
 * Called by: node.c. May touch: the node's tree, the table's file.
 * Never: tells another node; adds an entry before its intent was announced. */
#include <stdlib.h>
#include <string.h>

#include "dag.h"
#include "kit.h"
#include "node.h"

#define PAIRS 128u /* key pairs kept; histories have thousands of authors, few at a time */

struct import {
    struct node *node;
    struct dag dag;
    weft_id *ids;
    uint64_t *heights;
    weft_keypair *pairs[PAIRS];
    uint32_t pair_of[PAIRS];
    uint8_t payload[DAG_PAYLOAD_MAX];
};

static weft_err pair_for(struct import *im, uint32_t author, weft_keypair **out)
{
    uint32_t at = author % PAIRS;
    if (im->pairs[at] == NULL || im->pair_of[at] != author) {
        weft_keypair *pair;
        weft_err err = node_keypair(im->node->open.seed, NODE_KEY_AUTHOR, author, &pair);
        if (err != WEFT_OK) return err;
        weft_keypair_destroy(im->pairs[at]);
        im->pairs[at] = pair;
        im->pair_of[at] = author;
    }
    *out = im->pairs[at];
    return WEFT_OK;
}

/* A row without parents becomes a child of the tree's root, which writes no store. */
static weft_err build(struct import *im, uint32_t index, weft_buf **out)
{
    const struct dag_entry *row = &im->dag.entries[index];
    weft_id parents[WEFT_ENTRY_PARENTS_MAX];
    uint64_t height = 1;
    for (uint32_t i = 0; i < row->parents_count; i++) {
        uint32_t parent = im->dag.parents[row->parents_at + i];
        parents[i] = im->ids[parent];
        if (im->heights[parent] >= height) height = im->heights[parent] + 1;
    }
    struct kit_rng rng = kit_rng_for(im->node->open.seed, 'p', index);
    kit_rng_fill(&rng, im->payload, row->size);
    memcpy(im->payload, &index, row->size < sizeof index ? row->size : sizeof index);
    weft_store_part part = {.name = NODE_STORE,
                            .parents = parents,
                            .parents_count = row->parents_count,
                            .payload = im->payload,
                            .payload_len = row->size};
    weft_entry_spec spec = {.tree = im->node->tree,
                            .parents = row->parents_count == 0 ? &im->node->tree : parents,
                            .parents_count = row->parents_count == 0 ? 1 : row->parents_count,
                            .height = height,
                            .stores = &part,
                            .stores_count = 1};
    weft_keypair *pair;
    weft_err err = pair_for(im, row->author, &pair);
    if (err == WEFT_OK) err = weft_entry_build(&spec, pair, out, &im->ids[index]);
    im->heights[index] = height;
    return err;
}

/* After a kill part of the history is here already: only what is missing is added. */
static bool present(struct import *im, uint32_t index)
{
    weft_buf *bytes;
    if (weft_get(im->node->weft, &im->ids[index], &bytes) != WEFT_OK) return false;
    weft_buf_unref(bytes);
    return true;
}

static bool add_batch(struct import *im, uint32_t first, uint32_t count, bool again)
{
    weft_buf *bytes[CONTROL_BATCH_MAX];
    uint32_t made = 0;
    weft_err err = WEFT_OK;
    struct control_op op = {.origin = CONTROL_HISTORY, .count = count, .first = first};
    bool told = node_send(im->node, CONTROL_INTENT, &op, sizeof op, NULL, 0);
    for (uint32_t i = 0; err == WEFT_OK && i < count; i++) {
        err = build(im, first + i, &bytes[made]);
        if (err != WEFT_OK) break;
        if (again && present(im, first + i)) weft_buf_unref(bytes[made]);
        else made++;
    }
    if (told && err == WEFT_OK && made > 0)
        err = weft_add(im->node->weft, bytes, made, true, NODE_TIMEOUT_NS, NULL);
    for (uint32_t i = 0; i < made; i++) weft_buf_unref(bytes[i]);
    if (err != WEFT_OK) return node_fail(im->node, err, "adding the history");
    return told && node_send(im->node, CONTROL_ACK, &op, sizeof op, &im->ids[first],
                             count * sizeof(weft_id));
}

bool node_import(struct node *node, const char *path)
{
    char why[256];
    struct import *im = kit_alloc(1, sizeof *im);
    im->node = node;
    bool good = dag_load(path, &im->dag, why, sizeof why) == 0;
    if (!good) {
        node_fail(node, WEFT_IO, why);
        goto done;
    }
    im->ids = kit_alloc(im->dag.count, sizeof *im->ids);
    im->heights = kit_alloc(im->dag.count, sizeof *im->heights);
    weft_tree_info info;
    bool again = weft_tree_info_get(node->weft, &node->tree, &info) == WEFT_OK && info.entries > 1;
    uint32_t at = 0;
    while (good && at < im->dag.count) {
        uint32_t count = 0;
        for (size_t bytes = 0; at + count < im->dag.count && count < CONTROL_BATCH_MAX; count++) {
            bytes += im->dag.entries[at + count].size;
            if (count > 0 && bytes > WEFT_GROUP_COMMIT_BYTES / 2) break;
        }
        good = add_batch(im, at, count, again);
        at += count;
    }
    if (good) good = node_send(node, CONTROL_DONE, NULL, 0, NULL, 0);
done:
    for (size_t i = 0; i < PAIRS; i++) weft_keypair_destroy(im->pairs[i]);
    free(im->ids);
    free(im->heights);
    dag_free(&im->dag);
    free(im);
    return good;
}
