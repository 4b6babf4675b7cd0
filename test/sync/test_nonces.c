/* SPDX-License-Identifier: Apache-2.0
 * test_nonces.c - no key seals twice under one nonce, whatever forks: all that is sealed in this
 * process and its children is written down, where it is sealed.
 * Called by: the test runner. May touch: loopback, children of its own; it stands before libsodium's
 * call. Never: the simulator, which has no threads to lose. */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/node.h>

#include "noise_core.h"
#include "session.h"

/* The product's session, but with new keys after every few records, so that a short test has many of
 * them: the linker takes what is here, and not the library's own. */
#undef WF_NOISE_REKEY_RECORDS
#define WF_NOISE_REKEY_RECORDS UINT64_C(16)
#include "transport/session.c"

#define CALL (60 * WEFT_SEC)
enum { ROOM = 1 << 17, COMMITS = 300 };

/* -- Writing down ------------------------------------------------------------------------------- */

struct seal { /* one call of the cipher */
    uint8_t key[crypto_aead_chacha20poly1305_ietf_KEYBYTES];
    uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
    pid_t by;
};
static struct book { /* a child has it too */
    size_t count;
    struct seal seals[ROOM];
} * book;

static void write_down(const unsigned char *nonce, const unsigned char *key)
{
    if (book == NULL) return;
    size_t at = __atomic_fetch_add(&book->count, 1, __ATOMIC_RELAXED);
    if (at >= ROOM) abort();
    memcpy(book->seals[at].key, key, sizeof book->seals[at].key);
    memcpy(book->seals[at].nonce, nonce, sizeof book->seals[at].nonce);
    book->seals[at].by = getpid();
}

/* What weft is linked with; it calls the library's own. */
int crypto_aead_chacha20poly1305_ietf_encrypt(unsigned char *c, unsigned long long *clen_p,
                                              const unsigned char *m, unsigned long long mlen,
                                              const unsigned char *ad, unsigned long long adlen,
                                              const unsigned char *nsec, const unsigned char *npub,
                                              const unsigned char *k)
{
    static int (*own)(unsigned char *, unsigned long long *, const unsigned char *,
                      unsigned long long, const unsigned char *, unsigned long long,
                      const unsigned char *, const unsigned char *, const unsigned char *);
    if (__atomic_load_n(&own, __ATOMIC_ACQUIRE) == NULL)
        __atomic_store_n((void **)&own,
                         dlsym(RTLD_NEXT, "crypto_aead_chacha20poly1305_ietf_encrypt"),
                         __ATOMIC_RELEASE);
    write_down(npub, k);
    return own(c, clen_p, m, mlen, ad, adlen, nsec, npub, k);
}

static void setup(void)
{
    void *shared = mmap(NULL, sizeof *book, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                        0);
    cr_assert_neq(shared, MAP_FAILED);
    book = shared;
}

static void teardown(void) { (void)munmap(book, sizeof *book); }

TestSuite(nonces, .init = setup, .fini = teardown);

/* -- Reading ------------------------------------------------------------------------------------ */

static int by_pair(const void *a, const void *b) { return memcmp(a, b, offsetof(struct seal, by)); }

/* A new key is made by the last nonce, which no record has; both sides make it, each for itself. */
static bool makes_a_key(const struct seal *seal)
{
    static const uint8_t last[] = {0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255};
    return memcmp(seal->nonce, last, sizeof last) == 0;
}

static size_t count_repeats(void)
{
    size_t repeats = 0;
    qsort(book->seals, book->count, sizeof *book->seals, by_pair);
    for (size_t i = 1; i < book->count; i++)
        repeats += by_pair(&book->seals[i - 1], &book->seals[i]) == 0 &&
                   !makes_a_key(&book->seals[i]);
    return repeats;
}

static size_t count_of_others(void)
{
    size_t others = 0;
    for (size_t i = 0; i < book->count; i++) others += book->seals[i].by != getpid();
    return others;
}

static size_t count_rekeys(void)
{
    size_t rekeys = 0;
    for (size_t i = 0; i < book->count; i++) rekeys += makes_a_key(&book->seals[i]);
    return rekeys;
}

static void in_a_child(void (*work)(void *arg), void *arg)
{
    int status = -1;
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        work(arg);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0, "the child did not end by itself");
}

/* -- A session of two nodes ------------------------------------------------------------------------ */

struct two {
    weft_node *nodes[2];
    weft_writer *writers[2];
    weft_key keys[2];
    weft_keypair *author;
    weft_id tree;
    uint32_t beside;
    char address[WEFT_ADDRESS_BYTES_MAX];
};

static void two_open(struct two *t)
{
    const weft_root_spec root = {.everyone = WEFT_RIGHT_WRITE, .everyone_priority = 10};
    memset(t, 0, sizeof *t);
    cr_assert_eq(weft_keypair_create(&t->author), WEFT_OK);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(weft_node_open(&(weft_node_options){.verifiers = 1}, &t->nodes[i]), WEFT_OK);
        weft_node_key(t->nodes[i], &t->keys[i]);
        cr_assert_eq(
            weft_add_transport(t->nodes[i], "net", i == 0 ? "tcp:127.0.0.1:0" : NULL, CALL),
            WEFT_OK);
    }
    cr_assert_eq(weft_start_server(t->nodes[0], "net", CALL), WEFT_OK);
    cr_assert_eq(weft_server_address(t->nodes[0], "net", CALL, t->address), WEFT_OK);
    cr_assert_eq(weft_tree_create(t->nodes[0], t->author, &root, CALL, &t->tree), WEFT_OK);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(weft_tree_follow(t->nodes[i], &t->tree, &t->keys[1 - i], 1, CALL), WEFT_OK);
    cr_assert_eq(weft_connect(t->nodes[1], t->address, &t->keys[0], CALL, NULL), WEFT_OK);
    cr_assert_eq(weft_sync_tree(t->nodes[1], &t->keys[0], &t->tree, CALL, NULL), WEFT_OK);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(weft_writer_open(t->nodes[i], &t->tree, t->author, &t->writers[i]), WEFT_OK);
}

static void two_close(struct two *t)
{
    for (int i = 0; i < 2; i++) {
        weft_writer_close(t->writers[i]);
        weft_node_close(t->nodes[i]);
    }
    weft_keypair_destroy(t->author);
}

/* How many are acknowledged. */
static uint32_t commit_some(struct two *t, int side)
{
    uint32_t good = 0;
    for (int i = 0; i < COMMITS; i++) {
        const int payload[2] = {side, i}; /* no two entries are the same */
        good += weft_commit(t->writers[side], "log", payload, sizeof payload, CALL, NULL) ==
                WEFT_OK;
    }
    return good;
}

static void *commit_beside(void *arg)
{
    struct two *t = arg;
    t->beside = commit_some(t, 0);
    return NULL;
}

/* All by which something could be sent. */
static void try_to_send(void *arg)
{
    struct two *t = arg;
    weft_buf *reply = NULL;
    for (int i = 0; i < 2; i++) {
        (void)weft_commit(t->writers[i], "log", "x", 1, CALL, NULL);
        (void)weft_sync_tree(t->nodes[i], &t->keys[1 - i], &t->tree, CALL, NULL);
        (void)weft_sync_with_peer(t->nodes[i], &t->keys[1 - i], CALL, NULL);
        (void)weft_connect(t->nodes[i], t->address, NULL, CALL, NULL);
        (void)weft_send_request(t->nodes[i], t->address, "x", 1, CALL, &reply);
        (void)weft_flush(t->nodes[i], CALL, NULL);
        (void)weft_shutdown(t->nodes[i], CALL);
        weft_node_close(t->nodes[i]);
    }
}

Test(nonces, no_key_seals_twice_under_one_nonce_though_processes_fork, .timeout = 120)
{
    struct two t;
    weft_tree_info info[2];
    pthread_t beside;
    two_open(&t);
    cr_assert_eq(pthread_create(&beside, NULL, commit_beside, &t), 0);
    for (int i = 0; i < 3; i++) in_a_child(try_to_send, &t); /* while records are on their way */
    cr_expect_eq(commit_some(&t, 1), COMMITS);
    pthread_join(beside, NULL);
    cr_expect_eq(t.beside, COMMITS);
    cr_assert_eq(weft_sync_tree(t.nodes[1], &t.keys[0], &t.tree, CALL, NULL), WEFT_OK);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(weft_tree_info_get(t.nodes[i], &t.tree, &info[i]), WEFT_OK);
    two_close(&t);
    cr_expect_eq(info[0].entries, 2 * COMMITS + 1);
    cr_expect_eq(memcmp(info[0].root_digest, info[1].root_digest, 32), 0, "they do not agree");
    cr_expect_gt(count_rekeys(), 4, "%zu new keys for %zu records", count_rekeys(), book->count);
    cr_expect_eq(count_of_others(), 0, "children have sealed %zu records", count_of_others());
    cr_expect_eq(count_repeats(), 0);
}

/* -- That it can fail ------------------------------------------------------------------------------- */

static void seal_one(void *arg)
{
    uint8_t plain[8] = {0}, out[8 + crypto_aead_chacha20poly1305_ietf_ABYTES];
    if (wf_cipher_encrypt(arg, NULL, 0, plain, sizeof plain, out) != WEFT_OK) _exit(1);
}

Test(nonces, a_cipher_that_goes_on_on_both_sides_of_a_fork_is_seen)
{
    struct wf_cipher cipher = {.key = {1}, .keyed = true};
    seal_one(&cipher);
    in_a_child(seal_one, &cipher);
    seal_one(&cipher);
    cr_expect_eq(count_of_others(), 1);
    cr_expect_eq(count_repeats(), 1);
}
