/* SPDX-License-Identifier: Apache-2.0
 * test_settings_rows.c - rows of sync settings, what they come to, and their records: against a
 * plain model, by chance.
 * Called by: the test runner. Never: a node. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "settings_rows.h"
#include "tracks.h"

enum { TREES = 6, PRINCIPALS = 5, KEYS = 9 };

static uint64_t dice;

static uint32_t below(uint32_t bound)
{
    dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(dice >> 33) % bound;
}

static weft_id tree_of(uint32_t i) { return (weft_id){{(uint8_t)(7 * i), (uint8_t)i}}; }

static weft_key principal_of(uint32_t i) /* the first is the node */
{
    weft_key key = {{0}};
    key.bytes[31] = (uint8_t)i;
    return key;
}

static void random_settings(weft_sync_settings *s)
{
    memset(s, 0, sizeof *s);
    s->enabled = below(2) == 0;
    s->on_commit = below(2) == 0;
    s->has_interval = below(3) == 0;
    s->interval_s = s->has_interval ? 1 + below(1000) : 0;
    uint32_t first = below(KEYS), count = below(4); /* keys differ, in no order */
    for (uint32_t i = 0; i < count; i++) {
        weft_property *p = &s->properties[s->properties_count++];
        p->key[0] = (char)('a' + (first + 4 * i) % KEYS);
        p->value[0] = (char)('A' + below(26));
    }
}

/* -- The model -------------------------------------------------------------------------- */

static struct {
    bool here;
    uint64_t change;
    weft_sync_settings settings;
} model[TREES][PRINCIPALS];

static const char *value_in(const weft_sync_settings *s, char key)
{
    for (uint32_t i = 0; i < s->properties_count; i++)
        if (s->properties[i].key[0] == key) return s->properties[i].value;
    return NULL;
}

static bool model_combined(uint32_t t, weft_sync_settings *out)
{
    bool any = false;
    memset(out, 0, sizeof *out);
    for (uint32_t p = 0; p < PRINCIPALS; p++) {
        const weft_sync_settings *s = &model[t][p].settings;
        if (!model[t][p].here) continue;
        any = true;
        out->enabled = out->enabled || s->enabled;
        out->on_commit = out->on_commit || s->on_commit;
        if (s->has_interval && (!out->has_interval || s->interval_s < out->interval_s))
            out->interval_s = s->interval_s;
        out->has_interval = out->has_interval || s->has_interval;
    }
    for (char key = 'a'; key < 'a' + KEYS; key++) {
        const char *value = NULL;
        uint64_t change = 0;
        for (uint32_t p = 0; p < PRINCIPALS; p++) {
            const char *said = value_in(&model[t][p].settings, key);
            if (!model[t][p].here || said == NULL || model[t][p].change < change) continue;
            value = said;
            change = model[t][p].change;
        }
        if (value == NULL) continue;
        out->properties[out->properties_count].key[0] = key;
        strcpy(out->properties[out->properties_count++].value, value);
    }
    return any;
}

static uint64_t model_interval(void)
{
    uint64_t least = 0;
    for (uint32_t t = 0; t < TREES; t++) {
        weft_sync_settings s;
        if (model_combined(t, &s) && s.enabled && s.has_interval &&
            (least == 0 || s.interval_s < least))
            least = s.interval_s;
    }
    return least;
}

static void expect_model(const struct wf_track_rows *rows, uint32_t step)
{
    for (uint32_t t = 0; t < TREES; t++) {
        weft_sync_settings want, got;
        weft_id tree = tree_of(t);
        bool any = model_combined(t, &want);
        cr_assert_eq(wf_track_rows_combined(rows, &tree, &got), any ? WEFT_OK : WEFT_NOT_FOUND);
        if (any) cr_assert_eq(memcmp(&want, &got, sizeof want), 0, "step %u tree %u", step, t);
        struct wf_track_sum sum = wf_track_rows_sum(rows, NULL, &tree);
        cr_assert(sum.enabled == want.enabled && sum.on_commit == want.on_commit &&
                  sum.has_interval == want.has_interval && sum.interval_s == want.interval_s);
    }
    cr_assert_eq(wf_track_rows_interval(rows), model_interval(), "step %u", step);
}

/* -- The rows --------------------------------------------------------------------------- */

static struct wf_track_row *row_of(const weft_id *tree, const weft_key *principal,
                                   const weft_sync_settings *s)
{
    struct wf_track_row *row = NULL;
    cr_assert_eq(wf_track_row_create(tree, principal, s, &row), WEFT_OK);
    return row;
}

/* One change of up to three rows, of different places. */
static void change_some(struct wf_track_rows *rows, uint64_t *number)
{
    struct wf_track_rows changes = {0};
    uint32_t first = below(TREES * PRINCIPALS), count = 1 + below(3);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (first + 7 * i) % (TREES * PRINCIPALS), t = at / PRINCIPALS,
                 p = at % PRINCIPALS;
        weft_id tree = tree_of(t);
        weft_key principal = principal_of(p);
        struct wf_track_row *row;
        if (model[t][p].here && below(3) == 0) {
            row = wf_track_row_gone(wf_track_rows_find(rows, &tree, &principal));
            model[t][p].here = false;
        } else {
            random_settings(&model[t][p].settings);
            row = row_of(&tree, &principal, &model[t][p].settings);
            model[t][p].here = true;
            model[t][p].change = row->change = ++*number;
        }
        cr_assert_eq(wf_track_rows_add_take(&changes, row), WEFT_OK);
    }
    for (uint32_t t = 0; t < TREES; t++) { /* told before it is done */
        weft_sync_settings want;
        weft_id tree = tree_of(t);
        model_combined(t, &want);
        struct wf_track_sum sum = wf_track_rows_sum(rows, &changes, &tree);
        cr_assert(sum.enabled == want.enabled && sum.on_commit == want.on_commit);
    }
    cr_assert_eq(wf_track_rows_reserve(rows, changes.count), WEFT_OK);
    wf_track_rows_apply_take(rows, &changes);
    cr_assert_eq(changes.count, 0);
    wf_track_rows_fini(&changes);
}

Test(settings_rows, come_to_what_a_model_says_after_each_of_many_changes)
{
    struct wf_track_rows rows = {0};
    uint64_t number = 0;
    dice = 11;
    for (uint32_t step = 0; step < 10000; step++) {
        change_some(&rows, &number);
        expect_model(&rows, step);
        for (uint32_t i = 1; i < rows.count; i++) {
            int order = weft_id_compare(&rows.rows[i - 1]->tree, &rows.rows[i]->tree);
            if (order == 0)
                order = weft_key_compare(&rows.rows[i - 1]->principal, &rows.rows[i]->principal);
            cr_assert_lt(order, 0);
        }
    }
    cr_assert_gt(rows.count, 0);
    wf_track_rows_fini(&rows);
}

Test(settings_rows, of_what_two_say_of_one_property_the_later_counts)
{
    struct wf_track_rows rows = {0};
    weft_id tree = tree_of(1);
    weft_sync_settings s = {.properties_count = 1, .properties = {{"colour", ""}}}, got;
    const struct {
        uint32_t principal;
        uint64_t change;
        const char *value;
    } said[] = {{3, 5, "red"}, {1, 9, "blue"}, {2, 7, "green"}};
    for (unsigned i = 0; i < 3; i++) {
        weft_key principal = principal_of(said[i].principal);
        strcpy(s.properties[0].value, said[i].value);
        struct wf_track_row *row = row_of(&tree, &principal, &s);
        row->change = said[i].change;
        cr_assert_eq(wf_track_rows_add_take(&rows, row), WEFT_OK);
    }
    cr_assert_eq(wf_track_rows_combined(&rows, &tree, &got), WEFT_OK);
    cr_expect_eq(got.properties_count, 1);
    cr_expect_str_eq(got.properties[0].value, "blue");
    wf_track_rows_fini(&rows);
}

Test(settings_rows, of_more_properties_than_there_is_room_for_those_of_the_latest_stay)
{
    struct wf_track_rows rows = {0};
    weft_id tree = tree_of(1);
    weft_sync_settings got;
    for (uint32_t p = 0; p < 3; p++) { /* three times ten: of the first change none is left */
        weft_sync_settings s = {.properties_count = 10};
        weft_key principal = principal_of(2 - p);
        for (uint32_t i = 0; i < 10; i++) {
            s.properties[i].key[0] = (char)('a' + p);
            s.properties[i].key[1] = (char)('0' + i);
        }
        struct wf_track_row *row = row_of(&tree, &principal, &s);
        row->change = p + 1;
        cr_assert_eq(wf_track_rows_add_take(&rows, row), WEFT_OK);
    }
    cr_assert_eq(wf_track_rows_combined(&rows, &tree, &got), WEFT_OK);
    cr_assert_eq(got.properties_count, WEFT_PROPERTIES_MAX);
    for (uint32_t i = 0; i < WEFT_PROPERTIES_MAX; i++) {
        cr_expect_eq(got.properties[i].key[0], i < 6 ? 'b' : 'c', "%u", i);
        cr_expect_eq(got.properties[i].key[1], '0' + (int)(i < 6 ? i : i - 6), "%u", i);
    }
    wf_track_rows_fini(&rows);
}

/* -- The form --------------------------------------------------------------------------- */

static weft_err create(const weft_sync_settings *s)
{
    weft_id tree = tree_of(1);
    weft_key principal = principal_of(1);
    struct wf_track_row *row = NULL;
    weft_err err = wf_track_row_create(&tree, &principal, s, &row);
    wf_free(row);
    return err;
}

Test(settings_rows, settings_of_another_form_are_refused)
{
    weft_sync_settings good = {.has_interval = true,
                               .interval_s = 1,
                               .properties_count = 2,
                               .properties = {{"b", "\xc3\xa9"}, {"a", ""}}};
    cr_expect_eq(create(&good), WEFT_OK);
    weft_sync_settings s = good;
    s.interval_s = 0;
    cr_expect_eq(create(&s), WEFT_INVALID, "an interval of nothing");
    s.interval_s = WEFT_INTERVAL_S_MAX + 1;
    cr_expect_eq(create(&s), WEFT_INVALID, "one too long for the clock");
    s = good;
    s.properties_count = WEFT_PROPERTIES_MAX + 1;
    cr_expect_eq(create(&s), WEFT_INVALID, "too many properties");
    s = good;
    s.properties[1].key[0] = 'b';
    cr_expect_eq(create(&s), WEFT_INVALID, "a key twice");
    s = good;
    s.properties[0].key[0] = '\0';
    cr_expect_eq(create(&s), WEFT_INVALID, "no key");
    s = good;
    memset(s.properties[0].key, 'k', sizeof s.properties[0].key);
    cr_expect_eq(create(&s), WEFT_INVALID, "a key without its end");
    s = good;
    memset(s.properties[0].value, 'v', sizeof s.properties[0].value);
    cr_expect_eq(create(&s), WEFT_INVALID, "a value without its end");
    s = good;
    s.properties[0].value[1] = 'x';
    cr_expect_eq(create(&s), WEFT_INVALID, "no UTF-8");
}

/* -- Records ---------------------------------------------------------------------------- */

static void fill(weft_sync_settings *s)
{
    memset(s, 0, sizeof *s);
    s->has_interval = true;
    s->interval_s = WEFT_INTERVAL_S_MAX;
    s->properties_count = WEFT_PROPERTIES_MAX;
    for (uint32_t i = 0; i < WEFT_PROPERTIES_MAX; i++) {
        memset(s->properties[i].key, 'a' + (int)i, sizeof s->properties[i].key - 1);
        memset(s->properties[i].value, 'z', sizeof s->properties[i].value - 1);
    }
}

Test(settings_rows, a_record_reads_back_as_it_was)
{
    dice = 12;
    for (unsigned i = 0; i < 500; i++) {
        weft_sync_settings s;
        weft_id tree = tree_of(below(TREES));
        weft_key principal = principal_of(below(PRINCIPALS));
        uint8_t key[WF_TRACK_KEY_BYTES], bytes[WF_TRACK_RECORD_MAX];
        random_settings(&s);
        if (i == 0) fill(&s); /* the longest of all */
        struct wf_track_row *row = row_of(&tree, &principal, &s), *back = NULL;
        row->change = UINT64_MAX - 1 - below(1000);
        wf_track_row_key(row, key);
        size_t len = wf_track_row_encode(row, bytes);
        cr_assert_eq(wf_track_row_decode(key, sizeof key, bytes, len, &back), WEFT_OK);
        cr_expect(wf_track_row_equal(row, back) && row->change == back->change);
        cr_expect(weft_id_equal(&back->tree, &tree) &&
                  weft_key_equal(&back->principal, &principal));
        wf_free(row);
        wf_free(back);
    }
}

static weft_err decode(const uint8_t *key, size_t key_len, const uint8_t *bytes, size_t len)
{
    struct wf_track_row *row = NULL;
    weft_err err = wf_track_row_decode(key, key_len, bytes, len, &row);
    wf_free(row);
    return err;
}

/* docs/store.md tells this form. */
static const uint8_t golden[] = {0x96, 0x01, 0x07, 0xc3, 0xc2, 0x3c, 0x91,
                                 0x92, 0xa1, 'k',  0xa2, 'v',  'w'};

Test(settings_rows, a_record_has_these_bytes_and_no_others_pass)
{
    weft_id tree = tree_of(1);
    weft_key principal = principal_of(0);
    weft_sync_settings s = {.enabled = true,
                            .has_interval = true,
                            .interval_s = 60,
                            .properties_count = 1,
                            .properties = {{"k", "vw"}}};
    uint8_t key[WF_TRACK_KEY_BYTES], bytes[WF_TRACK_RECORD_MAX];
    struct wf_track_row *row = row_of(&tree, &principal, &s);
    row->change = 7;
    wf_track_row_key(row, key);
    cr_expect_eq(key[0], 0x86);
    size_t len = wf_track_row_encode(row, bytes);
    wf_free(row);
    cr_assert_eq(len, sizeof golden);
    cr_expect_eq(memcmp(bytes, golden, len), 0);
    for (size_t cut = 0; cut < len; cut++)
        cr_expect_eq(decode(key, sizeof key, bytes, cut), WEFT_CORRUPT, "cut at %zu", cut);
    cr_expect_eq(decode(key, sizeof key - 1, bytes, len), WEFT_CORRUPT, "a short key");
    bytes[len] = 0xc0;
    cr_expect_eq(decode(key, sizeof key, bytes, len + 1), WEFT_CORRUPT, "one more value");
    const struct {
        size_t at;
        uint8_t byte;
        const char *what;
    } wrong[] = {{0, 0x95, "fewer fields"}, {1, 0x02, "another version"},
                 {3, 0x01, "no bool"},      {5, 0x00, "an interval of nothing"},
                 {7, 0x91, "a key alone"},  {9, 0x00, "a NUL inside"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memcpy(bytes, golden, sizeof golden);
        bytes[wrong[i].at] = wrong[i].byte;
        cr_expect_eq(decode(key, sizeof key, bytes, sizeof golden), WEFT_CORRUPT, "%s",
                     wrong[i].what);
    }
}

/* -- What is published ------------------------------------------------------------------ */

Test(settings_rows, a_tree_of_which_nothing_is_known_is_pushed_at_once)
{
    struct wf_tracks *t = wf_tracks_create();
    weft_id trees[5];
    for (uint32_t i = 0; i < 5; i++) trees[i] = tree_of(4 - i);
    cr_expect(wf_tracks_on_commit(NULL, &trees[0]) && wf_tracks_interval(NULL) == 0);
    cr_assert_eq(wf_tracks_reserve(t, 5), WEFT_OK);
    for (uint32_t i = 0; i < 5; i += 2) cr_expect(wf_tracks_set(t, &trees[i], false));
    cr_expect_not(wf_tracks_set(t, &trees[0], false), "it is so already");
    for (uint32_t i = 0; i < 5; i++) cr_expect_eq(wf_tracks_on_commit(t, &trees[i]), i % 2 == 1);
    cr_expect(wf_tracks_set(t, &trees[2], true));
    cr_expect(wf_tracks_on_commit(t, &trees[2]) && !wf_tracks_on_commit(t, &trees[4]));
    cr_expect(wf_tracks_set_interval(t, 5) && !wf_tracks_set_interval(t, 5));
    cr_expect_eq(wf_tracks_interval(t), 5);
    wf_tracks_replace_take(t, NULL, 0);
    cr_expect(wf_tracks_on_commit(t, &trees[0]));
    wf_tracks_destroy(t);
}
