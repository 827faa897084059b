"""Recipes: named training settings, and what they stand for."""

from keras_resizable.recipes.building import (
    compile_network,
    compile_sub_network,
    has_center_crop,
    load_data,
    make_network,
    size_of_set,
    test_data,
    train_data,
    training_callbacks,
)
from keras_resizable.recipes.known import RECIPES
from keras_resizable.recipes.recipe import FIELDS, MODES, Recipe
from keras_resizable.recipes.resolving import read_run, resolve, resolve_run

__all__ = [
    "FIELDS",
    "MODES",
    "RECIPES",
    "Recipe",
    "compile_network",
    "compile_sub_network",
    "has_center_crop",
    "load_data",
    "make_network",
    "read_run",
    "resolve",
    "resolve_run",
    "size_of_set",
    "test_data",
    "train_data",
    "training_callbacks",
]
