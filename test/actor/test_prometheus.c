/* SPDX-License-Identifier: Apache-2.0
 * test_prometheus.c - the text for Prometheus: its form, its bounds.
 * Called by: the test runner. The whole is parsed by introspect.py. */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "prometheus.h"
#include "rig.h"

static char text[65536];
static const weft_memory memory = {.actors = 512, .actors_refused = 2, .pools = 65536};

static void write_one(const char *name)
{
    weft_class_stats class = {.name = name, .actors = 3};
    class.sum.handled = UINT64_MAX;
    class.sum.depth = 17;
    class.sum.depth_max = 18; /* beside it: not a part of its value */
    class.sum.busy = UINT64_C(12000000345);
    size_t len = wf_prometheus_text(&class, 1, &memory, text, sizeof text);
    cr_assert_eq(len, strlen(text));
}

static bool has(const char *line) { return strstr(text, line) != NULL; }

Test(prometheus, each_form_of_value_has_its_line)
{
    write_one("shop");
    cr_assert(has("\nweft_actors{class=\"shop\"} 3\n"));
    cr_assert(has("\nweft_messages_handled_total{class=\"shop\"} 18446744073709551615\n"));
    cr_assert(has("\nweft_mailbox_depth{class=\"shop\"} 17\n"));
    cr_assert(has("\nweft_actor_busy_seconds_total{class=\"shop\"} 12.000000345\n"));
    cr_assert(has("# TYPE weft_actors gauge\n"));
    cr_assert(has("\n# TYPE weft_actor_busy_seconds_total counter\n"));
}

Test(prometheus, memory_has_its_lines)
{
    write_one("shop");
    cr_assert(has("\n# TYPE weft_actors_memory_bytes gauge\nweft_actors_memory_bytes 512\n"));
    cr_assert(has("\nweft_spawns_refused_total 2\n"));
    cr_assert(has("\nweft_pools_memory_bytes 65536\n"));
}

Test(prometheus, a_name_cannot_forge_lines)
{
    write_one("a\"} 1\nevil \\ b");
    cr_assert(has("\nweft_actors{class=\"a\\\"} 1\\nevil \\\\ b\"} 3\n"));
    cr_assert_not(has("\nevil"));
}

Test(prometheus, what_is_no_utf8_in_a_name_is_replaced)
{
    write_one("a\xff\xc3\xa4\xc3");
    cr_assert(has("\nweft_actors{class=\"a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\"} 3\n"));
}

Test(prometheus, what_does_not_fit_is_cut_and_the_length_told)
{
    weft_class_stats class = {.name = "shop"};
    size_t whole = wf_prometheus_text(&class, 1, &memory, NULL, 0);
    char *exact = malloc(whole + 1), cut[64];
    memset(cut, '!', sizeof cut);
    cr_assert_eq(wf_prometheus_text(&class, 1, &memory, exact, whole + 1), whole);
    cr_assert_eq(strlen(exact), whole);
    cr_assert_eq(wf_prometheus_text(&class, 1, &memory, cut, 11), whole);
    cr_assert_eq(strlen(cut), 10);
    cr_assert_eq(strncmp(exact, cut, 10), 0);
    for (size_t i = 11; i < sizeof cut; i++) cr_assert_eq(cut[i], '!');
    free(exact);
}

Test(prometheus, a_runtime_tells_of_its_actors)
{
    struct rig rig = rig_open(true, 1);
    weft_addr *addr = rig_spawn(&rig, rig_echo, NULL, 0);
    cr_assert_eq(rig_call(&rig, addr, 1), WEFT_OK);
    size_t len = weft_stats_prometheus(rig.rt, text, sizeof text);
    cr_assert_eq(len, strlen(text));
    cr_assert(has("\nweft_actors{class=\"rig\"} 1\n"));
    cr_assert(has("\nweft_messages_handled_total{class=\"rig\"} 1\n"));
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(prometheus, without_memory_there_is_no_text)
{
    struct rig rig = rig_open(true, 1);
    (void)wf_alloc_fail_at(1, 0);
    cr_assert_eq(weft_stats_prometheus(rig.rt, text, sizeof text), 0);
    (void)wf_alloc_fail_at(0, 0);
    rig_close(&rig);
}
