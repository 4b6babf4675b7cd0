/* SPDX-License-Identifier: Apache-2.0
 * trust.c - what trust costs: a handshake, the question who may read and the question
 * who may write, beside the check of an entry's signature, which is what they add to.
 *
 *     bench-trust [--rounds N] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weft/access.h>

#include "crypto.h"
#include "node_internal.h"
#include "noise.h"
#include "policy.h"

#define TIMEOUT (20 * WEFT_SEC)
#define HANDSHAKES 500u
#define VERIFIES 2000u
#define ASKS 1000000u

static void must(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "bench-trust: %s: %s\n", what, weft_strerror(err));
    exit(1);
}

static double cpu(void) /* seconds of this process */
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* -- Handshakes ------------------------------------------------------------------------------ */

static weft_err sign(void *arg, const void *data, size_t len, uint8_t out[WEFT_SIGNATURE_BYTES])
{
    return wf_sign(arg, WF_PURPOSE_NOISE_STATIC, data, len, out);
}

static weft_err verify(void *arg, const weft_key *key, const void *data, size_t len,
                       const uint8_t signature[WEFT_SIGNATURE_BYTES])
{
    (void)arg;
    return wf_verify(key, WF_PURPOSE_NOISE_STATIC, data, len, signature);
}

static void fill_random(void *arg, void *out, size_t len)
{
    (void)arg;
    wf_crypto_random(out, len);
}

struct side {
    weft_keypair *pair;
    struct wf_identity identity;
    wf_noise_static *fixed;
};

static void side_open(struct side *s)
{
    must(weft_keypair_create(&s->pair), "a key");
    s->identity = (struct wf_identity){
        .arg = s->pair, .sign = sign, .verify = verify, .random = fill_random};
    weft_keypair_public(s->pair, &s->identity.key);
    must(wf_noise_static_create(&s->identity, &s->fixed), "a static key");
}

static void side_close(struct side *s)
{
    wf_noise_static_destroy(s->fixed);
    weft_keypair_destroy(s->pair);
}

static void shake(const struct side *a, const struct side *b)
{
    wf_noise *from, *to;
    uint8_t message[WF_NOISE_HANDSHAKE_MAX];
    size_t len;
    must(wf_noise_create(&a->identity, a->fixed, true, &b->identity.key, &from), "a session");
    must(wf_noise_create(&b->identity, b->fixed, false, NULL, &to), "a session");
    while (!wf_noise_done(from) || !wf_noise_done(to)) {
        wf_noise *speaks = wf_noise_my_turn(from) ? from : to;
        must(wf_noise_write(speaks, message, &len), "a message");
        must(wf_noise_read(speaks == from ? to : from, message, len), "a message");
    }
    wf_noise_destroy(from);
    wf_noise_destroy(to);
}

static void handshakes(void)
{
    struct side a, b;
    side_open(&a);
    side_open(&b);
    double begin = cpu();
    for (unsigned i = 0; i < HANDSHAKES; i++) shake(&a, &b);
    double took = cpu() - begin;
    printf("handshake_cpu_us=%.0f (both sides) handshakes_per_cpu_s=%.0f\n",
           took / HANDSHAKES * 1e6, HANDSHAKES / took);
    side_close(&a);
    side_close(&b);
}

/* -- Who may -------------------------------------------------------------------------------------- */

static double ns_each(double begin, unsigned times) { return (cpu() - begin) / times * 1e9; }

static double verifying(const weft_entry *entry)
{
    double begin = cpu();
    for (unsigned i = 0; i < VERIFIES; i++) must(weft_entry_verify(entry), "a signature");
    return ns_each(begin, VERIFIES);
}

static double reading(weft_node *node, const weft_id *tree, const weft_key *key)
{
    unsigned may = 0;
    double begin = cpu();
    for (unsigned i = 0; i < ASKS; i++)
        may += wf_store_may_read_as(node->table.wf_store, tree, key, 1);
    double each = ns_each(begin, ASKS);
    if (may != ASKS) must(WEFT_FORBIDDEN, "who may read");
    return each;
}

static double writing(const wf_policy *policy, const weft_entry *entry)
{
    double begin = cpu();
    for (unsigned i = 0; i < ASKS; i++) must(wf_policy_allows(policy, entry), "who may write");
    return ns_each(begin, ASKS);
}

/* A tree whose settings grant Write to that many keys, `last` the last of them. */
static void grant(weft_node *node, const weft_keypair *admin, const weft_id *tree, unsigned count,
                  const weft_key *last)
{
    weft_grant *grants = calloc(count, sizeof *grants);
    if (grants == NULL) must(WEFT_NO_MEMORY, "grants");
    for (unsigned i = 0; i < count; i++) {
        grants[i] = (weft_grant){.right = WEFT_RIGHT_WRITE, .priority = 10};
        wf_crypto_random(grants[i].key.bytes, sizeof grants[i].key.bytes);
    }
    grants[count - 1].key = *last;
    must(weft_grant_put(node, tree, admin, grants, count, TIMEOUT, NULL), "the grants");
    free(grants);
}

static wf_policy *policy_of(weft_node *node, const weft_id *tree)
{
    wf_policy *empty, *policy = NULL, *next;
    weft_id tips[1];
    size_t count = 1;
    weft_buf *bytes;
    weft_entry entry;
    must(wf_policy_create_empty(&empty), "a policy");
    must(weft_get(node, tree, &bytes), "the root");
    must(weft_entry_decode(weft_buf_bytes(bytes), weft_buf_len(bytes), &entry), "the root");
    must(wf_policy_apply(empty, entry.stores[0].payload, entry.stores[0].payload_len, 0, tree,
                         &policy),
         "its settings");
    weft_buf_unref(bytes);
    wf_policy_destroy(empty);
    must(weft_tree_tips(node, tree, tips, &count), "the tip");
    must(weft_get(node, &tips[0], &bytes), "the settings");
    must(weft_entry_decode(weft_buf_bytes(bytes), weft_buf_len(bytes), &entry), "the settings");
    must(wf_policy_apply(policy, entry.stores[0].payload, entry.stores[0].payload_len, 1, &tips[0],
                         &next),
         "the grants");
    weft_buf_unref(bytes);
    wf_policy_destroy(policy);
    return next;
}

static void rights(unsigned count)
{
    weft_key key;
    weft_id tree, id;
    weft_keypair *admin, *author;
    weft_buf *bytes;
    weft_entry entry;
    weft_root_spec root = {.everyone = WEFT_RIGHT_NONE};
    weft_node_options options = {.name = "bench"};
    weft_node *node;
    must(weft_node_open(&options, &node), "a node");
    must(weft_keypair_create(&admin), "a key");
    must(weft_keypair_create(&author), "a key");
    weft_keypair_public(author, &key);
    must(weft_tree_create(node, admin, &root, TIMEOUT, &tree), "a tree");
    grant(node, admin, &tree, count, &key);
    weft_store_part part = {.name = "notes", .payload = "a payload", .payload_len = 9};
    weft_entry_spec spec = {.tree = tree,
                            .parents = &tree,
                            .parents_count = 1,
                            .height = 1,
                            .stores = &part,
                            .stores_count = 1};
    must(weft_entry_build(&spec, author, &bytes, &id), "an entry");
    must(weft_entry_decode(weft_buf_bytes(bytes), weft_buf_len(bytes), &entry), "an entry");
    wf_policy *policy = policy_of(node, &tree);
    double check = verifying(&entry), may_read = reading(node, &tree, &key),
           may_write = writing(policy, &entry);
    printf("grants=%u verify_ns=%.0f may_read_ns=%.0f may_write_ns=%.0f share=%.2f%%\n", count,
           check, may_read, may_write, (may_read + may_write) / check * 100);
    wf_policy_destroy(policy);
    weft_buf_unref(bytes);
    weft_keypair_destroy(author);
    weft_keypair_destroy(admin);
    weft_node_close(node);
}

int main(int argc, char **argv)
{
    unsigned rounds = argc == 3 && strcmp(argv[1], "--rounds") == 0 ? (unsigned)atoi(argv[2]) : 1;
    for (unsigned i = 0; i < rounds; i++) {
        handshakes();
        rights(1);
        rights(100);
        rights(2000);
    }
    return 0;
}
