"""The tree of RFC 6962 against the vectors of Certificate Transparency and a plain reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.merkle import (
    EMPTY_ROOT,
    Frontier,
    Tree,
    check_frontier,
    is_consistent,
    is_included,
    leaf_hash,
    node_hash,
)
from vedette.errors import ParseError

# certificate-transparency, merkletree/merkle_tree_test.cc
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def plain_root(hashes: list[bytes]) -> bytes:
    """RFC 6962 2.1, word for word."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(plain_root(hashes[:split]), plain_root(hashes[split:]))


def hashes_of(count: int) -> list[bytes]:
    return [leaf_hash(b"%d" % number) for number in range(count)]


def test_roots_of_certificate_transparency() -> None:
    frontier = Frontier()
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        frontier = frontier.appended([leaf_hash(leaf)])
        assert frontier.root().hex() == root
    assert Frontier().root() == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", range(1, 35))
def test_frontier_tree_and_a_plain_reading_agree(size: int) -> None:
    hashes = hashes_of(size)
    root = plain_root(hashes)
    assert Frontier().appended(hashes).root() == root
    assert Tree(Frontier(), hashes).root(size) == root


@given(st.data())
def test_a_pruned_tree_makes_every_proof_of_what_is_left(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 70))
    pruned = data.draw(st.integers(0, size - 1))
    index = data.draw(st.integers(pruned, size - 1))
    hashes = hashes_of(size)
    tree = Tree(Frontier().appended(hashes[:pruned]), hashes[pruned:])
    root = plain_root(hashes)
    assert tree.size == size
    assert tree.root(size) == root
    proof = tree.inclusion(index, size)
    assert is_included(hashes[index], index, size, proof, root)
    old = data.draw(st.integers(max(pruned, 1), size))
    old_root = plain_root(hashes[:old])
    assert tree.root(old) == old_root
    assert is_consistent(old, old_root, size, root, tree.consistency(old, size))


@given(st.data())
def test_a_changed_proof_proves_nothing(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 40))
    index = data.draw(st.integers(0, size - 1))
    hashes = hashes_of(size)
    tree, root = Tree(Frontier(), hashes), plain_root(hashes)
    proof = tree.inclusion(index, size)
    for position in range(len(proof)):
        wrong = [*proof]
        wrong[position] = leaf_hash(b"wrong")
        assert not is_included(hashes[index], index, size, wrong, root)
    assert not is_included(hashes[index], index, size, proof[:-1], root)
    assert not is_included(hashes[index], index, size, [*proof, root], root)
    assert not is_included(leaf_hash(b"wrong"), index, size, proof, root)
    assert not is_included(hashes[index], size, size, proof, root)


@given(st.data())
def test_a_rewritten_past_is_not_consistent(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 40))
    old = data.draw(st.integers(1, size - 1))
    hashes = hashes_of(size)
    rewritten = [*hashes]
    rewritten[data.draw(st.integers(0, old - 1))] = leaf_hash(b"never happened")
    proof = Tree(Frontier(), rewritten).consistency(old, size)
    assert not is_consistent(old, plain_root(hashes[:old]), size, plain_root(rewritten), proof)
    assert not is_consistent(0, EMPTY_ROOT, size, plain_root(hashes), [])
    assert not is_consistent(size, plain_root(hashes), old, plain_root(hashes[:old]), proof)


def test_what_is_pruned_or_not_there_is_not_proven() -> None:
    hashes = hashes_of(10)
    tree = Tree(Frontier().appended(hashes[:5]), hashes[5:])
    for index, size in ((4, 10), (10, 10), (5, 11), (0, 4)):
        with pytest.raises(ValueError, match="expected a"):
            tree.inclusion(index, size)
    for old, new in ((3, 10), (0, 10), (11, 11), (10, 9)):
        with pytest.raises(ValueError, match=r"expected|pruned"):
            tree.consistency(old, new)


@pytest.mark.parametrize(
    "frontier",
    [Frontier(1, ()), Frontier(0, (EMPTY_ROOT,)), Frontier(2, (b"short",)), Frontier(-1, ())],
)
def test_a_frontier_that_cannot_be_is_refused(frontier: Frontier) -> None:
    with pytest.raises(ParseError):
        check_frontier(frontier)
