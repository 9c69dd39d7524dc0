"""Checkpoints that are whole files even after a kill: written under another name, flushed, renamed."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from axonem_eval.errors import InputError
from axonem_eval.files import write_atomically


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings, lists, dicts) so that ``path`` is always a whole file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: torch.save(state, file))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; no code in it is ever run. Raises InputError where it is no checkpoint."""
    if not path.exists():
        raise InputError.of("no_checkpoint", f"{path}: no such checkpoint; train first (baselines train CONFIG)")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError.of("bad_checkpoint", f"{path}: not a readable checkpoint ({type(error).__name__})") from None
    return state


def rng_state() -> dict[str, Any]:
    """State of PyTorch's generators; crops have none, they depend on their number alone."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_rng(state: dict[str, Any]) -> None:
    """Undo what happened since ``rng_state``."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def weights_of(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Weights in float32; shipped checkpoints keep them in half precision."""
    return {k: v.float() if v.is_floating_point() else v for k, v in checkpoint["model"].items()}


def load_weights(model: nn.Module, checkpoint: dict[str, Any], path: Path) -> None:
    """Put a checkpoint's weights into a model. Raises InputError where the two differ."""
    try:
        model.load_state_dict(weights_of(checkpoint))
    except (RuntimeError, KeyError) as error:
        first = str(error).splitlines()[0]
        raise InputError.of(
            "other_model", f"{path}: its weights are of another model than the configuration's ({first})"
        ) from None
