/* SPDX-License-Identifier: Apache-2.0
 * roles_forge.c - those who may read a tree, and send what may not be stored: forged entries,
 * entries without parents, too many of anything; and a server that answers with another tree.
 * Called by: main.c. May touch: peers. Never: an entry that the door should take, but one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "hostile.h"

#define STREAM 1u

static uint64_t after(uint32_t seconds) { return ht_now() + seconds * WEFT_SEC; }

/* -- Entries as bytes --------------------------------------------------------------------- */

struct parts { /* of an entry; what is not set is as it should be */
    weft_id tree;
    weft_id parents[2];
    uint32_t parents_count, parents_head; /* head: what the list says of itself */
    uint64_t height;
    const char *store;
    uint32_t stores; /* so many, named alike but for a number */
    const void *payload;
    size_t payload_len;
    enum ht_whose author;
    uint32_t author_number;
    uint8_t version;
    bool long_height;
    enum wf_purpose purpose;
};

struct pen {
    uint8_t *at;
};

static void put(struct pen *p, const void *bytes, size_t len)
{
    memcpy(p->at, bytes, len);
    p->at += len;
}

static void byte(struct pen *p, unsigned value) { *p->at++ = (uint8_t)value; }

static void bin32(struct pen *p, const void *bytes)
{
    byte(p, 0xc4);
    byte(p, 32);
    put(p, bytes, 32);
}

static void head(struct pen *p, uint32_t count)
{
    if (count < 16) {
        byte(p, 0x90 | count);
    } else {
        byte(p, 0xdc);
        byte(p, count >> 8);
        byte(p, count & 0xff);
    }
}

static void number(struct pen *p, uint64_t value, bool long_form)
{
    unsigned bytes = long_form || value > UINT32_MAX ? 8
                     : value > 0xffff                ? 4
                     : value > 0xff                  ? 2
                                                     : 1;
    if (value < 128 && !long_form) {
        byte(p, (unsigned)value);
        return;
    }
    byte(p, bytes == 8 ? 0xcf : bytes == 4 ? 0xce : bytes == 2 ? 0xcd : 0xcc);
    while (bytes-- > 0) byte(p, (unsigned)(value >> 8 * bytes) & 0xff);
}

/* Ascending as the format wants it, but for what it is told to be more. */
static void parents(struct pen *p, const struct parts *e)
{
    weft_id id = {{0}};
    head(p, e->parents_head);
    for (uint32_t i = 0; i < e->parents_head; i++) {
        id.bytes[0] = (uint8_t)(i >> 8);
        id.bytes[1] = (uint8_t)i;
        bin32(p, i < e->parents_count ? e->parents[i].bytes : id.bytes);
    }
}

static size_t write_entry(const struct parts *e, uint8_t *out)
{
    struct pen p = {out};
    weft_keypair *pair = ht_pair(e->author, e->author_number);
    weft_key key;
    uint8_t sig[WEFT_SIGNATURE_BYTES];
    weft_keypair_public(pair, &key);
    byte(&p, 0x99);
    byte(&p, e->version);
    bin32(&p, e->tree.bytes);
    byte(&p, 0xc0);
    parents(&p, e);
    number(&p, e->height, e->long_height);
    byte(&p, 0xc0);
    head(&p, e->stores);
    for (uint32_t i = 0; i < e->stores; i++) {
        char name[32];
        int len = e->stores == 1 ? snprintf(name, sizeof name, "%s", e->store)
                                 : snprintf(name, sizeof name, "s%03u", i);
        byte(&p, 0x94);
        byte(&p, 0xa0 | (unsigned)len);
        put(&p, name, (size_t)len);
        byte(&p, 0x90);
        byte(&p, 0xc4);
        byte(&p, (unsigned)e->payload_len);
        put(&p, e->payload, e->payload_len);
        byte(&p, 0xc0);
    }
    bin32(&p, key.bytes);
    if (wf_sign(pair, e->purpose, out, (size_t)(p.at - out), sig) != WEFT_OK) ht_die("a signature");
    byte(&p, 0xc4);
    byte(&p, 64);
    put(&p, sig, sizeof sig);
    weft_keypair_destroy(pair);
    return (size_t)(p.at - out);
}

static struct parts good_parts(const ht_answer *of)
{
    return (struct parts){.tree = of->trees[HT_LISTED],
                          .parents = {of->tips[HT_LISTED]},
                          .parents_count = 1,
                          .parents_head = 1,
                          .height = HT_FEW_ENTRIES + 1,
                          .store = "log",
                          .stores = 1,
                          .payload = "forged",
                          .payload_len = 6,
                          .author = HT_AUTHOR,
                          .version = 1,
                          .purpose = WF_PURPOSE_ENTRY};
}

/* S + L, for S as little-endian number: the same point, another signature. */
static void add_order(uint8_t s[32])
{
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                      0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                      0,    0,    0,    0,    0,    0,    0,    0,
                                      0,    0,    0,    0,    0,    0,    0,    0x10};
    unsigned carry = 0;
    for (unsigned i = 0; i < 32; i++) {
        carry += s[i] + order[i];
        s[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

static const char *const mutations[] = {
    "a turned bit of R",
    "a turned bit of S",
    "S + L",
    "a turned payload",
    "a turned parent",
    "a key of small order",
    "another's name",
    "unsigned",
    "signed for another purpose",
    "another tree",
    "a height too great by 1",
    "a height of 0",
    "a height beyond 2^53",
    "the greatest height",
    "who may not write",
    "who may not administer",
    "a parent twice",
    "a height in a longer form",
    "a byte behind it",
    "257 parents",
    "65 stores",
    "version 2",
    "a settings path of its own",
    "nothing but zeroes",
};
#define MUTATIONS (sizeof mutations / sizeof *mutations)
#define SETTINGS_GRANT 15u

static size_t grant_text(uint8_t out[200])
{
    static const char path[] = "\x91\x93\x93\xa4"
                               "auth\xd9\x40";
    static const char rest[] = "\xa5"
                               "grant\x01\xa7"
                               "admin:5";
    weft_key key = ht_key(HT_FORGER, 0);
    struct pen p = {out};
    put(&p, path, sizeof path - 1);
    for (unsigned i = 0; i < 32; i++) {
        char hex[3];
        snprintf(hex, sizeof hex, "%02x", key.bytes[i]);
        put(&p, hex, 2);
    }
    put(&p, rest, sizeof rest - 1);
    return (size_t)(p.at - out);
}

static void reshape(struct parts *e, uint32_t mutation, const ht_answer *of, uint8_t room[200])
{
    switch (mutation) {
    case 8: e->purpose = WF_PURPOSE_ACCESS; break;
    case 9: e->tree = of->trees[HT_SHARED]; break;
    case 10: e->height++; break;
    case 11: e->height = 0; break;
    case 12: e->height = WEFT_HEIGHT_MAX + 1; break;
    case 13: e->height = UINT64_MAX; break;
    case 14: e->author = HT_FORGER; break;
    case SETTINGS_GRANT:
        e->author = HT_FORGER;
        e->store = "_settings";
        e->payload = room;
        e->payload_len = grant_text(room);
        break;
    case 16:
        e->parents[1] = e->parents[0];
        e->parents_count = e->parents_head = 2;
        break;
    case 17: e->long_height = true; break;
    case 19: e->parents_head = WEFT_ENTRY_PARENTS_MAX + 1, e->parents_count = 0; break;
    case 20: e->stores = WEFT_ENTRY_STORES_MAX + 1; break;
    case 21: e->version = 2; break;
    case 22:
        e->store = "_settings";
        e->payload = "\x91\x93\x91\xa4"
                     "auth\x01\xa1x";
        e->payload_len = 11;
        break;
    default: break;
    }
}

/* The mutation'th forgery; MUTATIONS: none of them, but a good entry. */
static size_t forged(uint32_t mutation, const ht_answer *of, uint8_t *out)
{
    uint8_t room[200];
    struct parts e = good_parts(of);
    reshape(&e, mutation, of, room);
    size_t len = write_entry(&e, out);
    weft_key other = ht_key(HT_FORGER, 0);
    switch (mutation) {
    case 0: out[len - 60] ^= 4; break;
    case 1: out[len - 20] ^= 4; break;
    case 2: add_order(out + len - 32); break;
    case 3: out[len - 64 - 2 - 34 - 3] ^= 1; break;
    case 4: out[2 + 34 + 1 + 1 + 2 + 7] ^= 1; break;
    case 5:
        memset(out + len - 64 - 2 - 32, 0, 32);
        out[len - 64 - 2 - 32] = 1; /* the neutral element: what it signs is everything */
        memset(out + len - 64, 0, 64);
        out[len - 64] = 1;
        break;
    case 6: memcpy(out + len - 64 - 2 - 32, other.bytes, 32); break;
    case 7: memset(out + len - 64, 0, 64); break;
    case 18: out[len++] = 0; break;
    case 23: memset(out, 0, len); break;
    default: break;
    }
    return len;
}

/* -- Sending them ------------------------------------------------------------------------- */

void ht_forge_open(ht_peer *p, const ht_answer *of)
{
    struct wf_open open = {.stream = STREAM, .tree = of->trees[HT_LISTED], .flags = WF_OPEN_RAW};
    ht_peer_say(p, wf_open_encode(&open));
}

static void open_raw(ht_peer *p) { ht_forge_open(p, &((ht_run *)((ht_crew *)p->arg)->arg)->born); }

static void send_entry(ht_peer *p, const uint8_t *bytes, size_t len)
{
    struct wf_entries_builder b;
    weft_buf *frame = NULL;
    if (wf_entries_begin(&b, WF_F_ENTRIES, STREAM, WF_ENTRIES_RAW, 0) != WEFT_OK ||
        wf_entries_add(&b, bytes, len) != WEFT_OK || wf_entries_finish(&b, NULL, &frame) != WEFT_OK)
        ht_die("a frame");
    /* More than the window holds would end the connection for another reason. */
    if (weft_buf_len(frame) > p->window) ht_die("a large forgery");
    ht_peer_say(p, frame);
}

void ht_forge_send(ht_peer *p, const ht_answer *of, uint32_t number)
{
    static uint8_t bytes[4096];
    send_entry(p, bytes, forged(number % 8, of, bytes)); /* the first ones end the connection */
}

static struct {
    uint32_t closed[MUTATIONS + 1], refused[MUTATIONS + 1], stored, unanswered;
} forge;

static void on_forged(ht_peer *p, uint64_t type, uint32_t stream, const uint8_t *body, size_t len)
{
    static uint8_t bytes[WEFT_ENTRY_BYTES_MAX];
    ht_run *run = ((ht_crew *)p->arg)->arg;
    struct wf_ack ack;
    (void)stream;
    if (type == WF_F_STATE) {
        size_t size = forged(p->number, &run->born, bytes);
        if (size > 7000) { /* it needs a loan */
            struct wf_bytes b = {0};
            if (wf_frame_put_blocked(&b, STREAM, size + 100, 0) != WEFT_OK) ht_die("BLOCKED");
            ht_peer_plain(p, wf_bytes_front(&b), wf_bytes_len(&b));
            wf_bytes_fini(&b);
        } else {
            send_entry(p, bytes, size);
        }
    } else if (type == WF_F_CREDIT && p->granted > 0 && p->step == 0) {
        p->step = 1;
        p->window += p->granted; /* of this stream, which is the only one */
        send_entry(p, bytes, forged(p->number, &run->born, bytes));
    } else if (type == WF_F_ACK && wf_ack_decode(body, len, &ack) == WEFT_OK) {
        forge.stored += ack.stored;
        forge.refused[p->number] += ack.stored == 0 && ack.code != 0;
        if (ack.stored > 0) p->over = true;
        p->wake_at = ht_now() + 300 * WEFT_MS; /* for the end that follows */
    }
}

static void enough(ht_peer *p) { p->over = true; }

static ht_peer *begin_forger(ht_crew *crew, uint32_t i)
{
    static const ht_manner manner = {
        .depth = HT_SECURE, .up = open_raw, .frame = on_forged, .tick = enough};
    ht_run *run = crew->arg;
    ht_peer *p = ht_peer_dial(run->born.port, 1 + i, ht_pair(HT_READER, i), &manner, crew);
    p->number = crew->wanted == 1 ? MUTATIONS : i % MUTATIONS;
    return p;
}

static void judge_forger(ht_crew *crew, ht_peer *p)
{
    (void)crew;
    forge.closed[p->number] += p->ended;
    forge.unanswered += !p->ended && p->frames[WF_F_ACK] == 0;
}

void ht_forge(ht_run *run, ht_line *line)
{
    ht_crew crew = {.wanted = MUTATIONS,
                    .width = 4,
                    .patience = 5 * WEFT_SEC,
                    .begin = begin_forger,
                    .judge = judge_forger,
                    .arg = run};
    ht_answer before = *ht_facts(run);
    uint32_t closed = 0;
    memset(&forge, 0, sizeof forge);
    (void)ht_crew_run(&crew, after(30));
    ht_same_store(run, &before, line);
    for (uint32_t i = 0; i < MUTATIONS; i++) {
        closed += forge.closed[i];
        if (forge.closed[i] + forge.refused[i] == 0)
            ht_bad(line, "%s: neither refused nor the end of its connection", mutations[i]);
    }
    if (forge.stored > 0) ht_bad(line, "%u forged entries were stored", forge.stored);
    ht_crew control = {.wanted = 1,
                       .width = 1,
                       .patience = 5 * WEFT_SEC,
                       .begin = begin_forger,
                       .judge = judge_forger,
                       .arg = run};
    control.begun = 0;
    (void)ht_crew_run(&control, after(10));
    if (forge.stored != 1) ht_bad(line, "a good entry sent in the same way was not stored");
    run->born = *ht_facts(run);
    ht_ok(line,
          "%zu forgeries by authorised readers: %u ended their connections, the others were "
          "refused, the "
          "store is the same byte for byte; a good entry sent alike was stored",
          MUTATIONS, closed);
}
