/* SPDX-License-Identifier: Apache-2.0
 * settings.c - grants as text, and the operations of `_settings` that carry them.
 * Called by: entry_build.c (roots), policy.c (rules), weft.c (changes). May touch: its arguments.
 * Never: decides who may change what: that is policy.c. */
#include "settings.h"

#include <stdio.h>
#include <string.h>

#include "ids.h"

static const char auth[] = "auth", grant_name[] = "grant", name_name[] = "name";

static const struct {
    const char *text;
    weft_right right;
    bool has_priority;
} words[] = {
    {"none", WEFT_RIGHT_NONE, false},
    {"read", WEFT_RIGHT_READ, false},
    {"write:", WEFT_RIGHT_WRITE, true},
    {"admin:", WEFT_RIGHT_ADMIN, true},
};
enum { WORDS = sizeof words / sizeof words[0] };

int wf_grant_compare(const wf_grant *a, const wf_grant *b)
{
    if (a->right != b->right) return a->right > b->right ? 1 : -1;
    if (a->right < WEFT_RIGHT_WRITE) return 0;
    return (a->priority < b->priority) - (a->priority > b->priority);
}

size_t wf_grant_write(const wf_grant *grant, char out[WF_GRANT_TEXT_BYTES])
{
    const char *word = words[0].text;
    bool number = false;
    for (size_t i = 0; i < WORDS; i++) {
        if (words[i].right == grant->right) word = words[i].text, number = words[i].has_priority;
    }
    size_t len = strlen(word);
    memcpy(out, word, len);
    if (!number) return len;

    char digits[10];
    size_t n = 0;
    uint32_t p = grant->priority;
    do digits[n++] = (char)('0' + p % 10);
    while ((p /= 10) > 0);
    while (n > 0) out[len++] = digits[--n];
    return len;
}

static weft_err read_priority(const char *text, size_t len, uint32_t *out)
{
    uint64_t p = 0;
    if (len == 0 || len > 10 || (text[0] == '0' && len > 1)) return WEFT_SYNTAX;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') return WEFT_SYNTAX;
        p = p * 10 + (uint64_t)(text[i] - '0');
    }
    if (p > UINT32_MAX) return WEFT_SYNTAX;
    *out = (uint32_t)p;
    return WEFT_OK;
}

weft_err wf_grant_read(const char *text, size_t len, wf_grant *out)
{
    for (size_t i = 0; i < WORDS; i++) {
        size_t word_len = strlen(words[i].text);
        if (len < word_len || memcmp(text, words[i].text, word_len) != 0) continue;
        wf_grant grant = {words[i].right, 0};
        if (words[i].has_priority) {
            weft_err err = read_priority(text + word_len, len - word_len, &grant.priority);
            if (err != WEFT_OK) return err;
        } else if (len != word_len) {
            return WEFT_SYNTAX;
        }
        *out = grant;
        return WEFT_OK;
    }
    return WEFT_SYNTAX;
}

static bool part_is(const wf_map_path *path, uint32_t i, const char *text)
{
    size_t len = strlen(text);
    return path->part[i].len == len && memcmp(path->part[i].text, text, len) == 0;
}

weft_err wf_settings_read(const wf_map_op *op, wf_settings_op *out)
{
    wf_settings_op found = {.kind = WF_SETTINGS_OTHER, .set = op->set};
    const wf_map_path *path = &op->path;
    if (!part_is(path, 0, auth)) {
        *out = found;
        return WEFT_OK;
    }
    /* Nothing above or below a grant may be written, so that no operation hides
     * another one's grant and each grant stands in one record. */
    if (path->depth != 3) return WEFT_BAD_ENTRY;
    found.everyone = part_is(path, 1, "*");
    if (!found.everyone && (path->part[1].len != 2 * WEFT_KEY_BYTES ||
                            wf_hex_read(path->part[1].text, WEFT_KEY_BYTES, found.key.bytes))) {
        return WEFT_BAD_ENTRY;
    }
    if (part_is(path, 2, grant_name)) found.kind = WF_SETTINGS_GRANT;
    else if (part_is(path, 2, name_name) && !found.everyone) found.kind = WF_SETTINGS_NAME_OF_KEY;
    else return WEFT_BAD_ENTRY;

    if (op->set && op->value.type != WEFT_MAP_STR) return WEFT_BAD_ENTRY;
    if (op->set && found.kind == WF_SETTINGS_GRANT) {
        weft_err err = wf_grant_read(op->value.as.bytes.data, op->value.as.bytes.len, &found.grant);
        if (err != WEFT_OK) return WEFT_BAD_ENTRY;
        if (found.everyone && found.grant.right == WEFT_RIGHT_ADMIN) return WEFT_BAD_ENTRY;
    }
    *out = found;
    return WEFT_OK;
}

void wf_settings_grant(const weft_key *key, const wf_grant *grant, struct wf_settings_text *text,
                       wf_map_op *out)
{
    size_t key_len = 1;
    text->key[0] = '*';
    if (key != NULL) {
        key_len = sizeof text->key;
        wf_hex_write(key->bytes, WEFT_KEY_BYTES, text->key);
    }
    size_t grant_len = wf_grant_write(grant, text->grant);
    *out = (wf_map_op){
        .path = {.depth = 3,
                 .part = {{auth, sizeof auth - 1},
                          {text->key, (uint32_t)key_len},
                          {grant_name, sizeof grant_name - 1}}},
        .set = true,
        .value = {.type = WEFT_MAP_STR, .as.bytes = {text->grant, grant_len}},
    };
}

void wf_settings_name_path(const weft_key *key, struct wf_settings_text *text, wf_map_path *out)
{
    wf_hex_write(key->bytes, WEFT_KEY_BYTES, text->key);
    *out = (wf_map_path){.depth = 3,
                         .part = {{auth, sizeof auth - 1},
                                  {text->key, sizeof text->key},
                                  {name_name, sizeof name_name - 1}}};
}

weft_err wf_settings_root(const weft_key *author, const wf_grant *everyone,
                          uint8_t out[WF_SETTINGS_ROOT_BYTES], size_t *len)
{
    static const wf_grant owner = {WEFT_RIGHT_ADMIN, 0};
    struct wf_settings_text text[2];
    wf_map_op ops[2];
    uint32_t count = 0;

    if (everyone->right > WEFT_RIGHT_WRITE) return WEFT_INVALID;
    if (everyone->right != WEFT_RIGHT_NONE) { /* "*" sorts before every digit */
        wf_settings_grant(NULL, everyone, &text[count], &ops[count]);
        count++;
    }
    wf_settings_grant(author, &owner, &text[count], &ops[count]);
    count++;
    return wf_map_ops_encode(ops, count, out, WF_SETTINGS_ROOT_BYTES, len);
}
