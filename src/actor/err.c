/* SPDX-License-Identifier: Apache-2.0
 * err.c - the texts and names of weft's answers and failures.
 * Called by: everybody, any thread. May touch: static text.
 * Never: allocates, formats, returns NULL. */
#include <weft/err.h>

const char *weft_strerror(weft_err err)
{
    switch (err) {
    case WEFT_OK: return "success";
#define X(name, value, text) \
    case name: return text;
        WEFT_ERR_MAP(X)
#undef X
    }
    return "unknown error";
}

const char *weft_errname(weft_err err)
{
    switch (err) {
    case WEFT_OK: return "WEFT_OK";
#define X(name, value, text) \
    case name: return #name;
        WEFT_ERR_MAP(X)
#undef X
    }
    return "WEFT_UNKNOWN";
}
