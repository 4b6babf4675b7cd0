/* SPDX-License-Identifier: Apache-2.0
 * criterion_fork_asserts.c - the functions that Criterion's assert macros call.
 * Called by: tests, through <criterion/criterion.h> and <criterion/new/assert.h>, under a sanitizer.
 * May touch: stderr, malloc. What is missing here (theories, redirection) fails at link time.
 * Never: the course of a test; that is criterion_fork_runner.c. */
#include "criterion_fork_runner.h"

#include <criterion/logging.h>
#include <criterion/new/assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory and text ---- */

void *cr_malloc(size_t size) { return malloc(size); }

void *cr_calloc(size_t count, size_t size) { return calloc(count, size); }

void *cr_realloc(void *ptr, size_t size) { return realloc(ptr, size); }

void cr_free(void *ptr) { free(ptr); }

int cr_vasprintf(char **out, const char *format, va_list args)
{
    int len = vasprintf(out, format, args);
    if (len < 0) *out = NULL; /* glibc leaves it undefined; the macros test for NULL */
    return len;
}

int cr_asprintf(char **out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = cr_vasprintf(out, format, args);
    va_end(args);
    return len;
}

void cr_asprintf_free(char *text) { free(text); }

void cr_log(enum criterion_severity severity, const char *format, ...)
{
    static const char *const names[] = {"info", "warning", "error"};
    va_list args;
    va_start(args, format);
    fprintf(stderr, "[%s] ", names[severity]);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

/* ---- cr_assert_eq() and its kin ---- */

/* The default text of a failed assert; the variable arguments are the expression and its operands. */
char *cr_translate_assert_msg(int index, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, index);
    const char *expr = va_arg(args, const char *);
    if (index == CRITERION_ASSERT_MSG_EXPR_AS_STRINGS_FALSE) {
        const char *a = va_arg(args, const char *), *b = va_arg(args, const char *);
        cr_asprintf(&text, "not true as strings: %s (\"%s\", \"%s\")", expr, a ? a : "NULL",
                    b ? b : "NULL");
    } else if (index == CRITERION_ASSERT_MSG_IS_NULL) {
        cr_asprintf(&text, "is NULL: %s", expr);
    } else if (index == CRITERION_ASSERT_MSG_IS_NOT_NULL) {
        cr_asprintf(&text, "is not NULL: %s", expr);
    } else {
        cr_asprintf(&text, "not true: %s", index == CRITERION_ASSERT_MSG_FAIL ? "cr_fail" : expr);
    }
    va_end(args);
    return text;
}

void criterion_send_assert(struct criterion_assert_stats *assert)
{
    if (!assert->passed)
        fprintf(stderr, "%s:%u: assert failed: %s\n", assert->file, assert->line, assert->message);
}

void cri_asserts_passed_incr(void)
{
    /* only failures are counted; a macro calls this after every assert that held */
}

/* ---- cr_assert(eq(...)) and its kin: a tree of what was compared ---- */

char *cri_assert_message(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    cr_vasprintf(&text, format,
                 args); /* the macro puts an 'x' in front, so that it is never empty */
    va_end(args);
    return text;
}

void cri_assert_node_init(struct cri_assert_node *node) { memset(node, 0, sizeof *node); }

/* The macros never free the tree of an assert that held. Blocks of children therefore stay on a list
 * until the process ends, else each of them would be reported as a leak of the test. */
struct block {
    struct block *next;
    struct cri_assert_node nodes[];
};
static _Atomic(struct block *) blocks;

struct cri_assert_node *cri_assert_node_add(struct cri_assert_node *tree,
                                            struct cri_assert_node *node)
{
    size_t count = tree->nchild;
    struct block *block = calloc(1, sizeof *block + (count + 1) * sizeof block->nodes[0]);
    if (block == NULL) abort();
    if (count > 0) memcpy(block->nodes, tree->children, count * sizeof block->nodes[0]);
    block->nodes[count] = *node;
    block->next = atomic_load(&blocks);
    while (!atomic_compare_exchange_weak(&blocks, &block->next, block)) {
        /* another thread added a block; block->next holds it now */
    }
    tree->children = block->nodes;
    tree->nchild++;
    return &block->nodes[count];
}

void cri_assert_node_negate(struct cri_assert_node *tree)
{
    tree->pass = !tree->pass;
    for (size_t i = 0; i < tree->nchild; i++) cri_assert_node_negate(&tree->children[i]);
}

void cri_assert_node_term(struct cri_assert_node *tree)
{
    free((char *)(uintptr_t)tree->message); /* the only thing that no block holds */
    tree->message = NULL;
}

static void print_node(const struct cri_assert_node *node, int depth)
{
    if (node->repr != NULL)
        fprintf(stderr, "%*s%s%s\n", 2 * depth, "", node->repr, node->pass ? "" : " is false");
    for (size_t i = 0; i < CRI_ASSERT_MAX_PARAMS; i++)
        if (node->params[i].data != NULL && node->params[i].type == CRI_ASSERT_RT_STR)
            fprintf(stderr, "%*s%s: %s\n", 2 * depth + 2, "", node->params[i].name,
                    (char *)node->params[i].data);
    for (size_t i = 0; i < node->nchild; i++) print_node(&node->children[i], depth + 1);
}

void cri_assert_node_send(const char *file, size_t line, struct cri_assert_node *tree)
{
    const char *text = tree->message != NULL && tree->message[0] != '\0' ? tree->message + 1 : "";
    fprintf(stderr, "%s:%zu: assert failed: %s\n", file, line, text);
    print_node(tree, 0);
}

/* ---- comparisons that are not inline in the headers ---- */

int cr_user_str_eq(char **a, char **b) { return strcmp(*a, *b) == 0; }

int cr_user_str_lt(char **a, char **b) { return strcmp(*a, *b) < 0; }

int cr_user_str_zero(char **a) { return (*a)[0] == '\0'; }

char *cr_user_str_tostr(char **a) { return strdup(*a); }

int cr_user_mem_eq(const struct cr_mem *a, const struct cr_mem *b)
{
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

int cr_user_mem_lt(const struct cr_mem *a, const struct cr_mem *b)
{
    int order = memcmp(a->data, b->data, a->size < b->size ? a->size : b->size);
    return order < 0 || (order == 0 && a->size < b->size);
}

char *cr_user_mem_tostr(const struct cr_mem *m)
{
    enum { SHOWN_MAX = 64 }; /* bytes; enough to see where two differ in most tests */
    size_t shown = m->size < SHOWN_MAX ? m->size : SHOWN_MAX;
    char *text = malloc(2 * SHOWN_MAX + 4);
    if (text == NULL) return NULL;
    for (size_t i = 0; i < shown; i++)
        snprintf(text + 2 * i, 3, "%02x", ((const unsigned char *)m->data)[i]);
    strcpy(text + 2 * shown, shown < m->size ? "..." : "");
    return text;
}
