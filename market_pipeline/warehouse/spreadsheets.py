"""Forms of values in CSV, whose readers guess types: texts that are no formulas (CWE-1236), decimals with a point."""

FORMULA_STARTS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
"""First characters of a text that a spreadsheet computes, by OWASP's list; the last four are full-width."""

_CODES = ", ".join(str(ord(character)) for character in FORMULA_STARTS)
_NUMBER = r"'^[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?$'"


def is_textual(type_name: str) -> bool:
    """Return True if a column of this PostgreSQL type may hold any text; no number, date or list does."""
    return type_name.lower().startswith(("text", "character", "varchar", "name", "citext")) and "[" not in type_name


def build_plain_text(column: str) -> str:
    """Return the SQL of a text column that puts an apostrophe before formulas, but not before numbers."""
    text = f"{column}::text"
    return f"CASE WHEN ascii({text}) IN ({_CODES}) AND {text} !~ {_NUMBER} THEN '''' || {text} ELSE {text} END"


def build_decimal_text(column: str, type_name: str) -> str | None:
    """Return the SQL of a decimal column that writes whole numbers as `1.0`; None for other types.

    Readers that take a column's type from its first rows, such as polars, fail where `0.95` follows many `1`s. From
    1e15 on PostgreSQL writes an exponent, which readers take for a decimal number; NaN and infinity are larger.
    """
    lacks_point = {
        "double precision": f"{column} = trunc({column}) AND abs({column}) < 1e15",
        "numeric": f"scale({column}) = 0",
    }.get(type_name.lower())
    text = f"{column}::text"
    return lacks_point and f"CASE WHEN {lacks_point} THEN {text} || '.0' ELSE {text} END"
