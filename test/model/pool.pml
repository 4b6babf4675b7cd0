/* SPDX-License-Identifier: Apache-2.0
 * pool.pml - the pools of ended threads: a thread that ends pushes its pool, one that begins takes one.
 * Each thread begins and ends LIVES times. The pop reads a link of what lies on top and then swaps the
 * top: a lock of those who pop keeps what they looked at from being taken and put back meanwhile.
 * Claims: no pool has two owners; no pool is built while one lies there, so there are never more than
 * there were threads at once. Mirrors: pool.c (adopt, orphan_push, begin). Checked by: check.py.
 *
 * small: -DTHREADS=2 -DLIVES=3
 * small: -DTHREADS=3 -DLIVES=2
 * large: -DTHREADS=3 -DLIVES=3
 * mutant 1 assertion -DTHREADS=3 -DLIVES=3: two may pop at once
 * mutant 2 assertion -DTHREADS=2 -DLIVES=2: who pops takes all and puts the rest back, without the lock
 * mutant 3 assertion -DTHREADS=2 -DLIVES=2: a push does not look whether the top is still what it saw */
#ifndef THREADS
#define THREADS 2
#endif
#ifndef LIVES
#define LIVES 2
#endif
#ifndef MUTANT
#define MUTANT 0
#endif
#define POOLS (THREADS * LIVES)

byte top;              /* 0: none */
byte next[POOLS + 1];
byte owners[POOLS + 1];
byte built;
bool adopting;

inline push(pool)
{
    seen = top;
    do
    :: next[pool] = seen;
       atomic {
           if
           :: top == seen || MUTANT == 3 -> top = pool; pushed = true
           :: else -> seen = top; pushed = false
           fi
       }
       if :: pushed -> break :: else fi
    od
}

inline pop()
{
    if
    :: MUTANT == 0 || MUTANT == 3 -> atomic { !adopting -> adopting = true }
    :: else
    fi;
    seen = top;
    do
    :: seen == 0 -> break
    :: else ->
        after = next[seen];
        atomic {
            if
            :: top == seen -> top = after; pushed = true
            :: else -> seen = top; pushed = false
            fi
        }
        if :: pushed -> break :: else fi
    od;
    adopting = false
}

/* As it was once: takes the whole list, keeps the first, puts the others back one by one. */
inline pop_all()
{
    atomic { mine = top; top = 0 }
    if
    :: mine == 0
    :: else ->
        rest = next[mine];
        do
        :: rest == 0 -> break
        :: else -> after = next[rest]; push(rest); rest = after
        od
    fi
}

proctype thread()
{
    byte lives = LIVES, seen, after, mine, rest;
    bool pushed;
    do
    :: lives == 0 -> break
    :: else ->
        lives--;
        if :: MUTANT == 2 -> pop_all() :: else -> pop(); mine = seen fi;
        if
        :: mine == 0 -> atomic { built++; assert(built <= THREADS); mine = built }
        :: else
        fi;
        atomic { owners[mine]++; assert(owners[mine] == 1) }
        owners[mine]--;
        push(mine)
    od
}

init
{
    byte n;
    atomic { for (n : 1 .. THREADS) { run thread() } }
}
