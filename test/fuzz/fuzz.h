/* SPDX-License-Identifier: Apache-2.0
 * fuzz.h - what the fuzz targets have in common: each is a function from bytes to whether
 * they were accepted, and stops the process when weft breaks a promise.
 * Called by: the targets, libfuzzer.c, replay.c. Never: the product. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the process when `condition` does not hold, whatever the build is. */
#define FUZZ_CHECK(condition) ((condition) ? (void)0 : fuzz_fail(#condition, __FILE__, __LINE__))
_Noreturn void fuzz_fail(const char *condition, const char *file, int line);

/* Before the first input: silences the log. */
void fuzz_start(void);

#ifdef WF_HTTP /* it is built where its library is */
#define FUZZ_HTTP(X) X(http)
#else
#define FUZZ_HTTP(X)
#endif
/* The same input does the same in each process: nothing is kept from one to the next, but
 * what is computed once and not changed. True: the bytes were accepted. */
#define FUZZ_TARGETS(X) \
    X(scan)             \
    X(frame)            \
    X(noise)            \
    X(msg)              \
    X(entry)            \
    X(map)              \
    X(addr)             \
    X(ticket)           \
    X(record)           \
    X(keystore)         \
    X(session)          \
    X(node)             \
    FUZZ_HTTP(X)
#define X(name) bool fuzz_##name(const uint8_t *data, size_t len);
FUZZ_TARGETS(X)
#undef X

/* -- Choices out of bytes ---------------------------------------------------------------- */

struct fuzz_bytes {
    const uint8_t *at, *end;
};
static inline bool fuzz_more(const struct fuzz_bytes *b) { return b->at < b->end; }
static inline unsigned fuzz_byte(struct fuzz_bytes *b) /* 0 behind the end */
{
    return b->at < b->end ? *b->at++ : 0;
}
static inline unsigned fuzz_below(struct fuzz_bytes *b, unsigned bound)
{
    return fuzz_byte(b) % bound;
}
/* At most `most` bytes, fewer at the end. */
static inline const uint8_t *fuzz_take(struct fuzz_bytes *b, size_t most, size_t *len)
{
    const uint8_t *at = b->at;
    *len = (size_t)(b->end - at) < most ? (size_t)(b->end - at) : most;
    b->at += *len;
    return at;
}

#endif
