/* SPDX-License-Identifier: Apache-2.0
 * test_entry.c - building and reading entries, their signatures, and bytes fixed for good.
 * Called by: meson test; with WEFT_WRITE_GOLDEN=1 it writes the golden bytes anew.
 * May touch: entry_build.c, entry_read.c, test/data/entry_v1. Never: the machine's randomness. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "alloc.h"
#include "crypto.h"
#include "entry.h"
#include "entry_kit.h"
#include "settings.h"

/* One entry of every field, from fixed seeds. */
struct sample {
    weft_id parents[3], store_parents[2];
    weft_store_part parts[3];
    weft_entry_spec spec;
};

static void sample_init(struct sample *s)
{
    *s = (struct sample){
        .parents = {kit_id(3), kit_id(1), kit_id(3)},
        .store_parents = {kit_id(2), kit_id(1)},
        .parts = {{.name = "notes",
                   .parents = s->store_parents,
                   .parents_count = 2,
                   .payload = "hello",
                   .payload_len = 5},
                  {.name = "a", .payload = "", .payload_len = 0, .has_height = true, .height = 99},
                  {.name = "b", .has_height = true, .height = 8}},
    };
    s->spec = (weft_entry_spec){
        .tree = kit_id(0xaa),
        .parents = s->parents,
        .parents_count = 3,
        .height = 8,
        .metadata = "meta",
        .metadata_len = 4,
        .stores = s->parts,
        .stores_count = 3,
    };
}

static weft_buf *build(const weft_entry_spec *spec, uint8_t author, weft_id *id)
{
    weft_keypair *pair = kit_pair(author);
    weft_buf *buf = NULL;
    weft_err err = weft_entry_build(spec, pair, &buf, id);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    weft_keypair_destroy(pair);
    return buf;
}

static weft_buf *build_root(weft_height height, weft_right everyone, uint32_t priority, weft_id *id)
{
    weft_root_spec spec = {.height = height, .everyone = everyone, .everyone_priority = priority};
    for (uint8_t i = 0; i < 16; i++) spec.entropy[i] = (uint8_t)(0xe0 + i);
    weft_keypair *pair = kit_pair(1);
    weft_buf *buf = NULL;
    cr_assert_eq(weft_root_build(&spec, pair, &buf, id), WEFT_OK);
    weft_keypair_destroy(pair);
    return buf;
}

Test(entry, what_is_built_reads_back)
{
    struct sample s;
    weft_id id, got;
    weft_entry e;
    sample_init(&s);
    weft_buf *buf = build(&s.spec, 1, &id);
    cr_assert_eq(weft_entry_decode(weft_buf_bytes(buf), weft_buf_len(buf), &e), WEFT_OK);
    cr_assert(weft_id_equal(&e.id, &id));
    cr_assert(!e.is_root && weft_id_equal(&e.tree, &s.spec.tree));
    cr_assert_eq(e.height, 8);
    cr_assert_eq(e.parents_count, 2); /* sorted, without the repeat */
    weft_entry_parent(&e, 0, &got);
    cr_assert(weft_id_equal(&got, &s.parents[1]));
    weft_entry_parent(&e, 1, &got);
    cr_assert(weft_id_equal(&got, &s.parents[0]));
    cr_assert(e.metadata_len == 4 && memcmp(e.metadata, "meta", 4) == 0);

    cr_assert_eq(e.stores_count, 3); /* by name */
    cr_assert(e.stores[0].name_len == 1 && e.stores[0].name[0] == 'a');
    cr_assert(e.stores[0].payload != NULL && e.stores[0].payload_len == 0);
    cr_assert(e.stores[0].has_height && e.stores[0].height == 99);
    cr_assert(e.stores[1].payload == NULL);
    cr_assert(!e.stores[1].has_height && e.stores[1].height == 8); /* equal: inherited */
    const weft_entry_store *notes = wf_entry_find_store(&e, "notes");
    cr_assert_eq(notes, &e.stores[2]);
    cr_assert(notes->payload_len == 5 && memcmp(notes->payload, "hello", 5) == 0);
    cr_assert_eq(notes->parents_count, 2);
    weft_entry_store_parent(notes, 0, &got);
    cr_assert(weft_id_equal(&got, &s.store_parents[1]));
    cr_assert_null(wf_entry_find_store(&e, "note"));
    cr_assert_eq(weft_entry_verify(&e), WEFT_OK);
    weft_buf_unref(buf);
}

Test(entry, the_order_of_what_is_given_does_not_matter)
{
    struct sample s, t;
    weft_id a, b;
    sample_init(&s);
    sample_init(&t);
    t.spec.parents = (weft_id[]){kit_id(1), kit_id(3)};
    t.spec.parents_count = 2;
    t.spec.stores = (weft_store_part[]){t.parts[2], t.parts[0], t.parts[1]};
    weft_buf *x = build(&s.spec, 1, &a), *y = build(&t.spec, 1, &b);
    cr_assert(weft_id_equal(&a, &b));
    weft_buf_unref(x);
    weft_buf_unref(y);
}

Test(entry, a_root_reads_back_and_is_its_own_tree)
{
    weft_id id;
    weft_entry e;
    weft_buf *buf = build_root(WEFT_HEIGHT_TIMESTAMP, WEFT_RIGHT_WRITE, 10, &id);
    cr_assert_eq(weft_entry_decode(weft_buf_bytes(buf), weft_buf_len(buf), &e), WEFT_OK);
    cr_assert(e.is_root && weft_id_equal(&e.tree, &id) && weft_id_equal(&e.id, &id));
    cr_assert(e.strategy == WEFT_HEIGHT_TIMESTAMP && e.height == 0 && e.parents_count == 0);
    cr_assert_eq(e.entropy[15], 0xef);
    cr_assert_eq(weft_entry_verify(&e), WEFT_OK);
    weft_buf_unref(buf);
}

Test(entry, two_roots_of_one_author_differ_by_chance)
{
    weft_root_spec spec = {0};
    weft_keypair *pair = kit_pair(1);
    weft_buf *x = NULL, *y = NULL;
    weft_id a, b;
    cr_assert_eq(weft_root_build(&spec, pair, &x, &a), WEFT_OK);
    cr_assert_eq(weft_root_build(&spec, pair, &y, &b), WEFT_OK);
    cr_assert(!weft_id_equal(&a, &b));
    weft_buf_unref(x);
    weft_buf_unref(y);
    weft_keypair_destroy(pair);
}

Test(entry, a_root_that_makes_everyone_admin_is_refused)
{
    weft_root_spec spec = {.everyone = WEFT_RIGHT_ADMIN};
    weft_keypair *pair = kit_pair(1);
    weft_buf *buf = NULL;
    weft_id id;
    cr_assert_eq(weft_root_build(&spec, pair, &buf, &id), WEFT_INVALID);
    spec = (weft_root_spec){.height = (weft_height)2};
    cr_assert_eq(weft_root_build(&spec, pair, &buf, &id), WEFT_INVALID);
    cr_assert_null(buf);
    weft_keypair_destroy(pair);
}

Test(entry, parse_gives_what_decode_gives_but_the_id)
{
    weft_id id, zero = kit_id(0);
    static weft_entry e, p;
    weft_buf *buf = build_root(WEFT_HEIGHT_TIMESTAMP, WEFT_RIGHT_NONE, 0, &id);
    cr_assert_eq(weft_entry_decode(weft_buf_bytes(buf), weft_buf_len(buf), &e), WEFT_OK);
    cr_assert_eq(wf_entry_parse(weft_buf_bytes(buf), weft_buf_len(buf), &p), WEFT_OK);
    cr_assert(weft_id_equal(&p.id, &zero) && weft_id_equal(&p.tree, &zero));
    cr_assert(p.is_root && p.bytes == e.bytes && p.len == e.len);
    cr_assert(p.stores[0].payload == e.stores[0].payload && weft_key_equal(&p.author, &e.author));
    cr_assert_eq(memcmp(p.signature, e.signature, sizeof p.signature), 0);
    weft_buf_unref(buf);
}

Test(entry, union_parents_are_sorted_and_without_repeats)
{
    struct sample s;
    weft_id id, all[8];
    weft_entry e;
    uint32_t count = 77;
    sample_init(&s);
    weft_buf *buf = build(&s.spec, 1, &id);
    cr_assert_eq(wf_entry_parse(weft_buf_bytes(buf), weft_buf_len(buf), &e), WEFT_OK);
    cr_assert_eq(wf_entry_parents_sum(&e), 4);
    cr_assert_eq(wf_entry_union_parents(&e, all, 3, &count), WEFT_LIMIT);
    cr_assert_eq(count, 77);
    cr_assert_eq(wf_entry_union_parents(&e, all, 4, &count), WEFT_OK);
    cr_assert_eq(count, 3);
    for (uint8_t i = 0; i < 3; i++) cr_assert_eq(all[i].bytes[0], i + 1);
    weft_buf_unref(buf);
}

/* Building what the format forbids: each function breaks one rule of a good description. */
static char long_name[WEFT_STORE_NAME_BYTES_MAX + 2];
static uint8_t large[WEFT_ENTRY_BYTES_MAX];
static weft_id many[WEFT_ENTRY_PARENTS_MAX + 1];
static weft_store_part crowd[WEFT_ENTRY_STORES_MAX + 1];

static void no_parents(struct sample *s) { s->spec.parents_count = 0; }
static void null_parents(struct sample *s) { s->spec.parents = NULL; }
static void many_parents(struct sample *s)
{
    for (uint32_t i = 0; i < WEFT_ENTRY_PARENTS_MAX + 1; i++) {
        many[i] = kit_id(0);
        many[i].bytes[0] = (uint8_t)i;
        many[i].bytes[1] = (uint8_t)(i >> 8);
    }
    s->spec.parents = many;
    s->spec.parents_count = WEFT_ENTRY_PARENTS_MAX + 1;
}
static void height_zero(struct sample *s) { s->spec.height = 0; }
static void height_above(struct sample *s) { s->spec.height = WEFT_HEIGHT_MAX + 1; }
static void store_height_above(struct sample *s) { s->parts[1].height = WEFT_HEIGHT_MAX + 1; }
static void metadata_long(struct sample *s)
{
    s->spec.metadata = large;
    s->spec.metadata_len = WEFT_METADATA_BYTES_MAX + 1;
}
static void metadata_null(struct sample *s) { s->spec.metadata = NULL; }
static void name_null(struct sample *s) { s->parts[0].name = NULL; }
static void name_empty(struct sample *s) { s->parts[0].name = ""; }
static void name_long(struct sample *s)
{
    memset(long_name, 'x', sizeof long_name - 1);
    s->parts[0].name = long_name;
}
static void name_twice(struct sample *s) { s->parts[0].name = "b"; }
static void name_reserved(struct sample *s) { s->parts[0].name = "_mine"; }
static void name_control(struct sample *s) { s->parts[0].name = "a\nb"; }
static void name_latin1(struct sample *s) { s->parts[0].name = "caf\xe9"; }
static void payload_null(struct sample *s) { s->parts[0].payload = NULL; }
static void payload_large(struct sample *s)
{
    s->parts[0].payload = large;
    s->parts[0].payload_len = sizeof large;
}
static void payload_huge(struct sample *s)
{
    s->parts[0].payload = large;
    s->parts[0].payload_len = SIZE_MAX;
}
static void stores_many(struct sample *s)
{
    s->spec.stores = crowd;
    s->spec.stores_count = WEFT_ENTRY_STORES_MAX + 1;
}

static const struct {
    const char *why;
    void (*change)(struct sample *s);
    weft_err expected;
} refused[] = {
    {"no parents", no_parents, WEFT_INVALID},
    {"parents announced but not given", null_parents, WEFT_INVALID},
    {"too many parents", many_parents, WEFT_LIMIT},
    {"height 0", height_zero, WEFT_INVALID},
    {"height above the bound", height_above, WEFT_INVALID},
    {"store height above the bound", store_height_above, WEFT_INVALID},
    {"metadata too long", metadata_long, WEFT_LIMIT},
    {"metadata announced but not given", metadata_null, WEFT_INVALID},
    {"no name", name_null, WEFT_INVALID},
    {"an empty name", name_empty, WEFT_INVALID},
    {"a name too long", name_long, WEFT_INVALID},
    {"a name twice", name_twice, WEFT_INVALID},
    {"a name of weft's own", name_reserved, WEFT_INVALID},
    {"a line end in a name", name_control, WEFT_INVALID},
    {"a name that is no UTF-8", name_latin1, WEFT_INVALID},
    {"a payload announced but not given", payload_null, WEFT_INVALID},
    {"a payload that makes the entry too large", payload_large, WEFT_LIMIT},
    {"a payload of a nonsensical length", payload_huge, WEFT_LIMIT},
    {"too many stores", stores_many, WEFT_LIMIT},
};

Test(entry, the_builder_refuses_what_the_reader_would)
{
    weft_keypair *pair = kit_pair(1);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct sample s;
        weft_buf *buf = NULL;
        weft_id id = kit_id(9), same = id;
        sample_init(&s);
        refused[i].change(&s);
        weft_err err = weft_entry_build(&s.spec, pair, &buf, &id);
        cr_expect_eq(err, refused[i].expected, "%s: %s", refused[i].why, weft_errname(err));
        cr_expect_null(buf);
        cr_expect(weft_id_equal(&id, &same));
    }
    weft_keypair_destroy(pair);
}

Test(entry, the_largest_payload_fits_exactly)
{
    struct sample s;
    weft_keypair *pair = kit_pair(1);
    weft_buf *buf = NULL;
    weft_id id;
    sample_init(&s);
    s.parts[0].payload = large;
    s.parts[0].payload_len = 70000; /* needs the head that the largest one needs */
    weft_buf *small = build(&s.spec, 1, &id);
    size_t most = 70000 + WEFT_ENTRY_BYTES_MAX - weft_buf_len(small);
    s.parts[0].payload_len = most + 1;
    cr_assert_eq(weft_entry_build(&s.spec, pair, &buf, &id), WEFT_LIMIT);
    s.parts[0].payload_len = most;
    cr_assert_eq(weft_entry_build(&s.spec, pair, &buf, &id), WEFT_OK);
    cr_assert_eq(weft_buf_len(buf), WEFT_ENTRY_BYTES_MAX);
    static weft_entry e;
    cr_assert_eq(weft_entry_decode(weft_buf_bytes(buf), weft_buf_len(buf), &e), WEFT_OK);
    cr_assert_eq(weft_entry_verify(&e), WEFT_OK);
    weft_buf_unref(buf);
    weft_buf_unref(small);
    weft_keypair_destroy(pair);
}

Test(entry, building_without_memory_fails_cleanly_at_each_allocation)
{
    struct sample s;
    weft_keypair *pair = kit_pair(1);
    sample_init(&s);
    s.parts[0].payload = large; /* longer than the stack buffer of the signature */
    s.parts[0].payload_len = 10000;
    uint64_t nth = 1;
    for (;; nth++) {
        weft_buf *buf = NULL;
        weft_id id = kit_id(9), same = id;
        wf_alloc_fail_at(nth, 0);
        weft_err err = weft_entry_build(&s.spec, pair, &buf, &id);
        wf_alloc_fail_at(0, 0);
        if (err == WEFT_OK) {
            weft_buf_unref(buf);
            break;
        }
        cr_assert_eq(err, WEFT_NO_MEMORY);
        cr_assert_null(buf);
        cr_assert(weft_id_equal(&id, &same));
    }
    cr_assert_eq(nth, 4, "ids, buffer and signature allocate; %d", (int)nth);
    weft_keypair_destroy(pair);
}

Test(entry, reading_allocates_nothing)
{
    struct sample s;
    weft_id id;
    weft_entry e;
    sample_init(&s);
    weft_buf *buf = build(&s.spec, 1, &id);
    wf_alloc_fail_at(1, 1);
    cr_assert_eq(weft_entry_decode(weft_buf_bytes(buf), weft_buf_len(buf), &e), WEFT_OK);
    cr_assert_eq(weft_entry_verify(&e), WEFT_OK);
    wf_alloc_fail_at(0, 0);
    weft_buf_unref(buf);
}

Test(entry, every_flipped_bit_is_refused_or_another_id)
{
    weft_id parent = kit_id(1), id;
    weft_entry_spec spec = {.tree = kit_id(2), .parents = &parent, .parents_count = 1, .height = 1};
    weft_buf *buf = build(&spec, 1, &id);
    size_t len = weft_buf_len(buf);
    uint8_t bytes[512];
    unsigned decoded = 0;
    cr_assert_leq(len, sizeof bytes);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        weft_entry e;
        memcpy(bytes, weft_buf_bytes(buf), len);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (weft_entry_decode(bytes, len, &e) != WEFT_OK) continue;
        decoded++;
        cr_assert(!weft_id_equal(&e.id, &id), "bit %zu", bit);
        cr_assert_eq(weft_entry_verify(&e), WEFT_BAD_SIGNATURE, "bit %zu", bit);
    }
    cr_assert_gt(decoded, 1000); /* ids, key and signature: most bits are free */
    weft_buf_unref(buf);
}

Test(entry, a_signature_for_another_purpose_is_no_entry)
{
    weft_id parent = kit_id(1), id;
    weft_entry_spec spec = {.tree = kit_id(2), .parents = &parent, .parents_count = 1, .height = 1};
    weft_buf *buf = build(&spec, 1, &id);
    weft_keypair *pair = kit_pair(1);
    size_t len = weft_buf_len(buf);
    uint8_t bytes[512];
    weft_entry e;
    memcpy(bytes, weft_buf_bytes(buf), len);
    cr_assert_eq(wf_sign(pair, WF_PURPOSE_NOISE_STATIC, bytes, len - 66, bytes + len - 64),
                 WEFT_OK);
    cr_assert_eq(weft_entry_decode(bytes, len, &e), WEFT_OK);
    cr_assert_eq(weft_entry_verify(&e), WEFT_BAD_SIGNATURE);
    weft_buf_unref(buf);
    weft_keypair_destroy(pair);
}

/* -- Golden bytes ----------------------------------------------------------------- */

static weft_buf *golden_settings(weft_id *id)
{
    static const wf_grant write = {WEFT_RIGHT_WRITE, 10};
    weft_keypair *bob = kit_pair(2);
    weft_key key;
    struct wf_settings_text text;
    wf_map_op op;
    uint8_t payload[WF_SETTINGS_ROOT_BYTES];
    size_t payload_len;
    weft_keypair_public(bob, &key);
    wf_settings_grant(&key, &write, &text, &op);
    cr_assert_eq(wf_map_ops_encode(&op, 1, payload, sizeof payload, &payload_len), WEFT_OK);

    weft_id root;
    weft_buf_unref(build_root(WEFT_HEIGHT_INCREMENTAL, WEFT_RIGHT_READ, 0, &root));
    weft_store_part part = {.name = WF_SETTINGS_NAME,
                            .parents = &root,
                            .parents_count = 1,
                            .payload = payload,
                            .payload_len = payload_len};
    weft_entry_spec spec = {.tree = root,
                            .parents = &root,
                            .parents_count = 1,
                            .height = 1,
                            .stores = &part,
                            .stores_count = 1};
    weft_keypair_destroy(bob);
    return build(&spec, 1, id);
}

static weft_buf *golden(unsigned which, weft_id *id)
{
    struct sample s;
    weft_id parent = kit_id(1);
    weft_entry_spec spec = {
        .tree = kit_id(0xaa), .parents = &parent, .parents_count = 1, .height = 1};
    switch (which) {
    case 0: return build_root(WEFT_HEIGHT_INCREMENTAL, WEFT_RIGHT_READ, 0, id);
    case 1: return build_root(WEFT_HEIGHT_TIMESTAMP, WEFT_RIGHT_WRITE, UINT32_MAX, id);
    case 2: return build(&spec, 1, id);
    case 3: sample_init(&s); return build(&s.spec, 2, id);
    default: return golden_settings(id);
    }
}

static const char *const golden_names[] = {"root", "root_timestamp", "plain", "stores", "settings"};
enum { GOLDEN = sizeof golden_names / sizeof golden_names[0] };

static FILE *golden_open(const char *name, const char *mode)
{
    char path[1024];
    const char *data = getenv("WEFT_TEST_DATA");
    snprintf(path, sizeof path, "%s/entry_v1/%s", data != NULL ? data : "test/data", name);
    FILE *file = fopen(path, mode);
    cr_assert_not_null(file, "cannot open %s", path);
    return file;
}

Test(entry, the_encoding_is_the_one_that_was_fixed)
{
    const char *write = getenv("WEFT_WRITE_GOLDEN");
    const bool writing = write != NULL && strcmp(write, "1") == 0;
    FILE *list = golden_open("list.txt", writing ? "w" : "r");
    for (unsigned i = 0; i < GOLDEN; i++) {
        char name[64], line[256], wanted[256], text[WEFT_ID_TEXT_BYTES];
        uint8_t bytes[2048];
        weft_id id;
        weft_buf *buf = golden(i, &id);
        weft_id_text(&id, text);
        snprintf(name, sizeof name, "%s.bin", golden_names[i]);
        snprintf(wanted, sizeof wanted, "%s %zu %s\n", name, weft_buf_len(buf), text);
        FILE *file = golden_open(name, writing ? "w" : "r");
        if (writing) {
            cr_assert_eq(fwrite(weft_buf_bytes(buf), 1, weft_buf_len(buf), file),
                         weft_buf_len(buf));
            fputs(wanted, list);
        } else {
            cr_assert_eq(fread(bytes, 1, sizeof bytes, file), weft_buf_len(buf), "%s", name);
            cr_assert_eq(memcmp(bytes, weft_buf_bytes(buf), weft_buf_len(buf)), 0, "%s", name);
            cr_assert_not_null(fgets(line, sizeof line, list));
            cr_assert_str_eq(line, wanted);
        }
        fclose(file);
        weft_buf_unref(buf);
    }
    fclose(list);
}
