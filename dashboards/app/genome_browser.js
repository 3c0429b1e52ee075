// igv.js for one mounted component. The page's data come in as `data`; two things go
// back: `moved` (the region after a pan or zoom by hand) and `picked` (a variant clicked).
const held = new WeakMap();

function script(src) {
  if (window.igv) return Promise.resolve();
  if (!window.cisgraphIgv) {
    window.cisgraphIgv = new Promise((done, failed) => {
      const tag = document.createElement("script");
      tag.src = src;
      tag.onload = done;
      tag.onerror = () => failed(new Error("igv.js could not be loaded"));
      document.head.appendChild(tag);
    });
  }
  return window.cisgraphIgv;
}

function isDark(element) {
  const text = getComputedStyle(element).getPropertyValue("--st-text-color");
  const found = text.match(/^#(..)(..)(..)/);
  return found ? parseInt(found[2], 16) > 128 : false;
}

// Features come from this server, a view at a time.
function reader(state, id) {
  return {
    async readFeatures(chr, start, end) {
      const where = new URLSearchParams({ chr, start: Math.floor(start), end: Math.ceil(end) });
      const answer = await fetch(
        `${state.data.base}/features/${encodeURIComponent(id)}?${where}&${state.data.scores}`);
      const found = await answer.json();
      if (!answer.ok) { state.tell(id, found.error); return []; }
      state.tell(id, found.left_out
        ? `${found.left_out.toLocaleString("en")} weaker ones here and beside are not drawn; zoom in to see them`
        : "");
      return found.features;
    },
    async readHeader() { return {}; },
  };
}

function settings(state, track) {
  const { url, ...rest } = track;
  return url ? track : { ...rest, reader: reader(state, track.id), queryable: true };
}

function popup(track, found) {
  const value = (name) => (found.find((one) => one.name && one.name.toLowerCase() === name) || {}).value;
  return value("name");
}

async function open(state, root) {
  await script("/data/igv.min.js");
  const data = state.data;
  state.browser = await window.igv.createBrowser(root.querySelector(".browser"), {
    reference: {
      id: data.assembly, name: data.assembly,
      fastaURL: `${data.base}/genome.fa`, indexURL: `${data.base}/genome.fa.fai`,
      wholeGenomeView: false,
    },
    locus: data.locus, loadDefaultGenomes: false, showChromosomeWidget: true,
    showCenterGuideButton: false, showCursorTrackingGuideButton: false,
    showSampleNameButton: false, showROITableButton: false, queryParametersSupported: false,
    tracks: data.tracks.map((track) => settings(state, track)),
  });
  state.shown = new Map(data.tracks.map((track) => [track.id, track]));
  state.asked = data.locus;
  state.browser.on("locuschange", (frames) => {
    const frame = Array.isArray(frames) ? frames[0] : frames;
    if (!frame || !frame.chr || frame.chr === "all") return;
    const start = Math.max(1, Math.floor(frame.start) + 1);
    const locus = `${frame.chr}:${start}-${Math.max(start, Math.floor(frame.end))}`;
    clearTimeout(state.timer);
    state.timer = setTimeout(() => {
      if (near(locus, state.asked)) return;
      state.asked = locus;
      state.send("moved", locus);
    }, 450);
  });
  state.browser.on("trackclick", (track, found) => {
    const id = track.config ? track.config.id : track.id;
    if (id === "variants" && found && found.length) {
      const name = popup(track, found);
      if (name) { state.send("picked", name); return false; }
    }
    return undefined;
  });
}

// The same region but for rounding to whole pixels.
function near(a, b) {
  const read = (text) => { const f = /^(.*):([\d,]+)-([\d,]+)$/.exec(text || ""); return f && [f[1], +f[2].replace(/,/g, ""), +f[3].replace(/,/g, "")]; };
  const [x, y] = [read(a), read(b)];
  if (!x || !y || x[0] !== y[0]) return false;
  const slack = Math.max(2, (y[2] - y[1]) * 0.01);
  return Math.abs(x[1] - y[1]) <= slack && Math.abs(x[2] - y[2]) <= slack;
}

async function follow(state) {
  const { browser, data } = state;
  const wanted = new Map(data.tracks.map((track) => [track.id, track]));
  for (const [id, track] of state.shown) {
    if (!wanted.has(id)) {
      const views = browser.trackViews.filter((view) => view.track.config && view.track.config.id === id);
      views.forEach((view) => browser.removeTrack(view.track));
      state.shown.delete(id);
      state.tell(id, "");
    }
  }
  for (const [id, track] of wanted) {
    if (!state.shown.has(id)) {
      state.shown.set(id, track);
      await browser.loadTrack(settings(state, track));
    }
  }
  if (!near(data.locus, state.asked)) {
    state.asked = data.locus;
    await browser.search(data.locus);
  }
  await mark(state);
}

async function mark(state) {
  const { browser, data } = state;
  const key = JSON.stringify(data.mark);
  if (key === state.marked) return;
  state.marked = key;
  browser.clearROIs();
  if (data.mark) {
    await browser.loadROI({ name: "chosen", color: "rgba(47,125,107,0.28)", features: [data.mark] });
  }
}

export default function (component) {
  const { data, parentElement, setStateValue, setTriggerValue } = component;
  const holder = parentElement.querySelector(".holder");
  const note = parentElement.querySelector(".note");
  let state = held.get(parentElement);
  if (!state) {
    state = { notes: new Map() };
    held.set(parentElement, state);
  }
  state.data = data;
  state.send = (what, value) => setTriggerValue(what, value);
  state.tell = (id, text) => {
    if (text) state.notes.set(id, text); else state.notes.delete(id);
    const title = (one) => (state.data.tracks.find((track) => track.id === one) || {}).name || one;
    note.textContent = [...state.notes].map(([one, words]) => `${title(one)}: ${words}`).join("; ");
  };
  holder.classList.toggle("dark", isDark(holder));
  state.work = (state.work || Promise.resolve())
    .then(() => (state.browser ? follow(state) : open(state, parentElement).then(() => mark(state))))
    .catch((error) => { note.textContent = `The genome browser stopped: ${error.message || error}`; });
  return () => {
    clearTimeout(state.timer);
    if (state.browser && window.igv) {
      // igv.js 3.1 keeps watching its columns after they are gone, and fails then.
      state.browser.roiManager?.observer?.disconnect();
      window.igv.removeBrowser(state.browser);
    }
    held.delete(parentElement);
  };
}
