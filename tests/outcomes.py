"""Tests of every outcome, as text: for those who show outcomes of tests that ran elsewhere."""

OUTCOMES = """
import pytest

def test_passes():
    print("not shown")

def test_fails():
    print("what it printed")
    assert 1 + 1 == 3

@pytest.fixture
def broken():
    raise RuntimeError("a fixture that breaks")

def test_errs(broken):
    pass

@pytest.mark.skip(reason="not today")
def test_skips():
    pass
"""
