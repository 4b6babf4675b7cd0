/* SPDX-License-Identifier: Apache-2.0
 * restart.pml - a child that fails and is started again, and a stop at any moment.
 * One sender tells (even numbers) and asks (odd ones); the child has itself asked a server in its first
 * life, which answers and then sends a message of the system lane; a handler may succeed, fail or stop, an init may
 * fail; the parent starts the child again, stops it when it likes and may leave it behind; somebody else
 * may stop it too. The mailbox is one and the same through all lives.
 * Claims: each message ends once: handled by one life, answered RESTARTING in the hand that failed,
 * dropped, a dead letter, or refused; what was queued is handled in the order of sending, whichever life
 * does it; each ask to the child is answered once, its own has one callback, in the life that asked;
 * there is one life at a time; START AGAIN comes only to who waits for it; after a stop it ends.
 * Mirrors: stop.c, child.c, end.c; that the box loses nothing is shown by mailbox.pml and close.pml.
 * Checked by: check.py.
 *
 * small: -DU=2 -DFAILS=2
 * large: -DU=3 -DFAILS=3
 * mutant 1 end-state: a stop sends its message before it says that there is one
 * mutant 2 assertion: what was kept for the next life is forgotten when none comes
 * mutant 3 assertion: the message in hand is answered RESTARTING and put back
 * mutant 4 assertion: asks of the life that ends are left to the next
 * mutant 5 end-state: who waits for its restart does not look whether it was stopped
 * mutant 6 end-state: who is started again does not look whether it was stopped
 * mutant 7 assertion: a new life begins with an empty mailbox
 * mutant 8 assertion: the parent does not wait for the child's word before it starts it again */
#ifndef U
#define U 2
#endif
#ifndef FAILS
#define FAILS 2
#endif
#ifndef MUTANT
#define MUTANT 0
#endif
#define SYSTEM U /* a message of the system lane, for the handler */
#define STOP (U + 1)
#define AGAIN (U + 2)
#define REPLY (U + 3)
#define ROOM (U + 4)

mtype = { nothing, handled, restarted, dropped, letter, refused };
mtype = { running, ending, restarting };
mtype = { halted, ready, unready, gone }; /* the child's words to its parent */
mtype = { asked, replied, abandoned };

chan box = [ROOM] of { byte };   /* the child's mailbox */
chan words = [3] of { mtype };   /* the parent's */
chan work = [1] of { bool };     /* the server's */
bool closed, parent_closed;
byte stop_mode;                  /* only grows */
bool stop_begun;                 /* of mutant 1 */
mtype fate[U + 1] = nothing;
byte answers[U + 1];
mtype request = asked;           /* the child's own ask, and its callback */
bool callback_set = true;
byte callbacks, homecomings;
byte lives;

inline ends_as(m, how)
{
    atomic {
        assert(fate[m] == nothing);
        fate[m] = how;
        if :: m < U && m % 2 == 1 && how != refused -> answers[m]++ :: else fi
    }
}

inline push(m, taken) { atomic { taken = !closed; if :: taken -> box!m :: else fi } }

/* -- The others ---------------------------------------------------------------------------- */

proctype sender()
{
    byte m;
    bool taken;
    for (m : 0 .. U - 1) {
        atomic { push(m, taken); if :: taken :: else -> ends_as(m, refused) fi }
    }
}

proctype server()
{
    bool won, taken;
    work?_;
    atomic { won = (request == asked); if :: won -> request = replied :: else fi };
    atomic {
        if :: won -> push(REPLY, taken) :: else fi;
        if :: taken :: else -> homecomings++ fi /* given up, or its asker is closed: freed here */
    }
    atomic { push(SYSTEM, taken); if :: taken :: else -> ends_as(SYSTEM, refused) fi }
}

inline stop_child()
{
    if
    :: closed
    :: else ->
        if
        :: MUTANT == 1 ->
            atomic { seen = stop_begun; stop_begun = true };
            if :: seen == 0 -> push(STOP, taken) :: else fi;
            stop_mode = 1
        :: else ->
            atomic { seen = stop_mode; stop_mode = 1 };
            if :: seen == 0 -> push(STOP, taken) :: else fi
        fi
    fi
}

proctype stopper()
{
    byte seen;
    bool taken;
    if
    :: stop_child()
    :: true
    fi
}

proctype parent()
{
    mtype word;
    byte seen;
    bool taken, stopping, down, up = true;
    do
    :: words?word ->
        atomic {
            if
            :: word == gone -> break
            :: word == halted || word == unready -> up = false; down = !stopping
            :: word == ready -> up = true
            fi
        }
    :: (down || MUTANT == 8 && up) && !stopping -> /* its wait is over */
        atomic { down = false; up = false; push(AGAIN, taken) }
    :: !stopping -> stopping = true; down = false; stop_child()
    :: stopping -> break /* it overran its grace twice */
    od;
    parent_closed = true
}

/* -- The child --------------------------------------------------------------------------------- */

#define restarts() (stop_mode == 0 && !parent_closed && (failed || starting))

/* Everything at once, sorted into the lanes. */
inline drain()
{
    atomic {
        do
        :: box?m -> if :: m < U -> user!m :: else -> system!m fi
        :: len(box) == 0 -> break
        od;
        m = 0
    }
}

inline letters(lane)
{
    atomic {
        do
        :: lane?m ->
            if
            :: m <= SYSTEM -> ends_as(m, letter)
            :: m == REPLY -> came_home()
            :: else
            fi
        :: len(lane) == 0 -> break
        od;
        m = 0
    }
}

/* The reply to its own ask. */
inline came_home()
{
    atomic {
        homecomings++;
        if
        :: callback_set ->
            assert(lives == 1); /* the life that asked */
            callback_set = false;
            callbacks++
        :: else
        fi
    }
}

/* What the handler does about a message. */
inline handle(m)
{
    assert(born);
    if
    :: ends_as(m, handled);
        if :: m < U -> assert(m >= next_user); next_user = m + 1 :: else fi
    :: fails < FAILS ->
        fails++;
        failed = true;
        over = true;
        if
        :: restarts() ->
            ends_as(m, restarted);
            if :: MUTANT == 3 && m < U -> user!m :: else fi
        :: else -> ends_as(m, dropped)
        fi
    :: ends_as(m, dropped); over = true /* its verdict is to stop */
    fi
}

/* A callback, or the look at one control message, is one step: the lanes are the child's own, and of what
 * is shared it looks at one thing. */
inline run_turn()
{
    drain();
    do
    :: atomic {
        !over && len(system) > 0 ->
        system?m;
        if
        :: m == STOP -> stopping = true; drain_left = len(user)
        :: m == AGAIN -> assert(false)
        :: m == REPLY -> came_home()
        :: m == SYSTEM -> handle(m)
        fi;
        if :: stopping && drain_left == 0 -> over = true :: else fi
       }
    :: atomic { over || len(system) == 0 -> m = 0; break }
    od;
    atomic {
        if
        :: !over && len(user) > 0 ->
            user?m;
            if :: stopping -> drain_left-- :: else fi;
            handle(m);
            if :: stopping && drain_left == 0 -> over = true :: else fi;
            m = 0
        :: else
        fi
    }
}

/* The asks of a life end with it. */
inline clear()
{
    if
    :: atomic { callback_set && MUTANT != 4 -> callback_set = false; callbacks++ };
        atomic { if :: request == asked -> request = abandoned :: else fi }
    :: else
    fi
}

inline begin_again()
{
    starting = true;
    failed = false;
    over = false;
    stopping = false;
    drain_left = 0;
    if
    :: fails < FAILS -> fails++; failed = true; phase = ending /* its init failed */
    :: true ->
        assert(!born);
        born = true;
        lives++;
        starting = false;
        phase = running;
        /* What came for this life stands before what comes now. */
        do
        :: system?m -> kept!m
        :: len(system) == 0 -> break
        od;
        do
        :: kept?m -> system!m
        :: len(kept) == 0 -> break
        od;
        if
        :: MUTANT == 7 -> do :: user?_ :: len(user) == 0 -> break od
        :: else
        fi;
        if :: parent_closed :: else -> words!ready fi
    fi
}

/* One turn between two lives. */
inline serve()
{
    drain();
    do
    :: atomic {
        phase != running && len(system) > 0 ->
        system?m;
        if
        :: m == STOP /* stop_mode says it */
        :: m == AGAIN ->
            if :: MUTANT == 8 -> assert(phase == restarting) :: else fi;
            if :: phase == restarting && (restarts() || MUTANT == 6) -> begin_again() :: else fi
        :: m == REPLY -> came_home()
        :: m == SYSTEM -> if :: restarts() -> kept!m :: else -> ends_as(m, letter) fi
        fi
       }
    :: atomic { phase == running || len(system) == 0 -> m = 0; break }
    od;
    if :: phase == running || restarts() :: else -> letters(user) fi
}

proctype child()
{
    chan system = [ROOM] of { byte };
    chan user = [ROOM] of { byte };
    chan kept = [ROOM] of { byte };
    mtype phase = running;
    byte m, fails, drain_left, next_user;
    bool born = true, failed, stopping, over, starting, done;
    lives = 1;
    work!true; /* its own ask */
life:
    do
    :: !over -> if :: len(user) == 0 && len(system) == 0 -> len(box) > 0 :: else fi; run_turn()
    :: over -> break
    od;
    phase = ending;
    clear();
    do
    :: serve();
        if
        :: phase == running -> goto life
        :: phase == ending && restarts() ->
            atomic {
                born = false; /* its fini */
                phase = restarting;
                done = parent_closed;
                if
                :: done
                :: else -> words!(starting -> unready : halted)
                fi;
                starting = false;
                failed = true /* from here on: it waits to be started again */
            }
        :: atomic { phase == ending && !restarts() -> done = true }
        :: atomic { phase == restarting && !restarts() && MUTANT != 5 -> done = true }
        :: else -> len(box) > 0 /* it sleeps */
        fi;
        if :: done -> break :: else fi
    od;
    atomic {
        if :: MUTANT == 2 :: else -> do :: kept?m -> system!m :: len(kept) == 0 -> break od fi;
        closed = true;
        drain()
    };
    letters(system);
    letters(user);
    atomic { born = false; if :: parent_closed :: else -> words!gone fi }
}

init
{
    byte m;
    atomic {
        run child();
        run parent();
        run sender();
        run server();
        run stopper()
    }
    _nr_pr == 1;
    for (m : 0 .. U) {
        assert(fate[m] != nothing);
        assert(answers[m] == (m < U && m % 2 == 1 && fate[m] != refused -> 1 : 0))
    }
    assert(callbacks == 1 && homecomings == 1)
}
