"""Places in TOML: each key, table and list element is found where it stands."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.examples import examples

from vedette.codec.toml_places import Place, nearest, places

DOCUMENT = '''\
# a comment with a = 1 and [table]
top = "x # not a comment"  # [none]
[a.b]
  "quoted key" = 1
  'single.dotted' = [ "one", # first
    "two",
    ["nested"], { k = 1 } ]
  c . d = """
[not.a.table]
e = 5 \\""" ""\\"
"""
last = \'\'\'
f = 1\'\'\'\'\'
[["array"]]
g = 1979-05-27 07:32:00
"\\u0041" = 2
'''

EXPECTED = {
    ("top",): Place(2, 1),
    ("a", "b"): Place(3, 1),
    ("a", "b", "quoted key"): Place(4, 3),
    ("a", "b", "single.dotted"): Place(5, 3),
    ("a", "b", "single.dotted", 0): Place(5, 23),
    ("a", "b", "single.dotted", 1): Place(6, 5),
    ("a", "b", "single.dotted", 2): Place(7, 5),
    ("a", "b", "single.dotted", 3): Place(7, 17),
    ("a", "b", "c", "d"): Place(8, 3),
    ("a", "b", "last"): Place(12, 1),
    ("array",): Place(14, 1),
    ("array", "g"): Place(15, 1),
    ("array", "A"): Place(16, 1),
}


def test_everything_is_found_where_it_stands() -> None:
    tomllib.loads(DOCUMENT)
    assert places(DOCUMENT) == EXPECTED


def test_what_lies_deeper_has_the_place_of_what_holds_it() -> None:
    found = places(DOCUMENT)
    assert nearest(found, ("a", "b", "single.dotted", 3, "k")) == Place(7, 17)
    assert nearest(found, ("nowhere",)) == Place(1, 1)


def test_a_text_cut_at_any_place_gives_places_of_what_is_there() -> None:
    for end in range(len(DOCUMENT)):
        lines = DOCUMENT[:end].count("\n") + 1
        assert all(place.line <= lines for place in places(DOCUMENT[:end]).values())


@examples(2)
@given(st.text(alphabet="ab=[]{}\"'#,.\n \\1", max_size=120))
def test_every_key_that_tomllib_reads_has_a_place_inside_the_text(text: str) -> None:
    found = places(text)
    starts = text.split("\n")
    for place in found.values():
        assert place.column <= len(starts[place.line - 1]) + 1
    try:
        document = tomllib.loads(text)
    except ValueError:
        return
    assert all(any(path[0] == key for path in found) for key in document)
