/* SPDX-License-Identifier: Apache-2.0
 * records.h - first bytes of the sync layer's record keys in the store's `peer`
 * family, in one place so that no two rooms choose the same. */
#ifndef WF_RECORDS_H
#define WF_RECORDS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum wf_record_prefix {
    WF_REC_PEER = 0x81,       /* | peer                 a row of the registry    */
    WF_REC_RELATION = 0x82,   /* | peer | tree          a relation               */
    WF_REC_EXACT = 0x83,      /* | peer | tree          the next session is exact */
    WF_REC_ACKED = 0x84,      /* | peer | tree          what the peer has        */
    WF_REC_SELF = 0x85,       /*                        the key of the node      */
    WF_REC_TRACK = 0x86,      /* | tree | principal     sync settings; zero: the node's */
    WF_REC_JOIN = 0x87,       /* | request id           a request to join here   */
    WF_REC_JOIN_MODE = 0x88,  /* | tree                who may ask to join      */
    WF_REC_ASKED = 0x89,      /* | tree | key           what we asked elsewhere  */
    WF_REC_HISTORY = 0x8A,    /* | peer | ms BE 8 | number BE 8   a sync         */
    WF_REC_PAIR = 0x8B,       /* | peer | tree          sums of their syncs      */
    WF_REC_TRANSPORT = 0x8C,  /* | name                its configuration        */
    WF_REC_SETTING = 0x8D,    /* | key                  a setting of the node    */
    WF_REC_JOIN_CLOCK = 0x8E, /*                       the clock of requests    */
    WF_REC_JOIN_SPENT = 0x8F  /* | tree                 grants without a decision */
};

/* Of a damaged record's key, to a log: enough to find it, and no whole key of anybody. */
#define WF_KEY_SHOWN 8u
#define WF_KEY_SHOWN_TEXT (2 * WF_KEY_SHOWN + 1)
static inline const char *wf_key_shown(const uint8_t *key, size_t len, char out[WF_KEY_SHOWN_TEXT])
{
    out[0] = '\0';
    for (size_t i = 0; i < len && i < WF_KEY_SHOWN; i++) snprintf(out + 2 * i, 3, "%02x", key[i]);
    return out;
}

#define WF_PAIR_KEY_BYTES 65u /* of RELATION, EXACT, ACKED and PAIR */
#define WF_ACKED_BYTES 24u    /* epoch 16 | number BE 8 */

#endif
