"""Code that took over the reader of uploads reaches nothing and learns nothing; run inside the real child."""

import ast
import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from axonem_eval import InputError
from axonem_eval.sandbox import diagnose_confined, process, sample_confined
from axonem_eval.sandbox.confined_volume import ConfinedVolume
from axonem_eval.sandbox.landlock import landlock_abi
from axonem_eval.sandbox.seccomp import seccomp_available
from axonem_eval.spec import VolumeSpec
from axonem_eval.volumes import warm_filters
from tests.label_files import two_axons, write_h5

SPEC = VolumeSpec((8, 48, 48), (30.0, 8.0, 8.0))
pytestmark = pytest.mark.skipif(
    landlock_abi() == 0 or not seccomp_available(), reason="this kernel has no Landlock or no seccomp"
)

# Takes the place of the child's check of the file, and so runs behind the walls; what it answers comes out as
# complaints, as a file that took the reader over could send them.
TAKEN_OVER = """
import axonem_eval.sandbox.child as child
import axonem_eval.sandbox.process
import sys
from axonem_eval.errors import InputError

def outcome(what):
    try:
        return f"allowed: {what()!r}"[:300]
    except OSError as error:
        return type(error).__name__
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300]

def tell(**answers):
    raise InputError.of("said", repr(answers))

def attack(spec, path, dataset, rule):
"""


def take_over(monkeypatch, tmp_path, attack: str) -> Path:
    """Have children run ``attack``, the body of a function with ``outcome`` and ``tell`` at hand, in place of the check
    of the file, whose path is returned."""
    script = tmp_path / "taken_over.py"
    body = textwrap.indent(textwrap.dedent(attack), "    ")
    script.write_text(TAKEN_OVER + body + "\nchild.open_for = attack\nchild.main()\n")
    monkeypatch.setattr(process, "PROGRAM", ("-I", str(script)))
    monkeypatch.setattr(process, "MAX_COMPLAINT_CHARACTERS", 100_000)
    path = tmp_path / "upload.h5"
    if not path.exists():
        write_h5(path, two_axons())
    return path


def answers_of(monkeypatch, tmp_path, attack: str, nodes=((1, 2, 3),)) -> dict[str, str]:
    """What a reader that ``attack`` took over tells."""
    path = take_over(monkeypatch, tmp_path, attack)
    with pytest.raises(InputError) as caught:
        sample_confined(path, SPEC, np.array(nodes, np.int32))
    (complaint,) = caught.value.complaints
    assert complaint.code == "said", complaint.message
    return ast.literal_eval(complaint.message)


def refused(answers: dict[str, str]) -> dict[str, str]:
    """Those answers that are not the kernel's refusal."""
    return {what: answer for what, answer in answers.items() if answer not in ("PermissionError", "OSError")}


def test_it_opens_no_file_but_the_upload(monkeypatch, tmp_path):
    secret = tmp_path / "ground_truth.npz"
    secret.write_text("secret")
    answers = answers_of(
        monkeypatch,
        tmp_path,
        f"""
        import os
        from pathlib import Path
        parent = os.getppid()
        upload = outcome(lambda: len(Path(path).read_bytes()))
        tell(upload=upload, **{{name: outcome(lambda name=name: open(name, "rb").read(1)) for name in (
            {str(secret)!r}, "/etc/passwd", "/etc/hostname", {str(Path.home() / ".bash_history")!r},
            f"/proc/{{parent}}/environ",
            f"/proc/{{parent}}/maps", f"/proc/{{parent}}/mem", f"/proc/{{parent}}/cmdline", "/proc/1/environ",
            os.path.join("/proc/self", "root", "etc", "passwd"), "/dev/mem", "/dev/shm/x")}},
            root=outcome(lambda: os.listdir("/")), here=outcome(lambda: os.listdir({str(tmp_path)!r})),
            work=outcome(lambda: os.listdir(".")))
        """,
    )
    assert answers.pop("upload").startswith("allowed")
    assert {what: a for what, a in refused(answers).items() if a != "FileNotFoundError"} == {}


def test_it_loads_kernels_that_were_compiled_before(monkeypatch, tmp_path):
    warm_filters()
    answers = answers_of(
        monkeypatch,
        tmp_path,
        """
        child.save_no_kernels()
        child.warm_filters()
        from axonem_eval.volumes.hdf5 import unshuffle
        kernels = [unshuffle.unshuffle2, unshuffle.unshuffle4, unshuffle.unshuffle8]
        tell(
            loaded=sum(len(kernel.stats.cache_hits) for kernel in kernels),
            compiled=sum(len(kernel.stats.cache_misses) for kernel in kernels),
        )
        """,
    )
    assert answers == {"loaded": 3, "compiled": 0}


def test_it_changes_no_file(monkeypatch, tmp_path):
    secret = tmp_path / "ground_truth.npz"
    secret.write_text("secret")
    before = secret.stat()
    answers = answers_of(
        monkeypatch,
        tmp_path,
        f"""
        import os
        other = {str(secret)!r}
        tell(
            upload=outcome(lambda: open(path, "r+b")), here=outcome(lambda: open("new", "wb")),
            tmp=outcome(lambda: open("/tmp/axonem-was-here", "wb")), truncate=outcome(lambda: os.truncate(other, 0)),
            chmod=outcome(lambda: os.chmod(other, 0o777)), utime=outcome(lambda: os.utime(other, (1, 1))),
            chown=outcome(lambda: os.chown(other, 1, 1)), remove=outcome(lambda: os.remove(other)),
            rename=outcome(lambda: os.rename(other, other + "2")), link=outcome(lambda: os.link(other, "mine")),
            symlink=outcome(lambda: os.symlink(other, "mine")), mkdir=outcome(lambda: os.mkdir("folder")),
            xattr=outcome(lambda: os.setxattr(other, "user.x", b"1")), chroot=outcome(lambda: os.chroot("/tmp")),
        )
        """,
    )
    assert refused(answers) == {}
    after = secret.stat()
    assert (after.st_mode, after.st_mtime_ns, secret.read_text()) == (before.st_mode, before.st_mtime_ns, "secret")


def test_it_reaches_no_socket(monkeypatch, tmp_path):
    tcp, udp, local = socket.socket(), socket.socket(type=socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX)
    abstract = socket.socket(socket.AF_UNIX)
    with tcp, udp, local, abstract:
        for server, address in (
            (tcp, ("127.0.0.1", 0)),
            (udp, ("127.0.0.1", 0)),
            (local, str(tmp_path / "redis.sock")),
        ):
            server.bind(address)
        abstract.bind(f"\0axonem-test-{os.getpid()}")
        for server in (tcp, local, abstract):
            server.listen()
        udp.settimeout(0)
        answers = answers_of(
            monkeypatch,
            tmp_path,
            f"""
            import os, socket
            def reach(family, kind, address):
                with socket.socket(family, kind) as s:
                    if kind == socket.SOCK_DGRAM:
                        return s.sendto(b"told", address)
                    return s.connect(address)
            tell(
                tcp=outcome(lambda: reach(socket.AF_INET, socket.SOCK_STREAM, {tcp.getsockname()!r})),
                udp=outcome(lambda: reach(socket.AF_INET, socket.SOCK_DGRAM, {udp.getsockname()!r})),
                udp6=outcome(lambda: reach(socket.AF_INET6, socket.SOCK_DGRAM, ("::1", 9))),
                unix=outcome(lambda: reach(socket.AF_UNIX, socket.SOCK_STREAM, {local.getsockname()!r})),
                abstract=outcome(lambda: reach(socket.AF_UNIX, socket.SOCK_STREAM, {abstract.getsockname()!r})),
                netlink=outcome(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
                raw=outcome(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
                pair=outcome(socket.socketpair), name=outcome(lambda: socket.getaddrinfo("example.org", 80)),
            )
            """,
        )
        with pytest.raises(BlockingIOError):
            udp.recv(10)
    assert answers.pop("name") != "allowed"
    assert refused(answers) == {}


def test_it_reaches_no_process_and_makes_none(monkeypatch, tmp_path):
    answers = answers_of(
        monkeypatch,
        tmp_path,
        """
        import ctypes, os, signal, subprocess, threading
        parent, libc = os.getppid(), ctypes.CDLL(None, use_errno=True)
        def call(number, *arguments):
            result = libc.syscall(ctypes.c_long(number), *arguments)
            if result < 0:
                raise OSError(ctypes.get_errno(), "refused")
            return result
        def ptrace():
            if libc.ptrace(16, parent, 0, 0) < 0:
                raise OSError(ctypes.get_errno(), "refused")
        started = threading.Thread(target=lambda: None)
        started.start(); started.join()
        tell(
            fork=outcome(os.fork), vfork=outcome(lambda: subprocess.run(["/bin/true"])),
            execute=outcome(lambda: os.execv("/bin/true", ["true"])), signal=outcome(lambda: os.kill(parent, 0)),
            everyone=outcome(lambda: os.kill(-1, 0)), group=outcome(lambda: os.killpg(os.getpgid(parent), 0)),
            trace=outcome(ptrace), pidfd=outcome(lambda: os.pidfd_open(parent)),
            priority=outcome(lambda: os.setpriority(os.PRIO_PROCESS, parent, 5)),
            affinity=outcome(lambda: os.sched_setaffinity(parent, {0})),
            limits=outcome(lambda: __import__("resource").prlimit(parent, 7, (1, 1))),
            shared_memory=outcome(lambda: call(29, 1234, 4096, 0o1666)),
            io_uring=outcome(lambda: call(425, 8, ctypes.create_string_buffer(120))),
            namespace=outcome(lambda: call(272, 0x10000000)), keys=outcome(lambda: call(250, 0, -3, 0)),
            outlive=outcome(lambda: call(157, 1, 0)), memory_file=outcome(lambda: call(322, 3, b"", 0, 0, 0x1000)),
        )
        """,
    )
    assert refused(answers) == {}


def test_it_has_no_signal_sent_for_it(monkeypatch, tmp_path):
    """A file with news can send its owner any signal, and Landlock forbids that only from Linux 6.12 on."""
    answers = answers_of(
        monkeypatch,
        tmp_path,
        """
        import fcntl, os, struct
        end, parent = os.pipe()[0], os.getppid()
        tell(
            owner=outcome(lambda: fcntl.fcntl(end, fcntl.F_SETOWN, parent)),
            owner_ex=outcome(lambda: fcntl.fcntl(end, 15, struct.pack("ii", 1, parent))),
            number=outcome(lambda: fcntl.fcntl(end, 10, 9)),
            lease=outcome(lambda: fcntl.fcntl(os.open(path, os.O_RDONLY), 1024, 0)),
            watch=outcome(lambda: fcntl.fcntl(os.open("/usr", os.O_RDONLY), 1026, 2)),
        )
        """,
    )
    assert refused(answers) == {}


ANSWER = {
    "info": {
        "format": "HDF5", "dataset": "main", "shape_zyx": [8, 48, 48], "dtype": "uint16", "compression": "none",
        "chunk_shape_zyx": [8, 48, 48], "voxel_size_nm_zyx": None, "chunks_total": 1, "chunks_stored": 1, "offset": "",
        "warnings": [],
    },
    "shape_zyx": [8, 48, 48], "chunk_shape_zyx": [8, 48, 48], "dtype": "<u2", "sequential": False, "fill_value": 0,
    "in_order": True, "stored_known": False,
}  # fmt: skip
LIES = {
    "a list": "[]",
    "nested too deep": "[" * 100_000,
    "a step that is no number": '{"stage": "check", "done": 1e999, "total": 1}',
    "no complaint": '{"complaints": []}',
    "nothing of the file": json.dumps({**ANSWER, "info": None}),
    "a fill value of too many bits": json.dumps({**ANSWER, "fill_value": 10**30}),
    "no shape": json.dumps({**ANSWER, "shape_zyx": None}),
}


@pytest.mark.slow
@pytest.mark.parametrize("line", LIES.values(), ids=LIES)
def test_an_answer_of_another_form_ends_in_a_crash_that_has_a_name(monkeypatch, tmp_path, line):
    path = take_over(monkeypatch, tmp_path, f"import os, time\nos.write(1, {line!r}.encode() + b'\\n')\ntime.sleep(60)")
    began = time.monotonic()
    with pytest.raises(process.ConfinedCrash):
        sample_confined(path, SPEC, np.array([(1, 2, 3)], np.int32))
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "reply", ["qq', 1, 65000) + b'[' * 65000", "qq', 1, 2) + b'[]'", "qq', 1, -1)", "qq', 1, 1 << 40)"]
)
def test_a_reply_of_another_form_ends_in_a_crash_that_has_a_name(monkeypatch, tmp_path, reply):
    attack = f"""
    import gc, json, os, struct, time
    request = next(o for o in gc.get_objects() if isinstance(o, dict) and "lanes" in o and "path" in o)
    os.write(1, {json.dumps(ANSWER)!r}.encode() + b"\\n")
    for _, writes in request["lanes"]:
        os.set_blocking(writes, False)
        os.write(writes, struct.pack('<{reply})
    time.sleep(60)
    """
    path = take_over(monkeypatch, tmp_path, attack)
    with pytest.raises(process.ConfinedCrash):
        sample_confined(path, SPEC, np.array([(1, 2, 3)], np.int32))


@pytest.mark.skipif(os.geteuid() == 0, reason="the kernel does not hold root to a number of threads")
def test_it_starts_no_thread_for_every_process_number_of_the_machine(monkeypatch, tmp_path):
    answers = answers_of(
        monkeypatch,
        tmp_path,
        """
        import threading
        threading.stack_size(32768)
        halt = threading.Event()
        def bomb():
            for _ in range(5000):
                threading.Thread(target=halt.wait, daemon=True).start()
        said = outcome(bomb)
        halt.set()
        tell(threads=said)
        """,
    )
    assert answers["threads"].startswith("RuntimeError")


def test_what_it_writes_to_stderr_fills_no_disk(monkeypatch, tmp_path):
    answers = answers_of(
        monkeypatch,
        tmp_path,
        """
        import os
        def flood():
            for _ in range(64):
                os.write(2, b"e" * (1 << 20))
        tell(flood=outcome(flood))
        """,
    )
    assert refused(answers) == {}


def test_a_reader_of_a_diagnosis_that_puts_a_pipe_for_its_stderr_does_not_hold_us(monkeypatch, tmp_path):
    path = take_over(monkeypatch, tmp_path, "")
    script = tmp_path / "taken_over.py"
    script.write_text(
        "import os\nimport axonem_eval.sandbox.child as child\n"
        "def attack(request):\n    os.remove('stderr.txt')\n    os.mkfifo('stderr.txt')\n    os._exit(3)\n"
        "child._work_of = lambda request: lambda: attack(request)\nchild.main()\n"
    )
    with pytest.raises(InputError, match="the reader of such files crashed on it"):
        diagnose_confined(path, SPEC, tmp_path / "out")


def test_it_has_no_variable_and_no_descriptor_of_ours(monkeypatch, tmp_path):
    monkeypatch.setenv("SECRET_KEY", "of-the-server")
    (tmp_path / "held_open").write_text("by the worker")
    with open(tmp_path / "held_open") as held:
        os.set_inheritable(held.fileno(), True)
        answers = answers_of(
            monkeypatch,
            tmp_path,
            """
            import os
            links = []
            for n in os.listdir("/proc/self/fd"):
                try:
                    links.append(os.readlink(f"/proc/self/fd/{n}"))
                except OSError:
                    pass
            tell(environment=sorted(os.environ), files=sorted(l for l in links if l.startswith("/")))
            """,
        )
    assert "SECRET_KEY" not in answers["environment"]
    assert not [name for name in answers["files"] if "held_open" in name]
    allowed = ("stderr.txt", "memfd:axonem-labels", "/proc/", "/dev/null", "/dev/urandom")
    assert [name for name in answers["files"] if not any(part in name for part in allowed)] == []


def test_it_is_told_nothing_of_the_ground_truth(monkeypatch, tmp_path):
    """All that it gets is its request; with nodes elsewhere it is the same."""
    attack = """
    import gc, json
    request = next(o for o in gc.get_objects() if isinstance(o, dict) and "lanes" in o and "path" in o)
    tell(request=json.dumps({k: v for k, v in request.items() if k not in ("lanes", "memory")}, default=str))
    """
    one = answers_of(monkeypatch, tmp_path, attack, nodes=[(1, 2, 3)])
    other = answers_of(monkeypatch, tmp_path, attack, nodes=[(7, 40, 41), (6, 5, 4)])
    assert one == other
    assert set(json.loads(one["request"])) == {
        "work", "writable", "contents", "memory_bytes", "code", "path", "dataset", "rule", "shape_zyx",
        "voxel_size_nm_zyx", "limits",
    }  # fmt: skip


def asked_chunks(monkeypatch, tmp_path, nodes) -> list[int]:
    """Numbers of the chunks that the child is asked for, of a volume of 8 x 128 x 128 voxels in chunks of 8 x 8 x 8."""
    labels = np.ones((8, 128, 128), np.uint8)
    labels[:4] = 2
    path = write_h5(tmp_path / "small.h5", labels)

    asked: list[int] = []
    lock = threading.Lock()
    ask = ConfinedVolume._ask

    def noting(self, lane, chunks):
        with lock:
            asked.extend(chunks.tolist())
        return ask(self, lane, chunks)

    monkeypatch.setattr(ConfinedVolume, "_ask", noting)
    sample_confined(path, VolumeSpec(labels.shape, (30.0, 8.0, 8.0)), np.array(nodes, np.int32))
    return sorted(asked)


def test_the_chunks_that_are_asked_for_do_not_tell_where_nodes_are(monkeypatch, tmp_path):
    first = asked_chunks(monkeypatch, tmp_path, [(0, 0, 0)])
    assert first == asked_chunks(monkeypatch, tmp_path, [(7, 63, 127), (3, 120, 9)])
    assert first == list(range(16 * 16))


def test_a_damaged_chunk_does_not_tell_where_nodes_are(tmp_path):
    """A file that is rejected only where a node lies in its damaged chunk would ask for one place after another."""
    path, shape = tmp_path / "damaged.h5", (16, 512, 512)
    labels = np.ones(shape, np.uint8)
    labels[:, ::2] = 2
    with h5py.File(path, "w") as file:
        data = file.create_dataset("main", data=labels, chunks=(16, 16, 16), compression="gzip")
        damaged = data.id.get_chunk_info_by_coord((0, 0, 256))
    with open(path, "r+b") as opened:
        opened.seek(damaged.byte_offset)
        opened.write(b"\xff" * damaged.size)
    said = set()
    for node in ((1, 2, 260), (1, 300, 2)):
        with pytest.raises(InputError) as caught:
            sample_confined(path, VolumeSpec(shape, (30.0, 8.0, 8.0)), np.array([node], np.int32))
        said.add(str(caught.value))
    assert len(said) == 1


def test_a_reader_that_shrinks_the_shared_memory_does_not_kill_us(monkeypatch, tmp_path):
    answers = answers_of(
        monkeypatch,
        tmp_path,
        """
        import gc, os
        request = next(o for o in gc.get_objects() if isinstance(o, dict) and "lanes" in o and "path" in o)
        tell(shrink=outcome(lambda: os.ftruncate(request["memory"], 0)))
        """,
    )
    assert refused(answers) == {}


def test_threads_that_run_before_the_walls_stand_are_an_error(tmp_path):
    program = (
        "import threading, time\n"
        "from axonem_eval.sandbox.protection import confine\n"
        "from axonem_eval.sandbox.process import Limits\n"
        "threading.Thread(target=time.sleep, args=(5,), daemon=True).start()\n"
        "confine([], [], Limits())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "threads run before the process is confined, expected 1" in done.stderr
