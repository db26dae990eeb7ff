// Queries by @supabase/postgrest-js; their responses are printed as JSON, by name.
// node postgrest_client.mjs FOLDER_OF_NODE_MODULES URL [KEY]
import { createRequire } from "node:module";

const [folder, url, key] = process.argv.slice(2);
const { PostgrestClient } = createRequire(`${folder}/`)("@supabase/postgrest-js");
const headers = key ? { apikey: key, Authorization: `Bearer ${key}` } : {};
const postgrest = new PostgrestClient(url, { headers });
const bars = (columns = "symbol,date", options) => postgrest.from("market_data").select(columns, options);
const kinds = (columns = "id", options) => postgrest.from("kinds").select(columns, options);

const queries = {
  all: postgrest.from("tracked_symbols").select(),
  columns: bars("symbol, date, last:close, shares:volume::text").eq("symbol", "IBM").limit(2),
  neq: kinds().neq("name", "AAPL"),
  comparisons: kinds().gt("id", 1).gte("id", 3).lt("id", 6).lte("id", 5),
  like: kinds().like("name", "AAP%"),
  ilike: kinds().ilike("name", "%aap%"),
  likeAnyOf: kinds().likeAnyOf("name", ["AAPL", "%€"]),
  likeAllOf: kinds().likeAllOf("name", ["A%", "%L"]),
  ilikeAnyOf: kinds().ilikeAnyOf("name", ["aapl", "å%"]),
  regexMatch: kinds().regexMatch("name", "^A{2}"),
  isNull: kinds().is("name", null),
  isTrue: kinds().is("good", true),
  isDistinct: kinds().isDistinct("name", "AAPL"),
  in: kinds().in("name", ["AAPL", "AAP,L"]),
  notIn: kinds().notIn("id", [1, 2, 3]),
  contains: kinds().contains("flags", ["jump"]),
  containedBy: kinds().containedBy("flags", ["jump", "other"]),
  overlaps: kinds().overlaps("flags", ["volume", "other"]),
  match: kinds().match({ price: 1.5, name: "AAPL" }),
  not: kinds().not("name", "is", null),
  or: kinds().or("id.eq.2,name.eq.AAPL"),
  orAnd: kinds().or("id.gt.6,and(id.eq.1,name.eq.AAPL)"),
  filter: kinds().filter("name", "in", '("AAPL","AAP,L")'),
  textSearch: kinds().textSearch("name", "aapl | ångström", { config: "simple" }),
  order: kinds("id, day").order("day", { ascending: false, nullsFirst: false }).order("id", { ascending: false }),
  range: kinds("id", { count: "exact" }).range(2, 4),
  head: kinds("*", { count: "exact", head: true }),
  planned: kinds("*", { count: "planned", head: true }),
  beyond: kinds("id", { count: "exact" }).range(100, 110),
  single: kinds().eq("id", 1).single(),
  singleOfNone: kinds().eq("id", 99).single(),
  singleOfMany: kinds().limit(2).single(),
  maybeSingle: kinds().eq("id", 1).maybeSingle(),
  maybeSingleOfNone: kinds().eq("id", 99).maybeSingle(),
  maybeSingleOfMany: kinds().maybeSingle(),
  csv: kinds("id,name").lte("id", 2).csv(),
  schema: postgrest.schema("public").from("kinds").select("id").eq("id", 1),
  otherSchema: postgrest.schema("private").from("kinds").select("id"),
  unknownTable: postgrest.from("kind").select(),
  unknownColumn: kinds("idd"),
  embedding: kinds("id, splits (ratio)"),
  aggregate: kinds("price.max()"),
  explain: kinds().explain(),
  insert: postgrest.from("kinds").insert({ id: 8 }),
  upsert: postgrest.from("kinds").upsert({ id: 8 }),
  update: postgrest.from("kinds").update({ id: 8 }).eq("id", 1),
  delete: postgrest.from("kinds").delete().eq("id", 1),
  rpc: postgrest.rpc("median", { of: "close" }),
};

const responses = {};
for (const [name, query] of Object.entries(queries)) {
  responses[name] = await query;
}
console.log(JSON.stringify(responses));
