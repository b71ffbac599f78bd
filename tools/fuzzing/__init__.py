"""What `python -m tools.fuzz` throws at nearfar: damaged files, and what must come back."""
