/* SPDX-License-Identifier: Apache-2.0
 * node.cpp - a wake node between the worker in whose heap it is and whoever runs its actor.
 * The word is word.h as it stands; the four lines around the node are those of fire and arm in
 * src/actor/worker.c, which needs too much else to be built here.
 * Called by: meson test (suite relacy). */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.hpp"

#define WF_RELACY 1
#include "word.h"

using check::claim;

/* Thread 0 fires the node that is in its heap; 1 and 2 send, and who takes the right away runs a
 * turn, which arms the node anew when it is free. */
struct nodes : rl::test_suite<nodes, 3> {
    uintptr_t head_word, worker_word;
    rl::atomic<uintptr_t> head, worker;
    rl::var<int> links; /* of the node: its heap's, or while it is free the actor's */
    rl::var<int> turns; /* all that the actor has */
    struct letter {
        void *next;
    } __attribute__((aligned(8))) letters[3];

    void before()
    {
        shadow::unbind_all();
        shadow::bind(&head_word, head, (uintptr_t)WF_BOX_PARK_RUN);
        shadow::bind(&worker_word, worker, (uintptr_t)1);
        links($) = 0;
        turns($) = 0;
    }

    void turn(unsigned me)
    {
        do {
            turns($) = turns($) + 1;
            (void)wf_word_take(&head_word);
            uintptr_t there = wf_load(&worker_word, WF_ACQUIRE); /* arm */
            if (there == 0) {
                links($) = (int)me;
                wf_store(&worker_word, (uintptr_t)me + 1, WF_RELAXED);
            }
        } while (!wf_word_park(&head_word, WF_BOX_PARK_RUN));
    }

    void thread(unsigned me)
    {
        if (me == 0) {
            links($) = 10;                                    /* out of the heap */
            wf_store(&worker_word, (uintptr_t)0, WF_RELEASE); /* disarm */
            if (check::weak == check::BROKEN) links($) = 11;
            if (wf_word_unpark(&head_word, WF_BOX_PARK_RUN)) turn(me);
            return;
        }
        uintptr_t seen = wf_word_push(&head_word, &letters[me], &letters[me].next);
        if (seen == WF_BOX_PARK_RUN) turn(me);
    }
};

static void all()
{
    claim<nodes>("a free node is the actor's, a node in a heap is its worker's");
    claim<nodes>("a node let go without a release", check::NO_RELEASE, "DATA RACE");
    claim<nodes>("a node taken without an acquire", check::NO_ACQUIRE_TAKE, "DATA RACE");
    claim<nodes>("a node touched after it was let go", check::BROKEN, "DATA RACE");
}

int main(int argc, char **argv) { return check::main_with(argc, argv, all); }
