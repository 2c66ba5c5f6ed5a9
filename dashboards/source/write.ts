// Writes every board in every language: `write FOLDER`.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv } from "node:process";

import { agent } from "./agent";
import { bands } from "./bands";
import { dashboard } from "./dashboard";
import { gpu } from "./gpu";
import { LANGUAGES, sayIn } from "./language";
import { spend } from "./spend";

const folder = argv[2];
if (folder === undefined) throw new Error("usage: write FOLDER");
for (const language of LANGUAGES) {
  const say = sayIn(language);
  mkdirSync(join(folder, language), { recursive: true });
  for (const board of [bands, spend, gpu, agent].map((make) => make(language, say))) {
    const text = JSON.stringify(dashboard(board, language, say), undefined, 2);
    writeFileSync(join(folder, language, `${board.name}.json`), `${text}\n`);
  }
}
