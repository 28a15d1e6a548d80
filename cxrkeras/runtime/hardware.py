"""What Keras computes on."""

import os
import platform
import re
from pathlib import Path
from typing import Any

from cxrkeras.runtime.backends import JAX, backend
from data_prep.errors import UserError


def devices() -> list[str]:
    """What Keras computes on in this process: its GPUs, or without one its CPUs.

    On JAX those of all machines that compute together. Call it after `start`.
    """
    if backend() == JAX:
        import jax

        return list(map(str, jax.devices()))
    import tensorflow as tf

    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in found]


def hardware() -> dict[str, Any]:
    """`devices`, the kinds of the devices that Keras computes on, and their `driver`, if any."""
    if backend() == JAX:
        import jax

        kinds = [device.device_kind for device in jax.devices()]
        on_gpu = jax.default_backend() == "gpu"
    else:
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        about = map(tf.config.experimental.get_device_details, gpus)
        kinds = [facts.get("device_name", "GPU") for facts in about]
        on_gpu = bool(gpus)
    if not on_gpu:
        kinds = [_processor()]
    return {"devices": kinds, "driver": _driver() if on_gpu else None}


def check_devices(wanted: int, *, all_of_them: bool) -> None:
    """Check that there are as many devices, or just as many.

    Raises:
        UserError: there aren't.
    """
    found = devices()
    if len(found) < wanted or (all_of_them and len(found) != wanted):
        where = "on these machines together" if all_of_them else "here"
        raise UserError(
            f"--devices {wanted} can't be had; Keras on {backend()} sees {len(found)} {where} "
            f"({', '.join(found)}). Give --devices {len(found)}, or change which it may see: "
            "CUDA_VISIBLE_DEVICES."
        )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{next(named, platform.processor() or platform.machine())}, {os.cpu_count()} cores"


def _driver() -> str | None:
    """The NVIDIA driver's version."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    found = re.search(r"\b\d+\.\d+(\.\d+)?\b", text)
    return found[0] if found else None
