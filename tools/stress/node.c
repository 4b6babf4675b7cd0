/* SPDX-License-Identifier: Apache-2.0
 * node.c - one weft node under the orders of the parent: opens it, obeys, closes it.
 * Called by: main.c of the tools (a process for each node), cluster.c (a thread for
 * each). May touch: weft's public interface, its directory, the socket to the parent.
 * Never: other nodes; decides what is right. */
#include "node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/log.h>

#include "kit.h"

bool node_send(struct node *node, enum control_type type, const void *head, size_t head_len,
               const void *tail, size_t tail_len)
{
    pthread_mutex_lock(&node->sending);
    if (!node->gone) node->gone = !control_send(node->fd, type, head, head_len, tail, tail_len);
    bool sent = !node->gone;
    pthread_mutex_unlock(&node->sending);
    return sent;
}

bool node_fail(struct node *node, weft_err err, const char *what)
{
    struct control_failed failed = {.err = err};
    snprintf(failed.text, sizeof failed.text, "%s: %s (%s)%s", what, weft_strerror(err),
             weft_errname(err), node_log_first());
    node_send(node, CONTROL_FAILED, &failed, sizeof failed, NULL, 0);
    return false;
}

weft_err node_keypair(uint64_t seed, enum node_key purpose, uint32_t number, weft_keypair **out)
{
    struct kit_rng rng = kit_rng_for(seed, (uint64_t)purpose, number);
    uint8_t secret[32]; /* of a test: anybody who knows the run's seed knows it */
    kit_rng_fill(&rng, secret, sizeof secret);
    return weft_keypair_from_seed(secret, out);
}

/* What went wrong first says more than what followed from it. */
static struct {
    pthread_mutex_t lock;
    char line[500];
} first_error = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void keep_first(const char *facility, const char *line)
{
    const char *end = strstr(line, " err=WEFT_"); /* told already */
    int len = end == NULL ? (int)strlen(line) : (int)(end - line);
    pthread_mutex_lock(&first_error.lock);
    if (first_error.line[0] == '\0')
        snprintf(first_error.line, sizeof first_error.line, "; %s: %.*s", facility, len, line);
    pthread_mutex_unlock(&first_error.lock);
}

/* Once written it does not change. */
const char *node_log_first(void)
{
    pthread_mutex_lock(&first_error.lock);
    const char *line = first_error.line;
    pthread_mutex_unlock(&first_error.lock);
    return line;
}

static void on_log(void *arg, weft_log_level level, const char *facility, const char *line)
{
    static const char *const names[] = {"debug", "info", "warn", "error", "off"};
    if (level == WEFT_LOG_ERROR) keep_first(facility, line);
    if (arg == NULL) return; /* the file could not be opened: its disk may be full */
    fprintf(arg, "%.3f %s %s: %s\n", (double)kit_now_ns() / 1e9, names[level], facility, line);
}

void node_log_to(const char *path)
{
    static FILE *file;
    file = fopen(path, "ae"); /* a restarted node goes on where it was */
    if (file != NULL) setvbuf(file, NULL, _IOLBF, 0);
    weft_log_to(on_log, file, WEFT_LOG_WARN);
}

static weft_err listen_at(struct node *node, const char *address, char out[WEFT_ADDRESS_BYTES_MAX])
{
    char host[32];
    snprintf(host, sizeof host, "n%u", node->open.index);
    weft_err err = node->hub == NULL
                       ? weft_add_transport(node->weft, "main", address, NODE_TIMEOUT_NS)
                       : weft_add_transport_mem(node->weft, "main", node->hub, host, address,
                                                NODE_TIMEOUT_NS);
    if (err == WEFT_OK) err = weft_start_server(node->weft, "main", NODE_TIMEOUT_NS);
    if (err == WEFT_OK) err = weft_server_address(node->weft, "main", NODE_TIMEOUT_NS, out);
    return err;
}

static bool open_node(struct node *node)
{
    struct control_ready ready = {0};
    weft_keypair *device = NULL;
    weft_node_options options = {
        .dir = node->open.memory ? NULL : node->open.dir,
        .name = kit_program,
        .engine = node->open.engine,
        .retry_tick = 200 * WEFT_MS,
        .connection_tick = WEFT_SEC, /* a killed peer is dialled again within a second */
    };
    uint64_t begun = kit_now_ns();
    weft_err err = WEFT_OK;
    if (node->hub == NULL) {
        char log[CONTROL_PATH_BYTES + 8];
        snprintf(log, sizeof log, "%s.log", node->open.dir);
        node_log_to(log);
    }
    /* A stored node has a key file; a node in memory gets a key of the run. */
    if (node->open.memory)
        err = node_keypair(node->open.seed, NODE_KEY_DEVICE, node->open.index, &device);
    options.device = device;
    if (err == WEFT_OK) err = weft_node_open(&options, &node->weft);
    weft_keypair_destroy(device);
    if (err != WEFT_OK) return node_fail(node, err, "opening the node");
    ready.open_ns = kit_now_ns() - begun;
    weft_node_key(node->weft, &ready.key);
    err = listen_at(node, node->open.listen, ready.address);
    if (err != WEFT_OK) return node_fail(node, err, "listening");
    /* After a restart the tree is known; followed it was, durably, before the kill. */
    size_t count = 1;
    if (weft_tree_list(node->weft, &node->tree, &count) == WEFT_OK && count == 1)
        node->has_tree = true;
    return node_send(node, CONTROL_READY, &ready, sizeof ready, NULL, 0);
}

static void tree_set(struct node *node, const weft_id *tree)
{
    pthread_mutex_lock(&node->lock);
    node->tree = *tree;
    node->has_tree = true;
    pthread_mutex_unlock(&node->lock);
}

static bool create_tree(struct node *node)
{
    weft_keypair *author = NULL;
    weft_root_spec spec = {
        .height = WEFT_HEIGHT_INCREMENTAL, .everyone = WEFT_RIGHT_WRITE, .everyone_priority = 10};
    struct kit_rng rng = kit_rng_for(node->open.seed, 'e', 0);
    kit_rng_fill(&rng, spec.entropy, sizeof spec.entropy);
    weft_id tree;
    weft_err err = node_keypair(node->open.seed, NODE_KEY_ROOT, 0, &author);
    if (err == WEFT_OK) err = weft_tree_create(node->weft, author, &spec, NODE_TIMEOUT_NS, &tree);
    weft_keypair_destroy(author);
    if (err != WEFT_OK) return node_fail(node, err, "creating the tree");
    tree_set(node, &tree);
    return node_send(node, CONTROL_TREE, &tree, sizeof tree, NULL, 0);
}

static bool follow(struct node *node, const struct control_frame *frame)
{
    struct control_follow order;
    if (frame->len < sizeof order) return node_fail(node, WEFT_INVALID, "the order to follow");
    memcpy(&order, frame->body, sizeof order);
    if (order.count > WEFT_READERS_PER_TREE_MAX ||
        frame->len != sizeof order + order.count * sizeof(weft_key))
        return node_fail(node, WEFT_INVALID, "the order to follow");
    weft_key *keys = kit_alloc(order.count, sizeof *keys);
    memcpy(keys, frame->body + sizeof order, order.count * sizeof *keys);
    weft_err err = weft_tree_follow(node->weft, &order.tree, keys, order.count, NODE_TIMEOUT_NS);
    free(keys);
    if (err != WEFT_OK) return node_fail(node, err, "following the tree");
    tree_set(node, &order.tree);
    return node_send(node, CONTROL_DONE, NULL, 0, NULL, 0);
}

/* The peer may be down for a moment, because it was just killed: dial again. */
static bool link_to(struct node *node, const struct control_link *link)
{
    weft_key proven;
    uint64_t give_up = kit_now_ns() + 30 * WEFT_SEC;
    weft_err err = weft_peer_register(node->weft, &link->key, "node", NODE_TIMEOUT_NS);
    if (err == WEFT_EXISTS) err = WEFT_OK;
    if (err == WEFT_OK)
        err = weft_peer_relate(node->weft, &link->key, &node->tree, NODE_TIMEOUT_NS);
    if (err != WEFT_OK) return node_fail(node, err, "relating the tree to a peer");
    for (;;) {
        err = weft_connect(node->weft, link->address, &link->key, 10 * WEFT_SEC, &proven);
        if (err == WEFT_OK) return node_send(node, CONTROL_DONE, NULL, 0, NULL, 0);
        if (control_ended(node->fd)) return false; /* nobody waits for it any more */
        bool again = err == WEFT_UNREACHABLE || err == WEFT_NETWORK || err == WEFT_TIMED_OUT ||
                     err == WEFT_BUSY || err == WEFT_CLOSED;
        if (!again || kit_now_ns() > give_up) return node_fail(node, err, "connecting to a peer");
        kit_sleep_until(kit_now_ns() + 100 * WEFT_MS);
    }
}

static weft_err dump_one(void *arg, const weft_entry *entry)
{
    uint32_t len = (uint32_t)entry->len;
    if (fwrite(&len, sizeof len, 1, arg) != 1 || fwrite(entry->bytes, len, 1, arg) != 1)
        return WEFT_IO;
    return WEFT_OK;
}

static bool dump(struct node *node, const char *path)
{
    FILE *to = fopen(path, "we");
    weft_err err = to == NULL ? WEFT_IO : weft_tree_walk(node->weft, &node->tree, dump_one, to);
    if (to != NULL && fclose(to) != 0 && err == WEFT_OK) err = WEFT_IO;
    if (err != WEFT_OK) return node_fail(node, err, "writing down what is stored");
    return node_send(node, CONTROL_DONE, NULL, 0, NULL, 0);
}

/* false: serve no more. */
static bool obey(struct node *node, const struct control_frame *frame)
{
    union {
        struct control_link link;
        struct control_import import;
        struct control_live live;
    } order;
    switch (frame->type) {
    case CONTROL_CREATE: return create_tree(node);
    case CONTROL_FOLLOW: return follow(node, frame);
    case CONTROL_CONNECT:
        return control_body(frame, &order.link, sizeof order.link) && link_to(node, &order.link);
    case CONTROL_IMPORT:
        return control_body(frame, &order.import, sizeof order.import) &&
               node_import(node, order.import.path);
    case CONTROL_LIVE:
        return control_body(frame, &order.live, sizeof order.live) && node_live(node, &order.live);
    case CONTROL_DUMP:
        return control_body(frame, &order.import, sizeof order.import) &&
               dump(node, order.import.path);
    default: return node_fail(node, WEFT_INVALID, "an order that is not known");
    }
}

static bool next_order(struct node *node, struct control_in *in, struct control_frame *out)
{
    while (!control_next(in, out)) { /* on a signal the parent says what to do */
        int got = control_fill(in, node->fd, true);
        if (got == 0 || (got < 0 && kit_signal() == 0)) return false;
    }
    return true;
}

static int serve(struct node *node)
{
    int code = EXIT_HARNESS;
    struct control_in in = {0};
    struct control_frame frame;
    pthread_t feed;
    uint64_t handle = 0;
    bool feeding = false;
    if (!next_order(node, &in, &frame) || frame.type != CONTROL_OPEN ||
        !control_body(&frame, &node->open, sizeof node->open))
        goto done;
    if (!open_node(node)) goto done;
    feeding = node_feed_start(node, &feed, &handle);
    if (!feeding) goto done;
    while (next_order(node, &in, &frame)) {
        if (frame.type == CONTROL_STOP) {
            code = EXIT_PASS;
            break;
        }
        if (!obey(node, &frame)) break;
    }
done:
    if (feeding) node_feed_stop(node, feed, handle);
    if (node->weft != NULL) {
        if (code == EXIT_PASS) node_feed_now(node, CONTROL_FAREWELL);
        weft_err err = weft_shutdown(node->weft, NODE_TIMEOUT_NS);
        if (code == EXIT_PASS && err != WEFT_OK) {
            node_fail(node, err, "shutting down");
            code = EXIT_HARNESS;
        }
        if (err == WEFT_OK) weft_node_close(node->weft);
    }
    if (code == EXIT_PASS) node_send(node, CONTROL_DONE, NULL, 0, NULL, 0);
    control_fini(&in);
    return code;
}

int node_run(int fd, weft_hub *hub)
{
    struct node *node = kit_alloc(1, sizeof *node);
    node->fd = fd;
    node->hub = hub;
    pthread_mutex_init(&node->lock, NULL);
    pthread_mutex_init(&node->sending, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&node->wake, &attr);
    pthread_condattr_destroy(&attr);
    int code = serve(node);
    close(fd);
    pthread_cond_destroy(&node->wake);
    pthread_mutex_destroy(&node->lock);
    pthread_mutex_destroy(&node->sending);
    free(node);
    return code;
}
