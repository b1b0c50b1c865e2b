noinst_LIBRARIES += libtine_conf.a
libtine_conf_a_SOURCES = conf/conf.h conf/conf_keys.def conf/conf_cli.h conf/conf_load.h conf/log_format.h conf/nothing.c
