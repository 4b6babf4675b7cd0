/* SPDX-License-Identifier: Apache-2.0
 * http.c - the texts of HTTP that weft reads by hand: the answer to a dial, addresses, forwarded
 * addresses, lists of tokens. The first byte says which.
 * Called by: libfuzzer.c, replay.c. May touch: http_text.h. Never: sockets, the HTTP library. */
#include "http_text.h"

#include <string.h>

#include "fuzz.h"
#include "net.h"

enum { REPLY, ADDRESS, FORWARDED, TOKENS, KINDS };

/* What has come in pieces is read as what came at once. */
static bool reply(const uint8_t *data, size_t len)
{
    size_t used = 0, piece_used = 0, step, have;
    unsigned status = 0, piece_status = 0;
    weft_err whole, part = WEFT_AGAIN;
    if (len < 1) return false;
    data++;
    len--;
    step = (size_t)data[-1] % 64 + 1 + len / 64; /* each time it is read from the beginning */
    whole = wf_http_reply_read(data, len, &used, &status);
    for (have = 0; have < len && part == WEFT_AGAIN;) {
        have = len - have < step ? len : have + step;
        part = wf_http_reply_read(data, have, &piece_used, &piece_status);
    }
    FUZZ_CHECK(len == 0 || part == whole);
    FUZZ_CHECK(used == piece_used && status == piece_status && used <= len);
    FUZZ_CHECK(whole == WEFT_OK || whole == WEFT_AGAIN || whole == WEFT_UNREACHABLE ||
               whole == WEFT_PROTOCOL || whole == WEFT_LIMIT);
    if (whole == WEFT_UNREACHABLE) FUZZ_CHECK(status >= 200 && status <= 999);
    return whole == WEFT_OK || whole == WEFT_UNREACHABLE;
}

static bool address(const char *text)
{
    struct wf_http_address a, b;
    char back[WEFT_ADDRESS_BYTES_MAX], request[WF_HTTP_REQUEST_MAX];
    if (wf_http_address_read(text, &a) != WEFT_OK) return false;
    FUZZ_CHECK(a.path[0] == '/' && strchr(a.host_port, '/') == NULL);
    size_t written = wf_http_request_write(&a, request);
    FUZZ_CHECK(written < sizeof request && strlen(request) == written);
    if (a.host_port[0] == '\0') return false; /* TCP's grammar refuses it */
    FUZZ_CHECK(wf_http_address_write(a.host_port, a.path, back) == WEFT_OK);
    FUZZ_CHECK(wf_http_address_read(back, &b) == WEFT_OK);
    FUZZ_CHECK(strcmp(a.host_port, b.host_port) == 0 && strcmp(a.path, b.path) == 0);
    return true;
}

/* Who stands there becomes the address of a peer: it has its form, and the port 0. */
static bool forwarded(const char *list, size_t len)
{
    char out[WEFT_ADDRESS_BYTES_MAX];
    if (!wf_http_forwarded(list, len, out)) return false;
    size_t n = strlen(out);
    FUZZ_CHECK(n > 2 && n < 80 && strcmp(out + n - 2, ":0") == 0);
    FUZZ_CHECK(strspn(out, "0123456789abcdefABCDEF:.[]") == n);
    FUZZ_CHECK((out[0] == '[') == (strchr(out, ':') != out + n - 2));
    return true;
}

bool fuzz_http(const uint8_t *data, size_t len)
{
    char text[WEFT_ADDRESS_BYTES_MAX + 64];
    if (len < 1) return false;
    const char *at = (const char *)data + 1;
    len--;
    switch (data[0] % KINDS) {
    case REPLY: return reply(data + 1, len);
    case ADDRESS:
        if (len >= sizeof text) return false;
        memcpy(text, at, len);
        text[len] = '\0';
        return address(text);
    case FORWARDED: return forwarded(at, len);
    default: return wf_http_has_token(at, len, "upgrade");
    }
}
