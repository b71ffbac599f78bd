"""Pages that a person opens: one file each, with pictures and sounds inside and no network."""
