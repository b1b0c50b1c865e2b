typedef int http_nothing;
