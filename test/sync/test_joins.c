/* SPDX-License-Identifier: Apache-2.0
 * test_joins.c - the rows of joining: requests here, requests elsewhere, modes; their records.
 * Called by: the test runner. Never: a node. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "asked.h"
#include "join_desk.h"
#include "join_modes.h"
#include "joins.h"

static weft_key key_of(uint8_t number) { return (weft_key){{number, 0x55}}; }
static weft_id tree_of(uint8_t number) { return (weft_id){{number, 0x66}}; }

/* Request `number` of a device, at its time. */
static weft_join_request *request(uint32_t number, uint8_t device, int64_t asked_ms)
{
    weft_join_request *r = calloc(1, sizeof *r);
    memcpy(r->id, &number, sizeof number);
    r->tree = tree_of(1);
    r->key = key_of((uint8_t)number);
    r->device = key_of(device);
    r->right = WEFT_RIGHT_READ;
    r->state = WEFT_JOIN_PENDING;
    r->asked_ms = asked_ms;
    r->expires_ms = asked_ms + WEFT_JOIN_TTL_MS;
    strcpy(r->name, "somebody");
    return r;
}

static struct wf_join_row *add(struct wf_joins *joins, uint32_t number, uint8_t device,
                               int64_t asked_ms)
{
    struct wf_join_row *row = NULL;
    weft_join_request *r = request(number, device, asked_ms);
    cr_assert_eq(wf_joins_add(joins, r, &row), WEFT_OK);
    row->saved = true;
    free(r);
    return row;
}

/* -- Bounds ----------------------------------------------------------------------------- */

Test(joins, have_room_for_so_many_of_a_device)
{
    struct wf_joins joins = {0};
    weft_key device = key_of(1), other = key_of(2);
    struct wf_join_row *row = NULL;
    for (uint32_t i = 0; i < WEFT_JOINS_PER_PEER_MAX; i++) {
        cr_expect(wf_joins_room(&joins, &device));
        row = add(&joins, i, 1, 10);
    }
    cr_expect_not(wf_joins_room(&joins, &device));
    cr_expect(wf_joins_room(&joins, &other));
    wf_joins_end(&joins, row, WEFT_JOIN_REJECTED, 20, NULL);
    cr_expect(wf_joins_room(&joins, &device), "only what waits counts");
    wf_joins_fini(&joins);
}

Test(joins, have_room_for_so_many_in_all)
{
    struct wf_joins joins = {0};
    weft_key other = key_of(200);
    for (uint32_t i = 0; i < WEFT_JOINS_MAX; i++) {
        cr_expect(wf_joins_room(&joins, &other));
        add(&joins, i, (uint8_t)(1 + i), 10);
    }
    cr_expect_not(wf_joins_room(&joins, &other));
    wf_joins_fini(&joins);
}

Test(joins, are_not_added_where_memory_is_short)
{
    struct wf_joins joins = {0};
    struct wf_join_row *row = NULL;
    weft_join_request *r = request(1, 1, 10);
    for (uint64_t nth = 1; nth <= 2; nth++) {
        (void)wf_alloc_fail_at(nth, 0);
        cr_expect_eq(wf_joins_add(&joins, r, &row), WEFT_NO_MEMORY);
        (void)wf_alloc_fail_at(0, 0);
        cr_expect_eq(joins.count, 0);
    }
    cr_expect_eq(wf_joins_add(&joins, r, &row), WEFT_OK);
    cr_expect_eq(wf_joins_add(&joins, r, &row), WEFT_EXISTS);
    free(r);
    wf_joins_fini(&joins);
}

/* -- Time ------------------------------------------------------------------------------- */

Test(joins, that_wait_for_too_long_are_due_to_the_millisecond)
{
    struct wf_joins joins = {0};
    bool forget = true;
    struct wf_join_row *row = add(&joins, 1, 1, 1000);
    cr_expect_null(wf_joins_due(&joins, 1000 + WEFT_JOIN_TTL_MS - 1, &forget));
    cr_expect_eq(wf_joins_due(&joins, 1000 + WEFT_JOIN_TTL_MS, &forget), row);
    cr_expect_not(forget);
    wf_joins_end(&joins, row, WEFT_JOIN_EXPIRED, 1000 + WEFT_JOIN_TTL_MS, NULL);
    cr_expect_null(wf_joins_due(&joins, 1000 + WEFT_JOIN_TTL_MS, &forget));
    cr_expect_eq(wf_joins_due(&joins, 1000 + 2 * WEFT_JOIN_TTL_MS, &forget), row);
    cr_expect(forget);
    wf_joins_fini(&joins);
}

Test(joins, are_no_older_for_a_clock_that_was_turned_back)
{
    struct wf_joins joins = {0};
    bool forget;
    add(&joins, 1, 1, INT64_MAX - WEFT_JOIN_TTL_MS);
    cr_expect_null(wf_joins_due(&joins, 0, &forget));
    wf_joins_fini(&joins);
}

Test(joins, that_were_decided_first_are_forgotten_first)
{
    struct wf_joins joins = {0};
    bool forget = false;
    struct wf_join_row *first = NULL;
    add(&joins, 1, 1, 5); /* waits: it is older than all, and stays */
    for (uint32_t i = 0; i <= WEFT_JOINS_DECIDED_MAX; i++) {
        struct wf_join_row *row = add(&joins, 10 + i, 1, 10 + i);
        wf_joins_end(&joins, row, WEFT_JOIN_GRANTED, 1000 + (i == 7 ? 0 : i + 1), NULL);
        if (i == 7) first = row;
        if (i < WEFT_JOINS_DECIDED_MAX) cr_expect_null(wf_joins_due(&joins, 5000, &forget));
    }
    cr_expect_eq(wf_joins_due(&joins, 5000, &forget), first);
    cr_expect(forget);
    wf_joins_remove(&joins, first);
    cr_expect_null(wf_joins_due(&joins, 5000, &forget));
    wf_joins_fini(&joins);
}

Test(joins, whose_decision_is_under_way_are_left_alone)
{
    struct wf_joins joins = {0};
    bool forget;
    add(&joins, 1, 1, 10)->deciding = true;
    cr_expect_null(wf_joins_due(&joins, 10 + 2 * WEFT_JOIN_TTL_MS, &forget));
    wf_joins_fini(&joins);
}

/* -- Against a list --------------------------------------------------------------------- */

enum { ROWS = 60 };

struct model {
    bool there;
    weft_join_state state;
    int64_t asked;
};

static void compare(const struct wf_joins *joins, const struct model *model, unsigned step)
{
    uint32_t pending = 0, count = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        uint8_t id[16] = {0};
        memcpy(id, &i, sizeof i);
        const struct wf_join_row *row = wf_joins_find(joins, id);
        cr_assert_eq(row != NULL, model[i].there, "step %u, row %u", step, i);
        if (row == NULL) continue;
        cr_assert_eq(row->r.state, model[i].state, "step %u, row %u", step, i);
        count++;
        pending += model[i].state == WEFT_JOIN_PENDING;
        bool waits = wf_joins_same(joins, &row->r.tree, &row->r.key, &row->r.device) == row;
        cr_assert_eq(waits, model[i].state == WEFT_JOIN_PENDING, "step %u, row %u", step, i);
    }
    cr_assert_eq(joins->count, count, "step %u", step);
    cr_assert_eq(joins->pending, pending, "step %u", step);
    cr_assert_eq(wf_joins_list(joins, WEFT_JOIN_PENDING, NULL), pending, "step %u", step);
}

Test(joins, agree_with_a_list_of_who_asked)
{
    struct wf_joins joins = {0};
    struct model model[ROWS] = {{0}};
    srand(11);
    for (unsigned step = 0; step < 3000; step++) {
        uint32_t i = (uint32_t)rand() % ROWS;
        uint8_t id[16] = {0};
        memcpy(id, &i, sizeof i);
        struct wf_join_row *row = wf_joins_find(&joins, id);
        if (row == NULL) {
            model[i] = (struct model){true, WEFT_JOIN_PENDING, rand() % 1000};
            add(&joins, i, (uint8_t)(i % 9), model[i].asked);
        } else if (row->r.state == WEFT_JOIN_PENDING) {
            model[i].state = rand() % 2 == 0 ? WEFT_JOIN_GRANTED : WEFT_JOIN_REJECTED;
            wf_joins_end(&joins, row, model[i].state, 2000, NULL);
        } else {
            model[i].there = false;
            wf_joins_remove(&joins, row);
        }
        compare(&joins, model, step);
    }
    wf_joins_fini(&joins);
}

Test(joins, are_listed_the_oldest_first)
{
    struct wf_joins joins = {0};
    weft_join_request *out = calloc(50, sizeof *out);
    srand(12);
    for (uint32_t i = 0; i < 50; i++) add(&joins, i, (uint8_t)i, rand() % 20);
    add(&joins, 99, 1, 1)->saved = false; /* not durable: nobody has heard of it */
    cr_assert_eq(wf_joins_list(&joins, WEFT_JOIN_PENDING, out), 50);
    for (uint32_t i = 1; i < 50; i++) cr_expect_leq(out[i - 1].asked_ms, out[i].asked_ms);
    free(out);
    wf_joins_fini(&joins);
}

/* -- Records ---------------------------------------------------------------------------- */

Test(joins, come_back_from_their_records_whole)
{
    weft_join_request *r = request(7, 3, 1234567), *back = calloc(1, sizeof *back);
    uint8_t bytes[WF_JOIN_RECORD_MAX];
    r->right = WEFT_RIGHT_ADMIN;
    r->priority = UINT32_MAX;
    r->state = WEFT_JOIN_EXPIRED;
    r->decided_ms = 7654321;
    r->decided_by = key_of(9);
    memset(r->name, 'n', WEFT_KEY_NAME_BYTES_MAX); /* the longest of all that has a length */
    memset(r->from, 'f', WEFT_ADDRESS_BYTES_MAX - 1);
    r->meta_len = WEFT_JOIN_META_BYTES_MAX;
    memset(r->meta, 0xab, r->meta_len);
    size_t len = wf_join_record_encode(r, bytes);
    memcpy(back->id, r->id, sizeof r->id);
    cr_assert_eq(wf_join_record_decode(bytes, len, back), WEFT_OK);
    cr_expect_eq(memcmp(r, back, sizeof *r), 0);
    for (size_t cut = 0; cut < len; cut += cut < 300 ? 1 : 97)
        cr_expect_eq(wf_join_record_decode(bytes, cut, back), WEFT_CORRUPT, "%zu", cut);
    bytes[1] = 2; /* a version that nobody has written yet */
    cr_expect_eq(wf_join_record_decode(bytes, len, back), WEFT_CORRUPT);
    free(r);
    free(back);
}

/* -- What was asked elsewhere ----------------------------------------------------------- */

static struct wf_asked_row asked_row(uint32_t number)
{
    struct wf_asked_row row = {.tree = tree_of((uint8_t)(number % 7)),
                               .key = key_of((uint8_t)(number / 7)),
                               .server = key_of(77),
                               .name = "me",
                               .right = WEFT_RIGHT_WRITE,
                               .priority = number,
                               .asked_ms = number};
    row.tree.bytes[20] = (uint8_t)(number >> 8);
    row.key.bytes[20] = (uint8_t)(number >> 8);
    memcpy(row.id, &number, sizeof number);
    return row;
}

Test(joins, asked_elsewhere_are_found_by_tree_and_key_and_by_server_and_request)
{
    struct wf_asked asked = {0};
    for (uint32_t i = 0; i < WEFT_ASKED_MAX; i++) {
        struct wf_asked_row row = asked_row((i * 37) % WEFT_ASKED_MAX); /* in no order */
        cr_assert_eq(wf_asked_put(&asked, &row), WEFT_OK);
    }
    struct wf_asked_row more = asked_row(WEFT_ASKED_MAX), again = asked_row(5);
    again.priority = 4711;
    cr_expect_eq(wf_asked_put(&asked, &more), WEFT_LIMIT);
    cr_expect_eq(wf_asked_put(&asked, &again), WEFT_OK, "it takes the place of what is there");
    cr_expect_eq(wf_asked_find(&asked, &again.tree, &again.key)->priority, 4711);
    for (uint32_t i = 0; i < WEFT_ASKED_MAX; i += 3) {
        struct wf_asked_row row = asked_row(i);
        struct wf_asked_row *found = wf_asked_of(&asked, &row.server, row.id);
        cr_assert_eq(found, wf_asked_find(&asked, &row.tree, &row.key));
        wf_asked_remove(&asked, found);
        cr_assert_null(wf_asked_find(&asked, &row.tree, &row.key));
    }
    weft_key nobody = key_of(1);
    cr_expect_null(wf_asked_of(&asked, &nobody, asked_row(1).id));
    wf_asked_fini(&asked);
}

/* Also what is asked about just now: its answer finds nothing that it could bring the tree back for. */
Test(joins, asked_elsewhere_for_a_tree_go_with_it)
{
    struct wf_join_desk desk = {0};
    const weft_id tree = asked_row(3).tree;
    for (uint32_t i = 0; i < 21; i++) { /* three keys for each of seven trees */
        struct wf_asked_row row = asked_row(i);
        row.asking = i % 2 == 0;
        cr_assert_eq(wf_asked_put(&desk.asked, &row), WEFT_OK);
    }
    wf_join_desk_drop(&desk, &tree);
    cr_expect_eq(desk.asked.count, 18);
    for (uint32_t i = 0; i < desk.asked.count; i++)
        cr_expect_not(weft_id_equal(&desk.asked.rows[i].tree, &tree));
    wf_asked_fini(&desk.asked);
    wf_join_modes_fini(&desk.modes);
}

Test(joins, asked_elsewhere_come_back_from_their_records)
{
    struct wf_asked_row row = asked_row(9), back = {.tree = row.tree, .key = row.key};
    uint8_t bytes[WF_ASKED_RECORD_MAX];
    memset(row.name, 'n', WEFT_KEY_NAME_BYTES_MAX);
    size_t len = wf_asked_record_encode(&row, bytes);
    cr_assert_eq(wf_asked_record_decode(bytes, len, &back), WEFT_OK);
    cr_expect_eq(memcmp(&row, &back, sizeof row), 0);
    for (size_t cut = 0; cut < len; cut++)
        cr_expect_eq(wf_asked_record_decode(bytes, cut, &back), WEFT_CORRUPT, "%zu", cut);
}

/* -- Modes ------------------------------------------------------------------------------ */

Test(joins, modes_are_those_that_were_set_last)
{
    struct wf_join_modes modes = {0};
    weft_join_mode model[40] = {0};
    srand(13);
    for (unsigned step = 0; step < 2000; step++) {
        uint8_t i = (uint8_t)(rand() % 40);
        struct wf_join_mode mode = {.tree = tree_of(i), .mode = (weft_join_mode)(rand() % 3)};
        model[i] = mode.mode;
        if (mode.mode == WEFT_JOIN_AUTO && rand() % 2 == 0)
            cr_assert_eq(weft_keypair_from_seed((uint8_t[32]){i}, &mode.admin), WEFT_OK);
        cr_assert_eq(wf_join_modes_put_take(&modes, &mode), WEFT_OK);
        for (uint8_t k = 0; k < 40; k++) {
            weft_id tree = tree_of(k);
            const struct wf_join_mode *found = wf_join_modes_find(&modes, &tree);
            cr_assert_eq(found == NULL ? WEFT_JOIN_CLOSED : found->mode, model[k], "step %u", step);
        }
    }
    wf_join_modes_fini(&modes);
}

Test(joins, modes_come_back_from_their_records_without_a_secret)
{
    struct wf_join_mode mode = {.tree = tree_of(1),
                                .mode = WEFT_JOIN_AUTO,
                                .right = WEFT_RIGHT_WRITE,
                                .priority = 10},
                        back;
    uint8_t bytes[WF_JOIN_MODE_RECORD_MAX];
    size_t len = wf_join_mode_encode(&mode, bytes);
    memset(&back, 0, sizeof back);
    cr_assert_eq(wf_join_mode_decode(bytes, len, &back), WEFT_OK);
    cr_expect(back.mode == mode.mode && back.right == mode.right && back.priority == 10);
    for (size_t cut = 0; cut < len; cut++)
        cr_expect_eq(wf_join_mode_decode(bytes, cut, &back), WEFT_CORRUPT, "%zu", cut);
    bytes[2] = WEFT_JOIN_CLOSED; /* which has no record */
    cr_expect_eq(wf_join_mode_decode(bytes, len, &back), WEFT_CORRUPT);
}
