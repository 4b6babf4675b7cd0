/* SPDX-License-Identifier: Apache-2.0
 * class.c - what actors of one kind share: name and functions, once for all of them.
 * Called by: spawn.c, addr.c, rt.c. May touch: the runtime's table, under its lock.
 * Never: goes through the table in the order of its hashes. */
#include <string.h>

#include "alloc.h"
#include "hooks.h"
#include "self.h"

static const char *name_of(const weft_spec *spec)
{
    return spec->name == NULL ? "actor" : spec->name;
}

/* FNV-1a (Fowler, Noll, Vo) of the name. */
static uint32_t hash_of(const char *name)
{
    uint32_t hash = UINT32_C(2166136261);
    for (; *name != '\0'; name++) hash = (hash ^ (unsigned char)*name) * UINT32_C(16777619);
    return hash;
}

static bool same(const struct wf_class *class, const weft_spec *spec, uint32_t hash)
{
    return class->hash == hash && class->handle == spec->handle && class->init == spec->init &&
           class->fini == spec->fini && strcmp(class->name, name_of(spec)) == 0;
}

static struct wf_class *create(const weft_spec *spec, uint32_t hash)
{
    size_t bytes = strlen(name_of(spec)) + 1;
    struct wf_class *class = wf_calloc(1, sizeof *class + bytes);
    if (class == NULL) return NULL;
    class->init = spec->init;
    class->handle = spec->handle;
    class->fini = spec->fini;
    class->refs = 1;
    class->hash = hash;
    memcpy(class->name, name_of(spec), bytes);
    return class;
}

struct wf_class *wf_class_get(weft_rt *rt, const weft_spec *spec)
{
    uint32_t hash = hash_of(name_of(spec));
    wf_lock_take(rt->lock);
    struct wf_class **bucket = &rt->classes[hash % WF_CLASS_BUCKETS], *class = *bucket;
    while (class != NULL && !same(class, spec, hash)) class = class->same;
    if (class == NULL && (class = create(spec, hash)) != NULL) {
        wf_stats_class(rt, class);
        /* Beyond the bound a class belongs to its one actor and is in no table. */
        if (rt->class_count >= WEFT_CLASSES_MAX) goto done;
        rt->class_count++;
        class->same = *bucket;
        *bucket = class;
        class->older = rt->newest_class;
        rt->newest_class = class;
        class->listed = true;
    }
    /* Relaxed: the table's own reference orders it. */
    if (class != NULL) (void)wf_add(&class->refs, 1, WF_RELAXED);
done:
    wf_lock_give(rt->lock);
    return class;
}

void wf_class_put(struct wf_class *class)
{
    if (class == NULL) return;
    /* [REFS] as for addresses. */
    if (wf_sub(&class->refs, 1, WF_ACQ_REL) == 1) wf_free(class);
}

void wf_class_forget_all(weft_rt *rt)
{
    while (rt->newest_class != NULL) {
        struct wf_class *class = rt->newest_class;
        rt->newest_class = class->older;
        wf_class_put(class);
    }
}
