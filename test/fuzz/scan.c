/* SPDX-License-Identifier: Apache-2.0
 * scan.c - one msgpack value, before anybody knows what it is to mean. What weft's bounded pass
 * lets through, another reader, msgpack-c, reads as the same values; and weft calls canonical
 * just what msgpack-c's writer would have written.
 * Called by: libfuzzer.c, replay.c. May touch: cursor.h. Never: gives msgpack-c what was not
 * scanned: it believes a declared length. */
#include <msgpack.h>
#include <string.h>

#include "cursor.h"
#include "fuzz.h"

#define DEPTH 8u

/* What the two may see in different ways, and did. */
struct notes {
    bool refused;  /* the cursor takes less than the scan: float32, text that is not UTF-8 */
    bool positive; /* a number of zero or more in a signed form, which may be as short */
};

static void walk(wf_cursor *c, const msgpack_object *o, struct notes *n);

static void walk_number(wf_cursor *c, const msgpack_object *o, struct notes *n)
{
    if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && wf_cursor_peek(c) == WF_T_UINT) {
        FUZZ_CHECK(wf_cursor_uint(c, UINT64_MAX) == o->via.u64);
        return;
    }
    FUZZ_CHECK(wf_cursor_peek(c) == WF_T_INT);
    int64_t value = wf_cursor_int(c);
    FUZZ_CHECK(value == o->via.i64);
    if (value >= 0) n->positive = true;
}

static void walk_bytes(wf_cursor *c, const msgpack_object *o, struct notes *n)
{
    size_t len = 0;
    if (o->type == MSGPACK_OBJECT_BIN) {
        const uint8_t *bin = wf_cursor_bin(c, 0, SIZE_MAX, &len);
        FUZZ_CHECK(bin != NULL && len == o->via.bin.size);
        FUZZ_CHECK(len == 0 || memcmp(bin, o->via.bin.ptr, len) == 0);
        return;
    }
    const char *text = wf_cursor_str(c, 0, SIZE_MAX, &len);
    if (text == NULL) n->refused = true;
    else FUZZ_CHECK(len == o->via.str.size && (len == 0 || memcmp(text, o->via.str.ptr, len) == 0));
}

static void walk_float(wf_cursor *c, const msgpack_object *o, struct notes *n)
{
    double value = wf_cursor_float(c);
    if (o->type == MSGPACK_OBJECT_FLOAT32) n->refused = true;
    else FUZZ_CHECK(memcmp(&value, &o->via.f64, sizeof value) == 0);
}

static void walk(wf_cursor *c, const msgpack_object *o, struct notes *n)
{
    if (n->refused) return;
    switch (o->type) {
    case MSGPACK_OBJECT_NIL: FUZZ_CHECK(wf_cursor_nil(c)); break;
    case MSGPACK_OBJECT_BOOLEAN:
        FUZZ_CHECK(wf_cursor_peek(c) == WF_T_BOOL && wf_cursor_bool(c) == o->via.boolean);
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: walk_number(c, o, n); break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: walk_float(c, o, n); break;
    case MSGPACK_OBJECT_STR:
    case MSGPACK_OBJECT_BIN: walk_bytes(c, o, n); break;
    case MSGPACK_OBJECT_ARRAY:
        FUZZ_CHECK(wf_cursor_array(c, UINT32_MAX) == o->via.array.size && c->err == WEFT_OK);
        for (uint32_t i = 0; i < o->via.array.size; i++) walk(c, &o->via.array.ptr[i], n);
        break;
    case MSGPACK_OBJECT_MAP:
    case MSGPACK_OBJECT_EXT: fuzz_fail("neither is in weft's subset", __FILE__, __LINE__);
    }
}

static void check_strict(const uint8_t *data, size_t len, const msgpack_object *o,
                         const struct notes *n)
{
    wf_cursor c = wf_cursor_open(data, len, true);
    msgpack_sbuffer out;
    msgpack_packer pk;
    wf_cursor_skip(&c);
    if (n->refused || n->positive) return;
    msgpack_sbuffer_init(&out);
    msgpack_packer_init(&pk, &out, msgpack_sbuffer_write);
    FUZZ_CHECK(msgpack_pack_object(&pk, *o) == 0);
    bool same = out.size == len && memcmp(out.data, data, len) == 0;
    FUZZ_CHECK(wf_cursor_done(&c) == (same ? WEFT_OK : WEFT_NOT_CANONICAL) ||
               (!same && c.err == WEFT_SYNTAX));
    msgpack_sbuffer_destroy(&out);
}

bool fuzz_scan(const uint8_t *data, size_t len)
{
    struct notes n = {false, false};
    msgpack_unpacked other;
    size_t used = 0;
    if (wf_scan(data, len, DEPTH, 2 * len) != WEFT_OK) return false;
    msgpack_unpacked_init(&other);
    msgpack_unpack_return got = msgpack_unpack_next(&other, (const char *)data, len, &used);
    FUZZ_CHECK(got == MSGPACK_UNPACK_SUCCESS && used == len);
    wf_cursor c = wf_cursor_open(data, len, false);
    walk(&c, &other.data, &n);
    if (!n.refused) FUZZ_CHECK(wf_cursor_done(&c) == WEFT_OK);
    wf_cursor skip = wf_cursor_open(data, len, false);
    wf_cursor_skip(&skip);
    if (!n.refused) FUZZ_CHECK(wf_cursor_done(&skip) == WEFT_OK);
    check_strict(data, len, &other.data, &n);
    msgpack_unpacked_destroy(&other);
    return true;
}
