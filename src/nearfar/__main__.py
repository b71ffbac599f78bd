"""`python -m nearfar` is `nearfar`."""

from __future__ import annotations

from nearfar.cli.main import main

if __name__ == "__main__":
    main()
