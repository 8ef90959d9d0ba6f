"""The language of measurements: Python's arithmetic over named functions, and nothing else.

An expression is one line such as `params('v1', 'heads') / 3`. It may hold numbers, strings,
tuples, `+ - * / // %`, comparisons, `and or not`, an index such as `[0]`, and calls of the
functions of a vocabulary, so that a ledger cannot run code. Syntax, names and arguments are
checked when the text is parsed, before anything is measured.
"""

from __future__ import annotations

import ast
import inspect
import operator
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from string import Formatter
from typing import Any

from featherface.errors import InputError, among

Value = bool | int | float | str | tuple[Any, ...]
Function = Callable[..., Value]

Vocabulary = Mapping[str, Function]
"""The functions that an expression may call, by name."""

LONGEST = 2000
"""Characters of an expression."""

UNKNOWN = object()
"""Stands, while a call is checked, for an argument that is only known once it is measured."""

_OF_NUMBERS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
}
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    **_OF_NUMBERS,
    ast.Add: operator.add,  # of tuples too
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Not: operator.not_,
}
_SYNTAX = (
    *(ast.Constant, ast.Tuple, ast.Call, ast.keyword, ast.Name, ast.Load, ast.Subscript),
    *(ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.BinOp, ast.Compare, *_OPERATORS),
)


class ExpressionError(InputError):
    """An expression that is not in the language, or has no value; the message says why."""


@dataclass(frozen=True)
class Expression:
    """A checked expression; see `parse`."""

    text: str
    tree: ast.expr
    vocabulary: Vocabulary

    def evaluate(self) -> Value:
        """Return its value.

        Raises:
            ExpressionError: if it has none, such as a division by zero.
            Exception: whatever a function of the vocabulary raises.
        """
        value: Value = self._evaluate(self.tree)
        if not is_finite(value):
            raise ExpressionError(f"{self.text!r} has no value: {value} is not finite")
        return value

    def functions(self) -> set[str]:
        """Return the names of the functions it calls."""
        return {_name(call) for call in _calls(self.tree)}

    def literals(self) -> list[int | float | str]:
        """Return the numbers and strings written in it."""
        values = [node.value for node in ast.walk(self.tree) if isinstance(node, ast.Constant)]
        return [v for v in values if isinstance(v, int | float | str) and not isinstance(v, bool)]

    def _evaluate(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Tuple():
                return tuple(map(self._evaluate, node.elts))
            case ast.Call():
                function = self.vocabulary[_name(node)]
                given = [self._evaluate(argument) for argument in node.args]
                named = {str(k.arg): self._evaluate(k.value) for k in node.keywords}
                _require_types(self.text, _name(node), function, given, named)
                return self._apply(function, *given, **named)
            case ast.UnaryOp():
                return self._operate(node.op, self._evaluate(node.operand))
            case ast.BinOp():
                return self._operate(node.op, self._evaluate(node.left), self._evaluate(node.right))
            case ast.BoolOp():
                values = map(self._evaluate, node.values)
                return all(values) if isinstance(node.op, ast.And) else any(values)
            case ast.Compare():
                pairs = pairwise(map(self._evaluate, [node.left, *node.comparators]))
                signs = zip(node.ops, pairs, strict=True)
                return all(self._operate(sign, *pair) for sign, pair in signs)
            case ast.Subscript():
                of, index = self._evaluate(node.value), self._evaluate(node.slice)
                return self._apply(operator.getitem, of, index)
        raise AssertionError(ast.dump(node))  # parse accepts nothing else

    def _operate(self, sign: ast.AST, *values: Any) -> Any:
        numbers = all(isinstance(value, int | float) for value in values)
        if type(sign) in _OF_NUMBERS and not numbers:
            raise ExpressionError(f"{self.text!r} has no value: it calculates with no numbers")
        return self._apply(_OPERATORS[type(sign)], *values)

    def _apply(self, function: Function, *values: Any, **named: Any) -> Any:
        try:
            return function(*values, **named)
        except (ArithmeticError, TypeError, IndexError) as error:
            raise ExpressionError(f"{self.text!r} has no value: {error}") from None


def parse(text: str, vocabulary: Vocabulary) -> Expression:
    """Return the expression that `text` writes.

    Raises:
        ExpressionError: for bad syntax, anything outside the language, an unknown function or
            arguments that do not fit it.
    """
    if len(text) > LONGEST:
        raise ExpressionError(f"{text[:60]!r}… is longer than {LONGEST} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        called = {call.func for call in _calls(tree)}
        for node in ast.walk(tree):
            _require_known(text, node, called)
        for call in _calls(tree):
            _require_fitting(text, call, vocabulary)
        ast.dump(tree)  # is as deep a recursion as evaluation
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise ExpressionError(f"{text[:60]!r} is not an expression: {reason}") from None
    return Expression(text, tree, vocabulary)


def parse_template(text: str, vocabulary: Vocabulary) -> list[tuple[str, Expression | None, str]]:
    """Return the parts of a text with expressions in braces, as "{params('v1'):,} in all".

    A part is some text, the expression behind it, if there is one, and its format. A brace is
    written as `{{`.

    Raises:
        ExpressionError: for unbalanced braces or a bad expression.
    """
    parts = []
    try:
        for before, field, spec, conversion in Formatter().parse(text):
            if conversion:
                raise ExpressionError(f"{text!r}: '!{conversion}' is not understood here")
            if re.search(r"\d{3}", spec or ""):
                raise ExpressionError(f"{text!r}: the format {spec!r} asks for over 99 characters")
            expression = None if field is None else parse(field, vocabulary)
            parts.append((before, expression, spec or ""))
    except InputError:
        raise
    except ValueError as error:
        raise ExpressionError(f"{text!r} is not a template: {error}") from None
    return parts


def _require_known(text: str, node: ast.AST, called: set[ast.expr]) -> None:
    wrong = None
    match node:
        case ast.Name() if node not in called:
            wrong = f"{node.id!r} is neither a function call nor text in quotes"
        case ast.Constant() if not isinstance(node.value, bool | int | float | str):
            wrong = f"{node.value!r} is not a number, truth value or text"
        case ast.Subscript() if not isinstance(node.slice, ast.Constant | ast.UnaryOp):
            wrong = "an index must be a number"
        case ast.keyword() if node.arg is None:
            wrong = "'**' is not part of the language"
        case _ if not isinstance(node, _SYNTAX):
            wrong = f"{type(node).__name__} is not part of the language"
    if wrong:
        raise ExpressionError(f"{text!r}: {wrong}")


def _require_fitting(text: str, call: ast.Call, vocabulary: Vocabulary) -> None:
    name = _name(call)
    if name not in vocabulary:
        known = among(name, vocabulary)
        raise ExpressionError(f"{text!r}: there is no function {name!r}; {known}")
    values = [_literal(argument) for argument in call.args]
    named = {str(keyword.arg): _literal(keyword.value) for keyword in call.keywords}
    _require_types(text, name, vocabulary[name], values, named)


def _require_types(
    text: str, name: str, function: Function, values: list[Any], named: dict[str, Any]
) -> None:
    signature = inspect.signature(function, eval_str=True)
    try:
        bound = signature.bind(*values, **named)
    except TypeError as error:
        raise ExpressionError(f"{text!r}: {name}: {error}") from None
    for key, given in bound.arguments.items():
        parameter = signature.parameters[key]
        several = parameter.kind is inspect.Parameter.VAR_POSITIONAL
        accepted, title = _TYPES.get(parameter.annotation, (object, ""))
        checks = getattr(parameter.annotation, "__metadata__", ())  # of Annotated[type, check]
        for value in given if several else (given,):
            if value is UNKNOWN:
                continue
            truth = isinstance(value, bool) and parameter.annotation is not bool
            if not isinstance(value, accepted) or (title and truth):
                raise ExpressionError(f"{text!r}: {name}: {key} (={value!r}) must be {title}")
            try:
                for check in checks:
                    check(value)
            except InputError as error:
                raise ExpressionError(f"{text!r}: {error}") from None


_TYPES: dict[Any, tuple[Any, str]] = {
    bool: (bool, "True or False"),
    int: (int, "a whole number"),
    float: (int | float, "a number"),
    str: (str, "text"),
}
"""Of an annotation: the types of its values, and their title."""


def is_finite(value: object) -> bool:
    """Return whether no number in a value exceeds those of floating point."""
    if isinstance(value, tuple):
        return all(map(is_finite, value))
    return not isinstance(value, int | float) or abs(value) <= sys.float_info.max


def _calls(tree: ast.expr) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ast.unparse(call.func)


def _literal(node: ast.expr) -> Any:
    return node.value if isinstance(node, ast.Constant) else UNKNOWN
