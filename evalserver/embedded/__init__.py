"""The server that is complete in itself: child processes, a private Redis, the demo."""

from evalserver.embedded.processes import Child, Family
from evalserver.embedded.redis_server import private_redis_url, redis_binary, start_private_redis
from evalserver.embedded.restarts import recent_restarts, restarts_file

__all__ = [
    "Child",
    "Family",
    "private_redis_url",
    "recent_restarts",
    "redis_binary",
    "restarts_file",
    "start_private_redis",
]
