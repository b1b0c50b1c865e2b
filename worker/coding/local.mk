# SPDX-License-Identifier: BSD-3-Clause
# Sources stand in the order of floors: a file calls only what is listed before it.
coding_optional =
if BROTLI
coding_optional += worker/coding/compress_br.c
endif
if ZSTD
coding_optional += worker/coding/compress_zstd.c
endif
noinst_LIBRARIES += libtine_coding.a
libtine_coding_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS) $(ZLIB_CFLAGS) $(BROTLI_CFLAGS) $(ZSTD_CFLAGS)
libtine_coding_a_SOURCES = \
	worker/coding/compress_priv.h \
	worker/coding/accept_encoding.h worker/coding/accept_encoding.c \
	worker/coding/compress_gzip.c $(coding_optional) \
	worker/coding/compress_head.h worker/coding/compress_head.c \
	worker/coding/compress_types.h worker/coding/compress_types.c \
	worker/coding/compress_codec.h worker/coding/compress_codec.c \
	worker/coding/compress_pool.c \
	worker/coding/compress_run.c \
	worker/coding/compress_stream.c \
	worker/coding/compress.h worker/coding/compress.c
