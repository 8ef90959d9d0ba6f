"""The language of measurements: what it computes, and that nothing else gets in."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.claims.expression import (
    ExpressionError,
    Vocabulary,
    parse,
    parse_template,
)


def double(x: int, times: int = 1) -> int:
    return x * 2**times


def pair() -> tuple[int, int]:
    return 3, 4


def crash() -> int:
    raise RuntimeError("a failure of the measurement itself")


WORDS: Vocabulary = {"double": double, "pair": pair, "crash": crash}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3 - 4", 1 + 2 * 3 - 4),
        ("7 / 2", 3.5),
        ("7 // 2, 7 % 2", (3, 1)),
        ("-double(3, times=2)", -12),
        ("pair()[1] - pair()[-2]", 4 - 3),
        ("pair() + (5,)", (3, 4, 5)),
        ("1 < 2 <= 2", True),
        ("1 < 2 < 2", False),
        ("not 1 == 2 and (True or False)", True),
        ("'a' == 'b' or pair() != (3, 4)", False),
        ("0.25", 0.25),
    ],
)
def test_it_calculates_as_python_does(text: str, value: Any) -> None:
    found = parse(text, WORDS).evaluate()
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 +", "is not an expression"),
        ("", "is not an expression"),
        ("a = 1", "is not an expression"),
        ("\x00", "is not an expression"),
        ("triple(1)", "there is no function 'triple'"),
        ("double", "'double' is neither a function call nor text in quotes"),
        ("double()", "double: missing a required argument: 'x'"),
        ("double(1, 2, 3)", "double: too many positional arguments"),
        ("double(x=1, y=2)", "double: got an unexpected keyword argument 'y'"),
        ("double('a')", "double: x (='a') must be a whole number"),
        ("double(1, times=2.5)", "double: times (=2.5) must be a whole number"),
        ("double(True)", "double: x (=True) must be a whole number"),
        ("double(**pair())", "'**' is not part of the language"),
        ("double(*pair())", "Starred is not part of the language"),
        ("pair().count(3)", "Attribute is not part of the language"),
        ("pair()(3)", "there is no function 'pair()'"),
        ("pair().real", "Attribute is not part of the language"),
        ("pair()[0:1]", "an index must be a number"),
        ("pair()[pair()]", "an index must be a number"),
        ("[1, 2]", "List is not part of the language"),
        ("[x for x in pair()]", "is not part of the language"),
        ("lambda: 1", "Lambda is not part of the language"),
        ("1 if True else 2", "IfExp is not part of the language"),
        ("f'{1}'", "is not part of the language"),
        ("1 in pair()", "In is not part of the language"),
        ("2 ** 9", "Pow is not part of the language"),
        ("1 | 2", "BitOr is not part of the language"),
        ("None", "None is not a number, truth value or text"),
        ("b'x'", "is not a number, truth value or text"),
        ("2j", "is not a number, truth value or text"),
        ("__import__('os')", "there is no function '__import__'"),
        ("(x := 1)", "NamedExpr is not part of the language"),
    ],
)
def test_what_is_not_in_the_language_is_refused_when_parsed(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as error:
        parse(text, WORDS)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        *("1 / 0", "1 % 0", "pair() - 1", "pair()[2]", "'a' < 1", "'a' * 2", "pair() * 2"),
        *("1e400", "9" * 400, "(1, 1e400)", "1e308 * 10 - 1e308 * 10"),
    ],
)
def test_an_expression_without_a_value_says_so(text: str) -> None:
    expression = parse(text, WORDS)
    with pytest.raises(ExpressionError, match="has no value"):
        expression.evaluate()


@pytest.mark.parametrize("text", ["double(pair())", "double(1, times=1 / 2)", "double('a' + 'b')"])
def test_a_measured_argument_of_another_kind_is_refused(text: str) -> None:
    expression = parse(text, WORDS)
    with pytest.raises(ExpressionError, match="must be a whole number"):
        expression.evaluate()


def test_a_very_deep_expression_is_an_error_and_not_a_crash() -> None:
    for text, message in (("-" * 1500 + "1", "is not an exp"), ("-" * 5000 + "1", "is longer")):
        with pytest.raises(ExpressionError, match=message):
            parse(text, WORDS)


def test_a_failing_measurement_is_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="itself"):
        parse("crash() + 1", WORDS).evaluate()


def test_functions_and_literals_are_told() -> None:
    expression = parse("double(3) / pair()[1] + 0.5 * (not True)", WORDS)
    assert expression.functions() == {"double", "pair"}
    assert sorted(map(float, expression.literals())) == [0.5, 1.0, 3.0]


def test_a_template_holds_expressions_and_formats() -> None:
    parts = parse_template("{{half}} of {double(2)} is {1 / 3:.2f}", WORDS)
    rendered = "".join(
        before + (format(e.evaluate(), spec) if e else "") for before, e, spec in parts
    )
    assert rendered == "{half} of 4 is 0.33"


@pytest.mark.parametrize(
    "text", ["{", "}", "{}", "{double(}", "{double(1)!r}", "{triple(1)}", "{1:9999999999}"]
)
def test_a_bad_template_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_template(text, WORDS)
