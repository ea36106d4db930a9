"""The accelerators of this machine, as its driver names them, and a user's file of others.

NVML answers where the `nvml` extra is installed; else `nvidia-smi`, which comes with the driver.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubmem.errors import UsageError
from hubmem.units import MIB

_SMI = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
# A driver that hangs must not hang the answer.
_SMI_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One accelerator.

    Attributes:
        name: the driver's, such as `NVIDIA A100-SXM4-80GB`.
        memory_bytes: its whole memory, of which a process can use a little less.
    """

    name: str
    memory_bytes: int


def local_devices() -> tuple[Device, ...]:
    """Every accelerator of this machine.

    Raises:
        UsageError: there is none, or nothing can tell.
    """
    devices = _by_nvml() or _by_smi()
    if not devices:
        raise UsageError(
            "No NVIDIA accelerator of this machine answers, by NVML or by nvidia-smi.",
            hint="Name one instead, such as --gpu RTX-4090 or --gpu 24GiB.",
        )
    return devices


def _by_nvml() -> tuple[Device, ...]:
    try:
        import pynvml
    except ModuleNotFoundError:
        return ()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return tuple(
            Device(
                name=str(pynvml.nvmlDeviceGetName(handle)),
                memory_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
            )
            for handle in handles
        )
    except pynvml.NVMLError:
        # Parts whose memory is the machine's have none to tell; a lost device does not answer.
        return ()
    finally:
        pynvml.nvmlShutdown()


def _by_smi() -> tuple[Device, ...]:
    program = shutil.which(_SMI[0])
    if program is None:
        return ()
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program with fixed arguments
            [program, *_SMI[1:]], capture_output=True, text=True, timeout=_SMI_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(device for line in done.stdout.splitlines() if (device := _parsed(line)))


def _parsed(line: str) -> Device | None:
    """A line of nvidia-smi, or None for one that names no memory, as of a unified part.

    >>> _parsed("NVIDIA A100-SXM4-80GB, 81920").memory_bytes == 80 * 2**30
    True
    >>> _parsed("NVIDIA GB10, [N/A]") is None
    True
    """
    name, _, memory = line.rpartition(",")
    return Device(name=name.strip(), memory_bytes=int(memory) * MIB) if memory.strip().isdigit() else None


def read_device_file(path: Path) -> dict[str, Any]:
    """What a TOML or JSON file of accelerators says, undecided whether it makes sense.

    Raises:
        UsageError: it cannot be read, or is neither; TOML on Python 3.10, which has no parser for it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"{path} cannot be read: {reason}.") from error
    try:
        value = json.loads(text) if path.suffix == ".json" else _parsed_toml(text)
    except ValueError as error:
        raise UsageError(f"{path} is not {'JSON' if path.suffix == '.json' else 'TOML'}: {error}.") from error
    if not isinstance(value, dict):
        raise UsageError(f"{path} is not a table of accelerators.")
    return value


def _parsed_toml(text: str) -> Any:
    try:
        import tomllib
    except ModuleNotFoundError as error:
        raise UsageError(
            "TOML is read from Python 3.11 on.", hint="Write the same in a file that ends in .json."
        ) from error
    return tomllib.loads(text)
