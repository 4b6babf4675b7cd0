/* SPDX-License-Identifier: Apache-2.0
 * actor_node.c - an actor that looks after a tree of a node, and never waits for it.
 * Called by: you, and meson test. May touch: memory and the loopback interface.
 * Never: more than weft's public headers.
 *
 *     cc actor_node.c $(pkg-config --cflags --libs --static weft) -o actor_node */
#include <stdio.h>
#include <stdlib.h>

#include <weft/ticket.h>

#define TIMEOUT (10 * WEFT_SEC)

/* Every call says what went wrong. An example may just give up. */
static void check(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "%s: %s\n", what, weft_strerror(err));
    exit(1);
}

/* -- Answers of the node, as messages --------------------------------------------------------- */

/* The callback of an asynchronous call runs on the node's own thread. It fills in a message that was
 * made before the call, so nothing can fail there, and sends it to the actor that waits for it. */
struct answer {
    weft_msg msg;
    weft_addr *to; /* counted */
    weft_err err;
    weft_id tree;
    weft_ticket ticket;
};

static void answer_drop(weft_msg *msg)
{
    weft_addr_put(((struct answer *)msg)->to);
    weft_free_msg(msg);
}

static const weft_kind CREATED = {1, "created", sizeof(struct answer), answer_drop};
static const weft_kind SHARED = {2, "shared", sizeof(struct answer), answer_drop};

static struct answer *answer_new(weft_self *self, const weft_kind *kind)
{
    struct answer *answer = (struct answer *)weft_new(kind);
    if (answer != NULL) answer->to = weft_addr_get(weft_self_addr(self));
    return answer;
}

static void answer_send(struct answer *answer, weft_err err)
{
    answer->err = err;
    if (weft_send(answer->to, &answer->msg) != WEFT_OK) weft_drop(&answer->msg); /* it has ended */
}

static void on_created(void *arg, weft_err err, const weft_id *tree)
{
    struct answer *answer = arg;
    if (tree != NULL) answer->tree = *tree;
    answer_send(answer, err);
}

static void on_shared(void *arg, weft_err err, const weft_ticket *ticket)
{
    struct answer *answer = arg;
    if (ticket != NULL) answer->ticket = *ticket;
    answer_send(answer, err);
}

/* -- The actor -------------------------------------------------------------------------------- */

struct keeper {
    weft_node *node;
    weft_keypair *author;
};

/* Begins; the tree comes as a message. */
static weft_err keeper_init(weft_self *self, void *state, void *arg)
{
    struct keeper *keeper = state;
    keeper->node = arg;
    weft_err err = weft_keypair_create(&keeper->author);
    if (err != WEFT_OK) return err;
    const weft_root_spec root = {.everyone = WEFT_RIGHT_READ};
    struct answer *answer = answer_new(self, &CREATED);
    err = answer == NULL
              ? WEFT_NO_MEMORY
              : weft_tree_create_async(keeper->node, keeper->author, &root, on_created, answer);
    if (err == WEFT_OK) return WEFT_OK;
    weft_drop(answer == NULL ? NULL : &answer->msg); /* nothing was begun: still ours */
    weft_keypair_destroy(keeper->author);
    return err;
}

static weft_verdict keeper_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct keeper *keeper = state;
    const struct answer *came = (const struct answer *)msg;
    if (came->err != WEFT_OK) return weft_fail(self, came->err);
    if (msg->kind == &SHARED) {
        printf("shared at %s\n", came->ticket.hints[0]);
        return WEFT_STOP;
    }
    struct answer *answer = answer_new(self, &SHARED);
    if (answer == NULL) return weft_fail(self, WEFT_NO_MEMORY);
    weft_err err = weft_share_async(keeper->node, &came->tree, NULL, on_shared, answer);
    if (err == WEFT_OK) return WEFT_DONE;
    weft_drop(&answer->msg);
    return weft_fail(self, err);
}

static void keeper_fini(weft_self *self, void *state, weft_err reason)
{
    (void)self;
    (void)reason;
    weft_keypair_destroy(((struct keeper *)state)->author);
}

int main(void)
{
    weft_node *node;
    weft_rt *rt;
    weft_addr *keeper;
    weft_err reason;
    check(weft_node_open(NULL, &node), "open");
    check(weft_add_transport(node, "main", "tcp:127.0.0.1:0", TIMEOUT), "add a transport");
    check(weft_start_server(node, "main", TIMEOUT), "listen");
    check(weft_rt_create(&rt), "runtime");
    const weft_spec spec = {.name = "keeper",
                            .init = keeper_init,
                            .handle = keeper_handle,
                            .fini = keeper_fini,
                            .state_size = sizeof(struct keeper),
                            .arg = node};
    check(weft_spawn(rt, &spec, &keeper), "spawn");
    check(weft_join(keeper, weft_rt_after(rt, TIMEOUT), &reason), "join");
    weft_addr_put(keeper);
    weft_rt_stop(rt, WEFT_NEVER);
    weft_rt_destroy(rt);
    weft_node_close(node);
    return reason == WEFT_OK ? 0 : 1;
}
