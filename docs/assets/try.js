// The page "Try it": v1 in the reader's browser. Loads nothing until it is asked to.

const root = document.getElementById("try");
if (root) {
  const find = (selector) => root.querySelector(selector);
  const state = find(".ff-try-state");
  const [load, sample, camera] = ["load", "sample", "camera"].map((n) => find(`[name="${n}"]`));
  const [file, threshold, gateChoice] = ["file", "threshold", "gate"].map((n) => find(`[name="${n}"]`));
  const figure = find("figure");
  const canvas = find(".ff-try-image");
  const channels = find(".ff-try-channels");
  const folder = new URL(root.dataset.folder, location.href);
  const LONGEST = { image: 1280, camera: 480 };  // pixels of the longer side at the network

  let ort, session, about, last;
  state.textContent = "Nothing is loaded before you ask for it.";

  /** Return the faces on an ImageData, best first, in its pixels: {box, score, landmarks}. */
  async function detect(image, least = 0.5) {
    const { width, height } = image;
    const smallest = about.preprocessing.smallest;
    const [w, h] = [Math.max(width, smallest), Math.max(height, smallest)];
    const input = new ort.Tensor("float32", pixels(image, w, h), [1, 3, h, w]);
    const started = performance.now();
    const outputs = await session.run({ [session.inputNames[0]]: input });
    const ms = performance.now() - started;
    const faces = suppress(decode(outputs, w, h, least), 0.4);
    return { faces, outputs, ms };
  }

  function pixels({ data, width, height }, w, h) {
    // Blue, green, red less their mean; where the image is too small, the mean itself.
    const { mean } = about.preprocessing;
    const values = new Float32Array(3 * w * h);
    for (let channel = 0; channel < 3; channel++) {
      for (let y = 0; y < height; y++) {
        let from = 4 * y * width + 2 - channel;
        let to = (channel * h + y) * w;
        for (let x = 0; x < width; x++, from += 4) values[to++] = data[from] - mean[channel];
      }
    }
    return values;
  }

  function decode({ boxes, scores, landmarks }, width, height, least) {
    const { strides, anchor_sizes: sizes, variances: [near, grow] } = about.decoding;
    const found = [];
    let anchor = 0;
    strides.forEach((stride, level) => {
      for (let row = 0; row < Math.ceil(height / stride); row++) {
        for (let column = 0; column < Math.ceil(width / stride); column++) {
          for (const size of sizes[level]) {
            const i = anchor++;
            const score = scores.data[i];
            if (!(score > least)) continue;
            const [x, y] = [(column + 0.5) * stride, (row + 0.5) * stride];
            const b = boxes.data.subarray(4 * i, 4 * i + 4);
            const [cx, cy] = [x + b[0] * near * size, y + b[1] * near * size];
            const [w, h] = [size * Math.exp(b[2] * grow), size * Math.exp(b[3] * grow)];
            const points = landmarks.data.subarray(10 * i, 10 * i + 10);
            found.push({
              box: [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2],
              score,
              landmarks: [0, 2, 4, 6, 8].map((j) => [
                x + points[j] * near * size, y + points[j + 1] * near * size,
              ]),
            });
          }
        }
      }
    });
    return found;
  }

  function overlap(a, b) {
    const w = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
    const h = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
    if (w <= 0 || h <= 0) return 0;
    const area = (c) => (c[2] - c[0]) * (c[3] - c[1]);
    return (w * h) / (area(a) + area(b) - w * h);
  }

  function suppress(faces, most) {
    const kept = [];
    for (const face of faces.sort((a, b) => b.score - a.score)) {
      if (kept.every((better) => overlap(better.box, face.box) <= most)) kept.push(face);
    }
    return kept;
  }

  /** Return the pixels of an image, a video or a bitmap, at most `longest` wide and high. */
  function read(source, width, height, longest) {
    const factor = Math.min(1, longest / Math.max(width, height));
    const copy = document.createElement("canvas");
    [copy.width, copy.height] = [width, height].map((side) => Math.max(1, Math.round(side * factor)));
    const context = copy.getContext("2d", { willReadFrequently: true });
    context.drawImage(source, 0, 0, copy.width, copy.height);
    return context.getImageData(0, 0, copy.width, copy.height);
  }

  function draw() {
    if (!last) return;
    const { image, faces, outputs, ms } = last;
    [canvas.width, canvas.height] = [image.width, image.height];
    const context = canvas.getContext("2d");
    context.putImageData(image, 0, 0);
    const gate = about.gates[gateChoice.selectedIndex - 1];  // none for "not shown"
    channels.hidden = !gate;
    if (gate) {
      shade(context, outputs[gate.spatial]);
      bars(outputs[gate.channel].data);
    }
    const line = Math.max(2, Math.max(image.width, image.height) / 300);
    context.lineWidth = line;
    context.font = `${Math.round(7 * line)}px system-ui, sans-serif`;
    for (const { box: [x1, y1, x2, y2], score, landmarks } of faces) {
      context.strokeStyle = "#0b2f38";
      context.strokeRect(x1 - line / 2, y1 - line / 2, x2 - x1 + line, y2 - y1 + line);
      context.strokeStyle = context.fillStyle = "#5fe0ff";
      context.strokeRect(x1, y1, x2 - x1, y2 - y1);
      for (const [x, y] of landmarks) {
        context.beginPath();
        context.arc(x, y, 1.2 * line, 0, 2 * Math.PI);
        context.fill();
      }
      const text = score.toFixed(3);
      context.strokeStyle = "#0b2f38";
      context.strokeText(text, x1, Math.max(y1 - 2 * line, 7 * line));
      context.fillText(text, x1, Math.max(y1 - 2 * line, 7 * line));
    }
    figure.hidden = false;
    const count = faces.length === 1 ? "1 face" : `${faces.length} faces`;
    find("figcaption").textContent =
      `${count} in ${image.width}×${image.height} pixels; the network took ${ms.toFixed(0)} ms` +
      (gate ? `; spatial gate ${range(outputs[gate.spatial].data)}` : "");
  }

  const range = (values) => {
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return `${least.toFixed(3)} to ${most.toFixed(3)}`;
  };

  function shade(context, { data, dims }) {
    const [rows, columns] = dims.slice(-2);
    const [least, most] = [Math.min(...data), Math.max(...data)];
    const cells = new ImageData(columns, rows);
    data.forEach((value, i) => {
      cells.data[4 * i + 3] = 220 * (1 - (value - least) / (most - least || 1));
    });
    const small = document.createElement("canvas");
    [small.width, small.height] = [columns, rows];
    small.getContext("2d").putImageData(cells, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, context.canvas.width, context.canvas.height);
  }

  function bars(values) {
    channels.width = 6 * values.length;
    const context = channels.getContext("2d");
    context.fillStyle = getComputedStyle(root).color;
    values.forEach((value, i) => {
      const height = value * channels.height;
      context.fillRect(6 * i, channels.height - height, 4, height);
    });
  }

  async function look(image) {
    const { faces, outputs, ms } = await detect(image, Number(threshold.value));
    last = { image, faces, outputs, ms };
    draw();
  }

  async function lookAt(blob) {
    stopCamera();
    const bitmap = await createImageBitmap(blob);
    await look(read(bitmap, bitmap.width, bitmap.height, LONGEST.image));
  }

  const tell = (promise) => promise.catch((error) => {
    state.textContent = `That did not work: ${error.message ?? error}`;
  });

  let video;
  function stopCamera() {
    video?.srcObject.getTracks().forEach((track) => track.stop());
    video = undefined;
    camera.setAttribute("aria-pressed", "false");
  }
  async function startCamera() {
    camera.disabled = true;  // until the reader has answered
    const stream = await navigator.mediaDevices.getUserMedia({ video: true })
      .finally(() => { camera.disabled = false; });
    const here = video = Object.assign(document.createElement("video"), { srcObject: stream, muted: true });
    camera.setAttribute("aria-pressed", "true");
    await here.play();
    while (video === here) {
      await look(read(here, here.videoWidth, here.videoHeight, LONGEST.camera));
      await new Promise(requestAnimationFrame);
    }
  }

  async function start() {
    load.disabled = true;
    state.textContent = "Loading …";
    const answer = await fetch(new URL("v1.json", folder));
    if (!answer.ok) {
      state.textContent = "This site was built without the detector; below is the command that adds it.";
      return;
    }
    about = await answer.json();
    ort = await import(new URL("ort.wasm.min.mjs", folder));
    Object.assign(ort.env.wasm, { numThreads: 1, wasmPaths: folder.href });
    session = await ort.InferenceSession.create(new URL("v1.onnx", folder).href);
    gateChoice.add(new Option("not shown", ""));
    about.gates.forEach(({ attention, level }, i) => {
      gateChoice.add(new Option(`${attention.replace("_", " ")}, ${level.toUpperCase()}`, i));
    });
    find("fieldset").hidden = false;
    load.hidden = true;
    sample.focus();  // where the keyboard was, before the button went
    state.textContent = "Loaded.";
    root.featherface = { detect };
    await showSample();
  }

  async function showSample() {
    const answer = await fetch(new URL("sample.jpg", folder));
    await lookAt(await answer.blob());
  }

  load.addEventListener("click", () => tell(start().finally(() => { load.disabled = false; })));
  sample.addEventListener("click", () => tell(showSample()));
  file.addEventListener("change", () => file.files[0] && tell(lookAt(file.files[0])));
  camera.addEventListener("click", () => (video ? stopCamera() : tell(startCamera())));
  gateChoice.addEventListener("change", draw);
  threshold.addEventListener("input", () => {
    find("output").textContent = Number(threshold.value).toFixed(2);
    if (last && !video) tell(look(last.image));
  });
}
