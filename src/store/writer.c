/* SPDX-License-Identifier: Apache-2.0
 * writer.c - an entry's way into the open batch: the door, then every index.
 * Called by: the store actor's rooms (one thread). May touch: the store's writer
 * side, the engine (reads). Never: writes to the engine (flush.c), a peer. */
#include "writer.h"

#include "alloc.h"
#include "damage.h"
#include "dom_write.h"
#include "door.h"
#include "entry.h"
#include "ids.h"
#include "is_tip.h"
#include "log.h"
#include "shelf.h"
#include "sketches.h"

#define MANY_PARENTS 8u /* from here on they are looked up together */

/* What was found out about an entry on its way through the door. */
struct passage {
    struct wf_add *add;
    const weft_entry *entry;
    struct wf_tree *tree; /* NULL: a root that creates its tree */
    const weft_id *parents;
    uint32_t parents_count;
    uint64_t max_gen;
    struct wf_door_facts facts;
    uint32_t policy;   /* number of the join; 0: it has none yet */
    wf_policy *joined; /* owned; NULL: the join is policy number `policy` */
};

/* -- Facts of the parents ------------------------------------------------------------ */

/* A second policy among the parents: the join becomes one of its own. */
static weft_err join_policy(wf_store *store, struct passage *p, uint32_t number)
{
    if (p->policy == 0) p->policy = number;
    if (p->policy == number && p->joined == NULL) return WEFT_OK;
    const wf_policy *other;
    weft_err err = WEFT_OK;
    if (p->joined == NULL) {
        err = wf_policies_get(&store->policies, store->kv, p->policy, &other);
        if (err == WEFT_OK) err = wf_policy_join(other, other, &p->joined);
        if (err != WEFT_OK) return err;
    }
    if (p->policy == number) return WEFT_OK; /* in the join from the beginning */
    err = wf_policies_get(&store->policies, store->kv, number, &other);
    wf_policy *both = NULL;
    if (err == WEFT_OK) err = wf_policy_join(p->joined, other, &both);
    if (err != WEFT_OK) return err;
    wf_policy_destroy(p->joined);
    p->joined = both;
    return WEFT_OK;
}

static weft_err look_at_parents(wf_store *store, struct passage *p)
{
    struct wf_add *add = p->add;
    bool missing = false;
    uint32_t last_policy = 0;
    if (p->parents_count >= MANY_PARENTS)
        wf_briefs_fetch(&store->briefs, store->kv, p->parents, p->parents_count);
    for (uint32_t i = 0; i < p->parents_count; i++) {
        struct wf_brief *parent;
        weft_err err = wf_briefs_find(&store->briefs, store->kv, &p->parents[i], &parent);
        if (err == WEFT_NOT_FOUND) {
            missing = true;
            if (add->missing_count < add->missing_room)
                add->missing[add->missing_count++] = p->parents[i];
            continue;
        }
        if (err != WEFT_OK) return err;
        if (p->tree == NULL || parent->t != p->tree->now.t) p->facts.foreign_parent = true;
        if (parent->gen > p->max_gen) p->max_gen = parent->gen;
        if (parent->height > p->facts.max_height) p->facts.max_height = parent->height;
        uint32_t policy = parent->policy;
        if (policy == last_policy) continue; /* nearly always */
        err = join_policy(store, p, policy);
        if (err != WEFT_OK) return err;
        last_policy = policy;
    }
    return missing ? WEFT_PENDING : WEFT_OK;
}

static weft_err look_at_store_parents(wf_store *store, struct passage *p)
{
    for (uint32_t s = 0; s < p->entry->stores_count; s++) {
        const weft_entry_store *part = &p->entry->stores[s];
        for (uint32_t i = 0; i < part->parents_count; i++) {
            weft_id id;
            struct wf_brief *parent;
            weft_entry_store_parent(part, i, &id);
            weft_err err = wf_briefs_find(&store->briefs, store->kv, &id, &parent);
            if (err != WEFT_OK) return err;
            if (!wf_names_have(wf_brief_names(parent), parent->names_len, part->name,
                               part->name_len))
                p->facts.stray_parent = true;
        }
    }
    return WEFT_OK;
}

static weft_err list_parents(wf_store *store, struct passage *p)
{
    if (p->entry->is_root) return WEFT_OK;
    if (store->parents == NULL) {
        store->parents = wf_malloc(WEFT_ENTRY_UNION_PARENTS_MAX * sizeof *store->parents);
        if (store->parents == NULL) return WEFT_NO_MEMORY;
    }
    p->parents = store->parents;
    return wf_entry_union_parents(p->entry, store->parents, WEFT_ENTRY_UNION_PARENTS_MAX,
                                  &p->parents_count);
}

/* -- The author -------------------------------------------------------------------------- */

static weft_err judge(wf_store *store, struct passage *p)
{
    weft_err err = WEFT_OK;
    if (p->entry->is_root) { /* judged by its own settings */
        err = wf_policy_create_empty(&p->joined);
        p->facts.policy = p->joined;
    } else if (p->joined != NULL) {
        p->facts.policy = p->joined;
    } else {
        err = wf_policies_get(&store->policies, store->kv, p->policy, &p->facts.policy);
    }
    return err == WEFT_OK ? wf_door_place(p->entry, &p->facts) : err;
}

/* The number of the policy that holds after this entry: inherited, unless its parents
 * differ or it writes settings itself. */
static weft_err settle_policy(wf_store *store, struct passage *p, uint64_t gen)
{
    const weft_entry_store *settings = wf_entry_find_store(p->entry, WF_SETTINGS_NAME);
    bool changes = settings != NULL && settings->payload != NULL;
    if (p->joined == NULL && !changes) return WEFT_OK;
    if (changes) {
        wf_policy *after = NULL;
        weft_err err = wf_policy_apply(p->facts.policy, settings->payload, settings->payload_len,
                                       gen, &p->add->id, &after);
        if (err != WEFT_OK) return err;
        wf_policy_destroy(p->joined);
        p->joined = after;
    }
    weft_err err = wf_policies_intern_take(&store->policies, store->kv, store->batch, p->joined,
                                           &p->policy);
    if (err == WEFT_OK) p->joined = NULL;
    return err;
}

/* -- Into the batch ------------------------------------------------------------------------ */

static weft_err reserve(wf_store *store)
{
    if (store->fresh_count == store->fresh_room) {
        uint32_t room = store->fresh_room == 0 ? 64 : store->fresh_room * 2;
        struct wf_fresh *fresh = wf_realloc(store->fresh, room * sizeof *fresh);
        if (fresh == NULL) return WEFT_NO_MEMORY;
        store->fresh = fresh;
        store->fresh_room = room;
    }
    size_t need = store->arena_len + WEFT_ENTRY_STORES_MAX * (1u + WEFT_STORE_NAME_BYTES_MAX);
    if (need > store->arena_room) {
        uint8_t *arena = wf_realloc(store->arena, 2 * need);
        if (arena == NULL) return WEFT_NO_MEMORY;
        store->arena = arena;
        store->arena_room = (uint32_t)(2 * need);
    }
    return WEFT_OK;
}

weft_err wf_writer_touch(wf_store *store, struct wf_tree *tree)
{
    if (tree->touched) return WEFT_OK;
    if (store->touched_count == store->touched_room) {
        uint32_t room = store->touched_room == 0 ? 16 : store->touched_room * 2;
        uint32_t *touched = wf_realloc(store->touched, room * sizeof *touched);
        if (touched == NULL) return WEFT_NO_MEMORY;
        store->touched = touched;
        store->touched_room = room;
    }
    tree->touched = true;
    store->touched[store->touched_count++] = (uint32_t)tree->now.t;
    return WEFT_OK;
}

static weft_err link_parents(wf_store *store, struct passage *p)
{
    uint8_t child[WF_KEY_CHILD_BYTES], tip[WF_KEY_TIP_BYTES_MAX];
    if (p->parents_count >= MANY_PARENTS) wf_is_tip_look(store, p->parents, p->parents_count);
    for (uint32_t i = 0; i < p->parents_count; i++) {
        struct wf_brief *parent;
        bool was_tip;
        weft_err err = wf_briefs_find(&store->briefs, store->kv, &p->parents[i], &parent);
        if (err == WEFT_OK) err = wf_is_tip(store, parent, &was_tip);
        if (err != WEFT_OK) return err;
        wf_key_child(child, p->tree->now.t, parent->seq, p->tree->now.seq + 1);
        wf_batch_put(store->batch, WF_CF_CHILD, child, sizeof child, p->add->id.bytes,
                     WEFT_ID_BYTES);
        if (!was_tip) continue;
        wf_briefs_pin(&store->briefs, parent);
        parent->tip = WF_TIP_NO;
        p->tree->now.tips--;
        uint32_t fresh = wf_brief_fresh(&store->briefs, parent);
        if (fresh != WF_NOT_FRESH) {
            store->fresh[fresh].tip = false; /* it never becomes one on disk */
        } else {
            size_t len = wf_key_tip(tip, p->tree->now.t, NULL, 0, &p->parents[i]);
            wf_batch_delete(store->batch, WF_CF_TIP, tip, len);
        }
    }
    return WEFT_OK;
}

/* Bit of `name` among the stores that a fresh entry writes. */
static uint64_t name_bit(const wf_store *store, const struct wf_fresh *fresh, const void *name,
                         size_t name_len)
{
    const uint8_t *names = store->arena + fresh->names;
    uint64_t bit = 1;
    for (size_t at = 0; at < fresh->names_len; at += 1u + names[at], bit <<= 1)
        if (names[at] == name_len && memcmp(names + at + 1, name, name_len) == 0) return bit;
    return 0;
}

static weft_err link_store_parents(wf_store *store, struct passage *p)
{
    uint8_t tip[WF_KEY_TIP_BYTES_MAX];
    for (uint32_t s = 0; s < p->entry->stores_count; s++) {
        const weft_entry_store *part = &p->entry->stores[s];
        for (uint32_t i = 0; i < part->parents_count; i++) {
            weft_id id;
            struct wf_brief *parent;
            weft_entry_store_parent(part, i, &id);
            weft_err err = wf_briefs_find(&store->briefs, store->kv, &id, &parent);
            if (err != WEFT_OK) return err;
            uint32_t at = wf_brief_fresh(&store->briefs, parent);
            if (at != WF_NOT_FRESH) {
                struct wf_fresh *fresh = &store->fresh[at];
                fresh->named &= ~name_bit(store, fresh, part->name, part->name_len);
            } else {
                size_t len = wf_key_tip(tip, p->tree->now.t, part->name, part->name_len, &id);
                wf_batch_delete(store->batch, WF_CF_TIP, tip, len);
            }
        }
    }
    return WEFT_OK;
}

weft_err wf_writer_meta(wf_store *store, const struct wf_meta_record *meta, const weft_id *id)
{
    if (store->scratch == NULL) {
        size_t most = 128 + WEFT_ENTRY_UNION_PARENTS_MAX * sizeof(weft_id) +
                      WEFT_ENTRY_STORES_MAX * (1u + WEFT_STORE_NAME_BYTES_MAX);
        store->scratch = wf_malloc(most);
        if (store->scratch == NULL) return WEFT_NO_MEMORY;
    }
    wf_meta_write(meta, store->scratch);
    wf_batch_put(store->batch, WF_CF_META, id->bytes, WEFT_ID_BYTES, store->scratch,
                 wf_meta_bytes(meta));
    return WEFT_OK;
}

static void put_indexes(wf_store *store, const struct passage *p, uint64_t gen, uint64_t seq)
{
    const struct wf_add *add = p->add;
    uint8_t key[WF_KEY_GEN_BYTES], at[WF_KEY_SEQ_BYTES], number[WF_GEN_BYTES];
    uint8_t value[WF_ARR_BYTES_MAX];
    wf_key_seq(at, p->tree->now.t, seq);
    wf_batch_put(store->batch, WF_CF_ENTRY, at, sizeof at, add->bytes, add->len);
    wf_key_gen(key, p->tree->now.t, gen, &add->id);
    wf_put64(number, seq);
    wf_batch_put(store->batch, WF_CF_GEN, key, sizeof key, number, sizeof number);
    wf_arrival arrival = {
        .seq = seq, .id = add->id, .source = add->source, .source_seq = add->source_seq};
    wf_batch_put(store->batch, WF_CF_ARR, at, sizeof at, value, wf_arrival_write(&arrival, value));
}

/* The stores that it writes, each with its own order of entries. */
static void put_subs(wf_store *store, const struct passage *p, uint64_t gen, uint64_t seq)
{
    uint8_t key[WF_KEY_SUB_BYTES_MAX], number[WF_GEN_BYTES];
    wf_put64(number, seq);
    for (uint32_t s = 0; s < p->entry->stores_count; s++) {
        const weft_entry_store *part = &p->entry->stores[s];
        size_t len = wf_key_sub(key, p->tree->now.t, part->name, part->name_len, gen, &p->add->id);
        wf_batch_put(store->batch, WF_CF_SUB, key, len, number, sizeof number);
    }
}

static weft_err put_dominators(wf_store *store, const struct passage *p, uint64_t seq)
{
    struct wf_dom_entry entry = {.seq = seq,
                                 .parents = p->parents,
                                 .parents_count = p->parents_count,
                                 .stores = p->entry->stores,
                                 .stores_count = p->entry->stores_count};
    return wf_dom_add(store, p->tree, &entry);
}

/* Who may what is made anew when the batch is written. */
static void note_settings(wf_store *store, const struct passage *p)
{
    if (wf_entry_find_store(p->entry, WF_SETTINGS_NAME) == NULL) return;
    p->tree->settings_touched = true;
    store->settings_taken++;
}

static void write_names(wf_store *store, const weft_entry *entry, struct wf_fresh *fresh)
{
    fresh->names = store->arena_len;
    for (uint32_t s = 0; s < entry->stores_count; s++) {
        uint8_t *at = store->arena + store->arena_len;
        *at = (uint8_t)entry->stores[s].name_len;
        memcpy(at + 1, entry->stores[s].name, entry->stores[s].name_len);
        store->arena_len += 1 + entry->stores[s].name_len;
        fresh->named |= UINT64_C(1) << s;
    }
    fresh->names_len = store->arena_len - fresh->names;
}

/* Everything that an entry leaves behind. A failure in the middle spoils the batch. */
static weft_err put_entry(wf_store *store, struct passage *p, uint64_t gen)
{
    struct wf_add *add = p->add;
    wf_tree_info *now = &p->tree->now;
    weft_err err = reserve(store);
    if (err == WEFT_OK) err = wf_writer_touch(store, p->tree);
    if (err == WEFT_OK) err = link_parents(store, p);
    if (err == WEFT_OK) err = link_store_parents(store, p);
    if (err == WEFT_OK)
        err = wf_shelf_leave(store, p->tree, &add->id, p->parents, p->parents_count);
    if (err != WEFT_OK) return err;
    uint64_t seq = now->seq + 1;
    struct wf_fresh *fresh = &store->fresh[store->fresh_count];
    *fresh = (struct wf_fresh){.id = add->id,
                               .t = now->t,
                               .seq = seq,
                               .gen = gen,
                               .tip = true,
                               .source = add->source,
                               .holder = add->holder,
                               .bytes = add->bytes,
                               .len = add->len,
                               .taken_ns = add->taken_ns,
                               .shelved = add->shelved};
    write_names(store, p->entry, fresh);
    struct wf_meta_record meta = {.t = now->t,
                                  .gen = gen,
                                  .seq = seq,
                                  .height = p->entry->height,
                                  .author = p->entry->author,
                                  .policy = p->policy,
                                  .parents_count = p->parents_count,
                                  .parents = (const uint8_t *)p->parents,
                                  .names = store->arena + fresh->names,
                                  .names_len = fresh->names_len};
    err = wf_writer_meta(store, &meta, &add->id);
    if (err != WEFT_OK) return err;
    err = wf_sketches_add(store, p->tree, &add->id);
    if (err == WEFT_OK) err = put_dominators(store, p, seq);
    if (err != WEFT_OK) return err;
    put_indexes(store, p, gen, seq);
    put_subs(store, p, gen, seq);
    note_settings(store, p);
    struct wf_brief facts = {.id = add->id,
                             .t = now->t,
                             .gen = gen,
                             .seq = seq,
                             .height = p->entry->height,
                             .policy = p->policy,
                             .tip = WF_TIP_YES,
                             .names_len = fresh->names_len};
    struct wf_brief *brief;
    err = wf_briefs_add(&store->briefs, &facts, meta.names, &brief);
    if (err != WEFT_OK) return err;
    wf_briefs_pin(&store->briefs, brief);
    brief->fresh = store->fresh_count++;
    if (fresh->holder != NULL) weft_buf_ref(fresh->holder);
    now->seq = seq;
    now->count++;
    now->tips++;
    if (gen > now->max_gen) now->max_gen = gen;
    memcpy(now->last_id8, add->id.bytes, sizeof now->last_id8);
    add->t = now->t;
    add->seq = seq;
    add->gen = gen;
    return wf_batch_err(store->batch);
}

static weft_err open_tree(wf_store *store, struct passage *p)
{
    if (p->tree == NULL) {
        weft_err err = wf_trees_add(store, &p->entry->tree, &p->tree);
        if (err != WEFT_OK) return err;
        p->tree->now.followed = true;
    }
    if (p->entry->is_root) {
        p->tree->now.has_root = true;
        p->tree->now.strategy = p->entry->strategy;
        p->tree->record_touched = true;
    }
    return WEFT_OK;
}

/* -- The whole way -------------------------------------------------------------------------- */

/* The id was checked, and equal ids are equal bytes: nothing else changes. */
static void heal(wf_store *store, struct wf_add *add)
{
    uint8_t at[WF_KEY_SEQ_BYTES];
    if (!wf_damage_heal(store, add->t, add->seq)) return;
    wf_key_seq(at, add->t, add->seq);
    wf_batch_put(store->batch, WF_CF_ENTRY, at, sizeof at, add->bytes, add->len);
    add->healed = true;
}

/* Of an entry that is here already: who it came from, and whether its body is sound. */
static weft_err known(wf_store *store, struct wf_add *add, const struct wf_brief *brief)
{
    add->t = brief->t;
    add->seq = brief->seq;
    add->gen = brief->gen;
    uint32_t fresh = wf_brief_fresh(&store->briefs, brief);
    if (fresh != WF_NOT_FRESH) {
        add->known_from = store->fresh[fresh].source;
    } else {
        wf_arrival arrival;
        weft_err err = wf_store_arrival(store, brief->t, brief->seq, &arrival);
        if (err == WEFT_NOT_FOUND)
            return wf_fail(WEFT_CORRUPT, "store", "an arrival is missing seq=%llu",
                           (unsigned long long)brief->seq);
        if (err != WEFT_OK) return err;
        add->known_from = arrival.source;
        heal(store, add);
    }
    add->known = true;
    /* One on the shelf is tried for each of its parents, and stands since the first of a batch. */
    if (!add->healed && !add->shelved) wf_counter_add(&store->counters.known, 1);
    return WEFT_OK;
}

static weft_err pass(wf_store *store, struct passage *p)
{
    weft_err err = wf_door_tree(p->entry, p->add->asked, p->tree == NULL ? NULL : &p->tree->now,
                                p->add->create_tree);
    if (err != WEFT_OK) return err;
    struct wf_brief *brief;
    err = wf_briefs_find(&store->briefs, store->kv, &p->add->id, &brief);
    if (err == WEFT_OK) return known(store, p->add, brief);
    if (err != WEFT_NOT_FOUND) return err;
    err = list_parents(store, p);
    if (err == WEFT_OK) err = look_at_parents(store, p);
    if (err == WEFT_OK) err = look_at_store_parents(store, p);
    if (err != WEFT_OK) return err;
    p->facts.strategy = p->tree == NULL ? p->entry->strategy : p->tree->now.strategy;
    err = judge(store, p);
    if (err != WEFT_OK) return err;
    uint64_t gen = p->entry->is_root ? 0 : p->max_gen + 1;
    /* From here on the batch changes. */
    err = settle_policy(store, p, gen);
    if (err == WEFT_OK) err = open_tree(store, p);
    /* Of an entry no half is written, whatever the engine's answer in the middle of it was. */
    const bool begun = err == WEFT_OK;
    if (begun) err = put_entry(store, p, gen);
    bool refused = !begun && (err == WEFT_BAD_ENTRY || err == WEFT_LIMIT);
    if (err != WEFT_OK && !refused) store->poison = err;
    return err;
}

static weft_err facts_of(wf_store *store, struct passage *p, struct wf_meta_record *out)
{
    weft_err err = list_parents(store, p);
    if (err == WEFT_OK) err = look_at_parents(store, p);
    p->facts.strategy = p->tree->now.strategy;
    if (err == WEFT_OK) err = judge(store, p);
    uint64_t gen = p->entry->is_root ? 0 : p->max_gen + 1;
    if (err == WEFT_OK) err = settle_policy(store, p, gen);
    if (err == WEFT_OK) err = reserve(store);
    if (err != WEFT_OK) return err;
    struct wf_fresh names = {0};
    write_names(store, p->entry, &names);
    store->arena_len = names.names;
    *out = (struct wf_meta_record){.t = p->tree->now.t,
                                   .gen = gen,
                                   .height = p->entry->height,
                                   .author = p->entry->author,
                                   .policy = p->policy,
                                   .parents_count = p->parents_count,
                                   .parents = (const uint8_t *)p->parents,
                                   .names = store->arena + names.names,
                                   .names_len = names.names_len};
    return WEFT_OK;
}

weft_err wf_writer_facts(wf_store *store, struct wf_tree *tree, struct wf_add *add,
                         struct wf_meta_record *out)
{
    weft_entry *entry = store->entry;
    weft_err err = wf_entry_parse(add->bytes, add->len, entry);
    if (err != WEFT_OK) return err;
    entry->id = add->id;
    if (entry->is_root) entry->tree = add->id;
    struct passage p = {.add = add, .entry = entry, .tree = tree};
    err = facts_of(store, &p, out);
    wf_policy_destroy(p.joined);
    return err;
}

weft_err wf_writer_add(wf_store *store, struct wf_add *add)
{
    if (store->poison != WEFT_OK) return store->poison;
    weft_entry *entry = store->entry;
    add->known = add->healed = false;
    add->missing_count = 0;
    weft_err err = wf_entry_parse(add->bytes, add->len, entry);
    if (err != WEFT_OK) return err;
    entry->id = add->id;
    if (entry->is_root) entry->tree = add->id;
    struct passage p = {
        .add = add, .entry = entry, .tree = wf_trees_find(&store->trees, &entry->tree)};
    err = pass(store, &p);
    wf_policy_destroy(p.joined);
    return wf_mend_note(store, 0, err);
}
