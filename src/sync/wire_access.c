/* SPDX-License-Identifier: Apache-2.0
 * wire_access.c - the frames by which keys are proven and trees joined, and what their
 * signatures say (docs/wire.md, "Keys and joining").
 * Called by: engine, access. May touch: a frame's bytes.
 * Never: signs or verifies; allocates on reading; leaves a field or a bound unchecked. */
#include <string.h>

#include "crypto.h"
#include "log.h"
#include "wire_field.h"

enum { RIGHT_MAX = WEFT_RIGHT_ADMIN, STATE_MAX = 3, REQUEST_BYTES = 16 };

/* -- Text ------------------------------------------------------------------------------- */

static void out_str(struct wf_frame_out *f, const char *text, size_t len)
{
    if (f->buf != NULL) wf_pack_str(&f->pk, text, len);
}

/* `room` counts the NUL that is written behind it; none may be inside. */
static void read_str(wf_cursor *c, size_t min, char *out, size_t room)
{
    size_t len = 0;
    const char *text = wf_cursor_str(c, min, room - 1, &len);
    if (c->err != WEFT_OK) return;
    if (len > 0 && memchr(text, 0, len) != NULL) {
        wf_frame_refuse(c);
        return;
    }
    if (len > 0) memcpy(out, text, len);
    out[len] = '\0';
}

/* -- PROVE ------------------------------------------------------------------------------ */

weft_buf *wf_prove_encode(const struct wf_prove *prove)
{
    struct wf_frame_out f;
    wf_frame_out_begin(&f, 34 + 2 + WEFT_SIGNATURE_BYTES, 4, WF_F_PROVE, prove->stream);
    wf_frame_out_bin(&f, prove->key.bytes, sizeof prove->key.bytes);
    wf_frame_out_bin(&f, prove->sig, sizeof prove->sig);
    return wf_frame_out_end(&f);
}

weft_err wf_prove_decode(const uint8_t *bytes, size_t len, struct wf_prove *out)
{
    struct wf_prove p;
    memset(&p, 0, sizeof p);
    wf_cursor c = wf_frame_read(bytes, len, 4, WF_F_PROVE, &p.stream);
    wf_frame_read_fixed(&c, p.key.bytes, sizeof p.key.bytes);
    wf_frame_read_fixed(&c, p.sig, sizeof p.sig);
    weft_err err = wf_frame_read_end(&c);
    if (err == WEFT_OK) *out = p;
    return err;
}

/* -- JOIN ------------------------------------------------------------------------------- */

weft_buf *wf_join_encode(const struct wf_join_ask *join)
{
    struct wf_frame_out f;
    size_t name_len = strnlen(join->name, sizeof join->name);
    WF_ASSERT(name_len > 0 && name_len <= WEFT_KEY_NAME_BYTES_MAX);
    WF_ASSERT(join->meta_len <= WEFT_JOIN_META_BYTES_MAX && join->right <= RIGHT_MAX);
    wf_frame_out_begin(&f,
                       2 * 34 + 2 * WF_FIELD_UINT_BYTES + 2 * WF_FIELD_HEAD_BYTES + name_len + 2 +
                           REQUEST_BYTES + join->meta_len + 2 + WEFT_SIGNATURE_BYTES,
                       10, WF_F_JOIN, join->stream);
    wf_frame_out_bin(&f, join->tree.bytes, sizeof join->tree.bytes);
    wf_frame_out_bin(&f, join->key.bytes, sizeof join->key.bytes);
    out_str(&f, join->name, name_len);
    wf_frame_out_uint(&f, join->right);
    wf_frame_out_uint(&f, join->priority);
    if (join->has_id) wf_frame_out_bin(&f, join->id, sizeof join->id);
    else if (f.buf != NULL) msgpack_pack_nil(&f.pk);
    wf_frame_out_bin(&f, join->meta, join->meta_len);
    wf_frame_out_bin(&f, join->sig, sizeof join->sig);
    return wf_frame_out_end(&f);
}

weft_err wf_join_decode(const uint8_t *bytes, size_t len, struct wf_join_ask *out)
{
    struct wf_join_ask j;
    size_t meta_len = 0;
    memset(&j, 0, sizeof j);
    wf_cursor c = wf_frame_read(bytes, len, 10, WF_F_JOIN, &j.stream);
    wf_frame_read_fixed(&c, j.tree.bytes, sizeof j.tree.bytes);
    wf_frame_read_fixed(&c, j.key.bytes, sizeof j.key.bytes);
    read_str(&c, 1, j.name, sizeof j.name);
    j.right = (uint32_t)wf_cursor_uint(&c, RIGHT_MAX);
    j.priority = (uint32_t)wf_cursor_uint(&c, UINT32_MAX);
    j.has_id = !wf_cursor_nil(&c);
    if (j.has_id) wf_frame_read_fixed(&c, j.id, sizeof j.id);
    j.meta = wf_cursor_bin(&c, 0, WEFT_JOIN_META_BYTES_MAX, &meta_len);
    j.meta_len = (uint32_t)meta_len;
    wf_frame_read_fixed(&c, j.sig, sizeof j.sig);
    weft_err err = wf_frame_read_end(&c);
    if (err == WEFT_OK) *out = j;
    return err;
}

/* -- JOINED ----------------------------------------------------------------------------- */

weft_buf *wf_joined_encode(const struct wf_joined *joined)
{
    struct wf_frame_out f;
    size_t len = strnlen(joined->text, sizeof joined->text - 1);
    WF_ASSERT(joined->state <= STATE_MAX && joined->right <= RIGHT_MAX);
    wf_frame_out_begin(&f, 4 * WF_FIELD_UINT_BYTES + 2 + REQUEST_BYTES + WF_FIELD_HEAD_BYTES + len,
                       8, WF_F_JOINED, joined->stream);
    wf_frame_out_uint(&f, joined->state);
    wf_frame_out_bin(&f, joined->id, sizeof joined->id);
    wf_frame_out_uint(&f, joined->right);
    wf_frame_out_uint(&f, joined->priority);
    wf_frame_out_uint(&f, joined->expires_ms);
    out_str(&f, joined->text, len);
    return wf_frame_out_end(&f);
}

weft_err wf_joined_decode(const uint8_t *bytes, size_t len, struct wf_joined *out)
{
    struct wf_joined j;
    memset(&j, 0, sizeof j);
    wf_cursor c = wf_frame_read(bytes, len, 8, WF_F_JOINED, &j.stream);
    j.state = (uint32_t)wf_cursor_uint(&c, STATE_MAX);
    wf_frame_read_fixed(&c, j.id, sizeof j.id);
    j.right = (uint32_t)wf_cursor_uint(&c, RIGHT_MAX);
    j.priority = (uint32_t)wf_cursor_uint(&c, UINT32_MAX);
    j.expires_ms = wf_cursor_uint(&c, INT64_MAX);
    read_str(&c, 0, j.text, sizeof j.text);
    weft_err err = wf_frame_read_end(&c);
    if (err == WEFT_OK) *out = j;
    return err;
}

/* -- What is signed --------------------------------------------------------------------- */

static uint8_t *put(uint8_t *at, const void *data, size_t len)
{
    memcpy(at, data, len);
    return at + len;
}

static uint8_t *put_u32(uint8_t *at, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++) at[i] = (uint8_t)(v >> (24 - 8 * i));
    return at + 4;
}

/* Both devices and the connection: nobody can pass it on to another, or send it back. */
static uint8_t *put_bound(uint8_t *at, uint8_t what, const uint8_t channel[64],
                          const weft_key *prover, const weft_key *other, uint32_t stream)
{
    *at++ = what;
    at = put(at, channel, 64);
    at = put(at, prover->bytes, sizeof prover->bytes);
    at = put(at, other->bytes, sizeof other->bytes);
    return put_u32(at, stream);
}

void wf_prove_text(const uint8_t channel[64], const weft_key *prover, const weft_key *other,
                   uint32_t stream, uint8_t out[WF_PROVE_TEXT_BYTES])
{
    const uint8_t *end = put_bound(out, 'P', channel, prover, other, stream);
    WF_ASSERT(end == out + WF_PROVE_TEXT_BYTES);
}

void wf_join_text(const uint8_t channel[64], const weft_key *prover, const weft_key *other,
                  const struct wf_join_ask *join, uint8_t out[WF_JOIN_TEXT_MAX], size_t *len)
{
    static const uint8_t no_id[REQUEST_BYTES];
    uint8_t digest[32];
    size_t name_len = strnlen(join->name, sizeof join->name - 1);
    wf_blake2b_256(join->meta, join->meta_len, digest);
    uint8_t *at = put_bound(out, 'J', channel, prover, other, join->stream);
    at = put(at, join->tree.bytes, sizeof join->tree.bytes);
    *at++ = (uint8_t)join->right;
    at = put_u32(at, join->priority);
    *at++ = (uint8_t)name_len;
    at = put(at, join->name, name_len);
    at = put(at, join->has_id ? join->id : no_id, REQUEST_BYTES);
    at = put(at, digest, sizeof digest);
    *len = (size_t)(at - out);
}
