"""Rows that workers process, and whether all of it is well (`health.py`).

`model.py` has the status, which changes there alone (`change_status`), and the lease; `broker.py` the queue; `run.py`
how a job runs and how the reconciler finds lost ones.
"""

from evalserver.jobs.broker import redis_client, send
from evalserver.jobs.complaints import is_costly, under_own_name
from evalserver.jobs.model import FAILED, REJECTED, RUNNING, WAITING, Job, Lease, change_status, new_incident_id
from evalserver.jobs.registry import JobKind, register_job
from evalserver.jobs.run import Rejection, Sweep, give_back, release_all_leases, run_job, stop_job, sweep

__all__ = [
    "FAILED",
    "REJECTED",
    "RUNNING",
    "WAITING",
    "Job",
    "JobKind",
    "Lease",
    "Rejection",
    "Sweep",
    "change_status",
    "give_back",
    "health",
    "is_costly",
    "new_incident_id",
    "redis_client",
    "register_job",
    "release_all_leases",
    "run_job",
    "send",
    "stop_job",
    "sweep",
    "under_own_name",
]
