"""How readable the package is, in figures: `python -m benchmarks.house`.

Long lines, conditional expressions, nested comprehensions, comments and complex functions of
`src/`, each with the limit that the project has set itself. Exits with 1 where a limit is broken.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
LONGEST_LINE = 100
LARGEST_FILE = 400
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Figure:
    """One measure of the whole package, and the limit it has to keep."""

    name: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def kept(self) -> bool:
        if self.at_least:
            return self.value >= self.limit
        return self.value <= self.limit


def count_conditionals(tree: ast.AST) -> int:
    """Conditional expressions, `a if b else c`."""
    return sum(isinstance(node, ast.IfExp) for node in ast.walk(tree))


def count_nested_comprehensions(tree: ast.AST) -> int:
    """Comprehensions that run over more than one loop, or that stand inside another one."""
    nested = 0
    for outer in ast.walk(tree):
        if not isinstance(outer, COMPREHENSIONS):
            continue
        inner = (node for node in ast.walk(outer) if node is not outer)
        nested += len(outer.generators) > 1 or any(isinstance(i, COMPREHENSIONS) for i in inner)
    return nested


def count_comments(text: str) -> int:
    """Lines that are a comment or end in one; instructions to tools do not count."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = (token.string for token in tokens if token.type == tokenize.COMMENT)
    tools = ("# noqa", "# type:", "# fmt:", "# pragma")
    return sum(not comment.startswith(tools) for comment in comments)


def count_complex_blocks(text: str) -> int:
    """Functions and classes that radon grades C or worse: a cyclomatic complexity above 10."""
    from radon.complexity import cc_visit

    return sum(block.complexity > 10 for block in cc_visit(text))


def measure(files: Iterable[Path]) -> list[Figure]:
    """All figures over some Python files."""
    texts = [path.read_text("utf-8") for path in files]
    trees = [ast.parse(text) for text in texts]
    lines = [line for text in texts for line in text.splitlines()]
    thousands = len(lines) / 1000

    def total(count: Callable[[str], int]) -> int:
        return sum(count(text) for text in texts)

    long_lines = sum(len(line) > LONGEST_LINE for line in lines)
    large_files = sum(len(text.splitlines()) > LARGEST_FILE for text in texts)
    conditionals = sum(count_conditionals(tree) for tree in trees) / thousands
    nested = sum(count_nested_comprehensions(tree) for tree in trees) / thousands
    comments = 100 * total(count_comments) / len(lines)
    return [
        Figure(f"lines longer than {LONGEST_LINE} columns", long_lines, 0),
        Figure(f"files longer than {LARGEST_FILE} lines", large_files, 0),
        Figure("conditional expressions per 1,000 lines", conditionals, 15),
        Figure("nested comprehensions per 1,000 lines", nested, 1),
        Figure("comment lines, %", comments, 3, at_least=True),
        Figure("functions graded C or worse by radon", total(count_complex_blocks), 40),
    ]


def main() -> None:
    chosen = [Path(argument) for argument in sys.argv[1:]] or [SOURCE]
    files: list[Path] = []
    for place in chosen:
        files += sorted(place.rglob("*.py")) if place.is_dir() else [place]
    figures = measure(files)
    print(f"{sum(len(path.read_text('utf-8').splitlines()) for path in files)} lines")
    for figure in figures:
        sign = ">=" if figure.at_least else "<="
        mark = "" if figure.kept else "   <-- not kept"
        print(f"{figure.name:45} {figure.value:8.1f}   {sign} {figure.limit:g}{mark}")
    sys.exit(int(not all(figure.kept for figure in figures)))


if __name__ == "__main__":
    main()
