"""The application of config/uvicorn.toml: it tells who answers."""

import os

BODY = f"hello generation={os.environ['BOOTSTRAP_GENERATION']} pid={os.getpid()}\n".encode()


async def application(scope, receive, send):
    if scope["type"] == "http":
        head = [(b"content-length", str(len(BODY)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": BODY})
