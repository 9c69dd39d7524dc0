"""Lines of the log: for people, or as JSON for what collects logs. Each names the request or the job that it is of."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

# What runs now: a request's id, a task's id; empty between them.
request_id: ContextVar[str] = ContextVar("request_id", default="")
job_id: ContextVar[str] = ContextVar("job_id", default="")


class AddIds(logging.Filter):
    """For a handler: records get `request_id`, `job_id`, and both for reading as `ids`."""

    def filter(self, record: logging.LogRecord) -> bool:
        found = {"request_id": request_id.get(), "job_id": job_id.get()}
        ids = " ".join(word for word in found.values() if word)
        record.__dict__ |= found | {"ids": f"[{ids}] " if ids else ""}
        return True


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, ids, and what a record brings as `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name in ("request_id", "job_id") if (value := getattr(record, name, ""))},
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
