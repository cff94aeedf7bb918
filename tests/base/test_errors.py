"""The errors that more than one floor knows."""

from __future__ import annotations

import pytest

from p2pool.base.errors import OperatorError, ParseError


def test_an_operator_error_is_its_sentence_and_an_exit_status():
    error = OperatorError("the port 1 is in use: choose another one")
    assert str(error) == "the port 1 is in use: choose another one"
    assert error.exit_status == 2
    assert OperatorError("a defect", 1).exit_status == 1


def test_a_parse_error_is_not_an_operators_fault():
    with pytest.raises(ValueError, match="short"):
        raise ParseError("too short")
    assert not issubclass(ParseError, OperatorError)
    assert not issubclass(OperatorError, ValueError)  # no handler of malformed input may swallow it
