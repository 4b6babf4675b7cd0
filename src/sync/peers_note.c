/* SPDX-License-Identifier: Apache-2.0
 * peers_note.c - what sync tells of peers: connections, addresses, syncs.
 * Called by: peers_actor.c. May touch: the registry and the history.
 * Never: writes at once; peers_records.c does from time to time. */
#include <string.h>

#include "block.h"
#include "log.h"
#include "peers_state.h"

/* Trees that are not followed here are no business of ours, however often somebody asks. */
static void remember(struct peers *p, const struct wf_peer_note *note, int64_t now)
{
    wf_tree_info info;
    if (wf_store_tree(p->table->wf_store, &note->tree, &info) != WEFT_OK || !info.followed) return;
    weft_sync_record record = {.peer = note->peer,
                               .tree = note->tree,
                               .began_ms = now - (int64_t)(note->took_ns / WEFT_MS),
                               .took_ns = note->took_ns,
                               .err = note->err,
                               .sent = note->sent,
                               .received = note->received,
                               .bytes_sent = note->bytes_sent,
                               .bytes_received = note->bytes_received};
    if (wf_history_add(&p->history, &record) != WEFT_OK)
        wf_log(WEFT_LOG_WARN, "peers", "out of memory: a sync is not remembered");
}

void wf_peers_note(struct peers *p, const struct wf_peer_note *note)
{
    struct wf_peer_row *row = wf_registry_find(&p->reg, &note->peer);
    if (row == NULL || row->aside) return; /* an unknown peer leaves no trace */
    if (note->sync) remember(p, note, wf_wall_ms(p->table->rt));
    weft_peer_info *info = &row->info;
    int64_t now = wf_wall_ms(p->table->rt);
    row->dirty = true;
    switch (note->what) {
    case WF_NOTE_CONNECTING:
        info->connection = WEFT_CONNECTING;
        info->attempts++;
        break;
    case WF_NOTE_CONNECTED:
        info->connection = WEFT_CONNECTED;
        info->last_seen_ms = now;
        if (info->name[0] == '\0') memcpy(info->name, note->name, sizeof info->name);
        for (uint32_t i = 0; i < note->addresses_count; i++)
            (void)wf_row_tell_address(row, note->addresses[i], now); /* full: those stay */
        if (note->worked[0] != '\0') wf_row_address_worked(row, note->worked, now);
        break;
    case WF_NOTE_DISCONNECTED:
        info->connection = WEFT_DISCONNECTED;
        info->last_seen_ms = now;
        if (note->err != WEFT_OK) info->last_error = note->err;
        break;
    case WF_NOTE_FAILED:
        info->connection = WEFT_CONN_FAILED;
        info->failures++;
        info->last_error = note->err;
        break;
    case WF_NOTE_SYNCED:
        info->syncs_ok++;
        info->last_success_ms = info->last_seen_ms = now;
        break;
    case WF_NOTE_SYNC_FAILED:
        info->syncs_failed++;
        info->last_error = note->err;
        break;
    }
    info->entries_sent += note->sent;
    info->entries_received += note->received;
    info->bytes_sent += note->bytes_sent;
    info->bytes_received += note->bytes_received;
}
