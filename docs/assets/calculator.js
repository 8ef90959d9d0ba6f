// The calculator of parameters and MACs. Without it the page shows what the card states, and the
// command that computes another architecture.

(() => {
  "use strict";
  const form = document.getElementById("calculator-form");
  if (!form) return;
  const element = (id) => document.getElementById(`calculator-${id}`);
  const data = JSON.parse(element("data").textContent);
  const blocks = Object.keys(data.formulas);
  const quantities = ["params", "thop", "macs"];
  const grouped = new Intl.NumberFormat("en-US");
  const signed = new Intl.NumberFormat("en-US", { signDisplay: "exceptZero" });
  const difference = (value) => (value ? signed.format(value).replace("-", "−") : "✓ 0");

  const control = (name) => form.elements[name];
  const names = Object.keys(data.start);
  const isNumber = (name) => !isNaN(control(name).value);

  // Where a field does not exist, its control is off, and it has no value.
  const absent = (config, name) =>
    name in data.optional && config[data.optional[name][0]] === data.optional[name][1];

  function chosen() {
    const config = Object.fromEntries(
      names.map((name) => [name, isNumber(name) ? Number(control(name).value) : control(name).value]),
    );
    for (const name of names) if (absent(config, name)) config[name] = null;
    return config;
  }

  function choose(config) {
    for (const name of names) {
      if (config[name] != null) control(name).value = config[name];
      if (control(name).value === "") control(name).value = data.start[name];  // no such choice
    }
  }

  // The letters of the formulas, see analysis/design_space/formulas.py.
  function letters({ channels: c, cells: n, reduction: r, anchors: a }) {
    const m = (width) => Math.floor(width / (r ?? 1));
    return {
      c, n: n ?? 1, a, h: Math.floor(c / 2), q: Math.floor(c / 4),
      m: m(c), m3: m(64), m4: m(128), m5: m(256),
    };
  }

  // A sum of products: "27*c*q + 405".
  function evaluate(formula, values) {
    const factor = (text) => values[text] ?? Number(text);
    const product = (text) => text.split("*").map(factor).reduce((x, y) => x * y);
    return formula.split(" + ").map(product).reduce((x, y) => x + y);
  }

  function impossible({ channels, attention, reduction, context }) {
    if (context.startsWith("ssh") && channels % 4) return `context ${context} needs channels divisible by 4`;
    const gated = [];
    if (["backbone", "both"].includes(attention)) gated.push(64);
    if (["pyramid", "both"].includes(attention)) gated.push(channels);
    const least = Math.min(...gated);
    if (reduction > least) return `a reduction of ${reduction} leaves nothing of ${least} channels`;
    return "";
  }

  function count(config) {
    const values = letters(config);
    return blocks.map((block) => {
      const kind = config[data.decides[block]] ?? "";
      return quantities.map((name) => evaluate(data.formulas[block][kind][name], values));
    });
  }

  // The command that prints the same numbers: the nearest variant, and what differs from it.
  function command(config) {
    const lines = Object.entries(data.variants).map(([variant, fields]) => {
      const other = names.filter((name) => config[name] != null && config[name] !== fields[name]);
      const settings = other.map((name) => ` --set ${name}=${config[name]}`);
      return { length: other.length, text: `featherface blocks --variant ${variant}${settings.join("")}` };
    });
    return lines.reduce((best, line) => (line.length < best.length ? line : best)).text;
  }

  function link(config) {
    const query = new URLSearchParams(Object.entries(config).filter(([, value]) => value != null));
    return `#calculator?${query}`;
  }

  function show() {
    const config = chosen();
    for (const name of names) {
      control(name).disabled = absent(config, name);
      const shown = control(name).parentElement.querySelector("span");
      if (shown) shown.textContent = config[name] ?? "–";
    }
    const reason = impossible(config);
    const counts = reason ? null : count(config);
    const totals = counts && quantities.map((_, at) => counts.reduce((sum, row) => sum + row[at], 0));
    const cells = (id, row) => [...element(id).querySelectorAll("tbody tr")[row].children];

    [...(counts ?? blocks.map(() => null)), totals].forEach((row, at) => {
      cells("blocks", at).slice(1).forEach((cell, column) => {
        cell.textContent = row ? grouped.format(row[column]) : "–";
      });
    });
    [...element("bar").children].forEach((segment, at) => {
      segment.style.width = counts ? `${(100 * counts[at][0]) / data.most}%` : "0";
    });
    const hits = [];
    data.targets.forEach((target, at) => {
      cells("targets", at).slice(-2).forEach((cell, column) => {
        const off = totals ? totals[column] - target : null;
        cell.textContent = off === null ? "–" : difference(off);
        cell.classList.toggle("ff-yes", off === 0);
        if (off === 0) hits.push(`${grouped.format(target)}${column ? " as thop counts" : ""}`);
      });
    });
    const variant = Object.keys(data.variants).find((name) =>
      names.every((field) => data.variants[name][field] === config[field]));
    const [params, thop, macs] = (totals ?? []).map(grouped.format);
    element("said").textContent = reason
      ? `Cannot be built: ${reason}.`
      : `${variant ? `${variant}: ` : ""}${params} parameters, ${macs} MACs; thop counts ${thop}.`
        + (hits.length ? ` Published: ${hits.join(", ")}.` : "");
    element("command").textContent = command(config);
    return config;
  }

  function read() {
    const [place, query] = location.hash.split("?");
    if (place !== "#calculator" || !query) return false;
    choose({ ...data.start, ...Object.fromEntries(new URLSearchParams(query)) });
    return true;
  }

  function write() {
    history.replaceState(null, "", link(show()));
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", write);
  form.addEventListener("click", (event) => {
    if (!(event.target instanceof HTMLButtonElement)) return;
    choose(data.variants[event.target.value] ?? data.start);
    write();
  });
  addEventListener("hashchange", () => { if (read()) show(); });

  form.hidden = false;
  choose(data.start);
  const linked = read();
  show();
  if (linked) document.getElementById("calculator")?.scrollIntoView();
})();
