/* SPDX-License-Identifier: Apache-2.0
 * test_keystore.c - the file of keys: who may open it, what it must hold, what a failure leaves.
 * Called by: meson test. May touch: keystore.c, sealed.c, a temporary folder.
 * Never: the default cost, except for the two that carry one pair. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/log.h>

#include "alloc.h"
#include "entry_kit.h"
#include "sealed.h"

#define ROOM 65536
#define PASS "correct horse", 13
#define OTHER "battery staple", 14

static const weft_keystore_cost cheap = {.operations = 1, .memory_bytes = 8192};
static char dir[64], path[96], beside[104];
static char said[1024]; /* all lines that were logged */

static void listen(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg;
    (void)level;
    (void)facility;
    strncat(said, line, sizeof said - strlen(said) - 1);
}

static void make_folder(void)
{
    strcpy(dir, "/tmp/weft-keystore-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/keys", dir);
    snprintf(beside, sizeof beside, "%s/keys.new", dir);
    weft_log_to(listen, NULL, WEFT_LOG_DEBUG);
}

static void remove_folder(void)
{
    unlink(path);
    unlink(beside);
    rmdir(beside);
    rmdir(dir);
}

TestSuite(keystore, .init = make_folder, .fini = remove_folder);

static size_t read_file(uint8_t out[ROOM])
{
    int fd = open(path, O_RDONLY);
    cr_assert_geq(fd, 0);
    ssize_t len = read(fd, out, ROOM);
    close(fd);
    cr_assert_gt(len, 0);
    return (size_t)len;
}

static void write_file(const void *data, size_t len, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, data, len), (ssize_t)len);
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
}

static weft_keystore *made(void)
{
    weft_keystore *s = NULL;
    cr_assert_eq(weft_keystore_create(path, PASS, &cheap, &s), WEFT_OK);
    return s;
}

static weft_keystore *opened(void)
{
    weft_keystore *s = NULL;
    cr_assert_eq(weft_keystore_open(path, PASS, &s), WEFT_OK);
    return s;
}

static weft_err put(weft_keystore *s, const char *name, uint8_t byte)
{
    weft_keypair *pair = kit_pair(byte);
    weft_err err = weft_keystore_put(s, name, pair);
    weft_keypair_destroy(pair);
    return err;
}

/* What `name` stands for is the pair of the seed of `byte`. */
static bool holds(weft_keystore *s, const char *name, uint8_t byte)
{
    weft_keypair *got = NULL, *pair = kit_pair(byte);
    weft_key a, b;
    bool same = weft_keystore_get(s, name, &got) == WEFT_OK;
    if (same) {
        weft_keypair_public(got, &a);
        weft_keypair_public(pair, &b);
        same = weft_key_equal(&a, &b);
    }
    weft_keypair_destroy(got);
    weft_keypair_destroy(pair);
    return same;
}

static void add_name(void *arg, const char *name, const weft_key *key)
{
    (void)key;
    strcat(arg, name);
    strcat(arg, " ");
}

static const char *names_of(weft_keystore *s)
{
    static char names[ROOM];
    names[0] = '\0';
    cr_assert_eq(weft_keystore_each(s, add_name, names), WEFT_OK);
    return names;
}

static void make_with_alice(void)
{
    weft_keystore *s = made();
    cr_assert_eq(put(s, "alice", 1), WEFT_OK);
    weft_keystore_close(s);
}

/* -- What it keeps ---------------------------------------------------------------------------- */

Test(keystore, pairs_come_back_under_their_names_in_order)
{
    weft_keystore *s = made();
    cr_assert_eq(put(s, "bob", 2), WEFT_OK);
    cr_assert_eq(put(s, "carol", 3), WEFT_OK);
    cr_assert_eq(put(s, "alice", 1), WEFT_OK);
    cr_assert_eq(weft_keystore_remove(s, "bob"), WEFT_OK);
    cr_assert_eq(put(s, "bill", 4), WEFT_OK);
    cr_expect_str_eq(names_of(s), "alice bill carol ");
    weft_keystore_close(s);
    s = opened();
    cr_expect_str_eq(names_of(s), "alice bill carol ");
    cr_expect(holds(s, "alice", 1));
    cr_expect(holds(s, "bill", 4));
    cr_expect(holds(s, "carol", 3));
    weft_keystore_close(s);
}

static void check_key(void *arg, const char *name, const weft_key *key)
{
    weft_keypair *pair = kit_pair(name[0] == 'a' ? 1 : 2);
    weft_key want;
    weft_keypair_public(pair, &want);
    weft_keypair_destroy(pair);
    if (!weft_key_equal(&want, key)) *(bool *)arg = false;
}

Test(keystore, each_shows_the_public_key_of_the_name)
{
    bool right = true;
    weft_keystore *s = made();
    cr_assert_eq(put(s, "bob", 2), WEFT_OK);
    cr_assert_eq(put(s, "alice", 1), WEFT_OK);
    cr_assert_eq(weft_keystore_each(s, check_key, &right), WEFT_OK);
    weft_keystore_close(s);
    s = opened();
    cr_assert_eq(weft_keystore_each(s, check_key, &right), WEFT_OK);
    weft_keystore_close(s);
    cr_expect(right);
}

Test(keystore, a_name_stands_for_one_pair)
{
    weft_keypair *got = NULL;
    weft_keystore *s = made();
    cr_assert_eq(put(s, "alice", 1), WEFT_OK);
    cr_expect_eq(put(s, "alice", 2), WEFT_EXISTS);
    cr_expect(holds(s, "alice", 1));
    cr_expect_eq(weft_keystore_get(s, "bob", &got), WEFT_NOT_FOUND);
    cr_expect_eq(weft_keystore_remove(s, "bob"), WEFT_NOT_FOUND);
    cr_expect_null(got);
    weft_keystore_close(s);
}

Test(keystore, a_name_has_one_to_63_bytes_of_utf8)
{
    char longest[65];
    weft_keystore *s = made();
    memset(longest, 'n', sizeof longest);
    longest[64] = '\0';
    cr_expect_eq(put(s, "", 1), WEFT_INVALID);
    cr_expect_eq(put(s, longest, 1), WEFT_INVALID);
    cr_expect_eq(put(s, "\xff", 1), WEFT_INVALID);
    longest[63] = '\0';
    cr_expect_eq(put(s, longest, 1), WEFT_OK);
    weft_keystore_close(s);
    s = opened();
    cr_expect(holds(s, longest, 1));
    weft_keystore_close(s);
}

/* A whole one is made at once, where 256 puts would write 256 files. */
Test(keystore, it_holds_256_pairs_and_says_when_it_is_full)
{
    weft_buf *buf = NULL;
    struct wf_sealed *full = wf_locked_alloc(sizeof *full);
    cr_assert_eq(wf_sealed_key_make(PASS, &cheap, &full->key), WEFT_OK);
    full->count = WEFT_KEYSTORE_KEYS_MAX;
    for (uint32_t i = 0; i < full->count; i++) {
        memset(full->pairs[i].name, 0, sizeof full->pairs[i].name);
        snprintf(full->pairs[i].name, sizeof full->pairs[i].name, "%0*u",
                 (int)WEFT_KEY_NAME_BYTES_MAX, i);
        memset(full->pairs[i].seed, (int)i, sizeof full->pairs[i].seed);
    }
    cr_assert_eq(wf_sealed_write(full, &buf), WEFT_OK);
    write_file(weft_buf_bytes(buf), weft_buf_len(buf), 0600);
    weft_buf_unref(buf);
    weft_keystore *s = opened();
    cr_expect(holds(s, full->pairs[255].name, 255));
    cr_expect_eq(put(s, "one more", 1), WEFT_LIMIT);
    cr_expect_eq(weft_keystore_remove(s, full->pairs[0].name), WEFT_OK);
    cr_expect_eq(put(s, "one more", 1), WEFT_OK);
    weft_keystore_close(s);
    wf_locked_free(full);
}

static void change_it(void *arg, const char *name, const weft_key *key)
{
    (void)key;
    cr_expect_eq(put(arg, "other", 2), WEFT_DEADLK);
    cr_expect_eq(weft_keystore_remove(arg, name), WEFT_DEADLK);
    cr_expect_eq(weft_keystore_passphrase(arg, OTHER), WEFT_DEADLK);
    cr_expect_eq(weft_keystore_each(arg, add_name, NULL), WEFT_DEADLK);
}

Test(keystore, a_walk_may_not_change_what_it_walks_over)
{
    weft_keystore *s = made();
    cr_assert_eq(put(s, "alice", 1), WEFT_OK);
    cr_assert_eq(weft_keystore_each(s, change_it, s), WEFT_OK);
    cr_expect_str_eq(names_of(s), "alice ");
    weft_keystore_close(s);
}

/* -- Who may open it -------------------------------------------------------------------------- */

Test(keystore, opens_with_its_passphrase_only)
{
    weft_keystore *s = NULL;
    make_with_alice();
    cr_expect_eq(weft_keystore_open(path, OTHER, &s), WEFT_PASSPHRASE);
    cr_expect_eq(weft_keystore_open(path, "correct hors", 12, &s), WEFT_PASSPHRASE);
    cr_expect_eq(weft_keystore_open(path, "correct horse ", 14, &s), WEFT_PASSPHRASE);
    cr_expect_eq(weft_keystore_open(path, "", 0, &s), WEFT_INVALID);
    cr_expect_null(s);
    s = opened();
    cr_expect(holds(s, "alice", 1));
    weft_keystore_close(s);
}

Test(keystore, another_passphrase_takes_the_place_of_the_first)
{
    uint8_t before[ROOM], after[ROOM];
    weft_keystore *s = NULL;
    make_with_alice();
    (void)read_file(before);
    s = opened();
    cr_assert_eq(weft_keystore_passphrase(s, OTHER), WEFT_OK);
    cr_assert_eq(put(s, "bob", 2), WEFT_OK);
    weft_keystore_close(s);
    s = NULL;
    cr_expect_eq(weft_keystore_open(path, PASS, &s), WEFT_PASSPHRASE);
    cr_assert_eq(weft_keystore_open(path, OTHER, &s), WEFT_OK);
    cr_expect(holds(s, "alice", 1));
    cr_expect(holds(s, "bob", 2));
    weft_keystore_close(s);
    (void)read_file(after);
    const size_t cost = strlen("weft-keys-1 argon2id 1 8192 "); /* stays; the salt is new */
    cr_expect_eq(memcmp(before, after, cost), 0);
    cr_expect_neq(memcmp(before + cost, after + cost, 32), 0);
}

static bool refused(weft_err err)
{
    return err == WEFT_PASSPHRASE || err == WEFT_KEY_FILE || err == WEFT_VERSION ||
           err == WEFT_LIMIT;
}

Test(keystore, every_flipped_bit_is_refused)
{
    uint8_t data[ROOM];
    make_with_alice();
    size_t len = read_file(data);
    for (size_t i = 0; i < 8 * len; i++) {
        weft_keystore *s = NULL;
        data[i / 8] ^= (uint8_t)(1u << i % 8);
        write_file(data, len, 0600);
        weft_err err = weft_keystore_open(path, PASS, &s);
        cr_assert(refused(err), "bit %zu: %s", i, weft_errname(err));
        data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
}

Test(keystore, every_cut_and_every_byte_more_is_refused)
{
    uint8_t data[ROOM];
    weft_keystore *s = NULL;
    make_with_alice();
    size_t len = read_file(data);
    for (size_t cut = 0; cut < len; cut++) {
        write_file(data, cut, 0600);
        weft_err err = weft_keystore_open(path, PASS, &s);
        cr_assert(refused(err), "cut at %zu: %s", cut, weft_errname(err));
    }
    memset(data + len, 0, ROOM - len);
    write_file(data, len + 1, 0600);
    cr_expect_eq(weft_keystore_open(path, PASS, &s), WEFT_PASSPHRASE);
    write_file(data, ROOM, 0600);
    cr_expect_eq(weft_keystore_open(path, PASS, &s), WEFT_KEY_FILE);
}

Test(keystore, a_file_open_to_others_or_reached_by_a_link_is_refused)
{
    static const mode_t modes[] = {0644, 0640, 0604, 0660, 0666, 0700};
    char link[96];
    weft_keystore *s = NULL;
    make_with_alice();
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        cr_assert_eq(chmod(path, modes[i]), 0);
        cr_expect_eq(weft_keystore_open(path, PASS, &s), WEFT_KEY_FILE, "mode %03o",
                     (unsigned)modes[i]);
    }
    cr_assert_eq(chmod(path, 0400), 0);
    s = opened();
    weft_keystore_close(s);
    s = NULL;
    snprintf(link, sizeof link, "%s/link", dir);
    cr_assert_eq(symlink(path, link), 0);
    cr_expect_eq(weft_keystore_open(link, PASS, &s), WEFT_KEY_FILE);
    unlink(link);
    unlink(path);
    cr_expect_eq(weft_keystore_open(path, PASS, &s), WEFT_NOT_FOUND);
}

Test(keystore, a_new_one_is_for_its_owner_alone_and_takes_nobodys_place)
{
    struct stat st;
    weft_keystore *s = NULL;
    mode_t old = umask(0777); /* a strict mask must not make it unreadable */
    make_with_alice();
    umask(old);
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 07777, 0600);
    cr_expect_eq(weft_keystore_create(path, PASS, &cheap, &s), WEFT_EXISTS);
    s = opened();
    cr_expect(holds(s, "alice", 1));
    weft_keystore_close(s);
    cr_expect_neq(access(beside, F_OK), 0);
}

/* -- The cost ------------------------------------------------------------------------------------- */

#define TAIL " 30313233343536373839616263646566 0102030405060708090a0b0c0d0e0f101112131415161718\n"

Test(keystore, a_file_may_not_ask_for_more_than_the_bounds)
{
    static const struct {
        const char *cost;
        weft_err want;
    } lines[] = {
        {"weft-keys-1 argon2id 33 8192", WEFT_LIMIT},
        {"weft-keys-1 argon2id 18446744073709551615 8192", WEFT_LIMIT},
        {"weft-keys-1 argon2id 1 1073741825", WEFT_LIMIT},
        {"weft-keys-1 argon2id 1 18446744073709551616", WEFT_KEY_FILE},
        {"weft-keys-1 argon2id 1 8191", WEFT_KEY_FILE},
        {"weft-keys-1 argon2id 0 8192", WEFT_KEY_FILE},
        {"weft-keys-1 argon2id 01 8192", WEFT_KEY_FILE},
        {"weft-keys-1 argon2id  8192", WEFT_KEY_FILE},
        {"weft-keys-1 argon2id 1 8192 ", WEFT_KEY_FILE},
        {"weft-keys-2 argon2id 1 8192", WEFT_VERSION},
        {"weft-key-1 ed25519 1 8192", WEFT_KEY_FILE},
        {"weft-keys-1 argon2id 32 8192", WEFT_PASSPHRASE}, /* as much as it may */
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        weft_keystore *s = NULL;
        char text[300];
        snprintf(text, sizeof text, "%s" TAIL "0123456789abcdef", lines[i].cost);
        write_file(text, strlen(text), 0600);
        weft_err err = weft_keystore_open(path, PASS, &s);
        cr_expect_eq(err, lines[i].want, "%s: %s", lines[i].cost, weft_errname(err));
    }
}

Test(keystore, a_cost_or_passphrase_out_of_range_is_invalid)
{
    static const weft_keystore_cost costs[] = {
        {.operations = WEFT_KEYSTORE_OPERATIONS_MAX + 1, .memory_bytes = 8192},
        {.operations = 1, .memory_bytes = 8191},
        {.operations = 1, .memory_bytes = WEFT_KEYSTORE_MEMORY_MAX + 1}};
    static char passphrase[WEFT_PASSPHRASE_BYTES_MAX + 1];
    weft_keystore *s = NULL;
    for (size_t i = 0; i < sizeof costs / sizeof costs[0]; i++)
        cr_expect_eq(weft_keystore_create(path, PASS, &costs[i], &s), WEFT_INVALID);
    cr_expect_eq(weft_keystore_create(path, passphrase, sizeof passphrase, &cheap, &s),
                 WEFT_INVALID);
    cr_expect_neq(access(path, F_OK), 0);
    cr_expect_eq(weft_keystore_create(path, passphrase, sizeof passphrase - 1, &cheap, &s),
                 WEFT_OK);
    weft_keystore_close(s);
}

Test(keystore, what_is_missing_is_invalid)
{
    weft_keystore *s = NULL, *none = NULL;
    weft_keypair *pair = kit_pair(1), *got = NULL;
    weft_buf *buf = NULL;
    cr_expect_eq(weft_keystore_create(NULL, PASS, &cheap, &s), WEFT_INVALID);
    cr_expect_eq(weft_keystore_create(path, NULL, 3, &cheap, &s), WEFT_INVALID);
    cr_expect_eq(weft_keystore_create(path, PASS, &cheap, NULL), WEFT_INVALID);
    cr_expect_eq(weft_keystore_open(NULL, PASS, &s), WEFT_INVALID);
    cr_expect_eq(weft_keystore_open(path, NULL, 3, &s), WEFT_INVALID);
    cr_expect_eq(weft_keystore_open(path, PASS, NULL), WEFT_INVALID);
    s = made();
    cr_expect_eq(weft_keystore_put(none, "a", pair), WEFT_INVALID);
    cr_expect_eq(weft_keystore_put(s, NULL, pair), WEFT_INVALID);
    cr_expect_eq(weft_keystore_put(s, "a", NULL), WEFT_INVALID);
    cr_expect_eq(weft_keystore_get(none, "a", &got), WEFT_INVALID);
    cr_expect_eq(weft_keystore_get(s, NULL, &got), WEFT_INVALID);
    cr_expect_eq(weft_keystore_get(s, "a", NULL), WEFT_INVALID);
    cr_expect_eq(weft_keystore_remove(none, "a"), WEFT_INVALID);
    cr_expect_eq(weft_keystore_remove(s, NULL), WEFT_INVALID);
    cr_expect_eq(weft_keystore_each(none, add_name, NULL), WEFT_INVALID);
    cr_expect_eq(weft_keystore_each(s, NULL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_keystore_passphrase(none, OTHER), WEFT_INVALID);
    cr_expect_eq(weft_keystore_passphrase(s, NULL, 3), WEFT_INVALID);
    cr_expect_eq(weft_keypair_export(NULL, PASS, &buf), WEFT_INVALID);
    cr_expect_eq(weft_keypair_export(pair, NULL, 3, &buf), WEFT_INVALID);
    cr_expect_eq(weft_keypair_export(pair, PASS, NULL), WEFT_INVALID);
    cr_expect_eq(weft_keypair_import(NULL, 3, PASS, &got), WEFT_INVALID);
    cr_expect_eq(weft_keypair_import("abc", 3, NULL, 3, &got), WEFT_INVALID);
    cr_expect_eq(weft_keypair_import("abc", 3, PASS, NULL), WEFT_INVALID);
    weft_keystore_close(s);
    weft_keystore_close(NULL);
    weft_keypair_destroy(pair);
}

/* -- The bytes -------------------------------------------------------------------------------------- */

/* "alice" is 32 times 1, "bob" 32 times 2. The key of the passphrase is what the reference
 * implementation of Argon2 makes of it; the rest was sealed by a few lines of Python. */
static const char golden_line[] = "weft-keys-1 argon2id 2 65536" TAIL;
static const char golden_rest[] =
    "75bd0b765eb364da89642c7f5591270127945dd862be33b58a15272588b68c0f28c41ed9a52fcd164976bf71acd9"
    "9bccf2b3b1da9830e79966488fd17c50a3a94b8be08f856a0adc8d085f0e9fc7be7253f4841eaff64ab0027bf14a"
    "add378a63c";

Test(keystore, a_golden_file_opens)
{
    uint8_t data[ROOM];
    size_t len = strlen(golden_line);
    memcpy(data, golden_line, len);
    len += kit_bytes(golden_rest, data + len, ROOM - len);
    write_file(data, len, 0600);
    weft_keystore *s = opened();
    cr_expect_str_eq(names_of(s), "alice bob ");
    cr_expect(holds(s, "alice", 1));
    cr_expect(holds(s, "bob", 2));
    weft_keystore_close(s);
}

/* One salt, so that a change needs no second derivation; chance of its own for each sealing. */
Test(keystore, no_two_sealings_have_the_same_nonce)
{
    uint8_t a[ROOM], b[ROOM];
    const size_t cost = strlen("weft-keys-1 argon2id 1 8192 ");
    weft_keystore *s = made();
    (void)read_file(a);
    cr_assert_eq(put(s, "alice", 1), WEFT_OK);
    (void)read_file(b);
    cr_expect_eq(memcmp(a + cost, b + cost, 32), 0);
    cr_expect_neq(memcmp(a + cost + 33, b + cost + 33, 48), 0);
    weft_keystore_close(s);
}

/* Sealed by its very passphrase, and still none: the order is one, and names are not empty. */
Test(keystore, what_is_sealed_is_not_believed_either)
{
    static const char *const names[][2] = {{"b", "a"}, {"a", "a"}, {"", "a"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        weft_keystore *s = NULL;
        weft_buf *buf = NULL;
        struct wf_sealed *sealed = wf_locked_alloc(sizeof *sealed);
        cr_assert_eq(wf_sealed_key_make(PASS, &cheap, &sealed->key), WEFT_OK);
        sealed->count = 2;
        for (size_t j = 0; j < 2; j++) strcpy(sealed->pairs[j].name, names[i][j]);
        cr_assert_eq(wf_sealed_write(sealed, &buf), WEFT_OK);
        write_file(weft_buf_bytes(buf), weft_buf_len(buf), 0600);
        cr_expect_eq(weft_keystore_open(path, PASS, &s), WEFT_KEY_FILE, "%zu", i);
        weft_buf_unref(buf);
        wf_locked_free(sealed);
    }
}

/* -- What a failure leaves ------------------------------------------------------------------------------ */

Test(keystore, a_save_that_fails_half_way_leaves_the_old_one)
{
    uint8_t before[ROOM], after[ROOM];
    struct rlimit old, none;
    make_with_alice();
    weft_keystore *s = opened();
    size_t len = read_file(before);
    signal(SIGXFSZ, SIG_IGN); /* the write says EFBIG then */
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    for (rlim_t room = 0; room < len; room += 20) {
        none = (struct rlimit){.rlim_cur = room, .rlim_max = old.rlim_max};
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
        weft_err put_says = put(s, "bob", 2), remove_says = weft_keystore_remove(s, "alice");
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
        cr_assert_eq(put_says, WEFT_IO);
        cr_assert(remove_says == WEFT_IO || room > len - 60);
        if (remove_says == WEFT_OK) break; /* an empty one is so much smaller */
        cr_assert_eq(read_file(after), len);
        cr_assert_eq(memcmp(before, after, len), 0);
        cr_assert_neq(access(beside, F_OK), 0);
        cr_expect_str_eq(names_of(s), "alice ");
    }
    if (names_of(s)[0] == '\0') cr_assert_eq(put(s, "alice", 1), WEFT_OK);
    cr_expect_eq(put(s, "bob", 2), WEFT_OK); /* and the handle is as good as before */
    weft_keystore_close(s);
    s = opened();
    cr_expect_str_eq(names_of(s), "alice bob ");
    weft_keystore_close(s);
}

Test(keystore, what_a_crash_left_beside_it_is_written_over)
{
    static const uint8_t more[ROOM]; /* longer than what comes */
    write_file(more, sizeof more, 0600);
    cr_assert_eq(rename(path, beside), 0);
    weft_keystore *s = made();
    weft_keystore_close(s);
    s = opened(); /* what was made is no longer than it should be */
    cr_expect_str_eq(names_of(s), "");
    weft_keystore_close(s);
    cr_expect_neq(access(beside, F_OK), 0);
}

Test(keystore, a_folder_in_the_way_is_io_and_leaves_the_old_one)
{
    make_with_alice();
    weft_keystore *s = opened();
    cr_assert_eq(mkdir(beside, 0700), 0);
    cr_expect_eq(put(s, "bob", 2), WEFT_IO);
    weft_keystore_close(s);
    s = opened();
    cr_expect_str_eq(names_of(s), "alice ");
    weft_keystore_close(s);
}

static weft_err all_of_it(void)
{
    weft_keystore *s = NULL;
    weft_keypair *pair = kit_pair(1), *got = NULL;
    weft_err err = access(path, F_OK) == 0 ? weft_keystore_open(path, PASS, &s)
                                           : weft_keystore_create(path, PASS, &cheap, &s);
    if (err == WEFT_OK) err = weft_keystore_put(s, "bob", pair);
    if (err == WEFT_OK) err = weft_keystore_get(s, "bob", &got);
    if (err == WEFT_OK) err = weft_keystore_passphrase(s, PASS);
    if (err == WEFT_OK) err = weft_keystore_remove(s, "bob");
    weft_keystore_close(s);
    weft_keypair_destroy(pair);
    weft_keypair_destroy(got);
    return err;
}

/* Allocations of locked memory and of Argon2 are counted too. */
Test(keystore, each_allocation_may_fail)
{
    for (int with_file = 0; with_file < 2; with_file++) {
        unsigned failed = 0;
        weft_err err = WEFT_NO_MEMORY;
        for (unsigned nth = 3; err == WEFT_NO_MEMORY; nth++) { /* behind the pair's own two */
            weft_keystore *s = NULL;
            weft_keypair *got = NULL;
            unlink(path);
            if (with_file) make_with_alice();
            wf_alloc_fail_at(nth, 0);
            err = all_of_it();
            wf_alloc_fail_at(0, 0);
            failed += err == WEFT_NO_MEMORY;
            cr_assert(err == WEFT_OK || err == WEFT_NO_MEMORY, "%u: %s", nth, weft_errname(err));
            cr_assert_neq(access(beside, F_OK), 0, "%u", nth);
            if (!with_file) continue;
            s = opened();
            cr_assert(holds(s, "alice", 1), "%u", nth);
            (void)weft_keystore_get(s, "bob", &got);
            weft_keypair_destroy(got);
            weft_keystore_close(s);
        }
        cr_expect_gt(failed, 15);
    }
}

Test(keystore, of_two_programs_the_later_change_is_refused_until_it_has_looked_again)
{
    make_with_alice();
    weft_keystore *a = opened(), *b = opened();
    cr_assert_eq(put(a, "bob", 2), WEFT_OK);
    cr_expect_eq(put(b, "carol", 3), WEFT_KEY_FILE);
    cr_expect_str_eq(names_of(b), "alice ");
    cr_expect_eq(put(a, "dave", 4), WEFT_OK);
    weft_keystore_close(b);
    b = opened();
    cr_expect_eq(put(b, "carol", 3), WEFT_OK);
    cr_expect_str_eq(names_of(b), "alice bob carol dave ");
    unlink(path);
    cr_expect_eq(put(b, "erin", 5), WEFT_KEY_FILE, "what is gone does not come back");
    weft_keystore_close(a);
    weft_keystore_close(b);
}

/* Two processes put at once, each again and again: every pair whose put answered OK is there. */
Test(keystore, nothing_that_was_answered_is_lost_between_processes, .timeout = 60)
{
    enum { EACH = 20 };
    pid_t children[2];
    char names[2][EACH][8];
    make_with_alice();
    for (int c = 0; c < 2; c++) {
        for (int i = 0; i < EACH; i++) snprintf(names[c][i], sizeof names[c][i], "%d-%02d", c, i);
        children[c] = fork();
        if (children[c] != 0) continue;
        for (int i = 0; i < EACH;) {
            weft_keystore *s = NULL;
            if (weft_keystore_open(path, PASS, &s) != WEFT_OK) _exit(1);
            weft_err err = put(s, names[c][i], (uint8_t)(10 + i));
            if (err != WEFT_OK && err != WEFT_KEY_FILE) _exit(2);
            i += err == WEFT_OK;
            weft_keystore_close(s);
        }
        _exit(0);
    }
    for (int c = 0; c < 2; c++) {
        int status = -1;
        cr_assert_eq(waitpid(children[c], &status, 0), children[c]);
        cr_assert_eq(status, 0);
    }
    weft_keystore *s = opened();
    for (int c = 0; c < 2; c++)
        for (int i = 0; i < EACH; i++) cr_expect(holds(s, names[c][i], (uint8_t)(10 + i)));
    weft_keystore_close(s);
}

/* -- Where secrets are ------------------------------------------------------------------------------------ */

static unsigned long locked_kib(void)
{
    char line[256];
    unsigned long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    cr_assert_not_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "VmLck:", 6) == 0) kib = strtoul(line + 6, NULL, 10);
    fclose(file);
    return kib;
}

Test(keystore, its_pairs_are_in_locked_memory)
{
    /* Where nothing may be locked, or a checker of memory takes the call away, nothing shows. */
    unsigned long none = locked_kib();
    void *page = mmap(NULL, 1 << 18, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(page, MAP_FAILED);
    bool shows = mlock(page, 1 << 18) == 0 && locked_kib() >= none + (1 << 8);
    munmap(page, 1 << 18);
    if (!shows) cr_skip_test("nothing is locked here");
    make_with_alice();
    unsigned long before = locked_kib();
    weft_keystore *s = opened();
    cr_expect_geq(locked_kib(), before + sizeof(struct wf_sealed) / 1024);
    weft_keystore_close(s);
    cr_expect_eq(locked_kib(), before);
}

Test(keystore, no_line_of_the_log_tells_a_secret_or_a_passphrase)
{
    uint8_t data[ROOM];
    weft_keystore *s = NULL;
    make_with_alice();
    cr_expect_eq(weft_keystore_open(path, OTHER, &s), WEFT_PASSPHRASE);
    size_t len = read_file(data);
    data[len - 1] ^= 1;
    write_file(data, len, 0600);
    cr_expect_eq(weft_keystore_open(path, PASS, &s), WEFT_PASSPHRASE);
    cr_expect_not_null(strstr(said, path)); /* something was said */
    cr_expect_null(strstr(said, "correct horse"));
    cr_expect_null(strstr(said, "battery staple"));
    cr_expect_null(strstr(said, "0101"));
}

Test(keystore, in_a_child_it_is_refused)
{
    weft_keypair *pair = kit_pair(2);
    make_with_alice();
    weft_keystore *s = opened();
    pid_t child = fork();
    if (child == 0) {
        weft_keypair *got = NULL;
        bool all = weft_keystore_put(s, "bob", pair) == WEFT_FORKED &&
                   weft_keystore_get(s, "alice", &got) == WEFT_FORKED &&
                   weft_keystore_remove(s, "alice") == WEFT_FORKED &&
                   weft_keystore_each(s, add_name, NULL) == WEFT_FORKED &&
                   weft_keystore_passphrase(s, OTHER) == WEFT_FORKED;
        weft_keystore_close(s);
        _exit(all ? 0 : 1);
    }
    int status = -1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    cr_expect(holds(s, "alice", 1));
    weft_keystore_close(s);
    weft_keypair_destroy(pair);
}

/* -- One pair, to be carried elsewhere ---------------------------------------------------------------------- */

Test(keystore, an_exported_pair_is_imported_with_its_passphrase_only, .timeout = 120)
{
    weft_keypair *pair = kit_pair(9), *back = NULL;
    weft_buf *buf = NULL;
    weft_key a, b;
    cr_assert_eq(weft_keypair_export(pair, PASS, &buf), WEFT_OK);
    const uint8_t *data = weft_buf_bytes(buf);
    size_t len = weft_buf_len(buf);
    cr_expect_eq(memcmp(data, "weft-keys-1 argon2id 3 268435456 ", 33), 0);
    cr_expect_eq(weft_keypair_import(data, len, OTHER, &back), WEFT_PASSPHRASE);
    cr_expect_null(back);
    cr_assert_eq(weft_keypair_import(data, len, PASS, &back), WEFT_OK);
    weft_keypair_public(pair, &a);
    weft_keypair_public(back, &b);
    cr_expect(weft_key_equal(&a, &b));
    /* No key store, though it looks like one. */
    weft_keystore *s = NULL;
    write_file(data, len, 0600);
    cr_expect_eq(weft_keystore_open(path, PASS, &s), WEFT_KEY_FILE);
    weft_buf_unref(buf);
    weft_keypair_destroy(pair);
    weft_keypair_destroy(back);
}

Test(keystore, what_is_no_export_is_not_imported)
{
    uint8_t data[ROOM];
    weft_keypair *pair = NULL;
    make_with_alice();
    size_t len = read_file(data);
    cr_expect_eq(weft_keypair_import(data, len, PASS, &pair), WEFT_SYNTAX, "a key store");
    cr_expect_eq(weft_keypair_import(data, 0, PASS, &pair), WEFT_SYNTAX);
    cr_expect_eq(weft_keypair_import(data, len / 2, PASS, &pair), WEFT_SYNTAX);
    cr_expect_eq(weft_keypair_import(data, len - 1, PASS, &pair), WEFT_PASSPHRASE);
    data[strlen("weft-keys-")] = '7';
    cr_expect_eq(weft_keypair_import(data, len, PASS, &pair), WEFT_VERSION);
    cr_expect_null(pair);
}

/* A few of them only: a try at the default cost is not cheap. */
Test(keystore, an_export_for_which_memory_is_short_says_so, .timeout = 120)
{
    weft_keypair *pair = kit_pair(9);
    weft_buf *buf = NULL;
    for (unsigned nth = 1; nth <= 2; nth++) { /* what is sealed, Argon2 */
        wf_alloc_fail_at(nth, 0);
        cr_expect_eq(weft_keypair_export(pair, PASS, &buf), WEFT_NO_MEMORY, "%u", nth);
        wf_alloc_fail_at(0, 0);
    }
    cr_expect_null(buf);
    weft_keypair_destroy(pair);
}
