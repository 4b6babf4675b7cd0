/* SPDX-License-Identifier: Apache-2.0
 * scan.h - a walk over one family that goes on behind what cannot be read.
 * Called by: check.c, salvage.c. Never: writes; says what a key means. */
#ifndef WF_SCAN_H
#define WF_SCAN_H

#include "kv.h"

#define WF_SCAN_KEY_BYTES_MAX 160u /* no key of a store is longer */

struct wf_scan {
    wf_kv *kv;
    const wf_kv_snapshot *snap;
    enum wf_cf cf;
    bool disk_too; /* a disk that cannot read ends no walk either */
    wf_kv_iter *it;
    uint64_t gaps; /* ranges of keys that could not be read so far */
    uint8_t last[WF_SCAN_KEY_BYTES_MAX];
    size_t last_len; /* of the key given out last; 0: none */
    /* -- out: valid until the next call */
    const uint8_t *key, *value;
    size_t key_len, value_len;
};
/* `disk_too` false: only CORRUPT is stepped over, IO ends the walk. */
void wf_scan_init(struct wf_scan *scan, wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf,
                  bool disk_too);
/* The next record by key. END; NO_MEMORY, IO. A gap costs about as many seeks as the
 * logarithm of its width. */
weft_err wf_scan_next(struct wf_scan *scan);
void wf_scan_fini(struct wf_scan *scan);

#endif
