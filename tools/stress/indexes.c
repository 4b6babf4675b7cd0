/* SPDX-License-Identifier: Apache-2.0
 * indexes.c - holds the indexes of a store against the entries themselves.
 * Called by: judge.c. May touch: the evidence (reading), memory of its own.
 * Never: uses the store's own code for looking things up; reads at random, which would
 * take longer than everything else that is verified. */
#include "indexes.h"

#include <stdlib.h>
#include <string.h>

#include "kit.h"
#include "layout.h"

#define NAMES_MAX 64u

struct name { /* of a named store, and who writes it */
    char text[WEFT_STORE_NAME_BYTES_MAX];
    uint32_t len;
    uint8_t *writes;   /* item -> it writes the store         */
    uint8_t *followed; /* item -> another one names it there  */
};
struct scan {
    const struct catalog *cat;
    const uint64_t *gens;
    const uint8_t *here;
    uint64_t *seqs; /* item -> its arrival number by `meta` */
    uint64_t t;     /* the tree's local number; 0: not seen */
    uint64_t count; /* of the index at hand                 */
    uint64_t faults;
    struct name names[NAMES_MAX];
    uint32_t names_count;
    weft_entry entry;
};

/* -- Facts of the entries --------------------------------------------------------------------- */

/* The parents of an item that stand before it on the stack are done first. */
uint64_t *indexes_gens(const struct catalog *cat)
{
    static const uint64_t open = UINT64_MAX - 1, unknown = UINT64_MAX;
    uint64_t *gens = kit_alloc(cat->count, sizeof *gens);
    uint32_t *stack = NULL;
    size_t room = 0, depth = 0;
    for (size_t i = 0; i < cat->count; i++) gens[i] = open;
    for (size_t i = 0; i < cat->count; i++) {
        stack = kit_grow(stack, &room, depth + 1, sizeof *stack);
        stack[depth++] = (uint32_t)i;
        while (depth > 0) {
            uint32_t at = stack[depth - 1];
            const struct item *item = &cat->items[at];
            uint64_t gen = item->found ? 0 : unknown;
            size_t before = depth;
            for (uint32_t p = 0; gens[at] == open && gen != unknown && p < item->parents_count;
                 p++) {
                int64_t parent = catalog_find(cat, &cat->parents[item->parents_at + p]);
                uint64_t theirs = parent < 0 ? unknown : gens[parent];
                if (theirs == open) {
                    stack = kit_grow(stack, &room, depth + 1, sizeof *stack);
                    stack[depth++] = (uint32_t)parent;
                } else if (theirs == unknown) {
                    gen = unknown;
                } else if (theirs >= gen) {
                    gen = theirs + 1;
                }
            }
            if (depth > before && gen != unknown) continue; /* look again after them */
            depth = before - 1;
            if (gens[at] == open) gens[at] = gen;
        }
    }
    free(stack);
    return gens;
}

static int64_t stored(const struct scan *s, const uint8_t *id)
{
    weft_id key;
    memcpy(key.bytes, id, sizeof key.bytes);
    int64_t at = catalog_find(s->cat, &key);
    return at >= 0 && s->here[at] != 0 ? at : -1;
}

/* Does the item name a parent that arrived with this number? */
static bool names_arrival(const struct scan *s, int64_t child, uint64_t seq)
{
    const struct item *item = &s->cat->items[child];
    for (uint32_t p = 0; p < item->parents_count; p++) {
        int64_t at = catalog_find(s->cat, &s->cat->parents[item->parents_at + p]);
        if (at >= 0 && s->here[at] != 0 && s->seqs[at] == seq) return true;
    }
    return false;
}

static bool names_parent(const struct scan *s, int64_t child, const uint8_t *parent)
{
    const struct item *item = &s->cat->items[child];
    for (uint32_t p = 0; p < item->parents_count; p++)
        if (memcmp(s->cat->parents[item->parents_at + p].bytes, parent, WEFT_ID_BYTES) == 0)
            return true;
    return false;
}

static struct name *name_of(struct scan *s, const char *text, uint32_t len)
{
    for (uint32_t i = 0; i < s->names_count; i++)
        if (s->names[i].len == len && memcmp(s->names[i].text, text, len) == 0) return &s->names[i];
    if (s->names_count == NAMES_MAX || len > WEFT_STORE_NAME_BYTES_MAX) return NULL;
    struct name *name = &s->names[s->names_count++];
    memcpy(name->text, text, len);
    name->len = len;
    name->writes = kit_alloc(s->cat->count, 1);
    name->followed = kit_alloc(s->cat->count, 1);
    return name;
}

/* Which named stores are written, and by whom they are continued. */
static void names_gather(struct scan *s)
{
    for (size_t i = 0; i < s->cat->count; i++) {
        const struct item *item = &s->cat->items[i];
        if (s->here[i] == 0 ||
            weft_entry_decode(s->cat->bytes + item->bytes_at, item->len, &s->entry) != WEFT_OK)
            continue;
        for (uint32_t k = 0; k < s->entry.stores_count; k++) {
            const weft_entry_store *store = &s->entry.stores[k];
            struct name *name = name_of(s, store->name, store->name_len);
            if (name == NULL) continue;
            name->writes[i] = 1;
            for (uint32_t p = 0; p < store->parents_count; p++) {
                weft_id id;
                weft_entry_store_parent(store, p, &id);
                int64_t at = catalog_find(s->cat, &id);
                if (at >= 0) name->followed[at] = 1;
            }
        }
    }
}

/* -- One record of each index ------------------------------------------------------------------ */

static bool right_tree(struct scan *s, uint64_t t)
{
    if (s->t == 0) s->t = t;
    return t == s->t;
}

static bool meta_right(struct scan *s, int64_t at, const uint8_t *value, size_t len)
{
    struct wf_meta_record meta;
    const struct item *item = &s->cat->items[at];
    if (wf_meta_read(value, len, &meta) != WEFT_OK || !right_tree(s, meta.t)) return false;
    s->seqs[at] = meta.seq;
    if (meta.gen != s->gens[at] || meta.parents_count != item->parents_count) return false;
    for (uint32_t p = 0; p < meta.parents_count; p++)
        if (!names_parent(s, at, meta.parents + (size_t)p * WEFT_ID_BYTES)) return false;
    return weft_entry_decode(s->cat->bytes + item->bytes_at, item->len, &s->entry) == WEFT_OK &&
           meta.height == s->entry.height && weft_key_equal(&meta.author, &s->entry.author);
}

static bool on_meta(struct scan *s, const uint8_t *key, size_t key_len, const uint8_t *value,
                    size_t len)
{
    int64_t at = key_len == WEFT_ID_BYTES ? stored(s, key) : -1;
    return at >= 0 && meta_right(s, at, value, len);
}

static bool on_gen(struct scan *s, const uint8_t *key, size_t key_len, const uint8_t *value,
                   size_t len)
{
    bool whole = key_len == WF_KEY_GEN_BYTES && len == WF_GEN_BYTES;
    int64_t at = whole ? stored(s, key + 16) : -1;
    return at >= 0 && right_tree(s, wf_get64(key)) && wf_get64(key + 8) == s->gens[at] &&
           wf_get64(value) == s->seqs[at];
}

static bool on_arr(struct scan *s, const uint8_t *key, size_t key_len, const uint8_t *value,
                   size_t len)
{
    int64_t at = key_len == WF_KEY_SEQ_BYTES && len >= WEFT_ID_BYTES ? stored(s, value) : -1;
    return at >= 0 && right_tree(s, wf_get64(key)) && wf_get64(key + 8) == s->seqs[at];
}

static bool on_child(struct scan *s, const uint8_t *key, size_t key_len, const uint8_t *value,
                     size_t len)
{
    bool whole = key_len == WF_KEY_CHILD_BYTES && len == WEFT_ID_BYTES;
    int64_t child = whole ? stored(s, value) : -1;
    return child >= 0 && right_tree(s, wf_get64(key)) && wf_get64(key + 16) == s->seqs[child] &&
           names_arrival(s, child, wf_get64(key + 8));
}

/* Tips of named stores; those of the tree are judge.c's. */
static bool on_named_tip(struct scan *s, const uint8_t *key, size_t key_len, const uint8_t *value,
                         size_t len)
{
    if (key_len > 8 && key[8] == 0) {
        s->count--;
        return true;
    }
    if (key_len < 9 || key_len != 9u + key[8] + WEFT_ID_BYTES || len != 8) return false;
    int64_t at = stored(s, key + 9 + key[8]);
    struct name *name = name_of(s, (const char *)key + 9, key[8]);
    return at >= 0 && name != NULL && name->writes[at] != 0 && name->followed[at] == 0 &&
           wf_get64(value) == s->gens[at];
}

/* -- Whole indexes ------------------------------------------------------------------------------- */

struct index {
    struct scan *scan;
    bool (*right)(struct scan *s, const uint8_t *key, size_t key_len, const uint8_t *value,
                  size_t len);
};

static weft_err on_record(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                          size_t len)
{
    const struct index *index = arg;
    if (kit_signal() != 0) return WEFT_CANCELED;
    index->scan->count++;
    if (!index->right(index->scan, key, key_len, value, len)) {
        index->scan->count--;
        index->scan->faults++;
    }
    return WEFT_OK;
}

static void free_names(struct scan *s)
{
    for (uint32_t i = 0; i < s->names_count; i++) {
        free(s->names[i].writes);
        free(s->names[i].followed);
    }
}

weft_err indexes_check(struct evidence *ev, const struct catalog *cat, const uint64_t *gens,
                       const uint8_t *here, uint64_t *out_faults)
{
    struct scan *s = kit_alloc(1, sizeof *s);
    *s = (struct scan){.cat = cat, .gens = gens, .here = here};
    s->seqs = kit_alloc(cat->count, sizeof *s->seqs);
    names_gather(s);
    uint64_t entries = 0, children = 0, named_tips = 0;
    for (size_t i = 0; i < cat->count; i++) {
        if (here[i] == 0) continue;
        entries++;
        children += cat->items[i].parents_count;
        for (uint32_t n = 0; n < s->names_count; n++)
            named_tips += s->names[n].writes[i] != 0 && s->names[n].followed[i] == 0;
    }
    /* `meta` first: the arrival numbers that it gives are held against the others. */
    const struct {
        enum evidence_family family;
        struct index index;
        uint64_t want;
    } all[] = {{EVIDENCE_META, {s, on_meta}, entries},
               {EVIDENCE_GEN, {s, on_gen}, entries},
               {EVIDENCE_ARR, {s, on_arr}, entries},
               {EVIDENCE_CHILD, {s, on_child}, children},
               {EVIDENCE_TIP, {s, on_named_tip}, named_tips}};
    weft_err err = WEFT_OK;
    for (size_t i = 0; err == WEFT_OK && i < sizeof all / sizeof *all; i++) {
        struct index index = all[i].index;
        s->count = 0;
        err = evidence_scan(ev, all[i].family, on_record, &index);
        s->faults += s->count > all[i].want ? s->count - all[i].want : all[i].want - s->count;
    }
    if (err == WEFT_OK) *out_faults = s->faults;
    free_names(s);
    free(s->seqs);
    free(s);
    return err;
}
