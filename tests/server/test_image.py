"""The image's steps, run as a script without a container: what the Dockerfile copies is enough for the server.

A virtual environment stands for the image's Python. It sees the libraries of the tests' own, so that pip finds them
installed; folders of the image lie below one of the test's.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.browser.running_server import free_port
from tests.server.commands import ROOT

FOLDERS = ("/srv", "/data", "/usr/local/share/numba-cache", "/tmp/build")
# Steps of root that change the machine.
NOT_HERE = ("useradd", "chown")


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile with its text; continued lines are joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(" ", 1)) for line in joined.splitlines() if line.strip()]  # type: ignore[misc]


def ignored(path: str) -> bool:
    patterns = (ROOT / ".dockerignore").read_text().split()
    return any(path == pattern or path.startswith(f"{pattern}/") for pattern in patterns) or "__pycache__" in path


class Image:
    """What the steps made so far, below `root`."""

    def __init__(self, root: Path) -> None:
        self.root, self.here = root, root
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / "python"], check=True)
        self.bin = root / "python" / "bin"
        (site,) = (root / "python" / "lib").glob("python*/site-packages")
        (site / "tests_own.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        self.script("pip", 'exec python -m pip "$@"')
        self.script("gunicorn", 'exec python -m gunicorn "$@"')
        for name in NOT_HERE:
            self.script(name, "exit 0")
        self.env = {"PATH": f"{self.bin}:/usr/bin:/bin", "PIP_NO_INDEX": "1"}
        # The variable holds the value of pip's option, which is the isolation: 0 switches it off.
        self.env |= {"HOME": str(root), "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_BUILD_ISOLATION": "0"}

    def script(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def moved(self, text: str) -> str:
        """The text with the image's folders below ours."""
        for folder in FOLDERS:
            text = re.sub(rf"(?<![\w/]){folder}(?![\w-])", f"{self.root}{folder}", text)
        return text

    def step(self, word: str, text: str) -> None:
        if word == "WORKDIR":
            self.here = Path(self.moved(text))
            self.here.mkdir(parents=True)
        elif word == "ENV":
            self.env |= dict(re.findall(r'(\w+)="?([^\s"]*)"?', self.moved(text)))
        elif word == "COPY":
            *sources, target = text.split()
            for source in sources:
                self.copy(source, self.here / target)
        elif word == "RUN":
            self.run(["/bin/sh", "-ec", self.moved(text)])

    def copy(self, source: str, target: Path) -> None:
        assert not ignored(source), f"{source} is in .dockerignore"
        if (ROOT / source).is_dir():
            skip = lambda folder, names: [n for n in names if ignored(os.path.relpath(f"{folder}/{n}", ROOT))]  # noqa: E731
            shutil.copytree(ROOT / source, target, ignore=skip, dirs_exist_ok=True)
        else:
            shutil.copy(ROOT / source, target)

    def run(self, command: list[str]) -> None:
        done = subprocess.run(command, cwd=self.here, env=self.env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"


@pytest.mark.slow
def test_the_steps_of_the_image_make_a_server_that_answers(tmp_path):
    image, command = Image(tmp_path), []
    for word, text in instructions():
        image.step(word, text)
        if word == "CMD":
            command = json.loads(text)
    assert not (image.bin / "baselines").exists()
    assert not (image.bin / "axonem").exists()
    assert not (image.here / "axonem_eval" / "client").exists()
    assert not (image.here / "build").exists()
    image.run(["python", "manage.py", "migrate", "--noinput", "-v0"])  # compose.yaml's first service
    image.run(["python", "-c", "import evalserver.asgi, evalserver.submissions.tasks, kimimaro, storages"])
    port = free_port()
    command[command.index("--bind") + 1] = f"127.0.0.1:{port}"
    log = (tmp_path / "log").open("wb")
    web = subprocess.Popen(command, cwd=image.here, env=image.env, stdout=log, stderr=log)
    try:
        assert "style" in page(f"http://127.0.0.1:{port}/"), (tmp_path / "log").read_text()
    finally:
        web.send_signal(signal.SIGTERM)
        web.wait(30)
        log.close()


def page(url: str) -> str:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            return f"{error.code}"
        except OSError:
            time.sleep(0.2)
    return "no answer"


@pytest.mark.slow
def test_the_settings_of_a_public_server_pass_djangos_checks(tmp_path):
    env = {"ALLOWED_HOSTS": "bench.example.org", "SITE_URL": "https://bench.example.org", "HTTPS": "1"}
    env |= {"TRUST_PROXY": "1", "EMAIL_URL": "smtp+tls://a:b@mail.example.org:587", "VAR_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--tag", "security", "--fail-level", "WARNING"],
        cwd=ROOT, env={**os.environ, **env, "SECRET_KEY": ""}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
