/* SPDX-License-Identifier: Apache-2.0
 * view_source.c - the payloads of one named store, in the order of their arrival.
 * Called by: api_map.c. May touch: the store, reading.
 * Never: reads a body twice, goes beyond what the writer has published, keeps anything of
 * the engine between two calls. */
#include <string.h>

#include "alloc.h"
#include "entry.h"
#include "log.h"
#include "state.h"
#include "view.h"

weft_err wf_view_source_init(wf_store *store, const weft_id *tree, const char *name,
                             struct wf_view_source *out)
{
    wf_tree_info info;
    const size_t len = strlen(name);
    if (len == 0 || len > WEFT_STORE_NAME_BYTES_MAX) return WEFT_INVALID;
    weft_err err = wf_store_tree(store, tree, &info);
    if (err != WEFT_OK) return err == WEFT_NOT_FOUND ? WEFT_TREE : err;
    weft_entry *entry = wf_malloc(sizeof *entry);
    if (entry == NULL) return WEFT_NO_MEMORY;
    *out = (struct wf_view_source){.store = store, .t = info.t, .name_len = len, .entry = entry};
    memcpy(out->name, name, len);
    return WEFT_OK;
}

void wf_view_source_fini(struct wf_view_source *source)
{
    wf_dag_bits_fini(&source->only);
    wf_free(source->holes);
    wf_free(source->entry);
    *source = (struct wf_view_source){.seq = 0};
}

/* -- A past cut ---------------------------------------------------------------------------- */

static weft_err mark_below(struct wf_dag *dag, const struct wf_facts *cut, struct wf_dag_bits *out)
{
    struct wf_dag_mark *mark = NULL;
    weft_err err = wf_dag_mark_create(dag, cut, &mark);
    if (err == WEFT_OK) do
            err = wf_dag_mark_step(mark, UINT32_MAX);
        while (err == WEFT_AGAIN);
    if (err == WEFT_OK) {
        const struct wf_dag_bits *bits = wf_dag_mark_bits(mark);
        for (uint64_t word = 0; word <= dag->upto_seq / 64; word++)
            out->words[word] = bits->words[word];
    }
    wf_dag_mark_destroy(mark);
    return err;
}

weft_err wf_view_source_fix(struct wf_view_source *source, const weft_id *tree, const weft_cut *cut)
{
    struct wf_dag *dag = NULL;
    struct wf_facts facts = {0};
    struct wf_dag_bits only = {0};
    weft_err err = wf_dag_open(source->store, tree, NULL, &dag);
    if (err == WEFT_OK) err = wf_dag_cut(dag, cut, &facts, NULL, NULL);
    if (err == WEFT_OK) err = wf_dag_bits_create(dag->upto_seq, &only);
    if (err == WEFT_OK && facts.count > 0) err = mark_below(dag, &facts, &only);
    if (err == WEFT_OK) {
        source->fixed = true;
        source->upto = dag->upto_seq;
        source->only = only;
        only = (struct wf_dag_bits){0}; /* the source's now */
    }
    wf_dag_bits_fini(&only);
    wf_facts_fini(&facts);
    wf_dag_unref(dag);
    return err;
}

/* -- One entry -------------------------------------------------------------------------------- */

/* Where an arrival stands, and whether it writes the store. */
static weft_err look_up(struct wf_view_source *source, uint64_t seq, wf_place *out, bool *member)
{
    wf_arrival arrival;
    wf_value value;
    struct wf_meta_record meta;
    weft_err err = wf_store_arrival(source->store, source->t, seq, &arrival);
    if (err == WEFT_OK)
        err = wf_kv_get(source->store->kv, NULL, WF_CF_META, arrival.id.bytes, WEFT_ID_BYTES,
                        &value);
    if (err == WEFT_NOT_FOUND) return wf_fail(WEFT_CORRUPT, "map", "an arrival is missing");
    if (err != WEFT_OK) return err;
    err = wf_meta_read(value.data, value.len, &meta);
    if (err == WEFT_OK) {
        *out = (wf_place){meta.gen, seq, arrival.id};
        *member = wf_names_have(meta.names, meta.names_len, source->name, source->name_len);
    }
    wf_value_release(source->store->kv, &value);
    return err;
}

/* CORRUPT: its body cannot be read now. */
static weft_err take_in(struct wf_view_source *source, wf_view *view, const wf_place *place,
                        uint64_t *read)
{
    weft_buf *buf = NULL;
    weft_err err = wf_store_get_at(source->store, source->t, place, &buf);
    if (err != WEFT_OK) return err;
    (*read)++;
    err = wf_entry_parse(weft_buf_bytes(buf), weft_buf_len(buf), source->entry);
    if (err != WEFT_OK) goto done;
    const weft_entry_store *part = wf_entry_find_store(source->entry, source->name);
    const wf_stamp at = {place->gen, place->id};
    if (part == NULL) err = WEFT_SYNTAX;
    else err = wf_view_apply(view, part->payload, part->payload_len, &at);
    if (err == WEFT_OK) source->entries++;
    /* What every node sees in the bytes, all of them skip. */
    if (err == WEFT_SYNTAX || err == WEFT_NOT_CANONICAL || err == WEFT_BAD_ENTRY) {
        source->skipped++;
        err = WEFT_OK;
    }
done:
    weft_buf_unref(buf);
    return err;
}

/* -- Holes -------------------------------------------------------------------------------------- */

static weft_err note_hole(struct wf_view_source *source, const wf_place *place)
{
    if (source->holes_count == WEFT_DAMAGED_MAX) return WEFT_CORRUPT;
    if (source->holes_count == source->holes_room) {
        uint32_t room = source->holes_room == 0 ? 16 : source->holes_room * 2;
        wf_place *holes = wf_realloc(source->holes, room * sizeof *holes);
        if (holes == NULL) return WEFT_NO_MEMORY;
        source->holes = holes;
        source->holes_room = room;
    }
    source->holes[source->holes_count++] = *place;
    return WEFT_OK;
}

/* Bodies in quarantine are refused without a look at the disk, so asking again is cheap. */
static weft_err fill_holes(struct wf_view_source *source, wf_view *view, uint64_t *read)
{
    uint32_t kept = 0;
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; i < source->holes_count; i++) {
        weft_err one = err == WEFT_OK ? take_in(source, view, &source->holes[i], read) : err;
        if (one == WEFT_OK) continue;
        source->holes[kept++] = source->holes[i];
        if (one != WEFT_CORRUPT) err = one;
    }
    source->holes_count = kept;
    return err;
}

/* -- All that is new ----------------------------------------------------------------------------- */

static weft_err read_one(struct wf_view_source *source, wf_view *view, uint64_t seq, uint64_t *read)
{
    wf_place place;
    bool member = false;
    weft_err err = look_up(source, seq, &place, &member);
    if (err != WEFT_OK || !member) return err;
    err = take_in(source, view, &place, read);
    return err == WEFT_CORRUPT ? note_hole(source, &place) : err;
}

weft_err wf_view_source_read(struct wf_view_source *source, wf_view *view, uint64_t *read)
{
    wf_tree_info info;
    uint64_t looked = 0;
    weft_err err = fill_holes(source, view, read);
    if (err == WEFT_OK) err = wf_store_tree_by_number(source->store, source->t, &info);
    if (err != WEFT_OK) return err;
    const uint64_t upto = source->fixed ? source->upto : info.seq;
    for (; source->seq < upto; source->seq++) {
        uint64_t seq = source->seq + 1;
        if (source->fixed && !wf_dag_bits_has(&source->only, seq)) continue;
        if (source->budget != 0 && looked == source->budget) return WEFT_AGAIN;
        err = read_one(source, view, seq, read);
        if (err != WEFT_OK) return err;
        looked++;
    }
    return source->holes_count > 0 ? WEFT_CORRUPT : WEFT_OK;
}
