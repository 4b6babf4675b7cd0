/* SPDX-License-Identifier: Apache-2.0
 * utf8.h - is it well-formed UTF-8?
 * Called by: scan.c, cursor.c, chrome.c, prometheus.c. Rule: RFC 3629, section 4: no overlong forms, no
 * surrogates, nothing above U+10FFFF. */
#ifndef WF_UTF8_H
#define WF_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool wf_utf8_valid(const uint8_t *text, size_t len);

/* How many of the `left` bytes are the first character; 0: there is none. */
size_t wf_utf8_next(const uint8_t *text, size_t left);

#endif
