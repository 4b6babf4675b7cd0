/* SPDX-License-Identifier: Apache-2.0
 * test_secret.c - what is secret is in no line of the log, and in no memory once all is closed.
 * Called by: the test runner. May touch: folders of its own, the memory of this process, reading.
 * Never: holds a seed itself while it looks, but hidden by a mask. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weft/keys.h>
#include <weft/log.h>
#include <weft/node.h>

#include "alloc.h"
#include "crypto.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CHECKED_MEMORY 1 /* freed memory is kept back there, and shadows are large */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CHECKED_MEMORY 1
#endif
#endif

#define CALL (20 * WEFT_SEC)
#define MASK 0x5au
enum { SEEDS_MAX = 8, PIECE = 16, CHUNK = 1 << 20, LOG_BYTES = 1 << 22 };

/* -- Seeds, hidden ------------------------------------------------------------------------------- */

static struct {
    uint8_t masked[SEEDS_MAX][32];
    uint32_t count;
} secrets;

static void remember(const weft_keypair *pair)
{
    uint8_t seed[32];
    cr_assert_lt(secrets.count, SEEDS_MAX);
    wf_keypair_seed(pair, seed);
    for (size_t i = 0; i < 32; i++) secrets.masked[secrets.count][i] = (uint8_t)(seed[i] ^ MASK);
    secrets.count++;
    wf_crypto_wipe(seed, sizeof seed);
}

/* Of chance, so that no constant of somebody else looks like it. */
static weft_keypair *fresh(void)
{
    weft_keypair *pair = NULL;
    cr_assert_eq(weft_keypair_create(&pair), WEFT_OK);
    remember(pair);
    return pair;
}

/* Which seed has a piece of PIECE bytes at `data`? -1: none. */
static int piece_at(const uint8_t *data)
{
    for (uint32_t s = 0; s < secrets.count; s++) {
        for (size_t from = 0; from + PIECE <= 32; from++) {
            const uint8_t *masked = secrets.masked[s] + from;
            size_t i = 0;
            while (i < PIECE && (data[i] ^ MASK) == masked[i]) i++;
            if (i == PIECE) return (int)s;
        }
    }
    return -1;
}

/* -- The memory of this process ---------------------------------------------------------------------- */

static uint8_t chunk[CHUNK + PIECE];

/* Could a piece begin with this byte? */
static void first_bytes(bool out[256])
{
    memset(out, 0, 256 * sizeof *out);
    for (uint32_t s = 0; s < secrets.count; s++)
        for (size_t from = 0; from + PIECE <= 32; from++)
            out[secrets.masked[s][from] ^ MASK] = true;
}

static unsigned look_at(int memory, uint64_t from, uint64_t to, const bool first[256],
                        const char *what)
{
    unsigned found = 0;
    for (uint64_t at = from; at < to; at += CHUNK) {
        size_t want = to - at < sizeof chunk ? (size_t)(to - at) : sizeof chunk;
        ssize_t got = pread(memory, chunk, want, (off_t)at);
        if (got < PIECE) continue; /* a guard page */
        size_t begins = (size_t)got - PIECE + 1 < CHUNK ? (size_t)got - PIECE + 1 : CHUNK;
        for (size_t i = 0; i < begins; i++) {
            if (!first[chunk[i]] || piece_at(chunk + i) < 0) continue;
            if (found++ < 4) {
                fprintf(stderr, "a piece of seed %d is at %llx in %s", piece_at(chunk + i),
                        (unsigned long long)(at + i), what);
            }
        }
    }
    return found;
}

/* How many places in writable memory hold 16 bytes of a seed in a row. */
static unsigned pieces_in_memory(void)
{
    char line[512];
    bool first[256];
    unsigned found = 0;
    uint64_t own = (uint64_t)(uintptr_t)chunk;
    FILE *maps = fopen("/proc/self/maps", "r");
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    cr_assert_not_null(maps);
    cr_assert_geq(memory, 0);
    first_bytes(first);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long long from, to;
        char mode[8];
        if (sscanf(line, "%llx-%llx %7s", &from, &to, mode) != 3) continue;
        if (mode[0] != 'r' || mode[1] != 'w') continue;
        if (own >= from && own < to) { /* what was read is not looked at again */
            found += look_at(memory, from, own, first, line);
            from = own + sizeof chunk;
        }
        if (from < to) found += look_at(memory, from, to, first, line);
    }
    close(memory);
    fclose(maps);
    return found;
}

/* -- The log ---------------------------------------------------------------------------------------------- */

static char *log_text;
static size_t log_len;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void keep(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg;
    (void)level;
    pthread_mutex_lock(&log_lock);
    int n = snprintf(log_text + log_len, LOG_BYTES - log_len, "%s: %s\n", facility, line);
    if (n > 0 && (size_t)n < LOG_BYTES - log_len) log_len += (size_t)n;
    pthread_mutex_unlock(&log_lock);
}

static bool is_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

/* The longest run of lower-case hexadecimal digits: a whole key has 64, half a seed 32. */
static size_t longest_hex(void)
{
    size_t longest = 0, run = 0;
    for (size_t i = 0; i < log_len; i++) {
        run = is_digit(log_text[i]) ? run + 1 : 0;
        if (run > longest) longest = run;
    }
    return longest;
}

/* -- A whole life ------------------------------------------------------------------------------------------- */

static const char payload[] = "only who may read this tree knows of the purple heron";

struct place {
    char dir[32], store[64];
};

static void place_make(struct place *p)
{
    strcpy(p->dir, "/tmp/weft-test-XXXXXX");
    cr_assert_not_null(mkdtemp(p->dir));
    snprintf(p->store, sizeof p->store, "%s/store", p->dir);
}

static void place_remove(const struct place *p)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", p->dir);
    cr_assert_eq(system(command), 0);
}

static weft_node *node_at(const struct place *p)
{
    char path[96];
    weft_node *node = NULL;
    weft_keypair *pair = NULL;
    cr_assert_eq(weft_node_open(&(weft_node_options){.dir = p->store, .verifiers = 1}, &node),
                 WEFT_OK);
    snprintf(path, sizeof path, "%s/device.key", p->store);
    cr_assert_eq(weft_keypair_load(path, &pair), WEFT_OK);
    remember(pair);
    weft_keypair_destroy(pair);
    return node;
}

/* Keys are made, kept, exported at no small cost, rotated, sign entries and connections. */
static void keys_are_used(const struct place *p)
{
    static const weft_keystore_cost cheap = {.operations = 1, .memory_bytes = 8192};
    char path[96];
    weft_keystore *s = NULL;
    weft_keypair *pair = fresh(), *before = NULL, *now = NULL;
    snprintf(path, sizeof path, "%s/keys", p->dir);
    cr_assert_eq(weft_keystore_create(path, "purple heron", 12, &cheap, &s), WEFT_OK);
    cr_assert_eq(weft_keystore_put(s, "one", pair), WEFT_OK);
    weft_keypair_destroy(pair);
    weft_keystore_close(s);
    cr_assert_eq(weft_keystore_open(path, "purple heron", 12, &s), WEFT_OK);
    cr_assert_eq(weft_keystore_get(s, "one", &pair), WEFT_OK);
    weft_keypair_destroy(pair);
    cr_assert_eq(weft_keystore_passphrase(s, "another heron", 13), WEFT_OK);
    cr_assert_eq(weft_keystore_remove(s, "one"), WEFT_OK);
    weft_keystore_close(s);
    cr_assert_eq(weft_device_rotate(&(weft_node_options){.dir = p->store}, &before, &now), WEFT_OK);
    remember(now);
    weft_keypair_destroy(before);
    weft_keypair_destroy(now);
}

/* What goes wrong is what is told: each of these has a key, a payload or a passphrase at hand. */
static void fail_at_much(weft_node *a, weft_node *b, const char *address, const weft_id *tree)
{
    weft_key other = {{3}}, key_a;
    weft_id unknown = *tree, tip;
    size_t tips = 1;
    weft_buf *entry = NULL, *changed = NULL;
    weft_node_key(a, &key_a);
    unknown.bytes[0] ^= 1;
    cr_expect_eq(weft_connect(b, address, &other, CALL, NULL), WEFT_PEER_KEY);
    cr_expect_eq(weft_connect(b, "tcp:127.0.0.1:1", NULL, CALL, NULL), WEFT_UNREACHABLE);
    cr_expect_neq(weft_sync_tree(b, &key_a, &unknown, CALL, NULL), WEFT_OK);
    cr_assert_eq(weft_tree_tips(a, tree, &tip, &tips), WEFT_OK);
    cr_assert_eq(weft_get(a, &tip, &entry), WEFT_OK);
    cr_assert_eq(weft_buf_create_copy(weft_buf_bytes(entry), weft_buf_len(entry), &changed),
                 WEFT_OK);
    weft_buf_data(changed)[weft_buf_len(changed) - 1] ^= 1;
    cr_expect_neq(weft_add(b, &changed, 1, false, CALL, NULL), WEFT_OK);
    cr_expect_eq(weft_peer_set_status(a, &key_a, WEFT_PEER_BLOCKED, CALL), WEFT_NOT_FOUND);
    weft_buf_unref(entry);
    weft_buf_unref(changed);
}

/* A key file that lacks a digit, one that others may read, and the wrong passphrase. */
static void fail_at_keys(const struct place *p)
{
    char path[96];
    weft_keypair *pair = fresh(), *got = NULL;
    weft_keystore *s = NULL;
    snprintf(path, sizeof path, "%s/bad", p->dir);
    cr_assert_eq(weft_keypair_save(pair, path), WEFT_OK);
    cr_assert_eq(chmod(path, 0644), 0);
    cr_expect_eq(weft_keypair_load(path, &got), WEFT_KEY_FILE);
    cr_assert_eq(chmod(path, 0600), 0);
    cr_assert_eq(truncate(path, 80), 0);
    cr_expect_eq(weft_keypair_load(path, &got), WEFT_KEY_FILE);
    snprintf(path, sizeof path, "%s/keys", p->dir);
    cr_expect_eq(weft_keystore_open(path, "purple herons", 13, &s), WEFT_PASSPHRASE);
    weft_keypair_destroy(pair);
}

static void sync_two(const struct place *at_a, const struct place *at_b)
{
    weft_node *a = node_at(at_a), *b = node_at(at_b);
    weft_keypair *author = fresh();
    weft_writer *writer = NULL;
    weft_root_spec spec = {.everyone = WEFT_RIGHT_WRITE, .everyone_priority = 10};
    weft_key key_a, key_b;
    weft_id tree;
    char address[WEFT_ADDRESS_BYTES_MAX];
    weft_node_key(a, &key_a);
    weft_node_key(b, &key_b);
    cr_assert_eq(weft_tree_create(a, author, &spec, CALL, &tree), WEFT_OK);
    cr_assert_eq(weft_tree_follow(a, &tree, &key_b, 1, CALL), WEFT_OK);
    cr_assert_eq(weft_tree_follow(b, &tree, &key_a, 1, CALL), WEFT_OK);
    cr_assert_eq(weft_add_transport(a, "net", "tcp:127.0.0.1:0", CALL), WEFT_OK);
    cr_assert_eq(weft_add_transport(b, "net", NULL, CALL), WEFT_OK);
    cr_assert_eq(weft_start_server(a, "net", CALL), WEFT_OK);
    cr_assert_eq(weft_server_address(a, "net", CALL, address), WEFT_OK);
    cr_assert_eq(weft_peer_register(b, &key_a, "a", CALL), WEFT_OK);
    cr_assert_eq(weft_peer_add_address(b, &key_a, address, CALL), WEFT_OK);
    cr_assert_eq(weft_peer_relate(b, &key_a, &tree, CALL), WEFT_OK);
    cr_assert_eq(weft_writer_open(a, &tree, author, &writer), WEFT_OK);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(weft_commit(writer, "notes", payload, sizeof payload, CALL, NULL), WEFT_OK);
    cr_assert_eq(weft_sync_tree(b, &key_a, &tree, CALL, NULL), WEFT_OK);
    cr_assert_eq(weft_commit(writer, "notes", payload, sizeof payload, CALL, NULL), WEFT_OK);
    cr_assert_eq(weft_flush(a, CALL, NULL), WEFT_OK);
    fail_at_much(a, b, address, &tree);
    weft_writer_close(writer);
    weft_keypair_destroy(author);
    weft_node_close(b);
    weft_node_close(a);
}

static void live(void)
{
    struct place a, b;
    place_make(&a);
    place_make(&b);
    log_text = calloc(1, LOG_BYTES);
    cr_assert_not_null(log_text);
    weft_log_to(keep, NULL, WEFT_LOG_DEBUG);
    sync_two(&a, &b);
    keys_are_used(&b);
    fail_at_keys(&b);
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
    place_remove(&a);
    place_remove(&b);
}

Test(secret, no_line_of_the_log_has_a_seed_a_payload_or_a_whole_key)
{
    live();
    cr_assert_not_null(strstr(log_text, "is not one line"), "of what went wrong it was told");
    cr_expect_null(strstr(log_text, "heron"), "a payload or a passphrase");
    cr_expect_lt(longest_hex(), 32, "%zu digits in a row", longest_hex());
    free(log_text);
}

Test(secret, the_search_finds_16_bytes_of_a_seed_anywhere)
{
#ifdef CHECKED_MEMORY
    cr_skip_test("a checker of memory has shadows of terabytes");
#endif
    weft_keypair *pair = fresh();
    uint8_t seed[32], *left = malloc(4096);
    cr_assert_not_null(left);
    memset(left, 0, 4096);
    wf_keypair_seed(pair, seed);
    memcpy(left + 1001, seed + 7, PIECE);
    wf_crypto_wipe(seed, sizeof seed);
    weft_keypair_destroy(pair);
    cr_expect_geq(pieces_in_memory(), 1);
    wf_crypto_wipe(left, 4096);
    free(left);
}

Test(secret, no_16_bytes_of_a_seed_are_in_memory_once_all_is_closed)
{
#ifdef CHECKED_MEMORY
    cr_skip_test("a checker of memory keeps what was freed");
#endif
    live();
    free(log_text);
    cr_expect_eq(pieces_in_memory(), 0);
}
