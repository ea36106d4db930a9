"""What is published: the wheel users install, and the source package it can be rebuilt and tested from."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import hubmem
import pytest

ROOT = Path(__file__).parents[1]
NEEDED = ("pyproject.toml", "README.md", "LICENSE", ".gitignore", "action.yml", "uv.lock")
FOLDERS = ("tests", "fixtures", ".github", ".ci")
NOT_SOURCE = shutil.ignore_patterns("__pycache__", ".mypy_cache", "build")
VERSION = hubmem.__version__


def source(folder: Path) -> Path:
    """The source tree, with the installed package in it: CI tests the wheel with hubmem/ out of the way."""
    shutil.copytree(Path(hubmem.__file__).parent, folder / "hubmem", ignore=NOT_SOURCE)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=NOT_SOURCE)
    for name in NEEDED:
        shutil.copy(ROOT / name, folder)
    return folder


def build(folder: Path, target: str, **environment: str) -> Path:
    """Build as a front end would, without downloading the builder."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env={**os.environ, **environment})
    [built] = (folder / "dist").glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    return source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def sdist(tree) -> dict[str, bytes]:
    """The files of the source package, by their paths in it."""
    with tarfile.open(build(tree, "sdist")) as archive:
        files = {each.name: archive.extractfile(each) for each in archive.getmembers()}
        return {name.partition("/")[2]: file.read() for name, file in files.items() if file}


@pytest.fixture(scope="module")
def wheel(tree) -> zipfile.ZipFile:
    return zipfile.ZipFile(build(tree, "wheel"))


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


class TestWheel:
    def test_it_has_the_package_and_its_description_and_nothing_else(self, wheel, tree):
        package = {f"hubmem/{name}" for name in files_of(tree / "hubmem")}
        about = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}

        assert set(wheel.namelist()) == package | {f"hubmem-{VERSION}.dist-info/{name}" for name in about}

    def test_the_package_is_modules_data_and_pages_and_marked_as_typed(self, wheel):
        suffixes = {Path(name).suffix for name in wheel.namelist() if name.startswith("hubmem/")}

        assert suffixes == {".py", ".json", ".css", ".js", ".sql", ".typed"}
        assert "hubmem/py.typed" in wheel.namelist()

    def test_it_is_quick_to_download(self, wheel):
        """A job that installs it spends its time on other things: under 1 MB."""
        assert sum(each.compress_size for each in wheel.infolist()) < 1_000_000

    def test_it_brings_both_commands(self, wheel):
        text = wheel.read(f"hubmem-{VERSION}.dist-info/entry_points.txt").decode()

        assert text.splitlines()[1:] == ["hf-hubmem = hubmem.cli:run", "hubmem = hubmem.cli:run"]

    def test_it_says_what_it_needs_where_and_under_which_licence(self, wheel):
        lines = wheel.read(f"hubmem-{VERSION}.dist-info/METADATA").decode().splitlines()

        assert "License-Expression: Apache-2.0" in lines
        assert "Requires-Python: >=3.10" in lines
        needed = [line for line in lines if line.startswith("Requires-Dist:") and "extra ==" not in line]
        assert len(needed) == 4


class TestSourcePackage:
    def test_it_has_what_the_tests_and_the_action_need_and_nothing_else(self, sdist, tree):
        wanted = {f"{name}/{path}" for name in (*FOLDERS, "hubmem") for path in files_of(tree / name)}

        assert set(sdist) == wanted | set(NEEDED) | {"PKG-INFO"}

    def test_it_is_small_enough_to_hold_no_build(self, sdist):
        assert sum(map(len, sdist.values())) < 10_000_000

    def test_the_wheel_built_from_it_is_the_wheel(self, sdist, wheel, tmp_path):
        """Which is how pip makes one where it must."""
        for name, content in sdist.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)

        rebuilt = build(tmp_path, "wheel")

        assert wheel.filename is not None
        assert rebuilt.read_bytes() == Path(wheel.filename).read_bytes()


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_two_builds_of_one_source_are_the_same_bytes(tmp_path, target):
    """At another time and place, by another user, with other hashes."""
    built = []
    for number, mask in ((1, 0o022), (2, 0o077)):
        before = os.umask(mask)
        try:
            folder = source(tmp_path / str(number))
        finally:
            os.umask(before)
        for path in folder.rglob("*"):
            os.utime(path, (number * 10**9, number * 10**9))
        built.append(build(folder, target, SOURCE_DATE_EPOCH="1790000000", PYTHONHASHSEED=str(number)))

    assert built[0].read_bytes() == built[1].read_bytes()
