/* SPDX-License-Identifier: Apache-2.0
 * test_ticket.c - the text of tickets: what is written is read, what is not one is told apart.
 * Called by: the test runner. Never: a node. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/ticket.h>

/* The id 00 01 .. 1f, and the key 80 81 .. 9f. */
#define ID "bagaqjiheaiqaaaicamcakbqhbaequcymbuha6earcijrifiwc4mbsgq3dqor4hy"
#define KEY "ed25519:808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
#define OTHER "bagaqjiheaiqbaaicamcakbqhbaequcymbuha6earcijrifiwc4mbsgq3dqor4hy"

static weft_ticket plain(void)
{
    weft_ticket t = {.has_server = true};
    for (uint8_t i = 0; i < 32; i++) {
        t.tree.bytes[i] = i;
        t.server.bytes[i] = (uint8_t)(0x80 + i);
    }
    return t;
}

static void add_hint(weft_ticket *t, const char *hint) { strcpy(t->hints[t->hints_count++], hint); }

static const char *text_of(const weft_ticket *t)
{
    static char text[WEFT_TICKET_BYTES_MAX];
    size_t len = sizeof text;
    cr_assert_eq(weft_ticket_write(t, text, &len), WEFT_OK);
    cr_assert_eq(len, strlen(text) + 1);
    return text;
}

static weft_ticket read_ok(const char *text)
{
    weft_ticket t;
    weft_err err = weft_ticket_parse(text, &t);
    cr_assert_eq(err, WEFT_OK, "%s: %s", text, weft_errname(err));
    return t;
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

/* -- Round trips -------------------------------------------------------------------------- */

static uint64_t state = 1;
static uint32_t below(uint32_t bound)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % bound);
}

/* Any bytes but blanks and controls, with those that have to be encoded again and again. */
static void random_hint(char out[WEFT_ADDRESS_BYTES_MAX])
{
    static const char often[] = "%&=#+:%2";
    uint32_t len = 3 + below(WEFT_ADDRESS_BYTES_MAX - 3);
    memset(out, 0, WEFT_ADDRESS_BYTES_MAX);
    for (uint32_t i = 0; i < len; i++) {
        uint32_t c = below(3) == 0 ? (uint32_t)(unsigned char)often[below(sizeof often - 1)]
                                   : 0x21 + below(0x100 - 0x21);
        out[i] = (char)(c == 0x7f ? 'x' : c);
    }
    out[0] = 't';
    out[1] = ':';
}

Test(ticket, what_is_written_is_read)
{
    for (uint32_t n = 0; n < 10000; n++) {
        weft_ticket t = {.has_server = below(2) == 0,
                         .hints_count = below(WEFT_TICKET_HINTS_MAX + 1)};
        for (uint32_t i = 0; i < 32; i++) {
            t.tree.bytes[i] = (uint8_t)below(256);
            t.server.bytes[i] = (uint8_t)below(256);
        }
        for (uint32_t i = 0; i < t.hints_count; i++) random_hint(t.hints[i]);
        weft_ticket back = read_ok(text_of(&t));
        cr_assert(same(&t, &back), "%u: %s", n, text_of(&t));
    }
}

Test(ticket, the_longest_one_can_be_read)
{
    weft_ticket t = plain();
    for (uint32_t i = 0; i < WEFT_TICKET_HINTS_MAX; i++) {
        memset(t.hints[i], '%', WEFT_ADDRESS_BYTES_MAX - 1);
        memcpy(t.hints[i], "t:", 2);
    }
    t.hints_count = WEFT_TICKET_HINTS_MAX;
    weft_ticket back = read_ok(text_of(&t));
    cr_expect(same(&t, &back));
}

/* -- Fixed texts -------------------------------------------------------------------------- */

Test(ticket, its_text_is_the_documented_one)
{
    weft_ticket t = plain();
    t.has_server = false;
    cr_expect_str_eq(text_of(&t), "weft:?db=" ID);
    t.has_server = true;
    add_hint(&t, "tcp:192.0.2.1:4711");
    add_hint(&t, "tcp:[2001:db8::1]:80");
    cr_expect_str_eq(text_of(&t),
                     "weft:?db=" ID "&pk=" KEY "&pr=tcp:192.0.2.1:4711&pr=tcp:[2001:db8::1]:80");
    t.hints_count = 0;
    add_hint(&t, "http:h:80/a?b=c&d#e+f%g");
    cr_expect_str_eq(text_of(&t),
                     "weft:?db=" ID "&pk=" KEY "&pr=http:h:80/a?b%3Dc%26d%23e%2Bf%25g");
}

Test(ticket, the_type_ends_at_the_first_colon)
{
    weft_ticket t = read_ok("weft:?db=" ID "&pr=tcp:[::1]:5&pr=x:y:z:");
    cr_assert_eq(t.hints_count, 2);
    cr_expect_str_eq(t.hints[0], "tcp:[::1]:5");
    cr_expect_str_eq(t.hints[1], "x:y:z:");
}

Test(ticket, the_last_tree_and_key_count)
{
    weft_ticket t = read_ok("weft:?db=nothing&db=" OTHER "&pk=x&db=" ID "&pk=" KEY), want = plain();
    cr_expect(same(&t, &want));
}

Test(ticket, what_is_not_known_is_passed_over)
{
    static const char *const texts[] = {
        "weft:?db=" ID "&pk=" KEY "&pr=t:a",
        "WEFT:?db=" ID "&pk=" KEY "&pr=t:a",
        "weft:?v=9&db=" ID "&&tips=a,b&pk=" KEY "&pr&pr=&pr=t:a&prx=t:b&=&x",
        "weft:?pr=nocolon&pr=:a&pr=t:&pr=t:%00b&pr=t:a&pr=t:%20b&pr=t:+b&pr=t:%0A&db=" ID
        "&pk=" KEY,
        "weft:?db=" ID "&pk=" KEY "&pr=t:a#pr=t:b&db=x",
        "weft:?db=" ID "&pk=" KEY "&pr=t:a\r\n",
    };
    weft_ticket want = plain();
    add_hint(&want, "t:a");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        weft_ticket t = read_ok(texts[i]);
        cr_expect(same(&t, &want), "%s", texts[i]);
    }
}

Test(ticket, all_form_encoding_is_decoded)
{
    weft_ticket t = read_ok("weft:?%64b=%62"
                            "agaqjiheaiqaaaicamcakbqhbaequcymbuha6earcijrifiwc4mbsgq3dqor4hy"
                            "&p%72=t%3Aa%2bb%2Bc%&pr=t:%zz%4&pr=t:%c3%A4"),
                want = plain();
    want.has_server = false;
    add_hint(&want, "t:a+b+c%");
    add_hint(&want, "t:%zz%4");
    add_hint(&want, "t:\xc3\xa4");
    cr_expect(same(&t, &want));
}

Test(ticket, hints_beyond_the_bounds_are_passed_over)
{
    char text[WEFT_TICKET_BYTES_MAX] = "weft:?db=" ID "&pr=t:", *at = text + strlen(text);
    memset(at, 'a', WEFT_ADDRESS_BYTES_MAX); /* too long by far */
    at += WEFT_ADDRESS_BYTES_MAX;
    for (uint32_t i = 0; i < WEFT_TICKET_HINTS_MAX + 3; i++) at += sprintf(at, "&pr=t:%u", i);
    weft_ticket t = read_ok(text);
    cr_assert_eq(t.hints_count, WEFT_TICKET_HINTS_MAX);
    cr_expect_str_eq(t.hints[0], "t:0");
    cr_expect_str_eq(t.hints[WEFT_TICKET_HINTS_MAX - 1], "t:15");
}

/* -- What is none ------------------------------------------------------------------------- */

Test(ticket, each_bad_form_has_its_answer)
{
    static const struct {
        const char *text;
        weft_err err;
    } bad[] = {
        {"", WEFT_ADDRESS},
        {"weft:", WEFT_ADDRESS},
        {"weft:db=" ID, WEFT_ADDRESS},
        {" weft:?db=" ID, WEFT_ADDRESS},
        {"http:?db=" ID, WEFT_ADDRESS},
        {"weft:?", WEFT_ADDRESS},
        {"weft:?pk=" KEY "&pr=t:a", WEFT_ADDRESS},
        {"weft:?#db=" ID, WEFT_ADDRESS},
        {"weft:?db", WEFT_SYNTAX},
        {"weft:?db=", WEFT_SYNTAX},
        {"weft:?db=%00", WEFT_SYNTAX},
        {"weft:?db=" ID "a", WEFT_SYNTAX},
        {"weft:?db=" ID ID, WEFT_SYNTAX},
        {"weft:?db=" ID "&db=x", WEFT_SYNTAX},
        {"weft:?db=" ID "&pk=", WEFT_SYNTAX},
        {"weft:?db=" ID "&pk=rsa:00", WEFT_SYNTAX},
        {"weft:?db=" ID "&pk=" KEY "00", WEFT_SYNTAX},
        {"weft:?db=" ID "&pk=" KEY KEY, WEFT_SYNTAX},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        weft_ticket t = plain(), before = t;
        cr_expect_eq(weft_ticket_parse(bad[i].text, &t), bad[i].err, "%s", bad[i].text);
        cr_expect(same(&t, &before), "%s", bad[i].text);
    }
    char *text = malloc(WEFT_TICKET_BYTES_MAX + 1);
    weft_ticket t;
    memset(text, 'a', WEFT_TICKET_BYTES_MAX + 1);
    text[WEFT_TICKET_BYTES_MAX] = '\0';
    memcpy(text, "weft:?db=" ID "&", sizeof "weft:?db=" ID);
    cr_expect_eq(weft_ticket_parse(text, &t), WEFT_LIMIT);
    text[WEFT_TICKET_BYTES_MAX - 1] = '\0';
    cr_expect_eq(weft_ticket_parse(text, &t), WEFT_OK);
    cr_expect_eq(weft_ticket_parse(NULL, &t), WEFT_INVALID);
    cr_expect_eq(weft_ticket_parse(text, NULL), WEFT_INVALID);
    free(text);
}

Test(ticket, what_would_not_be_read_is_not_written)
{
    static const char *const bad[] = {"", "t", "t:", ":a", "t:a b", "t:a\n", "t:\x7f", "t :a"};
    char text[WEFT_TICKET_BYTES_MAX];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        weft_ticket t = plain();
        size_t len = sizeof text;
        add_hint(&t, bad[i]);
        cr_expect_eq(weft_ticket_write(&t, text, &len), WEFT_INVALID, "%s", bad[i]);
    }
    weft_ticket t = plain();
    size_t len = sizeof text;
    memset(t.hints[0], ':', WEFT_ADDRESS_BYTES_MAX); /* no NUL */
    t.hints[0][0] = 'a';
    t.hints_count = 1;
    cr_expect_eq(weft_ticket_write(&t, text, &len), WEFT_INVALID);
    t.hints_count = WEFT_TICKET_HINTS_MAX + 1;
    cr_expect_eq(weft_ticket_write(&t, text, &len), WEFT_INVALID);
    t.hints_count = 0;
    cr_expect_eq(weft_ticket_write(&t, NULL, &len), WEFT_INVALID);
    cr_expect_eq(weft_ticket_write(NULL, text, &len), WEFT_INVALID);
    cr_expect_eq(weft_ticket_write(&t, text, NULL), WEFT_INVALID);
}

Test(ticket, how_much_room_it_takes_is_told)
{
    weft_ticket t = plain();
    add_hint(&t, "t:+");
    size_t all = 0;
    cr_assert_eq(weft_ticket_write(&t, NULL, &all), WEFT_LIMIT);
    cr_expect_eq(all, strlen("weft:?db=" ID "&pk=" KEY "&pr=t:%2B") + 1);
    for (size_t room = 0; room <= all; room++) {
        char *text = malloc(room + 1);
        size_t len = room;
        text[room] = '!';
        cr_expect_eq(weft_ticket_write(&t, text, &len), room < all ? WEFT_LIMIT : WEFT_OK);
        cr_expect_eq(len, all);
        cr_expect_eq(text[room], '!');
        free(text);
    }
}
