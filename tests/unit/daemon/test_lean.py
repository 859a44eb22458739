"""What is kept out of a resident process: in interpreters of their own, since it is for good."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

AGENT = Path(__file__).parents[3] / "agent"

EVERYWHERE = frozenset(
    {
        "argparse", "cryptography", "difflib", "gettext", "lzma", "psutil", "pyroute2", "secrets",
        "shutil", "tempfile",
    }
)  # fmt: skip
INSPECT = frozenset({"ast", "dis"} if sys.version_info < (3, 12) else ())
"""What inspect imports; from 3.12 on dataclasses uses it for every class it makes."""

RESIDENTS = {
    "sentinel": ("sentinel_main", "vedette.daemon.sentinel", {"_ssl", "paho", "random"}),
    "uplink": ("uplink_main", "vedette.uplink.process", {"sqlite3", "email", "pathlib"}),
    "keeper": ("keeper", "vedette.daemon.keeper", {"asyncio", "typing", "socket", "ctypes"}),
}


def run(code: str) -> object:
    """What a fresh interpreter writes as JSON, with the agent on its path and no other settings."""
    command = [
        sys.executable,
        "-I",
        "-c",
        f"import sys; sys.path.insert(0, {str(AGENT)!r})\n{code}",
    ]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)
    return json.loads(done.stdout)


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
        " if name not in before and sys.modules[name] is not None]))"
    )
    assert isinstance(loaded, list)
    assert main in loaded
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


DOCUMENTED = '''
"""What it is for."""

class Kind:
    """A class keeps its text: dataclasses asks inspect for one where there is none."""

    def tell(self):
        """Twice."""
        return (lambda: "a constant")()

def echo():
    """The same text."""
    return "The same text."

def listed():
    """Inner functions too."""
    def inner():
        """Hidden."""
        return "found"
    return [text for text in ("one", "two")], next(str(one) for one in "x"), inner.__doc__, inner()
'''


def test_what_is_imported_keeps_no_docstring_of_a_function_and_works_the_same(
    tmp_path: Path,
) -> None:
    (tmp_path / "documented.py").write_text(DOCUMENTED)
    found = run(
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "from vedette.daemon import lean\n"
        "lean.forget_docstrings()\n"
        "import documented as d, json\n"
        "print(json.dumps([d.__doc__, d.Kind.tell.__doc__, d.listed.__doc__, bool(d.Kind.__doc__),"
        " d.Kind().tell(), d.echo(), d.listed()]))"
    )
    assert found == [
        None, None, None, True, "a constant", "The same text.",
        [["one", "two"], "x", None, "found"],
    ]  # fmt: skip


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
