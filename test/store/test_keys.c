/* SPDX-License-Identifier: Apache-2.0
 * test_keys.c - the key file: who may open it, what it must hold, what is said when not.
 * Called by: meson test. May touch: keys.c, a temporary folder. Never: a key of somebody. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weft/log.h>

#include "alloc.h"
#include "entry_kit.h"

static char dir[64], path[96];
static char said[1024]; /* all lines that were logged */
static unsigned lines;

static void listen(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg;
    (void)level;
    (void)facility;
    lines++;
    strncat(said, line, sizeof said - strlen(said) - 1);
}

static void make_folder(void)
{
    strcpy(dir, "/tmp/weft-keys-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/key", dir);
    weft_log_to(listen, NULL, WEFT_LOG_DEBUG);
}

static void remove_folder(void)
{
    char link[96];
    snprintf(link, sizeof link, "%s/link", dir);
    unlink(link);
    unlink(path);
    rmdir(path);
    rmdir(dir);
}

TestSuite(keys, .init = make_folder, .fini = remove_folder);

static void write_file(const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
}

/* The seed of 32 times 0x01. */
#define GOOD_LINE \
    "weft-key-1 ed25519 0101010101010101010101010101010101010101010101010101010101010101\n"

Test(keys, a_saved_pair_loads_as_the_same_pair)
{
    weft_keypair *pair = kit_pair(9), *back = NULL;
    weft_key a, b;
    cr_assert_eq(weft_keypair_save(pair, path), WEFT_OK);
    cr_assert_eq(weft_keypair_load(path, &back), WEFT_OK);
    weft_keypair_public(pair, &a);
    weft_keypair_public(back, &b);
    cr_assert(weft_key_equal(&a, &b));
    weft_keypair_destroy(pair);
    weft_keypair_destroy(back);
}

Test(keys, the_file_is_one_line_for_its_owner_alone)
{
    struct stat st;
    char text[200] = {0};
    weft_keypair *pair = kit_pair(1);
    mode_t old = umask(0777); /* a strict mask must not make it unreadable */
    cr_assert_eq(weft_keypair_save(pair, path), WEFT_OK);
    umask(old);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0600);
    int fd = open(path, O_RDONLY);
    cr_assert_eq(read(fd, text, sizeof text - 1), (ssize_t)strlen(GOOD_LINE));
    close(fd);
    cr_assert_str_eq(text, GOOD_LINE);
    weft_keypair_destroy(pair);
}

Test(keys, saving_never_overwrites)
{
    weft_keypair *pair = kit_pair(2), *back = NULL;
    weft_key key, one;
    write_file(GOOD_LINE, 0600);
    cr_assert_eq(weft_keypair_save(pair, path), WEFT_EXISTS);
    cr_assert_eq(weft_keypair_load(path, &back), WEFT_OK);
    weft_keypair_public(back, &key);
    weft_keypair_destroy(pair);
    pair = kit_pair(1);
    weft_keypair_public(pair, &one);
    cr_assert(weft_key_equal(&key, &one));
    weft_keypair_destroy(pair);
    weft_keypair_destroy(back);
}

Test(keys, a_missing_file_is_an_answer_and_says_nothing)
{
    weft_keypair *pair = NULL;
    cr_assert_eq(weft_keypair_load(path, &pair), WEFT_NOT_FOUND);
    cr_assert_null(pair);
    cr_assert_eq(lines, 0);
}

Test(keys, a_file_open_to_others_is_refused_with_one_sentence)
{
    static const mode_t modes[] = {0640, 0604, 0660, 0666, 0644, 0700, 0601, 0000};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        weft_keypair *pair = NULL;
        write_file(GOOD_LINE, modes[i]);
        lines = 0;
        said[0] = '\0';
        cr_assert_eq(weft_keypair_load(path, &pair), WEFT_KEY_FILE, "mode %03o",
                     (unsigned)modes[i]);
        cr_assert_eq(lines, 1, "mode %03o", (unsigned)modes[i]);
        cr_assert_not_null(strstr(said, path));
        cr_assert_null(pair);
        unlink(path);
    }
}

Test(keys, a_read_only_file_of_its_owner_is_fine)
{
    weft_keypair *pair = NULL;
    write_file(GOOD_LINE, 0400);
    cr_assert_eq(weft_keypair_load(path, &pair), WEFT_OK);
    weft_keypair_destroy(pair);
}

Test(keys, a_symbolic_link_is_refused_also_to_a_good_file)
{
    char link[96];
    weft_keypair *pair = NULL;
    write_file(GOOD_LINE, 0600);
    snprintf(link, sizeof link, "%s/link", dir);
    cr_assert_eq(symlink(path, link), 0);
    cr_assert_eq(weft_keypair_load(link, &pair), WEFT_KEY_FILE);
    cr_assert_not_null(strstr(said, "symbolic link"));
    pair = kit_pair(1);
    unlink(path); /* saving through a link that leads nowhere would create its target */
    cr_assert_eq(weft_keypair_save(pair, link), WEFT_EXISTS);
    cr_assert_neq(access(path, F_OK), 0);
    weft_keypair_destroy(pair);
}

Test(keys, what_is_no_regular_file_is_refused)
{
    weft_keypair *pair = NULL;
    cr_assert_eq(mkdir(path, 0600), 0);
    cr_assert_eq(weft_keypair_load(path, &pair), WEFT_KEY_FILE);
    rmdir(path);
    cr_assert_eq(mkfifo(path, 0600), 0); /* and opening it must not wait for a writer */
    cr_assert_eq(weft_keypair_load(path, &pair), WEFT_KEY_FILE);
    cr_assert_eq(lines, 2);
}

Test(keys, every_other_content_is_refused_with_one_sentence_that_keeps_the_secret)
{
    static const char secret[] = "01010101";
    const size_t len = strlen(GOOD_LINE);
    char text[200];
    for (size_t cut = 0; cut <= len + 1; cut++) {
        weft_keypair *pair = NULL;
        if (cut == len) continue; /* the good one */
        snprintf(text, sizeof text, "%s\n", GOOD_LINE);
        text[cut] = '\0';
        lines = 0;
        said[0] = '\0';
        write_file(text, 0600);
        cr_assert_eq(weft_keypair_load(path, &pair), WEFT_KEY_FILE, "cut at %zu", cut);
        cr_assert_eq(lines, 1);
        cr_assert_null(strstr(said, secret));
    }
    for (size_t i = 0; i < len; i++) {
        weft_keypair *pair = NULL;
        strcpy(text, GOOD_LINE);
        text[i] = text[i] == 'A' ? 'B' : 'A'; /* also an upper-case digit */
        write_file(text, 0600);
        said[0] = '\0';
        cr_assert_eq(weft_keypair_load(path, &pair), WEFT_KEY_FILE, "changed at %zu", i);
        cr_assert_null(strstr(said, secret));
    }
}

Test(keys, a_folder_that_does_not_exist_is_io_and_leaves_nothing)
{
    char deep[128];
    weft_keypair *pair = kit_pair(1);
    snprintf(deep, sizeof deep, "%s/none/key", dir);
    cr_assert_eq(weft_keypair_save(pair, deep), WEFT_IO);
    cr_assert_eq(lines, 1);
    weft_keypair_destroy(pair);
}

Test(keys, a_save_that_fails_half_way_leaves_no_file)
{
    weft_keypair *pair = kit_pair(1);
    wf_alloc_fail_at(1, 0); /* the copy of the folder's name, after the file is written */
    cr_assert_eq(weft_keypair_save(pair, path), WEFT_NO_MEMORY);
    wf_alloc_fail_at(0, 0);
    cr_assert_neq(access(path, F_OK), 0);
    weft_keypair_destroy(pair);
}
