/* SPDX-License-Identifier: Apache-2.0
 * test_revoked.c - what revocations take out of views, against the rule told by sets of ancestors.
 * Called by: meson test. May touch: the memory engine. Never: a disk, a real thread. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "kv_faulty.h"
#include "state.h"
#include "store_kit.h"
#include "view.h"

#define KEYS 5u
#define ENTRIES 60u /* sets of them are bits */
#define DOC "doc"

/* -- A history, and the rule --------------------------------------------------------------- */

enum { NO_OP = -2, DELETE = -1, REVOKE = 0 };
static const wf_grant grants[] = {{WEFT_RIGHT_NONE, 0},
                                  {WEFT_RIGHT_WRITE, 1},
                                  {WEFT_RIGHT_ADMIN, 9},
                                  {WEFT_RIGHT_ADMIN, 5},
                                  {WEFT_RIGHT_ADMIN, 0}};

struct made {
    weft_buf *buf;
    weft_id id;
    uint64_t gen, below; /* the bits of all its ancestors */
    uint32_t author, key;
    int op;    /* what it says of `key`'s grant: one of `grants`, or one of the above */
    char path; /* 0: it does not write the doc */
};

static struct {
    weft_keypair *keys[KEYS];
    struct made list[ENTRIES];
    uint32_t count;
} all;

static void setup(void)
{
    for (uint32_t i = 0; i < KEYS; i++) all.keys[i] = kit_pair((uint8_t)(i + 1));
    all.count = 0;
    sk_quiet(true);
}

static void forget(void)
{
    for (uint32_t i = 0; i < all.count; i++) weft_buf_unref(all.list[i].buf);
    all.count = 0;
}

static void teardown(void)
{
    sk_quiet(false);
    forget();
    for (uint32_t i = 0; i < KEYS; i++) weft_keypair_destroy(all.keys[i]);
}

TestSuite(revoked, .init = setup, .fini = teardown);

static bool newer(uint32_t a, uint32_t b)
{
    const wf_stamp x = {all.list[a].gen, all.list[a].id}, y = {all.list[b].gen, all.list[b].id};
    return wf_stamp_compare(&x, &y) > 0;
}

/* What was said last of a key below an entry; -1: nothing. */
static int said(uint32_t key, uint32_t below)
{
    int last = -1;
    for (uint32_t i = 0; i < all.count; i++) {
        const struct made *m = &all.list[i];
        if (m->op == NO_OP || m->key != key || (all.list[below].below >> i & 1) == 0) continue;
        if (last < 0 || newer(i, (uint32_t)last)) last = (int)i;
    }
    return last;
}

static wf_grant right_below(uint32_t key, uint32_t entry)
{
    int last = said(key, entry);
    if (last < 0 || all.list[last].op == DELETE) return grants[REVOKE]; /* everyone has nothing */
    return grants[all.list[last].op];
}

static bool is_out(uint32_t x, const wf_grant *level, uint64_t in_force)
{
    bool by_grant = false;
    int last = said(all.list[x].author, x);
    for (uint32_t r = 0; r < all.count; r++) {
        const struct made *m = &all.list[r];
        if ((in_force >> r & 1) == 0 || m->key != all.list[x].author) continue;
        const wf_grant strength = right_below(m->author, r);
        if (level != NULL && wf_grant_compare(&strength, level) <= 0) continue;
        if (r == x || (m->below >> x & 1) != 0) continue;
        if (last < 0 || (all.list[last].below >> r & 1) == 0) return true;
        by_grant = true;
    }
    return by_grant && is_out((uint32_t)last, level, in_force);
}

/* The revocations among `universe` that are in force: those of the strongest authors first. */
static uint64_t revocations_in_force(uint64_t universe)
{
    uint64_t in_force = 0, done = 0;
    for (;;) {
        int best = -1;
        wf_grant most = {WEFT_RIGHT_NONE, 0};
        for (uint32_t r = 1; r < all.count; r++) {
            if (all.list[r].op != REVOKE || ((universe & ~done) >> r & 1) == 0) continue;
            const wf_grant strength = right_below(all.list[r].author, r);
            if (best >= 0 && wf_grant_compare(&strength, &most) <= 0) continue;
            best = (int)r;
            most = strength;
        }
        if (best < 0) return in_force;
        done |= UINT64_C(1) << best;
        if (!is_out((uint32_t)best, &most, in_force)) in_force |= UINT64_C(1) << best;
    }
}

/* -- Making entries --------------------------------------------------------------------------- */

static size_t settings_of(const struct made *m, uint8_t *out, size_t room)
{
    struct wf_settings_text text;
    wf_map_op op;
    weft_key key;
    size_t len;
    weft_keypair_public(all.keys[m->key], &key);
    wf_settings_grant(&key, &grants[m->op == DELETE ? 0 : m->op], &text, &op);
    if (m->op == DELETE) op = (wf_map_op){.path = op.path};
    cr_assert_eq(wf_map_ops_encode(&op, 1, out, room, &len), WEFT_OK);
    return len;
}

static size_t edit_of(uint32_t number, char path, uint8_t *out, size_t room)
{
    wf_map_op op = {.path = {1, {{&path, 1}}}, .set = true, .value = weft_map_uint(number)};
    size_t len;
    cr_assert_eq(wf_map_ops_encode(&op, 1, out, room, &len), WEFT_OK);
    return len;
}

/* Builds the next entry and commits it to `node`; false: the door let it not in. */
static bool add(sk_node *node, struct made m, const uint32_t *above, uint32_t count)
{
    uint8_t edit[64], settings[256];
    weft_id parents[2];
    weft_store_part parts[2];
    uint32_t parts_count = 0;
    cr_assert_lt(all.count, ENTRIES);
    m.gen = m.below = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct made *parent = &all.list[above[i]];
        parents[i] = parent->id;
        m.below |= parent->below | UINT64_C(1) << above[i];
        if (parent->gen >= m.gen) m.gen = parent->gen + 1;
    }
    if (m.op != NO_OP)
        parts[parts_count++] = (weft_store_part){.name = "_settings",
                                                 .payload = settings,
                                                 .payload_len = settings_of(&m, settings, 256)};
    if (m.path != 0)
        parts[parts_count++] = (weft_store_part){
            .name = DOC, .payload = edit, .payload_len = edit_of(all.count, m.path, edit, 64)};
    const weft_entry_spec spec = {.tree = all.list[0].id,
                                  .parents = parents,
                                  .parents_count = count,
                                  .height = m.gen,
                                  .stores = parts,
                                  .stores_count = parts_count};
    cr_assert_eq(weft_entry_build(&spec, all.keys[m.author], &m.buf, &m.id), WEFT_OK);
    if (sk_commit(node, &m.buf, &m.id, 1, false, NULL) != WEFT_OK) {
        weft_buf_unref(m.buf);
        return false;
    }
    all.list[all.count++] = m;
    return true;
}

static void add_root(sk_node *node)
{
    struct made m = {.op = 4};
    m.buf = sk_root(all.keys[0], 1, WEFT_HEIGHT_INCREMENTAL, WEFT_RIGHT_NONE, &m.id);
    cr_assert_eq(sk_commit(node, &m.buf, &m.id, 1, true, NULL), WEFT_OK);
    all.list[all.count++] = m;
}

/* `author` writes `path` above these. */
static uint32_t edit(sk_node *node, uint32_t author, char path, uint32_t a, uint32_t b)
{
    const uint32_t above[2] = {a, b};
    const struct made m = {.author = author, .op = NO_OP, .path = path};
    cr_assert(add(node, m, above, a == b ? 1 : 2), "author %u", author);
    return all.count - 1;
}

static uint32_t say(sk_node *node, uint32_t author, uint32_t key, int op, uint32_t a, uint32_t b)
{
    const uint32_t above[2] = {a, b};
    const struct made m = {.author = author, .key = key, .op = op};
    cr_assert(add(node, m, above, a == b ? 1 : 2), "author %u of key %u", author, key);
    return all.count - 1;
}

/* The root gives keys 1 and 2 Admin(5), 3 Admin(9), 4 Write; the last of these entries. */
static uint32_t begin(sk_node *node)
{
    add_root(node);
    uint32_t last = 0;
    for (uint32_t key = 1; key < KEYS; key++)
        last = say(node, 0, key, key <= 2 ? 3 : key == 3 ? 2 : 1, last, last);
    return last;
}

static void add_random(sk_node *node, kit_random *r)
{
    /* Mostly near the newest, so that there are long lines and forks. */
    const uint32_t near = all.count > 8 && kit_below(r, 3) > 0 ? all.count - 8 : 0;
    const uint32_t above[2] = {near + kit_below(r, all.count - near), kit_below(r, all.count)};
    struct made m = {.author = kit_below(r, KEYS), .op = NO_OP, .path = 0};
    if (kit_below(r, 2) == 0) {
        m.key = 1 + kit_below(r, KEYS - 1);
        m.op = kit_below(r, 2) == 0 ? REVOKE : (int)kit_below(r, 5) - 1;
    }
    if (m.op == NO_OP || kit_below(r, 4) == 0) m.path = (char)('a' + kit_below(r, 6));
    add(node, m, above, above[0] != above[1] && kit_below(r, 3) == 0 ? 2 : 1);
}

/* -- Reading ------------------------------------------------------------------------------------ */

struct read_map {
    wf_view *view;
    struct wf_view_source source;
    uint32_t renewed;
};

static struct read_map new_map(sk_node *node)
{
    struct read_map m = {.view = NULL};
    cr_assert_eq(wf_view_create(7, SIZE_MAX, &m.view), WEFT_OK);
    cr_assert_eq(wf_view_source_init(node->store, &all.list[0].id, DOC, &m.source), WEFT_OK);
    return m;
}

static void end_map(struct read_map *m)
{
    wf_view_source_fini(&m->source);
    wf_view_destroy(m->view);
}

/* One turn; a stale view begins anew in the next one. */
static weft_err read_turn(struct read_map *m)
{
    uint64_t read = 0;
    weft_err err = wf_view_source_read(&m->source, m->view, &read);
    if (!m->source.stale) return err;
    struct read_map fresh = {.renewed = m->renewed + 1};
    cr_assert_eq(err, WEFT_AGAIN);
    cr_assert_eq(wf_view_create(7, SIZE_MAX, &fresh.view), WEFT_OK);
    cr_assert_eq(wf_view_source_renew(&m->source, &fresh.source), WEFT_OK);
    end_map(m);
    *m = fresh;
    return WEFT_AGAIN;
}

static void read_all(struct read_map *m)
{
    weft_err err;
    do err = read_turn(m);
    while (err == WEFT_AGAIN);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
}

/* What the rule says of the entries in `universe`. */
static void expect_rule(const struct read_map *m, uint64_t universe, const char *why, uint64_t seed)
{
    struct wf_view_walk x, y;
    weft_map_item got, want;
    wf_view *view = NULL;
    const uint64_t in_force = revocations_in_force(universe);
    uint64_t out = 0;
    cr_assert_eq(wf_view_create(7, SIZE_MAX, &view), WEFT_OK);
    for (uint32_t i = 0; i < all.count; i++) {
        const struct made *e = &all.list[i];
        uint8_t payload[64];
        if (e->path == 0 || (universe >> i & 1) == 0) continue;
        if (is_out(i, NULL, in_force)) {
            out++;
            continue;
        }
        size_t len = edit_of(i, e->path, payload, sizeof payload);
        cr_assert_eq(wf_view_apply(view, payload, len, &(wf_stamp){e->gen, e->id}), WEFT_OK);
    }
    cr_assert_eq(m->source.left_out, out, "%s, seed %d: %d left out, not %d", why, (int)seed,
                 (int)m->source.left_out, (int)out);
    wf_view_walk_begin(m->view, NULL, NULL, &x);
    wf_view_walk_begin(view, NULL, NULL, &y);
    while (wf_view_walk_next(&y, &want)) {
        cr_assert(wf_view_walk_next(&x, &got), "%s, seed %d", why, (int)seed);
        cr_assert_eq(wf_map_path_compare(&got.path, &want.path), 0, "%s, %d", why, (int)seed);
        cr_assert(weft_id_equal(&got.entry, &want.entry), "%s, seed %d", why, (int)seed);
    }
    cr_assert_not(wf_view_walk_next(&x, &got), "%s, seed %d", why, (int)seed);
    wf_view_destroy(view);
}

static uint64_t everything(void) { return (UINT64_C(1) << all.count) - 1; }

/* Reads now and compares; ends the map. */
static void expect_now(sk_node *node, uint32_t left_out, const char *why)
{
    struct read_map m = new_map(node);
    read_all(&m);
    expect_rule(&m, everything(), why, 0);
    cr_expect_eq(m.source.left_out, left_out, "%s: %d left out", why, (int)m.source.left_out);
    end_map(&m);
}

/* -- The rule, case by case --------------------------------------------------------------------- */

Test(revoked, what_is_beside_a_revocation_is_left_out_and_what_is_below_stays)
{
    sk_node node;
    sk_node_open(&node, 1);
    uint32_t top = begin(&node);
    uint32_t before = edit(&node, 4, 'a', top, top);
    uint32_t revoked = say(&node, 0, 4, REVOKE, before, before);
    edit(&node, 4, 'b', before, before); /* beside it */
    expect_now(&node, 1, "one beside");
    edit(&node, 4, 'c', all.count - 1, all.count - 1); /* further on, for ever */
    expect_now(&node, 2, "two beside");
    edit(&node, 3, 'd', before, before);
    expect_now(&node, 2, "another key's");
    (void)revoked;
    sk_node_close(&node);
}

Test(revoked, above_a_new_grant_the_key_counts_again_and_beside_it_does_not)
{
    sk_node node;
    sk_node_open(&node, 1);
    uint32_t top = begin(&node), revoked = say(&node, 0, 4, REVOKE, top, top);
    edit(&node, 4, 'a', top, top);
    uint32_t granted = say(&node, 0, 4, 1, revoked, revoked);
    edit(&node, 4, 'b', granted, granted);
    expect_now(&node, 1, "one beside, one above");
    /* A grant that does not know of the revocation says nothing about it. */
    uint32_t apart = say(&node, 0, 4, 2, top, top);
    for (int i = 0; i < 3; i++) apart = edit(&node, 0, 'c', apart, apart);
    edit(&node, 4, 'd', apart, apart);
    expect_now(&node, 2, "granted beside the revocation");
    sk_node_close(&node);
}

Test(revoked, a_revocation_by_who_was_revoked_by_a_stronger_one_is_void)
{
    sk_node node;
    sk_node_open(&node, 1);
    uint32_t top = begin(&node);
    say(&node, 3, 4, REVOKE, top, top);
    uint32_t kept = edit(&node, 4, 'a', top, top);
    expect_now(&node, 1, "Admin(9) revokes");
    say(&node, 1, 3, REVOKE, top, top);
    expect_now(&node, 0, "and is revoked by Admin(5)");
    say(&node, 0, 1, REVOKE, top, top);
    expect_now(&node, 1, "who is revoked by Admin(0)");
    (void)kept;
    sk_node_close(&node);
}

Test(revoked, two_that_are_equally_strong_revoke_each_other)
{
    sk_node node;
    sk_node_open(&node, 1);
    uint32_t top = begin(&node);
    say(&node, 1, 2, REVOKE, top, top);
    say(&node, 2, 1, REVOKE, top, top);
    edit(&node, 1, 'a', top, top);
    edit(&node, 2, 'b', top, top);
    expect_now(&node, 2, "both");
    sk_node_close(&node);
}

Test(revoked, who_is_revoked_cannot_grant_it_to_itself)
{
    sk_node node;
    sk_node_open(&node, 1);
    uint32_t top = begin(&node), revoked = say(&node, 0, 1, REVOKE, top, top);
    /* A longer line beside the revocation, so that its own grant wins in the join of both. */
    uint32_t mine = say(&node, 1, 1, 3, top, top);
    for (int i = 0; i < 2; i++) mine = say(&node, 1, 1, 3, mine, mine);
    uint32_t joined = say(&node, 1, 1, 3, mine, revoked); /* the door lets it in, */
    edit(&node, 1, 'a', joined, joined);
    expect_now(&node, 1, "views do not");
    sk_node_close(&node);
}

/* -- The rule, any history ------------------------------------------------------------------------ */

/* Gives the entries to another node, in an order in which parents come first, and reads between. */
static uint32_t replay(kit_random *r, uint64_t seed)
{
    sk_node other;
    struct read_map m;
    uint64_t have = 0;
    sk_node_open(&other, seed + 1000);
    cr_assert_eq(sk_commit(&other, &all.list[0].buf, &all.list[0].id, 1, true, NULL), WEFT_OK);
    have = 1;
    m = new_map(&other);
    while (have != everything()) {
        uint32_t pick = kit_below(r, all.count);
        if ((have >> pick & 1) != 0 || (all.list[pick].below & ~have) != 0) continue;
        weft_err err = sk_commit(&other, &all.list[pick].buf, &all.list[pick].id, 1, false, NULL);
        cr_assert_eq(err, WEFT_OK, "seed %d: %s", (int)seed, weft_errname(err));
        have |= UINT64_C(1) << pick;
        m.source.budget = 1 + kit_below(r, 9);
        if (kit_below(r, 2) == 0) read_turn(&m);
    }
    read_all(&m);
    expect_rule(&m, everything(), "in another order", seed);
    const uint32_t renewed = m.renewed;
    end_map(&m);
    sk_node_close(&other);
    return renewed;
}

static void expect_at_a_cut(sk_node *node, kit_random *r, uint64_t seed)
{
    const uint32_t at[2] = {kit_below(r, all.count), kit_below(r, all.count)};
    const weft_id ids[2] = {all.list[at[0]].id, all.list[at[1]].id};
    uint64_t universe = 0;
    struct read_map m = new_map(node);
    for (int i = 0; i < 2; i++) universe |= all.list[at[i]].below | UINT64_C(1) << at[i];
    cr_assert_eq(wf_view_source_fix(&m.source, &all.list[0].id, &(weft_cut){ids, 2}), WEFT_OK);
    m.source.by_arrivals = seed % 3 == 0;
    m.source.budget = kit_below(r, 9);
    read_all(&m);
    expect_rule(&m, universe, "at a cut", seed);
    cr_assert(m.source.by_arrivals || m.renewed == 0, "seed %d: settings come first", (int)seed);
    end_map(&m);
}

Test(revoked, views_follow_the_rule_whatever_the_history_and_its_order)
{
    uint64_t left_out = 0, renewed = 0, void_ones = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        kit_random r = {seed};
        sk_node node;
        sk_node_open(&node, seed);
        begin(&node);
        struct read_map live = new_map(&node);
        for (int tries = 0; tries < 150 && all.count < 44; tries++) {
            add_random(&node, &r);
            live.source.budget = 1 + kit_below(&r, 12);
            if (kit_below(&r, 3) == 0) read_turn(&live);
        }
        read_all(&live);
        expect_rule(&live, everything(), "in turns", seed);
        struct read_map once = new_map(&node), slow = new_map(&node);
        read_all(&once);
        expect_rule(&once, everything(), "at once", seed);
        cr_assert_eq(once.renewed, 0, "whoever begins knows who is revoked");
        slow.source.by_arrivals = true;
        read_all(&slow);
        expect_rule(&slow, everything(), "by arrivals", seed);
        for (int i = 0; i < 4; i++) expect_at_a_cut(&node, &r, seed);
        renewed += live.renewed + replay(&r, seed);
        left_out += once.source.left_out;
        for (uint32_t i = 0; i < once.source.revoked->count; i++)
            void_ones += !once.source.revoked->list[i].in_force;
        end_map(&live);
        end_map(&once);
        end_map(&slow);
        sk_node_close(&node);
        forget();
    }
    cr_expect_gt(left_out, 300, "%d left out", (int)left_out);
    cr_expect_gt(renewed, 100, "%d renewed", (int)renewed);
    cr_expect_gt(void_ones, 20, "%d void", (int)void_ones);
}

/* -- What it costs ------------------------------------------------------------------------------------ */

/* Who is revoked goes on revoking, beside that. */
Test(revoked, one_more_void_revocation_costs_the_same_however_many_there_are)
{
    sk_node node;
    uint64_t reads[2] = {0, 0};
    sk_node_open(&node, 1);
    uint32_t top = begin(&node), last = top;
    say(&node, 0, 3, REVOKE, top, top);
    edit(&node, 4, 'a', top, top);
    wf_kv *faulty = kv_faulty_create(node.kv);
    struct read_map m = new_map(&node);
    read_all(&m);
    for (uint32_t i = 0; i < 40; i++) {
        last = say(&node, 3, 4, REVOKE, last, last);
        node.store->kv = faulty;
        const uint64_t before = kv_faulty_reads(faulty);
        read_all(&m);
        if (i == 1 || i == 39) reads[i == 39] = kv_faulty_reads(faulty) - before;
        node.store->kv = node.kv;
    }
    expect_rule(&m, everything(), "void ones", 0);
    cr_expect_eq(m.renewed, 0);
    cr_expect_eq(m.source.revoked->count, 41);
    cr_expect_eq(reads[0], reads[1], "%d reads, then %d", (int)reads[0], (int)reads[1]);
    end_map(&m);
    free(faulty);
    sk_node_close(&node);
}

/* -- What goes wrong --------------------------------------------------------------------------------- */

static void some_history(sk_node *node)
{
    kit_random r = {77};
    sk_node_open(node, 77);
    begin(node);
    while (all.count < 44) add_random(node, &r);
}

Test(revoked, each_read_may_fail_once_and_the_rule_still_holds)
{
    sk_node node;
    some_history(&node);
    node.store->kv = kv_faulty_create(node.kv);
    uint64_t nth = 1, failed = 0;
    for (bool met = true; met; nth++) {
        struct read_map m = new_map(&node);
        kv_faulty_fail_at(node.store->kv, nth, WEFT_IO);
        weft_err err = read_turn(&m);
        met = kv_faulty_met(node.store->kv);
        kv_faulty_fail_at(node.store->kv, 0, WEFT_OK);
        /* A failed step of an iterator behind the one that answered is nobody's business. */
        cr_assert(err == WEFT_OK || (met && err == WEFT_IO), "%d: %s", (int)nth, weft_errname(err));
        failed += err == WEFT_IO;
        read_all(&m);
        expect_rule(&m, everything(), "after a failed read", nth);
        end_map(&m);
    }
    cr_expect_gt(failed, 60);
    free(node.store->kv);
    node.store->kv = node.kv;
    sk_node_close(&node);
}

Test(revoked, each_allocation_may_fail_and_the_rule_still_holds)
{
    sk_node node;
    some_history(&node);
    weft_err err = WEFT_NO_MEMORY;
    uint64_t nth = 1;
    for (; err == WEFT_NO_MEMORY && nth < 2000; nth++) {
        struct read_map m = new_map(&node);
        wf_alloc_fail_at(nth, 1);
        err = read_turn(&m);
        wf_alloc_fail_at(0, 0);
        cr_assert(err == WEFT_OK || err == WEFT_NO_MEMORY, "%d: %s", (int)nth, weft_errname(err));
        read_all(&m);
        expect_rule(&m, everything(), "after short memory", nth);
        end_map(&m);
    }
    cr_expect_eq(err, WEFT_OK);
    cr_expect_gt(nth, 60);
    sk_node_close(&node);
}
