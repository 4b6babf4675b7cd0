/* SPDX-License-Identifier: Apache-2.0
 * records.h - first bytes of the sync layer's record keys in the store's `peer`
 * family, in one place so that no two rooms choose the same. */
#ifndef WF_RECORDS_H
#define WF_RECORDS_H

enum wf_record_prefix {
    WF_REC_PEER = 0x81,     /* | peer                 a row of the registry    */
    WF_REC_RELATION = 0x82, /* | peer | tree          a relation               */
    WF_REC_EXACT = 0x83,    /* | peer | tree          the next session is exact */
    WF_REC_ACKED = 0x84,    /* | peer | tree          what the peer has        */
    WF_REC_SELF = 0x85      /*                        the key of the node      */
};

#endif
