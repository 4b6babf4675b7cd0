/* SPDX-License-Identifier: Apache-2.0
 * ticket.c - the text of a ticket, as somebody pastes it.
 * Called by: libfuzzer.c, replay.c. May touch: the pure calls of weft/ticket.h.
 * Never: a node. */
#include <stdlib.h>
#include <string.h>

#include <weft/ticket.h>

#include "fuzz.h"

/* In memory of exactly its size, so that a step behind the end is seen. */
static char *text_of(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);
    FUZZ_CHECK(text != NULL);
    if (len > 0) memcpy(text, data, len);
    text[len] = '\0';
    return text;
}

static bool same(const weft_ticket *a, const weft_ticket *b)
{
    if (!weft_id_equal(&a->tree, &b->tree) || a->has_server != b->has_server) return false;
    if (a->has_server && !weft_key_equal(&a->server, &b->server)) return false;
    if (a->hints_count != b->hints_count) return false;
    for (uint32_t i = 0; i < a->hints_count; i++)
        if (strcmp(a->hints[i], b->hints[i]) != 0) return false;
    return true;
}

/* What was read is written, in one form, and reads as the same. */
static void check_back(const weft_ticket *t)
{
    weft_ticket again;
    size_t len = 0, room;
    FUZZ_CHECK(t->hints_count <= WEFT_TICKET_HINTS_MAX);
    FUZZ_CHECK(weft_ticket_write(t, NULL, &len) == WEFT_LIMIT);
    FUZZ_CHECK(len <= WEFT_TICKET_BYTES_MAX);
    char *text = malloc(len);
    FUZZ_CHECK(text != NULL);
    room = len;
    FUZZ_CHECK(weft_ticket_write(t, text, &room) == WEFT_OK && room == len);
    FUZZ_CHECK(strlen(text) + 1 == len);
    FUZZ_CHECK(weft_ticket_parse(text, &again) == WEFT_OK && same(t, &again));
    free(text);
}

bool fuzz_ticket(const uint8_t *data, size_t len)
{
    weft_ticket t;
    char *text = text_of(data, len);
    weft_err err = weft_ticket_parse(text, &t);
    free(text);
    FUZZ_CHECK(err == WEFT_OK || err == WEFT_ADDRESS || err == WEFT_SYNTAX || err == WEFT_LIMIT);
    if (err != WEFT_OK) return false;
    check_back(&t);
    return true;
}
