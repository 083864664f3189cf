"""A process that fuzzes the Python reader under atheris: python -m khoros.diskutil.fuzzing.guided CORPUS FINDINGS SECONDS SEED.

libFuzzer never comes back to its caller, so this is a program of its own. It is led by the branches that the reader takes; new
recipes go to CORPUS; what breaks a promise goes to FINDINGS as a recipe, and the run goes on. libFuzzer's last lines on stderr say
how many images there were.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

# What is imported here is instrumented: the reader, not the fuzzer.
with atheris.instrument_imports(include=["khoros.diskutil", "khoros.formats"]):
    from khoros.diskutil import check, codec, reader  # noqa: F401

from khoros.diskutil.fuzzing import corpus, recipes, verdicts


def main(place: str, findings: str, seconds: str, seed: str) -> None:
    known: set[str] = set()

    def one_input(data: bytes) -> None:
        _, finding = verdicts.of_python(recipes.image(data), thorough=False)
        if finding is not None and finding.kind not in known:
            known.add(finding.kind)
            corpus.add(Path(findings), data)

    atheris.Setup(["fuzz", place, f"-max_total_time={int(float(seconds)) or 1}", f"-max_len={corpus.BYTES_MOST}", f"-seed={seed}",
                   "-print_final_stats=1", f"-artifact_prefix={findings}-", "-rss_limit_mb=1024", "-timeout=60"], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
