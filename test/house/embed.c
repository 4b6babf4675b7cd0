/* SPDX-License-Identifier: Apache-2.0
 * embed.c - the smallest program outside the tree: it includes every public header and links libweft.
 * Called by: package.sh, which compiles it against an installed weft, as C and as C++.
 * May touch: the public headers, standard output. Never: headers of src/. */
#include <weft/actor.h>
#include <weft/buf.h>
#include <weft/entry.h>
#include <weft/err.h>
#include <weft/id.h>
#include <weft/limits.h>
#include <weft/log.h>
#include <weft/node.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    weft_log_to(NULL, NULL, WEFT_LOG_OFF);
    const char *text = weft_strerror(WEFT_FULL);
    printf("WEFT_FULL: %s\n", text);
    weft_node *node = NULL;
    weft_err err = weft_node_open(NULL,
                                  &node); /* in memory; it pulls every layer into the program */
    printf("weft_node_open: %s\n", weft_strerror(err));
    weft_node_close(node);
    return strlen(text) > 0 && err == WEFT_OK ? 0 : 1;
}
