// The page of verdicts: filters, search, sorting and addresses. Without it the page is a list in
// which every claim still opens.

(() => {
  "use strict";
  const list = document.getElementById("claims");
  const form = document.getElementById("claim-filter");
  if (!list || !form) return;

  // "0.49M" finds "0.49 M": spaces do not count.
  const bare = (text) => text.toLowerCase().replace(/\s+/g, "");

  const rows = [...list.children].map((row) => ({
    row,
    details: row.querySelector("details"),
    id: row.querySelector(".ff-statement").id,
    at: Number(row.dataset.at),
    verdict: row.dataset.verdict,
    source: row.dataset.source,
    kind: row.dataset.kind,
    statement: row.querySelector(".ff-statement").textContent,
    text: bare(row.textContent),
  }));
  const severity = ["refuted", "explained", "untested", "confirmed"];
  const order = {
    "": (a, b) => a.at - b.at,
    verdict: (a, b) => severity.indexOf(a.verdict) - severity.indexOf(b.verdict) || a.at - b.at,
    kind: (a, b) => a.kind.localeCompare(b.kind) || a.at - b.at,
    statement: (a, b) => a.statement.localeCompare(b.statement) || a.at - b.at,
  };
  const groups = ["verdict", "source"];
  const search = form.elements.find;
  const sort = form.elements.sort;
  const boxes = (name) => [...form.querySelectorAll(`input[name="${name}"]`)];
  const chosen = (name) => new Set(boxes(name).filter((box) => box.checked).map((box) => box.value));

  // The filters are in the address, so that a view can be sent to someone.
  function read() {
    const query = new URLSearchParams(location.search);
    search.value = query.get("find") ?? "";
    sort.value = query.get("sort") ?? "";
    if (sort.selectedIndex < 0) sort.value = "";
    for (const name of groups) {
      const wanted = new Set(query.getAll(name));
      for (const box of boxes(name)) box.checked = wanted.has(box.value);
    }
  }

  function write() {
    const query = new URLSearchParams();
    if (search.value.trim()) query.set("find", search.value.trim());
    for (const name of groups) for (const value of chosen(name)) query.append(name, value);
    if (sort.value) query.set("sort", sort.value);
    const text = query.toString();
    history.replaceState(null, "", `${location.pathname}${text ? `?${text}` : ""}${location.hash}`);
  }

  function apply() {
    const words = search.value.split(/\s+/).map(bare).filter(Boolean);
    const wanted = Object.fromEntries(groups.map((name) => [name, chosen(name)]));
    const fits = (one, name) => wanted[name].size === 0 || wanted[name].has(one[name]);
    const found = (one) => words.every((word) => one.text.includes(word));
    let shown = 0;
    const counts = {};
    for (const one of rows) {
      const match = found(one);
      const visible = match && groups.every((name) => fits(one, name));
      one.row.hidden = !visible;
      shown += visible;
      // A count says how many there would be with that choice, the other filters as they are.
      for (const name of groups) {
        if (match && groups.every((other) => other === name || fits(one, other))) {
          const key = `${name}:${one[name]}`;
          counts[key] = (counts[key] ?? 0) + 1;
        }
      }
    }
    for (const place of form.querySelectorAll("[data-count]")) {
      place.textContent = String(counts[place.dataset.count] ?? 0);
    }
    list.append(...[...rows].sort(order[sort.value] ?? order[""]).map((one) => one.row));
    document.getElementById("claim-count").textContent =
      shown === rows.length ? `${shown} claims` : `${shown} of ${rows.length} claims`;
    document.getElementById("claim-nothing").hidden = shown > 0;
  }

  function visit() {
    for (const one of rows) one.details.classList.remove("is-target");
    const target = rows.find((one) => `#${one.id}` === decodeURIComponent(location.hash));
    if (!target) return;
    if (target.row.hidden) {
      form.reset();
      apply();
      write();
    }
    target.details.open = true;
    target.details.classList.add("is-target");
    target.details.scrollIntoView({ block: "start" });
    target.details.querySelector("summary").focus({ preventScroll: true });
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => { apply(); write(); });
  form.addEventListener("reset", () => setTimeout(() => { apply(); write(); }));
  // An opened claim is in the address, so that it can be sent to someone.
  list.addEventListener("toggle", (event) => {
    const one = rows.find((each) => each.details === event.target);
    if (one?.details.open && location.hash !== `#${one.id}`) {
      history.replaceState(null, "", `${location.search}#${one.id}`);
    }
  }, true);
  addEventListener("hashchange", visit);
  addEventListener("popstate", () => { read(); apply(); });

  read();
  form.hidden = false;
  apply();
  visit();
})();
