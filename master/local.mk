master_sources = \
	master/main.c \
	master/master.h master/master.c \
	master/signals.h master/signals.c \
	master/workers.h master/workers.c \
	master/slots.h master/slots.c \
	master/spawn.h master/spawn.c \
	master/reap.h master/reap.c \
	master/listen.h master/listen.c master/listen_unix.c master/listen_passed.c \
	master/privs.h master/privs.c \
	master/pidfile.h master/pidfile.c \
	master/daemon.h master/daemon.c \
	master/notify.h master/notify.c
