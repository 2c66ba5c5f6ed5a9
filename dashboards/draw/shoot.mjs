// Opens the drawn boards in Chromium and takes their pictures:
// node shoot.mjs FOLDER-OF-THE-BUNDLE BOARDS PICTURES PROMETHEUS NOW STEP CHROMIUM

import { createServer } from "node:http";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { argv } from "node:process";

import { chromium } from "playwright-core";

const [bundle, boards, pictures, prometheus, now, step, executablePath] = argv.slice(2);
const PICTURES = [
  ["en", "bands", "light"], ["en", "bands", "dark"],
  ["en", "spend", "light"],
  ["en", "gpu", "light"],
  ["en", "agent", "light"],
  ["ko", "bands", "light"],
];
/** What is chosen where a variable is not left as the board has it. */
const VALUES = { band: ["aws", "gcp", "azure"] };

const page_ = `<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="/draw.css">
<body style="margin:8px"><div id="board" style="width:1392px"></div><script src="/draw.js"></script>`;
const server = createServer(async (request, response) => {
  const files = { "/draw.js": "text/javascript", "/draw.css": "text/css" };
  const kind = files[request.url];
  if (kind === undefined) response.setHeader("content-type", "text/html").end(page_);
  else response.setHeader("content-type", kind).end(await readFile(join(bundle, request.url)).catch(() => ""));
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const address = `http://127.0.0.1:${server.address().port}/`;

const profile = await mkdtemp(join(tmpdir(), "costband-draw-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  viewport: { width: 1408, height: 900 },
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--force-device-scale-factor=1",
  ],
});
let failed = false;
try {
  for (const [language, name, mode] of PICTURES) {
    const board = JSON.parse(await readFile(join(boards, language, `${name}.json`), "utf8"));
    const page = await browser.newPage();
    const complain = (text) => {
      console.error(`${language}/${name}: ${text}`);
      failed = true;
    };
    page.on("pageerror", (error) => complain(error.stack));
    page.on("console", (message) => {
      if (message.type() === "error" && message.text().startsWith("failed to draw")) complain(message.text());
    });
    await page.goto(address);
    const world = { prometheus, now: Number(now), step: Number(step) };
    const height = await page.evaluate(
      ([board, world, mode, values]) => window.draw(board, world, mode, values),
      [board, world, mode, VALUES],
    );
    await page.setViewportSize({ width: 1408, height: Math.ceil(height) + 64 });
    const wanted = await page.evaluate((board) => board.panels.filter((panel) => panel.type !== "row").length, board);
    await page.waitForFunction((wanted) => document.querySelectorAll("[data-panel]").length >= wanted, wanted);
    await page.evaluate(() => document.fonts.ready);
    // Two frames: measured once, drawn once.
    await page.evaluate(() => new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 500)));
    const suffix = `${language === "en" ? "" : `-${language}`}${mode === "dark" ? "-dark" : ""}`;
    await page.screenshot({ path: join(pictures, `${name}${suffix}.png`) });
    await page.close();
  }
} finally {
  await browser.close();
  server.close();
  await rm(profile, { recursive: true, force: true });
}
if (failed) process.exit(1);
