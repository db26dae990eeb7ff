// The head of the page: state of database and scheduler, time of the next run, and links.

import { fetchJson } from "./client.js";
import { element, fact, prose, replace } from "./dom.js";
import { distance, instant } from "./format.js";
import { Part } from "./part.js";

const UNAVAILABLE = 503;

export class Health {
  constructor() {
    this.part = new Part("health");
    this.dagster = null;
  }

  /** True if the API responds and reaches its database. */
  get isWell() {
    return this.part.state === "ready" && this.part.section.dataset.health !== "bad";
  }

  refresh() {
    return this.part.show(
      () => fetchJson("health", [UNAVAILABLE]),
      (health) => this.render(health),
    );
  }

  render(health) {
    const { section, body } = this.part;
    const { running, reason, next_run: next } = health.scheduler;
    const reachable = health.database === "reachable";
    section.dataset.health = reachable ? (running ? "good" : "warning") : "bad";
    replace(
      body,
      fact("Database", light(reachable ? "good" : "bad"), health.database),
      fact(
        "Scheduler",
        light(running ? "good" : "warning"),
        ...prose(running ? "running" : `not running${reason ? `: ${reason}` : ""}`),
      ),
      fact(
        "Next run",
        ...(next ? [time(next), element("span", { class: "soft" }, ` ${distance(next)}`)] : ["none planned"]),
      ),
    );
  }

  /** Fetches the URLs of the docs and the Dagster UI; returns the error, which leaves the links as they are, or null. */
  async findLinks() {
    const links = await fetchJson("api/v1/links").catch((error) => error);
    if (links instanceof Error) return links;
    document.getElementById("link-docs").href = links.docs;
    this.dagster = webAddress(links.dagster);
    const anchor = document.getElementById("link-dagster");
    anchor.hidden = this.dagster === null;
    if (this.dagster) anchor.href = this.dagster;
    return null;
  }
}

const light = (state) => element("span", { class: "light", "data-light": state, "aria-hidden": "true" });

const time = (iso) => element("time", { datetime: iso }, `${instant(iso)} UTC`);

function webAddress(address) {
  return typeof address === "string" && /^https?:\/\//.test(address) ? address.replace(/\/+$/, "") : null;
}
