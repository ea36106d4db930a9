"""`hf hubmem`: the Hub's own command line runs hubmem as an extension."""

import importlib.util
import json
import os
import subprocess

import pytest

from tests.act import tool


@pytest.mark.skipif(
    importlib.util.find_spec("huggingface_hub.cli.extensions") is None,
    reason="this huggingface_hub has no extensions yet",
)
def test_hf_runs_hubmem_where_it_is_installed_as_an_extension(tmp_path):
    """What `hf extensions install OWNER/hf-hubmem` leaves behind is a manifest that names our console script."""
    folder = tmp_path / ".local" / "share" / "hf" / "extensions" / "hf-hubmem"
    folder.mkdir(parents=True)
    manifest = {
        "owner": "OWNER",
        "repo": "hf-hubmem",
        "repo_id": "OWNER/hf-hubmem",
        "short_name": "hubmem",
        "executable_path": tool("hf-hubmem"),
        "type": "python",
        "installed_at": "2026-11-01T00:00:00",
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    }

    done = subprocess.run(
        [tool("hf"), "hubmem", "openai-community/gpt2", "--offline"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr
    assert "124,439,808 parameters" in done.stdout
