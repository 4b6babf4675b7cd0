/* SPDX-License-Identifier: Apache-2.0
 * close.pml - tells and asks against the close of a mailbox.
 * P producers send one message each, the odd ones ask and wait for the answer. The consumer closes
 * after a message of its choice, or when it hears the stop, which is one more message.
 * Claims: each message is handled, or a dead letter, or refused, and only one of them; no ask hangs;
 * after the close nothing is left behind. Mirrors: mailbox.c, end.c. Checked by: check.py.
 *
 * small: -DP=3
 * large: -DP=4
 * mutant 1 assertion: closing takes and then stores, instead of one exchange
 * mutant 2 end-state: a push does not look whether the mailbox is closed
 * mutant 3 end-state: what was taken earlier and not handled gets no dead letter
 * mutant 4 assertion: the close's own catch is not taken */
#ifndef P
#define P 3
#endif
#ifndef MUTANT
#define MUTANT 0
#endif
#define STOP P /* the number of the stop message */
#define ALL (P + 1)

#define EMPTY 0
#define PARK 1
#define CLOSED 3
#define FIRST 4

mtype = { nothing, handled, letter, refused };
mtype fate[ALL] = nothing;
byte head = EMPTY, next[ALL];
bool asleep, closed;

inline ends_as(m, how)
{
    assert(fate[m] == nothing);
    fate[m] = how
}

proctype producer(byte m)
{
    byte seen = head;
    do
    :: seen == CLOSED && MUTANT != 2 -> ends_as(m, refused); break
    :: else ->
        atomic { /* the link is private until the swap succeeds */
            next[m] = (seen < FIRST -> EMPTY : seen);
            if
            :: head == seen -> head = FIRST + m; goto sent
            :: else -> seen = head
            fi
        }
    od;
    goto answered;
sent:
    if :: seen == PARK -> atomic { asleep = false; seen = EMPTY } :: else -> seen = EMPTY fi;
    /* The stop and the tells go home; an ask stays until it was answered. */
    if :: m < P && m % 2 == 1 -> fate[m] != nothing :: else fi;
answered:
    skip
}

/* Turns the chain `word` round and appends it to the lane. */
inline take_in()
{
    d_step {
        chain = EMPTY;
        do
        :: word >= FIRST -> older = next[word - FIRST]; next[word - FIRST] = chain; chain = word; word = older
        :: else -> break
        od;
        if
        :: lane == EMPTY -> lane = chain
        :: lane != EMPTY && chain != EMPTY ->
            word = lane;
            do :: next[word - FIRST] != EMPTY -> word = next[word - FIRST] :: else -> break od;
            next[word - FIRST] = chain
        :: else
        fi;
        word = EMPTY; chain = EMPTY; older = EMPTY
    }
}

inline close()
{
    if
    :: MUTANT == 1 -> word = head; head = CLOSED
    :: else -> atomic { word = head; head = CLOSED }
    fi;
    if :: MUTANT == 4 :: else -> take_in() fi;
    if :: MUTANT == 3 -> lane = chain :: else fi;
    closed = true
}

proctype consumer()
{
    byte word, chain, older, lane, m;
    do
    :: atomic { word = head; if :: word != EMPTY -> head = EMPTY :: else fi };
        take_in();
        do
        :: lane != EMPTY ->
            atomic { m = lane - FIRST; lane = next[m]; ends_as(m, handled) }
            if :: goto ending :: m != STOP fi /* a handler may say STOP; the stop message must */
        :: else -> break
        od;
        atomic { if :: head == EMPTY -> head = PARK; asleep = true :: else fi };
        !asleep
    od;
ending:
    close();
    do
    :: lane != EMPTY -> atomic { m = lane - FIRST; lane = next[m]; ends_as(m, letter) }
    :: else -> break
    od
}

init
{
    byte i;
    atomic {
        run consumer();
        for (i : 0 .. P) { run producer(i) }
    }
    _nr_pr == 1; /* all have ended */
    assert(closed && head == CLOSED);
    for (i : 0 .. P) { assert(fate[i] != nothing) }
}
