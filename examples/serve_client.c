/* SPDX-License-Identifier: Apache-2.0
 * serve_client.c - has serve keep a tree, ends it by SIGTERM, and looks at what it kept and handed on.
 * Called by: meson test, as: serve_client PATH_OF_SERVE. May touch: a temporary folder, processes
 * that it starts, the loopback interface. Never: more than weft's public headers. */
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/ticket.h>

#define TIMEOUT (20 * WEFT_SEC)
#define NOTES 40u

extern char **environ;

static char folder[] = "/tmp/weft-serve-XXXXXX";
static pid_t server = -1;

static int forget(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void tidy(void)
{
    if (server > 0) (void)kill(server, SIGKILL);
    (void)nftw(folder, forget, 16, FTW_DEPTH | FTW_PHYS);
}

static void must(int good, const char *what)
{
    if (good) return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void check(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "%s: %s\n", what, weft_strerror(err));
    exit(1);
}

/* Starts serve with two tickets and reads the two lines that it says once it is there. */
static void start(char *program, char *store, char *one, char *two, weft_key *key, char *address)
{
    char *argv[] = {program, store, (char[]){"tcp:127.0.0.1:0"}, one, two, NULL};
    char text[WEFT_KEY_TEXT_BYTES + 1];
    int ends[2];
    posix_spawn_file_actions_t actions;
    must(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    must(posix_spawn_file_actions_init(&actions) == 0, "spawn");
    must(posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO) == 0, "spawn");
    must(posix_spawn(&server, program, &actions, NULL, argv, environ) == 0, "start serve");
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    FILE *said = fdopen(ends[0], "r");
    must(said != NULL, "read what serve says");
    must(fgets(text, sizeof text, said) != NULL, "serve says no key");
    must(fgets(address, WEFT_ADDRESS_BYTES_MAX, said) != NULL, "serve says no address");
    (void)fclose(said);
    text[strcspn(text, "\n")] = address[strcspn(address, "\n")] = 0;
    check(weft_key_parse(text, key), "serve's key");
}

static weft_node *open_node(void)
{
    weft_node *node;
    check(weft_node_open(NULL, &node), "open");
    check(weft_add_transport(node, "main", "tcp:127.0.0.1:0", TIMEOUT), "add a transport");
    check(weft_start_server(node, "main", TIMEOUT), "listen");
    return node;
}

/* A ticket for a tree that the node does not have yet. */
static void promise(weft_node *node, const weft_id *tree, char *text, size_t len)
{
    weft_ticket ticket;
    check(weft_ticket_create(node, tree, TIMEOUT, &ticket), "a ticket");
    check(weft_ticket_write(&ticket, text, &len), "write the ticket");
}

/* A tree here, which everybody may read, and its ticket as text. */
static weft_id share(weft_node *node, const weft_keypair *author, char *text, size_t len)
{
    weft_root_spec root = {.everyone = WEFT_RIGHT_READ};
    weft_ticket ticket;
    weft_id tree;
    check(weft_tree_create(node, author, &root, TIMEOUT, &tree), "create the tree");
    check(weft_share(node, &tree, NULL, TIMEOUT, &ticket), "share");
    check(weft_ticket_write(&ticket, text, &len), "write the ticket");
    return tree;
}

/* The store as serve left it: how many of the notes are in it? */
static unsigned look(const char *store, const weft_id *notes)
{
    weft_node *node;
    unsigned there = 0;
    check(weft_node_open(&(weft_node_options){.dir = store}, &node), "open what serve left");
    for (unsigned i = 0; i < NOTES; i++) {
        weft_buf *bytes = NULL;
        there += weft_get(node, &notes[i], &bytes) == WEFT_OK;
        weft_buf_unref(bytes);
    }
    weft_node_close(node);
    return there;
}

int main(int argc, char **argv)
{
    static char text[WEFT_TICKET_BYTES_MAX], late_text[WEFT_TICKET_BYTES_MAX];
    char address[WEFT_ADDRESS_BYTES_MAX], store[sizeof folder + sizeof "/store"];
    weft_keypair *author;
    weft_writer *writer;
    weft_key key, proven;
    weft_id notes[NOTES];
    must(argc == 2, "usage: serve_client PATH_OF_SERVE");
    must(mkdtemp(folder) != NULL, "make a folder");
    must(atexit(tidy) == 0, "atexit");
    (void)snprintf(store, sizeof store, "%s/store", folder);
    weft_node *node = open_node(), *late = open_node();
    check(weft_keypair_create(&author), "key pair");
    weft_id tree = share(node, author, text, sizeof text);
    promise(late, &tree, late_text, sizeof late_text);

    start(argv[1], store, text, late_text, &key, address);
    check(weft_connect(node, address, &key, TIMEOUT, &proven), "connect");
    check(weft_peer_relate(node, &key, &tree, TIMEOUT), "relate");
    check(weft_writer_open(node, &tree, author, &writer), "open a writer");
    for (unsigned i = 0; i < NOTES; i++)
        check(weft_commit(writer, "notes", &i, sizeof i, TIMEOUT, &notes[i]), "commit");
    weft_result moved;
    check(weft_flush(node, TIMEOUT, &moved), "have serve acknowledge it all");

    /* The late one takes the tree only now: nothing but the flush at the end brings it there in
     * time, since serve has been refused and waits before it tries again. */
    check(weft_tree_follow(late, &tree, &key, 1, TIMEOUT), "follow");
    int status = 0;
    must(kill(server, SIGTERM) == 0, "end serve");
    must(waitpid(server, &status, 0) == server, "wait for serve");
    server = -1;
    must(WIFEXITED(status) && WEXITSTATUS(status) == 0, "serve did not exit with 0");
    unsigned there = look(store, notes);
    weft_tree_info info;
    check(weft_tree_info_get(late, &tree, &info), "look at the late one");
    printf("serve exited with 0, kept %u of %u and handed %llu on\n", there, NOTES,
           (unsigned long long)info.entries);

    weft_writer_close(writer);
    weft_node_close(node);
    weft_node_close(late);
    weft_keypair_destroy(author);
    return there == NOTES && info.entries == NOTES + 1 ? 0 : 1; /* and the root */
}
