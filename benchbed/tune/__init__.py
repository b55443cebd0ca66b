"""Optuna studies of a searcher's and a selector's options."""
