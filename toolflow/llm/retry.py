"""Whether a failed attempt is worth another, and after what pause; decided without a clock or a sleep."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Final

from tenacity import (
    Future,
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential,
    wait_none,
)

from toolflow.errors import LLMError, MalformedCompletionError, StalledError, TransientLLMError, UsageError

_GROWTH: Final = 2.5


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off with equal jitter; tenacity's strategies hold the rules.

    Equal jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

    Attributes:
        attempts: Most attempts of one call, malformed completions not counted.
        resamples: Most further attempts after malformed completions: at once, for nothing was overloaded.
        first_wait: Longest pause after the first failed attempt, in seconds: short, for most failures are
            over by then; each further one is two and a half times as long.
        longest_wait: Bound of that growth, in seconds.
        attempt_timeout: Seconds that one attempt may take.
        deadline: Seconds that a call may spend in attempts and pauses before it is given up; waiting for a
            permit is our own doing and not counted.

    Raises:
        UsageError: A figure that leaves no attempt, or no time for one.
    """

    attempts: int = 8
    resamples: int = 3
    first_wait: float = 0.5
    longest_wait: float = 60.0
    attempt_timeout: float = 300.0
    deadline: float = 900.0
    _backing_off: Retrying = field(init=False, repr=False, compare=False)
    _resampling: Retrying = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.resamples < 0:
            raise UsageError(
                f"a call needs at least one attempt and no fewer than zero resamples, "
                f"not {self.attempts} and {self.resamples}"
            )
        if min(self.attempt_timeout, self.deadline) <= 0 or min(self.first_wait, self.longest_wait) < 0:
            raise UsageError("attempt timeout and deadline must be above zero seconds, pauses not below")
        transient = retry_if_exception_type(TransientLLMError)
        deadline = stop_before_delay(self.deadline)
        backing_off = Retrying(
            retry=transient,
            stop=stop_after_attempt(self.attempts) | deadline,
            wait=wait_exponential(multiplier=self.first_wait, exp_base=_GROWTH, max=self.longest_wait),
        )
        resampling = Retrying(
            retry=transient, stop=stop_after_attempt(self.resamples + 1) | deadline, wait=wait_none()
        )
        object.__setattr__(self, "_backing_off", backing_off)
        object.__setattr__(self, "_resampling", resampling)

    def timeout(self, elapsed: float) -> float:
        """Seconds that the next attempt may take after ``elapsed`` seconds of attempts and pauses."""
        return min(self.attempt_timeout, self.deadline - elapsed)

    def decide(self, error: LLMError, attempt: int, elapsed: float, random: Random) -> float | None:
        """Seconds to pause before the next attempt, or None to give up.

        Args:
            error: How the attempt failed.
            attempt: How many attempts of the call have failed so, from 1; malformed completions count apart
                from all other failures.
            elapsed: Seconds that the call has spent in attempts and pauses.
            random: Draws the jitter; its own for each call.
        """
        rules = self._resampling if isinstance(error, MalformedCompletionError) else self._backing_off
        state = RetryCallState(rules, None, (), {})
        state.start_time, state.outcome_timestamp = 0.0, elapsed
        state.attempt_number = attempt
        state.outcome = Future.construct(attempt, error, has_exception=True)
        if not rules.retry(state):
            return None
        # The server's word is the least; the jitter on top keeps those that it told the same apart. Half of
        # the pause is fixed: by chance alone a call must not spend all its attempts in an instant.
        least = (error.retry_after or 0.0) if isinstance(error, TransientLLMError) else 0.0
        # Others are answered meanwhile, and it has waited long enough.
        longest = 0.0 if isinstance(error, StalledError) else rules.wait(state)
        state.upcoming_sleep = least + random.uniform(longest / 2, longest)
        return None if rules.stop(state) else state.upcoming_sleep
