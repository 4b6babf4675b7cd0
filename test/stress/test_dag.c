/* SPDX-License-Identifier: Apache-2.0
 * test_dag.c - the reader of history tables takes what is right and names what is not.
 * Called by: meson test. May touch: memory streams, the tables in test/data.
 * Never: nodes. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "dag.h"

static int read_text(const char *text, struct dag *out, char *why, size_t why_len)
{
    FILE *in = fmemopen((void *)text, strlen(text), "r");
    int result = dag_read(in, "t", out, why, why_len);
    fclose(in);
    return result;
}

Test(dag, reads_comments_roots_and_merges)
{
    struct dag dag;
    char why[200];
    cr_assert_eq(read_text("# a\n-\t0\t10\t5\n0\t1\t11\t0\n-\t0\t9\t7\n#b\n1,2\t2\t12\t9\n", &dag,
                           why, sizeof why),
                 0);
    cr_assert_eq(dag.count, 4u);
    cr_assert_eq(dag.authors, 3u);
    cr_assert_eq(dag.payload_bytes, 21u);
    cr_assert_eq(dag.entries[0].parents_count, 0u);
    cr_assert_eq(dag.entries[3].parents_count, 2u);
    cr_assert_eq(dag.parents[dag.entries[3].parents_at + 1], 2u);
    dag_free(&dag);
}

static const struct {
    const char *text, *why;
} bad[] = {
    {"-\t0\t1\t1\n0\t0\t1\n", "t:2: 3 columns instead of 4 (parents, author, time, size)"},
    {"-\t0\t1\t1\t1\n", "t:1: 5 columns instead of 4 (parents, author, time, size)"},
    {"\n", "t:1: 1 column instead of 4 (parents, author, time, size)"},
    {"#\n#\n- 0 1 1\n", "t:3: 1 column instead of 4 (parents, author, time, size)"},
    {"-\t0\t1\t1\n1\t0\t1\t1\n", "t:2: entry 1 names itself as a parent"},
    {"-\t0\t1\t1\n2\t0\t1\t1\n0\t0\t1\t1\n",
     "t:2: entry 1 names parent 2, which does not come before it"},
    {"-\t0\t1\t1\n0,0\t0\t1\t1\n", "t:2: entry 1 names parent 0 twice"},
    {"-\t0\t1\t1\n0,\t0\t1\t1\n", "t:2: \"\" is not the index of a parent"},
    {"-\t0\t1\t1\n-1\t0\t1\t1\n", "t:2: \"-1\" is not the index of a parent"},
    {"\t0\t1\t1\n", "t:1: \"\" is not the index of a parent"},
    {"-\tx\t1\t1\n", "t:1: \"x\" is not the index of an author (0 to 16777215)"},
    {"-\t16777216\t1\t1\n", "t:1: \"16777216\" is not the index of an author (0 to 16777215)"},
    {"-\t0\t1.5\t1\n", "t:1: \"1.5\" is not a time in seconds"},
    {"-\t0\t99999999999999999999\t1\n", "t:1: \"99999999999999999999\" is not a time in seconds"},
    {"-\t0\t1\t1000001\n", "t:1: \"1000001\" is not a payload size (0 to 1000000 bytes)"},
    {"-\t0\t1\t 1\n", "t:1: \" 1\" is not a payload size (0 to 1000000 bytes)"},
};

Test(dag, names_file_line_and_reason_of_what_is_wrong)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct dag dag = {0};
        char why[200] = "";
        cr_expect_eq(read_text(bad[i].text, &dag, why, sizeof why), -1, "case %zu", i);
        cr_expect_str_eq(why, bad[i].why);
        cr_expect_null(dag.entries, "nothing is handed out");
    }
}

Test(dag, refuses_more_parents_than_an_entry_has)
{
    char *text = calloc(1, 16384), why[200] = "";
    struct dag dag = {0};
    for (int i = 0; i < 257; i++) strcat(text, "-\t0\t1\t1\n");
    for (int i = 0; i < 257; i++) sprintf(text + strlen(text), "%s%d", i == 0 ? "" : ",", i);
    strcat(text, "\t0\t1\t1\n");
    cr_assert_eq(read_text(text, &dag, why, sizeof why), -1);
    cr_assert_str_eq(why, "t:258: entry 257 has more than 256 parents");
    free(text);
}

Test(dag, reads_back_what_it_wrote)
{
    struct dag dag, again;
    char why[200], path[] = "/tmp/weft-dag.XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    FILE *own = fdopen(fd, "r");
    cr_assert_eq(read_text("-\t0\t10\t5\n0\t1\t11\t0\n0,1\t2\t12\t9\n", &dag, why, sizeof why), 0);
    cr_assert_eq(dag_save(&dag, path), 0);
    cr_assert_eq(dag_load(path, &again, why, sizeof why), 0);
    remove(path);
    fclose(own);
    cr_assert_eq(again.count, dag.count);
    for (uint32_t i = 0; i < dag.count; i++) {
        cr_expect_eq(again.entries[i].time, dag.entries[i].time);
        cr_expect_eq(again.entries[i].author, dag.entries[i].author);
        cr_expect_eq(again.entries[i].size, dag.entries[i].size);
        cr_expect_eq(again.entries[i].parents_at, dag.entries[i].parents_at);
    }
    cr_assert_eq(again.parents_len, dag.parents_len);
    cr_assert_eq(memcmp(again.parents, dag.parents, dag.parents_len * sizeof *dag.parents), 0);
    dag_free(&dag);
    dag_free(&again);
}

Test(dag, takes_the_histories_in_the_tree_whole)
{
    static const struct {
        const char *name;
        uint32_t entries, authors;
    } known[] = {{"redis.dag", 12272, 840}, {"git.dag", 81966, 2681}};
    for (size_t i = 0; i < 2; i++) {
        struct dag dag;
        char path[1024], why[200] = "";
        const char *data = getenv("WEFT_TEST_DATA");
        cr_assert_not_null(data, "WEFT_TEST_DATA names test/data");
        snprintf(path, sizeof path, "%s/%s", data, known[i].name);
        cr_assert_eq(dag_load(path, &dag, why, sizeof why), 0, "%s", why);
        cr_expect_eq(dag.count, known[i].entries);
        cr_expect_eq(dag.authors, known[i].authors);
        dag_free(&dag);
    }
}

Test(dag, tells_a_missing_file_from_a_bad_one)
{
    struct dag dag;
    char why[200];
    cr_assert_eq(dag_load("/nonexistent/x.dag", &dag, why, sizeof why), -2);
    cr_assert_eq(dag_load("/", &dag, why, sizeof why), -1);
}
