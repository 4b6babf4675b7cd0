/* SPDX-License-Identifier: Apache-2.0
 * http_reply.c - the answer to a dial: one head, bounded and strict (RFC 9112).
 * Called by: net_http.c. May touch: the bytes given.
 * Never: memory of its own; what it does not know it refuses. */
#include <string.h>

#include "http_text.h"

struct head {
    bool upgrades, to_us, has_body;
};

static bool token_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is(const char *name, size_t len, const char *want)
{
    return len == strlen(want) && strncasecmp(name, want, len) == 0;
}

/* One line of the head without its end. */
static bool field(const char *line, size_t len, struct head *h)
{
    size_t name = 0;
    while (name < len && token_char((uint8_t)line[name])) name++;
    if (name == 0 || name == len || line[name] != ':') return false; /* folded ones too */
    const char *value = line + name + 1;
    size_t rest = len - name - 1;
    for (size_t i = 0; i < rest; i++)
        if (((uint8_t)value[i] < ' ' && value[i] != '\t') || value[i] == 0x7f) return false;
    if (is(line, name, "Connection")) h->upgrades |= wf_http_has_token(value, rest, "upgrade");
    if (is(line, name, "Upgrade")) h->to_us |= wf_http_has_token(value, rest, WF_HTTP_PROTOCOL);
    h->has_body |= is(line, name, "Content-Length") || is(line, name, "Transfer-Encoding");
    return true;
}

static bool status_line(const char *line, size_t len, unsigned *out)
{
    static const char version[] = "HTTP/1.1 ";
    size_t at = sizeof version - 1;
    unsigned status = 0;
    if (len < at + 3 || memcmp(line, version, at) != 0) return false;
    for (size_t i = 0; i < 3; i++) {
        char c = line[at + i];
        if (c < '0' || c > '9') return false;
        status = status * 10 + (unsigned)(c - '0');
    }
    if (status < 100 || (len > at + 3 && line[at + 3] != ' ')) return false;
    *out = status;
    return true;
}

/* From the first line to the empty one; `len` with the ends of both. */
static weft_err head_read(const char *at, size_t len, unsigned *status)
{
    struct head h = {false, false, false};
    const char *end = at + len;
    for (unsigned line = 0; at < end; line++) {
        const char *stop = memmem(at, (size_t)(end - at), "\r\n", 2);
        size_t n = (size_t)(stop - at);
        if (n == 0) break;
        if (memchr(at, '\r', n) != NULL || memchr(at, '\n', n) != NULL) return WEFT_PROTOCOL;
        bool good = line == 0 ? status_line(at, n, status) : field(at, n, &h);
        if (!good) return WEFT_PROTOCOL;
        at = stop + 2;
    }
    if (*status != 101) return *status < 200 ? WEFT_AGAIN : WEFT_UNREACHABLE;
    return h.upgrades && h.to_us && !h.has_body ? WEFT_OK : WEFT_PROTOCOL;
}

/* Could what is here still become an answer? */
static bool begins_well(const uint8_t *data, size_t len)
{
    static const char version[] = "HTTP/1.1 ";
    size_t n = len < sizeof version - 1 ? len : sizeof version - 1;
    return memcmp(data, version, n) == 0;
}

weft_err wf_http_reply_read(const uint8_t *data, size_t len, size_t *used, unsigned *status)
{
    const char *at = (const char *)data, *end = at + len;
    size_t most = len < WEFT_HTTP_HEAD_BYTES_MAX ? len : WEFT_HTTP_HEAD_BYTES_MAX;
    for (;;) {
        size_t left = (size_t)((const char *)data + most - at);
        const char *stop = memmem(at, left, "\r\n\r\n", 4);
        unsigned said = 0;
        if (!begins_well((const uint8_t *)at, (size_t)(end - at))) return WEFT_PROTOCOL;
        if (stop == NULL) return most < WEFT_HTTP_HEAD_BYTES_MAX ? WEFT_AGAIN : WEFT_LIMIT;
        weft_err err = head_read(at, (size_t)(stop - at) + 4, &said);
        at = stop + 4;
        if (err == WEFT_AGAIN) continue; /* 1xx: the answer is behind it */
        if (err == WEFT_UNREACHABLE) *status = said;
        if (err == WEFT_OK) *used = (size_t)(at - (const char *)data);
        return err;
    }
}
