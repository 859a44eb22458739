"""What is kept out of a resident process: in interpreters of their own, since it is for good."""

from __future__ import annotations

import platform
import sys

import pytest
from tests.simulators.interpreter import run

from vedette.daemon import lean, sentinel_main, uplink_main

EVERYWHERE = frozenset(
    {
        "argparse", "cryptography", "difflib", "gettext", "lzma", "psutil", "pyroute2", "secrets",
        "shutil", "tempfile", "bz2", "random", "ctypes.util",
    }
)  # fmt: skip
INSPECT = frozenset({"ast", "dis"} if sys.version_info < (3, 12) else ())
"""What inspect imports; from 3.12 on dataclasses uses it for every class it makes."""

RESIDENTS = {
    "sentinel": ("sentinel_main", "vedette.daemon.sentinel", {"_ssl", "paho", "platform"}),
    "uplink": ("uplink_main", "vedette.uplink.process", {"sqlite3", "email", "pathlib"}),
    "keeper": ("keeper", "vedette.daemon.keeper", {"asyncio", "typing", "socket", "ctypes"}),
}

LATER = {
    "sentinel": (*lean.UNUSED, *sentinel_main.OF_TIERS, *sentinel_main.SELDOM, "logging"),
    "uplink": (*uplink_main.LATER, "logging", "subprocess"),
    "keeper": (),
}
"""What comes when it is used: not by being imported or listed."""


@pytest.mark.parametrize("name", RESIDENTS)
def test_a_resident_process_loads_nothing_that_it_does_not_use(name: str) -> None:
    module, main, own = RESIDENTS[name]
    loaded = run(
        "before = set(sys.modules)\n"
        f"import vedette.daemon.{module} as entry\n"
        "getattr(entry, 'keep_lean', lambda: None)()\n"
        f"import {main}\n"
        "if 'vedette.sensors' in sys.modules:\n"
        "    from vedette.ports.discover import sensor_classes\n"
        "    sensor_classes(sys.modules['vedette.sensors'])\n"
        "import json\n"
        "print(json.dumps([name for name in sys.modules"
        " if name not in before and sys.modules[name] is not None"
        " and '__getattr__' not in vars(sys.modules[name])]))"
    )
    assert isinstance(loaded, list)
    assert main in loaded
    assert not set(LATER[name]).intersection(loaded), "put off, and loaded all the same"
    assert not (EVERYWHERE | INSPECT | own).intersection(loaded)


def test_a_module_put_off_is_whole_when_it_is_used() -> None:
    found = run(
        "from vedette.daemon import lean\n"
        "lean.later('inspect', 'xml.dom')\n"
        "import inspect, xml.dom, json\n"
        "was_loaded = 'ast' in sys.modules\n"
        "print(json.dumps([was_loaded, inspect.isfunction(json.dumps), 'ast' in sys.modules,\n"
        "                  xml.dom.Node.TEXT_NODE, hasattr(inspect, 'nonsense')]))"
    )
    assert found == [False, True, True, 3, False]


def test_what_was_put_off_can_be_loaded_before_its_files_are_out_of_reach() -> None:
    found = run(
        "from vedette.daemon import lean\n"
        "lean.later('inspect')\n"
        "lean.now('inspect')\n"
        "import inspect, json\n"
        "sys.path.clear()\n"
        "print(json.dumps(['ast' in sys.modules, inspect.isfunction(json.dumps)]))"
    )
    assert found == [True, True]


def test_what_a_package_takes_up_of_its_parts_is_put_off_with_them() -> None:
    found = run(
        "from vedette.daemon import lean\n"
        "lean.later(*lean.UNUSED)\n"
        "import asyncio, json\n"
        "from asyncio import streams\n"
        "print(json.dumps([hasattr(asyncio, 'open_connection'), callable(asyncio.run),\n"
        "                  streams.open_connection.__module__, streams.__all__[0]]))"
    )
    assert found == [False, True, "asyncio.streams", "StreamReader"]


def test_a_function_put_off_loads_its_module_when_it_is_called() -> None:
    found = run(
        "from vedette.daemon import lean\n"
        "lean.at_call('urllib.parse', 'quote_from_bytes')\n"
        "from urllib.parse import quote_from_bytes as quote\n"
        "import urllib.parse, json\n"
        "was_there = 'urlsplit' in vars(urllib.parse)\n"
        "print(json.dumps([was_there, quote(b'a b', safe=''), quote(b'c/d'),\n"
        "                  'urlsplit' in vars(urllib.parse),\n"
        "                  urllib.parse.quote_from_bytes is not quote]))"
    )
    assert found == [False, "a%20b", "c/d", True, True]


def test_a_module_that_is_put_off_and_not_there_is_missed_by_who_imports_it() -> None:
    found = run(
        "from vedette.daemon import lean\n"
        "lean.later('no_such_module')\n"
        "import json\n"
        "try:\n"
        "    import no_such_module\n"
        "except ModuleNotFoundError as error:\n"
        "    print(json.dumps(error.name))"
    )
    assert found == "no_such_module"


def test_a_module_refused_is_not_there_and_one_loaded_before_stays() -> None:
    found = run(
        "import json\n"
        "from vedette.daemon import lean\n"
        "lean.never('ssl', 'json')\n"
        "import asyncio, json\n"
        "try:\n"
        "    import ssl\n"
        "except ImportError:\n"
        "    print(json.dumps([asyncio.sslproto.ssl]))"
    )
    assert found == [None]


BLOCKS = """
import json
import platform
from vedette.daemon import lean

def anonymous_kib():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Anonymous"))

{first}
before, small = anonymous_kib(), []
large = []
for number in range(200):
    large.append(b"x" * (40_000 + number))
    small.append(b"y" * (600 + number))
large.clear()
print(json.dumps(anonymous_kib() - before))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries do so anyway")
def test_large_blocks_between_small_ones_that_stay_are_given_back() -> None:
    kept, given_back = run(BLOCKS.format(first="")), run(BLOCKS.format(first="lean.give_back()"))
    assert isinstance(kept, int)
    assert isinstance(given_back, int)
    assert kept > 7000, "nothing was to be gained"
    assert given_back < 2000


SETTLED = """
import json
import platform
from vedette.daemon import lean

def anonymous_kib():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Anonymous"))

lean.give_back()
small, middling = [], []
for number in range(400):
    middling.append(b"x" * (20_000 + number))
    small.append(b"y" * (600 + number))
middling.clear()
before = anonymous_kib()
lean.settle()
print(json.dumps(before - anonymous_kib()))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries do so anyway")
def test_pages_between_what_stays_are_given_back_when_a_start_is_over() -> None:
    given_back = run(SETTLED)
    assert isinstance(given_back, int)
    assert given_back > 4000
