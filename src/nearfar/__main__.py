"""`python -m nearfar` is `nearfar`."""

from __future__ import annotations

from nearfar.cli.main import main

# Worker processes import this file anew, and must not begin the work anew.
if __name__ == "__main__":
    main()
