"""The public names: what they are, that they are there, that each says what it is."""

import nearfar


def test_all_is_what_is_there():
    assert sorted(nearfar.__all__) == sorted(nearfar._HOME)
    assert sorted(nearfar.__all__) == dir(nearfar)
    for name in nearfar.__all__:
        assert getattr(nearfar, name) is not None


def test_unknown_names_are_attribute_errors():
    assert not hasattr(nearfar, "no_such_thing")


def test_every_public_name_has_a_docstring():
    for name in nearfar.__all__:
        value = getattr(nearfar, name)
        if callable(value):
            assert (value.__doc__ or "").strip(), f"{name} does not say what it is"
            assert not value.__doc__.startswith(f"{name}("), f"{name}: a generated docstring"


def test_the_list_for_type_checkers_is_the_same():
    import ast
    from pathlib import Path

    tree = ast.parse(Path(nearfar.__file__).read_text())
    block = next(n for n in tree.body if isinstance(n, ast.If))
    names = {alias.name for node in block.body for alias in node.names}
    assert names == set(nearfar.__all__)
