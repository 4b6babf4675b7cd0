/* SPDX-License-Identifier: Apache-2.0
 * stop_join.pml - an actor from its first stop to the last word about it.
 * Two threads stop it (DRAIN and NOW), two join it and put their address, one stops and destroys the
 * runtime; the actor ends by the stop or by itself. The runtime's list holds one reference, each
 * thread one of its own.
 * Claims: the stop message is sent once; who joined finds the thread gone and the reason written; the
 * address is freed once, after all uses; the runtime, which is not kept for those who join, is freed
 * after all uses; nobody waits for ever.
 * Mirrors: addr.c (stop, join), end.c, rt.c. Checked by: check.py.
 *
 * THREAD=1: the actor has a thread of its own, and a join waits for it. THREAD=0: it has not, and
 * nothing of ours may touch the actor once its end is told.
 *
 * small: -DJ=1 -DTHREAD=1
 * small: -DJ=1 -DTHREAD=0
 * large: -DJ=2 -DTHREAD=1
 * large: -DJ=2 -DTHREAD=0
 * mutant 1 assertion -DJ=1 -DTHREAD=0: the end is told before the list of the living was left
 * mutant 2 assertion -DJ=1: each who raises the stop sends the message
 * mutant 3 assertion -DJ=2: who joins does not look whether another has joined
 * mutant 4 end-state -DJ=1: the end is told to nobody who sleeps
 * mutant 5 assertion -DJ=2: that it was joined is told before the thread is gone
 * mutant 7 assertion -DJ=1 -DTHREAD=0: who reaps does not wait for the end of what it found in the list
 * mutant 8 assertion -DJ=1: that it was joined is told before it is out of the runtime's list
 * mutant 9 assertion -DJ=1: who joined touches the runtime after it took the actor out of its list
 * mutant 6 assertion -DJ=1: who stops the runtime holds no reference while it waits */
#ifndef J
#define J 1
#endif
#ifndef THREAD
#define THREAD 1
#endif
#ifndef MUTANT
#define MUTANT 0
#endif

mtype = { nowhere, living, gone };
mtype list = living;
byte refs = J + 3;     /* the list's, the joiners', the stoppers' */
byte stop_mode;        /* 0, 1: DRAIN, 2: NOW */
byte stop_sent;        /* times the one message was pushed */
byte joined;           /* NONE, DONE, TAKEN */
bool box_closed, ended, thread_gone, reason, rt_freed, rt_stopping;
bool lock;
byte sleepers;

#define NONE 0
#define DONE 1
#define TAKEN 2

#define alive() assert(refs > 0)
#define rt_alive() assert(!rt_freed)

inline put() { atomic { alive(); refs--; if :: refs == 0 -> assert(joined == DONE) :: else fi } }
inline take(l) { atomic { !l -> l = true } }
inline give(l) { l = false }

proctype stopper(byte wanted)
{
    byte seen;
    alive();
    if
    :: box_closed /* CLOSED */
    :: else ->
        atomic { seen = stop_mode; if :: seen < wanted -> stop_mode = wanted :: else fi };
        if
        :: seen == 0 || (MUTANT == 2 && seen < wanted) ->
            atomic { alive(); if :: box_closed :: else -> assert(stop_sent == 0); stop_sent++ fi }
        :: else
        fi
    fi;
    put()
}

inline wake() { if :: MUTANT == 4 :: else -> sleepers = 0 fi }

proctype actor()
{
    if
    :: stop_sent > 0 /* the stop */
    :: true          /* its handler said STOP */
    fi;
    alive();
    reason = true;
    box_closed = true;
    if :: MUTANT == 1 -> ended = true; wake() :: else fi;
    rt_alive();
    take(lock);
    rt_alive();
    assert(list == living);
    list = gone;
    give(lock);
    alive();
    if :: MUTANT == 1 :: else -> ended = true; wake() fi;
    /* The wake is a call of the kernel; on an own thread it was its last touch. */
    atomic { if :: THREAD -> alive() :: else fi; thread_gone = true }
}

/* The caller holds a reference, and not the runtime. */
inline join_one()
{
    alive();
    if :: MUTANT == 7 :: else -> ended fi; /* it is in the list a moment before */
    atomic { took = (joined == NONE); if :: took -> joined = TAKEN :: else fi };
    if
    :: !took && MUTANT != 3 -> joined == DONE; alive() /* sleeps until then */
    :: else ->
        rt_alive();
        if :: MUTANT == 5 -> joined = DONE :: else fi;
        if :: THREAD -> thread_gone :: else fi; /* the driver's join */
        if :: MUTANT == 8 -> joined = DONE :: else fi;
        rt_alive();
        take(lock);
        rt_alive();
        assert(list == gone);
        list = nowhere;
        give(lock);
        if :: MUTANT == 9 -> rt_alive() :: else fi;
        alive();
        joined = DONE;
        put()
    fi
}

/* true joined; the caller holds a reference. */
inline wait_end()
{
    alive();
    if
    :: joined == DONE
    :: else ->
        do
        :: ended -> break
        :: else -> /* the kernel compares as it puts us to sleep */
            atomic { if :: ended -> asleep = false :: else -> sleepers++; asleep = true fi };
            if :: asleep -> sleepers == 0; asleep = false :: else fi;
            alive()
        od;
        join_one()
    fi
}

proctype joiner()
{
    bool asleep, took;
    wait_end();
    assert(joined == DONE && (thread_gone || !THREAD) && reason);
    put()
}

proctype owner()
{
    bool asleep, found, took;
    byte seen;
    do
    :: take(lock);
        rt_stopping = true;
        atomic { found = (list == living); if :: found && MUTANT != 6 -> alive(); refs++ :: else fi };
        give(lock);
        if
        :: !found -> break
        :: else ->
            atomic { seen = stop_mode; if :: seen == 0 -> stop_mode = 1 :: else fi };
            if
            :: seen == 0 -> atomic { if :: box_closed :: else -> assert(stop_sent == 0); stop_sent++ fi }
            :: else
            fi;
            wait_end();
            if :: MUTANT == 6 :: else -> put() fi
        fi
    od;
    /* reap: joins what has ended and nobody joined */
    take(lock);
    found = (list == gone);
    if :: found -> atomic { alive(); refs++ } :: else fi;
    give(lock);
    if :: found -> join_one(); put() :: else fi;
    /* Others may be about to join, or to stop, still: they have addresses only. */
    atomic { rt_freed = true; assert(list == nowhere) }
}

init
{
    byte i;
    atomic {
        run actor();
        run stopper(1);
        run stopper(2);
        for (i : 1 .. J) { run joiner() }
        run owner()
    }
    _nr_pr == 1;
    assert(refs == 0 && joined == DONE && rt_freed)
}
