/* SPDX-License-Identifier: Apache-2.0
 * join_clock.c - the clock by which requests to join grow old (join_clock.h).
 * Called by: join_desk.c, join_records.c. May touch: its arguments.
 * Never: messages, a clock of its own, disk. */
#include "join_clock.h"

#include <weft/limits.h>

#include "cursor.h"
#include "log.h"
#include "pack.h"

enum { HASTE = 10, RECORD_VERSION = 1, RECORD_FIELDS = 3 };

void wf_join_clock_set(struct wf_join_clock *clock, int64_t wall_ms, weft_ns now)
{
    *clock = (struct wf_join_clock){wall_ms > 0 ? wall_ms : 0, now};
}

void wf_join_clock_resume(struct wf_join_clock *clock, const struct wf_join_saved *saved,
                          int64_t wall_ms, weft_ns now)
{
    if (saved->ms < 0) {
        wf_join_clock_set(clock, wall_ms, now);
        return;
    }
    int64_t down = wall_ms > saved->wall_ms ? wall_ms - saved->wall_ms : 0;
    if (down > WEFT_JOIN_DOWN_MAX_MS) down = WEFT_JOIN_DOWN_MAX_MS;
    wf_join_clock_set(clock, saved->ms + down, now);
}

int64_t wf_join_clock_ms(struct wf_join_clock *clock, int64_t wall_ms, weft_ns now)
{
    int64_t passed = (int64_t)((now - clock->at) / WEFT_MS), most = passed / HASTE;
    int64_t ms = clock->ms + passed;
    if (wall_ms > ms + most) ms += most;
    else if (wall_ms < ms - most) ms -= most;
    else ms = wall_ms;
    if (most > 0) { /* else the next look would have nothing to take from */
        clock->ms = ms;
        clock->at += (weft_ns)passed * WEFT_MS;
    }
    return ms;
}

/* -- Its record ------------------------------------------------------------------------- */

size_t wf_join_saved_encode(const struct wf_join_saved *saved,
                            uint8_t out[WF_JOIN_CLOCK_RECORD_MAX])
{
    struct wf_pack pack = {out, out + WF_JOIN_CLOCK_RECORD_MAX, false};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &pack, wf_pack_write);
    msgpack_pack_array(&pk, RECORD_FIELDS);
    msgpack_pack_uint64(&pk, RECORD_VERSION);
    msgpack_pack_int64(&pk, saved->ms);
    msgpack_pack_int64(&pk, saved->wall_ms);
    WF_ASSERT(!pack.overflow);
    return (size_t)(pack.at - out);
}

weft_err wf_join_saved_decode(const uint8_t *bytes, size_t len, struct wf_join_saved *out)
{
    if (wf_scan(bytes, len, 1, RECORD_FIELDS + 1) != WEFT_OK) return WEFT_CORRUPT;
    wf_cursor c = wf_cursor_open(bytes, len, false);
    if (wf_cursor_array(&c, RECORD_FIELDS) != RECORD_FIELDS ||
        wf_cursor_uint(&c, RECORD_VERSION) != RECORD_VERSION)
        return WEFT_CORRUPT;
    struct wf_join_saved got;
    got.ms = wf_cursor_int(&c);
    got.wall_ms = wf_cursor_int(&c);
    if (wf_cursor_done(&c) != WEFT_OK || got.ms < 0 || got.wall_ms < 0 || got.ms > INT64_MAX / 2)
        return WEFT_CORRUPT;
    *out = got;
    return WEFT_OK;
}
