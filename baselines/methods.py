"""The methods by the name that a configuration gives, each with its stages."""

from typing import Any

from baselines.affinity_unet.stages import METHOD as AFFINITY_UNET
from baselines.common.stages import Method
from baselines.ffn.stages import METHOD as FFN

METHODS: dict[str, Method[Any]] = {"affinity_unet": AFFINITY_UNET, "ffn": FFN}
