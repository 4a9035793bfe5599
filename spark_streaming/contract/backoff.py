"""How long to wait before the next attempt: the one formula of all programs."""

_MOST_DOUBLINGS = 64  # beyond it every `longest` is reached, and a power would grow without need


def delay_seconds(attempt: int, first: float, longest: float) -> float:
    """Return the seconds to wait after attempt number `attempt`, the first of which is 1, has failed.

    `first` seconds after the first one, doubled after each further one, and never more than `longest`.
    """
    doublings = min(max(attempt, 1) - 1, _MOST_DOUBLINGS)
    return min(first * 2.0**doublings, longest)
