noinst_LIBRARIES += libtine_common.a
libtine_common_a_SOURCES = \
	common/buf.h common/buf.c \
	common/span.h common/log.h common/clock.h common/heritage.h common/ipc.h common/ipc_msgs.def common/scoreboard.h
