/* SPDX-License-Identifier: Apache-2.0
 * actor.cpp - actors from C++17: objects as state, owners for addresses and messages.
 *
 * weft's headers are C++ as they are. What C++ adds fits in 60 lines: a state with a
 * constructor and a destructor, and owners that give back what C code must give back by
 * hand. Exceptions must not leave a handler: the caller is C. */
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include <weft/actor.h>

/* -- The adapter ---------------------------------------------------------------------- */

struct AddrPut {
    void operator()(weft_addr *addr) const { weft_addr_put(addr); }
};
using Addr = std::unique_ptr<weft_addr, AddrPut>;

/* A message of any C++ type, freed by its destructor. */
template <class Body> struct Message {
    weft_request req; /* first: a weft_request begins with a weft_msg */
    Body body;

    static void drop(weft_msg *msg)
    {
        reinterpret_cast<Message *>(msg)->body.~Body();
        weft_free_msg(msg);
    }
    static const weft_kind kind;

    static Message *make(Body body)
    {
        weft_msg *msg = weft_new(&kind); /* zeroed; only the body needs its constructor */
        if (msg == nullptr) return nullptr;
        auto *message = reinterpret_cast<Message *>(msg);
        new (&message->body) Body(std::move(body));
        return message;
    }
    static Message *from(weft_msg *msg)
    {
        return msg->kind == &kind ? reinterpret_cast<Message *>(msg) : nullptr;
    }
};
template <class Body>
const weft_kind Message<Body>::kind = {100, "c++", sizeof(Message<Body>), Message<Body>::drop};

/* An actor whose state is an object of `State`: State::handle(self, msg). */
template <class State> weft_err spawn(weft_rt *rt, const char *name, Addr &out)
{
    weft_spec spec = {};
    spec.name = name;
    spec.state_size = sizeof(State);
    spec.init = [](weft_self *, void *state, void *) {
        try {
            new (state) State();
            return WEFT_OK;
        } catch (const std::bad_alloc &) {
            return WEFT_NO_MEMORY;
        } catch (...) { /* C must not see it, whatever it is */
            return WEFT_INTERNAL;
        }
    };
    spec.handle = [](weft_self *self, void *state, weft_msg *msg) {
        try {
            return static_cast<State *>(state)->handle(self, msg);
        } catch (const std::exception &error) {
            std::fprintf(stderr, "failed: %s\n", error.what());
            return weft_fail(self, WEFT_INTERNAL); /* the runtime drops the message */
        } catch (...) {
            return weft_fail(self, WEFT_INTERNAL);
        }
    };
    spec.fini = [](weft_self *, void *state, weft_err) { static_cast<State *>(state)->~State(); };
    weft_addr *addr = nullptr;
    weft_err err = weft_spawn(rt, &spec, &addr);
    if (err == WEFT_OK) out.reset(addr);
    return err;
}

/* -- An actor: how often was each word seen? ------------------------------------------------ */

struct Word {
    std::string text;
    unsigned seen = 0;
};

class Counter
{
  public:
    weft_verdict handle(weft_self *, weft_msg *msg)
    {
        auto *word = Message<Word>::from(msg);
        if (word == nullptr) return WEFT_DONE;
        word->body.seen = ++seen_[word->body.text];
        weft_reply(&word->req, WEFT_OK);
        return WEFT_KEPT;
    }

  private:
    std::map<std::string, unsigned> seen_; /* this actor's alone: no mutex */
};

/* Asks from a plain thread. 0: something went wrong. */
static unsigned see(weft_rt *rt, const Addr &counter, const char *text)
{
    auto *word = Message<Word>::make({text});
    if (word == nullptr) return 0;
    weft_request *reply = nullptr;
    bool taken = false;
    weft_err err = weft_call(counter.get(), &word->req, weft_rt_after(rt, WEFT_SEC * 10), &reply,
                             &taken);
    unsigned seen = err == WEFT_OK ? Message<Word>::from(&reply->msg)->body.seen : 0;
    if (reply != nullptr) weft_drop(&reply->msg);
    else if (!taken) weft_drop(&word->req.msg);
    return seen;
}

int main()
{
    weft_rt *rt = nullptr;
    Addr counter;
    unsigned warp = 0, weft = 0;
    if (weft_rt_create(&rt) == WEFT_OK && spawn<Counter>(rt, "counter", counter) == WEFT_OK) {
        for (int i = 0; i < 3; i++)
            weft = see(rt, counter, "a word that is too long for the string itself: weft");
        warp = see(rt, counter, "warp");
        std::printf("weft: %u, warp: %u\n", weft, warp);
    }
    counter.reset();
    if (rt != nullptr) weft_rt_stop(rt, WEFT_NEVER);
    weft_rt_destroy(rt);
    return weft == 3 && warp == 1 ? 0 : 1;
}
