/* SPDX-License-Identifier: Apache-2.0
 * http_text.h - the few texts of HTTP that are read and written by hand: addresses, lists of
 * tokens, the one answer to a dial. Pure. Called by: net_http.c, http_server.c, tests. */
#ifndef WF_HTTP_TEXT_H
#define WF_HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>
#include <weft/limits.h>

#define WF_HTTP_PROTOCOL "weft/1"
#define WF_HTTP_PATH "/weft" /* of an address that has none */
#define WF_HTTP_REQUEST_MAX (2u * WEFT_ADDRESS_BYTES_MAX + 96u)

/* An address taken apart. */
struct wf_http_address {
    char host_port[WEFT_ADDRESS_BYTES_MAX]; /* in TCP's grammar, which is not looked at here */
    char path[WEFT_ADDRESS_BYTES_MAX];
};
/* ADDRESS: too long, or a path with what needs escapes. */
weft_err wf_http_address_read(const char *text, struct wf_http_address *out);
/* The other way round; ADDRESS: it does not fit. */
weft_err wf_http_address_write(const char *host_port, const char *path,
                               char out[WEFT_ADDRESS_BYTES_MAX]);

/* Is `token` one of the comma-separated list's, whatever the case of its letters? */
bool wf_http_has_token(const char *list, size_t len, const char *token);

/* The last address of an X-Forwarded-For, as "address:0" ("[address]:0" if it has colons); one
 * that brings a port loses it. False: there is none that could be one. */
bool wf_http_forwarded(const char *list, size_t len, char out[WEFT_ADDRESS_BYTES_MAX]);

/* The whole request of a dial; its length. */
size_t wf_http_request_write(const struct wf_http_address *to, char out[WF_HTTP_REQUEST_MAX]);

/* What has come of the answer so far, from its first byte. OK: upgraded, and the stream begins
 * after *used bytes. AGAIN: it is not whole. UNREACHABLE: another answer, *status. PROTOCOL: it
 * is none, or an upgrade to something else. LIMIT: it is too long. Answers 1xx before it are
 * passed over. */
weft_err wf_http_reply_read(const uint8_t *data, size_t len, size_t *used, unsigned *status);

#endif
