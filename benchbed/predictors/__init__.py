"""Predictors of accuracy: one file each (`benchbed.predictor` is their contract)."""
