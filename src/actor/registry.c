/* SPDX-License-Identifier: Apache-2.0
 * registry.c - actors by name.
 * Called by: any thread; end.c and kill.c when an actor has ended. May touch: the roster,
 * under its lock. Never: an actor's state; walks a table. */
#include <string.h>

#include "alloc.h"
#include "atomic.h"
#include "log.h"
#include "roster.h"
#include "self.h"

struct name {
    struct wf_lookup_item item;
    weft_addr *addr;   /* counted                            */
    struct name *next; /* another one of the same actor      */
    char text[];
};

/* An actor that has names: so that its end finds them without looking at all others. */
struct owner {
    struct wf_lookup_item item;
    weft_addr *addr;
    struct name *first;
};

/* -- The roster ---------------------------------------------------------------------- */

weft_err wf_roster_create(struct wf_roster **out)
{
    struct wf_roster *roster = wf_calloc(1, sizeof *roster);
    if (roster == NULL) return WEFT_NO_MEMORY;
    roster->refs = 1;
    roster->lock = wf_rwlock_create();
    if (roster->lock == NULL) {
        wf_free(roster);
        return WEFT_NO_MEMORY;
    }
    *out = roster;
    return WEFT_OK;
}

struct wf_roster *wf_roster_get(struct wf_roster *roster)
{
    (void)wf_add(&roster->refs, 1, WF_RELAXED); /* the caller's own reference orders it */
    return roster;
}

void wf_roster_put(struct wf_roster *roster)
{
    /* [REFS] release: our use happens-before the free; acquire: the last one sees all. */
    if (roster == NULL || wf_sub(&roster->refs, 1, WF_ACQ_REL) > 1) return;
    WF_ASSERT(roster->names.count == 0 && roster->topics.count == 0);
    wf_lookup_fini(&roster->names);
    wf_lookup_fini(&roster->owners);
    wf_lookup_fini(&roster->topics);
    wf_rwlock_destroy(roster->lock);
    wf_free(roster);
}

uint64_t wf_name_hash(const char *name)
{
    size_t len = name == NULL ? 0 : strnlen(name, WEFT_ACTOR_NAME_BYTES_MAX + 1);
    if (len == 0 || len > WEFT_ACTOR_NAME_BYTES_MAX) return 0;
    return wf_lookup_hash(name, len) | 1; /* never 0 */
}

/* -- Under the lock --------------------------------------------------------------------- */

static bool same_text(const struct wf_lookup_item *item, const void *key)
{
    return strcmp(((const struct name *)item)->text, key) == 0;
}

static bool same_addr(const struct wf_lookup_item *item, const void *key)
{
    return ((const struct owner *)item)->addr == key;
}

static struct owner *owner_of(struct wf_roster *roster, weft_addr *addr)
{
    return (struct owner *)wf_lookup_find(&roster->owners, wf_lookup_hash(&addr, sizeof addr),
                                          same_addr, addr);
}

static struct name *find(struct wf_roster *roster, uint64_t hash, const char *text)
{
    return (struct name *)wf_lookup_find(&roster->names, hash, same_text, text);
}

/* Both tables, or neither. */
static weft_err add(struct wf_roster *roster, struct name *name)
{
    if (roster->names.count >= WEFT_NAMES_MAX) return WEFT_LIMIT;
    if (wf_lookup_reserve(&roster->names) != WEFT_OK) return WEFT_NO_MEMORY;
    struct owner *owner = owner_of(roster, name->addr);
    if (owner == NULL) {
        if (wf_lookup_reserve(&roster->owners) != WEFT_OK) return WEFT_NO_MEMORY;
        owner = wf_calloc(1, sizeof *owner);
        if (owner == NULL) return WEFT_NO_MEMORY;
        owner->addr = name->addr;
        owner->item.hash = wf_lookup_hash(&owner->addr, sizeof owner->addr);
        wf_lookup_add(&roster->owners, &owner->item);
    }
    name->next = owner->first;
    owner->first = name;
    wf_lookup_add(&roster->names, &name->item);
    return WEFT_OK;
}

static void owner_remove(struct wf_roster *roster, struct owner *owner)
{
    wf_lookup_remove(&roster->owners, &owner->item);
    wf_free(owner);
}

static void unlink_from_owner(struct wf_roster *roster, struct name *name)
{
    struct owner *owner = owner_of(roster, name->addr);
    struct name **at = &owner->first;
    while (*at != name) at = &(*at)->next;
    *at = name->next;
    if (owner->first == NULL) owner_remove(roster, owner);
}

/* -- The calls ---------------------------------------------------------------------------- */

weft_err weft_register(weft_rt *rt, const char *name, weft_addr *addr)
{
    uint64_t hash = wf_name_hash(name);
    if (hash == 0 || addr->self == NULL || addr->self->rt != rt) return WEFT_INVALID;
    size_t len = strlen(name);
    struct name *entry = wf_calloc(1, sizeof *entry + len + 1);
    if (entry == NULL) return WEFT_NO_MEMORY;
    entry->item.hash = hash;
    entry->addr = weft_addr_get(addr);
    memcpy(entry->text, name, len + 1);
    wf_rwlock_write(rt->roster->lock);
    const struct name *taken = find(rt->roster, hash, name);
    weft_err err = WEFT_CLOSED;
    /* [NAMED] Both sides are read-modify-writes of one byte: either we see that the actor
     * has ended, or its end sees NAMED and waits for the lock that we hold. */
    if (!(wf_or(&addr->flags, WF_ADDR_NAMED, WF_ACQ_REL) & WF_ADDR_UNNAMED))
        err = taken == NULL ? add(rt->roster, entry) : taken->addr == addr ? WEFT_OK : WEFT_EXISTS;
    wf_rwlock_give(rt->roster->lock);
    if (err != WEFT_OK || taken != NULL) {
        weft_addr_put(addr);
        wf_free(entry);
    }
    return err;
}

weft_err weft_unregister(weft_rt *rt, const char *name)
{
    uint64_t hash = wf_name_hash(name);
    if (hash == 0) return WEFT_NOT_FOUND;
    wf_rwlock_write(rt->roster->lock);
    struct name *entry = find(rt->roster, hash, name);
    if (entry != NULL) {
        wf_lookup_remove(&rt->roster->names, &entry->item);
        unlink_from_owner(rt->roster, entry);
    }
    wf_rwlock_give(rt->roster->lock);
    if (entry == NULL) return WEFT_NOT_FOUND;
    weft_addr_put(entry->addr);
    wf_free(entry);
    return WEFT_OK;
}

weft_err weft_whereis_ref(weft_rt *rt, const char *name, weft_addr **out)
{
    uint64_t hash = wf_name_hash(name);
    if (hash == 0) return WEFT_NOT_FOUND;
    wf_rwlock_read(rt->roster->lock);
    const struct name *entry = find(rt->roster, hash, name);
    weft_addr *addr = entry == NULL ? NULL : weft_addr_get(entry->addr);
    wf_rwlock_give(rt->roster->lock);
    if (addr == NULL) return WEFT_NOT_FOUND;
    *out = addr;
    return WEFT_OK;
}

void wf_names_forget(weft_rt *rt, weft_addr *addr)
{
    /* Pairs with [NAMED]. */
    if (!(wf_or(&addr->flags, WF_ADDR_UNNAMED, WF_ACQ_REL) & WF_ADDR_NAMED)) return;
    struct wf_roster *roster = rt->roster;
    wf_rwlock_write(roster->lock);
    struct owner *owner = owner_of(roster, addr);
    struct name *name = owner == NULL ? NULL : owner->first;
    for (const struct name *each = name; each != NULL; each = each->next)
        wf_lookup_remove(&roster->names, (struct wf_lookup_item *)&each->item);
    if (owner != NULL) owner_remove(roster, owner);
    wf_rwlock_give(roster->lock);
    while (name != NULL) {
        struct name *next = name->next;
        weft_addr_put(name->addr); /* never the last: the runtime holds one */
        wf_free(name);
        name = next;
    }
}
