// Commands that read what the grid shows: for a shell, for pandas and for polars. A key is read from the environment, so that
// no command holds one.

import { hasKey } from "./client.js";
import { rowsAddress } from "./grid_view.js";

const HEADER = "X-API-Key";
const VARIABLE = "API_KEY";

export const COMMANDS = { curl, pandas, polars };

function curl(view) {
  const key = hasKey() ? `-H "${HEADER}: $${VARIABLE}" ` : "";
  return `curl ${key}'${absolute(view, "csv").replaceAll("'", "'\\''")}'`;
}

function pandas(view) {
  if (!hasKey()) return `import pandas as pd\n\nframe = pd.read_parquet(\n    "${absolute(view, "parquet")}"\n)`;
  const options = `storage_options={"${HEADER}": os.environ["${VARIABLE}"]}`;
  return `import os\n\nimport pandas as pd\n\nframe = pd.read_parquet(\n    "${absolute(view, "parquet")}",\n    ${options},\n)`;
}

function polars(view) {
  if (!hasKey()) return `import polars as pl\n\nframe = pl.read_parquet(\n    "${absolute(view, "parquet")}"\n)`;
  const request = `Request(\n    "${absolute(view, "parquet")}",\n    headers={"${HEADER}": os.environ["${VARIABLE}"]},\n)`;
  const imports = "import os\nfrom urllib.request import Request, urlopen\n\nimport polars as pl";
  return `${imports}\n\nrequest = ${request}\nframe = pl.read_parquet(urlopen(request).read())`;
}

/** The URL of the rows that are shown; it has no quotes but single ones, and no character beyond ASCII. */
const absolute = (view, format) => new URL(rowsAddress(view, { format }), document.baseURI).href;
