/* SPDX-License-Identifier: Apache-2.0
 * test_rights.c - who may read a tree, by its settings and by the list of readers.
 * Called by: meson test. May touch: the store, in the simulator; its memory and its engine fail.
 * Never: a real thread. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "rights_kit.h"
#include "standing_model.h"
#include "state.h"
#include "stats.h"

enum { ALICE = 2, BOB, CAROL, STRANGER };

static sk_node node;
static rk_tree tree;

static void setup(void)
{
    sk_node_open(&node, 1);
    rk_open(&node, &tree, 1, WEFT_RIGHT_NONE);
}

static void teardown(void)
{
    sk_node_close(&node);
    rk_close(&tree);
    rk_end();
}

TestSuite(rights, .init = setup, .fini = teardown);

#define GRANT(key, text) cr_assert_eq(rk_grant(&node, &tree, key, text), WEFT_OK)
#define MAY(key) cr_assert(rk_may(&node, &tree, key))
#define MAY_NOT(key) cr_assert_not(rk_may(&node, &tree, key))

/* -- What gives the right to read --------------------------------------------------------- */

Test(rights, a_grant_lets_read_and_its_revocation_ends_it)
{
    MAY(RK_OWNER);
    MAY_NOT(ALICE);
    GRANT(ALICE, "read");
    MAY(ALICE);
    MAY_NOT(BOB);
    GRANT(ALICE, "none");
    MAY_NOT(ALICE);
    GRANT(ALICE, "write:4");
    MAY(ALICE);
    GRANT(ALICE, NULL);
    MAY_NOT(ALICE);
}

Test(rights, everyone_reads_by_a_star_but_for_who_is_revoked)
{
    GRANT(ALICE, "none");
    GRANT(RK_EVERYONE, "read");
    MAY(STRANGER);
    MAY_NOT(ALICE);
    GRANT(ALICE, NULL);
    MAY(ALICE);
    GRANT(RK_EVERYONE, "none");
    MAY_NOT(STRANGER);
}

Test(rights, a_key_on_the_list_reads_unless_it_is_revoked)
{
    const weft_key list[] = {*rk_key(ALICE), *rk_key(BOB)};
    cr_assert_eq(sk_follow(&node, &tree.tree, true, list, 2), WEFT_OK);
    MAY(ALICE);
    MAY(BOB);
    MAY_NOT(CAROL);
    GRANT(ALICE, "none");
    MAY_NOT(ALICE);
    MAY(BOB);
    GRANT(ALICE, NULL);
    MAY(ALICE);
}

Test(rights, of_several_keys_one_is_enough)
{
    GRANT(ALICE, "none");
    GRANT(BOB, "read");
    const weft_key both[] = {*rk_key(ALICE), *rk_key(STRANGER), *rk_key(BOB)};
    cr_assert(wf_store_may_read_as(node.store, &tree.tree, both, 3));
    cr_assert_not(wf_store_may_read_as(node.store, &tree.tree, both, 2));
    cr_assert_not(wf_store_may_read_as(node.store, &tree.tree, both, 0));
}

Test(rights, a_tree_that_is_not_served_is_read_by_nobody)
{
    const weft_key list[] = {*rk_key(BOB)};
    GRANT(ALICE, "read");
    GRANT(RK_EVERYONE, "read");
    cr_assert_eq(sk_follow(&node, &tree.tree, false, list, 1), WEFT_OK);
    for (uint8_t key = RK_OWNER; key <= STRANGER; key++) MAY_NOT(key);
    cr_assert_eq(sk_follow(&node, &tree.tree, true, NULL, 0), WEFT_OK);
    for (uint8_t key = RK_OWNER; key <= STRANGER; key++) MAY(key);
}

Test(rights, a_tree_without_its_root_is_read_by_who_is_on_the_list)
{
    weft_id other = kit_id(7);
    struct wf_right_now now;
    cr_assert_eq(sk_follow(&node, &other, true, rk_key(ALICE), 1), WEFT_OK);
    cr_assert(wf_store_may_read(node.store, &other, rk_key(ALICE)));
    cr_assert_not(wf_store_may_read(node.store, &other, rk_key(BOB)));
    cr_assert_eq(wf_store_right(node.store, &other, rk_key(ALICE), &now), WEFT_OK);
    cr_assert(now.right == WEFT_RIGHT_NONE && now.listed && !now.revoked);
}

/* -- What is shown ---------------------------------------------------------------------------- */

Test(rights, the_right_of_a_key_is_the_stronger_one)
{
    struct wf_right_now now;
    weft_id other = kit_id(7);
    GRANT(RK_EVERYONE, "write:5");
    GRANT(ALICE, "write:9");
    GRANT(BOB, "write:2");
    GRANT(CAROL, "none");
    const struct {
        uint8_t key;
        weft_right right;
        uint32_t priority;
        bool revoked;
    } want[] = {{RK_OWNER, WEFT_RIGHT_ADMIN, 0, false},
                {ALICE, WEFT_RIGHT_WRITE, 5, false},
                {BOB, WEFT_RIGHT_WRITE, 2, false},
                {CAROL, WEFT_RIGHT_NONE, 0, true},
                {STRANGER, WEFT_RIGHT_WRITE, 5, false}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        cr_assert_eq(wf_store_right(node.store, &tree.tree, rk_key(want[i].key), &now), WEFT_OK);
        cr_assert_eq(now.right, want[i].right, "key %u", want[i].key);
        cr_assert_eq(now.priority, want[i].priority, "key %u", want[i].key);
        cr_assert_eq(now.revoked, want[i].revoked, "key %u", want[i].key);
    }
    cr_assert_eq(wf_store_right(node.store, &other, rk_key(ALICE), &now), WEFT_TREE);
}

Test(rights, grants_are_listed_by_key_with_their_names)
{
    rk_say says[] = {{.key = ALICE, .text = "read"},
                     {.key = ALICE, .name = "Alice of the hill"},
                     {.key = BOB, .text = "none"},
                     {.key = CAROL, .name = "without a grant"},
                     {.key = RK_EVERYONE, .text = "write:3"}};
    char long_name[101] = {0};
    memset(long_name, 'x', 100);
    rk_say longer = {.key = BOB, .name = long_name};
    weft_id ids[2];
    weft_buf *bufs[] = {rk_next(&tree, RK_OWNER, says, 5, &ids[0]),
                        rk_next(&tree, RK_OWNER, &longer, 1, &ids[1])};
    cr_assert_eq(sk_commit(&node, bufs, ids, 2, false, NULL), WEFT_OK);
    weft_grant got[5];
    size_t count = 3;
    cr_assert_eq(wf_store_grants(node.store, &tree.tree, got, &count), WEFT_LIMIT);
    cr_assert_eq(count, 4);
    count = 5;
    cr_assert_eq(wf_store_grants(node.store, &tree.tree, got, &count), WEFT_OK);
    cr_assert_eq(count, 4);
    cr_assert(got[0].everyone && got[0].right == WEFT_RIGHT_WRITE && got[0].priority == 3);
    for (size_t i = 1; i < 4; i++) {
        bool alice = weft_key_equal(&got[i].key, rk_key(ALICE));
        bool bob = weft_key_equal(&got[i].key, rk_key(BOB));
        cr_assert_eq(got[i].right, alice ? WEFT_RIGHT_READ
                                   : bob ? WEFT_RIGHT_NONE
                                         : WEFT_RIGHT_ADMIN);
        cr_assert_eq(got[i].revoked, bob);
        cr_assert_str_eq(got[i].name, alice ? "Alice of the hill" : "");
        if (i > 1) cr_assert_lt(weft_key_compare(&got[i - 1].key, &got[i].key), 0);
    }
    for (int i = 0; i < 2; i++) weft_buf_unref(bufs[i]);
}

/* -- A function of the set ------------------------------------------------------------------------ */

#define ENTRIES 24u
#define PEOPLE 6u

struct history {
    weft_buf *bufs[ENTRIES];
    weft_id ids[ENTRIES];
    uint64_t gens[ENTRIES], heights[ENTRIES], below[ENTRIES];
    bool settings[ENTRIES];
    uint8_t about[ENTRIES]; /* and what it says of whom */
    const char *text[ENTRIES];
};

static const char *const texts[] = {"read", "none", "write:3", "admin:7", NULL};

/* Two that say the same on the same ones are one. */
static bool is_new(const struct history *h, uint32_t i)
{
    for (uint32_t at = 0; at < i; at++)
        if (weft_id_equal(&h->ids[at], &h->ids[i])) return false;
    return true;
}

/* Entry i, by the owner, on random ones before it. Some name the stores' parents, some do not. */
static void invent_one(struct history *h, uint32_t i, kit_random *r)
{
    weft_id parents[3], named[3];
    uint32_t count = 0, named_count = 0;
    bool names = kit_below(r, 2) == 0;
    for (uint32_t want = 1 + kit_below(r, 3); want > 0; want--) {
        uint32_t at = kit_below(r, i);
        parents[count++] = h->ids[at];
        h->below[i] |= h->below[at] | UINT64_C(1) << at;
        if (names && h->settings[at]) named[named_count++] = h->ids[at];
        if (h->gens[at] >= h->gens[i]) h->gens[i] = h->gens[at] + 1;
        if (h->heights[at] >= h->heights[i]) h->heights[i] = h->heights[at] + 1;
    }
    h->settings[i] = kit_below(r, 4) != 0;
    h->about[i] = (uint8_t)(ALICE - 1 + kit_below(r, PEOPLE));
    if (h->about[i] == RK_OWNER) h->about[i] = RK_EVERYONE;
    do h->text[i] = texts[kit_below(r, 5)];
    while (h->about[i] == RK_EVERYONE && h->text[i] == texts[3]);
    rk_say say = {.key = h->about[i], .text = h->text[i]};
    weft_buf *payload = rk_payload(&say, 1);
    sk_entry e = {.tree = h->ids[0], .parents = parents, .parents_count = count};
    e.height = h->heights[i];
    if (h->settings[i]) {
        e.name = "_settings";
        e.store_parents = named;
        e.store_parents_count = named_count;
        e.payload = weft_buf_bytes(payload);
        e.payload_len = weft_buf_len(payload);
    }
    h->bufs[i] = sk_build(&e, rk_pair(RK_OWNER), &h->ids[i]);
    weft_buf_unref(payload);
}

static void invent(struct history *h, uint64_t seed)
{
    kit_random r = {seed};
    *h = (struct history){.settings = {true}, .about = {RK_OWNER}, .text = {"admin:0"}};
    h->bufs[0] = sk_root(rk_pair(RK_OWNER), (uint8_t)seed, WEFT_HEIGHT_INCREMENTAL, WEFT_RIGHT_NONE,
                         &h->ids[0]);
    for (uint32_t i = 1; i < ENTRIES; i++) {
        invent_one(h, i, &r);
        while (!is_new(h, i)) {
            weft_buf_unref(h->bufs[i]);
            h->gens[i] = h->heights[i] = h->below[i] = 0;
            invent_one(h, i, &r);
        }
    }
}

/* As the model has it. */
static const struct sm_history *model(const struct history *h)
{
    static struct sm_history m;
    m.count = ENTRIES;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct sm_entry *e = &m.list[i];
        *e = (struct sm_entry){.at = {h->gens[i], h->ids[i]},
                               .below = h->below[i],
                               .author = RK_OWNER,
                               .settings = h->settings[i],
                               .key = h->about[i] == RK_EVERYONE ? SM_EVERYONE : h->about[i]};
        if (h->settings[i]) e->says = h->text[i] == NULL ? SM_DELETES : SM_GRANTS;
        if (e->says == SM_GRANTS)
            cr_assert_eq(wf_grant_read(h->text[i], strlen(h->text[i]), &e->grant), WEFT_OK);
    }
    return &m;
}

static bool reads(const struct history *h, const bool *here, uint8_t key)
{
    uint64_t universe = 0;
    bool revoked;
    for (uint32_t i = 0; i < ENTRIES; i++) universe |= (uint64_t)here[i] << i;
    const struct sm_history *m = model(h);
    const struct sm_verdict v = sm_judge(m, universe);
    return sm_right(m, &v, key, &revoked).right >= WEFT_RIGHT_READ;
}

static void expect_rights(const struct history *h, const bool *here, uint64_t seed)
{
    for (uint8_t key = RK_OWNER; key < ALICE + PEOPLE; key++) {
        cr_assert_eq(wf_store_may_read(node.store, &h->ids[0], rk_key(key)), reads(h, here, key),
                     "seed %llu key %u", (unsigned long long)seed, key);
    }
}

/* Sends them one by one in a random order: what comes before its parents waits for them. */
static void send_shuffled(const struct history *h, uint64_t seed)
{
    kit_random r = {seed * 77};
    uint32_t order[ENTRIES];
    for (uint32_t i = 0; i < ENTRIES; i++) {
        uint32_t at = kit_below(&r, i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    for (uint32_t i = 0; i < ENTRIES; i++) {
        bool here[ENTRIES];
        struct wf_ingest *frame = sk_frame(&node, 3, i + 1, &h->ids[0], &h->bufs[order[i]],
                                           &h->ids[order[i]], 1);
        frame->raw = true;
        cr_assert_eq(sk_ingest(&node, frame)->err, WEFT_OK);
        for (uint32_t e = 0; e < ENTRIES; e++) {
            wf_meta_brief brief;
            here[e] = wf_store_meta_brief(node.store, &h->ids[e], &brief) == WEFT_OK;
        }
        expect_rights(h, here, seed);
    }
}

Test(rights, are_the_same_in_any_order_of_arrival)
{
    static struct history h;
    bool all[ENTRIES];
    memset(all, true, sizeof all);
    for (uint64_t seed = 1; seed <= 40; seed++) {
        invent(&h, seed);
        sk_node_close(&node);
        sk_node_open(&node, seed);
        cr_assert_eq(sk_follow(&node, &h.ids[0], true, NULL, 0), WEFT_OK);
        send_shuffled(&h, seed);
        expect_rights(&h, all, seed);
        sk_node_crash(&node, 0);
        expect_rights(&h, all, seed);
        for (uint32_t i = 0; i < ENTRIES; i++) weft_buf_unref(h.bufs[i]);
    }
}

/* -- When something fails ---------------------------------------------------------------------------- */

Test(rights, outlive_a_restart_and_a_failed_batch)
{
    GRANT(ALICE, "read");
    GRANT(BOB, "read");
    sk_quiet(true);
    wf_kv_memory_fail_at(node.kv, 1, WEFT_IO, true);
    cr_assert_eq(rk_grant(&node, &tree, BOB, "none"), WEFT_IO);
    MAY(ALICE);
    MAY(BOB);
    wf_kv_memory_fail_at(node.kv, 0, WEFT_OK, false);
    wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 60 * WEFT_SEC);
    sk_quiet(false);
    MAY(ALICE);
    cr_assert_eq(rk_grant(&node, &tree, BOB, "none"), WEFT_OK);
    MAY_NOT(BOB);
    sk_node_crash(&node, 0);
    MAY(ALICE);
    MAY_NOT(BOB);
}

/* The nth allocation of what follows the write fails, for each n: then nobody reads, and a
 * moment later those who may do. */
Test(rights, short_memory_lets_nobody_read_until_it_is_there_again)
{
    uint32_t unknown = 0;
    uint64_t asked = UINT64_MAX;
    sk_quiet(true);
    GRANT(ALICE, "read");
    cr_assert_eq(sk_follow(&node, &tree.tree, true, rk_key(STRANGER), 1), WEFT_OK);
    for (uint64_t nth = 1; asked >= nth; nth++) {
        struct wf_right_now now;
        rk_tree before = tree;
        weft_id id;
        rk_say say = {.key = BOB, .text = nth % 2 == 0 ? "read" : "none"};
        weft_buf *buf = rk_next(&tree, RK_OWNER, &say, 1, &id);
        struct wf_commit *commit = wf_commit_create(1);
        commit->entries[0] = buf;
        commit->ids[0] = id;
        weft_request *back = NULL;
        bool taken = false;
        wf_alloc_fail_at(nth, 1);
        weft_err err = weft_call(node.addr, &commit->req, WEFT_NEVER, &back, &taken);
        asked = wf_alloc_fail_at(0, 0) + 1; /* fewer: it was not met */
        if (back != NULL) weft_drop(&back->msg);
        else if (!taken) weft_drop(&commit->req.msg);
        if (err != WEFT_OK) { /* it may have stopped the store */
            tree = before;
            wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 60 * WEFT_SEC);
        }
        weft_err known = wf_store_right(node.store, &tree.tree, rk_key(BOB), &now);
        if (known != WEFT_OK) {
            unknown++;
            cr_assert_eq(known, WEFT_NO_MEMORY);
            MAY_NOT(RK_OWNER);
            MAY_NOT(ALICE);
            MAY_NOT(STRANGER); /* who is on the list may have been revoked */
            wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 2 * WEFT_SEC);
            GRANT(CAROL, "none");
        }
        MAY(ALICE);
        MAY(STRANGER);
        MAY_NOT(CAROL);
    }
    sk_quiet(false);
    cr_assert_gt(unknown, 0, "else nothing was tested");
}

/* -- What a question costs ------------------------------------------------------------------------- */

static uint32_t steps_of(const weft_id *id, uint8_t key, bool may)
{
    uint32_t steps = 0;
    cr_assert_eq(wf_rights_ask(node.store, id, rk_key(key), 1, &steps), may);
    return steps;
}

Test(rights, the_steps_for_unknown_and_forbidden_are_equal)
{
    const weft_id unknown = kit_id(200);
    rk_tree disabled, empty;
    rk_say says[200];
    weft_id id;
    for (uint8_t i = 0; i < 200; i++) says[i] = (rk_say){.key = (uint8_t)(20 + i), .text = "read"};
    weft_buf *buf = rk_next(&tree, RK_OWNER, says, 200, &id);
    cr_assert_eq(sk_commit(&node, &buf, &id, 1, false, NULL), WEFT_OK);
    weft_buf_unref(buf);
    const weft_key list[] = {*rk_key(BOB), *rk_key(CAROL)};
    cr_assert_eq(sk_follow(&node, &tree.tree, true, list, 2), WEFT_OK);
    rk_open(&node, &disabled, 8, WEFT_RIGHT_READ);
    cr_assert_eq(sk_follow(&node, &disabled.tree, false, NULL, 0), WEFT_OK);
    rk_open(&node, &empty, 9, WEFT_RIGHT_NONE);
    const uint32_t steps = steps_of(&unknown, STRANGER, false);
    cr_assert_gt(steps, 0);
    cr_assert_eq(steps_of(&tree.tree, STRANGER, false), steps, "forbidden");
    cr_assert_eq(steps_of(&disabled.tree, STRANGER, false), steps, "not served");
    cr_assert_eq(steps_of(&empty.tree, STRANGER, false), steps, "without grants");
    cr_assert_eq(steps_of(&tree.tree, 20, true), steps, "granted");
    cr_assert_eq(steps_of(&tree.tree, BOB, true), steps, "listed");
    rk_close(&disabled);
    rk_close(&empty);
}

Test(rights, their_memory_is_accounted_for)
{
    weft_store_stats before, after;
    wf_store_stats_read(node.store, &before);
    rk_say says[100];
    weft_id id;
    for (uint8_t i = 0; i < 100; i++) says[i] = (rk_say){.key = (uint8_t)(20 + i), .text = "read"};
    weft_buf *buf = rk_next(&tree, RK_OWNER, says, 100, &id);
    cr_assert_eq(sk_commit(&node, &buf, &id, 1, false, NULL), WEFT_OK);
    weft_buf_unref(buf);
    wf_store_stats_read(node.store, &after);
    cr_assert_geq(after.tree_bytes - before.tree_bytes, 100 * 40);
    cr_assert_lt(after.tree_bytes - before.tree_bytes, 100 * 60);
}
