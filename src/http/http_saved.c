/* SPDX-License-Identifier: Apache-2.0
 * http_saved.c - HTTP transports that a store remembers: what weft/net.h keeps of each, and its
 * options as text in the part that is the network's, one to a line.
 * Called by: users (weft/http.h). May touch: a network, to see whether it can be made.
 * Never: a node but through weft/net.h. */
#include <stdio.h>
#include <string.h>

#include <weft/http.h>

#include "alloc.h"
#include "log.h"

#define TYPE "http"
#define PROXY "proxy "
#define PUBLIC "public "

/* -- As text ---------------------------------------------------------------------------- */

/* A line end within an option would make two of it. */
static weft_err add_line(weft_transport_config *config, const char *word, const char *text)
{
    size_t room = sizeof config->state - config->state_len;
    if (strchr(text, '\n') != NULL) return WEFT_INVALID;
    int len = snprintf((char *)config->state + config->state_len, room, "%s%s\n", word, text);
    if (len < 0 || (size_t)len >= room) return WEFT_LIMIT;
    config->state_len += (uint32_t)len;
    return WEFT_OK;
}

/* Can such a network be made, and listen there? */
static weft_err try_out(const weft_http_options *options, const char *listen)
{
    weft_net *net;
    weft_err err = weft_net_http_create(options, &net);
    if (err != WEFT_OK) return err;
    if (listen != NULL && strncmp(listen, TYPE ":", sizeof TYPE) != 0) err = WEFT_ADDRESS;
    else if (listen != NULL) err = net->ops->check(net, listen + sizeof TYPE);
    net->ops->destroy(net);
    return err;
}

/* *out is wf_free'd. */
static weft_err make(const char *name, const char *listen, const weft_http_options *options,
                     weft_transport_config **out)
{
    if (name == NULL || name[0] == '\0') return WEFT_INVALID;
    weft_err err = try_out(options, listen);
    if (err != WEFT_OK) return err;
    weft_transport_config *config = wf_calloc(1, sizeof *config);
    if (config == NULL) return WEFT_NO_MEMORY;
    size_t name_len = strlen(name), listen_len = listen == NULL ? 0 : strlen(listen);
    if (name_len >= sizeof config->name || listen_len >= sizeof config->listen) err = WEFT_INVALID;
    uint32_t proxies = options == NULL ? 0 : options->proxies_count;
    for (uint32_t i = 0; err == WEFT_OK && i < proxies; i++)
        err = add_line(config, PROXY, options->proxies[i]);
    if (err == WEFT_OK && options != NULL && options->public_address != NULL)
        err = add_line(config, PUBLIC, options->public_address);
    if (err != WEFT_OK) {
        wf_free(config);
        return err;
    }
    memcpy(config->name, name, name_len);
    memcpy(config->type, TYPE, sizeof TYPE);
    if (listen != NULL) memcpy(config->listen, listen, listen_len);
    *out = config;
    return WEFT_OK;
}

/* Cuts the text of a saved one into lines, in place. CORRUPT: a line is none of ours. */
static weft_err read_lines(weft_transport_config *config, const char **proxies,
                           weft_http_options *out)
{
    char *at = (char *)config->state, *end = at + config->state_len;
    *out = (weft_http_options){.proxies = proxies};
    while (at < end) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL) return WEFT_CORRUPT;
        *stop = '\0';
        if (strncmp(at, PROXY, sizeof PROXY - 1) == 0) {
            if (out->proxies_count == WEFT_HTTP_PROXIES_MAX) return WEFT_CORRUPT;
            proxies[out->proxies_count++] = at + sizeof PROXY - 1;
        } else {
            if (strncmp(at, PUBLIC, sizeof PUBLIC - 1) != 0) return WEFT_CORRUPT;
            if (out->public_address != NULL) return WEFT_CORRUPT;
            out->public_address = at + sizeof PUBLIC - 1;
        }
        at = stop + 1;
    }
    return WEFT_OK;
}

/* -- Calls ------------------------------------------------------------------------------ */

weft_err weft_http_save(weft_node *node, const char *name, const char *listen,
                        const weft_http_options *options, weft_ns timeout)
{
    weft_transport_config *config;
    weft_err err = node == NULL ? WEFT_INVALID : make(name, listen, options, &config);
    if (err != WEFT_OK) return err;
    err = weft_transport_save(node, config, timeout);
    wf_free(config);
    return err;
}

weft_err weft_http_save_async(weft_node *node, const char *name, const char *listen,
                              const weft_http_options *options, weft_on_result done, void *arg)
{
    weft_transport_config *config;
    weft_err err = node == NULL ? WEFT_INVALID : make(name, listen, options, &config);
    if (err != WEFT_OK) return err;
    err = weft_transport_save_async(node, config, done, arg);
    wf_free(config);
    return err;
}

static weft_err add(weft_node *node, weft_transport_config *config, weft_ns timeout)
{
    const char *proxies[WEFT_HTTP_PROXIES_MAX];
    weft_http_options options;
    weft_err err = read_lines(config, proxies, &options);
    if (err == WEFT_OK)
        err = weft_add_transport_http(node, config->name,
                                      config->listen[0] == '\0' ? NULL : config->listen, &options,
                                      timeout);
    if (err != WEFT_OK)
        wf_log(WEFT_LOG_WARN, "http", "transport=%s err=%s", config->name, weft_errname(err));
    return err;
}

weft_err weft_http_restore(weft_node *node, weft_ns timeout)
{
    size_t count = WEFT_TRANSPORTS_SAVED_MAX;
    if (node == NULL) return WEFT_INVALID;
    weft_transport_config *list = wf_calloc(count, sizeof *list);
    if (list == NULL) return WEFT_NO_MEMORY;
    weft_err first = weft_transport_saved(node, list, &count);
    for (size_t i = 0; i < count; i++) { /* after a failure they are all empty */
        if (strcmp(list[i].type, TYPE) != 0) continue;
        weft_err err = add(node, &list[i], timeout);
        if (first == WEFT_OK) first = err;
    }
    wf_free(list);
    return first;
}
