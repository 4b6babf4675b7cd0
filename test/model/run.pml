/* SPDX-License-Identifier: Apache-2.0
 * run.pml - one actor of a worker group: who may schedule it, where it runs, and its deadlines.
 * W workers, F senders outside of the group, workers that send themselves and so may adopt it, and
 * that may hand it over; D deadlines, each with a wake node in the heap of the worker it was armed on.
 * Claims: it is never queued twice nor run by two; every message is handled; while it is parked with a
 * deadline a node stands for it; a node is found when one is needed. The queue of a worker is a flag
 * here, as there is one actor. Mirrors: worker.c. Checked by: check.py.
 *
 * small: -DW=2 -DF=1 -DD=1
 * small: -DW=2 -DF=2 -DD=0
 * large: -DW=2 -DF=2 -DD=2
 * large: -DW=3 -DF=1 -DD=2
 * mutant 1 assertion: the worker touches the actor after it parked it
 * mutant 2 assertion: a sender that found it awake schedules it, too
 * mutant 3 assertion -DW=3 -DF=1 -DD=2: it is adopted although no node is left for the adopter
 * mutant 4 end-state: a sender that took the tag away forgets to schedule it
 * mutant 5 assertion: a timer that lost the swap schedules it all the same
 * mutant 6 assertion -DW=2 -DF=1 -DD=2: a node that another worker holds is trusted to stand for it
 * mutant 7 end-state: it is parked although it was sent something, by a store
 * mutant 8 assertion: a hand-over keeps it in the own queue as well */
#ifndef W
#define W 2
#endif
#ifndef F
#define F 2
#endif
#ifndef D
#define D 1
#endif
#ifndef MUTANT
#define MUTANT 0
#endif
#define NODES 2 /* one more is kept for actors that are pinned */
#define SENT (F + W)

#define EMPTY 0
#define RUN 255
#define FREE 255

byte word = RUN;           /* EMPTY, RUN, or how many messages are queued */
byte home;
byte held, running;        /* rights handed on and not yet used; turns under way */
byte handled;
bool inbox[W], queue[W];   /* the one actor is in them */
byte node[NODES] = FREE;   /* the worker in whose heap it is */
byte deadlines = D;        /* that it will still have */
bool waits;                /* it has a deadline that has not come */

inline has_node(w)
{
    atomic {
        fits = (MUTANT == 3);
        for (i : 0 .. NODES - 1) {
            if :: node[i] == FREE || node[i] == w -> fits = true :: else fi
        }
    }
}

/* The caller holds the right: this hands it to a worker. */
inline to_inbox(w) { atomic { held++; assert(held == 1 && running == 0); assert(!inbox[w]); inbox[w] = true } }
inline to_queue(w) { atomic { held++; assert(held == 1 && running == 0); queue[w] = true } }

inline push()
{
    atomic { seen = word; if :: word == RUN || word == EMPTY -> word = 1 :: else -> word++ fi }
}

proctype outside()
{
    byte seen;
    push();
    if
    :: (seen == RUN && MUTANT != 4) || (seen == EMPTY && MUTANT == 2) -> to_inbox(home)
    :: else
    fi
}

inline ready()
{
    if
    :: home == me -> fits = true
    :: else -> has_node(me)
    fi;
    if
    :: fits -> home = me; to_queue(me)
    :: else -> to_inbox(home)
    fi
}

inline arm()
{
    atomic {
        at = FREE;
        for (i : 0 .. NODES - 1) {
            if
            :: node[i] == me || (MUTANT == 6 && node[i] != FREE) -> at = i
            :: node[i] == FREE && at == FREE -> at = i
            :: else
            fi
        }
        assert(at != FREE);
        if :: node[at] == FREE -> node[at] = me :: else fi
    }
}

inline park()
{
    if
    :: MUTANT == 7 -> parked = true; running--; word = RUN
    :: MUTANT == 1 ->
        atomic { parked = (word == EMPTY); if :: parked -> word = RUN :: else fi };
        running--;
        if :: parked :: else -> to_queue(me) fi
    :: else ->
        running--; /* the park is the last touch, so all that a turn does is before it */
        atomic {
            parked = (word == EMPTY);
            if
            :: parked -> word = RUN;
                if :: waits -> assert(node[0] != FREE || node[1] != FREE) :: else fi
            :: else -> held++; queue[me] = true
            fi
        }
    fi
}

inline turn()
{
    atomic { queue[me] = false; held--; running++; assert(running == 1 && home == me) };
    atomic { handled = handled + (word == RUN -> 0 : word); word = EMPTY };
    if
    :: atomic { !waits && deadlines > 0 -> waits = true; deadlines-- }
    :: waits = false /* it is due, or there is none */
    :: waits         /* not yet */
    fi;
    if :: waits -> arm() :: else fi;
    park()
}

proctype worker(byte me)
{
    byte seen, i, at;
    bool sends = true, fits, won, parked;
end:
    do
    :: atomic { inbox[me] -> inbox[me] = false; queue[me] = true }
    :: queue[me] -> turn()
    :: queue[me] -> /* to one that sleeps, says a hint that may lie */
        at = (me + 1) % W;
        has_node(at);
        if
        :: fits ->
            if :: MUTANT == 8 :: else -> atomic { queue[me] = false; held-- } fi;
            home = at;
            to_inbox(at)
        :: else
        fi
    :: atomic { node[0] == me -> node[0] = FREE }; goto fire
    :: atomic { node[1] == me -> node[1] = FREE }; goto fire
    :: sends -> /* another actor of this worker does */
        sends = false;
        push();
        if :: seen == RUN -> ready() :: else fi
    od;
fire:
    atomic { won = (word == RUN); if :: won -> word = EMPTY :: else fi };
    if
    :: won || MUTANT == 5 -> if :: home == me -> to_queue(me) :: else -> to_inbox(home) fi
    :: else
    fi;
    goto end
}

init
{
    byte i;
    atomic {
        for (i : 0 .. W - 1) { run worker(i) }
        for (i : 1 .. F) { run outside() }
    }
    handled == SENT && word == RUN && held == 0 && running == 0 && !waits
}
