typedef int asgi_nothing;
