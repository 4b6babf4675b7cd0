/* SPDX-License-Identifier: Apache-2.0
 * victim.c - the process that is killed: opens a store, judges it, commits from several
 * threads, and says on its standard output what it is about to do and what was promised.
 * Called by: main.c, in a process of its own. May touch: one store.
 * Never: says "acknowledged" before the store did. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "crypto.h"
#include "torture.h"

#define MEMORY_BYTES (UINT64_C(16) << 20)
#define COMMIT_TIMEOUT_NS (60 * WEFT_SEC)
enum { EXIT_GOOD, EXIT_REFUSED = 3, EXIT_BAD_VERDICT = 4 };

static struct {
    tt_plan plan;
    enum wf_engine engine;
    tt_history history;
    tt_ledger ledger; /* as it was when we were started; then which commits are done */
    weft_rt *rt;
    wf_store *store;
    weft_addr *addr;
    uint32_t next[TT_LANES + 1]; /* the first commit of each lane that is not done */
} me;

/* For the control of a power cut. LMDB syncs the pages of every commit, and leaves out only the
 * sync of the root that names them, which the next commit makes good: acknowledging before that
 * loses too little to be seen. So there the system's own call does nothing. */
int fdatasync(int fd)
{
    bool nothing = me.plan.level == WF_WRITTEN && me.engine == WF_ENGINE_LMDB;
    return nothing ? 0 : (int)syscall(SYS_fdatasync, fd);
}

static void tell(const tt_note *note)
{
    if (write(1, note, sizeof *note) != (ssize_t)sizeof *note) _exit(1); /* nobody listens */
}

/* -- Committing ------------------------------------------------------------------------------ */

static weft_err commit_one(uint32_t lane, uint32_t commit)
{
    struct wf_commit *msg = tt_history_commit(&me.history, lane, commit);
    if (msg == NULL) return WEFT_NO_MEMORY;
    msg->durability = (uint8_t)me.plan.level;
    tell(&(tt_note){.what = TT_INTENT, .lane = lane, .commit = commit});
    weft_request *back = NULL;
    bool taken = false;
    weft_err err = weft_call(me.addr, &msg->req, weft_rt_after(me.rt, COMMIT_TIMEOUT_NS), &back,
                             &taken);
    if (back != NULL) weft_drop(&back->msg);
    else if (!taken) weft_drop(&msg->req.msg);
    tell(&(tt_note){
        .what = err == WEFT_OK ? TT_ACK : TT_FAILED, .lane = lane, .commit = commit, .err = err});
    return err;
}

static void *commit_lane(void *arg)
{
    uint32_t lane = (uint32_t)(uintptr_t)arg, done = 0;
    while (me.next[lane] < me.history.commits[lane] && done++ < me.plan.commits) {
        if (commit_one(lane, me.next[lane]) != WEFT_OK) break;
        me.next[lane]++;
    }
    return NULL;
}

static void commit_all(void)
{
    pthread_t threads[TT_LANES];
    uint32_t lanes = me.plan.lanes < TT_LANES ? me.plan.lanes : TT_LANES;
    if (lanes > 0 && me.next[TT_ROOT] == 0) {
        if (commit_one(TT_ROOT, 0) != WEFT_OK) return;
        me.next[TT_ROOT] = 1;
    }
    for (uint32_t i = 0; i < lanes; i++)
        if (pthread_create(&threads[i], NULL, commit_lane, (void *)(uintptr_t)i) != 0)
            tt_die("a thread");
    for (uint32_t i = 0; i < lanes; i++) pthread_join(threads[i], NULL);
}

/* A commit that failed may be there all the same: what is there is not sent again. */
static void find_next(void)
{
    for (uint32_t lane = 0; lane <= TT_ROOT; lane++) {
        wf_meta_brief brief;
        uint32_t *next = &me.next[lane];
        while (*next < me.history.commits[lane] &&
               wf_store_meta_brief(me.store,
                                   &me.history.ids[me.history.begins[lane][*next + 1] - 1],
                                   &brief) == WEFT_OK)
            (*next)++;
    }
}

/* -- While the disk is full -------------------------------------------------------------------- */

static void read_everything(void)
{
    tt_note note = {.what = TT_READ};
    for (uint32_t i = 0; i < TT_ENTRIES; i++) {
        weft_buf *buf = NULL;
        weft_err err = wf_store_get(me.store, &me.history.ids[i], &buf);
        if (err == WEFT_OK) note.read++;
        else if (err != WEFT_NOT_FOUND) note.unread++;
        weft_buf_unref(buf);
    }
    tell(&note);
}

/* Each byte asks for another turn; the end of them for none. */
static void refill(void)
{
    char byte;
    read_everything();
    while (read(0, &byte, 1) == 1) {
        find_next();
        commit_all();
        read_everything();
    }
}

/* -- Life ------------------------------------------------------------------------------------------ */

static void load_ledger(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL || fread(&me.ledger, sizeof me.ledger, 1, file) != 1) tt_die(path);
    fclose(file);
}

static weft_err open_store(void)
{
    wf_kv *kv = NULL;
    wf_kv_disk_options options = {
        .engine = me.engine, .create = true, .memory_bytes = me.plan.small ? 1 : MEMORY_BYTES};
    weft_err err = wf_kv_disk_open(me.plan.dir, &options, &kv);
    if (err == WEFT_OK) err = wf_store_open(kv, me.rt, &me.store);
    if (err != WEFT_OK) wf_kv_close(kv);
    return err;
}

static weft_err judge(void)
{
    tt_note note = {.what = TT_VERDICT};
    weft_err err = tt_judge(me.store, &me.history, &me.ledger, me.plan.whole, &note.verdict);
    if (err != WEFT_OK) {
        tell(&(tt_note){.what = TT_NO_VERDICT, .err = err});
        return err;
    }
    tell(&note);
    return tt_verdict_good(&note.verdict) ? WEFT_OK : WEFT_INTERNAL;
}

static int live(void)
{
    weft_err err = open_store();
    if (err != WEFT_OK) {
        tell(&(tt_note){.what = TT_NO_OPEN, .err = err});
        return EXIT_REFUSED;
    }
    if (judge() != WEFT_OK) return EXIT_BAD_VERDICT;
    if (me.plan.lanes == 0 && me.plan.leave == TT_DROP) return EXIT_GOOD;
    struct wf_store_actor_options actor = {.store = me.store, .sync = true, .herd = me.plan.herd};
    if (wf_store_actor_spawn(me.rt, &actor, &me.addr) != WEFT_OK) return EXIT_REFUSED;
    find_next();
    commit_all();
    if (me.plan.refill) refill();
    if (me.plan.leave == TT_DROP) return EXIT_GOOD;
    weft_addr_put(me.addr);
    if (weft_rt_stop(me.rt, weft_rt_after(me.rt, COMMIT_TIMEOUT_NS)) != WEFT_OK)
        return EXIT_REFUSED;
    wf_store_close(me.store);
    return EXIT_GOOD;
}

/* --victim DIR HISTORY LEDGER whole level lanes commits leave refill engine herd small */
int tt_victim_main(int argc, char **argv)
{
    if (argc != 14) return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody outlives the torture */
    me.plan.dir = argv[2];
    me.plan.whole = atoi(argv[5]) != 0;
    me.plan.level = (uint32_t)atoi(argv[6]);
    me.plan.lanes = (uint32_t)atoi(argv[7]);
    me.plan.commits = (uint32_t)atoi(argv[8]);
    me.plan.leave = atoi(argv[9]) != 0 ? TT_DROP : TT_CLOSE;
    me.plan.refill = atoi(argv[10]) != 0;
    me.engine = (enum wf_engine)atoi(argv[11]);
    me.plan.herd = (uint32_t)atoi(argv[12]);
    me.plan.small = atoi(argv[13]) != 0;
    tt_history_load(&me.history, argv[3]);
    load_ledger(argv[4]);
    if (wf_crypto_init() != WEFT_OK || weft_rt_create(&me.rt) != WEFT_OK) return 2;
    int status = live();
    tell(&(tt_note){.what = TT_END, .err = status});
    _exit(status); /* what TT_DROP leaves open stays so */
}
