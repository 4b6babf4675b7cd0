/* SPDX-License-Identifier: Apache-2.0
 * only.h - the names behind --only, of programs that are lists of rooms.
 * Called by: weft-torture, weft-hostile. May touch: stderr. Never: allocates. */
#ifndef ONLY_H
#define ONLY_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Is `name` in the list? NULL: everything is. */
static inline bool only_has(const char *only, const char *name)
{
    size_t len = strlen(name);
    if (only == NULL) return true;
    for (const char *at = only; (at = strstr(at, name)) != NULL; at += len) {
        bool begins = at == only || at[-1] == ',', ends = at[len] == '\0' || at[len] == ',';
        if (begins && ends) return true;
    }
    return false;
}

/* Each name must be one of ours: a typing error must not pass as a run. */
static inline bool only_known(const char *only, const char *(*name_of)(size_t i), size_t count)
{
    char copy[256], *save = NULL;
    snprintf(copy, sizeof copy, "%s", only == NULL ? "" : only);
    for (char *name = strtok_r(copy, ",", &save); name != NULL; name = strtok_r(NULL, ",", &save)) {
        bool known = false;
        for (size_t i = 0; i < count; i++) known |= strcmp(name_of(i), name) == 0;
        if (known) continue;
        fprintf(stderr, "nothing here is called %s (--list)\n", name);
        return false;
    }
    return true;
}

#endif
