# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Rows in Parquet files: the parts that a run finishes one by one, and the tables it ends with."""

import collections
import hashlib
import io
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mugv_jax.curate.packages import needed
from mugv_jax.curate.stage import Columns, Row
from mugv_jax.data.whole_files import write_whole

SUFFIX = ".parquet"
TOLD = "mugv_jax"


def arrow_type(name: str) -> Any:
    """Arrow's type for one of `stage.Columns`, such as "float64" or "list<string>"."""
    pa = needed("pyarrow")
    if name.startswith("list<"):
        return pa.list_(arrow_type(name[5:-1]))
    return getattr(pa, "bool_" if name == "bool" else name)()


def write_table(
    path: Path, rows: Sequence[Row], columns: Columns, told: Mapping[str, Any] | None = None
) -> None:
    """Writes a table, whole or not at all; columns that a row lacks are null.

    told: values for the file's metadata, under the key `TOLD`.
    """
    pa, parquet = needed("pyarrow"), needed("pyarrow.parquet")
    fields = [(name, arrow_type(kind)) for name, kind in columns.items()]
    schema = pa.schema(fields, metadata=None if told is None else {TOLD: json.dumps(told)})
    values = {name: [row.get(name) for row in rows] for name in columns}
    content = io.BytesIO()
    parquet.write_table(pa.table(values, schema=schema), content, compression="zstd")
    write_whole(path, content.getvalue())


def read_table(path: Path, without: Collection[str] = ()) -> list[Row]:
    """Rows of a table.

    without: columns that are not read, such as thumbnails.

    Raises:
        ValueError: the file is missing or damaged.
    """
    pa, parquet = needed("pyarrow"), needed("pyarrow.parquet")
    try:
        with parquet.ParquetFile(path) as file:
            names = [name for name in file.schema_arrow.names if name not in without]
            return file.read(names).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


class Parts:
    """The finished units of one phase, a Parquet file each: KEY's rows are in XX/KEY.parquet.

    folder: of the phase; XX are two digits of a hash, so that no folder gets too many files.
    """

    def __init__(self, folder: Path, columns: Columns):
        self.folder, self.columns = folder, columns

    def path(self, key: str) -> Path:
        """File of the unit `key`."""
        return self.folder / hashlib.sha256(key.encode()).hexdigest()[:2] / f"{key}{SUFFIX}"

    def has(self, key: str) -> bool:
        """Whether the unit is finished."""
        return self.path(key).exists()

    def write(self, key: str, rows: Sequence[Row], seconds: Mapping[str, float]) -> None:
        """Writes the unit's rows, and the processor's seconds that each stage took for them."""
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(path, rows, self.columns, seconds)

    def seconds(self, keys: Iterable[str]) -> dict[str, float]:
        """Sum of the processor's seconds of units, by stage."""
        parquet, total = needed("pyarrow.parquet"), collections.Counter[str]()
        for key in keys:
            told = (parquet.read_schema(self.path(key)).metadata or {}).get(TOLD.encode())
            total.update(json.loads(told) if told else {})
        return dict(total)

    def read(self, keys: Iterable[str], without: Collection[str] = ()) -> Iterator[Row]:
        """Rows of finished units, in the order of `keys`."""
        for key in keys:
            yield from read_table(self.path(key), without)


def column_types(*columns: Mapping[str, str]) -> dict[str, str]:
    """Columns of several stages together.

    Raises:
        ValueError: a column that two stages write with different types.
    """
    made: dict[str, str] = {}
    for each in columns:
        for name, kind in each.items():
            if made.setdefault(name, kind) != kind:
                raise ValueError(
                    f"column {name!r} is {made[name]} in one stage, {kind} in another."
                )
    return made
