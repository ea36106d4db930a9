"""The tree of errors in `hubmem.errors` is the tree there is."""

import importlib
import pkgutil
import re

import hubmem
import pytest
from hubmem import errors
from hubmem.errors import HubmemError

# A name in the drawing after its branches, and the exit code beside it.
_DRAWN = re.compile(r"^    (?P<branches>[│├└─ ]*)(?P<name>[A-Z]\w+)(?: +(?P<code>\d))?", re.MULTILINE)
_STEP = len("├── ")


def drawn() -> dict[str, tuple[str, str]]:
    """Every error in the drawing, with its base and its exit code."""
    found: dict[str, tuple[str, str]] = {}
    path: list[str] = []
    for line in _DRAWN.finditer(errors.__doc__ or ""):
        depth = len(line["branches"]) // _STEP
        path[depth:] = [line["name"]]
        if depth:
            found[line["name"]] = (path[depth - 1], line["code"])
    return found


def raised() -> dict[str, type[HubmemError]]:
    """Every error any module defines, by its name."""
    for module in pkgutil.walk_packages(hubmem.__path__, "hubmem."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: list[type[HubmemError]] = [HubmemError]
    for each in found:
        found += each.__subclasses__()
    return {each.__name__: each for each in found[1:] if each.__module__.startswith("hubmem.")}


def test_every_error_is_drawn():
    assert drawn().keys() == raised().keys()


@pytest.mark.parametrize("name", drawn())
def test_an_error_hangs_where_it_is_drawn_and_ends_in_the_code_beside_it(name):
    base, code = drawn()[name]
    error = raised()[name]

    assert error.__bases__[0].__name__ == base
    assert error.exit_code == int(code)


@pytest.mark.parametrize("kind", raised().values(), ids=raised())
def test_a_message_is_a_few_lines_however_long_what_it_quotes(kind: type[HubmemError]) -> None:
    """A header may name a tensor with a million characters, and a config hold a list of as many."""
    long = "far too much to read " * 1000
    error = kind("model.safetensors", long) if kind is errors.MalformedWeights else kind(long)
    assert 100 < len(str(error)) < 600
