/* SPDX-License-Identifier: Apache-2.0
 * rate.h - how fast this machine checks signatures, all cores together. */
#ifndef STRESS_RATE_H
#define STRESS_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct rate {
    uint32_t cores;
    double raw_per_second;     /* crypto_sign_verify_detached, nothing else          */
    double raw_cpu_us;         /* time on a core of one raw check                    */
    double entries_per_second; /* weft_entry_verify on decoded entries of this run  */
};
uint32_t rate_cores(void); /* that this process may use */
/* The mean of two measures, one before the nodes and one after. */
void rate_merge(struct rate *into, const struct rate *later);
/* Measures each for about `seconds`, with entries of `payload` bytes. false: it failed. */
bool rate_measure(uint64_t seed, uint32_t payload, double seconds, struct rate *out);

#endif
