/* SPDX-License-Identifier: Apache-2.0
 * history.c - the entries of a run: four lanes above one root, cut into commits of 1 to 8.
 * Called by: main.c (build, save), victim.c (load), script.c. May touch: one file.
 * Never: a clock: what is in it follows from the seed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "torture.h"

#define PAYLOAD_BYTES_MAX 1500u

/* SplitMix64: small, and equal on every machine. */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void must(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "weft-torture: %s: %s\n", what, weft_strerror(err));
    exit(2);
}

static void cut_into_commits(tt_history *h)
{
    uint64_t state = h->seed;
    for (uint32_t lane = 0; lane < TT_LANES; lane++) {
        uint32_t at = 1 + lane * TT_ENTRIES_PER_LANE, end = at + TT_ENTRIES_PER_LANE;
        for (h->commits[lane] = 0; at < end; h->commits[lane]++) {
            h->begins[lane][h->commits[lane]] = at;
            at += 1 + (uint32_t)(next(&state) % TT_COMMIT_ENTRIES_MAX);
        }
        h->begins[lane][h->commits[lane]] = end;
    }
    h->commits[TT_ROOT] = 1;
    h->begins[TT_ROOT][0] = 0;
    h->begins[TT_ROOT][1] = 1;
}

/* Every third entry of a lane leaves the one before it aside, and the next joins both: small
 * diamonds, so that tips, children and merges are at work. `at` is the place in the lane. */
static uint32_t parents_of(uint32_t first, uint32_t at, uint32_t out[2])
{
    out[0] = at == 0 ? 0 : first + at - (at % 3 == 2 ? 2 : 1);
    if (at == 0 || at % 3 != 0) return 1;
    out[1] = first + at - 2;
    return 2;
}

static void build_lane(tt_history *h, uint32_t lane, const weft_keypair *author, uint64_t *heights)
{
    static uint8_t payload[PAYLOAD_BYTES_MAX];
    uint64_t state = h->seed ^ (lane + 1);
    uint32_t first = 1 + lane * TT_ENTRIES_PER_LANE;
    for (uint32_t at = 0; at < TT_ENTRIES_PER_LANE; at++) {
        uint32_t places[2], count = parents_of(first, at, places), me = first + at;
        weft_id parents[2];
        for (uint32_t p = 0; p < count; p++) {
            parents[p] = h->ids[places[p]];
            if (heights[places[p]] >= heights[me]) heights[me] = heights[places[p]] + 1;
        }
        size_t len = 16 + next(&state) % (at % 8 == 0 ? PAYLOAD_BYTES_MAX - 16 : 200);
        for (size_t i = 0; i < len; i++) payload[i] = (uint8_t)next(&state);
        weft_store_part part = {.name = "main",
                                .parents = parents,
                                .parents_count = at == 0 ? 0
                                                         : count, /* the root writes no "main" */
                                .payload = payload,
                                .payload_len = len};
        weft_entry_spec spec = {.tree = h->ids[0],
                                .parents = parents,
                                .parents_count = count,
                                .height = heights[me],
                                .stores = &part,
                                .stores_count = 1};
        must(weft_entry_build(&spec, author, &h->bufs[me], &h->ids[me]), "build an entry");
    }
}

void tt_history_build(tt_history *h, uint64_t seed)
{
    weft_keypair *author = NULL;
    uint8_t key[32];
    uint64_t state = seed, *heights = calloc(TT_ENTRIES, sizeof *heights);
    if (heights == NULL) must(WEFT_NO_MEMORY, "the history");
    h->seed = seed;
    for (size_t i = 0; i < sizeof key; i++) key[i] = (uint8_t)next(&state);
    must(weft_keypair_from_seed(key, &author), "make a key");
    weft_root_spec root = {.height = WEFT_HEIGHT_INCREMENTAL};
    memset(root.entropy, 1 + (int)(seed % 255), sizeof root.entropy);
    must(weft_root_build(&root, author, &h->bufs[0], &h->ids[0]), "build the root");
    for (uint32_t lane = 0; lane < TT_LANES; lane++) build_lane(h, lane, author, heights);
    cut_into_commits(h);
    weft_keypair_destroy(author);
    free(heights);
}

void tt_history_save(const tt_history *h, const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) tt_die(path);
    bool good = fwrite(&h->seed, sizeof h->seed, 1, file) == 1 &&
                fwrite(h->ids, sizeof h->ids, 1, file) == 1;
    for (uint32_t i = 0; good && i < TT_ENTRIES; i++) {
        uint32_t len = (uint32_t)weft_buf_len(h->bufs[i]);
        good = fwrite(&len, sizeof len, 1, file) == 1 &&
               fwrite(weft_buf_bytes(h->bufs[i]), len, 1, file) == 1;
    }
    if (fclose(file) != 0 || !good) tt_die(path);
}

void tt_history_load(tt_history *h, const char *path)
{
    static uint8_t bytes[64 << 10];
    FILE *file = fopen(path, "r");
    if (file == NULL) tt_die(path);
    bool good = fread(&h->seed, sizeof h->seed, 1, file) == 1 &&
                fread(h->ids, sizeof h->ids, 1, file) == 1;
    for (uint32_t i = 0; good && i < TT_ENTRIES; i++) {
        uint32_t len;
        good = fread(&len, sizeof len, 1, file) == 1 && len <= sizeof bytes &&
               fread(bytes, len, 1, file) == 1;
        if (good) must(weft_buf_create_copy(bytes, len, &h->bufs[i]), "an entry");
    }
    fclose(file);
    if (!good) tt_die(path);
    cut_into_commits(h);
}

struct wf_commit *tt_history_commit(const tt_history *h, uint32_t lane, uint32_t commit)
{
    uint32_t from = h->begins[lane][commit], count = h->begins[lane][commit + 1] - from;
    struct wf_commit *msg = wf_commit_create(count);
    if (msg == NULL) return NULL;
    msg->create_trees = lane == TT_ROOT;
    for (uint32_t i = 0; i < count; i++) {
        msg->entries[i] = weft_buf_ref(h->bufs[from + i]);
        msg->ids[i] = h->ids[from + i];
    }
    return msg;
}
