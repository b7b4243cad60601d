"""Is the new revision worse than the stable one? A test that may be looked at after every single request.

An e-process: under the hypothesis that a request fails with a probability of at most p0, the value E below is a
non-negative supermartingale that starts at 1, so that by Ville's inequality it ever reaches 1/alpha with a probability
of at most alpha, however often one looks (Ramdas, Grünwald, Vovk, Shafer, "Game-theoretic statistics and safe
anytime-valid inference", arXiv 2210.01948; confidence sequences: arXiv 2205.14762). With k failures in n requests

    E = integral over p in (p0, 1) of (p/p0)^k ((1-p)/(1-p0))^(n-k) w(p) dp

with w uniform on (p0, 1): a mixture of bets, none of which has to know how bad the release is. It is computed by the
regularised incomplete beta function, in logarithms.
"""

from __future__ import annotations

import math

ALPHA = 1e-4
_ITERATIONS_MAX = 400
_TINY = 1e-300


def usual_rate(failed: int, requests: int) -> float:
    """The stable revision's own rate, from above: the upper end of Wilson's interval with z = 3, so that few requests
    seen do not make a strict standard. 0 requests: nothing is usual yet."""
    if requests <= 0:
        return 0.0
    z = 3.0
    share = failed / requests
    if failed == 0:
        return 0.0
    centre = share + z * z / (2 * requests)
    spread = z * math.sqrt(share * (1 - share) / requests + z * z / (4 * requests * requests))
    return min(1.0, (centre + spread) / (1 + z * z / requests))


def log_e_value(failed: int, requests: int, p0: float) -> float:
    """log E for `failed` of `requests`; above log(1/alpha) the hypothesis "at most p0" is given up."""
    if requests <= 0 or failed <= 0:
        return 0.0
    if not 0.0 < p0 < 1.0:
        return 0.0
    good = requests - failed
    if failed <= p0 * requests:
        return min(0.0, _log_mixture(failed, good, p0))
    return _log_mixture(failed, good, p0)


def worse(failed: int, requests: int, p0: float, alpha: float = ALPHA) -> bool:
    """Whether so many failures can't be had with a probability of at most p0, at the level alpha."""
    return log_e_value(failed, requests, p0) >= math.log(1 / alpha)


def _log_mixture(failed: int, good: int, p0: float) -> float:
    a, b = failed + 1.0, good + 1.0
    log_upper = _log_beta_upper(a, b, p0)
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    log_likelihood = failed * math.log(p0) + good * math.log1p(-p0)
    return log_beta + log_upper - log_likelihood - math.log1p(-p0)


def _log_beta_upper(a: float, b: float, x: float) -> float:
    """log of 1 - I_x(a, b)."""
    front = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    if x < (a + 1) / (a + b + 2):
        lower = math.exp(min(0.0, front + math.log(_fraction(a, b, x)) - math.log(a)))
        return math.log(max(_TINY, 1.0 - lower))
    return min(0.0, front + math.log(_fraction(b, a, 1 - x)) - math.log(b))


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method (Numerical Recipes 6.4)."""
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1)
    d = 1.0 / (d if abs(d) > _TINY else _TINY)
    value = d
    for m in range(1, _ITERATIONS_MAX):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + step * d
            d = 1.0 / (d if abs(d) > _TINY else _TINY)
            c = 1.0 + step / c
            c = c if abs(c) > _TINY else _TINY
            value *= c * d
        if abs(c * d - 1.0) < 1e-12:
            break
    return value
