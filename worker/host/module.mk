# SPDX-License-Identifier: BSD-3-Clause
# Builds Tine's module for one Python, in the build folder: _tine$(SUFFIX), from SOURCES compiled against INCLUDES and from
# ARCHIVES, which know no Python. The Makefile calls it, once for each line of pythons.list, with all variables that are
# not set here.
top = $(srcdir)
folder = modules/$(SUFFIX)
objects = $(SOURCES:%.c=$(folder)/%.o)

_tine$(SUFFIX): $(objects) $(ARCHIVES) $(top)/worker/host/module.map
	$(if $(V),,@echo "  CCLD     $@";) $(CC) -shared $(MODULE_LDFLAGS) -Wl,--version-script=$(top)/worker/host/module.map \
	  -Wl,--exclude-libs,ALL -Wl,-Bsymbolic -o $@.new $(objects) $(ARCHIVES) $(LIBS) && mv $@.new $@

$(folder)/%.o: $(top)/%.c
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC       $@";) $(CC) $(MODULE_CFLAGS) $(INCLUDES) -DTINE_PYTHON_PREFIX='""' -MMD -MP -c -o $@ $<

-include $(objects:.o=.d)
