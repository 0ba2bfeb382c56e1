// The page: two photos and two sliders become a picture.

import { ApiError, getBlob, getJson, isReady, post } from "./api.js";
import { Compare } from "./compare.js";
import { History } from "./history.js";
import { PhotoPane } from "./photo.js";
import { Progress, expectedSeconds, remember } from "./progress.js";
import { Regions } from "./regions.js";
import { Tabs } from "./tabs.js";

const $ = (id) => document.getElementById(id);
const live = $("live");
const tabs = new Tabs($("tab-result"), $("tab-regions"));
const compare = new Compare($("compare"));
const progress = new Progress($("progress"), live);
const regions = new Regions($("view-regions"), live);
const history = new History($("history"), showResult);
const panes = {};
for (const root of document.querySelectorAll(".pane")) {
  panes[root.dataset.role] = new PhotoPane(root, photosChanged);
}
const shown = { urls: [] };
let settings;
let running = null; // the AbortController of what runs now
let regionsAre = null; // for which photos and size the regions were found

start();

async function start() {
  try {
    settings = await getJson("/settings");
  } catch {
    return fail("The gateway does not answer; is it still running?");
  }
  for (const pane of Object.values(panes)) {
    pane.settings = settings;
    offerExamples(pane);
  }
  offerPairs();
  const credits = settings.examples.map(({ title, credit }) => `${title} (${credit})`);
  $("credits").textContent = `Example photos: ${credits.join("; ")}.`;
  $("alpha").value = settings.default_alpha;
  $("size").value = settings.default_size;
  for (const id of ["alpha", "size"]) $(id).addEventListener("input", tellSliders);
  tellSliders();
  $("panel").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!isBusy()) stylize();
  });
  $("cancel").addEventListener("click", () => running?.abort());
  document.addEventListener("paste", paste);
  for (const kind of ["dragover", "drop"]) window.addEventListener(kind, dropAnywhere);
  document.body.dataset.ready = "true";
  history.load();
  watchHealth();
}

// Photos

function offerExamples(pane) {
  const place = pane.root.querySelector(".examples");
  const words = pane.role === "content" ? "as your photo" : "for its light";
  for (const example of settings.examples) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", title: `${example.title}. ${example.credit}` });
    button.setAttribute("aria-label", `Use the example ${example.title} ${words}`);
    button.append(Object.assign(new Image(), { src: example.url, alt: "" }));
    button.addEventListener("click", () => takeExample(pane, example));
    place.append(button);
  }
}

function offerPairs() {
  const named = Object.fromEntries(settings.examples.map((example) => [example.file, example]));
  for (const [content, style] of [["china.jpg", "dusk.jpg"], ["noon.jpg", "dusk.jpg"], ["china.jpg", "rocket.jpg"]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `${named[content].title} in the light of ${named[style].title}`);
    for (const name of [content, style]) {
      button.append(Object.assign(new Image(), { src: named[name].url, alt: "" }));
    }
    button.addEventListener("click", async () => {
      await takeExample(panes.content, named[content]);
      await takeExample(panes.style, named[style]);
      $("go").focus();
    });
    $("quick").append(button);
  }
}

async function takeExample(pane, { file, url, alt, title }) {
  try {
    const blob = await getBlob(url);
    await pane.take(new File([blob], file, { type: blob.type }), alt);
    live.textContent = `${title} is ${pane.role === "content" ? "your photo" : "the light"} now.`;
  } catch (error) {
    fail(error.message);
  }
}

function paste(event) {
  const file = [...(event.clipboardData?.files ?? [])][0];
  if (file) nextPane().take(file);
}

function dropAnywhere(event) {
  event.preventDefault();
  if (event.type === "drop" && event.dataTransfer.files.length) {
    nextPane().take(event.dataTransfer.files[0]);
  }
}

const nextPane = () => (panes.content.file ? panes.style : panes.content);

function photosChanged() {
  running?.abort();
  fail("");
  tellSliders();
  regionsAre = null;
  regions.clear("Choose two photos to see their regions.");
  if (panes.content.file && panes.style.file) findRegions();
}

// Sliders

function tellSliders() {
  const alpha = Number($("alpha").value);
  $("alpha-value").textContent = `${Math.round(100 * alpha)} %`;
  const ratios = Object.values(panes).filter(({ size }) => size).map(({ size }) => Math.max(size.width / size.height, size.height / size.width));
  const most = Math.sqrt(settings.max_working_pixels / Math.max(1, ...ratios));
  $("size").max = Math.floor(Math.min(settings.max_size, most) / 16) * 16;
  const size = Number($("size").value);
  const { width, height } = resultSize(size) ?? {};
  $("size-value").textContent = width ? `${width} × ${height}` : `${size} pixels`;
}

function resultSize(side) {
  const photo = panes.content.size;
  if (!photo) return null;
  const scale = Math.min(1, side / Math.min(photo.width, photo.height)); // never enlarged
  return { width: Math.round(photo.width * scale), height: Math.round(photo.height * scale) };
}

// Calls

async function findRegions() {
  if (!shown.urls.length) tabs.select("regions");
  await run(false, (signal) => askForRegions(signal));
}

async function stylize() {
  if (!panes.content.file || !panes.style.file) {
    const lacking = panes.content.file ? panes.style : panes.content;
    fail(`Choose a photo under “${lacking.title}” first.`);
    lacking.input.focus();
    return;
  }
  running?.abort();
  await run(true, async (signal) => {
    const alpha = Number($("alpha").value);
    const size = Number($("size").value);
    if (regionsAre !== size) await askForRegions(signal);
    const pixels = areaOf(size);
    const sent = (share) => progress.step("transfer", "Sending the photos", { share });
    sent(0);
    const { body, seconds } = await post("/upload_images/", {
      content_image: panes.content.file,
      style_image: panes.style.file,
      alpha,
      size,
      method: $("method").value,
      output_size: settings.max_output_size, // all of the photo's pixels
      ...regions.fields(),
    }, {
      signal,
      onUpload: sent,
      onWait: () => progress.step("transfer", "Carrying the light over", { expected: expectedSeconds(pixels) }),
      onReceive: (share) => progress.step("receive", "Receiving the picture", { share }),
    });
    remember(seconds.transfer, pixels);
    const before = await original(panes.content, body);
    const entry = {
      after: body,
      before,
      alpha,
      size,
      seconds: seconds.total ?? null,
      names: [panes.content.file.name, panes.style.file.name],
      time: Date.now(),
    };
    await history.add(entry);
    await showResult(entry);
    if ($("stage").getBoundingClientRect().top > innerHeight / 2) $("stage").scrollIntoView();
    live.textContent = "The picture is ready.";
  });
}

async function askForRegions(signal) {
  const size = Number($("size").value);
  const sent = (share) => progress.step("regions", "Sending the photos for their regions", { share });
  sent(0);
  regions.say("Finding regions …");
  const { body } = await post("/regions/", {
    content_image: panes.content.file,
    style_image: panes.style.file,
    size,
  }, {
    type: "json",
    signal,
    onUpload: sent,
    onWait: () => progress.step("regions", "Finding regions"),
  });
  await regions.show(body, panes, regionsAre !== null);
  regionsAre = size;
}

// Runs one thing at a time; whatever it ends in becomes words.
async function run(withTransfer, work) {
  const own = new AbortController();
  running = own;
  fail("");
  // Not disabled in earnest: that would take the focus away.
  $("go").setAttribute("aria-disabled", withTransfer);
  progress.start(withTransfer ? ["regions", "transfer", "receive"] : ["regions"]);
  try {
    await work(own.signal);
  } catch (error) {
    if (error.name === "AbortError") {
      if (running === own) live.textContent = "Canceled.";
    } else if (error instanceof ApiError) fail(error.message);
    else {
      console.error(error);
      fail("Something in this page went wrong; loading it again may help.");
    }
    if (!regionsAre && running === own) regions.clear("The regions were not found.");
  } finally {
    if (running === own) {
      running = null;
      progress.stop();
      $("go").setAttribute("aria-disabled", false);
    }
  }
}

const isBusy = () => $("go").getAttribute("aria-disabled") === "true";

function areaOf(size) {
  const own = resultSize(size);
  return own ? own.width * own.height : size * size;
}

// Results

async function showResult({ after, before, names, size, alpha, seconds }) {
  const urls = [URL.createObjectURL(before ?? after), URL.createObjectURL(after)];
  await compare.show(...urls);
  shown.urls.forEach((url) => URL.revokeObjectURL(url));
  shown.urls = urls;
  $("empty").hidden = true;
  const { naturalWidth: width, naturalHeight: height } = compare.after;
  const took = seconds ? `, ${seconds.toFixed(1)} s on the server` : "";
  $("caption").textContent = `${width} × ${height} pixels, strength ${Math.round(100 * alpha)} %${took}`;
  const stem = (name) => name.replace(/\.[^.]*$/, "");
  $("download").href = urls[1];
  $("download").download = `${stem(names[0])} in the light of ${stem(names[1])}, ${size}.png`;
  tabs.select("result");
}

// The original at the result's size, to lie below it; null where the browser cannot show it.
async function original(pane, png) {
  if (!pane.size) return null;
  const result = await createImageBitmap(png);
  const { width, height } = result;
  result.close();
  // The file itself: a copy as PNG would be several times as large, in the history, too.
  if (pane.size.width === width && pane.size.height === height) return pane.file;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const image = pane.image;
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function fail(sentence) {
  $("error").textContent = sentence;
  $("error").hidden = !sentence;
}

async function watchHealth() {
  const ready = await isReady();
  $("health").dataset.ready = ready;
  const words = ready ? "Server ready" : "Server not ready";
  if ($("health-text").textContent !== words) $("health-text").textContent = words;
  setTimeout(watchHealth, ready ? 30_000 : 3_000);
}
