/* SPDX-License-Identifier: Apache-2.0
 * zipf.h - draws ranks of which the first are the popular ones. */
#ifndef STRESS_ZIPF_H
#define STRESS_ZIPF_H

#include "kit.h"

#define ZIPF_THETA 0.99

struct zipf { /* zero-initialise */
    uint64_t n;
    double zeta; /* sum of 1 / i^ZIPF_THETA for i from 1 to n */
};
/* A rank below n (> 0): r is drawn about 1 / (r + 1)^ZIPF_THETA as often as 0. n may only grow from
 * call to call, and costs a step for each that it grew by. */
uint64_t zipf_next(struct zipf *z, struct kit_rng *rng, uint64_t n);

#endif
