"""Retraining by a machine: what is out of date is made again, judged, stored and reported."""
