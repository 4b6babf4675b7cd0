/* SPDX-License-Identifier: Apache-2.0
 * pack.h - msgpack into memory of a known size: where msgpack-c's packer writes to.
 * Called by: entry_build.c, map.c. May touch: the memory given.
 * Never: grows; what does not fit is counted, and the writer looks at the end. */
#ifndef WF_PACK_H
#define WF_PACK_H

#include <msgpack/pack.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct wf_pack {
    uint8_t *at, *end;
    bool overflow;
};

static inline int wf_pack_write(void *data, const char *bytes, size_t len)
{
    struct wf_pack *p = data;
    if (len > (size_t)(p->end - p->at)) {
        p->overflow = true;
        return -1;
    }
    if (len > 0) memcpy(p->at, bytes, len);
    p->at += len;
    return 0;
}

static inline void wf_pack_bin(msgpack_packer *pk, const void *data, size_t len)
{
    msgpack_pack_bin(pk, len);
    msgpack_pack_bin_body(pk, data, len);
}

static inline void wf_pack_str(msgpack_packer *pk, const char *text, size_t len)
{
    msgpack_pack_str(pk, len);
    msgpack_pack_str_body(pk, text, len);
}

#endif
