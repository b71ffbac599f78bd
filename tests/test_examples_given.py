"""Every public class and every preset shows in an example how it is used.

That an example is true is asked elsewhere: all of them are run as doctests.
"""

import ast

import pytest
from tools.house import modules, tree

PRESETS = ("s1", "s2", "s3", "s3_dif", "s3_eat", "s4", "logmel")


def has_example(node: ast.AST) -> bool:
    return ">>>" in (ast.get_docstring(node) or "")


def shown(node: ast.ClassDef) -> bool:
    """By the class or by one of its methods; protocols and errors are asked like all others."""
    methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
    return any(has_example(n) for n in (node, *methods))


def test_a_public_class_has_an_example():
    classes = [
        (f"{path}:{node.name}", node)
        for path in modules()
        for node in tree(path).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert len(classes) > 500  # else the house was not found
    # Say in its docstring, with >>>, how it is used.
    assert [name for name, node in classes if not shown(node)] == []


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_an_example(name):
    found = [
        node
        for path in modules()
        if path.as_posix().endswith("system/presets.py")
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef) and node.name == name
    ]
    assert [has_example(node) for node in found] == [True]


def test_a_class_without_one_is_found():
    plain = 'class Part:\n    """A part."""\n    def hear(self):\n        """Hear{}."""\n'
    assert not shown(ast.parse(plain.format("")).body[0])
    assert shown(ast.parse(plain.format("\n\n        >>> 1\n        1\n")).body[0])
