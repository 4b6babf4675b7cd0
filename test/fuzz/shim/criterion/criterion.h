/* SPDX-License-Identifier: Apache-2.0
 * criterion.h - lets a target borrow the worlds of the tests: what they assert holds in a
 * fuzzer, too, and without Criterion.
 * Called by: world.c, raw.c, rig.c as part of the target `node`. Never: a test. */
#ifndef FUZZ_CRITERION_H
#define FUZZ_CRITERION_H

#include "fuzz.h"

/* What a test would say; the process ends with the condition instead. */
static inline void fuzz_unsaid(int zero, ...) { (void)zero; }

#define FUZZ_FIRST(a, ...) (FUZZ_CHECK(a), fuzz_unsaid(0, __VA_ARGS__))
#define FUZZ_NOT_NULL(a, ...) (FUZZ_CHECK((a) != NULL), fuzz_unsaid(0, __VA_ARGS__))
#define FUZZ_EQUAL(a, b, ...) (FUZZ_CHECK((a) == (b)), fuzz_unsaid(0, __VA_ARGS__))
#define cr_assert(...) FUZZ_FIRST(__VA_ARGS__, 0)
#define cr_assert_eq(...) FUZZ_EQUAL(__VA_ARGS__, 0)
#define cr_assert_not_null(...) FUZZ_NOT_NULL(__VA_ARGS__, 0)

#endif
