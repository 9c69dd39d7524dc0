"""A network and mounts of our own, so that a cut line and a full disk are real and touch nothing else here."""

import os
import subprocess
import sys
from pathlib import Path

INSIDE = "CHAOS_INSIDE"


def enter(program: str = "tests.chaos") -> None:
    """Run this program again in a network and mount namespace; without one where the machine allows none."""
    if os.environ.get(INSIDE):
        if os.environ[INSIDE] == "yes":
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    rights = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    unshare = ["unshare", *rights, "--net", "--mount", "--propagation", "private", "--"]
    allowed = subprocess.run([*unshare, "true"], capture_output=True).returncode == 0
    command = [sys.executable, "-m", program, *sys.argv[1:]]
    os.environ[INSIDE] = "yes" if allowed else "no"
    os.execvp(unshare[0] if allowed else command[0], [*unshare, *command] if allowed else command)


def are_given() -> bool:
    return os.environ.get(INSIDE) == "yes"


def mount_small_disk(folder: Path, megabytes: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "chaos", str(folder)], check=True)


class Machine:
    """Another network, as of a second machine. Lines to it can be cut as by pulling the plug.

    lines : by name, the address here and the address there.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self.lines = {name: (f"10.77.{i}.1", f"10.77.{i}.2") for i, name in enumerate(names)}
        while not self._other_network():
            pass
        self.run("ip", "link", "set", "lo", "up")
        for name, (here, there) in self.lines.items():
            peer = f"{name}-peer"
            pid = str(self._holder.pid)
            subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", peer, "netns", pid], check=True)
            subprocess.run(["ip", "addr", "add", f"{here}/24", "dev", name], check=True)
            subprocess.run(["ip", "link", "set", name, "up"], check=True)
            self.run("ip", "addr", "add", f"{there}/24", "dev", peer)
            self.run("ip", "link", "set", peer, "up")

    def _other_network(self) -> bool:
        return os.readlink(f"/proc/{self._holder.pid}/ns/net") != os.readlink("/proc/self/ns/net")

    def command(self, *command: str) -> tuple[str, ...]:
        """The command, run there; nsenter becomes it, so signals reach it."""
        return ("nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "--", *command)

    def run(self, *command: str) -> None:
        subprocess.run(self.command(*command), check=True)

    def set_line(self, name: str, *, up: bool) -> None:
        subprocess.run(["ip", "link", "set", name, "up" if up else "down"], check=True)

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()
