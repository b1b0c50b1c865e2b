/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_control.c: a line to the control socket, and the answer as tinectl reads it, with any bytes. What is understood
 * must be one of the commands with its argument in range; a tree must hold what its text can hold. */
#include <limits.h>
#include <string.h>

#include "common/json_out.h"
#include "master/control/control_parse.h"
#include "master/tinectl/tinectl_json.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_corpora[] = { "control.json", NULL };

static void parse_line(const char *line, size_t n)
{
    struct control_request request = { 0 };
    if (control_parse(line, n, &request))
        return;
    MUST(n && n <= CONTROL_LINE_MAX && (unsigned)request.command < CONTROL_N_COMMANDS);
    MUST(request.number <= INT_MAX);
    MUST(!request.quick || request.command == CONTROL_STOP);
    MUST(request.command != CONTROL_SCALE || request.number);
    MUST(!request.number || request.command == CONTROL_SCALE || request.command == CONTROL_STACKS);
}

static size_t values_of(const struct json *value, size_t depth)
{
    size_t n = 0;
    MUST(depth <= 32);
    for (; value; value = value->next) {
        MUST(value->kind != JSON_STRING || value->text);
        n += 1 + values_of(value->first, depth + 1);
    }
    return n;
}

/* A string that is written comes back the same, but for what is no UTF-8 and NUL. */
static void write_and_read(const char *text, size_t n)
{
    struct buf b = { 0 };
    struct json_out j;
    json_begin_document(&j, &b);
    json_array(&j, NULL);
    json_text(&j, NULL, text, n);
    json_end_array(&j);
    MUST(json_end_document(&j) == 0);
    struct json *tree = json_parse(b.p, buf_len(&b));
    MUST(tree && json_count(tree) == 1 && tree->first->kind == JSON_STRING);
    size_t plain = 0;
    while (plain < n && text[plain] > 0)
        plain++;
    MUST(strlen(tree->first->text) >= plain && !memcmp(tree->first->text, text, plain));
    json_free(tree);
    buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Without anything behind it, so that a read too far is found. */
    char *text = calloc(size ? size : 1, 1);
    if (size)
        memcpy(text, data, size);
    parse_line(text, size);
    struct json *tree = json_parse(text, size);
    MUST(values_of(tree, 1) <= size + 1);
    json_free(tree);
    write_and_read(text, size);
    free(text);
    return 0;
}
