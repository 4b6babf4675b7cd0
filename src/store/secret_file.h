/* SPDX-License-Identifier: Apache-2.0
 * secret_file.h - small files for their owner alone: read with suspicion, written whole or not.
 * Called by: keys.c, keystore.c. Never: knows what is in them. */
#ifndef WF_SECRET_FILE_H
#define WF_SECRET_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include <weft/err.h>

/* Up to `room` bytes of the file; more of them shows as a full buffer. NOT_FOUND; KEY_FILE: it
 * cannot be read, is no regular file but a symbolic link or the like, is another user's, or its
 * mode is neither 0600 nor 0400. */
weft_err wf_secret_read(const char *path, void *out, size_t room, size_t *len);

/* Makes `data` the content of the file: written beside it as "<path>.new", synced, renamed, its
 * folder synced. `expect` is what the file must begin with (KEY_FILE if it does not: somebody
 * else has changed it); NULL: nothing may have that name (EXISTS). Writers of one file wait for
 * each other. IO, NO_MEMORY. *there, also after a failure: does the name stand for `data` now?
 * Only a crash of the machine can take that back. */
weft_err wf_secret_write(const char *path, const void *expect, size_t expect_len, const void *data,
                         size_t len, bool *there);

#endif
