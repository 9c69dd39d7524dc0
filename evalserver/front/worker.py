"""The web process: uvicorn's event loop under gunicorn, which starts the processes and replaces dead ones."""

import resource
from typing import Any

from uvicorn_worker import UvicornWorker

from axonem_eval.processes import die_with_parent
from evalserver.front.protocol import RESERVED_DESCRIPTORS, SteadyProtocol, protocol_options


class Worker(UvicornWorker):
    """For gunicorn's `worker_class`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.CONFIG_KWARGS = protocol_options()
        super().__init__(*args, **kwargs)

    def init_process(self) -> None:
        die_with_parent()
        SteadyProtocol.most_connections = _allow_descriptors() - RESERVED_DESCRIPTORS
        super().init_process()


def _allow_descriptors() -> int:
    """As many open files as this user may have, at most 65,536: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return wanted if soft == resource.RLIM_INFINITY else soft
