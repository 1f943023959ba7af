"""Generators of synthetic data sets: the engine's and a project's own."""

from sashiko.data.generators.base import Generator as Generator
from sashiko.data.generators.base import Order as Order
