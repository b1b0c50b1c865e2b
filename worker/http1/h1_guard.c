/* SPDX-License-Identifier: BSD-3-Clause */
/* h1_guard.c: one strict pass over the raw bytes of a head, so that nothing lenient in http-parser can be reached.
 *
 * A state machine over bytes that can stop anywhere and continue; long runs (target, field value) are skipped sixteen
 * bytes at a time. Every verdict depends only on the bytes up to the one that shows it, never on how they arrived.
 * It allocates nothing, changes no byte, and knows no field by name: meaning is head_rules' business.
 */
#include "worker/http1/h1_guard.h"

#include <stdbool.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "common/least.h"
#include "worker/http/chars.h"

#define MAX_EMPTY_LINES 4

enum state {
    START,        /* before the request line; empty lines are skipped (RFC 9112 2.2) */
    START_LF,
    METHOD,
    TARGET_FIRST,
    TARGET,
    VERSION,
    LINE_LF,      /* after the CR of the request line */
    FIELD_FIRST,  /* first byte of a field line, or CR of the end */
    NAME,
    VALUE,
    VALUE_LF,
    END_LF,
};

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
#define PREFACE_LEN (sizeof(preface) - 1)

static inline unsigned char byte(const char *p, size_t i)
{
    return (unsigned char)p[i];
}

/* First byte at or after `i` that is not a token character, or `stop`. */
static inline size_t skip_token(const char *p, size_t i, size_t stop)
{
    while (i < stop && h1_is_token(byte(p, i)))
        i++;
    return i;
}

/* First byte that cannot be in a request target: only visible ASCII, and no fragment (RFC 9112 3.2, RFC 3986 2). */
static inline size_t skip_target(const char *p, size_t i, size_t stop)
{
#ifdef __SSE2__
    for (; i + 16 <= stop; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(p + i));
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x20)), x);
        __m128i high = _mm_cmpeq_epi8(_mm_max_epu8(x, _mm_set1_epi8(0x7f)), x);
        __m128i hash = _mm_cmpeq_epi8(x, _mm_set1_epi8('#'));
        int bad = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(low, high), hash));
        if (bad)
            return i + (size_t)__builtin_ctz((unsigned)bad);
    }
#endif
    while (i < stop && byte(p, i) > 0x20 && byte(p, i) < 0x7f && p[i] != '#')
        i++;
    return i;
}

/* First byte that cannot be in a field value: HTAB, SP, VCHAR and obs-text can (RFC 9110 5.5). */
static inline size_t skip_value(const char *p, size_t i, size_t stop)
{
#ifdef __SSE2__
    for (; i + 16 <= stop; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(p + i));
        __m128i ctl = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
        __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
        __m128i tab = _mm_cmpeq_epi8(x, _mm_set1_epi8('\t'));
        int bad = _mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, ctl), del));
        if (bad)
            return i + (size_t)__builtin_ctz((unsigned)bad);
    }
#endif
    while (i < stop && h1_is_value(byte(p, i)))
        i++;
    return i;
}

/* Whether the byte at s->at may still belong to a line of at most `limit` bytes: it may always be the CR after it. */
static inline bool line_full(const char *p, const struct h1_scan *s, size_t limit)
{
    return s->at - s->line >= limit && p[s->at] != '\r';
}

/* The version is matched byte by byte: HTTP-name is case-sensitive, then DIGIT "." DIGIT (RFC 9112 2.3). */
static enum h1_guard_result check_version_byte(const char *version, size_t i)
{
    static const char http[] = "HTTP/";
    char c = version[i];
    if (i < 5)
        return c == http[i] ? H1_GUARD_OK : H1_GUARD_BAD;
    if (i == 6)
        return c == '.' ? H1_GUARD_OK : H1_GUARD_BAD;
    if (c < '0' || c > '9')
        return H1_GUARD_BAD;
    if (i == 7 && (version[5] != '1' || c > '1'))
        return H1_GUARD_VERSION;
    return H1_GUARD_OK;
}

/* A control character or a blank too many makes the line doubtful, not the target. */
static enum h1_guard_result bad_target(char c)
{
    return (unsigned char)c > 0x20 ? H1_GUARD_TARGET : H1_GUARD_BAD;
}

/* The states of the request line. OK: LINE_LF is done and the state is FIELD_FIRST. */
static enum h1_guard_result scan_line(const char *p, size_t n, const struct h1_limits *limits, struct h1_scan *s)
{
    for (;;) {
        size_t stop = least(n, s->line + limits->line);
        if (s->state == METHOD)
            s->at = skip_token(p, s->at, stop);
        else if (s->state == TARGET)
            s->at = skip_target(p, s->at, stop);
        if (s->at >= n)
            return H1_GUARD_MORE;
        if (s->state >= METHOD && s->state <= VERSION && line_full(p, s, limits->line))
            return H1_GUARD_LINE_TOO_LONG;

        char c = p[s->at];
        switch (s->state) {
        case START:
            if (c == '\r' && s->fields < MAX_EMPTY_LINES) {
                s->fields++; /* counts empty lines until the request line begins */
                s->state = START_LF;
                break;
            }
            if (!h1_is_token((unsigned char)c))
                return H1_GUARD_BAD;
            s->fields = 0;
            s->line = s->start = s->at;
            s->state = METHOD;
            continue;
        case START_LF:
            if (c != '\n')
                return H1_GUARD_BAD;
            s->state = START;
            break;
        case METHOD:
            if (c != ' ')
                return H1_GUARD_BAD;
            s->state = TARGET_FIRST;
            break;
        case TARGET_FIRST:
            if (skip_target(p, s->at, s->at + 1) == s->at)
                return bad_target(c);
            s->state = TARGET;
            break;
        case TARGET:
            if (c != ' ')
                return bad_target(c);
            s->state = VERSION;
            break;
        case VERSION: {
            size_t i = s->at;
            while (p[i - 1] != ' ') /* at most 8 steps: more is an error before */
                i--;
            if (s->at - i == 8) {
                if (c != '\r')
                    return H1_GUARD_BAD;
                s->state = LINE_LF;
                break;
            }
            enum h1_guard_result result = check_version_byte(p + i, s->at - i);
            if (result != H1_GUARD_OK)
                return result;
            break;
        }
        case LINE_LF:
            if (c != '\n')
                return H1_GUARD_BAD;
            s->at++;
            s->state = FIELD_FIRST;
            return H1_GUARD_OK;
        }
        s->at++;
    }
}

/* The states of field lines, up to the empty line after them. */
static enum h1_guard_result scan_fields(const char *p, size_t n, const struct h1_limits *limits, struct h1_scan *s)
{
    size_t limit = limits->field - 2; /* without CRLF */
    for (;;) {
        size_t stop = least(n, s->line + limit);
        if (s->state == NAME)
            s->at = skip_token(p, s->at, stop);
        else if (s->state == VALUE)
            s->at = skip_value(p, s->at, stop);
        if (s->at >= n)
            return H1_GUARD_MORE;

        char c = p[s->at];
        switch (s->state) {
        case FIELD_FIRST:
            s->line = s->at;
            if (c == '\r') {
                s->state = END_LF;
                break;
            }
            /* White space here would be obs-fold, or a line that some would skip (RFC 9112 2.2, 5.2). */
            if (!h1_is_token((unsigned char)c))
                return H1_GUARD_BAD;
            if (s->fields >= limits->fields)
                return H1_GUARD_FIELDS;
            s->fields++;
            s->state = NAME;
            break;
        case NAME:
            if (line_full(p, s, limit))
                return H1_GUARD_FIELDS;
            if (c != ':') /* no white space between name and colon: RFC 9112 5.1 */
                return H1_GUARD_BAD;
            s->state = VALUE;
            break;
        case VALUE:
            if (line_full(p, s, limit))
                return H1_GUARD_FIELDS;
            if (c != '\r')
                return H1_GUARD_BAD;
            s->state = VALUE_LF;
            break;
        case VALUE_LF:
            if (c != '\n')
                return H1_GUARD_BAD;
            s->state = FIELD_FIRST;
            break;
        case END_LF:
            if (c != '\n')
                return H1_GUARD_BAD;
            s->at++;
            return H1_GUARD_OK;
        }
        s->at++;
    }
}

/* The head has as many bytes as it may have, there are more, and it has not ended. */
static enum h1_guard_result too_long(const struct h1_scan *s)
{
    return s->state < FIELD_FIRST ? H1_GUARD_LINE_TOO_LONG : H1_GUARD_FIELDS;
}

enum h1_guard_result h1_guard_head(const char *p, size_t n, const struct h1_limits *limits, struct h1_scan *scan,
                                   size_t *ret_start, size_t *ret_end)
{
    /* Nothing is looked at further while all bytes so far could be the preface (RFC 9113 3.4). */
    if (scan->at == 0 && n > 0 && p[0] == 'P' && memcmp(p, preface, least(n, PREFACE_LEN)) == 0)
        return n >= PREFACE_LEN ? H1_GUARD_H2_PREFACE : H1_GUARD_MORE;

    /* What is beyond the limit is not looked at, so that the verdict is the same however the bytes come. */
    size_t most = least(n, limits->head);
    enum h1_guard_result result = H1_GUARD_OK;
    if (scan->state < FIELD_FIRST)
        result = scan_line(p, most, limits, scan);
    if (result == H1_GUARD_OK)
        result = scan_fields(p, most, limits, scan);
    if (result == H1_GUARD_OK) {
        *ret_start = scan->start;
        *ret_end = scan->at;
    }
    return result == H1_GUARD_MORE && n > most ? too_long(scan) : result;
}

enum h1_guard_result h1_guard_trailers(const char *p, size_t n, const struct h1_limits *limits, struct h1_scan *scan,
                                       size_t *ret_end)
{
    if (scan->state < FIELD_FIRST)
        scan->state = FIELD_FIRST;
    enum h1_guard_result result = scan_fields(p, n, limits, scan);
    if (result == H1_GUARD_OK)
        *ret_end = scan->at;
    return result;
}
