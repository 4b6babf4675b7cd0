/* SPDX-License-Identifier: Apache-2.0
 * api_hub.c - the hubs that join nodes in memory, and what can go wrong on them.
 * Called by: users (weft/node.h, weft/testing.h). May touch: the hub, under its lock.
 * Never: a node. */
#include <weft/testing.h>

#include "alloc.h"
#include "node_internal.h"

weft_err weft_hub_create(weft_hub **out)
{
    if (out == NULL) return WEFT_INVALID;
    weft_hub *hub = wf_calloc(1, sizeof *hub);
    if (hub == NULL) return WEFT_NO_MEMORY;
    hub->born = wf_fork_count();
    weft_err err = wf_net_hub_create(&hub->hub);
    if (err != WEFT_OK) {
        wf_free(hub);
        return err;
    }
    *out = hub;
    return WEFT_OK;
}

void weft_hub_destroy(weft_hub *hub)
{
    if (hub == NULL) return;
    wf_net_hub_destroy(hub->hub);
    wf_free(hub);
}

/* In a child of the process its lock may be held by a thread that is not there. */
static weft_err usable(const weft_hub *hub)
{
    if (hub == NULL) return WEFT_INVALID;
    return hub->born == wf_fork_count() ? WEFT_OK : WEFT_FORKED;
}

static bool rates_fit(const weft_net_faults *f)
{
    const uint32_t rates[] = {f->drop_ppm,    f->duplicate_ppm, f->reorder_ppm,
                              f->corrupt_ppm, f->reset_ppm,     f->dial_fail_ppm};
    bool fit = f->delay_min <= f->delay_max;
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) fit &= rates[i] <= 1000000u;
    return fit;
}

weft_err weft_hub_faults(weft_hub *hub, const weft_net_faults *faults)
{
    static const weft_net_faults none;
    weft_err err = usable(hub);
    if (err == WEFT_OK && faults != NULL && !rates_fit(faults)) err = WEFT_INVALID;
    if (err == WEFT_OK) wf_net_hub_faults(hub->hub, faults == NULL ? &none : faults);
    return err;
}

weft_err weft_hub_cut(weft_hub *hub, const char *host_a, const char *host_b, bool cut)
{
    weft_err err = host_a == NULL || host_b == NULL ? WEFT_INVALID : usable(hub);
    return err != WEFT_OK ? err : wf_net_hub_partition(hub->hub, host_a, host_b, cut);
}

weft_err weft_hub_kill(weft_hub *hub, const char *host)
{
    weft_err err = host == NULL ? WEFT_INVALID : usable(hub);
    if (err == WEFT_OK) wf_net_hub_kill(hub->hub, host);
    return err;
}

weft_err weft_hub_tap(weft_hub *hub, void (*fn)(void *arg, const uint8_t *data, size_t len),
                      void *arg)
{
    weft_err err = usable(hub);
    if (err == WEFT_OK) wf_net_hub_tap(hub->hub, fn, arg);
    return err;
}
