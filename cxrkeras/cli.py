"""The command line: finds the verb, runs it, and turns a failure into one line."""

import importlib
import io
import os
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import nullcontext

import click

from cxrkeras import __version__, runtime
from cxrkeras.commands.shared.nearest import check_verb
from cxrkeras.commands.shared.old_words import in_todays_words
from cxrkeras.commands.shared.printing.results import only_results
from data_prep.errors import UserError, WrongUse
from data_prep.verbosity import DETAILED, QUIET, said_as, verbosity

try:
    import resource
except ImportError:  # Windows has none
    resource = None

VERBS = {
    "doctor": "check this machine: one line each, with the cure",
    "prep": "raw DICOM, images and tables -> a prepared dataset",
    "labels": "what archives call their findings, and how their labels merge",
    "pretrain": "train a trunk on public archives, to start from later",
    "cv": "cross-validate one way of transferring: models, predictions, a report",
    "study": "compare many ways of transferring on the same folds: the study's tables",
    "runs": "what runs a folder holds, how far they are, and how their settings differ",
    "compare": "compare runs on the same images, with the uncertainty of their differences",
    "evaluate": "score anyone's predictions against labels",
    "shortcuts": "how much of a run's score needs no lungs: age and view, borders, a thumbnail",
    "suspects": "which labels of your table look wrong, for a person to check",
    "report": "write a run's report again",
    "weights": "fetch or import trunks that others trained, or see where a trunk comes from",
    "train": "train the final model of a finished run on all of its target data",
    "ensemble": "several runs and models as one model, which answers as their mean",
    "predict": "get a model's probabilities and decisions for image files",
    "explain": "show where in an image a score comes from: heat maps, scored if boxes are known",
    "export": "export a model or ensemble to TensorFlow Serving, ONNX or LiteRT, checked, with "
    "its card",
    "serve": "write the files and the command that serve exported models with TensorFlow Serving",
    "app": "open a page where people drop a film and see what the model sees",
    "parts": "list what there is to choose from: backbones, heads, losses, rules, with their "
    "options",
    "summary": "print the Keras model summary of any combination, without data",
}

_RESUMED = ("prep", "pretrain", "cv", "study", "train")


class _Verbs(click.Group):
    """Imports `cxrkeras.commands.VERB` only when that verb is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        module = importlib.import_module(f"cxrkeras.commands.{name}")
        return module.command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple:
        """As `click.Group` does; an unknown verb brings up the nearest."""
        check_verb(ctx, args[0], VERBS, "cxrkeras --help")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option(
    "-q",
    "--quiet",
    is_flag=True,
    help="Print warnings and the path of the result alone (works after a verb too).",
)
@click.option("-v", "--verbose", is_flag=True, help="Print details, too (works after a verb too).")
@click.option(
    "--debug", is_flag=True, help="Show the traceback of an error (works after a verb too)."
)
def cli(quiet: bool, verbose: bool, debug: bool) -> None:
    """From chest radiographs to a multi-label classifier: prepare, transfer, compare, report.

    Not for clinical use.

    \b
    Examples:
      cxrkeras cv --backbone densenet121 --method cotrain      # the built-in data
      cxrkeras prep table --images DIR --labels labels.csv --out data/ours
      cxrkeras cv --data data/ours --source imagenet --out runs/first
    """


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit: 0, 1 for input that can't be used, 2 for wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file's name may not be valid text
            stream.reconfigure(errors="backslashreplace")
    if argv is None:
        runtime.own_process()
    argv = list(sys.argv[1:] if argv is None else argv)
    argv, level, debug = _for_all_verbs(argv)
    with said_as(level):
        quiet = verbosity() == QUIET and _COMPLETING not in os.environ
        with only_results() if quiet else nullcontext():
            code = _run(in_todays_words(argv), debug)
        sys.exit(code)


_COMPLETING = "_CXRKERAS_COMPLETE"  # set by the shell that asks for words
_LEVELS = {"-q": QUIET, "--quiet": QUIET, "-v": DETAILED, "--verbose": DETAILED}


def _for_all_verbs(argv: Sequence[str]) -> tuple[list[str], str | None, bool]:
    """A command line without what any verb takes; how much is said, and whether to debug."""
    end = argv.index("--") if "--" in argv else len(argv)  # what follows are no options
    words, rest = argv[:end], argv[end:]
    level = next((_LEVELS[word] for word in reversed(words) if word in _LEVELS), None)
    kept = [word for word in words if word != "--debug" and word not in _LEVELS]
    return [*kept, *rest], level, "--debug" in words


def _run(argv: list[str], debug: bool) -> int:
    """Run it; ends the process where it fails."""
    began = time.monotonic()
    try:
        code = cli.main(argv, prog_name="cxrkeras", standalone_mode=False)
        if verbosity() == DETAILED:
            _say_cost(time.monotonic() - began)
    except (click.exceptions.Abort, KeyboardInterrupt):
        resumed = next((word for word in argv if word in VERBS), "") in _RESUMED
        _fail("Stopped." + (" The same command resumes from here." if resumed else ""), 130, debug)
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except WrongUse as error:
        _fail(f"Error: {error}", 2, debug)
    except (UserError, click.ClickException) as error:
        _fail(f"Error: {error}", 1, debug)
    except Exception as error:
        # Its message may hold patient data: only the kind and the place are shown.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}"
        _fail(
            f"Error: unforeseen {type(error).__name__} at {place}. Run again with --debug for the "
            "traceback, and please report it.",
            1,
            debug,
        )
    return code if isinstance(code, int) else 0


def _say_cost(seconds: float) -> None:
    """What a command took: `12 s, at most 1.4 GB of memory`."""
    from data_prep.progress import duration
    from data_prep.say import detail

    memory = ""
    if resource:
        unit = 1 if sys.platform == "darwin" else 1024
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        memory = f", at most {most / 1e9:.1f} GB of memory"
    detail(f"took {duration(seconds)}{memory}")


def _fail(message: str, code: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    click.echo(message, err=True)
    sys.exit(code)
