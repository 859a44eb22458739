"""What a resident keeps of its code: in interpreters of their own, since it is for good."""

from __future__ import annotations

from pathlib import Path

from tests.simulators.interpreter import run

DESCRIBED = '''
"""What it is for."""
import dataclasses, enum, typing

@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """A kind."""
    name: str

    class Inner:
        """Within."""
        def tell(self) -> int:
            """Once."""
            raise ValueError("told")

    @property
    def size(self) -> int:
        """Twice."""
        return (lambda: len(self.name))()

    @classmethod
    def made(cls, name: str) -> "Kind":
        """Made."""
        return cls(name)

class Pair(typing.NamedTuple):
    """Two."""
    left: "int" = 1

class Colour(enum.Enum):
    """One of these."""
    RED = "red"

def echo(text: str = "x") -> str:
    """The same text."""
    return "The same text."

def listed():
    """Inner functions too."""
    def inner():
        """Hidden."""
        return "found"
    return [text for text in ("one", "two")], next(str(one) for one in "x"), inner.__doc__, inner()
'''


def seen(folder: Path, expression: str) -> object:
    """What an expression over the module `d` gives, in a process that forgets descriptions."""
    (folder / "described.py").write_text(DESCRIBED)
    return run(
        f"sys.path.insert(0, {str(folder)!r})\n"
        "from vedette.daemon import bare_code\n"
        "bare_code.forget_descriptions()\n"
        "import described as d, json, traceback, typing\n"
        f"print(json.dumps({expression}))"
    )


def test_no_text_about_functions_and_classes_is_kept(tmp_path: Path) -> None:
    found = seen(
        tmp_path,
        "[d.__doc__, d.Kind.__doc__, d.Kind.Inner.__doc__, d.Kind.Inner.tell.__doc__,\n"
        " d.Kind.size.fget.__doc__, d.Kind.made.__doc__, d.Pair.__doc__, d.Pair._make.__doc__,\n"
        " d.Colour.__doc__, d.listed.__doc__]",
    )
    assert found == [None] * 10


def test_functions_keep_no_annotations_and_records_do(tmp_path: Path) -> None:
    found = seen(
        tmp_path,
        "[d.echo.__annotations__, d.Kind.made.__annotations__,\n"
        " sorted(typing.get_type_hints(d.Kind)), sorted(typing.get_type_hints(d.Pair))]",
    )
    assert found == [{}, {}, ["name"], ["left"]]


def test_a_field_of_a_named_tuple_keeps_its_annotation_as_text_alone(tmp_path: Path) -> None:
    found = seen(
        tmp_path,
        "[d.Pair.__annotations__, typing.get_type_hints(d.Pair)['left'].__name__]",
    )
    assert found == [{"left": "int"}, "int"]


def test_what_runs_is_the_same(tmp_path: Path) -> None:
    found = seen(
        tmp_path,
        "[d.Kind.made(name='ab').size, repr(d.Kind('ab')), d.Pair().left, d.Colour('red').name,\n"
        " d.echo(), d.listed(), d.Kind.Inner.__qualname__]",
    )
    assert found == [
        2, "Kind(name='ab')", 1, "RED", "The same text.",
        [["one", "two"], "x", None, "found"], "Kind.Inner",
    ]  # fmt: skip


def test_a_traceback_names_file_line_and_function(tmp_path: Path) -> None:
    (tmp_path / "described.py").write_text(DESCRIBED)
    line = 1 + DESCRIBED.split("\n").index('            raise ValueError("told")')
    found = run(
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "from vedette.daemon import bare_code\n"
        "bare_code.forget_descriptions()\n"
        "import described, json, traceback\n"
        "try:\n"
        "    described.Kind.Inner().tell()\n"
        "except ValueError as error:\n"
        "    last = traceback.extract_tb(error.__traceback__)[-1]\n"
        "    print(json.dumps([last.filename, last.lineno, last.name]))"
    )
    assert found == [str(tmp_path / "described.py"), line, "tell"]
