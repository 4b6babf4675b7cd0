/* SPDX-License-Identifier: Apache-2.0
 * heal.c - the process that makes damaged stores whole again: a node on the store and a live
 * peer that has everything; what that cannot heal is salvaged and synced.
 * Called by: main.c, in a process of its own (flip.c gives it stores by heal_child.c).
 * May touch: the stores that it is given. Never: takes a store for whole unread. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <weft/log.h>
#include <weft/node.h>
#include <weft/store.h>

#include "crypto.h"
#include "kv_rocksdb_logs.h"
#include "salvage.h"
#include "scan.h"
#include "store_copy.h"
#include "torture.h"

#define MEMORY_BYTES (UINT64_C(16) << 20)
#define CALL_NS (15 * WEFT_SEC)
#define WANT_NS (2 * WEFT_SEC) /* for what reads have found to be damaged */
#define LOOK_NS (2 * WEFT_MS)

static struct {
    tt_history history;
    uint32_t wanted[TT_ENTRIES], wanted_count; /* places of what a whole store holds */
    weft_rt *rt;                               /* for looking */
    weft_hub *hub;
    weft_keypair *key, *peer_key;
    weft_node *peer; /* has everything */
    weft_key peer_public;
} me;

/* -- The live peer -------------------------------------------------------------------------- */

static void choose_wanted(uint32_t commits)
{
    me.wanted[me.wanted_count++] = 0;
    for (uint32_t lane = 0; lane < TT_LANES; lane++)
        for (uint32_t i = me.history.begins[lane][0]; i < me.history.begins[lane][commits]; i++)
            me.wanted[me.wanted_count++] = i;
}

static weft_err open_peer(void)
{
    static weft_buf *bufs[TT_ENTRIES];
    weft_node_options options = {.device = me.peer_key, .name = "peer", .verifiers = 1};
    weft_key reader;
    weft_keypair_public(me.key, &reader);
    weft_err err = weft_node_open(&options, &me.peer);
    if (err == WEFT_OK) err = weft_tree_follow(me.peer, &me.history.ids[0], &reader, 1, CALL_NS);
    for (uint32_t i = 0; i < me.wanted_count; i++) bufs[i] = me.history.bufs[me.wanted[i]];
    for (uint32_t i = 0, n; err == WEFT_OK && i < me.wanted_count; i += n) {
        n = me.wanted_count - i < 64 ? me.wanted_count - i : 64;
        err = weft_add(me.peer, &bufs[i], n, true, CALL_NS, NULL);
    }
    if (err == WEFT_OK)
        err = weft_add_transport_mem(me.peer, "mem", me.hub, "peer", "mem:peer:1", CALL_NS);
    if (err == WEFT_OK) err = weft_start_server(me.peer, "mem", CALL_NS);
    weft_node_key(me.peer, &me.peer_public);
    return err;
}

static weft_err prepare(uint32_t commits)
{
    uint8_t seed[32] = {1}, peer_seed[32] = {2};
    choose_wanted(commits);
    weft_err err = weft_keypair_from_seed(seed, &me.key);
    if (err == WEFT_OK) err = weft_keypair_from_seed(peer_seed, &me.peer_key);
    if (err == WEFT_OK) err = weft_hub_create(&me.hub);
    if (err == WEFT_OK) err = weft_rt_create(&me.rt);
    return err == WEFT_OK ? open_peer() : err;
}

/* -- A node on the store, beside the peer ------------------------------------------------------ */

static weft_err read_one(weft_node *node, uint32_t place)
{
    weft_buf *buf = NULL;
    weft_err err = weft_get(node, &me.history.ids[place], &buf);
    weft_buf_unref(buf);
    return err;
}

/* Reads everything; what is damaged is asked for by itself. */
static weft_err read_all(weft_node *node)
{
    weft_err err = WEFT_OK;
    uint64_t until = tt_now() + WANT_NS;
    for (uint32_t i = 0; i < me.wanted_count; i++) (void)read_one(node, me.wanted[i]);
    for (uint32_t i = 0; i < me.wanted_count && err == WEFT_OK; i++)
        while ((err = read_one(node, me.wanted[i])) == WEFT_CORRUPT && tt_now() < until)
            tt_sleep_until(tt_now() + LOOK_NS);
    return err;
}

/* What came over the wire: new, or for a body in quarantine, or in vain. What the node had saved
 * itself did not. */
static uint32_t fetched_by(weft_node *node)
{
    weft_store_stats stats;
    if (weft_store_stats_get(node, &stats) != WEFT_OK) return 0;
    return (uint32_t)(stats.entries - stats.commits - stats.unshelved + stats.healed + stats.known);
}

static weft_err meet(weft_node *node, const char **step)
{
    const weft_id *tree = &me.history.ids[0];
    *step = "its introduction to the peer";
    weft_err err = weft_tree_follow(node, tree, &me.peer_public, 1, CALL_NS);
    if (err == WEFT_OK) err = weft_add_transport_mem(node, "mem", me.hub, "damaged", NULL, CALL_NS);
    if (err == WEFT_OK) err = weft_peer_register(node, &me.peer_public, "peer", CALL_NS);
    if (err == WEFT_EXISTS) err = WEFT_OK;
    if (err == WEFT_OK) err = weft_peer_add_address(node, &me.peer_public, "mem:peer:1", CALL_NS);
    if (err == WEFT_EXISTS) err = WEFT_OK;
    if (err != WEFT_OK) return err;
    *step = "the sync";
    err = weft_sync_tree(node, &me.peer_public, tree, CALL_NS, NULL);
    if (err != WEFT_OK) return err;
    *step = "reading";
    return read_all(node);
}

/* `step`: what was done last, which is what failed. */
static weft_err live_with_peer(const char *dir, tt_healed *out, const char **step)
{
    weft_node *node = NULL;
    weft_node_options options = {.dir = dir,
                                 .device = me.key,
                                 .name = "damaged",
                                 .verifiers = 1,
                                 .store_memory_bytes = MEMORY_BYTES,
                                 .renew = true};
    *step = "the node's opening";
    weft_err err = weft_node_open(&options, &node);
    if (err != WEFT_OK) return err;
    err = meet(node, step);
    out->fetched += fetched_by(node);
    weft_node_close(node);
    return err;
}

/* Each database has an identity of its own. */
static void identity_of(const char *dir, char out[64])
{
    char path[200];
    memset(out, 0, 64);
    tt_path(path, sizeof path, dir, "IDENTITY");
    FILE *file = fopen(path, "r");
    if (file == NULL) return;
    if (fgets(out, 64, file) == NULL) out[0] = '\0';
    fclose(file);
}

/* -- What is missing? ----------------------------------------------------------------------------- */

static weft_err open_old(const char *dir, const char *copy, wf_kv **out);

static bool is_wanted(const weft_id *id, uint32_t *at)
{
    for (uint32_t i = 0; i < me.wanted_count; i++) {
        if (!weft_id_equal(&me.history.ids[me.wanted[i]], id)) continue;
        *at = i;
        return true;
    }
    return false;
}

/* Entries of the whole store whose bytes are nowhere in the damaged one, in whatever way it can be
 * opened. Not by the rooms that heal it. */
static uint32_t count_missing(const char *dir, const char *copy)
{
    static bool have[TT_ENTRIES];
    struct wf_scan scan;
    wf_kv *kv = NULL;
    uint32_t found = 0, at;
    memset(have, 0, sizeof have);
    tt_dir_remove(copy);
    if (open_old(dir, copy, &kv) != WEFT_OK) return me.wanted_count;
    wf_scan_init(&scan, kv, NULL, WF_CF_ENTRY, true);
    while (wf_scan_next(&scan) == WEFT_OK) {
        weft_id id;
        wf_blake2b_256(scan.value, scan.value_len, id.bytes);
        if (!is_wanted(&id, &at) || have[at]) continue;
        have[at] = true;
        found++;
    }
    wf_scan_fini(&scan);
    wf_kv_close(kv);
    return me.wanted_count - found;
}

/* -- Is it whole? --------------------------------------------------------------------------------- */

static bool has_bytes(wf_store *store, uint32_t place)
{
    weft_buf *buf = NULL;
    const weft_buf *good = me.history.bufs[place];
    bool same = wf_store_get(store, &me.history.ids[place], &buf) == WEFT_OK &&
                weft_buf_len(buf) == weft_buf_len(good) &&
                memcmp(weft_buf_bytes(buf), weft_buf_bytes(good), weft_buf_len(good)) == 0;
    weft_buf_unref(buf);
    return same;
}

/* Opens it once more, and looks at everything that is in it. False: out->why. */
static bool is_whole(const char *dir, tt_healed *out)
{
    wf_kv_rocksdb_options options = {.memory_bytes = MEMORY_BYTES};
    wf_check_report r = {0};
    wf_kv *kv = NULL;
    wf_store *store = NULL;
    uint32_t missing = 0;
    weft_err err = wf_kv_rocksdb_open(dir, &options, &kv);
    if (err == WEFT_OK) err = wf_store_open(kv, me.rt, &store);
    if (err != WEFT_OK) {
        wf_kv_close(kv);
        snprintf(out->why, sizeof out->why, "not opened again: %s", weft_errname(err));
        return false;
    }
    err = wf_store_check(store, true, &r);
    for (uint32_t i = 0; err == WEFT_OK && i < me.wanted_count; i++)
        missing += !has_bytes(store, me.wanted[i]);
    wf_store_close(store);
    out->readable |= err == WEFT_OK && missing == 0;
    bool whole = err == WEFT_OK && wf_check_faults(&r) == 0 && missing == 0 &&
                 r.entries == me.wanted_count;
    if (!whole)
        snprintf(out->why, sizeof out->why, "%s, %llu faults, %u of %u entries missing",
                 weft_errname(err), (unsigned long long)wf_check_faults(&r), missing,
                 me.wanted_count);
    return whole;
}

/* -- Salvage ---------------------------------------------------------------------------------------- */

/* As weft-fsck does it: the store as it is, or a copy that is brought to open. */
static weft_err open_old(const char *dir, const char *copy, wf_kv **out)
{
    const char *how;
    bool bad = wf_store_dir_has_bad_record(dir); /* of such a log more can be read in a copy */
    weft_err err = bad ? WEFT_CORRUPT : wf_kv_rocksdb_open_salvage(dir, out);
    if (err == WEFT_OK) return err;
    err = wf_store_dir_copy(dir, copy);
    return err == WEFT_OK ? wf_kv_rocksdb_open_damaged(copy, out, &how, NULL) : err;
}

static weft_err salvage(const char *dir, const char *to_dir, const char *copy)
{
    static wf_salvage_report report; /* large */
    wf_kv_rocksdb_options options = {.create = true, .memory_bytes = MEMORY_BYTES};
    wf_kv *from = NULL, *to = NULL;
    weft_err err = open_old(dir, copy, &from);
    if (err == WEFT_OK) err = wf_kv_rocksdb_open(to_dir, &options, &to);
    if (err == WEFT_OK) err = wf_salvage(from, to, me.rt, NULL, &report);
    wf_kv_close(to);
    wf_kv_close(from);
    return err;
}

/* As an operator would, who has no node that renews. */
static void heal_by_hand(const tt_heal_order *order, const char *copy, tt_healed *done)
{
    char to[200];
    const char *step = "";
    tt_path(to, sizeof to, order->work, "salvaged");
    tt_dir_remove(to);
    tt_dir_remove(copy);
    done->how = TT_HEALED_BY_FSCK;
    if (salvage(order->dir, to, copy) != WEFT_OK) { /* then everything comes from the peer */
        done->how = TT_HEALED_ANEW;
        tt_dir_remove(to);
    }
    done->fetched = 0;
    done->why[0] = '\0';
    done->err = live_with_peer(to, done, &step);
    if (done->err != WEFT_OK)
        snprintf(done->why, sizeof done->why, "%s: %s", step, weft_errname(done->err));
    if (done->err != WEFT_OK || !is_whole(to, done)) done->how = TT_NOT_HEALED;
}

/* A node opens the store and lives beside the peer. A block that the engine still cannot read then
 * (the look at everything has met it) is gone after the next opening. */
static tt_healed heal(const tt_heal_order *order)
{
    tt_healed done = {.how = TT_HEALED_IN_PLACE};
    char copy[200], was[64], is[64];
    const char *step = "";
    tt_path(copy, sizeof copy, order->work, "copy");
    identity_of(order->dir, was);
    done.missing = count_missing(order->dir, copy);
    done.err = live_with_peer(order->dir, &done, &step);
    identity_of(order->dir, is);
    if (done.err != WEFT_OK || strcmp(was, is) != 0) done.how = TT_HEALED_AT_OPEN;
    if (done.err == WEFT_OK && is_whole(order->dir, &done)) return done;
    if (!done.readable) done.how = TT_HEALED_AT_OPEN;
    done.why[0] = '\0';
    done.err = live_with_peer(order->dir, &done, &step);
    if (done.err != WEFT_OK || !is_whole(order->dir, &done)) heal_by_hand(order, copy, &done);
    return done;
}

static void no_log(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg, (void)level;
    fprintf(stderr, "%s: %s\n", facility, line); /* the run's log */
}

/* --healer HISTORY commits */
int tt_healer_main(int argc, char **argv)
{
    tt_heal_order order;
    if (argc != 4) return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    weft_log_to(no_log, NULL, WEFT_LOG_WARN);
    tt_history_load(&me.history, argv[2]);
    if (wf_crypto_init() != WEFT_OK) return 2;
    weft_err err = prepare((uint32_t)atoi(argv[3]));
    if (err != WEFT_OK) {
        fprintf(stderr, "weft-torture: the live peer: %s\n", weft_strerror(err));
        return 2;
    }
    while (read(0, &order, sizeof order) == (ssize_t)sizeof order) {
        tt_healed done = heal(&order);
        if (write(1, &done, sizeof done) != (ssize_t)sizeof done) return 1;
    }
    weft_node_close(me.peer);
    weft_hub_destroy(me.hub);
    return weft_rt_destroy(me.rt) == WEFT_OK ? 0 : 1;
}
