/* SPDX-License-Identifier: Apache-2.0
 * key_file.h - a node's key file when its key changes.
 * Called by: weft.c (an opening after a crash), api_keys.c. Never: looks into a store. */
#ifndef WF_KEY_FILE_H
#define WF_KEY_FILE_H

#include <stdbool.h>

#include <weft/entry.h>

/* Keeps `before`, which must be the pair in the file, in "<path>.before", and makes `now` the pair
 * in the file. Each step is whole or not there. EXISTS: "<path>.before" has another pair; KEY_FILE,
 * IO, NO_MEMORY. */
weft_err wf_key_file_rotate(const char *path, const weft_keypair *before, const weft_keypair *now);
/* The pair in "<path>.before". NOT_FOUND, KEY_FILE, NO_MEMORY. */
weft_err wf_key_file_before(const char *path, weft_keypair **out);

#endif
