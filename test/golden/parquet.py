"""Writes the files of test/golden/parquet: rows as Parquet's reference implementation writes them, and as JSON.

    python test/golden/parquet.py        (pyarrow 25.0.1)
"""

import datetime
import decimal
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = pathlib.Path(__file__).with_suffix("")

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
CHATS = pa.schema([
    ("prompt", pa.string()), ("chosen", MESSAGES), ("rejected", MESSAGES), ("score_chosen", pa.float64()),
    ("id", pa.int64()), ("source", pa.string()),
])


def chats(count):
    """Preference pairs, of which every kind of nothing is there."""
    rows = []
    for i in range(count):
        question = {"role": "user", "content": f"Which is number {i}? " + "é日🙂" * (i % 5)}
        answer = {"role": "assistant", "content": None if i % 13 == 12 else f"It is {i}. " + "la " * (i % 9)}
        rows.append({
            "prompt": None if i % 7 == 3 else question["content"],
            "chosen": [question, answer],
            "rejected": None if i % 11 == 5 else [] if i % 11 == 7 else [question, None] if i % 11 == 8 else [question],
            "score_chosen": None if i % 3 == 2 else i / 2,
            "id": 10**12 + i,
            "source": None if i % 5 == 4 else ["sharegpt", "flan"][i % 2],
        })
    return rows


COMPLETION = pa.struct([
    ("model", pa.string()), ("response", pa.string()), ("overall_score", pa.float64()),
    ("annotations", pa.struct([
        (aspect, pa.struct([("Rating", pa.string()), ("Rationale", pa.string()), ("Type", pa.list_(pa.string()))]))
        for aspect in ["honesty", "helpfulness"]
    ])),
])
FEEDBACK = pa.schema([("instruction", pa.string()), ("models", pa.list_(pa.string())), ("completions", pa.list_(COMPLETION))])


def feedback(count):
    def completion(i):
        rating = {"Rating": str(1 + i % 5), "Rationale": f"Because of {i}.", "Type": None if i % 3 else ["1", "None"][: i % 4]}
        return {
            "model": f"m{i % 4}", "response": "so " * (i % 7), "overall_score": i % 10 / 2,
            "annotations": None if i % 6 == 5 else {"honesty": None if i % 4 == 3 else rating, "helpfulness": rating},
        }

    return [{
        "instruction": f"Do {i}", "models": [f"m{k}" for k in range(i % 4)],
        "completions": [completion(i + k) for k in range(i % 4)],
    } for i in range(count)]


SPARSE = pa.schema([("a", pa.list_(pa.struct([("b", pa.list_(pa.string())), ("c", pa.struct([("d", pa.int64())]))])))])


def sparse():
    """Lists in lists of which little is there: row groups without a value, rows longer than a page."""
    full = {"b": ["x", None, "y", "", "z"], "c": {"d": 1}}
    return [{"a": a} for a in [[], None, [{"b": None, "c": None}, None], [full, {"b": [], "c": {"d": None}}, full]]]


def types():
    """A column of each type, with what it is as JSON beside."""
    utc = datetime.timezone.utc
    time = datetime.datetime(2024, 2, 29, 12, 30, 15, 678000)
    return {
        "int8": (pa.int8(), [-128, 127, None], [-128, 127, None]),
        "int64": (pa.int64(), [2**53 - 1, 2**53, -(2**63)], [2**53 - 1, str(2**53), str(-(2**63))]),
        "uint32": (pa.uint32(), [2**32 - 1, 0, None], [2**32 - 1, 0, None]),
        "uint64": (pa.uint64(), [2**64 - 1, 7, None], [str(2**64 - 1), 7, None]),
        "float32": (pa.float32(), [0.5, -1.25, None], [0.5, -1.25, None]),
        "float16": (pa.float16(), [0.5, -1.25, None], [0.5, -1.25, None]),
        "float64": (pa.float64(), [0.1, float("nan"), float("inf")], [0.1, None, None]),
        "bool": (pa.bool_(), [True, False, None], [True, False, None]),
        "null": (pa.null(), [None] * 3, [None] * 3),
        "date": (pa.date32(), [datetime.date(2024, 2, 29), datetime.date(1969, 12, 31), None], ["2024-02-29", "1969-12-31", None]),
        "ms": (pa.timestamp("ms"), [time, None, time], ["2024-02-29T12:30:15.678Z", None, "2024-02-29T12:30:15.678Z"]),
        "us": (pa.timestamp("us", "UTC"), [time.replace(tzinfo=utc), None, None], ["2024-02-29T12:30:15.678Z", None, None]),
        "ns": (pa.timestamp("ns"), [time, None, None], ["2024-02-29T12:30:15.678Z", None, None]),
        "decimal": (pa.decimal128(9, 2), [decimal.Decimal("1234.50"), decimal.Decimal("-0.25"), None], [1234.5, -0.25, None]),
        "binary": (pa.binary(), ["é日".encode(), b"", None], ["é日", "", None]),
        "large": (pa.large_string(), ["long", "", None], ["long", "", None]),
        "lists": (pa.list_(pa.list_(pa.int32())), [[[1, 2], [], None], [], None], [[[1, 2], [], None], [], None]),
        "map": (pa.map_(pa.string(), pa.int64()), [[("a", 1), ("b", None)], [], None], [{"a": 1, "b": None}, {}, None]),
        "struct": (pa.struct([("a", pa.int64()), ("b", pa.struct([("c", pa.string())]))]),
                   [{"a": 1, "b": {"c": "x"}}, {"a": None, "b": None}, None],
                   [{"a": 1, "b": {"c": "x"}}, {"a": None, "b": None}, None]),
    }


def write(name, rows, schema, **options):
    options = {"compression": "none", "store_schema": False, "row_group_size": 12, **options}
    pq.write_table(pa.Table.from_pylist(rows, schema), FOLDER / f"{name}.parquet", **options)


def write_json(name, rows):
    (FOLDER / f"{name}.json").write_text(json.dumps(rows, ensure_ascii=False, indent=0).replace("\n", ""), "utf-8")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    rows = chats(30)
    write_json("chats", rows)
    for compression in ["snappy", "gzip", "zstd", "brotli", "lz4"]:
        write(f"chats-{compression}", rows, CHATS, compression=compression)
    # A page a few values: pages of a column end at other rows than those of the next.
    small = {"data_page_size": 1, "write_batch_size": 7, "row_group_size": 100}
    write("chats-pages", rows, CHATS, use_dictionary=["source"], **small)
    write("chats-pages-v2", rows, CHATS, compression="zstd", data_page_version="2.0", write_page_index=True, **small)
    encodings = {
        "prompt": "DELTA_BYTE_ARRAY", "chosen.list.element.content": "DELTA_LENGTH_BYTE_ARRAY",
        "score_chosen": "BYTE_STREAM_SPLIT", "id": "DELTA_BINARY_PACKED",
    }
    write("chats-encodings", rows, CHATS, compression="snappy", data_page_version="2.0", use_dictionary=False, column_encoding=encodings)

    rows = feedback(16)
    write_json("feedback", rows)
    write("feedback", rows, FEEDBACK, compression="snappy", row_group_size=9)

    rows = sparse()
    write_json("sparse", rows)
    for version in ["1.0", "2.0"]:
        small = {"data_page_size": 1, "write_batch_size": 2, "row_group_size": 2}
        write(f"sparse-v{version[0]}", rows, SPARSE, compression="lz4", data_page_version=version, **small)

    columns = types()
    names = list(columns)
    schema = pa.schema([(name, columns[name][0]) for name in names])
    write("types", [{name: columns[name][1][i] for name in names} for i in range(3)], schema)
    write_json("types", [{name: columns[name][2][i] for name in names} for i in range(3)])
    write("bytes", [{"a": 1, "image": {"bytes": b"ok"}}, {"a": 2, "image": {"bytes": b"\xff\xd8"}}],
          pa.schema([("a", pa.int64()), ("image", pa.struct([("bytes", pa.binary())]))]))
