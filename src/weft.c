/* SPDX-License-Identifier: Apache-2.0
 * weft.c - the node: opens, wires, closes.
 * Called by: users (weft/node.h). May touch: every layer's door, the key file.
 * Never: decides anything about entries, peers or trees. */
#include <stdio.h>
#include <string.h>

#include "access_actor.h"
#include "alloc.h"
#include "api_net.h"
#include "crypto.h"
#include "engine.h"
#include "identities.h"
#include "key_file.h"
#include "keyring.h"
#include "keyset.h"
#include "log.h"
#include "net_tcp.h"
#include "node_internal.h"
#include "notify.h"
#include "penalties.h"
#include "queue.h"
#include "reader.h"
#include "records.h"
#include "renew.h"
#include "store_dir.h"
#include "tracks.h"
#include "verify.h"

const char *weft_version(void) { return "0.1.0"; }

/* -- The device identity ------------------------------------------------------------- */

static weft_err sign(void *arg, const void *data, size_t len, uint8_t out[WEFT_SIGNATURE_BYTES])
{
    const weft_node *node = arg;
    return wf_sign(node->device, WF_PURPOSE_NOISE_STATIC, data, len, out);
}

static weft_err verify(void *arg, const weft_key *key, const void *data, size_t len,
                       const uint8_t signature[WEFT_SIGNATURE_BYTES])
{
    (void)arg;
    return wf_verify(key, WF_PURPOSE_NOISE_STATIC, data, len, signature);
}

static void random_bytes(void *arg, void *out, size_t len)
{
    const weft_node *node = arg;
    wf_random(node->rt, out, len);
}

static weft_err copy_pair(weft_node *node, const weft_keypair *device)
{
    uint8_t seed[32];
    wf_keypair_seed(device, seed);
    weft_err err = weft_keypair_from_seed(seed, &node->device);
    wf_crypto_wipe(seed, sizeof seed);
    return err;
}

static weft_err fresh_pair(weft_node *node)
{
    uint8_t seed[32];
    wf_random(node->rt, seed, sizeof seed); /* in the simulator: from its seed */
    weft_err err = weft_keypair_from_seed(seed, &node->device);
    wf_crypto_wipe(seed, sizeof seed);
    return err;
}

static weft_err some_record(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                            size_t value_len)
{
    (void)key;
    (void)key_len;
    (void)value;
    (void)value_len;
    *(bool *)arg = true;
    return WEFT_END;
}

/* Does the store hold anything that a lost identity would orphan? */
static bool in_use(wf_store *store)
{
    wf_tree_info info;
    size_t count = 1;
    bool used = wf_store_trees(store, &info, &count) == WEFT_LIMIT || count != 0;
    for (int prefix = 0x80; !used && prefix <= 0xff; prefix++) {
        uint8_t byte = (uint8_t)prefix;
        if (byte == WF_REC_SELF) continue; /* who we are is no use yet */
        (void)wf_store_record_each(store, WF_CF_PEER, &byte, 1, some_record, &used);
    }
    return used;
}

static const uint8_t self_record = WF_REC_SELF;

/* Whose the store is; NOT_FOUND: nobody has said so yet. */
static weft_err owner_of(wf_store *store, weft_key *out)
{
    weft_key found;
    size_t len = sizeof found.bytes;
    weft_err err = wf_store_record_get(store, WF_CF_PEER, &self_record, 1, found.bytes, &len);
    if (err == WEFT_OK && len != sizeof found.bytes) err = WEFT_CORRUPT;
    if (err == WEFT_OK) *out = found;
    return err;
}

/* Did a change of the key end between the file and the store? Then the pair before is kept
 * beside the file, and is the one that the store knows. */
static bool was_rotated(const char *path, const weft_key *owner)
{
    weft_keypair *before = NULL;
    weft_key key;
    if (wf_key_file_before(path, &before) != WEFT_OK) return false;
    weft_keypair_public(before, &key);
    weft_keypair_destroy(before);
    return weft_key_equal(&key, owner);
}

/* A key that is a good one, but another node's, would orphan what peers know of us. */
static weft_err check_owner(weft_node *node, const char *path)
{
    weft_key self, owner;
    weft_err err = owner_of(node->table.wf_store, &owner);
    if (err == WEFT_NOT_FOUND) return WEFT_OK;
    if (err != WEFT_OK) return err;
    weft_keypair_public(node->device, &self);
    if (weft_key_equal(&self, &owner)) return WEFT_OK;
    node->rotated = was_rotated(path, &owner);
    if (node->rotated || !in_use(node->table.wf_store)) return WEFT_OK;
    return wf_fail(WEFT_KEY_FILE, "weft", "the store is in use by another identity than that of %s",
                   path);
}

weft_err wf_node_claim(weft_node *node, const weft_key *key)
{
    weft_key owner;
    weft_err err = owner_of(node->table.wf_store, &owner);
    if (err == WEFT_OK && weft_key_equal(key, &owner)) return WEFT_OK;
    if (err != WEFT_OK && err != WEFT_NOT_FOUND) return err;
    struct wf_record_put *put = wf_record_create(sizeof owner.bytes);
    if (put == NULL) return WEFT_NO_MEMORY;
    put->cf = WF_CF_PEER;
    put->key[0] = self_record;
    put->key_len = 1;
    memcpy(put->value, key->bytes, sizeof owner.bytes);
    return wf_node_call(node, node->table.store, &put->req, WEFT_NEVER, NULL);
}

static bool has_key_file(const weft_node_options *o)
{
    return o->device == NULL && (o->dir != NULL || o->key_file != NULL);
}

weft_err wf_node_key_path(const weft_node_options *o, char out[WF_KEY_PATH_BYTES])
{
    if (!has_key_file(o)) return WEFT_INVALID;
    int len = o->key_file != NULL ? snprintf(out, WF_KEY_PATH_BYTES, "%s", o->key_file)
                                  : snprintf(out, WF_KEY_PATH_BYTES, "%s/device.key", o->dir);
    return len < 0 || len >= WF_KEY_PATH_BYTES ? WEFT_INVALID : WEFT_OK;
}

static weft_err file_pair(weft_node *node, const weft_node_options *o)
{
    char path[WF_KEY_PATH_BYTES];
    weft_err err = wf_node_key_path(o, path);
    if (err != WEFT_OK) return err;
    err = weft_keypair_load(path, &node->device);
    if (err == WEFT_OK) return check_owner(node, path);
    if (err != WEFT_NOT_FOUND) return err;
    if (in_use(node->table.wf_store))
        return wf_fail(WEFT_KEY_FILE, "weft",
                       "the store is in use by another identity: no key in %s", path);
    err = weft_keypair_create(&node->device);
    if (err == WEFT_OK) err = weft_keypair_save(node->device, path);
    return err;
}

static weft_err open_identity(weft_node *node, const weft_node_options *o)
{
    weft_err err;
    if (o->device != NULL) err = copy_pair(node, o->device);
    else if (has_key_file(o)) err = file_pair(node, o);
    else err = fresh_pair(node);
    if (err == WEFT_OK) weft_keypair_public(node->device, &node->table.self);
    node->table.device = node->device;
    return err;
}

/* -- The actors ------------------------------------------------------------------------- */

/* In the order in which they end. */
enum {
    STAGE_SYNC,
    STAGE_TRANSPORT,
    STAGE_RESOLVER,
    STAGE_VERIFY,
    STAGE_QUEUE,
    STAGE_READER,
    STAGE_ACCESS,
    STAGE_PEERS,
    STAGE_STORE,
    STAGE_NOTIFY,
    STAGE_END
};

static uint32_t stage_actors(const weft_node *node, uint32_t stage, weft_addr *out[64])
{
    const struct wf_node_table *t = &node->table;
    switch (stage) {
    case STAGE_SYNC: out[0] = t->sync; break;
    case STAGE_TRANSPORT: out[0] = t->transport; break;
    case STAGE_RESOLVER: out[0] = node->resolver; break;
    case STAGE_VERIFY:
        for (uint32_t i = 0; i < t->verify_count; i++) out[i] = t->verify[i];
        return t->verify_count;
    case STAGE_QUEUE: out[0] = t->queue; break;
    case STAGE_READER: out[0] = t->reader; break;
    case STAGE_ACCESS: out[0] = t->access; break;
    case STAGE_PEERS: out[0] = t->peers; break;
    case STAGE_STORE: out[0] = t->store; break;
    case STAGE_NOTIFY: out[0] = t->notify; break;
    default: return 0;
    }
    return out[0] == NULL ? 0 : 1;
}

/* An actor failed: the node stops in order, and tells. Runs on the failed actor's
 * thread, so it only asks the others to stop; weft_shutdown joins them. */
static void on_exit_of(void *arg, weft_addr *addr, weft_err reason)
{
    weft_node *node = arg;
    if (reason == WEFT_OK || wf_counter_get(&node->stopping) != 0) return;
    if (wf_counter_add(&node->failed, 1) != 1) return; /* the first one tells */
    wf_log(WEFT_LOG_ERROR, "weft", "actor %s failed: %s; the node stops", weft_addr_name(addr),
           weft_strerror(reason));
    struct wf_notify_event *event = (struct wf_notify_event *)weft_new(&wf_notify_event_kind);
    if (event != NULL) {
        event->event = (weft_event){.kind = WEFT_EV_STOPPED, .err = reason};
        if (wf_send_system(node->table.notify, &event->msg) != WEFT_OK) weft_drop(&event->msg);
    }
    for (uint32_t stage = 0; stage < STAGE_NOTIFY; stage++) {
        weft_addr *actors[64];
        uint32_t count = stage_actors(node, stage, actors);
        for (uint32_t i = 0; i < count; i++)
            if (actors[i] != addr) (void)weft_stop(actors[i], WEFT_DRAIN);
    }
}

static weft_err spawn_transport(weft_node *node, const weft_node_options *o)
{
    struct wf_node_table *t = &node->table;
    struct wf_transport_options options = {
        .identity = {t->self, node, sign, verify, random_bytes},
        .caps = node->seat.plain ? 0 : WF_CAP_ACCESS,
        .on_encrypt = node->seat.on_encrypt,
        .on_encrypt_arg = node->seat.arg,
        .node_name = o->name,
        .interfaces = o->interfaces,
        .events_to = t->sync,
        .verifiers = t->verify,
        .verifiers_count = t->verify_count,
        .resolver = node->resolver,
        .may_connect = wf_peers_may_connect,
        .on_breach = wf_peers_on_breach,
        .may_connect_arg = t,
    };
    return wf_transport_spawn(node->rt, &options, &t->transport);
}

static weft_err spawn_all(weft_node *node, const weft_node_options *o)
{
    struct wf_node_table *t = &node->table;
    struct wf_store_actor_options store = {.store = t->wf_store, .sync = !o->unsynced};
    weft_err err = wf_store_actor_spawn(node->rt, &store, &t->store);
    if (err == WEFT_OK) err = wf_notify_spawn(node->rt, &t->notify);
    if (err == WEFT_OK) err = wf_peers_spawn(node->rt, &t->peers);
    if (err == WEFT_OK) err = wf_access_spawn(node->rt, t, &t->access);
    if (err == WEFT_OK) err = wf_queue_spawn(node->rt, &t->queue);
    if (err == WEFT_OK) err = wf_reader_spawn(node->rt, &t->reader);
    uint32_t verifiers = o->verifiers != 0 ? o->verifiers : wf_cpu_count(node->rt);
    if (verifiers > 64) verifiers = 64;
    for (uint32_t i = 0; err == WEFT_OK && i < verifiers; i++) {
        err = wf_verify_spawn(node->rt, i, &t->verify[i]);
        if (err == WEFT_OK) t->verify_count++;
    }
    if (err == WEFT_OK) err = wf_resolver_spawn(node->rt, &node->resolver);
    if (err == WEFT_OK) err = wf_engine_spawn(node->rt, &t->sync);
    if (err == WEFT_OK) err = spawn_transport(node, o);
    return err;
}

static weft_err wire_one(weft_node *node, weft_addr *to)
{
    struct wf_wire *wire = wf_wire_create(&node->table);
    if (wire == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_send_system(to, &wire->msg);
    if (err != WEFT_OK) weft_drop(&wire->msg);
    return err;
}

/* The store asks sync before it answers for a batch that takes a right away. */
static weft_err subscribe_gate(weft_node *node)
{
    struct wf_gate_sub *sub = wf_gate_sub_create(node->table.sync);
    if (sub == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_send_system(node->table.store, &sub->msg);
    if (err != WEFT_OK) weft_drop(&sub->msg);
    return err;
}

static weft_err wire_all(weft_node *node)
{
    struct wf_node_table *t = &node->table;
    weft_addr *to[] = {t->notify, t->queue, t->reader, t->sync, t->peers};
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; err == WEFT_OK && i < t->verify_count; i++)
        err = wire_one(node, t->verify[i]);
    for (size_t i = 0; err == WEFT_OK && i < sizeof to / sizeof to[0]; i++)
        err = wire_one(node, to[i]);
    if (err == WEFT_OK) err = subscribe_gate(node);
    for (uint32_t stage = 0; err == WEFT_OK && stage < STAGE_END; stage++) {
        weft_addr *actors[64];
        uint32_t count = stage_actors(node, stage, actors);
        for (uint32_t i = 0; i < count; i++) (void)weft_on_exit(actors[i], on_exit_of, node);
    }
    return err;
}

/* -- Opening --------------------------------------------------------------------------------- */

static weft_ns or_default(weft_ns value, weft_ns fallback) { return value != 0 ? value : fallback; }

static void set_timers(struct wf_node_timers *timers, const weft_node_options *o)
{
    timers->sync_interval = or_default(o->sync_interval, WEFT_SYNC_INTERVAL_NS);
    timers->queue_tick = or_default(o->queue_tick, WEFT_QUEUE_TICK_NS);
    timers->retry_tick = or_default(o->retry_tick, WEFT_RETRY_TICK_NS);
    timers->connection_tick = or_default(o->connection_tick, WEFT_CONNECTION_TICK_NS);
    timers->settings_tick = or_default(o->settings_tick, WEFT_SETTINGS_TICK_NS);
    timers->no_live_push = o->no_live_push;
}

static weft_err open_rt(weft_node *node, const weft_node_options *o)
{
    node->rt = o->rt;
    if (node->rt != NULL) return WEFT_OK;
    weft_err err = weft_rt_create(&node->rt);
    node->own_rt = err == WEFT_OK;
    return err;
}

/* Frees what is left once all actors have ended. */
static void free_node(weft_node *node)
{
    weft_addr *actors[64];
    for (uint32_t stage = 0; stage < STAGE_END; stage++) {
        uint32_t count = stage_actors(node, stage, actors);
        for (uint32_t i = 0; i < count; i++) weft_addr_put(actors[i]);
    }
    wf_store_close(node->table.wf_store);
    if (node->own_rt) (void)weft_rt_destroy(node->rt);
    weft_keypair_destroy(node->device);
    wf_keyset_destroy(node->table.blocked);
    wf_keyset_destroy(node->table.known);
    wf_penalties_destroy(node->table.penalties);
    wf_keyring_destroy(node->table.keyring);
    wf_identities_destroy(node->table.identities);
    wf_tracks_destroy(node->table.tracks);
    wf_lock_destroy(node->shutting);
    wf_free(node);
}

/* *unfit: the store itself does not open, whatever lies in it. */
static weft_err open_on(const weft_node_options *options, wf_kv *kv,
                        const struct wf_node_seat *seat, bool *unfit, weft_node **out)
{
    static const weft_node_options defaults;
    const weft_node_options *o = options != NULL ? options : &defaults;
    weft_err err = wf_crypto_init();
    if (err != WEFT_OK) return err;
    weft_node *node = wf_calloc(1, sizeof *node);
    if (node == NULL) return WEFT_NO_MEMORY;
    err = WEFT_NO_MEMORY;
    node->born = wf_fork_count();
    node->table.counters = &node->counters;
    if (seat != NULL) node->seat = *seat;
    set_timers(&node->table.timers, o);
    node->shutting = wf_lock_create();
    node->table.blocked = wf_keyset_create();
    node->table.known = wf_keyset_create();
    node->table.penalties = wf_penalties_create();
    node->table.keyring = wf_keyring_create();
    node->table.identities = wf_identities_create();
    node->table.tracks = wf_tracks_create();
    if (node->shutting == NULL || node->table.blocked == NULL || node->table.known == NULL ||
        node->table.penalties == NULL || node->table.keyring == NULL ||
        node->table.identities == NULL || node->table.tracks == NULL)
        goto done;
    err = open_rt(node, o);
    if (err != WEFT_OK) goto done;
    node->table.rt = node->rt;
    wf_store_options how = {.progress = o->on_progress, .arg = o->progress_arg};
    err = wf_store_open_with(kv, node->rt, &how, &node->table.wf_store);
    *unfit = err == WEFT_CORRUPT;
    if (err != WEFT_OK) goto done;
    /* What this cannot find out now a read finds later, and the next opening asks again. */
    if (o->dir != NULL) (void)wf_renew_settle(node->table.wf_store, o->dir);
    err = open_identity(node, o);
    if (err == WEFT_OK) err = spawn_all(node, o);
    if (err == WEFT_OK) err = wire_all(node);
    if (err == WEFT_OK && has_key_file(o)) err = wf_node_claim(node, &node->table.self);
    if (err == WEFT_OK && o->restore_transports) err = wf_saved_restore(node);
    node->remember = o->restore_transports; /* what is saved need not be saved again */
    if (err != WEFT_OK) {
        (void)weft_shutdown(node, WEFT_NEVER);
        (void)wf_store_detach(node->table.wf_store); /* the engine stays the caller's */
        node->table.wf_store = NULL;
        goto done;
    }
    *out = node;
    node = NULL;
done:
    if (node != NULL) free_node(node);
    return err;
}

weft_err wf_node_open_seat(const weft_node_options *options, wf_kv *kv,
                           const struct wf_node_seat *seat, weft_node **out)
{
    bool unfit = false;
    return open_on(options, kv, seat, &unfit, out);
}

weft_err wf_node_open_kv(const weft_node_options *options, wf_kv *kv, weft_node **out)
{
    return wf_node_open_seat(options, kv, NULL, out);
}

/* *unfit: a new store made of this one would open. A record of weft's own that says something
 * wrong would say it there, too. */
static weft_err open_once(const weft_node_options *o, bool *unfit, weft_node **out)
{
    wf_kv *kv = NULL;
    weft_err err = wf_node_engine_open(o, &kv);
    *unfit = err == WEFT_CORRUPT;
    if (err != WEFT_OK) return err;
    err = open_on(o, kv, NULL, unfit, out);
    if (err != WEFT_OK) wf_kv_close(kv);
    /* a block that could not be read just now */
    if (err == WEFT_CORRUPT && o->dir != NULL && wf_store_dir_is_damaged(o->dir)) *unfit = true;
    return err;
}

weft_err weft_node_open(const weft_node_options *options, weft_node **out)
{
    static const weft_node_options defaults;
    const weft_node_options *o = options != NULL ? options : &defaults;
    if (out == NULL) return WEFT_INVALID;
    if (o->interfaces != NULL && !wf_net_tcp_interfaces_fit(o->interfaces)) return WEFT_INVALID;
    if (wf_in_actor()) return WEFT_DEADLK;
    bool unfit = false;
    weft_err err = open_once(o, &unfit, out);
    if (!unfit || !o->renew || o->dir == NULL) return err;
    weft_err renewed = wf_node_renew(o, false);
    if (renewed == WEFT_UNSUPPORTED)
        return err; /* the other engine has no second copy of anything */
    return renewed == WEFT_OK ? open_once(o, &unfit, out) : renewed;
}

void weft_node_key(const weft_node *node, weft_key *out) { *out = node->table.self; }

/* -- Closing ------------------------------------------------------------------------------------ */

static weft_err end_stage(weft_node *node, uint32_t stage, weft_ns deadline)
{
    weft_addr *actors[64];
    uint32_t count = stage_actors(node, stage, actors);
    for (uint32_t i = 0; i < count; i++)
        (void)weft_stop(actors[i], WEFT_DRAIN); /* CLOSED: it has ended */
    for (uint32_t i = 0; i < count; i++) {
        weft_err err = weft_join(actors[i], deadline, NULL);
        if (err == WEFT_OK) continue;
        return err == WEFT_TIMED_OUT
                   ? (wf_log(WEFT_LOG_WARN, "weft", "actor %s has not stopped yet",
                             weft_addr_name(actors[i])),
                      err)
                   : err;
    }
    return WEFT_OK;
}

weft_err weft_shutdown(weft_node *node, weft_ns timeout)
{
    if (node == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    weft_ns deadline = weft_rt_after(node->rt, timeout);
    weft_err err = WEFT_OK;
    wf_lock_take(node->shutting);
    wf_counter_set(&node->stopping, 1);
    if (node->stage < STAGE_END && node->table.wf_store != NULL) /* nobody waits for that now */
        wf_kv_reclaim_stop(wf_store_kv(node->table.wf_store));
    while (err == WEFT_OK && node->stage < STAGE_END) {
        err = end_stage(node, node->stage, deadline);
        if (err == WEFT_OK) node->stage++;
    }
    wf_lock_give(node->shutting);
    return err;
}

void weft_node_close(weft_node *node)
{
    if (node == NULL || !wf_node_is_ours(node)) return; /* a child leaves its parent's alone */
    weft_err err = weft_shutdown(node, WEFT_NEVER);
    WF_ASSERT(err == WEFT_OK); /* only a call from inside an actor can fail */
    if (node->own_rt) (void)weft_rt_stop(node->rt, WEFT_NEVER);
    free_node(node);
}

wf_kv *wf_node_bury(weft_node *node)
{
    wf_kv *kv = wf_store_detach(node->table.wf_store);
    node->table.wf_store = NULL;
    free_node(node);
    return kv;
}

/* -- Calling the actors ----------------------------------------------------------------------------- */

weft_err wf_node_call(weft_node *node, weft_addr *to, weft_request *req, weft_ns timeout,
                      weft_request **out)
{
    weft_request *answer = NULL;
    bool taken = false;
    if (out != NULL) *out = NULL;
    if (!wf_node_is_ours(node)) {
        weft_drop(&req->msg);
        return WEFT_FORKED;
    }
    weft_err err = weft_call(to, req, weft_rt_after(node->rt, timeout), &answer, &taken);
    if (answer == NULL && !taken) weft_drop(&req->msg);
    if (out != NULL) *out = answer;
    else if (answer != NULL) weft_drop(&answer->msg);
    return err;
}

weft_err wf_node_ask(weft_node *node, weft_addr *to, weft_request *req, weft_ns timeout,
                     void (*done)(void *arg, weft_err err, weft_request *request), void *arg)
{
    bool ours = wf_node_is_ours(node);
    struct wf_notify_ask *ask = ours ? (struct wf_notify_ask *)weft_new(&wf_notify_ask_kind) : NULL;
    if (ask == NULL) {
        weft_drop(&req->msg);
        return ours ? WEFT_NO_MEMORY : WEFT_FORKED;
    }
    ask->to = weft_addr_get(to);
    ask->request = req;
    ask->deadline = weft_rt_after(node->rt, timeout);
    ask->done = done;
    ask->arg = arg;
    weft_err err = weft_send(node->table.notify, &ask->msg);
    if (err != WEFT_OK) {
        ask->done = NULL; /* not begun: nobody is called */
        weft_drop(&ask->msg);
        weft_drop(&req->msg);
    }
    return err;
}
