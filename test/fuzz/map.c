/* SPDX-License-Identifier: Apache-2.0
 * map.c - operations of a map, resolved maps and policies as bytes. The first byte says
 * which. Each has one form: what is read and written again has the same bytes.
 * Called by: libfuzzer.c, replay.c. May touch: map.h, policy.h. Never: a store. */
#include "map.h"

#include <string.h>

#include "alloc.h"
#include "fuzz.h"
#include "policy.h"

enum { PAYLOAD, PAIR, MAP, POLICY, KINDS };

static void same(const weft_buf *buf, const void *data, size_t len)
{
    FUZZ_CHECK(weft_buf_len(buf) == len && memcmp(weft_buf_bytes(buf), data, len) == 0);
}

static void check_map(const wf_map *map)
{
    weft_buf *buf = NULL, *again = NULL;
    wf_map *read = NULL;
    FUZZ_CHECK(wf_map_encode(map, &buf) == WEFT_OK);
    FUZZ_CHECK(wf_map_decode(weft_buf_bytes(buf), weft_buf_len(buf), &read) == WEFT_OK);
    FUZZ_CHECK(wf_map_encode(read, &again) == WEFT_OK);
    same(again, weft_buf_bytes(buf), weft_buf_len(buf));
    for (uint32_t i = 0; i < wf_map_count(map); i++) {
        const wf_map_record *r = wf_map_at(map, i);
        wf_map_value value;
        FUZZ_CHECK(wf_map_find(map, &r->path) == r && wf_map_has(map, &r->path));
        FUZZ_CHECK((wf_map_get(map, &r->path, &value) == WEFT_OK) == wf_map_visible(map, i));
        if (i > 0) FUZZ_CHECK(wf_map_path_compare(&wf_map_at(map, i - 1)->path, &r->path) < 0);
    }
    wf_map_destroy(read);
    weft_buf_unref(buf);
    weft_buf_unref(again);
}

static void check_policy(const wf_policy *policy)
{
    weft_buf *buf = NULL, *again = NULL;
    wf_policy *read = NULL;
    FUZZ_CHECK(wf_policy_encode(policy, &buf) == WEFT_OK);
    FUZZ_CHECK(wf_policy_decode(weft_buf_bytes(buf), weft_buf_len(buf), &read) == WEFT_OK);
    FUZZ_CHECK(wf_policy_encode(read, &again) == WEFT_OK);
    same(again, weft_buf_bytes(buf), weft_buf_len(buf));
    wf_policy_destroy(read);
    weft_buf_unref(buf);
    weft_buf_unref(again);
}

/* -- Payloads ---------------------------------------------------------------------------- */

struct ops {
    uint32_t count;
    wf_map_op list[64]; /* of longer ones the bytes are not compared */
};

static weft_err keep(void *arg, const wf_map_op *op)
{
    struct ops *ops = arg;
    if (ops->count < sizeof ops->list / sizeof ops->list[0]) ops->list[ops->count] = *op;
    ops->count++;
    return WEFT_OK;
}

static bool payload(const uint8_t *data, size_t len, uint64_t gen, wf_map **out)
{
    static struct ops ops;
    wf_stamp at = {.gen = gen};
    wf_policy *empty = NULL, *policy = NULL;
    ops.count = 0;
    at.id.bytes[0] = (uint8_t)gen;
    weft_err err = wf_map_ops_each(data, len, keep, &ops);
    FUZZ_CHECK(wf_map_ops_each(data, len, NULL, NULL) == err);
    FUZZ_CHECK((wf_map_create(data, len, &at, out) == WEFT_OK) == (err == WEFT_OK));
    if (err != WEFT_OK) return false;
    if (ops.count <= sizeof ops.list / sizeof ops.list[0]) {
        size_t written = 0;
        uint8_t *bytes = wf_malloc(len);
        FUZZ_CHECK(bytes != NULL);
        FUZZ_CHECK(wf_map_ops_encode(ops.list, ops.count, bytes, len, &written) == WEFT_OK);
        FUZZ_CHECK(written == len && memcmp(bytes, data, len) == 0);
        wf_free(bytes);
    }
    check_map(*out);
    FUZZ_CHECK(wf_policy_create_empty(&empty) == WEFT_OK);
    err = wf_policy_apply(empty, data, len, gen, &at.id, &policy);
    FUZZ_CHECK(err == WEFT_OK || err == WEFT_BAD_ENTRY);
    if (err == WEFT_OK) check_policy(policy);
    wf_policy_destroy(empty);
    wf_policy_destroy(policy);
    return true;
}

/* Two entries, whose order must not matter. */
static bool pair(const uint8_t *data, size_t len)
{
    wf_map *a = NULL, *b = NULL, *ab = NULL, *ba = NULL;
    weft_buf *first = NULL, *second = NULL;
    if (len < 2) return false;
    size_t half = (size_t)data[0] << 8 | data[1];
    if (half > len - 2) half = len - 2;
    bool good = payload(data + 2, half, 5, &a) && payload(data + 2 + half, len - 2 - half, 6, &b);
    if (good) {
        FUZZ_CHECK(wf_map_join(a, b, &ab) == WEFT_OK && wf_map_join(b, a, &ba) == WEFT_OK);
        FUZZ_CHECK(wf_map_encode(ab, &first) == WEFT_OK && wf_map_encode(ba, &second) == WEFT_OK);
        same(first, weft_buf_bytes(second), weft_buf_len(second));
        check_map(ab);
    }
    wf_map_destroy(a);
    wf_map_destroy(b);
    wf_map_destroy(ab);
    wf_map_destroy(ba);
    weft_buf_unref(first);
    weft_buf_unref(second);
    return good;
}

bool fuzz_map(const uint8_t *data, size_t len)
{
    wf_map *map = NULL;
    wf_policy *policy = NULL;
    weft_buf *buf = NULL;
    bool good = false;
    if (len < 1) return false;
    const uint8_t *at = data + 1;
    switch (data[0] % KINDS) {
    case PAYLOAD: good = payload(at, len - 1, 5, &map); break;
    case PAIR: good = pair(at, len - 1); break;
    case MAP:
        if (wf_map_decode(at, len - 1, &map) != WEFT_OK) break;
        check_map(map);
        FUZZ_CHECK(wf_map_encode(map, &buf) == WEFT_OK);
        same(buf, at, len - 1);
        good = true;
        break;
    case POLICY:
        if (wf_policy_decode(at, len - 1, &policy) != WEFT_OK) break;
        check_policy(policy);
        FUZZ_CHECK(wf_policy_encode(policy, &buf) == WEFT_OK);
        same(buf, at, len - 1);
        good = true;
        break;
    }
    wf_map_destroy(map);
    wf_policy_destroy(policy);
    weft_buf_unref(buf);
    return good;
}
