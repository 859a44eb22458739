"""kill -9 at random moments: thirty rounds here, three hundred in `make torture`."""

from __future__ import annotations

import random

import pytest
from tests.powercut import torture
from tests.powercut.recording import NoCompilerError

pytestmark = pytest.mark.system

ROUNDS = 10
"""Of each victim."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("victim", sorted(torture.VICTIMS))
def test_whatever_is_killed_goes_on_in_a_good_state(victim: str, as_root: None) -> None:
    seed = random.SystemRandom().getrandbits(32)
    try:
        tally = torture.run(victim, ROUNDS, seed)
    except NoCompilerError as error:
        pytest.skip(str(error))
    assert tally.killed + tally.finished == ROUNDS
    assert tally.killed >= 2, f"seed {seed}: hardly a kill came while it worked"
