"""MLflow as a view of what DVC made: live curves, runs, registered models."""
