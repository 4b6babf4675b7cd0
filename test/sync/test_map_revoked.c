/* SPDX-License-Identifier: Apache-2.0
 * test_map_revoked.c - public maps on one node whose writers are revoked: what goes, when, and what
 * that costs.
 * Called by: meson test. May touch: a memory node, and its engine behind its back.
 * Never: a real disk, a peer (test_map.c has those). */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/log.h>
#include <weft/map.h>

#include "entry_kit.h"
#include "layout.h"
#include "lone.h"
#include "node_internal.h"

#define DOC "doc"

static struct lone lone;
static weft_keypair *guest;

static void setup(void)
{
    lone_open(&lone, NULL, NULL);
    guest = kit_pair(2);
}

static void teardown(void)
{
    weft_keypair_destroy(guest);
    lone_close(&lone);
}

TestSuite(map_revoked, .init = setup, .fini = teardown);

/* -- Short ways ----------------------------------------------------------------------------- */

static weft_id commit_by(const weft_keypair *who, const weft_id *parent, const char *path,
                         uint64_t number)
{
    weft_map_edit *edit = NULL;
    weft_buf *payload = NULL;
    weft_id id;
    cr_assert_eq(weft_map_edit_create(&edit), WEFT_OK);
    cr_assert_eq(weft_map_edit_set(edit, WEFT_MAP_PATH(path), weft_map_uint(number)), WEFT_OK);
    cr_assert_eq(weft_map_edit_set(edit, WEFT_MAP_PATH("last"), weft_map_uint(number)), WEFT_OK);
    cr_assert_eq(weft_map_edit_encode(edit, &payload), WEFT_OK);
    cr_assert_eq(weft_commit_at(lone.node, who, &lone.tree, &(weft_cut){parent, 1}, DOC,
                                weft_buf_bytes(payload), weft_buf_len(payload), WEFT_NEVER, &id),
                 WEFT_OK);
    weft_buf_unref(payload);
    weft_map_edit_destroy(edit);
    return id;
}

static void commit_many(uint64_t count)
{
    weft_map_edit *edit = NULL;
    cr_assert_eq(weft_map_edit_create(&edit), WEFT_OK);
    for (uint64_t i = 0; i < count; i++) {
        cr_assert_eq(weft_map_edit_set(edit, WEFT_MAP_PATH("a"), weft_map_uint(i)), WEFT_OK);
        cr_assert_eq(weft_map_commit(lone.writer, DOC, edit, WEFT_NEVER, NULL), WEFT_OK);
    }
    weft_map_edit_destroy(edit);
}

/* The author grants this to a key, in an entry at this height. */
static weft_id grant(const weft_keypair *whom, const char *what, const weft_id *parent,
                     uint64_t height)
{
    weft_map_edit *edit = NULL;
    weft_buf *payload = NULL, *entry = NULL;
    weft_key key;
    weft_id id;
    char text[2 * WEFT_KEY_BYTES + 1];
    weft_keypair_public(whom, &key);
    for (uint32_t i = 0; i < WEFT_KEY_BYTES; i++)
        snprintf(text + 2 * i, sizeof text - 2 * i, "%02x", key.bytes[i]);
    cr_assert_eq(weft_map_edit_create(&edit), WEFT_OK);
    cr_assert_eq(weft_map_edit_set(edit, WEFT_MAP_PATH("auth", text, "grant"), weft_map_text(what)),
                 WEFT_OK);
    cr_assert_eq(weft_map_edit_encode(edit, &payload), WEFT_OK);
    const weft_store_part part = {.name = "_settings",
                                  .payload = weft_buf_bytes(payload),
                                  .payload_len = weft_buf_len(payload)};
    const weft_entry_spec spec = {.tree = lone.tree,
                                  .parents = parent,
                                  .parents_count = 1,
                                  .height = height,
                                  .stores = &part,
                                  .stores_count = 1};
    cr_assert_eq(weft_entry_build(&spec, lone.author, &entry, &id), WEFT_OK);
    cr_assert_eq(weft_add(lone.node, &entry, 1, true, WEFT_NEVER, NULL), WEFT_OK);
    weft_buf_unref(entry);
    weft_buf_unref(payload);
    weft_map_edit_destroy(edit);
    return id;
}

static weft_map *open_map(const char *store)
{
    weft_map *map = NULL;
    cr_assert_eq(weft_map_open(lone.node, &lone.tree, store, &map), WEFT_OK);
    return map;
}

static uint64_t refresh(weft_map *map)
{
    uint64_t read;
    weft_err err = weft_map_refresh(map, &read);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    return read;
}

struct text {
    char bytes[4096];
    size_t len;
};

static weft_err add_item(void *arg, const weft_map_item *item)
{
    struct text *t = arg;
    for (uint32_t i = 0; i < item->path.depth; i++)
        t->len += (size_t)snprintf(t->bytes + t->len, sizeof t->bytes - t->len, "/%.*s",
                                   (int)item->path.part[i].len, item->path.part[i].text);
    t->len += (size_t)snprintf(t->bytes + t->len, sizeof t->bytes - t->len, "=%d ",
                               (int)item->value.as.uint);
    cr_assert_lt(t->len, sizeof t->bytes);
    return WEFT_OK;
}

/* All leaves, their values as numbers. Valid until the next call. */
static const char *leaves(const weft_map *map)
{
    static struct text text;
    text.len = 0;
    text.bytes[0] = '\0';
    cr_assert_eq(weft_map_each(map, NULL, add_item, &text), WEFT_OK);
    return text.bytes;
}

static weft_map_info info_of(const weft_map *map)
{
    weft_map_info info;
    weft_map_info_get(map, &info);
    return info;
}

static void quiet(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg;
    (void)level;
    (void)facility;
    (void)line;
}

/* The body of an arrival, with one bit flipped. */
static void damage(uint64_t seq)
{
    uint8_t key[WF_KEY_SEQ_BYTES], body[1024];
    wf_kv *kv = wf_store_kv(lone.node->table.wf_store);
    wf_value value;
    wf_batch *batch;
    wf_key_seq(key, 1, seq);
    cr_assert_eq(wf_kv_get(kv, NULL, WF_CF_ENTRY, key, sizeof key, &value), WEFT_OK);
    size_t len = value.len;
    cr_assert_leq(len, sizeof body);
    memcpy(body, value.data, len);
    wf_value_release(kv, &value);
    body[len / 2] ^= 1;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_ENTRY, key, sizeof key, body, len);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

/* -- Tests -------------------------------------------------------------------------------- */

Test(map_revoked, a_revocation_takes_out_what_is_beside_it_whenever_it_comes)
{
    weft_id a = commit_by(lone.author, &lone.tree, "a", 1),
            below = commit_by(guest, &a, "below", 2);
    commit_by(guest, &below, "beside", 3);
    weft_map *map = open_map(DOC);
    refresh(map);
    cr_expect_str_eq(leaves(map), "/a=1 /below=2 /beside=3 /last=3 ");
    weft_id revoked = grant(guest, "none", &below, 3);
    cr_expect_eq(refresh(map), 3, "the map is read anew");
    cr_expect_str_eq(leaves(map), "/a=1 /below=2 /last=2 ");
    cr_expect_eq(info_of(map).left_out, 1);
    cr_expect_eq(info_of(map).entries, 2);
    commit_by(guest, &below, "late", 4);
    cr_expect_eq(refresh(map), 1);
    cr_expect_eq(info_of(map).left_out, 2);
    weft_id granted = grant(guest, "write:7", &revoked, 4);
    commit_by(guest, &granted, "again", 5);
    cr_expect_eq(refresh(map), 1, "nobody else is revoked, so it goes on");
    cr_expect_str_eq(leaves(map), "/a=1 /again=5 /below=2 /last=5 ");
    weft_map_close(map);
}

Test(map_revoked, until_it_is_read_anew_a_map_shows_what_it_did)
{
    weft_err err;
    commit_many(20);
    commit_by(guest, &lone.tree, "beside", 3);
    weft_map *map = open_map(DOC);
    refresh(map);
    char *before = strdup(leaves(map));
    grant(guest, "none", &lone.tree, 1);
    weft_map_budget(map, 3);
    uint32_t turns = 0;
    while ((err = weft_map_refresh(map, NULL)) == WEFT_AGAIN) {
        cr_assert_str_eq(leaves(map), before);
        cr_assert_eq(info_of(map).left_out, 0);
        turns++;
    }
    cr_expect_eq(err, WEFT_OK);
    cr_expect_geq(turns, 7, "21 entries, 3 at a time");
    cr_expect_str_eq(leaves(map), "/a=19 ");
    cr_expect_eq(info_of(map).left_out, 1);
    free(before);
    weft_map_close(map);
}

Test(map_revoked, revoking_a_key_that_never_wrote_in_it_costs_a_map_nothing)
{
    weft_keypair *stranger = kit_pair(3);
    commit_many(20);
    commit_by(guest, &lone.tree, "beside", 3);
    weft_map *map = open_map(DOC);
    refresh(map);
    weft_id revoked = grant(stranger, "none", &lone.tree, 1);
    cr_expect_eq(refresh(map), 0);
    cr_expect_eq(info_of(map).entries, 21);
    commit_by(stranger, &lone.tree, "strange", 4);
    cr_expect_eq(refresh(map), 1, "but it is known");
    cr_expect_eq(info_of(map).left_out, 1);
    grant(guest, "none", &revoked, 2);
    cr_expect_eq(refresh(map), 22, "this one wrote in it");
    cr_expect_eq(info_of(map).left_out, 2);
    weft_map_close(map);
    weft_keypair_destroy(stranger);
}

/* Until its body is healed nobody knows what it says. */
Test(map_revoked, a_damaged_revocation_is_told_and_holds_when_it_is_healed)
{
    weft_buf *whole = NULL;
    uint64_t read;
    weft_log_to(quiet, NULL, WEFT_LOG_ERROR);
    commit_by(guest, &lone.tree, "beside", 3);
    weft_id revoked = grant(guest, "none", &lone.tree, 1);
    cr_assert_eq(weft_get(lone.node, &revoked, &whole), WEFT_OK);
    damage(3);
    weft_map *map = open_map(DOC);
    for (int again = 0; again < 2; again++) {
        cr_expect_eq(weft_map_refresh(map, &read), WEFT_CORRUPT);
        cr_expect_eq(info_of(map).damaged, 1);
        cr_expect_str_eq(leaves(map), "/beside=3 /last=3 ");
    }
    cr_assert_eq(weft_add(lone.node, &whole, 1, true, WEFT_NEVER, NULL), WEFT_OK);
    cr_expect_eq(refresh(map), 1);
    cr_expect_eq(info_of(map).damaged, 0);
    cr_expect_eq(info_of(map).left_out, 1);
    cr_expect_str_eq(leaves(map), "");
    weft_map_close(map);
    weft_buf_unref(whole);
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
}

Test(map_revoked, settings_are_shown_whole_and_a_cut_knows_its_own_revocations_only)
{
    weft_id beside = commit_by(guest, &lone.tree, "beside", 3);
    weft_id revoked = grant(guest, "none", &lone.tree, 1), both[2] = {beside, revoked};
    weft_map *maps[2], *settings = open_map("_settings");
    cr_assert_eq(weft_map_open_at(lone.node, &lone.tree, DOC, &(weft_cut){&beside, 1}, &maps[0]),
                 WEFT_OK);
    cr_assert_eq(weft_map_open_at(lone.node, &lone.tree, DOC, &(weft_cut){both, 2}, &maps[1]),
                 WEFT_OK);
    for (int i = 0; i < 2; i++) refresh(maps[i]);
    cr_expect_str_eq(leaves(maps[0]), "/beside=3 /last=3 ");
    cr_expect_str_eq(leaves(maps[1]), "");
    cr_expect_eq(refresh(settings), 2);
    for (int i = 0; i < 2; i++) weft_map_close(maps[i]);
    weft_map_close(settings);
}
