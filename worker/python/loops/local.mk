# SPDX-License-Identifier: BSD-3-Clause
# The cellar of worker/python, in its archive; sources stand in the order of floors.
libtine_python_a_SOURCES += \
	worker/python/loops/loop_ops.h worker/python/loops/loop_ops.c \
	worker/python/loops/guest.h worker/python/loops/guest.c

# Each loop's class Host (loop_ops.h), as C strings.
loop_hosts = worker/python/loops/host_asyncio_py.h worker/python/loops/host_trio_py.h worker/python/loops/host_curio_py.h \
	worker/python/loops/host_gevent_py.h
nodist_libtine_python_a_SOURCES += $(loop_hosts)
BUILT_SOURCES += $(loop_hosts)
CLEANFILES += $(loop_hosts)
EXTRA_DIST += worker/python/loops/host_asyncio.py worker/python/loops/host_trio.py worker/python/loops/host_curio.py \
	worker/python/loops/host_gevent.py
worker/python/loops/host_asyncio_py.h: worker/python/loops/host_asyncio.py
	$(python_embed)
worker/python/loops/host_trio_py.h: worker/python/loops/host_trio.py
	$(python_embed)
worker/python/loops/host_curio_py.h: worker/python/loops/host_curio.py
	$(python_embed)
worker/python/loops/host_gevent_py.h: worker/python/loops/host_gevent.py
	$(python_embed)
worker/python/loops/libtine_python_a-loop_ops.$(OBJEXT): $(loop_hosts)
