/* SPDX-License-Identifier: Apache-2.0
 * tree_session.h - the protocol of one tree with one peer, decided without doing.
 * wf_session_step takes what happened and says what to do about it; the engine
 * carries the one in and the other out. docs/wire.md tells the flow.
 * Called by: engine_*.c, tests. Never: I/O, clock, memory, threads. */
#ifndef WF_TREE_SESSION_H
#define WF_TREE_SESSION_H

#include "queue.h"
#include "reader.h"
#include "wire.h"

enum wf_session_phase {
    WF_S_LOOKING,     /* the reader tells what we have, and whether the peer may read it */
    WF_S_REGISTERING, /* transport is told of the stream */
    WF_S_OPENED,      /* OPEN is on its way */
    WF_S_RUNNING,     /* entries, in one direction at a time */
    WF_S_LIVE,        /* both have the union; pushes follow if we subscribed */
    WF_S_RAW,         /* entries by themselves (C01) */
    WF_S_ENDED
};
/* Where our sending of entries stands. */
enum wf_session_out {
    WF_OUT_UNDECIDED,
    WF_OUT_ASKING,  /* responder: the peer is to tell which of our tips it has */
    WF_OUT_WAITING, /* opener: decided once the peer's DONE was applied */
    WF_OUT_KNOWING, /* opener: the reader looks which of the peer's tips are here */
    WF_OUT_JOB,     /* the reader sends */
    WF_OUT_SENT,    /* all is on its way */
    WF_OUT_ROOT,    /* the reader reads the root for DONE or RESULT */
    WF_OUT_DONE     /* DONE was sent */
};

struct wf_session { /* written by wf_session_step alone once begun */
    weft_key peer;
    weft_id tree;
    uint32_t stream;
    uint32_t flags; /* WF_OPEN_* */
    bool opener;
    enum wf_session_phase phase;
    enum wf_session_out out;
    struct wf_summary heard; /* theirs as it came; theirs.tips is cut while ids are compared */
    struct wf_summary ours, theirs;  /* as told in OPEN and STATE */
    bool theirs_complete;            /* their list of tips, before it was cut to the known */
    bool theirs_known;               /* theirs.tips was cut to those that are here */
    bool asked;                      /* BITS about our tips came; those that the peer has: */
    uint32_t held_bits;              /*   one bit for each of our tips */
    enum wf_job_op job;              /* the running one */
    bool their_done;                 /* applied here */
    bool holes;                      /* parents were missing: no cursor may be trusted */
    bool wants_exact;                /* responder: a session that is not exact is of no use */
    enum wf_plan plan;               /* how we serve theirs */
    bool cursor_fits;                /* theirs names an arrival of ours */
    bool all_known;                  /* all that theirs told is here */
    bool matching;                   /* a page of ids is with the reader */
    bool live;                       /* the queue pushes */
    bool told;                       /* the result was sent or came */
    uint64_t sent, pushed, received; /* entries: by jobs, by live push, stored from there */
    uint64_t seen;                   /* bulk frames of the peer that were applied */
    uint64_t stored_by_done;         /* received when the peer's DONE was applied */
    struct wf_done their_done_frame;
    uint32_t round;   /* our newest barrier; 0: none yet */
    bool round_open;  /* it is not answered yet */
    uint32_t fetches; /* jobs that answer WANT */
    bool healing;     /* a WANT for damaged bodies of ours is open */
    bool deferred;    /* the session lacks one of them, and ends when the WANT is over */
};
#define WF_FETCHES_MAX 4u

enum wf_session_event_kind {
    WF_E_START,      /* opener: begin */
    WF_E_OPEN,       /* responder: open */
    WF_E_LOOKED,     /* err, ours        LOOK_SUMMARY */
    WF_E_PLANNED,    /* err, ours, plan, all_known, cursor_fits  LOOK_PLAN */
    WF_E_KNOWN,      /* err, bits        LOOK_KNOWN */
    WF_E_MATCHED,    /* err, bits        LOOK_MATCH */
    WF_E_ROOT,       /* err, ours        LOOK_SUMMARY for DONE and RESULT */
    WF_E_REGISTERED, /* err              transport and queue know the stream */
    WF_E_STATE,      /* state */
    WF_E_BITS,       /* bits */
    WF_E_IDS,        /* a page came */
    WF_E_WANT,       /* the peer lacks parents */
    WF_E_JOB_ENDED,  /* err, entries */
    WF_E_FETCHED,    /* err, entries */
    WF_E_APPLIED,    /* applied */
    WF_E_RESULT,     /* code, round */
    WF_E_RAW_SENT,   /* err, entries */
    WF_E_BARRIER,    /* a command wants one */
    WF_E_PUSHED,     /* err, entries     the queue sent our barrier; entries in all */
    WF_E_PEER_ENDED, /* code             ERR or CLOSE came */
    WF_E_STOP,       /* err, tell, code  connection lost, unrelated, replaced, shut down */
    WF_E_HEALING,    /* the peer was asked for damaged bodies */
    WF_E_HEAL_OVER,  /* err              OK: some of them are sound again; CORRUPT: none */
    WF_E_PROGRESS,   /* the peer is there */
    WF_E_TIMEOUT
};
struct wf_session_event {
    enum wf_session_event_kind kind;
    weft_err err;
    const struct wf_open *open;
    const struct wf_state *state;
    const struct wf_summary *ours;
    enum wf_plan plan;
    bool all_known, cursor_fits;
    const struct wf_bits *bits; /* KNOWN, MATCHED: count and bits; BITS: the frame */
    const struct wf_q_applied *applied;
    uint32_t code, round;
    bool tell;
    uint64_t entries;
};

enum wf_session_effect_kind {
    WF_X_LOOK_SUMMARY, /* answered by LOOKED */
    WF_X_LOOK_PLAN,    /* of theirs; answered by PLANNED */
    WF_X_LOOK_KNOWN,   /* of theirs; answered by KNOWN */
    WF_X_LOOK_MATCH,   /* of the page that came; answered by MATCHED */
    WF_X_LOOK_ROOT,    /* answered by ROOT */
    WF_X_AUTHORISED,   /* responder: from here on the peer may leave a trace */
    WF_X_REGISTER,     /* tell queue and transport; answered by REGISTERED */
    WF_X_THEIRS,       /* theirs are known: tell the queue what they have */
    WF_X_SEND_OPEN,
    WF_X_SEND_STATE,  /* plan */
    WF_X_SEND_BITS,   /* round = ref; the event's bits */
    WF_X_SEND_DONE,   /* ours or the event's root, clean */
    WF_X_SEND_RESULT, /* code */
    WF_X_SEND_WANT,   /* the event's missing ids */
    WF_X_JOB,         /* s->job with theirs; answered by JOB_ENDED */
    WF_X_JOB_BITS,    /* the event's bits */
    WF_X_FETCH,       /* what the event's WANT names; answered by FETCHED */
    WF_X_RAW,         /* have the queue send; answered by RAW_SENT */
    WF_X_LIVE,        /* have the queue push from ours */
    WF_X_BARRIER,     /* have the queue send DONE{round}; `ours`: answered by PUSHED */
    WF_X_EXACT,       /* on: remember that the next session is exact; or forget it */
    WF_X_SYNCED,      /* both have what both had; code */
    WF_X_ROUND,       /* our barrier was answered */
    WF_X_ENDED        /* err; say how to the peer if tell; reopen exactly if again */
};
struct wf_session_effect {
    enum wf_session_effect_kind kind;
    weft_err err;
    enum wf_plan plan;
    uint32_t code, round;
    bool on, own, clean;
    bool tell;     /* ENDED: the peer is still there and does not know */
    unsigned wire; /* ENDED: the code to tell */
    bool again;    /* ENDED: open an exact session at once */
    bool penalty;  /* ENDED: the peer broke the protocol: close the connection */
    bool healed;   /* ENDED: for want of a body that is sound now: begin anew */
};
#define WF_EFFECTS_MAX 6u
struct wf_session_effects {
    uint32_t count;
    struct wf_session_effect items[WF_EFFECTS_MAX];
};

/* A session before its first event. */
void wf_session_init(struct wf_session *s, bool opener, uint32_t stream, const weft_key *peer,
                     const weft_id *tree, uint32_t flags);
/* Decides. `fx` is emptied first. After WF_X_ENDED every event does nothing. */
void wf_session_step(struct wf_session *s, const struct wf_session_event *event,
                     struct wf_session_effects *fx);
/* True while somebody owes us something: a deadline applies. */
bool wf_session_waits(const struct wf_session *s);
/* The cursor conditions under which what came from the peer need not go back to it. */
bool wf_session_skips_source(const struct wf_session *s);

#endif
