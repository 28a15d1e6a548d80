"""What the verbs say of a trunk that they imported."""

import click


def report_import(done) -> None:
    say_facts(done.facts)
    trunk = done.folder / "trunk.weights.h5"
    click.echo(f"\n{trunk}")
    if done.facts["labels"]:
        click.echo(f"{done.folder / 'model.keras'}, model.json: predicts the labels above")
    elif done.outputs:
        click.echo(
            f"Its classifier of {done.outputs} outputs is left out, since their meaning is "
            "unknown. Give --labels (CheXNet: --labels nih14)."
        )
    backbone = done.facts["backbone"]
    click.echo(f"\nNext: cxrkeras cv --data DIR --backbone {backbone} --source {trunk}")


def say_facts(facts: dict) -> None:
    """Print each entry on its line; missing values are reported as such."""
    for name, value in facts.items():
        if name == "format" or (isinstance(value, list) and not value):
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        click.echo(_plain(f"{name + ':':<10} {text or 'not given'}"))


def _plain(line: str) -> str:
    """A line without control characters: anyone may have written it."""
    return "".join(sign if sign.isprintable() else "?" for sign in line)
