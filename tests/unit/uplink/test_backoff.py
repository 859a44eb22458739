from __future__ import annotations

from vedette.uplink.backoff import STABLE_S, Backoff


def test_the_bound_doubles_up_to_the_cap_and_chance_has_all_of_it() -> None:
    longest = Backoff(1.0, 300.0, lambda: 1.0)
    assert [longest.next_s(0.0) for _ in range(11)] == [
        1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300,
    ]  # fmt: skip
    assert Backoff(1.0, 300.0, lambda: 0.0).next_s(0.0) == 0.0


def test_only_a_stable_session_starts_from_the_beginning() -> None:
    backoff = Backoff(1.0, 300.0, lambda: 0.5)
    assert [backoff.next_s(STABLE_S - 1) for _ in range(3)] == [0.5, 1.0, 2.0]
    assert backoff.next_s(STABLE_S) == 0.5
