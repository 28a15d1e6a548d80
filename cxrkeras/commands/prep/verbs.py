"""`cxrkeras prep`: raw DICOM, images and tables -> a prepared dataset."""

import click

from cxrkeras.commands.prep.auto import auto_command
from cxrkeras.commands.prep.phantom import phantom_command
from cxrkeras.commands.prep.reader import reader_command
from cxrkeras.commands.shared.nearest import check_verb
from cxrkeras.registry import READERS


class _Readers(click.Group):
    """A verb per reader, made when it is called; the list of them imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *READERS.names()})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        ours = super().get_command(ctx, name)
        return ours or (reader_command(name) if name in READERS.names() else None)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple:
        check_verb(ctx, args[0], self.list_commands(ctx), "cxrkeras prep --help")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._line(name)) for name in self.list_commands(ctx)])

    def _line(self, name: str) -> str:
        if name in self.commands:
            return self.commands[name].get_short_help_str(limit=100)
        about = READERS.about(name)
        return f"{about.line} ({about.package})" if about.package else about.line


@click.group("prep", cls=_Readers)
def command() -> None:
    """Turn raw DICOM files, images and tables into a dataset to train on.

    Each verb may be stopped or killed at any time; the same command then resumes. A file that can't
    be used never stops the run; it is listed in rejected.csv with the reason. In a finished
    dataset, the same command restores missing images, and with --verify damaged ones too.

    \b
    Examples:
      cxrkeras prep auto Downloads/archive
      cxrkeras prep table --images DIR --labels labels.csv --out data/ours
      cxrkeras prep nih ChestXray-NIHCC --out data/nih
      cxrkeras prep chexpert CheXpert-v1.0-small --out data/chexpert --image-size 320
      cxrkeras prep nih /shared/ChestXray-NIHCC --out /shared/data/nih --executor ray
    """


command.add_command(auto_command)
command.add_command(phantom_command)
