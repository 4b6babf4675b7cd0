/* SPDX-License-Identifier: Apache-2.0
 * weft/http.h - a transport over HTTP/1.1, for ways on which only HTTP passes.
 *
 * In libweft-http.a (pkg-config weft-http), which needs libmicrohttpd beside libweft.a. A dial is
 * `GET <path>` with `Upgrade: weft/1`; after `101 Switching Protocols` the stream is that of TCP,
 * encrypted and proven as everywhere, through whatever proxies were on the way. docs/http.md shows
 * it behind nginx. Threads, timeouts and asynchronous forms: as in weft/net.h. */
#ifndef WEFT_HTTP_H
#define WEFT_HTTP_H

#include <weft/net.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_http_options {
    /* Literal addresses ("127.0.0.1", "::1") of reverse proxies in front of this node. Only what
     * they say in X-Forwarded-For is believed, the last address there, and bounds count by it.
     * At most WEFT_HTTP_PROXIES_MAX: LIMIT. */
    const char *const *proxies;
    uint32_t proxies_count;
    /* Under which others reach this node ("http:node.example:80"), told to peers and put into
     * tickets instead of where it listens. NULL: that is told if there are no proxies, and nothing
     * if there are: what is behind them nobody can dial. ADDRESS. */
    const char *public_address;
} weft_http_options;

/* Makes a network of type "http" for weft_add_transport_net. Its addresses are
 * "host:port[/path]", the path "/weft" where there is none. `options` may be NULL. INVALID, LIMIT,
 * ADDRESS, NO_MEMORY. */
weft_err weft_net_http_create(const weft_http_options *options, weft_net **out);

/* Adds or replaces a transport; as weft_add_transport. `listen` is "http:host:port[/path]", NULL:
 * it only dials. To requests other than an upgrade a server says 404 (another path), 405, 426 or
 * 431, and closes; one whose head is not whole after WEFT_HTTP_TIMEOUT_NS is closed too. */
weft_err weft_add_transport_http(weft_node *node, const char *name, const char *listen,
                                 const weft_http_options *options, weft_ns timeout);
weft_err weft_add_transport_http_async(weft_node *node, const char *name, const char *listen,
                                       const weft_http_options *options, weft_on_result done,
                                       void *arg);

/* Has the node's store remember such a transport, by weft_transport_save: its name, where it listens
 * and its options. Nothing is added by that. What that call answers; ADDRESS, LIMIT as above. */
weft_err weft_http_save(weft_node *node, const char *name, const char *listen,
                        const weft_http_options *options, weft_ns timeout);
weft_err weft_http_save_async(weft_node *node, const char *name, const char *listen,
                              const weft_http_options *options, weft_on_result done, void *arg);
/* Adds all that are saved, as weft_add_transport_http would; none is started. What cannot be added
 * is left out and told to the log, and the first failure is the answer: CORRUPT, if what is saved
 * is not what weft_http_save wrote. Call it once after opening the node. */
weft_err weft_http_restore(weft_node *node, weft_ns timeout);

#ifdef __cplusplus
}
#endif
#endif
