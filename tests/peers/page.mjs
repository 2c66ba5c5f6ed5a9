// Opens every view in a browser and says what is wrong with it. Takes one JSON argument:
// {sites: [{name, url, thorough}], token_site, evil}, prints one line for each site, and ends with 1
// and the problems where there are any.
//
// A site's views are found by following its links: every shape of an address (its first word, how
// many there are, the names of its query) is opened, at most a few of each.
import { createRequire } from "node:module";
import http from "node:http";

const require = createRequire(`${process.env.COSTBAND_PEERS_NODE_MODULES}/`);
const { chromium } = require("playwright-core");
const axe = require("axe-core");

const WIDTHS = [360, 768, 1280];
const MOST_BYTES = 300_000;
const OF_A_SHAPE = 2;
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
// Loopback names that a browser takes for strangers of one another, and for no secure place.
const NAMES = "MAP agent.test 127.0.0.1, MAP elsewhere.test 127.0.0.1";

const task = JSON.parse(process.argv[2]);
const problems = new Set();
const wrong = (where, what) => problems.add(`${where}: ${what}`);

const browser = await chromium.launch({
  executablePath: process.env.COSTBAND_PEERS_CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", `--host-resolver-rules=${NAMES}`],
});

// A page that is watched: what it asks for, what it says, how many bytes it takes.
const watched = async (context, origin, where) => {
  const page = await context.newPage();
  const bytes = { count: 0, open: [] };
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== origin) wrong(where(), `asks for ${request.url()}`);
  });
  page.on("response", (response) => {
    bytes.open.push(response.body().then((body) => (bytes.count += body.length), () => {}));
  });
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) wrong(where(), `console: ${message.text()}`);
  });
  page.on("pageerror", (error) => wrong(where(), `script: ${error.message}`));
  return { page, bytes };
};

const shape = (url) => {
  const { pathname, searchParams } = new URL(url);
  const words = pathname.split("/").filter(Boolean);
  return `${words[0] ?? ""} ${words.length} ${[...searchParams.keys()].sort()}`;
};

const linked = (page) =>
  page.$$eval("a[href]", (links) => links.map((link) => link.href.split("#")[0]));

const header = (response, name) => response.headers()[name] ?? "";

// What holds for an opened view whatever its width.
const judge = async (where, response, page, bytes, language) => {
  const policy = header(response, "content-security-policy");
  if (!policy.startsWith("default-src 'none'") || /unsafe|\*|https?:/.test(policy)) {
    wrong(where, `policy: ${policy}`);
  }
  const found = await page.evaluate(() => {
    const all = [...document.querySelectorAll("*")];
    const handlers = all.flatMap((one) => one.getAttributeNames().filter((name) => /^on/.test(name)));
    const levels = [...document.querySelectorAll("h1,h2,h3,h4")].map((one) => +one.tagName[1]);
    return {
      language: document.documentElement.lang,
      inline: document.querySelectorAll("[style], style, script:not([src])").length + handlers.length,
      foreign: document.querySelectorAll("img, iframe, object, embed, form[action^='//']").length,
      h1: levels.filter((level) => level === 1).length,
      jump: levels.some((level, index) => level > (levels[index - 1] ?? 1) + 1),
      twice: [...document.querySelectorAll("[id]")].map((one) => one.id)
        .filter((id, index, ids) => ids.indexOf(id) !== index),
    };
  });
  if (found.language !== language) wrong(where, `speaks ${found.language}`);
  if (found.inline) wrong(where, `${found.inline} inline styles, scripts or handlers`);
  if (found.foreign) wrong(where, `${found.foreign} elements that no view has`);
  if (found.h1 !== 1 || found.jump) wrong(where, `headings: ${found.h1} h1, jump ${found.jump}`);
  if (found.twice.length) wrong(where, `the same id twice: ${found.twice.slice(0, 3)}`);
  await Promise.all(bytes.open);
  if (bytes.count > MOST_BYTES) wrong(where, `${bytes.count} bytes`);
};

// The page as a whole never scrolls sideways; wide tables do, in regions of their own.
const fits = async (where, page) => {
  const over = await page.evaluate(() => {
    const root = document.documentElement;
    if (root.scrollWidth <= root.clientWidth) return null;
    const wide = [...document.body.querySelectorAll("*")].filter(
      (one) => one.getBoundingClientRect().right > root.clientWidth + 1 && !one.closest(".scroll"),
    );
    const first = wide.at(-1);
    const named = first && `${first.tagName}.${first.getAttribute("class")} "${first.textContent.slice(0, 40)}"`;
    return `${root.scrollWidth} > ${root.clientWidth}, such as ${named}`;
  });
  if (over) wrong(where, `scrolls sideways: ${over}`);
};

const accessible = async (where, page) => {
  await page.evaluate(axe.source);
  const found = await page.evaluate(
    (rules) => globalThis.axe.run(document, { runOnly: rules, resultTypes: ["violations"] }),
    RULES,
  );
  for (const { id, nodes } of found.violations) {
    const first = nodes[0];
    wrong(where, `axe ${id} (${nodes.length}): ${first.target.join(" ")} ${first.any[0]?.message ?? first.failureSummary}`);
  }
};

const CONTEXTS = [
  { language: "en", scheme: "light", script: true, axe: 360 },
  { language: "en", scheme: "dark", script: true, axe: 360 },
  { language: "ko", scheme: "light", script: true, axe: 1280 },
  { language: "ko", scheme: "dark", script: true, axe: 1280 },
  { language: "en", scheme: "light", script: false },
  { language: "ko", scheme: "light", script: false },
];

const open = async (site, context, views, found) => {
  const { language, scheme, script } = context;
  const made = await browser.newContext({
    locale: language === "ko" ? "ko-KR" : "en-US",
    colorScheme: scheme,
    javaScriptEnabled: script,
    viewport: { width: WIDTHS[0], height: 800 },
  });
  const origin = new URL(site.url).origin;
  let where = site.name;
  const { page, bytes } = await watched(made, origin, () => where);
  for (const view of views) {
    where = `${site.name} ${view.slice(origin.length).slice(0, 80)} ${language} ${scheme}${script ? "" : " without script"}`;
    bytes.count = 0;
    bytes.open = [];
    const response = await page.goto(view, { waitUntil: "load" });
    if (response.status() !== 200) {
      wrong(where, `status ${response.status()}`);
      continue;
    }
    await judge(where, response, page, bytes, language);
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 800 });
      await fits(`${where} ${width}`, page);
      if (width === context.axe) await accessible(`${where} ${width}`, page);
    }
    await page.setViewportSize({ width: WIDTHS[0], height: 800 });
    if (found) found(await linked(page));
    if (script && !(await page.$(".live button"))) wrong(where, "the script did not run");
  }
  await made.close();
};

for (const site of task.sites) {
  const origin = new URL(site.url).origin;
  const core = [`${origin}/`];
  const asked = [];
  const shapes = new Map();
  const take = (links) => {
    for (const link of links) {
      const url = new URL(link);
      const isView = url.origin === origin && !/^\/(api|metrics|assets)/.test(url.pathname);
      if (!isView || url.searchParams.has("lang") || url.searchParams.has("reload")) continue;
      const [key, most] = [shape(link), url.search ? 1 : OF_A_SHAPE];
      const held = shapes.get(key) ?? new Set();
      if (held.size >= most || core.includes(link) || held.has(link)) continue;
      shapes.set(key, held.add(link));
      (url.search ? asked : core).push(link);
    }
  };
  // A list grows while it is walked: what a view links to is a view too.
  const [first, ...others] = CONTEXTS;
  await open(site, first, core, take);
  await open(site, { ...first, axe: undefined }, asked, take);
  const rest = site.thorough ? others : [{ ...others[2], axe: undefined }];
  for (const context of rest) await open(site, context, core);
  console.log(`${site.name}: ${core.length} views, ${asked.length} with a query, ${1 + rest.length} browsers`);
}

// Presses what a person at a keyboard presses; it goes without script too.
const press = async (page, selector) => {
  await page.focus(selector);
  await page.keyboard.press("Enter");
};

// Takes an alert as a person does: with a password, by the form, with and without script, over plain
// HTTP and from the own machine; and as another site would have it done.
const takeAlert = async (site, host, script) => {
  const where = `sign-in at ${host}${script ? "" : " without script"}`;
  const url = new URL(site.url);
  url.hostname = host;
  const context = await browser.newContext({
    locale: "en-US",
    javaScriptEnabled: script,
    httpCredentials: { username: "jin", password: site.token },
  });
  const page = await context.newPage();
  await page.goto(new URL("/alerts", url).href);
  const styled = () => page.evaluate(() => [...document.styleSheets].some((one) => one.cssRules.length > 9));
  if (!(await styled())) wrong(where, "the page has no style");
  if (script && !(await page.$(".live button"))) wrong(where, "the page has no script");
  await press(page, ".alerts a");
  await page.waitForSelector("#take-comment");
  await page.waitForLoadState("load");
  if (!(await styled())) wrong(where, "an alert's page has no style");
  await page.fill("#take-comment", "from a browser");
  await press(page, "form:has(#take-comment) button");
  await page.waitForSelector("form[action$=give-back]");
  const told = await page.textContent("main");
  if (!told.includes("jin has taken it")) wrong(where, "the form did not take the alert");
  // Another site's form with the same fields: the browser adds the password by itself.
  const action = page.url();
  await page.goto(`http://elsewhere.test:${elsewhere.address().port}/?${encodeURIComponent(action)}`);
  const [answer] = await Promise.all([page.waitForNavigation(), press(page, "button")]);
  if (answer.status() !== 403) wrong(where, `another site's form was answered with ${answer.status()}`);
  await page.goto(action);
  if (!(await page.textContent("main")).includes("jin has taken it")) wrong(where, "another site changed an alert");
  await press(page, "form[action$=give-back] button");
  await page.waitForSelector("#take-comment");
  if (!(await page.textContent("main")).includes("by nobody")) wrong(where, "it was not given back");
  await context.close();
};

// A site that has nothing to say here.
const elsewhere = http.createServer((request, response) => {
  const action = decodeURIComponent(request.url.slice(2));
  response.setHeader("content-type", "text/html");
  response.end(
    action.startsWith("http")
      ? `<form method=post action="${action}/give-back"><button>Give back</button></form>`
      : "",
  );
});
if (task.desk) {
  await new Promise((listening) => elsewhere.listen(0, "127.0.0.1", listening));
  for (const host of ["127.0.0.1", "agent.test"]) {
    for (const script of [true, false]) await takeAlert(task.desk, host, script);
  }
  elsewhere.close();
  console.log("sign-in: an alert was taken and given back, and kept from another site");
}

await browser.close();
for (const problem of problems) console.error(problem);
process.exit(problems.size ? 1 : 0);
