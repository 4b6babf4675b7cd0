/* SPDX-License-Identifier: Apache-2.0
 * fsck_store.c - makes a store of one tree for fsck.py.
 * Called by: fsck.py, as: fsck-store DIR ENTRIES [hold|newer|joins|peers|trie|sketch|sub|dom|killed|begun] [lmdb]
 * May touch: DIR. Never: leaves a key in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include <weft/dag.h>

#include "layout.h"

static void must(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "%s: %s\n", what, weft_errname(err));
    exit(1);
}

static void fill(weft_node *node, const weft_keypair *pair, int entries)
{
    weft_root_spec spec = {.entropy = {1}, .everyone = WEFT_RIGHT_NONE};
    weft_id tree;
    weft_writer *writer = NULL;
    must(weft_tree_create(node, pair, &spec, WEFT_NEVER, &tree), "tree");
    must(weft_writer_open(node, &tree, pair, &writer), "writer");
    for (int i = 1; i < entries; i++) {
        char payload[128];
        memset(payload, i, sizeof payload);
        must(weft_commit(writer, "main", payload, sizeof payload, WEFT_NEVER, NULL), "commit");
    }
    weft_writer_close(writer);
}

/* All of it in a log, and nothing stands on any entry but the root. */
static void be_killed(weft_node *node, const weft_keypair *pair, int entries)
{
    weft_root_spec spec = {.entropy = {1}, .everyone = WEFT_RIGHT_NONE};
    weft_id tree;
    must(weft_tree_create(node, pair, &spec, WEFT_NEVER, &tree), "tree");
    const weft_cut root = {&tree, 1};
    for (int i = 1; i < entries; i++) {
        char payload[128];
        memset(payload, i, sizeof payload);
        memcpy(payload, &i, sizeof i); /* the same bytes would be the same entry */
        must(weft_commit_at(node, pair, &tree, &root, "main", payload, sizeof payload, WEFT_NEVER,
                            NULL),
             "commit");
    }
    _exit(0);
}

/* As a first opening that was killed leaves it. */
static int begin(const char *dir)
{
    wf_kv *kv = NULL;
    must(wf_kv_disk_open(dir, &(wf_kv_disk_options){.create = true}, &kv), "engine");
    wf_kv_close(kv);
    return 0;
}

/* As a later version would leave it. */
static void make_newer(const char *dir)
{
    const uint8_t key = WF_TREE_FORMAT;
    wf_kv *kv = NULL;
    wf_batch *batch = NULL;
    must(wf_kv_disk_open(dir, NULL, &kv), "engine");
    must(wf_batch_create(&batch), "batch");
    wf_batch_put(batch, WF_CF_TREE, &key, 1, "weft\0\0\0\x63", 8);
    must(wf_kv_write(kv, batch, true), "format");
    wf_batch_destroy(batch);
    wf_kv_close(kv);
}

/* A request to join, of which a part has been lost. */
static void make_joins(const char *dir)
{
    const uint8_t key[17] = {0x87, 0xab};
    wf_kv *kv = NULL;
    wf_batch *batch = NULL;
    must(wf_kv_disk_open(dir, NULL, &kv), "engine");
    must(wf_batch_create(&batch), "batch");
    wf_batch_put(batch, WF_CF_PEER, key, sizeof key, "\x9d\x01", 2);
    must(wf_kv_write(kv, batch, true), "record");
    wf_batch_destroy(batch);
    wf_kv_close(kv);
}

/* A peer of which only a part is there, and a tree shared with one that is not there at all. */
static void make_peers(const char *dir)
{
    const uint8_t row[33] = {0x81, 0xab}, relation[65] = {0x82, 0xcd};
    wf_kv *kv = NULL;
    wf_batch *batch = NULL;
    must(wf_kv_disk_open(dir, NULL, &kv), "engine");
    must(wf_batch_create(&batch), "batch");
    wf_batch_put(batch, WF_CF_PEER, row, sizeof row, "\xdc\x01", 2);
    wf_batch_put(batch, WF_CF_PEER, relation, sizeof relation, "", 0);
    must(wf_kv_write(kv, batch, true), "record");
    wf_batch_destroy(batch);
    wf_kv_close(kv);
}

static bool said(int argc, char **argv, const char *word)
{
    for (int i = 3; i < argc; i++)
        if (strcmp(argv[i], word) == 0) return true;
    return false;
}

/* Turns a bit of the first record of each kind of key: of the trie, that is a node and the top. */
static void spoil(const char *dir, enum wf_cf cf)
{
    wf_kv *kv = NULL;
    wf_batch *batch = NULL;
    wf_kv_iter *it = NULL;
    size_t last_len = 0;
    must(wf_kv_disk_open(dir, NULL, &kv), "engine");
    must(wf_batch_create(&batch), "batch");
    must(wf_kv_iter_create(kv, NULL, cf, NULL, 0, &it), "walk");
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
        size_t key_len, len;
        uint8_t bad[2048];
        const uint8_t *key = wf_kv_iter_key(it, &key_len);
        const uint8_t *value = wf_kv_iter_value(it, &len);
        if (key_len == last_len || len == 0 || len > sizeof bad) continue;
        last_len = key_len;
        memcpy(bad, value, len);
        bad[len - 1] ^= 1;
        wf_batch_put(batch, cf, key, key_len, bad, len);
    }
    wf_kv_iter_destroy(it);
    must(wf_kv_write(kv, batch, true), "write");
    wf_batch_destroy(batch);
    wf_kv_close(kv);
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    if (said(argc, argv, "begun")) return begin(argv[1]);
    const uint8_t seed[32] = {7};
    weft_keypair *pair = NULL;
    weft_node *node = NULL;
    must(weft_keypair_from_seed(seed, &pair), "pair");
    weft_node_options options = {.dir = argv[1], .device = pair, .unsynced = true};
    if (said(argc, argv, "lmdb")) options.engine = WEFT_ENGINE_LMDB;
    must(weft_node_open(&options, &node), "node");
    if (said(argc, argv, "killed")) be_killed(node, pair, atoi(argv[2]));
    fill(node, pair, atoi(argv[2]));
    if (said(argc, argv, "hold")) {
        puts("open");
        fflush(stdout);
        while (getchar() != EOF) {}
    }
    weft_node_close(node);
    weft_keypair_destroy(pair);
    if (said(argc, argv, "newer")) make_newer(argv[1]);
    if (said(argc, argv, "joins")) make_joins(argv[1]);
    if (said(argc, argv, "peers")) make_peers(argv[1]);
    for (unsigned cf = WF_CF_TRIE; cf <= WF_CF_DOM; cf++)
        if (said(argc, argv, wf_cf_names[cf])) spoil(argv[1], (enum wf_cf)cf);
    return 0;
}
