/* SPDX-License-Identifier: Apache-2.0
 * verify.c - weft-fsck without an order: everything in the store against each other.
 * Called by: main.c. May touch: the store (reading), standard output.
 * Never: writes to the store, or asks the process that has it open. */
#include <stdio.h>
#include <string.h>

#include <weft/actor.h>

#include "fsck.h"
#include "join_records.h"
#include "layout.h"
#include "peers_load.h"

#define FAULTS_SHOWN 100u

struct view {
    const struct fsck *f;
    uint64_t told, records; /* faults; of them, of records of joining and of peers */
};

static void show(const struct view *v, const wf_check_fault *fault)
{
    static const weft_id none;
    char id[WEFT_ID_TEXT_BYTES] = "";
    if (!weft_id_equal(&fault->id, &none)) weft_id_text(&fault->id, id);
    if (v->f->json)
        printf("%s{\"kind\":\"%s\",\"family\":\"%s\",\"tree\":%llu,\"seq\":%llu,\"id\":\"%s\","
               "\"what\":\"%s\"}",
               v->told == 1 ? "" : ",", wf_check_kind_name(fault->kind), wf_cf_names[fault->cf],
               (unsigned long long)fault->t, (unsigned long long)fault->seq, id, fault->what);
    else
        printf("%s %s tree=%llu seq=%llu%s%s: %s\n", wf_check_kind_name(fault->kind),
               wf_cf_names[fault->cf], (unsigned long long)fault->t, (unsigned long long)fault->seq,
               id[0] == '\0' ? "" : " id=", id, fault->what);
}

static void on_fault(void *arg, const wf_check_fault *fault)
{
    struct view *v = arg;
    if (++v->told <= FAULTS_SHOWN) show(v, fault);
    else if (v->told == FAULTS_SHOWN + 1 && !v->f->json) printf("more faults are counted only\n");
}

/* Nothing else hangs on it: a node leaves it aside. */
static void on_record(void *arg, const char *what, const uint8_t *key, size_t key_len)
{
    struct view *v = arg;
    v->records++;
    if (++v->told > FAULTS_SHOWN) return;
    if (v->f->json)
        printf("%s{\"kind\":\"record\",\"family\":\"peer\",\"key\":\"", v->told == 1 ? "" : ",");
    else printf("record peer key=");
    for (size_t i = 0; i < key_len; i++) printf("%02x", key[i]);
    printf(v->f->json ? "\",\"what\":\"%s\"}" : ": %s, damaged\n", what);
}

static void on_progress(void *arg, uint64_t entries, uint64_t of_all)
{
    const struct view *v = arg;
    if (entries % 65536 != 0 || v->f->quiet) return;
    fsck_say("%llu of %llu entries", (unsigned long long)entries, (unsigned long long)of_all);
}

static weft_err count_trees(wf_store *store, size_t *out)
{
    wf_tree_info info;
    *out = 0;
    while (wf_store_tree_by_number(store, *out + 1, &info) == WEFT_OK) (*out)++;
    return WEFT_OK;
}

static void conclude(const struct fsck *f, const wf_check_report *r, uint64_t records, size_t trees)
{
    unsigned long long faults = wf_check_faults(r) + records;
    if (!f->json) {
        if (r->shelved > 0)
            printf("fsck: %llu entries wait on the shelf for ancestors that are lost\n",
                   (unsigned long long)r->shelved);
        printf("fsck: %llu entries in %zu trees, %llu faults\n", (unsigned long long)r->entries,
               trees, faults);
        return;
    }
    printf("],\"entries\":%llu,\"shelved\":%llu,\"trees\":%zu,\"faults\":%llu,\"bytes\":%llu,"
           "\"ids\":%llu,\"signatures\":%llu,\"parents\":%llu,\"tips\":%llu,\"indexes\":%llu,"
           "\"records\":%llu,\"verdict\":\"%s\"}\n",
           (unsigned long long)r->entries, (unsigned long long)r->shelved, trees, faults,
           (unsigned long long)r->bad_bytes, (unsigned long long)r->bad_ids,
           (unsigned long long)r->bad_signatures, (unsigned long long)r->missing_parents,
           (unsigned long long)r->bad_tips, (unsigned long long)r->bad_indexes,
           (unsigned long long)records, faults == 0 ? "clean" : "damaged");
}

/* Nothing could be looked at: also that is told in the form that was asked for. */
static int give_up(const struct fsck *f, weft_err err)
{
    if (f->json)
        printf("{\"verdict\":\"%s\",\"error\":\"%s\"}\n",
               err == WEFT_CORRUPT ? "damaged" : "failed", weft_errname(err));
    fsck_say("%s: %s", f->dir, weft_strerror(err));
    if (err == WEFT_CORRUPT) fsck_say("try --salvage");
    return fsck_code(err);
}

int fsck_verify(const struct fsck *f)
{
    wf_kv_disk_options options = {.read_only = true};
    struct view view = {.f = f};
    struct wf_check_options check = {f->signatures, on_fault, on_progress, &view};
    wf_check_report report = {0};
    weft_rt *rt = NULL;
    wf_kv *kv = NULL;
    wf_store *store = NULL;
    size_t trees = 0;
    weft_err err = f->live ? WEFT_OK : fsck_is_free(f->dir);
    if (err == WEFT_OK) err = weft_rt_create(&rt);
    if (err == WEFT_OK) err = wf_kv_disk_open(f->dir, &options, &kv);
    if (err == WEFT_OK) err = wf_store_open(kv, rt, &store);
    if (store != NULL) kv = NULL; /* the store's now */
    if (err == WEFT_OK && wf_store_format(store) != WF_FORMAT_VERSION)
        fsck_say("%s is of format %u; a node that opens it makes it one of format %u", f->dir,
                 wf_store_format(store), WF_FORMAT_VERSION);
    if (err == WEFT_OK) {
        if (f->json) printf("{\"list\":[");
        err = wf_store_check_with(store, &check, &report);
        if (err == WEFT_OK) err = wf_join_records_check(store, on_record, &view);
        if (err == WEFT_OK) err = wf_peers_check(store, on_record, &view);
        if (err == WEFT_OK) err = count_trees(store, &trees);
        if (err == WEFT_OK) conclude(f, &report, view.records, trees);
        else if (f->json) printf("],\"verdict\":\"failed\",\"error\":\"%s\"}\n", weft_errname(err));
        if (err != WEFT_OK) fsck_say("%s: %s", f->dir, weft_strerror(err));
    } else {
        (void)give_up(f, err);
    }
    wf_store_close(store);
    wf_kv_close(kv);
    if (rt != NULL) (void)weft_rt_destroy(rt);
    if (err != WEFT_OK) return fsck_code(err);
    return wf_check_faults(&report) + view.records == 0 ? FSCK_CLEAN : FSCK_DAMAGED;
}
