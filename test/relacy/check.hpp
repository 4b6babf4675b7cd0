/* SPDX-License-Identifier: Apache-2.0
 * check.hpp - runs one claim over many schedules, and again with each weakness that must be noticed.
 * Called by: the programs of test/relacy. May touch: the orders in relacy_atomic.hpp. */
#ifndef WF_RELACY_CHECK_HPP
#define WF_RELACY_CHECK_HPP

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ostream>
#include <streambuf>

#include "relacy_atomic.hpp"

namespace check
{

/* What was broken; read by the claims that can break more than an order. */
enum weakness {
    NONE,
    NO_RELEASE,      /* every acq_rel and release orders nothing before it */
    NO_ACQUIRE,      /* every acq_rel and acquire orders nothing after it  */
    NO_ACQUIRE_TAKE, /* only the pure acquires                             */
    BROKEN           /* what the claim itself says                         */
};
static int weak = NONE;
static unsigned number, failed;
static unsigned long schedules = 100000;

static void weaken(int weakness)
{
    using namespace shadow;
    weak = weakness;
    order_of[RELAXED] = rl::mo_relaxed;
    order_of[ACQUIRE] = weakness == NO_ACQUIRE || weakness == NO_ACQUIRE_TAKE ? rl::mo_relaxed
                                                                              : rl::mo_acquire;
    order_of[RELEASE] = weakness == NO_RELEASE ? rl::mo_relaxed : rl::mo_release;
    order_of[ACQ_REL] = weakness == NO_RELEASE   ? rl::mo_acquire
                        : weakness == NO_ACQUIRE ? rl::mo_release
                                                 : rl::mo_acq_rel;
}

/* What relacy says, as far as it fits: relacy has operators of its own for memory, so nothing of
 * ours may grow while it runs. */
struct page : std::streambuf {
    char text[32768];
    page() { setp(text, text + sizeof text - 1); }
    virtual int overflow(int c) { return c == traits_type::eof() ? 0 : c; }
    const char *read()
    {
        *pptr() = '\0';
        return text;
    }
};

/* One line of TAP: without a weakness the claim must hold in all schedules, with one it must fail
 * in the way that `how` names in relacy's words. */
template <typename test>
static void claim(const char *what, int weakness = NONE, const char *how = "")
{
    page said;
    std::ostream stream(&said);
    rl::test_params params;
    params.iteration_count = (rl::iteration_t)schedules;
    params.output_stream = &stream;
    params.progress_stream = &stream;
    weaken(weakness);
    bool held = rl::simulate<test>(params);
    bool good = weakness == NONE ? held : !held && strstr(said.read(), how) != NULL;
    unsigned long run = (unsigned long)params.stop_iteration;
    number++;
    printf("%sok %u - %s - %s%lu schedules\n", good ? "" : "not ", number, what,
           weakness == NONE ? "" : "noticed in one of ", run);
    if (!good) {
        failed++;
        fputs(said.read(), stderr);
    }
    fflush(stdout);
    weaken(NONE);
}

/* `program [SCHEDULES]` */
static int main_with(int argc, char **argv, void (*all)())
{
    if (argc > 1) schedules = strtoul(argv[1], NULL, 10);
    all();
    printf("1..%u\n", number);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

} // namespace check

#endif
