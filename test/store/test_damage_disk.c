/* SPDX-License-Identifier: Apache-2.0
 * test_damage_disk.c - a block of a table on the disk goes bad: what is in it is never
 * given out, and healed by the same entries.
 * Called by: meson test. May touch: a directory of its own. Never: the simulator. */
#include <criterion/criterion.h>
#include <string.h>

#include "crypto.h"
#include "kv_kit.h"
#include "layout.h"
#include "store_kit.h"

#define ENTRIES 300u

static char dir[64];
static weft_rt *rt;
static wf_store *store;
static weft_addr *addr;
static weft_keypair *author;
static sk_dag *dag;

static void open_store(void)
{
    cr_assert_eq(weft_rt_create(&rt), WEFT_OK);
    cr_assert_eq(wf_store_open(kk_open(&kk_rocksdb, dir), rt, &store), WEFT_OK);
    struct wf_store_actor_options options = {.store = store, .sync = true};
    cr_assert_eq(wf_store_actor_spawn(rt, &options, &addr), WEFT_OK);
}

static void close_store(void)
{
    weft_addr_put(addr);
    cr_assert_eq(weft_rt_stop(rt, weft_rt_after(rt, 60 * WEFT_SEC)), WEFT_OK);
    wf_store_close(store);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
}

static void setup(void)
{
    cr_assert_eq(wf_crypto_init(), WEFT_OK);
    author = kit_pair(1);
    dag = sk_dag_create(SK_MERGES, ENTRIES, author, 6);
    kk_dir_create(dir);
    sk_quiet(true);
}

static void teardown(void)
{
    sk_quiet(false);
    kk_dir_remove(dir);
    sk_dag_destroy(dag);
    weft_keypair_destroy(author);
}

TestSuite(damage_disk, .init = setup, .fini = teardown);

static weft_err commit(uint32_t from, uint32_t count)
{
    struct wf_commit *msg = wf_commit_create(count);
    msg->create_trees = true;
    for (uint32_t i = 0; i < count; i++) {
        msg->entries[i] = weft_buf_ref(dag->bufs[from + i]);
        msg->ids[i] = dag->ids[from + i];
    }
    weft_request *back = NULL;
    weft_err err = weft_call(addr, &msg->req, weft_rt_after(rt, 60 * WEFT_SEC), &back, NULL);
    if (back != NULL) weft_drop(&back->msg);
    return err;
}

static weft_err get(uint32_t i)
{
    weft_buf *buf = NULL;
    weft_err err = wf_store_get(store, &dag->ids[i], &buf);
    if (err == WEFT_OK) {
        cr_assert_eq(weft_buf_len(buf), weft_buf_len(dag->bufs[i]));
        cr_assert_arr_eq(weft_buf_bytes(buf), weft_buf_bytes(dag->bufs[i]), weft_buf_len(buf));
    }
    weft_buf_unref(buf);
    return err;
}

static uint64_t damaged(void)
{
    struct wf_store_counters c;
    wf_store_counters_read(store, &c);
    return c.damaged;
}

static uint32_t flip_bytes_in_tables(const void *bytes, size_t len)
{
    return kk_flip(dir, ".sst", bytes, len);
}

static uint32_t flip_in_tables(uint32_t entry)
{
    return flip_bytes_in_tables(weft_buf_bytes(dag->bufs[entry]), weft_buf_len(dag->bufs[entry]));
}

Test(damage_disk, a_bad_block_of_a_table_is_healed_body_by_body)
{
    bool bad[ENTRIES] = {false};
    uint32_t count = 0;
    open_store();
    cr_assert_eq(commit(0, ENTRIES), WEFT_OK);
    close_store(); /* which moves all of it into tables */
    cr_assert_eq(flip_in_tables(7), 1);

    open_store();
    for (uint32_t i = 0; i < ENTRIES; i++) {
        weft_err err = get(i);
        cr_assert(err == WEFT_OK || err == WEFT_CORRUPT, "%s", weft_errname(err));
        bad[i] = err == WEFT_CORRUPT;
        count += bad[i];
    }
    cr_expect(bad[7]);
    cr_expect(count < ENTRIES / 2, "the other blocks are sound; %u entries are lost", count);
    cr_expect_eq(damaged(), count);
    for (uint32_t i = 0; i < ENTRIES; i++)
        if (bad[i]) cr_assert_eq(commit(i, 1), WEFT_OK, "entry %u", i);
    cr_expect_eq(damaged(), 0);
    for (uint32_t i = 0; i < ENTRIES; i++) cr_expect_eq(get(i), WEFT_OK, "entry %u", i);
    close_store();

    open_store(); /* the new bytes lie in a newer table: they are found first */
    for (uint32_t i = 0; i < ENTRIES; i++) cr_expect_eq(get(i), WEFT_OK, "entry %u", i);
    cr_expect_eq(damaged(), 0);
    sk_expect_dag(store, dag, NULL);
    close_store();
}

/* -- Indexes ---------------------------------------------------------------------------------------- */

/* The top of the trie: number and digest of all entries, which are in no other record. */
static uint32_t flip_in_trie(void)
{
    uint8_t key[WF_KEY_TRIE_BYTES_MAX], top[64];
    wf_value value;
    wf_kv *kv = kk_open(&kk_rocksdb, dir);
    cr_assert_eq(wf_kv_get(kv, NULL, WF_CF_TRIE, key, wf_key_trie_top(key, 1), &value), WEFT_OK);
    size_t len = value.len;
    cr_assert_leq(len, sizeof top);
    memcpy(top, value.data, len);
    wf_value_release(kv, &value);
    wf_kv_close(kv);
    return flip_bytes_in_tables(top, len);
}

Test(damage_disk, a_bad_block_of_a_trie_goes_with_its_table_while_the_store_is_open)
{
    wf_gen_walk *walk = NULL;
    wf_check_report report;
    weft_err err = WEFT_CORRUPT;
    open_store();
    cr_assert_eq(commit(0, ENTRIES - 20), WEFT_OK);
    close_store();
    cr_assert_geq(flip_in_trie(), 1);

    open_store();
    cr_assert_eq(wf_gen_walk_create(store, 1, 0, NULL, &walk), WEFT_OK);
    cr_assert_eq(commit(ENTRIES - 20, 1), WEFT_CORRUPT);
    for (int i = 0; i < 50; i++)
        cr_expect_eq(commit(ENTRIES - 20, 1), WEFT_CORRUPT, "a reader has something of the engine");
    wf_gen_walk_destroy(walk);
    for (uint64_t until = weft_rt_now(rt) + 60 * WEFT_SEC;
         err == WEFT_CORRUPT && weft_rt_now(rt) < until;)
        err = commit(ENTRIES - 20, 1);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    cr_assert_eq(commit(ENTRIES - 20, 20), WEFT_OK);
    cr_assert_eq(wf_store_check(store, true, &report), WEFT_OK);
    cr_expect_eq(wf_check_faults(&report), 0);
    close_store();
    open_store();
    sk_expect_dag(store, dag, NULL);
    sk_expect_clean(store);
    close_store();
}
