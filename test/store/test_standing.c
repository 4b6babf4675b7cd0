/* SPDX-License-Identifier: Apache-2.0
 * test_standing.c - what revocations take out of views and of rights, against the rule told by sets of
 * ancestors.
 * Called by: meson test. May touch: the memory engine. Never: a disk, a real thread. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "kv_faulty.h"
#include "standing_model.h"
#include "state.h"
#include "store_kit.h"
#include "view.h"

#define KEYS 5u
#define EVERYONE KEYS
#define ENTRIES 60u /* sets of them are bits */
#define DOC "doc"
#ifdef __SANITIZE_THREAD__
#define SEEDS 30u /* a history has one thread: there is nothing for it to find, and it is slow */
#else
#define SEEDS 150u
#endif

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

TestSuite(standing, .init = setup, .fini = teardown);

/* As the model has it. */
static const struct sm_history *history(void)
{
    static struct sm_history h;
    h.count = all.count;
    for (uint32_t i = 0; i < all.count; i++) {
        const struct made *m = &all.list[i];
        h.list[i] = (struct sm_entry){.at = {m->gen, m->id},
                                      .below = m->below,
                                      .author = m->author,
                                      .settings = m->op != NO_OP,
                                      .says = m->op == NO_OP    ? SM_NOTHING
                                              : m->op == DELETE ? SM_DELETES
                                                                : SM_GRANTS,
                                      .key = m->key == EVERYONE ? SM_EVERYONE : m->key};
        if (m->op >= 0) h.list[i].grant = grants[m->op];
    }
    return &h;
}

/* -- Making entries --------------------------------------------------------------------------- */

static size_t settings_of(const struct made *m, uint8_t *out, size_t room)
{
    struct wf_settings_text text;
    wf_map_op op;
    weft_key key;
    size_t len;
    if (m->key != EVERYONE) weft_keypair_public(all.keys[m->key], &key);
    wf_settings_grant(m->key == EVERYONE ? NULL : &key, &grants[m->op == DELETE ? 0 : m->op], &text,
                      &op);
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
    weft_id parents[2], named[2];
    uint32_t named_count = 0;
    weft_store_part parts[2];
    uint32_t parts_count = 0;
    cr_assert_lt(all.count, ENTRIES);
    m.gen = m.below = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct made *parent = &all.list[above[i]];
        parents[i] = parent->id;
        if (parent->op != NO_OP) named[named_count++] = parent->id;
        m.below |= parent->below | UINT64_C(1) << above[i];
        if (parent->gen >= m.gen) m.gen = parent->gen + 1;
    }
    if (m.op != NO_OP)
        parts[parts_count++] = (weft_store_part){.name = "_settings",
                                                 .parents = named,
                                                 .parents_count = named_count,
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
    bool known = false; /* two that say the same on the same ones are one */
    for (uint32_t i = 0; i < all.count; i++) known |= weft_id_equal(&all.list[i].id, &m.id);
    if (known || sk_commit(node, &m.buf, &m.id, 1, false, NULL) != WEFT_OK) {
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
        if (kit_below(r, 8) == 0) {
            m.key = EVERYONE;
            m.op = (int)kit_below(r, 3) - 1;
        }
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
    const uint64_t counts = sm_judge(history(), universe).counts;
    uint64_t out = 0;
    cr_assert_eq(wf_view_create(7, SIZE_MAX, &view), WEFT_OK);
    for (uint32_t i = 0; i < all.count; i++) {
        const struct made *e = &all.list[i];
        uint8_t payload[64];
        if (e->path == 0 || (universe >> i & 1) == 0) continue;
        if ((counts >> i & 1) == 0) {
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

/* What may each key do, and does each entry count, when the store has those in `universe`? */
static void expect_rights(const sk_node *node, uint64_t universe, uint64_t seed)
{
    const struct sm_history *h = history();
    const struct sm_verdict v = sm_judge(h, universe);
    for (uint32_t k = 0; k < KEYS; k++) {
        struct wf_right_now now;
        weft_key key;
        bool revoked;
        const wf_grant want = sm_right(h, &v, k, &revoked);
        weft_keypair_public(all.keys[k], &key);
        cr_assert_eq(wf_store_right(node->store, &all.list[0].id, &key, &now), WEFT_OK);
        cr_assert_eq(now.right, want.right, "seed %d, key %u: %d, not %d", (int)seed, k,
                     (int)now.right, (int)want.right);
        cr_assert_eq(now.priority, want.priority, "seed %d, key %u", (int)seed, k);
        cr_assert_eq(now.revoked, revoked, "seed %d, key %u", (int)seed, k);
    }
    for (uint32_t i = 0; i < all.count; i++) {
        bool counts = false;
        if ((universe >> i & 1) == 0) continue;
        cr_assert_eq(wf_store_counts(node->store, &all.list[i].id, &counts), WEFT_OK);
        cr_assert_eq(counts, (v.counts >> i & 1) != 0, "seed %d, entry %u", (int)seed, i);
    }
}

static uint64_t everything(void) { return (UINT64_C(1) << all.count) - 1; }

/* Reads now and compares; ends the map. */
static void expect_now(sk_node *node, uint32_t left_out, const char *why)
{
    struct read_map m = new_map(node);
    read_all(&m);
    expect_rule(&m, everything(), why, 0);
    expect_rights(node, everything(), 0);
    cr_expect_eq(m.source.left_out, left_out, "%s: %d left out", why, (int)m.source.left_out);
    end_map(&m);
}

/* -- The rule, case by case --------------------------------------------------------------------- */

Test(standing, what_is_beside_a_revocation_is_left_out_and_what_is_below_stays)
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

Test(standing, above_a_new_grant_the_key_counts_again_and_beside_it_does_not)
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

Test(standing, a_revocation_by_who_was_revoked_by_a_stronger_one_is_void)
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

Test(standing, two_that_are_equally_strong_revoke_each_other)
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

Test(standing, who_is_revoked_cannot_grant_it_to_itself)
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

/* -- Rights, case by case -------------------------------------------------------------------------- */

static void expect_right(const sk_node *node, uint32_t key, weft_right right, const char *why)
{
    struct wf_right_now now;
    weft_key who;
    weft_keypair_public(all.keys[key], &who);
    cr_assert_eq(wf_store_right(node->store, &all.list[0].id, &who, &now), WEFT_OK, "%s", why);
    cr_expect_eq(now.right, right, "%s: %d, not %d", why, (int)now.right, (int)right);
    expect_rights(node, everything(), 0);
}

Test(standing, a_renewal_beside_the_revocation_does_not_help)
{
    sk_node node;
    sk_node_open(&node, 1);
    uint32_t top = begin(&node);
    uint32_t revoked = say(&node, 0, 1, REVOKE, top, top);
    uint32_t mine = say(&node, 1, 1, 3, top, top), other = say(&node, 1, 4, 3, mine, mine);
    for (int i = 0; i < 3; i++)
        mine = say(&node, 1, 1, 3, i == 0 ? other : mine, i == 0 ? other : mine);
    expect_right(&node, 1, WEFT_RIGHT_NONE, "its own grant is the newest word");
    expect_right(&node, 4, WEFT_RIGHT_WRITE, "and so is what it gave another");
    /* Not even where an honest Admin, who did not know, renewed it. */
    say(&node, 2, 1, 3, mine, mine);
    expect_right(&node, 1, WEFT_RIGHT_NONE, "granted beside the revocation");
    say(&node, 0, 1, 2, revoked, revoked);
    expect_right(&node, 1, WEFT_RIGHT_ADMIN, "granted above it");
    sk_node_close(&node);
}

Test(standing, who_was_made_an_admin_beside_the_revocation_of_who_did_it_is_none)
{
    sk_node node;
    sk_node_open(&node, 1);
    uint32_t top = begin(&node), made = say(&node, 1, 4, 3, top, top);
    uint32_t more = say(&node, 4, 2, REVOKE, made, made);
    edit(&node, 4, 'a', more, more);
    edit(&node, 2, 'b', top, top);
    expect_right(&node, 2, WEFT_RIGHT_NONE, "until that is known");
    expect_now(&node, 1, "as long as its maker is one");
    say(&node, 0, 1, REVOKE, top, top);
    expect_right(&node, 2, WEFT_RIGHT_ADMIN, "nobody revoked it");
    expect_right(&node, 4, WEFT_RIGHT_WRITE, "what it had before");
    expect_now(&node, 0, "and by that it may write");
    sk_node_close(&node);
}

Test(standing, who_is_granted_less_is_held_down_to_it)
{
    sk_node node;
    sk_node_open(&node, 1);
    uint32_t top = begin(&node), lowered = say(&node, 0, 1, 1, top, top);
    uint32_t mine = say(&node, 1, 1, 3, top, top);
    for (int i = 0; i < 2; i++) mine = say(&node, 1, 1, 3, mine, mine);
    expect_right(&node, 1, WEFT_RIGHT_WRITE, "from Admin to Write, beside its own renewal");
    edit(&node, 1, 'a', top, top);
    expect_now(&node, 0, "it may still write");
    say(&node, 0, 1, DELETE, lowered, lowered);
    edit(&node, 1, 'b', top, top);
    expect_now(&node, 2, "then not even that");
    expect_right(&node, 1, WEFT_RIGHT_NONE, "as everyone");
    sk_node_close(&node);
}

Test(standing, a_key_without_a_grant_of_its_own_is_as_everyone)
{
    sk_node node;
    sk_node_open(&node, 1);
    uint32_t top = begin(&node), open = say(&node, 0, EVERYONE, 1, top, top);
    uint32_t deleted = say(&node, 0, 4, DELETE, open, open);
    edit(&node, 4, 'a', open, open);
    expect_now(&node, 0, "everyone may");
    expect_right(&node, 4, WEFT_RIGHT_WRITE, "deleted");
    uint32_t revoked = say(&node, 0, 4, REVOKE, deleted, deleted);
    expect_now(&node, 1, "but for who is revoked");
    expect_right(&node, 4, WEFT_RIGHT_NONE, "revoked");
    uint32_t again = say(&node, 0, 4, DELETE, revoked, revoked);
    edit(&node, 4, 'b', again, again);
    expect_now(&node, 1, "until that is taken back");
    expect_right(&node, 4, WEFT_RIGHT_WRITE, "taken back");
    sk_node_close(&node);
}

Test(standing, a_new_grant_counts_though_a_later_one_did_not_know_of_the_revocation)
{
    sk_node node;
    sk_node_open(&node, 1);
    uint32_t top = begin(&node), revoked = say(&node, 0, 4, REVOKE, top, top);
    uint32_t granted = say(&node, 0, 4, 1, revoked, revoked), apart = top;
    for (int i = 0; i < 4; i++) apart = edit(&node, 0, 'c', apart, apart);
    apart = say(&node, 2, 4, 1, apart, apart);
    uint32_t both = edit(&node, 4, 'a', apart, granted);
    for (int i = 0; i < 3; i++) both = edit(&node, 4, 'b', both, both);
    expect_now(&node, 0, "the newest word below them is beside the revocation");
    expect_right(&node, 4, WEFT_RIGHT_WRITE, "above it");
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
        if (kit_below(r, 4) == 0) expect_rights(&other, have, seed);
        m.source.budget = 1 + kit_below(r, 9);
        if (kit_below(r, 2) == 0) read_turn(&m);
    }
    read_all(&m);
    expect_rule(&m, everything(), "in another order", seed);
    expect_rights(&other, have, seed);
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

Test(standing, views_follow_the_rule_whatever_the_history_and_its_order)
{
    uint64_t left_out = 0, renewed = 0, void_ones = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
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
        expect_rights(&node, everything(), seed);
        for (int i = 0; i < 4; i++) expect_at_a_cut(&node, &r, seed);
        renewed += live.renewed + replay(&r, seed);
        left_out += once.source.left_out;
        for (uint32_t i = 0; i < once.source.standing->count; i++) {
            const struct wf_statement *st = &once.source.standing->list[i];
            void_ones += st->revokes && !st->in_force;
        }
        end_map(&live);
        end_map(&once);
        end_map(&slow);
        sk_node_close(&node);
        forget();
    }
    cr_expect_gt(left_out, 2 * SEEDS, "%d left out", (int)left_out);
    cr_expect_gt(renewed, 2 * SEEDS / 3, "%d renewed", (int)renewed);
    cr_expect_gt(void_ones, 2 * SEEDS / 15, "%d void", (int)void_ones);
}

/* -- What it costs ------------------------------------------------------------------------------------ */

/* Who is revoked goes on revoking, beside that. */
Test(standing, one_more_void_revocation_costs_the_same_however_many_there_are)
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
    cr_expect_eq(m.source.standing->revocations, 41);
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

Test(standing, each_read_may_fail_once_and_the_rule_still_holds)
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

Test(standing, each_allocation_may_fail_and_the_rule_still_holds)
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

Test(standing, rights_are_made_again_after_each_failed_allocation)
{
    uint64_t nth = 1, failed = 0;
    for (bool met = true; met && nth < 400; nth++) {
        sk_node node;
        sk_node_open(&node, 5);
        uint32_t top = begin(&node);
        say(&node, 0, 3, REVOKE, top, top);
        uint32_t mine = say(&node, 3, 3, 2, top, top);
        struct wf_rights *rights = NULL;
        struct wf_standing *standing = NULL;
        (void)mine;
        wf_alloc_fail_at(nth, 0);
        weft_err err = wf_rights_make(node.store, 1, &all.list[0].id, &rights, &standing);
        met = wf_alloc_fail_at(0, 0) >= nth;
        cr_assert_eq(err, met ? WEFT_NO_MEMORY : WEFT_OK, "%d: %s", (int)nth, weft_errname(err));
        cr_assert(err == WEFT_OK ? rights != NULL && standing != NULL : rights == NULL);
        failed += err != WEFT_OK;
        wf_rights_destroy(rights);
        wf_standing_destroy(standing);
        expect_rights(&node, everything(), nth);
        sk_node_close(&node);
        forget();
    }
    cr_expect_gt(failed, 20);
}

/* Nobody may do more because something cannot be read. */
Test(standing, a_damaged_statement_still_says_what_it_did)
{
    sk_node node;
    sk_node_open(&node, 1);
    uint32_t top = begin(&node), revoked = say(&node, 0, 4, REVOKE, top, top);
    say(&node, 2, 4, 3, top, top);
    expect_right(&node, 4, WEFT_RIGHT_NONE, "revoked");
    uint8_t key[WF_KEY_SEQ_BYTES];
    wf_batch *batch = NULL;
    wf_key_seq(key, 1, revoked + 1);
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_ENTRY, key, sizeof key, "damaged", 7);
    cr_assert_eq(wf_kv_write(node.kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
    sk_node_crash(&node, 0);
    expect_right(&node, 4, WEFT_RIGHT_NONE, "by the policy that remembers it");
    sk_node_close(&node);
}

/* Each revocation of a key that was granted something again is one question. */
Test(standing, beyond_the_bound_nobody_reads)
{
    sk_node node;
    struct wf_right_now now;
    weft_key owner;
    sk_node_open(&node, 1);
    uint32_t last = begin(&node);
    weft_keypair_public(all.keys[0], &owner);
    node.store->pairs_max = 4;
    for (int i = 0; i < 8; i++) last = say(&node, 0, 4, i % 2 == 0 ? REVOKE : 1, last, last);
    expect_right(&node, 4, WEFT_RIGHT_WRITE, "four of them, many times");
    for (int i = 0; i < 2; i++) last = say(&node, 0, 4, i % 2 == 0 ? REVOKE : 1, last, last);
    cr_expect_eq(wf_store_right(node.store, &all.list[0].id, &owner, &now), WEFT_LIMIT);
    cr_expect_not(wf_store_may_read(node.store, &all.list[0].id, &owner));
    node.store->pairs_max = 0;
    say(&node, 0, 4, 1, last, last);
    expect_right(&node, 4, WEFT_RIGHT_WRITE, "known again");
    sk_node_close(&node);
}

/* -- What rights cost ------------------------------------------------------------------------------------ */

Test(standing, where_nobody_was_revoked_a_grant_costs_the_same_however_many_there_are)
{
    sk_node node;
    uint64_t reads[2] = {0, 0};
    sk_node_open(&node, 1);
    uint32_t last = begin(&node);
    wf_kv *faulty = kv_faulty_create(node.kv);
    for (uint32_t i = 0; i < 40; i++) {
        node.store->kv = faulty;
        const uint64_t before = kv_faulty_reads(faulty);
        last = say(&node, 0, EVERYONE, (int)(i % 2), last, last);
        if (i == 1 || i == 39) reads[i == 39] = kv_faulty_reads(faulty) - before;
        node.store->kv = node.kv;
    }
    cr_expect_eq(reads[0], reads[1], "%d reads, then %d", (int)reads[0], (int)reads[1]);
    free(faulty);
    sk_node_close(&node);
}

/* Whoever is revoked and taken back in turn is followed from word to word, in memory. */
Test(standing, a_key_that_is_revoked_again_and_again_costs_the_same_each_time)
{
    sk_node node;
    uint64_t reads[2] = {0, 0};
    sk_node_open(&node, 1);
    uint32_t last = begin(&node);
    wf_kv *faulty = kv_faulty_create(node.kv);
    for (uint32_t i = 0; i < 40; i++) {
        node.store->kv = faulty;
        const uint64_t before = kv_faulty_reads(faulty);
        last = say(&node, 0, 4, i % 2 == 0 ? REVOKE : 1, last, last);
        if (i == 5 || i == 39) reads[i == 39] = kv_faulty_reads(faulty) - before;
        node.store->kv = node.kv;
    }
    cr_expect_eq(reads[1], reads[0], "%d reads, then %d", (int)reads[0], (int)reads[1]);
    expect_right(&node, 4, WEFT_RIGHT_WRITE, "at last");
    free(faulty);
    sk_node_close(&node);
}
