"""`khoros-disk`: finds the command, loads only that one, and turns every failure into one line and an exit code.

Promise: data goes to stdout and talk to stderr; no failure exits 0; a closed pipe ends the program quietly (141, as
SIGPIPE would); Ctrl-C exits 130; `--debug` (or KHOROS_DEBUG=1) shows the traceback of any error. A command is a file
in `commands/` that holds one function of its name.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from khoros import __version__

from .errors import FormatError, KhorosError, UsageError, one_line

# name -> (module and function in commands/, what the list of commands says)
COMMANDS = {
    "mkfs": ("mkfs", "Make an empty store."),
    "ls": ("ls", "List names."),
    "cat": ("cat", "Show a value."),
    "put": ("put", "Set a value."),
    "rm": ("rm", "Remove a name."),
    "import": ("import_", "Bring in a JSON or MessagePack file."),
    "export": ("export", "Write a value as JSON or MessagePack."),
    "log": ("log", "List the transactions."),
    "undo": ("undo", "Take a transaction back."),
    "gc": ("gc", "Delete what nothing refers to."),
    "compact": ("compact", "Give up history and garbage, and make the file small."),
    "info": ("info", "Say what an image is and how it is."),
    "check": ("check", "Verify everything; fsck's exit codes."),
    "dump": ("dump", "Show every structure on disk."),
    "map": ("map", "Draw what lies where: terminal, SVG, HTML."),
    "du": ("du", "Show how much each thing takes."),
    "diff": ("diff", "Show what two images, or two times of one, hold differently."),
    "backup": ("backup", "Copy an image with its history, also a running machine's."),
    "repair": ("repair", "Write a new image of what a damaged one still holds."),
    "fixsum": ("fixsum", "Make all checksums right after a hand edit."),
    "torture": ("torture", "Prove the store on disks that fail in every way."),
    "fuzz": ("fuzz", "Change images' structures and compare both readers."),
    "bisect": ("bisect", "Find the transaction from which on a test fails."),
}

EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130
EXIT_CLOSED_PIPE = 141
# fsck(8): operational error, usage error, errors left uncorrected.
_CHECK_OPERATIONAL, _CHECK_USAGE, _CHECK_ERRORS = 8, 16, 4
# diff(1): trouble.
_DIFF_TROUBLE = 2
_OUTPUT_FAILED = 7


class _ClosedPipe(Exception):
    """Whoever read our output has gone."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run, not when they are listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f".commands.{COMMANDS[name][0]}", __package__)
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise _ClosedPipe from error  # click would exit 1
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in COMMANDS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            close = difflib.get_close_matches(args[0], list(COMMANDS), 1) if args else []
            hint = f" Did you mean {close[0]}?" if close else ""
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]},
             epilog="A command's own help: khoros-disk COMMAND --help.")
@click.version_option(__version__, prog_name="khoros-disk")
@click.option("--debug", is_flag=True, envvar="KHOROS_DEBUG", help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Make, read, change and check Khoros disk images.

    IMAGE is a raw image file, a disk with a Khoros partition, or a block device.
    """
    ctx.meta["khoros.debug"] = debug


def main(arguments: Sequence[str] | None = None) -> None:
    """The program: runs a command and exits."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Run a command; its exit code. Never raises, never prints a traceback without --debug."""
    command = next((word for word in arguments if not word.startswith("-")), "")
    debug = "--debug" in arguments or bool(os.environ.get("KHOROS_DEBUG"))
    try:
        result = cli.main(_debug_first(arguments), prog_name="khoros-disk", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except BaseException as error:
        if debug and not isinstance(error, click.exceptions.Exit | SystemExit | BrokenPipeError | _ClosedPipe):
            import traceback

            traceback.print_exc()
        return _report(error, command)


def _debug_first(arguments: list[str]) -> list[str]:
    """--debug is the program's option; people type it anywhere before a `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    if "--debug" not in arguments[:end]:
        return arguments
    rest = [word for word in arguments[:end] if word != "--debug"]
    return ["--debug", *rest, *arguments[end:]]


def _report(error: BaseException, command: str) -> int:
    """Say what went wrong, in one line on stderr; the exit code for it."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if _is_closed_pipe(error):
        _silence_stdout()
        return EXIT_CLOSED_PIPE
    if isinstance(error, KhorosError):
        _say(str(error))
        return _code_of(error, command)
    if isinstance(error, click.ClickException):
        return _report_usage(error, command)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        _say("interrupted")
        return EXIT_INTERRUPTED
    if isinstance(error, OSError):
        _say(f"{error.filename or 'output'}: {(error.strerror or str(error)).lower()}")
        _silence_stdout()
        return {"check": _CHECK_OPERATIONAL, "diff": _DIFF_TROUBLE}.get(command, _OUTPUT_FAILED)
    _say(f"internal error: {type(error).__name__}: {error} (--debug shows where)")
    return EXIT_INTERNAL


def _report_usage(error: click.ClickException, command: str) -> int:
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "khoros-disk"
    _say(error.format_message(), f"{where} --help tells more")
    return _CHECK_USAGE if command == "check" else error.exit_code


def _code_of(error: KhorosError, command: str) -> int:
    """The error's own exit code, but for commands that speak like an old tool of the same purpose."""
    if command == "diff":
        return _DIFF_TROUBLE
    return _check_code(error) if command == "check" else error.exit_code


def _check_code(error: KhorosError) -> int:
    from .errors import NewerFormat, NotAStore

    if isinstance(error, UsageError):
        return _CHECK_USAGE
    damaged = isinstance(error, FormatError) and not isinstance(error, NotAStore | NewerFormat)
    return _CHECK_ERRORS if damaged else _CHECK_OPERATIONAL


def _is_closed_pipe(error: BaseException) -> bool:
    return isinstance(error, _ClosedPipe) or (
        isinstance(error, OSError) and error.errno == errno.EPIPE)


def _silence_stdout() -> None:
    """Keep the interpreter from complaining at exit about what cannot be written any more."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            try:
                os.dup2(null, stream.fileno())
            except (OSError, ValueError):
                continue
    os.close(null)


def _say(message: str, advice: str = "") -> None:
    try:
        click.echo(f"khoros-disk: {one_line(message)}{f'; {advice}' if advice else ''}", err=True)
    except OSError:
        return


if __name__ == "__main__":
    main()
