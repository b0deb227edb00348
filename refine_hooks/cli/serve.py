"""``serve``: the live page."""

from pathlib import Path
from typing import Annotated

import typer

from refine_hooks.cli._app import app
from refine_hooks.cli._logs import LogConfig


@app.command(short_help="Show the report as a live page.")
def serve(
    place: Annotated[
        Path,
        typer.Argument(
            metavar="LOG|DIR", help="rounds.jsonl, its folder, a project, or a folder of projects", readable=False
        ),
    ] = Path("."),
    port: Annotated[int, typer.Option(help="port to listen on; 0 takes a free one", min=0, max=65535)] = 8642,
    host: Annotated[
        str,
        typer.Option(help="address to listen on; any but this machine's own asks readers for a token"),
    ] = "127.0.0.1",
    name: Annotated[
        list[str] | None, typer.Option(help="a further host name that readers use, may be repeated", show_default=False)
    ] = None,
    poll: Annotated[float, typer.Option(help="seconds between looks at the logs", min=0.1)] = 2.0,
    config: LogConfig = None,
    root_path: Annotated[
        str, typer.Option(help="where a reverse proxy has the page, as /refine", show_default=False)
    ] = "",
) -> None:
    """Show the report as a live page: rounds appear as they are measured. Only for reading; stops at Ctrl-C.

    The token of other hosts is taken from REFINE_HOOKS_TOKEN, else made anew at each start. From elsewhere the page is
    best reached through ssh: ssh -L 8642:localhost:8642 THIS_MACHINE
    """
    from refine_hooks.serve.server import serve as serve_logs

    serve_logs(place, host, port, name or [], poll, config, root_path)
