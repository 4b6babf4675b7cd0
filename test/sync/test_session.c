/* SPDX-License-Identifier: Apache-2.0
 * test_session.c - the brain of a session as traces: what happened, what it decides. */
#include <criterion/criterion.h>
#include <string.h>

#include "tree_session.h"

static const char *const names[] = {[WF_X_LOOK_SUMMARY] = "look-summary",
                                    [WF_X_LOOK_PLAN] = "look-plan",
                                    [WF_X_LOOK_KNOWN] = "look-known",
                                    [WF_X_LOOK_MATCH] = "look-match",
                                    [WF_X_LOOK_ROOT] = "look-root",
                                    [WF_X_AUTHORISED] = "authorised",
                                    [WF_X_REGISTER] = "register",
                                    [WF_X_THEIRS] = "theirs",
                                    [WF_X_SEND_OPEN] = "OPEN",
                                    [WF_X_SEND_STATE] = "STATE",
                                    [WF_X_SEND_BITS] = "BITS",
                                    [WF_X_SEND_DONE] = "DONE",
                                    [WF_X_SEND_RESULT] = "RESULT",
                                    [WF_X_SEND_WANT] = "WANT",
                                    [WF_X_JOB] = "job",
                                    [WF_X_JOB_BITS] = "job-bits",
                                    [WF_X_FETCH] = "fetch",
                                    [WF_X_RAW] = "raw",
                                    [WF_X_LIVE] = "live",
                                    [WF_X_BARRIER] = "barrier",
                                    [WF_X_EXACT] = "exact",
                                    [WF_X_SYNCED] = "synced",
                                    [WF_X_ROUND] = "round",
                                    [WF_X_ENDED] = "ended"};

struct rig {
    struct wf_session s;
    struct wf_session_effects fx;
    struct wf_summary ours, theirs;
    char said[256];
};

/* What the session decides, in order. */
static const char *step(struct rig *r, struct wf_session_event ev)
{
    wf_session_step(&r->s, &ev, &r->fx);
    r->said[0] = '\0';
    for (uint32_t i = 0; i < r->fx.count; i++) {
        if (i > 0) strcat(r->said, " ");
        strcat(r->said, names[r->fx.items[i].kind]);
    }
    return r->said;
}
#define SAYS(text, ...)                                                                    \
    cr_expect_str_eq(step(r, (struct wf_session_event){__VA_ARGS__}), text, "line %d: %s", \
                     __LINE__, r->said)

static const struct wf_session_effect *last(const struct rig *r)
{
    return &r->fx.items[r->fx.count - 1];
}

static const uint8_t all_set[] = {0xff, 0xff, 0xff, 0xff}, none_set[] = {0, 0, 0, 0};

static struct rig make(bool opener, uint32_t flags)
{
    struct rig r;
    weft_key peer = {{1}};
    weft_id tree = {{2}};
    memset(&r, 0, sizeof r);
    r.ours = (struct wf_summary){.count = 10,
                                 .seq = 10,
                                 .epoch = {1},
                                 .tips_complete = true,
                                 .tips_count = 2,
                                 .tip_bytes = 32};
    r.theirs = (struct wf_summary){.count = 9,
                                   .seq = 9,
                                   .epoch = {2},
                                   .tips_complete = true,
                                   .tips_count = 2,
                                   .tip_bytes = flags & WF_OPEN_EXACT ? 32 : 8};
    wf_session_init(&r.s, opener, opener ? 1 : 2, &peer, &tree, flags);
    return r;
}

/* An opener whose OPEN is on its way. */
static struct rig opened(uint32_t flags)
{
    struct rig rig = make(true, flags), *r = &rig;
    SAYS("look-summary", .kind = WF_E_START);
    SAYS("register", .kind = WF_E_LOOKED, .ours = &r->ours);
    SAYS("OPEN", .kind = WF_E_REGISTERED);
    return rig;
}

static struct wf_state state_of(const struct rig *r, enum wf_plan plan)
{
    return (struct wf_state){.stream = 1, .flags = r->s.flags, .plan = plan, .own = r->theirs};
}

/* A responder that has planned. */
static struct rig planned(uint32_t flags, enum wf_plan plan, bool all_known, const char *then)
{
    struct rig rig = make(false, flags), *r = &rig;
    struct wf_open open = {.stream = 2, .flags = flags, .own = r->theirs};
    SAYS("look-plan", .kind = WF_E_OPEN, .open = &open);
    SAYS("authorised register", .kind = WF_E_PLANNED, .ours = &r->ours, .plan = plan,
         .all_known = all_known);
    cr_expect_str_eq(step(r, (struct wf_session_event){.kind = WF_E_REGISTERED}), then, "%s",
                     r->said);
    return rig;
}

static struct wf_q_applied done_of(uint32_t round, uint64_t stored)
{
    return (struct wf_q_applied){.type = WF_F_DONE,
                                 .n = 1,
                                 .stored_in_stream = stored,
                                 .done = {.round = round, .count = 10, .clean = true}};
}

#define SUB WF_OPEN_SUBSCRIBE

/* -- The responder ------------------------------------------------------------------- */

Test(session, equal_roots_need_one_round_trip)
{
    struct rig rig = planned(SUB, WF_PLAN_EQUAL, true, "STATE DONE live"), *r = &rig;
    struct wf_q_applied done = done_of(1, 0);
    SAYS("look-root", .kind = WF_E_APPLIED, .applied = &done);
    SAYS("RESULT synced", .kind = WF_E_ROOT, .ours = &r->ours);
    cr_expect_eq(r->fx.items[0].code, WF_RESULT_EQUAL);
    cr_expect_eq(r->s.phase, WF_S_LIVE);
}

Test(session, a_plan_that_can_be_served_begins_at_once)
{
    static const struct {
        enum wf_plan plan;
        enum wf_job_op job;
    } rows[] = {{WF_PLAN_CURSOR, WF_JOB_CURSOR},
                {WF_PLAN_CLOSURE, WF_JOB_CLOSURE},
                {WF_PLAN_RESUME, WF_JOB_RESUME}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig rig = planned(SUB, rows[i].plan, true, "STATE job"), *r = &rig;
        cr_expect_eq(r->s.job, rows[i].job);
        SAYS("DONE live", .kind = WF_E_JOB_ENDED, .entries = 5);
        cr_expect_eq(r->s.sent, 5);
    }
}

Test(session, pushing_waits_for_what_the_opener_told)
{
    struct rig rig = planned(SUB, WF_PLAN_CURSOR, false, "STATE job"), *r = &rig;
    struct wf_q_applied done = done_of(1, 0);
    SAYS("DONE", .kind = WF_E_JOB_ENDED);
    SAYS("look-root", .kind = WF_E_APPLIED, .applied = &done);
    SAYS("RESULT live synced", .kind = WF_E_ROOT, .ours = &r->ours);
}

Test(session, asked_and_all_there_sends_nothing)
{
    struct rig rig = planned(SUB, WF_PLAN_ASK, false, "STATE look-known"), *r = &rig;
    struct wf_bits bits = {.count = 2, .bits = all_set}, known = {.count = 2, .bits = none_set};
    SAYS("DONE", .kind = WF_E_BITS, .bits = &bits);
    SAYS("", .kind = WF_E_KNOWN, .bits = &known);
}

Test(session, asked_and_something_missing_lists_ids)
{
    struct rig rig = planned(SUB, WF_PLAN_ASK, false, "STATE look-known"), *r = &rig;
    const uint8_t one[] = {2}, other[] = {1};
    struct wf_bits bits = {.count = 2, .bits = one}, known = {.count = 2, .bits = other};
    memset(r->s.theirs.tips, 0x77, 8);
    memset(r->s.ours.tips + 32, 0x55, 32);
    SAYS("", .kind = WF_E_BITS, .bits = &bits);
    SAYS("job", .kind = WF_E_KNOWN, .bits = &known);
    cr_expect_eq(r->s.job, WF_JOB_IDS);
    cr_assert_eq(r->s.theirs.tips_count, 2, "one of theirs, one of ours");
    cr_expect_eq(r->s.theirs.tips[0], 0x77);
    cr_expect_eq(r->s.theirs.tips[8], 0x55);
    struct wf_bits page = {.ref = 1, .count = 9, .bits = all_set};
    SAYS("job-bits", .kind = WF_E_BITS, .bits = &page);
    SAYS("DONE", .kind = WF_E_JOB_ENDED);
}

Test(session, comparing_ids_does_not_forget_what_the_peer_told)
{
    struct rig rig = planned(SUB, WF_PLAN_ASK, false, "STATE look-known"), *r = &rig;
    const uint8_t none[] = {0};
    struct wf_bits bits = {.count = 2, .bits = none};
    memset(r->s.heard.tips, 0x77, 8);
    SAYS("", .kind = WF_E_BITS, .bits = &bits);
    SAYS("job", .kind = WF_E_KNOWN, .bits = &bits);
    cr_expect_eq(r->s.theirs.tips_count, 0);
    cr_expect_eq(r->s.heard.tips_count, 2, "live push passes over what is below them");
    cr_expect_eq(r->s.heard.tips[0], 0x77);
}

Test(session, a_difference_too_large_for_memory_is_listed)
{
    struct rig rig = planned(SUB, WF_PLAN_CLOSURE, true, "STATE job"), *r = &rig;
    SAYS("job", .kind = WF_E_JOB_ENDED, .err = WEFT_LIMIT);
    cr_expect_eq(r->s.job, WF_JOB_IDS);
}

Test(session, a_forbidden_tree_is_answered_before_any_trace)
{
    struct rig rig = make(false, SUB), *r = &rig;
    struct wf_open open = {.own = r->theirs};
    SAYS("look-plan", .kind = WF_E_OPEN, .open = &open);
    SAYS("ended", .kind = WF_E_PLANNED, .err = WEFT_TREE);
    cr_expect(last(r)->tell);
    cr_expect_eq(last(r)->wire, WF_W_TREE);
}

Test(session, a_reader_who_lost_its_right_learns_no_more_than_a_stranger)
{
    struct rig rig = planned(SUB, WF_PLAN_CURSOR, true, "STATE job"), *r = &rig;
    SAYS("ended", .kind = WF_E_JOB_ENDED, .err = WEFT_FORBIDDEN);
    cr_expect_eq(last(r)->wire, WF_W_TREE);
}

/* -- The opener ---------------------------------------------------------------------- */

Test(session, an_opener_serves_at_once_what_it_can)
{
    struct rig rig = opened(SUB), *r = &rig;
    struct wf_state state = state_of(r, WF_PLAN_CURSOR);
    struct wf_q_applied done = done_of(1, 0);
    SAYS("theirs look-plan", .kind = WF_E_STATE, .state = &state);
    SAYS("job", .kind = WF_E_PLANNED, .plan = WF_PLAN_CURSOR, .ours = &r->ours);
    SAYS("", .kind = WF_E_APPLIED, .applied = &done);
    SAYS("look-root", .kind = WF_E_JOB_ENDED);
    SAYS("DONE live", .kind = WF_E_ROOT, .ours = &r->ours);
    SAYS("synced", .kind = WF_E_RESULT, .round = 1, .code = WF_RESULT_EQUAL);
}

Test(session, an_opener_that_cannot_tell_waits_for_the_peers_done)
{
    struct rig rig = opened(SUB), *r = &rig;
    struct wf_state state = state_of(r, WF_PLAN_CURSOR);
    struct wf_q_applied done = done_of(1, 4);
    SAYS("theirs look-plan", .kind = WF_E_STATE, .state = &state);
    SAYS("", .kind = WF_E_PLANNED, .plan = WF_PLAN_ASK, .ours = &r->ours);
    SAYS("job", .kind = WF_E_APPLIED, .applied = &done);
    cr_expect_eq(r->s.job, WF_JOB_CLOSURE, "all that the peer told is here now");
}

Test(session, an_opener_lists_ids_when_the_peer_has_many_tips)
{
    struct rig rig = opened(SUB), *r = &rig;
    r->theirs.tips_complete = false;
    struct wf_state state = state_of(r, WF_PLAN_CURSOR);
    struct wf_q_applied done = done_of(1, 4);
    struct wf_bits known = {.count = 2, .bits = all_set}, page = {.ref = 1};
    SAYS("theirs look-plan", .kind = WF_E_STATE, .state = &state);
    SAYS("", .kind = WF_E_PLANNED, .plan = WF_PLAN_ASK, .ours = &r->ours);
    SAYS("look-known", .kind = WF_E_APPLIED, .applied = &done);
    SAYS("job", .kind = WF_E_KNOWN, .bits = &known);
    cr_expect_eq(r->s.job, WF_JOB_IDS);
    SAYS("job-bits", .kind = WF_E_BITS, .bits = &page);
}

Test(session, an_opener_answers_what_it_is_asked)
{
    struct rig rig = opened(SUB), *r = &rig;
    struct wf_state state = state_of(r, WF_PLAN_ASK);
    struct wf_bits known = {.count = 2, .bits = none_set}, match = {.ref = 7, .count = 3};
    SAYS("theirs look-known look-plan", .kind = WF_E_STATE, .state = &state);
    SAYS("BITS", .kind = WF_E_KNOWN, .bits = &known);
    cr_expect_eq(last(r)->round, 0);
    SAYS("look-match", .kind = WF_E_IDS);
    SAYS("BITS", .kind = WF_E_MATCHED, .bits = &match);
    cr_expect_eq(last(r)->round, 7);
}

Test(session, a_state_with_equal_roots_leaves_the_opener_nothing_to_do)
{
    struct rig rig = opened(SUB), *r = &rig;
    struct wf_state state = state_of(r, WF_PLAN_EQUAL);
    struct wf_q_applied done = done_of(1, 0);
    SAYS("theirs", .kind = WF_E_STATE, .state = &state);
    SAYS("look-root", .kind = WF_E_APPLIED, .applied = &done);
}

Test(session, what_is_not_followed_here_is_never_opened)
{
    struct rig rig = make(true, SUB), *r = &rig;
    SAYS("look-summary", .kind = WF_E_START);
    SAYS("ended", .kind = WF_E_LOOKED, .err = WEFT_TREE);
    cr_expect_not(last(r)->tell);
}

/* -- The comparison ------------------------------------------------------------------ */

static struct rig compared(uint32_t flags, bool clean, bool same, uint64_t outside,
                           const char *says)
{
    struct rig rig = planned(flags, WF_PLAN_EQUAL, true,
                             flags & SUB ? "STATE DONE live" : "STATE DONE"),
               *r = &rig;
    struct wf_q_applied done = done_of(1, 3);
    struct wf_summary now = r->ours;
    done.done.clean = clean;
    now.seq += 3 + outside;
    if (!same) now.root[0] ^= 1;
    SAYS("look-root", .kind = WF_E_APPLIED, .applied = &done);
    cr_expect_str_eq(step(r, (struct wf_session_event){.kind = WF_E_ROOT, .ours = &now}), says,
                     "%s", r->said);
    return rig;
}

Test(session, only_clean_sides_are_compared)
{
    static const struct {
        bool clean, same;
        uint64_t outside;
        uint32_t code;
        const char *says;
    } rows[] = {{true, true, 0, WF_RESULT_EQUAL, "RESULT synced"},
                {true, false, 0, WF_RESULT_DIFFERENT, "RESULT exact"},
                {false, false, 0, WF_RESULT_UNCLEAN, "RESULT synced"},
                {true, false, 1, WF_RESULT_UNCLEAN, "RESULT synced"},
                {false, true, 5, WF_RESULT_UNCLEAN, "RESULT synced"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig rig = compared(SUB, rows[i].clean, rows[i].same, rows[i].outside, rows[i].says);
        cr_expect_eq(rig.fx.items[0].code, rows[i].code, "row %zu", i);
    }
}

Test(session, a_difference_is_followed_by_an_exact_session_once)
{
    for (uint32_t flags = SUB; flags <= (SUB | WF_OPEN_EXACT); flags += WF_OPEN_EXACT) {
        struct rig rig = opened(flags), *r = &rig;
        struct wf_state state = state_of(r, WF_PLAN_EQUAL);
        struct wf_q_applied done = done_of(1, 0);
        SAYS("theirs", .kind = WF_E_STATE, .state = &state);
        SAYS("look-root", .kind = WF_E_APPLIED, .applied = &done);
        SAYS("DONE live", .kind = WF_E_ROOT, .ours = &r->ours);
        SAYS("exact ended", .kind = WF_E_RESULT, .round = 1, .code = WF_RESULT_DIFFERENT);
        cr_expect(r->fx.items[0].on);
        cr_expect_eq(last(r)->again, flags == SUB);
    }
}

Test(session, an_exact_session_that_ends_well_ends_the_exact_mode)
{
    struct rig rig = compared(SUB | WF_OPEN_EXACT, true, true, 0, "RESULT exact synced");
    cr_expect_not(rig.fx.items[1].on);
}

Test(session, without_subscription_the_opener_closes)
{
    struct rig rig = opened(0), *r = &rig;
    struct wf_state state = state_of(r, WF_PLAN_EQUAL);
    struct wf_q_applied done = done_of(1, 0);
    SAYS("theirs", .kind = WF_E_STATE, .state = &state);
    SAYS("look-root", .kind = WF_E_APPLIED, .applied = &done);
    SAYS("DONE", .kind = WF_E_ROOT, .ours = &r->ours);
    SAYS("synced ended", .kind = WF_E_RESULT, .round = 1);
    cr_expect_eq(last(r)->err, WEFT_OK);
    cr_expect(last(r)->tell);
    struct rig peer = compared(0, true, true, 0, "RESULT synced");
    r = &peer;
    cr_expect(wf_session_waits(&r->s), "the CLOSE has a deadline");
    SAYS("ended", .kind = WF_E_PEER_ENDED, .code = WF_W_OK);
    cr_expect_eq(last(r)->err, WEFT_OK);
}

Test(session, a_peer_may_decline_to_subscribe)
{
    struct rig rig = opened(SUB), *r = &rig;
    struct wf_state state = state_of(r, WF_PLAN_EQUAL);
    struct wf_q_applied done = done_of(1, 0);
    state.flags = 0;
    SAYS("theirs", .kind = WF_E_STATE, .state = &state);
    SAYS("look-root", .kind = WF_E_APPLIED, .applied = &done);
    SAYS("DONE", .kind = WF_E_ROOT, .ours = &r->ours);
}

/* -- Restored from a backup ---------------------------------------------------------- */

Test(session, a_cursor_that_does_not_fit_tells_that_we_lost_something)
{
    struct rig rig = make(false, SUB), *r = &rig;
    r->theirs.has_cursor = true;
    r->theirs.cursor = (wf_mark){.epoch = {1}, .seq = 50};
    struct wf_open open = {.own = r->theirs};
    SAYS("look-plan", .kind = WF_E_OPEN, .open = &open);
    SAYS("authorised exact ended", .kind = WF_E_PLANNED, .ours = &r->ours, .plan = WF_PLAN_CLOSURE);
    cr_expect_eq(last(r)->wire, WF_W_EPOCH);
    struct rig other = opened(SUB);
    r = &other;
    SAYS("exact ended", .kind = WF_E_PEER_ENDED, .code = WF_W_EPOCH);
    cr_expect(last(r)->again, "the opener comes again, exactly");
}

Test(session, a_cursor_from_when_we_were_empty_tells_nothing)
{
    struct rig rig = make(false, SUB), *r = &rig;
    r->theirs.has_cursor = true;
    r->theirs.cursor = (wf_mark){.epoch = {1}, .seq = 0};
    struct wf_open open = {.own = r->theirs};
    SAYS("look-plan", .kind = WF_E_OPEN, .open = &open);
    SAYS("authorised register", .kind = WF_E_PLANNED, .ours = &r->ours, .plan = WF_PLAN_ASK);
}

Test(session, a_peer_that_is_behind_our_mark_gets_its_entries_back)
{
    static const struct {
        uint64_t mark, seq;
        uint8_t epoch;
        bool partial, skips;
    } rows[] = {{9, 9, 2, false, true},
                {10, 9, 2, false, false},
                {5, 9, 3, false, false},
                {5, 9, 2, true, true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig rig = make(false, SUB);
        rig.s.ours = rig.ours;
        rig.s.theirs = rig.theirs;
        rig.s.theirs.seq = rows[i].seq;
        rig.s.ours.has_cursor = true;
        rig.s.ours.cursor = (wf_mark){
            .epoch = {rows[i].epoch}, .seq = rows[i].mark, .partial = rows[i].partial};
        cr_expect_eq(wf_session_skips_source(&rig.s), rows[i].skips, "row %zu", i);
    }
}

Test(session, missing_parents_are_wanted_and_then_all_is_looked_at_exactly)
{
    struct rig rig = opened(SUB), *r = &rig;
    struct wf_state state = state_of(r, WF_PLAN_CURSOR);
    weft_id missing = {{1}};
    struct wf_q_applied hole = {
        .type = WF_F_ENTRIES, .n = 1, .err = WEFT_PENDING, .missing_count = 1, .missing = &missing};
    struct wf_q_applied done = done_of(1, 4);
    SAYS("theirs look-plan", .kind = WF_E_STATE, .state = &state);
    SAYS("job", .kind = WF_E_PLANNED, .plan = WF_PLAN_CURSOR, .ours = &r->ours);
    SAYS("WANT", .kind = WF_E_APPLIED, .applied = &hole);
    hole.err = WEFT_OK; /* the answer is raw, and has lacked parents of its own */
    SAYS("WANT", .kind = WF_E_APPLIED, .applied = &hole);
    SAYS("exact ended", .kind = WF_E_APPLIED, .applied = &done);
    cr_expect_eq(last(r)->wire, WF_W_EPOCH);
}

/* -- Live ---------------------------------------------------------------------------- */

Test(session, barriers_of_both_sides_have_their_own_numbers)
{
    struct rig rig = compared(SUB, true, true, 0, "RESULT synced"), *r = &rig;
    struct wf_q_applied theirs = done_of(2, 3), answer = done_of(3, 3);
    SAYS("barrier", .kind = WF_E_BARRIER);
    cr_expect_eq(last(r)->round, 3, "the responder's are odd");
    SAYS("", .kind = WF_E_BARRIER);
    SAYS("barrier", .kind = WF_E_APPLIED, .applied = &theirs);
    cr_expect_eq(last(r)->round, 2, "the peer's is answered");
    cr_expect(wf_session_waits(&r->s));
    SAYS("", .kind = WF_E_PUSHED, .entries = 6);
    SAYS("round", .kind = WF_E_APPLIED, .applied = &answer);
    cr_expect_not(wf_session_waits(&r->s));
    SAYS("barrier", .kind = WF_E_BARRIER);
    cr_expect_eq(last(r)->round, 5);
}

Test(session, a_want_is_answered_by_few_fetches_at_once)
{
    struct rig rig = compared(SUB, true, true, 0, "RESULT synced"), *r = &rig;
    for (unsigned i = 0; i < WF_FETCHES_MAX; i++) SAYS("fetch", .kind = WF_E_WANT);
    SAYS("", .kind = WF_E_WANT);
    SAYS("", .kind = WF_E_FETCHED, .entries = 2);
    SAYS("fetch", .kind = WF_E_WANT);
}

/* -- Raw ----------------------------------------------------------------------------- */

Test(session, raw_entries_are_only_authorised)
{
    struct rig rig = opened(WF_OPEN_RAW), *r = &rig;
    struct wf_state state = {.flags = WF_OPEN_RAW, .plan = WF_PLAN_RAW};
    SAYS("raw", .kind = WF_E_STATE, .state = &state);
    SAYS("ended", .kind = WF_E_RAW_SENT, .err = WEFT_PENDING, .entries = 1);
    cr_expect_eq(last(r)->err, WEFT_PENDING);
    cr_expect_eq(last(r)->wire, WF_W_OK);
    struct rig peer = make(false, WF_OPEN_RAW);
    struct wf_open open = {.flags = WF_OPEN_RAW};
    r = &peer;
    SAYS("look-summary", .kind = WF_E_OPEN, .open = &open);
    SAYS("authorised register", .kind = WF_E_LOOKED, .ours = &r->ours);
    SAYS("STATE", .kind = WF_E_REGISTERED);
    struct wf_q_applied pending = {.type = WF_F_ENTRIES, .err = WEFT_PENDING};
    SAYS("", .kind = WF_E_APPLIED, .applied = &pending);
    SAYS("ended", .kind = WF_E_PEER_ENDED, .code = WF_W_OK);
}

/* -- Ends ---------------------------------------------------------------------------- */

Test(session, a_silent_peer_is_left_after_the_deadline_unless_nothing_is_owed)
{
    struct rig rig = opened(SUB), *r = &rig;
    SAYS("ended", .kind = WF_E_TIMEOUT);
    cr_expect_eq(last(r)->err, WEFT_TIMED_OUT);
    cr_expect(last(r)->tell);
    struct rig live = compared(SUB, true, true, 0, "RESULT synced");
    r = &live;
    SAYS("", .kind = WF_E_TIMEOUT);
}

Test(session, after_its_end_nothing_is_decided)
{
    struct rig rig = opened(SUB), *r = &rig;
    struct wf_state state = state_of(r, WF_PLAN_EQUAL);
    SAYS("ended", .kind = WF_E_STOP, .err = WEFT_CLOSED);
    cr_expect_not(last(r)->tell);
    SAYS("", .kind = WF_E_STATE, .state = &state);
    SAYS("", .kind = WF_E_TIMEOUT);
    SAYS("", .kind = WF_E_JOB_ENDED);
}

Test(session, a_quiet_close_before_the_end_is_no_failure_of_the_peer)
{
    struct rig rig = opened(SUB), *r = &rig;
    SAYS("ended", .kind = WF_E_PEER_ENDED, .code = WF_W_OK);
    cr_expect_eq(last(r)->err, WEFT_CANCELED);
    cr_expect_not(last(r)->penalty);
}

Test(session, an_error_of_the_peer_becomes_ours)
{
    struct rig rig = opened(SUB), *r = &rig;
    SAYS("ended", .kind = WF_E_PEER_ENDED, .code = WF_W_TREE);
    cr_expect_eq(last(r)->err, WEFT_TREE);
}

/* -- Out of turn --------------------------------------------------------------------- */

static void refused(struct rig *r, struct wf_session_event ev, const char *what)
{
    cr_expect_str_eq(step(r, ev), "ended", "%s: %s", what, r->said);
    cr_expect(r->fx.count == 1 && last(r)->penalty, "%s", what);
}

Test(session, frames_out_of_turn_cost_the_connection)
{
    struct wf_bits bits = {.ref = 1, .count = 2, .bits = all_set};
    struct wf_bits tips = {.ref = 0, .count = 2, .bits = all_set};
    struct wf_bits wrong = {.ref = 0, .count = 1, .bits = all_set};
    struct wf_q_applied first = done_of(1, 0), none = done_of(0, 0), later = done_of(2, 0);
    struct wf_q_applied bad = {.type = WF_F_ENTRIES, .err = WEFT_BAD_SIGNATURE};
    struct rig r = opened(SUB);
    struct wf_state exact = state_of(&r, WF_PLAN_EQUAL), raw = state_of(&r, WF_PLAN_RAW);
    exact.flags |= WF_OPEN_EXACT;
    refused(&r, (struct wf_session_event){.kind = WF_E_STATE, .state = &exact}, "exact STATE");
    r = opened(SUB);
    refused(&r, (struct wf_session_event){.kind = WF_E_STATE, .state = &raw}, "raw STATE");
    r = opened(SUB);
    refused(&r, (struct wf_session_event){.kind = WF_E_IDS}, "IDS before STATE");
    r = opened(SUB);
    refused(&r, (struct wf_session_event){.kind = WF_E_BITS, .bits = &tips}, "BITS");
    r = opened(SUB);
    refused(&r, (struct wf_session_event){.kind = WF_E_RESULT, .round = 1}, "RESULT");
    r = planned(SUB, WF_PLAN_CURSOR, true, "STATE job");
    refused(&r, (struct wf_session_event){.kind = WF_E_APPLIED, .applied = &first}, "early DONE");
    r = planned(SUB, WF_PLAN_CURSOR, true, "STATE job");
    refused(&r, (struct wf_session_event){.kind = WF_E_BITS, .bits = &bits}, "BITS of no page");
    r = planned(SUB, WF_PLAN_ASK, false, "STATE look-known");
    refused(&r, (struct wf_session_event){.kind = WF_E_BITS, .bits = &wrong}, "wrong count");
    r = planned(SUB, WF_PLAN_EQUAL, true, "STATE DONE live");
    refused(&r, (struct wf_session_event){.kind = WF_E_APPLIED, .applied = &later}, "round 2");
    r = planned(SUB, WF_PLAN_EQUAL, true, "STATE DONE live");
    refused(&r, (struct wf_session_event){.kind = WF_E_APPLIED, .applied = &none}, "round 0");
    r = planned(SUB, WF_PLAN_EQUAL, true, "STATE DONE live");
    refused(&r, (struct wf_session_event){.kind = WF_E_APPLIED, .applied = &bad}, "bad entry");
    r = planned(SUB, WF_PLAN_EQUAL, true, "STATE DONE live");
    (void)step(&r, (struct wf_session_event){.kind = WF_E_IDS});
    refused(&r, (struct wf_session_event){.kind = WF_E_IDS}, "a second page at once");
}
