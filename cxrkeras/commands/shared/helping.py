"""Help that fits a screen: what matters by --help, everything by --help-all."""

import re
from collections.abc import Callable, Collection
from inspect import cleandoc

import click

_EXAMPLES = re.compile("\b\n(Examples?:)\n")  # \b: click keeps its lines
_SCREEN = 50  # lines
_FEW = 5  # examples on the first screen
_PLAIN = "Options"
_WIDE = 44  # characters of a flag with its choices
_END = re.compile(r"[.;](?=\s|$)")  # of the first statement
_DEFAULT = re.compile(r"\[(?:default: ([^\];]*)|(required))[^\]]*\]")


class Verb(click.Command):
    """A command whose `--help` shows its main options, each in short, and a few examples.

    Its description is there too if all that fits a screen. `--help-all` shows everything, the
    options under headings (see `section`).

    Args:
        shown: names of the main options, without dashes; an option that isn't named here stands
            only in `--help-all`. If none is named, `--help` shows all.
        *args, **rest: as `click.Command` takes them.

    Raises:
        ValueError: there is no such option.
    """

    def __init__(self, *args, shown: Collection[str] = (), **rest):
        super().__init__(*args, **rest)
        by_flag = {
            flag.lstrip("-"): parameter for parameter in self.params for flag in parameter.opts
        }
        if unknown := set(shown) - by_flag.keys():
            raise ValueError(f"{self.name} has no option {', '.join(sorted(unknown))}")
        self._shown = [by_flag[name] for name in shown]
        self.params.append(_help_all(hidden=not shown))

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what fits a screen, examples first."""
        if not self._shown:
            formatter.write(self.whole_help(ctx))
            return
        brief = self._brief_help(ctx, described=True)
        if brief.count("\n") >= _SCREEN:
            brief = self._brief_help(ctx, described=False)
        formatter.write(brief)

    def whole_help(self, ctx: click.Context) -> str:
        """The text of `--help-all`."""
        formatter = ctx.make_formatter()
        what, heading, examples, rest = _parts(self.help or "")
        self.format_usage(ctx, formatter)
        for text in (what, _joined(heading, examples), rest):
            _write(formatter, text)
        sections: dict[str, list] = {}
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                sections.setdefault(getattr(parameter, "section", _PLAIN), []).append(record)
        for name, records in sections.items():
            with formatter.section(name):
                formatter.write_dl(records)
        return formatter.getvalue()

    def _brief_help(self, ctx: click.Context, *, described: bool) -> str:
        formatter = ctx.make_formatter()
        what, heading, examples, rest = _parts(self.help or "")
        self.format_usage(ctx, formatter)
        for text in (what, _joined(heading, examples[:_FEW]), rest if described else ""):
            _write(formatter, text)
        records = [parameter.get_help_record(ctx) for parameter in self._shown]
        with formatter.section("Main options"):
            formatter.write_dl([_brief(*record) for record in records if record])
        also = "" if described else " and the whole description"
        formatter.write_paragraph()
        formatter.write_text(
            f"All {len(self.options())} options{also}: {ctx.command_path} --help-all"
        )
        return formatter.getvalue()

    def options(self) -> list[click.Option]:
        """What may be chosen; the options that ask for help are left out."""
        found = [one for one in self.params if isinstance(one, click.Option) and not one.hidden]
        return [one for one in found if one.name != "help_all"]


def section(name: str, decorator: Callable) -> Callable:
    """The options of a decorator, under a heading in `--help-all`.

    Args:
        name: the heading.
        decorator: decorates a function with click's options.
    """

    def decorate(function: Callable) -> Callable:
        there = len(getattr(function, "__click_params__", ()))
        function = decorator(function)
        for parameter in function.__click_params__[there:]:
            parameter.section = name
        return function

    return decorate


def _brief(flag: str, text: str) -> tuple[str, str]:
    """An option's line on the first screen: its first statement and its default."""
    if len(flag) > _WIDE:
        flag = f"{flag.partition(' ')[0]} NAME"
    default = _DEFAULT.search(text)
    said = _END.split(_DEFAULT.sub("", text).strip(), maxsplit=1)[0].strip()
    if said.count("(") > said.count(")"):
        said = said.rpartition("(")[0].strip()
    if default:
        value = (default[1] or "").strip("(")
        said += f" [{default[2] or f'default: {value}'}]"
    return flag, said


def _help_all(*, hidden: bool) -> click.Option:
    def show(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
        if wanted and not ctx.resilient_parsing:
            click.echo(ctx.command.whole_help(ctx), nl=False)
            ctx.exit()

    return click.Option(
        ["--help-all"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        hidden=hidden,
        help="Show all options.",
    )


def _write(formatter: click.HelpFormatter, text: str) -> None:
    if text:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(text)


def _parts(text: str) -> tuple[str, str, list[str], str]:
    """What a verb is for, its examples' heading, each with its lines, and what else is said."""
    said, heading, examples = (*_EXAMPLES.split(cleandoc(text), maxsplit=1), "", "")[:3]
    what, _, rest = said.strip().partition("\n\n")
    commands: list[str] = []
    for line in examples.rstrip().splitlines():
        if commands and commands[-1].endswith("\\"):
            commands[-1] += f"\n{line}"
        else:
            commands.append(line)
    return what, heading, commands, rest.strip()


def _joined(heading: str, examples: list[str]) -> str:
    return "\n".join(["\b", heading, *examples]) if examples else ""
