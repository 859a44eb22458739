"""Names, sweeps, ledger, redaction: the small decisions of the core."""

from __future__ import annotations

from vedette.core.ledger import Ledger
from vedette.core.names import LATE_S, MIN_TTL_S, Names
from vedette.core.redact import Redactor
from vedette.core.sweep import FIRST_COUNT, MAX_SOURCES, WINDOW_S, SweepWatch
from vedette.model.event import ConnectionOpened, EventClass, EventsLost, NameResolved
from vedette.model.finding import Loss


def connection(at_s: float, address: str, port: int = 443, pid: int = 0) -> ConnectionOpened:
    return ConnectionOpened(
        at_s, "test", "tcp", True, "10.0.0.1", 40_000, address, port, pid, -1
    )  # fmt: skip


def test_an_address_has_the_name_it_was_asked_by_for_its_lifetime() -> None:
    names = Names()
    names.learn(NameResolved(1.0, "dns", "a.example", "192.0.2.1", 300))
    assert names.name_of(connection(200.0, "192.0.2.1")) == "a.example"
    assert names.name_of(connection(302.0, "192.0.2.1")) == ""
    names.learn(NameResolved(1.0, "dns", "b.example", "192.0.2.2", 0))
    assert names.name_of(connection(MIN_TTL_S, "192.0.2.2")) == "b.example"


def test_a_late_name_explains_recent_connections_once() -> None:
    names = Names()
    early = connection(1.0, "192.0.2.1")
    recent = connection(10.0, "192.0.2.1")
    assert names.name_of(early) == names.name_of(recent) == ""
    answer = NameResolved(10.0 + LATE_S / 2, "dns", "a.example", "192.0.2.1", 60)
    assert names.learn(answer) == [recent]
    assert names.learn(answer) == []


def test_names_are_bounded() -> None:
    names = Names(limit=2)
    for n in range(5):
        names.learn(NameResolved(1.0, "dns", f"{n}.example", f"192.0.2.{n}", 60))
    assert names.evicted == 3
    assert names.name_of(connection(2.0, "192.0.2.0")) == ""
    assert names.name_of(connection(2.0, "192.0.2.4")) == "4.example"


def test_many_ports_of_one_host_are_a_sweep_told_per_doubling() -> None:
    watch = SweepWatch()
    found = [
        sweep
        for port in range(1000)
        for sweep in watch.observe(connection(1.0 + port / 1000, "192.0.2.1", port))
    ]
    assert [sweep.distinct for sweep in found] == [FIRST_COUNT, 32, 64, 128, 256, 512]
    assert {sweep.kind for sweep in found} == {"ports"}


def test_one_port_of_many_hosts_is_a_sweep_with_the_pid_that_was_seen() -> None:
    watch = SweepWatch()
    found = [
        sweep
        for n in range(20)
        for sweep in watch.observe(connection(1.0, f"192.0.2.{n}", 23, pid=77 if n == 3 else 0))
    ]
    assert [(sweep.kind, sweep.pid) for sweep in found] == [("hosts", 77)]


def test_slow_connections_are_no_sweep() -> None:
    watch = SweepWatch()
    for port in range(100):
        assert watch.observe(connection(port * WINDOW_S, "192.0.2.1", port)) == []


def test_sweep_windows_are_bounded() -> None:
    watch = SweepWatch()
    for n in range(MAX_SOURCES * 2):
        watch.observe(connection(1.0, f"10.{n // 250}.{n % 250}.1", n))
    assert watch.evicted > 0


def test_the_ledger_gives_the_losses_of_a_window() -> None:
    ledger = Ledger()
    for at_s, lost in ((1.0, 5), (50.0, 0), (55.0, 7)):
        ledger.lose(EventsLost(at_s, "audit", EventClass.PROCESS, "kernel", lost, True, "ENOBUFS"))
    assert ledger.losses(EventClass.PROCESS, 100.0) == (Loss(EventClass.PROCESS, "kernel", 7),)
    assert ledger.losses(EventClass.FILE, 100.0) == ()
    (row,) = ledger.rows()
    assert (row.dropped, row.losses) == (12, 3)


def test_redaction_takes_the_group_or_the_whole() -> None:
    redact = Redactor([r"--password[= ](\S+)", r"AKIA[0-9A-Z]{16}"])
    assert redact("x --password=hunter2 y") == "x --password=[redacted] y"
    assert redact("id AKIAABCDEFGHIJKLMNOP") == "id [redacted]"
    assert redact("nothing here") == "nothing here"
