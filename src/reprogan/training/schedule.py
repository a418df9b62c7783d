"""Learning rates over a budget counted in images."""

import math

from reprogan.config import Schedule


def rate_factor(schedule: Schedule, images_seen: int, budget: int) -> float:
    """What a learning rate is multiplied with at `images_seen` of `budget` images.

    Rises linearly to 1 over `warm_up` of the budget; falls as half a cosine to 0 from `start` on, if it decays.
    """
    done = images_seen / budget
    if done < schedule.warm_up:
        return done / schedule.warm_up
    if schedule.kind == "constant":
        return 1.0
    decayed = (done - schedule.start) / (1 - schedule.start)
    return 0.5 + 0.5 * math.cos(math.pi * min(max(decayed, 0.0), 1.0))
