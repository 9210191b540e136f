"""Figures, measured in one run on one machine; nothing here is part of the product or of the tests."""
