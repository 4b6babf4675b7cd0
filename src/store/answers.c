/* SPDX-License-Identifier: Apache-2.0
 * answers.c - messages that wait for their answers, in order.
 * Called by: group_commit.c, gate.c (one thread). May touch: the heap. Never: answers. */
#include "answers.h"

#include "alloc.h"

bool wf_answers_reserve(struct wf_answers *answers, uint32_t more)
{
    if (more <= answers->room - answers->count) return true;
    uint32_t room = answers->room == 0 ? 64 : answers->room;
    while (room - answers->count < more) room *= 2;
    struct wf_answer *list = wf_realloc(answers->list, room * sizeof *list);
    if (list == NULL) return false;
    answers->list = list;
    answers->room = room;
    return true;
}

void wf_answers_swap(struct wf_answers *a, struct wf_answers *b)
{
    struct wf_answers keep = *a;
    *a = *b;
    *b = keep;
}

void wf_answers_fini(struct wf_answers *answers, uint32_t from)
{
    for (uint32_t i = from; i < answers->count; i++)
        answers->list[i].msg->kind->drop(answers->list[i].msg);
    wf_free(answers->list);
    *answers = (struct wf_answers){0};
}
