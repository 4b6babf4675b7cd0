/* SPDX-License-Identifier: Apache-2.0
 * mailbox.pml - the mailbox's word: pushes, drains and both kinds of sleep, with wakes that come late
 * or for nothing. P producers send K messages each; S sleeps end early (a deadline, a signal).
 * Claims: no wake-up is lost; every message is handled once, those of one producer in order.
 * Mirrors: src/actor/mailbox.c, word.h. Checked by: check.py.
 *
 * small: -DP=2 -DK=2 -DS=0
 * small: -DP=2 -DK=2 -DS=2
 * small: -DP=3 -DK=1 -DS=1
 * large: -DP=4 -DK=1 -DS=2
 * large: -DP=3 -DK=2 -DS=2
 * large: -DP=2 -DK=4 -DS=3
 * mutant 1 end-state -DS=0: a producer that took the tag away does not wake
 * mutant 2 end-state -DS=0: parking looks and then stores, instead of one swap
 * mutant 3 end-state -DS=1: the tag is taken away by a store after the sleep
 * mutant 4 assertion -DS=0: a drained chain is not turned round
 * mutant 5 end-state -DS=0: the sleep does not compare the word again */
#ifndef P
#define P 2
#endif
#ifndef K
#define K 2
#endif
#ifndef S
#define S 1
#endif
#ifndef MUTANT
#define MUTANT 0
#endif
#define ALL (P * K)

#define EMPTY 0
#define PARK_FUTEX 1
#define PARK_FD 2
#define FIRST 4 /* message m is the word FIRST + m */

byte head = EMPTY;
byte next[ALL];  /* the next older word, or EMPTY */
bool asleep;     /* in the kernel, on the word */
bool event;      /* the eventfd's edge, until a poll takes it */
byte early;      /* sleeps that ended for nothing */
byte order[P];   /* of each producer: how many were handled */
byte handled;

proctype producer(byte me)
{
    byte n = 0, seen, m;
    do
    :: n == K -> break
    :: else ->
        m = me * K + n;
        seen = head;
        do
        :: atomic { /* the link is private until the swap succeeds */
                next[m] = (seen < FIRST -> EMPTY : seen);
                if :: head == seen -> head = FIRST + m; break :: else -> seen = head fi
            }
        od;
        if
        :: MUTANT != 1 && seen == PARK_FUTEX -> asleep = false
        :: MUTANT != 1 && seen == PARK_FD -> event = true
        :: else
        fi;
        atomic { n++; seen = EMPTY; m = 0 }
    od
}

inline drain()
{
    if
    :: head != EMPTY ->
        atomic { word = head; head = EMPTY };
        assert(word >= FIRST);
        d_step { /* what was taken is the consumer's own */
            chain = EMPTY;
            do
            :: MUTANT == 4 -> chain = word; break
            :: MUTANT != 4 && word != EMPTY ->
                older = next[word - FIRST];
                next[word - FIRST] = chain;
                chain = word;
                word = older
            :: else -> break
            od;
            do
            :: chain != EMPTY ->
                word = chain - FIRST;
                chain = next[word];
                next[word] = EMPTY;
                assert(order[word / K] == word % K);
                order[word / K]++;
                handled++
            :: else -> break
            od;
            word = EMPTY; older = EMPTY
        }
    :: else
    fi
}

inline park()
{
    if :: tag = PARK_FUTEX :: tag = PARK_FD fi;
    if
    :: MUTANT == 2 -> parked = (head == EMPTY); if :: parked -> head = tag :: else fi
    :: else -> atomic { parked = (head == EMPTY); if :: parked -> head = tag :: else fi }
    fi;
    if
    :: !parked
    :: parked && tag == PARK_FUTEX ->
        if
        :: MUTANT == 5 -> asleep = true
        :: else -> asleep = (head == PARK_FUTEX) /* the kernel compares as it puts us to sleep */
        fi;
        if :: !asleep :: early < S -> early++; asleep = false fi
    :: parked && tag == PARK_FD ->
        if :: event -> event = false :: early < S -> early++ fi
    fi;
    if
    :: parked && MUTANT == 3 -> head = EMPTY
    :: parked && MUTANT != 3 -> atomic { if :: head == tag -> head = EMPTY :: else fi }
    :: else
    fi
}

proctype consumer()
{
    byte word, chain, older, tag;
    bool parked;
    do
    :: drain();
        if :: handled == ALL -> break :: else fi;
        park()
    od;
    assert(head == EMPTY)
}

init
{
    byte i;
    atomic {
        run consumer();
        for (i : 0 .. P - 1) { run producer(i) }
    }
}
