"""The outbox's decisions, told as they happen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vedette.core.data_budget import DAY_S, TRANSPORT_BYTES
from vedette.core.outbox import (
    BARREN_SESSIONS,
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    Condition,
    Outbox,
    Parcel,
    Verdict,
)
from vedette.model.finding import Severity
from vedette.model.journal import Spent
from vedette.model.message import Outcome, SessionChanged

DENIED = 0x87
FINDING, POSTURE = "up/finding", "up/posture"


def up(window: int = 32, largest: int = 10_000) -> SessionChanged:
    return SessionChanged(
        is_up=True, reason="connected", maximum_packet_bytes=largest, receive_maximum=window
    )


DOWN = SessionChanged(is_up=False, reason="lost", maximum_packet_bytes=0, receive_maximum=0)


class Story:
    """An outbox beside a journal of entries, and what it lets go."""

    def __init__(self, count: int, *, budget: int = 0, sizes: dict[int, int] | None = None) -> None:
        self.outbox = Outbox(0, budget)
        self.count = count
        self.sizes = sizes or {}
        self.suffixes: dict[int, str] = {}
        self.severities: dict[int, Severity] = {}
        self.now_s = 1000.0
        self.notices: list[tuple[str, bool]] = []

    def parcel(self, sequence: int, *, is_reduced: bool = False) -> Parcel:
        return Parcel(
            sequence,
            self.suffixes.get(sequence, FINDING),
            self.severities.get(sequence, Severity.HIGH),
            300 if is_reduced else self.sizes.get(sequence, 1000),
            is_reduced,
        )

    def send(self) -> list[int]:
        """Hand over all that may go; reduced ones as negative numbers."""
        gone: list[int] = []
        self.outbox.wake(self.now_s)
        while self.outbox.cursor < self.count:
            sequence = self.outbox.cursor + 1
            parcel = self.parcel(sequence)
            verdict = self.outbox.offer(parcel)
            if verdict is Verdict.REDUCE:
                parcel = self.parcel(sequence, is_reduced=True)
                verdict = self.outbox.offer(parcel)
            if verdict is Verdict.STOP:
                break
            if verdict is Verdict.SEND:
                self.outbox.sent(parcel)
                gone.append(-sequence if parcel.is_reduced else sequence)
        self.listen()
        return gone

    def answer(self, *sequences: int, reason: int = 0) -> None:
        for sequence in sequences:
            self.outbox.settle(Outcome(sequence, reason), self.now_s)
        self.listen()

    def session(self, change: SessionChanged) -> None:
        self.outbox.change_session(change)
        self.listen()

    def listen(self) -> None:
        self.notices += [(name, bool(detail)) for name, detail in self.outbox.take_notices()]


def test_nothing_goes_without_a_session() -> None:
    story = Story(3)
    assert story.send() == []
    story.session(up())
    assert story.send() == [1, 2, 3]


def test_the_brokers_receive_maximum_is_the_window() -> None:
    story = Story(5)
    story.session(up(window=2))
    assert story.send() == [1, 2]
    story.answer(1)
    assert story.send() == [3]


def test_the_mark_rises_over_what_is_contiguous_and_no_further() -> None:
    story = Story(4)
    story.session(up())
    story.send()
    story.answer(2, 4)
    assert story.outbox.mark == 0
    story.answer(1)
    assert story.outbox.mark == 2
    story.answer(3)
    assert story.outbox.mark == 4


def test_after_a_lost_session_the_unanswered_go_again_and_the_answered_do_not() -> None:
    story = Story(4)
    story.session(up())
    story.send()
    story.answer(1, 3)
    story.session(DOWN)
    assert story.send() == []
    story.session(up())
    assert story.send() == [2, 4]
    story.answer(2, 4)
    assert story.outbox.mark == 4


def test_a_refused_topic_waits_with_growing_pauses_and_holds_up_no_other() -> None:
    story = Story(4)
    story.suffixes = {2: POSTURE, 4: POSTURE}
    story.session(up())
    assert story.send() == [1, 2, 3, 4]
    story.answer(1, 3)
    story.answer(2, 4, reason=DENIED)
    assert story.outbox.mark == 1
    pause_s = FIRST_PAUSE_S
    for _ in range(10):
        assert story.send() == []
        assert story.outbox.next_due_s() == story.now_s + pause_s
        story.now_s += pause_s
        assert story.send() == [2], "one probe, not all"
        story.answer(2, reason=DENIED)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
    story.now_s += pause_s
    assert story.send() == [2]
    story.answer(2)
    assert story.send() == [4]
    story.answer(4)
    assert story.outbox.mark == 4
    assert story.notices == [(Condition.REFUSED, True), (Condition.REFUSED, False)]


def test_no_later_entry_passes_a_held_one_when_its_time_comes_between_two_offers() -> None:
    story = Story(1)
    story.session(up())
    assert story.send() == [1]
    story.answer(1, reason=DENIED)
    story.now_s += FIRST_PAUSE_S / 2
    assert story.send() == []
    story.now_s += FIRST_PAUSE_S
    assert story.outbox.offer(story.parcel(2)) is Verdict.HOLD, "nobody has gone back to 1 yet"
    story.count = 2
    assert story.send() == [1]
    story.answer(1)
    assert story.send() == [2]


def test_a_refused_birth_is_told_and_ends_with_an_accepted_one() -> None:
    story = Story(1)
    story.session(up())
    story.answer(0, reason=DENIED)
    story.send()
    story.answer(1)
    assert story.notices == [(Condition.REFUSED, True)]
    story.answer(0)
    story.count = 2
    story.send()
    story.answer(2)
    assert story.notices == [(Condition.REFUSED, True), (Condition.REFUSED, False)]


def test_an_entry_above_the_brokers_maximum_goes_reduced_and_is_told_once() -> None:
    story = Story(4, sizes={2: 5000, 3: 6000})
    story.session(up(largest=2000))
    assert story.send() == [1, -2, -3, 4]
    story.answer(1, 2, 3, 4)
    assert story.outbox.mark == 4
    assert story.notices == [(Condition.TOO_LARGE, True)]


def test_a_packet_too_large_answer_makes_it_go_reduced() -> None:
    story = Story(2)
    story.session(up())
    assert story.send() == [1, 2]
    story.answer(1, reason=0x95)
    assert story.send() == [-1]
    story.answer(1, 2)
    assert story.outbox.mark == 2


def test_where_not_even_the_reduced_fits_it_waits_for_a_better_broker() -> None:
    story = Story(1)
    story.session(up(largest=100))
    assert story.send() == []
    assert story.outbox.mark == 0
    story.session(DOWN)
    story.session(up())
    assert story.send() == [1]


def test_an_entry_that_ends_every_session_is_sent_alone_then_reduced() -> None:
    story = Story(3)
    sent = []
    for _ in range(BARREN_SESSIONS + 1):
        story.session(up())
        sent.append(story.send())
        story.answer(0)  # birth and state pass, and prove nothing about entries
        story.session(DOWN)
    assert sent[:2] == [[1, 2, 3], [1, 2, 3]]
    assert sent[2:-1] == [[1]] * (BARREN_SESSIONS - 2)
    assert sent[-1][0] == -1
    assert (Condition.BARREN, True) in story.notices


def test_nobody_listening_counts_as_delivered_and_is_told_once() -> None:
    story = Story(3)
    story.session(up())
    story.send()
    story.answer(1, 2, reason=0x10)
    assert story.outbox.mark == 2
    story.answer(3)
    assert story.notices == [(Condition.UNHEARD, True), (Condition.UNHEARD, False)]


def test_when_data_is_short_the_least_severe_wait_first_and_critical_never() -> None:
    each = 1000 + TRANSPORT_BYTES
    story = Story(12, budget=4 * each)
    order = [Severity.INFORMATIONAL, Severity.LOW, Severity.HIGH, Severity.CRITICAL]
    story.severities = {number: order[(number - 1) % 4] for number in range(1, 13)}
    story.session(up())
    # Shares of four: informational up to 2, low up to 3, high up to 4, critical without end.
    assert story.send() == [1, 2, 3, 4, 8, 12]
    story.answer(1, 2, 3, 4, 8, 12)
    assert story.outbox.mark == 4
    assert story.outbox.next_due_s() == 1000.0 + DAY_S
    story.now_s += DAY_S
    assert story.send() == [5, 6, 7, 11]
    assert story.notices[:2] == [(Condition.BUDGET, True), (Condition.BUDGET, False)]


def test_a_clock_that_steps_back_neither_blocks_nor_refills_the_budget() -> None:
    each = 1000 + TRANSPORT_BYTES
    story = Story(3, budget=2 * each)
    story.session(up())
    assert story.send() == [1, 2]
    story.now_s -= 500.0
    assert story.send() == []
    story.now_s += DAY_S
    assert story.send() == [3]


def test_a_refused_state_is_tried_again_and_its_success_ends_the_condition() -> None:
    story = Story(0)
    story.session(up())
    story.answer(0, reason=DENIED)
    assert not story.outbox.wants_state(story.now_s)
    assert story.outbox.next_due_s() == story.now_s + FIRST_PAUSE_S
    story.now_s += FIRST_PAUSE_S
    assert story.outbox.wants_state(story.now_s)
    assert not story.outbox.wants_state(story.now_s), "once for each try"
    story.answer(0, reason=DENIED)
    assert story.outbox.next_due_s() == story.now_s + 2 * FIRST_PAUSE_S
    story.now_s += 2 * FIRST_PAUSE_S
    assert story.outbox.wants_state(story.now_s)
    story.answer(0)
    assert story.outbox.next_due_s() is None
    assert story.notices == [(Condition.REFUSED, True), (Condition.REFUSED, False)]


def test_a_restart_forgets_neither_what_was_spent_nor_how_much_of_the_day_has_passed() -> None:
    each = 1000 + TRANSPORT_BYTES
    story = Story(4, budget=2 * each)
    story.session(up())
    assert story.send() == [1, 2]
    story.now_s += 3600.0
    spent = story.outbox.spent(story.now_s)
    assert spent == Spent(2 * each, 3600)
    again = Story(4, budget=2 * each)
    again.severities = {4: Severity.CRITICAL}
    again.outbox = Outbox(2, 2 * each, spent)
    again.now_s = 50.0  # this boot's clock has begun anew
    again.session(up())
    assert again.send() == [4], "critical always goes"
    assert again.outbox.next_due_s() == 50.0 + DAY_S - 3600.0
    again.now_s += DAY_S - 3600.0
    assert again.send() == [3]


def test_nothing_sent_yet_is_still_what_was_spent_before() -> None:
    assert Outbox(0, 0, Spent(700, 9)).spent(1e6) == Spent(700, 9)


def test_what_an_earlier_process_told_is_not_told_again_and_its_end_is() -> None:
    story = Story(2)
    told = {Condition.UNHEARD: "nobody subscribes", Condition.TOO_LARGE: "too large", "": ""}
    story.outbox = Outbox(0, 0, told=told)
    assert dict(story.outbox.conditions) == {Condition.UNHEARD: "nobody subscribes"}
    story.session(up())
    story.send()
    story.answer(1, reason=0x10)
    assert story.notices == []
    story.answer(2)
    assert story.notices == [(Condition.UNHEARD, False)]
    assert not story.outbox.conditions


EVENTS = st.lists(
    st.sampled_from(["up", "down", "send", "ack", "ack-last", "deny", "large", "unheard", "later"]),
    max_size=60,
)


@given(EVENTS)
def test_whatever_happens_nothing_is_lost_and_no_entry_passes_the_mark_unanswered(
    events: list[str],
) -> None:
    story = Story(12)
    answered: set[int] = set()
    flying: list[int] = []
    for event in [*events, "down"]:
        match event:
            case "up":
                flying = []
                story.session(up(window=3))
            case "down":
                flying = []
                story.session(DOWN)
            case "send":
                flying += [abs(sequence) for sequence in story.send()]
            case "later":
                story.now_s += LONGEST_PAUSE_S
            case _ if flying:
                sequence = flying.pop(-1 if event == "ack-last" else 0)
                reason = {"deny": DENIED, "large": 0x95, "unheard": 0x10}.get(event, 0)
                story.answer(sequence, reason=reason)
                if reason < 0x80:
                    answered.add(sequence)
        assert set(range(1, story.outbox.mark + 1)) <= answered
        assert len(flying) <= 3
    story.session(up())
    for _ in range(100):
        story.now_s += LONGEST_PAUSE_S
        story.answer(*(abs(sequence) for sequence in story.send()))
    assert story.outbox.mark == 12
