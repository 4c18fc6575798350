"""`python -m ncdlang.cli` is `ncdc`."""

from __future__ import annotations

import sys

from ncdlang.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
