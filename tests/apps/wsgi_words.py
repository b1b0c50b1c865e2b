# SPDX-License-Identifier: BSD-3-Clause
"""What WSGI applications say besides their answers: reasons, and text for the log, in the ways that frameworks write it."""

import logging
import threading
import traceback
from urllib.parse import parse_qs, unquote


def reason(environ, start_response):
    start_response(unquote(environ["QUERY_STRING"]), [])
    return [b"body"]


def fails():
    raise ValueError("the innermost")


def errors(environ, start_response):
    out = environ["wsgi.errors"]
    kind = parse_qs(environ["QUERY_STRING"])["kind"][0]
    if kind == "print_exc":
        try:
            fails()
        except ValueError:
            traceback.print_exc(file=out)
    elif kind == "chain":
        try:
            try:
                fails()
            except ValueError:
                raise KeyError("the outer")
        except KeyError:
            out.writelines(traceback.format_exc().splitlines(True))
    elif kind == "logging":
        handler = logging.StreamHandler(out)
        handler.setFormatter(logging.Formatter("[%(asctime)s] %(levelname)s in %(name)s: %(message)s"))
        logger = logging.getLogger("shop")
        logger.handlers, logger.propagate, logger.level = [handler], False, logging.DEBUG
        logger.info("an order")
        logger.debug("a detail")
        logger.warning("stock is low")
        try:
            fails()
        except ValueError:
            logger.exception("no order")
    elif kind == "lines":
        out.write("first\n  second\nthird\n")
        print("printed", "in parts", file=out)
    start_response("200 OK", [])
    return [threading.current_thread().name.encode()]


def loggers(environ, start_response):
    """As guides for deployment have it: the application's logger takes over those of the server."""
    name = parse_qs(environ["QUERY_STRING"])["name"][0]
    server = logging.getLogger(name)
    shop = logging.getLogger(f"shop.{name}")
    shop.handlers, shop.propagate = server.handlers, False
    shop.setLevel(server.level or logging.INFO)
    shop.info("taken over")
    server.info("said by %s", name)
    server.debug("a detail of %s", name)
    try:
        fails()
    except ValueError:
        server.exception("failed")
    logging.getLogger("root.like").warning("not ours")
    start_response("200 OK", [])
    return [b""]


table = {"/loggers": loggers, "/reason": reason, "/errors": errors}


def app(environ, start_response):
    return table[environ["PATH_INFO"]](environ, start_response)
