/* SPDX-License-Identifier: Apache-2.0
 * test_pool.c - memory of messages: sizes, threads, what goes home, what goes back.
 * Called by: the test runner. Where the build has no slabs the claims about slabs are
 * about the heap, and hold for it too. */
#include "alloc.h"
#include "pool.h"
#include "rig.h"

#include <pthread.h>
#include <string.h>

Test(pool, pieces_of_all_sizes_are_apart_and_aligned)
{
    enum { SIZES = 2200 };
    static unsigned char *pieces[SIZES];
    for (size_t n = 0; n < SIZES; n++) {
        pieces[n] = wf_pool_get(n);
        cr_assert_not_null(pieces[n]);
        cr_assert_eq((uintptr_t)pieces[n] % 16, 0);
        if (n > 0 && n % 64 == 0 && n <= WEFT_POOL_BYTES_MAX)
            cr_assert_eq((uintptr_t)pieces[n] % 64, 0, "%zu bytes", n);
        memset(pieces[n], (int)(n % 251), n);
    }
    for (size_t n = 0; n < SIZES; n++) {
        for (size_t i = 0; i < n; i++) cr_assert_eq(pieces[n][i], n % 251, "of %zu bytes", n);
        wf_pool_put(pieces[n]);
    }
}

Test(pool, a_new_message_is_zero_although_its_memory_was_used)
{
    struct note *first = note_new(1, 2);
    memset(&first->from, 0xff, sizeof *first - offsetof(struct note, from));
    weft_drop(&first->msg);
    struct note *second = (struct note *)weft_new(&NOTE);
    cr_assert_eq(second->from, 0);
    cr_assert_eq(second->number, 0);
    cr_assert_null(second->msg.ctx);
    weft_drop(&second->msg);
}

Test(pool, memory_is_used_again_and_not_asked_for)
{
    struct note *note = note_new(0, 0);
    weft_drop(&note->msg);
    size_t before = wf_pool_bytes();
    for (int i = 0; i < 100000; i++) weft_drop(&note_new(0, 0)->msg);
    cr_assert_eq(wf_pool_bytes(), before);
}

Test(pool, a_refused_allocation_gives_no_memory)
{
    (void)wf_alloc_fail_at(1, 1);
    weft_msg *small = weft_new(&NOTE);
    void *large = wf_pool_get(WEFT_POOL_BYTES_MAX + 1);
    (void)wf_alloc_fail_at(0, 0);
    cr_assert_null(small);
    cr_assert_null(large);
}

Test(pool, more_than_all_memory_is_refused)
{
    cr_assert_null(wf_pool_get(SIZE_MAX));
    cr_assert_null(wf_pool_get(SIZE_MAX / 2));
}

/* -- Two threads: one asks, the other frees -- */

struct box {
    void **pieces;
    size_t count, bytes;
};

static void *free_all(void *arg)
{
    struct box *box = arg;
    for (size_t i = 0; i < box->count; i++) wf_pool_put(box->pieces[i]);
    wf_pool_flush();
    return NULL;
}

static void *get_all(void *arg)
{
    struct box *box = arg;
    for (size_t i = 0; i < box->count; i++) {
        box->pieces[i] = wf_pool_get(box->bytes);
        if (box->pieces[i] == NULL) return box;
        memset(box->pieces[i], (int)i, box->bytes);
    }
    return NULL;
}

static void on_another_thread(void *(*fn)(void *), struct box *box)
{
    pthread_t thread;
    void *failed = NULL;
    cr_assert_eq(pthread_create(&thread, NULL, fn, box), 0);
    cr_assert_eq(pthread_join(thread, &failed), 0);
    cr_assert_null(failed);
}

Test(pool, what_another_thread_frees_comes_home)
{
    static void *pieces[1000];
    struct box box = {.pieces = pieces, .count = 1000, .bytes = 96};
    cr_assert_null(get_all(&box));
    size_t before = wf_pool_bytes();
    on_another_thread(free_all, &box); /* may make a pool for that thread */
    size_t with_two = wf_pool_bytes();
    for (int round = 0; round < 50; round++) {
        cr_assert_null(get_all(&box));
        on_another_thread(free_all, &box);
    }
    cr_assert_eq(wf_pool_bytes(), with_two, "nothing asked for but for the first round");
    cr_assert_leq(with_two - before, 65536, "the other one needs no slab to give back");
}

Test(pool, what_a_thread_frees_for_others_goes_home_at_its_end)
{
    static void *pieces[10];
    struct box box = {.pieces = pieces, .count = 10, .bytes = 200};
    cr_assert_null(get_all(&box));
    on_another_thread(free_all, &box);
    static void *again[10];
    struct box second = {.pieces = again, .count = 10, .bytes = 200};
    size_t before = wf_pool_bytes();
    cr_assert_null(get_all(&second));
    cr_assert_eq(wf_pool_bytes(), before);
    cr_assert_null(free_all(&second));
}

Test(pool, an_ended_threads_pieces_stay_good_and_its_slabs_serve_the_next)
{
    static void *pieces[1000];
    struct box box = {.pieces = pieces, .count = 1000, .bytes = 128};
    wf_pool_put(wf_pool_get(1)); /* a pool for this thread, so it takes no other's over */
    on_another_thread(get_all, &box);
    size_t before = wf_pool_bytes();
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < box.count; i++) cr_assert_eq(*(unsigned char *)pieces[i], i % 256);
        cr_assert_null(free_all(&box));
        on_another_thread(get_all, &box);
    }
    cr_assert_eq(wf_pool_bytes(), before);
    cr_assert_null(free_all(&box));
}

/* -- Threads that begin together -- */

enum { TOGETHER = 64 };

static pthread_barrier_t line;

static void *live_a_moment(void *unused)
{
    (void)unused;
    (void)pthread_barrier_wait(&line);
    wf_pool_put(wf_pool_get(100));
    (void)pthread_barrier_wait(&line); /* all pools are in use at once */
    return NULL;
}

static void live_together(void)
{
    pthread_t threads[TOGETHER];
    for (int i = 0; i < TOGETHER; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, live_a_moment, NULL), 0);
    for (int i = 0; i < TOGETHER; i++) cr_assert_eq(pthread_join(threads[i], NULL), 0);
}

Test(pool, threads_that_begin_together_take_over_what_ended_ones_left)
{
    cr_assert_eq(pthread_barrier_init(&line, NULL, TOGETHER), 0);
    live_together();
    size_t before = wf_pool_bytes();
    for (int round = 0; round < 50; round++) live_together();
    cr_assert_eq(wf_pool_bytes(), before);
    (void)pthread_barrier_destroy(&line);
}

Test(pool, slabs_that_nobody_needs_go_back_to_the_heap)
{
    enum { MANY = 50000 };
    static void *pieces[MANY];
    struct box box = {.pieces = pieces, .count = MANY, .bytes = 96};
    wf_pool_put(wf_pool_get(1)); /* the pool itself */
    size_t before = wf_pool_bytes();
    cr_assert_null(get_all(&box));
    size_t full = wf_pool_bytes();
    cr_assert_null(free_all(&box));
    if (full > before) cr_assert_geq(full - before, (size_t)MANY * 96);
    cr_assert_leq(wf_pool_bytes(), before + 5 * (size_t)65536);
    /* And what is left of them still serves. */
    for (int round = 0; round < 3; round++) {
        cr_assert_null(get_all(&box));
        for (size_t i = 0; i < MANY; i++) cr_assert_eq(*(unsigned char *)pieces[i], i % 256);
        cr_assert_null(free_all(&box));
    }
    cr_assert_leq(wf_pool_bytes(), before + 9 * (size_t)65536);
}

static void *get_and_free(void *arg)
{
    if (get_all(arg) != NULL) return arg;
    return free_all(arg);
}

Test(pool, a_thread_that_ends_keeps_no_slab)
{
    static void *pieces[3000];
    struct box box = {.pieces = pieces, .count = 3000, .bytes = 96};
    wf_pool_put(wf_pool_get(1)); /* this thread's pool is no other's */
    on_another_thread(get_and_free, &(struct box){.pieces = pieces, .count = 1, .bytes = 1});
    size_t before = wf_pool_bytes(); /* with a pool that lies there for the next one */
    on_another_thread(get_and_free, &box);
    cr_assert_eq(wf_pool_bytes(), before);
}

Test(pool, a_thread_that_never_idles_gives_a_backlog_back)
{
    enum { MANY = 50000 };
    static void *pieces[MANY];
    struct box box = {.pieces = pieces, .count = MANY, .bytes = 96};
    wf_pool_put(wf_pool_get(1));
    size_t before = wf_pool_bytes();
    cr_assert_null(get_all(&box));
    on_another_thread(free_all, &box);
    for (int i = 0; i < 2000; i++) wf_pool_put(wf_pool_get(96));
    void *held[2000]; /* until what came home is looked at */
    for (int i = 0; i < 2000; i++) held[i] = wf_pool_get(96);
    for (int i = 0; i < 2000; i++) wf_pool_put(held[i]);
    cr_assert_leq(wf_pool_bytes(), before + 9 * (size_t)65536);
}

Test(pool, a_slab_with_one_piece_in_use_stays)
{
    enum { MANY = 50000 };
    static void *pieces[MANY];
    struct box box = {.pieces = pieces, .count = MANY, .bytes = 64};
    cr_assert_null(get_all(&box));
    for (size_t i = 0; i < MANY; i++)
        if (i % 500 != 0) wf_pool_put(pieces[i]);
    wf_pool_flush();
    static void *others[MANY];
    struct box second = {.pieces = others, .count = MANY, .bytes = 64};
    cr_assert_null(get_all(&second)); /* would lie over a slab that went back too early */
    cr_assert_null(free_all(&second));
    for (size_t i = 0; i < MANY; i += 500) {
        cr_assert_eq(*(unsigned char *)pieces[i], i % 256);
        wf_pool_put(pieces[i]);
    }
    wf_pool_flush();
}

/* -- Many threads -- */

enum { THREADS = 4, ROUNDS = 20000, TABLE = 512 };

struct crowd {
    pthread_t thread;
    uint64_t *table; /* of pieces, shared: each is swapped for another */
    uint64_t seed;
};

/* Puts its own piece in the place of a chosen one and frees that, whoever's it was. A piece
 * holds its size and a mark at its end, so a piece that two hold at once is seen. */
static void *swap_pieces(void *arg)
{
    struct crowd *crowd = arg;
    uint64_t x = crowd->seed;
    for (int i = 0; i < ROUNDS; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        size_t bytes = 32 + x % 1200 / 8 * 8;
        uint64_t *piece = wf_pool_get(bytes);
        if (piece == NULL) return crowd;
        piece[0] = bytes;
        piece[bytes / 8 - 1] = bytes ^ (uintptr_t)piece;
        uint64_t *old = (uint64_t *)(uintptr_t)__atomic_exchange_n(
            &crowd->table[x / 4096 % TABLE], (uint64_t)(uintptr_t)piece, __ATOMIC_ACQ_REL);
        if (old == NULL) continue;
        if (old[old[0] / 8 - 1] != (old[0] ^ (uintptr_t)old)) return crowd;
        memset(old, 0, old[0]);
        wf_pool_put(old);
        if (x % 64 == 0) wf_pool_flush();
    }
    return NULL;
}

Test(pool, many_threads_never_hold_one_piece_twice)
{
    static uint64_t table[TABLE];
    struct crowd crowd[THREADS];
    for (unsigned t = 0; t < THREADS; t++) {
        crowd[t] = (struct crowd){.table = table, .seed = 88172645463325252u + t};
        cr_assert_eq(pthread_create(&crowd[t].thread, NULL, swap_pieces, &crowd[t]), 0);
    }
    for (unsigned t = 0; t < THREADS; t++) {
        void *failed = NULL;
        cr_assert_eq(pthread_join(crowd[t].thread, &failed), 0);
        cr_assert_null(failed);
    }
    for (unsigned i = 0; i < TABLE; i++)
        if (table[i] != 0) wf_pool_put((void *)(uintptr_t)table[i]);
}
