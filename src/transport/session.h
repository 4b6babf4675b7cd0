/* SPDX-License-Identifier: Apache-2.0
 * session.h - what tests may ask of a secure session beyond noise.h. */
#ifndef WF_SESSION_H
#define WF_SESSION_H

#include "noise.h"

#define WF_NOISE_REKEY_RECORDS (UINT64_C(1) << 20)

/* Rekeys every `records` records instead of every 2^20, for both directions. Both
 * sides must agree; before the first record only. */
void wf_noise_rekey_every(wf_noise *n, uint64_t records);

#endif
