/* SPDX-License-Identifier: Apache-2.0
 * replay.h - how far the engine has come with the logs that it reads again when it opens.
 * Called by: node_engine.c, beside the thread that opens. Never: opens or changes a file. */
#ifndef WF_REPLAY_H
#define WF_REPLAY_H

#include <stdint.h>

/* Bytes of the logs in `dir` that this process has read: those before the one that it has open, and of
 * that one what stands before its place. 0: none is open, or the system has no /proc. */
uint64_t wf_replay_bytes(const char *dir);

#endif
