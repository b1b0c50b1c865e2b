master_sources = master/main.c
