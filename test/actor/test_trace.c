/* SPDX-License-Identifier: Apache-2.0
 * test_trace.c - the hook hears every event, and the Chrome writer makes JSON of them.
 * Called by: the test runner. The whole document is parsed by introspect.py. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "rig.h"

#include <weft/trace.h>

/* -- Events -- */

#define SEEN_MAX 64

struct seen {
    unsigned count;
    weft_trace_event events[SEEN_MAX];
    char text[4096];
};

static void keep(void *arg, const weft_trace_event *event)
{
    static const char *const names[] = {"send", "begin",   "end",   "spawn",
                                        "exit", "restart", "timer", "reply"};
    struct seen *seen = arg;
    size_t len = strlen(seen->text);
    cr_assert_lt(seen->count, SEEN_MAX);
    seen->events[seen->count++] = *event;
    snprintf(seen->text + len, sizeof seen->text - len, "%s %s %s\n", names[event->what],
             event->name, event->kind == NULL ? "-" : event->kind);
}

static weft_err ask_back(weft_self *self, void *data)
{
    (void)self;
    (void)data;
    return WEFT_OK;
}

static struct rig open_traced(struct seen *seen)
{
    struct rig rig = rig_open(true, 1);
    memset(seen, 0, sizeof *seen);
    weft_trace_to(rig.rt, keep, seen);
    return rig;
}

Test(trace, a_message_is_sent_begun_and_ended)
{
    struct seen seen;
    struct rig rig = open_traced(&seen);
    weft_addr *addr = rig_spawn_init(&rig, rig_echo, ask_back, NULL, 0);
    struct note *note = note_new(0, 0);
    const void *identity = note;
    cr_assert_eq(weft_send(addr, &note->msg), WEFT_OK);
    cr_assert_eq(weft_stop(addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(&rig, addr), WEFT_OK);
    cr_assert_str_eq(seen.text,
                     "spawn rig -\n"
                     "begin rig weft.init\nend rig weft.init\n"
                     "send rig note\nsend rig weft.stop\n"
                     "begin rig note\nend rig note\n"
                     "exit rig -\n",
                     "%s", seen.text);
    cr_assert_eq(seen.events[3].msg, identity);
    cr_assert_eq(seen.events[5].msg, identity);
    cr_assert_eq(seen.events[3].from, 0);
    cr_assert_eq(seen.events[3].at, wf_sim_now(rig.sim));
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(trace, each_message_of_a_chain_is_told)
{
    struct seen seen;
    struct rig rig = open_traced(&seen);
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 0);
    struct note *first = note_new(0, 0), *last = note_new(0, 1);
    first->msg.next = &last->msg;
    seen.count = 0;
    cr_assert_eq(weft_send_chain(addr, &first->msg, &last->msg), WEFT_OK);
    cr_assert_eq(seen.count, 2);
    cr_assert(seen.events[0].msg == first || seen.events[1].msg == first);
    cr_assert(seen.events[0].msg == last || seen.events[1].msg == last);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim));
    cr_assert_eq(seen.count, 6);
    weft_addr_put(addr);
    rig_close(&rig);
}

struct asker {
    weft_addr *to;
    weft_err err;
};

static void on_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    ((struct asker *)arg)->err = err;
    if (req != NULL) weft_drop(&req->msg);
}

static weft_verdict ask_on(weft_self *self, void *data, weft_msg *msg)
{
    struct asker *asker = data;
    (void)msg;
    cr_assert_eq(weft_ask(self, asker->to, &query_new(1)->req, WEFT_NEVER, on_reply, asker, NULL),
                 WEFT_OK);
    return WEFT_DONE;
}

Test(trace, sender_and_answer_are_told)
{
    struct seen seen;
    struct rig rig = open_traced(&seen);
    struct asker asker = {.to = rig_spawn(&rig, rig_echo, NULL, 0), .err = WEFT_INTERNAL};
    weft_addr *addr = rig_spawn(&rig, ask_on, &asker, 0);
    uint32_t callee = seen.events[0].actor, caller = seen.events[3].actor;
    cr_assert_neq(callee, caller);
    cr_assert_eq(weft_send(addr, &note_new(0, 0)->msg), WEFT_OK);
    seen.count = 0;
    seen.text[0] = '\0';
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim));
    cr_assert_eq(asker.err, WEFT_OK);
    cr_assert_str_eq(seen.text,
                     "begin rig note\nsend rig query\nend rig note\n"
                     "begin rig query\nreply rig query\nend rig query\n"
                     "begin rig query\nend rig query\n",
                     "%s", seen.text);
    cr_assert_eq(seen.events[1].actor, callee);
    cr_assert_eq(seen.events[1].from, caller);
    cr_assert_eq(seen.events[3].from, caller);
    cr_assert_eq(seen.events[4].actor, caller);
    cr_assert_eq(seen.events[4].from, callee);
    cr_assert_eq(seen.events[6].from, callee);
    cr_assert_eq(seen.events[6].thread, 0);
    weft_addr_put(addr);
    weft_addr_put(asker.to);
    rig_close(&rig);
}

static weft_timer tick;

static void on_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self;
    (void)state;
    (void)timer;
    (void)missed;
}

static weft_err set_tick(weft_self *self, void *data)
{
    (void)data;
    return weft_timer_set(self, &tick, weft_now(self) + WEFT_MS, 0, on_tick);
}

Test(trace, a_timer_is_told_with_its_time)
{
    struct seen seen;
    struct rig rig = open_traced(&seen);
    weft_ns begin = wf_sim_now(rig.sim);
    weft_addr *addr = rig_spawn_init(&rig, rig_echo, set_tick, NULL, 0);
    wf_sim_run_until(rig.sim, begin + 2 * WEFT_MS);
    cr_assert_eq(seen.count, 6);
    cr_assert_eq(seen.events[3].what, WEFT_TRACE_TIMER);
    cr_assert_eq(seen.events[3].at, begin + WEFT_MS);
    cr_assert_str_eq(seen.events[4].kind, "weft.timer");
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(trace, switched_off_it_is_silent)
{
    struct seen seen;
    struct rig rig = open_traced(&seen);
    weft_trace_to(rig.rt, NULL, NULL);
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 0);
    cr_assert_eq(rig_call(&rig, addr, 1), WEFT_OK);
    cr_assert_eq(seen.count, 0);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(trace, actors_from_before_it_was_switched_on_tell_nothing)
{
    struct seen seen = {0};
    struct rig rig = rig_open(true, 1);
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 0);
    weft_trace_to(rig.rt, keep, &seen);
    cr_assert_eq(rig_call(&rig, addr, 1), WEFT_OK);
    cr_assert_eq(seen.count, 0, "%s", seen.text);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(trace, one_runtime_is_traced_beside_another)
{
    struct seen seen;
    struct rig traced = open_traced(&seen), rig = rig_open(true, 2);
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 0);
    cr_assert_eq(rig_call(&rig, addr, 1), WEFT_OK);
    cr_assert_eq(seen.count, 0);
    weft_addr_put(addr);
    rig_close(&rig);
    rig_close(&traced);
}

/* An address may be used when its runtime is gone: the hook must not look for it there. */
Test(trace, a_send_after_the_runtime_is_refused_as_ever)
{
    struct seen seen, other_seen;
    struct rig rig = rig_open(false, 0);
    memset(&seen, 0, sizeof seen);
    weft_trace_to(rig.rt, keep, &seen);
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 0);
    rig_close(&rig);
    struct rig other = open_traced(&other_seen); /* so that hooks are on */
    struct note *note = note_new(0, 0);
    cr_assert_eq(weft_send(addr, &note->msg), WEFT_CLOSED);
    weft_drop(&note->msg);
    weft_addr_put(addr);
    rig_close(&other);
}

/* -- Chrome -- */

struct page {
    size_t len;
    char text[1 << 16];
};

static void append(void *arg, const char *bytes, size_t len)
{
    struct page *page = arg;
    cr_assert_lt(page->len + len, sizeof page->text);
    memcpy(page->text + page->len, bytes, len);
    page->len += len;
    page->text[page->len] = '\0';
}

static struct page page;

static const char *chrome_of(const weft_trace_event *event)
{
    weft_chrome *chrome = NULL;
    page.len = 0;
    cr_assert_eq(weft_chrome_create(append, &page, &chrome), WEFT_OK);
    weft_chrome_event(chrome, event);
    weft_chrome_destroy(chrome);
    return page.text;
}

Test(chrome, a_begin_is_an_arrow_and_a_slice)
{
    weft_trace_event event = {.at = 1234567,
                              .what = WEFT_TRACE_BEGIN,
                              .actor = 4,
                              .from = 3,
                              .thread = 2,
                              .name = "shop",
                              .kind = "shop.sell",
                              .msg = (void *)0xabc8};
    const char *text = chrome_of(&event);
    cr_assert_not_null(strstr(text, ",\n{\"ph\":\"f\",\"pid\":1,\"tid\":4,\"ts\":1234.567,\"cat\":"
                                    "\"message\",\"name\":\"message\",\"id\":\"abc8\",\"bp\":\"e\"}"
                                    ",\n{\"ph\":\"B\",\"pid\":1,\"tid\":4,\"ts\":1234.567,\"cat\":"
                                    "\"actor\",\"name\":\"shop.sell\",\"args\":{\"from\":3,"
                                    "\"thread\":2}}\n]}\n"));
}

Test(chrome, names_are_escaped)
{
    weft_trace_event event = {.what = WEFT_TRACE_END, .actor = 1, .name = "x"};
    event.kind = "a\"b\\c\nd\xff\xc3\xa4";
    cr_assert_not_null(
        strstr(chrome_of(&event), "\"name\":\"a\\\"b\\\\c\\u000ad\\ufffd\xc3\xa4\"}"));
}

Test(chrome, a_long_name_is_cut_and_the_event_stays_whole)
{
    char name[2048];
    memset(name, '\x01', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    weft_trace_event event = {.what = WEFT_TRACE_SPAWN, .actor = UINT32_MAX, .at = UINT64_MAX};
    event.name = name;
    const char *text = chrome_of(&event);
    cr_assert_not_null(strstr(text, "\\u0001\"}},\n"));
    cr_assert_not_null(strstr(text, "\"name\":\"spawn\"}\n]}\n"));
}

Test(chrome, without_memory_nothing_is_written)
{
    weft_chrome *chrome = NULL;
    page.len = 0;
    cr_assert_eq(weft_chrome_create(NULL, &page, &chrome), WEFT_INVALID);
    for (unsigned n = 1; n <= 2; n++) {
        (void)wf_alloc_fail_at(n, 0);
        cr_assert_eq(weft_chrome_create(append, &page, &chrome), WEFT_NO_MEMORY);
        (void)wf_alloc_fail_at(0, 0);
    }
    cr_assert_null(chrome);
    cr_assert_eq(page.len, 0);
    weft_chrome_destroy(NULL);
}

static void *tell_many(void *chrome)
{
    weft_trace_event event = {.what = WEFT_TRACE_END, .actor = 1, .name = "x", .kind = "y"};
    for (unsigned i = 0; i < 100; i++) weft_chrome_event(chrome, &event);
    return NULL;
}

Test(chrome, threads_do_not_mix_their_events)
{
    weft_chrome *chrome = NULL;
    pthread_t threads[3];
    unsigned ends = 0;
    page.len = 0;
    cr_assert_eq(weft_chrome_create(append, &page, &chrome), WEFT_OK);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, tell_many, chrome), 0);
    for (unsigned i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    weft_chrome_destroy(chrome);
    for (const char *at = page.text; (at = strstr(at, ",\n{\"ph\":\"E\",")) != NULL; at++) ends++;
    cr_assert_eq(ends, 300);
}
