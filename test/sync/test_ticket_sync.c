/* SPDX-License-Identifier: Apache-2.0
 * test_ticket_sync.c - tickets followed in small worlds: which hint wins, whom nobody speaks to,
 * and what a ticket does not give.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <weft/access.h>
#include <weft/ticket.h>

#include "alloc.h"
#include "world.h"

#define CALL (60 * WEFT_SEC)
#define WAY (10 * WEFT_MS)

/* Of four in a row: the one that has the tree, one that has not, one that it hardly knows. */
enum { SERVER = 0, OTHER = 1, GUEST = 3 };

static weft_node *node(struct world *w, uint32_t i) { return w->nodes[i].node; }
static const weft_key *key(struct world *w, uint32_t i) { return &w->nodes[i].key; }

static struct world *four(uint64_t seed)
{
    return world_create(seed, WORLD_CHAIN, 4, WORLD_NO_PUSH);
}

/* A tree of one node that everybody may read. */
static weft_id tree_at(struct world *w, uint32_t at, uint8_t number)
{
    weft_root_spec root = {
        .everyone = WEFT_RIGHT_WRITE, .everyone_priority = 10, .entropy = {44, number}};
    weft_id tree;
    cr_assert_eq(weft_tree_create(node(w, at), w->author, &root, CALL, &tree), WEFT_OK);
    return tree;
}

static void commit(struct world *w, uint32_t at, const weft_id *tree, uint32_t count)
{
    weft_writer *writer = NULL;
    cr_assert_eq(weft_writer_open(node(w, at), tree, w->author, &writer), WEFT_OK);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t said[] = {at, i};
        cr_assert_eq(weft_commit(writer, "log", said, sizeof said, CALL, NULL), WEFT_OK);
    }
    weft_writer_close(writer);
}

static uint64_t entries(struct world *w, uint32_t at, const weft_id *tree)
{
    weft_tree_info info;
    return weft_tree_info_get(node(w, at), tree, &info) == WEFT_OK ? info.entries : 0;
}

static void add(weft_ticket *t, const char *hint) { strcpy(t->hints[t->hints_count++], hint); }

/* Without hints. */
static weft_ticket ticket_for(struct world *w, const weft_id *tree)
{
    return (weft_ticket){.tree = *tree, .has_server = true, .server = *key(w, SERVER)};
}

static weft_err follow(struct world *w, const weft_ticket *t, weft_result *out)
{
    return weft_sync_with_ticket(node(w, GUEST), t, CALL, out);
}

/* -- What it gets ------------------------------------------------------------------------- */

Test(ticket_sync, a_ticket_as_text_gets_the_tree)
{
    struct world *w = four(1);
    weft_id tree = tree_at(w, SERVER, 1), ids[2];
    weft_ticket t;
    char text[WEFT_TICKET_BYTES_MAX];
    size_t len = sizeof text, count = 2;
    weft_result r;
    commit(w, SERVER, &tree, 5);
    cr_assert_eq(weft_ticket_create(node(w, SERVER), &tree, CALL, &t), WEFT_OK);
    cr_assert_eq(weft_ticket_write(&t, text, &len), WEFT_OK);
    memset(&t, 0, sizeof t);
    cr_assert_eq(weft_ticket_parse(text, &t), WEFT_OK);
    cr_assert_eq(follow(w, &t, &r), WEFT_OK);
    cr_expect_eq(entries(w, GUEST, &tree), 6);
    cr_expect(weft_key_equal(&r.peer, key(w, SERVER)));
    cr_expect_str_eq(r.text, "mem:n0:1");
    cr_expect_eq(r.received, 6);
    cr_expect_eq(weft_peer_trees(node(w, GUEST), key(w, SERVER), CALL, ids, &count), WEFT_OK);
    cr_expect_eq(count, 1, "it is related from now on");
    world_destroy(w);
}

/* A server on all interfaces is found by the ticket, and tells its peers none of them. */
Test(ticket_sync, a_server_on_all_interfaces_gives_their_addresses)
{
    struct world *w = four(40);
    weft_id tree = tree_at(w, SERVER, 1);
    weft_ticket t;
    weft_peer_info info;
    commit(w, SERVER, &tree, 2);
    cr_assert_eq(
        weft_add_transport_mem(node(w, SERVER), "mem", w->hub, "n0", "mem:0.0.0.0:9", CALL),
        WEFT_OK);
    cr_assert_eq(weft_start_server(node(w, SERVER), "mem", CALL), WEFT_OK);
    cr_assert_eq(weft_ticket_create(node(w, SERVER), &tree, CALL, &t), WEFT_OK);
    cr_assert_eq(t.hints_count, 1);
    cr_expect_str_eq(t.hints[0], "mem:n0:9");
    cr_expect_eq(follow(w, &t, NULL), WEFT_OK);
    cr_expect_eq(entries(w, GUEST, &tree), 3);
    wf_net_hub_kill(w->hub->hub, w->nodes[SERVER].host);
    world_run(w, 10 * WEFT_SEC); /* it has dialled its neighbour again */
    cr_assert_eq(weft_peer_get(node(w, OTHER), key(w, SERVER), CALL, &info), WEFT_OK);
    cr_expect_eq(info.connection, WEFT_CONNECTED);
    for (uint32_t i = 0; i < info.addresses_count; i++)
        cr_expect_neq(strcmp(info.addresses[i], "mem:n0:9"), 0, "it was told so");
    world_destroy(w);
}

Test(ticket_sync, a_held_tree_syncs_the_difference_both_ways)
{
    struct world *w = four(2);
    weft_id tree = tree_at(w, SERVER, 1);
    weft_ticket t = ticket_for(w, &tree);
    weft_node_stats before, after;
    add(&t, "mem:n0:1");
    commit(w, SERVER, &tree, 20);
    cr_assert_eq(weft_node_stats_get(node(w, GUEST), &before), WEFT_OK);
    cr_assert_eq(follow(w, &t, NULL), WEFT_OK);
    commit(w, SERVER, &tree, 3);
    commit(w, GUEST, &tree, 2);
    cr_assert_eq(follow(w, &t, NULL), WEFT_OK);
    cr_assert_eq(weft_node_stats_get(node(w, GUEST), &after), WEFT_OK);
    cr_expect_eq(after.entries_received - before.entries_received, 24, "each one once");
    cr_expect_eq(entries(w, SERVER, &tree), 26);
    cr_expect_eq(entries(w, GUEST, &tree), 26);
    world_destroy(w);
}

Test(ticket_sync, a_node_that_listens_nowhere_makes_a_ticket_without_hints)
{
    struct world *w = four(3);
    weft_id absent = {{9}};
    weft_ticket t;
    cr_assert_eq(weft_ticket_create(node(w, SERVER), &absent, CALL, &t), WEFT_OK);
    cr_assert_eq(t.hints_count, 1);
    cr_expect_str_eq(t.hints[0], "mem:n0:1");
    cr_expect(weft_key_equal(&t.server, key(w, SERVER)));
    cr_assert_eq(weft_stop_server(node(w, SERVER), NULL, CALL), WEFT_OK);
    cr_assert_eq(weft_ticket_create(node(w, SERVER), &absent, CALL, &t), WEFT_OK);
    cr_expect_eq(t.hints_count, 0);
    cr_expect(weft_id_equal(&t.tree, &absent));
    world_destroy(w);
}

/* -- Shared ------------------------------------------------------------------------------- */

static weft_sync_settings settings_of(struct world *w, const weft_id *tree, const weft_key *who)
{
    weft_sync_settings s = {.enabled = false};
    weft_err err = weft_settings_get(node(w, SERVER), tree, who, CALL, &s);
    if (err != WEFT_OK) s.properties_count = UINT32_MAX;
    return s;
}

Test(ticket_sync, what_is_shared_is_served_again)
{
    struct world *w = four(14);
    weft_id tree = tree_at(w, SERVER, 1);
    weft_ticket t;
    weft_key alice = {{77}};
    cr_assert_eq(weft_settings_enable(node(w, SERVER), &tree, NULL, false, CALL), WEFT_OK);
    t = ticket_for(w, &tree);
    add(&t, "mem:n0:1");
    cr_expect_eq(follow(w, &t, NULL), WEFT_TREE);
    cr_assert_eq(weft_share(node(w, SERVER), &tree, &alice, CALL, &t), WEFT_OK);
    cr_expect_eq(t.hints_count, 1);
    cr_expect(settings_of(w, &tree, &alice).enabled);
    cr_expect(settings_of(w, &tree, &alice).on_commit);
    cr_expect_not(settings_of(w, &tree, NULL).enabled, "that is another's");
    cr_expect_eq(follow(w, &t, NULL), WEFT_OK);
    world_destroy(w);
}

Test(ticket_sync, sharing_flips_nothing_but_the_one_setting)
{
    struct world *w = four(15);
    weft_id tree = tree_at(w, SERVER, 1);
    weft_key alice = {{77}};
    weft_sync_settings s = {.has_interval = true, .interval_s = 900};
    weft_ticket t;
    cr_assert_eq(weft_settings_put(node(w, SERVER), &tree, &alice, &s, CALL), WEFT_OK);
    cr_assert_eq(weft_share(node(w, SERVER), &tree, &alice, CALL, &t), WEFT_OK);
    s = settings_of(w, &tree, &alice);
    cr_expect(s.enabled && !s.on_commit && s.has_interval);
    cr_expect_eq(s.interval_s, 900);
    world_destroy(w);
}

Test(ticket_sync, what_cannot_be_shared_leaves_the_settings)
{
    struct world *w = four(16);
    weft_id tree = tree_at(w, SERVER, 1), absent = {{9}};
    weft_key alice = {{77}};
    weft_ticket t = {.hints_count = 5};
    cr_expect_eq(weft_share(node(w, SERVER), &absent, &alice, CALL, &t), WEFT_NOT_FOUND);
    cr_assert_eq(weft_tree_follow(node(w, SERVER), &absent, NULL, 0, CALL), WEFT_OK);
    cr_expect_eq(weft_share(node(w, SERVER), &absent, &alice, CALL, &t), WEFT_NOT_FOUND,
                 "it is only waited for");
    cr_expect_eq(settings_of(w, &absent, &alice).properties_count, UINT32_MAX);
    cr_assert_eq(weft_stop_server(node(w, SERVER), NULL, CALL), WEFT_OK);
    cr_expect_eq(weft_share(node(w, SERVER), &tree, NULL, CALL, &t), WEFT_OK, "none has to run");
    cr_expect_eq(t.hints_count, 0);
    weft_node *deaf = NULL;
    weft_root_spec root = {.entropy = {47}};
    cr_assert_eq(weft_node_open(NULL, &deaf), WEFT_OK);
    cr_assert_eq(weft_tree_create(deaf, w->author, &root, CALL, &tree), WEFT_OK);
    cr_expect_eq(weft_share(deaf, &tree, NULL, CALL, &t), WEFT_NO_TRANSPORT);
    cr_expect_eq(weft_share(NULL, &tree, NULL, CALL, &t), WEFT_INVALID);
    cr_expect_eq(weft_share(deaf, NULL, NULL, CALL, &t), WEFT_INVALID);
    cr_expect_eq(weft_share(deaf, &tree, NULL, CALL, NULL), WEFT_INVALID);
    weft_node_close(deaf);
    world_destroy(w);
}

/* -- Many hints --------------------------------------------------------------------------- */

struct answer {
    uint32_t calls;
    weft_err err;
    weft_ns at;
    struct world *w;
    char text[WEFT_ADDRESS_BYTES_MAX];
};

static void on_answer(void *arg, weft_err err, const weft_result *result)
{
    struct answer *a = arg;
    a->calls++;
    a->err = err;
    a->at = wf_sim_now(a->w->sim);
    memcpy(a->text, result->text, sizeof a->text);
}

static bool is_answered(struct world *w) { return ((struct answer *)w->judge_arg)->calls > 0; }

/* Begins to follow while each way takes WAY, so that what is cut then was dialled before. */
static weft_ns begin(struct world *w, const weft_ticket *t, struct answer *a)
{
    wf_net_faults even = {.delay_min = WAY, .delay_max = WAY};
    world_faults(w, &even);
    a->w = w;
    w->judge_arg = a;
    cr_assert_eq(weft_sync_with_ticket_async(node(w, GUEST), t, CALL, on_answer, a), WEFT_OK);
    return wf_sim_now(w->sim);
}

Test(ticket_sync, dead_and_hanging_hints_do_not_delay_the_good_one)
{
    struct world *w = four(4);
    weft_id tree = tree_at(w, SERVER, 1);
    weft_ticket t = ticket_for(w, &tree);
    struct answer a = {0};
    for (uint32_t i = 0; i < 10; i++) {
        char dead[32];
        snprintf(dead, sizeof dead, "mem:nobody%u:1", i);
        add(&t, dead);
    }
    add(&t, "mem:n1:1");
    add(&t, "mem:n0:1");
    weft_ns began = begin(w, &t, &a);
    world_run(w, WAY + WAY / 2);
    world_cut(w, GUEST, OTHER, true);
    cr_assert(world_until(w, is_answered, CALL));
    cr_expect_eq(a.err, WEFT_OK, "%s", weft_errname(a.err));
    cr_expect_str_eq(a.text, "mem:n0:1");
    cr_expect_lt(a.at - began, WEFT_SEC, "the hanging one takes ten times as long");
    cr_expect_eq(entries(w, GUEST, &tree), 1);
    world_destroy(w);
}

Test(ticket_sync, when_all_fail_the_last_failure_is_the_answer)
{
    struct world *w = four(5);
    weft_id tree = tree_at(w, SERVER, 1);
    weft_ticket t = ticket_for(w, &tree);
    struct answer a = {0};
    add(&t, "mem:n1:1"); /* hangs */
    add(&t, "mem:nobody:1");
    weft_ns began = begin(w, &t, &a);
    world_run(w, WAY + WAY / 2);
    world_cut(w, GUEST, OTHER, true);
    cr_assert(world_until(w, is_answered, CALL));
    cr_expect_eq(a.err, WEFT_TIMED_OUT, "%s", weft_errname(a.err));
    cr_expect_leq(a.at - began, WEFT_TICKET_TRY_NS + WEFT_SEC);
    cr_expect_eq(entries(w, GUEST, &tree), 0);
    t.hints_count = 0;
    add(&t, "mem:nobody:1");
    cr_expect_eq(follow(w, &t, NULL), WEFT_UNREACHABLE);
    world_destroy(w);
}

Test(ticket_sync, when_the_first_breaks_off_the_next_one_goes_on)
{
    struct world *w = four(6);
    weft_id tree = tree_at(w, SERVER, 1);
    weft_ticket t = ticket_for(w, &tree);
    struct answer a = {0};
    cr_assert_eq(
        weft_add_transport_mem(node(w, SERVER), "more", w->hub, "late", "mem:late:1", CALL),
        WEFT_OK);
    cr_assert_eq(weft_start_server(node(w, SERVER), "more", CALL), WEFT_OK);
    add(&t, "mem:n0:1");
    add(&t, "mem:late:1");
    (void)begin(w, &t, &a);
    world_run(w, WAY + WAY / 2);
    wf_net_hub_partition(w->hub->hub, w->nodes[GUEST].host, "late", true); /* it hangs */
    cr_assert_eq(weft_stop_server(node(w, SERVER), "mem", CALL), WEFT_OK); /* no second time */
    world_run(w, 6 * WAY);
    cr_assert_eq(a.calls, 0);
    weft_peer_info info;
    cr_assert_eq(weft_peer_get(node(w, GUEST), key(w, SERVER), CALL, &info), WEFT_OK);
    wf_net_hub_kill(w->hub->hub, w->nodes[SERVER].host);
    world_run(w, WEFT_SEC);
    cr_expect_eq(a.calls, 0, "one of them is not through yet: %s", weft_errname(a.err));
    wf_net_hub_partition(w->hub->hub, w->nodes[GUEST].host, "late", false);
    cr_assert(world_until(w, is_answered, CALL));
    cr_expect_eq(a.err, WEFT_OK, "%s", weft_errname(a.err));
    cr_expect_str_eq(a.text, "mem:late:1");
    cr_expect_eq(entries(w, GUEST, &tree), 1);
    world_destroy(w);
}

Test(ticket_sync, what_proved_the_key_is_remembered_and_nothing_else)
{
    struct world *w = four(7);
    weft_id tree = tree_at(w, SERVER, 1);
    weft_ticket t = ticket_for(w, &tree);
    weft_peer_info info;
    cr_assert_eq(weft_add_transport_mem(node(w, SERVER), "more", w->hub, "too", NULL, CALL),
                 WEFT_OK);
    cr_assert_eq(weft_add_transport_mem(node(w, SERVER), "more", w->hub, "too", "mem:too:1", CALL),
                 WEFT_OK);
    cr_assert_eq(weft_start_server(node(w, SERVER), "more", CALL), WEFT_OK);
    add(&t, "mem:n1:1"); /* another's */
    add(&t, "mem:n0:1");
    add(&t, "mem:too:1");
    add(&t, "mem:nobody:1");
    cr_assert_eq(follow(w, &t, NULL), WEFT_OK);
    world_run(w, WEFT_SEC);
    cr_assert_eq(weft_peer_get(node(w, GUEST), key(w, SERVER), CALL, &info), WEFT_OK);
    cr_assert_eq(info.addresses_count, 2);
    for (uint32_t i = 0; i < 2; i++)
        cr_expect(strcmp(info.addresses[i], "mem:n0:1") == 0 ||
                      strcmp(info.addresses[i], "mem:too:1") == 0,
                  "%s", info.addresses[i]);
    world_destroy(w);
}

Test(ticket_sync, a_hint_that_nobody_had_to_dial_is_not_remembered)
{
    struct world *w = four(17);
    weft_id tree = tree_at(w, SERVER, 1);
    weft_ticket t = ticket_for(w, &tree);
    weft_peer_info info;
    weft_result r;
    add(&t, "mem:n0:1");
    cr_assert_eq(follow(w, &t, NULL), WEFT_OK);
    strcpy(t.hints[0], "mem:nobody:1");
    cr_assert_eq(follow(w, &t, &r), WEFT_OK, "there is a connection to it");
    cr_expect_str_eq(r.text, "mem:n0:1", "that is where it leads");
    cr_assert_eq(weft_peer_get(node(w, GUEST), key(w, SERVER), CALL, &info), WEFT_OK);
    cr_expect_eq(info.addresses_count, 1);
    world_destroy(w);
}

/* -- Whom it does not trust --------------------------------------------------------------- */

/* Frames from the guest to the other, whatever they say. */
static void count_frames(struct world *w, uint32_t from, const weft_key *to, const weft_id *tree,
                         uint32_t type)
{
    (void)tree;
    (void)type;
    if (from == GUEST && weft_key_equal(to, key(w, OTHER))) (*(uint32_t *)w->judge_arg)++;
}

Test(ticket_sync, another_key_at_a_hint_is_never_spoken_to)
{
    struct world *w = four(8);
    weft_id tree = tree_at(w, SERVER, 1);
    weft_ticket t = ticket_for(w, &tree);
    weft_peer_info info;
    uint32_t frames = 0;
    w->judge = count_frames;
    w->judge_arg = &frames;
    add(&t, "mem:n1:1");
    cr_expect_eq(follow(w, &t, NULL), WEFT_PEER_KEY);
    cr_expect_eq(entries(w, GUEST, &tree), 0);
    add(&t, "mem:n0:1");
    cr_expect_eq(follow(w, &t, NULL), WEFT_OK);
    cr_expect_eq(frames, 0);
    cr_expect_eq(weft_peer_get(node(w, GUEST), key(w, OTHER), CALL, &info), WEFT_NOT_FOUND);
    cr_expect_eq(weft_peer_get(node(w, OTHER), key(w, GUEST), CALL, &info), WEFT_NOT_FOUND);
    world_destroy(w);
}

Test(ticket_sync, of_twelve_hints_the_good_one_wins_wherever_it_stands)
{
    for (uint64_t seed = 100; seed < 120; seed++) {
        struct world *w = four(seed);
        weft_id tree = tree_at(w, SERVER, 1);
        weft_ticket t = ticket_for(w, &tree);
        wf_net_faults rough = {.delay_min = WEFT_MS,
                               .delay_max = 80 * WEFT_MS,
                               .segment_max = 1 + world_below(w, 200)};
        uint32_t frames = 0, good = world_below(w, 12);
        weft_result r;
        commit(w, SERVER, &tree, 50);
        w->judge = count_frames;
        w->judge_arg = &frames;
        world_faults(w, &rough);
        for (uint32_t i = 0; i < 12; i++) {
            char dead[32];
            snprintf(dead, sizeof dead, "mem:nobody%u:1", i);
            add(&t, i == good ? "mem:n0:1" : world_below(w, 3) == 0 ? "mem:n1:1" : dead);
        }
        weft_err err = follow(w, &t, &r);
        cr_expect_eq(err, WEFT_OK, "seed %lu: %s", seed, weft_errname(err));
        cr_expect_str_eq(r.text, "mem:n0:1", "seed %lu", seed);
        cr_expect_eq(entries(w, GUEST, &tree), 51, "seed %lu", seed);
        cr_expect_eq(frames, 0, "seed %lu", seed);
        world_destroy(w);
    }
}

Test(ticket_sync, a_ticket_lets_nobody_read_what_is_here_already)
{
    struct world *w = four(9);
    weft_root_spec root = {.entropy = {45}};
    weft_id mine;
    cr_assert_eq(weft_tree_create(node(w, GUEST), w->author, &root, CALL, &mine), WEFT_OK);
    cr_assert_eq(weft_tree_follow(node(w, SERVER), &mine, key(w, GUEST), 1, CALL), WEFT_OK);
    weft_ticket t = ticket_for(w, &mine);
    add(&t, "mem:n0:1");
    cr_expect_eq(follow(w, &t, NULL), WEFT_TREE);
    world_run(w, WEFT_SEC);
    cr_expect_eq(entries(w, SERVER, &mine), 0);
    /* Its entries stay when nobody follows it here. */
    cr_assert_eq(weft_tree_unfollow(node(w, GUEST), &mine, CALL), WEFT_OK);
    cr_expect_eq(follow(w, &t, NULL), WEFT_TREE);
    world_run(w, WEFT_SEC);
    cr_expect_eq(entries(w, SERVER, &mine), 0);
    world_destroy(w);
}

Test(ticket_sync, a_ticket_is_no_right)
{
    struct world *w = four(10);
    weft_root_spec root = {.entropy = {46}};
    weft_id theirs;
    cr_assert_eq(weft_tree_create(node(w, SERVER), w->author, &root, CALL, &theirs), WEFT_OK);
    weft_ticket t = ticket_for(w, &theirs);
    add(&t, "mem:n0:1");
    cr_expect_eq(follow(w, &t, NULL), WEFT_TREE);
    cr_expect_eq(entries(w, GUEST, &theirs), 0);
    world_destroy(w);
}

Test(ticket_sync, a_blocked_server_is_not_dialled_for_a_ticket)
{
    struct world *w = four(11);
    weft_id tree = tree_at(w, SERVER, 1);
    weft_ticket t = ticket_for(w, &tree);
    add(&t, "mem:n0:1");
    cr_assert_eq(weft_peer_register(node(w, GUEST), key(w, SERVER), NULL, CALL), WEFT_OK);
    cr_assert_eq(weft_peer_remove(node(w, GUEST), key(w, SERVER), CALL), WEFT_OK);
    cr_expect_eq(follow(w, &t, NULL), WEFT_BLOCKED);
    cr_expect_eq(entries(w, GUEST, &tree), 0);
    world_destroy(w);
}

/* -- Asking to be let in ------------------------------------------------------------------ */

Test(ticket_sync, who_has_no_right_yet_asks_by_the_ticket)
{
    struct world *w = four(18);
    weft_root_spec root = {.entropy = {48}};
    weft_id tree;
    weft_join_spec spec = {.name = "guest", .right = WEFT_RIGHT_READ};
    weft_join_outcome out;
    weft_join_request waiting[4];
    size_t count = 4;
    cr_assert_eq(weft_tree_create(node(w, SERVER), w->author, &root, CALL, &tree), WEFT_OK);
    weft_ticket t = ticket_for(w, &tree);
    add(&t, "mem:nobody:1");
    add(&t, "mem:n1:1");
    add(&t, "mem:n0:1");
    cr_expect_eq(weft_tree_join_with_ticket(node(w, GUEST), &t, &spec, CALL, &out), WEFT_TREE);
    cr_assert_eq(
        weft_join_mode_set(node(w, SERVER), &tree, WEFT_JOIN_ASK, NULL, WEFT_RIGHT_NONE, 0, CALL),
        WEFT_OK);
    cr_expect_eq(weft_tree_join_with_ticket(node(w, GUEST), &t, &spec, CALL, &out), WEFT_AWAITING);
    cr_expect_eq(out.state, WEFT_JOIN_PENDING);
    cr_assert_eq(weft_join_list(node(w, SERVER), WEFT_JOIN_PENDING, CALL, waiting, &count),
                 WEFT_OK);
    cr_assert_eq(count, 1, "once, by whatever hint");
    cr_expect_str_eq(waiting[0].name, "guest");
    cr_assert_eq(weft_join_approve(node(w, SERVER), waiting[0].id, w->author, CALL), WEFT_OK);
    cr_expect_eq(weft_tree_join_with_ticket(node(w, GUEST), &t, &spec, CALL, &out), WEFT_OK);
    cr_expect_eq(out.state, WEFT_JOIN_GRANTED);
    cr_expect_eq(entries(w, GUEST, &tree), entries(w, SERVER, &tree));
    world_destroy(w);
}

Test(ticket_sync, a_request_that_is_none_dials_nobody)
{
    struct world *w = four(19);
    weft_id tree = tree_at(w, SERVER, 1);
    weft_ticket t = ticket_for(w, &tree);
    weft_join_spec spec = {.name = ""};
    weft_peer_info info;
    cr_expect_eq(weft_tree_join_with_ticket(node(w, GUEST), &t, NULL, CALL, NULL), WEFT_INVALID);
    add(&t, "mem:n0:1");
    cr_expect_eq(weft_tree_join_with_ticket(node(w, GUEST), &t, &spec, CALL, NULL), WEFT_INVALID);
    spec.name = "x";
    cr_expect_eq(weft_tree_join_with_ticket(NULL, &t, &spec, CALL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_tree_join_with_ticket(node(w, GUEST), NULL, &spec, CALL, NULL), WEFT_INVALID);
    t.hints_count = 0;
    cr_expect_eq(weft_tree_join_with_ticket(node(w, GUEST), &t, &spec, CALL, NULL), WEFT_ADDRESS);
    cr_expect_eq(weft_peer_get(node(w, GUEST), key(w, SERVER), CALL, &info), WEFT_NOT_FOUND);
    t.hints_count = 1;
    t.server = *key(w, OTHER);
    cr_expect_eq(weft_tree_join_with_ticket(node(w, GUEST), &t, &spec, CALL, NULL), WEFT_PEER_KEY);
    world_destroy(w);
}

/* -- What is none ------------------------------------------------------------------------- */

Test(ticket_sync, without_hints_or_key_nothing_is_begun)
{
    struct world *w = four(12);
    weft_id tree = tree_at(w, SERVER, 1);
    weft_ticket t = ticket_for(w, &tree);
    struct answer a = {.w = w};
    cr_expect_eq(follow(w, &t, NULL), WEFT_ADDRESS);
    add(&t, "mem:n0:1");
    t.has_server = false;
    cr_expect_eq(follow(w, &t, NULL), WEFT_PEER_KEY);
    t.has_server = true;
    t.server = *key(w, GUEST);
    cr_expect_eq(follow(w, &t, NULL), WEFT_INVALID, "its own");
    t.server = *key(w, SERVER);
    memset(t.hints[0], 'a', sizeof t.hints[0]);
    cr_expect_eq(follow(w, &t, NULL), WEFT_INVALID);
    cr_expect_eq(follow(w, NULL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_sync_with_ticket(NULL, &t, CALL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_sync_with_ticket_async(node(w, GUEST), &t, CALL, on_answer, &a),
                 WEFT_INVALID);
    memcpy(t.hints[0], "mem:n0:1", 9);
    cr_expect_eq(weft_sync_with_ticket_async(node(w, GUEST), &t, CALL, NULL, &a), WEFT_INVALID);
    cr_expect_eq(weft_ticket_create(NULL, &tree, CALL, &t), WEFT_INVALID);
    cr_expect_eq(weft_ticket_create(node(w, GUEST), NULL, CALL, &t), WEFT_INVALID);
    cr_expect_eq(weft_ticket_create(node(w, GUEST), &tree, CALL, NULL), WEFT_INVALID);
    cr_expect_eq(a.calls, 0);
    world_destroy(w);
}

/* One world each: a node whose frames cannot be verified for want of memory stops, as it says. */
Test(ticket_sync, every_call_ends_though_memory_is_short)
{
    for (uint64_t nth = 1; nth <= 40; nth++) {
        struct world *w = four(13);
        weft_id tree = tree_at(w, SERVER, 1);
        weft_ticket t = ticket_for(w, &tree), made;
        add(&t, "mem:n0:1");
        add(&t, "mem:nobody:1");
        (void)wf_alloc_fail_at(nth, 0);
        weft_err err = follow(w, &t, NULL);
        (void)wf_alloc_fail_at(0, 0);
        cr_expect(err != WEFT_OK || entries(w, GUEST, &tree) == 1, "%lu", (unsigned long)nth);
        cr_expect(err != WEFT_TIMED_OUT, "%lu", (unsigned long)nth);
        (void)wf_alloc_fail_at(nth, 0);
        (void)weft_ticket_create(node(w, SERVER), &tree, CALL, &made);
        (void)wf_alloc_fail_at(0, 0);
        world_destroy(w);
    }
}
