/* SPDX-License-Identifier: Apache-2.0
 * view_source.c - the payloads of one named store, by its list or in the order of their arrival.
 * Called by: api_map.c. May touch: the store, reading.
 * Never: reads a body twice, goes beyond what the writer has published, keeps anything of
 * the engine between two calls.
 *
 * The list is in the order (gen, id), in which a new entry may stand anywhere. So whoever reads
 * it takes the tree's last arrival first: of the list only those up to it count, and when the
 * end is reached all of them are in. What comes meanwhile has later numbers and is met after
 * that, once. */
#include <string.h>

#include "alloc.h"
#include "entry.h"
#include "log.h"
#include "state.h"
#include "view.h"

#define PAGE 256u /* places of the list read at once */

weft_err wf_view_source_init(wf_store *store, const weft_id *tree, const char *name,
                             struct wf_view_source *out)
{
    wf_tree_info info;
    const size_t len = strlen(name);
    if (len == 0 || len > WEFT_STORE_NAME_BYTES_MAX) return WEFT_INVALID;
    weft_err err = wf_store_tree(store, tree, &info);
    if (err != WEFT_OK) return err == WEFT_NOT_FOUND ? WEFT_TREE : err;
    *out = (struct wf_view_source){.store = store, .t = info.t, .name_len = len};
    memcpy(out->name, name, len);
    out->entry = wf_malloc(sizeof *out->entry);
    out->page = wf_malloc(PAGE * sizeof *out->page);
    if (out->entry != NULL && out->page != NULL) return WEFT_OK;
    wf_view_source_fini(out);
    return WEFT_NO_MEMORY;
}

void wf_view_source_fini(struct wf_view_source *source)
{
    wf_dag_bits_fini(&source->only);
    wf_free(source->holes);
    wf_free(source->entry);
    wf_free(source->page);
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
        for (uint32_t i = 0; i < facts.count; i++)
            if (facts.list[i].gen > source->top_gen) source->top_gen = facts.list[i].gen;
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

/* -- By the list ------------------------------------------------------------------------------- */

struct turn { /* one call */
    wf_view *view;
    uint64_t *read;
    uint64_t left; /* that it may look up yet */
};

static void spend(struct wf_view_source *source, struct turn *turn, uint64_t looked)
{
    turn->left -= looked;
    source->looked += looked;
}

/* Is the list shorter than what arrived? All that was met before stands in it, too. At a cut
 * nobody knows how much of the list is not below it: it is given as many steps as arrivals are. */
static bool list_is_short(const struct wf_view_source *source, uint64_t upto)
{
    const uint64_t met = source->entries + source->skipped + source->holes_count;
    if (source->by_arrivals || !wf_store_lists_named(source->store)) return false;
    return source->fixed ? !source->list.given_up : met < upto - source->seq;
}

static void begin_list(struct wf_view_source *source, uint64_t upto, uint64_t top_gen)
{
    uint64_t steps = 0;
    for (uint64_t word = 0; source->fixed && word <= upto / 64; word++)
        for (uint64_t bits = source->only.words[word]; bits != 0; bits &= bits - 1) steps++;
    source->list.under_way = true;
    source->list.begun = false;
    source->list.upto = upto;
    source->list.top_gen = top_gen;
    source->list.steps = source->fixed ? steps : UINT64_MAX;
}

/* The next places, at most `room`. *last: nothing that counts is behind them. */
static weft_err read_page(struct wf_view_source *source, uint64_t room, uint32_t *count, bool *last)
{
    wf_gen_walk *walk;
    const weft_id *after = source->list.begun ? &source->list.id : NULL;
    weft_err err = wf_gen_walk_create_named(source->store, source->t, source->name, false,
                                            source->list.gen, after, &walk);
    if (err != WEFT_OK) return err;
    *count = 0;
    while (err == WEFT_OK && !*last && *count < PAGE && *count < room) {
        err = wf_gen_walk_next(walk, &source->page[*count]);
        if (err == WEFT_OK && source->page[*count].gen > source->list.top_gen) err = WEFT_END;
        *last = err == WEFT_END;
        *count += err == WEFT_OK;
    }
    wf_gen_walk_destroy(walk);
    return *last ? WEFT_OK : err;
}

static weft_err read_listed(struct wf_view_source *source, struct turn *turn, const wf_place *place)
{
    weft_err err = WEFT_OK;
    bool counts = place->seq > source->seq && place->seq <= source->list.upto;
    if (source->fixed) counts = wf_dag_bits_has(&source->only, place->seq);
    if (counts) err = take_in(source, turn->view, place, turn->read);
    if (err == WEFT_CORRUPT) err = note_hole(source, place);
    if (err != WEFT_OK) return err;
    if (source->fixed && counts)
        source->only.words[place->seq / 64] &= ~(UINT64_C(1) << (place->seq % 64));
    source->list.begun = true;
    source->list.gen = place->gen;
    source->list.id = place->id;
    return WEFT_OK;
}

static weft_err read_by_list(struct wf_view_source *source, struct turn *turn)
{
    for (bool last = false; !last;) {
        uint32_t count = 0;
        uint64_t room = turn->left < source->list.steps ? turn->left : source->list.steps;
        if (turn->left == 0) return WEFT_AGAIN;
        if (room == 0) { /* too much of it is not below the cut */
            source->list.under_way = false;
            source->list.given_up = true;
            return WEFT_OK;
        }
        weft_err err = read_page(source, room, &count, &last);
        if (err != WEFT_OK) return err;
        spend(source, turn, count);
        for (uint32_t i = 0; i < count; i++) {
            err = read_listed(source, turn, &source->page[i]);
            if (err != WEFT_OK) return err;
        }
        if (source->fixed) source->list.steps -= count;
    }
    source->list.under_way = false;
    source->seq = source->list.upto;
    return WEFT_OK;
}

/* -- By arrivals ------------------------------------------------------------------------------- */

static weft_err read_one(struct wf_view_source *source, struct turn *turn, uint64_t seq)
{
    wf_place place;
    bool member = false;
    weft_err err = look_up(source, seq, &place, &member);
    if (err != WEFT_OK || !member) return err;
    err = take_in(source, turn->view, &place, turn->read);
    return err == WEFT_CORRUPT ? note_hole(source, &place) : err;
}

static weft_err read_by_arrivals(struct wf_view_source *source, struct turn *turn, uint64_t upto)
{
    for (; source->seq < upto; source->seq++) {
        uint64_t seq = source->seq + 1;
        if (source->fixed && !wf_dag_bits_has(&source->only, seq)) continue;
        if (turn->left == 0) return WEFT_AGAIN;
        spend(source, turn, 1);
        weft_err err = read_one(source, turn, seq);
        if (err != WEFT_OK) return err;
    }
    return WEFT_OK;
}

/* -- All that is new ----------------------------------------------------------------------------- */

weft_err wf_view_source_read(struct wf_view_source *source, wf_view *view, uint64_t *read)
{
    wf_tree_info info;
    struct turn turn = {view, read, source->budget == 0 ? UINT64_MAX : source->budget};
    weft_err err = fill_holes(source, view, read);
    if (err == WEFT_OK) err = wf_store_tree_by_number(source->store, source->t, &info);
    if (err != WEFT_OK) return err;
    const uint64_t upto = source->fixed ? source->upto : info.seq;
    while (err == WEFT_OK && source->seq < upto) {
        if (!source->list.under_way && list_is_short(source, upto))
            begin_list(source, upto, source->fixed ? source->top_gen : info.max_gen);
        err = source->list.under_way ? read_by_list(source, &turn)
                                     : read_by_arrivals(source, &turn, upto);
    }
    if (err != WEFT_OK) return err;
    return source->holes_count > 0 ? WEFT_CORRUPT : WEFT_OK;
}
