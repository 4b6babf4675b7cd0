/* SPDX-License-Identifier: Apache-2.0
 * scan.c - a walk over one family that goes on behind what cannot be read.
 * Called by: check.c, salvage.c. May touch: the engine (reads).
 * Never: writes; says what a key means. */
#include "scan.h"

#include <string.h>

#define WIDTH_MAX 24u
#define SMALL_STEPS 128u /* more than the records of one block */

/* How a key is taken for a number to step over damage: its first `width` bytes, in steps
 * that begin at two to the power of `first`. */
struct stride {
    uint8_t width, first;
};
static const struct stride strides[WF_CF_COUNT] = {
    [WF_CF_ENTRY] = {16, 0},  /* t, seq */
    [WF_CF_META] = {8, 40},   /* id: of 2^24 ids, two neighbours differ by more */
    [WF_CF_GEN] = {24, 40},   /* t, gen, id */
    [WF_CF_ARR] = {16, 0},    /* t, seq */
    [WF_CF_CHILD] = {24, 0},  /* t, parent's seq, seq */
    [WF_CF_TIP] = {24, 80},   /* t, 0, id; or t, name, id */
    [WF_CF_PEER] = {24, 120}, /* kind, peer */
    [WF_CF_TREE] = {9, 0},    /* kind, t */
    [WF_CF_POLICY] = {9, 0},  /* kind, number or hash */
    [WF_CF_TRIE] = {24, 80},  /* t, depth, digits */
    [WF_CF_SKETCH] = {8, 0},  /* t */
    [WF_CF_SUB] = {24, 40},   /* t, name, gen, id */
    [WF_CF_DOM] = {16, 0},    /* t, page */
};

void wf_scan_init(struct wf_scan *scan, wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf,
                  bool disk_too)
{
    *scan = (struct wf_scan){.kv = kv, .snap = snap, .cf = cf, .disk_too = disk_too};
}

void wf_scan_fini(struct wf_scan *scan)
{
    wf_kv_iter_destroy(scan->it);
    scan->it = NULL;
}

/* An engine's iterator may be of no use after an error: each try has its own. */
static weft_err fresh(struct wf_scan *scan)
{
    wf_scan_fini(scan);
    return wf_kv_iter_create(scan->kv, scan->snap, scan->cf, NULL, 0, &scan->it);
}

static bool is_damage(const struct wf_scan *scan, weft_err err)
{
    return err == WEFT_CORRUPT || (scan->disk_too && err == WEFT_IO);
}

static weft_err give(struct wf_scan *scan)
{
    if (!wf_kv_iter_valid(scan->it)) {
        weft_err err = wf_kv_iter_err(scan->it);
        return err == WEFT_OK ? WEFT_END : err;
    }
    scan->key = wf_kv_iter_key(scan->it, &scan->key_len);
    scan->value = wf_kv_iter_value(scan->it, &scan->value_len);
    scan->last_len = scan->key_len < sizeof scan->last ? scan->key_len : sizeof scan->last;
    memcpy(scan->last, scan->key, scan->last_len);
    return WEFT_OK;
}

/* Adds two to the power of `bit`; false: there is no such number. */
static bool add(uint8_t *number, size_t width, unsigned bit)
{
    if (bit / 8 >= width) return false;
    size_t at = width - 1 - bit / 8;
    unsigned sum = number[at] + (1u << bit % 8);
    number[at] = (uint8_t)sum;
    while (sum > 0xff) {
        if (at-- == 0) return false;
        sum = number[at] + 1u;
        number[at] = (uint8_t)sum;
    }
    return true;
}

static weft_err seek(struct wf_scan *scan, const uint8_t *key, size_t len)
{
    weft_err err = fresh(scan);
    if (err != WEFT_OK) return err;
    wf_kv_iter_seek(scan->it, key, len);
    if (wf_kv_iter_valid(scan->it)) return WEFT_OK;
    err = wf_kv_iter_err(scan->it);
    return err == WEFT_OK ? WEFT_END : err;
}

/* The middle of two numbers; false: there is none between them. */
static bool middle(const uint8_t *low, const uint8_t *high, size_t width, uint8_t *out)
{
    unsigned carry = 0;
    for (size_t i = width; i-- > 0;) {
        carry += (unsigned)low[i] + high[i];
        out[i] = (uint8_t)carry;
        carry >>= 8;
    }
    for (size_t i = 0; i < width; i++) {
        unsigned half = carry << 8 | out[i];
        out[i] = (uint8_t)(half >> 1);
        carry = half & 1;
    }
    return memcmp(out, low, width) != 0;
}

/* `low` cannot be read, `high` can: to the first of all that can. Not by steps backwards: an
 * engine looks one record ahead of those. */
static weft_err close_in(struct wf_scan *scan, uint8_t *low, uint8_t *high, size_t width)
{
    uint8_t target[WIDTH_MAX];
    while (middle(low, high, width, target)) {
        weft_err err = seek(scan, target, width);
        if (err != WEFT_OK && !is_damage(scan, err)) return err;
        memcpy(err == WEFT_OK ? high : low, target, width);
    }
    weft_err err = seek(scan, high, width);
    return err == WEFT_OK ? give(scan) : err;
}

/* Small steps find even a single record between two gaps. Then they double, until one leads
 * to something that can be read; one that leads past the end begins anew, with small steps,
 * from the last one that did not. */
static weft_err step_over(struct wf_scan *scan)
{
    struct stride stride = strides[scan->cf];
    uint8_t low[WIDTH_MAX] = {0}, high[WIDTH_MAX];
    unsigned small = 0, bit = stride.first;
    memcpy(low, scan->last, scan->last_len < stride.width ? scan->last_len : stride.width);
    scan->gaps++;
    for (;;) {
        memcpy(high, low, sizeof high);
        if (!add(high, stride.width, bit)) return WEFT_END; /* nothing at all can be read */
        weft_err err = seek(scan, high, stride.width);
        if (err == WEFT_OK) return close_in(scan, low, high, stride.width);
        if (err == WEFT_END && bit == stride.first) return WEFT_END;
        if (err == WEFT_END) {
            bit = stride.first;
        } else if (is_damage(scan, err)) {
            memcpy(low, high, sizeof low);
            if (++small > SMALL_STEPS) bit++;
        } else {
            return err;
        }
    }
}

weft_err wf_scan_next(struct wf_scan *scan)
{
    weft_err err = WEFT_OK;
    if (scan->it == NULL) {
        err = fresh(scan);
        if (err == WEFT_OK) wf_kv_iter_first(scan->it);
    } else {
        wf_kv_iter_next(scan->it);
    }
    if (err == WEFT_OK) err = give(scan);
    return is_damage(scan, err) ? step_over(scan) : err;
}
