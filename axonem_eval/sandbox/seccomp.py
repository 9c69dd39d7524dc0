"""A seccomp filter for the process that opens uploads: it may read, write, map memory and start threads, no more.

Landlock decides which files may be opened. It does not cover UDP, sockets that are files, other processes, nor what
changes a file without opening it (chmod, utimes). This filter refuses those system calls. It is written by hand, as
classic BPF, because the library for it (libseccomp) is a system package that many machines lack.

Documented in the kernel's Documentation/userspace-api/seccomp_filter.rst; needs no privilege after
PR_SET_NO_NEW_PRIVS.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER, _GET_ACTION_AVAIL = 1, 2
_FLAG_TSYNC = 1
_RET_ALLOW, _RET_ERRNO, _RET_KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_AT_NUMBER, _AT_ARCHITECTURE, _AT_FIRST_ARGUMENT, _AT_SECOND_ARGUMENT = 0, 4, 16, 24
_CLONE_THREAD = 0x00010000
# System calls of other programs of the same processor (x32) have numbers from here on.
_FOREIGN_FROM = 0x40000000
# Calls that did not exist when this list was written.
_UNKNOWN_FROM = 472

# Numbers on x86-64 and on 64-bit ARM; None where that processor has no such call.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # networks and local sockets
    "socket": (41, 198), "connect": (42, 203), "accept": (43, 202), "sendto": (44, 206), "recvfrom": (45, 207),
    "sendmsg": (46, 211), "recvmsg": (47, 212), "shutdown": (48, 210), "bind": (49, 200), "listen": (50, 201),
    "socketpair": (53, 199), "setsockopt": (54, 208), "accept4": (288, 242), "recvmmsg": (299, 243),
    "sendmmsg": (307, 269),
    # other processes
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281), "kill": (62, 129),
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "process_mrelease": (448, 448),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274), "sched_setaffinity": (203, 122), "migrate_pages": (256, 238), "move_pages": (279, 239),
    # memory and messages that processes share
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193),
    "semctl": (66, 191), "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188),
    "msgctl": (71, 187), "mq_open": (240, 180), "mq_unlink": (241, 181), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219),
    # what changes or watches files without opening them
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "setxattrat": (463, 463),
    "removexattrat": (466, 466), "inotify_init": (253, None), "inotify_init1": (294, 26), "fanotify_init": (300, 262),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    # the machine, and ways round this filter
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "personality": (135, 92), "mount": (165, 40),
    "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "setns": (308, 268), "unshare": (272, 97),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "sethostname": (170, 161),
    "setdomainname": (171, 162), "settimeofday": (164, 170), "adjtimex": (159, 171), "clock_settime": (227, 112),
    "clock_adjtime": (305, 266), "syslog": (103, 116), "acct": (163, 89), "quotactl": (179, 60), "iopl": (172, None),
    "ioperm": (173, None),
}  # fmt: skip
_CLONE, _CLONE3, _TGKILL, _PRLIMIT64, _SECCOMP = (56, 220), (435, 435), (234, 131), (302, 261), (317, 277)
_FCNTL, _PRCTL = (72, 25), (157, 167)
# It dies with its parent.
_PR_SET_PDEATHSIG = 1
# Who gets a signal, of any number, when a file has news: any process. Leases and watches of files hold others up.
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX, _F_SETLEASE, _F_NOTIFY = 8, 10, 15, 1024, 1026
_ARCHITECTURE = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def seccomp_available() -> bool:
    """Whether this kernel takes the filter, and we know the system calls of this processor."""
    column_and_code = _ARCHITECTURE.get(platform.machine())
    if column_and_code is None or not sys.platform.startswith("linux"):
        return False
    action = ctypes.c_uint32(_RET_KILL)
    number = ctypes.c_long(_SECCOMP[column_and_code[0]])
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(number, _GET_ACTION_AVAIL, 0, ctypes.byref(action))) == 0


def refuse_dangerous_calls() -> bool:
    """Forbid sockets, other processes, and changes of files to all threads of this process; cannot be undone.

    Returns False, having done nothing, where ``seccomp_available()`` is False. Raises OSError where the kernel refuses.
    """
    if not seccomp_available():
        return False
    column, _ = _ARCHITECTURE[platform.machine()]
    program = _program(os.getpid())
    code = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS) failed")
    if libc.syscall(ctypes.c_long(_SECCOMP[column]), _SET_MODE_FILTER, _FLAG_TSYNC, header) != 0:
        raise OSError(ctypes.get_errno(), "the kernel refused the seccomp filter")
    return True


def _program(pid: int) -> bytes:
    """The filter as BPF instructions of 8 bytes; ``pid`` is the process that it is for."""
    column, architecture = _ARCHITECTURE[platform.machine()]
    code = [
        _step(_LOAD, _AT_ARCHITECTURE),
        _step(_JUMP_EQUAL, architecture, 1, 0),
        _step(_RETURN, _RET_KILL),
        _step(_LOAD, _AT_NUMBER),
        *_if(_JUMP_GREATER_EQUAL, _FOREIGN_FROM, _RET_KILL),
        *_if(_JUMP_GREATER_EQUAL, _UNKNOWN_FROM, _RET_ERRNO | errno.ENOSYS),
        # glibc then calls clone, whose flags a filter can see.
        *_if(_JUMP_EQUAL, _CLONE3[column], _RET_ERRNO | errno.ENOSYS),
    ]
    for numbers in _REFUSED.values():
        if (number := numbers[column]) is not None:
            code += _if(_JUMP_EQUAL, number, _RET_ERRNO | errno.EPERM)
    # Threads of this process, signals to itself, its own limits.
    code += _only(_CLONE[column], _JUMP_SET, [_CLONE_THREAD])
    code += _only(_TGKILL[column], _JUMP_EQUAL, [pid])
    code += _only(_PRLIMIT64[column], _JUMP_EQUAL, [0, pid])
    code += _but(_PRCTL[column], _AT_FIRST_ARGUMENT, [_PR_SET_PDEATHSIG])
    code += _but(_FCNTL[column], _AT_SECOND_ARGUMENT, [_F_SETOWN, _F_SETSIG, _F_SETOWN_EX, _F_SETLEASE, _F_NOTIFY])
    code.append(_step(_RETURN, _RET_ALLOW))
    return b"".join(code)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _if(jump: int, value: int, answer: int) -> list[bytes]:
    """End with the answer where the loaded word meets the condition."""
    return [_step(jump, value, 0, 1), _step(_RETURN, answer)]


def _only(number: int, jump: int, values: list[int]) -> list[bytes]:
    """Of one system call allow only those whose first argument meets the condition with one of the values."""
    inner = [_step(_LOAD, _AT_FIRST_ARGUMENT)]
    for value in values:
        inner += _if(jump, value, _RET_ALLOW)
    inner.append(_step(_RETURN, _RET_ERRNO | errno.EPERM))
    return [_step(_JUMP_EQUAL, number, 0, len(inner)), *inner]


def _but(number: int, argument: int, values: list[int]) -> list[bytes]:
    """Of one system call refuse those with one of the values as the argument at that place."""
    inner = [_step(_LOAD, argument)]
    for value in values:
        inner += _if(_JUMP_EQUAL, value, _RET_ERRNO | errno.EPERM)
    inner.append(_step(_RETURN, _RET_ALLOW))
    return [_step(_JUMP_EQUAL, number, 0, len(inner)), *inner]
