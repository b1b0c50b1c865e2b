dist_man_MANS += man/tine.8 man/tine-internals.7
