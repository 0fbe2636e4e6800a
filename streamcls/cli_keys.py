"""`streamcls keys`: the keys with which daemon and subscribers know each other."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(help="Keys for encrypted, authorised connections.", no_args_is_help=True)


@app.callback()
def keys() -> None:
    """Keys for encrypted, authorised connections."""


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Whose keys: the daemon's, or one client's.")],
    folder: Annotated[Path, typer.Option(help="Where to write; made if missing.")] = Path("keys"),
) -> None:
    """Make a pair of keys: NAME.key to hand out, and NAME.key_secret to keep."""
    from streamcls.keys import new_keys

    public, secret = new_keys(folder, name)
    console = Console(soft_wrap=True, markup=False, highlight=False)
    console.print(f"{public}: to hand out; a client's goes into the folder [keys] authorized")
    console.print(f"{secret}: to keep; [keys] secret names the daemon's, a client has its own")
