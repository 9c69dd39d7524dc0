"""Threads of the web process that serve no request of Django's keep no database connection that has had its time."""

import asyncio
import time

import pytest
from django.db import connection

from evalserver.front.application import Workplace

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_thread_gives_up_a_connection_that_is_due():
    def ask() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.close_at = time.monotonic() - 1
        return id(connection.connection)

    def has_connection() -> bool:
        return connection.connection is not None

    async def twice() -> bool:
        place = Workplace()
        await place.run(place.health, ask)  # one thread
        return await place.run(place.health, has_connection)

    assert asyncio.run(twice()) is False
