# SPDX-License-Identifier: BSD-3-Clause
"""nginx, HAProxy and Caddy as people find them: the configuration that each one's (or gunicorn's) documentation gives, with
nothing added but addresses, so that tests see which of a client's fields such a proxy passes on. Must never judge.

speaks: what the proxy speaks to the server, "h1" or "h2c". tls: it speaks HTTPS to clients. http2: HTTP/2 without TLS.
"""

import os

from lib import certs
from lib.proxies import Front, find
from lib.sockets import free_port
from lib.tls import TLSConn
from lib.waiting import wait_for


class Stock(Front):
    """`line`: more of the proxy's configuration, for recipes that go beyond the stock one."""

    def start(self, server, settings):
        self.tls = settings.get("tls", False)
        if self.tls:
            cert = certs.server()
            (self.dir / "cert.pem").write_text(cert.pem() + cert.key.read_text())
        for _ in range(3):  # a port that was free need not be when the proxy takes it
            self.address = ("127.0.0.1", free_port())
            (self.dir / "conf").write_text(self.conf(server.port, **settings))
            self.run(*self.argv(), env={**os.environ, "HOME": str(self.dir), "XDG_DATA_HOME": str(self.dir)})
            try:
                wait_for(self.is_up, what=type(self).__name__)
                return
            except AssertionError as e:
                if "in use" not in str(e):
                    raise
        raise AssertionError("no port for the proxy")

    def connect(self, **options):
        return TLSConn(self.address, **options) if getattr(self, "tls", False) else super().connect(**options)

    def is_up(self):
        tls, self.tls = self.tls, False
        try:
            return super().is_up()
        finally:
            self.tls = tls


class StockNginx(Stock):
    """https://docs.gunicorn.org/en/stable/deploy.html, of which the server's blocks for static files are left out."""

    def argv(self):
        return find("nginx"), "-c", f"{self.dir}/conf", "-e", "stderr"

    def conf(self, port, speaks="h1", tls=False, http2=False, line=""):
        assert speaks == "h1", "nginx speaks HTTP/1 to servers"
        flags = (" ssl" if tls else "") + (" http2" if http2 else "")
        temp = " ".join(f"{name}_temp_path {self.dir}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return f"""
daemon off; pid {self.dir}/pid; worker_processes 1;
events {{ worker_connections 1024; accept_mutex off; }}
http {{
    {temp} access_log off;
    {f'ssl_certificate {self.dir}/cert.pem; ssl_certificate_key {self.dir}/cert.pem;' if tls else ''}
    upstream app_server {{ server 127.0.0.1:{port} fail_timeout=0; }}
    server {{
        listen 127.0.0.1:{self.address[1]}{flags};
        client_max_body_size 4G;
        keepalive_timeout 5;
        location / {{ try_files /maintenance.html @proxy_to_app; }}
        location @proxy_to_app {{
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Host $http_host;
            proxy_redirect off;
            {line}
            proxy_pass http://app_server;
        }}
    }}
}}
"""


class StockHAProxy(Stock):
    """option forwardfor, as in the first example of each tutorial."""

    def argv(self):
        return find("haproxy"), "-db", "-f", f"{self.dir}/conf"

    def conf(self, port, speaks="h1", tls=False, http2=False, line=""):
        flags = (f" ssl crt {self.dir}/cert.pem alpn http/1.1" if tls else "") + (" proto h2" if http2 else "")
        return f"""
defaults
    mode http
    option forwardfor
    timeout connect 10s
    timeout client 30s
    timeout server 30s
frontend www
    bind 127.0.0.1:{self.address[1]}{flags}
    {line}
    default_backend app
backend app
    server app1 127.0.0.1:{port}{' proto h2' if speaks == 'h2c' else ''}
"""


class StockCaddy(Stock):
    """reverse_proxy, which needs no more."""

    def argv(self):
        return find("caddy"), "run", "--config", f"{self.dir}/conf", "--adapter", "caddyfile"

    def conf(self, port, speaks="h1", tls=False, http2=False, line=""):
        assert not http2, "Caddy speaks HTTP/2 to clients over TLS alone"
        at = f"https://localhost:{self.address[1]}, https://127.0.0.1:{self.address[1]}" if tls else f":{self.address[1]}"
        return f"""
{{
    admin off
    auto_https off
}}
{at} {{
    bind 127.0.0.1
    {f'tls {self.dir}/cert.pem {self.dir}/cert.pem' if tls else ''}
    {line}
    reverse_proxy {'h2c://' if speaks == 'h2c' else ''}127.0.0.1:{port}
}}
"""


STOCK = {"nginx": StockNginx, "haproxy": StockHAProxy, "caddy": StockCaddy}
