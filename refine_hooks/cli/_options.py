"""Options that several commands share, and the tables of a settings file that they stand for."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer


def _programs(incomplete: str) -> list[str]:
    """For the shell's completion."""
    from refine_hooks.programs import adapter_names

    return [name for name in adapter_names() if name.startswith(incomplete)]


def _known_program(name: str) -> str:
    """The name of a program, checked.

    Raises:
        typer.BadParameter: no program of that name is known here.
    """
    if name:
        from refine_hooks.programs import adapter_names

        known = adapter_names()
        if name not in known:
            raise typer.BadParameter(f"{name} is no program that is known here; there are: {', '.join(known)}")
    return name


Project = Annotated[
    Path,
    typer.Argument(
        metavar="PROJECT",
        help="the refinement project's folder (for RELION also a single job's) [default: the current folder]",
        show_default=False,
        readable=False,
    ),
]
Projects = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="PROJECT...",
        help="the folders of refinement projects (for RELION also single jobs'), or patterns with --all [default: the current "
        "folder]",
        show_default=False,
        readable=False,
    ),
]
Out = Annotated[
    Path | None, typer.Option(help="where everything is written [default: PROJECT/refine_hooks]", show_default=False)
]
Config = Annotated[
    Path | None,
    typer.Option(help="TOML file laid over all other settings (see check-config)", show_default=False, readable=False),
]
Adapter = Annotated[
    str,
    typer.Option(
        "--program",
        help="the refinement program, where the folder does not tell",
        show_default=False,
        autocompletion=_programs,
        callback=_known_program,
    ),
]
Masks = Annotated[
    list[str] | None,
    typer.Option("--mask", help="a further mask, FILE or NAME=FILE; may be given again", show_default=False),
]
Radius = Annotated[
    float,
    typer.Option(help="radius of the spherical mask in A [default: the program's own]", show_default=False, min=0.0),
]
Mass = Annotated[
    float, typer.Option(help="molecular mass in kDa [default: the program's own]", show_default=False, min=0.0)
]
Full = Annotated[
    bool, typer.Option("--full", help="also anisotropy, half-bit, 3-sigma, false discovery rate and Guinier analysis")
]
Local = Annotated[bool, typer.Option("--local", help="local resolution of every round, not of the newest alone")]
Reconstruct = Annotated[
    Literal["", "never", "missing", "always"],
    typer.Option(
        metavar="never|missing|always",
        help="half maps from the particles [default: missing in once, never in watch]",
        show_default=False,
    ),
]


def overrides_of(
    mask: list[str] | None, radius: float, mass: float, reconstruct: str = "", full: bool = False, local: bool = False
) -> dict[str, Any]:
    """The command line's options as the tables of a settings file."""
    table: dict[str, Any] = {}
    if mask:
        table["masks"] = named_masks(mask)
    if radius:
        table["sphere"] = {"radius_A": radius}
    if mass:
        table["program"] = {"molecular_mass_kDa": mass}
    if reconstruct:
        table["reconstruct"] = {"when": reconstruct}
    if full:
        table["fsc"] = {"full": True}
    if local:
        table["analysis"] = {"local": "all"}
    return table


def named_masks(masks: list[str]) -> dict[str, str]:
    """``FILE`` is the mask called user (user2, ... for further ones), ``NAME=FILE`` has its own name; files become absolute."""
    named: dict[str, str] = {}
    for text in masks:
        name, equals, file = text.partition("=")
        if not equals or "/" in name:
            nameless = sum(known.startswith("user") for known in named)
            name, file = f"user{nameless + 1}" if nameless else "user", text
        named[name] = str(Path(file).absolute())
    return named
