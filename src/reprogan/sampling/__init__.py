"""Pictures and images drawn from trained models."""
