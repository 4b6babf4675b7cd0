/* SPDX-License-Identifier: Apache-2.0
 * test_policy.c - who may do what, by the settings of an entry's ancestry.
 * Called by: meson test. May touch: policy.c, settings.c. Never: a store. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "entry_kit.h"
#include "policy.h"

enum { OWNER = 1, ALICE, BOB, CAROL, DAVE, KEYS };
#define EVERYONE 0

static weft_keypair *pairs[KEYS];
static weft_key keys[KEYS];

static void make_keys(void)
{
    for (uint8_t i = OWNER; i < KEYS; i++) {
        pairs[i] = kit_pair(i);
        weft_keypair_public(pairs[i], &keys[i]);
    }
}

static void destroy_keys(void)
{
    for (uint8_t i = OWNER; i < KEYS; i++) weft_keypair_destroy(pairs[i]);
}

TestSuite(policy, .init = make_keys, .fini = destroy_keys);

static wf_map_path path_of(const char *a, const char *b, const char *c)
{
    const char *parts[] = {a, b, c};
    wf_map_path p = {.depth = 0};
    for (int i = 0; i < 3 && parts[i] != NULL; i++) {
        p.part[p.depth].text = parts[i];
        p.part[p.depth++].len = (uint32_t)strlen(parts[i]);
    }
    return p;
}

static const char *key_name(int key)
{
    static char text[KEYS][65], full[WEFT_KEY_TEXT_BYTES];
    if (key == EVERYONE) return "*";
    weft_key_text(&keys[key], full);
    strcpy(text[key], full + strlen("ed25519:"));
    return text[key];
}

static wf_map_op grant(int key, const char *text)
{
    wf_map_op op = {.path = path_of("auth", key_name(key), "grant"), .set = text != NULL};
    if (text != NULL) {
        op.value = (wf_map_value){.type = WEFT_MAP_STR, .as.bytes = {text, strlen(text)}};
    }
    return op;
}

static size_t payload_of(const wf_map_op *op, uint32_t count, uint8_t out[4096])
{
    size_t len;
    cr_assert_eq(wf_map_ops_encode(op, count, out, 4096, &len), WEFT_OK);
    return len;
}

/* Takes `p`. */
static wf_policy *apply(wf_policy *p, wf_map_op op, uint64_t gen)
{
    uint8_t payload[4096];
    wf_policy *out = NULL;
    weft_id id = kit_id((uint8_t)gen);
    size_t len = payload_of(&op, 1, payload);
    cr_assert_eq(wf_policy_apply(p, payload, len, gen, &id, &out), WEFT_OK);
    wf_policy_destroy(p);
    return out;
}

/* The policy of a tree whose owner is Admin(0) and that has these grants besides. */
static wf_policy *policy_with(int key, const char *text)
{
    wf_policy *p;
    cr_assert_eq(wf_policy_create_empty(&p), WEFT_OK);
    p = apply(p, grant(OWNER, "admin:0"), 1);
    return text == NULL ? p : apply(p, grant(key, text), 2);
}

static weft_err judge_part(const wf_policy *policy, int author, const weft_store_part *part)
{
    weft_id parent = kit_id(1), id;
    weft_entry_spec spec = {.tree = kit_id(9),
                            .parents = &parent,
                            .parents_count = 1,
                            .height = 1,
                            .stores = part,
                            .stores_count = part != NULL};
    static weft_entry e;
    weft_buf *buf = NULL;
    cr_assert_eq(weft_entry_build(&spec, pairs[author], &buf, &id), WEFT_OK);
    cr_assert_eq(weft_entry_decode(weft_buf_bytes(buf), weft_buf_len(buf), &e), WEFT_OK);
    weft_err err = wf_policy_allows(policy, &e);
    weft_buf_unref(buf);
    return err;
}

static weft_err judge_data(const wf_policy *policy, int author)
{
    weft_store_part part = {.name = "notes", .payload = "x", .payload_len = 1};
    return judge_part(policy, author, &part);
}

static weft_err judge_ops(const wf_policy *policy, int author, const wf_map_op *ops, uint32_t count)
{
    uint8_t payload[4096];
    weft_store_part part = {
        .name = "_settings", .payload = payload, .payload_len = payload_of(ops, count, payload)};
    return judge_part(policy, author, &part);
}

static weft_err judge(const wf_policy *policy, int author, wf_map_op op)
{
    return judge_ops(policy, author, &op, 1);
}

/* -- Grants as text --------------------------------------------------------------- */

Test(policy, grant_texts_read_back_and_others_are_refused)
{
    static const wf_grant grants[] = {{WEFT_RIGHT_NONE, 0},   {WEFT_RIGHT_READ, 0},
                                      {WEFT_RIGHT_WRITE, 0},  {WEFT_RIGHT_WRITE, UINT32_MAX},
                                      {WEFT_RIGHT_ADMIN, 10}, {WEFT_RIGHT_ADMIN, 1000000000}};
    static const char *const bad[] = {
        "",         "n",        "none ",    "None",     "read:1",           "write",
        "write:",   "write:01", "write:-1", "write:+1", "write:4294967296", "admin:99999999999",
        "admin:1 ", "admin:1a", "owner:0"};
    for (size_t i = 0; i < sizeof grants / sizeof grants[0]; i++) {
        char text[WF_GRANT_TEXT_BYTES];
        wf_grant back = {WEFT_RIGHT_READ, 5};
        size_t len = wf_grant_write(&grants[i], text);
        cr_assert_leq(len, sizeof text);
        cr_assert_eq(wf_grant_read(text, len, &back), WEFT_OK);
        cr_assert(back.right == grants[i].right && back.priority == grants[i].priority);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        wf_grant back;
        cr_assert_eq(wf_grant_read(bad[i], strlen(bad[i]), &back), WEFT_SYNTAX, "%s", bad[i]);
    }
}

Test(policy, read_is_weaker_than_write_and_write_than_admin_whatever_the_priority)
{
    static const wf_grant ascending[] = {{WEFT_RIGHT_NONE, 0},  {WEFT_RIGHT_READ, 0},
                                         {WEFT_RIGHT_WRITE, 9}, {WEFT_RIGHT_WRITE, 0},
                                         {WEFT_RIGHT_ADMIN, 9}, {WEFT_RIGHT_ADMIN, 0}};
    for (int i = 0; i < 6; i++) {
        for (int k = 0; k < 6; k++) {
            int order = wf_grant_compare(&ascending[i], &ascending[k]);
            cr_assert_eq((order > 0) - (order < 0), (i > k) - (i < k), "%d %d", i, k);
        }
    }
}

/* -- Rights -------------------------------------------------------------------------- */

static void expect_right(const wf_policy *p, int key, weft_right right, uint32_t priority)
{
    weft_right got;
    uint32_t got_priority;
    wf_policy_right(p, &keys[key], &got, &got_priority);
    cr_expect(got == right && got_priority == priority, "key %d has %d:%u", key, (int)got,
              got_priority);
}

struct listed {
    int count;
    weft_key last;
    wf_grant everyone;
};

static void list_one(void *arg, const weft_key *key, const wf_grant *g)
{
    struct listed *l = arg;
    if (key == NULL) {
        cr_assert_eq(l->count, 0, "everyone comes first");
        l->everyone = *g;
        return;
    }
    cr_assert(l->count == 0 || weft_key_compare(&l->last, key) < 0);
    if (weft_key_equal(key, &keys[BOB])) cr_assert_eq(g->right, WEFT_RIGHT_NONE);
    if (weft_key_equal(key, &keys[ALICE]))
        cr_assert(g->right == WEFT_RIGHT_WRITE && g->priority == 5);
    l->last = *key;
    l->count++;
}

Test(policy, grants_are_listed_by_key_with_what_was_revoked)
{
    struct listed l = {0};
    size_t len;
    wf_policy *p = policy_with(ALICE, "write:5");
    p = apply(p, grant(BOB, "read"), 3);
    p = apply(p, grant(BOB, "none"), 4);
    p = apply(p, grant(CAROL, "read"), 5);
    p = apply(p, grant(CAROL, NULL), 6); /* deleted: as if it had never been there */
    wf_policy_each(p, list_one, &l);
    cr_assert_eq(l.count, 3);
    cr_assert_eq(l.everyone.right, WEFT_RIGHT_NONE);
    p = apply(p, grant(EVERYONE, "write:10"), 7);
    l = (struct listed){0};
    wf_policy_each(p, list_one, &l);
    cr_assert_eq(l.everyone.right, WEFT_RIGHT_WRITE);
    cr_assert_eq(l.everyone.priority, 10);
    wf_map_op name = {.path = path_of("auth", key_name(DAVE), "name"), .set = true};
    name.value = (wf_map_value){.type = WEFT_MAP_STR, .as.bytes = {"Dave", 4}};
    cr_assert_null(wf_policy_name(p, &keys[DAVE], &len));
    p = apply(p, name, 8);
    const char *text = wf_policy_name(p, &keys[DAVE], &len);
    cr_assert_not_null(text);
    cr_assert(len == 4 && memcmp(text, "Dave", 4) == 0);
    wf_policy_destroy(p);
}

Test(policy, a_key_has_its_own_grant_or_that_of_everyone_the_stronger_counts)
{
    wf_policy *p = policy_with(ALICE, "write:5");
    p = apply(p, grant(BOB, "read"), 3);
    p = apply(p, grant(EVERYONE, "write:10"), 4);
    expect_right(p, OWNER, WEFT_RIGHT_ADMIN, 0);
    expect_right(p, ALICE, WEFT_RIGHT_WRITE, 5);
    expect_right(p, BOB, WEFT_RIGHT_WRITE, 10);
    expect_right(p, CAROL, WEFT_RIGHT_WRITE, 10);
    wf_policy_destroy(p);
}

Test(policy, a_revoked_key_has_no_right_even_through_everyone)
{
    wf_policy *p = policy_with(EVERYONE, "write:10");
    p = apply(p, grant(ALICE, "none"), 3);
    expect_right(p, ALICE, WEFT_RIGHT_NONE, 0);
    expect_right(p, BOB, WEFT_RIGHT_WRITE, 10);
    p = apply(p, grant(ALICE, NULL), 4); /* taken back: everyone's counts again */
    expect_right(p, ALICE, WEFT_RIGHT_WRITE, 10);
    wf_policy_destroy(p);
}

Test(policy, nobody_has_a_right_by_default)
{
    wf_policy *p = policy_with(EVERYONE, NULL);
    expect_right(p, ALICE, WEFT_RIGHT_NONE, 0);
    cr_assert_eq(judge_data(p, ALICE), WEFT_FORBIDDEN);
    wf_policy_destroy(p);
}

Test(policy, data_needs_write_or_admin)
{
    static const struct {
        const char *text;
        weft_err expected;
    } table[] = {{"none", WEFT_FORBIDDEN},
                 {"read", WEFT_FORBIDDEN},
                 {"write:4294967295", WEFT_OK},
                 {"admin:7", WEFT_OK}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        wf_policy *p = policy_with(ALICE, table[i].text);
        cr_expect_eq(judge_data(p, ALICE), table[i].expected, "%s", table[i].text);
        cr_expect_eq(judge_part(p, ALICE, NULL), table[i].expected, "%s", table[i].text);
        wf_policy_destroy(p);
    }
}

/* -- Who may change settings ------------------------------------------------------------ */

Test(policy, settings_need_admin)
{
    wf_policy *p = policy_with(ALICE, "write:0");
    wf_map_op name = {.path = path_of("title", NULL, NULL),
                      .set = true,
                      .value = {.type = WEFT_MAP_UINT, .as.uint = 1}};
    cr_expect_eq(judge(p, ALICE, name), WEFT_FORBIDDEN);
    cr_expect_eq(judge(p, ALICE, grant(BOB, "read")), WEFT_FORBIDDEN);
    cr_expect_eq(judge(p, BOB, name), WEFT_FORBIDDEN);
    cr_expect_eq(judge(p, OWNER, name), WEFT_OK);
    cr_expect_eq(judge(p, OWNER, grant(BOB, "read")), WEFT_OK);
    wf_policy_destroy(p);
}

Test(policy, an_admin_may_not_grant_more_than_it_has)
{
    static const struct {
        const char *text;
        weft_err expected;
    } table[] = {{"admin:0", WEFT_FORBIDDEN},
                 {"admin:4", WEFT_FORBIDDEN},
                 {"admin:5", WEFT_OK},
                 {"admin:6", WEFT_OK},
                 {"write:0", WEFT_OK},
                 {"read", WEFT_OK},
                 {"none", WEFT_OK}};
    wf_policy *p = policy_with(ALICE, "admin:5");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        cr_expect_eq(judge(p, ALICE, grant(BOB, table[i].text)), table[i].expected, "%s",
                     table[i].text);
    }
    cr_expect_eq(judge(p, ALICE, grant(ALICE, "admin:4")), WEFT_FORBIDDEN);
    wf_policy_destroy(p);
}

Test(policy, an_admin_may_not_touch_a_stronger_key)
{
    wf_policy *p = policy_with(ALICE, "admin:5");
    p = apply(p, grant(BOB, "admin:4"), 3);
    p = apply(p, grant(CAROL, "admin:5"), 4);
    p = apply(p, grant(DAVE, "admin:6"), 5);
    wf_map_op name = grant(BOB, "b");
    name.path.part[2].text = "name";
    name.path.part[2].len = 4;
    cr_expect_eq(judge(p, ALICE, grant(OWNER, "none")), WEFT_FORBIDDEN);
    cr_expect_eq(judge(p, ALICE, grant(BOB, "none")), WEFT_FORBIDDEN);
    cr_expect_eq(judge(p, ALICE, grant(BOB, NULL)), WEFT_FORBIDDEN);
    cr_expect_eq(judge(p, ALICE, name), WEFT_FORBIDDEN);
    cr_expect_eq(judge(p, ALICE, grant(CAROL, "none")), WEFT_OK);
    cr_expect_eq(judge(p, ALICE, grant(DAVE, "none")), WEFT_OK);
    cr_expect_eq(judge(p, OWNER, grant(BOB, "none")), WEFT_OK);
    wf_policy_destroy(p);
}

Test(policy, nobody_but_the_root_makes_an_owner)
{
    wf_policy *p = policy_with(ALICE, "admin:5");
    cr_expect_eq(judge(p, OWNER, grant(ALICE, "admin:0")), WEFT_FORBIDDEN);
    cr_expect_eq(judge(p, OWNER, grant(OWNER, "admin:0")), WEFT_OK);
    wf_policy_destroy(p);
}

Test(policy, one_forbidden_operation_forbids_the_entry)
{
    wf_policy *p = policy_with(ALICE, "admin:5");
    wf_map_op ops[] = {grant(EVERYONE, "read"), grant(OWNER, "none")};
    cr_expect_eq(judge_ops(p, ALICE, ops, 1), WEFT_OK);
    cr_expect_eq(judge_ops(p, ALICE, ops, 2), WEFT_FORBIDDEN);
    wf_policy_destroy(p);
}

Test(policy, settings_that_break_the_format_are_bad_whoever_writes_them)
{
    static char long_text[WEFT_SETTINGS_VALUE_BYTES_MAX + 2];
    memset(long_text, 'x', sizeof long_text - 1);
    wf_map_op number = grant(BOB, "read"), deep = grant(BOB, "read"), other = grant(BOB, "read"),
              name = grant(EVERYONE, "us"), upper = grant(BOB, "read"), text = grant(BOB, "read");
    number.value = (wf_map_value){.type = WEFT_MAP_UINT, .as.uint = 1};
    deep.path.depth = 4;
    deep.path.part[3] = deep.path.part[2];
    other.path.part[2].text = "right";
    name.path.part[2].text = "name";
    name.path.part[2].len = 4;
    upper.path.part[1].text = "ABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCD";
    text.path = path_of("title", NULL, NULL);
    text.value.as.bytes.data = long_text;
    text.value.as.bytes.len = WEFT_SETTINGS_VALUE_BYTES_MAX + 1;
    wf_map_op above = {.path = path_of("auth", key_name(BOB), NULL)};
    wf_map_op all = {.path = path_of("auth", NULL, NULL)};
    const struct {
        const char *why;
        wf_map_op op;
    } table[] = {
        {"a grant of nonsense", grant(BOB, "owner")},
        {"a grant that is a number", number},
        {"a path below a grant", deep},
        {"an unknown word about a key", other},
        {"a name of everyone", name},
        {"a key in upper case", upper},
        {"everyone Admin", grant(EVERYONE, "admin:9")},
        {"all about a key deleted at once", above},
        {"all about all keys deleted at once", all},
        {"a value too long", text},
    };
    wf_policy *p = policy_with(ALICE, "read");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        cr_expect_eq(judge(p, OWNER, table[i].op), WEFT_BAD_ENTRY, "%s", table[i].why);
        cr_expect_eq(judge(p, ALICE, table[i].op), WEFT_BAD_ENTRY, "%s", table[i].why);
    }
    weft_store_part garbage = {.name = "_settings", .payload = "\xc0", .payload_len = 1};
    weft_store_part nothing = {.name = "_settings"};
    cr_expect_eq(judge_part(p, OWNER, &garbage), WEFT_BAD_ENTRY);
    cr_expect_eq(judge_part(p, OWNER, &nothing), WEFT_BAD_ENTRY);
    wf_policy_destroy(p);
}

enum { FILL = WEFT_POLICY_GRANTS_MAX - 1 };

/* `p` and FILL more paths below `top`, as the settings of one entry. */
static wf_policy *fill(const wf_policy *p, const char *top, wf_map_op *first)
{
    static char names[FILL][8];
    static wf_map_op ops[FILL];
    static uint8_t payload[256 * 1024];
    wf_policy *full = NULL;
    weft_id id = kit_id((uint8_t)top[0]);
    size_t len;
    for (unsigned i = 0; i < FILL; i++) {
        snprintf(names[i], sizeof names[i], "%04u", i);
        ops[i] = (wf_map_op){.path = path_of(top, names[i], NULL),
                             .set = true,
                             .value = {.type = WEFT_MAP_UINT, .as.uint = 1}};
    }
    cr_assert_eq(wf_map_ops_encode(ops, FILL, payload, sizeof payload, &len), WEFT_OK);
    cr_assert_eq(wf_policy_apply(p, payload, len, 7, &id, &full), WEFT_OK);
    *first = ops[0];
    return full;
}

Test(policy, settings_at_their_bound_can_be_changed_but_not_grow)
{
    wf_map_op first;
    wf_policy *p = policy_with(EVERYONE, NULL), *full = fill(p, "x", &first);
    cr_expect_eq(judge(p, OWNER, grant(BOB, "read")), WEFT_OK);
    cr_expect_eq(judge(full, OWNER, grant(BOB, "read")), WEFT_BAD_ENTRY);
    cr_expect_eq(judge(full, OWNER, first), WEFT_OK);
    cr_expect_eq(judge(full, OWNER, grant(OWNER, "admin:0")), WEFT_OK);
    wf_policy_destroy(p);
    wf_policy_destroy(full);
}

Test(policy, a_join_beyond_the_bound_can_still_be_changed)
{
    wf_map_op first;
    wf_policy *p = policy_with(ALICE, "admin:5"), *x = fill(p, "x", &first),
              *y = fill(p, "y", &first), *both;
    cr_assert_eq(wf_policy_join(x, y, &both), WEFT_OK);
    cr_expect_eq(judge(both, OWNER, grant(ALICE, "none")), WEFT_OK);
    cr_expect_eq(judge(both, OWNER, grant(BOB, "read")), WEFT_BAD_ENTRY);
    wf_policy *all[] = {p, x, y, both};
    for (size_t i = 0; i < 4; i++) wf_policy_destroy(all[i]);
}

/* -- Roots --------------------------------------------------------------------------------- */

static const char settings_name[] = "_settings";

/* A root by the owner with these settings, put together by hand: the builder makes only
 * good ones. The signature is none: policies do not look at it. */
static weft_err judge_root(const wf_map_op *ops, uint32_t count)
{
    static uint8_t bytes[8192], payload[4096];
    static weft_entry e;
    size_t payload_len = payload_of(ops, count, payload);
    size_t len = kit_bytes("99 01 c0 92 c410 05*16 00 90 00 c0 91 94 a9", bytes, 64);
    memcpy(bytes + len, settings_name, 9);
    len += 9;
    bytes[len++] = 0x90;
    bytes[len++] = payload_len < 256 ? 0xc4 : 0xc5;
    if (payload_len >= 256) bytes[len++] = (uint8_t)(payload_len >> 8);
    bytes[len++] = (uint8_t)payload_len;
    memcpy(bytes + len, payload, payload_len);
    len += payload_len;
    len += kit_bytes("c0 c420", bytes + len, 8);
    memcpy(bytes + len, keys[OWNER].bytes, 32);
    len += 32;
    len += kit_bytes("c440 00*64", bytes + len, 80);
    cr_assert_eq(weft_entry_decode(bytes, len, &e), WEFT_OK);
    return wf_policy_allows(NULL, &e);
}

Test(policy, a_root_is_judged_by_itself)
{
    wf_map_op owner = grant(OWNER, "admin:0");
    wf_map_op name = {.path = path_of("title", NULL, NULL), .set = true};
    /* The keys in the order of their texts, which the encoding wants. */
    int first = memcmp(&keys[ALICE], &keys[OWNER], 32) < 0 ? ALICE : OWNER;
    int second = first == ALICE ? OWNER : ALICE;
    wf_map_op both[] = {grant(first, first == OWNER ? "admin:0" : "admin:1"),
                        grant(second, second == OWNER ? "admin:0" : "admin:1")};
    wf_map_op rivals[] = {grant(first, "admin:0"), grant(second, "admin:0")};
    wf_map_op everyone[] = {grant(EVERYONE, "write:10"), owner};
    wf_map_op admins[] = {grant(EVERYONE, "admin:10"), owner};
    cr_expect_eq(judge_root(&owner, 1), WEFT_OK);
    cr_expect_eq(judge_root(everyone, 2), WEFT_OK);
    cr_expect_eq(judge_root(both, 2), WEFT_OK);
    cr_expect_eq(judge_root(rivals, 2), WEFT_BAD_ENTRY);
    cr_expect_eq(judge_root(admins, 2), WEFT_BAD_ENTRY);
    cr_expect_eq(judge_root(NULL, 0), WEFT_BAD_ENTRY);
    cr_expect_eq(judge_root(&name, 1), WEFT_BAD_ENTRY);
    wf_map_op weak = grant(OWNER, "admin:1"), stranger = grant(ALICE, "admin:0"),
              gone = grant(OWNER, NULL);
    cr_expect_eq(judge_root(&weak, 1), WEFT_BAD_ENTRY);
    cr_expect_eq(judge_root(&stranger, 1), WEFT_BAD_ENTRY);
    cr_expect_eq(judge_root(&gone, 1), WEFT_BAD_ENTRY);
}

Test(policy, what_the_builder_makes_a_root_of_is_allowed)
{
    static const weft_right rights[] = {WEFT_RIGHT_NONE, WEFT_RIGHT_READ, WEFT_RIGHT_WRITE};
    for (size_t i = 0; i < 3; i++) {
        weft_root_spec spec = {.everyone = rights[i], .everyone_priority = 3, .entropy = {1}};
        weft_buf *buf = NULL;
        weft_id id;
        static weft_entry e;
        wf_policy *empty, *p;
        cr_assert_eq(weft_root_build(&spec, pairs[OWNER], &buf, &id), WEFT_OK);
        cr_assert_eq(weft_entry_decode(weft_buf_bytes(buf), weft_buf_len(buf), &e), WEFT_OK);
        cr_assert_eq(wf_policy_create_empty(&empty), WEFT_OK);
        cr_expect_eq(wf_policy_allows(empty, &e), WEFT_OK);
        cr_assert_eq(
            wf_policy_apply(empty, e.stores[0].payload, e.stores[0].payload_len, 0, &id, &p),
            WEFT_OK);
        expect_right(p, OWNER, WEFT_RIGHT_ADMIN, 0);
        expect_right(p, ALICE, rights[i], rights[i] == WEFT_RIGHT_WRITE ? 3 : 0);
        wf_policy_destroy(empty);
        wf_policy_destroy(p);
        weft_buf_unref(buf);
    }
}

/* -- Joins and bytes ---------------------------------------------------------------------------- */

static bool same(const wf_policy *a, const wf_policy *b)
{
    weft_buf *x, *y;
    cr_assert_eq(wf_policy_encode(a, &x), WEFT_OK);
    cr_assert_eq(wf_policy_encode(b, &y), WEFT_OK);
    bool equal = weft_buf_len(x) == weft_buf_len(y) &&
                 memcmp(weft_buf_bytes(x), weft_buf_bytes(y), weft_buf_len(x)) == 0;
    weft_buf_unref(x);
    weft_buf_unref(y);
    return equal;
}

Test(policy, equal_policies_have_equal_bytes_whatever_the_order_of_joins)
{
    wf_policy *a = policy_with(ALICE, "write:1"), *b = policy_with(ALICE, NULL), *ab, *ba, *back;
    b = apply(b, grant(BOB, "admin:3"), 3);
    b = apply(b, grant(BOB, "none"), 4);
    cr_assert_eq(wf_policy_join(a, b, &ab), WEFT_OK);
    cr_assert_eq(wf_policy_join(b, a, &ba), WEFT_OK);
    cr_assert(same(ab, ba));
    cr_assert(!same(a, ab));
    expect_right(ab, ALICE, WEFT_RIGHT_WRITE, 1);
    expect_right(ab, BOB, WEFT_RIGHT_NONE, 0);

    weft_buf *buf;
    cr_assert_eq(wf_policy_encode(ab, &buf), WEFT_OK);
    cr_assert_eq(wf_policy_decode(weft_buf_bytes(buf), weft_buf_len(buf), &back), WEFT_OK);
    cr_assert(same(ab, back));
    expect_right(back, ALICE, WEFT_RIGHT_WRITE, 1);
    wf_policy *none = NULL;
    cr_assert_eq(wf_policy_decode(weft_buf_bytes(buf), weft_buf_len(buf) - 1, &none), WEFT_CORRUPT);
    cr_assert_null(none);
    weft_buf_unref(buf);
    wf_policy *all[] = {a, b, ab, ba, back};
    for (size_t i = 0; i < 5; i++) wf_policy_destroy(all[i]);
}

Test(policy, the_later_of_two_concurrent_changes_wins_on_every_replica)
{
    wf_policy *a = apply(policy_with(ALICE, NULL), grant(ALICE, "write:1"), 5);
    wf_policy *b = apply(policy_with(ALICE, NULL), grant(ALICE, "none"), 6), *ab;
    cr_assert_eq(wf_policy_join(a, b, &ab), WEFT_OK);
    expect_right(ab, ALICE, WEFT_RIGHT_NONE, 0);
    wf_policy_destroy(a);
    wf_policy_destroy(b);
    wf_policy_destroy(ab);
}

Test(policy, short_memory_is_reported_at_each_allocation_and_nothing_leaks)
{
    wf_policy *p = policy_with(ALICE, "write:1");
    uint8_t payload[4096];
    wf_map_op op = grant(BOB, "read");
    size_t len = payload_of(&op, 1, payload);
    weft_id id = kit_id(1);
    uint64_t nth = 1;
    for (;; nth++) {
        wf_policy *out = NULL;
        wf_alloc_fail_at(nth, 0);
        weft_err err = wf_policy_apply(p, payload, len, 9, &id, &out);
        wf_alloc_fail_at(0, 0);
        if (err == WEFT_OK) {
            wf_policy_destroy(out);
            break;
        }
        cr_assert_eq(err, WEFT_NO_MEMORY);
        cr_assert_null(out);
    }
    cr_assert_eq(nth, 4);
    wf_policy_destroy(p);
}
