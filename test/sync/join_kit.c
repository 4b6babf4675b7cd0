/* SPDX-License-Identifier: Apache-2.0
 * join_kit.c - asking and deciding in small worlds (join_kit.h).
 * Called by: test_join.c, test_join_crash.c, test_trust_clock.c. May touch: the world that it is given.
 * Never: threads, the machine's clock. */
#include "join_kit.h"

#include <criterion/criterion.h>
#include <stdlib.h>

weft_keypair *join_pair(uint8_t number, weft_key *out)
{
    uint8_t seed[32] = {number, 0x55};
    weft_keypair *pair = NULL;
    cr_assert_eq(weft_keypair_from_seed(seed, &pair), WEFT_OK);
    if (out != NULL) weft_keypair_public(pair, out);
    return pair;
}

/* A tree of node 0 that nobody else may read. */
weft_id join_tree(struct world *w, uint8_t number, weft_join_mode mode)
{
    weft_root_spec root = {.entropy = {number, 33}};
    weft_id tree;
    cr_assert_eq(weft_tree_create(node(w, 0), w->author, &root, CALL, &tree), WEFT_OK);
    cr_assert_eq(weft_join_mode_set(node(w, 0), &tree, mode, w->author, WEFT_RIGHT_WRITE, 10, CALL),
                 WEFT_OK);
    return tree;
}

weft_err join_ask_as(struct world *w, uint32_t i, const weft_id *tree, const weft_keypair *as,
                     weft_right right, weft_join_outcome *out)
{
    weft_join_spec spec = {.tree = *tree,
                           .key = as,
                           .name = "Ada",
                           .right = right,
                           .priority = 10,
                           .meta = "let me in",
                           .meta_len = 9};
    return weft_tree_join(node(w, i), HOST, key(w, 0), &spec, CALL, out);
}

weft_err join_ask(struct world *w, uint32_t i, const weft_id *tree, weft_right right,
                  weft_join_outcome *out)
{
    return join_ask_as(w, i, tree, NULL, right, out);
}

uint64_t join_entries(struct world *w, uint32_t i, const weft_id *tree)
{
    weft_tree_info info;
    return weft_tree_info_get(node(w, i), tree, &info) == WEFT_OK ? info.entries : 0;
}

size_t join_listed(struct world *w, weft_join_state state, weft_join_request *first)
{
    enum { ROOM = 128 };
    weft_join_request *all = calloc(ROOM, sizeof *all);
    size_t count = ROOM;
    cr_assert_eq(weft_join_list(node(w, 0), state, CALL, all, &count), WEFT_OK);
    if (first != NULL) *first = all[0];
    free(all);
    return count;
}

weft_right join_right(struct world *w, uint32_t i, const weft_id *tree, const weft_key *who)
{
    struct wf_right_now now;
    return wf_store_right(node(w, i)->table.wf_store, tree, who, &now) == WEFT_OK ? now.right
                                                                                  : WEFT_RIGHT_NONE;
}

void join_on_event(void *arg, const weft_event *event)
{
    struct join_heard *h = arg;
    if (event->kind == WEFT_EV_JOIN && h->count < 16) h->events[h->count++] = *event;
}

void join_on_decided(void *arg, weft_err err, const weft_result *result)
{
    struct join_decided *d = arg;
    (void)result;
    d->ok += err == WEFT_OK;
    d->state += err == WEFT_STATE;
}
