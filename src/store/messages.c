/* SPDX-License-Identifier: Apache-2.0
 * messages.c - making and freeing the messages that the store actor understands.
 * Called by: whoever sends them, any thread. May touch: the messages.
 * Never: the store. */
#include <string.h>

#include "alloc.h"
#include "bells.h"
#include "crypto.h"
#include "store_actor.h"

/* -- Frames of entries -------------------------------------------------------------------- */

static void ingest_drop(weft_msg *msg)
{
    struct wf_ingest *ingest = (struct wf_ingest *)msg;
    weft_addr_put(ingest->results_to);
    weft_buf_unref(ingest->frame);
    wf_free(ingest->missing);
    wf_free(ingest->cookie);
    wf_free(ingest);
}

const weft_kind wf_ingest_kind = {
    .id = 0x0501, .name = "store.ingest", .size = sizeof(struct wf_ingest), .drop = ingest_drop};

struct wf_ingest *wf_ingest_create(uint32_t count)
{
    struct wf_ingest *ingest = wf_calloc(1,
                                         sizeof *ingest + count * sizeof(struct wf_ingest_entry));
    if (ingest == NULL) return NULL;
    weft_msg_init(&ingest->msg, &wf_ingest_kind);
    ingest->count = count;
    return ingest;
}

/* -- Commits -------------------------------------------------------------------------------- */

static void commit_drop(weft_msg *msg)
{
    struct wf_commit *commit = (struct wf_commit *)msg;
    for (uint32_t i = 0; commit->entries != NULL && i < commit->count; i++)
        weft_buf_unref(commit->entries[i]);
    wf_records_free(commit->records, commit->records_count);
    wf_free(commit->entries);
    wf_free(commit->ids);
    wf_free(commit);
}

const weft_kind wf_commit_kind = {
    .id = 0x0502, .name = "store.commit", .size = sizeof(struct wf_commit), .drop = commit_drop};

struct wf_commit *wf_commit_create(uint32_t count)
{
    struct wf_commit *commit = wf_calloc(1, sizeof *commit);
    if (commit == NULL) return NULL;
    weft_msg_init(&commit->req.msg, &wf_commit_kind);
    commit->count = count;
    commit->entries = wf_calloc(count == 0 ? 1 : count, sizeof(*commit->entries));
    commit->ids = wf_calloc(count == 0 ? 1 : count, sizeof *commit->ids);
    if (commit->entries != NULL && commit->ids != NULL) return commit;
    commit_drop(&commit->req.msg);
    return NULL;
}

/* -- Following -------------------------------------------------------------------------------- */

static void follow_drop(weft_msg *msg)
{
    struct wf_follow *follow = (struct wf_follow *)msg;
    wf_records_free(follow->records, follow->records_count);
    wf_free(follow->readers);
    wf_free(follow->add);
    wf_free(follow->also);
    wf_free(follow);
}

const weft_kind wf_follow_kind = {
    .id = 0x0503, .name = "store.follow", .size = sizeof(struct wf_follow), .drop = follow_drop};

struct wf_follow *wf_follow_create(const weft_id *tree, const weft_key *readers, uint32_t count)
{
    struct wf_follow *follow = wf_calloc(1, sizeof *follow);
    if (follow == NULL) return NULL;
    weft_msg_init(&follow->req.msg, &wf_follow_kind);
    follow->tree = *tree;
    follow->follow = true;
    if (count == 0) return follow;
    follow->readers = wf_memdup(readers, count * sizeof *readers);
    follow->readers_count = count;
    if (follow->readers != NULL) return follow;
    follow_drop(&follow->req.msg);
    return NULL;
}

/* -- Removing --------------------------------------------------------------------------------- */

static void remove_drop(weft_msg *msg)
{
    struct wf_remove *remove = (struct wf_remove *)msg;
    wf_records_free(remove->records, remove->records_count);
    wf_free(remove);
}

const weft_kind wf_remove_kind = {
    .id = 0x050c, .name = "store.remove", .size = sizeof(struct wf_remove), .drop = remove_drop};

struct wf_remove *wf_remove_create(const weft_id *tree)
{
    struct wf_remove *remove = wf_calloc(1, sizeof *remove);
    if (remove == NULL) return NULL;
    weft_msg_init(&remove->req.msg, &wf_remove_kind);
    remove->tree = *tree;
    return remove;
}

/* -- Records ----------------------------------------------------------------------------------- */

static void record_drop(weft_msg *msg) { wf_free(msg); }

const weft_kind wf_record_kind = {.id = 0x0504,
                                  .name = "store.record",
                                  .size = sizeof(struct wf_record_put),
                                  .drop = record_drop};

struct wf_record_put *wf_record_create(uint32_t value_len)
{
    struct wf_record_put *record = wf_calloc(1, sizeof *record + value_len);
    if (record == NULL) return NULL;
    weft_msg_init(&record->req.msg, &wf_record_kind);
    record->value_len = value_len;
    return record;
}

void wf_records_free(struct wf_record_put **records, uint32_t count)
{
    for (uint32_t i = 0; records != NULL && i < count; i++)
        if (records[i] != NULL) weft_drop(&records[i]->req.msg);
    wf_free(records);
}

static void records_drop(weft_msg *msg)
{
    struct wf_records *several = (struct wf_records *)msg;
    wf_records_free(several->records, several->count);
    wf_free(several);
}

const weft_kind wf_records_kind = {
    .id = 0x050b, .name = "store.records", .size = sizeof(struct wf_records), .drop = records_drop};

struct wf_records *wf_records_create(uint32_t count)
{
    struct wf_records *several = wf_calloc(1, sizeof *several);
    if (several == NULL) return NULL;
    weft_msg_init(&several->req.msg, &wf_records_kind);
    several->count = count;
    several->records = wf_calloc(count == 0 ? 1 : count, sizeof(*several->records));
    if (several->records != NULL) return several;
    records_drop(&several->req.msg);
    return NULL;
}

/* -- Settings ----------------------------------------------------------------------------------- */

static void settings_drop(weft_msg *msg)
{
    struct wf_settings_commit *commit = (struct wf_settings_commit *)msg;
    wf_records_free(commit->records, commit->records_count);
    weft_keypair_destroy(commit->admin);
    weft_buf_unref(commit->payload);
    wf_free(commit);
}

const weft_kind wf_settings_commit_kind = {.id = 0x050a,
                                           .name = "store.settings",
                                           .size = sizeof(struct wf_settings_commit),
                                           .drop = settings_drop};

struct wf_settings_commit *wf_settings_commit_create(const weft_id *tree, const weft_keypair *admin,
                                                     weft_buf *payload)
{
    struct wf_settings_commit *commit = wf_calloc(1, sizeof *commit);
    if (commit == NULL) return NULL;
    weft_msg_init(&commit->req.msg, &wf_settings_commit_kind);
    uint8_t seed[32];
    wf_keypair_seed(admin, seed);
    weft_err err = weft_keypair_from_seed(seed, &commit->admin);
    wf_crypto_wipe(seed, sizeof seed);
    commit->tree = *tree;
    commit->payload = payload == NULL ? NULL : weft_buf_ref(payload);
    if (err == WEFT_OK) return commit;
    settings_drop(&commit->req.msg);
    return NULL;
}

/* -- The gate ----------------------------------------------------------------------------------- */

static void gate_sub_drop(weft_msg *msg)
{
    weft_addr_put(((struct wf_gate_sub *)msg)->to);
    wf_free(msg);
}

const weft_kind wf_gate_sub_kind = {.id = 0x0508,
                                    .name = "store.gate_sub",
                                    .size = sizeof(struct wf_gate_sub),
                                    .drop = gate_sub_drop};

struct wf_gate_sub *wf_gate_sub_create(weft_addr *to)
{
    struct wf_gate_sub *sub = wf_calloc(1, sizeof *sub);
    if (sub == NULL) return NULL;
    weft_msg_init(&sub->msg, &wf_gate_sub_kind);
    sub->to = weft_addr_get(to);
    return sub;
}

const weft_kind wf_gate_kind = {
    .id = 0x0509, .name = "store.gate", .size = sizeof(struct wf_gate), .drop = weft_free_msg};

/* -- Doorbells ----------------------------------------------------------------------------------- */

void wf_stored_clear(struct wf_stored *bell)
{
    for (uint32_t i = 0; i < bell->entries_count; i++) weft_buf_unref(bell->entries[i].buf);
    bell->entries_count = 0;
    bell->trees_count = 0;
    bell->more_trees = false;
}

static void stored_drop(weft_msg *msg)
{
    struct wf_stored *bell = (struct wf_stored *)msg;
    wf_stored_clear(bell);
    weft_addr_put(bell->subscriber);
    wf_free(bell->place);
    wf_free(bell);
}

const weft_kind wf_stored_kind = {
    .id = 0x0505, .name = "store.stored", .size = sizeof(struct wf_stored), .drop = stored_drop};

struct wf_stored *wf_stored_create(weft_addr *subscriber)
{
    struct wf_stored *bell = wf_calloc(1, sizeof *bell);
    struct wf_subscriber *place = wf_calloc(1, sizeof *place);
    if (bell == NULL || place == NULL) {
        wf_free(bell);
        wf_free(place);
        return NULL;
    }
    weft_msg_init(&bell->msg, &wf_stored_kind);
    bell->place = place;
    bell->subscriber = weft_addr_get(subscriber);
    return bell;
}
