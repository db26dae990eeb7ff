"""Protection of texts in CSV, which spreadsheets take for formulas if they begin like one: CWE-1236."""

FORMULA_STARTS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
"""First characters of a text that a spreadsheet computes, by OWASP's list; the last four are full-width."""

_CODES = ", ".join(str(ord(character)) for character in FORMULA_STARTS)
_NUMBER = r"'^[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?$'"


def is_textual(type_name: str) -> bool:
    """Return True if a column of this PostgreSQL type may hold any text; no number, date or list does."""
    return type_name.lower().startswith(("text", "character", "varchar", "name", "citext")) and "[" not in type_name


def plain_text(column: str) -> str:
    """Return the SQL of a text column that puts an apostrophe before formulas, but not before numbers."""
    text = f"{column}::text"
    return f"CASE WHEN ascii({text}) IN ({_CODES}) AND {text} !~ {_NUMBER} THEN '''' || {text} ELSE {text} END"
