"""A bank that grows and shrinks by confirmed normal clips, with nothing fitted again."""
