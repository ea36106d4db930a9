"""This machine's accelerators, by a stand-in for the driver's own program."""

from pathlib import Path

import pytest
from hubmem.errors import UsageError
from hubmem.fit.gpus import parse_target
from hubmem.hub.devices import local_devices
from hubmem.units import GIB


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
