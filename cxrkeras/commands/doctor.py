"""`cxrkeras doctor`: whether this machine has what is needed, and what to do if not."""

import json
import time
from dataclasses import asdict

import click

from cxrkeras.commands.shared.helping import Verb

_MARKS = {"ok": "ok", "warning": "WARNING", "fault": "FAULT"}


@click.command("doctor", cls=Verb)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
@click.option("--offline", is_flag=True, help="Ask no host whether weights can be had.")
def command(as_json: bool, offline: bool) -> None:
    """Check this machine: one line each, ok, warning or fault, with the cure.

    Python, what Keras runs on, its devices, each way in which films are compressed (decoded from
    built-in bytes), the cache, the key of the hashes (never shown), memory, disk, weights and
    extras. Nothing is installed or changed. Ends with 1 if something essential fails.

    \b
    Examples:
      cxrkeras doctor
      cxrkeras doctor --json > doctor.json
    """
    from cxrkeras.commands.checks import FAULT, OK, WARNING, carried_out

    begun, found = time.monotonic(), []
    for one in carried_out(_checks(offline)):
        found.append(one)
        if not as_json:
            click.echo(_line(one))
    states = [one.state for one in found]
    faults, warnings = states.count(FAULT), states.count(WARNING)
    if as_json:
        facts = {"ok": not faults, "checks": [asdict(one) for one in found]}
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
    else:
        passed = f"{states.count(OK)} ok, {warnings} to note, {faults} at fault"
        click.echo(f"\n{passed}, in {time.monotonic() - begun:.0f} s.")
        if not faults:
            click.echo("Next: cxrkeras prep table --images FILMS --labels TABLE --out data/ours")
            click.echo("Or, to see it at work on built-in films: cxrkeras cv --preset quick")
    if faults:
        click.get_current_context().exit(1)


def _checks(offline: bool) -> list:
    from cxrkeras.commands.checks import places, reach, software
    from cxrkeras.commands.checks.codecs import codecs

    checks = [
        ("Python", software.python),
        ("Backend", software.backend),
        ("Codecs", codecs),
        ("Cache", places.cache),
        ("Key", places.key),
        ("Memory", places.memory),
        ("Disk", places.disk),
        ("Extras", software.extras),
    ]
    return checks if offline else [*checks, ("Weights", reach.weights)]


def _line(found) -> str:
    cure = f". Cure: {found.cure}" if found.cure else ""
    return f"{_MARKS[found.state]:<8} {found.name:<20} {found.said}{cure}"
