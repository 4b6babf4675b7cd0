/* SPDX-License-Identifier: Apache-2.0
 * fuzz.c - what each process that runs targets needs once.
 * Called by: the targets, libfuzzer.c, replay.c. May touch: the log's sink, stderr.
 * Never: the product's state. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include <weft/log.h>

_Noreturn void fuzz_fail(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: this does not hold: %s\n", file, line, condition);
    abort();
}

/* Refused bytes are told to a person; here they are most of what there is. */
static void no_log(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg;
    (void)level;
    (void)facility;
    (void)line;
}

void fuzz_start(void) { weft_log_to(no_log, NULL, WEFT_LOG_ERROR); }
