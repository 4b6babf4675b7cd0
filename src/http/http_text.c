/* SPDX-License-Identifier: Apache-2.0
 * http_text.c - addresses, lists of tokens, forwarded addresses and the request (http_text.h).
 * Called by: net_http.c, http_server.c, http_reply.c. May touch: the bytes given.
 * Never: memory of its own, the network. */
#include "http_text.h"

#include <stdio.h>
#include <string.h>

/* What a path may have as it stands (RFC 3986, pchar without escapes). */
static bool path_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("/-._~!$&'()*+,;=:@", c) != NULL);
}

weft_err wf_http_address_read(const char *text, struct wf_http_address *out)
{
    size_t host = strcspn(text, "/"), len = strlen(text);
    if (len >= WEFT_ADDRESS_BYTES_MAX) return WEFT_ADDRESS;
    for (const char *at = text + host; *at != '\0'; at++)
        if (!path_char(*at)) return WEFT_ADDRESS;
    memcpy(out->host_port, text, host);
    out->host_port[host] = '\0';
    snprintf(out->path, sizeof out->path, "%s", text[host] == '\0' ? WF_HTTP_PATH : text + host);
    return WEFT_OK;
}

weft_err wf_http_address_write(const char *host_port, const char *path,
                               char out[WEFT_ADDRESS_BYTES_MAX])
{
    bool plain = strcmp(path, WF_HTTP_PATH) == 0;
    int n = snprintf(out, WEFT_ADDRESS_BYTES_MAX, "%s%s", host_port, plain ? "" : path);
    return n > 0 && (size_t)n < WEFT_ADDRESS_BYTES_MAX ? WEFT_OK : WEFT_ADDRESS;
}

static bool blank(char c) { return c == ' ' || c == '\t'; }

/* The element that ends at `end` or at the last comma before it, without blanks. */
static size_t trim(const char **at, const char *end)
{
    while (*at < end && blank(**at)) (*at)++;
    while (end > *at && blank(end[-1])) end--;
    return (size_t)(end - *at);
}

bool wf_http_has_token(const char *list, size_t len, const char *token)
{
    const char *end = list + len;
    size_t want = strlen(token);
    while (list < end) {
        const char *comma = memchr(list, ',', (size_t)(end - list));
        const char *stop = comma == NULL ? end : comma, *at = list;
        size_t got = trim(&at, stop);
        if (got == want && strncasecmp(at, token, want) == 0) return true;
        list = comma == NULL ? end : comma + 1;
    }
    return false;
}

static bool made_of(const char *at, size_t len, const char *letters)
{
    for (size_t i = 0; i < len; i++)
        if (at[i] == '\0' || strchr(letters, at[i]) == NULL) return false;
    return len > 0;
}

bool wf_http_forwarded(const char *list, size_t len, char out[WEFT_ADDRESS_BYTES_MAX])
{
    static const char v4[] = "0123456789.", v6[] = "0123456789abcdefABCDEF:.";
    const char *comma = memrchr(list, ',', len), *end = list + len;
    const char *at = comma == NULL ? list : comma + 1;
    size_t n = trim(&at, end);
    const char *colon = memchr(at, ':', n);
    if (n > 1 && at[0] == '[') { /* "[address]", or "[address]:port" */
        const char *close = memchr(at, ']', n);
        if (close == NULL) return false;
        at++;
        n = (size_t)(close - at);
    } else if (colon != NULL && memchr(colon + 1, ':', (size_t)(at + n - colon - 1)) == NULL) {
        n = (size_t)(colon - at); /* "address:port" */
    }
    bool six = memchr(at, ':', n) != NULL;
    if (n > 64 || !made_of(at, n, six ? v6 : v4)) return false;
    snprintf(out, WEFT_ADDRESS_BYTES_MAX, six ? "[%.*s]:0" : "%.*s:0", (int)n, at);
    return true;
}

size_t wf_http_request_write(const struct wf_http_address *to, char out[WF_HTTP_REQUEST_MAX])
{
    int n = snprintf(out, WF_HTTP_REQUEST_MAX,
                     "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\n"
                     "Upgrade: " WF_HTTP_PROTOCOL "\r\n\r\n",
                     to->path, to->host_port);
    return (size_t)n; /* it always fits: both are shorter than an address */
}
