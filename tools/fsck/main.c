/* SPDX-License-Identifier: Apache-2.0
 * main.c - weft-fsck: looks a store over, salvages it, copies it.
 * Called by: people, CI. May touch: standard streams; its rooms touch stores.
 * Never: changes the store that it looks at. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <weft/log.h>

#include "fsck.h"
#include "store_dir.h"

#define LOG_LINES 20u

static const char usage[] =
    "weft-fsck [OPTIONS] DIR                  look the store over, change nothing\n"
    "weft-fsck --salvage NEW DIR              keep what can be read of it, in a new store\n"
    "weft-fsck --checkpoint NEW DIR           copy it (no process has it open)\n"
    "weft-fsck --restore NEW CHECKPOINT       make a store of a copy\n"
    "  --signatures   check every signature, too\n"
    "  --json         one JSON object on standard output\n"
    "  --live         look although a process has the store open (what it writes may seem torn)\n"
    "  --key FILE     with --restore, --salvage: the key of the device\n"
    "  --quiet        no progress\n"
    "exit code: 0 clean, 7 damaged (--salvage: something was lost), 3 no store there, 6 it is "
    "open,\n"
    "8 another format, 2 these words are not understood, 1 anything else\n";

void fsck_say(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("weft-fsck: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
}

/* A damaged store has much to say, and says most of it again as a fault. */
static void on_line(void *arg, weft_log_level level, const char *facility, const char *line)
{
    unsigned *lines = arg;
    (void)level;
    if (++*lines <= LOG_LINES) fprintf(stderr, "%s: %s\n", facility, line);
    if (*lines == LOG_LINES) fputs("further lines of the log are left out\n", stderr);
}

int fsck_code(weft_err err)
{
    switch (err) {
    case WEFT_OK: return FSCK_CLEAN;
    case WEFT_CORRUPT: return FSCK_DAMAGED;
    case WEFT_NOT_STORE:
    case WEFT_NOT_FOUND: return FSCK_NOTHING;
    case WEFT_VERSION: return FSCK_VERSION;
    case WEFT_LOCKED: return FSCK_LOCKED;
    default: return FSCK_FAILED;
    }
}

weft_err fsck_is_free(const char *dir)
{
    int holder = wf_store_dir_holder(dir);
    if (holder == 0) return WEFT_OK;
    fsck_say("%s is in use by process %d", dir, holder);
    return WEFT_LOCKED;
}

static int understand(int argc, char **argv, struct fsck *f)
{
    static const struct option options[] = {
        {"salvage", required_argument, NULL, 's'}, {"checkpoint", required_argument, NULL, 'c'},
        {"restore", required_argument, NULL, 'r'}, {"key", required_argument, NULL, 'k'},
        {"signatures", no_argument, NULL, 'S'},    {"json", no_argument, NULL, 'j'},
        {"live", no_argument, NULL, 'l'},          {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},          {0}};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (option) {
        case 's': f->salvage = optarg; break;
        case 'c': f->checkpoint = optarg; break;
        case 'r': f->restore = optarg; break;
        case 'k': f->key = optarg; break;
        case 'S': f->signatures = true; break;
        case 'j': f->json = true; break;
        case 'l': f->live = true; break;
        case 'q': f->quiet = true; break;
        case 'h': return fputs(usage, stdout), -1;
        default: return FSCK_USAGE;
        }
    int makes = (f->salvage != NULL) + (f->checkpoint != NULL) + (f->restore != NULL);
    if (optind + 1 != argc || makes > 1 || (f->live && makes > 0) || (f->signatures && makes > 0) ||
        (f->key != NULL && f->salvage == NULL && f->restore == NULL))
        return FSCK_USAGE;
    f->dir = argv[optind];
    return FSCK_CLEAN;
}

int main(int argc, char **argv)
{
    struct fsck f = {0};
    unsigned lines = 0;
    int code = understand(argc, argv, &f);
    if (code < 0) return FSCK_CLEAN;
    if (code != FSCK_CLEAN) return fputs(usage, stderr), code;
    weft_log_to(on_line, &lines, WEFT_LOG_WARN);
    if (f.salvage != NULL) code = fsck_salvage(&f);
    else if (f.checkpoint != NULL) code = fsck_checkpoint(&f);
    else if (f.restore != NULL) code = fsck_restore(&f);
    else code = fsck_verify(&f);
    return fflush(stdout) == 0 ? code : FSCK_FAILED;
}
