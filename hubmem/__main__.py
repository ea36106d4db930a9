"""`python -m hubmem`."""

import sys

from hubmem.cli import main

sys.exit(main())
