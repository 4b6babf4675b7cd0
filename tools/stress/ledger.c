/* SPDX-License-Identifier: Apache-2.0
 * ledger.c - the log of intents and acknowledgements that the judge believes.
 * Called by: cluster.c (writes), judge.c (reads). May touch: its file.
 * Never: the nodes' directories. */
#include "ledger.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

int ledger_open(struct ledger *ledger, const char *path)
{
    *ledger = (struct ledger){.file = fopen(path, "we")};
    return ledger->file == NULL ? -1 : 0;
}

void ledger_intent(struct ledger *ledger, uint32_t node, const struct control_op *op)
{
    fprintf(ledger->file, "intent %c %u %" PRIu64 " %u\n", (int)op->origin, node, op->first,
            op->count);
    if (op->origin == CONTROL_LIVE_COMMIT) ledger->intents += op->count;
    ledger->dirty = true;
}

void ledger_ack(struct ledger *ledger, uint32_t node, const struct control_op *op,
                const weft_id *ids)
{
    char hex[2 * WEFT_ID_BYTES + 1];
    for (uint32_t i = 0; i < op->count; i++) {
        kit_hex(ids[i].bytes, WEFT_ID_BYTES, hex);
        fprintf(ledger->file, "ack %c %u %" PRIu64 " %s\n", (int)op->origin, node, op->first + i,
                hex);
    }
    if (op->origin == CONTROL_LIVE_COMMIT) ledger->acks += op->count;
    ledger->dirty = true;
}

int ledger_sync(struct ledger *ledger)
{
    if (ledger->file == NULL || !ledger->dirty) return 0;
    if (fflush(ledger->file) != 0 || fdatasync(fileno(ledger->file)) != 0) return -1;
    ledger->dirty = false;
    return 0;
}

int ledger_close(struct ledger *ledger)
{
    if (ledger->file == NULL) return 0;
    int synced = ledger_sync(ledger);
    int closed = fclose(ledger->file);
    ledger->file = NULL;
    return synced != 0 || closed != 0 ? -1 : 0;
}

static bool line_read(const char *text, struct ledger_line *out)
{
    char origin, hex[2 * WEFT_ID_BYTES + 2];
    *out = (struct ledger_line){0};
    if (sscanf(text, "intent %c %" SCNu32 " %" SCNu64 " %" SCNu64, &origin, &out->node,
               &out->number, &out->count) == 4) {
        out->origin = (enum control_origin)origin;
        return true;
    }
    if (sscanf(text, "ack %c %" SCNu32 " %" SCNu64 " %65s", &origin, &out->node, &out->number,
               hex) != 4)
        return false;
    out->ack = true;
    out->origin = (enum control_origin)origin;
    return strlen(hex) == 2 * WEFT_ID_BYTES && kit_unhex(hex, WEFT_ID_BYTES, out->id.bytes);
}

int ledger_each(const char *path, bool (*fn)(void *arg, const struct ledger_line *line), void *arg)
{
    FILE *in = fopen(path, "re");
    if (in == NULL) return -1;
    char text[160];
    struct ledger_line line;
    bool good = true;
    while (good && fgets(text, sizeof text, in) != NULL)
        good = line_read(text, &line) && fn(arg, &line);
    good = good && ferror(in) == 0;
    fclose(in);
    return good ? 0 : -1;
}
