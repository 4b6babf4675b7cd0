/* SPDX-License-Identifier: Apache-2.0
 * addr.c - what people and peers write as addresses, and other short texts: grants,
 * hexadecimal bytes, ids, keys.
 * The first byte says which.
 * Called by: libfuzzer.c, replay.c. May touch: net.h's pure calls. Never: a name server. */
#include <string.h>

#include "fuzz.h"
#include "ids.h"
#include "net.h"
#include "settings.h"

enum { TCP, GRANT, HEX, ID, KEY, KINDS };
#define TEXT_MAX 512u

static wf_net *tcp(void)
{
    static wf_net *net;
    if (net == NULL) FUZZ_CHECK(wf_net_tcp_create(&net) == WEFT_OK);
    return net;
}

/* Names would be looked up; what stands in brackets is not, so it may be resolved, too. */
static bool on_tcp(const char *text)
{
    wf_net *net = tcp();
    wf_endpoint ends[4];
    size_t count = 0;
    if (net->ops->check(net, text) != WEFT_OK) return false;
    const char *colon = strrchr(text, ':');
    FUZZ_CHECK(colon != NULL && colon != text && strlen(colon + 1) <= 5);
    FUZZ_CHECK(strspn(colon + 1, "0123456789") == strlen(colon + 1));
    if (text[0] != '[') return true;
    weft_err err = net->ops->resolve(net, text, ends, 4, &count);
    FUZZ_CHECK(err == WEFT_OK || err == WEFT_ADDRESS || err == WEFT_UNREACHABLE);
    if (err == WEFT_OK) FUZZ_CHECK(count >= 1 && count <= 4 && ends[0].len <= sizeof ends[0].bytes);
    return true;
}

static bool on_grant(const char *text, size_t len)
{
    wf_grant grant, again;
    char back[WF_GRANT_TEXT_BYTES];
    if (wf_grant_read(text, len, &grant) != WEFT_OK) return false;
    size_t written = wf_grant_write(&grant, back);
    FUZZ_CHECK(written == len && memcmp(text, back, len) == 0);
    FUZZ_CHECK(wf_grant_read(back, written, &again) == WEFT_OK);
    FUZZ_CHECK(wf_grant_compare(&grant, &again) == 0);
    return true;
}

static bool on_hex(const char *text, size_t len)
{
    uint8_t bytes[TEXT_MAX / 2];
    char back[TEXT_MAX + 1];
    if (wf_hex_read(text, len / 2, bytes) != WEFT_OK) return false;
    wf_hex_write(bytes, len / 2, back);
    FUZZ_CHECK(memcmp(text, back, len / 2 * 2) == 0);
    return true;
}

static bool on_id(const char *text)
{
    weft_id id;
    char back[WEFT_ID_TEXT_BYTES];
    if (weft_id_parse(text, &id) != WEFT_OK) return false;
    weft_id_text(&id, back);
    FUZZ_CHECK(strcmp(text, back) == 0); /* a text has one form */
    return true;
}

static bool on_key(const char *text)
{
    weft_key key;
    char back[WEFT_KEY_TEXT_BYTES];
    if (weft_key_parse(text, &key) != WEFT_OK) return false;
    weft_key_text(&key, back);
    FUZZ_CHECK(strcmp(text, back) == 0);
    return true;
}

bool fuzz_addr(const uint8_t *data, size_t len)
{
    char text[TEXT_MAX + 1];
    if (len < 1 || len - 1 > TEXT_MAX) return false;
    memcpy(text, data + 1, len - 1);
    text[len - 1] = '\0';
    switch (data[0] % KINDS) {
    case TCP: return on_tcp(text);
    case GRANT: return on_grant(text, len - 1);
    case HEX: return on_hex(text, len - 1);
    case ID: return on_id(text);
    default: return on_key(text);
    }
}
