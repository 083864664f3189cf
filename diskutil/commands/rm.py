"""`khoros-disk rm`: remove names, in one transaction."""

from __future__ import annotations

import click

from .. import paths
from ..errors import NotFound
from . import options
from .opening import open_image
from .put import find_parent


@click.command("rm")
@options.image_argument()
@click.argument("path", nargs=-1, required=True)
@click.option("-f", "--force", is_flag=True, help="Names that do not exist are no error.")
@options.message_option("")
def command(image: str, path: tuple[str, ...], force: bool, message: str) -> None:
    """Remove PATH (root.ship.crew[2]) from IMAGE and commit; all of them or none.

    What nothing refers to any more stays on disk until gc. An array loses what follows a removed value from its array
    part, as in Lua.
    """
    with open_image(image, "r+") as opened:
        for words in path:
            table, key = find_parent(opened, words)
            if key in table:
                del table[key]
            elif not force:
                raise NotFound(file=image, name=paths.text(words.rpartition(".")[0] or paths.ROOT, key))
        done = opened.commit(message or f"rm {' '.join(path)}")
    options.note(str(done) if done else "unchanged")
