/* SPDX-License-Identifier: Apache-2.0
 * test_outbox.c - staged sends: order, bounds, what stays whose.
 * Called by: the test runner. */
#include "rig.h"

struct heard {
    uint64_t next;
    unsigned wrong;
};

/* Counts notes that come in order; answers queries. */
static weft_verdict hear(weft_self *self, void *data, weft_msg *msg)
{
    struct heard *heard = data;
    if (msg->kind == &QUERY) return rig_echo(self, NULL, msg);
    if (((struct note *)msg)->number != heard->next++) heard->wrong++;
    return WEFT_DONE;
}

BOTH(outbox, everything_arrives_once_and_in_order)
{
    struct heard heard = {0};
    weft_addr *to = rig_spawn(rig, hear, &heard, WEFT_UNBOUNDED);
    weft_outbox box;
    cr_assert_eq(weft_outbox_init(&box, to, 32), WEFT_OK);
    for (uint64_t i = 0; i < 1000; i++)
        cr_assert_eq(weft_outbox_send(&box, &note_new(0, i)->msg), WEFT_OK);
    cr_assert_eq(box.count, 1000 % 32);
    cr_assert_eq(weft_outbox_flush(&box), WEFT_OK);
    cr_assert_eq(weft_outbox_flush(&box), WEFT_OK, "nothing to do");
    cr_assert_eq(rig_call(rig, to, 0), WEFT_OK);
    cr_assert_eq(heard.next, 1000);
    cr_assert_eq(heard.wrong, 0);
    weft_addr_put(to);
}

BOTH(outbox, nothing_is_sent_before_the_batch_is_full)
{
    struct heard heard = {0};
    weft_addr *to = rig_spawn(rig, hear, &heard, 0);
    weft_outbox box;
    cr_assert_eq(weft_outbox_init(&box, to, 3), WEFT_OK);
    for (uint64_t i = 0; i < 2; i++)
        cr_assert_eq(weft_outbox_send(&box, &note_new(0, i)->msg), WEFT_OK);
    cr_assert_eq(rig_call(rig, to, 0), WEFT_OK);
    cr_assert_eq(heard.next, 0);
    cr_assert_eq(weft_outbox_send(&box, &note_new(0, 2)->msg), WEFT_OK);
    cr_assert_eq(rig_call(rig, to, 0), WEFT_OK);
    cr_assert_eq(heard.next, 3);
    weft_addr_put(to);
}

BOTH(outbox, a_batch_of_one_is_a_send)
{
    struct heard heard = {0};
    weft_addr *to = rig_spawn(rig, hear, &heard, 2);
    weft_outbox box;
    cr_assert_eq(weft_outbox_init(&box, to, 1), WEFT_OK);
    cr_assert_eq(weft_outbox_send(&box, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(box.count, 0);
    cr_assert_eq(rig_call(rig, to, 0), WEFT_OK);
    cr_assert_eq(heard.next, 1);
    weft_addr_put(to);
}

Test(outbox, batches_that_can_never_go_are_refused)
{
    struct rig rig = rig_open(true, 1);
    struct heard heard = {0};
    weft_addr *bounded = rig_spawn(&rig, hear, &heard, 10);
    weft_addr *free_one = rig_spawn(&rig, hear, &heard, WEFT_UNBOUNDED);
    weft_outbox box = {0};
    cr_assert_eq(weft_outbox_init(&box, free_one, 0), WEFT_INVALID);
    cr_assert_eq(weft_outbox_init(&box, free_one, WEFT_OUTBOX_BATCH_MAX + 1), WEFT_INVALID);
    cr_assert_eq(weft_outbox_init(&box, free_one, WEFT_OUTBOX_BATCH_MAX), WEFT_OK);
    cr_assert_eq(weft_outbox_init(&box, bounded, 6), WEFT_INVALID);
    cr_assert_eq(weft_outbox_init(&box, bounded, 5), WEFT_OK);
    weft_addr_put(bounded);
    weft_addr_put(free_one);
    rig_close(&rig);
}

Test(outbox, full_leaves_the_message_and_what_is_staged_and_later_all_arrives)
{
    struct rig rig = rig_open(true, 1); /* nobody runs before we wait */
    struct heard heard = {0};
    weft_addr *to = rig_spawn(&rig, hear, &heard, 8);
    weft_outbox box;
    uint64_t n = 0;
    weft_err err = WEFT_OK;
    struct note *last = NULL;
    cr_assert_eq(weft_outbox_init(&box, to, 3), WEFT_OK);
    while (err == WEFT_OK) {
        last = note_new(0, n++);
        err = weft_outbox_send(&box, &last->msg);
    }
    cr_assert_eq(err, WEFT_FULL);
    cr_assert_eq(n, 9, "two batches, two staged, and the one that did not go");
    cr_assert_eq(box.count, 2);
    cr_assert_eq(weft_outbox_flush(&box), WEFT_OK, "two have room");
    cr_assert_eq(rig_call(&rig, to, 0), WEFT_FULL);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + WEFT_SEC);
    cr_assert_eq(weft_outbox_send(&box, &last->msg), WEFT_OK);
    cr_assert_eq(weft_outbox_flush(&box), WEFT_OK);
    cr_assert_eq(rig_call(&rig, to, 0), WEFT_OK);
    cr_assert_eq(heard.next, 9);
    cr_assert_eq(heard.wrong, 0);
    weft_addr_put(to);
    rig_close(&rig);
}

BOTH(outbox, closed_leaves_all_with_the_sender_in_their_order)
{
    weft_addr *to = rig_spawn(rig, rig_echo, NULL, 0);
    weft_outbox box;
    cr_assert_eq(weft_outbox_init(&box, to, 4), WEFT_OK);
    for (uint64_t i = 0; i < 3; i++)
        cr_assert_eq(weft_outbox_send(&box, &note_new(0, i)->msg), WEFT_OK);
    cr_assert_eq(weft_stop(to, WEFT_NOW), WEFT_OK);
    cr_assert_eq(rig_join(rig, to), WEFT_OK);
    struct note *fourth = note_new(0, 3);
    cr_assert_eq(weft_outbox_send(&box, &fourth->msg), WEFT_CLOSED);
    weft_drop(&fourth->msg);
    cr_assert_eq(weft_outbox_flush(&box), WEFT_CLOSED);
    weft_msg *msg = weft_outbox_take(&box);
    for (uint64_t i = 0; i < 3; i++) {
        cr_assert_eq(((struct note *)msg)->number, i);
        weft_msg *next = msg->next;
        weft_drop(msg);
        msg = next;
    }
    cr_assert_null(msg);
    cr_assert_null(weft_outbox_take(&box));
    weft_addr_put(to);
}

Test(outbox, what_was_taken_back_can_be_sent_elsewhere)
{
    struct rig rig = rig_open(true, 1);
    struct heard heard = {0};
    weft_addr *to = rig_spawn(&rig, hear, &heard, 0);
    weft_outbox box;
    cr_assert_eq(weft_outbox_init(&box, to, 4), WEFT_OK);
    cr_assert_eq(weft_outbox_send(&box, &note_new(0, 0)->msg), WEFT_OK);
    cr_assert_eq(weft_send(to, weft_outbox_take(&box)), WEFT_OK);
    cr_assert_eq(rig_call(&rig, to, 0), WEFT_OK);
    cr_assert_eq(heard.next, 1);
    weft_addr_put(to);
    rig_close(&rig);
}
