/* SPDX-License-Identifier: Apache-2.0
 * wake.c - a pairing heap of wake nodes.
 * Called by: worker.c, on the worker's thread. May touch: the nodes' links.
 * Never: allocates, looks into an actor. */
#include "wake.h"

/* `prev` is the elder sibling, or the parent of the eldest child. Both have no siblings. */
static struct wf_wake *meld(struct wf_wake *a, struct wf_wake *b)
{
    if (a == NULL) return b;
    if (b == NULL) return a;
    if (b->at < a->at) {
        struct wf_wake *swap = a;
        a = b;
        b = swap;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next != NULL) b->next->prev = b;
    a->child = b;
    return a;
}

/* Melds the children of a node that leaves: in pairs, then the pairs from last to first. */
static struct wf_wake *meld_children(struct wf_wake *eldest)
{
    struct wf_wake *pairs = NULL, *whole = NULL;
    while (eldest != NULL) {
        struct wf_wake *a = eldest, *b = a->next;
        eldest = b == NULL ? NULL : b->next;
        a->prev = a->next = NULL;
        if (b != NULL) b->prev = b->next = NULL;
        struct wf_wake *pair = meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs != NULL) {
        struct wf_wake *pair = pairs;
        pairs = pair->next;
        pair->next = NULL;
        whole = meld(whole, pair);
    }
    return whole;
}

void wf_wake_push(struct wf_wake **top, struct wf_wake *node)
{
    node->child = node->next = node->prev = NULL;
    *top = meld(*top, node);
}

void wf_wake_remove(struct wf_wake **top, struct wf_wake *node)
{
    struct wf_wake *rest = meld_children(node->child);
    if (node == *top) {
        *top = rest;
    } else {
        if (node->prev->child == node) node->prev->child = node->next;
        else node->prev->next = node->next;
        if (node->next != NULL) node->next->prev = node->prev;
        *top = meld(*top, rest);
    }
    node->child = node->next = node->prev = NULL;
}
