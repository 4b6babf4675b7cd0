/* SPDX-License-Identifier: Apache-2.0
 * fsck.h - what the rooms of weft-fsck share: the orders, the exit codes, how it speaks.
 * Called by: main.c, verify.c, salvage.c. */
#ifndef FSCK_H
#define FSCK_H

#include <stdbool.h>

#include <weft/err.h>

enum {
    FSCK_CLEAN = 0,
    FSCK_FAILED = 1, /* disk, memory: nothing is known */
    FSCK_USAGE = 2,
    FSCK_NOTHING = 3, /* there is no store */
    FSCK_LOCKED = 6,
    FSCK_DAMAGED = 7,
    FSCK_VERSION = 8
};

struct fsck {
    const char *dir;                            /* the store, or the checkpoint */
    const char *salvage, *checkpoint, *restore; /* what is to be made; NULL: not asked for */
    const char *key;                            /* file of a device key */
    bool signatures, json, live, quiet;
};

int fsck_verify(const struct fsck *f);
int fsck_salvage(const struct fsck *f);
int fsck_checkpoint(const struct fsck *f);
int fsck_restore(const struct fsck *f);

int fsck_code(weft_err err);
void fsck_say(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* to stderr */
/* Does another process have the store open? Then it is named, and the answer is LOCKED. */
weft_err fsck_is_free(const char *dir);

#endif
