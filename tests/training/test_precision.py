"""The number type: bfloat16 where the device is fast at it, float32 elsewhere, and the reason beside it."""

import json
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from baselines.common import precision  # noqa: E402
from baselines.common.precision import (  # noqa: E402
    choose_precision,
    faster_precision,
    flags_in,
    gpu_precision,
    processor_precision,
)

AVX2 = frozenset(["sse2", "avx", "avx2", "fma"])
CPU = torch.device("cpu")


@pytest.fixture
def not_timed(monkeypatch):
    def refuse(dtype):
        raise AssertionError("the flags tell, so nothing is timed")

    monkeypatch.setattr(precision, "seconds_of", refuse)


@pytest.mark.parametrize("flags", [AVX2, AVX2 | {"avx512f", "avx512bw", "avx512_vnni"}])
def test_a_processor_without_bfloat16_instructions_takes_float32(flags, not_timed):
    chosen = processor_precision(flags)
    assert chosen.name == "float32"
    assert chosen.why == "the processor has neither avx512_bf16 nor amx_bf16"


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
def test_a_processor_with_bfloat16_instructions_takes_bfloat16(flag, not_timed):
    chosen = processor_precision(AVX2 | {flag})
    assert (chosen.name, chosen.why) == ("bfloat16", f"the processor has {flag}")


@pytest.mark.parametrize("limit", ["AVX2", "avx2", "AVX512_CORE", "AVX512_CORE_VNNI"])
def test_instructions_that_are_switched_off_do_not_count(limit, not_timed):
    assert processor_precision(AVX2 | {"avx512_bf16"}, limit).name == "float32"


@pytest.mark.parametrize("limit", ["", "ALL", "AVX512_CORE_BF16", "AVX512_CORE_AMX"])
def test_a_limit_that_leaves_bfloat16_changes_nothing(limit, not_timed):
    assert processor_precision(AVX2 | {"avx512_bf16"}, limit).name == "bfloat16"


@pytest.mark.slow
def test_the_environment_s_limit_is_honoured_whatever_processor_this_is():
    code = (
        "import torch; from baselines.common.precision import choose_precision\n"
        "print(choose_precision('auto', torch.device('cpu')))"
    )
    for variable in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        done = subprocess.run(
            [sys.executable, "-c", code], env={variable: "AVX2"}, capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith("float32: ONEDNN_MAX_CPU_ISA=AVX2 switches")


def test_an_arm_processor_without_bfloat16_takes_float32(not_timed):
    assert processor_precision(frozenset(["fp", "asimd", "fphp"])).name == "float32"


@pytest.mark.parametrize("flags", [frozenset(), frozenset(["asimd", "bf16"])])
@pytest.mark.parametrize(("bfloat16_s", "name"), [(0.001, "bfloat16"), (0.1, "float32")])
def test_where_flags_do_not_tell_the_faster_type_is_taken(flags, bfloat16_s, name, monkeypatch):
    monkeypatch.setattr(precision, "seconds_of", {torch.bfloat16: bfloat16_s, torch.float32: 0.01}.get)
    assert processor_precision(flags).name == name


def test_a_convolution_is_timed_in_both_types():
    seconds = [precision.seconds_of(dtype) for dtype in (torch.bfloat16, torch.float32)]
    assert min(seconds) > 0
    assert "in bfloat16" in faster_precision(*seconds).why


@pytest.mark.parametrize(("capability", "name"), [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")])
def test_a_gpu_is_judged_by_its_compute_capability(capability, name):
    assert gpu_precision("A GPU", capability).name == name


@pytest.mark.parametrize("wanted", ["bfloat16", "float32"])
def test_a_type_that_is_asked_for_is_taken(wanted):
    assert choose_precision(wanted, CPU).name == wanted


def test_flags_are_read_from_x86_and_arm_and_only_those_that_all_processors_share():
    assert flags_in(["model name\t: x", "flags\t\t: sse2 avx2"]) == {"sse2", "avx2"}
    assert flags_in(["Features\t: fp bf16", "Features\t: fp"]) == {"fp"}
    assert flags_in(["nothing here"]) == frozenset()


@pytest.mark.parametrize(("wanted", "dtype"), [("bfloat16", torch.bfloat16), ("float32", torch.float32)])
def test_a_convolution_computes_in_the_type_that_was_taken(wanted, dtype):
    with precision.autocast(CPU, wanted):
        assert torch.nn.Conv3d(1, 1, 1)(torch.zeros(1, 1, 2, 2, 2)).dtype == dtype


@pytest.mark.slow
def test_log_and_provenance_tell_type_and_reason(cells_config, tmp_path, capsys):
    from baselines.affinity_unet.inference import predict_volume
    from baselines.affinity_unet.run import open_run
    from baselines.affinity_unet.stages import train_run

    run = open_run(cells_config, tmp_path / "run")
    train_run(run)
    predict_volume(run, "cells")
    chosen = choose_precision("auto", CPU)
    notes = json.loads((tmp_path / "run" / "provenance.json").read_text())["precision"]
    assert notes == {stage: {"type": chosen.name, "why": chosen.why} for stage in ("train", "predict cells")}
    told = capsys.readouterr().err
    assert f"train in {chosen.name}: {chosen.why}" in told
    assert f"predict cells in {chosen.name}: {chosen.why}" in told
