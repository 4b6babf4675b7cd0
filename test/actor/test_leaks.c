/* SPDX-License-Identifier: Apache-2.0
 * test_leaks.c - what a debug build sees of dropped and forgotten messages.
 * Called by: the test runner. The two rooms that look are compiled in here in their debug form,
 * and stand in for those of the library, in whatever build this is. */
#define WF_TRACK 1
#include <stdio.h>

#include "leaks.c"
#include "msg.c"

#include "rig.h"

static char said[4096];

static void keep(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg;
    size_t len = strlen(said);
    (void)snprintf(said + len, sizeof said - len, "%d %s: %s\n", (int)level, facility, line);
}

/* What is logged goes to `said`, and misuse is told without ending the process. */
static void listen(void)
{
    said[0] = '\0';
    wf_misuse_aborts = false;
    weft_log_to(keep, NULL, WEFT_LOG_WARN);
}

static const weft_kind APPLE = {7, "apple", sizeof(struct note), weft_free_msg};
static const weft_kind PEAR = {8, "pear", 100, weft_free_msg};

Test(leaks, names_each_kind_and_how_many_when_the_last_runtime_ends)
{
    weft_rt *first, *last;
    weft_msg *forgotten[3];
    listen();
    cr_assert_eq(weft_rt_create(&first), WEFT_OK);
    cr_assert_eq(weft_rt_create(&last), WEFT_OK);
    forgotten[0] = weft_new(&PEAR);
    forgotten[1] = weft_new(&APPLE);
    forgotten[2] = weft_new(&PEAR);
    weft_drop(weft_new(&APPLE));
    cr_assert_eq(weft_rt_destroy(first), WEFT_OK);
    cr_assert_str_eq(said, ""); /* they may still be somebody's */
    cr_assert_eq(weft_rt_destroy(last), WEFT_OK);
    cr_assert_str_eq(said, "2 messages: never dropped kind=apple count=1\n"
                           "2 messages: never dropped kind=pear count=2\n");
    for (int i = 0; i < 3; i++) weft_drop(forgotten[i]);
}

static void tell(weft_addr *to, uint64_t number)
{
    struct note *note = note_new(0, number);
    if (weft_send(to, &note->msg) != WEFT_OK) weft_drop(&note->msg);
}

BOTH(leaks, of_a_life_in_which_all_is_dropped_are_none)
{
    listen();
    weft_addr *addr = rig_spawn(rig, rig_echo, NULL, 0);
    for (uint64_t i = 0; i < 100; i++) tell(addr, i);
    cr_assert_eq(rig_call(rig, addr, 1), WEFT_OK);
    for (uint64_t i = 0; i < 10; i++) tell(addr, i);
    weft_addr_put(addr);
    struct rig other = rig_open(false, 0);
    cr_assert_eq(weft_rt_stop(rig->rt, rig_soon(rig)), WEFT_OK);
    rig_close(&other);
    for (const struct row *row = NULL; (row = next_after(row == NULL ? NULL : row->kind)) != NULL;)
        cr_assert_eq(row->left, 0, "%s", row->kind->name);
    cr_assert_not_null(next_after(NULL)); /* there was something to count */
    cr_assert_str_eq(said, "");
}

Test(leaks, a_message_whose_kind_was_changed_counts_as_what_it_was_made)
{
    struct note *note = (struct note *)weft_new(&APPLE);
    note->msg.kind = &NOTE;
    weft_drop(&note->msg);
    cr_assert_eq(row_of(&APPLE)->left, 0);
    cr_assert_eq(row_of(&NOTE)->left, 0);
}

Test(leaks, a_message_keeps_its_alignment)
{
    static const weft_kind line = {9, "line", 2 * WF_CACHE_LINE, weft_free_msg};
    weft_msg *msg = weft_new(&line), *apple = weft_new(&APPLE);
    cr_assert_eq((uintptr_t)msg % WF_CACHE_LINE, 0);
    cr_assert_eq((uintptr_t)apple % 16, 0);
    weft_drop(msg);
    weft_drop(apple);
}

/* -- What was dropped: where a checker of memory watches, it says so itself -------------------- */

#if WF_POOL

Test(leaks, what_was_dropped_is_overwritten)
{
    struct note *note = (struct note *)weft_new(&APPLE);
    unsigned char poison[sizeof note->number];
    memset(poison, POISON, sizeof poison);
    note->number = 17;
    weft_drop(&note->msg);
    cr_assert_eq(memcmp(&note->number, poison, sizeof poison), 0);
}

Test(leaks, what_was_dropped_cannot_be_sent)
{
    struct rig rig = rig_open(true, 1);
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 0);
    listen();
    weft_msg *msg = weft_new(&APPLE);
    weft_drop(msg);
    cr_assert_eq(weft_send(addr, msg), WEFT_INVALID);
    cr_assert_not_null(strstr(said, "weft.dropped is in flight already"));
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(leaks, who_drops_twice_is_told_the_kind)
{
    listen();
    weft_msg *msg = weft_new(&APPLE);
    weft_drop(msg);
    weft_drop(msg);
    weft_free_msg(msg);
    cr_assert_str_eq(said, "3 messages: dropped twice kind=apple\n"
                           "3 messages: dropped twice kind=apple\n");
    cr_assert_eq(row_of(&APPLE)->left, 0);
}

#endif
