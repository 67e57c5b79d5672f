"""The application of config/gunicorn.toml: it tells who answers."""

import os

BODY = f"hello generation={os.environ['BOOTSTRAP_GENERATION']} pid={{}}\n"


def application(environ, start_response):
    body = BODY.format(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
