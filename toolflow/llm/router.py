"""The router: which endpoint an attempt goes to, where several serve the same models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from toolflow.clock import Clock, derive_seed, monotonic
from toolflow.llm.breaker import AMONG_SEVERAL, Breaker, State
from toolflow.llm.chat import Request
from toolflow.llm.concurrency.limit import ConcurrencyLimit, LimitChange, checked
from toolflow.llm.gate import Gate, Holdup

if TYPE_CHECKING:
    from toolflow.llm.client import Provider

_MOST_OVER_MEAN: Final = 1.25
_SLACK: Final = 2.0
"""A replica may carry 1.25 times the mean load, and two attempts more, before dialogues leave it (Mirrokni et
al., Consistent Hashing with Bounded Loads, https://arxiv.org/abs/1608.01350)."""

_HOMES_KEPT: Final = 65_536


@dataclass(frozen=True, slots=True)
class Replica:
    """One endpoint.

    Attributes:
        name: Its base URL.
        provider: Sends attempts to it.
        weight: Its share of the load, relative to the others.
    """

    name: str
    provider: Provider
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class ReplicaStatistics:
    """A snapshot of an endpoint.

    Attributes:
        name: Its base URL.
        limit: Attempts that may be in flight, its models together.
        in_flight: Permits held now.
        waiting: Attempts that wait for one now.
        answered: Attempts that gave a completion.
        failed: Attempts that did not.
        at_home: Attempts of dialogues that were here before, and find their prefix cached.
        moved: Attempts of dialogues that come from another endpoint.
        breaker: Whether it is there.
    """

    name: str
    limit: int
    in_flight: int
    waiting: int
    answered: int
    failed: int
    at_home: int
    moved: int
    breaker: State


class Lane:
    """The way of one model's attempts to one endpoint: a quota group."""

    __slots__ = ("gate", "place", "replica")

    def __init__(self, place: int, replica: Replica, gate: Gate) -> None:
        self.place = place
        self.replica = replica
        self.gate = gate


class _Post:
    """What is known of one replica."""

    def __init__(self, replica: Replica, breaker: Breaker) -> None:
        self.replica = replica
        self.breaker = breaker
        self.lanes: dict[str, Lane] = {}
        self.answered = self.failed = self.at_home = self.moved = 0

    @property
    def gates(self) -> set[Gate]:
        return {lane.gate for lane in self.lanes.values()}

    @property
    def load(self) -> float:
        return sum(gate.load for gate in self.gates) / self.replica.weight


class Router:
    """Chooses an endpoint for each attempt.

    A dialogue stays on the endpoint that it began on, which has its prompts' common prefix cached, unless
    that one is overloaded or gone. New dialogues, and those that must move, take the less loaded of two
    endpoints drawn for them (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001). When
    an endpoint is found to be gone, the attempts that wait for it are turned away and routed again.

    Args:
        replicas: The endpoints, at least one.
        make_gate: Makes the gate of a quota group, given its endpoint's breaker.
        clock: What breakers are asked by.
    """

    def __init__(
        self, replicas: Sequence[Replica], make_gate: Callable[[Breaker], Gate], *, clock: Clock = monotonic
    ) -> None:
        self._posts = [
            _Post(replica, Breaker(longest_pause=AMONG_SEVERAL) if len(replicas) > 1 else Breaker())
            for replica in replicas
        ]
        self._make_gate = make_gate
        self._clock = clock
        self._homes: dict[int, int] = {}
        self._moves = 0
        self._by_hand: ConcurrencyLimit | None = None
        self._scale = 1.0

    @classmethod
    def single(cls, provider: Provider, gate: Gate, name: str = "") -> Router:
        """A router for one endpoint with one gate for all models."""
        return cls((Replica(name, provider),), lambda _: gate)

    def __repr__(self) -> str:
        return f"<Router {' '.join(post.replica.name for post in self._posts)}>"

    @property
    def limit(self) -> int:
        """Attempts that may be in flight in all; before the first one, what the gates will begin with."""
        gates = {gate for post in self._posts for gate in post.gates}
        if not gates:
            return self._open_gate(Breaker()).statistics().limit * len(self._posts)
        return sum(gate.statistics().limit for gate in gates)

    def set_limit(self, limit: ConcurrencyLimit) -> None:
        """Hold so many attempts in flight at each gate, as ``--max-concurrency`` does; "auto" finds out.

        Raises:
            UsageError: It is less than one.
        """
        if isinstance(limit, int):
            checked(limit)
        self._by_hand, self._scale = limit, 1.0
        for gate in {gate for post in self._posts for gate in post.gates}:
            gate.set_limit(limit)

    def scale_limit(self, factor: float) -> None:
        """Hold so many times its own present limit at each gate, at those that are opened later too."""
        self._scale *= factor
        for gate in {gate for post in self._posts for gate in post.gates}:
            gate.scale_limit(factor)

    def route(self, request: Request) -> Lane:
        """The lane for the next attempt of a request."""
        posts = self._posts
        if len(posts) == 1:
            return self._lane(0, request.model)
        dialogue = request.key.dialogue
        now = self._clock()
        up = [place for place, post in enumerate(posts) if post.breaker.wait(now) == 0.0]
        home = self._homes.get(dialogue)
        if home is not None and (not up or (home in up and self._bears(home, up))):
            posts[home].at_home += 1
            return self._lane(home, request.model)
        place = self._choose(dialogue, up or list(range(len(posts))))
        if home is not None:
            which = "at_home" if place == home else "moved"
            setattr(posts[place], which, getattr(posts[place], which) + 1)
        self._homes.pop(dialogue, None)
        self._homes[dialogue] = place
        if len(self._homes) > _HOMES_KEPT:
            del self._homes[next(iter(self._homes))]
        return self._lane(place, request.model)

    def route_second(self, request: Request) -> Lane:
        """The lane for an attempt beside another of the same request: elsewhere, if there is such a place."""
        now = self._clock()
        home = self._homes.get(request.key.dialogue)
        up = [place for place, post in enumerate(self._posts) if post.breaker.wait(now) == 0.0]
        others = [place for place in up if place != home]
        if not others:
            return self._lane(home or 0, request.model)
        return self._lane(self._choose(request.key.dialogue, others), request.model)

    def settled(self, lane: Lane, *, answered: bool) -> None:
        """An attempt on a lane has ended."""
        post = self._posts[lane.place]
        if answered:
            post.answered += 1
            return
        post.failed += 1
        now = self._clock()
        if post.breaker.state == "closed" or len(self._posts) == 1:
            return
        if any(other is not post and other.breaker.wait(now) == 0.0 for other in self._posts):
            for gate in post.gates:
                gate.turn_away()

    async def close(self) -> None:
        """Close the endpoints' providers."""
        for post in self._posts:
            await post.replica.provider.close()

    def statistics(self) -> tuple[ReplicaStatistics, ...]:
        """One snapshot an endpoint, in the order given."""
        found: list[ReplicaStatistics] = []
        for post in self._posts:
            gates = [gate.statistics() for gate in post.gates]
            found.append(
                ReplicaStatistics(
                    post.replica.name,
                    sum(gate.limit for gate in gates),
                    sum(gate.in_flight for gate in gates),
                    sum(gate.waiting for gate in gates),
                    post.answered,
                    post.failed,
                    post.at_home,
                    post.moved,
                    post.breaker.state,
                )
            )
        return tuple(found)

    def held_up(self) -> list[tuple[str, int, Holdup]]:
        """Where attempts wait for a permit: the endpoint, how many there are, what keeps them waiting."""
        found = (
            (post.replica.name, gate.waiting, gate.held_up()) for post in self._posts for gate in post.gates
        )
        return [(name, waiting, holdup) for name, waiting, holdup in found if holdup is not None]

    def changes(self) -> tuple[LimitChange, ...]:
        """The last changes of concurrency limits, oldest first."""
        gates = {gate for post in self._posts for gate in post.gates}
        changes = [change for gate in gates for change in gate.statistics().changes]
        return tuple(sorted(changes, key=lambda change: change.at))

    def _bears(self, place: int, up: Sequence[int]) -> bool:
        posts = [self._posts[other] for other in up]
        total = sum(post.load * post.replica.weight for post in posts)
        mean = total / sum(post.replica.weight for post in posts)
        return self._posts[place].load <= _MOST_OVER_MEAN * mean + _SLACK

    def _choose(self, dialogue: int, places: Sequence[int]) -> int:
        self._moves += 1
        draw = derive_seed("replica", dialogue, self._moves)
        first = places[draw % len(places)]
        others = [place for place in places if place != first]
        if not others:
            return first
        second = others[draw // len(places) % len(others)]
        return min(first, second, key=lambda place: self._posts[place].load)

    def _lane(self, place: int, model: str) -> Lane:
        post = self._posts[place]
        lane = post.lanes.get(model)
        if lane is None:
            lane = post.lanes[model] = Lane(place, post.replica, self._open_gate(post.breaker))
        return lane

    def _open_gate(self, breaker: Breaker) -> Gate:
        gate = self._make_gate(breaker)
        if self._by_hand is not None:
            gate.set_limit(self._by_hand)
        if self._scale != 1.0:
            gate.scale_limit(self._scale)
        return gate
