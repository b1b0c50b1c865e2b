/* SPDX-License-Identifier: BSD-3-Clause */
/* static_mime.c: the table of media types by file ending: the registered types of what web sites are made of, so that
 * nothing depends on the machine's own table. */
#include "worker/static/static_mime.h"

#include <stdlib.h>
#include <string.h>

#define LONGEST_ENDING 11

struct row {
    const char *ending;
    struct static_mime mime;
};

#define TEXT(ending, type)                                                        \
    {                                                                             \
        ending,                                                                   \
        {                                                                         \
            { type "; charset=utf-8", sizeof(type "; charset=utf-8") - 1 }, false \
        }                                                                         \
    }
#define PLAIN(ending, type)                   \
    {                                         \
        ending,                               \
        {                                     \
            { type, sizeof(type) - 1 }, false \
        }                                     \
    }
#define PACKED(ending, type)                 \
    {                                        \
        ending,                              \
        {                                    \
            { type, sizeof(type) - 1 }, true \
        }                                    \
    }

/* In the order of strcmp(). */
static const struct row rows[] = {
    PACKED("7z", "application/x-7z-compressed"),
    PACKED("aac", "audio/aac"),
    PACKED("apk", "application/vnd.android.package-archive"),
    PACKED("apng", "image/apng"),
    PLAIN("atom", "application/atom+xml"),
    PACKED("avif", "image/avif"),
    PLAIN("bin", "application/octet-stream"),
    PLAIN("bmp", "image/bmp"),
    PACKED("br", "application/octet-stream"),
    PACKED("bz2", "application/x-bzip2"),
    TEXT("css", "text/css"),
    TEXT("csv", "text/csv"),
    PLAIN("deb", "application/vnd.debian.binary-package"),
    PLAIN("doc", "application/msword"),
    PACKED("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    PLAIN("eot", "application/vnd.ms-fontobject"),
    PACKED("epub", "application/epub+zip"),
    PACKED("flac", "audio/flac"),
    PLAIN("geojson", "application/geo+json"),
    PACKED("gif", "image/gif"),
    PACKED("gz", "application/gzip"),
    PACKED("heic", "image/heic"),
    TEXT("htm", "text/html"),
    TEXT("html", "text/html"),
    PLAIN("ico", "image/vnd.microsoft.icon"),
    TEXT("ics", "text/calendar"),
    PACKED("jar", "application/java-archive"),
    PACKED("jpeg", "image/jpeg"),
    PACKED("jpg", "image/jpeg"),
    TEXT("js", "text/javascript"),
    PLAIN("json", "application/json"),
    PLAIN("jsonld", "application/ld+json"),
    PACKED("jxl", "image/jxl"),
    PACKED("m4a", "audio/mp4"),
    PACKED("m4v", "video/mp4"),
    PLAIN("map", "application/json"),
    TEXT("md", "text/markdown"),
    TEXT("mjs", "text/javascript"),
    PACKED("mov", "video/quicktime"),
    PACKED("mp3", "audio/mpeg"),
    PACKED("mp4", "video/mp4"),
    PACKED("mpeg", "video/mpeg"),
    PACKED("oga", "audio/ogg"),
    PACKED("ogg", "audio/ogg"),
    PACKED("ogv", "video/ogg"),
    PACKED("opus", "audio/ogg"),
    PLAIN("otf", "font/otf"),
    PLAIN("pdf", "application/pdf"),
    PACKED("png", "image/png"),
    PLAIN("ppt", "application/vnd.ms-powerpoint"),
    PACKED("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    PLAIN("ps", "application/postscript"),
    PLAIN("rss", "application/rss+xml"),
    PLAIN("rtf", "application/rtf"),
    PLAIN("svg", "image/svg+xml"),
    PLAIN("tar", "application/x-tar"),
    PACKED("tgz", "application/gzip"),
    PLAIN("tif", "image/tiff"),
    PLAIN("tiff", "image/tiff"),
    PLAIN("toml", "application/toml"),
    PLAIN("ttf", "font/ttf"),
    TEXT("txt", "text/plain"),
    PLAIN("usdz", "model/vnd.usdz+zip"),
    TEXT("vcf", "text/vcard"),
    TEXT("vtt", "text/vtt"),
    PLAIN("wasm", "application/wasm"),
    PLAIN("wav", "audio/wav"),
    PACKED("weba", "audio/webm"),
    PACKED("webm", "video/webm"),
    PLAIN("webmanifest", "application/manifest+json"),
    PACKED("webp", "image/webp"),
    PACKED("woff", "font/woff"),
    PACKED("woff2", "font/woff2"),
    PLAIN("xhtml", "application/xhtml+xml"),
    PLAIN("xls", "application/vnd.ms-excel"),
    PACKED("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    PLAIN("xml", "application/xml"),
    PLAIN("xsl", "application/xslt+xml"),
    PACKED("xz", "application/x-xz"),
    PLAIN("yaml", "application/yaml"),
    PLAIN("yml", "application/yaml"),
    PACKED("zip", "application/zip"),
    PACKED("zst", "application/zstd"),
};

static int compare(const void *key, const void *row)
{
    return strcmp(key, ((const struct row *)row)->ending);
}

struct static_mime static_mime_of(struct span path)
{
    char ending[LONGEST_ENDING + 1];
    size_t n = 0;
    while (n <= LONGEST_ENDING && n < path.n) {
        char ch = path.p[path.n - 1 - n];
        if (ch == '.' || ch == '/')
            break;
        n++;
    }
    bool has = n && n <= LONGEST_ENDING && n < path.n && path.p[path.n - 1 - n] == '.';
    const struct row *row = NULL;
    if (has) {
        for (size_t i = 0; i < n; i++) {
            char ch = path.p[path.n - n + i];
            ending[i] = ch >= 'A' && ch <= 'Z' ? (char)(ch | 0x20) : ch;
        }
        ending[n] = '\0';
        row = bsearch(ending, rows, sizeof(rows) / sizeof(rows[0]), sizeof(rows[0]), compare);
    }
    return row ? row->mime : (struct static_mime){ SPAN("application/octet-stream"), false };
}
