/* SPDX-License-Identifier: Apache-2.0
 * criterion_fork_runner.c - runs Criterion tests under the sanitizers.
 * Called by: the linker, in place of -lcriterion, when b_sanitize is set; main() is here.
 * May touch: the test section that Criterion's headers fill; fork, wait, signals.
 * Never: threads of its own, Criterion's library (its arena collides with ThreadSanitizer's shadow). */
#include "criterion_fork_runner.h"

#include <criterion/parameterized.h>
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DEFAULT_TIMEOUT_S = 240, SANITIZER_SLOWDOWN = 5, NOTE_SIZE = 160 };
enum phase { PHASE_SETUP, PHASE_BODY, PHASE_TEARDOWN, PHASE_DONE };

/* Shared with the child, so that what it found out survives however it dies. */
struct verdict {
    atomic_int phase;
    atomic_int failed; /* asserts, from any thread */
    atomic_int skipped;
    char note[NOTE_SIZE]; /* why it was skipped or gave up; written by the test's thread */
};

/* The linker draws these around the two sections; weak, because a program may have neither. */
extern struct criterion_test *__start_cr_tst[] __attribute__((weak));
extern struct criterion_test *__stop_cr_tst[] __attribute__((weak));
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak));
extern struct criterion_suite *__stop_cr_sts[] __attribute__((weak));

/* Weak names that the sanitizers ask for; variables of the environment still win. The first report
 * ends the test. A crash prints its stack (run_child() undoes that where a test expects to crash). */
const char *__tsan_default_options(void);
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "halt_on_error=1:second_deadlock_stack=1:ignore_noninstrumented_modules=1:"
           "atexit_sleep_ms=50";
}
const char *__asan_default_options(void)
{
    return "detect_leaks=1:detect_stack_use_after_return=1:print_legend=0";
}
const char *__ubsan_default_options(void) { return "halt_on_error=1:print_stacktrace=1"; }

struct criterion_options criterion_options; /* the assert macros read .full_stats */

static struct verdict *verdict; /* of the running test */
static pid_t test_pid;          /* the process whose main thread may jump */
static const struct criterion_test_extra_data *suite_data, *test_data;
static void *test_param; /* NULL unless the test has parameters */
static jmp_buf escape;   /* where a failed assert lands */

static void note(const char *format, va_list args)
{
    vsnprintf(verdict->note, sizeof verdict->note, format, args);
    verdict->note[strcspn(verdict->note, "\n#")] = '\0'; /* both would end the TAP line */
}

/* A jump to another thread's stack is undefined, so an assert that fails elsewhere ends the process. */
static _Noreturn void leave(void)
{
    if (getpid() == test_pid && gettid() == test_pid) longjmp(escape, 1);
    fprintf(stderr, "an assert failed off the test's own thread; use cr_expect there\n");
    abort();
}

void wf_fork_runner_fail(void) { atomic_fetch_add(&verdict->failed, 1); }

void criterion_abort_test(void)
{
    wf_fork_runner_fail();
    leave();
}

void criterion_continue_test(void) { wf_fork_runner_fail(); }

void criterion_skip_test(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note(format, args);
    va_end(args);
    atomic_store(&verdict->skipped, 1);
    leave();
}

void criterion_test_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    wf_fork_runner_fail();
    exit(EXIT_FAILURE);
}

/* ---- inside the child: the three calls that every test's trampoline makes ---- */

void criterion_internal_test_setup(void)
{
    if (setjmp(escape) != 0) return; /* phase stays SETUP: the body is left out */
    if (suite_data != NULL && suite_data->init != NULL) suite_data->init();
    if (test_data->init != NULL) test_data->init();
    atomic_store(&verdict->phase, PHASE_BODY);
}

/* Criterion itself hands over the body under a wrong type; clang's function check would object. */
__attribute__((no_sanitize("undefined"))) static void call_body(void (*fn)(void))
{
    if (test_param != NULL) ((void (*)(void *))fn)(test_param);
    else fn();
}

void criterion_internal_test_main(void (*fn)(void))
{
    if (atomic_load(&verdict->phase) != PHASE_BODY) return;
    if (setjmp(escape) == 0) call_body(fn);
}

void criterion_internal_test_teardown(void)
{
    atomic_store(&verdict->phase, PHASE_TEARDOWN);
    if (setjmp(escape) != 0) return;
    if (test_data->fini != NULL) test_data->fini();
    if (suite_data != NULL && suite_data->fini != NULL) suite_data->fini();
    atomic_store(&verdict->phase, PHASE_DONE);
}

static int expected_signal(const struct criterion_test *test)
{
    if (test->data->signal != 0) return test->data->signal;
    return suite_data != NULL ? suite_data->signal : 0;
}

static _Noreturn void run_child(const struct criterion_test *test, const sigset_t *mask)
{
    setpgid(0, 0); /* so that what the test forks can be ended with it */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    /* A sanitizer that catches the signal would turn it into an exit code. */
    if (expected_signal(test) != 0) signal(expected_signal(test), SIG_DFL);
    dup2(STDERR_FILENO, STDOUT_FILENO); /* stdout carries TAP and nothing else */
    test_pid = getpid();
    test->test();
    exit(EXIT_SUCCESS); /* not _exit: leaks and races are reported on the way out */
}

/* ---- in the parent ---- */

static double inherit(double own, double suite) { return own > 0 ? own : suite; }

/* Wait for `child` until the deadline. False when it had to be killed. SIGCHLD is blocked. */
static bool wait_child(pid_t child, double timeout_s, int *status)
{
    struct timespec now, end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)timeout_s + 1;
    sigset_t chld;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    bool in_time = true;
    while (waitpid(child, status, WNOHANG) == 0) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec < end.tv_sec) {
            sigtimedwait(&chld, NULL, &(struct timespec){.tv_sec = 1});
        } else {
            in_time = false;
            kill(child, SIGKILL); /* setpgid may not have happened yet */
            waitpid(child, status, 0);
            break;
        }
    }
    kill(-child, SIGKILL); /* whatever the test left behind */
    return in_time;
}

/* What went wrong; valid until the next call. */
static const char *because(const char *format, ...)
{
    static char text[NOTE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return text;
}

/* NULL when the test kept its promises, else what went wrong. */
static const char *judge(const struct criterion_test *test, int status, bool in_time)
{
    int suite_code = suite_data != NULL ? suite_data->exit_code : 0;
    int expected = expected_signal(test);
    int code = test->data->exit_code != 0 ? test->data->exit_code : suite_code;
    int phase = atomic_load(&verdict->phase), failed = atomic_load(&verdict->failed);

    if (!in_time) return "timed out";
    if (failed > 0) return because("%d failed assert(s)", failed);
    if (WIFSIGNALED(status)) {
        int died_of = WTERMSIG(status);
        if (phase == PHASE_BODY && died_of == expected) return NULL;
        return because("signal %d (%s)", died_of, strsignal(died_of));
    }
    if (expected != 0) return because("signal %d was expected", expected);
    if (WEXITSTATUS(status) != code) {
        const char *why = phase == PHASE_DONE ? "a sanitizer reported at exit" : "it ended early";
        return because("exit code %d, expected %d: %s", WEXITSTATUS(status), code, why);
    }
    bool ended = phase == PHASE_DONE || atomic_load(&verdict->skipped);
    return code == 0 && !ended ? "left before its end" : NULL;
}

/* One test, once; prints its TAP line. */
static bool run_one(const struct criterion_test *test, const char *suffix, unsigned number)
{
    if (test->data->disabled || (suite_data != NULL && suite_data->disabled)) {
        printf("ok %u - %s/%s%s # SKIP disabled\n", number, test->category, test->name, suffix);
        return true;
    }
    memset(verdict, 0, sizeof *verdict);
    test_data = test->data;
    double limit = inherit(test->data->timeout, suite_data != NULL ? suite_data->timeout : 0);
    fflush(NULL);
    sigset_t chld, before;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, &before);
    pid_t child = fork();
    if (child == 0) run_child(test, &before);
    int status = 0;
    const char *why = "fork failed";
    if (child > 0) {
        bool in_time = wait_child(child, limit > 0 ? limit * SANITIZER_SLOWDOWN : DEFAULT_TIMEOUT_S,
                                  &status);
        why = judge(test, status, in_time);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    printf("%sok %u - %s/%s%s", why != NULL ? "not " : "", number, test->category, test->name,
           suffix);
    if (why != NULL) printf(" # %s", why);
    else if (atomic_load(&verdict->skipped)) printf(" # SKIP %s", verdict->note);
    printf("\n");
    return why == NULL;
}

/* All parameters of one test. */
static bool run_test(const struct criterion_test *test, unsigned *number)
{
    suite_data = NULL;
    for (struct criterion_suite **s = __start_cr_sts; s < __stop_cr_sts; s++)
        if (*s != NULL && strcmp((*s)->name, test->category) == 0) suite_data = (*s)->data;
    if (test->data->kind_ != CR_TEST_PARAMETERIZED) return run_one(test, "", ++*number);

    struct criterion_test_params params = test->data->param_();
    bool good = true;
    for (size_t i = 0; i < params.length; i++) {
        char suffix[32];
        snprintf(suffix, sizeof suffix, "[%zu]", i);
        test_param = (char *)params.params + i * params.size;
        if (!run_one(test, suffix, ++*number)) good = false;
    }
    test_param = NULL;
    if (params.cleanup != NULL) params.cleanup(&params);
    return good;
}

/* `program [--filter PATTERN]`, PATTERN as in "suite/name"; Criterion's other flags are ignored. */
int main(int argc, char **argv)
{
    const char *pattern = "*";
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--filter=", 9) == 0) pattern = argv[i] + 9;
        else if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc) pattern = argv[++i];
    }
    verdict = mmap(NULL, sizeof *verdict, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                   0);
    if (verdict == MAP_FAILED) return perror("mmap"), EXIT_FAILURE;
    unsigned number = 0, bad = 0;
    for (struct criterion_test **t = __start_cr_tst; t < __stop_cr_tst; t++) {
        if (*t == NULL) continue; /* a red zone that a sanitizer put between two pointers */
        char name[256];
        snprintf(name, sizeof name, "%s/%s", (*t)->category, (*t)->name);
        if (fnmatch(pattern, name, 0) == 0 && !run_test(*t, &number)) bad++;
    }
    printf("1..%u\n", number);
    return bad > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
