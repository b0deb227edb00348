"""What is made by a script and stands in a page of the guide: text between two marks, and small pictures."""

from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / ".readme"


def write_between(page: str, name: str, text: str) -> None:
    """Put a text between its two marks in a page of the guide."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    guide = ROOT / "refine_hooks" / "guide" / page
    before, _, rest = guide.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    guide.write_text(before + begin + text + "\n" + end + after, encoding="utf-8")


def reduce(path: Path, width_px: int = 720, colours: int = 64) -> None:
    """Make a picture small: narrow, and of few colours."""
    with Image.open(path) as image:
        image.load()
        flat = Image.new("RGB", image.size, "white")
        flat.paste(image, mask=image.getchannel("A") if image.mode == "RGBA" else None)
    height_px = round(flat.height * width_px / flat.width)
    flat = flat.resize((width_px, height_px), Image.Resampling.LANCZOS)
    flat.quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
