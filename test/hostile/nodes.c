/* SPDX-License-Identifier: Apache-2.0
 * nodes.c - honest nodes, each in a process of its own that does what it is asked over a
 * socket: so what a hostile peer costs is what the machine says of that process.
 * Called by: main.c (the process), the roles (the asking). May touch: nodes, the wall clock.
 * Never: a hostile peer. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weft/access.h>
#include <weft/join.h>
#include <weft/node.h>
#include <weft/ticket.h>
#ifdef WF_HTTP
#include <weft/http.h>
#endif

#include "crypto.h"
#include "hostile.h"
#include "node_internal.h"

extern char **environ;

#define CALL (30 * WEFT_SEC)
#define ADD 1000u
#define SMALL_BYTES 3000u

/* -- The wall clock of this process ------------------------------------------------------- */

static int64_t moved_by; /* seconds */

/* Every call of this program goes through here, those of its libraries too. */
int clock_gettime(clockid_t clock, struct timespec *out)
{
    static int (*machine)(clockid_t, struct timespec *);
    if (machine == NULL) *(void **)&machine = dlsym(RTLD_NEXT, "clock_gettime");
    int rc = machine(clock, out);
    if (rc == 0 && clock == CLOCK_REALTIME) out->tv_sec += moved_by;
    return rc;
}

/* -- The victim --------------------------------------------------------------------------- */

static struct here {
    weft_node *node;
    weft_keypair *author;
    uint32_t entries, readers;
    uint16_t port, http_port;
    weft_id trees[HT_TREES];
    uint32_t written[HT_TREES];
    weft_id last[HT_TREES];
    weft_buf **shared; /* made once */
} me;

static void must(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "weft-hostile: a node: %s: %s\n", what, weft_strerror(err));
    exit(3);
}

static weft_node *open_node(enum ht_whose whose, uint32_t n)
{
    weft_keypair *device = ht_pair(whose, n);
    weft_node_options options = {.device = device, .name = "honest"};
    weft_node *node = NULL;
    must(weft_node_open(&options, &node), "open");
    weft_keypair_destroy(device);
    return node;
}

/* The next entry of a tree's one chain. */
static weft_buf *next_entry(enum ht_tree tree)
{
    static uint8_t payload[SMALL_BYTES];
    uint32_t n = me.written[tree];
    int head = snprintf((char *)payload, sizeof payload, "%s%u.%u",
                        tree == HT_FORBIDDEN ? HT_MARK : HT_SHARED_MARK, (unsigned)tree, n);
    size_t len = tree == HT_SMALL ? SMALL_BYTES : (size_t)head;
    for (size_t i = (size_t)head; i < len; i++) payload[i] = (uint8_t)(i * 7 + n);
    weft_store_part part = {.name = "log", .payload = payload, .payload_len = len};
    bool first = n == 0;
    if (!first) {
        part.parents = &me.last[tree];
        part.parents_count = 1;
    }
    weft_entry_spec spec = {.tree = me.trees[tree],
                            .parents = first ? &me.trees[tree] : &me.last[tree],
                            .parents_count = 1,
                            .height = n + 1,
                            .stores = &part,
                            .stores_count = 1};
    weft_buf *buf = NULL;
    must(weft_entry_build(&spec, me.author, &buf, &me.last[tree]), "build");
    me.written[tree]++;
    return buf;
}

static void write_entries(enum ht_tree tree, uint32_t count)
{
    weft_buf *bufs[ADD];
    for (uint32_t at = 0; at < count;) {
        uint32_t n = count - at < ADD ? count - at : ADD, applied = 0;
        for (uint32_t i = 0; i < n; i++) bufs[i] = next_entry(tree);
        must(weft_add(me.node, bufs, n, true, CALL, &applied), "add");
        for (uint32_t i = 0; i < n; i++) weft_buf_unref(bufs[i]);
        at += n;
    }
}

static void readers_of(enum ht_tree tree)
{
    weft_key *keys = calloc(me.readers + 2, sizeof *keys);
    uint32_t count = 0;
    if (keys == NULL) exit(3);
    if (tree != HT_FORBIDDEN && tree != HT_ASKED && tree != HT_PUBLIC) {
        keys[count++] = ht_key(HT_FRIEND, 0);
        keys[count++] = ht_key(HT_SECOND, 0);
    }
    for (uint32_t i = 0; tree == HT_LISTED && i < me.readers; i++)
        keys[count++] = ht_key(HT_READER, i);
    must(weft_tree_follow(me.node, &me.trees[tree], keys, count, CALL), "follow");
    free(keys);
}

/* The same port after a restart, if there was one; its number. */
static uint16_t serve_at(const char *type, uint16_t port)
{
    char at[64], name[WEFT_ADDRESS_BYTES_MAX];
    snprintf(at, sizeof at, "%s:127.0.0.1:%u", type, port);
#ifdef WF_HTTP
    if (strcmp(type, "http") == 0)
        must(weft_add_transport_http(me.node, type, at, NULL, CALL), "a transport");
    else
#endif
        must(weft_add_transport(me.node, type, at, CALL), "a transport");
    must(weft_start_server(me.node, type, CALL), "a server");
    must(weft_server_address(me.node, type, CALL, name), "its address");
    return (uint16_t)strtoul(strrchr(name, ':') + 1, NULL, 10);
}

static void be_born(void)
{
    static const uint32_t few[HT_TREES] = {[HT_SMALL] = HT_SMALL_ENTRIES};
    me.node = open_node(HT_VICTIM, 0);
    for (uint32_t tree = 0; tree < HT_TREES; tree++) {
        weft_root_spec root = {.entropy = {(uint8_t)(tree + 1)}};
        if (tree == HT_PUBLIC) root.everyone = WEFT_RIGHT_READ;
        must(weft_tree_create(me.node, me.author, &root, CALL, &me.trees[tree]), "a tree");
        me.written[tree] = 0;
        write_entries(tree, tree == HT_SHARED ? me.entries
                            : few[tree] > 0   ? few[tree]
                                              : HT_FEW_ENTRIES);
        readers_of(tree);
    }
    must(weft_join_mode_set(me.node, &me.trees[HT_ASKED], WEFT_JOIN_ASK, NULL, WEFT_RIGHT_NONE, 0,
                            CALL),
         "a mode");
    me.port = serve_at("tcp", me.port);
#ifdef WF_HTTP
    me.http_port = serve_at("http", me.http_port);
#endif
}

/* -- What it holds ------------------------------------------------------------------------ */

static void hash_family(wf_hash *h, wf_kv *kv, enum wf_cf family)
{
    wf_kv_iter *it;
    if (wf_kv_iter_create(kv, NULL, family, NULL, 0, &it) != WEFT_OK) exit(3);
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
        size_t len;
        const uint8_t *bytes = wf_kv_iter_key(it, &len);
        wf_hash_update(h, &len, sizeof len);
        wf_hash_update(h, bytes, len);
        bytes = wf_kv_iter_value(it, &len);
        wf_hash_update(h, &len, sizeof len);
        wf_hash_update(h, bytes, len);
    }
    wf_kv_iter_destroy(it);
}

static void hash_registry(wf_hash *h, ht_answer *out)
{
    static weft_key keys[WEFT_PEERS_MAX];
    size_t count = WEFT_PEERS_MAX;
    must(weft_peer_list(me.node, CALL, keys, &count), "peers");
    out->peers = count;
    for (size_t i = 0; i < count; i++) {
        weft_peer_info info;
        weft_id trees[HT_TREES];
        size_t trees_count = HT_TREES;
        must(weft_peer_get(me.node, &keys[i], CALL, &info), "a peer");
        must(weft_peer_trees(me.node, &keys[i], CALL, trees, &trees_count), "its trees");
        wf_hash_update(h, &keys[i], sizeof keys[i]);
        wf_hash_update(h, info.name, strlen(info.name));
        for (uint32_t a = 0; a < info.addresses_count; a++)
            wf_hash_update(h, info.addresses[a], strlen(info.addresses[a]) + 1);
        wf_hash_update(h, trees, trees_count * sizeof *trees);
    }
}

static weft_join_request asking[4 * WEFT_JOINS_MAX]; /* room to see that there are too many */

static size_t who_asks(void)
{
    size_t count = sizeof asking / sizeof *asking;
    must(weft_join_list(me.node, WEFT_JOIN_PENDING, CALL, asking, &count), "requests");
    return count;
}

static void facts(ht_answer *out)
{
    weft_node_stats stats;
    wf_hash h;
    wf_hash_init(&h);
    for (enum wf_cf family = 0; family < WF_CF_COUNT; family++)
        if (family != WF_CF_PEER) hash_family(&h, wf_store_kv(me.node->table.wf_store), family);
    wf_hash_final(&h, out->store);
    wf_hash_init(&h);
    hash_registry(&h, out);
    wf_hash_final(&h, out->registry);
    must(weft_node_stats_get(me.node, &stats), "statistics");
    out->entries = stats.entries_stored;
    out->connections = stats.connections;
    out->pending = stats.pending;
    out->refused = stats.refused;
    out->joins = who_asks();
    out->port = me.port;
    out->http_port = me.http_port;
    memcpy(out->trees, me.trees, sizeof out->trees);
    memcpy(out->tips, me.last, sizeof out->tips);
}

/* -- What it is asked --------------------------------------------------------------------- */

static weft_err right_of(const ht_ask *ask)
{
    weft_grant grant = {.key = ht_key(HT_READER, ask->count),
                        .right = (weft_right)ask->right,
                        .priority = ask->right >= WEFT_RIGHT_WRITE ? 10 : 0};
    return weft_grant_put(me.node, &me.trees[ask->tree], me.author, &grant, 1, CALL, NULL);
}

static void impostor_address(uint32_t i, uint32_t port, char out[WEFT_ADDRESS_BYTES_MAX])
{
    snprintf(out, WEFT_ADDRESS_BYTES_MAX, "tcp:127.17.%u.%u:%u", i >> 8 & 255, i & 255, port);
}

/* A peer whose address we were told is looked for. */
static weft_err reach(const ht_ask *ask, ht_answer *out)
{
    weft_result result = {0};
    weft_err err = weft_peer_register(me.node, &ask->key, "somebody", CALL);
    if (err != WEFT_OK && err != WEFT_EXISTS) return err;
    char addresses[WEFT_ADDRESS_BYTES_MAX], *save = NULL;
    memcpy(addresses, ask->address, sizeof addresses);
    for (char *at = strtok_r(addresses, " ", &save); at; at = strtok_r(NULL, " ", &save))
        must(weft_peer_add_address(me.node, &ask->key, at, CALL), "an address");
    uint64_t began = ht_now();
    err = weft_sync_tree(me.node, &ask->key, &me.trees[ask->tree], 20 * WEFT_SEC, &result);
    out->sync_ns = ht_now() - began;
    if (ask->count == 0) must(weft_peer_remove(me.node, &ask->key, CALL), "removing a peer");
    return err;
}

/* Addresses at which somebody else answers, offered for a peer in each way that there is. Counts
 * who was taken for it, and the addresses that were kept by hand. */
static weft_err offer(const ht_ask *ask, ht_answer *out)
{
    weft_ticket ticket = {
        .tree = me.trees[ask->tree], .has_server = true, .server = ask->key, .hints_count = 0};
    char address[WEFT_ADDRESS_BYTES_MAX];
    for (uint32_t i = 0; i < ask->count;) {
        ticket.hints_count = 0;
        for (; ticket.hints_count < WEFT_TICKET_HINTS_MAX && i < ask->count; i++)
            impostor_address(i, ask->right, ticket.hints[ticket.hints_count++]);
        out->count += weft_sync_with_ticket(me.node, &ticket, CALL, NULL) != WEFT_PEER_KEY;
    }
    memcpy(ticket.hints[ticket.hints_count - 1], ask->address, WEFT_ADDRESS_BYTES_MAX);
    weft_err err = weft_sync_with_ticket(me.node, &ticket, CALL, NULL);
    for (uint32_t i = 0; i < ask->count; i++) {
        impostor_address(i, ask->right, address);
        weft_err added = weft_peer_add_address(me.node, &ask->key, address, CALL);
        if (added != WEFT_OK && added != WEFT_LIMIT) must(added, "an impostor's address");
        out->tries += added == WEFT_OK;
    }
    return err;
}

static weft_err connect_to(weft_node *node, const char *address, ht_answer *out)
{
    weft_key server = ht_key(HT_VICTIM, 0), key;
    weft_err err;
    uint64_t began = ht_now();
    /* A full house is a reason to knock again; that is counted. */
    do {
        out->tries++;
        err = weft_connect(node, address, &server, 10 * WEFT_SEC, &key);
        if (err == WEFT_UNREACHABLE || err == WEFT_BUSY) {
            struct timespec rest = {0, 20 * (long)WEFT_MS};
            nanosleep(&rest, NULL);
        }
    } while ((err == WEFT_UNREACHABLE || err == WEFT_BUSY || err == WEFT_TIMED_OUT) &&
             ht_now() - began < CALL);
    out->dial_ns = ht_now() - began;
    return err;
}

struct look {
    uint64_t entries;
    weft_node *node;
    bool closed;
};

static weft_err look_at(void *arg, const weft_entry *entry)
{
    struct look *l = arg;
    l->entries++;
    for (uint32_t i = 0; i < entry->parents_count; i++) {
        weft_id parent;
        weft_buf *buf = NULL;
        weft_entry_parent(entry, i, &parent);
        if (weft_get(l->node, &parent, &buf) != WEFT_OK) l->closed = false;
        weft_buf_unref(buf);
    }
    return WEFT_OK;
}

/* Why the first connection ended. */
static void on_down(void *arg, const weft_event *event)
{
    int32_t *ended = arg;
    if (event->kind == WEFT_EV_PEER_DOWN && *ended == INT32_MAX) *ended = event->err;
}

/* A new node every time: its memory is its own and gone with it. */
static weft_err a_round(const ht_ask *ask, ht_answer *out)
{
    weft_node *node = open_node(HT_FRIEND, 0);
    weft_id tree;
    weft_result result = {0};
    weft_tree_info info = {0};
    memcpy(tree.bytes, ask->key.bytes, sizeof tree.bytes);
    weft_key server = ht_key(HT_VICTIM, 0);
    int32_t ended = INT32_MAX;
    uint64_t handle;
    must(weft_subscribe(node, on_down, &ended, &handle), "subscribe");
    must(weft_add_transport(node, "net", NULL, CALL), "a transport");
#ifdef WF_HTTP
    must(weft_add_transport_http(node, "web", NULL, NULL, CALL), "a transport");
#endif
    must(weft_tree_follow(node, &tree, &server, 1, CALL), "follow");
    weft_err err = connect_to(node, ask->address, out);
    if (err == WEFT_OK) {
        uint64_t began = ht_now();
        err = weft_sync_tree(node, &server, &tree, ask->op == HT_SHORT ? WEFT_SEC : 2 * CALL,
                             &result);
        out->sync_ns = ht_now() - began;
    }
    if (weft_tree_info_get(node, &tree, &info) == WEFT_OK) out->entries = info.entries;
    struct look l = {.node = node, .closed = true};
    if (ask->op == HT_SHORT && info.has_root) (void)weft_tree_walk(node, &tree, look_at, &l);
    out->closed = l.closed && (ask->op == HT_ROUND || l.entries == info.entries);
    must(weft_unsubscribe(node, handle), "unsubscribe");
    out->ended = ended == INT32_MAX ? WEFT_OK : ended;
    weft_node_close(node);
    return err;
}

static weft_node *second; /* who dials */

static void on_dialled(void *arg, weft_err err, const weft_result *result)
{
    int *pipe_end = arg;
    uint8_t ok = err == WEFT_OK;
    (void)result;
    if (write(*pipe_end, &ok, 1) != 1) exit(3);
}

static weft_err dial_many(const ht_ask *ask, ht_answer *out)
{
    weft_key server = ht_key(HT_VICTIM, 0);
    int ends[2];
    if (pipe(ends) != 0) exit(3);
    for (uint32_t i = 0; i < ask->count; i++)
        must(weft_connect_async(second, ask->address, &server, 10 * WEFT_SEC, on_dialled, &ends[1]),
             "a dial");
    for (uint32_t i = 0; i < ask->count; i++) {
        uint8_t ok;
        if (read(ends[0], &ok, 1) != 1) exit(3);
        out->count += ok;
    }
    close(ends[0]);
    close(ends[1]);
    return WEFT_OK;
}

/* The trees that we may read: a request and its answer, one frame each. */
static weft_err ask_for_trees(const ht_ask *ask, ht_answer *out)
{
    static const uint8_t request[] = {0x92, WF_F_TREES_REQ, 0};
    weft_buf *reply = NULL;
    weft_err err = weft_send_request(second, ask->address, request, sizeof request,
                                     (weft_ns)ask->seconds * WEFT_SEC, &reply);
    out->count = reply != NULL;
    weft_buf_unref(reply);
    return err;
}

static void restart(int64_t seconds)
{
    weft_node_close(me.node);
    moved_by = seconds;
    be_born();
}

static void serve_one(bool victim, const ht_ask *ask, ht_answer *out)
{
    switch (ask->op) {
    case HT_FACTS: facts(out); break;
    case HT_ROUND:
    case HT_SHORT: out->err = a_round(ask, out); break;
    case HT_DIAL: out->err = dial_many(ask, out); break;
    case HT_ASK: out->err = ask_for_trees(ask, out); break;
    case HT_REACH: out->err = reach(ask, out); break;
    case HT_OFFER: out->err = offer(ask, out); break;
    case HT_RIGHT: out->err = right_of(ask); break;
    case HT_REJECT:
        for (size_t i = who_asks(); i-- > 0;)
            must(weft_join_reject(me.node, asking[i].id, me.author, CALL), "a rejection");
        break;
    case HT_COMMIT: write_entries(ask->tree, ask->count); break;
    case HT_RESTART: restart(ask->seconds); break;
    case HT_QUIT: break;
    }
    if (victim) facts(out);
}

int ht_node_main(int argc, char **argv)
{
    int fd = argc > 3 ? atoi(argv[3]) : -1;
    bool victim = argc > 3 && strcmp(argv[2], "victim") == 0;
    if (argc < 6 || fd < 0) return 2;
    me.entries = (uint32_t)strtoul(argv[4], NULL, 10);
    me.readers = (uint32_t)strtoul(argv[5], NULL, 10);
    me.author = ht_pair(HT_AUTHOR, 0);
    if (victim) {
        be_born();
    } else {
        second = open_node(HT_SECOND, 0);
        must(weft_add_transport(second, "net", NULL, CALL), "a transport");
    }
    ht_ask ask = {.op = HT_QUIT};
    ht_answer first = {0};
    if (victim) facts(&first);
    if (send(fd, &first, sizeof first, MSG_NOSIGNAL) != (ssize_t)sizeof first) return 3;
    while (recv(fd, &ask, sizeof ask, MSG_WAITALL) == (ssize_t)sizeof ask && ask.op != HT_QUIT) {
        ht_answer answer = {0};
        serve_one(victim, &ask, &answer);
        if (send(fd, &answer, sizeof answer, MSG_NOSIGNAL) != (ssize_t)sizeof answer) return 3;
    }
    weft_node_close(victim ? me.node : second);
    weft_keypair_destroy(me.author);
    return 0;
}

/* -- The asking --------------------------------------------------------------------------- */

static void on_answer(ht_item *item, uint32_t events)
{
    ht_node *n = (ht_node *)((char *)item - offsetof(ht_node, item));
    (void)events;
    ssize_t got = recv(item->fd, (char *)&n->answer + n->have, sizeof n->answer - n->have,
                       MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        errno = ECONNRESET;
        ht_die("an honest node has died");
    }
    n->have += (size_t)got;
    if (n->have == sizeof n->answer) n->asked = false;
}

void ht_node_start(ht_node *n, const char *self, bool victim, uint32_t entries, uint32_t readers)
{
    int ends[2];
    char fd[16], many[16], some[16];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) ht_die("socketpair");
    if (fcntl(ends[0], F_SETFD, FD_CLOEXEC) != 0) ht_die("fcntl");
    snprintf(fd, sizeof fd, "%d", ends[1]);
    snprintf(many, sizeof many, "%u", entries);
    snprintf(some, sizeof some, "%u", readers);
    char *args[] = {(char *)self, "--node", victim ? "victim" : "friend", fd, many, some, NULL};
    if (posix_spawn(&n->pid, self, NULL, NULL, args, environ) != 0) ht_die(self);
    close(ends[1]);
    n->item = (ht_item){.fd = ends[0], .ready = on_answer};
    n->asked = true;
    ht_watch(&n->item, EPOLLIN);
    (void)ht_node_wait(n);
}

void ht_node_ask(ht_node *n, const ht_ask *ask)
{
    n->asked = true;
    n->have = 0;
    if (send(n->item.fd, ask, sizeof *ask, MSG_NOSIGNAL) != (ssize_t)sizeof *ask)
        ht_die("an honest node");
}

static bool has_answered(void *arg) { return !((ht_node *)arg)->asked; }

const ht_answer *ht_node_wait(ht_node *n)
{
    if (!ht_loop(ht_now() + 4 * CALL, has_answered, n)) {
        errno = ETIMEDOUT;
        ht_die("an honest node does not answer");
    }
    return &n->answer;
}

const ht_answer *ht_node_call(ht_node *n, const ht_ask *ask)
{
    ht_node_ask(n, ask);
    return ht_node_wait(n);
}

void ht_node_stop(ht_node *n)
{
    ht_ask quit = {.op = HT_QUIT};
    if (n->pid <= 0) return;
    ht_node_ask(n, &quit);
    int status = 0;
    if (waitpid(n->pid, &status, 0) < 0 || status != 0) ht_die("an honest node did not end well");
    ht_close(&n->item);
    n->pid = 0;
}
