// Takes pictures of a running agent's views: node pictures.mjs URL FOLDER [NAME...]. Waits until every cloud's
// bill has a forecast and GPUs have cost something, so that a picture has something in every place.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.COSTBAND_PEERS_NODE_MODULES}/`);
const { chromium } = require("playwright-core");
const [url, folder, ...wanted] = process.argv.slice(2);

const PICTURES = [
  { name: "bands", path: "/", width: 1080, height: 672 },
  { name: "bands-dark", path: "/", width: 1080, height: 672, dark: true },
  { name: "bands-ko", path: "/", width: 1080, height: 672, language: "ko" },
  { name: "bands-phone", path: "/", width: 360, height: 740 },
  { name: "band", path: "a:bands/", width: 1080, height: 760 },
  { name: "spend", path: "/spend", width: 1000, height: 660 },
  { name: "gpu", path: "/gpu", width: 1080, height: 760 },
  { name: "alerts", path: "/alerts", width: 1080, height: 760 },
  { name: "record", path: "/record?band=aws#days", width: 1080, height: 700 },
  { name: "band-ko", path: "a:bands/", width: 1080, height: 760, language: "ko" },
  { name: "spend-ko", path: "/spend", width: 1000, height: 660, language: "ko" },
  { name: "gpu-ko", path: "/gpu", width: 1080, height: 760, language: "ko" },
  { name: "alerts-ko", path: "/alerts", width: 1080, height: 760, language: "ko" },
  { name: "alerts-phone-dark", path: "/alerts", width: 360, height: 740, dark: true },
];

const is_ready = async () => {
  const bands = await fetch(`${url}/api/v1/forecast`).then((answer) => answer.json(), () => ({}));
  const anomalies = await fetch(`${url}/api/v1/anomalies`).then((answer) => answer.json(), () => ({}));
  const gpu = await fetch(`${url}/api/v1/gpu`).then((answer) => answer.json(), () => ({}));
  const has_money = gpu.periods?.[0]?.workloads.length > 0;
  return bands.bands?.length >= 3 && anomalies.changes?.length >= 3 && has_money;
};
for (let tries = 0; !(await is_ready()); tries += 1) {
  if (tries > 480) throw new Error("the demo has no forecasts after four minutes");
  await new Promise((wait) => setTimeout(wait, 500));
}

const browser = await chromium.launch({
  executablePath: process.env.COSTBAND_PEERS_CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu"],
});
for (const { name, path, width, height, dark, language } of PICTURES) {
  if (wanted.length && !wanted.includes(name)) continue;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: dark ? "dark" : "light",
    reducedMotion: "reduce",
    locale: language === "ko" ? "ko-KR" : "en-US",
  });
  const page = await context.newPage();
  if (path.startsWith("a:")) {
    await page.goto(`${url}/`);
    await page.click(`main a[href*="${path.slice(2)}"]`);
    await page.waitForLoadState();
  } else {
    const answer = await page.goto(`${url}${path}`);
    if (answer.status() !== 200) throw new Error(`${path} was answered with ${answer.status()}`);
  }
  await page.screenshot({ path: `${folder}/${name}.png` });
  await context.close();
}
await browser.close();
