/* SPDX-License-Identifier: Apache-2.0
 * trust_world.c - authors that lie and rights that come and go (trust_world.h).
 * Called by: test_trust_world.c. May touch: the world that it is given.
 * Never: threads, the machine's clock. */
#include "trust_world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

#define CALL (30 * WEFT_SEC)

weft_keypair *trust_pair(uint8_t number, weft_key *out)
{
    const uint8_t seed[32] = {number, 0, 0x77}; /* no device of a world, whatever its seed */
    weft_keypair *pair = NULL;
    cr_assert_eq(weft_keypair_from_seed(seed, &pair), WEFT_OK);
    if (out != NULL) weft_keypair_public(pair, out);
    return pair;
}

/* -- Entries ------------------------------------------------------------------------------------- */

weft_err trust_say(struct world *w, uint32_t node, const weft_key *who, weft_right right,
                   struct trust_cut *out)
{
    const weft_grant grant = {.key = *who, .right = right, .priority = 10};
    weft_node *at = w->nodes[node].node;
    weft_id id;
    weft_err err = weft_grant_put(at, &w->tree, w->author, &grant, 1, CALL, &id);
    if (err != WEFT_OK || out == NULL) return err;
    static weft_entry entry;
    weft_buf *buf = NULL;
    cr_assert_eq(weft_get(at, &id, &buf), WEFT_OK);
    cr_assert_eq(weft_entry_decode(weft_buf_bytes(buf), weft_buf_len(buf), &entry), WEFT_OK);
    *out = (struct trust_cut){.id = id, .height = entry.height};
    weft_buf_unref(buf);
    return WEFT_OK;
}

weft_buf *trust_entry(const struct world *w, const weft_keypair *author,
                      const struct trust_cut *places, uint32_t count, const char *name,
                      uint64_t number, struct trust_cut *out)
{
    weft_id parents[4], docs[4];
    weft_map_edit *edit = NULL;
    weft_buf *payload = NULL, *entry = NULL;
    uint32_t docs_count = 0;
    uint64_t height = 0;
    cr_assert_leq(count, 4);
    for (uint32_t i = 0; i < count; i++) {
        parents[i] = places[i].id;
        if (places[i].has_doc) docs[docs_count++] = places[i].doc;
        if (places[i].height > height) height = places[i].height;
    }
    cr_assert_eq(weft_map_edit_create(&edit), WEFT_OK);
    cr_assert_eq(weft_map_edit_set(edit, WEFT_MAP_PATH(name), weft_map_uint(number)), WEFT_OK);
    cr_assert_eq(weft_map_edit_encode(edit, &payload), WEFT_OK);
    const weft_store_part part = {.name = TRUST_DOC,
                                  .parents = docs,
                                  .parents_count = docs_count,
                                  .payload = weft_buf_bytes(payload),
                                  .payload_len = weft_buf_len(payload)};
    const weft_entry_spec spec = {.tree = w->tree,
                                  .parents = parents,
                                  .parents_count = count,
                                  .height = height + 1,
                                  .stores = &part,
                                  .stores_count = 1};
    *out = (struct trust_cut){.has_doc = true, .height = height + 1};
    cr_assert_eq(weft_entry_build(&spec, author, &entry, &out->id), WEFT_OK);
    out->doc = out->id;
    weft_buf_unref(payload);
    weft_map_edit_destroy(edit);
    return entry;
}

weft_err trust_add(struct world *w, uint32_t node, weft_buf *entry)
{
    return weft_add(w->nodes[node].node, &entry, 1, false, CALL, NULL);
}

bool trust_has(struct world *w, uint32_t node, const weft_id *id)
{
    weft_buf *buf = NULL;
    weft_err err = weft_get(w->nodes[node].node, id, &buf);
    cr_assert(err == WEFT_OK || err == WEFT_NOT_FOUND);
    weft_buf_unref(buf);
    return err == WEFT_OK;
}

bool trust_counts(struct world *w, uint32_t node, const weft_id *id)
{
    bool counts = false;
    weft_err err = weft_entry_counts(w->nodes[node].node, id, &counts);
    cr_assert_eq(err, WEFT_OK, "seed %lu: %s", w->seed, weft_errname(err));
    return counts;
}

/* -- Views --------------------------------------------------------------------------------------- */

weft_map *trust_map(struct world *w, uint32_t node)
{
    weft_map *map = NULL;
    cr_assert_eq(weft_map_open(w->nodes[node].node, &w->tree, TRUST_DOC, &map), WEFT_OK);
    return map;
}

uint64_t trust_shows(weft_map *map, const char *name)
{
    weft_map_value value = {.as.uint = 0};
    cr_assert_eq(weft_map_refresh(map, NULL), WEFT_OK);
    weft_err err = weft_map_get(map, WEFT_MAP_PATH(name), &value);
    cr_assert(err == WEFT_OK || err == WEFT_NOT_FOUND);
    return err == WEFT_OK ? value.as.uint : 0;
}

struct telling {
    struct world *w;
    uint32_t node;
    FILE *out;
};

static weft_err tell_entry(void *arg, const weft_entry *entry)
{
    struct telling *t = arg;
    fprintf(t->out, "%d", trust_counts(t->w, t->node, &entry->id));
    return WEFT_OK;
}

static weft_err tell_item(void *arg, const weft_map_item *item)
{
    fprintf(arg, " %.*s=%d", (int)item->path.part[0].len, item->path.part[0].text,
            (int)item->value.as.uint);
    return WEFT_OK;
}

char *trust_told(struct world *w, uint32_t node)
{
    char *bytes = NULL;
    size_t len = 0, count = 16;
    weft_grant list[16];
    struct telling t = {w, node, open_memstream(&bytes, &len)};
    weft_map *map = trust_map(w, node);
    cr_assert_eq(weft_map_refresh(map, NULL), WEFT_OK);
    cr_assert_eq(weft_map_each(map, NULL, tell_item, t.out), WEFT_OK);
    cr_assert_eq(weft_grant_list(w->nodes[node].node, &w->tree, list, &count), WEFT_OK);
    for (size_t i = 0; i < count; i++)
        fprintf(t.out, "\n%02x%02x %d:%d", list[i].key.bytes[0], list[i].key.bytes[1],
                (int)list[i].right, (int)list[i].priority);
    fprintf(t.out, "\n");
    cr_assert_eq(weft_tree_walk(w->nodes[node].node, &w->tree, tell_entry, &t), WEFT_OK);
    fclose(t.out);
    weft_map_close(map);
    return bytes;
}

void trust_expect_same(struct world *w)
{
    char *first = trust_told(w, 0);
    for (uint32_t i = 1; i < w->count; i++) {
        char *other = trust_told(w, i);
        cr_expect_str_eq(other, first, "seed %lu: node %u", w->seed, i);
        free(other);
    }
    free(first);
}

/* -- Apart and together -------------------------------------------------------------------------- */

void trust_cut_all(struct world *w, bool cut)
{
    for (uint32_t a = 0; a < w->count; a++)
        for (uint32_t b = a + 1; b < w->count; b++) world_cut(w, a, b, cut);
}

void trust_meet(struct world *w)
{
    trust_cut_all(w, false);
    bool equal = world_converges(w, TRUST_LONG);
    if (!equal) world_describe(w);
    cr_assert(equal, "seed %lu", w->seed);
}

/* -- The judge ----------------------------------------------------------------------------------- */

static void judge(struct world *w, uint32_t from, const weft_key *to, const weft_id *tree,
                  uint32_t type)
{
    struct trust_model *m = w->judge_arg;
    bool content = type == WF_F_ENTRIES || type == WF_F_PUSH || type == WF_F_IDS;
    if (!content || tree == NULL || !weft_id_equal(tree, &w->tree)) return;
    for (uint32_t i = 0; i < w->count; i++) {
        if (!weft_key_equal(to, &w->nodes[i].key)) continue;
        if (m->may_not[from][i]) m->wrong++;
        else m->right++;
    }
}

void trust_judge(struct world *w, struct trust_model *m)
{
    memset(m, 0, sizeof *m);
    w->judge = judge;
    w->judge_arg = m;
}

weft_err trust_let(struct world *w, struct trust_model *m, uint32_t i, bool read)
{
    struct trust_cut place;
    /* From here on another node may hear of a grant at any time; a revocation changes nothing yet. */
    for (uint32_t from = 0; read && from < w->count; from++) m->may_not[from][i] = false;
    memset(&m->revocation[i], 0, sizeof m->revocation[i]);
    weft_err err = trust_say(w, 0, &w->nodes[i].key, read ? WEFT_RIGHT_READ : WEFT_RIGHT_NONE,
                             &place);
    if (err != WEFT_OK || read) return err;
    m->revocation[i] = place.id;
    m->may_not[0][i] = true;
    return WEFT_OK;
}

weft_err trust_commit(struct world *w, struct trust_model *m, uint32_t node, size_t len)
{
    static const weft_id none;
    bool heard[WORLD_NODES_MAX] = {false};
    for (uint32_t i = 0; i < w->count; i++)
        heard[i] = w->nodes[node].node != NULL && !weft_id_equal(&m->revocation[i], &none) &&
                   trust_has(w, node, &m->revocation[i]);
    weft_err err = world_commit_bytes(w, node, len);
    for (uint32_t i = 0; err == WEFT_OK && i < w->count; i++)
        if (heard[i] && i != node) m->may_not[node][i] = true;
    return err;
}
