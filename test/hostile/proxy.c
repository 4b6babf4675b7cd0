/* SPDX-License-Identifier: Apache-2.0
 * proxy.c - somebody in the middle: passes records on, turns a bit of one, cuts after one, and
 * writes down what it saw. It knows lengths and nothing else.
 * Called by: the roles. May touch: sockets. Never: keys. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "hostile.h"

struct side { /* what comes from here goes to the other one */
    ht_item item;
    ht_pipe *pipe;
    struct wf_bytes out; /* on its way to here */
    uint64_t at;         /* of the record that comes from here: bytes so far */
    uint64_t whole;      /* and how many it has; known after two of them     */
    uint32_t record;
    uint8_t head[2];
    bool ended;
};

struct ht_pipe {
    ht_proxy *proxy;
    ht_pipe *next;
    struct side sides[2]; /* sides[HT_TO_SERVER] is the client's: what it says goes to the server */
    ht_plan plan;
    bool carried_out, answered, dead;
    uint64_t since;
};

static struct side *other(struct side *s) { return &s->pipe->sides[s == s->pipe->sides]; }

static void look_for(struct side *s)
{
    if (s->item.fd < 0) return;
    uint32_t events = s->ended ? 0 : EPOLLIN | EPOLLRDHUP;
    if (wf_bytes_len(&s->out) > 0) events |= EPOLLOUT;
    ht_watch(&s->item, events);
}

static void push(struct side *s)
{
    while (s->item.fd >= 0 && wf_bytes_len(&s->out) > 0) {
        ssize_t n = send(s->item.fd, wf_bytes_front(&s->out), wf_bytes_len(&s->out), MSG_NOSIGNAL);
        if (n <= 0) break;
        wf_bytes_take(&s->out, (size_t)n);
    }
    look_for(s);
}

static void end(ht_pipe *x)
{
    x->dead = true;
    for (unsigned i = 0; i < 2; i++) {
        push(&x->sides[i]);
        ht_close(&x->sides[i].item);
    }
}

/* The plan is about this byte: carries it out. */
static bool is_meant(const ht_pipe *x, const struct side *s)
{
    return x->plan.what != HT_PASS && !x->carried_out && s == &x->sides[x->plan.way] &&
           s->record == x->plan.record && s->at == x->plan.offset;
}

static void carry_out(ht_pipe *x)
{
    x->carried_out = true;
    x->since = ht_now();
    x->proxy->done++;
}

/* One byte after the other: it is a test. False: it was cut. */
static bool pass(struct side *s, uint8_t *data, size_t len)
{
    ht_pipe *x = s->pipe;
    size_t begin = 0;
    for (size_t i = 0; i < len; i++) {
        if (is_meant(x, s)) {
            carry_out(x);
            if (x->plan.what == HT_CUT) {
                (void)wf_bytes_append(&other(s)->out, data + begin, i - begin);
                return false;
            }
        }
        if (s->at < 2) s->head[s->at] = data[i]; /* as it was said */
        if (x->carried_out && x->plan.what == HT_FLIP && s == &x->sides[x->plan.way] &&
            s->record == x->plan.record && s->at == x->plan.offset)
            data[i] ^= x->plan.mask;
        s->at++;
        if (s->at == 2) s->whole = 2 + ((uint64_t)s->head[0] << 8 | s->head[1]);
        if (s->at < 2 || s->at < s->whole) continue;
        s->at = 0;
        s->record++;
    }
    return wf_bytes_append(&other(s)->out, data + begin, len - begin) == WEFT_OK;
}

/* One of them has closed, which nobody here asked for. */
static void closed(ht_pipe *x)
{
    ht_proxy *proxy = x->proxy;
    for (unsigned i = 0; i < 2; i++) proxy->records[i] = x->sides[i].record;
    if (!x->carried_out) return;
    uint64_t took = ht_now() - x->since;
    proxy->closed++;
    if (took > proxy->slowest) proxy->slowest = took;
}

static void ready(ht_item *item, uint32_t events)
{
    struct side *s = (struct side *)((char *)item - offsetof(struct side, item));
    ht_pipe *x = s->pipe;
    static uint8_t data[65536];
    while (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        ssize_t n = recv(item->fd, data, sizeof data, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) break;
        if (n <= 0) {
            closed(x);
            end(x);
            return;
        }
        unsigned way = s == x->sides ? HT_TO_SERVER : HT_TO_CLIENT;
        if (x->carried_out && way != x->plan.way && !x->answered) {
            x->answered = true;
            x->proxy->answered++;
        }
        if (x->proxy->tap != NULL) (void)wf_bytes_append(&x->proxy->tap[way], data, (size_t)n);
        if (!pass(s, data, (size_t)n)) {
            end(x);
            return;
        }
    }
    push(other(s));
    push(s);
}

static void on_incoming(ht_item *item, uint32_t events)
{
    ht_proxy *proxy = (ht_proxy *)((char *)item - offsetof(ht_proxy, item));
    (void)events;
    for (;;) {
        int fd = accept4(item->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        ht_pipe *x = calloc(1, sizeof *x);
        if (x == NULL) ht_die("memory");
        x->proxy = proxy;
        for (unsigned i = 0; i < 2; i++) x->sides[i].pipe = x;
        x->sides[HT_TO_SERVER].item = (ht_item){.fd = fd, .ready = ready};
        x->sides[HT_TO_CLIENT].item = (ht_item){.fd = ht_dial(proxy->to, proxy->from + proxy->came),
                                                .ready = ready};
        if (x->sides[HT_TO_CLIENT].item.fd < 0) ht_die("connect");
        if (proxy->plans_count > 0) {
            uint32_t last = proxy->plans_count - 1;
            x->plan = proxy->plans[proxy->came < last ? proxy->came : last];
        }
        proxy->came++;
        x->next = proxy->pipes;
        proxy->pipes = x;
        for (unsigned i = 0; i < 2; i++) look_for(&x->sides[i]);
    }
}

void ht_proxy_open(ht_proxy *x, uint16_t to)
{
    *x = (ht_proxy){.to = to, .from = ht_below(60000)};
    x->item = (ht_item){.fd = ht_listen(&x->port, false), .ready = on_incoming};
    ht_watch(&x->item, EPOLLIN);
}

static void reap(ht_proxy *x, bool all)
{
    for (ht_pipe **at = &x->pipes; *at != NULL;) {
        ht_pipe *p = *at;
        if (!p->dead && !all) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        for (unsigned i = 0; i < 2; i++) {
            ht_close(&p->sides[i].item);
            wf_bytes_fini(&p->sides[i].out);
        }
        free(p);
    }
}

void ht_proxy_plan(ht_proxy *x, const ht_plan *plans, uint32_t count)
{
    reap(x, true);
    x->plans = plans;
    x->plans_count = count;
    x->came = x->done = x->closed = x->answered = 0;
    x->slowest = 0;
}

bool ht_proxy_idle(const ht_proxy *x)
{
    for (const ht_pipe *p = x->pipes; p != NULL; p = p->next)
        if (!p->dead) return false;
    return true;
}

void ht_proxy_close(ht_proxy *x)
{
    reap(x, true);
    ht_close(&x->item);
}
