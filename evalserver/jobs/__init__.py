"""Rows that workers process: status, lease, queue, the reconciler, and whether all of it is well."""

from evalserver.jobs.broker import redis_client, send
from evalserver.jobs.complaints import is_costly, under_own_name
from evalserver.jobs.model import FAILED, REJECTED, RUNNING, UPLOADED, Job, Lease, change_status, new_incident_id
from evalserver.jobs.run import Rejection, Sweep, no_release, release_all_leases, run_job, stop_job, sweep

__all__ = [
    "FAILED",
    "REJECTED",
    "RUNNING",
    "UPLOADED",
    "Job",
    "Lease",
    "Rejection",
    "Sweep",
    "change_status",
    "is_costly",
    "new_incident_id",
    "no_release",
    "redis_client",
    "release_all_leases",
    "run_job",
    "send",
    "stop_job",
    "sweep",
    "under_own_name",
]
