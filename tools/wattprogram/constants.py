"""Integers and texts that have a name in the source, compiled into the code: on a chip every name costs, and for ever.

That is what MicroPython's `const` is for: `LIMIT = 5` becomes `_LIMIT = const(5)`, and is in no dictionary then. Where
another of our modules says `frame.LIMIT`, the number itself takes its place; a text would be there twice.
"""

import ast
import io
import operator
import re
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

SMALL = 1 << 30  # what an object of a 32-bit board holds without memory of its own
NAME = re.compile(r"_?[A-Z][A-Z0-9_]*")
OPERATIONS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.LShift: operator.lshift,
}


class Module:
    """A parsed source; it is walked once."""

    def __init__(self, source: bytes) -> None:
        """Raises SyntaxError."""
        tree = ast.parse(source)
        self.body = tree.body
        self.nodes = list(ast.walk(tree))
        # How often each name is given a value, as a variable or as an argument.
        self.bound = Counter(
            node.id for node in self.nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        )
        self.bound.update(node.arg for node in self.nodes if isinstance(node, ast.arg))


class Assigned(NamedTuple):
    """A line that gives values to constants."""

    line: ast.Assign
    names: list[str]
    values: list[ast.expr]


class Change(NamedTuple):
    """What takes the place of a piece of a line."""

    row: int
    first: int  # bytes
    end: int
    text: bytes


def inlined(modules: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the sources, by path, with every constant that nobody asks for by name in MicroPython's own form."""
    parsed = {name: Module(source) for name, source in modules.items()}
    integers = {_dotted(name): _integers(module) for name, module in parsed.items()}
    taken = {name: list(_taken(module, _dotted(name), integers)) for name, module in parsed.items()}
    public = {
        each for name, module in parsed.items() for each in _asked_for(module, {id(node) for node, _ in taken[name]})
    }
    return {name: _rewritten(source, parsed[name], public, taken[name]) for name, source in modules.items()}


def _dotted(path: str) -> str:
    return path.removeprefix("/").removesuffix(".py").replace("/", ".")


def _assigned(module: Module) -> Iterator[Assigned]:
    """Those lines of a module that give values to constants, which nothing else does."""
    bound = module.bound
    for node in module.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and node.lineno == node.end_lineno:
            targets, values = _each(node.targets[0]), _each(node.value)
            names = [each.id for each in targets if isinstance(each, ast.Name)]
            if len(names) == len(targets) == len(values) and all(NAME.fullmatch(x) and bound[x] == 1 for x in names):
                yield Assigned(node, names, values)


def _each(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _integers(module: Module) -> dict[str, int]:
    values: dict[str, int | str] = {}
    for assigned in _assigned(module):
        values.update(_found(assigned, values))
    return {name: value for name, value in values.items() if isinstance(value, int)}


def _found(assigned: Assigned, known: Mapping[str, int | str]) -> dict[str, int | str]:
    """Those constants of a line that are integers, of others that are `known`, or texts."""
    pairs = zip(assigned.names, assigned.values, strict=True)
    found = {
        name: node.value if isinstance(node, ast.Constant) and type(node.value) is str else _value(node, known)
        for name, node in pairs
    }
    return {name: value for name, value in found.items() if value is not None}


def _taken(module: Module, name: str, integers: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[ast.Attribute, int]]:
    """Every `module.NAME` of one of our modules that is an integer, and the integer."""
    modules = dict(_modules(module, name.rpartition(".")[0]))
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and isinstance(node.ctx, ast.Load):
            alias = node.value.id
            value = integers.get(modules.get(alias, ""), {}).get(node.attr)
            if value is not None and not module.bound[alias] and node.lineno == node.end_lineno:
                yield node, value


def _modules(module: Module, package: str) -> Iterator[tuple[str, str]]:
    """What each imported name stands for in full, were it a module."""
    for node in module.nodes:
        if isinstance(node, ast.ImportFrom):
            source = ".".join(part for part in (package if node.level else "", node.module) if part)
            yield from ((each.asname or each.name, f"{source}.{each.name}") for each in node.names)


def _asked_for(module: Module, taken: AbstractSet[int]) -> Iterator[str]:
    """Every name that a module asks another one for, or may, but for those nodes that are `taken`."""
    for node in module.nodes:
        if isinstance(node, ast.Attribute):
            if id(node) not in taken:
                yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.Global):
            yield from node.names


def _rewritten(
    source: bytes, module: Module, public: AbstractSet[str], taken: Sequence[tuple[ast.Attribute, int]]
) -> bytes:
    used = {node.id for node in module.nodes if isinstance(node, ast.Name)} | set(module.bound)
    values: dict[str, int | str] = {}
    changes: list[Change] = []
    for assigned in _assigned(module):
        found = _found(assigned, values)
        private = [_private(name) for name in assigned.names]
        if len(found) == len(private) and public.isdisjoint(found) and used.isdisjoint(set(private) - set(found)):
            values.update(found)
            pairs = zip(private, found.values(), strict=True)
            changes.append(_change(assigned.line, "; ".join(f"{name} = const({value!r})" for name, value in pairs)))
    changes.extend(_change(node, f"({value})" if value < 0 else str(value)) for node, value in taken)
    return _replaced(source, values, changes)


def _private(name: str) -> str:
    return name if name.startswith("_") else f"_{name}"


def _change(node: ast.expr | ast.stmt, text: str) -> Change:
    return Change(node.lineno, node.col_offset, node.end_col_offset or 0, text.encode())


def _value(node: ast.expr, values: Mapping[str, int | str]) -> int | None:
    """The small integer that an expression is, or None."""
    found: int | None = None
    if isinstance(node, ast.Constant) and type(node.value) is int:
        found = node.value
    elif isinstance(node, ast.Name):
        known = values.get(node.id)
        found = known if isinstance(known, int) else None
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _value(node.operand, values)
        found = None if inner is None else -inner
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        left, right = _value(node.left, values), _value(node.right, values)
        if left is not None and right is not None:
            found = OPERATIONS[type(node.op)](left, right)
    return found if found is not None and -SMALL <= found < SMALL else None


def _replaced(source: bytes, values: Mapping[str, int | str], changes: list[Change]) -> bytes:
    """Put `changes` into the source, and the private names everywhere else."""
    lines = source.splitlines(keepends=True)
    names = []
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type == tokenize.NAME and token.string in values and not token.string.startswith("_"):
            row, column = token.start
            first = len(token.line[:column].encode())  # tokens are counted in characters, nodes in bytes
            if not any(row == change.row and change.first <= first < change.end for change in changes):
                names.append(Change(row, first, first + len(token.string), b"_" + token.string.encode()))
    for row, first, end, text in sorted([*changes, *names], reverse=True):
        line = lines[row - 1]
        lines[row - 1] = line[:first] + text + line[end:]
    return b"".join(lines)
