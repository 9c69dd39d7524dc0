"""The confined processes that read uploads for a worker."""

import time

import psutil


def readers_below(pid: int) -> list[psutil.Process]:
    """Confined processes that read a file for this process or one of its children."""
    found = psutil.Process(pid).children(recursive=True)
    return [process for process in found if "-m axonem_eval" in command_line(process)]


def command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it has ended since
        return ""


def stalled_reader(pid: int) -> psutil.Process:
    """The first process that reads a file for this one, halted: it will not say anything any more."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for process in readers_below(pid):
            process.suspend()
            return process
        time.sleep(0.005)
    raise AssertionError("no reader was started")
