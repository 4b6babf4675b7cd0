/* SPDX-License-Identifier: Apache-2.0
 * proc.h - child processes and working directories. */
#ifndef STRESS_PROC_H
#define STRESS_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PROC_NODE_FLAG "--node" /* hidden: this process is a node of its parent */
/* Was this process started by proc_spawn_self? It dies with its parent from now on; *orphan:
 * the parent has ended already. */
bool proc_is_node(int argc, char *const argv[], bool *orphan);
/* Starts this program again as `--node`, with `fd` as its descriptor 3. 0 or errno. */
int proc_spawn_self(int fd, pid_t *out);
/* Starts `argv` (found by PATH, no shell) with these descriptors as 0, 1 and 2 (-1:
 * /dev/null). 0 or errno. */
int proc_spawn(char *const argv[], int in, int out, int err, pid_t *out_pid);
/* Ends a child of ours at once and takes its status. */
void proc_kill(pid_t pid);
/* Waits for a child. Its exit code, or 128 and the signal that ended it. */
int proc_wait(pid_t pid);
/* As proc_wait if it has ended, else -1. */
int proc_poll(pid_t pid);

/* Makes a fresh directory "<base>/<name>.XXXXXX"; base NULL: $TMPDIR or /tmp. Makes
 * base too if only its last part is missing. NULL with errno. Free the text. */
char *proc_dir_make(const char *base, const char *name);
/* Removes a directory that proc_dir_make made, with everything in it. */
void proc_dir_remove(const char *path);
char *proc_path(const char *dir, const char *leaf);
/* Peak resident memory of this process in KiB; 0 if the machine does not say. */
unsigned long proc_peak_rss_kb(void);

#endif
