"""A package of somebody else's, as pip would have installed it, that brings parts."""

from pathlib import Path


def install(folder: Path, parts: dict[str, str], name: str = "theirs") -> Path:
    """Write a package and what pip notes of it.

    Args:
        folder: stands in `sys.path` afterwards, or in PYTHONPATH.
        parts: `GROUP/PART` -> the source of its file.
        name: of the package.
    """
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").touch()
    noted = folder / f"{name}-1.dist-info"
    noted.mkdir()
    (noted / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    lines = []
    for place, source in parts.items():
        group, part = place.split("/")
        (folder / name / f"{part}.py").write_text(source)
        lines += [f"[{group}]", f"{part} = {name}.{part}"]
    (noted / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder
