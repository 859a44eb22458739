"""Loggers without `logging`: in interpreters of their own, since it is for good."""

from __future__ import annotations

from tests.simulators.interpreter import run

PUT_OFF = (
    "from vedette.daemon import late_logging\n"
    "late_logging.put_off()\n"
    "import asyncio, concurrent.futures.thread, io, json, logging, sys\n"
    "logger = logging.getLogger('asyncio')\n"
    "is_loaded = lambda: 'Formatter' in vars(logging)\n"
    "sys.stderr = io.StringIO()\n"
)


def test_nothing_is_loaded_for_a_loop_that_runs_well() -> None:
    found = run(
        f"{PUT_OFF}asyncio.run(asyncio.sleep(0))\n"
        "logger.debug('%s', 1)\n"
        "logger.info('%s', 2)\n"
        "print(json.dumps([is_loaded(), logger.isEnabledFor(logging.INFO),"
        " logger.isEnabledFor(logging.ERROR)]))"
    )
    assert found == [False, False, True]


def test_a_warning_comes_out_on_stderr() -> None:
    found = run(
        f"{PUT_OFF}logger.warning('%d files', 3)\n"
        "print(json.dumps([is_loaded(), sys.stderr.getvalue()]))"
    )
    assert found == [True, "3 files\n"]


def test_what_the_loop_reports_of_a_callback_that_fails_has_its_traceback() -> None:
    found = run(
        f"{PUT_OFF}"
        "def fail():\n"
        "    raise ValueError('told')\n"
        "async def main():\n"
        "    asyncio.get_running_loop().call_soon(fail)\n"
        "    await asyncio.sleep(0)\n"
        "asyncio.run(main())\n"
        "said = sys.stderr.getvalue()\n"
        "print(json.dumps([said.partition('(')[0], said.splitlines()[-1]]))"
    )
    assert found == ["Exception in callback fail", "ValueError: told"]


def test_an_uplink_whose_files_will_be_out_of_reach_can_log() -> None:
    found = run(
        "import io, json, vedette.daemon.uplink_main as main\n"
        "main.keep_lean()\n"
        "import asyncio\n"
        "main._load_what_comes_late()\n"
        "sys.path.clear(), sys.path_importer_cache.clear()\n"
        "sys.stderr = io.StringIO()\n"
        "asyncio.log.logger.error('%s is gone', 'it')\n"
        "print(json.dumps(sys.stderr.getvalue()))"
    )
    assert found == "it is gone\n"
