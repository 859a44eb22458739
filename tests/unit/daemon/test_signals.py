"""Signals become calls in the loop, whenever they come."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

from vedette.daemon.signals import heard

DEADLINE_S = 5.0


def test_a_signal_wakes_a_loop_that_sleeps_and_is_called_in_it() -> None:
    async def story() -> list[str]:
        called: list[str] = []
        woken = asyncio.Event()

        def act() -> None:
            called.append(threading.current_thread().name)
            woken.set()

        with heard({signal.SIGUSR1: act}):
            sender = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR1))
            sender.start()
            async with asyncio.timeout(DEADLINE_S):
                await woken.wait()
            sender.join()
        return called

    assert asyncio.run(story()) == [threading.main_thread().name]


def test_each_signal_has_its_own_action_and_none_is_missed() -> None:
    async def story() -> None:
        heard_of = {
            number: asyncio.Event() for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
        }
        with heard({number: event.set for number, event in heard_of.items()}):
            for number in heard_of:
                os.kill(os.getpid(), number)
            async with asyncio.timeout(DEADLINE_S):
                for event in heard_of.values():
                    await event.wait()

    asyncio.run(story())


def test_the_former_handlers_and_descriptor_are_back_at_the_end() -> None:
    former = signal.getsignal(signal.SIGUSR1)

    async def story() -> None:
        with heard({signal.SIGUSR1: lambda: None}):
            assert signal.getsignal(signal.SIGUSR1) is not former

    asyncio.run(story())
    assert signal.getsignal(signal.SIGUSR1) is former
    assert signal.set_wakeup_fd(-1) == -1
