"""This machine's accelerators, by stand-ins for the driver's own program and for NVIDIA's library."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hubmem.errors import UsageError
from hubmem.fit.gpus import parse_target
from hubmem.hub.devices import Device, local_devices
from hubmem.units import GIB, MIB


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """Let `nvidia-smi` print these lines, or fail."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def smi(*lines: str, code: int = 0) -> None:
        program = Path(tmp_path) / "nvidia-smi"
        printed = "".join(f"echo '{line}'\n" for line in lines)
        program.write_text(f"#!/bin/sh\n{printed}exit {code}\n")
        program.chmod(0o755)

    return smi


class Nvml(SimpleNamespace):
    """The module `pynvml`, over devices of these names and bytes of memory; None is said to be no number."""

    class NVMLError(Exception):
        pass

    def __init__(self, *devices: tuple[str, int | None], starts: bool = True) -> None:
        super().__init__(devices=devices, starts=starts, is_open=False)

    def nvmlInit(self) -> None:  # noqa: N802 - the library's names
        if not self.starts:
            raise self.NVMLError("Driver Not Loaded")
        self.is_open = True

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.is_open = False

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:  # noqa: N802
        return self.devices[index]

    def nvmlDeviceGetName(self, handle: Any) -> str:  # noqa: N802
        return str(handle[0])

    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any:  # noqa: N802
        if handle[1] is None:
            raise self.NVMLError("Not Supported")
        return SimpleNamespace(total=handle[1])


def test_the_library_is_asked_before_the_program_and_left_closed(smi, monkeypatch):
    library = Nvml(("NVIDIA A100-SXM4-80GB", 80 * GIB), ("NVIDIA L4", 24 * GIB))
    monkeypatch.setitem(sys.modules, "pynvml", library)
    smi("NVIDIA Something else, 1024")

    assert local_devices() == (
        Device(name="NVIDIA A100-SXM4-80GB", memory_bytes=80 * GIB),
        Device(name="NVIDIA L4", memory_bytes=24 * GIB),
    )
    assert not library.is_open


@pytest.mark.parametrize(
    "library",
    [Nvml(starts=False), Nvml(), Nvml(("NVIDIA GB10", None))],
    ids=["no driver", "no devices", "memory it does not tell"],
)
def test_where_the_library_has_no_answer_the_program_has(smi, monkeypatch, library):
    monkeypatch.setitem(sys.modules, "pynvml", library)
    smi("NVIDIA L4, 23034")

    assert local_devices() == (Device(name="NVIDIA L4", memory_bytes=23034 * MIB),)
    assert not library.is_open


def test_known_ones_are_found_in_the_catalogue_with_what_their_driver_really_gives(smi):
    smi("NVIDIA H100 80GB HBM3, 81559", "NVIDIA H100 80GB HBM3, 81559")

    target = parse_target("local")

    assert (target.gpu.name, target.count) == ("H100-80GB", 2)
    assert target.gpu.memory_bytes < 81559 * 2**20


def test_an_unknown_one_is_taken_at_its_drivers_word(smi):
    smi("NVIDIA Something 9000, 40960")

    target = parse_target("LOCAL")

    assert (target.gpu.name, target.gpu.memory_bytes, target.count) == ("NVIDIA Something 9000", 40 * GIB, 1)


@pytest.mark.parametrize(
    ("lines", "code"), [((), 0), (("No devices were found",), 6), (("NVIDIA GB10, [N/A]",), 0)]
)
def test_no_answer_is_a_usage_error_with_a_way_on(smi, lines, code):
    smi(*lines, code=code)

    with pytest.raises(UsageError) as caught:
        local_devices()
    assert "--gpu" in caught.value.hint


def test_without_the_drivers_program_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UsageError):
        local_devices()
