"""The number type that a network computes in: bfloat16 where the device is fast at it, float32 elsewhere.

A processor without bfloat16 instructions computes in bfloat16 all the same, up to 27 times slower than in float32.
"""

import os
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from baselines.common.device import move_to

X86_BFLOAT16 = ("avx512_bf16", "amx_bf16")
ARM_BFLOAT16 = ("bf16", "svebf16", "arm_bf16", "sve_bf16")
# What oneDNN, which computes PyTorch's convolutions on CPU, can be limited to that has no bfloat16 arithmetic.
ISA_WITHOUT_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")
ISA_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


@dataclass(frozen=True)
class Precision:
    """A number type, ``bfloat16`` or ``float32``, and why it was taken."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


@lru_cache
def choose_precision(wanted: str, device: torch.device) -> Precision:
    """The type to compute in on a device. wanted : ``bfloat16`` or ``float32`` as they are, ``auto`` for the faster."""
    if wanted != "auto":
        return Precision(wanted, "the configuration asks for it")
    if device.type == "cuda":
        return gpu_precision(torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device))
    return processor_precision(processor_flags(), onednn_limit())


def gpu_precision(name: str, capability: tuple[int, int]) -> Precision:
    """The faster type of a GPU: its tensor cores compute in bfloat16 from compute capability 8.0 on."""
    version = ".".join(map(str, capability))
    if capability >= (8, 0):
        return Precision("bfloat16", f"{name} has compute capability {version}")
    return Precision("float32", f"{name} has compute capability {version}; bfloat16 is fast from 8.0 on")


def processor_precision(flags: frozenset[str], limit: str = "") -> Precision:
    """The faster type of a processor, by its instructions; a convolution is timed where these do not decide it.

    flags : names as in /proc/cpuinfo, empty where they are not known. limit : value of ONEDNN_MAX_CPU_ISA.
    """
    if limit.upper() in ISA_WITHOUT_BFLOAT16:
        return Precision("float32", f"{ISA_VARIABLES[0]}={limit} switches bfloat16 instructions off")
    found = [name for name in X86_BFLOAT16 if name in flags]
    if found:
        return Precision("bfloat16", f"the processor has {' and '.join(found)}")
    if "sse2" in flags:
        return Precision("float32", f"the processor has neither {' nor '.join(X86_BFLOAT16)}")
    if flags and not flags & set(ARM_BFLOAT16):
        return Precision("float32", "the processor has no bfloat16 instructions")
    # Instructions for it are not enough elsewhere: the library must have convolutions that use them.
    return faster_precision(seconds_of(torch.bfloat16), seconds_of(torch.float32))


def faster_precision(bfloat16_s: float, float32_s: float) -> Precision:
    """The type in which a convolution took less time."""
    name = "bfloat16" if bfloat16_s < float32_s else "float32"
    return Precision(
        name, f"a convolution took {1e3 * bfloat16_s:.1f} ms in bfloat16, {1e3 * float32_s:.1f} in float32"
    )


def seconds_of(dtype: torch.dtype) -> float:
    """Least wall-clock seconds of three that a 3x3x3 convolution of a small patch takes on the CPU."""
    convolution = move_to(torch.device("cpu"), torch.nn.Conv3d(16, 16, 3, padding=1).to(dtype))
    patch = torch.zeros(1, 16, 8, 48, 48, dtype=dtype).contiguous(memory_format=torch.channels_last_3d)
    seconds = []
    with torch.inference_mode():
        for _ in range(4):  # the first one also prepares the kernel
            started = time.perf_counter()
            convolution(patch)
            seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def processor_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The processor's instruction sets, from the kernel or else from PyTorch; empty where neither knows them."""
    if cpuinfo.exists():
        flags = flags_in(cpuinfo.read_text().splitlines())
        if flags:
            return flags
    return frozenset(name for name, has in torch.cpu.get_capabilities().items() if has is True)


def flags_in(lines: Iterable[str]) -> frozenset[str]:
    """Flags that all processors of a /proc/cpuinfo share; the line is called flags on x86, Features on ARM."""
    found = [
        frozenset(values.split())
        for name, _, values in (line.partition(":") for line in lines)
        if name.strip() in ("flags", "Features")
    ]
    return frozenset.intersection(*found) if found else frozenset()


def onednn_limit() -> str:
    """The instruction set that the environment limits oneDNN to; empty for none."""
    return next((os.environ[name] for name in ISA_VARIABLES if os.environ.get(name)), "")


def autocast(device: torch.device, wanted: str) -> AbstractContextManager[object]:
    """Context in which a network computes in the type that ``choose_precision`` takes."""
    if choose_precision(wanted, device).name == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
