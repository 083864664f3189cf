"""`khoros-disk check`: verify everything in an image, with fsck's exit codes; never writes."""

from __future__ import annotations

from typing import Any

import click

from .. import check, reader, sizes
from ..check import Finding, Report
from ..errors import one_line
from . import options
from .progress import progress_line

_SHOWN_MAX = 1000
_CLEAN, _UNCORRECTED = 0, 4


@click.command("check")
@options.reading_options()
@click.option("-q", "--quiet", is_flag=True, help="Say nothing when all is well.")
def command(image: str, quiet: bool, as_json: bool) -> int:
    """Verify IMAGE: superblocks, every frame, entry, page, object, reference and count. Never writes.

    Exit code as fsck's: 0 clean, 4 errors, 8 the check could not be made, 16 wrong use.
    """
    store = reader.mount(image)
    try:
        with progress_line() as progress:
            report = check.check(store, progress)
        if as_json:
            options.print_json(_document(image, store, report))
        else:
            _print(image, store, report, quiet)
    finally:
        store.close()
    return _UNCORRECTED if report.errors else _CLEAN


def _print(image: str, store: reader.Store, report: Report, quiet: bool) -> None:
    for finding in report.findings[:_SHOWN_MAX]:
        if finding.error:
            click.echo(f"{options.styled('error', fg='red')}: {_text(finding)}")
        elif not quiet:
            click.echo(f"note: {one_line(finding.text)}")
    if len(report.findings) > _SHOWN_MAX:
        click.echo(f"… and {len(report.findings) - _SHOWN_MAX} more")
    verdict = sizes.count(report.errors, "error") if report.errors else "clean"
    if report.errors or not quiet:
        click.echo(f"{image}: {verdict}; t{store.transaction}, {sizes.count(report.objects, 'object')}, "
                   f"{sizes.count(report.frames, 'frame')}, {sizes.count(report.pages, 'page')}, "
                   f"{sizes.text(report.bytes_read)} verified")


def _text(finding: Finding) -> str:
    where = "" if finding.offset is None or "at byte" in finding.text else (
        f" (byte {finding.offset})")
    return one_line(finding.text) + where


def _document(image: str, store: reader.Store, report: Report) -> dict[str, Any]:
    return options.document(
        "check", image=image, clean=report.errors == 0, errors=report.errors,
        transaction=store.transaction, state=store.verdict, objects=report.objects,
        unreachable=report.unreachable, frames=report.frames, pages=report.pages,
        bytes_read=report.bytes_read,
        findings=[{"error": f.error, "text": f.text, "offset": f.offset}
                  for f in report.findings[:_SHOWN_MAX]])
