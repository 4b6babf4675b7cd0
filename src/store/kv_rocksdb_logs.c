/* SPDX-License-Identifier: Apache-2.0
 * kv_rocksdb_logs.c - tells a torn record at the end of a log from a damaged length, and a record
 * from one of a recycled log.
 * Called by: kv_rocksdb.c, store_copy.c, weft-fsck. May touch: MANIFEST and log files of a store, reading;
 * logs of a copy.
 * Never: judges what the engine judges by itself: the checksums of whole records. */
#include "kv_rocksdb_logs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "log.h"

/* The format (RocksDB's wiki, "Write Ahead Log File Format", which the MANIFEST shares): blocks
 * of 32 KiB; no record crosses the end of one. A record: checksum 4, length 2, type 1, for the
 * types of recycled logs the log's number 4, then the bytes. The checksum is CRC-32C, rotated
 * and with a constant added, over all that follows the length. */
#define BLOCK_BYTES 32768u
#define HEADER_BYTES 7u
#define HEADER_RECYCLED_BYTES 11u
#define TYPE_PLAIN_LAST 4u /* 1: a whole record; 2, 3, 4: its first, a middle, its last part */
#define TYPE_RECYCLED_FIRST 5u
#define TYPE_RECYCLED_LAST 8u
#define TYPE_UNKNOWN 127u
#define CRC32C_REVERSED UINT32_C(0x82f63b78)
#define CRC_MASK_DELTA UINT32_C(0xa282ead8)

static uint32_t crc_next(uint32_t crc, uint8_t byte)
{
    crc ^= byte;
    for (int i = 0; i < 8; i++) crc = crc >> 1 ^ ((crc & 1) != 0 ? CRC32C_REVERSED : 0);
    return crc;
}

static uint32_t masked(uint32_t crc)
{
    crc = ~crc;
    return (crc >> 15 | crc << 17) + CRC_MASK_DELTA;
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Does the checksum fit some shorter length? Then all of the record is here. */
static bool is_whole(const uint8_t *record, size_t room, size_t header)
{
    uint32_t want = get32(record), crc = UINT32_MAX;
    for (size_t at = 6; at < room; at++) {
        crc = crc_next(crc, record[at]);
        if (at + 1 >= header && masked(crc) == want) return true;
    }
    return false;
}

static bool fits_as(const uint8_t *record, size_t length, uint8_t type)
{
    uint32_t crc = crc_next(UINT32_MAX, type);
    for (size_t i = 0; i < length; i++) crc = crc_next(crc, record[HEADER_BYTES + i]);
    return masked(crc) == get32(record);
}

/* One flipped bit makes of a type the one of a recycled log. The engine then takes the record for
 * a leftover and all that follows for nothing: of a MANIFEST, the families and tables. */
static bool was_plain(const uint8_t *record, size_t room, size_t length)
{
    if (HEADER_BYTES + length > room) return false;
    for (uint8_t type = 1; type <= TYPE_PLAIN_LAST; type++)
        if (fits_as(record, length, type)) return true;
    return false;
}

/* False: a record is whole and its length or type is not. Lengths are looked at in the last block
 * only: in others the engine refuses one that reaches too far, where there it is a torn tail. */
static bool fits(const uint8_t *block, size_t len, bool is_last)
{
    size_t at = 0;
    while (at + HEADER_BYTES <= len) {
        size_t length = (size_t)block[at + 4] | (size_t)block[at + 5] << 8;
        uint8_t type = block[at + 6];
        bool recycled = type >= TYPE_RECYCLED_FIRST && type <= TYPE_RECYCLED_LAST;
        size_t header = recycled ? HEADER_RECYCLED_BYTES : HEADER_BYTES;
        if (type == 0 && length == 0) return true; /* room that was never written */
        if (recycled && was_plain(block + at, len - at, length)) return false;
        if (at + header + length > len) return !is_last || !is_whole(block + at, len - at, header);
        at += header + length;
    }
    return true;
}

/* -- Records in the middle ------------------------------------------------------------------------ */

static size_t length_of(const uint8_t *record)
{
    return (size_t)record[4] | (size_t)record[5] << 8;
}

static bool is_sound(const uint8_t *block, size_t at, size_t len)
{
    if (at + HEADER_BYTES > len || block[at + 6] == 0) return false;
    size_t length = length_of(block + at);
    return HEADER_BYTES + length <= len - at && fits_as(block + at, length, block[at + 6]);
}

/* The first sound record behind `at`, whatever the one there says of its length; 0: none. */
static size_t next_sound(const uint8_t *block, size_t at, size_t len)
{
    for (size_t next = at + HEADER_BYTES; next + HEADER_BYTES <= len; next++)
        if (block[next + 6] <= TYPE_PLAIN_LAST && is_sound(block, next, len)) return next;
    return 0;
}

/* From `at` to `end` is one record, of a kind that is passed over. */
static void make_unknown(uint8_t *record, size_t length)
{
    record[4] = (uint8_t)length;
    record[5] = (uint8_t)(length >> 8);
    record[6] = TYPE_UNKNOWN;
    uint32_t crc = crc_next(UINT32_MAX, TYPE_UNKNOWN);
    for (size_t i = 0; i < length; i++) crc = crc_next(crc, record[HEADER_BYTES + i]);
    crc = masked(crc);
    for (int i = 0; i < 4; i++) record[i] = (uint8_t)(crc >> (8 * i));
}

/* Records that were, or are to be, spared; and all that a reader does not give out. */
struct sparing {
    uint64_t bad, lost;
};

/* How many records of a block had to be spared the others. */
static unsigned spare(uint8_t *block, size_t len, struct sparing *s)
{
    unsigned changed = 0;
    for (size_t at = 0, next; at + HEADER_BYTES <= len; at = next) {
        if (block[at + 6] == 0 && length_of(block + at) == 0) break; /* never written */
        next = at + HEADER_BYTES + length_of(block + at);
        if (is_sound(block, at, len)) {
            s->lost += block[at + 6] == TYPE_UNKNOWN;
            continue;
        }
        s->lost++;
        next = next_sound(block, at, len);
        if (next == 0) break; /* nothing behind it would be lost */
        make_unknown(block + at, next - at - HEADER_BYTES);
        changed++;
    }
    s->bad += changed;
    return changed;
}

static weft_err spare_file(int folder, const char *name, uint8_t *block, bool write,
                           struct sparing *s)
{
    struct stat info;
    weft_err err = WEFT_OK;
    int fd = openat(folder, name, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (fd < 0) return WEFT_IO;
    off_t end = fstat(fd, &info) == 0 ? info.st_size : 0;
    for (off_t at = 0; err == WEFT_OK && at < end; at += (off_t)BLOCK_BYTES) {
        ssize_t len = pread(fd, block, BLOCK_BYTES, at);
        if (len <= 0) break;
        unsigned changed = spare(block, (size_t)len, s);
        if (changed > 0 && write && pwrite(fd, block, (size_t)len, at) != len) err = WEFT_IO;
    }
    close(fd);
    return err;
}

static bool is_manifest(const char *name) { return strncmp(name, "MANIFEST-", 9) == 0; }

static bool is_wal(const char *name)
{
    size_t len = strlen(name);
    return len > 4 && strcmp(name + len - 4, ".log") == 0;
}

static bool is_log(const char *name) { return is_manifest(name) || is_wal(name); }

static weft_err spare_all(const char *dir, bool write, struct sparing *s)
{
    DIR *handle = opendir(dir);
    if (handle == NULL) return WEFT_IO;
    uint8_t *block = wf_malloc(BLOCK_BYTES);
    weft_err err = block == NULL ? WEFT_NO_MEMORY : WEFT_OK;
    for (struct dirent *item; err == WEFT_OK && (item = readdir(handle)) != NULL;)
        if (is_wal(item->d_name)) err = spare_file(dirfd(handle), item->d_name, block, write, s);
    wf_free(block);
    closedir(handle);
    return err;
}

static bool file_fits(int folder, const char *name, uint8_t *block)
{
    struct stat info;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return true;
    bool good = true;
    off_t end = fstat(fd, &info) == 0 ? info.st_size : 0;
    for (off_t at = 0; good && at < end; at += (off_t)BLOCK_BYTES) {
        ssize_t len = pread(fd, block, BLOCK_BYTES, at);
        if (len <= 0) break; /* the engine will meet it, too */
        good = fits(block, (size_t)len, end - at <= (off_t)BLOCK_BYTES);
    }
    close(fd);
    return good;
}

/* All of each file is read here, and read again by the engine, which then finds it in memory: a
 * type may be wrong anywhere, and the engine would end the log there without a word. */
static weft_err check(const char *dir, bool (*is_one)(const char *name))
{
    DIR *handle = opendir(dir);
    if (handle == NULL) return WEFT_OK;
    uint8_t *block = wf_malloc(BLOCK_BYTES);
    weft_err err = block == NULL ? WEFT_NO_MEMORY : WEFT_OK;
    for (struct dirent *item; err == WEFT_OK && (item = readdir(handle)) != NULL;)
        if (is_one(item->d_name) && !file_fits(dirfd(handle), item->d_name, block))
            err = wf_fail(WEFT_CORRUPT, "store",
                          "path=%s/%s has a record of a wrong length or type", dir, item->d_name);
    wf_free(block);
    closedir(handle);
    return err;
}

weft_err wf_store_dir_check_logs(const char *dir) { return check(dir, is_log); }

weft_err wf_store_dir_check_manifest(const char *dir) { return check(dir, is_manifest); }

bool wf_store_dir_has_bad_record(const char *dir)
{
    struct sparing s = {0};
    return spare_all(dir, false, &s) == WEFT_OK && s.bad > 0;
}

bool wf_store_dir_has_lost_record(const char *dir)
{
    struct sparing s = {0};
    return spare_all(dir, false, &s) != WEFT_OK || s.lost > 0;
}

weft_err wf_store_dir_spare_records(const char *dir, uint64_t *lost)
{
    struct sparing s = {0};
    weft_err err = spare_all(dir, true, &s);
    if (s.lost > 0)
        wf_log(WEFT_LOG_WARN, "store", "path=%s: %llu damaged records of logs are passed over", dir,
               (unsigned long long)s.lost);
    if (lost != NULL) *lost = s.lost;
    return err == WEFT_OK ? err : wf_fail(err, "store", "path=%s: its logs cannot be read", dir);
}
