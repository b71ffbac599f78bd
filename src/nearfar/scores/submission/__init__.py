"""A challenge's package: its label, its form, its zip, and what is wrong with anyone's."""
