typedef int conf_nothing;
