// Reads a JSON object of graphs in Graphviz's language, and writes one of SVGs under the same names.
import { instance } from "@viz-js/viz";
import { readFileSync } from "node:fs";

const viz = await instance();
const drawn = Object.entries(JSON.parse(readFileSync(0, "utf8"))).map(([name, graph]) => [name, viz.renderString(graph, { format: "svg" })]);
process.stdout.write(JSON.stringify(Object.fromEntries(drawn)));
