"""The cache in Redis. It counts log-in attempts and holds what can be computed again."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

import redis
from django.core.cache.backends.redis import RedisCache

logger = logging.getLogger("evalserver.cache")


def _or_else(answer: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def forgiving(*args: Any, **kwargs: Any) -> Any:
            try:
                return method(*args, **kwargs)
            except redis.RedisError as error:
                logger.warning("the cache does not answer: %s", error)
                # get(key, default) must still answer with the caller's default.
                return kwargs.get("default", args[2] if len(args) > 2 and method.__name__ == "get" else answer)

        return forgiving

    return decorate


class ForgivingRedisCache(RedisCache):
    """An empty cache while Redis does not answer, so that people can still log in and read.

    Attempts are not counted then. `add` returns True, because False would mean that another holds a lock.
    """

    add = _or_else(True)(RedisCache.add)
    get = _or_else(None)(RedisCache.get)
    set = _or_else(None)(RedisCache.set)
    touch = _or_else(False)(RedisCache.touch)
    delete = _or_else(False)(RedisCache.delete)
    has_key = _or_else(False)(RedisCache.has_key)
    get_many = _or_else({})(RedisCache.get_many)
    set_many = _or_else([])(RedisCache.set_many)
    delete_many = _or_else(None)(RedisCache.delete_many)
    clear = _or_else(False)(RedisCache.clear)
