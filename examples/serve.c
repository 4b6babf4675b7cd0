/* SPDX-License-Identifier: Apache-2.0
 * serve.c - a node that serves until SIGTERM or SIGINT, hands over what it can, and ends.
 * Called by: you, a service manager, and serve_client.c. May touch: the folder it is given, sockets.
 * Never: more than weft's public headers.
 *
 *     cc serve.c $(pkg-config --cflags --libs --static weft) -o serve
 *     ./serve /var/lib/notes tcp:0.0.0.0:7000 "$ticket"
 *
 * The folder, made by the first run, has the store and the key of the device. Trees that it has are
 * served; one that a ticket names is fetched and kept. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <weft/log.h>
#include <weft/ticket.h>

#define TIMEOUT (10 * WEFT_SEC)
#define GRACE (10 * WEFT_SEC) /* from the signal to the end, at most */

static void check(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "%s: %s\n", what, weft_strerror(err));
    exit(1);
}

/* Several threads may be in here at once, so each line is one call of stdio. */
static void on_line(void *arg, weft_log_level level, const char *facility, const char *line)
{
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    char at[32] = "";
    time_t now = time(NULL);
    struct tm utc;
    (void)arg;
    if (gmtime_r(&now, &utc) != NULL) (void)strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", &utc);
    fprintf(stderr, "%s %s %s: %s\n", at, levels[level], facility, line);
}

/* Fetches the ticket's tree and keeps it, now and, once that was done, after each restart too. */
static weft_sync_peer *keep(weft_node *node, const char *text)
{
    weft_ticket ticket;
    weft_sync_peer *kept;
    check(weft_ticket_parse(text, &ticket), "read the ticket");
    const char *hints[WEFT_TICKET_HINTS_MAX];
    for (uint32_t i = 0; i < ticket.hints_count; i++) hints[i] = ticket.hints[i];
    weft_sync_peer_spec spec = {.peer = ticket.server,
                                .tree = ticket.tree,
                                .addresses = hints,
                                .addresses_count = ticket.hints_count};
    check(weft_sync_peer_open(node, &spec, TIMEOUT, &kept), "keep a tree");
    return kept;
}

/* What was acknowledged is on the disk whatever happens here: the grace is for peers, who get what
 * they have not yet, as far as they can be reached. Those who cannot get it after the next start. */
static int finish(weft_node *node)
{
    weft_result left = {0};
    weft_err err = weft_flush(node, GRACE / 2, &left);
    if (err != WEFT_OK)
        fprintf(stderr, "not handed over to %llu of the peers' trees: %s\n",
                (unsigned long long)(left.retry_failures + left.new_failures), weft_strerror(err));
    err = weft_shutdown(node, GRACE / 2);
    if (err != WEFT_OK) { /* closing would wait for it without an end */
        fprintf(stderr, "not all of it has ended: %s\n", weft_strerror(err));
        return 1;
    }
    weft_node_close(node);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: serve FOLDER ADDRESS [TICKET]...\n");
        return 2;
    }
    /* Before the first thread: all inherit this, so that the two wait for sigwait below. Weft's own
     * threads take no signals anyway, but others of the process might. */
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, &ends, NULL) != 0) return 1;
    weft_log_to(on_line, NULL, WEFT_LOG_INFO);

    weft_node *node;
    weft_node_options options = {.dir = argv[1], .name = "serve"};
    check(weft_node_open(&options, &node), "open");
    check(weft_add_transport(node, "main", argv[2], TIMEOUT), "add a transport");
    check(weft_start_server(node, "main", TIMEOUT), "listen");

    static weft_sync_peer *kept[WEFT_DECLARED_MAX];
    int count = argc - 3 < (int)WEFT_DECLARED_MAX ? argc - 3 : (int)WEFT_DECLARED_MAX;
    for (int i = 0; i < count; i++) kept[i] = keep(node, argv[3 + i]);

    /* Who starts this may wait for these two lines: from then on it is there. */
    char address[WEFT_ADDRESS_BYTES_MAX], key_text[WEFT_KEY_TEXT_BYTES];
    weft_key key;
    weft_node_key(node, &key);
    weft_key_text(&key, key_text);
    check(weft_server_address(node, "main", TIMEOUT, address), "address");
    printf("%s\n%s\n", key_text, address);
    (void)fflush(stdout);

    int sig = 0;
    while (sigwait(&ends, &sig) != 0)
        ;
    fprintf(stderr, "signal %d, ending\n", sig);
    for (int i = 0; i < count; i++) weft_sync_peer_close(kept[i]);
    return finish(node);
}
