/* SPDX-License-Identifier: Apache-2.0
 * git.h - the history of a local git repository as a table. */
#ifndef STRESS_GIT_H
#define STRESS_GIT_H

#include "dag.h"

/* Reads what HEAD of the repository at `dir` reaches. `scratch` is a directory for
 * temporary files. Payload size = size of the commit object, at most DAG_PAYLOAD_MAX.
 * An exit code of kit.h; other than EXIT_PASS, `why` says what happened. */
int git_load(const char *dir, const char *scratch, struct dag *out, char *why, size_t why_len);

#endif
