/* SPDX-License-Identifier: Apache-2.0
 * libfuzzer.c - one target as libFuzzer and AFL++ want it.
 * Called by: their drivers. May touch: nothing. Never: part of the replay. */
#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    fuzz_start();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    (void)FUZZ_TARGET(data, len);
    return 0;
}
