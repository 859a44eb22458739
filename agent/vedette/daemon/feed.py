"""Hands the same items to any number of followers, none of whom can hold the others up.

Rule 1: `publish` never waits; each follower has a queue of MAX_WAITING items.
Rule 2: a full queue loses its oldest item; the follower is told how many it missed, in order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping

from vedette.codec.strict_json import Json

MAX_WAITING = 256

Item = Mapping[str, Json]


class _Follower:
    __slots__ = ("has_news", "items", "missed")

    def __init__(self) -> None:
        self.items: deque[Item] = deque()
        self.missed = 0
        self.has_news = asyncio.Event()


class Feed:
    """A stream that begins when someone follows."""

    def __init__(self) -> None:
        self._followers: set[_Follower] = set()

    def __len__(self) -> int:
        return len(self._followers)

    def publish(self, item: Item) -> None:
        """Give an item to all who follow now."""
        for follower in self._followers:
            if len(follower.items) >= MAX_WAITING:
                follower.items.popleft()
                follower.missed += 1
            follower.items.append(item)
            follower.has_news.set()

    async def follow(self, params: Mapping[str, Json]) -> AsyncGenerator[Item, None]:
        """Items from now on, for ever; `{"missed": n}` stands where n are missing."""
        del params
        follower = _Follower()
        self._followers.add(follower)
        try:
            while True:
                await follower.has_news.wait()
                follower.has_news.clear()
                while follower.items:
                    if follower.missed:
                        missed, follower.missed = follower.missed, 0
                        yield {"missed": missed}
                    yield follower.items.popleft()
        finally:
            self._followers.discard(follower)
