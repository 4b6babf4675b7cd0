/* SPDX-License-Identifier: Apache-2.0
 * net_mem.h - what the rooms of the in-memory network share. Everything here is
 * touched under the hub's lock, except what says otherwise. Called by: net_mem.c (the
 * table), net_mem_hub.c (connections and readiness), net_mem_sim.c (delays and faults). */
#ifndef WF_NET_MEM_H
#define WF_NET_MEM_H

#include "lock.h"
#include "net.h"
#include "sim.h"

#define MEM_PIPE_BYTES (256u << 10) /* in one direction, in flight included */
#define MEM_BACKLOG_MAX 128u
#define MEM_HOST_BYTES 64u
#define MEM_NAME_BYTES (MEM_HOST_BYTES + 8u) /* "host:65535" */

struct mem_net;

/* Bytes under way in one direction of a connection. */
struct mem_pipe {
    uint8_t *ring; /* MEM_PIPE_BYTES */
    size_t at, len;
    size_t flying;    /* in the simulator: sent, not arrived; len + flying <= the ring */
    weft_ns last_due; /* what is sent later does not arrive earlier */
    bool ended;       /* the writer closed, and everything before that has arrived */
};

struct mem_link {
    struct mem_pipe pipe[2]; /* [side]: written by that side */
    wf_sock *side[2];        /* NULL: closed */
    char host[2][MEM_HOST_BYTES];
    bool broken; /* as by a reset */
};

enum mem_state { MEM_LISTENER, MEM_DIALLING, MEM_OPEN, MEM_REFUSED };

struct weft_sock {
    struct mem_net *net;
    enum mem_state state;
    char name[MEM_NAME_BYTES]; /* a listener's address; a dial's goal */
    char from[MEM_NAME_BYTES]; /* whom an accepted connection comes from */
    struct mem_link *link;     /* MEM_OPEN */
    unsigned side;
    uint32_t interest;
    wf_net_ready ready;
    void *arg;
    bool queued; /* in the net's ready list */
    wf_sock *ready_prev, *ready_next;
    wf_sock *next, *prev;           /* the net's sockets */
    wf_sock *backlog, *backlog_end; /* a listener's connections, linked by backlog_next */
    wf_sock *backlog_next;
    uint32_t backlog_count;
};

/* Wakes the owner; one message per net, under way or not. The hub frees it, so that it
 * may outlive its net in a mailbox. */
struct mem_bell {
    weft_msg msg;
    wf_net_hub *hub;
    struct mem_net *net; /* NULL: the net is gone */
    bool ringing;
    struct mem_bell *next;
};

struct mem_net {
    wf_net net; /* first */
    wf_net_hub *hub;
    wf_sim *sim; /* NULL on the machine */
    weft_addr *owner;
    struct mem_bell *bell;
    char host[MEM_HOST_BYTES];
    bool killed; /* its process may be gone: its listeners may be taken over */
    wf_sock *socks;
    wf_sock *ready_first, *ready_last;
    struct mem_net *next;
};

struct mem_cut {
    struct mem_cut *next;
    char host[2][MEM_HOST_BYTES];
};

enum mem_event_type { MEM_DATA, MEM_END, MEM_DIAL };

struct mem_event {
    struct mem_event *next;
    enum mem_event_type type;
    weft_ns due;
    struct mem_link *link; /* DATA, END */
    unsigned from;         /* the side that sent it */
    wf_sock *sock;         /* DIAL */
    bool counted;          /* in its pipe's `flying`; a repeated segment is not */
    size_t len;
    uint8_t data[];
};

struct wf_net_hub {
    wf_lock *lock;
    struct mem_net *nets;
    struct mem_bell *bells;
    uint32_t next_port;
    void (*tap)(void *arg, const uint8_t *data, size_t len);
    void *tap_arg;
    /* The simulator only. */
    wf_sim *sim;
    wf_net_faults faults;
    struct mem_cut *cuts;
    struct mem_event *flying; /* by due, then by order of sending */
    struct mem_event *held;   /* arrived at a cut */
    weft_ns pump_at;          /* the earliest pump that is arranged; WEFT_NEVER: none */
};

#define MEM_PORT_FIRST 49152u /* for "host:0" and for diallers */

/* net_mem_hub.c */
wf_sock *wf_mem_sock_create(struct mem_net *net, enum mem_state state, wf_net_ready ready,
                            void *arg);
void wf_mem_sock_free(wf_net_hub *hub, wf_sock *s);
wf_sock *wf_mem_listener(wf_net_hub *hub, const char *name); /* NULL: nobody */
void wf_mem_net_free(wf_net_hub *hub, struct mem_net *net);
extern const weft_kind wf_mem_bell_kind;
void wf_mem_put(struct mem_pipe *p, const uint8_t *data, size_t len); /* it fits */
void wf_mem_wake(wf_sock *sock); /* tells the owner if it waits for what is there now */
/* Joins `dialler` to the listener of its goal's name, or refuses it. */
void wf_mem_join(wf_net_hub *hub, wf_sock *dialler);
void wf_mem_break(struct mem_link *link);
/* net_mem_sim.c */
bool wf_mem_cut_between(const wf_net_hub *hub, const char *a, const char *b);
weft_err wf_mem_fly(wf_net_hub *hub, struct mem_link *link, unsigned side, const uint8_t *data,
                    size_t len);
void wf_mem_fly_end(wf_net_hub *hub, struct mem_link *link, unsigned side);
weft_err wf_mem_fly_dial(wf_net_hub *hub, wf_sock *sock);
void wf_mem_forget_link(wf_net_hub *hub, const struct mem_link *link);
void wf_mem_forget_dial(wf_net_hub *hub, const wf_sock *sock);

#endif
