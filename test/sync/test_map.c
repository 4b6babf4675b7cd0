/* SPDX-License-Identifier: Apache-2.0
 * test_map.c - one map on several nodes: created by all of them, edited apart, merged.
 * Called by: meson test. May touch: nodes in the simulator, and two over the loopback interface.
 * Never: sleeps. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/map.h>

#include "alloc.h"
#include "settings.h"
#include "world.h"

#define DOC "doc"
#define CALL (30 * WEFT_SEC)

/* -- What a map shows, as text -------------------------------------------------------------- */

struct text {
    char *bytes;
    size_t len;
};

static weft_err add_item(void *arg, const weft_map_item *item)
{
    FILE *out = arg;
    char id[WEFT_ID_TEXT_BYTES];
    for (uint32_t i = 0; i < item->path.depth; i++)
        fprintf(out, "/%.*s", (int)item->path.part[i].len, item->path.part[i].text);
    weft_id_text(&item->entry, id);
    fprintf(out, "=%d:%llu %.12s\n", (int)item->value.type,
            item->value.type == WEFT_MAP_UINT ? (unsigned long long)item->value.as.uint : 0,
            id + 12);
    return WEFT_OK;
}

static struct text text_of(const weft_map *map)
{
    struct text text = {NULL, 0};
    FILE *out = open_memstream(&text.bytes, &text.len);
    weft_map_info info;
    weft_map_info_get(map, &info);
    cr_assert_eq(weft_map_each(map, NULL, add_item, out), WEFT_OK);
    fprintf(out, "%llu edits, %llu skipped\n", (unsigned long long)info.entries,
            (unsigned long long)info.skipped);
    fclose(out);
    return text;
}

static weft_map *open_map(weft_node *node, const weft_id *tree)
{
    weft_map *map = NULL;
    weft_err err = weft_map_open(node, tree, DOC, &map);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    return map;
}

/* -- In the simulator ----------------------------------------------------------------------- */

struct played {
    struct world *w;
    weft_map *maps[WORLD_NODES_MAX]; /* kept open and refreshed as their nodes live */
    uint64_t acked;                  /* edits and payloads that are none            */
};

static weft_map_path any_path(struct world *w)
{
    static const char *const names[] = {"a", "b", "c"};
    const char *texts[4] = {NULL};
    uint32_t depth = 1 + world_below(w, 3);
    for (uint32_t i = 0; i < depth; i++) texts[i] = names[world_below(w, 3)];
    return weft_map_path_of(texts);
}

/* What an author may commit who means no good: an edit with a bit turned and perhaps without its
 * end. Some of these are edits nevertheless. */
static weft_err commit_damaged(struct world *w, struct world_node *n, const weft_map_edit *edit)
{
    weft_buf *payload = NULL;
    cr_assert_eq(weft_map_edit_encode(edit, &payload), WEFT_OK);
    size_t len = weft_buf_len(payload);
    weft_buf_data(payload)[world_below(w, (uint32_t)len)] ^= (uint8_t)(1u << world_below(w, 8));
    if (world_below(w, 2) == 0) len = world_below(w, (uint32_t)len + 1);
    weft_err err = weft_commit(n->writer, DOC, weft_buf_bytes(payload), len, CALL, NULL);
    weft_buf_unref(payload);
    return err;
}

/* Some operations on any paths; now and then bytes that are no edit. */
static void edit_somewhere(struct played *p)
{
    struct world *w = p->w;
    struct world_node *n = &w->nodes[world_below(w, w->count)];
    weft_map_edit *edit = NULL;
    if (n->node == NULL) return;
    if (n->writer == NULL && weft_writer_open(n->node, &w->tree, w->author, &n->writer) != WEFT_OK)
        return;
    cr_assert_eq(weft_map_edit_create(&edit), WEFT_OK);
    for (uint32_t i = 1 + world_below(w, 3); i > 0; i--) {
        weft_map_path path = any_path(w);
        weft_err err = world_below(w, 4) == 0
                           ? weft_map_edit_delete(edit, &path)
                           : weft_map_edit_set(edit, &path, weft_map_uint(world_below(w, 1000)));
        cr_assert_eq(err, WEFT_OK);
    }
    bool damaged = world_below(w, 6) == 0;
    p->acked += (damaged ? commit_damaged(w, n, edit)
                         : weft_map_commit(n->writer, DOC, edit, CALL, NULL)) == WEFT_OK;
    weft_map_edit_destroy(edit);
}

static void refresh_somewhere(struct played *p)
{
    uint32_t i = world_below(p->w, p->w->count);
    weft_node *node = p->w->nodes[i].node;
    if (node == NULL) return;
    if (p->maps[i] == NULL) p->maps[i] = open_map(node, &p->w->tree);
    cr_assert_eq(weft_map_refresh(p->maps[i], NULL), WEFT_OK);
}

static void kill(struct played *p, uint32_t i)
{
    weft_map_close(p->maps[i]);
    p->maps[i] = NULL;
    world_kill(p->w, i);
}

static void cut_all(struct world *w, bool cut)
{
    for (uint32_t a = 0; a < w->count; a++)
        for (uint32_t b = a + 1; b < w->count; b++) world_cut(w, a, b, cut);
}

/* Every map that lived through it, and one that is opened now, show the same on all nodes. */
static void expect_one_map(struct played *p)
{
    struct text first = {NULL, 0};
    for (uint32_t i = 0; i < p->w->count; i++) {
        weft_map *fresh = open_map(p->w->nodes[i].node, &p->w->tree);
        weft_map *maps[2] = {p->maps[i], fresh};
        for (int k = 0; k < 2; k++) {
            if (maps[k] == NULL) continue;
            cr_assert_eq(weft_map_refresh(maps[k], NULL), WEFT_OK);
            struct text text = text_of(maps[k]);
            if (first.bytes == NULL) first = text;
            cr_assert_str_eq(text.bytes, first.bytes, "seed %lu, node %u", p->w->seed, i);
            if (first.bytes != text.bytes) free(text.bytes);
        }
        weft_map_info info;
        weft_map_info_get(fresh, &info);
        cr_assert_geq(info.entries + info.skipped, p->acked, "seed %lu", p->w->seed);
        weft_map_close(fresh);
    }
    free(first.bytes);
}

static void end(struct played *p)
{
    for (uint32_t i = 0; i < p->w->count; i++) weft_map_close(p->maps[i]);
    world_destroy(p->w);
}

Test(map, nodes_that_create_one_map_apart_see_the_same_when_they_meet)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct played p = {.w = world_create(seed, seed % 2 == 0 ? WORLD_MESH : WORLD_CHAIN,
                                             2 + (uint32_t)seed % 2, WORLD_PLAIN)};
        cut_all(p.w, true);
        for (int step = 0; step < 40; step++) {
            edit_somewhere(&p);
            refresh_somewhere(&p);
        }
        cut_all(p.w, false);
        for (int step = 0; step < 10; step++) { /* while they meet */
            world_run(p.w, 100 * WEFT_MS);
            edit_somewhere(&p);
            refresh_somewhere(&p);
        }
        cr_assert(world_converges(p.w, 1200 * WEFT_SEC), "seed %lu", seed);
        expect_one_map(&p);
        end(&p);
    }
}

Test(map, kills_and_a_bad_network_change_nothing_about_it)
{
    static const wf_net_faults bad = {.delay_min = WEFT_MS,
                                      .delay_max = 300 * WEFT_MS,
                                      .reset_ppm = 2000,
                                      .dial_fail_ppm = 100000,
                                      .segment_max = 700};
    for (uint64_t seed = 21; seed <= 26; seed++) {
        struct played p = {.w = world_create(seed, WORLD_RING, 3, WORLD_PLAIN)};
        world_faults(p.w, &bad);
        for (int step = 0; step < 60; step++) {
            uint32_t i = world_below(p.w, p.w->count);
            edit_somewhere(&p);
            refresh_somewhere(&p);
            if (world_below(p.w, 8) == 0 && p.w->nodes[i].node != NULL) kill(&p, i);
            else if (p.w->nodes[i].node == NULL) world_start(p.w, i);
            world_run(p.w, world_below(p.w, 500) * WEFT_MS);
        }
        for (uint32_t i = 0; i < p.w->count; i++)
            if (p.w->nodes[i].node == NULL) world_start(p.w, i);
        world_faults(p.w, NULL);
        cr_assert(world_converges(p.w, 2400 * WEFT_SEC), "seed %lu", seed);
        expect_one_map(&p);
        end(&p);
    }
}

/* -- Keys that come and go ------------------------------------------------------------------------ */

enum { GUESTS = 3 };

/* A guest edits what its node shows, if the door lets it. */
static void guest_edits(struct played *p, weft_keypair *const guests[GUESTS])
{
    struct world_node *n = &p->w->nodes[world_below(p->w, p->w->count)];
    weft_writer *writer = NULL;
    weft_map_edit *edit = NULL;
    weft_map_path path = any_path(p->w);
    const weft_keypair *guest = guests[world_below(p->w, GUESTS)];
    cr_assert_eq(weft_writer_open(n->node, &p->w->tree, guest, &writer), WEFT_OK);
    cr_assert_eq(weft_map_edit_create(&edit), WEFT_OK);
    cr_assert_eq(weft_map_edit_set(edit, &path, weft_map_uint(2000)), WEFT_OK);
    weft_err err = weft_map_commit(writer, DOC, edit, CALL, NULL);
    cr_assert(err == WEFT_OK || err == WEFT_FORBIDDEN, "%s", weft_errname(err));
    weft_map_edit_destroy(edit);
    weft_writer_close(writer);
}

/* The owner, at some node, grants that to a guest, above all that is there. */
static void owner_says(struct played *p, const weft_keypair *guest, const wf_grant *grant)
{
    struct world *w = p->w;
    struct world_node *n = &w->nodes[world_below(w, w->count)];
    wf_store *store = n->node->table.wf_store;
    struct wf_settings_text text;
    weft_id tips[WEFT_ENTRY_PARENTS_MAX], id;
    uint8_t payload[256];
    wf_tree_info info;
    wf_map_op op;
    weft_key key;
    size_t len, count;
    bool complete;
    uint64_t height = 0;
    weft_buf *entry = NULL;
    weft_keypair_public(guest, &key);
    wf_settings_grant(&key, grant, &text, &op);
    cr_assert_eq(wf_map_ops_encode(&op, 1, payload, sizeof payload, &len), WEFT_OK);
    if (wf_store_tree(store, &w->tree, &info) != WEFT_OK || !info.has_root) return;
    cr_assert_eq(wf_store_tips(store, info.t, tips, WEFT_ENTRY_PARENTS_MAX, &count, &complete),
                 WEFT_OK);
    for (size_t i = 0; i < count; i++) {
        wf_meta_brief meta;
        cr_assert_eq(wf_store_meta_brief(store, &tips[i], &meta), WEFT_OK);
        if (meta.height >= height) height = meta.height + 1;
    }
    const weft_store_part part = {.name = "_settings", .payload = payload, .payload_len = len};
    const weft_entry_spec spec = {.tree = w->tree,
                                  .parents = tips,
                                  .parents_count = (uint32_t)count,
                                  .height = height,
                                  .stores = &part,
                                  .stores_count = 1};
    cr_assert_eq(weft_entry_build(&spec, w->author, &entry, &id), WEFT_OK);
    cr_assert_eq(weft_add(n->node, &entry, 1, true, CALL, NULL), WEFT_OK);
    weft_buf_unref(entry);
}

static const wf_grant out_again = {WEFT_RIGHT_NONE, 0}, writes = {WEFT_RIGHT_WRITE, 20};

/* Revokes a guest or takes it in again. */
static void owner_decides(struct played *p, weft_keypair *const guests[GUESTS])
{
    const weft_keypair *guest = guests[world_below(p->w, GUESTS)];
    owner_says(p, guest, world_below(p->w, 3) == 0 ? &writes : &out_again);
}

Test(map, nodes_agree_on_what_revoked_keys_wrote_apart)
{
    weft_keypair *guests[GUESTS];
    uint64_t left_out = 0;
    for (uint8_t i = 0; i < GUESTS; i++) {
        const uint8_t seed[32] = {(uint8_t)(101 + i)};
        cr_assert_eq(weft_keypair_from_seed(seed, &guests[i]), WEFT_OK);
    }
    for (uint64_t seed = 61; seed <= 66; seed++) {
        struct played p = {.w = world_create(seed, WORLD_MESH, 3, WORLD_PLAIN)};
        for (int i = 0; i < GUESTS; i++) owner_says(&p, guests[i], &writes);
        world_run(p.w, WEFT_SEC);
        for (int part = 0; part < 4; part++) { /* they part and meet */
            cut_all(p.w, part % 2 == 0);
            for (int step = 0; step < 15; step++) {
                edit_somewhere(&p);
                for (int i = 0; i < 2; i++) guest_edits(&p, guests);
                if (world_below(p.w, 5) == 0) owner_decides(&p, guests);
                refresh_somewhere(&p);
                world_run(p.w, world_below(p.w, 300) * WEFT_MS);
            }
        }
        cr_assert(world_converges(p.w, 2400 * WEFT_SEC), "seed %lu", seed);
        expect_one_map(&p);
        weft_map_info info = {0};
        for (uint32_t i = 0; i < p.w->count; i++)
            if (p.maps[i] != NULL) weft_map_info_get(p.maps[i], &info);
        left_out += info.left_out;
        end(&p);
    }
    cr_expect_gt(left_out, 60, "%d left out", (int)left_out);
    for (int i = 0; i < GUESTS; i++) weft_keypair_destroy(guests[i]);
}

/* -- Disks that fail ----------------------------------------------------------------------------------- */

/* An edit that was answered IO may turn up after the store was opened again, under the number of
 * an arrival that others had expected: maps that were open then see it once, or not at all. */
Test(map, disks_that_fail_and_come_back_leave_one_map)
{
    for (uint64_t seed = 41; seed <= 46; seed++) {
        struct played p = {.w = world_create(seed, WORLD_MESH, 3, WORLD_PLAIN)};
        for (int step = 0; step < 60; step++) {
            wf_kv *kv = p.w->nodes[world_below(p.w, p.w->count)].kv;
            uint32_t dice = world_below(p.w, 6);
            if (dice == 0) wf_kv_memory_fail_at(kv, 1 + world_below(p.w, 3), WEFT_IO, true);
            if (dice == 1) wf_kv_memory_fail_at(kv, 0, WEFT_OK, false);
            edit_somewhere(&p);
            refresh_somewhere(&p);
            world_run(p.w, world_below(p.w, 300) * WEFT_MS);
        }
        for (uint32_t i = 0; i < p.w->count; i++)
            wf_kv_memory_fail_at(p.w->nodes[i].kv, 0, WEFT_OK, false);
        world_run(p.w, 60 * WEFT_SEC);
        cr_assert(world_converges(p.w, 2400 * WEFT_SEC), "seed %lu", seed);
        expect_one_map(&p);
        end(&p);
    }
}

/* -- Short memory: where no other thread could meet it ------------------------------------------ */

Test(map, short_memory_costs_a_try_and_nothing_else)
{
    struct played p = {.w = world_create(51, WORLD_CHAIN, 2, WORLD_PLAIN)};
    uint64_t nth = 1;
    weft_err err = WEFT_NO_MEMORY;
    for (int i = 0; i < 10; i++) edit_somewhere(&p);
    cr_assert(world_converges(p.w, 600 * WEFT_SEC));
    weft_map *whole = open_map(p.w->nodes[0].node, &p.w->tree);
    cr_assert_eq(weft_map_refresh(whole, NULL), WEFT_OK);
    struct text want = text_of(whole);
    weft_map_close(whole);
    for (; err == WEFT_NO_MEMORY && nth < 500; nth++) {
        weft_map *map = NULL;
        wf_alloc_fail_at(nth, 0);
        err = weft_map_open(p.w->nodes[0].node, &p.w->tree, DOC, &map);
        if (err == WEFT_OK) err = weft_map_refresh(map, NULL);
        wf_alloc_fail_at(0, 0);
        if (err != WEFT_OK) cr_assert_eq(err, WEFT_NO_MEMORY, "%s", weft_errname(err));
        if (map != NULL) {
            cr_assert_eq(weft_map_refresh(map, NULL), WEFT_OK);
            struct text text = text_of(map);
            cr_assert_str_eq(text.bytes, want.bytes, "after failure %d", (int)nth);
            free(text.bytes);
        }
        weft_map_close(map);
    }
    cr_assert_eq(err, WEFT_OK);
    cr_expect_gt(nth, 20, "each of ten entries is read into memory");
    free(want.bytes);
    end(&p);
}

Test(map, short_memory_leaves_an_edit_as_it_was)
{
    uint64_t nth = 1;
    weft_err err = WEFT_NO_MEMORY;
    for (; err == WEFT_NO_MEMORY && nth < 20; nth++) {
        weft_map_edit *edit = NULL;
        weft_buf *payload = NULL;
        uint32_t done = 0;
        wf_alloc_fail_at(nth, 1);
        err = weft_map_edit_create(&edit);
        if (err == WEFT_OK) err = weft_map_edit_set(edit, WEFT_MAP_PATH("a"), weft_map_text("x"));
        done += err == WEFT_OK;
        if (err == WEFT_OK) err = weft_map_edit_delete(edit, WEFT_MAP_PATH("b"));
        done += err == WEFT_OK;
        if (err == WEFT_OK) err = weft_map_edit_encode(edit, &payload);
        wf_alloc_fail_at(0, 0);
        if (edit != NULL) cr_expect_eq(weft_map_edit_count(edit), done, "%d", (int)nth);
        weft_buf_unref(payload);
        weft_map_edit_destroy(edit);
    }
    cr_assert_eq(err, WEFT_OK);
    cr_expect_geq(nth, 7);
}

/* -- Over the loopback interface -------------------------------------------------------------- */

struct real {
    weft_node *node;
    weft_writer *writer;
    weft_key key;
    char address[WEFT_ADDRESS_BYTES_MAX];
    weft_map *map;
};

static void real_open(struct real *r)
{
    cr_assert_eq(weft_node_open(NULL, &r->node), WEFT_OK);
    weft_node_key(r->node, &r->key);
    cr_assert_eq(weft_add_transport(r->node, "tcp", "tcp:127.0.0.1:0", CALL), WEFT_OK);
    cr_assert_eq(weft_start_server(r->node, "tcp", CALL), WEFT_OK);
    cr_assert_eq(weft_server_address(r->node, "tcp", CALL, r->address), WEFT_OK);
}

static void real_set(struct real *r, const weft_map_path *path, uint64_t number)
{
    weft_map_edit *edit = NULL;
    cr_assert_eq(weft_map_edit_create(&edit), WEFT_OK);
    cr_assert_eq(weft_map_edit_set(edit, path, weft_map_uint(number)), WEFT_OK);
    cr_assert_eq(weft_map_commit(r->writer, DOC, edit, CALL, NULL), WEFT_OK);
    weft_map_edit_destroy(edit);
}

static void real_sync(struct real *a, struct real *b, const weft_id *tree)
{
    weft_key proven;
    weft_result moved;
    weft_err err = weft_connect(a->node, b->address, &b->key, CALL, &proven);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    cr_assert_eq(weft_peer_relate(a->node, &b->key, tree, CALL), WEFT_OK);
    err = weft_sync_tree(a->node, &b->key, tree, CALL, &moved);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
}

static void real_expect_same(struct real *a, struct real *b, const char *want)
{
    cr_assert_eq(weft_map_refresh(a->map, NULL), WEFT_OK);
    cr_assert_eq(weft_map_refresh(b->map, NULL), WEFT_OK);
    struct text x = text_of(a->map), y = text_of(b->map);
    cr_expect_str_eq(x.bytes, y.bytes);
    cr_expect_eq(strncmp(x.bytes, want, strlen(want)), 0, "%s", x.bytes);
    free(x.bytes);
    free(y.bytes);
}

Test(map, two_real_nodes_that_create_one_map_apart_merge_it)
{
    struct real a = {0}, b = {0};
    const weft_root_spec root = {.everyone = WEFT_RIGHT_WRITE, .everyone_priority = 10};
    weft_keypair *ada = NULL, *bob = NULL;
    weft_buf *first = NULL;
    weft_id tree;
    uint64_t read;
    cr_assert_eq(weft_keypair_create(&ada), WEFT_OK);
    cr_assert_eq(weft_keypair_create(&bob), WEFT_OK);
    real_open(&a);
    real_open(&b);
    cr_assert_eq(weft_tree_create(a.node, ada, &root, CALL, &tree), WEFT_OK);
    cr_assert_eq(weft_tree_follow(a.node, &tree, &b.key, 1, CALL), WEFT_OK);
    cr_assert_eq(weft_tree_follow(b.node, &tree, &a.key, 1, CALL), WEFT_OK);
    /* The root alone goes over by hand: nobody is connected yet. */
    cr_assert_eq(weft_get(a.node, &tree, &first), WEFT_OK);
    cr_assert_eq(weft_add(b.node, &first, 1, false, CALL, NULL), WEFT_OK);
    cr_assert_eq(weft_writer_open(a.node, &tree, ada, &a.writer), WEFT_OK);
    cr_assert_eq(weft_writer_open(b.node, &tree, bob, &b.writer), WEFT_OK);
    a.map = open_map(a.node, &tree);
    b.map = open_map(b.node, &tree);
    real_set(&a, WEFT_MAP_PATH("here"), 1);
    real_set(&a, WEFT_MAP_PATH("both"), 1);
    real_set(&b, WEFT_MAP_PATH("there"), 2);
    real_set(&b, WEFT_MAP_PATH("both"), 2);
    cr_assert_eq(weft_map_refresh(b.map, &read), WEFT_OK);
    cr_expect_eq(read, 2);

    real_sync(&a, &b, &tree);
    real_expect_same(&a, &b, "/both=");
    real_set(&b, WEFT_MAP_PATH("both"), 3); /* made with both in sight */
    real_sync(&a, &b, &tree);
    real_expect_same(&a, &b, "/both=2:3 ");
    cr_assert_eq(weft_map_refresh(a.map, &read), WEFT_OK);
    cr_expect_eq(read, 0);

    weft_buf_unref(first);
    weft_map_close(a.map);
    weft_map_close(b.map);
    weft_writer_close(a.writer);
    weft_writer_close(b.writer);
    weft_node_close(a.node);
    weft_node_close(b.node);
    weft_keypair_destroy(ada);
    weft_keypair_destroy(bob);
}
