/* SPDX-License-Identifier: Apache-2.0
 * api_net_saved.c - what a store remembers of transports: one record for each name.
 * Called by: users (weft/net.h), api_net*.c, weft.c. May touch: records of the store.
 * Never: a network, but for the TCP ones that it adds again. */
#include <string.h>

#include "alloc.h"
#include "api_async.h"
#include "api_net.h"
#include "cursor.h"
#include "log.h"
#include "pack.h"
#include "records.h"

enum { RECORD_VERSION = 1, RECORD_FIELDS = 4, HEADS = 32 };
enum {
    RECORD_MAX = HEADS + WEFT_TRANSPORT_TYPE_BYTES_MAX + WEFT_ADDRESS_BYTES_MAX +
                 WEFT_TRANSPORT_STATE_BYTES_MAX
};

/* -- A record ------------------------------------------------------------------------- */

static size_t key_of(const char *name, size_t len, uint8_t out[1 + WEFT_ACTOR_NAME_BYTES_MAX])
{
    out[0] = WF_REC_TRANSPORT;
    memcpy(out + 1, name, len);
    return 1 + len;
}

/* 0: it is no name. */
static size_t name_len(const char *name)
{
    size_t len = name == NULL ? 0 : strnlen(name, WEFT_ACTOR_NAME_BYTES_MAX);
    return len < WEFT_ACTOR_NAME_BYTES_MAX ? len : 0;
}

/* "", or with the type before it. */
static bool listen_fits(const char *listen, size_t len, const char *type, size_t type_len)
{
    if (len == 0) return true;
    return len > type_len + 1 && len < WEFT_ADDRESS_BYTES_MAX && listen[type_len] == ':' &&
           memcmp(listen, type, type_len) == 0;
}

weft_err wf_saved_record(const char *name, const char *type, const char *listen, const void *state,
                         size_t state_len, struct wf_record_put **out)
{
    uint8_t bytes[RECORD_MAX];
    struct wf_pack pack = {.at = bytes, .end = bytes + sizeof bytes};
    msgpack_packer pk;
    if (listen == NULL) listen = "";
    size_t type_len = strnlen(type, WEFT_TRANSPORT_TYPE_BYTES_MAX);
    size_t listen_len = strnlen(listen, WEFT_ADDRESS_BYTES_MAX), len = name_len(name);
    if (len == 0 || !wf_type_fits(type, type_len) ||
        !listen_fits(listen, listen_len, type, type_len) ||
        state_len > WEFT_TRANSPORT_STATE_BYTES_MAX)
        return WEFT_INVALID;
    msgpack_packer_init(&pk, &pack, wf_pack_write);
    msgpack_pack_array(&pk, RECORD_FIELDS);
    msgpack_pack_uint64(&pk, RECORD_VERSION);
    wf_pack_str(&pk, type, type_len);
    wf_pack_bin(&pk, listen, listen_len); /* a network's own grammar need not be UTF-8 */
    wf_pack_bin(&pk, state, state_len);
    WF_ASSERT(!pack.overflow); /* all of it is bounded */
    struct wf_record_put *put = wf_record_create((uint32_t)(pack.at - bytes));
    if (put == NULL) return WEFT_NO_MEMORY;
    put->cf = WF_CF_PEER;
    put->key_len = (uint32_t)key_of(name, len, put->key);
    memcpy(put->value, bytes, put->value_len);
    *out = put;
    return WEFT_OK;
}

/* CORRUPT: no version of weft wrote this. */
static weft_err decode(const uint8_t *key, size_t key_len, const uint8_t *bytes, size_t len,
                       weft_transport_config *out)
{
    size_t type_len = 0, listen_len = 0, state_len = 0;
    if (key_len < 2 || key_len > WEFT_ACTOR_NAME_BYTES_MAX) return WEFT_CORRUPT;
    if (wf_scan(bytes, len, 1, 8) != WEFT_OK) return WEFT_CORRUPT;
    wf_cursor c = wf_cursor_open(bytes, len, true);
    if (wf_cursor_array(&c, RECORD_FIELDS) != RECORD_FIELDS) return WEFT_CORRUPT;
    if (wf_cursor_uint(&c, UINT64_MAX) != RECORD_VERSION) return WEFT_CORRUPT;
    const char *type = wf_cursor_str(&c, 1, WEFT_TRANSPORT_TYPE_BYTES_MAX - 1, &type_len);
    const uint8_t *listen = wf_cursor_bin(&c, 0, WEFT_ADDRESS_BYTES_MAX - 1, &listen_len);
    const uint8_t *state = wf_cursor_bin(&c, 0, sizeof out->state, &state_len);
    if (wf_cursor_done(&c) != WEFT_OK || !wf_type_fits(type, type_len) ||
        memchr(listen, 0, listen_len) != NULL ||
        !listen_fits((const char *)listen, listen_len, type, type_len))
        return WEFT_CORRUPT;
    memset(out, 0, sizeof *out);
    memcpy(out->name, key + 1, key_len - 1);
    memcpy(out->type, type, type_len);
    memcpy(out->listen, listen, listen_len);
    memcpy(out->state, state, state_len);
    out->state_len = (uint32_t)state_len;
    return WEFT_OK;
}

static weft_err find(wf_store *store, const uint8_t *key, size_t key_len,
                     weft_transport_config *out)
{
    uint8_t bytes[RECORD_MAX];
    size_t len = sizeof bytes;
    weft_err err = wf_store_record_get(store, WF_CF_PEER, key, key_len, bytes, &len);
    if (err == WEFT_LIMIT) err = WEFT_CORRUPT; /* longer than any of ours */
    if (err == WEFT_OK) err = decode(key, key_len, bytes, len, out);
    if (err == WEFT_CORRUPT)
        return wf_fail(WEFT_CORRUPT, "weft", "the record of transport %.*s is damaged",
                       (int)key_len - 1, (const char *)key + 1);
    return err;
}

/* -- All of them ----------------------------------------------------------------------- */

struct listing {
    weft_transport_config *out;
    size_t room, count; /* count: all that there are */
};

static weft_err take(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                     size_t value_len)
{
    struct listing *l = arg;
    weft_transport_config *spare = NULL;
    weft_transport_config *slot = l->count < l->room ? &l->out[l->count] : NULL;
    if (slot == NULL) { /* only counted, but only if it is a good one */
        slot = spare = wf_malloc(sizeof *spare);
        if (spare == NULL) return WEFT_NO_MEMORY;
    }
    weft_err err = decode(key, key_len, value, value_len, slot);
    wf_free(spare);
    if (err == WEFT_OK) l->count++;
    else wf_log(WEFT_LOG_WARN, "weft", "a record of a transport is damaged");
    return WEFT_OK;
}

static weft_err list(wf_store *store, struct listing *l)
{
    static const uint8_t prefix = WF_REC_TRANSPORT;
    return wf_store_record_each(store, WF_CF_PEER, &prefix, 1, take, l);
}

/* -- Calls ------------------------------------------------------------------------------- */

static weft_err usable(const weft_node *node)
{
    if (node == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    return wf_in_actor() ? WEFT_DEADLK : WEFT_OK;
}

/* On the store's thread, so that of two at once the second sees the first. */
static weft_err may_save(wf_store *store, const struct wf_record_put *put)
{
    weft_transport_config *both = wf_calloc(2, sizeof *both);
    struct listing all = {0};
    if (both == NULL) return WEFT_NO_MEMORY;
    weft_err err = decode(put->key, put->key_len, put->value, put->value_len, &both[0]);
    if (err == WEFT_OK) err = find(store, put->key, put->key_len, &both[1]);
    if (err == WEFT_OK && strcmp(both[0].type, both[1].type) != 0) err = WEFT_EXISTS;
    else if (err == WEFT_CORRUPT) err = WEFT_OK; /* it is replaced */
    else if (err == WEFT_NOT_FOUND) {
        err = list(store, &all);
        if (err == WEFT_OK && all.count >= WEFT_TRANSPORTS_SAVED_MAX) err = WEFT_LIMIT;
    }
    wf_free(both);
    return err;
}

static weft_err make_save(const weft_node *node, const weft_transport_config *config,
                          struct wf_record_put **out)
{
    if (node == NULL || config == NULL) return WEFT_INVALID;
    weft_err err = wf_saved_record(config->name, config->type, config->listen, config->state,
                                   config->state_len, out);
    if (err == WEFT_OK) (*out)->admit = may_save;
    return err;
}

weft_err weft_transport_save(weft_node *node, const weft_transport_config *config, weft_ns timeout)
{
    struct wf_record_put *put;
    weft_err err = config == NULL ? WEFT_INVALID : usable(node);
    if (err == WEFT_OK) err = make_save(node, config, &put);
    return err != WEFT_OK ? err : wf_node_call(node, node->table.store, &put->req, timeout, NULL);
}

weft_err weft_transport_save_async(weft_node *node, const weft_transport_config *config,
                                   weft_on_result done, void *arg)
{
    struct wf_record_put *put;
    weft_err err = make_save(node, config, &put);
    if (err != WEFT_OK) return err;
    return wf_api_later(node, node->table.store, &put->req, WEFT_NEVER, wf_api_tell_nothing,
                        (wf_api_done)done, arg);
}

weft_err weft_transport_load(weft_node *node, const char *name, const char *type,
                             weft_transport_config *out)
{
    if (type == NULL || out == NULL || name_len(name) == 0) return WEFT_INVALID;
    weft_err err = usable(node);
    if (err != WEFT_OK) return err;
    uint8_t key[1 + WEFT_ACTOR_NAME_BYTES_MAX];
    weft_transport_config *found = wf_malloc(sizeof *found);
    if (found == NULL) return WEFT_NO_MEMORY;
    err = find(node->table.wf_store, key, key_of(name, name_len(name), key), found);
    if (err == WEFT_OK && strcmp(found->type, type) != 0) err = WEFT_INVALID;
    if (err == WEFT_OK) *out = *found;
    wf_free(found);
    return err;
}

weft_err weft_transport_saved(weft_node *node, weft_transport_config *out, size_t *count)
{
    if (count == NULL || (out == NULL && *count != 0)) return WEFT_INVALID;
    weft_err err = usable(node);
    struct listing l = {.out = out, .room = *count};
    if (err == WEFT_OK) err = list(node->table.wf_store, &l);
    if (err != WEFT_OK) return err;
    *count = l.count < l.room ? l.count : l.room;
    return l.count > l.room ? WEFT_LIMIT : WEFT_OK;
}

static weft_err is_there(wf_store *store, const struct wf_record_put *put)
{
    uint8_t none;
    size_t len = 0;
    weft_err err = wf_store_record_get(store, put->cf, put->key, put->key_len, &none, &len);
    return err == WEFT_LIMIT ? WEFT_OK : err; /* it has bytes, whatever they are */
}

struct wf_record_put *wf_saved_forget(const char *name)
{
    struct wf_record_put *put = wf_record_create(0);
    if (put == NULL) return NULL;
    put->cf = WF_CF_PEER;
    put->remove = true;
    put->key_len = (uint32_t)key_of(name, name_len(name), put->key);
    put->admit = is_there;
    return put;
}

weft_err wf_saved_restore(weft_node *node)
{
    struct listing l = {.room = WEFT_TRANSPORTS_SAVED_MAX};
    l.out = wf_calloc(l.room, sizeof *l.out);
    if (l.out == NULL) return WEFT_NO_MEMORY;
    weft_err err = list(node->table.wf_store, &l);
    for (size_t i = 0; err == WEFT_OK && i < l.count && i < l.room; i++) {
        const weft_transport_config *c = &l.out[i];
        if (strcmp(c->type, "tcp") != 0) continue; /* whoever wrote that network adds it */
        weft_err one = weft_add_transport(node, c->name, c->listen[0] == '\0' ? NULL : c->listen,
                                          WEFT_NEVER);
        if (one != WEFT_OK)
            wf_log(WEFT_LOG_WARN, "weft", "transport=%s err=%s", c->name, weft_errname(one));
    }
    wf_free(l.out);
    return err;
}
