/* SPDX-License-Identifier: Apache-2.0
 * test_interfaces.c - what the options of a node say of the machine's interfaces reaches its tickets.
 * Called by: the test runner. May touch: a port of this machine that is free. */
#include <criterion/criterion.h>
#include <string.h>

#include <weft/ticket.h>

#define CALL (20 * WEFT_SEC)

Test(interfaces, that_are_said_are_in_tickets)
{
    const weft_node_options options = {.interfaces = "lo"};
    const weft_id tree = {{1}};
    weft_node *node = NULL;
    weft_ticket t;
    cr_assert_eq(weft_node_open(&options, &node), WEFT_OK);
    cr_assert_eq(weft_add_transport(node, "tcp", "tcp:0.0.0.0:0", CALL), WEFT_OK);
    cr_assert_eq(weft_start_server(node, NULL, CALL), WEFT_OK);
    cr_assert_eq(weft_ticket_create(node, &tree, CALL, &t), WEFT_OK);
    cr_assert_eq(t.hints_count, 1);
    cr_expect_eq(strncmp(t.hints[0], "tcp:127.0.0.1:", 14), 0, "%s", t.hints[0]);
    weft_node_close(node);
}

Test(interfaces, of_another_form_open_no_node)
{
    const weft_node_options options = {.interfaces = "eth0,"};
    weft_node *node = NULL;
    cr_expect_eq(weft_node_open(&options, &node), WEFT_INVALID);
    cr_expect_null(node);
}
