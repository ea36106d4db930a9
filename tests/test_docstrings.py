"""Examples in docstrings say what is so."""

import doctest
import importlib
import pkgutil
from collections.abc import Iterator

import hubmem
import pytest


def examples() -> Iterator[doctest.DocTest]:
    """Every docstring of the package that has any."""
    for module in pkgutil.walk_packages(hubmem.__path__, "hubmem."):
        if not module.name.endswith("__main__"):
            found = doctest.DocTestFinder().find(importlib.import_module(module.name))
            yield from (docstring for docstring in found if docstring.examples)


@pytest.mark.parametrize("docstring", list(examples()), ids=lambda docstring: docstring.name)
def test_an_example_comes_out_as_it_is_written(docstring: doctest.DocTest) -> None:
    assert doctest.DocTestRunner().run(docstring).failed == 0
