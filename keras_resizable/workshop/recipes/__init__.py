"""Recipes: named training settings, and the networks and images they describe."""

from keras_resizable.workshop.recipes.building import (
    load_data,
    test_data,
)
from keras_resizable.workshop.recipes.known import RECIPES
from keras_resizable.workshop.recipes.recipe import MODES, Recipe
from keras_resizable.workshop.recipes.resolving import resolve

__all__ = [
    "MODES",
    "RECIPES",
    "Recipe",
    "load_data",
    "resolve",
    "test_data",
]
