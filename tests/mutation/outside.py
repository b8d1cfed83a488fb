"""Mutates what mutmut skips: constants, patterns, defaults of modules and classes, and decorated functions."""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

OPERATORS: dict[type[ast.AST], str] = {
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.Mult: "+",
    ast.Pow: "*",
    ast.FloorDiv: "*",
    ast.Add: "-",
    ast.Sub: "+",
    ast.LShift: ">>",
}
# In a pattern: a bound, range, prefix, alternative or optional part; each is removed or moved by one.
_PARTS = re.compile(r"(?<=[{,])\d+(?=[,}])|(?<=\[)0-9(?=\])|(?<=\[)1-9(?=\])|\w-\w|0x|cus_|:(?!\()|\?(?!:)|\|\w+")


class Change(NamedTuple):
    """A span of the source and its replacement."""

    start: int
    end: int
    becomes: str


def mutants(source: str) -> Iterator[tuple[str, str, str]]:
    """Yield each mutant of a module: the original line, the changed line, and the whole source."""
    raw = source.encode()
    starts = [0]
    for line in raw.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for change in sorted(set(_changes(ast.parse(source), raw, starts))):
        mutated = raw[: change.start] + change.becomes.encode() + raw[change.end :]
        first = raw.rfind(b"\n", 0, change.start) + 1
        ends = [raw.find(b"\n", change.end), mutated.find(b"\n", change.start + len(change.becomes.encode()))]
        yield raw[first : ends[0]].decode().strip(), mutated[first : ends[1]].decode().strip(), mutated.decode()


def _changes(tree: ast.Module, raw: bytes, starts: list[int]) -> Iterator[Change]:
    for node in _outside(tree):
        start, end = _span(node, starts)
        text = raw[start:end].decode()
        match node:
            case ast.Constant(value=bool()):
                yield Change(start, end, str(not node.value))
            case ast.Constant(value=int()):
                yield Change(start, end, f"({text} + 1)")
            case ast.Constant(value=str()) if text.isascii() and text.startswith('r"'):
                yield from _in_pattern(text, start)
            case ast.Constant(value=str()) | ast.JoinedStr():
                yield Change(start, end, text.replace('"', '"XX', 1))
            case ast.Tuple() if len(node.elts) > 2:
                for element in node.elts:
                    first, last = _span(element, starts)
                    yield Change(first, last + (raw[last : last + 1] == b","), "")
            case ast.BinOp() | ast.Compare():
                sides = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.left, node.comparators[0])
                operator = OPERATORS[type(node.op if isinstance(node, ast.BinOp) else node.ops[0])]
                yield Change(_span(sides[0], starts)[1], _span(sides[1], starts)[0], f" {operator} ")
            case ast.Return(value=ast.expr()):
                yield Change(start, end, "return None")
            case _:
                pass


def _in_pattern(text: str, start: int) -> Iterator[Change]:
    for part in _PARTS.finditer(text):
        token = part[0]
        bounds = [str(int(token) + 1), str(max(0, int(token) - 1))] if token.isdigit() else []
        for becomes in bounds or [{"0-9": "1-9", "1-9": "0-9"}.get(token, "") if _alone(part) else ""]:
            changed = f"{text[: part.start()]}{becomes}{text[part.end() :]}"
            if becomes != token and _compiles(ast.literal_eval(changed)):
                yield Change(start + part.start(), start + part.end(), becomes)


def _alone(part: re.Match[str]) -> bool:
    return part.string[part.start() - 1] + part.string[part.end()] == "[]"


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _span(node: ast.AST, starts: list[int]) -> tuple[int, int]:
    if not isinstance(node, ast.expr | ast.stmt):
        return 0, 0
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset


def _outside(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes outside of plain functions, without annotations, docstrings, bases, decorators and Literals."""
    match node:
        case ast.FunctionDef(decorator_list=[]) | ast.Import() | ast.ImportFrom():
            return
        case ast.Expr(value=ast.Constant()) | ast.Subscript(value=ast.Name(id="Literal")) | ast.BinOp(op=ast.BitOr()):
            return
        case ast.Module() | ast.ClassDef() | ast.FunctionDef():
            children: list[ast.AST] = list(node.body)
        case ast.Assign() | ast.AnnAssign():
            children = [node.value] if node.value else []
        case ast.JoinedStr():
            yield node
            return
        case _:
            yield node
            children = list(ast.iter_child_nodes(node))
    for child in children:
        yield from _outside(child)
