"""The configuration: every mistake with its place, all of them at once, and nothing else raised."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.examples import examples

from vedette.codec.flow import parse_flows
from vedette.daemon.config import Config, load, parse
from vedette.daemon.config_text import MAX_BYTES
from vedette.daemon.device_id import derived_device_id
from vedette.daemon.essential_options import DEFAULT_EVERY_S, FUNCTION
from vedette.daemon.response_options import RESPONDER_OPTIONS, Response
from vedette.daemon.schema import kinds
from vedette.daemon.sensor_options import SENSOR_OPTIONS
from vedette.daemon.update_options import read_window
from vedette.daemon.uplink_options import Uplink
from vedette.errors import ConfigError
from vedette.model.essential import EssentialFunction

EXAMPLE = Path(__file__).parents[3] / "packaging" / "vedette.toml"


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "v.toml")
    return str(caught.value).split("\n")


def test_an_empty_file_is_a_configuration_without_an_uplink() -> None:
    assert parse("", "v.toml") == Config()
    assert not Config().uplink.enabled


def test_a_host_enables_the_uplink_unless_it_is_said_otherwise() -> None:
    broker = '[uplink]\nhost = "127.0.0.1"\n'
    assert parse(broker, "v.toml").uplink.enabled
    assert not parse(broker + "enabled = false\n", "v.toml").uplink.enabled


OWN = re.compile(r"^# (?=(?:id|enabled|host|ca|certificate|key) = )", re.MULTILINE)
"""What stands in the file as a comment, since each device has its own."""


def test_a_fresh_device_has_no_broker_and_no_name_of_its_own() -> None:
    config = parse(EXAMPLE.read_text(), str(EXAMPLE))
    for name in ("device", "paths", "uplink", "identity", "rules", "updates"):
        assert getattr(config, name) == getattr(Config(), name), name


def test_the_example_is_valid_and_names_every_key_with_its_default() -> None:
    text = OWN.sub("", EXAMPLE.read_text())
    config = parse(text, str(EXAMPLE))
    document = tomllib.loads(text)
    for field in dataclasses.fields(Config):
        if field.name not in {"sensors", "response", "essential"}:
            section = type(getattr(config, field.name))
            assert document[field.name].keys() == kinds(section).keys(), field.name
    for name, options in SENSOR_OPTIONS.items():
        assert document["sensors"][name].keys() == options.keys(), name
    tables = {name for name, value in document["response"].items() if isinstance(value, dict)}
    assert tables == set(RESPONDER_OPTIONS)
    assert document["response"].keys() - tables == {*kinds(Response), "disable"}
    for name, options in RESPONDER_OPTIONS.items():
        assert document["response"][name].keys() == options.keys(), name
    own = {"enabled", "host", "ca", "certificate", "key"}
    for field in dataclasses.fields(Uplink):
        if field.name not in own:
            assert document["uplink"][field.name] == field.default
    same = (
        "paths",
        "files",
        "rules",
        "identity",
        "journal",
        "incidents",
        "control",
        "drill",
        "models",
    )
    for name in same:
        assert getattr(config, name) == getattr(Config(), name)


def test_the_example_of_an_essential_function_names_every_key() -> None:
    text = EXAMPLE.read_text()
    head, _, example = text.partition("\n# [essential.stream]\n")
    example = re.sub(r"^# ", "", example, flags=re.MULTILINE)
    config = parse(f"{head}\n[essential.stream]\n{example}", str(EXAMPLE))
    (function,) = config.essential.functions
    assert config.essential.every_s == DEFAULT_EVERY_S
    assert tomllib.loads(f"[stream]\n{example}")["stream"].keys() == FUNCTION.keys()
    given = EssentialFunction("stream", "streamer.service", port=554)
    assert function._replace(command=(), file="", peers=(), paths=(), flows=()) == given


ESSENTIAL_MISTAKES = {
    "nothing to know it by": ("timeout_s = 3", "expected a unit, a port, a file or a command"),
    "a unit that is a path": ('unit = "/etc/x"', "unit: expected a unit with its suffix"),
    "a unit that is a number": ("unit = 3", "unit: expected a unit with its suffix"),
    "a unit that is an option": ('unit = "--now.service"', "unit: expected a unit"),
    "a port that is none": ("port = 0", "port: expected a whole number from 1 to 65535"),
    "an address with a port": ('port = 1\naddress = "127.0.0.1:80"', "address: expected"),
    "a command line for a shell": ('command = "check | grep ok"', "a list of 1 to 64 texts"),
    "a command without its path": ('command = ["check"]', "command: expected an absolute path"),
    "a command with a number": ('command = ["/bin/check", 1]', "command: expected text"),
    "a flow without a port": ('port = 1\nflows = ["in tcp"]', "flows: expected a flow such as"),
    "a peer by name": ('port = 1\npeers = ["camera.example"]', "peers: expected an address"),
    "a key there is not": ("port = 1\nport2 = 2", 'unknown key "port2"'),
}


@pytest.mark.parametrize(("lines", "expected"), ESSENTIAL_MISTAKES.values(), ids=ESSENTIAL_MISTAKES)
def test_mistakes_in_an_essential_function_are_named(lines: str, expected: str) -> None:
    (found,) = mistakes(f"[essential.stream]\n{lines}")
    assert "[essential.stream]" in found or "[essential]" in found
    assert expected in found


def test_too_many_functions_are_a_mistake() -> None:
    tables = "".join(f"[essential.f{number}]\nport = 1\n" for number in range(17))
    assert "expected at most 16 functions, got 17" in mistakes(tables)[0]


def test_an_essential_function_has_a_name() -> None:
    assert "expected a name" in mistakes('[essential."a b"]\nport = 1\n')[0]
    assert "expected a table, got 3 (a number)" in mistakes("essential = 3\n")[0]
    assert "every_s: expected" in mistakes("[essential]\nevery_s = 1\n")[0]


def test_a_device_has_the_class_that_it_is_given_or_none() -> None:
    assert parse('[device]\nclass = "camera"\n', "v.toml").device.class_ == "camera"
    assert parse("", "v.toml").device.class_ == ""


def test_a_firmware_is_a_name_and_version_or_what_the_system_says() -> None:
    assert parse('[device]\nfirmware = "cam-os 2.4"\n', "v.toml").device.firmware == "cam-os 2.4"
    assert parse('[device]\nfirmware = ""\n', "v.toml").device.firmware == ""
    for wrong in ('" "', '"a "', r'"a\u0007b"', f'"{"x" * 130}"'):
        with pytest.raises(ConfigError, match="firmware"):
            parse(f"[device]\nfirmware = {wrong}\n", "v.toml")


def test_a_profile_may_be_switched_off() -> None:
    assert parse('[rules]\nprofile = ""\n', "v.toml").rules.profile == ""


MISTAKES = {
    "a device class that no filter could name": (
        '[device]\nclass = "a camera"',
        ("v.toml:2:1: [device] class: expected nothing, or 1 to 64 letters, digits, dots, _ and - "
        '(a letter or digit first), got "a camera" (text)'),
    ),
    "an unknown key, with the likely one": (
        '[uplink]\nhots = "a"',
        'v.toml:2:1: [uplink] unknown key "hots": did you mean "host"?',
    ),
    "an unknown table, with the likely one": (
        "\n[jornal]\n",
        'v.toml:2:1: unknown table "jornal": did you mean "journal"?',
    ),
    "a key above its table": (
        "max_mb = 3",
        'v.toml:1:1: "max_mb" stands outside its table: put it below [journal]',
    ),
    "text where a number belongs": (
        '[uplink]\nport = "8883"',
        ("v.toml:2:1: [uplink] port: expected a whole number from 1 to 65535, "
        'got "8883" (text)'),
    ),
    "a boolean where a number belongs": (
        "[journal]\nmax_mb = true",
        ("v.toml:2:1: [journal] max_mb: expected a whole number from 1 to 4096, "
        "got true (a boolean)"),
    ),
    "a number out of range": (
        "[incidents]\n  quiet_s = 4",
        ("v.toml:2:3: [incidents] quiet_s: expected a whole number from 5 to 86400, "
        "got 4 (a number)"),
    ),
    "an element in the third line of a list": (
        '[files]\nwatch = ["/etc", # etc\n"/b]in",\n  "home"]',
        ("v.toml:4:3: [files] watch: expected an absolute path without .., "
        'got "home" (text)'),
    ),
    "a path that climbs": (
        '[paths]\nstate = "/var/../etc"',
        ("v.toml:2:1: [paths] state: expected an absolute path without .., "
        'got "/var/../etc" (text)'),
    ),
    "a key in a dotted table": (
        "[sensors.procfs]\nperiod = 3",
        'v.toml:2:1: [sensors.procfs] unknown key "period": did you mean "period_s"?',
    ),
    "an option of a sensor that takes none": (
        "[sensors.audit]\nfast = true\n",
        "v.toml:2:1: [sensors.audit] unknown key",
    ),
    "a flow that is none": (
        '[response.isolate]\nallow = ["in tcp 502", "in tcp http"]',
        ('v.toml:2:24: [response.isolate] allow: expected a flow such as "in tcp 502" or '
        '"out udp 123 192.0.2.0/24", got "in tcp http" (text)'),
    ),
    "two flows in one text": (
        '[response.isolate]\nallow = ["in tcp 502, in udp 5"]',
        "v.toml:2:10: [response.isolate] allow: expected a flow such as",
    ),
    "a sensor there is not": (
        '[sensors]\ndisable = ["proc_conector"]',
        "v.toml:2:12: [sensors] disable: expected one of",
    ),
    "a table where a value belongs": (
        "[device.id]\n",
        ("v.toml:1:1: [device] id: expected 1 to 64 characters a-z, 0-9 and inner hyphens, "
        "got a table"),
    ),
    "a value where a table belongs": ("files = 3", "v.toml:1:1: expected a table, got 3"),
    "a certificate without its key": (
        '[uplink]\ncertificate = "/c"',
        ("v.toml:2:1: [uplink] certificate: expected certificate and key together; "
        "add the other one, or remove this"),
    ),
    "an uplink without a broker": (
        "[uplink]\nenabled = true",
        ("v.toml:2:1: [uplink] enabled: expected the broker's host beside it; "
        "add host, or set enabled = false"),
    ),
    "a far broker without a CA": (
        '[uplink]\nhost = "broker.example"',
        ("v.toml:2:1: [uplink] host: expected ca beside a broker that is not on loopback; "
        "name the CA's file"),
    ),
    "a text that would steer the terminal": (
        '[device]\nid = "\\u001b[2J"',
        ("v.toml:2:1: [device] id: expected 1 to 64 characters a-z, 0-9 and inner hyphens, "
        'got "\\e[2J" (text)'),
    ),
    "no TOML": (
        "[device]\nid = \n",
        "v.toml:2:6: not TOML: Invalid value; mend this line",
    ),
    "a number of five thousand digits": (
        "[journal]\nmax_mb = " + "9" * 5000,
        "v.toml: not TOML: Exceeds the limit (4300 digits)",
    ),
    "lists without end": ("a = " + "[" * 100_000, "v.toml: expected flat tables"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_place(name: str) -> None:
    text, expected = MISTAKES[name]
    lines = mistakes(text)
    assert lines[-1].startswith(expected)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    lines = mistakes("[uplink]\nport = 0\nhots = 1\n[journal]\nmax_mb = 0\n")
    assert lines[0] == "v.toml: expected a configuration, found 3 mistakes"
    assert [line.split(":")[1] for line in lines[1:]] == ["2", "3", "5"]


def test_flows_are_kept_as_the_responder_reads_them() -> None:
    text = '[response.isolate]\nallow = ["in tcp 502 10.0.0.0/8", "out udp 123"]'
    allow = parse(text, "v.toml").response.options["isolate"]["allow"]
    assert allow == "in tcp 502 10.0.0.0/8,out udp 123"
    assert [flow.port for flow in parse_flows(str(allow))] == [502, 123]


def test_options_of_sensors_are_kept_flat() -> None:
    config = parse('[sensors.log_file]\npaths = ["/a", "/b"]\n[sensors.procfs]\nperiod_s=7', "v")
    assert config.sensors.options == {"log_file": {"paths": "/a,/b"}, "procfs": {"period_s": 7}}


def test_a_uid_is_a_user_and_slashes_are_tidied() -> None:
    config = parse('[uplink]\nuser = 1234\n[paths]\nrun = "//run/./v/"', "v")
    assert (config.uplink.user, config.paths.run) == ("1234", "/run/v")


def test_a_file_that_is_missing_too_long_or_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "v.toml"
    with pytest.raises(ConfigError, match=r"cannot read the configuration .* --config"):
        load(path)
    path.write_bytes(b"# ok\n#  \xff")
    with pytest.raises(ConfigError, match=r"v\.toml:2:4: expected UTF-8, got byte 0xff"):
        load(path)
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="expected at most"):
        load(path)


def test_a_device_without_an_id_gets_one_that_hides_the_machine_id(tmp_path: Path) -> None:
    machine = tmp_path / "machine-id"
    machine.write_text("0123456789abcdef0123456789abcdef\n")
    derived = derived_device_id(machine)
    assert derived == derived_device_id(machine)
    assert len(derived) == 16
    assert derived not in machine.read_text()
    machine.write_text("uninitialized\n")
    with pytest.raises(ConfigError, match=r"expected 32 hex digits.* below .device."):
        derived_device_id(machine)


WORDS = st.sampled_from(
    [*(field.name for field in dataclasses.fields(Config)), "host", "port", "watch", "x", "\n",
     "[", "]", "[[", "]]", "=", ".", '"', "'", '"""', "'''", "#", "{", "}", ",", "1", "-1", "true",
     "1e400", "inf", "nan", "1979-05-27", "\\", "\\u0041", "/etc", " ", "\t", "\r\n", "\udc80"]
)  # fmt: skip


@examples(2)
@given(st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=40).map("".join)))
def test_any_text_gives_a_config_or_a_config_error(text: str) -> None:
    try:
        assert isinstance(parse(text, "v.toml"), Config)
    except ConfigError as error:
        str(error).encode()


SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20),
    st.datetimes(), st.dates(), st.lists(st.text(max_size=5), max_size=3),
)  # fmt: skip


@examples(2)
@given(
    st.sampled_from([field.name for field in dataclasses.fields(Config)]),
    st.sampled_from(["id", "state", "watch", "disable", "bundle", "port", "user", "max_mb"]),
    SCALARS,
)
def test_any_value_of_any_key_gives_a_config_or_a_config_error(
    table: str, key: str, value: object
) -> None:
    try:
        parse(f"[{table}]\n{key} = {toml(value)}\n", "v.toml")
    except ConfigError as error:
        str(error).encode()


def toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
        case list():
            return "[" + ", ".join(toml(item) for item in value) + "]"
        case int() | float():
            return str(value)
        case _:
            return str(value).replace(" ", "T")


def test_a_source_enables_updates_unless_it_is_said_otherwise() -> None:
    source = '[updates]\nsource = "https://updates.example/fleet"\n'
    assert parse(source, "v.toml").updates.enabled
    assert not parse(source + "enabled = false\n", "v.toml").updates.enabled
    assert not Config().updates.enabled


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('source = "ftp://x"', "nothing, an absolute folder, or a URL of http, https or file"),
        ('source = "relative"', "nothing, an absolute folder, or a URL"),
        ("enabled = true", "expected a source beside it"),
        ("every_m = 10081", "a whole number from 0 to 10080"),
        ('hardware = ["cam 7"]', "1 to 64 letters"),
        ('kinds = ["rules", "wallpaper"]', 'one of "rules"'),
        ('windows = ["daily 25:00-05:00"]', 'a window such as "daily 02:00-05:00"'),
        ('windows = ["mon,mon 01:00-05:00"]', "a window such as"),
        ('windows = ["daily 02:00-02:00"]', "a window such as"),
        ('windows = ["someday 01:00-02:00"]', "a window such as"),
        ('users = "root"', 'unknown key "users"'),
    ],
)
def test_a_mistake_about_updates_is_told_with_its_place(line: str, words: str) -> None:
    (found,) = mistakes(f"[updates]\n{line}\n")
    assert found.startswith("v.toml:2:")
    assert words in found


def test_windows_are_read_as_the_days_and_minutes_they_say() -> None:
    assert read_window("daily 02:00-05:30") == (tuple(range(7)), 120, 210)
    assert read_window("sun,sat 22:30-06:00") == ((5, 6), 22 * 60 + 30, 450)
