/* SPDX-License-Identifier: Apache-2.0
 * view_source.c - the payloads of one named store, by its list or in the order of their arrival.
 * Called by: api_map.c. May touch: the store, reading.
 * Never: reads a body twice, goes beyond what the writer has published, keeps anything of
 * the engine between two calls.
 *
 * The list is in the order (gen, id), in which a new entry may stand anywhere. So whoever reads
 * it takes the tree's last arrival first: of the list only those up to it count, and when the
 * end is reached all of them are in. What comes meanwhile has later numbers and is met after
 * that, once.
 *
 * Settings are read, too: whoever they revoke is left out (standing.h). By the list they come first.
 * A revocation that comes later makes the view stale: it is begun anew, and knows it then. */
#include <string.h>

#include "alloc.h"
#include "entry.h"
#include "log.h"
#include "state.h"
#include "view.h"

#define PAGE 256u /* places of the list read at once */

static weft_err make_room(struct wf_view_source *source)
{
    source->entry = wf_malloc(sizeof *source->entry);
    source->page = wf_malloc(PAGE * sizeof *source->page);
    return source->entry != NULL && source->page != NULL ? WEFT_OK : WEFT_NO_MEMORY;
}

weft_err wf_view_source_init(wf_store *store, const weft_id *tree, const char *name,
                             struct wf_view_source *out)
{
    wf_tree_info info;
    const size_t len = strlen(name);
    if (len == 0 || len > WEFT_STORE_NAME_BYTES_MAX) return WEFT_INVALID;
    weft_err err = wf_store_tree(store, tree, &info);
    if (err != WEFT_OK) return err == WEFT_NOT_FOUND ? WEFT_TREE : err;
    *out = (struct wf_view_source){.store = store, .tree = *tree, .t = info.t, .name_len = len};
    memcpy(out->name, name, len);
    err = make_room(out);
    /* Settings show what the door goes by, and that is all of them. */
    if (err == WEFT_OK && strcmp(name, WF_SETTINGS_NAME) != 0)
        err = wf_standing_create(store, info.t, tree, &out->standing);
    if (out->standing != NULL) out->standing->marks = true;
    if (err != WEFT_OK) wf_view_source_fini(out);
    return err;
}

weft_err wf_view_source_renew(struct wf_view_source *old, struct wf_view_source *out)
{
    struct wf_view_source new = *old;
    new.holes = (struct wf_view_holes){0};
    new.seq = new.looked = new.entries = new.skipped = new.left_out = 0;
    new.stale = new.list.under_way = new.list.given_up = false;
    weft_err err = make_room(&new);
    if (err != WEFT_OK) {
        wf_free(new.entry);
        wf_free(new.page);
        return err;
    }
    old->standing = NULL;
    old->settings_holes = (struct wf_view_holes){0};
    old->only = (struct wf_dag_bits){0};
    *out = new;
    return WEFT_OK;
}

void wf_view_source_fini(struct wf_view_source *source)
{
    wf_dag_bits_fini(&source->only);
    wf_free(source->holes.list);
    wf_free(source->settings_holes.list);
    wf_standing_destroy(source->standing);
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

/* Where an arrival stands, and whether it writes the store and settings. */
static weft_err look_up(struct wf_view_source *source, uint64_t seq, wf_place *out, bool *member,
                        bool *settings)
{
    wf_arrival arrival;
    wf_value value;
    struct wf_meta_record meta;
    weft_err err = wf_store_arrival(source->store, source->t, seq, &arrival);
    if (err == WEFT_OK)
        err = wf_kv_get(source->store->kv, NULL, WF_CF_META, arrival.id.bytes, WEFT_ID_BYTES,
                        &value);
    if (err == WEFT_NOT_FOUND && wf_store_is_removed(source->store, source->t)) return err;
    if (err == WEFT_NOT_FOUND) return wf_fail(WEFT_CORRUPT, "map", "an arrival is missing");
    if (err != WEFT_OK) return err;
    err = wf_meta_read(value.data, value.len, &meta);
    if (err == WEFT_OK) {
        const char name[] = WF_SETTINGS_NAME;
        *out = (wf_place){meta.gen, seq, arrival.id};
        *member = wf_names_have(meta.names, meta.names_len, source->name, source->name_len);
        *settings = wf_names_have(meta.names, meta.names_len, name, sizeof name - 1);
    }
    wf_value_release(source->store->kv, &value);
    return err;
}

/* Into source->entry, which points into *out. CORRUPT: its body cannot be read now. */
static weft_err read_body(struct wf_view_source *source, const wf_place *place, weft_buf **out)
{
    weft_buf *buf = NULL;
    weft_err err = wf_store_get_at(source->store, source->t, place, &buf);
    if (err != WEFT_OK) return err;
    if (wf_entry_parse(weft_buf_bytes(buf), weft_buf_len(buf), source->entry) != WEFT_OK) {
        weft_buf_unref(buf);
        return wf_fail(WEFT_CORRUPT, "map", "a body that the door let in does not parse");
    }
    *out = buf;
    return WEFT_OK;
}

static weft_err leaves_out(struct wf_view_source *source, struct turn *turn, const wf_place *place,
                           bool *out)
{
    const uint64_t left = turn->left;
    *out = false;
    if (source->standing == NULL) return WEFT_OK;
    const weft_entry *entry = source->entry;
    const bool settings = wf_entry_find_store(entry, WF_SETTINGS_NAME) != NULL;
    weft_err err = wf_standing_leaves_out(source->standing, place, &entry->author, settings,
                                          &turn->left, out);
    source->looked += left - turn->left;
    return err;
}

static weft_err take_in(struct wf_view_source *source, struct turn *turn, const wf_place *place)
{
    weft_buf *buf = NULL;
    bool out = false;
    weft_err err = read_body(source, place, &buf);
    if (err != WEFT_OK) return err;
    err = leaves_out(source, turn, place, &out);
    if (err != WEFT_OK) goto done;
    (*turn->read)++;
    if (out) {
        source->left_out++;
        goto done;
    }
    const weft_entry_store *part = wf_entry_find_store(source->entry, source->name);
    const wf_stamp at = {place->gen, place->id};
    if (part == NULL) err = WEFT_SYNTAX;
    else err = wf_view_apply(turn->view, part->payload, part->payload_len, &at);
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

static weft_err take_settings(struct wf_view_source *source, const wf_place *place)
{
    weft_buf *buf = NULL;
    weft_err err = read_body(source, place, &buf);
    if (err == WEFT_OK) err = wf_standing_take_in(source->standing, place, source->entry);
    weft_buf_unref(buf);
    return err;
}

/* -- Holes -------------------------------------------------------------------------------------- */

static weft_err note_hole(struct wf_view_holes *holes, const wf_place *place)
{
    if (holes->count == WEFT_DAMAGED_MAX) return WEFT_CORRUPT;
    if (holes->count == holes->room) {
        uint32_t room = holes->room == 0 ? 16 : holes->room * 2;
        wf_place *list = wf_realloc(holes->list, room * sizeof *list);
        if (list == NULL) return WEFT_NO_MEMORY;
        holes->list = list;
        holes->room = room;
    }
    holes->list[holes->count++] = *place;
    return WEFT_OK;
}

/* Bodies in quarantine are refused without a look at the disk, so asking again is cheap. */
static weft_err fill_holes(struct wf_view_source *source, struct turn *turn, bool settings)
{
    struct wf_view_holes *holes = settings ? &source->settings_holes : &source->holes;
    uint32_t kept = 0;
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; i < holes->count; i++) {
        weft_err one = err;
        if (one == WEFT_OK && settings) one = take_settings(source, &holes->list[i]);
        else if (one == WEFT_OK) one = take_in(source, turn, &holes->list[i]);
        if (one == WEFT_OK) continue;
        holes->list[kept++] = holes->list[i];
        if (one != WEFT_CORRUPT) err = one;
    }
    holes->count = kept;
    return err;
}

/* -- Revocations ---------------------------------------------------------------------------------- */

static weft_err read_settings(struct wf_view_source *source, const wf_place *place)
{
    weft_err err = take_settings(source, place);
    return err == WEFT_CORRUPT ? note_hole(&source->settings_holes, place) : err;
}

/* What the store lists that was met, whatever became of it. */
static uint64_t met(const struct wf_view_source *source)
{
    return source->entries + source->skipped + source->left_out + source->holes.count;
}

static bool unsettled(const struct wf_view_source *source)
{
    return source->standing != NULL && source->standing->dirty;
}

static weft_err settle(struct wf_view_source *source)
{
    bool changed = false;
    weft_err err = wf_standing_settle(source->standing, &changed);
    if (err != WEFT_OK) return err;
    source->stale = changed && met(source) > source->holes.count;
    return source->stale ? WEFT_AGAIN : WEFT_OK;
}

/* -- By the list ------------------------------------------------------------------------------- */

/* Is the list shorter than what arrived? All that was met before stands in it, too. At a cut
 * nobody knows how much of the list is not below it: it is given as many steps as arrivals are. */
static bool list_is_short(const struct wf_view_source *source, uint64_t upto)
{
    if (source->by_arrivals || !wf_store_lists_named(source->store)) return false;
    return source->fixed ? !source->list.given_up : met(source) < upto - source->seq;
}

static bool settings_are_known(const struct wf_view_source *source, uint64_t upto)
{
    return source->standing == NULL || source->standing->upto >= upto;
}

static void begin_list(struct wf_view_source *source, bool settings, uint64_t upto,
                       uint64_t top_gen)
{
    uint64_t steps = 0;
    for (uint64_t word = 0; source->fixed && !settings && word <= upto / 64; word++)
        for (uint64_t bits = source->only.words[word]; bits != 0; bits &= bits - 1) steps++;
    source->list.under_way = true;
    source->list.settings = settings;
    source->list.begun = false;
    source->list.upto = upto;
    source->list.top_gen = top_gen;
    source->list.steps = source->fixed && !settings ? steps : UINT64_MAX;
}

/* The next places, at most `room`. *last: nothing that counts is behind them. */
static weft_err read_page(struct wf_view_source *source, uint64_t room, uint32_t *count, bool *last)
{
    wf_gen_walk *walk;
    const weft_id *after = source->list.begun ? &source->list.id : NULL;
    const char *name = source->list.settings ? WF_SETTINGS_NAME : source->name;
    weft_err err = wf_gen_walk_create_named(source->store, source->t, name, false, source->list.gen,
                                            after, &walk);
    if (err != WEFT_OK) return err;
    *count = 0;
    for (bool full = false; err == WEFT_OK && !*last && !full;) {
        wf_place place;
        err = wf_gen_walk_next(walk, &place);
        if (err == WEFT_OK && place.gen > source->list.top_gen) err = WEFT_END;
        *last = err == WEFT_END;
        full = *count == PAGE || *count == room; /* one more was looked at, to know the end */
        if (err == WEFT_OK && !full) source->page[(*count)++] = place;
    }
    wf_gen_walk_destroy(walk);
    return *last ? WEFT_OK : err;
}

static weft_err read_listed(struct wf_view_source *source, struct turn *turn, const wf_place *place)
{
    const bool settings = source->list.settings;
    const uint64_t known = settings ? source->standing->upto : source->seq;
    weft_err err = WEFT_OK;
    bool counts = place->seq > known && place->seq <= source->list.upto;
    if (source->fixed) counts = counts && wf_dag_bits_has(&source->only, place->seq);
    if (counts && settings) err = read_settings(source, place);
    else if (counts) err = take_in(source, turn, place);
    if (err == WEFT_CORRUPT && !settings) err = note_hole(&source->holes, place);
    if (err != WEFT_OK) return err;
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
        if (source->list.steps != UINT64_MAX) source->list.steps -= count;
    }
    source->list.under_way = false;
    if (source->list.settings) {
        source->standing->upto = source->list.upto;
        source->list.prepared = true;
    } else {
        source->seq = source->list.upto;
        source->list.prepared = false;
    }
    return WEFT_OK;
}

/* -- By arrivals ------------------------------------------------------------------------------- */

static weft_err read_one(struct wf_view_source *source, struct turn *turn, uint64_t seq)
{
    wf_place place;
    bool member = false, settings = false;
    weft_err err = look_up(source, seq, &place, &member, &settings);
    if (err == WEFT_OK && !settings_are_known(source, seq)) {
        if (settings) err = read_settings(source, &place);
        if (err == WEFT_OK) source->standing->upto = seq;
    }
    if (err == WEFT_OK && unsettled(source)) err = settle(source);
    if (err != WEFT_OK || !member) return err;
    if (source->list.given_up && source->list.begun) { /* what the list gave, it has */
        const wf_stamp at = {place.gen, place.id}, done = {source->list.gen, source->list.id};
        if (wf_stamp_compare(&at, &done) <= 0) return WEFT_OK;
    }
    err = take_in(source, turn, &place);
    return err == WEFT_CORRUPT ? note_hole(&source->holes, &place) : err;
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

/* One list, or all arrivals up to `upto`. */
static weft_err read_some(struct wf_view_source *source, struct turn *turn, uint64_t upto,
                          uint64_t max_gen)
{
    const uint64_t top_gen = source->fixed ? source->top_gen : max_gen;
    if (!source->list.under_way) {
        /* A cut's are always read first, or a revocation would be met after what it leaves out. */
        bool list = list_is_short(source, upto), cut = source->fixed && !source->by_arrivals;
        if ((list || cut) && !source->list.prepared && !settings_are_known(source, upto))
            begin_list(source, true, upto, top_gen);
        else if (list)
            begin_list(source, false, source->list.prepared ? source->standing->upto : upto,
                       top_gen);
    }
    if (source->list.under_way) return read_by_list(source, turn);
    return read_by_arrivals(source, turn, upto);
}

weft_err wf_view_source_read(struct wf_view_source *source, wf_view *view, uint64_t *read)
{
    wf_tree_info info;
    struct turn turn = {view, read, source->budget == 0 ? UINT64_MAX : source->budget};
    weft_err err = wf_store_tree_by_number(source->store, source->t, &info);
    if (err != WEFT_OK) return err;
    const uint64_t upto = source->fixed ? source->upto : info.seq;
    if (source->stale) return WEFT_AGAIN;
    err = fill_holes(source, &turn, true);
    while (err == WEFT_OK && (source->seq < upto || unsettled(source))) {
        bool gathering = source->list.under_way && source->list.settings;
        if (unsettled(source) && !gathering) err = settle(source);
        else err = read_some(source, &turn, upto, info.max_gen);
    }
    if (err == WEFT_OK) err = fill_holes(source, &turn, false);
    if (err != WEFT_OK) return err;
    return source->holes.count + source->settings_holes.count > 0 ? WEFT_CORRUPT : WEFT_OK;
}
