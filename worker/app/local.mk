# app and asgi make one library.
app_sources = worker/app/interface.h worker/app/app_load.h worker/app/app_load.c
