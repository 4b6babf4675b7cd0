/* SPDX-License-Identifier: Apache-2.0
 * flip.c - one bit of one file of a store is turned: the store is refused, or its check finds
 * it, or nothing is missing; never is something gone without a word. Then it is healed.
 * Called by: main.c. May touch: copies of stores that it made. Never: the same copy twice. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_dir.h"
#include "torture.h"

#define COMMITS 25u /* of each lane */
#define LIFE_NS (60 * WEFT_SEC)
#define FILES_MAX 64u

enum kind { TABLES, LOG, MANIFEST, DATABASE, KINDS };
#define KINDS_OF_ROCKSDB 3u /* the first ones */
static const char *const kind_names[KINDS] = {"tables", "log", "manifest", "database"};
enum outcome { REFUSED, FOUND, HARMLESS, TAIL, CRASHED, WRONG };

struct flip {
    tt_torture *t;
    tt_ledger ledger;
    char closed[160], killed[160], copy[160]; /* two stores, and the one that is damaged */
    uint32_t count[KINDS][WRONG];
    uint32_t healed[TT_HEAL_HOWS];
    uint32_t missing[KINDS], fetched[KINDS]; /* entries, over all that were healed */
    uint32_t every, noticed;                 /* one of so many is healed */
    tt_healer healer;
};

static bool make_store(struct flip *f, const char *dir, enum tt_leave leave)
{
    tt_plan plan = {.dir = dir, .lanes = TT_LANES, .commits = COMMITS, .leave = leave};
    tt_child c;
    tt_dir_remove(dir); /* another engine's */
    memset(&f->ledger, 0, sizeof f->ledger);
    tt_child_start(f->t, &plan, &f->ledger, NULL, &c);
    return tt_child_wait(&c, LIFE_NS) && c.failed == 0 && c.acked == TT_LANES * COMMITS + 1;
}

static bool is_of_kind(const char *name, enum kind kind)
{
    size_t len = strlen(name);
    if (kind == MANIFEST) return strncmp(name, "MANIFEST-", 9) == 0;
    if (kind == DATABASE) return strcmp(name, "data.mdb") == 0;
    return len > 4 && strcmp(name + len - 4, kind == LOG ? ".log" : ".sst") == 0;
}

/* A byte of the files of a kind, each as likely as any other. False: there is none. */
static bool choose_byte(struct flip *f, enum kind kind, char path[512], long *offset, long *size)
{
    static char names[FILES_MAX][512];
    long sizes[FILES_MAX], all = 0;
    uint32_t count = 0;
    DIR *handle = opendir(f->copy);
    if (handle == NULL) tt_die(f->copy);
    for (struct dirent *item; (item = readdir(handle)) != NULL && count < FILES_MAX;) {
        struct stat info;
        if (!is_of_kind(item->d_name, kind)) continue;
        tt_path(names[count], sizeof names[count], f->copy, item->d_name);
        if (stat(names[count], &info) != 0 || info.st_size == 0) continue;
        sizes[count] = (long)info.st_size;
        all += sizes[count++];
    }
    closedir(handle);
    if (all == 0) return false;
    long at = (long)(tt_random(f->t) % (uint64_t)all);
    uint32_t i = 0;
    while (at >= sizes[i]) at -= sizes[i++];
    memcpy(path, names[i], sizeof names[i]);
    *offset = at;
    *size = sizes[i];
    return true;
}

static void turn_bit(const char *path, long offset, unsigned bit)
{
    uint8_t byte;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || pread(fd, &byte, 1, offset) != 1) tt_die(path);
    byte ^= (uint8_t)(1u << bit);
    if (pwrite(fd, &byte, 1, offset) != 1) tt_die(path);
    close(fd);
}

/* What a look at the damaged copy gives. */
static enum outcome look(struct flip *f, enum kind kind, char *why)
{
    tt_plan plan = {.dir = f->copy, .whole = true, .leave = TT_DROP};
    tt_ledger ledger = f->ledger; /* a look may move what it knows to be sound */
    tt_child c;
    tt_child_start(f->t, &plan, &ledger, NULL, &c);
    if (!tt_child_wait(&c, LIFE_NS)) return snprintf(why, 200, "it hung"), WRONG;
    if (WIFSIGNALED(c.status) && kind == DATABASE) return CRASHED;
    if (WIFSIGNALED(c.status))
        return snprintf(why, 200, "it ended by signal %d", WTERMSIG(c.status)), WRONG;
    if (c.last.what == TT_NO_OPEN || c.last.what == TT_NO_VERDICT) return REFUSED;
    const tt_verdict *v = &c.last.verdict;
    if (!c.open) return snprintf(why, 200, "it said nothing"), WRONG;
    if (tt_verdict_good(v)) return HARMLESS;
    if (v->faults > 0) return FOUND;
    /* The end of a log that does not fit looks as if the power had gone while it was written;
     * what stood there is gone as after a torn write, and peers send it again. */
    if (kind == LOG && v->torn + v->unannounced == 0 && v->lost <= TT_LANES) return TAIL;
    return tt_verdict_text(v, why, 200), WRONG;
}

/* The look has read everything, so the engine has said beside the store that a block is bad. A node
 * that opens it knows nothing of that yet. */
static void forget_look(const struct flip *f)
{
    char path[200];
    tt_path(path, sizeof path, f->copy, WF_STORE_DIR_DAMAGED);
    if (unlink(path) != 0 && errno != ENOENT) tt_die(path);
}

/* One flip of a kind, and what becomes of it. False: `why`. */
static bool flip_one(struct flip *f, enum kind kind, char path[512], long *offset, long *size,
                     char *why)
{
    tt_healed healed;
    tt_dir_copy(kind == LOG ? f->killed : f->closed, f->copy);
    unsigned bit = tt_below(f->t, 8);
    if (!choose_byte(f, kind, path, offset, size))
        return snprintf(why, 200, "there is no such file"), false;
    turn_bit(path, *offset, bit);
    enum outcome outcome = look(f, kind, why);
    if (outcome == WRONG) return false;
    f->count[kind][outcome]++;
    if (outcome == HARMLESS || kind == DATABASE) return true;
    if (f->noticed++ % f->every != 0) return true;
    forget_look(f);
    if (!tt_heal(f->t, &f->healer, COMMITS, f->copy, &healed, why)) return false;
    f->healed[healed.how]++;
    f->missing[kind] += healed.missing;
    f->fetched[kind] += healed.fetched;
    return true;
}

/* Stores to be damaged, and the control: a copy without damage is good. */
static bool prepare(struct flip *f, tt_line *line)
{
    char why[200] = "";
    tt_path(f->closed, sizeof f->closed, f->t->dir, "closed");
    tt_path(f->killed, sizeof f->killed, f->t->dir, "killed");
    tt_path(f->copy, sizeof f->copy, f->t->dir, "flipped");
    if (!make_store(f, f->closed, TT_CLOSE) || !make_store(f, f->killed, TT_DROP)) {
        tt_bad(line, "the stores to be damaged could not be made");
        return false;
    }
    tt_dir_copy(f->closed, f->copy);
    if (look(f, TABLES, why) == HARMLESS) return true;
    tt_bad(line, "a copy without damage is not whole; %s", why);
    return false;
}

static uint32_t sum(const struct flip *f, enum outcome outcome)
{
    uint32_t all = 0;
    for (unsigned k = 0; k < KINDS; k++) all += f->count[k][outcome];
    return all;
}

void tt_flip(tt_torture *t, const tt_work *work, tt_line *line)
{
    static struct flip f;
    char path[512] = "", why[200] = "";
    long offset = 0, size = 0;
    uint32_t done = 0;
    enum kind kind = TABLES;
    memset(&f, 0, sizeof f);
    f.t = t;
    f.every = work->extra == 0 ? 1 : work->extra;
    if (!prepare(&f, line)) return;
    while (why[0] == '\0' && tt_go_on(t, done, work->rounds, work->least)) {
        kind = t->engine == WF_ENGINE_LMDB ? DATABASE : (enum kind)(done % KINDS_OF_ROCKSDB);
        if (!flip_one(&f, kind, path, &offset, &size, why)) break;
        done++;
    }
    if (!tt_healer_end(&f.healer) && why[0] == '\0')
        snprintf(why, sizeof why, "the process that heals did not end well");
    uint32_t refused = sum(&f, REFUSED), found = sum(&f, FOUND), healed = 0;
    for (int how = TT_HEALED_IN_PLACE; how < TT_HEAL_HOWS; how++) healed += f.healed[how];
    if (why[0] != '\0')
        tt_bad(line, "after %u flips: %s; %s, byte %ld of %ld of %s", done, why, kind_names[kind],
               offset, size, path);
    else if (t->engine == WF_ENGINE_LMDB)
        tt_ok(line,
              "%u flips (detected only; LMDB has no checksums): %u refused, %u found by the check, "
              "%u ended the process that read them, %u harmless, 0 silent",
              done, refused, found, f.count[DATABASE][CRASHED], sum(&f, HARMLESS));
    else if (refused + found == 0) tt_bad(line, "of %u flips none was noticed", done);
    else
        tt_ok(line,
              "%u flips: %u refused, %u found by the check, %u as a torn tail of the log, %u "
              "harmless, 0 silent; %u of %u healed whole with a live peer: %u in place, %u by the "
              "node when it opened, %u by weft-fsck, %u anew; fetched/missing entries: %u/%u in "
              "tables, %u/%u in logs, %u/%u in manifests",
              done, refused, found, f.count[LOG][TAIL], sum(&f, HARMLESS), healed, f.noticed,
              f.healed[TT_HEALED_IN_PLACE], f.healed[TT_HEALED_AT_OPEN],
              f.healed[TT_HEALED_BY_FSCK], f.healed[TT_HEALED_ANEW], f.fetched[TABLES],
              f.missing[TABLES], f.fetched[LOG], f.missing[LOG], f.fetched[MANIFEST],
              f.missing[MANIFEST]);
}
