/* SPDX-License-Identifier: Apache-2.0
 * sweep.pml - a worker that sleeps is called to let go what ended actors have left with it.
 * E enders each set `sweep` and then pass the worker's word by; the worker looks at `sweep`, parks its
 * word, looks once more and sleeps. One sender pushes a task meanwhile, as ever.
 * Claims: it does not sleep for good while it is called, nor while there is a task.
 * Mirrors: worker.c (leave_node, idle), park.c (is_called). Checked by: check.py.
 *
 * small: -DE=1
 * small: -DE=2
 * large: -DE=3
 * mutant 1 end-state: the worker does not look once more after it has parked
 * mutant 2 end-state: an ender looks at the word first and sets `sweep` then
 * mutant 3 end-state: an ender takes the tag away and wakes nobody */
#ifndef E
#define E 1
#endif
#ifndef MUTANT
#define MUTANT 0
#endif

mtype = { nothing, parked, task };
mtype word = nothing;
bool sweep, awake;  /* awake: somebody has woken the sleeper */
byte tasks;

proctype ender()
{
    mtype seen;
    if :: MUTANT == 2 -> seen = word :: else fi;
    sweep = true;
    if :: MUTANT == 2 :: else -> seen = word fi;
    if
    :: seen == parked ->
        atomic {
            if :: word == parked -> word = nothing; seen = task :: else fi /* `task`: the tag was ours */
        }
        if :: seen == task && MUTANT != 3 -> atomic { awake = true } :: else fi
    :: else
    fi
}

proctype sender()
{
    bool wake;
    atomic { wake = (word == parked); word = task }
    if :: wake -> atomic { awake = true } :: else fi
}

active proctype worker()
{
    bool slept;
    do
    :: atomic { if :: word == task -> word = nothing; tasks++ :: else fi }
       sweep = false; /* it lets go what there is, then */
       atomic { slept = (word == nothing); if :: slept -> word = parked :: else fi }
       if
       :: slept && (!sweep || MUTANT == 1) ->
            /* Asleep. With nothing to do it stays so for ever, and that is a good end. */
end:        atomic { awake -> awake = false }
       :: else
       fi;
       atomic { if :: slept && word == parked -> word = nothing :: else fi }
    od
}

/* Once all others are done the worker sleeps with nothing left: else nobody gets past this. */
active proctype judge()
{
    _nr_pr == 2 && word == parked && !awake && !sweep && tasks == 1
}

init
{
    byte n;
    atomic { run sender(); for (n : 1 .. E) { run ender() } }
}
