from __future__ import annotations

from vedette.core.memo import Memo


def test_an_answer_is_found_again() -> None:
    memo: Memo[str, int] = Memo(8)
    memo.keep("a", 1, 1)
    assert memo.find("a") == 1
    assert memo.find("b") is None


def test_what_is_kept_is_bounded_by_entries_and_the_newest_stays() -> None:
    memo: Memo[int, int] = Memo(8)
    for number in range(100):
        memo.keep(number, number, 1)
        assert len(memo) <= 8
        assert memo.find(number) == number
    assert memo.evicted == 100 - len(memo)


def test_what_is_kept_is_bounded_by_characters() -> None:
    memo: Memo[int, int] = Memo(200)
    for number in range(200):
        memo.keep(number, number, 1000)
    assert len(memo) * 1000 <= 2 * 100 * 160


def test_what_would_push_out_too_much_is_not_kept() -> None:
    memo: Memo[str, int] = Memo(64)
    memo.keep("small", 1, 1)
    memo.keep("large", 2, 1_000_000)
    assert memo.find("large") is None
    assert memo.find("small") == 1
    assert memo.evicted == 1


def test_no_room_at_all_is_allowed() -> None:
    memo: Memo[str, int] = Memo(0)
    memo.keep("a", 1, 1)
    assert memo.find("a") is None
