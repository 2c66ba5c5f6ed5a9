// Takes the newest figures in every half minute while the page is seen. Without script the page is
// whole, and loads itself anew where its reader asked for that.
"use strict";

(() => {
  const PAUSE_MS = 30_000;
  const live = document.querySelector(".live");
  if (!live) return;
  const words = live.dataset;

  const button = document.createElement("button");
  button.type = "button";
  const lost = document.createElement("p");
  lost.className = "notice problem";
  lost.setAttribute("role", "status");
  lost.hidden = true;
  live.replaceChildren(button);
  document.getElementById("notices").before(lost);

  let paused = sessionStorage.getItem("paused") === "1";
  let timer = 0;
  let loading = false;

  const label = () => {
    button.textContent = paused ? words.resume : words.pause;
  };

  // A person who types, chooses or has half filled a form is not disturbed.
  const changed = (field) => field.value !== field.defaultValue;
  const busy = () => {
    const at = document.activeElement;
    const within = at !== null && at.closest("form") !== null && at.matches("input, textarea, select");
    return within || [...document.querySelectorAll("form :is(input, textarea)")].some(changed);
  };

  const STOPS = "a[href], button, summary, input, select, textarea, [tabindex='0']";

  // Which of the places that a keyboard stops at has the focus.
  const placeOf = (part, one) => [...part.querySelectorAll(STOPS)].indexOf(one);

  const opened = (part) =>
    new Set([...part.querySelectorAll("details[open][id]")].map((one) => one.id));

  const take = (fresh, id) => {
    const held = document.getElementById(id);
    const next = fresh.getElementById(id);
    if (!held || !next || held.innerHTML === next.innerHTML) return;
    const open = opened(held);
    const focused = placeOf(held, document.activeElement);
    const scrolled = [...held.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    held.replaceChildren(...next.childNodes);
    for (const one of open) document.getElementById(one)?.setAttribute("open", "");
    [...held.querySelectorAll(".scroll")].forEach((one, at) => { one.scrollLeft = scrolled[at] ?? 0; });
    if (focused >= 0) held.querySelectorAll(STOPS)[focused]?.focus({ preventScroll: true });
  };

  // What came of a form is told once.
  const here = new URL(location.href);
  if (here.searchParams.has("problem")) {
    here.searchParams.delete("problem");
    history.replaceState(null, "", here);
  }

  const load = async () => {
    if (loading || busy()) return;
    loading = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      const text = await answer.text();
      const fresh = new DOMParser().parseFromString(text, "text/html");
      // A sign-in page of a proxy, or a word that the token is another now, is no newer figure.
      if (answer.status >= 500 || !fresh.getElementById("main")) throw new Error(String(answer.status));
      for (const id of ["notices", "main"]) take(fresh, id);
      const foot = fresh.querySelector("footer");
      if (foot) document.querySelector("footer").replaceChildren(...foot.childNodes);
      document.title = fresh.title;
      lost.hidden = true;
    } catch {
      lost.textContent = words.lost;
      lost.hidden = false;
    } finally {
      loading = false;
    }
  };

  const plan = () => {
    clearInterval(timer);
    if (!paused && !document.hidden) timer = setInterval(load, PAUSE_MS);
  };

  button.addEventListener("click", () => {
    paused = !paused;
    sessionStorage.setItem("paused", paused ? "1" : "0");
    label();
    plan();
    if (!paused) load();
  });
  document.addEventListener("visibilitychange", () => {
    plan();
    if (!paused && !document.hidden) load();
  });

  label();
  plan();
})();
