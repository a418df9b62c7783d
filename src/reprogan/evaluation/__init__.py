"""Scores: how near generated images are to real ones, and how well classifiers answer. No MLflow, no DVC."""
