"""A Hugging Face Hub on 127.0.0.1 for the tests: real HTTP, real headers, virtual weights.

    with HubServer([record, Repo("org/odd", {"config.json": b"[]"})]) as hub:
        hub.faults = [Fault(Answer(503), match="GET /api/", first=2)]
        ...hub.endpoint, hub.requests, hub.weight_bytes_sent

What it imitates is taken from the source of ``huggingface_hub`` and hf.js and from the Hub's
documentation; ``tests/test_hub_server.py`` holds it against ``huggingface_hub``'s own client.
"""

from .blobs import Virtual
from .faults import Answer, Call, Fault, IgnoreRange, QuotaSpent, Reset, Settings, Truncate
from .log import LoggedRequest
from .repos import Files, Repo
from .server import HubServer
from .snapshots import Record, files_of, repo_from_record, safetensors_file, tensors_of, weight_files
from .tensors import Tensor
from .torch_files import torch_file

__all__ = [
    "Answer",
    "Call",
    "Fault",
    "Files",
    "HubServer",
    "IgnoreRange",
    "LoggedRequest",
    "QuotaSpent",
    "Record",
    "Repo",
    "Reset",
    "Settings",
    "Tensor",
    "Truncate",
    "Virtual",
    "files_of",
    "repo_from_record",
    "safetensors_file",
    "tensors_of",
    "torch_file",
    "weight_files",
]
