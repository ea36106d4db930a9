"""The catalogue of accelerators and rented machines, and how people name them."""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from hubmem.errors import UnknownGpu, UsageError
from hubmem.hub.devices import local_devices
from hubmem.memory.device import Device
from hubmem.units import MIB, format_binary, parse_size

_COUNTED = re.compile(r"\s*(\d{1,9})\s*[x×*]\s*(.+)", re.IGNORECASE)
_BARE_SIZE = re.compile(r"\s*(cpu:)?\s*(\d+(?:\.\d+)?\s*[kmgt]i?b)\s*", re.IGNORECASE)
_IGNORED = re.compile(r"[^a-z0-9]+")
_VENDOR_WORDS = re.compile(r"nvidia|geforce|tesla|amd|instinct|radeon|intel|google|apple")
# More devices than one plan can mean anything for.
_MOST_DEVICES = 16_384

# What the fit matrix shows when nobody says: what people own and rent, small to large.
USUAL = ("RTX-4090", "RTX-5090", "L40S", "A100-80GB", "H100-80GB", "H200", "B200", "MI300X")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One accelerator.

    Attributes:
        name: what users type, such as `H100-80GB`.
        title: what its maker calls it.
        kind: such as `datacenter` or `unified`; `size` where nothing but the memory is known, `cpu` for a host's.
        memory_bytes: what its driver reports to a process.
        memory_basis: whether that is measured or assumed from its nominal size.
        bandwidth_gb_per_s: of its memory, decimal gigabytes, or None where unknown.
        dtypes: narrow formats its matrix units compute in.
        sources: of the row.
    """

    name: str
    title: str
    vendor: str
    kind: str
    architecture: str
    memory_bytes: int
    memory_basis: str
    bandwidth_gb_per_s: float | None
    compute_capability: str | None
    dtypes: tuple[str, ...]
    aliases: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def device(self) -> Device:
        """What an engine finds out about it."""
        return Device(
            memory_bytes=self.memory_bytes, name=self.title, compute_capability=self.compute_capability
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine as clouds rent it, such as `aws:p4de.24xlarge`."""

    name: str
    gpu: str
    gpus: int
    host_ram_gib: float | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a model is to run: that many of one accelerator.

    Attributes:
        count: how many, or None where the smallest number that does is asked for.
    """

    gpu: Gpu
    count: int | None


def catalogue() -> tuple[Gpu, ...]:
    """Every accelerator, in the order of the data file."""
    return _catalogue()[0]


def machines() -> tuple[Machine, ...]:
    """Every rented machine."""
    return _catalogue()[1]


def find(name: str, own: Sequence[Gpu] = ()) -> Gpu:
    """The accelerator of that name or alias; case, spaces, dashes and the maker's name do not matter.

    Args:
        name: as a user types it.
        own: accelerators of the user's, which go before those of the catalogue.

    Raises:
        UnknownGpu: with the nearest names.
    """
    known = {**_by_alias(), **_aliases(own)}
    gpu = known.get(_key(name)) or known.get(_VENDOR_WORDS.sub("", _key(name)))
    if gpu is None:
        raise UnknownGpu(f"Unknown GPU {name!r}.", hint=_nearest(name, known))
    return gpu


def _nearest(name: str, known: Mapping[str, Gpu]) -> str:
    """What a user may have meant: a machine where the name has a provider, as in `aws:p5`, else an accelerator."""
    names = (
        {_key(machine.name): machine.name for machine in machines()}
        if ":" in name
        else {alias: gpu.name for alias, gpu in known.items()}
    )
    near = difflib.get_close_matches(_key(name), names, n=8, cutoff=0.4)
    found = list(dict.fromkeys(names[alias] for alias in near))[:4]
    suggestion = f"Did you mean {', '.join(found)}? " if found else ""
    return f"{suggestion}`hubmem gpus` lists all; 24GiB works too."


def parse_target(text: str, own: Sequence[Gpu] = ()) -> Target:
    """A `--gpu` value: a name, a number and a name, a rented machine, a size, `cpu:` and a size, or `local`.

    >>> parse_target("2xA100-80GB").count, parse_target("24GiB").gpu.memory_bytes
    (2, 25769803776)

    Raises:
        UsageError: the number is out of range, or nothing has that name.
    """
    if text.strip().lower() == "local":
        return _local()
    machine = next((machine for machine in machines() if machine.name.lower() == text.strip().lower()), None)
    if machine:
        return Target(gpu=find(machine.gpu), count=machine.gpus)
    counted = _COUNTED.fullmatch(text)
    count, name = (int(counted[1]), counted[2]) if counted else (None, text)
    if count is not None and not 0 < count <= _MOST_DEVICES:
        raise UsageError(f"{text!r}: the number of GPUs must be from 1 to {_MOST_DEVICES:,}.")
    size = _BARE_SIZE.fullmatch(name)
    return Target(gpu=_of_size(size[2], is_cpu=bool(size[1])) if size else find(name, own), count=count)


def _local() -> Target:
    """This machine's accelerators, all of the kind it has least memory of."""
    devices = local_devices()
    smallest = min(devices, key=lambda device: device.memory_bytes)
    count = sum(device.name == smallest.name for device in devices)
    try:
        return Target(gpu=find(smallest.name), count=count)
    except UnknownGpu:
        gpu = of_memory(smallest.memory_bytes, smallest.name, source="this machine's driver")
        return Target(gpu=gpu, count=count)


def _of_size(text: str, *, is_cpu: bool) -> Gpu:
    nbytes = parse_size(text)
    name = f"cpu:{format_binary(nbytes)}" if is_cpu else format_binary(nbytes)
    return of_memory(nbytes, name, kind="cpu" if is_cpu else "size", source="given on the command line")


def of_memory(nbytes: int, name: str, *, kind: str = "size", source: str) -> Gpu:
    """A device of which little but its memory is known."""
    return Gpu(
        name=name,
        title=f"a device with {format_binary(nbytes)}",
        vendor="",
        kind=kind,
        architecture="",
        memory_bytes=nbytes,
        memory_basis="assumed",
        bandwidth_gb_per_s=None,
        compute_capability=None,
        dtypes=(),
        aliases=(),
        sources=(source,),
    )


def _key(name: str) -> str:
    return _IGNORED.sub("", name.lower())


@lru_cache(maxsize=1)
def _by_alias() -> Mapping[str, Gpu]:
    return _aliases(catalogue())


def _aliases(gpus: Sequence[Gpu]) -> dict[str, Gpu]:
    return {_key(alias): gpu for gpu in gpus for alias in (gpu.name, gpu.title, *gpu.aliases)}


@lru_cache(maxsize=1)
def _catalogue() -> tuple[tuple[Gpu, ...], tuple[Machine, ...]]:
    data: dict[str, Any] = json.loads((files("hubmem") / "data" / "gpus.json").read_text(encoding="utf-8"))
    return tuple(map(_gpu, data["gpus"])), tuple(map(_machine, data["machines"]))


def _gpu(row: Mapping[str, Any]) -> Gpu:
    return Gpu(
        name=row["name"],
        title=row["title"],
        vendor=row["vendor"],
        kind=row["kind"],
        architecture=row["architecture"],
        memory_bytes=row["memory_mib"] * MIB,
        memory_basis=row["memory_basis"],
        bandwidth_gb_per_s=row["bandwidth_gb_per_s"],
        compute_capability=row["compute_capability"],
        dtypes=tuple(row["dtypes"]),
        aliases=tuple(row["aliases"]),
        sources=tuple(row["sources"]),
    )


def _machine(row: Mapping[str, Any]) -> Machine:
    return Machine(
        name=row["name"],
        gpu=row["gpu"],
        gpus=row["gpus"],
        host_ram_gib=row["host_ram_gib"],
        source=row["source"],
    )
