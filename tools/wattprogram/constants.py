"""Integers that only their own module names, compiled into its code: on a chip every name costs, and for ever.

That is what MicroPython's `const` is for: `LIMIT = 5` becomes `_LIMIT = const(5)`, and is in no dictionary then.
"""

import ast
import io
import operator
import re
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

SMALL = 1 << 30  # what an object of a 32-bit board holds without memory of its own
NAME = re.compile(r"_?[A-Z][A-Z0-9_]*")
OPERATIONS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.LShift: operator.lshift,
}


def inlined(modules: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the sources, by path, with every private constant in MicroPython's own form."""
    trees = {name: ast.parse(source) for name, source in modules.items()}
    public = {name for tree in trees.values() for name in _named_elsewhere(tree)}
    return {name: _rewritten(source, trees[name], public) for name, source in modules.items()}


def _named_elsewhere(tree: ast.Module) -> Iterator[str]:
    """Every name that a module takes from another one, or may."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.Global):
            yield from node.names


def _rewritten(source: bytes, tree: ast.Module, public: set[str]) -> bytes:
    bound = Counter(
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    bound.update(node.arg for node in ast.walk(tree) if isinstance(node, ast.arg))
    taken = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} | set(bound)
    values: dict[str, int] = {}
    places: dict[tuple[int, int], tuple[int, int]] = {}  # where each value begins and ends
    for node in tree.body:
        if not isinstance(node, ast.Assign) or len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name):
            continue
        name = node.targets[0].id
        private = name if name.startswith("_") else f"_{name}"
        value = _value(node.value, values)
        if value is None or not NAME.fullmatch(name) or name in public or bound[name] != 1:
            continue
        if node.value.end_lineno != node.lineno or (private != name and private in taken):
            continue
        values[name] = value
        places[node.lineno, node.value.col_offset] = (node.value.end_col_offset or 0, value)
    return _replaced(source, values, places)


def _value(node: ast.expr, values: Mapping[str, int]) -> int | None:
    """The small integer that an expression is, or None."""
    found: int | None = None
    if isinstance(node, ast.Constant) and type(node.value) is int:
        found = node.value
    elif isinstance(node, ast.Name):
        found = values.get(node.id)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _value(node.operand, values)
        found = None if inner is None else -inner
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        left, right = _value(node.left, values), _value(node.right, values)
        if left is not None and right is not None:
            found = OPERATIONS[type(node.op)](left, right)
    return found if found is not None and -SMALL <= found < SMALL else None


def _replaced(source: bytes, values: Mapping[str, int], places: Mapping[tuple[int, int], tuple[int, int]]) -> bytes:
    """Put the values where they are assigned, and the private names everywhere."""
    lines = source.decode().splitlines(keepends=True)
    changes = []  # line, first column, end column, text
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        row, column = token.start
        if token.type == tokenize.NAME and token.string in values and not token.string.startswith("_"):
            changes.append((row, column, token.end[1], f"_{token.string}"))
    for (row, column), (end, value) in places.items():
        changes = [change for change in changes if change[0] != row or not column <= change[1] < end]
        changes.append((row, column, end, f"const({value})"))
    for row, column, end, text in sorted(changes, reverse=True):
        line = lines[row - 1]
        lines[row - 1] = line[:column] + text + line[end:]
    return "".join(lines).encode()
