"""Numbers of requests for /metrics: counted in each web process, added up in Redis."""

import logging
import threading
import time
from collections import Counter

import redis
from django.conf import settings

logger = logging.getLogger("evalserver.front")

KEY = "evalserver:requests"
FLUSH_S = 5.0
# Upper bounds of an answer's time (s).
BOUNDS_S = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0)


class Counts:
    """fresh : what Redis does not know yet. Names are `requests METHOD STATUS`, `le BOUND` and `seconds`."""

    def __init__(self) -> None:
        self.fresh: Counter[str] = Counter()
        self.flushed_at = time.monotonic()
        # The event loop counts, another thread flushes.
        self.lock = threading.Lock()

    def add(self, method: str, status: int, taken_s: float) -> bool:
        """Count an answer; whether it is time to flush."""
        bound = next((str(bound) for bound in BOUNDS_S if taken_s <= bound), "+Inf")
        known = method if method in ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT") else "other"
        now = time.monotonic()
        with self.lock:
            self.fresh.update({f"requests {known} {status}": 1, f"le {bound}": 1, "seconds": taken_s})
            due = now - self.flushed_at > FLUSH_S
            if due:
                self.flushed_at = now  # later requests ask for no second flush
        return due

    def flush(self) -> None:
        """Add to Redis; what it does not take stays."""
        with self.lock:
            sending, self.fresh = self.fresh, Counter()
        try:
            url = settings.REDIS_URL.replace("redis+socket://", "unix://", 1)
            with redis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=2) as client:
                pipe = client.pipeline(transaction=True)
                for name, amount in sending.items():
                    pipe.hincrbyfloat(KEY, name, amount)
                pipe.execute()
        except redis.RedisError as error:
            logger.info("requests are not counted now: %s", error)
            with self.lock:
                self.fresh.update(sending)


def counted(client: "redis.Redis") -> dict[str, float]:
    """All that was counted since Redis was last empty."""
    rows: dict[bytes, bytes] = client.hgetall(KEY)  # type: ignore[assignment]
    return {name.decode(): float(amount) for name, amount in rows.items()}
