"""A small language to say what to measure in: Python's arithmetic over named functions.

An expression is one line such as `params('v1', 'heads') / 3`. It may hold numbers, strings,
tuples, `+ - * / // % **`, comparisons, `and or not`, an index such as `[0]`, and calls of the
functions of a vocabulary. Everything else that Python knows is refused, so that a ledger cannot
run code. What can be checked without measuring (syntax, names, arguments) is checked when the
text is parsed, long before its value is asked for.
"""

from __future__ import annotations

import ast
import inspect
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any

from featherface.errors import InputError

Value = bool | int | float | str | tuple[Any, ...]
Function = Callable[..., Value]

LARGEST_EXPONENT = 64

UNKNOWN = object()
"""Stands, while a call is checked, for an argument that is only known once it is measured."""

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class ExpressionError(InputError):
    """An expression that is not in the language, or has no value; the message says why."""


@dataclass(frozen=True)
class Vocabulary:
    """The functions that an expression may call.

    Args:
        functions: by name.
        check: called for every call, when the expression is parsed, with the function's name and
            its arguments by parameter name, `UNKNOWN` where an argument is itself measured.
            Raises `InputError` for a call that cannot have a value.
    """

    functions: Mapping[str, Function]
    check: Callable[[str, Mapping[str, Any]], None] = lambda name, arguments: None


@dataclass(frozen=True)
class Expression:
    """A checked expression; see `parse`."""

    text: str
    _tree: ast.expr
    _vocabulary: Vocabulary

    def evaluate(self) -> Value:
        """Its value.

        Raises:
            ExpressionError: if it has none, such as a division by zero.
            Exception: whatever a function of the vocabulary raises.
        """
        try:
            value: Value = self._evaluate(self._tree)
        except RecursionError as error:
            raise ExpressionError(f"{self.text[:60]!r}… is nested too deeply") from error
        return value

    def functions(self) -> set[str]:
        """Names of the functions it calls."""
        return {call.func.id for call in _calls(self._tree) if isinstance(call.func, ast.Name)}

    def literals(self) -> list[int | float | str]:
        """The numbers and strings written in it, in reading order."""
        return [
            node.value
            for node in ast.walk(self._tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, int | float | str)
            and not isinstance(node.value, bool)
        ]

    def _evaluate(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Tuple():
                return tuple(self._evaluate(item) for item in node.elts)
            case ast.Call():
                function = self._vocabulary.functions[_name(node)]
                return function(
                    *(self._evaluate(argument) for argument in node.args),
                    **{str(k.arg): self._evaluate(k.value) for k in node.keywords},
                )
            case ast.BoolOp():
                values = [self._evaluate(item) for item in node.values]
                return all(values) if isinstance(node.op, ast.And) else any(values)
            case ast.Compare():
                values = [self._evaluate(item) for item in (node.left, *node.comparators)]
                pairs = zip(values, node.ops, values[1:], strict=False)
                return all(self._apply(_COMPARE[type(op)], a, b) for a, op, b in pairs)
            case ast.UnaryOp():
                value = self._evaluate(node.operand)
                if isinstance(node.op, ast.Not):
                    return not value
                return self._apply(lambda zero, x: zero - x, 0, value)
            case ast.BinOp():
                left, right = self._evaluate(node.left), self._evaluate(node.right)
                if isinstance(node.op, ast.Pow) and not _modest(right):
                    raise ExpressionError(
                        f"{self.text!r}: the exponent must be a number up to {LARGEST_EXPONENT}"
                    )
                return self._apply(_BINARY[type(node.op)], left, right)
            case ast.Subscript():
                return self._apply(
                    operator.getitem, self._evaluate(node.value), self._evaluate(node.slice)
                )
        raise AssertionError(ast.dump(node))  # parse lets nothing else through

    def _apply(self, function: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
        try:
            return function(left, right)
        except (ArithmeticError, TypeError, IndexError) as error:
            raise ExpressionError(f"{self.text!r} has no value: {error}") from error


def parse(text: str, vocabulary: Vocabulary) -> Expression:
    """The expression that `text` writes.

    Raises:
        ExpressionError: for bad syntax, anything outside the language, an unknown function or
            arguments that do not fit it.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise ExpressionError(f"{text!r} is not an expression: {reason}") from error
    _require_known_syntax(text, tree)
    for call in _calls(tree):
        _require_fitting_call(text, call, vocabulary)
    return Expression(text, tree, vocabulary)


@dataclass(frozen=True)
class Template:
    """Text with expressions in braces, such as "{params('v1'):,} in all"; see `parse_template`."""

    text: str
    _parts: tuple[tuple[str, Expression | None, str], ...]

    def render(self, form: Callable[[Expression, str], str]) -> str:
        """The text, each expression replaced by what `form` makes of it and its format."""
        return "".join(
            before + (form(expression, spec) if expression else "")
            for before, expression, spec in self._parts
        )

    def expressions(self) -> list[Expression]:
        return [expression for _, expression, _ in self._parts if expression]


def parse_template(text: str, vocabulary: Vocabulary) -> Template:
    """The template that `text` writes: `{expression}` or `{expression:format}`, `{{` for a brace.

    Raises:
        ExpressionError: for unbalanced braces or a bad expression.
    """
    parts = []
    try:
        for before, field, spec, conversion in Formatter().parse(text):
            if conversion:
                raise ExpressionError(f"{text!r}: '!{conversion}' is not understood here")
            expression = None if field is None else parse(field, vocabulary)
            parts.append((before, expression, spec or ""))
    except InputError:
        raise
    except ValueError as error:
        raise ExpressionError(f"{text!r} is not a template: {error}") from error
    return Template(text, tuple(parts))


def _require_known_syntax(text: str, tree: ast.expr) -> None:
    known: tuple[type[ast.AST], ...] = (
        *(ast.Constant, ast.Tuple, ast.Call, ast.keyword, ast.Name, ast.Load),
        *(ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, ast.Compare),
        *(ast.Subscript,),
        *(kind for table in (_BINARY, _COMPARE) for kind in table),
    )
    called = {call.func for call in _calls(tree)}
    for node in ast.walk(tree):
        if not isinstance(node, known):
            raise ExpressionError(f"{text!r}: {type(node).__name__} is not part of the language")
        if isinstance(node, ast.Name) and node not in called:
            raise ExpressionError(f"{text!r}: {node.id!r} is not a function call")
        if isinstance(node, ast.Constant) and not isinstance(node.value, bool | int | float | str):
            raise ExpressionError(f"{text!r}: {node.value!r} is not a number, truth value or text")
        if isinstance(node, ast.Subscript) and not isinstance(
            node.slice, ast.Constant | ast.UnaryOp
        ):
            raise ExpressionError(f"{text!r}: an index must be a number")


def _require_fitting_call(text: str, call: ast.Call, vocabulary: Vocabulary) -> None:
    name = _name(call)
    if name not in vocabulary.functions:
        raise ExpressionError(
            f"{text!r}: there is no function {name!r}; known: {', '.join(vocabulary.functions)}"
        )
    if any(keyword.arg is None for keyword in call.keywords):
        raise ExpressionError(f"{text!r}: '**' is not part of the language")
    positional = [_literal(argument) for argument in call.args]
    named = {str(keyword.arg): _literal(keyword.value) for keyword in call.keywords}
    try:
        bound = inspect.signature(vocabulary.functions[name]).bind(*positional, **named)
    except TypeError as error:
        raise ExpressionError(f"{text!r}: {name}: {error}") from error
    bound.apply_defaults()
    try:
        vocabulary.check(name, bound.arguments)
    except InputError as error:
        raise ExpressionError(f"{text!r}: {error}") from error


def _calls(tree: ast.expr) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ast.unparse(call.func)


def _literal(node: ast.expr) -> Any:
    return node.value if isinstance(node, ast.Constant) else UNKNOWN


def _modest(exponent: object) -> bool:
    return isinstance(exponent, int | float) and abs(exponent) <= LARGEST_EXPONENT
