# SPDX-License-Identifier: BSD-3-Clause
# A program of its own: no Python, no event loop.
bin_PROGRAMS += tinectl
tinectl_SOURCES = \
	master/tinectl/tinectl_json.h master/tinectl/tinectl_json.c \
	master/tinectl/tinectl_talk.h master/tinectl/tinectl_talk.c \
	master/tinectl/tinectl_text.h \
	master/tinectl/tinectl_show.h master/tinectl/tinectl_table.c \
	master/tinectl/tinectl_show.c \
	master/tinectl/tinectl_top.h master/tinectl/tinectl_top.c \
	master/tinectl/tinectl.c
tinectl_CPPFLAGS = $(AM_CPPFLAGS)
tinectl_LDADD = libtine_control.a libtine_common.a
