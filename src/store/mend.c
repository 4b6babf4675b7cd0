/* SPDX-License-Identifier: Apache-2.0
 * mend.c - rows of meta, gen, child and tip, made again of bodies and arrivals (mend.h).
 * Called by: remake.c on the store's thread, slice by slice; readers note what they meet.
 * May touch: those rows, the cached tips. Never: keys of rows that no entry has; the check does. */
#include "mend.h"

#include "block.h"
#include "entry.h"
#include "log.h"
#include "writer.h"

#define ENTRIES_AT_ONCE 256u
#define LOOKS_AT_ONCE 8192u /* at other entries and their rows, of a slice */

weft_err wf_mend_note(wf_store *store, uint64_t t, weft_err err)
{
    if (err != WEFT_CORRUPT) return err;
    if (t != 0 && wf_store_is_removed(store, t)) return WEFT_NOT_FOUND;
    wf_counter_add(&store->base_bad, 1);
    wf_rwlock_write(store->lock);
    weft_msg *msg = store->noted;
    weft_addr *to = msg == NULL ? NULL : weft_addr_get(store->noted_to);
    store->noted = NULL;
    wf_rwlock_give(store->lock);
    if (msg != NULL && wf_send_system(to, msg) != WEFT_OK) weft_drop(msg); /* it has ended */
    weft_addr_put(to);
    return err;
}

/* -- Rows ------------------------------------------------------------------------------------ */

static bool is_damage(weft_err err) { return err == WEFT_NOT_FOUND || err == WEFT_CORRUPT; }

/* *is: OK, it says this; else why not. */
static weft_err look(wf_store *store, enum wf_cf cf, const void *key, size_t key_len,
                     const void *want, size_t len, weft_err *is)
{
    wf_value value;
    *is = wf_kv_get(store->kv, NULL, cf, key, key_len, &value);
    if (*is != WEFT_OK) return is_damage(*is) ? WEFT_OK : *is;
    if (value.len != len || memcmp(value.data, want, len) != 0) *is = WEFT_CORRUPT;
    wf_value_release(store->kv, &value);
    return WEFT_OK;
}

static weft_err expect(wf_store *store, struct wf_mend *m, enum wf_cf cf, const void *key,
                       size_t key_len, const void *want, size_t len)
{
    weft_err is, err = look(store, cf, key, key_len, want, len, &is);
    if (err != WEFT_OK || is == WEFT_OK) return err;
    wf_batch_put(store->batch, cf, key, key_len, want, len);
    m->changed++;
    return wf_batch_err(store->batch);
}

static void drop_rows(wf_store *store)
{
    wf_policies_forget(&store->policies);
    wf_batch_clear(store->batch);
}

/* Not synced: what a crash takes back is met again. */
static weft_err write_rows(wf_store *store)
{
    if (!wf_writer_is_open(store)) return WEFT_OK;
    weft_err err = wf_batch_err(store->batch);
    if (err == WEFT_OK) err = wf_kv_write(store->kv, store->batch, false);
    if (err == WEFT_OK) wf_policies_written(&store->policies);
    if (err == WEFT_OK) wf_batch_clear(store->batch);
    else drop_rows(store);
    wf_briefs_clear(&store->briefs); /* whatever of them was taken from another row */
    return err;
}

/* -- What is known of an entry ------------------------------------------------------------------ */

struct facts {
    struct wf_meta_record meta; /* if any: of the row, or of the body */
    bool any, has_row;
    wf_value row;
    weft_buf *body; /* NULL: it cannot be read, and peers are asked for it */
};

static weft_err read_row(wf_store *store, uint64_t t, const wf_arrival *at, struct facts *f)
{
    weft_err err = wf_kv_get(store->kv, NULL, WF_CF_META, at->id.bytes, WEFT_ID_BYTES, &f->row);
    if (err != WEFT_OK) return is_damage(err) ? WEFT_OK : err;
    f->has_row = wf_meta_read(f->row.data, f->row.len, &f->meta) == WEFT_OK && f->meta.t == t &&
                 f->meta.seq == at->seq;
    f->any = f->has_row;
    if (!f->has_row) wf_value_release(store->kv, &f->row);
    return WEFT_OK;
}

static weft_err read_body(wf_store *store, uint64_t t, const wf_arrival *at, struct facts *f)
{
    const wf_place place = {.seq = at->seq, .id = at->id};
    weft_err err = wf_store_get_at(store, t, &place, &f->body);
    return is_damage(err) ? WEFT_OK : err;
}

static void facts_fini(wf_store *store, struct facts *f)
{
    if (f->has_row) wf_value_release(store->kv, &f->row);
    weft_buf_unref(f->body);
}

static bool same(const struct wf_meta_record *a, const struct wf_meta_record *b)
{
    size_t parents = (size_t)a->parents_count * WEFT_ID_BYTES;
    return a->gen == b->gen && a->height == b->height && weft_key_equal(&a->author, &b->author) &&
           a->parents_count == b->parents_count && a->names_len == b->names_len &&
           (parents == 0 || memcmp(a->parents, b->parents, parents) == 0) &&
           (a->names_len == 0 || memcmp(a->names, b->names, a->names_len) == 0);
}

/* The row against the body, which is right. */
static weft_err settle_row(wf_store *store, struct wf_mend *m, struct wf_tree *tree,
                           const wf_arrival *at, struct facts *f)
{
    struct wf_meta_record want;
    if (f->body == NULL) {
        m->lost += !f->any;
        return WEFT_OK;
    }
    struct wf_add add = {
        .bytes = weft_buf_bytes(f->body), .len = (uint32_t)weft_buf_len(f->body), .id = at->id};
    weft_err err = wf_writer_facts(store, tree, &add, &want);
    if (err == WEFT_IO || err == WEFT_NO_MEMORY || err == WEFT_NO_SPACE) return err;
    if (err != WEFT_OK) { /* of a parent too little is left */
        drop_rows(store);
        m->lost++;
        return WEFT_OK;
    }
    want.seq = at->seq;
    if (f->any && same(&want, &f->meta)) return WEFT_OK;
    f->meta = want;
    f->any = true;
    m->changed++;
    return wf_writer_meta(store, &want, &at->id);
}

static weft_err link(wf_store *store, struct wf_mend *m, const wf_arrival *at,
                     const struct wf_meta_record *meta)
{
    uint8_t gen[WF_KEY_GEN_BYTES], number[WF_GEN_BYTES], child[WF_KEY_CHILD_BYTES];
    wf_key_gen(gen, meta->t, meta->gen, &at->id);
    wf_put64(number, meta->seq);
    weft_err err = expect(store, m, WF_CF_GEN, gen, sizeof gen, number, sizeof number);
    m->looks += meta->parents_count;
    for (uint32_t i = 0; i < meta->parents_count && err == WEFT_OK; i++) {
        struct wf_brief *parent;
        weft_id id;
        memcpy(id.bytes, meta->parents + (size_t)i * WEFT_ID_BYTES, sizeof id.bytes);
        err = wf_briefs_find(&store->briefs, store->kv, &id, &parent);
        if (is_damage(err)) { /* it is counted among the lost */
            err = WEFT_OK;
            continue;
        }
        if (err != WEFT_OK) break;
        wf_key_child(child, meta->t, parent->seq, meta->seq);
        err = expect(store, m, WF_CF_CHILD, child, sizeof child, at->id.bytes, WEFT_ID_BYTES);
    }
    return err;
}

static weft_err mend_facts(wf_store *store, struct wf_mend *m, struct wf_tree *tree,
                           const wf_arrival *at)
{
    struct facts f = {0};
    weft_err err = read_row(store, tree->now.t, at, &f);
    if (err == WEFT_OK) err = read_body(store, tree->now.t, at, &f);
    if (err == WEFT_OK) err = settle_row(store, m, tree, at, &f);
    if (err == WEFT_OK && f.any) err = link(store, m, at, &f.meta);
    facts_fini(store, &f);
    return err;
}

/* -- Tips ---------------------------------------------------------------------------------------- */

struct asking {
    wf_store *store;
    const weft_id *id; /* is it followed */
    const char *name;  /* in this store? NULL: in its tree */
    size_t name_len;
    uint32_t looks;
    bool followed, unknown;
};

static bool follows(const weft_entry *entry, const struct asking *a)
{
    for (uint32_t s = 0; s < entry->stores_count; s++) {
        const weft_entry_store *part = &entry->stores[s];
        if (part->name_len != a->name_len || memcmp(part->name, a->name, a->name_len) != 0)
            continue;
        for (uint32_t i = 0; i < part->parents_count; i++) {
            weft_id parent;
            weft_entry_store_parent(part, i, &parent);
            if (weft_id_equal(&parent, a->id)) return true;
        }
    }
    return false;
}

static weft_err ask_child(void *arg, const weft_id *child, uint64_t seq)
{
    struct asking *a = arg;
    bool writes = false;
    weft_buf *body = NULL;
    (void)seq;
    a->followed = a->name == NULL;
    if (a->followed) return WEFT_END;
    a->unknown |= a->looks == WEFT_MEND_CHILDREN_MAX;
    if (a->unknown) return WEFT_END;
    a->looks++;
    weft_err err = wf_store_writes(a->store, child, a->name, a->name_len, &writes);
    if (err == WEFT_OK && !writes) return WEFT_OK;
    if (err == WEFT_OK) err = wf_store_get(a->store, child, &body);
    if (err == WEFT_OK &&
        wf_entry_parse(weft_buf_bytes(body), weft_buf_len(body), a->store->entry) == WEFT_OK)
        a->followed = follows(a->store->entry, a);
    weft_buf_unref(body);
    if (is_damage(err)) a->unknown = true;
    else if (err != WEFT_OK) return err;
    return a->followed ? WEFT_END : WEFT_OK;
}

/* Name NULL: a tip of the tree. One that is listed is taken for one: who follows it takes it away. */
static weft_err mend_tip(wf_store *store, struct wf_mend *m, const weft_id *id,
                         const struct wf_meta_record *meta, const char *name, size_t name_len)
{
    uint8_t key[WF_KEY_TIP_BYTES_MAX], gen[WF_GEN_BYTES];
    size_t len = wf_key_tip(key, meta->t, name, name_len, id);
    struct asking a = {store, id, name, name_len, 0, false, false};
    weft_err is;
    wf_put64(gen, meta->gen);
    weft_err err = look(store, WF_CF_TIP, key, len, gen, sizeof gen, &is);
    if (err != WEFT_OK || is == WEFT_OK) return err;
    err = wf_store_children(store, meta->t, meta->seq, ask_child, &a);
    m->looks += a.looks;
    if (err == WEFT_CORRUPT) a.unknown = true;
    else if (err != WEFT_OK && err != WEFT_END) return err;
    if (a.unknown || (a.followed && is == WEFT_NOT_FOUND)) return WEFT_OK;
    if (a.followed) wf_batch_delete(store->batch, WF_CF_TIP, key, len);
    else wf_batch_put(store->batch, WF_CF_TIP, key, len, gen, sizeof gen);
    m->changed++;
    return wf_batch_err(store->batch);
}

static weft_err no_tip(wf_store *store, struct wf_mend *m, uint64_t t, const char *name,
                       size_t name_len, const weft_id *id)
{
    uint8_t key[WF_KEY_TIP_BYTES_MAX];
    size_t len = wf_key_tip(key, t, name, name_len, id);
    weft_err is, err = look(store, WF_CF_TIP, key, len, "", 0, &is);
    if (err != WEFT_OK || is == WEFT_NOT_FOUND) return err;
    wf_batch_delete(store->batch, WF_CF_TIP, key, len);
    m->changed++;
    return wf_batch_err(store->batch);
}

static weft_err none_below(wf_store *store, struct wf_mend *m, const struct facts *f)
{
    weft_err err = WEFT_OK;
    m->looks += 2 * f->meta.parents_count; /* those in named stores are among them */
    for (uint32_t i = 0; i < f->meta.parents_count && err == WEFT_OK; i++) {
        weft_id id;
        memcpy(id.bytes, f->meta.parents + (size_t)i * WEFT_ID_BYTES, sizeof id.bytes);
        err = no_tip(store, m, f->meta.t, NULL, 0, &id);
    }
    if (f->body == NULL ||
        wf_entry_parse(weft_buf_bytes(f->body), weft_buf_len(f->body), store->entry) != WEFT_OK)
        return err;
    for (uint32_t s = 0; s < store->entry->stores_count && err == WEFT_OK; s++) {
        const weft_entry_store *part = &store->entry->stores[s];
        for (uint32_t i = 0; i < part->parents_count && err == WEFT_OK; i++) {
            weft_id id;
            weft_entry_store_parent(part, i, &id);
            err = no_tip(store, m, f->meta.t, part->name, part->name_len, &id);
        }
    }
    return err;
}

static weft_err mend_tips(wf_store *store, struct wf_mend *m, const struct wf_tree *tree,
                          const wf_arrival *at)
{
    struct facts f = {0};
    weft_err err = read_row(store, tree->now.t, at, &f);
    if (err == WEFT_OK) err = read_body(store, tree->now.t, at, &f);
    if (err == WEFT_OK && f.any) {
        err = none_below(store, m, &f);
        if (err == WEFT_OK) err = mend_tip(store, m, &at->id, &f.meta, NULL, 0);
        for (size_t i = 0; i < f.meta.names_len && err == WEFT_OK; i += 1u + f.meta.names[i])
            err = mend_tip(store, m, &at->id, &f.meta, (const char *)f.meta.names + i + 1,
                           f.meta.names[i]);
    }
    facts_fini(store, &f);
    return err;
}

/* Readers may have kept tips, and a digest of them, that were not all. */
static void forget_tips(wf_store *store, struct wf_tree *tree)
{
    wf_rwlock_write(store->lock);
    wf_tips_clear(&store->tips);
    tree->digest_seq = UINT64_MAX;
    wf_rwlock_give(store->lock);
}

/* A batch that met a tip that was not listed has not counted it off. */
static weft_err recount(wf_store *store, struct wf_tree *tree)
{
    uint8_t prefix[WF_KEY_TIP_BYTES_MAX];
    size_t prefix_len = wf_key_tip(prefix, tree->now.t, NULL, 0, NULL);
    uint64_t tips = 0;
    wf_kv_iter *it;
    weft_err err = wf_kv_iter_create(store->kv, NULL, WF_CF_TIP, prefix, prefix_len, &it);
    if (err != WEFT_OK) return err;
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
        size_t len;
        (void)wf_kv_iter_key(it, &len);
        tips += len == prefix_len + WEFT_ID_BYTES;
    }
    err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    if (err == WEFT_CORRUPT) return WEFT_OK; /* then nobody can */
    if (err != WEFT_OK || tips == tree->now.tips) return err;
    uint8_t key[WF_KEY_TREE_BYTES], counts[WF_COUNTS_BYTES];
    tree->now.tips = tips;
    wf_key_tree(key, WF_TREE_COUNTS, tree->now.t);
    wf_counts_write(&tree->now, counts); /* which opens a batch, for the state to follow */
    wf_batch_put(store->batch, WF_CF_TREE, key, sizeof key, counts, sizeof counts);
    return wf_writer_touch(store, tree);
}

/* -- The whole ------------------------------------------------------------------------------------- */

static weft_err look_at(wf_store *store, struct wf_mend *m, struct wf_tree *tree)
{
    wf_arrival at;
    uint64_t before = m->changed;
    weft_err err = wf_store_arrival(store, tree->now.t, m->seq + 1, &at);
    if (is_damage(err)) {
        m->lost += !m->tips;
        return WEFT_OK;
    }
    if (err == WEFT_OK)
        err = m->tips ? mend_tips(store, m, tree, &at) : mend_facts(store, m, tree, &at);
    if (err == WEFT_OK) err = write_rows(store);
    else drop_rows(store);
    if (m->tips && m->changed > before) forget_tips(store, tree);
    if (err != WEFT_OK) m->changed = before; /* it is done again */
    return err;
}

weft_err wf_mend_slice(wf_store *store, struct wf_mend *m)
{
    WF_ASSERT(store->touched_count == 0 && store->fresh_count == 0); /* no batch is open */
    weft_err err = WEFT_OK;
    m->looks = 0;
    for (uint32_t n = 0; n < ENTRIES_AT_ONCE && m->looks < LOOKS_AT_ONCE && err == WEFT_OK; n++) {
        if (m->tree >= store->trees.count) return WEFT_OK;
        struct wf_tree *tree = store->trees.list[m->tree];
        bool lives = tree->life == WF_TREE_LIVES && tree->pub.t != 0;
        if (lives && m->seq < tree->now.seq) {
            err = look_at(store, m, tree);
            m->seq += err == WEFT_OK;
            continue;
        }
        if (lives && m->tips) err = recount(store, tree);
        if (err != WEFT_OK) break;
        m->seq = 0;
        m->tree += m->tips || !lives;
        m->tips = lives && !m->tips;
        if (store->touched_count > 0) break; /* its count is to be written first */
    }
    return err == WEFT_OK ? WEFT_AGAIN : err;
}
