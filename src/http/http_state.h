/* SPDX-License-Identifier: Apache-2.0
 * http_state.h - what the rooms of the network over HTTP share. All of it belongs to the thread
 * of the actor that owns the sockets, but for what is set once when the network is made.
 * Called by: net_http.c (the table), http_client.c, http_server.c. */
#ifndef WF_HTTP_STATE_H
#define WF_HTTP_STATE_H

#include <weft/http.h>

#include "http_text.h"
#include "net_tcp.h"

struct MHD_Daemon;
struct MHD_UpgradeResponseHandle;

enum http_state {
    HTTP_LISTENER,
    HTTP_HEAD,   /* came in; the library reads its request */
    HTTP_READY,  /* upgraded; waits to be accepted         */
    HTTP_DIAL,   /* TCP connects                           */
    HTTP_ASK,    /* the request is being sent              */
    HTTP_ANSWER, /* and answered                           */
    HTTP_FAILED, /* that came to nothing                   */
    HTTP_OPEN,
    HTTP_LEFT /* the owner is done with it; the library has yet to close it */
};

struct http_sock;
struct http_list {
    struct http_sock *first, *last;
    uint32_t count;
};

struct http_asking { /* of a dial, until it is open */
    char request[WF_HTTP_REQUEST_MAX];
    size_t request_len, request_at;
    uint8_t reply[WEFT_HTTP_HEAD_BYTES_MAX];
    size_t reply_len;
};

struct http_sock {
    struct http_net *net;
    enum http_state state;
    weft_sock *tcp; /* NULL: the library has it, or it is gone */
    weft_net_ready ready;
    void *arg;
    uint32_t interest;
    uint8_t *early; /* came with the head, and is received first */
    size_t early_at, early_len;
    struct http_sock *prev, *next; /* in the list of its state, if that has one */
    bool kicked;                   /* in the net's list of those to be told */
    struct http_sock *kick_next;
    struct http_asking *asking;
    /* A listener's. */
    char path[WEFT_ADDRESS_BYTES_MAX];
    struct http_list upgraded; /* HTTP_READY */
    bool paused;               /* TCP could not accept; the clock tries again */
    /* Of one that came in. */
    struct http_sock *listener; /* NULL: it was closed meanwhile */
    struct MHD_UpgradeResponseHandle *upgrade;
    int fd;       /* the library's, until it is closed */
    bool started; /* the library has it in its lists   */
    bool hung_up;
    weft_ns deadline;
    char from[WEFT_ADDRESS_BYTES_MAX];
};

struct http_net {
    weft_net net; /* first */
    weft_net *tcp;
    weft_ns head_timeout;
    char proxies[WEFT_HTTP_PROXIES_MAX][64];
    uint32_t proxies_count;
    char public_address[WEFT_ADDRESS_BYTES_MAX]; /* without the scheme; empty: none was said */
    struct MHD_Daemon *daemon;                   /* NULL: nobody has listened yet */
    int epoll_fd;
    bool watched;
    weft_self *self;        /* whose sockets these are; NULL: there are none */
    uint32_t users;         /* sockets that the owner has */
    struct http_list heads; /* HTTP_HEAD, the oldest first */
    struct http_list left;  /* HTTP_LEFT */
    struct http_list listeners;
    struct http_sock *kick_first, *kick_last;
    bool run_again; /* the library is not done, though nothing new has come */
    weft_timer kick, clock;
};

void wf_http_list_add(struct http_list *list, struct http_sock *s);
void wf_http_list_remove(struct http_list *list, struct http_sock *s);

/* net_http.c */
/* `head_timeout`: for a request to come whole; a test's own. */
weft_err wf_net_http_create(const weft_http_options *options, weft_ns head_timeout, weft_net **out);
struct http_sock *wf_http_sock_create(struct http_net *net, enum http_state state,
                                      weft_net_ready ready, void *arg);
void wf_http_sock_free(struct http_sock *s);
weft_err wf_http_early(struct http_sock *s, const void *data, size_t len); /* keeps a copy */
/* Has ready() run soon for what the socket itself, not TCP, has to tell. */
void wf_http_kick(struct http_sock *s);
void wf_http_kick_arm(struct http_net *net);
/* Readiness of an open connection's TCP. */
void wf_http_on_tcp(weft_self *self, void *state, weft_sock *tcp, uint32_t events, void *arg);

/* http_client.c */
weft_err wf_http_dial(struct http_net *net, const weft_endpoint *to, weft_net_ready ready,
                      void *arg, struct http_sock **out);

/* http_server.c */
weft_err wf_http_listen(struct http_net *net, const char *address, weft_net_ready ready, void *arg,
                        struct http_sock **out, char bound[WEFT_ADDRESS_BYTES_MAX]);
weft_err wf_http_listen_interest(struct http_sock *listener);
void wf_http_listen_close(struct http_sock *listener);
void wf_http_hand_back(struct http_sock *s); /* closes an upgraded one */
void wf_http_run(struct http_net *net);      /* lets the library work; tells nobody */
void wf_http_rest(struct http_net *net);     /* the owner has no socket any more */
void wf_http_end(struct http_net *net);      /* the library's, with all that it has */

#endif
