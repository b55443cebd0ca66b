"""Hostile texts: JSON, TOML, CSV, YAML. Each construct is bytes, or says what the file is; none is from elsewhere."""

import json

DEEP = 100_000
GIANT = "1" * 5000  # beyond what Python makes a number of


def json_constructs(first: str = '"x": 1') -> dict[str, bytes]:
    """By name, texts of which no reader may take one. first: the member that the reader is recognised by."""
    inside = {
        "deep-lists": "[" * DEEP + "]" * DEEP,
        "deep-objects": '{"a":' * DEEP + "1" + "}" * DEEP,
        "deep-alternating": '[{"a":' * DEEP + "1" + "}]" * DEEP,
        "depth-65": "[" * 70 + "]" * 70,
        "deep-unclosed": "[" * DEEP,
        "integer-of-5000-digits": GIANT,
        "integer-of-400-digits": "1" * 400,
        "integer-of-21-digits": "-" + "9" * 21,
        "beyond-float": "1e999",
        "beyond-float-negative": "-1e999",
        "lone-surrogate": r'"\ud800"',
        "lone-surrogate-low": r'"a\udfffb"',
        "null-character": r'"a\u0000b"',
        "text-of-2-MB": '"' + "a" * (2 << 20) + '"',
        "3-million-values": "[" + "1," * 3_000_000 + "1]",
        "million-objects": "[" + "{}," * 1_500_000 + "{}]",
        "unclosed-text": '"abc',
        "escapes-unclosed": '"' + r"\"" * 200_000,
        "bad-escape": r'"\x41"',
        "control-character": '"a\x01b"',
        "single-quotes": "'a'",
        "trailing-comma": "[1,]",
        "comment": "1 /* a */",
        "plus": "+1",
        "leading-zero": "01",
        "hexadecimal": "0x10",
        "bare-word": "nul",
        "duplicate-inside": '{"a": 1, "a": 2}',
    }
    found = {name: ("{" + first + ', "y": ' + text + "}").encode() for name, text in inside.items()}
    found |= {
        "duplicate-member": ("{" + first + ", " + first + "}").encode(),
        "no-utf8": b"{" + first.encode() + b', "y": "\xff\xfe"}',
        "encoded-surrogate": b"{" + first.encode() + b', "y": "\xed\xa0\x80"}',
        "overlong": b"{" + first.encode() + b', "y": "\xc0\xaf"}',
        "utf16": ("{" + first + "}").encode("utf-16"),
        "utf32": ("{" + first + "}").encode("utf-32"),
        "two-marks": b"\xef\xbb\xbf\xef\xbb\xbf{" + first.encode() + b"}",
        "truncated": ("{" + first + ', "y": [1, 2').encode(),
        "garbage-behind": ("{" + first + "} x").encode(),
        "two-texts": ("{" + first + "}{" + first + "}").encode(),
        "40-MB": ("{" + first + ', "y": "').encode() + b" " * (40 << 20) + b'"}',
    }
    return found


# Of a file whose kind its content does not decide.
JSON_WHOLE = {
    "empty": b"",
    "blanks": b" \n\t ",
    "list": b"[]",
    "number": b"3",
    "text": b'"a"',
    "null": b"null",
    "true": b"true",
    "nan": b"NaN",
    "zeros": b"\0" * 4096,
    "binary": bytes(range(256)) * 16,
    "members-of-other-types": json.dumps({"format": {}, "id": [], "config": 3, "space": None}).encode(),
}
NOT_FINITE = {name: f'{{"x": {name}}}'.encode() for name in ("NaN", "Infinity", "-Infinity")}

TOML = {
    "deep-lists": "x = " + "[" * DEEP + "]" * DEEP,
    "depth-65": "x = " + "[" * 70 + "]" * 70,
    "deep-tables": "x = " + "{a = " * 5000 + "1" + "}" * 5000,
    "deep-unclosed": "x = " + "[" * DEEP,
    "dotted-key": ".".join("a" * 40_000) + " = 1",
    "dotted-quoted-key": ".".join(["'a'"] * 40_000) + " = 1",
    "dotted-double-quoted-key": ".".join(['"a"'] * 40_000) + " = 1",
    "dotted-header": "[" + ".".join("a" * 40_000) + "]",
    "dotted-array-header": "[[" + " . ".join("a" * 40_000) + "]]",
    "dotted-inline": "x = {" + ".".join("a" * 40_000) + " = 1}",
    "many-dotted-keys": "\n".join(".".join(f"a{i}b{j}" for j in range(40)) + " = 1" for i in range(200)),
    "integer-of-5000-digits": f"seed = {GIANT}",
    "hexadecimal-of-5000-digits": f"seed = 0x{GIANT}",
    "binary-of-5000-digits": f"seed = 0b{GIANT}",
    "octal-of-5000-digits": f"seed = 0o{GIANT}",
    "underscored-of-5000-digits": "seed = " + "1_" * 5000 + "1",
    "float-of-5000-digits": f"seed = {GIANT}.0",
    "integer-of-25-digits": "seed = " + "9" * 25,
    "duplicate-key": "seed = 1\nseed = 2",
    "duplicate-table": "[supernet]\n[supernet]",
    "null-escape": r'task = "a\u0000b"',
    "null-key": r'"a\u0000b" = 1',
    "surrogate-escape": r'task = "\ud800"',
    "beyond-unicode": r'task = "\UFFFFFFFF"',
    "null": "task = 'a\0b'",
    "control": "task = 'a\x01b'",
    "impossible-date": "seed = 2026-13-45",
    "year-0": "seed = 0000-01-01",
    "offset": "seed = 2026-01-01T00:00:00+99:99",
    "unclosed-text": 'task = "abc',
    "unclosed-multiline": 'task = """abc' + '\\"' * 100_000,
    "unclosed-literal": "task = '''abc" + "'" * 2 + "a" * 100_000,
    "returns": "seed = 1\rtask = 2",
    "binary": "".join(map(chr, range(256))) * 16,
    "2-MB": "# " + "a" * (2 << 20),
    "million-tables": "\n".join(f"[a{i}]" for i in range(100_000)),
    "bare-key-of-1-MB": "a" * 1_000_000,
    "spaces": "a" + " " * 1_000_000 + ". b",
    "quotes": '"' * 999_999,
    "single-quotes": "'" * 999_999,
    "brackets": "[]" * 400_000,
    "hashes": "x = 1 #" * 100_000 + "\ny",
}


def toml_constructs() -> dict[str, bytes]:
    found = {name: text.encode("latin-1") for name, text in TOML.items()}
    bare = {"no-utf8": b"task = '\xff'", "utf16": "seed = 1".encode("utf-16"), "encoded-surrogate": b"x='\xed\xa0\x80'"}
    return found | bare


def csv_constructs(header: str, row: str, number: int) -> dict[str, bytes]:
    """header, row: of a file that its reader would take; number: the column of `row` that is a number."""

    def instead(value: str) -> str:
        fields = row.split(";")
        fields[number] = value
        return ",".join(fields)

    columns, good = header.replace(";", ","), row.replace(";", ",")
    texts = {
        "header-alone": f"{columns}\n",
        "ragged": f"{columns}\n{good},1\n",
        "short": f"{columns}\n{good.partition(',')[0]}\n",
        "two-columns-of-a-name": f"{columns},{columns.split(',')[0]}\n{good},1\n",
        "20000-columns": f"{columns},{','.join(f'c{i}' for i in range(20_000))}\n{good}{',1' * 20_000}\n",
        "million-columns": f"{columns}{',' * 1_000_000}\n{good}{',' * 1_000_000}\n",
        "unclosed-quote": f'{columns}\n"{good}\n',
        "quote-inside": f'{columns}\n"a"b,{good}\n',
        "field-of-200-kB": f"{columns}\n{instead('1' * 200_000)}\n",
        "line-of-140-MB": f"{columns}\n" + "a" * (140 << 20),
        "rows-without-end": f"{columns}\n" + f"{good}\n" * 10 + "1\n" * 3_000_000,
        "heavy-characters": f"{columns}\n" + f"{chr(0x1D538) * 30_000}\n" * 1200,
        "beyond-float": f"{columns}\n{instead('1e999')}\n",
        "nan": f"{columns}\n{instead('nan')}\n",
        "infinity": f"{columns}\n{instead('inf')}\n",
        "underscores": f"{columns}\n{instead('1_0')}\n",
        "other-digits": f"{columns}\n{instead('٣')}\n",
        "hexadecimal": f"{columns}\n{instead('0x10')}\n",
        "formula": f"{columns}\n{instead('=1+1')}\n",
        "negative": f"{columns}\n{instead('-5')}\n",
        "null": f"{columns}\n{instead('1' + chr(0))}\n",
        "null-in-text": f"{columns}\n{chr(0)}{good}\n",
        "semicolons": f"{header}\n{row}\n",
        "deep-brackets": f'{columns}\n"{"(" * 900}",{good.partition(",")[2]}\n',
    }
    found = {name: text.encode() for name, text in texts.items()}
    return found | {
        "no-utf8": f"{columns}\n".encode() + b"\xff\xfe" + good.encode(),
        "utf16": f"{columns}\n{good}\n".encode("utf-16"),
        "encoded-surrogate": f"{columns}\n".encode() + b"\xed\xa0\x80," + good.partition(",")[2].encode(),
        "blank-lines": f"{columns}\n".encode() + b"\n" * 1_000_000,
    }


YAML = {
    "deep": "\n".join(" " * i + "a:" for i in range(2000)),
    "alias-bomb": "a: &a [x]\nb: &b [*a,*a]\n",
    "tag": "a: !!python/object/apply:os.system ['true']\n",
    "no-mean": "a:\n  count: 1\n",
    "nan": "a:\n  mean: nan\n",
    "infinity": "a:\n  mean: inf\n",
    "beyond-float": "a:\n  mean: 1e999\n",
    "integer-of-5000-digits": f"a:\n  mean: {GIANT}\n",
    "underscores": "a:\n  mean: 1_0\n",
    "other-digits": "a:\n  mean: ٣\n",
    "negative": "a:\n  mean: -1\n",
    "zero": "a:\n  mean: 0\n",
    "twice": "a:\n  mean: 1\na:\n  mean: 1\n",
    "field-twice": "a:\n  mean: 1\n  mean: 1\n",
    "another-field": "a:\n  median: 1\n",
    "empty": "",
    "null": "a\0:\n  mean: 1\n",
    "list": "- a\n- b\n",
    "tabs": "\ta:\n\t\tmean: 1\n",
    "20-MB": "# " + "a" * (20 << 20),
    "documents": "---\n" * 1000,
    "other-keys": "a:\n  mean: 1\n",
}
