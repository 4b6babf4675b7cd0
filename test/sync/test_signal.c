/* SPDX-License-Identifier: Apache-2.0
 * test_signal.c - a program's signals: no call of a node minds them, no thread of one hears them.
 * Called by: the test runner. May touch: the timer and the handlers of this process.
 * Never: the simulator, which has no system calls to interrupt. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#include <weft/node.h>

#define CALL (60 * WEFT_SEC)
enum { BATCH = 250, BATCHES = 8 };

static pthread_t home;
static volatile sig_atomic_t heard, heard_elsewhere;

static void on_alarm(int sig)
{
    (void)sig;
    heard = heard + 1;
    if (!pthread_equal(pthread_self(), home)) heard_elsewhere = heard_elsewhere + 1;
}

/* Each millisecond, and no system call is begun again by the kernel. */
static void storm(bool on)
{
    struct sigaction action = {.sa_handler = on_alarm};
    suseconds_t period = on ? 1000 : 0;
    struct itimerval timer = {.it_interval = {0, period}, .it_value = {0, period}};
    home = pthread_self();
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    cr_assert_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

/* While the program's own thread takes none, the kernel gives them to any other that does. */
static void home_takes(bool on)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    cr_assert_eq(pthread_sigmask(on ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL), 0);
}

static weft_node *node_of(uint8_t number)
{
    uint8_t seed[32] = {number};
    weft_keypair *device = NULL;
    weft_node *node = NULL;
    cr_assert_eq(weft_keypair_from_seed(seed, &device), WEFT_OK);
    cr_assert_eq(weft_node_open(&(weft_node_options){.device = device, .verifiers = 1}, &node),
                 WEFT_OK);
    weft_keypair_destroy(device);
    return node;
}

Test(signal, a_storm_of_signals_is_not_minded_and_heard_by_no_thread_of_a_node, .timeout = 120)
{
    storm(true);
    weft_node *a = node_of(1), *b = node_of(2);
    weft_keypair *author = NULL;
    weft_writer *writer = NULL;
    weft_root_spec spec = {.everyone = WEFT_RIGHT_WRITE, .everyone_priority = 10};
    weft_tree_info of_a, of_b;
    weft_key key_a, key_b;
    weft_id tree;
    char address[WEFT_ADDRESS_BYTES_MAX];
    weft_node_key(a, &key_a);
    weft_node_key(b, &key_b);
    cr_assert_eq(weft_keypair_create(&author), WEFT_OK);
    cr_assert_eq(weft_tree_create(a, author, &spec, CALL, &tree), WEFT_OK);
    cr_assert_eq(weft_tree_follow(a, &tree, &key_b, 1, CALL), WEFT_OK);
    cr_assert_eq(weft_tree_follow(b, &tree, &key_a, 1, CALL), WEFT_OK);
    cr_assert_eq(weft_add_transport(a, "net", "tcp:127.0.0.1:0", CALL), WEFT_OK);
    cr_assert_eq(weft_add_transport(b, "net", NULL, CALL), WEFT_OK);
    cr_assert_eq(weft_start_server(a, "net", CALL), WEFT_OK);
    cr_assert_eq(weft_server_address(a, "net", CALL, address), WEFT_OK);
    cr_assert_eq(weft_peer_register(b, &key_a, "a", CALL), WEFT_OK);
    cr_assert_eq(weft_peer_add_address(b, &key_a, address, CALL), WEFT_OK);
    cr_assert_eq(weft_peer_relate(b, &key_a, &tree, CALL), WEFT_OK);
    cr_assert_eq(weft_writer_open(a, &tree, author, &writer), WEFT_OK);
    for (int batch = 0; batch < BATCHES; batch++) {
        home_takes(batch % 2 == 0);
        for (int i = 0; i < BATCH; i++)
            cr_assert_eq(weft_commit(writer, "notes", &i, sizeof i, CALL, NULL), WEFT_OK);
        cr_assert_eq(weft_sync_tree(b, &key_a, &tree, CALL, NULL), WEFT_OK);
    }
    home_takes(true);
    cr_assert_eq(weft_tree_info_get(a, &tree, &of_a), WEFT_OK);
    cr_assert_eq(weft_tree_info_get(b, &tree, &of_b), WEFT_OK);
    cr_expect_eq(of_b.entries, BATCH * BATCHES + 1);
    cr_expect_eq(memcmp(of_a.root_digest, of_b.root_digest, 32), 0);
    weft_writer_close(writer);
    weft_keypair_destroy(author);
    weft_node_close(b);
    weft_node_close(a);
    storm(false);
    cr_expect_gt(heard, 20, "%d were heard", (int)heard);
    cr_expect_eq(heard_elsewhere, 0, "%d in threads that are not the program's",
                 (int)heard_elsewhere);
}
