/* SPDX-License-Identifier: Apache-2.0
 * ticket.c - tickets as text: read, written (docs/tickets.md).
 * Called by: users (weft/ticket.h), api_ticket.c. May touch: its arguments.
 * Never: a node, memory of its own; asks whether an address can be reached. */
#include <weft/ticket.h>

#include <assert.h>
#include <string.h>
#include <strings.h>

static const char scheme[] = "weft:?";
#define SCHEME_LEN (sizeof scheme - 1)
#define ENCODED_MAX 3u /* "%26" */

static_assert(SCHEME_LEN + sizeof "db=" + WEFT_ID_TEXT_BYTES + sizeof "&pk=" + WEFT_KEY_TEXT_BYTES +
                      WEFT_TICKET_HINTS_MAX *
                          (sizeof "&pr=" + ENCODED_MAX * WEFT_ADDRESS_BYTES_MAX) <=
                  WEFT_TICKET_BYTES_MAX,
              "what is written can be read");

/* A type, a colon, an address, and nothing that a line of text would lose. */
static bool is_hint(const char *text)
{
    size_t len = strnlen(text, WEFT_ADDRESS_BYTES_MAX);
    const char *colon = memchr(text, ':', len);
    if (len == WEFT_ADDRESS_BYTES_MAX || colon == NULL) return false;
    if (colon == text || colon + 1 == text + len) return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f) return false;
    return true;
}

/* -- Reading ---------------------------------------------------------------------------- */

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* As forms on the web are encoded: '+' is a blank, and a '%' without two digits stands for
 * itself. False: it does not fit, or has a NUL inside. */
static bool decode(const char *from, size_t len, char *out, size_t room)
{
    size_t to = 0;
    for (size_t i = 0; i < len; i++) {
        char c = from[i] == '+' ? ' ' : from[i];
        if (c == '%' && len - i > 2 && digit(from[i + 1]) >= 0 && digit(from[i + 2]) >= 0) {
            c = (char)(digit(from[i + 1]) * 16 + digit(from[i + 2]));
            i += 2;
        }
        if (c == '\0' || to + 1 >= room) return false;
        out[to++] = c;
    }
    out[to] = '\0';
    return true;
}

/* What the parameters said so far; of ids and keys only the last has to be one. */
struct reading {
    weft_ticket ticket;
    weft_err tree, server;
};

static void take_hint(weft_ticket *ticket, const char *value, size_t len)
{
    if (ticket->hints_count == WEFT_TICKET_HINTS_MAX) return;
    char *hint = ticket->hints[ticket->hints_count];
    if (decode(value, len, hint, WEFT_ADDRESS_BYTES_MAX) && is_hint(hint)) ticket->hints_count++;
    else memset(hint, 0, WEFT_ADDRESS_BYTES_MAX);
}

static void take(struct reading *r, const char *parameter, size_t len)
{
    char name[4], text[WEFT_KEY_TEXT_BYTES];
    const char *equals = memchr(parameter, '=', len);
    size_t name_len = equals == NULL ? len : (size_t)(equals - parameter);
    const char *value = parameter + name_len + (equals != NULL);
    size_t value_len = len - name_len - (equals != NULL);
    if (!decode(parameter, name_len, name, sizeof name)) return;
    if (strcmp(name, "db") == 0) {
        r->tree = decode(value, value_len, text, sizeof text) ? weft_id_parse(text, &r->ticket.tree)
                                                              : WEFT_SYNTAX;
    } else if (strcmp(name, "pk") == 0) {
        r->server = decode(value, value_len, text, sizeof text)
                        ? weft_key_parse(text, &r->ticket.server)
                        : WEFT_SYNTAX;
        r->ticket.has_server = true;
    } else if (strcmp(name, "pr") == 0) {
        take_hint(&r->ticket, value, value_len);
    }
}

weft_err weft_ticket_parse(const char *text, weft_ticket *out)
{
    if (text == NULL || out == NULL) return WEFT_INVALID;
    size_t len = strnlen(text, WEFT_TICKET_BYTES_MAX);
    if (len == WEFT_TICKET_BYTES_MAX) return WEFT_LIMIT;
    if (strncasecmp(text, scheme, SCHEME_LEN) != 0) return WEFT_ADDRESS;
    while (len > SCHEME_LEN && (unsigned char)text[len - 1] <= ' ') len--; /* a line's end */
    const char *end = memchr(text, '#', len);
    if (end == NULL) end = text + len;
    struct reading r = {.tree = WEFT_ADDRESS};
    for (const char *at = text + SCHEME_LEN; at < end;) {
        const char *and = memchr(at, '&', (size_t)(end - at));
        const char *stop = and == NULL ? end : and;
        take(&r, at, (size_t)(stop - at));
        at = stop + 1;
    }
    if (r.tree != WEFT_OK) return r.tree;
    if (r.server != WEFT_OK) return r.server;
    *out = r.ticket;
    return WEFT_OK;
}

/* -- Writing ---------------------------------------------------------------------------- */

struct text {
    char *out;
    size_t room, len; /* `len` grows beyond the room: what it takes */
};

static void put(struct text *t, char c)
{
    if (t->len < t->room) t->out[t->len] = c;
    t->len++;
}

static void put_plain(struct text *t, const char *s)
{
    while (*s != '\0') put(t, *s++);
}

static void put_encoded(struct text *t, const char *s)
{
    static const char digits[] = "0123456789ABCDEF";
    for (; *s != '\0'; s++) {
        if (strchr("%&=#+", *s) == NULL) {
            put(t, *s);
            continue;
        }
        put(t, '%');
        put(t, digits[(unsigned char)*s >> 4]);
        put(t, digits[(unsigned char)*s & 15]);
    }
}

weft_err weft_ticket_write(const weft_ticket *ticket, char *out, size_t *len)
{
    char id[WEFT_ID_TEXT_BYTES], key[WEFT_KEY_TEXT_BYTES];
    if (ticket == NULL || len == NULL || (out == NULL && *len != 0)) return WEFT_INVALID;
    if (ticket->hints_count > WEFT_TICKET_HINTS_MAX) return WEFT_INVALID;
    for (uint32_t i = 0; i < ticket->hints_count; i++)
        if (!is_hint(ticket->hints[i])) return WEFT_INVALID;
    struct text t = {.out = out, .room = *len};
    weft_id_text(&ticket->tree, id);
    put_plain(&t, scheme);
    put_plain(&t, "db=");
    put_plain(&t, id);
    if (ticket->has_server) {
        weft_key_text(&ticket->server, key);
        put_plain(&t, "&pk=");
        put_plain(&t, key);
    }
    for (uint32_t i = 0; i < ticket->hints_count; i++) {
        put_plain(&t, "&pr=");
        put_encoded(&t, ticket->hints[i]);
    }
    put(&t, '\0');
    weft_err err = t.len > *len ? WEFT_LIMIT : WEFT_OK;
    *len = t.len;
    return err;
}
