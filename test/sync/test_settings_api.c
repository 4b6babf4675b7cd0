/* SPDX-License-Identifier: Apache-2.0
 * test_settings_api.c - the calls about sync settings and settings of the node: arguments, bounds,
 * memory that is short.
 * Called by: the test runner. May touch: threads, in one test. Never: the machine's clock. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/access.h>

#include "alloc.h"
#include "lone.h"
#include "world.h"

#define CALL (20 * WEFT_SEC)

static struct world *w;
static weft_node *node;
static const weft_key alice = {{0xa1}};
static const weft_sync_settings on = {.enabled = true, .on_commit = true}, off;

static void setup(void)
{
    w = world_create(1, WORLD_CHAIN, 1, WORLD_PLAIN);
    node = w->nodes[0].node;
}

static void teardown(void) { world_destroy(w); }

TestSuite(settings_api, .init = setup, .fini = teardown);

/* -- Arguments -------------------------------------------------------------------------- */

Test(settings_api, an_argument_that_is_missing_is_refused)
{
    weft_sync_settings s = on;
    weft_tracked list[1] = {{w->tree, on}};
    weft_id id;
    size_t count = 1;
    char text[8];
    cr_expect_eq(weft_settings_put(NULL, &w->tree, NULL, &s, CALL), WEFT_INVALID);
    cr_expect_eq(weft_settings_put(node, NULL, NULL, &s, CALL), WEFT_INVALID);
    cr_expect_eq(weft_settings_put(node, &w->tree, NULL, NULL, CALL), WEFT_INVALID);
    cr_expect_eq(weft_settings_enable(NULL, &w->tree, NULL, true, CALL), WEFT_INVALID);
    cr_expect_eq(weft_settings_enable(node, NULL, NULL, true, CALL), WEFT_INVALID);
    cr_expect_eq(weft_settings_remove(NULL, &w->tree, NULL, CALL), WEFT_INVALID);
    cr_expect_eq(weft_settings_remove(node, NULL, NULL, CALL), WEFT_INVALID);
    cr_expect_eq(weft_settings_get(NULL, &w->tree, NULL, CALL, &s), WEFT_INVALID);
    cr_expect_eq(weft_settings_get(node, NULL, NULL, CALL, &s), WEFT_INVALID);
    cr_expect_eq(weft_settings_get(node, &w->tree, NULL, CALL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_settings_combined(NULL, &w->tree, CALL, &s), WEFT_INVALID);
    cr_expect_eq(weft_settings_combined(node, NULL, CALL, &s), WEFT_INVALID);
    cr_expect_eq(weft_settings_combined(node, &w->tree, CALL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_principal_sync(NULL, NULL, list, 1, CALL), WEFT_INVALID);
    cr_expect_eq(weft_principal_sync(node, NULL, NULL, 1, CALL), WEFT_INVALID);
    cr_expect_eq(weft_principal_trees(NULL, NULL, CALL, &id, &count), WEFT_INVALID);
    cr_expect_eq(weft_principal_trees(node, NULL, CALL, NULL, &count), WEFT_INVALID);
    cr_expect_eq(weft_principal_trees(node, NULL, CALL, &id, NULL), WEFT_INVALID);
    cr_expect_eq(weft_setting_set(NULL, "k", "v", CALL), WEFT_INVALID);
    cr_expect_eq(weft_setting_set(node, NULL, "v", CALL), WEFT_INVALID);
    cr_expect_eq(weft_setting_get(NULL, "k", text, &count), WEFT_INVALID);
    cr_expect_eq(weft_setting_get(node, NULL, text, &count), WEFT_INVALID);
    cr_expect_eq(weft_setting_get(node, "k", NULL, &count), WEFT_INVALID);
    cr_expect_eq(weft_setting_get(node, "k", text, NULL), WEFT_INVALID);
}

static weft_err inside(weft_self *self, void *state, void *arg)
{
    (void)self;
    (void)state;
    (void)arg;
    weft_sync_settings s = on;
    weft_id id;
    size_t count = 1;
    char text[1];
    bool all = weft_settings_put(node, &w->tree, NULL, &s, CALL) == WEFT_DEADLK &&
               weft_settings_enable(node, &w->tree, NULL, true, CALL) == WEFT_DEADLK &&
               weft_settings_remove(node, &w->tree, NULL, CALL) == WEFT_DEADLK &&
               weft_settings_get(node, &w->tree, NULL, CALL, &s) == WEFT_DEADLK &&
               weft_settings_combined(node, &w->tree, CALL, &s) == WEFT_DEADLK &&
               weft_principal_sync(node, NULL, NULL, 0, CALL) == WEFT_DEADLK &&
               weft_principal_trees(node, NULL, CALL, &id, &count) == WEFT_DEADLK &&
               weft_setting_set(node, "k", "v", CALL) == WEFT_DEADLK &&
               weft_setting_get(node, "k", text, &count) == WEFT_DEADLK;
    return all ? WEFT_BUSY : WEFT_INTERNAL;
}

static weft_verdict ignore(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    (void)msg;
    return WEFT_DONE;
}

Test(settings_api, none_of_them_runs_inside_an_actor)
{
    weft_spec spec = {.name = "inside", .init = inside, .handle = ignore};
    weft_addr *addr;
    cr_expect_eq(weft_spawn(w->nodes[0].rt, &spec, &addr), WEFT_BUSY);
}

/* -- The node's own settings ------------------------------------------------------------ */

static void expect_setting(const char *key, const char *value)
{
    char text[WEFT_SETTING_VALUE_BYTES_MAX + 1];
    size_t len = sizeof text;
    weft_err err = weft_setting_get(node, key, text, &len);
    cr_expect_eq(err, value == NULL ? WEFT_NOT_FOUND : WEFT_OK, "%s: %s", key, weft_errname(err));
    if (err != WEFT_OK || value == NULL) return;
    cr_expect_str_eq(text, value);
    cr_expect_eq(len, strlen(value) + 1);
}

Test(settings_api, a_setting_of_the_node_is_set_replaced_and_removed)
{
    char key[WEFT_SETTING_KEY_BYTES_MAX + 2] = {0}, value[WEFT_SETTING_VALUE_BYTES_MAX + 2] = {0};
    memset(key, 'k', sizeof key - 1);
    memset(value, 'v', sizeof value - 1);
    expect_setting("a", NULL);
    cr_expect_eq(weft_setting_set(node, "a", "1", CALL), WEFT_OK);
    cr_expect_eq(weft_setting_set(node, "ab", "", CALL), WEFT_OK);
    expect_setting("a", "1");
    expect_setting("ab", "");
    cr_expect_eq(weft_setting_set(node, "a", "22", CALL), WEFT_OK);
    expect_setting("a", "22");
    cr_expect_eq(weft_setting_set(node, "a", NULL, CALL), WEFT_OK);
    cr_expect_eq(weft_setting_set(node, "a", NULL, CALL), WEFT_OK, "it is gone already");
    expect_setting("a", NULL);
    expect_setting("ab", "");
    cr_expect_eq(weft_setting_set(node, "", "v", CALL), WEFT_INVALID);
    cr_expect_eq(weft_setting_set(node, key, "v", CALL), WEFT_INVALID);
    cr_expect_eq(weft_setting_set(node, "a", value, CALL), WEFT_INVALID);
    key[sizeof key - 2] = value[sizeof value - 2] = '\0';
    cr_expect_eq(weft_setting_set(node, key, value, CALL), WEFT_OK, "the longest that fit");
    expect_setting(key, value);
}

Test(settings_api, a_setting_that_does_not_fit_says_how_much_it_needs)
{
    char text[5] = "....";
    size_t len = 4;
    cr_assert_eq(weft_setting_set(node, "a", "1234", CALL), WEFT_OK);
    cr_expect_eq(weft_setting_get(node, "a", text, &len), WEFT_LIMIT);
    cr_expect_eq(len, 5);
    cr_expect_str_eq(text, "....");
    cr_expect_eq(weft_setting_get(node, "a", text, &len), WEFT_OK);
    cr_expect_str_eq(text, "1234");
}

Test(settings_api, a_node_has_so_many_settings_and_no_more)
{
    char key[16];
    for (uint32_t i = 0; i < WEFT_SETTINGS_MAX; i++) {
        snprintf(key, sizeof key, "%u", i * 7919 % WEFT_SETTINGS_MAX);
        cr_assert_eq(weft_setting_set(node, key, key, CALL), WEFT_OK);
    }
    cr_expect_eq(weft_setting_set(node, "more", "v", CALL), WEFT_LIMIT);
    cr_expect_eq(weft_setting_set(node, "5", "v", CALL), WEFT_OK, "it is there already");
    world_kill(w, 0);
    world_start(w, 0);
    node = w->nodes[0].node;
    cr_expect_eq(weft_setting_set(node, "more", "v", CALL), WEFT_LIMIT, "counted after a restart");
    cr_expect_eq(weft_setting_set(node, "5", NULL, CALL), WEFT_OK);
    cr_expect_eq(weft_setting_set(node, "more", "v", CALL), WEFT_OK);
    expect_setting("6", "6");
    expect_setting("more", "v");
}

/* -- Bounds ----------------------------------------------------------------------------- */

static weft_key principal_of(uint32_t i) { return (weft_key){{1, (uint8_t)(i >> 8), (uint8_t)i}}; }

Test(settings_api, a_tree_has_so_many_principals_and_no_more)
{
    weft_sync_settings s;
    for (uint32_t i = 0; i < WEFT_PRINCIPALS_PER_TREE_MAX - 1; i++) { /* and the node */
        weft_key key = principal_of(i);
        cr_assert_eq(weft_settings_put(node, &w->tree, &key, &off, CALL), WEFT_OK);
    }
    cr_expect_eq(weft_settings_put(node, &w->tree, &alice, &off, CALL), WEFT_LIMIT);
    weft_tracked list[2] = {{w->tree, off}, {{{5}}, off}};
    cr_expect_eq(weft_principal_sync(node, &alice, list, 2, CALL), WEFT_LIMIT);
    cr_expect_eq(weft_settings_get(node, &list[1].tree, &alice, CALL, &s), WEFT_NOT_FOUND,
                 "nothing of the list was taken");
    weft_key key = principal_of(3);
    cr_expect_eq(weft_settings_put(node, &w->tree, &key, &on, CALL), WEFT_OK, "one that is there");
    cr_assert_eq(weft_settings_remove(node, &w->tree, &key, CALL), WEFT_OK);
    cr_expect_eq(weft_settings_put(node, &w->tree, &alice, &off, CALL), WEFT_OK);
}

Test(settings_api, a_node_has_so_many_rows_and_no_more)
{
    enum { EACH = 2048 };
    weft_tracked *list = calloc(EACH, sizeof *list);
    cr_assert_not_null(list);
    for (uint32_t i = 0; i < EACH; i++) memcpy(list[i].tree.bytes, &i, sizeof i);
    for (uint32_t p = 0; p < WEFT_TRACKS_MAX / EACH; p++) {
        weft_key key = principal_of(p);
        cr_assert_eq(weft_principal_sync(node, &key, list, EACH, CALL), WEFT_OK, "%u", p);
    }
    cr_expect_eq(weft_settings_put(node, &list[0].tree, &alice, &off, CALL), WEFT_LIMIT);
    weft_key key = principal_of(0);
    cr_assert_eq(weft_principal_sync(node, &key, NULL, 0, CALL), WEFT_OK);
    cr_expect_eq(weft_settings_put(node, &list[0].tree, &alice, &off, CALL), WEFT_OK);
    cr_expect_eq(weft_principal_sync(node, &key, list, WEFT_TRACKS_MAX + 1, CALL), WEFT_LIMIT);
    free(list);
}

/* -- Short memory ----------------------------------------------------------------------- */

/* The nth call: something that changes with each round. */
static weft_err call(unsigned which, uint64_t round)
{
    weft_sync_settings s = on;
    weft_tracked list[2] = {{w->tree, on}, {{{(uint8_t)round, 9}}, on}};
    weft_id ids[64];
    size_t count = 64;
    char text[8];
    s.on_commit = false;
    s.properties_count = 1;
    s.properties[0].key[0] = 'k';
    s.properties[0].value[0] = (char)('0' + round % 10);
    snprintf(text, sizeof text, "%lu", (unsigned long)round);
    switch (which) {
    case 0: return weft_settings_put(node, &w->tree, &alice, &s, CALL);
    case 1: return weft_settings_enable(node, &w->tree, NULL, round % 2 == 0, CALL);
    case 2: return weft_principal_sync(node, &alice, list, 2, CALL);
    case 3: return weft_setting_set(node, text, "v", CALL);
    case 4: return weft_settings_get(node, &w->tree, NULL, CALL, &s);
    case 5: return weft_settings_combined(node, &w->tree, CALL, &s);
    case 6: return weft_principal_trees(node, NULL, CALL, ids, &count);
    default: return weft_tree_follow(node, &w->tree, &alice, 1, CALL);
    }
}

Test(settings_api, any_one_allocation_may_fail)
{
    for (unsigned which = 0; which < 8; which++) {
        uint32_t failed = 0;
        for (uint64_t nth = 1;; nth++) {
            cr_assert_lt(nth, 400, "call %u", which);
            (void)wf_alloc_fail_at(nth, 0);
            weft_err err = call(which, nth);
            bool met = wf_alloc_fail_at(0, 0) >= nth;
            cr_assert(err == WEFT_OK || err == WEFT_NO_MEMORY, "call %u, %lu: %s", which, nth,
                      weft_errname(err));
            failed += err != WEFT_OK;
            weft_sync_settings s;
            weft_tree_info info;
            cr_assert_eq(weft_settings_combined(node, &w->tree, CALL, &s), WEFT_OK);
            cr_assert_eq(weft_tree_info_get(node, &w->tree, &info), WEFT_OK);
            cr_assert_eq(s.enabled, info.followed, "call %u, %lu", which, nth);
            if (!met) break;
        }
        cr_expect_gt(failed, 0, "call %u", which);
    }
}

/* -- Threads ---------------------------------------------------------------------------- */

enum { CALLERS = 3, ROUNDS = 40 };

struct caller {
    const struct lone *l;
    uint32_t number;
    pthread_t thread;
    uint32_t failed;
};

/* Not by their bytes: between the fields may be any. */
static bool same(const weft_sync_settings *a, const weft_sync_settings *b)
{
    bool is = a->enabled == b->enabled && a->on_commit == b->on_commit &&
              a->has_interval == b->has_interval && a->interval_s == b->interval_s &&
              a->properties_count == b->properties_count;
    for (uint32_t i = 0; is && i < a->properties_count; i++)
        is = strcmp(a->properties[i].key, b->properties[i].key) == 0 &&
             strcmp(a->properties[i].value, b->properties[i].value) == 0;
    return is;
}

static weft_sync_settings of_round(uint32_t number, uint32_t round)
{
    return (weft_sync_settings){.enabled = true,
                                .on_commit = round % 2 == 0,
                                .has_interval = true,
                                .interval_s = 1000 + 100 * number + round};
}

static void *run(void *arg)
{
    struct caller *c = arg;
    weft_key key = principal_of(c->number);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        weft_sync_settings s = of_round(c->number, round), got;
        char name[16], text[16];
        size_t len = sizeof text;
        snprintf(name, sizeof name, "%u", c->number);
        c->failed += weft_settings_put(c->l->node, &c->l->tree, &key, &s, WEFT_NEVER) != WEFT_OK;
        c->failed += weft_settings_combined(c->l->node, &c->l->tree, WEFT_NEVER, &got) != WEFT_OK;
        c->failed += weft_setting_set(c->l->node, name, name, WEFT_NEVER) != WEFT_OK;
        c->failed += weft_setting_get(c->l->node, name, text, &len) != WEFT_OK;
    }
    return NULL;
}

Test(settings_threads, calls_of_several_at_once_leave_what_each_said_last)
{
    static struct caller callers[CALLERS];
    struct lone l;
    lone_open(&l, NULL, NULL);
    for (uint32_t i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.l = &l, .number = i};
        cr_assert_eq(pthread_create(&callers[i].thread, NULL, run, &callers[i]), 0);
    }
    lone_commit(&l, 100, NULL);
    for (uint32_t i = 0; i < CALLERS; i++) cr_assert_eq(pthread_join(callers[i].thread, NULL), 0);
    for (uint32_t i = 0; i < CALLERS; i++) {
        weft_key key = principal_of(i);
        weft_sync_settings got, want = of_round(i, ROUNDS - 1);
        cr_expect_eq(callers[i].failed, 0);
        cr_assert_eq(weft_settings_get(l.node, &l.tree, &key, CALL, &got), WEFT_OK);
        cr_expect(same(&got, &want));
    }
    lone_close(&l);
}
