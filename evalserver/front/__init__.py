"""Between the network and Django: slow clients wait here, and hold no thread.

One event loop in each web process reads requests and writes answers. A thread runs Django only once a request is there,
and only until its answer is known. `TakesBody` is the answer of a view that takes a large body piece by piece.
"""

from evalserver.front.application import Application
from evalserver.front.counts import BOUNDS_S, counted
from evalserver.front.environ import TUS_TYPE, address_of, network_of, plain_address
from evalserver.front.takes_body import BODY_COMES_LATER, TakesBody

__all__ = [
    "BODY_COMES_LATER", "BOUNDS_S", "TUS_TYPE", "Application", "TakesBody", "address_of", "counted", "network_of",
    "plain_address",
]  # fmt: skip
