/* SPDX-License-Identifier: Apache-2.0
 * zipf.c - draws by a zipfian distribution, after Gray et al., "Quickly generating billion-record
 * synthetic databases", 1994. Called by: store_mixed.c, the tests. May touch: its struct.
 * Never: draws from anything but the generator that it is given. */
#include "zipf.h"

#include <math.h>

uint64_t zipf_next(struct zipf *z, struct kit_rng *rng, uint64_t n)
{
    for (; z->n < n; z->n++) z->zeta += 1 / pow((double)(z->n + 1), ZIPF_THETA);
    double u = (double)(kit_rng_next(rng) >> 11) / 9007199254740992.0; /* [0, 1), 53 bits */
    double two = 1 + pow(0.5, ZIPF_THETA);
    if (n == 1 || u * z->zeta < 1) return 0;
    if (n == 2 || u * z->zeta < two) return 1;
    double eta = (1 - pow(2 / (double)n, 1 - ZIPF_THETA)) / (1 - two / z->zeta);
    uint64_t rank = (uint64_t)((double)n * pow(eta * u - eta + 1, 1 / (1 - ZIPF_THETA)));
    return rank < n ? rank : n - 1;
}
