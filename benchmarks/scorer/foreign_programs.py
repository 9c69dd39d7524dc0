"""The scorers of other benchmarks, loaded from clones of their repositories.

Nothing of them is kept here. Each runs as its authors wrote it but for what follows; without these changes it does not
start, or hides differences below 1e-7:

- edge lengths are computed in float64 in place of float32 (funlib.evaluate, its fork, BANIS, AxonEM-challenge);
- a missing colon in AxonEM-challenge, and its absolute import of a module that only reads files;
- ``print`` and ``xrange`` of Python 2, and ``np.uint64(-1)``, in cremi_python.
"""

import importlib
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

# Folders within CHECKOUTS, and the repository of each. funlib.evaluate is built in place (`setup.py build_ext
# --inplace`); the folder geom holds the package of PyPI (`pip install --no-deps -t geom funlib.geometry`).
REPOSITORIES = {
    "em_erl": "PytorchConnectomics/em_erl",
    "funlib.evaluate": "funkelab/funlib.evaluate",
    "funlib.evaluate-2021": "donglaiw/funlib.evaluate",
    "AxonEM-challenge": "PytorchConnectomics/AxonEM-challenge",
    "banis": "StructuralNeurobiologyLab/banis",
    "xray-challenge-eval": "trivoldus28/xray-challenge-eval",
    "daisy": "funkelab/daisy at 721d284",
    "cremi_python": "cremi/cremi_python",
    "snemi3d-gc": "PytorchConnectomics/snemi3d-gc",
    "ptc": "PytorchConnectomics/pytorch_connectomics, of which the file connectomics/utils/evaluate.py at 20e8746",
}
FLOAT64 = [("np.float32", "np.float64")]


class Programs:
    """Modules of the clones in one folder, loaded when they are first asked for."""

    def __init__(self, checkouts: Path) -> None:
        self.folder = checkouts
        sys.path.insert(0, str(checkouts / "em_erl"))
        _package("funlib", checkouts / "funlib.evaluate" / "funlib", checkouts / "geom" / "funlib")
        _package("funlib.evaluate", checkouts / "funlib.evaluate" / "funlib" / "evaluate")
        _package("daisy", checkouts / "daisy" / "daisy")

    def commit(self, name: str) -> str:
        """Short commit of a clone."""
        command = ["git", "-C", str(self.folder / name), "log", "-1", "--format=%h"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def load(self, path: str, name: str, changes: list[tuple[str, str]]) -> Any:
        """A module of one file, with changes of its text. Raises AssertionError where one finds nothing."""
        text = (self.folder / path).read_text()
        for old, new in changes:
            assert old in text, f"{path} has no {old!r}"
            text = text.replace(old, new)
        module = types.ModuleType(name)
        sys.modules[name] = module
        exec(compile(text, path, "exec"), module.__dict__)
        return module

    def funlib(self) -> Any:
        """funlib.evaluate: ``expected_run_length``, ``get_skeleton_lengths``, ``rand_voi``."""
        package = sys.modules["funlib.evaluate"]
        if not hasattr(package, "rand_voi"):
            run_length = self.load(
                "funlib.evaluate/funlib/evaluate/run_length.py", "funlib.evaluate.run_length", FLOAT64
            )
            for function in ("expected_run_length", "evaluate_skeletons", "get_skeleton_lengths"):
                setattr(package, function, getattr(run_length, function))
            vars(package)["run_length"] = run_length
            vars(package)["rand_voi"] = importlib.import_module("funlib.evaluate.rand_voi").rand_voi
        return package

    def fork_of_2021(self) -> Any:
        """The fork that the AxonEM container of 2023 pins."""
        path = "funlib.evaluate-2021/funlib/evaluate/run_length.py"
        return sys.modules.get("fork_of_2021") or self.load(path, "fork_of_2021", FLOAT64)

    def axonem_challenge(self) -> Any:
        """The challenge's code of 2024."""
        if "axonem_challenge" in sys.modules:
            return sys.modules["axonem_challenge"]
        files = types.ModuleType("data_io")
        vars(files).update(dict.fromkeys(("read_vol", "write_vol", "mkdir")))
        sys.modules["data_io"] = files
        line = "def compute_segment_lut_tile_combine(zran, yran, xran, output_path_format)"
        changes = [*FLOAT64, (f"{line}\n", f"{line}:\n")]
        return self.load("AxonEM-challenge/erl_wrapper/eval_erl.py", "axonem_challenge", changes)

    def banis(self) -> Any:
        """Metrics of NISB."""
        if "banis_metrics" in sys.modules:
            return sys.modules["banis_metrics"]
        self.funlib()
        if "zarr" not in sys.modules:  # named in an annotation alone
            sys.modules["zarr"] = types.ModuleType("zarr")
            vars(sys.modules["zarr"])["Array"] = object
        return self.load("banis/metrics.py", "banis_metrics", [("in tqdm(skel.nodes)", "in skel.nodes")])

    def xpress(self) -> Any:
        """The evaluation of the XPRESS challenge, with daisy's own arrays."""
        if "xpress_eval" in sys.modules:
            return sys.modules["xpress_eval"]
        self.funlib()
        daisy = sys.modules["daisy"]
        for module, name in (("array", "Array"), ("roi", "Roi"), ("coordinate", "Coordinate")):
            setattr(daisy, name, getattr(importlib.import_module(f"daisy.{module}"), name))
        return self.load("xray-challenge-eval/eval/eval.py", "xpress_eval", [])

    def cremi(self) -> Any:
        """``NeuronIds`` of cremi_python."""
        if "cremi_ids" in sys.modules:
            return sys.modules["cremi_ids"]
        folder = "cremi_python/cremi/evaluation"
        self.load(f"{folder}/border_mask.py", "border_mask", [("xrange", "range"), ("import scipy\n", _NDIMAGE)])
        self.load(f"{folder}/voi.py", "voi", [])
        self.load(f"{folder}/rand.py", "rand", [])
        text = (self.folder / folder / "NeuronIds.py").read_text()
        printed = [(line, "pass") for line in re.findall(r'print ".*"', text)]
        return self.load(f"{folder}/NeuronIds.py", "cremi_ids", [*printed, ("np.uint64(-1)", "np.uint64(2**64 - 1)")])

    def snemi3d(self) -> tuple[Any, Any]:
        """The crop of the challenge's container, and the ARAND that it calls."""
        evaluate = types.ModuleType("connectomics_evaluate")
        command = ["git", "-C", str(self.folder / "ptc"), "show", "20e8746:connectomics/utils/evaluate.py"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        exec(compile(text, "evaluate.py", "exec"), evaluate.__dict__)
        for name in ("connectomics", "connectomics.utils", "evalutils", "evalutils.evalutils"):
            sys.modules[name] = types.ModuleType(name)
        sys.modules["connectomics.utils.evaluate"] = evaluate
        paths = ("DEFAULT_INPUT_PATH", "DEFAULT_EVALUATION_OUTPUT_FILE_PATH", "DEFAULT_GROUND_TRUTH_PATH")
        vars(sys.modules["evalutils.evalutils"]).update(dict.fromkeys(paths, ""))
        return self.load("snemi3d-gc/evaluation.py", "snemi3d_gc", []), evaluate


_NDIMAGE = "import scipy, scipy.ndimage\n"


def _package(name: str, *folders: Path) -> None:
    package = types.ModuleType(name)
    package.__path__ = [str(folder) for folder in folders]
    sys.modules[name] = package
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, package)
