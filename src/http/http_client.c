/* SPDX-License-Identifier: Apache-2.0
 * http_client.c - a dial: TCP, one request, one answer, then the stream.
 * Called by: net_http.c, TCP's readiness. May touch: one socket.
 * Never: more than one request on a connection. */
#include <string.h>

#include "alloc.h"
#include "http_state.h"
#include "log.h"

static weft_net *tcp_of(const struct http_sock *s) { return s->net->tcp; }

static void failed(struct http_sock *s, weft_err err, unsigned status)
{
    wf_log(WEFT_LOG_INFO, "http", "dial err=%s status=%u", weft_errname(err), status);
    tcp_of(s)->ops->close(tcp_of(s), s->net->self, s->tcp);
    s->tcp = NULL;
    s->state = HTTP_FAILED;
}

static weft_err watch(struct http_sock *s, uint32_t events)
{
    return tcp_of(s)->ops->interest(tcp_of(s), s->net->self, s->tcp, events);
}

/* AGAIN: there is more to send. */
static weft_err ask(struct http_sock *s)
{
    struct http_asking *a = s->asking;
    while (a->request_at < a->request_len) {
        size_t moved = 0;
        weft_err err = tcp_of(s)->ops->send(tcp_of(s), s->tcp, a->request + a->request_at,
                                            a->request_len - a->request_at, &moved);
        if (err != WEFT_OK) return err;
        a->request_at += moved;
    }
    return WEFT_OK;
}

/* AGAIN: it is not whole. *status: of an answer that is no upgrade. */
static weft_err answer(struct http_sock *s, unsigned *status)
{
    struct http_asking *a = s->asking;
    for (;;) {
        size_t moved = 0, used = 0;
        weft_err err = tcp_of(s)->ops->receive(tcp_of(s), s->tcp, a->reply + a->reply_len,
                                               sizeof a->reply - a->reply_len, &moved);
        if (err != WEFT_OK) return err;
        a->reply_len += moved;
        err = wf_http_reply_read(a->reply, a->reply_len, &used, status);
        if (err == WEFT_OK) return wf_http_early(s, a->reply + used, a->reply_len - used);
        if (err != WEFT_AGAIN) return err;
    }
}

/* As far as it goes now. */
static weft_err go_on(struct http_sock *s, unsigned *status)
{
    weft_err err = WEFT_OK;
    if (s->state == HTTP_DIAL) {
        err = tcp_of(s)->ops->connected(tcp_of(s), s->tcp);
        if (err == WEFT_OK) s->state = HTTP_ASK;
    }
    if (err == WEFT_OK && s->state == HTTP_ASK) {
        err = ask(s);
        if (err == WEFT_OK) {
            s->state = HTTP_ANSWER;
            err = watch(s, WEFT_NET_READ);
        }
    }
    if (err == WEFT_OK && s->state == HTTP_ANSWER) err = answer(s, status);
    if (err != WEFT_OK) return err;
    wf_free(s->asking);
    s->asking = NULL;
    s->state = HTTP_OPEN;
    return watch(s, s->interest);
}

static void on_tcp(weft_self *self, void *state, weft_sock *tcp, uint32_t events, void *arg)
{
    struct http_sock *s = arg;
    unsigned status = 0;
    if (s->state == HTTP_OPEN) {
        wf_http_on_tcp(self, state, tcp, events, arg);
        return;
    }
    weft_err err = go_on(s, &status);
    if (err == WEFT_AGAIN) return;
    if (err != WEFT_OK) failed(s, err, status);
    wf_http_kick(s); /* early bytes, or the failure if it is wanted later */
    if (s->interest & WEFT_NET_WRITE) s->ready(self, state, (weft_sock *)s, WEFT_NET_WRITE, s->arg);
}

weft_err wf_http_dial(struct http_net *net, const weft_endpoint *to, weft_net_ready ready,
                      void *arg, struct http_sock **out)
{
    struct wf_http_address a;
    weft_endpoint tcp = {.len = to->bytes[to->len - 1]};
    char text[WEFT_ADDRESS_BYTES_MAX];
    size_t len = to->len - 1 - tcp.len;
    WF_ASSERT(len < sizeof text); /* resolve made it */
    memcpy(tcp.bytes, to->bytes, tcp.len);
    memcpy(text, to->bytes + tcp.len, len);
    text[len] = '\0';
    weft_err err = wf_http_address_read(text, &a);
    if (err != WEFT_OK) return err;
    struct http_sock *s = wf_http_sock_create(net, HTTP_DIAL, ready, arg);
    if (s == NULL) return WEFT_NO_MEMORY;
    s->asking = wf_calloc(1, sizeof *s->asking);
    err = WEFT_NO_MEMORY;
    if (s->asking == NULL) goto done;
    s->asking->request_len = wf_http_request_write(&a, s->asking->request);
    err = net->tcp->ops->dial(net->tcp, net->self, &tcp, on_tcp, s, &s->tcp);
    if (err == WEFT_OK) err = watch(s, WEFT_NET_WRITE);
    if (err != WEFT_OK) goto done;
    *out = s;
    s = NULL;
done:
    if (s != NULL) {
        net->tcp->ops->close(net->tcp, net->self, s->tcp);
        wf_http_sock_free(s);
    }
    return err;
}
