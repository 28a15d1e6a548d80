"""VinDr-CXR as PNG files, and its table of one row for each box that a reader drew.

ROOT holds train.csv (image_id, class_name, rad_id, x_min, y_min, x_max, y_max, and the picture's
width and height in pixels) and the films IMAGE_ID.png anywhere below. `No finding` is a row
without a box. A finding that too few readers drew is uncertain.

Download: https://physionet.org/content/vindr-cxr/
Terms: PhysioNet's credentialed access.

Source: Nguyen et al., VinDr-CXR: An open dataset of chest X-rays with radiologist's annotations,
Scientific Data 2022.

Examples:
  cxrkeras prep vindr_png vindr-cxr --out data/vindr
  cxrkeras prep vindr_png vindr-cxr --out data/vindr2 --agree 2
"""

from data_prep.errors import UserError
from data_prep.readers import Reader
from data_prep.readers.shared.archive import located
from data_prep.readers.shared.example import write_film, write_table
from data_prep.readers.shared.records import Box, Record, Source
from data_prep.registry import option

TABLE, NOTHING = "train.csv", "No finding"
BOX = ["x_min", "y_min", "x_max", "y_max"]
COLUMNS = ["image_id", "class_name", "rad_id", *BOX, "width", "height"]


class Part(Reader):
    """The labels are the findings of the table, in alphabetical order."""

    agree: int = option(1, "Readers who must have drawn a finding for it to be positive.", ge=1)

    def read(self, raw, name):
        """See `Reader.read`."""
        frame = self._table(raw)
        films = {path.stem: path for path in sorted(raw.rglob("*.png"))}
        drawn = frame[frame["class_name"] != NOTHING]
        labels = tuple(sorted(drawn["class_name"].unique()))
        readers = drawn.groupby(["image_id", "class_name"])["rad_id"].nunique().to_dict()
        images = list(dict.fromkeys(frame["image_id"]))
        here = [image for image in images if image in films]
        if not here:
            raise UserError(f"None of the {len(images)} images of {TABLE} lies below {raw}.")
        records = [
            Record(films[i], i, tuple(self._code(readers.get((i, x), 0)) for x in labels))
            for i in here
        ]
        return Source(
            name=name,
            labels=labels,
            records=records,
            rejected=[(image, "file not found") for image in images if image not in films],
            origin="VinDr-CXR",
            citation=self.citation_said(),
            notes=(f"{len(here)} of {len(images)} images of the table are here",),
            boxes=tuple(_box(row) for row in drawn.itertuples() if row.image_id in films),
        )

    def _code(self, readers):
        return "1" if readers >= self.agree else "-1" if readers else "0"

    def _table(self, raw):
        import pandas as pd

        tables = located(raw, (TABLE,))
        if not tables:
            raise UserError(f"There is no {TABLE} in {raw}. Give the folder that holds it.")
        frame = pd.read_csv(tables[0], dtype={"image_id": str, "class_name": str, "rad_id": str})
        if missing := [column for column in COLUMNS if column not in frame.columns]:
            raise UserError(f"{tables[0]} needs the column {missing[0]}. Give VinDr-CXR's table.")
        return frame

    @classmethod
    def example(cls, folder):
        """Four films and two readers, who agree on the first alone; see `Reader.example`."""
        rows = [COLUMNS]
        for number in range(4):
            write_film(folder / "films" / f"f{number}.png", number)
            for reader in ("R1", "R2"):
                drew = number == 0 or (number < 3 and reader == "R1")
                finding = "Cardiomegaly" if number < 2 else "Pleural effusion"
                box = [8, 8, 40, 56] if drew else [""] * 4
                rows.append([f"f{number}", finding if drew else NOTHING, reader, *box, 64, 64])
        write_table(folder / TABLE, rows)
        return folder, cls(agree=2)


def _box(row):
    x, y = row.x_min / row.width, row.y_min / row.height
    width, height = (row.x_max - row.x_min) / row.width, (row.y_max - row.y_min) / row.height
    return Box(row.image_id, row.class_name, x, y, width, height)
