"""A large form comes into a file, block by block, and reaches the view whole."""

import asyncio
import hashlib

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from evalserver.front.application import Application
from tests.factories import make_user

CONTENT = bytes(range(256)) * 9000
HEAD = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.h5"\r\nContent-Type: x/y\r\n\r\n'
FORM = HEAD + CONTENT + b"\r\n--b--\r\n"


@csrf_exempt
def digest(request: HttpRequest) -> HttpResponse:
    return HttpResponse(hashlib.sha256(request.FILES["f"].read()).hexdigest())


urlpatterns = [path("admin/digest/", digest)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.urls(__name__)
@pytest.mark.parametrize("size", [1000, 100_000])
def test_a_file_of_a_large_form_arrives_whole(settings, size):
    settings.MIDDLEWARE = []
    client = Client()
    client.force_login(make_user())
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    headers = {"cookie": cookie, "content-type": "multipart/form-data; boundary=b", "content-length": str(len(FORM))}
    scope = {
        "type": "http", "method": "POST", "raw_path": b"/admin/digest/", "query_string": b"", "http_version": "1.1",
        "scheme": "http", "client": ("10.0.0.7", 1),
        "headers": [(name.encode(), value.encode()) for name, value in {**headers, "host": "testserver"}.items()],
    }  # fmt: skip
    pieces = [FORM[i : i + size] for i in range(0, len(FORM), size)]
    sent = []

    async def receive() -> dict:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: dict) -> None:
        sent.append(message)

    async def scene() -> None:
        application = Application(WSGIHandler())
        await application(scope, receive, send)
        for pool in (application.place.requests, application.place.forms.pool):
            pool.submit(connections.close_all).result()

    asyncio.run(scene())
    assert (sent[0]["status"], sent[1]["body"].decode()) == (200, hashlib.sha256(CONTENT).hexdigest())
