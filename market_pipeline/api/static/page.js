// The page: creates its parts, refreshes them every minute while it is visible, and shows a banner for failures.

import { Candles } from "./candles.js";
import { Changes } from "./changes.js";
import { hasKey, useKey } from "./client.js";
import { Days } from "./days.js";
import { prose } from "./dom.js";
import { Grid } from "./grid.js";
import { Health } from "./health.js";
import { Heatmap } from "./heatmap.js";
import { instant } from "./format.js";
import { Markets } from "./markets.js";
import { Month } from "./month.js";
import { NONE_TRACKED, Overview } from "./overview.js";
import { Runs } from "./runs.js";
import { Universe } from "./universe.js";

const REFRESH_MS = 60_000;
const TYPING_MS = 200;
const CHART_FIRST_MS = 1_000; // the other parts' requests wait so long for those of the chart, at most
const UNAUTHORIZED = 401;

const health = new Health();
const month = new Month();
const candles = new Candles();
const runs = new Runs();
const days = new Days();
const heatmap = new Heatmap({ onOpen: (symbol, day) => month.open(symbol, day) });
const universe = new Universe();
const changes = new Changes();
const grid = new Grid();
const markets = new Markets({ onOpen: (market, first) => universe.open(market, first) });
const overview = new Overview({ onChoose: chooseSymbol, onFilter: filterHeatmap });

const keyForm = document.getElementById("key");
const rejected = document.getElementById("key-rejected");
const parts = [document.querySelector("main"), document.getElementById("health")];
let refreshedAt = 0;
let filtering;

function chooseSymbol(symbol) {
  candles.reveal();
  candles.choose({ symbol });
}

/** Updates the heatmap from the overview once typing pauses. */
function filterHeatmap() {
  clearTimeout(filtering);
  filtering = setTimeout(() => heatmap.show(overview.symbols), TYPING_MS);
}

/** Refreshes all parts. A part that fails shows its own error and doesn't affect the others. */
async function refresh() {
  refreshedAt = Date.now();
  const charted = candles.refresh();
  const links = health.findLinks();
  if (showLocked((await links)?.status === UNAUTHORIZED)) return;
  await Promise.race([charted, new Promise((resolve) => void setTimeout(resolve, CHART_FIRST_MS))]);
  const healthKnown = health.refresh();
  const marketsKnown = markets.refresh();
  const overviewKnown = Promise.all([healthKnown, marketsKnown]).then(() => overview.refresh(markets.elsewhere));
  const errors = await Promise.all([
    healthKnown,
    overviewKnown.then(refreshHeatmap),
    overviewKnown.then(() => days.refresh(elsewhere())),
    marketsKnown.then((error) => error ?? universe.refresh(markets.months)),
    overviewKnown.then(() => runs.refresh(health.dagster, elsewhere())),
    charted,
    changes.refresh(),
    grid.refresh(),
  ]);
  showBanner(health.isWell ? null : errors.find((error) => error !== null));
  document.getElementById("refreshed").textContent = `Last: ${instant(new Date().toISOString())}.`;
  document.body.dataset.state = "settled";
}

/** Shows the form for a key instead of everything else if reading needs one. */
function showLocked(locked) {
  const appears = locked && keyForm.hidden;
  keyForm.hidden = !locked;
  if (appears) keyForm.elements.key.focus();
  for (const part of parts) part.hidden = locked;
  if (locked) {
    rejected.hidden = !hasKey();
    showBanner(null);
    document.body.dataset.state = "settled";
  }
  return locked;
}

/** The sentence for parts of tracked symbols if none is tracked, on markets if there is one; otherwise null. */
const elsewhere = () => (overview.part.state === "empty" ? (markets.elsewhere ?? NONE_TRACKED) : null);

function refreshHeatmap(error) {
  if (error === null) return heatmap.show(overview.symbols, elsewhere());
  heatmap.part.fail(error);
  return error;
}

/** Shows an error that affects the whole page, in place of the parts' own errors. */
function showBanner(error) {
  const banner = document.getElementById("banner");
  banner.hidden = !error;
  banner.replaceChildren(...prose(error?.message ?? ""));
  document.body.toggleAttribute("data-away", Boolean(error));
}

function refreshIfDue() {
  if (!document.hidden && Date.now() - refreshedAt >= REFRESH_MS) refresh();
}

keyForm.addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(keyForm.elements.key.value);
  refresh();
});

await refresh();
if (location.hash === "#candles") candles.reveal();
universe.revealAddressed();
changes.revealAddressed();
grid.revealAddressed();
setInterval(refreshIfDue, REFRESH_MS / 12);
document.addEventListener("visibilitychange", refreshIfDue);
