/* SPDX-License-Identifier: Apache-2.0
 * credit.pml - a bounded mailbox: credits, and hearing of room after FULL.
 * P senders want to send K messages each into C places; sender 0 sends chains of two. After FULL a
 * sender sends a wish, waits until it is told of room and tries again, or loses patience.
 * Claims: never more than C messages are sent and not handled; credits are never made up; who is told
 * was told because room came; nobody waits for ever. The word is a channel here: mailbox.pml shows
 * that it is one. Mirrors: mailbox.c (settle, has_room), send.c, call.c. Checked by: check.py.
 *
 * small: -DP=2 -DC=2 -DK=3
 * small: -DP=3 -DC=1 -DK=1
 * small: -DP=2 -DC=3 -DK=2
 * large: -DP=3 -DC=2 -DK=2
 * large: -DP=3 -DC=3 -DK=2
 * large: -DP=2 -DC=4 -DK=4
 * mutant 1 assertion: those who wait are told before the credits are given
 * mutant 2 end-state -DC=4 -DK=4: a wish that finds no room is forgotten
 * mutant 3 end-state -DP=3 -DC=1 -DK=1: only one of those who wait is told
 * mutant 4 assertion: credits come back when a message is taken out, before it was handled
 * mutant 5 assertion: taking credit looks and then subtracts
 * mutant 6 end-state -DC=3 -DK=4: credits come back only when all are owed
 * mutant 7 end-state -DP=3 -DC=3 -DK=2: a wish that finds room is told, but not the others */
#ifndef P
#define P 2
#endif
#ifndef C
#define C 2
#endif
#ifndef K
#define K 2
#endif
#ifndef MUTANT
#define MUTANT 0
#endif
#if MUTANT == 6
#define ENOUGH (C + 1)
#else
#define ENOUGH (C - C / 2)
#endif

chan user = [C + 1] of { byte };
chan system = [2 * P * K + 1] of { byte };
byte credit = C, owed, under_way; /* under_way: credits taken and the message not handled */
bool told[P], waits[P], room[P];  /* room: credits came since the wish, so telling is true */

proctype sender(byte me)
{
    byte left = K, n, seen;
    do
    :: left == 0 -> break
    :: else ->
        n = (me == 0 && left > 1 && C > 1 -> 2 : 1);
        if
        :: MUTANT == 5 -> seen = credit; if :: seen >= n -> credit = seen - n :: else fi
        :: else -> atomic { seen = credit; if :: credit >= n -> credit = credit - n :: else fi }
        fi;
        if
        :: seen >= n ->
            atomic { under_way = under_way + n; assert(under_way <= C) };
            atomic { user!me; if :: n == 2 -> user!me :: else fi };
            left = left - n
        :: else -> /* FULL */
            room[me] = false;
            atomic { assert(nfull(system)); system!me };
            if
            :: true -> told[me]; told[me] = false
            :: true -> left = 0 /* no patience: it goes, and its wish is told to nobody */
            fi
        fi
    od
}

inline give()
{
    atomic {
        credit = credit + owed;
        assert(credit <= C);
        if :: owed > 0 -> for (i : 0 .. P - 1) { room[i] = true } :: else fi;
        owed = 0
    }
}

inline tell(who)
{
    assert(room[who]);
    told[who] = true
}

inline tell_all()
{
    for (i : 0 .. P - 1) {
        if
        :: waits[i] && (MUTANT != 7 || all || i == who) -> waits[i] = false; tell(i); if :: MUTANT == 3 -> break :: else fi
        :: else
        fi
    }
}

proctype consumer()
{
    byte who, i;
    bool all = true; /* for mutant 7 */
end:
    do
    :: user?who ->
        if :: MUTANT == 4 -> owed++; give() :: else fi;
        under_way--;
        if
        :: MUTANT == 4
        :: else ->
            owed++;
            if
            :: owed < ENOUGH
            :: owed >= ENOUGH && MUTANT == 1 -> tell_all(); give()
            :: owed >= ENOUGH && MUTANT != 1 -> give(); tell_all()
            fi
        fi
    :: system?who ->
        give();
        waits[who] = true;
        if
        :: credit > 0 -> /* room for one is news for all, because who is told may not use it */
            for (i : 0 .. P - 1) { room[i] = true };
            all = false;
            tell_all();
            all = true
        :: credit == 0 && MUTANT == 2 -> waits[who] = false
        :: else
        fi
    od
}

init
{
    byte i;
    atomic {
        run consumer();
        for (i : 0 .. P - 1) { run sender(i) }
    }
}
