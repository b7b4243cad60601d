"""Is the new revision worse than the stable one? A test that may be looked at after every single request.

Hypothesis H0: a request fails on the new revision with a probability p1 <= factor * p0 + offset, where p0 is the stable
revision's own, which nobody knows: it is estimated from its requests, with its uncertainty. With k1 failures in n1
requests of the new revision, k0 in n0 of the stable one, and L(p; k, n) = p^k (1-p)^(n-k):

                 ∫ L(p; k1, n1) dBeta(p; 1/2, 1)  *  ∫ L(p; k0, n0) dBeta(p; 1/10, 1)
    E  =  ──────────────────────────────────────────────────────────────────────────────
           max of L(p1; k1, n1) * L(p0; k0, n0)  over all p0, p1 with p1 <= factor * p0 + offset

For each fixed pair (p0, p1) the numerator over L(p1) L(p0) is a product of two mixture likelihood ratios: a
non-negative martingale that starts at 1 (the wealth of someone who bets on p1 and p0 being something else, at fair
odds). E is the least of these over the whole of H0, so below the one that is true: an e-process. By Ville's inequality
it ever reaches 1/alpha with a probability of at most alpha, however often and whenever one looks.

Sources of the ideas: testing by betting and e-processes, Ramdas, Grünwald, Vovk, Shafer, arXiv 2210.01948; confidence
sequences by betting for A/B comparisons, arXiv 2205.14762; the maximum over H0 below ("universal inference"),
Wasserman, Ramdas, Balakrishnan, arXiv 1912.11436. The integrals are Beta functions; the maximum is that of a concave
function on a line, found by bisection.

What it assumes: requests fail independently of one another within a revision. A burst (one dependency away for a
second) is not that; so it condemns a release that was unlucky in its five seconds, which the next attempt puts right.
"""

from __future__ import annotations

import math

ALPHA = 1e-4
KNOWN_MIN = 300  # requests: for `known_min`
_NEW_PRIOR = 0.5  # bets on much and on little alike
_STABLE_PRIOR = 0.1  # a stable revision rarely fails
_HALVINGS = 80


def log_e_value(
    failed: int,
    requests: int,
    stable_failed: int,
    stable_requests: int,
    *,
    factor: float = 1.0,
    offset: float = 0.0,
    known_min: int = 0,
) -> float:
    """log E for the counts so far; from log(1/alpha) on, H0 is given up. Never NaN; 0 where nothing was seen.

    `known_min`: a stable revision with fewer requests, none of them failed, counts as if it had answered that many.
    With next to nothing to compare with, `offset` itself is then the standard: for a new revision whose p1 is at most
    `offset` the level stays alpha; one that fails more often than that, as the stable one would have if it had been
    asked, may be condemned. Not for streams that grow side by side, where the stable one is soon known.
    """
    k1, n1 = _sane(failed, requests)
    k0, n0 = _sane(stable_failed, stable_requests)
    if k0 == 0:
        n0 = max(n0, known_min)
    if k1 == 0 or n0 == 0:
        return 0.0
    factor, offset = max(factor, 1e-9), min(max(offset, 0.0), 1.0)
    mixed = _log_mixture(k1, n1, _NEW_PRIOR) + _log_mixture(k0, n0, _STABLE_PRIOR)
    return mixed - _log_most_likely(k1, n1, k0, n0, factor, offset)


def worse(
    failed: int,
    requests: int,
    stable_failed: int,
    stable_requests: int,
    *,
    factor: float = 1.0,
    offset: float = 0.0,
    known_min: int = 0,
    alpha: float = ALPHA,
) -> bool:
    """Whether H0 is given up at the level alpha."""
    log_e = log_e_value(
        failed, requests, stable_failed, stable_requests, factor=factor, offset=offset, known_min=known_min
    )
    return log_e >= math.log(1 / alpha)


def _sane(part: int, whole: int) -> tuple[int, int]:
    whole = max(0, whole)
    return min(max(0, part), whole), whole


def _log_mixture(k: int, n: int, a: float) -> float:
    """log of the integral of L over Beta(a, 1): B(k + a, n - k + 1) / B(a, 1)."""
    return math.lgamma(k + a) + math.lgamma(n - k + 1) - math.lgamma(n + a + 1) + math.log(a)


def _log_likelihood(p: float, k: int, n: int) -> float:
    value = 0.0
    if k:
        value += k * math.log(p) if p > 0 else -math.inf
    if n - k:
        value += (n - k) * math.log1p(-p) if p < 1 else -math.inf
    return value


def _log_most_likely(k1: int, n1: int, k0: int, n0: int, factor: float, offset: float) -> float:
    """The log of the denominator. Where the shares seen obey H0 they are the maximum; else it is on H0's border."""
    share1, share0 = k1 / n1, k0 / n0
    if share1 <= factor * share0 + offset:
        return _log_likelihood(share1, k1, n1) + _log_likelihood(share0, k0, n0)
    # On the border p1 = factor * p0 + offset it rises at p0 = share0 and falls at the p0 which makes p1 = share1.
    low, high = share0, min(1.0, (share1 - offset) / factor)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        p1 = factor * middle + offset
        rise = factor * (k1 / p1 - _over(n1 - k1, 1 - p1)) + _over(k0, middle) - _over(n0 - k0, 1 - middle)
        low, high = (middle, high) if rise > 0 else (low, middle)
    best = (low + high) / 2
    return max(
        _log_likelihood(min(1.0, factor * p0 + offset), k1, n1) + _log_likelihood(p0, k0, n0)
        for p0 in (share0, best, min(1.0, max(0.0, (share1 - offset) / factor)))
    )


def _over(count: int, chance: float) -> float:
    if count == 0:
        return 0.0
    return count / chance if chance > 0 else math.inf
