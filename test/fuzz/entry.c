/* SPDX-License-Identifier: Apache-2.0
 * entry.c - the bytes of an entry. What is read is within its bounds, and built once more
 * from what was read it has the same bytes: two encodings of one entry would be two ids.
 * Called by: libfuzzer.c, replay.c. May touch: entries, their settings. Never: a store. */
#include "entry.h"

#include <string.h>

#include "fuzz.h"
#include "policy.h"

/* Sign, and what follows from an author, is not compared. */
#define AUTHOR_BYTES (2u + WEFT_KEY_BYTES + WF_ENTRY_SIGNATURE_BYTES)

static const weft_keypair *author(void)
{
    static weft_keypair *pair;
    const uint8_t seed[32] = {1};
    if (pair == NULL) FUZZ_CHECK(weft_keypair_from_seed(seed, &pair) == WEFT_OK);
    return pair;
}

static void check_ascending(const weft_id *ids, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) FUZZ_CHECK(weft_id_compare(&ids[i - 1], &ids[i]) < 0);
}

/* Of the tree (store NULL) or of a store, in their order. */
static void take_parents(const weft_entry *e, const weft_entry_store *store, weft_id *out)
{
    uint32_t count = store == NULL ? e->parents_count : store->parents_count;
    for (uint32_t i = 0; i < count; i++)
        if (store == NULL) weft_entry_parent(e, i, &out[i]);
        else weft_entry_store_parent(store, i, &out[i]);
    check_ascending(out, count);
}

static void check_bounds(const weft_entry *e)
{
    static weft_id all[WEFT_ENTRY_UNION_PARENTS_MAX];
    uint32_t sum = wf_entry_parents_sum(e), count = 0;
    FUZZ_CHECK(e->height <= WEFT_HEIGHT_MAX && e->stores_count <= WEFT_ENTRY_STORES_MAX);
    FUZZ_CHECK(e->parents_count <= WEFT_ENTRY_PARENTS_MAX && e->is_root == (e->parents_count == 0));
    FUZZ_CHECK(sum <= WEFT_ENTRY_UNION_PARENTS_MAX);
    take_parents(e, NULL, all);
    for (uint32_t i = 0; i < e->stores_count; i++) {
        const weft_entry_store *s = &e->stores[i];
        char name[WEFT_STORE_NAME_BYTES_MAX + 1];
        FUZZ_CHECK(s->name_len >= 1 && s->name_len <= WEFT_STORE_NAME_BYTES_MAX);
        FUZZ_CHECK(s->parents_count <= WEFT_ENTRY_PARENTS_MAX && s->height <= WEFT_HEIGHT_MAX);
        take_parents(e, s, all);
        memcpy(name, s->name, s->name_len);
        name[s->name_len] = '\0';
        FUZZ_CHECK(wf_entry_find_store(e, name) == s);
    }
    FUZZ_CHECK(wf_entry_union_parents(e, all, sum, &count) == WEFT_OK && count <= sum);
    check_ascending(all, count);
}

static void check_parse(const uint8_t *data, size_t len, const weft_entry *e)
{
    static weft_entry parsed;
    FUZZ_CHECK(wf_entry_parse(data, len, &parsed) == WEFT_OK);
    FUZZ_CHECK(parsed.parents == e->parents && parsed.height == e->height);
    FUZZ_CHECK(parsed.stores_count == e->stores_count && parsed.is_root == e->is_root);
    FUZZ_CHECK(weft_key_equal(&parsed.author, &e->author));
}

static void check_settings(const weft_entry *e)
{
    const weft_entry_store *s = wf_entry_find_store(e, WF_SETTINGS_NAME);
    wf_policy *empty = NULL, *after = NULL;
    FUZZ_CHECK(wf_policy_create_empty(&empty) == WEFT_OK);
    weft_err may = wf_policy_allows(empty, e);
    FUZZ_CHECK(may == WEFT_OK || may == WEFT_FORBIDDEN || may == WEFT_BAD_ENTRY);
    FUZZ_CHECK(e->is_root || may != WEFT_OK); /* nobody was granted anything */
    if (s != NULL && s->payload != NULL &&
        wf_policy_apply(empty, s->payload, s->payload_len, 1, &e->id, &after) != WEFT_OK)
        FUZZ_CHECK(may != WEFT_OK);
    wf_policy_destroy(empty);
    wf_policy_destroy(after);
}

/* Only weft's own stores begin with '_', and of them only one can be built. */
static bool buildable(const weft_entry *e)
{
    if (e->is_root) return false;
    for (uint32_t i = 0; i < e->stores_count; i++) {
        const weft_entry_store *s = &e->stores[i];
        bool own = s->name_len == strlen(WF_SETTINGS_NAME) &&
                   memcmp(s->name, WF_SETTINGS_NAME, s->name_len) == 0;
        if (s->name[0] == '_' && !own) return false;
    }
    return true;
}

static void check_rebuild(const weft_entry *e)
{
    static weft_store_part parts[WEFT_ENTRY_STORES_MAX];
    static char names[WEFT_ENTRY_STORES_MAX][WEFT_STORE_NAME_BYTES_MAX + 1];
    static weft_id all[WEFT_ENTRY_UNION_PARENTS_MAX];
    weft_id *at = all + e->parents_count;
    weft_entry_spec spec = {.tree = e->tree,
                            .parents = all,
                            .parents_count = e->parents_count,
                            .height = e->height,
                            .metadata = e->metadata,
                            .metadata_len = e->metadata_len,
                            .stores = parts,
                            .stores_count = e->stores_count};
    weft_buf *buf = NULL;
    weft_id id;
    take_parents(e, NULL, all);
    for (uint32_t i = 0; i < e->stores_count; i++) {
        const weft_entry_store *s = &e->stores[i];
        take_parents(e, s, at);
        memcpy(names[i], s->name, s->name_len);
        names[i][s->name_len] = '\0';
        parts[i] = (weft_store_part){.name = names[i],
                                     .parents = at,
                                     .parents_count = s->parents_count,
                                     .payload = s->payload,
                                     .payload_len = s->payload_len,
                                     .has_height = s->has_height,
                                     .height = s->height};
        at += s->parents_count;
    }
    FUZZ_CHECK(weft_entry_build(&spec, author(), &buf, &id) == WEFT_OK);
    FUZZ_CHECK(weft_buf_len(buf) == e->len);
    FUZZ_CHECK(memcmp(weft_buf_bytes(buf), e->bytes, e->len - AUTHOR_BYTES) == 0);
    weft_buf_unref(buf);
}

bool fuzz_entry(const uint8_t *data, size_t len)
{
    static weft_entry e;
    if (weft_entry_decode(data, len, &e) != WEFT_OK) return false;
    FUZZ_CHECK(e.bytes == data && e.len == len);
    check_bounds(&e);
    check_parse(data, len, &e);
    check_settings(&e);
    if (buildable(&e)) check_rebuild(&e);
    /* Dear, and about 64 bytes that nothing here can guess: of a part of the inputs only. */
    if (e.id.bytes[0] % 16 == 0 || e.is_root) (void)weft_entry_verify(&e);
    return true;
}
