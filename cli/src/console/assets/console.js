// What scripts add to pages: looking for changes, zooming graphs, showing how long ago something was, asking before doing harm.
// Every page works without it.
"use strict";
{
  let live = document.getElementById("live");
  const away = document.getElementById("away");
  const refresh = Number(document.body.dataset.refresh || 0);
  // A form was refused, and the answer shows the page that contains it: restore the address of that page.
  if (live && live.dataset.address) {
    history.replaceState(null, "", live.dataset.address);
  }
  // The result of an action: what was wrong with the form, or the message at the top. The browser would stay where the page was
  // scrolled to before.
  const result = live?.querySelector("[data-refused] > .trouble") || document.querySelector("main > .notice:not(#away)");
  if (result) {
    history.scrollRestoration = "manual";
    const show = () => {
      result.focus({ preventScroll: true });
      result.scrollIntoView({ block: "center" });
    };
    show();
    addEventListener("load", () => {
      show();
      history.scrollRestoration = "auto";
    });
  }

  // Times in words. Two units tell 1 day from nearly 2.
  const span = (seconds) => {
    const units = [["day", 86400], ["h", 3600], ["min", 60], ["s", 1]];
    const at = Math.max(0, units.findIndex(([, length]) => seconds >= length));
    const [[unit, length], [next, smaller] = []] = seconds >= 1 ? units.slice(at) : units.slice(3);
    const [whole, rest] = [Math.floor(seconds / length), smaller && at < 2 ? Math.floor((seconds % length) / smaller) : 0];
    return `${whole} ${unit}${unit === "day" && whole > 1 ? "s" : ""}${rest ? `, ${rest} ${next}` : ""}`;
  };
  const ago = (date, until) => {
    const seconds = (date - Date.now()) / 1000;
    if (until) return seconds > 0 ? `for another ${span(seconds)}` : `until ${span(-seconds)} ago`;
    return seconds > 0 ? `in ${span(seconds)}` : `${span(-seconds)} ago`;
  };
  const times = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const date = new Date(time.dateTime);
      if (!time.title) time.title = `${time.textContent} (${date.toLocaleString()} here)`;
      const text = ago(date, "until" in time.dataset);
      if (time.textContent !== text) time.textContent = text;
    }
  };

  // Graphs: the visible part of each is kept when it is redrawn.
  const views = new Map();
  const graphs = (root) => {
    for (const [place, graph] of [...root.querySelectorAll("[data-graph]")].entries()) {
      const svg = graph.querySelector("svg");
      const whole = [0, 0, Number(svg.getAttribute("width")), Number(svg.getAttribute("height"))];
      const name = `${svg.getAttribute("aria-label")} ${place}`;
      const show = (view) => {
        views.set(name, view);
        svg.setAttribute("viewBox", view.join(" "));
      };
      const zoom = (by, x = 0.5, y = 0.5) => {
        const [left, top, width, height] = views.get(name) || whole;
        const wide = Math.min(Math.max(width * by, 60), whole[2] * 4);
        const high = height * (wide / width);
        show([left + (width - wide) * x, top + (height - high) * y, wide, high]);
      };
      if (views.has(name)) show(views.get(name));
      graph.querySelector("[data-zoom=in]").onclick = () => zoom(0.75);
      graph.querySelector("[data-zoom=out]").onclick = () => zoom(1 / 0.75);
      graph.querySelector("[data-zoom=fit]").onclick = () => show(whole);
      svg.addEventListener("wheel", (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        const box = svg.getBoundingClientRect();
        zoom(event.deltaY < 0 ? 0.87 : 1.15, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
      }, { passive: false });
      let from = null;
      svg.addEventListener("pointerdown", (event) => {
        if (event.button === 0) from = { x: event.clientX, y: event.clientY, view: views.get(name) || whole, moved: false };
      });
      svg.addEventListener("pointermove", (event) => {
        if (!from) return;
        const [x, y] = [event.clientX - from.x, event.clientY - from.y];
        if (!from.moved && Math.hypot(x, y) < 5) return;
        if (!from.moved) svg.setPointerCapture(event.pointerId);
        from.moved = true;
        svg.classList.add("dragged");
        const scale = 1 / svg.getScreenCTM().a;
        show([from.view[0] - x * scale, from.view[1] - y * scale, from.view[2], from.view[3]]);
      });
      const drop = () => {
        svg.classList.remove("dragged");
        setTimeout(() => { from = null; });
      };
      svg.addEventListener("pointerup", drop);
      svg.addEventListener("pointercancel", drop);
      svg.addEventListener("click", (event) => { if (from && from.moved) event.preventDefault(); }, true);
    }
  };

  // Somebody is typing or choosing there: don't replace it in the meantime.
  let pressed = false;
  document.addEventListener("pointerdown", () => { pressed = true; });
  for (const kind of ["pointerup", "pointercancel"]) document.addEventListener(kind, () => setTimeout(() => { pressed = false; }, 100));
  // Input that has not been sent yet.
  const changed = (field) => field.type === "checkbox" || field.type === "radio" ? field.checked !== field.defaultChecked
    : field.matches("select") ? [...field.options].some((o) => o.defaultSelected) ? [...field.options].some((o) => o.selected !== o.defaultSelected) : field.selectedIndex > 0
      : field.type !== "hidden" && field.value !== field.defaultValue;
  const busy = (part) => pressed
    || part.querySelector("[data-refused]") !== null
    || [...part.querySelectorAll("form:not([method=get]) :is(input, textarea, select)")].some(changed)
    || part.querySelector("input[type=checkbox][name=execution]:checked, details[open] form") !== null
    || (part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select"));

  const replace = (old, next) => {
    const open = new Map([...old.querySelectorAll("details[id]")].map((d) => [d.id, d.open]));
    const focus = document.activeElement && old.contains(document.activeElement) ? document.activeElement : null;
    const again = focus && { id: focus.id, href: focus.getAttribute("href"), text: focus.textContent };
    for (const details of next.querySelectorAll("details[id]")) if (open.has(details.id)) details.open = open.get(details.id);
    old.replaceWith(next);
    times(next);
    graphs(next);
    if (!again) return;
    const same = (e) => (again.id && e.id === again.id) || (again.href && e.getAttribute("href") === again.href)
      || (!again.href && e.textContent === again.text);
    const found = [...next.querySelectorAll("a, button, [tabindex]")].find(same);
    if (found) found.focus({ preventScroll: true });
  };

  const say = (text) => {
    if (away.hidden !== !text || away.textContent !== text) {
      away.hidden = !text;
      away.textContent = text;
    }
  };

  const look = async () => {
    let answer;
    try {
      answer = await fetch(location.href, { headers: { "X-Live": live.dataset.version }, cache: "no-store", redirect: "error" });
    } catch {
      return say("The console can't be reached. This page comes back by itself.");
    }
    if (answer.status === 204) return say("");
    const text = await answer.text();
    if (!answer.ok) {
      const words = new DOMParser().parseFromString(text, "text/html").querySelector(".trouble strong");
      return say(`${words ? words.textContent : answer.statusText}. What is shown is older.`);
    }
    say("");
    const next = document.createElement("div");
    next.innerHTML = text;
    const parts = [...next.querySelectorAll("[data-part]")];
    const known = [...live.querySelectorAll("[data-part]")];
    let skipped = false;
    if (parts.map((p) => p.id).join() !== known.map((p) => p.id).join()) {
      if (busy(live)) return;
      // In place: if the page were reloaded, it would no longer show the result of the last action.
      const all = live.cloneNode(false);
      all.append(...next.childNodes);
      replace(live, all);
      live = all;
      live.dataset.version = answer.headers.get("X-Version");
      return;
    }
    for (const part of parts) {
      const old = document.getElementById(part.id);
      if (old.dataset.part === part.dataset.part) continue;
      if (busy(old)) skipped = true; else replace(old, part);
    }
    if (!skipped) live.dataset.version = answer.headers.get("X-Version");
  };
  const loop = async () => {
    if (document.visibilityState === "visible") await look();
    setTimeout(loop, refresh);
  };
  if (refresh && live && !live.querySelector("[data-draft]")) setTimeout(loop, refresh);
  setInterval(() => times(document), 1000);

  // A draft is checked while it is being written.
  const draft = document.querySelector("[data-draft]");
  if (draft) {
    const form = draft.closest("form");
    let waiting = 0;
    let asked = 0;
    const judge = async () => {
      const mine = ++asked;
      const body = new URLSearchParams(new FormData(form));
      const answer = await fetch("/draft", { method: "POST", body, headers: { "X-Live": "-" } });
      if (!answer.ok) return;
      const next = document.createElement("div");
      next.innerHTML = await answer.text();
      // Answers may arrive in a different order.
      if (mine !== asked) return;
      const verdict = next.querySelector("#verdict");
      document.getElementById("verdict").replaceWith(verdict);
      graphs(verdict);
      form.querySelector(".buttons").replaceWith(next.querySelector("[data-draft] .buttons"));
    };
    form.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(judge, 400);
    });
  }

  // The question contains the values of the form, and as {#} how many executions are selected.
  const question = (button, selected) => button.dataset.confirm.replace("{#}", selected === 1 ? "1 execution" : `${selected} executions`)
    .replace(/ ?\{(\w+)\}/g, (_, name) => {
      const field = button.form.elements[name];
      const value = (field.selectedOptions?.[0]?.text ?? field.value).trim();
      return value && ` ${value}`;
    }).trim();
  // Nothing is asked about a form that is going to be refused: the browser or the console says what is missing.
  const agreed = (button) => {
    if (button.form && !button.form.checkValidity()) return true;
    const selected = button.form ? button.form.querySelectorAll("input[name=execution]:checked").length : 0;
    if (button.dataset.confirm.includes("{#}") && !selected) return true;
    return window.confirm(question(button, selected));
  };

  document.addEventListener("click", (event) => {
    const line = event.target.closest("[data-line]");
    if (line) {
      const source = document.getElementById("source");
      const lines = source.value.split("\n").slice(0, Number(line.dataset.line) - 1);
      const at = lines.reduce((sum, text) => sum + text.length + 1, 0) + Number(line.dataset.column) - 1;
      source.focus();
      source.setSelectionRange(at, at + 1);
      source.scrollTop = (Number(line.dataset.line) - 4) * parseFloat(getComputedStyle(source).lineHeight);
    }
    const opener = event.target.closest("[data-open]");
    if (opener) {
      const details = document.getElementById(opener.dataset.open);
      if (details) details.open = true;
    }
    const asks = event.target.closest("[data-confirm]");
    if (asks && !agreed(asks)) event.preventDefault();
  });
  document.addEventListener("change", (event) => {
    if (event.target.id !== "select-all") return;
    for (const box of document.querySelectorAll("input[name=execution]")) box.checked = event.target.checked;
  });

  if (live) {
    times(document);
    graphs(document);
  }
}
