
# HTTP/1: the pure parts
h1_unit_tests = tests/unit/test_h1_corpus
check_PROGRAMS += $(h1_unit_tests)
UNIT_TESTS += $(h1_unit_tests)
h1_unit_cppflags = $(AM_CPPFLAGS) -DTESTS_DIR='"$(abs_srcdir)/tests"'
h1_unit_libs = libtine_http.a libtine_conf.a libtine_common.a $(HTTP_PARSER_LIBS)
tests_unit_test_h1_corpus_SOURCES = tests/unit/test_h1_corpus.c tests/unit/corpus.c tests/unit/corpus.h tests/unit/unit.h
tests_unit_test_h1_corpus_CPPFLAGS = $(h1_unit_cppflags)
tests_unit_test_h1_corpus_LDADD = $(h1_unit_libs)
