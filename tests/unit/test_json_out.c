/* SPDX-License-Identifier: BSD-3-Clause */
/* test_json_out.c: commas, nesting, escapes, and what is not UTF-8. */
#include "common/json_out.h"
#include "tests/unit/unit.h"

static bool writes(void (*fn)(struct json_out *), const char *expected)
{
    struct buf b = { 0 };
    struct json_out j;
    json_begin_document(&j, &b);
    fn(&j);
    bool same = json_end_document(&j) == 0 && span_eq(buf_span(&b), span_of(expected));
    if (!same)
        printf("wrote %.*s\n", (int)buf_len(&b), buf_span(&b).p);
    buf_release(&b);
    return same;
}

static void nested(struct json_out *j)
{
    json_object(j, NULL);
    json_array(j, "a");
    json_uint(j, NULL, UINT64_MAX);
    json_int(j, NULL, INT64_MIN);
    json_object(j, NULL);
    json_end_object(j);
    json_array(j, NULL);
    json_end_array(j);
    json_end_array(j);
    json_bool(j, "t", true);
    json_bool(j, "f", false);
    json_null(j, "n");
    json_string(j, "none", NULL);
    json_number(j, "x", 1.25, 3);
    json_number(j, "nan", 0.0 / 0.0, 3);
    json_end_object(j);
}

static void escapes(struct json_out *j)
{
    json_string(j, NULL, "\" \\ \n \r \t \x01 \x7f /");
}

static void characters(struct json_out *j)
{
    json_string(j, NULL, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
}

/* A lone byte, an overlong form, a surrogate, behind the end of Unicode, cut off. */
static void not_characters(struct json_out *j)
{
    json_string(j, NULL, "\xff|\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80|\xe2\x82");
}

/* CSI, the end of a line, right to left. */
static void controls(struct json_out *j)
{
    json_string(j, NULL, "\xc2\x9b|\xe2\x80\xa8|\xe2\x80\xae");
}

static void with_nul(struct json_out *j)
{
    json_text(j, NULL, "a\0b", 3);
}

int main(void)
{
    CHECK(writes(nested, "{\"a\":[18446744073709551615,-9223372036854775808,{},[]],\"t\":true,"
                         "\"f\":false,\"n\":null,\"none\":null,\"x\":1.250,\"nan\":null}"));
    CHECK(writes(escapes, "\"\\\" \\\\ \\n \\r \\t \\u0001 \\u007f /\""));
    CHECK(writes(characters, "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\""));
    CHECK(writes(not_characters, "\"\\ufffd|\\ufffd\\ufffd|\\ufffd\\ufffd\\ufffd|"
                                 "\\ufffd\\ufffd\\ufffd\\ufffd|\\ufffd\\ufffd\""));
    CHECK(writes(controls, "\"\\u009b|\\u2028|\\u202e\""));
    CHECK(writes(with_nul, "\"a\\u0000b\""));
    return unit_done();
}
