// What is being waited for. A bar is filled only where the share is known: bytes sent, bytes
// received. While the server computes, the bar moves without a share, and the seconds of earlier
// pictures serve as an estimate that is called one.

const STEPS = ["upload", "regions", "transfer", "receive"];
const KEY = "photoreal-seconds-per-megapixel";

export class Progress {
  constructor(root, live) {
    this.root = root;
    this.live = live;
    this.text = root.querySelector("#progress-text");
    this.bar = root.querySelector("#progress-bar");
    this.steps = [...root.querySelectorAll("li")];
  }

  start(withRegions) {
    this.root.hidden = false;
    this.steps[1].hidden = !withRegions;
    this.steps.forEach((step) => step.removeAttribute("data-state"));
  }

  step(name, words, { share = null, expected = null } = {}) {
    const changed = this.name !== name;
    this.name = name;
    if (share === null) this.bar.removeAttribute("value");
    else this.bar.value = share;
    if (changed) {
      this.since = performance.now();
      clearInterval(this.timer);
      const position = STEPS.indexOf(name);
      this.steps.forEach((step) => {
        const place = STEPS.indexOf(step.dataset.step);
        step.dataset.state = place < position ? "done" : place === position ? "now" : "";
        if (place === position) step.setAttribute("aria-current", "step");
        else step.removeAttribute("aria-current");
      });
      this.live.textContent = `${words}.`;
      this.timer = setInterval(() => this.#tell(words, expected), 500);
    }
    this.#tell(words, expected, share);
  }

  #tell(words, expected) {
    const seconds = Math.floor((performance.now() - this.since) / 1000);
    const passed = seconds > 0 ? ` ${seconds} s` : "";
    const guess = expected ? `, earlier pictures took about ${Math.max(1, Math.round(expected))} s` : "";
    this.text.textContent = `${words} …${passed}${guess}`;
  }

  stop() {
    clearInterval(this.timer);
    this.name = null;
    this.root.hidden = true;
  }
}

export function remember(seconds, pixels) {
  if (seconds > 0 && pixels > 0) localStorage.setItem(KEY, String((1e6 * seconds) / pixels));
}

export function expectedSeconds(pixels) {
  const rate = Number(localStorage.getItem(KEY));
  return rate > 0 ? (rate * pixels) / 1e6 : null;
}
