/* SPDX-License-Identifier: Apache-2.0
 * test_renew_files.c - a renewal that the disk refuses to finish, and directories that are no store to
 * renew. Called by: meson test. May touch: a directory of its own; rename(), which fails from a call on.
 * Never: the rooms of a renewal other than through their headers. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/node.h>

#include "kv_kit.h"
#include "renew_files.h"
#include "store_copy.h"
#include "store_dir.h"
#include "store_kit.h"
#include "writer.h"

#define ENTRIES 60u
#define PATH_BYTES 512

static weft_keypair *author;
static sk_node node; /* lends its runtime */
static sk_dag *dag;
static char dir[64], whole[80]; /* where it happens, and the store as it was before */
static wf_renewal done;

/* -- A disk that does not rename any more --------------------------------------------------------- */

static uint64_t renames, fails_from; /* 0: it does */

/* The engines' own and those within a store that is being made are not counted. */
static bool is_of_renewal(const char *from, const char *to)
{
    if (strstr(from, "renewed.part/") != NULL || strstr(from, WF_RENEW_COPY) != NULL) return false;
    return strstr(to, "/damaged-") != NULL || strstr(from, "/renewed") != NULL ||
           strstr(from, "/renewing") != NULL;
}

int rename(const char *from, const char *to)
{
    if (fails_from != 0 && is_of_renewal(from, to) && ++renames >= fails_from) {
        errno = EIO;
        return -1;
    }
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

/* -- Stores ------------------------------------------------------------------------------------------ */

static void put(wf_store *store, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        struct wf_add add = {.bytes = weft_buf_bytes(dag->bufs[i]),
                             .len = (uint32_t)weft_buf_len(dag->bufs[i]),
                             .id = dag->ids[i],
                             .create_tree = true};
        cr_assert_eq(wf_writer_add(store, &add), WEFT_OK);
    }
    cr_assert_eq(wf_writer_flush(store, true), WEFT_OK);
    wf_writer_clear(store);
}

static wf_store *open_store(void)
{
    wf_store *store = NULL;
    cr_assert_eq(wf_store_open(kk_open(&kk_rocksdb, dir), node.rt, &store), WEFT_OK);
    return store;
}

/* All but the last entry. */
static void make_store(void)
{
    wf_store *store = open_store();
    put(store, 0, ENTRIES - 1);
    wf_store_close(store);
    snprintf(whole, sizeof whole, "%s.before", dir);
    cr_assert_eq(wf_store_dir_copy(dir, whole), WEFT_OK);
}

static void begin_again(void)
{
    kk_dir_remove(dir);
    cr_assert_eq(wf_store_dir_copy(whole, dir), WEFT_OK);
}

static bool is_there(const char *name)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return wf_store_dir_exists(path);
}

static void remove_files(const char *end)
{
    char path[PATH_BYTES];
    DIR *listing = opendir(dir);
    cr_assert_not_null(listing);
    for (struct dirent *item; (item = readdir(listing)) != NULL;) {
        if (strstr(item->d_name, end) == NULL) continue;
        snprintf(path, sizeof path, "%s/%.200s", dir, item->d_name);
        cr_assert_eq(unlink(path), 0);
    }
    closedir(listing);
}

static weft_err renew(bool opens)
{
    const wf_renew_options options = {.opens = opens};
    return wf_renew(dir, node.rt, &options, &done);
}

static uint32_t missing_of(wf_store *store, uint32_t count)
{
    uint32_t missing = 0;
    for (uint32_t i = 0; i < count; i++) {
        weft_buf *buf = NULL;
        missing += wf_store_get(store, &dag->ids[i], &buf) != WEFT_OK;
        weft_buf_unref(buf);
    }
    return missing;
}

static void setup(void)
{
    author = kit_pair(1);
    dag = sk_dag_create(SK_MERGES, ENTRIES, author, 3);
    sk_node_open(&node, 1);
    kk_dir_create(dir);
    sk_quiet(true);
    make_store();
}

static void teardown(void)
{
    sk_quiet(false);
    kk_dir_remove(dir);
    kk_dir_remove(whole);
    sk_node_close(&node);
    sk_dag_destroy(dag);
    weft_keypair_destroy(author);
}

TestSuite(renew_files, .init = setup, .fini = teardown);

/* -- Names that cannot be changed ---------------------------------------------------------------------- */

/* A renewal whose nth rename and all after it fail: as a kill there leaves it. True: it met it. */
static bool stopped_at(uint64_t nth)
{
    begin_again();
    renames = 0;
    fails_from = nth;
    weft_err err = renew(true);
    fails_from = 0;
    cr_assert(err == WEFT_OK || err == WEFT_IO, "%s", weft_errname(err));
    return err != WEFT_OK;
}

/* A node that cannot renew its store may open it as it is: then it must stay the store. */
Test(renew_files, what_is_written_after_a_renewal_that_failed_is_not_renewed_away)
{
    static const uint64_t nths[] = {1, 2,
                                    20}; /* the new one, CURRENT, in the middle of the files */
    for (uint32_t i = 0; i < sizeof nths / sizeof *nths; i++) {
        const uint64_t nth = nths[i];
        cr_assert(stopped_at(nth));
        uint32_t count = ENTRIES - 1;
        wf_kv *kv = NULL;
        wf_store *store;
        if (kk_try(&kk_rocksdb, dir, true, false, &kv) == WEFT_OK) {
            cr_assert_eq(wf_store_open(kv, node.rt, &store), WEFT_OK);
            (void)wf_renew_settle(store, dir);
            put(store, ENTRIES - 1, ENTRIES);
            wf_store_close(store);
            count = ENTRIES;
        }
        cr_assert_eq(wf_renew_resume(dir), WEFT_OK);
        store = open_store();
        cr_expect_eq(missing_of(store, count), 0, "stopped at rename %u", (unsigned)nth);
        cr_expect_eq(wf_renew_settle(store, dir), WEFT_OK);
        sk_expect_clean(store);
        wf_store_close(store);
        cr_expect_not(is_there("damaged-1"));
        cr_expect_not(is_there(WF_RENEW_COPY));
    }
}

Test(renew_files, a_renewal_that_did_not_come_to_change_names_takes_no_number)
{
    cr_assert(stopped_at(1));
    cr_expect_eq(wf_renew_newest(dir), 0, "of so many that there are");
}

/* What has come in is whole: to make it once more would take its time again, and its epochs. */
Test(renew_files, one_that_was_interrupted_is_ended_and_not_begun_anew)
{
    cr_assert(stopped_at(2));
    cr_assert(wf_renew_is_half(dir));
    cr_expect_eq(renew(false), WEFT_OK);
    cr_expect_not(wf_renew_is_half(dir));
    cr_expect(is_there("damaged-1"));
    cr_expect_not(is_there("damaged-2"));
    wf_store_close(open_store());
}

/* -- Who else has it -------------------------------------------------------------------------------- */

/* Asked by another process. */
static bool lock_is_free(void)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        char path[PATH_BYTES];
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        snprintf(path, sizeof path, "%s/LOCK", dir);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        _exit(fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

Test(renew_files, a_store_that_is_open_here_keeps_its_lock)
{
    wf_store *store = open_store();
    cr_assert_not(lock_is_free());
    cr_expect_eq(renew(true), WEFT_LOCKED);
    cr_expect_not(lock_is_free(), "another process could write beside this one");
    wf_store_close(store);
    cr_expect(lock_is_free());
}

/* -- What is no store to renew ------------------------------------------------------------------------ */

Test(renew_files, a_store_of_lmdb_that_lost_its_file_becomes_no_empty_one)
{
    weft_node *n = NULL;
    const weft_node_options options = {.dir = dir, .renew = true, .device = author};
    kk_need(&kk_lmdb);
    kk_dir_remove(dir);
    wf_kv_close(kk_open(&kk_lmdb, dir));
    remove_files("data.mdb");
    cr_assert(is_there("lock.mdb"));
    cr_expect_eq(weft_node_open(&options, &n), WEFT_CORRUPT);
    cr_expect_not(is_there("CURRENT"));
    weft_node_close(n);
}

Test(renew_files, a_store_of_which_nothing_is_left_becomes_no_empty_one)
{
    weft_node *n = NULL;
    const weft_node_options options = {.dir = dir, .renew = true, .device = author};
    remove_files(".sst");
    cr_expect_eq(weft_node_open(&options, &n), WEFT_CORRUPT);
    cr_expect_not(is_there("damaged-1"));
    cr_expect(is_there("CURRENT"), "what is there stays where it is");
    weft_node_close(n);
}
