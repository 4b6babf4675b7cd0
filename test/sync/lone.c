/* SPDX-License-Identifier: Apache-2.0
 * lone.c - one node on threads of its own, and a gate before its disk (lone.h).
 * Called by: test_feed.c, test_fork.c, test_notify.c, test_settle.c. May touch: nodes, threads.
 * Never: the simulator; sleeps. */
#include "lone.h"

#include <criterion/criterion.h>
#include <pthread.h>

#include "kv_faulty.h"
#include "node_internal.h"

#define CALL (60 * WEFT_SEC)

void lone_open(struct lone *l, const weft_node_options *options, wf_kv *kv)
{
    weft_root_spec root = {.everyone = WEFT_RIGHT_WRITE, .everyone_priority = 10};
    weft_node_options with_key = {0};
    *l = (struct lone){0};
    cr_assert_eq(weft_keypair_create(&l->author), WEFT_OK);
    if (options != NULL) with_key = *options;
    if (kv != NULL && with_key.device == NULL) with_key.device = l->author;
    weft_err err = kv == NULL ? weft_node_open(options, &l->node)
                              : wf_node_open_kv(&with_key, kv, &l->node);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    cr_assert_eq(weft_tree_create(l->node, l->author, &root, CALL, &l->tree), WEFT_OK);
    cr_assert_eq(weft_writer_open(l->node, &l->tree, l->author, &l->writer), WEFT_OK);
}

void lone_close(struct lone *l)
{
    weft_writer_close(l->writer);
    weft_node_close(l->node);
    weft_keypair_destroy(l->author);
}

void lone_commit(struct lone *l, uint32_t count, weft_id *last)
{
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(weft_commit(l->writer, "log", &i, sizeof i, CALL, last), WEFT_OK);
}

/* -- The gate ---------------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool shut, met;
    uint32_t notes;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};

static void pass(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&gate.lock);
    gate.met = gate.shut;
    pthread_cond_broadcast(&gate.change);
    while (gate.shut) pthread_cond_wait(&gate.change, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

wf_kv *gate_kv_create(void)
{
    wf_kv *inner = NULL;
    cr_assert_eq(wf_kv_memory_open(&inner), WEFT_OK);
    wf_kv *kv = kv_faulty_create(inner);
    kv_faulty_on_write(kv, pass, NULL);
    return kv;
}

void gate_set(bool shut)
{
    pthread_mutex_lock(&gate.lock);
    gate.shut = shut;
    gate.met = false;
    pthread_cond_broadcast(&gate.change);
    pthread_mutex_unlock(&gate.lock);
}

void gate_wait_met(void)
{
    pthread_mutex_lock(&gate.lock);
    while (!gate.met) pthread_cond_wait(&gate.change, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

void gate_note(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.notes++;
    pthread_cond_broadcast(&gate.change);
    pthread_mutex_unlock(&gate.lock);
}

void gate_wait_noted(uint32_t least)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.notes < least) pthread_cond_wait(&gate.change, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}
