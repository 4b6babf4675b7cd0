/* SPDX-License-Identifier: Apache-2.0
 * kv_faulty.h - an engine whose reads fail and whose writes wait on request, around another.
 * Called by: tests of what reads the store. Never: fails a write (the memory engine
 * does that itself), tells a reader anything but the error it was asked for. */
#ifndef KV_FAULTY_H
#define KV_FAULTY_H

#include "kv.h"

/* Takes `inner`, which is closed with it. */
wf_kv *kv_faulty_create(wf_kv *inner);
/* The nth read from now (1: the next) fails with `err`; 0: none does. A get, the making
 * of an iterator and each of its steps, of a snapshot or a checkpoint are one read. */
void kv_faulty_fail_at(wf_kv *kv, uint64_t nth, weft_err err);
/* Calls fn before each write, on the writer's thread, which it may hold up. Before anybody
 * else has the engine. NULL: nothing is called. */
void kv_faulty_on_write(wf_kv *kv, void (*fn)(void *arg), void *arg);
/* Reads so far. */
uint64_t kv_faulty_reads(const wf_kv *kv);
/* Has the failure been met? */
bool kv_faulty_met(const wf_kv *kv);

#endif
