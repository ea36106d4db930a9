"""`hf-mem` at another address: `hf_mem_at.py ENDPOINT --model-id REPO`.

hf-mem 0.5.6 has the Hub's address in the text of its functions. Here the constants of the compiled function
are exchanged, which costs it nothing: no source is read and nothing is compiled anew.
"""

import sys
from types import CodeType
from typing import Any

from hf_mem.cli import main  # type: ignore[import-not-found, unused-ignore]
from hf_mem.run import arun  # type: ignore[import-not-found, unused-ignore]

_HUB = "https://huggingface.co"


def pointed_at(endpoint: str, code: CodeType) -> CodeType:
    """The same code with the Hub's address replaced, in the functions inside it too."""

    def constant(value: Any) -> Any:
        if isinstance(value, CodeType):
            return pointed_at(endpoint, value)
        return value.replace(_HUB, endpoint) if isinstance(value, str) else value

    return code.replace(co_consts=tuple(map(constant, code.co_consts)))


arun.__code__ = pointed_at(sys.argv.pop(1), arun.__code__)
main()
