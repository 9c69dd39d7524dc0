"""How gunicorn runs the web processes: `gunicorn -c python:evalserver.front.gunicorn_config evalserver.asgi`."""

import os

worker_class = "evalserver.front.worker.Worker"
workers = int(os.environ.get("WEB_CONCURRENCY", "") or 2)
preload_app = True
keepalive = 5
graceful_timeout = 5
timeout = 60
control_socket_disable = True
