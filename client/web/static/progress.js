// What is being waited for. A bar is filled only where the share is known: bytes sent, bytes
// received. While the server computes, the bar moves without a share, and the seconds of earlier
// pictures serve as an estimate that is called one.

const KEY = "photoreal-seconds-per-megapixel";

export class Progress {
  constructor(root, live) {
    this.root = root;
    this.live = live;
    this.text = root.querySelector("#progress-text");
    this.bar = root.querySelector("#progress-bar");
    this.steps = [...root.querySelectorAll("li")];
  }

  // `names` are the steps to come.
  start(names) {
    this.root.hidden = false;
    this.words = null;
    for (const step of this.steps) {
      step.hidden = !names.includes(step.dataset.step);
      step.dataset.state = "";
    }
  }

  step(name, words, { share = null, expected = null } = {}) {
    const changed = this.words !== words;
    this.words = words;
    if (share === null) this.bar.removeAttribute("value");
    else this.bar.value = share;
    if (changed) {
      this.since = performance.now();
      clearInterval(this.timer);
      const position = this.steps.findIndex((step) => step.dataset.step === name);
      this.steps.forEach((step, place) => {
        step.dataset.state = place < position ? "done" : place === position ? "now" : "";
        if (place === position) step.setAttribute("aria-current", "step");
        else step.removeAttribute("aria-current");
      });
      this.live.textContent = `${words}.`;
      this.timer = setInterval(() => this.#tell(words, expected), 500);
    }
    this.#tell(words, expected);
  }

  #tell(words, expected) {
    const seconds = Math.floor((performance.now() - this.since) / 1000);
    const passed = seconds > 0 ? ` ${seconds} s` : "";
    const guess = expected ? `, earlier pictures took about ${Math.max(1, Math.round(expected))} s` : "";
    this.text.textContent = `${words} …${passed}${guess}`;
  }

  stop() {
    clearInterval(this.timer);
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
