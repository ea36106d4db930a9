"""The step of action.yml: `python -m hubmem.cli.action`, all its inputs in environment variables."""

import os
import sys

# The Hub's client reads these when it is imported; an input that was left empty must not hide the job's own.
_HUB_VARIABLES = {"HUBMEM_HF_TOKEN": "HF_TOKEN", "HUBMEM_ENDPOINT": "HF_ENDPOINT"}


def main() -> int:
    """Run the Action in the environment of this process."""
    os.environ.update(
        {variable: os.environ[given] for given, variable in _HUB_VARIABLES.items() if os.environ.get(given)}
    )
    from hubmem.card.action.run import run
    from hubmem.card.action.runner import Runner
    from hubmem.cli.output import write_atomically

    return run(Runner(os.environ), write_atomically)


if __name__ == "__main__":
    sys.exit(main())
