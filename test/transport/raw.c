/* SPDX-License-Identifier: Apache-2.0
 * raw.c - a peer that does whatever a test tells it (raw.h).
 * Called by: raw.h's users. May touch: a network and a secure session.
 * Never: sleeps. */
#include "raw.h"

#include <stdlib.h>
#include <string.h>

#include "frame.h"

enum what { CMD_FRAMES, CMD_WIRE, CMD_END, CMD_DEAF };

struct command {
    weft_msg msg;
    enum what what;
    size_t len;
    uint8_t *data;
};

static void command_drop(weft_msg *msg)
{
    free(((struct command *)msg)->data);
    weft_free_msg(msg);
}
static const weft_kind command_kind = {4, "raw.command", sizeof(struct command), command_drop};

struct state {
    struct raw_seen *seen;
    wf_net *net;
    wf_sock *sock, *listener; /* listener NULL: it dials */
    struct wf_identity identity;
    wf_noise_static *s;
    wf_noise *noise;
    enum raw_stop stop;
    bool deaf;
    struct wf_bytes in, out;
    struct wf_frame_in frame;
};

struct start {
    struct raw_seen *seen;
    wf_net *net;
    const char *to; /* or where it listens */
    unsigned identity;
    enum raw_stop stop;
    bool listens;
};

static void close_sock(weft_self *self, struct state *r)
{
    if (r->sock == NULL) return;
    r->net->ops->close(r->net, self, r->sock);
    r->sock = NULL;
}

static void ended(weft_self *self, struct state *r)
{
    r->seen->ended = true;
    r->seen->ended_ns = weft_now(self);
    close_sock(self, r);
}

static void flush(weft_self *self, struct state *r)
{
    size_t moved;
    while (r->sock != NULL && wf_bytes_len(&r->out) > 0) {
        weft_err err = r->net->ops->send(r->net, r->sock, wf_bytes_front(&r->out),
                                         wf_bytes_len(&r->out), &moved);
        if (err == WEFT_AGAIN) break;
        if (err != WEFT_OK) { /* who is deaf does not hear of it in another way */
            ended(self, r);
            break;
        }
        wf_bytes_take(&r->out, moved);
    }
    if (r->sock == NULL) return;
    uint32_t events = wf_bytes_len(&r->out) > 0 ? WF_NET_WRITE : 0u;
    if (!r->deaf) events |= WF_NET_READ;
    (void)r->net->ops->interest(r->net, self, r->sock, events);
}

static void record(struct state *r, const uint8_t *data, size_t len)
{
    uint8_t head[2] = {(uint8_t)(len >> 8), (uint8_t)len};
    (void)wf_bytes_append(&r->out, head, 2);
    (void)wf_bytes_append(&r->out, data, len);
}

static void speak(struct state *r)
{
    uint8_t message[WF_NOISE_HANDSHAKE_MAX];
    size_t len;
    if (!wf_noise_my_turn(r->noise)) return;
    cr_assert_eq(wf_noise_write(r->noise, message, &len), WEFT_OK);
    record(r, message, len);
}

static void frame(struct state *r, const uint8_t *body, size_t len)
{
    struct raw_seen *seen = r->seen;
    uint64_t type = r->frame.type, bytes;
    bool loan;
    char text[WEFT_ERROR_TEXT_BYTES_MAX];
    if (type < 32) {
        seen->frames[type]++;
        seen->last[type].len = len;
        memcpy(seen->last[type].body, body, len < 64 ? len : 64);
    }
    if (type == WF_F_HELLO) seen->hello = true;
    if (type == WF_F_CLOSE) (void)wf_frame_get_close(body, len, &seen->close_code, text);
    if (type == WF_F_ERR) (void)wf_frame_get_close(body, len, &seen->err_code, text);
    if (type == WF_F_CREDIT && wf_frame_get_credit(body, len, &bytes, &loan) == WEFT_OK && loan)
        seen->granted += bytes;
}

static void plain(struct state *r, const uint8_t *data, size_t len)
{
    for (size_t at = 0, used; at < len; at += used) {
        (void)wf_frame_in_feed(&r->frame, data + at, len - at, &used);
        if (!wf_frame_in_whole(&r->frame)) continue;
        frame(r, weft_buf_bytes(r->frame.buf), r->frame.len);
        weft_buf_unref(wf_frame_in_take(&r->frame));
    }
}

static void records(struct state *r)
{
    while (wf_bytes_len(&r->in) >= 2) {
        uint8_t *p = wf_bytes_front(&r->in);
        size_t len = (size_t)p[0] << 8 | p[1];
        if (wf_bytes_len(&r->in) < 2 + len) return;
        if (r->noise != NULL && wf_noise_done(r->noise)) {
            cr_assert_eq(wf_noise_decrypt(r->noise, p + 2, len, p + 2), WEFT_OK);
            plain(r, p + 2, len - WF_NOISE_TAG_BYTES);
        } else if (r->noise != NULL && r->stop == RAW_SECURE) {
            cr_assert_eq(wf_noise_read(r->noise, p + 2, len), WEFT_OK);
            speak(r);
            r->seen->secure = wf_noise_done(r->noise);
            if (r->seen->secure) wf_noise_channel(r->noise, r->seen->channel);
        }
        wf_bytes_take(&r->in, 2 + len);
    }
}

static void ready(weft_self *self, void *state, wf_sock *sock, uint32_t events, void *arg)
{
    struct state *r = state;
    uint8_t data[16384];
    size_t moved;
    (void)arg;
    if (!r->seen->connected) {
        if (r->net->ops->connected(r->net, sock) != WEFT_OK) return;
        r->seen->connected = true;
        if (r->stop != RAW_SILENT) speak(r);
    }
    while (r->sock != NULL && !r->deaf && (events & WF_NET_READ)) {
        weft_err err = r->net->ops->receive(r->net, r->sock, data, sizeof data, &moved);
        if (err == WEFT_AGAIN) break;
        if (err != WEFT_OK) {
            ended(self, r);
            return;
        }
        r->seen->bytes_in += moved;
        (void)wf_bytes_append(&r->in, data, moved);
        records(r);
    }
    flush(self, r);
}

static void came(weft_self *self, void *state, wf_sock *sock, uint32_t events, void *arg)
{
    struct state *r = state;
    char from[WEFT_ADDRESS_BYTES_MAX];
    (void)events;
    (void)arg;
    if (r->sock != NULL) return;
    if (r->net->ops->accept(r->net, self, sock, ready, NULL, &r->sock, from) != WEFT_OK) return;
    r->seen->connected = true;
    flush(self, r);
}

static weft_err init(weft_self *self, void *state, void *arg)
{
    struct state *r = state;
    const struct start *s = arg;
    wf_endpoint to;
    size_t count;
    r->seen = s->seen;
    r->net = s->net;
    r->stop = s->stop;
    rig_identity(s->identity, &r->identity);
    cr_assert_eq(wf_noise_static_create(&r->identity, &r->s), WEFT_OK);
    cr_assert_eq(wf_noise_create(&r->identity, r->s, !s->listens, NULL, &r->noise), WEFT_OK);
    if (s->listens) {
        char bound[WEFT_ADDRESS_BYTES_MAX];
        cr_assert_eq(r->net->ops->listen(r->net, self, s->to, came, NULL, &r->listener, bound),
                     WEFT_OK);
        return r->net->ops->interest(r->net, self, r->listener, WF_NET_READ);
    }
    cr_assert_eq(r->net->ops->resolve(r->net, s->to, &to, 1, &count), WEFT_OK);
    cr_assert_eq(r->net->ops->dial(r->net, self, &to, ready, NULL, &r->sock), WEFT_OK);
    return r->net->ops->interest(r->net, self, r->sock, WF_NET_WRITE);
}

static weft_verdict handle(weft_self *self, void *state, weft_msg *msg)
{
    struct state *r = state;
    if (wf_net_wake(self, state, msg)) return WEFT_KEPT;
    if (msg->kind != &command_kind) return WEFT_DONE;
    struct command *c = (struct command *)msg;
    if (c->what == CMD_END) {
        close_sock(self, r);
    } else if (c->what == CMD_DEAF) {
        r->deaf = true;
    } else if (c->what == CMD_WIRE) {
        (void)wf_bytes_append(&r->out, c->data, c->len);
    } else if (r->sock != NULL) {
        uint8_t *sealed = malloc(c->len + WF_NOISE_TAG_BYTES);
        cr_assert(wf_noise_done(r->noise));
        cr_assert_eq(wf_noise_encrypt(r->noise, c->data, c->len, sealed), WEFT_OK);
        record(r, sealed, c->len + WF_NOISE_TAG_BYTES);
        free(sealed);
    }
    flush(self, r);
    return WEFT_DONE;
}

static void fini(weft_self *self, void *state, weft_err reason)
{
    struct state *r = state;
    (void)reason;
    close_sock(self, r);
    if (r->listener != NULL) r->net->ops->close(r->net, self, r->listener);
    wf_noise_destroy(r->noise);
    wf_noise_static_destroy(r->s);
    wf_bytes_fini(&r->in);
    wf_bytes_fini(&r->out);
    wf_frame_in_fini(&r->frame);
    r->net->ops->destroy(r->net);
    free(r->identity.arg);
}

static void begin(struct raw *r, weft_rt *rt, struct start *start)
{
    start->seen = &r->seen;
    weft_spec spec = {.name = "raw",
                      .arg = start,
                      .state_size = sizeof(struct state),
                      .init = init,
                      .handle = handle,
                      .fini = fini,
                      .mailbox = WEFT_UNBOUNDED};
    memset(r, 0, sizeof *r);
    r->seen.close_code = r->seen.err_code = UINT64_MAX;
    cr_assert_eq(weft_spawn(rt, &spec, &r->addr), WEFT_OK);
}

void raw_start(struct raw *r, weft_rt *rt, wf_net *net, const char *to, unsigned identity,
               enum raw_stop stop)
{
    begin(r, rt, &(struct start){.net = net, .to = to, .identity = identity, .stop = stop});
}

void raw_listen(struct raw *r, weft_rt *rt, wf_net *net, const char *at, unsigned identity,
                enum raw_stop stop)
{
    begin(
        r, rt,
        &(struct start){.net = net, .to = at, .identity = identity, .stop = stop, .listens = true});
}

void raw_stop(struct raw *r, weft_rt *rt)
{
    (void)weft_stop(r->addr, WEFT_NOW);
    cr_assert_eq(weft_join(r->addr, weft_rt_after(rt, 10 * WEFT_SEC), NULL), WEFT_OK);
    weft_addr_put(r->addr);
}

static void command(struct raw *r, enum what what, const void *data, size_t len)
{
    struct command *c = (struct command *)weft_new(&command_kind);
    c->what = what;
    c->len = len;
    c->data = malloc(len + 1);
    if (len > 0) memcpy(c->data, data, len);
    cr_assert_eq(weft_send(r->addr, &c->msg), WEFT_OK);
}

void raw_frames(struct raw *r, const void *bytes, size_t len)
{
    command(r, CMD_FRAMES, bytes, len);
}

void raw_wire(struct raw *r, const void *data, size_t len) { command(r, CMD_WIRE, data, len); }

void raw_end(struct raw *r) { command(r, CMD_END, NULL, 0); }

void raw_deaf(struct raw *r) { command(r, CMD_DEAF, NULL, 0); }
