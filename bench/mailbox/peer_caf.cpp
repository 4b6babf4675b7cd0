/* SPDX-License-Identifier: Apache-2.0
 * peer caf: C++ Actor Framework.  Default: event-based actors on CAF's
 * work-stealing pool.  --mode detached: every actor has its own thread. */
#include "bench.h"
#include <caf/all.hpp>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

struct request_msg {
    uint64_t q;
};
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(payload)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(request_msg)

using namespace caf;
using go_atom = atom_constant<atom("go")>;

static options opt;
static bool detached_mode;

static std::mutex mu;
static std::condition_variable cv;
static bool finished;
static uint64_t t_end;
static uint64_t *lat;

static void finish()
{
    t_end = now_ns();
    std::lock_guard<std::mutex> g(mu);
    finished = true;
    cv.notify_all();
}
static void wait_finish()
{
    std::unique_lock<std::mutex> g(mu);
    cv.wait(g, [] { return finished; });
}

struct sink_state {
    uint64_t got = 0;
    uint64_t next[64] = {0};
};

static behavior sink(stateful_actor<sink_state> *self, bool want_lat)
{
    return {[self, want_lat](const payload &p) {
        auto &s = self->state;
        if (want_lat) lat[s.got] = now_ns() - p.t;
        payload_verify(&p, s.next, opt.producers);
        if (++s.got == opt.messages) {
            finish();
            self->quit();
        }
    }};
}

/* producers are actors too: each sends its whole share when told to go */
static behavior producer(event_based_actor *self, actor to, int id, uint64_t *t0)
{
    return {[=](go_atom) {
        *t0 = now_ns();
        uint64_t n = share(&opt, id);
        for (uint64_t i = 0; i < n; i++) {
            payload p;
            payload_fill(&p, (uint32_t)id, i, 0);
            self->send(to, p);
        }
        self->quit();
    }};
}

struct bp_state {
    uint64_t i = 0;
};
static behavior burst_producer(stateful_actor<bp_state> *self, actor to, int id, uint64_t *t0)
{
    return {[=](go_atom) {
        auto &s = self->state;
        if (!s.i) *t0 = now_ns();
        uint64_t n = share(&opt, id);
        for (int k = 0; k < BURST && s.i < n; k++, s.i++) {
            payload p;
            payload_fill(&p, (uint32_t)id, s.i, now_ns());
            self->send(to, p);
        }
        if (s.i < n) self->delayed_send(self, std::chrono::milliseconds(1), go_atom::value);
        else self->quit();
    }};
}

static behavior pong(event_based_actor *self)
{
    return {[self](const payload &p) {
        self->send(actor_cast<actor>(self->current_sender()), p);
    }};
}

struct ping_state {
    uint64_t i = 0, t = 0;
};
static behavior ping(stateful_actor<ping_state> *self, actor other, uint64_t *t0)
{
    return {[=](go_atom) {
                auto &s = self->state;
                payload p;
                payload_fill(&p, 0, 0, 0);
                *t0 = s.t = now_ns();
                self->send(other, p);
            },
            [=](const payload &p) {
                auto &s = self->state;
                if (p.seq != s.i) die("pingpong out of order");
                uint64_t n = now_ns();
                lat[s.i++] = n - s.t;
                s.t = n;
                if (s.i < opt.messages) {
                    payload r = p;
                    r.seq = s.i;
                    self->send(other, r);
                } else {
                    self->send_exit(other, exit_reason::user_shutdown);
                    finish();
                    self->quit();
                }
            }};
}

static behavior server(event_based_actor *)
{
    return {[](const request_msg &r) -> uint64_t { return r.q + 1; }};
}

template <class F, class... As> static actor start(actor_system &sys, F f, As &&...as)
{
    return detached_mode ? sys.spawn<detached>(f, std::forward<As>(as)...)
                         : sys.spawn(f, std::forward<As>(as)...);
}

static void flow(actor_system &sys, bool burst)
{
    std::vector<uint64_t> t0((size_t)opt.producers);
    std::vector<actor> ps;
    if (burst) lat = new uint64_t[opt.messages]();
    actor to = start(sys, sink, burst);
    for (int i = 0; i < opt.producers; i++)
        ps.push_back(burst ? start(sys, burst_producer, to, i, &t0[(size_t)i])
                           : start(sys, producer, to, i, &t0[(size_t)i]));
    pause_ns(20000000);
    for (auto &p : ps) anon_send(p, go_atom::value);
    wait_finish();
    uint64_t first = t0[0];
    for (auto t : t0)
        if (t < first) first = t;
    report(&opt, (double)(t_end - first) / 1e9, lat, burst ? opt.messages : 0);
}

static void pingpong(actor_system &sys)
{
    uint64_t t0 = 0;
    lat = new uint64_t[opt.messages]();
    actor b = start(sys, pong), a = start(sys, ping, b, &t0);
    pause_ns(20000000);
    anon_send(a, go_atom::value);
    wait_finish();
    report(&opt, (double)(t_end - t0) / 1e9, lat, opt.messages);
}

/* ask: client threads, each a scoped (blocking) actor */
static void ask(actor_system &sys)
{
    lat = new uint64_t[opt.messages]();
    actor srv = start(sys, server);
    pthread_barrier_t gate;
    pthread_barrier_init(&gate, nullptr, (unsigned)opt.producers);
    std::vector<uint64_t> t0((size_t)opt.producers), t1((size_t)opt.producers);
    std::vector<std::thread> ts;
    uint64_t off = 0;
    for (int c = 0; c < opt.producers; c++) {
        uint64_t n = share(&opt, c), *l = lat + off;
        off += n;
        ts.emplace_back([&, c, n, l] {
            scoped_actor self{sys};
            pthread_barrier_wait(&gate);
            uint64_t t = t0[(size_t)c] = now_ns();
            for (uint64_t i = 0; i < n; i++) {
                uint64_t got = 0;
                self->request(srv, infinite, request_msg{i * 3})
                    .receive([&](uint64_t v) { got = v; }, [](error &) { die("ask failed"); });
                if (got != i * 3 + 1) die("wrong reply");
                uint64_t e = now_ns();
                l[i] = e - t;
                t = e;
            }
            t1[(size_t)c] = t;
        });
    }
    for (auto &t : ts) t.join();
    anon_send_exit(srv, exit_reason::user_shutdown);
    uint64_t a = t0[0], b = t1[0];
    for (auto t : t0) a = t < a ? t : a;
    for (auto t : t1) b = t > b ? t : b;
    report(&opt, (double)(b - a) / 1e9, lat, opt.messages);
}

int main(int argc, char **argv)
{
    options_parse(&opt, argc, argv, "caf");
    for (int i = 2; i + 1 < argc; i += 2)
        if (!strcmp(argv[i], "--mode") && !strcmp(argv[i + 1], "detached")) {
            detached_mode = true;
            if (!strcmp(opt.peer, "caf")) opt.peer = "caf-detached";
        }
    actor_system_config cfg;
    actor_system sys{cfg};
    if (!strcmp(opt.kase, "throughput")) flow(sys, false);
    else if (!strcmp(opt.kase, "fanin-burst")) flow(sys, true);
    else if (!strcmp(opt.kase, "pingpong")) pingpong(sys);
    else if (!strcmp(opt.kase, "ask")) ask(sys);
    else die("unknown case");
    _exit(0);
}
