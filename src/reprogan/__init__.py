"""A reproducible pipeline that trains, samples, evaluates and publishes the GANs of the classic curriculum."""
