"""The corpus: both readers say the same of every image in it, and neither does worse than refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from khoros.diskutil.errors import UsageError
from khoros.diskutil.fuzzing import corpus, engines, recipes, verdicts

CORPUS = Path(__file__).parent / "corpus.txt"
PARTS = 4


def test_it_is_large_and_has_nothing_twice():
    seeds = corpus.load(CORPUS)
    assert len(seeds) == len(set(seeds)) >= 400


@pytest.mark.parametrize("part", range(PARTS))
def test_both_readers_agree(part: int):
    found = engines.replay(corpus.load(CORPUS)[part::PARTS], verdicts.Lua(), lambda so_far, number: None, lambda: False)
    assert {kind: recipes.describe(data) for kind, (data, _) in found.findings.items()} == {}
    assert found.compared == found.images >= 100
    # Images are refused in many ways and accepted in others: what is compared is not always the same.
    assert len(found.outcomes) >= 4


def test_a_file_that_holds_no_recipes(tmp_path):
    path = tmp_path / "corpus"
    path.write_text("00 # good\nnot hexadecimal\n", encoding="utf-8")
    with pytest.raises(UsageError, match="holds no recipes"):
        corpus.load(path)


def test_recipes_are_kept_in_a_folder(tmp_path):
    assert corpus.load(tmp_path / "nowhere") == []
    corpus.add(tmp_path / "new", b"\x01\x02")
    corpus.add(tmp_path / "new", b"\x01\x02")
    assert corpus.load(tmp_path / "new") == [b"\x01\x02"]
