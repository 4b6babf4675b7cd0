/* SPDX-License-Identifier: Apache-2.0
 * stash.c - an actor that cannot serve yet puts what comes aside, and asks meanwhile.
 *
 * The shop wants prices from the catalog before it can answer. Orders that come first are
 * stashed: the runtime keeps them, and hands them over again, the oldest first, before all
 * that came later. */
#include <stdio.h>

#include <weft/actor.h>

struct order {
    weft_request req;
    int count, cost;
};
static const weft_kind ORDER = {1, "order", sizeof(struct order), weft_free_msg};
static const weft_kind PRICE = {2, "price", sizeof(struct order), NULL}; /* part of the shop */

struct shop {
    weft_addr *catalog;
    struct order ask;
    int price; /* 0: not known yet */
};

static weft_verdict catalog_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self, (void)state;
    ((struct order *)msg)->cost = 7;
    weft_reply((weft_request *)msg, WEFT_OK);
    return WEFT_KEPT;
}

static void shop_priced(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct shop *shop = state;
    (void)req, (void)arg;
    if (err == WEFT_OK) shop->price = shop->ask.cost;
    printf("the price is known, %u orders wait\n", weft_stashed(self));
    weft_unstash(self, UINT32_MAX);
}

static weft_err shop_init(weft_self *self, void *state, void *arg)
{
    struct shop *shop = state;
    (void)self;
    shop->catalog = arg;
    return WEFT_OK;
}

static weft_verdict shop_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct shop *shop = state;
    struct order *order = (struct order *)msg;
    if (shop->price == 0) {
        if (weft_stashed(self) == 0) { /* the first one: find out */
            weft_msg_init(&shop->ask.req.msg, &PRICE);
            if (weft_ask(self, shop->catalog, &shop->ask.req, WEFT_NEVER, shop_priced, NULL,
                         NULL) != WEFT_OK)
                return WEFT_DONE; /* the customer hears DROPPED */
        }
        return WEFT_STASH; /* not now, but before all that comes later */
    }
    order->cost = order->count * shop->price;
    weft_reply(&order->req, WEFT_OK);
    return WEFT_KEPT;
}

static weft_err buy(weft_rt *rt, weft_addr *shop)
{
    weft_request *answer = NULL;
    struct order *order = (struct order *)weft_new(&ORDER);
    if (order == NULL) return WEFT_NO_MEMORY;
    order->count = 6;
    bool taken = false;
    weft_err err = weft_call(shop, &order->req, weft_rt_after(rt, 10000000000u), &answer, &taken);
    if (!taken) weft_drop(&order->req.msg);
    if (answer != NULL) printf("six cost %d\n", ((struct order *)answer)->cost);
    if (answer != NULL) weft_drop(&answer->msg);
    return err;
}

int main(void)
{
    weft_rt *rt = NULL;
    weft_addr *catalog = NULL, *shop = NULL;
    weft_spec from = {.name = "catalog", .handle = catalog_handle};
    weft_spec spec = {.name = "shop",
                      .init = shop_init,
                      .handle = shop_handle,
                      .state_size = sizeof(struct shop)};
    if (weft_rt_create(&rt) != WEFT_OK) return 1;
    weft_err err = weft_spawn(rt, &from, &catalog);
    spec.arg = catalog;
    if (err == WEFT_OK) err = weft_spawn(rt, &spec, &shop);
    if (err == WEFT_OK) err = buy(rt, shop);
    weft_rt_stop(rt, WEFT_NEVER);
    weft_addr_put(shop);
    weft_addr_put(catalog);
    weft_rt_destroy(rt);
    return err == WEFT_OK ? 0 : 1;
}
