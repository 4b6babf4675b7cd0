/* SPDX-License-Identifier: Apache-2.0
 * peer_weft.c - weft's actors in the cases of the mailbox benchmark: options, places.
 * Called by: driver.py, as the other peers. May touch: weft's public headers, bench.h.
 * Never: anything that a user of the library could not do.
 *
 *     peer-weft CASE --producers P --messages N --name NAME [--place own|parent|group]
 *               [--workers N] [--mailbox N] [--batch N] [--message heap|own]
 *               [--client actor|thread]
 *
 * --place own: every actor on a thread of its own; the senders of throughput and fanin-burst are
 * plain threads. parent: all are actors on the thread of one parent. group: all are actors of a
 * group of --workers threads. --message heap: each message is a new one from the library's pool,
 * freed by its receiver; own: it is a part of its sender's memory, used again once its receiver
 * has handled it. --mailbox 0: unbounded (default 1024, the library's). --batch: senders stage so
 * many in an outbox. --client thread: in ask the clients are plain threads that wait in
 * weft_call. */
#include "peer_weft.h"

#include <weft/group.h>
#include <weft/supervise.h>

struct peer peer;
const weft_kind heap_item = {1, "item", sizeof(struct item), weft_free_msg};
const weft_kind own_item = {2, "own item", sizeof(struct item), NULL};
const weft_kind go_kind = {3, "go", sizeof(weft_msg), weft_free_msg};

static weft_rt *rt;
static weft_group *group;

void check(weft_err err, const char *what)
{
    if (err != WEFT_OK) fprintf(stderr, "%s\n", weft_strerror(err));
    if (err != WEFT_OK) die(what);
}

weft_addr *spawn(weft_self *host, weft_spec spec)
{
    weft_addr *addr = NULL;
    if (host != NULL) {
        spec.place = WEFT_PLACE_PARENT;
        check(weft_spawn_child(host, &spec, &addr), "weft_spawn_child");
        return addr;
    }
    spec.place = group == NULL ? WEFT_PLACE_THREAD : WEFT_PLACE_GROUP;
    spec.group = group;
    check(weft_spawn(rt, &spec, &addr), "weft_spawn");
    return addr;
}

void send_go(weft_addr *to)
{
    weft_msg *msg = weft_new(&go_kind);
    if (msg == NULL) die("weft_new");
    check(weft_send(to, msg), "weft_send");
}

static weft_err host_init(weft_self *self, void *state, void *arg)
{
    (void)state, (void)arg;
    peer.setup(self);
    return WEFT_OK;
}

static weft_verdict host_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self, (void)state, (void)msg;
    return WEFT_DONE;
}

static void run(void)
{
    weft_addr *host = NULL;
    weft_group_spec workers = {.name = "peer", .workers = peer.workers};
    weft_spec parent = {.name = "host", .init = host_init, .handle = host_handle};
    check(weft_rt_create(&rt), "weft_rt_create");
    if (peer.place == PLACE_GROUP)
        check(weft_group_create(rt, &workers, &group), "weft_group_create");
    if (peer.place == PLACE_PARENT) check(weft_spawn(rt, &parent, &host), "weft_spawn");
    else peer.setup(NULL);
    pause_ns(20000000); /* everybody is asleep by now */
    peer.run();
    weft_addr_put(host);
    check(weft_rt_stop(rt, WEFT_NEVER), "weft_rt_stop");
    check(weft_group_destroy(group), "weft_group_destroy");
    check(weft_rt_destroy(rt), "weft_rt_destroy");
    free(peer.lat);
}

static bool place_of(const char *text)
{
    if (strcmp(text, "own") == 0) peer.place = PLACE_OWN;
    else if (strcmp(text, "parent") == 0) peer.place = PLACE_PARENT;
    else if (strcmp(text, "group") == 0) peer.place = PLACE_GROUP;
    else return false;
    return true;
}

static void own_options(int argc, char **argv)
{
    peer.mailbox = WEFT_MAILBOX_DEFAULT;
    peer.workers = 1;
    for (int i = 2; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        uint32_t number = (uint32_t)strtoul(value, NULL, 10);
        if (strcmp(name, "--place") == 0 && !place_of(value)) die("unknown place");
        if (strcmp(name, "--workers") == 0) peer.workers = number;
        if (strcmp(name, "--mailbox") == 0) peer.mailbox = number;
        if (strcmp(name, "--batch") == 0) peer.batch = number;
        if (strcmp(name, "--message") == 0) peer.own_messages = strcmp(value, "own") == 0;
        if (strcmp(name, "--client") == 0) peer.client_threads = strcmp(value, "thread") == 0;
    }
    if (peer.mailbox == 0) peer.mailbox = WEFT_UNBOUNDED;
    peer.producer_actors = peer.place != PLACE_OWN;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*setup)(weft_self *);
        void (*run)(void);
        bool latencies;
    } cases[] = {{"throughput", flow_setup, flow_run, false},
                 {"fanin-burst", flow_setup, flow_run, true},
                 {"pingpong", pingpong_setup, pingpong_run, true},
                 {"ask", ask_setup, ask_run, true}};
    options_parse(&peer.o, argc, argv, "weft");
    own_options(argc, argv);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(peer.o.kase, cases[i].name) != 0) continue;
        peer.setup = cases[i].setup;
        peer.run = cases[i].run;
        if (cases[i].latencies) {
            peer.lat = malloc(peer.o.messages * sizeof *peer.lat);
            if (peer.lat == NULL) die("memory");
            memset(peer.lat, 1, peer.o.messages * sizeof *peer.lat); /* pages are touched early */
        }
        run();
        return 0;
    }
    die("unknown case");
    return 1;
}
