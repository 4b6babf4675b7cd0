/* SPDX-License-Identifier: Apache-2.0
 * ask.pml - one ask: its answer, deadline, cancel and the end of either side, all at once.
 * The request's state is the one place where the two sides meet; the swap ASKED -> REPLIED or
 * ASKED -> ABANDONED says whose it is. The callee may also end, and then it answers CLOSED by the same
 * path. The asker may give up, and may end at any time, which closes its mailbox.
 * Claims: one callback, never two; the request is freed once and not touched after that; the asker's
 * address lives as long as somebody uses it. Mirrors: ask.c, end.c. Checked by: check.py.
 *
 * small:
 * large: -DASKS=3
 * mutant 1 end-state: an answer to one that gave up is not freed
 * mutant 2 assertion: giving up looks at the state and then stores
 * mutant 3 assertion: the callback is taken away after the swap, when the request is the callee's
 * mutant 4 assertion: a late answer is not told from one in time
 * mutant 5 assertion: the answer's push keeps no reference of its own
 * mutant 6 end-state: an answer to a closed mailbox is not freed by who sent it */
#ifndef ASKS
#define ASKS 2
#endif
#ifndef MUTANT
#define MUTANT 0
#endif

mtype = { idle, asked, replied, abandoned };
typedef request { mtype state; bool fn; bool freed; byte callbacks; };
request req[ASKS];
chan box = [ASKS] of { byte };   /* the asker's mailbox; mailbox.pml and close.pml show that it is one */
chan work = [ASKS] of { byte };  /* the callee's */
bool closed;                     /* the asker's mailbox */
byte refs = 1;                   /* of the asker's address: its own, one for each request, one for a push */

#define use(r) assert(!req[r].freed)
#define alive() assert(refs > 0)

inline put() { atomic { alive(); refs-- } }
inline free_request(r) { atomic { use(r); req[r].freed = true } }
inline call_back(r) { atomic { assert(req[r].callbacks == 0); req[r].callbacks++ } }

/* The callee's side: any thread, in a handler or in the dead letters of its end. */
inline answer(r)
{
    use(r);
    atomic { won = (req[r].state == asked); if :: won -> req[r].state = replied :: else fi };
    if
    :: won ->
        if :: MUTANT == 5 :: else -> atomic { alive(); refs++ } fi;
        atomic { sent = !closed; alive(); if :: sent -> box!r :: else fi };
        alive(); /* the wake that follows the push */
        if :: MUTANT == 5 :: else -> put() fi
    :: else -> sent = false
    fi;
    if
    :: sent /* the asker's again */
    :: !sent && (won && MUTANT == 6 || !won && MUTANT == 1)
    :: else -> use(r); req[r].state = idle; free_request(r); put()
    fi
}

proctype callee()
{
    byte r;
    bool won, sent;
end:
    do
    :: work?r -> answer(r)
    od
}

/* The asker's side. */
inline give_up(r)
{
    use(r);
    if :: MUTANT == 3 :: else -> req[r].fn = false fi;
    if
    :: MUTANT == 2 -> won = (req[r].state == asked); if :: won -> use(r); req[r].state = abandoned :: else fi
    :: else -> atomic { won = (req[r].state == asked); if :: won -> req[r].state = abandoned :: else fi }
    fi;
    if :: MUTANT == 3 -> use(r); req[r].fn = false :: else fi;
    pending[r] = false;
    call_back(r)
}

inline replied_to(r)
{
    use(r);
    assert(req[r].state == replied);
    if
    :: req[r].fn || MUTANT == 4 -> pending[r] = false; call_back(r)
    :: else
    fi;
    req[r].state = idle;
    free_request(r);
    put()
}

proctype asker()
{
    byte r, i;
    bool won, pending[ASKS];
    do
    :: r < ASKS ->
        atomic {
            refs++; req[r].fn = true; req[r].state = asked; pending[r] = true;
            work!r; r++
        }
    :: box?i -> replied_to(i)
    :: r > 0 && pending[0] -> give_up(0) /* its deadline, or a cancel */
    :: r > 1 && pending[1] -> give_up(1)
    :: r == ASKS -> break /* the end, whatever is pending */
    od;
    for (i : 0 .. ASKS - 1) {
        if :: pending[i] -> give_up(i) :: else fi
    }
    closed = true; /* what came before is in the box */
    do
    :: box?i -> replied_to(i)
    :: empty(box) -> break
    od;
    put()
}

init
{
    byte i;
    atomic { run callee(); run asker() }
    refs == 0; /* nobody uses the address any more: all requests are home or freed */
    for (i : 0 .. ASKS - 1) {
        assert(req[i].callbacks == 1);
        req[i].freed
    }
}
