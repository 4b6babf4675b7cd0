/* SPDX-License-Identifier: Apache-2.0
 * phys: what this machine can do at best.  `phys` measures everything,
 * `phys malloc` only the allocator (for LD_PRELOAD runs), `phys handoff` only
 * how far apart the two CPUs are just now (one number).  One line per limit:
 *   name <tab> min <tab> p25 <tab> median <tab> max      nanoseconds
 * of 41 repetitions, each about a millisecond long, so that on a shared machine
 * the best ones fit between other processes' turns.
 * It pins its two threads to CPUs 0 and 1 where the name says so. */
#include "bench.h"
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

enum { REPS = 41 };
#define PAUSE() __builtin_ia32_pause()
typedef uint64_t line_t __attribute__((aligned(128)));

static void pin(int cpu)
{
    cpu_set_t s;
    CPU_ZERO(&s);
    if (cpu < 0) CPU_SET(0, &s), CPU_SET(1, &s);
    else CPU_SET((unsigned)cpu, &s);
    sched_setaffinity(0, sizeof s, &s);
}
static int cmp_d(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}
static void show(const char *name, double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, cmp_d);
    printf("%s\t%.1f\t%.1f\t%.1f\t%.1f\n", name, v[0], v[n / 4], v[n / 2], v[n - 1]);
    fflush(stdout);
}
static pthread_barrier_t bar2;

/* ---- one thread ---- */
static line_t word;
static pthread_mutex_t mtx = PTHREAD_MUTEX_INITIALIZER;
static volatile uint64_t sink;

#define SOLO(name, N, ...)                                      \
    do {                                                        \
        double v_[REPS];                                        \
        for (int r_ = 0; r_ < REPS; r_++) {                     \
            uint64_t t_ = now_ns();                             \
            for (uint64_t i = 0; i < (N); i++) { __VA_ARGS__; } \
            v_[r_] = (double)(now_ns() - t_) / (double)(N);     \
        }                                                       \
        show(name, v_, REPS);                                   \
    } while (0)

static void *nothing(void *a) { return a; }

static void solo(void)
{
    pin(0);
    SOLO("clock_gettime(MONOTONIC)", 30000, sink = now_ns());
    SOLO("atomic xchg, uncontended", 200000, __atomic_exchange_n(&word, i, __ATOMIC_SEQ_CST));
    SOLO("atomic fetch_add, uncontended", 200000, __atomic_fetch_add(&word, i, __ATOMIC_SEQ_CST));
    SOLO("atomic CAS, uncontended", 200000, uint64_t o = __atomic_load_n(&word, __ATOMIC_RELAXED);
         __atomic_compare_exchange_n(&word, &o, i, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    SOLO("store + mfence", 40000, __atomic_store_n(&word, i, __ATOMIC_RELAXED);
         __builtin_ia32_mfence());
    SOLO("pause instruction", 30000, PAUSE());
    SOLO("pthread mutex lock+unlock, uncontended", 80000, pthread_mutex_lock(&mtx);
         pthread_mutex_unlock(&mtx));
    uint32_t w = 0;
    SOLO("futex_wake with nobody waiting", 4000, futex_wake_word(&w, 1));
    int fd = eventfd(0, 0);
    SOLO("eventfd write+read", 2000, uint64_t x = 1;
         if (write(fd, &x, 8) + read(fd, &x, 8) != 16) die("eventfd"));
    SOLO("sched_yield alone", 2000, sched_yield());
    {
        double v[REPS];
        size_t len = 4u << 20;
        for (int r = 0; r < REPS; r++) {
            char *m = (char *)mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                   -1, 0);
            madvise(m, len, MADV_NOHUGEPAGE);
            uint64_t t = now_ns();
            for (size_t i = 0; i < len; i += 4096) m[i] = 1;
            v[r] = (double)(now_ns() - t) / (double)(len / 4096);
            munmap(m, len);
        }
        show("first touch of a fresh 4 KiB page", v, REPS);
    }
    pin(-1);
    SOLO("pthread_create+join", 20, pthread_t t; pthread_create(&t, NULL, nothing, NULL);
         pthread_join(t, NULL));
}

/* ---- contended read-modify-write ---- */
struct cont {
    int cpu, op;
    double ns;
};
static void *cont_main(void *a)
{
    struct cont *c = (struct cont *)a;
    const uint64_t N = 400000;
    pin(c->cpu);
    pthread_barrier_wait(&bar2);
    uint64_t t = now_ns();
    for (uint64_t i = 0; i < N; i++)
        if (c->op == 0) __atomic_exchange_n(&word, i, __ATOMIC_SEQ_CST);
        else if (c->op == 1) __atomic_fetch_add(&word, 1, __ATOMIC_SEQ_CST);
        else {
            uint64_t o = __atomic_load_n(&word, __ATOMIC_RELAXED);
            while (!__atomic_compare_exchange_n(&word, &o, o + 1, 0, __ATOMIC_SEQ_CST,
                                                __ATOMIC_RELAXED)) {}
        }
    c->ns = (double)(now_ns() - t) / (double)N;
    return NULL;
}
static void contended(const char *name, int op)
{
    double v[REPS];
    for (int r = 0; r < REPS; r++) {
        struct cont c[2] = {{0, op, 0}, {1, op, 0}};
        pthread_t t[2];
        for (int i = 0; i < 2; i++) pthread_create(&t[i], NULL, cont_main, &c[i]);
        for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
        v[r] = (c[0].ns + c[1].ns) / 2;
    }
    show(name, v, REPS);
}

/* ---- cache line and futex ping-pong ---- */
struct pp {
    int cpu, me, how; /* how: 0 spin, 1 spin+pause, 2 futex, 3 eventfd, 4 spin then futex */
    uint64_t n;
    double ns;
};
static line_t turn;
static uint32_t fut[2] __attribute__((aligned(128)));
static int efd[2];
static void *pp_main(void *a)
{
    struct pp *p = (struct pp *)a;
    pin(p->cpu);
    pthread_barrier_wait(&bar2);
    uint64_t t = now_ns();
    for (uint64_t i = 0; i < p->n; i++) {
        if (p->how < 2) {
            uint64_t want = 2 * i + (uint64_t)p->me;
            while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != want)
                if (p->how) PAUSE();
            __atomic_store_n(&turn, want + 1, __ATOMIC_RELEASE);
        } else if (p->how == 2) {
            if (p->me || i)
                while (!__atomic_exchange_n(&fut[p->me], 0, __ATOMIC_ACQ_REL))
                    futex_wait_word(&fut[p->me], 0);
            __atomic_store_n(&fut[!p->me], 1, __ATOMIC_RELEASE);
            futex_wake_word(&fut[!p->me], 1);
        } else {
            uint64_t x;
            if (p->me || i)
                if (read(efd[p->me], &x, 8) != 8) die("read");
            x = 1;
            if (write(efd[!p->me], &x, 8) != 8) die("write");
        }
    }
    p->ns = (double)(now_ns() - t) / (double)p->n / 2;
    return NULL;
}
static void pingpong(const char *name, int how, int cpu0, int cpu1, uint64_t n)
{
    double v[REPS];
    int reps = name ? REPS : 9;
    for (int r = 0; r < reps; r++) {
        struct pp p[2] = {{cpu0, 0, how, n, 0}, {cpu1, 1, how, n, 0}};
        pthread_t t[2];
        turn = 0;
        fut[0] = fut[1] = 0;
        efd[0] = eventfd(0, 0);
        efd[1] = eventfd(0, 0);
        for (int i = 0; i < 2; i++) pthread_create(&t[i], NULL, pp_main, &p[i]);
        for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
        close(efd[0]);
        close(efd[1]);
        v[r] = (p[0].ns + p[1].ns) / 2;
    }
    if (name) {
        show(name, v, REPS);
        return;
    }
    qsort(v, (size_t)reps, sizeof *v, cmp_d);
    printf("%.1f\n", v[reps / 2]);
}

/* ---- futex wake -> run, the waiter asleep for `gap` before ---- */
struct wr {
    int cpu;
    uint64_t n;
    double *lat;
};
static uint64_t wr_stamp;
static uint32_t wr_word, wr_ready;
static void *wr_main(void *a)
{
    struct wr *w = (struct wr *)a;
    pin(w->cpu);
    for (uint64_t i = 0; i < w->n; i++) {
        __atomic_store_n(&wr_ready, 1, __ATOMIC_RELEASE);
        while (!__atomic_load_n(&wr_word, __ATOMIC_ACQUIRE)) futex_wait_word(&wr_word, 0);
        w->lat[i] = (double)(now_ns() - wr_stamp);
        __atomic_store_n(&wr_word, 0, __ATOMIC_RELEASE);
    }
    return NULL;
}
static void wake_run(const char *name, int cpu0, int cpu1, uint64_t gap, int busy_wait)
{
    enum { N = 40 };
    double *lat = (double *)malloc(N * sizeof *lat), *call = (double *)malloc(N * sizeof *call);
    double med[REPS], medcall[REPS], p99[REPS];
    for (int r = 0; r < REPS; r++) {
        struct wr w = {cpu1, N, lat};
        pthread_t t;
        wr_word = wr_ready = 0;
        pin(cpu0);
        pthread_create(&t, NULL, wr_main, &w);
        for (int i = 0; i < N; i++) {
            while (!__atomic_load_n(&wr_ready, __ATOMIC_ACQUIRE) ||
                   __atomic_load_n(&wr_word, __ATOMIC_ACQUIRE))
                if (cpu0 == cpu1) sched_yield();
            __atomic_store_n(&wr_ready, 0, __ATOMIC_RELEASE);
            if (busy_wait)
                for (uint64_t e = now_ns() + gap; now_ns() < e;) {}
            else pause_ns((long)gap);
            wr_stamp = now_ns();
            __atomic_store_n(&wr_word, 1, __ATOMIC_RELEASE);
            futex_wake_word(&wr_word, 1);
            call[i] = (double)(now_ns() - wr_stamp);
        }
        pthread_join(t, NULL);
        qsort(lat, N, sizeof *lat, cmp_d);
        qsort(call, N, sizeof *call, cmp_d);
        med[r] = lat[N / 2];
        p99[r] = lat[N * 99 / 100];
        medcall[r] = call[N / 2];
    }
    char s[200];
    snprintf(s, sizeof s, "futex wake->run p50, %s", name);
    show(s, med, REPS);
    snprintf(s, sizeof s, "futex wake->run p99, %s", name);
    show(s, p99, REPS);
    snprintf(s, sizeof s, "  the futex_wake call itself, %s", name);
    show(s, medcall, REPS);
    free(lat);
    free(call);
    pin(-1);
}

/* ---- malloc ---- */
enum { RING = 1024 };
static void *ring[RING];
static line_t rin, rout;
struct mf {
    int cpu, consume;
    uint64_t n;
    double ns;
};
static void *mf_main(void *a)
{
    struct mf *m = (struct mf *)a;
    pin(m->cpu);
    pthread_barrier_wait(&bar2);
    uint64_t t = now_ns();
    for (uint64_t i = 0; i < m->n; i += RING / 4) {
        if (!m->consume) {
            while (i + RING / 4 - __atomic_load_n(&rout, __ATOMIC_ACQUIRE) > RING) PAUSE();
            for (uint64_t k = i; k < i + RING / 4; k++) {
                uint64_t *p = (uint64_t *)malloc(64);
                p[0] = k;
                ring[k % RING] = p;
            }
            __atomic_store_n(&rin, i + RING / 4, __ATOMIC_RELEASE);
        } else {
            while (__atomic_load_n(&rin, __ATOMIC_ACQUIRE) < i + RING / 4) PAUSE();
            for (uint64_t k = i; k < i + RING / 4; k++) free(ring[k % RING]);
            __atomic_store_n(&rout, i + RING / 4, __ATOMIC_RELEASE);
        }
    }
    m->ns = (double)(now_ns() - t) / (double)m->n;
    return NULL;
}
static void *solo_malloc(void *a)
{
    (void)a; /* in a second thread, so that glibc's single-thread shortcut is off */
    pin(0);
    SOLO("malloc+free 64 B, same thread", 100000, void *p = malloc(64);
         __asm__ volatile("" ::"r"(p)
                          : "memory");
         free(p));
    double v[REPS];
    for (int r = 0; r < REPS; r++) {
        uint64_t t = now_ns();
        for (int i = 0; i < 50; i++) {
            for (int k = 0; k < 1024; k++) ring[k] = malloc(64);
            for (int k = 0; k < 1024; k++) free(ring[k]);
        }
        v[r] = (double)(now_ns() - t) / 50 / 1024;
    }
    show("malloc x1024 then free x1024, 64 B, same thread (per pair)", v, REPS);
    return NULL;
}
static void mallocs(void)
{
    pthread_t t0;
    pthread_create(&t0, NULL, solo_malloc, NULL);
    pthread_join(t0, NULL);
    double v[REPS];
    for (int r = 0; r < REPS; r++) {
        struct mf m[2] = {{0, 0, 1 << 15, 0}, {1, 1, 1 << 15, 0}};
        pthread_t t[2];
        rin = rout = 0;
        for (int i = 0; i < 2; i++) pthread_create(&t[i], NULL, mf_main, &m[i]);
        for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
        v[r] = (m[0].ns + m[1].ns) / 2;
    }
    show("malloc on CPU 0, free on CPU 1, 64 B (per message, both overlap)", v, REPS);
}

int main(int argc, char **argv)
{
    pthread_barrier_init(&bar2, NULL, 2);
    if (argc > 1 && !strcmp(argv[1], "malloc")) {
        mallocs();
        return 0;
    }
    if (argc > 1 && !strcmp(argv[1], "handoff")) {
        pingpong(NULL, 0, 0, 1, 20000);
        return 0;
    }
    solo();
    contended("atomic xchg, 2 threads on one line (per op per thread)", 0);
    contended("atomic fetch_add, 2 threads on one line (per op per thread)", 1);
    contended("atomic CAS increment, 2 threads on one line (per op per thread)", 2);
    pingpong("cache line handoff, one way, spinning, CPUs 0-1", 0, 0, 1, 40000);
    pingpong("cache line handoff, one way, spinning with pause, CPUs 0-1", 1, 0, 1, 40000);
    pingpong("futex handoff, one way, both on CPU 0", 2, 0, 0, 500);
    pingpong("futex handoff, one way, CPUs 0-1", 2, 0, 1, 200);
    pingpong("futex handoff, one way, not pinned", 2, -1, -1, 500);
    pingpong("eventfd handoff, one way, both on CPU 0", 3, 0, 0, 500);
    pingpong("eventfd handoff, one way, CPUs 0-1", 3, 0, 1, 200);
    wake_run("same CPU, waker then sleeps", 0, 0, 200000, 0);
    wake_run("other CPU, asleep 3 us (waker busy)", 0, 1, 3000, 1);
    wake_run("other CPU, asleep 50 us (waker busy)", 0, 1, 50000, 1);
    wake_run("other CPU, asleep 1 ms (waker slept too)", 0, 1, 1000000, 0);
    mallocs();
    return 0;
}
