"""The rules of the house, which no reviewer should have to check by eye."""

import ast
import re
from pathlib import Path

import hubmem
import pytest

PACKAGE = Path(hubmem.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# A run is one sentence, and a package may import only from those before it in the sentence.
ORDER = (
    ("version", "errors", "units", "dtypes", "templates", "json_text"),
    ("hub",),
    ("weights",),
    ("models",),
    ("memory",),
    ("fit",),
    ("request", "snapshot"),
    ("contract",),
    ("report",),
    ("inspection",),
    ("render", "diff"),
    ("card", "scanning"),
    ("cli",),
)
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
# The reason beside each module that is longer than it should be.
LONG: dict[str, str] = {}
LONGEST = 400


def part_of(module: str) -> str:
    return module.split(".")[1] if module.count(".") else ""


def imports(path: Path) -> list[tuple[str, int]]:
    """Every module a file imports, at its top or inside a function, and the line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


def type_checking_lines(path: Path) -> set[int]:
    """Lines under `if TYPE_CHECKING:`, which import nothing when the program runs."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            lines |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_imports_only_from_earlier_in_the_sentence(path):
    own = relative(path).split("/")[0].removesuffix(".py")
    if own in ("__init__", "__main__"):
        return
    skipped = type_checking_lines(path)
    late = [
        f"line {line}: {module}"
        for module, line in imports(path)
        if module.startswith("hubmem.") and line not in skipped
        if RANK.get(part_of(module), -1) > RANK[own]
    ]
    assert late == []


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_only_the_door_speaks_http(path):
    """httpx is huggingface_hub's in one version and httpx2 in the next: nobody here may know."""
    names = {module.split(".")[0] for module, _ in imports(path)}

    assert not names & {"httpx", "httpx2", "requests", "urllib3"}
    if "huggingface_hub" in names:
        assert relative(path).startswith("hub/")


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_module_grows_past_what_one_can_read_at_once(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())

    assert lines <= LONGEST or relative(path) in LONG


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_name_says_what_a_module_is_for(path):
    assert not re.search(r"util|helper|common|manager|misc", relative(path))
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.name == "__init__.py"


def test_the_public_names_are_these():
    assert hubmem.__all__ == ["HubmemError", "Report", "Skipped", "inspect", "scan"]
    assert all(getattr(hubmem, name) for name in hubmem.__all__)
    with pytest.raises(AttributeError):
        _ = hubmem.nothing
