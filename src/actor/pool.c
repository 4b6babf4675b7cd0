/* SPDX-License-Identifier: Apache-2.0
 * pool.c - memory in slabs that belong to one thread each.
 * Called by: any thread, through pool.h. May touch: its own pool; of another's only the
 * word that returned memory is pushed to.
 * Never: looks into memory that is in use; waits, but for another thread's first step. */
#include "pool.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include <weft/limits.h>
#include <weft/stats.h>

#include "alloc.h"
#include "log.h"
#include "port.h"
#include "word.h"

/* How many bytes are held now. Relaxed: a figure, nothing hangs on it. */
static size_t held;

static uint64_t refused; /* requests that the limit did not let through */

size_t wf_pool_bytes(void) { return wf_load(&held, WF_RELAXED); }

uint64_t wf_pool_refused(void) { return wf_load(&refused, WF_RELAXED); }

/* No object is larger than half the address space; some checkers abort when asked for one. */
#define BYTES_MAX (SIZE_MAX / 4)

#if WF_POOL

static size_t limit; /* of `held`; 0: none. Relaxed, too */

/* Once for each slab, each pool and each large piece: who takes a piece of a slab counts nothing.
 * A compare-and-swap, not an addition that is undone, so that nobody is refused for another's sake. */
static bool hold(size_t bytes)
{
    size_t seen = wf_load(&held, WF_RELAXED);
    do {
        size_t most = wf_load(&limit, WF_RELAXED);
        if (most != 0 && (seen >= most || bytes > most - seen)) {
            (void)wf_add(&refused, 1, WF_RELAXED);
            return false;
        }
    } while (!wf_cas_weak(&held, &seen, seen + bytes, WF_RELAXED));
    return true;
}

static void let_go(size_t bytes) { (void)wf_sub(&held, bytes, WF_RELAXED); }

#define SLAB_BYTES ((size_t)65536) /* and its alignment: the head is found by masking */
#define HEAD_BYTES ((size_t)64)
#define STEP ((size_t)32)       /* between the small sizes ...               */
#define SMALL_MAX ((size_t)256) /* ... up to here; from here on in two steps */
#define SMALL_CLASSES (SMALL_MAX / STEP)
#define CLASSES (SMALL_CLASSES + (WEFT_POOL_BYTES_MAX - SMALL_MAX) / (2 * STEP))
#define BATCH 64u /* pieces that travel home together      */
#define PENDING 16u
#define KEEP_SLABS 4u /* worth of free pieces that a bin keeps */
#define LINE 64

/* What a free piece holds. `batch` and `count` are those of the first of a batch. */
struct piece {
    struct piece *next;
    struct piece *batch; /* the first of the next batch */
    uint32_t count;
};

static_assert(sizeof(struct piece) <= STEP, "a free piece of the least size holds its links");
static_assert(WEFT_POOL_BYTES_MAX % (2 * STEP) == 0, "the largest size is a class");
static_assert(CLASSES <= 32, "one bit for each class");

struct slab {
    struct bin *bin; /* these three never change, so that all threads may read them */
    struct pool *pool;
    uint32_t size;
    uint32_t unused;   /* the owner's, while it trims */
    struct slab *next; /* the owner's                 */
};

static_assert(sizeof(struct slab) <= HEAD_BYTES, "the head of a slab fits a line");

/* The pieces of one size of one thread. */
struct bin {
    struct piece *free;         /* handed out from here                        */
    struct piece *batches;      /* came home together, not begun yet           */
    unsigned char *fresh, *end; /* of the newest slab: never handed out yet */
    struct slab *slabs;
    uint32_t count;   /* of free pieces, also those in batches */
    uint32_t trim_at; /* more than so many: look for whole slabs to give back */
    uint32_t size, class;
    char pad_owner[LINE];
    uintptr_t returned; /* any thread: a word whose nodes are the firsts of batches */
    char pad_returned[LINE - sizeof(uintptr_t)];
};

/* What this thread has freed for one bin and not sent home yet. */
struct pending {
    struct bin *bin;
    struct piece *first;
    uint32_t count;
};

struct pool {
    uint32_t waiting;  /* a bit for each entry of `pending` in use */
    uint32_t ample;    /* a bit for each bin worth trimming        */
    struct pool *next; /* among those whose thread has ended       */
    struct pending pending[PENDING];
    struct bin bins[CLASSES];
};

static _Thread_local struct pool *mine;
static uintptr_t orphans; /* a word: pools whose threads have ended */
static uint32_t adopting; /* 1: a thread takes one of them          */

static unsigned class_of(size_t bytes)
{
    if (bytes <= STEP) return 0;
    if (bytes <= SMALL_MAX) return (unsigned)((bytes - 1) / STEP);
    return (unsigned)(SMALL_CLASSES + (bytes - SMALL_MAX - 1) / (2 * STEP));
}

static uint32_t size_of_class(unsigned class)
{
    if (class < SMALL_CLASSES) return (uint32_t)(STEP * (class + 1));
    return (uint32_t)(SMALL_MAX + 2 * STEP * (class - SMALL_CLASSES + 1));
}

static uint32_t per_slab(uint32_t size) { return (uint32_t)((SLAB_BYTES - HEAD_BYTES) / size); }

static struct slab *slab_of(const void *memory)
{
    return (struct slab *)((uintptr_t)memory & ~(uintptr_t)(SLAB_BYTES - 1));
}

/* -- Pools ---------------------------------------------------------------------- */

/* [PUSH] carries all that the ended thread did to its pool. */
static void orphan_push(struct pool *pool)
{
    (void)wf_word_push(&orphans, pool, (void **)&pool->next);
}

/* One thread at a time takes one out: nobody else can take what it looks at and put it back
 * meanwhile, and who finds none knows that there was none. It holds the word for a few
 * instructions, at the begin of a thread. */
static struct pool *adopt(void)
{
    struct wf_port *port = wf_port_machine();
    /* [ADOPT] acquire: pairs with the release below: what the taker before us took is gone. */
    while (wf_xchg(&adopting, 1, WF_ACQUIRE) != 0) port->ops->yield(port);
    uintptr_t seen = wf_load(&orphans, WF_ACQUIRE); /* pairs with [PUSH] */
    while (seen != WF_BOX_EMPTY) {
        struct pool *next = ((struct pool *)seen)->next;
        /* Acquire: pairs with [PUSH]. */
        if (wf_cas_weak(&orphans, &seen, (uintptr_t)next, WF_ACQUIRE)) break;
        seen = wf_load(&orphans, WF_ACQUIRE);
    }
    wf_store(&adopting, 0, WF_RELEASE);
    return (struct pool *)seen;
}

static struct pool *build(void)
{
    if (!hold(sizeof(struct pool))) return NULL;
    struct pool *pool = wf_alloc_raw(LINE, sizeof *pool);
    if (pool == NULL) {
        let_go(sizeof *pool);
        return NULL;
    }
    *pool = (struct pool){0};
    for (unsigned i = 0; i < CLASSES; i++) {
        struct bin *bin = &pool->bins[i];
        bin->class = i;
        bin->size = size_of_class(i);
        bin->trim_at = KEEP_SLABS * per_slab(bin->size);
    }
    return pool;
}

static void thread_ends(void *unused)
{
    (void)unused;
    wf_pool_thread_end();
}

static struct pool *begin(void)
{
    struct pool *pool = adopt();
    if (pool == NULL) pool = build();
    if (pool == NULL) return NULL;
    mine = pool;
    /* If it cannot be arranged the slabs are lost with the thread: a leak, not an error. */
    struct wf_port *port = wf_port_machine();
    (void)port->ops->on_thread_end(port, thread_ends, NULL);
    return pool;
}

/* -- What nobody needs ------------------------------------------------------------ */

/* One list of all free pieces of a bin. */
static struct piece *gather(struct bin *bin)
{
    struct piece *all = bin->free;
    while (bin->batches != NULL) {
        struct piece *piece = bin->batches;
        bin->batches = piece->batch;
        while (piece != NULL) {
            struct piece *next = piece->next;
            piece->next = all;
            all = piece;
            piece = next;
        }
    }
    bin->free = NULL;
    return all;
}

/* Frees the slabs that are marked by `unused == UINT32_MAX`. */
static void free_marked(struct bin *bin)
{
    struct slab **at = &bin->slabs;
    while (*at != NULL) {
        struct slab *slab = *at;
        if (slab->unused != UINT32_MAX) {
            at = &slab->next;
            continue;
        }
        *at = slab->next;
        let_go(SLAB_BYTES);
        wf_free(slab);
    }
}

/* How many pieces of each slab nobody uses. */
static void count_unused(struct bin *bin, const struct piece *all)
{
    for (struct slab *slab = bin->slabs; slab != NULL; slab = slab->next) slab->unused = 0;
    for (const struct piece *piece = all; piece != NULL; piece = piece->next)
        slab_of(piece)->unused++;
    /* What was never handed out is the newest slab's. */
    if (bin->slabs != NULL && bin->fresh != bin->end)
        bin->slabs->unused += (uint32_t)((size_t)(bin->end - bin->fresh) / bin->size);
}

/* Frees slabs of which no piece is in use, but for `keep`. This walks all free pieces, so while
 * the thread lives it is done only when their number has doubled since the last walk. */
static void trim(struct bin *bin, uint32_t keep)
{
    uint32_t whole = per_slab(bin->size);
    struct piece *all = gather(bin);
    count_unused(bin, all);
    for (struct slab *slab = bin->slabs; slab != NULL; slab = slab->next) {
        if (slab->unused < whole) continue;
        if (keep > 0) keep--;
        else slab->unused = UINT32_MAX;
    }
    bin->count = 0;
    while (all != NULL) {
        struct piece *next = all->next;
        if (slab_of(all)->unused != UINT32_MAX) {
            all->next = bin->free;
            bin->free = all;
            bin->count++;
        }
        all = next;
    }
    if (bin->slabs != NULL && bin->slabs->unused == UINT32_MAX) bin->fresh = bin->end = NULL;
    free_marked(bin);
    uint32_t least = KEEP_SLABS * whole, twice = 2 * bin->count;
    bin->trim_at = twice > least ? twice : least;
}

static void trim_ample(struct pool *pool)
{
    while (pool->ample != 0) {
        unsigned class = (unsigned)__builtin_ctz(pool->ample);
        pool->ample &= pool->ample - 1;
        trim(&pool->bins[class], KEEP_SLABS);
    }
}

/* -- Taking ---------------------------------------------------------------------- */

static bool add_slab(struct pool *pool, struct bin *bin)
{
    if (!hold(SLAB_BYTES)) return false;
    struct slab *slab = wf_alloc_raw(SLAB_BYTES, SLAB_BYTES);
    if (slab == NULL) {
        let_go(SLAB_BYTES);
        return false;
    }
    *slab = (struct slab){.bin = bin, .pool = pool, .size = bin->size, .next = bin->slabs};
    bin->slabs = slab;
    bin->fresh = (unsigned char *)slab + HEAD_BYTES;
    bin->end = bin->fresh + (size_t)per_slab(bin->size) * bin->size;
    return true;
}

/* The owner takes what came home since it last looked. */
static void take_returned(struct pool *pool, struct bin *bin)
{
    struct piece *batch = (struct piece *)wf_word_take(&bin->returned);
    bin->batches = batch;
    for (; batch != NULL; batch = batch->batch) bin->count += batch->count;
    if (bin->count > bin->trim_at) pool->ample |= 1u << bin->class;
}

/* `free` is empty. */
static void *get_slowly(struct pool *pool, struct bin *bin)
{
    if (bin->batches == NULL) take_returned(pool, bin);
    /* A thread that only sends never idles, so here a backlog that is over goes back. */
    if (pool->ample & 1u << bin->class) trim_ample(pool);
    struct piece *piece = bin->free;
    if (piece == NULL && bin->batches != NULL) {
        piece = bin->batches;
        bin->batches = piece->batch;
    }
    if (piece != NULL) {
        bin->free = piece->next;
        bin->count--;
        return piece;
    }
    if (bin->fresh == bin->end && !add_slab(pool, bin)) return NULL;
    void *memory = bin->fresh;
    bin->fresh += bin->size;
    return memory;
}

/* -- Pieces that no slab holds ------------------------------------------------------ */

/* Their addresses are odd multiples of 16, those of a slab multiples of 32: so they are
 * told apart without looking into memory. The start and the size stand before them. */
struct large {
    void *start;
    size_t bytes;
};

static_assert(sizeof(struct large) <= 16, "the head of a large piece stands before it");

static bool is_large(const void *memory) { return ((uintptr_t)memory & (STEP - 1)) != 0; }

static void *large_get(size_t bytes)
{
    if (!hold(bytes)) return NULL;
    unsigned char *start = wf_alloc_raw(16, bytes + 2 * STEP);
    if (start == NULL) {
        let_go(bytes);
        return NULL;
    }
    uintptr_t at = ((uintptr_t)start + 16 + (STEP - 1) - 16) / STEP * STEP + 16;
    unsigned char *memory = start + (at - (uintptr_t)start);
    *(struct large *)(void *)(memory - 16) = (struct large){.start = start, .bytes = bytes};
    return memory;
}

static void large_put(void *memory)
{
    struct large large = *(struct large *)(void *)((unsigned char *)memory - 16);
    let_go(large.bytes);
    wf_free(large.start);
}

void *wf_pool_get(size_t bytes)
{
    if (wf_alloc_refused() || bytes > BYTES_MAX) return NULL;
    if (bytes > WEFT_POOL_BYTES_MAX) return large_get(bytes);
    struct pool *pool = mine != NULL ? mine : begin();
    if (pool == NULL) return NULL;
    struct bin *bin = &pool->bins[class_of(bytes)];
    struct piece *piece = bin->free;
    if (piece == NULL) return get_slowly(pool, bin);
    bin->free = piece->next;
    bin->count--;
    return piece;
}

/* -- Giving back --------------------------------------------------------------------- */

/* A batch goes home. [PUSH] and [TAKE]: our last use of the pieces happens-before the
 * owner's next. */
static void send_home(struct bin *bin, struct piece *first, uint32_t count)
{
    first->count = count;
    (void)wf_word_push(&bin->returned, first, (void **)&first->batch);
}

static void put_away(struct pool *pool, struct slab *slab, struct piece *piece)
{
    struct bin *bin = slab->bin;
    /* By place, not by hash: neighbours of one pool do not meet. */
    uint32_t slot = (uint32_t)((uintptr_t)bin / sizeof *bin) % PENDING;
    struct pending *pending = &pool->pending[slot];
    if (pending->bin != bin) {
        if (pending->count > 0) send_home(pending->bin, pending->first, pending->count);
        *pending = (struct pending){.bin = bin};
    }
    piece->next = pending->first;
    pending->first = piece;
    pool->waiting |= 1u << slot;
    if (++pending->count < BATCH) return;
    send_home(bin, piece, BATCH);
    pending->first = NULL;
    pending->count = 0;
}

void wf_pool_put(void *memory)
{
    if (is_large(memory)) {
        large_put(memory);
        return;
    }
    struct slab *slab = slab_of(memory);
    struct piece *piece = memory;
    struct pool *pool = mine != NULL ? mine : begin();
    if (pool == slab->pool) {
        struct bin *bin = slab->bin;
        piece->next = bin->free;
        bin->free = piece;
        if (++bin->count > bin->trim_at) pool->ample |= 1u << bin->class;
    } else if (pool != NULL) {
        put_away(pool, slab, piece);
    } else { /* not even memory for a pool: it goes home alone */
        piece->next = NULL;
        send_home(slab->bin, piece, 1);
    }
}

/* -- Now and then ------------------------------------------------------------------------ */

static void send_all_home(struct pool *pool)
{
    while (pool->waiting != 0) {
        unsigned slot = (unsigned)__builtin_ctz(pool->waiting);
        struct pending *pending = &pool->pending[slot];
        pool->waiting &= pool->waiting - 1;
        if (pending->count > 0) send_home(pending->bin, pending->first, pending->count);
        *pending = (struct pending){0};
    }
}

void wf_pool_flush(void)
{
    struct pool *pool = mine;
    if (pool == NULL) return;
    if (pool->waiting != 0) send_all_home(pool);
    if (pool->ample != 0) trim_ample(pool);
}

void wf_pool_thread_end(void)
{
    struct pool *pool = mine;
    if (pool == NULL) return;
    send_all_home(pool);
    for (unsigned i = 0; i < CLASSES; i++) {
        struct bin *bin = &pool->bins[i];
        if (bin->slabs == NULL) continue;
        bin->free = gather(bin);
        take_returned(pool, bin);
        trim(bin, 0); /* who knows when a thread takes it over */
    }
    pool->ample = 0;
    mine = NULL;
    orphan_push(pool);
}

weft_err weft_pool_limit(size_t bytes)
{
    wf_store(&limit, bytes, WF_RELAXED);
    return WEFT_OK;
}

#else /* a checker of memory watches each piece by itself */

void *wf_pool_get(size_t bytes)
{
    if (wf_alloc_refused() || bytes > BYTES_MAX) return NULL;
    return wf_alloc_raw(bytes % 64 == 0 ? 64 : 16, bytes);
}

void wf_pool_put(void *memory) { wf_free(memory); }

void wf_pool_flush(void) {}

void wf_pool_thread_end(void) {}

weft_err weft_pool_limit(size_t bytes) { return bytes == 0 ? WEFT_OK : WEFT_UNSUPPORTED; }

#endif
