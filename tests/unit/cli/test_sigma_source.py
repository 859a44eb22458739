from __future__ import annotations

from pathlib import Path

import pytest
from tests.simulators.linear_engine import LinearEngine

from vedette.cli._sigma_compiler import Compiled, compile_rule
from vedette.cli._sigma_document import load
from vedette.core.engine import Engine
from vedette.core.triggers import trigger
from vedette.errors import RuleError
from vedette.model.rule import AllOf, Bundle, Match

HEAD = """\
title: A rule
id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a01
author: Somebody
level: high
"""


def compiled(folder: Path, text: str) -> Compiled:
    file = folder / "rule.yml"
    file.write_text(HEAD + text)
    (document,) = load(file)
    return compile_rule(document)


def auditd(folder: Path, detection: str, definition: str = "") -> Compiled:
    source = f"logsource: {{product: linux, service: auditd, definition: {definition!r}}}\n"
    return compiled(folder, f"{source}detection: {detection}\n")


def is_met(found: Compiled, category: str, **fields: str) -> bool:
    """Whether a rule matches an event, on the engine and on the slow one."""
    bundle = Bundle("n", 1, 0, 0, found.rules, (), "")
    matched = bool(Engine(bundle).match(category, fields))
    assert bool(LinearEngine(bundle).match(category, fields)) is matched
    return matched


def exec_of(line: str, **more: str) -> dict[str, str]:
    argv0 = line.partition(" ")[0]
    return {"Image": f"/usr/bin/{argv0}", "CommandLine": line, "Argv0": argv0, **more}


@pytest.mark.parametrize(
    ("source", "categories"),
    [
        ("{product: linux, service: sudo}", ["service:sudo"]),
        ("{product: linux, service: auth}", ["service:"]),
        ("{service: dnsmasq}", ["service:dnsmasq"]),
        ("{category: file_delete, product: linux}", ["file_event"]),
        ("{category: dns}", ["dns_query"]),
    ],
)
def test_a_log_source_becomes_categories(
    source: str, categories: list[str], tmp_path: Path
) -> None:
    found = compiled(tmp_path, f"logsource: {source}\ndetection: {{k: [failed], condition: k}}\n")
    assert [rule.category for rule in found.rules] == categories
    assert found.missing == ()


@pytest.mark.parametrize("service", ["cron", "crond", "CRON"])
def test_a_service_is_asked_under_each_name_it_writes_with(service: str, tmp_path: Path) -> None:
    text = "logsource: {service: cron}\ndetection: {k: [REPLACE], condition: k}\n"
    assert is_met(compiled(tmp_path, text), f"service:{service}", Message="(root) REPLACE (root)")


def test_a_category_of_sigma_is_an_action_of_ours(tmp_path: Path) -> None:
    text = "logsource: {category: file_rename}\ndetection: {s: {SourceFilename: /a}, condition: s}"
    found = compiled(tmp_path, text)
    assert is_met(found, "file_event", Action="renamed", OldFilename="/a", TargetFilename="/b")
    assert not is_met(found, "file_event", Action="created", OldFilename="/a")


def test_a_category_that_nothing_gives_is_named(tmp_path: Path) -> None:
    text = "logsource: {category: file_access}\ndetection: {s: {TargetFilename: /a}, condition: s}"
    found = compiled(tmp_path, text)
    assert found.missing == ("events of category file_access",)
    (warning,) = found.warnings
    assert warning == (
        f"{tmp_path}/rule.yml:5:1: no sensor sees events of category file_access: that part never "
        "matches"
    )


def test_another_system_is_refused_at_its_place(tmp_path: Path) -> None:
    text = "logsource:\n  category: dns\n  product: windows\ndetection: {k: [x], condition: k}\n"
    with pytest.raises(RuleError, match=r"rule.yml:7:3: expected product linux, got 'windows'"):
        compiled(tmp_path, text)


@pytest.mark.parametrize("key", ["category", "service"])
def test_a_name_longer_than_bundles_hold_is_refused_at_its_place(key: str, tmp_path: Path) -> None:
    text = (
        f"logsource:\n  product: linux\n  {key}: {'x' * 121}\ndetection: {{k: [x], condition: k}}\n"
    )
    with pytest.raises(RuleError, match=rf"rule.yml:7:3: expected a {key} of at most 120 bytes"):
        compiled(tmp_path, text)


def test_arguments_are_asked_by_their_place(tmp_path: Path) -> None:
    found = auditd(tmp_path, "{s: {type: execve, a0: chmod, a1: 777}, condition: s}")
    assert [rule.category for rule in found.rules] == ["process_creation"]
    assert is_met(found, "process_creation", **exec_of("chmod 777 /tmp/x"))
    assert not is_met(found, "process_creation", **exec_of("chmod -v 777 /tmp/x"))
    assert not is_met(found, "process_creation", **exec_of("chmod 7777 /tmp/x"))


def test_an_argument_with_a_space_is_one(tmp_path: Path) -> None:
    found = auditd(tmp_path, "{s: {type: EXECVE, a2: id}, condition: s}")
    line = "sh -c id x"
    assert is_met(found, "process_creation", **exec_of(line))
    whole = "sh\0-c\0id x"
    assert not is_met(found, "process_creation", **exec_of(line, Arguments=whole))


def test_an_argument_leads_to_its_rule_by_the_command_line(tmp_path: Path) -> None:
    found = auditd(tmp_path, "{s: {a3|startswith: '--cpu-priority'}, condition: s}")
    assert trigger(found.rule.condition) == [
        Match("CommandLine", "contains", "--cpu-priority", is_cased=False)
    ]
    assert is_met(found, "process_creation", **exec_of("x a b --cpu-priority=3"))
    assert not is_met(found, "process_creation", **exec_of("x a --cpu-priority=3"))


@pytest.mark.parametrize("padding", [3000, 3060, 3070, 5000])
def test_an_argument_beyond_what_is_looked_at_is_unknown(padding: int, tmp_path: Path) -> None:
    found = auditd(tmp_path, "{s: {a2|contains: evilword}, condition: s}")
    is_met(found, "process_creation", **exec_of("x " + "p" * padding + " evilword " + "t" * 5000))


def test_keywords_of_an_execution_are_searched_in_its_arguments(tmp_path: Path) -> None:
    text = "{s: {type: EXECVE}, k: ['grep', 'find'], n: ['safe'], condition: s and k and not n}"
    found = auditd(tmp_path, text)
    assert is_met(found, "process_creation", **exec_of("grep x"))
    assert not is_met(found, "process_creation", **exec_of("grep safe"))
    assert not is_met(found, "process_creation", Image="/bin/grep", CommandLine="y")


def test_one_rule_may_be_about_several_records(tmp_path: Path) -> None:
    text = (
        "{a: {type: PATH, name: /etc/shadow}, b: {type: EXECVE, a0: chage}, condition: 1 of them}"
    )
    found = auditd(tmp_path, text)
    assert {rule.category for rule in found.rules} == {"process_creation", "file_event"}
    assert len({rule.rule_id for rule in found.rules}) == 1
    assert is_met(found, "file_event", TargetFilename="/etc/shadow", Action="modified")
    assert is_met(found, "process_creation", **exec_of("chage"))
    assert not is_met(found, "process_creation", **exec_of("passwd"))
    assert found.missing == ("files that are only read (auditd's PATH records)",)


def test_a_new_name_is_a_file_created_or_renamed(tmp_path: Path) -> None:
    found = auditd(tmp_path, "{s: {type: PATH, nametype: CREATE, name: /a}, condition: s}")
    assert found.missing == ()
    for action, expected in (("created", True), ("renamed", True), ("deleted", False)):
        assert is_met(found, "file_event", TargetFilename="/a", Action=action) is expected


def test_a_call_of_a_program_is_its_execution_unless_it_says_otherwise(tmp_path: Path) -> None:
    found = auditd(tmp_path, "{s: {type: SYSCALL, comm: insmod, exe: /bin/kmod}, condition: s}")
    assert is_met(found, "process_creation", Image="/bin/kmod", Argv0="insmod", CommandLine="x")
    assert not is_met(found, "process_creation", Image="/bin/kmod", Argv0="lsmod", CommandLine="x")
    assert [rule.category for rule in found.rules] == ["process_creation"]


@pytest.mark.parametrize(
    ("call", "category", "fields"),
    [
        ("execve", "process_creation", {"Image": "/x", "UserId": "33"}),
        ("ptrace", "kernel_activity", {"Image": "/x", "Activity": "ptrace"}),
        ("connect", "network_connection", {"Image": "/x", "Initiated": "true"}),
        ("accept4", "network_connection", {"Image": "/x", "Initiated": "false"}),
    ],
)
def test_a_system_call_is_an_event_of_ours(
    call: str, category: str, fields: dict[str, str], tmp_path: Path
) -> None:
    found = auditd(tmp_path, f"{{s: {{type: SYSCALL, SYSCALL: {call}, exe: /x}}, condition: s}}")
    assert [rule.category for rule in found.rules] == [category]
    assert found.missing == ()
    assert is_met(found, category, **fields)
    assert not is_met(found, category, **{**fields, "Image": "/y"})


def test_a_key_is_what_its_definition_watches(tmp_path: Path) -> None:
    definition = "-w /usr/bin/wget -p x -k susp\\n-w /etc/passwd -p wa -k susp"
    text = f'logsource: {{service: auditd, definition: "{definition}"}}\n'
    found = compiled(tmp_path, text + "detection: {s: {key: susp}, condition: s}\n")
    assert is_met(found, "process_creation", Image="/usr/bin/wget")
    assert is_met(found, "process_creation", Image="/bin/wget")
    assert not is_met(found, "process_creation", Image="/etc/passwd")
    assert is_met(found, "file_event", TargetFilename="/etc/passwd")
    assert found.missing == ()


MISSING = {
    "a record": ("{s: {type: SERVICE_STOP}, condition: s}", "auditd's SERVICE_STOP records"),
    "a call": ("{s: {SYSCALL: sysinfo}, condition: s}", "the system call sysinfo"),
    "a field": ("{s: {type: SYSCALL, tty: pts0}, condition: s}", "auditd's field tty"),
    "a key": (
        "{s: {key: mine}, condition: s}",
        "what auditd's key mine watches (its rule is not in the definition)",
    ),
}


@pytest.mark.parametrize(("detection", "missing"), MISSING.values(), ids=MISSING)
def test_what_no_sensor_sees_is_named(detection: str, missing: str, tmp_path: Path) -> None:
    found = auditd(tmp_path, detection)
    assert found.missing == (missing,)
    assert [rule.category for rule in found.rules] == ["service:auditd"]
    assert len(found.warnings) == 1


def test_what_is_missing_does_not_take_the_rest_along(tmp_path: Path) -> None:
    text = "{a: {type: TTY}, b: {type: EXECVE, a0: x}, f: {tty: q}, condition: 1 of them and not f}"
    found = auditd(tmp_path, text)
    assert found.missing == ("auditd's TTY records", "auditd's field tty")
    assert found.rule.condition == Match("Argv0", "equals", "x", is_cased=False)
    assert [warning.partition(": ")[0] for warning in found.warnings] == [
        f"{tmp_path}/rule.yml:6:23",
        f"{tmp_path}/rule.yml:6:64",
    ]


def test_comparisons_with_the_record_itself_leave_nothing_behind(tmp_path: Path) -> None:
    text = "{s: {type: EXECVE, a0: x, a1|exists: false}, condition: s}"
    assert auditd(tmp_path, text).rule.condition == AllOf(
        (
            Match("Argv0", "equals", "x", is_cased=False),
            Match("a1", "exists", "false", is_cased=False),
        )
    )
